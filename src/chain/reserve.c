// SPDX-License-Identifier: MIT
//
// Memory to write into: the tail block, of which the chain is the writer, and spares that follow
// it.
//
//     tail block   | in the chain, taken, or sliced | room ......... |     spares  | .... | | .... |
//                  ^ room_start                     ^ room           ^ room_end
//
// The chain never writes below `room`: those bytes may be seen by others. It starts again at
// room_start when its own is the only reference left.

#include <string.h>

#include <zcbuf/pool.h>

#include "base/count_copy.h"
#include "chain/chain.h"

static size_t
room_of(const struct zcb_block *block)
{
    return (size_t)(block->base + block->size - block->data);
}

static void
use_as_tail(struct zcb_chain_state *s, struct zcb_block *block)
{
    s->tail = block;
    s->room = s->room_start = block->data;
    s->room_end = block->base + block->size;
}

static void
use_spare_as_tail(struct zcb_chain_state *s)
{
    struct zcb_block *block = s->spare[0];

    s->spares--;
    memmove(s->spare, s->spare + 1, s->spares * sizeof(s->spare[0]));
    s->spare_bytes -= block->size;
    use_as_tail(s, block);
}

// The writer's reference becomes the entry's where that has none.
void
zcb_chain_leave_tail(struct zcb_chain_state *s)
{
    struct zcb_block *tail = s->tail;

    s->tail = NULL;
    s->room = s->room_end = s->room_start = NULL;
    if (s->borrowed)
        s->borrowed = false;
    else
        zcb_block_drop(tail);
}

// `len` bytes at `room` become part of the chain.
static void
publish(struct zcb_chain_state *s, size_t len)
{
    if (zcb_chain_continues(s, s->room, s->tail)) {
        zcb_chain_extend(s, len);
    } else {
        zcb_chain_settle(s);
        zcb_chain_add(s, s->room, len, s->tail, zcb_chain_run(s, s->tail, zcb_entry_last(s)));
        s->borrowed = true;
    }
    s->room += len;
    if (s->room == s->room_end)
        zcb_chain_leave_tail(s);
}

void
zcb_chain_fill(struct zcb_chain_state *s, const uint8_t *data, size_t len)
{
    size_t left = len;

    while (left != 0) {
        size_t room, part;

        if (s->tail == NULL)
            use_spare_as_tail(s);
        room = (size_t)(s->room_end - s->room);
        part = left < room ? left : room;
        if (data != NULL) {
            memcpy(s->room, data, part);
            data += part;
        }
        publish(s, part);
        left -= part;
    }
    if (data != NULL)
        zcb_count_copy(ZCB_COPY_APPEND, len);
}

// What make_room is about to do; until it has all, nothing of the chain is changed.
struct plan {
    struct zcb_block *fresh[ZCB_CHAIN_SPARES + 1];
    uint32_t fresh_count;
    uint32_t spares; // how many of those that are there will be used
    size_t room;     // bytes so far
    size_t held;     // bytes of memory kept alive, with the fresh ones
    int blocks;
};

static int
acquire(struct zcb_chain_state *s, struct plan *plan, size_t len, bool needed)
{
    struct zcb_buf *buf;
    int result;

    if (plan->held > s->max_pinned || len > s->max_pinned - plan->held)
        return -ENOBUFS;
    result = zcb_pool_acquire_flags(s->pool, len, needed ? 0 : ZCB_ACQUIRE_NOWAIT, &buf);
    if (result < 0)
        return result;
    if (buf->block.size > s->max_pinned - plan->held) { // the tier that fits is larger
        zcb_block_drop(&buf->block);
        return -ENOBUFS;
    }
    plan->held += buf->block.size;
    plan->room += room_of(&buf->block);
    plan->fresh[plan->fresh_count++] = &buf->block;
    return 0;
}

// Adds blocks to the plan until there is room for `target` bytes, or for `min` where no more is to
// be had easily.
static int
find_blocks(struct zcb_chain_state *s, struct plan *plan, size_t min, size_t target, int n,
            size_t chunks)
{
    int result;

    while (plan->room < target) {
        size_t missing = plan->room < min ? min - plan->room : 0;
        size_t need = 1;

        if (plan->blocks == n || chunks == 0)
            return missing != 0 ? -ENOBUFS : 0;
        // The last one has to hold all that is missing.
        if ((plan->blocks + 1 == n || chunks == 1) && missing != 0)
            need = missing;
        if (plan->fresh_count == 0 && plan->spares < s->spares &&
            room_of(s->spare[plan->spares]) >= need) {
            plan->room += room_of(s->spare[plan->spares++]);
        } else {
            result = acquire(s, plan, need > s->chunk_size ? need : s->chunk_size, missing != 0);
            if (result < 0)
                return missing != 0 ? result : 0;
        }
        plan->blocks++;
        chunks--;
    }
    return 0;
}

