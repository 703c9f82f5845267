// SPDX-License-Identifier: MIT
//
// Formats and layouts. Dimensions come from files: they are multiplied in 64 bits, each product and
// sum that could pass that is checked, and what is left is compared with the limits before it
// becomes a size_t.
#include "image.h"

#include <string.h>

#define MAX_ALIGN 4096u

static const struct zcb_image_format_info formats[] = {
#define ROW(NAME, text, planes, a, b, c, narrower, lower, bits, channels, alpha)                   \
    [ZCB_IMAGE_##NAME] = {text, planes, {a, b, c, 0}, narrower, lower, bits, channels, alpha},
    ZCB_IMAGE_FORMATS(ROW)
#undef ROW
};

const struct zcb_image_format_info *
zcb_image_format_info(unsigned format)
{
    return format != ZCB_IMAGE_NONE && format < ZCB_IMAGE_FORMAT_END ? &formats[format] : NULL;
}

static uint32_t
halved(uint32_t pixels, unsigned times)
{
    return (uint32_t)(((uint64_t)pixels + (1u << times) - 1) >> times);
}

struct image_area
image_area(const struct zcb_image_format_info *info, unsigned plane, uint32_t width,
           uint32_t height)
{
    struct image_area area = {
        .width = halved(width, plane != 0 ? info->narrower : 0),
        .rows = halved(height, plane != 0 ? info->lower : 0),
    };

    area.row_bytes = (uint64_t)area.width * info->pixel_bytes[plane];
    return area;
}

struct image_area
image_area_of(unsigned format, unsigned planes, unsigned plane, uint32_t width, uint32_t height)
{
    const struct zcb_image_format_info *info = zcb_image_format_info(format);

    return info != NULL && plane < planes ? image_area(info, plane, width, height)
                                          : (struct image_area){0};
}

bool
image_reach(size_t stride, uint32_t row_bytes, uint32_t rows, size_t *out)
{
    return !__builtin_mul_overflow(stride, rows - 1, out) &&
           !__builtin_add_overflow(*out, row_bytes, out);
}

int
image_place(const uint32_t *row_bytes, const uint32_t *rows, unsigned mask, size_t align,
            size_t *stride, size_t *offset, size_t *bytes)
{
    size_t sum = 0, len;

    for (unsigned i = 0; i < ZCB_IMAGE_PLANES; i++) {
        if (!(mask & (1u << i)))
            continue;
        if (__builtin_add_overflow((size_t)row_bytes[i], align - 1, &len))
            return -EOVERFLOW;
        stride[i] = len & ~(align - 1);
        offset[i] = sum;
        if (__builtin_mul_overflow(stride[i], rows[i], &len) ||
            __builtin_add_overflow(sum, len, &sum))
            return -EOVERFLOW;
    }
    if (sum > PTRDIFF_MAX)
        return -EOVERFLOW;
    *bytes = sum;
    return 0;
}

int
zcb_image_layout(unsigned format, uint32_t width, uint32_t height, size_t align,
                 const struct zcb_image_limits *limits, struct zcb_image_layout *out)
{
    const struct zcb_image_format_info *info = zcb_image_format_info(format);
    struct zcb_image_limits most = {0};
    struct zcb_image_layout layout = {.width = width, .height = height};
    int result;

    if (limits != NULL)
        most = *limits;
    for (size_t i = 0; i < sizeof(most.reserved) / sizeof(most.reserved[0]); i++)
        if (most.reserved[i] != 0)
            return -EINVAL;
    if (align == 0)
        align = 64;
    if (out == NULL || info == NULL || width == 0 || height == 0 || align > MAX_ALIGN ||
        (align & (align - 1)) != 0)
        return -EINVAL;
    if (width > (most.max_width != 0 ? most.max_width : 65535) ||
        height > (most.max_height != 0 ? most.max_height : 65535) ||
        (uint64_t)width * height > (most.max_pixels != 0 ? most.max_pixels : 1u << 28))
        return -ENOBUFS;
    layout.format = (uint16_t)format;
    layout.planes = info->planes;
    for (unsigned i = 0; i < info->planes; i++) {
        struct image_area area = image_area(info, i, width, height);

        if (area.row_bytes > UINT32_MAX)
            return -EOVERFLOW;
        layout.row_bytes[i] = (uint32_t)area.row_bytes;
        layout.rows[i] = area.rows;
    }
    result = image_place(layout.row_bytes, layout.rows, (1u << info->planes) - 1, align,
                         layout.stride, layout.offset, &layout.bytes);
    if (result < 0)
        return result;
    if (layout.bytes > (most.max_bytes != 0 ? most.max_bytes : (size_t)1 << 30))
        return -ENOBUFS;
    // No plane has more than strides x rows, whose sum was checked.
    for (unsigned i = 0; i < info->planes; i++)
        layout.pixel_bytes += (size_t)layout.row_bytes[i] * layout.rows[i];
    *out = layout;
    return 0;
}

bool
image_apart(const struct image_span *a, const struct image_span *b)
{
    const struct image_span *low = a->at <= b->at ? a : b, *high = low == a ? b : a;
    size_t column;

    if (high->at - low->at >= low->reach)
        return true;
    if (low->stride != high->stride)
        return false;
    column = (high->at - low->at) % low->stride; // of the high one's rows, in the low one's
    return column >= low->row_bytes && high->row_bytes <= low->stride - column;
}

int
image_layout_check(const struct zcb_image_layout *layout, size_t *reach)
{
    const struct zcb_image_format_info *info = zcb_image_format_info(layout->format);

    if (info == NULL || layout->width == 0 || layout->height == 0 ||
        layout->planes != info->planes || layout->reserved != 0)
        return -EINVAL;
    for (unsigned i = 0; i < info->planes; i++) {
        struct image_area area = image_area(info, i, layout->width, layout->height);

        if (layout->row_bytes[i] != area.row_bytes || layout->rows[i] != area.rows ||
            layout->stride[i] < area.row_bytes)
            return -EINVAL;
    }
    for (unsigned i = 0; i < info->planes; i++)
        if (!image_reach(layout->stride[i], layout->row_bytes[i], layout->rows[i], &reach[i]))
            return -EOVERFLOW;
    return 0;
}

int
image_layout_inside(const struct zcb_image_layout *layout, const size_t *reach, size_t bytes)
{
    struct image_span span[ZCB_IMAGE_PLANES];
    size_t end;

    for (unsigned i = 0; i < layout->planes; i++) {
        if (__builtin_add_overflow(layout->offset[i], reach[i], &end))
            return -EOVERFLOW;
        if (end > bytes)
            return -ERANGE;
        span[i] = (struct image_span){layout->offset[i], reach[i], layout->stride[i],
                                      layout->row_bytes[i]};
    }
    for (unsigned i = 0; i < layout->planes; i++)
        for (unsigned j = 0; j < i; j++)
            if (!image_apart(&span[i], &span[j]))
                return -EINVAL;
    return 0;
}
