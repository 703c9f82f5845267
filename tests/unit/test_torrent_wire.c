// SPDX-License-Identifier: MIT
//
// One connection, normal receive: messages, payload on its way in, rules of state, bounds.
#include "torrent_testing.h"

#include "support/alloc_count.h"

#define PIECE 65536u
#define BLOCK 16384u

struct fixture {
    struct finished finished;
    struct zcb_pool *pool;
    struct zcb_torrent_assembler *a;
    struct zcb_torrent_wire *wire;
    struct zcb_torrent_wire_config config;
    struct stream s;
    struct heard heard;
    uint8_t out[65536];
    uint64_t now;
};

static struct fixture f;

static const struct zcb_torrent_handshake peer_with_all = { .reserved = { [5] = 0x10, [7] = 0x04 } };

// A wire behind its handshake, 11 pieces, the last short.
static void
start(const struct zcb_torrent_wire_config *config)
{
    memset(&f, 0, sizeof(f));
    assert_int_equal(zcb_torrent_geometry_init(&f.finished.geometry, 10 * PIECE + 20000, PIECE, 0), 0);
    assert_int_equal(zcb_pool_create(NULL, &f.pool), 0);
    assert_int_equal(zcb_torrent_assembler_create(&f.finished.geometry,
                                                  &(struct zcb_torrent_assembler_config){
                                                      .complete = on_complete,
                                                      .ctx = &f.finished,
                                                  },
                                                  &f.a),
                     0);
    if (config != NULL)
        f.config = *config;
    f.config.flags |= ZCB_TORRENT_OFFER_FAST | ZCB_TORRENT_OFFER_EXTENDED;
    if (f.config.peer_handshake == NULL)
        f.config.peer_handshake = &peer_with_all;
    assert_int_equal(zcb_torrent_wire_create(f.pool, f.a, 3, &f.config, &f.wire), 0);
}

static void
end(void)
{
    struct zcb_torrent_assembler_stats stats;

    zcb_torrent_wire_destroy(&f.wire);
    assert_null(f.wire);
    assert_int_equal(zcb_torrent_assembler_stats(f.a, &stats, sizeof(stats)), 0);
    assert_int_equal(stats.reserved, 0); // nothing stays behind
    zcb_torrent_assembler_destroy(&f.a);
    zcb_pool_destroy(&f.pool);
    stream_end(&f.s);
}

static struct zcb_torrent_wire_stats
stats(void)
{
    struct zcb_torrent_wire_stats s;

    assert_int_equal(zcb_torrent_wire_stats(f.wire, &s, sizeof(s)), 0);
    return s;
}

static int
run(size_t most)
{
    return line_run(f.wire, &f.s, most, 8, &f.heard);
}

// How bytes come to the wire.
enum way { READ, PUSH, WAYS };

static void
push(const uint8_t *data, size_t len)
{
    struct zcb_packet packet;

    assert_int_equal(zcb_packet_copy(f.pool, data, len, &packet), 0);
    assert_int_equal(zcb_torrent_wire_push(f.wire, &packet), 0);
    assert_null(packet.data);
}

// The rest of the stream, at most `most` bytes at a time.
static int
run_by(enum way way, size_t most)
{
    int r = 0;

    if (way == READ)
        return run(most);
    while (r == 0 && f.s.sent < f.s.len) {
        size_t len = f.s.len - f.s.sent < most ? f.s.len - f.s.sent : most;

        push(f.s.bytes + f.s.sent, len);
        f.s.sent += len;
        r = hear(f.wire, &f.heard);
    }
    return r;
}

// Unchoked by a seed; returns the bytes of its first requests, in f.out.
static size_t
ask(void)
{
    int n;

    SAY0(&f.s, have_all);
    SAY0(&f.s, unchoke);
    assert_int_equal(run(1000), 0);
    n = zcb_torrent_wire_output(f.wire, f.now, f.out, sizeof(f.out));
    assert_true(n > 0);
    return (size_t)n;
}

