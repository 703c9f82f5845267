// SPDX-License-Identifier: MIT
//
// Images that share memory. A view is its planes' packets, moved; nothing here looks at a pixel.
#include "image.h"

#include <string.h>

_Static_assert(sizeof(struct zcb_image) <= 144, "passed by value");
_Static_assert(sizeof(struct zcb_image_buf) <= 160, "as the header says");

static const struct zcb_image empty_image;

// ---- wrapping

static struct zcb_image
start(const struct zcb_image_layout *layout)
{
    struct zcb_image image = {
        .width = layout->width,
        .height = layout->height,
        .format = layout->format,
        .planes = layout->planes,
    };

    memcpy(image.stride, layout->stride, layout->planes * sizeof(image.stride[0]));
    return image;
}

int
zcb_image_wrap(const struct zcb_image_layout *layout, struct zcb_packet *bytes,
               struct zcb_image *out)
{
    size_t reach[ZCB_IMAGE_PLANES];
    struct zcb_image image;
    int result;

    if (layout == NULL || bytes == NULL || out == NULL)
        return -EINVAL;
    result = image_layout_check(layout, reach);
    if (result == 0)
        result = image_layout_inside(layout, reach, bytes->len);
    if (result < 0)
        return result;
    image = start(layout);
    for (unsigned i = 0; i < layout->planes; i++)
        image.plane[i] =
            (struct zcb_packet){bytes->data + layout->offset[i], reach[i], bytes->owner};
    // In this order: the packet may be a plane of what *out was.
    *bytes = zcb_packet_static(NULL, 0);
    *out = image;
    return 0;
}

int
zcb_image_wrap_planes(const struct zcb_image_layout *layout, struct zcb_packet *planes,
                      struct zcb_image *out)
{
    size_t reach[ZCB_IMAGE_PLANES];
    struct zcb_image image;
    int result;

    if (layout == NULL || planes == NULL || out == NULL)
        return -EINVAL;
    result = image_layout_check(layout, reach);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < layout->planes; i++)
        if (reach[i] > planes[i].len)
            return -ERANGE;
    image = start(layout);
    for (unsigned i = 0; i < layout->planes; i++) {
        image.plane[i] = (struct zcb_packet){planes[i].data, reach[i], planes[i].owner};
        if (image_leads(&image, i))
            planes[i] = zcb_packet_static(NULL, 0);
        else
            zcb_packet_unref(&planes[i]);
    }
    *out = image;
    return 0;
}

// ---- references

struct zcb_image
zcb_image_ref(const struct zcb_image *image)
{
    for (unsigned i = 0; i < image->planes; i++)
        if (image_leads(image, i))
            zcb_packet_ref_n(&image->plane[i], 1);
    return *image;
}

void
zcb_image_unref(struct zcb_image *image)
{
    struct zcb_image old;

    if (image == NULL)
        return;
    // Emptied first: the release of foreign memory may look at the variable.
    old = *image;
    *image = empty_image;
    for (unsigned i = 0; i < old.planes; i++) {
        struct zcb_packet plane = old.plane[i];

        if (image_leads(&old, i))
            zcb_packet_unref(&plane);
    }
}

static struct image_area
area_of(const struct zcb_image *image, unsigned plane)
{
    return image_area_of(image->format, image->planes, plane, image->width, image->height);
}

uint32_t
zcb_image_row_bytes(const struct zcb_image *image, unsigned plane)
{
    return (uint32_t)area_of(image, plane).row_bytes;
}

uint32_t
zcb_image_rows_of(const struct zcb_image *image, unsigned plane)
{
    return area_of(image, plane).rows;
}

const uint8_t *
zcb_image_row(const struct zcb_image *image, unsigned plane, uint32_t row)
{
    return row < area_of(image, plane).rows ? image->plane[plane].data + row * image->stride[plane]
                                            : NULL;
}

bool
zcb_image_is_unique(const struct zcb_image *image)
{
    for (unsigned i = 0; i < image->planes; i++)
        if (!zcb_packet_is_unique(&image->plane[i]))
            return false;
    return image->planes != 0;
}

