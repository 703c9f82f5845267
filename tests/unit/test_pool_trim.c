// SPDX-License-Identifier: MIT
//
// Giving memory back and having it ready: trim, decay, prefault, prealloc, adaptive. Whether memory
// is resident is asked of the kernel (mincore), not of the library.

#include "testing.h"

#include "support/failing_source.h"
#include "support/pools.h"

#include <sys/mman.h>
#include <time.h>

// Pages of [at, at + len) that are in memory; what is not mapped any more is not.
static size_t
resident(const uint8_t *at, size_t len)
{
    size_t count = 0;

    for (size_t off = 0; off < len; off += 4096) {
        unsigned char page = 0;

        if (mincore((void *)(uintptr_t)(at + off), 4096, &page) == 0 && (page & 1) != 0)
            count++;
    }
    return count;
}

// Acquires `n` buffers, writes to each of their pages and notes where they are.
static void
take(struct zcb_pool *pool, size_t len, struct zcb_buf **bufs, uint8_t **at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bufs[i] = must_acquire(pool, len);
        at[i] = zcb_buf_data(bufs[i]);
        memset(at[i], 0xa5, zcb_buf_capacity(bufs[i]));
    }
}

static size_t
resident_of(uint8_t *const *at, size_t n, size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += resident(at[i], len);
    return count;
}

static const struct zcb_pool_config on_pages = {.tiers = {{.buffer_size = 65536}}};

static struct zcb_pool_config
pages_config(void)
{
    struct zcb_pool_config config = on_pages;

    config.source = zcb_source_pages();
    return config;
}

// ---- trim ---------------------------------------------------------------------------------------

static void
trim_of_an_idle_pool_gives_everything_to_the_source(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {0};
    struct zcb_pool *pool;
    static struct zcb_buf *bufs[2000];

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    assert_int_equal(zcb_pool_trim(pool, 0), 0);
    for (int round = 0; round < 3; round++) {
        struct zcb_pool_stats before, after;
        size_t given;

        for (size_t i = 0; i < 2000; i++)
            bufs[i] = must_acquire(pool, i % 10 == 0 ? 65536 : 1 + i % 16384);
        zcb_buf_release_n(bufs, 2000);
        before = must_be_at_rest(pool);
        assert_true(before.total.charged > 0);
        given = zcb_pool_trim(pool, 0);
        after = must_be_at_rest(pool);
        assert_int_equal(after.total.charged, 0);
        assert_int_equal(after.total.slabs, 0);
        assert_int_equal(after.total.cached, 0);
        assert_int_equal(after.total.depot, 0);
        assert_int_equal(given, before.total.charged);
        assert_int_equal(after.trimmed - before.trimmed, given);
        assert_int_equal(failing.live, 0);
        assert_int_equal(failing.attached, 0);
        assert_int_equal(zcb_pool_trim(pool, 0), 0);
    }
    must_end(&pool);
}

static void
resident_memory_drops_at_once(void **state)
{
    const struct zcb_pool_config config = pages_config();
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[32];
    uint8_t *at[32];
    size_t given;

    (void)state;
    take(pool, 65536, bufs, at, 32);
    assert_int_equal(must_be_at_rest(pool).total.slabs, 1);
    assert_int_equal(resident_of(at, 32, 65536), 32 * 16);

    // One buffer holds the slab; the pages of the other 31 go all the same, and its own stay.
    for (size_t i = 0; i < 32; i++) {
        if (i != 13)
            zcb_buf_release(&bufs[i]);
    }
    assert_int_equal(resident_of(at, 32, 65536), 32 * 16);
    given = zcb_pool_trim(pool, 0);
    assert_int_equal(given, 31 * 65536);
    assert_int_equal(resident(at[13], 65536), 16);
    assert_int_equal(resident_of(at, 32, 65536), 16);
    for (size_t i = 0; i < 65536; i++)
        assert_int_equal(at[13][i], 0xa5);
    assert_int_equal(must_be_at_rest(pool).total.charged, 2 * MIB);
    assert_int_equal(must_be_at_rest(pool).trimmed, given);

    // There is nothing more to be given.
    assert_int_equal(zcb_pool_trim(pool, 0), 0);

    // What was given back can be used again.
    for (size_t i = 0; i < 32; i++) {
        if (i != 13)
            bufs[i] = must_acquire(pool, 65536);
        memset(zcb_buf_data(bufs[i]), 1, 65536);
    }
    assert_int_equal(must_be_at_rest(pool).total.slabs, 1);
    assert_int_equal(resident_of(at, 32, 65536), 32 * 16);
    zcb_buf_release_n(bufs, 32);
    assert_true(zcb_pool_trim(pool, 0) >= 32 * 65536);
    assert_int_equal(resident_of(at, 32, 65536), 0);
    assert_int_equal(must_be_at_rest(pool).total.charged, 0);
    must_end(&pool);
}