static void
every_kind_of_message_comes_out_at_every_read_size(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 2, 3, 5, 7, 13, 17, 68, 100, 1448, 16384, 100000 };
    static const uint8_t bits[2] = { 0xff, 0x80 };

    for (size_t i = 0; i < WAYS * sizeof(sizes) / sizeof(sizes[0]); i++) {
        static const enum zcb_torrent_kind kinds[] = {
            ZCB_TORRENT_HANDSHAKE, ZCB_TORRENT_KEEPALIVE, ZCB_TORRENT_EXTENDED, ZCB_TORRENT_BITFIELD,
            ZCB_TORRENT_HAVE, ZCB_TORRENT_INTERESTED, ZCB_TORRENT_UNCHOKE, ZCB_TORRENT_PORT, ZCB_TORRENT_REQUEST,
            ZCB_TORRENT_CANCEL, ZCB_TORRENT_PIECE, ZCB_TORRENT_SUGGEST, ZCB_TORRENT_ALLOWED_FAST,
            ZCB_TORRENT_REJECT, ZCB_TORRENT_NOT_INTERESTED, ZCB_TORRENT_CHOKE,
        };

        start(NULL);
        zcb_torrent_wire_destroy(&f.wire);
        f.config.peer_handshake = NULL;
        f.config.info_hash = (const uint8_t *)"hhhhhhhhhhhhhhhhhhhh";
        assert_int_equal(zcb_torrent_wire_create(f.pool, f.a, 3, &f.config, &f.wire), 0);
        assert_null(zcb_torrent_wire_handshake(f.wire));
        assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, sizeof(f.out)), 0);
        say_handshake(&f.s);
        SAY0(&f.s, keepalive);
        SAY(&f.s, extended, 0, 4);
        stream_put(&f.s, "d1:e", 4);
        SAY(&f.s, bitfield, bits, 2);
        SAY(&f.s, have, 10);
        SAY0(&f.s, interested);
        SAY0(&f.s, unchoke);
        SAY(&f.s, port, 6881);
        stream_u32(&f.s, 30001); // unknown
        stream_put(&f.s, "\x21", 1);
        memset(stream_grow(&f.s, 30000), 7, 30000);
        SAY(&f.s, request, 10, 16384, 3616);
        SAY(&f.s, cancel, 10, 16384, 3616);
        say_block(&f.s, &f.finished.geometry, 0, 16384, BLOCK); // nobody asked
        SAY(&f.s, suggest, 4);
        SAY(&f.s, allowed_fast, 4);
        SAY(&f.s, reject, 0, 0, BLOCK);
        SAY0(&f.s, not_interested);
        SAY0(&f.s, choke);
        assert_int_equal(run_by((enum way)(i % WAYS), sizes[i / WAYS]), 0);
        assert_int_equal(f.heard.count, sizeof(kinds) / sizeof(kinds[0]));
        for (size_t k = 0; k < f.heard.count; k++)
            assert_int_equal(f.heard.messages[k].kind, kinds[k]);
        assert_int_equal(f.heard.messages[7].index, 6881);
        assert_int_equal(f.heard.messages[10].result, ZCB_TORRENT_UNASKED);
        assert_memory_equal(zcb_torrent_wire_handshake(f.wire)->peer_id, "pppppppppppppppppppp", 20);
        assert_int_equal(zcb_torrent_wire_pieces(f.wire), 10);
        assert_true(zcb_torrent_wire_has(f.wire, 10));
        assert_true(zcb_torrent_wire_has(f.wire, 8));
        assert_false(zcb_torrent_wire_has(f.wire, 9));
        assert_false(zcb_torrent_wire_has(f.wire, 11));
        assert_memory_equal(zcb_torrent_wire_bits(f.wire), "\xff\xa0", 2);
        assert_true(zcb_torrent_wire_wants(f.wire));
        assert_true(zcb_torrent_wire_chokes(f.wire));
        assert_false(zcb_torrent_wire_is_interested(f.wire));
        assert_true(zcb_torrent_wire_fast(f.wire));
        assert_true(zcb_torrent_wire_extended(f.wire));
        assert_int_equal(zcb_torrent_wire_peer(f.wire), 3);
        assert_int_equal(zcb_torrent_wire_unread(f.wire), 0);
        assert_int_equal(stats().unknown, 1);
        assert_int_equal(stats().unasked_blocks, 1);
        assert_int_equal(stats().unasked_bytes, BLOCK);
        assert_int_equal(stats().bytes, f.s.len);
        assert_int_equal(stats().messages, f.heard.count); // all but the handshake, and the unknown one
        assert_null(zcb_torrent_wire_error(f.wire)->reason);
        end();
    }
}

static void
a_download_moves_each_payload_byte_exactly_once(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1448, 16384, 65536, 1000003 };

    for (size_t i = 0; i < WAYS * sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct zcb_copies before, after;
        uint64_t payload = 10 * PIECE + 20000, moved;
        size_t n, first;

        start(NULL);
        n = ask();
        first = f.s.len;
        zcb_copies_thread(&before);
        while (n != 0) {
            answer_requests(&f.s, &f.finished.geometry, f.out, n);
            assert_int_equal(run_by((enum way)(i % WAYS), sizes[i / WAYS]), 0);
            n = (size_t)zcb_torrent_wire_output(f.wire, 0, f.out, sizeof(f.out));
        }
        zcb_copies_thread(&after);
        assert_int_equal(f.finished.count, 11);
        assert_int_equal(stats().payload_bytes, payload);
        assert_int_equal(stats().blocks, 42);
        assert_int_equal(stats().direct_bytes, 0);
        assert_false(zcb_torrent_wire_wants(f.wire));
        assert_int_equal(after.bytes[ZCB_COPY_CONSUME] - before.bytes[ZCB_COPY_CONSUME], payload);
        moved = zcb_copies_bytes(&after) - zcb_copies_bytes(&before);
        if (i % WAYS == PUSH)
            moved -= f.s.len - first; // the packets were made with a copy
        assert_true(moved - payload <= 42 * 17); // headers that cross chunks
        end();
    }
}

static void
payload_is_in_its_place_before_the_message_is_whole(void **state)
{
    (void)state;
    size_t before;

    start(NULL);
    before = ask();
    answer_requests(&f.s, &f.finished.geometry, f.out, 17);
    f.s.len -= 1; // its last byte is missing
    assert_true(before >= 17);
    f.heard.count = 0;
    assert_int_equal(run(1448), 0);
    assert_int_equal(f.heard.count, 0);
    assert_int_equal(zcb_torrent_wire_unread(f.wire), 0); // nothing waits in the buffer
    assert_int_equal(stats().blocks, 0);
    f.s.len += 1;
    assert_int_equal(run(1), 0);
    assert_int_equal(f.heard.count, 1);
    assert_int_equal(f.heard.messages[0].result, ZCB_TORRENT_STORED);
    assert_int_equal(f.heard.messages[0].length, BLOCK);
    end();
}

