// SPDX-License-Identifier: MIT
//
// For tests of chains: packets that never merge by accident, and a look inside.
#ifndef ZCB_TESTS_CHAIN_TOOLS_H
#define ZCB_TESTS_CHAIN_TOOLS_H

#include "testing.h"

#include <string.h>

#include <zcbuf/zcbuf.h>

#include "chain/chain.h"

static inline void
chain_tools_free(void *ctx, void *data, size_t len)
{
    (void)ctx;
    (void)len;
    free(data);
}

// A packet of a copy in a block of its own, with a byte on each side, so that it is next to
// nothing.
static inline struct zcb_packet
lone_packet(const void *bytes, size_t len)
{
    struct zcb_packet whole = {0}, packet = {0};
    uint8_t *copy = malloc(len + 2);

    assert_non_null(copy);
    memset(copy, 0xee, len + 2);
    if (len != 0)
        memcpy(copy + 1, bytes, len);
    assert_int_equal(zcb_packet_wrap(copy, len + 2, chain_tools_free, NULL, &whole), 0);
    assert_int_equal(zcb_packet_slice(&whole, 1, len, &packet), 0);
    zcb_packet_unref(&whole);
    return packet;
}

static inline void
push_lone(struct zcb_chain *chain, const void *bytes, size_t len)
{
    struct zcb_packet packet = lone_packet(bytes, len);

    assert_int_equal(zcb_chain_push(chain, &packet), 0);
    assert_null(packet.owner);
    assert_int_equal(packet.len, 0);
}

// The bytes as chunks of `each` bytes.
static inline void
push_cut(struct zcb_chain *chain, const uint8_t *bytes, size_t len, size_t each)
{
    for (size_t at = 0; at < len; at += each)
        push_lone(chain, bytes + at, len - at < each ? len - at : each);
}

static inline struct zcb_copies
copies_now(void)
{
    struct zcb_copies copies;

    zcb_copies_thread(&copies);
    return copies;
}

// Whether since `before` exactly `len` bytes were moved, all for `reason`.
static inline bool
only_copied(const struct zcb_copies *before, enum zcb_copy_reason reason, size_t len)
{
    struct zcb_copies now = copies_now();

    return now.bytes[reason] - before->bytes[reason] == len &&
           zcb_copies_bytes(&now) - zcb_copies_bytes(before) == len;
}

static inline bool
nothing_copied(const struct zcb_copies *before)
{
    return only_copied(before, ZCB_COPY_COPY_TO, 0);
}

// What is wrong inside the chain, or NULL.
static inline const char *
chain_fault(const struct zcb_chain *chain)
{
    const struct zcb_chain_state *s = zcb_chain_view(chain);
    size_t sum = 0, runs = 0, spare_bytes = 0, room = 0;
    uint64_t before = s->back - s->len;
    const uint8_t *stop = NULL;
    const struct zcb_block *owner = NULL;

    if (((size_t)s->mask + 1) < s->count || (s->mask & (s->mask + 1)) != 0 || s->head > s->mask)
        return "the ring's numbers";
    if (s->count == 0 && (s->cur != zcb_chain_nothing || s->end != s->cur || s->len != 0 ||
                          s->runs != 0 || s->extra != 0 || s->borrowed))
        return "empty, with something in it";
    for (uint32_t i = 0; i < s->count; i++) {
        const struct zcb_entry *entry = zcb_entry(s, i);
        size_t len = (size_t)(entry->end - before);

        if (len == 0 || len > s->len)
            return "an empty chunk, or ends out of order";
        if (i == 0 && (s->end != entry->stop || (size_t)(s->end - s->cur) != len))
            return "cur and end are not the first chunk";
        if (i != 0 && owner == entry->owner && stop == entry->stop - len)
            return "neighbours that should be one chunk";
        if (i == 0 || owner != entry->owner)
            runs += zcb_block_bytes(entry->owner);
        owner = entry->owner;
        stop = entry->stop;
        before = entry->end;
        sum += len;
    }
    if (sum != s->len || (s->count != 0 && before != s->back))
        return "the length is not the sum of the chunks'";
    if (runs != s->runs)
        return "pinned bytes";
    if (s->borrowed && (s->tail == NULL || owner != s->tail))
        return "borrowed from nobody";
    if (s->extra != 0 && owner == NULL)
        return "references to static memory";
    if (s->tail == NULL && (s->room != NULL || s->room_end != NULL || s->room_start != NULL))
        return "room without a block";
    if (s->tail != NULL) {
        if (s->room_start > s->room || s->room >= s->room_end || s->room_start < s->tail->base ||
            s->room_end != s->tail->base + s->tail->size)
            return "room outside the block";
        room = (size_t)(s->room_end - s->room);
    }
    for (uint32_t i = 0; i < s->spares; i++) {
        spare_bytes += s->spare[i]->size;
        room += s->spare[i]->size;
        if (!zcb_block_is_sole(s->spare[i]))
            return "a spare that somebody sees";
    }
    if (spare_bytes != s->spare_bytes || s->spares > ZCB_CHAIN_SPARES)
        return "spares";
    if (s->reserved > room)
        return "reserved more than there is";
    if (s->count > s->max_chunks || s->len > s->max_bytes ||
        zcb_chain_pinned(chain) > s->max_pinned)
        return "above a limit";
    return NULL;
}

#define assert_chain_sound(chain)                                                                  \
    do {                                                                                           \
        const char *fault_ = chain_fault(chain);                                                   \
        if (fault_ != NULL)                                                                        \
            fail_msg("inside the chain: %s", fault_);                                              \
    } while (0)

// Whether the chain has exactly these bytes, seen without changing or counting anything.
static inline bool
chain_is(const struct zcb_chain *chain, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    struct iovec iov[16];
    size_t off = 0, covered;

    if (zcb_chain_len(chain) != len)
        return false;
    while (off < len) {
        int n = zcb_chain_iov(chain, off, iov, 16, &covered);

        if (n < 1)
            return false;
        for (int i = 0; i < n; i++) {
            if (memcmp(iov[i].iov_base, at, iov[i].iov_len) != 0)
                return false;
            at += iov[i].iov_len;
        }
        off += covered;
    }
    return zcb_chain_iov(chain, len, iov, 16, &covered) == 0 && covered == 0;
}

#endif
