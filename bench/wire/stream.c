// SPDX-License-Identifier: MIT

#include "wire/stream.h"

#include <stdlib.h>
#include <string.h>

static void
put_be32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

// What is in a block: cheap to make, different in each of its words, and in no two blocks the same.
static void
fill_block(uint8_t *at, uint32_t block)
{
    for (uint32_t i = 0; i < WIRE_BLOCK / 8; i++) {
        uint64_t word = ((uint64_t)block << 32 | i) * 0x9e3779b97f4a7c15u;

        memcpy(at + (size_t)i * 8, &word, 8);
    }
}

static bool
block_is_filled(const uint8_t *at, uint32_t block)
{
    for (uint32_t i = 0; i < WIRE_BLOCK / 8; i++) {
        uint64_t word = ((uint64_t)block << 32 | i) * 0x9e3779b97f4a7c15u;

        if (memcmp(at + (size_t)i * 8, &word, 8) != 0)
            return false;
    }
    return true;
}

static void
write_messages(struct wire_stream *stream, uint8_t *at)
{
    uint32_t pieces = stream->blocks >> stream->piece_shift;

    for (uint32_t b = 0; b < stream->blocks; b++) {
        put_be32(at, WIRE_HEAD - 4 + WIRE_BLOCK);
        at[4] = 7; // PIECE
        put_be32(at + 5, b >> stream->piece_shift);
        put_be32(at + 9, (b & ((1u << stream->piece_shift) - 1)) * WIRE_BLOCK);
        fill_block(at + WIRE_HEAD, b);
        at += WIRE_HEAD + WIRE_BLOCK;
        for (uint32_t i = 0; i < stream->small; i++, at += WIRE_SMALL) {
            put_be32(at, WIRE_SMALL - 4);
            at[4] = 4; // HAVE
            put_be32(at + 5, (b + i) % pieces);
            stream->small_sum += (b + i) % pieces;
        }
    }
}

static size_t
packet_len(const struct wire_plan *plan, uint64_t *random)
{
    return plan->packet != 0 ? plan->packet : bench_random(random) % 65536 + 1;
}

static void
cut(const struct wire_plan *plan, struct wire_stream *stream, const uint8_t *messages, size_t total)
{
    uint64_t random = 4711;
    size_t done = 0, room = total / (plan->packet != 0 ? plan->packet : 1) + 2;

    stream->packets = bench_alloc(room * sizeof(stream->packets[0]));
    while (done < total) {
        struct wire_packet *packet = &stream->packets[stream->count];
        size_t len = packet_len(plan, &random);

        packet->len = len < total - done ? len : total - done;
        packet->data = stream->bytes + (plan->stride != 0 ? stream->count * plan->stride : done);
        if (plan->stride != 0)
            memcpy(stream->bytes + stream->count * plan->stride, messages + done, packet->len);
        done += packet->len;
        stream->count++;
    }
}

void
wire_stream_make(const struct wire_plan *plan, struct wire_stream *out)
{
    size_t total =
        (size_t)plan->blocks * (WIRE_HEAD + WIRE_BLOCK + (size_t)plan->small * WIRE_SMALL);
    uint8_t *messages = bench_alloc(total);

    memset(out, 0, sizeof(*out));
    out->blocks = plan->blocks;
    out->small = plan->small;
    out->piece_shift = plan->piece_shift;
    out->stride = plan->stride;
    out->dest_blocks = plan->dest_blocks;
    out->dest = bench_alloc((size_t)plan->dest_blocks * WIRE_BLOCK);
    write_messages(out, messages);
    out->len = plan->stride != 0 ? (total / plan->packet + 1) * plan->stride : total;
    out->bytes = plan->stride != 0 ? bench_alloc(out->len) : messages;
    cut(plan, out, messages, total);
    if (plan->stride != 0)
        free(messages);
}

void
wire_stream_free(struct wire_stream *stream)
{
    free(stream->bytes);
    free(stream->packets);
    free(stream->dest);
}

bool
wire_stream_arrived(struct wire_stream *stream)
{
    uint32_t first =
        stream->blocks > stream->dest_blocks ? stream->blocks - stream->dest_blocks : 0;
    bool right = true;

    for (uint32_t b = first; b < stream->blocks && right; b++)
        right = block_is_filled(wire_place(stream, b), b);
    memset(stream->dest, 0, (size_t)stream->dest_blocks * WIRE_BLOCK);
    return right;
}
