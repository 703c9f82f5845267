// SPDX-License-Identifier: MIT
//
// Thread caches: how they come and go.
//
// A thread finds its caches through a table by pool id. A pool's id is given to another pool only
// when the pool is gone, and it is not gone while a cache of it exists; so a slot that is not NULL
// is always of the pool that has the id.
//
// Only its own thread detaches a cache: at its next slow call for a closed pool, at
// zcb_thread_flush() or when it ends. The one exception is the child of a fork(), which has no
// other threads.

#include "pool/cache.h"

#include <stdlib.h>
#include <string.h>

#include "pool/harden.h"

static uint64_t closings; // pools closed so far

void
zcb_cache_note_closing(void)
{
    __atomic_fetch_add(&closings, 1, __ATOMIC_RELEASE);
}

static struct zcb_cache *
allocate(struct zcb_pool *pool)
{
    size_t size = sizeof(struct zcb_cache) + (pool->tiers + 1) * sizeof(struct zcb_magazine);
    struct zcb_cache *cache;

    cache = aligned_alloc(ZCB_LINE, size);
    if (cache == NULL)
        return NULL;
    memset(cache, 0, size);
    cache->pool = pool;
    return cache;
}

void
zcb_cache_free(struct zcb_cache *cache)
{
    free(cache);
}

// Makes sure that the thread's table has the slot. Only a table beyond the few slots it starts with
// is allocated.
static bool
have_slot(uint32_t id, bool may_allocate)
{
    struct zcb_thread *thread = &zcb_thread;
    struct zcb_cache **table;
    uint32_t count;

    if (thread->slot_count == 0) {
        thread->slots = thread->few;
        thread->slot_count = ZCB_THREAD_SLOTS;
    }
    if (id < thread->slot_count)
        return true;
    if (!may_allocate)
        return false;
    for (count = thread->slot_count; count <= id;)
        count *= 2;
    table = calloc(count, sizeof(table[0]));
    if (table == NULL)
        return false;
    memcpy(table, thread->slots, thread->slot_count * sizeof(table[0]));
    if (thread->slots != thread->few)
        free(thread->slots);
    thread->slots = table;
    thread->slot_count = count;
    return true;
}

// With the lock: links the cache into the pool and says what it may hold.
static void
attach(struct zcb_pool *pool, struct zcb_cache *cache)
{
    for (uint32_t t = 0; t < pool->tiers; t++) {
        struct zcb_tier_state *tier = &pool->tier[t];
        struct zcb_magazine *magazine = &cache->tier[t];

        if (tier->cap != 0 && tier->cap <= tier->cache_budget) {
            if (tier->cache_budget != SIZE_MAX)
                tier->cache_budget -= tier->cap;
            magazine->cap = tier->cap;
            magazine->load = tier->load;
            magazine->room = tier->scarce ? 0 : tier->cap;
        }
    }
    cache->thread = &zcb_thread;
    cache->next = pool->caches;
    cache->link = &pool->caches;
    if (pool->caches != NULL)
        pool->caches->link = &cache->next;
    pool->caches = cache;
    pool->users++;
    pool->threads++;
}

struct zcb_cache *
zcb_cache_make(struct zcb_pool *pool, bool may_allocate)
{
    struct zcb_cache *cache = zcb_cache_find(pool->id), *made = NULL;

    if (cache != NULL)
        return cache;
    if (!zcb_thread_hook(may_allocate) || !have_slot(pool->id, may_allocate))
        return NULL;
    if (may_allocate)
        made = allocate(pool);
    zcb_pool_enter(pool);
    if (!pool->closed) {
        cache = made;
        made = NULL;
        if (cache == NULL && pool->spare != NULL) {
            cache = pool->spare;
            pool->spare = cache->next;
            __atomic_store_n(&pool->spares, pool->spares - 1, __ATOMIC_RELAXED);
        }
        if (cache != NULL) {
            attach(pool, cache);
            zcb_thread.slots[pool->id] = cache;
        }
    }
    zcb_os_unlock(&pool->lock); // nothing happened that anybody is to be told of
    zcb_cache_free(made);
    return cache;
}

void
zcb_cache_stock(struct zcb_pool *pool)
{
    struct zcb_cache *cache = allocate(pool);

    if (cache == NULL)
        return;
    zcb_pool_enter(pool);
    cache->next = pool->spare;
    pool->spare = cache;
    __atomic_store_n(&pool->spares, pool->spares + 1, __ATOMIC_RELAXED);
    zcb_os_unlock(&pool->lock);
}

uint32_t
zcb_cache_fill(struct zcb_cache *cache, uint32_t t, uint32_t want)
{
    struct zcb_magazine *magazine = &cache->tier[t];
    uint32_t n = zcb_magazine_n(magazine->word), room = ZCB_MAGAZINE_MAX - n, got;

    got = zcb_depot_take(cache->pool, t, &magazine->items[n], want < room ? want : room);
    magazine->in += got;
    zcb_magazine_set_n(magazine, n + got);
    return got;
}

void
zcb_cache_spill(struct zcb_cache *cache, uint32_t t, uint32_t n)
{
    struct zcb_magazine *magazine = &cache->tier[t];
    uint32_t left = zcb_magazine_n(magazine->word) - n;

    zcb_depot_put(cache->pool, t, magazine->items, n);
    memmove(magazine->items, &magazine->items[n], left * sizeof(magazine->items[0]));
    magazine->out += n;
    zcb_magazine_set_n(magazine, left);
}

void
zcb_cache_empty(struct zcb_cache *cache)
{
    for (uint32_t t = 0; t < cache->pool->tiers; t++) {
        // Acquire: in the child of a fork() it pairs with the store of a thread that is gone.
        uint64_t word = __atomic_load_n(&cache->tier[t].word, __ATOMIC_ACQUIRE);

        if (zcb_magazine_n(word) != 0)
            zcb_cache_spill(cache, t, zcb_magazine_n(word));
    }
}

