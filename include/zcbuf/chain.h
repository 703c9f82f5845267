// SPDX-License-Identifier: MIT
//
// zcbuf/chain.h: the chunked receive buffer: packets in a queue, read as one stream of bytes.
//
//     front                                                          back
//     [ chunk 0 ........ ][ chunk 1 .. ][ chunk 2 ............. | room ]
//        ^ cur           ^ end                                  ^ reserve, commit
//
// Bytes come in by push (a packet, by reference), append (copied) or reserve and commit (recv()
// writes straight into pooled memory). They are read in place by peek, at any offset, and go out by
// discard, consume (copied out) or take (the reference moves out). Views of one block that lie side
// by side are merged into one chunk, so a message that recv() delivered in pieces is contiguous
// again.
//
// Cost: push, discard, reserve, commit are amortised O(1); anything at an offset is O(1) inside the
// first chunk, else O(log chunks). In steady state nothing is allocated: a few chunks live in the
// struct itself, more in a ring that grows by doubling.
//
// Borrowed pointers (from peek, iov and a cursor's peek) stay valid until the next call that
// changes the chain's bytes; reserve and trim do not.
//
// Offsets count from the front. What goes beyond the end is -EAGAIN (peek: NULL), for 0 bytes too.
//
// A chain is a transparent struct to be embedded; it must not be copied or moved in memory (use
// zcb_chain_move). Its first three members are read by the inline functions below and may be read
// by anybody; nothing in it may be written.
//
// Threads: one at a time. Packets that were taken or sliced out of it are free.
#ifndef ZCBUF_CHAIN_H
#define ZCBUF_CHAIN_H

#include <string.h>

#include <zcbuf/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zcb_chain {
    const uint8_t *cur; // first unread byte; never NULL after init
    const uint8_t *end; // end of the chunk it is in
    size_t len;         // bytes in the whole chain
    uint64_t opaque[45];
};

// Every limit can be reached by what a peer sends, so each has a finite default; SIZE_MAX lifts it.
struct zcb_chain_config {
    // What reserve acquires at a time: the size of a tier of the pool, less its headroom. 0: 65536,
    // or what the pool's largest tier holds after its headroom if that is less.
    size_t chunk_size;
    // Pushed packets shorter than this are copied together instead of kept by reference, so that
    // tiny packets do not pin a block each (counted as ZCB_COPY_APPEND; needs a pool). What
    // continues the last chunk is merged instead, and push_front never copies. 0: never.
    size_t copy_below;
    size_t max_chunks; // at most 2^31, also where more is set. 0: 1048576
    size_t max_bytes;  // 0: 1 GiB
    size_t max_pinned; // see zcb_chain_pinned(). 0: 4 GiB
    void *reserved[4]; // NULL
};

// Makes an empty chain in *chain. `pool` gives memory to reserve, append, take and gather; with
// NULL these fail with -EINVAL where they would need it, and everything by reference works. The
// pool must outlive the chain. Allocates nothing.
// 0, -EINVAL (NULL chain, reserved fields, copy_below without a pool).
ZCB_API ZCB_MUST_CHECK int zcb_chain_init(struct zcb_chain *chain, struct zcb_pool *pool,
                                          const struct zcb_chain_config *config);

// Lets go of all bytes and memory. The chain is then all zero: finish again is fine, everything
// else needs init. O(chunks). Cannot fail.
ZCB_API void zcb_chain_finish(struct zcb_chain *chain);

ZCB_INLINE size_t
zcb_chain_len(const struct zcb_chain *chain)
{
    return chain->len;
}

// Chunks in the queue: pieces of contiguous memory. O(1).
ZCB_API size_t zcb_chain_chunks(const struct zcb_chain *chain);

// Bytes of memory that the chain keeps alive: whole blocks, each counted once per run of its views,
// and blocks it holds to receive into. Far above zcb_chain_len() where small views hold large
// blocks. O(1).
ZCB_API size_t zcb_chain_pinned(const struct zcb_chain *chain);

// Lets go of blocks kept for the next reserve, and of a ring that has become too large: for a
// connection that is idle. Ends a reservation; borrowed pointers stay valid. A ring that is still
// needed in part is replaced by a smaller one, if that can be had. O(chunks). Cannot fail.
ZCB_API void zcb_chain_trim(struct zcb_chain *chain);

// ---- bytes in

// Adds the packet at the back (front) and takes it: on success *packet is empty. An empty packet is
// taken and adds nothing. One that continues the chunk there (same block, next byte) becomes part
// of it. A slice of the chain itself may be pushed. Ends an uncommitted reservation. Amortised
// O(1).
// 0; -EINVAL (NULL); -ENOBUFS (max_chunks, max_bytes or max_pinned); -ENOMEM; with copy_below also
// acquire's errors. On failure the packet is still the caller's.
ZCB_API ZCB_MUST_CHECK int zcb_chain_push(struct zcb_chain *chain, struct zcb_packet *packet);
ZCB_API ZCB_MUST_CHECK int zcb_chain_push_front(struct zcb_chain *chain, struct zcb_packet *packet);

