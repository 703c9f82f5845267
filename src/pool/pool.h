// SPDX-License-Identifier: MIT
//
// The pool from inside. Read docs/threading.md for the life cycle first, then cache.h (the fast
// path) and acquire.c (the slow one).
//
// One mutex guards everything that is not a thread's own: the depot, the slabs, the limits, the
// list of caches. It is taken once per load of up to 64 blocks, and never held while a source
// allocates or a callback of the user runs.
//
// What keeps the pool alive after zcb_pool_destroy(): `users` (caches of threads) and blocks that are
// not in the depot (zcb_pool_away()). Each of these is dropped once, under the lock, so whoever
// drops the last is the last to know the pool: it frees it.
#ifndef ZCB_POOL_POOL_H
#define ZCB_POOL_POOL_H

#include <zcbuf/pool.h>

#include "base/block.h"
#include "base/thread.h"

#define ZCB_POOL_ID_MAX 1024
#define ZCB_POOL_OVERSIZE ZCB_POOL_TIERS // the index of what is above all tiers
#define ZCB_LINE 64                      // a cache line

// Memory that came from the source at once, carved into blocks of one tier.
struct zcb_slab {
    struct zcb_pool *pool;
    struct zcb_slab *next;
    uint8_t *base;
    size_t len;
    size_t align; // what it was allocated with
    void *tag;    // of the source's attach
    uint32_t tier;
    uint32_t count; // blocks
    uint32_t idle;  // scratch of trim: of these in the depot
    bool kept;      // preallocated: never given back
    bool doomed;    // scratch of trim: about to go
    _Alignas(ZCB_LINE) struct zcb_block blocks[];
};

// Free blocks in the depot: what a thread's cache takes or gives at a time, see depot.c.
struct zcb_load {
    struct zcb_load *next;
    uint32_t first, n;         // items [first, n) are there
    struct zcb_block *items[]; // the newest last
};

// Memory for loads; kept until the pool goes.
struct zcb_load_chunk {
    struct zcb_load_chunk *next;
    size_t count; // loads in it
};

// A tier's depot and its accounts. What each exchange with a cache writes is one cache line: the
// others stay with all processors that read them.
struct zcb_tier_state {
    _Alignas(ZCB_LINE) struct zcb_load *loads; // not empty; the first is taken from
    struct zcb_load *last;                     // of these
    struct zcb_load *empty;
    size_t free;      // blocks in the depot
    size_t low_free;  // the least of that since the last decay
    size_t peak_away; // the most blocks that were out, or in caches
    uint64_t depot_hits;

    _Alignas(ZCB_LINE) size_t total; // blocks in slabs
    size_t singles;                  // single allocations that are out
    size_t max;          // limit on total and singles that are not fallbacks; SIZE_MAX: none
    uint32_t cap;        // what a thread may cache; 0: nothing
    uint32_t load;       // blocks that move at a time
    bool scarce;         // releases go straight to the depot
    size_t cache_budget; // what caches may still be given in all
    struct zcb_load_chunk *chunks;
    size_t load_count; // loads in these
    struct zcb_slab *slabs;
    uint64_t slab_count;
    size_t slab_blocks; // blocks of a slab of ordinary size
    size_t prealloc;
    size_t growing; // bytes that somebody, without the lock, asks the source for
    size_t leaving; // bytes that somebody, without the lock, gives back to it
    size_t charged, peak_charged;
    // Counters of what did not pass through a cache, and of caches that are gone.
    uint64_t hits, misses, fallbacks, refusals, waits, returns, drops;
};

struct zcb_pool {
    // Read by every acquire; constant.
    size_t size[ZCB_POOL_TIERS + 1]; // of each tier; SIZE_MAX behind the last
    size_t headroom;
    uint32_t id;
    uint32_t tiers;
    bool cached;  // threads may have caches
    bool checked; // blocks are looked at on their way in and out, see harden.h
    bool closed;  // set once, under the lock

    _Alignas(ZCB_LINE) struct zcb_mutex lock;
    unsigned waiters;
    unsigned came;           // counts what came back: blocks, or memory to the source
    unsigned given_up;       // counts charges that were taken back, as the source had no memory
    struct zcb_cond changed; // one of these grew, or growing ended
    size_t users;            // caches, the owner, and holds
    struct zcb_cache *caches;
    struct zcb_cache *spare; // for threads whose first call is a release, which may not allocate
    unsigned spares;
    unsigned threads; // caches
    struct zcb_tier_state tier[ZCB_POOL_TIERS + 1];

