// SPDX-License-Identifier: MIT

#include "pool/harden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if ZCB_HAVE_VALGRIND
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MAKE_MEM_NOACCESS(at, len) ((void)(at))
#define VALGRIND_MAKE_MEM_DEFINED(at, len) ((void)(at))
#endif

#define POISON 0xdb

#if defined(__has_feature) // clang's way to say it
#if __has_feature(address_sanitizer)
#define BUILT_WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define BUILT_WITH_ASAN 1
#endif

// AddressSanitizer's interface, where the process has it: the library itself need not be built with
// it.
extern void __asan_poison_memory_region(void const volatile *at, size_t len) __attribute__((weak));
extern void __asan_unpoison_memory_region(void const volatile *at, size_t len)
    __attribute__((weak));

uint32_t
zcb_debug_wish(uint32_t pool_flags)
{
    static const struct {
        const char *word;
        uint32_t bits;
    } words[] = {
        {"stats", ZCB_DEBUG_STATS},
        {"leaks", ZCB_DEBUG_LEAKS},
        {"poison", ZCB_DEBUG_POISON | ZCB_DEBUG_ABORT},
        {"guard", ZCB_DEBUG_GUARD | ZCB_DEBUG_ABORT},
    };
    const char *wish = getenv("ZCBUF_DEBUG");
    uint32_t debug = 0;

    while (wish != NULL && *wish != '\0') {
        size_t len = strcspn(wish, ",");
        bool known = false;

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            if (strlen(words[i].word) == len && strncmp(wish, words[i].word, len) == 0) {
                debug |= words[i].bits;
                known = true;
            }
        if (!known && len != 0)
            fprintf(stderr, "zcbuf: ZCBUF_DEBUG=%.*s is not known: stats, leaks, poison, guard\n",
                    (int)len, wish);
        wish += len + (wish[len] == ',');
    }
    if (pool_flags & ZCB_POOL_HARDENED)
        debug |= ZCB_DEBUG_POISON | ZCB_DEBUG_ABORT;
    if (RUNNING_ON_VALGRIND)
        debug |= ZCB_DEBUG_MARK;
#if !defined(BUILT_WITH_ASAN)
    // A sanitized program over an ordinary library. (A sanitized library is being tested itself:
    // its caches are to run.)
    if (__asan_poison_memory_region != NULL)
        debug |= ZCB_DEBUG_MARK;
#endif
    return debug;
}

static void
mark_free(struct zcb_block *block)
{
    if (__asan_poison_memory_region != NULL)
        __asan_poison_memory_region(block->base, block->size);
    VALGRIND_MAKE_MEM_NOACCESS(block->base, block->size);
}

static void
mark_used(struct zcb_block *block)
{
    if (__asan_unpoison_memory_region != NULL)
        __asan_unpoison_memory_region(block->base, block->size);
    VALGRIND_MAKE_MEM_DEFINED(block->base, block->size);
}

// Whole pages that are ours can be made to fault.
static bool
can_guard(const struct zcb_pool *pool, const struct zcb_block *block)
{
    return (pool->debug & ZCB_DEBUG_GUARD) && pool->plain_pages &&
           block->size % zcb_os_page_size() == 0 &&
           (uintptr_t)block->base % zcb_os_page_size() == 0;
}

static void
close_block(struct zcb_pool *pool, struct zcb_block *block)
{
    __atomic_store_n(&block->count, 0, __ATOMIC_RELAXED);
    if (pool->debug & ZCB_DEBUG_POISON)
        memset(block->base, POISON, block->size);
    if (pool->debug & ZCB_DEBUG_MARK)
        mark_free(block);
    if (can_guard(pool, block))
        (void)zcb_os_pages_protect(block->base, block->size, false);
}

// Makes a free block usable, after a look at whether it really was left alone.
static void
open_block(struct zcb_pool *pool, struct zcb_block *block)
{
    if ((pool->debug & ZCB_DEBUG_ABORT) && __atomic_load_n(&block->count, __ATOMIC_RELAXED) != 0)
        zcb_misuse_in(pool, block, "a reference was taken after the last one was released");
    if (can_guard(pool, block))
        (void)zcb_os_pages_protect(block->base, block->size, true);
    if (pool->debug & ZCB_DEBUG_MARK)
        mark_used(block);
    if (pool->debug & ZCB_DEBUG_POISON)
        for (size_t i = 0; i < block->size; i++)
            if (block->base[i] != POISON)
                zcb_misuse_in(pool, block, "memory was written after it was released");
    __atomic_store_n(&block->count, 1, __ATOMIC_RELAXED);
}

