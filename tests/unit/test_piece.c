// SPDX-License-Identifier: MIT
//
// Piece assembly. Most pieces lie in memory of the test's own with guard bytes around, so that
// every byte a call wrote, or should not have, is seen.

#include "testing.h"

#include "support/pools.h"

#include "base/block.h"

#define GUARD 256
#define GUARD_BYTE 0xa5
#define EMPTY_BYTE 0x5a
#define NOBODY ZCB_PIECE_NOBODY

struct arena {
    uint8_t *region; // guard, capacity bytes, guard
    uint8_t *memory;
    size_t capacity;
    int released;
};

static void
arena_released(void *ctx, void *data, size_t len)
{
    struct arena *arena = ctx;

    assert_ptr_equal(data, arena->memory);
    assert_int_equal(len, arena->capacity);
    arena->released++;
}

static struct zcb_buf *
arena_buf(struct arena *arena, size_t capacity)
{
    struct zcb_buf *buf = NULL;

    arena->region = malloc(capacity + 2 * GUARD);
    assert_non_null(arena->region);
    memset(arena->region, GUARD_BYTE, capacity + 2 * GUARD);
    arena->memory = arena->region + GUARD;
    memset(arena->memory, EMPTY_BYTE, capacity);
    arena->capacity = capacity;
    arena->released = 0;
    assert_int_equal(zcb_buf_wrap(arena->memory, 0, capacity, arena_released, arena, &buf), 0);
    return buf;
}

static void
arena_check(const struct arena *arena)
{
    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(arena->region[i], GUARD_BYTE);
        assert_int_equal(arena->memory[arena->capacity + i], GUARD_BYTE);
    }
}

static void
arena_end(struct arena *arena)
{
    arena_check(arena);
    assert_int_equal(arena->released, 1);
    free(arena->region);
}

static struct zcb_piece *
arena_piece(struct arena *arena, size_t length, size_t block_size)
{
    struct zcb_piece_config config = {.block_size = block_size};
    struct zcb_piece *piece = NULL;

    config.buf = arena_buf(arena, length);
    assert_int_equal(zcb_piece_create(NULL, length, &config, &piece), 0);
    assert_non_null(piece);
    return piece;
}

// What block `block` holds in these tests: its bytes differ from its neighbours' and along the
// block.
static uint8_t
byte_of(uint32_t block, size_t i)
{
    return (uint8_t)(block * 37 + i * 11 + (i >> 8) + 1);
}

static void
fill(uint8_t *to, uint32_t block, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = byte_of(block, i);
}

static bool
is_filled(const uint8_t *at, uint32_t block, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] != byte_of(block, i))
            return false;
    }
    return true;
}

static int
write_block(struct zcb_piece *piece, uint32_t block, uint32_t from)
{
    size_t len = zcb_piece_block_length(piece, block);
    uint8_t *data = malloc(len + 1);
    int result;

    assert_non_null(data);
    fill(data, block, len);
    result = zcb_piece_write(piece, block, data, len, from);
    free(data);
    return result;
}

static bool
all_bytes_are(const uint8_t *at, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] != value)
            return false;
    }
    return true;
}

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
        cmocka_unit_test(a_length_is_cut_into_blocks_with_a_short_last_one),
        cmocka_unit_test(a_new_piece_is_empty),
        cmocka_unit_test(pieces_of_every_geometry_are_completed_in_any_order),
        cmocka_unit_test(create_refuses_what_cannot_be_and_the_buf_stays_with_the_caller),
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
