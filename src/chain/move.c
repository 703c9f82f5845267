// SPDX-License-Identifier: MIT
//
// Chunks from one chain to another, by reference: split and move.

#include "chain/chain.h"

// Bytes at `data`, with `refs` references to their block, at the back. The ring has room.
static void
hand_over(struct zcb_chain_state *to, const uint8_t *data, size_t len, struct zcb_block *owner,
          uint32_t refs)
{
    if (zcb_chain_continues(to, data, owner)) {
        zcb_chain_extend(to, len);
        zcb_chain_keep_extra(to, owner, refs);
    } else {
        zcb_chain_settle(to);
        zcb_chain_add(to, data, len, owner, zcb_chain_run(to, owner, zcb_entry_last(to)));
        zcb_chain_keep_extra(to, owner, refs - 1);
    }
}

// Whether the first `moved` chunks of `from` fit the limits of `to`, and its ring. Changes nothing
// that can be seen.
static int
make_place(const struct zcb_chain_state *from, uint32_t moved, struct zcb_chain_state *to)
{
    const struct zcb_block *owner = to->count != 0 ? zcb_entry_last(to)->owner : NULL;
    bool merges = zcb_chain_continues(to, from->cur, from->ring[from->head].owner);
    size_t runs = to->runs;

    for (uint32_t i = 0; i < moved; i++) {
        const struct zcb_block *next = zcb_entry(from, i)->owner;

        if (next != owner) {
            if (zcb_block_bytes(next) > to->max_pinned - runs)
                return -ENOBUFS;
            runs += zcb_block_bytes(next);
        }
        owner = next;
    }
    if (moved - merges > to->max_chunks - to->count || !zcb_chain_may_pin(to, runs, owner))
        return -ENOBUFS;
    return zcb_ring_room(to, moved - merges);
}

int
zcb_chain_split(struct zcb_chain *chain, size_t len, struct zcb_chain *front)
{
    struct zcb_chain_state *from = zcb_chain_state(chain), *to = zcb_chain_state(front);
    uint32_t whole;
    size_t start;
    int result;

    if (chain == NULL || front == NULL || chain == front)
        return -EINVAL;
    if (len > from->len)
        return -EAGAIN;
    if (len > to->max_bytes - to->len)
        return -ENOBUFS;
    if (len != 0) {
        start = len;
        whole = len != from->len ? zcb_chain_locate(from, len, &start) : from->count;
        result = make_place(from, whole + (start != len), to);
        if (result < 0)
            return result;
        len -= start;
        while (whole-- != 0) {
            const uint8_t *data = from->cur;
            size_t here = (size_t)(from->end - data);
            struct zcb_block *owner;
            uint32_t refs = zcb_chain_pop(from, &owner);

            if (refs == 0) { // the writer keeps the one there was
                zcb_block_ref(owner);
                refs = 1;
            }
            hand_over(to, data, here, owner, refs);
        }
        if (len != 0) {
            zcb_chain_ref_first(from);
            hand_over(to, from->cur, len, from->ring[from->head].owner, 1);
            from->cur += len;
            from->len -= len;
        }
    }
    to->reserved = 0;
    return 0;
}

// All chunks of `from` become those of `to`, which has none. The rings change places, unless the
// entries are in the struct: these are copied.
static void
exchange(struct zcb_chain_state *from, struct zcb_chain_state *to)
{
    struct zcb_entry *ring = to->ring;
    uint32_t mask = to->mask;

    zcb_chain_settle(from);
    if (from->ring == from->few) {
        for (uint32_t i = 0; i < from->count; i++)
            ring[i] = *zcb_entry(from, i);
        to->head = 0;
        from->head = 0;
    } else {
        to->ring = from->ring;
        to->mask = from->mask;
        to->head = from->head;
        if (ring == to->few) {
            zcb_ring_reset(from);
        } else {
            from->ring = ring;
            from->mask = mask;
            from->head = 0;
        }
    }
    to->cur = from->cur;
    to->end = from->end;
    to->len = from->len;
    to->back = from->back;
    to->count = from->count;
    to->runs = from->runs;
    from->cur = from->end = zcb_chain_nothing;
    from->len = 0;
    from->count = 0;
    from->runs = 0;
}

int
zcb_chain_move(struct zcb_chain *dst, struct zcb_chain *src)
{
    struct zcb_chain_state *from = zcb_chain_state(src), *to = zcb_chain_state(dst);
    int result;

    if (dst == NULL || src == NULL || dst == src)
        return -EINVAL;
    if (to->count != 0 || from->count == 0) {
        result = zcb_chain_split(src, src->len, dst);
        if (result < 0)
            return result;
    } else {
        if (from->len > to->max_bytes || from->count > to->max_chunks ||
            !zcb_chain_may_pin(to, from->runs, zcb_entry_last(from)->owner))
            return -ENOBUFS;
        exchange(from, to);
    }
    from->reserved = 0;
    to->reserved = 0;
    return 0;
}
