// SPDX-License-Identifier: MIT
//
// The loops of the shared packet workloads, for one contender. The file that includes this has
// defined
//
//     struct handle { ... };                                        one reference
//     static void *create(void);  static void destroy(void *pool);  what packets are made from
//     static inline bool make(void *pool, struct handle *out);      PACKET_LEN bytes
//     static inline void ref(struct handle *from, struct handle *out);
//     static inline void slice(struct handle *from, size_t off, size_t len, struct handle *out);
//     static inline void drop(struct handle *handle);
//     static inline uint8_t *bytes(struct handle *handle);          to write, before it is shared
//     static inline const uint8_t *view(struct handle *handle);
//
// and puts PACKET_PEER_LOOPS into its struct packet_peer. PACKET_ONE_THREAD: it is not made for two
// threads.

#include <string.h>

#include "packet/peer.h"
#include "ring.h"

// What a thread of this contender has to do when it begins and before it ends, outside of what is
// timed; thread 0 was there before and goes on.
#ifndef PACKET_THREAD_BEGINS
#define PACKET_THREAD_BEGINS(number) ((void)(number))
#endif
#ifndef PACKET_THREAD_ENDS
#define PACKET_THREAD_ENDS(number) ((void)(number))
#endif

static inline void
live(void *pool, int refs)
{
    struct handle handles[PACKET_FAN + 1];

    if (!make(pool, &handles[0]))
        return;
    for (int k = 1; k <= refs; k++)
        ref(&handles[0], &handles[k]);
    bench_keep(handles);
    for (int k = 0; k <= refs; k++)
        drop(&handles[k]);
}

static int
run_one(void *ctx, struct bench_run *run)
{
    for (uint64_t i = 0; i < run->n; i++)
        live(ctx, 1);
    return 0;
}

static int
run_four(void *ctx, struct bench_run *run)
{
    for (uint64_t i = 0; i < run->n; i++)
        live(ctx, 4);
    return 0;
}

static int
run_many(void *ctx, struct bench_run *run)
{
    for (uint64_t i = 0; i < run->n; i++)
        live(ctx, PACKET_FAN);
    return 0;
}

static int
run_slices(void *ctx, struct bench_run *run)
{
    struct handle handles[PACKET_FAN + 1];

    for (uint64_t i = 0; i < run->n; i++) {
        if (!make(ctx, &handles[0]))
            return -1;
        for (int k = 1; k <= PACKET_FAN; k++)
            slice(&handles[0], (size_t)k * 64, 64, &handles[k]);
        bench_keep(handles);
        for (int k = 0; k <= PACKET_FAN; k++)
            drop(&handles[k]);
    }
    return 0;
}

static int
run_slice(void *ctx, struct bench_run *run)
{
    struct handle whole, part;

    if (!make(ctx, &whole))
        return -1;
    for (uint64_t i = 0; i < run->n; i++) {
        slice(&whole, i % 1024, 64, &part);
        bench_keep(&part);
        drop(&part);
    }
    drop(&whole);
    return 0;
}

#ifndef PACKET_ONE_THREAD
static void
thread_begins(void *ctx, unsigned number)
{
    (void)ctx;
    PACKET_THREAD_BEGINS(number);
}

static void
thread_ends(void *ctx, unsigned number)
{
    (void)ctx;
    PACKET_THREAD_ENDS(number);
}

static void
both_body(void *ctx, unsigned number, uint64_t n)
{
    struct handle own = ((struct handle *)ctx)[number], part;

    for (uint64_t i = 0; i < n / 2; i++) {
        ref(&own, &part);
        bench_keep(&part);
        drop(&part);
    }
}

static const struct bench_team both_team = {
    .before = thread_begins, .body = both_body, .after = thread_ends};

// Each has a reference of its own: some contenders count without atomics while there is but one.
static int
run_both(void *ctx, struct bench_run *run)
{
    struct handle owns[2];
    int result;

    if (!make(ctx, &owns[0]))
        return -1;
    ref(&owns[0], &owns[1]);
    result = bench_threads(run, 2, &both_team, owns);
    drop(&owns[1]);
    drop(&owns[0]);
    return result;
}

struct crossing {
    struct ring ring;
    struct handle slot[RING_SLOTS];
    void *pool;
};

static void
cross_body(void *ctx, unsigned number, uint64_t n)
{
    struct crossing *shared = ctx;

    for (uint64_t i = 0; i < n; i++) {
        if (number == 0) {
            if (make(shared->pool, &shared->slot[ring_write(&shared->ring)]))
                ring_written(&shared->ring);
        } else {
            drop(&shared->slot[ring_read(&shared->ring)]);
            ring_was_read(&shared->ring);
        }
    }
}

static const struct bench_team cross_team = {
    .before = thread_begins, .body = cross_body, .after = thread_ends};

static int
run_cross(void *ctx, struct bench_run *run)
{
    static struct crossing shared;

    memset(&shared, 0, sizeof(shared));
    shared.pool = ctx;
    shared.ring.group = 1;
    return bench_threads(run, 2, &cross_team, &shared);
}
#define PACKET_PEER_PAIRS .both = run_both, .cross = run_cross
#else
#define PACKET_PEER_PAIRS .both = NULL, .cross = NULL
#endif

// References and slices see what was written, after the packet's own handle is gone too.
static int
check_packets(void *ctx)
{
    uint8_t expected[PACKET_LEN];
    struct handle handles[3];
    int wrong = 0;

    bench_fill(expected, sizeof(expected), 7);
    if (!make(ctx, &handles[0]))
        return 1;
    memcpy(bytes(&handles[0]), expected, PACKET_LEN);
    ref(&handles[0], &handles[1]);
    slice(&handles[0], 100, 64, &handles[2]);
    drop(&handles[0]);
    wrong |= memcmp(view(&handles[1]), expected, PACKET_LEN) != 0;
    drop(&handles[1]);
    wrong |= memcmp(view(&handles[2]), expected + 100, 64) != 0;
    drop(&handles[2]);
    return wrong;
}

#define PACKET_PEER_LOOPS                                                                          \
    .create = create, .destroy = destroy, .check = check_packets, .one = run_one,                  \
    .four = run_four, .many = run_many, .slices = run_slices, .slice = run_slice,                  \
    PACKET_PEER_PAIRS
