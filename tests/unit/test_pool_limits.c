// SPDX-License-Identifier: MIT
//
// Limits: max_buffers under each policy, max_bytes, the reserve, the watermarks and their callback.

#include "testing.h"

#include "support/failing_source.h"
#include "support/pools.h"

// ---- max_buffers --------------------------------------------------------------------------------

static void
dynamic_goes_beyond_the_tier_with_single_allocations(void **state)
{
    static const size_t limits[] = {1, 2, 10, 31, 32, 100};
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {0};

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    for (size_t c = 0; c < sizeof(limits) / sizeof(limits[0]); c++) {
        size_t limit = limits[c];
        struct zcb_pool *pool;
        struct zcb_buf *bufs[120];
        struct zcb_pool_stats stats;
        uint64_t slabs;

        config.tiers[0] = (struct zcb_tier){.buffer_size = 4096, .max_buffers = limit};
        pool = must_create(&config);
        for (size_t i = 0; i < limit; i++)
            bufs[i] = must_acquire(pool, 4096);
        stats = must_be_at_rest(pool);
        assert_int_equal(stats.tier[0].fallbacks, 0);
        assert_int_equal(stats.tier[0].charged, limit * 4096);
        slabs = failing.live;
        for (size_t i = limit; i < limit + 20; i++) {
            bufs[i] = must_acquire(pool, 4096);
            assert_true(zcb_buf_capacity(bufs[i]) >= 4096);
            memset(zcb_buf_data(bufs[i]), 1, 4096);
        }
        stats = must_be_at_rest(pool);
        assert_int_equal(stats.tier[0].fallbacks, 20);
        assert_int_equal(stats.tier[0].live, limit + 20);
        assert_int_equal(stats.tier[0].refusals, 0);
        assert_int_equal(stats.tier[0].charged, (limit + 20) * 4096);
        assert_int_equal(failing.live, slabs + 20);

        // The single ones are freed when they come back, in whatever order, and the others are
        // kept.
        for (size_t i = 0; i < limit + 20; i += 2)
            zcb_buf_release(&bufs[i]);
        for (size_t i = 1; i < limit + 20; i += 2)
            zcb_buf_release(&bufs[i]);
        stats = must_be_at_rest(pool);
        assert_int_equal(stats.tier[0].returns, limit);
        assert_int_equal(stats.tier[0].drops, 20);
        assert_int_equal(stats.tier[0].charged, limit * 4096);
        assert_int_equal(failing.live, slabs);
        must_end(&pool);
        assert_int_equal(failing.live, 0);
    }
}

static void
a_full_pool_with_policy_fail_refuses_and_stays_usable(void **state)
{
    static const size_t limits[] = {1, 2, 10, 31, 32, 33, 100, 600};

    (void)state;
    for (size_t c = 0; c < sizeof(limits) / sizeof(limits[0]); c++) {
        size_t limit = limits[c];
        const struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 4096, .max_buffers = limit}},
            .policy = ZCB_POOL_FAIL,
        };
        struct zcb_pool *pool = must_create(&config);
        struct zcb_buf *bufs[601] = {NULL};
        struct zcb_pool_stats stats;

        for (uint64_t round = 0; round < 3; round++) {
            for (size_t i = 0; i < limit; i++)
                bufs[i] = must_acquire(pool, 1);
            for (int i = 0; i < 5; i++)
                assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[limit]), -ENOBUFS);
            assert_int_equal(zcb_pool_acquire_n(pool, 1, &bufs[limit], 1), -ENOBUFS);
            assert_int_equal(zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_RESERVED, &bufs[limit]),
                             -ENOBUFS);
            assert_null(bufs[limit]);
            stats = must_be_at_rest(pool);
            assert_int_equal(stats.tier[0].live, limit);
            assert_int_equal(stats.tier[0].refusals, 8 * round + 7);
            assert_int_equal(stats.tier[0].fallbacks, 0);
            assert_int_equal(stats.tier[0].charged, limit * 4096);

            // One back, one to be had, and no more.
            zcb_buf_release(&bufs[limit / 2]);
            bufs[limit / 2] = must_acquire(pool, 1);
            assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[limit]), -ENOBUFS);
            assert_int_equal(must_be_at_rest(pool).tier[0].refusals, 8 * round + 8);
            zcb_buf_release_n(bufs, limit);
        }
        must_end(&pool);
    }
}

