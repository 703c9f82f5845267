// SPDX-License-Identifier: MIT
//
// malloc, memcpy and their relatives, defined by the executable, so that all of its shared
// libraries use them too. They count and pass on to glibc's own. Linked into the bench-*-counts
// executables alone: nothing that is timed runs here.
//
// Calls that the compiler replaced (a memcpy of 8 bytes is a mov) are not seen.

#include "counters.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t len);
extern void *__libc_calloc(size_t n, size_t len);
extern void *__libc_realloc(void *old, size_t len);
extern void *__libc_memalign(size_t align, size_t len);

// No headers for these: their declarations there come with attributes that definitions may not
// have.
void *memcpy(void *restrict dst, const void *restrict src, size_t len);
void *memmove(void *dst, const void *src, size_t len);

struct bench_counters bench_counters;
static int counting;

void
bench_count(int on)
{
    __atomic_store_n(&counting, on, __ATOMIC_RELAXED);
}

static void
add(uint64_t *counter, uint64_t n)
{
    if (__atomic_load_n(&counting, __ATOMIC_RELAXED))
        __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

void *
malloc(size_t len)
{
    add(&bench_counters.allocs, 1);
    return __libc_malloc(len);
}

void *
calloc(size_t n, size_t len)
{
    add(&bench_counters.allocs, 1);
    return __libc_calloc(n, len);
}

void *
realloc(void *old, size_t len)
{
    add(&bench_counters.allocs, 1);
    return __libc_realloc(old, len);
}

void *
aligned_alloc(size_t align, size_t len)
{
    add(&bench_counters.allocs, 1);
    return __libc_memalign(align, len);
}

int
posix_memalign(void **out, size_t align, size_t len)
{
    void *p;

    add(&bench_counters.allocs, 1);
    p = __libc_memalign(align, len);
    if (p == NULL)
        return ENOMEM;
    *out = p;
    return 0;
}

// Not as memcpy, or as a loop that the compiler would make a memcpy of.
static void
copy_up(void *dst, const void *src, size_t len)
{
#if defined(__x86_64__)
    __asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(len) : : "memory");
#else
    uint8_t volatile *to = dst;
    const uint8_t *from = src;

    for (size_t i = 0; i < len; i++)
        to[i] = from[i];
#endif
}

static void
count_copy(size_t len)
{
    add(&bench_counters.copies, 1);
    add(&bench_counters.copied_bytes, len);
}

void *
memcpy(void *restrict dst, const void *restrict src, size_t len)
{
    count_copy(len);
    copy_up(dst, src, len);
    return dst;
}

void *
memmove(void *dst, const void *src, size_t len)
{
    count_copy(len);
    if ((uintptr_t)dst - (uintptr_t)src >= len) {
        copy_up(dst, src, len);
    } else {
        uint8_t volatile *to = dst;
        const uint8_t *from = src;

        while (len-- != 0)
            to[len] = from[len];
    }
    return dst;
}
