// SPDX-License-Identifier: MIT
//
// Parsing: every kind of header, every way of being wrong, every length, alignment and cut.

#include "frame_testing.h"

#include "support/alloc_count.h"

static uint8_t bytes[1024];

static struct zcb_frame_config
config_of(const struct frame_case *c, size_t len)
{
    return (struct zcb_frame_config){.wire_len = c->wired ? len : 0};
}

static void
every_header_is_found_and_every_fault_has_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < FRAME_CASES; i++) {
        const struct frame_case *c = &frame_cases[i];
        size_t len = frame_hex(c->hex, bytes, sizeof(bytes));
        struct zcb_frame_config config = config_of(c, len);
        struct zcb_frame f;
        uint8_t *block, *data = frame_exact(bytes, len, 0, &block);
        uint32_t layers;

        print_message("%s\n", c->name);
        assert_int_equal(zcb_frame_parse(data, len, c->link, &config, &f), c->verdict);
        assert_frame_sound(&f, len);
        layers = c->layers;
        if (f.end > len) // the lengths in headers that are wrong may be beyond what is there
            layers |= ZCB_FRAME_CUT;
        assert_int_equal(f.layers, layers);
        assert_int_equal(f.verdict, c->verdict);
        assert_int_equal(f.at, c->at);
        assert_int_equal(f.link, c->link);
        assert_int_equal(f.start, 0);
        assert_int_equal(f.network, c->network);
        assert_int_equal(f.transport, c->transport_at);
        assert_int_equal(f.type, c->type);
        assert_int_equal(f.vlans, c->vlans);
        assert_int_equal(f.extensions, c->extensions);
        assert_int_equal(f.fragment_off, c->fragment_off);
        if (c->verdict == ZCB_FRAME_OK) {
            assert_int_equal(f.protocol, c->protocol);
            assert_int_equal(f.payload, c->at);
            assert_int_equal(f.end, c->end);
        }
        assert_int_equal(zcb_frame_verify_ip(data, &f), c->ip);
        assert_int_equal(zcb_frame_verify_transport(data, &f), c->transport);
        frame_touch(data, &f);
        free(block);
    }
}

// What is known of a frame's front is a part of what is known of the frame.
static void
assert_front(const struct zcb_frame *part, const struct zcb_frame *whole, size_t len)
{
    uint32_t bits = part->layers & ~(uint32_t)(ZCB_FRAME_CUT | ZCB_FRAME_INNER);

    assert_frame_sound(part, len);
    // Ports are seen when the rest of TCP or UDP is not.
    assert_int_equal(bits & ~whole->layers, 0);
    if (part->verdict == ZCB_FRAME_OK) {
        assert_int_equal(part->payload, whole->payload);
        assert_int_equal(part->layers & ~(uint32_t)ZCB_FRAME_CUT,
                         (part->layers & ZCB_FRAME_INNER) != 0
                             ? whole->layers
                             : whole->layers & ~(uint32_t)ZCB_FRAME_INNER);
    } else {
        assert_int_equal(part->verdict, ZCB_FRAME_TRUNCATED);
    }
    if ((bits & (ZCB_FRAME_IPV4 | ZCB_FRAME_IPV6)) != 0) {
        assert_int_equal(part->network, whole->network);
        assert_true(part->network_len <= whole->network_len);
    }
    if ((bits & ZCB_FRAME_PORTS) != 0)
        assert_int_equal(part->transport, whole->transport);
}

static void
every_prefix_at_every_alignment_is_read_inside_its_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < FRAME_CASES; i++) {
        const struct frame_case *c = &frame_cases[i];
        size_t len = frame_hex(c->hex, bytes, sizeof(bytes));
        struct zcb_frame_config config = config_of(c, len);
        struct zcb_frame whole;

        if (zcb_frame_parse(bytes, len, c->link, &config, &whole) < 0)
            fail();
        for (size_t cut = 0; cut <= len; cut++) {
            for (size_t off = 0; off < 8; off++) {
                uint8_t *block, *data = frame_exact(bytes, cut, off, &block);
                struct zcb_frame f, wired, inner, inmost;
                int r;

                // Nothing known about the wire; then the length that it had there; then the length
                // that is there.
                r = zcb_frame_parse(data, cut, c->link, NULL, &f);
                assert_int_equal(r, f.verdict);
                if (c->verdict == ZCB_FRAME_OK)
                    assert_front(&f, &whole, cut);
                frame_touch(data, &f);
                config.wire_len = len;
                r = zcb_frame_parse(data, cut, c->link, &config, &wired);
                assert_int_equal(r, wired.verdict);
                if (c->verdict == ZCB_FRAME_OK && len != 0)
                    assert_front(&wired, &whole, cut);
                else if (cut <= c->at && r != (int)c->verdict)
                    assert_int_equal(r, ZCB_FRAME_TRUNCATED);
                frame_touch(data, &wired);
                if ((f.layers & ZCB_FRAME_INNER) != 0) {
                    r = zcb_frame_parse_inner(data, &f, NULL, &inner);
                    assert_int_equal(r, inner.verdict);
                    assert_frame_sound(&inner, inner.captured);
                    assert_true(inner.captured <= cut);
                    frame_touch(data, &inner);
                    if ((inner.layers & ZCB_FRAME_INNER) != 0) {
                        r = zcb_frame_parse_inner(data, &inner, NULL, &inmost);
                        assert_int_equal(r, inmost.verdict);
                    }
                }
                if (cut != 0) {
                    config.wire_len = cut;
                    r = zcb_frame_parse(data, cut, c->link, &config, &f);
                    assert_int_equal(r, f.verdict);
                    // Nothing is cut then, it is wrong.
                    assert_true(r != ZCB_FRAME_TRUNCATED);
                    assert_int_equal(f.layers & ZCB_FRAME_CUT, 0);
                    frame_touch(data, &f);
                }
                free(block);
            }
        }
    }
}

static void
a_chain_cut_anywhere_gives_the_same_as_contiguous_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < FRAME_CASES; i++) {
        const struct frame_case *c = &frame_cases[i];
        size_t len = frame_hex(c->hex, bytes, sizeof(bytes));
        struct zcb_frame_config config = config_of(c, len);
        struct zcb_frame whole, f, inner, inner_whole;

        if (zcb_frame_parse(bytes, len, c->link, &config, &whole) < 0)
            fail();
        // Cut once at every place; len + 1: into single bytes. Three bytes of something in front.
        for (size_t cut = 0; cut <= len + 1; cut++) {
            struct zcb_chain chain;

            assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
            push_lone(&chain, "xyz", 3);
            if (cut <= len) {
                push_lone(&chain, bytes, cut);
                push_lone(&chain, bytes + cut, len - cut);
            } else {
                push_cut(&chain, bytes, len, 1);
            }
            push_lone(&chain, "behind", 6);
            assert_int_equal(zcb_frame_parse_chain(&chain, 3, len, c->link, &config, &f),
                             whole.verdict);
            assert_memory_equal(&f, &whole, sizeof(f));
            assert_int_equal(zcb_frame_verify_ip_chain(&chain, 3, &f),
                             zcb_frame_verify_ip(bytes, &whole));
            assert_int_equal(zcb_frame_verify_transport_chain(&chain, 3, &f),
                             zcb_frame_verify_transport(bytes, &whole));
            if ((whole.layers & ZCB_FRAME_INNER) != 0) {
                assert_true(zcb_frame_parse_inner(bytes, &whole, NULL, &inner_whole) >= 0);
                assert_int_equal(zcb_frame_parse_inner_chain(&chain, 3, &f, NULL, &inner),
                                 inner_whole.verdict);
                assert_memory_equal(&inner, &inner_whole, sizeof(inner));
            }
            zcb_chain_finish(&chain);
        }
    }
}

