// SPDX-License-Identifier: MIT
//
// Piece assembly: see zcbuf/piece.h for what it is.
//
// One piece of memory, allocated or the caller's, holds the struct and three arrays, one entry a
// block:
//
//     held      bit: received or reserved. What next_missing searches
//     received  bit: received. Always a subset of held
//     from      number of the peer; means something only where held is set: not initialised
//
// missing --reserve--> reserved --commit--> received;  reserved --cancel--> missing;  missing or
// one's own reservation --write--> received. Only received() makes a block received; it alone moves
// the frontier.
//
// The buf stays empty, as seen by the writer, until take: blocks go behind its data, in what it
// thinks is tailroom. A packet from share takes a reference of its own to the same block, as those
// of zcb_buf_publish() do, so that the memory outlives the piece. Bytes of a received block are
// never written again while such packets exist: reset refuses.
#include <zcbuf/piece.h>

#include <stdlib.h>
#include <string.h>

#include <zcbuf/buf.h>
#include <zcbuf/chain.h>
#include <zcbuf/packet.h>
#include <zcbuf/pool.h>

#include "base/block.h"
#include "base/count_copy.h"

#define DEFAULT_BLOCK_SIZE 16384u
#define MAX_BLOCKS (UINT64_C(1) << 31)

// Chunks of a chain that are looked up at a time: more than 1448-byte packets in 16 KiB.
#define WINDOW 16

struct zcb_piece {
    struct zcb_buf *buf;
    uint8_t *memory; // where the buf's data begin
    size_t length;
    size_t block_size;
    size_t received_bytes;
    uint32_t blocks;
    uint32_t frontier; // the first block that has not been received; `blocks` when complete
    uint64_t *held;
    uint64_t *received;
    uint32_t *from;
    bool allocated; // or in memory of the caller's
};

static bool
bit(const uint64_t *words, uint32_t n)
{
    return (words[n / 64] >> (n % 64) & 1) != 0;
}

static void
set_bit(uint64_t *words, uint32_t n)
{
    words[n / 64] |= UINT64_C(1) << (n % 64);
}

static void
clear_bit(uint64_t *words, uint32_t n)
{
    words[n / 64] &= ~(UINT64_C(1) << (n % 64));
}

static unsigned
trailing_zeros(uint64_t word)
{
#if defined(__GNUC__)
    return (unsigned)__builtin_ctzll(word);
#else
    unsigned n = 0;

    while ((word & 1) == 0) {
        word >>= 1;
        n++;
    }
    return n;
#endif
}

// The first bit from `start` on that is not set; `count` where there is none.
static uint32_t
first_clear(const uint64_t *words, uint32_t count, uint32_t start)
{
    uint32_t words_count = (count + 63) / 64, w = start / 64;
    uint64_t clear;

    if (start >= count)
        return count;
    clear = ~words[w] & (~UINT64_C(0) << (start % 64));
    while (clear == 0) {
        if (++w == words_count)
            return count;
        clear = ~words[w];
    }
    // Spare bits of the last word are clear too, and the first of them has the number `count`.
    return w * 64 + trailing_zeros(clear);
}

// Where a block lies. Neither wraps: block < blocks, so the product is below `length`.
static size_t
offset_of(const struct zcb_piece *piece, uint32_t block)
{
    return (size_t)((uint64_t)block * piece->block_size);
}

static size_t
length_of(const struct zcb_piece *piece, uint32_t block)
{
    size_t left = piece->length - offset_of(piece, block);

    return left < piece->block_size ? left : piece->block_size;
}

// Whether `from` may have the block now: 0, -EALREADY or -EBUSY.
static int
claim(const struct zcb_piece *piece, uint32_t block, uint32_t from)
{
    if (bit(piece->received, block))
        return -EALREADY;
    if (bit(piece->held, block) && piece->from[block] != from)
        return -EBUSY;
    return 0;
}

// All bytes of the block are in place.
static void
received(struct zcb_piece *piece, uint32_t block, uint32_t from)
{
    set_bit(piece->held, block);
    set_bit(piece->received, block);
    piece->from[block] = from;
    piece->received_bytes += length_of(piece, block);
    if (block == piece->frontier)
        piece->frontier = first_clear(piece->received, piece->blocks, block + 1);
}

// 0: not addressable, or more than MAX_BLOCKS.
static uint32_t
count_blocks(size_t length, size_t block_size)
{
    uint64_t blocks = (uint64_t)((length - 1) / block_size) + 1;

    return blocks <= MAX_BLOCKS ? (uint32_t)blocks : 0;
}

static size_t
words_of(uint32_t blocks)
{
    return (size_t)(((uint64_t)blocks + 63) / 64);
}

