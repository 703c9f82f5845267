// SPDX-License-Identifier: MIT
//
// Pieces under way: who is asked for what, budgets, end-game, time, hashes.
#include "torrent_testing.h"

#include "support/alloc_count.h"

#define PIECE 65536u
#define BLOCK 16384u
#define BLOCKS 4u

struct fixture {
    struct finished finished;
    struct zcb_torrent_assembler_config config;
    struct zcb_torrent_assembler *a;
    uint8_t all[64]; // a seed's bitfield
    enum zcb_torrent_verdict verdict;
    uint32_t failed, culprit, failed_from[8];
    size_t hash_calls, hashed;
    uint32_t choice;
    uint32_t buffers;
};

// Order and place of what the hash gets; the sum goes into the state.
static void
on_hash(void *ctx, void *state, uint32_t piece, size_t off, const uint8_t *data, size_t len)
{
    struct fixture *f = ctx;
    uint64_t *sum = state;

    if (off == 0)
        assert_true(sum[0] == 0 && sum[1] == 0);
    assert_true(sum[0] == off);
    assert_int_equal((uintptr_t)state % 16, 0);
    sum[0] += len;
    for (size_t i = 0; i < len; i++)
        sum[1] += data[i] == torrent_byte(zcb_torrent_piece_offset(&f->finished.geometry, piece) + off + i);
    f->hash_calls++;
    f->hashed += len;
}

static enum zcb_torrent_verdict
on_verify(void *ctx, void *state, uint32_t piece)
{
    struct fixture *f = ctx;
    uint64_t *sum = state;

    assert_true(sum[0] == zcb_torrent_piece_length(&f->finished.geometry, piece));
    if (f->verdict == ZCB_TORRENT_HASH_LATER)
        return f->verdict;
    return sum[0] == sum[1] ? ZCB_TORRENT_HASH_RIGHT : ZCB_TORRENT_HASH_WRONG;
}

static void
on_failed(void *ctx, uint32_t piece, uint32_t culprit)
{
    struct fixture *f = ctx;

    f->failed++;
    f->culprit = culprit;
    for (uint32_t b = 0; b < 8; b++)
        f->failed_from[b] = zcb_torrent_assembler_from(f->a, piece, b);
}

static void
on_done(void *ctx, uint32_t piece, struct zcb_packet *packet)
{
    on_complete(&((struct fixture *)ctx)->finished, piece, packet);
}

static uint32_t
on_choose(void *ctx, uint32_t peer, const uint8_t *bits)
{
    (void)peer;
    (void)bits;
    return ((struct fixture *)ctx)->choice;
}

static int
on_buffer(void *ctx, uint32_t piece, size_t len, struct zcb_buf **out)
{
    struct fixture *f = ctx;

    (void)piece;
    if (f->buffers == 0)
        return -ENOBUFS;
    f->buffers--;
    return zcb_buf_alloc(NULL, len, out);
}

// 10 pieces of 4 blocks, the last of 1 block and 100 bytes.
static void
start(struct fixture *f, uint64_t max_bytes)
{
    memset(f, 0, sizeof(*f));
    memset(f->all, 0xff, sizeof(f->all));
    f->verdict = ZCB_TORRENT_HASH_RIGHT;
    assert_int_equal(zcb_torrent_geometry_init(&f->finished.geometry, 9 * PIECE + BLOCK + 100, PIECE, 0), 0);
    f->config = (struct zcb_torrent_assembler_config){
        .max_bytes = max_bytes,
        .hash = on_hash,
        .hash_state_size = 16,
        .verify = on_verify,
        .complete = on_done,
        .failed = on_failed,
        .ctx = f,
    };
}

static void
make(struct fixture *f)
{
    assert_int_equal(zcb_torrent_assembler_create(&f->finished.geometry, &f->config, &f->a), 0);
}

static struct zcb_torrent_assembler_stats
stats(struct fixture *f)
{
    struct zcb_torrent_assembler_stats s;

    assert_int_equal(zcb_torrent_assembler_stats(f->a, &s, sizeof(s)), 0);
    return s;
}

static int
give(struct fixture *f, const struct zcb_torrent_request *r, bool right)
{
    static uint8_t bytes[BLOCK];
    uint64_t at = (uint64_t)r->index * PIECE + r->begin;

    for (uint32_t i = 0; i < r->length; i++)
        bytes[i] = (uint8_t)(torrent_byte(at + i) ^ !right);
    return zcb_torrent_assembler_write(f->a, r, bytes, r->length);
}

