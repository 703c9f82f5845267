// SPDX-License-Identifier: MIT
//
// Acquire: the thread's cache, else the depot, else more memory, else what the policy says.

#include <limits.h>

#include "pool/cache.h"
#include "pool/harden.h"

// A pool that has no name for a limit has SIZE_MAX.
static size_t
bytes_allowed(const struct zcb_pool *pool, uint32_t flags)
{
    return flags & ZCB_ACQUIRE_RESERVED ? pool->max_bytes : pool->normal_bytes;
}

// Whether the reserve forbids taking a free block: what is used, with one more, must stay below it.
static bool
depot_is_reserved(const struct zcb_pool *pool, uint32_t t, uint32_t flags)
{
    size_t used;

    if (pool->normal_bytes == pool->max_bytes || (flags & ZCB_ACQUIRE_RESERVED))
        return false;
    used = pool->charged - zcb_pool_idle(pool);
    return used > pool->normal_bytes || pool->normal_bytes - used < pool->size[t];
}

// From the depot: one for the caller, and a load for its cache unless blocks are scarce.
static struct zcb_block *
take_from_depot(struct zcb_pool *pool, uint32_t t, struct zcb_cache *cache, uint32_t flags)
{
    struct zcb_block *block;

    if (depot_is_reserved(pool, t, flags) || zcb_depot_take(pool, t, &block, 1) == 0)
        return NULL;
    if (cache != NULL && !pool->tier[t].scarce) {
        struct zcb_magazine *magazine = &cache->tier[t];

        // It may have been called in, and it is empty.
        __atomic_store_n(&magazine->room, magazine->cap, __ATOMIC_RELAXED);
        zcb_cache_fill(cache, t, magazine->load - 1);
    }
    return block;
}

// What one call of acquire wants.
struct wish {
    size_t need; // bytes, with headroom
    uint32_t t;  // the tier that has them; pool->tiers: none
    uint32_t flags;
    struct zcb_cache *cache; // the thread's, where it may hold blocks of the tier
    bool more;               // of acquire_n: not to have it is no refusal
};

// No block was to be had: from now on releases come straight to the depot.
static void
note_scarcity(struct zcb_pool *pool, uint32_t t, bool all_tiers)
{
    for (uint32_t i = 0; i < pool->tiers; i++)
        if (i == t || all_tiers)
            pool->tier[i].scarce = true;
    zcb_depot_call_in(pool, all_tiers ? ZCB_POOL_TIERS : t);
}

// Frees up to `slabs` idle slabs. What this thread has in its own cache idles too.
static bool
make_place(struct zcb_pool *pool, size_t slabs)
{
    struct zcb_cache *own = zcb_cache_find(pool->id);

    if (own != NULL)
        zcb_cache_empty(own);
    return zcb_slab_reclaim(pool, 0, slabs) != 0;
}

// A buffer above all tiers, or beyond its tier's limit.
static int
acquire_single(struct zcb_pool *pool, const struct wish *wish, uint32_t account, size_t size,
               struct zcb_block **out)
{
    size_t bytes_max = bytes_allowed(pool, wish->flags);
    int result = zcb_single_alloc(pool, account, size, bytes_max, out);

    // What idles in the depot may be in the way of the limit, or of a source that is small; not of
    // something that is far larger than all of it. More may idle each time, as the lock was dropped.
    while ((result == -ENOBUFS || (result == -ENOMEM && size / 2 <= pool->charged)) &&
           make_place(pool, SIZE_MAX))
        result = zcb_single_alloc(pool, account, size, bytes_max, out);
    if (result == -ENOBUFS || result == -ENOMEM)
        note_scarcity(pool, ZCB_POOL_TIERS, true);
    if (result == 0)
        pool->tier[account].fallbacks++;
    return result;
}

// One attempt, without waiting but for others who are growing the tier (until `until_ms`).
static int
acquire_now(struct zcb_pool *pool, const struct wish *wish, uint64_t until_ms,
            struct zcb_block **out)
{
    struct zcb_tier_state *tier = &pool->tier[wish->t];
    uint32_t t = wish->t;
    bool grew = false;
    int result;

