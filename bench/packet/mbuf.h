// SPDX-License-Identifier: MIT
//
// DPDK's mbufs: what both kinds of references to them have in common. A slice is a clone of which
// the ends are cut off.

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "eal.h"
#include "packet/peer.h"

enum { MBUFS = 8192, CACHE = 256 };

struct handle {
    struct rte_mbuf *mbuf;
};

static void
destroy(void *pool)
{
    rte_mempool_free(pool);
}

// The name is the pool's as well.
static inline void *
create_named(const char *name)
{
    struct rte_mempool *pool;

    if (!eal_start())
        return NULL;
    pool = rte_pktmbuf_pool_create(name, MBUFS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (pool == NULL)
        bench_skip(name, rte_strerror(rte_errno));
    return pool;
}

static inline bool
make(void *pool, struct handle *out)
{
    out->mbuf = rte_pktmbuf_alloc(pool);
    return out->mbuf != NULL && rte_pktmbuf_append(out->mbuf, PACKET_LEN) != NULL;
}

static inline void
clone_of(struct handle *from, struct handle *out)
{
    out->mbuf = rte_pktmbuf_clone(from->mbuf, from->mbuf->pool);
}

static inline void
slice(struct handle *from, size_t off, size_t len, struct handle *out)
{
    clone_of(from, out);
    rte_pktmbuf_adj(out->mbuf, (uint16_t)off);
    rte_pktmbuf_trim(out->mbuf, (uint16_t)(rte_pktmbuf_data_len(out->mbuf) - len));
}

static inline void
drop(struct handle *handle)
{
    rte_pktmbuf_free(handle->mbuf);
}

static inline uint8_t *
bytes(struct handle *handle)
{
    return rte_pktmbuf_mtod(handle->mbuf, uint8_t *);
}

static inline const uint8_t *
view(struct handle *handle)
{
    return bytes(handle);
}

#define PACKET_THREAD_BEGINS(number) eal_thread_begins(number)
#define PACKET_THREAD_ENDS(number) eal_thread_ends(number)
