// SPDX-License-Identifier: MIT
//
// One fragment: what it is, whether it may be that, where it belongs. Nothing is changed before all
// that can fail has succeeded.
#include "frame_fragment.h"

struct fragment {
    struct key key;
    struct fragment_ip ip;
    uint32_t len; // of its data
    uint8_t ecn;
};

static const char *const names[] = {
#define RESULT_NAME(NAME, name, what) #name,
    ZCB_REASSEMBLY_RESULTS(RESULT_NAME)
#undef RESULT_NAME
};

static const char *const texts[] = {
#define RESULT_TEXT(NAME, name, what) what,
    ZCB_REASSEMBLY_RESULTS(RESULT_TEXT)
#undef RESULT_TEXT
};

const char *
zcb_reassembly_name(int result)
{
    return (unsigned)result < sizeof(names) / sizeof(names[0]) ? names[result] : "unknown";
}

const char *
zcb_reassembly_text(int result)
{
    return (unsigned)result < sizeof(texts) / sizeof(texts[0]) ? texts[result] : "unknown";
}

// First and last at a time: by itself a datagram (RFC 6946).
static bool
is_atomic(const struct fragment *f)
{
    return f->ip.off == 0 && !f->ip.more;
}

// Bytes of header that count towards 65535.
static uint32_t
counted(const struct fragment_ip *ip)
{
    return ip->version == 4 ? ip->header_len : ip->header_len - 48;
}

// Reads the fields that matter, and judges the fragment by itself: ZCB_REASSEMBLY_HELD, or what is
// wrong, or an error.
static int
judge(const struct zcb_reassembler *r, const struct fragment_bytes *bytes,
      const struct zcb_frame *frame, uint32_t context, struct fragment *f)
{
    struct zcb_frame_flow *flow = &f->key.flow;
    uint8_t scratch[40];
    const uint8_t *at;
    int result;

    if ((frame->layers & ZCB_FRAME_FRAGMENT) == 0 && frame->fragment == 0)
        return ZCB_REASSEMBLY_WHOLE;
    result = fragment_ip_of(bytes, frame, &f->ip);
    if (result < 0)
        return result == -ENOTSUP ? ZCB_REASSEMBLY_HEADERS : result;
    if (f->ip.end > frame->captured)
        return ZCB_REASSEMBLY_CUT;
    f->len = f->ip.end - f->ip.network - f->ip.header_len;
    if (!is_atomic(f)) {
        if (f->len == 0)
            return ZCB_REASSEMBLY_EMPTY;
        if (f->ip.more && f->len % 8 != 0)
            return ZCB_REASSEMBLY_UNALIGNED;
        if (f->ip.off + f->len > r->config.max_datagram ||
            counted(&f->ip) + f->ip.off + f->len > 65535)
            return ZCB_REASSEMBLY_TOO_LONG;
        if ((f->ip.off == 0 ? f->len : f->ip.off) < r->config.min_first)
            return ZCB_REASSEMBLY_TINY;
    }
    if (f->ip.off == 0 && frame->verdict != ZCB_FRAME_OK)
        return ZCB_REASSEMBLY_HEADERS;
    at = frame_bytes(&bytes->view, f->ip.network, f->ip.version == 4 ? 20 : 40, scratch);
    f->key.context = context;
    f->key.kind = KEY_DATAGRAM;
    flow->version = f->ip.version;
    flow->port[0] = (uint16_t)(frame->fragment_id >> 16);
    flow->port[1] = (uint16_t)frame->fragment_id;
    if (f->ip.version == 4) {
        f->ecn = at[1] & 3;
        flow->protocol = at[9];
        memcpy(flow->address[0], at + 12, 4);
        memcpy(flow->address[1], at + 16, 4);
    } else {
        f->ecn = at[1] >> 4 & 3;
        memcpy(flow->address[0], at + 8, 16);
        memcpy(flow->address[1], at + 24, 16);
    }
    return ZCB_REASSEMBLY_HELD;
}

// Header (of the first alone) and data as packets of their own.
static int
take(const struct fragment_bytes *bytes, const struct fragment *f, struct zcb_packet *header,
     struct zcb_packet *data)
{
    const struct fragment_ip *ip = &f->ip;
    size_t off = ip->network + (size_t)ip->header_len, first = bytes->view.off;
    int result;

    if (bytes->packet != NULL) {
        result = zcb_packet_slice(bytes->packet, off, f->len, data);
        if (result >= 0 && ip->off == 0)
            result = zcb_packet_slice(bytes->packet, ip->network, ip->header_len, header);
    } else {
        result = zcb_chain_gather(bytes->view.chain, first + off, f->len, data);
        if (result >= 0 && ip->off == 0)
            result =
                zcb_chain_gather(bytes->view.chain, first + ip->network, ip->header_len, header);
    }
    if (result < 0)
        zcb_packet_unref(data);
    return result < 0 ? result : 0;
}

