// SPDX-License-Identifier: MIT
#include "count_alloc.h"

#include <stdlib.h>

#include <openssl/crypto.h>

static uint64_t openssl_calls;

static void *
openssl_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    __atomic_fetch_add(&openssl_calls, 1, __ATOMIC_RELAXED);
    return malloc(len);
}

static void *
openssl_realloc(void *ptr, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    __atomic_fetch_add(&openssl_calls, 1, __ATOMIC_RELAXED);
    return realloc(ptr, len);
}

static void
openssl_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    free(ptr);
}

void
count_alloc_watch_openssl(void)
{
    // Refused when it is too late; then its calls are among all the others.
    (void)CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);
}

uint64_t
count_alloc_openssl(void)
{
    return __atomic_load_n(&openssl_calls, __ATOMIC_RELAXED);
}
