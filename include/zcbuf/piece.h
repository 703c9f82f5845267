// SPDX-License-Identifier: MIT
//
// zcbuf/piece.h: preallocated assembly of a piece from blocks that arrive in any order.
//
//     |  block 0  |  block 1  |  block 2  | last |  one buffer; each block has its place
//     |<--------->| block_size (16 KiB)   |<---->| what is left of `length`
//
// Three ways in: zcb_piece_write() from memory, zcb_piece_write_chain() straight from a receive
// buffer (both: one copy, counted as ZCB_COPY_PIECE), and reserve_block, recv() into place,
// commit_block (no copy at all). A block is either missing, reserved by one peer, or received; the
// first valid one wins. Only blocks of exactly their length are accepted, and nothing is ever
// written outside the block.
//
// While it fills, zcb_piece_frontier() says how many bytes from the start are complete, so that a
// hash can follow while they are in cache. zcb_piece_take() gives the finished piece as one packet,
// without copying.
//
// `from` is the caller's number for a peer; it is kept for each block, so that after a hash that
// does not match the caller knows whom to blame.
//
// Limits: at most 2^31 blocks. Memory: the buffer, and 4.25 bytes of bookkeeping a block.
// Threads: one at a time; packets from share and take are free of that.
#ifndef ZCBUF_PIECE_H
#define ZCBUF_PIECE_H

#include <zcbuf/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zcb_piece_config {
    size_t block_size; // 0: 16384
    // Where to assemble: taken on success; set your own variable to NULL then: this call cannot,
    // since the config is const. Empty, with a tailroom of at least `length`; its memory may be a
    // mapped file. NULL: acquired from the pool.
    struct zcb_buf *buf;
    // Where to keep the bookkeeping: `state_size` bytes of yours, aligned as malloc() aligns, at
    // least zcb_piece_state_size(). They are yours again after destroy or take. With it, and a buf
    // from a pool, a piece costs no allocation. NULL: allocated.
    void *state;
    size_t state_size;
    void *reserved[2]; // NULL
};

#define ZCB_PIECE_NOBODY UINT32_MAX // `from` of a block that nobody has sent

// Bytes of bookkeeping for a piece of `length` bytes in blocks of `block_size` (0: 16384); 0 where
// there can be no such piece.
ZCB_API size_t zcb_piece_state_size(size_t length, size_t block_size);

// Makes an empty piece of `length` bytes.
// 0; -EINVAL (length 0, reserved fields, a buf that is not empty, state that is not aligned; both
// pool and buf NULL); -ERANGE (the buf, or state, is too small); -EOVERFLOW (more than 2^31
// blocks); -ENOMEM and acquire's errors.
ZCB_API ZCB_MUST_CHECK int zcb_piece_create(struct zcb_pool *pool, size_t length,
                                            const struct zcb_piece_config *config,
                                            struct zcb_piece **out);

// Drops the piece; packets of it stay valid. Sets *piece to NULL; NULL is fine.
ZCB_API void zcb_piece_destroy(struct zcb_piece **piece);

// Copies a whole block in. `len` must be the block's length. A block that another peer has reserved
// is -EBUSY; one that `from` has reserved itself is written and its reservation ends. `from` may be
// ZCB_PIECE_NOBODY here: bytes whose sender does not matter, as of a file that is checked.
// 0; -ERANGE (no such block); -EINVAL (wrong length, NULL data); -EALREADY (received before: the
// first stays); -EBUSY.
ZCB_API ZCB_MUST_CHECK int zcb_piece_write(struct zcb_piece *piece, uint32_t block,
                                           const void *data, size_t len, uint32_t from);

// The same from `len` bytes at `off` of a chain, which keeps them. Also -EAGAIN: the chain has
// fewer.
ZCB_API ZCB_MUST_CHECK int zcb_piece_write_chain(struct zcb_piece *piece, uint32_t block,
                                                 const struct zcb_chain *chain, size_t off,
                                                 size_t len, uint32_t from);

// Reserves a missing block for `from` alone and says in *out where its bytes go, to be filled in
// any order until commit or cancel. Reserving again what `from` has reserved gives the same place.
// The memory stays valid until then; a peer whose reservation was cancelled must not write into it.
// 0; -ERANGE; -EINVAL (from is ZCB_PIECE_NOBODY); -EALREADY (received); -EBUSY (reserved by
// another).
ZCB_API ZCB_MUST_CHECK int zcb_piece_reserve_block(struct zcb_piece *piece, uint32_t block,
                                                   uint32_t from, struct iovec *out);

// All bytes of the reserved block are in place: it counts as received.
// 0; -ERANGE; -EINVAL (not reserved by `from`); -EALREADY (received).
ZCB_API ZCB_MUST_CHECK int zcb_piece_commit_block(struct zcb_piece *piece, uint32_t block,
                                                  uint32_t from);

// Ends a reservation: the block is missing again and what was written into it has no meaning. The
// caller cancels for a peer that died, or for one that trickles, with that peer's number.
// 0; -ERANGE; -EINVAL (not reserved by `from`).
ZCB_API ZCB_MUST_CHECK int zcb_piece_cancel_block(struct zcb_piece *piece, uint32_t block,
                                                  uint32_t from);

// Whether a block has been received; false outside the piece.
ZCB_API bool zcb_piece_has(const struct zcb_piece *piece, uint32_t block);
ZCB_API bool zcb_piece_is_complete(const struct zcb_piece *piece);

// Who sent, or has reserved, a block; ZCB_PIECE_NOBODY: missing, or outside the piece.
ZCB_API uint32_t zcb_piece_from(const struct zcb_piece *piece, uint32_t block);

ZCB_API uint32_t zcb_piece_blocks(const struct zcb_piece *piece);
ZCB_API size_t zcb_piece_length(const struct zcb_piece *piece);

// The length of a block: block_size, or what is left for the last; 0 outside the piece.
ZCB_API size_t zcb_piece_block_length(const struct zcb_piece *piece, uint32_t block);

// The first block from `start` on that is neither received nor reserved; zcb_piece_blocks() where
// there is none. O(blocks / 64).
ZCB_API uint32_t zcb_piece_next_missing(const struct zcb_piece *piece, uint32_t start);

// Bytes received, all blocks together.
ZCB_API size_t zcb_piece_received(const struct zcb_piece *piece);

// Bytes complete from the start, without a gap. Amortised O(1).
ZCB_API size_t zcb_piece_frontier(const struct zcb_piece *piece);

// A packet of bytes that have been received (a hasher's view; valid as long as it is held, whatever
// becomes of the piece). len 0: an empty packet. Up to the frontier O(1), beyond it O(blocks / 64).
// 0; -ERANGE (outside the piece); -EAGAIN (not all of them received).
ZCB_API ZCB_MUST_CHECK int zcb_piece_share(const struct zcb_piece *piece, size_t off, size_t len,
                                           struct zcb_packet *out);

// The finished piece as one packet; nothing is copied. Takes the piece: *piece becomes NULL.
// 0; -EAGAIN (not complete).
ZCB_API ZCB_MUST_CHECK int zcb_piece_take(struct zcb_piece **piece, struct zcb_packet *out);

// Starts over in the same memory: all blocks missing, all reservations ended. 0; -EBUSY: packets of
// this memory are out, from share or published from config.buf before.
ZCB_API ZCB_MUST_CHECK int zcb_piece_reset(struct zcb_piece *piece);

#ifdef ZCB_HAVE_AUTO
#define ZCB_AUTO_PIECE ZCB_AUTO(zcb_piece_destroy)
#endif

#ifdef __cplusplus
}
#endif
#endif
