// SPDX-License-Identifier: MIT
//
// A contender of the torrent wire workload.
#ifndef BENCH_WIRE_PEER_H
#define BENCH_WIRE_PEER_H

#include "harness.h"
#include "wire/stream.h"

// A contender at work on a stream.
struct wire_bench {
    void *state; // of create()
    struct wire_stream *stream;
    int (*work)(void *bench, struct bench_run *run); // feed or receive
    uint64_t small_sum; // of the numbers in small messages, since it began
};

struct wire_peer {
    const char *name; // of the library's own: what is to stand behind the library's name
    bool own;
    void *(*create)(struct wire_stream *stream);
    void (*destroy)(void *state);
    // Run the whole stream, n times. feed: packets are in memory and come by reference where the
    // contender can do that. receive: bytes are written into the contender's memory first, as
    // recv() would do it. NULL: not for this one.
    int (*feed)(void *bench, struct bench_run *run);
    int (*receive)(void *bench, struct bench_run *run);
};

extern const struct wire_peer wire_copy, wire_early, wire_zcbuf, wire_zcbuf_early,
    wire_zcbuf_torrent, wire_zcbuf_torrent_direct, wire_naive, wire_linear, wire_flat,
    wire_evbuffer_reference, wire_evbuffer_copy, wire_gbytearray, wire_gstadapter, wire_apr,
    wire_grpc, wire_avfifo, wire_asio, wire_cord;

// The rounds of a contender that takes one packet after the other.
static inline int
wire_packets(struct wire_bench *bench, uint64_t rounds,
             int (*packet)(struct wire_bench *bench, size_t number))
{
    size_t count = bench->stream->count;

    for (; rounds != 0; rounds--)
        for (size_t i = 0; i < count; i++)
            if (packet(bench, i) < 0)
                return -1;
    return 0;
}

// Does the work once and looks at the result.
static inline int
wire_check(void *ctx)
{
    struct wire_bench *bench = (struct wire_bench *)ctx;
    struct bench_run once = {.n = 1};
    bool right;

    bench->small_sum = 0;
    wire_stream_arrived(bench->stream); // clears
    if (bench->work(bench, &once) < 0)
        return 1;
    right = wire_stream_arrived(bench->stream) && bench->small_sum == bench->stream->small_sum;
    return right ? 0 : 1;
}

#endif
