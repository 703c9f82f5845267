// SPDX-License-Identifier: MIT
//
// Ways to receive: what each brings, and where they are.
#ifndef BENCH_NET_ENGINE_H
#define BENCH_NET_ENGINE_H

#include "net/traffic.h"

enum {
    ENGINE_BATCH = 64, // messages for one system call
};

struct sock_fprog; // linux/filter.h

struct engine_setup {
    int fd;     // a bound socket; of rings: one that nobody reads
    size_t len; // of a datagram
    // Of rings: leaves out what other rows are sent.
    const struct sock_fprog *filter;
};

// The longest datagram that a receiver of such ones is ready for: what fits a usual frame, a jumbo
// frame, or what there is.
static inline size_t
engine_longest(size_t len)
{
    return len <= 2048 ? 2048 : len <= 9018 ? 9018 : 65527;
}

struct engine {
    const char *name; // of ours: what is special
    int (*open)(const struct engine *self, const struct engine_setup *setup, void **state);
    // Receives some of what is there; waits for the first where there is none and `wait`. Returns
    // how many, or a negative errno.
    int (*take)(void *state, struct sink *sink, bool wait);
    void (*close)(void *state);
    bool own;       // this library's
    bool train;     // takes datagrams that the sender has joined
    bool ring;      // listens to the interface: what comes is ready some time later
    unsigned how;   // for itself
    unsigned batch; // messages for one system call. 0: ENGINE_BATCH
};

// A frame of Ethernet, IPv4 without options and UDP, as `lo` has it: a look at its type, and at what
// it carries.
static inline void
engine_take_frame(struct sink *sink, const uint8_t *frame, size_t len)
{
    enum { HEADERS = 14 + 20 + 8 };

    if (len < HEADERS || frame[12] != 8 || frame[13] != 0)
        sink->wrong = true;
    else
        sink_take(sink, frame + HEADERS, len - HEADERS);
}

// What the kernel offers, with nothing around it.
extern const struct engine engine_recvfrom_malloc, engine_recvmmsg, engine_recvmmsg_sender,
    engine_recvmmsg_time, engine_gro, engine_ring;

// This library's.
extern const struct engine engine_rx, engine_rx_no_time, engine_rx_few, engine_rx_lent;
extern const struct engine engine_rx_gro, engine_rx_gro_no_time, engine_rx_gro_lent,
    engine_rx_trains;
extern const struct engine engine_packet_ring, engine_packet_ring_lent;

#if BENCH_HAVE_LIBURING
// Both; the second waits for 32 completions or a millisecond.
extern const struct engine engine_uring, engine_uring_32;
extern const struct engine engine_uring_rx, engine_uring_rx_32;

// 0, or why there is no io_uring here: a negative errno.
int engine_uring_missing(void);
#endif

// The bytes that this library has copied so far.
uint64_t engine_library_copies(void);

#endif
