// SPDX-License-Identifier: MIT
//
// Pools in one thread: how they are made, which buffer is given, and what is refused.

#include "testing.h"

#include "support/failing_source.h"
#include "support/pools.h"

#define ROUNDED(len) ((len) + 4096) // what a single allocation may have been rounded up to

// ---- creation -----------------------------------------------------------------------------------

static void
a_pool_needs_no_config(void **state)
{
    const struct zcb_pool_config zero = {0};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_pool *other = must_create(&zero);
    struct zcb_pool_stats stats = must_be_at_rest(pool);

    (void)state;
    assert_int_equal(stats.tiers, 3);
    assert_int_equal(stats.tier[0].buffer_size, 4096);
    assert_int_equal(stats.tier[1].buffer_size, 16384);
    assert_int_equal(stats.tier[2].buffer_size, 65536);
    assert_int_equal(stats.max_bytes, 0);
    assert_int_equal(stats.total.acquires, 0);
    assert_int_equal(stats.total.charged, 0);
    assert_true(stats.hit_rate == 0);
    assert_int_equal(must_be_at_rest(other).tiers, 3);
    must_end(&pool);
    must_end(&other);
}

static int own_attach_calls;

static void *
own_alloc(void *ctx, size_t len, size_t align)
{
    (void)ctx;
    return aligned_alloc(align, (len + align - 1) / align * align);
}

static void
own_free(void *ctx, void *ptr, size_t len, size_t align)
{
    (void)ctx;
    (void)len;
    (void)align;
    free(ptr);
}

static int
own_attach(void *ctx, void *ptr, size_t len, void **tag)
{
    (void)ctx;
    (void)ptr;
    (void)len;
    (void)tag;
    own_attach_calls++;
    return -EACCES;
}

static void
create_refuses_what_makes_no_sense(void **state)
{
    static const struct zcb_source without_alloc = {.free = own_free};
    static const struct zcb_source without_free = {.alloc = own_alloc};
    static const struct zcb_source with_reserved = {
        .alloc = own_alloc, .free = own_free, .reserved = {[3] = (void *)1}};
    const struct {
        const char *what;
        struct zcb_pool_config config;
        int expected;
    } cases[] = {
        {"tiers that descend", {.tiers = {{.buffer_size = 8192}, {.buffer_size = 4096}}}, -EINVAL},
        {"equal tiers", {.tiers = {{.buffer_size = 4096}, {.buffer_size = 4096}}}, -EINVAL},
        {"a tier of 100 bytes", {.tiers = {{.buffer_size = 100}}}, -EINVAL},
        {"a tier of 4097 bytes", {.tiers = {{.buffer_size = 4097}}}, -EINVAL},
        {"a tier above SIZE_MAX / 4",
         {.tiers = {{.buffer_size = (SIZE_MAX / 4 + 64) & ~(size_t)63}}},
         -EINVAL},
        {"a tier of SIZE_MAX", {.tiers = {{.buffer_size = SIZE_MAX}}}, -EINVAL},
        {"a headroom above SIZE_MAX / 4", {.headroom = SIZE_MAX / 4 + 1}, -EINVAL},
        {"a slab above SIZE_MAX / 4", {.slab_size = SIZE_MAX / 4 + 1}, -EINVAL},
        {"a tier's reserved field", {.tiers = {{.buffer_size = 4096, .reserved = 1}}}, -EINVAL},
        {"the first reserved field", {.reserved = {[0] = (void *)1}}, -EINVAL},
        {"the last reserved field", {.reserved = {[7] = (void *)1}}, -EINVAL},
        {"an unknown flag", {.flags = 1u << 31}, -EINVAL},
        {"the first unknown flag", {.flags = ZCB_POOL_NO_OVERSIZE << 1}, -EINVAL},
        {"an unknown policy", {.policy = (enum zcb_pool_policy)17}, -EINVAL},
        {"low above high", {.low_bytes = 2 * MIB, .high_bytes = MIB}, -EINVAL},
        {"reserve above max", {.max_bytes = MIB, .reserve_bytes = 2 * MIB}, -EINVAL},
        {"reserve without max", {.reserve_bytes = MIB}, -EINVAL},
        {"prealloc above max_buffers",
         {.tiers = {{.buffer_size = 4096, .prealloc = 11, .max_buffers = 10}}},
         -EINVAL},
        {"a negative NUMA node", {.numa_node = -1}, -EINVAL},
        {"a source without alloc", {.source = &without_alloc}, -EINVAL},
        {"a source without free", {.source = &without_free}, -EINVAL},
        {"a source with reserved fields", {.source = &with_reserved}, -EINVAL},
        {"prealloc above max_bytes",
         {.tiers = {{.buffer_size = 65536, .prealloc = 100}}, .max_bytes = MIB},
         -ENOBUFS},
        {"prealloc whose product wraps",
         {.tiers = {{.buffer_size = 4096, .prealloc = SIZE_MAX / 2}}},
         0},
        {"prealloc whose product wraps to 0",
         {.tiers = {{.buffer_size = 4096, .prealloc = SIZE_MAX / 4096 + 1}}},
         0},
    };
    struct zcb_pool *const untouched = (struct zcb_pool *)(uintptr_t)0x1230;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zcb_pool *pool = untouched;
        int result = zcb_pool_create(&cases[i].config, &pool);

        // Where no code is named, any failure is right: the memory is not there.
        if (cases[i].expected == 0 ? result >= 0 : result != cases[i].expected)
            fail_msg("%s: %d instead of %d", cases[i].what, result, cases[i].expected);
        assert_ptr_equal(pool, untouched);
    }
    assert_int_equal(zcb_pool_create(NULL, NULL), -EINVAL);
}

