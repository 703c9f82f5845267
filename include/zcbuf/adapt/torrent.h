// SPDX-License-Identifier: MIT
//
// zcbuf/adapt/torrent.h: the BitTorrent peer wire, from the socket to the finished piece.
//
//     socket --recv--> chain --parse--> block's place in its piece --hash--> packet
//        \_________________direct receive____________/
//
// Four things, each of use without the ones behind it:
//
//     geometry    which bytes a piece and a block are; every sum in 64 bits, every index checked
//     peek/write  one message in a chain, taken apart without consuming it; messages into memory
//     assembler   pieces under way, under a budget: which blocks to ask a peer for, where they go,
//                 who sent them, when they are late, what their hash is. One for a torrent
//     wire        one connection: receives, parses, puts payload into its place, keeps the queue
//                 of what was asked for. One for a peer
//
// Neither sockets, nor a clock, nor a hash are in here: bytes come from your event loop, the time
// in milliseconds (any origin, never backwards) is an argument, the hash is your callback.
//
// Life of a block. zcb_torrent_wire_output() picks it, reserves it for the peer and writes the
// REQUEST. When the PIECE message's 13 header bytes are there, the payload goes to its place in the
// piece as it comes, without waiting for the rest; with the last byte the block counts as received,
// and the hash follows the front of the piece while bytes are in cache. The last block of a piece
// ends in your `complete` callback, with the piece as a packet. A peer that dies in the middle
// leaves nothing but a block that is missing again.
//
// Two ways to receive, with the same calls:
//     normal   readv() into the receive buffer, one copy to the piece: 1.00 moved bytes per
//              payload byte
//     direct   (ZCB_TORRENT_DIRECT) peers answer requests in order, so the next headers and blocks
//              are known before they come: recv_plan() gives
//                  [rest of this block][13 bytes][next block in its place][13 bytes]...
//              for one readv(). Headers are checked afterwards; where the guess was wrong (a HAVE
//              came between), bytes are moved to where they belong, and counted: 0.00 to 0.01 moved
//              bytes per payload byte
//
// A client's loop for one readable peer:
//
//     struct iovec iov[64];
//     int n = zcb_torrent_wire_recv_plan(wire, iov, 64);
//     ssize_t got = n > 0 ? readv(fd, iov, n) : 0;
//     if (n == -EINVAL || n == -EBADMSG || (n > 0 && got == 0) ||
//         (got < 0 && errno != EAGAIN && errno != EINTR) ||
//         zcb_torrent_wire_received(wire, got > 0 ? (size_t)got : 0) < 0)
//         return drop(peer);
//     // n 0 (too much waits), -ENOBUFS, -ENOMEM: nothing was read; ask again when something was
//     // given back. -EBUSY: next() has not returned 0 since; it goes on below.
//     while ((r = zcb_torrent_wire_next(wire, &message)) > 0)
//         if (message.kind == ZCB_TORRENT_UNCHOKE) ...  // the wire has taken note already
//     if (r == -EBADMSG)
//         return drop(peer);                             // zcb_torrent_wire_error() says why
//     // r -ENOBUFS, -ENOMEM: call next() again later, nothing is lost.
//     r = zcb_torrent_wire_output(wire, now_ms, out, sizeof(out)); // REQUESTs and CANCELs
//
// Bounds. Nothing that a peer sends makes memory grow beyond: one message of the longest kind
// allowed (limits), or rx_stop_bytes; a bit for each piece; the pipeline's queue; and, all peers
// together, the assembler's budget. Length fields are judged before anything is allocated or waited
// for.
//
// Threads: an assembler and its wires are one object in this respect: one thread at a time. Pieces
// that were completed are packets and free of that. Errors: as in base.h; -EBADMSG: the peer broke
// a rule, close the connection.
//
// Formats: BEP 3 (peer protocol), BEP 5 (PORT), BEP 6 (fast extension), BEP 10 (extension
// protocol), bittorrent.org.
#ifndef ZCBUF_ADAPT_TORRENT_H
#define ZCBUF_ADAPT_TORRENT_H

#include <zcbuf/buf.h>
#include <zcbuf/chain.h>
#include <zcbuf/packet.h>
#include <zcbuf/piece.h>
#include <zcbuf/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zcb_torrent_assembler;
struct zcb_torrent_wire;

// ---- geometry

#define ZCB_TORRENT_BLOCK 16384u    // what everybody asks for (BEP 3)
#define ZCB_TORRENT_NONE UINT32_MAX // no piece, no block

