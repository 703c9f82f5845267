// SPDX-License-Identifier: MIT
//
// Statistics that are read while others work: a snapshot may be a few operations old, but counters
// never go back and nothing wraps.

#include "testing.h"

#include "support/pools.h"

#include "pool/cache.h"

#include <pthread.h>

#define PLACES 64
#define THREADS 3

// Buffers go from thread to thread through places, so that a cache takes in what another one gave
// out a moment ago.
struct churn {
    struct zcb_pool *pool;
    size_t places; // in use
    size_t rounds;
    unsigned busy; // threads
    struct zcb_buf *place[PLACES];
};

static void *
pass_on(void *argument)
{
    struct churn *churn = argument;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;

    for (size_t i = 0; i < churn->rounds; i++) {
        struct zcb_buf *buf = NULL;
        size_t at = zcb_test_below(&seed, churn->places);

        // Half of the turns only take away.
        if (zcb_test_below(&seed, 2) == 0)
            CHECK(zcb_pool_acquire(churn->pool, i % 64 == 0 ? 100000 : 1, &buf) == 0);
        buf = __atomic_exchange_n(&churn->place[at], buf, __ATOMIC_ACQ_REL);
        zcb_buf_release(&buf);
    }
    __atomic_sub_fetch(&churn->busy, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void
must_have_gone_on(const struct zcb_tier_stats *before, const struct zcb_tier_stats *now)
{
    CHECK(now->acquires == now->hits + now->depot_hits + now->misses + now->fallbacks);
    CHECK(now->acquires >= now->returns + now->drops);
    CHECK(now->live < UINT32_MAX);
#define GREW(name, gauge, help) CHECK((gauge) || now->name >= before->name);
    ZCB_TIER_STATS(GREW)
#undef GREW
}

static void
must_be_sane_all_the_time(const struct zcb_pool_config *config, size_t places)
{
    struct churn churn = {.pool = must_create(config),
                          .places = places,
                          .rounds = zcb_test_rounds(200000),
                          .busy = THREADS};
    struct zcb_pool_stats before = must_stats(churn.pool);
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, pass_on, &churn) == 0);
    while (__atomic_load_n(&churn.busy, __ATOMIC_ACQUIRE) != 0) {
        struct zcb_pool_stats now = must_stats(churn.pool);

        for (uint32_t t = 0; t < now.tiers; t++) {
            must_have_gone_on(&before.tier[t], &now.tier[t]);
            // All of them were there at one time: none is counted twice.
            CHECK((now.tier[t].cached + now.tier[t].depot + now.tier[t].live) *
                      now.tier[t].buffer_size ==
                  now.tier[t].slabs * (2 * MIB));
        }
        must_have_gone_on(&before.oversize, &now.oversize);
        must_have_gone_on(&before.total, &now.total);
        before = now;
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    zcb_buf_release_n(churn.place, PLACES);
    must_be_at_rest(churn.pool);
    must_end(&churn.pool);
}

static void
counters_never_go_back_and_never_wrap(void **state)
{
    static const struct zcb_pool_config configs[] = {{.flags = 0}, {.flags = ZCB_POOL_NO_CACHE}};

    (void)state;
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        must_be_sane_all_the_time(&configs[i], PLACES);
        must_be_sane_all_the_time(&configs[i], 1);
    }
}

// The moments in between are too short to be met often; here they are made by hand, in the numbers
// of this thread's cache.
static void
a_glance_at_the_middle_of_a_call_is_as_sane(void **state)
{
    // So many came from another cache that was looked at before it gave them out.
    static const unsigned glances[] = {3, 0, 6, 1, 0};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_pool_stats rest, before;
    struct zcb_magazine *magazine;
    struct zcb_buf *bufs[40];
    size_t i;

    (void)state;
    for (size_t round = 0; round < 3; round++) {
        assert_int_equal(zcb_pool_acquire_n(pool, 1, bufs, 40), 40);
        zcb_buf_release_n(bufs, 40);
    }
    rest = before = must_be_at_rest(pool);
    assert_int_equal(rest.tier[0].acquires, rest.tier[0].returns);
    if (zcb_cache_find(pool->id) == NULL) { // under Valgrind there are no caches
        zcb_pool_destroy(&pool);
        skip();
    }
    magazine = &zcb_cache_find(pool->id)->tier[0];
    for (i = 0; i < sizeof(glances) / sizeof(glances[0]); i++) {
        struct zcb_pool_stats now;
        uint64_t word;

        assert_int_equal(zcb_pool_acquire_n(pool, 1, bufs, 3), 3);
        zcb_buf_release_n(bufs, 3);
        word = magazine->word;
        magazine->word = word + glances[i];
        now = must_stats(pool);
        magazine->word = word;
        assert_true(now.tier[0].returns >= before.tier[0].returns);
        assert_true(now.tier[0].acquires >= now.tier[0].returns);
        assert_true(now.tier[0].live <= 6);
        assert_int_equal(now.tier[0].cached + now.tier[0].depot + now.tier[0].live, 512);
        before = now;
    }
    before = must_be_at_rest(pool);
    assert_int_equal(before.tier[0].returns, rest.tier[0].returns + 3 * i);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_glance_at_the_middle_of_a_call_is_as_sane),
        cmocka_unit_test(counters_never_go_back_and_never_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
