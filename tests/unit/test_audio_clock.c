// SPDX-License-Identifier: MIT
// What a device can say about time and order, right or wrong, and what comes of it. Each row is a
// stream of deliveries of 480 frames, which is also a packet.

#include "testing.h"

#include "audio_testing.h"

#define T ZCB_AUDIO_HAS_PTS
#define S ZCB_AUDIO_HAS_SEQUENCE
#define DISC ZCB_AUDIO_DISCONTINUITY
#define HOLE (ZCB_AUDIO_CONCEALED | ZCB_AUDIO_SILENCE)

enum { STEPS = 12 };

struct step {
    uint32_t how; // stamp flags
    uint64_t pts; // in packets
    uint32_t sequence;
    int32_t frames; // added to the time
};

struct seen {
    int delivery; // whose frames these are; -1: silence that was put in
    uint64_t pts;
    uint32_t flags;
    int32_t frames; // added to the time
};

static const struct row {
    const char *name;
    struct zcb_audio_sink_config config;
    size_t deliveries, packets;
    struct step steps[STEPS];
    struct seen seen[STEPS];
    struct {
        uint64_t jitter, gaps, lost_frames, concealed_frames, jumps, duplicates, reordered,
            backwards, clock_stops;
    } want;
} rows[] = {
    {"in order",
     {0},
     4,
     4,
     {{T, 5, 0, 0}, {T, 6, 0, 0}, {0, 0, 0, 0}, {T, 8, 0, 0}},
     {{0, 5, 0, 0}, {1, 6, 0, 0}, {2, 7, 0, 0}, {3, 8, 0, 0}},
     {0}},
    {"sequence wraps",
     {0},
     4,
     4,
     {{S, 0, UINT32_MAX - 1, 0}, {S, 0, UINT32_MAX, 0}, {S, 0, 0, 0}, {S, 0, 1, 0}},
     {{0, 0, 0, 0}, {1, 1, 0, 0}, {2, 2, 0, 0}, {3, 3, 0, 0}},
     {0}},
    {"a sequence gap over the wrap is a gap",
     {0},
     2,
     2,
     {{S, 0, UINT32_MAX, 0}, {S, 0, 1, 0}},
     {{0, 0, 0, 0}, {1, 2, DISC, 0}},
     {.gaps = 1, .lost_frames = 480}},
    {"the sequence begins anew while time goes on",
     {0},
     2,
     2,
     {{S | T, 3, 5000, 0}, {S | T, 4, 1, 0}},
     {{0, 3, 0, 0}, {1, 4, DISC, 0}},
     {.jumps = 1}},
    {"a clock that stands still is no jump, however far it falls behind",
     {.stall_after = 2, .max_gap_frames = 960},
     8,
     6,
     {{T, 10, 0, 0},
      {T, 10, 0, 0},
      {T, 10, 0, 0},
      {T, 10, 0, 0},
      {T, 10, 0, 0},
      {T, 10, 0, 0},
      {T, 10, 0, 0},
      {T, 10, 0, 0}},
     {{0, 10, 0, 0}, {3, 11, DISC, 0}, {4, 12, 0, 0}, {5, 13, 0, 0}, {6, 14, 0, 0}, {7, 15, 0, 0}},
     {.duplicates = 2, .clock_stops = 1}},
    {"what the device says that it lost is not concealed",
     {.conceal_frames = 960},
     2,
     2,
     {{T, 3, 0, 0}, {T | DISC, 5, 0, 0}},
     {{0, 3, 0, 0}, {1, 5, DISC, 0}},
     {.gaps = 1, .lost_frames = 480}},
    {"time wraps",
     {0},
     4,
     4,
     {{T, 0, 0, -960}, {T, 0, 0, -480}, {T, 0, 0, 0}, {T, 1, 0, 0}},
     {{0, 0, 0, -960}, {1, 0, 0, -480}, {2, 0, 0, 0}, {3, 1, 0, 0}},
     {0}},
    {"a gap over the wrap is a gap",
     {0},
     2,
     2,
     {{T, 0, 0, -960}, {T, 0, 0, 0}},
     {{0, 0, 0, -960}, {1, 0, DISC, 0}},
     {.gaps = 1, .lost_frames = 480}},
    {"times that tremble",
     {.tolerance_frames = 5},
     5,
     5,
     {{T, 5, 0, 0}, {T, 6, 0, 5}, {T, 7, 0, -5}, {T, 8, 0, 0}, {T, 9, 0, 6}},
     {{0, 5, 0, 0}, {1, 6, 0, 0}, {2, 7, 0, 0}, {3, 8, 0, 0}, {4, 9, DISC, 6}},
     {.jitter = 2, .gaps = 1, .lost_frames = 6}},
    {"a gap in time, flagged",
     {0},
     3,
     3,
     {{T, 0, 0, 0}, {T, 3, 0, 0}, {T, 4, 0, 0}},
     {{0, 0, 0, 0}, {1, 3, DISC, 0}, {2, 4, 0, 0}},
     {.gaps = 1, .lost_frames = 960}},
    {"a gap in time, concealed",
     {.conceal_frames = 960},
     3,
     5,
     {{T, 0, 0, 0}, {T, 3, 0, 0}, {T, 4, 0, 0}},
     {{0, 0, 0, 0}, {-1, 1, HOLE, 0}, {-1, 2, HOLE, 0}, {1, 3, 0, 0}, {2, 4, 0, 0}},
     {.gaps = 1, .lost_frames = 960, .concealed_frames = 960}},
    {"a gap that is too long to conceal",
     {.conceal_frames = 959},
     2,
     2,
     {{T, 0, 0, 0}, {T, 3, 0, 0}},
     {{0, 0, 0, 0}, {1, 3, DISC, 0}},
     {.gaps = 1, .lost_frames = 960}},
    {"a gap in the sequence",
     {.conceal_frames = 960},
     3,
     4,
     {{S, 0, 7, 0}, {S, 0, 9, 0}, {S, 0, 10, 0}},
     {{0, 0, 0, 0}, {-1, 1, HOLE, 0}, {1, 2, 0, 0}, {2, 3, 0, 0}},
     {.gaps = 1, .lost_frames = 480, .concealed_frames = 480}},
    {"time says how much a gap in the sequence is",
     {0},
     3,
     3,
     {{S | T, 0, 7, 0}, {S | T, 4, 9, 0}, {S | T, 5, 11, 0}},
     {{0, 0, 0, 0}, {1, 4, DISC, 0}, {2, 5, 0, 0}},
     {.gaps = 2, .lost_frames = 1440}},
    {"a duplicate by its sequence",
     {0},
     5,
     3,
     {{S, 0, 7, 0}, {S, 0, 8, 0}, {S, 0, 7, 0}, {S, 0, 8, 0}, {S, 0, 9, 0}},
     {{0, 0, 0, 0}, {1, 1, 0, 0}, {4, 2, 0, 0}},
     {.duplicates = 2}},
    {"a duplicate by its time",
     {0},
     3,
     2,
     {{T, 7, 0, 0}, {T, 7, 0, 0}, {T, 8, 0, 0}},
     {{0, 7, 0, 0}, {2, 8, 0, 0}},
     {.duplicates = 1}},
    {"out of order",
     {0},
     5,
     3,
     {{S, 0, 7, 0}, {S, 0, 9, 0}, {S, 0, 8, 0}, {S, 0, 8, 0}, {S, 0, 10, 0}},
     {{0, 0, 0, 0}, {1, 2, DISC, 0}, {4, 3, 0, 0}},
     {.gaps = 1, .lost_frames = 480, .reordered = 1, .duplicates = 1}},
    {"the sequence begins anew, far away",
     {0},
     4,
     4,
     {{S, 0, 5000, 0}, {S, 0, 1, 0}, {S, 0, 2, 0}, {S, 0, 0x80000000, 0}},
     {{0, 0, 0, 0}, {1, 1, DISC, 0}, {2, 2, 0, 0}, {3, 3, DISC, 0}},
     {.jumps = 2}},
    {"the sequence begins anew, close by",
     {.stall_after = 2},
     5,
     3,
     {{S, 0, 50, 0}, {S, 0, 1, 0}, {S, 0, 2, 0}, {S, 0, 3, 0}, {S, 0, 4, 0}},
     {{0, 0, 0, 0}, {3, 1, DISC, 0}, {4, 2, 0, 0}},
     {.jumps = 1, .reordered = 2}},
    {"a jump ahead",
     {0},
     3,
     3,
     {{T, 0, 0, 0}, {T, 102, 0, 0}, {T, 103, 0, 0}},
     {{0, 0, 0, 0}, {1, 102, DISC, 0}, {2, 103, 0, 0}},
     {.jumps = 1}},
    {"the longest gap is no jump",
     {0},
     3,
     3,
     {{T, 0, 0, 0}, {T, 101, 0, 0}, {T, 102, 0, 0}},
     {{0, 0, 0, 0}, {1, 101, DISC, 0}, {2, 102, 0, 0}},
     {.gaps = 1, .lost_frames = 48000}},
    {"a jump back",
     {.max_gap_frames = 4800},
     3,
     3,
     {{T, 1000, 0, 0}, {T, 5, 0, 0}, {T, 6, 0, 0}},
     {{0, 1000, 0, 0}, {1, 5, DISC, 0}, {2, 6, 0, 0}},
     {.jumps = 1}},
    {"a jump by half of all time",
     {0},
     2,
     2,
     {{T, 0, 0, 0}, {T, UINT64_C(0x8000000000000000) / 480 + 1, 0, 0}},
     {{0, 0, 0, 0}, {1, UINT64_C(0x8000000000000000) / 480 + 1, DISC, 0}},
     {.jumps = 1}},
    {"time goes backwards a little, and comes back",
     {0},
     4,
     2,
     {{T, 10, 0, 0}, {T, 9, 0, 0}, {T, 10, 0, 100}, {T, 11, 0, 0}},
     {{0, 10, 0, 0}, {3, 11, 0, 0}},
     {.backwards = 2}},
    {"time goes backwards for good",
     {.stall_after = 3},
     6,
     3,
     {{T, 10, 0, 0}, {T, 5, 0, 0}, {T, 6, 0, 0}, {T, 7, 0, 0}, {T, 8, 0, 0}, {T, 9, 0, 0}},
     {{0, 10, 0, 0}, {4, 8, DISC, 0}, {5, 9, 0, 0}},
     {.backwards = 3, .jumps = 1}},
    {"time goes backwards where the sequence says that frames are new",
     {.stall_after = 2},
     5,
     5,
     {{S | T, 10, 1, 0}, {S | T, 9, 2, 0}, {S | T, 8, 3, 0}, {S | T, 7, 4, 0}, {S | T, 8, 5, 0}},
     {{0, 10, 0, 0}, {1, 11, 0, 0}, {2, 12, 0, 0}, {3, 7, DISC, 0}, {4, 8, 0, 0}},
     {.backwards = 2, .jumps = 1}},
    {"the clock stops, and goes on",
     {.stall_after = 2},
     7,
     5,
     {{T, 10, 0, 0},
      {T, 10, 0, 0},
      {T, 10, 0, 0},
      {T, 10, 0, 0},
      {T, 10, 0, 0},
      {T, 11, 0, 0},
      {T, 12, 0, 0}},
     {{0, 10, 0, 0}, {3, 11, DISC, 0}, {4, 12, 0, 0}, {5, 11, DISC, 0}, {6, 12, 0, 0}},
     {.duplicates = 2, .clock_stops = 1, .jumps = 1}},
    {"the clock stops where the sequence goes on",
     {0},
     4,
     4,
     {{S | T, 10, 1, 0}, {S | T, 10, 2, 0}, {S | T, 10, 3, 0}, {S | T, 13, 4, 0}},
     {{0, 10, 0, 0}, {1, 11, 0, 0}, {2, 12, 0, 0}, {3, 13, 0, 0}},
     {.clock_stops = 1}},
    {"a delivery longer than any gap comes again",
     {.max_gap_frames = 479},
     3,
     2,
     {{T, 7, 0, 0}, {T, 7, 0, 0}, {T, 8, 0, 0}},
     {{0, 7, 0, 0}, {2, 8, 0, 0}},
     {.duplicates = 1}},
    {"the clock stops where the sequence goes on, in deliveries longer than any gap",
     {.max_gap_frames = 1},
     3,
     3,
     {{S | T, 10, 1, 0}, {S | T, 10, 2, 0}, {S | T, 10, 3, 0}},
     {{0, 10, 0, 0}, {1, 11, 0, 0}, {2, 12, 0, 0}},
     {.clock_stops = 1}},
    {"a clock that stands still tells nothing of what the sequence says is missing",
     {0},
     4,
     4,
     {{S | T, 10, 1, 0}, {S | T, 10, 2, 0}, {S | T, 10, 5, 0}, {S | T, 10, 6, 0}},
     {{0, 10, 0, 0}, {1, 11, 0, 0}, {2, 14, DISC, 0}, {3, 15, 0, 0}},
     {.clock_stops = 1, .gaps = 1, .lost_frames = 960}},
    {"nor does a time from the past",
     {.conceal_frames = 480},
     3,
     4,
     {{S | T, 10, 1, 0}, {S | T, 9, 3, 0}, {S | T, 13, 4, 0}},
     {{0, 10, 0, 0}, {-1, 11, HOLE, 0}, {1, 12, 0, 0}, {2, 13, 0, 0}},
     {.backwards = 1, .gaps = 1, .lost_frames = 480, .concealed_frames = 480}},
    {"the oldest sequence that is remembered",
     {0},
     4,
     2,
     {{S, 0, 7, 0}, {S, 0, 70, 0}, {S, 0, 7, 0}, {S, 0, 8, 0}},
     {{0, 0, 0, 0}, {1, 63, DISC, 0}},
     {.gaps = 1, .lost_frames = 62 * 480, .duplicates = 1, .reordered = 1}},
    {"a clock that stopped and then was right is an ordinary one",
     {0},
     4,
     4,
     {{S | T, 10, 1, 0}, {S | T, 10, 2, 0}, {S | T, 12, 3, 0}, {S | T, 11, 4, 0}},
     {{0, 10, 0, 0}, {1, 11, 0, 0}, {2, 12, 0, 0}, {3, 13, 0, 0}},
     {.clock_stops = 1, .backwards = 1}},
    {"the device says that it lost something",
     {0},
     3,
     3,
     {{0, 0, 0, 0}, {DISC, 0, 0, 0}, {0, 0, 0, 0}},
     {{0, 0, 0, 0}, {1, 1, DISC, 0}, {2, 2, 0, 0}},
     {0}},
};

