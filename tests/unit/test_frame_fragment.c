// SPDX-License-Identifier: MIT
//
// Datagrams into fragments and back: what may be done is done without copying, what must not be is
// refused by its name, and nothing that is sent makes the reassembler hold more than it may.
#include "fragment_testing.h"

#include "support/alloc_count.h"
#include "support/pools.h"

static struct zcb_pool *pool;
static struct zcb_chain out;

static int
set_up(void **state)
{
    (void)state;
    if (zcb_pool_create(NULL, &pool) < 0)
        return -1;
    return zcb_chain_init(&out, pool, NULL);
}

static int
tear_down(void **state)
{
    (void)state;
    zcb_chain_finish(&out);
    must_end(&pool);
    return 0;
}

static struct zcb_reassembler *
reassembler(const struct zcb_reassembler_config *config)
{
    struct zcb_reassembler *r;

    assert_int_equal(zcb_reassembler_create(pool, 1, config, &r), 0);
    return r;
}

#define assert_result(result, expected)                                                            \
    do {                                                                                           \
        int result_ = (result);                                                                    \
        if (result_ != (expected))                                                                 \
            fail_msg("%s (%d) where it should be %s", zcb_reassembly_name(result_), result_,       \
                     zcb_reassembly_name(expected));                                               \
    } while (0)

// ---- fragment

// A whole datagram as a packet with `link` bytes in front.
static struct zcb_packet
datagram(const struct whole *w, uint32_t len, size_t link)
{
    uint8_t *bytes = malloc(65536 + 4096);
    struct zcb_packet packet;
    size_t size;

    assert_non_null(bytes);
    for (size_t i = 0; i < link; i++)
        bytes[i] = (uint8_t)(0xa0 + i);
    if (link == 14)
        put16(bytes + 12, w->version == 4 ? 0x0800 : 0x86dd);
    size = link + whole_header(w, bytes + link, 0, len, false, false);
    for (uint32_t i = 0; i < len; i++)
        bytes[size + i] = whole_byte(w, i);
    packet = lone_packet(bytes, size + len);
    free(bytes);
    return packet;
}

static struct zcb_frame
parsed(const struct zcb_packet *packet, enum zcb_frame_link link)
{
    struct zcb_frame frame;

    assert_int_equal(zcb_frame_parse(packet->data, packet->len, link, NULL, &frame), 0);
    return frame;
}

// Options: no operation, one of 6 bytes that is copied, record route (not copied), end.
static const uint8_t options[] = {1, 0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0x86, 6, 1, 2, 3, 4, 1, 0};
static const uint8_t options_later[] = {0x94, 4, 0, 0, 0x86, 6, 1, 2, 3, 4, 0, 0};

// Hop-by-hop options, then a routing header with nothing left, then destination options.
static const uint8_t extensions[] = {43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 4, 0,
                                     0,  0, 0, 0, 0, 0, 1, 4, 0,  0, 0, 0};

static const uint8_t hop_by_hop[] = {60, 0, 1, 4, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0};

// Buffers of a pool come as the last user left them.
static void
soil_the_pool(void)
{
    struct zcb_buf *bufs[16];

    for (int i = 0; i < 16; i++) {
        bufs[i] = must_acquire(pool, 4096);
        memset(zcb_buf_data(bufs[i]), 0xee, 4096);
    }
    zcb_buf_release_n(bufs, 16);
}

static void
fragments_hold_slices_of_the_datagram_and_headers_that_fit_them(void **state)
{
    static const struct {
        struct whole w;
        uint32_t len, mtu, link;
    } cases[] = {
        {{.version = 4, .id = 0x1234}, 4000, 1500, 14},
        {{.version = 4, .id = 1}, 65515, 68, 0},
        {{.version = 4, .id = 7, .extra = options, .extra_len = 20}, 1000, 100, 14},
        {{.version = 4, .id = 7, .extra = options, .extra_len = 20}, 65475, 1500, 0},
        {{.version = 6, .id = 77}, 4000, 1500, 14},
        {{.version = 6, .id = 78}, 65535, 1280, 0},
        {{.version = 6, .id = 79, .extra = extensions, .extra_len = 24}, 5000, 1281, 14},
        {{.version = 6, .id = 80, .extra = hop_by_hop, .extra_len = 16}, 5000, 1281, 14},
        {{.version = 6, .id = 80, .extra = hop_by_hop, .extra_len = 8}, 5000, 1281, 0},
        {{.version = 6, .extra = hop_by_hop, .extra_len = 8, .extra_kind = 60}, 5000, 1281, 0},
    };

    (void)state;
    soil_the_pool();
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const struct whole *w = &cases[c].w;
        uint32_t link = cases[c].link, at = 0, count = 0, unfragmentable = 0;
        struct zcb_packet packet = datagram(w, cases[c].len, link);
        struct zcb_frame frame =
            parsed(&packet, link != 0 ? ZCB_FRAME_LINK_ETHERNET : ZCB_FRAME_LINK_RAW);
        struct zcb_fragment_config config = {.id = 0xdeadbeef, .flags = ZCB_FRAGMENT_LINK};
        struct zcb_copies before = copies_now();
        size_t data = link + (w->version == 4 ? 20 + w->extra_len : 40);
        struct zcb_fragmenter cut;
        int result;

        // What is in front of the destination options: both, hop-by-hop, none.
        if (w->version == 6 && w->extra_kind == 0)
            unfragmentable = w->extra_len == 24 ? 16 : w->extra_len != 0 ? 8 : 0;
        data += unfragmentable;
        assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, cases[c].mtu, &config),
                         0);
        while ((result = zcb_fragmenter_next(&cut, &out)) == 1) {
            struct zcb_frame part;
            struct iovec iov[3];
            uint8_t header[200];
            size_t covered, header_len;

            assert_chain_sound(&out);
            assert_int_equal(zcb_chain_iov(&out, 0, iov, 3, &covered), 2);
            header_len = iov[0].iov_len;
            memcpy(header, iov[0].iov_base, header_len);
            assert_memory_equal(header, packet.data, link);
            assert_ptr_equal(iov[1].iov_base, packet.data + data + at);
            assert_int_equal(
                zcb_frame_parse_chain(&out, 0, zcb_chain_len(&out), frame.link, NULL, &part), 0);
            assert_true(zcb_chain_len(&out) <= cases[c].mtu + link);
            assert_int_equal(part.end, zcb_chain_len(&out));
            assert_int_equal(part.fragment_off, at);
            assert_true((part.layers & ZCB_FRAME_FRAGMENT) != 0);
            at += (uint32_t)iov[1].iov_len;
            assert_int_equal((part.layers & ZCB_FRAME_MORE) != 0, data + at != packet.len);
            if ((part.layers & ZCB_FRAME_MORE) != 0) {
                assert_int_equal(iov[1].iov_len % 8, 0);
                // No fragment less than could be.
                assert_true(zcb_chain_len(&out) - link + 8 > cases[c].mtu);
            }
            if (w->version == 4) {
                assert_int_equal(zcb_frame_verify_ip_chain(&out, 0, &part),
                                 ZCB_FRAME_CHECKSUM_GOOD);
                assert_int_equal(part.fragment_id, w->id);
                if (count == 0)
                    assert_memory_equal(header + link + 20, w->extra, w->extra_len);
                else if (w->extra_len != 0)
                    assert_memory_equal(header + link + 20, options_later, 12);
                assert_int_equal(header_len, link + 20 +
                                                 (count == 0          ? w->extra_len
                                                  : w->extra_len != 0 ? 12
                                                                      : 0));
            } else {
                assert_int_equal(part.fragment_id, 0xdeadbeef);
                assert_int_equal(header_len, link + 48 + unfragmentable);
                // Next header and a reserved byte, in front of it 44 where that was.
                assert_int_equal(header[header_len - 8], w->extra_len > unfragmentable ? 60 : 253);
                assert_int_equal(header[header_len - 7], 0);
                assert_int_equal(header[link + 6], unfragmentable == 0 ? 44 : 0);
                if (unfragmentable != 0)
                    assert_int_equal(header[link + 40], unfragmentable == 16 ? 43 : 44);
                if (unfragmentable == 16)
                    assert_int_equal(header[link + 48], 44);
            }
            count++;
            assert_int_equal(zcb_chain_discard(&out, zcb_chain_len(&out)), 0);
        }
        assert_int_equal(result, 0);
        assert_int_equal(zcb_fragmenter_next(&cut, &out), 0);
        assert_int_equal(data + at, packet.len);
        assert_true(count > 1);
        assert_true(nothing_copied(&before));
        zcb_packet_unref(&packet);
    }
}

static void
what_fits_goes_out_as_it_is(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 6; version += 2) {
        struct whole w = {.version = version};
        struct zcb_packet packet = datagram(&w, 100, 14);
        struct zcb_frame frame = parsed(&packet, ZCB_FRAME_LINK_ETHERNET);
        struct zcb_fragmenter cut;
        size_t len = packet.len - 14;

        for (uint32_t flags = 0; flags <= ZCB_FRAGMENT_LINK; flags++) {
            struct zcb_fragment_config config = {.flags = flags};
            size_t from = flags != 0 ? 0 : 14;

            assert_int_equal(
                zcb_fragmenter_init(&cut, pool, &packet, &frame, (uint32_t)len, &config), 0);
            assert_int_equal(zcb_fragmenter_next(&cut, &out), 1);
            assert_int_equal(zcb_chain_len(&out), packet.len - from);
            assert_ptr_equal(zcb_chain_peek(&out, 0, 1, NULL), packet.data + from);
            zcb_chain_discard(&out, zcb_chain_len(&out));
            assert_int_equal(zcb_fragmenter_next(&cut, &out), 0);
            assert_int_equal(zcb_chain_len(&out), 0);
        }
        // One byte less, and it is two.
        assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, (uint32_t)len - 1, NULL),
                         0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(zcb_fragmenter_next(&cut, &out), 1);
            zcb_chain_discard(&out, zcb_chain_len(&out));
        }
        assert_int_equal(zcb_fragmenter_next(&cut, &out), 0);
        zcb_packet_unref(&packet);
    }
}