static void
a_whole_torrent_comes_together(void **state)
{
    (void)state;
    struct zcb_torrent_request r[7];
    struct fixture f;
    int n, total = 0;

    start(&f, 0);
    make(&f);
    while ((n = zcb_torrent_assembler_pick(f.a, 5, f.all, 0, r, 7)) > 0)
        for (int i = 0; i < n; i++, total++) {
            int result = give(&f, &r[i], true);

            assert_true(result == ZCB_TORRENT_STORED || result == ZCB_TORRENT_DONE);
        }
    assert_int_equal(total, 9 * 4 + 2);
    assert_int_equal(f.finished.count, 10);
    assert_int_equal(f.hashed, 9 * PIECE + BLOCK + 100);
    assert_int_equal(zcb_torrent_assembler_missing(f.a), 0);
    assert_int_equal(stats(&f).active, 0);
    assert_int_equal(stats(&f).active_bytes, 0);
    assert_int_equal(stats(&f).reserved, 0);
    assert_int_equal(stats(&f).completed, 10);
    assert_int_equal(stats(&f).stored_bytes, 9 * PIECE + BLOCK + 100);
    assert_memory_equal(zcb_torrent_assembler_bits(f.a), "\xff\xc0", 2);
    zcb_torrent_assembler_destroy(&f.a);
    assert_null(f.a);
    zcb_torrent_assembler_destroy(&f.a);
    zcb_torrent_assembler_destroy(NULL);
}

static void
no_block_is_asked_of_two_peers(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64];
    struct fixture f;
    bool seen[10][4] = { { false } };
    int n = 0;

    start(&f, 0);
    make(&f);
    for (uint32_t peer = 0; n < 38; peer++) {
        int got = zcb_torrent_assembler_pick(f.a, peer, f.all, 0, r + n, 5);

        assert_true(got > 0);
        for (int i = n; i < n + got; i++) {
            assert_int_equal(r[i].peer, peer);
            assert_false(seen[r[i].index][r[i].begin / BLOCK]);
            seen[r[i].index][r[i].begin / BLOCK] = true;
            assert_int_equal(zcb_torrent_assembler_from(f.a, r[i].index, r[i].begin / BLOCK), peer);
        }
        n += got;
    }
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 99, f.all, 0, r, 5), 0);
    assert_int_equal(r[37].length, 100);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
the_short_last_piece_has_its_short_last_block(void **state)
{
    (void)state;
    struct zcb_torrent_request r[8];
    uint8_t bits[2] = { 0, 0x40 };
    struct fixture f;
    uint8_t bytes[BLOCK + 1] = { 0 };

    start(&f, 0);
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, bits, 0, r, 8), 2);
    assert_int_equal(r[0].index, 9);
    assert_int_equal(r[0].length, BLOCK);
    assert_int_equal(r[1].begin, BLOCK);
    assert_int_equal(r[1].length, 100);
    assert_int_equal(zcb_torrent_assembler_write(f.a, &r[1], bytes, 99), -EINVAL);
    assert_int_equal(zcb_torrent_assembler_write(f.a, &r[1], bytes, 101), -EINVAL);
    assert_int_equal(give(&f, &r[1], true), ZCB_TORRENT_STORED);
    assert_int_equal(f.hash_calls, 0);
    assert_int_equal(give(&f, &r[0], true), ZCB_TORRENT_DONE);
    assert_int_equal(f.hash_calls, 1);
    assert_int_equal(f.finished.last, 9);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
the_hash_follows_the_front_in_order(void **state)
{
    (void)state;
    static const uint32_t order[4] = { 2, 0, 1, 3 };
    static const size_t after[4] = { 0, BLOCK, 3 * BLOCK, 4 * BLOCK };
    struct zcb_torrent_request r[4];
    struct fixture f;

    start(&f, 0);
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 4), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(give(&f, &r[order[i]], true), i == 3 ? ZCB_TORRENT_DONE : ZCB_TORRENT_STORED);
        assert_int_equal(f.hashed, after[i]);
    }
    assert_int_equal(f.hash_calls, 3);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