    size_t max_bytes;    // SIZE_MAX: none
    size_t normal_bytes; // what may be used without ZCB_ACQUIRE_RESERVED
    size_t charged, peak_charged;
    size_t low_bytes, high_bytes;
    size_t holds; // of `users`, those that last for a part of a call
    bool pressed; // what the user was last told
    // The thread that runs the callback, NULL: none does. What the callback does itself is judged
    // when it has returned.
    struct zcb_thread *teller;
    void (*on_pressure)(void *ctx, struct zcb_pool *pool, bool high);
    void *pressure_ctx;
    enum zcb_pool_policy policy;
    uint32_t wait_ms;
    uint32_t flags;
    int node;
    size_t slab_size;
    struct zcb_source source;
    bool plain_pages;  // the source is ours, made of pages
    bool plain_memory; // or at least memory that may be touched
    uint64_t trimmed;
    uint64_t decay_ms;            // when decay ran
    uint32_t debug;               // of ZCBUF_DEBUG, see harden.h
    struct zcb_block *graves[64]; // checked pools: see zcb_check_bury()
    unsigned next_grave;
    char name[64];
};

// The smallest tier's size that holds `len` bytes and the pool's headroom; 0: none does.
size_t zcb_pool_fit(const struct zcb_pool *pool, size_t len);

// The most that can be acquired without being above all tiers; at least 1, whatever the headroom.
static inline size_t
zcb_pool_largest(const struct zcb_pool *pool)
{
    size_t size = pool->size[pool->tiers - 1];

    return size > pool->headroom ? size - pool->headroom : 1;
}

static inline uint32_t
zcb_pool_tier_of(const struct zcb_pool *pool, size_t need)
{
    uint32_t t = 0;

    while (need > pool->size[t]) // ends at SIZE_MAX
        t++;
    return t;
}

// ---- create.c

static inline void
zcb_pool_enter(struct zcb_pool *pool)
{
    zcb_os_lock(&pool->lock);
}

// Drops the lock; then tells the user about pressure, and frees the pool where nothing holds it any
// more. The pool may be gone afterwards unless the caller holds it.
void zcb_pool_leave(struct zcb_pool *pool);

// ---- registry.c

// Gives the pool an id; -ENOBUFS: none is left. And takes it back, when nothing can look the pool
// up any more.
int zcb_registry_add(struct zcb_pool *pool);
void zcb_registry_remove(struct zcb_pool *pool);
// The pool that really has this header in one of its slabs, for reports of misuse; NULL: none.
struct zcb_pool *zcb_registry_find(const struct zcb_block *block);

// Keeps the pool there while the lock is dropped, whatever others give back meanwhile. With the
// lock; each hold is ended with it too.
static inline void
zcb_pool_hold(struct zcb_pool *pool)
{
    pool->users++;
    pool->holds++;
}

static inline void
zcb_pool_end_hold(struct zcb_pool *pool)
{
    pool->users--;
    pool->holds--;
}

// ---- depot.c: called with the lock held

// Takes up to `want` free blocks out, the newest last; returns how many. 0: empty.
uint32_t zcb_depot_take(struct zcb_pool *pool, uint32_t tier, struct zcb_block **out,
                        uint32_t want);
// Puts blocks in, the newest last; wakes those who wait.
void zcb_depot_put(struct zcb_pool *pool, uint32_t tier, struct zcb_block *const *blocks,
                   uint32_t n);
// How many loads a tier lacks to hold `blocks` more blocks.
size_t zcb_depot_loads_missing(const struct zcb_pool *pool, uint32_t tier, size_t blocks);
// That many, which the caller adds or frees; NULL: no memory. Without the lock.
struct zcb_load_chunk *zcb_depot_make_loads(const struct zcb_pool *pool, uint32_t tier,
                                            size_t count);
void zcb_depot_add_loads(struct zcb_pool *pool, uint32_t tier, struct zcb_load_chunk *chunk);
// All of them, when the pool goes. Without the lock.
void zcb_depot_free_loads(struct zcb_pool *pool);
// Takes all blocks of doomed slabs out.
void zcb_depot_purify(struct zcb_pool *pool, uint32_t tier);
// Free blocks are few: caches of this tier (ZCB_POOL_TIERS: of all) are called in, releases come
// straight here.
void zcb_depot_call_in(struct zcb_pool *pool, uint32_t tier);

