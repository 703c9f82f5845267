// SPDX-License-Identifier: MIT
//
// Memory from the source and back: slabs, and allocations of a single buffer.

#include "pool/cache.h"
#include "pool/harden.h"
#include "source/source.h"

#include <stdlib.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define PAGE                                                                                       \
    ((size_t)4096) // what O_DIRECT and registered memory want, whatever the system's pages are

static size_t
alignment(const struct zcb_pool *pool, size_t buffer_size, size_t len)
{
    if (pool->plain_pages)
        return len >= HUGE_PAGE ? HUGE_PAGE : zcb_os_page_size();
    return buffer_size % PAGE == 0 ? PAGE : ZCB_LINE;
}

void
zcb_pool_touch(const struct zcb_pool *pool, uint8_t *at, size_t len)
{
    if (!pool->plain_memory || (pool->plain_pages && zcb_os_pages_populate(at, len) == 0))
        return;
    for (size_t i = 0; i < len; i += PAGE) // a write: reading would map the shared page of zeros
        *(volatile uint8_t *)(at + i) = 0;
}

// The source's memory for `len` bytes, prepared as the pool's flags say.
static int
get_memory(struct zcb_pool *pool, size_t len, size_t align, void **out)
{
    void *memory = pool->source.alloc(pool->source.ctx, len, align);

    if (memory == NULL)
        return -ENOMEM;
    if (((uintptr_t)memory & (align - 1)) != 0) { // the user's source broke its word
        pool->source.free(pool->source.ctx, memory, len, align);
        return -EINVAL;
    }
    if (pool->plain_pages) {
        if (pool->flags & ZCB_POOL_HUGE)
            zcb_os_pages_huge(memory, len);
        if (pool->node > 0)
            zcb_os_pages_node(memory, len, pool->node - 1);
    }
    if (pool->flags & ZCB_POOL_POPULATE)
        zcb_pool_touch(pool, memory, len);
    *out = memory;
    return 0;
}

// A slab of `count` blocks that is not part of the pool yet, and `missing` loads. Without the lock.
static int
make_slab(struct zcb_pool *pool, uint32_t t, size_t count, size_t missing, struct zcb_slab **out,
          struct zcb_load_chunk **loads)
{
    size_t size = pool->size[t], len = size * count;
    struct zcb_slab *slab;
    void *memory;
    int result = -ENOMEM;

    // Headers apart from the memory: see the top of base/block.h.
    slab = aligned_alloc(ZCB_LINE, sizeof(*slab) + count * sizeof(slab->blocks[0]));
    if (slab == NULL)
        return -ENOMEM;
    *slab = (struct zcb_slab){.pool = pool,
                              .len = len,
                              .align = alignment(pool, size, len),
                              .tier = t,
                              .count = (uint32_t)count};
    *loads = missing != 0 ? zcb_depot_make_loads(pool, t, missing) : NULL;
    if (missing != 0 && *loads == NULL)
        goto no_loads;
    result = get_memory(pool, len, slab->align, &memory);
    if (result < 0)
        goto no_memory;
    slab->base = memory;
    if (pool->source.attach != NULL) {
        result = pool->source.attach(pool->source.ctx, slab->base, len, &slab->tag);
        if (result < 0)
            goto no_attach;
    }
    for (size_t i = 0; i < count; i++) {
        struct zcb_block *block = &slab->blocks[i];

        *block = (struct zcb_block){.count = 1,
                                    .kind = ZCB_BLOCK_POOL,
                                    .tier = (uint8_t)t,
                                    .pool_id = (uint16_t)pool->id,
                                    .base = slab->base + i * size,
                                    .size = size,
                                    .home = slab};
        block->floor = block->base;
    }
    *out = slab;
    return 0;

no_attach:
    pool->source.free(pool->source.ctx, slab->base, len, slab->align);
no_memory:
    free(*loads);
no_loads:
    free(slab);
    return result;
}

