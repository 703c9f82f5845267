// SPDX-License-Identifier: MIT
//
// struct zcb_pool, as it comes: no limits, memory from pages.

#include <stdlib.h>

#include <zcbuf/zcbuf.h>

#include "harness.h"

struct sized_pool {
    struct zcb_pool *pool;
    size_t size;
};

static void *
create(size_t size)
{
    struct sized_pool *sized = malloc(sizeof(*sized));

    if (sized == NULL)
        return NULL;
    sized->size = size;
    if (zcb_pool_create(NULL, &sized->pool) < 0) {
        free(sized);
        return NULL;
    }
    return sized;
}

static void
destroy(void *pool)
{
    struct sized_pool *sized = pool;

    zcb_pool_destroy(&sized->pool);
    zcb_thread_flush(); // now, not at some later call: nobody else is to pay for it
    free(sized);
}

static inline void *
get(void *pool)
{
    struct sized_pool *sized = pool;
    struct zcb_buf *buf;

    return zcb_pool_acquire(sized->pool, sized->size, &buf) == 0 ? buf : NULL;
}

static inline void
put(void *pool, void *item)
{
    struct zcb_buf *buf = item;

    (void)pool;
    zcb_buf_release(&buf);
}

static inline uint8_t *
memory(void *item)
{
    return zcb_buf_data(item);
}

#include "pool/loops.h"

static int
run_bulk(void *ctx, struct bench_run *run)
{
    struct sized_pool *sized = ((struct pool_bench *)ctx)->pool;
    struct zcb_buf *bufs[BATCH];

    for (uint64_t i = 0; i < run->n; i += BATCH) {
        int got = zcb_pool_acquire_n(sized->pool, sized->size, bufs, BATCH);

        if (got < 0)
            return got;
        bench_keep(bufs);
        zcb_buf_release_n(bufs, (size_t)got);
        if (got != BATCH)
            return -1;
    }
    return 0;
}

const struct pool_peer pool_zcbuf = {.name = bench_own, .bulk = run_bulk, POOL_PEER_LOOPS};
