// SPDX-License-Identifier: MIT
//
// Packets in, by reference.

#include "base/count_copy.h"
#include "chain/chain.h"

static void
took(struct zcb_packet *packet)
{
    *packet = (struct zcb_packet){NULL, 0, NULL};
}

// Room for one more chunk, which adds `run` to `runs` (these are within the limit), with `last` as
// the last chunk's block. 0; -ENOBUFS, -ENOMEM: nothing happened.
static inline int
admit(struct zcb_chain_state *s, size_t run, const struct zcb_block *last)
{
    size_t left = s->max_pinned - s->runs;

    if (ZCB_UNLIKELY(s->count >= s->max_chunks || run > left ||
                     zcb_chain_held(s, last) > left - run))
        return -ENOBUFS;
    return zcb_ring_room(s, 1);
}

// No bytes, or more than fit.
static int
push_unfit(struct zcb_packet *packet)
{
    if (packet->len != 0)
        return -ENOBUFS;
    zcb_packet_unref(packet);
    return 0;
}

static int
push_copied(struct zcb_chain_state *s, struct zcb_packet *packet)
{
    int result = zcb_chain_make_room(s, packet->len, packet->len, ZCB_CHAIN_SPARES + 1);

    if (result < 0)
        return result;
    zcb_chain_fill(s, packet->data, packet->len);
    zcb_packet_unref(packet);
    s->reserved = 0;
    return 0;
}

// A packet that is no continuation of the last chunk.
static int
push_apart(struct zcb_chain_state *s, struct zcb_packet *packet)
{
    struct zcb_block *owner = packet->owner;
    size_t run;
    int result;

    if (ZCB_UNLIKELY(packet->len < s->copy_below))
        return push_copied(s, packet);
    run = zcb_chain_run(s, owner, zcb_entry_last(s));
    result = admit(s, run, owner);
    if (ZCB_UNLIKELY(result < 0))
        return result;
    zcb_chain_settle(s);
    zcb_chain_add(s, packet->data, packet->len, owner, run);
    s->reserved = 0;
    took(packet);
    return 0;
}

int
zcb_chain_push(struct zcb_chain *chain, struct zcb_packet *packet)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);
    struct zcb_block *owner;

    if (ZCB_UNLIKELY(chain == NULL || packet == NULL))
        return -EINVAL;
    if (ZCB_UNLIKELY(packet->len - 1 >= s->max_bytes - s->len))
        return push_unfit(packet);
    owner = packet->owner;
    if (!zcb_chain_continues(s, packet->data, owner))
        return push_apart(s, packet);
    zcb_chain_extend(s, packet->len);
    s->reserved = 0;
    took(packet);
    zcb_chain_keep_extra(s, owner, 1);
    return 0;
}

// Puts a view in front of the first chunk that it is not adjacent to; the ring has room.
static void
add_front(struct zcb_chain_state *s, const struct zcb_packet *packet, size_t run)
{
    struct zcb_entry *entry;

    s->head = (s->head - 1) & s->mask;
    entry = &s->ring[s->head];
    entry->stop = packet->data + packet->len;
    entry->owner = packet->owner;
    entry->end = s->back - s->len;
    s->count++;
    s->len += packet->len;
    s->cur = packet->data;
    s->end = entry->stop;
    s->runs += run;
}

int
zcb_chain_push_front(struct zcb_chain *chain, struct zcb_packet *packet)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);
    const struct zcb_entry *first;
    size_t run;
    int result;

    if (chain == NULL || packet == NULL)
        return -EINVAL;
    if (packet->len - 1 >= s->max_bytes - s->len)
        return push_unfit(packet);
    first = zcb_entry(s, 0);
    if (s->count != 0 && first->owner == packet->owner && packet->data + packet->len == s->cur) {
        s->cur = packet->data;
        s->len += packet->len;
        if (s->count == 1)
            zcb_chain_keep_extra(s, packet->owner, 1);
        else
            zcb_block_drop(packet->owner);
    } else {
        run = zcb_chain_run(s, packet->owner, first);
        result = admit(s, run, s->count != 0 ? zcb_entry_last(s)->owner : packet->owner);
        if (result < 0)
            return result;
        if (s->count == 0)
            zcb_chain_add(s, packet->data, packet->len, packet->owner, run);
        else
            add_front(s, packet, run);
    }
    s->reserved = 0;
    took(packet);
    return 0;
}

int
zcb_chain_append(struct zcb_chain *chain, const void *data, size_t len)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);
    int result;

    if (chain == NULL || (data == NULL && len != 0))
        return -EINVAL;
    if (len == 0) {
        s->reserved = 0;
        return 0;
    }
    if (len > s->max_bytes - s->len)
        return -ENOBUFS;
    if (len > (size_t)(s->room_end - s->room) || !zcb_chain_continues(s, s->room, s->tail)) {
        result = zcb_chain_make_room(s, len, len, ZCB_CHAIN_SPARES + 1);
        if (result < 0)
            return result;
    }
    zcb_chain_fill(s, data, len);
    s->reserved = 0;
    return 0;
}
