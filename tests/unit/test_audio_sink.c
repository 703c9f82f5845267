// SPDX-License-Identifier: MIT
// The capture sink and its consumers, on one thread: what goes where, and what happens when nothing
// is free any more.

#include "testing.h"

#include "audio_testing.h"

#include <poll.h>

#include "support/alloc_count.h"

#include "adapt/audio.h"

static struct zcb_pool *pool;

static int
set_up(void **state)
{
    (void)state;
    pool = must_create(NULL);
    return 0;
}

// Every buffer has come back, whatever the test did.
static int
tear_down(void **state)
{
    bool all_back = must_stats(pool).total.live == 0;

    (void)state;
    zcb_pool_destroy(&pool);
    return all_back ? 0 : -1;
}

// ---- what is refused

static void
a_config_out_of_bounds_is_refused(void **state)
{
    static const struct {
        struct zcb_audio_sink_config config;
        int result;
    } table[] = {
        {{.buffers = 5, .max_buffers = 4}, -EINVAL},
        {{.buffers = 4097}, -EINVAL},
        {{.buffers = UINT32_MAX}, -EINVAL},
        {{.max_buffers = 4097}, -EINVAL},
        {{.spare = 4097}, -EINVAL},
        {{.max_consumers = 65}, -EINVAL},
        {{.max_depth = 1025}, -EINVAL},
        {{.helper_ms = 1001}, -EINVAL},
        {{.conceal_frames = (1 << 20) + 1}, -EINVAL},
        {{.full = (enum zcb_audio_full)3}, -EINVAL},
        {{.flags = 2}, -EINVAL},
        {{.reserved = {[6] = 1}}, -EINVAL},
        {{.packet_frames = ZCB_AUDIO_MAX_PACKET / 8 + 1}, -ERANGE},
        {{.packet_frames = UINT32_MAX}, -ERANGE},
        {{.buffers = 1, .max_buffers = 1, .max_consumers = 64, .max_depth = 1024}, 0},
    };
    struct zcb_audio_format nothing = {0};
    struct zcb_audio_sink *sink = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(zcb_audio_sink_create(pool, &audio_stereo, &table[i].config, &sink),
                         table[i].result);
        zcb_audio_sink_destroy(&sink);
        assert_null(sink);
    }
    assert_int_equal(zcb_audio_sink_create(pool, &nothing, NULL, &sink), -EINVAL);
    assert_int_equal(zcb_audio_sink_create(pool, NULL, NULL, &sink), -EINVAL);
    assert_int_equal(zcb_audio_sink_create(NULL, &audio_stereo, NULL, &sink), -EINVAL);
    assert_int_equal(zcb_audio_sink_create(pool, &audio_stereo, NULL, NULL), -EINVAL);
    zcb_audio_sink_destroy(NULL);
    zcb_audio_sink_destroy(&sink);
}

static void
misuse_of_a_span_is_refused_and_changes_nothing(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_stamp odd = {.flags = ZCB_AUDIO_END};
    struct zcb_audio_span span;
    const void *planes[] = {"0123456789abcdef"};

    (void)state;
    assert_int_equal(zcb_audio_sink_commit(sink, 0), -EINVAL);
    assert_int_equal(zcb_audio_sink_begin(sink, 0, NULL, &span), -EINVAL);
    assert_int_equal(zcb_audio_sink_begin(sink, (1u << 24) + 1, NULL, &span), -EINVAL);
    assert_int_equal(zcb_audio_sink_begin(sink, 10, NULL, NULL), -EINVAL);
    assert_int_equal(zcb_audio_sink_begin(sink, 10, &odd, &span), -EINVAL);
    assert_int_equal(zcb_audio_sink_begin(NULL, 10, NULL, &span), -EINVAL);
    assert_int_equal(zcb_audio_sink_begin(sink, 10, NULL, &span), 0);
    assert_int_equal(zcb_audio_sink_commit(sink, 11), -ERANGE);
    assert_int_equal(zcb_audio_sink_commit(sink, 10), 0);
    assert_int_equal(zcb_audio_sink_commit(sink, 0), -EINVAL);
    assert_int_equal(zcb_audio_sink_write(sink, planes, 15, NULL), -EBADMSG);
    assert_int_equal(zcb_audio_sink_write(sink, NULL, 16, NULL), -EINVAL);
    assert_int_equal(zcb_audio_sink_write(sink, planes, ((size_t)1 << 27) + 8, NULL), -EINVAL);
    assert_int_equal(zcb_audio_sink_write(NULL, planes, 16, NULL), -EINVAL);
    assert_int_equal(zcb_audio_sink_write(sink, planes, 0, NULL), 0);
    assert_int_equal(zcb_audio_sink_write(sink, planes, 16, NULL), 0);
    assert_int_equal(must_sink_stats(sink).packets, 0);
    assert_int_equal(zcb_audio_sink_begin(sink, 10, NULL, &span), 0);
    zcb_audio_sink_flush(sink);
    assert_int_equal(must_sink_stats(sink).frames, 12);
    assert_int_equal(zcb_audio_sink_commit(sink, 1), -EINVAL); // the span is gone
    assert_int_equal(zcb_audio_sink_begin(sink, 10, NULL, &span), 0);
    zcb_audio_sink_end(sink);
    assert_int_equal(zcb_audio_sink_commit(sink, 1), -EINVAL);
    zcb_audio_sink_end(sink);
    zcb_audio_sink_flush(sink);
    assert_int_equal(zcb_audio_sink_begin(sink, 10, NULL, &span), -EINVAL);
    zcb_audio_sink_destroy(&sink);
}

