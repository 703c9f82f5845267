// SPDX-License-Identifier: MIT
//
// Bytes to messages. A message is a length (4 bytes, big endian), an id and fields (BEP 3); length
// 0 is a keepalive. Everything is judged from the header, before a byte of payload is waited for.
#include "torrent.h"

static const uint8_t protocol[20] = "\x13"
                                    "BitTorrent protocol";

int
zcb_torrent_peek_handshake(const struct zcb_chain *chain, struct zcb_torrent_handshake *out,
                           struct zcb_torrent_error *error)
{
    uint8_t scratch[ZCB_TORRENT_HANDSHAKE_SIZE];
    size_t len = zcb_chain_len(chain);
    const uint8_t *at =
        zcb_chain_peek(chain, 0, len < sizeof(scratch) ? len : sizeof(scratch), scratch);

    if (error != NULL)
        *error = (struct zcb_torrent_error){.id = -1};
    for (size_t i = 0; i < sizeof(protocol) && i < len; i++) {
        if (at[i] == protocol[i])
            continue;
        if (error != NULL) {
            error->reason = "not the BitTorrent protocol";
            error->at = i;
        }
        return -EBADMSG;
    }
    if (len < sizeof(scratch))
        return -EAGAIN;
    memcpy(out->reserved, at + 20, sizeof(out->reserved));
    memcpy(out->info_hash, at + 28, sizeof(out->info_hash));
    memcpy(out->peer_id, at + 48, sizeof(out->peer_id));
    return ZCB_TORRENT_HANDSHAKE_SIZE;
}

enum shape { UNKNOWN, BARE, INDEX, SPAN, PORT, BITS, BLOCK, EXTENSION };

// By id: what follows it.
static const uint8_t shapes[21] = {
    [ZCB_TORRENT_CHOKE] = BARE,         [ZCB_TORRENT_UNCHOKE] = BARE,
    [ZCB_TORRENT_INTERESTED] = BARE,    [ZCB_TORRENT_NOT_INTERESTED] = BARE,
    [ZCB_TORRENT_HAVE] = INDEX,         [ZCB_TORRENT_BITFIELD] = BITS,
    [ZCB_TORRENT_REQUEST] = SPAN,       [ZCB_TORRENT_PIECE] = BLOCK,
    [ZCB_TORRENT_CANCEL] = SPAN,        [ZCB_TORRENT_PORT] = PORT,
    [ZCB_TORRENT_SUGGEST] = INDEX,      [ZCB_TORRENT_HAVE_ALL] = BARE,
    [ZCB_TORRENT_HAVE_NONE] = BARE,     [ZCB_TORRENT_REJECT] = SPAN,
    [ZCB_TORRENT_ALLOWED_FAST] = INDEX, [ZCB_TORRENT_EXTENDED] = EXTENSION,
};

// By shape: the header's bytes with the length field, and whether anything follows.
static const struct {
    uint8_t header;
    bool payload;
} layouts[] = {
    [UNKNOWN] = {5, true}, [BARE] = {5, false}, [INDEX] = {9, false}, [SPAN] = {17, false},
    [PORT] = {7, false},   [BITS] = {5, true},  [BLOCK] = {13, true}, [EXTENSION] = {6, true},
};

void
torrent_rules_init(struct torrent_rules *rules, const struct zcb_torrent_geometry *geometry,
                   const struct zcb_torrent_limits *limits)
{
    struct zcb_torrent_limits *l = &rules->limits;
    uint64_t any;

    *rules = (struct torrent_rules){.geometry = geometry};
    if (limits != NULL)
        *l = *limits;
    if (l->max_block == 0)
        l->max_block = geometry != NULL ? geometry->block_length : ZCB_TORRENT_BLOCK;
    if (l->max_request == 0)
        l->max_request = 131072;
    if (l->max_extended == 0)
        l->max_extended = 1u << 20;
    if (l->max_unknown == 0)
        l->max_unknown = 1u << 20;
    if (l->max_keepalives == 0)
        l->max_keepalives = 65536;
    if (l->max_unasked == 0)
        l->max_unasked = 1024;
    if (l->max_peer_requests == 0)
        l->max_peer_requests = 2048;
    // Without a geometry a bitfield is bounded as what is buffered whole, too.
    rules->bitfield =
        geometry != NULL ? (uint32_t)zcb_torrent_bitfield_size(geometry) : l->max_extended;

    any = TORRENT_HEADER - 4;
    if (any < (uint64_t)l->max_block + 9)
        any = (uint64_t)l->max_block + 9;
    if (any < (uint64_t)rules->bitfield + 1)
        any = (uint64_t)rules->bitfield + 1;
    if (any < l->max_extended)
        any = l->max_extended;
    if (any < l->max_unknown)
        any = l->max_unknown;
    rules->max_any = any > UINT32_MAX ? UINT32_MAX : (uint32_t)any;
}

static int
refuse(struct zcb_torrent_error *error, const char *reason, uint32_t field, uint32_t length, int id)
{
    if (error != NULL)
        *error = (struct zcb_torrent_error){reason, field, length, id};
    return -EBADMSG;
}

