// SPDX-License-Identifier: MIT
//
// zcbuf/packet.h: a refcounted, read-only view of memory, passed by value.
//
//     struct zcb_packet { data, len, owner }      24 bytes; store it in any array, queue or struct
//            |                    |
//            v                    v
//     [ ....bytes.... ]        block: a count, and what to do when it reaches zero
//
// A packet that a function returned is one reference: unref it once, or give it to something that
// takes it (push). Copying the struct does not count: after `b = a` one of them is to be forgotten,
// or zcb_packet_ref() used instead. ref, slice, split and unref allocate nothing and cost at most
// one atomic operation; slices of slices are views of the same block. owner NULL: static or empty;
// all calls work and cost nothing.
//
// Lifetime: `data` stays valid and its bytes do not change as long as this reference is held.
//
// Counts saturate: past 2^31 references a block is pinned, that is never freed: a leak instead of a
// use after free.
//
// Threads: different handles of one block may be used, referenced and dropped on different threads
// at a time. One handle is one variable: two threads must not change it at once. The release of
// foreign memory runs on the thread of the last unref, after everything that other threads did with
// the bytes.
#ifndef ZCBUF_PACKET_H
#define ZCBUF_PACKET_H

#include <zcbuf/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zcb_buf_storage;

struct zcb_packet {
    const uint8_t *data;
    size_t len;
    struct zcb_block *owner;
};

// Memory that is never freed (a literal, a table). The caller need not unref it.
ZCB_API struct zcb_packet zcb_packet_static(const void *data, size_t len);

// Foreign read-only memory: `release(ctx, data, len)` when the last reference is gone. One small
// allocation. make_writable always copies it. A packet of 0 bytes has an owner here like any other:
// unref it, or release is never called.
// 0, -EINVAL (NULL data with a length), -ENOMEM: release is not called.
ZCB_API ZCB_MUST_CHECK int zcb_packet_wrap(const void *data, size_t len, zcb_release_fn *release,
                                           void *ctx, struct zcb_packet *out);

// The same with the header in the caller's memory (see buf.h). No allocation; cannot fail, but for
// misuse, which gives an empty packet.
ZCB_API struct zcb_packet zcb_packet_wrap_in(struct zcb_buf_storage *where, const void *data,
                                             size_t len, zcb_release_fn *release, void *ctx);

// A packet of a copy of `len` bytes in a buffer of `pool`; counted as ZCB_COPY_APPEND. 0, or
// acquire's errors.
ZCB_API ZCB_MUST_CHECK int zcb_packet_copy(struct zcb_pool *pool, const void *data, size_t len,
                                           struct zcb_packet *out);

// One more reference. Cannot fail. One relaxed atomic increment: whoever has a reference already
// sees the bytes.
ZCB_INLINE struct zcb_packet
zcb_packet_ref(const struct zcb_packet *packet)
{
    if (packet->owner != NULL &&
        ZCB_UNLIKELY(__atomic_fetch_add((uint32_t *)packet->owner, 1, __ATOMIC_RELAXED) >=
                     ZCB_COUNT_MAX))
        zcb_block_pin(packet->owner);
    return *packet;
}

// n more references in one atomic operation: then store *packet n more times. More than 2^30 at
// once pin the block.
ZCB_INLINE void
zcb_packet_ref_n(const struct zcb_packet *packet, uint32_t n)
{
    if (packet->owner == NULL)
        return;
    if (ZCB_UNLIKELY(n > ZCB_COUNT_MAX / 2))
        zcb_block_pin(packet->owner);
    else if (ZCB_UNLIKELY(__atomic_fetch_add((uint32_t *)packet->owner, n, __ATOMIC_RELAXED) >
                          ZCB_COUNT_MAX - n))
        zcb_block_pin(packet->owner);
}

// Drops the reference and empties *packet. NULL, or an empty packet, is fine. Never fails, never
// allocates. One atomic decrement: release, so that all this thread did with the bytes lies before
// it, and acquire, so that what the last one does lies behind what all others did. (Looking first
// whether this is the last one would save it the decrement and make all others wait for the look.)
ZCB_INLINE void
zcb_packet_unref(struct zcb_packet *packet)
{
    struct zcb_block *owner;
    uint32_t before;

    if (packet == NULL)
        return;
    owner = packet->owner;
    packet->data = NULL;
    packet->len = 0;
    packet->owner = NULL;
    if (owner == NULL)
        return;
    before = __atomic_fetch_sub((uint32_t *)owner, 1, __ATOMIC_ACQ_REL);
    // 1: the last; 0 or above the maximum: not an ordinary count.
    if (before - 2 >= ZCB_COUNT_MAX - 1)
        zcb_block_last(owner, before);
}

