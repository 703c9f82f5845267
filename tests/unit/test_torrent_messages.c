// SPDX-License-Identifier: MIT
//
// Messages to bytes and back; what breaks a rule.
#include "torrent_testing.h"

static struct zcb_torrent_geometry geometry; // 20 pieces of 40000, the last of 12345

struct row {
    enum zcb_torrent_kind kind;
    uint32_t index, begin, length;
    uint32_t header, payload;
    uint8_t extended_id;
};

static const struct row rows[] = {
    { ZCB_TORRENT_KEEPALIVE, 0, 0, 0, 4, 0, 0 },
    { ZCB_TORRENT_CHOKE, 0, 0, 0, 5, 0, 0 },
    { ZCB_TORRENT_UNCHOKE, 0, 0, 0, 5, 0, 0 },
    { ZCB_TORRENT_INTERESTED, 0, 0, 0, 5, 0, 0 },
    { ZCB_TORRENT_NOT_INTERESTED, 0, 0, 0, 5, 0, 0 },
    { ZCB_TORRENT_HAVE, 19, 0, 0, 9, 0, 0 },
    { ZCB_TORRENT_BITFIELD, 0, 0, 0, 5, 3, 0 },
    { ZCB_TORRENT_REQUEST, 19, 1, 12344, 17, 0, 0 },
    { ZCB_TORRENT_PIECE, 3, 32768, 7232, 13, 7232, 0 },
    { ZCB_TORRENT_PIECE, 3, 16384, 16384, 13, 16384, 0 },
    { ZCB_TORRENT_CANCEL, 0, 39999, 1, 17, 0, 0 },
    { ZCB_TORRENT_PORT, 6881, 0, 0, 7, 0, 0 },
    { ZCB_TORRENT_SUGGEST, 0, 0, 0, 9, 0, 0 },
    { ZCB_TORRENT_HAVE_ALL, 0, 0, 0, 5, 0, 0 },
    { ZCB_TORRENT_HAVE_NONE, 0, 0, 0, 5, 0, 0 },
    { ZCB_TORRENT_REJECT, 5, 16384, 16384, 17, 0, 0 },
    { ZCB_TORRENT_ALLOWED_FAST, 18, 0, 0, 9, 0, 0 },
    { ZCB_TORRENT_EXTENDED, 0, 0, 0, 6, 100, 3 },
    { ZCB_TORRENT_EXTENDED, 0, 0, 0, 6, 0, 0 },
    { ZCB_TORRENT_UNKNOWN, 0, 0, 0, 5, 21, 0 },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void
say_row(struct stream *s, const struct row *r)
{
    static const uint8_t bits[3] = { 0xff, 0x0f, 0xf0 };

    switch (r->kind) {
    case ZCB_TORRENT_KEEPALIVE: SAY0(s, keepalive); break;
    case ZCB_TORRENT_CHOKE: SAY0(s, choke); break;
    case ZCB_TORRENT_UNCHOKE: SAY0(s, unchoke); break;
    case ZCB_TORRENT_INTERESTED: SAY0(s, interested); break;
    case ZCB_TORRENT_NOT_INTERESTED: SAY0(s, not_interested); break;
    case ZCB_TORRENT_HAVE: SAY(s, have, r->index); break;
    case ZCB_TORRENT_BITFIELD: SAY(s, bitfield, bits, sizeof(bits)); break;
    case ZCB_TORRENT_REQUEST: SAY(s, request, r->index, r->begin, r->length); break;
    case ZCB_TORRENT_PIECE: say_block(s, &geometry, r->index, r->begin, r->length); break;
    case ZCB_TORRENT_CANCEL: SAY(s, cancel, r->index, r->begin, r->length); break;
    case ZCB_TORRENT_PORT: SAY(s, port, (uint16_t)r->index); break;
    case ZCB_TORRENT_SUGGEST: SAY(s, suggest, r->index); break;
    case ZCB_TORRENT_HAVE_ALL: SAY0(s, have_all); break;
    case ZCB_TORRENT_HAVE_NONE: SAY0(s, have_none); break;
    case ZCB_TORRENT_REJECT: SAY(s, reject, r->index, r->begin, r->length); break;
    case ZCB_TORRENT_ALLOWED_FAST: SAY(s, allowed_fast, r->index); break;
    case ZCB_TORRENT_EXTENDED:
        SAY(s, extended, r->extended_id, r->payload);
        memset(stream_grow(s, r->payload), 'd', r->payload);
        break;
    default:
        stream_u32(s, 1 + r->payload);
        stream_put(s, "\x63", 1);
        memset(stream_grow(s, r->payload), '?', r->payload);
        break;
    }
}

static void
same(const struct zcb_torrent_message *m, const struct row *r)
{
    assert_int_equal(m->kind, r->kind);
    assert_int_equal(m->index, r->index);
    assert_int_equal(m->begin, r->begin);
    assert_int_equal(m->length, r->length);
    assert_int_equal(m->payload_off, r->payload == 0 && r->kind != ZCB_TORRENT_EXTENDED ? 0 : r->header);
    assert_int_equal(m->payload_len, r->payload);
    assert_int_equal(m->extended_id, r->extended_id);
    assert_int_equal(m->size, r->header + r->payload);
}

static void
push_static(struct zcb_chain *chain, const void *data, size_t len)
{
    struct zcb_packet packet = zcb_packet_static(data, len);

    assert_int_equal(zcb_chain_push(chain, &packet), 0);
}

static int
prepare(void **state)
{
    (void)state;
    return zcb_torrent_geometry_init(&geometry, 19 * 40000 + 12345, 40000, 0);
}

static void
every_message_is_read_at_every_prefix_and_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct stream s = { 0 };

        say_row(&s, &rows[i]);
        assert_int_equal(s.len, rows[i].header + rows[i].payload);
        for (size_t have = 0; have <= s.len; have = have < 40 || have + 300 > s.len ? have + 1 : have + 97) {
            // Alone, and cut in two, at an offset that is not 0.
            for (size_t cut = 0; cut <= have && cut <= 20; cut++) {
                struct zcb_torrent_message m = { 0 };
                struct zcb_torrent_error error;
                struct zcb_chain chain;
                int r;

                assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
                push_static(&chain, "xyz", 3);
                push_static(&chain, s.bytes, cut);
                push_static(&chain, s.bytes + cut, have - cut);
                r = zcb_torrent_peek(&chain, 3, &geometry, NULL, &m, &error);
                assert_null(error.reason);
                if (have < rows[i].header) {
                    assert_int_equal(r, -EAGAIN);
                } else {
                    assert_int_equal(r, (int)rows[i].header);
                    same(&m, &rows[i]);
                }
                assert_int_equal(zcb_chain_len(&chain), 3 + have);
                zcb_chain_finish(&chain);
            }
        }
        stream_end(&s);
    }
}