// Filled in by init; read it, do not write it.
struct zcb_torrent_geometry {
    uint64_t total_length;
    uint32_t piece_length;      // of every piece but the last
    uint32_t last_piece_length; // 1 to piece_length
    uint32_t piece_count;
    uint32_t block_length; // of every block but a piece's last
    uint32_t piece_blocks; // blocks in every piece but the last
    uint32_t last_piece_blocks;
};

// 0; -EINVAL (a length of 0; a piece or block length above 2^31; NULL); -EOVERFLOW (more than 2^31
// pieces). Piece lengths need not be powers of two. `block_length` 0: 16384.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_geometry_init(struct zcb_torrent_geometry *out,
                                                     uint64_t total_length, uint32_t piece_length,
                                                     uint32_t block_length);

// Of one piece: length, blocks, first byte in the torrent; of one block its length. 0 outside the
// torrent.
ZCB_API uint32_t zcb_torrent_piece_length(const struct zcb_torrent_geometry *geometry,
                                          uint32_t piece);
ZCB_API uint32_t zcb_torrent_piece_blocks(const struct zcb_torrent_geometry *geometry,
                                          uint32_t piece);
ZCB_API uint64_t zcb_torrent_piece_offset(const struct zcb_torrent_geometry *geometry,
                                          uint32_t piece);
ZCB_API uint32_t zcb_torrent_block_length(const struct zcb_torrent_geometry *geometry,
                                          uint32_t piece, uint32_t block);

// Whether [begin, begin + length) is a non-empty part of that piece: 0 or -ERANGE. No sum wraps.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_geometry_check(const struct zcb_torrent_geometry *geometry,
                                                      uint32_t piece, uint32_t begin,
                                                      uint32_t length);

// Bitfields are in wire format: piece 0 is the high bit of byte 0, spare bits at the end are 0.
ZCB_API size_t zcb_torrent_bitfield_size(const struct zcb_torrent_geometry *geometry);

// 0; -EBADMSG: not the right number of bytes, or a spare bit is set.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_bitfield_check(const struct zcb_torrent_geometry *geometry,
                                                      const void *bits, size_t len);

ZCB_INLINE bool
zcb_torrent_bit(const uint8_t *bits, uint32_t piece)
{
    return (bits[piece >> 3] >> (7 - (piece & 7)) & 1) != 0;
}

// ---- messages

// What a message is. Up to 20 these are the ids on the wire.
enum zcb_torrent_kind {
    ZCB_TORRENT_CHOKE = 0,
    ZCB_TORRENT_UNCHOKE = 1,
    ZCB_TORRENT_INTERESTED = 2,
    ZCB_TORRENT_NOT_INTERESTED = 3,
    ZCB_TORRENT_HAVE = 4,     // index
    ZCB_TORRENT_BITFIELD = 5, // payload
    ZCB_TORRENT_REQUEST = 6,  // index, begin, length
    ZCB_TORRENT_PIECE = 7,    // index, begin, length, payload: one block
    ZCB_TORRENT_CANCEL = 8,   // index, begin, length
    ZCB_TORRENT_PORT = 9,     // index holds the port (BEP 5)
    ZCB_TORRENT_SUGGEST = 13, // index (BEP 6, as the next four)
    ZCB_TORRENT_HAVE_ALL = 14,
    ZCB_TORRENT_HAVE_NONE = 15,
    ZCB_TORRENT_REJECT = 16,       // index, begin, length
    ZCB_TORRENT_ALLOWED_FAST = 17, // index
    ZCB_TORRENT_EXTENDED = 20,     // extended_id, payload (BEP 10)
    ZCB_TORRENT_KEEPALIVE = 256,   // no id on the wire
    ZCB_TORRENT_HANDSHAKE = 257,   // from zcb_torrent_wire_next() alone
    ZCB_TORRENT_UNKNOWN = 258,     // another id; payload
};

// What became of a block.
enum zcb_torrent_result {
    // It is in its piece.
    ZCB_TORRENT_STORED = 0,
    // And completed it: the hash is right, `complete` was called.
    ZCB_TORRENT_DONE = 1,
    // And completed it: the hash is wrong, `failed` was called, the piece starts over.
    ZCB_TORRENT_BAD = 2,
    // And completed it: zcb_torrent_assembler_verified() is to say.
    ZCB_TORRENT_PENDING = 3,
    // Dropped: it was asked for, but timed out, was cancelled, or another peer was faster.
    ZCB_TORRENT_LATE = 4,
    // Dropped: nobody asked this peer for it.
    ZCB_TORRENT_UNASKED = 5,
};

