// SPDX-License-Identifier: MIT
//
// W4: does a long chain cost more than a short one? One row per length; the reference is ten
// chunks.

#include "chain/peer.h"

#include <stdio.h>
#include <stdlib.h>

uint8_t *chain_memory;

static const struct chain_peer *const peers[] = {
    &chain_zcbuf,
#if BENCH_HAVE_LIBEVENT
    &chain_evbuffer,
#endif
#if BENCH_HAVE_GSTREAMER_BASE
    &chain_gstadapter,
#endif
#if BENCH_HAVE_APR
    &chain_apr,
#endif
#if BENCH_HAVE_GRPC
    &chain_grpc,
#endif
#if BENCH_HAVE_CORD
    &chain_cord,
#endif
};

static const size_t lengths[] = {1, 10, 100, 1000, 10000, 100000, 1000000};

enum { PEERS = sizeof(peers) / sizeof(peers[0]), LENGTHS = sizeof(lengths) / sizeof(lengths[0]) };

static const struct {
    const char *title;
    const char *unit;
    size_t chunks_min;
} ops[CHAIN_OPS] = {
    [CHAIN_QUEUE] = {"push and discard", "ns/chunk", 1},
    [CHAIN_FRONT] = {"peek at the front", "ns/peek", 1},
    [CHAIN_MIDDLE] = {"peek in the middle", "ns/peek", 1},
    [CHAIN_END] = {"peek at the end", "ns/peek", 1},
    [CHAIN_FIND] = {"find in the middle, 256 bytes on", "ns/find", 10},
    [CHAIN_COPY] = {"copy_to of 1 KiB in the middle", "ns/copy", 100},
    [CHAIN_DRAIN] = {"drain and fill", "ns/chunk", 1},
};

static struct chain_bench benches[PEERS][LENGTHS];
static char names[PEERS][LENGTHS][48];

static void
make_memory(void)
{
    chain_memory = bench_alloc(CHUNK_SLOTS * CHUNK_STRIDE);
    bench_fill(chain_memory, CHUNK_SLOTS * CHUNK_STRIDE, 3);
    for (size_t i = 0; i < CHUNK_SLOTS * CHUNK_STRIDE; i++)
        if (chain_memory[i] == CHUNK_MARK)
            chain_memory[i] = 0;
    for (size_t i = 0; i < CHUNK_SLOTS; i += 4)
        chain_memory[i * CHUNK_STRIDE + CHUNK_LEN - 1] = CHUNK_MARK;
}

// Full queues of one length of all contenders.
static void
open_queues(size_t l)
{
    for (int p = 0; p < PEERS; p++) {
        struct chain_bench *bench = &benches[p][l];

        *bench = (struct chain_bench){.chunks = lengths[l]};
        if (lengths[l] > peers[p]->chunks_max)
            continue;
        bench->queue = peers[p]->create();
        if (bench->queue != NULL && peers[p]->fill(bench) < 0) {
            fprintf(stderr, "%s cannot hold %zu chunks\n", peers[p]->name, lengths[l]);
            exit(1);
        }
        snprintf(names[p][l], sizeof(names[p][l]), "%s, %zu chunks", peers[p]->name, lengths[l]);
    }
}

static void
compare(enum chain_op op)
{
    static char reference[48];
    struct bench_case what = {.workload = "W4",
                              .title = ops[op].title,
                              .variable = "chunks",
                              .value = 10,
                              .unit = ops[op].unit,
                              .reference = reference};
    struct bench_row rows[PEERS * LENGTHS];
    size_t n = 0;

    snprintf(reference, sizeof(reference), "%s, %zu chunks", bench_own,
             lengths[ops[op].chunks_min <= 10 ? 1 : 2]);
    if (ops[op].chunks_min > 10)
        what.value = (double)ops[op].chunks_min;
    for (int p = 0; p < PEERS; p++)
        for (int l = 0; l < LENGTHS; l++)
            if (benches[p][l].queue != NULL && lengths[l] >= ops[op].chunks_min)
                rows[n++] = (struct bench_row){
                    names[p][l],    peers[p]->work[op], peers[p]->check,
                    &benches[p][l], (double)lengths[l], op == CHAIN_DRAIN ? lengths[l] : 1};
    bench_compare(&what, rows, n);
}

int
main(int argc, char **argv)
{
    int result =
        bench_start(argc, argv, "chain", "W4: does a long chain cost more than a short one?");

    if (result < 0)
        return -1 - result;
    make_memory();
    for (size_t l = 0; l < LENGTHS; l++)
        open_queues(l);
    for (int op = 0; op < CHAIN_OPS; op++)
        compare((enum chain_op)op);
    for (int p = 0; p < PEERS; p++)
        for (int l = 0; l < LENGTHS; l++)
            if (benches[p][l].queue != NULL)
                peers[p]->destroy(benches[p][l].queue);
    free(chain_memory);
    return bench_finish();
}