static void
a_chain_with_fewer_bytes_is_told(void **state)
{
    struct zcb_chain chain;
    struct zcb_frame f = {.captured = 77};

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    assert_int_equal(zcb_frame_parse_chain(&chain, 0, 1, ZCB_FRAME_LINK_RAW, NULL, &f), -EAGAIN);
    assert_int_equal(zcb_frame_parse_chain(&chain, 1, 0, ZCB_FRAME_LINK_RAW, NULL, &f), -EAGAIN);
    push_lone(&chain, "0123", 4);
    assert_int_equal(zcb_frame_parse_chain(&chain, 1, 4, ZCB_FRAME_LINK_RAW, NULL, &f), -EAGAIN);
    assert_int_equal(zcb_frame_parse_chain(&chain, SIZE_MAX, 4, ZCB_FRAME_LINK_RAW, NULL, &f),
                     -EAGAIN);
    assert_int_equal(zcb_frame_parse_chain(&chain, 4, SIZE_MAX, ZCB_FRAME_LINK_RAW, NULL, &f),
                     -EAGAIN);
    assert_int_equal(f.captured, 77);
    assert_int_equal(zcb_frame_parse_chain(&chain, 4, 0, ZCB_FRAME_LINK_RAW, NULL, &f),
                     ZCB_FRAME_TRUNCATED);
    assert_int_equal(zcb_frame_verify_ip_chain(NULL, 0, &f), ZCB_FRAME_CHECKSUM_UNKNOWN);
    assert_int_equal(zcb_frame_verify_transport_chain(&chain, 5, &f), ZCB_FRAME_CHECKSUM_UNKNOWN);
    f = (struct zcb_frame){.layers = ZCB_FRAME_ICMP, .captured = 4, .end = 4};
    assert_int_equal(zcb_frame_verify_transport_chain(&chain, 1, &f), ZCB_FRAME_CHECKSUM_UNKNOWN);
    assert_int_equal(zcb_frame_verify_transport_chain(&chain, 0, &f), ZCB_FRAME_CHECKSUM_BAD);
    assert_int_equal(zcb_frame_verify_transport(NULL, &f), ZCB_FRAME_CHECKSUM_UNKNOWN);
    assert_int_equal(zcb_frame_parse_chain(NULL, 0, 0, ZCB_FRAME_LINK_RAW, NULL, &f), -EINVAL);
    assert_int_equal(zcb_frame_parse_chain(&chain, 0, 0, ZCB_FRAME_LINK_RAW, NULL, NULL), -EINVAL);
    zcb_chain_finish(&chain);
}

static const struct frame_case *
case_of(const char *name)
{
    for (size_t i = 0; i < FRAME_CASES; i++)
        if (strcmp(frame_cases[i].name, name) == 0)
            return &frame_cases[i];
    fail_msg("no frame is called %s", name);
    return NULL;
}

static size_t
load(const char *name, struct zcb_frame *f)
{
    const struct frame_case *c = case_of(name);
    size_t len = frame_hex(c->hex, bytes, sizeof(bytes));

    assert_int_equal(zcb_frame_parse(bytes, len, c->link, NULL, f), c->verdict);
    return len;
}

static void
fields_are_read_from_where_they_are(void **state)
{
    static const uint8_t ours4[] = {192, 168, 0, 1}, theirs4[] = {192, 168, 1, 2};
    static const uint8_t ours6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
    struct zcb_frame f;

    (void)state;
    load("udp, padded", &f);
    assert_int_equal(zcb_frame_address_len(&f), 4);
    assert_memory_equal(zcb_frame_source(bytes, &f), ours4, 4);
    assert_memory_equal(zcb_frame_destination(bytes, &f), theirs4, 4);
    assert_int_equal(zcb_frame_ttl(bytes, &f), 7);
    assert_int_equal(zcb_frame_tos(bytes, &f), 0xb9);
    assert_int_equal(f.fragment_id, 0x1234);
    assert_int_equal(zcb_frame_source_port(bytes, &f), 1000);
    assert_int_equal(zcb_frame_destination_port(bytes, &f), 53);
    assert_int_equal(f.payload_len, 5);
    assert_memory_equal(bytes + f.payload, "hello", 5);

    load("stacked tags, ipv6 tcp", &f);
    assert_int_equal(zcb_frame_vlan_tci(bytes, &f, 0), 100);
    assert_int_equal(zcb_frame_vlan_tci(bytes, &f, 1), 0x2007);
    assert_int_equal(zcb_frame_vlan_tci(bytes, &f, 2), 0);
    assert_int_equal(zcb_frame_address_len(&f), 16);
    assert_memory_equal(zcb_frame_source(bytes, &f), ours6, 16);
    assert_int_equal(zcb_frame_destination(bytes, &f)[15], 2);
    assert_int_equal(zcb_frame_ttl(bytes, &f), 64);
    assert_int_equal(zcb_frame_tos(bytes, &f), 0x12);
    assert_int_equal(zcb_frame_source_port(bytes, &f), 40000);
    assert_int_equal(zcb_frame_tcp_sequence(bytes, &f), 0x01020304);
    assert_int_equal(zcb_frame_tcp_acknowledgment(bytes, &f), 5);
    assert_int_equal(zcb_frame_tcp_flags(bytes, &f), ZCB_FRAME_PSH | ZCB_FRAME_ACK);
    assert_int_equal(zcb_frame_tcp_window(bytes, &f), 64240);

    load("vlan, ping", &f);
    assert_int_equal(zcb_frame_icmp_type(bytes, &f), 8);
    assert_int_equal(zcb_frame_icmp_code(bytes, &f), 0);
    assert_int_equal(zcb_frame_icmp_rest(bytes, &f), 0x00010002);
    assert_int_equal(zcb_frame_source_port(bytes, &f), 0);
    assert_int_equal(zcb_frame_tcp_flags(bytes, &f), 0);

    load("arp request, padded", &f);
    assert_int_equal(f.network_len, 28);
    assert_int_equal(zcb_frame_arp_operation(bytes, &f), 1);
    assert_memory_equal(zcb_frame_arp_sender(bytes, &f), "\x02\0\0\0\0\1\xc0\xa8\0\1", 10);
    assert_memory_equal(zcb_frame_arp_target(bytes, &f), "\0\0\0\0\0\0\xc0\xa8\1\2", 10);
    assert_null(zcb_frame_source(bytes, &f));
    load("arp of another kind", &f);
    assert_int_equal(zcb_frame_arp_operation(bytes, &f), 2);
    assert_null(zcb_frame_arp_sender(bytes, &f));
    // Addresses of four bytes that are not IPv4's.
    load("arp request, padded", &f);
    bytes[f.network + 3] = 0x10;
    assert_null(zcb_frame_arp_sender(bytes, &f));
    assert_null(zcb_frame_arp_target(bytes, &f));

    load("every extension, segments left", &f);
    assert_int_equal(f.routing, 14 + 40 + 8);
    assert_int_equal(f.fragment, 14 + 40 + 8 + 24 + 8);
    assert_int_equal(f.fragment_id, 0xabcdef01);
    assert_int_equal(f.network_len, 40 + 8 + 24 + 8 + 8);
}

