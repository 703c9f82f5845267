// SPDX-License-Identifier: MIT
//
// One connection: what has been received, message by message.
//
//     WAIT_HANDSHAKE -> WAIT_MESSAGE <-> IN_PAYLOAD
//
// Bytes are in one of two places: in `in`, as they came, or, once a message was not whole, in the
// chain. A message without payload is taken off at once. PIECE and unknown ones are left behind
// their header (IN_PAYLOAD) and their payload goes where it belongs as it comes. BITFIELD and
// EXTENDED wait in the chain until they are whole; `hold` is the length of the one that was given
// out last, dropped by the next call.
#include "torrent.h"

// `in` is used up, or elsewhere.
static __attribute__((noinline)) void
end_of_in(struct zcb_torrent_wire *wire)
{
    wire->in_len = 0;
    zcb_packet_unref(&wire->packet);
}

int
torrent_absorb_rest(struct zcb_torrent_wire *wire)
{
    int r;

    if (wire->room.iov_len != 0) {
        r = zcb_chain_commit(&wire->chain, wire->in_size);
        if (r < 0)
            return r;
        zcb_chain_discard(&wire->chain, wire->in_size - wire->in_len);
        wire->room.iov_len = 0;
    } else {
        struct zcb_packet rest = {wire->in, wire->in_len, wire->packet.owner};

        r = zcb_chain_push(&wire->chain, &rest);
        if (r < 0)
            return r;
        wire->packet = rest; // empty: the reference is the chain's
    }
    end_of_in(wire);
    return 0;
}

// Bytes have been dealt with.
static inline void
eat(struct zcb_torrent_wire *wire, size_t len)
{
    if (wire->in_len == 0) {
        zcb_chain_discard(&wire->chain, len);
        return;
    }
    wire->in += len;
    wire->in_len -= len;
    if (ZCB_UNLIKELY(wire->in_len == 0))
        end_of_in(wire);
}

// Where the next byte is, from the connection's first on.
static uint64_t
position(const struct zcb_torrent_wire *wire)
{
    return wire->stats.bytes - wire->in_len - zcb_chain_len(&wire->chain) -
           (wire->plan != NULL ? wire->plan->left : 0);
}

int
torrent_fail(struct zcb_torrent_wire *wire, const char *reason,
             const struct zcb_torrent_message *message, uint32_t field)
{
    wire->state = TORRENT_FAILED;
    wire->error.reason = reason;
    wire->error.at = position(wire) + field;
    wire->error.id = message == NULL || message->kind == ZCB_TORRENT_KEEPALIVE ? -1 : message->id;
    wire->error.length = message == NULL ? 0 : (uint32_t)(message->size - 4);
    return -EBADMSG;
}

// A PIECE, or something unknown, whose header is still in front: where does its payload go?
int
torrent_payload_begin(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *message)
{
    struct torrent_entry entry;

    wire->current = *message;
    wire->claim.request.ticket = 0;
    wire->got = 0;
    if (message->kind == ZCB_TORRENT_PIECE) {
        wire->current.result = ZCB_TORRENT_LATE;
        if (torrent_queue_take(&wire->queue, message->index, message->begin, message->length,
                               &entry)) {
            if (!entry.dead)
                wire->claim = entry.claim;
        } else {
            wire->current.result = ZCB_TORRENT_UNASKED;
            if ((wire->flags & ZCB_TORRENT_STRICT) != 0)
                return torrent_fail(wire, "block that was not asked for", message, 5);
            if (wire->unasked++ >= wire->rules.limits.max_unasked)
                return torrent_fail(wire, "too many blocks that were not asked for", message, 5);
        }
    }
    wire->state = TORRENT_IN_PAYLOAD;
    return 0;
}