void
zcb_cache_detach(struct zcb_cache *cache)
{
    struct zcb_pool *pool = cache->pool;

    zcb_cache_empty(cache);
    for (uint32_t t = 0; t < pool->tiers; t++) {
        struct zcb_tier_state *tier = &pool->tier[t];
        struct zcb_magazine *magazine = &cache->tier[t];
        uint64_t hits = zcb_magazine_hits(magazine->word);

        tier->hits += hits;
        tier->returns += hits + magazine->out - magazine->in; // see stats.c
        if (tier->cache_budget != SIZE_MAX)
            tier->cache_budget += magazine->cap;
    }
    *cache->link = cache->next;
    if (cache->next != NULL)
        cache->next->link = cache->link;
    pool->users--;
    pool->threads--;
}

void
zcb_cache_drop(uint32_t id)
{
    struct zcb_cache *cache = zcb_cache_find(id);
    struct zcb_pool *pool;

    if (cache == NULL)
        return;
    pool = cache->pool;
    zcb_pool_enter(pool);
    zcb_cache_detach(cache);
    zcb_thread.slots[id] = NULL; // before anything of the user's runs, which may use the id again
    zcb_pool_leave(pool);
    zcb_cache_free(cache);
}

void
zcb_cache_put_slow(struct zcb_block *block)
{
    struct zcb_pool *pool = ((struct zcb_slab *)block->home)->pool;
    uint32_t t = block->tier;
    struct zcb_tier_state *tier = &pool->tier[t];
    struct zcb_magazine *magazine;
    struct zcb_cache *cache, *gone = NULL;

    cache = zcb_cache_find(block->pool_id);
    if (cache == NULL && pool->cached)
        cache = zcb_cache_make(pool, false);
    zcb_pool_enter(pool);
    if (cache != NULL && pool->closed) {
        zcb_cache_detach(cache);
        zcb_thread.slots[pool->id] = NULL;
        gone = cache;
        cache = NULL;
    }
    magazine = cache != NULL ? &cache->tier[t] : NULL;
    if (magazine != NULL && magazine->cap != 0 && !tier->scarce && pool->waiters == 0) {
        uint32_t n = zcb_magazine_n(magazine->word);

        if (magazine->room == 0) { // called in: all of it goes, and caching begins anew
            zcb_cache_spill(cache, t, n);
            __atomic_store_n(&magazine->room, magazine->cap, __ATOMIC_RELAXED);
        } else if (n >= magazine->room) { // full: the oldest load goes
            zcb_cache_spill(cache, t, magazine->load);
        }
        n = zcb_magazine_n(magazine->word);
        magazine->items[n] = block;
        zcb_magazine_set_n(magazine, n + 1);
    } else {
        if (magazine != NULL && zcb_magazine_n(magazine->word) != 0)
            zcb_cache_empty(cache);
        if (pool->checked)
            zcb_check_in(pool, block);
        tier->returns++;
        zcb_depot_put(pool, t, &block, 1);
    }
    if (pool->flags & ZCB_POOL_ADAPTIVE)
        zcb_pool_tick(pool);
    zcb_pool_leave(pool);
    zcb_cache_free(gone);
    zcb_cache_heed_closings();
}

void
zcb_cache_heed_closings(void)
{
    uint64_t now = __atomic_load_n(&closings, __ATOMIC_ACQUIRE);

    if (ZCB_LIKELY(now == zcb_thread.closings_seen))
        return;
    zcb_thread.closings_seen = now;
    for (uint32_t id = 0; id < zcb_thread.slot_count; id++)
        if (zcb_thread.slots[id] != NULL &&
            __atomic_load_n(&zcb_thread.slots[id]->pool->closed, __ATOMIC_ACQUIRE))
            zcb_cache_drop(id);
}

void
zcb_thread_flush(void)
{
    zcb_cache_heed_closings();
    for (uint32_t id = 0; id < zcb_thread.slot_count; id++) {
        struct zcb_cache *cache = zcb_thread.slots[id];
        struct zcb_pool *pool;

        if (cache == NULL)
            continue;
        pool = cache->pool;
        zcb_pool_enter(pool);
        zcb_cache_empty(cache);
        zcb_pool_leave(pool);
    }
}

int
zcb_thread_warm(struct zcb_pool *pool)
{
    struct zcb_cache *cache;

    if (pool == NULL)
        return -EINVAL;
    if (!pool->cached)
        return 0;
    cache = zcb_cache_make(pool, true);
    if (cache == NULL)
        return -ENOMEM;
    for (uint32_t t = 0; t < pool->tiers; t++) {
        struct zcb_magazine *magazine = &cache->tier[t];
        int result = 0;

        zcb_pool_enter(pool);
        while (result == 0 && zcb_magazine_n(magazine->word) < magazine->load)
            if (zcb_cache_fill(cache, t, magazine->load - zcb_magazine_n(magazine->word)) == 0)
                result = zcb_slab_grow(pool, t, pool->normal_bytes, 0, false, UINT64_MAX);
        zcb_pool_leave(pool);
        if (result < 0)
            return result;
    }
    return 0;
}

// For the thread's end.
static void
drain_thread(void)
{
    struct zcb_thread *thread = &zcb_thread;

    for (uint32_t id = 0; id < thread->slot_count; id++)
        zcb_cache_drop(id);
    if (thread->slots != thread->few)
        free(thread->slots);
    thread->slots = NULL;
    thread->slot_count = 0;
}

void
zcb_cache_start(void)
{
    __atomic_store_n(&zcb_thread_drain, drain_thread, __ATOMIC_RELEASE);
}
