// SPDX-License-Identifier: MIT
//
// zcbuf/adapt/frame_fragment.h: IP datagrams cut to an MTU and put together again, without copying
// their payload.
//
//     datagram    [ IP header | payload ........................................ ]
//                                  ^ slices of it, in multiples of 8 bytes
//     fragments   [ header ][ slice ]   [ header ][ slice ]   [ header ][ slice ]
//
//     fragments   [ header | data ]     [ header | data ]     [ header | data ]     in any order
//                            ^ slice               ^ slice               ^ slice
//     datagram    [ header ][ slice ][ slice ][ slice ]
//
// Both ways only headers are written anew, into small buffers of a pool; payload stays where it was
// received, and is held by reference. zcb_frame_parse() says what a packet is; a struct zcb_frame
// here is always what it said about the same bytes.
//
// A sender:
//
//     struct zcb_fragmenter cut;
//     result = zcb_fragmenter_init(&cut, pool, &packet, &frame, 1500, NULL);
//     if (result == -EMSGSIZE)
//         answer with "fragmentation needed" or "packet too big", and the MTU
//     while (result >= 0 && (result = zcb_fragmenter_next(&cut, &out)) == 1)
//         send it (zcb_chain_iov) and empty the chain (zcb_chain_discard)
//
// A receiver:
//
//     if (zcb_frame_parse(packet.data, packet.len, ZCB_FRAME_LINK_ETHERNET, NULL, &frame) != 0 ||
//         zcb_frame_verify_ip(packet.data, &frame) == ZCB_FRAME_CHECKSUM_BAD)
//         ...
//     switch (zcb_reassembler_input(reassembler, &packet, &frame, interface, now_ms, &out)) {
//     case ZCB_REASSEMBLY_WHOLE: the packet is a datagram: go on with it
//     case ZCB_REASSEMBLY_DONE:  `out` is one, from its IP header on
//     default:                   held, or dropped, and counted
//     }
//     zcb_packet_unref(&packet);
//
// Whoever sends fragments may be an enemy. What that can cost is bounded by the configuration,
// whose defaults are finite: memory by budgets in bytes (whole blocks that slices keep alive, not
// only their own bytes), fragments and datagrams, in all and for each source; time for one fragment
// by one hash with your seed, 16 entries of the table, datagram_fragments steps in a list and 8
// datagrams evicted. Policy, for IPv4 and IPv6 alike:
//
//     overlap       the whole datagram is discarded, and so is what comes of it later, until its
//                   time is over (RFC 5722, RFC 8200 section 4.5; for IPv4 RFC 791 would have it
//                   otherwise, which let one datagram be read in two ways)
//     duplicates    the same range, flag and bytes as before: ignored, the datagram lives
//     two ends      data behind the last fragment, or two that are last: discarded like an overlap
//     tiny          the first fragment must have min_first bytes, others may not begin before that
//                   (RFC 1858, RFC 3128), and the first must have all headers (RFC 7112)
//     atomic        IPv6 with a fragment header that is first and last: a datagram of its own,
//                   whatever else is under way (RFC 6946)
//     ECN           one fragment that met congestion (CE) marks the datagram; together with one
//                   that is not ECN-capable it discards it (RFC 3168 section 5.3); otherwise the
//                   first fragment's bits stay
//     no room       the source's oldest datagram goes where it is the source that is at its limit,
//                   else the oldest of all; then the fragment is refused
//
// Header checksums of IPv4 are not looked at: verify them before. Transport checksums are to be
// verified on the datagram (zcb_frame_verify_transport_chain).
//
// Threads: a reassembler, and a fragmenter, is used by one thread at a time. Packets and chains
// that came out are free of it. Time is the caller's: milliseconds of any origin that never go
// back. In steady state nothing is allocated but buffers of the pool.
//
// Formats: RFC 791 (IPv4), 6864 (its identification), 8200 (IPv6), 5722, 6946, 7112 (its
// fragments).
#ifndef ZCBUF_ADAPT_FRAME_FRAGMENT_H
#define ZCBUF_ADAPT_FRAME_FRAGMENT_H

#include <zcbuf/adapt/frame.h>
#include <zcbuf/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- fragment

enum {
    // What lies in front of the IP header (Ethernet, tags) is written in front of each fragment's.
    ZCB_FRAGMENT_LINK = 1u << 0,
    // Cut IPv4 that says "don't fragment", too, and leave the flag as it is.
    ZCB_FRAGMENT_FORCE = 1u << 1,
};

