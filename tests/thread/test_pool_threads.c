// SPDX-License-Identifier: MIT
//
// One pool, several threads: that a buffer has one owner at a time, that nothing is lost on the way
// between threads, and that small pools go on working.
//
// An owner writes its mark into the buffer with plain stores and reads it back later: two owners at
// a time are a wrong mark here, and a race to ThreadSanitizer.

#include "testing.h"

#include "support/failing_source.h"
#include "support/pools.h"

#include <pthread.h>
#include <sched.h>

static size_t
rounds(size_t usual)
{
    return zcb_test_rounds(ZCB_UNDER_TSAN || ZCB_UNDER_ASAN ? usual / 8 + 1 : usual);
}

// ---- a queue between two threads ----------------------------------------------------------------

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct zcb_buf *items[64];
    size_t head, count;
    bool ended;
};

#define QUEUE_INITIALISER                                                                          \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                     \
    }

static void
queue_put(struct queue *queue, struct zcb_buf *buf)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 64)
        pthread_cond_wait(&queue->changed, &queue->lock);
    queue->items[(queue->head + queue->count++) % 64] = buf;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

static void
queue_end(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->ended = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

// NULL: it has ended.
static struct zcb_buf *
queue_get(struct queue *queue)
{
    struct zcb_buf *buf = NULL;

    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->ended)
        pthread_cond_wait(&queue->changed, &queue->lock);
    if (queue->count != 0) {
        buf = queue->items[queue->head];
        queue->head = (queue->head + 1) % 64;
        queue->count--;
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    return buf;
}

static void
sign(struct zcb_buf *buf, uint64_t mark)
{
    uint8_t *data = zcb_buf_data(buf);
    size_t last = zcb_buf_capacity(buf) - sizeof(mark);

    memcpy(data, &mark, sizeof(mark));
    memcpy(data + last, &mark, sizeof(mark));
}

static void
must_be_signed(struct zcb_buf *buf, uint64_t mark)
{
    const uint8_t *data = zcb_buf_data(buf);
    size_t last = zcb_buf_capacity(buf) - sizeof(mark);

    CHECK(memcmp(data, &mark, sizeof(mark)) == 0);
    CHECK(memcmp(data + last, &mark, sizeof(mark)) == 0);
}

static pthread_t
start(void *(*body)(void *), void *argument)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

// ---- A acquires, B releases ---------------------------------------------------------------------

struct pair {
    struct zcb_pool *pool;
    struct queue queue;
    size_t count;
};

static void *
release_from_queue(void *argument)
{
    struct pair *pair = argument;
    struct zcb_buf *buf;
    uint64_t n = 0;

    while ((buf = queue_get(&pair->queue)) != NULL) {
        must_be_signed(buf, n++);
        if (n % 3 == 0) {
            struct zcb_packet packet = {0};

            CHECK(zcb_buf_set_len(buf, 8) == 0);
            zcb_buf_share(&buf, &packet);
            zcb_packet_unref(&packet);
        } else {
            zcb_buf_release(&buf);
        }
    }
    CHECK(n == pair->count);
    return NULL;
}

// Acquires `count` and hands them over, again and again where the pool has none (policy FAIL).
static void
acquire_to_queue(struct pair *pair)
{
    for (uint64_t i = 0; i < pair->count; i++) {
        struct zcb_buf *buf = NULL;
        int result;

        while ((result = zcb_pool_acquire(pair->pool, 100, &buf)) == -ENOBUFS)
            sched_yield();
        CHECK(result == 0);
        sign(buf, i);
        queue_put(&pair->queue, buf);
    }
    queue_end(&pair->queue);
}

static void
small_pools_work_when_one_thread_acquires_and_another_releases(void **state)
{
    static const size_t limits[] = {1, 2, 10, 33, 64};
    static const enum zcb_pool_policy policies[] = {ZCB_POOL_DYNAMIC, ZCB_POOL_FAIL, ZCB_POOL_WAIT};
    static const uint32_t flags[] = {0, ZCB_POOL_NO_CACHE, ZCB_POOL_HARDENED};

    (void)state;
    for (size_t l = 0; l < 5; l++) {
        for (size_t p = 0; p < 3; p++) {
            for (size_t f = 0; f < 3; f++) {
                const struct zcb_pool_config config = {
                    .tiers = {{.buffer_size = 4096, .max_buffers = limits[l]}},
                    .policy = policies[p],
                    .wait_ms = UINT32_MAX,
                    .flags = flags[f],
                };
                struct pair pair = {.pool = must_create(&config),
                                    .queue = QUEUE_INITIALISER,
                                    .count = rounds(2000)};
                pthread_t thread = start(release_from_queue, &pair);
                struct zcb_pool_stats stats;

                acquire_to_queue(&pair);
                pthread_join(thread, NULL);
                stats = must_be_at_rest(pair.pool);
                assert_int_equal(stats.total.acquires, pair.count);
                assert_int_equal(stats.total.live, 0);
                assert_int_equal(stats.total.returns + stats.total.drops, pair.count);
                assert_int_equal(stats.total.charged,
                                 stats.total.slabs == 0 ? 0 : limits[l] * 4096);
                if (policies[p] == ZCB_POOL_WAIT)
                    assert_int_equal(stats.total.refusals, 0);
                if (policies[p] != ZCB_POOL_DYNAMIC)
                    assert_int_equal(stats.total.fallbacks, 0);
                must_end(&pair.pool);
            }
        }
    }
}

static void
unlimited_pools_reach_a_steady_state_between_two_threads(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {0};
    struct pair pair = {.queue = QUEUE_INITIALISER, .count = rounds(100000)};
    struct zcb_pool_stats stats;
    pthread_t thread;

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pair.pool = must_create(&config);
    thread = start(release_from_queue, &pair);
    acquire_to_queue(&pair);
    pthread_join(thread, NULL);
    stats = must_be_at_rest(pair.pool);
    assert_int_equal(stats.total.acquires, pair.count);
    assert_int_equal(stats.total.returns, pair.count);
    assert_int_equal(stats.total.slabs, 1); // at most 64 + 2 caches are under way at a time
    assert_int_equal(failing.calls, 1);
    assert_true(stats.hit_rate > 0.99);
    must_end(&pair.pool);
}

// ---- churn --------------------------------------------------------------------------------------

enum { EXCHANGE = 32 };

struct churn {
    struct zcb_pool *pool;
    pthread_mutex_t lock;
    struct zcb_buf *exchange[EXCHANGE]; // handed from any thread to any other, with its mark in it
    uint64_t marks[EXCHANGE];
    size_t steps;
    size_t largest;
    uint64_t seed;
    bool tidy; // also trim, decay, flush, warm and prefault in between
    uint64_t acquired, refused;
    bool stop;
};

static void *
churn_some(void *argument)
{
    struct churn *churn = argument;
    enum { HELD = 60 };
    struct zcb_buf *held[HELD] = {NULL};
    uint64_t marks[HELD] = {0};
    uint64_t number = __atomic_fetch_add(&churn->seed, 1, __ATOMIC_RELAXED), seed = number * 7919;
    uint64_t mark = number << 40, acquired = 0, refused = 0;

    for (size_t step = 0; step < churn->steps; step++) {
        size_t at = zcb_test_below(&seed, HELD), with;

        switch (zcb_test_below(&seed, 8)) {
        case 0: // exchange one with whoever was there before
            with = zcb_test_below(&seed, EXCHANGE);
            pthread_mutex_lock(&churn->lock);
            {
                struct zcb_buf *buf = churn->exchange[with];
                uint64_t its_mark = churn->marks[with];

                churn->exchange[with] = held[at];
                churn->marks[with] = marks[at];
                held[at] = buf;
                marks[at] = its_mark;
            }
            pthread_mutex_unlock(&churn->lock);
            break;
        case 1: // many at once
            if (step % 4 == 0) {
                struct zcb_buf *many[40];
                int got = zcb_pool_acquire_n(churn->pool, zcb_test_below(&seed, churn->largest),
                                             many, 40);

                CHECK(got > 0 || got == -ENOBUFS || got == -ETIMEDOUT);
                if (got < 0) {
                    refused++;
                    break;
                }
                acquired += (uint64_t)got;
                for (int i = 0; i < got; i++)
                    sign(many[i], mark + (uint64_t)i);
                for (int i = 0; i < got; i++)
                    must_be_signed(many[i], mark + (uint64_t)i);
                mark += 40;
                zcb_buf_release_n(many, (size_t)got);
            }
            break;
        case 2:
            if (churn->tidy && step % 64 == 0) {
                switch (zcb_test_below(&seed, 5)) {
                case 0:
                    zcb_pool_trim(churn->pool, zcb_test_below(&seed, 2 * MIB));
                    break;
                case 1:
                    zcb_pool_decay(churn->pool);
                    break;
                case 2:
                    zcb_thread_flush();
                    break;
                case 3:
                    (void)!zcb_thread_warm(churn->pool);
                    break;
                case 4:
                    (void)!zcb_pool_prefault(churn->pool, zcb_test_below(&seed, 4096), 20);
                    break;
                }
            }
            break;
        default:
            if (held[at] != NULL) {
                must_be_signed(held[at], marks[at]);
                zcb_buf_release(&held[at]);
            } else {
                int result =
                    zcb_pool_acquire(churn->pool, zcb_test_below(&seed, churn->largest), &held[at]);

                CHECK(result == 0 || result == -ENOBUFS || result == -ETIMEDOUT);
                if (result == 0) {
                    marks[at] = ++mark;
                    sign(held[at], mark);
                    acquired++;
                } else {
                    refused++;
                }
            }
        }
    }
    for (size_t at = 0; at < HELD; at++) {
        if (held[at] != NULL) {
            must_be_signed(held[at], marks[at]);
            zcb_buf_release(&held[at]);
        }
    }
    __atomic_fetch_add(&churn->acquired, acquired, __ATOMIC_RELAXED);
    __atomic_fetch_add(&churn->refused, refused, __ATOMIC_RELAXED);
    return NULL;
}

static void *
look_at_stats(void *argument)
{
    struct churn *churn = argument;
    struct zcb_pool_stats last = must_stats(churn->pool);

    while (!__atomic_load_n(&churn->stop, __ATOMIC_ACQUIRE)) {
        struct zcb_pool_stats stats = must_stats(churn->pool);

        // A few operations old, but never nonsense: counters only grow, gauges are within what
        // there can be.
#define GROWS(name) CHECK(stats.total.name >= last.total.name)
        GROWS(acquires);
        GROWS(hits);
        GROWS(depot_hits);
        GROWS(misses);
        GROWS(refusals);
        GROWS(drops);
        GROWS(peak_charged);
#undef GROWS
        CHECK(stats.total.live < 100000);
        CHECK(stats.total.cached < 100000);
        CHECK(stats.total.depot < 100000);
        CHECK(stats.threads < 100);
        CHECK(stats.max_bytes == 0 || stats.total.charged <= stats.max_bytes);
        CHECK(stats.hit_rate >= 0 && stats.hit_rate <= 1);
        CHECK(stats.total.returns < 1000000000);
        last = stats;
        sched_yield();
    }
    return NULL;
}

static void
run_churn(const struct zcb_pool_config *config, size_t threads, size_t steps, bool tidy)
{
    struct churn churn = {
        .pool = must_create(config),
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .steps = steps,
        .largest = 70000,
        .seed = zcb_test_seed() % 100000,
        .tidy = tidy,
    };
    pthread_t ids[8], looker = start(look_at_stats, &churn);
    struct zcb_pool_stats stats;

    for (size_t i = 0; i < threads; i++)
        ids[i] = start(churn_some, &churn);
    for (size_t i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    __atomic_store_n(&churn.stop, true, __ATOMIC_RELEASE);
    pthread_join(looker, NULL);
    for (size_t i = 0; i < EXCHANGE; i++)
        if (churn.exchange[i] != NULL)
            must_be_signed(churn.exchange[i], churn.marks[i]);
    zcb_buf_release_n(churn.exchange, EXCHANGE);
    stats = must_be_at_rest(churn.pool);
    assert_int_equal(stats.total.acquires, churn.acquired);
    assert_int_equal(stats.total.refusals, churn.refused);
    assert_int_equal(stats.total.live, 0);
    assert_true(stats.threads <= 1); // only this thread is left
    must_end(&churn.pool);
}

static void
no_buffer_ever_has_two_owners(void **state)
{
    static const size_t threads[] = {2, 4, 8};

    (void)state;
    for (size_t t = 0; t < 3; t++) {
        run_churn(NULL, threads[t], rounds(40000), false);
        run_churn(NULL, threads[t], rounds(40000), true);
    }
}

static void
nor_in_limited_pools_under_any_policy(void **state)
{
    static const enum zcb_pool_policy policies[] = {ZCB_POOL_DYNAMIC, ZCB_POOL_FAIL, ZCB_POOL_WAIT};

    (void)state;
    for (size_t p = 0; p < 3; p++) {
        const struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 4096, .max_buffers = 10},
                      {.buffer_size = 16384, .max_buffers = 100},
                      {.buffer_size = 65536}},
            .max_bytes = 4 * MIB,
            .policy = policies[p],
            .wait_ms = 1,
            .source = zcb_source_libc(),
        };

        run_churn(&config, 4, rounds(policies[p] == ZCB_POOL_WAIT ? 1500 : 20000), true);
    }
}

