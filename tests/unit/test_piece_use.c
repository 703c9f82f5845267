// SPDX-License-Identifier: MIT
//
// What one does with a piece: reserves blocks and receives into them, asks what is missing and how far
// it is complete, shares it, takes it, starts over, and keeps many of them in one pool.

#include "testing.h"

#include "support/piece_tools.h"

// ---- reservations -------------------------------------------------------------------------------

static void
a_reserved_block_is_filled_in_place_and_nothing_is_copied(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 25, 10);
    struct zcb_copies before, after;

    (void)state;
    zcb_copies_thread(&before);
    for (uint32_t i = 0; i < 3; i++) {
        struct iovec place = {0};

        assert_int_equal(zcb_piece_reserve_block(piece, i, 4, &place), 0);
        assert_ptr_equal(place.iov_base, arena.memory + i * 10);
        assert_int_equal(place.iov_len, i < 2 ? 10 : 5);
        assert_int_equal(zcb_piece_from(piece, i), 4);
        assert_false(zcb_piece_has(piece, i));
        assert_int_equal(zcb_piece_received(piece), i * 10);
        assert_int_equal(zcb_piece_next_missing(piece, 0), i + 1);
        fill(place.iov_base, i, place.iov_len);
        assert_int_equal(zcb_piece_commit_block(piece, i, 4), 0);
        assert_true(zcb_piece_has(piece, i));
        assert_int_equal(zcb_piece_from(piece, i), 4);
    }
    zcb_copies_thread(&after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_true(zcb_piece_is_complete(piece));
    assert_int_equal(zcb_piece_received(piece), 25);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
a_reservation_is_exclusive(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 25, 10);
    struct iovec place = {0}, again = {0};
    const struct iovec untouched = {&arena, 77};

    (void)state;
    assert_int_equal(zcb_piece_reserve_block(piece, 1, 4, &place), 0);
    assert_int_equal(zcb_piece_reserve_block(piece, 1, 4, &again), 0);
    assert_ptr_equal(again.iov_base, place.iov_base);
    assert_int_equal(again.iov_len, place.iov_len);
    again = untouched;
    assert_int_equal(zcb_piece_reserve_block(piece, 1, 5, &again), -EBUSY);
    assert_int_equal(zcb_piece_reserve_block(piece, 3, 4, &again), -ERANGE);
    assert_int_equal(zcb_piece_reserve_block(piece, UINT32_MAX, 4, &again), -ERANGE);
    assert_int_equal(zcb_piece_reserve_block(piece, 0, NOBODY, &again), -EINVAL);
    assert_int_equal(zcb_piece_reserve_block(piece, 0, 4, NULL), -EINVAL);
    assert_int_equal(write_block(piece, 1, 5), -EBUSY);
    assert_int_equal(zcb_piece_commit_block(piece, 1, 5), -EINVAL);
    assert_int_equal(zcb_piece_cancel_block(piece, 1, 5), -EINVAL);
    assert_int_equal(zcb_piece_commit_block(piece, 1, NOBODY), -EINVAL);
    assert_int_equal(zcb_piece_from(piece, 1), 4);
    assert_int_equal(zcb_piece_received(piece), 0);

    assert_int_equal(zcb_piece_commit_block(piece, 1, 4), 0);
    assert_int_equal(zcb_piece_reserve_block(piece, 1, 4, &again), -EALREADY);
    assert_int_equal(zcb_piece_reserve_block(piece, 1, 5, &again), -EALREADY);
    assert_int_equal(zcb_piece_commit_block(piece, 1, 4), -EALREADY);
    assert_int_equal(zcb_piece_commit_block(piece, 1, 5), -EALREADY);
    assert_int_equal(zcb_piece_cancel_block(piece, 1, 4), -EINVAL);
    assert_true(zcb_piece_has(piece, 1));
    assert_memory_equal(&again, &untouched, sizeof(again));
    assert_int_equal(zcb_piece_received(piece), 10);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
commit_and_cancel_need_a_reservation(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 25, 10);

    (void)state;
    for (uint32_t from = 0; from < 2; from++) {
        assert_int_equal(zcb_piece_commit_block(piece, 0, from), -EINVAL);
        assert_int_equal(zcb_piece_cancel_block(piece, 0, from), -EINVAL);
        assert_int_equal(zcb_piece_commit_block(piece, 3, from), -ERANGE);
        assert_int_equal(zcb_piece_cancel_block(piece, 3, from), -ERANGE);
        assert_int_equal(zcb_piece_cancel_block(piece, UINT32_MAX, from), -ERANGE);
    }
    assert_int_equal(zcb_piece_commit_block(piece, 0, NOBODY), -EINVAL);
    assert_int_equal(zcb_piece_received(piece), 0);
    assert_int_equal(zcb_piece_frontier(piece), 0);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
a_peer_that_trickles_is_pre_empted_by_its_number(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 25, 10);
    struct iovec place;

    (void)state;
    assert_int_equal(zcb_piece_reserve_block(piece, 0, 4, &place), 0);
    memset(place.iov_base, 0xee, 3);
    assert_int_equal(zcb_piece_cancel_block(piece, 0, 4), 0);
    assert_int_equal(zcb_piece_from(piece, 0), NOBODY);
    assert_int_equal(zcb_piece_next_missing(piece, 0), 0);
    assert_int_equal(zcb_piece_commit_block(piece, 0, 4), -EINVAL);
    assert_int_equal(zcb_piece_cancel_block(piece, 0, 4), -EINVAL);
    assert_int_equal(zcb_piece_reserve_block(piece, 0, 5, &place), 0);
    fill(place.iov_base, 0, place.iov_len);
    assert_int_equal(zcb_piece_commit_block(piece, 0, 5), 0);
    assert_int_equal(zcb_piece_from(piece, 0), 5);
    assert_true(is_filled(arena.memory, 0, 10));
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
a_peer_may_write_the_block_it_has_reserved(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 25, 10);
    struct iovec place;

    (void)state;
    assert_int_equal(zcb_piece_reserve_block(piece, 0, 4, &place), 0);
    assert_int_equal(write_block(piece, 0, 4), 0);
    assert_int_equal(zcb_piece_commit_block(piece, 0, 4), -EALREADY);
    assert_int_equal(zcb_piece_received(piece), 10);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

// ---- what is missing, and how far it is complete ------------------------------------------------

static void
next_missing_skips_what_is_received_and_what_is_reserved(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 200, 1);
    struct iovec place;

    (void)state;
    for (uint32_t i = 0; i < 200; i++)
        assert_int_equal(zcb_piece_next_missing(piece, i), i);
    assert_int_equal(zcb_piece_next_missing(piece, 200), 200);
    assert_int_equal(zcb_piece_next_missing(piece, UINT32_MAX), 200);

    // Everything but 5, 63, 64, 127, 199; in turn received and reserved.
    for (uint32_t i = 0; i < 200; i++) {
        if (i == 5 || i == 63 || i == 64 || i == 127 || i == 199)
            continue;
        if (i % 2 == 0)
            assert_int_equal(write_block(piece, i, 1), 0);
        else
            assert_int_equal(zcb_piece_reserve_block(piece, i, 2, &place), 0);
    }
    assert_int_equal(zcb_piece_next_missing(piece, 0), 5);
    assert_int_equal(zcb_piece_next_missing(piece, 5), 5);
    assert_int_equal(zcb_piece_next_missing(piece, 6), 63);
    assert_int_equal(zcb_piece_next_missing(piece, 63), 63);
    assert_int_equal(zcb_piece_next_missing(piece, 64), 64);
    assert_int_equal(zcb_piece_next_missing(piece, 65), 127);
    assert_int_equal(zcb_piece_next_missing(piece, 128), 199);
    assert_int_equal(write_block(piece, 199, 1), 0);
    assert_int_equal(zcb_piece_next_missing(piece, 128), 200);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
the_frontier_waits_for_the_gap_and_ignores_reservations(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 45, 10);
    struct iovec place;

    (void)state;
    assert_int_equal(write_block(piece, 1, 1), 0);
    assert_int_equal(write_block(piece, 2, 1), 0);
    assert_int_equal(zcb_piece_frontier(piece), 0);
    assert_int_equal(zcb_piece_reserve_block(piece, 0, 3, &place), 0);
    assert_int_equal(zcb_piece_frontier(piece), 0);
    assert_int_equal(zcb_piece_commit_block(piece, 0, 3), 0);
    assert_int_equal(zcb_piece_frontier(piece), 30);
    assert_int_equal(write_block(piece, 4, 1), 0);
    assert_int_equal(zcb_piece_frontier(piece), 30);
    assert_false(zcb_piece_is_complete(piece));
    assert_int_equal(write_block(piece, 3, 1), 0);
    assert_int_equal(zcb_piece_frontier(piece), 45);
    assert_true(zcb_piece_is_complete(piece));
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
a_million_blocks_are_no_burden(void **state)
{
    const uint32_t n = 1u << 20;
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, n, 1);
    uint8_t byte = 1;

    (void)state;
    // Backwards: the frontier moves once, over all of it. Asked for after each block, it must not
    // search anew.
    for (uint32_t i = n; i-- > 0;) {
        assert_int_equal(zcb_piece_write(piece, i, &byte, 1, i), 0);
        assert_int_equal(zcb_piece_frontier(piece), i == 0 ? n : 0);
    }
    assert_int_equal(zcb_piece_from(piece, n - 1), n - 1);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

// ---- share, take, reset -------------------------------------------------------------------------

static void
share_gives_what_was_received_and_nothing_else(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 45, 10);
    const struct zcb_packet untouched = {arena.memory, 77, NULL};
    struct zcb_packet view = untouched;
    static const struct {
        size_t off, len;
        int expected;
    } cases[] = {
        // received: 0, 1, 3, 4 (that is bytes 0 to 19 and 30 to 44)
        {0, 1, 0},
        {0, 20, 0},
        {5, 15, 0},
        {19, 1, 0},
        {19, 2, -EAGAIN},
        {20, 1, -EAGAIN},
        {29, 1, -EAGAIN},
        {29, 2, -EAGAIN},
        {30, 15, 0},
        {31, 2, 0},
        {44, 1, 0},
        {0, 45, -EAGAIN},
        {0, 46, -ERANGE},
        {44, 2, -ERANGE},
        {45, 1, -ERANGE},
        {46, 0, -ERANGE},
        {1, SIZE_MAX, -ERANGE},
        {SIZE_MAX, 1, -ERANGE},
        {SIZE_MAX, SIZE_MAX, -ERANGE},
    };

    (void)state;
    assert_int_equal(write_block(piece, 0, 1), 0);
    assert_int_equal(write_block(piece, 1, 1), 0);
    assert_int_equal(write_block(piece, 3, 1), 0);
    assert_int_equal(write_block(piece, 4, 1), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int result = zcb_piece_share(piece, cases[i].off, cases[i].len, &view);

        assert_int_equal(result, cases[i].expected);
        if (result == 0) {
            assert_ptr_equal(view.data, arena.memory + cases[i].off);
            assert_int_equal(view.len, cases[i].len);
            assert_false(zcb_packet_is_unique(&view));
            assert_int_equal(zcb_piece_reset(piece), -EBUSY);
            zcb_packet_unref(&view);
            view = untouched;
        } else {
            assert_memory_equal(&view, &untouched, sizeof(view));
        }
    }
    // Nothing at all holds no reference, wherever it lies.
    assert_int_equal(zcb_piece_share(piece, 20, 0, &view), 0);
    assert_int_equal(view.len, 0);
    assert_null(view.owner);
    assert_int_equal(zcb_piece_share(piece, 45, 0, &view), 0);
    assert_int_equal(zcb_piece_reset(piece), 0);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
shared_bytes_outlive_the_piece(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 25, 10);
    struct zcb_packet view = {0};

    (void)state;
    assert_int_equal(write_block(piece, 1, 1), 0);
    assert_int_equal(zcb_piece_share(piece, 10, 10, &view), 0);
    zcb_piece_destroy(&piece);
    assert_int_equal(arena.released, 0);
    assert_true(is_filled(view.data, 1, 10));
    assert_true(zcb_packet_is_unique(&view));
    zcb_packet_unref(&view);
    arena_end(&arena);
}

