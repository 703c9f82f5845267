// SPDX-License-Identifier: MIT
//
// Datagrams into fragments. Headers are written anew for each, payload is sliced.
#include "frame_fragment.h"

int
fragment_ip_of(const struct fragment_bytes *bytes, const struct zcb_frame *frame,
               struct fragment_ip *out)
{
    bool v4 = (frame->layers & ZCB_FRAME_IPV4) != 0;
    uint32_t fixed = v4 ? 20 : 40, len;
    uint8_t scratch[40];
    const uint8_t *at;
    uint16_t place;

    if ((frame->layers & (ZCB_FRAME_IPV4 | ZCB_FRAME_IPV6)) == 0)
        return -ENOTSUP;
    if (frame->captured > bytes->len || frame->captured < fixed ||
        frame->network > frame->captured - fixed)
        return -EINVAL;
    at = frame_bytes(&bytes->view, frame->network, fixed, scratch);
    if (at[0] >> 4 != (v4 ? 4 : 6))
        return -EINVAL;
    len = zcb_frame_u16(at, v4 ? 2 : 4);
    if (len == 0 && (v4 || (frame->layers & (ZCB_FRAME_JUMBO | ZCB_FRAME_UNSIZED)) != 0))
        return -ENOTSUP;
    *out = (struct fragment_ip){.network = frame->network, .version = v4 ? 4 : 6};
    out->end = frame->network + len + (v4 ? 0 : 40);
    if (v4) {
        out->header_len = (at[0] & 15u) * 4;
        place = zcb_frame_u16(at, 6);
        out->off = (place & 0x1fffu) * 8;
        out->more = (place & 0x2000) != 0;
    } else if (frame->fragment != 0) {
        if (frame->fragment < frame->network + 40 || frame->fragment > frame->captured - 8)
            return -EINVAL;
        place = zcb_frame_u16(frame_bytes(&bytes->view, frame->fragment + 2, 2, scratch), 0);
        out->header_len = frame->fragment + 8 - frame->network;
        out->off = place & 0xfff8u;
        out->more = (place & 1) != 0;
    } else {
        out->header_len = 40;
    }
    if (out->header_len > frame->captured - frame->network) // options are cut
        return -ENOTSUP;
    if (out->header_len < fixed || out->end < out->network + out->header_len)
        return -EINVAL;
    return 0;
}

int
fragment_header(struct zcb_pool *pool, uint32_t headroom, uint32_t len, struct zcb_buf **out,
                uint8_t **at)
{
    int result = zcb_pool_acquire(pool, (size_t)headroom + len, out);

    if (result < 0)
        return result;
    result = zcb_buf_set_headroom(*out, zcb_buf_headroom(*out) + headroom);
    if (result >= 0)
        result = zcb_buf_append(*out, len, at);
    if (result < 0)
        zcb_buf_release(out);
    return result;
}

// The bytes that were passed to init.
static struct frame_view
view_of(const struct zcb_fragmenter *cut)
{
    return (struct frame_view){cut->packet.data, cut->chain, cut->off};
}

// Header bytes into a new buffer: contiguous ones are written there like the fields that change,
// what crosses chunks is moved by the chain, and counted.
static int
copy(const struct zcb_fragmenter *cut, uint32_t off, uint32_t len, uint8_t *to)
{
    struct frame_view view = view_of(cut);
    const uint8_t *at = frame_bytes(&view, off, len, NULL);

    if (at == NULL)
        return zcb_chain_copy_to(cut->chain, cut->off + off, to, len);
    memcpy(to, at, len);
    return 0;
}

// The IPv4 options that every fragment has (copied flag, RFC 791 section 3.1), padded to 4 bytes,
// into `out` (40 bytes). Their length, or -EBADMSG.
static int
copied_options(const uint8_t *header, uint32_t header_len, uint8_t *out)
{
    struct zcb_frame_options options;
    struct zcb_frame_option option;
    int len = 0, result;

    zcb_frame_options_init(&options, header + 20, header_len - 20, ZCB_FRAME_OPTIONS_IPV4);
    while ((result = zcb_frame_option_next(&options, &option)) > 0) {
        if ((option.kind & 0x80) == 0)
            continue;
        memcpy(out + len, option.data - 2, option.len + 2u);
        len += option.len + 2;
    }
    while (len % 4 != 0)
        out[len++] = 0;
    return result < 0 ? result : len;
}

static int
init_ipv4(struct zcb_fragmenter *cut, uint32_t flags)
{
    uint8_t header[60], options[40];
    int result = copy(cut, cut->network, cut->header_len, header);

    if (result < 0)
        return result;
    if ((header[6] & 0x40) != 0 && (flags & ZCB_FRAGMENT_FORCE) == 0)
        return -EMSGSIZE;
    result = copied_options(header, cut->header_len, options);
    if (result < 0)
        return result;
    cut->later_len = 20 + (uint32_t)result;
    return 0;
}

