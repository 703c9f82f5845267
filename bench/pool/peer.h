// SPDX-License-Identifier: MIT
//
// A contender of the pool workloads. Its functions are the loops of loops.h with its acquire and
// release compiled into them.
#ifndef BENCH_POOL_PEER_H
#define BENCH_POOL_PEER_H

#include "harness.h"

#define POOL_LIVE 64    // buffers that each thread has out in the threads workload
#define POOL_BURST 4096 // buffers in a burst

// A pool of one size that is being worked on.
struct pool_bench {
    void *pool;
    size_t size;
    unsigned threads;
    void **burst; // POOL_BURST places
};

struct pool_peer {
    const char *name;
    void *(*create)(size_t size); // NULL: cannot; bench_skip has been called
    void (*destroy)(void *pool);
    int (*check)(void *bench);
    int (*pair)(void *bench, struct bench_run *run);
    int (*batch)(void *bench, struct bench_run *run); // n / 32 times 32 and 32
    int (*bulk)(void *bench,
                struct bench_run *run); // the same with the peer's calls for many; or NULL
    const char *bulk_name;              // of the row; NULL: ours
    int (*ring)(void *bench, struct bench_run *run); // NULL: not made for two threads
    int (*live)(void *bench, struct bench_run *run);
    int (*bursts)(void *bench, struct bench_run *run); // n / POOL_BURST times, every byte written
    int (*touch)(void *bench, struct bench_run *run);  // a pair with the first byte written
};

extern const struct pool_peer pool_zcbuf, pool_local, pool_queue, pool_malloc, pool_mutex,
    pool_treiber, pool_jemalloc, pool_mimalloc, pool_tcmalloc, pool_ffmpeg, pool_gstreamer,
    pool_dpdk;

// Memory sources compared: sources.c. Small pools and large ones: sizes.c.
void pool_compare_sources(void);
void pool_compare_sizes(void);

#endif
