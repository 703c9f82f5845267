// SPDX-License-Identifier: MIT
//
// fork() while pools are in use: parent and child both go on. The child has one thread; what other
// threads had in their caches it gets back, what they had out stays out there.

#include "testing.h"

#include "support/failing_source.h"
#include "support/pools.h"

#include <pthread.h>
#include <sched.h>

static void
use(struct zcb_pool *pool, size_t count)
{
    struct zcb_buf *bufs[200];

    for (size_t i = 0; i < count; i++) {
        bufs[i] = must_acquire(pool, i % 4 * 20000);
        memset(zcb_buf_data(bufs[i]), (int)i, 64);
    }
    for (size_t i = 0; i < count; i++)
        CHECK(zcb_buf_data(bufs[i])[63] == (uint8_t)i);
    zcb_buf_release_n(bufs, count);
}

// ---- one thread ---------------------------------------------------------------------------------

struct situation {
    struct zcb_pool *pool;
    struct zcb_failing_source *failing;
    struct zcb_buf *buf;
    struct zcb_packet packet;
    size_t others_out;
};

static void
go_on_in_the_child(void *argument)
{
    struct situation *situation = argument;
    struct zcb_pool_stats before = must_be_at_rest(situation->pool), after;

    CHECK(before.total.live == 2);
    use(situation->pool, 100);
    CHECK(zcb_buf_data(situation->buf)[0] == 42);
    zcb_buf_data(situation->buf)[0] = 43;
    zcb_buf_release(&situation->buf);
    zcb_packet_unref(&situation->packet);
    after = must_be_at_rest(situation->pool);
    CHECK(after.total.live == 0);
    CHECK(after.total.acquires == before.total.acquires + 100);
    zcb_pool_trim(situation->pool, 0);
    zcb_pool_decay(situation->pool);
    use(situation->pool, 100);
    must_end(&situation->pool);
    CHECK(situation->failing->closed == 1);
    CHECK(situation->failing->live == 0);
}

static void
parent_and_child_both_go_on(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {0};
    struct situation situation = {.failing = &failing};
    uint64_t acquires;

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    situation.pool = must_create(&config);
    use(situation.pool, 100);
    situation.buf = must_acquire(situation.pool, 100);
    zcb_buf_data(situation.buf)[0] = 42;
    situation.packet = must_packet(situation.pool, 5000);
    acquires = must_be_at_rest(situation.pool).total.acquires;
    for (int i = 0; i < 5; i++) {
        struct child child = child_run(go_on_in_the_child, &situation);

        assert_child_succeeded(child);
        assert_int_equal(zcb_buf_data(situation.buf)[0], 42); // the child's is a copy
        assert_int_equal(failing.closed, 0);
        assert_int_equal(must_be_at_rest(situation.pool).total.acquires, acquires);
    }
    use(situation.pool, 100);
    zcb_buf_release(&situation.buf);
    zcb_packet_unref(&situation.packet);
    must_end(&situation.pool);
    assert_int_equal(failing.closed, 1);
}

static void
start_anew_in_the_child(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) {
        struct zcb_pool *pool = must_create(NULL);

        use(pool, 100);
        must_end(&pool);
    }
}

static void
a_child_may_make_pools_of_its_own(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct child child;

    (void)state;
    use(pool, 10);
    child = child_run(start_anew_in_the_child, NULL);
    assert_child_succeeded(child);
    must_end(&pool);
}

// ---- others -------------------------------------------------------------------------------------

struct other {
    struct zcb_pool *pool;
    pthread_barrier_t reached, leave;
    size_t keep; // buffers it has out meanwhile
};

static void *
be_about(void *argument)
{
    struct other *other = argument;
    struct zcb_buf *bufs[64];

    CHECK(zcb_pool_acquire_n(other->pool, 1, bufs, 20) == 20);
    zcb_buf_release_n(bufs, 20); // some of these stay in its cache
    for (size_t i = 0; i < other->keep; i++)
        bufs[i] = must_acquire(other->pool, 1);
    pthread_barrier_wait(&other->reached);
    pthread_barrier_wait(&other->leave);
    for (size_t i = 0; i < other->keep; i++)
        zcb_buf_release(&bufs[i]);
    return NULL;
}

