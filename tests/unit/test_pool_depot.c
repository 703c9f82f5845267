// SPDX-License-Identifier: MIT
//
// The depot of a tier: in which order free buffers are used again, what a trim does to that order,
// and that its arrays are enough whatever was taken and put.

#include "testing.h"

#include "support/pools.h"

enum { BLOCKS = 5, SLABS = 6, ALL = BLOCKS * SLABS };

// Slabs of BLOCKS small buffers, loads of `load`.
static struct zcb_pool *
small_pool(uint32_t load, uint32_t flags)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 64, .magazine = 2 * load}},
        .slab_size = 64 * BLOCKS,
        .flags = flags,
    };

    return must_create(&config);
}

static void
acquire_all(struct zcb_pool *pool, struct zcb_buf **bufs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bufs[i] = must_acquire(pool, 64);
}

// In an order that has nothing to do with slabs; says which it was.
static void
release_all(struct zcb_buf **bufs, size_t n, const uint8_t **order)
{
    for (size_t i = 0; i < n; i++) {
        struct zcb_buf **buf = &bufs[i * 7 % n];

        order[i] = zcb_buf_data(*buf);
        zcb_buf_release(buf);
    }
}

static void
a_trim_leaves_the_rest_in_the_order_it_was_in(void **state)
{
    static const struct {
        uint32_t flags;
        bool newest_first;
    } cases[] = {{ZCB_POOL_NO_CACHE, true}, {ZCB_POOL_HARDENED, false}};

    (void)state;
    for (size_t c = 0; c < 2; c++)
        for (uint32_t load = 1; load <= 8; load++) {
            struct zcb_pool *pool = small_pool(load, cases[c].flags);
            struct zcb_buf *bufs[ALL];
            const uint8_t *order[ALL];
            size_t at = 0, kept = ALL - 2 * BLOCKS;

            acquire_all(pool, bufs, ALL);
            release_all(bufs, ALL, order);
            assert_int_equal(zcb_pool_trim(pool, kept * 64), 2 * BLOCKS * 64);
            acquire_all(pool, bufs, kept);
            assert_int_equal(must_be_at_rest(pool).total.slabs, SLABS - 2);
            for (size_t i = 0; i < kept; i++, at++) {
                const uint8_t *data = zcb_buf_data(bufs[i]);

                while (at < ALL && order[cases[c].newest_first ? ALL - 1 - at : at] != data)
                    at++;
                assert_true(at < ALL);
            }
            zcb_buf_release_n(bufs, kept);
            must_end(&pool);
        }
}

static void
a_hardened_pool_uses_what_was_free_the_longest(void **state)
{
    struct zcb_pool *pool = small_pool(8, ZCB_POOL_HARDENED);
    struct zcb_buf *bufs[ALL];
    const uint8_t *order[ALL];

    (void)state;
    acquire_all(pool, bufs, ALL);
    release_all(bufs, ALL, order);
    for (size_t i = 0; i < 3 * ALL; i++) {
        struct zcb_buf *buf = must_acquire(pool, 64);

        assert_ptr_equal(zcb_buf_data(buf), order[i % ALL]);
        zcb_buf_release(&buf);
    }
    must_end(&pool);
}

// A queue has a load at each end that is not full, and a trim needs one more.
static void
a_trim_finds_room_however_far_the_queue_has_turned(void **state)
{
    (void)state;
    for (uint32_t load = 1; load <= 8; load++)
        for (size_t turns = 0; turns < ALL; turns++)
            for (size_t slabs = 2; slabs <= SLABS; slabs++) {
                struct zcb_pool *pool = small_pool(load, ZCB_POOL_HARDENED);
                struct zcb_buf *bufs[ALL];

                acquire_all(pool, bufs, slabs * BLOCKS);
                zcb_buf_release_n(bufs, slabs * BLOCKS);
                for (size_t i = 0; i < turns; i++) {
                    struct zcb_buf *buf = must_acquire(pool, 64);

                    zcb_buf_release(&buf);
                }
                assert_int_equal(zcb_pool_trim(pool, (slabs - 1) * BLOCKS * 64), BLOCKS * 64);
                acquire_all(pool, bufs, ALL);
                zcb_buf_release_n(bufs, ALL);
                must_end(&pool);
            }
}

