// SPDX-License-Identifier: MIT
//
// What tests of images do all the time: the formats in a table of their own, pictures whose every
// byte tells where it belongs. Needs testing.h in front of it.
#ifndef ZCB_TESTS_IMAGE_TESTING_H
#define ZCB_TESTS_IMAGE_TESTING_H

#include "support/pools.h"

#include <zcbuf/adapt/image.h>

// Written down by hand, not made of the header's: bytes of a pixel, and by how much a plane is
// narrower and lower.
static const struct format_row {
    const char *name;
    unsigned format, planes, bits, channels, alpha;
    unsigned bytes[4], xdiv[4], ydiv[4];
} format_rows[] = {
    {"gray", ZCB_IMAGE_GRAY, 1, 8, 1, 0, {1}, {1}, {1}},
    {"gray_alpha", ZCB_IMAGE_GRAY_ALPHA, 1, 8, 2, 1, {2}, {1}, {1}},
    {"rgb", ZCB_IMAGE_RGB, 1, 8, 3, 0, {3}, {1}, {1}},
    {"rgba", ZCB_IMAGE_RGBA, 1, 8, 4, 1, {4}, {1}, {1}},
    {"bgra", ZCB_IMAGE_BGRA, 1, 8, 4, 1, {4}, {1}, {1}},
    {"gray16", ZCB_IMAGE_GRAY16, 1, 16, 1, 0, {2}, {1}, {1}},
    {"gray_alpha16", ZCB_IMAGE_GRAY_ALPHA16, 1, 16, 2, 1, {4}, {1}, {1}},
    {"rgb16", ZCB_IMAGE_RGB16, 1, 16, 3, 0, {6}, {1}, {1}},
    {"rgba16", ZCB_IMAGE_RGBA16, 1, 16, 4, 1, {8}, {1}, {1}},
    {"yuv420", ZCB_IMAGE_YUV420, 3, 8, 3, 0, {1, 1, 1}, {1, 2, 2}, {1, 2, 2}},
    {"yuv422", ZCB_IMAGE_YUV422, 3, 8, 3, 0, {1, 1, 1}, {1, 2, 2}, {1, 1, 1}},
    {"yuv444", ZCB_IMAGE_YUV444, 3, 8, 3, 0, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},
    {"nv12", ZCB_IMAGE_NV12, 2, 8, 3, 0, {1, 2}, {1, 2}, {1, 2}},
};

#define FORMATS (sizeof(format_rows) / sizeof(format_rows[0]))

static inline const struct format_row *
format_row(unsigned format)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (format_rows[i].format == format)
            return &format_rows[i];
    CHECK(!"a format of the table");
    return NULL;
}

static inline uint32_t
plane_width(const struct format_row *row, unsigned plane, uint32_t width)
{
    return width / row->xdiv[plane] + (width % row->xdiv[plane] != 0);
}

static inline uint32_t
plane_rows(const struct format_row *row, unsigned plane, uint32_t height)
{
    return height / row->ydiv[plane] + (height % row->ydiv[plane] != 0);
}

static inline size_t
pixel_bytes(const struct format_row *row, uint32_t width, uint32_t height)
{
    size_t sum = 0;

    for (unsigned i = 0; i < row->planes; i++)
        sum += (size_t)plane_width(row, i, width) * row->bytes[i] * plane_rows(row, i, height);
    return sum;
}

// The byte of picture `seed` in a plane's row `y`, `x` bytes from its left edge. Never 0xee.
static inline uint8_t
picture_byte(uint32_t seed, unsigned plane, uint32_t y, size_t x)
{
    uint32_t z = seed * 2654435761u + plane * 40503u + y * 97u + (uint32_t)x;

    z = (z ^ (z >> 15)) * 2246822519u;
    return (uint8_t)((z ^ (z >> 13)) % 0xee);
}

static inline struct zcb_image_layout
must_layout(unsigned format, uint32_t width, uint32_t height, size_t align)
{
    struct zcb_image_layout layout;

    CHECK(zcb_image_layout(format, width, height, align, NULL, &layout) == 0);
    return layout;
}

