// SPDX-License-Identifier: MIT
//
// DPDK's mbuf, references by its count: the same mbuf for all, which nobody may change.

#include "packet/mbuf.h"

#define NAME "DPDK mbuf, counted"

static void *
create(void)
{
    return create_named(NAME);
}

static inline void
ref(struct handle *from, struct handle *out)
{
    rte_pktmbuf_refcnt_update(from->mbuf, 1);
    out->mbuf = from->mbuf;
}

#include "packet/loops.h"

const struct packet_peer packet_mbuf_count = {.name = NAME, PACKET_PEER_LOOPS};