static void
a_peer_that_dies_in_a_block_leaves_it_missing(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64];

    start(NULL);
    ask();
    answer_requests(&f.s, &f.finished.geometry, f.out, 34);
    f.s.len -= 5000;
    assert_int_equal(run(1448), 0);
    assert_int_equal(stats().blocks, 1);
    zcb_torrent_wire_destroy(&f.wire);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 9, (const uint8_t *)"\xff\xe0", 0, r, 64), 41);
    for (int i = 0; i < 41; i++) // all but the one that had come
        assert_true(r[i].index != 0 || r[i].begin != 0);
    zcb_torrent_assembler_cancel_peer(f.a, 9);
    end();
}

static void
a_block_taken_over_in_the_middle_is_not_written_by_the_slow_one(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64];
    uint8_t bytes[BLOCK];
    int n;

    start(NULL);
    ask();
    for (uint32_t i = 1; i < 11; i++) // the peer owes it all; only piece 0 is looked at
        assert_int_equal(zcb_torrent_assembler_close(f.a, i), i < 11 ? 0 : 0);
    answer_requests(&f.s, &f.finished.geometry, f.out, 17);
    memset(f.s.bytes + f.s.len - 8000, 0xbd, 8000); // would be wrong
    f.s.len -= 8000;
    assert_int_equal(run(1448), 0);
    n = zcb_torrent_assembler_pick(f.a, 9, (const uint8_t *)"\x80\0", 10000, r, 64);
    assert_int_equal(n, 4);
    for (int i = 0; i < n; i++) {
        for (uint32_t k = 0; k < BLOCK; k++)
            bytes[k] = torrent_byte((uint64_t)r[i].begin + k);
        if (i == 3) { // the slow one goes on while the last is missing
            f.s.len += 8000;
            assert_int_equal(run(1448), 0);
        }
        assert_true(zcb_torrent_assembler_write(f.a, &r[i], bytes, BLOCK) >= 0);
    }
    assert_int_equal(f.finished.count, 1); // on_complete saw that each byte is right
    assert_int_equal(f.heard.messages[f.heard.count - 1].result, ZCB_TORRENT_LATE);
    assert_int_equal(stats().late_blocks, 1);
    assert_int_equal(stats().late_bytes, BLOCK);
    // And the rest is called off.
    n = zcb_torrent_wire_output(f.wire, 10000, f.out, sizeof(f.out));
    assert_true(n >= 17 * 3);
    assert_int_equal(f.out[4], ZCB_TORRENT_CANCEL);
    assert_int_equal(stats().cancels, 41);
    end();
}

static void
duplicates_and_late_blocks_are_dropped_and_counted(void **state)
{
    (void)state;
    size_t asked;

    start(&(struct zcb_torrent_wire_config){ .pipeline = 3 });
    asked = ask();
    assert_int_equal(asked, 51);
    answer_requests(&f.s, &f.finished.geometry, f.out, 17);
    answer_requests(&f.s, &f.finished.geometry, f.out, 17);
    assert_int_equal(zcb_torrent_assembler_expire(f.a, 60000), 3);
    assert_int_equal(run(5000), 0);
    assert_int_equal(stats().late_blocks, 1);
    assert_int_equal(stats().unasked_blocks, 1);
    assert_int_equal(stats().blocks, 0);
    // Both that are left are told, once.
    assert_int_equal(zcb_torrent_wire_output(f.wire, 60000, f.out, 40), 34);
    assert_int_equal(f.out[4], ZCB_TORRENT_CANCEL);
    assert_int_equal(f.out[21], ZCB_TORRENT_CANCEL);
    assert_int_equal(zcb_torrent_wire_output(f.wire, 60000, f.out, sizeof(f.out)), 51);
    assert_int_equal(f.out[4], ZCB_TORRENT_REQUEST);
    end();
}

static void
the_pipeline_is_kept_full_in_batches(void **state)
{
    (void)state;
    size_t n;

    start(&(struct zcb_torrent_wire_config){ .pipeline = 8 });
    n = ask();
    assert_int_equal(n, 8 * 17);
    assert_int_equal(zcb_torrent_wire_outstanding(f.wire), 8);
    answer_requests(&f.s, &f.finished.geometry, f.out, 17);
    assert_int_equal(run(100000), 0);
    assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out + 8 * 17, 1000), 0);
    answer_requests(&f.s, &f.finished.geometry, f.out + 17, 17);
    assert_int_equal(run(100000), 0);
    assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 16), 0); // no room for one
    assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 1000), 34);
    assert_int_equal(zcb_torrent_wire_set_pipeline(f.wire, 20), 0);
    assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 100), 85); // what fits
    assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 1000), 7 * 17);
    assert_int_equal(zcb_torrent_wire_set_pipeline(f.wire, 0), -EINVAL);
    assert_int_equal(zcb_torrent_wire_set_pipeline(f.wire, 4097), -EINVAL);
    end();
}

static void
a_choke_drops_what_was_asked_for_unless_the_fast_extension_is_on(void **state)
{
    (void)state;
    static const struct zcb_torrent_handshake plain = { { 0 }, { 0 }, { 0 } };

    for (int fast = 0; fast < 2; fast++) {
        start(&(struct zcb_torrent_wire_config){ .pipeline = 4, .peer_handshake = fast ? &peer_with_all : &plain });
        SAY(&f.s, bitfield, "\xff\xe0", 2);
        SAY0(&f.s, unchoke);
        assert_int_equal(run(100), 0);
        assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 1000), 68);
        SAY0(&f.s, choke);
        if (fast)
            SAY(&f.s, reject, 0, 0, BLOCK);
        assert_int_equal(run(100), 0);
        assert_int_equal(zcb_torrent_wire_outstanding(f.wire), fast ? 3 : 0);
        assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 1000), 0);
        assert_int_equal(stats().rejected, fast ? 1 : 4);
        SAY0(&f.s, unchoke);
        assert_int_equal(run(100), 0);
        assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 1000), fast ? 17 : 68);
        end();
    }
}