// Copies `len` bytes to the back (ZCB_COPY_APPEND), all or nothing.
// 0; -EINVAL (NULL data with a length, no pool); -ENOBUFS; -ENOMEM; acquire's errors. Ends an
// uncommitted reservation.
ZCB_API ZCB_MUST_CHECK int zcb_chain_append(struct zcb_chain *chain, const void *data, size_t len);

// Room at the back for at least `min` bytes (0 counts as 1), in up to `n` iovecs (at most 16 are
// used): give them to readv().
// Returns how many were filled in. What is in use already comes first, then new blocks, up to
// chunk_size bytes in all or `min` where that is more; with n == 1 a new block if the present one
// has less than `min` left. Blocks that are not filled are kept for the next time (see trim). Where
// there is room for `min` but no more, it is less than chunk_size. Borrowed pointers stay valid. A
// block that is drained and not shared is used from its start again. Amortised O(1) per block.
//
// What ends a reservation: another reserve replaces it; commit, push, push_front, append, trim and
// finish end it; move ends it on both chains, split on `front` only. Everything else leaves it,
// reads, discard, consume and take too, and so does a call that failed.
// -EINVAL (NULL, n < 1, no pool); -ENOBUFS (max_bytes, max_pinned, max_chunks); -ENOMEM; acquire's
// errors. On failure an earlier reservation stays.
ZCB_API ZCB_MUST_CHECK int zcb_chain_reserve(struct zcb_chain *chain, size_t min, struct iovec *iov,
                                             int n);

// The first `len` bytes of the reservation are now written: they are part of the chain, and the
// reservation ends. 0 is fine (nothing came, EAGAIN, EINTR).
// 0; -EINVAL (NULL); -ERANGE (more than was reserved): the reservation stays. Allocates nothing.
ZCB_API ZCB_MUST_CHECK int zcb_chain_commit(struct zcb_chain *chain, size_t len);

// ---- bytes seen

// For zcb_chain_peek, zcb_chain_discard and zcb_chain_consume; call those.
ZCB_API const uint8_t *zcb_chain_peek_slow(const struct zcb_chain *chain, size_t off, size_t len,
                                           void *scratch);
ZCB_API int zcb_chain_discard_slow(struct zcb_chain *chain, size_t len);
ZCB_API int zcb_chain_consume_slow(struct zcb_chain *chain, void *dst, size_t len);

// `len` bytes at `off`: a pointer into the chain where they are contiguous, else they are copied
// into `scratch` (`len` bytes of the caller's; ZCB_COPY_PEEK) and that is returned; with a NULL
// scratch: contiguous only. NULL: fewer bytes are there (or not contiguous). len 0 gives a pointer
// that is not NULL while off is at most the chain's length.
ZCB_INLINE const uint8_t *
zcb_chain_peek(const struct zcb_chain *chain, size_t off, size_t len, void *scratch)
{
    size_t here = (size_t)(chain->end - chain->cur);

    if (ZCB_LIKELY(off <= here && len <= here - off))
        return chain->cur + off;
    return zcb_chain_peek_slow(chain, off, len, scratch);
}

// An integer at `off`, big endian (be, network order) or little endian (le).
// 0; -EAGAIN: fewer bytes are there.
#define ZCB_CHAIN_PEEK_INT(name, type, order)                                                      \
    ZCB_INLINE ZCB_MUST_CHECK int zcb_chain_peek_##name(const struct zcb_chain *chain, size_t off, \
                                                        type *out)                                 \
    {                                                                                              \
        uint8_t scratch[sizeof(type)];                                                             \
        type value;                                                                                \
        const uint8_t *at = zcb_chain_peek(chain, off, sizeof(type), scratch);                     \
                                                                                                   \
        if (ZCB_UNLIKELY(at == NULL))                                                              \
            return -EAGAIN;                                                                        \
        memcpy(&value, at, sizeof(value));                                                         \
        *out = order(value);                                                                       \
        return 0;                                                                                  \
    }

#define ZCB_SAME(x) (x)
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ZCB_BE16(x) (x)
#define ZCB_BE32(x) (x)
#define ZCB_BE64(x) (x)
#define ZCB_LE16(x) __builtin_bswap16(x)
#define ZCB_LE32(x) __builtin_bswap32(x)
#define ZCB_LE64(x) __builtin_bswap64(x)
#else
#define ZCB_BE16(x) __builtin_bswap16(x)
#define ZCB_BE32(x) __builtin_bswap32(x)
#define ZCB_BE64(x) __builtin_bswap64(x)
#define ZCB_LE16(x) (x)
#define ZCB_LE32(x) (x)
#define ZCB_LE64(x) (x)
#endif

