// SPDX-License-Identifier: MIT
//
// All pools of the process by their ids, and what fork() does to them.
//
// Before a fork all locks of the library's pools are taken, so that the child finds nothing half
// done; it then has one thread. What other threads had in their caches goes to the depots there;
// what they had out stays out.

#include "pool/cache.h"
#include "source/source.h"

static struct zcb_mutex lock = ZCB_MUTEX_INITIALISER; // before any pool's lock
static struct zcb_pool *pools[ZCB_POOL_ID_MAX];
static uint32_t pools_end; // ids from here on are free
static int hooked;         // 0: hooks are set; else why they are not

static void
before_fork(void)
{
    zcb_os_lock(&lock);
    for (uint32_t id = 0; id < pools_end; id++)
        if (pools[id] != NULL) {
            zcb_pool_enter(pools[id]);
            zcb_source_hold(&pools[id]->source);
        }
}

static void
after_fork_in_parent(void)
{
    for (uint32_t id = 0; id < pools_end; id++)
        if (pools[id] != NULL) {
            zcb_source_let_go(&pools[id]->source);
            zcb_os_unlock(&pools[id]->lock);
        }
    zcb_os_unlock(&lock);
}

// With its lock held: forgets the threads that are not here.
static void
forget_others(struct zcb_pool *pool)
{
    struct zcb_cache *cache, *next;

    // First, as what comes back wakes those who wait: none is here, but the condition remembers them.
    pool->waiters = 0;
    (void)zcb_os_cond_init(&pool->changed);
    for (cache = pool->caches; cache != NULL; cache = next) {
        next = cache->next;
        if (cache->thread != &zcb_thread) {
            zcb_cache_detach(cache);
            zcb_cache_free(cache);
        }
    }
    for (uint32_t t = 0; t < pool->tiers; t++) {
        zcb_pool_uncharge(pool, t, pool->tier[t].growing);
        zcb_pool_uncharge(pool, t, pool->tier[t].leaving);
        pool->tier[t].growing = pool->tier[t].leaving = 0;
    }
    // Holds too, but for a callback that itself called fork().
    pool->users -= pool->holds;
    pool->holds = 0;
    if (pool->teller == &zcb_thread)
        zcb_pool_hold(pool);
    else
        pool->teller = NULL;
}

static void
after_fork_in_child(void)
{
    for (uint32_t id = 0; id < pools_end; id++)
        if (pools[id] != NULL)
            forget_others(pools[id]);
    after_fork_in_parent();
    // Pools that only the others still held go now. Nobody else is there, so the list cannot change
    // meanwhile.
    for (uint32_t id = 0; id < pools_end; id++)
        if (pools[id] != NULL) {
            zcb_pool_enter(pools[id]);
            zcb_pool_leave(pools[id]);
        }
}

static void
set_hooks(void)
{
    hooked = zcb_os_fork_hooks(before_fork, after_fork_in_parent, after_fork_in_child);
}

static void
prepare(void)
{
    set_hooks();
    zcb_cache_start();
}

int
zcb_registry_add(struct zcb_pool *pool)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int result;

    // Without the lock: a child that is forked before the hooks are set must not find it taken.
    pthread_once(&once, prepare);
    zcb_os_lock(&lock);
    if (hooked < 0)
        set_hooks(); // there was no memory for them
    result = hooked;
    if (result == 0) {
        uint32_t id = 0;

        while (id < pools_end && pools[id] != NULL)
            id++;
        if (id == ZCB_POOL_ID_MAX) {
            result = -ENOBUFS;
        } else {
            pools[id] = pool;
            pool->id = id;
            if (id == pools_end)
                pools_end++;
        }
    }
    zcb_os_unlock(&lock);
    return result;
}

void
zcb_registry_remove(struct zcb_pool *pool)
{
    zcb_os_lock(&lock);
    pools[pool->id] = NULL;
    zcb_os_unlock(&lock);
}

struct zcb_pool *
zcb_registry_find(const struct zcb_block *block)
{
    // No lock: this runs when something is wrong, perhaps with the lock held.
    struct zcb_pool *pool = block->pool_id < ZCB_POOL_ID_MAX ? pools[block->pool_id] : NULL;

    if (pool == NULL || block->tier > ZCB_POOL_OVERSIZE)
        return NULL;
    if (zcb_block_kind(block) == ZCB_BLOCK_SINGLE)
        return block->u.self == block && block->home == pool ? pool : NULL;
    for (const struct zcb_slab *slab = pool->tier[block->tier].slabs; slab != NULL;
         slab = slab->next)
        if ((const uint8_t *)block >= (const uint8_t *)slab->blocks &&
            (const uint8_t *)block < (const uint8_t *)(slab->blocks + slab->count))
            return pool;
    return NULL;
}
