// SPDX-License-Identifier: MIT
//
// gRPC's slice buffer as a queue of bytes, for the workloads that have one. It has no call that
// looks behind its front; its slices are in an array that is public.
#ifndef BENCH_SLICES_H
#define BENCH_SLICES_H

#include <stdlib.h>
#include <string.h>

#include <grpc/slice.h>
#include <grpc/slice_buffer.h>

#include "harness.h"

static inline void
slices_destroy(void *it)
{
    grpc_slice_buffer_destroy(it);
    free(it);
}

static inline grpc_slice_buffer *
slices_create(void)
{
    grpc_slice_buffer *buffer = malloc(sizeof(*buffer));

    if (buffer != NULL)
        grpc_slice_buffer_init(buffer);
    return buffer;
}

// Memory that outlives the buffer: nothing is counted, nothing freed.
static inline void
slices_append_reference(grpc_slice_buffer *buffer, const uint8_t *data, size_t len)
{
    grpc_slice_buffer_add(buffer, grpc_slice_from_static_buffer(data, len));
}

static inline int
slices_copy(grpc_slice_buffer *buffer, size_t off, uint8_t *dst, size_t len)
{
    for (size_t i = 0; len != 0 && i < buffer->count; i++) {
        size_t room = GRPC_SLICE_LENGTH(buffer->slices[i]), part;

        if (off >= room) {
            off -= room;
            continue;
        }
        part = room - off < len ? room - off : len;
        memcpy(dst, GRPC_SLICE_START_PTR(buffer->slices[i]) + off, part);
        dst += part;
        len -= part;
        off = 0;
    }
    return len == 0 ? 0 : -1;
}

static inline int
slices_drop(grpc_slice_buffer *buffer, size_t len)
{
    if (len > buffer->length)
        return -1;
    while (len != 0) {
        grpc_slice first = grpc_slice_buffer_take_first(buffer);

        if (GRPC_SLICE_LENGTH(first) > len) {
            // What is left takes the reference along.
            grpc_slice_buffer_undo_take_first(
                buffer, grpc_slice_sub_no_ref(first, len, GRPC_SLICE_LENGTH(first)));
            return 0;
        }
        len -= GRPC_SLICE_LENGTH(first);
        grpc_slice_unref(first);
    }
    return 0;
}

#endif