ZCB_CHAIN_PEEK_INT(u8, uint8_t, ZCB_SAME)
ZCB_CHAIN_PEEK_INT(u16be, uint16_t, ZCB_BE16)
ZCB_CHAIN_PEEK_INT(u16le, uint16_t, ZCB_LE16)
ZCB_CHAIN_PEEK_INT(u32be, uint32_t, ZCB_BE32)
ZCB_CHAIN_PEEK_INT(u32le, uint32_t, ZCB_LE32)
ZCB_CHAIN_PEEK_INT(u64be, uint64_t, ZCB_BE64)
ZCB_CHAIN_PEEK_INT(u64le, uint64_t, ZCB_LE64)

// A variable-length integer at `off`: LEB128 (unsigned, as in protobuf and DWARF; at most 10 bytes)
// or QUIC's (RFC 9000, section 16; 1, 2, 4 or 8 bytes). Encodings that are longer than need be are
// valid in both. Counts no copy.
// Returns the bytes it takes; -EAGAIN: it goes on behind the last byte; -EBADMSG: LEB128 that does
// not fit 64 bits, or has an eleventh byte; -EINVAL (NULL chain).
ZCB_API ZCB_MUST_CHECK int zcb_chain_peek_leb128(const struct zcb_chain *chain, size_t off,
                                                 uint64_t *out);
ZCB_API ZCB_MUST_CHECK int zcb_chain_peek_quic(const struct zcb_chain *chain, size_t off,
                                               uint64_t *out);

// Copies `len` bytes at `off` out, all or nothing (ZCB_COPY_COPY_TO).
// 0; -EAGAIN: fewer are there; -EINVAL (NULL chain; NULL dst with a length).
ZCB_API ZCB_MUST_CHECK int zcb_chain_copy_to(const struct zcb_chain *chain, size_t off, void *dst,
                                             size_t len);

// The first place from `off` on where `n` bytes equal `pattern` (one byte; CR LF), in *at as an
// offset from the chain's front; across chunks too. Time linear in what is searched whatever the
// pattern, and no memory: the two-way algorithm.
// 0; -EINVAL (n 0, NULL); -EAGAIN: not there yet; to search on, remember
// `len > off + n - 1 ? len - (n - 1) : off` (len as it is now) before more comes.
ZCB_API ZCB_MUST_CHECK int zcb_chain_find(const struct zcb_chain *chain, size_t off,
                                          const void *pattern, size_t n, size_t *at);
ZCB_API ZCB_MUST_CHECK int zcb_chain_find_byte(const struct zcb_chain *chain, size_t off,
                                               uint8_t byte, size_t *at);
ZCB_API ZCB_MUST_CHECK int zcb_chain_find_crlf(const struct zcb_chain *chain, size_t off,
                                               size_t *at);

// The chain from `off` on as up to `n` iovecs, for writev(); at most IOV_MAX (1024) are filled.
// Returns how many, *len (may be NULL) is how many bytes they cover: discard what was written and
// ask again. 0 at the end. -EINVAL (n < 0, NULL); -EAGAIN (off beyond the end).
ZCB_API ZCB_MUST_CHECK int zcb_chain_iov(const struct zcb_chain *chain, size_t off,
                                         struct iovec *iov, int n, size_t *len);

// ---- bytes out

// Drops `len` bytes from the front.
// 0; -EAGAIN: fewer are there, nothing was dropped. The result may be ignored where the length has
// just been seen. Amortised O(1).
ZCB_INLINE int
zcb_chain_discard(struct zcb_chain *chain, size_t len)
{
    if (ZCB_UNLIKELY(len >= (size_t)(chain->end - chain->cur)))
        return zcb_chain_discard_slow(chain, len);
    chain->cur += len;
    chain->len -= len;
    return 0;
}

// copy_to, then discard (ZCB_COPY_CONSUME).
// 0; -EAGAIN; -EINVAL.
ZCB_API ZCB_MUST_CHECK int zcb_chain_consume(struct zcb_chain *chain, void *dst, size_t len);

// Cuts the first `len` bytes off as a packet, the caller's. Inside one chunk nothing is copied: the
// reference moves with the chunk's last bytes, and a part costs at most one more. Bytes that cross
// chunks are copied into a buffer of the pool (ZCB_COPY_TAKE). 0 bytes give an empty packet.
// 0; -EAGAIN; -EINVAL (crosses, and no pool); acquire's errors. On failure nothing changed.
ZCB_API ZCB_MUST_CHECK int zcb_chain_take(struct zcb_chain *chain, size_t len,
                                          struct zcb_packet *out);

