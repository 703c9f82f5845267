// SPDX-License-Identifier: MIT
//
// What happens when a count reaches zero, or leaves the ordinary range.
//
// A free block of a pool keeps the count 1, so that an acquire need not write it. Counts above
// ZCB_COUNT_MAX mean pinned: they are put back to the middle of that range whenever they are seen,
// so that neither more references nor more drops than a program can make between two looks lead out
// of it.

#include "buf/buf.h"

#include <stdlib.h>

#include <zcbuf/packet.h>

#include "pool/cache.h"
#include "pool/harden.h"

#define PINNED 0xc0000000u

void
zcb_block_pin(struct zcb_block *block)
{
    __atomic_store_n(&block->count, PINNED, __ATOMIC_RELAXED);
}

static void
recycle_wrapped(struct zcb_block *block)
{
    zcb_release_fn *release = block->u.release;
    void *ctx = block->home, *data = block->base;
    size_t size = block->size;

    // The header first: release may free the memory it lies in.
    if (zcb_block_kind(block) == ZCB_BLOCK_WRAPPED)
        free(block);
    if (release != NULL)
        release(ctx, data, size);
}

static void
recycle_heap(struct zcb_block *block)
{
    struct zcb_heap_block *heap = (struct zcb_heap_block *)block;

    heap->free(heap->free_ctx, block->base, block->size, heap->align);
    free(heap);
}

// All but a pool's own. Apart, so that those find no registers to save.
static __attribute__((noinline)) void
recycle_other(struct zcb_block *block)
{
    switch (zcb_block_kind(block)) {
    case ZCB_BLOCK_SINGLE:
        zcb_pool_free_single(block);
        break;
    case ZCB_BLOCK_HEAP:
        recycle_heap(block);
        break;
    case ZCB_BLOCK_WRAPPED:
    case ZCB_BLOCK_WRAPPED_IN:
        recycle_wrapped(block);
        break;
    default:
        zcb_misuse(block, "released memory that is no block of this library, or was freed before");
    }
}

void
zcb_block_last(struct zcb_block *block, uint32_t count_before)
{
    if (ZCB_LIKELY(count_before == 1)) {
        __atomic_store_n(&block->count, 1, __ATOMIC_RELAXED);
        if (ZCB_LIKELY(block->kind == ZCB_BLOCK_POOL))
            zcb_cache_put(block);
        else
            recycle_other(block);
    } else if (count_before == 0) {
        // Dropped once too often. Nothing here may be believed; where nobody checks, pinning is the
        // harmless answer.
        zcb_block_pin(block);
        zcb_misuse_if_checked(block, "a packet or buf was released twice");
    } else {
        zcb_block_pin(block);
    }
}