// At most 2^31 blocks: this cannot wrap in 64 bits, but it can be more than a 32-bit machine
// addresses: then 0.
static size_t
state_size(uint32_t blocks)
{
    uint64_t bytes = sizeof(struct zcb_piece) + 2 * (uint64_t)words_of(blocks) * sizeof(uint64_t) +
                     (uint64_t)blocks * sizeof(uint32_t);

    return bytes <= SIZE_MAX ? (size_t)bytes : 0;
}

size_t
zcb_piece_state_size(size_t length, size_t block_size)
{
    uint32_t blocks =
        length != 0 ? count_blocks(length, block_size != 0 ? block_size : DEFAULT_BLOCK_SIZE) : 0;

    return blocks != 0 ? state_size(blocks) : 0;
}

static int
check_config(const struct zcb_pool *pool, size_t length, const struct zcb_piece_config *config)
{
    for (size_t i = 0; i < sizeof(config->reserved) / sizeof(config->reserved[0]); i++) {
        if (config->reserved[i] != NULL)
            return -EINVAL;
    }
    if (length == 0 || (pool == NULL && config->buf == NULL) ||
        (uintptr_t)config->state % _Alignof(struct zcb_piece) != 0 ||
        (config->state == NULL && config->state_size != 0))
        return -EINVAL;
    if (config->buf != NULL && zcb_buf_len(config->buf) != 0)
        return -EINVAL;
    return 0;
}

static void
let_go(struct zcb_piece *piece)
{
    if (piece->allocated)
        free(piece);
}

int
zcb_piece_create(struct zcb_pool *pool, size_t length, const struct zcb_piece_config *config,
                 struct zcb_piece **out)
{
    static const struct zcb_piece_config defaults;
    struct zcb_piece *piece;
    size_t block_size, bytes;
    uint32_t blocks;
    int result;

    if (config == NULL)
        config = &defaults;
    result = out != NULL ? check_config(pool, length, config) : -EINVAL;
    if (result < 0)
        return result;
    block_size = config->block_size != 0 ? config->block_size : DEFAULT_BLOCK_SIZE;
    blocks = count_blocks(length, block_size);
    if (blocks == 0)
        return -EOVERFLOW;
    bytes = state_size(blocks);
    if (bytes == 0)
        return -ENOMEM;
    if ((config->buf != NULL && zcb_buf_tailroom(config->buf) < length) ||
        (config->state != NULL && config->state_size < bytes))
        return -ERANGE;

    piece = config->state != NULL ? config->state : malloc(bytes);
    if (piece == NULL)
        return -ENOMEM;
    *piece = (struct zcb_piece){
        .buf = config->buf,
        .length = length,
        .block_size = block_size,
        .blocks = blocks,
        .held = (uint64_t *)(void *)(piece + 1),
        .allocated = config->state == NULL,
    };
    piece->received = piece->held + words_of(blocks);
    piece->from = (uint32_t *)(void *)(piece->received + words_of(blocks));
    memset(piece->held, 0, 2 * words_of(blocks) * sizeof(*piece->held));
    if (piece->buf == NULL) {
        result = zcb_pool_acquire(pool, length, &piece->buf);
        if (result < 0) {
            let_go(piece);
            return result;
        }
    }
    piece->memory = zcb_buf_data(piece->buf);
    *out = piece;
    return 0;
}

void
zcb_piece_destroy(struct zcb_piece **piece)
{
    struct zcb_piece *gone;

    if (piece == NULL || *piece == NULL)
        return;
    gone = *piece;
    *piece = NULL;
    zcb_buf_release(&gone->buf);
    let_go(gone);
}

int
zcb_piece_write(struct zcb_piece *piece, uint32_t block, const void *data, size_t len,
                uint32_t from)
{
    int result;

    if (block >= piece->blocks)
        return -ERANGE;
    if (data == NULL || len != length_of(piece, block))
        return -EINVAL;
    result = claim(piece, block, from);
    if (result < 0)
        return result;
    zcb_copy(piece->memory + offset_of(piece, block), data, len, ZCB_COPY_PIECE);
    received(piece, block, from);
    return 0;
}

// Windows of the chain rather than zcb_chain_copy_to(), which would count the bytes as its own.
int
zcb_piece_write_chain(struct zcb_piece *piece, uint32_t block, const struct zcb_chain *chain,
                      size_t off, size_t len, uint32_t from)
{
    struct iovec window[WINDOW];
    size_t done = 0;
    uint8_t *dst;
    int result;

    if (block >= piece->blocks)
        return -ERANGE;
    if (chain == NULL || len != length_of(piece, block))
        return -EINVAL;
    result = claim(piece, block, from);
    if (result < 0)
        return result;
    if (off > zcb_chain_len(chain) || len > zcb_chain_len(chain) - off)
        return -EAGAIN;

    dst = piece->memory + offset_of(piece, block);
    while (done < len) {
        int n = zcb_chain_iov(chain, off + done, window, WINDOW, NULL);

        if (n <= 0)
            return n < 0 ? n : -EAGAIN;
        for (int i = 0; i < n && done < len; i++) {
            size_t part = window[i].iov_len < len - done ? window[i].iov_len : len - done;

            memcpy(dst + done, window[i].iov_base, part);
            done += part;
        }
    }
    zcb_count_copy(ZCB_COPY_PIECE, len);
    received(piece, block, from);
    return 0;
}