// Slabs come and go; the arrays that their blocks are kept in stay as many as they were at most.
static void
slabs_that_come_and_go_find_their_arrays_again(void **state)
{
    (void)state;
    for (uint32_t load = 1; load <= 60; load += 7) {
        struct zcb_pool *pool = small_pool(load, ZCB_POOL_NO_CACHE);
        struct zcb_buf *bufs[ALL];

        for (size_t i = 0; i < 200; i++) {
            size_t n = 1 + i * 11 % ALL;

            acquire_all(pool, bufs, n);
            zcb_buf_release_n(bufs, n);
            zcb_pool_trim(pool, i * 13 % ALL * 64);
            must_be_at_rest(pool);
        }
        must_end(&pool);
    }
}

static void
decay_takes_half_of_what_a_trim_left_not_of_what_was_there_before(void **state)
{
    struct zcb_pool *pool = small_pool(4, ZCB_POOL_NO_CACHE | ZCB_POOL_ADAPTIVE);
    struct zcb_buf *bufs[ALL];

    (void)state;
    acquire_all(pool, bufs, ALL);
    zcb_buf_release_n(bufs, ALL);
    zcb_pool_decay(pool); // an interval begins
    zcb_pool_trim(pool, 2 * BLOCKS * 64);
    assert_int_equal(must_be_at_rest(pool).total.slabs, 2);
    zcb_pool_decay(pool);
    assert_int_equal(must_be_at_rest(pool).total.slabs, 1);
    must_end(&pool);
}

static void
scarcity_ends_with_two_loads_though_most_is_out(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 64, .max_buffers = 1024}},
        .policy = ZCB_POOL_FAIL,
    };
    struct zcb_pool *pool = must_create(&config);
    static struct zcb_buf *bufs[1024];
    struct zcb_buf *none = NULL;
    uint64_t hits;

    (void)state;
    acquire_all(pool, bufs, 1024);
    assert_int_equal(zcb_pool_acquire(pool, 1, &none), -ENOBUFS);
    zcb_buf_release_n(bufs, 100); // loads of 32
    hits = must_be_at_rest(pool).total.hits;
    acquire_all(pool, bufs, 20);
    // Under Valgrind there are no caches.
    assert_true(must_be_at_rest(pool).total.hits > hits || must_stats(pool).threads == 0);
    zcb_buf_release_n(bufs, 20);
    zcb_buf_release_n(bufs + 100, 924);
    must_end(&pool);
}

static void
what_was_made_resident_again_can_be_trimmed_again(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .prealloc = 256}},
        .source = zcb_source_pages(),
    };
    struct zcb_pool *pool = must_create(&config);

    (void)state;
    assert_int_equal(zcb_pool_trim(pool, 0), MIB);
    assert_int_equal(zcb_pool_trim(pool, 0), 0);
    assert_int_equal(zcb_pool_prefault(pool, 4096, 64), 0);
    assert_int_equal(zcb_pool_trim(pool, 0), MIB / 4);
    must_end(&pool);
}

// One load comes, also after caches were called in, and stays when the buffer comes back.
static void
an_acquire_fetches_a_load(void **state)
{
    struct zcb_pool *pool = small_pool(4, 0);

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct zcb_buf *buf = must_acquire(pool, 64);
        bool caches = must_stats(pool).threads != 0; // not under Valgrind

        assert_int_equal(must_be_at_rest(pool).total.cached, caches ? 3 : 0);
        zcb_buf_release(&buf);
        assert_int_equal(must_be_at_rest(pool).total.cached, caches ? 4 : 0);
        zcb_pool_trim(pool, 0);
        assert_int_equal(must_be_at_rest(pool).total.cached, 0);
    }
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trim_leaves_the_rest_in_the_order_it_was_in),
        cmocka_unit_test(a_hardened_pool_uses_what_was_free_the_longest),
        cmocka_unit_test(a_trim_finds_room_however_far_the_queue_has_turned),
        cmocka_unit_test(slabs_that_come_and_go_find_their_arrays_again),
        cmocka_unit_test(decay_takes_half_of_what_a_trim_left_not_of_what_was_there_before),
        cmocka_unit_test(what_was_made_resident_again_can_be_trimmed_again),
        cmocka_unit_test(an_acquire_fetches_a_load),
        cmocka_unit_test(scarcity_ends_with_two_loads_though_most_is_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