a_block_counts_once_and_only_with_its_ticket(void **state)
{
    (void)state;
    struct zcb_torrent_request r[4], other;
    struct iovec place;
    struct fixture f;

    start(&f, 0);
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 4), 4);
    assert_int_equal(give(&f, &r[0], true), ZCB_TORRENT_STORED);
    assert_int_equal(give(&f, &r[0], true), -EALREADY);
    assert_int_equal(zcb_torrent_assembler_commit(f.a, &r[0]), -EALREADY);
    assert_int_equal(zcb_torrent_assembler_place(f.a, &r[0], &place), -EALREADY);
    assert_int_equal(zcb_torrent_assembler_cancel(f.a, &r[0]), -EALREADY);
    other = r[1];
    other.ticket++;
    assert_int_equal(give(&f, &other, true), -EBUSY);
    other.ticket = 0;
    assert_int_equal(give(&f, &other, true), -EBUSY);
    other = r[1];
    other.begin++;
    assert_int_equal(zcb_torrent_assembler_place(f.a, &other, &place), -ERANGE);
    other = r[1];
    other.length--;
    assert_int_equal(zcb_torrent_assembler_place(f.a, &other, &place), -ERANGE);
    other = r[1];
    other.index = 10;
    assert_int_equal(zcb_torrent_assembler_place(f.a, &other, &place), -ERANGE);
    other = r[1];
    other.begin = PIECE;
    assert_int_equal(zcb_torrent_assembler_place(f.a, &other, &place), -ERANGE);
    assert_int_equal(stats(&f).stored_bytes, BLOCK);
    for (int i = 1; i < 4; i++)
        assert_int_equal(give(&f, &r[i], true), i == 3 ? ZCB_TORRENT_DONE : ZCB_TORRENT_STORED);
    assert_int_equal(give(&f, &r[2], true), -EALREADY); // the piece is had
    zcb_torrent_assembler_destroy(&f.a);
}

static void
blocks_in_place_need_no_copy(void **state)
{
    (void)state;
    struct zcb_torrent_request r[4];
    struct zcb_copies before, after;
    struct iovec place;
    struct fixture f;

    start(&f, 0);
    make(&f);
    zcb_copies_thread(&before);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 4), 4);
    for (int i = 3; i >= 0; i--) {
        assert_int_equal(zcb_torrent_assembler_place(f.a, &r[i], &place), 0);
        assert_int_equal(place.iov_len, BLOCK);
        for (uint32_t k = 0; k < BLOCK; k++)
            ((uint8_t *)place.iov_base)[k] = torrent_byte((uint64_t)r[i].begin + k);
        assert_int_equal(zcb_torrent_assembler_commit(f.a, &r[i]), i == 0 ? ZCB_TORRENT_DONE : ZCB_TORRENT_STORED);
    }
    zcb_copies_thread(&after);
    assert_true(zcb_copies_bytes(&after) == zcb_copies_bytes(&before));
    zcb_torrent_assembler_destroy(&f.a);
}

static void
bytes_and_count_of_pieces_under_way_are_capped(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64];
    struct fixture f;

    start(&f, 3 * PIECE);
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 64), 12);
    assert_int_equal(stats(&f).active, 3);
    assert_int_equal(stats(&f).active_bytes, 3 * PIECE);
    assert_true(stats(&f).opens_refused > 0);
    for (int i = 0; i < 4; i++)
        assert_true(give(&f, &r[i], true) >= 0);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 2, f.all, 0, r, 64), 4); // room for one more
    assert_int_equal(stats(&f).peak_bytes, 3 * PIECE);
    zcb_torrent_assembler_destroy(&f.a);

    start(&f, 0);
    f.config.max_active = 2;
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 64), 8);
    assert_int_equal(stats(&f).active, 2);
    zcb_torrent_assembler_destroy(&f.a);

    start(&f, PIECE - 1);
    assert_int_equal(zcb_torrent_assembler_create(&f.finished.geometry, &f.config, &f.a), -EINVAL);
}

static void
the_short_last_piece_fits_beside_a_full_budget_of_whole_ones(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64];
    uint8_t last[2] = { 0, 0x40 };
    struct fixture f;

    start(&f, PIECE + BLOCK + 100);
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 4), 4);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, last, 0, r, 4), 2);
    assert_int_equal(stats(&f).active, 2);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
completed_pieces_that_are_held_count_until_they_are_let_go(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64];
    struct fixture f;

    start(&f, 2 * PIECE);
    f.finished.keep = true;
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 64), 8);
    for (int i = 0; i < 8; i++)
        assert_true(give(&f, &r[i], true) >= 0);
    assert_int_equal(f.finished.count, 2);
    // Both buffers are out; only the last piece, which is not from the pool, can be opened.
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, (const uint8_t *)"\xff\x80", 0, r, 64), 0);
    zcb_packet_unref(&f.finished.kept[0]);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 4), 4);
    zcb_torrent_assembler_destroy(&f.a);
    // What is held outlives the assembler.
    assert_int_equal(f.finished.kept[1].data[5], torrent_byte(PIECE + 5));
    zcb_packet_unref(&f.finished.kept[1]);
}