static void
policy_fail_still_serves_large_ones(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 1}},
        .policy = ZCB_POOL_FAIL,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *small = must_acquire(pool, 1);
    struct zcb_buf *large = must_acquire(pool, 100000);

    (void)state;
    assert_true(zcb_buf_capacity(large) >= 100000);
    zcb_buf_release(&small);
    zcb_buf_release(&large);
    must_end(&pool);
}

static void
many_at_once_stop_at_the_limit(void **state)
{
    static const enum zcb_pool_policy policies[] = {ZCB_POOL_FAIL, ZCB_POOL_WAIT, ZCB_POOL_DYNAMIC};

    (void)state;
    for (size_t p = 0; p < 3; p++) {
        const struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 4096, .max_buffers = 10}},
            .policy = policies[p],
            .wait_ms = 1,
        };
        struct zcb_pool *pool = must_create(&config);
        struct zcb_buf *bufs[32] = {NULL};
        int got = zcb_pool_acquire_n(pool, 1, bufs, 32);

        if (policies[p] == ZCB_POOL_DYNAMIC) {
            assert_int_equal(got, 32);
            assert_int_equal(must_be_at_rest(pool).total.fallbacks, 22);
        } else {
            assert_int_equal(got, 10);
            assert_null(bufs[10]);
            assert_int_equal(zcb_pool_acquire_n(pool, 1, bufs + 10, 5),
                             policies[p] == ZCB_POOL_FAIL ? -ENOBUFS : -ETIMEDOUT);
            assert_null(bufs[10]);
        }
        zcb_buf_release_n(bufs, 32);
        must_end(&pool);
    }
}

static void
waiting_in_vain_times_out(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 2}},
        .policy = ZCB_POOL_WAIT,
        .wait_ms = 5,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[3] = {NULL};
    struct zcb_pool_stats stats;

    (void)state;
    bufs[0] = must_acquire(pool, 1);
    bufs[1] = must_acquire(pool, 1);
    assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[2]), -ETIMEDOUT);
    stats = must_be_at_rest(pool);
    assert_int_equal(stats.tier[0].waits, 1);
    assert_int_equal(stats.tier[0].refusals, 1);
    assert_int_equal(zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_NOWAIT, &bufs[2]), -ENOBUFS);
    stats = must_be_at_rest(pool);
    assert_int_equal(stats.tier[0].waits, 1);
    assert_int_equal(stats.tier[0].refusals, 2);
    assert_null(bufs[2]);
    zcb_buf_release(&bufs[0]);
    bufs[2] = must_acquire(pool, 1);
    assert_int_equal(must_be_at_rest(pool).tier[0].waits, 1);
    zcb_buf_release_n(bufs, 3);
    must_end(&pool);
}

static void
waiting_for_memory_times_out(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536}},
        .slab_size = 65536,
        .max_bytes = 2 * 65536,
        .policy = ZCB_POOL_WAIT,
        .wait_ms = 5,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[3] = {NULL};
    int result;

    (void)state;
    bufs[0] = must_acquire(pool, 1);
    bufs[1] = must_acquire(pool, 1);
    assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[2]), -ETIMEDOUT);
    assert_int_equal(zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_NOWAIT, &bufs[2]), -ENOBUFS);
    // What can never be there need not be waited for; either code says so.
    result = zcb_pool_acquire(pool, MIB, &bufs[2]);
    assert_true(result == -ENOBUFS || result == -ETIMEDOUT);
    assert_null(bufs[2]);
    zcb_buf_release(&bufs[0]);
    bufs[0] = must_acquire(pool, 1);
    zcb_buf_release_n(bufs, 3);
    must_end(&pool);
}

// ---- max_bytes ----------------------------------------------------------------------------------