static void
a_create_that_fails_gives_everything_back_and_does_not_close_the_source(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .prealloc = 600}, {.buffer_size = 65536, .prealloc = 70}},
        .slab_size = 256 * KIB,
    };
    struct zcb_pool *pool = NULL;
    uint64_t needed;

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    needed = failing.calls;
    assert_true(needed >= 2);
    must_end(&pool);
    assert_int_equal(failing.closed, 1);
    assert_int_equal(failing.live, 0);

    for (uint64_t nth = 1; nth <= needed; nth++) {
        zcb_failing_source_fail(&failing, nth, true);
        assert_int_equal(zcb_pool_create(&config, &pool), -ENOMEM);
        assert_null(pool);
        assert_int_equal(failing.live, 0);
        assert_int_equal(failing.attached, 0);
        assert_int_equal(failing.closed, 1);
    }
    zcb_failing_source_fail(&failing, 0, false);
    pool = must_create(&config);
    must_end(&pool);
    assert_int_equal(failing.closed, 2);
}

static void
create_returns_what_attach_returned(void **state)
{
    const struct zcb_source source = {.alloc = own_alloc, .free = own_free, .attach = own_attach};
    const struct zcb_pool_config eager = {.tiers = {{.buffer_size = 4096, .prealloc = 1}},
                                          .source = &source};
    const struct zcb_pool_config lazy = {.source = &source};
    struct zcb_pool *pool = NULL;
    struct zcb_buf *buf = NULL;

    (void)state;
    own_attach_calls = 0;
    assert_int_equal(zcb_pool_create(&eager, &pool), -EACCES);
    assert_int_equal(own_attach_calls, 1);
    pool = must_create(&lazy);
    assert_int_equal(zcb_pool_acquire(pool, 1, &buf), -EACCES);
    assert_null(buf);
    assert_int_equal(must_be_at_rest(pool).total.charged, 0);
    assert_int_equal(must_be_at_rest(pool).total.refusals, 1);
    must_end(&pool);
}

