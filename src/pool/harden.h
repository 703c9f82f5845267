// SPDX-License-Identifier: MIT
//
// Looking at blocks on their way in and out, in pools that are `checked`: with ZCB_POOL_HARDENED,
// with ZCBUF_DEBUG, and in processes that run under AddressSanitizer or Valgrind.
//
// A free block of a checked pool has the count 0, so that each use of a stale handle is seen; it
// waits in a queue instead of a stack (the longest free is used first), so that stale uses have
// time to show. Checked pools have no thread caches.
#ifndef ZCB_POOL_HARDEN_H
#define ZCB_POOL_HARDEN_H

#include "pool/pool.h"

// ZCBUF_DEBUG, a comma-separated list of:
enum {
    ZCB_DEBUG_STATS = 1u << 0,  // print statistics when a pool is destroyed
    ZCB_DEBUG_LEAKS = 1u << 1,  // print what is still out when a pool is destroyed
    ZCB_DEBUG_POISON = 1u << 2, // fill free blocks, and see that nobody wrote into them
    ZCB_DEBUG_GUARD = 1u << 3,  // free pages fault when touched
    ZCB_DEBUG_ABORT = 1u << 4,  // misuse ends the process (ZCB_POOL_HARDENED, poison, guard)
    ZCB_DEBUG_MARK = 1u << 5,   // tell AddressSanitizer or Valgrind what is free
};

// What the environment and the process ask of a new pool with these flags.
uint32_t zcb_debug_wish(uint32_t pool_flags);

// On its way to a user; on its way back. With the lock.
void zcb_check_out(struct zcb_pool *pool, struct zcb_block *block);
void zcb_check_in(struct zcb_pool *pool, struct zcb_block *block);
// Blocks of a new slab are free from the start; those of a slab that goes must be accessible.
void zcb_check_new(struct zcb_pool *pool, struct zcb_block *block);
void zcb_check_gone(struct zcb_pool *pool, struct zcb_slab *slab);
// The header of a single allocation that has been freed; a checked pool keeps the last of them for
// a while, so that a stale handle finds a count of 0.
void zcb_check_bury(struct zcb_pool *pool, struct zcb_block *block);
void zcb_check_clear(struct zcb_pool *pool);
// The pool is being destroyed: print what was asked for. Without the lock.
void zcb_check_destroy(struct zcb_pool *pool);

// Reports misuse on standard error and aborts.
_Noreturn void zcb_misuse(const struct zcb_block *block, const char *what);
_Noreturn void zcb_misuse_in(const struct zcb_pool *pool, const struct zcb_block *block,
                             const char *what);
// The same where the block is of a checked pool that aborts, or of none that is known.
void zcb_misuse_if_checked(const struct zcb_block *block, const char *what);

#endif