// A message taken apart. Fields that its kind does not have are 0.
struct zcb_torrent_message {
    enum zcb_torrent_kind kind;
    uint8_t id;          // as on the wire
    uint8_t extended_id; // EXTENDED: 0 is the extension handshake
    uint32_t index, begin, length;
    uint32_t payload_off; // from the message's first byte (of its length field)
    uint32_t payload_len;
    uint64_t size;                  // the whole message with its length field, payload included
    enum zcb_torrent_result result; // PIECE from zcb_torrent_wire_next(): what became of it
};

// Each 0: the default, and each has one. UINT32_MAX lifts it.
struct zcb_torrent_limits {
    uint32_t max_block;      // payload of a PIECE. 0: the geometry's block length, what we ask for
    uint32_t max_request;    // length in a REQUEST or CANCEL. 0: 131072
    uint32_t max_extended;   // an EXTENDED message, which is buffered whole. 0: 1 MiB
    uint32_t max_unknown;    // one with another id, which is not buffered. 0: 1 MiB
    uint32_t max_keepalives; // in a row. 0: 65536
    // Blocks and rejects not asked for, in all. 0: 1024. ZCB_TORRENT_STRICT: none.
    uint32_t max_unasked;
    uint32_t max_peer_requests; // that the peer may have open with us. 0: 2048
    uint32_t reserved[5];       // 0
};

// Why a message was refused, and where.
struct zcb_torrent_error {
    const char *reason; // static text; NULL: nothing was refused
    // The field at fault: zcb_torrent_peek(): from the chain's front; wire: from the first byte of
    // the connection.
    uint64_t at;
    uint32_t length; // the message's length field
    int32_t id;      // its id; -1: not seen
};

#define ZCB_TORRENT_HANDSHAKE_SIZE 68

struct zcb_torrent_handshake {
    uint8_t reserved[8]; // ZCB_TORRENT_HAS_...
    uint8_t info_hash[20];
    uint8_t peer_id[20];
};

// Bits in a handshake's reserved bytes, as byte index and mask.
#define ZCB_TORRENT_EXTENDED_BYTE 5 // BEP 10
#define ZCB_TORRENT_EXTENDED_MASK 0x10
#define ZCB_TORRENT_FAST_BYTE 7 // BEP 6
#define ZCB_TORRENT_FAST_MASK 0x04

// Takes the handshake at the chain's front apart; the chain keeps it. Returns 68; -EAGAIN: it goes
// on; -EBADMSG: another protocol, which the first wrong byte tells. `error` may be NULL.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_peek_handshake(const struct zcb_chain *chain,
                                                      struct zcb_torrent_handshake *out,
                                                      struct zcb_torrent_error *error);

// Takes the message at `off` apart as soon as its header is there (payload may be missing still);
// the chain keeps it. With `geometry` NULL, index, begin, length and bitfields are not judged;
// `limits` NULL: the defaults. A bitfield's bits are not looked at (zcb_torrent_bitfield_check).
// Copies only when the header's at most 17 bytes cross chunks. Returns the header's length (all but
// payload), -EAGAIN: it goes on; -EBADMSG: *error (may be NULL) says why.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_peek(const struct zcb_chain *chain, size_t off,
                                            const struct zcb_torrent_geometry *geometry,
                                            const struct zcb_torrent_limits *limits,
                                            struct zcb_torrent_message *out,
                                            struct zcb_torrent_error *error);

// "piece", "have_all"; "unknown".
ZCB_API const char *zcb_torrent_kind_name(enum zcb_torrent_kind kind);

// ---- writers: one message into `room` bytes at `out`. Each returns the bytes written, or -ERANGE:
// does not fit, nothing was written; -EINVAL: NULL. Values are written as given.

#define ZCB_TORRENT_REQUEST_SIZE 17 // REQUEST, CANCEL, REJECT: the longest of those without payload

ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_handshake(void *out, size_t room,
                                                       const struct zcb_torrent_handshake *what);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_keepalive(void *out, size_t room);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_choke(void *out, size_t room);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_unchoke(void *out, size_t room);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_interested(void *out, size_t room);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_not_interested(void *out, size_t room);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_have(void *out, size_t room, uint32_t index);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_have_all(void *out, size_t room);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_have_none(void *out, size_t room);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_port(void *out, size_t room, uint16_t port);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_request(void *out, size_t room, uint32_t index,
                                                     uint32_t begin, uint32_t length);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_cancel(void *out, size_t room, uint32_t index,
                                                    uint32_t begin, uint32_t length);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_reject(void *out, size_t room, uint32_t index,
                                                    uint32_t begin, uint32_t length);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_suggest(void *out, size_t room, uint32_t index);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_allowed_fast(void *out, size_t room, uint32_t index);

