// SPDX-License-Identifier: MIT
//
// One connection: what has been received, message by message.
//
//     WAIT_HANDSHAKE -> WAIT_MESSAGE <-> IN_PAYLOAD
//
// A message without payload is taken off the chain at once. PIECE and unknown ones are left behind
// their header (IN_PAYLOAD) and their payload goes where it belongs as it comes. BITFIELD and
// EXTENDED wait in the chain until they are whole; `hold` is the length of the one that was given
// out last, dropped by the next call.
#include "torrent.h"

// Bytes leave the chain's front.
static void
eat(struct zcb_torrent_wire *wire, size_t len)
{
    zcb_chain_discard(&wire->chain, len);
    wire->at += len;
}

int
torrent_fail(struct zcb_torrent_wire *wire, const char *reason,
             const struct zcb_torrent_message *message, uint32_t field)
{
    wire->state = TORRENT_FAILED;
    wire->error.reason = reason;
    wire->error.at = wire->at + field;
    wire->error.id = message == NULL || message->kind == ZCB_TORRENT_KEEPALIVE ? -1 : message->id;
    wire->error.length = message == NULL ? 0 : (uint32_t)(message->size - 4);
    return -EBADMSG;
}

// A PIECE, or something unknown, whose header is still at wire->at: where does its payload go?
int
torrent_payload_begin(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *message)
{
    struct torrent_entry entry;

    wire->current = *message;
    wire->request = (struct zcb_torrent_request){0};
    wire->got = 0;
    if (message->kind == ZCB_TORRENT_PIECE) {
        wire->current.result = ZCB_TORRENT_LATE;
        if (torrent_queue_take(&wire->queue, message->index, message->begin, message->length,
                               &entry)) {
            if (!entry.dead)
                wire->request = entry.request;
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
    if (wire->request.ticket != 0) {
        int r = zcb_torrent_assembler_commit(wire->assembler, &wire->request);

        m->result = r < 0 ? ZCB_TORRENT_LATE : (enum zcb_torrent_result)r;
    }
    wire->request.ticket = 0;
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

int
torrent_payload_advance(struct zcb_torrent_wire *wire, uint32_t len,
                        struct zcb_torrent_message *out)
{
    wire->got += len;
    return wire->got < wire->current.payload_len ? 0 : payload_end(wire, out);
}

// Payload that is in the chain goes to its place. 1: message; 0: go on; -EAGAIN: more is to come.
static int
step_payload(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    size_t len = zcb_chain_len(&wire->chain), left = wire->current.payload_len - wire->got;
    struct iovec place;

    if (len == 0 && left != 0)
        return -EAGAIN;
    len = len < left ? len : left;
    // The block may have been given to another peer since its first bytes came.
    if (wire->request.ticket != 0 &&
        zcb_torrent_assembler_place(wire->assembler, &wire->request, &place) < 0)
        wire->request.ticket = 0;
    if (wire->request.ticket != 0 &&
        zcb_chain_consume(&wire->chain, (uint8_t *)place.iov_base + wire->got, len) == 0)
        wire->at += len;
    else
        eat(wire, len);
    return torrent_payload_advance(wire, (uint32_t)len, out);
}

static uint32_t
count_bits(const uint8_t *bits, size_t len)
{
    uint32_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += (uint32_t)__builtin_popcount(bits[i]);
    return n;
}

static int
set_all(struct zcb_torrent_wire *wire, bool have)
{
    uint32_t used = wire->geometry->piece_count % 8;

    memset(wire->bits, have ? 0xff : 0, wire->bits_size);
    if (have && used != 0)
        wire->bits[wire->bits_size - 1] = (uint8_t)(0xff << (8 - used));
    wire->pieces = have ? wire->geometry->piece_count : 0;
    return 0;
}

static int
note_bitfield(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    struct zcb_cursor cursor;
    uint8_t last = 0;

    if (zcb_chain_copy_to(&wire->chain, 4 + (size_t)wire->bits_size, &last, 1) < 0)
        return -EAGAIN;
    if (wire->geometry->piece_count % 8 != 0 &&
        (last & (0xff >> wire->geometry->piece_count % 8)) != 0)
        return torrent_fail(wire, "bitfield with spare bits set", m, 4 + (uint32_t)wire->bits_size);
    // One that comes late stands for many HAVEs: nothing that was said before is taken back.
    if (zcb_cursor_init(&cursor, &wire->chain, 5) < 0)
        return -EAGAIN;
    for (size_t i = 0; i < wire->bits_size; i++) {
        uint8_t byte;

        if (zcb_cursor_u8(&cursor, &byte) < 0)
            return -EAGAIN;
        wire->bits[i] |= byte;
    }
    wire->pieces = count_bits(wire->bits, wire->bits_size);
    return 0;
}

static int
note_reject(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    struct torrent_entry entry;

    if (!torrent_queue_take(&wire->queue, m->index, m->begin, m->length, &entry)) {
        if ((wire->flags & ZCB_TORRENT_STRICT) != 0 ||
            wire->unasked++ >= wire->rules.limits.max_unasked)
            return torrent_fail(wire, "reject of what was not asked for", m, 5);
        return 0;
    }
    if (entry.dead)
        return 0;
    torrent_cancel(wire->assembler, &entry.request);
    wire->stats.rejected++;
    // Or asking and refusing would go round as fast as the line allows.
    wire->ask_from_ms = wire->now_ms > UINT64_MAX - 1000 ? UINT64_MAX : wire->now_ms + 1000;
    return 0;
}

// Takes note of a message that is whole, at the chain's front. 0, -EBADMSG.
static int
note(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    bool of_fast = m->kind >= ZCB_TORRENT_SUGGEST && m->kind <= ZCB_TORRENT_ALLOWED_FAST;
    bool early = m->kind == ZCB_TORRENT_BITFIELD || m->kind == ZCB_TORRENT_HAVE_ALL ||
                 m->kind == ZCB_TORRENT_HAVE_NONE;
    int r = 0;

    // What follows lies in places that this message gives up; it must be out of there first.
    if ((m->kind == ZCB_TORRENT_CHOKE || m->kind == ZCB_TORRENT_REJECT) && wire->plan != NULL &&
        wire->plan->left != 0)
        r = torrent_direct_spill(wire);
    if (r < 0)
        return r;
    if (of_fast && !wire->fast)
        return torrent_fail(wire, "fast extension message without the extension", m, 4);
    // BEP 3 and 6 want these first. Some clients send a whole bitfield later instead of many HAVEs,
    // which does no harm; to have none after having some makes no sense.
    if (early && wire->availability_closed &&
        (m->kind == ZCB_TORRENT_HAVE_NONE || (wire->flags & ZCB_TORRENT_STRICT) != 0))
        return torrent_fail(wire, "bitfield, or have all or none, too late", m, 4);
    switch (m->kind) {
    case ZCB_TORRENT_CHOKE:
        wire->choked = true;
        if (!wire->fast) // BEP 6: with it each request is rejected by itself
            torrent_queue_choked(wire);
        return 0; // may come before the bitfield, as the next ones
    case ZCB_TORRENT_UNCHOKE:
        if (wire->choked) // one that repeats it does not end the pause after a reject
            wire->ask_from_ms = 0;
        wire->choked = false;
        return 0;
    case ZCB_TORRENT_INTERESTED:
    case ZCB_TORRENT_NOT_INTERESTED:
        wire->interested = m->kind == ZCB_TORRENT_INTERESTED;
        return 0;
    case ZCB_TORRENT_PORT:
    case ZCB_TORRENT_EXTENDED:
        return 0;
    case ZCB_TORRENT_KEEPALIVE:
        wire->stats.keepalives++;
        if (wire->keepalives_in_a_row++ >= wire->rules.limits.max_keepalives)
            return torrent_fail(wire, "too many keepalives", m, 0);
        return 0;
    case ZCB_TORRENT_HAVE:
        if (!zcb_torrent_bit(wire->bits, m->index))
            wire->pieces++;
        torrent_bit_set(wire->bits, m->index);
        break;
    case ZCB_TORRENT_BITFIELD:
        r = note_bitfield(wire, m);
        break;
    case ZCB_TORRENT_HAVE_ALL:
    case ZCB_TORRENT_HAVE_NONE:
        r = set_all(wire, m->kind == ZCB_TORRENT_HAVE_ALL);
        break;
    case ZCB_TORRENT_REQUEST:
        wire->stats.peer_requests++;
        if (wire->open_requests++ >= wire->rules.limits.max_peer_requests)
            r = torrent_fail(wire, "too many requests", m, 4);
        break;
    case ZCB_TORRENT_REJECT:
        r = note_reject(wire, m);
        break;
    default:
        break;
    }
    wire->availability_closed = true;
    return r;
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

static int
step_message(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    uint8_t scratch[TORRENT_HEADER];
    size_t len = zcb_chain_len(&wire->chain), have = len < TORRENT_HEADER ? len : TORRENT_HEADER;
    const uint8_t *head = zcb_chain_peek(&wire->chain, 0, have, scratch);
    int r = torrent_parse(head, have, &wire->rules, out, &wire->error);

    if (r < 0) {
        if (r == -EBADMSG) {
            wire->error.at += wire->at;
            wire->state = TORRENT_FAILED;
        }
        return r;
    }
    if (out->kind == ZCB_TORRENT_PIECE || out->kind == ZCB_TORRENT_UNKNOWN) {
        int begun = torrent_payload_begin(wire, out);

        if (begun == 0)
            eat(wire, (size_t)r);
        return begun;
    }
    if (out->size > len)
        return -EAGAIN;
    r = note(wire, out);
    if (r < 0)
        return r;
    wire->stats.messages++;
    if (out->kind != ZCB_TORRENT_KEEPALIVE)
        wire->keepalives_in_a_row = 0;
    if (out->payload_len == 0 && out->kind != ZCB_TORRENT_EXTENDED) {
        eat(wire, (size_t)out->size);
        return 1;
    }
    wire->current = *out;
    wire->hold = (size_t)out->size;
    return 1;
}

int
zcb_torrent_wire_next(struct zcb_torrent_wire *wire, struct zcb_torrent_message *out)
{
    int r;

    if (wire == NULL || out == NULL)
        return -EINVAL;
    if (wire->hold != 0)
        eat(wire, wire->hold);
    wire->hold = 0;
    for (;;) {
        if (wire->state == TORRENT_IN_PAYLOAD)
            r = step_payload(wire, out);
        else if (wire->state == TORRENT_WAIT_MESSAGE)
            r = step_message(wire, out);
        else if (wire->state == TORRENT_WAIT_HANDSHAKE)
            r = step_handshake(wire, out);
        else
            return -EBADMSG;
        // What the chain has is used up: what was received in place comes behind it.
        if (r == -EAGAIN && wire->plan != NULL && wire->plan->left != 0)
            r = torrent_direct_step(wire, out);
        if (r == -EAGAIN) {
            wire->undrained = false;
            return 0;
        }
        if (r != 0)
            return r;
    }
}

int
zcb_torrent_wire_payload(const struct zcb_torrent_wire *wire, struct zcb_packet *out)
{
    if (wire == NULL || out == NULL || wire->hold == 0)
        return -EINVAL;
    return zcb_chain_gather(&wire->chain, wire->current.payload_off, wire->current.payload_len,
                            out);
}
