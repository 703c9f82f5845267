// SPDX-License-Identifier: MIT
//
// Random operations on a piece beside a plain model: for each block who has it, and the bytes it
// must hold.

#include "testing.h"

#include "support/pools.h"

#define MAX_BLOCKS 200
#define MAX_VIEWS 8
#define PEERS 4
#define GUARD 64

enum what { MISSING, RESERVED, RECEIVED };

struct view {
    struct zcb_packet packet;
    uint8_t *bytes; // what it showed when it was made
};

struct model {
    uint64_t random;
    struct zcb_pool *pool;
    struct zcb_piece *piece;
    uint8_t *region; // the piece's memory between guards; NULL: from the pool
    bool released;
    size_t length, block_size;
    uint32_t blocks;
    enum what what[MAX_BLOCKS];
    uint32_t from[MAX_BLOCKS];
    uint8_t *bytes; // of received blocks
    struct view views[MAX_VIEWS];
    size_t held; // views with a reference
};

static size_t
below(struct model *m, size_t n)
{
    return zcb_test_below(&m->random, n);
}

static size_t
length_of(const struct model *m, uint32_t block)
{
    size_t left = m->length - block * m->block_size;

    return left < m->block_size ? left : m->block_size;
}

static void
fill(struct model *m, uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)zcb_test_random(&m->random);
}

// ---- life ---------------------------------------------------------------------------------------

static void
released(void *ctx, void *data, size_t len)
{
    struct model *m = ctx;

    assert_ptr_equal(data, m->region + GUARD);
    assert_int_equal(len, m->length);
    assert_false(m->released);
    m->released = true;
}

static void
begin(struct model *m)
{
    struct zcb_piece_config config = {0};

    m->block_size = 1 + below(m, 300);
    m->length = 1 + below(m, m->block_size * (1 + below(m, MAX_BLOCKS)));
    m->blocks = (uint32_t)((m->length + m->block_size - 1) / m->block_size);
    assert_true(m->blocks <= MAX_BLOCKS);
    memset(m->what, 0, sizeof(m->what));
    m->bytes = calloc(1, m->length);
    assert_non_null(m->bytes);
    config.block_size = m->block_size;
    m->released = false;
    m->region = NULL;
    if (below(m, 2) == 0) {
        m->region = malloc(m->length + 2 * GUARD);
        assert_non_null(m->region);
        memset(m->region, 0xa5, m->length + 2 * GUARD);
        assert_int_equal(zcb_buf_wrap(m->region + GUARD, 0, m->length, released, m, &config.buf),
                         0);
    }
    assert_int_equal(zcb_piece_create(m->pool, m->length, &config, &m->piece), 0);
}

static void
drop_view(struct model *m, struct view *view)
{
    if (view->bytes == NULL)
        return;
    assert_memory_equal(view->packet.data, view->bytes, view->packet.len);
    if (view->packet.owner != NULL)
        m->held--;
    zcb_packet_unref(&view->packet);
    free(view->bytes);
    view->bytes = NULL;
}

// The piece is gone already; views may outlive it.
static void
end(struct model *m)
{
    assert_null(m->piece);
    for (size_t i = 0; i < MAX_VIEWS; i++) {
        if (m->region != NULL && m->held > 0)
            assert_false(m->released);
        drop_view(m, &m->views[i]);
    }
    assert_int_equal(m->held, 0);
    if (m->region != NULL) {
        assert_true(m->released);
        for (size_t i = 0; i < GUARD; i++) {
            assert_int_equal(m->region[i], 0xa5);
            assert_int_equal(m->region[GUARD + m->length + i], 0xa5);
        }
        free(m->region);
    }
    free(m->bytes);
}

// ---- the same operation on both -----------------------------------------------------------------

static int
expect_claim(const struct model *m, uint32_t block, uint32_t from)
{
    if (m->what[block] == RECEIVED)
        return -EALREADY;
    return m->what[block] == RESERVED && m->from[block] != from ? -EBUSY : 0;
}

