// SPDX-License-Identifier: MIT
//
// An allocator that would replace malloc if it were linked: it is loaded, and called through two
// pointers, which costs what a call into any shared library does.
// The file that includes this defines LOADED_LIBRARY, LOADED_MALLOC and LOADED_FREE.

#include <stdlib.h>

#include "harness.h"
#include "pool/library.h"

static void *(*loaded_malloc)(size_t len);
static void (*loaded_free)(void *p);
static size_t item_size;

static void *
create(size_t size)
{
    item_size = size;
    if (loaded_malloc == NULL) {
        void *library = library_load(LOADED_LIBRARY);

        if (library == NULL || !library_find(library, LOADED_FREE, &loaded_free) ||
            !library_find(library, LOADED_MALLOC, &loaded_malloc)) {
            loaded_malloc = NULL;
            bench_skip(LOADED_LIBRARY, dlerror());
            return NULL;
        }
    }
    return &item_size;
}

static void
destroy(void *pool)
{
    (void)pool;
}

static inline void *
get(void *pool)
{
    return loaded_malloc(*(size_t *)pool);
}

static inline void
put(void *pool, void *item)
{
    (void)pool;
    loaded_free(item);
}

static inline uint8_t *
memory(void *item)
{
    return item;
}