static void
options_are_walked_and_wrong_lengths_end_it(void **state)
{
    static const struct {
        enum zcb_frame_option_style style;
        const char *hex;
        int count, kind; // how many come out, and the last one's kind
        int result;      // then
        size_t at;       // and where
    } rows[] = {
        {ZCB_FRAME_OPTIONS_IPV4, "", 0, 0, 0, 0},
        {ZCB_FRAME_OPTIONS_IPV4, "00", 0, 0, 0, 0},
        {ZCB_FRAME_OPTIONS_IPV4, "01010101", 0, 0, 0, 4},
        {ZCB_FRAME_OPTIONS_IPV4, "020405b4", 1, 2, 0, 4},
        {ZCB_FRAME_OPTIONS_IPV4, "020405b40402010303070000", 3, 3, 0, 10},
        {ZCB_FRAME_OPTIONS_IPV4, "0402000303", 1, 4, 0, 2},
        {ZCB_FRAME_OPTIONS_IPV4, "0500", 0, 0, -EBADMSG, 0},
        {ZCB_FRAME_OPTIONS_IPV4, "010501", 0, 0, -EBADMSG, 1},
        {ZCB_FRAME_OPTIONS_IPV4, "05", 0, 0, -EBADMSG, 0},
        {ZCB_FRAME_OPTIONS_IPV4, "04020503", 1, 4, -EBADMSG, 2},
        {ZCB_FRAME_OPTIONS_IPV4, "05ff0000", 0, 0, -EBADMSG, 0},
        {ZCB_FRAME_OPTIONS_IPV6, "000000000000", 0, 0, 0, 6},
        {ZCB_FRAME_OPTIONS_IPV6, "010400000000", 0, 0, 0, 6},
        {ZCB_FRAME_OPTIONS_IPV6, "050200000100", 1, 5, 0, 6},
        {ZCB_FRAME_OPTIONS_IPV6, "0500000500", 2, 5, 0, 5},
        {ZCB_FRAME_OPTIONS_IPV6, "05", 0, 0, -EBADMSG, 0},
        {ZCB_FRAME_OPTIONS_IPV6, "000505000000", 0, 0, -EBADMSG, 1},
        {ZCB_FRAME_OPTIONS_IPV6, "0103000000c204", 0, 0, -EBADMSG, 5},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = frame_hex(rows[i].hex, bytes, sizeof(bytes));
        uint8_t *block, *data = frame_exact(bytes, len, 0, &block);
        struct zcb_frame_options options;
        struct zcb_frame_option option = {0};
        int r, count = 0;

        zcb_frame_options_init(&options, data, len, rows[i].style);
        while ((r = zcb_frame_option_next(&options, &option)) == 1)
            count++;
        assert_int_equal(count, rows[i].count);
        assert_int_equal(option.kind, rows[i].kind);
        assert_int_equal(r, rows[i].result);
        assert_int_equal(options.at - data, rows[i].at);
        assert_int_equal(zcb_frame_option_next(&options, &option), rows[i].result);
        free(block);
    }
    struct zcb_frame_options none;
    struct zcb_frame_option option;
    zcb_frame_options_init(&none, NULL, 0, ZCB_FRAME_OPTIONS_IPV4);
    assert_int_equal(zcb_frame_option_next(&none, &option), 0);
}

static void
options_of_a_frame_are_those_of_its_headers(void **state)
{
    static const uint8_t kinds[] = {2, 4, 8, 3};
    struct zcb_frame_options options;
    struct zcb_frame_option option;
    struct zcb_frame f;
    size_t len;

    (void)state;
    len = load("tcp syn with options", &f);
    zcb_frame_options_tcp(&options, bytes, &f);
    for (size_t i = 0; i < sizeof(kinds); i++) {
        assert_int_equal(zcb_frame_option_next(&options, &option), 1);
        assert_int_equal(option.kind, kinds[i]);
        if (option.kind == 2)
            assert_int_equal(zcb_frame_u16(option.data, 0), 1460);
    }
    assert_int_equal(zcb_frame_option_next(&options, &option), 0);
    zcb_frame_options_ipv4(&options, bytes, &f);
    assert_int_equal(zcb_frame_option_next(&options, &option), 0);

    // Cut by a snap length in the middle of them: those before are there.
    assert_int_equal(zcb_frame_parse(bytes, len - 4, ZCB_FRAME_LINK_ETHERNET, NULL, &f),
                     ZCB_FRAME_TRUNCATED);
    assert_true((f.layers & (ZCB_FRAME_TCP | ZCB_FRAME_CUT)) == (ZCB_FRAME_TCP | ZCB_FRAME_CUT));
    assert_int_equal(zcb_frame_tcp_flags(bytes, &f), ZCB_FRAME_SYN);
    zcb_frame_options_tcp(&options, bytes, &f);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(zcb_frame_option_next(&options, &option), 1);
    assert_int_equal(zcb_frame_option_next(&options, &option), 0);

    load("ipv4 options", &f);
    zcb_frame_options_ipv4(&options, bytes, &f);
    assert_int_equal(zcb_frame_option_next(&options, &option), 1);
    assert_int_equal(option.kind, 7);
    assert_int_equal(option.len, 5);
    assert_int_equal(zcb_frame_option_next(&options, &option), 0);
    // Cut in the middle: addresses are there, and the options before that.
    assert_int_equal(zcb_frame_parse(bytes, 14 + 28, ZCB_FRAME_LINK_ETHERNET, NULL, &f),
                     ZCB_FRAME_TRUNCATED);
    assert_int_equal(f.at, 14);
    assert_int_equal(f.layers, ZCB_FRAME_ETHERNET | ZCB_FRAME_IPV4 | ZCB_FRAME_CUT);
    assert_int_equal(f.network_len, 28);
    assert_int_equal(f.payload, 14 + 28);
    assert_int_equal(zcb_frame_verify_ip(bytes, &f), ZCB_FRAME_CHECKSUM_UNKNOWN);
    zcb_frame_options_ipv4(&options, bytes, &f);
    assert_int_equal(zcb_frame_option_next(&options, &option), 1);
    load("authentication behind ipv4", &f); // is no option
    zcb_frame_options_ipv4(&options, bytes, &f);
    assert_int_equal(zcb_frame_option_next(&options, &option), 0);
}

