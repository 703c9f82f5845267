// SPDX-License-Identifier: MIT
//
// One connection: its making and end, bytes in, and what may be asked about it.
#include "torrent.h"

#define WIRE_FLAGS                                                                                 \
    (uint32_t)(ZCB_TORRENT_DIRECT | ZCB_TORRENT_OFFER_FAST | ZCB_TORRENT_OFFER_EXTENDED |          \
               ZCB_TORRENT_STRICT)

// Less room than that is filled, not used again.
#define ROOM_MIN 16384

static bool
is_sound(const struct zcb_torrent_wire_config *c)
{
    const struct zcb_torrent_limits *l = &c->limits;

    for (size_t i = 0; i < sizeof(c->reserved) / sizeof(c->reserved[0]); i++)
        if (c->reserved[i] != NULL)
            return false;
    for (size_t i = 0; i < sizeof(l->reserved) / sizeof(l->reserved[0]); i++)
        if (l->reserved[i] != 0)
            return false;
    return c->reserved32 == 0 && (c->flags & ~WIRE_FLAGS) == 0 && c->pipeline <= 4096 &&
           c->direct_blocks <= TORRENT_DIRECT_BLOCKS_MAX;
}

// Reading must not stop before the longest message that waits to be whole is.
static int
set_levels(struct zcb_torrent_wire *wire, const struct zcb_torrent_wire_config *c)
{
    uint64_t longest = (uint64_t)wire->rules.lengths[TORRENT_BITS].max + 4;

    if (longest < (uint64_t)wire->rules.limits.max_extended + 4)
        longest = (uint64_t)wire->rules.limits.max_extended + 4;
    wire->rx_stop = c->rx_stop_bytes;
    if (wire->rx_stop == 0)
        wire->rx_stop = 2 * longest > (16u << 20) ? (size_t)(2 * longest) : (size_t)16 << 20;
    wire->rx_resume = c->rx_resume_bytes != 0 ? c->rx_resume_bytes : wire->rx_stop / 4;
    if (wire->rx_stop < longest || wire->rx_resume > wire->rx_stop)
        return -EINVAL;
    // What is unread may be the beginning of such a message: only reading on makes it less.
    if (wire->rx_resume < longest)
        wire->rx_resume = (size_t)longest;
    return 0;
}

static int
accept_handshake(struct zcb_torrent_wire *wire, const struct zcb_torrent_wire_config *c)
{
    if (c->info_hash != NULL) {
        memcpy(wire->info_hash, c->info_hash, sizeof(wire->info_hash));
        wire->check_hash = true;
    }
    if (c->peer_handshake == NULL)
        return 0;
    wire->handshake = *c->peer_handshake;
    return torrent_handshake_done(wire);
}

int
zcb_torrent_wire_create(struct zcb_pool *pool, struct zcb_torrent_assembler *assembler,
                        uint32_t peer, const struct zcb_torrent_wire_config *config,
                        struct zcb_torrent_wire **out)
{
    const struct zcb_torrent_wire_config none = {0}, *c = config != NULL ? config : &none;
    const struct zcb_torrent_geometry *geometry =
        assembler != NULL ? &assembler->geometry : c->geometry;
    struct zcb_chain_config chain = c->chain;
    struct zcb_torrent_wire *wire;
    int r;

    if (pool == NULL || out == NULL || geometry == NULL ||
        (assembler != NULL && c->geometry != NULL) || peer == ZCB_PIECE_NOBODY || !is_sound(c))
        return -EINVAL;
    wire = calloc(1, sizeof(*wire));
    if (wire == NULL)
        return -ENOMEM;
    wire->assembler = assembler;
    wire->own_geometry = *geometry;
    wire->geometry = &wire->own_geometry;
    wire->peer = peer;
    wire->flags = assembler != NULL ? c->flags : c->flags & ~(uint32_t)ZCB_TORRENT_DIRECT;
    wire->pipeline = c->pipeline != 0 ? c->pipeline : 64;
    wire->direct_blocks = c->direct_blocks != 0 ? c->direct_blocks : 16;
    torrent_direct_init(wire);
    wire->choked = true;
    wire->error.id = -1;
    torrent_rules_init(&wire->rules, wire->geometry, &c->limits);
    wire->bits_size = zcb_torrent_bitfield_size(wire->geometry);
    if (chain.chunk_size == 0 && (wire->flags & ZCB_TORRENT_DIRECT) != 0)
        chain.chunk_size = 4096;
    wire->in_max = chain.max_bytes != 0 ? chain.max_bytes : SIZE_MAX;
    r = set_levels(wire, c);
    if (r == 0)
        r = zcb_chain_init(&wire->chain, pool, &chain);
    if (r == 0)
        r = torrent_queue_init(&wire->queue, wire->pipeline);
    if (r == 0)
        r = accept_handshake(wire, c);
    if (r == 0 && (wire->bits = calloc(1, wire->bits_size)) == NULL)
        r = -ENOMEM;
    if (r == 0 && (wire->flags & ZCB_TORRENT_DIRECT) != 0 &&
        (wire->plan = calloc(1, sizeof(*wire->plan))) == NULL)
        r = -ENOMEM;
    if (r < 0)
        zcb_torrent_wire_destroy(&wire);
    else
        *out = wire;
    return r;
}