    if (t == pool->tiers)
        return acquire_single(pool, wish, ZCB_POOL_OVERSIZE, wish->need, out);
    for (;;) {
        *out = take_from_depot(pool, t, wish->cache, wish->flags);
        if (*out != NULL) {
            if (grew)
                tier->misses++;
            else
                tier->depot_hits++;
            return 0;
        }
        if (depot_is_reserved(pool, t, wish->flags))
            return -ENOBUFS;
        result = zcb_slab_grow(pool, t, bytes_allowed(pool, wish->flags), 0, false, until_ms);
        if (result == 0) {
            grew = true;
            continue;
        }
        // The tier is full: beside it, if that is wanted.
        if (result == -ENOBUFS && tier->total >= tier->max) {
            note_scarcity(pool, t, false);
            if (pool->policy == ZCB_POOL_DYNAMIC)
                return acquire_single(pool, wish, t, pool->size[t], out);
            return result;
        }
        if (result == -ENOBUFS && tier->growing != 0)
            return result; // others are at it, and there was no time to wait for them
        // The pool, or its source, is full: idle slabs of other tiers can go.
        if (result != -ENOBUFS && result != -ENOMEM)
            return result;
        if (!make_place(pool, 1) && tier->free == 0) { // one may have come back meanwhile
            note_scarcity(pool, t, true);
            return result;
        }
    }
}

// Whether waiting may help: something is out, or on its way to or from the source.
static bool
may_come(const struct zcb_pool *pool)
{
    return pool->charged != zcb_pool_idle(pool);
}

// What a try that failed has seen of the pool's counters before it began: a try drops the lock, and
// what comes meanwhile wakes nobody.
struct seen {
    unsigned came, given_up;
};

static struct seen
look(const struct zcb_pool *pool)
{
    return (struct seen){pool->came, pool->given_up};
}

// Whether a try that failed with `result` may succeed now. Where the source had no memory, that
// others did not get any either changes nothing: they would wake each other for ever.
static bool
is_worth_a_try(const struct zcb_pool *pool, const struct seen *before, int result)
{
    return pool->came != before->came || (result == -ENOBUFS && pool->given_up != before->given_up);
}

static int
acquire_locked(struct zcb_pool *pool, const struct wish *wish, struct zcb_block **out)
{
    bool oversize = wish->t == pool->tiers, in_time = true;
    struct zcb_tier_state *tier = &pool->tier[oversize ? ZCB_POOL_OVERSIZE : wish->t];
    bool may_wait = pool->policy == ZCB_POOL_WAIT && !(wish->flags & ZCB_ACQUIRE_NOWAIT);
    uint64_t until_ms = wish->flags & ZCB_ACQUIRE_NOWAIT ? 0 : UINT64_MAX;
    size_t least = oversize ? wish->need : pool->size[wish->t];
    struct seen before = look(pool);
    bool waited = false;
    int result = -ENOBUFS;

    if (may_wait && pool->wait_ms != UINT32_MAX)
        until_ms = zcb_os_now_ms() + pool->wait_ms;
    // What is above the limit, or not wanted at all, will never be there.
    if (least > bytes_allowed(pool, wish->flags) ||
        (oversize && (pool->flags & ZCB_POOL_NO_OVERSIZE)))
        may_wait = false;
    else
        result = acquire_now(pool, wish, until_ms, out);
    while (may_wait && (result == -ENOBUFS || result == -ENOMEM) && may_come(pool)) {
        if (!in_time) {
            result = -ETIMEDOUT;
            break;
        }
        if (!waited) {
            // Until it has what it wants: a try, too, drops the lock, and what is released then must
            // not stay in a cache whose thread does not call again.
            waited = true;
            tier->waits++;
            pool->waiters++;
        }
        while (in_time && may_come(pool) && !is_worth_a_try(pool, &before, result))
            in_time = zcb_os_wait(&pool->changed, &pool->lock, until_ms);
        before = look(pool);
        result = acquire_now(pool, wish, until_ms, out);
    }
    if (waited && pool->waiters != 0) // 0: in a child that a source forked meanwhile
        pool->waiters--;
    if (result < 0 && !wish->more)
        tier->refusals++;
    return result;
}