static void
source_table_name_and_config_are_copied(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_source table;
    struct zcb_pool_config config = {0};
    char name[] = "camera";
    struct zcb_pool *pool;
    struct zcb_buf *buf;

    (void)state;
    zcb_failing_source_init(&failing);
    table = failing.source;
    config.source = &table;
    config.name = name;
    config.tiers[0].buffer_size = 8192;
    pool = must_create(&config);
    memset(&table, 0xff, sizeof(table));
    memset(&config, 0xff, sizeof(config));
    memset(name, 'x', sizeof(name) - 1);
    buf = must_acquire(pool, 100);
    assert_int_equal(zcb_buf_capacity(buf), 8192);
    zcb_buf_release(&buf);
    must_end(&pool);
    assert_int_equal(failing.closed, 1);
    assert_int_equal(failing.live, 0);
}

static void
there_may_be_1024_pools_and_no_more(void **state)
{
    static struct zcb_pool *pools[1025];
    struct zcb_buf *bufs[2];
    size_t made = 0;

    (void)state;
    while (made < 1025 && zcb_pool_create(NULL, &pools[made]) == 0)
        made++;
    assert_int_equal(made, 1024);
    assert_int_equal(zcb_pool_create(NULL, &pools[1024]), -ENOBUFS);

    // The last ones work as the first ones do, and a number that became free is given again.
    bufs[0] = must_acquire(pools[0], 1);
    bufs[1] = must_acquire(pools[1023], 1);
    zcb_buf_release_n(bufs, 2);
    bufs[1] = must_acquire(pools[1023], 1);
    assert_int_equal(must_be_at_rest(pools[1023]).total.hits, 1);
    zcb_buf_release(&bufs[1]);
    zcb_pool_destroy(&pools[500]);
    assert_int_equal(zcb_pool_create(NULL, &pools[500]), 0);
    bufs[0] = must_acquire(pools[500], 1);
    assert_int_equal(must_be_at_rest(pools[500]).total.misses, 1);
    zcb_buf_release(&bufs[0]);
    while (made > 0)
        must_end(&pools[--made]);
    pools[0] = must_create(NULL);
    must_end(&pools[0]);
}

static void
a_new_pool_with_an_old_number_has_none_of_the_old_buffers(void **state)
{
    (void)state;
    for (size_t round = 0; round < 50; round++) {
        const struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096 << (round % 3)}}};
        struct zcb_pool *pool = must_create(&config);
        struct zcb_buf *bufs[100];

        for (size_t i = 0; i < 100; i++) {
            bufs[i] = must_acquire(pool, 64);
            assert_int_equal(zcb_buf_capacity(bufs[i]), 4096 << (round % 3));
            memset(zcb_buf_data(bufs[i]), (int)i, zcb_buf_capacity(bufs[i]));
        }
        zcb_buf_release_n(bufs, 100);
        assert_int_equal(must_be_at_rest(pool).total.acquires, 100);
        must_end(&pool);
    }
}

static void
nothing_is_fine_where_nothing_can_be_given_back(void **state)
{
    struct zcb_pool *pool = NULL;
    struct zcb_buf *bufs[3] = {NULL, NULL, NULL};

    (void)state;
    zcb_pool_destroy(NULL);
    zcb_pool_destroy(&pool);
    zcb_buf_release(NULL);
    zcb_buf_release(&bufs[0]);
    zcb_buf_release_n(bufs, 3);
    zcb_buf_release_n(NULL, 0);
    zcb_thread_flush();
    zcb_thread_flush();
}

