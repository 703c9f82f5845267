// SPDX-License-Identifier: MIT
//
// The torrent adapter's own side. Public core headers only: what is missing there belongs there.
//
//     torrent_geometry.c   arithmetic
//     torrent_parse.c      bytes to messages       torrent_write.c   messages to bytes
//     torrent_assembler.c  pieces under way: tables, open, close
//     torrent_block.c      one block: place, commit, hash, verdict
//     torrent_pick.c       who is asked for what, time
//     torrent_connection.c one connection: create, plan, received; what is asked about it
//     torrent_wire.c       its messages: next
//     torrent_note.c       what the peer says about itself
//     torrent_queue.c      what this peer was asked for, and what to tell it
//     torrent_direct.c     the planner, and repair
//
// Read torrent_block.c first, then zcb_torrent_wire_next().
#ifndef ZCB_ADAPT_TORRENT_PRIVATE_H
#define ZCB_ADAPT_TORRENT_PRIVATE_H

#include <stdlib.h>
#include <string.h>

#include <zcbuf/adapt/torrent.h>
#include <zcbuf/copies.h>

// ---- parse

// The longest header: length, id, index, begin, length.
#define TORRENT_HEADER 17
#define TORRENT_PIECE_HEADER 13

// What follows a message's id.
enum torrent_shape {
    TORRENT_BARE,
    TORRENT_INDEX,
    TORRENT_SPAN,
    TORRENT_PORT,
    TORRENT_UNKNOWN, // from here on with payload behind the header
    TORRENT_BITS,
    TORRENT_BLOCK,
    TORRENT_EXTENSION,
    TORRENT_SHAPES,
};

// Limits with the defaults filled in, and what follows from them and the geometry.
struct torrent_rules {
    const struct zcb_torrent_geometry *geometry; // NULL: not judged
    uint64_t pieces;                             // each index is below that
    uint32_t max_any;                            // no length field may be above this
    struct {
        uint32_t min, max; // of the length field
    } lengths[TORRENT_SHAPES];
    struct zcb_torrent_limits limits;
};

void torrent_rules_init(struct torrent_rules *rules, const struct zcb_torrent_geometry *geometry,
                        const struct zcb_torrent_limits *limits);

// As zcb_torrent_peek(), from the first `have` bytes (17 or more, or all there are) of a message.
int torrent_parse(const uint8_t *head, size_t have, const struct torrent_rules *rules,
                  struct zcb_torrent_message *out);

// Why torrent_parse() refused it, with *out as that left it.
void torrent_explain(const uint8_t *head, size_t have, const struct torrent_rules *rules,
                     const struct zcb_torrent_message *message, struct zcb_torrent_error *out);

static inline uint32_t
torrent_get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void
torrent_put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

// Up to 64 bits of a bitfield of `size` bytes, the first piece highest; what lies beyond is 0.
static inline uint64_t
torrent_bits_word(const uint8_t *bits, size_t size, size_t word)
{
    size_t at = word * 8, n = size - at < 8 ? size - at : 8;
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)bits[at + i] << (56 - 8 * i);
    return value;
}

static inline void
torrent_bit_set(uint8_t *bits, uint32_t piece)
{
    bits[piece >> 3] |= (uint8_t)(0x80 >> (piece & 7));
}

static inline void
torrent_bit_clear(uint8_t *bits, uint32_t piece)
{
    bits[piece >> 3] &= (uint8_t) ~(0x80 >> (piece & 7));
}

// The bits of a bitfield's last byte that are pieces.
static inline uint8_t
torrent_last_bits(const struct zcb_torrent_geometry *geometry)
{
    return (uint8_t)(0xff << (7 - (geometry->piece_count - 1) % 8));
}

// ---- assembler

// What is asked for. Without a ticket a block is missing or received; its piece knows which.
struct torrent_block {
    uint64_t ticket;
    uint64_t asked_ms;
    uint8_t moves; // times that it was taken from the peer that owed it
    bool pinned;   // a plan points to it: bytes may be on their way in, so it must not change hands
};

// A piece under way. missing + reserved + received = its blocks.
struct torrent_slot {
    struct zcb_piece *piece; // NULL: the slot is free
    uint8_t *base;
    struct torrent_block *blocks;
    void *piece_state;
    void *hash_state;
    size_t hashed;
    uint64_t last_ms; // a block came, or it was opened
    uint32_t index;
    uint32_t missing; // blocks that nobody has been asked for
    uint32_t reserved;
    uint32_t next, prev; // in the list of slots with missing blocks
    bool pending;        // complete, its verdict is to come
};