static void
padding_behind_the_datagram_is_left_out(void **state)
{
    struct whole w = {.version = 4};
    struct zcb_packet packet = datagram(&w, 24, 0), padded;
    uint8_t bytes[60] = {0};
    struct zcb_frame frame;
    struct zcb_fragmenter cut;
    size_t total = 0;

    (void)state;
    memcpy(bytes, packet.data, packet.len);
    padded = lone_packet(bytes, sizeof(bytes));
    frame = parsed(&padded, ZCB_FRAME_LINK_RAW);
    for (uint32_t mtu = 36; mtu <= 44; mtu += 8) {
        assert_int_equal(zcb_fragmenter_init(&cut, pool, &padded, &frame, mtu, NULL), 0);
        for (total = 0; zcb_fragmenter_next(&cut, &out) == 1; total += 24 - 20) {
            total += zcb_chain_len(&out);
            zcb_chain_discard(&out, zcb_chain_len(&out));
        }
    }
    assert_int_equal(total, 44 + 4);
    zcb_packet_unref(&packet);
    zcb_packet_unref(&padded);
}

static void
dont_fragment_is_respected_unless_forced(void **state)
{
    struct whole w = {.version = 4};
    struct zcb_packet packet = datagram(&w, 3000, 0);
    struct zcb_fragment_config force = {.flags = ZCB_FRAGMENT_FORCE};
    struct zcb_frame frame;
    struct zcb_fragmenter cut;

    (void)state;
    ((uint8_t *)(uintptr_t)packet.data)[6] = 0x40;
    frame = parsed(&packet, ZCB_FRAME_LINK_RAW);
    assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 1500, NULL), -EMSGSIZE);
    assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 3020, NULL), 0);
    assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 1500, &force), 0);
    assert_int_equal(zcb_fragmenter_next(&cut, &out), 1);
    assert_int_equal(zcb_chain_peek(&out, 6, 1, NULL)[0], 0x60); // the flag stays, and more follow
    zcb_packet_unref(&packet);
}

static void
a_fragment_is_cut_again_where_it_lies_in_the_datagram(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 6; version += 2)
        for (int more = 0; more <= 1; more++) {
            struct whole w = {.version = version, .id = 4711};
            struct zcb_packet packet = whole_packet(NULL, &w, 1600, 800, more != 0);
            struct zcb_frame frame = parsed(&packet, ZCB_FRAME_LINK_RAW), part;
            struct zcb_fragment_config config = {.id = 5};
            struct zcb_fragmenter cut;
            uint32_t at = 0;

            assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 300, &config), 0);
            while (zcb_fragmenter_next(&cut, &out) == 1) {
                assert_int_equal(zcb_frame_parse_chain(&out, 0, zcb_chain_len(&out),
                                                       ZCB_FRAME_LINK_RAW, NULL, &part),
                                 0);
                assert_int_equal(part.fragment_off, 1600 + at);
                assert_int_equal(part.fragment_id, 4711);
                assert_int_equal(part.protocol, 253);
                at += part.payload_len;
                assert_int_equal((part.layers & ZCB_FRAME_MORE) != 0, at != 800 || more);
                zcb_chain_discard(&out, zcb_chain_len(&out));
            }
            assert_int_equal(at, 800);
            zcb_packet_unref(&packet);
        }
}

static void
what_cannot_be_cut_says_why(void **state)
{
    static const uint8_t bad_options[] = {0x94, 9, 0, 0};
    static const struct {
        struct whole w;
        uint32_t len, mtu;
        size_t poke;
        uint8_t byte;
        int expected;
    } cases[] = {
        {{.version = 4}, 100, 27, 1, 0, -EMSGSIZE},
        {{.version = 4}, 100, 28, 1, 0, 0},
        {{.version = 4}, 100, 0, 1, 0, -EMSGSIZE},
        {{.version = 4, .extra = options, .extra_len = 20}, 100, 47, 1, 0, -EMSGSIZE},
        {{.version = 4, .extra = options, .extra_len = 20}, 100, 48, 1, 0, 0},
        {{.version = 4, .extra = bad_options, .extra_len = 4}, 100, 60, 1, 0, -EBADMSG},
        {{.version = 6}, 100, 55, 1, 0, -EMSGSIZE},
        {{.version = 6}, 100, 56, 1, 0, 0},
        // The first must have all headers: UDP's 8 bytes, TCP's 20.
        {{.version = 6, .protocol = 58}, 100, 56, 1, 0, 0},
        {{.version = 6, .protocol = 6}, 100, 71, 40 + 12, 0x50, -EMSGSIZE},
        {{.version = 6, .protocol = 6}, 100, 72, 40 + 12, 0x50, 0},
        // Not all there; no length; not IP.
        {{.version = 4}, 100, 60, 3, 200, -ENOTSUP},
        {{.version = 6}, 100, 60, 5, 200, -ENOTSUP},
        {{.version = 4}, 100, 60, 0, 0x55, -ENOTSUP},
        // More follow, but it is no multiple of 8; beyond 65535.
        {{.version = 4}, 100, 60, 6, 0x20, -EBADMSG},
        {{.version = 4}, 100, 60, 6, 0x1f, 0},
        // A hop-by-hop header that goes on behind the end.
        {{.version = 6, .extra = hop_by_hop, .extra_len = 8}, 100, 80, 41, 200, -EBADMSG},
    };
    struct zcb_fragment_config config = {.headroom = 65536}, reserved = {.reserved = {[4] = 1}};
    struct zcb_fragment_config flags = {.flags = 4};
    struct zcb_packet packet;
    struct zcb_frame frame;
    struct zcb_fragmenter cut;

    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        packet = datagram(&cases[c].w, cases[c].len, 0);
        ((uint8_t *)(uintptr_t)packet.data)[cases[c].poke] = cases[c].byte;
        assert_true(zcb_frame_parse(packet.data, packet.len, ZCB_FRAME_LINK_RAW, NULL, &frame) >=
                    0);
        if (zcb_fragmenter_init(&cut, pool, &packet, &frame, cases[c].mtu, NULL) !=
            cases[c].expected)
            fail_msg("case %zu", c);
        zcb_packet_unref(&packet);
    }
    // Options that are cut; another protocol.
    {
        struct whole w = {.version = 4, .extra = options, .extra_len = 20};
        uint8_t arp[64] = {[12] = 8, [13] = 6, [15] = 1, [16] = 8, [18] = 6, [19] = 4};
        struct zcb_packet cut_off;

        packet = datagram(&w, 100, 0);
        assert_int_equal(zcb_packet_slice(&packet, 0, 36, &cut_off), 0);
        assert_int_equal(
            zcb_frame_parse(cut_off.data, cut_off.len, ZCB_FRAME_LINK_RAW, NULL, &frame),
            ZCB_FRAME_TRUNCATED);
        assert_int_equal(zcb_fragmenter_init(&cut, pool, &cut_off, &frame, 60, NULL), -ENOTSUP);
        zcb_packet_unref(&cut_off);
        zcb_packet_unref(&packet);
        packet = lone_packet(arp, sizeof(arp));
        frame = parsed(&packet, ZCB_FRAME_LINK_ETHERNET);
        assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 60, NULL), -ENOTSUP);
        zcb_packet_unref(&packet);
    }
    // A frame beyond 65535.
    {
        struct whole w = {.version = 4};

        packet = whole_packet(NULL, &w, 65528, 16, false);
        assert_int_equal(zcb_frame_parse(packet.data, packet.len, ZCB_FRAME_LINK_RAW, NULL, &frame),
                         ZCB_FRAME_FRAGMENT_RANGE);
        assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 30, NULL), -EBADMSG);
        zcb_packet_unref(&packet);
        packet = datagram(&w, 100, 0);
    }
    frame = parsed(&packet, ZCB_FRAME_LINK_RAW);
    assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 60, &config), -EINVAL);
    assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 60, &reserved), -EINVAL);
    assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 60, &flags), -EINVAL);
    assert_int_equal(zcb_fragmenter_init(NULL, pool, &packet, &frame, 60, NULL), -EINVAL);
    assert_int_equal(zcb_fragmenter_init(&cut, NULL, &packet, &frame, 60, NULL), -EINVAL);
    assert_int_equal(zcb_fragmenter_init(&cut, pool, NULL, &frame, 60, NULL), -EINVAL);
    assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, NULL, 60, NULL), -EINVAL);
    assert_int_equal(zcb_fragmenter_init_chain(&cut, pool, NULL, 0, &frame, 60, NULL), -EINVAL);
    assert_int_equal(zcb_fragmenter_init_chain(&cut, pool, &out, 0, &frame, 60, NULL), -EINVAL);
    assert_int_equal(zcb_fragmenter_init_chain(&cut, pool, &out, 9, &frame, 60, NULL), -EINVAL);
    assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 60, NULL), 0);
    assert_int_equal(zcb_fragmenter_next(NULL, &out), -EINVAL);
    assert_int_equal(zcb_fragmenter_next(&cut, NULL), -EINVAL);
    assert_int_equal(zcb_fragmenter_next(&cut, &out), 1);
    assert_int_equal(zcb_fragmenter_next(&cut, &out), -EINVAL); // not empty
    zcb_packet_unref(&packet);
}

