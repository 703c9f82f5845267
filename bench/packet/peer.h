// SPDX-License-Identifier: MIT
//
// A contender of the shared packet workloads. Its functions are the loops of loops.h with its calls
// compiled into them.
#ifndef BENCH_PACKET_PEER_H
#define BENCH_PACKET_PEER_H

#include "harness.h"

#define PACKET_LEN 1500
#define PACKET_FAN 16

struct packet_peer {
    const char *name;
    void *(*create)(void); // NULL: cannot; bench_skip has been called
    void (*destroy)(void *pool);
    int (*check)(void *pool);
    int (*one)(void *pool, struct bench_run *run);  // create, 1 reference, drop both
    int (*four)(void *pool, struct bench_run *run); // create, 4 references, drop all
    int (*many)(void *pool, struct bench_run *run); // create, 16 references, drop all
    int (*many_n)(void *pool,
                  struct bench_run *run); // the same with one call for all references; or NULL
    int (*slices)(void *pool, struct bench_run *run); // create, 16 slices, drop all
    int (*slice)(void *pool, struct bench_run *run);  // slice of a packet that stays, and its drop
    int (*both)(void *pool,
                struct bench_run *run); // two threads reference and drop one packet; or NULL
    int (*cross)(void *pool, struct bench_run *run); // create in A, drop in B; or NULL
};

extern const struct packet_peer packet_zcbuf, packet_atomic, packet_counted, packet_gbytes,
    packet_ffmpeg, packet_gstreamer, packet_grpc, packet_mbuf_count, packet_mbuf_clone, packet_apr;

#endif
