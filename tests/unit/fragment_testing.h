// SPDX-License-Identifier: MIT
//
// For tests of fragmentation: fragments of datagrams whose bytes are known, and a look at what
// comes out.
#ifndef ZCB_TESTS_FRAGMENT_TESTING_H
#define ZCB_TESTS_FRAGMENT_TESTING_H

#include "support/chain_tools.h"

#include <zcbuf/adapt/frame_fragment.h>

// A datagram that fragments are made of.
struct whole {
    uint8_t version;
    uint8_t protocol; // 0: 253, for experiments: no header behind IP
    uint8_t source;   // a byte of the address: IPv4 the last, IPv6 the last of the first half
    uint8_t ecn;
    uint32_t id;
    uint8_t salt;         // of the payload
    const uint8_t *extra; // options, or extension headers in front of the fragment header
    uint32_t extra_len;
    uint8_t extra_kind; // of the first one; the last one says what is next, and is 8 bytes long
};

static inline uint8_t
whole_byte(const struct whole *w, size_t at)
{
    return (uint8_t)(at * 7 + (at >> 8) * 31 + w->salt);
}

static inline void
put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline uint32_t
get16(const uint8_t *at)
{
    return (uint32_t)(at[0] << 8 | at[1]);
}

// IP header up to where the data begins. `fragment`: IPv6 with a fragment header.
static inline size_t
whole_header(const struct whole *w, uint8_t *at, uint32_t off, uint32_t len, bool more,
             bool fragment)
{
    uint8_t protocol = w->protocol != 0 ? w->protocol : 253;
    size_t size;

    if (w->version == 4) {
        size = 20 + w->extra_len;
        memset(at, 0, 20);
        at[0] = (uint8_t)(0x40 | size / 4);
        at[1] = w->ecn;
        put16(at + 2, (uint32_t)size + len);
        put16(at + 4, w->id);
        put16(at + 6, off / 8 | (more ? 0x2000 : 0));
        at[8] = 61;
        at[9] = protocol;
        memcpy(at + 12, "\x0a\x00\x00\x00\x0a\x01\x02\x03", 8);
        at[15] = w->source;
        if (w->extra_len != 0)
            memcpy(at + 20, w->extra, w->extra_len);
        put16(at + 10, zcb_frame_checksum(zcb_frame_sum(at, size, 0)));
        return size;
    }
    size = 40 + w->extra_len;
    memset(at, 0, 40);
    at[0] = 0x60;
    at[1] = (uint8_t)(w->ecn << 4);
    put16(at + 4, w->extra_len + (fragment ? 8 : 0) + len);
    at[6] = w->extra_len != 0 ? w->extra_kind : fragment ? 44 : protocol;
    at[7] = 61;
    memcpy(at + 8, "\x20\x01\x0d\xb8", 4);
    at[15] = w->source;
    memcpy(at + 24, "\x20\x01\x0d\xb9", 4);
    at[39] = 9;
    if (w->extra_len != 0) {
        memcpy(at + 40, w->extra, w->extra_len);
        at[size - 8] = fragment ? 44 : protocol;
    }
    if (fragment) {
        at[size] = protocol;
        at[size + 1] = 0;
        put16(at + size + 2, off | more);
        put16(at + size + 4, w->id >> 16);
        put16(at + size + 6, w->id);
        size += 8;
    }
    return size;
}

// A fragment's bytes; how many there are. `out` has room for all.
static inline size_t
whole_fragment(const struct whole *w, uint8_t *out, uint32_t off, uint32_t len, bool more)
{
    size_t size = whole_header(w, out, off, len, more, true);

    for (uint32_t i = 0; i < len; i++)
        out[size + i] = whole_byte(w, off + i);
    return size + len;
}

// The same as a packet in a buffer of the pool, or (NULL) in memory of exactly its size.
static inline struct zcb_packet
whole_packet(struct zcb_pool *pool, const struct whole *w, uint32_t off, uint32_t len, bool more)
{
    uint8_t *bytes = malloc(65536 + 4096);
    struct zcb_packet packet = {0};
    size_t size;

    assert_non_null(bytes);
    size = whole_fragment(w, bytes, off, len, more);
    if (pool != NULL) {
        struct zcb_buf *buf;
        uint8_t *at;

        assert_int_equal(zcb_pool_acquire(pool, size, &buf), 0);
        assert_int_equal(zcb_buf_append(buf, size, &at), 0);
        memcpy(at, bytes, size);
        zcb_buf_share(&buf, &packet);
    } else {
        packet = lone_packet(bytes, size);
    }
    free(bytes);
    return packet;
}

// Parses a raw IP packet and gives it to the reassembler.
static inline int
give(struct zcb_reassembler *r, const struct zcb_packet *packet, uint64_t now_ms,
     struct zcb_chain *out)
{
    struct zcb_frame frame;

    assert_true(zcb_frame_parse(packet->data, packet->len, ZCB_FRAME_LINK_RAW, NULL, &frame) >= 0);
    return zcb_reassembler_input(r, packet, &frame, 0, now_ms, out);
}

static inline int
give_part(struct zcb_reassembler *r, const struct whole *w, uint32_t off, uint32_t len, bool more,
          uint64_t now_ms, struct zcb_chain *out)
{
    struct zcb_packet packet = whole_packet(NULL, w, off, len, more);
    int result = give(r, &packet, now_ms, out);

    zcb_packet_unref(&packet);
    return result;
}

// Whether the chain is the datagram with `len` bytes of data, header and all.
static inline bool
is_whole(const struct zcb_chain *chain, const struct whole *w, uint32_t len)
{
    uint8_t *bytes = malloc(65536 + 4096);
    size_t size;
    bool same;

    assert_non_null(bytes);
    size = whole_header(w, bytes, 0, len, false, false);
    for (uint32_t i = 0; i < len; i++)
        bytes[size + i] = whole_byte(w, i);
    same = chain_is(chain, bytes, size + len);
    free(bytes);
    return same;
}

static inline struct zcb_reassembler_stats
stats_of(const struct zcb_reassembler *r)
{
    struct zcb_reassembler_stats stats;

    memset(&stats, 0xee, sizeof(stats));
    assert_int_equal(zcb_reassembler_stats(r, &stats, sizeof(stats)), 0);
    return stats;
}

#endif