// A packet of `len` bytes at `off`, sharing; the chain keeps them.
// 0; -EAGAIN; -EXDEV: they cross chunks (gather them).
ZCB_API ZCB_MUST_CHECK int zcb_chain_slice(const struct zcb_chain *chain, size_t off, size_t len,
                                           struct zcb_packet *out);

// The same, but copies where they cross (ZCB_COPY_GATHER).
// Returns 0: shared; 1: copied; -EAGAIN; -EINVAL (crosses, no pool); acquire's errors.
ZCB_API ZCB_MUST_CHECK int zcb_chain_gather(const struct zcb_chain *chain, size_t off, size_t len,
                                            struct zcb_packet *out);

// Moves the first `len` bytes to the back of `front`, another initialised chain, by reference.
// O(chunks moved).
// 0; -EAGAIN; -EINVAL (the same chain); -ENOBUFS, -ENOMEM (front's limits, its ring): nothing
// moved.
ZCB_API ZCB_MUST_CHECK int zcb_chain_split(struct zcb_chain *chain, size_t len,
                                           struct zcb_chain *front);

// Moves everything in `src` to the back of `dst`; src is then empty and usable. O(1) into an empty
// chain, else O(chunks of src). Blocks that src holds to receive into stay with it.
// 0; -EINVAL (the same chain); -ENOBUFS, -ENOMEM: nothing moved.
ZCB_API ZCB_MUST_CHECK int zcb_chain_move(struct zcb_chain *dst, struct zcb_chain *src);

// ---- a reader that does not consume

// Reads forward through a chain that does not change meanwhile; O(1) per step, init and long skips
// O(log chunks). Many may be on one chain, and a cursor is a value: copy it to come back to a
// place. After the chain was changed: init again. read counts as ZCB_COPY_COPY_TO; an integer that
// crosses chunks as ZCB_COPY_PEEK.
struct zcb_cursor {
    const uint8_t *cur;
    const uint8_t *end;
    size_t left; // bytes from here to the chain's end
    const struct zcb_chain *chain;
    uint64_t opaque[4];
};

// 0; -EAGAIN: `off` is beyond the end.
ZCB_API ZCB_MUST_CHECK int zcb_cursor_init(struct zcb_cursor *cursor, const struct zcb_chain *chain,
                                           size_t off);

// All or nothing: 0; -EAGAIN: fewer are left, the cursor stays.
ZCB_API ZCB_MUST_CHECK int zcb_cursor_read(struct zcb_cursor *cursor, void *dst, size_t len);
ZCB_API ZCB_MUST_CHECK int zcb_cursor_skip(struct zcb_cursor *cursor, size_t len);
ZCB_API ZCB_MUST_CHECK int zcb_cursor_u8(struct zcb_cursor *cursor, uint8_t *out);
ZCB_API ZCB_MUST_CHECK int zcb_cursor_u16be(struct zcb_cursor *cursor, uint16_t *out);
ZCB_API ZCB_MUST_CHECK int zcb_cursor_u16le(struct zcb_cursor *cursor, uint16_t *out);
ZCB_API ZCB_MUST_CHECK int zcb_cursor_u32be(struct zcb_cursor *cursor, uint32_t *out);
ZCB_API ZCB_MUST_CHECK int zcb_cursor_u32le(struct zcb_cursor *cursor, uint32_t *out);
ZCB_API ZCB_MUST_CHECK int zcb_cursor_u64be(struct zcb_cursor *cursor, uint64_t *out);
ZCB_API ZCB_MUST_CHECK int zcb_cursor_u64le(struct zcb_cursor *cursor, uint64_t *out);

// Bytes the integer took, as in zcb_chain_peek_leb128() and _quic(); the cursor is behind it.
ZCB_API ZCB_MUST_CHECK int zcb_cursor_leb128(struct zcb_cursor *cursor, uint64_t *out);
ZCB_API ZCB_MUST_CHECK int zcb_cursor_quic(struct zcb_cursor *cursor, uint64_t *out);

// The next bytes that are contiguous, at least 1 where any are left; *len says how many. NULL at
// the end.
ZCB_API const uint8_t *zcb_cursor_peek(const struct zcb_cursor *cursor, size_t *len);

ZCB_API size_t zcb_cursor_tell(const struct zcb_cursor *cursor); // offset from the chain's front
ZCB_API size_t zcb_cursor_left(const struct zcb_cursor *cursor);

#ifdef ZCB_HAVE_AUTO
#define ZCB_AUTO_CHAIN ZCB_AUTO(zcb_chain_finish)
#endif

#ifdef __cplusplus
}
#endif
#endif
