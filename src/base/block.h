// SPDX-License-Identifier: MIT
//
// The block: one cache line that stands behind every buf and packet. It lies beside the memory it
// describes, not in it, so that a pool's 4 KiB buffer is one whole page and memory of a device can
// be pooled too.
//
// Two kinds of user look at it. Readers (packets) touch `count` alone; base, size, kind and what
// follows do not change after the first publish. The one writer (a buf) also has data, len and
// floor.
//
//     base            floor      data            data + len        base + size
//     | published ... | headroom | written bytes | tailroom        |
//
// Start reading at zcb_block_last() in buf/block.c: what happens when a count reaches zero.
#ifndef ZCB_BASE_BLOCK_H
#define ZCB_BASE_BLOCK_H

#include <zcbuf/base.h>

enum zcb_block_kind {
    ZCB_BLOCK_POOL,       // part of a slab; home is its struct zcb_slab
    ZCB_BLOCK_SINGLE,     // a pool's single allocation (oversize, dynamic); home is the pool
    ZCB_BLOCK_HEAP,       // zcb_buf_alloc; inside a struct zcb_heap_block
    ZCB_BLOCK_WRAPPED,    // foreign memory, header from malloc
    ZCB_BLOCK_WRAPPED_IN, // foreign memory, header in the caller's storage
};

// Or'ed to the kind: never to be written (wrapped as const, mapped); a guarded file mapping.
#define ZCB_BLOCK_READONLY 0x10u
#define ZCB_BLOCK_MAPPED 0x20u
#define ZCB_BLOCK_KIND 0x0fu

struct zcb_block {
    uint32_t count;   // references; first, because inline code in packet.h relies on it
    uint8_t kind;     // enum zcb_block_kind and flags
    uint8_t tier;     // in its pool
    uint16_t pool_id; // finds the thread's cache without touching the pool
    uint8_t *base;
    size_t size;
    uint8_t *data;  // the writer's
    size_t len;     // the writer's
    uint8_t *floor; // the writer's: what lies below was published; in the depot: see pool/trim.c
    void *home;     // slab, pool or struct around, by kind; wrapped: the release function's context
    union {
        zcb_release_fn *release;      // wrapped
        const struct zcb_block *self; // ZCB_BLOCK_SINGLE: this header, which a copy of it is not
    } u;
};

// A buf is its block, seen by the writer.
struct zcb_buf {
    struct zcb_block block;
};

// Makes the block an empty buf with `headroom` in front.
static inline void
zcb_block_start(struct zcb_block *block, size_t headroom)
{
    block->floor = block->base;
    block->data = block->base + headroom;
    block->len = 0;
}

static inline enum zcb_block_kind
zcb_block_kind(const struct zcb_block *block)
{
    return (enum zcb_block_kind)(block->kind & ZCB_BLOCK_KIND);
}

// Whether nobody else has a reference. The acquire load pairs with the release decrements of those
// who had.
static inline bool
zcb_block_is_sole(const struct zcb_block *block)
{
    return __atomic_load_n(&block->count, __ATOMIC_ACQUIRE) == 1;
}

// One more reference, taken by somebody who has one.
static inline void
zcb_block_ref(struct zcb_block *block)
{
    if (ZCB_UNLIKELY(__atomic_fetch_add(&block->count, 1, __ATOMIC_RELAXED) >= ZCB_COUNT_MAX))
        zcb_block_pin(block);
}

_Static_assert(sizeof(struct zcb_block) <= 64, "a block header is one cache line");
_Static_assert(offsetof(struct zcb_block, count) == 0, "frozen ABI: inline code in packet.h");

#endif
