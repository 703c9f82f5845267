// SPDX-License-Identifier: MIT
//
// The inside of a struct zcb_chain, and what its files use of each other.
//
// Chunks are entries of a ring whose size is a power of two. An entry does not say where its chunk
// begins but where it ends, in memory (`stop`) and in the stream (`end`, an offset that only grows,
// modulo 2^64):
//
//     stream  ... |<- discarded ->|<- chunk 0 ->|<--- chunk 1 --->|<- chunk 2 ->|
//                                 ^ front       ^ end of 0        ^ end of 1    ^ end of 2, back
//
//     the byte at stream offset x of entry e lies at    e.stop - (e.end - x)
//     front == back - len; the first chunk's byte there is at cur, and end == e.stop
//
// So neither dropping bytes at the front nor putting them back, nor growing the last chunk, writes
// to any other entry, and any offset can be searched for (search.h). The first chunk is never empty:
// one that is drained is popped at once.
//
// References. Each entry has one to its block, with two exceptions that save atomic operations,
// both for the last entry only:
//     extra     merging a view brings a second reference to the same block. Instead of dropping it,
//               the chain counts it here; take hands these out, and the rest goes in one piece.
//     borrowed  bytes that were written into the tail block are held by the writer's own reference.
//               It becomes the entry's when the block is full; when the chunk is drained it stays
//               with the writer, which then finds the block unshared and begins at its start again.
// zcb_chain_settle() ends both, before another entry becomes the last.
//
// Read zcb_chain_pop() and zcb_chain_add() first: all that moves chunks is made of them.
#ifndef ZCB_CHAIN_CHAIN_H
#define ZCB_CHAIN_CHAIN_H

#include <zcbuf/chain.h>
#include <zcbuf/packet.h>

#include "base/block.h"

enum {
    ZCB_CHAIN_FEW = 4,     // entries in the struct itself; a power of two
    ZCB_CHAIN_SPARES = 15, // with the tail block: 16 iovecs
    ZCB_CHAIN_EXTRA_MAX = 0xffff,
};

// Where a ring's size has to end: its numbers are 32 bits.
#define ZCB_CHAIN_CHUNKS_MAX (UINT32_C(1) << 31)

struct zcb_entry {
    const uint8_t *stop;
    struct zcb_block *owner; // NULL: static memory
    uint64_t end;
};

// Users declare a struct zcb_chain; may_alias makes it legal to see another type in the same
// memory.
#if defined(__GNUC__)
#define ZCB_MAY_ALIAS __attribute__((may_alias))
#else
#define ZCB_MAY_ALIAS
#endif

struct ZCB_MAY_ALIAS zcb_chain_state {
    const uint8_t *cur; // these three: as in struct zcb_chain
    const uint8_t *end;
    size_t len;
    struct zcb_entry *ring; // `few`, or from malloc
    uint32_t head;          // slot of the first chunk
    uint32_t count;         // chunks
    uint32_t mask;          // slots - 1
    uint32_t extra;
    uint64_t back;
    size_t runs; // sizes of the blocks of all entries, each once per run of entries

    size_t max_bytes;
    size_t max_pinned;
    size_t copy_below;
    size_t spare_bytes;     // sizes of the spares
    struct zcb_block *tail; // what is written into, or NULL; with a reference unless borrowed
    size_t reserved;        // bytes that may be committed
    uint32_t max_chunks;
    uint32_t spares;
    bool borrowed;

    uint8_t *room; // the tail block: where the next byte goes, its end, its first byte; else NULL
    uint8_t *room_end;
    uint8_t *room_start;
    struct zcb_pool *pool;
    size_t chunk_size;
    struct zcb_block *spare[ZCB_CHAIN_SPARES]; // empty, to follow the tail block
    struct zcb_entry few[ZCB_CHAIN_FEW];
};

_Static_assert(sizeof(struct zcb_chain_state) <= sizeof(struct zcb_chain), "frozen ABI");
_Static_assert(offsetof(struct zcb_chain_state, cur) == offsetof(struct zcb_chain, cur),
               "frozen ABI");
_Static_assert(offsetof(struct zcb_chain_state, end) == offsetof(struct zcb_chain, end),
               "frozen ABI");
_Static_assert(offsetof(struct zcb_chain_state, len) == offsetof(struct zcb_chain, len),
               "frozen ABI");

