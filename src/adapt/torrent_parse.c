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

// By id: what follows it.
static const uint8_t shapes[21] = {
    [10] = TORRENT_UNKNOWN,
    [11] = TORRENT_UNKNOWN,
    [12] = TORRENT_UNKNOWN,
    [18] = TORRENT_UNKNOWN,
    [19] = TORRENT_UNKNOWN,
    [ZCB_TORRENT_CHOKE] = TORRENT_BARE,
    [ZCB_TORRENT_UNCHOKE] = TORRENT_BARE,
    [ZCB_TORRENT_INTERESTED] = TORRENT_BARE,
    [ZCB_TORRENT_NOT_INTERESTED] = TORRENT_BARE,
    [ZCB_TORRENT_HAVE] = TORRENT_INDEX,
    [ZCB_TORRENT_BITFIELD] = TORRENT_BITS,
    [ZCB_TORRENT_REQUEST] = TORRENT_SPAN,
    [ZCB_TORRENT_PIECE] = TORRENT_BLOCK,
    [ZCB_TORRENT_CANCEL] = TORRENT_SPAN,
    [ZCB_TORRENT_PORT] = TORRENT_PORT,
    [ZCB_TORRENT_SUGGEST] = TORRENT_INDEX,
    [ZCB_TORRENT_HAVE_ALL] = TORRENT_BARE,
    [ZCB_TORRENT_HAVE_NONE] = TORRENT_BARE,
    [ZCB_TORRENT_REJECT] = TORRENT_SPAN,
    [ZCB_TORRENT_ALLOWED_FAST] = TORRENT_INDEX,
    [ZCB_TORRENT_EXTENDED] = TORRENT_EXTENSION,
};

// By shape: the header's bytes, with the length field.
static const uint8_t headers[TORRENT_SHAPES] = {
    [TORRENT_UNKNOWN] = 5, [TORRENT_BARE] = 5, [TORRENT_INDEX] = 9,  [TORRENT_SPAN] = 17,
    [TORRENT_PORT] = 7,    [TORRENT_BITS] = 5, [TORRENT_BLOCK] = 13, [TORRENT_EXTENSION] = 6,
};

static void
set_default(uint32_t *limit, uint32_t value)
{
    if (*limit == 0)
        *limit = value;
}

void
torrent_rules_init(struct torrent_rules *rules, const struct zcb_torrent_geometry *geometry,
                   const struct zcb_torrent_limits *limits)
{
    struct zcb_torrent_limits *l = &rules->limits;
    uint32_t bitfield;

    *rules = (struct torrent_rules){.geometry = geometry, .pieces = UINT64_MAX};
    if (limits != NULL)
        *l = *limits;
    set_default(&l->max_block, geometry != NULL ? geometry->block_length : ZCB_TORRENT_BLOCK);
    set_default(&l->max_request, 131072);
    set_default(&l->max_extended, 1u << 20);
    set_default(&l->max_unknown, 1u << 20);
    set_default(&l->max_keepalives, 65536);
    set_default(&l->max_unasked, 1024);
    set_default(&l->max_peer_requests, 2048);
    // Without a geometry a bitfield is bounded as what is buffered whole, too.
    bitfield = l->max_extended;
    if (geometry != NULL) {
        bitfield = (uint32_t)zcb_torrent_bitfield_size(geometry);
        rules->pieces = geometry->piece_count;
    }

    for (int shape = 0; shape < TORRENT_SHAPES; shape++)
        rules->lengths[shape].min = rules->lengths[shape].max = headers[shape] - 4u;
    rules->lengths[TORRENT_UNKNOWN].max = l->max_unknown;
    rules->lengths[TORRENT_EXTENSION].max = l->max_extended;
    rules->lengths[TORRENT_BLOCK].min = 10;
    rules->lengths[TORRENT_BLOCK].max =
        l->max_block > UINT32_MAX - 9 ? UINT32_MAX : l->max_block + 9;
    rules->lengths[TORRENT_BITS].max = bitfield == UINT32_MAX ? UINT32_MAX : bitfield + 1;
    if (geometry != NULL)
        rules->lengths[TORRENT_BITS].min = bitfield + 1;
    for (int shape = 0; shape < TORRENT_SHAPES; shape++)
        if (rules->max_any < rules->lengths[shape].max)
            rules->max_any = rules->lengths[shape].max;
}

static enum torrent_shape
shape_of(uint8_t id)
{
    return id < sizeof(shapes) ? (enum torrent_shape)shapes[id] : TORRENT_UNKNOWN;
}

static bool
is_length(const struct torrent_rules *rules, enum torrent_shape shape, uint32_t len)
{
    return len >= rules->lengths[shape].min && len <= rules->lengths[shape].max;
}