static struct zcb_audio_stamp
stamp_of(const struct step *step)
{
    return (struct zcb_audio_stamp){.pts_frames = step->pts * 480 + (uint64_t)(int64_t)step->frames,
                                    .sequence = step->sequence,
                                    .flags = step->how};
}

static void
run(const struct row *row)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_sink_config config = row->config;
    struct zcb_audio_consumer *consumer;
    struct zcb_audio_sink_stats stats;
    struct zcb_audio_packet packet;
    struct zcb_audio_sink *sink;
    size_t seen = 0;

    print_message("%s\n", row->name);
    config.buffers = 20;
    sink = must_sink(pool, &config);
    consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 64);
    for (size_t i = 0; i < row->deliveries; i++) {
        struct zcb_audio_stamp stamp = stamp_of(&row->steps[i]);
        uint64_t number = 1000 * (i + 1);

        must_deliver(sink, 480, &stamp, &number);
    }
    zcb_audio_sink_end(sink);
    while (zcb_audio_consumer_read(consumer, 0, &packet) == 1) {
        const struct seen *want = &row->seen[seen++];

        assert_true(seen <= row->packets);
        assert_int_equal(packet.frames, 480);
        assert_int_equal(audio_frame(&packet, 0),
                         want->delivery < 0 ? 0 : 1000 * (want->delivery + 1));
        assert_int_equal(packet.pts_frames, want->pts * 480 + (uint64_t)(int64_t)want->frames);
        assert_int_equal(packet.flags, want->flags);
        zcb_audio_packet_unref(&packet);
    }
    assert_int_equal(seen, row->packets);
    stats = must_sink_stats(sink);
