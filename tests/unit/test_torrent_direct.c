// SPDX-License-Identifier: MIT
//
// Direct receive: the foretold stream, and every way in which it can come otherwise.
#include "adapt/torrent.h"
#include "torrent_testing.h"

#include "support/alloc_count.h"

#define PIECE 65536u
#define BLOCK 16384u
#define TOTAL (10 * PIECE + 20000)

struct fixture {
    struct finished finished;
    struct zcb_pool *pool;
    struct zcb_torrent_assembler *a;
    struct zcb_torrent_wire *wire;
    struct stream s;
    struct heard heard;
    uint8_t out[65536];
};

static struct fixture f;

static const struct zcb_torrent_handshake peer_with_all = { .reserved = { [5] = 0x10, [7] = 0x04 } };

static void
start_with(uint64_t total, uint32_t pipeline, uint32_t direct_blocks, uint32_t more_flags)
{
    memset(&f, 0, sizeof(f));
    assert_int_equal(zcb_torrent_geometry_init(&f.finished.geometry, total, PIECE, 0), 0);
    assert_int_equal(zcb_pool_create(NULL, &f.pool), 0);
    assert_int_equal(zcb_torrent_assembler_create(&f.finished.geometry,
                                                  &(struct zcb_torrent_assembler_config){
                                                      .complete = on_complete,
                                                      .ctx = &f.finished,
                                                  },
                                                  &f.a),
                     0);
    assert_int_equal(zcb_torrent_wire_create(f.pool, f.a, 3,
                                             &(struct zcb_torrent_wire_config){
                                                 .flags = ZCB_TORRENT_DIRECT | ZCB_TORRENT_OFFER_FAST | more_flags,
                                                 .pipeline = pipeline,
                                                 .direct_blocks = direct_blocks,
                                                 .peer_handshake = &peer_with_all,
                                             },
                                             &f.wire),
                     0);
}

static void
start(uint32_t pipeline, uint32_t direct_blocks, uint32_t more_flags)
{
    start_with(TOTAL, pipeline, direct_blocks, more_flags);
}

static void
end(void)
{
    struct zcb_torrent_assembler_stats stats;

    zcb_torrent_wire_destroy(&f.wire);
    assert_int_equal(zcb_torrent_assembler_stats(f.a, &stats, sizeof(stats)), 0);
    assert_int_equal(stats.reserved, 0);
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

static size_t
ask(void)
{
    int n;

    SAY0(&f.s, have_all);
    SAY0(&f.s, unchoke);
    assert_int_equal(line_run(f.wire, &f.s, 100000, 64, &f.heard), 0);
    n = zcb_torrent_wire_output(f.wire, 0, f.out, sizeof(f.out));
    assert_true(n > 0);
    return (size_t)n;
}

// Answers all there is until nothing is asked for any more.
static void
finish(size_t most, int iovecs)
{
    int n;

    for (;;) {
        assert_int_equal(line_run(f.wire, &f.s, most, iovecs, &f.heard), 0);
        n = zcb_torrent_wire_output(f.wire, 0, f.out, sizeof(f.out));
        assert_true(n >= 0);
        if (n == 0)
            return;
        answer_requests(&f.s, &f.finished.geometry, f.out, (size_t)n);
    }
}

static void
a_stream_that_comes_as_foretold_is_never_moved(void **state)
{
    (void)state;
    struct zcb_copies before, after;

    start(64, 16, 0);
    answer_requests(&f.s, &f.finished.geometry, f.out, ask());
    zcb_copies_thread(&before);
    finish(SIZE_MAX, 64);
    zcb_copies_thread(&after);
    assert_int_equal(f.finished.count, 11);
    assert_int_equal(zcb_copies_bytes(&after) - zcb_copies_bytes(&before), 0);
    assert_int_equal(stats().direct_bytes, TOTAL);
    assert_int_equal(stats().payload_bytes, TOTAL);
    assert_int_equal(stats().moved_bytes, 0);
    assert_int_equal(stats().guesses, 42);
    assert_int_equal(stats().wrong_guesses, 0);
    assert_int_equal(stats().reads, 1 + 3); // have_all; then 42 blocks, 16 at a time
    end();
}

static void
at_any_read_size_and_with_any_number_of_iovecs_one_in_a_hundred_is_moved(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1448, 1460, 2896, 8192, 16384, 16397, 16398, 65536, 100000, 300000 };
    static const int iovecs[] = { 1, 2, 3, 4, 33, 64, 130, 160 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t k = 0; k < sizeof(iovecs) / sizeof(iovecs[0]); k++) {
            struct zcb_copies before, after;
            uint64_t moved;

            start(20, 1 + (uint32_t)k * 9, 0);
            answer_requests(&f.s, &f.finished.geometry, f.out, ask());
            zcb_copies_thread(&before);
            finish(sizes[i], iovecs[k]);
            zcb_copies_thread(&after);
            moved = zcb_copies_bytes(&after) - zcb_copies_bytes(&before);
            assert_int_equal(f.finished.count, 11);
            assert_int_equal(stats().direct_bytes, TOTAL);
            assert_true(moved <= TOTAL / 100);
            assert_int_equal(stats().wrong_guesses, 0);
            end();
        }
}

