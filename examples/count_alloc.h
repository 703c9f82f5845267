// SPDX-License-Identifier: MIT
//
// How often this process has called the allocator: the program's own calls, the library's and those
// of every other library in it. Linking count_alloc.c is enough; it stands in front of malloc().
#ifndef EXAMPLES_COUNT_ALLOC_H
#define EXAMPLES_COUNT_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

// false: not with this C library, or under a sanitizer, which has an allocator of its own.
bool count_alloc_works(void);

// malloc, calloc, realloc and the aligned kinds so far; free is not counted.
uint64_t count_alloc(void);

// Of these, OpenSSL's own: it makes a small object for each hash that is begun. Call watch before
// anything else of OpenSSL. In count_alloc_openssl.c, for those who link it.
void count_alloc_watch_openssl(void);
uint64_t count_alloc_openssl(void);

#endif
