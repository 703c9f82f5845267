// SPDX-License-Identifier: MIT

#include <zcbuf/buf.h>

#include <stdlib.h>

#include <zcbuf/packet.h>
#include <zcbuf/source.h>

#include "buf/buf.h"
#include "pool/cache.h"
#include "pool/harden.h"

_Static_assert(sizeof(struct zcb_buf_storage) >= sizeof(struct zcb_block),
               "frozen ABI: a header fits its storage");

// Bytes of the block that are the writer's.
static size_t
space(const struct zcb_block *block)
{
    return block->size - (size_t)(block->floor - block->base);
}

static size_t
headroom(const struct zcb_block *block)
{
    return (size_t)(block->data - block->floor);
}

static size_t
tailroom(const struct zcb_block *block)
{
    return space(block) - headroom(block) - block->len;
}

void
zcb_block_wrap(struct zcb_block *block, unsigned kind, void *data, size_t len, size_t capacity,
               zcb_release_fn *release, void *ctx)
{
    block->count = 1;
    block->kind = (uint8_t)kind;
    block->tier = 0;
    block->pool_id = 0;
    block->base = data;
    block->size = capacity;
    // Not by zcb_block_start(): nothing may be wrapped, at NULL, to which not even 0 may be added.
    block->data = data;
    block->floor = data;
    block->len = len;
    block->home = ctx;
    block->u.release = release;
}

int
zcb_buf_alloc(const struct zcb_source *source, size_t capacity, struct zcb_buf **out)
{
    size_t align = capacity >= 4096 ? 4096 : 64;
    struct zcb_heap_block *heap;
    void *memory;

    if (out == NULL)
        return -EINVAL;
    if (source == NULL)
        source = zcb_source_libc();
    if (source->alloc == NULL || source->free == NULL)
        return -EINVAL;
    if (capacity > SIZE_MAX - align)
        return -EOVERFLOW;
    capacity = capacity != 0 ? (capacity + align - 1) & ~(align - 1) : align;
    heap = malloc(sizeof(*heap));
    if (heap == NULL)
        return -ENOMEM;
    memory = source->alloc(source->ctx, capacity, align);
    if (memory == NULL) {
        free(heap);
        return -ENOMEM;
    }
    zcb_block_wrap(&heap->block, ZCB_BLOCK_HEAP, memory, 0, capacity, NULL, NULL);
    heap->free = source->free;
    heap->free_ctx = source->ctx;
    heap->align = align;
    *out = (struct zcb_buf *)&heap->block;
    return 0;
}

static bool
wrap_is_valid(const void *data, size_t len, size_t capacity)
{
    return (data != NULL || capacity == 0) && len <= capacity;
}

int
zcb_buf_wrap(void *data, size_t len, size_t capacity, zcb_release_fn *release, void *ctx,
             struct zcb_buf **out)
{
    struct zcb_block *block;

    if (out == NULL || !wrap_is_valid(data, len, capacity))
        return -EINVAL;
    block = malloc(sizeof(*block));
    if (block == NULL)
        return -ENOMEM;
    zcb_block_wrap(block, ZCB_BLOCK_WRAPPED, data, len, capacity, release, ctx);
    *out = (struct zcb_buf *)block;
    return 0;
}

struct zcb_buf *
zcb_buf_wrap_in(struct zcb_buf_storage *where, void *data, size_t len, size_t capacity,
                zcb_release_fn *release, void *ctx)
{
    struct zcb_block *block = (struct zcb_block *)where;

    if (where == NULL || !wrap_is_valid(data, len, capacity))
        return NULL;
    zcb_block_wrap(block, ZCB_BLOCK_WRAPPED_IN, data, len, capacity, release, ctx);
    return (struct zcb_buf *)block;
}

