// SPDX-License-Identifier: MIT
//
// Keys of tables, and the symbols of frame.h's inline functions for callers that cannot inline.
#include "frame.h"

int
zcb_frame_flow_of(const void *data, const struct zcb_frame *frame, struct zcb_frame_flow *out)
{
    uint32_t len = zcb_frame_address_len(frame);

    if (len == 0)
        return -ENOTSUP;
    *out = (struct zcb_frame_flow){
        .port = {zcb_frame_source_port(data, frame), zcb_frame_destination_port(data, frame)},
        .protocol = frame->protocol,
        .version = len == 4 ? 4 : 6,
    };
    memcpy(out->address[0], zcb_frame_source(data, frame), len);
    memcpy(out->address[1], zcb_frame_destination(data, frame), len);
    return 0;
}

bool
zcb_frame_flow_canonical(struct zcb_frame_flow *flow)
{
    int order = memcmp(flow->address[0], flow->address[1], 16);
    struct zcb_frame_flow was = *flow;

    if (order < 0 || (order == 0 && flow->port[0] <= flow->port[1]))
        return false;
    memcpy(flow->address[0], was.address[1], 16);
    memcpy(flow->address[1], was.address[0], 16);
    flow->port[0] = was.port[1];
    flow->port[1] = was.port[0];
    return true;
}

// SipHash (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012) with one round for each
// word and three at the end.
struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void
sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void
sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static inline uint64_t
little_endian(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return ZCB_LE64(word);
}

uint64_t
zcb_frame_flow_hash(const struct zcb_frame_flow *flow, uint64_t seed)
{
    struct sip s = {
        seed ^ UINT64_C(0x736f6d6570736575),
        seed ^ UINT64_C(0x646f72616e646f6d),
        seed ^ UINT64_C(0x6c7967656e657261),
        seed ^ UINT64_C(0x7465646279746573),
    };

    // The ports as they lie in memory on a little-endian host, so that all hosts agree.
    for (int i = 0; i < 2; i++) {
        sip_word(&s, little_endian(flow->address[i]));
        sip_word(&s, little_endian(flow->address[i] + 8));
    }
    sip_word(&s, (uint64_t)flow->port[0] | (uint64_t)flow->port[1] << 16 |
                     (uint64_t)flow->protocol << 32 | (uint64_t)flow->version << 40 |
                     (uint64_t)flow->reserved << 48);
    sip_word(&s, (uint64_t)sizeof(*flow) << 56);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

extern inline uint16_t zcb_frame_u16(const void *data, size_t off);
extern inline uint32_t zcb_frame_u32(const void *data, size_t off);
extern inline uint16_t zcb_frame_vlan_tci(const void *data, const struct zcb_frame *frame,
                                          uint32_t tag);
extern inline uint32_t zcb_frame_address_len(const struct zcb_frame *frame);
extern inline const uint8_t *zcb_frame_source(const void *data, const struct zcb_frame *frame);
extern inline const uint8_t *zcb_frame_destination(const void *data, const struct zcb_frame *frame);
extern inline uint8_t zcb_frame_ttl(const void *data, const struct zcb_frame *frame);
extern inline uint8_t zcb_frame_tos(const void *data, const struct zcb_frame *frame);
extern inline uint16_t zcb_frame_source_port(const void *data, const struct zcb_frame *frame);
extern inline uint16_t zcb_frame_destination_port(const void *data, const struct zcb_frame *frame);
extern inline uint8_t zcb_frame_tcp_flags(const void *data, const struct zcb_frame *frame);
extern inline uint32_t zcb_frame_tcp_sequence(const void *data, const struct zcb_frame *frame);
extern inline uint32_t zcb_frame_tcp_acknowledgment(const void *data,
                                                    const struct zcb_frame *frame);
extern inline uint16_t zcb_frame_tcp_window(const void *data, const struct zcb_frame *frame);
extern inline uint8_t zcb_frame_icmp_type(const void *data, const struct zcb_frame *frame);
extern inline uint8_t zcb_frame_icmp_code(const void *data, const struct zcb_frame *frame);
extern inline uint32_t zcb_frame_icmp_rest(const void *data, const struct zcb_frame *frame);
extern inline uint16_t zcb_frame_arp_operation(const void *data, const struct zcb_frame *frame);
extern inline const uint8_t *zcb_frame_arp_sender(const void *data, const struct zcb_frame *frame);
extern inline const uint8_t *zcb_frame_arp_target(const void *data, const struct zcb_frame *frame);
extern inline bool zcb_frame_flow_equal(const struct zcb_frame_flow *a,
                                        const struct zcb_frame_flow *b);
extern inline uint32_t zcb_frame_sum_add(uint32_t sum, uint32_t part, size_t off);
extern inline uint16_t zcb_frame_checksum(uint32_t sum);
extern inline uint16_t zcb_frame_checksum_update16(uint16_t checksum, uint16_t before,
                                                   uint16_t after);
extern inline uint16_t zcb_frame_checksum_update32(uint16_t checksum, uint32_t before,
                                                   uint32_t after);
