// SPDX-License-Identifier: MIT
//
// The loops of the growth workload, for one contender. The file that includes this has defined
//
//     static int push(void *queue, const uint8_t *chunk);             CHUNK_LEN bytes, by reference
//     static int discard(void *queue, size_t len);
//     static int peek(void *queue, size_t off, uint64_t *out);        eight bytes
//     static int find(void *queue, size_t off, uint8_t byte, size_t *at);
//     static int copy(void *queue, size_t off, uint8_t *dst, size_t len);
//
// and puts CHAIN_PEER_LOOPS into its struct chain_peer. Contenders in C++ include this too.

#include <string.h>

#include "chain/peer.h"

// One chunk more at the end, one less at the front.
static int
run_queue(void *ctx, struct bench_run *run)
{
    struct chain_bench *bench = (struct chain_bench *)ctx;

    for (uint64_t i = 0; i < run->n; i++) {
        if (push(bench->queue, chain_chunk(bench->first + bench->chunks)) < 0 ||
            discard(bench->queue, CHUNK_LEN) < 0)
            return -1;
        bench->first++;
    }
    return 0;
}

static int
peek_around(struct chain_bench *bench, uint64_t n, size_t chunk)
{
    uint64_t value = 0;

    for (uint64_t i = 0; i < n; i++) {
        if (peek(bench->queue, chunk * CHUNK_LEN + i % 50, &value) < 0)
            return -1;
        bench_keep(&value);
    }
    return 0;
}

static int
run_front(void *ctx, struct bench_run *run)
{
    return peek_around((struct chain_bench *)ctx, run->n, 0);
}

static int
run_middle(void *ctx, struct bench_run *run)
{
    struct chain_bench *bench = (struct chain_bench *)ctx;

    return peek_around(bench, run->n, bench->chunks / 2);
}

static int
run_end(void *ctx, struct bench_run *run)
{
    struct chain_bench *bench = (struct chain_bench *)ctx;

    return peek_around(bench, run->n, bench->chunks - 1);
}

// Where a search starts that finds its byte at the end of the fourth chunk from there.
static size_t
find_from(const struct chain_bench *bench)
{
    size_t chunk = bench->chunks / 2;

    while ((bench->first + chunk) % 4 != 1)
        chunk--;
    return chunk * CHUNK_LEN;
}

static int
run_find(void *ctx, struct bench_run *run)
{
    struct chain_bench *bench = (struct chain_bench *)ctx;
    size_t from = find_from(bench), at;

    for (uint64_t i = 0; i < run->n; i++) {
        if (find(bench->queue, from, CHUNK_MARK, &at) < 0)
            return -1;
        bench_keep(&at);
    }
    return 0;
}

// From the middle, or from where CHUNK_COPY bytes are left.
static size_t
copy_from(const struct chain_bench *bench)
{
    size_t from = bench->chunks / 2 * CHUNK_LEN, last = bench->chunks * CHUNK_LEN - CHUNK_COPY;

    return (from < last ? from : last) + 7;
}

static int
run_copy(void *ctx, struct bench_run *run)
{
    struct chain_bench *bench = (struct chain_bench *)ctx;
    uint8_t out[CHUNK_COPY];

    for (uint64_t i = 0; i < run->n; i++) {
        if (copy(bench->queue, copy_from(bench), out, CHUNK_COPY - 7) < 0)
            return -1;
        bench_keep(out);
    }
    return 0;
}

static int
fill_chain(void *ctx)
{
    struct chain_bench *bench = (struct chain_bench *)ctx;

    for (size_t k = 0; k < bench->chunks; k++)
        if (push(bench->queue, chain_chunk(bench->first + k)) < 0)
            return -1;
    return 0;
}

// Empties the queue chunk by chunk and fills it again, n / chunks times.
static int
run_drain(void *ctx, struct bench_run *run)
{
    struct chain_bench *bench = (struct chain_bench *)ctx;

    for (uint64_t i = 0; i < run->n; i += bench->chunks) {
        for (size_t k = 0; k < bench->chunks; k++)
            if (discard(bench->queue, CHUNK_LEN) < 0)
                return -1;
        if (fill_chain(bench) < 0)
            return -1;
    }
    return 0;
}

static bool
peek_is_right(struct chain_bench *bench, size_t chunk)
{
    uint64_t value, expected;

    memcpy(&expected, chain_chunk(bench->first + chunk) + 5, 8);
    return peek(bench->queue, chunk * CHUNK_LEN + 5, &value) == 0 && value == expected;
}

static int
check_chain(void *ctx)
{
    struct chain_bench *bench = (struct chain_bench *)ctx;
    struct bench_run once = {.n = bench->chunks};
    bool right = run_drain(bench, &once) == 0;

    once.n = 3;
    right = right && run_queue(bench, &once) == 0;
    right = right && peek_is_right(bench, 0) && peek_is_right(bench, bench->chunks / 2) &&
            peek_is_right(bench, bench->chunks - 1);
    if (bench->chunks >= 10) {
        size_t at = 0, from = find_from(bench);

        right = right && find(bench->queue, from, CHUNK_MARK, &at) == 0 &&
                at == from + 4 * CHUNK_LEN - 1;
    }
    if (bench->chunks * CHUNK_LEN >= CHUNK_COPY) {
        uint8_t out[CHUNK_COPY];
        size_t from = copy_from(bench);

        right = right && copy(bench->queue, from, out, CHUNK_COPY - 7) == 0;
        for (size_t i = 0; i < CHUNK_COPY - 7; i++)
            right = right && out[i] == chain_chunk(bench->first +
                                                   (from + i) / CHUNK_LEN)[(from + i) % CHUNK_LEN];
    }
    return right ? 0 : 1;
}

#define CHAIN_PEER_LOOPS                                                                           \
    .create = create, .destroy = destroy, .fill = fill_chain,                                      \
    .work = {run_queue, run_front, run_middle, run_end, run_find, run_copy, run_drain},            \
    .check = check_chain