// `more`: see struct wish.
static int
acquire_slow(struct zcb_pool *pool, size_t len, uint32_t flags, bool more, struct zcb_buf **out)
{
    const uint32_t known = ZCB_ACQUIRE_RESERVED | ZCB_ACQUIRE_NOWAIT;
    struct zcb_block *block = NULL;
    struct zcb_cache *cache = NULL;
    struct wish wish;
    size_t need;
    uint32_t t;
    int result;

    if (pool == NULL || out == NULL || (flags & ~known) != 0)
        return -EINVAL;
    if (len > SIZE_MAX - pool->headroom)
        return -EOVERFLOW;
    need = len + pool->headroom;
    t = zcb_pool_tier_of(pool, need);
    zcb_cache_heed_closings();
    if (pool->cached && t < pool->tiers)
        cache = zcb_cache_make(pool, true);
    if (cache != NULL) {
        if (zcb_magazine_pop(&cache->tier[t], &block)) {
            zcb_block_start(block, pool->headroom);
            *out = (struct zcb_buf *)block;
            return 0;
        }
        if (cache->tier[t].cap == 0)
            cache = NULL;
    }
    if (pool->cached && __atomic_load_n(&pool->spares, __ATOMIC_RELAXED) < 2)
        zcb_cache_stock(pool);

    wish = (struct wish){need, t, flags, cache, more};
    zcb_pool_enter(pool);
    result = acquire_locked(pool, &wish, &block);
    if (result == 0) {
        if (pool->checked)
            zcb_check_out(pool, block);
        zcb_block_start(block, pool->headroom);
        *out = (struct zcb_buf *)block;
    }
    if (pool->flags & ZCB_POOL_ADAPTIVE)
        zcb_pool_tick(pool);
    zcb_pool_leave(pool);
    return result;
}

int
zcb_pool_acquire(struct zcb_pool *pool, size_t len, struct zcb_buf **out)
{
    size_t need;

    if (ZCB_LIKELY(pool != NULL && out != NULL &&
                   !__builtin_add_overflow(len, pool->headroom, &need))) {
        uint32_t t = zcb_pool_tier_of(pool, need);
        struct zcb_cache *cache = zcb_cache_find(pool->id);
        struct zcb_block *block;

        if (ZCB_LIKELY(cache != NULL && zcb_magazine_pop(zcb_cache_tier(cache, t), &block))) {
            zcb_block_start(block, pool->headroom);
            *out = (struct zcb_buf *)block;
            return 0;
        }
    }
    return acquire_slow(pool, len, 0, false, out);
}

int
zcb_pool_acquire_flags(struct zcb_pool *pool, size_t len, uint32_t flags, struct zcb_buf **out)
{
    return flags == 0 ? zcb_pool_acquire(pool, len, out)
                      : acquire_slow(pool, len, flags, false, out);
}

int
zcb_pool_acquire_n(struct zcb_pool *pool, size_t len, struct zcb_buf **out, size_t n)
{
    size_t need, got = 0;
    uint32_t flags = 0, t;

    if (pool == NULL || (out == NULL && n != 0) || n > INT_MAX)
        return -EINVAL;
    if (len > SIZE_MAX - pool->headroom)
        return -EOVERFLOW;
    need = len + pool->headroom;
    t = zcb_pool_tier_of(pool, need);
    while (got < n) {
        struct zcb_cache *cache = zcb_cache_find(pool->id);
        int result;

        if (cache != NULL) { // all that the cache has, in one go
            struct zcb_magazine *magazine = &cache->tier[t];
            uint64_t word = magazine->word;
            uint32_t have = zcb_magazine_n(word);
            uint32_t k = n - got < have ? (uint32_t)(n - got) : have;

            for (uint32_t i = 0; i < k; i++) {
                struct zcb_block *block = magazine->items[have - 1 - i];

                zcb_block_start(block, pool->headroom);
                out[got + i] = (struct zcb_buf *)block;
            }
            __atomic_store_n(&magazine->word, word + 255 * (uint64_t)k, __ATOMIC_RELAXED);
            got += k;
            if (got == n)
                break;
        }
        result = acquire_slow(pool, len, flags, got != 0, &out[got]);
        if (result < 0)
            return got != 0 ? (int)got : result;
        got++;
        flags = ZCB_ACQUIRE_NOWAIT;
    }
    return (int)got;
}

size_t
zcb_pool_fit(const struct zcb_pool *pool, size_t len)
{
    uint32_t t;

    if (len > SIZE_MAX - pool->headroom)
        return 0;
    t = zcb_pool_tier_of(pool, len + pool->headroom);
    return t < pool->tiers ? pool->size[t] : 0;
}
