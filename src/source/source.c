// SPDX-License-Identifier: MIT
//
// Sources that wrap an allocator which is there anyway.

#include "source/source.h"

#include <stdlib.h>

#if ZCB_HAVE_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#include "base/os.h"

static void *
libc_alloc(void *ctx, size_t len, size_t align)
{
    (void)ctx;
    // C11 wants the length to be a multiple of the alignment.
    if (len > SIZE_MAX - align)
        return NULL;
    return aligned_alloc(align, (len + align - 1) & ~(align - 1));
}

static void
libc_free(void *ctx, void *ptr, size_t len, size_t align)
{
    (void)ctx;
    (void)len;
    (void)align;
    free(ptr);
}

// The whole pages inside a range, which is all that can be purged of memory that is not known to be
// made of pages.
static int
purge_inner_pages(void *ctx, void *ptr, size_t len, bool now)
{
    size_t page = zcb_os_page_size();
    uintptr_t start = ((uintptr_t)ptr + page - 1) & ~(uintptr_t)(page - 1);
    uintptr_t end = ((uintptr_t)ptr + len) & ~(uintptr_t)(page - 1);

    (void)ctx;
    return start < end ? zcb_os_pages_purge((void *)start, end - start, now) : 0;
}

static const struct zcb_source libc_source = {
    .alloc = libc_alloc,
    .free = libc_free,
    .purge = purge_inner_pages,
};

const struct zcb_source *
zcb_source_libc(void)
{
    return &libc_source;
}

static size_t
whole_pages(size_t len)
{
    size_t page = zcb_os_page_size();

    return (len + page - 1) & ~(page - 1);
}

static void *
pages_alloc(void *ctx, size_t len, size_t align)
{
    (void)ctx;
    if (len > SIZE_MAX - zcb_os_page_size())
        return NULL;
    return zcb_os_pages_alloc(whole_pages(len), align);
}

static void
pages_free(void *ctx, void *ptr, size_t len, size_t align)
{
    (void)ctx;
    (void)align;
    zcb_os_pages_free(ptr, whole_pages(len));
}

static const struct zcb_source pages_source = {
    .alloc = pages_alloc,
    .free = pages_free,
    .purge = purge_inner_pages,
};

const struct zcb_source *
zcb_source_pages(void)
{
    return &pages_source;
}

bool
zcb_source_is_pages(const struct zcb_source *source)
{
    return source->alloc == pages_alloc;
}

#if ZCB_HAVE_JEMALLOC
static void *
jemalloc_alloc(void *ctx, size_t len, size_t align)
{
    (void)ctx;
    return len != 0 && len <= SIZE_MAX / 2 ? mallocx(len, MALLOCX_ALIGN(align)) : NULL;
}

static void
jemalloc_free(void *ctx, void *ptr, size_t len, size_t align)
{
    (void)ctx;
    sdallocx(ptr, len, MALLOCX_ALIGN(align));
}

static const struct zcb_source jemalloc_source = {
    .alloc = jemalloc_alloc,
    .free = jemalloc_free,
    .purge = purge_inner_pages,
};
#endif

const struct zcb_source *
zcb_source_jemalloc(void)
{
#if ZCB_HAVE_JEMALLOC
    return &jemalloc_source;
#else
    return NULL;
#endif
}

bool
zcb_source_is_memory(const struct zcb_source *source)
{
#if ZCB_HAVE_JEMALLOC
    if (source->alloc == jemalloc_alloc)
        return true;
#endif
    return source->alloc == pages_alloc || source->alloc == libc_alloc;
}

const struct zcb_source *
zcb_source_default(void)
{
    const struct zcb_source *jemalloc = zcb_source_jemalloc();

    return jemalloc != NULL ? jemalloc : zcb_source_pages();
}