// Where the data goes: behind *before (NULL: at the front). ZCB_REASSEMBLY_HELD, or what is wrong.
static int
place(const struct zcb_reassembler *r, const struct datagram *d, const struct fragment *f,
      const struct zcb_packet *data, struct part **before)
{
    uint32_t off = f->ip.off, end = off + f->len;
    struct part *part = d->last, *next;

    // What has been seen of the end: data that is not the last must end before it.
    if (d->end != 0 && (f->ip.more ? end >= d->end : end != d->end))
        return ZCB_REASSEMBLY_ENDS;
    if (d->end == 0 && !f->ip.more && part != NULL && part->off + part->data.len >= end)
        return ZCB_REASSEMBLY_ENDS;
    // In order, it is behind the last one.
    if (part != NULL && part->off > off) {
        part = NULL;
        for (next = d->first; next->off <= off; next = next->next)
            part = next;
    }
    *before = part;
    if (part != NULL && part->off == off && part->data.len == f->len)
        return memcmp(part->data.data, data->data, f->len) == 0 ? ZCB_REASSEMBLY_DUPLICATE
                                                                : ZCB_REASSEMBLY_OVERLAP;
    next = part != NULL ? part->next : d->first;
    if ((part != NULL && part->off + part->data.len > off) || (next != NULL && next->off < end))
        return ZCB_REASSEMBLY_OVERLAP;
    if (d->parts == r->config.datagram_fragments)
        return ZCB_REASSEMBLY_MANY;
    return ZCB_REASSEMBLY_HELD;
}

// The last piece is there, and linked: the datagram goes out.
static int
complete(const struct zcb_reassembler *r, const struct datagram *d, const struct zcb_packet *header,
         uint32_t len, uint8_t ecn, struct zcb_chain *out)
{
    bool congested = (ecn & 1 << 3) != 0;
    size_t before = header->data[0] >> 4 == 4 ? header->len : header->len - 48;
    int result;

    if (before + len > 65535)
        return ZCB_REASSEMBLY_TOO_LONG;
    if (congested && (ecn & 1 << 0) != 0)
        return ZCB_REASSEMBLY_ECN;
    result = fragment_rebuild(r, header, len, congested, d->first, out);
    return result < 0 ? result : ZCB_REASSEMBLY_DONE;
}

static int
atomic(const struct zcb_reassembler *r, const struct fragment *f, struct zcb_packet *header,
       struct zcb_packet *data, struct zcb_chain *out)
{
    struct part part = {.data = *data};
    int result = fragment_rebuild(r, header, f->len, false, f->len != 0 ? &part : NULL, out);

    zcb_packet_unref(header);
    zcb_packet_unref(data);
    return result < 0 ? result : ZCB_REASSEMBLY_DONE;
}

// What a datagram is charged for one more packet: its block, unless the datagram has that already
// in `other`, which stays as long as this one.
static size_t
charge(const struct zcb_packet *packet, const struct zcb_packet *other)
{
    size_t pinned = zcb_packet_pinned(packet);

    if (packet->owner != NULL && other != NULL && other->owner == packet->owner)
        return 0;
    return pinned > packet->len ? pinned : packet->len;
}

static void
compact(struct zcb_reassembler *r, struct zcb_packet *packet)
{
    // Without memory for it, it stays where it is.
    if (packet->len != 0 && zcb_packet_compact(packet, r->pool) > 0)
        r->counts[COUNT_copied] += packet->len;
}

// Keeps the fragment for later. Takes header and data.
static int
hold(struct zcb_reassembler *r, struct datagram *d, const struct fragment *f,
     struct zcb_packet *header, struct zcb_packet *data, struct part *before)
{
    // Next to it in the datagram.
    struct part *other = before != NULL || d == NULL ? before : d->first;
    int result = ZCB_REASSEMBLY_HELD;
    size_t bytes;

    if (f->len < r->config.copy_below) {
        compact(r, data);
        compact(r, header);
    }
    bytes = charge(data, other != NULL ? &other->data : NULL) + charge(header, data);
    if (d == NULL)
        d = fragment_begin(r, &f->key);
    if (d == NULL) {
        result = ZCB_REASSEMBLY_CROWDED;
    } else if (!fragment_room(r, d, bytes)) {
        result = ZCB_REASSEMBLY_BUDGET;
        if (d->first == NULL)
            fragment_forget(r, d);
    }
    if (result != ZCB_REASSEMBLY_HELD) {
        zcb_packet_unref(header);
        zcb_packet_unref(data);
        return result;
    }
    fragment_link(d, fragment_part(r, data, f->ip.off), before);
    fragment_charge(r, d, bytes);
    if (header->len != 0)
        d->header = *header;
    if (!f->ip.more)
        d->end = f->ip.off + f->len;
    d->received += f->len;
    d->ecn |= (uint8_t)(1 << f->ecn);
    return result;
}