static void
a_datagram_in_chunks_is_cut_without_copying_its_payload(void **state)
{
    struct whole w = {.version = 4, .extra = options, .extra_len = 20};
    struct zcb_packet packet = datagram(&w, 2000, 14), first;
    struct zcb_frame frame = parsed(&packet, ZCB_FRAME_LINK_ETHERNET);
    struct zcb_reassembler *r = reassembler(NULL);
    struct zcb_chain in, part;
    struct zcb_fragmenter cut;
    struct zcb_copies before;
    int result = 0, count = 0;

    (void)state;
    assert_int_equal(zcb_chain_init(&in, pool, NULL), 0);
    assert_int_equal(zcb_chain_init(&part, pool, NULL), 0);
    push_lone(&in, "xyz", 3);
    // The headers in one chunk, the payload in many.
    first = lone_packet(packet.data, 54);
    assert_int_equal(zcb_chain_push(&in, &first), 0);
    push_cut(&in, packet.data + 54, packet.len - 54, 37);
    before = copies_now();
    assert_int_equal(zcb_fragmenter_init_chain(&cut, pool, &in, 3, &frame, 500, NULL), 0);
    while (zcb_fragmenter_next(&cut, &part) == 1) {
        struct zcb_frame now;

        assert_true(nothing_copied(&before));
        assert_int_equal(
            zcb_frame_parse_chain(&part, 0, zcb_chain_len(&part), ZCB_FRAME_LINK_IPV4, NULL, &now),
            0);
        // Data that crosses chunks is gathered on the way in, and counted.
        result = zcb_reassembler_input_chain(r, &part, 0, &now, 0, 0, &out);
        zcb_chain_discard(&part, zcb_chain_len(&part));
        if (result != ZCB_REASSEMBLY_DONE)
            before = copies_now();
        count++;
    }
    assert_true(count > 4);
    assert_result(result, ZCB_REASSEMBLY_DONE);
    // As it was, but for the checksum of the same bytes.
    assert_true(is_whole(&out, &w, 2000));
    zcb_chain_finish(&in);
    assert_int_equal(zcb_chain_init(&in, pool, NULL), 0);
    push_cut(&in, packet.data, packet.len, 9);
    assert_int_equal(zcb_fragmenter_init_chain(&cut, pool, &in, 0, &frame, 500, NULL), 0);
    before = copies_now();
    assert_int_equal(zcb_fragmenter_next(&cut, &part), 1);
    // A header in pieces is moved by the chain.
    assert_true(only_copied(&before, ZCB_COPY_COPY_TO, 40));
    zcb_chain_finish(&in);
    zcb_chain_finish(&part);
    zcb_reassembler_destroy(&r);
    zcb_packet_unref(&packet);
}

static void
headroom_in_front_of_a_new_header_is_there_for_the_next_one(void **state)
{
    struct whole w = {.version = 6};
    struct zcb_packet packet = datagram(&w, 3000, 0), head;
    struct zcb_frame frame = parsed(&packet, ZCB_FRAME_LINK_RAW);
    struct zcb_fragment_config config = {.headroom = 50};
    struct zcb_fragmenter cut;
    struct zcb_buf *buf;
    uint8_t *at;

    (void)state;
    assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 1500, &config), 0);
    assert_int_equal(zcb_fragmenter_next(&cut, &out), 1);
    assert_int_equal(zcb_chain_take(&out, 48, &head), 0);
    assert_int_equal(zcb_packet_make_writable(&head, NULL, &buf), 0);
    assert_int_equal(zcb_buf_prepend(buf, 50, &at), 0);
    zcb_buf_release(&buf);
    zcb_packet_unref(&packet);
}

// ---- reassemble

static void
fragments_in_any_order_become_the_datagram_without_copying(void **state)
{
    static const struct whole wholes[] = {
        {.version = 4, .id = 9},
        {.version = 4, .id = 9, .extra = options, .extra_len = 20},
        {.version = 6, .id = 0x12345678},
        {.version = 6, .id = 1, .extra = extensions, .extra_len = 16, .extra_kind = 0},
    };
    static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};
    struct zcb_reassembler *r = reassembler(NULL);

    (void)state;
    for (size_t c = 0; c < sizeof(wholes) / sizeof(wholes[0]); c++)
        for (size_t o = 0; o < 4; o++) {
            const struct whole *w = &wholes[c];
            struct zcb_copies before = copies_now();
            const uint8_t *places[4];

            for (int i = 0; i < 4; i++) {
                int n = orders[o][i];
                struct zcb_packet packet =
                    whole_packet(pool, w, (uint32_t)n * 1400, n < 3 ? 1400 : 333, n < 3);

                places[n] = packet.data + packet.len - (n < 3 ? 1400 : 333);
                assert_result(give(r, &packet, 5, &out),
                              i < 3 ? ZCB_REASSEMBLY_HELD : ZCB_REASSEMBLY_DONE);
                zcb_packet_unref(&packet);
            }
            assert_true(nothing_copied(&before));
            assert_chain_sound(&out);
            assert_true(is_whole(&out, w, 4533));
            for (uint32_t n = 0; n < 4; n++) {
                size_t header = zcb_chain_len(&out) - 4533;

                assert_ptr_equal(zcb_chain_peek(&out, header + n * 1400, 1, NULL), places[n]);
            }
            if (w->version == 4) {
                struct zcb_frame frame;

                assert_int_equal(zcb_frame_parse_chain(&out, 0, zcb_chain_len(&out),
                                                       ZCB_FRAME_LINK_RAW, NULL, &frame),
                                 0);
                assert_int_equal(zcb_frame_verify_ip_chain(&out, 0, &frame),
                                 ZCB_FRAME_CHECKSUM_GOOD);
            }
            assert_int_equal(zcb_chain_discard(&out, zcb_chain_len(&out)), 0);
            assert_int_equal(stats_of(r).bytes, 0);
            assert_int_equal(stats_of(r).datagrams, 0);
        }
    assert_int_equal(stats_of(r).done, 16);
    assert_int_equal(stats_of(r).held, 48);
    zcb_reassembler_destroy(&r);
}

static void
a_datagram_of_65535_bytes_goes_there_and_back(void **state)
{
    static const struct {
        struct whole w;
        uint32_t len;
    } cases[] = {{{.version = 4}, 65515}, {{.version = 6}, 65535}};
    struct zcb_reassembler_config config = {.datagram_fragments = 8192};

    (void)state;
    for (int c = 0; c < 2; c++) {
        const struct whole *w = &cases[c].w;
        struct zcb_reassembler *r = reassembler(&config);
        struct zcb_packet packet = datagram(w, cases[c].len, 0);
        struct zcb_frame frame = parsed(&packet, ZCB_FRAME_LINK_RAW);
        struct zcb_fragmenter cut;
        struct zcb_chain part;
        int result = ZCB_REASSEMBLY_HELD;

        assert_int_equal(zcb_chain_init(&part, pool, NULL), 0);
        assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 576, NULL), 0);
        while (zcb_fragmenter_next(&cut, &part) == 1) {
            assert_result(result, ZCB_REASSEMBLY_HELD);
            assert_int_equal(zcb_frame_parse_chain(&part, 0, zcb_chain_len(&part),
                                                   ZCB_FRAME_LINK_RAW, NULL, &frame),
                             0);
            result = zcb_reassembler_input_chain(r, &part, 0, &frame, 0, 0, &out);
            zcb_chain_discard(&part, zcb_chain_len(&part));
        }
        assert_result(result, ZCB_REASSEMBLY_DONE);
        assert_true(is_whole(&out, w, cases[c].len));
        zcb_chain_discard(&out, zcb_chain_len(&out));
        zcb_chain_finish(&part);
        zcb_packet_unref(&packet);
        zcb_reassembler_destroy(&r);
    }
}

// What comes, one after the other, and what becomes of it.
struct step {
    uint32_t off, len;
    bool more;
    int expected;
    uint8_t salt; // other bytes
};