// NULL: all defaults.
struct zcb_fragment_config {
    // IPv6: of the fragments; unlike those of the last minutes, hard to guess. There is no default: 0
    // is sent as 0, and receivers take fragments of two datagrams with one number for one (and
    // discard both). IPv4 has it in the datagram.
    uint32_t id;
    uint32_t flags;       // ZCB_FRAGMENT_...
    uint32_t headroom;    // left in front of each new header, on top of the pool's; at most 65535
    uint32_t reserved[5]; // 0
};

// A datagram on its way into fragments. A value: it holds no reference and needs no end. Filled in
// by init; read it, do not write it.
struct zcb_fragmenter {
    struct zcb_pool *pool;
    struct zcb_packet packet;      // borrowed; empty where there is a chain
    const struct zcb_chain *chain; // borrowed
    size_t off;                    // in the chain
    uint32_t network;              // IP header
    uint32_t header_len;           // of it, as the first fragment has it
    uint32_t later_len;            // as the others do: IPv4 options that are not copied are missing
    uint32_t data, data_len;       // what is cut
    uint32_t done;                 // bytes of it that went out
    uint32_t mtu;
    uint32_t place; // where data begins in the datagram: not 0 where a fragment is cut again
    uint32_t headroom;
    uint32_t id;
    uint32_t next_field; // IPv6: where the last unfragmentable header says what comes next
    uint8_t version;
    uint8_t more;   // more fragments follow behind data
    uint8_t whole;  // fits as it is
    uint8_t link;   // ZCB_FRAGMENT_LINK
    uint8_t framed; // IPv6: has a fragment header already
    uint8_t reserved[3];
    uint64_t reserved64[4];
};

// Begins to cut the datagram in `packet`, of which `frame` is the parse, into fragments of at most
// `mtu` bytes each, IP header included. What fits already is given out once, as it is. A fragment
// can be cut again: offset, flag and id continue (IPv6 also: a router may not, RFC 8200). What lies
// behind the datagram's end (padding) is left out. Bytes are borrowed: they must stay until the
// last zcb_fragmenter_next(). Allocates nothing. O(1).
// 0; -EMSGSIZE: does not fit and "don't fragment" is set, or the MTU does not hold the headers and
// 8 bytes (IPv6: and the first all headers, RFC 7112): answer with ICMP, or use a larger MTU;
// -ENOTSUP: not a whole IP datagram (another protocol, cut, a jumbogram, length 0); -EBADMSG: IPv4
// options or IPv6 extension headers that are malformed, or a fragment that no datagram can have:
// drop it; -EINVAL: NULL, reserved fields, unknown flags, headroom
// above 65535, `frame` not of this packet.
ZCB_API ZCB_MUST_CHECK int zcb_fragmenter_init(struct zcb_fragmenter *cut, struct zcb_pool *pool,
                                               const struct zcb_packet *packet,
                                               const struct zcb_frame *frame, uint32_t mtu,
                                               const struct zcb_fragment_config *config);

// The same for what zcb_frame_parse_chain() found at `off` of a chain, which must not change.
ZCB_API ZCB_MUST_CHECK int zcb_fragmenter_init_chain(struct zcb_fragmenter *cut,
                                                     struct zcb_pool *pool,
                                                     const struct zcb_chain *chain, size_t off,
                                                     const struct zcb_frame *frame, uint32_t mtu,
                                                     const struct zcb_fragment_config *config);

// The next fragment into `out`, an initialised chain that is empty: its headers, in one buffer of
// the pool, then slices of the payload (of a packet one, of a chain as many as there are chunks).
// References in `out` are the caller's, and outlive the fragmenter. IPv4 header checksums are
// right; IPv4 options are copied as each says (RFC 791). No byte of payload is copied; of headers
// only those that cross chunks count as copies (ZCB_COPY_COPY_TO).
// Returns 1: *out has one; 0: that was all; -EINVAL (NULL; `out` is not empty); -ENOBUFS, -ENOMEM
// (pool, or the limits of `out`), or acquire's errors: `out` is empty, call again when something
// was given back.
ZCB_API ZCB_MUST_CHECK int zcb_fragmenter_next(struct zcb_fragmenter *cut, struct zcb_chain *out);

// ---- reassemble

struct zcb_reassembler;

