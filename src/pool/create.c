// SPDX-License-Identifier: MIT
//
// A pool's beginning and end. The states and who moves them are drawn in docs/threading.md.

#include <stdlib.h>
#include <string.h>

#include "pool/cache.h"
#include "pool/harden.h"
#include "source/source.h"

#define KNOWN_FLAGS                                                                                \
    (ZCB_POOL_HUGE | ZCB_POOL_POPULATE | ZCB_POOL_HARDENED | ZCB_POOL_ADAPTIVE |                   \
     ZCB_POOL_NO_CACHE | ZCB_POOL_NO_OVERSIZE)
#define CACHE_BYTES ((size_t)4 << 20) // a thread's cache of one tier holds at most this much
#define CACHE_BLOCKS 64               // and this many, unless configured

static const struct zcb_tier default_tiers[] = {
    {.buffer_size = 4096}, {.buffer_size = 16384}, {.buffer_size = 65536}};

static size_t
smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool
tiers_are_valid(const struct zcb_tier *tiers)
{
    size_t before = 0;

    for (int t = 0; t < ZCB_POOL_TIERS && tiers[t].buffer_size != 0; t++) {
        const struct zcb_tier *tier = &tiers[t];

        if (tier->reserved != 0 || tier->buffer_size <= before ||
            tier->buffer_size % ZCB_LINE != 0 || tier->buffer_size > SIZE_MAX / 4 ||
            tier->magazine > ZCB_MAGAZINE_MAX)
            return false;
        if (tier->max_buffers != 0 && tier->prealloc > tier->max_buffers)
            return false;
        if (tier->prealloc > SIZE_MAX / 2 / tier->buffer_size)
            return false;
        before = tier->buffer_size;
    }
    return true;
}

static bool
config_is_valid(const struct zcb_pool_config *config)
{
    for (size_t i = 0; i < sizeof(config->reserved) / sizeof(config->reserved[0]); i++)
        if (config->reserved[i] != NULL)
            return false;
    if (config->source != NULL) {
        if (config->source->alloc == NULL || config->source->free == NULL)
            return false;
        for (size_t i = 0;
             i < sizeof(config->source->reserved) / sizeof(config->source->reserved[0]); i++)
            if (config->source->reserved[i] != NULL)
                return false;
    }
    return (config->flags & ~(uint32_t)KNOWN_FLAGS) == 0 && config->numa_node >= 0 &&
           (unsigned)config->policy <= ZCB_POOL_WAIT && config->low_bytes <= config->high_bytes &&
           config->reserve_bytes <= config->max_bytes && config->headroom <= SIZE_MAX / 4 &&
           config->slab_size <= SIZE_MAX / 4 && tiers_are_valid(config->tiers);
}

