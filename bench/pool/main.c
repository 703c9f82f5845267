// SPDX-License-Identifier: MIT
//
// W2: pools. What does a buffer cost, in and out?

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/peer.h"

#define LIMIT "thread-local stack (limit)"
#define QUEUE "the queue alone (limit)"

static const struct pool_peer *const peers[] = {
    &pool_zcbuf,     &pool_local,    &pool_queue,    &pool_mutex,    &pool_treiber,
    &pool_malloc,    &pool_jemalloc, &pool_mimalloc, &pool_tcmalloc,
#if BENCH_HAVE_FFMPEG
    &pool_ffmpeg,
#endif
#if BENCH_HAVE_GSTREAMER
    &pool_gstreamer,
#endif
#if BENCH_HAVE_DPDK
    &pool_dpdk,
#endif
};

enum { PEERS = sizeof(peers) / sizeof(peers[0]) };

static struct pool_bench benches[PEERS];
static void *burst[POOL_BURST];

static void
open_pools(size_t size, unsigned threads)
{
    for (int i = 0; i < PEERS; i++)
        benches[i] = (struct pool_bench){peers[i]->create(size), size, threads, burst};
}

static void
close_pools(void)
{
    for (int i = 0; i < PEERS; i++)
        if (benches[i].pool != NULL)
            peers[i]->destroy(benches[i].pool);
}

enum kind { PAIR, TOUCH, BATCH, RING, LIVE, BURST };

static struct bench_row
row_of(int i, enum kind kind)
{
    const struct pool_peer *peer = peers[i];
    struct bench_row row = {.name = peer->name, .check = peer->check, .ctx = &benches[i]};

    switch (kind) {
    case PAIR:
        row.work = peer->pair;
        break;
    case TOUCH:
        row.work = peer->touch;
        break;
    case BATCH:
        row.work = peer->batch;
        break;
    case RING:
        // On a thread's own stack buffers would pile up at one side.
        row.work = peer != &pool_local ? peer->ring : NULL;
        break;
    case LIVE:
        row.work = peer->live;
        break;
    case BURST:
        row.work = peer->bursts;
        break;
    }
    if (peer == &pool_queue) {
        row.check = NULL; // it has but one buffer
        if (kind != RING)
            row.work = NULL;
    }
    if (benches[i].pool == NULL)
        row.work = NULL;
    return row;
}

static void
compare(const struct bench_case *what, enum kind kind, size_t size, unsigned threads)
{
    struct bench_row rows[2 * PEERS];
    size_t n = 0;

    if (!bench_wanted(what->workload, what->title))
        return;
    open_pools(size, threads);
    for (int i = 0; i < PEERS; i++) {
        rows[n++] = row_of(i, kind);
        if (kind == BATCH && peers[i]->bulk != NULL && benches[i].pool != NULL) {
            rows[n] = row_of(i, kind);
            rows[n].work = peers[i]->bulk;
            rows[n++].name =
                peers[i]->bulk_name != NULL ? peers[i]->bulk_name : bench_own_row("bulk calls");
        }
    }
    bench_compare(what, rows, n);
    close_pools();
}

// Some allocators need more thread-local storage than the loader keeps for libraries that are
// loaded late; how much that is can only be said when a process starts.
static void
allow_late_tls(char **argv)
{
    if (getenv("GLIBC_TUNABLES") != NULL)
        return;
    setenv("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=65536", 1);
    execv("/proc/self/exe", argv);
}

int
main(int argc, char **argv)
{
    static const size_t sizes[] = {4096, 16384, 65536};
    static const unsigned threads[] = {1, 2, 4, 8};
    int result;

    allow_late_tls(argv);
    result = bench_start(argc, argv, "pool", "W2: pools: what does a buffer cost, in and out?");
    if (result < 0)
        return -1 - result;
    bench_be_threaded();
    for (int i = 0; i < 3; i++) {
        struct bench_case what = {.workload = "W2",
                                  .variable = "bytes",
                                  .value = (double)sizes[i],
                                  .unit = "ns/pair",
                                  .reference = LIMIT};

        what.title = "pair";
        compare(&what, PAIR, sizes[i], 1);
        what.title = "pair, first line written";
        compare(&what, TOUCH, sizes[i], 1);
        what.title = "32 then 32";
        what.multiple = 32;
        compare(&what, BATCH, sizes[i], 1);
        what.title = "acquire in A, release in B";
        what.batch_ms = 1;
        what.reference = QUEUE;
        compare(&what, RING, sizes[i], 2);
    }
    for (int i = 0; i < 4; i++) {
        struct bench_case what = {.workload = "W2",
                                  .title = "64 live in each thread",
                                  .variable = "threads",
                                  .value = threads[i],
                                  .unit = "ns/pair",
                                  .reference = LIMIT,
                                  .batch_ms = 1,
                                  .multiple = 8 * POOL_LIVE};

        compare(&what, LIVE, 4096, threads[i]);
    }
    struct bench_case what = {.workload = "W2",
                              .title = "burst of 4096, all written",
                              .variable = "bytes",
                              .value = 65536,
                              .unit = "us/buffer",
                              .scale = 1000,
                              .reference = LIMIT,
                              .multiple = POOL_BURST,
                              .cold = true};

    compare(&what, BURST, 65536, 1);
    pool_compare_sizes();
    pool_compare_sources();
    return bench_finish();
}
