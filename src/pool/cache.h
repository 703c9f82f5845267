// SPDX-License-Identifier: MIT
//
// A thread's own free blocks of one pool: a flat array (magazine) for each tier. This is the fast
// path of acquire and release: no lock, no atomic read-modify-write, no branch on statistics.
//
//     items  [b][b][b][b][ ][ ][ ]        acquire pops, release pushes
//                      n        room
//
// Only the owning thread writes, but for `room`: whoever wants the blocks back (a tier that runs
// dry, trim, destroy) stores 0 there, and the owner's next release takes the slow path. Other
// threads read how many there are and how many were served, for statistics. Both lie in one word,
// so that one store, a plain instruction, changes both and others see them together.
#ifndef ZCB_POOL_CACHE_H
#define ZCB_POOL_CACHE_H

#include "pool/pool.h"

#define ZCB_MAGAZINE_MAX 120 // which makes a magazine 1024 bytes: a shift finds it

struct zcb_magazine {
    // Acquires served from here, times 256, and blocks here. Aligned, so that it is stored at once
    // where 64 bits are two words, too.
    _Alignas(ZCB_LINE) uint64_t word;
    uint32_t room; // a release finds a place while there are fewer; 0: called in
    uint32_t cap;  // what room is in ordinary times
    uint32_t load; // blocks that go to or from the depot at a time
    uint64_t in;   // blocks that came from the depot
    uint64_t out;  // blocks that went there
    uint64_t unused[3];
    struct zcb_block *items[ZCB_MAGAZINE_MAX]; // the newest last
};

struct zcb_cache {
    struct zcb_pool *pool;
    struct zcb_cache *next; // all caches of the pool
    struct zcb_cache **link;
    struct zcb_thread *thread;
    // One more than the pool has: always empty, for what is above all tiers.
    _Alignas(ZCB_LINE) struct zcb_magazine tier[];
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct zcb_magazine) == 1024, "a shift finds it");

static inline struct zcb_cache *
zcb_cache_find(uint32_t pool_id)
{
    return ZCB_LIKELY(pool_id < zcb_thread.slot_count) ? zcb_thread.slots[pool_id] : NULL;
}

// The empty statement hides from the compiler where the address came from. Without it gcc works the
// address out anew for each field, which costs six instructions in acquire and release each.
static inline struct zcb_magazine *
zcb_cache_tier(struct zcb_cache *cache, uint32_t tier)
{
    struct zcb_magazine *magazine = &cache->tier[tier];

    __asm__("" : "+r"(magazine));
    return magazine;
}

static inline uint32_t
zcb_magazine_n(uint64_t word)
{
    return word & 0xff;
}

static inline uint64_t
zcb_magazine_hits(uint64_t word)
{
    return word >> 8;
}

// The owner's: `n` blocks are there now. Release: a child of fork() that sees the count sees the
// items.
static inline void
zcb_magazine_set_n(struct zcb_magazine *magazine, uint32_t n)
{
    __atomic_store_n(&magazine->word, (magazine->word & ~(uint64_t)0xff) | n, __ATOMIC_RELEASE);
}

static inline bool
zcb_magazine_pop(struct zcb_magazine *magazine, struct zcb_block **out)
{
    uint64_t word = magazine->word;
    uint32_t n = zcb_magazine_n(word);

    if (ZCB_UNLIKELY(n == 0))
        return false;
    *out = magazine->items[n - 1];
    __atomic_store_n(&magazine->word, word + 256 - 1, __ATOMIC_RELAXED); // a hit, a block less
    return true;
}

// What release does when there is no place in a cache.
void zcb_cache_put_slow(struct zcb_block *block);

// A block of a pool that nobody has a reference to any more.
static inline void
zcb_cache_put(struct zcb_block *block)
{
    struct zcb_cache *cache = zcb_cache_find(block->pool_id);

    if (ZCB_LIKELY(cache != NULL)) {
        struct zcb_magazine *magazine = zcb_cache_tier(cache, block->tier);
        uint64_t word = magazine->word;
        uint32_t n = zcb_magazine_n(word);

        if (ZCB_LIKELY(n < __atomic_load_n(&magazine->room, __ATOMIC_RELAXED))) {
            magazine->items[n] = block;
            __atomic_store_n(&magazine->word, word + 1, __ATOMIC_RELEASE); // see zcb_magazine_set_n
            return;
        }
    }
    zcb_cache_put_slow(block);
}

// The thread's cache for the pool, made where there is none; NULL: it cannot have one.
// `may_allocate`: else only a spare is used. Without the lock.
struct zcb_cache *zcb_cache_make(struct zcb_pool *pool, bool may_allocate);

// Moves up to `want` blocks, no more than it holds, from the depot into the cache's magazine; returns
// how many. With the lock.
uint32_t zcb_cache_fill(struct zcb_cache *cache, uint32_t tier, uint32_t want);

// Moves the oldest `n` blocks of the magazine to the depot. With the lock.
void zcb_cache_spill(struct zcb_cache *cache, uint32_t tier, uint32_t n);

// Moves all blocks of the cache to the depot. With the lock.
void zcb_cache_empty(struct zcb_cache *cache);

// Empties the cache and takes it out of the pool; the caller frees it, and clears its thread's
// slot. With the lock.
void zcb_cache_detach(struct zcb_cache *cache);

// NULL is fine.
void zcb_cache_free(struct zcb_cache *cache);

// Before the first cache is made.
void zcb_cache_start(void);

// Takes the calling thread's cache, if there is one, out of its pool, which may be gone afterwards.
void zcb_cache_drop(uint32_t id);

// Drains the calling thread's caches of pools that have been closed since it last looked. Without
// any lock.
void zcb_cache_heed_closings(void);

// A pool has been closed: threads are to look.
void zcb_cache_note_closing(void);

// Puts one or more spare caches aside; without the lock.
void zcb_cache_stock(struct zcb_pool *pool);

#endif