static void
nor_with_any_of_the_flags(void **state)
{
    static const uint32_t flags[] = {ZCB_POOL_NO_CACHE, ZCB_POOL_ADAPTIVE, ZCB_POOL_HARDENED,
                                     ZCB_POOL_POPULATE};

    (void)state;
    for (size_t f = 0; f < 4; f++) {
        const struct zcb_pool_config config = {.flags = flags[f]};

        run_churn(&config, 4, rounds(10000), true);
    }
}

// ---- threads come and go ------------------------------------------------------------------------

struct visit {
    struct zcb_pool *pool;
    size_t count;
    bool flush;
    pthread_barrier_t *reached; // wait here with the cache full
    pthread_barrier_t *leave;
};

static void *
acquire_and_release(void *argument)
{
    struct visit *visit = argument;
    struct zcb_buf *bufs[128];

    for (size_t i = 0; i < visit->count; i++) {
        bufs[i] = must_acquire(visit->pool, 100);
        sign(bufs[i], i);
    }
    for (size_t i = 0; i < visit->count; i++)
        must_be_signed(bufs[i], i);
    zcb_buf_release_n(bufs, visit->count);
    if (visit->flush)
        zcb_thread_flush();
    if (visit->reached != NULL) {
        pthread_barrier_wait(visit->reached);
        pthread_barrier_wait(visit->leave);
    }
    return NULL;
}

