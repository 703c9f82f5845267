// SPDX-License-Identifier: MIT
//
// One capture thread, consumers of every kind, some slow, some that come and go, and a helper: what
// each reads is whole and in order, every gap is flagged, and the capture thread never waits.

#include "testing.h"

#include "unit/audio_testing.h"

#include <pthread.h>
#include <signal.h>

#include "adapt/audio.h"

enum { PACKETS = 8000, KINDS = 3 };

struct stage {
    struct zcb_audio_sink *sink;
    int ready, ended; // atomic
};

struct part {
    struct stage *stage;
    enum zcb_audio_lag lag;
    uint32_t every_us; // of sleep after each packet; 0: none
    bool comes_and_goes;
    uint64_t read;
    pthread_t thread;
};

// A packet is what the capture thread wrote, all of it. Returns its first frame's number.
static uint64_t
must_be_whole(const struct zcb_audio_packet *packet)
{
    uint64_t first = audio_frame(packet, 0);

    CHECK(packet->frames == 48 && packet->bytes.len == 48 * 8);
    CHECK(packet->pts_frames == first && first % 48 == 0);
    for (uint32_t i = 0; i < packet->frames; i++)
        CHECK(audio_frame(packet, i) == first + i);
    return first;
}

static void
listen_once(struct part *part, uint32_t most)
{
    struct zcb_audio_consumer *consumer = must_listen(part->stage->sink, part->lag, 8);
    struct zcb_audio_packet held = {0}, packet;
    uint64_t next = 0, here = 0, flagged = 0;
    int result = 1;

    __atomic_fetch_add(&part->stage->ready, 1, __ATOMIC_SEQ_CST);
    while (here < most && (result = zcb_audio_consumer_read(consumer, 20, &packet)) != 0) {
        uint64_t first;

        if (result == -ETIMEDOUT)
            continue;
        CHECK(result == 1);
        first = must_be_whole(&packet);
        if (here != 0) {
            CHECK(first >= next);
            CHECK((packet.flags & ZCB_AUDIO_DISCONTINUITY) != 0 || first == next);
        }
        flagged += (packet.flags & ZCB_AUDIO_DISCONTINUITY) != 0;
        next = first + packet.frames;
        here++;
        if (part->every_us != 0)
            usleep(part->every_us);
        CHECK(must_be_whole(&packet) == first); // nobody wrote to it meanwhile
        zcb_audio_packet_unref(&held);
        held = packet;
    }
    if (result == 0)
        CHECK(must_consumer_stats(consumer).delivered == here &&
              must_consumer_stats(consumer).discontinuities == flagged);
    zcb_audio_consumer_close(&consumer);
    if (held.bytes.owner != NULL)
        (void)must_be_whole(&held);
    zcb_audio_packet_unref(&held);
    part->read += here;
}

static void *
play(void *arg)
{
    struct part *part = arg;

    if (!part->comes_and_goes)
        listen_once(part, UINT32_MAX);
    else
        while (__atomic_load_n(&part->stage->ended, __ATOMIC_SEQ_CST) == 0)
            listen_once(part, 5);
    return NULL;
}

static void *
look_at_statistics(void *arg)
{
    struct stage *stage = arg;
    struct zcb_audio_sink_stats stats;

    while (__atomic_load_n(&stage->ended, __ATOMIC_SEQ_CST) == 0) {
        CHECK(zcb_audio_sink_stats(stage->sink, &stats, sizeof(stats)) == 0);
        CHECK(stats.buffers >= 10 && stats.buffers <= 24);
        CHECK(stats.peak_in_use <= stats.buffers + 14);
        usleep(200);
    }
    return NULL;
}

