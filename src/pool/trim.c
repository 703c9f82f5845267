// SPDX-License-Identifier: MIT
//
// Idle memory back to the source and to the system; memory made ready before it is needed.

#include <string.h>

#include "pool/cache.h"

// The part of a block that can be purged: of ordinary memory, whole pages; what a user's source can
// do is its own matter.
static size_t
purgeable(const struct zcb_pool *pool, const struct zcb_block *block, uint8_t **at)
{
    uintptr_t page = zcb_os_page_size(), start = (uintptr_t)block->base, end = start + block->size;

    if (pool->plain_memory) {
        start = (start + page - 1) & ~(page - 1);
        end &= ~(page - 1);
    }
    *at = (uint8_t *)start;
    return start < end ? end - start : 0;
}

// While a block is in the depot its floor says what became of its pages. NULL: they are gone; this
// byte: the system may take them; else it is as the block's last user left it: they may be there.
static uint8_t offered;

static bool
may_be_purged(const struct zcb_block *block, bool now)
{
    return block->floor != NULL && (now || block->floor != &offered);
}

// Lets go of the pages of free blocks, the longest unused first, until `bytes` are done. With the
// lock: the blocks must not be handed out meanwhile.

static size_t
purge_blocks(struct zcb_pool *pool, uint32_t t, size_t bytes, bool now)
{
    size_t done = 0, candidates = 0, want = bytes / pool->size[t];
    struct zcb_depot_walk walk = {pool->tier[t].loads, 0};
    struct zcb_block *block;

    if (pool->source.purge == NULL)
        return 0;
    while ((block = zcb_depot_next(&walk)) != NULL)
        candidates += may_be_purged(block, now);
    walk = (struct zcb_depot_walk){pool->tier[t].loads, 0};
    while ((block = zcb_depot_next(&walk)) != NULL) {
        uint8_t *at;
        size_t len;

        // The stack's bottom is the coldest: what is above is left alone.
        if (!may_be_purged(block, now) || candidates-- > want)
            continue;
        len = purgeable(pool, block, &at);
        if (len == 0)
            continue;
        if (pool->source.purge(pool->source.ctx, at, len, now) < 0)
            return done;
        block->floor = now ? NULL : &offered;
        done += len;
    }
    return done;
}

// Bytes of free blocks of a tier whose pages are gone.
static size_t
gone_bytes(const struct zcb_pool *pool, uint32_t t)
{
    struct zcb_depot_walk walk = {pool->tier[t].loads, 0};
    const struct zcb_block *block;
    size_t bytes = 0;

    while ((block = zcb_depot_next(&walk)) != NULL)
        bytes += block->floor == NULL ? pool->size[t] : 0;
    return bytes;
}

static void
flush_own(struct zcb_pool *pool)
{
    struct zcb_cache *cache = zcb_cache_find(pool->id);

    if (cache != NULL)
        zcb_cache_empty(cache);
}

size_t
zcb_pool_trim(struct zcb_pool *pool, size_t keep_bytes)
{
    size_t given, left;

    if (pool == NULL)
        return 0;
    zcb_pool_enter(pool);
    flush_own(pool);
    zcb_depot_call_in(pool, ZCB_POOL_TIERS);
    given = zcb_slab_reclaim(pool, keep_bytes, SIZE_MAX);
    left = zcb_pool_idle(pool); // free blocks that have pages
    for (uint32_t t = 0; t < pool->tiers; t++)
        left -= gone_bytes(pool, t);
    for (uint32_t t = pool->tiers; t-- > 0 && !pool->checked && left > keep_bytes;) {
        size_t purged = purge_blocks(pool, t, left - keep_bytes, true);

        left -= purged;
        pool->trimmed += purged;
        given += purged;
    }
    zcb_pool_leave(pool);
    return given;
}

// With the lock on entry and return, not in between.
static size_t
decay(struct zcb_pool *pool)
{
    size_t given = 0;

    pool->decay_ms = zcb_os_now_ms(); // first: the lock is dropped in between
    for (uint32_t t = 0; t < pool->tiers; t++) {
        struct zcb_tier_state *tier = &pool->tier[t];
        size_t unused = tier->low_free * pool->size[t];

        if (unused != 0 && !pool->checked) {
            size_t purged = purge_blocks(pool, t, unused, false);

            pool->trimmed += purged;
            given += purged;
        }
    }
    if (pool->flags & ZCB_POOL_ADAPTIVE) {
        size_t idle = zcb_pool_idle(pool), unused = 0, slabs = 0;

        for (uint32_t t = 0; t < pool->tiers; t++) {
            unused += pool->tier[t].low_free * pool->size[t];
            slabs += pool->tier[t].low_free / pool->tier[t].slab_blocks;
        }
        if (slabs != 0) // half of them, so that a pool shrinks gently
            given +=
                zcb_slab_reclaim(pool, idle - (unused < idle ? unused : idle), (slabs + 1) / 2);
    }
    for (uint32_t t = 0; t < pool->tiers; t++)
        pool->tier[t].low_free = pool->tier[t].free;
    return given;
}

size_t
zcb_pool_decay(struct zcb_pool *pool)
{
    size_t given;

    if (pool == NULL)
        return 0;
    zcb_pool_enter(pool);
    given = decay(pool);
    zcb_pool_leave(pool);
    return given;
}

void
zcb_pool_tick(struct zcb_pool *pool)
{
    if (!pool->closed && zcb_os_now_ms() - pool->decay_ms >= 1000)
        (void)decay(pool);
}

int
zcb_pool_prefault(struct zcb_pool *pool, size_t len, size_t count)
{
    struct zcb_tier_state *tier;
    struct zcb_depot_walk walk;
    struct zcb_block *block;
    uint32_t t;
    int result = 0;

    if (pool == NULL || zcb_pool_fit(pool, len) == 0)
        return -EINVAL;
    t = zcb_pool_tier_of(pool, len + pool->headroom);
    tier = &pool->tier[t];
    zcb_pool_enter(pool);
    while (result == 0 && tier->free < count)
        result = zcb_slab_grow(pool, t, pool->normal_bytes, count - tier->free, false, UINT64_MAX);
    // The ones that will be used first lie on top. The lock is held: this is for quiet times.
    walk = (struct zcb_depot_walk){tier->loads, 0};
    for (size_t done = 0; done < count && (block = zcb_depot_next(&walk)) != NULL; done++) {
        if (pool->checked)
            break; // their contents are watched
        zcb_pool_touch(pool, block->base, block->size);
        block->floor = block->base;
    }
    zcb_pool_leave(pool);
    return result;
}