static void
bytes_one_at_a_time_come_together(void **state)
{
    (void)state;
    start(3, 2, 0);
    answer_requests(&f.s, &f.finished.geometry, f.out, ask());
    finish(1, 64);
    assert_int_equal(f.finished.count, 11);
    end();
}

enum between {
    CHOKE, KEEPALIVE, HAVE, UNKNOWN_MESSAGE, EXTENDED, REJECT_NEXT, REJECT_LATER, UNASKED, LARGE, BETWEENS
};

static void
say_between(enum between what, uint32_t i)
{
    switch (what) {
    case KEEPALIVE: SAY0(&f.s, keepalive); break;
    case HAVE: SAY(&f.s, have, 3); break;
    case UNKNOWN_MESSAGE:
        stream_u32(&f.s, 5);
        stream_put(&f.s, "\x63" "1234", 5);
        break;
    case EXTENDED:
        SAY(&f.s, extended, 1, 11);
        stream_put(&f.s, "hello world", 11);
        break;
    case REJECT_NEXT: // asked for, but not in the stream
        SAY(&f.s, reject, i / 4, i % 4 * BLOCK, BLOCK);
        break;
    case REJECT_LATER:
        SAY(&f.s, reject, 0, 3 * BLOCK, BLOCK);
        break;
    case UNASKED: say_block(&f.s, &f.finished.geometry, 9, 0, BLOCK); break;
    case LARGE:
        stream_u32(&f.s, 100001);
        stream_put(&f.s, "\x63", 1);
        memset(stream_grow(&f.s, 100000), 0x55, 100000);
        break;
    default: SAY0(&f.s, choke); break;
    }
}

static void
whatever_comes_between_is_repaired(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 7, 1448, 16384 + 13 + 5, 40000, SIZE_MAX };

    for (int what = 0; what < BETWEENS; what++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            for (uint32_t where = 0; where < 4; where++) {
                struct zcb_copies before, after;
                uint32_t blocks = 0;

                // One piece is asked for; `what` comes before block `where`.
                start(4, 8, 0);
                assert_int_equal(ask(), 68);
                zcb_copies_thread(&before);
                for (uint32_t b = 0; b < 4; b++) {
                    if (b == where)
                        say_between((enum between)what, b);
                    if ((what == REJECT_NEXT && b == where) || (what == REJECT_LATER && b == 3))
                        continue;
                    say_block(&f.s, &f.finished.geometry, 0, b * BLOCK, BLOCK);
                    blocks++;
                }
                f.heard.count = 0;
                assert_int_equal(line_run(f.wire, &f.s, sizes[i], 64, &f.heard), 0);
                zcb_copies_thread(&after);
                assert_int_equal(f.heard.count, blocks + (what != UNKNOWN_MESSAGE && what != LARGE));
                assert_int_equal(stats().blocks, blocks);
                assert_int_equal(f.finished.count, what != REJECT_NEXT && what != REJECT_LATER);
                assert_int_equal(zcb_torrent_wire_outstanding(f.wire), 0);
                assert_int_equal(zcb_torrent_wire_unread(f.wire), 0);
                // Moved twice at most, once to the chain and once back.
                assert_true(zcb_copies_bytes(&after) - zcb_copies_bytes(&before) <=
                            2 * (f.s.len + 100) + stats().unasked_bytes);
                if (sizes[i] == SIZE_MAX && what != REJECT_LATER && what != UNASKED)
                    assert_true(stats().wrong_guesses > 0);
                if (what == REJECT_NEXT || what == REJECT_LATER) {
                    // It is missing, and comes when it is asked for again.
                    int n = zcb_torrent_wire_output(f.wire, 2000, f.out, sizeof(f.out));

                    assert_int_equal(n, 68);
                    answer_requests(&f.s, &f.finished.geometry, f.out, (size_t)n);
                    assert_int_equal(line_run(f.wire, &f.s, sizes[i], 64, &f.heard), 0);
                    assert_int_equal(f.finished.count, 1);
                }
                end();
            }
}

