// SPDX-License-Identifier: MIT
//
// Functions of a library that would replace malloc if it were linked: it is loaded with its symbols
// kept to itself.
#ifndef BENCH_POOL_LIBRARY_H
#define BENCH_POOL_LIBRARY_H

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

static inline void *
library_load(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

// *function_pointer becomes the function; NULL where there is none.
static inline bool
library_find(void *library, const char *name, void *function_pointer)
{
    void *symbol = dlsym(library, name);

    // ISO C has no conversion from an object's pointer to a function's; POSIX has them the same
    // size.
    memcpy(function_pointer, &symbol, sizeof(symbol));
    return symbol != NULL;
}

#endif