static void
slabs_are_made_small_enough_for_the_limit(void **state)
{
    static const size_t limits[] = {4096, 8192, 65536, 100000, 1000000, 3 * MIB};

    (void)state;
    for (size_t c = 0; c < sizeof(limits) / sizeof(limits[0]); c++) {
        const struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 4096}},
            .max_bytes = limits[c],
            .policy = ZCB_POOL_FAIL,
        };
        struct zcb_pool *pool = must_create(&config);
        static struct zcb_buf *bufs[800];
        size_t n = 0;
        int result;

        while ((result = zcb_pool_acquire(pool, 4096, &bufs[n])) == 0)
            n++;
        assert_int_equal(result, -ENOBUFS);
        // Nearly all of it can be used: what is lost is less than an eighth, and nothing where it
        // is one buffer or two.
        assert_true(n * 4096 <= limits[c]);
        assert_true(n >= 1 && n * 4096 + limits[c] / 8 + 4096 > limits[c]);
        if (limits[c] <= 65536)
            assert_int_equal(n, limits[c] / 4096);
        assert_true(must_be_at_rest(pool).total.charged <= limits[c]);
        assert_int_equal(must_be_at_rest(pool).max_bytes, limits[c]);
        zcb_buf_release_n(bufs, n);
        must_end(&pool);
    }
}

static void
the_limit_is_never_exceeded_whatever_is_done(void **state)
{
    enum { STEPS = 60000, HELD = 400 };
    static const enum zcb_pool_policy policies[] = {ZCB_POOL_DYNAMIC, ZCB_POOL_FAIL};
    uint64_t seed = zcb_test_seed();

    (void)state;
    for (size_t p = 0; p < 2; p++) {
        struct zcb_failing_source failing;
        struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 4096, .max_buffers = 60},
                      {.buffer_size = 16384},
                      {.buffer_size = 65536}},
            .max_bytes = 4 * MIB,
            .policy = policies[p],
        };
        static struct zcb_buf *held[HELD];
        struct zcb_pool *pool;
        size_t refused = 0;

        zcb_failing_source_init(&failing);
        config.source = &failing.source;
        pool = must_create(&config);
        for (size_t i = 0; i < STEPS; i++) {
            size_t at = zcb_test_below(&seed, HELD);

            if (held[at] != NULL) {
                zcb_buf_release(&held[at]);
            } else {
                size_t len = zcb_test_below(&seed, zcb_test_below(&seed, 8) == 0 ? 300000 : 30000);
                int result = zcb_pool_acquire(pool, len, &held[at]);

                assert_true(result == 0 || result == -ENOBUFS);
                assert_true((result == 0) == (held[at] != NULL));
                if (result == 0)
                    assert_true(zcb_buf_tailroom(held[at]) >= len);
                refused += result != 0;
            }
            if (i % 1000 == 0)
                zcb_pool_trim(pool, i % 3000 == 0 ? 0 : 100000);
            assert_true(failing.live_bytes <= config.max_bytes);
            if (i % 16 == 0)
                assert_true(must_be_at_rest(pool).total.charged <= config.max_bytes);
        }
        assert_true(refused > 0);
        assert_true(failing.peak_bytes <= config.max_bytes);
        zcb_buf_release_n(held, HELD);
        must_end(&pool);
        assert_int_equal(failing.live, 0);
    }
}

static void
idle_memory_of_one_tier_makes_room_for_another(void **state)
{
    const struct zcb_pool_config config = {.max_bytes = MIB, .slab_size = 256 * KIB};
    struct zcb_pool *pool = must_create(&config);
    static struct zcb_buf *bufs[300];
    size_t n = 0;

    (void)state;
    while (n < 300 && zcb_pool_acquire(pool, 4096, &bufs[n]) == 0)
        n++;
    assert_true(n >= 200 && n <= 256);
    zcb_buf_release_n(bufs, n);
    bufs[0] = must_acquire(pool, 65536);
    assert_true(must_be_at_rest(pool).total.charged <= MIB);
    bufs[1] = must_acquire(pool, 300000);
    zcb_buf_release_n(bufs, 2);
    must_end(&pool);
}