static void
take_gives_the_memory_itself_also_while_views_are_out(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 20, 10);
    struct zcb_packet view = {0}, whole = {0};
    struct zcb_copies before, after;

    (void)state;
    assert_int_equal(write_block(piece, 0, 1), 0);
    assert_int_equal(zcb_piece_share(piece, 0, 10, &view), 0);
    assert_int_equal(zcb_piece_take(&piece, &whole), -EAGAIN);
    assert_non_null(piece);
    assert_int_equal(write_block(piece, 1, 1), 0);
    zcb_copies_thread(&before);
    assert_int_equal(zcb_piece_take(&piece, &whole), 0);
    zcb_copies_thread(&after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_null(piece);
    assert_ptr_equal(whole.data, arena.memory);
    assert_int_equal(whole.len, 20);
    assert_ptr_equal(whole.owner, view.owner);
    assert_false(zcb_packet_is_unique(&whole));
    zcb_packet_unref(&view);
    assert_true(zcb_packet_is_unique(&whole));
    assert_int_equal(arena.released, 0);
    zcb_packet_unref(&whole);
    arena_end(&arena);
}

static void
reset_starts_over_in_the_same_memory_once_no_view_is_out(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 25, 10);
    struct zcb_packet view = {0};
    struct iovec place;

    (void)state;
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(write_block(piece, i, i + 1), 0);
    assert_int_equal(zcb_piece_reserve_block(piece, 2, 8, &place), 0);
    assert_int_equal(zcb_piece_share(piece, 0, 20, &view), 0);
    assert_int_equal(zcb_piece_reset(piece), -EBUSY);
    assert_int_equal(zcb_piece_received(piece), 20);
    assert_int_equal(zcb_piece_from(piece, 2), 8);
    zcb_packet_unref(&view);
    assert_int_equal(zcb_piece_reset(piece), 0);

    assert_int_equal(zcb_piece_received(piece), 0);
    assert_int_equal(zcb_piece_frontier(piece), 0);
    assert_int_equal(zcb_piece_next_missing(piece, 0), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(zcb_piece_has(piece, i));
        assert_int_equal(zcb_piece_from(piece, i), NOBODY);
        assert_int_equal(zcb_piece_commit_block(piece, i, 8), -EINVAL);
    }
    assert_int_equal(zcb_piece_share(piece, 0, 1, &view), -EAGAIN);
    // The bytes stay where they were, without a meaning; the next block goes over them.
    assert_int_equal(zcb_piece_reserve_block(piece, 0, 9, &place), 0);
    assert_ptr_equal(place.iov_base, arena.memory);
    memset(place.iov_base, 0xee, place.iov_len);
    assert_int_equal(zcb_piece_commit_block(piece, 0, 9), 0);
    assert_int_equal(zcb_piece_from(piece, 0), 9);
    assert_int_equal(zcb_piece_reset(piece), 0);
    assert_int_equal(zcb_piece_reset(piece), 0);
    assert_int_equal(arena.released, 0);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