// The whole BITFIELD message: 5 + `len` bytes.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_bitfield(void *out, size_t room, const void *bits,
                                                      size_t len);

// Header alone; `payload_len` bytes (a slice of a piece, a bencoded dictionary) are to be sent
// behind it. 13 and 6 bytes. Also -EOVERFLOW: the length field does not hold it.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_piece(void *out, size_t room, uint32_t index,
                                                   uint32_t begin, size_t payload_len);
ZCB_API ZCB_MUST_CHECK int zcb_torrent_write_extended(void *out, size_t room, uint8_t extended_id,
                                                      size_t payload_len);

// ---- assembler

// What `verify` answers.
enum zcb_torrent_verdict {
    ZCB_TORRENT_HASH_WRONG = 0,
    ZCB_TORRENT_HASH_RIGHT = 1,
    // zcb_torrent_assembler_verified() will say; the piece waits, within the budget.
    ZCB_TORRENT_HASH_LATER = 2,
};

// Callbacks run inside the call that brought the last block (zcb_torrent_wire_next(),
// _assembler_commit(), _write(), _verified()). They may call functions that only look; they must
// not destroy, close, pick, or feed: note what is to be done and do it after that call.
struct zcb_torrent_assembler_config {
    uint64_t max_bytes; // of pieces under way, and of completed ones you still hold (where they are
                        // from the assembler's own pool). 0: 256 MiB, at least 4 pieces
    uint32_t max_active; // pieces under way. 0: 1024
    uint32_t flags;      // ZCB_TORRENT_NO_PREEMPT
    // A block not there that long after it was asked for is given to others; a block that was taken
    // away before gets twice as long each time. 0: 60000.
    uint64_t request_timeout_ms;
    uint64_t stale_ms; // a piece without a new block for that long, and nothing asked for, is given
                       // up. 0: 300000
    // End-game: when there is nothing else to ask a peer for, it gets a block that another has owed
    // us for that long (doubled in the same way). 0: 2000.
    uint64_t preempt_ms;

    // The bytes of a piece in order, right after they have arrived; `state` is hash_state_size
    // bytes of the piece's own, aligned for anything, zeroed when off is 0. NULL: nothing.
    void (*hash)(void *ctx, void *state, uint32_t piece, size_t off, const uint8_t *data,
                 size_t len);
    size_t hash_state_size; // 0: `state` is NULL

    // All bytes of the piece have been hashed: are they right? NULL: every piece is.
    enum zcb_torrent_verdict (*verify)(void *ctx, void *state, uint32_t piece);

    // A piece that is right. The packet is yours: unref it, or pass it on; its memory is used again
    // after that. NULL: dropped.
    void (*complete)(void *ctx, uint32_t piece, struct zcb_packet *packet);

    // A piece that is wrong, still as it was: `culprit` sent all of it, or, if ZCB_PIECE_NOBODY,
    // several did: ask zcb_torrent_assembler_from() for each block. When this returns the piece
    // starts over. NULL: nothing.
    void (*failed)(void *ctx, uint32_t piece, uint32_t culprit);

    // Which piece to open next for a peer (rarest first, a player's order): one that it has
    // (`bits`) and that is neither had nor under way, or ZCB_TORRENT_NONE. Another answer counts as
    // NONE. NULL: the lowest.
    uint32_t (*choose)(void *ctx, uint32_t peer, const uint8_t *bits);

    // Memory for a piece: an empty buf with tailroom for `len` (part of a mapped file, another
    // pool). 0 or a negative errno. NULL: the assembler has a pool of its own with one tier, the
    // piece length rounded up to 64; a short last piece is from `last_pool`, or the heap.
    int (*buffer)(void *ctx, uint32_t piece, size_t len, struct zcb_buf **out);
    struct zcb_pool *last_pool; // NULL: the heap

    void *ctx;           // for the callbacks
    uint32_t pool_flags; // ZCB_POOL_... of the assembler's own pool
    uint32_t reserved32; // 0
    void *reserved[4];   // NULL
};

