// SPDX-License-Identifier: MIT

#include <zcbuf/packet.h>

#include <stdlib.h>

#include <zcbuf/buf.h>
#include <zcbuf/pool.h>

#include "base/count_copy.h"
#include "buf/buf.h"
#include "pool/pool.h"

// The symbols of packet.h's inline functions, for callers that cannot inline.
extern inline struct zcb_packet zcb_packet_ref(const struct zcb_packet *packet);
extern inline void zcb_packet_ref_n(const struct zcb_packet *packet, uint32_t n);
extern inline void zcb_packet_unref(struct zcb_packet *packet);
extern inline void zcb_packet_unref_n(struct zcb_packet *packet, uint32_t n);
extern inline int zcb_packet_slice(const struct zcb_packet *packet, size_t off, size_t len,
                                   struct zcb_packet *out);

_Static_assert(sizeof(struct zcb_packet) == 3 * sizeof(void *),
               "frozen ABI: a packet is three words");

struct zcb_packet
zcb_packet_static(const void *data, size_t len)
{
    struct zcb_packet packet = {data, len, NULL};

    return packet;
}

int
zcb_packet_wrap(const void *data, size_t len, zcb_release_fn *release, void *ctx,
                struct zcb_packet *out)
{
    struct zcb_block *block;

    if (out == NULL || (data == NULL && len != 0))
        return -EINVAL;
    block = malloc(sizeof(*block));
    if (block == NULL)
        return -ENOMEM;
    // The cast drops a const that ZCB_BLOCK_READONLY keeps: nothing writes through it.
    zcb_block_wrap(block, ZCB_BLOCK_WRAPPED | ZCB_BLOCK_READONLY, (void *)(uintptr_t)data, len, len,
                   release, ctx);
    out->data = data;
    out->len = len;
    out->owner = block;
    return 0;
}

struct zcb_packet
zcb_packet_wrap_in(struct zcb_buf_storage *where, const void *data, size_t len,
                   zcb_release_fn *release, void *ctx)
{
    struct zcb_packet packet = {data, len, (struct zcb_block *)where};

    if (where == NULL || (data == NULL && len != 0))
        return zcb_packet_static(NULL, 0);
    zcb_block_wrap(packet.owner, ZCB_BLOCK_WRAPPED_IN | ZCB_BLOCK_READONLY, (void *)(uintptr_t)data,
                   len, len, release, ctx);
    return packet;
}

// A buf of the pool with a copy of the bytes.
static int
copy_into_buf(struct zcb_pool *pool, const void *data, size_t len, enum zcb_copy_reason reason,
              struct zcb_buf **out)
{
    int result = zcb_pool_acquire(pool, len, out);

    if (result < 0)
        return result;
    zcb_copy((*out)->block.data, data, len, reason);
    (*out)->block.len = len;
    return 0;
}

int
zcb_packet_copy(struct zcb_pool *pool, const void *data, size_t len, struct zcb_packet *out)
{
    struct zcb_buf *buf;
    int result;

    if (pool == NULL || out == NULL || (data == NULL && len != 0))
        return -EINVAL;
    if (len == 0) {
        *out = zcb_packet_static(NULL, 0);
        return 0;
    }
    result = copy_into_buf(pool, data, len, ZCB_COPY_APPEND, &buf);
    if (result == 0)
        zcb_buf_share(&buf, out);
    return result;
}

int
zcb_packet_split(struct zcb_packet *packet, size_t at, struct zcb_packet *front)
{
    if (at > packet->len)
        return -ERANGE;
    if (at == packet->len) { // the reference moves
        *front = *packet;
        *packet = zcb_packet_static(NULL, 0);
        if (at == 0)
            zcb_packet_unref(front);
        return 0;
    }
    *front = zcb_packet_static(packet->data, at);
    if (at != 0) {
        front->owner = packet->owner;
        *front = zcb_packet_ref(front);
    }
    packet->data += at;
    packet->len -= at;
    return 0;
}

bool
zcb_packet_is_unique(const struct zcb_packet *packet)
{
    return packet->owner != NULL && zcb_block_is_sole(packet->owner);
}

size_t
zcb_packet_pinned(const struct zcb_packet *packet)
{
    return packet->owner != NULL ? packet->owner->size : 0;
}

int
zcb_packet_make_writable(struct zcb_packet *packet, struct zcb_pool *pool, struct zcb_buf **out)
{
    struct zcb_block *block = packet->owner;
    struct zcb_buf *buf;
    int result;

    if (out == NULL)
        return -EINVAL;
    if (block != NULL && !(block->kind & ZCB_BLOCK_READONLY) && zcb_block_is_sole(block)) {
        // Nobody else can see the block, so all of it is the writer's again.
        block->floor = block->base;
        block->data = block->base + (packet->data - block->base);
        block->len = packet->len;
        *packet = zcb_packet_static(NULL, 0);
        *out = (struct zcb_buf *)block;
        return 0;
    }
    if (pool == NULL)
        return -EINVAL;
    result = copy_into_buf(pool, packet->data, packet->len, ZCB_COPY_UNSHARE, &buf);
    if (result < 0)
        return result;
    zcb_packet_unref(packet);
    *out = buf;
    return 1;
}

int
zcb_packet_compact(struct zcb_packet *packet, struct zcb_pool *pool)
{
    struct zcb_buf *buf;
    size_t fit;
    int result;

    if (packet->owner == NULL)
        return 0;
    if (packet->len == 0) {
        zcb_packet_unref(packet);
        return 1;
    }
    if (pool == NULL)
        return -EINVAL;
    fit = zcb_pool_fit(pool, packet->len);
    if (fit == 0 || fit >= packet->owner->size)
        return 0;
    result = copy_into_buf(pool, packet->data, packet->len, ZCB_COPY_COMPACT, &buf);
    if (result < 0)
        return result;
    zcb_packet_unref(packet);
    zcb_buf_share(&buf, packet);
    return 1;
}

int
zcb_packet_region(const struct zcb_packet *packet, void **base, size_t *len, void **tag)
{
    const struct zcb_slab *slab;

    if (packet->owner == NULL || zcb_block_kind(packet->owner) != ZCB_BLOCK_POOL)
        return -ENOTSUP;
    slab = packet->owner->home;
    if (base != NULL)
        *base = slab->base;
    if (len != NULL)
        *len = slab->len;
    if (tag != NULL)
        *tag = slab->tag;
    return 0;
}
