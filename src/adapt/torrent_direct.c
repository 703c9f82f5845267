// SPDX-License-Identifier: MIT
//
// The planner: where the next bytes are to be received, and what to make of them.
//
// Normal receive is a reservation in the chain. Direct receive foretells the stream from the queue
// of what the peer was asked for:
//
//     [rest of this block][head 0][block 0 in its place][head 1][block 1 in its place] ...
//     ... [head n, or a few bytes]
//
// If what is unfinished at the chain's front is no such header, its rest comes first, into the
// chain. After the read, heads are compared with what was expected. From the first that differs on,
// all bytes are appended to the chain (counted) and parsed there: blocks that were written in the
// wrong place are still missing, so nobody looks at them.
//
// Until all of it has been looked at, its blocks are pinned: no other peer gets them, they do not
// time out.
#include "torrent.h"

#define CHAIN_ROOM 65536 // the most that a plan asks the chain for, where the length is known
#define PATIENCE_MIN 8
#define PATIENCE_MAX 4096

void
torrent_direct_init(struct zcb_torrent_wire *wire)
{
    wire->depth = wire->direct_blocks; // most peers answer in order
    wire->streak = 0;
    wire->patience = PATIENCE_MIN;
}

// What lies behind a wrong guess is moved twice, so a peer that does not answer in order (its disk
// threads decide, or it is busy) is foretold no blocks, only the next header, which costs a read a
// block and moves nothing. It is trusted again step by step; each disappointment makes that slower.
static void
guessed(struct zcb_torrent_wire *wire, bool right)
{
    if (!right) {
        wire->stats.wrong_guesses++;
        wire->depth = 0;
        wire->streak = 0;
        wire->patience = wire->patience < PATIENCE_MAX / 4 ? wire->patience * 4 : PATIENCE_MAX;
        return;
    }
    wire->stats.guesses++;
    if (++wire->streak < wire->patience)
        return;
    // What is moved twice is to stay below a hundredth of the payload, however it goes on.
    if (wire->depth < wire->direct_blocks &&
        wire->stats.moved_bytes > wire->stats.payload_bytes / 256)
        return;
    wire->streak = 0;
    if (wire->depth == wire->direct_blocks)
        wire->patience = wire->patience > 2 * PATIENCE_MIN ? wire->patience / 2 : PATIENCE_MIN;
    else if (wire->depth == 0)
        wire->depth = 1;
    else if (wire->depth > wire->direct_blocks / 2)
        wire->depth = wire->direct_blocks;
    else
        wire->depth *= 2;
}

static void
pin_all(struct zcb_torrent_wire *wire, bool pinned)
{
    for (uint32_t i = 0; i < wire->plan->count; i++) {
        const struct torrent_segment *segment = &wire->plan->segments[i];

        if (segment->kind == TORRENT_BODY && torrent_stands(&segment->claim))
            segment->claim.block->pinned = pinned;
    }
}

void
torrent_direct_unplan(struct zcb_torrent_wire *wire)
{
    pin_all(wire, false);
    wire->plan->count = wire->plan->at = 0;
    wire->plan->left = 0;
    wire->plan->spilling = false;
}

static void
expected_header(const struct zcb_torrent_request *request, uint8_t out[16])
{
    torrent_put_u32(out, request->length + 9);
    out[4] = ZCB_TORRENT_PIECE;
    torrent_put_u32(out + 5, request->index);
    torrent_put_u32(out + 9, request->begin);
}

static void
add(struct torrent_plan *plan, enum torrent_segment_kind kind, void *base, size_t len,
    const struct torrent_claim *claim)
{
    struct torrent_segment *segment = &plan->segments[plan->count++];

    segment->kind = kind;
    segment->base = base;
    segment->len = (uint32_t)len;
    if (claim != NULL)
        segment->claim = *claim;
}

// The next entry from *i on that is still awaited, or NULL.
static const struct torrent_entry *
next_live(struct zcb_torrent_wire *wire, uint32_t *i)
{
    while (*i < wire->queue.count) {
        struct torrent_entry *entry = torrent_queue_at(&wire->queue, (*i)++);

        if (entry->dead)
            continue;
        if (torrent_stands(&entry->claim))
            return entry;
        torrent_queue_kill(&wire->queue, entry, true);
    }
    return NULL;
}