static void
a_quote_shows_whose_packet_it_was(void **state)
{
    struct zcb_frame f, inner, more;

    (void)state;
    load("port unreachable, 8 bytes quoted", &f);
    assert_int_equal(zcb_frame_icmp_type(bytes, &f), 3);
    assert_int_equal(zcb_frame_parse_inner(bytes, &f, NULL, &inner), ZCB_FRAME_OK);
    assert_int_equal(inner.layers,
                     ZCB_FRAME_IPV4 | ZCB_FRAME_UDP | ZCB_FRAME_PORTS | ZCB_FRAME_CUT);
    assert_int_equal(inner.start, f.payload);
    assert_int_equal(inner.network, f.payload);
    assert_int_equal(zcb_frame_source_port(bytes, &inner), 5000);
    assert_int_equal(zcb_frame_destination_port(bytes, &inner), 33434);
    assert_int_equal(zcb_frame_verify_ip(bytes, &inner), ZCB_FRAME_CHECKSUM_GOOD);
    assert_int_equal(zcb_frame_verify_transport(bytes, &inner), ZCB_FRAME_CHECKSUM_UNKNOWN);
    assert_int_equal(inner.payload_len, 0);
    assert_int_equal(zcb_frame_parse_inner(bytes, &inner, NULL, &more), -EINVAL);

    // The length field ends the quote, not the message: what follows is not TCP's payload.
    load("time exceeded, extended", &f);
    assert_int_equal(zcb_frame_parse_inner(bytes, &f, NULL, &inner), ZCB_FRAME_OK);
    assert_int_equal(inner.captured, f.payload + 128);
    assert_int_equal(inner.payload_len, 5);
    assert_int_equal(zcb_frame_verify_transport(bytes, &inner), ZCB_FRAME_CHECKSUM_GOOD);

    load("packet too big", &f);
    assert_int_equal(zcb_frame_icmp_rest(bytes, &f), 1280);
    assert_int_equal(zcb_frame_parse_inner(bytes, &f, NULL, &inner), ZCB_FRAME_OK);
    assert_int_equal(inner.layers,
                     ZCB_FRAME_IPV6 | ZCB_FRAME_TCP | ZCB_FRAME_PORTS | ZCB_FRAME_CUT);
    assert_int_equal(inner.payload_len, 15);
    assert_int_equal(inner.end, inner.payload + 1500);

    // Eight bytes of TCP: ports, and no more.
    assert_int_equal(zcb_frame_parse(bytes, f.payload + 48, ZCB_FRAME_LINK_ETHERNET, NULL, &f),
                     ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_parse_inner(bytes, &f, NULL, &inner), ZCB_FRAME_TRUNCATED);
    assert_int_equal(inner.layers, ZCB_FRAME_IPV6 | ZCB_FRAME_PORTS | ZCB_FRAME_CUT);
    assert_int_equal(zcb_frame_destination_port(bytes, &inner), 80);
    assert_int_equal(inner.transport_len, 8);
    assert_int_equal(zcb_frame_tcp_flags(bytes, &inner), 0);

    // The same where the host that quotes has shortened the quoted length to it.
    bytes[inner.network + 5] = 8;
    bytes[inner.network + 4] = 0;
    assert_int_equal(zcb_frame_parse_inner(bytes, &f, NULL, &inner), ZCB_FRAME_OVERRUN);
    assert_int_equal(inner.layers, ZCB_FRAME_IPV6 | ZCB_FRAME_PORTS);
    assert_int_equal(zcb_frame_destination_port(bytes, &inner), 80);

    load("ip in ip", &f);
    assert_int_equal(zcb_frame_parse_inner(bytes, &f, NULL, &inner), ZCB_FRAME_OK);
    assert_int_equal(inner.payload_len, 5);
    assert_int_equal(zcb_frame_verify_transport(bytes, &inner), ZCB_FRAME_CHECKSUM_GOOD);
    load("ipv6 in ipv4", &f);
    assert_int_equal(zcb_frame_parse_inner(bytes, &f, NULL, &inner), ZCB_FRAME_OK);
    assert_int_equal(inner.layers, ZCB_FRAME_IPV6 | ZCB_FRAME_TCP | ZCB_FRAME_PORTS);
    load("udp, padded", &f);
    assert_int_equal(zcb_frame_parse_inner(bytes, &f, NULL, &inner), -EINVAL);
    assert_int_equal(zcb_frame_parse_inner(bytes, NULL, NULL, &inner), -EINVAL);
    assert_int_equal(zcb_frame_parse_inner(NULL, &f, NULL, &inner), -EINVAL);
}

