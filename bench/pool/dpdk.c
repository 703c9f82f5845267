// SPDX-License-Identifier: MIT
//
// DPDK's rte_mempool: a cache for each thread, in front of a ring. All its buffers are there from
// the start, so it holds as many as the largest burst, and what caches may keep.

#include <stdio.h>

#include <rte_errno.h>
#include <rte_mempool.h>

#include "eal.h"
#include "harness.h"

#define NAME "DPDK rte_mempool"

enum { BUFFERS = 5120, CACHE = 256 };

static void *
create(size_t size)
{
    struct rte_mempool *pool;

    if (!eal_start())
        return NULL;
    pool = rte_mempool_create("bench", BUFFERS, (unsigned)size, CACHE, 0, NULL, NULL, NULL, NULL,
                              SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    if (pool == NULL)
        bench_skip(NAME, rte_strerror(rte_errno));
    return pool;
}

static void
destroy(void *pool)
{
    rte_mempool_free(pool);
}

static inline void *
get(void *pool)
{
    void *item;

    return rte_mempool_get(pool, &item) == 0 ? item : NULL;
}

static inline void
put(void *pool, void *item)
{
    rte_mempool_put(pool, item);
}

static inline uint8_t *
memory(void *item)
{
    return item;
}

#define POOL_THREAD_BEGINS(number) eal_thread_begins(number)
#define POOL_THREAD_ENDS(number) eal_thread_ends(number)
#include "pool/loops.h"

static int
run_bulk(void *ctx, struct bench_run *run)
{
    struct rte_mempool *pool = ((struct pool_bench *)ctx)->pool;
    void *items[BATCH];

    for (uint64_t i = 0; i < run->n; i += BATCH) {
        int result = rte_mempool_get_bulk(pool, items, BATCH);

        if (result < 0)
            return result;
        bench_keep(items);
        rte_mempool_put_bulk(pool, items, BATCH);
    }
    return 0;
}

const struct pool_peer pool_dpdk = {
    .name = NAME, .bulk = run_bulk, .bulk_name = NAME ", bulk calls", POOL_PEER_LOOPS};
