// SPDX-License-Identifier: MIT
//
// Steady state allocates nothing, and giving back never does: counted at the allocator and at the
// source.

#include "testing.h"

#include "support/alloc_count.h"
#include "support/failing_source.h"
#include "support/pools.h"

#include <pthread.h>

static bool
can_count(void)
{
    if (!zcb_alloc_count_works())
        print_message("the linker cannot count allocations here\n");
    return zcb_alloc_count_works();
}

static void
a_warm_pool_allocates_nothing(void **state)
{
    static const uint32_t flags[] = {0, ZCB_POOL_NO_CACHE, ZCB_POOL_HARDENED};
    static const size_t sizes[] = {100, 16000, 65536};

    (void)state;
    if (!can_count())
        skip();
    for (size_t f = 0; f < 3; f++) {
        const struct zcb_pool_config config = {.flags = flags[f]};
        struct zcb_pool *pool = must_create(&config);
        // Looking at each byte of each free buffer takes its time.
        const int rounds = flags[f] == ZCB_POOL_HARDENED && ZCB_UNDER_TSAN ? 2 : 30;
        struct zcb_buf *bufs[300];
        uint64_t before;

        // Once as far as it will go, so that the slabs are there.
        for (size_t s = 0; s < 3; s++) {
            assert_int_equal(zcb_pool_acquire_n(pool, sizes[s], bufs, 300), 300);
            zcb_buf_release_n(bufs, 300);
        }
        assert_int_equal(zcb_thread_warm(pool), 0);
        before = zcb_alloc_count();
        for (int round = 0; round < rounds; round++) {
            for (size_t s = 0; s < 3; s++) {
                struct zcb_packet packets[100], slices[100];

                assert_int_equal(zcb_pool_acquire_n(pool, sizes[s], bufs, 300), 300);
                zcb_buf_release_n(bufs, 150);
                for (size_t i = 150; i < 300; i++)
                    zcb_buf_release(&bufs[i]);
                for (size_t i = 0; i < 300; i++)
                    bufs[i] = must_acquire(pool, sizes[s]);
                for (size_t i = 0; i < 100; i++) {
                    assert_int_equal(zcb_buf_set_len(bufs[i], 50), 0);
                    zcb_buf_share(&bufs[i], &packets[i]);
                    assert_int_equal(zcb_packet_slice(&packets[i], 5, 5, &slices[i]), 0);
                    zcb_packet_unref(&packets[i]);
                }
                zcb_buf_release_n(bufs + 100, 200);
                for (size_t i = 0; i < 100; i++)
                    zcb_packet_unref(&slices[i]);
            }
            if (round % 10 == 9)
                zcb_thread_flush();
            must_be_at_rest(pool);
        }
        assert_int_equal(zcb_alloc_count(), before);
        must_end(&pool);
    }
}

static void
looking_and_tidying_allocate_nothing(void **state)
{
    struct zcb_pool *pool;
    struct zcb_buf *bufs[100];
    FILE *sink;
    uint64_t before;

    (void)state;
    if (!can_count())
        skip();
    pool = must_create(NULL);
    sink = tmpfile();
    assert_non_null(sink);
    assert_int_equal(zcb_pool_acquire_n(pool, 100, bufs, 100), 100);
    zcb_buf_release_n(bufs, 99);
    before = zcb_alloc_count();
    for (int format = ZCB_STATS_TEXT; format <= ZCB_STATS_PROMETHEUS; format++)
        assert_int_equal(zcb_pool_stats_print(pool, fileno(sink), (enum zcb_stats_format)format),
                         0);
    must_stats(pool);
    zcb_pool_decay(pool);
    zcb_pool_trim(pool, 0);
    zcb_thread_flush();
    assert_int_equal(zcb_pool_prefault(pool, 100, 50), 0);
    assert_int_equal(zcb_alloc_count(), before);
    zcb_buf_release(&bufs[99]);
    zcb_pool_destroy(&pool);
    assert_int_equal(zcb_alloc_count(), before);
    fclose(sink);
}

