// SPDX-License-Identifier: MIT
//
// GStreamer's GstBufferPool.

#include <gst/gst.h>

#include "harness.h"

static void *
create(size_t size)
{
    GstBufferPool *pool;
    GstStructure *config;

    gst_init(NULL, NULL);
    pool = gst_buffer_pool_new();
    config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_set_params(config, NULL, (guint)size, 0, 0);
    if (!gst_buffer_pool_set_config(pool, config) || !gst_buffer_pool_set_active(pool, TRUE)) {
        gst_object_unref(pool);
        return NULL;
    }
    return pool;
}

static void
destroy(void *pool)
{
    gst_buffer_pool_set_active(pool, FALSE);
    gst_object_unref(pool);
}

static inline void *
get(void *pool)
{
    GstBuffer *buffer = NULL;

    gst_buffer_pool_acquire_buffer(pool, &buffer, NULL);
    return buffer;
}

static inline void
put(void *pool, void *item)
{
    (void)pool;
    gst_buffer_unref(item);
}

static inline uint8_t *
memory(void *item)
{
    GstMapInfo map;
    uint8_t *bytes;

    // Valid after unmap too: system memory.
    if (!gst_buffer_map(item, &map, GST_MAP_WRITE))
        return NULL;
    bytes = map.data;
    gst_buffer_unmap(item, &map);
    return bytes;
}

#include "pool/loops.h"

const struct pool_peer pool_gstreamer = {.name = "GstBufferPool", POOL_PEER_LOOPS};