static void
a_handshake_is_read_at_every_split_and_refused_at_its_first_wrong_byte(void **state)
{
    (void)state;
    struct stream s = { 0 };

    say_handshake(&s);
    assert_int_equal(s.len, 68);
    for (size_t have = 0; have <= 68; have++) {
        for (size_t cut = 0; cut <= have; cut++) {
            struct zcb_torrent_handshake h;
            struct zcb_chain chain;

            assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
            push_static(&chain, s.bytes, cut);
            push_static(&chain, s.bytes + cut, have - cut);
            assert_int_equal(zcb_torrent_peek_handshake(&chain, &h, NULL), have < 68 ? -EAGAIN : 68);
            if (have == 68) {
                assert_memory_equal(h.reserved, s.bytes + 20, 8);
                assert_memory_equal(h.info_hash, "hhhhhhhhhhhhhhhhhhhh", 20);
                assert_memory_equal(h.peer_id, "pppppppppppppppppppp", 20);
            }
            zcb_chain_finish(&chain);
        }
    }
    for (size_t wrong = 0; wrong < 20; wrong++) {
        for (size_t have = 1; have <= 68; have += 3) {
            struct zcb_torrent_handshake h;
            struct zcb_torrent_error error;
            struct zcb_chain chain;

            s.bytes[wrong] ^= 0x20;
            assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
            push_static(&chain, s.bytes, have);
            assert_int_equal(zcb_torrent_peek_handshake(&chain, &h, &error),
                             have > wrong ? -EBADMSG : have < 68 ? -EAGAIN : 68);
            if (have > wrong) {
                assert_string_equal(error.reason, "not the BitTorrent protocol");
                assert_int_equal(error.at, wrong);
            }
            zcb_chain_finish(&chain);
            s.bytes[wrong] ^= 0x20;
        }
    }
    stream_end(&s);
}