// The payload's last byte has been dealt with.
static int
payload_end(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    struct zcb_torrent_message *m = &wire->current;

    wire->state = TORRENT_WAIT_MESSAGE;
    wire->stats.messages++;
    wire->keepalives_in_a_row = 0;
    if (m->kind != ZCB_TORRENT_PIECE) {
        wire->stats.unknown++;
        return 0;
    }
    wire->availability_closed = true;
    if (torrent_stands(&wire->claim)) {
        int r = torrent_commit(wire->assembler, &wire->claim);

        m->result = r < 0 ? ZCB_TORRENT_LATE : (enum zcb_torrent_result)r;
    }
    wire->claim.request.ticket = 0;
    if (m->result == ZCB_TORRENT_LATE) {
        wire->stats.late_blocks++;
        wire->stats.late_bytes += m->length;
    } else if (m->result == ZCB_TORRENT_UNASKED) {
        wire->stats.unasked_blocks++;
        wire->stats.unasked_bytes += m->length;
    } else {
        wire->stats.blocks++;
        wire->stats.payload_bytes += m->length;
        wire->ask_from_ms = 0;
    }
    *out = *m;
    return 1;
}

// What has come went to its place. -EAGAIN: there is more to come, and nothing left of what came.
int
torrent_payload_advance(struct zcb_torrent_wire *wire, uint32_t len,
                        struct zcb_torrent_message *out)
{
    wire->got += len;
    return ZCB_LIKELY(wire->got < wire->current.payload_len) ? -EAGAIN : payload_end(wire, out);
}

// 1: message; 0: go on; -EAGAIN: more is to come.
static int
step_payload(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    uint32_t left = wire->current.payload_len - wire->got;
    size_t have = wire->in_len != 0 ? wire->in_len : zcb_chain_len(&wire->chain);
    uint32_t len = have < left ? (uint32_t)have : left;

    if (len == 0)
        return left != 0 ? -EAGAIN : torrent_payload_advance(wire, 0, out);
    // The block may have been given to another peer since its first bytes came.
    if (!torrent_stands(&wire->claim)) {
        wire->claim.request.ticket = 0;
        eat(wire, len);
    } else if (wire->in_len != 0) {
        memcpy(torrent_place(&wire->claim) + wire->got, wire->in, len);
        zcb_count_copy(ZCB_COPY_CONSUME, len);
        eat(wire, len);
    } else {
        int r = zcb_chain_consume(&wire->chain, torrent_place(&wire->claim) + wire->got, len);

        if (r < 0)
            return r; // cannot be: they are there
    }
    return torrent_payload_advance(wire, len, out);
}

// wire->handshake has been read.
int
torrent_handshake_done(struct zcb_torrent_wire *wire)
{
    const uint8_t *bits = wire->handshake.reserved;

    if (wire->check_hash && memcmp(wire->handshake.info_hash, wire->info_hash, 20) != 0)
        return torrent_fail(wire, "another torrent's info hash", NULL, 28);
    wire->has_handshake = true;
    wire->state = TORRENT_WAIT_MESSAGE;
    wire->fast = (wire->flags & ZCB_TORRENT_OFFER_FAST) != 0 &&
                 (bits[ZCB_TORRENT_FAST_BYTE] & ZCB_TORRENT_FAST_MASK) != 0;
    wire->extended = (wire->flags & ZCB_TORRENT_OFFER_EXTENDED) != 0 &&
                     (bits[ZCB_TORRENT_EXTENDED_BYTE] & ZCB_TORRENT_EXTENDED_MASK) != 0;
    return 0;
}

static int
step_handshake(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    int r = zcb_torrent_peek_handshake(&wire->chain, &wire->handshake, &wire->error);

    if (r == -EBADMSG)
        wire->state = TORRENT_FAILED;
    if (r < 0)
        return r;
    r = torrent_handshake_done(wire);
    if (r < 0)
        return r;
    eat(wire, ZCB_TORRENT_HANDSHAKE_SIZE);
    *out = (struct zcb_torrent_message){.kind = ZCB_TORRENT_HANDSHAKE,
                                        .size = ZCB_TORRENT_HANDSHAKE_SIZE};
    return 1;
}