static void
icmp_errors_quote_and_nothing_else_does(void **state)
{
    uint8_t v4[164] = {0x45, 0, 0, 164, 0, 0, 0, 0, 64, 1};
    uint8_t v6[184] = {0x60, 0, 0, 0, 0, 144, 58, 64};
    uint8_t tunnel[60] = {0x45, 0, 0, 60, 0, 0, 0, 0, 64, 4, [20] = 0x45, 0, 0, 40, [29] = 17};
    struct zcb_frame f, inner;

    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        bool error = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;

        v4[20] = v6[40] = (uint8_t)type;
        assert_int_equal(zcb_frame_parse(v4, sizeof(v4), ZCB_FRAME_LINK_RAW, NULL, &f), 0);
        assert_int_equal(f.layers,
                         ZCB_FRAME_IPV4 | ZCB_FRAME_ICMP | (error ? (uint32_t)ZCB_FRAME_INNER : 0));
        assert_int_equal(zcb_frame_parse(v6, sizeof(v6), ZCB_FRAME_LINK_RAW, NULL, &f), 0);
        assert_int_equal(f.layers, ZCB_FRAME_IPV6 | ZCB_FRAME_ICMPV6 |
                                       (type >= 1 && type <= 4 ? (uint32_t)ZCB_FRAME_INNER : 0));
        // A length field, of some types alone: in words of 4 bytes, or of 8. One below 128 bytes is
        // none (RFC 4884, section 4).
        if (error) {
            bool extended = type == 3 || type == 11 || type == 12;

            v4[25] = 32;
            assert_int_equal(zcb_frame_parse(v4, sizeof(v4), ZCB_FRAME_LINK_RAW, NULL, &f), 0);
            assert_true(zcb_frame_parse_inner(v4, &f, NULL, &inner) > 0);
            assert_int_equal(inner.captured, extended ? 28 + 128 : 164);
            v4[25] = 34; // all there is
            assert_true(zcb_frame_parse_inner(v4, &f, NULL, &inner) > 0);
            assert_int_equal(inner.captured, 164);
            v4[25] = 31;
            assert_true(zcb_frame_parse_inner(v4, &f, NULL, &inner) > 0);
            assert_int_equal(inner.captured, 164);
            v4[25] = 0;
        }
        if (type >= 1 && type <= 4) {
            bool extended = type == 1 || type == 3;

            v6[44] = 16;
            assert_int_equal(zcb_frame_parse(v6, sizeof(v6), ZCB_FRAME_LINK_RAW, NULL, &f), 0);
            assert_true(zcb_frame_parse_inner(v6, &f, NULL, &inner) > 0);
            assert_int_equal(inner.captured, extended ? 48 + 128 : 184);
            v6[44] = 15;
            assert_true(zcb_frame_parse_inner(v6, &f, NULL, &inner) > 0);
            assert_int_equal(inner.captured, 184);
            v6[44] = 0;
        }
    }
    // Errors without anything behind them have nothing inside.
    v4[20] = 3;
    v4[3] = 28;
    assert_int_equal(zcb_frame_parse(v4, sizeof(v4), ZCB_FRAME_LINK_RAW, NULL, &f), 0);
    assert_int_equal(f.layers, ZCB_FRAME_IPV4 | ZCB_FRAME_ICMP);

    // What is inside is of the version that was announced, or nothing that is read.
    for (int v = 0; v < 2; v++) {
        v4[20] = 3;
        v6[40] = 1;
        v4[3] = 48;
        v4[28] = v == 0 ? 0x60 : 0x45;
        v6[48] = v == 0 ? 0x45 : 0x60;
        tunnel[9] = v == 0 ? 41 : 4;
        assert_int_equal(zcb_frame_parse(v4, sizeof(v4), ZCB_FRAME_LINK_RAW, NULL, &f), 0);
        assert_int_equal(zcb_frame_parse_inner(v4, &f, NULL, &inner) == ZCB_FRAME_IP_VERSION,
                         v == 0);
        assert_int_equal(zcb_frame_parse(v6, sizeof(v6), ZCB_FRAME_LINK_RAW, NULL, &f), 0);
        assert_int_equal(zcb_frame_parse_inner(v6, &f, NULL, &inner) == ZCB_FRAME_IP_VERSION,
                         v == 0);
        assert_int_equal(zcb_frame_parse(tunnel, 60, ZCB_FRAME_LINK_RAW, NULL, &f), 0);
        assert_int_equal(zcb_frame_parse_inner(tunnel, &f, NULL, &inner),
                         v == 0 ? ZCB_FRAME_IP_VERSION : ZCB_FRAME_UDP_LENGTH);
        assert_int_equal(inner.at, v == 0 ? 20 : 44); // UDP was reached: its length is 0 still
    }

    // A tunnel carries whole packets: what claims to be longer is wrong, where a quote is cut.
    tunnel[20 + 25] = 20;
    assert_int_equal(zcb_frame_parse(tunnel, 60, ZCB_FRAME_LINK_RAW, NULL, &f), 0);
    assert_int_equal(zcb_frame_parse_inner(tunnel, &f, NULL, &inner), ZCB_FRAME_OK);
    tunnel[23] = 41;
    assert_int_equal(zcb_frame_parse_inner(tunnel, &f, NULL, &inner), ZCB_FRAME_IP_LENGTH);
    assert_int_equal(inner.at, 22);
    tunnel[20 + 25] = 21;
    tunnel[6] = 0x20; // more fragments: the rest of it is to come
    assert_int_equal(zcb_frame_parse(tunnel, 60, ZCB_FRAME_LINK_RAW, NULL, &f), 0);
    assert_int_equal(zcb_frame_parse_inner(tunnel, &f, NULL, &inner), ZCB_FRAME_OK);
    assert_true((inner.layers & ZCB_FRAME_CUT) != 0);
    tunnel[7] = 1; // not the first one: nothing begins here
    assert_int_equal(zcb_frame_parse(tunnel, 60, ZCB_FRAME_LINK_RAW, NULL, &f), 0);
    assert_int_equal(f.layers, ZCB_FRAME_IPV4 | ZCB_FRAME_FRAGMENT | ZCB_FRAME_MORE);
}

static void
families_of_the_loopbacks_are_those_of_all_systems(void **state)
{
    static const struct {
        uint8_t head[4];
        uint16_t null, loop;
    } rows[] = {
        {{2, 0, 0, 0}, 0x0800, 0},
        {{0, 0, 0, 2}, 0x0800, 0x0800},
        {{24, 0, 0, 0}, 0x86dd, 0},
        {{28, 0, 0, 0}, 0x86dd, 0},
        {{30, 0, 0, 0}, 0x86dd, 0},
        {{10, 0, 0, 0}, 0x86dd, 0},
        {{0, 0, 0, 10}, 0x86dd, 0x86dd},
        {{0, 0, 0, 24}, 0x86dd, 0x86dd},
        {{0, 0, 0, 28}, 0x86dd, 0x86dd},
        {{0, 0, 0, 30}, 0x86dd, 0x86dd},
        {{2, 0, 1, 0}, 0, 0},
        {{2, 1, 0, 0}, 0, 0},
        {{0, 0, 1, 2}, 0, 0},
        {{0, 2, 0, 0}, 0, 0},
        {{23, 0, 0, 0}, 0, 0},
        {{0, 0, 0, 0}, 0, 0},
    };
    struct zcb_frame f;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int r = zcb_frame_parse(rows[i].head, 4, ZCB_FRAME_LINK_NULL, NULL, &f);

        assert_int_equal(f.type, rows[i].null);
        assert_int_equal(r, rows[i].null != 0 ? ZCB_FRAME_TRUNCATED : ZCB_FRAME_OK);
        r = zcb_frame_parse(rows[i].head, 4, ZCB_FRAME_LINK_LOOP, NULL, &f);
        assert_int_equal(f.type, rows[i].loop);
        assert_int_equal(r, rows[i].loop != 0 ? ZCB_FRAME_TRUNCATED : ZCB_FRAME_OK);
    }
}