static void
every_wrong_message_is_refused_with_reason_and_place(void **state)
{
    (void)state;
    static const struct {
        uint32_t length;
        int id;
        uint32_t numbers[3];
        uint32_t at;
        const char *reason;
    } wrong[] = {
        { UINT32_MAX, 7, { 0 }, 0, "message longer than any that is allowed" },
        { 0x80000000, 20, { 0 }, 0, "message longer than any that is allowed" },
        { (1u << 20) + 1, 7, { 0 }, 0, "message longer than any that is allowed" },
        { (1u << 20), 7, { 0 }, 0, "block above the limit" },
        { 2, 0, { 0 }, 0, "wrong length for its id" },
        { 5, 1, { 0 }, 0, "wrong length for its id" },
        { 2, 2, { 0 }, 0, "wrong length for its id" },
        { 2, 3, { 0 }, 0, "wrong length for its id" },
        { 4, 4, { 0 }, 0, "wrong length for its id" },
        { 6, 4, { 0 }, 0, "wrong length for its id" },
        { 1, 5, { 0 }, 0, "bitfield of the wrong size" },
        { 3, 5, { 0 }, 0, "bitfield of the wrong size" },
        { 5, 5, { 0 }, 0, "bitfield of the wrong size" },
        { 12, 6, { 0 }, 0, "wrong length for its id" },
        { 14, 6, { 0 }, 0, "wrong length for its id" },
        { 1, 7, { 0 }, 0, "piece message without a block" },
        { 9, 7, { 0 }, 0, "piece message without a block" },
        { 9 + 16385, 7, { 0 }, 0, "block above the limit" },
        { 12, 8, { 0 }, 0, "wrong length for its id" },
        { 2, 9, { 0 }, 0, "wrong length for its id" },
        { 6, 13, { 0 }, 0, "wrong length for its id" },
        { 2, 14, { 0 }, 0, "wrong length for its id" },
        { 2, 15, { 0 }, 0, "wrong length for its id" },
        { 9, 16, { 0 }, 0, "wrong length for its id" },
        { 1, 17, { 0 }, 0, "wrong length for its id" },
        { 1, 20, { 0 }, 0, "extended message without its id" },
        { 5, 4, { 20 }, 5, "piece index outside the torrent" },
        { 5, 4, { UINT32_MAX }, 5, "piece index outside the torrent" },
        { 5, 13, { 20 }, 5, "piece index outside the torrent" },
        { 5, 17, { 0x80000000 }, 5, "piece index outside the torrent" },
        { 13, 6, { 20, 0, 1 }, 5, "piece index outside the torrent" },
        { 13, 6, { 0, 40000, 1 }, 9, "block outside its piece" },
        { 13, 6, { 0, UINT32_MAX, 1 }, 9, "block outside its piece" },
        { 13, 6, { 0, 1, UINT32_MAX }, 9, "block outside its piece" },
        { 13, 6, { 19, 0, 12346 }, 9, "block outside its piece" },
        { 13, 6, { 0, 0, 0 }, 9, "empty block" },
        { 13, 8, { 0, 16384, 23617 }, 9, "block outside its piece" },
        { 13, 16, { 20, 0, 1 }, 5, "piece index outside the torrent" },
        { 9 + 16384, 7, { 20, 0 }, 5, "piece index outside the torrent" },
        { 9 + 16384, 7, { 0, 32768 }, 9, "block outside its piece" },
        { 9 + 1, 7, { 0, UINT32_MAX }, 9, "block outside its piece" },
        { 9 + 16384, 7, { 19, 0 }, 9, "block outside its piece" },
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct zcb_torrent_message m = { .index = 77 };
        struct zcb_torrent_error error;
        struct zcb_chain chain;
        struct stream s = { 0 };
        int r;

        // Payload is nowhere: the header alone is enough to refuse it.
        stream_u32(&s, wrong[i].length);
        stream_put(&s, (uint8_t[]){ (uint8_t)wrong[i].id }, 1);
        for (int n = 0; n < 3; n++)
            stream_u32(&s, wrong[i].numbers[n]);
        assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
        push_static(&chain, "before", 6);
        push_static(&chain, s.bytes, s.len);
        r = zcb_torrent_peek(&chain, 6, &geometry, NULL, &m, &error);
        if (r != -EBADMSG || strcmp(error.reason, wrong[i].reason) != 0)
            fail_msg("row %zu: %d %s", i, r, error.reason != NULL ? error.reason : "-");
        assert_int_equal(error.at, 6 + wrong[i].at);
        assert_int_equal(error.id, wrong[i].id);
        assert_true(error.length == wrong[i].length);
        assert_int_equal(m.index, 77);
        assert_int_equal(zcb_torrent_peek(&chain, 6, &geometry, NULL, &m, NULL), -EBADMSG);
        zcb_chain_finish(&chain);
        stream_end(&s);
    }
}

