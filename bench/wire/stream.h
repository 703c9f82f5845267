// SPDX-License-Identifier: MIT
//
// What W1 receives: a BitTorrent connection's bytes (BEP 3), cut into packets, and where its blocks
// belong.
//
//     [PIECE: 13 bytes, 16 KiB block][HAVE: 9 bytes] ... [HAVE][PIECE ...
//     |   packet   |   packet   |   packet   |
#ifndef BENCH_WIRE_STREAM_H
#define BENCH_WIRE_STREAM_H

#include "harness.h"

#define WIRE_BLOCK 16384u
#define WIRE_HEAD 13u                // of a PIECE message
#define WIRE_SMALL 9u                // a HAVE message
#define WIRE_LIMIT (WIRE_BLOCK + 64) // longer messages are an error

struct wire_packet {
    const uint8_t *data;
    size_t len;
};

struct wire_stream {
    uint8_t *bytes; // the packets one behind the other; or, apart, each at a multiple of `stride`
    size_t len;     // of the memory
    size_t stride;  // 0: one behind the other
    struct wire_packet *packets;
    size_t count;
    uint32_t blocks;
    uint32_t small;       // HAVE messages behind each block
    uint64_t small_sum;   // of the numbers in them
    uint8_t *dest;        // where blocks go
    uint32_t dest_blocks; // a power of two: block i goes to place i % dest_blocks
    uint32_t piece_shift; // 1 << that blocks are a piece: block i is part of piece i >> piece_shift
};

struct wire_plan {
    uint32_t blocks, dest_blocks, piece_shift, small;
    size_t packet; // 0: 1 to 65536, at random
    size_t stride;
};

void wire_stream_make(const struct wire_plan *plan, struct wire_stream *out);
void wire_stream_free(struct wire_stream *stream);

// Whether all blocks of the last round are where they belong, and clears them.
bool wire_stream_arrived(struct wire_stream *stream);

// What is in a PIECE message, as a block's number; UINT32_MAX: it cannot be.
static inline uint32_t
wire_block(const struct wire_stream *stream, uint32_t index, uint32_t begin)
{
    uint64_t block = ((uint64_t)index << stream->piece_shift) + begin / WIRE_BLOCK;

    return begin % WIRE_BLOCK == 0 && begin < WIRE_BLOCK << stream->piece_shift &&
                   block < stream->blocks
               ? (uint32_t)block
               : UINT32_MAX;
}

// `block` may be any number.
static inline uint8_t *
wire_place(const struct wire_stream *stream, uint32_t block)
{
    return stream->dest + (size_t)(block & (stream->dest_blocks - 1)) * WIRE_BLOCK;
}

static inline uint32_t
wire_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

#endif
