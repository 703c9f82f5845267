// SPDX-License-Identifier: MIT
//
// Bytes out: discard, consume, take, slice, gather.

#include <zcbuf/buf.h>
#include <zcbuf/pool.h>

#include "base/count_copy.h"
#include "chain/chain.h"

static size_t
first_len(const struct zcb_chain_state *s)
{
    return (size_t)(s->end - s->cur);
}

// Drops what is left of the first chunk.
static void
drop_chunk(struct zcb_chain_state *s)
{
    struct zcb_block *owner;
    uint32_t refs = zcb_chain_pop(s, &owner);

    if (ZCB_LIKELY(refs == 1))
        zcb_block_drop(owner);
    else if (refs != 0)
        zcb_block_drop_n(owner, refs);
}

// Drops `len` bytes, which are there.
static inline void
drop_front(struct zcb_chain_state *s, size_t len)
{
    while (len >= first_len(s) && s->count != 0) {
        len -= first_len(s);
        drop_chunk(s);
    }
    s->cur += len;
    s->len -= len;
}

int
zcb_chain_discard_slow(struct zcb_chain *chain, size_t len)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);

    if (len > s->len)
        return -EAGAIN;
    drop_front(s, len);
    return 0;
}

int
zcb_chain_consume_slow(struct zcb_chain *chain, void *dst, size_t len)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);
    uint8_t *at = dst;

    if (dst == NULL && len != 0)
        return -EINVAL;
    if (len > s->len)
        return -EAGAIN;
    if (len == 0)
        return 0;
    zcb_count_copy(ZCB_COPY_CONSUME, len);
    while (len != 0 && len >= first_len(s)) {
        size_t here = first_len(s);

        if (len > here)
            zcb_chain_prefetch_next(s, 0);
        memcpy(at, s->cur, here);
        at += here;
        len -= here;
        drop_chunk(s);
    }
    if (len != 0) {
        memcpy(at, s->cur, len);
        s->cur += len;
        s->len -= len;
    }
    return 0;
}

int
zcb_chain_consume(struct zcb_chain *chain, void *dst, size_t len)
{
    if (chain == NULL)
        return -EINVAL;
    if (dst == NULL || len == 0 || len >= (size_t)(chain->end - chain->cur))
        return zcb_chain_consume_slow(chain, dst, len);
    zcb_copy(dst, chain->cur, len, ZCB_COPY_CONSUME);
    return zcb_chain_discard(chain, len);
}

// A packet of a copy of bytes that are there.
static int
copy_out(const struct zcb_chain_state *s, size_t off, size_t len, enum zcb_copy_reason reason,
         struct zcb_packet *out)
{
    struct zcb_buf *buf;
    uint8_t *at;
    int result;

    if (s->pool == NULL)
        return -EINVAL;
    result = zcb_pool_acquire(s->pool, len, &buf);
    if (result < 0)
        return result;
    result = zcb_buf_append(buf, len, &at);
    if (result < 0) { // cannot be: acquire gives the room that was asked for
        zcb_buf_release(&buf);
        return result;
    }
    zcb_chain_read(s, off, at, len);
    zcb_count_copy(reason, len);
    zcb_buf_share(&buf, out);
    return 0;
}

// The whole first chunk goes to the caller, and with it the reference that held it.
static void
take_chunk(struct zcb_chain_state *s, struct zcb_packet *out)
{
    uint32_t refs;

    out->data = s->cur;
    out->len = first_len(s);
    refs = zcb_chain_pop(s, &out->owner);
    if (ZCB_UNLIKELY(refs == 0))
        zcb_block_ref(out->owner);
    else if (ZCB_UNLIKELY(refs > 1))
        zcb_block_drop_n(out->owner, refs - 1);
}

int
zcb_chain_take(struct zcb_chain *chain, size_t len, struct zcb_packet *out)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);
    int result;

    if (chain == NULL || out == NULL)
        return -EINVAL;
    if (len > s->len)
        return -EAGAIN;
    if (len == 0) {
        *out = zcb_packet_static(NULL, 0);
        return 0;
    }
    if (len < first_len(s)) {
        out->data = s->cur;
        out->len = len;
        out->owner = s->ring[s->head].owner;
        zcb_chain_ref_first(s);
        s->cur += len;
        s->len -= len;
        return 0;
    }
    if (len == first_len(s)) {
        take_chunk(s, out);
        return 0;
    }
    result = copy_out(s, 0, len, ZCB_COPY_TAKE, out);
    if (result == 0)
        drop_front(s, len);
    return result;
}

int
zcb_chain_slice(const struct zcb_chain *chain, size_t off, size_t len, struct zcb_packet *out)
{
    const struct zcb_chain_state *s = zcb_chain_view(chain);
    const struct zcb_entry *entry;
    size_t start, here;
    uint32_t number;

    if (chain == NULL || out == NULL)
        return -EINVAL;
    if (off > s->len || len > s->len - off)
        return -EAGAIN;
    if (len == 0) {
        *out = zcb_packet_static(NULL, 0);
        return 0;
    }
    number = zcb_chain_locate(s, off, &start);
    entry = zcb_entry(s, number);
    here = zcb_entry_end(s, number) - off;
    if (len > here)
        return -EXDEV;
    out->data = entry->stop - here;
    out->len = len;
    out->owner = entry->owner;
    if (out->owner != NULL)
        zcb_block_ref(out->owner);
    return 0;
}

int
zcb_chain_gather(const struct zcb_chain *chain, size_t off, size_t len, struct zcb_packet *out)
{
    int result = zcb_chain_slice(chain, off, len, out);

    if (result != -EXDEV)
        return result;
    result = copy_out(zcb_chain_view(chain), off, len, ZCB_COPY_GATHER, out);
    return result == 0 ? 1 : result;
}