enum {
    ZCB_TORRENT_NO_PREEMPT = 1u << 0, // no end-game: a block stays with its peer until it times out
};

// Blocks that were reserved for a peer: what to write into a REQUEST. The ticket is one
// reservation's: it ends when the block arrives, is cancelled, times out or is pre-empted, and is
// never used again; so a peer that lost a block and gets it back later is not taken at its old
// word.
struct zcb_torrent_request {
    uint32_t index, begin, length;
    uint32_t peer;
    uint64_t ticket;
};

// 0; -EINVAL (NULL; reserved or unknown flags set; a max_bytes below the piece length); -ENOMEM,
// -ENOBUFS. The geometry is copied. Allocates all its tables here, and later nothing (but a short
// last piece that is from the heap): an opened piece takes a buffer from the pool.
ZCB_API ZCB_MUST_CHECK int
zcb_torrent_assembler_create(const struct zcb_torrent_geometry *geometry,
                             const struct zcb_torrent_assembler_config *config,
                             struct zcb_torrent_assembler **out);

// After all its wires are destroyed. Sets *assembler to NULL; NULL is fine. Completed packets stay
// valid.
ZCB_API void zcb_torrent_assembler_destroy(struct zcb_torrent_assembler **assembler);

ZCB_API const struct zcb_torrent_geometry *
zcb_torrent_assembler_geometry(const struct zcb_torrent_assembler *assembler);

// Pieces that are had, as a bitfield in wire format; valid as long as the assembler, changes with
// it.
ZCB_API const uint8_t *zcb_torrent_assembler_bits(const struct zcb_torrent_assembler *assembler);
ZCB_API bool zcb_torrent_assembler_has(const struct zcb_torrent_assembler *assembler,
                                       uint32_t piece);
ZCB_API uint32_t
zcb_torrent_assembler_missing(const struct zcb_torrent_assembler *assembler); // pieces not had

// A piece is had already (from an earlier run), or is not any more.
// 0; -ERANGE; -EBUSY: it is under way.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_assembler_set(struct zcb_torrent_assembler *assembler,
                                                     uint32_t piece, bool have);

// Reserves up to `n` blocks for `peer`, which has the pieces in `bits`: missing blocks of pieces
// under way first, then of a new one, then (end-game) those that others owe too long.
// Returns how many; 0: nothing to ask for now (also when the budget is used up or memory is out:
// statistics tell). -EINVAL (NULL, peer is ZCB_PIECE_NOBODY).
ZCB_API ZCB_MUST_CHECK int zcb_torrent_assembler_pick(struct zcb_torrent_assembler *assembler,
                                                      uint32_t peer, const uint8_t *bits,
                                                      uint64_t now_ms,
                                                      struct zcb_torrent_request *out, int n);

// Where the block's bytes go: valid until the ticket ends.
// 0; -EALREADY (received); -EBUSY (the ticket has ended); -ERANGE.
ZCB_API ZCB_MUST_CHECK int
zcb_torrent_assembler_place(const struct zcb_torrent_assembler *assembler,
                            const struct zcb_torrent_request *request, struct iovec *out);

// All bytes of the block are in place. Returns enum zcb_torrent_result (STORED, DONE, BAD,
// PENDING), or place's errors.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_assembler_commit(struct zcb_torrent_assembler *assembler,
                                                        const struct zcb_torrent_request *request);

// The same with a copy from memory (ZCB_COPY_PIECE). Also -EINVAL: `len` is not the block's.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_assembler_write(struct zcb_torrent_assembler *assembler,
                                                       const struct zcb_torrent_request *request,
                                                       const void *data, size_t len);

// Ends a reservation; the block is missing again. 0; -EBUSY: an outstanding plan receives into it;
// place's errors: it had ended before.
ZCB_API int zcb_torrent_assembler_cancel(struct zcb_torrent_assembler *assembler,
                                         const struct zcb_torrent_request *request);

// Ends all reservations of a peer but those that an outstanding plan receives into; returns how
// many. A wire ends its own when it is destroyed.
// O(blocks under way).
ZCB_API uint32_t zcb_torrent_assembler_cancel_peer(struct zcb_torrent_assembler *assembler,
                                                   uint32_t peer);

// Ends reservations that have timed out and gives up stale pieces.
// Returns how many reservations. Call it about once a second. Blocks that a plan (recv_plan without
// its received) points into are left alone. O(blocks under way).
ZCB_API uint32_t zcb_torrent_assembler_expire(struct zcb_torrent_assembler *assembler,
                                              uint64_t now_ms);

