// SPDX-License-Identifier: MIT
//
// gRPC's slice buffer, chunks as static slices. What is in the middle is found by going through its
// array.

#include "chain/peer.h"
#include "slices.h"

static void *
create(void)
{
    return slices_create();
}

static void
destroy(void *queue)
{
    slices_destroy(queue);
}

static inline int
push(void *queue, const uint8_t *chunk)
{
    slices_append_reference(queue, chunk, CHUNK_LEN);
    return 0;
}

static inline int
discard(void *queue, size_t len)
{
    return slices_drop(queue, len);
}

static inline int
copy(void *queue, size_t off, uint8_t *dst, size_t len)
{
    return slices_copy(queue, off, dst, len);
}

static inline int
peek(void *queue, size_t off, uint64_t *out)
{
    return copy(queue, off, (uint8_t *)out, sizeof(*out));
}

static inline int
find(void *queue, size_t off, uint8_t byte, size_t *at)
{
    const grpc_slice_buffer *buffer = queue;
    size_t start = 0, len;

    for (size_t i = 0; i < buffer->count; i++, start += len) {
        const uint8_t *data = GRPC_SLICE_START_PTR(buffer->slices[i]), *found;
        size_t skip = off > start ? off - start : 0;

        len = GRPC_SLICE_LENGTH(buffer->slices[i]);
        if (skip >= len)
            continue;
        found = memchr(data + skip, byte, len - skip);
        if (found != NULL) {
            *at = start + (size_t)(found - data);
            return 0;
        }
    }
    return -1;
}

#include "chain/loops.h"

const struct chain_peer chain_grpc = {
    .name = "gRPC slice buffer", .chunks_max = 100000, CHAIN_PEER_LOOPS};
