// SPDX-License-Identifier: MIT
// The sink in corners: mixed stamps, streams that repeat themselves, buffers that went for good,
// orders of ending that a program may choose.

#include "testing.h"

#include "audio_testing.h"

#if defined(__GLIBC__)
#include <malloc.h>
#include <sys/resource.h>
#endif

#include "adapt/audio.h"

static struct zcb_pool *pool;

static int
set_up(void **state)
{
    (void)state;
    pool = must_create(NULL);
    return 0;
}

static int
tear_down(void **state)
{
    bool all_back = pool == NULL || must_stats(pool).total.live == 0;

    (void)state;
    zcb_pool_destroy(&pool);
    return all_back ? 0 : -1;
}

// ---- stamps

static void
silence_ends_with_the_delivery_that_it_was_announced_for(void **state)
{
    static const uint64_t frames[480] = {1, 2, 3};
    const void *planes[] = {frames};
    struct zcb_audio_stamp silent = {.flags = ZCB_AUDIO_SILENCE};
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_packet packet;

    (void)state;
    assert_int_equal(zcb_audio_sink_write(sink, NULL, 700 * 8, &silent), 1);
    assert_int_equal(zcb_audio_sink_write(sink, planes, 260 * 8, NULL), 1);
    assert_int_equal(zcb_audio_sink_write(sink, planes, sizeof(frames), NULL), 1);
    packet = must_read(consumer);
    assert_int_equal(packet.flags, ZCB_AUDIO_SILENCE);
    zcb_audio_packet_unref(&packet);
    for (uint32_t n = 0; n < 2; n++) {
        assert_int_equal(zcb_audio_consumer_read(consumer, 0, &packet), 1);
        assert_int_equal(packet.flags, 0);
        assert_int_equal(audio_frame(&packet, n == 0 ? 220 : 0), 1);
        zcb_audio_packet_unref(&packet);
    }
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

static void
the_first_time_that_a_device_tells_breaks_a_stream_that_had_none(void **state)
{
    struct zcb_audio_stamp stamp = {.flags = ZCB_AUDIO_HAS_PTS, .pts_frames = 100000};
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_packet packet;
    uint64_t sent = 0;

    (void)state;
    must_deliver(sink, 300, NULL, &sent);
    must_deliver(sink, 480, &stamp, &sent);
    packet = must_read(consumer);
    assert_int_equal(packet.pts_frames, 0);
    assert_int_equal(packet.frames, 300);
    zcb_audio_packet_unref(&packet);
    packet = must_read(consumer);
    assert_int_equal(packet.pts_frames, 100000);
    assert_int_equal(audio_frame(&packet, 0), 300);
    assert_int_equal(packet.flags, ZCB_AUDIO_DISCONTINUITY);
    zcb_audio_packet_unref(&packet);
    assert_int_equal(must_sink_stats(sink).jumps, 0);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

static void
samples_are_no_numbers_to_a_sink(void **state)
{
    static const uint32_t odd[] = {0x7fa00001, 0xffc12345, 0x7f800000, 0xff800001, 0x80000000, 1};
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_packet packet;
    const void *planes[] = {odd};

    (void)state;
    assert_int_equal(zcb_audio_sink_write(sink, planes, sizeof(odd), NULL), 0);
    zcb_audio_sink_flush(sink);
    assert_int_equal(zcb_audio_consumer_read(consumer, 0, &packet), 1);
    assert_memory_equal(packet.bytes.data, odd, sizeof(odd)); // signalling and quiet NaN, ...
    zcb_audio_packet_unref(&packet);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

// ---- gaps

// A device that plays a loop: 3 packets, and its time begins anew.
static void
a_gap_is_flagged_though_the_time_behind_it_happens_to_fit(void **state)
{
    static const enum zcb_audio_lag lags[] = {ZCB_AUDIO_LAG_DROP_OLDEST, ZCB_AUDIO_LAG_SKIP,
                                              ZCB_AUDIO_LAG_HOLD};

    (void)state;
    for (size_t i = 0; i < sizeof(lags) / sizeof(lags[0]); i++) {
        struct zcb_audio_sink_config config = {.max_gap_frames = 480};
        struct zcb_audio_stamp stamp = {.flags = ZCB_AUDIO_HAS_PTS};
        struct zcb_audio_sink *sink = must_sink(pool, &config);
        struct zcb_audio_consumer *consumer = must_listen(sink, lags[i], 1);
        struct zcb_audio_packet packet;
        uint64_t sent = 0;

        must_deliver(sink, 480, &stamp, &sent);
        assert_int_equal(must_read_first(consumer), 0);
        for (uint64_t n = 1; n <= 4; n++) {
            stamp.pts_frames = n % 3 * 480;
            if (n == 4 && lags[i] == ZCB_AUDIO_LAG_HOLD) // which has kept 1, and missed 2 and 3
                assert_int_equal(must_read_first(consumer), 480);
            must_deliver(sink, 480, &stamp, &sent);
        }
        if (lags[i] == ZCB_AUDIO_LAG_HOLD) { // the next that fits: 2 again
            assert_int_equal(zcb_audio_consumer_read(consumer, 0, &packet), 1);
            zcb_audio_packet_unref(&packet);
            stamp.pts_frames = 2 * 480;
            must_deliver(sink, 480, &stamp, &sent);
            assert_int_equal(must_read_first(consumer), 5 * 480);
            assert_int_equal(must_consumer_stats(consumer).discontinuities, 1);
        } else {
            packet = must_read(consumer);
            assert_int_equal(audio_frame(&packet, 0), 4 * 480);
            assert_int_equal(packet.pts_frames, 480);
            assert_int_equal(packet.flags, ZCB_AUDIO_DISCONTINUITY);
            zcb_audio_packet_unref(&packet);
            assert_int_equal(must_consumer_stats(consumer).discontinuities, 1);
        }
        zcb_audio_consumer_close(&consumer);
        zcb_audio_sink_destroy(&sink);
    }
}

// ---- buffers

static void
a_buffer_that_the_policy_had_to_make_free_is_no_hit(void **state)
{
    struct zcb_audio_sink_config config = {
        .buffers = 4, .max_buffers = 4, .full = ZCB_AUDIO_DROP_OLDEST};
    struct zcb_audio_sink *sink = must_sink(pool, &config);
    struct zcb_audio_consumer *consumer;
    struct zcb_audio_sink_stats stats;
    uint64_t sent = 0;

    (void)state;
    assert_true(must_sink_stats(sink).hit_rate == 0);
    must_deliver(sink, 2 * 480, NULL, &sent);
    assert_true(must_sink_stats(sink).hit_rate == 1); // prepared: that it is new costs nothing
    consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 64);
    must_deliver(sink, 10 * 480, NULL, &sent);
    stats = must_sink_stats(sink);
    assert_int_equal(stats.acquires, 12);
    assert_int_equal(stats.misses, 6);
    assert_true(stats.hit_rate == 0.5);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

// A program that reads nothing where it is told that it may forget it, and commits nothing.
static void
a_dropped_span_that_is_not_committed_is_not_for_ever(void **state)
{
    struct zcb_audio_sink_config config = {.buffers = 1, .max_buffers = 1};
    struct zcb_audio_sink *sink = must_sink(pool, &config);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_packet packet;
    struct zcb_audio_span span;
    uint64_t sent = 0;

    (void)state;
    must_deliver(sink, 480, NULL, &sent);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(zcb_audio_sink_begin(sink, 480, NULL, &span), 0);
        assert_true(span.dropped);
    }
    assert_int_equal(must_read_first(consumer), 0);
    must_deliver(sink, 480, NULL, &sent);
    packet = must_read(consumer);
    assert_int_equal(packet.flags, ZCB_AUDIO_DISCONTINUITY);
    zcb_audio_packet_unref(&packet);
    assert_int_equal(must_sink_stats(sink).drops_newest, 3);
    assert_int_equal(must_sink_stats(sink).dropped_frames, 0); // none was committed
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

// service() may wish for one more while the capture thread is about to hand the last one out.
static void
service_makes_up_for_buffers_that_went_back_once_too_often(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    uint64_t sent = 0;

    (void)state;
    for (int i = 0; i < 3; i++) {
        sink->retire_wish = 1;
        must_deliver(sink, 480, NULL, &sent);
    }
    assert_int_equal(zcb_audio_sink_service(sink), 3);
    assert_int_equal(must_sink_stats(sink).retired, 3);
    assert_int_equal(must_sink_stats(sink).buffers, 10);
    zcb_audio_sink_destroy(&sink);
}

static void
capture_meets_no_page_of_a_queue_that_is_not_there_yet(void **state)
{
#if defined(__GLIBC__) && defined(RUSAGE_THREAD)
    enum { CONSUMERS = 64 };
    struct zcb_audio_sink_config config = {.packet_frames = 1,
                                           .buffers = 4096,
                                           .max_buffers = 4096,
                                           .max_consumers = CONSUMERS,
                                           .max_depth = 1024};
    struct zcb_audio_sink *sink;
    struct zcb_audio_consumer *consumer[CONSUMERS];
    struct rusage before, after;
    uint64_t sent = 0;

    (void)state;
    if (ZCB_UNDER_ASAN || ZCB_UNDER_TSAN)
        skip(); // their shadow has pages of its own
    // What is allocated from now on comes from the system, as zeros that no page holds yet. (What
    // other tests had would be there already.)
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 4096), 1);
    sink = must_sink(pool, &config);
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 128 * 1024), 1);
    for (size_t i = 0; i < CONSUMERS; i++)
        consumer[i] = must_listen(sink, ZCB_AUDIO_LAG_DROP_OLDEST, 1024);
    assert_int_equal(zcb_audio_sink_warm(sink), 0);
    must_deliver(sink, 1, NULL, &sent);
    getrusage(RUSAGE_THREAD, &before);
    must_deliver(sink, 1500, NULL, &sent);
    getrusage(RUSAGE_THREAD, &after);
    for (size_t i = 0; i < CONSUMERS; i++)
        zcb_audio_consumer_close(&consumer[i]);
    zcb_audio_sink_destroy(&sink);
    // The queues have 128 pages. The system may take a page away of its own accord.
    print_message("%ld faults\n", after.ru_minflt - before.ru_minflt);
    assert_true(after.ru_minflt - before.ru_minflt < 10);