static void
small_buffers_that_share_a_page_never_lose_it_to_each_other(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 192}, {.buffer_size = 4160}, {.buffer_size = 6144}},
        .source = zcb_source_pages(),
    };
    struct zcb_pool *pool = must_create(&config);
    enum { COUNT = 3000 };
    static struct zcb_buf *bufs[COUNT];
    uint64_t seed = zcb_test_seed();

    (void)state;
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            if (bufs[i] == NULL)
                bufs[i] = must_acquire(pool, i % 3 == 0 ? 192 : i % 3 == 1 ? 4160 : 6144);
            memset(zcb_buf_data(bufs[i]), (int)(i % 250 + 1), zcb_buf_capacity(bufs[i]));
        }
        for (size_t i = 0; i < COUNT; i++) {
            if (zcb_test_below(&seed, 3) != 0)
                zcb_buf_release(&bufs[i]);
        }
        zcb_pool_trim(pool, 0);
        for (size_t i = 0; i < COUNT; i++) {
            const uint8_t *data;

            if (bufs[i] == NULL)
                continue;
            data = zcb_buf_data(bufs[i]);
            assert_int_equal(data[0], i % 250 + 1);
            assert_memory_equal(data, data + 1, zcb_buf_capacity(bufs[i]) - 1);
        }
    }
    zcb_buf_release_n(bufs, COUNT);
    must_end(&pool);
}

static void
buffers_smaller_than_a_page_are_not_counted_as_given_back(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 1024}},
        .source = zcb_source_pages(),
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[2048];
    uint8_t *at[2048];
    size_t given;

    (void)state;
    take(pool, 1024, bufs, at, 2048);
    assert_int_equal(must_be_at_rest(pool).total.slabs, 1);
    for (size_t i = 0; i < 2048; i++) {
        if (i % 4 != 0) // one in each page stays
            zcb_buf_release(&bufs[i]);
    }
    given = zcb_pool_trim(pool, 0);
    assert_int_equal(given, 0);
    assert_int_equal(must_be_at_rest(pool).trimmed, 0);
    assert_int_equal(resident(at[0] < at[2047] ? at[0] : at[2047], 2048 * 1024), 512);
    zcb_buf_release_n(bufs, 2048);
    must_end(&pool);
}

// Of a buffer that is no multiple of a page, the pages that are its own alone can go.
static void
of_odd_buffers_the_whole_pages_inside_go(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 6208}},
        .source = zcb_source_pages(),
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[300];
    uint8_t *at[300];
    size_t inner = 0, left = 0, given;

    (void)state;
    take(pool, 6208, bufs, at, 300);
    assert_int_equal(must_be_at_rest(pool).total.slabs, 1);
    zcb_buf_release_n(bufs + 1, 299);
    given = zcb_pool_trim(pool, 0);
    for (size_t i = 1; i < 300; i++) {
        uintptr_t start = ((uintptr_t)at[i] + 4095) & ~(uintptr_t)4095;
        uintptr_t end = ((uintptr_t)at[i] + 6208) & ~(uintptr_t)4095;

        if (start < end) {
            inner += (end - start) / 4096;
            left += resident((const uint8_t *)start, end - start);
        }
    }
    assert_true(inner > 100 && inner < 299);
    assert_int_equal(left, 0);
    assert_true(given >= inner * 4096); // the slab has more buffers than were touched
    zcb_buf_release(&bufs[0]);
    must_end(&pool);
}

static void
after_a_trim_the_caches_work_again(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_buf *bufs[200];
    struct zcb_pool_stats before, after;

    (void)state;
    for (size_t i = 0; i < 200; i++)
        bufs[i] = must_acquire(pool, 1);
    zcb_buf_release_n(bufs, 200);
    zcb_pool_trim(pool, SIZE_MAX);
    before = must_be_at_rest(pool);
    for (size_t i = 0; i < 200; i++) // a thread that acquires alone, as where another one releases
        bufs[i] = must_acquire(pool, 1);
    after = must_be_at_rest(pool);
    assert_true(after.total.hits - before.total.hits > 150);
    zcb_buf_release_n(bufs, 200);
    must_end(&pool);
}