// The longest datagram that there can be, and one byte more.
static void
the_last_byte_of_a_datagram_is_65535(void **state)
{
    uint8_t v4[64] = {0x46, 0, 0, 24 + 24, 0, 0, 0, 0, 64, 1};
    uint8_t v6[40 + 8 + 8 + 16] = {0x60, 0, 0, 0, 0, 8 + 8 + 16, 60, 64, [40] = 44, [48] = 58};
    struct zcb_frame f;

    (void)state;
    for (uint32_t len = 0; len < 32; len++) {
        // 24 bytes of header, 65488 before, len.
        v4[3] = (uint8_t)(24 + len);
        v4[6] = (uint8_t)(65488 / 8 >> 8);
        v4[7] = (uint8_t)(65488 / 8 & 0xff);
        assert_int_equal(zcb_frame_parse(v4, sizeof(v4), ZCB_FRAME_LINK_RAW, NULL, &f),
                         24 + 65488 + len > 65535 ? ZCB_FRAME_FRAGMENT_RANGE : ZCB_FRAME_OK);
        assert_int_equal(f.fragment_off, 65488);
    }
    assert_int_equal(zcb_frame_parse("\x60\0\0\0\0\1\x3b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                     "\0\0\0\0\0\0\0\0\0\0\0\0\0",
                                     40, ZCB_FRAME_LINK_RAW,
                                     &(struct zcb_frame_config){.wire_len = 40}, &f),
                     ZCB_FRAME_IP_LENGTH);
    for (uint32_t len = 0; len <= 16; len++) {
        // Eight bytes of options count, the fragment header itself does not.
        v6[5] = (uint8_t)(16 + len);
        v6[50] = 65520 >> 8;
        v6[51] = 65520 & 0xff;
        assert_int_equal(zcb_frame_parse(v6, sizeof(v6), ZCB_FRAME_LINK_RAW, NULL, &f),
                         8 + 65520 + len > 65535 ? ZCB_FRAME_FRAGMENT_RANGE : ZCB_FRAME_OK);
        assert_int_equal(f.fragment_off, 65520);
    }
}