static void
null_where_something_is_needed_is_refused(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_buf *const untouched = (struct zcb_buf *)(uintptr_t)0x1230;
    struct zcb_buf *buf = untouched;

    (void)state;
    assert_int_equal(zcb_pool_acquire(NULL, 1, &buf), -EINVAL);
    assert_int_equal(zcb_pool_acquire(pool, 1, NULL), -EINVAL);
    assert_int_equal(zcb_pool_acquire_flags(NULL, 1, 0, &buf), -EINVAL);
    assert_int_equal(zcb_pool_acquire_flags(pool, 1, 0, NULL), -EINVAL);
    assert_int_equal(zcb_pool_acquire_flags(pool, 1, 1u << 30, &buf), -EINVAL);
    assert_int_equal(zcb_pool_acquire_n(NULL, 1, &buf, 1), -EINVAL);
    assert_int_equal(zcb_pool_acquire_n(pool, 1, NULL, 1), -EINVAL);
    assert_int_equal(zcb_pool_prefault(NULL, 1, 1), -EINVAL);
    assert_int_equal(
        zcb_pool_stats(NULL, &(struct zcb_pool_stats){0}, sizeof(struct zcb_pool_stats)), -EINVAL);
    assert_int_equal(zcb_pool_stats(pool, NULL, sizeof(struct zcb_pool_stats)), -EINVAL);
    assert_int_equal(zcb_pool_stats_print(NULL, 1, ZCB_STATS_TEXT), -EINVAL);
    assert_int_equal(zcb_thread_warm(NULL), -EINVAL);
    assert_int_equal(zcb_pool_trim(NULL, 0), 0);
    assert_int_equal(zcb_pool_decay(NULL), 0);
    assert_ptr_equal(buf, untouched);
    assert_int_equal(must_be_at_rest(pool).total.acquires, 0);
    must_end(&pool);
}

// ---- which buffer -------------------------------------------------------------------------------

static void
the_smallest_tier_that_suffices_is_used(void **state)
{
    static const struct {
        size_t len;
        size_t capacity;
        int tier;
    } cases[] = {
        {0, 4096, 0},      {1, 4096, 0},      {100, 4096, 0},    {4095, 4096, 0},
        {4096, 4096, 0},   {4097, 16384, 1},  {12000, 16384, 1}, {16383, 16384, 1},
        {16384, 16384, 1}, {16385, 65536, 2}, {50000, 65536, 2}, {65535, 65536, 2},
        {65536, 65536, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zcb_pool *pool = must_create(NULL);
        struct zcb_buf *buf = must_acquire(pool, cases[i].len);
        struct zcb_pool_stats stats = must_be_at_rest(pool);

        assert_int_equal(zcb_buf_capacity(buf), cases[i].capacity);
        assert_int_equal(zcb_buf_tailroom(buf), cases[i].capacity);
        assert_int_equal(zcb_buf_headroom(buf), 0);
        assert_int_equal(zcb_buf_len(buf), 0);
        for (int tier = 0; tier < 3; tier++)
            assert_int_equal(stats.tier[tier].live, tier == cases[i].tier);
        zcb_buf_release(&buf);
        assert_null(buf);
        must_end(&pool);
    }
}

static void
what_is_above_the_largest_tier_comes_at_full_size(void **state)
{
    static const size_t sizes[] = {65537, 100000, 131072, 1000000, 5000000, 40000000};
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {0};
    struct zcb_pool *pool;

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct zcb_buf *buf = must_acquire(pool, sizes[i]);
        struct zcb_pool_stats stats = must_be_at_rest(pool);
        uint8_t *at = NULL;

        assert_true(zcb_buf_capacity(buf) >= sizes[i]);
        assert_true(zcb_buf_capacity(buf) <= ROUNDED(sizes[i]));
        assert_int_equal(zcb_buf_append(buf, sizes[i], &at), 0);
        memset(at, 0x5a, sizes[i]);
        assert_int_equal(stats.oversize.acquires, i + 1);
        assert_int_equal(stats.oversize.fallbacks, i + 1);
        assert_int_equal(stats.oversize.live, 1);
        assert_true(stats.oversize.charged >= sizes[i] &&
                    stats.oversize.charged <= ROUNDED(sizes[i]));
        assert_int_equal(failing.live, 1);
        zcb_buf_release(&buf);

        // It is freed at once, neither kept nor put to a tier.
        stats = must_be_at_rest(pool);
        assert_int_equal(failing.live, 0);
        assert_int_equal(stats.oversize.drops, i + 1);
        assert_int_equal(stats.oversize.returns, 0);
        assert_int_equal(stats.total.charged, 0);
        assert_int_equal(stats.total.cached + stats.total.depot, 0);
    }
    must_end(&pool);
}

