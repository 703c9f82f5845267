// SPDX-License-Identifier: MIT
//
// The library's torrent adapter, as a client uses it: it asks for blocks, judges each message, and
// puts payload into its piece as it comes. More work than any other row here: it keeps account of
// what was asked for, and of who sent what.

#include <stdlib.h>
#include <string.h>

#include <zcbuf/adapt/torrent.h>
#include <zcbuf/zcbuf.h>

#include "wire/peer.h"

enum { PIPELINE = 64 };

struct client {
    struct wire_stream *stream;
    struct zcb_pool *pool;
    struct zcb_torrent_assembler *assembler;
    struct zcb_torrent_wire *wire;
    struct zcb_packet region;
    struct zcb_packet *packets; // where each lies elsewhere
    struct zcb_buf_storage *places;
    uint32_t pieces;
};

// A piece is assembled where the others put theirs.
static int
place_piece(void *ctx, uint32_t piece, size_t len, struct zcb_buf **out)
{
    struct client *client = ctx;
    uint8_t *at = wire_place(client->stream, piece << client->stream->piece_shift);

    *out = zcb_buf_wrap_in(&client->places[piece], at, 0, len, NULL, NULL);
    return 0;
}

static int
open_assembler(struct client *client)
{
    const struct wire_stream *stream = client->stream;
    struct zcb_torrent_assembler_config config = {.buffer = place_piece, .ctx = client};
    struct zcb_torrent_geometry geometry;
    int result = zcb_torrent_geometry_init(&geometry, (uint64_t)stream->blocks * WIRE_BLOCK,
                                           WIRE_BLOCK << stream->piece_shift, WIRE_BLOCK);

    return result < 0 ? result
                      : zcb_torrent_assembler_create(&geometry, &config, &client->assembler);
}

// The other side has everything, and lets us ask.
static int
greet(struct client *client)
{
    uint8_t bits[64] = {0}, message[128];
    struct zcb_torrent_message said;
    struct zcb_packet packet;
    size_t bytes = (client->pieces + 7) / 8;
    int n, result;

    if (bytes > sizeof(bits))
        return -1;
    for (uint32_t i = 0; i < client->pieces; i++)
        bits[i / 8] |= (uint8_t)(0x80 >> i % 8);
    n = zcb_torrent_write_bitfield(message, sizeof(message), bits, bytes);
    if (n < 0)
        return n;
    result = zcb_torrent_write_unchoke(message + n, sizeof(message) - (size_t)n);
    if (result < 0)
        return result;
    result = zcb_packet_copy(client->pool, message, (size_t)(n + result), &packet);
    if (result == 0)
        result = zcb_torrent_wire_push(client->wire, &packet);
    while (result >= 0 && (result = zcb_torrent_wire_next(client->wire, &said)) > 0)
        continue;
    return result;
}

static int
wrap_packets(struct client *client)
{
    const struct wire_stream *stream = client->stream;
    int result = zcb_packet_wrap(stream->bytes, stream->len, NULL, NULL, &client->region);

    if (stream->stride == 0)
        return result;
    client->packets = bench_alloc(stream->count * sizeof(client->packets[0]));
    for (size_t i = 0; i < stream->count && result == 0; i++)
        result = zcb_packet_wrap(stream->packets[i].data, stream->packets[i].len, NULL, NULL,
                                 &client->packets[i]);
    return result;
}

static void *
create_with(struct wire_stream *stream, uint32_t flags)
{
    static const struct zcb_torrent_handshake handshake;
    struct zcb_torrent_wire_config config = {
        .peer_handshake = &handshake, .pipeline = PIPELINE, .flags = flags};
    struct client *client = bench_alloc(sizeof(*client));

    client->stream = stream;
    client->pieces = stream->blocks >> stream->piece_shift;
    client->places = bench_alloc(client->pieces * sizeof(client->places[0]));
    if (zcb_pool_create(NULL, &client->pool) == 0 && open_assembler(client) == 0 &&
        zcb_torrent_wire_create(client->pool, client->assembler, 1, &config, &client->wire) == 0 &&
        wrap_packets(client) == 0 && greet(client) == 0)
        return client;
    bench_skip("the torrent adapter", "it could not be set up");
    return NULL; // the program is about to end: what was made so far is left
}

static void *
create(struct wire_stream *stream)
{
    return create_with(stream, 0);
}