static void
llc_may_be_all_there_is(void **state)
{
    uint8_t frame[17] = {[12] = 0, 3, 0x42, 0x42, 3};
    struct zcb_frame f;

    (void)state;
    assert_int_equal(zcb_frame_parse(frame, 17, ZCB_FRAME_LINK_ETHERNET, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(f.payload_len, 0);
    assert_int_equal(f.layers, ZCB_FRAME_ETHERNET | ZCB_FRAME_LLC);
    frame[16] = 0; // two bytes of control are wanted then
    assert_int_equal(zcb_frame_parse(frame, 17, ZCB_FRAME_LINK_ETHERNET, NULL, &f),
                     ZCB_FRAME_OVERRUN);
    // SNAP is announced by all three bytes.
    for (size_t i = 0; i < 3; i++) {
        memcpy(frame + 14, "\xaa\xaa\3", 3);
        assert_int_equal(zcb_frame_parse(frame, 17, ZCB_FRAME_LINK_ETHERNET, NULL, &f),
                         ZCB_FRAME_OVERRUN);
        assert_int_equal(f.at, 17);
        frame[14 + i] ^= 0x10;
        assert_int_equal(zcb_frame_parse(frame, 17, ZCB_FRAME_LINK_ETHERNET, NULL, &f),
                         ZCB_FRAME_OK);
    }
    // Any other organisation's numbers are not EtherTypes.
    for (size_t i = 0; i < 3; i++) {
        uint8_t snap[23] = {[13] = 8, 0xaa, 0xaa, 3, [20] = 8};

        assert_int_equal(zcb_frame_parse(snap, 22, ZCB_FRAME_LINK_ETHERNET, NULL, &f),
                         ZCB_FRAME_OVERRUN);
        assert_int_equal(f.type, 0x800);
        snap[17 + i] = 1;
        assert_int_equal(zcb_frame_parse(snap, 22, ZCB_FRAME_LINK_ETHERNET, NULL, &f),
                         ZCB_FRAME_OK);
        assert_int_equal(f.type, 0);
    }
    memset(frame + 14, 0x42, 2);
    // 1535 is a length still, 1536 an EtherType.
    frame[12] = 5;
    frame[13] = 0xff;
    frame[16] = 3;
    assert_int_equal(zcb_frame_parse(frame, 17, ZCB_FRAME_LINK_ETHERNET, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(f.layers, ZCB_FRAME_ETHERNET | ZCB_FRAME_LLC | ZCB_FRAME_CUT);
    assert_int_equal(f.end, 14 + 1535);
    frame[12] = 6;
    frame[13] = 0;
    assert_int_equal(zcb_frame_parse(frame, 17, ZCB_FRAME_LINK_ETHERNET, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(f.layers, ZCB_FRAME_ETHERNET);
    assert_int_equal(f.type, 0x600);
}

// An IPv6 jumbogram (RFC 2675) of `len` bytes behind its header, with UDP whose length is 0.
static size_t
jumbogram(uint8_t *out, uint32_t len)
{
    static const uint8_t head[] = {0x60, 0, 0, 0, 0, 0, 0, 64};
    const uint8_t hop[] = {
        17,          0, 0xc2, 4, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
        (uint8_t)len};

    memset(out, 0, 40 + len);
    memcpy(out, head, sizeof(head));
    memcpy(out + 40, hop, sizeof(hop));
    out[48 + 1] = 7;
    out[48 + 3] = 9;
    return 40 + (size_t)len;
}

static void
frames_above_64_kib_are_nothing_special(void **state)
{
    static uint8_t big[200000];
    struct zcb_frame_config small = {.flags = ZCB_FRAME_ACCEPT_UNSIZED};
    struct zcb_frame f;
    size_t len;

    (void)state;
    // 8 bytes are the hop-by-hop header: UDP has 65536 and more.
    for (uint32_t size = 65544; size < 190000; size += 31111) {
        len = jumbogram(big, size);
        assert_int_equal(zcb_frame_parse(big, len + 10, ZCB_FRAME_LINK_RAW, NULL, &f),
                         ZCB_FRAME_OK);
        assert_int_equal(f.layers,
                         ZCB_FRAME_IPV6 | ZCB_FRAME_UDP | ZCB_FRAME_PORTS | ZCB_FRAME_JUMBO);
        assert_int_equal(f.end, len);
        assert_int_equal(f.payload_len, size - 16);
        assert_int_equal(zcb_frame_destination_port(big, &f), 9);
        assert_int_equal(zcb_frame_parse(big, len - 1, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
        assert_true((f.layers & ZCB_FRAME_CUT) != 0);
        // A fragment header behind it.
        big[40] = 44;
        assert_int_equal(zcb_frame_parse(big, len, ZCB_FRAME_LINK_RAW, NULL, &f),
                         ZCB_FRAME_JUMBO_LENGTH);
        assert_int_equal(f.at, 48);
    }
    // The least that an option may say.
    len = jumbogram(big, 65536);
    big[40] = 59;
    assert_int_equal(zcb_frame_parse(big, len, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(f.payload_len, 65528);
    // The option twice.
    len = jumbogram(big, 70000);
    big[41] = 1;
    big[48] = 1; // PadN
    big[49] = 0;
    memcpy(big + 50, big + 42, 6);
    assert_int_equal(zcb_frame_parse(big, len, ZCB_FRAME_LINK_RAW, NULL, &f),
                     ZCB_FRAME_JUMBO_LENGTH);
    assert_int_equal(f.at, 50);
    // A length that no offset holds.
    len = jumbogram(big, 70000);
    memset(big + 44, 0xff, 4);
    assert_int_equal(zcb_frame_parse(big, len, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_IP_LENGTH);
    assert_int_equal(f.at, 44);
    // It would end at 2^32 - 1, which stands for no end at all; one byte less is a packet, cut.
    big[47] = 0xff - 40;
    assert_int_equal(zcb_frame_parse(big, len, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_IP_LENGTH);
    assert_int_equal(f.at, 44);
    big[47]--;
    assert_int_equal(zcb_frame_parse(big, len, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(f.end, UINT32_MAX - 1);
    assert_true((f.layers & ZCB_FRAME_CUT) != 0);

    // What the kernel merges: IP has a length of 0. TCP fills the rest.
    memset(big, 0, sizeof(big));
    memcpy(big, "\x45\0\0\0\0\0\x40\0\x40\x06", 10);
    big[20 + 12] = 0x50;
    assert_int_equal(zcb_frame_parse(big, 80020, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(f.layers,
                     ZCB_FRAME_IPV4 | ZCB_FRAME_TCP | ZCB_FRAME_PORTS | ZCB_FRAME_UNSIZED);
    assert_int_equal(f.payload_len, 80020 - 40);
    assert_int_equal(zcb_frame_parse(big, 65536, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_parse(big, 65535, ZCB_FRAME_LINK_RAW, NULL, &f),
                     ZCB_FRAME_IP_LENGTH);
    assert_int_equal(zcb_frame_parse(big, 100, ZCB_FRAME_LINK_RAW, &small, &f), ZCB_FRAME_OK);
    assert_int_equal(f.payload_len, 60);
    // The capture was cut, the wire had it all.
    assert_int_equal(zcb_frame_parse(big, 96, ZCB_FRAME_LINK_RAW,
                                     &(struct zcb_frame_config){.wire_len = 80020}, &f),
                     ZCB_FRAME_OK);
    assert_int_equal(f.end, 80020);
    assert_true((f.layers & ZCB_FRAME_CUT) != 0);

    memcpy(big, "\x60\0\0\0\0\0\x06\x40", 8);
    big[40 + 12] = 0x50;
    assert_int_equal(zcb_frame_parse(big, 80040, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(f.payload_len, 80000 - 20);
    assert_int_equal(zcb_frame_parse(big, 65535 + 40, ZCB_FRAME_LINK_RAW, NULL, &f),
                     ZCB_FRAME_OVERRUN);
    assert_int_equal(zcb_frame_parse(big, 100, ZCB_FRAME_LINK_RAW, &small, &f), ZCB_FRAME_OK);
    // Hop-by-hop without a jumbo option.
    memcpy(big, "\x60\0\0\0\0\0\x00\x40", 8);
    memcpy(big + 40, "\x06\0\1\4\0\0\0\0", 8);
    memset(big + 48, 0, 20);
    big[48 + 12] = 0x50;
    assert_int_equal(zcb_frame_parse(big, 80048, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(f.payload_len, 80000 - 20);
    assert_int_equal(zcb_frame_parse(big, 40 + 65536, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_parse(big, 40 + 65535, ZCB_FRAME_LINK_RAW, NULL, &f),
                     ZCB_FRAME_IP_LENGTH);
    assert_int_equal(f.at, 4);
}

static void
limits_can_be_set_and_misuse_is_refused(void **state)
{
    struct zcb_frame_config config = {.max_vlans = 9, .max_extensions = 9};
    const struct frame_case *c;
    struct zcb_frame f;
    size_t len;

    (void)state;
    c = case_of("tags without end");
    len = frame_hex(c->hex, bytes, sizeof(bytes));
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), ZCB_FRAME_VLAN_DEPTH);
    assert_int_equal(f.vlans, 9);
    config.max_vlans = 10;
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), ZCB_FRAME_TRUNCATED);
    assert_int_equal(f.vlans, 9);
    config.max_vlans = 1;
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), ZCB_FRAME_VLAN_DEPTH);
    assert_int_equal(f.vlans, 1);
    c = case_of("nine extension headers");
    len = frame_hex(c->hex, bytes, sizeof(bytes));
    // The ninth names a tenth.
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), ZCB_FRAME_EXTENSION_COUNT);
    assert_int_equal(f.extensions, 9);

    config = (struct zcb_frame_config){0};
    f.captured = 77;
    for (size_t i = 0; i < 5; i++) {
        config.reserved[i] = 1;
        assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), -EINVAL);
        config.reserved[i] = 0;
    }
    config.flags = 2;
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), -EINVAL);
    config = (struct zcb_frame_config){.max_vlans = 64, .max_extensions = 64};
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), ZCB_FRAME_OVERRUN);
    f.captured = 77;
    config = (struct zcb_frame_config){.max_vlans = 65};
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), -EINVAL);
    config = (struct zcb_frame_config){.max_extensions = 65};
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), -EINVAL);
    assert_int_equal(zcb_frame_parse(NULL, 1, c->link, NULL, &f), -EINVAL);
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, NULL, NULL), -EINVAL);
    assert_int_equal(zcb_frame_parse(bytes, len, (enum zcb_frame_link)147, NULL, &f), -ENOTSUP);
#if SIZE_MAX > UINT32_MAX
    assert_int_equal(zcb_frame_parse(bytes, ((size_t)1 << 31) + 1, c->link, NULL, &f), -EOVERFLOW);
#endif
    assert_int_equal(f.captured, 77);
    assert_int_equal(zcb_frame_parse(NULL, 0, c->link, NULL, &f), ZCB_FRAME_TRUNCATED);

    // Raw IP by its other numbers; a wire length below what is there.
    c = case_of("raw ipv4");
    len = frame_hex(c->hex, bytes, sizeof(bytes));
    assert_int_equal(zcb_frame_parse(bytes, len, (enum zcb_frame_link)12, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_parse(bytes, len, (enum zcb_frame_link)14, NULL, &f), ZCB_FRAME_OK);
    config = (struct zcb_frame_config){.wire_len = len - 1};
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), ZCB_FRAME_IP_LENGTH);
    config.wire_len = SIZE_MAX;
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, &config, &f), ZCB_FRAME_OK);
}

static void
verdicts_and_states_have_names(void **state)
{
    (void)state;
    assert_string_equal(zcb_frame_verdict_name(ZCB_FRAME_OK), "ok");
    assert_string_equal(zcb_frame_verdict_name(ZCB_FRAME_UDP_LENGTH), "udp_length");
    assert_string_equal(zcb_frame_verdict_name(ZCB_FRAME_UDP_LENGTH + 1), "unknown");
    assert_string_equal(zcb_frame_verdict_name(-EINVAL), "unknown");
    assert_non_null(strstr(zcb_frame_verdict_text(ZCB_FRAME_TCP_OFFSET), "below 20"));
    assert_string_equal(zcb_frame_verdict_text(-1), "unknown");
    assert_string_equal(zcb_frame_checksum_name(ZCB_FRAME_CHECKSUM_PARTIAL), "partial");
    assert_string_equal(zcb_frame_checksum_name(6), "unknown");
    assert_string_equal(zcb_frame_checksum_name(-1), "unknown");
}

