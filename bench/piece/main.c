// SPDX-License-Identifier: MIT
//
// W4b: a piece from its blocks, in the order of one peer or of many. Blocks come from a socket's
// buffer: each way pays for the copy out of that, which recv() makes, and for what it moves after
// that.

#include <stdlib.h>
#include <string.h>

#include <zcbuf/zcbuf.h>

#include "harness.h"

enum { BLOCK = 16384, BLOCKS_MAX = 256, SOURCES = 8 };

struct assembly {
    uint32_t blocks;
    uint32_t order[BLOCKS_MAX];
    const uint8_t *from[BLOCKS_MAX]; // the bytes of a block, as they lie in a socket's buffer
    uint8_t received[BLOCK];         // where recv() puts what has no better place
    bool compare;                    // for check: what was assembled, and whether
    bool right;                      // it is right
    struct zcb_pool *pool;
    uint8_t *place; // the limit's
};

static uint8_t *wire; // SOURCES blocks: a socket's buffer stays in cache

// What recv() does.
static inline void
arrive(const struct assembly *a, uint32_t block, uint8_t *to)
{
    memcpy(to, a->from[block], BLOCK);
}

static void
finish(struct assembly *a, const uint8_t *piece)
{
    bench_keep(piece);
    if (!a->compare)
        return;
    a->right = true;
    for (uint32_t b = 0; b < a->blocks; b++)
        a->right = a->right && memcmp(piece + (size_t)b * BLOCK, a->from[b], BLOCK) == 0;
}

// ---- the limit: received in place, nothing noted

static int
run_limit(void *ctx, struct bench_run *run)
{
    struct assembly *a = ctx;

    for (uint64_t n = 0; n < run->n; n++) {
        for (uint32_t i = 0; i < a->blocks; i++)
            arrive(a, a->order[i], a->place + (size_t)a->order[i] * BLOCK);
        finish(a, a->place);
    }
    return 0;
}

// ---- a map of blocks, put together when all are there: how it was before

struct node {
    struct node *next;
    uint32_t block;
    uint8_t *bytes;
};

enum { BUCKETS = 64 };

static int
map_put(struct node **buckets, const struct assembly *a, uint32_t block)
{
    struct node *node = malloc(sizeof(*node));

    if (node == NULL)
        return -1;
    node->bytes = malloc(BLOCK);
    if (node->bytes == NULL) {
        free(node);
        return -1;
    }
    arrive(a, block, node->bytes);
    node->block = block;
    node->next = buckets[block % BUCKETS];
    buckets[block % BUCKETS] = node;
    return 0;
}

static uint8_t *
map_assemble(struct node **buckets, uint32_t blocks)
{
    uint8_t *piece = malloc((size_t)blocks * BLOCK);

    for (uint32_t b = 0; b < blocks && piece != NULL; b++) {
        struct node **at = &buckets[b % BUCKETS], *node;

        while ((*at)->block != b)
            at = &(*at)->next;
        node = *at;
        memcpy(piece + (size_t)b * BLOCK, node->bytes, BLOCK);
        *at = node->next;
        free(node->bytes);
        free(node);
    }
    return piece;
}

static int
run_map(void *ctx, struct bench_run *run)
{
    struct assembly *a = ctx;

    for (uint64_t n = 0; n < run->n; n++) {
        struct node *buckets[BUCKETS] = {NULL};
        uint8_t *piece;

        for (uint32_t i = 0; i < a->blocks; i++)
            if (map_put(buckets, a, a->order[i]) < 0)
                return -1;
        piece = map_assemble(buckets, a->blocks);
        if (piece == NULL)
            return -1;
        finish(a, piece);
        free(piece);
    }
    return 0;
}

// ---- struct zcb_piece

static int
complete(struct assembly *a, struct zcb_piece **piece)
{
    struct zcb_packet packet;
    int result = zcb_piece_take(piece, &packet);

    if (result < 0)
        return result;
    finish(a, packet.data);
    zcb_packet_unref(&packet);
    return 0;
}

static int
run_write(void *ctx, struct bench_run *run)
{
    struct assembly *a = ctx;
    int result = 0;

    for (uint64_t n = 0; n < run->n && result == 0; n++) {
        struct zcb_piece *piece;

        result = zcb_piece_create(a->pool, (size_t)a->blocks * BLOCK, NULL, &piece);
        if (result < 0)
            return result;
        for (uint32_t i = 0; i < a->blocks && result == 0; i++) {
            arrive(a, a->order[i], a->received);
            result = zcb_piece_write(piece, a->order[i], a->received, BLOCK, i % 8);
        }
        if (result == 0)
            result = complete(a, &piece);
        zcb_piece_destroy(&piece);
    }
    return result;
}

