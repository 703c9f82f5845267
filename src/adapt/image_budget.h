// SPDX-License-Identifier: MIT
//
// The budget's own side. Public core headers only.
//
//     image_budget.c         budget and leases: the queue, and who lets go of what last
//     image_charge.c         what is charged to a lease: by hand, malloc, source
//     image_plan.c           steps into bytes: arithmetic only
//     image_codec.c          what each codec takes: the table of figures
//     image_memory_linux.c   /proc, cgroups; image_memory_other.c where there is no Linux
//
// All of a budget and its leases is under the budget's lock.
//
//     budget->leased = sum of lease->bytes  <= budget->limit
//     budget->used   = sum of lease->charged + lease->allocated, each sum <= its lease->bytes
//
// A lease lives until it has ended, all that was allocated from it is freed, and its sources are
// closed. A budget lives until it was destroyed and the last lease is gone.
#ifndef ZCB_ADAPT_IMAGE_BUDGET_PRIVATE_H
#define ZCB_ADAPT_IMAGE_BUDGET_PRIVATE_H

#include <pthread.h>

#include <zcbuf/adapt/image_budget.h>

#include "adapt/wait.h"

// A request in the queue, on the stack of the thread that waits for it.
struct budget_waiter {
    struct budget_waiter *next;
    pthread_cond_t wake;
    size_t bytes;
    bool granted;
};

struct zcb_image_budget {
    pthread_mutex_t lock;
    size_t limit; // what leases may have in all
    size_t leased, used;
    struct budget_waiter *first, **last;
    bool closed, destroyed;
    struct zcb_image_budget_stats stats; // its gauges of the above are filled in by a snapshot
};

struct zcb_image_lease {
    struct zcb_image_budget *budget;
    size_t bytes;
    size_t charged;   // by hand
    size_t allocated; // by malloc and sources
    size_t peak_used;
    size_t sources; // not closed
    uint64_t overruns;
    bool ended;
};

// Charges to *kind, which is the lease's charged or allocated. Under the lock. False: beyond it.
bool budget_charge(struct zcb_image_lease *lease, size_t *kind, size_t bytes);

// Takes the lock off that lease's budget, and frees what nobody needs any more of the two.
void budget_unlock(struct zcb_image_lease *lease);

// A charge to `allocated` is over: what ended leases had out comes back to the budget.
void budget_freed(struct zcb_image_lease *lease, size_t bytes);

// Up to `have` bytes of *from become *to's, and zeros the rest: a struct of a caller who knows
// another size of it.
void budget_copy_out(void *to, size_t have, const void *from, size_t size);

#endif
