// SPDX-License-Identifier: MIT
//
// A contender of the growth workload: a queue of chunks of 64 bytes that do not lie side by side.
#ifndef BENCH_CHAIN_PEER_H
#define BENCH_CHAIN_PEER_H

#include "harness.h"

#define CHUNK_LEN 64
#define CHUNK_STRIDE 128
#define CHUNK_SLOTS 4096 // chunk i is slot i % CHUNK_SLOTS of the memory
#define CHUNK_MARK 0xff  // the last byte of every fourth chunk, and nowhere else
#define CHUNK_COPY 1024  // bytes copied at once

enum chain_op {
    CHAIN_QUEUE,
    CHAIN_FRONT,
    CHAIN_MIDDLE,
    CHAIN_END,
    CHAIN_FIND,
    CHAIN_COPY,
    CHAIN_DRAIN,
    CHAIN_OPS
};

// A queue that is being worked on. In steady state `chunks` are in it, and the first is number
// `first`.
struct chain_bench {
    void *queue;
    size_t chunks;
    uint64_t first;
};

struct chain_peer {
    const char *name;
    size_t chunks_max; // longer queues take it too long
    void *(*create)(void);
    void (*destroy)(void *queue);
    int (*fill)(void *bench); // an empty queue, with `chunks`
    int (*work[CHAIN_OPS])(void *bench, struct bench_run *run);
    int (*check)(void *bench);
};

extern const struct chain_peer chain_zcbuf, chain_evbuffer, chain_gstadapter, chain_apr, chain_grpc,
    chain_cord;

// CHUNK_SLOTS * CHUNK_STRIDE bytes.
extern uint8_t *chain_memory;

static inline const uint8_t *
chain_chunk(uint64_t number)
{
    return chain_memory + number % CHUNK_SLOTS * CHUNK_STRIDE;
}

#endif
