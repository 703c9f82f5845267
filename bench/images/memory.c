// SPDX-License-Identifier: MIT
//
// malloc() takes what is as large as an image from the system and gives it back, each time; mmap()
// does so by its nature. The kernel fills each page with zeros when it is touched first, before the
// image's own bytes get there.

#include "images/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "harness.h"

#define HUGE_PAGE ((size_t)2 << 20)

// ---- fresh memory

static int
malloc_get(struct memory *memory, struct frame *out)
{
    out->pixels = malloc(memory->len);
    return out->pixels != NULL ? 0 : -ENOMEM;
}

static void
malloc_put(struct memory *memory, struct frame *frame)
{
    (void)memory;
    free(frame->pixels);
}

static int
map(size_t len, int flags, uint8_t **out)
{
    void *base =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    if (base == MAP_FAILED)
        return -errno;
    *out = base;
    return 0;
}

static int
mmap_get(struct memory *memory, struct frame *out)
{
    return map(memory->len, 0, &out->pixels);
}

static void
mmap_put(struct memory *memory, struct frame *frame)
{
    munmap(frame->pixels, memory->len);
}

#ifdef MAP_POPULATE
static int
populate_get(struct memory *memory, struct frame *out)
{
    return map(memory->len, MAP_POPULATE, &out->pixels);
}
#endif

#ifdef MADV_HUGEPAGE
static size_t
whole_huge_pages(size_t len)
{
    return (len + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

// Huge pages lie at multiples of their size: what is before and behind goes back at once.
static int
huge_get(struct memory *memory, struct frame *out)
{
    size_t whole = whole_huge_pages(memory->len), before;
    uint8_t *base = NULL;
    int result = map(whole + HUGE_PAGE, 0, &base);

    if (result < 0)
        return result;
    before = -(uintptr_t)base & (HUGE_PAGE - 1);
    if (before != 0)
        munmap(base, before);
    munmap(base + before + whole, HUGE_PAGE - before);
    out->pixels = base + before;
    if (madvise(out->pixels, whole, MADV_HUGEPAGE) == 0)
        return 0;
    result = -errno;
    munmap(out->pixels, whole);
    return result;
}

static void
huge_put(struct memory *memory, struct frame *frame)
{
    munmap(frame->pixels, whole_huge_pages(memory->len));
}
#endif

#ifdef __GLIBC__
// ---- malloc() that is told to keep what it has
//
// That is a setting of the whole process, and the other rows want malloc() as it comes. So it is
// taken back between batches, and what has been kept stays allocated meanwhile: nobody else is to
// be given it.

static int
kept_begin(struct memory *memory)
{
    if (mallopt(M_TRIM_THRESHOLD, INT_MAX) != 1 || mallopt(M_MMAP_MAX, 0) != 1)
        return -ENOTSUP;
    for (int i = 0; i < MEMORY_AT_ONCE; i++) {
        free(memory->parked[i]);
        memory->parked[i] = NULL;
    }
    return 0;
}

static int
kept_end(struct memory *memory)
{
    int result = 0;

    for (int i = 0; i < MEMORY_AT_ONCE; i++) {
        memory->parked[i] = malloc(memory->len);
        if (memory->parked[i] == NULL)
            result = -ENOMEM;
    }
    mallopt(M_MMAP_MAX, 65536); // as it was
    return result;
}
#endif

// ---- a pool

static int
pool_get(struct memory *memory, struct frame *out)
{
    int result = zcb_pool_acquire(memory->pool, memory->len, &out->buf);

    if (result == 0)
        out->pixels = zcb_buf_data(out->buf);
    return result;
}

static void
pool_put(struct memory *memory, struct frame *frame)
{
    (void)memory;
    zcb_buf_release(&frame->buf);
}

// What is above a pool's largest tier is a single allocation that is freed at once, so an image is
// worth a tier of its own; `tier` 0 is without.
static int
pool_open(struct memory *memory, const char *name, size_t tier, uint32_t flags)
{
    struct zcb_pool_config config = {
        .name = name, .tiers = {{.buffer_size = tier}}, .flags = flags};

    memory->name = bench_own_row(name);
    memory->get = pool_get;
    memory->put = pool_put;
    memory->recycled = tier != 0;
    return zcb_pool_create(&config, &memory->pool);
}

// ---- all of them

int
memory_open(struct memory ways[MEMORY_WAYS], size_t len)
{
    size_t tier = (len + 4095) & ~(size_t)4095;
    int result;

    memset(ways, 0, MEMORY_WAYS * sizeof(ways[0]));
    for (int i = 0; i < MEMORY_WAYS; i++)
        ways[i].len = len;
    ways[MEMORY_MALLOC].name = "malloc and free";
    ways[MEMORY_MALLOC].get = malloc_get;
    ways[MEMORY_MALLOC].put = malloc_put;
    ways[MEMORY_MMAP].name = "mmap and munmap";
    ways[MEMORY_MMAP].get = mmap_get;
    ways[MEMORY_MMAP].put = mmap_put;
#ifdef MAP_POPULATE
    ways[MEMORY_POPULATE].name = "mmap, MAP_POPULATE";
    ways[MEMORY_POPULATE].get = populate_get;
    ways[MEMORY_POPULATE].put = mmap_put;
#endif
#ifdef MADV_HUGEPAGE
    ways[MEMORY_HUGE].name = "mmap, MADV_HUGEPAGE";
    ways[MEMORY_HUGE].get = huge_get;
    ways[MEMORY_HUGE].put = huge_put;
#endif
#ifdef __GLIBC__
    ways[MEMORY_KEPT].name = "malloc, told to keep it (mallopt)";
    ways[MEMORY_KEPT].get = malloc_get;
    ways[MEMORY_KEPT].put = malloc_put;
    ways[MEMORY_KEPT].begin = kept_begin;
    ways[MEMORY_KEPT].end = kept_end;
#endif
    result = pool_open(&ways[MEMORY_POOL], "pool", tier, 0);
    if (result == 0)
        result = pool_open(&ways[MEMORY_POOL_HUGE], "pool, huge pages", tier, ZCB_POOL_HUGE);
    if (result == 0)
        result = pool_open(&ways[MEMORY_POOL_ABOVE], "pool, above its tiers", 0, 0);
    if (result < 0)
        memory_close(ways);
    return result;
}

void
memory_close(struct memory ways[MEMORY_WAYS])
{
    for (int i = 0; i < MEMORY_WAYS; i++) {
        zcb_pool_destroy(&ways[i].pool);
        for (int k = 0; k < MEMORY_AT_ONCE; k++)
            free(ways[i].parked[k]);
    }
    zcb_thread_flush();
}
