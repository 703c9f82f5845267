// SPDX-License-Identifier: MIT
//
// Images that are written, and copy-on-write.
#include "image.h"

#include <string.h>

#include <zcbuf/copies.h>

#define COPY_ALIGN 64u

static const struct zcb_image empty_image;
static const struct zcb_image_buf empty_buf;

// ---- the writer

static int
acquire(struct zcb_pool *pool, size_t bytes, struct zcb_buf **out)
{
    struct zcb_buf *buf;
    int result = zcb_pool_acquire(pool, bytes, &buf);

    if (result < 0)
        return result;
    result = zcb_buf_set_len(buf, bytes); // not above what was asked for: cannot fail
    if (result < 0)
        zcb_buf_release(&buf);
    else
        *out = buf;
    return result;
}

static struct zcb_image_buf
start(uint32_t width, uint32_t height, uint16_t format, uint16_t planes)
{
    return (struct zcb_image_buf){
        .width = width,
        .height = height,
        .format = format,
        .planes = planes,
    };
}

int
zcb_image_acquire(struct zcb_pool *pool, const struct zcb_image_layout *layout,
                  struct zcb_image_buf *out)
{
    size_t reach[ZCB_IMAGE_PLANES];
    struct zcb_image_buf image;
    int result;

    if (pool == NULL || layout == NULL || out == NULL || image_layout_check(layout, reach) < 0 ||
        image_layout_inside(layout, reach, layout->bytes) < 0)
        return -EINVAL;
    image = start(layout->width, layout->height, layout->format, layout->planes);
    result = acquire(pool, layout->bytes, &image.buf[0]);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < layout->planes; i++) {
        image.plane[i] = zcb_buf_data(image.buf[0]) + layout->offset[i];
        image.stride[i] = layout->stride[i];
    }
    *out = image;
    return 0;
}

int
zcb_image_acquire_planes(struct zcb_pool *pool, const struct zcb_image_layout *layout,
                         struct zcb_image_buf *out)
{
    size_t reach[ZCB_IMAGE_PLANES];
    struct zcb_image_buf image;

    if (pool == NULL || layout == NULL || out == NULL || image_layout_check(layout, reach) < 0)
        return -EINVAL;
    image = start(layout->width, layout->height, layout->format, layout->planes);
    for (unsigned i = 0; i < layout->planes; i++) {
        size_t bytes;
        int result = -EINVAL;

        // With the last row's padding: it is all the decoder's.
        if (!__builtin_mul_overflow(layout->stride[i], layout->rows[i], &bytes))
            result = acquire(pool, bytes, &image.buf[i]);
        if (result < 0) {
            zcb_image_buf_release(&image);
            return result;
        }
        image.plane[i] = zcb_buf_data(image.buf[i]);
        image.stride[i] = layout->stride[i];
        image.holder[i] = (uint8_t)i;
    }
    *out = image;
    return 0;
}

uint8_t *
zcb_image_buf_row(const struct zcb_image_buf *image, unsigned plane, uint32_t row)
{
    const struct zcb_image_format_info *info = zcb_image_format_info(image->format);

    if (info == NULL || plane >= image->planes ||
        row >= image_area(info, plane, image->width, image->height).rows)
        return NULL;
    return image->plane[plane] + row * image->stride[plane];
}

void
zcb_image_buf_release(struct zcb_image_buf *image)
{
    struct zcb_image_buf old;

    if (image == NULL)
        return;
    old = *image;
    *image = empty_buf;
    zcb_buf_release_n(old.buf, ZCB_IMAGE_PLANES);
}

void
zcb_image_buf_share(struct zcb_image_buf *image, struct zcb_image *out)
{
    const struct zcb_image_format_info *info = zcb_image_format_info(image->format);
    struct zcb_packet held[ZCB_IMAGE_PLANES] = {{0}};

    *out = (struct zcb_image){
        .width = image->width,
        .height = image->height,
        .format = image->format,
        .planes = image->planes,
    };
    for (unsigned i = 0; i < image->planes; i++) {
        struct image_area area = image_area(info, i, image->width, image->height);

        if (image->buf[i] != NULL)
            zcb_buf_share(&image->buf[i], &held[i]);
        out->stride[i] = image->stride[i];
        out->plane[i].data = image->plane[i];
        out->plane[i].len = (area.rows - 1) * image->stride[i] + (size_t)area.row_bytes;
        out->plane[i].owner = held[image->holder[i]].owner;
    }
    *image = empty_buf;
}

// ---- copy-on-write

static void
copy_plane(const struct zcb_image *image, unsigned plane, uint8_t *to, size_t stride,
           enum zcb_copy_reason reason)
{
    uint32_t row_bytes = zcb_image_row_bytes(image, plane);
    uint32_t rows = zcb_image_rows_of(image, plane);
    const uint8_t *from = image->plane[plane].data;

    for (uint32_t row = 0; row < rows; row++)
        memcpy(to + row * stride, from + row * image->stride[plane], row_bytes);
    zcb_count_copy(reason, (size_t)row_bytes * rows);
}

// Memory for the planes of `mask`, held by the first of them.
static int
acquire_copy(const struct zcb_image *image, unsigned mask, struct zcb_pool *pool,
             struct zcb_image_buf *out)
{
    unsigned first = (unsigned)__builtin_ctz(mask);
    uint32_t row_bytes[ZCB_IMAGE_PLANES], rows[ZCB_IMAGE_PLANES];
    size_t offset[ZCB_IMAGE_PLANES], bytes;
    int result;