static void
a_choke_that_drops_requests_leaves_no_wrong_block(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 1448, SIZE_MAX };
    static const struct zcb_torrent_handshake plain = { { 0 }, { 0 }, { 0 } };

    // i from 3 on: a first read that ends in the choke's i - 3rd byte, and a second one of all the rest.
    for (size_t i = 0; i < 9; i++)
        for (uint32_t where = 0; where < 4; where++) {
            size_t choke_at = 0;
            struct zcb_torrent_message m;
            struct zcb_torrent_request r[64];
            int result, asked;

            start(4, 8, 0);
            zcb_torrent_wire_destroy(&f.wire);
            assert_int_equal(zcb_torrent_wire_create(f.pool, f.a, 3,
                                                     &(struct zcb_torrent_wire_config){
                                                         .flags = ZCB_TORRENT_DIRECT,
                                                         .pipeline = 4,
                                                         .peer_handshake = &plain,
                                                     },
                                                     &f.wire),
                             0);
            SAY(&f.s, bitfield, "\xff\xe0", 2);
            SAY0(&f.s, unchoke);
            assert_int_equal(line_run(f.wire, &f.s, 100, 64, NULL), 0);
            assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, 1000), 68);
            for (uint32_t b = 0; b < 4; b++) {
                if (b == where) {
                    choke_at = f.s.len - f.s.sent;
                    SAY0(&f.s, choke);
                    SAY(&f.s, have, 1); // so that what follows lies across the places that were foretold
                }
                say_block(&f.s, &f.finished.geometry, 0, b * BLOCK, BLOCK);
            }
            // As soon as the choke is seen, another peer gets the blocks and fills them with its own bytes.
            asked = 0;
            while (f.s.sent < f.s.len) {
                size_t most = i < 3 ? sizes[i] : choke_at != 0 ? choke_at + i - 3 : SIZE_MAX;

                if (i >= 3 && most == 0)
                    most = 1;
                assert_true(line_recv(f.wire, &f.s, most, 64) > 0);
                if (i >= 3)
                    choke_at = 0;
                while ((result = zcb_torrent_wire_next(f.wire, &m)) > 0) {
                    if (m.kind == ZCB_TORRENT_CHOKE) {
                        asked = zcb_torrent_assembler_pick(f.a, 8, (const uint8_t *)"\x80\0", 0, r, 64);
                        assert_int_equal(asked, 4 - where);
                        for (int n = 0; n < asked; n++) {
                            struct iovec place;

                            assert_int_equal(zcb_torrent_assembler_place(f.a, &r[n], &place), 0);
                            memset(place.iov_base, 0xff, BLOCK);
                        }
                    } else if (asked != 0 && m.kind != ZCB_TORRENT_HAVE) {
                        assert_int_equal(m.kind, ZCB_TORRENT_PIECE);
                        assert_int_equal(m.result, ZCB_TORRENT_LATE);
                    }
                }
                assert_int_equal(result, 0);
            }
            for (int n = 0; n < asked; n++) {
                struct iovec place;

                assert_int_equal(zcb_torrent_assembler_place(f.a, &r[n], &place), 0);
                for (uint32_t k = 0; k < BLOCK; k++) { // nobody has written there since
                    assert_int_equal(((uint8_t *)place.iov_base)[k], 0xff);
                    ((uint8_t *)place.iov_base)[k] = torrent_byte((uint64_t)r[n].begin + k);
                }
                assert_true(zcb_torrent_assembler_commit(f.a, &r[n]) >= 0);
            }
            assert_int_equal(f.finished.count, 1);
            assert_int_equal(stats().late_blocks, 4 - where);
            end();
        }
}

static void
answers_in_another_order_all_find_their_place(void **state)
{
    (void)state;
    static const size_t sizes[] = { 5, 1448, 20000, SIZE_MAX };
    static const uint32_t orders[][4] = { { 3, 2, 1, 0 }, { 1, 0, 2, 3 }, { 0, 2, 1, 3 }, { 1, 2, 3, 0 } };

    for (size_t i = 0; i < 4; i++)
        for (size_t o = 0; o < 4; o++) {
            start(4, 8, ZCB_TORRENT_STRICT);
            assert_int_equal(ask(), 68);
            for (int b = 0; b < 4; b++)
                say_block(&f.s, &f.finished.geometry, 0, orders[o][b] * BLOCK, BLOCK);
            assert_int_equal(line_run(f.wire, &f.s, sizes[i], 64, &f.heard), 0);
            assert_int_equal(f.finished.count, 1);
            end();
        }
}

// Each pair of answers changes places: the first wrong guess costs a plan, and then nothing more is
// foretold that would have to be moved.
static void
a_peer_that_never_answers_in_order_costs_one_plan(void **state)
{
    (void)state;
    uint8_t swapped[17 * 64];
    int n;

    start(8, 8, 0);
    n = (int)ask();
    while (n > 0) {
        for (int i = 0; i < n; i += 34) {
            int pair = i + 17 < n ? 17 : 0;

            memcpy(swapped + i, f.out + i + pair, 17);
            memcpy(swapped + i + pair, f.out + i, 17);
        }
        answer_requests(&f.s, &f.finished.geometry, swapped, (size_t)n);
        assert_int_equal(line_run(f.wire, &f.s, SIZE_MAX, 64, &f.heard), 0);
        n = zcb_torrent_wire_output(f.wire, 0, f.out, sizeof(f.out));
        assert_true(n >= 0);
    }
    assert_int_equal(f.finished.count, 11);
    assert_true(stats().wrong_guesses > 1);
    assert_true(stats().moved_bytes <= 9 * (13 + BLOCK) + 42 * 13);
    end();
}