// A walk over the free blocks of a tier, the newest first: start with {tier->loads, 0}.
struct zcb_depot_walk {
    const struct zcb_load *load;
    uint32_t done; // of this load
};

static inline struct zcb_block *
zcb_depot_next(struct zcb_depot_walk *walk)
{
    while (walk->load != NULL && walk->done == walk->load->n - walk->load->first) {
        walk->load = walk->load->next;
        walk->done = 0;
    }
    return walk->load != NULL ? walk->load->items[walk->load->n - ++walk->done] : NULL;
}

// ---- slab.c

// More blocks in the depot of `tier`: at least 1, at most an ordinary slab. The lock is held on
// entry and on return, but not in between. `bytes_max` is what may be charged in all. Where another
// thread is growing the tier it is waited for until `until_ms` (0: not at all; UINT64_MAX: as long
// as it takes), and then there may be blocks or not.
// 0; -ENOBUFS: a limit; -ENOMEM; what attach returned.
int zcb_slab_grow(struct zcb_pool *pool, uint32_t tier, size_t bytes_max, size_t want_blocks,
                  bool kept, uint64_t until_ms);
// Single allocations. Lock as above.
int zcb_single_alloc(struct zcb_pool *pool, uint32_t tier, size_t size, size_t bytes_max,
                     struct zcb_block **out);
void zcb_pool_free_single(struct zcb_block *block); // without the lock
// Frees idle slabs while more than `keep_bytes` would stay idle; with the lock held on entry and
// return, not in between. Returns the bytes.
size_t zcb_slab_reclaim(struct zcb_pool *pool, size_t keep_bytes, size_t slabs_max);
// Frees a list of slabs that are nobody's any more; without the lock.
void zcb_slab_free_list(struct zcb_pool *pool, struct zcb_slab *list);

static inline void
zcb_pool_charge(struct zcb_pool *pool, uint32_t tier, size_t bytes)
{
    pool->charged += bytes;
    pool->tier[tier].charged += bytes;
}

// Blocks of a tier that are not in its depot.
static inline size_t
zcb_tier_away(const struct zcb_tier_state *tier)
{
    return tier->total - tier->free + tier->singles;
}

static inline size_t
zcb_pool_away(const struct zcb_pool *pool)
{
    size_t away = 0;

    for (uint32_t t = 0; t <= ZCB_POOL_TIERS; t++)
        away += zcb_tier_away(&pool->tier[t]);
    return away;
}

// Bytes of blocks in the depot.
static inline size_t
zcb_pool_idle(const struct zcb_pool *pool)
{
    size_t idle = 0;

    for (uint32_t t = 0; t < pool->tiers; t++)
        idle += pool->tier[t].free * pool->size[t];
    return idle;
}

static inline void
zcb_tier_note_peak(struct zcb_tier_state *tier)
{
    if (zcb_tier_away(tier) > tier->peak_away)
        tier->peak_away = zcb_tier_away(tier);
}

// What was charged is really there now.
static inline void
zcb_pool_note_peaks(struct zcb_pool *pool, uint32_t tier)
{
    struct zcb_tier_state *state = &pool->tier[tier];

    if (pool->charged > pool->peak_charged)
        pool->peak_charged = pool->charged;
    if (state->charged > state->peak_charged)
        state->peak_charged = state->charged;
    zcb_tier_note_peak(state);
}

static inline void
zcb_pool_wake(struct zcb_pool *pool)
{
    if (pool->waiters != 0)
        zcb_os_wake_all(&pool->changed);
}

static inline void
zcb_pool_note_came(struct zcb_pool *pool)
{
    pool->came++;
    zcb_pool_wake(pool);
}

static inline void
zcb_pool_uncharge(struct zcb_pool *pool, uint32_t tier, size_t bytes)
{
    pool->charged -= bytes;
    pool->tier[tier].charged -= bytes;
}

// Makes the pages of a stretch of the pool's memory resident. Contents may change.
void zcb_pool_touch(const struct zcb_pool *pool, uint8_t *at, size_t len);

// ---- trim.c

// Runs decay when its time has come (ZCB_POOL_ADAPTIVE). With the lock held on entry and return,
// not in between.
void zcb_pool_tick(struct zcb_pool *pool);

#endif
