// SPDX-License-Identifier: MIT
//
// Ways to come by the memory of an image, and to let go of it.
#ifndef BENCH_IMAGES_MEMORY_H
#define BENCH_IMAGES_MEMORY_H

#include <stdbool.h>

#include <zcbuf/zcbuf.h>

#define MEMORY_AT_ONCE 2 // images that are out at a time, at most

struct frame {
    uint8_t *pixels;
    struct zcb_buf *buf; // those of a pool
};

struct memory {
    const char *name;
    size_t len;                                           // of an image
    int (*get)(struct memory *memory, struct frame *out); // 0, or a negative errno
    void (*put)(struct memory *memory, struct frame *frame);
    // Around a batch of images, not timed. NULL: nothing to do.
    int (*begin)(struct memory *memory);
    int (*end)(struct memory *memory);
    bool recycled; // after the first image no page is to be new
    struct zcb_pool *pool;
    void *parked[MEMORY_AT_ONCE];
};

enum {
    MEMORY_MALLOC, // the reference
    MEMORY_MMAP,
    MEMORY_POPULATE,
    MEMORY_HUGE,
    MEMORY_KEPT,
    MEMORY_POOL,
    MEMORY_POOL_HUGE,
    MEMORY_POOL_ABOVE,
    MEMORY_WAYS,
};

// All of them, for images of `len` bytes. What this system lacks has no `get`. 0, or a negative
// errno.
int memory_open(struct memory ways[MEMORY_WAYS], size_t len);
void memory_close(struct memory ways[MEMORY_WAYS]);

#endif