static void
a_single_allocation_counts_while_it_is_out(void **state)
{
    const struct zcb_pool_config config = {.max_bytes = MIB};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *one = must_acquire(pool, 600000);
    struct zcb_buf *two = NULL;

    (void)state;
    assert_int_equal(zcb_pool_acquire(pool, 600000, &two), -ENOBUFS);
    assert_null(two);
    assert_int_equal(must_be_at_rest(pool).oversize.refusals, 1);
    zcb_buf_release(&one);
    assert_int_equal(must_be_at_rest(pool).total.charged, 0);
    two = must_acquire(pool, 600000);
    zcb_buf_release(&two);
    assert_int_equal(zcb_pool_acquire(pool, MIB + 1, &two), -ENOBUFS);
    assert_int_equal(zcb_pool_acquire(pool, SIZE_MAX / 8, &two), -ENOBUFS);
    assert_null(two);
    must_end(&pool);
}

static void
a_source_without_memory_is_out_of_memory_not_at_a_limit(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 4}, {.buffer_size = 65536}}};
    struct zcb_pool *pool;
    struct zcb_buf *bufs[6] = {NULL};

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    zcb_failing_source_fail(&failing, 1, true);
    assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[0]), -ENOMEM);
    assert_int_equal(zcb_pool_acquire(pool, 65536, &bufs[0]), -ENOMEM);
    assert_int_equal(zcb_pool_acquire(pool, 70000, &bufs[0]), -ENOMEM);
    assert_int_equal(zcb_pool_acquire_n(pool, 1, bufs, 4), -ENOMEM);
    assert_int_equal(zcb_pool_prefault(pool, 1, 2), -ENOMEM);
    assert_null(bufs[0]);
    assert_int_equal(must_be_at_rest(pool).total.charged, 0);
    assert_int_equal(must_be_at_rest(pool).total.refusals, 4);

    // The tier is there, one beyond it is not.
    zcb_failing_source_fail(&failing, 0, false);
    for (size_t i = 0; i < 4; i++)
        bufs[i] = must_acquire(pool, 1);
    zcb_failing_source_fail(&failing, 1, true);
    assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[4]), -ENOMEM);
    zcb_buf_release(&bufs[0]);
    bufs[0] = must_acquire(pool, 1);
    zcb_failing_source_fail(&failing, 0, false);
    bufs[4] = must_acquire(pool, 1);
    zcb_buf_release_n(bufs, 6);
    must_end(&pool);
    assert_int_equal(failing.live, 0);
}

// ---- the reserve --------------------------------------------------------------------------------

static void
the_reserve_is_for_those_who_name_it(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536}},
        .slab_size = 65536,
        .max_bytes = 5 * 65536,
        .reserve_bytes = 2 * 65536,
        .policy = ZCB_POOL_FAIL,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[6] = {NULL};

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3; i++)
            bufs[i] = must_acquire(pool, 1);
        assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[3]), -ENOBUFS);
        assert_int_equal(zcb_pool_acquire(pool, 70000, &bufs[3]), -ENOBUFS);
        assert_int_equal(zcb_pool_acquire_n(pool, 1, &bufs[3], 2), -ENOBUFS);
        assert_int_equal(zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_RESERVED, &bufs[3]), 0);
        assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[4]), -ENOBUFS);
        assert_int_equal(zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_RESERVED, &bufs[4]), 0);
        assert_int_equal(zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_RESERVED, &bufs[5]), -ENOBUFS);
        assert_int_equal(
            zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_RESERVED | ZCB_ACQUIRE_NOWAIT, &bufs[5]),
            -ENOBUFS);
        must_be_at_rest(pool);

        // What comes back fills the reserve first: used once, it is there again.
        zcb_buf_release(&bufs[0]);
        assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[0]), -ENOBUFS);
        assert_int_equal(zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_RESERVED, &bufs[0]), 0);
        zcb_buf_release_n(bufs, 6);
    }
    must_end(&pool);
}

static void
the_reserve_holds_where_threads_have_caches(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536}},
        .slab_size = 65536,
        .max_bytes = 64 * 65536,
        .reserve_bytes = 16 * 65536,
        .policy = ZCB_POOL_FAIL,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[65] = {NULL};

    (void)state;
    assert_int_equal(zcb_thread_warm(pool), 0);
    for (int round = 0; round < 5; round++) {
        size_t n = 0;

        while (zcb_pool_acquire(pool, 1, &bufs[n]) == 0)
            n++;
        assert_int_equal(n, 48);
        while (zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_RESERVED, &bufs[n]) == 0)
            n++;
        assert_int_equal(n, 64);
        zcb_buf_release_n(bufs, 8); // 56 are out: still more than 48
        assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[0]), -ENOBUFS);
        assert_int_equal(zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_RESERVED, &bufs[0]), 0);
        zcb_buf_release_n(bufs, 64);
    }
    must_end(&pool);
}

