// SPDX-License-Identifier: MIT
//
// libevent's evbuffer, packets copied into it; received ones come into its reserved space.

#include <string.h>

#include "wire/evbuffer.h"

static inline int
feed(struct peer *peer, size_t number, const uint8_t *data, size_t len)
{
    (void)number;
    return evbuffer_add(evbuffer_of(peer), data, len);
}

static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    struct evbuffer_iovec space[2];
    int n = evbuffer_reserve_space(evbuffer_of(peer), (ev_ssize_t)len, space, 2), used = 0;

    for (; used < n && len != 0; used++) {
        size_t part = space[used].iov_len < len ? space[used].iov_len : len;

        memcpy(space[used].iov_base, data, part);
        space[used].iov_len = part;
        data += part;
        len -= part;
    }
    return len == 0 ? evbuffer_commit_space(evbuffer_of(peer), space, used) : -1;
}

#include "wire/loops.h"

const struct wire_peer wire_evbuffer_copy = {.name = "libevent evbuffer, copies", WIRE_PEER_LOOPS};