// One wrong guess at the start of a small torrent can move more than a hundredth of it: from
// then on nothing is foretold, however orderly the rest comes.
static void
trust_does_not_return_before_what_was_moved_is_little(void **state)
{
    (void)state;
    uint8_t first[17];
    int n;

    start(8, 8, 0);
    n = (int)ask();
    assert_true(n >= 34);
    memcpy(first, f.out, 17);
    memcpy(f.out, f.out + 17, 17);
    memcpy(f.out + 17, first, 17);
    answer_requests(&f.s, &f.finished.geometry, f.out, (size_t)n);
    finish(SIZE_MAX, 64);
    assert_int_equal(f.finished.count, 11);
    assert_true(f.wire->streak >= f.wire->patience); // there was order enough
    assert_int_equal(f.wire->depth, 0);
    end();
}

// A plan's memory is somebody else's to write into until the bytes are there.
static void
a_block_in_a_plan_cannot_be_cancelled(void **state)
{
    (void)state;
    struct iovec iov[64];

    start(4, 4, 0);
    assert_int_equal(ask(), 68);
    assert_true(zcb_torrent_wire_recv_plan(f.wire, iov, 64) > 4);
    assert_int_equal(zcb_torrent_assembler_cancel_peer(f.a, 3), 0);
    assert_int_equal(
        zcb_torrent_assembler_cancel(f.a, &torrent_queue_at(&f.wire->queue, 0)->claim.request), -EBUSY);
    assert_int_equal(zcb_torrent_wire_received(f.wire, 0), 0);
    // The plan is over when the next one is made, or the wire goes.
    zcb_torrent_wire_destroy(&f.wire);
    assert_int_equal(zcb_torrent_assembler_cancel_peer(f.a, 3), 0); // it ended its own
    end();
}

static void
small_messages_behind_the_last_block_are_all_read(void **state)
{
    (void)state;
    for (int keepalives = 0; keepalives < 60; keepalives++) {
        start(4, 8, 0);
        answer_requests(&f.s, &f.finished.geometry, f.out, ask());
        for (int i = 0; i < keepalives; i++)
            SAY0(&f.s, keepalive);
        f.heard.count = 0;
        assert_int_equal(line_run(f.wire, &f.s, SIZE_MAX, 64, &f.heard), 0);
        assert_int_equal(f.heard.count, 4 + keepalives);
        assert_int_equal(f.finished.count, 1);
        assert_true(stats().moved_bytes <= 64);
        end();
    }
}

static void
a_header_that_was_not_foretold_is_read_before_its_block(void **state)
{
    (void)state;
    for (size_t cut = 9; cut < 13; cut++) { // its index tells that it is another
        start(8, 8, 0);
        ask();
        say_block(&f.s, &f.finished.geometry, 1, 0, BLOCK); // its turn had been later
        assert_int_equal(line_recv(f.wire, &f.s, cut, 64), cut);
        assert_int_equal(hear(f.wire, NULL), 0);
        assert_int_equal(line_recv(f.wire, &f.s, SIZE_MAX, 64), 13 - cut);
        assert_int_equal(hear(f.wire, NULL), 0);
        assert_int_equal(line_run(f.wire, &f.s, SIZE_MAX, 64, &f.heard), 0);
        assert_int_equal(stats().direct_bytes, BLOCK);
        assert_true(stats().moved_bytes <= 13);
        end();
    }
}

// What lies in a place that is given up is out of there before anybody hears of it: the piece may be
// closed then, and its memory gone.
static void
what_lies_in_a_rejected_block_outlives_its_piece(void **state)
{
    (void)state;
    struct zcb_torrent_message message;
    struct zcb_packet packet;
    size_t at;

    start_with(PIECE + 100, 8, 4, 0);
    assert_int_equal(ask(), 5 * 17);
    answer_requests(&f.s, &f.finished.geometry, f.out, 4 * 17);
    assert_int_equal(line_run(f.wire, &f.s, 100000, 64, &f.heard), 0);
    assert_int_equal(f.finished.count, 1);
    at = f.s.len;
    SAY(&f.s, reject, 1, 0, 100);
    for (int i = 0; i < 8; i++)
        SAY(&f.s, have, (uint32_t)i % 2);
    assert_int_equal(zcb_packet_copy(f.pool, f.s.bytes + at, 6, &packet), 0);
    assert_int_equal(zcb_torrent_wire_push(f.wire, &packet), 0);
    f.s.sent += 6;
    assert_int_equal(zcb_torrent_wire_next(f.wire, &message), 0);
    assert_int_equal(line_recv(f.wire, &f.s, 100000, 64), 11 + 72); // over the last block's place
    assert_int_equal(zcb_torrent_wire_next(f.wire, &message), 1);
    assert_int_equal(message.kind, ZCB_TORRENT_REJECT);
    assert_int_equal(zcb_torrent_assembler_close(f.a, 1), 0);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(zcb_torrent_wire_next(f.wire, &message), 1);
        assert_int_equal(message.kind, ZCB_TORRENT_HAVE);
        assert_int_equal(message.index, i % 2);
    }
    assert_int_equal(zcb_torrent_wire_next(f.wire, &message), 0);
    assert_int_equal(stats().moved_bytes, 72);
    end();
}

