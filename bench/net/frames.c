// SPDX-License-Identifier: MIT

#include "net/frames.h"

#include <errno.h>
#include <string.h>

#include <zcbuf/adapt/frame.h>
#include <zcbuf/buf.h>

#include "harness.h"

const char *const frame_names[FRAME_KINDS + 1] = {
    "SYN of 64 bytes",      "UDP of 1400 bytes", "VLAN, TCP", "IPv6, TCP",
    "IPv6 hop-by-hop, UDP", "ICMP with a quote", "ARP",       "mix",
};

enum { FRAME_LONGEST = 1536 };

// ---- building one of each

static int
prepend_ip(struct zcb_frame_builder *builder, bool six)
{
    static const struct zcb_frame_ipv4 four = {.source = {10, 0, 0, 1},
                                               .destination = {10, 0, 0, 2}};
    static const struct zcb_frame_ipv6 sixth = {.source = {0x20, 1, [15] = 1},
                                                .destination = {0x20, 1, [15] = 2}};

    return six ? zcb_frame_prepend_ipv6(builder, &sixth) : zcb_frame_prepend_ipv4(builder, &four);
}

static size_t
payload_of(enum frame_kind kind)
{
    switch (kind) {
    case FRAME_UDP:
        return 1400 - 42;
    case FRAME_VLAN:
    case FRAME_IPV6:
        return 512;
    case FRAME_HOP:
        return 64;
    default:
        return 0;
    }
}

// What an ICMP error quotes of a datagram: its IP header and eight bytes.
static int
prepend_quote(struct zcb_frame_builder *builder, struct zcb_buf *buf,
              const struct zcb_frame_udp *udp)
{
    static const struct zcb_frame_icmp unreachable = {.type = 3, .code = 3};
    struct zcb_frame_builder inner;
    int result = zcb_frame_build_into(&inner, buf);

    if (result == 0)
        result = zcb_frame_prepend_udp(&inner, udp);
    if (result == 0)
        result = prepend_ip(&inner, false);
    if (result == 0)
        result = zcb_frame_finish(&inner, 0);
    if (result == 0)
        result = zcb_frame_build_into(builder, buf);
    return result < 0 ? result : zcb_frame_prepend_icmp(builder, &unreachable);
}

static int
build(struct zcb_frame_builder *builder, struct zcb_buf *buf, enum frame_kind kind, uint16_t port)
{
    static const uint8_t nothing[6] = {1, 4};
    static const struct zcb_frame_extension hop = {.type = 0, .body = nothing, .body_len = 6};
    static const struct zcb_frame_arp arp = {.sender_ip = {10, 0, 0, 1}};
    static const struct zcb_frame_vlan vlan = {.tci = 7};
    static const struct zcb_frame_ethernet ethernet = {.source = {2}, .destination = {2, 1}};
    const struct zcb_frame_udp udp = {.source = port, .destination = 53};
    const struct zcb_frame_tcp tcp = {.source = port,
                                      .destination = 443,
                                      .flags = kind == FRAME_SYN ? ZCB_FRAME_SYN : ZCB_FRAME_ACK};
    bool is_udp = kind == FRAME_UDP || kind == FRAME_HOP;
    bool six = kind == FRAME_IPV6 || kind == FRAME_HOP;
    uint8_t *payload;
    int result = zcb_buf_append(buf, payload_of(kind), (void *)&payload);

    if (result == 0)
        result = kind == FRAME_QUOTE ? prepend_quote(builder, buf, &udp)
                                     : zcb_frame_build_into(builder, buf);
    if (result == 0 && kind == FRAME_ARP)
        result = zcb_frame_prepend_arp(builder, &arp);
    else if (result == 0 && is_udp)
        result = zcb_frame_prepend_udp(builder, &udp);
    else if (result == 0 && kind != FRAME_QUOTE)
        result = zcb_frame_prepend_tcp(builder, &tcp);
    if (result == 0 && kind == FRAME_HOP)
        result = zcb_frame_prepend_extension(builder, &hop);
    if (result == 0 && kind != FRAME_ARP)
        result = prepend_ip(builder, six);
    if (result == 0 && kind == FRAME_VLAN)
        result = zcb_frame_prepend_vlan(builder, &vlan);
    if (result == 0)
        result = zcb_frame_prepend_ethernet(builder, &ethernet);
    return result < 0 ? result : zcb_frame_finish(builder, 0);
}

// ---- a file of them