// The unfragmentable part: what nodes on the way read, up to a routing header if there is one, else
// hop-by-hop options (RFC 8200 section 4.5).
static int
init_ipv6(struct zcb_fragmenter *cut, const struct zcb_frame *frame, uint32_t end)
{
    uint32_t at = frame->routing;
    uint8_t start[2], next;

    cut->next_field = 6;
    if (!cut->framed) {
        if (copy(cut, cut->network + 6, 1, &next) < 0)
            return -EINVAL;
        if (at == 0 && next == FRAME_HOP_BY_HOP)
            at = cut->network + 40;
        if (at != 0) {
            if (at < cut->network + 40 || at > end || end - at < 8 || copy(cut, at, 2, start) < 0 ||
                end - at < (start[1] + 1u) * 8)
                return -EBADMSG;
            cut->next_field = at - cut->network;
            cut->header_len = cut->next_field + (start[1] + 1u) * 8;
        }
        cut->header_len += 8; // the new one
    }
    cut->later_len = cut->header_len;
    return 0;
}

static int
init(struct zcb_fragmenter *cut, const struct fragment_bytes *bytes, const struct zcb_frame *frame,
     const struct zcb_fragment_config *config)
{
    static const struct zcb_fragment_config defaults;
    const struct zcb_fragment_config *c = config != NULL ? config : &defaults;
    struct fragment_ip ip;
    int result;

    for (size_t i = 0; i < sizeof(c->reserved) / sizeof(c->reserved[0]); i++)
        if (c->reserved[i] != 0)
            return -EINVAL;
    if ((c->flags & ~(uint32_t)(ZCB_FRAGMENT_LINK | ZCB_FRAGMENT_FORCE)) != 0 ||
        c->headroom > 65535)
        return -EINVAL;
    result = fragment_ip_of(bytes, frame, &ip);
    if (result < 0)
        return result;
    if (ip.end > frame->captured)
        return -ENOTSUP;
    cut->network = ip.network;
    cut->header_len = ip.header_len;
    cut->headroom = c->headroom;
    cut->id = c->id;
    cut->version = ip.version;
    cut->framed = ip.version == 6 && frame->fragment != 0;
    cut->link = (c->flags & ZCB_FRAGMENT_LINK) != 0;
    cut->place = ip.off;
    cut->more = ip.more;
    cut->data = ip.network;
    cut->data_len = ip.end - ip.network;
    cut->whole = cut->data_len <= cut->mtu;
    if (cut->whole)
        return 0;
    result = ip.version == 4 ? init_ipv4(cut, c->flags) : init_ipv6(cut, frame, ip.end);
    if (result < 0)
        return result;
    cut->data += cut->header_len - (ip.version == 6 && !cut->framed ? 8 : 0);
    cut->data_len = ip.end - cut->data;
    // As a fragment it would be beyond any datagram, or leave a hole behind it.
    if ((uint64_t)cut->place + cut->data_len > 65535 || (cut->more && cut->data_len % 8 != 0))
        return -EBADMSG;
    if (cut->mtu < 8 || cut->header_len > cut->mtu - 8)
        return -EMSGSIZE;
    if (ip.version == 6 && cut->place == 0 && frame->payload > cut->data &&
        frame->payload - cut->data > ((cut->mtu - cut->header_len) & ~7u))
        return -EMSGSIZE;
    return 0;
}

int
zcb_fragmenter_init(struct zcb_fragmenter *cut, struct zcb_pool *pool,
                    const struct zcb_packet *packet, const struct zcb_frame *frame, uint32_t mtu,
                    const struct zcb_fragment_config *config)
{
    struct zcb_fragmenter made = {.pool = pool, .mtu = mtu};
    struct fragment_bytes bytes;
    int result;

    if (cut == NULL || pool == NULL || packet == NULL || frame == NULL)
        return -EINVAL;
    bytes = fragment_bytes_of(packet);
    made.packet = *packet;
    result = init(&made, &bytes, frame, config);
    if (result >= 0)
        *cut = made;
    return result;
}

int
zcb_fragmenter_init_chain(struct zcb_fragmenter *cut, struct zcb_pool *pool,
                          const struct zcb_chain *chain, size_t off, const struct zcb_frame *frame,
                          uint32_t mtu, const struct zcb_fragment_config *config)
{
    struct zcb_fragmenter made = {.pool = pool, .mtu = mtu, .chain = chain, .off = off};
    struct fragment_bytes bytes;
    int result;

    if (cut == NULL || pool == NULL || chain == NULL || frame == NULL)
        return -EINVAL;
    bytes = fragment_bytes_of_chain(chain, off);
    result = init(&made, &bytes, frame, config);
    if (result >= 0)
        *cut = made;
    return result;
}

