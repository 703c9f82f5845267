// SPDX-License-Identifier: MIT
//
// Taking frames apart: a walk over a capture file in memory, and for each frame where its headers
// and its payload are, and its ports.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zcbuf/adapt/frame.h>
#include <zcbuf/packet.h>

#include "harness.h"
#include "net/frames.h"
#include "net/net.h"
#include "net/parse.h"

#define LIMIT "offsets by hand (limit)"

// ---- ways

static inline uint64_t
walk(const struct frames *frames, uint64_t (*one)(const uint8_t *data, size_t len))
{
    const uint8_t *at = frames->file + FRAMES_HEADER, *end = frames->file + frames->len, *data;
    uint64_t found = 0;
    size_t len;

    while ((at = frames_next(at, end, &data, &len)) != NULL)
        found += one(data, len);
    return found;
}

static uint64_t
zcbuf_one(const uint8_t *data, size_t len)
{
    struct zcb_frame frame;

    if (zcb_frame_parse(data, len, ZCB_FRAME_LINK_ETHERNET, NULL, &frame) != 0)
        return 0;
    return frame_found(frame.network, frame.transport, frame.payload,
                       zcb_frame_source_port(data, &frame),
                       zcb_frame_destination_port(data, &frame));
}

static uint64_t
zcbuf_all(const struct frames *frames)
{
    return walk(frames, zcbuf_one);
}

// With the key and the place in a table of flows.
static uint64_t
zcbuf_flow_one(const uint8_t *data, size_t len)
{
    struct zcb_frame frame;
    struct zcb_frame_flow flow;

    if (zcb_frame_parse(data, len, ZCB_FRAME_LINK_ETHERNET, NULL, &frame) != 0)
        return 0;
    if (zcb_frame_flow_of(data, &frame, &flow) == 0) {
        uint64_t hash = zcb_frame_flow_hash(&flow, 1);

        bench_keep(&hash);
    }
    return frame_found(frame.network, frame.transport, frame.payload,
                       zcb_frame_source_port(data, &frame),
                       zcb_frame_destination_port(data, &frame));
}

static uint64_t
zcbuf_flow_all(const struct frames *frames)
{
    return walk(frames, zcbuf_flow_one);
}

static uint64_t
hand_all(const struct frames *frames)
{
    return walk(frames, frame_by_hand);
}

// As packet libraries do that hand out objects: the bytes are copied into a packet of its own, and
// its layers listed there, each with its bytes.
struct layer {
    uint32_t type, len;
    const uint8_t *header, *payload;
};

struct decoded {
    uint8_t *data;
    uint32_t len, count;
    struct layer layers[8];
};

static const uint8_t *
add_layer(struct decoded *decoded, uint32_t type, const uint8_t *header, uint32_t len)
{
    decoded->layers[decoded->count++] = (struct layer){type, len, header, header + len};
    return header + len;
}

static struct decoded *
decode(const uint8_t *data, size_t len)
{
    struct decoded *d = malloc(sizeof(*d));
    uint8_t *copy = malloc(len);
    const uint8_t *at, *end = copy + len;
    uint32_t type, protocol;

    if (d == NULL || copy == NULL)
        abort();
    memcpy(copy, data, len);
    d->data = copy;
    d->len = (uint32_t)len;
    d->count = 0;
    at = add_layer(d, 1, copy, 14);
    type = zcb_frame_u16(copy, 12);
    if (type == 0x8100) {
        type = zcb_frame_u16(at, 2);
        at = add_layer(d, type, at, 4);
    }
    if (type == 0x0806)
        (void)add_layer(d, type, at, 28);
    if (type != 0x0800 && type != 0x86dd)
        return d;
    protocol = type == 0x0800 ? at[9] : at[6];
    at = add_layer(d, type, at, type == 0x0800 ? (at[0] & 15) * 4u : 40);
    while (protocol == 0 && end - at >= 8) {
        protocol = at[0];
        at = add_layer(d, 0, at, 8 + at[1] * 8u);
    }
    if (end - at >= 8)
        (void)add_layer(d, protocol, at, protocol == 6 ? (at[12] >> 4) * 4u : 8);
    return d;
}

