// SPDX-License-Identifier: MIT
//
// APR's bucket brigade: packets as immortal buckets; what is received, as heap buckets whose memory
// comes from the brigade's own allocator, which is how a socket bucket does it.

#include <stdlib.h>
#include <string.h>

#include "brigade.h"
#include "wire/peer.h"

struct peer; // a struct brigade

static inline struct brigade *
brigade_of(struct peer *peer)
{
    return (struct brigade *)(void *)peer;
}

static void *
create(struct wire_stream *stream)
{
    (void)stream;
    return brigade_create();
}

static void
destroy(void *state)
{
    brigade_destroy(state);
}

static inline int
feed(struct peer *peer, size_t number, const uint8_t *data, size_t len)
{
    (void)number;
    return brigade_append_reference(brigade_of(peer), data, len);
}

static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    struct brigade *brigade = brigade_of(peer);
    char *memory = apr_bucket_alloc(len, brigade->list);

    if (memory == NULL)
        return -1;
    memcpy(memory, data, len);
    return brigade_append(brigade,
                          apr_bucket_heap_create(memory, len, apr_bucket_free, brigade->list));
}

static inline size_t
size(struct peer *peer)
{
    return brigade_of(peer)->len;
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    apr_bucket *first = APR_BRIGADE_FIRST(brigade_of(peer)->buckets);
    const char *data;
    apr_size_t room;

    if (apr_bucket_read(first, &data, &room, APR_BLOCK_READ) == APR_SUCCESS && room >= len)
        return (const uint8_t *)data;
    brigade_copy(brigade_of(peer), 0, scratch, len);
    return scratch;
}

static inline void
drop(struct peer *peer, size_t len)
{
    brigade_drop(brigade_of(peer), len);
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    if (brigade_copy(brigade_of(peer), 0, dst, len) < 0)
        return -1;
    return brigade_drop(brigade_of(peer), len);
}

#include "wire/loops.h"

const struct wire_peer wire_apr = {.name = "APR bucket brigade", WIRE_PEER_LOOPS};