static const struct {
    const char *name;
    struct step steps[8]; // the first with length 0 ends it
} attacks[] = {
    {"a duplicate",
     {{0, 800, true, ZCB_REASSEMBLY_HELD, 0},
      {0, 800, true, ZCB_REASSEMBLY_DUPLICATE, 0},
      {1600, 8, true, ZCB_REASSEMBLY_HELD, 0},
      {1608, 8, false, ZCB_REASSEMBLY_HELD, 0},
      {1600, 8, true, ZCB_REASSEMBLY_DUPLICATE, 0},
      {1608, 8, false, ZCB_REASSEMBLY_DUPLICATE, 0},
      {800, 800, true, ZCB_REASSEMBLY_DONE, 0}}},
    {"the same place with other bytes",
     {{800, 800, true, ZCB_REASSEMBLY_HELD, 0},
      {800, 800, true, ZCB_REASSEMBLY_OVERLAP, 1},
      {0, 800, true, ZCB_REASSEMBLY_DEAD, 0},
      {1600, 8, false, ZCB_REASSEMBLY_DEAD, 0}}},
    {"overlap from the left",
     {{800, 800, true, ZCB_REASSEMBLY_HELD, 0},
      {0, 808, true, ZCB_REASSEMBLY_OVERLAP, 0},
      {0, 800, true, ZCB_REASSEMBLY_DEAD, 0}}},
    {"overlap from the right",
     {{0, 800, true, ZCB_REASSEMBLY_HELD, 0},
      {792, 80, false, ZCB_REASSEMBLY_OVERLAP, 0},
      {800, 72, false, ZCB_REASSEMBLY_DEAD, 0}}},
    {"overlap inside",
     {{0, 800, true, ZCB_REASSEMBLY_HELD, 0}, {80, 8, true, ZCB_REASSEMBLY_OVERLAP, 0}}},
    {"overlap around",
     {{80, 8, true, ZCB_REASSEMBLY_HELD, 0}, {0, 800, true, ZCB_REASSEMBLY_OVERLAP, 0}}},
    {"the same start, longer",
     {{80, 8, true, ZCB_REASSEMBLY_HELD, 0}, {80, 16, true, ZCB_REASSEMBLY_OVERLAP, 0}}},
    {"the same end, longer",
     {{80, 16, true, ZCB_REASSEMBLY_HELD, 0}, {72, 24, true, ZCB_REASSEMBLY_OVERLAP, 0}}},
    {"overlap of two in the middle",
     {{80, 16, true, ZCB_REASSEMBLY_HELD, 0},
      {160, 16, true, ZCB_REASSEMBLY_HELD, 0},
      {240, 16, true, ZCB_REASSEMBLY_HELD, 0},
      {96, 72, true, ZCB_REASSEMBLY_OVERLAP, 0}}},
    {"side by side is no overlap",
     {{80, 16, true, ZCB_REASSEMBLY_HELD, 0},
      {160, 16, true, ZCB_REASSEMBLY_HELD, 0},
      {96, 64, true, ZCB_REASSEMBLY_HELD, 0},
      {0, 80, true, ZCB_REASSEMBLY_HELD, 0},
      {176, 1, false, ZCB_REASSEMBLY_DONE, 0}}},
    {"the last one twice, ends differ",
     {{800, 16, false, ZCB_REASSEMBLY_HELD, 0},
      {816, 16, false, ZCB_REASSEMBLY_ENDS, 0},
      {0, 800, true, ZCB_REASSEMBLY_DEAD, 0}}},
    {"the last one twice, the second is shorter",
     {{800, 16, false, ZCB_REASSEMBLY_HELD, 0}, {800, 8, false, ZCB_REASSEMBLY_ENDS, 0}}},
    {"data behind the end",
     {{800, 16, false, ZCB_REASSEMBLY_HELD, 0}, {1600, 8, true, ZCB_REASSEMBLY_ENDS, 0}}},
    {"more to follow at the end",
     {{800, 16, false, ZCB_REASSEMBLY_HELD, 0}, {800, 16, true, ZCB_REASSEMBLY_ENDS, 0}}},
    {"the last one before what is there",
     {{1600, 16, true, ZCB_REASSEMBLY_HELD, 0}, {800, 16, false, ZCB_REASSEMBLY_ENDS, 0}}},
    {"the last one where more was to follow",
     {{1600, 16, true, ZCB_REASSEMBLY_HELD, 0}, {1600, 16, false, ZCB_REASSEMBLY_ENDS, 0}}},
    {"not a multiple of 8",
     {{0, 801, true, ZCB_REASSEMBLY_UNALIGNED, 0},
      {0, 800, true, ZCB_REASSEMBLY_HELD, 0},
      {800, 801, true, ZCB_REASSEMBLY_UNALIGNED, 0},
      {800, 801, false, ZCB_REASSEMBLY_DONE, 0}}},
    {"ping of death",
     {{0, 800, true, ZCB_REASSEMBLY_HELD, 0},
      {65528, 8, false, ZCB_REASSEMBLY_TOO_LONG, 0},
      {65528, 1000, false, ZCB_REASSEMBLY_TOO_LONG, 0},
      {65504, 600, true, ZCB_REASSEMBLY_TOO_LONG, 0},
      {800, 1, false, ZCB_REASSEMBLY_DONE, 0}}},
    {"a tiny first one",
     {{0, 8, true, ZCB_REASSEMBLY_TINY, 0},
      {8, 800, true, ZCB_REASSEMBLY_TINY, 0},
      {0, 16, true, ZCB_REASSEMBLY_HELD, 0},
      {16, 8, false, ZCB_REASSEMBLY_DONE, 0}}},
};

static void
each_attack_is_called_by_its_name_and_holds_nothing(void **state)
{
    (void)state;
    for (size_t a = 0; a < sizeof(attacks) / sizeof(attacks[0]); a++)
        for (uint8_t version = 4; version <= 6; version += 2) {
            struct zcb_reassembler *r = reassembler(NULL);
            const struct step *steps = attacks[a].steps;
            uint64_t sum = 0;
            size_t i;

            for (i = 0; i < 8 && steps[i].len != 0; i++) {
                struct whole w = {.version = version, .id = 1, .salt = steps[i].salt};
                int result = give_part(r, &w, steps[i].off, steps[i].len, steps[i].more, 0, &out);
                struct zcb_reassembler_stats stats = stats_of(r);

                if (result != steps[i].expected)
                    fail_msg("%s, IPv%d, step %zu: %s where it should be %s", attacks[a].name,
                             version, i, zcb_reassembly_name(result),
                             zcb_reassembly_name(steps[i].expected));
                assert_int_equal((&stats.held)[result] != 0, true);
                if (result >= ZCB_REASSEMBLY_DEAD)
                    assert_int_equal(stats.bytes + stats.fragments, 0);
                if (result == ZCB_REASSEMBLY_DONE)
                    assert_true(is_whole(&out, &w,
                                         steps[i].off == 800 && steps[i].len == 800
                                             ? 1616
                                             : steps[i].off + steps[i].len));
                else
                    assert_int_equal(zcb_chain_len(&out), 0);
                zcb_chain_discard(&out, zcb_chain_len(&out));
            }
            for (size_t n = 0; n <= ZCB_REASSEMBLY_ECN; n++) {
                struct zcb_reassembler_stats stats = stats_of(r);

                sum += (&stats.held)[n];
            }
            assert_int_equal(sum, i); // each was counted once
            zcb_reassembler_destroy(&r);
        }
}

static void
data_that_is_not_there_is_refused(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 6; version += 2) {
        struct zcb_reassembler *r = reassembler(NULL);
        struct whole w = {.version = version};
        struct zcb_packet packet = whole_packet(NULL, &w, 0, 800, true), cut, whole;

        assert_int_equal(zcb_packet_slice(&packet, 0, packet.len - 1, &cut), 0);
        assert_result(give(r, &cut, 0, &out), ZCB_REASSEMBLY_CUT);
        assert_result(give_part(r, &w, 800, 0, true, 0, &out), ZCB_REASSEMBLY_EMPTY);
        assert_result(give_part(r, &w, 800, 0, false, 0, &out), ZCB_REASSEMBLY_EMPTY);
        assert_result(give_part(r, &w, 0, 0, true, 0, &out), ZCB_REASSEMBLY_EMPTY);
        whole = datagram(&w, 100, 0);
        assert_result(give(r, &whole, 0, &out), ZCB_REASSEMBLY_WHOLE);
        assert_int_equal(stats_of(r).datagrams, 0);
        zcb_packet_unref(&whole);
        zcb_packet_unref(&cut);
        zcb_packet_unref(&packet);
        zcb_reassembler_destroy(&r);
    }
}

// The first one's options make it too long, which nobody knows before both are there.
static void
a_header_that_leaves_no_room_for_the_data_discards_it(void **state)
{
    struct zcb_reassembler_config config = {.datagram_fragments = 3};
    struct whole last = {.version = 4}, first = last, v6 = {.version = 6};
    struct zcb_reassembler *r = reassembler(NULL);

    (void)state;
    // Its own header counts at once, in IPv6 extension headers alone.
    assert_result(give_part(r, &last, 65504, 12, false, 0, &out), ZCB_REASSEMBLY_TOO_LONG);
    assert_result(give_part(r, &last, 65504, 11, false, 0, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &v6, 65504, 31, false, 0, &out), ZCB_REASSEMBLY_HELD);
    v6.extra = hop_by_hop;
    v6.extra_len = 8;
    v6.id = 1;
    assert_result(give_part(r, &v6, 65504, 24, false, 0, &out), ZCB_REASSEMBLY_TOO_LONG);
    assert_result(give_part(r, &v6, 65504, 23, false, 0, &out), ZCB_REASSEMBLY_HELD);
    zcb_reassembler_destroy(&r);
    first.extra = options;
    first.extra_len = 20;
    for (uint32_t end = 65495; end <= 65496; end++) {
        r = reassembler(&config);
        assert_result(give_part(r, &last, 32768, end - 32768, false, 0, &out), ZCB_REASSEMBLY_HELD);
        assert_result(give_part(r, &first, 0, 32768, true, 0, &out),
                      end == 65495 ? ZCB_REASSEMBLY_DONE : ZCB_REASSEMBLY_TOO_LONG);
        assert_int_equal(zcb_chain_len(&out), end == 65495 ? 65535 : 0);
        assert_int_equal(stats_of(r).discarded, end - 65495);
        zcb_chain_discard(&out, zcb_chain_len(&out));
        zcb_reassembler_destroy(&r);
    }
}

