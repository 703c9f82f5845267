// SPDX-License-Identifier: MIT
//
// Does an operation cost more in a large pool? All buffers but a few are out; what they hold is
// address space that nobody touches. A pair tells; buffers from anywhere have headers that are in no
// cache if there are many, and cost what it takes to fetch these.

#include <stdlib.h>

#include <zcbuf/zcbuf.h>

#include "pool/peer.h"

enum { SIZE = 65536, SPARE = 64, SIZES = 4 };

struct sized {
    struct zcb_pool *pool;
    struct zcb_buf **bufs;
    size_t count;
    uint64_t random;
};

static bool
open_sized(struct sized *sized, size_t bytes)
{
    sized->random = 1;
    sized->bufs = bench_alloc(bytes / SIZE * sizeof(sized->bufs[0]));
    if (zcb_pool_create(NULL, &sized->pool) < 0)
        return false;
    while (sized->count < bytes / SIZE &&
           zcb_pool_acquire(sized->pool, SIZE, &sized->bufs[sized->count]) == 0)
        sized->count++;
    return sized->count == bytes / SIZE;
}

static void
close_sized(struct sized *sized)
{
    zcb_buf_release_n(sized->bufs, sized->count);
    free(sized->bufs);
    zcb_pool_destroy(&sized->pool);
    zcb_thread_flush();
}

static int
run_pair(void *ctx, struct bench_run *run)
{
    struct sized *sized = ctx;

    for (uint64_t i = 0; i < run->n; i++) {
        zcb_buf_release(&sized->bufs[0]);
        if (zcb_pool_acquire(sized->pool, SIZE, &sized->bufs[0]) < 0)
            return -1;
    }
    return 0;
}

// SPARE of them from anywhere, and as many again: by way of the depot.
static int
run_anywhere(void *ctx, struct bench_run *run)
{
    struct sized *sized = ctx;
    size_t places[SPARE];

    for (uint64_t i = 0; i < run->n; i += SPARE) {
        for (size_t k = 0; k < SPARE; k++) {
            places[k] = bench_random(&sized->random) % sized->count;
            zcb_buf_release(&sized->bufs[places[k]]);
        }
        for (size_t k = 0; k < SPARE; k++)
            if (sized->bufs[places[k]] == NULL &&
                zcb_pool_acquire(sized->pool, SIZE, &sized->bufs[places[k]]) < 0)
                return -1;
    }
    return 0;
}

// All of them are out, and none twice.
static int
check(void *ctx)
{
    struct sized *sized = ctx;
    struct bench_run run = {.n = SPARE};
    struct zcb_pool_stats stats;

    if (run_pair(sized, &run) < 0 || run_anywhere(sized, &run) < 0 ||
        zcb_pool_stats(sized->pool, &stats, sizeof(stats)) < 0)
        return 1;
    return stats.total.live != sized->count;
}

void
pool_compare_sizes(void)
{
    static const struct {
        size_t bytes;
        const char *name;
    } sizes[SIZES] = {{(size_t)10 << 20, "10 MiB"},
                      {(size_t)100 << 20, "100 MiB"},
                      {(size_t)1 << 30, "1 GiB"},
                      {(size_t)10 << 30, "10 GiB"}};
    struct bench_case what = {
        .workload = "W2", .variable = "bytes", .unit = "ns/pair", .multiple = SPARE};
    static const char *const titles[] = {"a pair in a large pool",
                                         "64 from anywhere in a large pool"};
    struct sized sized[SIZES] = {{0}};
    struct bench_row rows[SIZES];

    if (!bench_wanted("W2", titles[0]) && !bench_wanted("W2", titles[1]))
        return;
    for (int i = 0; i < SIZES; i++) {
        rows[i] = (struct bench_row){.name = bench_own_row(sizes[i].name),
                                     .check = check,
                                     .ctx = &sized[i],
                                     .value = (double)sizes[i].bytes};
        if (!open_sized(&sized[i], sizes[i].bytes))
            bench_skip(rows[i].name, "no memory");
    }
    what.reference = rows[0].name;
    for (int t = 0; t < 2; t++) {
        what.title = titles[t];
        for (int i = 0; i < SIZES; i++)
            rows[i].work = sized[i].count != sizes[i].bytes / SIZE ? NULL
                           : t == 0                                ? run_pair
                                                                   : run_anywhere;
        if (bench_wanted(what.workload, what.title))
            bench_compare(&what, rows, SIZES);
    }
    for (int i = 0; i < SIZES; i++)
        close_sized(&sized[i]);
}
