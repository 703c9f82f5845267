// SPDX-License-Identifier: MIT
//
// Piece assembly, from the outside in: geometry, creation, and blocks that are written, good and bad.
// What one does with a piece is in test_piece_use.c.

#include "testing.h"

#include "support/piece_tools.h"

// ---- geometry -----------------------------------------------------------------------------------

static const struct geometry {
    size_t length, block_size;
    uint32_t blocks;
    size_t last;
} geometries[] = {
    {1, 0, 1, 1},
    {16383, 0, 1, 16383},
    {16384, 0, 1, 16384},
    {16385, 0, 2, 1},
    {32768, 0, 2, 16384},
    {262144, 0, 16, 16384},
    {262144 + 100, 0, 17, 100},
    {1, 1, 1, 1},
    {63, 1, 63, 1},
    {64, 1, 64, 1},
    {65, 1, 65, 1},
    {128, 1, 128, 1},
    {1000, 7, 143, 6},
    {1001, 7, 143, 7},
    {10, SIZE_MAX, 1, 10},
    {4096 * 64, 4096, 64, 4096},
    {4096 * 64 + 1, 4096, 65, 1},
};

static void
a_length_is_cut_into_blocks_with_a_short_last_one(void **state)
{
    (void)state;
    for (size_t g = 0; g < sizeof(geometries) / sizeof(geometries[0]); g++) {
        const struct geometry *geometry = &geometries[g];
        size_t block_size = geometry->block_size != 0 ? geometry->block_size : 16384, sum = 0;
        struct arena arena;
        struct zcb_piece *piece = arena_piece(&arena, geometry->length, geometry->block_size);

        assert_int_equal(zcb_piece_length(piece), geometry->length);
        assert_int_equal(zcb_piece_blocks(piece), geometry->blocks);
        for (uint32_t i = 0; i < geometry->blocks; i++) {
            size_t len = zcb_piece_block_length(piece, i);

            assert_int_equal(len, i + 1 < geometry->blocks ? block_size : geometry->last);
            sum += len;
        }
        assert_int_equal(sum, geometry->length);
        assert_int_equal(zcb_piece_block_length(piece, geometry->blocks), 0);
        assert_int_equal(zcb_piece_block_length(piece, UINT32_MAX), 0);
        zcb_piece_destroy(&piece);
        assert_null(piece);
        arena_end(&arena);
    }
}

static void
a_new_piece_is_empty(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 100, 10);

    (void)state;
    assert_false(zcb_piece_is_complete(piece));
    assert_int_equal(zcb_piece_received(piece), 0);
    assert_int_equal(zcb_piece_frontier(piece), 0);
    assert_int_equal(zcb_piece_next_missing(piece, 0), 0);
    for (uint32_t i = 0; i < 12; i++) {
        assert_false(zcb_piece_has(piece, i));
        assert_int_equal(zcb_piece_from(piece, i), NOBODY);
    }
    assert_false(zcb_piece_has(piece, UINT32_MAX));
    assert_true(all_bytes_are(arena.memory, 100, EMPTY_BYTE));
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
pieces_of_every_geometry_are_completed_in_any_order(void **state)
{
    (void)state;
    for (size_t g = 0; g < sizeof(geometries) / sizeof(geometries[0]); g++) {
        // Forwards, backwards, and by a step that is prime to the number of blocks.
        for (int order = 0; order < 3; order++) {
            const struct geometry *geometry = &geometries[g];
            uint32_t n = geometry->blocks, step = 5;
            size_t received = 0, off = 0;
            struct zcb_packet whole = {0};
            struct arena arena;
            struct zcb_piece *piece = arena_piece(&arena, geometry->length, geometry->block_size);

            while (n % step == 0)
                step += 2;
            for (uint32_t i = 0; i < n; i++) {
                uint32_t block = order == 0   ? i
                                 : order == 1 ? n - 1 - i
                                              : (uint32_t)((uint64_t)i * step % n);

                assert_false(zcb_piece_is_complete(piece));
                assert_int_equal(zcb_piece_take(&piece, &whole), -EAGAIN);
                assert_non_null(piece);
                assert_int_equal(write_block(piece, block, block + 7), 0);
                received += zcb_piece_block_length(piece, block);
                assert_int_equal(zcb_piece_received(piece), received);
                assert_true(zcb_piece_has(piece, block));
                assert_int_equal(zcb_piece_from(piece, block), block + 7);
                if (order == 0)
                    assert_int_equal(zcb_piece_frontier(piece), received);
                else if (order == 1 && i + 1 < n)
                    assert_int_equal(zcb_piece_frontier(piece), 0);
            }
            assert_true(zcb_piece_is_complete(piece));
            assert_int_equal(zcb_piece_frontier(piece), geometry->length);
            assert_int_equal(zcb_piece_next_missing(piece, 0), n);
            for (uint32_t i = 0; i < n; i++) {
                assert_true(is_filled(arena.memory + off, i, zcb_piece_block_length(piece, i)));
                off += zcb_piece_block_length(piece, i);
            }
            arena_check(&arena);
            assert_int_equal(zcb_piece_take(&piece, &whole), 0);
            assert_null(piece);
            assert_ptr_equal(whole.data, arena.memory);
            assert_int_equal(whole.len, geometry->length);
            assert_true(zcb_packet_is_unique(&whole));
            assert_int_equal(arena.released, 0);
            zcb_packet_unref(&whole);
            arena_end(&arena);
        }
    }
}