#define SAME(name) assert_int_equal(stats.name, row->want.name)
    SAME(jitter);
    SAME(gaps);
    SAME(lost_frames);
    SAME(concealed_frames);
    SAME(jumps);
    SAME(duplicates);
    SAME(reordered);
    SAME(backwards);
    SAME(clock_stops);
#undef SAME
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
    must_end(&pool);
}

static void
each_kind_of_trouble_is_counted_and_comes_out_as_stated(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run(&rows[i]);
}

static void
a_packet_under_way_ends_where_time_breaks_and_goes_on_over_concealed_frames(void **state)
{
    (void)state;
    for (uint32_t conceal = 0; conceal < 2; conceal++) {
        struct zcb_audio_sink_config config = {.conceal_frames = conceal * 100};
        struct zcb_audio_stamp stamp = {.flags = T};
        struct zcb_pool *pool = must_create(NULL);
        struct zcb_audio_sink *sink = must_sink(pool, &config);
        struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
        struct zcb_audio_packet packet;
        uint64_t number = 1;

        // No buffer is as it was made: silence has to be written.
        for (uint32_t n = 0; n < 20; n++) {
            must_deliver(sink, 480, NULL, &number);
            (void)must_read_first(consumer);
        }
        number = 1;
        stamp.flags |= DISC;
        must_deliver(sink, 256, &stamp, &number);
        stamp.flags = T;
        stamp.pts_frames = 256 + 100;
        must_deliver(sink, 256, &stamp, &number);
        zcb_audio_sink_end(sink);
        assert_int_equal(zcb_audio_consumer_read(consumer, 0, &packet), 1);
        assert_int_equal(packet.frames, conceal != 0 ? 480 : 256);
        assert_int_equal(packet.flags, DISC | (conceal != 0 ? ZCB_AUDIO_CONCEALED : 0));
        assert_int_equal(audio_frame(&packet, 255), 256);
        if (conceal != 0) {
            for (uint32_t i = 256; i < 356; i++)
                assert_int_equal(audio_frame(&packet, i), 0);
            assert_int_equal(audio_frame(&packet, 356), 257);
        }
        zcb_audio_packet_unref(&packet);
        assert_int_equal(zcb_audio_consumer_read(consumer, 0, &packet), 1);
        assert_int_equal(packet.pts_frames, conceal != 0 ? 480 : 356);
        assert_int_equal(packet.frames, conceal != 0 ? 132 : 256);
        assert_int_equal(packet.flags, conceal != 0 ? ZCB_AUDIO_END : ZCB_AUDIO_END | DISC);
        zcb_audio_packet_unref(&packet);
        zcb_audio_consumer_close(&consumer);
        zcb_audio_sink_destroy(&sink);
        must_end(&pool);
    }
}