the_taken_packet_can_be_written_by_its_only_owner(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 20, 10);
    struct zcb_packet whole = {0};
    struct zcb_buf *buf = NULL;

    (void)state;
    assert_int_equal(write_block(piece, 0, 1), 0);
    assert_int_equal(write_block(piece, 1, 1), 0);
    assert_int_equal(zcb_piece_take(&piece, &whole), 0);
    assert_int_equal(zcb_packet_make_writable(&whole, NULL, &buf), 0);
    assert_ptr_equal(zcb_buf_data(buf), arena.memory);
    assert_int_equal(zcb_buf_len(buf), 20);
    zcb_buf_release(&buf);
    arena_end(&arena);
}

// ---- pieces in pools ----------------------------------------------------------------------------

static struct zcb_pool *
piece_pool(size_t size, size_t max)
{
    const struct zcb_pool_config config = {
        .name = "pieces",
        .tiers = {{.buffer_size = size, .max_buffers = max}},
        .policy = ZCB_POOL_FAIL,
        .flags = ZCB_POOL_NO_CACHE | ZCB_POOL_NO_OVERSIZE,
    };

    return must_create(&config);
}

static const uint8_t *
memory_of(struct zcb_piece *piece)
{
    struct iovec place = {0};

    assert_int_equal(zcb_piece_reserve_block(piece, 0, 1, &place), 0);
    assert_int_equal(zcb_piece_cancel_block(piece, 0, 1), 0);
    return place.iov_base;
}