// It may be somebody else's by now, and its memory may be another piece's.
static void
a_block_that_is_not_ours_any_more_is_not_received_in_place(void **state)
{
    (void)state;
    struct iovec iov[64];
    size_t bytes = 0;
    int n;

    start(4, 4, 0);
    assert_int_equal(ask(), 68);
    assert_int_equal(zcb_torrent_assembler_cancel_peer(f.a, 3), 4);
    n = zcb_torrent_wire_recv_plan(f.wire, iov, 64);
    assert_true(n > 0);
    for (int i = 0; i < n; i++)
        if (iov[i].iov_len == BLOCK)
            bytes += iov[i].iov_len;
    assert_int_equal(bytes, 0);
    assert_int_equal(zcb_torrent_wire_received(f.wire, 0), 0);
    answer_requests(&f.s, &f.finished.geometry, f.out, 68);
    assert_int_equal(line_run(f.wire, &f.s, 5000, 64, &f.heard), 0);
    assert_int_equal(stats().late_blocks, 4);
    end();
}

// A late bitfield, the first half of which was read before, with foretold bytes behind it.
static void
an_error_is_where_it_is_also_with_a_plan_behind_it(void **state)
{
    (void)state;
    struct zcb_torrent_message message;
    size_t at, size;

    start(4, 4, 0);
    (void)ask();
    at = f.s.len;
    size = 5 + zcb_torrent_bitfield_size(&f.finished.geometry);
    memset(stream_grow(&f.s, size), 0xff, size);
    memset(f.s.bytes + at, 0, 4);
    f.s.bytes[at + 3] = (uint8_t)(size - 4);
    f.s.bytes[at + 4] = ZCB_TORRENT_BITFIELD;
    assert_true(line_recv(f.wire, &f.s, 5, 64) == 5);
    assert_int_equal(hear(f.wire, &f.heard), 0);
    say_block(&f.s, &f.finished.geometry, 0, 0, BLOCK);
    assert_true(line_recv(f.wire, &f.s, 100000, 64) == 2 + 13); // with the header that is foretold
    assert_int_equal(zcb_torrent_wire_next(f.wire, &message), -EBADMSG);
    assert_string_equal(zcb_torrent_wire_error(f.wire)->reason, "bitfield with spare bits set");
    assert_int_equal(zcb_torrent_wire_error(f.wire)->at, at + size - 1);
    end();
}

static void
blocks_in_a_plan_stay_with_their_peer(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64];
    struct iovec iov[64];
    size_t n;

    start(4, 2, 0);
    n = ask();
    answer_requests(&f.s, &f.finished.geometry, f.out, n);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 64), 5); // 13, block, 13, block, 13
    assert_int_equal(iov[0].iov_len, 13);
    assert_int_equal(iov[1].iov_len, BLOCK);
    assert_int_equal(iov[4].iov_len, 13);
    assert_int_equal(zcb_torrent_assembler_expire(f.a, 1000000), 2); // the two that are not planned
    assert_int_equal(zcb_torrent_assembler_close(f.a, 0), -EBUSY);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 8, (const uint8_t *)"\x80\0", 2000000, r, 64), 2);
    assert_int_equal(zcb_torrent_wire_received(f.wire, 0), 0);
    assert_int_equal(zcb_torrent_assembler_expire(f.a, 2000001), 2);
    assert_int_equal(zcb_torrent_assembler_cancel_peer(f.a, 8), 2);
    assert_int_equal(zcb_torrent_assembler_close(f.a, 0), 0);
    end();
}

static enum zcb_torrent_verdict
never_right(void *ctx, void *state, uint32_t piece)
{
    (void)ctx;
    (void)state;
    (void)piece;
    return ZCB_TORRENT_HASH_WRONG;
}

static struct zcb_torrent_wire *
wire_of(uint32_t peer, uint32_t pipeline)
{
    struct zcb_torrent_wire *wire;

    assert_int_equal(zcb_torrent_wire_create(f.pool, f.a, peer,
                                             &(struct zcb_torrent_wire_config){
                                                 .flags = ZCB_TORRENT_DIRECT | ZCB_TORRENT_OFFER_FAST,
                                                 .pipeline = pipeline,
                                                 .peer_handshake = &peer_with_all,
                                             },
                                             &wire),
                     0);
    return wire;
}

