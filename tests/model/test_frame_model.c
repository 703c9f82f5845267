// SPDX-License-Identifier: MIT
//
// Random frames: sums against the simple way of taking them, over any length, place and cut;
// updates against computing anew, with the corners of one's complement; layers in any order, built
// and parsed back; frames that were tampered with.
#include "../unit/frame_testing.h"

#include "support/alloc_count.h"

static uint8_t bytes[4096];

static void
fill(uint64_t *rng, uint8_t *at, size_t len)
{
    // Mostly any bytes; at times all zero or all ones, where carries are at their worst.
    switch (zcb_test_below(rng, 6)) {
    case 0:
        memset(at, 0, len);
        break;
    case 1:
        memset(at, 0xff, len);
        break;
    default:
        for (size_t i = 0; i < len; i++)
            at[i] = (uint8_t)zcb_test_random(rng);
    }
}

static void
a_sum_is_that_of_its_16_bit_words(void **state)
{
    uint64_t rng = zcb_test_seed();

    (void)state;
    for (size_t round = 0; round < zcb_test_rounds(10000); round++) {
        size_t len = zcb_test_below(&rng, zcb_test_below(&rng, 2) ? 100 : 2000);
        size_t off = zcb_test_below(&rng, 16);
        uint32_t start = (uint32_t)zcb_test_random(&rng);
        uint16_t narrow = (uint16_t)start;
        uint8_t *block, *data;

        fill(&rng, bytes, len);
        data = frame_exact(bytes, len, off, &block);
        assert_int_equal((uint16_t)~zcb_frame_checksum(zcb_frame_sum(data, len, narrow)),
                         naive_sum(data, len, narrow));
        // Any 32-bit sum may go on, as the two halves of one.
        assert_int_equal(
            zcb_frame_checksum(zcb_frame_sum(data, len, start)),
            zcb_frame_checksum(zcb_frame_sum(data, len, (start >> 16) + (start & 0xffff))));
        free(block);
    }
}

static void
parts_at_odd_places_add_up(void **state)
{
    uint64_t rng = zcb_test_seed();

    (void)state;
    for (size_t round = 0; round < zcb_test_rounds(5000); round++) {
        size_t len = zcb_test_below(&rng, 300), at = 0;
        struct zcb_chain chain;
        uint32_t sum = 0, whole, off, part;

        fill(&rng, bytes, len);
        assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
        while (at < len) {
            size_t piece = 1 + zcb_test_below(&rng, zcb_test_below(&rng, 2) ? 3 : 60);

            piece = piece < len - at ? piece : len - at;
            sum = zcb_frame_sum_add(sum, zcb_frame_sum(bytes + at, piece, 0), at);
            push_lone(&chain, bytes + at, piece);
            at += piece;
        }
        whole = zcb_frame_sum(bytes, len, 0);
        assert_int_equal(zcb_frame_checksum(sum), zcb_frame_checksum(whole));
        off = (uint32_t)zcb_test_below(&rng, len + 1);
        part = (uint32_t)zcb_test_below(&rng, len - off + 1);
        assert_int_equal(zcb_frame_sum_chain(&chain, off, part, 0x1234, &sum), 0);
        assert_int_equal(zcb_frame_checksum(sum),
                         zcb_frame_checksum(zcb_frame_sum(bytes + off, part, 0x1234)));
        sum = 77;
        assert_int_equal(zcb_frame_sum_chain(&chain, off, len - off + 1, 0, &sum), -EAGAIN);
        assert_int_equal(zcb_frame_sum_chain(&chain, len + 1, 0, 0, &sum), -EAGAIN);
        assert_int_equal(zcb_frame_sum_chain(&chain, 1, SIZE_MAX, 0, &sum), -EAGAIN);
        assert_int_equal(sum, 77);
        zcb_chain_finish(&chain);
    }
}

