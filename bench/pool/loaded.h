// SPDX-License-Identifier: MIT
//
// An allocator that would replace malloc if it were linked: it is loaded with its symbols kept to
// itself, and called through two pointers, which costs what a call into any shared library does.
// The file that includes this defines LOADED_LIBRARY, LOADED_MALLOC and LOADED_FREE.

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static void *(*loaded_malloc)(size_t len);
static void (*loaded_free)(void *p);
static size_t item_size;

static bool
find(void *library, const char *name, void *function_pointer)
{
    void *symbol = dlsym(library, name);

    // ISO C has no conversion from an object's pointer to a function's; POSIX has them the same
    // size.
    memcpy(function_pointer, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static void *
create(size_t size)
{
    item_size = size;
    if (loaded_malloc == NULL) {
        void *library = dlopen(LOADED_LIBRARY, RTLD_NOW | RTLD_LOCAL);

        if (library == NULL || !find(library, LOADED_FREE, &loaded_free) ||
            !find(library, LOADED_MALLOC, &loaded_malloc)) {
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