static int
run_in_place(void *ctx, struct bench_run *run)
{
    struct assembly *a = ctx;
    int result = 0;

    for (uint64_t n = 0; n < run->n && result == 0; n++) {
        struct zcb_piece *piece;

        result = zcb_piece_create(a->pool, (size_t)a->blocks * BLOCK, NULL, &piece);
        if (result < 0)
            return result;
        for (uint32_t i = 0; i < a->blocks && result == 0; i++) {
            struct iovec space;

            result = zcb_piece_reserve_block(piece, a->order[i], i % 8, &space);
            if (result < 0)
                break;
            arrive(a, a->order[i], space.iov_base);
            result = zcb_piece_commit_block(piece, a->order[i], i % 8);
        }
        if (result == 0)
            result = complete(a, &piece);
        zcb_piece_destroy(&piece);
    }
    return result;
}

// ---- rows

static int
check(struct assembly *a, int (*work)(void *ctx, struct bench_run *run))
{
    struct bench_run once = {.n = 1};
    int result;

    a->compare = true;
    a->right = false;
    memset(a->place, 0, (size_t)a->blocks * BLOCK);
    result = work(a, &once);
    a->compare = false;
    return result < 0 || !a->right;
}

static int
check_limit(void *ctx)
{
    return check(ctx, run_limit);
}

static int
check_map(void *ctx)
{
    return check(ctx, run_map);
}

static int
check_write(void *ctx)
{
    return check(ctx, run_write);
}

static int
check_in_place(void *ctx)
{
    return check(ctx, run_in_place);
}

static void
plan(struct assembly *a, uint32_t blocks, bool many_peers)
{
    uint64_t random = 99;

    a->blocks = blocks;
    for (uint32_t b = 0; b < blocks; b++) {
        a->order[b] = b;
        a->from[b] = wire + (size_t)(b % SOURCES) * BLOCK;
    }
    for (uint32_t b = blocks; many_peers && b > 1; b--) { // eight peers answer in their own time
        uint32_t other = (uint32_t)(bench_random(&random) % b), swap = a->order[b - 1];

        a->order[b - 1] = a->order[other];
        a->order[other] = swap;
    }
}

int
main(int argc, char **argv)
{
    static const uint32_t blocks[] = {16, 64, 256};
    static const char *const titles[] = {"assembly, one peer", "assembly, many peers"};
    static struct assembly assembly;
    struct bench_row rows[] = {
        {bench_own_row("written"), run_write, check_write, &assembly, 0, 0},
        {bench_own_row("received in place"), run_in_place, check_in_place, &assembly, 0, 0},
        {"received in place, unchecked (limit)", run_limit, check_limit, &assembly, 0, 0},
        {"map of blocks, assembled at the end", run_map, check_map, &assembly, 0, 0},
    };
    int result = bench_start(argc, argv, "piece", "W4b: a piece from its blocks");

    if (result < 0)
        return -1 - result;
    wire = bench_alloc((size_t)SOURCES * BLOCK);
    bench_fill(wire, (size_t)SOURCES * BLOCK, 5);
    assembly.place = bench_alloc((size_t)BLOCKS_MAX * BLOCK);
    for (int i = 0; i < 6; i++) {
        uint32_t n = blocks[i / 2];
        struct zcb_pool_config config = {.tiers = {{.buffer_size = (size_t)n * BLOCK}}};
        struct bench_case what = {.workload = "W4b",
                                  .title = titles[i % 2],
                                  .variable = "piece bytes",
                                  .value = (double)n * BLOCK,
                                  .unit = "ns/block",
                                  .units = n,
                                  .reference = "received in place, unchecked (limit)"};

        if (zcb_pool_create(&config, &assembly.pool) < 0)
            return 1;
        plan(&assembly, n, i % 2 == 1);
        bench_compare(&what, rows, sizeof(rows) / sizeof(rows[0]));
        zcb_pool_destroy(&assembly.pool);
        zcb_thread_flush();
    }
    free(assembly.place);
    free(wire);
    return bench_finish();
}
