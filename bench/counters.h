// SPDX-License-Identifier: MIT
//
// What counters.c counts, in the executables that have it.
#ifndef BENCH_COUNTERS_H
#define BENCH_COUNTERS_H

#include <stdint.h>

struct bench_counters {
    uint64_t allocs; // malloc, calloc, realloc that had to look for memory, aligned_alloc ...
    uint64_t copies; // calls of memcpy and memmove; what the compiler does in place is not seen
    uint64_t copied_bytes; // by those
};

// Weak: NULL in the executables that take times.
extern struct bench_counters bench_counters __attribute__((weak));

// Counting goes on from here, or stops.
extern void bench_count(int on) __attribute__((weak));

#endif