struct zcb_torrent_assembler {
    struct zcb_torrent_geometry geometry;
    struct zcb_torrent_assembler_config config; // defaults filled in
    struct zcb_pool *pool;
    struct torrent_slot *slots;
    struct torrent_block *blocks;
    uint8_t *states; // of pieces and hashes, slot by slot
    size_t piece_state_size;
    uint32_t *table; // piece index to slot: open addressing, ZCB_TORRENT_NONE where empty
    uint32_t table_mask;
    uint32_t slot_count;
    uint32_t free_slot;             // list through next
    uint32_t open_first, open_last; // slots with missing blocks, the next to be asked for first
    uint8_t *have;
    uint8_t *taken; // had or under way
    size_t bits_size;
    size_t first_gap; // all words of `taken` before this one are full
    uint32_t missing;
    uint64_t now_ms;       // as last told
    uint64_t preempt_from; // before that no reservation is old enough to be taken over
    uint64_t last_ticket;
    uint64_t revoked; // counts reservations that ended without their peer's doing
    struct zcb_torrent_assembler_stats stats;
};

struct torrent_slot *torrent_slot_find(const struct zcb_torrent_assembler *assembler,
                                       uint32_t piece);
struct torrent_slot *torrent_slot_open(struct zcb_torrent_assembler *assembler, uint32_t piece);
void torrent_slot_close(struct zcb_torrent_assembler *assembler, struct torrent_slot *slot);
void torrent_slot_start(const struct zcb_torrent_assembler *assembler, struct torrent_slot *slot);
void torrent_open_link(struct zcb_torrent_assembler *assembler, struct torrent_slot *slot,
                       bool first);
void torrent_open_unlink(struct zcb_torrent_assembler *assembler, struct torrent_slot *slot);

// A reservation as a wire holds it: where to look is found once. It stands as long as its ticket is
// in the block's record, which lives as long as the assembler.
struct torrent_claim {
    struct zcb_torrent_request request; // ticket 0: none
    struct torrent_slot *slot;
    struct torrent_block *block;
};

static inline bool
torrent_stands(const struct torrent_claim *claim)
{
    return claim->request.ticket != 0 && claim->block->ticket == claim->request.ticket;
}

static inline uint8_t *
torrent_place(const struct torrent_claim *claim)
{
    return claim->slot->base + claim->request.begin;
}

// As zcb_torrent_assembler_pick(), in parts of at most TORRENT_PICK.
#define TORRENT_PICK 32
int torrent_pick(struct zcb_torrent_assembler *assembler, uint32_t peer, const uint8_t *bits,
                 uint64_t now_ms, struct torrent_claim *out, int n);

// All bytes are in place; it stands. An enum zcb_torrent_result.
int torrent_commit(struct zcb_torrent_assembler *assembler, const struct torrent_claim *claim);

// Ends it, if it stands, even where a plan has pinned it.
void torrent_give_up(struct zcb_torrent_assembler *assembler, const struct torrent_claim *claim);

// Ends the reservation of a block that has one.
void torrent_revoke(struct zcb_torrent_assembler *assembler, struct torrent_slot *slot,
                    uint32_t block);

// ---- wire

struct torrent_entry {
    struct torrent_claim claim;
    bool dead;       // the block is not awaited any more; its answer may come all the same
    bool cancel_due; // and the peer has not been told
};

// What the peer was asked for, in that order, which is the order of its answers.
struct torrent_queue {
    struct torrent_entry *ring;
    uint32_t mask, head, count;
    uint32_t live; // entries that are not dead
    uint32_t cancels_due;
};

enum torrent_state {
    TORRENT_WAIT_HANDSHAKE,
    TORRENT_WAIT_MESSAGE,
    TORRENT_IN_PAYLOAD, // of `current`: a block, or something to be dropped
    TORRENT_FAILED,
};

enum torrent_segment_kind {
    TORRENT_BODY, // (the rest of) a block, in its place
    TORRENT_HEAD, // (the rest of) the header that is expected
    TORRENT_TAIL, // whatever comes behind
};

struct torrent_segment {
    enum torrent_segment_kind kind;
    uint8_t *base;
    uint32_t len;
    struct torrent_claim claim; // BODY, HEAD
};

#define TORRENT_DIRECT_BLOCKS_MAX 64
#define TORRENT_SEGMENTS (2 * TORRENT_DIRECT_BLOCKS_MAX + 2)

struct torrent_plan {
    struct torrent_segment segments[TORRENT_SEGMENTS];
    uint32_t count, at; // at: the first that has not been looked at
    size_t left;        // bytes received, from there on, and not looked at
    bool spilling;      // they are on their way to the chain
    uint8_t heads[TORRENT_DIRECT_BLOCKS_MAX + 1][16];
    uint8_t tail[64];
};

