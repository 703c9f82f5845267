// SPDX-License-Identifier: MIT
//
// The capture thread's calls make no system call, call no allocator, and wait for no lock. Proved by
// a filter that traps every system call of that thread, while other threads read, service, and hold
// every lock that the sink and its pool have.

#include "testing.h"

#include "audio_testing.h"

#include <pthread.h>

#include "support/alloc_count.h"

#if defined(__linux__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "adapt/audio.h"

enum { PACKETS = 3000, READERS = 3 };

#if defined(__linux__) && defined(PR_SET_SECCOMP) && defined(SECCOMP_RET_TRAP)

// From now on any system call of this thread but the end of the process is its death by SIGSYS.
static void
trap_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
}

static void
make_a_call(void *arg)
{
    (void)arg;
    trap_system_calls();
    (void)syscall(__NR_getppid);
    _exit(0);
}

static bool
can_trap(void)
{
    struct child child = child_run(make_a_call, NULL);

    if (WIFEXITED(child.status) && WEXITSTATUS(child.status) == 77)
        return false;
    assert_true(child_died_of(&child, SIGSYS)); // the trap itself works
    return true;
}

// AddressSanitizer makes a call of its own in front of a function that does not return.
static void
end_process(void)
{
    (void)syscall(__NR_exit_group, 0);
}

#else

static void
trap_system_calls(void)
{
}

static void
end_process(void)
{
}

static bool
can_trap(void)
{
    return false;
}

#endif

struct scene {
    enum zcb_audio_full full;
    uint32_t flags;
    bool locked; // somebody holds all locks: no readers, no helper
    struct zcb_pool *pool;
    struct zcb_audio_sink *sink;
    int holds, done; // atomic
};

