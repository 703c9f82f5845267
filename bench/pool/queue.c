// SPDX-License-Identifier: MIT
//
// The limit where buffers cross from one thread to another: the queue alone, the same pointer again
// and again.

#include "harness.h"

static uint8_t *the_one;

static void *
create(size_t size)
{
    the_one = bench_alloc(size);
    return the_one;
}

static void
destroy(void *pool)
{
    (void)pool; // kept: nobody is timed by it
}

static inline void *
get(void *pool)
{
    return pool;
}

static inline void
put(void *pool, void *item)
{
    (void)pool;
    bench_keep(item);
}

static inline uint8_t *
memory(void *item)
{
    return item;
}

#include "pool/loops.h"

// Only `ring` is ever run.
const struct pool_peer pool_queue = {.name = "the queue alone (limit)", POOL_PEER_LOOPS};
