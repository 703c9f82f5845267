// SPDX-License-Identifier: MIT
//
// The limit: an array on the thread, inlined, without errors, limits, statistics, or a way back
// from another thread.

#include <stdlib.h>

#include "harness.h"

enum { SLOTS = 8192 };

static _Thread_local void *stack[SLOTS];
static _Thread_local unsigned height;
static size_t item_size;

static void *
create(size_t size)
{
    item_size = size;
    return &item_size;
}

static void
destroy(void *pool)
{
    (void)pool;
    while (height != 0)
        free(stack[--height]);
}

static inline void *
get(void *pool)
{
    (void)pool;
    return __builtin_expect(height != 0, 1) ? stack[--height] : aligned_alloc(4096, item_size);
}

static inline void
put(void *pool, void *item)
{
    (void)pool;
    if (__builtin_expect(height < SLOTS, 1))
        stack[height++] = item;
    else
        free(item);
}

static inline uint8_t *
memory(void *item)
{
    return item;
}

static void
thread_ends(unsigned number)
{
    if (number != 0)
        destroy(NULL);
}

#define POOL_THREAD_ENDS(number) thread_ends(number)
#include "pool/loops.h"

const struct pool_peer pool_local = {.name = "thread-local stack (limit)", POOL_PEER_LOOPS};