static const struct zcb_pool_config limited = {
    .tiers = {{.buffer_size = 4096, .max_buffers = 128}},
    .policy = ZCB_POOL_FAIL,
};

// How many there are for this thread.
static size_t
count_to_be_had(struct zcb_pool *pool)
{
    struct zcb_buf *bufs[200] = {NULL};
    size_t n = 0;

    while (n < 200 && zcb_pool_acquire(pool, 1, &bufs[n]) == 0)
        n++;
    zcb_buf_release_n(bufs, n);
    return n;
}

static void
what_an_ended_thread_had_cached_is_there_for_others(void **state)
{
    struct zcb_pool *pool = must_create(&limited);

    (void)state;
    for (size_t round = 0; round < 20; round++) {
        struct visit visit = {.pool = pool, .count = 100};
        pthread_t threads[2];

        threads[0] = start(acquire_and_release, &visit);
        pthread_join(threads[0], NULL);
        assert_true(must_be_at_rest(pool).threads <= 1);
        assert_int_equal(count_to_be_had(pool), 128);
    }
    zcb_thread_flush();
    must_end(&pool);
}

// What caches may hold of a limited tier in all is given back with each of them.
static void
the_hundredth_thread_has_a_cache_like_the_first(void **state)
{
    struct zcb_pool *pool = must_create(&limited);

    (void)state;
    for (size_t round = 1; round <= 100; round++) {
        struct visit visit = {.pool = pool, .count = 30};
        uint64_t before = must_be_at_rest(pool).total.hits;
        pthread_t thread = start(acquire_and_release, &visit);

        pthread_join(thread, NULL);
        assert_true(must_be_at_rest(pool).total.hits > before);
    }
    must_end(&pool);
}