static void
both_directions_of_a_conversation_have_one_key(void **state)
{
    struct zcb_frame_flow there, back, key;
    struct zcb_frame f;

    (void)state;
    load("port unreachable, 8 bytes quoted", &f);
    assert_int_equal(zcb_frame_parse_inner(bytes, &f, NULL, &f), -EINVAL); // not onto itself
    struct zcb_frame inner;
    assert_int_equal(zcb_frame_parse_inner(bytes, &f, NULL, &inner), ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_flow_of(bytes, &inner, &there), 0);
    assert_int_equal(there.version, 4);
    assert_int_equal(there.protocol, 17);
    assert_int_equal(there.port[0], 5000);
    assert_memory_equal(there.address[0], "\xc0\xa8\1\2\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    back = there;
    memcpy(back.address[0], there.address[1], 16);
    memcpy(back.address[1], there.address[0], 16);
    back.port[0] = there.port[1];
    back.port[1] = there.port[0];
    assert_false(zcb_frame_flow_equal(&there, &back));
    assert_true(zcb_frame_flow_canonical(&there) != zcb_frame_flow_canonical(&back));
    assert_true(zcb_frame_flow_equal(&there, &back));
    assert_false(zcb_frame_flow_canonical(&there));
    // One host with itself: the ports decide.
    key = there;
    memcpy(key.address[1], key.address[0], 16);
    key.port[0] = key.port[1] = 1;
    assert_false(zcb_frame_flow_canonical(&key));
    key.port[0] = 2;
    assert_true(zcb_frame_flow_canonical(&key));
    assert_int_equal(key.port[0], 1);
    assert_false(zcb_frame_flow_canonical(&key));

    load("stacked tags, ipv6 tcp", &f);
    assert_int_equal(zcb_frame_flow_of(bytes, &f, &key), 0);
    assert_int_equal(key.version, 6);
    assert_int_equal(key.protocol, 6);
    assert_int_equal(key.port[1], 80);
    assert_memory_equal(key.address[1], zcb_frame_destination(bytes, &f), 16);
    load("arp request, padded", &f);
    key = there;
    assert_int_equal(zcb_frame_flow_of(bytes, &f, &key), -ENOTSUP);
    assert_true(zcb_frame_flow_equal(&key, &there));
    load("middle fragment", &f);
    assert_int_equal(zcb_frame_flow_of(bytes, &f, &key), 0);
    assert_int_equal(key.port[0] | key.port[1], 0);
}

// Values from another SipHash-1-3, over the key as it lies in a little-endian host's memory.
static void
the_hash_is_siphash_and_depends_on_every_bit(void **state)
{
    struct zcb_frame_flow flow = {.port = {0x1234, 443}, .protocol = 6, .version = 4};
    uint64_t plain, seen[40 * 8 + 2];
    size_t n = 0;

    (void)state;
    memcpy(flow.address[0], "\xc0\xa8\0\1", 4);
    memcpy(flow.address[1], "\x0a\0\0\3", 4);
    assert_true(zcb_frame_flow_hash(&flow, 0) == UINT64_C(0xf2bce43f0ca65a55));
    assert_true(zcb_frame_flow_hash(&flow, UINT64_C(0x0123456789abcdef)) ==
                UINT64_C(0x4630abd4f5596237));
    plain = zcb_frame_flow_hash(&flow, 7);
    seen[n++] = plain;
    seen[n++] = zcb_frame_flow_hash(&flow, 8);
    for (size_t bit = 0; bit < sizeof(flow) * 8; bit++) {
        struct zcb_frame_flow other = flow;

        ((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        seen[n++] = zcb_frame_flow_hash(&other, 7);
        assert_false(zcb_frame_flow_equal(&flow, &other));
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_true((uint32_t)seen[i] != (uint32_t)seen[j]);
}

static void
parsing_allocates_nothing_and_copies_what_crosses_chunks_alone(void **state)
{
    const struct frame_case *c = case_of("udp, padded");
    size_t len = frame_hex(c->hex, bytes, sizeof(bytes));
    struct zcb_chain chain;
    struct zcb_frame f;
    uint64_t allocations;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    push_lone(&chain, bytes, len);
    push_lone(&chain, bytes, 20); // in the middle of its IP header
    push_lone(&chain, bytes + 20, len - 20);
    push_lone(&chain, bytes, 34); // between headers
    push_lone(&chain, bytes + 34, len - 34);
    struct zcb_copies before = copies_now();
    allocations = zcb_alloc_count();
    assert_int_equal(zcb_frame_parse(bytes, len, c->link, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_parse_chain(&chain, 0, len, c->link, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_parse_chain(&chain, 2 * len, len, c->link, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_verify_transport_chain(&chain, 0, &f), ZCB_FRAME_CHECKSUM_GOOD);
    assert_true(nothing_copied(&before));
    assert_int_equal(zcb_frame_parse_chain(&chain, len, len, c->link, NULL, &f), ZCB_FRAME_OK);
    assert_true(only_copied(&before, ZCB_COPY_PEEK, 20));
    assert_true(zcb_alloc_count() == allocations);
    zcb_chain_finish(&chain);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_header_is_found_and_every_fault_has_its_verdict),
        cmocka_unit_test(every_prefix_at_every_alignment_is_read_inside_its_bytes),
        cmocka_unit_test(a_chain_cut_anywhere_gives_the_same_as_contiguous_bytes),
        cmocka_unit_test(a_chain_with_fewer_bytes_is_told),
        cmocka_unit_test(fields_are_read_from_where_they_are),
        cmocka_unit_test(options_are_walked_and_wrong_lengths_end_it),
        cmocka_unit_test(options_of_a_frame_are_those_of_its_headers),
        cmocka_unit_test(a_quote_shows_whose_packet_it_was),
        cmocka_unit_test(icmp_errors_quote_and_nothing_else_does),
        cmocka_unit_test(families_of_the_loopbacks_are_those_of_all_systems),
        cmocka_unit_test(the_last_byte_of_a_datagram_is_65535),
        cmocka_unit_test(llc_may_be_all_there_is),
        cmocka_unit_test(frames_above_64_kib_are_nothing_special),
        cmocka_unit_test(limits_can_be_set_and_misuse_is_refused),
        cmocka_unit_test(verdicts_and_states_have_names),
        cmocka_unit_test(both_directions_of_a_conversation_have_one_key),
        cmocka_unit_test(the_hash_is_siphash_and_depends_on_every_bit),
        cmocka_unit_test(parsing_allocates_nothing_and_copies_what_crosses_chunks_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