// ---- creation -----------------------------------------------------------------------------------

static void
create_refuses_what_cannot_be_and_the_buf_stays_with_the_caller(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_piece *const untouched = (struct zcb_piece *)&pool;
    struct zcb_piece *piece = untouched;
    struct zcb_piece_config config = {0};
    struct arena arena;
    struct zcb_buf *buf = arena_buf(&arena, 100);

    (void)state;
    assert_int_equal(zcb_piece_create(pool, 0, NULL, &piece), -EINVAL);
    assert_int_equal(zcb_piece_create(NULL, 100, NULL, &piece), -EINVAL);
    assert_int_equal(zcb_piece_create(NULL, 100, &config, &piece), -EINVAL);
    assert_int_equal(zcb_piece_create(pool, 100, NULL, NULL), -EINVAL);
    for (size_t i = 0; i < sizeof(config.reserved) / sizeof(config.reserved[0]); i++) {
        config.reserved[i] = &config;
        assert_int_equal(zcb_piece_create(pool, 100, &config, &piece), -EINVAL);
        config.reserved[i] = NULL;
    }

    config.buf = buf;
    assert_int_equal(zcb_piece_create(NULL, 101, &config, &piece), -ERANGE);
    assert_int_equal(zcb_piece_create(pool, SIZE_MAX, &config, &piece),
                     SIZE_MAX > UINT32_MAX ? -EOVERFLOW : -ERANGE);
    assert_int_equal(zcb_buf_append(buf, 1, NULL), 0);
    assert_int_equal(zcb_piece_create(NULL, 50, &config, &piece), -EINVAL);
    assert_int_equal(zcb_buf_trim(buf, 0, 1), 0);
    // Headroom is no room for a piece.
    assert_int_equal(zcb_buf_set_headroom(buf, 1), 0);
    assert_int_equal(zcb_piece_create(NULL, 100, &config, &piece), -ERANGE);
    assert_int_equal(arena.released, 0);
    assert_ptr_equal(piece, untouched);

    assert_int_equal(zcb_piece_create(NULL, 99, &config, &piece), 0);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
    must_end(&pool);
}