// A header of ten words whose sum cannot be 0; every interesting value of the field that changes.
static void
an_update_equals_computing_anew(void **state)
{
    static const uint16_t corners[] = {0, 1, 0x00ff, 0xff00, 0x7fff, 0x8000, 0xfffe, 0xffff};
    uint64_t rng = zcb_test_seed();

    (void)state;
    for (size_t round = 0; round < zcb_test_rounds(10000); round++) {
        uint16_t before = corners[zcb_test_below(&rng, 8)],
                 after = corners[zcb_test_below(&rng, 8)];
        uint8_t header[40], old[16];
        uint16_t checksum, anew;

        fill(&rng, header, sizeof(header));
        header[0] |= 0x40;
        if (round % 2 != 0) {
            before = (uint16_t)zcb_test_random(&rng);
            after = (uint16_t)zcb_test_random(&rng);
        }
        header[10] = (uint8_t)(before >> 8);
        header[11] = (uint8_t)before;
        checksum = zcb_frame_checksum(zcb_frame_sum(header, sizeof(header), 0));
        header[10] = (uint8_t)(after >> 8);
        header[11] = (uint8_t)after;
        anew = zcb_frame_checksum(zcb_frame_sum(header, sizeof(header), 0));
        assert_int_equal(zcb_frame_checksum_update16(checksum, before, after), anew);

        checksum = anew;
        memcpy(old, header + 12, 4);
        fill(&rng, header + 12, 4);
        anew = zcb_frame_checksum(zcb_frame_sum(header, sizeof(header), 0));
        assert_int_equal(
            zcb_frame_checksum_update32(checksum, zcb_frame_u32(old, 0), zcb_frame_u32(header, 12)),
            anew);
        assert_int_equal(zcb_frame_checksum_update(checksum, old, header + 12, 4), anew);

        checksum = anew;
        memcpy(old, header + 24, 16);
        fill(&rng, header + 24, 16);
        anew = zcb_frame_checksum(zcb_frame_sum(header, sizeof(header), 0));
        assert_int_equal(zcb_frame_checksum_update(checksum, old, header + 24, 16), anew);
    }
}

// ---- frames of random layers

static const uint32_t kinds[] = {ZCB_FRAME_TCP, ZCB_FRAME_UDP, ZCB_FRAME_ICMP, ZCB_FRAME_ICMPV6};

// What was put into a frame, to be found again.
struct model {
    uint32_t layers;
    uint32_t vlans, extensions;
    uint16_t port[2];
    uint32_t word; // sequence, or what ICMP has behind its checksum
    uint8_t address[2][16];
    uint8_t ttl, code;
    bool summed;
};

static void
bytes_of(uint64_t *rng, void *out, size_t len)
{
    uint8_t *at = out;

    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)zcb_test_random(rng);
}

static void
prepend_transport(struct zcb_frame_builder *b, uint64_t *rng, struct model *m)
{
    uint8_t options[40];
    size_t n = zcb_test_below(rng, 41);

    m->port[0] = (uint16_t)zcb_test_random(rng);
    m->port[1] = (uint16_t)zcb_test_random(rng);
    m->word = (uint32_t)zcb_test_random(rng);
    m->code = (uint8_t)zcb_test_random(rng);
    m->summed = true;
    memset(options, 1, sizeof(options));
    if (m->layers & ZCB_FRAME_TCP) {
        struct zcb_frame_tcp tcp = {.source = m->port[0],
                                    .destination = m->port[1],
                                    .sequence = m->word,
                                    .flags = ZCB_FRAME_SYN,
                                    .options = options,
                                    .options_len = n};

        assert_int_equal(zcb_frame_prepend_tcp(b, &tcp), 0);
    } else if (m->layers & ZCB_FRAME_UDP) {
        struct zcb_frame_udp udp = {.source = m->port[0], .destination = m->port[1]};

        m->summed = zcb_test_below(rng, 4) != 0;
        udp.flags = m->summed ? 0 : (uint32_t)ZCB_FRAME_NO_CHECKSUM;
        assert_int_equal(zcb_frame_prepend_udp(b, &udp), 0);
    } else {
        struct zcb_frame_icmp icmp = {.type = 128, .code = m->code, .rest = m->word};

        assert_int_equal(m->layers & ZCB_FRAME_ICMP ? zcb_frame_prepend_icmp(b, &icmp)
                                                    : zcb_frame_prepend_icmpv6(b, &icmp),
                         0);
    }
    if (m->layers & (ZCB_FRAME_TCP | ZCB_FRAME_UDP))
        m->layers |= ZCB_FRAME_PORTS;
}