static void
a_buffer_is_used_again(void **state)
{
    (void)state;
    struct zcb_torrent_request r[4];
    const uint8_t *data = NULL;
    struct iovec place;
    struct fixture f;

    start(&f, PIECE); // one buffer
    make(&f);
    for (int piece = 0; piece < 9; piece++) {
        assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 4), 4);
        assert_int_equal(zcb_torrent_assembler_place(f.a, &r[0], &place), 0);
        assert_true(data == NULL || data == place.iov_base);
        data = place.iov_base;
        for (int i = 0; i < 4; i++)
            assert_true(give(&f, &r[i], true) >= 0);
    }
    assert_int_equal(f.finished.count, 9);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
memory_may_be_the_callers(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64];
    struct fixture f;

    start(&f, 0);
    f.config.buffer = on_buffer;
    f.config.max_bytes = 3 * PIECE;
    f.buffers = 2;
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 64), 8);
    assert_true(stats(&f).opens_refused > 0);
    f.buffers = 1;
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r + 8, 64 - 8), 4);
    f.buffers = 1; // there is one, but the budget is used up
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r + 12, 64 - 12), 0);
    assert_int_equal(f.buffers, 1);
    for (int i = 0; i < 12; i++)
        assert_true(give(&f, &r[i], true) >= 0);
    assert_int_equal(f.finished.count, 3);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
only_pieces_that_the_peer_has_and_we_lack_are_asked_for(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64];
    uint8_t bits[2] = { 0x22, 0 }; // 2 and 6
    struct fixture f;
    int n;

    start(&f, 0);
    make(&f);
    assert_int_equal(zcb_torrent_assembler_set(f.a, 2, true), 0);
    assert_int_equal(zcb_torrent_assembler_set(f.a, 2, true), 0);
    assert_int_equal(zcb_torrent_assembler_missing(f.a), 9);
    n = zcb_torrent_assembler_pick(f.a, 1, bits, 0, r, 64);
    assert_int_equal(n, 4);
    for (int i = 0; i < n; i++)
        assert_int_equal(r[i].index, 6);
    assert_int_equal(zcb_torrent_assembler_set(f.a, 6, true), -EBUSY);
    assert_int_equal(zcb_torrent_assembler_set(f.a, 10, true), -ERANGE);
    assert_int_equal(zcb_torrent_assembler_set(f.a, 2, false), 0);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, bits, 0, r, 64), 4);
    assert_int_equal(r[0].index, 2);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, (const uint8_t *)"\0\0", 0, r, 64), 0);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, ZCB_PIECE_NOBODY, bits, 0, r, 64), -EINVAL);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, NULL, 0, r, 64), -EINVAL);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, bits, 0, r, -1), -EINVAL);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
spare_bits_of_a_peer_open_no_piece(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64];
    struct fixture f;

    start(&f, 0);
    make(&f);
    f.all[0] = 0xef; // all but 3
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(zcb_torrent_assembler_set(f.a, i, i != 9 && i != 3), 0);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 64), 2);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 64), 0);
    assert_int_equal(stats(&f).opened, 1);
    assert_int_equal(stats(&f).opens_refused, 0);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
the_callers_choice_of_piece_is_taken_if_it_can_be(void **state)
{
    (void)state;
    static const uint32_t choices[] = { 7, 7, 10, UINT32_MAX, 3 };
    static const int got[] = { 4, 0, 0, 0, 4 };
    struct zcb_torrent_request r[4];
    struct fixture f;

    start(&f, 0);
    f.config.choose = on_choose;
    make(&f);
    for (int i = 0; i < 5; i++) {
        f.choice = choices[i];
        assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 4), got[i]);
        if (got[i] != 0)
            assert_int_equal(r[0].index, choices[i]);
    }
    f.choice = 5;
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, (const uint8_t *)"\0\0", 0, r, 4), 0); // has not got it
    zcb_torrent_assembler_destroy(&f.a);
}

