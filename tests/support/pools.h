// SPDX-License-Identifier: MIT
//
// What tests of pools do all the time. Needs testing.h and child.h in front of it.
//
// The functions called must_ use CHECK(), not cmocka's assertions, so that any thread and any child
// may call them.
#ifndef ZCB_TESTS_POOLS_H
#define ZCB_TESTS_POOLS_H

#include "support/child.h"

#include <zcbuf/zcbuf.h>

#define KIB 1024ul
#define MIB (1024ul * 1024ul)

static inline struct zcb_pool *
must_create(const struct zcb_pool_config *config)
{
    struct zcb_pool *pool = NULL;

    CHECK(zcb_pool_create(config, &pool) == 0);
    CHECK(pool != NULL);
    return pool;
}

static inline struct zcb_buf *
must_acquire(struct zcb_pool *pool, size_t len)
{
    struct zcb_buf *buf = NULL;
    int result = zcb_pool_acquire(pool, len, &buf);

    if (result != 0)
        fprintf(stderr, "acquire of %zu bytes: %d (%s)\n", len, result, zcb_strerror(result));
    CHECK(result == 0);
    CHECK(buf != NULL);
    CHECK(zcb_buf_len(buf) == 0);
    CHECK(zcb_buf_tailroom(buf) >= len);
    return buf;
}

// A packet of `len` bytes in a buffer of the pool; its bytes are not written.
static inline struct zcb_packet
must_packet(struct zcb_pool *pool, size_t len)
{
    struct zcb_buf *buf = must_acquire(pool, len);
    struct zcb_packet packet = {0};

    CHECK(zcb_buf_set_len(buf, len) == 0);
    zcb_buf_share(&buf, &packet);
    CHECK(buf == NULL);
    return packet;
}

// For qsort() of an array of bufs.
static inline int
bufs_by_address(const void *a, const void *b)
{
    uintptr_t one = (uintptr_t)zcb_buf_data(*(struct zcb_buf *const *)a);
    uintptr_t two = (uintptr_t)zcb_buf_data(*(struct zcb_buf *const *)b);

    return one < two ? -1 : one > two;
}

static inline struct zcb_pool_stats
must_stats(struct zcb_pool *pool)
{
    struct zcb_pool_stats stats;

    memset(&stats, 0xee, sizeof(stats));
    CHECK(zcb_pool_stats(pool, &stats, sizeof(stats)) == 0);
    return stats;
}

static inline void
must_hold_for_tier(const struct zcb_tier_stats *tier)
{
    CHECK(tier->acquires == tier->hits + tier->depot_hits + tier->misses + tier->fallbacks);
    CHECK(tier->acquires >= tier->returns + tier->drops);
    CHECK(tier->live == tier->acquires - tier->returns - tier->drops);
    CHECK(tier->peak_charged >= tier->charged);
    for (size_t i = 0; i < sizeof(tier->reserved) / sizeof(tier->reserved[0]); i++)
        CHECK(tier->reserved[i] == 0);
}

// The identities of stats.h, which hold when no thread is in a call. Returns the snapshot.
static inline struct zcb_pool_stats
must_be_at_rest(struct zcb_pool *pool)
{
    struct zcb_pool_stats stats = must_stats(pool);
    struct zcb_tier_stats sum = stats.oversize;

    must_hold_for_tier(&stats.oversize);
    must_hold_for_tier(&stats.total);
    CHECK(stats.tiers >= 1 && stats.tiers <= ZCB_POOL_TIERS);
    for (uint32_t i = 0; i < stats.tiers; i++) {
        must_hold_for_tier(&stats.tier[i]);
        CHECK(stats.tier[i].buffer_size != 0);
#define ADD(name, gauge, help) sum.name += stats.tier[i].name;
        ZCB_TIER_STATS(ADD)
#undef ADD
    }
    // Peaks of the parts need not have been at the same time.
#define SAME(name) CHECK(stats.total.name == sum.name)
    SAME(acquires);
    SAME(hits);
    SAME(depot_hits);
    SAME(misses);
    SAME(fallbacks);
    SAME(refusals);
    SAME(waits);
    SAME(returns);
    SAME(drops);
    SAME(live);
    SAME(cached);
    SAME(depot);
    SAME(charged);
    SAME(slabs);
#undef SAME
    if (stats.max_bytes != 0)
        CHECK(stats.total.peak_charged <= stats.max_bytes);
    CHECK(stats.hit_rate >= 0 && stats.hit_rate <= 1);
    for (size_t i = 0; i < sizeof(stats.reserved) / sizeof(stats.reserved[0]); i++)
        CHECK(stats.reserved[i] == 0);
    return stats;
}

// Nothing is out; then destroys the pool.
static inline void
must_end(struct zcb_pool **pool)
{
    CHECK(must_be_at_rest(*pool).total.live == 0);
    zcb_pool_destroy(pool);
    CHECK(*pool == NULL);
}

#endif
