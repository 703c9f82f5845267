// SPDX-License-Identifier: MIT
//
// For tests of pieces: pieces in memory of the test's own with guard bytes around, so that every byte
// a call wrote, or should not have, is seen; and blocks whose bytes are known. Needs testing.h in front
// of it.
#ifndef ZCB_TESTS_PIECE_TOOLS_H
#define ZCB_TESTS_PIECE_TOOLS_H

#include "support/pools.h"

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

static inline void
arena_released(void *ctx, void *data, size_t len)
{
    struct arena *arena = ctx;

    assert_ptr_equal(data, arena->memory);
    assert_int_equal(len, arena->capacity);
    arena->released++;
}

static inline struct zcb_buf *
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

static inline void
arena_check(const struct arena *arena)
{
    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(arena->region[i], GUARD_BYTE);
        assert_int_equal(arena->memory[arena->capacity + i], GUARD_BYTE);
    }
}

static inline void
arena_end(struct arena *arena)
{
    arena_check(arena);
    assert_int_equal(arena->released, 1);
    free(arena->region);
}

static inline struct zcb_piece *
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
static inline uint8_t
byte_of(uint32_t block, size_t i)
{
    return (uint8_t)(block * 37 + i * 11 + (i >> 8) + 1);
}

static inline void
fill(uint8_t *to, uint32_t block, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = byte_of(block, i);
}

static inline bool
is_filled(const uint8_t *at, uint32_t block, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] != byte_of(block, i))
            return false;
    }
    return true;
}

static inline int
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

static inline bool
all_bytes_are(const uint8_t *at, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] != value)
            return false;
    }
    return true;
}

#endif
