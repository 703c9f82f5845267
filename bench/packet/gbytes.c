// SPDX-License-Identifier: MIT
//
// GLib's GBytes. It takes memory from g_malloc, so nothing is copied.

#include <glib.h>

#include "packet/peer.h"

struct handle {
    GBytes *shared;
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
    out->shared = g_bytes_new_take(g_malloc(PACKET_LEN), PACKET_LEN);
    return true;
}

static inline void
ref(struct handle *from, struct handle *out)
{
    out->shared = g_bytes_ref(from->shared);
}

static inline void
slice(struct handle *from, size_t off, size_t len, struct handle *out)
{
    out->shared = g_bytes_new_from_bytes(from->shared, off, len);
}

static inline void
drop(struct handle *handle)
{
    g_bytes_unref(handle->shared);
}

static inline const uint8_t *
view(struct handle *handle)
{
    return g_bytes_get_data(handle->shared, NULL);
}

static inline uint8_t *
bytes(struct handle *handle)
{
    return (uint8_t *)(uintptr_t)view(handle);
}

#include "packet/loops.h"

const struct packet_peer packet_gbytes = {.name = "GLib GBytes", PACKET_PEER_LOOPS};