static void
run(enum zcb_audio_full full, uint32_t helper_ms)
{
    struct zcb_audio_sink_config config = {.packet_frames = 48,
                                           .max_buffers = 24,
                                           .full = full,
                                           .max_consumers = 12,
                                           .helper_ms = helper_ms};
    struct zcb_pool *pool = must_create(NULL);
    struct stage stage = {.sink = must_sink(pool, &config)};
    struct part part[3 * KINDS] = {0};
    struct zcb_audio_sink_stats stats;
    uint64_t number = 0;
    pthread_t watcher;

    for (int i = 0; i < 3 * KINDS; i++) {
        part[i] = (struct part){.stage = &stage,
                                .lag = (enum zcb_audio_lag)(i % KINDS),
                                .every_us = i < KINDS ? 0 : 300,
                                .comes_and_goes = i >= 2 * KINDS};
        CHECK(pthread_create(&part[i].thread, NULL, play, &part[i]) == 0);
    }
    CHECK(pthread_create(&watcher, NULL, look_at_statistics, &stage) == 0);
    while (__atomic_load_n(&stage.ready, __ATOMIC_SEQ_CST) < 3 * KINDS)
        usleep(100);
    CHECK(zcb_audio_sink_warm(stage.sink) == 0);
    for (uint32_t n = 0; n < PACKETS / 4; n++) {
        must_deliver(stage.sink, 4 * 48, NULL, &number);
        if (n % 4 == 0)
            usleep(100);
        if (helper_ms == 0 && n % 16 == 0)
            CHECK(zcb_audio_sink_service(stage.sink) >= 0);
    }
    stats = must_sink_stats(stage.sink);
    CHECK(stats.packets + stats.drops_newest == PACKETS);
    __atomic_store_n(&stage.ended, 1, __ATOMIC_SEQ_CST);
    pthread_join(watcher, NULL);
    zcb_audio_sink_end(stage.sink);
    for (int i = 2 * KINDS; i < 3 * KINDS; i++) // these open a sink, which has to be there
        pthread_join(part[i].thread, NULL);
    zcb_audio_sink_destroy(&stage.sink); // the others read what is left
    for (int i = 0; i < 2 * KINDS; i++)
        pthread_join(part[i].thread, NULL);
    for (int i = 0; i < 3 * KINDS; i++)
        CHECK(part[i].read > 0);
    must_end(&pool);
}

static void
every_consumer_reads_whole_packets_in_order_beside_slow_ones(void **state)
{
    (void)state;
    for (int full = ZCB_AUDIO_DROP_NEWEST; full <= ZCB_AUDIO_OVERWRITE; full++) {
        run((enum zcb_audio_full)full, 0);
        run((enum zcb_audio_full)full, 1);
    }
}

// ---- waking

struct sleeper {
    struct zcb_audio_consumer *consumer;
    uint32_t timeout_ms;
    int result;
    pthread_t thread;
};

static void *
sleep_for_one(void *arg)
{
    struct sleeper *sleeper = arg;
    struct zcb_audio_packet packet = {0};

    sleeper->result = zcb_audio_consumer_read(sleeper->consumer, sleeper->timeout_ms, &packet);
    zcb_audio_packet_unref(&packet);
    return NULL;
}

static void
who_sleeps_is_woken_by_the_helper_and_by_the_end(void **state)
{
    struct zcb_audio_sink_config config = {.helper_ms = 1};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_sink *sink = must_sink(pool, &config);
    struct sleeper sleeper = {.consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0),
                              .timeout_ms = UINT32_MAX};
    uint64_t number = 0;

    (void)state;
    CHECK(pthread_create(&sleeper.thread, NULL, sleep_for_one, &sleeper) == 0);
    usleep(20000);
    must_deliver(sink, 480, NULL, &number);
    pthread_join(sleeper.thread, NULL);
    assert_int_equal(sleeper.result, 1);

    CHECK(pthread_create(&sleeper.thread, NULL, sleep_for_one, &sleeper) == 0);
    usleep(20000);
    zcb_audio_sink_destroy(&sink);
    pthread_join(sleeper.thread, NULL);
    assert_int_equal(sleeper.result, 0);
    zcb_audio_consumer_close(&sleeper.consumer);
    must_end(&pool);
}

static void
who_sleeps_without_a_helper_looks_by_itself(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_sink *sink = must_sink(pool, NULL);
    struct sleeper sleeper = {.consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0),
                              .timeout_ms = 60000};
    uint64_t number = 0;

    (void)state;
    CHECK(pthread_create(&sleeper.thread, NULL, sleep_for_one, &sleeper) == 0);
    usleep(20000);
    must_deliver(sink, 480, NULL, &number);
    pthread_join(sleeper.thread, NULL);
    assert_int_equal(sleeper.result, 1);
    zcb_audio_consumer_close(&sleeper.consumer);
    zcb_audio_sink_destroy(&sink);
    must_end(&pool);
}