static void
what_an_idle_thread_has_cached_is_an_eighth_at_most_and_nothing_after_a_flush(void **state)
{
    (void)state;
    for (int flush = 0; flush < 2; flush++) {
        struct zcb_pool *pool = must_create(&limited);
        pthread_barrier_t reached, leave;
        struct visit visit = {
            .pool = pool, .count = 30, .flush = flush != 0, .reached = &reached, .leave = &leave};
        pthread_t threads[4];
        size_t had;

        pthread_barrier_init(&reached, NULL, 5);
        pthread_barrier_init(&leave, NULL, 5);
        for (size_t i = 0; i < 4; i++)
            threads[i] = start(acquire_and_release, &visit);
        pthread_barrier_wait(&reached);
        if (flush)
            assert_int_equal(must_be_at_rest(pool).total.cached, 0);
        else // a quarter in all
            assert_true(must_be_at_rest(pool).total.cached <= 32);
        had = count_to_be_had(pool);
        if (flush)
            assert_int_equal(had, 128);
        else
            assert_true(had >= 96 && had <= 128);
        pthread_barrier_wait(&leave);
        for (size_t i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(count_to_be_had(pool), 128);
        pthread_barrier_destroy(&reached);
        pthread_barrier_destroy(&leave);
        must_end(&pool);
    }
}

static void
five_hundred_short_threads_leave_nothing_behind(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {0};
    struct zcb_pool *pool;
    struct visit visit = {.count = 20};

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    visit.pool = pool;
    for (size_t batch = 0; batch < 50; batch++) {
        pthread_t threads[10];

        for (size_t i = 0; i < 10; i++)
            threads[i] = start(acquire_and_release, &visit);
        for (size_t i = 0; i < 10; i++)
            pthread_join(threads[i], NULL);
    }
    assert_int_equal(must_be_at_rest(pool).total.acquires, 500 * 20);
    assert_int_equal(must_be_at_rest(pool).threads, 0);
    assert_int_equal(must_be_at_rest(pool).total.cached, 0);
    assert_true(must_be_at_rest(pool).total.slabs <=
                2); // 10 threads at a time: 640 buffers and their caches
    zcb_pool_trim(pool, 0);
    assert_int_equal(failing.live, 0);
    must_end(&pool);
}

static void *
a_hundred_acquires(void *argument)
{
    struct zcb_pool *pool = argument;

    for (size_t i = 0; i < 100; i++) {
        struct zcb_buf *buf = must_acquire(pool, i * 50);

        sign(buf, i);
        must_be_signed(buf, i);
        zcb_buf_release(&buf);
    }
    return NULL;
}

static void
four_threads_of_a_hundred_make_four_hundred(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        threads[i] = start(a_hundred_acquires, pool);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(must_be_at_rest(pool).total.acquires, 400);
    assert_int_equal(must_be_at_rest(pool).total.returns, 400);
    must_end(&pool);
}

// ---- waiting ------------------------------------------------------------------------------------

static void *
acquire_hold_release(void *argument)
{
    struct zcb_pool *pool = argument;

    for (size_t i = 0; i < rounds(2000); i++) {
        struct zcb_buf *buf = must_acquire(pool, 1);
        uint64_t mark = (uint64_t)(uintptr_t)&buf + i;

        sign(buf, mark);
        sched_yield();
        must_be_signed(buf, mark);
        zcb_buf_release(&buf);
    }
    return NULL;
}

static void
many_waiters_on_few_buffers_all_get_one(void **state)
{
    static const size_t limits[] = {1, 2, 3};

    (void)state;
    for (size_t l = 0; l < 3; l++) {
        const struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 4096, .max_buffers = limits[l]}},
            .policy = ZCB_POOL_WAIT,
            .wait_ms = UINT32_MAX,
        };
        struct zcb_pool *pool = must_create(&config);
        pthread_t threads[6];

        for (size_t i = 0; i < 6; i++)
            threads[i] = start(acquire_hold_release, pool);
        for (size_t i = 0; i < 6; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(must_be_at_rest(pool).total.refusals, 0);
        assert_int_equal(must_be_at_rest(pool).total.acquires, 6 * rounds(2000));
        must_end(&pool);
    }
}