// ---- what goes where

static void
deliveries_of_any_length_become_packets_of_one_without_a_copy(void **state)
{
    static const uint32_t deliveries[] = {256, 480, 1, 1000, 479};
    struct zcb_copies before, after;

    (void)state;
    for (size_t i = 0; i < sizeof(deliveries) / sizeof(deliveries[0]); i++) {
        struct zcb_audio_sink *sink = must_sink(pool, NULL);
        struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 64);
        uint64_t sent = 0, seen = 0;

        zcb_copies_thread(&before);
        while (sent < 20000) {
            must_deliver(sink, deliveries[i], NULL, &sent);
            while (zcb_audio_consumer_waiting(consumer) != 0) {
                struct zcb_audio_packet packet = must_read(consumer);

                assert_int_equal(packet.frames, 480);
                assert_int_equal(packet.pts_frames, seen);
                assert_int_equal(packet.number, seen / 480);
                assert_int_equal(packet.flags, 0);
                assert_int_equal(audio_frame(&packet, 0), seen);
                assert_int_equal((uintptr_t)packet.bytes.data % 4096, 0);
                seen += 480;
                zcb_audio_packet_unref(&packet);
            }
            assert_true(sent - seen < 480);
        }
        zcb_copies_thread(&after);
        assert_int_equal(zcb_copies_bytes(&after), zcb_copies_bytes(&before));
        zcb_audio_consumer_close(&consumer);
        zcb_audio_sink_destroy(&sink);
    }
}

