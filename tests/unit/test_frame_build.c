// SPDX-License-Identifier: MIT
//
// Frames that are built, byte for byte what was asked for, with lengths and checksums that hold;
// templates that are stamped. tests/model has layers in any order.

#include "frame_testing.h"

#include "support/alloc_count.h"

static struct zcb_buf *
payload_buf(const char *text, size_t headroom)
{
    size_t len = strlen(text);
    struct zcb_buf *buf;
    uint8_t *at;

    assert_int_equal(zcb_buf_alloc(NULL, headroom + len + 100, &buf), 0);
    assert_int_equal(zcb_buf_set_headroom(buf, headroom), 0);
    assert_int_equal(zcb_buf_append(buf, len, &at), 0);
    memcpy(at, text, len);
    return buf;
}

static const struct zcb_frame_ethernet ethernet = {{2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 1}, 0, 0};
static const struct zcb_frame_ipv4 ipv4 = {
    .source = {192, 168, 0, 1}, .destination = {192, 168, 1, 2}, .id = 0x1234, .fragment = 0x4000};
static const struct zcb_frame_ipv6 ipv6 = {.source = {0x20, 1, 0xd, 0xb8, [15] = 1},
                                           .destination = {0x20, 1, 0xd, 0xb8, [15] = 2}};

// What was built is the frame of that name in the corpus, padding aside.
static void
assert_is_case(struct zcb_buf *buf, const char *name)
{
    static uint8_t bytes[1024];

    for (size_t i = 0; i < FRAME_CASES; i++) {
        if (strcmp(frame_cases[i].name, name) != 0)
            continue;
        assert_int_equal(frame_hex(frame_cases[i].hex, bytes, sizeof(bytes)) >= frame_cases[i].end,
                         1);
        assert_int_equal(zcb_buf_len(buf), frame_cases[i].end);
        assert_memory_equal(zcb_buf_data(buf), bytes, frame_cases[i].end);
        return;
    }
    fail_msg("no frame is called %s", name);
}