// The reverse of ref_n: drops `n` references in one atomic operation, that of *packet and n - 1 that
// the caller has in other packets of the same block; those are to be forgotten. Empties *packet.
// n 0: nothing happens.
ZCB_INLINE void
zcb_packet_unref_n(struct zcb_packet *packet, uint32_t n)
{
    struct zcb_block *owner;
    uint32_t before;

    if (packet == NULL || n == 0)
        return;
    owner = packet->owner;
    packet->data = NULL;
    packet->len = 0;
    packet->owner = NULL;
    if (owner == NULL)
        return;
    before = __atomic_fetch_sub((uint32_t *)owner, n, __ATOMIC_ACQ_REL);
    if (before == n)
        zcb_block_last(owner, 1);
    else if (ZCB_UNLIKELY(before < n || before > ZCB_COUNT_MAX))
        zcb_block_last(owner, before < n ? 0 : before);
}

// *out becomes a view of `len` bytes from `off` on, with a reference of its own. `packet` keeps its
// own. An empty slice holds no reference. `out` may not be `packet`.
// 0, -ERANGE: not inside the packet.
ZCB_INLINE ZCB_MUST_CHECK int
zcb_packet_slice(const struct zcb_packet *packet, size_t off, size_t len, struct zcb_packet *out)
{
    struct zcb_packet view;

    if (off > packet->len || len > packet->len - off)
        return -ERANGE;
    view.data = packet->data != NULL ? packet->data + off : packet->data;
    view.len = len;
    view.owner = len != 0 ? packet->owner : NULL;
    *out = zcb_packet_ref(&view);
    return 0;
}

// Cuts the packet in two: *front gets the first `at` bytes, `packet` keeps the rest; an empty side
// holds no reference.
// 0, -ERANGE (at above len).
ZCB_API ZCB_MUST_CHECK int zcb_packet_split(struct zcb_packet *packet, size_t at,
                                            struct zcb_packet *front);

// Whether this is the only reference to its block (then also no writer is behind it). Packets
// without an owner: false.
ZCB_API bool zcb_packet_is_unique(const struct zcb_packet *packet);

// Bytes of memory that this packet keeps alive: the size of its block, which can be far above len.
// 0 without an owner.
ZCB_API size_t zcb_packet_pinned(const struct zcb_packet *packet);

// Turns the packet into a buf that may be written. Takes it: on success *packet is empty and *out
// is the caller's. Where this is the only reference to memory that may be written, nothing moves;
// otherwise (shared, wrapped as const, mapped, static) the bytes are copied into a buffer of `pool`
// (ZCB_COPY_UNSHARE) and the reference is dropped. The buf has at least the packet's bytes as data.
// Returns 0: as it was; 1: copied; -EINVAL (NULL out; would have to copy and has no pool); or
// acquire's errors. When it fails nothing changed.
ZCB_API ZCB_MUST_CHECK int zcb_packet_make_writable(struct zcb_packet *packet,
                                                    struct zcb_pool *pool, struct zcb_buf **out);

// Trades a small copy for freeing a large block: where the pool has a tier that is smaller than the
// packet's block and fits its bytes, they are copied there (ZCB_COPY_COMPACT) and the reference is
// dropped. An empty packet that has a block lets go of it. Returns 1: was copied, or let go; 0: is
// as small as it can be (also static packets); -EINVAL (NULL pool, where there are bytes with an
// owner); or acquire's errors. When it fails nothing changed.
ZCB_API ZCB_MUST_CHECK int zcb_packet_compact(struct zcb_packet *packet, struct zcb_pool *pool);

// The slab that the packet's memory is part of, and what the source's attach said about it: what a
// registered memory key or a buffer index is looked up by. Each out pointer may be NULL.
// 0, -ENOTSUP: not from a pool's slab.
ZCB_API ZCB_MUST_CHECK int zcb_packet_region(const struct zcb_packet *packet, void **base,
                                             size_t *len, void **tag);

#ifdef ZCB_HAVE_AUTO
#define ZCB_AUTO_PACKET ZCB_AUTO(zcb_packet_unref)
#endif

#ifdef __cplusplus
}
#endif
#endif