// Books in the caller's memory: as much as was said is used and no byte more, and none is allocated
// or freed.
static void
a_piece_keeps_its_books_in_memory_that_it_is_given(void **state)
{
    static const struct {
        size_t length, block_size;
    } rows[] = {{1, 1}, {63, 1}, {64, 1}, {65, 1}, {1000, 10}, {1000, 0}, {16385, 0}};
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t size = zcb_piece_state_size(rows[i].length, rows[i].block_size);
        uint8_t *memory = malloc(size + 64);
        struct zcb_piece_config config = {.block_size = rows[i].block_size, .state = memory};
        struct zcb_packet packet;
        struct zcb_piece *piece;

        assert_non_null(memory);
        memset(memory, 0xee, size + 64);
        config.state_size = size - 1;
        assert_int_equal(zcb_piece_create(pool, rows[i].length, &config, &piece), -ERANGE);
        config.state = memory + 1;
        config.state_size = size;
        assert_int_equal(zcb_piece_create(pool, rows[i].length, &config, &piece), -EINVAL);
        config.state = NULL;
        assert_int_equal(zcb_piece_create(pool, rows[i].length, &config, &piece), -EINVAL);
        config.state = memory;
        for (int round = 0; round < 3; round++) { // dirty from the round before
            assert_int_equal(zcb_piece_create(pool, rows[i].length, &config, &piece), 0);
            assert_int_equal(zcb_piece_next_missing(piece, 0), 0);
            assert_int_equal(zcb_piece_received(piece), 0);
            for (uint32_t b = 0; b < zcb_piece_blocks(piece); b++) {
                struct iovec place;

                assert_false(zcb_piece_has(piece, b));
                assert_int_equal(zcb_piece_reserve_block(piece, b, 7, &place), 0);
                fill(place.iov_base, b, place.iov_len);
                assert_int_equal(zcb_piece_commit_block(piece, b, 7), 0);
            }
            if (round == 1) {
                zcb_piece_destroy(&piece);
                continue;
            }
            assert_int_equal(zcb_piece_take(&piece, &packet), 0);
            assert_true(is_filled(packet.data, 0, rows[i].length < 10 ? rows[i].length : 1));
            zcb_packet_unref(&packet);
        }
        for (size_t k = 0; k < 64; k++)
            assert_int_equal(memory[size + k], 0xee);
        free(memory);
    }
    assert_int_equal(zcb_piece_state_size(0, 0), 0);
    assert_int_equal(zcb_piece_state_size(SIZE_MAX, 1), 0);
    must_end(&pool);
}

static void
more_than_two_to_the_31_blocks_are_refused_before_any_memory_is_taken(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_piece_config config = {.block_size = 1};
    struct zcb_piece *piece = NULL;
    static const struct {
        uint64_t length, block_size;
    } lengths[] = {
        {(UINT64_C(1) << 31) + 1, 1},
        {UINT64_C(1) << 32, 1},
        {(UINT64_C(1) << 45) + 1, 0},
        {UINT64_C(1) << 63, 0},
        {(UINT64_C(1) << 63) - 1, 2},
        {UINT64_MAX, 0},
        {UINT64_MAX, 1},
        {UINT64_MAX, UINT64_C(1) << 32},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        if (lengths[i].length > SIZE_MAX || lengths[i].block_size > SIZE_MAX)
            continue;
        config.block_size = (size_t)lengths[i].block_size;
        assert_int_equal(zcb_piece_create(pool, (size_t)lengths[i].length, &config, &piece),
                         -EOVERFLOW);
    }
    // Few blocks, and more than there is: what the pool says.
    config.block_size = SIZE_MAX;
    assert_true(zcb_piece_create(pool, SIZE_MAX, &config, &piece) < 0);
    assert_true(zcb_piece_create(pool, SIZE_MAX / 2, &config, &piece) < 0);
    assert_null(piece);
    must_end(&pool);
}

static void
destroy_of_nothing_is_fine(void **state)
{
    struct zcb_piece *piece = NULL;

    (void)state;
    zcb_piece_destroy(NULL);
    zcb_piece_destroy(&piece);
}