static void
sizes_that_cannot_be_are_refused(void **state)
{
    const struct zcb_pool_config config = {.headroom = 64};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_pool *headed = must_create(&config);
    struct zcb_buf *const untouched = (struct zcb_buf *)(uintptr_t)0x1230;
    struct zcb_buf *buf = untouched;
    int result;

    (void)state;
    assert_int_equal(zcb_pool_acquire(headed, SIZE_MAX, &buf), -EOVERFLOW);
    assert_int_equal(zcb_pool_acquire(headed, SIZE_MAX - 63, &buf), -EOVERFLOW);
    assert_int_equal(zcb_pool_acquire_n(headed, SIZE_MAX, &buf, 1), -EOVERFLOW);
    for (size_t off = 0; off < 70000; off += 1 + off / 2) {
        result = zcb_pool_acquire(pool, SIZE_MAX - off, &buf);
        assert_true(result == -EOVERFLOW || result == -ENOMEM);
        result = zcb_pool_acquire(headed, SIZE_MAX - 64 - off, &buf);
        assert_true(result == -EOVERFLOW || result == -ENOMEM);
        result = zcb_pool_prefault(pool, SIZE_MAX - off, 1);
        assert_int_equal(result, -EINVAL);
    }
    result = zcb_pool_acquire(pool, SIZE_MAX / 2, &buf);
    assert_int_equal(result, -ENOMEM);
    assert_ptr_equal(buf, untouched);
    assert_int_equal(must_be_at_rest(pool).total.acquires, 0);
    assert_int_equal(must_be_at_rest(pool).total.charged, 0);
    assert_true(must_be_at_rest(pool).total.refusals > 0);
    must_end(&pool);
    must_end(&headed);
}

static void
own_tiers_are_used_and_there_may_be_eight(void **state)
{
    struct zcb_pool_config config = {0};
    struct zcb_pool *pool;

    (void)state;
    for (size_t i = 0; i < 8; i++)
        config.tiers[i].buffer_size = 64 + 192 * i * i;
    pool = must_create(&config);
    assert_int_equal(must_be_at_rest(pool).tiers, 8);
    for (size_t i = 0; i < 8; i++) {
        size_t below = i == 0 ? 0 : config.tiers[i - 1].buffer_size + 1;
        struct zcb_buf *least = must_acquire(pool, below);
        struct zcb_buf *most = must_acquire(pool, config.tiers[i].buffer_size);

        assert_int_equal(zcb_buf_capacity(least), config.tiers[i].buffer_size);
        assert_int_equal(zcb_buf_capacity(most), config.tiers[i].buffer_size);
        assert_int_equal((uintptr_t)zcb_buf_data(least) % 64, 0);
        assert_int_equal((uintptr_t)zcb_buf_data(most) % 64, 0);
        assert_int_equal(must_be_at_rest(pool).tier[i].live, 2);
        zcb_buf_release(&least);
        zcb_buf_release(&most);
    }
    must_end(&pool);
}

static void
the_first_tier_of_size_0_ends_the_list(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {[0] = {.buffer_size = 1024}, [2] = {.buffer_size = 4096}}};
    struct zcb_pool *pool = must_create(&config);

    (void)state;
    assert_int_equal(must_be_at_rest(pool).tiers, 1);
    must_end(&pool);
}

static void
tiers_above_a_quarter_slab_work_too(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096}, {.buffer_size = MIB}, {.buffer_size = 8 * MIB}},
        .slab_size = MIB,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[6];
    uint8_t *first;

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        bufs[i] = must_acquire(pool, i % 2 == 0 ? MIB : 8 * MIB);
        assert_int_equal(zcb_buf_capacity(bufs[i]), i % 2 == 0 ? MIB : 8 * MIB);
        memset(zcb_buf_data(bufs[i]), (int)i, zcb_buf_capacity(bufs[i]));
    }
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(zcb_buf_data(bufs[i])[0], i);
        assert_int_equal(zcb_buf_data(bufs[i])[zcb_buf_capacity(bufs[i]) - 1], i);
    }
    assert_true(must_be_at_rest(pool).total.charged >= 27 * MIB);
    first = zcb_buf_data(bufs[0]);
    zcb_buf_release(&bufs[0]);
    bufs[0] = must_acquire(pool, MIB);
    assert_ptr_equal(zcb_buf_data(bufs[0]), first);
    zcb_buf_release_n(bufs, 6);
    zcb_pool_trim(pool, 0);
    assert_int_equal(must_be_at_rest(pool).total.charged, 0);
    must_end(&pool);
}

