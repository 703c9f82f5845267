// SPDX-License-Identifier: MIT
//
// FFmpeg's AVBufferPool: a mutex, and an AVBufferRef from malloc for each buffer that is handed
// out.

#include <libavutil/buffer.h>

#include "harness.h"

static void *
create(size_t size)
{
    return av_buffer_pool_init((size_t)size, NULL);
}

static void
destroy(void *pool)
{
    AVBufferPool *it = pool;

    av_buffer_pool_uninit(&it);
}

static inline void *
get(void *pool)
{
    return av_buffer_pool_get(pool);
}

static inline void
put(void *pool, void *item)
{
    AVBufferRef *ref = item;

    (void)pool;
    av_buffer_unref(&ref);
}

static inline uint8_t *
memory(void *item)
{
    return ((AVBufferRef *)item)->data;
}

#include "pool/loops.h"

const struct pool_peer pool_ffmpeg = {.name = "FFmpeg AVBufferPool", POOL_PEER_LOOPS};