// A length that its id does not allow, or NULL. `len` is at least 1.
static const char *
judge_length(enum shape shape, uint32_t len, const struct torrent_rules *rules)
{
    switch (shape) {
    case BITS:
        if (rules->geometry != NULL ? len - 1 != rules->bitfield : len - 1 > rules->bitfield)
            return "bitfield of the wrong size";
        return NULL;
    case BLOCK:
        if (len < 10)
            return "piece message without a block";
        return len - 9 > rules->limits.max_block ? "block above the limit" : NULL;
    case EXTENSION:
        if (len < 2)
            return "extended message without its id";
        return len > rules->limits.max_extended ? "extended message above the limit" : NULL;
    case UNKNOWN:
        return len > rules->limits.max_unknown ? "unknown message above the limit" : NULL;
    default:
        return len != (uint32_t)layouts[shape].header - 4 ? "wrong length for its id" : NULL;
    }
}

// An index or a span outside the torrent, or above a limit. *field is where.
static const char *
judge_fields(enum shape shape, const struct zcb_torrent_message *m,
             const struct torrent_rules *rules, uint32_t *field)
{
    *field = 5;
    if (rules->geometry != NULL && (shape == INDEX || shape == SPAN || shape == BLOCK)) {
        if (m->index >= rules->geometry->piece_count)
            return "piece index outside the torrent";
        if (shape != INDEX &&
            zcb_torrent_geometry_check(rules->geometry, m->index, m->begin, m->length) < 0) {
            *field = 9;
            return m->length == 0 ? "empty block" : "block outside its piece";
        }
    }
    *field = 13;
    if ((m->kind == ZCB_TORRENT_REQUEST || m->kind == ZCB_TORRENT_CANCEL) &&
        m->length > rules->limits.max_request)
        return "request above the limit";
    return NULL;
}

int
torrent_parse(const uint8_t *head, size_t have, const struct torrent_rules *rules,
              struct zcb_torrent_message *out, struct zcb_torrent_error *error)
{
    struct zcb_torrent_message m = {0};
    const char *reason;
    enum shape shape;
    uint32_t len, header, field;

    if (have < 4)
        return -EAGAIN;
    len = torrent_get_u32(head);
    m.size = (uint64_t)len + 4;
    if (len == 0) {
        m.kind = ZCB_TORRENT_KEEPALIVE;
        *out = m;
        return 4;
    }
    if (ZCB_UNLIKELY(len > rules->max_any))
        return refuse(error, "message longer than any that is allowed", 0, len,
                      have > 4 ? head[4] : -1);
    if (have < 5)
        return -EAGAIN;
    m.id = head[4];
    shape = m.id < sizeof(shapes) ? (enum shape)shapes[m.id] : UNKNOWN;
    m.kind = shape == UNKNOWN ? ZCB_TORRENT_UNKNOWN : (enum zcb_torrent_kind)m.id;
    reason = judge_length(shape, len, rules);
    if (ZCB_UNLIKELY(reason != NULL))
        return refuse(error, reason, 0, len, m.id);
    header = layouts[shape].header;
    if (have < header)
        return -EAGAIN;
    if (layouts[shape].payload) {
        m.payload_off = header;
        m.payload_len = len - (header - 4);
    }
    switch (shape) {
    case INDEX:
        m.index = torrent_get_u32(head + 5);
        break;
    case SPAN:
        m.index = torrent_get_u32(head + 5);
        m.begin = torrent_get_u32(head + 9);
        m.length = torrent_get_u32(head + 13);
        break;
    case BLOCK:
        m.index = torrent_get_u32(head + 5);
        m.begin = torrent_get_u32(head + 9);
        m.length = m.payload_len;
        break;
    case PORT:
        m.index = (uint32_t)head[5] << 8 | head[6];
        break;
    case EXTENSION:
        m.extended_id = head[5];
        break;
    default:
        break;
    }
    reason = judge_fields(shape, &m, rules, &field);
    if (ZCB_UNLIKELY(reason != NULL))
        return refuse(error, reason, field, len, m.id);
    *out = m;
    return (int)header;
}

int
zcb_torrent_peek(const struct zcb_chain *chain, size_t off,
                 const struct zcb_torrent_geometry *geometry,
                 const struct zcb_torrent_limits *limits, struct zcb_torrent_message *out,
                 struct zcb_torrent_error *error)
{
    uint8_t scratch[TORRENT_HEADER];
    struct torrent_rules rules;
    const uint8_t *head;
    size_t have;
    int r;

    if (error != NULL)
        *error = (struct zcb_torrent_error){.id = -1};
    if (off > zcb_chain_len(chain))
        return -EAGAIN;
    torrent_rules_init(&rules, geometry, limits);
    have = zcb_chain_len(chain) - off;
    have = have < TORRENT_HEADER ? have : TORRENT_HEADER;
    head = zcb_chain_peek(chain, off, have, scratch);
    r = torrent_parse(head, have, &rules, out, error);
    if (r == -EBADMSG && error != NULL)
        error->at += off;
    return r;
}

const char *
zcb_torrent_kind_name(enum zcb_torrent_kind kind)
{
    static const char *const names[21] = {
        "choke",   "unchoke", "interested", "not_interested", "have",   "bitfield",
        "request", "piece",   "cancel",     "port",           NULL,     NULL,
        NULL,      "suggest", "have_all",   "have_none",      "reject", "allowed_fast",
        NULL,      NULL,      "extended",
    };

    if (kind == ZCB_TORRENT_KEEPALIVE)
        return "keepalive";
    if (kind == ZCB_TORRENT_HANDSHAKE)
        return "handshake";
    return (unsigned)kind < 21 && names[kind] != NULL ? names[kind] : "unknown";
}