#else
    (void)state;
    skip();
#endif
}

static void
a_pool_that_has_no_more_is_told_and_the_sink_goes_on(void **state)
{
    const struct zcb_pool_config few = {.tiers = {{.buffer_size = 4096, .max_buffers = 6}},
                                        .policy = ZCB_POOL_FAIL};
    struct zcb_audio_sink_config config = {.buffers = 4, .spare = 3};
    struct zcb_pool *small = must_create(&few);
    struct zcb_audio_sink *sink = must_sink(small, &config);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    uint64_t sent = 0;

    (void)state;
    must_deliver(sink, 4 * 480, NULL, &sent);
    assert_int_equal(zcb_audio_sink_service(sink), -ENOBUFS); // one more it has, but not three
    assert_int_equal(must_sink_stats(sink).prepared, 5);
    assert_int_equal(must_deliver(sink, 480, NULL, &sent), 1);
    assert_int_equal(zcb_audio_sink_service(sink), -ENOBUFS);
    for (uint64_t n = 0; n < 5; n++)
        assert_int_equal(must_read_first(consumer), n * 480);
    assert_int_equal(zcb_audio_sink_service(sink), 0);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
    config.buffers = 6; // and one for what is dropped
    assert_int_equal(zcb_audio_sink_create(small, &audio_stereo, &config, &sink), -ENOBUFS);
    assert_null(sink);
    must_end(&small);
}