// ---- a thread whose first call is a release -----------------------------------------------------

struct handed {
    struct zcb_buf *bufs[200];
    struct zcb_packet packets[50];
    bool warm; // the thread warms itself first
    struct zcb_pool *pool;
    uint64_t allocated;
};

static void *
release_all(void *argument)
{
    struct handed *handed = argument;
    uint64_t before;

    if (handed->warm) {
        struct zcb_buf *buf;

        CHECK(zcb_thread_warm(handed->pool) == 0);
        before = zcb_alloc_count();
        buf = must_acquire(handed->pool, 1);
        zcb_buf_release(&buf);
        CHECK(zcb_alloc_count() == before);
    }
    before = zcb_alloc_count();
    for (size_t i = 0; i < 100; i++)
        zcb_buf_release(&handed->bufs[i]);
    zcb_buf_release_n(handed->bufs + 100, 100);
    for (size_t i = 0; i < 50; i++)
        zcb_packet_unref(&handed->packets[i]);
    handed->allocated = zcb_alloc_count() - before;
    return NULL;
}

static void
releasing_never_allocates_not_even_as_a_threads_first_call(void **state)
{
    (void)state;
    if (!can_count())
        skip();
    for (size_t round = 0; round < 20; round++) {
        struct zcb_pool *others[10] = {
            NULL}; // so that this pool's number is beyond a thread's first few
        struct zcb_pool *pool;
        struct handed handed = {.warm = round % 3 == 2};
        pthread_t thread;

        if (round % 2 == 1) {
            for (size_t i = 0; i < 10; i++)
                others[i] = must_create(NULL);
        }
        pool = must_create(NULL);
        handed.pool = pool;
        for (size_t i = 0; i < 200; i++)
            handed.bufs[i] = must_acquire(pool, i % 4 * 30000);
        for (size_t i = 0; i < 50; i++)
            handed.packets[i] = must_packet(pool, 100);
        assert_int_equal(pthread_create(&thread, NULL, release_all, &handed), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(handed.allocated, 0);
        must_end(&pool);
        for (size_t i = 0; i < 10; i++)
            zcb_pool_destroy(&others[i]);
    }
}

// And it works where there is nothing to be allocated any more.
static void
releasing_works_when_memory_has_run_out(void **state)
{
    struct zcb_pool *pool;
    struct handed handed = {.warm = false};
    pthread_t thread;
    int64_t live;

    (void)state;
    if (!can_count())
        skip();
    live = zcb_alloc_live();
    pool = must_create(NULL);
    for (size_t i = 0; i < 200; i++)
        handed.bufs[i] = must_acquire(pool, i % 4 * 30000);
    for (size_t i = 0; i < 50; i++)
        handed.packets[i] = must_packet(pool, 100);
    handed.pool = pool;
    zcb_alloc_fail(1, true);
    assert_int_equal(pthread_create(&thread, NULL, release_all, &handed), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(zcb_alloc_failed(), 0); // it did not even ask
    assert_int_equal(must_be_at_rest(pool).total.live, 0);
    zcb_pool_trim(pool, 0);
    zcb_pool_destroy(&pool);
    zcb_alloc_fail(0, false);
    assert_int_equal(zcb_alloc_live(), live);
}

static void
acquiring_works_without_memory_for_a_cache(void **state)
{
    struct zcb_pool *pool;
    struct zcb_buf *buf;

    (void)state;
    if (!can_count())
        skip();
    {
        const struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096, .prealloc = 10}}};

        pool = must_create(&config);
    }
    zcb_alloc_fail(1, true);
    for (int i = 0; i < 100; i++) {
        buf = must_acquire(pool, 1);
        zcb_buf_release(&buf);
    }
    zcb_alloc_fail(0, false);
    assert_int_equal(must_be_at_rest(pool).total.acquires, 100);
    must_end(&pool);
}