// Every limit has a finite default. What is refused or let go of at a limit is counted.
struct zcb_reassembler_config {
    // Memory that may be kept alive: for each fragment the whole block that its slice is in, or
    // nothing more where the one before it in the datagram lies in the same. Datagrams are charged
    // each for itself: receive into buffers that are not much larger than the MTU. 0: 16 MiB.
    size_t max_bytes;
    // Of one source: an IPv4 address, or the first 64 bits of an IPv6 one, in one context. 0: a
    // quarter of max_bytes.
    size_t source_bytes;
    uint32_t max_fragments;      // held. 0: 4096; at most 1048576
    uint32_t source_fragments;   // 0: a quarter of max_fragments
    uint32_t max_datagrams;      // under way, or remembered as discarded. 0: 1024; at most 1048576
    uint32_t source_datagrams;   // 0: a quarter of max_datagrams
    uint32_t datagram_fragments; // of one datagram; beyond it is discarded. 0: 64; at most 8192
    uint32_t max_datagram;       // bytes of data of one datagram. 0: 65535; at most that
    // The first fragment has at least so many bytes of data, others begin behind them. 0: 16, which
    // keeps TCP's flags in the first (RFC 1858); 1: anything goes.
    uint32_t min_first;
    // Fragments with less data than this are copied into a smaller buffer where the pool has a tier
    // for it, so that they do not pin a large one (zcb_packet_compact, counted as
    // ZCB_COPY_COMPACT). 0: 128; 1: none.
    uint32_t copy_below;
    // From the first fragment that came to the last. RFC 8200: at most 60 seconds. 0: 30000.
    uint32_t timeout_ms;
    uint32_t headroom;    // in front of a rebuilt header, on top of the pool's; at most 65535
    uint32_t reserved[8]; // 0
};

// What becomes of a packet. X(NAME, name, what)
#define ZCB_REASSEMBLY_RESULTS(X)                                                                  \
    X(HELD, held, "kept, others are missing")                                                      \
    X(DONE, done, "the datagram is complete")                                                      \
    X(WHOLE, whole, "not a fragment: nothing was done")                                            \
    /* dropped, the datagram lives */                                                              \
    X(DUPLICATE, duplicate, "the same as one before")                                              \
    X(CUT, cut, "bytes are missing at its end")                                                    \
    X(EMPTY, empty, "has no data")                                                                 \
    X(UNALIGNED, unaligned, "not the last, and not of a multiple of 8 bytes")                      \
    X(TOO_LONG, too_long, "the datagram would be longer than max_datagram, or than IP allows")     \
    X(TINY, tiny, "the first with less than min_first bytes, or another that begins before that")  \
    X(HEADERS, headers, "the first without all its headers, or with malformed ones")               \
    X(BUDGET, budget, "no room within the limits")                                                 \
    X(CROWDED, crowded, "too many keys with like hashes")                                          \
    X(DEAD, dead, "of a datagram that was discarded before")                                       \
    /* the datagram was discarded with it */                                                       \
    X(OVERLAP, overlap, "overlaps another, or has other bytes in the same place")                  \
    X(ENDS, ends, "the datagram would have two ends")                                              \
    X(MANY, many, "more than datagram_fragments")                                                  \
    X(ECN, ecn, "congestion met by one, another not ECN-capable")

enum zcb_reassembly {
#define ZCB_REASSEMBLY_ENUM(NAME, name, what) ZCB_REASSEMBLY_##NAME,
    ZCB_REASSEMBLY_RESULTS(ZCB_REASSEMBLY_ENUM)
#undef ZCB_REASSEMBLY_ENUM
};

// X(name, is a gauge (else a counter that only grows), what it says)
#define ZCB_REASSEMBLER_STATS(X)                                                                   \
    X(timeouts, false, "datagrams given up as their time was over")                                \
    X(evictions, false, "datagrams given up for others")                                           \
    X(discarded, false, "datagrams discarded for what was in them")                                \
    X(copied, false, "bytes moved into smaller buffers")                                           \
    X(bytes, true, "bytes of memory kept alive")                                                   \
    X(fragments, true, "fragments held")                                                           \
    X(datagrams, true, "datagrams under way, or remembered as discarded")                          \
    X(sources, true, "sources that have any")                                                      \
    X(peak_bytes, true, "the most that bytes ever was")

// First what inputs came to, each counted once: their sum is the number of inputs that did not
// fail.
struct zcb_reassembler_stats {
#define ZCB_REASSEMBLY_FIELD(NAME, name, what) uint64_t name;
    ZCB_REASSEMBLY_RESULTS(ZCB_REASSEMBLY_FIELD)
#undef ZCB_REASSEMBLY_FIELD
#define ZCB_REASSEMBLER_FIELD(name, gauge, what) uint64_t name;
    ZCB_REASSEMBLER_STATS(ZCB_REASSEMBLER_FIELD)
#undef ZCB_REASSEMBLER_FIELD
    uint64_t reserved[6]; // 0
};

