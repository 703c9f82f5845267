// SPDX-License-Identifier: MIT
//
// GStreamer's GstAdapter, packets as buffers around memory that is there.

#include <string.h>

#include <gst/base/gstadapter.h>
#include <gst/gst.h>

#include "wire/peer.h"

struct peer; // a GstAdapter

static inline GstAdapter *
adapter_of(struct peer *peer)
{
    return (GstAdapter *)(void *)peer;
}

static void *
create(struct wire_stream *stream)
{
    (void)stream;
    gst_init(NULL, NULL);
    return gst_adapter_new();
}

static void
destroy(void *state)
{
    g_object_unref(state);
}

static inline int
feed(struct peer *peer, size_t number, const uint8_t *data, size_t len)
{
    (void)number;
    gst_adapter_push(adapter_of(peer), gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY,
                                                                   (gpointer)(uintptr_t)data, len,
                                                                   0, len, NULL, NULL));
    return 0;
}

static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, len, NULL);
    GstMapInfo map;

    if (buffer == NULL || !gst_buffer_map(buffer, &map, GST_MAP_WRITE))
        return -1;
    memcpy(map.data, data, len);
    gst_buffer_unmap(buffer, &map);
    gst_adapter_push(adapter_of(peer), buffer);
    return 0;
}

static inline size_t
size(struct peer *peer)
{
    return gst_adapter_available(adapter_of(peer));
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    gst_adapter_copy(adapter_of(peer), scratch, 0, len);
    return scratch;
}

static inline void
drop(struct peer *peer, size_t len)
{
    gst_adapter_flush(adapter_of(peer), len);
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    gst_adapter_copy(adapter_of(peer), dst, 0, len);
    gst_adapter_flush(adapter_of(peer), len);
    return 0;
}

#include "wire/loops.h"

const struct wire_peer wire_gstadapter = {.name = "GstAdapter", WIRE_PEER_LOOPS};
