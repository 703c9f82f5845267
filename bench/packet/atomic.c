// SPDX-License-Identifier: MIT
//
// The limit: one atomic increment and one decrement for each reference, on memory that is always
// there. The handle that made the packet counts as well, which a design with a short-cut for the
// sole owner need not do: it can be faster than this.

#include "packet/peer.h"

struct handle {
    uint32_t *count;
    const uint8_t *data;
};

static _Alignas(64) uint32_t count;
static uint8_t memory[PACKET_LEN];

static void *
create(void)
{
    return memory;
}

static void
destroy(void *pool)
{
    (void)pool;
}

static inline bool
make(void *pool, struct handle *out)
{
    out->count = &count;
    out->data = pool;
    return true;
}

static inline void
ref(struct handle *from, struct handle *out)
{
    __atomic_fetch_add(from->count, 1, __ATOMIC_RELAXED);
    *out = *from;
}

static inline void
slice(struct handle *from, size_t off, size_t len, struct handle *out)
{
    (void)len;
    ref(from, out);
    out->data += off;
}

static inline void
drop(struct handle *handle)
{
    bench_keep(handle->data);
    __atomic_fetch_sub(handle->count, 1, __ATOMIC_ACQ_REL);
}

static inline uint8_t *
bytes(struct handle *handle)
{
    return (uint8_t *)(uintptr_t)handle->data;
}

static inline const uint8_t *
view(struct handle *handle)
{
    return handle->data;
}

#include "packet/loops.h"

const struct packet_peer packet_atomic = {.name = "one atomic pair per handle (limit)",
                                          PACKET_PEER_LOOPS};