// The fresh blocks go behind the spares that the plan uses. Those it does not use stay behind them
// as far as there are places.
static void
keep_blocks(struct zcb_chain_state *s, const struct plan *plan)
{
    struct zcb_block *all[2 * ZCB_CHAIN_SPARES + 1];
    uint32_t used = plan->spares + plan->fresh_count, count = s->spares + plan->fresh_count, i = 0;

    memcpy(all, s->spare, plan->spares * sizeof(all[0]));
    memcpy(all + plan->spares, plan->fresh, plan->fresh_count * sizeof(all[0]));
    memcpy(all + used, s->spare + plan->spares, (s->spares - plan->spares) * sizeof(all[0]));
    if (s->tail == NULL && count != 0) {
        use_as_tail(s, all[0]);
        i = 1;
    }
    s->spares = 0;
    s->spare_bytes = 0;
    for (; i < count; i++) {
        if (s->spares == ZCB_CHAIN_SPARES) {
            zcb_block_drop(all[i]);
            continue;
        }
        s->spare_bytes += all[i]->size;
        s->spare[s->spares++] = all[i];
    }
}

// Whether nobody can see the bytes of the tail block any more.
static bool
can_rewind(const struct zcb_chain_state *s)
{
    return s->room != s->room_start && !s->borrowed && zcb_block_is_sole(s->tail);
}

int
zcb_chain_make_room(struct zcb_chain_state *s, size_t min, size_t target, int n)
{
    const struct zcb_block *last = s->count != 0 ? zcb_entry_last(s)->owner : NULL;
    struct plan plan = {.fresh_count = 0};
    size_t chunks = s->max_chunks - s->count;
    uint8_t *room = s->room;
    bool leave;
    int result;

    if (s->pool == NULL)
        return -EINVAL;
    plan.held = s->runs + zcb_chain_held(s, last);
    if (can_rewind(s))
        room = s->room_start;
    leave = s->tail != NULL && n == 1 && (size_t)(s->room_end - room) < min;
    if (s->tail != NULL && !leave) {
        plan.room = (size_t)(s->room_end - room);
        plan.blocks = 1;
        if (!zcb_chain_continues(s, room, s->tail)) {
            if (chunks == 0)
                return -ENOBUFS;
            chunks--;
        }
    } else if (leave && s->tail != last) {
        plan.held -= s->tail->size;
    }
    result = find_blocks(s, &plan, min, target, n, chunks);
    if (result == 0)
        result = zcb_ring_room(s, (size_t)plan.blocks);
    if (result < 0) {
        while (plan.fresh_count != 0)
            zcb_block_drop(plan.fresh[--plan.fresh_count]);
        return result;
    }
    // From here on nothing fails. Not earlier: where it does, a reservation that there was still
    // counts from the old room.
    s->room = room;
    if (leave)
        zcb_chain_leave_tail(s);
    if (plan.fresh_count != 0 || s->tail == NULL)
        keep_blocks(s, &plan);
    return plan.blocks;
}

// What a receiver meets nearly always: the tail block will do, or it and the first spare, and
// neither the limit on chunks nor the ring's end is near. Returns how many iovecs, or 0.
static int
reserve_at_hand(struct zcb_chain_state *s, size_t min, size_t target, struct iovec *iov, int n)
{
    uint8_t *from = can_rewind(s) ? s->room_start : s->room;
    size_t room = (size_t)(s->room_end - from), more = 0;

    if (s->tail == NULL || s->count + 2 > s->mask || s->max_chunks - s->count < 2)
        return 0;
    if (room >= target) {
        room = target;
    } else if (n > 1) {
        more = target - room;
        if (s->spares == 0 || room_of(s->spare[0]) < more)
            return 0;
        iov[1].iov_base = s->spare[0]->data;
        iov[1].iov_len = more;
    } else if (room < min) {
        return 0;
    }
    iov[0].iov_base = from;
    iov[0].iov_len = room;
    s->room = from;
    s->reserved = room + more;
    return more != 0 ? 2 : 1;
}

int
zcb_chain_reserve(struct zcb_chain *chain, size_t min, struct iovec *iov, int n)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);
    size_t budget, target, left;
    int blocks, used;

    if (chain == NULL || iov == NULL || n < 1 || s->pool == NULL)
        return -EINVAL;
    if (n > ZCB_CHAIN_SPARES + 1)
        n = ZCB_CHAIN_SPARES + 1;
    if (min == 0)
        min = 1;
    budget = s->max_bytes - s->len;
    if (min > budget)
        return -ENOBUFS;
    target = min > s->chunk_size ? min : s->chunk_size;
    if (target > budget)
        target = budget;

    used = reserve_at_hand(s, min, target, iov, n);
    if (ZCB_LIKELY(used != 0))
        return used;
    blocks = zcb_chain_make_room(s, min, target, n);
    if (blocks < 0)
        return blocks;
    left = target;
    for (used = 0; used < blocks && left != 0; used++) {
        const struct zcb_block *block = used == 0 ? s->tail : s->spare[used - 1];
        uint8_t *from = used == 0 ? s->room : block->data;
        size_t room = (size_t)(block->base + block->size - from);

        iov[used].iov_base = from;
        iov[used].iov_len = room < left ? room : left;
        left -= iov[used].iov_len;
    }
    s->reserved = target - left;
    return used;
}

int
zcb_chain_commit(struct zcb_chain *chain, size_t len)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);

    if (chain == NULL)
        return -EINVAL;
    if (len > s->reserved)
        return -ERANGE;
    s->reserved = 0;
    if (len < (size_t)(s->room_end - s->room) && zcb_chain_continues(s, s->room, s->tail)) {
        zcb_chain_extend(s, len);
        s->room += len;
    } else {
        zcb_chain_fill(s, NULL, len);
    }
    return 0;
}