static void
prepend_network(struct zcb_frame_builder *b, uint64_t *rng, struct model *m)
{
    static const uint8_t types[] = {43, 44, 51, 60, 135, 139, 140};
    uint8_t body[62] = {0}, options[40];
    bool v6 = (m->layers & ZCB_FRAME_ICMPV6) != 0 ||
              ((m->layers & ZCB_FRAME_ICMP) == 0 && zcb_test_below(rng, 2));
    bool fragmented = false;

    bytes_of(rng, m->address, sizeof(m->address));
    m->ttl = (uint8_t)(1 + zcb_test_below(rng, 255));
    if (!v6) {
        struct zcb_frame_ipv4 ip = {.ttl = m->ttl,
                                    .tos = (uint8_t)zcb_test_random(rng),
                                    .id = (uint16_t)zcb_test_random(rng),
                                    .options = options,
                                    .options_len = zcb_test_below(rng, 41)};

        memset(options, 1, sizeof(options));
        memcpy(ip.source, m->address[0], 4);
        memcpy(ip.destination, m->address[1], 4);
        m->layers |= ZCB_FRAME_IPV4;
        assert_int_equal(zcb_frame_prepend_ipv4(b, &ip), 0);
        return;
    }
    m->layers |= ZCB_FRAME_IPV6;
    for (size_t n = zcb_test_below(rng, 8); n > 0; n--) {
        uint8_t type = types[zcb_test_below(rng, sizeof(types))];
        size_t len = type == 44 ? 6 : type == 51 ? 10 + 4 * zcb_test_below(rng, 10) : 14;

        if (type == 44 && fragmented)
            continue;
        fragmented |= type == 44;
        bytes_of(rng, body, sizeof(body));
        if (type == 44)
            memset(body, 0, 4);
        if (type == 43)
            body[1] = 0; // no segments left
        m->extensions++;
        assert_int_equal(
            zcb_frame_prepend_extension(
                b, &(struct zcb_frame_extension){.type = type, .body = body, .body_len = len}),
            0);
    }
    if (zcb_test_below(rng, 4) == 0) {
        m->extensions++;
        assert_int_equal(
            zcb_frame_prepend_extension(
                b, &(struct zcb_frame_extension){.type = 0, .body = "\5\2\0\0\1\0", .body_len = 6}),
            0);
    }
    struct zcb_frame_ipv6 ip = {.hop_limit = m->ttl,
                                .traffic_class = (uint8_t)zcb_test_random(rng),
                                .flow_label = (uint32_t)zcb_test_below(rng, 1u << 20)};
    memcpy(ip.source, m->address[0], 16);
    memcpy(ip.destination, m->address[1], 16);
    assert_int_equal(zcb_frame_prepend_ipv6(b, &ip), 0);
}

static enum zcb_frame_link
prepend_link(struct zcb_frame_builder *b, uint64_t *rng, struct model *m)
{
    struct zcb_frame_ethernet ethernet;

    if (zcb_test_below(rng, 4) == 0)
        return ZCB_FRAME_LINK_RAW;
    for (size_t n = zcb_test_below(rng, 5); n > 0; n--) {
        struct zcb_frame_vlan vlan = {.tci = (uint16_t)zcb_test_random(rng),
                                      .tpid = zcb_test_below(rng, 2) ? 0x88a8 : 0};

        m->vlans++;
        m->layers |= ZCB_FRAME_VLAN;
        assert_int_equal(zcb_frame_prepend_vlan(b, &vlan), 0);
    }
    memset(&ethernet, 0, sizeof(ethernet));
    bytes_of(rng, ethernet.destination, 6);
    m->layers |= ZCB_FRAME_ETHERNET;
    assert_int_equal(zcb_frame_prepend_ethernet(b, &ethernet), 0);
    return ZCB_FRAME_LINK_ETHERNET;
}