static void
headroom_is_on_top_of_what_is_asked_for(void **state)
{
    const struct zcb_pool_config config = {.headroom = 128};
    struct zcb_pool *pool = must_create(&config);
    static const struct {
        size_t len;
        size_t capacity;
    } cases[] = {{0, 4096},      {3968, 4096},   {3969, 16384}, {4096, 16384}, {16256, 16384},
                 {16257, 65536}, {65408, 65536}, {65409, 0},    {65536, 0},    {100000, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zcb_buf *buf = must_acquire(pool, cases[i].len);
        uint8_t *at;

        assert_int_equal(zcb_buf_headroom(buf), 128);
        if (cases[i].capacity != 0)
            assert_int_equal(zcb_buf_capacity(buf), cases[i].capacity);
        else
            assert_true(zcb_buf_capacity(buf) >= cases[i].len + 128);
        assert_int_equal(zcb_buf_capacity(buf), 128 + zcb_buf_tailroom(buf));
        assert_int_equal(zcb_buf_prepend(buf, 128, &at), 0);
        memset(at, 1, 128);
        assert_int_equal(zcb_buf_prepend(buf, 1, &at), -ERANGE);
        zcb_buf_release(&buf);
    }
    must_end(&pool);
}

static void
buffers_of_whole_pages_are_aligned_to_pages(void **state)
{
    const struct zcb_pool_config libc = {.source = zcb_source_libc()};
    const struct zcb_pool_config *configs[] = {NULL, &libc};

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        struct zcb_pool *pool = must_create(configs[c]);
        struct zcb_buf *bufs[300];

        for (size_t i = 0; i < 300; i++) {
            bufs[i] = must_acquire(pool, i % 3 == 0 ? 4096 : i % 3 == 1 ? 16384 : 65536);
            assert_int_equal((uintptr_t)zcb_buf_data(bufs[i]) % 4096, 0);
        }
        zcb_buf_release_n(bufs, 300);
        bufs[0] = must_acquire(pool, 100000); // O_DIRECT wants oversize ones aligned as well
        assert_int_equal((uintptr_t)zcb_buf_data(bufs[0]) % 4096, 0);
        zcb_buf_release(&bufs[0]);
        must_end(&pool);
    }
}

static void
buffers_never_overlap(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    enum { COUNT = 3000 };
    static struct zcb_buf *bufs[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        static const size_t sizes[] = {1, 4096, 5000, 16384, 20000, 65536, 70000};

        bufs[i] = must_acquire(pool, sizes[i % 7]);
        memset(zcb_buf_data(bufs[i]), (int)(i % 251), zcb_buf_capacity(bufs[i]));
    }
    for (size_t i = 0; i < COUNT; i++) {
        const uint8_t *data = zcb_buf_data(bufs[i]);

        assert_int_equal(data[0], i % 251);
        assert_memory_equal(data, data + 1, zcb_buf_capacity(bufs[i]) - 1);
    }
    qsort(bufs, COUNT, sizeof(bufs[0]), bufs_by_address);
    for (size_t i = 0; i + 1 < COUNT; i++)
        assert_true(zcb_buf_data(bufs[i]) + zcb_buf_capacity(bufs[i]) <= zcb_buf_data(bufs[i + 1]));
    zcb_buf_release_n(bufs, COUNT);
    must_end(&pool);
}

// ---- the other flags ----------------------------------------------------------------------------