// Room in the chain for at most `len` bytes: iovecs used, *got bytes.
static int
chain_room(struct zcb_torrent_wire *wire, size_t len, struct iovec *iov, int n, size_t *got)
{
    size_t min = len == SIZE_MAX ? 1 : len < CHAIN_ROOM ? len : CHAIN_ROOM;
    int r = zcb_chain_reserve(&wire->chain, min, iov, n), used = 0;

    for (*got = 0; used < r && *got < len; used++) {
        if (iov[used].iov_len > len - *got)
            iov[used].iov_len = len - *got;
        *got += iov[used].iov_len;
    }
    return r < 0 ? r : used;
}

// Bytes that the unfinished message at the chain's front still needs, as far as that can be seen.
// *whole: it is over then.
static size_t
rest_of_message(const struct zcb_torrent_wire *wire, size_t have, bool *whole)
{
    uint32_t len;
    uint8_t id;

    *whole = false;
    if (zcb_chain_peek_u32be(&wire->chain, 0, &len) < 0)
        return 4 - have;
    // A block that was not foretold, however short: its header first, then its place is known.
    // Until its id is there any message can be one.
    if (have < TORRENT_PIECE_HEADER &&
        (zcb_chain_peek_u8(&wire->chain, 4, &id) < 0 || id == ZCB_TORRENT_PIECE))
        return ((uint64_t)len + 4 < TORRENT_PIECE_HEADER ? len + 4 : TORRENT_PIECE_HEADER) - have;
    *whole = true;
    return (size_t)((uint64_t)len + 4 - have);
}

// Segments for what is foretold. `skip` bytes of the first header are in the chain already.
static void
foretell(struct zcb_torrent_wire *wire, size_t skip, int n)
{
    struct torrent_plan *plan = wire->plan;
    uint32_t i = 0, heads = 0;
    const struct torrent_entry *entry;

    while ((int)plan->count < n && (entry = next_live(wire, &i)) != NULL) {
        add(plan, TORRENT_HEAD, plan->heads[heads++] + skip, TORRENT_PIECE_HEADER - skip,
            &entry->claim);
        skip = 0;
        if ((int)plan->count == n || heads > wire->depth)
            return;
        add(plan, TORRENT_BODY, torrent_place(&entry->claim), entry->claim.request.length,
            &entry->claim);
    }
    // Nothing that could be payload comes behind the last block that was asked for.
    if ((int)plan->count < n && plan->count != 0)
        add(plan, TORRENT_TAIL, plan->tail, sizeof(plan->tail), NULL);
}

int
torrent_direct_plan(struct zcb_torrent_wire *wire, struct iovec *iov, int n)
{
    struct torrent_plan *plan = wire->plan;
    size_t have = zcb_chain_len(&wire->chain), room = 0, wanted = 0, skip = 0;
    uint8_t scratch[16], expected[16];
    const struct torrent_entry *entry;
    bool whole = true; // what is at the chain's front ends with what is wanted
    int used = 0;
    uint32_t i = 0;

    n = n < TORRENT_SEGMENTS ? n : TORRENT_SEGMENTS;
    entry = next_live(wire, &i);
    if (wire->state == TORRENT_IN_PAYLOAD) {
        uint32_t left = wire->current.payload_len - wire->got;

        if (torrent_stands(&wire->claim))
            add(plan, TORRENT_BODY, torrent_place(&wire->claim) + wire->got, left, &wire->claim);
        else
            wanted = left;
    } else if (entry != NULL && have != 0) {
        expected_header(&entry->claim.request, expected);
        if (have < TORRENT_PIECE_HEADER &&
            memcmp(zcb_chain_peek(&wire->chain, 0, have, scratch), expected, have) == 0)
            skip = have;
        else
            wanted = rest_of_message(wire, have, &whole);
    }
    // Nothing is owed: what comes is small, and takes what room there is.
    if (entry == NULL && plan->count == 0)
        wanted = SIZE_MAX;
    if (wanted != 0) {
        used = chain_room(wire, wanted, iov, n, &room);
        if (used < 0)
            return used;
    }
    if (room == wanted && whole)
        foretell(wire, skip, n - used);
    wire->planned_chain = wire->planned_bytes = room;
    for (i = 0; i < plan->count; i++) {
        iov[used].iov_base = plan->segments[i].base;
        iov[used++].iov_len = plan->segments[i].len;
        wire->planned_bytes += plan->segments[i].len;
    }
    pin_all(wire, true);
    return used;
}

