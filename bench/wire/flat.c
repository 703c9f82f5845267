// SPDX-License-Identifier: MIT
//
// A ring of bytes in one array.

#include <stdlib.h>
#include <string.h>

#include "wire/peer.h"

enum { CAPACITY = 131072 }; // a power of two

struct peer {
    size_t in, out; // bytes that came and went
    uint8_t bytes[CAPACITY];
};

static void *
create(struct wire_stream *stream)
{
    (void)stream;
    return bench_alloc(sizeof(struct peer));
}

static void
destroy(void *state)
{
    free(state);
}

static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    size_t at = peer->in % CAPACITY, part = CAPACITY - at < len ? CAPACITY - at : len;

    if (len > CAPACITY - (peer->in - peer->out))
        return -1;
    memcpy(peer->bytes + at, data, part);
    memcpy(peer->bytes, data + part, len - part);
    peer->in += len;
    return 0;
}

static inline int
feed(struct peer *peer, size_t number, const uint8_t *data, size_t len)
{
    (void)number;
    return receive(peer, data, len);
}

static inline size_t
size(struct peer *peer)
{
    return peer->in - peer->out;
}

static inline void
copy(struct peer *peer, uint8_t *dst, size_t len)
{
    size_t at = peer->out % CAPACITY, part = CAPACITY - at < len ? CAPACITY - at : len;

    memcpy(dst, peer->bytes + at, part);
    memcpy(dst + part, peer->bytes, len - part);
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    size_t at = peer->out % CAPACITY;

    if (CAPACITY - at >= len)
        return peer->bytes + at;
    copy(peer, scratch, len);
    return scratch;
}

static inline void
drop(struct peer *peer, size_t len)
{
    peer->out += len;
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    copy(peer, dst, len);
    peer->out += len;
    return 0;
}

#include "wire/loops.h"

const struct wire_peer wire_flat = {.name = "flat ring", WIRE_PEER_LOOPS};