static void
a_peer_that_rejects_everything_is_not_asked_again_at_once(void **state)
{
    (void)state;
    start(&(struct zcb_torrent_wire_config){ .pipeline = 1 });
    f.now = 5000;
    assert_int_equal(ask(), 17);
    SAY(&f.s, reject, 0, 0, BLOCK);
    assert_int_equal(run(100), 0);
    assert_int_equal(zcb_torrent_wire_output(f.wire, 5999, f.out, 1000), 0);
    assert_int_equal(zcb_torrent_wire_output(f.wire, 6000, f.out, 1000), 17);
    end();
}

static void
what_breaks_a_rule_closes_with_a_reason(void **state)
{
    (void)state;
    static const struct zcb_torrent_handshake plain = { { 0 }, { 0 }, { 0 } };
    static const struct {
        const char *reason;
        bool fast;
        uint32_t flags;
    } rows[] = {
        { "fast extension message without the extension", false, 0 },
        { "fast extension message without the extension", false, 0 },
        { "bitfield, or have all or none, too late", true, ZCB_TORRENT_STRICT },
        { "bitfield, or have all or none, too late", true, 0 },
        { "bitfield with spare bits set", true, 0 },
        { "too many keepalives", true, 0 },
        { "too many requests", true, 0 },
        { "too many blocks that were not asked for", true, 0 },
        { "block that was not asked for", true, ZCB_TORRENT_STRICT },
        { "reject of what was not asked for", true, ZCB_TORRENT_STRICT },
        { "reject of what was not asked for", true, 0 },
        { "piece index outside the torrent", true, 0 },
        { "bitfield, or have all or none, too late", true, ZCB_TORRENT_STRICT },
        { "message longer than any that is allowed", true, 0 },
        { "fast extension message without the extension", false, 0 },
        { "fast extension message without the extension", false, 0 },
    };
    static const uint64_t at[] = { 4, 4, 13, 11, 6, 12, 55, 4 * (13 + BLOCK) + 5, 5, 5, 68 + 5, 5, 9, 0, 4, 4 };
    static const size_t sizes[] = { 1, 7, 100000 };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t k = 0; k < 3; k++) {
            struct zcb_torrent_message m;
            struct zcb_packet packet;

            start(&(struct zcb_torrent_wire_config){
                .flags = rows[i].flags,
                .peer_handshake = rows[i].fast ? &peer_with_all : &plain,
                .limits = { .max_keepalives = 3, .max_peer_requests = 3, .max_unasked = 4 },
            });
            switch (i) {
            case 0: SAY0(&f.s, have_all); break;
            case 1: SAY(&f.s, reject, 0, 0, 1); break;
            case 2:
                SAY(&f.s, have, 1);
                SAY(&f.s, bitfield, "\xff\xe0", 2);
                break;
            case 3:
                SAY(&f.s, bitfield, "\xff\xe0", 2);
                SAY0(&f.s, have_none);
                break;
            case 4: SAY(&f.s, bitfield, "\xff\xf0", 2); break;
            case 5:
                for (int n = 0; n < 4; n++)
                    SAY0(&f.s, keepalive);
                break;
            case 6:
                for (int n = 0; n < 4; n++)
                    SAY(&f.s, request, 0, 0, 1);
                break;
            case 7:
                for (int n = 0; n < 5; n++)
                    say_block(&f.s, &f.finished.geometry, 1, 0, BLOCK);
                break;
            case 8: say_block(&f.s, &f.finished.geometry, 1, 0, BLOCK); break;
            case 9: SAY(&f.s, reject, 0, 0, 1); break;
            case 10:
                for (int n = 0; n < 5; n++)
                    SAY(&f.s, reject, 0, 0, 1);
                break;
            case 11: SAY(&f.s, have, 11); break;
            case 12:
                SAY0(&f.s, have_none);
                SAY0(&f.s, have_all);
                break;
            case 13: stream_u32(&f.s, 0x7fffffff); break;
            case 14: SAY(&f.s, suggest, 1); break;
            default: SAY(&f.s, allowed_fast, 1); break;
            }
            if (i == 12)
                assert_int_equal(f.s.len, 10);
            assert_int_equal(run(sizes[k]), -EBADMSG);
            assert_string_equal(zcb_torrent_wire_error(f.wire)->reason, rows[i].reason);
            assert_int_equal(zcb_torrent_wire_error(f.wire)->at, at[i]);
            // For ever.
            assert_int_equal(zcb_torrent_wire_next(f.wire, &m), -EBADMSG);
            assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, &(struct iovec){ 0 }, 1), -EBADMSG);
            packet = zcb_packet_static("\0\0\0\0", 4); // and nothing more is kept of it
            assert_int_equal(zcb_torrent_wire_push(f.wire, &packet), -EBADMSG);
            assert_int_equal(packet.len, 4);
            assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 1000), 0);
            end();
        }
    }
}

static void
an_unchoke_that_is_repeated_does_not_end_the_pause_after_a_reject(void **state)
{
    (void)state;
    start(&(struct zcb_torrent_wire_config){ .pipeline = 1, .peer_handshake = &peer_with_all });
    SAY(&f.s, bitfield, "\xff\xe0", 2);
    SAY0(&f.s, unchoke);
    assert_int_equal(run(100), 0);
    assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 1000), 17);
    SAY(&f.s, reject, 0, 0, BLOCK);
    SAY0(&f.s, unchoke);
    assert_int_equal(run(100), 0);
    assert_int_equal(stats().rejected, 1);
    assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 1000), 0);
    assert_int_equal(zcb_torrent_wire_output(f.wire, 1000, f.out, 1000), 17);
    end();
}

