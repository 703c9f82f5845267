// SPDX-License-Identifier: MIT
//
// GStreamer's GstAdapter, chunks as buffers around memory that is there.

#include <gst/base/gstadapter.h>
#include <gst/gst.h>

#include "chain/peer.h"

static void *
create(void)
{
    gst_init(NULL, NULL);
    return gst_adapter_new();
}

static void
destroy(void *queue)
{
    g_object_unref(queue);
}

static inline int
push(void *queue, const uint8_t *chunk)
{
    gst_adapter_push(queue, gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY,
                                                        (gpointer)(uintptr_t)chunk, CHUNK_LEN, 0,
                                                        CHUNK_LEN, NULL, NULL));
    return 0;
}

static inline int
discard(void *queue, size_t len)
{
    gst_adapter_flush(queue, len);
    return 0;
}

static inline int
copy(void *queue, size_t off, uint8_t *dst, size_t len)
{
    gst_adapter_copy(queue, dst, off, len);
    return 0;
}

static inline int
peek(void *queue, size_t off, uint64_t *out)
{
    return copy(queue, off, (uint8_t *)out, sizeof(*out));
}

// The call looks at four bytes; one of them counts. It remembers where it was.
static inline int
find(void *queue, size_t off, uint8_t byte, size_t *at)
{
    gssize found = gst_adapter_masked_scan_uint32(queue, 0xff000000, (guint32)byte << 24, off,
                                                  gst_adapter_available(queue) - off);

    *at = (size_t)found;
    return found >= 0 ? 0 : -1;
}

#include "chain/loops.h"

const struct chain_peer chain_gstadapter = {
    .name = "GstAdapter", .chunks_max = 100000, CHAIN_PEER_LOOPS};