static void
two_million_pieces_are_searched_quickly(void **state)
{
    (void)state;
    struct zcb_torrent_geometry g;
    struct zcb_torrent_assembler *a;
    struct zcb_torrent_request r[4];
    uint8_t *bits;

    assert_int_equal(zcb_torrent_geometry_init(&g, (uint64_t)1 << 35, 16384, 0), 0);
    assert_int_equal(g.piece_count, 1u << 21);
    assert_int_equal(zcb_torrent_assembler_create(&g, NULL, &a), 0);
    bits = calloc(1, 1u << 18);
    assert_non_null(bits);
    bits[(1u << 18) - 1] = 1;
    assert_int_equal(zcb_torrent_assembler_pick(a, 1, bits, 0, r, 4), 1);
    assert_int_equal(r[0].index, (1u << 21) - 1);
    // All that the peer has is had or under way, and far behind is a piece that it has not.
    memset(bits, 0xff, 1u << 18);
    bits[(1u << 18) - 1] = 0xfd;
    for (uint32_t i = 0; i < (1u << 21) - 2; i++)
        assert_int_equal(zcb_torrent_assembler_set(a, i, i != 70), 0);
    assert_int_equal(zcb_torrent_assembler_pick(a, 1, bits, 0, r, 1), 1);
    assert_int_equal(r[0].index, 70);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(zcb_torrent_assembler_pick(a, 1, bits, 0, r, 4), 0);
    // A gap that opens again in front is found.
    assert_int_equal(zcb_torrent_assembler_close(a, 70), 0);
    assert_int_equal(zcb_torrent_assembler_pick(a, 1, bits, 0, r, 4), 1);
    assert_int_equal(r[0].index, 70);
    assert_int_equal(zcb_torrent_assembler_pick(a, 1, bits, 0, r, 4), 0);
    assert_int_equal(zcb_torrent_assembler_set(a, 200, false), 0);
    assert_int_equal(zcb_torrent_assembler_pick(a, 1, bits, 0, r, 4), 1);
    assert_int_equal(r[0].index, 200);
    free(bits);
    zcb_torrent_assembler_destroy(&a);
}

static void
a_wrong_hash_names_its_only_sender_and_starts_the_piece_over(void **state)
{
    (void)state;
    struct zcb_torrent_request r[4];
    struct fixture f;

    start(&f, 0);
    make(&f);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(zcb_torrent_assembler_pick(f.a, 8, f.all, 0, r, 4), 4);
        assert_int_equal(r[0].index, 0);
        for (int i = 0; i < 4; i++)
            assert_int_equal(give(&f, &r[i], round == 1 || i != 2), i < 3    ? ZCB_TORRENT_STORED
                                                                    : round == 0 ? ZCB_TORRENT_BAD
                                                                                 : ZCB_TORRENT_DONE);
        assert_int_equal(f.failed, 1);
        assert_int_equal(f.culprit, 8);
    }
    assert_int_equal(stats(&f).failed, 1);
    assert_int_equal(stats(&f).lost_bytes, PIECE);
    assert_int_equal(f.finished.count, 1);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
