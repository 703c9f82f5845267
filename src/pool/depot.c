// SPDX-License-Identifier: MIT
//
// The depot of a tier: free blocks in loads, arrays of as many as a thread's cache gives or takes at
// a time.
//
//     loads -> [b b b . .] -> [b b b b b] -> [b b b b b] <- last
//     empty -> [. . . . .] -> [. . . . .]
//
// It is a stack, and its top is the only load that is neither full nor empty (but for the bottom
// one, after slabs have gone). So a known number of loads holds all blocks that there are, and they
// are made when a slab is: giving back never allocates. Pointers in arrays rather than links through
// the blocks' headers, since those were last written by another processor more often than not, and a
// list of such headers is one wait after the other.
//
// Checked pools use it as a queue: they put at the end and take from the front.
//
// Called with the pool's lock held, where nothing else is said.

#include <stdlib.h>
#include <string.h>

#include "pool/cache.h"

static uint32_t
smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static size_t
load_bytes(const struct zcb_tier_state *tier)
{
    return sizeof(struct zcb_load) + tier->load * sizeof(struct zcb_block *);
}

// The loads that hold `blocks` blocks, of which one at each end need not be full; and one more that
// zcb_depot_purify() reads from while it fills the others.
static size_t
loads_for(const struct zcb_tier_state *tier, size_t blocks)
{
    return blocks / tier->load + 3;
}

size_t
zcb_depot_loads_missing(const struct zcb_pool *pool, uint32_t t, size_t blocks)
{
    const struct zcb_tier_state *tier = &pool->tier[t];
    size_t want = loads_for(tier, tier->total + blocks);

    return want > tier->load_count ? want - tier->load_count : 0;
}

struct zcb_load_chunk *
zcb_depot_make_loads(const struct zcb_pool *pool, uint32_t t, size_t count)
{
    struct zcb_load_chunk *chunk = malloc(sizeof(*chunk) + count * load_bytes(&pool->tier[t]));

    if (chunk != NULL)
        chunk->count = count;
    return chunk;
}

static void
push_empty(struct zcb_tier_state *tier, struct zcb_load *load)
{
    load->first = 0;
    load->n = 0;
    load->next = tier->empty;
    tier->empty = load;
}

void
zcb_depot_add_loads(struct zcb_pool *pool, uint32_t t, struct zcb_load_chunk *chunk)
{
    struct zcb_tier_state *tier = &pool->tier[t];
    uint8_t *at = (uint8_t *)(chunk + 1);

    for (size_t i = 0; i < chunk->count; i++)
        push_empty(tier, (struct zcb_load *)(void *)(at + i * load_bytes(tier)));
    tier->load_count += chunk->count;
    chunk->next = tier->chunks;
    tier->chunks = chunk;
}

void
zcb_depot_free_loads(struct zcb_pool *pool)
{
    for (uint32_t t = 0; t < pool->tiers; t++)
        while (pool->tier[t].chunks != NULL) {
            struct zcb_load_chunk *chunk = pool->tier[t].chunks;

            pool->tier[t].chunks = chunk->next;
            free(chunk);
        }
}

// The load that the next block goes to.
static struct zcb_load *
load_with_room(struct zcb_tier_state *tier, bool at_end)
{
    struct zcb_load *load = at_end ? tier->last : tier->loads;

    if (load != NULL && load->n < tier->load)
        return load;
    load = tier->empty;
    tier->empty = load->next;
    if (at_end && tier->last != NULL) {
        load->next = NULL;
        tier->last->next = load;
        tier->last = load;
    } else {
        load->next = tier->loads;
        if (tier->loads == NULL)
            tier->last = load;
        tier->loads = load;
    }
    return load;
}

void
zcb_depot_put(struct zcb_pool *pool, uint32_t t, struct zcb_block *const *blocks, uint32_t n)
{
    struct zcb_tier_state *tier = &pool->tier[t];

    for (uint32_t done = 0; done < n;) {
        struct zcb_load *load = load_with_room(tier, pool->checked);
        uint32_t k = smaller(n - done, tier->load - load->n);

        memcpy(&load->items[load->n], &blocks[done], k * sizeof(blocks[0]));
        load->n += k;
        done += k;
    }
    tier->free += n;
    zcb_pool_note_came(pool);
    // Plenty again, in loads or as a part of what there is: releases may stay with their threads.
    if (tier->scarce && pool->waiters == 0 &&
        (tier->free > 2 * (size_t)tier->load || tier->free > tier->total / 4))
        tier->scarce = false;
}

uint32_t
zcb_depot_take(struct zcb_pool *pool, uint32_t t, struct zcb_block **out, uint32_t want)
{
    struct zcb_tier_state *tier = &pool->tier[t];
    uint32_t left = want, n;

    // From the end of *out towards its front, as the newest comes first.
    while (left != 0 && tier->loads != NULL) {
        struct zcb_load *load = tier->loads;
        uint32_t k = smaller(left, load->n - load->first);

        left -= k;
        if (pool->checked) {
            memcpy(&out[left], &load->items[load->first], k * sizeof(out[0]));
            load->first += k;
        } else {
            load->n -= k;
            memcpy(&out[left], &load->items[load->n], k * sizeof(out[0]));
        }
        if (load->first == load->n) {
            tier->loads = load->next;
            if (tier->loads == NULL)
                tier->last = NULL;
            push_empty(tier, load);
        }
    }
    n = want - left;
    if (left != 0)
        memmove(out, &out[left], n * sizeof(out[0]));
    tier->free -= n;
    if (tier->free < tier->low_free)
        tier->low_free = tier->free;
    zcb_tier_note_peak(tier);
    return n;
}

// Turns the list round.
static struct zcb_load *
reversed(struct zcb_load *load)
{
    struct zcb_load *list = NULL;

    while (load != NULL) {
        struct zcb_load *next = load->next;

        load->next = list;
        list = load;
        load = next;
    }
    return list;
}

void
zcb_depot_purify(struct zcb_pool *pool, uint32_t t)
{
    struct zcb_tier_state *tier = &pool->tier[t];
    // The oldest first; all go in again in that order, less the doomed ones.
    struct zcb_load *load = pool->checked ? tier->loads : reversed(tier->loads);

    tier->loads = NULL;
    tier->last = NULL;
    while (load != NULL) {
        struct zcb_load *next = load->next;

        for (uint32_t i = load->first; i < load->n; i++) {
            struct zcb_block *block = load->items[i];

            if (((struct zcb_slab *)block->home)->doomed) {
                tier->free--;
                tier->total--;
            } else {
                struct zcb_load *to = load_with_room(tier, pool->checked);

                to->items[to->n++] = block;
            }
        }
        push_empty(tier, load);
        load = next;
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