static void
the_end_cuts_a_packet_short_and_is_told_once_all_was_read(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_packet packet;
    uint64_t sent = 0;

    (void)state;
    assert_int_equal(must_deliver(sink, 500, NULL, &sent), 1);
    zcb_audio_sink_end(sink);
    packet = must_read(consumer);
    assert_int_equal(packet.flags, 0);
    zcb_audio_packet_unref(&packet);
    packet = must_read(consumer);
    assert_int_equal(packet.frames, 20);
    assert_int_equal(packet.flags, ZCB_AUDIO_END);
    zcb_audio_packet_unref(&packet);
    assert_int_equal(zcb_audio_consumer_read(consumer, 0, &packet), 0);
    assert_int_equal(zcb_audio_consumer_read(consumer, UINT32_MAX, &packet), 0);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

static void
a_commit_is_a_packet_where_that_is_wished(void **state)
{
    struct zcb_audio_sink_config config = {.flags = ZCB_AUDIO_AS_DELIVERED};
    struct zcb_audio_sink *sink = must_sink(pool, &config);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    uint64_t sent = 0;

    (void)state;
    assert_int_equal(must_deliver(sink, 256, NULL, &sent), 1);
    assert_int_equal(must_deliver(sink, 500, NULL, &sent), 2);
    assert_int_equal(must_read_first(consumer), 0);
    assert_int_equal(must_read_first(consumer), 256);
    assert_int_equal(must_read_first(consumer), 736);
    assert_true(has_nothing(consumer));
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

static void
planes_are_written_apart_and_what_a_device_has_in_its_own_memory_is_copied_once(void **state)
{
    struct zcb_audio_format planar = {48000, 2, ZCB_AUDIO_S16, 1};
    struct zcb_audio_sink_config config = {.packet_frames = 10};
    struct zcb_audio_consumer *consumer;
    struct zcb_audio_sink *sink;
    struct zcb_audio_channel channel;
    struct zcb_audio_packet packet;
    struct zcb_copies before, after;
    int16_t left[25], right[25];
    const void *planes[] = {left, right};

    (void)state;
    for (int16_t i = 0; i < 25; i++) {
        left[i] = i;
        right[i] = (int16_t)-i;
    }
    assert_int_equal(zcb_audio_sink_create(pool, &planar, &config, &sink), 0);
    consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    zcb_copies_thread(&before);
    assert_int_equal(zcb_audio_sink_write(sink, planes, sizeof(left), NULL), 2);
    zcb_copies_thread(&after);
    assert_int_equal(after.bytes[ZCB_COPY_COPY_TO] - before.bytes[ZCB_COPY_COPY_TO], 100);
    assert_int_equal(zcb_copies_bytes(&after) - zcb_copies_bytes(&before), 100);
    zcb_audio_sink_end(sink);
    for (int16_t at = 0; at < 25; at = (int16_t)(at + 10)) {
        assert_int_equal(zcb_audio_consumer_read(consumer, 0, &packet), 1);
        assert_int_equal(packet.frames, at < 20 ? 10 : 5);
        for (uint32_t c = 0; c < 2; c++) {
            assert_int_equal(zcb_audio_packet_channel(&packet, c, &channel), 0);
            assert_int_equal((uintptr_t)channel.data % 64, 0);
            assert_int_equal(channel.stride, 2);
            assert_memory_equal(channel.data, (c == 0 ? left : right) + at, packet.frames * 2ul);
        }
        zcb_audio_packet_unref(&packet);
    }
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

static void
silence_that_the_device_announces_need_not_be_written(void **state)
{
    struct zcb_audio_stamp silent = {.flags = ZCB_AUDIO_SILENCE};
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_packet packet;
    uint64_t sent = 1;

    (void)state;
    // Each buffer has been written to before it is silent.
    for (int i = 0; i < 20; i++) {
        must_deliver(sink, 480, NULL, &sent);
        (void)must_read_first(consumer);
    }
    assert_int_equal(zcb_audio_sink_write(sink, NULL, 3840, &silent), 1);
    packet = must_read(consumer);
    assert_int_equal(packet.flags, ZCB_AUDIO_SILENCE);
    for (uint32_t i = 0; i < packet.frames; i++)
        assert_int_equal(audio_frame(&packet, i), 0);
    zcb_audio_packet_unref(&packet);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

// ---- nothing is free

static void
every_policy_at_exhaustion_keeps_what_it_says(void **state)
{
    // Of 4 buffers, after packets 0 to 6, with a queue of 64 that nobody reads, and one packet held.
    static const struct {
        enum zcb_audio_full full;
        uint32_t hold; // packets that the program holds
        uint32_t count;
        uint64_t first[8]; // numbers of the packets that can be read
        uint64_t newest, oldest, overwritten;
    } table[] = {
        {ZCB_AUDIO_DROP_NEWEST, 0, 4, {0, 1, 2, 3}, 3, 0, 0},
        {ZCB_AUDIO_DROP_OLDEST, 0, 4, {3, 4, 5, 6}, 0, 3, 0},
        {ZCB_AUDIO_OVERWRITE, 0, 3, {4, 5, 6}, 0, 0, 4},
        {ZCB_AUDIO_DROP_NEWEST, 1, 3, {1, 2, 3}, 3, 0, 0},
        {ZCB_AUDIO_DROP_OLDEST, 1, 3, {4, 5, 6}, 0, 3, 0},
        {ZCB_AUDIO_OVERWRITE, 1, 3, {4, 5, 6}, 0, 0, 3},
        {ZCB_AUDIO_DROP_NEWEST, 4, 0, {0}, 3, 0, 0},
        {ZCB_AUDIO_DROP_OLDEST, 4, 0, {0}, 3, 0, 0},
        {ZCB_AUDIO_OVERWRITE, 4, 0, {0}, 3, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct zcb_audio_sink_config config = {
            .buffers = 4, .max_buffers = 4, .full = table[i].full};
        struct zcb_audio_sink *sink = must_sink(pool, &config);
        struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 64);
        struct zcb_audio_consumer *other = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 64);
        struct zcb_audio_packet held[4] = {0};
        struct zcb_audio_sink_stats stats;
        uint64_t sent = 0;

        for (uint32_t n = 0; n < 7; n++) {
            must_deliver(sink, 480, NULL, &sent);
            if (n < table[i].hold) {
                held[n] = must_read(consumer);
                (void)must_read_first(other);
            }
        }
        for (uint32_t n = 0; n < table[i].hold; n++) // nobody has written to what is held
            assert_int_equal(audio_frame(&held[n], 479), n * 480 + 479);
        stats = must_sink_stats(sink);
        assert_int_equal(stats.drops_newest, table[i].newest);
        assert_int_equal(stats.drops_oldest, table[i].oldest);
        assert_int_equal(stats.overwritten, table[i].overwritten);
        assert_int_equal(stats.dropped_frames, table[i].newest * 480);
        assert_int_equal(stats.packets, 7 - table[i].newest);
        assert_int_equal(stats.peak_in_use, 4);
        for (uint32_t n = 0; n < table[i].count; n++) {
            struct zcb_audio_packet packet = must_read(consumer);

            assert_int_equal(audio_frame(&packet, 0), table[i].first[n] * 480);
            assert_int_equal(packet.pts_frames, table[i].first[n] * 480);
            assert_int_equal(must_read_first(other), table[i].first[n] * 480);
            zcb_audio_packet_unref(&packet);
        }
        assert_true(has_nothing(consumer));
        assert_true(has_nothing(other));
        for (uint32_t n = 0; n < 4; n++)
            zcb_audio_packet_unref(&held[n]);

        // And it goes on, with the gap flagged once.
        must_deliver(sink, 480, NULL, &sent);
        must_deliver(sink, 480, NULL, &sent);
        held[0] = must_read(consumer);
        assert_int_equal(held[0].pts_frames, 7 * 480);
        assert_int_equal(held[0].flags, table[i].newest != 0 ? ZCB_AUDIO_DISCONTINUITY : 0);
        zcb_audio_packet_unref(&held[0]);
        held[0] = must_read(consumer);
        assert_int_equal(held[0].flags, 0);
        zcb_audio_packet_unref(&held[0]);
        must_consumer_stats(consumer);
        must_consumer_stats(other);
        zcb_audio_consumer_close(&other);
        zcb_audio_consumer_close(&consumer);
        zcb_audio_sink_destroy(&sink);
    }
}

static void
each_consumer_lags_by_its_own_policy(void **state)
{
    static const struct {
        enum zcb_audio_lag lag;
        uint32_t count;
        uint64_t first[3];
        bool gap; // in front of the first
        uint64_t dropped, skipped, refused;
    } table[] = {
        {ZCB_AUDIO_LAG_DROP_OLDEST, 3, {5, 6, 7}, true, 4, 0, 0},
        {ZCB_AUDIO_LAG_SKIP, 1, {7}, true, 4, 2, 0},
        {ZCB_AUDIO_LAG_HOLD, 3, {1, 2, 3}, false, 0, 0, 4},
    };
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer[3], *quick = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 1);
    uint64_t sent = 0;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        consumer[i] = must_listen(sink, table[i].lag, 3);
    for (uint32_t n = 0; n < 8; n++) {
        must_deliver(sink, 480, NULL, &sent);
        assert_int_equal(must_read_first(quick), n * 480);
        for (size_t i = 0; n == 0 && i < 3; i++)
            assert_int_equal(must_read_first(consumer[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        struct zcb_audio_consumer_stats stats = must_consumer_stats(consumer[i]);

        assert_int_equal(stats.peak_waiting, 3);
        for (uint32_t n = 0; n < table[i].count; n++) {
            struct zcb_audio_packet packet = must_read(consumer[i]);

            assert_int_equal(packet.number, table[i].first[n]);
            assert_int_equal(packet.flags, n == 0 && table[i].gap ? ZCB_AUDIO_DISCONTINUITY : 0);
            zcb_audio_packet_unref(&packet);
        }
        assert_true(has_nothing(consumer[i]));
        stats = must_consumer_stats(consumer[i]);
        assert_int_equal(stats.offered, 8);
        assert_int_equal(stats.delivered, 1 + table[i].count);
        assert_int_equal(stats.dropped_oldest, table[i].dropped);
        assert_int_equal(stats.skipped, table[i].skipped);
        assert_int_equal(stats.refused, table[i].refused);
        assert_int_equal(stats.discontinuities, table[i].gap);
    }
    // What was held comes out as it is, and then the gap shows.
    must_deliver(sink, 480, NULL, &sent);
    for (size_t i = 0; i < 3; i++) {
        struct zcb_audio_packet packet = must_read(consumer[i]);

        assert_int_equal(packet.flags, i == 2 ? ZCB_AUDIO_DISCONTINUITY : 0);
        zcb_audio_packet_unref(&packet);
        zcb_audio_consumer_close(&consumer[i]);
    }
    assert_int_equal(must_sink_stats(sink).misses, 0);
    zcb_audio_consumer_close(&quick);
    zcb_audio_sink_destroy(&sink);
}

static void
consumers_come_and_go(void **state)
{
    struct zcb_audio_sink_config config = {.max_consumers = 2, .max_depth = 5};
    struct zcb_audio_consumer_config wrong = {.depth = 6};
    struct zcb_audio_sink *sink = must_sink(pool, &config);
    struct zcb_audio_consumer *a, *b, *c;
    uint64_t sent = 0;

    (void)state;
    must_deliver(sink, 480, NULL, &sent);
    assert_int_equal(must_sink_stats(sink).unheard, 1);
    a = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    b = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 5);
    assert_int_equal(zcb_audio_consumer_open(sink, NULL, &c), -ENOBUFS);
    assert_int_equal(zcb_audio_consumer_open(sink, &wrong, &c), -EINVAL);
    wrong = (struct zcb_audio_consumer_config){.reserved = {[5] = 1}};
    assert_int_equal(zcb_audio_consumer_open(sink, &wrong, &c), -EINVAL);
    wrong = (struct zcb_audio_consumer_config){.lag = (enum zcb_audio_lag)3};
    assert_int_equal(zcb_audio_consumer_open(sink, &wrong, &c), -EINVAL);
    assert_int_equal(zcb_audio_consumer_open(NULL, NULL, &c), -EINVAL);
    assert_int_equal(zcb_audio_consumer_open(sink, NULL, NULL), -EINVAL);
    must_deliver(sink, 960, NULL, &sent);
    assert_int_equal(zcb_audio_consumer_waiting(b), 2);
    assert_int_equal(must_sink_stats(sink).in_use, 2);
    assert_int_equal(must_read_first(a), 480);
    zcb_audio_consumer_close(&a);
    zcb_audio_consumer_close(&a);
    assert_null(a);
    assert_int_equal(must_sink_stats(sink).in_use, 2);
    zcb_audio_consumer_close(&b);
    assert_int_equal(must_sink_stats(sink).in_use, 0);
    assert_int_equal(zcb_audio_consumer_open(sink, NULL, &c), 0);
    assert_true(has_nothing(c));
    assert_int_equal(must_consumer_stats(c).offered, 0);
    must_deliver(sink, 480, NULL, &sent);
    assert_int_equal(must_read_first(c), 3 * 480);
    assert_int_equal(must_consumer_stats(c).offered, 1);
    assert_int_equal(must_consumer_stats(c).discontinuities, 0); // it has seen none before
    zcb_audio_consumer_close(&c);
    zcb_audio_sink_destroy(&sink);
}

static void
the_oldest_is_what_waits_longest_anywhere(void **state)
{
    struct zcb_audio_sink_config config = {
        .buffers = 4, .max_buffers = 4, .full = ZCB_AUDIO_DROP_OLDEST};
    struct zcb_audio_sink *sink = must_sink(pool, &config);
    struct zcb_audio_consumer *ahead = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_consumer *behind = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    uint64_t sent = 0;

    (void)state;
    must_deliver(sink, 4 * 480, NULL, &sent);
    (void)must_read_first(ahead);
    (void)must_read_first(ahead);
    must_deliver(sink, 480, NULL, &sent);
    for (uint64_t n = 2; n < 5; n++)
        assert_int_equal(must_read_first(ahead), n * 480);
    for (uint64_t n = 1; n < 5; n++)
        assert_int_equal(must_read_first(behind), n * 480);
    assert_int_equal(must_consumer_stats(ahead).dropped_oldest, 0);
    assert_int_equal(must_consumer_stats(behind).dropped_oldest, 1);
    zcb_audio_consumer_close(&ahead);
    zcb_audio_consumer_close(&behind);
    zcb_audio_sink_destroy(&sink);
}

static void
a_gap_is_flagged_for_those_too_who_come_after_it(void **state)
{
    struct zcb_audio_sink_config config = {.buffers = 1, .max_buffers = 1};
    struct zcb_audio_sink *sink = must_sink(pool, &config);
    struct zcb_audio_consumer *first = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0), *second;
    struct zcb_audio_packet packet;
    uint64_t sent = 0;

    (void)state;
    must_deliver(sink, 960, NULL, &sent);
    (void)must_read_first(first);
    second = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    must_deliver(sink, 480, NULL, &sent);
    packet = must_read(second);
    assert_int_equal(packet.flags, ZCB_AUDIO_DISCONTINUITY);
    zcb_audio_packet_unref(&packet);
    zcb_audio_consumer_close(&first);
    zcb_audio_consumer_close(&second);
    zcb_audio_sink_destroy(&sink);
}

// The capture thread may have looked at a consumer just before it was closed.
static void
put_into_a_closed_queue(struct zcb_audio_sink *sink, uint64_t *sent)
{
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 4),
                              *seen = consumer;
    uint32_t mode = consumer->mode;

    zcb_audio_consumer_close(&consumer);
    seen->mode = mode;
    must_deliver(sink, 480, NULL, sent);
    seen->mode = 0;
    assert_int_equal(must_sink_stats(sink).in_use, 1);
}

static void
what_came_into_a_queue_while_it_was_closed_is_taken_out_again(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer;
    uint64_t sent = 0;

    (void)state;
    put_into_a_closed_queue(sink, &sent);
    must_deliver(sink, 480, NULL, &sent); // by the capture thread
    assert_int_equal(must_sink_stats(sink).in_use, 0);
    put_into_a_closed_queue(sink, &sent);
    consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0); // by who opens it
    assert_true(has_nothing(consumer));
    assert_int_equal(must_sink_stats(sink).in_use, 0);
    zcb_audio_consumer_close(&consumer);
    put_into_a_closed_queue(sink, &sent);
    zcb_audio_sink_destroy(&sink); // by the end
    assert_int_equal(must_stats(pool).total.live, 0);
}

static void
a_span_that_was_not_committed_leaves_nothing_behind(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_span span;

    (void)state;
    assert_int_equal(zcb_audio_sink_begin(sink, 100, NULL, &span), 0);
    assert_int_equal(zcb_audio_sink_begin(sink, 100, NULL, &span), 0);
    assert_int_equal(must_sink_stats(sink).in_use, 1);
    zcb_audio_sink_end(sink);
    assert_int_equal(must_sink_stats(sink).in_use, 0);
    zcb_audio_sink_destroy(&sink);
    assert_int_equal(must_stats(pool).total.live, 0);
}

// ---- buffers

static void
thirty_thousand_packets_need_ten_buffers(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 8);
    struct zcb_audio_packet held[8] = {0};
    struct zcb_audio_sink_stats stats;
    uint64_t sent = 0, allocations = 0;

    (void)state;
    for (uint32_t n = 0; n < 30000; n++) {
        if (n == 100)
            allocations = zcb_alloc_count();
        assert_int_equal(must_deliver(sink, 480, NULL, &sent), 1);
        zcb_audio_packet_unref(&held[n % 8]); // a consumer that keeps eight of them
        held[n % 8] = must_read(consumer);
        assert_int_equal(audio_frame(&held[n % 8], 0), (uint64_t)n * 480);
    }
    if (zcb_alloc_count_works())
        assert_int_equal(zcb_alloc_count(), allocations);
    stats = must_sink_stats(sink);
    assert_int_equal(stats.packets, 30000);
    assert_int_equal(stats.frames, 30000 * 480);
    assert_int_equal(stats.buffers, 10);
    assert_int_equal(stats.prepared, 10);
    assert_int_equal(stats.first_uses + stats.recycled, 30000);
    assert_true(stats.first_uses <= 10);
    assert_int_equal(stats.misses, 0);
    assert_int_equal(stats.in_use, 8);
    assert_int_equal(stats.peak_in_use, 9);
    assert_true(stats.hit_rate >= 0.999);
    for (uint32_t n = 0; n < 8; n++)
        zcb_audio_packet_unref(&held[n]);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

static void
service_prepares_for_a_peak_and_gives_back_after_it(void **state)
{
    struct zcb_audio_sink_config config = {.buffers = 4, .max_buffers = 12, .spare = 3};
    struct zcb_audio_sink *sink = must_sink(pool, &config);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 64);
    uint64_t sent = 0;

    (void)state;
    assert_int_equal(zcb_audio_sink_service(sink), 0);
    assert_int_equal(must_sink_stats(sink).buffers, 4);
    for (uint32_t n = 0; n < 12; n++) {
        int made;

        assert_int_equal(must_deliver(sink, 480, NULL, &sent), 1);
        made = zcb_audio_sink_service(sink);
        assert_true(made >= 0);
        assert_int_equal(must_sink_stats(sink).buffers, n + 4 < 12 ? (n < 1 ? 4 : n + 4) : 12);
    }
    assert_int_equal(must_sink_stats(sink).misses, 0);
    assert_int_equal(must_deliver(sink, 480, NULL, &sent), 0); // the maximum holds
    assert_int_equal(must_sink_stats(sink).drops_newest, 1);
    while (zcb_audio_consumer_waiting(consumer) != 0)
        (void)must_read_first(consumer);
    assert_int_equal(must_sink_stats(sink).in_use, 0);
    for (uint32_t n = 0; n < 64; n++) {
        assert_int_equal(zcb_audio_sink_service(sink), 0);
        must_deliver(sink, 480, NULL, &sent);
        (void)must_read_first(consumer);
    }
    assert_int_equal(must_sink_stats(sink).retired, 0);
    for (uint32_t n = 0; n < 20; n++) {
        assert_int_equal(zcb_audio_sink_service(sink), 0);
        must_deliver(sink, 480, NULL, &sent);
        (void)must_read_first(consumer);
    }
    assert_int_equal(must_sink_stats(sink).retired, 8);
    assert_int_equal(must_sink_stats(sink).buffers, 4);
    assert_int_equal(must_stats(pool).total.live, 4 + 1); // and the one for what is dropped
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
    assert_int_equal(zcb_audio_sink_service(NULL), -EINVAL);
}

