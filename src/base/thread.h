// SPDX-License-Identifier: MIT
//
// What the library keeps for each thread: where its pool caches are, and what it has copied. A few
// words of thread-local storage, all zero at first, so that a thread needs no registration.
#ifndef ZCB_BASE_THREAD_H
#define ZCB_BASE_THREAD_H

#include "base/os.h"

struct zcb_cache;
struct zcb_copy_record;

#define ZCB_THREAD_SLOTS 8 // pools whose caches a thread finds without having allocated a table

struct zcb_thread {
    struct zcb_cache **slots; // by pool id; the first slot_count may be looked at
    uint32_t slot_count;
    bool hooked;              // the exit hook is set
    bool ended;               // the exit hook has run: nothing may be kept any more
    uint64_t closings_seen;   // see pool/cache.c
    struct zcb_copy_record *copies;
    struct zcb_cache *few[ZCB_THREAD_SLOTS];
};

extern ZCB_THREAD_LOCAL struct zcb_thread zcb_thread;

// Sees to it that the thread's end is noticed. False: that is not possible (the thread is ending,
// or no memory): keep nothing for it.
bool zcb_thread_hook(bool may_allocate);

// What the pools do when a thread ends; set before the first cache is made.
extern void (*zcb_thread_drain)(void);

// Folds the thread's copy counts into those of ended threads (copies.c).
void zcb_copies_thread_end(void);

#endif
