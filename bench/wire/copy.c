// SPDX-License-Identifier: MIT
//
// The reference: nothing but the copies that cannot be avoided. feed: each block straight to its
// place, as if everything were known beforehand. receive: the bytes packet by packet into one small
// buffer, and from there each block to its place.

#include <stdlib.h>
#include <string.h>

#include "wire/peer.h"

struct state {
    uint8_t buffer[WIRE_HEAD + WIRE_BLOCK + 64 * WIRE_SMALL + 65536];
};

static void *
create(struct wire_stream *stream)
{
    struct state *state = bench_alloc(sizeof(*state));

    (void)stream;
    return state;
}

static void
destroy(void *state)
{
    free(state);
}

static void
count_small(struct wire_bench *bench)
{
    bench->small_sum += bench->stream->small_sum;
}

// Copies the parts of a block that lie in one packet each.
static void
copy_parts(const struct wire_stream *stream, size_t *packet, size_t *off, uint8_t *dst, size_t len)
{
    while (len != 0) {
        const struct wire_packet *p = &stream->packets[*packet];
        size_t here = p->len - *off, part = here < len ? here : len;

        if (dst != NULL) {
            memcpy(dst, p->data + *off, part);
            dst += part;
        }
        len -= part;
        *off += part;
        if (*off == p->len) {
            ++*packet;
            *off = 0;
        }
    }
}

static int
run_feed(void *ctx, struct bench_run *run)
{
    struct wire_bench *bench = ctx;
    const struct wire_stream *stream = bench->stream;
    size_t gap = WIRE_HEAD + (size_t)stream->small * WIRE_SMALL;

    for (uint64_t n = 0; n < run->n; n++) {
        size_t packet = 0, off = 0;

        for (uint32_t b = 0; b < stream->blocks; b++) {
            if (stream->stride == 0) {
                memcpy(wire_place(stream, b),
                       stream->bytes + WIRE_HEAD + (size_t)b * (WIRE_BLOCK + gap), WIRE_BLOCK);
            } else {
                copy_parts(stream, &packet, &off, NULL, WIRE_HEAD);
                copy_parts(stream, &packet, &off, wire_place(stream, b), WIRE_BLOCK);
                copy_parts(stream, &packet, &off, NULL, gap - WIRE_HEAD);
            }
        }
        bench_keep(stream->dest);
        count_small(bench);
    }
    return 0;
}

static int
run_receive(void *ctx, struct bench_run *run)
{
    struct wire_bench *bench = ctx;
    struct state *state = bench->state;
    const struct wire_stream *stream = bench->stream;
    size_t message = WIRE_HEAD + WIRE_BLOCK + (size_t)stream->small * WIRE_SMALL;

    for (uint64_t n = 0; n < run->n; n++) {
        size_t packet = 0, start = 0,
               have = 0; // `have` bytes from stream offset `start` on are in the buffer

        for (uint32_t b = 0; b < stream->blocks; b++) {
            size_t from = (size_t)b * message;

            if (have == from - start)
                have = 0;
            if (have == 0)
                start = from;
            // What is left of the packet that came last stays where it is.
            while (start + have < from + message) {
                const struct wire_packet *p = &stream->packets[packet++];

                if (have + p->len > sizeof(state->buffer)) {
                    memmove(state->buffer, state->buffer + (from - start), start + have - from);
                    have -= from - start;
                    start = from;
                }
                memcpy(state->buffer + have, p->data, p->len);
                have += p->len;
            }
            memcpy(wire_place(stream, b), state->buffer + (from - start) + WIRE_HEAD, WIRE_BLOCK);
        }
        bench_keep(stream->dest);
        count_small(bench);
    }
    return 0;
}

const struct wire_peer wire_copy = {
    .name = "memcpy of the payload (limit)",
    .create = create,
    .destroy = destroy,
    .feed = run_feed,
    .receive = run_receive,
};