// The corpus was written by other means: these are the same frames.
static void
frames_are_built_to_the_byte(void **state)
{
    static const uint8_t syn[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
    static const uint8_t record[] = {1, 7, 7, 4, 192, 168, 0, 1, 0};
    struct zcb_frame_builder b;
    struct zcb_buf *buf;

    (void)state;
    buf = payload_buf("", ZCB_FRAME_HEADROOM);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(zcb_frame_prepend_tcp(&b, &(struct zcb_frame_tcp){.source = 40000,
                                                                       .destination = 80,
                                                                       .sequence = 0x01020304,
                                                                       .window = 64240,
                                                                       .flags = ZCB_FRAME_SYN,
                                                                       .options = syn,
                                                                       .options_len = sizeof(syn)}),
                     0);
    assert_int_equal(zcb_frame_prepend_ipv4(&b, &ipv4), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    assert_is_case(buf, "tcp syn with options");
    zcb_buf_release(&buf);

    // Options of nine bytes: padded to twelve.
    buf = payload_buf("hello", ZCB_FRAME_HEADROOM);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(zcb_frame_prepend_tcp(&b, &(struct zcb_frame_tcp){.source = 40000,
                                                                       .destination = 80,
                                                                       .sequence = 0x01020304,
                                                                       .window = 64240,
                                                                       .flags = ZCB_FRAME_ACK}),
                     0);
    struct zcb_frame_ipv4 with_options = ipv4;
    with_options.options = record;
    with_options.options_len = sizeof(record);
    assert_int_equal(zcb_frame_prepend_ipv4(&b, &with_options), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    assert_is_case(buf, "ipv4 options");
    zcb_buf_release(&buf);

    buf = payload_buf("hellohello", ZCB_FRAME_HEADROOM);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(
        zcb_frame_prepend_icmp(&b, &(struct zcb_frame_icmp){.type = 8, .rest = 0x00010002}), 0);
    assert_int_equal(zcb_frame_prepend_ipv4(&b, &ipv4), 0);
    assert_int_equal(zcb_frame_prepend_vlan(&b, &(struct zcb_frame_vlan){.tci = 0x6064}), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    assert_is_case(buf, "vlan, ping");
    zcb_buf_release(&buf);

    buf = payload_buf("hello", ZCB_FRAME_HEADROOM);
    struct zcb_frame_ipv6 classed = ipv6;
    classed.traffic_class = 0x12;
    classed.flow_label = 0xabcde;
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(
        zcb_frame_prepend_tcp(&b, &(struct zcb_frame_tcp){.source = 40000,
                                                          .destination = 80,
                                                          .sequence = 0x01020304,
                                                          .acknowledgment = 5,
                                                          .window = 64240,
                                                          .flags = ZCB_FRAME_PSH | ZCB_FRAME_ACK}),
        0);
    assert_int_equal(zcb_frame_prepend_ipv6(&b, &classed), 0);
    assert_int_equal(zcb_frame_prepend_vlan(&b, &(struct zcb_frame_vlan){.tci = 0x2007}), 0);
    assert_int_equal(
        zcb_frame_prepend_vlan(&b, &(struct zcb_frame_vlan){.tci = 100, .tpid = 0x8100}), 0);
    assert_int_equal(
        zcb_frame_prepend_ethernet(
            &b, &(struct zcb_frame_ethernet){{2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 1}, 0x88a8, 0}),
        0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    assert_is_case(buf, "stacked tags, ipv6 tcp");
    zcb_buf_release(&buf);

    // Segments are left: the checksum is for the last destination.
    uint8_t hop[6] = {5, 2, 0, 0, 1, 0}, options[6] = {1, 4},
            place[6] = {0, 0, 0xab, 0xcd, 0xef, 1};
    uint8_t route[22] = {0, 1, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, [21] = 3};
    buf = payload_buf("hello", ZCB_FRAME_HEADROOM);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(
        zcb_frame_prepend_udp(&b, &(struct zcb_frame_udp){.source = 1000, .destination = 53}), 0);
    assert_int_equal(
        zcb_frame_prepend_extension(
            &b, &(struct zcb_frame_extension){.type = 44, .body = place, .body_len = 6}),
        0);
    assert_int_equal(
        zcb_frame_prepend_extension(
            &b, &(struct zcb_frame_extension){.type = 60, .body = options, .body_len = 6}),
        0);
    assert_int_equal(
        zcb_frame_prepend_extension(
            &b, &(struct zcb_frame_extension){.type = 43, .body = route, .body_len = 22}),
        0);
    assert_int_equal(zcb_frame_prepend_extension(
                         &b, &(struct zcb_frame_extension){.type = 0, .body = hop, .body_len = 6}),
                     0);
    assert_int_equal(zcb_frame_prepend_ipv6(&b, &ipv6), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    assert_is_case(buf, "every extension, segments left");
    zcb_buf_release(&buf);

    buf = payload_buf("hello", ZCB_FRAME_HEADROOM);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(
        zcb_frame_prepend_icmpv6(&b, &(struct zcb_frame_icmp){.type = 128, .rest = 0x00070001}), 0);
    assert_int_equal(zcb_frame_prepend_ipv6(&b, &ipv6), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    assert_is_case(buf, "ipv6 ping");
    zcb_buf_release(&buf);

    buf = payload_buf("", ZCB_FRAME_HEADROOM);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(
        zcb_frame_prepend_arp(&b, &(struct zcb_frame_arp){.sender = {2, 0, 0, 0, 0, 1},
                                                          .sender_ip = {192, 168, 0, 1},
                                                          .target_ip = {192, 168, 1, 2}}),
        0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    assert_is_case(buf, "arp request, padded");
    zcb_buf_release(&buf);

    // AH, and a card that does the rest.
    uint8_t authentication[22] = {0, 0, 0, 0, 1, 0, 0, 0, 0, 1, [11] = 1};
    for (size_t i = 0; i < 12; i++)
        authentication[10 + i] = (uint8_t)i;
    buf = payload_buf("hello", ZCB_FRAME_HEADROOM);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    struct zcb_frame_tcp tcp = {.source = 40000,
                                .destination = 80,
                                .sequence = 0x01020304,
                                .window = 64240,
                                .flags = ZCB_FRAME_SYN};
    assert_int_equal(zcb_frame_prepend_tcp(&b, &tcp), 0);
    assert_int_equal(
        zcb_frame_prepend_extension(
            &b, &(struct zcb_frame_extension){.type = 51, .body = authentication, .body_len = 22}),
        0);
    assert_int_equal(zcb_frame_prepend_ipv4(&b, &ipv4), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    assert_is_case(buf, "authentication behind ipv4");
    zcb_buf_release(&buf);

    buf = payload_buf("hello", ZCB_FRAME_HEADROOM);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(zcb_frame_prepend_tcp(&b, &tcp), 0);
    assert_int_equal(zcb_frame_prepend_ipv4(&b, &ipv4), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_frame_finish(&b, ZCB_FRAME_PARTIAL), 0);
    assert_is_case(buf, "tcp, the rest left to the card");
    // finish may come again, and fills in the rest.
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    struct zcb_frame f;
    assert_int_equal(
        zcb_frame_parse(zcb_buf_data(buf), zcb_buf_len(buf), ZCB_FRAME_LINK_ETHERNET, NULL, &f),
        ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_verify_transport(zcb_buf_data(buf), &f), ZCB_FRAME_CHECKSUM_GOOD);
    zcb_buf_release(&buf);

    buf = payload_buf("hello", ZCB_FRAME_HEADROOM);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(
        zcb_frame_prepend_udp(&b, &(struct zcb_frame_udp){.source = 1000,
                                                          .destination = 53,
                                                          .flags = ZCB_FRAME_NO_CHECKSUM}),
        0);
    assert_int_equal(zcb_frame_prepend_ipv4(&b, &ipv4), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    assert_is_case(buf, "udp without a checksum");
    zcb_buf_release(&buf);
}

// 0 in the field would say that there is no checksum.
static void
a_udp_checksum_that_comes_out_as_zero_is_written_as_ones(void **state)
{
    struct zcb_buf *buf = payload_buf("??", ZCB_FRAME_HEADROOM);
    struct zcb_frame_builder b;
    struct zcb_frame f;
    uint8_t *data;
    uint16_t sum;

    (void)state;
    memset(zcb_buf_data(buf), 0, 2);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(zcb_frame_prepend_udp(&b, &(struct zcb_frame_udp){.source = 9}), 0);
    assert_int_equal(zcb_frame_prepend_ipv6(&b, &ipv6), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    data = zcb_buf_data(buf);
    sum = zcb_frame_u16(data, 46); // what is missing from 0xffff: as payload it makes up for it
    data[48] = (uint8_t)(sum >> 8);
    data[49] = (uint8_t)sum;
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    assert_int_equal(zcb_frame_u16(data, 46), 0xffff);
    assert_int_equal(zcb_frame_parse(data, 50, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_verify_transport(data, &f), ZCB_FRAME_CHECKSUM_GOOD);
    zcb_buf_release(&buf);
}

// Whoever reads a routing header of a kind that is not known here does so at the header's own
// destination.
static void
an_unknown_routing_header_leaves_the_destination(void **state)
{
    static const uint8_t route[22] = {253, 1, [6] = 1};
    struct zcb_buf *buf = payload_buf("hello", ZCB_FRAME_HEADROOM);
    struct zcb_frame_builder b;
    struct zcb_frame f;
    uint8_t *data;

    (void)state;
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(zcb_frame_prepend_udp(&b, &(struct zcb_frame_udp){.source = 9}), 0);
    assert_int_equal(
        zcb_frame_prepend_extension(
            &b, &(struct zcb_frame_extension){.type = 43, .body = route, .body_len = 22}),
        0);
    assert_int_equal(zcb_frame_prepend_ipv6(&b, &ipv6), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    data = zcb_buf_data(buf);
    assert_int_equal(zcb_frame_parse(data, zcb_buf_len(buf), ZCB_FRAME_LINK_RAW, NULL, &f),
                     ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_verify_transport(data, &f), ZCB_FRAME_CHECKSUM_UNKNOWN);
    data[f.routing + 3] = 0; // no segments left
    assert_int_equal(zcb_frame_verify_transport(data, &f), ZCB_FRAME_CHECKSUM_GOOD);
    zcb_buf_release(&buf);
}

// A tunnel with bytes of the program's own in the middle (VXLAN, RFC 7348), and payload that comes
// last.
static void
tunnels_and_late_payload_are_summed_up_inside_first(void **state)
{
    struct zcb_frame_builder b;
    struct zcb_frame outer, inner;
    const uint8_t *data;
    struct zcb_buf *buf = payload_buf("", 200);
    uint8_t *at;

    (void)state;
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(
        zcb_frame_prepend_udp(&b, &(struct zcb_frame_udp){.source = 1, .destination = 2}), 0);
    assert_int_equal(zcb_frame_prepend_ipv6(&b, &ipv6), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_buf_prepend(buf, 8, &at), 0);
    memcpy(at, "\x08\0\0\0\0\0\7\0", 8);
    // The bytes in front hide the header behind: nothing is known inside.
    assert_int_equal(zcb_frame_prepend_ipv4(&b, &ipv4), -EINVAL);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), -EINVAL);
    assert_int_equal(
        zcb_frame_prepend_udp(&b, &(struct zcb_frame_udp){.source = 3, .destination = 4789}), 0);
    assert_int_equal(zcb_frame_prepend_ipv4(&b, &ipv4), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_buf_append(buf, 7, &at), 0);
    memcpy(at, "payload", 7);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);

    data = zcb_buf_data(buf);
    assert_int_equal(zcb_frame_parse(data, zcb_buf_len(buf), ZCB_FRAME_LINK_ETHERNET, NULL, &outer),
                     ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_verify_ip(data, &outer), ZCB_FRAME_CHECKSUM_GOOD);
    assert_int_equal(zcb_frame_verify_transport(data, &outer), ZCB_FRAME_CHECKSUM_GOOD);
    assert_int_equal(outer.payload_len, 8 + 14 + 40 + 8 + 7);
    data += outer.payload + 8;
    assert_int_equal(
        zcb_frame_parse(data, outer.payload_len - 8, ZCB_FRAME_LINK_ETHERNET, NULL, &inner),
        ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_verify_transport(data, &inner), ZCB_FRAME_CHECKSUM_GOOD);
    assert_memory_equal(data + inner.payload, "payload", 7);

    // Only the outer checksum is left to the card.
    assert_int_equal(zcb_frame_finish(&b, ZCB_FRAME_PARTIAL), 0);
    assert_int_equal(zcb_frame_verify_transport(zcb_buf_data(buf), &outer),
                     ZCB_FRAME_CHECKSUM_PARTIAL);
    assert_int_equal(zcb_frame_verify_transport(data, &inner), ZCB_FRAME_CHECKSUM_GOOD);
    zcb_buf_release(&buf);
}

static void
what_cannot_be_built_changes_nothing(void **state)
{
    static const uint8_t body[2050];
    const struct zcb_frame_udp udp = {.source = 1};
    const struct zcb_frame_tcp tcp = {.source = 1};
    const struct zcb_frame_icmp icmp = {.type = 8};
    struct zcb_frame_builder b, was;
    struct zcb_buf *buf = payload_buf("payload", 27);

    (void)state;
    assert_int_equal(zcb_frame_build_into(NULL, buf), -EINVAL);
    assert_int_equal(zcb_frame_build_into(&b, NULL), -EINVAL);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
#define refused(call, error)                                                                       \
    do {                                                                                           \
        size_t len_ = zcb_buf_len(buf);                                                            \
        was = b;                                                                                   \
        assert_int_equal(call, error);                                                             \
        assert_memory_equal(&was, &b, sizeof(b));                                                  \
        assert_int_equal(zcb_buf_len(buf), len_);                                                  \
    } while (0)
    // Nothing is known inside.
    refused(zcb_frame_prepend_ethernet(&b, &ethernet), -EINVAL);
    refused(zcb_frame_prepend_vlan(&b, &(struct zcb_frame_vlan){0}), -EINVAL);
    refused(zcb_frame_prepend_ipv4(&b, &ipv4), -EINVAL);
    // 27 bytes of headroom.
    refused(zcb_frame_prepend_arp(&b, &(struct zcb_frame_arp){0}), -ERANGE);
    refused(zcb_frame_prepend_ipv6(&b, &ipv6), -ERANGE);
    assert_int_equal(zcb_frame_prepend_udp(&b, &udp), 0);
    refused(zcb_frame_prepend_ipv4(&b, &ipv4), -ERANGE);
    refused(zcb_frame_prepend_tcp(&b, &tcp), -ERANGE);
    // No IP around it.
    refused(zcb_frame_finish(&b, 0), -EINVAL);
    refused(zcb_frame_finish(&b, 1), -EINVAL);
    refused(zcb_frame_finish(&b, 4), -EINVAL);
    assert_int_equal(zcb_frame_finish(NULL, 0), -EINVAL);
    // Nor is one that the builder has had for another frame.
    struct zcb_buf *other = payload_buf("", ZCB_FRAME_HEADROOM);
    assert_int_equal(zcb_frame_build_into(&b, other), 0);
    assert_int_equal(zcb_frame_prepend_udp(&b, &udp), 0);
    assert_int_equal(zcb_frame_prepend_ipv4(&b, &ipv4), 0);
    zcb_buf_release(&other);
    assert_int_equal(zcb_buf_trim(buf, 8, 0), 0);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(zcb_frame_prepend_udp(&b, &udp), 0);
    refused(zcb_frame_finish(&b, 0), -EINVAL);
    // A header that is gone.
    assert_int_equal(zcb_buf_trim(buf, 1, 0), 0);
    refused(zcb_frame_finish(&b, 0), -ERANGE);
    zcb_buf_release(&buf);

    buf = payload_buf("payload", 4000);
    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    assert_int_equal(zcb_frame_prepend_icmpv6(&b, &icmp), 0);
    refused(zcb_frame_finish(&b, 0), -EINVAL);
    // Reserved fields, lengths, NULL.
    for (size_t i = 0; i < 4; i++) {
        struct zcb_frame_ipv4 four = ipv4;
        struct zcb_frame_ipv6 six = ipv6;
        struct zcb_frame_tcp t = tcp;

        four.reserved[i] = six.reserved[i] = t.reserved[i] = 1;
        refused(zcb_frame_prepend_ipv4(&b, &four), -EINVAL);
        refused(zcb_frame_prepend_ipv6(&b, &six), -EINVAL);
        refused(zcb_frame_prepend_tcp(&b, &t), -EINVAL);
    }
    for (size_t i = 0; i < 2; i++) {
        struct zcb_frame_udp u = udp;
        struct zcb_frame_icmp m = icmp;

        u.reserved[i] = m.reserved[i] = 1;
        refused(zcb_frame_prepend_udp(&b, &u), -EINVAL);
        refused(zcb_frame_prepend_icmp(&b, &m), -EINVAL);
        refused(zcb_frame_prepend_icmpv6(&b, &m), -EINVAL);
    }
    struct zcb_frame_tcp t = {.reserved8 = {[6] = 1}};
    refused(zcb_frame_prepend_tcp(&b, &t), -EINVAL);
    t = (struct zcb_frame_tcp){.options = body, .options_len = 41};
    refused(zcb_frame_prepend_tcp(&b, &t), -EINVAL);
    t = (struct zcb_frame_tcp){.options_len = 1};
    refused(zcb_frame_prepend_tcp(&b, &t), -EINVAL);
    t = (struct zcb_frame_tcp){.options = body, .options_len = SIZE_MAX};
    refused(zcb_frame_prepend_tcp(&b, &t), -EINVAL);
    refused(zcb_frame_prepend_ipv4(&b, &(struct zcb_frame_ipv4){.reserved8 = 1}), -EINVAL);
    refused(
        zcb_frame_prepend_ipv4(&b, &(struct zcb_frame_ipv4){.options = body, .options_len = 41}),
        -EINVAL);
    refused(zcb_frame_prepend_ipv6(&b, &(struct zcb_frame_ipv6){.reserved8 = 1}), -EINVAL);
    refused(zcb_frame_prepend_ipv6(&b, &(struct zcb_frame_ipv6){.flow_label = 1u << 20}), -EINVAL);
    refused(zcb_frame_prepend_icmp(&b, &(struct zcb_frame_icmp){.reserved16 = 1}), -EINVAL);
    refused(zcb_frame_prepend_udp(&b, &(struct zcb_frame_udp){.flags = 2}), -EINVAL);
    refused(zcb_frame_prepend_ethernet(&b, &(struct zcb_frame_ethernet){.type = 1, .reserved = 1}),
            -EINVAL);
    refused(zcb_frame_prepend_vlan(&b, &(struct zcb_frame_vlan){.type = 1, .reserved = 1}),
            -EINVAL);
    refused(zcb_frame_prepend_arp(&b, &(struct zcb_frame_arp){.reserved = 1}), -EINVAL);
    refused(zcb_frame_prepend_ethernet(&b, NULL), -EINVAL);
    refused(zcb_frame_prepend_vlan(&b, NULL), -EINVAL);
    refused(zcb_frame_prepend_arp(&b, NULL), -EINVAL);
    refused(zcb_frame_prepend_ipv4(&b, NULL), -EINVAL);
    refused(zcb_frame_prepend_ipv6(&b, NULL), -EINVAL);
    refused(zcb_frame_prepend_extension(&b, NULL), -EINVAL);
    refused(zcb_frame_prepend_udp(&b, NULL), -EINVAL);
    refused(zcb_frame_prepend_tcp(&b, NULL), -EINVAL);
    refused(zcb_frame_prepend_icmp(&b, NULL), -EINVAL);
    refused(zcb_frame_prepend_icmpv6(&b, NULL), -EINVAL);
    assert_int_equal(zcb_frame_prepend_ethernet(NULL, &ethernet), -EINVAL);
    assert_int_equal(zcb_frame_prepend_vlan(NULL, &(struct zcb_frame_vlan){0}), -EINVAL);
    assert_int_equal(zcb_frame_prepend_arp(NULL, &(struct zcb_frame_arp){0}), -EINVAL);
    assert_int_equal(zcb_frame_prepend_ipv4(NULL, &ipv4), -EINVAL);
    assert_int_equal(zcb_frame_prepend_ipv6(NULL, &ipv6), -EINVAL);
    assert_int_equal(zcb_frame_prepend_extension(NULL, &(struct zcb_frame_extension){.body = body}),
                     -EINVAL);
    assert_int_equal(zcb_frame_prepend_udp(NULL, &udp), -EINVAL);
    assert_int_equal(zcb_frame_prepend_tcp(NULL, &tcp), -EINVAL);
    assert_int_equal(zcb_frame_prepend_icmp(NULL, &icmp), -EINVAL);
    assert_int_equal(zcb_frame_prepend_icmpv6(NULL, &icmp), -EINVAL);
    static const struct {
        uint8_t type;
        size_t len;
        int result;
    } rows[] = {
        {0, 6, 0},         {0, 5, -EINVAL},     {0, 7, -EINVAL},     {0, 0, -EINVAL},
        {60, 2046, 0},     {60, 2048, -EINVAL}, {60, 2054, -EINVAL}, {44, 6, 0},
        {44, 14, -EINVAL}, {51, 6, -EINVAL},    {51, 10, 0},         {51, 12, -EINVAL},
        {51, 1026, 0},     {51, 1030, -EINVAL}, {6, 6, -EINVAL},     {59, 6, -EINVAL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct zcb_frame_extension x = {
            .type = rows[i].type, .body = body, .body_len = rows[i].len};

        if (rows[i].result < 0)
            refused(zcb_frame_prepend_extension(&b, &x), rows[i].result);
        else
            assert_int_equal(zcb_frame_prepend_extension(&b, &x), 0);
    }
    refused(zcb_frame_prepend_extension(&b, &(struct zcb_frame_extension){.body_len = 6}), -EINVAL);
    refused(zcb_frame_prepend_extension(
                &b, &(struct zcb_frame_extension){.body = body, .body_len = 6, .reserved = 1}),
            -EINVAL);
    refused(zcb_frame_prepend_extension(
                &b, &(struct zcb_frame_extension){.body = body, .body_len = 6, .reserved16 = 1}),
            -EINVAL);
    while (b.count < ZCB_FRAME_HEADERS)
        assert_int_equal(zcb_frame_prepend_icmp(&b, &icmp), 0);
    refused(zcb_frame_prepend_icmp(&b, &icmp), -ENOBUFS);
    zcb_buf_release(&buf);

    // What a length field holds, and one byte more.
    static const struct {
        int version; // 0: UDP alone
        size_t len;
        int result;
    } lengths[] = {
        {4, 65515, 0},          {4, 65516, -EOVERFLOW}, {6, 65535, 0},
        {6, 65536, -EOVERFLOW}, {0, 65527, 0},          {0, 65528, -EOVERFLOW},
    };
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        uint8_t *at, *copy;

        assert_int_equal(zcb_buf_alloc(NULL, 70000, &buf), 0);
        assert_int_equal(zcb_buf_set_headroom(buf, 100), 0);
        assert_int_equal(zcb_buf_append(buf, lengths[i].len, &at), 0);
        memset(at, 0, lengths[i].len);
        assert_int_equal(zcb_frame_build_into(&b, buf), 0);
        if (lengths[i].version == 4)
            assert_int_equal(zcb_frame_prepend_ipv4(&b, &(struct zcb_frame_ipv4){.protocol = 253}),
                             0);
        else if (lengths[i].version == 6)
            assert_int_equal(zcb_frame_prepend_ipv6(&b, &ipv6), 0);
        else
            assert_int_equal(
                zcb_frame_prepend_udp(&b, &(struct zcb_frame_udp){.flags = ZCB_FRAME_NO_CHECKSUM}),
                0);
        copy = malloc(zcb_buf_len(buf));
        assert_non_null(copy);
        memcpy(copy, zcb_buf_data(buf), zcb_buf_len(buf));
        if (lengths[i].result == 0) {
            assert_int_equal(zcb_frame_finish(&b, 0), 0);
        } else {
            refused(zcb_frame_finish(&b, 0), -EOVERFLOW);
            assert_memory_equal(zcb_buf_data(buf), copy, zcb_buf_len(buf));
        }
        free(copy);
        zcb_buf_release(&buf);
    }
}

// ---- templates

static size_t
build(uint8_t *out, int kind, bool v6)
{
    // UDP's length has something in both bytes.
    static const char text[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.";
    struct zcb_buf *buf = payload_buf(kind == 0   ? ""
                                      : kind == 1 ? text
                                                  : "odd",
                                      ZCB_FRAME_HEADROOM);
    struct zcb_frame_builder b;
    size_t len;

    assert_int_equal(zcb_frame_build_into(&b, buf), 0);
    switch (kind) {
    case 0:
        assert_int_equal(
            zcb_frame_prepend_tcp(&b, &(struct zcb_frame_tcp){.source = 40000,
                                                              .destination = 80,
                                                              .sequence = 0x01020304,
                                                              .acknowledgment = 0x05060708,
                                                              .flags = ZCB_FRAME_SYN,
                                                              .window = 1024}),
            0);
        break;
    case 1:
    case 2:
        assert_int_equal(
            zcb_frame_prepend_udp(
                &b,
                &(struct zcb_frame_udp){.source = 40000,
                                        .destination = 53,
                                        .flags = kind == 2 ? (uint32_t)ZCB_FRAME_NO_CHECKSUM : 0}),
            0);
        break;
    default:
        if (v6)
            assert_int_equal(zcb_frame_prepend_icmpv6(
                                 &b, &(struct zcb_frame_icmp){.type = 128, .rest = 0x01020304}),
                             0);
        else
            assert_int_equal(
                zcb_frame_prepend_icmp(&b, &(struct zcb_frame_icmp){.type = 8, .rest = 0x01020304}),
                0);
    }
    if (v6)
        assert_int_equal(zcb_frame_prepend_ipv6(&b, &ipv6), 0);
    else
        assert_int_equal(zcb_frame_prepend_ipv4(&b, &ipv4), 0);
    assert_int_equal(zcb_frame_prepend_vlan(&b, &(struct zcb_frame_vlan){.tci = 5}), 0);
    assert_int_equal(zcb_frame_prepend_ethernet(&b, &ethernet), 0);
    assert_int_equal(zcb_frame_finish(&b, 0), 0);
    len = zcb_buf_len(buf);
    memcpy(out, zcb_buf_data(buf), len);
    zcb_buf_release(&buf);
    return len;
}

static void
stamps_are_whole_frames_with_good_checksums(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        for (int v6 = 0; v6 < 2; v6++) {
            uint8_t form[400], out[400], again[400];
            uint64_t rng = 7, allocations;
            struct zcb_frame_template t;
            size_t len;

            if (kind == 2 && v6)
                continue;
            len = build(form, kind, v6);
            // The form's own checksums do not matter.
            form[14 + 4 + (v6 ? 40 : 20) + (kind == 0 ? 17 : kind == 1 ? 7 : 3)] ^= kind != 2;
            if (!v6)
                form[14 + 4 + 11] ^= 1;
            assert_int_equal(zcb_frame_template_init(&t, form, len, ZCB_FRAME_LINK_ETHERNET), 0);
            memset(again, 0xee, sizeof(again));
            allocations = zcb_alloc_count();
            for (int i = 0; i < 70000; i++) {
                struct zcb_frame_target target = {.sequence = (uint32_t)zcb_test_random(&rng),
                                                  .port = (uint16_t)(i % 3 == 0 ? 0 : i),
                                                  .source_port = (uint16_t)(i % 5 == 0 ? 0 : i * 3),
                                                  .id = (uint16_t)i};
                enum zcb_frame_checksum_state good =
                    kind == 2 ? ZCB_FRAME_CHECKSUM_NONE : ZCB_FRAME_CHECKSUM_GOOD;
                struct zcb_frame f;

                for (size_t k = 0; k < (v6 ? 16 : 4); k++)
                    target.address[k] = (uint8_t)(zcb_test_random(&rng) % 3 * 0x7f);
                assert_int_equal(zcb_frame_template_stamp(&t, &target, out, sizeof(out)), len);
                assert_int_equal(zcb_frame_parse(out, len, ZCB_FRAME_LINK_ETHERNET, NULL, &f),
                                 ZCB_FRAME_OK);
                assert_int_equal(zcb_frame_verify_transport(out, &f), good);
                if (!v6)
                    assert_int_equal(zcb_frame_verify_ip(out, &f), ZCB_FRAME_CHECKSUM_GOOD);
                assert_memory_equal(zcb_frame_destination(out, &f), target.address, v6 ? 16 : 4);
                if (kind == 3) {
                    assert_int_equal(zcb_frame_icmp_rest(out, &f), target.sequence);
                } else {
                    assert_int_equal(zcb_frame_source_port(out, &f),
                                     target.source_port != 0 ? target.source_port : 40000);
                    assert_int_equal(zcb_frame_destination_port(out, &f), target.port != 0
                                                                              ? target.port
                                                                          : kind == 0 ? 80
                                                                                      : 53);
                }
                if (kind == 0)
                    assert_int_equal(zcb_frame_tcp_sequence(out, &f), target.sequence);
                if (!v6)
                    assert_int_equal(f.fragment_id, target.id);
                // In place, over what the stamp before has left: the same bytes.
                if (i == 0)
                    memcpy(again, out, len);
                assert_int_equal(zcb_frame_template_restamp(&t, &target, again), 0);
                assert_memory_equal(again, out, len);
                assert_int_equal(again[len], 0xee);
            }
            assert_true(zcb_alloc_count() == allocations);
        }
    }
}

static void
what_is_no_template_is_refused(void **state)
{
    struct zcb_frame_template t;
    uint8_t form[1024], out[200];
    struct zcb_frame_target target = {0};
    size_t len = build(form, 0, false), fit = 0;

    (void)state;
    assert_int_equal(zcb_frame_template_init(NULL, form, len, ZCB_FRAME_LINK_ETHERNET), -EINVAL);
    assert_int_equal(zcb_frame_template_init(&t, NULL, 0, ZCB_FRAME_LINK_ETHERNET), -EINVAL);
    assert_int_equal(zcb_frame_template_init(&t, form, len, (enum zcb_frame_link)99), -ENOTSUP);
    assert_int_equal(zcb_frame_template_init(&t, form, len - 1, ZCB_FRAME_LINK_ETHERNET), -ENOTSUP);
    assert_int_equal(zcb_frame_template_init(&t, form, len, ZCB_FRAME_LINK_ETHERNET), 0);
    memset(out, 0xee, sizeof(out));
    assert_int_equal(zcb_frame_template_stamp(&t, &target, out, len - 1), -ERANGE);
    assert_int_equal(zcb_frame_template_stamp(&t, &target, NULL, len), -EINVAL);
    assert_int_equal(zcb_frame_template_stamp(&t, NULL, out, len), -EINVAL);
    assert_int_equal(zcb_frame_template_restamp(&t, NULL, out), -EINVAL);
    assert_int_equal(zcb_frame_template_restamp(NULL, &target, out), -EINVAL);
    for (size_t i = 0; i < 3; i++) {
        target.reserved[i] = 1;
        assert_int_equal(zcb_frame_template_stamp(&t, &target, out, len), -EINVAL);
        assert_int_equal(zcb_frame_template_restamp(&t, &target, out), -EINVAL);
        target.reserved[i] = 0;
    }
    for (size_t i = 0; i < sizeof(out); i++)
        assert_int_equal(out[i], 0xee);
    // Of the corpus: what is one packet with ports, or a ping; the rest is refused.
    for (size_t i = 0; i < FRAME_CASES; i++) {
        const struct frame_case *c = &frame_cases[i];
        struct zcb_frame f;

        len = frame_hex(c->hex, form, sizeof(form));
        if (len == 0)
            continue;
        if (zcb_frame_parse(form, len, c->link, NULL, &f) < 0)
            fail();
        bool whole =
            f.verdict == ZCB_FRAME_OK && f.routing == 0 &&
            (f.layers & (ZCB_FRAME_CUT | ZCB_FRAME_FRAGMENT | ZCB_FRAME_INNER)) == 0 &&
            (f.layers & (ZCB_FRAME_TCP | ZCB_FRAME_UDP | ZCB_FRAME_ICMP | ZCB_FRAME_ICMPV6)) != 0;
        assert_int_equal(zcb_frame_template_init(&t, form, len, c->link), whole ? 0 : -ENOTSUP);
        fit += whole;
    }
    assert_true(fit > 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_built_to_the_byte),
        cmocka_unit_test(a_udp_checksum_that_comes_out_as_zero_is_written_as_ones),
        cmocka_unit_test(an_unknown_routing_header_leaves_the_destination),
        cmocka_unit_test(tunnels_and_late_payload_are_summed_up_inside_first),
        cmocka_unit_test(what_cannot_be_built_changes_nothing),
        cmocka_unit_test(stamps_are_whole_frames_with_good_checksums),
        cmocka_unit_test(what_is_no_template_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