struct busy {
    struct zcb_pool *pool;
    bool stop;
};

static void *
pairs_until_stopped(void *argument)
{
    struct busy *busy = argument;

    while (!__atomic_load_n(&busy->stop, __ATOMIC_ACQUIRE)) {
        struct zcb_buf *bufs[8];
        int got = zcb_pool_acquire_n(busy->pool, 1, bufs, 1);

        CHECK(got > 0);
        zcb_buf_release_n(bufs, (size_t)got);
        sched_yield();
    }
    return NULL;
}

// The cache of a thread that is busy is called in when another one runs dry.
static void
one_who_waits_gets_what_a_busy_thread_has_cached(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 40}},
        .policy = ZCB_POOL_WAIT,
        .wait_ms = UINT32_MAX,
    };
    struct busy busy = {.pool = must_create(&config)};
    pthread_t thread;

    (void)state;
    assert_int_equal(zcb_thread_warm(busy.pool), 0);
    zcb_thread_flush();
    thread = start(pairs_until_stopped, &busy);
    for (size_t round = 0; round < rounds(200); round++) {
        struct zcb_buf *bufs[39];

        for (size_t i = 0; i < 39; i++) // all but the one that the other thread uses
            bufs[i] = must_acquire(busy.pool, 1);
        zcb_buf_release_n(bufs, 39);
    }
    __atomic_store_n(&busy.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_int_equal(must_be_at_rest(busy.pool).total.refusals, 0);
    must_end(&busy.pool);
}

