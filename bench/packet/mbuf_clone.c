// SPDX-License-Identifier: MIT
//
// DPDK's mbuf, references as clones: each has its own view of the same memory.

#include "packet/mbuf.h"

#define NAME "DPDK mbuf, clones"

static void *
create(void)
{
    return create_named(NAME);
}

static inline void
ref(struct handle *from, struct handle *out)
{
    clone_of(from, out);
}

#include "packet/loops.h"

const struct packet_peer packet_mbuf_clone = {.name = NAME, PACKET_PEER_LOOPS};