// As aria2 does instead of many HAVEs.
static void
a_late_bitfield_adds_to_what_is_known(void **state)
{
    (void)state;
    start(&(struct zcb_torrent_wire_config){ .peer_handshake = &(struct zcb_torrent_handshake){ { 0 }, { 0 }, { 0 } } });
    SAY(&f.s, have, 1);
    SAY(&f.s, bitfield, "\x80\x20", 2); // 0 and 10
    assert_int_equal(run(100), 0);
    for (uint32_t piece = 0; piece < 12; piece++)
        assert_int_equal(zcb_torrent_wire_has(f.wire, piece), piece == 0 || piece == 1 || piece == 10);
    SAY(&f.s, bitfield, "\x01\x00", 2);
    SAY0(&f.s, unchoke);
    assert_int_equal(run(1), 0);
    assert_true(zcb_torrent_wire_has(f.wire, 7));
    assert_true(zcb_torrent_wire_has(f.wire, 1));
    // Spare bits are as wrong as ever.
    SAY(&f.s, bitfield, "\xff\xf0", 2);
    assert_int_equal(run(100), -EBADMSG);
    end();
}

static void
keepalives_in_between_and_served_requests_are_not_a_flood(void **state)
{
    (void)state;
    start(&(struct zcb_torrent_wire_config){ .limits = { .max_keepalives = 3, .max_peer_requests = 3 } });
    for (int i = 0; i < 10; i++) {
        for (int n = 0; n < 3; n++)
            SAY0(&f.s, keepalive);
        for (int n = 0; n < 3; n++)
            SAY(&f.s, request, 0, 0, 1);
        for (int n = 0; n < 3; n++)
            SAY0(&f.s, keepalive);
        SAY(&f.s, have, 1);
        assert_int_equal(run(100), 0);
        zcb_torrent_wire_served(f.wire, i == 5 ? 1000 : 3);
    }
    assert_int_equal(stats().keepalives, 60);
    assert_int_equal(stats().peer_requests, 30);
    end();
}

static void
a_wrong_handshake_closes(void **state)
{
    (void)state;
    struct zcb_torrent_wire *other = NULL;
    struct zcb_torrent_handshake h = { .info_hash = "x" };

    start(NULL);
    zcb_torrent_wire_destroy(&f.wire);
    f.config.peer_handshake = NULL;
    f.config.info_hash = (const uint8_t *)"hhhhhhhhhhhhhhhhhhhi";
    assert_int_equal(zcb_torrent_wire_create(f.pool, f.a, 3, &f.config, &f.wire), 0);
    say_handshake(&f.s);
    assert_int_equal(run(5), -EBADMSG);
    assert_string_equal(zcb_torrent_wire_error(f.wire)->reason, "another torrent's info hash");
    zcb_torrent_wire_destroy(&f.wire);
    assert_int_equal(zcb_torrent_wire_create(f.pool, f.a, 3, &f.config, &f.wire), 0);
    stream_end(&f.s);
    stream_put(&f.s, "GET / HTTP/1.1\r\n", 16);
    assert_int_equal(run(1), -EBADMSG);
    assert_int_equal(stats().bytes, 1); // the first byte tells
    f.config.peer_handshake = &h;
    assert_int_equal(zcb_torrent_wire_create(f.pool, f.a, 3, &f.config, &other), -EBADMSG);
    assert_null(other);
    end();
}

static void
an_extended_message_is_a_slice_until_the_next_call(void **state)
{
    (void)state;
    struct zcb_torrent_message m;
    struct zcb_packet payload, kept;
    struct zcb_copies before, after;
    uint8_t *at;

    start(&(struct zcb_torrent_wire_config){ .limits = { .max_extended = 5000 } });
    SAY(&f.s, extended, 3, 4998);
    at = stream_grow(&f.s, 4998);
    memset(at, 'e', 4998);
    SAY(&f.s, extended, 0, 0);
    assert_int_equal(line_recv(f.wire, &f.s, 100000, 8), 4 + 5000 + 6);
    zcb_copies_thread(&before);
    assert_int_equal(zcb_torrent_wire_payload(f.wire, &payload), -EINVAL);
    assert_int_equal(zcb_torrent_wire_next(f.wire, &m), 1);
    assert_int_equal(m.kind, ZCB_TORRENT_EXTENDED);
    assert_int_equal(m.extended_id, 3);
    assert_int_equal(m.payload_len, 4998);
    assert_true(zcb_torrent_wire_payload(f.wire, &payload) >= 0);
    assert_int_equal(payload.len, 4998);
    kept = payload;
    assert_int_equal(zcb_torrent_wire_next(f.wire, &m), 1);
    assert_int_equal(m.extended_id, 0);
    assert_int_equal(zcb_torrent_wire_payload(f.wire, &payload), 0);
    assert_int_equal(payload.len, 0);
    assert_int_equal(zcb_torrent_wire_next(f.wire, &m), 0);
    assert_int_equal(zcb_torrent_wire_payload(f.wire, &payload), -EINVAL);
    zcb_copies_thread(&after);
    assert_int_equal(zcb_copies_bytes(&after) - zcb_copies_bytes(&before), 0);
    for (size_t i = 0; i < kept.len; i++)
        assert_int_equal(kept.data[i], 'e');
    zcb_packet_unref(&kept);
    SAY(&f.s, extended, 3, 4999);
    assert_int_equal(run(100), -EBADMSG);
    assert_string_equal(zcb_torrent_wire_error(f.wire)->reason, "extended message above the limit");
    end();
}