static void
do_write(struct model *m, uint32_t block, uint32_t from, bool by_chain)
{
    static const size_t wrong[] = {0, 1, 2, 100000, SIZE_MAX};
    size_t right = block < m->blocks ? length_of(m, block) : 1 + below(m, 20), len = right;
    size_t off = below(m, 50), short_by = 0;
    uint8_t data[400];
    int expected, result;

    fill(m, data, sizeof(data));
    if (below(m, 6) == 0)
        len = below(m, 2) ? wrong[below(m, 5)] : right - 1 + 2 * below(m, 2);
    if (by_chain && below(m, 6) == 0)
        short_by = 1 + below(m, right);
    expected = block >= m->blocks ? -ERANGE : len != right ? -EINVAL : expect_claim(m, block, from);
    if (expected == 0 && short_by != 0)
        expected = -EAGAIN;

    if (by_chain) {
        size_t bytes = off + right - short_by;
        struct zcb_chain chain;

        // `off` bytes of something else in front, then the block, in chunks of random lengths.
        assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
        for (size_t at = 0; at < bytes;) {
            size_t part = 1 + below(m, below(m, 3) == 0 ? 8 : 200);
            struct zcb_packet packet;

            part = part < bytes - at ? part : bytes - at;
            assert_int_equal(zcb_packet_wrap(data + at, part, NULL, NULL, &packet), 0);
            assert_int_equal(zcb_chain_push(&chain, &packet), 0);
            at += part;
        }
        result = zcb_piece_write_chain(m->piece, block, &chain, off, len, from);
        assert_int_equal(zcb_chain_len(&chain), bytes);
        zcb_chain_finish(&chain);
    } else {
        result = zcb_piece_write(m->piece, block, data + off, len, from);
    }
    assert_int_equal(result, expected);
    if (result == 0) {
        memcpy(m->bytes + block * m->block_size, data + off, len);
        m->what[block] = RECEIVED;
        m->from[block] = from;
    }
}

static void
do_reserve(struct model *m, uint32_t block, uint32_t from)
{
    struct iovec place = {NULL, 0};
    int expected = block >= m->blocks ? -ERANGE : expect_claim(m, block, from);

    assert_int_equal(zcb_piece_reserve_block(m->piece, block, from, &place), expected);
    if (expected < 0) {
        assert_null(place.iov_base);
        return;
    }
    assert_int_equal(place.iov_len, length_of(m, block));
    m->what[block] = RESERVED;
    m->from[block] = from;
    // Part of it arrives, or all; what counts is what lies there at commit.
    fill(m, place.iov_base, below(m, 2) ? place.iov_len : below(m, place.iov_len));
}

static void
do_commit(struct model *m, uint32_t block, uint32_t from)
{
    int expected = 0;

    if (block >= m->blocks)
        expected = -ERANGE;
    else if (m->what[block] == RECEIVED)
        expected = -EALREADY;
    else if (m->what[block] == MISSING || m->from[block] != from)
        expected = -EINVAL;
    if (expected == 0) {
        struct iovec place;

        assert_int_equal(zcb_piece_reserve_block(m->piece, block, from, &place), 0);
        fill(m, place.iov_base, place.iov_len);
        memcpy(m->bytes + block * m->block_size, place.iov_base, place.iov_len);
        m->what[block] = RECEIVED;
    }
    assert_int_equal(zcb_piece_commit_block(m->piece, block, from), expected);
}

static void
do_cancel(struct model *m, uint32_t block, uint32_t from)
{
    int expected = 0;

    if (block >= m->blocks)
        expected = -ERANGE;
    else if (m->what[block] != RESERVED || m->from[block] != from)
        expected = -EINVAL;
    assert_int_equal(zcb_piece_cancel_block(m->piece, block, from), expected);
    if (expected == 0)
        m->what[block] = MISSING;
}

// Somebody else wants a block that is reserved: its owner is asked for, cancelled, and the block
// reserved anew.
static void
do_pre_empt(struct model *m, uint32_t block, uint32_t from)
{
    if (block >= m->blocks || m->what[block] != RESERVED)
        return;
    do_cancel(m, block, zcb_piece_from(m->piece, block));
    do_reserve(m, block, from);
}

static void
do_share(struct model *m)
{
    struct view *view = &m->views[below(m, MAX_VIEWS)];
    size_t off = below(m, m->length + 2),
           len = below(m, 3) ? below(m, m->length + 2) : below(m, 2 * m->block_size);
    int expected = 0;

    drop_view(m, view);
    if (off > m->length || len > m->length - off) {
        expected = -ERANGE;
    } else {
        for (size_t i = off; i < off + len; i++) {
            if (m->what[i / m->block_size] != RECEIVED)
                expected = -EAGAIN;
        }
    }
    assert_int_equal(zcb_piece_share(m->piece, off, len, &view->packet), expected);
    if (expected < 0)
        return;
    assert_int_equal(view->packet.len, len);
    assert_true((view->packet.owner != NULL) == (len != 0));
    view->bytes = malloc(len + 1);
    assert_non_null(view->bytes);
    memcpy(view->bytes, m->bytes + off, len);
    m->held += view->packet.owner != NULL;
}