// The answer to ZCB_TORRENT_HASH_LATER. Returns ZCB_TORRENT_DONE or _BAD, after the callback;
// -EINVAL: no such piece waits.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_assembler_verified(struct zcb_torrent_assembler *assembler,
                                                          uint32_t piece, bool right);

// A packet of a piece that waits for its verdict, for a hasher on another thread. Unref it before
// the verdict: a wrong piece with packets out gives up its memory instead of using it again.
// 0; -EINVAL.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_assembler_share(struct zcb_torrent_assembler *assembler,
                                                       uint32_t piece, struct zcb_packet *out);

// Gives a piece under way up, with its blocks.
// 0; -ERANGE (is not under way); -EBUSY (a plan points into it).
ZCB_API ZCB_MUST_CHECK int zcb_torrent_assembler_close(struct zcb_torrent_assembler *assembler,
                                                       uint32_t piece);

// Who sent, or owes, a block of a piece under way; else ZCB_PIECE_NOBODY.
ZCB_API uint32_t zcb_torrent_assembler_from(const struct zcb_torrent_assembler *assembler,
                                            uint32_t piece, uint32_t block);

// X(name, is a gauge, what it says)
#define ZCB_TORRENT_ASSEMBLER_STATS(X)                                                             \
    X(active, true, "pieces under way")                                                            \
    X(active_bytes, true, "their memory")                                                          \
    X(peak_bytes, true, "the most that ever was")                                                  \
    X(reserved, true, "blocks asked for and not there yet")                                        \
    X(opened, false, "pieces opened")                                                              \
    X(opens_refused, false, "pieces not opened: cap, budget or memory")                            \
    X(completed, false, "pieces completed, hash right")                                            \
    X(failed, false, "pieces completed, hash wrong")                                               \
    X(stale, false, "pieces given up")                                                             \
    X(stored_bytes, false, "bytes of blocks stored")                                               \
    X(lost_bytes, false, "of these, in pieces that failed or were given up")                       \
    X(requests, false, "reservations made")                                                        \
    X(timeouts, false, "reservations that timed out")                                              \
    X(preempted, false, "reservations that another peer took over")

struct zcb_torrent_assembler_stats {
#define ZCB_TORRENT_FIELD(name, gauge, help) uint64_t name;
    ZCB_TORRENT_ASSEMBLER_STATS(ZCB_TORRENT_FIELD)
#undef ZCB_TORRENT_FIELD
};

// A snapshot; `out_size` is sizeof(*out) as the caller knows it.
// 0, -EINVAL.
ZCB_API ZCB_MUST_CHECK int
zcb_torrent_assembler_stats(const struct zcb_torrent_assembler *assembler,
                            struct zcb_torrent_assembler_stats *out, size_t out_size);

// ---- wire

enum {
    ZCB_TORRENT_DIRECT = 1u << 0, // receive straight into pieces; ignored without an assembler
    // Our handshake has the fast bit; in force if the peer's has it as well.
    ZCB_TORRENT_OFFER_FAST = 1u << 1,
    ZCB_TORRENT_OFFER_EXTENDED = 1u << 2, // our handshake has the extension bit
    // A block or a reject that was not asked for, a bitfield that is not the first message:
    // -EBADMSG at once. Without it, these are bounded, or harmless, and some clients send them.
    ZCB_TORRENT_STRICT = 1u << 3,
};

struct zcb_torrent_wire_config {
    uint32_t flags;    // ZCB_TORRENT_DIRECT, ...
    uint32_t pipeline; // blocks to have asked for at a time. 0: 64; at most 4096
    // Blocks in one plan: more means fewer system calls, and more to move after a wrong guess. With
    // a peer that does not answer in order it falls to none, and rises again slowly. 0: 16; at most
    // 64.
    uint32_t direct_blocks;
    uint32_t reserved32;      // 0
    const uint8_t *info_hash; // 20 bytes: a handshake with another is -EBADMSG. NULL: any
    // You have read it already; NULL: it comes first.
    const struct zcb_torrent_handshake *peer_handshake;
    const struct zcb_torrent_geometry *geometry; // without an assembler (a seeder); with one: NULL
    struct zcb_torrent_limits limits;
    // recv_plan says 0 when so much is unread, or waits behind (set_backlog). 0: 16 MiB, or twice
    // the longest message that is buffered whole (max_extended, a bitfield) where that is more.
    size_t rx_stop_bytes;
    size_t rx_resume_bytes;        // ... until it has fallen to this. 0: a quarter of rx_stop_bytes
    struct zcb_chain_config chain; // of the receive buffer. chunk_size 0: as there; direct: 4096
    void *reserved[4];             // NULL
};

