// SPDX-License-Identifier: MIT
//
// Searching across chunks, in linear time and constant memory.
//
// The method is the two-way algorithm (M. Crochemore and D. Perrin, "Two-way string-matching", J.
// ACM 38, 1991): the pattern is cut in two at a critical place; the right part is compared
// forwards, then the left one backwards, and the pattern's period says how far to go on. Unlike
// Knuth-Morris-Pratt it needs no table, so nothing is allocated for a long pattern; unlike
// memchr-and-compare it stays linear when "aaaaaaab" is looked for among a million a's. memchr only
// finds the next place where the right part can begin.

#include <string.h>

#include "chain/chain.h"

// A window on the chain's bytes: the chunk that was looked at last.
struct text {
    const struct zcb_chain_state *s;
    uint32_t number;
    size_t start; // of the chunk, as an offset from the front
    size_t len;
    const uint8_t *data;
};

static void
look_at(struct text *text, uint32_t number, size_t start)
{
    text->number = number;
    text->start = start;
    text->len = zcb_entry_end(text->s, number) - start;
    text->data = zcb_entry(text->s, number)->stop - text->len;
}

// The search moves by no more chunks than it has bytes compared or skipped, so going step by step
// is linear too.
static void
seek(struct text *text, size_t off)
{
    while (off < text->start) {
        uint32_t number = text->number - 1;

        look_at(text, number, number != 0 ? zcb_entry_end(text->s, number - 1) : 0);
    }
    while (off - text->start >= text->len)
        look_at(text, text->number + 1, text->start + text->len);
}

static inline uint8_t
byte_at(struct text *text, size_t off)
{
    if (ZCB_UNLIKELY(off - text->start >= text->len))
        seek(text, off);
    return text->data[off - text->start];
}

// The first `byte` at `off` or behind it, before `end`; `end` where there is none, also when `off`
// lies beyond it.
static size_t
next_byte(struct text *text, size_t off, size_t end, uint8_t byte)
{
    while (off < end) {
        const uint8_t *found;
        size_t skip, len;

        if (off - text->start >= text->len)
            seek(text, off);
        skip = off - text->start;
        len = text->len - skip < end - off ? text->len - skip : end - off;
        found = memchr(text->data + skip, byte, len);
        if (found != NULL)
            return off + (size_t)(found - (text->data + skip));
        off += len;
    }
    return end;
}

// The place of the pattern's greatest suffix, in the order of bytes or (`inverse`) its opposite,
// and the suffix' period.
static size_t
greatest_suffix(const uint8_t *pattern, size_t n, bool inverse, size_t *period)
{
    size_t best = 0, other = 1, k = 0, p = 1;

    while (other + k < n) {
        uint8_t a = pattern[other + k], b = pattern[best + k];

        if (a == b) {
            k++;
            if (k == p) {
                other += p;
                k = 0;
            }
        } else if ((a < b) != inverse) {
            other += k + 1;
            k = 0;
            p = other - best;
        } else {
            best = other++;
            k = 0;
            p = 1;
        }
    }
    *period = p;
    return best;
}

// Where to cut, and how far a match of the right part may be shifted.
static size_t
cut(const uint8_t *pattern, size_t n, size_t *period)
{
    size_t inverse_period;
    size_t plain = greatest_suffix(pattern, n, false, period);
    size_t inverse = greatest_suffix(pattern, n, true, &inverse_period);

    if (inverse > plain) {
        *period = inverse_period;
        return inverse;
    }
    return plain;
}

static int
search(struct text *text, size_t off, const uint8_t *pattern, size_t n, size_t *at)
{
    size_t period, middle = cut(pattern, n, &period);
    size_t limit = text->s->len - (n - 1) + middle; // no right part begins here or beyond

    // The period of the right part may be the whole pattern's; if not, a mismatch on the left allows
    // a larger shift.
    if (period + middle > n || memcmp(pattern, pattern + period, middle) != 0)
        period = (middle > n - middle ? middle : n - middle) + 1;
    // The published method also remembers what a shift by the period leaves matched, which matters
    // to those who look for all places. Here it would save one comparison of the pattern at most:
    // after such a shift the left part lies in what has just matched, so the pattern is found, or
    // the right part differs near its end.
    for (;;) {
        size_t right = next_byte(text, off + middle, limit, pattern[middle]), i = middle;

        if (right == limit)
            return -EAGAIN;
        off = right - middle;
        while (i < n && pattern[i] == byte_at(text, off + i))
            i++;
        if (i < n) {
            off += i - middle + 1;
            continue;
        }
        i = middle;
        while (i > 0 && pattern[i - 1] == byte_at(text, off + i - 1))
            i--;
        if (i == 0) {
            *at = off;
            return 0;
        }
        off += period;
    }
}

int
zcb_chain_find(const struct zcb_chain *chain, size_t off, const void *pattern, size_t n, size_t *at)
{
    struct text text = {.s = zcb_chain_view(chain)};
    uint32_t number;
    size_t start;

    if (chain == NULL || pattern == NULL || n == 0 || at == NULL)
        return -EINVAL;
    if (off >= chain->len || n > chain->len - off)
        return -EAGAIN;
    number = zcb_chain_locate(text.s, off, &start);
    look_at(&text, number, start);
    return search(&text, off, pattern, n, at);
}

int
zcb_chain_find_byte(const struct zcb_chain *chain, size_t off, uint8_t byte, size_t *at)
{
    return zcb_chain_find(chain, off, &byte, 1, at);
}

int
zcb_chain_find_crlf(const struct zcb_chain *chain, size_t off, size_t *at)
{
    return zcb_chain_find(chain, off, "\r\n", 2, at);
}