static void
count_in_the_child(void *argument)
{
    struct situation *situation = argument;
    struct zcb_pool_stats stats = must_be_at_rest(situation->pool);
    struct zcb_buf *bufs[130] = {NULL};
    size_t n = 0;

    CHECK(stats.threads <= 1);
    CHECK(stats.total.live == situation->others_out);
    while (n < 130 && zcb_pool_acquire(situation->pool, 1, &bufs[n]) == 0)
        n++;
    CHECK(n == 128 - situation->others_out);
    zcb_buf_release_n(bufs, n);
    CHECK(must_be_at_rest(situation->pool).total.live == situation->others_out);
    zcb_pool_destroy(&situation->pool);
    // With something out for ever the pool stays; with nothing it goes, though other threads had
    // caches.
    CHECK(situation->failing->closed == (situation->others_out == 0));
}

static void
what_other_threads_had_cached_is_recovered_and_what_they_had_out_stays_out(void **state)
{
    static const size_t keeps[] = {0, 5};

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct zcb_failing_source failing;
        const struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 4096, .max_buffers = 128}},
            .policy = ZCB_POOL_FAIL,
            .source = &failing.source,
        };
        struct situation situation = {.failing = &failing, .others_out = 3 * keeps[k]};
        struct other other = {.keep = keeps[k]};
        pthread_t threads[3];
        struct child child;

        zcb_failing_source_init(&failing);
        situation.pool = other.pool = must_create(&config);
        pthread_barrier_init(&other.reached, NULL, 4);
        pthread_barrier_init(&other.leave, NULL, 4);
        for (size_t i = 0; i < 3; i++)
            CHECK(pthread_create(&threads[i], NULL, be_about, &other) == 0);
        pthread_barrier_wait(&other.reached);
        assert_true(must_be_at_rest(situation.pool).total.cached > 0);
        child = child_run(count_in_the_child, &situation);
        assert_child_succeeded(child);
        pthread_barrier_wait(&other.leave);
        for (size_t i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&other.reached);
        pthread_barrier_destroy(&other.leave);
        must_end(&situation.pool);
        assert_int_equal(failing.closed, 1);
    }
}

struct storm {
    struct zcb_pool *pools[3];
    bool stop;
};

static void *
churn_until_stopped(void *argument)
{
    struct storm *storm = argument;
    uint64_t seed = (uint64_t)(uintptr_t)&seed, mark = 0;
    struct zcb_buf *held[40] = {NULL};

    while (!__atomic_load_n(&storm->stop, __ATOMIC_ACQUIRE)) {
        size_t at = zcb_test_below(&seed, 40);
        struct zcb_pool *pool = storm->pools[zcb_test_below(&seed, 3)];

        if (held[at] != NULL)
            zcb_buf_release(&held[at]);
        else
            (void)!zcb_pool_acquire(pool, zcb_test_below(&seed, 80000), &held[at]);
        if (++mark % 500 == 0)
            zcb_pool_trim(pool, 0);
        if (mark % 701 == 0)
            zcb_thread_flush();
        if (mark % 997 == 0)
            sched_yield();
    }
    zcb_buf_release_n(held, 40);
    return NULL;
}

static void
use_all_in_the_child(void *argument)
{
    struct storm *storm = argument;

    for (size_t p = 0; p < 3; p++) {
        struct zcb_buf *bufs[20] = {NULL};

        must_stats(storm->pools[p]);
        for (size_t i = 0; i < 20; i++) {
            int result = zcb_pool_acquire(storm->pools[p], i * 4000, &bufs[i]);

            CHECK(result == 0 || result == -ENOBUFS || result == -ETIMEDOUT);
            if (result == 0)
                memset(zcb_buf_data(bufs[i]), 1, zcb_buf_capacity(bufs[i]));
        }
        zcb_buf_release_n(bufs, 20);
        zcb_pool_trim(storm->pools[p], 0);
        zcb_thread_flush();
        zcb_pool_destroy(&storm->pools[p]);
    }
    start_anew_in_the_child(NULL);
}

static void
fork_in_the_midst_of_everything(void **state)
{
    const struct zcb_pool_config limited = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 40},
                  {.buffer_size = 65536, .max_buffers = 10}},
        .policy = ZCB_POOL_FAIL,
        .flags = ZCB_POOL_NO_OVERSIZE | ZCB_POOL_NO_CACHE,
    };
    const struct zcb_pool_config waiting = {
        .tiers = {{.buffer_size = 16384, .max_buffers = 8}},
        .policy = ZCB_POOL_WAIT,
        .wait_ms = 2,
    };
    struct storm storm = {
        .pools = {must_create(NULL), must_create(&limited), must_create(&waiting)}};
    pthread_t threads[3];
    size_t count = zcb_test_rounds(ZCB_UNDER_TSAN || ZCB_UNDER_ASAN ? 15 : 60);

    (void)state;
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, churn_until_stopped, &storm) == 0);
    for (size_t i = 0; i < count; i++) {
        struct child child = child_run(use_all_in_the_child, &storm);

        assert_child_succeeded(child);
    }
    __atomic_store_n(&storm.stop, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (size_t p = 0; p < 3; p++)
        must_end(&storm.pools[p]);
}