// As much as fits, but no half character of UTF-8.
static void
copy_name(char *to, size_t size, const char *name)
{
    size_t len = strnlen(name, size);

    if (len == size) {
        len--;
        while (len != 0 && ((unsigned char)name[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(to, name, len);
    to[len] = '\0';
}

// What a tier may have in its caches and slabs, given what it may have at all.
static void
set_up_tier(struct zcb_pool *pool, uint32_t t, const struct zcb_tier *config, size_t source_size)
{
    struct zcb_tier_state *tier = &pool->tier[t];
    size_t size = config->buffer_size, limit, cap;

    pool->size[t] = size;
    tier->max = config->max_buffers != 0 ? config->max_buffers : SIZE_MAX;
    tier->prealloc = config->prealloc;
    tier->slab_blocks =
        size > pool->slab_size / 4 ? 1 : smaller(pool->slab_size / size, UINT32_MAX / 2);

    limit = smaller(tier->max, smaller(pool->max_bytes, source_size) / size);
    if (tier->max == SIZE_MAX && pool->max_bytes == SIZE_MAX && source_size == SIZE_MAX)
        limit = SIZE_MAX;
    cap = config->magazine != 0 ? config->magazine : smaller(CACHE_BLOCKS, CACHE_BYTES / size);
    tier->cache_budget = SIZE_MAX;
    if (limit != SIZE_MAX) {
        cap = limit < 32 ? 0 : smaller(cap, limit / 8);
        tier->cache_budget = limit / 4;
    }
    tier->cap = pool->cached ? (uint32_t)cap : 0;
    tier->load = cap >= 2 ? (uint32_t)cap / 2 : 1;
}

static void
set_up(struct zcb_pool *pool, const struct zcb_pool_config *config)
{
    const struct zcb_tier *tiers =
        config->tiers[0].buffer_size != 0 ? config->tiers : default_tiers;
    uint32_t count = tiers == default_tiers ? 3 : ZCB_POOL_TIERS;
    size_t source_size;

    copy_name(pool->name, sizeof(pool->name), config->name != NULL ? config->name : "pool");
    pool->source = config->source != NULL ? *config->source : *zcb_source_default();
    pool->plain_pages = zcb_source_is_pages(&pool->source);
    pool->plain_memory = zcb_source_is_memory(&pool->source);
    source_size = zcb_source_size(&pool->source);
    pool->flags = config->flags;
    pool->node = config->numa_node;
    pool->headroom = config->headroom;
    pool->debug = zcb_debug_wish(config->flags);
    pool->checked = (pool->debug & ~(uint32_t)ZCB_DEBUG_STATS) != 0;
    // A cache would hand the reserve out to those who did not ask for it.
    pool->cached =
        !pool->checked && !(config->flags & ZCB_POOL_NO_CACHE) && config->reserve_bytes == 0;
    pool->max_bytes = config->max_bytes != 0 ? config->max_bytes : SIZE_MAX;
    pool->normal_bytes = pool->max_bytes - config->reserve_bytes;
    pool->low_bytes = config->low_bytes;
    pool->high_bytes = config->high_bytes;
    pool->on_pressure = config->high_bytes != 0 ? config->on_pressure : NULL;
    pool->pressure_ctx = config->pressure_ctx;
    pool->policy = config->policy;
    pool->wait_ms = config->wait_ms != 0 ? config->wait_ms : 1000;
    pool->decay_ms = zcb_os_now_ms();
    // Small enough that each of a few tiers can have a few slabs.
    pool->slab_size = config->slab_size != 0 ? config->slab_size : (size_t)2 << 20;
    pool->slab_size = smaller(pool->slab_size, smaller(pool->max_bytes, source_size) / 16);
    for (uint32_t t = 0; t < count && tiers[t].buffer_size != 0; t++) {
        set_up_tier(pool, t, &tiers[t], source_size);
        pool->tiers = t + 1;
    }
    pool->size[pool->tiers] = SIZE_MAX;
    pool->users = 1;            // the owner
    pool->teller = &zcb_thread; // nobody is told of a pool that is not there yet
}

static int
preallocate(struct zcb_pool *pool)
{
    int result = 0;

    zcb_pool_enter(pool);
    for (uint32_t t = 0; t < pool->tiers; t++) {
        struct zcb_tier_state *tier = &pool->tier[t];

        while (result == 0 && tier->total < tier->prealloc)
            result = zcb_slab_grow(pool, t, pool->max_bytes, tier->prealloc - tier->total, true,
                                   UINT64_MAX);
        tier->low_free = tier->free;
    }
    zcb_pool_leave(pool);
    return result;
}

// Nothing refers to the pool any more. `close`: also its source.
static void
finish(struct zcb_pool *pool, bool close)
{
    struct zcb_source source = pool->source;

    zcb_registry_remove(pool);
    for (uint32_t t = 0; t < pool->tiers; t++)
        zcb_slab_free_list(pool, pool->tier[t].slabs);
    zcb_depot_free_loads(pool);
    while (pool->spare != NULL) {
        struct zcb_cache *cache = pool->spare;

        pool->spare = cache->next;
        zcb_cache_free(cache);
    }
    zcb_check_clear(pool);
    zcb_os_cond_finish(&pool->changed);
    zcb_os_mutex_finish(&pool->lock);
    free(pool);
    if (close && source.close != NULL)
        source.close(source.ctx);
}

int
zcb_pool_create(const struct zcb_pool_config *config, struct zcb_pool **out)
{
    static const struct zcb_pool_config defaults;
    struct zcb_pool *pool;
    int result;

    if (config == NULL)
        config = &defaults;
    if (out == NULL || !config_is_valid(config))
        return -EINVAL;
    pool = aligned_alloc(ZCB_LINE, sizeof(*pool));
    if (pool == NULL)
        return -ENOMEM;
    memset(pool, 0, sizeof(*pool));
    set_up(pool, config);
    result = zcb_os_mutex_init(&pool->lock);
    if (result < 0)
        goto no_mutex;
    result = zcb_os_cond_init(&pool->changed);
    if (result < 0)
        goto no_cond;
    result = zcb_registry_add(pool);
    if (result < 0)
        goto no_id;
    result = preallocate(pool);
    if (result < 0) {
        finish(pool, false);
        return result;
    }
    for (int i = 0; i < 2 && pool->cached; i++)
        zcb_cache_stock(pool); // they are a help, not a need
    *out = pool;
    zcb_pool_enter(pool);
    pool->teller = NULL;
    zcb_pool_leave(pool);
    return 0;

no_id:
    zcb_os_cond_finish(&pool->changed);
no_cond:
    zcb_os_mutex_finish(&pool->lock);
no_mutex:
    free(pool);
    return result;
}

void
zcb_pool_destroy(struct zcb_pool **out)
{
    struct zcb_pool *pool;

    if (out == NULL || *out == NULL)
        return;
    pool = *out;
    *out = NULL;
    zcb_cache_drop(pool->id);
    zcb_check_destroy(pool);
    zcb_pool_enter(pool);
    __atomic_store_n(&pool->closed, true, __ATOMIC_RELEASE);
    for (uint32_t t = 0; t < pool->tiers; t++)
        for (struct zcb_slab *slab = pool->tier[t].slabs; slab != NULL; slab = slab->next)
            slab->kept = false;
    zcb_depot_call_in(pool, ZCB_POOL_TIERS);
    zcb_slab_reclaim(pool, 0, SIZE_MAX);
    zcb_cache_note_closing();
    pool->users--;
    zcb_pool_leave(pool);
}

void
zcb_pool_leave(struct zcb_pool *pool)
{
    bool tell = false, high, over;

    if (pool->on_pressure != NULL && !pool->closed && pool->teller == NULL) {
        bool full = pool->charged >= pool->high_bytes; // wins where both marks are the same

        if (pool->pressed ? !full && pool->charged <= pool->low_bytes : full) {
            pool->pressed = !pool->pressed;
            pool->teller = &zcb_thread;
            zcb_pool_hold(pool);
            tell = true;
        }
    }
    high = pool->pressed;
    over = pool->closed && pool->users == 0 && zcb_pool_away(pool) == 0;
    zcb_os_unlock(&pool->lock);
    if (tell) {
        pool->on_pressure(pool->pressure_ctx, pool, high);
        zcb_pool_enter(pool);
        zcb_pool_end_hold(pool);
        pool->teller = NULL;
        zcb_pool_leave(pool); // looks again: the callback may have changed it
    } else if (over) {
        finish(pool, true);
    }
}