size_t
zcb_image_pinned(const struct zcb_image *image)
{
    size_t sum = 0;

    for (unsigned i = 0; i < image->planes; i++)
        if (image_leads(image, i))
            sum += zcb_packet_pinned(&image->plane[i]);
    return sum;
}

// ---- views

// Takes `format`, width and height as they are to be, and a first pixel for each plane: the rest of
// the view follows from those.
static void
finish_view(struct zcb_image *view, const struct zcb_image_format_info *info, struct zcb_image *out)
{
    for (unsigned i = 0; i < view->planes; i++) {
        struct image_area area = image_area(info, i, view->width, view->height);

        view->plane[i].len = (area.rows - 1) * view->stride[i] + (size_t)area.row_bytes;
    }
    *out = zcb_image_ref(view);
}

int
zcb_image_crop(const struct zcb_image *image, uint32_t x, uint32_t y, uint32_t width,
               uint32_t height, struct zcb_image *out)
{
    const struct zcb_image_format_info *info;
    struct zcb_image view;

    if (image == NULL || out == NULL || out == image || width == 0 || height == 0)
        return -EINVAL;
    info = zcb_image_format_info(image->format);
    if (info == NULL || x > image->width || width > image->width - x || y > image->height ||
        height > image->height - y)
        return -ERANGE;
    if ((x & ((1u << info->narrower) - 1)) != 0 || (y & ((1u << info->lower) - 1)) != 0)
        return -EINVAL;
    view = *image;
    view.width = width;
    view.height = height;
    for (unsigned i = 0; i < view.planes; i++)
        view.plane[i].data += (size_t)(i != 0 ? y >> info->lower : y) * view.stride[i] +
                              (size_t)(i != 0 ? x >> info->narrower : x) * info->pixel_bytes[i];
    finish_view(&view, info, out);
    return 0;
}

int
zcb_image_rows(const struct zcb_image *image, uint32_t first, uint32_t count, struct zcb_image *out)
{
    if (image == NULL || count == 0)
        return -EINVAL;
    if (image->planes == 0)
        return -ERANGE;
    return zcb_image_crop(image, 0, first, image->width, count, out);
}

int
zcb_image_plane(const struct zcb_image *image, unsigned plane, struct zcb_image *out)
{
    const struct zcb_image_format_info *info;
    struct image_area area;
    struct zcb_image view = {.planes = 1};
    bool pair, wide;

    if (image == NULL || out == NULL || out == image)
        return -EINVAL;
    info = zcb_image_format_info(image->format);
    if (info == NULL || plane >= image->planes)
        return -ERANGE;
    if (info->planes == 1 && info->channels != 1)
        return -ENOTSUP;
    area = image_area(info, plane, image->width, image->height);
    wide = info->sample_bits == 16;
    pair = info->pixel_bytes[plane] * 8 == 2 * info->sample_bits;
    view.plane[0] = image->plane[plane];
    view.stride[0] = image->stride[plane];
    view.width = area.width;
    view.height = area.rows;
    if (wide)
        view.format = pair ? ZCB_IMAGE_GRAY_ALPHA16 : ZCB_IMAGE_GRAY16;
    else
        view.format = pair ? ZCB_IMAGE_GRAY_ALPHA : ZCB_IMAGE_GRAY;
    *out = zcb_image_ref(&view);
    return 0;
}

int
zcb_image_field(const struct zcb_image *image, bool bottom, struct zcb_image *out)
{
    const struct zcb_image_format_info *info;
    struct zcb_image view;

    if (image == NULL || out == NULL || out == image)
        return -EINVAL;
    info = zcb_image_format_info(image->format);
    if (info == NULL || image->height <= bottom)
        return -ERANGE;
    if (info->lower != 0)
        return -ENOTSUP;
    view = *image;
    view.height = (image->height - bottom + 1) / 2;
    for (unsigned i = 0; i < view.planes; i++) {
        if (bottom)
            view.plane[i].data += view.stride[i];
        // Of a single row the stride is any number, and doubling it again and again would not fit.
        if (view.height > 1)
            view.stride[i] *= 2;
    }
    finish_view(&view, info, out);
    return 0;
}