// RFC 7112, and a UDP length that is less than what comes.
static void
the_first_fragment_has_all_headers_and_its_data_ends_where_ip_says(void **state)
{
    struct zcb_reassembler *r = reassembler(NULL);

    (void)state;
    for (uint8_t version = 4; version <= 6; version += 2) {
        struct whole tcp = {.version = version, .protocol = 6}, udp = tcp;
        struct zcb_packet packet = whole_packet(NULL, &tcp, 0, 32, true);
        uint8_t *data = (uint8_t *)(uintptr_t)packet.data + packet.len - 32;

        data[12] = 0x80; // 32 bytes of TCP header: just there
        assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_HELD);
        data[12] = 0x90; // 36: not
        assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_HEADERS);
        zcb_packet_unref(&packet);
        packet = whole_packet(NULL, &tcp, 0, 16, true); // not even 20
        assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_HEADERS);
        zcb_packet_unref(&packet);

        udp.protocol = 17;
        udp.id = 2;
        packet = whole_packet(NULL, &udp, 0, 800, true);
        put16((uint8_t *)(uintptr_t)packet.data + packet.len - 800 + 4, 20);
        assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_HELD);
        zcb_packet_unref(&packet);
        assert_result(give_part(r, &udp, 800, 8, false, 0, &out), ZCB_REASSEMBLY_DONE);
        assert_int_equal(zcb_chain_len(&out), (version == 4 ? 20 : 40) + 808);
        zcb_chain_discard(&out, zcb_chain_len(&out));
    }
    zcb_reassembler_destroy(&r);
}

static void
an_atomic_fragment_is_a_datagram_whatever_is_under_way(void **state)
{
    struct zcb_reassembler *r = reassembler(NULL);
    struct whole w = {.version = 6, .id = 5, .extra = extensions, .extra_len = 8};
    uint8_t bytes[200];
    struct zcb_packet packet;

    (void)state;
    assert_result(give_part(r, &w, 0, 800, true, 0, &out), ZCB_REASSEMBLY_HELD);
    for (uint32_t len = 0; len <= 100; len += 100) {
        assert_result(give_part(r, &w, 0, len, false, 0, &out), ZCB_REASSEMBLY_DONE);
        assert_true(is_whole(&out, &w, len));
        zcb_chain_discard(&out, zcb_chain_len(&out));
    }
    assert_result(give_part(r, &w, 800, 8, false, 0, &out), ZCB_REASSEMBLY_DONE);
    assert_true(is_whole(&out, &w, 808));
    zcb_chain_discard(&out, zcb_chain_len(&out));
    // AH in front of the fragment header counts in other units.
    w.extra_len = 0;
    w.protocol = 59;
    packet = whole_packet(NULL, &w, 0, 0, false);
    memcpy(bytes, packet.data, 40);
    memset(bytes + 40, 0, 24);
    memcpy(bytes + 64, packet.data + 40, 8);
    bytes[6] = 51;
    bytes[40] = 44;
    bytes[41] = 4;
    put16(bytes + 4, 32);
    zcb_packet_unref(&packet);
    packet = lone_packet(bytes, 72);
    assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_DONE);
    assert_int_equal(zcb_chain_len(&out), 64);
    assert_int_equal(zcb_chain_peek(&out, 40, 1, NULL)[0], 59);
    assert_int_equal(zcb_chain_peek(&out, 6, 1, NULL)[0], 51);
    zcb_packet_unref(&packet);
    zcb_reassembler_destroy(&r);
}

// RFC 3168, section 5.3: 0 is not ECN-capable, 1 and 2 are, 3 met congestion.
static void
congestion_is_kept_or_the_datagram_dropped(void **state)
{
    static const struct {
        uint8_t first, second;
        int expected, ecn;
    } cases[] = {
        {0, 0, ZCB_REASSEMBLY_DONE, 0}, {1, 1, ZCB_REASSEMBLY_DONE, 1},
        {2, 2, ZCB_REASSEMBLY_DONE, 2}, {3, 3, ZCB_REASSEMBLY_DONE, 3},
        {1, 3, ZCB_REASSEMBLY_DONE, 3}, {3, 2, ZCB_REASSEMBLY_DONE, 3},
        {0, 3, ZCB_REASSEMBLY_ECN, 0},  {3, 0, ZCB_REASSEMBLY_ECN, 0},
        {1, 2, ZCB_REASSEMBLY_DONE, 1}, {0, 2, ZCB_REASSEMBLY_DONE, 0},
    };
    struct zcb_reassembler *r = reassembler(NULL);

    (void)state;
    for (uint32_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
        for (uint8_t version = 4; version <= 6; version += 2)
            for (int turned = 0; turned <= 1; turned++) {
                struct whole w = {.version = version, .id = 100 + c * 2 + (uint32_t)turned};
                int result = 0;

                for (int i = 0; i < 2; i++) {
                    bool last = (i == 0) == turned;

                    w.ecn = last ? cases[c].second : cases[c].first;
                    result = give_part(r, &w, last ? 80 : 0, 80, !last, 0, &out);
                }
                assert_result(result, cases[c].expected);
                if (result == ZCB_REASSEMBLY_DONE) {
                    w.ecn = (uint8_t)cases[c].ecn;
                    assert_true(is_whole(&out, &w, 160));
                }
                zcb_chain_discard(&out, zcb_chain_len(&out));
            }
    assert_int_equal(stats_of(r).discarded, 8);
    zcb_reassembler_destroy(&r);
}

static void
only_fragments_of_the_same_datagram_go_together(void **state)
{
    struct whole w = {.version = 4, .id = 1}, other;
    struct zcb_reassembler *r = reassembler(NULL);
    struct zcb_packet packet;
    struct zcb_frame frame;

    (void)state;
    assert_result(give_part(r, &w, 0, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
    other = w;
    other.id = 2;
    assert_result(give_part(r, &other, 80, 8, false, 0, &out), ZCB_REASSEMBLY_HELD);
    other = w;
    other.protocol = 254;
    assert_result(give_part(r, &other, 80, 8, false, 0, &out), ZCB_REASSEMBLY_HELD);
    other = w;
    other.source = 2;
    assert_result(give_part(r, &other, 80, 8, false, 0, &out), ZCB_REASSEMBLY_HELD);
    other = w;
    other.version = 6;
    assert_result(give_part(r, &other, 80, 8, false, 0, &out), ZCB_REASSEMBLY_HELD);
    packet = whole_packet(NULL, &w, 80, 8, false);
    frame = parsed(&packet, ZCB_FRAME_LINK_RAW);
    assert_result(zcb_reassembler_input(r, &packet, &frame, 7, 0, &out), ZCB_REASSEMBLY_HELD);
    assert_int_equal(stats_of(r).datagrams, 6);
    assert_int_equal(stats_of(r).sources, 4); // the address twice: a context of its own; IPv6
    assert_result(zcb_reassembler_input(r, &packet, &frame, 0, 0, &out), ZCB_REASSEMBLY_DONE);
    zcb_packet_unref(&packet);
    zcb_chain_discard(&out, zcb_chain_len(&out));
    // IPv6: the protocol is no part of it; what the first one says counts.
    other.protocol = 254;
    other.id = 1;
    assert_result(give_part(r, &other, 0, 80, true, 0, &out), ZCB_REASSEMBLY_DONE);
    other.protocol = 254;
    assert_true(is_whole(&out, &other, 88));
    zcb_reassembler_destroy(&r);
}

// ---- limits

static void
a_source_at_its_limit_loses_its_own_oldest_datagram(void **state)
{
    struct zcb_reassembler_config config = {.max_datagrams = 8, .source_datagrams = 2};
    struct zcb_reassembler *r = reassembler(&config);
    struct whole honest = {.version = 4, .id = 1, .source = 1};

    (void)state;
    assert_result(give_part(r, &honest, 0, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
    for (uint32_t id = 0; id < 100; id++) {
        struct whole w = {.version = 4, .id = id, .source = 66};

        assert_result(give_part(r, &w, 0, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
        assert_true(stats_of(r).datagrams <= 3);
    }
    assert_int_equal(stats_of(r).evictions, 98);
    assert_result(give_part(r, &honest, 80, 8, false, 0, &out), ZCB_REASSEMBLY_DONE);
    zcb_chain_discard(&out, zcb_chain_len(&out));
    // The two youngest are there.
    for (uint32_t id = 97; id < 100; id++) {
        struct whole w = {.version = 4, .id = id, .source = 66};

        if (id >= 98)
            assert_result(give_part(r, &w, 80, 8, false, 0, &out), ZCB_REASSEMBLY_DONE);
        zcb_chain_discard(&out, zcb_chain_len(&out));
    }
    assert_int_equal(stats_of(r).datagrams, 0);
    assert_int_equal(stats_of(r).sources, 0);
    zcb_reassembler_destroy(&r);
}

static void
ipv6_addresses_of_one_network_are_one_source(void **state)
{
    struct zcb_reassembler_config config = {.source_datagrams = 3};
    struct zcb_reassembler *r = reassembler(&config);
    struct whole w = {.version = 6};

    (void)state;
    for (uint8_t host = 0; host < 10; host++) {
        struct zcb_packet packet = whole_packet(NULL, &w, 0, 80, true);

        ((uint8_t *)(uintptr_t)packet.data)[16 + host % 8] = (uint8_t)(1 + host);
        assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_HELD);
        zcb_packet_unref(&packet);
    }
    assert_int_equal(stats_of(r).sources, 1);
    assert_int_equal(stats_of(r).datagrams, 3);
    assert_int_equal(stats_of(r).evictions, 7);
    zcb_reassembler_destroy(&r);
}

static void
many_sources_lose_the_oldest_of_all(void **state)
{
    struct zcb_reassembler_config config = {.max_datagrams = 4, .source_datagrams = 4};
    struct zcb_reassembler *r = reassembler(&config);

    (void)state;
    for (uint8_t source = 0; source < 50; source++) {
        struct whole w = {.version = 6, .source = source};

        assert_result(give_part(r, &w, 0, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
        assert_true(stats_of(r).datagrams <= 4 && stats_of(r).sources <= 4);
    }
    assert_int_equal(stats_of(r).evictions, 46);
    for (uint8_t source = 46; source < 50; source++) {
        struct whole w = {.version = 6, .source = source};

        assert_result(give_part(r, &w, 80, 8, false, 0, &out), ZCB_REASSEMBLY_DONE);
        zcb_chain_discard(&out, zcb_chain_len(&out));
    }
    zcb_reassembler_destroy(&r);
}

static void
budgets_in_bytes_count_whole_blocks_and_are_exact(void **state)
{
    // Room for three blocks of 4096 in all, two for each source.
    struct zcb_reassembler_config config = {.max_bytes = 3 * 4096, .source_bytes = 2 * 4096};
    struct zcb_reassembler *r = reassembler(&config);
    struct zcb_reassembler_stats stats;
    struct zcb_packet packet;

    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        struct whole w = {.version = 4, .id = i, .source = (uint8_t)(i / 3)};

        packet = whole_packet(pool, &w, 0, 800, true);
        assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_HELD);
        zcb_packet_unref(&packet);
        stats = stats_of(r);
        assert_int_equal(stats.bytes, (i < 2 ? i + 1 : i < 3 ? 2 : 3) * 4096);
        assert_int_equal(stats.fragments * 4096, stats.bytes);
    }
    assert_int_equal(stats.evictions, 3);
    assert_int_equal(stats.peak_bytes, 3 * 4096);
    // One block that is too large for the source makes nobody go.
    {
        struct whole w = {.version = 4, .id = 77, .source = 9};

        packet = whole_packet(pool, &w, 0, 15000, true);
        assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_BUDGET);
        zcb_packet_unref(&packet);
    }
    stats = stats_of(r);
    assert_int_equal(stats.bytes, 3 * 4096);
    assert_int_equal(stats.evictions, 3);
    assert_int_equal(stats.datagrams, 3);
    assert_int_equal(stats.sources, 2);
    zcb_reassembler_destroy(&r);
}

static void
memory_that_is_nobodys_is_charged_by_its_length(void **state)
{
    struct zcb_reassembler *r = reassembler(NULL);
    static uint8_t bytes[2][1000];
    struct whole w = {.version = 4};

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        size_t len = whole_fragment(&w, bytes[i], i * 800, 800, true);
        struct zcb_packet packet = zcb_packet_static(bytes[i], len);

        assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_HELD);
        assert_int_equal(stats_of(r).bytes, i == 0 ? 820 : 1620);
    }
    zcb_reassembler_destroy(&r);
}

// Several fragments that were received into one buffer.
static void
fragments_in_one_block_are_charged_once(void **state)
{
    struct zcb_reassembler *r = reassembler(NULL);
    struct whole w = {.version = 6};
    struct zcb_packet all, packet;
    uint8_t bytes[4000];
    size_t ends[5] = {0};

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        ends[i + 1] = ends[i] + whole_fragment(&w, bytes + ends[i], i * 400, 400, true);
    all = lone_packet(bytes, ends[4]);
    // In order, then one in front.
    for (uint32_t i = 1; i < 5; i++) {
        assert_int_equal(
            zcb_packet_slice(&all, ends[i % 4], ends[i % 4 + 1] - ends[i % 4], &packet), 0);
        assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_HELD);
        zcb_packet_unref(&packet);
        assert_int_equal(stats_of(r).bytes, zcb_packet_pinned(&all));
        assert_int_equal(stats_of(r).fragments, i);
    }
    zcb_packet_unref(&all);
    zcb_reassembler_destroy(&r);
}

static void
a_datagram_does_not_go_for_its_own_fragment(void **state)
{
    struct zcb_reassembler_config config = {.max_fragments = 3, .source_fragments = 3};
    struct zcb_reassembler *r = reassembler(&config);
    struct whole w = {.version = 4}, other = {.version = 4, .id = 1};

    (void)state;
    assert_result(give_part(r, &w, 80, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &other, 80, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &w, 160, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &w, 240, 80, true, 0, &out), ZCB_REASSEMBLY_HELD); // other goes
    assert_int_equal(stats_of(r).evictions, 1);
    assert_int_equal(stats_of(r).datagrams, 1);
    assert_result(give_part(r, &w, 320, 80, false, 0, &out), ZCB_REASSEMBLY_BUDGET);
    assert_int_equal(stats_of(r).fragments, 3);
    // One that completes its datagram is never held, so it needs no room.
    zcb_reassembler_destroy(&r);
    r = reassembler(&config);
    for (uint32_t i = 0; i < 3; i++)
        assert_result(give_part(r, &w, i * 80, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &w, 240, 80, false, 0, &out), ZCB_REASSEMBLY_DONE);
    zcb_reassembler_destroy(&r);
}

static void
one_fragment_makes_no_more_than_eight_datagrams_go(void **state)
{
    struct zcb_reassembler_config config = {.max_bytes = 20 * 4096, .source_bytes = 20 * 4096};
    struct zcb_reassembler *r = reassembler(&config);
    struct zcb_packet packet;

    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        struct whole w = {.version = 4, .id = i};

        packet = whole_packet(pool, &w, 0, 800, true);
        assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_HELD);
        zcb_packet_unref(&packet);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct whole w = {.version = 4, .id = 99};

        packet = whole_packet(pool, &w, 0, 40000, true); // 64 KiB
        assert_result(give(r, &packet, 0, &out),
                      i == 0 ? ZCB_REASSEMBLY_BUDGET : ZCB_REASSEMBLY_HELD);
        zcb_packet_unref(&packet);
        assert_int_equal(stats_of(r).evictions, i == 0 ? 8 : 16);
    }
    assert_int_equal(stats_of(r).bytes, 20 * 4096);
    zcb_reassembler_destroy(&r);
}

