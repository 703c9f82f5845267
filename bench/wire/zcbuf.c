// SPDX-License-Identifier: MIT
//
// struct zcb_chain with the parser that all contenders have: it waits for whole messages.

#include "wire/zcbuf_chain.h"

static inline size_t
size(struct peer *peer)
{
    return zcb_chain_len(&peer->chain);
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    return zcb_chain_peek(&peer->chain, 0, len, scratch);
}

static inline void
drop(struct peer *peer, size_t len)
{
    zcb_chain_discard(&peer->chain, len);
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    return zcb_chain_consume(&peer->chain, dst, len);
}

#include "wire/loops.h"

const struct wire_peer wire_zcbuf = {.name = "", .own = true, WIRE_PEER_LOOPS};