static void
blocks_begin_behind_the_headroom_of_the_buf(void **state)
{
    struct arena arena;
    struct zcb_piece_config config = {.block_size = 10, .buf = arena_buf(&arena, 100)};
    struct zcb_packet whole = {0};
    struct zcb_piece *piece = NULL;

    (void)state;
    assert_int_equal(zcb_buf_set_headroom(config.buf, 20), 0);
    assert_int_equal(zcb_piece_create(NULL, 25, &config, &piece), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(write_block(piece, i, 1), 0);
    assert_true(all_bytes_are(arena.memory, 20, EMPTY_BYTE));
    assert_true(is_filled(arena.memory + 20, 0, 10));
    assert_true(is_filled(arena.memory + 30, 1, 10));
    assert_true(is_filled(arena.memory + 40, 2, 5));
    assert_true(all_bytes_are(arena.memory + 45, 55, EMPTY_BYTE));
    assert_int_equal(zcb_piece_take(&piece, &whole), 0);
    assert_ptr_equal(whole.data, arena.memory + 20);
    assert_int_equal(whole.len, 25);
    zcb_packet_unref(&whole);
    arena_end(&arena);
}

// ---- bad input ----------------------------------------------------------------------------------

// A piece of 25 bytes in blocks of 10: block 1 has been received from 5, block 2 (5 bytes) is
// reserved by 6.
static struct zcb_piece *
half_done(struct arena *arena)
{
    struct zcb_piece *piece = arena_piece(arena, 25, 10);
    struct iovec place;

    assert_int_equal(write_block(piece, 1, 5), 0);
    assert_int_equal(zcb_piece_reserve_block(piece, 2, 6, &place), 0);
    return piece;
}

static const struct bad_write {
    const char *what;
    uint32_t block;
    size_t len;
    uint32_t from;
    int expected;
} bad_writes[] = {
    {"block at the count", 3, 10, 1, -ERANGE},
    {"nothing at the count", 3, 0, 1, -ERANGE},
    {"far block", UINT32_MAX, 10, 1, -ERANGE},
    {"block times size wraps 32 bits", 0x1999999a, 10, 1, -ERANGE},
    {"no bytes", 0, 0, 1, -EINVAL},
    {"one byte", 0, 1, 1, -EINVAL},
    {"one short", 0, 9, 1, -EINVAL},
    {"one long", 0, 11, 1, -EINVAL},
    {"two blocks' worth", 0, 20, 1, -EINVAL},
    {"the whole piece", 0, 25, 1, -EINVAL},
    {"length that wraps", 0, SIZE_MAX, 1, -EINVAL},
    {"length with the sign bit", 0, SIZE_MAX / 2 + 1, 1, -EINVAL},
    {"last block at full size", 2, 10, 6, -EINVAL},
    {"last block one short", 2, 4, 6, -EINVAL},
    {"last block one long", 2, 6, 6, -EINVAL},
    {"duplicate", 1, 10, 1, -EALREADY},
    {"duplicate from the same peer", 1, 10, 5, -EALREADY},
    {"duplicate with a wrong length", 1, 9, 5, -EINVAL},
    {"reserved by another", 2, 5, 1, -EBUSY},
    {"reserved, and nobody's bytes", 2, 5, NOBODY, -EBUSY},
};

static void
check_half_done(const struct zcb_piece *piece, const struct arena *arena, const uint8_t *before)
{
    assert_memory_equal(arena->region, before, 25 + 2 * GUARD);
    assert_int_equal(zcb_piece_received(piece), 10);
    assert_int_equal(zcb_piece_frontier(piece), 0);
    assert_int_equal(zcb_piece_next_missing(piece, 0), 0);
    assert_int_equal(zcb_piece_next_missing(piece, 1), 3);
    assert_int_equal(zcb_piece_from(piece, 0), NOBODY);
    assert_int_equal(zcb_piece_from(piece, 1), 5);
    assert_int_equal(zcb_piece_from(piece, 2), 6);
    assert_false(zcb_piece_has(piece, 0));
    assert_true(zcb_piece_has(piece, 1));
    assert_false(zcb_piece_has(piece, 2));
}

static void
a_write_that_is_refused_changes_nothing(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = half_done(&arena);
    uint8_t before[25 + 2 * GUARD], data[64];
    struct zcb_packet bytes = zcb_packet_static(data, sizeof(data));
    struct zcb_copies copies_before, copies_after;
    struct zcb_chain chain;

    (void)state;
    memset(data, 0xee, sizeof(data));
    memcpy(before, arena.region, sizeof(before));
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    assert_int_equal(zcb_chain_push(&chain, &bytes), 0);
    zcb_copies_thread(&copies_before);
    for (size_t i = 0; i < sizeof(bad_writes) / sizeof(bad_writes[0]); i++) {
        const struct bad_write *bad = &bad_writes[i];
        int by_write = zcb_piece_write(piece, bad->block, data, bad->len, bad->from);
        int by_chain = zcb_piece_write_chain(piece, bad->block, &chain, 0, bad->len, bad->from);

        if (by_write != bad->expected || by_chain != bad->expected)
            print_error("%s: %d and %d, not %d\n", bad->what, by_write, by_chain, bad->expected);
        assert_int_equal(by_write, bad->expected);
        assert_int_equal(by_chain, bad->expected);
        check_half_done(piece, &arena, before);
    }
    assert_int_equal(zcb_piece_write(piece, 0, NULL, 10, 1), -EINVAL);
    assert_int_equal(zcb_piece_write_chain(piece, 0, NULL, 0, 10, 1), -EINVAL);
    // Fewer bytes in the chain than a block, at any offset.
    assert_int_equal(zcb_piece_write_chain(piece, 0, &chain, 55, 10, 1), -EAGAIN);
    assert_int_equal(zcb_piece_write_chain(piece, 0, &chain, 64, 10, 1), -EAGAIN);
    assert_int_equal(zcb_piece_write_chain(piece, 0, &chain, 65, 10, 1), -EAGAIN);
    assert_int_equal(zcb_piece_write_chain(piece, 0, &chain, SIZE_MAX, 10, 1), -EAGAIN);
    assert_int_equal(zcb_piece_write_chain(piece, 0, &chain, SIZE_MAX - 4, 10, 1), -EAGAIN);
    check_half_done(piece, &arena, before);
    assert_int_equal(zcb_chain_len(&chain), 64);
    zcb_copies_thread(&copies_after);
    assert_memory_equal(&copies_before, &copies_after, sizeof(copies_before));

    // Still usable.
    assert_int_equal(zcb_piece_write_chain(piece, 0, &chain, 54, 10, 1), 0);
    assert_true(all_bytes_are(arena.memory, 10, 0xee));
    assert_int_equal(zcb_piece_frontier(piece), 20);
    zcb_chain_finish(&chain);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
two_blocks_of_one_byte_do_not_complete_a_piece_of_32_kib(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 32768, 0);

    (void)state;
    assert_int_equal(zcb_piece_write(piece, 0, "x", 1, 1), -EINVAL);
    assert_int_equal(zcb_piece_write(piece, 1, "y", 1, 1), -EINVAL);
    assert_false(zcb_piece_is_complete(piece));
    assert_int_equal(zcb_piece_received(piece), 0);
    assert_true(all_bytes_are(arena.memory, 32768, EMPTY_BYTE));
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
a_block_that_is_too_long_does_not_reach_its_neighbour(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 32768, 0);
    uint8_t *data = malloc(32768);

    (void)state;
    assert_non_null(data);
    memset(data, 0xee, 32768);
    assert_int_equal(write_block(piece, 1, 1), 0);
    assert_int_equal(zcb_piece_write(piece, 0, data, 16385, 2), -EINVAL);
    assert_int_equal(zcb_piece_write(piece, 0, data, 32768, 2), -EINVAL);
    assert_true(all_bytes_are(arena.memory, 16384, EMPTY_BYTE));
    assert_true(is_filled(arena.memory + 16384, 1, 16384));
    assert_int_equal(zcb_piece_write(piece, 0, data, 16384, 2), 0);
    assert_true(is_filled(arena.memory + 16384, 1, 16384));
    free(data);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
the_first_valid_block_wins(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 20, 10);
    uint8_t other[10];

    (void)state;
    memset(other, 0xee, sizeof(other));
    assert_int_equal(write_block(piece, 0, 1), 0);
    assert_int_equal(zcb_piece_write(piece, 0, other, 10, 2), -EALREADY);
    assert_true(is_filled(arena.memory, 0, 10));
    assert_int_equal(zcb_piece_from(piece, 0), 1);
    // After completion too.
    assert_int_equal(write_block(piece, 1, 1), 0);
    assert_int_equal(zcb_piece_write(piece, 0, other, 10, 2), -EALREADY);
    assert_int_equal(zcb_piece_write(piece, 1, other, 10, 2), -EALREADY);
    assert_int_equal(zcb_piece_write(piece, 2, other, 10, 2), -ERANGE);
    assert_int_equal(zcb_piece_received(piece), 20);
    assert_true(is_filled(arena.memory, 0, 10));
    assert_true(is_filled(arena.memory + 10, 1, 10));
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

static void
a_block_may_come_from_nobody_in_particular(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 20, 10);

    (void)state;
    assert_int_equal(write_block(piece, 0, NOBODY), 0);
    assert_true(zcb_piece_has(piece, 0));
    assert_int_equal(zcb_piece_from(piece, 0), NOBODY);
    assert_int_equal(write_block(piece, 0, 3), -EALREADY);
    assert_int_equal(write_block(piece, 1, 0), 0);
    assert_int_equal(zcb_piece_from(piece, 1), 0);
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

// ---- from the receive buffer --------------------------------------------------------------------

static void
a_block_is_written_from_a_chain_at_any_offset_and_across_any_chunks(void **state)
{
    static const size_t chunk_sizes[] = {1, 3, 7, 64, 99, 100, 1448};
    uint8_t stream[2000];

    (void)state;
    for (size_t i = 0; i < sizeof(stream); i++)
        stream[i] = (uint8_t)(i * 7 + (i >> 8));
    for (size_t c = 0; c < sizeof(chunk_sizes) / sizeof(chunk_sizes[0]); c++) {
        static const size_t offsets[] = {0, 1, 13, 63, 64, 65, 512, 1899, 1900};
        struct zcb_chain chain;

        assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
        for (size_t at = 0; at < sizeof(stream); at += chunk_sizes[c]) {
            size_t len =
                sizeof(stream) - at < chunk_sizes[c] ? sizeof(stream) - at : chunk_sizes[c];
            struct zcb_packet packet;

            // A header for each, so that views are not merged.
            assert_int_equal(zcb_packet_wrap(stream + at, len, NULL, NULL, &packet), 0);
            assert_int_equal(zcb_chain_push(&chain, &packet), 0);
        }
        for (size_t o = 0; o < sizeof(offsets) / sizeof(offsets[0]); o++) {
            struct zcb_copies before, after;
            struct arena arena;
            struct zcb_piece *piece = arena_piece(&arena, 300, 100);

            zcb_copies_thread(&before);
            assert_int_equal(zcb_piece_write_chain(piece, 1, &chain, offsets[o], 100, 9), 0);
            zcb_copies_thread(&after);
            assert_true(all_bytes_are(arena.memory, 100, EMPTY_BYTE));
            assert_memory_equal(arena.memory + 100, stream + offsets[o], 100);
            assert_true(all_bytes_are(arena.memory + 200, 100, EMPTY_BYTE));
            assert_int_equal(zcb_piece_from(piece, 1), 9);
            assert_int_equal(zcb_chain_len(&chain), sizeof(stream));

            // Moved once, under one reason, and nothing else.
            before.bytes[ZCB_COPY_PIECE] += 100;
            before.calls[ZCB_COPY_PIECE] += 1;
            assert_memory_equal(&before, &after, sizeof(before));
            zcb_piece_destroy(&piece);
            arena_end(&arena);
        }
        zcb_chain_finish(&chain);
    }
}

static void
a_write_counts_each_byte_once(void **state)
{
    struct arena arena;
    struct zcb_piece *piece = arena_piece(&arena, 25, 10);
    struct zcb_copies before, after;

    (void)state;
    zcb_copies_thread(&before);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(write_block(piece, i, 1), 0);
    zcb_copies_thread(&after);
    before.bytes[ZCB_COPY_PIECE] += 25;
    before.calls[ZCB_COPY_PIECE] += 3;
    assert_memory_equal(&before, &after, sizeof(before));
    zcb_piece_destroy(&piece);
    arena_end(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_is_cut_into_blocks_with_a_short_last_one),
        cmocka_unit_test(a_new_piece_is_empty),
        cmocka_unit_test(pieces_of_every_geometry_are_completed_in_any_order),
        cmocka_unit_test(create_refuses_what_cannot_be_and_the_buf_stays_with_the_caller),
        cmocka_unit_test(a_piece_keeps_its_books_in_memory_that_it_is_given),
        cmocka_unit_test(more_than_two_to_the_31_blocks_are_refused_before_any_memory_is_taken),
        cmocka_unit_test(destroy_of_nothing_is_fine),
        cmocka_unit_test(blocks_begin_behind_the_headroom_of_the_buf),
        cmocka_unit_test(a_write_that_is_refused_changes_nothing),
        cmocka_unit_test(two_blocks_of_one_byte_do_not_complete_a_piece_of_32_kib),
        cmocka_unit_test(a_block_that_is_too_long_does_not_reach_its_neighbour),
        cmocka_unit_test(the_first_valid_block_wins),
        cmocka_unit_test(a_block_may_come_from_nobody_in_particular),
        cmocka_unit_test(a_block_is_written_from_a_chain_at_any_offset_and_across_any_chunks),
        cmocka_unit_test(a_write_counts_each_byte_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