static void
what_is_not_configured_is_as_stated(void **state)
{
    static const struct {
        uint32_t rate, buffers, frames, spare, most;
    } table[] = {
        {48000, 0, 480, 2, 40}, {44100, 16, 441, 4, 64}, {99, 4, 1, 2, 16},
        {100, 1, 1, 2, 4},      {1, 9, 1, 2, 36},        {1536000, 8, 15360, 2, 32},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct zcb_audio_format mono = {table[i].rate, 1, ZCB_AUDIO_S16, 0};
        struct zcb_audio_sink_config config = {.buffers = table[i].buffers, .max_depth = 100};
        struct zcb_audio_consumer *consumer;
        struct zcb_audio_packet packet;
        struct zcb_audio_sink *sink;
        struct zcb_audio_span span;

        assert_int_equal(zcb_audio_sink_create(pool, &mono, &config, &sink), 0);
        consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 100);
        for (uint32_t n = 1; n <= table[i].most; n++) {
            assert_int_equal(zcb_audio_sink_begin(sink, 1u << 24, NULL, &span), 0);
            assert_int_equal(span.frames, table[i].frames);
            assert_false(span.dropped);
            assert_int_equal(zcb_audio_sink_commit(sink, span.frames), 1);
            assert_true(zcb_audio_sink_service(sink) >= 0);
            if (n + table[i].spare > (table[i].buffers != 0 ? table[i].buffers : 10) &&
                n + table[i].spare < table[i].most)
                assert_int_equal(must_sink_stats(sink).buffers, n + table[i].spare);
        }
        assert_int_equal(must_sink_stats(sink).buffers, table[i].most);
        while (zcb_audio_consumer_read(consumer, 0, &packet) == 1)
            zcb_audio_packet_unref(&packet);
        zcb_audio_consumer_close(&consumer);
        zcb_audio_sink_destroy(&sink);
    }
}