void
zcb_check_out(struct zcb_pool *pool, struct zcb_block *block)
{
    if (zcb_block_kind(block) == ZCB_BLOCK_POOL)
        open_block(pool, block);
}

void
zcb_check_in(struct zcb_pool *pool, struct zcb_block *block)
{
    const struct zcb_slab *slab = block->home;

    if (block < slab->blocks || block >= slab->blocks + slab->count ||
        ((uintptr_t)block - (uintptr_t)slab->blocks) % sizeof(*block) != 0)
        zcb_misuse_in(pool, block, "released a header that is none of its slab's");
    close_block(pool, block);
}

void
zcb_check_new(struct zcb_pool *pool, struct zcb_block *block)
{
    close_block(pool, block);
}

void
zcb_check_gone(struct zcb_pool *pool, struct zcb_slab *slab)
{
    for (uint32_t i = 0; i < slab->count; i++)
        open_block(pool, &slab->blocks[i]);
}

void
zcb_check_bury(struct zcb_pool *pool, struct zcb_block *block)
{
    struct zcb_block **grave = &pool->graves[pool->next_grave];

    if (!pool->checked) {
        free(block);
        return;
    }
    pool->next_grave = (pool->next_grave + 1) % (sizeof(pool->graves) / sizeof(pool->graves[0]));
    free(*grave);
    *grave = block;
    __atomic_store_n(&block->count, 0, __ATOMIC_RELAXED);
}

void
zcb_check_clear(struct zcb_pool *pool)
{
    for (size_t i = 0; i < sizeof(pool->graves) / sizeof(pool->graves[0]); i++)
        free(pool->graves[i]);
}

static void
tell_at_the_end(struct zcb_pool *pool)
{
    struct zcb_pool_stats stats;

    if ((pool->debug & (ZCB_DEBUG_STATS | ZCB_DEBUG_LEAKS)) == 0 ||
        zcb_pool_stats(pool, &stats, sizeof(stats)) < 0)
        return;
    if ((pool->debug & ZCB_DEBUG_STATS) &&
        zcb_pool_stats_print(pool, STDERR_FILENO, ZCB_STATS_TEXT) < 0)
        return; // nobody to tell
    if (!(pool->debug & ZCB_DEBUG_LEAKS) || stats.total.live == 0)
        return;
    fprintf(stderr, "zcbuf: pool %s is destroyed with %llu buffers out\n", pool->name,
            (unsigned long long)stats.total.live);
    zcb_pool_enter(pool);
    for (uint32_t t = 0; t < pool->tiers; t++)
        for (struct zcb_slab *slab = pool->tier[t].slabs; slab != NULL; slab = slab->next)
            for (uint32_t i = 0; i < slab->count; i++)
                if (__atomic_load_n(&slab->blocks[i].count, __ATOMIC_RELAXED) != 0)
                    fprintf(stderr, "zcbuf:   %zu bytes at %p, %u references\n",
                            slab->blocks[i].size, (void *)slab->blocks[i].base,
                            slab->blocks[i].count);
    zcb_pool_leave(pool);
}

void
zcb_check_destroy(struct zcb_pool *pool)
{
    int before = zcb_os_cancel_off(); // it prints with the lock held

    tell_at_the_end(pool);
    zcb_os_cancel_back(before);
}

_Noreturn void
zcb_misuse_in(const struct zcb_pool *pool, const struct zcb_block *block, const char *what)
{
    if (pool != NULL)
        fprintf(stderr, "zcbuf: pool %s: %s (a buffer of %zu bytes, header at %p)\n", pool->name,
                what, block->size, (const void *)block);
    else
        fprintf(stderr, "zcbuf: %s (header at %p)\n", what, (const void *)block);
    abort();
}

_Noreturn void
zcb_misuse(const struct zcb_block *block, const char *what)
{
    zcb_misuse_in(zcb_registry_find(block), block, what);
}

void
zcb_misuse_if_checked(const struct zcb_block *block, const char *what)
{
    const struct zcb_pool *pool = zcb_registry_find(block);

    if (pool != NULL && (pool->debug & ZCB_DEBUG_ABORT))
        zcb_misuse(block, what);
}
