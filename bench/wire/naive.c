// SPDX-License-Identifier: MIT
//
// What is written first: one array; what arrives is put behind what is there in a new one, what was
// used is cut off the front by making another. The original that this library was made for did
// that.

#include <stdlib.h>
#include <string.h>

#include "wire/peer.h"

struct peer {
    uint8_t *bytes;
    size_t len;
};

static void *
create(struct wire_stream *stream)
{
    (void)stream;
    return calloc(1, sizeof(struct peer));
}

static void
destroy(void *state)
{
    struct peer *peer = state;

    free(peer->bytes);
    free(peer);
}

static inline int
feed(struct peer *peer, size_t number, const uint8_t *data, size_t len)
{
    uint8_t *both = malloc(peer->len + len);

    (void)number;
    if (both == NULL)
        return -1;
    if (peer->len != 0)
        memcpy(both, peer->bytes, peer->len);
    memcpy(both + peer->len, data, len);
    free(peer->bytes);
    peer->bytes = both;
    peer->len += len;
    return 0;
}

// recv() into a buffer of its own first.
static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    static uint8_t buffer[65536];

    memcpy(buffer, data, len);
    return feed(peer, 0, buffer, len);
}

static inline size_t
size(struct peer *peer)
{
    return peer->len;
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    (void)len;
    (void)scratch;
    return peer->bytes;
}

static void
drop(struct peer *peer, size_t len)
{
    size_t left = peer->len - len;
    uint8_t *rest = left != 0 ? malloc(left) : NULL;

    if (left != 0 && rest == NULL)
        abort();
    if (left != 0)
        memcpy(rest, peer->bytes + len, left);
    free(peer->bytes);
    peer->bytes = rest;
    peer->len = left;
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    memcpy(dst, peer->bytes, len);
    drop(peer, len);
    return 0;
}

#include "wire/loops.h"

const struct wire_peer wire_naive = {.name = "naive concatenation", WIRE_PEER_LOOPS};
