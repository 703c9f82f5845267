// SPDX-License-Identifier: MIT
//
// Between the arithmetic of plans (image_plan.c) and the figures of codecs (image_codec.c).
#ifndef ZCB_ADAPT_IMAGE_PLAN_H
#define ZCB_ADAPT_IMAGE_PLAN_H

#include <zcbuf/adapt/image_budget.h>

// Sums and products that stay at UINT64_MAX once they are there: that is looked at once, at the
// end.
static inline uint64_t
plan_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static inline uint64_t
plan_mul(uint64_t a, uint64_t b)
{
    return a != 0 && b > UINT64_MAX / a ? UINT64_MAX : a * b;
}

// What a codec is asked.
struct image_codec_ask {
    uint8_t codec;
    bool encodes;
    uint32_t width, height; // of the file
    unsigned samples;       // of the file, in quarters for each pixel: 4 are one full plane
    bool lower;             // it may have fewer rows of chroma than of luma
    bool alpha, deep;       // it may have alpha; samples of more than 8 bits
    unsigned threads;
};

// Bytes of its own, at most.
uint64_t image_codec_bytes(const struct image_codec_ask *ask);

// Whether it makes (decoding) or takes (encoding) rows from the top down.
bool image_codec_streams(uint8_t codec, bool encodes);

#endif
