// SPDX-License-Identifier: MIT
//
// Who is asked for what, and when that has taken too long.
//
// Order: pieces under way before new ones, so that few are open at a time; new ones as `choose`
// says; at last blocks that others have owed for preempt_ms, so that a slow peer cannot keep a
// piece, or all slots, to itself.
#include "torrent.h"

static void
hear(struct zcb_torrent_assembler *a, uint64_t now_ms)
{
    if (a->now_ms < now_ms)
        a->now_ms = now_ms;
}

// The block's record, for one that has just been reserved in its piece.
static void
reserve(struct zcb_torrent_assembler *a, struct torrent_slot *slot, uint32_t block, uint32_t peer,
        const struct iovec *place, struct torrent_claim *out)
{
    slot->blocks[block].ticket = ++a->last_ticket;
    slot->blocks[block].asked_ms = a->now_ms;
    slot->blocks[block].pinned = false;
    slot->reserved++;
    if (--slot->missing == 0)
        torrent_open_unlink(a, slot);
    a->stats.reserved++;
    a->stats.requests++;
    out->slot = slot;
    out->block = &slot->blocks[block];
    out->request = (struct zcb_torrent_request){
        .index = slot->index,
        .begin = block * a->geometry.block_length,
        .length = (uint32_t)place->iov_len,
        .peer = peer,
        .ticket = a->last_ticket,
    };
}

// Missing blocks of one piece.
static int
pick_missing(struct zcb_torrent_assembler *a, struct torrent_slot *slot, uint32_t peer,
             struct torrent_claim *out, int n)
{
    uint32_t block = 0;
    struct iovec place;
    int got = 0;

    while (got < n && slot->missing != 0) {
        block = zcb_piece_next_missing(slot->piece, block);
        if (zcb_piece_reserve_block(slot->piece, block, peer, &place) < 0)
            break;
        reserve(a, slot, block, peer, &place, &out[got++]);
    }
    return got;
}

// The lowest piece of `bits` that is neither had nor under way.
static uint32_t
lowest(struct zcb_torrent_assembler *a, const uint8_t *bits)
{
    size_t words = (a->bits_size + 7) / 8;
    bool leading = true; // all words so far were full

    for (size_t w = a->first_gap; w < words; w++) {
        uint64_t gaps = ~torrent_bits_word(a->taken, a->bits_size, w), theirs;

        if (w == words - 1) // beyond the last piece there is no gap
            gaps &= ~UINT64_C(0) << (63 - (a->geometry.piece_count - 1) % 64);
        if (leading && gaps == 0) {
            a->first_gap = w;
            continue;
        }
        leading = false;
        theirs = gaps & torrent_bits_word(bits, a->bits_size, w);
        if (theirs != 0)
            return (uint32_t)(w * 64) + (uint32_t)__builtin_clzll(theirs);
    }
    return ZCB_TORRENT_NONE;
}

static uint32_t
next_piece(struct zcb_torrent_assembler *a, uint32_t peer, const uint8_t *bits)
{
    uint32_t piece;

    if (a->config.choose == NULL)
        return lowest(a, bits);
    piece = a->config.choose(a->config.ctx, peer, bits);
    if (piece >= a->geometry.piece_count || !zcb_torrent_bit(bits, piece) ||
        zcb_torrent_bit(a->taken, piece))
        return ZCB_TORRENT_NONE;
    return piece;
}

// When a block may be taken from the peer that owes it. Each time it was, the next one has twice as
// long: or two peers that both need longer than that would take it from each other for ever.
static uint64_t
patience_ends(const struct torrent_block *block, uint64_t patience_ms)
{
    uint32_t doublings = block->moves < 16 ? block->moves : 16;

    if (patience_ms > (UINT64_MAX - block->asked_ms) >> doublings)
        return UINT64_MAX;
    return block->asked_ms + (patience_ms << doublings);
}

static void
take_away(struct zcb_torrent_assembler *a, struct torrent_slot *slot, uint32_t block)
{
    torrent_revoke(a, slot, block);
    a->revoked++;
    if (slot->blocks[block].moves < UINT8_MAX)
        slot->blocks[block].moves++;
}

// Blocks that others have owed for too long.
static int
pick_owed(struct zcb_torrent_assembler *a, uint32_t peer, const uint8_t *bits,
          struct torrent_claim *out, int n)
{
    uint64_t earliest = UINT64_MAX;
    struct iovec place;
    int got = 0;

