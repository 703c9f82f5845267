// SPDX-License-Identifier: MIT
//
// For tests of the frame adapter: frames in memory of exactly their size, so that a sanitizer sees
// the first byte read past their end; in chains, cut where a test says; sums taken the simple way.
#ifndef ZCB_TESTS_FRAME_TESTING_H
#define ZCB_TESTS_FRAME_TESTING_H

#include "support/chain_tools.h"

#include "frame_corpus.h"

#define FRAME_CASES (sizeof(frame_cases) / sizeof(frame_cases[0]))

static inline size_t
frame_hex(const char *hex, uint8_t *out, size_t room)
{
    size_t len = strlen(hex) / 2;

    assert_true(len <= room);
    for (size_t i = 0; i < len; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], 0}, *stop;

        out[i] = (uint8_t)strtoul(two, &stop, 16);
        assert_int_equal(*stop, 0);
    }
    return len;
}

// `len` bytes with nothing behind them, `off` bytes behind an address that malloc aligns. *block is
// to be freed.
static inline uint8_t *
frame_exact(const uint8_t *bytes, size_t len, size_t off, uint8_t **block)
{
    *block = malloc(len + off + (len + off == 0));
    assert_non_null(*block);
    if (len != 0)
        memcpy(*block + off, bytes, len);
    return *block + off;
}

// The checksum by the book: 16 bits at a time, every carry brought round at once.
static inline uint16_t
naive_sum(const uint8_t *bytes, size_t len, uint16_t sum)
{
    for (size_t i = 0; i < len; i++) {
        uint32_t next = (uint32_t)sum + (i % 2 == 0 ? bytes[i] * 256u : bytes[i]);

        sum = (uint16_t)(next > 0xffff ? next - 0xffff : next);
    }
    return sum;
}

// Calls all that looks at a frame: nothing may be read outside the bytes.
static inline void
frame_touch(const uint8_t *data, const struct zcb_frame *f)
{
    struct zcb_frame_options options;
    struct zcb_frame_option option;
    struct zcb_frame_flow flow;
    uint64_t sum = 0;
    const uint8_t *at;
    volatile uint64_t seen; // so that no compiler leaves reads out

    for (uint32_t i = 0; i < f->vlans + 1u; i++)
        sum += zcb_frame_vlan_tci(data, f, i);
    at = zcb_frame_source(data, f);
    for (uint32_t i = 0; i < zcb_frame_address_len(f); i++)
        sum += at[i] + zcb_frame_destination(data, f)[i];
    sum += zcb_frame_ttl(data, f) + zcb_frame_tos(data, f);
    sum += zcb_frame_source_port(data, f) + zcb_frame_destination_port(data, f);
    sum += zcb_frame_tcp_flags(data, f) + zcb_frame_tcp_sequence(data, f);
    sum += zcb_frame_tcp_acknowledgment(data, f) + zcb_frame_tcp_window(data, f);
    sum += zcb_frame_icmp_type(data, f) + zcb_frame_icmp_code(data, f);
    sum += zcb_frame_icmp_rest(data, f) + zcb_frame_arp_operation(data, f);
    for (int i = 0; i < 10; i++) {
        at = zcb_frame_arp_sender(data, f);
        sum += at != NULL ? at[i] + zcb_frame_arp_target(data, f)[i] : 0u;
    }
    zcb_frame_options_tcp(&options, data, f);
    while (zcb_frame_option_next(&options, &option) > 0)
        for (int i = 0; i < option.len; i++)
            sum += option.data[i];
    zcb_frame_options_ipv4(&options, data, f);
    while (zcb_frame_option_next(&options, &option) > 0)
        for (int i = 0; i < option.len; i++)
            sum += option.data[i];
    if (zcb_frame_flow_of(data, f, &flow) == 0)
        sum += zcb_frame_flow_canonical(&flow) + zcb_frame_flow_hash(&flow, sum);
    sum += zcb_frame_verify_ip(data, f);
    sum += zcb_frame_verify_transport(data, f);
    for (uint32_t i = 0; i < f->payload_len; i++)
        sum += data[f->payload + i];
    seen = sum;
    (void)seen;
}

// What is wrong with a result, whatever the bytes were; or NULL.
static inline const char *
frame_fault(const struct zcb_frame *f, size_t len)
{
    static const uint32_t zeroes[6];
    bool network = (f->layers & (ZCB_FRAME_IPV4 | ZCB_FRAME_IPV6 | ZCB_FRAME_ARP)) != 0;

    if (f->captured != len)
        return "captured is not the length";
    if (f->start > f->payload || f->payload > f->captured ||
        f->payload_len > f->captured - f->payload)
        return "the payload is outside";
    if (f->end < f->payload || (f->end > f->captured) != ((f->layers & ZCB_FRAME_CUT) != 0))
        return "the end";
    if (f->payload_len != (f->end < f->captured ? f->end : f->captured) - f->payload)
        return "the payload's length";
    if (network && (f->network < f->start || f->network_len < 8 ||
                    f->network + (uint64_t)f->network_len > f->payload))
        return "the network header is outside";
    if (!network && (f->network | f->network_len | f->transport) != 0)
        return "offsets without a header";
    if (f->transport != 0 && (f->transport != f->network + f->network_len ||
                              f->transport + (uint64_t)f->transport_len != f->payload))
        return "the transport header is outside";
    if ((f->transport != 0) !=
        ((f->layers & (ZCB_FRAME_PORTS | ZCB_FRAME_ICMP | ZCB_FRAME_ICMPV6)) != 0))
        return "a transport header without its bit";
    if (f->fragment >= f->payload && f->fragment != 0 && f->verdict == ZCB_FRAME_OK)
        return "the fragment header is outside";
    if (f->routing >= f->payload && f->routing != 0)
        return "the routing header is outside";
    if ((f->vlan != 0) != (f->vlans != 0) || f->vlan + f->vlans * 4u > f->payload)
        return "tags are outside";
    if (f->verdict == ZCB_FRAME_OK && f->at != f->payload)
        return "at is not the payload";
    if (memcmp(f->reserved, zeroes, sizeof(f->reserved)) != 0)
        return "reserved";
    return NULL;
}

#define assert_frame_sound(frame, len)                                                             \
    do {                                                                                           \
        const char *fault_ = frame_fault(frame, len);                                              \
        if (fault_ != NULL)                                                                        \
            fail_msg("%s (%s)", fault_, zcb_frame_verdict_name((frame)->verdict));                 \
    } while (0)

#endif
