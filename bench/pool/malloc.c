// SPDX-License-Identifier: MIT
//
// The C library's malloc; or the one that was linked instead.

#include <stdlib.h>

#include "harness.h"

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
}

static inline void *
get(void *pool)
{
    return malloc(*(size_t *)pool);
}

static inline void
put(void *pool, void *item)
{
    (void)pool;
    free(item);
}

static inline uint8_t *
memory(void *item)
{
    return item;
}

#include "pool/loops.h"

#if ZCB_HAVE_JEMALLOC
#define NAME "malloc (jemalloc is linked)"
#else
#define NAME "malloc (libc)"
#endif

const struct pool_peer pool_malloc = {.name = NAME, POOL_PEER_LOOPS};