// Beyond its first eight pools a thread needs a table, or does without a cache.
static void *
use_twelve_pools(void *argument)
{
    struct zcb_pool **pools = argument;
    struct zcb_buf *buf;

    zcb_alloc_fail(1, true);
    for (size_t i = 0; i < 12; i++) {
        buf = must_acquire(pools[i], 1);
        zcb_buf_release(&buf);
    }
    zcb_alloc_fail(0, false);
    CHECK(must_be_at_rest(pools[0]).threads == 1);
    CHECK(must_be_at_rest(pools[11]).threads == 0);
    buf = must_acquire(pools[11], 1); // now there is memory, and a cache
    zcb_buf_release(&buf);
    CHECK(must_be_at_rest(pools[11]).threads == 1);
    return NULL;
}

static void
acquiring_works_without_memory_for_a_larger_table(void **state)
{
    const struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096, .prealloc = 10}}};
    struct zcb_pool *pools[12];
    pthread_t thread;

    (void)state;
    if (!can_count())
        skip();
    for (size_t i = 0; i < 12; i++)
        pools[i] = must_create(&config);
    assert_int_equal(pthread_create(&thread, NULL, use_twelve_pools, pools), 0);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < 12; i++)
        must_end(&pools[i]);
}

struct late {
    struct zcb_pool *pool;
    struct zcb_buf *buf;
    pthread_barrier_t *all_here;
    int warmed;
};

static void *
release_and_stay(void *argument)
{
    struct late *late = argument;

    late->warmed = late->buf == NULL ? zcb_thread_warm(late->pool) : 0;
    zcb_buf_release(&late->buf);
    pthread_barrier_wait(late->all_here);
    pthread_barrier_wait(late->all_here);
    return NULL;
}

// A pool keeps two caches for threads that may not allocate; the third such thread has none.
static void
with_an_empty_spares_box(bool warm)
{
    struct zcb_pool *pool = must_create(NULL);
    struct late late[4];
    pthread_t threads[4];
    pthread_barrier_t all_here;

    assert_int_equal(pthread_barrier_init(&all_here, NULL, 5), 0);
    for (size_t i = 0; i < 4; i++)
        late[i] = (struct late){pool, warm ? NULL : must_acquire(pool, 1), &all_here, 1};
    zcb_thread_flush();
    zcb_alloc_fail(1, true);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, release_and_stay, &late[i]), 0);
    pthread_barrier_wait(&all_here);
    zcb_alloc_fail(0, false);
    assert_int_equal(must_be_at_rest(pool).threads, warm ? 2 : 1 + 2);
    assert_int_equal(must_be_at_rest(pool).total.live, 0);
    pthread_barrier_wait(&all_here);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(late[i].warmed, warm ? -ENOMEM : 0);
    }
    pthread_barrier_destroy(&all_here);
    must_end(&pool);
}

static void
when_all_spare_caches_are_taken_a_release_goes_to_the_depot(void **state)
{
    (void)state;
    if (!can_count())
        skip();
    with_an_empty_spares_box(false);
}

static void
warming_without_memory_says_so(void **state)
{
    (void)state;
    if (!can_count())
        skip();
    with_an_empty_spares_box(true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_warm_pool_allocates_nothing),
        cmocka_unit_test(looking_and_tidying_allocate_nothing),
        cmocka_unit_test(releasing_never_allocates_not_even_as_a_threads_first_call),
        cmocka_unit_test(releasing_works_when_memory_has_run_out),
        cmocka_unit_test(acquiring_works_without_memory_for_a_cache),
        cmocka_unit_test(acquiring_works_without_memory_for_a_larger_table),
        cmocka_unit_test(when_all_spare_caches_are_taken_a_release_goes_to_the_depot),
        cmocka_unit_test(warming_without_memory_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