static void
what_is_to_be_kept_is_kept_as_it_is(void **state)
{
    static const size_t keeps[] = {65536, 10 * 65536, 31 * 65536, 100 * 65536, SIZE_MAX};
    const struct zcb_pool_config config = pages_config();

    (void)state;
    for (size_t k = 0; k < sizeof(keeps) / sizeof(keeps[0]); k++) {
        struct zcb_pool *pool = must_create(&config);
        static struct zcb_buf *bufs[96];
        uint8_t *at[96];
        size_t kept;

        take(pool, 65536, bufs, at, 96);
        zcb_buf_release_n(bufs, 96);
        zcb_pool_trim(pool, keeps[k]);
        kept = resident_of(at, 96, 65536) * 4096;
        assert_true(keeps[k] < 96 * 65536 ? kept >= keeps[k] : kept == 96 * 65536);
        if (keeps[k] < 96 * 65536) // not much more either: whole slabs, of 32 buffers, at the most
            assert_true(kept <= keeps[k] + 2 * MIB);
        else
            assert_int_equal(must_be_at_rest(pool).trimmed, 0);
        must_end(&pool);
    }
}

static void
what_is_to_be_kept_is_kept_over_all_tiers(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 16384}, {.buffer_size = 65536}},
        .source = zcb_source_pages(),
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *small[128], *large[32];
    uint8_t *small_at[128], *large_at[32];
    size_t kept;

    (void)state;
    take(pool, 16384, small, small_at, 128);
    take(pool, 65536, large, large_at, 32);
    zcb_buf_release_n(small + 1, 127); // one of each holds its slab: only pages can go
    zcb_buf_release_n(large + 1, 31);
    zcb_pool_trim(pool, 2 * MIB);
    kept = 4096 * (resident_of(small_at + 1, 127, 16384) + resident_of(large_at + 1, 31, 65536));
    assert_true(kept >= 2 * MIB && kept <= 2 * MIB + 65536);
    zcb_buf_release(&small[0]);
    zcb_buf_release(&large[0]);
    must_end(&pool);
}

static void
preallocated_buffers_keep_their_slab_and_lose_their_pages(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536, .prealloc = 40}},
        .source = zcb_source_pages(),
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[200];
    uint8_t *at[200];
    uint64_t charged = must_be_at_rest(pool).total.charged;
    struct zcb_pool_stats stats;

    (void)state;
    assert_true(charged >= 40 * 65536);
    take(pool, 65536, bufs, at, 200);
    zcb_buf_release_n(bufs, 200);
    assert_true(zcb_pool_trim(pool, 0) > 0);
    stats = must_be_at_rest(pool);
    assert_true(stats.total.charged >= 40 * 65536);
    assert_true(stats.total.charged <= charged + 2 * MIB);
    assert_true(stats.total.depot + stats.total.cached >= 40);
    assert_int_equal(resident_of(at, 200, 65536), 0);
    for (size_t i = 0; i < 40; i++)
        bufs[i] = must_acquire(pool, 65536);
    assert_int_equal(must_be_at_rest(pool).total.misses, stats.total.misses);
    zcb_buf_release_n(bufs, 40);
    for (int i = 0; i < 10; i++) {
        zcb_pool_decay(pool);
        zcb_pool_trim(pool, 0);
    }
    assert_true(must_be_at_rest(pool).total.charged >= 40 * 65536);
    must_end(&pool);
}

static void
a_source_that_cannot_purge_gets_whole_slabs_back_alone(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 65536}}};
    struct zcb_pool *pool;
    struct zcb_buf *bufs[32];

    (void)state;
    zcb_failing_source_init(&failing);
    failing.source.purge = NULL;
    config.source = &failing.source;
    pool = must_create(&config);
    for (size_t i = 0; i < 32; i++)
        bufs[i] = must_acquire(pool, 65536);
    zcb_buf_release_n(bufs, 31);
    assert_int_equal(zcb_pool_trim(pool, 0), 0);
    zcb_pool_decay(pool);
    assert_int_equal(zcb_pool_decay(pool), 0);
    assert_int_equal(failing.purged, 0);
    zcb_buf_release(&bufs[31]);
    assert_int_equal(zcb_pool_trim(pool, 0), 2 * MIB);
    assert_int_equal(failing.live, 0);
    must_end(&pool);
}