static void
a_datagram_of_too_many_fragments_is_discarded(void **state)
{
    struct zcb_reassembler *r = reassembler(NULL);
    struct whole w = {.version = 6};

    (void)state;
    for (uint32_t i = 0; i < 64; i++)
        assert_result(give_part(r, &w, 16 + i * 16, 8, true, 0, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &w, 16 + 64 * 16, 8, true, 0, &out), ZCB_REASSEMBLY_MANY);
    assert_result(give_part(r, &w, 16 + 65 * 16, 8, true, 0, &out), ZCB_REASSEMBLY_DEAD);
    assert_int_equal(stats_of(r).fragments, 0);
    zcb_reassembler_destroy(&r);
}

static void
small_fragments_move_out_of_large_blocks(void **state)
{
    struct zcb_pool_config tiers = {.tiers = {{.buffer_size = 256}, {.buffer_size = 4096}}};
    struct zcb_reassembler_config never = {.copy_below = 1};
    struct zcb_pool *small = must_create(&tiers);
    struct whole w = {.version = 4}, bytes;
    struct zcb_reassembler *r;
    struct zcb_packet packet;
    struct zcb_copies before;
    struct zcb_buf *buf;
    uint8_t *at;

    (void)state;
    for (int copy = 1; copy >= 0; copy--) {
        assert_int_equal(zcb_reassembler_create(small, 1, copy ? NULL : &never, &r), 0);
        for (uint32_t len = 120; len <= 128; len += 8) {
            w.id = len;
            bytes = w;
            before = copies_now();
            assert_int_equal(zcb_pool_acquire(small, 4096, &buf), 0);
            assert_int_equal(zcb_buf_append(buf, 20 + len, &at), 0);
            whole_fragment(&bytes, at, 0, len, true);
            zcb_buf_share(&buf, &packet);
            assert_result(give(r, &packet, 0, &out), ZCB_REASSEMBLY_HELD);
            zcb_packet_unref(&packet);
            if (copy && len < 128) {
                // Data, and the header with it.
                assert_true(only_copied(&before, ZCB_COPY_COMPACT, 20 + len));
                assert_int_equal(stats_of(r).copied, 20 + len);
                assert_int_equal(stats_of(r).bytes, 512);
            } else {
                assert_true(nothing_copied(&before));
                assert_int_equal(stats_of(r).bytes, copy ? 512 + 4096 : len == 120 ? 4096 : 8192);
            }
        }
        assert_result(give_part(r, &w, 128, 1, false, 0, &out), ZCB_REASSEMBLY_DONE);
        assert_true(is_whole(&out, &w, 129));
        zcb_chain_discard(&out, zcb_chain_len(&out));
        zcb_reassembler_destroy(&r);
    }
    must_end(&small);
}

// ---- time