static void
write_ipv4(const struct zcb_fragmenter *cut, uint8_t *at, uint32_t header_len, uint32_t len,
           bool more)
{
    uint32_t place = (cut->place + cut->done) / 8 | (more ? 0x2000u : 0);

    at[0] = (uint8_t)(0x40 | header_len / 4);
    frame_put_u16(at + 2, (uint16_t)(header_len + len));
    frame_put_u16(at + 6, (uint16_t)((zcb_frame_u16(at, 6) & 0xc000) | place));
    fragment_checksum(at, header_len);
}

static void
write_ipv6(const struct zcb_fragmenter *cut, uint8_t *at, uint32_t header_len, uint32_t len,
           bool more)
{
    uint8_t *fragment = at + header_len - 8;

    frame_put_u16(at + 4, (uint16_t)(header_len - 40 + len));
    if (!cut->framed) {
        fragment[0] = at[cut->next_field];
        fragment[1] = 0;
        frame_put_u32(fragment + 4, cut->id);
        at[cut->next_field] = FRAME_FRAGMENT;
    }
    frame_put_u16(fragment + 2, (uint16_t)(cut->place + cut->done + more));
}

// The headers of the next fragment, which has `len` bytes of data.
static int
header(const struct zcb_fragmenter *cut, uint32_t header_len, uint32_t len, struct zcb_packet *out)
{
    uint32_t link = cut->link ? cut->network : 0;
    bool more = cut->more || len != cut->data_len - cut->done;
    uint8_t whole[60], options[40], *at;
    struct zcb_buf *buf;
    int result = fragment_header(cut->pool, cut->headroom, link + header_len, &buf, &at);

    if (result < 0)
        return result;
    result = copy(cut, cut->network - link, link, at);
    at += link;
    if (result >= 0 && header_len == cut->header_len) {
        result =
            copy(cut, cut->network, header_len - (cut->version == 6 && !cut->framed ? 8 : 0), at);
    } else if (result >= 0) {
        result = copy(cut, cut->network, cut->header_len, whole);
        if (result >= 0 && copied_options(whole, cut->header_len, options) != (int)header_len - 20)
            result = -EINVAL; // the bytes have changed
        memcpy(at, whole, 20);
        memcpy(at + 20, options, header_len - 20);
    }
    if (result < 0) {
        zcb_buf_release(&buf);
        return result;
    }
    (cut->version == 4 ? write_ipv4 : write_ipv6)(cut, at, header_len, len, more);
    zcb_buf_share(&buf, out);
    return 0;
}

// `len` bytes by reference.
static int
push(const struct zcb_fragmenter *cut, uint32_t off, uint32_t len, struct zcb_chain *out)
{
    struct zcb_packet slice;
    struct zcb_cursor cursor;
    size_t here;
    int result;

    if (cut->chain == NULL) {
        slice = cut->packet;
        slice.data += off;
        slice.len = len;
        return fragment_push(out, &slice);
    }
    result = zcb_cursor_init(&cursor, cut->chain, cut->off + off);
    while (result >= 0 && len != 0) {
        if (zcb_cursor_peek(&cursor, &here) == NULL)
            return -EINVAL; // the chain has changed
        here = here < len ? here : len;
        result = zcb_chain_slice(cut->chain, zcb_cursor_tell(&cursor), here, &slice);
        if (result < 0)
            break;
        result = zcb_chain_push(out, &slice);
        zcb_packet_unref(&slice); // taken, or not wanted
        len -= (uint32_t)here;
        if (result >= 0)
            result = zcb_cursor_skip(&cursor, here);
    }
    return result;
}

int
zcb_fragmenter_next(struct zcb_fragmenter *cut, struct zcb_chain *out)
{
    uint32_t header_len, len;
    struct zcb_packet head;
    int result;

    if (cut == NULL || out == NULL || zcb_chain_len(out) != 0)
        return -EINVAL;
    if (cut->done == cut->data_len)
        return 0;
    len = cut->data_len - cut->done;
    if (cut->whole) {
        uint32_t link = cut->link ? cut->network : 0;

        result = push(cut, cut->data - link, link + len, out);
    } else {
        header_len = cut->done == 0 ? cut->header_len : cut->later_len;
        if (len > cut->mtu - header_len)
            len = (cut->mtu - header_len) & ~7u;
        result = header(cut, header_len, len, &head);
        if (result < 0)
            return result;
        result = zcb_chain_push(out, &head);
        zcb_packet_unref(&head);
        if (result >= 0)
            result = push(cut, cut->data + cut->done, len, out);
    }
    if (result < 0) {
        zcb_chain_discard(out, zcb_chain_len(out));
        return result;
    }
    cut->done += len;
    return 1;
}