static void
a_piece_of_a_pool_is_made_of_the_memory_of_the_one_before(void **state)
{
    struct zcb_pool *pool = piece_pool(65536, 4);
    struct zcb_piece *piece = NULL;
    const uint8_t *first;
    struct zcb_pool_stats stats;

    (void)state;
    assert_int_equal(zcb_piece_create(pool, 65536, NULL, &piece), 0);
    first = memory_of(piece);
    assert_int_equal(write_block(piece, 0, 1), 0);
    zcb_piece_destroy(&piece);
    assert_int_equal(zcb_piece_create(pool, 50000, NULL, &piece), 0);
    assert_ptr_equal(memory_of(piece), first);
    // Nothing of the piece before is left but stray bytes.
    assert_int_equal(zcb_piece_received(piece), 0);
    assert_false(zcb_piece_has(piece, 0));
    assert_int_equal(zcb_piece_block_length(piece, 3), 50000 - 3 * 16384);
    zcb_piece_destroy(&piece);
    stats = must_be_at_rest(pool);
    assert_int_equal(stats.total.acquires, 2);
    assert_int_equal(stats.total.returns + stats.total.drops, 2);
    must_end(&pool);
}

static void
a_pool_bounds_the_pieces_that_are_open(void **state)
{
    struct zcb_pool *pool = piece_pool(65536, 3);
    struct zcb_piece *pieces[4] = {NULL};
    struct zcb_packet whole = {0};

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(zcb_piece_create(pool, 65536, NULL, &pieces[i]), 0);
    assert_int_equal(zcb_piece_create(pool, 65536, NULL, &pieces[3]), -ENOBUFS);
    assert_null(pieces[3]);
    assert_int_equal(zcb_piece_create(pool, 65537, NULL, &pieces[3]), -ENOBUFS);
    assert_int_equal(must_be_at_rest(pool).total.live, 3);

    // A piece that was taken counts until its packet is gone.
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(write_block(pieces[1], i, 1), 0);
    assert_int_equal(zcb_piece_take(&pieces[1], &whole), 0);
    assert_int_equal(zcb_piece_create(pool, 65536, NULL, &pieces[3]), -ENOBUFS);
    zcb_packet_unref(&whole);
    assert_int_equal(zcb_piece_create(pool, 65536, NULL, &pieces[3]), 0);
    for (int i = 0; i < 4; i++)
        zcb_piece_destroy(&pieces[i]);
    must_end(&pool);
}