// One connection with a peer that has number `peer`. `pool` gives memory to the receive buffer.
// `assembler` NULL: nothing is downloaded here. Both must outlive it.
// 0; -EINVAL (NULL pool; neither assembler nor geometry, or both; reserved or unknown flags; peer
// is ZCB_PIECE_NOBODY; resume above stop; stop below the longest message that is buffered whole;
// pipeline, direct_blocks); -EBADMSG (peer_handshake has another info hash); -ENOMEM.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_wire_create(struct zcb_pool *pool,
                                                   struct zcb_torrent_assembler *assembler,
                                                   uint32_t peer,
                                                   const struct zcb_torrent_wire_config *config,
                                                   struct zcb_torrent_wire **out);

// Ends the connection here: what was asked for is missing again. No read may be in flight into its
// plan. NULL is fine.
ZCB_API void zcb_torrent_wire_destroy(struct zcb_torrent_wire **wire);

// Where the next bytes go: up to `n` iovecs for one readv() (or recvmsg, or an io_uring read).
// Returns how many; 0: do not read now, too much is waiting (rx_stop_bytes). They are good until
// received(), or the next plan, which replaces this one. Direct receive wants n >= 2 *
// direct_blocks + 2 for whole plans, and works with any. -EINVAL (NULL, n < 1); -EBUSY (direct
// receive only): next() has not returned 0 since received(); -EBADMSG: as next() said; -ENOBUFS,
// -ENOMEM, or another of acquire's errors: no memory for the receive buffer now, try later.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_wire_recv_plan(struct zcb_torrent_wire *wire,
                                                      struct iovec *iov, int n);

// The first `bytes` of the plan are written. 0 is fine. Ends the plan; call next() until it returns
// 0.
// 0 (also for 0 bytes without a plan); -EINVAL (NULL); -ERANGE (more than was planned, or no plan):
// the plan stays. Allocates nothing.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_wire_received(struct zcb_torrent_wire *wire, size_t bytes);

// Bytes that came another way, as a packet. Takes it; next() lets go of it when all of it was
// looked at, or keeps what is left in the receive buffer. Ends a plan, as received(0).
// 0; -EBUSY, -EBADMSG as above; -ENOBUFS: longer than the receive buffer may be;
// zcb_chain_push()'s errors, where bytes before it still wait.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_wire_push(struct zcb_torrent_wire *wire,
                                                 struct zcb_packet *packet);

// The next message, in *out. Returns 1: a message, and what it says about this connection is noted
// already (choked, bitfield, the block stored); 0: receive more; -EBADMSG: the peer broke a rule,
// now and for ever (zcb_torrent_wire_error); -ENOMEM, -ENOBUFS: nothing is lost, give something
// back and call again. PIECE comes when its last byte is in place. EXTENDED and others come when
// they are whole; zcb_torrent_wire_payload() has the payload until the next call. Messages with an
// unknown id are dropped and counted.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_wire_next(struct zcb_torrent_wire *wire,
                                                 struct zcb_torrent_message *out);

// The payload of the EXTENDED message that next() has just returned: shared with the receive
// buffer, copied (ZCB_COPY_GATHER) only where it crosses chunks. 0, 1 (copied); -EINVAL: no such
// message; -ENOMEM, -ENOBUFS.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_wire_payload(const struct zcb_torrent_wire *wire,
                                                    struct zcb_packet *out);

// Why next() said -EBADMSG. reason is NULL otherwise. Valid as long as the wire.
ZCB_API const struct zcb_torrent_error *zcb_torrent_wire_error(const struct zcb_torrent_wire *wire);

// The messages to send now about blocks, into `room` bytes: CANCEL for what others have taken over,
// and REQUESTs, picked from the assembler, to fill the pipeline (when at least a quarter of it is
// empty) while the peer does not choke us. Returns the bytes written, 0: nothing to say; all of
// them must be sent, in order. 17 bytes each; what does not fit comes next time. -EINVAL. BEP 3
// wants INTERESTED to be sent first: that is yours (zcb_torrent_wire_wants).
ZCB_API ZCB_MUST_CHECK int zcb_torrent_wire_output(struct zcb_torrent_wire *wire, uint64_t now_ms,
                                                   void *out, size_t room);

