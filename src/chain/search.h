// SPDX-License-Identifier: MIT
//
// Which chunk has the byte at an offset, when all that is known of chunks is where they end.
//
// A look at one chunk's end leaves the chunks on one side of it. Most offsets are near the front, so
// the first looks are there. Further on, if chunks are of about one length, a chunk is as far along
// as its bytes are: that is the guess, and the look beside it shows that it was right. If it was
// not, steps that grow lead from there to a look on the other side of the byte, and the next guess
// is among the few between. Lengths can be such that guesses are no better than any other chunk;
// what two of them have left is halved. However long the chunks are, n of them take at most
// 8 + 5/3 log2(n) looks.
#ifndef ZCB_CHAIN_SEARCH_H
#define ZCB_CHAIN_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ZCB_SEARCH_NEAR = 8, // chunks 0, 1, 3 and 7 are looked at before a guess
    ZCB_SEARCH_FEW = 8,  // fewer are not worth a guess's division
    ZCB_SEARCH_GUESSES = 2,
    ZCB_SEARCH_STEP = 8, // how much longer each step is than the one before
};

// Where the chunk with that number ends.
typedef size_t zcb_end_fn(const void *chunks, uint32_t number);

// From the first to the last that it may be.
struct zcb_range {
    uint32_t low;
    uint32_t high;
};

// `at` is less than high.
static inline void
zcb_search_look(struct zcb_range *in, uint32_t at, size_t off, zcb_end_fn *end_of,
                const void *chunks)
{
    if (end_of(chunks, at) <= off)
        in->low = at + 1;
    else
        in->high = at;
}

// Which one it is if all are of one length; less than high. low is not 0: chunk 0 was looked at.
static inline uint32_t
zcb_search_guess(const struct zcb_range *in, size_t off, zcb_end_fn *end_of, const void *chunks)
{
    size_t start = end_of(chunks, in->low - 1);
    uint64_t part = off - start, whole = end_of(chunks, in->high) - start;
    uint32_t others = in->high - in->low;
    uint64_t skip;

    while (whole > UINT32_MAX) { // so that the product fits
        whole >>= 1;
        part >>= 1;
    }
    skip = part * ((uint64_t)others + 1) / whole;
    return in->low + (skip < others ? (uint32_t)skip : others - 1);
}

// The number of the chunk, of `count`; the last of them ends behind `off`.
static inline uint32_t
zcb_search(zcb_end_fn *end_of, const void *chunks, uint32_t count, size_t off)
{
    struct zcb_range in = {0, count - 1};

    for (uint32_t at = 0; at < in.high && at < ZCB_SEARCH_NEAR; at = 2 * at + 1)
        zcb_search_look(&in, at, off, end_of, chunks);
    for (int i = 0; i < ZCB_SEARCH_GUESSES && in.high - in.low >= ZCB_SEARCH_FEW; i++) {
        uint32_t guess = zcb_search_guess(&in, off, end_of, chunks);
        bool up;

        zcb_search_look(&in, guess, off, end_of, chunks);
        up = in.low > guess;
        for (uint64_t step = 1; step <= in.high - in.low; step *= ZCB_SEARCH_STEP)
            zcb_search_look(&in, up ? in.low + (uint32_t)step - 1 : in.high - (uint32_t)step, off,
                            end_of, chunks);
    }
    while (in.low < in.high)
        zcb_search_look(&in, in.low + (in.high - in.low) / 2, off, end_of, chunks);
    return in.low;
}

#endif