// A piece that was wrong starts over while bytes behind its last block still wait in a plan. That plan's end
// is not the end of another wire's, which receives the same block by now.
static void
a_plan_that_ends_leaves_the_blocks_of_others_alone(void **state)
{
    (void)state;
    struct zcb_torrent_wire *other;
    struct zcb_torrent_message message;
    struct zcb_torrent_request r[4];
    struct iovec iov[64];
    uint8_t out[17];

    start_with(2 * PIECE, 8, 8, 0);
    zcb_torrent_wire_destroy(&f.wire);
    zcb_torrent_assembler_destroy(&f.a);
    assert_int_equal(zcb_torrent_assembler_create(&f.finished.geometry,
                                                  &(struct zcb_torrent_assembler_config){ .verify = never_right }, &f.a),
                     0);
    f.wire = wire_of(3, 8);
    other = wire_of(4, 1);
    answer_requests(&f.s, &f.finished.geometry, f.out, ask());
    assert_true(line_recv(f.wire, &f.s, SIZE_MAX, 64) > 2 * (int)PIECE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(zcb_torrent_wire_next(f.wire, &message), 1);
    assert_int_equal(message.result, ZCB_TORRENT_BAD);

    f.s.len = f.s.sent = 0;
    SAY0(&f.s, have_all);
    SAY0(&f.s, unchoke);
    assert_int_equal(line_run(other, &f.s, SIZE_MAX, 64, NULL), 0);
    assert_int_equal(zcb_torrent_wire_output(other, 0, out, sizeof(out)), 17);
    assert_memory_equal(out + 5, "\0\0\0\0\0\0\0\0\0\0\x40\0", 12); // the first block of the same piece
    assert_int_equal(zcb_torrent_wire_recv_plan(other, iov, 64), 3);
    assert_int_equal(iov[1].iov_len, BLOCK);
    assert_int_equal(hear(f.wire, NULL), 0);
    // 3 blocks are missing, and so are 4 of the other piece. The one in the plan stays.
    assert_int_equal(zcb_torrent_assembler_expire(f.a, 1000000), 0);
    assert_int_equal(zcb_torrent_assembler_cancel_peer(f.a, 4), 0);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 8, (const uint8_t *)"\x80", 2000000, r, 4), 3);
    assert_int_equal(zcb_torrent_wire_received(other, 0), 0);
    zcb_torrent_wire_destroy(&other);
    assert_int_equal(zcb_torrent_assembler_cancel_peer(f.a, 8), 3);
    end();
}

static void
a_plan_ends_with_the_next_one_and_with_the_wire(void **state)
{
    (void)state;
    struct iovec iov[64];

    start(4, 2, 0);
    ask();
    assert_true(zcb_torrent_wire_recv_plan(f.wire, iov, 64) > 0);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 1), 1);
    assert_int_equal(iov[0].iov_len, 13);
    assert_int_equal(zcb_torrent_assembler_close(f.a, 0), 0); // no block is in this plan: 13 bytes only
    assert_int_equal(zcb_torrent_wire_received(f.wire, 14), -ERANGE);
    assert_int_equal(zcb_torrent_wire_received(f.wire, 0), 0);
    assert_true(zcb_torrent_wire_output(f.wire, 0, f.out, 1000) > 0);
    assert_true(zcb_torrent_wire_recv_plan(f.wire, iov, 64) > 0);
    end();
}

static void
a_plan_waits_until_the_last_one_was_looked_at(void **state)
{
    (void)state;
    struct zcb_packet packet = zcb_packet_static("\0\0\0\0", 4);
    struct zcb_torrent_message m;
    struct iovec iov[64];

    start(4, 8, 0);
    answer_requests(&f.s, &f.finished.geometry, f.out, ask());
    assert_true(line_recv(f.wire, &f.s, 40000, 64) == 40000);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 64), -EBUSY);
    assert_int_equal(zcb_torrent_wire_push(f.wire, &packet), -EBUSY);
    assert_int_equal(packet.len, 4);
    assert_int_equal(zcb_torrent_wire_next(f.wire, &m), 1);
    assert_int_equal(zcb_torrent_wire_recv_plan(f.wire, iov, 64), -EBUSY);
    assert_int_equal(hear(f.wire, NULL), 0);
    finish(SIZE_MAX, 64);
    assert_int_equal(f.finished.count, 11);
    end();
}

// A pool of sixteen pages for the receive buffer.
static struct zcb_pool *
tight_pool(void)
{
    struct zcb_pool *tight;

    assert_int_equal(zcb_pool_create(&(struct zcb_pool_config){
                                         .tiers = { { .buffer_size = 4096, .max_buffers = 16 } },
                                         .policy = ZCB_POOL_FAIL,
                                         .flags = ZCB_POOL_NO_OVERSIZE,
                                     },
                                     &tight),
                     0);
    return tight;
}