static uint64_t
expected_in(enum frame_kind kind, uint16_t port)
{
    static const struct {
        uint32_t network, transport, payload;
        uint16_t to;
    } known[FRAME_KINDS] = {
        [FRAME_SYN] = {14, 34, 54, 443},  [FRAME_UDP] = {14, 34, 42, 53},
        [FRAME_VLAN] = {18, 38, 58, 443}, [FRAME_IPV6] = {14, 54, 74, 443},
        [FRAME_HOP] = {14, 62, 70, 53},   [FRAME_QUOTE] = {14, 34, 42, 0},
        [FRAME_ARP] = {14, 0, 42, 0},
    };

    return frame_found(known[kind].network, known[kind].transport, known[kind].payload,
                       known[kind].to != 0 ? port : 0, known[kind].to);
}

// Ethernet's least, and what a receiver sees of it: 60 bytes. A SYN comes with options: 64.
static size_t
padded(size_t len)
{
    return len == 54 ? 64 : len < 60 ? 60 : len;
}

static enum frame_kind
kind_of(enum frame_kind kind, uint64_t *random)
{
    static const uint8_t mix[16] = {
        FRAME_SYN,  FRAME_SYN, FRAME_SYN,   FRAME_SYN,  FRAME_UDP,  FRAME_UDP,
        FRAME_UDP,  FRAME_UDP, FRAME_VLAN,  FRAME_VLAN, FRAME_IPV6, FRAME_IPV6,
        FRAME_IPV6, FRAME_HOP, FRAME_QUOTE, FRAME_ARP,
    };

    return kind != FRAME_MIX ? kind : (enum frame_kind)mix[bench_random(random) >> 32 & 15];
}

int
frames_make(struct frames *frames, struct zcb_pool *pool, enum frame_kind kind)
{
    static const uint32_t header[6] = {0xa1b2c3d4, 2 | 4u << 16, 0, 0, 65535, 1};
    uint64_t random = 77;
    struct zcb_frame_builder builder;
    struct zcb_buf *buf = NULL;
    int result = zcb_pool_acquire(pool, FRAME_LONGEST + ZCB_FRAME_HEADROOM, &buf);

    if (result < 0)
        return result;
    *frames = (struct frames){.file = bench_alloc(FRAMES_HEADER + FRAMES_COUNT * FRAME_LONGEST)};
    memcpy(frames->file, header, sizeof(header));
    frames->len = FRAMES_HEADER;
    for (int i = 0; i < FRAMES_COUNT && result == 0; i++) {
        enum frame_kind this = kind_of(kind, &random);
        uint16_t port = (uint16_t)(bench_random(&random) >> 48 | 1);
        struct frame_record record = {.seconds = (uint32_t)i};

        result = zcb_buf_set_len(buf, 0);
        if (result == 0)
            result = zcb_buf_set_headroom(buf, ZCB_FRAME_HEADROOM);
        if (result == 0)
            result = build(&builder, buf, this, port);
        if (result < 0)
            break;
        record.captured = record.length = (uint32_t)padded(zcb_buf_len(buf));
        memcpy(frames->file + frames->len, &record, sizeof(record));
        memcpy(frames->file + frames->len + sizeof(record), zcb_buf_data(buf), zcb_buf_len(buf));
        frames->len += sizeof(record) + record.captured;
        frames->expected += expected_in(this, port);
    }
    zcb_buf_release(&buf);
    return result;
}

// ---- by hand

static uint16_t
u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint64_t
transport_by_hand(const uint8_t *data, size_t len, uint32_t network, uint32_t at, uint8_t protocol)
{
    if (protocol == 17 && len >= at + 8)
        return frame_found(network, at, at + 8, u16(data + at), u16(data + at + 2));
    if (protocol == 6 && len >= at + 20)
        return frame_found(network, at, at + (data[at + 12] >> 4) * 4u, u16(data + at),
                           u16(data + at + 2));
    if (protocol == 1 && len >= at + 8)
        return frame_found(network, at, at + 8, 0, 0);
    return 0;
}

uint64_t
frame_by_hand(const uint8_t *data, size_t len)
{
    uint32_t at = 14, next;
    uint16_t type;
    uint8_t protocol;

    if (len < 14)
        return 0;
    type = u16(data + 12);
    if (type == 0x8100 && len >= 18) {
        type = u16(data + 16);
        at = 18;
    }
    if (type == 0x0800 && len >= at + 20)
        return transport_by_hand(data, len, at, at + (data[at] & 15) * 4u, data[at + 9]);
    if (type == 0x0806 && len >= at + 28)
        return frame_found(at, 0, at + 28, 0, 0);
    if (type != 0x86dd || len < at + 40)
        return 0;
    protocol = data[at + 6];
    next = at + 40;
    while ((protocol == 0 || protocol == 43 || protocol == 60) && len >= next + 8) {
        protocol = data[next];
        next += 8 + data[next + 1] * 8u;
    }
    return transport_by_hand(data, len, at, next, protocol);
}