static void *
hammer_until_stopped(void *argument)
{
    struct storm *storm = argument;
    struct zcb_buf *bufs[20];

    for (size_t i = 0; !__atomic_load_n(&storm->stop, __ATOMIC_ACQUIRE); i++) {
        CHECK(zcb_pool_acquire_n(storm->pools[0], 1, bufs, 20) == 20);
        zcb_buf_release_n(bufs, 20);
    }
    return NULL;
}

static void
find_all_in_order(void *argument)
{
    struct storm *storm = argument;

    must_be_at_rest(storm->pools[0]);
}

// All that a pool without caches does it does under its lock, which a fork waits for.
static void
a_fork_never_finds_a_call_half_done(void **state)
{
    const struct zcb_pool_config config = {.flags = ZCB_POOL_NO_CACHE};
    struct storm storm = {.pools = {must_create(&config)}};
    pthread_t threads[2];
    size_t count = zcb_test_rounds(ZCB_UNDER_TSAN || ZCB_UNDER_ASAN ? 50 : 400);

    (void)state;
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer_until_stopped, &storm) == 0);
    for (size_t i = 0; i < count; i++) {
        struct child child = child_run(find_all_in_order, &storm);

        assert_child_succeeded(child);
    }
    __atomic_store_n(&storm.stop, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    must_end(&storm.pools[0]);
}

static void *
use_in_a_thread(void *pool)
{
    use(pool, 100);
    return NULL;
}

static void
threads_in_the_child(void *argument)
{
    struct storm *storm = argument;
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, use_in_a_thread, storm->pools[0]) == 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(must_stats(storm->pools[0]).threads <= 1);
}

