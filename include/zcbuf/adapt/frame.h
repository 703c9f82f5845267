// SPDX-License-Identifier: MIT
//
// zcbuf/adapt/frame.h: network frames, read and written where they lie.
//
//     | Ethernet | VLAN | IPv4 / IPv6, options, extensions | TCP / UDP / ICMP | payload | padding |
//     ^ start           ^ network                          ^ transport        ^ payload ^ end
//
// Four things, each of use without the others:
//
//     parse       one packet in, offsets and lengths out: struct zcb_frame. Nothing is copied,
//                 nothing allocated, nothing followed that points backwards
//     checksums   sums over memory and over chains, verification, incremental update
//     build       payload first, then headers into the headroom in front of it; one call at the end
//                 fills in lengths and checksums
//     template    a finished frame, stamped again and again for other targets
//
// A receiver's loop:
//
//     struct zcb_frame frame;
//     if (zcb_frame_parse(packet.data, packet.len, ZCB_FRAME_LINK_ETHERNET, NULL, &frame) != 0)
//         count_bad[frame.verdict]++;             // what was read before that can be used still
//     if (frame.layers & ZCB_FRAME_TCP)
//         segment(zcb_frame_destination_port(packet.data, &frame), packet.data + frame.payload,
//                 frame.payload_len);
//
// Trust. Every byte is taken for hostile. All reads are bounded by what was captured and by what
// the enclosing header says; headers in a row are bounded in number, and each step goes forward.
// What is wrong is not an error of the call but its answer: a verdict, and where.
//
// Offsets are 32 bits and count from the first byte that was passed, so frames above 64 KiB (GRO,
// jumbograms, captures of a loopback) are nothing special. Any alignment will do. Fields come out
// in the host's byte order, addresses as bytes in wire order.
//
// Chains. A frame that lies in several chunks is parsed with zcb_frame_parse_chain(); the result is
// the same as for contiguous bytes. The accessors below want contiguous headers: all they read lies
// before frame.payload, so
//     uint8_t scratch[256];
//     const uint8_t *data = frame.payload <= sizeof(scratch)
//         ? zcb_chain_peek(chain, off, frame.payload, scratch) : NULL;
// lends them, and copies only what crosses chunks.
//
// Threads: every function may be called from any thread; they share nothing but their arguments.
// Nothing in here allocates, blocks or makes system calls.
//
// Formats: IEEE 802.3 and 802.1Q; RFC 894, 1042 (Ethernet, SNAP), 826 (ARP), 791 (IPv4), 8200
// (IPv6), 2675 (jumbograms), 4302 (AH), 6275 (mobility), 792, 4443, 4884 (ICMP), 9293 (TCP), 768
// (UDP), 1071, 1624 (checksums); link types as in tcpdump.org/linktypes.html.
#ifndef ZCBUF_ADAPT_FRAME_H
#define ZCBUF_ADAPT_FRAME_H

#include <string.h>

#include <zcbuf/buf.h>
#include <zcbuf/chain.h>
#include <zcbuf/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- parse

// What the first header is: the numbers that capture files use (LINKTYPE_...). What
// pcap_datalink() returns is the same but for raw IP, 12 or 14 there, which is understood too.
enum zcb_frame_link {
    ZCB_FRAME_LINK_NULL = 0, // BSD loopback: address family in the capturing host's byte order
    ZCB_FRAME_LINK_ETHERNET = 1,
    ZCB_FRAME_LINK_RAW = 101,  // IPv4 or IPv6, as the version says
    ZCB_FRAME_LINK_LOOP = 108, // OpenBSD loopback: address family in network order
    ZCB_FRAME_LINK_SLL = 113,  // Linux "cooked"
    ZCB_FRAME_LINK_IPV4 = 228,
    ZCB_FRAME_LINK_IPV6 = 229,
    ZCB_FRAME_LINK_SLL2 = 276, // Linux "cooked", version 2
};