static void
reading_stops_when_too_much_waits_and_resumes_lower(void **state)
{
    (void)state;
    struct zcb_packet packet;
    struct iovec iov[4];

    start(&(struct zcb_torrent_wire_config){ .rx_stop_bytes = 2 << 20, .rx_resume_bytes = 1 << 20,
                                             .limits = { .max_extended = 65536 } });
    assert_true(zcb_torrent_wire_recv_plan(f.wire, iov, 4) > 0);
    zcb_torrent_wire_set_backlog(f.wire, (2 << 20) - 1);
    assert_true(zcb_torrent_wire_recv_plan(f.wire, iov, 4) > 0);
    packet = zcb_packet_static("\0", 1);
    assert_int_equal(zcb_torrent_wire_push(f.wire, &packet), 0);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 4), 0);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 4), 0);
    assert_true(zcb_torrent_wire_paused(f.wire));
    zcb_torrent_wire_set_backlog(f.wire, 1 << 20);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 4), 0);
    zcb_torrent_wire_set_backlog(f.wire, (1 << 20) - 1);
    assert_true(zcb_torrent_wire_recv_plan(f.wire, iov, 4) > 0);
    zcb_torrent_wire_set_backlog(f.wire, (2 << 20) - 2);
    assert_true(zcb_torrent_wire_recv_plan(f.wire, iov, 4) > 0);
    zcb_torrent_wire_set_backlog(f.wire, SIZE_MAX);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 4), 0);
    assert_int_equal(stats().pauses, 2);
    end();

    // By default: 16 MiB and 4 MiB.
    start(NULL);
    zcb_torrent_wire_set_backlog(f.wire, (16 << 20) - 1);
    assert_false(zcb_torrent_wire_paused(f.wire));
    zcb_torrent_wire_set_backlog(f.wire, 16 << 20);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 4), 0);
    zcb_torrent_wire_set_backlog(f.wire, (4 << 20) + 1);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 4), 0);
    zcb_torrent_wire_set_backlog(f.wire, 4 << 20);
    assert_true(zcb_torrent_wire_recv_plan(f.wire, iov, 4) > 0);
    end();
}

// A message that is buffered whole may be longer than what reading resumes at.
static void
a_pause_in_a_long_message_ends(void **state)
{
    (void)state;
    enum { LEN = 900000, FIRST = 700000 }; // below max_extended; resumed at 512 KiB by default
    struct iovec iov[8];

    start(&(struct zcb_torrent_wire_config){ .rx_stop_bytes = 2 << 20 });
    SAY0(&f.s, have_all);
    SAY(&f.s, extended, 1, LEN);
    memset(stream_grow(&f.s, FIRST), 'e', FIRST);
    assert_int_equal(run(65536), 0);
    zcb_torrent_wire_set_backlog(f.wire, 2 << 20);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 8), 0);
    zcb_torrent_wire_set_backlog(f.wire, 0);
    assert_true(zcb_torrent_wire_recv_plan(f.wire, iov, 8) > 0);
    assert_false(zcb_torrent_wire_paused(f.wire));
    memset(stream_grow(&f.s, LEN - FIRST), 'e', LEN - FIRST);
    assert_int_equal(run(65536), 0);
    assert_int_equal(f.heard.messages[f.heard.count - 1].kind, ZCB_TORRENT_EXTENDED);
    end();
}

static void
what_comes_in_different_ways_is_one_stream(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 5, 16, 40, 1448, 9000, 40000 };
    uint64_t random = 5;

    start(NULL);
    answer_requests(&f.s, &f.finished.geometry, f.out, ask());
    while (f.s.sent < f.s.len) {
        size_t len = sizes[zcb_test_random(&random) % 7];
        enum way way = (enum way)(zcb_test_random(&random) % WAYS);

        len = len < f.s.len - f.s.sent ? len : f.s.len - f.s.sent;
        if (way == READ)
            assert_true(line_recv(f.wire, &f.s, len, 2) > 0);
        else
            push(f.s.bytes + f.s.sent, len);
        f.s.sent += way == READ ? 0 : len;
        // Bytes that were not looked at wait, and others come behind them.
        if (zcb_test_random(&random) % 2 == 0)
            assert_int_equal(hear(f.wire, &f.heard), 0);
    }
    assert_int_equal(hear(f.wire, &f.heard), 0);
    assert_int_equal(f.finished.count, 11);
    end();
}

static void
a_have_counts_once_wherever_it_is_parsed(void **state)
{
    (void)state;
    static const size_t sizes[] = { 8, 9, 18, 100 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        start(NULL);
        for (uint32_t n = 0; n < 20; n++)
            SAY(&f.s, have, n % 10);
        assert_int_equal(run(sizes[i]), 0);
        assert_int_equal(f.heard.count, 20);
        for (uint32_t n = 0; n < 20; n++) {
            assert_int_equal(f.heard.messages[n].kind, ZCB_TORRENT_HAVE);
            assert_int_equal(f.heard.messages[n].id, 4);
            assert_int_equal(f.heard.messages[n].index, n % 10);
            assert_int_equal(f.heard.messages[n].size, 9);
            assert_int_equal(f.heard.messages[n].payload_len, 0);
        }
        assert_int_equal(stats().messages, 20);
        assert_int_equal(zcb_torrent_wire_pieces(f.wire), 10);
        assert_memory_equal(zcb_torrent_wire_bits(f.wire), "\xff\xc0", 2);
        SAY(&f.s, have, 11); // there are 11 pieces
        assert_int_equal(run(sizes[i]), -EBADMSG);
        assert_string_equal(zcb_torrent_wire_error(f.wire)->reason, "piece index outside the torrent");
        assert_int_equal(zcb_torrent_wire_error(f.wire)->at, 20 * 9 + 5);
        assert_int_equal(zcb_torrent_wire_pieces(f.wire), 10);
        end();
    }
}