static int signals; // atomic

static void
count_signal(int number)
{
    (void)number;
    __atomic_fetch_add(&signals, 1, __ATOMIC_SEQ_CST);
}

static void
the_helper_takes_none_of_the_programs_signals(void **state)
{
    struct zcb_audio_sink_config config = {.helper_ms = 1};
    struct sigaction counts = {.sa_handler = count_signal}, before;
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_sink *sink = must_sink(pool, &config);
    sigset_t usr1;

    (void)state;
    CHECK(sigaction(SIGUSR1, &counts, &before) == 0);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    usleep(50000); // whoever would take it has taken it
    assert_int_equal(__atomic_load_n(&signals, __ATOMIC_SEQ_CST), 0);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    assert_int_equal(__atomic_load_n(&signals, __ATOMIC_SEQ_CST), 1);
    CHECK(sigaction(SIGUSR1, &before, NULL) == 0);
    zcb_audio_sink_destroy(&sink);
    must_end(&pool);
}

// ---- a place in use again

struct opener {
    struct zcb_audio_sink *sink;
    struct zcb_audio_consumer *consumer;
    int opened; // atomic
};

static void *
open_one(void *arg)
{
    struct opener *opener = arg;

    opener->consumer = must_listen(opener->sink, ZCB_AUDIO_LAG_HOLD, 0);
    __atomic_store_n(&opener->opened, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

// Else the next consumer would find, and count, what was meant for the one before.
static void
a_place_is_not_used_again_while_the_capture_thread_may_still_put_something_there(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct opener opener = {.sink = must_sink(pool, NULL)};
    uint64_t number = 0;
    pthread_t thread;

    (void)state;
    __atomic_fetch_add(&opener.sink->publishing, 1, __ATOMIC_SEQ_CST);
    CHECK(pthread_create(&thread, NULL, open_one, &opener) == 0);
    usleep(30000);
    CHECK(__atomic_load_n(&opener.opened, __ATOMIC_SEQ_CST) == 0);
    __atomic_fetch_add(&opener.sink->publishing, 1, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    must_deliver(opener.sink, 480, NULL, &number);
    CHECK(must_consumer_stats(opener.consumer).offered == 1);
    zcb_audio_consumer_close(&opener.consumer);
    zcb_audio_sink_destroy(&opener.sink);
    must_end(&pool);
}

// ---- the last packet

static void *
drop(void *arg)
{
    zcb_audio_packet_unref(arg);
    return NULL;
}

static void
the_last_packets_come_back_on_several_threads_while_the_sink_goes(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct zcb_pool *pool = must_create(NULL);
        struct zcb_audio_sink *sink = must_sink(pool, NULL);
        struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
        struct zcb_audio_packet packet[4];
        pthread_t thread[4];
        uint64_t number = 0;

        must_deliver(sink, 4 * 480, NULL, &number);
        for (int i = 0; i < 4; i++)
            packet[i] = must_read(consumer);
        for (int i = 0; i < 4; i++)
            CHECK(pthread_create(&thread[i], NULL, drop, &packet[i]) == 0);
        zcb_audio_consumer_close(&consumer);
        zcb_audio_sink_destroy(&sink);
        for (int i = 0; i < 4; i++)
            pthread_join(thread[i], NULL);
        must_end(&pool);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_consumer_reads_whole_packets_in_order_beside_slow_ones),
        cmocka_unit_test(who_sleeps_is_woken_by_the_helper_and_by_the_end),
        cmocka_unit_test(who_sleeps_without_a_helper_looks_by_itself),
        cmocka_unit_test(the_helper_takes_none_of_the_programs_signals),
        cmocka_unit_test(
            a_place_is_not_used_again_while_the_capture_thread_may_still_put_something_there),
        cmocka_unit_test(the_last_packets_come_back_on_several_threads_while_the_sink_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