// The writer's reference is one like any other: packets that were published may still be out.
static __attribute__((noinline)) void
release_other(struct zcb_block *block)
{
    struct zcb_packet writer = {NULL, 0, block};

    // The byte is needed next anyway, and a pointer that is no buf rarely has a right one there; a
    // pool's headers begin at cache lines.
    if (ZCB_UNLIKELY(block->kind > ZCB_BLOCK_WRAPPED_IN ||
                     (block->kind == ZCB_BLOCK_POOL && (uintptr_t)block % ZCB_LINE != 0)))
        zcb_misuse(block, "released a pointer that is no buf");
    zcb_packet_unref(&writer);
}

void
zcb_buf_release(struct zcb_buf **buf)
{
    struct zcb_block *block;

    if (buf == NULL || *buf == NULL)
        return;
    block = &(*buf)->block;
    *buf = NULL;
    // A pool's block that nothing was published of goes straight back: its count is 1, and is to be.
    if (ZCB_LIKELY(block->kind == ZCB_BLOCK_POOL && zcb_block_is_sole(block)))
        zcb_cache_put(block);
    else
        release_other(block);
}

void
zcb_buf_release_n(struct zcb_buf **bufs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        zcb_buf_release(&bufs[i]);
}

uint8_t *
zcb_buf_data(struct zcb_buf *buf)
{
    return buf->block.data;
}

size_t
zcb_buf_len(const struct zcb_buf *buf)
{
    return buf->block.len;
}

size_t
zcb_buf_capacity(const struct zcb_buf *buf)
{
    return space(&buf->block);
}

size_t
zcb_buf_headroom(const struct zcb_buf *buf)
{
    return headroom(&buf->block);
}

size_t
zcb_buf_tailroom(const struct zcb_buf *buf)
{
    return tailroom(&buf->block);
}

int
zcb_buf_set_headroom(struct zcb_buf *buf, size_t len)
{
    struct zcb_block *block = &buf->block;

    if (block->len != 0)
        return -EINVAL;
    if (len > space(block))
        return -ERANGE;
    block->data = block->floor + len;
    return 0;
}

int
zcb_buf_append(struct zcb_buf *buf, size_t len, uint8_t **at)
{
    struct zcb_block *block = &buf->block;

    if (len > tailroom(block))
        return -ERANGE;
    if (at != NULL)
        *at = block->len != 0 ? block->data + block->len : block->data; // which may be NULL
    block->len += len;
    return 0;
}

int
zcb_buf_prepend(struct zcb_buf *buf, size_t len, uint8_t **at)
{
    struct zcb_block *block = &buf->block;

    if (len > headroom(block))
        return -ERANGE;
    block->data -= len;
    block->len += len;
    if (at != NULL)
        *at = block->data;
    return 0;
}

int
zcb_buf_trim(struct zcb_buf *buf, size_t front, size_t back)
{
    struct zcb_block *block = &buf->block;

    if (front > block->len || back > block->len - front)
        return -ERANGE;
    block->data += front;
    block->len -= front + back;
    return 0;
}

int
zcb_buf_set_len(struct zcb_buf *buf, size_t len)
{
    struct zcb_block *block = &buf->block;

    if (len > block->len + tailroom(block))
        return -ERANGE;
    block->len = len;
    return 0;
}

void
zcb_buf_share(struct zcb_buf **buf, struct zcb_packet *out)
{
    struct zcb_block *block = &(*buf)->block;

    if (block->len == 0) {
        *out = zcb_packet_static(NULL, 0);
        zcb_buf_release(buf);
        return;
    }
    out->data = block->data;
    out->len = block->len;
    out->owner = block; // the writer's reference becomes the packet's
    *buf = NULL;
}

int
zcb_buf_publish(struct zcb_buf *buf, size_t len, struct zcb_packet *out)
{
    struct zcb_block *block = &buf->block;

    if (len > block->len)
        return -ERANGE;
    if (len == 0) {
        *out = zcb_packet_static(NULL, 0);
        return 0;
    }
    zcb_block_ref(block);
    out->data = block->data;
    out->len = len;
    out->owner = block;
    block->data += len;
    block->len -= len;
    block->floor = block->data;
    return 0;
}
