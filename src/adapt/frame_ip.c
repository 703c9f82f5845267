// SPDX-License-Identifier: MIT
//
// ARP (RFC 826), IPv4 (RFC 791), IPv6 with its extension headers (RFC 8200), jumbograms (RFC 2675).
//
// The length that IP gives is a bound for all that follows, and is itself bounded by what carries
// it. What lies behind it is padding.
#include "frame.h"

static bool
arp(struct frame_parser *parser)
{
    struct zcb_frame *out = parser->out;
    uint8_t scratch[8];
    const uint8_t *header = frame_need(parser, 8, scratch);
    uint32_t len;

    if (header == NULL)
        return false;
    len = 8 + 2 * ((uint32_t)header[4] + header[5]);
    if (!frame_fits(parser, len))
        return false;
    out->layers |= ZCB_FRAME_ARP;
    out->network = out->payload;
    out->network_len = len;
    out->payload += len;
    parser->limit = out->payload;
    return false;
}

// The length field, of what begins at `from`, is 0: whether that means "all that is there"; then
// `limit` is set so. The kernel writes it for what it has merged above 64 KiB, cards with
// segmentation offload for anything.
static bool
unsized(struct frame_parser *parser, uint32_t from)
{
    struct zcb_frame *out = parser->out;
    uint32_t end = parser->limit != FRAME_UNKNOWN ? parser->limit : out->captured;

    if (end - from <= 65535 && (parser->flags & ZCB_FRAME_ACCEPT_UNSIZED) == 0)
        return false;
    out->layers |= ZCB_FRAME_UNSIZED;
    parser->limit = end;
    return true;
}

// A fragment's place and length. `before`: bytes of headers that count towards 65535 as well.
static bool
fragment(struct frame_parser *parser, uint32_t field, uint32_t len, uint32_t before, uint32_t off,
         bool more)
{
    struct zcb_frame *out = parser->out;

    if (off == 0 && !more)
        return true;
    out->fragment_off = off;
    out->layers |= ZCB_FRAME_FRAGMENT | (more ? ZCB_FRAME_MORE : 0);
    // The "ping of death": the datagram would be longer than any can be.
    if ((uint64_t)before + off + len > 65535)
        return frame_fail(parser, ZCB_FRAME_FRAGMENT_RANGE, field);
    if (more && len % 8 != 0)
        return frame_fail(parser, ZCB_FRAME_FRAGMENT_LENGTH, field);
    return true;
}

// The jumbo payload option, and whether all options lie inside the header. payload is at the
// header, which is there.
static bool
hop_by_hop(struct frame_parser *parser, uint32_t len, bool sized)
{
    struct zcb_frame *out = parser->out;
    struct zcb_frame_options options;
    struct zcb_frame_option option;
    uint32_t end = out->network + 40, at, jumbo;
    uint8_t scratch[2048];
    const uint8_t *header = frame_bytes(&parser->view, out->payload, len, scratch);
    int r;

    zcb_frame_options_init(&options, header + 2, len - 2, ZCB_FRAME_OPTIONS_IPV6);
    while ((r = zcb_frame_option_next(&options, &option)) > 0) {
        if (option.kind != 0xc2)
            continue;
        at = out->payload + (uint32_t)(option.data - header) - 2;
        if (option.len != 4 || sized || (out->layers & ZCB_FRAME_JUMBO) != 0)
            return frame_fail(parser, ZCB_FRAME_JUMBO_LENGTH, at);
        jumbo = zcb_frame_u32(option.data, 0);
        if (jumbo <= 65535)
            return frame_fail(parser, ZCB_FRAME_JUMBO_LENGTH, at + 2);
        // An end at FRAME_UNKNOWN would read as none at all.
        if (jumbo > parser->limit - end || jumbo == FRAME_UNKNOWN - end)
            return frame_fail(parser, ZCB_FRAME_IP_LENGTH, at + 2);
        out->layers |= ZCB_FRAME_JUMBO;
        parser->limit = end + jumbo;
    }
    if (r < 0)
        return frame_fail(parser, ZCB_FRAME_OPTION_LENGTH,
                          out->payload + (uint32_t)(options.at - header));
    return true;
}

static bool
is_extension(uint8_t protocol)
{
    switch (protocol) {
    case FRAME_HOP_BY_HOP:
    case FRAME_ROUTING:
    case FRAME_FRAGMENT:
    case FRAME_AH:
    case FRAME_DESTINATION:
    case FRAME_MOBILITY:
    case FRAME_HIP:
    case FRAME_SHIM6:
        return true;
    default:
        return false;
    }
}

static bool
fragment_header(struct frame_parser *parser, const uint8_t *header)
{
    struct zcb_frame *out = parser->out;
    uint32_t at = out->payload, end = parser->limit;
    uint16_t place = zcb_frame_u16(header, 2);

    if (out->fragment != 0)
        return frame_fail(parser, ZCB_FRAME_EXTENSION_ORDER, at);
    if ((out->layers & ZCB_FRAME_JUMBO) != 0)
        return frame_fail(parser, ZCB_FRAME_JUMBO_LENGTH, at);
    out->fragment = at;
    out->fragment_id = zcb_frame_u32(header, 4);
    return fragment(parser, at + 2, end - at - 8, at - out->network - 40, place & 0xfff8u,
                    (place & 1) != 0);
}

