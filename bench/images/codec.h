// SPDX-License-Identifier: MIT
//
// A library that decodes images. Pixels are RGBA, eight bits each, rows without a gap.
#ifndef BENCH_IMAGES_CODEC_H
#define BENCH_IMAGES_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct picture {
    uint32_t width, height;
    uint8_t *pixels;
};

struct codec {
    const char *name;
    bool lossless;
    // 0, or -1. What it makes is freed with free().
    int (*encode)(const struct picture *picture, uint8_t **out, size_t *len);
    int (*decode)(const uint8_t *data, size_t len, const struct picture *to);
};

extern const struct codec codec_turbojpeg, codec_webp, codec_png, codec_spng;

#endif