a_wrong_hash_of_several_senders_tells_each_block(void **state)
{
    (void)state;
    struct zcb_torrent_request r[4];
    struct fixture f;

    start(&f, 0);
    make(&f);
    for (uint32_t peer = 0; peer < 4; peer++)
        assert_int_equal(zcb_torrent_assembler_pick(f.a, 10 + peer / 2, f.all, 0, &r[peer], 1), 1);
    for (int i = 0; i < 4; i++)
        assert_true(give(&f, &r[i], false) >= 0);
    assert_int_equal(f.failed, 1);
    assert_true(f.culprit == ZCB_PIECE_NOBODY);
    for (uint32_t b = 0; b < 4; b++)
        assert_int_equal(f.failed_from[b], 10 + b / 2);
    assert_true(f.failed_from[4] == ZCB_PIECE_NOBODY);
    assert_true(zcb_torrent_assembler_from(f.a, 0, 0) == ZCB_PIECE_NOBODY);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
a_verdict_may_come_later(void **state)
{
    (void)state;
    struct zcb_torrent_request r[4];
    struct zcb_packet packet;
    struct fixture f;

    start(&f, 0);
    f.verdict = ZCB_TORRENT_HASH_LATER;
    make(&f);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(zcb_torrent_assembler_verified(f.a, 0, true), -EINVAL);
        assert_int_equal(zcb_torrent_assembler_pick(f.a, 8, f.all, 0, r, 4), 4);
        assert_int_equal(r[0].index, 0);
        assert_int_equal(zcb_torrent_assembler_share(f.a, 0, &packet), -EINVAL);
        for (int i = 0; i < 4; i++)
            assert_int_equal(give(&f, &r[i], true), i < 3 ? ZCB_TORRENT_STORED : ZCB_TORRENT_PENDING);
        assert_int_equal(zcb_torrent_assembler_expire(f.a, (uint64_t)1 << 40), 0); // waits as long as it takes
        assert_int_equal(zcb_torrent_assembler_share(f.a, 0, &packet), 0);
        assert_int_equal(packet.len, PIECE);
        if (round == 1) // a hasher that still holds it: wrong, in other memory next time
            assert_int_equal(zcb_torrent_assembler_verified(f.a, 0, false), ZCB_TORRENT_BAD);
        zcb_packet_unref(&packet);
        if (round == 0)
            assert_int_equal(zcb_torrent_assembler_verified(f.a, 0, false), ZCB_TORRENT_BAD);
        if (round == 2)
            assert_int_equal(zcb_torrent_assembler_verified(f.a, 0, true), ZCB_TORRENT_DONE);
    }
    assert_int_equal(f.failed, 2);
    assert_int_equal(f.finished.count, 1);
    assert_int_equal(stats(&f).active, 0);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
in_the_end_game_a_block_goes_from_the_slow_to_the_fast(void **state)
{
    (void)state;
    struct zcb_torrent_request slow[64], fast[64];
    struct fixture f;

    start(&f, 0);
    f.config.preempt_ms = 500;
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 1000, slow, 64), 38);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 2, f.all, 1499, fast, 64), 0);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 1500, fast, 64), 0); // not from itself
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 2, (const uint8_t *)"\0\0", 1500, fast, 64), 0);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 2, f.all, 1500, fast, 3), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(give(&f, &slow[i], true), -EBUSY);
        assert_int_equal(zcb_torrent_assembler_from(f.a, fast[i].index, fast[i].begin / BLOCK), 2);
        assert_int_equal(give(&f, &fast[i], true), ZCB_TORRENT_STORED);
        assert_int_equal(give(&f, &slow[i], true), -EALREADY);
    }
    assert_int_equal(stats(&f).preempted, 3);
    assert_int_equal(give(&f, &slow[3], true), ZCB_TORRENT_DONE); // the others are still its own
    assert_int_equal(stats(&f).reserved, 34);
    zcb_torrent_assembler_destroy(&f.a);

    start(&f, 0);
    f.config.flags = ZCB_TORRENT_NO_PREEMPT;
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, slow, 64), 38);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 2, f.all, 59999, fast, 64), 0);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
two_slow_peers_do_not_take_a_block_from_each_other_for_ever(void **state)
{
    (void)state;
    struct zcb_torrent_request r[8];
    struct zcb_torrent_geometry g;
    uint64_t now = 0;
    struct fixture f;

    start(&f, PIECE);
    f.config.preempt_ms = 100;
    assert_int_equal(zcb_torrent_geometry_init(&g, 1000, 1000, 0), 0); // a single block
    assert_int_equal(zcb_torrent_assembler_create(&g, &f.config, &f.a), 0);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 0, f.all, 0, r, 1), 1);
    for (uint32_t turn = 0; turn < 6; turn++) {
        assert_int_equal(zcb_torrent_assembler_pick(f.a, turn + 1, f.all, now + (100u << turn) - 1, &r[turn + 1], 1), 0);
        now += 100u << turn;
        assert_int_equal(zcb_torrent_assembler_pick(f.a, turn + 1, f.all, now, &r[turn + 1], 1), 1);
    }
    zcb_torrent_assembler_destroy(&f.a);

    start(&f, PIECE);
    f.config.stale_ms = UINT64_MAX;
    make(&f);
    now = 0;
    for (uint64_t wait = 60000; wait < (uint64_t)60000 << 5; wait *= 2) { // time-outs double as well
        assert_int_equal(zcb_torrent_assembler_pick(f.a, 0, f.all, now, r, 1), 1);
        assert_int_equal(zcb_torrent_assembler_expire(f.a, now + wait - 1), 0);
        assert_int_equal(zcb_torrent_assembler_expire(f.a, now + wait), 1);
        now += wait;
    }
    zcb_torrent_assembler_destroy(&f.a);
}

static void
an_old_ticket_is_no_good_when_the_block_comes_back(void **state)
{
    (void)state;
    struct zcb_torrent_request first[4], second[4], third[4];
    struct fixture f;

    start(&f, PIECE);
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, first, 4), 4);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 2, f.all, 5000, second, 1), 1);
    assert_int_equal(zcb_torrent_assembler_cancel(f.a, &second[0]), 0);
    assert_int_equal(zcb_torrent_assembler_cancel(f.a, &second[0]), -EBUSY);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 5000, third, 4), 1);
    assert_int_equal(third[0].begin, first[0].begin);
    assert_int_equal(give(&f, &first[0], true), -EBUSY);
    assert_int_equal(give(&f, &third[0], true), ZCB_TORRENT_STORED);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
