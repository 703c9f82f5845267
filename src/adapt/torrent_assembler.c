// SPDX-License-Identifier: MIT
//
// Pieces under way. All tables are made at create:
//
//     taken   1 1 1 1 0 1 1 0 0 0 ...    a bit for each piece: had, or under way
//     table   piece index -> slot        open addressing, at most half full
//     slots   [piece, blocks, state] ... as many as cap and budget allow; those with missing
//             blocks are in a list, the next to be asked for first
//
// Opening a piece takes a slot from the free list and a buffer from the pool.
#include "torrent.h"

static uint32_t
table_at(const struct zcb_torrent_assembler *a, uint32_t piece)
{
    return (uint32_t)((piece * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & a->table_mask;
}

struct torrent_slot *
torrent_slot_find(const struct zcb_torrent_assembler *a, uint32_t piece)
{
    for (uint32_t at = table_at(a, piece); a->table[at] != ZCB_TORRENT_NONE;
         at = (at + 1) & a->table_mask)
        if (a->slots[a->table[at]].index == piece)
            return &a->slots[a->table[at]];
    return NULL;
}

static void
table_add(struct zcb_torrent_assembler *a, uint32_t piece, uint32_t slot)
{
    uint32_t at = table_at(a, piece);

    while (a->table[at] != ZCB_TORRENT_NONE)
        at = (at + 1) & a->table_mask;
    a->table[at] = slot;
}

// Moves what follows back, so that no probe ends at the hole too early (Knuth 6.4, algorithm R).
static void
table_remove(struct zcb_torrent_assembler *a, uint32_t piece)
{
    uint32_t hole = table_at(a, piece), at;

    while (a->slots[a->table[hole]].index != piece)
        hole = (hole + 1) & a->table_mask;
    for (at = (hole + 1) & a->table_mask; a->table[at] != ZCB_TORRENT_NONE;
         at = (at + 1) & a->table_mask) {
        uint32_t home = table_at(a, a->slots[a->table[at]].index);

        if (((at - home) & a->table_mask) >= ((at - hole) & a->table_mask)) {
            a->table[hole] = a->table[at];
            hole = at;
        }
    }
    a->table[hole] = ZCB_TORRENT_NONE;
}

void
torrent_open_link(struct zcb_torrent_assembler *a, struct torrent_slot *slot, bool first)
{
    uint32_t self = (uint32_t)(slot - a->slots);

    slot->prev = first ? ZCB_TORRENT_NONE : a->open_last;
    slot->next = first ? a->open_first : ZCB_TORRENT_NONE;
    if (slot->prev != ZCB_TORRENT_NONE)
        a->slots[slot->prev].next = self;
    else
        a->open_first = self;
    if (slot->next != ZCB_TORRENT_NONE)
        a->slots[slot->next].prev = self;
    else
        a->open_last = self;
}

void
torrent_open_unlink(struct zcb_torrent_assembler *a, struct torrent_slot *slot)
{
    if (slot->prev != ZCB_TORRENT_NONE)
        a->slots[slot->prev].next = slot->next;
    else
        a->open_first = slot->next;
    if (slot->next != ZCB_TORRENT_NONE)
        a->slots[slot->next].prev = slot->prev;
    else
        a->open_last = slot->prev;
}

static int
get_buffer(struct zcb_torrent_assembler *a, uint32_t piece, size_t len, struct zcb_buf **out)
{
    if (a->config.buffer != NULL)
        return a->config.buffer(a->config.ctx, piece, len, out);
    if (a->pool != NULL && len == a->geometry.piece_length)
        return zcb_pool_acquire(a->pool, len, out);
    if (a->config.last_pool != NULL)
        return zcb_pool_acquire(a->config.last_pool, len, out);
    return zcb_buf_alloc(NULL, len, out);
}

void
torrent_slot_start(const struct zcb_torrent_assembler *a, struct torrent_slot *slot)
{
    slot->missing = zcb_piece_blocks(slot->piece);
    slot->reserved = 0;
    slot->hashed = 0;
    slot->pending = false;
    slot->last_ms = a->now_ms;
    memset(slot->blocks, 0, slot->missing * sizeof(*slot->blocks));
    if (slot->hash_state != NULL)
        memset(slot->hash_state, 0, a->config.hash_state_size);
}

struct torrent_slot *
torrent_slot_open(struct zcb_torrent_assembler *a, uint32_t piece)
{
    struct zcb_piece_config config = {
        .block_size = a->geometry.block_length,
        .state_size = a->piece_state_size,
    };
    size_t len = zcb_torrent_piece_length(&a->geometry, piece);
    struct torrent_slot *slot;
    struct zcb_piece *made;
    uint32_t self = a->free_slot;
    uint8_t *base;

    if (self == ZCB_TORRENT_NONE || len > a->config.max_bytes - a->stats.active_bytes ||
        get_buffer(a, piece, len, &config.buf) < 0) {
        a->stats.opens_refused++;
        return NULL;
    }
    slot = &a->slots[self];
    config.state = slot->piece_state;
    base = zcb_buf_data(config.buf);
    if (zcb_piece_create(NULL, len, &config, &made) < 0) {
        zcb_buf_release(&config.buf);
        a->stats.opens_refused++;
        return NULL;
    }
    a->free_slot = slot->next;
    slot->piece = made;
    slot->base = base;
    slot->index = piece;
    torrent_slot_start(a, slot);
    torrent_open_link(a, slot, false);
    table_add(a, piece, self);
    torrent_bit_set(a->taken, piece);
    a->stats.opened++;
    a->stats.active++;
    a->stats.active_bytes += len;
    if (a->stats.peak_bytes < a->stats.active_bytes)
        a->stats.peak_bytes = a->stats.active_bytes;
    return slot;
}

// The piece itself may have been taken. What is reserved is not any more.
void
torrent_slot_close(struct zcb_torrent_assembler *a, struct torrent_slot *slot)
{
    if (slot->missing != 0)
        torrent_open_unlink(a, slot);
    if (slot->reserved != 0) {
        a->revoked++;
        // Whoever has a ticket finds by the record that it has ended.
        memset(slot->blocks, 0, zcb_piece_blocks(slot->piece) * sizeof(*slot->blocks));
    }
    a->stats.reserved -= slot->reserved;
    a->stats.active--;
    a->stats.active_bytes -= zcb_torrent_piece_length(&a->geometry, slot->index);
    table_remove(a, slot->index);
    zcb_piece_destroy(&slot->piece);
    if (!zcb_torrent_bit(a->have, slot->index)) {
        torrent_bit_clear(a->taken, slot->index);
        if (a->first_gap > slot->index / 64)
            a->first_gap = slot->index / 64;
    }
    slot->next = a->free_slot;
    a->free_slot = (uint32_t)(slot - a->slots);
}

int
zcb_torrent_assembler_close(struct zcb_torrent_assembler *a, uint32_t piece)
{
    struct torrent_slot *slot = torrent_slot_find(a, piece);

    if (slot == NULL)
        return -ERANGE;
    for (uint32_t i = 0; slot->reserved != 0 && i < zcb_piece_blocks(slot->piece); i++)
        if (slot->blocks[i].pinned)
            return -EBUSY;
    a->stats.lost_bytes += zcb_piece_received(slot->piece);
    torrent_slot_close(a, slot);
    return 0;
}

static int
check_config(const struct zcb_torrent_geometry *g, struct zcb_torrent_assembler_config *c)
{
    uint64_t piece = g->piece_count > 1 ? g->piece_length : g->last_piece_length;

    for (size_t i = 0; i < sizeof(c->reserved) / sizeof(c->reserved[0]); i++)
        if (c->reserved[i] != NULL)
            return -EINVAL;
    if (c->reserved32 != 0 || (c->flags & ~(uint32_t)ZCB_TORRENT_NO_PREEMPT) != 0)
        return -EINVAL;
    if (c->max_bytes == 0)
        c->max_bytes = 4 * piece > (UINT64_C(256) << 20) ? 4 * piece : UINT64_C(256) << 20;
    if (c->max_bytes < piece)
        return -EINVAL;
    if (c->max_active == 0)
        c->max_active = 1024;
    if (c->request_timeout_ms == 0)
        c->request_timeout_ms = 60000;
    if (c->stale_ms == 0)
        c->stale_ms = 300000;
    if (c->preempt_ms == 0)
        c->preempt_ms = 2000;
    return 0;
}

static int
make_pool(struct zcb_torrent_assembler *a)
{
    struct zcb_pool_config config = {
        .name = "pieces",
        .policy = ZCB_POOL_FAIL,
        .flags = a->config.pool_flags,
    };
    uint64_t buffers;

    // Pools want multiples of 64; a piece length that is one, as all in practice, is the tier
    // exactly.
    config.tiers[0].buffer_size = ((size_t)a->geometry.piece_length + 63) / 64 * 64;
    buffers = a->config.max_bytes / config.tiers[0].buffer_size;
    config.tiers[0].max_buffers = buffers == 0         ? 1
                                  : buffers > SIZE_MAX ? SIZE_MAX
                                                       : (size_t)buffers;
    return zcb_pool_create(&config, &a->pool);
}

static int
make_tables(struct zcb_torrent_assembler *a)
{
    const struct zcb_torrent_geometry *g = &a->geometry;
    bool many = g->piece_count > 1;
    size_t blocks = many ? g->piece_blocks : g->last_piece_blocks, size = 1;
    size_t length = many ? g->piece_length : g->last_piece_length;
    uint64_t fit = a->config.max_bytes / length;
    size_t piece = zcb_piece_state_size(length, g->block_length), state;

    // What a slot has of its own: a piece's bookkeeping and a hash's state, each on its own lines.
    if (piece == 0 || piece > SIZE_MAX / 2 || a->config.hash_state_size > SIZE_MAX / 2 - 128)
        return -ENOMEM;
    piece = (piece + 63) / 64 * 64;
    state = piece + (a->config.hash_state_size + 63) / 64 * 64;
    a->slot_count = a->config.max_active < g->piece_count ? a->config.max_active : g->piece_count;
    if (fit + 1 < a->slot_count) // the short last piece may fit beside
        a->slot_count = (uint32_t)fit + 1;
    while (size < 2 * (size_t)a->slot_count)
        size *= 2;
    a->table_mask = (uint32_t)(size - 1);
    a->bits_size = zcb_torrent_bitfield_size(g);
    if (a->slot_count > SIZE_MAX / sizeof(*a->blocks) / blocks || a->slot_count > SIZE_MAX / state)
        return -ENOMEM;
    a->slots = calloc(a->slot_count, sizeof(*a->slots));
    a->blocks = calloc(a->slot_count * blocks, sizeof(*a->blocks));
    a->table = malloc(size * sizeof(*a->table));
    a->have = calloc(2, a->bits_size);
    a->states = aligned_alloc(64, state * a->slot_count);
    if (a->slots == NULL || a->blocks == NULL || a->table == NULL || a->have == NULL ||
        a->states == NULL)
        return -ENOMEM;
    a->piece_state_size = piece;
    a->taken = a->have + a->bits_size;
    memset(a->table, 0xff, size * sizeof(*a->table));
    for (uint32_t i = 0; i < a->slot_count; i++) {
        struct torrent_slot *slot = &a->slots[i];

        slot->blocks = a->blocks + i * blocks;
        slot->piece_state = a->states + i * state;
        slot->hash_state = a->config.hash_state_size != 0 ? a->states + i * state + piece : NULL;
        slot->next = i + 1 < a->slot_count ? i + 1 : ZCB_TORRENT_NONE;
    }
    return 0;
}

int
zcb_torrent_assembler_create(const struct zcb_torrent_geometry *geometry,
                             const struct zcb_torrent_assembler_config *config,
                             struct zcb_torrent_assembler **out)
{
    struct zcb_torrent_assembler *a;
    int r;

    if (geometry == NULL || out == NULL || geometry->piece_count == 0 ||
        geometry->block_length == 0)
        return -EINVAL;
    a = calloc(1, sizeof(*a));
    if (a == NULL)
        return -ENOMEM;
    a->geometry = *geometry;
    if (config != NULL)
        a->config = *config;
    a->missing = geometry->piece_count;
    a->open_first = a->open_last = ZCB_TORRENT_NONE;
    r = check_config(&a->geometry, &a->config);
    if (r == 0)
        r = make_tables(a);
    if (r == 0 && a->config.buffer == NULL &&
        (geometry->piece_count > 1 || geometry->last_piece_length == geometry->piece_length))
        r = make_pool(a);
    if (r < 0)
        zcb_torrent_assembler_destroy(&a);
    else
        *out = a;
    return r;
}

void
zcb_torrent_assembler_destroy(struct zcb_torrent_assembler **assembler)
{
    struct zcb_torrent_assembler *a = assembler != NULL ? *assembler : NULL;

    if (a == NULL)
        return;
    *assembler = NULL;
    for (uint32_t i = 0; a->slots != NULL && i < a->slot_count; i++)
        zcb_piece_destroy(&a->slots[i].piece);
    free(a->slots);
    free(a->blocks);
    free(a->table);
    free(a->have);
    free(a->states);
    zcb_pool_destroy(&a->pool);
    free(a);
}

const struct zcb_torrent_geometry *
zcb_torrent_assembler_geometry(const struct zcb_torrent_assembler *a)
{
    return &a->geometry;
}

const uint8_t *
zcb_torrent_assembler_bits(const struct zcb_torrent_assembler *a)
{
    return a->have;
}

bool
zcb_torrent_assembler_has(const struct zcb_torrent_assembler *a, uint32_t piece)
{
    return piece < a->geometry.piece_count && zcb_torrent_bit(a->have, piece);
}

uint32_t
zcb_torrent_assembler_missing(const struct zcb_torrent_assembler *a)
{
    return a->missing;
}

int
zcb_torrent_assembler_set(struct zcb_torrent_assembler *a, uint32_t piece, bool have)
{
    if (piece >= a->geometry.piece_count)
        return -ERANGE;
    if (torrent_slot_find(a, piece) != NULL)
        return -EBUSY;
    if (have == zcb_torrent_bit(a->have, piece))
        return 0;
    if (have) {
        torrent_bit_set(a->have, piece);
        torrent_bit_set(a->taken, piece);
        a->missing--;
        return 0;
    }
    torrent_bit_clear(a->have, piece);
    torrent_bit_clear(a->taken, piece);
    a->missing++;
    if (a->first_gap > piece / 64)
        a->first_gap = piece / 64;
    return 0;
}

int
zcb_torrent_assembler_stats(const struct zcb_torrent_assembler *a,
                            struct zcb_torrent_assembler_stats *out, size_t out_size)
{
    if (a == NULL || out == NULL || out_size == 0)
        return -EINVAL;
    memset(out, 0, out_size);
    memcpy(out, &a->stats, out_size < sizeof(a->stats) ? out_size : sizeof(a->stats));
    return 0;
}