static void
time_is_up_for_the_oldest_first_and_its_first_fragment_comes_out(void **state)
{
    struct zcb_reassembler_config config = {.timeout_ms = 1000};
    struct zcb_reassembler *r = reassembler(&config);
    struct whole a = {.version = 4, .id = 1}, b = {.version = 6, .id = 2},
                 c = {.version = 4, .id = 3};
    struct zcb_packet packet = whole_packet(NULL, &a, 0, 80, true);

    (void)state;
    assert_result(give(r, &packet, 5000, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &b, 80, 80, true, 5400, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &c, 0, 80, true, 5500, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &c, 0, 80, true, 5500, &out), ZCB_REASSEMBLY_DUPLICATE);
    assert_result(give_part(r, &c, 72, 80, true, 5500, &out), ZCB_REASSEMBLY_OVERLAP);
    // A later fragment gives no more time.
    assert_result(give_part(r, &a, 80, 80, true, 5999, &out), ZCB_REASSEMBLY_HELD);
    assert_int_equal(zcb_reassembler_expire(r, 5999, &out), 0);
    assert_int_equal(zcb_reassembler_expire(r, 6000, &out), 1);
    assert_true(chain_is(&out, packet.data, packet.len));
    assert_int_equal(zcb_reassembler_expire(r, 6400, &out), -EINVAL); // not empty
    zcb_chain_discard(&out, zcb_chain_len(&out));
    assert_int_equal(zcb_reassembler_expire(r, 100, &out), 0); // time does not go back
    // Its first fragment never came.
    assert_int_equal(zcb_reassembler_expire(r, 6499, &out), 1);
    assert_int_equal(zcb_chain_len(&out), 0);
    assert_int_equal(zcb_reassembler_expire(r, 6499, &out), 0);
    assert_int_equal(stats_of(r).timeouts, 2);
    assert_result(give_part(r, &c, 160, 80, true, 6499, &out), ZCB_REASSEMBLY_DEAD);
    // Discarded before: it is only forgotten.
    assert_int_equal(zcb_reassembler_expire(r, 6500, NULL), 1);
    assert_int_equal(stats_of(r).timeouts, 2);
    assert_int_equal(stats_of(r).datagrams, 0);
    assert_int_equal(zcb_reassembler_expire(r, UINT64_MAX, NULL), 0);
    zcb_packet_unref(&packet);
    zcb_reassembler_destroy(&r);
}

static void
a_fragment_that_comes_too_late_begins_anew(void **state)
{
    struct zcb_reassembler *r = reassembler(NULL);
    struct whole w = {.version = 4};

    (void)state;
    assert_result(give_part(r, &w, 0, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &w, 80, 8, false, 30000, &out), ZCB_REASSEMBLY_HELD);
    assert_int_equal(stats_of(r).timeouts, 1);
    assert_int_equal(stats_of(r).fragments, 1);
    // And one that was discarded lives again.
    assert_result(give_part(r, &w, 80, 9, false, 30000, &out), ZCB_REASSEMBLY_ENDS);
    assert_result(give_part(r, &w, 80, 8, false, 59999, &out), ZCB_REASSEMBLY_DEAD);
    assert_result(give_part(r, &w, 80, 8, false, 60000, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &w, 0, 80, true, 89999, &out), ZCB_REASSEMBLY_DONE);
    zcb_chain_discard(&out, zcb_chain_len(&out));
    assert_int_equal(stats_of(r).timeouts, 1);
    // Time does not go back: this came at 89999.
    assert_result(give_part(r, &w, 80, 8, false, 1, &out), ZCB_REASSEMBLY_HELD);
    assert_int_equal(zcb_reassembler_expire(r, 119998, &out), 0);
    assert_int_equal(zcb_reassembler_expire(r, 119999, &out), 1);
    zcb_reassembler_destroy(&r);
}

// ---- cost

// Identifications whose keys fall into one place of a table of 4096, as somebody who knows the seed
// would choose them.
static void
keys_chosen_to_collide_cost_sixteen_steps(void **state)
{
    struct zcb_reassembler_config config = {.source_datagrams = 1024, .max_datagrams = 1024};
    struct zcb_reassembler *r = reassembler(&config);
    struct zcb_reassembler_stats stats;
    struct whole w = {.version = 6};
    uint32_t found = 0;

    (void)state;
    for (uint32_t id = 0; found < 40; id++) {
        struct zcb_frame_flow flow = {.version = 6, .port = {(uint16_t)(id >> 16), (uint16_t)id}};
        uint8_t header[48];

        w.id = id;
        whole_header(&w, header, 0, 8, true, true);
        memcpy(flow.address[0], header + 8, 16);
        memcpy(flow.address[1], header + 24, 16);
        if ((zcb_frame_flow_hash(&flow, 1) & 4095) != 7)
            continue;
        found++;
        assert_result(give_part(r, &w, 80, 80, true, 0, &out),
                      found <= 16 ? ZCB_REASSEMBLY_HELD : ZCB_REASSEMBLY_CROWDED);
    }
    stats = stats_of(r);
    assert_int_equal(stats.crowded, 24);
    assert_int_equal(stats.datagrams, 16);
    // Nobody else notices.
    w.source = 1;
    assert_result(give_part(r, &w, 80, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &w, 0, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
    assert_result(give_part(r, &w, 160, 8, false, 0, &out), ZCB_REASSEMBLY_DONE);
    zcb_reassembler_destroy(&r);
}

static void
sources_chosen_to_collide_cost_sixteen_steps_too(void **state)
{
    struct zcb_reassembler *r = reassembler(NULL);
    struct whole w = {.version = 6};
    uint32_t found = 0;

    (void)state;
    for (uint32_t n = 0; found < 20; n++) {
        struct zcb_packet packet = whole_packet(NULL, &w, 80, 80, true);
        struct zcb_frame_flow flow = {.version = 6};
        uint8_t *address = (uint8_t *)(uintptr_t)packet.data + 8;

        put16(address + 4, n >> 16);
        put16(address + 6, n & 0xffff);
        memcpy(flow.address[0], address, 8);
        if ((zcb_frame_flow_hash(&flow, 1) & 4095) == 7) {
            found++;
            assert_result(give(r, &packet, 0, &out),
                          found <= 16 ? ZCB_REASSEMBLY_HELD : ZCB_REASSEMBLY_CROWDED);
        }
        zcb_packet_unref(&packet);
    }
    assert_int_equal(stats_of(r).sources, 16);
    assert_int_equal(stats_of(r).datagrams, 16);
    zcb_reassembler_destroy(&r);
}

static void
a_full_table_is_not_crowded(void **state)
{
    struct zcb_reassembler_config config = {.max_datagrams = 1000, .source_datagrams = 1000};
    struct zcb_reassembler *r = reassembler(&config);
    struct whole w = {.version = 6};
    struct zcb_packet packet;
    struct zcb_frame frame;

    (void)state;
    for (w.id = 0; w.id < 960; w.id++) {
        w.source = (uint8_t)w.id;
        assert_result(give_part(r, &w, 80, 80, true, 0, &out), ZCB_REASSEMBLY_HELD);
    }
    // One key in many contexts, which somebody may choose who sends tags.
    packet = whole_packet(NULL, &w, 80, 80, true);
    frame = parsed(&packet, ZCB_FRAME_LINK_RAW);
    for (uint32_t context = 0; context < 40; context++)
        assert_result(zcb_reassembler_input(r, &packet, &frame, context, 0, &out),
                      ZCB_REASSEMBLY_HELD);
    assert_int_equal(stats_of(r).datagrams, 1000);
    assert_int_equal(stats_of(r).evictions, 0);
    zcb_packet_unref(&packet);
    zcb_reassembler_destroy(&r);
}

static void
steady_state_allocates_nothing(void **state)
{
    struct zcb_reassembler *r = reassembler(NULL);
    uint64_t before = 0;

    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    for (uint32_t round = 0; round < 200; round++) {
        struct whole w = {.version = round % 2 != 0 ? 4 : 6, .id = round};
        struct zcb_packet packets[8];

        for (uint32_t i = 0; i < 8; i++)
            packets[i] = whole_packet(pool, &w, i * 1400, 1400, i < 7);
        if (round == 100)
            before = zcb_alloc_count();
        for (uint32_t i = 8; i-- != 0;) {
            uint64_t here = zcb_alloc_count();

            assert_result(give(r, &packets[i], round * 1000, &out),
                          i != 0 ? ZCB_REASSEMBLY_HELD : ZCB_REASSEMBLY_DONE);
            if (round >= 100)
                assert_int_equal(zcb_alloc_count(), here);
            zcb_packet_unref(&packets[i]);
        }
        zcb_chain_discard(&out, zcb_chain_len(&out));
    }
    assert_true(before != 0);
    zcb_reassembler_destroy(&r);
}

static void
a_chain_that_refuses_changes_nothing(void **state)
{
    struct zcb_chain_config limits[] = {{.max_chunks = 2}, {.max_bytes = 150}};
    struct whole w = {.version = 4};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct zcb_reassembler *r = reassembler(NULL);
        struct zcb_packet packet = datagram(&w, 3000, 0);
        struct zcb_frame frame = parsed(&packet, ZCB_FRAME_LINK_RAW);
        struct zcb_reassembler_stats stats;
        struct zcb_fragmenter cut;
        struct zcb_chain tight;

        assert_int_equal(zcb_chain_init(&tight, pool, &limits[i]), 0);
        assert_result(give_part(r, &w, 0, 80, true, 0, &tight), ZCB_REASSEMBLY_HELD);
        stats = stats_of(r);
        assert_int_equal(give_part(r, &w, 80, 80, false, 0, &tight), -ENOBUFS);
        assert_int_equal(zcb_chain_len(&tight), 0);
        {
            struct zcb_reassembler_stats now = stats_of(r);

            assert_memory_equal(&now, &stats, sizeof(now));
        }
        assert_int_equal(zcb_reassembler_expire(r, 29999, &tight), 0);
        assert_result(give_part(r, &w, 80, 80, false, 0, &out), ZCB_REASSEMBLY_DONE);
        zcb_chain_discard(&out, zcb_chain_len(&out));

        // The same with what timed out, and with what is cut.
        assert_result(give_part(r, &w, 0, 800, true, 30000, &tight), ZCB_REASSEMBLY_HELD);
        assert_int_equal(zcb_reassembler_expire(r, 60000, &tight), i == 0 ? 1 : -ENOBUFS);
        assert_int_equal(zcb_chain_len(&tight), i == 0 ? 820 : 0);
        zcb_chain_discard(&tight, zcb_chain_len(&tight));
        assert_int_equal(stats_of(r).datagrams, i);
        assert_int_equal(zcb_fragmenter_init(&cut, pool, &packet, &frame, 1500, NULL), 0);
        assert_int_equal(zcb_fragmenter_next(&cut, &tight), i == 0 ? 1 : -ENOBUFS);
        assert_int_equal(zcb_chain_len(&tight), i == 0 ? 1500 : 0);
        zcb_chain_discard(&tight, zcb_chain_len(&tight));
        assert_int_equal(zcb_fragmenter_next(&cut, &out), 1);
        assert_int_equal(zcb_chain_len(&out), 1500);
        zcb_chain_discard(&out, zcb_chain_len(&out));
        zcb_chain_finish(&tight);
        zcb_packet_unref(&packet);
        zcb_reassembler_destroy(&r);
    }
}

static void
a_chain_that_cannot_gather_changes_nothing(void **state)
{
    struct zcb_reassembler *r = reassembler(NULL);
    struct whole w = {.version = 4};
    struct zcb_packet packet = whole_packet(NULL, &w, 0, 80, true);
    struct zcb_frame frame = parsed(&packet, ZCB_FRAME_LINK_RAW);
    size_t cuts[] = {50, 10}; // in the data, in the header

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct zcb_chain in;

        assert_int_equal(zcb_chain_init(&in, NULL, NULL), 0);
        push_lone(&in, packet.data, cuts[i]);
        push_lone(&in, packet.data + cuts[i], packet.len - cuts[i]);
        assert_int_equal(zcb_reassembler_input_chain(r, &in, 0, &frame, 0, 0, &out), -EINVAL);
        assert_int_equal(stats_of(r).datagrams, 0);
        zcb_chain_finish(&in);
    }
    zcb_packet_unref(&packet);
    zcb_reassembler_destroy(&r);
}