requests_time_out_and_stale_pieces_are_given_up(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64], again[64];
    struct fixture f;

    start(&f, 0);
    f.config.request_timeout_ms = 1000;
    f.config.stale_ms = 5000;
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 100, r, 6), 6);
    assert_true(give(&f, &r[0], true) >= 0);
    assert_int_equal(zcb_torrent_assembler_expire(f.a, 1099), 0);
    assert_int_equal(zcb_torrent_assembler_expire(f.a, 1100), 5);
    assert_int_equal(zcb_torrent_assembler_expire(f.a, 50), 0); // time does not run backwards
    assert_int_equal(give(&f, &r[1], true), -EBUSY);
    assert_int_equal(stats(&f).timeouts, 5);
    assert_int_equal(stats(&f).active, 2);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 2, f.all, 1200, again, 3), 3);
    assert_int_equal(zcb_torrent_assembler_expire(f.a, 3199), 0); // these have been taken away once
    assert_int_equal(zcb_torrent_assembler_expire(f.a, 3200), 3);
    assert_int_equal(stats(&f).stale, 0);
    assert_int_equal(zcb_torrent_assembler_expire(f.a, 5100), 0);
    assert_int_equal(stats(&f).stale, 2);
    assert_int_equal(stats(&f).active, 0);
    assert_int_equal(stats(&f).lost_bytes, BLOCK);
    // And can be had again.
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 2, f.all, 6000, r, 4), 4);
    assert_int_equal(r[0].index, 0);
    for (int i = 0; i < 4; i++)
        assert_true(give(&f, &r[i], true) >= 0);
    assert_int_equal(f.finished.count, 1);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
a_peer_that_goes_leaves_its_blocks_to_others(void **state)
{
    (void)state;
    struct zcb_torrent_request r[64], other[64];
    struct fixture f;

    start(&f, 2 * PIECE);
    make(&f);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 5), 5);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 2, f.all, 0, other, 64), 3);
    assert_int_equal(zcb_torrent_assembler_cancel_peer(f.a, 1), 5);
    assert_int_equal(zcb_torrent_assembler_cancel_peer(f.a, 1), 0);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 3, f.all, 0, r, 64), 5);
    assert_int_equal(stats(&f).reserved, 8);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
a_piece_can_be_given_up(void **state)
{
    (void)state;
    struct zcb_torrent_request r[8];
    struct fixture f;

    start(&f, 0);
    make(&f);
    assert_int_equal(zcb_torrent_assembler_close(f.a, 0), -ERANGE);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 6), 6);
    assert_true(give(&f, &r[1], true) >= 0);
    assert_int_equal(zcb_torrent_assembler_close(f.a, 0), 0);
    assert_int_equal(zcb_torrent_assembler_close(f.a, 1), 0); // two blocks of it were never asked for
    assert_int_equal(stats(&f).active, 0);
    assert_int_equal(stats(&f).reserved, 0);
    assert_int_equal(give(&f, &r[0], true), -EBUSY);
    assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 1), 1);
    assert_int_equal(r[0].index, 0);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
pieces_open_and_close_in_any_order(void **state)
{
    (void)state;
    struct zcb_torrent_geometry g;
    struct zcb_torrent_assembler *a;
    struct zcb_torrent_request r[1];
    uint64_t seed = zcb_test_seed();
    uint8_t bits[512];
    bool open[4096] = { false };
    uint32_t count = 0;

    // The table of pieces under way, at its fullest, with holes in all places.
    assert_int_equal(zcb_torrent_geometry_init(&g, 4096 * 64, 64, 64), 0);
    assert_int_equal(zcb_torrent_assembler_create(&g, &(struct zcb_torrent_assembler_config){ .max_active = 64 }, &a), 0);
    for (int i = 0; i < 20000; i++) {
        uint32_t piece = (uint32_t)zcb_test_below(&seed, 96) * 41 % 4096;

        memset(bits, 0, sizeof(bits));
        bits[piece / 8] = (uint8_t)(0x80 >> piece % 8);
        if (open[piece]) {
            assert_int_equal(zcb_torrent_assembler_from(a, piece, 0), 7);
            assert_int_equal(zcb_torrent_assembler_close(a, piece), 0);
            open[piece] = false;
            count--;
        } else {
            assert_true(zcb_torrent_assembler_from(a, piece, 0) == ZCB_PIECE_NOBODY);
            assert_int_equal(zcb_torrent_assembler_pick(a, 7, bits, 0, r, 1), count < 64);
            open[piece] = count < 64;
            count += open[piece];
        }
    }
    zcb_torrent_assembler_destroy(&a);
}

static void
a_config_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    int any;
    struct zcb_torrent_assembler_config bad[3] = { { .flags = 2 }, { .reserved32 = 1 }, { .reserved = { &any } } };
    struct zcb_torrent_assembler *a = NULL;
    struct zcb_torrent_geometry g, zero = { 0 };

    assert_int_equal(zcb_torrent_geometry_init(&g, 1000, 100, 0), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(zcb_torrent_assembler_create(&g, &bad[i], &a), -EINVAL);
    assert_int_equal(zcb_torrent_assembler_create(NULL, NULL, &a), -EINVAL);
    assert_int_equal(zcb_torrent_assembler_create(&g, NULL, NULL), -EINVAL);
    assert_int_equal(zcb_torrent_assembler_create(&zero, NULL, &a), -EINVAL);
    assert_null(a);
}

