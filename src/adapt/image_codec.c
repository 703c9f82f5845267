// SPDX-License-Identifier: MIT
//
// What codecs take: upper bounds of what was measured (docs/image_budget.md has the figures; the
// program is bench/image_memory). The shape of each formula follows from what the codec keeps:
//
//     JPEG          rows of MCUs of each component. Progressive, and optimised tables: every
//                   coefficient of the image, 2 bytes (ITU-T T.81 has them sent in several scans)
//     PNG           two rows to filter, inflate's 32 KiB of history; deflate's 256 KiB, and a row
//                   for each filter that is tried (RFC 1951, zlib's zconf.h)
//     WebP          lossy: a few rows of macroblocks. Lossless, and alpha: all pixels (RFC 9649)
//     AVIF          the frame, one more where film grain or a grid make a second one of it, and
//                   what the decoder knows of each block; alpha is a second decoder's
#include "adapt/image_plan.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)

bool
image_codec_streams(uint8_t codec, bool encodes)
{
    switch (codec) {
    case ZCB_IMAGE_PNG_INTERLACED:
    case ZCB_IMAGE_WEBP:
    case ZCB_IMAGE_WEBP_LOSSLESS:
        return false;
    case ZCB_IMAGE_AVIF: // decoding: rows are made of its own frame
        return !encodes;
    default:
        return true;
    }
}

static uint64_t
padded(uint32_t size, uint32_t to)
{
    return ((uint64_t)size + to - 1) / to * to;
}

static uint64_t
jpeg_bytes(const struct image_codec_ask *ask, bool whole)
{
    // Rows of MCUs: 8 rows of each component, 16 and more where chroma has fewer.
    uint64_t rows = 64 * KIB + (uint64_t)ask->width * ask->samples * (ask->lower ? 7 : 3);
    uint64_t pixels = plan_mul(padded(ask->width, 32), padded(ask->height, 32));

    return whole ? plan_add(rows, plan_mul(pixels / 2, ask->samples)) : rows;
}

static uint64_t
png_bytes(const struct image_codec_ask *ask)
{
    // A pixel has at most 8 bytes.
    return ask->encodes ? 320 * KIB + (uint64_t)ask->width * 40
                        : 64 * KIB + (uint64_t)ask->width * 32;
}

// All pixels as 32 bits, and Huffman tables of 12 KiB for each group of them, of which there is at
// most one for each 4 x 4 pixels; encoders make a few hundred.
static uint64_t
webp_lossless_read(const struct image_codec_ask *ask)
{
    uint64_t pixels = plan_mul(ask->width, ask->height);
    uint64_t groups = padded(ask->width, 4) / 4 * (padded(ask->height, 4) / 4);

    return plan_add(plan_mul(pixels, 4) + (uint64_t)ask->width * 96,
                    64 * KIB + (groups < 340 ? groups : 340) * 12 * KIB);
}

static uint64_t
webp_bytes(const struct image_codec_ask *ask, bool lossless)
{
    uint64_t pixels = plan_mul(ask->width, ask->height);
    uint64_t rows = 64 * KIB + (uint64_t)ask->width * (ask->threads > 1 ? 320 : 160);

    if (ask->encodes)
        return lossless || ask->alpha ? plan_add(plan_mul(pixels, 72), 2 * MIB)
                                      : plan_add(plan_mul(pixels, 32), 256 * KIB);
    if (lossless)
        return webp_lossless_read(ask);
    // Alpha is lossless, and kept as a plane of its own.
    return ask->alpha ? plan_add(plan_add(rows, webp_lossless_read(ask)), plan_mul(pixels, 3))
                      : rows;
}

static uint64_t
avif_bytes(const struct image_codec_ask *ask)
{
    uint64_t pixels = plan_mul(padded(ask->width, 128), padded(ask->height, 128));
    uint64_t codecs = ask->alpha ? 2 : 1, threads = ask->threads, quarters;

    if (ask->encodes)
        quarters = 48 * ask->samples;
    else
        quarters = 2 * ask->samples + codecs * (4 + threads);
    if (ask->deep)
        quarters *= 2;
    return plan_add(plan_mul(pixels / 4, quarters),
                    codecs * (MIB + threads * MIB / 2) * (ask->encodes ? 4 : 1));
}

uint64_t
image_codec_bytes(const struct image_codec_ask *ask)
{
    switch (ask->codec) {
    case ZCB_IMAGE_JPEG:
    case ZCB_IMAGE_JPEG_PROGRESSIVE:
        return jpeg_bytes(ask, ask->codec == ZCB_IMAGE_JPEG_PROGRESSIVE);
    case ZCB_IMAGE_PNG:
    case ZCB_IMAGE_PNG_INTERLACED:
        return png_bytes(ask);
    case ZCB_IMAGE_WEBP:
    case ZCB_IMAGE_WEBP_LOSSLESS:
        return webp_bytes(ask, ask->codec == ZCB_IMAGE_WEBP_LOSSLESS);
    case ZCB_IMAGE_AVIF:
        return avif_bytes(ask);
    default:
        return 0;
    }
}
