// SPDX-License-Identifier: MIT
//
// The other limit: a parser by hand that keeps no buffer but 13 bytes and puts payload into place
// as it comes. It can do nothing but this one protocol.

#include <stdlib.h>
#include <string.h>

#include "wire/peer.h"

struct peer {
    uint8_t head[WIRE_HEAD];
    size_t have;    // bytes of head
    uint8_t *place; // of the block that is under way
    size_t left;    // bytes of it that are missing
    uint8_t buffer[65536];
};

static void *
create(struct wire_stream *stream)
{
    (void)stream;
    return bench_alloc(sizeof(struct peer));
}

static void
destroy(void *state)
{
    free(state);
}

// Completes the head to `want` bytes. False: there are fewer.
static bool
complete(struct peer *peer, size_t want, const uint8_t **data, size_t *len)
{
    size_t missing = want - peer->have, part = missing < *len ? missing : *len;

    memcpy(peer->head + peer->have, *data, part);
    peer->have += part;
    *data += part;
    *len -= part;
    return part == missing;
}

static int
parse(struct wire_bench *bench, struct peer *peer, const uint8_t *data, size_t len)
{
    while (len != 0) {
        uint32_t block;

        if (peer->left != 0) {
            size_t part = peer->left < len ? peer->left : len;

            memcpy(peer->place, data, part);
            peer->place += part;
            peer->left -= part;
            data += part;
            len -= part;
            continue;
        }
        if (peer->have < WIRE_SMALL && !complete(peer, WIRE_SMALL, &data, &len))
            break;
        if (peer->head[4] == 7) {
            if (wire_be32(peer->head) != 9 + WIRE_BLOCK)
                return -1;
            if (!complete(peer, WIRE_HEAD, &data, &len))
                break;
            block = wire_block(bench->stream, wire_be32(peer->head + 5), wire_be32(peer->head + 9));
            if (block == UINT32_MAX)
                return -1;
            peer->place = wire_place(bench->stream, block);
            peer->left = WIRE_BLOCK;
        } else {
            if (wire_be32(peer->head) != WIRE_SMALL - 4)
                return -1;
            bench->small_sum += wire_be32(peer->head + 5);
        }
        peer->have = 0;
    }
    return 0;
}

static inline int
feed_packet(struct wire_bench *bench, size_t number)
{
    const struct wire_packet *packet = &bench->stream->packets[number];

    return parse(bench, bench->state, packet->data, packet->len);
}

static inline int
receive_packet(struct wire_bench *bench, size_t number)
{
    const struct wire_packet *packet = &bench->stream->packets[number];
    struct peer *peer = bench->state;

    memcpy(peer->buffer, packet->data, packet->len);
    return parse(bench, peer, peer->buffer, packet->len);
}

static int
run_feed(void *bench, struct bench_run *run)
{
    return wire_packets(bench, run->n, feed_packet);
}

static int
run_receive(void *bench, struct bench_run *run)
{
    return wire_packets(bench, run->n, receive_packet);
}

const struct wire_peer wire_early = {
    .name = "parser without a buffer (limit)",
    .create = create,
    .destroy = destroy,
    .feed = run_feed,
    .receive = run_receive,
};