// Writes the picture's pixels, and 0xee nowhere.
static inline void
draw(struct zcb_image_buf *image, uint32_t seed)
{
    const struct format_row *row = format_row(image->format);

    CHECK(image->planes == row->planes);
    for (unsigned i = 0; i < image->planes; i++) {
        size_t row_bytes = (size_t)plane_width(row, i, image->width) * row->bytes[i];

        CHECK(zcb_image_buf_row_bytes(image, i) == row_bytes);
        CHECK(zcb_image_buf_rows_of(image, i) == plane_rows(row, i, image->height));
        for (uint32_t y = 0; y < plane_rows(row, i, image->height); y++) {
            uint8_t *to = zcb_image_buf_row(image, i, y);

            CHECK(to == image->plane[i] + y * image->stride[i]);
            for (size_t x = 0; x < row_bytes; x++)
                to[x] = picture_byte(seed, i, y, x);
        }
        CHECK(zcb_image_buf_row(image, i, plane_rows(row, i, image->height)) == NULL);
    }
    for (unsigned i = image->planes; i <= ZCB_IMAGE_PLANES; i++)
        CHECK(zcb_image_buf_row(image, i, 0) == NULL && zcb_image_buf_row_bytes(image, i) == 0 &&
              zcb_image_buf_rows_of(image, i) == 0);
}

static inline struct zcb_image
must_draw(struct zcb_pool *pool, unsigned format, uint32_t width, uint32_t height, bool apart,
          uint32_t seed)
{
    struct zcb_image_layout layout = must_layout(format, width, height, 0);
    struct zcb_image_buf buf;
    struct zcb_image image;

    CHECK((apart ? zcb_image_acquire_planes : zcb_image_acquire)(pool, &layout, &buf) == 0);
    draw(&buf, seed);
    zcb_image_buf_share(&buf, &image);
    CHECK(buf.planes == 0 && buf.buf[0] == NULL && buf.plane[0] == NULL);
    return image;
}

// That `view` is `width` x `height` pixels of the picture from (x, y) on, of which it has every
// `step`-th row; all of them through each way there is to look at them.
static inline bool
shows(const struct zcb_image *view, uint32_t seed, uint32_t x, uint32_t y, uint32_t step,
      uint32_t width, uint32_t height)
{
    const struct format_row *row = format_row(view->format);

    if (view->width != width || view->height != height || view->planes != row->planes)
        return false;
    for (unsigned i = 0; i < row->planes; i++) {
        uint32_t rows = plane_rows(row, i, height);
        size_t row_bytes = (size_t)plane_width(row, i, width) * row->bytes[i];

        if (zcb_image_row_bytes(view, i) != row_bytes || zcb_image_rows_of(view, i) != rows ||
            view->plane[i].len != (rows - 1) * view->stride[i] + row_bytes ||
            view->stride[i] < row_bytes || zcb_image_row(view, i, rows) != NULL)
            return false;
        for (uint32_t r = 0; r < rows; r++) {
            const uint8_t *from = zcb_image_row(view, i, r);

            if (from != view->plane[i].data + r * view->stride[i])
                return false;
            for (size_t b = 0; b < row_bytes; b++)
                if (from[b] != picture_byte(seed, i, y / row->ydiv[i] + r * step,
                                            (size_t)(x / row->xdiv[i]) * row->bytes[i] + b))
                    return false;
        }
    }
    for (unsigned i = row->planes; i < ZCB_IMAGE_PLANES; i++)
        if (zcb_image_row(view, i, 0) != NULL || zcb_image_row_bytes(view, i) != 0 ||
            zcb_image_rows_of(view, i) != 0 || view->plane[i].owner != NULL)
            return false;
    return true;
}

static inline bool
is_empty(const struct zcb_image *image)
{
    static const struct zcb_image none;

    return memcmp(image, &none, sizeof(none)) == 0;
}

#endif
