// SPDX-License-Identifier: MIT
//
// gRPC's slices.

#include <grpc/slice.h>

#include "packet/peer.h"

struct handle {
    grpc_slice slice;
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
    out->slice = grpc_slice_malloc(PACKET_LEN);
    return true;
}

static inline void
ref(struct handle *from, struct handle *out)
{
    out->slice = grpc_slice_ref(from->slice);
}

static inline void
slice(struct handle *from, size_t off, size_t len, struct handle *out)
{
    out->slice = grpc_slice_sub(from->slice, off, off + len);
}

static inline void
drop(struct handle *handle)
{
    grpc_slice_unref(handle->slice);
}

static inline uint8_t *
bytes(struct handle *handle)
{
    return GRPC_SLICE_START_PTR(handle->slice);
}

static inline const uint8_t *
view(struct handle *handle)
{
    return bytes(handle);
}

#include "packet/loops.h"

const struct packet_peer packet_grpc = {.name = "gRPC slice", PACKET_PEER_LOOPS};
