// SPDX-License-Identifier: MIT
//
// The depot of a tier: a stack of loads, each a list of free blocks.
//
//     loads -> [b]-next_load-> [b]-next_load-> [b]
//               |               |               |         linked through zcb_block_next();
//              [b]             [b]             [b]     the first block's `len` counts its load
//               |               |
//              [b]             [b]
//
// A load is at most what a thread's cache takes at a time, so an exchange is a walk over one list.
// Everything is linked through the headers of the free blocks: giving back never allocates. Called
// with the pool's lock held.
//
// Checked pools have loads of one block and use them as a queue.

#include "pool/cache.h"

static void
push_load(struct zcb_tier_state *tier, struct zcb_block *first, size_t count, bool at_end)
{
    first->len = count;
    first->u.next_load = NULL;
    if (at_end && tier->loads != NULL) {
        tier->last->u.next_load = first;
        tier->last = first;
        return;
    }
    first->u.next_load = tier->loads;
    if (tier->loads == NULL)
        tier->last = first;
    tier->loads = first;
}

void
zcb_depot_put(struct zcb_pool *pool, uint32_t t, struct zcb_block *const *blocks, uint32_t n)
{
    struct zcb_tier_state *tier = &pool->tier[t];

    for (uint32_t i = 0; i < n; i++) {
        struct zcb_block *block = blocks[i], *top = tier->loads;

        block->floor = block->base; // its pages may be there: see trim.c
        if (!pool->checked && top != NULL && top->len < tier->load) {
            // On top of the first load, which is not full: the block becomes its head.
            zcb_block_set_next(block, top);
            block->len = top->len + 1;
            block->u.next_load = top->u.next_load;
            if (tier->last == top)
                tier->last = block;
            tier->loads = block;
        } else {
            zcb_block_set_next(block, NULL);
            push_load(tier, block, 1, pool->checked);
        }
    }
    tier->free += n;
    pool->idle += n * pool->size[t];
    pool->away -= n;
    zcb_pool_wake(pool);
    // Plenty again, in loads or as a part of what there is: releases may stay with their threads.
    if (tier->scarce && pool->waiters == 0 &&
        (tier->free > 2 * (size_t)tier->load || tier->free > tier->total / 4))
        tier->scarce = false;
}

uint32_t
zcb_depot_take(struct zcb_pool *pool, uint32_t t, struct zcb_block **out, uint32_t want)
{
    struct zcb_tier_state *tier = &pool->tier[t];
    uint32_t n = 0;

    while (n < want && tier->loads != NULL) {
        struct zcb_block *block = tier->loads, *next = zcb_block_next(block);

        out[n++] = block;
        if (next == NULL) {
            tier->loads = block->u.next_load;
            if (tier->loads == NULL)
                tier->last = NULL;
        } else {
            next->len = block->len - 1;
            next->u.next_load = block->u.next_load;
            if (tier->last == block)
                tier->last = next;
            tier->loads = next;
        }
    }
    tier->free -= n;
    if (tier->free < tier->low_free)
        tier->low_free = tier->free;
    pool->idle -= n * pool->size[t];
    pool->away += n;
    zcb_pool_note_peaks(pool, t);
    return n;
}

void
zcb_depot_purify(struct zcb_pool *pool, uint32_t t)
{
    struct zcb_tier_state *tier = &pool->tier[t];
    struct zcb_block *load = tier->loads;

    // The loads are taken apart and put together again in their order, less the doomed blocks.
    tier->loads = NULL;
    tier->last = NULL;
    while (load != NULL) {
        struct zcb_block *next_load = load->u.next_load, *block = load, *first = NULL, *end = NULL;
        size_t count = 0;

        while (block != NULL) {
            struct zcb_block *next = zcb_block_next(block);

            if (((struct zcb_slab *)block->home)->doomed) {
                tier->free--;
                tier->total--;
                pool->idle -= pool->size[t];
            } else {
                if (first == NULL)
                    first = block;
                else
                    zcb_block_set_next(end, block);
                zcb_block_set_next(block, NULL);
                end = block;
                count++;
            }
            block = next;
        }
        if (first != NULL)
            push_load(tier, first, count, true);
        load = next_load;
    }
    if (tier->free < tier->low_free)
        tier->low_free = tier->free;
}

void
zcb_depot_call_in(struct zcb_pool *pool, uint32_t tier)
{
    for (struct zcb_cache *cache = pool->caches; cache != NULL; cache = cache->next)
        for (uint32_t t = 0; t < pool->tiers; t++)
            if (tier == ZCB_POOL_TIERS || tier == t)
                __atomic_store_n(&cache->tier[t].room, 0, __ATOMIC_RELAXED);
}
