// SPDX-License-Identifier: MIT
//
// gRPC's slice buffer: packets as static slices; what is received, in slices of its own.

#include <string.h>

#include "slices.h"
#include "wire/peer.h"

struct peer; // a grpc_slice_buffer

static inline grpc_slice_buffer *
buffer_of(struct peer *peer)
{
    return (grpc_slice_buffer *)(void *)peer;
}

static void *
create(struct wire_stream *stream)
{
    (void)stream;
    return slices_create();
}

static void
destroy(void *state)
{
    slices_destroy(state);
}

static inline int
feed(struct peer *peer, size_t number, const uint8_t *data, size_t len)
{
    (void)number;
    slices_append_reference(buffer_of(peer), data, len);
    return 0;
}

static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    grpc_slice slice = grpc_slice_malloc(len);

    memcpy(GRPC_SLICE_START_PTR(slice), data, len);
    grpc_slice_buffer_add(buffer_of(peer), slice);
    return 0;
}

static inline size_t
size(struct peer *peer)
{
    return buffer_of(peer)->length;
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    const grpc_slice *first = buffer_of(peer)->slices;

    if (GRPC_SLICE_LENGTH(*first) >= len)
        return GRPC_SLICE_START_PTR(*first);
    slices_copy(buffer_of(peer), 0, scratch, len);
    return scratch;
}

static inline void
drop(struct peer *peer, size_t len)
{
    slices_drop(buffer_of(peer), len);
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    grpc_slice_buffer_move_first_into_buffer(buffer_of(peer), len, dst);
    return 0;
}

#include "wire/loops.h"

const struct wire_peer wire_grpc = {.name = "gRPC slice buffer", WIRE_PEER_LOOPS};
