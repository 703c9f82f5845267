// SPDX-License-Identifier: MIT
//
// How packets get into a struct zcb_chain, for both ways of taking them out.
#ifndef BENCH_WIRE_ZCBUF_CHAIN_H
#define BENCH_WIRE_ZCBUF_CHAIN_H

#include <stdlib.h>
#include <string.h>

#include <zcbuf/zcbuf.h>

#include "wire/peer.h"

struct peer {
    struct zcb_pool *pool;
    struct zcb_chain chain;
    // The stream's memory as one packet, or each packet a block of its own.
    struct zcb_packet region;
    struct zcb_packet *packets;
    size_t count;
    // For early consumption: the block that is under way.
    uint8_t *place;
    size_t left;
};

static inline int
chain_open(struct peer *peer, struct wire_stream *stream)
{
    int result = zcb_pool_create(NULL, &peer->pool);

    if (result == 0)
        result = zcb_chain_init(&peer->chain, peer->pool, NULL);
    if (result == 0)
        result = zcb_packet_wrap(stream->bytes, stream->len, NULL, NULL, &peer->region);
    if (result < 0 || stream->stride == 0)
        return result;
    peer->packets = bench_alloc(stream->count * sizeof(peer->packets[0]));
    peer->count = stream->count;
    for (size_t i = 0; i < stream->count && result == 0; i++)
        result = zcb_packet_wrap(stream->packets[i].data, stream->packets[i].len, NULL, NULL,
                                 &peer->packets[i]);
    return result;
}

static inline void *
create(struct wire_stream *stream)
{
    struct peer *peer = bench_alloc(sizeof(*peer));

    if (chain_open(peer, stream) == 0)
        return peer;
    bench_skip(bench_own, "out of memory");
    return NULL;
}

static inline void
destroy(void *state)
{
    struct peer *peer = state;

    zcb_chain_finish(&peer->chain);
    zcb_packet_unref(&peer->region);
    for (size_t i = 0; i < peer->count; i++)
        zcb_packet_unref(&peer->packets[i]);
    free(peer->packets);
    zcb_pool_destroy(&peer->pool);
    zcb_thread_flush();
    free(peer);
}

// A reference of its own for each packet, as one that has just arrived would have.
static inline int
feed(struct peer *peer, size_t number, const uint8_t *data, size_t len)
{
    struct zcb_packet packet;

    if (peer->packets != NULL)
        packet = zcb_packet_ref(&peer->packets[number]);
    else if (zcb_packet_slice(&peer->region, (size_t)(data - peer->region.data), len, &packet) < 0)
        return -1;
    return zcb_chain_push(&peer->chain, &packet);
}

// What readv() into the reservation would do.
static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    while (len != 0) {
        struct iovec space[2];
        int n = zcb_chain_reserve(&peer->chain, 1, space, 2);
        size_t done = 0;

        if (n < 0)
            return n;
        for (int i = 0; i < n && done < len; i++) {
            size_t part = space[i].iov_len < len - done ? space[i].iov_len : len - done;

            memcpy(space[i].iov_base, data + done, part);
            done += part;
        }
        n = zcb_chain_commit(&peer->chain, done);
        if (n < 0)
            return n;
        data += done;
        len -= done;
    }
    return 0;
}

#endif
