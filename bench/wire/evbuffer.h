// SPDX-License-Identifier: MIT
//
// libevent's evbuffer: what both ways of filling it have in common.

#include <event2/buffer.h>

#include "wire/peer.h"

struct peer; // a struct evbuffer

static inline struct evbuffer *
evbuffer_of(struct peer *peer)
{
    return (struct evbuffer *)(void *)peer;
}

static void *
create(struct wire_stream *stream)
{
    (void)stream;
    return evbuffer_new();
}

static void
destroy(void *state)
{
    evbuffer_free(state);
}

static inline size_t
size(struct peer *peer)
{
    return evbuffer_get_length(evbuffer_of(peer));
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    evbuffer_copyout(evbuffer_of(peer), scratch, len);
    return scratch;
}

static inline void
drop(struct peer *peer, size_t len)
{
    evbuffer_drain(evbuffer_of(peer), len);
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    return evbuffer_remove(evbuffer_of(peer), dst, len) == (int)len ? 0 : -1;
}
