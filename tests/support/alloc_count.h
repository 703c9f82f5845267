// SPDX-License-Identifier: MIT
//
// Counts what a test program, and the library linked into it, asks of the system's allocator, and
// can make the n-th request fail.
//
// The linker sends malloc, calloc, realloc, aligned_alloc, posix_memalign, free and mmap of
// everything that is linked statically through alloc_count.c (-Wl,--wrap). What libc allocates for
// itself, and what cmocka does, is not seen. Works under the sanitizers too; where the linker
// cannot do it, zcb_alloc_count_works() is false and a test that needs it skips.
//
// Threads: one count for all; any thread.
#ifndef ZCB_TESTS_ALLOC_COUNT_H
#define ZCB_TESTS_ALLOC_COUNT_H

#include <stdbool.h>
#include <stdint.h>

bool zcb_alloc_count_works(void);

// Requests for memory so far, those that failed as well. Two of them subtracted say what lies
// between.
uint64_t zcb_alloc_count(void);

// Blocks from malloc and its kin (not mmap) that have not been freed.
int64_t zcb_alloc_live(void);

// The n-th request from now on (1: the next) fails, and with `for_ever` all after it. 0: none
// fails.
void zcb_alloc_fail(uint64_t nth, bool for_ever);

// How many were made to fail since the last zcb_alloc_fail().
uint64_t zcb_alloc_failed(void);

#endif
