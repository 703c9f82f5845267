// SPDX-License-Identifier: MIT
//
// APR's bucket brigade as a queue of bytes, for the workloads that have one. It keeps its length
// itself: apr_brigade_length() counts all buckets.
#ifndef BENCH_BRIGADE_H
#define BENCH_BRIGADE_H

#include <stdlib.h>
#include <string.h>

#include <apr_buckets.h>
#include <apr_general.h>

#include "harness.h"

struct brigade {
    apr_pool_t *pool;
    apr_bucket_alloc_t *list;
    apr_bucket_brigade *buckets;
    size_t len;
};

static inline void
brigade_destroy(void *it)
{
    struct brigade *brigade = it;

    if (brigade->buckets != NULL)
        apr_brigade_destroy(brigade->buckets);
    if (brigade->list != NULL)
        apr_bucket_alloc_destroy(brigade->list);
    if (brigade->pool != NULL)
        apr_pool_destroy(brigade->pool);
    free(brigade);
}

static inline struct brigade *
brigade_create(void)
{
    struct brigade *brigade = calloc(1, sizeof(*brigade));

    if (brigade == NULL)
        return NULL;
    if (apr_initialize() == APR_SUCCESS && apr_pool_create(&brigade->pool, NULL) == APR_SUCCESS) {
        brigade->list = apr_bucket_alloc_create(brigade->pool);
        if (brigade->list != NULL)
            brigade->buckets = apr_brigade_create(brigade->pool, brigade->list);
    }
    if (brigade->buckets != NULL)
        return brigade;
    brigade_destroy(brigade);
    return NULL;
}

static inline int
brigade_append(struct brigade *brigade, apr_bucket *bucket)
{
    if (bucket == NULL)
        return -1;
    APR_BRIGADE_INSERT_TAIL(brigade->buckets, bucket);
    brigade->len += bucket->length;
    return 0;
}

// Memory that outlives the brigade: nothing is counted, nothing freed.
static inline int
brigade_append_reference(struct brigade *brigade, const uint8_t *data, size_t len)
{
    return brigade_append(brigade,
                          apr_bucket_immortal_create((const char *)data, len, brigade->list));
}

static inline int
brigade_copy(struct brigade *brigade, size_t off, uint8_t *dst, size_t len)
{
    for (apr_bucket *bucket = APR_BRIGADE_FIRST(brigade->buckets);
         len != 0 && bucket != APR_BRIGADE_SENTINEL(brigade->buckets);
         bucket = APR_BUCKET_NEXT(bucket)) {
        const char *data;
        apr_size_t room, part;

        if (off >= bucket->length) {
            off -= bucket->length;
            continue;
        }
        if (apr_bucket_read(bucket, &data, &room, APR_BLOCK_READ) != APR_SUCCESS)
            return -1;
        part = room - off < len ? room - off : len;
        memcpy(dst, data + off, part);
        dst += part;
        len -= part;
        off = 0;
    }
    return len == 0 ? 0 : -1;
}

static inline int
brigade_drop(struct brigade *brigade, size_t len)
{
    if (len > brigade->len)
        return -1;
    brigade->len -= len;
    while (len != 0) {
        apr_bucket *first = APR_BRIGADE_FIRST(brigade->buckets);

        if (first->length > len && apr_bucket_split(first, len) != APR_SUCCESS)
            return -1;
        len -= first->length;
        apr_bucket_delete(first);
    }
    return 0;
}

#endif