static inline void
zcb_prefetch(const void *at)
{
#if defined(__GNUC__)
    __builtin_prefetch(at);
#else
    (void)at;
#endif
}

static inline struct zcb_chain_state *
zcb_chain_state(struct zcb_chain *chain)
{
    return (struct zcb_chain_state *)(void *)chain;
}

static inline const struct zcb_chain_state *
zcb_chain_view(const struct zcb_chain *chain)
{
    return (const struct zcb_chain_state *)(const void *)chain;
}

// ---- the ring: ring.c

// Where cur and end of an empty chain point.
extern const uint8_t zcb_chain_nothing[1];

// Makes sure that `more` entries can be added. 0, -ENOMEM: nothing happened.
int zcb_ring_grow(struct zcb_chain_state *s, size_t more);

static inline int
zcb_ring_room(struct zcb_chain_state *s, size_t more)
{
    return ZCB_LIKELY(more <= (size_t)s->mask + 1 - s->count) ? 0 : zcb_ring_grow(s, more);
}

// Back to the entries in the struct; for a ring that is empty, or was given away.
static inline void
zcb_ring_reset(struct zcb_chain_state *s)
{
    s->ring = s->few;
    s->mask = ZCB_CHAIN_FEW - 1;
    s->head = 0;
}

static inline struct zcb_entry *
zcb_entry(const struct zcb_chain_state *s, uint32_t number)
{
    return &s->ring[(s->head + number) & s->mask];
}

static inline struct zcb_entry *
zcb_entry_last(const struct zcb_chain_state *s)
{
    return zcb_entry(s, s->count - 1);
}

// Where the chunk ends, as an offset from the chain's front.
static inline size_t
zcb_entry_end(const struct zcb_chain_state *s, uint32_t number)
{
    return (size_t)(zcb_entry(s, number)->end - (s->back - s->len));
}

// The number of the chunk that has the byte at `off`, which is less than len; *start is where it
// begins.
uint32_t zcb_chain_locate(const struct zcb_chain_state *s, size_t off, size_t *start);

// Copies bytes that are known to be there. Counts nothing.
void zcb_chain_read(const struct zcb_chain_state *s, size_t off, uint8_t *dst, size_t len);

// ---- references

static inline size_t
zcb_block_bytes(const struct zcb_block *block)
{
    return block != NULL ? block->size : 0;
}

static inline void
zcb_block_drop(struct zcb_block *block)
{
    struct zcb_packet packet = {NULL, 0, block};

    zcb_packet_unref(&packet);
}

// Drops n references, at least 1, in one atomic operation. The orders are those of
// zcb_packet_unref().
static inline void
zcb_block_drop_n(struct zcb_block *block, uint32_t n)
{
    struct zcb_packet packet = {NULL, 0, block};

    zcb_packet_unref_n(&packet, n);
}

// The last entry gets the one reference of its own that all others have.
void zcb_chain_settle_slow(struct zcb_chain_state *s);

static inline void
zcb_chain_settle(struct zcb_chain_state *s)
{
    if (s->extra != 0 || s->borrowed)
        zcb_chain_settle_slow(s);
}

// ---- chunks in and out

// Bytes of memory kept alive besides the entries', if the last entry's block were `last`.
static inline size_t
zcb_chain_held(const struct zcb_chain_state *s, const struct zcb_block *last)
{
    return s->spare_bytes + (s->tail != NULL && s->tail != last ? s->tail->size : 0);
}

// Whether the entries' blocks may come to `runs` bytes, with `last` as the last one.
static inline bool
zcb_chain_may_pin(const struct zcb_chain_state *s, size_t runs, const struct zcb_block *last)
{
    return runs <= s->max_pinned && zcb_chain_held(s, last) <= s->max_pinned - runs;
}

// Whether bytes at `data` in `owner` would be the continuation of the last chunk.
static inline bool
zcb_chain_continues(const struct zcb_chain_state *s, const uint8_t *data,
                    const struct zcb_block *owner)
{
    const struct zcb_entry *last;

    if (s->count == 0)
        return false;
    last = zcb_entry_last(s);
    return last->stop == data && last->owner == owner;
}

// The last chunk becomes longer by what lies behind it.
static inline void
zcb_chain_extend(struct zcb_chain_state *s, size_t len)
{
    struct zcb_entry *last = zcb_entry_last(s);
    const uint8_t *stop = last->stop + len;
    uint64_t back = s->back + len;

    last->stop = stop;
    last->end = back;
    s->back = back;
    s->len += len;
    if (s->count == 1)
        s->end = stop;
}

