// SPDX-License-Identifier: MIT
//
// Between the files of this folder.
#ifndef ZCB_BUF_BUF_H
#define ZCB_BUF_BUF_H

#include "base/block.h"

// A block from zcb_buf_alloc: what is needed to free it. The header comes from malloc.
struct zcb_heap_block {
    struct zcb_block block;
    void (*free)(void *ctx, void *ptr, size_t len, size_t align);
    void *free_ctx;
    size_t align;
};

// Fills in the header of foreign memory.
void zcb_block_wrap(struct zcb_block *block, unsigned kind, void *data, size_t len, size_t capacity,
                    zcb_release_fn *release, void *ctx);

#endif