static int
refuse_purge(void *ctx, void *ptr, size_t len, bool now)
{
    (void)ctx;
    (void)ptr;
    (void)len;
    (void)now;
    return -EACCES;
}

static void
what_the_source_refused_to_purge_is_not_counted(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 65536}}};
    struct zcb_pool *pool;
    struct zcb_buf *bufs[2];

    (void)state;
    zcb_failing_source_init(&failing);
    failing.source.purge = refuse_purge;
    config.source = &failing.source;
    pool = must_create(&config);
    bufs[0] = must_acquire(pool, 1);
    bufs[1] = must_acquire(pool, 1);
    zcb_buf_release(&bufs[0]);
    assert_int_equal(zcb_pool_trim(pool, 0), 0);
    assert_int_equal(must_be_at_rest(pool).trimmed, 0);
    zcb_buf_release(&bufs[1]);
    must_end(&pool);
}

static void
purged_are_free_buffers_and_no_others(void **state)
{
    struct zcb_failing_source failing; // whose purge overwrites
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096}, {.buffer_size = 12288}}};
    struct zcb_pool *pool;
    static struct zcb_buf *bufs[1000];
    uint64_t seed = zcb_test_seed();

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 1000; i++) {
            if (bufs[i] == NULL) {
                bufs[i] = must_acquire(pool, i % 2 == 0 ? 4096 : 12288);
                memset(zcb_buf_data(bufs[i]), (int)(i % 200), zcb_buf_capacity(bufs[i]));
            }
        }
        for (size_t i = 0; i < 1000; i++) {
            if (zcb_test_below(&seed, 2) != 0)
                zcb_buf_release(&bufs[i]);
        }
        if (round % 3 == 0)
            zcb_pool_decay(pool);
        else
            zcb_pool_trim(pool, zcb_test_below(&seed, MIB));
        for (size_t i = 0; i < 1000; i++) {
            if (bufs[i] == NULL)
                continue;
            assert_int_equal(zcb_buf_data(bufs[i])[0], i % 200);
            assert_memory_equal(zcb_buf_data(bufs[i]), zcb_buf_data(bufs[i]) + 1,
                                zcb_buf_capacity(bufs[i]) - 1);
        }
    }
    assert_true(failing.purged > 0);
    zcb_buf_release_n(bufs, 1000);
    must_end(&pool);
    assert_int_equal(failing.live, 0);
}

// ---- decay --------------------------------------------------------------------------------------

static void
decay_lets_go_of_what_nobody_needed_since_the_last_time(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 65536}}};
    struct zcb_pool *pool;
    static struct zcb_buf *bufs[320];
    size_t given;

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    assert_int_equal(zcb_pool_decay(pool), 0);
    for (size_t i = 0; i < 320; i++)
        bufs[i] = must_acquire(pool, 1);
    zcb_buf_release_n(bufs, 320);
    zcb_thread_flush();
    zcb_pool_decay(pool); // ends the interval of the burst, in which all were needed
    assert_int_equal(failing.purged, 0);
    given = zcb_pool_decay(pool);
    assert_true(given > 0 && given <= 320 * 65536);
    assert_true(failing.purged > 0);
    assert_int_equal(must_be_at_rest(pool).trimmed, given);
    assert_int_equal(must_be_at_rest(pool).total.charged,
                     20 * MIB); // no slab goes without ADAPTIVE

    // In the end all is marked, and then there is nothing more to mark.
    for (int i = 0; i < 40; i++)
        given += zcb_pool_decay(pool);
    assert_true(given <= 320 * 65536);
    assert_int_equal(zcb_pool_decay(pool), 0);
    must_end(&pool);
}

static void
decay_leaves_alone_what_is_in_use_all_the_time(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536}},
        .flags = ZCB_POOL_NO_CACHE,
    };
    struct zcb_pool *pool;
    static struct zcb_buf *bufs[64];

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 64; i++)
            bufs[i] = must_acquire(pool, 1);
        zcb_buf_release_n(bufs, 64);
        zcb_pool_decay(pool);
    }
    assert_int_equal(failing.purged, 0);
    assert_int_equal(must_be_at_rest(pool).trimmed, 0);
    must_end(&pool);
}