static void
assert_found(const uint8_t *data, const struct zcb_frame *f, const struct model *m)
{
    uint32_t n = zcb_frame_address_len(f);
    bool v4 = (m->layers & ZCB_FRAME_IPV4) != 0;

    assert_int_equal(f->layers, m->layers);
    assert_int_equal(f->vlans, m->vlans);
    assert_int_equal(f->extensions, m->extensions);
    assert_memory_equal(zcb_frame_source(data, f), m->address[0], n);
    assert_memory_equal(zcb_frame_destination(data, f), m->address[1], n);
    assert_int_equal(zcb_frame_ttl(data, f), m->ttl);
    if (m->layers & ZCB_FRAME_PORTS) {
        assert_int_equal(zcb_frame_source_port(data, f), m->port[0]);
        assert_int_equal(zcb_frame_destination_port(data, f), m->port[1]);
    } else {
        assert_int_equal(zcb_frame_icmp_type(data, f), 128);
        assert_int_equal(zcb_frame_icmp_code(data, f), m->code);
        assert_int_equal(zcb_frame_icmp_rest(data, f), m->word);
    }
    if (v4)
        assert_int_equal(zcb_frame_verify_ip(data, f), ZCB_FRAME_CHECKSUM_GOOD);
    assert_int_equal(zcb_frame_verify_transport(data, f), m->summed ? ZCB_FRAME_CHECKSUM_GOOD
                                                          : v4      ? ZCB_FRAME_CHECKSUM_NONE
                                                                    : ZCB_FRAME_CHECKSUM_MISSING);
}

static void
what_is_built_is_parsed_back_with_good_checksums(void **state)
{
    uint64_t rng = zcb_test_seed();

    (void)state;
    for (size_t round = 0; round < zcb_test_rounds(10000); round++) {
        struct model m = {.layers = kinds[zcb_test_below(&rng, 4)]};
        size_t len = zcb_test_below(&rng, zcb_test_below(&rng, 3) ? 100 : 2000), off;
        struct zcb_frame_builder b;
        enum zcb_frame_link link;
        struct zcb_chain chain;
        struct zcb_frame f, g;
        struct zcb_buf *buf;
        uint64_t allocations;
        const uint8_t *data;
        uint8_t *at;

        assert_int_equal(zcb_buf_alloc(NULL, 4096, &buf), 0);
        assert_int_equal(zcb_buf_set_headroom(buf, 1024 + zcb_test_below(&rng, 8)), 0);
        assert_int_equal(zcb_buf_append(buf, len, &at), 0);
        fill(&rng, at, len);
        allocations = zcb_alloc_count();
        assert_int_equal(zcb_frame_build_into(&b, buf), 0);
        prepend_transport(&b, &rng, &m);
        prepend_network(&b, &rng, &m);
        link = prepend_link(&b, &rng, &m);
        assert_int_equal(zcb_frame_finish(&b, 0), 0);
        assert_true(zcb_alloc_count() == allocations);
        assert_ptr_equal(zcb_buf_data(buf) + zcb_buf_len(buf), at + len);

        data = zcb_buf_data(buf);
        off = zcb_buf_len(buf);
        assert_int_equal(
            zcb_frame_parse(data, off, link, &(struct zcb_frame_config){.wire_len = off}, &f),
            ZCB_FRAME_OK);
        assert_frame_sound(&f, off);
        assert_int_equal(f.payload_len, len);
        assert_ptr_equal(data + f.payload, at);
        assert_found(data, &f, &m);

        // In chunks of any size: the same.
        assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
        push_cut(&chain, data, off, 1 + zcb_test_below(&rng, 200));
        assert_int_equal(zcb_frame_parse_chain(&chain, 0, off, link, NULL, &g), ZCB_FRAME_OK);
        assert_memory_equal(&f, &g, sizeof(f));
        assert_int_equal(zcb_frame_verify_transport_chain(&chain, 0, &g),
                         zcb_frame_verify_transport(data, &f));
        zcb_chain_finish(&chain);
        zcb_buf_release(&buf);
    }
}