static void
add_slab(struct zcb_pool *pool, struct zcb_slab *slab, struct zcb_load_chunk *loads)
{
    struct zcb_tier_state *tier = &pool->tier[slab->tier];

    if (loads != NULL)
        zcb_depot_add_loads(pool, slab->tier, loads);
    slab->next = tier->slabs;
    tier->slabs = slab;
    tier->slab_count++;
    tier->total += slab->count;
    // Last block first, so that they are handed out in the order of their addresses.
    for (uint32_t i = slab->count; i-- > 0;) {
        struct zcb_block *block = &slab->blocks[i];

        if (pool->checked)
            zcb_check_new(pool, block);
        zcb_depot_put(pool, slab->tier, &block, 1);
    }
}

int
zcb_slab_grow(struct zcb_pool *pool, uint32_t t, size_t bytes_max, size_t want, bool kept,
              uint64_t until_ms)
{
    struct zcb_tier_state *tier = &pool->tier[t];
    size_t size = pool->size[t], count, fits;
    struct zcb_load_chunk *loads = NULL;
    struct zcb_slab *slab = NULL;
    int result;

    if (tier->growing != 0) { // somebody is at it; look again when they are done
        bool in_time;

        if (until_ms == 0)
            return -ENOBUFS;
        pool->waiters++;
        in_time = zcb_os_wait(&pool->changed, &pool->lock, until_ms);
        pool->waiters--;
        return in_time ? 0 : -ENOBUFS;
    }
    if (tier->total >= tier->max || pool->charged > bytes_max || bytes_max - pool->charged < size)
        return -ENOBUFS;
    count = want != 0 && want < tier->slab_blocks ? want : tier->slab_blocks;
    if (count > tier->max - tier->total)
        count = tier->max - tier->total;
    fits = (bytes_max - pool->charged) / size;
    if (count > fits)
        count = fits;

    do { // a source that cannot give that much may give half
        size_t missing = zcb_depot_loads_missing(pool, t, count);

        tier->growing = count * size;
        zcb_pool_charge(pool, t, count * size);
        zcb_os_unlock(&pool->lock);
        result = make_slab(pool, t, count, missing, &slab, &loads);
        zcb_pool_enter(pool);
        if (result < 0) {
            zcb_pool_uncharge(pool, t, count * size);
            pool->given_up++;
        }
    } while (result == -ENOMEM && (count /= 2) != 0);
    tier->growing = 0;
    if (result == 0) {
        zcb_pool_note_peaks(pool, t);
        slab->kept = kept;
        add_slab(pool, slab, loads);
    }
    zcb_pool_wake(pool);
    return result;
}

int
zcb_single_alloc(struct zcb_pool *pool, uint32_t t, size_t size, size_t bytes_max,
                 struct zcb_block **out)
{
    struct zcb_tier_state *tier = &pool->tier[t];
    size_t align, len;
    struct zcb_block *block;
    void *memory;
    int result = -ENOMEM;

    // Whole cache lines, and whole pages from one page on, as the tiers have them. Where the source
    // gives whole pages anyway, they are what is held.
    align = pool->plain_pages ? zcb_os_page_size() : size >= PAGE ? PAGE : ZCB_LINE;
    if (size > SIZE_MAX - align)
        return -EOVERFLOW;
    len = (size + align - 1) & ~(align - 1);
    if (pool->charged > bytes_max || len > bytes_max - pool->charged)
        return -ENOBUFS;
    zcb_pool_charge(pool, t, len);
    tier->singles++;
    zcb_os_unlock(&pool->lock);
    block = malloc(sizeof(*block));
    if (block != NULL)
        result = get_memory(pool, len, alignment(pool, len, len), &memory);
    if (result < 0)
        free(block);
    zcb_pool_enter(pool);
    if (result < 0) {
        zcb_pool_uncharge(pool, t, len);
        tier->singles--;
        pool->given_up++;
        zcb_pool_wake(pool); // what was charged meanwhile may have kept others from it
        return result;
    }
    zcb_pool_note_peaks(pool, t);
    *block = (struct zcb_block){.count = 1,
                                .kind = ZCB_BLOCK_SINGLE,
                                .tier = (uint8_t)t,
                                .pool_id = (uint16_t)pool->id,
                                .base = memory,
                                .size = len,
                                .home = pool,
                                .u.self = block};
    *out = block;
    return 0;
}