static void
decayed_buffers_come_back_without_a_miss(void **state)
{
    const struct zcb_pool_config config = pages_config();
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[64];
    uint8_t *at[64];
    uint64_t misses;

    (void)state;
    take(pool, 65536, bufs, at, 64);
    zcb_buf_release_n(bufs, 64);
    zcb_thread_flush();
    misses = must_be_at_rest(pool).total.misses;
    for (int i = 0; i < 10; i++)
        zcb_pool_decay(pool);
    take(pool, 65536, bufs, at, 64);
    for (size_t i = 0; i < 64; i++) {
        for (size_t off = 0; off < 65536; off += 512)
            assert_int_equal(at[i][off], 0xa5);
    }
    assert_int_equal(must_be_at_rest(pool).total.misses, misses);
    zcb_buf_release_n(bufs, 64);
    must_end(&pool);
}

// Pages that decay has marked are in memory until the system wants them. Who trims wants them gone.
static void
trim_after_decay_drops_resident_memory_all_the_same(void **state)
{
    const struct zcb_pool_config config = pages_config();
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[32];
    uint8_t *at[32];

    (void)state;
    take(pool, 65536, bufs, at, 32);
    for (size_t i = 1; i < 32; i++)
        zcb_buf_release(&bufs[i]);
    zcb_thread_flush();
    for (int i = 0; i < 3; i++)
        zcb_pool_decay(pool);
    zcb_pool_trim(pool, 0);
    assert_int_equal(resident_of(at, 32, 65536), 16);
    zcb_buf_release(&bufs[0]);
    must_end(&pool);
}

static void
adaptive_pools_free_half_of_the_idle_slabs_each_time_down_to_prealloc(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536, .prealloc = 32}},
        .flags = ZCB_POOL_ADAPTIVE,
    };
    struct zcb_pool *pool;
    static struct zcb_buf *bufs[640];
    uint64_t held;

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    for (size_t i = 0; i < 640; i++)
        bufs[i] = must_acquire(pool, 1);
    zcb_buf_release_n(bufs, 640);
    zcb_thread_flush();
    held = must_be_at_rest(pool).total.charged;
    assert_int_equal(held, 40 * MIB);
    zcb_pool_decay(pool);
    for (int i = 0; i < 30; i++) {
        uint64_t left;

        zcb_pool_decay(pool);
        left = must_be_at_rest(pool).total.charged;
        assert_true(left <= held);
        assert_true(left + held >=
                    held + (held - 2 * MIB) / 2 - 2 * MIB); // no more than half at a time
        held = left;
    }
    assert_int_equal(held, 2 * MIB);
    assert_int_equal(failing.live, 1);
    must_end(&pool);
    assert_int_equal(failing.live, 0);
}

// About once a second it does so by itself. What is asserted is that it happens, not when: within a
// minute.
static void
adaptive_pools_decay_by_themselves_while_they_are_used(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536}},
        .flags = ZCB_POOL_ADAPTIVE,
        .source = zcb_source_pages(),
    };
    struct zcb_pool *pool = must_create(&config);
    static struct zcb_buf *bufs[640];
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    uint64_t held;

    (void)state;
    for (size_t i = 0; i < 640; i++)
        bufs[i] = must_acquire(pool, 1);
    zcb_buf_release_n(bufs, 640);
    held = must_be_at_rest(pool).total.charged;
    for (int i = 0; i < 3000 && must_be_at_rest(pool).total.charged == held; i++) {
        for (size_t b = 0; b < 100; b++)
            bufs[b] = must_acquire(pool, 1);
        zcb_buf_release_n(bufs, 100);
        nanosleep(&pause, NULL);
    }
    assert_true(must_be_at_rest(pool).total.charged < held);
    must_end(&pool);
}

// ---- having it ready ----------------------------------------------------------------------------

