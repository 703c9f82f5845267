// SPDX-License-Identifier: MIT
//
// struct zcb_chain, with payload put into place as it comes instead of waiting for the whole
// message: it is still in cache, and never piles up.

#include "wire/zcbuf_chain.h"

static inline int
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

#include "wire/rounds.h"

const struct wire_peer wire_zcbuf_early = {
    .name = "payload as it comes", .own = true, WIRE_PEER_LOOPS};
