// SPDX-License-Identifier: MIT
//
// What is written by people who know better: one buffer with a read and a write position; when
// there is no room behind, what is left moves to the front.

#include <stdlib.h>
#include <string.h>

#include "wire/peer.h"

enum { CAPACITY = 2 * 65536 + 32768 };

struct peer {
    size_t begin, end;
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
    if (len > CAPACITY - peer->end) {
        memmove(peer->bytes, peer->bytes + peer->begin, peer->end - peer->begin);
        peer->end -= peer->begin;
        peer->begin = 0;
        if (len > CAPACITY - peer->end)
            return -1;
    }
    memcpy(peer->bytes + peer->end, data, len);
    peer->end += len;
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
    return peer->end - peer->begin;
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    (void)len;
    (void)scratch;
    return peer->bytes + peer->begin;
}

static inline void
drop(struct peer *peer, size_t len)
{
    peer->begin += len;
    if (peer->begin == peer->end)
        peer->begin = peer->end = 0;
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    memcpy(dst, peer->bytes + peer->begin, len);
    drop(peer, len);
    return 0;
}

#include "wire/loops.h"

const struct wire_peer wire_linear = {.name = "linear compacting buffer", WIRE_PEER_LOOPS};