// Bits of zcb_frame.layers: headers that are there, and what else was found. Of an IPv4 or TCP
// header the options may be cut off; the verdict is then ZCB_FRAME_TRUNCATED.
enum {
    ZCB_FRAME_ETHERNET = 1u << 0,
    ZCB_FRAME_SLL = 1u << 1,      // SLL or SLL2
    ZCB_FRAME_LOOPBACK = 1u << 2, // NULL or LOOP
    ZCB_FRAME_VLAN = 1u << 3,     // at least one tag
    ZCB_FRAME_LLC = 1u << 4,      // 802.3 with a length, LLC behind it
    ZCB_FRAME_SNAP = 1u << 5,     // and SNAP behind that
    ZCB_FRAME_ARP = 1u << 6,
    ZCB_FRAME_IPV4 = 1u << 7,
    ZCB_FRAME_IPV6 = 1u << 8,
    ZCB_FRAME_TCP = 1u << 9,
    ZCB_FRAME_UDP = 1u << 10,
    ZCB_FRAME_ICMP = 1u << 11,
    ZCB_FRAME_ICMPV6 = 1u << 12,
    // The transport header's first four bytes are there: source and destination port. Also where
    // the rest of a TCP or UDP header is cut off, as in what an ICMP error quotes.
    ZCB_FRAME_PORTS = 1u << 13,
    // Part of a datagram: transport headers are in the first part alone (fragment_off 0).
    ZCB_FRAME_FRAGMENT = 1u << 14,
    ZCB_FRAME_MORE = 1u << 15,  // more fragments follow
    ZCB_FRAME_JUMBO = 1u << 16, // the length is from a jumbo payload option
    // IP says nothing about its length (0, as the kernel writes for more than 64 KiB): what lies
    // behind it counts.
    ZCB_FRAME_UNSIZED = 1u << 17,
    // The payload is another IP packet, or begins with one: quoted by an ICMP error, or IP in IP.
    // zcb_frame_parse_inner() reads it.
    ZCB_FRAME_INNER = 1u << 18,
    // Bytes at the end are missing: end is behind captured (snap length).
    ZCB_FRAME_CUT = 1u << 19,
};

// X(NAME, name, what it says)
#define ZCB_FRAME_VERDICTS(X)                                                                      \
    X(OK, ok, "all headers are whole")                                                             \
    X(TRUNCATED, truncated, "a header goes on behind the captured bytes")                          \
    X(OVERRUN, overrun, "a header goes on behind the end of what carries it")                      \
    X(VLAN_DEPTH, vlan_depth, "more VLAN tags than max_vlans")                                     \
    X(LLC_LENGTH, llc_length, "802.3 length beyond the frame")                                     \
    X(IP_VERSION, ip_version, "not the IP version that was announced")                             \
    X(IPV4_IHL, ipv4_ihl, "IPv4 header length below 20")                                           \
    X(IP_LENGTH, ip_length, "IP length below its header's, or beyond what carries it")             \
    X(JUMBO_LENGTH, jumbo_length,                                                                  \
      "jumbo payload option that may not be there, or says too little")                            \
    X(OPTION_LENGTH, option_length, "hop-by-hop option that goes beyond its header")               \
    X(EXTENSION_ORDER, extension_order,                                                            \
      "hop-by-hop header not the first, or a second fragment header")                              \
    X(EXTENSION_COUNT, extension_count, "more extension headers than max_extensions")              \
    X(EXTENSION_LENGTH, extension_length, "extension header too short for its kind")               \
    X(FRAGMENT_RANGE, fragment_range, "fragment that reaches beyond 65535 bytes")                  \
    X(FRAGMENT_LENGTH, fragment_length, "fragment in the middle, not of a multiple of 8 bytes")    \
    X(TCP_OFFSET, tcp_offset, "TCP header length below 20, or beyond the packet")                  \
    X(UDP_LENGTH, udp_length, "UDP length below 8, or beyond the packet")

enum zcb_frame_verdict {
#define ZCB_FRAME_VERDICT_ENUM(NAME, name, what) ZCB_FRAME_##NAME,
    ZCB_FRAME_VERDICTS(ZCB_FRAME_VERDICT_ENUM)
#undef ZCB_FRAME_VERDICT_ENUM
};

// One packet taken apart. Offsets are from the first byte that was passed, and 0 where there is no
// such header; `layers` tells a missing IP header from one at 0. Filled in by parse; read it, do
// not write it.
struct zcb_frame {
    uint32_t layers;        // ZCB_FRAME_ETHERNET and so on
    uint8_t verdict;        // enum zcb_frame_verdict
    uint8_t vlans;          // tags
    uint8_t extensions;     // IPv6 extension headers; AH behind IPv4 counts too
    uint8_t protocol;       // what IP carries in the end, behind extensions (IANA's numbers)
    uint16_t type;          // EtherType behind tags and SNAP; 0: none
    uint16_t link;          // enum zcb_frame_link
    uint32_t at;            // the field that the verdict is about; with OK: payload
    uint32_t captured;      // bytes there: the `len` that was passed
    uint32_t start;         // 0; of an inner packet: where it begins
    uint32_t vlan;          // the first tag's TCI; the others follow at 4 bytes each
    uint32_t network;       // IP or ARP header
    uint32_t network_len;   // of it, with options and extension headers
    uint32_t routing;       // IPv6 routing header, the last one
    uint32_t fragment;      // IPv6 fragment header
    uint32_t fragment_off;  // bytes of the datagram before this part
    uint32_t fragment_id;   // IPv4 identification (always there), or the fragment header's
    uint32_t transport;     // TCP, UDP or ICMP header
    uint32_t transport_len; // of it, with options; where it is cut: the bytes that are there
    uint32_t payload;       // behind the last header that is whole
    uint32_t payload_len;   // bytes of it that are there; padding is none of it
    uint32_t end;           // where it ends on the wire; beyond captured: CUT
    uint32_t reserved[6];   // 0
};