static void
repair_without_memory(const uint32_t order[3])
{
    struct zcb_torrent_message m;
    struct zcb_buf *held[16];
    struct zcb_pool *tight = tight_pool();
    int r, held_n, blocks = 0, fails = 0;

    start(4, 8, 0);
    zcb_torrent_wire_destroy(&f.wire);
    assert_int_equal(zcb_torrent_wire_create(tight, f.a, 3,
                                             &(struct zcb_torrent_wire_config){
                                                 .flags = ZCB_TORRENT_DIRECT | ZCB_TORRENT_OFFER_FAST,
                                                 .pipeline = 4,
                                                 .peer_handshake = &peer_with_all,
                                             },
                                             &f.wire),
                     0);
    assert_int_equal(ask(), 68);
    SAY(&f.s, have, 3);
    for (uint32_t b = 0; b < 3; b++)
        say_block(&f.s, &f.finished.geometry, 0, order[b] * BLOCK, BLOCK);
    f.s.len -= 3000;
    // All of it is taken when the repair wants some.
    for (held_n = 0; held_n < 16; held_n++)
        if (zcb_pool_acquire(tight, 4096, &held[held_n]) < 0)
            break;
    assert_true(line_recv(f.wire, &f.s, SIZE_MAX, 64) > 40000);
    for (;;) {
        r = zcb_torrent_wire_next(f.wire, &m);
        if (r == 0)
            break;
        if (r < 0) {
            assert_int_equal(r, -ENOBUFS);
            assert_true(held_n > 0);
            zcb_buf_release(&held[--held_n]);
            fails++;
            continue;
        }
        blocks += m.kind == ZCB_TORRENT_PIECE && m.result == ZCB_TORRENT_STORED;
    }
    assert_true(fails > 0);
    assert_int_equal(blocks, 2);
    f.s.len += 3000;
    assert_int_equal(line_run(f.wire, &f.s, SIZE_MAX, 64, &f.heard), 0);
    say_block(&f.s, &f.finished.geometry, 0, 3 * BLOCK, BLOCK);
    assert_int_equal(line_run(f.wire, &f.s, SIZE_MAX, 64, &f.heard), 0);
    assert_int_equal(f.finished.count, 1);
    while (held_n > 0)
        zcb_buf_release(&held[--held_n]);
    zcb_torrent_wire_destroy(&f.wire);
    zcb_pool_destroy(&tight);
    end();
}

// Also where a block that is repaired goes to the place in which the next bytes to be repaired lie.
static void
a_repair_without_memory_goes_on_when_there_is_some(void **state)
{
    (void)state;
    static const uint32_t orders[][3] = { { 0, 1, 2 }, { 1, 0, 2 }, { 2, 1, 0 }, { 1, 2, 0 } };

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
        repair_without_memory(orders[i]);
}

// What a choke gives up is reserved for others by the next call: what lies there must be saved before.
static void
a_choke_behind_a_repair_without_memory_waits_for_it(void **state)
{
    (void)state;
    static const struct zcb_torrent_handshake slow_peer = { .reserved = { 0 } };
    struct zcb_torrent_message m;
    struct zcb_torrent_request asked[64];
    struct zcb_buf *held[16];
    struct zcb_pool *tight = tight_pool();
    uint8_t all[2] = { 0xff, 0xe0 };
    int held_n;

    start(4, 4, 0);
    zcb_torrent_wire_destroy(&f.wire);
    assert_int_equal(zcb_torrent_wire_create(tight, f.a, 3,
                                             &(struct zcb_torrent_wire_config){
                                                 .flags = ZCB_TORRENT_DIRECT,
                                                 .pipeline = 4,
                                                 .peer_handshake = &slow_peer,
                                             },
                                             &f.wire),
                     0);
    SAY(&f.s, bitfield, all, 2);
    SAY0(&f.s, unchoke);
    assert_int_equal(line_run(f.wire, &f.s, SIZE_MAX, 64, NULL), 0);
    assert_int_equal(zcb_torrent_wire_output(f.wire, 0, f.out, sizeof(f.out)), 68);
    SAY0(&f.s, choke);
    for (uint32_t i = 0; i < 1200; i++)
        SAY(&f.s, have, i % 11);
    for (held_n = 0; held_n < 16; held_n++)
        if (zcb_pool_acquire(tight, 4096, &held[held_n]) < 0)
            break;
    assert_int_equal(line_recv(f.wire, &f.s, SIZE_MAX, 64), 5 + 1200 * 9);
    for (int i = 0; i < 3; i++)
        assert_int_equal(zcb_torrent_wire_next(f.wire, &m), -ENOBUFS);
    assert_int_equal(zcb_torrent_wire_outstanding(f.wire), 4);
    while (held_n > 0)
        zcb_buf_release(&held[--held_n]);
    assert_int_equal(zcb_torrent_wire_next(f.wire, &m), 1);
    assert_int_equal(m.kind, ZCB_TORRENT_CHOKE);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 8, all, 0, asked, 4), 4);
    for (int i = 0; i < 4; i++) {
        struct iovec place;

        assert_int_equal(asked[i].index, 0);
        assert_int_equal(zcb_torrent_assembler_place(f.a, &asked[i], &place), 0);
        memset(place.iov_base, 0xee, place.iov_len);
    }
    for (uint32_t i = 0; i < 1200; i++) {
        assert_int_equal(zcb_torrent_wire_next(f.wire, &m), 1);
        assert_int_equal(m.kind, ZCB_TORRENT_HAVE);
        assert_int_equal(m.index, i % 11);
    }
    assert_int_equal(zcb_torrent_wire_next(f.wire, &m), 0);
    assert_int_equal(zcb_torrent_assembler_cancel_peer(f.a, 8), 4);
    zcb_torrent_wire_destroy(&f.wire);
    zcb_pool_destroy(&tight);
    end();
}

