// SPDX-License-Identifier: MIT
//
// The loops of the pool workloads, for one contender. The file that includes this has defined
//
//     static void *create(size_t size);              static void destroy(void *pool);
//     static inline void *get(void *pool);           one buffer, or NULL
//     static inline void put(void *pool, void *item);
//     static inline uint8_t *memory(void *item);     its bytes
//
// and puts POOL_PEER_LOOPS into its struct pool_peer. Compiled into each contender so that none
// pays for a call that its users would not make.

#include <string.h>

#include "pool/peer.h"
#include "ring.h"

enum { BATCH = 32 };

// What a thread of this contender has to do when it begins and before it ends, outside of what is
// timed; thread 0 was there before and goes on.
#ifndef POOL_THREAD_BEGINS
#define POOL_THREAD_BEGINS(number) ((void)(number))
#endif
#ifndef POOL_THREAD_ENDS
#define POOL_THREAD_ENDS(number) ((void)(number))
#endif

static int
run_pair(void *ctx, struct bench_run *run)
{
    void *pool = ((struct pool_bench *)ctx)->pool;

    for (uint64_t i = 0; i < run->n; i++) {
        void *item = get(pool);

        bench_keep(item);
        put(pool, item);
    }
    return 0;
}

static int
run_touch(void *ctx, struct bench_run *run)
{
    void *pool = ((struct pool_bench *)ctx)->pool;

    for (uint64_t i = 0; i < run->n; i++) {
        void *item = get(pool);
        uint8_t *bytes = memory(item);

        bytes[0] = (uint8_t)i;
        bench_keep(bytes);
        put(pool, item);
    }
    return 0;
}

static int
run_batch(void *ctx, struct bench_run *run)
{
    void *pool = ((struct pool_bench *)ctx)->pool;
    void *items[BATCH];

    for (uint64_t i = 0; i < run->n; i += BATCH) {
        for (int k = 0; k < BATCH; k++)
            items[k] = get(pool);
        bench_keep(items);
        for (int k = 0; k < BATCH; k++)
            put(pool, items[k]);
    }
    return 0;
}

struct pool_ring {
    struct ring ring;
    void *slot[RING_SLOTS];
    void *pool;
};

static void
ring_before(void *ctx, unsigned number)
{
    (void)ctx;
    POOL_THREAD_BEGINS(number);
}

static void
ring_body(void *ctx, unsigned number, uint64_t n)
{
    struct pool_ring *shared = ctx;

    for (uint64_t i = 0; i < n; i++) {
        if (number == 0) {
            shared->slot[ring_write(&shared->ring)] = get(shared->pool);
            ring_written(&shared->ring);
        } else {
            put(shared->pool, shared->slot[ring_read(&shared->ring)]);
            ring_was_read(&shared->ring);
        }
    }
}

static void
ring_after(void *ctx, unsigned number)
{
    (void)ctx;
    POOL_THREAD_ENDS(number);
}

static const struct bench_team ring_team = {
    .before = ring_before, .body = ring_body, .after = ring_after};

static int
run_ring(void *ctx, struct bench_run *run)
{
    static struct pool_ring shared;

    memset(&shared, 0, sizeof(shared));
    shared.pool = ((struct pool_bench *)ctx)->pool;
    shared.ring.group = BATCH;
    return bench_threads(run, 2, &ring_team, &shared);
}

// Each thread has POOL_LIVE buffers out and exchanges the oldest, n times in all.
static _Thread_local void *live_items[POOL_LIVE];

static void
live_before(void *ctx, unsigned number)
{
    POOL_THREAD_BEGINS(number);
    for (int k = 0; k < POOL_LIVE; k++)
        live_items[k] = get(((struct pool_bench *)ctx)->pool);
}

static void
live_body(void *ctx, unsigned number, uint64_t n)
{
    struct pool_bench *bench = ctx;
    void *pool = bench->pool, **items = live_items;

    (void)number;
    for (uint64_t i = 0; i < n / bench->threads; i++) {
        put(pool, items[i % POOL_LIVE]);
        items[i % POOL_LIVE] = get(pool);
        bench_keep(items);
    }
}

static void
live_after(void *ctx, unsigned number)
{
    for (int k = 0; k < POOL_LIVE; k++)
        put(((struct pool_bench *)ctx)->pool, live_items[k]);
    POOL_THREAD_ENDS(number);
}

static const struct bench_team live_team = {
    .before = live_before, .body = live_body, .after = live_after};

static int
run_live(void *ctx, struct bench_run *run)
{
    return bench_threads(run, ((struct pool_bench *)ctx)->threads, &live_team, ctx);
}

static int
run_bursts(void *ctx, struct bench_run *run)
{
    struct pool_bench *bench = ctx;

    for (uint64_t i = 0; i < run->n; i += POOL_BURST) {
        for (int k = 0; k < POOL_BURST; k++) {
            bench->burst[k] = get(bench->pool);
            memset(memory(bench->burst[k]), k, bench->size);
        }
        for (int k = 0; k < POOL_BURST; k++)
            put(bench->pool, bench->burst[k]);
    }
    return 0;
}

// Buffers that are out at the same time are separate, as long as was asked for, and keep what is
// written.
static int
check_pool(void *ctx)
{
    struct pool_bench *bench = ctx;
    void *items[POOL_LIVE];
    int wrong = 0;

    for (int round = 0; round < 2; round++) {
        for (int k = 0; k < POOL_LIVE; k++) {
            items[k] = get(bench->pool);
            if (items[k] == NULL)
                return 1;
            bench_fill(memory(items[k]), bench->size, (uint64_t)(round * POOL_LIVE + k));
        }
        for (int k = 0; k < POOL_LIVE; k++) {
            wrong |=
                !bench_is_filled(memory(items[k]), bench->size, (uint64_t)(round * POOL_LIVE + k));
            put(bench->pool, items[k]);
        }
    }
    return wrong;
}

#define POOL_PEER_LOOPS                                                                            \
    .create = create, .destroy = destroy, .check = check_pool, .pair = run_pair,                   \
    .batch = run_batch, .ring = run_ring, .live = run_live, .bursts = run_bursts,                  \
    .touch = run_touch