static void
a_child_may_have_threads_of_its_own(void **state)
{
    struct storm storm = {.pools = {must_create(NULL), must_create(NULL), must_create(NULL)}};
    pthread_t thread;

    (void)state;
    CHECK(pthread_create(&thread, NULL, churn_until_stopped, &storm) == 0);
    for (size_t i = 0; i < 10; i++) {
        struct child child;

        if (ZCB_UNDER_TSAN)
            break; // which does not know how to
        child = child_run(threads_in_the_child, &storm);
        assert_child_succeeded(child);
    }
    __atomic_store_n(&storm.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    for (size_t p = 0; p < 3; p++)
        must_end(&storm.pools[p]);
}

static void
a_pool_that_was_closed_with_caches_alive_goes_in_the_child(void *argument)
{
    struct situation *situation = argument;

    // fork() dropped the other threads' caches, which were the last to hold it.
    CHECK(situation->failing->closed == 1);
    CHECK(situation->failing->live == 0);
}

static void
a_closed_pool_that_only_others_held_is_gone_in_the_child(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {0};
    struct situation situation = {.failing = &failing};
    struct other other = {.keep = 0};
    pthread_t thread;
    struct child child;

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    situation.pool = other.pool = must_create(&config);
    pthread_barrier_init(&other.reached, NULL, 2);
    pthread_barrier_init(&other.leave, NULL, 2);
    CHECK(pthread_create(&thread, NULL, be_about, &other) == 0);
    pthread_barrier_wait(&other.reached);
    zcb_pool_destroy(&situation.pool);
    assert_int_equal(failing.closed, 0);
    child = child_run(a_pool_that_was_closed_with_caches_alive_goes_in_the_child, &situation);
    assert_child_succeeded(child);
    assert_int_equal(failing.closed, 0);
    pthread_barrier_wait(&other.leave);
    pthread_join(thread, NULL);
    assert_int_equal(failing.closed, 1);
    pthread_barrier_destroy(&other.reached);
    pthread_barrier_destroy(&other.leave);
}

// Another thread is in the pool's callback when the process forks. It does not exist in the child,
// where nobody will ever come back from that callback.

struct telling {
    pthread_barrier_t inside, leave;
    bool blocks;
    int calls[2];
};

static void
linger(void *ctx, struct zcb_pool *pool, bool high)
{
    struct telling *telling = ctx;

    (void)pool;
    telling->calls[high]++;
    if (telling->blocks && !high) {
        pthread_barrier_wait(&telling->inside);
        pthread_barrier_wait(&telling->leave);
    }
}

static void *
cause_pressure(void *argument)
{
    struct zcb_buf *buf = must_acquire(argument, 3 * MIB);

    zcb_buf_release(&buf);
    return NULL;
}

struct told {
    struct zcb_pool *pool;
    struct zcb_failing_source *failing;
    struct telling *telling;
};

static void
be_told_in_the_child(void *argument)
{
    struct told *told = argument;

    told->telling->blocks = false;
    CHECK(told->telling->calls[true] == 1 && told->telling->calls[false] == 1);
    cause_pressure(told->pool);
    CHECK(told->telling->calls[true] == 2 && told->telling->calls[false] == 2);
    must_end(&told->pool);
    CHECK(told->failing->closed == 1);
}

static void
a_fork_while_another_thread_is_in_the_callback_leaves_a_pool_that_works(void **state)
{
    struct zcb_failing_source failing;
    struct telling telling = {.blocks = true};
    const struct zcb_pool_config config = {
        .low_bytes = MIB,
        .high_bytes = 2 * MIB + MIB / 2,
        .on_pressure = linger,
        .pressure_ctx = &telling,
        .source = &failing.source,
    };
    struct told told = {.telling = &telling, .failing = &failing};
    pthread_t thread;
    struct child child;

    (void)state;
    zcb_failing_source_init(&failing);
    told.pool = must_create(&config);
    pthread_barrier_init(&telling.inside, NULL, 2);
    pthread_barrier_init(&telling.leave, NULL, 2);
    CHECK(pthread_create(&thread, NULL, cause_pressure, told.pool) == 0);
    pthread_barrier_wait(&telling.inside);
    child = child_run(be_told_in_the_child, &told);
    pthread_barrier_wait(&telling.leave);
    pthread_join(thread, NULL);
    assert_child_succeeded(child);
    must_end(&told.pool);
    pthread_barrier_destroy(&telling.inside);
    pthread_barrier_destroy(&telling.leave);
}

// ---- in the callback -------------------------------------------------------------------------

static pid_t forked;

static void
fork_once(void *ctx, struct zcb_pool *pool, bool high)
{
    (void)ctx;
    (void)pool;
    if (high && forked == -1) {
        forked = fork();
        if (forked == 0)
            alarm(CHILD_SECONDS);
    }
}

static void
the_callback_itself_may_fork_and_return_on_both_sides(void **state)
{
    struct zcb_failing_source failing;
    const struct zcb_pool_config config = {
        .low_bytes = MIB,
        .high_bytes = 2 * MIB,
        .on_pressure = fork_once,
        .source = &failing.source,
    };
    struct zcb_pool *pool;
    struct zcb_buf *buf;
    int status = -1;

    (void)state;
    zcb_failing_source_init(&failing);
    pool = must_create(&config);
    forked = -1;
    buf = must_acquire(pool, 4096); // a slab of 2 MiB: two processes come back
    CHECK(forked != -1);
    use(pool, 100);
    zcb_buf_release(&buf);
    must_end(&pool);
    CHECK(failing.closed == 1 && failing.live == 0);
    if (forked == 0)
        _exit(0);
    CHECK(waitpid(forked, &status, 0) == forked);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// ---- threads that wait --------------------------------------------------------------------------

struct hunger {
    struct zcb_pool *pool;
    bool stop;
};

// With others of its kind it wants more than there is: some wait, are woken, and wait again. Of the
// large ones it has some in its cache, which go to the depot in a child.
static void *
take_and_give(void *argument)
{
    struct hunger *hunger = argument;
    struct zcb_buf *bufs[12];

    bufs[0] = must_acquire(hunger->pool, 5000);
    zcb_buf_release(&bufs[0]);
    while (!__atomic_load_n(&hunger->stop, __ATOMIC_ACQUIRE)) {
        size_t n = 0;

        while (n < 12 && zcb_pool_acquire(hunger->pool, 1, &bufs[n]) == 0)
            n++;
        zcb_buf_release_n(bufs, n);
    }
    return NULL;
}

// Whether a child gets as far as to use the pool, even if fork() itself does not return there.
static bool
a_child_uses(struct zcb_pool *pool)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        zcb_pool_trim(pool, 0);
        CHECK(must_stats(pool).threads <= 1);
        _exit(0);
    }
    for (int ms = 0; ms < 20000; ms++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        usleep(1000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return false;
}

static void
a_child_does_not_wait_for_those_who_waited(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 40}, {.buffer_size = 8192}},
        .policy = ZCB_POOL_WAIT,
        .wait_ms = 5,
    };
    struct hunger hunger = {.pool = must_create(&config)};
    pthread_t threads[6];
    bool good = true;

    (void)state;
    for (size_t i = 0; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, take_and_give, &hunger) == 0);
    for (int i = 0; i < (ZCB_UNDER_TSAN ? 20 : 200) && good; i++)
        good = a_child_uses(hunger.pool);
    __atomic_store_n(&hunger.stop, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_true(good);
    must_end(&hunger.pool);
}