int
zcb_piece_reserve_block(struct zcb_piece *piece, uint32_t block, uint32_t from, struct iovec *out)
{
    int result;

    if (block >= piece->blocks)
        return -ERANGE;
    if (out == NULL || from == ZCB_PIECE_NOBODY)
        return -EINVAL;
    result = claim(piece, block, from);
    if (result < 0)
        return result;
    set_bit(piece->held, block);
    piece->from[block] = from;
    out->iov_base = piece->memory + offset_of(piece, block);
    out->iov_len = length_of(piece, block);
    return 0;
}

int
zcb_piece_commit_block(struct zcb_piece *piece, uint32_t block, uint32_t from)
{
    if (block >= piece->blocks)
        return -ERANGE;
    if (bit(piece->received, block))
        return -EALREADY;
    if (!bit(piece->held, block) || piece->from[block] != from)
        return -EINVAL;
    received(piece, block, from);
    return 0;
}

int
zcb_piece_cancel_block(struct zcb_piece *piece, uint32_t block, uint32_t from)
{
    if (block >= piece->blocks)
        return -ERANGE;
    if (bit(piece->received, block) || !bit(piece->held, block) || piece->from[block] != from)
        return -EINVAL;
    clear_bit(piece->held, block);
    return 0;
}

bool
zcb_piece_has(const struct zcb_piece *piece, uint32_t block)
{
    return block < piece->blocks && bit(piece->received, block);
}

bool
zcb_piece_is_complete(const struct zcb_piece *piece)
{
    return piece->frontier == piece->blocks;
}

uint32_t
zcb_piece_from(const struct zcb_piece *piece, uint32_t block)
{
    if (block >= piece->blocks || !bit(piece->held, block))
        return ZCB_PIECE_NOBODY;
    return piece->from[block];
}

uint32_t
zcb_piece_blocks(const struct zcb_piece *piece)
{
    return piece->blocks;
}

size_t
zcb_piece_length(const struct zcb_piece *piece)
{
    return piece->length;
}

size_t
zcb_piece_block_length(const struct zcb_piece *piece, uint32_t block)
{
    return block < piece->blocks ? length_of(piece, block) : 0;
}

uint32_t
zcb_piece_next_missing(const struct zcb_piece *piece, uint32_t start)
{
    return first_clear(piece->held, piece->blocks, start);
}

size_t
zcb_piece_received(const struct zcb_piece *piece)
{
    return piece->received_bytes;
}

size_t
zcb_piece_frontier(const struct zcb_piece *piece)
{
    return zcb_piece_is_complete(piece) ? piece->length : offset_of(piece, piece->frontier);
}

int
zcb_piece_share(const struct zcb_piece *piece, size_t off, size_t len, struct zcb_packet *out)
{
    if (off > piece->length || len > piece->length - off)
        return -ERANGE;
    if (len == 0) {
        *out = zcb_packet_static(piece->memory + off, 0);
        return 0;
    }
    if (off + len > zcb_piece_frontier(piece)) {
        uint32_t first = (uint32_t)(off / piece->block_size);
        uint32_t last = (uint32_t)((off + len - 1) / piece->block_size);

        if (first_clear(piece->received, piece->blocks, first) <= last)
            return -EAGAIN;
    }
    zcb_block_ref(&piece->buf->block);
    *out = (struct zcb_packet){piece->memory + off, len, &piece->buf->block};
    return 0;
}

int
zcb_piece_take(struct zcb_piece **piece, struct zcb_packet *out)
{
    struct zcb_piece *done = *piece;
    int result;

    if (!zcb_piece_is_complete(done))
        return -EAGAIN;
    result = zcb_buf_append(done->buf, done->length, NULL);
    if (result < 0)
        return result; // cannot be: create has seen that there is room
    zcb_buf_share(&done->buf, out);
    let_go(done);
    *piece = NULL;
    return 0;
}

int
zcb_piece_reset(struct zcb_piece *piece)
{
    if (!zcb_block_is_sole(&piece->buf->block))
        return -EBUSY;
    memset(piece->held, 0, 2 * words_of(piece->blocks) * sizeof(*piece->held)); // and received
    piece->received_bytes = 0;
    piece->frontier = 0;
    return 0;
}