// ---- frames that were tampered with

// Frames of the table with bytes changed, cut off or put in: whatever comes out is sound, nothing
// is read outside, and chunks make no difference.
static void
damaged_frames_are_read_inside_their_bytes(void **state)
{
    uint64_t rng = zcb_test_seed();
    uint32_t verdicts[ZCB_FRAME_UDP_LENGTH + 1] = {0};

    (void)state;
    for (size_t round = 0; round < zcb_test_rounds(200000); round++) {
        const struct frame_case *c = &frame_cases[zcb_test_below(&rng, FRAME_CASES)];
        size_t len = frame_hex(c->hex, bytes, sizeof(bytes));
        struct zcb_frame_config config = {.flags = (uint32_t)zcb_test_below(&rng, 2)};
        struct zcb_frame f, g, inner;
        uint8_t *block, *data;
        int r;

        for (size_t n = zcb_test_below(&rng, 4); n > 0 && len != 0; n--)
            bytes[zcb_test_below(&rng, len)] = zcb_test_below(&rng, 2)
                                                   ? (uint8_t)zcb_test_random(&rng)
                                                   : (uint8_t)zcb_test_below(&rng, 16);
        if (zcb_test_below(&rng, 3) == 0)
            len = zcb_test_below(&rng, len + 1);
        if (zcb_test_below(&rng, 3) == 0)
            config.wire_len = 1 + zcb_test_below(&rng, len + 20);
        data = frame_exact(bytes, len, zcb_test_below(&rng, 8), &block);
        r = zcb_frame_parse(data, len, c->link, &config, &f);
        assert_in_range(r, 0, ZCB_FRAME_UDP_LENGTH);
        assert_frame_sound(&f, len);
        verdicts[r]++;
        frame_touch(data, &f);
        for (int depth = 0; depth < 4 && (f.layers & ZCB_FRAME_INNER) != 0; depth++) {
            assert_true(zcb_frame_parse_inner(data, &f, &config, &inner) >= 0);
            assert_frame_sound(&inner, inner.captured);
            assert_true(inner.captured <= len && inner.start == f.payload);
            frame_touch(data, &inner);
            f = inner;
        }
        if (round % 8 == 0) {
            struct zcb_chain chain;

            assert_int_equal(zcb_frame_parse(data, len, c->link, &config, &f), r);
            assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
            push_cut(&chain, data, len, 1 + zcb_test_below(&rng, 40));
            assert_int_equal(zcb_frame_parse_chain(&chain, 0, len, c->link, &config, &g), r);
            assert_memory_equal(&f, &g, sizeof(f));
            assert_int_equal(zcb_frame_verify_ip_chain(&chain, 0, &g),
                             zcb_frame_verify_ip(data, &f));
            assert_int_equal(zcb_frame_verify_transport_chain(&chain, 0, &g),
                             zcb_frame_verify_transport(data, &f));
            zcb_chain_finish(&chain);
        }
        free(block);
    }
    // Every way of being wrong has come up.
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
        if (verdicts[i] == 0)
            fail_msg("no frame was %s", zcb_frame_verdict_name((int)i));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_is_that_of_its_16_bit_words),
        cmocka_unit_test(parts_at_odd_places_add_up),
        cmocka_unit_test(an_update_equals_computing_anew),
        cmocka_unit_test(what_is_built_is_parsed_back_with_good_checksums),
        cmocka_unit_test(damaged_frames_are_read_inside_their_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
