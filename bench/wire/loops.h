// SPDX-License-Identifier: MIT
//
// The parser of the torrent wire workload, for one contender: waits for a whole message, then puts
// its payload into place. The file that includes this has defined
//
//     struct peer;
//     static inline int feed(struct peer *peer, size_t number, const uint8_t *data, size_t len);
//     static inline int receive(struct peer *peer, const uint8_t *data, size_t len);
//     static inline size_t size(struct peer *peer);
//     static inline const uint8_t *head(struct peer *peer, size_t len, uint8_t *scratch);
//     static inline void drop(struct peer *peer, size_t len);
//     static inline int take(struct peer *peer, uint8_t *dst, size_t len);
//
// receive goes by way of the contender's own memory; size is the bytes that wait, head looks at the
// first of these; take copies out, and drops.
//
// and puts WIRE_PEER_LOOPS of rounds.h into its struct wire_peer. Contenders in C++ include this too.

#include "wire/peer.h"

static inline int
parse(struct wire_bench *bench, struct peer *peer)
{
    for (;;) {
        uint8_t scratch[WIRE_HEAD];
        size_t have = size(peer);
        const uint8_t *at;
        uint32_t len;

        if (have < 4)
            return 0;
        len = wire_be32(head(peer, 4, scratch));
        if (len > WIRE_LIMIT || len < 5)
            return -1;
        if (have - 4 < len)
            return 0;
        at = head(peer, len < 9 ? 4 + len : WIRE_HEAD, scratch);
        if (at[4] == 7) {
            uint32_t block = wire_block(bench->stream, wire_be32(at + 5), wire_be32(at + 9));

            if (len != 9 + WIRE_BLOCK || block == UINT32_MAX)
                return -1;
            drop(peer, WIRE_HEAD);
            if (take(peer, wire_place(bench->stream, block), WIRE_BLOCK) < 0)
                return -1;
        } else {
            bench->small_sum += wire_be32(at + 5);
            drop(peer, 4 + len);
        }
    }
}

#include "wire/rounds.h"