static void *
reader(void *arg)
{
    struct scene *scene = arg;
    struct zcb_audio_consumer *consumer = must_listen(scene->sink, ZCB_AUDIO_LAG_SKIP, 4);
    struct zcb_audio_packet packet;
    int result;

    __atomic_fetch_add(&scene->holds, 1, __ATOMIC_SEQ_CST);
    while ((result = zcb_audio_consumer_read(consumer, 50, &packet)) != 0)
        if (result > 0)
            zcb_audio_packet_unref(&packet);
    zcb_audio_consumer_close(&consumer);
    __atomic_fetch_add(&scene->done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

// Runs under the pool's lock, and never ends.
static int
purge_for_ever(void *ctx, void *ptr, size_t len, bool now)
{
    struct scene *scene = ctx;

    (void)ptr, (void)len, (void)now;
    __atomic_store_n(&scene->holds, 1, __ATOMIC_SEQ_CST);
    for (;;)
        pause();
    return 0;
}

static void *
holder(void *arg)
{
    struct scene *scene = arg;

    pthread_mutex_lock(&scene->sink->lock);
    for (uint32_t i = 0; i < scene->sink->max_consumers; i++)
        pthread_mutex_lock(&scene->sink->consumers[i].lock);
    (void)zcb_pool_trim(scene->pool, 0);
    CHECK(!"purge does not run");
    return NULL;
}

// Every way through the capture thread's calls: the policy at exhaustion, each consumer's at a full
// queue, gaps to conceal, what is dropped, breaks, silence, a buffer handed back.
static void
must_have_seen_it_all(const struct scene *scene)
{
    struct zcb_audio_sink_stats stats = must_sink_stats(scene->sink);
    const uint64_t given_up[] = {stats.drops_newest, stats.drops_oldest, stats.overwritten};

    CHECK(stats.misses > 0 && given_up[scene->full] > 0);
    CHECK(stats.recycled > 0 || scene->full == ZCB_AUDIO_DROP_NEWEST);
    CHECK(stats.concealed_frames > 0 && stats.lost_frames > stats.concealed_frames);
    CHECK(stats.duplicates > 0 && stats.reordered > 0 && stats.jumps > 0);
    CHECK(stats.clock_stops > 0 && stats.backwards > 0 && stats.late_wakeups > 0);
    for (uint32_t i = 0; i < 3; i++) {
        const struct zcb_audio_consumer_stats *queue = &scene->sink->consumers[i].now;

        CHECK((i == ZCB_AUDIO_LAG_HOLD ? queue->refused : queue->dropped_oldest) > 0);
    }
    CHECK(scene->sink->retired != NULL);
}

// The n-th, in order but for a few.
static struct zcb_audio_stamp
stamp_of(uint32_t n)
{
    struct zcb_audio_stamp stamp = {.flags = ZCB_AUDIO_HAS_PTS | ZCB_AUDIO_HAS_SEQUENCE,
                                    .sequence = n,
                                    .pts_frames = n * 480ul + n / 100 * 700,
                                    .now_ns = n * UINT64_C(10000000)};

    stamp.sequence -= n % 50 == 20 ? 1 : n % 50 == 21 ? 200 : n % 50 == 40 ? 3 : 0;
    stamp.sequence += n % 50 == 30 ? 2 : 0; // so that 31 and 32 are late
    stamp.pts_frames -= n % 90 == 1 ? 480 : n % 90 == 2 ? 3000 : 0;
    stamp.pts_frames += n % 400 == 33 ? 2000 : n % 700 == 34 ? 1000000 : 0;
    stamp.now_ns += n % 60 == 0 ? 25000000 : 0;
    stamp.flags |= n % 11 == 5 ? ZCB_AUDIO_SILENCE : n % 13 == 5 ? ZCB_AUDIO_DISCONTINUITY : 0;
    return stamp;
}

static void
capture(void *arg)
{
    static const struct zcb_audio_format planar = {48000, 2, ZCB_AUDIO_F64, 1};
    struct scene *scene = arg;
    // HOLD keeps two, DROP_OLDEST four more: all, once one has been handed back.
    struct zcb_audio_sink_config config = {.buffers = 7,
                                           .max_buffers = scene->locked ? 7 : 9,
                                           .full = scene->full,
                                           .flags = scene->flags,
                                           .conceal_frames = 1000,
                                           .helper_ms = scene->locked ? 0 : 1};
    static const uint8_t delivery[256 * 8];
    const void *planes[] = {delivery, delivery};
    struct zcb_source source = *zcb_source_libc();
    struct zcb_pool_config pool_config = {.source = &source};
    uint64_t number = 0, allocations;
    int threads = scene->locked ? 1 : READERS;
    pthread_t thread;

    source.ctx = scene;
    source.purge = purge_for_ever;
    scene->pool = must_create(&pool_config);
    CHECK(zcb_audio_sink_create(scene->pool, scene->flags != 0 ? &planar : &audio_stereo, &config,
                                &scene->sink) == 0);
    for (uint32_t lag = 0; lag < 3; lag++) // of these nobody reads
        (void)must_listen(scene->sink, (enum zcb_audio_lag)lag, 4 - lag);
    for (int i = 0; i < threads; i++)
        CHECK(pthread_create(&thread, NULL, scene->locked ? holder : reader, scene) == 0);
    while (__atomic_load_n(&scene->holds, __ATOMIC_SEQ_CST) < threads)
        usleep(100);
    CHECK(zcb_audio_sink_warm(scene->sink) == 0);

    trap_system_calls();
    allocations = zcb_alloc_count();
    for (uint32_t n = 0; n < PACKETS; n++) {
        struct zcb_audio_stamp stamp = stamp_of(n);

        if (scene->locked && n == 1)
            scene->sink->retire_wish = 1;
        if (n % 7 == 3)
            must_deliver(scene->sink, 480, &stamp, &number);
        else if (n % 7 == 4)
            CHECK(zcb_audio_sink_write(scene->sink, planes, 2048, NULL) >= 0);
        else
            CHECK(zcb_audio_sink_write(scene->sink, planes, 2048, &stamp) >= 0);
        if (n % 500 == 499)
            zcb_audio_sink_flush(scene->sink);
    }
    zcb_audio_sink_end(scene->sink);
    if (scene->locked)
        must_have_seen_it_all(scene);
    if (scene->locked)
        CHECK(zcb_alloc_count() == allocations);
    else
        while (__atomic_load_n(&scene->done, __ATOMIC_SEQ_CST) < threads)
            continue;
    end_process();
}

static void
prove(bool locked)
{
    if (ZCB_UNDER_TSAN || !can_trap()) {
        print_message("skipped: %s\n", ZCB_UNDER_TSAN ? "ThreadSanitizer makes calls of its own"
                                                      : "no seccomp filter here");
        skip();
    }
    for (int full = ZCB_AUDIO_DROP_NEWEST; full <= ZCB_AUDIO_OVERWRITE; full++)
        for (uint32_t flags = 0; flags <= ZCB_AUDIO_AS_DELIVERED; flags++) {
            struct scene scene = {
                .full = (enum zcb_audio_full)full, .flags = flags, .locked = locked};
            struct child child = child_run(capture, &scene);

            assert_child_succeeded(child);
        }
}

static void
capture_makes_no_system_call_while_others_read_and_service(void **state)
{
    (void)state;
    prove(false);
}

static void
capture_ends_and_allocates_nothing_while_somebody_holds_every_lock(void **state)
{
    (void)state;
    prove(true);
}

// A page that is touched for the first time is a trip into the kernel as well.
static void
capture_meets_no_page_that_is_not_there_yet(void **state)
{
#if defined(RUSAGE_THREAD)
    struct zcb_audio_sink_config config = {.buffers = 128};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_sink *sink = must_sink(pool, &config);
    struct zcb_audio_consumer *consumer = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 64);
    struct rusage before, after;
    uint64_t number = 0;

    assert_int_equal(zcb_audio_sink_warm(sink), 0);
    must_deliver(sink, 4 * 480, NULL, &number);
    getrusage(RUSAGE_THREAD, &before);
    must_deliver(sink, 60 * 480, NULL, &number);
    getrusage(RUSAGE_THREAD, &after);
    zcb_audio_consumer_close(&consumer);
    zcb_audio_sink_destroy(&sink);
    must_end(&pool);
    // Sixty buffers are used for the first time. The system may take a page away of its own accord.
    if (!ZCB_UNDER_ASAN && !ZCB_UNDER_TSAN)
        assert_true(after.ru_minflt - before.ru_minflt < 10);
#endif
    (void)state;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capture_makes_no_system_call_while_others_read_and_service),
        cmocka_unit_test(capture_ends_and_allocates_nothing_while_somebody_holds_every_lock),
        cmocka_unit_test(capture_meets_no_page_that_is_not_there_yet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