// Puts the fragment into the datagram it is the last one of, for as long as that goes out. Takes
// header and data.
static int
finish(struct zcb_reassembler *r, struct datagram *d, const struct fragment *f,
       struct zcb_packet *header, struct zcb_packet *data, struct part *before,
       struct zcb_chain *out)
{
    struct part *part = fragment_part(r, data, f->ip.off);
    int result;

    fragment_link(d, part, before);
    result = complete(r, d, header->len != 0 ? header : &d->header, d->received + f->len,
                      (uint8_t)(d->ecn | 1 << f->ecn), out);
    zcb_packet_unref(header);
    if (result == ZCB_REASSEMBLY_DONE) {
        fragment_forget(r, d);
    } else if (result >= 0) {
        fragment_discard(r, d);
    } else {
        fragment_unlink(d, part, before);
        fragment_part_free(r, part);
    }
    return result;
}

static int
input(struct zcb_reassembler *r, const struct fragment_bytes *bytes, const struct zcb_frame *frame,
      uint32_t context, struct zcb_chain *out)
{
    struct zcb_packet header = {0}, data = {0};
    struct fragment f = {0};
    struct part *before = NULL;
    struct datagram *d = NULL;
    bool crowded = false;
    uint32_t end;
    int result = judge(r, bytes, frame, context, &f);

    if (result != ZCB_REASSEMBLY_HELD)
        return result;
    if (!is_atomic(&f)) {
        d = (struct datagram *)fragment_find(r, &f.key, &crowded);
        if (d != NULL && fragment_is_due(r, d)) {
            r->counts[COUNT_timeouts] += !d->dead;
            fragment_forget(r, d);
            d = NULL;
        }
        if (crowded || (d != NULL && d->dead))
            return crowded ? ZCB_REASSEMBLY_CROWDED : ZCB_REASSEMBLY_DEAD;
    }
    result = take(bytes, &f, &header, &data);
    if (result < 0)
        return result;
    if (is_atomic(&f))
        return atomic(r, &f, &header, &data, out);
    if (d == NULL)
        return hold(r, NULL, &f, &header, &data, NULL);
    result = place(r, d, &f, &data, &before);
    if (result != ZCB_REASSEMBLY_HELD) {
        if (result != ZCB_REASSEMBLY_DUPLICATE)
            fragment_discard(r, d);
        zcb_packet_unref(&header);
        zcb_packet_unref(&data);
        return result;
    }
    end = f.ip.more ? d->end : f.ip.off + f.len;
    if (d->received + f.len == end)
        return finish(r, d, &f, &header, &data, before, out);
    return hold(r, d, &f, &header, &data, before);
}

static int
count(struct zcb_reassembler *r, int result)
{
    if (result >= 0)
        r->counts[result]++;
    return result;
}

// Whether a call may be made; notes the time.
static bool
begin(struct zcb_reassembler *r, const struct zcb_frame *frame, uint64_t now_ms,
      const struct zcb_chain *out)
{
    if (r == NULL || frame == NULL || out == NULL || zcb_chain_len(out) != 0)
        return false;
    if (now_ms > r->now_ms)
        r->now_ms = now_ms;
    return true;
}

int
zcb_reassembler_input(struct zcb_reassembler *r, const struct zcb_packet *packet,
                      const struct zcb_frame *frame, uint32_t context, uint64_t now_ms,
                      struct zcb_chain *out)
{
    struct fragment_bytes bytes;

    if (packet == NULL || !begin(r, frame, now_ms, out))
        return -EINVAL;
    bytes = fragment_bytes_of(packet);
    return count(r, input(r, &bytes, frame, context, out));
}

int
zcb_reassembler_input_chain(struct zcb_reassembler *r, const struct zcb_chain *chain, size_t off,
                            const struct zcb_frame *frame, uint32_t context, uint64_t now_ms,
                            struct zcb_chain *out)
{
    struct fragment_bytes bytes;

    if (chain == NULL || !begin(r, frame, now_ms, out))
        return -EINVAL;
    bytes = fragment_bytes_of_chain(chain, off);
    return count(r, input(r, &bytes, frame, context, out));
}
