// SPDX-License-Identifier: MIT
//
// APR's heap buckets, with memory from their own allocator, which belongs to one thread. A copy of
// a bucket is a reference to the same memory; a slice is a copy with other limits, which is what
// apr_bucket_split() makes of a bucket.

#include <stdlib.h>

#include "brigade.h"
#include "packet/peer.h"

struct handle {
    apr_bucket *bucket;
};

static void *
create(void)
{
    return brigade_create(); // for its allocator
}

static void
destroy(void *pool)
{
    brigade_destroy(pool);
}

static inline bool
make(void *pool, struct handle *out)
{
    struct brigade *brigade = pool;
    char *memory = apr_bucket_alloc(PACKET_LEN, brigade->list);

    if (memory == NULL)
        return false;
    out->bucket = apr_bucket_heap_create(memory, PACKET_LEN, apr_bucket_free, brigade->list);
    return out->bucket != NULL;
}

static inline void
ref(struct handle *from, struct handle *out)
{
    apr_bucket_copy(from->bucket, &out->bucket);
}

static inline void
slice(struct handle *from, size_t off, size_t len, struct handle *out)
{
    ref(from, out);
    out->bucket->start += (apr_off_t)off;
    out->bucket->length = len;
}

static inline void
drop(struct handle *handle)
{
    apr_bucket_destroy(handle->bucket);
}

static inline const uint8_t *
view(struct handle *handle)
{
    const char *data = NULL;
    apr_size_t len;

    apr_bucket_read(handle->bucket, &data, &len, APR_BLOCK_READ);
    return (const uint8_t *)data;
}

static inline uint8_t *
bytes(struct handle *handle)
{
    return (uint8_t *)(uintptr_t)view(handle);
}

#define PACKET_ONE_THREAD
#include "packet/loops.h"

const struct packet_peer packet_apr = {.name = "APR heap bucket", PACKET_PEER_LOOPS};