// ---- ends

static void
packets_outlive_the_sink_and_then_the_pool(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    struct zcb_audio_packet packet, slice;
    uint64_t sent = 0;

    (void)state;
    must_deliver(sink, 960, NULL, &sent);
    packet = must_read(consumer);
    assert_int_equal(zcb_audio_packet_slice(&packet, 100, 10, &slice), 0);
    zcb_audio_packet_unref(&packet);
    zcb_audio_sink_destroy(&sink);
    zcb_pool_destroy(&pool);
    packet = must_read(consumer);
    assert_int_equal(audio_frame(&packet, 479), 959);
    zcb_audio_packet_unref(&packet);
    zcb_audio_consumer_close(&consumer);
    assert_int_equal(audio_frame(&slice, 9), 109);
    zcb_audio_packet_unref(&slice);
}

static void
a_consumer_of_a_stream_that_has_ended_reads_its_end(void **state)
{
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct zcb_audio_consumer *consumer;
    struct zcb_audio_packet packet;
    uint64_t sent = 0;

    (void)state;
    must_deliver(sink, 960, NULL, &sent);
    zcb_audio_sink_end(sink);
    consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
    assert_int_equal(zcb_audio_consumer_read(consumer, UINT32_MAX, &packet), 0);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(capture_meets_no_page_of_a_queue_that_is_not_there_yet),
        TEST(silence_ends_with_the_delivery_that_it_was_announced_for),
        TEST(the_first_time_that_a_device_tells_breaks_a_stream_that_had_none),
        TEST(samples_are_no_numbers_to_a_sink),
        TEST(a_gap_is_flagged_though_the_time_behind_it_happens_to_fit),
        TEST(a_buffer_that_the_policy_had_to_make_free_is_no_hit),
        TEST(a_dropped_span_that_is_not_committed_is_not_for_ever),
        TEST(service_makes_up_for_buffers_that_went_back_once_too_often),
        TEST(a_pool_that_has_no_more_is_told_and_the_sink_goes_on),
        TEST(what_is_not_configured_is_as_stated),
        TEST(packets_outlive_the_sink_and_then_the_pool),
        TEST(a_consumer_of_a_stream_that_has_ended_reads_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