// NULL: all defaults.
struct zcb_frame_config {
    // The packet's length on the wire, where the capture may have cut it. What claims to be longer
    // than this is malformed; what is longer than `len` alone is cut. 0: not known, anything beyond
    // `len` is cut. A receiver that never cuts passes `len`. Below `len`: the rest is padding.
    size_t wire_len;
    uint32_t max_vlans;      // 0: 4; at most 64
    uint32_t max_extensions; // 0: 8; at most 64
    uint32_t flags;          // ZCB_FRAME_ACCEPT_UNSIZED
    uint32_t reserved[5];    // 0
};

enum {
    // An IP length of 0 means all that is there, as network cards with segmentation offload write
    // it. Without this only where more than 65535 bytes are there.
    ZCB_FRAME_ACCEPT_UNSIZED = 1u << 0,
};

// Takes the packet of `len` bytes at `data` apart. `data` may be NULL when `len` is 0. Cost: a few
// nanoseconds for each header; payload is not touched, nor are options, but for hop-by-hop ones.
// Returns the verdict, 0 (ZCB_FRAME_OK) or above; *out is filled in either way, up to what was
// wrong. What is not understood (another EtherType, another protocol, ESP) is payload, and OK.
// -EINVAL (NULL out; NULL data with a length; reserved fields, unknown flags, a limit above its
// ceiling); -ENOTSUP: another link type; -EOVERFLOW: above 2^31 bytes. *out is then as it was.
ZCB_API ZCB_MUST_CHECK int zcb_frame_parse(const void *data, size_t len, enum zcb_frame_link link,
                                           const struct zcb_frame_config *config,
                                           struct zcb_frame *out);

// The same for the `len` bytes at `off` of a chain. Offsets in *out count from `off`. Copies only
// fixed parts of headers that cross chunks (ZCB_COPY_PEEK): up to 40 bytes each, a hop-by-hop
// header up to 2048.
// Also -EAGAIN: fewer bytes are there.
ZCB_API ZCB_MUST_CHECK int zcb_frame_parse_chain(const struct zcb_chain *chain, size_t off,
                                                 size_t len, enum zcb_frame_link link,
                                                 const struct zcb_frame_config *config,
                                                 struct zcb_frame *out);

// The packet inside one that has ZCB_FRAME_INNER: what an ICMP error quotes, or what IP in IP
// carries. `data` is what `outer` was parsed from; offsets in *out count from there, too. A quote
// is mostly cut: layers has ZCB_FRAME_PORTS, and TCP if its whole header was quoted. Its version is
// the one that the outer packet announced (ICMP quotes IPv4, ICMPv6 quotes IPv6; protocols 4 and
// 41), else ZCB_FRAME_IP_VERSION. An inner packet may have one in turn: how deep to go is the
// caller's to say.
// As zcb_frame_parse(); also -EINVAL: nothing is inside. `out` may not be `outer`.
ZCB_API ZCB_MUST_CHECK int zcb_frame_parse_inner(const void *data, const struct zcb_frame *outer,
                                                 const struct zcb_frame_config *config,
                                                 struct zcb_frame *out);
ZCB_API ZCB_MUST_CHECK int zcb_frame_parse_inner_chain(const struct zcb_chain *chain, size_t off,
                                                       const struct zcb_frame *outer,
                                                       const struct zcb_frame_config *config,
                                                       struct zcb_frame *out);

// "tcp_offset", and the sentence that goes with it; "unknown" for a number that is none. Static.
ZCB_API const char *zcb_frame_verdict_name(int verdict);
ZCB_API const char *zcb_frame_verdict_text(int verdict);

// ---- fields: read at the offsets, from the bytes that were parsed. Each is 0 (a pointer: NULL)
// where the frame has no such header. Pointers are valid as long as the bytes.

// Big endian, from any alignment. Not bounded: for offsets that the caller has checked.
ZCB_INLINE uint16_t
zcb_frame_u16(const void *data, size_t off)
{
    const uint8_t *at = (const uint8_t *)data + off;

    return (uint16_t)(at[0] << 8 | at[1]);
}

