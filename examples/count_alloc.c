// SPDX-License-Identifier: MIT
#include "count_alloc.h"

#include <errno.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)

static uint64_t calls;

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t n, size_t len);
void *__libc_realloc(void *ptr, size_t len);
void *__libc_memalign(size_t align, size_t len);

static void
count(void)
{
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
}

void *
malloc(size_t len)
{
    count();
    return __libc_malloc(len);
}

void *
calloc(size_t n, size_t len)
{
    count();
    return __libc_calloc(n, len);
}

void *
realloc(void *ptr, size_t len)
{
    count();
    return __libc_realloc(ptr, len);
}

void *
aligned_alloc(size_t align, size_t len)
{
    count();
    return __libc_memalign(align, len);
}

int
posix_memalign(void **out, size_t align, size_t len)
{
    count();
    *out = __libc_memalign(align, len);
    return *out == NULL ? ENOMEM : 0;
}

bool
count_alloc_works(void)
{
    return true;
}

uint64_t
count_alloc(void)
{
    return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

#else

bool
count_alloc_works(void)
{
    return false;
}

uint64_t
count_alloc(void)
{
    return 0;
}

#endif