static void
arguments_that_no_call_may_pass(void **state)
{
    struct zcb_reassembler_config bad[] = {
        {.max_fragments = 1048577}, {.max_datagrams = 1048577}, {.datagram_fragments = 8193},
        {.max_datagram = 65536},    {.headroom = 65536},        {.reserved = {[7] = 1}},
    };
    struct zcb_reassembler *r = NULL;
    struct zcb_reassembler_stats stats;
    struct whole w = {.version = 6};
    struct zcb_packet packet = whole_packet(NULL, &w, 0, 80, true);
    struct zcb_frame frame = parsed(&packet, ZCB_FRAME_LINK_RAW), wrong;
    uint64_t first = 77, more[64];
    int result;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(zcb_reassembler_create(pool, 1, &bad[i], &r), -EINVAL);
    assert_int_equal(zcb_reassembler_create(NULL, 1, NULL, &r), -EINVAL);
    assert_int_equal(zcb_reassembler_create(pool, 1, NULL, NULL), -EINVAL);
    zcb_reassembler_destroy(NULL);
    zcb_reassembler_destroy(&r);
    r = reassembler(NULL);
    assert_int_equal(zcb_reassembler_input(NULL, &packet, &frame, 0, 0, &out), -EINVAL);
    assert_int_equal(zcb_reassembler_input(r, NULL, &frame, 0, 0, &out), -EINVAL);
    assert_int_equal(zcb_reassembler_input(r, &packet, NULL, 0, 0, &out), -EINVAL);
    assert_int_equal(zcb_reassembler_input(r, &packet, &frame, 0, 0, NULL), -EINVAL);
    assert_int_equal(zcb_reassembler_input_chain(r, NULL, 0, &frame, 0, 0, &out), -EINVAL);
    assert_int_equal(zcb_reassembler_input_chain(r, &out, 0, &frame, 0, 0, &out), -EINVAL);
    assert_int_equal(zcb_reassembler_expire(NULL, 0, NULL), -EINVAL);
    assert_int_equal(zcb_reassembler_stats(NULL, &stats, sizeof(stats)), -EINVAL);
    assert_int_equal(zcb_reassembler_stats(r, NULL, sizeof(stats)), -EINVAL);
    // A parse of something else reads and writes nothing outside; zeroes are an atomic fragment.
    for (uint32_t at = 0; at < 400; at++) {
        if (at == 200) {
            uint8_t zeroes[200] = {0x60, 0, 0, 0, 0, 160, 0};

            zcb_packet_unref(&packet);
            packet = lone_packet(zeroes, sizeof(zeroes));
            frame.captured = sizeof(zeroes);
            frame.layers |= ZCB_FRAME_FRAGMENT;
        }
        wrong = frame;
        wrong.network = at % 200;
        (void)!zcb_reassembler_input(r, &packet, &wrong, 0, 0, &out);
        zcb_chain_discard(&out, zcb_chain_len(&out));
        wrong = frame;
        wrong.fragment = at % 200;
        result = zcb_reassembler_input(r, &packet, &wrong, 0, 0, &out);
        if (at >= 200) // headers of 8 bytes lead there, or it is not of this packet
            assert_int_equal(result, at % 200 >= 40 && at % 200 <= 192 && at % 8 == 0
                                         ? ZCB_REASSEMBLY_DONE
                                         : -EINVAL);
        zcb_chain_discard(&out, zcb_chain_len(&out));
        wrong = frame;
        wrong.captured = at % 200;
        (void)!zcb_reassembler_input(r, &packet, &wrong, 0, 0, &out);
        zcb_chain_discard(&out, zcb_chain_len(&out));
    }
    wrong = frame;
    wrong.captured++;
    assert_int_equal(zcb_reassembler_input(r, &packet, &wrong, 0, 0, &out), -EINVAL);
    // Sizes of the past and of the future.
    assert_int_equal(zcb_reassembler_stats(r, (struct zcb_reassembler_stats *)(void *)&first, 4),
                     0);
    memset(more, 0xee, sizeof(more));
    assert_int_equal(
        zcb_reassembler_stats(r, (struct zcb_reassembler_stats *)(void *)more, sizeof(more)), 0);
    assert_true(sizeof(more) > sizeof(stats) && more[63] == 0);
    zcb_packet_unref(&packet);
    zcb_reassembler_destroy(&r);
}

static void
results_have_names(void **state)
{
    (void)state;
    assert_string_equal(zcb_reassembly_name(ZCB_REASSEMBLY_HELD), "held");
    assert_string_equal(zcb_reassembly_name(ZCB_REASSEMBLY_ECN), "ecn");
    assert_string_equal(zcb_reassembly_text(ZCB_REASSEMBLY_EMPTY), "has no data");
    assert_string_equal(zcb_reassembly_name(ZCB_REASSEMBLY_ECN + 1), "unknown");
    assert_string_equal(zcb_reassembly_name(-1), "unknown");
    assert_string_equal(zcb_reassembly_text(-EINVAL), "unknown");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(fragments_hold_slices_of_the_datagram_and_headers_that_fit_them),
        TEST(what_fits_goes_out_as_it_is),
        TEST(padding_behind_the_datagram_is_left_out),
        TEST(dont_fragment_is_respected_unless_forced),
        TEST(a_fragment_is_cut_again_where_it_lies_in_the_datagram),
        TEST(what_cannot_be_cut_says_why),
        TEST(a_datagram_in_chunks_is_cut_without_copying_its_payload),
        TEST(headroom_in_front_of_a_new_header_is_there_for_the_next_one),
        TEST(fragments_in_any_order_become_the_datagram_without_copying),
        TEST(a_datagram_of_65535_bytes_goes_there_and_back),
        TEST(each_attack_is_called_by_its_name_and_holds_nothing),
        TEST(data_that_is_not_there_is_refused),
        TEST(a_header_that_leaves_no_room_for_the_data_discards_it),
        TEST(the_first_fragment_has_all_headers_and_its_data_ends_where_ip_says),
        TEST(an_atomic_fragment_is_a_datagram_whatever_is_under_way),
        TEST(congestion_is_kept_or_the_datagram_dropped),
        TEST(only_fragments_of_the_same_datagram_go_together),
        TEST(a_source_at_its_limit_loses_its_own_oldest_datagram),
        TEST(ipv6_addresses_of_one_network_are_one_source),
        TEST(many_sources_lose_the_oldest_of_all),
        TEST(budgets_in_bytes_count_whole_blocks_and_are_exact),
        TEST(memory_that_is_nobodys_is_charged_by_its_length),
        TEST(fragments_in_one_block_are_charged_once),
        TEST(a_datagram_does_not_go_for_its_own_fragment),
        TEST(one_fragment_makes_no_more_than_eight_datagrams_go),
        TEST(a_datagram_of_too_many_fragments_is_discarded),
        TEST(small_fragments_move_out_of_large_blocks),
        TEST(time_is_up_for_the_oldest_first_and_its_first_fragment_comes_out),
        TEST(a_fragment_that_comes_too_late_begins_anew),
        TEST(keys_chosen_to_collide_cost_sixteen_steps),
        TEST(sources_chosen_to_collide_cost_sixteen_steps_too),
        TEST(a_full_table_is_not_crowded),
        TEST(steady_state_allocates_nothing),
        TEST(a_chain_that_refuses_changes_nothing),
        TEST(a_chain_that_cannot_gather_changes_nothing),
        TEST(arguments_that_no_call_may_pass),
        TEST(results_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