static void
a_large_one_may_use_the_reserve(void **state)
{
    const struct zcb_pool_config config = {.max_bytes = 4 * MIB, .reserve_bytes = 2 * MIB};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *buf = NULL;

    (void)state;
    assert_int_equal(zcb_pool_acquire(pool, 3 * MIB, &buf), -ENOBUFS);
    assert_int_equal(zcb_pool_acquire_flags(pool, 3 * MIB, ZCB_ACQUIRE_RESERVED, &buf), 0);
    zcb_buf_release(&buf);
    must_end(&pool);
}

// ---- watermarks ---------------------------------------------------------------------------------

struct watcher {
    int calls[2];
    bool last;
    bool use_pool; // the callback acquires, releases, asks and trims
    struct zcb_pool *pool;
    struct zcb_buf *kept;
};

static void
watch(void *ctx, struct zcb_pool *pool, bool high)
{
    struct watcher *watcher = ctx;
    struct zcb_buf *bufs[2] = {NULL};

    watcher->calls[high]++;
    watcher->last = high;
    watcher->pool = pool;
    if (!watcher->use_pool)
        return;
    must_stats(pool);
    CHECK(zcb_pool_acquire(pool, 1, &bufs[0]) == 0);
    CHECK(zcb_pool_acquire(pool, 200000, &bufs[1]) == 0);
    zcb_buf_release_n(bufs, 2);
    if (watcher->kept != NULL)
        zcb_buf_release(&watcher->kept);
    zcb_thread_flush();
    (void)zcb_pool_trim(pool, SIZE_MAX);
}

static void
watermarks_tell_once_each_way(void **state)
{
    struct watcher watcher = {.calls = {0, 0}};
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536}},
        .slab_size = 65536,
        .low_bytes = 2 * 65536,
        .high_bytes = 4 * 65536,
        .on_pressure = watch,
        .pressure_ctx = &watcher,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[6];

    (void)state;
    for (int round = 1; round <= 3; round++) {
        for (size_t i = 0; i < 3; i++)
            bufs[i] = must_acquire(pool, 1);
        assert_int_equal(watcher.calls[true], round - 1);
        bufs[3] = must_acquire(pool, 1); // held rises to high
        assert_int_equal(watcher.calls[true], round);
        assert_ptr_equal(watcher.pool, pool);
        bufs[4] = must_acquire(pool, 1);
        bufs[5] = must_acquire(pool, 1);
        assert_int_equal(watcher.calls[true], round);
        assert_int_equal(watcher.calls[false], round - 1);

        // Between the marks nothing is said.
        zcb_buf_release_n(bufs, 3);
        zcb_pool_trim(pool, 0);
        assert_int_equal(must_be_at_rest(pool).total.charged, 3 * 65536);
        assert_int_equal(watcher.calls[false], round - 1);
        zcb_buf_release(&bufs[3]);
        zcb_pool_trim(pool, 0);
        assert_int_equal(watcher.calls[false], round);
        assert_int_equal(watcher.calls[true], round);
        zcb_buf_release(&bufs[4]);
        zcb_buf_release(&bufs[5]);
        zcb_pool_trim(pool, 0);
        assert_int_equal(watcher.calls[false], round);
    }
    must_end(&pool);
    assert_int_equal(watcher.calls[true], 3);
    assert_int_equal(watcher.calls[false], 3);
}

static void
single_allocations_move_the_watermarks_too(void **state)
{
    struct watcher watcher = {.calls = {0, 0}};
    const struct zcb_pool_config config = {
        .low_bytes = 0,
        .high_bytes = MIB,
        .on_pressure = watch,
        .pressure_ctx = &watcher,
    };
    struct zcb_pool *pool = must_create(&config);

    (void)state;
    for (int round = 1; round <= 3; round++) {
        struct zcb_buf *buf = must_acquire(pool, MIB);

        assert_int_equal(watcher.calls[true], round);
        zcb_buf_release(&buf);
        assert_int_equal(watcher.calls[false], round); // to low, which is 0
    }
    must_end(&pool);
}

