// SPDX-License-Identifier: MIT
//
// One connection: what the peer says about itself: what it has, whether it chokes us, what it wants
// and refuses.
#include "torrent.h"

static uint32_t
count_bits(const uint8_t *bits, size_t len)
{
    uint32_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += (uint32_t)__builtin_popcount(bits[i]);
    return n;
}

static void
set_all(struct zcb_torrent_wire *wire, bool have)
{
    memset(wire->bits, have ? 0xff : 0, wire->bits_size);
    if (have)
        wire->bits[wire->bits_size - 1] = torrent_last_bits(wire->geometry);
    wire->pieces = have ? wire->geometry->piece_count : 0;
}

// One that comes late stands for many HAVEs: nothing that was said before is taken back.
static int
note_bitfield(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    struct zcb_cursor cursor;
    uint8_t byte;
    int r = zcb_chain_peek_u8(&wire->chain, (size_t)m->size - 1, &byte);

    if (r == 0 && (byte & ~torrent_last_bits(wire->geometry)) != 0)
        return torrent_fail(wire, "bitfield with spare bits set", m, (uint32_t)m->size - 1);
    if (r == 0)
        r = zcb_cursor_init(&cursor, &wire->chain, m->payload_off);
    for (size_t i = 0; i < wire->bits_size && r == 0; i++) {
        r = zcb_cursor_u8(&cursor, &byte);
        wire->bits[i] |= byte;
    }
    wire->pieces = count_bits(wire->bits, wire->bits_size);
    return r;
}

// BEP 3 and 6 want these first. Some clients send a whole bitfield later instead of many HAVEs,
// which does no harm; to have none after having some makes no sense.
static int
note_availability(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    if (wire->availability_closed &&
        (m->kind == ZCB_TORRENT_HAVE_NONE || (wire->flags & ZCB_TORRENT_STRICT) != 0))
        return torrent_fail(wire, "bitfield, or have all or none, too late", m, 4);
    if (m->kind == ZCB_TORRENT_BITFIELD)
        return note_bitfield(wire, m);
    set_all(wire, m->kind == ZCB_TORRENT_HAVE_ALL);
    return 0;
}

static int
note_choke(struct zcb_torrent_wire *wire)
{
    if (!wire->fast) { // BEP 6: with it each request is rejected by itself
        int r = torrent_direct_clear(wire, NULL);

        if (r < 0)
            return r;
        torrent_queue_choked(wire);
    }
    wire->choked = true;
    return 0;
}

static int
note_reject(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    struct torrent_entry entry;
    int r = torrent_direct_clear(wire, m);

    if (r < 0)
        return r;
    if (!torrent_queue_take(&wire->queue, m->index, m->begin, m->length, &entry)) {
        if ((wire->flags & ZCB_TORRENT_STRICT) != 0 ||
            wire->unasked++ >= wire->rules.limits.max_unasked)
            return torrent_fail(wire, "reject of what was not asked for", m, 5);
        return 0;
    }
    if (entry.dead)
        return 0;
    torrent_give_up(wire->assembler, &entry.claim);
    wire->stats.rejected++;
    // Or asking and refusing would go round as fast as the line allows.
    wire->ask_from_ms = wire->now_ms > UINT64_MAX - 1000 ? UINT64_MAX : wire->now_ms + 1000;
    return 0;
}

static int
note_keepalive(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    wire->stats.keepalives++;
    if (wire->keepalives_in_a_row++ >= wire->rules.limits.max_keepalives)
        return torrent_fail(wire, "too many keepalives", m, 0);
    return 0;
}

static int
note_request(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    wire->stats.peer_requests++;
    if (wire->open_requests++ >= wire->rules.limits.max_peer_requests)
        return torrent_fail(wire, "too many requests", m, 4);
    return 0;
}

// Behind these a bitfield comes too late. The others set up the connection.
static int
note_transfer(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    int r = 0;

    if (m->kind >= ZCB_TORRENT_SUGGEST && m->kind <= ZCB_TORRENT_ALLOWED_FAST && !wire->fast)
        return torrent_fail(wire, "fast extension message without the extension", m, 4);
    switch (m->kind) {
    case ZCB_TORRENT_BITFIELD:
    case ZCB_TORRENT_HAVE_ALL:
    case ZCB_TORRENT_HAVE_NONE:
        r = note_availability(wire, m);
        break;
    case ZCB_TORRENT_HAVE:
        torrent_note_have(wire, m->index);
        break;
    case ZCB_TORRENT_REQUEST:
        r = note_request(wire, m);
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

int
torrent_note(struct zcb_torrent_wire *wire, const struct zcb_torrent_message *m)
{
    switch (m->kind) {
    case ZCB_TORRENT_CHOKE:
        return note_choke(wire);
    case ZCB_TORRENT_UNCHOKE:
        if (wire->choked) // one that repeats it does not end the pause after a reject
            wire->ask_from_ms = 0;
        wire->choked = false;
        return 0;
    case ZCB_TORRENT_INTERESTED:
    case ZCB_TORRENT_NOT_INTERESTED:
        wire->interested = m->kind == ZCB_TORRENT_INTERESTED;
        return 0;
    case ZCB_TORRENT_KEEPALIVE:
        return note_keepalive(wire, m);
    case ZCB_TORRENT_PORT:
    case ZCB_TORRENT_EXTENDED:
        return 0;
    default:
        return note_transfer(wire, m);
    }
}
