// SPDX-License-Identifier: MIT
//
// FFmpeg's AVBufferRef, from an AVBufferPool. It has no slices: a reference whose data is moved on
// is what its users do.

#include <libavutil/buffer.h>

#include "packet/peer.h"

struct handle {
    AVBufferRef *shared;
    const uint8_t *data;
};

static void *
create(void)
{
    return av_buffer_pool_init(PACKET_LEN, NULL);
}

static void
destroy(void *pool)
{
    AVBufferPool *it = pool;

    av_buffer_pool_uninit(&it);
}

static inline bool
make(void *pool, struct handle *out)
{
    out->shared = av_buffer_pool_get(pool);
    if (out->shared == NULL)
        return false;
    out->data = out->shared->data;
    return true;
}

static inline void
ref(struct handle *from, struct handle *out)
{
    out->shared = av_buffer_ref(from->shared);
    out->data = from->data;
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
    av_buffer_unref(&handle->shared);
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

const struct packet_peer packet_ffmpeg = {.name = "FFmpeg AVBufferRef", PACKET_PEER_LOOPS};