static void
without_caches_everything_is_in_the_depot(void **state)
{
    const struct zcb_pool_config config = {.flags = ZCB_POOL_NO_CACHE};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[50];
    struct zcb_pool_stats stats;

    (void)state;
    for (size_t i = 0; i < 50; i++)
        bufs[i] = must_acquire(pool, 4096);
    zcb_buf_release_n(bufs, 50);
    for (size_t i = 0; i < 50; i++)
        bufs[i] = must_acquire(pool, 4096);
    stats = must_be_at_rest(pool);
    assert_int_equal(stats.total.cached, 0);
    assert_int_equal(stats.total.hits, 0);
    assert_int_equal(stats.total.live, 50);
    assert_true(stats.total.depot_hits >= 50);
    assert_int_equal(stats.threads, 0);
    zcb_buf_release_n(bufs, 50);
    assert_int_equal(zcb_thread_warm(pool), 0); // there is nothing to warm
    assert_int_equal(must_be_at_rest(pool).total.cached, 0);
    must_end(&pool);
}

static void
every_flag_and_source_gives_a_pool_that_works(void **state)
{
    const struct zcb_source *sources[] = {NULL, zcb_source_libc(), zcb_source_pages(),
                                          zcb_source_jemalloc()};

    (void)state;
    for (size_t s = 0; s < 4; s++) {
        if (s == 3 && sources[s] == NULL)
            continue;
        for (uint32_t flags = 0; flags < 64; flags++) {
            struct zcb_pool_config config = {
                .source = sources[s],
                .flags = flags,
                .numa_node = flags % 2 == 0 ? 0 : 1,
            };
            struct zcb_pool *pool = must_create(&config);
            struct zcb_buf *bufs[40];
            size_t n = 0;

            for (size_t i = 0; i < 40; i++) {
                size_t len = (i * 3001) % 65536;

                bufs[n] = must_acquire(pool, len);
                memset(zcb_buf_data(bufs[n]), 1, len);
                n++;
            }
            zcb_buf_release_n(bufs, n);
            bufs[0] = must_acquire(pool, 1);
            zcb_buf_release(&bufs[0]);
            zcb_pool_trim(pool, 0);
            must_end(&pool);
        }
    }
}

static void
no_oversize_refuses_what_is_above_the_largest_tier(void **state)
{
    const struct zcb_pool_config config = {.flags = ZCB_POOL_NO_OVERSIZE, .headroom = 36};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *buf = NULL;

    (void)state;
    assert_int_equal(zcb_pool_acquire(pool, 65501, &buf), -ENOBUFS);
    assert_int_equal(zcb_pool_acquire(pool, 100000, &buf), -ENOBUFS);
    assert_int_equal(zcb_pool_acquire_n(pool, 100000, &buf, 1), -ENOBUFS);
    assert_int_equal(zcb_pool_acquire_flags(pool, 100000, ZCB_ACQUIRE_RESERVED, &buf), -ENOBUFS);
    assert_null(buf);
    assert_int_equal(must_be_at_rest(pool).oversize.refusals, 4);
    buf = must_acquire(pool, 65500);
    assert_int_equal(zcb_buf_capacity(buf), 65536);
    zcb_buf_release(&buf);
    must_end(&pool);
}

static void
a_magazine_holds_no_more_than_was_configured(void **state)
{
    static const uint32_t magazines[] = {1, 2, 3, 7, 64, 120};

    (void)state;
    for (size_t m = 0; m < sizeof(magazines) / sizeof(magazines[0]); m++) {
        const struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 1024, .magazine = magazines[m]}}};
        struct zcb_pool *pool = must_create(&config);
        static struct zcb_buf *bufs[1000];
        uint64_t seed = m;

        assert_int_equal(zcb_pool_acquire_n(pool, 1, bufs, 1000), 1000);
        for (size_t i = 0; i < 1000; i++) {
            zcb_buf_release(&bufs[i]);
            assert_true(must_be_at_rest(pool).total.cached <= magazines[m]);
        }
        for (size_t i = 0; i < 1000; i++) {
            size_t n = 1 + zcb_test_below(&seed, 200);

            assert_int_equal(zcb_pool_acquire_n(pool, 1, bufs, n), (int)n);
            assert_true(must_be_at_rest(pool).total.cached <= magazines[m]);
            zcb_buf_release_n(bufs, n);
            assert_true(must_be_at_rest(pool).total.cached <= magazines[m]);
        }
        must_end(&pool);
    }
}