// A last block of 3 bytes comes first, into a plan from before anything was asked for, and a read
// ends in its header, or in it.
static void
a_tiny_block_whose_header_is_cut_is_foretold_once(void **state)
{
    (void)state;
    for (size_t cut = 1; cut <= 20; cut++) {
        struct iovec iov[64];
        size_t got = 0;
        int n, asked;

        start_with(3 * BLOCK + 3, 64, 16, 0);
        SAY0(&f.s, have_all);
        SAY0(&f.s, unchoke);
        assert_int_equal(line_run(f.wire, &f.s, 100000, 64, &f.heard), 0);
        n = zcb_torrent_wire_recv_plan(f.wire, iov, 64);
        assert_true(n > 0);
        asked = zcb_torrent_wire_output(f.wire, 0, f.out, sizeof(f.out));
        assert_int_equal(asked, 4 * 17);
        say_block(&f.s, &f.finished.geometry, 0, 3 * BLOCK, 3);
        say_block(&f.s, &f.finished.geometry, 0, 0, BLOCK);
        say_block(&f.s, &f.finished.geometry, 0, BLOCK, BLOCK);
        for (int i = 0; i < 2; i++)
            SAY(&f.s, have, 0);
        say_block(&f.s, &f.finished.geometry, 0, 2 * BLOCK, BLOCK);
        for (int i = 0; i < 9; i++)
            SAY(&f.s, have, 0);
        for (int i = 0; i < n && got < cut; i++) {
            size_t len = iov[i].iov_len < cut - got ? iov[i].iov_len : cut - got;

            memcpy(iov[i].iov_base, f.s.bytes + f.s.sent, len);
            f.s.sent += len;
            got += len;
        }
        assert_int_equal(got, cut);
        assert_int_equal(zcb_torrent_wire_received(f.wire, got), 0);
        assert_int_equal(line_run(f.wire, &f.s, 100000, 64, &f.heard), 0);
        assert_int_equal(f.finished.count, 1); // and each byte of it was looked at
        end();
    }
}

static void
steady_direct_receiving_allocates_nothing(void **state)
{
    (void)state;
    uint64_t before;

    if (!zcb_alloc_count_works())
        skip();
    start(64, 16, 0);
    answer_requests(&f.s, &f.finished.geometry, f.out, ask());
    f.s.len -= 17;
    assert_true(line_recv(f.wire, &f.s, 1448, 64) > 0 && hear(f.wire, NULL) == 0);
    // It ends in a header, so that the receive buffer is warm too.
    assert_true(line_recv(f.wire, &f.s, 16384 + 13 + 5 - 1448, 64) > 0 && hear(f.wire, NULL) == 0);
    before = zcb_alloc_count();
    while (f.s.sent < f.s.len)
        assert_true(line_recv(f.wire, &f.s, 1448, 64) > 0 && hear(f.wire, NULL) == 0);
    assert_int_equal(zcb_alloc_count() - before, 0);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_that_comes_as_foretold_is_never_moved),
        cmocka_unit_test(at_any_read_size_and_with_any_number_of_iovecs_one_in_a_hundred_is_moved),
        cmocka_unit_test(bytes_one_at_a_time_come_together),
        cmocka_unit_test(whatever_comes_between_is_repaired),
        cmocka_unit_test(a_choke_that_drops_requests_leaves_no_wrong_block),
        cmocka_unit_test(answers_in_another_order_all_find_their_place),
        cmocka_unit_test(a_peer_that_never_answers_in_order_costs_one_plan),
        cmocka_unit_test(trust_does_not_return_before_what_was_moved_is_little),
        cmocka_unit_test(a_block_in_a_plan_cannot_be_cancelled),
        cmocka_unit_test(small_messages_behind_the_last_block_are_all_read),
        cmocka_unit_test(a_header_that_was_not_foretold_is_read_before_its_block),
        cmocka_unit_test(what_lies_in_a_rejected_block_outlives_its_piece),
        cmocka_unit_test(a_block_that_is_not_ours_any_more_is_not_received_in_place),
        cmocka_unit_test(an_error_is_where_it_is_also_with_a_plan_behind_it),
        cmocka_unit_test(blocks_in_a_plan_stay_with_their_peer),
        cmocka_unit_test(a_plan_that_ends_leaves_the_blocks_of_others_alone),
        cmocka_unit_test(a_plan_ends_with_the_next_one_and_with_the_wire),
        cmocka_unit_test(a_plan_waits_until_the_last_one_was_looked_at),
        cmocka_unit_test(a_repair_without_memory_goes_on_when_there_is_some),
        cmocka_unit_test(a_choke_behind_a_repair_without_memory_waits_for_it),
        cmocka_unit_test(a_tiny_block_whose_header_is_cut_is_foretold_once),
        cmocka_unit_test(steady_direct_receiving_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
