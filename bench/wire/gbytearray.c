// SPDX-License-Identifier: MIT
//
// GLib's GByteArray: append, and remove from the front.

#include <string.h>

#include <glib.h>

#include "wire/peer.h"

struct peer; // a GByteArray

static inline GByteArray *
array_of(struct peer *peer)
{
    return (GByteArray *)(void *)peer;
}

static void *
create(struct wire_stream *stream)
{
    (void)stream;
    return g_byte_array_new();
}

static void
destroy(void *state)
{
    g_byte_array_unref(state);
}

static inline int
feed(struct peer *peer, size_t number, const uint8_t *data, size_t len)
{
    (void)number;
    g_byte_array_append(array_of(peer), data, (guint)len);
    return 0;
}

static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    GByteArray *array = array_of(peer);
    guint before = array->len;

    g_byte_array_set_size(array, before + (guint)len);
    memcpy(array->data + before, data, len);
    return 0;
}

static inline size_t
size(struct peer *peer)
{
    return array_of(peer)->len;
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    (void)len;
    (void)scratch;
    return array_of(peer)->data;
}

static inline void
drop(struct peer *peer, size_t len)
{
    g_byte_array_remove_range(array_of(peer), 0, (guint)len);
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    memcpy(dst, array_of(peer)->data, len);
    drop(peer, len);
    return 0;
}

#include "wire/loops.h"

const struct wire_peer wire_gbytearray = {.name = "GLib GByteArray", WIRE_PEER_LOOPS};