struct zcb_torrent_wire {
    struct zcb_chain chain;
    // What came while the chain was empty is parsed where it lies; what is left of it when all that
    // can be is parsed, goes to the chain. It lies in `room` or, where that is empty, in `packet`.
    const uint8_t *in;
    size_t in_len;
    size_t in_size; // as it came
    size_t in_max;  // more than that the chain could not take
    struct zcb_packet packet;
    struct iovec room; // a reservation of the chain that is used again and again, or empty
    struct zcb_torrent_assembler *assembler;
    const struct zcb_torrent_geometry *geometry; // the assembler's or own_geometry
    struct zcb_torrent_geometry own_geometry;
    struct torrent_rules rules;
    enum torrent_state state;
    uint32_t peer;
    uint32_t flags;
    uint32_t pipeline, direct_blocks;
    // Direct receive: blocks foretold in a plan at present, headers that were right since that was
    // last changed, and how many it takes to change it.
    uint32_t depth, streak, patience;
    size_t rx_stop, rx_resume, backlog;
    bool paused;

    // While in a payload.
    struct zcb_torrent_message current;
    struct torrent_claim claim; // none: dropped as it comes
    uint32_t got;

    size_t hold;    // bytes at the chain's front of the message that next() gave out last
    bool undrained; // next() has not returned 0 since bytes came
    struct torrent_queue queue;
    uint64_t revoked; // the assembler's counter when the queue was last compared
    uint64_t now_ms, ask_from_ms;

    bool planned;
    size_t planned_chain;      // what the plan's front gives to the chain
    size_t planned_bytes;      // all of it
    struct torrent_plan *plan; // direct only

    uint8_t info_hash[20];
    bool check_hash;
    bool has_handshake, choked, interested, fast, extended, availability_closed;
    struct zcb_torrent_handshake handshake;
    uint8_t *bits;
    size_t bits_size;
    uint32_t pieces;
    uint32_t keepalives_in_a_row, unasked, open_requests;
    struct zcb_torrent_error error;
    struct zcb_torrent_wire_stats stats;
};

// What is left of `in` goes to the chain. 0; on failure nothing is lost.
int torrent_absorb_rest(struct zcb_torrent_wire *wire);

static inline int
torrent_absorb(struct zcb_torrent_wire *wire)
{
    return wire->in_len == 0 ? 0 : torrent_absorb_rest(wire);
}

int torrent_fail(struct zcb_torrent_wire *wire, const char *reason,
                 const struct zcb_torrent_message *message, uint32_t field);
static inline void
torrent_note_have(struct zcb_torrent_wire *wire, uint32_t index)
{
    uint8_t *byte = &wire->bits[index >> 3], bit = (uint8_t)(0x80 >> (index & 7));

    wire->pieces += (*byte & bit) == 0;
    *byte |= bit;
    wire->availability_closed = true;
}

// Takes note of a message that is whole. 0, -EBADMSG.
int torrent_note(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *message);

int torrent_handshake_done(struct zcb_torrent_wire *wire);
int torrent_payload_begin(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *message);

// `len` bytes of the payload have been dealt with. 1: these were the last of a block, and *out is
// the message; 0: the last of something else; -EAGAIN: the rest is to come.
int torrent_payload_advance(struct zcb_torrent_wire *wire, uint32_t len,
                            struct zcb_torrent_message *out);

int torrent_queue_init(struct torrent_queue *queue, uint32_t depth);
bool torrent_queue_add(struct torrent_queue *queue, const struct torrent_claim *claim);

// Takes the entry with that block out. False: there is none.
bool torrent_queue_take(struct torrent_queue *queue, uint32_t index, uint32_t begin,
                        uint32_t length, struct torrent_entry *out);

static inline struct torrent_entry *
torrent_queue_at(const struct torrent_queue *queue, uint32_t i)
{
    return &queue->ring[(queue->head + i) & queue->mask];
}

// Marks an entry that is live as dead.
void torrent_queue_kill(struct torrent_queue *queue, struct torrent_entry *entry, bool cancel);

// The peer dropped all requests (a choke without the fast extension).
void torrent_queue_choked(struct zcb_torrent_wire *wire);

int torrent_direct_plan(struct zcb_torrent_wire *wire, struct iovec *iov, int n);
int torrent_direct_step(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out);
int torrent_direct_clear(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *block);
void torrent_direct_unplan(struct zcb_torrent_wire *wire);
void torrent_direct_init(struct zcb_torrent_wire *wire);

// Forgets the plan, if there is one.
static inline void
torrent_direct_end(struct zcb_torrent_wire *wire)
{
    if (wire->plan != NULL && wire->plan->count != 0)
        torrent_direct_unplan(wire);
}

#endif