void
zcb_torrent_wire_destroy(struct zcb_torrent_wire **slot)
{
    struct zcb_torrent_wire *wire = slot != NULL ? *slot : NULL;

    if (wire == NULL)
        return;
    *slot = NULL;
    torrent_direct_end(wire);
    for (uint32_t i = 0; i < wire->queue.count; i++) {
        const struct torrent_entry *entry = torrent_queue_at(&wire->queue, i);

        if (!entry->dead)
            torrent_give_up(wire->assembler, &entry->claim);
    }
    torrent_give_up(wire->assembler, &wire->claim);
    zcb_packet_unref(&wire->packet);
    zcb_chain_finish(&wire->chain);
    free(wire->queue.ring);
    free(wire->bits);
    free(wire->plan);
    free(wire);
}

bool
zcb_torrent_wire_paused(const struct zcb_torrent_wire *wire)
{
    size_t unread = zcb_torrent_wire_unread(wire);
    size_t waits = wire->backlog > SIZE_MAX - unread ? SIZE_MAX : wire->backlog + unread;

    return waits >= wire->rx_stop || (wire->paused && waits > wire->rx_resume);
}

// Room in the chain. While that is empty, the same room is used again and again.
static int
plan_room(struct zcb_torrent_wire *wire, struct iovec *iov, int n)
{
    int r = torrent_absorb(wire);

    if (r < 0)
        return r;
    if (wire->room.iov_len != 0) {
        iov[0] = wire->room;
        return 1;
    }
    r = zcb_chain_reserve(&wire->chain, 1, iov, n);
    wire->planned_chain = 0;
    for (int i = 0; i < r; i++)
        wire->planned_chain += iov[i].iov_len;
    wire->planned_bytes = wire->planned_chain;
    if (r == 1 && zcb_chain_len(&wire->chain) == 0 && iov[0].iov_len >= ROOM_MIN)
        wire->room = iov[0];
    return r;
}

int
zcb_torrent_wire_recv_plan(struct zcb_torrent_wire *wire, struct iovec *iov, int n)
{
    bool paused;
    int r;

    if (wire == NULL || iov == NULL || n < 1)
        return -EINVAL;
    if (wire->state == TORRENT_FAILED)
        return -EBADMSG;
    if (wire->plan != NULL && wire->plan->left != 0)
        return -EBUSY;
    torrent_direct_end(wire);
    wire->planned = false;
    paused = zcb_torrent_wire_paused(wire);
    wire->stats.pauses += paused && !wire->paused;
    wire->paused = paused;
    if (paused)
        return 0;
    // What is foretold comes behind all that has been received, so that must have been parsed.
    if (wire->plan == NULL || wire->undrained || wire->state == TORRENT_WAIT_HANDSHAKE) {
        r = plan_room(wire, iov, n);
    } else {
        wire->room.iov_len = 0;
        r = torrent_direct_plan(wire, iov, n);
    }
    wire->planned = r > 0;
    return r;
}

// Bytes that came while the chain was empty, to be parsed where they lie. Most are the middle of a
// block: they go to their place at once, and next() has nothing to do.
static inline void
take_in(struct zcb_torrent_wire *wire, const uint8_t *data, size_t len)
{
    if (wire->state == TORRENT_IN_PAYLOAD && len != 0 &&
        len < wire->current.payload_len - wire->got && torrent_stands(&wire->claim)) {
        memcpy(torrent_place(&wire->claim) + wire->got, data, len);
        zcb_count_copy(ZCB_COPY_CONSUME, len);
        wire->got += (uint32_t)len;
        return;
    }
    wire->in = data;
    wire->in_len = wire->in_size = len;
    wire->undrained |= len != 0;
}

