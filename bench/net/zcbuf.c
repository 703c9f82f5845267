// SPDX-License-Identifier: MIT
//
// This library's engines. What they hand out is dropped after a look, as a program does that keeps
// a few of many; it could keep each.

#include "net/engine.h"

#include <errno.h>
#include <stdlib.h>

#include <zcbuf/adapt/frame_io.h>
#include <zcbuf/copies.h>
#include <zcbuf/pool.h>

uint64_t
engine_library_copies(void)
{
    struct zcb_copies copies;

    zcb_copies_total(&copies);
    return zcb_copies_bytes(&copies);
}

struct state {
    struct zcb_pool *pool;
    struct zcb_frame_rx *rx;
    struct zcb_frame_ring *ring;
    bool lent;
};

static void
state_close(void *p)
{
    struct state *state = p;

    zcb_frame_rx_destroy(&state->rx);
    zcb_frame_ring_destroy(&state->ring);
    zcb_pool_destroy(&state->pool);
    free(state);
}

static int
state_open(const struct engine *self, const struct engine_setup *setup, void **out)
{
    struct zcb_frame_rx_config rx = {.flags = self->how, .batch = self->batch};
    struct zcb_frame_ring_config ring = {.flags = self->how, .filter = setup->filter};
    struct state *state = calloc(1, sizeof(*state));
    int result;

    if (state == NULL)
        return -ENOMEM;
    if (!self->train)
        rx.max_len = engine_longest(setup->len);
    result = zcb_pool_create(NULL, &state->pool);
    if (result == 0 && self->ring)
        result = zcb_frame_ring_create("lo", state->pool, &ring, &state->ring);
    else if (result == 0)
        result = zcb_frame_rx_create(setup->fd, state->pool, &rx, &state->rx);
    state->lent =
        (self->how & (self->ring ? (unsigned)ZCB_FRAME_RING_LENT : ZCB_FRAME_RX_LENT)) != 0;
    if (result < 0)
        state_close(state);
    else
        *out = state;
    return result;
}

static int
rx_take(void *p, struct sink *sink, bool wait)
{
    struct state *state = p;
    struct zcb_frame_arrival in[ENGINE_BATCH];
    int got = zcb_frame_rx_recv(state->rx, in, ENGINE_BATCH, wait ? -1 : 0);

    for (int i = 0; i < got; i++)
        sink_take(sink, in[i].packet.data, in[i].packet.len);
    if (!state->lent)
        zcb_frame_arrivals_release(in, got);
    return got;
}

static int
trains_take(void *p, struct sink *sink, bool wait)
{
    struct state *state = p;
    struct zcb_frame_arrival in[ENGINE_BATCH];
    int got = zcb_frame_rx_recv(state->rx, in, ENGINE_BATCH, wait ? -1 : 0), packets = 0;

    for (int i = 0; i < got; i++) {
        const uint8_t *data = in[i].packet.data;
        size_t len = in[i].packet.len, segment = in[i].segment != 0 ? in[i].segment : len;

        for (size_t off = 0; off < len; off += segment, packets++)
            sink_take(sink, data + off, len - off < segment ? len - off : segment);
    }
    zcb_frame_arrivals_release(in, got);
    return got < 0 ? got : packets;
}

static int
ring_take(void *p, struct sink *sink, bool wait)
{
    struct state *state = p;
    struct zcb_frame_arrival in[ENGINE_BATCH];
    int got = zcb_frame_ring_recv(state->ring, in, ENGINE_BATCH, wait ? 1000 : 0);

    for (int i = 0; i < got; i++)
        engine_take_frame(sink, in[i].packet.data, in[i].packet.len);
    if (!state->lent)
        zcb_frame_arrivals_release(in, got);
    return got;
}

#define OWN .open = state_open, .close = state_close, .own = true

const struct engine engine_rx = {.name = "", .take = rx_take, OWN};
const struct engine engine_rx_no_time = {
    .name = "no time", .take = rx_take, .how = ZCB_FRAME_RX_NO_TIME, OWN};
const struct engine engine_rx_few = {
    .name = "no time, 8 at a time", .take = rx_take, .how = ZCB_FRAME_RX_NO_TIME, .batch = 8, OWN};
const struct engine engine_rx_lent = {
    .name = "no time, lent", .take = rx_take, .how = ZCB_FRAME_RX_NO_TIME | ZCB_FRAME_RX_LENT, OWN};

const struct engine engine_rx_gro = {
    .name = "", .take = rx_take, .train = true, .how = ZCB_FRAME_RX_GRO, OWN};
const struct engine engine_rx_gro_no_time = {.name = "no time",
                                             .take = rx_take,
                                             .train = true,
                                             .how = ZCB_FRAME_RX_GRO | ZCB_FRAME_RX_NO_TIME,
                                             OWN};
const struct engine engine_rx_gro_lent = {.name = "no time, lent",
                                          .take = rx_take,
                                          .train = true,
                                          .how = ZCB_FRAME_RX_GRO | ZCB_FRAME_RX_NO_TIME |
                                                 ZCB_FRAME_RX_LENT,
                                          OWN};
const struct engine engine_rx_trains = {.name = "no time, trains",
                                        .take = trains_take,
                                        .train = true,
                                        .how = ZCB_FRAME_RX_GRO | ZCB_FRAME_RX_NO_TIME |
                                               ZCB_FRAME_RX_TRAINS,
                                        OWN};

const struct engine engine_packet_ring = {
    .name = "", .take = ring_take, .ring = true, .how = ZCB_FRAME_RING_INCOMING, OWN};
const struct engine engine_packet_ring_lent = {.name = "lent",
                                               .take = ring_take,
                                               .ring = true,
                                               .how = ZCB_FRAME_RING_INCOMING | ZCB_FRAME_RING_LENT,
                                               OWN};
