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
    uint64_t small_sum; // of the numbers in small messages, since it began
};

struct wire_peer {
    const char *name;
    void *(*create)(struct wire_stream *stream);
    void (*destroy)(void *state);
    // Run the whole stream, n times. feed: packets are in memory and come by reference where the
    // contender can do that. receive: bytes are written into the contender's memory first, as
    // recv() would do it. NULL: not for this one.
    int (*feed)(void *bench, struct bench_run *run);
    int (*receive)(void *bench, struct bench_run *run);
    int (*check_feed)(void *bench);
    int (*check_receive)(void *bench);
};

extern const struct wire_peer wire_copy, wire_early, wire_zcbuf, wire_zcbuf_early,
    wire_zcbuf_torrent, wire_naive, wire_linear, wire_flat, wire_evbuffer_reference,
    wire_evbuffer_copy, wire_gbytearray, wire_gstadapter, wire_apr, wire_grpc, wire_avfifo,
    wire_asio, wire_cord;

// For check_feed and check_receive: does the work once and looks at the result.
static inline int
wire_check(struct wire_bench *bench, int (*work)(void *bench, struct bench_run *run))
{
    struct bench_run once = {.n = 1};
    bool right;

    bench->small_sum = 0;
    wire_stream_arrived(bench->stream); // clears
    if (work(bench, &once) < 0)
        return 1;
    right = wire_stream_arrived(bench->stream) && bench->small_sum == bench->stream->small_sum;
    return right ? 0 : 1;
}

#endif