ZCB_INLINE uint32_t
zcb_frame_u32(const void *data, size_t off)
{
    const uint8_t *at = (const uint8_t *)data + off;

    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// Tag 0 is the outermost. Priority (3 bits), drop eligible (1), VLAN id (12).
ZCB_INLINE uint16_t
zcb_frame_vlan_tci(const void *data, const struct zcb_frame *frame, uint32_t tag)
{
    return tag < frame->vlans ? zcb_frame_u16(data, frame->vlan + (size_t)tag * 4) : 0;
}

// 4, 16, or 0 where it is not IP.
ZCB_INLINE uint32_t
zcb_frame_address_len(const struct zcb_frame *frame)
{
    return (frame->layers & ZCB_FRAME_IPV4) != 0   ? 4
           : (frame->layers & ZCB_FRAME_IPV6) != 0 ? 16
                                                   : 0;
}

// The IP addresses in the packet.
ZCB_INLINE const uint8_t *
zcb_frame_source(const void *data, const struct zcb_frame *frame)
{
    uint32_t len = zcb_frame_address_len(frame);

    return len != 0 ? (const uint8_t *)data + frame->network + (len == 4 ? 12 : 8) : NULL;
}

ZCB_INLINE const uint8_t *
zcb_frame_destination(const void *data, const struct zcb_frame *frame)
{
    uint32_t len = zcb_frame_address_len(frame);

    return len != 0 ? (const uint8_t *)data + frame->network + (len == 4 ? 16 : 24) : NULL;
}

// Time to live, or hop limit.
ZCB_INLINE uint8_t
zcb_frame_ttl(const void *data, const struct zcb_frame *frame)
{
    uint32_t len = zcb_frame_address_len(frame);

    return len != 0 ? ((const uint8_t *)data + frame->network)[len == 4 ? 8 : 7] : 0;
}

// Type of service, or traffic class: DSCP (6 bits), ECN (2).
ZCB_INLINE uint8_t
zcb_frame_tos(const void *data, const struct zcb_frame *frame)
{
    uint32_t len = zcb_frame_address_len(frame);

    if (len == 0)
        return 0;
    return (uint8_t)(zcb_frame_u16(data, frame->network) >> (len == 4 ? 0 : 4));
}

ZCB_INLINE uint16_t
zcb_frame_source_port(const void *data, const struct zcb_frame *frame)
{
    return (frame->layers & ZCB_FRAME_PORTS) != 0 ? zcb_frame_u16(data, frame->transport) : 0;
}

ZCB_INLINE uint16_t
zcb_frame_destination_port(const void *data, const struct zcb_frame *frame)
{
    return (frame->layers & ZCB_FRAME_PORTS) != 0
               ? zcb_frame_u16(data, (size_t)frame->transport + 2)
               : 0;
}

// Bits of a TCP header's flags.
enum {
    ZCB_FRAME_FIN = 0x01,
    ZCB_FRAME_SYN = 0x02,
    ZCB_FRAME_RST = 0x04,
    ZCB_FRAME_PSH = 0x08,
    ZCB_FRAME_ACK = 0x10,
    ZCB_FRAME_URG = 0x20,
    ZCB_FRAME_ECE = 0x40,
    ZCB_FRAME_CWR = 0x80,
};

ZCB_INLINE uint8_t
zcb_frame_tcp_flags(const void *data, const struct zcb_frame *frame)
{
    return (frame->layers & ZCB_FRAME_TCP) != 0 ? ((const uint8_t *)data + frame->transport)[13]
                                                : 0;
}

ZCB_INLINE uint32_t
zcb_frame_tcp_sequence(const void *data, const struct zcb_frame *frame)
{
    return (frame->layers & ZCB_FRAME_TCP) != 0 ? zcb_frame_u32(data, (size_t)frame->transport + 4)
                                                : 0;
}

ZCB_INLINE uint32_t
zcb_frame_tcp_acknowledgment(const void *data, const struct zcb_frame *frame)
{
    return (frame->layers & ZCB_FRAME_TCP) != 0 ? zcb_frame_u32(data, (size_t)frame->transport + 8)
                                                : 0;
}

ZCB_INLINE uint16_t
zcb_frame_tcp_window(const void *data, const struct zcb_frame *frame)
{
    return (frame->layers & ZCB_FRAME_TCP) != 0 ? zcb_frame_u16(data, (size_t)frame->transport + 14)
                                                : 0;
}

// ICMP or ICMPv6.
ZCB_INLINE uint8_t
zcb_frame_icmp_type(const void *data, const struct zcb_frame *frame)
{
    return (frame->layers & (ZCB_FRAME_ICMP | ZCB_FRAME_ICMPV6)) != 0
               ? ((const uint8_t *)data + frame->transport)[0]
               : 0;
}

ZCB_INLINE uint8_t
zcb_frame_icmp_code(const void *data, const struct zcb_frame *frame)
{
    return (frame->layers & (ZCB_FRAME_ICMP | ZCB_FRAME_ICMPV6)) != 0
               ? ((const uint8_t *)data + frame->transport)[1]
               : 0;
}

// The four bytes behind the checksum: identifier and sequence, MTU, pointer, as the type says.
ZCB_INLINE uint32_t
zcb_frame_icmp_rest(const void *data, const struct zcb_frame *frame)
{
    return (frame->layers & (ZCB_FRAME_ICMP | ZCB_FRAME_ICMPV6)) != 0
               ? zcb_frame_u32(data, (size_t)frame->transport + 4)
               : 0;
}

// 1: request, 2: reply.
ZCB_INLINE uint16_t
zcb_frame_arp_operation(const void *data, const struct zcb_frame *frame)
{
    return (frame->layers & ZCB_FRAME_ARP) != 0 ? zcb_frame_u16(data, (size_t)frame->network + 6)
                                                : 0;
}

// Ten bytes: Ethernet address, IPv4 address. NULL also where ARP is about other kinds.
ZCB_INLINE const uint8_t *
zcb_frame_arp_sender(const void *data, const struct zcb_frame *frame)
{
    const uint8_t *at = (const uint8_t *)data + frame->network;

    return (frame->layers & ZCB_FRAME_ARP) != 0 && zcb_frame_u16(at, 2) == 0x0800 && at[4] == 6 &&
                   at[5] == 4
               ? at + 8
               : NULL;
}

ZCB_INLINE const uint8_t *
zcb_frame_arp_target(const void *data, const struct zcb_frame *frame)
{
    const uint8_t *at = (const uint8_t *)data + frame->network;

    return (frame->layers & ZCB_FRAME_ARP) != 0 && zcb_frame_u16(at, 2) == 0x0800 && at[4] == 6 &&
                   at[5] == 4
               ? at + 18
               : NULL;
}

// ---- options of TCP, IPv4, and IPv6's hop-by-hop and destination options headers

struct zcb_frame_option {
    uint8_t kind;
    uint8_t len;         // of its data: without kind and length
    const uint8_t *data; // in the bytes that init was given
};

// A walk over them. Padding is passed over; it ends at the end-of-options mark, or with the bytes.
struct zcb_frame_options {
    const uint8_t *at; // the next one; after -EBADMSG: the one that is wrong
    const uint8_t *end;
    uint32_t style;
    uint32_t reserved;
};

enum zcb_frame_option_style {
    ZCB_FRAME_OPTIONS_IPV4 = 0, // and TCP: 0 ends, 1 is padding, lengths count kind and length
    ZCB_FRAME_OPTIONS_IPV6 = 1, // 0 and 1 are padding, lengths count data alone
};

// Over `len` contiguous bytes that hold options: borrowed from a chain, or an extension header
// without its first two bytes.
ZCB_API void zcb_frame_options_init(struct zcb_frame_options *options, const void *bytes,
                                    size_t len, enum zcb_frame_option_style style);

// Over those of a frame that was parsed; nothing to walk where it has no such header.
ZCB_API void zcb_frame_options_tcp(struct zcb_frame_options *options, const void *data,
                                   const struct zcb_frame *frame);
ZCB_API void zcb_frame_options_ipv4(struct zcb_frame_options *options, const void *data,
                                    const struct zcb_frame *frame);

// Returns 1: *out is the next one; 0: that was all; -EBADMSG: a length of 0 or 1, or beyond the end
// (options->at): the same again from then on. Each step goes forward.
ZCB_API ZCB_MUST_CHECK int zcb_frame_option_next(struct zcb_frame_options *options,
                                                 struct zcb_frame_option *out);

// ---- flows

// Key of a table: 40 bytes without holes, so it can be compared with memcmp() and hashed. IPv4
// addresses are the first 4 bytes of 16, zeroes behind them. Ports are in host order, 0 where there
// are none (ICMP, fragments behind the first one).
struct zcb_frame_flow {
    uint8_t address[2][16]; // source, destination
    uint16_t port[2];
    uint8_t protocol;
    uint8_t version;   // 4 or 6
    uint16_t reserved; // 0
};

// 0; -ENOTSUP: not IP, *out is as it was. Fragments of one datagram do not have the same flow:
// reassemble first.
ZCB_API ZCB_MUST_CHECK int zcb_frame_flow_of(const void *data, const struct zcb_frame *frame,
                                             struct zcb_frame_flow *out);

// Turns the flow around if its source is above its destination, so that both directions of a
// conversation have one key. Returns whether it did: which direction the packet had.
ZCB_API bool zcb_frame_flow_canonical(struct zcb_frame_flow *flow);

// SipHash-1-3 of the key (seed, seed): whoever does not know the seed cannot choose addresses and
// ports that collide. The same on every host.
ZCB_API uint64_t zcb_frame_flow_hash(const struct zcb_frame_flow *flow, uint64_t seed);

ZCB_INLINE bool
zcb_frame_flow_equal(const struct zcb_frame_flow *a, const struct zcb_frame_flow *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

// ---- checksums (RFC 1071): the complement of the one's complement sum of big-endian 16-bit words

// Adds `len` bytes (below 2^34) to `sum`, which may be the result of another call if that had an
// even number of bytes, or 0. A sum is 0 only where all bytes were. Tens of bytes in a nanosecond.
ZCB_API uint32_t zcb_frame_sum(const void *data, size_t len, uint32_t sum);

// The same over a chain; chunks may end anywhere. *out (not `sum`) gets the result.
// 0; -EAGAIN: fewer bytes are there.
ZCB_API ZCB_MUST_CHECK int zcb_frame_sum_chain(const struct zcb_chain *chain, size_t off,
                                               size_t len, uint32_t sum, uint32_t *out);

// Adds the sum of a part that lies `off` bytes behind the first one's start: for bytes that are
// somewhere else, at odd places too.
ZCB_INLINE uint32_t
zcb_frame_sum_add(uint32_t sum, uint32_t part, size_t off)
{
    uint64_t both;

    if ((off & 1) != 0)
        part = (part & 0xff00ff00u) >> 8 | (part & 0x00ff00ffu) << 8;
    both = (uint64_t)sum + part;
    return (uint32_t)both + (uint32_t)(both >> 32);
}

// The checksum field's value. Where UDP computes 0 it writes 0xffff.
ZCB_INLINE uint16_t
zcb_frame_checksum(uint32_t sum)
{
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t) ~(sum + (sum >> 16));
}

// The sum of a pseudo header (RFC 9293, RFC 8200 section 8.1): start for a TCP, UDP or ICMPv6
// checksum. Addresses are 4 or 16 bytes each (`address_len`); `len` is the transport header's with
// its payload.
ZCB_API uint32_t zcb_frame_sum_pseudo(const void *source, const void *destination,
                                      uint32_t address_len, uint8_t protocol, uint32_t len);

// A checksum after a field has changed (RFC 1624, equation 3), without the other bytes. The field
// must lie at an even offset of what is summed up. Where the whole sum cannot be 0 (every header
// here), the result is what computing it anew gives, to the bit; a UDP checksum that becomes 0 is
// to be written as 0xffff, and one that is 0 stays so: do not call this.
ZCB_INLINE uint16_t
zcb_frame_checksum_update16(uint16_t checksum, uint16_t before, uint16_t after)
{
    return zcb_frame_checksum((uint32_t)(uint16_t)~checksum + (uint16_t)~before + after);
}

ZCB_INLINE uint16_t
zcb_frame_checksum_update32(uint16_t checksum, uint32_t before, uint32_t after)
{
    uint32_t sum = (uint16_t)~checksum;

    sum += (~before >> 16) + (~before & 0xffff);
    return zcb_frame_checksum(sum + (after >> 16) + (after & 0xffff));
}

// The same for `len` bytes (an address). `len` is even.
ZCB_API uint16_t zcb_frame_checksum_update(uint16_t checksum, const void *before, const void *after,
                                           size_t len);

// What a checksum was found to be.
enum zcb_frame_checksum_state {
    ZCB_FRAME_CHECKSUM_GOOD = 0,
    ZCB_FRAME_CHECKSUM_BAD = 1,
    // Not there to be judged: no such header, a fragment, bytes cut off, a routing header whose
    // last destination is not known here.
    ZCB_FRAME_CHECKSUM_UNKNOWN = 2,
    // UDP over IPv4 without one: allowed.
    ZCB_FRAME_CHECKSUM_NONE = 3,
    // UDP over IPv6 without one: to be dropped (RFC 8200), but for tunnels that said so (RFC 6935).
    ZCB_FRAME_CHECKSUM_MISSING = 4,
    // The pseudo header's sum alone: the sender left the rest to its network card (the kernel's
    // CHECKSUM_PARTIAL). Seen on the sending host, and on a loopback or a virtual wire.
    ZCB_FRAME_CHECKSUM_PARTIAL = 5,
};

// IPv4's header.
ZCB_API enum zcb_frame_checksum_state zcb_frame_verify_ip(const void *data,
                                                          const struct zcb_frame *frame);
ZCB_API enum zcb_frame_checksum_state
zcb_frame_verify_ip_chain(const struct zcb_chain *chain, size_t off, const struct zcb_frame *frame);

// TCP, UDP, ICMP or ICMPv6: reads the whole payload.
ZCB_API enum zcb_frame_checksum_state zcb_frame_verify_transport(const void *data,
                                                                 const struct zcb_frame *frame);
ZCB_API enum zcb_frame_checksum_state
zcb_frame_verify_transport_chain(const struct zcb_chain *chain, size_t off,
                                 const struct zcb_frame *frame);

// "good", "partial"; "unknown" also for a number that is none. Static.
ZCB_API const char *zcb_frame_checksum_name(int state);

// ---- build

// Headers in front of a payload, innermost first:
//
//     zcb_pool_acquire(pool, 1500, &buf)               with room: zcb_pool_config.headroom, or
//     zcb_buf_set_headroom(buf, ZCB_FRAME_HEADROOM)    this, while it is empty
//     zcb_buf_append(buf, len, &at), write the payload there, once
//     zcb_frame_build_into(&builder, buf)
//     zcb_frame_prepend_udp(&builder, &udp)
//     zcb_frame_prepend_ipv4(&builder, &ipv4)
//     zcb_frame_prepend_ethernet(&builder, &ethernet)
//     zcb_frame_finish(&builder, 0)                    lengths and checksums
//     zcb_buf_share(&buf, &packet)
//
// Any order that makes sense to you is written: IP in IP, several VLAN tags, UDP around anything.
// Fields that say what comes next are filled in from the header inside. Payload may grow, and bytes
// of your own go in front (zcb_buf_append, zcb_buf_prepend), up to finish; what is not one of these
// headers needs its protocol named in the next one.
//
// Nothing is moved or allocated. A prepend that fails changes nothing. Fields are the library's.
struct zcb_frame_builder {
    struct zcb_buf *buf;
    uint32_t count;
    uint32_t reserved;
    struct {
        uint8_t *at;
        uint16_t len;
        uint16_t type;     // what an EtherType field in front says
        uint16_t protocol; // what a protocol field in front says
        uint8_t kind;
        uint8_t flags;
    } headers[16]; // innermost first
};

#define ZCB_FRAME_HEADERS 16 // that a builder takes

// Room for Ethernet, two tags, IP and TCP with all their options (142 bytes), or for a tunnel
// around plain ones.
#define ZCB_FRAME_HEADROOM 192

// 0: by what is inside, where a comment says so. Reserved fields: 0.
struct zcb_frame_ethernet {
    uint8_t destination[6];
    uint8_t source[6];
    uint16_t type; // 0: of what is inside
    uint16_t reserved;
};

struct zcb_frame_vlan {
    uint16_t tci;
    uint16_t tpid; // 0: 0x8100
    uint16_t type; // 0: of what is inside
    uint16_t reserved;
};

struct zcb_frame_arp {
    uint16_t operation; // 0: 1, a request
    uint8_t sender[6];  // Ethernet addresses, and the IPv4 ones
    uint8_t sender_ip[4];
    uint8_t target[6];
    uint8_t target_ip[4];
    uint16_t reserved;
};

struct zcb_frame_ipv4 {
    uint8_t source[4];
    uint8_t destination[4];
    uint8_t protocol; // 0: of what is inside
    uint8_t ttl;      // 0: 64
    uint8_t tos;
    uint8_t reserved8;
    uint16_t id;
    uint16_t fragment;   // flags (3 bits: 0x4000 is don't fragment) and offset in 8 bytes (13)
    const void *options; // copied, padded with zeroes to a multiple of 4
    size_t options_len;  // at most 40
    uint32_t reserved[4];
};

struct zcb_frame_ipv6 {
    uint8_t source[16];
    uint8_t destination[16];
    uint8_t next;      // 0: of what is inside; nothing is: 59, no next header
    uint8_t hop_limit; // 0: 64
    uint8_t traffic_class;
    uint8_t reserved8;
    uint32_t flow_label; // 20 bits
    uint32_t reserved[4];
};

// An extension header behind IPv6 (or AH, 51, behind IPv4). What is inside gives its next header.
struct zcb_frame_extension {
    uint8_t type; // 0, 43, 44, 51, 60, 135
    uint8_t next; // 0: of what is inside; nothing is: 59
    uint16_t reserved16;
    uint32_t reserved;
    const void *body; // copied: the header without its first two bytes
    size_t body_len;  // 6, 14, 22 ... 2046; fragment header: 6; AH: 10, 14, 18 ... 1026
};

struct zcb_frame_udp {
    uint16_t source;
    uint16_t destination;
    uint32_t flags; // ZCB_FRAME_NO_CHECKSUM
    uint32_t reserved[2];
};

struct zcb_frame_tcp {
    uint16_t source;
    uint16_t destination;
    uint32_t sequence;
    uint32_t acknowledgment;
    uint16_t window; // as it is: 0 is 0
    uint16_t urgent;
    uint8_t flags; // ZCB_FRAME_SYN ...
    uint8_t reserved8[7];
    const void *options; // copied, padded with zeroes to a multiple of 4
    size_t options_len;  // at most 40
    uint32_t reserved[4];
};

struct zcb_frame_icmp {
    uint8_t type;
    uint8_t code;
    uint16_t reserved16;
    uint32_t rest; // the four bytes behind the checksum
    uint32_t reserved[2];
};

enum {
    ZCB_FRAME_NO_CHECKSUM = 1u << 0, // UDP: written as 0, none
    // finish: the outermost TCP or UDP header gets its pseudo header's sum alone, for a card or a
    // virtual wire that does the rest (CHECKSUM_PARTIAL).
    ZCB_FRAME_PARTIAL = 1u << 1,
};

// Begins; what the buf holds is the payload. The builder borrows the buf, which must stay until
// finish; there is nothing to clean up. 0; -EINVAL (NULL).
ZCB_API ZCB_MUST_CHECK int zcb_frame_build_into(struct zcb_frame_builder *builder,
                                                struct zcb_buf *buf);

// One header each, in front of what is there. The parameters are copied.
// 0; -ERANGE: no headroom for it; -EINVAL (NULL; reserved fields; lengths that the format does not
// allow; nothing known inside and no protocol named); -ENOBUFS: the builder has ZCB_FRAME_HEADERS
// already. On failure nothing changed.
ZCB_API ZCB_MUST_CHECK int zcb_frame_prepend_ethernet(struct zcb_frame_builder *builder,
                                                      const struct zcb_frame_ethernet *what);
ZCB_API ZCB_MUST_CHECK int zcb_frame_prepend_vlan(struct zcb_frame_builder *builder,
                                                  const struct zcb_frame_vlan *what);
ZCB_API ZCB_MUST_CHECK int zcb_frame_prepend_arp(struct zcb_frame_builder *builder,
                                                 const struct zcb_frame_arp *what);
ZCB_API ZCB_MUST_CHECK int zcb_frame_prepend_ipv4(struct zcb_frame_builder *builder,
                                                  const struct zcb_frame_ipv4 *what);
ZCB_API ZCB_MUST_CHECK int zcb_frame_prepend_ipv6(struct zcb_frame_builder *builder,
                                                  const struct zcb_frame_ipv6 *what);
ZCB_API ZCB_MUST_CHECK int zcb_frame_prepend_extension(struct zcb_frame_builder *builder,
                                                       const struct zcb_frame_extension *what);
ZCB_API ZCB_MUST_CHECK int zcb_frame_prepend_udp(struct zcb_frame_builder *builder,
                                                 const struct zcb_frame_udp *what);
ZCB_API ZCB_MUST_CHECK int zcb_frame_prepend_tcp(struct zcb_frame_builder *builder,
                                                 const struct zcb_frame_tcp *what);
ZCB_API ZCB_MUST_CHECK int zcb_frame_prepend_icmp(struct zcb_frame_builder *builder,
                                                  const struct zcb_frame_icmp *what);
ZCB_API ZCB_MUST_CHECK int zcb_frame_prepend_icmpv6(struct zcb_frame_builder *builder,
                                                    const struct zcb_frame_icmp *what);

// Fills in lengths and checksums of all headers. `flags`: ZCB_FRAME_PARTIAL or 0. May be called
// again when the payload has changed. Reads the payload once for each transport header.
// 0; -EINVAL (NULL, flags; TCP, UDP with a checksum, or ICMPv6 without IP around it); -EOVERFLOW: a
// length field does not hold what is inside; -ERANGE: the buf has lost a header (trimmed,
// published). On failure nothing changed.
ZCB_API ZCB_MUST_CHECK int zcb_frame_finish(struct zcb_frame_builder *builder, uint32_t flags);

// ---- template

// A frame (TCP, UDP, ICMP echo over IP) to be sent to many targets: sums of all that stays are
// kept, so that one stamp writes the fields that change, and both checksums, without reading the
// rest. Init fills it in; it borrows the frame's bytes, which must stay as they are while it is
// used. The fields are the library's.
struct zcb_frame_template {
    const uint8_t *data;
    uint32_t len;
    uint32_t network, transport;
    uint32_t ip_sum; // of the IPv4 header, without what changes
    uint32_t sum;    // of transport and pseudo header, without what changes
    uint16_t source_port, port;
    uint8_t version;
    uint8_t protocol; // 0: UDP without a checksum
    uint8_t reserved[30];
};

// What changes from frame to frame.
struct zcb_frame_target {
    uint8_t address[16];  // destination; IPv4: the first 4 bytes
    uint16_t port;        // destination. 0: the template's
    uint16_t source_port; // 0: the template's
    uint32_t sequence;    // TCP's; ICMP echo: identifier and sequence number; UDP has none
    uint16_t id;          // IPv4 identification
    uint16_t reserved[3]; // 0
};

// The frame's checksums need not be right. A UDP checksum of 0 over IPv4 stays 0.
// 0; -EINVAL (NULL); -ENOTSUP: not a whole TCP, UDP or ICMP echo packet over IP, or a fragment, or
// with a routing header; parse's errors.
ZCB_API ZCB_MUST_CHECK int zcb_frame_template_init(struct zcb_frame_template *form,
                                                   const void *data, size_t len,
                                                   enum zcb_frame_link link);

// Writes the whole frame for `target` to the `room` bytes at `out`: the template's `len` bytes,
// copied, with the fields that change.
// Returns the frame's length; -ERANGE: no room, nothing was written; -EINVAL (NULL, reserved).
ZCB_API ZCB_MUST_CHECK int zcb_frame_template_stamp(const struct zcb_frame_template *form,
                                                    const struct zcb_frame_target *target,
                                                    void *out, size_t room);

// Patches a frame in place that an earlier stamp of the same template has left at `out` (a ring's
// slot, a buf that was sent): writes the same bytes as stamp, but only the fields that change.
// 0; -EINVAL.
ZCB_API ZCB_MUST_CHECK int zcb_frame_template_restamp(const struct zcb_frame_template *form,
                                                      const struct zcb_frame_target *target,
                                                      void *out);

#ifdef __cplusplus
}
#endif
#endif