struct dry {
    struct zcb_pool *pool;
    struct zcb_failing_source *failing;
    struct zcb_buf *bufs[64];
};

static void *
wait_for_one(void *argument)
{
    struct dry *dry = argument;
    struct zcb_buf *buf = must_acquire(dry->pool, 1);

    zcb_buf_release(&buf);
    return NULL;
}

static void
end_scarcity_in_the_child(void *argument)
{
    struct dry *dry = argument;
    uint64_t hits = must_stats(dry->pool).total.hits;

    zcb_buf_release_n(dry->bufs, 64);
    for (int i = 0; i < 100; i++)
        wait_for_one(dry);
    // Under Valgrind there are no caches.
    CHECK(must_stats(dry->pool).total.hits >= hits + 50 || must_stats(dry->pool).threads == 0);
    must_end(&dry->pool);
    CHECK(dry->failing->closed == 1);
}

static void
nobody_waits_in_a_child(void **state)
{
    struct zcb_failing_source failing;
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 64}},
        .policy = ZCB_POOL_WAIT,
        .wait_ms = UINT32_MAX,
        .source = &failing.source,
    };
    struct dry dry = {.failing = &failing};
    struct child child;
    pthread_t thread;

    (void)state;
    zcb_failing_source_init(&failing);
    dry.pool = must_create(&config);
    for (size_t i = 0; i < 64; i++)
        dry.bufs[i] = must_acquire(dry.pool, 1);
    CHECK(pthread_create(&thread, NULL, wait_for_one, &dry) == 0);
    while (must_stats(dry.pool).total.waits == 0)
        sched_yield();
    child = child_run(end_scarcity_in_the_child, &dry);
    zcb_buf_release_n(dry.bufs, 64);
    pthread_join(thread, NULL);
    assert_child_succeeded(child);
    must_end(&dry.pool);
}

static void
must_have_charged(void *argument)
{
    const struct situation *situation = argument;

    CHECK(must_be_at_rest(situation->pool).total.charged == 4 * MIB);
}

// Nothing is on its way to the source any more.
static void
a_child_counts_what_was_trimmed_before_the_fork_once(void **state)
{
    struct situation situation = {.pool = must_create(NULL)};
    struct child child;

    (void)state;
    CHECK(zcb_pool_prefault(situation.pool, 4096, 2048) == 0);
    CHECK(zcb_pool_trim(situation.pool, 4 * MIB) == 4 * MIB);
    child = child_run(must_have_charged, &situation);
    assert_child_succeeded(child);
    must_end(&situation.pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parent_and_child_both_go_on),
        cmocka_unit_test(a_child_may_make_pools_of_its_own),
        cmocka_unit_test(
            what_other_threads_had_cached_is_recovered_and_what_they_had_out_stays_out),
        cmocka_unit_test(fork_in_the_midst_of_everything),
        cmocka_unit_test(a_fork_never_finds_a_call_half_done),
        cmocka_unit_test(a_child_may_have_threads_of_its_own),
        cmocka_unit_test(a_fork_while_another_thread_is_in_the_callback_leaves_a_pool_that_works),
        cmocka_unit_test(a_closed_pool_that_only_others_held_is_gone_in_the_child),
        cmocka_unit_test(the_callback_itself_may_fork_and_return_on_both_sides),
        cmocka_unit_test(a_child_does_not_wait_for_those_who_waited),
        cmocka_unit_test(nobody_waits_in_a_child),
        cmocka_unit_test(a_child_counts_what_was_trimmed_before_the_fork_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