// The extension header that is next. `sized`: IPv6 has said how long the packet is.
static bool
extension(struct frame_parser *parser, bool sized)
{
    struct zcb_frame *out = parser->out;
    uint8_t scratch[8], kind = out->protocol;
    const uint8_t *header;
    uint32_t len;

    if (out->extensions == parser->max_extensions)
        return frame_fail(parser, ZCB_FRAME_EXTENSION_COUNT, out->payload);
    header = frame_need(parser, 8, scratch);
    if (header == NULL)
        return false;
    len = kind == FRAME_AH         ? (header[1] + 2u) * 4
          : kind == FRAME_FRAGMENT ? 8
                                   : (header[1] + 1u) * 8;
    if (kind == FRAME_AH && len < 12)
        return frame_fail(parser, ZCB_FRAME_EXTENSION_LENGTH, out->payload + 1);
    if (kind == FRAME_HOP_BY_HOP && out->extensions != 0)
        return frame_fail(parser, ZCB_FRAME_EXTENSION_ORDER, out->payload);
    if (!frame_fits(parser, len))
        return false;
    if (kind == FRAME_ROUTING)
        out->routing = out->payload;
    if ((kind == FRAME_HOP_BY_HOP && !hop_by_hop(parser, len, sized)) ||
        (kind == FRAME_FRAGMENT && !fragment_header(parser, header)))
        return false;
    out->extensions++;
    out->protocol = header[0];
    out->payload += len;
    out->network_len += len;
    return true;
}

static bool
ipv4(struct frame_parser *parser)
{
    struct zcb_frame *out = parser->out;
    uint8_t scratch[20];
    const uint8_t *header = frame_need(parser, 20, scratch);
    uint32_t at = out->payload, header_len, total, place;

    if (header == NULL)
        return false;
    if (header[0] >> 4 != 4)
        return frame_fail(parser, ZCB_FRAME_IP_VERSION, at);
    header_len = (header[0] & 15u) * 4;
    if (header_len < 20)
        return frame_fail(parser, ZCB_FRAME_IPV4_IHL, at);
    total = zcb_frame_u16(header, 2);
    if (total == 0 ? !unsized(parser, at) : total < header_len || total > parser->limit - at)
        return frame_fail(parser, ZCB_FRAME_IP_LENGTH, at + 2);
    if (total != 0)
        parser->limit = at + total;
    out->layers |= ZCB_FRAME_IPV4;
    out->network = at;
    out->protocol = header[9];
    out->fragment_id = zcb_frame_u16(header, 4);
    place = zcb_frame_u16(header, 6);
    if (!frame_fits(parser, header_len)) { // options are cut
        out->network_len = frame_there(parser);
        out->payload += out->network_len;
        return false;
    }
    out->network_len = header_len;
    out->payload += header_len;
    if ((place & 0x3fff) != 0 && !fragment(parser, at + 6, parser->limit - out->payload, header_len,
                                           (place & 0x1fff) * 8, (place & 0x2000) != 0))
        return false;
    while (out->protocol == FRAME_AH && out->fragment_off == 0)
        if (!extension(parser, true))
            return false;
    return true;
}

static bool
ipv6(struct frame_parser *parser)
{
    struct zcb_frame *out = parser->out;
    uint8_t scratch[40];
    const uint8_t *header = frame_need(parser, 40, scratch);
    uint32_t at = out->payload, len;
    bool jumbo;

    if (header == NULL)
        return false;
    if (header[0] >> 4 != 6)
        return frame_fail(parser, ZCB_FRAME_IP_VERSION, at);
    len = zcb_frame_u16(header, 4);
    out->protocol = header[6];
    // A hop-by-hop header can be there only as part of a length: it will say which.
    jumbo = len == 0 && out->protocol == FRAME_HOP_BY_HOP;
    if (len != 0 && len > parser->limit - at - 40)
        return frame_fail(parser, ZCB_FRAME_IP_LENGTH, at + 4);
    if (!jumbo && (len != 0 || out->protocol == FRAME_NO_NEXT || !unsized(parser, at + 40)))
        parser->limit = at + 40 + len;
    out->layers |= ZCB_FRAME_IPV6;
    out->network = at;
    out->network_len = 40;
    out->payload += 40;
    while (out->fragment_off == 0 && is_extension(out->protocol)) {
        if (!extension(parser, !jumbo))
            return false;
        if (jumbo && out->extensions == 1 && (out->layers & ZCB_FRAME_JUMBO) == 0 &&
            !unsized(parser, at + 40))
            return frame_fail(parser, ZCB_FRAME_IP_LENGTH, at + 4);
    }
    return true;
}

bool
frame_network(struct frame_parser *parser)
{
    switch (parser->out->type) {
    case FRAME_TYPE_ARP:
        return arp(parser);
    case FRAME_TYPE_IPV4:
        return ipv4(parser);
    case FRAME_TYPE_IPV6:
        return ipv6(parser);
    default:
        return false;
    }
}