static void
the_callback_may_use_the_pool(void **state)
{
    struct watcher watcher = {.use_pool = true};
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536, .max_buffers = 100}},
        .slab_size = 65536,
        .low_bytes = 2 * 65536,
        .high_bytes = 4 * 65536,
        .max_bytes = 100 * 65536,
        .on_pressure = watch,
        .pressure_ctx = &watcher,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[6];

    (void)state;
    for (int round = 1; round <= 5; round++) {
        watcher.kept = must_acquire(pool, 1);
        for (size_t i = 0; i < 6; i++)
            bufs[i] = must_acquire(pool, 1);
        assert_true(watcher.calls[true] >= round);
        zcb_buf_release_n(bufs, 6);
        zcb_buf_release(&watcher.kept);
        zcb_pool_trim(pool, 0);
        assert_true(watcher.calls[false] >= round);
        must_be_at_rest(pool);
    }
    // Each rise is followed by a fall before the next rise, also where the callback itself caused
    // them.
    assert_true(watcher.calls[true] - watcher.calls[false] == 0 ||
                watcher.calls[true] - watcher.calls[false] == 1);
    must_end(&pool);
}

static void
prefault_and_the_limits(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 50}, {.buffer_size = 65536}},
        .max_bytes = MIB,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[50];

    (void)state;
    assert_int_equal(zcb_pool_prefault(pool, 65537, 1), -EINVAL);
    assert_int_equal(zcb_pool_prefault(pool, 4096, 0), 0);
    assert_int_equal(zcb_pool_prefault(pool, 4096, 50), 0);
    assert_int_equal(zcb_pool_prefault(pool, 4096, 50), 0); // they are free already
    assert_int_equal(zcb_pool_prefault(pool, 4096, 51), -ENOBUFS);
    assert_int_equal(zcb_pool_prefault(pool, 65536, 17), -ENOBUFS);
    assert_int_equal(zcb_pool_prefault(pool, 4096, SIZE_MAX), -ENOBUFS);
    for (size_t i = 0; i < 50; i++)
        bufs[i] = must_acquire(pool, 4096);
    assert_int_equal(must_be_at_rest(pool).tier[0].misses, 0);
    assert_int_equal(must_be_at_rest(pool).tier[0].fallbacks, 0);
    assert_int_equal(zcb_pool_prefault(pool, 4096, 1), -ENOBUFS);
    zcb_buf_release_n(bufs, 50);
    assert_true(must_be_at_rest(pool).total.peak_charged <= MIB);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dynamic_goes_beyond_the_tier_with_single_allocations),
        cmocka_unit_test(a_full_pool_with_policy_fail_refuses_and_stays_usable),
        cmocka_unit_test(policy_fail_still_serves_large_ones),
        cmocka_unit_test(many_at_once_stop_at_the_limit),
        cmocka_unit_test(waiting_in_vain_times_out),
        cmocka_unit_test(waiting_for_memory_times_out),
        cmocka_unit_test(slabs_are_made_small_enough_for_the_limit),
        cmocka_unit_test(the_limit_is_never_exceeded_whatever_is_done),
        cmocka_unit_test(idle_memory_of_one_tier_makes_room_for_another),
        cmocka_unit_test(a_single_allocation_counts_while_it_is_out),
        cmocka_unit_test(a_source_without_memory_is_out_of_memory_not_at_a_limit),
        cmocka_unit_test(the_reserve_is_for_those_who_name_it),
        cmocka_unit_test(the_reserve_holds_where_threads_have_caches),
        cmocka_unit_test(a_large_one_may_use_the_reserve),
        cmocka_unit_test(watermarks_tell_once_each_way),
        cmocka_unit_test(single_allocations_move_the_watermarks_too),
        cmocka_unit_test(the_callback_may_use_the_pool),
        cmocka_unit_test(prefault_and_the_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