// ---- sharing, and pools that come and go --------------------------------------------------------

enum { FAN = 4 };

struct fan {
    pthread_barrier_t barrier;
    struct zcb_packet packets[64];
};

static void *
drop_all(void *argument)
{
    struct fan *fan = argument;

    pthread_barrier_wait(&fan->barrier);
    for (size_t i = 0; i < 64; i++) {
        struct zcb_packet mine = fan->packets[i]; // one of the references that were made for us

        CHECK(mine.data[0] == (uint8_t)i);
        zcb_packet_unref(&mine);
    }
    return NULL;
}

static void
whoever_drops_the_last_reference_returns_the_buffer_once(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    size_t count = rounds(200);

    (void)state;
    for (size_t round = 0; round < count; round++) {
        struct fan fan;
        pthread_t threads[FAN];

        pthread_barrier_init(&fan.barrier, NULL, FAN);
        for (size_t i = 0; i < 64; i++) {
            struct zcb_buf *buf = must_acquire(pool, 100);

            zcb_buf_data(buf)[0] = (uint8_t)i;
            CHECK(zcb_buf_set_len(buf, 1) == 0);
            zcb_buf_share(&buf, &fan.packets[i]);
            zcb_packet_ref_n(&fan.packets[i], FAN - 1);
        }
        for (size_t i = 0; i < FAN; i++)
            threads[i] = start(drop_all, &fan);
        for (size_t i = 0; i < FAN; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&fan.barrier);
        assert_int_equal(must_be_at_rest(pool).total.returns, (round + 1) * 64);
    }
    must_end(&pool);
}

