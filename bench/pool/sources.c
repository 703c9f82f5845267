// SPDX-License-Identifier: MIT
//
// W4b: where memory comes from, above 10 KB: a pool on each source, and each source without a pool.
// Every byte is written.

#include <stdio.h>
#include <string.h>

#include <zcbuf/zcbuf.h>

#include "pool/peer.h"

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

enum { SOURCES = 3 };

static void
compare(size_t size)
{
    const struct zcb_source *const sources[SOURCES] = {zcb_source_pages(), zcb_source_libc(),
                                                       zcb_source_jemalloc()};
    static const char *const pooled[SOURCES] = {"pool on pages", "pool on libc",
                                                "pool on jemalloc"};
    static const char *const single[SOURCES] = {"no pool, pages", "no pool, libc",
                                                "no pool, jemalloc"};
    struct bench_case what = {.workload = "W4b",
                              .title = "sources, every byte written",
                              .variable = "bytes",
                              .value = (double)size,
                              .unit = "ns/buffer",
                              .reference = bench_own_row(pooled[0])};
    struct from from[2 * SOURCES] = {{NULL}};
    struct bench_row rows[2 * SOURCES];
    size_t n = 0;

    for (int i = 0; i < SOURCES; i++) {
        struct zcb_pool_config config = {.tiers = {{.buffer_size = size}}, .source = sources[i]};

        if (sources[i] == NULL || zcb_pool_create(&config, &from[n].pool) < 0)
            continue; // not built in
        from[n].size = from[n + 1].size = size;
        from[n + 1].source = sources[i];
        rows[n] =
            (struct bench_row){bench_own_row(pooled[i]), run_filled, check_filled, &from[n], 0, 0};
        rows[n + 1] = (struct bench_row){
            bench_own_row(single[i]), run_filled, check_filled, &from[n + 1], 0, 0};
        n += 2;
    }
    bench_compare(&what, rows, n);
    for (size_t i = 0; i < n; i += 2)
        zcb_pool_destroy(&from[i].pool);
    zcb_thread_flush();
}

void
pool_compare_sources(void)
{
    compare(16384);
    compare(262144);
    compare(4194304);
}
