// SPDX-License-Identifier: MIT
//
// Packets in, by reference.

#include "base/count_copy.h"
#include "chain/chain.h"

static void
took(struct zcb_packet *packet)
{
    packet->data = NULL;
    packet->len = 0;
    packet->owner = NULL;
}

// A packet that is no continuation of the last chunk.
static int
push_apart(struct zcb_chain_state *s, struct zcb_packet *packet)
{
    struct zcb_block *owner = packet->owner;
    size_t runs = s->runs;
    int result;

    if (ZCB_UNLIKELY(packet->len < s->copy_below)) {
        result = zcb_chain_make_room(s, packet->len, packet->len, ZCB_CHAIN_SPARES + 1);
        if (result < 0)
            return result;
        zcb_chain_fill(s, packet->data, packet->len);
        zcb_packet_unref(packet);
        return 0;
    }
    if (s->count == 0 || zcb_entry_last(s)->owner != owner) {
        if (zcb_block_bytes(owner) > SIZE_MAX - runs)
            return -ENOBUFS;
        runs += zcb_block_bytes(owner);
    }
    if (ZCB_UNLIKELY(s->count >= s->max_chunks || !zcb_chain_may_pin(s, runs, owner)))
        return -ENOBUFS;
    result = zcb_ring_room(s, 1);
    if (ZCB_UNLIKELY(result < 0))
        return result;
    zcb_chain_settle(s);
    zcb_chain_add(s, packet->data, packet->len, owner);
    took(packet);
    return 0;
}

int
zcb_chain_push(struct zcb_chain *chain, struct zcb_packet *packet)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);
    int result;

    if (ZCB_UNLIKELY(chain == NULL || packet == NULL))
        return -EINVAL;
    if (ZCB_UNLIKELY(packet->len == 0)) {
        zcb_packet_unref(packet);
        return 0;
    }
    if (ZCB_UNLIKELY(packet->len > s->max_bytes - s->len))
        return -ENOBUFS;
    if (zcb_chain_continues(s, packet->data, packet->owner)) {
        zcb_chain_extend(s, packet->len);
        zcb_chain_keep_extra(s, packet->owner, 1);
        took(packet);
        result = 0;
    } else {
        result = push_apart(s, packet);
    }
    if (ZCB_LIKELY(result == 0))
        s->reserved = 0;
    return result;
}

// Puts a view in front of the first chunk that it is not adjacent to; the ring has room.
static void
add_front(struct zcb_chain_state *s, const struct zcb_packet *packet)
{
    struct zcb_entry *entry;
    bool same = s->ring[s->head].owner == packet->owner;

    s->head = (s->head - 1) & s->mask;
    entry = &s->ring[s->head];
    entry->stop = packet->data + packet->len;
    entry->owner = packet->owner;
    entry->end = s->back - s->len;
    s->count++;
    s->len += packet->len;
    s->cur = packet->data;
    s->end = entry->stop;
    if (!same)
        s->runs += zcb_block_bytes(packet->owner);
}

int
zcb_chain_push_front(struct zcb_chain *chain, struct zcb_packet *packet)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);
    const struct zcb_block *last;
    size_t runs;
    int result;

    if (chain == NULL || packet == NULL)
        return -EINVAL;
    if (packet->len == 0) {
        zcb_packet_unref(packet);
        return 0;
    }
    if (packet->len > s->max_bytes - s->len)
        return -ENOBUFS;
    last = s->count != 0 ? zcb_entry_last(s)->owner : packet->owner;
    if (s->count != 0 && s->ring[s->head].owner == packet->owner &&
        packet->data + packet->len == s->cur) {
        s->cur = packet->data;
        s->len += packet->len;
        if (s->count == 1)
            zcb_chain_keep_extra(s, packet->owner, 1);
        else
            zcb_block_drop(packet->owner);
    } else {
        runs = s->runs;
        if (s->count == 0 || s->ring[s->head].owner != packet->owner) {
            if (zcb_block_bytes(packet->owner) > SIZE_MAX - runs)
                return -ENOBUFS;
            runs += zcb_block_bytes(packet->owner);
        }
        if (s->count >= s->max_chunks || !zcb_chain_may_pin(s, runs, last))
            return -ENOBUFS;
        result = zcb_ring_room(s, 1);
        if (result < 0)
            return result;
        if (s->count == 0)
            zcb_chain_add(s, packet->data, packet->len, packet->owner);
        else
            add_front(s, packet);
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