static void
do_reset(struct model *m)
{
    assert_int_equal(zcb_piece_reset(m->piece), m->held != 0 ? -EBUSY : 0);
    if (m->held == 0)
        memset(m->what, 0, sizeof(m->what));
}

static void
do_take(struct model *m)
{
    struct zcb_packet whole = {0};
    bool complete = true;

    for (uint32_t i = 0; i < m->blocks; i++)
        complete = complete && m->what[i] == RECEIVED;
    assert_int_equal(zcb_piece_take(&m->piece, &whole), complete ? 0 : -EAGAIN);
    if (!complete)
        return;
    assert_null(m->piece);
    assert_int_equal(whole.len, m->length);
    assert_memory_equal(whole.data, m->bytes, m->length);
    assert_true(zcb_packet_is_unique(&whole) == (m->held == 0));
    if (m->region != NULL)
        assert_ptr_equal(whole.data, m->region + GUARD);
    zcb_packet_unref(&whole);
    end(m);
    begin(m);
}

static void
compare(const struct model *m)
{
    size_t received = 0, frontier = 0;
    uint32_t missing = m->blocks, start = (uint32_t)(m->random >> 40) % (m->blocks + 2);
    bool gap = false;

    for (uint32_t i = 0; i < m->blocks; i++) {
        assert_true(zcb_piece_has(m->piece, i) == (m->what[i] == RECEIVED));
        assert_int_equal(zcb_piece_from(m->piece, i),
                         m->what[i] == MISSING ? ZCB_PIECE_NOBODY : m->from[i]);
        if (m->what[i] == RECEIVED)
            received += length_of(m, i);
        else
            gap = true;
        if (!gap)
            frontier += length_of(m, i);
        if (m->what[i] == MISSING && i >= start && missing == m->blocks)
            missing = i;
    }
    assert_int_equal(zcb_piece_received(m->piece), received);
    assert_int_equal(zcb_piece_frontier(m->piece), frontier);
    assert_true(zcb_piece_is_complete(m->piece) == !gap);
    assert_int_equal(zcb_piece_next_missing(m->piece, start), missing);
    for (size_t i = 0; i < MAX_VIEWS; i++) {
        if (m->views[i].bytes != NULL)
            assert_memory_equal(m->views[i].packet.data, m->views[i].bytes, m->views[i].packet.len);
    }
    // Where the memory is ours: every received block is what it was when it came.
    for (uint32_t i = 0; m->region != NULL && i < m->blocks; i++) {
        if (m->what[i] == RECEIVED)
            assert_memory_equal(m->region + GUARD + i * m->block_size, m->bytes + i * m->block_size,
                                length_of(m, i));
    }
}

static void
a_piece_does_what_the_model_does(void **state)
{
    struct model *m = calloc(1, sizeof(*m));
    size_t rounds = zcb_test_rounds(40000);

    (void)state;
    assert_non_null(m);
    m->random = zcb_test_seed();
    m->pool = must_create(NULL);
    begin(m);
    for (size_t i = 0; i < rounds; i++) {
        // Outside the piece now and then; else mostly what is missing, or it would hardly ever be
        // complete.
        uint32_t block = (uint32_t)below(m, m->blocks + (below(m, 20) == 0 ? 3 : 0));
        uint32_t from = (uint32_t)below(m, PEERS);
        size_t operation = below(m, 100);

        if (below(m, 2) == 0) {
            block = zcb_piece_next_missing(m->piece, block);
        } else if (block < m->blocks && below(m, 2) == 0) {
            uint32_t has = zcb_piece_from(m->piece, block);
            from = has != ZCB_PIECE_NOBODY ? has : from;
        }
        if (operation < 25)
            do_write(m, block, from, false);
        else if (operation < 45)
            do_write(m, block, from, true);
        else if (operation < 60)
            do_reserve(m, block, from);
        else if (operation < 78)
            do_commit(m, block, from);
        else if (operation < 83)
            do_cancel(m, block, from);
        else if (operation < 86)
            do_pre_empt(m, block, from);
        else if (operation < 92)
            do_share(m);
        else if (operation < 94)
            drop_view(m, &m->views[below(m, MAX_VIEWS)]);
        else if (operation < 98)
            do_take(m);
        else if (below(m, 40) == 0)
            do_reset(m);
        else if (below(m, 80) == 0) {
            zcb_piece_destroy(&m->piece);
            end(m);
            begin(m);
        }
        compare(m);
    }
    zcb_piece_destroy(&m->piece);
    end(m);
    must_end(&m->pool);
    free(m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_does_what_the_model_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