static void *
create_use_destroy(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;

    for (size_t i = 0; i < rounds(300); i++) {
        const struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 4096ul << zcb_test_below(&seed, 3)}}};
        struct zcb_pool *pools[3];
        struct zcb_buf *late[3];

        for (size_t p = 0; p < 3; p++) {
            pools[p] = must_create(&config);
            late[p] = must_acquire(pools[p], 1);
            CHECK(zcb_buf_capacity(late[p]) == config.tiers[0].buffer_size);
            sign(late[p], seed);
        }
        for (size_t p = 0; p < 3; p++) {
            a_hundred_acquires(pools[p]);
            zcb_pool_destroy(&pools[p]);
        }
        for (size_t p = 0; p < 3; p++) {
            must_be_signed(late[p], seed);
            zcb_buf_release(&late[p]);
        }
    }
    return NULL;
}

static void
pools_come_and_go_on_all_threads(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        threads[i] = start(create_use_destroy, (void *)(uintptr_t)(i + 1));
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

// ---- pressure -----------------------------------------------------------------------------------

struct pressure {
    int inside;        // callbacks that are running
    int expected_next; // 1: high, 0: low; they alternate
    uint64_t calls;
};

static void
note_pressure(void *ctx, struct zcb_pool *pool, bool high)
{
    struct pressure *pressure = ctx;

    CHECK(__atomic_add_fetch(&pressure->inside, 1, __ATOMIC_ACQ_REL) == 1); // one at a time
    CHECK(pressure->expected_next == high);
    pressure->expected_next = !high;
    pressure->calls++;
    must_stats(pool);
    if (high)
        zcb_pool_trim(pool, 0);
    CHECK(__atomic_sub_fetch(&pressure->inside, 1, __ATOMIC_ACQ_REL) == 0);
}

static void
pressure_is_told_one_at_a_time_and_in_turn(void **state)
{
    struct pressure pressure = {.expected_next = 1};
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536}},
        .slab_size = 65536,
        .low_bytes = 2 * MIB,
        .high_bytes = 4 * MIB,
        .on_pressure = note_pressure,
        .pressure_ctx = &pressure,
        .flags = ZCB_POOL_NO_CACHE,
        .source = zcb_source_libc(),
    };

    (void)state;
    run_churn(&config, 4, rounds(8000), true);
    assert_true(pressure.calls > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_pools_work_when_one_thread_acquires_and_another_releases),
        cmocka_unit_test(unlimited_pools_reach_a_steady_state_between_two_threads),
        cmocka_unit_test(no_buffer_ever_has_two_owners),
        cmocka_unit_test(nor_in_limited_pools_under_any_policy),
        cmocka_unit_test(nor_with_any_of_the_flags),
        cmocka_unit_test(what_an_ended_thread_had_cached_is_there_for_others),
        cmocka_unit_test(the_hundredth_thread_has_a_cache_like_the_first),
        cmocka_unit_test(
            what_an_idle_thread_has_cached_is_an_eighth_at_most_and_nothing_after_a_flush),
        cmocka_unit_test(five_hundred_short_threads_leave_nothing_behind),
        cmocka_unit_test(four_threads_of_a_hundred_make_four_hundred),
        cmocka_unit_test(many_waiters_on_few_buffers_all_get_one),
        cmocka_unit_test(one_who_waits_gets_what_a_busy_thread_has_cached),
        cmocka_unit_test(whoever_drops_the_last_reference_returns_the_buffer_once),
        cmocka_unit_test(pools_come_and_go_on_all_threads),
        cmocka_unit_test(pressure_is_told_one_at_a_time_and_in_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