static void
count_release(void *ctx, void *data, size_t len)
{
    (void)data;
    (void)len;
    (*(int *)ctx)++;
}

// A packet of the next `len` bytes of the stream, whose memory says when it is let go.
static void
push_counted(size_t len, int *released)
{
    struct zcb_packet packet;

    assert_int_equal(zcb_packet_wrap(f.s.bytes + f.s.sent, len, count_release, released, &packet), 0);
    assert_int_equal(zcb_torrent_wire_push(f.wire, &packet), 0);
    f.s.sent += len;
}

// Or what is left of it could never go there.
static void
a_packet_longer_than_the_receive_buffer_may_be_is_refused(void **state)
{
    (void)state;
    struct zcb_packet packet;

    start(&(struct zcb_torrent_wire_config){
        .peer_handshake = &peer_with_all,
        .limits = { .max_extended = 1000 },
        .chain = { .max_bytes = 4096 },
    });
    SAY(&f.s, extended, 1, 10);
    memset(stream_grow(&f.s, 10 + 4 * 1200), 0, 10 + 4 * 1200);
    packet = zcb_packet_static(f.s.bytes, f.s.len);
    assert_int_equal(zcb_torrent_wire_push(f.wire, &packet), -ENOBUFS);
    assert_int_equal(packet.len, f.s.len);
    packet.len = 4096;
    assert_int_equal(zcb_torrent_wire_push(f.wire, &packet), 0);
    assert_int_equal(hear(f.wire, &f.heard), 0);
    assert_int_equal(f.heard.count, 1 + (4096 - 16) / 4);
    end();
}

static void
a_packet_is_let_go_when_all_of_it_was_looked_at(void **state)
{
    (void)state;
    int released = 0;

    start(NULL);
    (void)ask();
    say_block(&f.s, &f.finished.geometry, 0, 0, BLOCK);
    SAY(&f.s, have, 1);
    SAY(&f.s, have, 1);
    push_counted(1000, &released);
    assert_int_equal(released, 0); // until next()
    assert_int_equal(hear(f.wire, &f.heard), 0);
    assert_int_equal(released, 1);
    push_counted(1000, &released); // the middle of a block
    assert_int_equal(released, 2);
    push_counted(BLOCK + 13 - 2000 + 5, &released); // with the beginning of a message behind
    assert_int_equal(hear(f.wire, &f.heard), 0);
    assert_int_equal(released, 2);
    assert_int_equal(zcb_torrent_wire_unread(f.wire), 5);
    push_counted(13, &released);
    assert_int_equal(hear(f.wire, &f.heard), 0);
    assert_int_equal(released, 4);
    SAY(&f.s, have, 2);
    push_counted(9, &released);
    zcb_torrent_wire_destroy(&f.wire); // and nobody looked
    assert_int_equal(released, 5);
    end();
}

// A part of the memory that is received into stays with a packet, so it is not used from its start
// again; what is left of it is too small for one read, or no more than a part of what one may bring.
static void
a_receive_buffer_that_is_shared_is_no_trap(void **state)
{
    (void)state;
    static const struct {
        uint32_t left;
        int iovecs;
    } rows[] = { { 300, 1 }, { 300, 8 }, { 20000, 1 }, { 20000, 8 } };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct zcb_torrent_message message;
        struct zcb_packet kept;
        struct zcb_buf *neighbour;
        struct iovec iov[8];
        uint32_t extended;
        size_t most = 0;
        int small = 0;

        start(&(struct zcb_torrent_wire_config){ .chain = { .chunk_size = 64000 } });
        assert_int_equal(ask(), 42 * 17);
        assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 8), 1);
        assert_true(iov[0].iov_len > 30000);
        assert_int_equal(zcb_torrent_wire_received(f.wire, 0), 0);
        extended = (uint32_t)iov[0].iov_len - 6 - rows[i].left;
        SAY(&f.s, extended, 0, extended);
        memset(stream_grow(&f.s, extended), 'e', extended);
        assert_int_equal(line_recv(f.wire, &f.s, 100000, 1), extended + 6);
        assert_int_equal(zcb_torrent_wire_next(f.wire, &message), 1);
        assert_int_equal(zcb_torrent_wire_payload(f.wire, &kept), 0);
        assert_int_equal(hear(f.wire, &f.heard), 0);
        // Or the memory behind it is likely to be what comes next.
        assert_int_equal(zcb_pool_acquire(f.pool, 64000, &neighbour), 0);
        answer_requests(&f.s, &f.finished.geometry, f.out, 42 * 17);
        while (f.s.sent < f.s.len) {
            ssize_t got = line_recv(f.wire, &f.s, 100000, rows[i].iovecs);

            assert_true(got > 0);
            most = (size_t)got > most ? (size_t)got : most;
            small += got < 4000 && f.s.sent < f.s.len;
            assert_int_equal(hear(f.wire, &f.heard), 0);
        }
        assert_int_equal(f.finished.count, 11);
        assert_true(most > 16000);
        assert_true(small <= 2);
        zcb_buf_release(&neighbour);
        for (uint32_t k = 0; k < extended; k++)
            assert_int_equal(kept.data[k], 'e');
        zcb_packet_unref(&kept);
        end();
    }
}

