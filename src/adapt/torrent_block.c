// SPDX-License-Identifier: MIT
//
// One block, from its reservation to the piece's verdict.
//
// A reservation is a ticket in the block's record and `from` in the piece. Whoever holds a request
// asks by its ticket, so that one that has ended, for whatever reason, is simply not found any
// more: nobody has to be told.
#include "torrent.h"

// 0 and the block's slot, if the reservation stands.
static int
find(const struct zcb_torrent_assembler *a, const struct zcb_torrent_request *request,
     struct torrent_slot **slot, uint32_t *block)
{
    uint32_t length = a->geometry.block_length;

    *block = request->begin / length;
    if (request->begin % length != 0 ||
        request->length != zcb_torrent_block_length(&a->geometry, request->index, *block) ||
        request->length == 0)
        return -ERANGE;
    *slot = torrent_slot_find(a, request->index);
    if (*slot == NULL)
        return zcb_torrent_assembler_has(a, request->index) ? -EALREADY : -EBUSY;
    if (request->ticket != 0 && (*slot)->blocks[*block].ticket == request->ticket)
        return 0;
    return zcb_piece_has((*slot)->piece, *block) ? -EALREADY : -EBUSY;
}

int
zcb_torrent_assembler_place(const struct zcb_torrent_assembler *a,
                            const struct zcb_torrent_request *request, struct iovec *out)
{
    struct torrent_slot *slot;
    uint32_t block;
    int r = find(a, request, &slot, &block);

    if (r < 0)
        return r;
    out->iov_base = slot->base + request->begin;
    out->iov_len = request->length;
    return 0;
}

void
torrent_revoke(struct zcb_torrent_assembler *a, struct torrent_slot *slot, uint32_t block)
{
    int r = zcb_piece_cancel_block(slot->piece, block, zcb_piece_from(slot->piece, block));

    (void)r; // it has a ticket, so it is reserved
    slot->blocks[block].ticket = 0;
    slot->blocks[block].pinned = false;
    slot->reserved--;
    a->stats.reserved--;
    if (slot->missing++ == 0)
        torrent_open_link(a, slot, true);
}

void
torrent_give_up(struct zcb_torrent_assembler *a, const struct torrent_claim *claim)
{
    if (torrent_stands(claim))
        torrent_revoke(a, claim->slot, (uint32_t)(claim->block - claim->slot->blocks));
}

int
zcb_torrent_assembler_cancel(struct zcb_torrent_assembler *a,
                             const struct zcb_torrent_request *request)
{
    struct torrent_slot *slot;
    uint32_t block;
    int r = find(a, request, &slot, &block);

    if (r == 0 && slot->blocks[block].pinned)
        return -EBUSY;
    if (r == 0)
        torrent_revoke(a, slot, block);
    return r;
}

uint32_t
zcb_torrent_assembler_cancel_peer(struct zcb_torrent_assembler *a, uint32_t peer)
{
    uint32_t ended = 0;

    for (uint32_t i = 0; i < a->slot_count; i++) {
        struct torrent_slot *slot = &a->slots[i];

        for (uint32_t b = 0;
             slot->piece != NULL && slot->reserved != 0 && b < zcb_piece_blocks(slot->piece); b++) {
            if (slot->blocks[b].ticket == 0 || slot->blocks[b].pinned ||
                zcb_piece_from(slot->piece, b) != peer)
                continue;
            torrent_revoke(a, slot, b);
            ended++;
        }
    }
    if (ended != 0)
        a->revoked++;
    return ended;
}

static enum zcb_torrent_result
good(struct zcb_torrent_assembler *a, struct torrent_slot *slot)
{
    struct zcb_packet packet = {0};
    uint32_t index = slot->index;
    int r = zcb_piece_take(&slot->piece, &packet);

    (void)r; // it is complete
    torrent_bit_set(a->have, index);
    torrent_slot_close(a, slot);
    a->missing--;
    a->stats.completed++;
    if (a->config.complete != NULL)
        a->config.complete(a->config.ctx, index, &packet);
    else
        zcb_packet_unref(&packet);
    return ZCB_TORRENT_DONE;
}

