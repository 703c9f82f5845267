// SPDX-License-Identifier: MIT
//
// Messages to bytes, into the caller's memory.
#include "torrent.h"

// Length field, id and up to three numbers.
static int
write_message(void *out, size_t room, uint32_t length, int id, int numbers, uint32_t a, uint32_t b,
              uint32_t c)
{
    const uint32_t values[3] = {a, b, c};
    size_t size = 5 + 4 * (size_t)numbers;
    uint8_t *at = out;

    if (out == NULL)
        return -EINVAL;
    if (size > room)
        return -ERANGE;
    torrent_put_u32(at, length);
    at[4] = (uint8_t)id;
    for (int i = 0; i < numbers; i++)
        torrent_put_u32(at + 5 + 4 * i, values[i]);
    return (int)size;
}

int
zcb_torrent_write_handshake(void *out, size_t room, const struct zcb_torrent_handshake *what)
{
    uint8_t *at = out;

    if (out == NULL || what == NULL)
        return -EINVAL;
    if (room < ZCB_TORRENT_HANDSHAKE_SIZE)
        return -ERANGE;
    memcpy(at,
           "\x13"
           "BitTorrent protocol",
           20);
    memcpy(at + 20, what->reserved, 8);
    memcpy(at + 28, what->info_hash, 20);
    memcpy(at + 48, what->peer_id, 20);
    return ZCB_TORRENT_HANDSHAKE_SIZE;
}

int
zcb_torrent_write_keepalive(void *out, size_t room)
{
    if (out == NULL)
        return -EINVAL;
    if (room < 4)
        return -ERANGE;
    memset(out, 0, 4);
    return 4;
}

int
zcb_torrent_write_choke(void *out, size_t room)
{
    return write_message(out, room, 1, ZCB_TORRENT_CHOKE, 0, 0, 0, 0);
}

int
zcb_torrent_write_unchoke(void *out, size_t room)
{
    return write_message(out, room, 1, ZCB_TORRENT_UNCHOKE, 0, 0, 0, 0);
}

int
zcb_torrent_write_interested(void *out, size_t room)
{
    return write_message(out, room, 1, ZCB_TORRENT_INTERESTED, 0, 0, 0, 0);
}

int
zcb_torrent_write_not_interested(void *out, size_t room)
{
    return write_message(out, room, 1, ZCB_TORRENT_NOT_INTERESTED, 0, 0, 0, 0);
}

int
zcb_torrent_write_have(void *out, size_t room, uint32_t index)
{
    return write_message(out, room, 5, ZCB_TORRENT_HAVE, 1, index, 0, 0);
}

int
zcb_torrent_write_have_all(void *out, size_t room)
{
    return write_message(out, room, 1, ZCB_TORRENT_HAVE_ALL, 0, 0, 0, 0);
}

int
zcb_torrent_write_have_none(void *out, size_t room)
{
    return write_message(out, room, 1, ZCB_TORRENT_HAVE_NONE, 0, 0, 0, 0);
}

int
zcb_torrent_write_port(void *out, size_t room, uint16_t port)
{
    uint8_t *at = out;

    if (out == NULL)
        return -EINVAL;
    if (room < 7)
        return -ERANGE;
    torrent_put_u32(at, 3);
    at[4] = ZCB_TORRENT_PORT;
    at[5] = (uint8_t)(port >> 8);
    at[6] = (uint8_t)port;
    return 7;
}

int
zcb_torrent_write_request(void *out, size_t room, uint32_t index, uint32_t begin, uint32_t length)
{
    return write_message(out, room, 13, ZCB_TORRENT_REQUEST, 3, index, begin, length);
}

int
zcb_torrent_write_cancel(void *out, size_t room, uint32_t index, uint32_t begin, uint32_t length)
{
    return write_message(out, room, 13, ZCB_TORRENT_CANCEL, 3, index, begin, length);
}

int
zcb_torrent_write_reject(void *out, size_t room, uint32_t index, uint32_t begin, uint32_t length)
{
    return write_message(out, room, 13, ZCB_TORRENT_REJECT, 3, index, begin, length);
}

int
zcb_torrent_write_suggest(void *out, size_t room, uint32_t index)
{
    return write_message(out, room, 5, ZCB_TORRENT_SUGGEST, 1, index, 0, 0);
}

int
zcb_torrent_write_allowed_fast(void *out, size_t room, uint32_t index)
{
    return write_message(out, room, 5, ZCB_TORRENT_ALLOWED_FAST, 1, index, 0, 0);
}

int
zcb_torrent_write_bitfield(void *out, size_t room, const void *bits, size_t len)
{
    if (out == NULL || (bits == NULL && len != 0))
        return -EINVAL;
    if (room < 5 || len > room - 5 || len > INT32_MAX - 5)
        return -ERANGE;
    if (len != 0)
        memmove((uint8_t *)out + 5, bits, len);
    return write_message(out, room, 1 + (uint32_t)len, ZCB_TORRENT_BITFIELD, 0, 0, 0, 0) + (int)len;
}

int
zcb_torrent_write_piece(void *out, size_t room, uint32_t index, uint32_t begin, size_t payload_len)
{
    if (payload_len > UINT32_MAX - 9)
        return -EOVERFLOW;
    return write_message(out, room, 9 + (uint32_t)payload_len, ZCB_TORRENT_PIECE, 2, index, begin,
                         0);
}

int
zcb_torrent_write_extended(void *out, size_t room, uint8_t extended_id, size_t payload_len)
{
    if (payload_len > UINT32_MAX - 2)
        return -EOVERFLOW;
    if (out != NULL && room < 6)
        return -ERANGE;
    if (write_message(out, room, 2 + (uint32_t)payload_len, ZCB_TORRENT_EXTENDED, 0, 0, 0, 0) < 0)
        return -EINVAL;
    ((uint8_t *)out)[5] = extended_id;
    return 6;
}