// What one more chunk of `owner` beside the chunk `beside`, if there are any, adds to `runs`.
static inline size_t
zcb_chain_run(const struct zcb_chain_state *s, const struct zcb_block *owner,
              const struct zcb_entry *beside)
{
    return s->count != 0 && beside->owner == owner ? 0 : zcb_block_bytes(owner);
}

// Another chunk at the back, which is not the continuation of the last one; `run` is what it adds to
// `runs`. The ring has room, and the last entry is settled. The caller sees to the new one's
// reference.
static inline void
zcb_chain_add(struct zcb_chain_state *s, const uint8_t *data, size_t len, struct zcb_block *owner,
              size_t run)
{
    uint32_t count = s->count;
    struct zcb_entry *entry = zcb_entry(s, count);
    const uint8_t *stop = data + len;
    uint64_t back = s->back + len;

    if (count == 0) {
        s->cur = data;
        s->end = stop;
    }
    entry->stop = stop;
    entry->owner = owner;
    entry->end = back;
    s->back = back;
    s->count = count + 1;
    s->len += len;
    s->runs += run;
}

// Takes the first chunk out, with all that is left of it. Returns how many references to *owner are
// now the caller's, to drop or to hand on: 0 where the chunk was held by the writer's.
static inline uint32_t
zcb_chain_pop(struct zcb_chain_state *s, struct zcb_block **block)
{
    const struct zcb_entry *first = &s->ring[s->head], *next;
    uint32_t head = (s->head + 1) & s->mask, count = s->count - 1, refs = 1;
    struct zcb_block *owner = first->owner;

    *block = owner;
    s->len -= (size_t)(s->end - s->cur);
    s->head = head;
    s->count = count;
    if (ZCB_LIKELY(count != 0)) {
        next = &s->ring[head];
        s->cur = next->stop - (size_t)(next->end - first->end);
        s->end = next->stop;
        if (next->owner != owner) {
            s->runs -= zcb_block_bytes(owner);
            zcb_prefetch(next->owner); // its count is needed when this chunk is drained
        }
    } else {
        s->cur = s->end = zcb_chain_nothing;
        s->runs = 0;
        refs += s->extra;
        refs -= s->borrowed;
        s->extra = 0;
        s->borrowed = false;
    }
    return refs;
}

// The chunk behind this one will be read next; the processor's own prefetching begins anew with
// each.
static inline void
zcb_chain_prefetch_next(const struct zcb_chain_state *s, uint32_t number)
{
    if (number + 1 < s->count) {
        const struct zcb_entry *entry = zcb_entry(s, number), *next = zcb_entry(s, number + 1);
        const uint8_t *data = next->stop - (size_t)(next->end - entry->end);

        zcb_prefetch(data);
        zcb_prefetch(data + 64);
    }
}

// One more reference to the block of the first chunk, for the caller.
static inline void
zcb_chain_ref_first(struct zcb_chain_state *s)
{
    struct zcb_block *owner = s->ring[s->head].owner;

    if (owner == NULL)
        return;
    if (s->count == 1 && s->extra != 0)
        s->extra--;
    else
        zcb_block_ref(owner);
}

// The last chunk was extended by a view that came with `refs` references of its own.
static inline void
zcb_chain_keep_extra(struct zcb_chain_state *s, struct zcb_block *owner, uint32_t refs)
{
    if (owner == NULL || refs == 0)
        return;
    if (ZCB_LIKELY(refs <= ZCB_CHAIN_EXTRA_MAX && s->extra <= ZCB_CHAIN_EXTRA_MAX - refs))
        s->extra += refs;
    else
        zcb_block_drop_n(owner, refs);
}

// ---- memory to write into: reserve.c

// The tail block is full, or to be left.
void zcb_chain_leave_tail(struct zcb_chain_state *s);

// Finds room for at least `min` bytes and, where that can be had without waiting, for `target`, in
// the tail block and at most n - 1 others, and entries for them. Returns how many blocks; -EINVAL,
// -ENOBUFS, -ENOMEM, acquire's errors.
int zcb_chain_make_room(struct zcb_chain_state *s, size_t min, size_t target, int n);

// `len` bytes in the room that was made become part of the chain: copied from `data`, or (NULL)
// already in place.
void zcb_chain_fill(struct zcb_chain_state *s, const uint8_t *data, size_t len);

#endif