static enum zcb_torrent_result
bad(struct zcb_torrent_assembler *a, struct torrent_slot *slot)
{
    uint32_t culprit = zcb_piece_from(slot->piece, 0);

    for (uint32_t b = 1; b < zcb_piece_blocks(slot->piece); b++)
        if (zcb_piece_from(slot->piece, b) != culprit) {
            culprit = ZCB_PIECE_NOBODY;
            break;
        }
    a->stats.failed++;
    a->stats.lost_bytes += zcb_piece_received(slot->piece);
    if (a->config.failed != NULL)
        a->config.failed(a->config.ctx, slot->index, culprit);
    if (zcb_piece_reset(slot->piece) < 0) {
        torrent_slot_close(a, slot); // somebody still reads it
        return ZCB_TORRENT_BAD;
    }
    torrent_slot_start(a, slot);
    torrent_open_link(a, slot, true);
    return ZCB_TORRENT_BAD;
}

// A block has been received: the hash follows, and the last one ends the piece.
static enum zcb_torrent_result
stored(struct zcb_torrent_assembler *a, struct torrent_slot *slot, uint32_t block, uint32_t len)
{
    enum zcb_torrent_verdict verdict = ZCB_TORRENT_HASH_RIGHT;
    size_t frontier = zcb_piece_frontier(slot->piece);

    slot->blocks[block].ticket = 0;
    slot->blocks[block].pinned = false;
    slot->reserved--;
    slot->last_ms = a->now_ms;
    a->stats.reserved--;
    a->stats.stored_bytes += len;
    if (a->config.hash != NULL && frontier != slot->hashed)
        a->config.hash(a->config.ctx, slot->hash_state, slot->index, slot->hashed,
                       slot->base + slot->hashed, frontier - slot->hashed);
    slot->hashed = frontier;
    if (!zcb_piece_is_complete(slot->piece))
        return ZCB_TORRENT_STORED;
    if (a->config.verify != NULL)
        verdict = a->config.verify(a->config.ctx, slot->hash_state, slot->index);
    if (verdict == ZCB_TORRENT_HASH_LATER) {
        slot->pending = true;
        return ZCB_TORRENT_PENDING;
    }
    return verdict == ZCB_TORRENT_HASH_RIGHT ? good(a, slot) : bad(a, slot);
}

int
torrent_commit(struct zcb_torrent_assembler *a, const struct torrent_claim *claim)
{
    uint32_t block = (uint32_t)(claim->block - claim->slot->blocks);
    int r = zcb_piece_commit_block(claim->slot->piece, block, claim->request.peer);

    return r < 0 ? r : (int)stored(a, claim->slot, block, claim->request.length);
}

int
zcb_torrent_assembler_commit(struct zcb_torrent_assembler *a,
                             const struct zcb_torrent_request *request)
{
    struct torrent_claim claim;
    uint32_t block;
    int r = find(a, request, &claim.slot, &block);

    if (r < 0)
        return r;
    claim.request = *request;
    claim.block = &claim.slot->blocks[block];
    return torrent_commit(a, &claim);
}

int
zcb_torrent_assembler_write(struct zcb_torrent_assembler *a,
                            const struct zcb_torrent_request *request, const void *data, size_t len)
{
    struct torrent_slot *slot;
    uint32_t block;
    int r = find(a, request, &slot, &block);

    if (r == 0)
        r = zcb_piece_write(slot->piece, block, data, len, request->peer);
    return r < 0 ? r : (int)stored(a, slot, block, request->length);
}

int
zcb_torrent_assembler_verified(struct zcb_torrent_assembler *a, uint32_t piece, bool right)
{
    struct torrent_slot *slot = torrent_slot_find(a, piece);

    if (slot == NULL || !slot->pending)
        return -EINVAL;
    return (int)(right ? good(a, slot) : bad(a, slot));
}

int
zcb_torrent_assembler_share(struct zcb_torrent_assembler *a, uint32_t piece, struct zcb_packet *out)
{
    struct torrent_slot *slot = torrent_slot_find(a, piece);

    if (slot == NULL || !slot->pending)
        return -EINVAL;
    return zcb_piece_share(slot->piece, 0, zcb_piece_length(slot->piece), out);
}

uint32_t
zcb_torrent_assembler_from(const struct zcb_torrent_assembler *a, uint32_t piece, uint32_t block)
{
    struct torrent_slot *slot = torrent_slot_find(a, piece);

    return slot == NULL ? ZCB_PIECE_NOBODY : zcb_piece_from(slot->piece, block);
}