static void
packets_outlive_their_sink_and_consumers_read_what_is_left(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *reader = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_consumer *idle = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_packet packet, rest;
    struct zcb_audio_span span;
    uint64_t sent = 0;

    (void)state;
    must_deliver(sink, 4 * 480 + 7, NULL, &sent);
    packet = must_read(reader);
    assert_int_equal(zcb_audio_sink_begin(sink, 100, NULL, &span), 0);
    zcb_audio_sink_destroy(&sink);
    assert_int_equal(must_read_first(reader), 480);
    assert_int_equal(must_read_first(reader), 960);
    zcb_audio_consumer_close(&idle);
    assert_int_equal(must_read_first(reader), 1440);
    rest = must_read(reader);
    assert_int_equal(rest.frames, 7);
    assert_int_equal(rest.flags, ZCB_AUDIO_END);
    assert_int_equal(zcb_audio_consumer_read(reader, 1000, &packet), 0);
    zcb_audio_consumer_close(&reader);
    assert_int_equal(audio_frame(&packet, 479), 479);
    zcb_audio_packet_unref(&packet);
    assert_int_equal(must_stats(pool).total.live, 11); // all of the sink's, till the last is back
    assert_int_equal(audio_frame(&rest, 6), 1926);
    zcb_audio_packet_unref(&rest);
    assert_int_equal(must_stats(pool).total.live, 0);
}

