// SPDX-License-Identifier: MIT
//
// A reader that does not consume.
//
// opaque[0] is the number of the chunk it is in. `end` is that chunk's end; at the end of a chunk
// that is not the last the cursor is already at the next one's first byte, so cur < end while any
// bytes are left.

#include "base/count_copy.h"
#include "chain/chain.h"

enum { NUMBER };

static size_t
here(const struct zcb_cursor *cursor)
{
    return (size_t)(cursor->end - cursor->cur);
}

// To the first byte of the chunk with that number.
static void
enter(struct zcb_cursor *cursor, uint32_t number)
{
    const struct zcb_chain_state *s = zcb_chain_view(cursor->chain);
    const struct zcb_entry *entry = zcb_entry(s, number);
    size_t len = (size_t)(entry->end - zcb_entry(s, number - 1)->end);

    cursor->opaque[NUMBER] = number;
    cursor->cur = entry->stop - len;
    cursor->end = entry->stop;
}

int
zcb_cursor_init(struct zcb_cursor *cursor, const struct zcb_chain *chain, size_t off)
{
    if (cursor == NULL || chain == NULL)
        return -EINVAL;
    if (off > chain->len)
        return -EAGAIN;
    *cursor = (struct zcb_cursor){
        .cur = chain->cur, .end = chain->end, .left = chain->len, .chain = chain};
    return zcb_cursor_skip(cursor, off);
}

// Skips what goes beyond the present chunk, and is there.
static void
leap(struct zcb_cursor *cursor, size_t len)
{
    const struct zcb_chain_state *s = zcb_chain_view(cursor->chain);
    uint32_t number = (uint32_t)cursor->opaque[NUMBER];
    size_t start, off;

    len -= here(cursor);
    cursor->left -= here(cursor);
    cursor->cur = cursor->end;
    if (cursor->left == 0)
        return;
    enter(cursor, number + 1);
    if (len >= here(cursor)) { // further than that: look it up
        cursor->left -= len;
        off = s->len - cursor->left;
        if (cursor->left == 0) {
            number = s->count - 1;
            cursor->opaque[NUMBER] = number;
            cursor->cur = cursor->end = zcb_entry(s, number)->stop;
            return;
        }
        number = zcb_chain_locate(s, off, &start);
        cursor->opaque[NUMBER] = number;
        cursor->end = zcb_entry(s, number)->stop;
        cursor->cur = cursor->end - (zcb_entry_end(s, number) - off);
        return;
    }
    cursor->cur += len;
    cursor->left -= len;
}

int
zcb_cursor_skip(struct zcb_cursor *cursor, size_t len)
{
    if (len > cursor->left)
        return -EAGAIN;
    if (len >= here(cursor)) {
        leap(cursor, len);
    } else {
        cursor->cur += len;
        cursor->left -= len;
    }
    return 0;
}

// Copies what is there, and goes behind it.
static void
copy(struct zcb_cursor *cursor, uint8_t *dst, size_t len)
{
    while (len != 0) {
        size_t part = len < here(cursor) ? len : here(cursor);

        memcpy(dst, cursor->cur, part);
        dst += part;
        len -= part;
        cursor->cur += part;
        cursor->left -= part;
        if (cursor->cur == cursor->end && cursor->left != 0)
            enter(cursor, (uint32_t)cursor->opaque[NUMBER] + 1);
    }
}

int
zcb_cursor_read(struct zcb_cursor *cursor, void *dst, size_t len)
{
    if (dst == NULL && len != 0)
        return -EINVAL;
    if (len > cursor->left)
        return -EAGAIN;
    if (len != 0) {
        copy(cursor, dst, len);
        zcb_count_copy(ZCB_COPY_COPY_TO, len);
    }
    return 0;
}

// An integer's bytes at the end of a chunk. As with zcb_chain_peek_u8() and its kin they are
// counted only where they cross into the next.
static int
read_int(struct zcb_cursor *cursor, void *dst, size_t len)
{
    bool crosses = len > here(cursor);

    if (len > cursor->left)
        return -EAGAIN;
    copy(cursor, dst, len);
    if (crosses)
        zcb_count_copy(ZCB_COPY_PEEK, len);
    return 0;
}

#define CURSOR_INT(name, type, order)                                                              \
    int zcb_cursor_##name(struct zcb_cursor *cursor, type *out)                                    \
    {                                                                                              \
        type value;                                                                                \
        int result;                                                                                \
                                                                                                   \
        if (ZCB_LIKELY(sizeof(value) < here(cursor))) {                                            \
            memcpy(&value, cursor->cur, sizeof(value));                                            \
            cursor->cur += sizeof(value);                                                          \
            cursor->left -= sizeof(value);                                                         \
        } else {                                                                                   \
            result = read_int(cursor, &value, sizeof(value));                                      \
            if (result < 0)                                                                        \
                return result;                                                                     \
        }                                                                                          \
        *out = order(value);                                                                       \
        return 0;                                                                                  \
    }

CURSOR_INT(u8, uint8_t, ZCB_SAME)
CURSOR_INT(u16be, uint16_t, ZCB_BE16)
CURSOR_INT(u16le, uint16_t, ZCB_LE16)
CURSOR_INT(u32be, uint32_t, ZCB_BE32)
CURSOR_INT(u32le, uint32_t, ZCB_LE32)
CURSOR_INT(u64be, uint64_t, ZCB_BE64)
CURSOR_INT(u64le, uint64_t, ZCB_LE64)

const uint8_t *
zcb_cursor_peek(const struct zcb_cursor *cursor, size_t *len)
{
    if (len != NULL)
        *len = here(cursor);
    return cursor->left != 0 ? cursor->cur : NULL;
}

size_t
zcb_cursor_tell(const struct zcb_cursor *cursor)
{
    return cursor->chain->len - cursor->left;
}

size_t
zcb_cursor_left(const struct zcb_cursor *cursor)
{
    return cursor->left;
}
