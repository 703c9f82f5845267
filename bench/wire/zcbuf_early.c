// SPDX-License-Identifier: MIT
//
// struct zcb_chain, with payload put into place as it comes instead of waiting for the whole
// message: it is still in cache, and never piles up.

#include "wire/zcbuf_chain.h"

static int
parse(struct wire_bench *bench, struct peer *peer)
{
    struct zcb_chain *chain = &peer->chain;

    for (;;) {
        uint8_t scratch[WIRE_HEAD];
        const uint8_t *at;
        uint32_t len, block;

        if (peer->left != 0) {
            size_t have = zcb_chain_len(chain), part = peer->left < have ? peer->left : have;

            if (part == 0)
                return 0;
            if (zcb_chain_consume(chain, peer->place, part) < 0)
                return -1;
            peer->place += part;
            peer->left -= part;
            continue;
        }
        at = zcb_chain_peek(chain, 0, WIRE_SMALL, scratch);
        if (at == NULL)
            return 0;
        len = wire_be32(at);
        if (at[4] == 7) {
            if (len != 9 + WIRE_BLOCK)
                return -1;
            at = zcb_chain_peek(chain, 0, WIRE_HEAD, scratch);
            if (at == NULL)
                return 0;
            block = wire_block(bench->stream, wire_be32(at + 5), wire_be32(at + 9));
            if (block == UINT32_MAX)
                return -1;
            peer->place = wire_place(bench->stream, block);
            peer->left = WIRE_BLOCK;
            zcb_chain_discard(chain, WIRE_HEAD);
        } else {
            if (len != WIRE_SMALL - 4)
                return -1;
            bench->small_sum += wire_be32(at + 5);
            zcb_chain_discard(chain, WIRE_SMALL);
        }
    }
}

static int
run_feed(void *ctx, struct bench_run *run)
{
    struct wire_bench *bench = ctx;
    const struct wire_stream *stream = bench->stream;

    for (uint64_t n = 0; n < run->n; n++)
        for (size_t i = 0; i < stream->count; i++)
            if (feed(bench->state, i, stream->packets[i].data, stream->packets[i].len) < 0 ||
                parse(bench, bench->state) < 0)
                return -1;
    return 0;
}

static int
run_receive(void *ctx, struct bench_run *run)
{
    struct wire_bench *bench = ctx;
    const struct wire_stream *stream = bench->stream;

    for (uint64_t n = 0; n < run->n; n++)
        for (size_t i = 0; i < stream->count; i++)
            if (receive(bench->state, stream->packets[i].data, stream->packets[i].len) < 0 ||
                parse(bench, bench->state) < 0)
                return -1;
    return 0;
}

static int
check_feed(void *ctx)
{
    return wire_check(ctx, run_feed);
}

static int
check_receive(void *ctx)
{
    return wire_check(ctx, run_receive);
}

const struct wire_peer wire_zcbuf_early = {
    .name = "early", // main.c puts the library in front
    .create = create,
    .destroy = destroy,
    .feed = run_feed,
    .receive = run_receive,
    .check_feed = check_feed,
    .check_receive = check_receive,
};
