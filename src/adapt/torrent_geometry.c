// SPDX-License-Identifier: MIT
//
// Which bytes a piece and a block are. Divisions and comparisons only: nothing here can wrap.
#include "torrent.h"

#define LENGTH_MAX (UINT32_C(1) << 31)
#define PIECES_MAX (UINT32_C(1) << 31)

extern inline bool zcb_torrent_bit(const uint8_t *bits, uint32_t piece);

static uint32_t
blocks_of(uint32_t length, uint32_t block_length)
{
    return length / block_length + (length % block_length != 0);
}

int
zcb_torrent_geometry_init(struct zcb_torrent_geometry *out, uint64_t total_length,
                          uint32_t piece_length, uint32_t block_length)
{
    uint64_t whole;
    uint32_t rest;

    if (block_length == 0)
        block_length = ZCB_TORRENT_BLOCK;
    if (out == NULL || total_length == 0 || piece_length == 0 || piece_length > LENGTH_MAX ||
        block_length > LENGTH_MAX)
        return -EINVAL;
    whole = total_length / piece_length;
    rest = (uint32_t)(total_length % piece_length);
    if (whole > PIECES_MAX || whole + (rest != 0) > PIECES_MAX)
        return -EOVERFLOW;
    out->total_length = total_length;
    out->piece_length = piece_length;
    out->last_piece_length = rest != 0 ? rest : piece_length;
    out->piece_count = (uint32_t)whole + (rest != 0);
    out->block_length = block_length;
    out->piece_blocks = blocks_of(piece_length, block_length);
    out->last_piece_blocks = blocks_of(out->last_piece_length, block_length);
    return 0;
}

uint32_t
zcb_torrent_piece_length(const struct zcb_torrent_geometry *geometry, uint32_t piece)
{
    if (piece >= geometry->piece_count)
        return 0;
    return piece == geometry->piece_count - 1 ? geometry->last_piece_length
                                              : geometry->piece_length;
}

uint32_t
zcb_torrent_piece_blocks(const struct zcb_torrent_geometry *geometry, uint32_t piece)
{
    if (piece >= geometry->piece_count)
        return 0;
    return piece == geometry->piece_count - 1 ? geometry->last_piece_blocks
                                              : geometry->piece_blocks;
}

uint64_t
zcb_torrent_piece_offset(const struct zcb_torrent_geometry *geometry, uint32_t piece)
{
    return piece < geometry->piece_count ? (uint64_t)piece * geometry->piece_length : 0;
}

uint32_t
zcb_torrent_block_length(const struct zcb_torrent_geometry *geometry, uint32_t piece,
                         uint32_t block)
{
    uint32_t length, begin;

    if (block >= zcb_torrent_piece_blocks(geometry, piece))
        return 0;
    length = zcb_torrent_piece_length(geometry, piece);
    begin = block * geometry->block_length; // below the piece's length
    return length - begin < geometry->block_length ? length - begin : geometry->block_length;
}

int
zcb_torrent_geometry_check(const struct zcb_torrent_geometry *geometry, uint32_t piece,
                           uint32_t begin, uint32_t length)
{
    uint32_t piece_length = zcb_torrent_piece_length(geometry, piece);

    return length == 0 || begin > piece_length || length > piece_length - begin ? -ERANGE : 0;
}

size_t
zcb_torrent_bitfield_size(const struct zcb_torrent_geometry *geometry)
{
    return (size_t)geometry->piece_count / 8 + (geometry->piece_count % 8 != 0);
}

int
zcb_torrent_bitfield_check(const struct zcb_torrent_geometry *geometry, const void *bits,
                           size_t len)
{
    const uint8_t *bytes = bits;

    if (bytes == NULL || len == 0 || len != zcb_torrent_bitfield_size(geometry))
        return -EBADMSG;
    return (bytes[len - 1] & ~torrent_last_bits(geometry)) != 0 ? -EBADMSG : 0;
}
