// SPDX-License-Identifier: MIT
//
// W4b: where memory comes from, above 10 KB: a pool on each source, and each source without a pool.
// Every byte is written. How many allocations each pool saved stands under the times.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <zcbuf/zcbuf.h>

#include "pool/library.h"
#include "pool/peer.h"

#define TITLE "sources, every byte written"
#define JEMALLOC "libjemalloc.so.2"

// ---- jemalloc beside libc's malloc. Linked it would be both: here it is loaded.

static void *(*loaded_mallocx)(size_t len, int flags);
static void (*loaded_sdallocx)(void *p, size_t len, int flags);

// The low bits of jemalloc's flags are the alignment's logarithm.
static int
flags_of(size_t align)
{
    return __builtin_ctzll(align);
}

static void *
loaded_alloc(void *ctx, size_t len, size_t align)
{
    (void)ctx;
    return loaded_mallocx(len, flags_of(align));
}

static void
loaded_free(void *ctx, void *ptr, size_t len, size_t align)
{
    (void)ctx;
    loaded_sdallocx(ptr, len, flags_of(align));
}

static const struct zcb_source loaded_source = {.alloc = loaded_alloc, .free = loaded_free};

static const struct zcb_source *
jemalloc_source(void)
{
    static void *library;

    if (zcb_source_jemalloc() != NULL)
        return zcb_source_jemalloc();
    if (library == NULL) {
        library = library_load(JEMALLOC);
        if (library == NULL || !library_find(library, "mallocx", &loaded_mallocx) ||
            !library_find(library, "sdallocx", &loaded_sdallocx)) {
            bench_skip("sources: " JEMALLOC, dlerror());
            return NULL;
        }
    }
    return &loaded_source;
}

static const struct zcb_source *
libc_source(void)
{
    if (zcb_source_jemalloc() == NULL)
        return zcb_source_libc();
    bench_skip("sources: libc", "jemalloc is linked, and its malloc is jemalloc's");
    return NULL;
}

// ---- the rows

struct from {
    struct zcb_pool *pool; // NULL: straight from the source
    const struct zcb_source *source;
    size_t size;
};

static int
get(struct from *from, struct zcb_buf **out)
{
    return from->pool != NULL ? zcb_pool_acquire(from->pool, from->size, out)
                              : zcb_buf_alloc(from->source, from->size, out);
}

static int
run_filled(void *ctx, struct bench_run *run)
{
    struct from *from = ctx;

    for (uint64_t i = 0; i < run->n; i++) {
        struct zcb_buf *buf;
        int result = get(from, &buf);

        if (result < 0)
            return result;
        memset(zcb_buf_data(buf), (int)i, from->size);
        bench_keep(zcb_buf_data(buf));
        zcb_buf_release(&buf);
    }
    return 0;
}

static int
check_filled(void *ctx)
{
    struct from *from = ctx;
    struct zcb_buf *one, *other;
    int wrong;

    if (get(from, &one) < 0)
        return 1;
    if (get(from, &other) < 0) {
        zcb_buf_release(&one);
        return 1;
    }
    bench_fill(zcb_buf_data(one), from->size, 1);
    bench_fill(zcb_buf_data(other), from->size, 2);
    wrong = !bench_is_filled(zcb_buf_data(one), from->size, 1) ||
            !bench_is_filled(zcb_buf_data(other), from->size, 2);
    zcb_buf_release(&one);
    zcb_buf_release(&other);
    return wrong;
}

// How many buffers came without an allocation of the source's.
static void
print_saved(const char *name, struct zcb_pool *pool)
{
    struct zcb_pool_stats stats;
    uint64_t acquires, allocs;

    if (zcb_pool_stats(pool, &stats, sizeof(stats)) < 0 || stats.total.acquires == 0)
        return; // not run
    acquires = stats.total.acquires;
    allocs = stats.total.slabs + stats.total.fallbacks;
    printf("  %-36s allocations saved: %" PRIu64 " of %" PRIu64 "\n", name, acquires - allocs,
           acquires);
}

enum { SOURCES = 3 };

static void
compare(const struct zcb_source *const sources[SOURCES], size_t size)
{
    static const char *const pooled[SOURCES] = {"pool on pages", "pool on libc",
                                                "pool on jemalloc"};
    static const char *const single[SOURCES] = {"no pool, pages", "no pool, libc",
                                                "no pool, jemalloc"};
    struct bench_case what = {.workload = "W4b",
                              .title = TITLE,
                              .variable = "bytes",
                              .value = (double)size,
                              .unit = "ns/buffer",
                              .bytes = (double)size,
                              .reference = bench_own_row(pooled[0])};
    struct from from[2 * SOURCES] = {{NULL}};
    struct bench_row rows[2 * SOURCES];
    size_t n = 0;

    for (int i = 0; i < SOURCES; i++) {
        struct zcb_pool_config config = {.tiers = {{.buffer_size = size}}, .source = sources[i]};

        if (sources[i] == NULL || zcb_pool_create(&config, &from[n].pool) < 0)
            continue;
        from[n].size = from[n + 1].size = size;
        from[n + 1].source = sources[i];
        rows[n] =
            (struct bench_row){bench_own_row(pooled[i]), run_filled, check_filled, &from[n], 0, 0};
        rows[n + 1] = (struct bench_row){
            bench_own_row(single[i]), run_filled, check_filled, &from[n + 1], 0, 0};
        n += 2;
    }
    bench_compare(&what, rows, n);
    for (size_t i = 0; i < n; i += 2) {
        print_saved(rows[i].name, from[i].pool);
        zcb_pool_destroy(&from[i].pool);
    }
    zcb_thread_flush();
}

void
pool_compare_sources(void)
{
    const struct zcb_source *sources[SOURCES];

    if (!bench_wanted("W4b", TITLE))
        return;
    sources[0] = zcb_source_pages();
    sources[1] = libc_source();
    sources[2] = jemalloc_source();
    compare(sources, 16384);
    compare(sources, 262144);
    compare(sources, 4194304);
}