// Makes a reassembler; all it will ever need is allocated here (with the defaults about half a
// MiB). `pool` gives buffers for rebuilt headers, and must outlive it. `seed` is a random number:
// whoever knows it can choose fragments that get into each other's way (getrandom() has one).
// 0; -EINVAL (NULL, reserved fields, a limit above its ceiling); -ENOMEM.
ZCB_API ZCB_MUST_CHECK int zcb_reassembler_create(struct zcb_pool *pool, uint64_t seed,
                                                  const struct zcb_reassembler_config *config,
                                                  struct zcb_reassembler **out);

// Lets go of all that is held, sets *reassembler to NULL. NULL is fine. Datagrams that came out
// stay valid.
ZCB_API void zcb_reassembler_destroy(struct zcb_reassembler **reassembler);

// Gives it a packet, of which `frame` is the parse. Fragments go together where source,
// destination, identification, `context` (your number for the interface or VLAN) and, in IPv4,
// protocol are the same. `out` is an initialised chain that is empty.
// Returns an enum zcb_reassembly, 0 or above. With ZCB_REASSEMBLY_DONE the datagram is in `out`:
// its header (lengths, offset, checksum rebuilt; IPv6 without the fragment header), in one buffer
// of the pool, then its data in slices, no byte copied; `out` owns the references. With any other
// `out` is empty. UNALIGNED and TOO_LONG in IPv6 are to be answered with an ICMPv6 parameter
// problem (RFC 8200 section 4.5). A frame whose IP header is malformed is WHOLE: its verdict says
// more.
// -EINVAL (NULL, `out` not empty, `frame` not of this packet); -ENOBUFS, -ENOMEM (the pool, the
// limits of `out`), acquire's errors: the fragment would have been the last, and what the header
// needs is not there; nothing changed, the same call may be made again. Ownership: `packet` stays
// the caller's in all cases, unref it; what is kept has references of its own. Cost: see above.
ZCB_API ZCB_MUST_CHECK int zcb_reassembler_input(struct zcb_reassembler *reassembler,
                                                 const struct zcb_packet *packet,
                                                 const struct zcb_frame *frame, uint32_t context,
                                                 uint64_t now_ms, struct zcb_chain *out);

// The same for what zcb_frame_parse_chain() found at `off` of a chain, which keeps its bytes. A
// header, or the data of a fragment, that crosses chunks is copied (ZCB_COPY_GATHER). Also -EINVAL:
// crosses, and the chain has no pool.
ZCB_API ZCB_MUST_CHECK int zcb_reassembler_input_chain(struct zcb_reassembler *reassembler,
                                                       const struct zcb_chain *chain, size_t off,
                                                       const struct zcb_frame *frame,
                                                       uint32_t context, uint64_t now_ms,
                                                       struct zcb_chain *out);

// Gives up the oldest datagram if its time is over. Call it from a timer, about once a second,
// until it returns 0. `first` (NULL, or an initialised chain that is empty) gets the datagram's
// first fragment if it came, IP header and data: what an ICMP "time exceeded" (code 1) quotes;
// without it none is to be sent. It stays empty for a datagram that had been discarded.
// Returns 1: one is gone; 0: none is due; -EINVAL (NULL; `first` is not empty); -ENOBUFS, -ENOMEM
// (limits of `first`): it is still there. O(its fragments).
ZCB_API ZCB_MUST_CHECK int zcb_reassembler_expire(struct zcb_reassembler *reassembler,
                                                  uint64_t now_ms, struct zcb_chain *first);

// A snapshot into *out. `out_size` is sizeof(struct zcb_reassembler_stats) as the caller knows it:
// an older, smaller one gets the fields it has, a newer, larger one zeroes behind.
// 0; -EINVAL (NULL).
ZCB_API ZCB_MUST_CHECK int zcb_reassembler_stats(const struct zcb_reassembler *reassembler,
                                                 struct zcb_reassembler_stats *out,
                                                 size_t out_size);

// "too_long", and the sentence that goes with it; "unknown" for a number that is none. Static.
ZCB_API const char *zcb_reassembly_name(int result);
ZCB_API const char *zcb_reassembly_text(int result);

#ifdef __cplusplus
}
#endif
#endif