// A pipeline of another depth (1 to 4096): what is beyond is not asked for again.
// 0; -EINVAL; -ENOMEM.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_wire_set_pipeline(struct zcb_torrent_wire *wire,
                                                         uint32_t depth);

// Bytes that wait elsewhere because of this connection (pieces to be written): added to what is
// unread when recv_plan decides.
ZCB_API void zcb_torrent_wire_set_backlog(struct zcb_torrent_wire *wire, size_t bytes);

// `n` of the peer's requests have been answered, refused, or dropped at its CANCEL
// (max_peer_requests).
ZCB_API void zcb_torrent_wire_served(struct zcb_torrent_wire *wire, uint32_t n);

// The peer's handshake; NULL before it has come.
ZCB_API const struct zcb_torrent_handshake *
zcb_torrent_wire_handshake(const struct zcb_torrent_wire *wire);

// What the peer has, in wire format; changes with messages.
ZCB_API const uint8_t *zcb_torrent_wire_bits(const struct zcb_torrent_wire *wire);
ZCB_API bool zcb_torrent_wire_has(const struct zcb_torrent_wire *wire, uint32_t piece);
ZCB_API uint32_t zcb_torrent_wire_pieces(const struct zcb_torrent_wire *wire); // how many it has

// Whether it has a piece that the assembler lacks: send INTERESTED. O(pieces / 64).
ZCB_API bool zcb_torrent_wire_wants(const struct zcb_torrent_wire *wire);

ZCB_API bool
zcb_torrent_wire_chokes(const struct zcb_torrent_wire *wire); // it chokes us; true at first
ZCB_API bool
zcb_torrent_wire_is_interested(const struct zcb_torrent_wire *wire);     // in us; false at first
ZCB_API bool zcb_torrent_wire_fast(const struct zcb_torrent_wire *wire); // both sides offered it
ZCB_API bool zcb_torrent_wire_extended(const struct zcb_torrent_wire *wire);
ZCB_API uint32_t
zcb_torrent_wire_outstanding(const struct zcb_torrent_wire *wire); // blocks it owes us
ZCB_API size_t
zcb_torrent_wire_unread(const struct zcb_torrent_wire *wire); // bytes in the receive buffer
ZCB_API uint32_t zcb_torrent_wire_peer(const struct zcb_torrent_wire *wire);
ZCB_API bool zcb_torrent_wire_paused(const struct zcb_torrent_wire *wire); // recv_plan would say 0

#define ZCB_TORRENT_WIRE_STATS(X)                                                                  \
    X(bytes, false, "bytes received")                                                              \
    X(messages, false, "messages, of all kinds")                                                   \
    X(keepalives, false, "of these keepalives")                                                    \
    X(unknown, false, "of these with an unknown id, dropped")                                      \
    X(blocks, false, "blocks stored")                                                              \
    X(payload_bytes, false, "their bytes")                                                         \
    X(direct_bytes, false, "of these received straight into the piece, never moved")               \
    X(late_blocks, false, "blocks dropped: timed out, cancelled, another was faster")              \
    X(late_bytes, false, "their bytes")                                                            \
    X(unasked_blocks, false, "blocks dropped: not asked for")                                      \
    X(unasked_bytes, false, "their bytes")                                                         \
    X(rejected, false, "requests that the peer refused, or dropped by choking")                    \
    X(requests, false, "REQUESTs written")                                                         \
    X(cancels, false, "CANCELs written")                                                           \
    X(peer_requests, false, "REQUESTs received")                                                   \
    X(reads, false, "plans that brought bytes")                                                    \
    X(guesses, false, "headers foretold and right")                                                \
    X(wrong_guesses, false, "headers foretold and not what came")                                  \
    X(moved_bytes, false, "bytes moved to the receive buffer after a wrong or unfinished guess")   \
    X(pauses, false, "times that reading was stopped")

struct zcb_torrent_wire_stats {
#define ZCB_TORRENT_FIELD(name, gauge, help) uint64_t name;
    ZCB_TORRENT_WIRE_STATS(ZCB_TORRENT_FIELD)
#undef ZCB_TORRENT_FIELD
};

// A snapshot; `out_size` is sizeof(*out) as the caller knows it.
// 0, -EINVAL.
ZCB_API ZCB_MUST_CHECK int zcb_torrent_wire_stats(const struct zcb_torrent_wire *wire,
                                                  struct zcb_torrent_wire_stats *out,
                                                  size_t out_size);

#ifdef __cplusplus
}
#endif
#endif