static void
a_length_above_all_limits_is_refused_by_its_four_bytes(void **state)
{
    (void)state;
    struct zcb_torrent_message m;
    struct zcb_torrent_error error;
    struct zcb_chain chain;

    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    push_static(&chain, "\xff\xff\xff\xff", 4);
    assert_int_equal(zcb_torrent_peek(&chain, 0, NULL, NULL, &m, &error), -EBADMSG);
    assert_int_equal(error.id, -1);
    assert_int_equal(zcb_torrent_peek(&chain, 5, NULL, NULL, &m, &error), -EAGAIN);
    zcb_chain_finish(&chain);
}

static void
limits_are_judged_exactly_at_their_edge(void **state)
{
    (void)state;
    static const struct zcb_torrent_limits limits = {
        .max_block = 500, .max_request = 100, .max_extended = 50, .max_unknown = 30,
    };
    static const struct {
        uint32_t length;
        int id;
        uint32_t third;
        bool good;
    } edges[] = {
        { 509, 7, 0, true }, { 510, 7, 0, false }, { 13, 6, 100, true }, { 13, 6, 101, false }, { 13, 8, 100, true },
        { 13, 8, 101, false }, { 13, 16, 16384, true }, { 50, 20, 0, true }, { 51, 20, 0, false }, { 30, 99, 0, true },
        { 31, 99, 0, false }, { 1, 10, 0, true }, { 1, 255, 0, true },
    };

    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        struct zcb_torrent_message m;
        struct zcb_chain chain;
        struct stream s = { 0 };

        stream_u32(&s, edges[i].length);
        stream_put(&s, (uint8_t[]){ (uint8_t)edges[i].id }, 1);
        stream_u32(&s, 0);
        stream_u32(&s, 0);
        stream_u32(&s, edges[i].third);
        assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
        push_static(&chain, s.bytes, s.len);
        assert_int_equal(zcb_torrent_peek(&chain, 0, &geometry, &limits, &m, NULL) > 0, edges[i].good);
        zcb_chain_finish(&chain);
        stream_end(&s);
    }
}

static void
limits_that_are_lifted_do_not_wrap(void **state)
{
    (void)state;
    static const struct zcb_torrent_limits lifted = {
        .max_block = UINT32_MAX, .max_extended = UINT32_MAX, .max_unknown = UINT32_MAX,
    };
    static const int ids[] = { 5, 7, 20, 99 };

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct zcb_torrent_message m;
        struct zcb_chain chain;
        struct stream s = { 0 };

        stream_u32(&s, UINT32_MAX);
        stream_put(&s, (uint8_t[]){ (uint8_t)ids[i] }, 1);
        memset(stream_grow(&s, 8), 0, 8);
        assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
        push_static(&chain, s.bytes, s.len);
        assert_true(zcb_torrent_peek(&chain, 0, NULL, &lifted, &m, NULL) > 0);
        assert_true(m.size == UINT64_C(0x100000003));
        assert_int_equal(m.payload_off + (uint64_t)m.payload_len, m.size);
        zcb_chain_finish(&chain);
        stream_end(&s);
    }
}