static void
a_piece_opened_and_completed_allocates_nothing(void **state)
{
    (void)state;
    struct zcb_torrent_request r[8];
    uint64_t before = 0;
    struct fixture f;

    if (!zcb_alloc_count_works())
        skip();
    start(&f, 0);
    make(&f);
    for (int round = 0; round < 4; round++) { // two pieces at a time, and the first time wrong
        assert_int_equal(zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 8), 8);
        if (round == 1)
            before = zcb_alloc_count();
        for (int i = 0; i < 8; i++)
            assert_true(give(&f, &r[i], round != 0) >= 0);
    }
    assert_int_equal(stats(&f).failed, 2);
    assert_int_equal(stats(&f).completed, 6);
    assert_int_equal(zcb_alloc_count() - before, 0);
    zcb_torrent_assembler_destroy(&f.a);
}

static void
memory_that_is_out_changes_nothing(void **state)
{
    (void)state;
    struct zcb_torrent_request r[4];
    struct fixture f;
    int64_t live;

    if (!zcb_alloc_count_works())
        skip();
    start(&f, 0);
    live = zcb_alloc_live();
    for (uint64_t nth = 1;; nth++) {
        int result;

        zcb_alloc_fail(nth, false);
        result = zcb_torrent_assembler_create(&f.finished.geometry, &f.config, &f.a);
        zcb_alloc_fail(0, false);
        if (result == 0)
            break;
        assert_int_equal(result, -ENOMEM);
        assert_int_equal(zcb_alloc_live(), live);
    }
    for (uint64_t nth = 1;; nth++) {
        int got;

        zcb_alloc_fail(nth, false);
        got = zcb_torrent_assembler_pick(f.a, 1, f.all, 0, r, 4);
        zcb_alloc_fail(0, false);
        if (got == 4)
            break;
        assert_int_equal(got, 0);
        assert_int_equal(stats(&f).active, 0);
    }
    for (int i = 0; i < 4; i++)
        assert_true(give(&f, &r[i], true) >= 0);
    assert_int_equal(f.finished.count, 1);
    zcb_torrent_assembler_destroy(&f.a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_torrent_comes_together),
        cmocka_unit_test(no_block_is_asked_of_two_peers),
        cmocka_unit_test(the_short_last_piece_has_its_short_last_block),
        cmocka_unit_test(the_hash_follows_the_front_in_order),
        cmocka_unit_test(a_block_counts_once_and_only_with_its_ticket),
        cmocka_unit_test(blocks_in_place_need_no_copy),
        cmocka_unit_test(bytes_and_count_of_pieces_under_way_are_capped),
        cmocka_unit_test(the_short_last_piece_fits_beside_a_full_budget_of_whole_ones),
        cmocka_unit_test(completed_pieces_that_are_held_count_until_they_are_let_go),
        cmocka_unit_test(a_buffer_is_used_again),
        cmocka_unit_test(memory_may_be_the_callers),
        cmocka_unit_test(only_pieces_that_the_peer_has_and_we_lack_are_asked_for),
        cmocka_unit_test(spare_bits_of_a_peer_open_no_piece),
        cmocka_unit_test(the_callers_choice_of_piece_is_taken_if_it_can_be),
        cmocka_unit_test(two_million_pieces_are_searched_quickly),
        cmocka_unit_test(a_wrong_hash_names_its_only_sender_and_starts_the_piece_over),
        cmocka_unit_test(a_wrong_hash_of_several_senders_tells_each_block),
        cmocka_unit_test(a_verdict_may_come_later),
        cmocka_unit_test(in_the_end_game_a_block_goes_from_the_slow_to_the_fast),
        cmocka_unit_test(two_slow_peers_do_not_take_a_block_from_each_other_for_ever),
        cmocka_unit_test(an_old_ticket_is_no_good_when_the_block_comes_back),
        cmocka_unit_test(requests_time_out_and_stale_pieces_are_given_up),
        cmocka_unit_test(a_peer_that_goes_leaves_its_blocks_to_others),
        cmocka_unit_test(a_piece_can_be_given_up),
        cmocka_unit_test(pieces_open_and_close_in_any_order),
        cmocka_unit_test(a_config_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_piece_opened_and_completed_allocates_nothing),
        cmocka_unit_test(memory_that_is_out_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