static void
a_duplicate_is_dropped_whole_however_it_is_read(void **state)
{
    struct zcb_audio_stamp stamp = {.flags = S, .sequence = 4};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_span span;
    uint64_t number = 0;

    (void)state;
    must_deliver(sink, 1000, &stamp, &number);
    assert_int_equal(zcb_audio_sink_begin(sink, 1000, &stamp, &span), 0);
    assert_true(span.dropped);
    assert_int_equal(span.frames, 480);
    memset(span.plane[0], 0xff, span.bytes);
    assert_int_equal(zcb_audio_sink_commit(sink, 300), 0);
    assert_int_equal(zcb_audio_sink_begin(sink, 1000, NULL, &span), 0);
    assert_true(span.dropped);
    assert_int_equal(zcb_audio_sink_commit(sink, 480), 0);
    assert_int_equal(zcb_audio_sink_begin(sink, 1000, NULL, &span), 0);
    assert_int_equal(span.frames, 220);
    assert_int_equal(zcb_audio_sink_commit(sink, 220), 0);
    stamp.sequence = 5;
    must_deliver(sink, 440, &stamp, &number);
    for (uint64_t n = 0; n < 3; n++)
        assert_int_equal(must_read_first(consumer), n * 480);
    assert_int_equal(must_sink_stats(sink).frames, 1440);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
    must_end(&pool);
}