static void
without_a_geometry_numbers_are_not_judged(void **state)
{
    (void)state;
    struct zcb_torrent_message m;
    struct zcb_chain chain;
    struct stream s = { 0 };

    SAY(&s, have, UINT32_MAX);
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    push_static(&chain, s.bytes, s.len);
    assert_int_equal(zcb_torrent_peek(&chain, 0, NULL, NULL, &m, NULL), 9);
    assert_true(m.index == UINT32_MAX);
    zcb_chain_finish(&chain);
    stream_end(&s);
}

static void
a_writer_with_too_little_room_writes_nothing(void **state)
{
    (void)state;
    static const struct zcb_torrent_handshake h = { { 0 }, { 0 }, { 0 } };

    for (size_t room = 0; room < 80; room++) {
        uint8_t out[80], untouched[80];

        memset(untouched, 0xaa, sizeof(untouched));
#define FITS(name, size, ...)                                                                      \
    do {                                                                                           \
        memset(out, 0xaa, sizeof(out));                                                            \
        assert_int_equal(zcb_torrent_write_##name(__VA_ARGS__), room >= (size) ? (int)(size) : -ERANGE); \
        assert_memory_equal(out + (room >= (size) ? (size) : 0), untouched, sizeof(out) - (size)); \
        if (room < (size))                                                                         \
            assert_memory_equal(out, untouched, sizeof(out));                                      \
    } while (0)
        FITS(handshake, 68, out, room, &h);
        FITS(keepalive, 4, out, room);
        FITS(choke, 5, out, room);
        FITS(have_all, 5, out, room);
        FITS(have, 9, out, room, 1);
        FITS(port, 7, out, room, 1);
        FITS(request, 17, out, room, 1, 2, 3);
        FITS(reject, 17, out, room, 1, 2, 3);
        FITS(piece, 13, out, room, 1, 2, 16384);
        FITS(extended, 6, out, room, 1, 100);
        FITS(bitfield, 8, out, room, "abc", 3);
#undef FITS
    }
    assert_int_equal(zcb_torrent_write_have(NULL, 100, 1), -EINVAL);
    assert_int_equal(zcb_torrent_write_extended(NULL, 100, 1, 1), -EINVAL);
    assert_int_equal(zcb_torrent_write_bitfield((uint8_t[8]){ 0 }, 8, NULL, 3), -EINVAL);
#if SIZE_MAX > UINT32_MAX
    assert_int_equal(zcb_torrent_write_piece((uint8_t[16]){ 0 }, 16, 0, 0, UINT32_MAX - 8), -EOVERFLOW);
    assert_int_equal(zcb_torrent_write_extended((uint8_t[16]){ 0 }, 16, 0, SIZE_MAX), -EOVERFLOW);
#endif
}

static void
kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(zcb_torrent_kind_name(ZCB_TORRENT_PIECE), "piece");
    assert_string_equal(zcb_torrent_kind_name(ZCB_TORRENT_EXTENDED), "extended");
    assert_string_equal(zcb_torrent_kind_name(ZCB_TORRENT_KEEPALIVE), "keepalive");
    assert_string_equal(zcb_torrent_kind_name(ZCB_TORRENT_HANDSHAKE), "handshake");
    assert_string_equal(zcb_torrent_kind_name(ZCB_TORRENT_UNKNOWN), "unknown");
    assert_string_equal(zcb_torrent_kind_name((enum zcb_torrent_kind)11), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_is_read_at_every_prefix_and_every_split),
        cmocka_unit_test(a_handshake_is_read_at_every_split_and_refused_at_its_first_wrong_byte),
        cmocka_unit_test(every_wrong_message_is_refused_with_reason_and_place),
        cmocka_unit_test(a_length_above_all_limits_is_refused_by_its_four_bytes),
        cmocka_unit_test(limits_are_judged_exactly_at_their_edge),
        cmocka_unit_test(limits_that_are_lifted_do_not_wrap),
        cmocka_unit_test(without_a_geometry_numbers_are_not_judged),
        cmocka_unit_test(a_writer_with_too_little_room_writes_nothing),
        cmocka_unit_test(kinds_have_names),
    };

    return cmocka_run_group_tests(tests, prepare, NULL);
}