static uint64_t
objects_one(const uint8_t *data, size_t len)
{
    struct decoded *d = decode(data, len);
    const struct layer *last = &d->layers[d->count - 1];
    uint32_t network = 0, transport = 0, payload = (uint32_t)(last->payload - d->data);
    uint16_t from = 0, to = 0;
    uint64_t found;

    for (uint32_t i = 0; i < d->count; i++) {
        const struct layer *layer = &d->layers[i];

        if (layer->type == 0x0800 || layer->type == 0x86dd || layer->type == 0x0806)
            network = layer->type == 0x0806 || layer->len != 4 ? (uint32_t)(layer->header - d->data)
                                                               : network;
    }
    if (last->type == 6 || last->type == 17 || (last->type == 1 && d->count > 1))
        transport = (uint32_t)(last->header - d->data);
    if (last->type == 6 || last->type == 17) {
        from = zcb_frame_u16(last->header, 0);
        to = zcb_frame_u16(last->header, 2);
    }
    found = frame_found(network, transport, payload, from, to);
    free(d->data);
    free(d);
    return found;
}

static uint64_t
objects_all(const struct frames *frames)
{
    return walk(frames, objects_one);
}

// ---- rows

struct parser {
    uint64_t (*all)(const struct frames *frames);
    const struct frames *frames;
};

static int
run_parser(void *ctx, struct bench_run *run)
{
    const struct parser *parser = ctx;

    for (uint64_t i = 0; i < run->n; i++) {
        uint64_t found;

        bench_keep(parser->frames);
        found = parser->all(parser->frames);
        if (found != parser->frames->expected)
            return -1;
    }
    return 0;
}

static int
check_parser(void *ctx)
{
    const struct parser *parser = ctx;

    return parser->all(parser->frames) != parser->frames->expected;
}

static void
compare(const struct frames *frames, const char *title)
{
    struct parser ways[] = {
        {zcbuf_all, frames},
        {zcbuf_flow_all, frames},
        {hand_all, frames},
        {objects_all, frames},
#if BENCH_HAVE_PCAP
        {net_pcap_all, frames},
#endif
    };
    struct bench_row rows[] = {
        {bench_own, run_parser, check_parser, &ways[0], 0, 0, false},
        {bench_own_row("with the flow's hash"), run_parser, check_parser, &ways[1], 0, 0, false},
        {LIMIT, run_parser, check_parser, &ways[2], 0, 0, false},
        {"allocate, copy, list of layers", run_parser, check_parser, &ways[3], 0, 0, false},
#if BENCH_HAVE_PCAP
        {"libpcap, offsets by hand", run_parser, check_parser, &ways[4], 0, 0, false},
#endif
    };
    struct bench_case what = {.workload = "W7",
                              .title = title,
                              .variable = "frames",
                              .value = FRAMES_COUNT,
                              .unit = "ns/packet",
                              .units = FRAMES_COUNT,
                              .reference = LIMIT};

    bench_compare(&what, rows, sizeof(rows) / sizeof(rows[0]));
}

void
net_compare_parsing(void)
{
    struct zcb_pool *pool = NULL;
    struct frames frames;
    char title[64];

    if (zcb_pool_create(NULL, &pool) < 0) {
        bench_skip("W7 parse", "no pool");
        return;
    }
    for (int kind = FRAME_MIX; kind >= 0; kind--) {
        snprintf(title, sizeof(title), "parse, %s", frame_names[kind]);
        if (!bench_wanted("W7", title))
            continue;
        if (frames_make(&frames, pool, (enum frame_kind)kind) < 0)
            bench_skip(title, "the frames cannot be built");
        else
            compare(&frames, title);
        free(frames.file);
    }
    zcb_pool_destroy(&pool);
}