static void
a_packet_that_nobody_else_sees_can_be_written_in_place(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_packet packet;
    struct zcb_buf *buf = NULL;
    uint64_t sent = 0;

    (void)state;
    must_deliver(sink, 100, NULL, &sent);
    zcb_audio_sink_flush(sink);
    packet = must_read(consumer);
    assert_int_equal(zcb_packet_make_writable(&packet.bytes, pool, &buf), 0);
    assert_int_equal(zcb_buf_len(buf), 800);
    assert_int_equal(zcb_buf_capacity(buf), 3840); // all of it, although the packet is short
    zcb_buf_data(buf)[0] = 1;
    zcb_buf_release(&buf);
    assert_int_equal(must_sink_stats(sink).in_use, 0);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

// ---- waiting

static void
a_read_in_vain_says_so_after_its_time(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_packet packet;

    (void)state;
    assert_int_equal(zcb_audio_consumer_read(consumer, 0, &packet), -EAGAIN);
    assert_int_equal(zcb_audio_consumer_read(consumer, 12, &packet), -ETIMEDOUT);
    assert_true(must_consumer_stats(consumer).sleeps >= 1);
    assert_int_equal(zcb_audio_consumer_read(consumer, 0, NULL), -EINVAL);
    assert_int_equal(zcb_audio_consumer_read(NULL, 0, &packet), -EINVAL);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

static bool
polls_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

static void
a_descriptor_that_is_made_late_tells_what_waits_already(void **state)
{
    (void)state;
    for (int ends = 0; ends < 2; ends++) {
        struct zcb_audio_sink *sink = must_sink(pool, NULL);
        struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
        uint64_t sent = 0;
        int fd;

        if (ends != 0)
            zcb_audio_sink_end(sink);
        else
            must_deliver(sink, 480, NULL, &sent);
        fd = zcb_audio_consumer_fd(consumer);
        assert_true(fd == -ENOTSUP || polls_readable(fd));
        zcb_audio_consumer_close(&consumer);
        zcb_audio_sink_destroy(&sink);
    }
}

// The place of one who has closed, with all that he had, is the next one's.
static void
a_descriptor_is_closed_with_its_consumer_and_the_next_one_begins_anew(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    int lowest = dup(0), again;
    uint64_t sent = 0;

    (void)state;
    close(lowest);
    for (int i = 0; i < 3; i++) {
        struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
        int fd = zcb_audio_consumer_fd(consumer);

        if (fd != -ENOTSUP) {
            assert_false(polls_readable(fd));
            must_deliver(sink, 480, NULL, &sent);
            assert_int_equal(zcb_audio_sink_service(sink), 0);
            assert_true(polls_readable(fd));
        }
        zcb_audio_consumer_close(&consumer);
        again = dup(0);
        close(again);
        assert_int_equal(again, lowest);
    }
    zcb_audio_sink_destroy(&sink);
}

static void
a_descriptor_tells_what_service_saw(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    int fd = zcb_audio_consumer_fd(consumer);
    uint64_t sent = 0;

    (void)state;
    if (fd == -ENOTSUP) {
        zcb_audio_consumer_close(&consumer);
        zcb_audio_sink_destroy(&sink);
        skip();
    }
    assert_true(fd >= 0);
    assert_int_equal(zcb_audio_consumer_fd(consumer), fd);
    assert_false(polls_readable(fd));
    must_deliver(sink, 960, NULL, &sent);
    assert_false(polls_readable(fd)); // the capture thread makes no system call
    assert_int_equal(zcb_audio_sink_service(sink), 0);
    assert_true(polls_readable(fd));
    (void)must_read_first(consumer);
    assert_true(polls_readable(fd));
    (void)must_read_first(consumer);
    assert_true(has_nothing(consumer));
    assert_false(polls_readable(fd));
    assert_int_equal(zcb_audio_sink_service(sink), 0);
    assert_false(polls_readable(fd));
    zcb_audio_sink_end(sink);
    assert_int_equal(zcb_audio_sink_service(sink), 0);
    assert_true(polls_readable(fd));
    zcb_audio_sink_destroy(&sink);
    assert_true(polls_readable(fd));
    zcb_audio_consumer_close(&consumer);
}

// ---- statistics, memory

static void
statistics_fit_the_size_that_the_caller_knows(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_sink_stats stats;
    struct zcb_audio_consumer_stats mine;
    uint64_t room[2 + sizeof(stats) / 8], sent = 0;

    (void)state;
    must_deliver(sink, 480, NULL, &sent);
    memset(room, 0xee, sizeof(room));
    assert_int_equal(zcb_audio_sink_stats(sink, (void *)room, 24), 0);
    assert_int_equal(room[1], 480);
    assert_int_equal(room[2], 1);
    assert_int_equal(room[3], UINT64_C(0xeeeeeeeeeeeeeeee));
    assert_int_equal(zcb_audio_sink_stats(sink, (void *)room, sizeof(room)), 0);
    assert_int_equal(room[1 + sizeof(stats) / 8], 0);
    assert_int_equal(zcb_audio_sink_stats(sink, &stats, 0), -EINVAL);
    assert_int_equal(zcb_audio_sink_stats(sink, NULL, 8), -EINVAL);
    assert_int_equal(zcb_audio_sink_stats(NULL, &stats, 8), -EINVAL);
    assert_int_equal(zcb_audio_consumer_stats(consumer, &mine, 0), -EINVAL);
    assert_int_equal(zcb_audio_consumer_stats(consumer, NULL, 8), -EINVAL);
    assert_int_equal(zcb_audio_consumer_stats(NULL, &mine, 8), -EINVAL);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

static void
a_sink_that_finds_no_memory_leaves_nothing_behind(void **state)
{
    struct zcb_audio_sink *sink = NULL;
    int64_t live = zcb_alloc_live();
    int result = -ENOMEM;
    uint64_t n = 0;

    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    zcb_audio_sink_destroy(&sink);
    while (result != 0) {
        live = zcb_alloc_live();
        zcb_alloc_fail(++n, false);
        result = zcb_audio_sink_create(pool, &audio_stereo, NULL, &sink);
        zcb_alloc_fail(0, false);
        if (result == 0)
            break;
        assert_int_equal(result, -ENOMEM);
        assert_null(sink);
        assert_int_equal(zcb_alloc_live(), live);
        assert_int_equal(must_stats(pool).total.live, 0);
        assert_true(n < 100);
    }
    assert_true(n > 10); // the sink, its arrays, a queue for each consumer
    zcb_audio_sink_destroy(&sink);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_config_out_of_bounds_is_refused),
        TEST(misuse_of_a_span_is_refused_and_changes_nothing),
        TEST(deliveries_of_any_length_become_packets_of_one_without_a_copy),
        TEST(the_end_cuts_a_packet_short_and_is_told_once_all_was_read),
        TEST(a_commit_is_a_packet_where_that_is_wished),
        TEST(planes_are_written_apart_and_what_a_device_has_in_its_own_memory_is_copied_once),
        TEST(silence_that_the_device_announces_need_not_be_written),
        TEST(every_policy_at_exhaustion_keeps_what_it_says),
        TEST(each_consumer_lags_by_its_own_policy),
        TEST(consumers_come_and_go),
        TEST(the_oldest_is_what_waits_longest_anywhere),
        TEST(a_gap_is_flagged_for_those_too_who_come_after_it),
        TEST(what_came_into_a_queue_while_it_was_closed_is_taken_out_again),
        TEST(a_span_that_was_not_committed_leaves_nothing_behind),
        TEST(thirty_thousand_packets_need_ten_buffers),
        TEST(service_prepares_for_a_peak_and_gives_back_after_it),
        TEST(packets_outlive_their_sink_and_consumers_read_what_is_left),
        TEST(a_packet_that_nobody_else_sees_can_be_written_in_place),
        TEST(a_read_in_vain_says_so_after_its_time),
        TEST(a_descriptor_that_is_made_late_tells_what_waits_already),
        TEST(a_descriptor_is_closed_with_its_consumer_and_the_next_one_begins_anew),
        TEST(a_descriptor_tells_what_service_saw),
        TEST(statistics_fit_the_size_that_the_caller_knows),
        TEST(a_sink_that_finds_no_memory_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