static void
received_takes_no_more_than_was_planned(void **state)
{
    (void)state;
    struct iovec iov[4];
    size_t room = 0;
    int n;

    start(NULL);
    assert_int_equal(zcb_torrent_wire_received(f.wire, 1), -ERANGE);
    assert_int_equal(zcb_torrent_wire_received(f.wire, 0), 0);
    n = zcb_torrent_wire_recv_plan(f.wire, iov, 4);
    for (int i = 0; i < n; i++)
        room += iov[i].iov_len;
    assert_int_equal(zcb_torrent_wire_received(f.wire, room + 1), -ERANGE);
    assert_int_equal(zcb_torrent_wire_received(f.wire, SIZE_MAX), -ERANGE);
    assert_int_equal(zcb_torrent_wire_received(f.wire, 0), 0);
    assert_int_equal(zcb_torrent_wire_received(f.wire, 1), -ERANGE);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 0), -EINVAL);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, NULL, 4), -EINVAL);
    end();
}

static void
a_config_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    int any;
    struct zcb_torrent_wire_config bad[] = {
        { .flags = 1u << 4 }, { .pipeline = 4097 }, { .direct_blocks = 65 }, { .reserved32 = 1 },
        { .reserved = { &any } }, { .limits = { .reserved = { 1 } } }, { .rx_stop_bytes = 1000 },
        { .rx_stop_bytes = 2 << 20, .rx_resume_bytes = 3 << 20 }, { .chain = { .reserved = { &any } } },
    };
    struct zcb_torrent_wire *wire = NULL;

    start(NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(zcb_torrent_wire_create(f.pool, f.a, 3, &bad[i], &wire), -EINVAL);
    assert_int_equal(zcb_torrent_wire_create(NULL, f.a, 3, NULL, &wire), -EINVAL);
    assert_int_equal(zcb_torrent_wire_create(f.pool, NULL, 3, NULL, &wire), -EINVAL);
    assert_int_equal(zcb_torrent_wire_create(f.pool, f.a, ZCB_PIECE_NOBODY, NULL, &wire), -EINVAL);
    assert_null(wire);
    // A seeder has a geometry and nothing to assemble.
    assert_int_equal(zcb_torrent_wire_create(f.pool, NULL, 3,
                                             &(struct zcb_torrent_wire_config){
                                                 .geometry = &f.finished.geometry,
                                                 .peer_handshake = &peer_with_all,
                                                 .flags = ZCB_TORRENT_DIRECT,
                                             },
                                             &wire),
                     0);
    SAY(&f.s, have, 4);
    say_block(&f.s, &f.finished.geometry, 0, 0, 100);
    assert_int_equal(line_run(wire, &f.s, 30, 8, &f.heard), 0);
    assert_int_equal(f.heard.messages[1].result, ZCB_TORRENT_UNASKED);
    assert_int_equal(zcb_torrent_wire_output(wire, 0, f.out, 1000), 0);
    zcb_torrent_wire_destroy(&wire);
    end();
}

static void
steady_receiving_allocates_nothing(void **state)
{
    (void)state;
    uint64_t before;
    size_t asked, n;

    if (!zcb_alloc_count_works())
        skip();
    start(NULL);
    asked = ask(); // opens all eleven pieces
    answer_requests(&f.s, &f.finished.geometry, f.out, asked);
    n = f.s.len;
    f.s.len = f.s.sent + 40000;
    assert_int_equal(run(1448), 0);
    f.s.len = n;
    before = zcb_alloc_count();
    while (f.s.sent < f.s.len - 17) // up to the last block
        assert_true(line_recv(f.wire, &f.s, 1448, 8) > 0 && hear(f.wire, NULL) == 0);
    assert_int_equal(zcb_alloc_count() - before, 0);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_message_comes_out_at_every_read_size),
        cmocka_unit_test(a_download_moves_each_payload_byte_exactly_once),
        cmocka_unit_test(payload_is_in_its_place_before_the_message_is_whole),
        cmocka_unit_test(a_peer_that_dies_in_a_block_leaves_it_missing),
        cmocka_unit_test(a_block_taken_over_in_the_middle_is_not_written_by_the_slow_one),
        cmocka_unit_test(duplicates_and_late_blocks_are_dropped_and_counted),
        cmocka_unit_test(the_pipeline_is_kept_full_in_batches),
        cmocka_unit_test(a_choke_drops_what_was_asked_for_unless_the_fast_extension_is_on),
        cmocka_unit_test(a_peer_that_rejects_everything_is_not_asked_again_at_once),
        cmocka_unit_test(what_breaks_a_rule_closes_with_a_reason),
        cmocka_unit_test(an_unchoke_that_is_repeated_does_not_end_the_pause_after_a_reject),
        cmocka_unit_test(a_late_bitfield_adds_to_what_is_known),
        cmocka_unit_test(keepalives_in_between_and_served_requests_are_not_a_flood),
        cmocka_unit_test(a_wrong_handshake_closes),
        cmocka_unit_test(an_extended_message_is_a_slice_until_the_next_call),
        cmocka_unit_test(reading_stops_when_too_much_waits_and_resumes_lower),
        cmocka_unit_test(a_pause_in_a_long_message_ends),
        cmocka_unit_test(what_comes_in_different_ways_is_one_stream),
        cmocka_unit_test(a_have_counts_once_wherever_it_is_parsed),
        cmocka_unit_test(a_packet_longer_than_the_receive_buffer_may_be_is_refused),
        cmocka_unit_test(a_packet_is_let_go_when_all_of_it_was_looked_at),
        cmocka_unit_test(a_receive_buffer_that_is_shared_is_no_trap),
        cmocka_unit_test(received_takes_no_more_than_was_planned),
        cmocka_unit_test(a_config_that_makes_no_sense_is_refused),
        cmocka_unit_test(steady_receiving_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