    for (unsigned i = 0; i < ZCB_IMAGE_PLANES; i++) {
        row_bytes[i] = zcb_image_row_bytes(image, i);
        rows[i] = zcb_image_rows_of(image, i);
    }
    result = image_place(row_bytes, rows, mask, COPY_ALIGN, out->stride, offset, &bytes);
    if (result == 0)
        result = acquire(pool, bytes, &out->buf[first]);
    if (result < 0)
        return result;
    for (unsigned i = first; i < image->planes; i++)
        if (mask & (1u << i)) {
            out->plane[i] = zcb_buf_data(out->buf[first]) + offset[i];
            out->holder[i] = (uint8_t)first;
        }
    return 0;
}

// Planes with the owner of `first`.
static unsigned
planes_with(const struct zcb_image *image, unsigned first)
{
    unsigned mask = 0;

    for (unsigned i = first; i < image->planes; i++)
        if (image->plane[i].owner == image->plane[first].owner)
            mask |= 1u << i;
    return mask;
}

// Whether a plane of `mask` lies in another plane of the image too: one packet given for two
// planes, or foreign memory wrapped twice. Whoever writes one would write the other.
static bool
has_overlap(const struct zcb_image *image, unsigned mask)
{
    for (unsigned i = 0; i < image->planes; i++) {
        const struct zcb_packet *a = &image->plane[i];

        for (unsigned j = 0; j < image->planes && (mask & (1u << i)); j++) {
            const struct zcb_packet *b = &image->plane[j];

            if (i != j && !image_apart((uintptr_t)a->data, a->len, zcb_image_row_bytes(image, i),
                                       (uintptr_t)b->data, b->len, zcb_image_row_bytes(image, j),
                                       image->stride[i], image->stride[j]))
                return true;
        }
    }
    return false;
}

// Takes the block of the planes of `mask` out of the image, where it may be written.
static bool
take_in_place(const struct zcb_image *image, unsigned mask, struct zcb_image_buf *out)
{
    unsigned first = (unsigned)__builtin_ctz(mask);
    struct zcb_packet span = image->plane[first];
    const uint8_t *end = span.data + span.len, *begin;

    if (has_overlap(image, mask))
        return false;
    for (unsigned i = first + 1; i < image->planes; i++)
        if (mask & (1u << i)) {
            const struct zcb_packet *plane = &image->plane[i];

            span.data = plane->data < span.data ? plane->data : span.data;
            end = plane->data + plane->len > end ? plane->data + plane->len : end;
        }
    begin = span.data;
    span.len = (size_t)(end - begin);
    // Without a pool: what would have to be copied (static memory, too) is refused.
    if (zcb_packet_make_writable(&span, NULL, &out->buf[first]) < 0)
        return false;
    for (unsigned i = first; i < image->planes; i++)
        if (mask & (1u << i)) {
            out->plane[i] = zcb_buf_data(out->buf[first]) + (image->plane[i].data - begin);
            out->stride[i] = image->stride[i];
            out->holder[i] = (uint8_t)first;
        }
    return true;
}

int
zcb_image_make_writable(struct zcb_image *image, struct zcb_pool *pool, struct zcb_image_buf *out)
{
    struct zcb_image_buf to;
    struct zcb_image was;
    unsigned copied = 0;
    int result = 0;

    if (image == NULL || out == NULL)
        return -EINVAL;
    to = start(image->width, image->height, image->format, image->planes);
    // All memory first: until it is there, everything can be put back.
    for (unsigned i = 0; i < image->planes && result == 0; i++) {
        unsigned mask = planes_with(image, i);

        if (!image_leads(image, i) || take_in_place(image, mask, &to))
            continue;
        result = acquire_copy(image, mask, pool, &to);
        copied |= mask;
    }
    if (result < 0) {
        for (unsigned i = 0; i < image->planes; i++) {
            struct zcb_packet again;

            if (to.buf[i] == NULL)
                continue;
            if (copied & (1u << i))
                zcb_buf_release(&to.buf[i]);
            else
                zcb_buf_share(&to.buf[i], &again); // the reference is the image's as before
        }
        return result;
    }
    for (unsigned i = 0; i < image->planes; i++)
        if (copied & (1u << i)) {
            copy_plane(image, i, to.plane[i], to.stride[i], ZCB_COPY_UNSHARE);
            result++;
        }
    was = *image;
    *image = empty_image; // first, as in unref
    for (unsigned i = 0; i < was.planes; i++) {
        struct zcb_packet old = was.plane[i];

        if ((copied & (1u << i)) && image_leads(&was, i))
            zcb_packet_unref(&old);
    }
    *out = to;
    return result;
}

int
zcb_image_copy(const struct zcb_image *image, struct zcb_pool *pool, struct zcb_image *out)
{
    struct zcb_image_buf to;
    int result;

    if (image == NULL || pool == NULL || out == NULL)
        return -EINVAL;
    if (image->planes == 0) {
        *out = empty_image;
        return 0;
    }
    to = start(image->width, image->height, image->format, image->planes);
    result = acquire_copy(image, (1u << image->planes) - 1, pool, &to);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < image->planes; i++)
        copy_plane(image, i, to.plane[i], to.stride[i], ZCB_COPY_COMPACT);
    zcb_image_buf_share(&to, out);
    return 0;
}
