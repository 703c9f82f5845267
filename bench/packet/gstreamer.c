// SPDX-License-Identifier: MIT
//
// GStreamer's GstBuffer, from the default allocator.

#include <gst/gst.h>

#include "packet/peer.h"

struct handle {
    GstBuffer *shared;
};

static void *
create(void)
{
    static char nothing;

    gst_init(NULL, NULL);
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
    out->shared = gst_buffer_new_allocate(NULL, PACKET_LEN, NULL);
    return out->shared != NULL;
}

static inline void
ref(struct handle *from, struct handle *out)
{
    out->shared = gst_buffer_ref(from->shared);
}

static inline void
slice(struct handle *from, size_t off, size_t len, struct handle *out)
{
    out->shared = gst_buffer_copy_region(from->shared, GST_BUFFER_COPY_MEMORY, off, len);
}

static inline void
drop(struct handle *handle)
{
    gst_buffer_unref(handle->shared);
}

static inline const uint8_t *
view(struct handle *handle)
{
    GstMapInfo map;
    const uint8_t *at;

    // Valid after unmap too: system memory.
    if (!gst_buffer_map(handle->shared, &map, GST_MAP_READ))
        return NULL;
    at = map.data;
    gst_buffer_unmap(handle->shared, &map);
    return at;
}

static inline uint8_t *
bytes(struct handle *handle)
{
    return (uint8_t *)(uintptr_t)view(handle);
}

#include "packet/loops.h"

const struct packet_peer packet_gstreamer = {.name = "GstBuffer", PACKET_PEER_LOOPS};