int
zcb_torrent_wire_received(struct zcb_torrent_wire *wire, size_t bytes)
{
    size_t to_chain;

    if (wire == NULL)
        return -EINVAL;
    if (!wire->planned)
        return bytes == 0 ? 0 : -ERANGE;
    if (bytes > wire->planned_bytes)
        return -ERANGE;
    to_chain = bytes < wire->planned_chain ? bytes : wire->planned_chain;
    if (wire->room.iov_len != 0) {
        take_in(wire, wire->room.iov_base, bytes);
    } else {
        int r = wire->planned_chain != 0 ? zcb_chain_commit(&wire->chain, to_chain) : 0;

        if (r < 0)
            return r;
        wire->undrained |= bytes != 0;
    }
    wire->planned = false;
    wire->stats.bytes += bytes;
    wire->stats.reads += bytes != 0;
    if (bytes > to_chain)
        wire->plan->left = bytes - to_chain;
    else
        torrent_direct_end(wire);
    return 0;
}

int
zcb_torrent_wire_push(struct zcb_torrent_wire *wire, struct zcb_packet *packet)
{
    size_t len;
    int r;

    if (wire == NULL || packet == NULL)
        return -EINVAL;
    if (wire->state == TORRENT_FAILED)
        return -EBADMSG;
    if (wire->plan != NULL && wire->plan->left != 0)
        return -EBUSY;
    len = packet->len;
    if (len > wire->in_max)
        return -ENOBUFS;
    r = torrent_absorb(wire);
    if (r == 0 && zcb_chain_len(&wire->chain) != 0)
        r = zcb_chain_push(&wire->chain, packet);
    if (r < 0)
        return r;
    wire->undrained |= zcb_chain_len(&wire->chain) != 0;
    torrent_direct_end(wire);
    wire->planned = false;
    wire->room.iov_len = 0;
    wire->stats.bytes += len;
    if (packet->len != 0)
        take_in(wire, packet->data, len);
    if (wire->in_len != 0) {
        wire->packet = *packet;
        *packet = (struct zcb_packet){0};
    }
    zcb_packet_unref(packet);
    return 0;
}

const struct zcb_torrent_error *
zcb_torrent_wire_error(const struct zcb_torrent_wire *wire)
{
    return &wire->error;
}

void
zcb_torrent_wire_set_backlog(struct zcb_torrent_wire *wire, size_t bytes)
{
    wire->backlog = bytes;
}

void
zcb_torrent_wire_served(struct zcb_torrent_wire *wire, uint32_t n)
{
    wire->open_requests -= n < wire->open_requests ? n : wire->open_requests;
}

const struct zcb_torrent_handshake *
zcb_torrent_wire_handshake(const struct zcb_torrent_wire *wire)
{
    return wire->has_handshake ? &wire->handshake : NULL;
}

const uint8_t *
zcb_torrent_wire_bits(const struct zcb_torrent_wire *wire)
{
    return wire->bits;
}

bool
zcb_torrent_wire_has(const struct zcb_torrent_wire *wire, uint32_t piece)
{
    return piece < wire->geometry->piece_count && zcb_torrent_bit(wire->bits, piece);
}

uint32_t
zcb_torrent_wire_pieces(const struct zcb_torrent_wire *wire)
{
    return wire->pieces;
}

bool
zcb_torrent_wire_wants(const struct zcb_torrent_wire *wire)
{
    const uint8_t *have = wire->assembler != NULL ? wire->assembler->have : wire->bits;

    for (size_t w = 0; w < (wire->bits_size + 7) / 8; w++)
        if ((torrent_bits_word(wire->bits, wire->bits_size, w) &
             ~torrent_bits_word(have, wire->bits_size, w)) != 0)
            return true;
    return false;
}

bool
zcb_torrent_wire_chokes(const struct zcb_torrent_wire *wire)
{
    return wire->choked;
}

bool
zcb_torrent_wire_is_interested(const struct zcb_torrent_wire *wire)
{
    return wire->interested;
}

bool
zcb_torrent_wire_fast(const struct zcb_torrent_wire *wire)
{
    return wire->fast;
}

bool
zcb_torrent_wire_extended(const struct zcb_torrent_wire *wire)
{
    return wire->extended;
}

uint32_t
zcb_torrent_wire_outstanding(const struct zcb_torrent_wire *wire)
{
    return wire->queue.live + (wire->claim.request.ticket != 0);
}

size_t
zcb_torrent_wire_unread(const struct zcb_torrent_wire *wire)
{
    return zcb_chain_len(&wire->chain) + wire->in_len;
}

uint32_t
zcb_torrent_wire_peer(const struct zcb_torrent_wire *wire)
{
    return wire->peer;
}

int
zcb_torrent_wire_stats(const struct zcb_torrent_wire *wire, struct zcb_torrent_wire_stats *out,
                       size_t out_size)
{
    if (wire == NULL || out == NULL || out_size == 0)
        return -EINVAL;
    memset(out, 0, out_size);
    memcpy(out, &wire->stats, out_size < sizeof(wire->stats) ? out_size : sizeof(wire->stats));
    return 0;
}