    for (uint32_t i = 0; i < a->slot_count; i++) {
        struct torrent_slot *slot = &a->slots[i];

        for (uint32_t b = 0;
             slot->piece != NULL && slot->reserved != 0 && b < zcb_piece_blocks(slot->piece); b++) {
            const struct torrent_block *block = &slot->blocks[b];
            uint64_t ends;

            if (block->ticket == 0)
                continue;
            ends = patience_ends(block, a->config.preempt_ms);
            if (got == n || block->pinned || a->now_ms < ends ||
                !zcb_torrent_bit(bits, slot->index) || zcb_piece_from(slot->piece, b) == peer) {
                if (earliest > ends)
                    earliest = ends;
                continue;
            }
            take_away(a, slot, b);
            if (zcb_piece_reserve_block(slot->piece, b, peer, &place) < 0)
                continue;
            reserve(a, slot, b, peer, &place, &out[got++]);
            a->stats.preempted++;
        }
    }
    // Nothing changes before one that is left comes of age; what is asked for from now on is
    // younger than preempt_ms.
    if (a->config.preempt_ms < UINT64_MAX - a->now_ms &&
        earliest > a->now_ms + a->config.preempt_ms)
        earliest = a->now_ms + a->config.preempt_ms;
    a->preempt_from = earliest;
    return got;
}

int
torrent_pick(struct zcb_torrent_assembler *a, uint32_t peer, const uint8_t *bits, uint64_t now_ms,
             struct torrent_claim *out, int n)
{
    uint32_t next;
    int got = 0;

    hear(a, now_ms);
    for (uint32_t i = a->open_first; i != ZCB_TORRENT_NONE && got < n; i = next) {
        next = a->slots[i].next; // picking the last missing block takes it off the list
        if (zcb_torrent_bit(bits, a->slots[i].index))
            got += pick_missing(a, &a->slots[i], peer, out + got, n - got);
    }
    while (got < n && a->missing != a->stats.active) {
        uint32_t piece = next_piece(a, peer, bits);
        struct torrent_slot *slot = piece == ZCB_TORRENT_NONE ? NULL : torrent_slot_open(a, piece);

        if (slot == NULL)
            break;
        got += pick_missing(a, slot, peer, out + got, n - got);
    }
    if (got < n && a->stats.reserved != 0 && a->now_ms >= a->preempt_from &&
        (a->config.flags & ZCB_TORRENT_NO_PREEMPT) == 0)
        got += pick_owed(a, peer, bits, out + got, n - got);
    return got;
}

int
zcb_torrent_assembler_pick(struct zcb_torrent_assembler *a, uint32_t peer, const uint8_t *bits,
                           uint64_t now_ms, struct zcb_torrent_request *out, int n)
{
    struct torrent_claim claims[TORRENT_PICK];
    int got = 0, more, want;

    if (a == NULL || bits == NULL || (out == NULL && n != 0) || n < 0 || peer == ZCB_PIECE_NOBODY)
        return -EINVAL;
    do {
        want = n - got < TORRENT_PICK ? n - got : TORRENT_PICK;
        more = torrent_pick(a, peer, bits, now_ms, claims, want);
        for (int i = 0; i < more; i++)
            out[got++] = claims[i].request;
    } while (more == TORRENT_PICK);
    return got;
}

uint32_t
zcb_torrent_assembler_expire(struct zcb_torrent_assembler *a, uint64_t now_ms)
{
    uint32_t ended = 0;

    hear(a, now_ms);
    for (uint32_t i = 0; i < a->slot_count; i++) {
        struct torrent_slot *slot = &a->slots[i];

        if (slot->piece == NULL)
            continue;
        for (uint32_t b = 0; slot->reserved != 0 && b < zcb_piece_blocks(slot->piece); b++) {
            const struct torrent_block *block = &slot->blocks[b];

            if (block->ticket == 0 || block->pinned ||
                a->now_ms < patience_ends(block, a->config.request_timeout_ms))
                continue;
            take_away(a, slot, b);
            ended++;
        }
        if (slot->reserved == 0 && !slot->pending &&
            a->now_ms - slot->last_ms >= a->config.stale_ms) {
            a->stats.stale++;
            a->stats.lost_bytes += zcb_piece_received(slot->piece);
            torrent_slot_close(a, slot);
        }
    }
    a->stats.timeouts += ended;
    return ended;
}