static void *
create_direct(struct wire_stream *stream)
{
    return create_with(stream, ZCB_TORRENT_DIRECT);
}

static void
destroy(void *state)
{
    struct client *client = state;

    zcb_torrent_wire_destroy(&client->wire);
    zcb_torrent_assembler_destroy(&client->assembler);
    zcb_packet_unref(&client->region);
    for (size_t i = 0; client->packets != NULL && i < client->stream->count; i++)
        zcb_packet_unref(&client->packets[i]);
    zcb_pool_destroy(&client->pool);
    zcb_thread_flush();
    free(client->packets);
    free(client->places);
    free(client);
}

// The REQUESTs are written; that they are sent costs the same in any client.
static int
ask(struct client *client)
{
    uint8_t out[PIPELINE * ZCB_TORRENT_REQUEST_SIZE];
    int n = zcb_torrent_wire_output(client->wire, 0, out, sizeof(out));

    bench_keep(out);
    return n;
}

static int
messages(struct wire_bench *bench, struct client *client)
{
    struct zcb_torrent_message message;
    int result;

    while ((result = zcb_torrent_wire_next(client->wire, &message)) > 0) {
        if (message.kind == ZCB_TORRENT_HAVE)
            bench->small_sum += message.index;
        else if (message.kind != ZCB_TORRENT_PIECE)
            return -1;
    }
    // A short stream was asked for as a whole when it began.
    if (result == 0 && client->stream->blocks > PIPELINE &&
        zcb_torrent_wire_outstanding(client->wire) <= PIPELINE / 2)
        result = ask(client);
    return result;
}

static inline int
push_packet(struct wire_bench *bench, size_t number)
{
    struct client *client = bench->state;
    const struct wire_packet *from = &client->stream->packets[number];
    struct zcb_packet packet;

    if (client->packets != NULL)
        packet = zcb_packet_ref(&client->packets[number]);
    else if (zcb_packet_slice(&client->region, (size_t)(from->data - client->region.data),
                              from->len, &packet) < 0)
        return -1;
    return zcb_torrent_wire_push(client->wire, &packet) < 0 ? -1 : messages(bench, client);
}

// What readv() into the plan would do.
static inline int
receive_packet(struct wire_bench *bench, size_t number)
{
    struct client *client = bench->state;
    const uint8_t *data = client->stream->packets[number].data;
    size_t len = client->stream->packets[number].len;

    while (len != 0) {
        struct iovec plan[64];
        int n = zcb_torrent_wire_recv_plan(client->wire, plan, 64), result;
        size_t done = 0;

        if (n <= 0)
            return -1;
        for (int i = 0; i < n && done < len; i++) {
            size_t part = plan[i].iov_len < len - done ? plan[i].iov_len : len - done;

            memcpy(plan[i].iov_base, data + done, part);
            done += part;
        }
        result = zcb_torrent_wire_received(client->wire, done);
        if (result == 0)
            result = messages(bench, client);
        if (result < 0)
            return result;
        data += done;
        len -= done;
    }
    return 0;
}

// All pieces are to be had again: the next round has the same ones.
static int
start_over(struct client *client)
{
    for (uint32_t i = 0; i < client->pieces; i++)
        if (zcb_torrent_assembler_has(client->assembler, i) &&
            zcb_torrent_assembler_set(client->assembler, i, false) < 0)
            return -1;
    return ask(client);
}

static inline int
rounds(struct wire_bench *bench, uint64_t n, int (*packet)(struct wire_bench *bench, size_t number))
{
    int result = 0;

    for (; n != 0 && result >= 0; n--) {
        result = start_over(bench->state);
        if (result >= 0)
            result = wire_packets(bench, 1, packet);
    }
    return result;
}

static int
run_push(void *bench, struct bench_run *run)
{
    return rounds(bench, run->n, push_packet);
}

static int
run_receive(void *bench, struct bench_run *run)
{
    return rounds(bench, run->n, receive_packet);
}

const struct wire_peer wire_zcbuf_torrent = {
    .name = "torrent wire",
    .own = true,
    .create = create,
    .destroy = destroy,
    .feed = run_push,
    .receive = run_receive,
};

// Bytes are received into their pieces, where that can be foretold.
const struct wire_peer wire_zcbuf_torrent_direct = {
    .name = "torrent wire, direct",
    .own = true,
    .create = create_direct,
    .destroy = destroy,
    .receive = run_receive,
};
