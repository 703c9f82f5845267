// SPDX-License-Identifier: MIT
//
// What people write by hand: a list of free buffers behind a mutex.

#include <pthread.h>
#include <stdlib.h>

#include "harness.h"

struct item {
    struct item *next;
    uint8_t *bytes;
};

struct freelist {
    pthread_mutex_t lock;
    struct item *first;
    size_t size;
};

static void *
create(size_t size)
{
    struct freelist *list = calloc(1, sizeof(*list));

    if (list == NULL)
        return NULL;
    pthread_mutex_init(&list->lock, NULL);
    list->size = size;
    return list;
}

static void
destroy(void *pool)
{
    struct freelist *list = pool;

    while (list->first != NULL) {
        struct item *item = list->first;

        list->first = item->next;
        free(item->bytes);
        free(item);
    }
    pthread_mutex_destroy(&list->lock);
    free(list);
}

static struct item *
make(size_t size)
{
    struct item *item = malloc(sizeof(*item));

    if (item == NULL)
        return NULL;
    item->bytes = aligned_alloc(4096, size);
    if (item->bytes == NULL) {
        free(item);
        return NULL;
    }
    return item;
}

static inline void *
get(void *pool)
{
    struct freelist *list = pool;
    struct item *item;

    pthread_mutex_lock(&list->lock);
    item = list->first;
    if (item != NULL)
        list->first = item->next;
    pthread_mutex_unlock(&list->lock);
    return item != NULL ? item : make(list->size);
}

static inline void
put(void *pool, void *item)
{
    struct freelist *list = pool;
    struct item *it = item;

    pthread_mutex_lock(&list->lock);
    it->next = list->first;
    list->first = it;
    pthread_mutex_unlock(&list->lock);
}

static inline uint8_t *
memory(void *item)
{
    return ((struct item *)item)->bytes;
}

#include "pool/loops.h"

const struct pool_peer pool_mutex = {.name = "mutex freelist", POOL_PEER_LOOPS};