// All that has not been looked at goes to the chain, to be parsed there. After a failure: again.
static int
spill(struct zcb_torrent_wire *wire)
{
    struct torrent_plan *plan = wire->plan;

    plan->spilling = true;
    while (plan->left != 0) {
        struct torrent_segment *segment = &plan->segments[plan->at];
        size_t len = segment->len < plan->left ? segment->len : plan->left;
        int r = zcb_chain_append(&wire->chain, segment->base, len);

        if (r < 0)
            return r;
        wire->stats.moved_bytes += len;
        plan->left -= len;
        plan->at++;
    }
    torrent_direct_end(wire);
    return 0;
}

// That block (NULL: any) is about to be written or given up: what has not been looked at must not lie
// in its place. Most of all after a failure half way, when the chain goes on with what was saved.
int
torrent_direct_clear(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *block)
{
    const struct torrent_plan *plan = wire->plan;

    if (plan == NULL || plan->left == 0)
        return 0;
    for (uint32_t i = plan->at; i < plan->count; i++) {
        const struct zcb_torrent_request *r = &plan->segments[i].claim.request;

        if (block == NULL || (plan->segments[i].kind == TORRENT_BODY && r->index == block->index &&
                              r->begin == block->begin))
            return spill(wire);
    }
    return 0;
}

// Whether it is the header that was expected, all of it; its payload is then next.
static bool
take_head(struct zcb_torrent_wire *wire, const struct torrent_segment *segment, size_t len)
{
    size_t skip = TORRENT_PIECE_HEADER - segment->len;
    const struct zcb_torrent_request *r = &segment->claim.request;
    uint8_t expected[16];
    struct zcb_torrent_message message = {
        .kind = ZCB_TORRENT_PIECE,
        .id = ZCB_TORRENT_PIECE,
        .index = r->index,
        .begin = r->begin,
        .length = r->length,
        .payload_off = TORRENT_PIECE_HEADER,
        .payload_len = r->length,
        .size = (uint64_t)r->length + TORRENT_PIECE_HEADER,
    };

    expected_header(r, expected);
    if (wire->state != TORRENT_WAIT_MESSAGE || zcb_chain_len(&wire->chain) != skip ||
        memcmp(segment->base, expected + skip, len) != 0) {
        guessed(wire, false);
        return false;
    }
    if (len < segment->len || torrent_payload_begin(wire, &message) < 0)
        return false;
    zcb_chain_discard(&wire->chain, skip);
    guessed(wire, true);
    return true;
}

// One segment. 1: message; 0: go on; -EAGAIN: the block's rest is to come; or a failure.
int
torrent_direct_step(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    struct torrent_plan *plan = wire->plan;
    const struct torrent_segment *segment = &plan->segments[plan->at];
    enum torrent_segment_kind kind = segment->kind;
    uint32_t len = segment->len < plan->left ? segment->len : (uint32_t)plan->left;

    if (plan->spilling || kind == TORRENT_TAIL ||
        (kind == TORRENT_HEAD && !take_head(wire, segment, len)))
        return wire->state == TORRENT_FAILED ? -EBADMSG : spill(wire);
    plan->at++;
    plan->left -= len;
    if (plan->left == 0)
        torrent_direct_end(wire);
    if (kind == TORRENT_HEAD)
        return 0;
    if (wire->claim.request.ticket != 0)
        wire->stats.direct_bytes += len;
    return torrent_payload_advance(wire, len, out);
}
