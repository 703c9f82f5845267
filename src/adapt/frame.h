// SPDX-License-Identifier: MIT
//
// The frame adapter's own side. Public core headers only: what is missing there belongs there.
//
//     frame_parse.c      a packet from its first to its last header; packets inside packets
//     frame_link.c       Ethernet and its kin, VLAN tags, LLC, ARP
//     frame_ip.c         IPv4, IPv6, extension headers
//     frame_transport.c  TCP, UDP, ICMP; options
//     frame_flow.c       keys of tables; the symbols of inline functions
//     frame_checksum.c   sums            frame_verify.c   what a checksum is found to be
//     frame_build.c      headers         frame_finish.c   their lengths and checksums
//     frame_template.c   one frame for many targets
//
// Read frame_parse.c first, then frame_need() below, which all reading goes through.
#ifndef ZCB_ADAPT_FRAME_PRIVATE_H
#define ZCB_ADAPT_FRAME_PRIVATE_H

#include <string.h>

#include <zcbuf/adapt/frame.h>

// The packet: contiguous, or part of a chain.
struct frame_view {
    const uint8_t *data; // NULL: in the chain
    const struct zcb_chain *chain;
    size_t off;
};

static inline struct frame_view
frame_view_of(const void *data)
{
    return (struct frame_view){.data = data};
}

// `len` bytes at `at`, which are there; `scratch` for those that cross chunks.
static inline const uint8_t *
frame_bytes(const struct frame_view *view, size_t at, size_t len, void *scratch)
{
    if (ZCB_LIKELY(view->data != NULL))
        return view->data + at;
    return zcb_chain_peek(view->chain, view->off + at, len, scratch);
}

// What EtherType fields and protocol fields say.
enum {
    FRAME_TYPE_IPV4 = 0x0800,
    FRAME_TYPE_ARP = 0x0806,
    FRAME_TYPE_VLAN = 0x8100,
    FRAME_TYPE_IPV6 = 0x86dd,
    FRAME_TYPE_FIRST = 0x0600, // below: a length (IEEE 802.3)
};

enum {
    FRAME_HOP_BY_HOP = 0,
    FRAME_ICMP = 1,
    FRAME_IPIP = 4,
    FRAME_TCP = 6,
    FRAME_UDP = 17,
    FRAME_IPV6 = 41,
    FRAME_ROUTING = 43,
    FRAME_FRAGMENT = 44,
    FRAME_AH = 51,
    FRAME_ICMPV6 = 58,
    FRAME_NO_NEXT = 59,
    FRAME_DESTINATION = 60,
    FRAME_MOBILITY = 135,
    FRAME_HIP = 139,
    FRAME_SHIM6 = 140,
};

#define FRAME_SCRATCH 40 // the longest fixed header: IPv6

// ---- parse
//
// out->payload is the place where parsing is: each header that is whole moves it on. Two bounds lie
// ahead: `captured`, where the bytes end, and `limit`, where by the lengths seen so far the packet
// does. payload <= captured and payload <= limit at all times.

struct frame_parser {
    struct frame_view view;
    struct zcb_frame *out;
    uint32_t limit; // FRAME_UNKNOWN: nothing said so far
    uint32_t max_vlans;
    uint32_t max_extensions;
    uint32_t flags;
};

#define FRAME_UNKNOWN UINT32_MAX

// The first two return whether to go on. The verdict says why not; with ZCB_FRAME_OK nothing that
// is known here follows.
bool frame_link(struct frame_parser *parser, enum zcb_frame_link link);
bool frame_network(struct frame_parser *parser);
void frame_transport(struct frame_parser *parser);

static inline bool
frame_fail(struct frame_parser *parser, enum zcb_frame_verdict verdict, uint32_t at)
{
    parser->out->verdict = (uint8_t)verdict;
    parser->out->at = at;
    return false;
}

// Bytes from here on that are there and part of the packet.
static inline uint32_t
frame_there(const struct frame_parser *parser)
{
    uint32_t captured = parser->out->captured;

    return (captured < parser->limit ? captured : parser->limit) - parser->out->payload;
}

// Whether the next `len` bytes are there.
static inline bool
frame_fits(struct frame_parser *parser, uint32_t len)
{
    uint32_t at = parser->out->payload;

    if (ZCB_LIKELY(len <= frame_there(parser)))
        return true;
    return frame_fail(parser, len > parser->limit - at ? ZCB_FRAME_OVERRUN : ZCB_FRAME_TRUNCATED,
                      at);
}

// The next `len` bytes, which stay next. NULL: there are fewer, and the verdict says so.
static inline const uint8_t *
frame_need(struct frame_parser *parser, uint32_t len, uint8_t *scratch)
{
    if (!frame_fits(parser, len))
        return NULL;
    return frame_bytes(&parser->view, parser->out->payload, len, scratch);
}

// ---- checksums

// To 16 bits; the checksum is the complement of this.
static inline uint16_t
frame_fold(uint32_t sum)
{
    return (uint16_t)(zcb_frame_checksum(sum) ^ 0xffff);
}

// zcb_frame_sum() of what a view shows; the bytes are there.
uint32_t frame_sum_view(const struct frame_view *view, size_t at, size_t len, uint32_t sum);

// The sum of the pseudo header that belongs to the IP header at `network`. With a routing header
// (at `routing`, 0: none) that has not come to its end, the destination is the last one of its
// list. False: that is not known.
bool frame_sum_addresses(const struct frame_view *view, bool ipv6, uint32_t network,
                         uint32_t routing, uint8_t protocol, uint32_t len, uint32_t *sum);

// ---- writing

// What a header of a builder is, as far as lengths and checksums go.
enum frame_kind {
    FRAME_KIND_LINK, // neither
    FRAME_KIND_IPV4,
    FRAME_KIND_IPV6,
    FRAME_KIND_ROUTING,
    FRAME_KIND_EXTENSION, // another one
    FRAME_KIND_UDP,
    FRAME_KIND_TCP,
    FRAME_KIND_ICMP,
    FRAME_KIND_ICMPV6,
};

static inline void
frame_put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void
frame_put_u32(uint8_t *at, uint32_t value)
{
    frame_put_u16(at, (uint16_t)(value >> 16));
    frame_put_u16(at + 2, (uint16_t)value);
}

#endif