static void
a_stall_and_the_burst_after_it_are_seen_by_the_clock_that_the_caller_reads(void **state)
{
    static const uint64_t ms[] = {10, 20, 30, 39, 90, 91, 92, 93, 103, 113, 133, 154, 174, 175};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_DROP_OLDEST, 4);
    struct zcb_audio_sink_stats stats;
    uint64_t number = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
        struct zcb_audio_stamp stamp = {
            .now_ns = ms[i] * 1000000, .sequence = (uint32_t)i, .flags = S};

        must_deliver(sink, 480, &stamp, &number);
    }
    stats = must_sink_stats(sink);
    assert_int_equal(stats.late_wakeups, 2); // 51 ms and 21 ms; twice the time is not late
    assert_int_equal(stats.bursts, 3);
    assert_int_equal(stats.max_late_ns, 41 * 1000000);
    assert_int_equal(stats.packets, 14);
    assert_int_equal(stats.misses, 0);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
    must_end(&pool);
}

// {ms, frames} of each delivery; what the last of them adds.
static void
how_late_a_delivery_is_follows_from_the_one_before_it(void **state)
{
    static const struct {
        struct {
            uint64_t ms;
            uint32_t frames;
        } at[3];
        uint64_t late, bursts, max_late_ms;
    } table[] = {
        {{{10, 480}, {30, 480}, {34, 480}}, 0, 0, 10},  // twice its time is not late
        {{{10, 480}, {31, 480}, {34, 480}}, 1, 1, 11},  // a little more is
        {{{10, 480}, {35, 480}, {40, 480}}, 1, 0, 15},  // half its time is no burst
        {{{10, 480}, {9, 480}, {19, 480}}, 0, 0, 0},    // a clock that goes back tells nothing
        {{{10, 4800}, {160, 48}, {163, 48}}, 1, 0, 50}, // 100 ms, and then 1 ms
        {{{10, 48}, {13, 4800}, {40, 48}}, 1, 1, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct zcb_pool *pool = must_create(NULL);
        struct zcb_audio_sink *sink = must_sink(pool, NULL);
        struct zcb_audio_sink_stats stats;
        uint64_t number = 0;

        for (size_t n = 0; n < 3; n++) {
            struct zcb_audio_stamp stamp = {.now_ns = table[i].at[n].ms * 1000000};

            must_deliver(sink, table[i].at[n].frames, &stamp, &number);
        }
        stats = must_sink_stats(sink);
        assert_int_equal(stats.late_wakeups, table[i].late);
        assert_int_equal(stats.bursts, table[i].bursts);
        assert_int_equal(stats.max_late_ns, table[i].max_late_ms * 1000000);
        zcb_audio_sink_destroy(&sink);
        must_end(&pool);
    }
}

static void
a_write_of_several_packets_is_judged_once_and_not_copied_where_it_is_dropped(void **state)
{
    static const uint64_t frames[1000] = {1};
    const void *planes[] = {frames};
    struct zcb_audio_stamp stamp = {.flags = T | S, .pts_frames = 77, .sequence = 5};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_copies before, after;

    (void)state;
    for (int again = 0; again < 2; again++) {
        zcb_copies_thread(&before);
        assert_int_equal(zcb_audio_sink_write(sink, planes, sizeof(frames), &stamp), again ? 0 : 2);
        zcb_copies_thread(&after);
        assert_int_equal(zcb_copies_bytes(&after) - zcb_copies_bytes(&before),
                         again ? 0 : sizeof(frames));
        assert_int_equal(must_sink_stats(sink).frames, 960);
        assert_int_equal(must_sink_stats(sink).duplicates, again);
        assert_int_equal(must_sink_stats(sink).jumps + must_sink_stats(sink).gaps, 0);
    }
    zcb_audio_sink_destroy(&sink);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_trouble_is_counted_and_comes_out_as_stated),
        cmocka_unit_test(
            a_packet_under_way_ends_where_time_breaks_and_goes_on_over_concealed_frames),
        cmocka_unit_test(a_duplicate_is_dropped_whole_however_it_is_read),
        cmocka_unit_test(
            a_stall_and_the_burst_after_it_are_seen_by_the_clock_that_the_caller_reads),
        cmocka_unit_test(how_late_a_delivery_is_follows_from_the_one_before_it),
        cmocka_unit_test(
            a_write_of_several_packets_is_judged_once_and_not_copied_where_it_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