static void
pieces_of_two_lengths_share_one_pool_and_do_not_mix(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 32768, .max_buffers = 2},
                  {.buffer_size = 262144, .max_buffers = 2}},
        .policy = ZCB_POOL_FAIL,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_piece *small = NULL, *large = NULL;
    const uint8_t *small_at, *large_at;

    (void)state;
    for (int round = 0; round < 5; round++) {
        assert_int_equal(zcb_piece_create(pool, 32768, NULL, &small), 0);
        assert_int_equal(zcb_piece_create(pool, 262144, NULL, &large), 0);
        small_at = memory_of(small);
        large_at = memory_of(large);
        assert_true(small_at + 32768 <= large_at || large_at + 262144 <= small_at);
        for (uint32_t i = 0; i < 2; i++)
            assert_int_equal(write_block(small, i, 1), 0);
        for (uint32_t i = 0; i < 16; i++)
            assert_int_equal(write_block(large, i, 1), 0);
        for (uint32_t i = 0; i < 2; i++)
            assert_true(is_filled(small_at + i * 16384, i, 16384));
        for (uint32_t i = 0; i < 16; i++)
            assert_true(is_filled(large_at + i * 16384, i, 16384));
        zcb_piece_destroy(&large);
        zcb_piece_destroy(&small);
    }
    must_end(&pool);
}

static void
only_the_piece_whose_hash_failed_starts_over(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_piece *bad = NULL, *good = NULL;

    (void)state;
    assert_int_equal(zcb_piece_create(pool, 32768, NULL, &bad), 0);
    assert_int_equal(zcb_piece_create(pool, 32768, NULL, &good), 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(write_block(bad, i, 66), 0);
        assert_int_equal(write_block(good, i, 5), 0);
    }
    assert_int_equal(zcb_piece_from(bad, 1), 66); // whom to blame
    assert_int_equal(zcb_piece_reset(bad), 0);
    assert_true(zcb_piece_is_complete(good));
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(write_block(bad, i, 5), 0);
    assert_true(zcb_piece_is_complete(bad));
    zcb_piece_destroy(&bad);
    zcb_piece_destroy(&good);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reserved_block_is_filled_in_place_and_nothing_is_copied),
        cmocka_unit_test(a_reservation_is_exclusive),
        cmocka_unit_test(commit_and_cancel_need_a_reservation),
        cmocka_unit_test(a_peer_that_trickles_is_pre_empted_by_its_number),
        cmocka_unit_test(a_peer_may_write_the_block_it_has_reserved),
        cmocka_unit_test(next_missing_skips_what_is_received_and_what_is_reserved),
        cmocka_unit_test(the_frontier_waits_for_the_gap_and_ignores_reservations),
        cmocka_unit_test(a_million_blocks_are_no_burden),
        cmocka_unit_test(share_gives_what_was_received_and_nothing_else),
        cmocka_unit_test(shared_bytes_outlive_the_piece),
        cmocka_unit_test(take_gives_the_memory_itself_also_while_views_are_out),
        cmocka_unit_test(reset_starts_over_in_the_same_memory_once_no_view_is_out),
        cmocka_unit_test(the_taken_packet_can_be_written_by_its_only_owner),
        cmocka_unit_test(a_piece_of_a_pool_is_made_of_the_memory_of_the_one_before),
        cmocka_unit_test(a_pool_bounds_the_pieces_that_are_open),
        cmocka_unit_test(pieces_of_two_lengths_share_one_pool_and_do_not_mix),
        cmocka_unit_test(only_the_piece_whose_hash_failed_starts_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