static void
a_long_name_is_cut_between_two_characters(void **state)
{
    static const struct {
        const char *end; // of the name, behind 60 letters
        size_t kept;
    } names[] = {
        {"abc", 63},                                  // just fits
        {"abcd", 63},      {"ab\xc3\xa9", 62},        // two bytes, of which one would fit
        {"a\xc3\xa9", 63}, {"a\xf0\x9f\x8c\x8a", 61}, // four bytes, of which two would fit
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char name[80], text[4096] = {0}, expected[80];
        const struct zcb_pool_config config = {.name = name};
        struct zcb_pool *pool;
        FILE *file = tmpfile();

        assert_non_null(file);
        memset(name, 'x', 60);
        strcpy(name + 60, names[i].end);
        pool = must_create(&config);
        assert_int_equal(zcb_pool_stats_print(pool, fileno(file), ZCB_STATS_TEXT), 0);
        rewind(file);
        assert_true(fread(text, 1, sizeof(text) - 1, file) > 64);
        snprintf(expected, sizeof(expected), "%.*s:", (int)names[i].kept, name);
        assert_memory_equal(text, expected, strlen(expected));
        fclose(file);
        must_end(&pool);
    }
}

static void
a_numa_node_that_is_not_there_is_advice_that_is_not_taken(void **state)
{
    static const int nodes[] = {1, 64, 1024, 1025, INT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        const struct zcb_pool_config config = {.numa_node = nodes[i]};
        struct zcb_pool *pool = must_create(&config);
        struct zcb_buf *buf = must_acquire(pool, 4096);

        memset(zcb_buf_data(buf), 1, 4096);
        zcb_buf_release(&buf);
        must_end(&pool);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_needs_no_config),
        cmocka_unit_test(create_refuses_what_makes_no_sense),
        cmocka_unit_test(a_create_that_fails_gives_everything_back_and_does_not_close_the_source),
        cmocka_unit_test(create_returns_what_attach_returned),
        cmocka_unit_test(source_table_name_and_config_are_copied),
        cmocka_unit_test(a_long_name_is_cut_between_two_characters),
        cmocka_unit_test(a_numa_node_that_is_not_there_is_advice_that_is_not_taken),
        cmocka_unit_test(there_may_be_1024_pools_and_no_more),
        cmocka_unit_test(a_new_pool_with_an_old_number_has_none_of_the_old_buffers),
        cmocka_unit_test(nothing_is_fine_where_nothing_can_be_given_back),
        cmocka_unit_test(null_where_something_is_needed_is_refused),
        cmocka_unit_test(the_smallest_tier_that_suffices_is_used),
        cmocka_unit_test(what_is_above_the_largest_tier_comes_at_full_size),
        cmocka_unit_test(sizes_that_cannot_be_are_refused),
        cmocka_unit_test(own_tiers_are_used_and_there_may_be_eight),
        cmocka_unit_test(the_first_tier_of_size_0_ends_the_list),
        cmocka_unit_test(tiers_above_a_quarter_slab_work_too),
        cmocka_unit_test(headroom_is_on_top_of_what_is_asked_for),
        cmocka_unit_test(buffers_of_whole_pages_are_aligned_to_pages),
        cmocka_unit_test(buffers_never_overlap),
        cmocka_unit_test(without_caches_everything_is_in_the_depot),
        cmocka_unit_test(every_flag_and_source_gives_a_pool_that_works),
        cmocka_unit_test(no_oversize_refuses_what_is_above_the_largest_tier),
        cmocka_unit_test(a_magazine_holds_no_more_than_was_configured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
