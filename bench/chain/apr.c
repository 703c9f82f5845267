// SPDX-License-Identifier: MIT
//
// APR's bucket brigade, chunks as immortal buckets. What is in the middle is found by going there,
// as programs with brigades do.

#include "brigade.h"
#include "chain/peer.h"

static void *
create(void)
{
    return brigade_create();
}

static void
destroy(void *queue)
{
    brigade_destroy(queue);
}

static inline int
push(void *queue, const uint8_t *chunk)
{
    return brigade_append_reference(queue, chunk, CHUNK_LEN);
}

static inline int
discard(void *queue, size_t len)
{
    return brigade_drop(queue, len);
}

static inline int
copy(void *queue, size_t off, uint8_t *dst, size_t len)
{
    return brigade_copy(queue, off, dst, len);
}

static inline int
peek(void *queue, size_t off, uint64_t *out)
{
    return copy(queue, off, (uint8_t *)out, sizeof(*out));
}

static inline int
find(void *queue, size_t off, uint8_t byte, size_t *at)
{
    const struct brigade *brigade = queue;
    size_t start = 0;

    for (apr_bucket *bucket = APR_BRIGADE_FIRST(brigade->buckets);
         bucket != APR_BRIGADE_SENTINEL(brigade->buckets);
         start += bucket->length, bucket = APR_BUCKET_NEXT(bucket)) {
        size_t skip = off > start ? off - start : 0;
        const char *data, *found;
        apr_size_t len;

        if (skip >= bucket->length)
            continue;
        if (apr_bucket_read(bucket, &data, &len, APR_BLOCK_READ) != APR_SUCCESS)
            return -1;
        found = memchr(data + skip, byte, len - skip);
        if (found != NULL) {
            *at = start + (size_t)(found - data);
            return 0;
        }
    }
    return -1;
}

#include "chain/loops.h"

const struct chain_peer chain_apr = {
    .name = "APR bucket brigade", .chunks_max = 100000, CHAIN_PEER_LOOPS};