// A header with payload behind it, or to come.
static int
step_payload_header(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    int r;

    if (m->kind == ZCB_TORRENT_PIECE || m->kind == ZCB_TORRENT_UNKNOWN) {
        r = m->kind == ZCB_TORRENT_PIECE ? torrent_direct_clear(wire, m) : 0;
        if (r == 0)
            r = torrent_payload_begin(wire, m);
        if (r == 0)
            eat(wire, m->payload_off);
        return r;
    }
    if (m->size > zcb_chain_len(&wire->chain)) // these are read, or given out, from the chain
        return -EAGAIN;
    r = torrent_note(wire, m);
    if (r < 0)
        return r;
    wire->stats.messages++;
    wire->keepalives_in_a_row = 0;
    wire->current = *m;
    wire->hold = (size_t)m->size;
    return 1;
}

static int
step_message(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    uint8_t scratch[TORRENT_HEADER];
    const uint8_t *head = wire->in;
    size_t have = wire->in_len;
    int r;

    if (have == 0) {
        have = zcb_chain_len(&wire->chain);
        have = have < TORRENT_HEADER ? have : TORRENT_HEADER;
        head = zcb_chain_peek(&wire->chain, 0, have, scratch);
    }
    r = torrent_parse(head, have, &wire->rules, out);
    if (ZCB_UNLIKELY(r == -EBADMSG)) {
        torrent_explain(head, have, &wire->rules, out, &wire->error);
        wire->error.at += position(wire);
        wire->state = TORRENT_FAILED;
    }
    if (r < 0)
        return r;
    if (out->payload_off != 0)
        return step_payload_header(wire, out);
    r = torrent_note(wire, out);
    if (ZCB_UNLIKELY(r < 0))
        return r;
    wire->stats.messages++;
    if (out->kind != ZCB_TORRENT_KEEPALIVE)
        wire->keepalives_in_a_row = 0;
    eat(wire, (size_t)out->size);
    return 1;
}

static int
step(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    switch (wire->state) {
    case TORRENT_IN_PAYLOAD:
        return step_payload(wire, out);
    case TORRENT_WAIT_MESSAGE:
        return step_message(wire, out);
    case TORRENT_WAIT_HANDSHAKE:
        return step_handshake(wire, out);
    default:
        return -EBADMSG;
    }
}

static __attribute__((noinline)) int
next_of_any_kind(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    int r;

    if (wire->hold != 0) {
        zcb_chain_discard(&wire->chain, wire->hold);
        wire->hold = 0;
    }
    for (;;) {
        r = step(wire, out);
        if (r == -EAGAIN && wire->in_len != 0) {
            r = torrent_absorb(wire); // a message that is not whole
        } else if (r == -EAGAIN && wire->plan != NULL && wire->plan->left != 0) {
            // What the chain has is used up: what was received in place comes behind it.
            r = torrent_direct_step(wire, out);
        }
        if (r == -EAGAIN) {
            wire->undrained = false;
            return 0;
        }
        if (r != 0)
            return r;
    }
}

// A swarm says HAVE more often than everything else together. False: what is next is something
// else, or not whole, or wrong, or has to be put together first.
static inline bool
next_is_have(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    const uint8_t *at = wire->in;
    uint32_t index;

    if (wire->state != TORRENT_WAIT_MESSAGE || wire->in_len < 9 || torrent_get_u32(at) != 5 ||
        at[4] != ZCB_TORRENT_HAVE)
        return false;
    index = torrent_get_u32(at + 5);
    if (index >= wire->rules.pieces)
        return false;
    *out = (struct zcb_torrent_message){
        .kind = ZCB_TORRENT_HAVE, .id = ZCB_TORRENT_HAVE, .index = index, .size = 9};
    torrent_note_have(wire, index);
    wire->stats.messages++;
    wire->keepalives_in_a_row = 0;
    eat(wire, 9);
    return true;
}

int
zcb_torrent_wire_next(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    if (wire == NULL || out == NULL)
        return -EINVAL;
    if (!wire->undrained)
        return 0;
    return next_is_have(wire, out) ? 1 : next_of_any_kind(wire, out);
}

int
zcb_torrent_wire_payload(const struct zcb_torrent_wire *wire, struct zcb_packet *out)
{
    if (wire == NULL || out == NULL || wire->hold == 0)
        return -EINVAL;
    return zcb_chain_gather(&wire->chain, wire->current.payload_off, wire->current.payload_len,
                            out);
}
