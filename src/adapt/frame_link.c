// SPDX-License-Identifier: MIT
//
// From the first byte to the EtherType: Ethernet (IEEE 802.3), tags (802.1Q), LLC and SNAP (RFC
// 1042), Linux's cooked captures, the loopbacks of BSD, raw IP. Then ARP, which ends there.
#include "frame.h"

// A tag follows: 802.1Q, 802.1ad, and what switches used for stacked tags before.
static bool
is_tag(uint16_t type)
{
    return type == FRAME_TYPE_VLAN || type == 0x88a8 || type == 0x9100;
}

static bool
tags(struct frame_parser *parser)
{
    struct zcb_frame *out = parser->out;
    uint8_t scratch[4];
    const uint8_t *tag;

    while (is_tag(out->type)) {
        if (out->vlans == parser->max_vlans)
            return frame_fail(parser, ZCB_FRAME_VLAN_DEPTH, out->payload - 2);
        tag = frame_need(parser, 4, scratch);
        if (tag == NULL)
            return false;
        if (out->vlans++ == 0)
            out->vlan = out->payload;
        out->layers |= ZCB_FRAME_VLAN;
        out->type = zcb_frame_u16(tag, 2);
        out->payload += 4;
    }
    return true;
}

// LLC, and SNAP, which brings an EtherType. Without one the rest is payload.
static bool
llc(struct frame_parser *parser)
{
    struct zcb_frame *out = parser->out;
    uint8_t scratch[5];
    const uint8_t *header;
    uint32_t len;
    bool snap;

    out->type = 0;
    header = frame_need(parser, 3, scratch);
    if (header == NULL)
        return false;
    // Control is one byte in unnumbered frames, two in all others.
    len = (header[2] & 3) == 3 ? 3 : 4;
    snap = header[0] == 0xaa && header[1] == 0xaa && header[2] == 3;
    if (!frame_fits(parser, len))
        return false;
    out->layers |= ZCB_FRAME_LLC;
    out->payload += len;
    if (!snap)
        return false;
    header = frame_need(parser, 5, scratch);
    if (header == NULL)
        return false;
    out->layers |= ZCB_FRAME_SNAP;
    out->payload += 5;
    if (header[0] != 0 || header[1] != 0 || header[2] != 0)
        return false; // another organisation's numbers
    out->type = zcb_frame_u16(header, 3);
    return true;
}

// An 802.3 length where the EtherType would be: what lies behind it is padding.
static bool
sized_llc(struct frame_parser *parser)
{
    struct zcb_frame *out = parser->out;
    uint32_t len = out->type;

    out->type = 0;
    if (len > parser->limit - out->payload)
        return frame_fail(parser, ZCB_FRAME_LLC_LENGTH, out->payload - 2);
    parser->limit = out->payload + len;
    return llc(parser);
}

// BSD's address families, as far as systems agree: IPv4 is 2, IPv6 has a number in each of them.
static uint16_t
family_type(uint32_t family)
{
    switch (family) {
    case 2:
        return FRAME_TYPE_IPV4;
    case 10:
    case 24:
    case 28:
    case 30:
        return FRAME_TYPE_IPV6;
    default:
        return 0;
    }
}

static bool
loopback(struct frame_parser *parser)
{
    struct zcb_frame *out = parser->out;
    uint8_t scratch[4];
    const uint8_t *header = frame_need(parser, 4, scratch);
    uint32_t family;

    if (header == NULL)
        return false;
    family = zcb_frame_u32(header, 0);
    // Families are small: the other byte order shows.
    if (out->link == ZCB_FRAME_LINK_NULL && family > 0xffff)
        family = (uint32_t)header[3] << 24 | (uint32_t)header[2] << 16 | (uint32_t)header[1] << 8 |
                 header[0];
    out->layers |= ZCB_FRAME_LOOPBACK;
    out->payload += 4;
    out->type = family_type(family);
    return true;
}

static bool
raw(struct frame_parser *parser)
{
    uint8_t scratch[1];
    const uint8_t *header = frame_need(parser, 1, scratch);

    if (header == NULL)
        return false;
    if (header[0] >> 4 != 4 && header[0] >> 4 != 6)
        return frame_fail(parser, ZCB_FRAME_IP_VERSION, parser->out->payload);
    parser->out->type = header[0] >> 4 == 4 ? FRAME_TYPE_IPV4 : FRAME_TYPE_IPV6;
    return true;
}

// A header of `len` bytes with an EtherType at `at`.
static bool
typed(struct frame_parser *parser, uint32_t layer, uint32_t len, uint32_t at)
{
    struct zcb_frame *out = parser->out;
    uint8_t scratch[20];
    const uint8_t *header = frame_need(parser, len, scratch);

    if (header == NULL)
        return false;
    out->layers |= layer;
    out->payload += len;
    out->type = zcb_frame_u16(header, at);
    return tags(parser);
}

bool
frame_link(struct frame_parser *parser, enum zcb_frame_link link)
{
    struct zcb_frame *out = parser->out;

    switch (link) {
    case ZCB_FRAME_LINK_ETHERNET:
        if (!typed(parser, ZCB_FRAME_ETHERNET, 14, 12))
            return false;
        return out->type >= FRAME_TYPE_FIRST || sized_llc(parser);
    case ZCB_FRAME_LINK_SLL:
    case ZCB_FRAME_LINK_SLL2:
        if (!(link == ZCB_FRAME_LINK_SLL ? typed(parser, ZCB_FRAME_SLL, 16, 14)
                                         : typed(parser, ZCB_FRAME_SLL, 20, 0)))
            return false;
        // Small numbers are the kernel's own; 4 is LLC.
        if (out->type == 4)
            return llc(parser);
        if (out->type < FRAME_TYPE_FIRST)
            out->type = 0;
        return true;
    case ZCB_FRAME_LINK_NULL:
    case ZCB_FRAME_LINK_LOOP:
        return loopback(parser);
    case ZCB_FRAME_LINK_IPV4:
        out->type = FRAME_TYPE_IPV4;
        return true;
    case ZCB_FRAME_LINK_IPV6:
        out->type = FRAME_TYPE_IPV6;
        return true;
    default:
        return raw(parser);
    }
}