static void
prefaulted_buffers_are_resident_before_they_are_touched(void **state)
{
    const struct zcb_pool_config config = {.source = zcb_source_pages()};
    static const size_t sizes[] = {4096, 16384, 65536};

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        struct zcb_pool *pool = must_create(&config);
        struct zcb_buf *bufs[70];

        assert_int_equal(zcb_pool_prefault(pool, sizes[s], 70), 0);
        for (size_t i = 0; i < 70; i++) {
            bufs[i] = must_acquire(pool, sizes[s]);
            assert_int_equal(resident(zcb_buf_data(bufs[i]), sizes[s]), sizes[s] / 4096);
        }
        assert_int_equal(must_be_at_rest(pool).total.misses, 0);
        zcb_buf_release_n(bufs, 70);

        // Also those that have lost their pages.
        zcb_pool_trim(pool, 0);
        bufs[69] = must_acquire(pool, sizes[s]);
        zcb_pool_trim(pool, 0);
        assert_int_equal(zcb_pool_prefault(pool, sizes[s], 60), 0);
        for (size_t i = 0; i < 60; i++) {
            bufs[i] = must_acquire(pool, sizes[s]);
            assert_int_equal(resident(zcb_buf_data(bufs[i]), sizes[s]), sizes[s] / 4096);
        }
        zcb_buf_release_n(bufs, 60);
        zcb_buf_release(&bufs[69]);
        must_end(&pool);
    }
}

static void
prefault_counts_what_is_free_beside_what_is_out(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    static struct zcb_buf *bufs[1200];
    uint64_t misses;

    (void)state;
    for (size_t i = 0; i < 500; i++)
        bufs[i] = must_acquire(pool, 4096);
    misses = must_be_at_rest(pool).total.misses;
    assert_int_equal(zcb_pool_prefault(pool, 4096, 700), 0);
    for (size_t i = 500; i < 1200; i++)
        bufs[i] = must_acquire(pool, 4096);
    assert_int_equal(must_be_at_rest(pool).total.misses, misses);
    zcb_buf_release_n(bufs, 1200);
    must_end(&pool);
}

static void
populated_slabs_are_resident_when_they_come(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536}},
        .flags = ZCB_POOL_POPULATE,
        .source = zcb_source_pages(),
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[32];

    (void)state;
    for (size_t i = 0; i < 32; i++) {
        bufs[i] = must_acquire(pool, 65536);
        assert_int_equal(resident(zcb_buf_data(bufs[i]), 65536), 16);
    }
    zcb_buf_release_n(bufs, 32);
    must_end(&pool);
}

static void
memory_that_nobody_touches_is_not_resident(void **state)
{
    const struct zcb_pool_config config = pages_config();
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[32];
    size_t pages = 0;

    (void)state;
    for (size_t i = 0; i < 32; i++) {
        bufs[i] = must_acquire(pool, 65536);
        pages += resident(zcb_buf_data(bufs[i]), 65536);
    }
    // A system set to give huge pages to everybody makes the first touch bring in all 2 MiB; there
    // was no touch.
    assert_int_equal(pages, 0);
    zcb_buf_release_n(bufs, 32);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trim_of_an_idle_pool_gives_everything_to_the_source),
        cmocka_unit_test(resident_memory_drops_at_once),
        cmocka_unit_test(small_buffers_that_share_a_page_never_lose_it_to_each_other),
        cmocka_unit_test(buffers_smaller_than_a_page_are_not_counted_as_given_back),
        cmocka_unit_test(of_odd_buffers_the_whole_pages_inside_go),
        cmocka_unit_test(after_a_trim_the_caches_work_again),
        cmocka_unit_test(what_is_to_be_kept_is_kept_as_it_is),
        cmocka_unit_test(what_is_to_be_kept_is_kept_over_all_tiers),
        cmocka_unit_test(preallocated_buffers_keep_their_slab_and_lose_their_pages),
        cmocka_unit_test(a_source_that_cannot_purge_gets_whole_slabs_back_alone),
        cmocka_unit_test(what_the_source_refused_to_purge_is_not_counted),
        cmocka_unit_test(purged_are_free_buffers_and_no_others),
        cmocka_unit_test(decay_lets_go_of_what_nobody_needed_since_the_last_time),
        cmocka_unit_test(decay_leaves_alone_what_is_in_use_all_the_time),
        cmocka_unit_test(decayed_buffers_come_back_without_a_miss),
        cmocka_unit_test(trim_after_decay_drops_resident_memory_all_the_same),
        cmocka_unit_test(adaptive_pools_free_half_of_the_idle_slabs_each_time_down_to_prealloc),
        cmocka_unit_test(adaptive_pools_decay_by_themselves_while_they_are_used),
        cmocka_unit_test(prefaulted_buffers_are_resident_before_they_are_touched),
        cmocka_unit_test(prefault_counts_what_is_free_beside_what_is_out),
        cmocka_unit_test(populated_slabs_are_resident_when_they_come),
        cmocka_unit_test(memory_that_nobody_touches_is_not_resident),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