// Why a length is not one.
static const char *
wrong_length(const struct torrent_rules *rules, enum torrent_shape shape, uint32_t len)
{
    if (len > rules->max_any)
        return "message longer than any that is allowed";
    switch (shape) {
    case TORRENT_BITS:
        return "bitfield of the wrong size";
    case TORRENT_BLOCK:
        return len < 10 ? "piece message without a block" : "block above the limit";
    case TORRENT_EXTENSION:
        return len < 2 ? "extended message without its id" : "extended message above the limit";
    case TORRENT_UNKNOWN:
        return "unknown message above the limit";
    default:
        return "wrong length for its id";
    }
}

// What is wrong with index, begin and length, and where; or NULL.
static const char *
wrong_span(const struct torrent_rules *rules, const struct zcb_torrent_message *m, uint32_t *field)
{
    *field = 5;
    if (m->index >= rules->pieces)
        return "piece index outside the torrent";
    *field = 9;
    if (rules->geometry != NULL && m->kind != ZCB_TORRENT_HAVE &&
        zcb_torrent_geometry_check(rules->geometry, m->index, m->begin, m->length) < 0)
        return m->length == 0 ? "empty block" : "block outside its piece";
    *field = 13;
    if (m->length > rules->limits.max_request &&
        (m->kind == ZCB_TORRENT_REQUEST || m->kind == ZCB_TORRENT_CANCEL))
        return "request above the limit";
    return NULL;
}

// Errors are found out a second time, so that the first pass has nothing to remember.
void
torrent_explain(const uint8_t *head, size_t have, const struct torrent_rules *rules,
                const struct zcb_torrent_message *m, struct zcb_torrent_error *out)
{
    uint32_t len = torrent_get_u32(head), field = 0;
    enum torrent_shape shape = have > 4 ? shape_of(head[4]) : TORRENT_UNKNOWN;
    const char *reason = wrong_length(rules, shape, len);

    if (have > 4 && is_length(rules, shape, len))
        reason = wrong_span(rules, m, &field);
    *out = (struct zcb_torrent_error){reason, field, len, have > 4 ? head[4] : -1};
}

// What torrent_parse() has not to do for the shortest and most frequent ones.
static __attribute__((noinline)) int
parse_long(const uint8_t *head, uint32_t len, enum torrent_shape shape,
           const struct torrent_rules *rules, struct zcb_torrent_message *out)
{
    uint32_t header = headers[shape], field;

    if (shape == TORRENT_PORT)
        out->index = (uint32_t)head[5] << 8 | head[6];
    if (shape == TORRENT_EXTENSION)
        out->extended_id = head[5];
    if (shape == TORRENT_UNKNOWN)
        out->kind = ZCB_TORRENT_UNKNOWN;
    if (shape >= TORRENT_UNKNOWN) {
        out->payload_off = header;
        out->payload_len = len - (header - 4);
    }
    if (shape != TORRENT_SPAN && shape != TORRENT_BLOCK)
        return (int)header;
    out->index = torrent_get_u32(head + 5);
    out->begin = torrent_get_u32(head + 9);
    out->length = shape == TORRENT_SPAN ? torrent_get_u32(head + 13) : len - 9;
    return ZCB_LIKELY(wrong_span(rules, out, &field) == NULL) ? (int)header : -EBADMSG;
}

int
torrent_parse(const uint8_t *head, size_t have, const struct torrent_rules *rules,
              struct zcb_torrent_message *out)
{
    enum torrent_shape shape;
    uint32_t len;

    if (ZCB_UNLIKELY(have < 5)) {
        len = have < 4 ? 1 : torrent_get_u32(head);
        if (len != 0)
            return len > rules->max_any ? -EBADMSG : -EAGAIN;
    }
    len = torrent_get_u32(head);
    if (ZCB_UNLIKELY(len == 0)) {
        *out = (struct zcb_torrent_message){.kind = ZCB_TORRENT_KEEPALIVE, .size = 4};
        return 4;
    }
    shape = shape_of(head[4]);
    if (ZCB_UNLIKELY(!is_length(rules, shape, len)))
        return -EBADMSG;
    if (ZCB_UNLIKELY(have < headers[shape]))
        return -EAGAIN;
    *out = (struct zcb_torrent_message){
        .kind = (enum zcb_torrent_kind)head[4], .id = head[4], .size = (uint64_t)len + 4};
    if (shape != TORRENT_INDEX)
        return parse_long(head, len, shape, rules, out);
    out->index = torrent_get_u32(head + 5);
    return ZCB_LIKELY(out->index < rules->pieces) ? 9 : -EBADMSG;
}

int
zcb_torrent_peek(const struct zcb_chain *chain, size_t off,
                 const struct zcb_torrent_geometry *geometry,
                 const struct zcb_torrent_limits *limits, struct zcb_torrent_message *out,
                 struct zcb_torrent_error *error)
{
    uint8_t scratch[TORRENT_HEADER];
    struct zcb_torrent_message message;
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
    r = torrent_parse(head, have, &rules, &message);
    if (r > 0)
        *out = message;
    if (r == -EBADMSG && error != NULL) {
        torrent_explain(head, have, &rules, &message, error);
        error->at += off;
    }
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
