// SPDX-License-Identifier: MIT
//
// TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792, 4443), and the options of TCP and IP.
#include "frame.h"

// The next `len` bytes as a transport header. Where it is cut, ports may be there all the same. In
// a quote also where its IP length ends it: some hosts write there how much they quote.
static const uint8_t *
header_of(struct frame_parser *parser, uint32_t len, uint8_t *scratch)
{
    struct zcb_frame *out = parser->out;
    const uint8_t *header = frame_need(parser, len, scratch);
    uint32_t there = frame_there(parser);

    if (header == NULL && there >= 4 && (out->verdict == ZCB_FRAME_TRUNCATED || out->start != 0)) {
        out->layers |= ZCB_FRAME_PORTS;
        out->transport = out->payload;
        out->transport_len = there;
        out->payload += there;
    }
    return header;
}

static void
accept(struct frame_parser *parser, uint32_t layers, uint32_t len)
{
    struct zcb_frame *out = parser->out;

    out->layers |= layers;
    out->transport = out->payload;
    out->transport_len = len;
    out->payload += len;
}

static void
tcp(struct frame_parser *parser)
{
    struct zcb_frame *out = parser->out;
    uint8_t scratch[20];
    const uint8_t *header = header_of(parser, 20, scratch);
    uint32_t len;

    if (header == NULL)
        return;
    len = (header[12] >> 4) * 4u;
    if (len < 20 || len > parser->limit - out->payload)
        frame_fail(parser, ZCB_FRAME_TCP_OFFSET, out->payload + 12);
    else if (frame_fits(parser, len))
        accept(parser, ZCB_FRAME_TCP | ZCB_FRAME_PORTS, len);
    else // options are cut
        accept(parser, ZCB_FRAME_TCP | ZCB_FRAME_PORTS, frame_there(parser));
}

static void
udp(struct frame_parser *parser)
{
    struct zcb_frame *out = parser->out;
    uint8_t scratch[8];
    const uint8_t *header = header_of(parser, 8, scratch);
    uint32_t len, most = parser->limit - out->payload;

    if (header == NULL)
        return;
    len = zcb_frame_u16(header, 4);
    if (len == 0 && most > 65535) // RFC 2675, section 4
        len = most;
    // The first fragment has the whole datagram's length.
    if (len > most && (out->layers & ZCB_FRAME_FRAGMENT) != 0)
        len = most;
    if (len < 8 || len > most) {
        frame_fail(parser, ZCB_FRAME_UDP_LENGTH, out->payload + 4);
        return;
    }
    parser->limit = out->payload + len;
    accept(parser, ZCB_FRAME_UDP | ZCB_FRAME_PORTS, 8);
}

static void
icmp(struct frame_parser *parser, uint32_t layer)
{
    uint8_t scratch[8], type;
    const uint8_t *header = frame_need(parser, 8, scratch);
    bool error;

    if (header == NULL)
        return;
    type = header[0];
    accept(parser, layer, 8);
    error = layer == ZCB_FRAME_ICMPV6
                ? type >= 1 && type <= 4
                : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
    if (error && frame_there(parser) != 0)
        parser->out->layers |= ZCB_FRAME_INNER;
}

void
frame_transport(struct frame_parser *parser)
{
    struct zcb_frame *out = parser->out;
    bool v6 = (out->layers & ZCB_FRAME_IPV6) != 0;

    if (out->fragment_off != 0)
        return;
    switch (out->protocol) {
    case FRAME_TCP:
        tcp(parser);
        break;
    case FRAME_UDP:
        udp(parser);
        break;
    case FRAME_ICMP:
        if (!v6)
            icmp(parser, ZCB_FRAME_ICMP);
        break;
    case FRAME_ICMPV6:
        if (v6)
            icmp(parser, ZCB_FRAME_ICMPV6);
        break;
    case FRAME_IPIP:
    case FRAME_IPV6:
        if (frame_there(parser) != 0)
            out->layers |= ZCB_FRAME_INNER;
        break;
    default:
        break;
    }
}

// ---- options

void
zcb_frame_options_init(struct zcb_frame_options *options, const void *bytes, size_t len,
                       enum zcb_frame_option_style style)
{
    *options = (struct zcb_frame_options){.at = bytes, .end = bytes, .style = (uint32_t)style};
    if (len != 0)
        options->end += len;
}

void
zcb_frame_options_tcp(struct zcb_frame_options *options, const void *data,
                      const struct zcb_frame *frame)
{
    bool any = (frame->layers & ZCB_FRAME_TCP) != 0 && frame->transport_len > 20;

    zcb_frame_options_init(options, any ? (const uint8_t *)data + frame->transport + 20 : NULL,
                           any ? frame->transport_len - 20 : 0, ZCB_FRAME_OPTIONS_IPV4);
}

void
zcb_frame_options_ipv4(struct zcb_frame_options *options, const void *data,
                       const struct zcb_frame *frame)
{
    const uint8_t *header = (const uint8_t *)data + frame->network;
    uint32_t len = 0;

    if ((frame->layers & ZCB_FRAME_IPV4) != 0) {
        len = (header[0] & 15u) * 4;
        if (len > frame->network_len) // cut, or AH behind it is counted as well
            len = frame->network_len;
    }
    zcb_frame_options_init(options, len > 20 ? header + 20 : NULL, len > 20 ? len - 20 : 0,
                           ZCB_FRAME_OPTIONS_IPV4);
}

int
zcb_frame_option_next(struct zcb_frame_options *options, struct zcb_frame_option *out)
{
    bool v6 = options->style == ZCB_FRAME_OPTIONS_IPV6;
    size_t left, len;

    while (options->at != options->end) {
        const uint8_t *at = options->at;

        if (at[0] == 0 && !v6) {
            options->end = at;
            break;
        }
        if (at[0] == (v6 ? 0 : 1)) {
            options->at++;
            continue;
        }
        left = (size_t)(options->end - at);
        if (left < 2)
            return -EBADMSG;
        len = (size_t)at[1] + (v6 ? 2 : 0);
        if (len < 2 || len > left)
            return -EBADMSG;
        options->at += len;
        if (v6 && at[0] == 1) // padding of more than one byte
            continue;
        *out = (struct zcb_frame_option){at[0], (uint8_t)(len - 2), at + 2};
        return 1;
    }
    return 0;
}