void
zcb_pool_free_single(struct zcb_block *block)
{
    struct zcb_pool *pool = block->home;
    struct zcb_tier_state *tier = &pool->tier[block->tier];
    size_t len = block->size;

    if (block->u.self != block)
        zcb_misuse_in(pool, block, "released a copy of a buf");
    pool->source.free(pool->source.ctx, block->base, len, alignment(pool, len, len));
    zcb_pool_enter(pool);
    zcb_pool_uncharge(pool, block->tier, len);
    tier->singles--;
    tier->drops++;
    zcb_pool_note_came(pool);
    zcb_check_bury(pool, block);
    zcb_pool_leave(pool);
    zcb_cache_heed_closings();
}

void
zcb_slab_free_list(struct zcb_pool *pool, struct zcb_slab *list)
{
    while (list != NULL) {
        struct zcb_slab *slab = list;

        list = slab->next;
        if (pool->checked)
            zcb_check_gone(pool, slab);
        if (pool->source.detach != NULL)
            pool->source.detach(pool->source.ctx, slab->base, slab->len, slab->tag);
        pool->source.free(pool->source.ctx, slab->base, slab->len, slab->align);
        free(slab);
    }
}

static void
count_idle(struct zcb_pool *pool, uint32_t t)
{
    struct zcb_depot_walk walk = {pool->tier[t].loads, 0};
    const struct zcb_block *block;

    for (struct zcb_slab *slab = pool->tier[t].slabs; slab != NULL; slab = slab->next)
        slab->idle = 0;
    while ((block = zcb_depot_next(&walk)) != NULL)
        ((struct zcb_slab *)block->home)->idle++;
}

// Takes up to `slabs_max` idle slabs of a tier out of the pool, onto *list. Returns how many.
static size_t
collect_idle(struct zcb_pool *pool, uint32_t t, size_t keep_bytes, size_t slabs_max,
             struct zcb_slab **list)
{
    struct zcb_tier_state *tier = &pool->tier[t];
    struct zcb_slab **at = &tier->slabs, *slab;
    size_t left = zcb_pool_idle(pool), found = 0;

    count_idle(pool, t);
    while ((slab = *at) != NULL) {
        bool goes = found < slabs_max && slab->idle == slab->count && !slab->kept &&
                    left >= slab->len && left - slab->len >= keep_bytes;

        if (!goes) {
            at = &slab->next;
            continue;
        }
        *at = slab->next;
        slab->next = *list;
        *list = slab;
        slab->doomed = true;
        tier->slab_count--;
        left -= slab->len;
        found++;
    }
    if (found != 0)
        zcb_depot_purify(pool, t);
    return found;
}

size_t
zcb_slab_reclaim(struct zcb_pool *pool, size_t keep_bytes, size_t slabs_max)
{
    size_t freed[ZCB_POOL_TIERS] = {0}, bytes = 0;
    struct zcb_slab *list = NULL;

    for (uint32_t t = pool->tiers; t-- > 0 && slabs_max != 0;) // large buffers first
        slabs_max -= collect_idle(pool, t, keep_bytes, slabs_max, &list);
    if (list == NULL)
        return 0;
    for (struct zcb_slab *slab = list; slab != NULL; slab = slab->next)
        freed[slab->tier] += slab->len;
    for (uint32_t t = 0; t < pool->tiers; t++)
        pool->tier[t].leaving += freed[t];
    zcb_pool_hold(pool);
    zcb_os_unlock(&pool->lock);
    zcb_slab_free_list(pool, list);
    zcb_pool_enter(pool);
    zcb_pool_end_hold(pool);
    for (uint32_t t = 0; t < pool->tiers;
         t++) { // charged until it is really gone: the limit is hard
        zcb_pool_uncharge(pool, t, freed[t]);
        pool->tier[t].leaving -= freed[t];
        bytes += freed[t];
    }
    pool->trimmed += bytes;
    zcb_pool_note_came(pool);
    return bytes;
}
