// SPDX-License-Identifier: MIT
//
// libevent's evbuffer, chunks by reference.

#include <event2/buffer.h>

#include "chain/peer.h"

static void *
create(void)
{
    return evbuffer_new();
}

static void
destroy(void *queue)
{
    evbuffer_free(queue);
}

static inline int
push(void *queue, const uint8_t *chunk)
{
    return evbuffer_add_reference(queue, chunk, CHUNK_LEN, NULL, NULL);
}

static inline int
discard(void *queue, size_t len)
{
    return evbuffer_drain(queue, len);
}

static inline int
copy(void *queue, size_t off, uint8_t *dst, size_t len)
{
    struct evbuffer_ptr at;

    if (evbuffer_ptr_set(queue, &at, off, EVBUFFER_PTR_SET) < 0)
        return -1;
    return evbuffer_copyout_from(queue, &at, dst, len) == (ev_ssize_t)len ? 0 : -1;
}

static inline int
peek(void *queue, size_t off, uint64_t *out)
{
    return copy(queue, off, (uint8_t *)out, sizeof(*out));
}

static inline int
find(void *queue, size_t off, uint8_t byte, size_t *at)
{
    struct evbuffer_ptr from, found;

    if (evbuffer_ptr_set(queue, &from, off, EVBUFFER_PTR_SET) < 0)
        return -1;
    found = evbuffer_search(queue, (const char *)&byte, 1, &from);
    *at = (size_t)found.pos;
    return found.pos >= 0 ? 0 : -1;
}

#include "chain/loops.h"

const struct chain_peer chain_evbuffer = {
    .name = "libevent evbuffer", .chunks_max = 100000, CHAIN_PEER_LOOPS};
