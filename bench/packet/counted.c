// SPDX-License-Identifier: MIT
//
// What people write by hand: malloc with a count in front.

#include <stdlib.h>

#include "packet/peer.h"

struct shared {
    uint32_t count;
    uint8_t data[PACKET_LEN];
};

struct handle {
    struct shared *shared;
    const uint8_t *data;
};

static void *
create(void)
{
    static char nothing;

    return &nothing;
}

static void
destroy(void *pool)
{
    (void)pool;
}

static inline bool
make(void *pool, struct handle *out)
{
    (void)pool;
    out->shared = malloc(sizeof(*out->shared));
    if (out->shared == NULL)
        return false;
    out->shared->count = 1;
    out->data = out->shared->data;
    return true;
}

static inline void
ref(struct handle *from, struct handle *out)
{
    __atomic_fetch_add(&from->shared->count, 1, __ATOMIC_RELAXED);
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
    if (__atomic_fetch_sub(&handle->shared->count, 1, __ATOMIC_ACQ_REL) == 1)
        free(handle->shared);
}

static inline uint8_t *
bytes(struct handle *handle)
{
    return handle->shared->data;
}

static inline const uint8_t *
view(struct handle *handle)
{
    return handle->data;
}

#include "packet/loops.h"

const struct packet_peer packet_counted = {.name = "malloc with a count", PACKET_PEER_LOOPS};
