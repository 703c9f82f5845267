// SPDX-License-Identifier: MIT
//
// Integers of variable length.
//
// LEB128, unsigned (DWARF 5, section 7.6; the varint of Protocol Buffers): seven bits a byte, the
// lowest first, the top bit says that it goes on. 64 bits take at most ten bytes, of which the
// tenth has one bit. Encodings that are longer than need be (0x80 0x00) are valid in both.
//
// QUIC (RFC 9000, section 16): the top two bits of the first byte say how many bytes there are (1,
// 2, 4, 8), the rest is the value, big endian.

#include "base/count_copy.h"
#include "chain/chain.h"

enum { LEB128_MAX = 10 };

int
zcb_cursor_leb128(struct zcb_cursor *cursor, uint64_t *out)
{
    struct zcb_cursor ahead = *cursor;
    uint64_t value = 0;
    uint8_t byte;

    for (int used = 1;; used++) {
        int result = zcb_cursor_u8(&ahead, &byte);

        if (result < 0)
            return result;
        if (used == LEB128_MAX && byte > 1) // more than bit 63, or an eleventh byte
            return -EBADMSG;
        value |= (uint64_t)(byte & 0x7f) << (7 * (used - 1));
        if ((byte & 0x80) == 0) {
            *cursor = ahead;
            *out = value;
            return used;
        }
    }
}

int
zcb_cursor_quic(struct zcb_cursor *cursor, uint64_t *out)
{
    size_t available, len;
    const uint8_t *at = zcb_cursor_peek(cursor, &available);
    uint8_t bytes[8];
    uint64_t value = 0;

    if (at == NULL)
        return -EAGAIN;
    len = (size_t)1 << (at[0] >> 6);
    if (len > zcb_cursor_left(cursor))
        return -EAGAIN;
    for (size_t i = 0; i < len; i++) {
        int result = zcb_cursor_u8(cursor, &bytes[i]);

        if (result < 0)
            return result;
    }
    for (size_t i = 0; i < len; i++)
        value = value << 8 | (i == 0 ? bytes[0] & 0x3fu : bytes[i]);
    *out = value;
    return (int)len;
}

int
zcb_chain_peek_leb128(const struct zcb_chain *chain, size_t off, uint64_t *out)
{
    struct zcb_cursor cursor;
    int result = zcb_cursor_init(&cursor, chain, off);

    return result < 0 ? result : zcb_cursor_leb128(&cursor, out);
}

int
zcb_chain_peek_quic(const struct zcb_chain *chain, size_t off, uint64_t *out)
{
    struct zcb_cursor cursor;
    int result = zcb_cursor_init(&cursor, chain, off);

    return result < 0 ? result : zcb_cursor_quic(&cursor, out);
}
