// SPDX-License-Identifier: MIT
// Formats, layouts, and views of images: limits before allocation, each pixel of each view, and
// nothing allocated or copied for any of them.

#include "testing.h"

#include "unit/image_testing.h"

#include "support/alloc_count.h"

#include <zcbuf/copies.h>

static uint64_t
moved(void)
{
    struct zcb_copies copies;

    zcb_copies_thread(&copies);
    return zcb_copies_bytes(&copies);
}

// ---- formats and layouts

static void
each_format_is_what_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORMATS; i++) {
        const struct format_row *row = &format_rows[i];
        const struct zcb_image_format_info *info = zcb_image_format_info(row->format);

        assert_non_null(info);
        assert_string_equal(info->name, row->name);
        assert_int_equal(info->planes, row->planes);
        assert_int_equal(info->sample_bits, row->bits);
        assert_int_equal(info->channels, row->channels);
        assert_int_equal(info->has_alpha, row->alpha);
        for (unsigned plane = 0; plane < ZCB_IMAGE_PLANES; plane++)
            assert_int_equal(info->pixel_bytes[plane], row->bytes[plane]);
        if (row->planes > 1) {
            assert_int_equal(1 << info->narrower, row->xdiv[1]);
            assert_int_equal(1 << info->lower, row->ydiv[1]);
        }
    }
    // No format that the table does not have.
    assert_int_equal(FORMATS, ZCB_IMAGE_FORMAT_END - 1);
    assert_null(zcb_image_format_info(ZCB_IMAGE_NONE));
    assert_null(zcb_image_format_info(ZCB_IMAGE_FORMAT_END));
    assert_null(zcb_image_format_info(0x10001));
    assert_null(zcb_image_format_info(UINT32_MAX));
}

static void
check_layout(const struct format_row *row, uint32_t width, uint32_t height, size_t align)
{
    struct zcb_image_layout layout;
    size_t at = 0, unit = align != 0 ? align : 64;

    memset(&layout, 0xee, sizeof(layout));
    assert_int_equal(zcb_image_layout(row->format, width, height, align, NULL, &layout), 0);
    assert_int_equal(layout.format, row->format);
    assert_int_equal(layout.planes, row->planes);
    assert_int_equal(layout.width, width);
    assert_int_equal(layout.height, height);
    assert_int_equal(layout.reserved, 0);
    for (unsigned i = 0; i < ZCB_IMAGE_PLANES; i++) {
        size_t stride = 0;

        if (i >= row->planes) {
            assert_int_equal(layout.row_bytes[i] | layout.rows[i], 0);
            assert_int_equal(layout.stride[i] | layout.offset[i], 0);
            continue;
        }
        assert_int_equal(layout.row_bytes[i], plane_width(row, i, width) * row->bytes[i]);
        assert_int_equal(layout.rows[i], plane_rows(row, i, height));
        while (stride < layout.row_bytes[i])
            stride += unit;
        assert_int_equal(layout.stride[i], stride);
        assert_int_equal(layout.offset[i], at);
        at += stride * layout.rows[i];
    }
    assert_int_equal(layout.bytes, at);
    assert_int_equal(layout.pixel_bytes, pixel_bytes(row, width, height));
}

static void
layouts_are_what_a_table_by_hand_makes_of_them(void **state)
{
    static const size_t aligns[] = {0, 1, 2, 4, 64, 4096};
    static const uint32_t large[][2] = {
        {65535, 1}, {1, 65535}, {4096, 4096}, {1919, 1081}, {16384, 2}};

    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        for (size_t a = 0; a < sizeof(aligns) / sizeof(aligns[0]); a++) {
            for (uint32_t width = 1; width <= 70; width++)
                for (uint32_t height = 1; height <= 5; height++)
                    check_layout(&format_rows[f], width, height, aligns[a]);
            for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
                check_layout(&format_rows[f], large[i][0], large[i][1], aligns[a]);
        }
    }
}

static void
what_is_too_large_is_refused_before_anything_else(void **state)
{
    static const struct zcb_image_limits no = {UINT32_MAX, UINT32_MAX, UINT64_MAX, SIZE_MAX, {0}};
    static const struct zcb_image_limits small = {10, 20, 150, 601, {0}};
    static const struct zcb_image_limits few = {UINT32_MAX, UINT32_MAX, 0, 0, {0}};
    static const struct zcb_image_limits wide = {UINT32_MAX, UINT32_MAX, 0, SIZE_MAX, {0}};
    static const struct zcb_image_limits taken = {.reserved = {0, 0, 0, 1}};
    static const struct zcb_image_limits first = {.reserved = {1}};
    static const struct {
        unsigned format;
        uint32_t width, height;
        size_t align;
        const struct zcb_image_limits *limits;
        int result;
    } table[] = {
        {ZCB_IMAGE_GRAY, 0, 1, 0, NULL, -EINVAL},
        {ZCB_IMAGE_GRAY, 1, 0, 0, NULL, -EINVAL},
        {ZCB_IMAGE_GRAY, 0, 0, 0, &no, -EINVAL},
        {ZCB_IMAGE_NONE, 1, 1, 0, NULL, -EINVAL},
        {ZCB_IMAGE_FORMAT_END, 1, 1, 0, NULL, -EINVAL},
        {UINT32_MAX, 1, 1, 0, NULL, -EINVAL},
        {ZCB_IMAGE_GRAY, 1, 1, 3, NULL, -EINVAL},
        {ZCB_IMAGE_GRAY, 1, 1, 8192, NULL, -EINVAL},
        {ZCB_IMAGE_GRAY, 1, 1, SIZE_MAX, NULL, -EINVAL},
        {ZCB_IMAGE_GRAY, 1, 1, SIZE_MAX / 2 + 1, NULL, -EINVAL},
        {ZCB_IMAGE_GRAY, 1, 1, 4096, NULL, 0},
        {ZCB_IMAGE_GRAY, 1, 1, 0, &taken, -EINVAL},
        {ZCB_IMAGE_GRAY, 1, 1, 0, &first, -EINVAL},
        // The default limits, to the pixel and to the byte.
        {ZCB_IMAGE_GRAY, 65535, 1, 1, NULL, 0},
        {ZCB_IMAGE_GRAY, 65536, 1, 1, NULL, -ENOBUFS},
        {ZCB_IMAGE_GRAY, 1, 65535, 1, NULL, 0},
        {ZCB_IMAGE_GRAY, 1, 65536, 1, NULL, -ENOBUFS},
        {ZCB_IMAGE_GRAY, 16384, 16384, 1, NULL, 0},
        {ZCB_IMAGE_GRAY, 16385, 16384, 1, NULL, -ENOBUFS},
        {ZCB_IMAGE_RGBA, 16384, 16384, 1, NULL, 0}, // 1 GiB
        {ZCB_IMAGE_RGBA16, 16384, 8192, 1, NULL, 0},
        {ZCB_IMAGE_RGBA16, 16384, 8193, 1, NULL, -ENOBUFS},
        {ZCB_IMAGE_GRAY, 1u << 31, 1u << 31, 0, NULL, -ENOBUFS},
        {ZCB_IMAGE_RGBA, 1u << 31, 1, 0, NULL, -ENOBUFS},
        // The default of one limit where the others are raised.
        {ZCB_IMAGE_GRAY, 1u << 28, 1, 1, &few, 0},
        {ZCB_IMAGE_GRAY, (1u << 28) + 1, 1, 1, &few, -ENOBUFS},
        {ZCB_IMAGE_RGB16, 1u << 28, 1, 1, &few, -ENOBUFS},
        {ZCB_IMAGE_GRAY, 1u << 16, 1u << 16, 1, &wide, -ENOBUFS}, // 2^32 pixels
        {ZCB_IMAGE_GRAY, 1u << 31, 1u << 31, 1, &wide, -ENOBUFS},
        // Limits that are set: 10 x 20, 150 pixels, 601 bytes.
        {ZCB_IMAGE_GRAY, 10, 15, 1, &small, 0},
        {ZCB_IMAGE_GRAY, 11, 1, 1, &small, -ENOBUFS},
        {ZCB_IMAGE_GRAY, 1, 21, 1, &small, -ENOBUFS},
        {ZCB_IMAGE_GRAY, 10, 16, 1, &small, -ENOBUFS},
        {ZCB_IMAGE_RGBA, 10, 15, 1, &small, 0},
        {ZCB_IMAGE_RGB16, 10, 10, 1, &small, 0},
        {ZCB_IMAGE_RGB16, 10, 11, 1, &small, -ENOBUFS},
        {ZCB_IMAGE_GRAY, 10, 10, 64, &small, -ENOBUFS}, // the padding is memory too
        // Nothing limits: what remains is what an address can have.
        {ZCB_IMAGE_RGBA, 1u << 30, 1, 1, &no, -EOVERFLOW}, // row_bytes: 32 bits
        {ZCB_IMAGE_RGBA, UINT32_MAX, 1, 1, &no, -EOVERFLOW},
        {ZCB_IMAGE_RGBA16, UINT32_MAX, UINT32_MAX, 1, &no, -EOVERFLOW},
        {ZCB_IMAGE_GRAY, UINT32_MAX, UINT32_MAX, 1, &no, -EOVERFLOW},
        {ZCB_IMAGE_GRAY, UINT32_MAX, UINT32_MAX, 4096, &no, -EOVERFLOW},
        {ZCB_IMAGE_YUV444, UINT32_MAX, UINT32_MAX / 3, 1, &no, -EOVERFLOW},
        {ZCB_IMAGE_YUV420, UINT32_MAX, UINT32_MAX, 64, &no, -EOVERFLOW},
#if SIZE_MAX > UINT32_MAX
        {ZCB_IMAGE_RGBA16, 16384, 16384, 1, NULL, -ENOBUFS},
        {ZCB_IMAGE_GRAY, UINT32_MAX, 1u << 31, 1, &no, 0},
        {ZCB_IMAGE_GRAY, UINT32_MAX, (1u << 31) + 1, 1, &no, -EOVERFLOW}, // PTRDIFF_MAX
        {ZCB_IMAGE_GRAY, UINT32_MAX, 1, 64, &no, 0},
        {ZCB_IMAGE_YUV420, UINT32_MAX, 1, 1, &no, 0},
#endif
    };
    uint64_t allocations = zcb_alloc_count();

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct zcb_image_layout layout, untouched;
        int result;

        memset(&layout, 0xee, sizeof(layout));
        untouched = layout;
        result = zcb_image_layout(table[i].format, table[i].width, table[i].height, table[i].align,
                                  table[i].limits, &layout);
        if (result != table[i].result)
            fail_msg("row %zu: %d", i, result);
        if (result < 0)
            assert_memory_equal(&layout, &untouched, sizeof(layout));
        else
            assert_true(layout.pixel_bytes <= layout.bytes);
    }
    assert_int_equal(zcb_image_layout(ZCB_IMAGE_GRAY, 1, 1, 0, NULL, NULL), -EINVAL);
    assert_int_equal(zcb_alloc_count(), allocations);
}

static void
the_largest_chroma_is_rounded_up_without_wrapping(void **state)
{
#if SIZE_MAX > UINT32_MAX
    static const struct zcb_image_limits no = {UINT32_MAX, UINT32_MAX, UINT64_MAX, SIZE_MAX, {0}};
    struct zcb_image_layout layout;

    assert_int_equal(zcb_image_layout(ZCB_IMAGE_NV12, UINT32_MAX, 3, 64, &no, &layout), -EOVERFLOW);
    assert_int_equal(zcb_image_layout(ZCB_IMAGE_NV12, UINT32_MAX - 1, 3, 64, &no, &layout), 0);
    assert_int_equal(layout.row_bytes[1], UINT32_MAX - 1);
    assert_int_equal(zcb_image_layout(ZCB_IMAGE_YUV420, 3, UINT32_MAX, 1, &no, &layout), 0);
    assert_int_equal(layout.rows[1], 0x80000000u);
    assert_int_equal(layout.row_bytes[2], 2);
    assert_int_equal(layout.bytes, 3 * (size_t)UINT32_MAX + 2 * 2 * (size_t)0x80000000u);
#endif
    (void)state;
}

// ---- views

static void
check_views(const struct zcb_image *image, uint32_t seed)
{
    const struct format_row *row = format_row(image->format);
    uint32_t width = image->width, height = image->height;
    struct zcb_image view, untouched;

    memset(&view, 0xee, sizeof(view));
    untouched = view;
    assert_true(shows(image, seed, 0, 0, 1, width, height));
    for (uint32_t x = 0; x <= width; x++) {
        for (uint32_t y = 0; y <= height; y++) {
            bool odd = row->planes > 1 && (x % row->xdiv[1] != 0 || y % row->ydiv[1] != 0);

            for (uint32_t w = 1; w <= width - x; w++)
                for (uint32_t h = 1; h <= height - y; h++) {
                    assert_int_equal(zcb_image_crop(image, x, y, w, h, &view), odd ? -EINVAL : 0);
                    if (odd)
                        continue;
                    assert_true(shows(&view, seed, x, y, 1, w, h));
                    for (unsigned i = 0; i < row->planes; i++)
                        assert_int_equal(view.stride[i], image->stride[i]);
                    assert_false(zcb_image_is_unique(image));
                    zcb_image_unref(&view);
                    assert_true(zcb_image_is_unique(image));
                    view = untouched;
                }
            assert_int_equal(zcb_image_crop(image, x, y, width - x + 1, 1, &view), -ERANGE);
            assert_int_equal(zcb_image_crop(image, x, y, 1, height - y + 1, &view), -ERANGE);
            assert_int_equal(zcb_image_crop(image, x, y, UINT32_MAX, 1, &view), -ERANGE);
            assert_int_equal(
                zcb_image_crop(image, x, y, 1, UINT32_MAX - (y > 0 ? y - 1 : 0), &view), -ERANGE);
        }
    }
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t h = 1; h <= height - y; h++) {
            bool odd = row->planes > 1 && y % row->ydiv[1] != 0;

            assert_int_equal(zcb_image_rows(image, y, h, &view), odd ? -EINVAL : 0);
            if (odd)
                continue;
            assert_true(shows(&view, seed, 0, y, 1, width, h));
            zcb_image_unref(&view);
            view = untouched;
        }
    assert_int_equal(zcb_image_crop(image, 0, 0, 0, 1, &view), -EINVAL);
    assert_int_equal(zcb_image_crop(image, 0, 0, 1, 0, &view), -EINVAL);
    assert_int_equal(zcb_image_crop(image, 0, 0, width, height, NULL), -EINVAL);
    for (uint32_t past = 1; past <= 2; past++) {
        assert_int_equal(zcb_image_crop(image, width + past, 0, 1, 1, &view), -ERANGE);
        assert_int_equal(zcb_image_crop(image, 0, height + past, 1, 1, &view), -ERANGE);
    }
    assert_int_equal(zcb_image_crop(image, UINT32_MAX, 0, 2, 1, &view), -ERANGE);
    assert_int_equal(zcb_image_rows(image, 0, 0, &view), -EINVAL);
    assert_int_equal(zcb_image_rows(image, 0, height + 1, &view), -ERANGE);
    assert_int_equal(zcb_image_rows(image, height, 1, &view), -ERANGE);
    assert_int_equal(zcb_image_rows(image, 0, 1, NULL), -EINVAL);
    assert_memory_equal(&view, &untouched, sizeof(view)); // no failed call wrote to it
    assert_true(zcb_image_is_unique(image));
}

static void
check_fields(const struct zcb_image *image, uint32_t seed)
{
    const struct format_row *row = format_row(image->format);
    bool lower = row->planes > 1 && row->ydiv[1] != 1;
    struct zcb_image top, bottom = {0}, deep, part;

    if (lower) {
        assert_int_equal(zcb_image_field(image, false, &top), -ENOTSUP);
        assert_int_equal(zcb_image_field(image, true, &top),
                         image->height == 1 ? -ERANGE : -ENOTSUP);
        return;
    }
    assert_int_equal(zcb_image_field(image, false, &top), 0);
    assert_true(shows(&top, seed, 0, 0, 2, image->width, (image->height + 1) / 2));
    if (image->height == 1) {
        assert_int_equal(zcb_image_field(image, true, &bottom), -ERANGE);
        assert_true(is_empty(&bottom));
    } else {
        assert_int_equal(zcb_image_field(image, true, &bottom), 0);
        assert_true(shows(&bottom, seed, 0, 1, 2, image->width, image->height / 2));
    }
    // Every fourth row, and a part of that.
    if (image->height > 3) {
        assert_int_equal(zcb_image_field(&bottom, true, &deep), 0);
        assert_true(shows(&deep, seed, 0, 3, 4, image->width, image->height / 4));
        zcb_image_unref(&deep);
        assert_int_equal(zcb_image_field(&bottom, false, &deep), 0);
        assert_true(shows(&deep, seed, 0, 1, 4, image->width, (image->height + 2) / 4));
        if (image->width > 3) {
            assert_int_equal(zcb_image_crop(&deep, 2, deep.height - 1, image->width - 2, 1, &part),
                             0);
            assert_true(shows(&part, seed, 2, 1 + 4 * (deep.height - 1), 4, image->width - 2, 1));
            zcb_image_unref(&part);
        }
        zcb_image_unref(&deep);
    }
    zcb_image_unref(&top);
    zcb_image_unref(&bottom);
}

static void
check_planes(const struct zcb_image *image, uint32_t seed)
{
    const struct format_row *row = format_row(image->format);
    struct zcb_image view, part;

    for (unsigned i = 0; i < row->planes; i++) {
        static const unsigned formats[] = {ZCB_IMAGE_GRAY, ZCB_IMAGE_GRAY_ALPHA, ZCB_IMAGE_GRAY16};
        unsigned wide = row->bits == 16;

        if (row->planes == 1 && row->channels > 1) {
            assert_int_equal(zcb_image_plane(image, i, &view), -ENOTSUP);
            continue;
        }
        assert_int_equal(zcb_image_plane(image, i, &view), 0);
        assert_int_equal(view.format, formats[wide ? 2 : row->bytes[i] - 1]);
        assert_int_equal(view.width, plane_width(row, i, image->width));
        assert_int_equal(view.height, plane_rows(row, i, image->height));
        assert_int_equal(view.planes, 1);
        for (uint32_t y = 0; y < view.height; y++) {
            const uint8_t *from = zcb_image_row(&view, 0, y);

            assert_int_equal(zcb_image_row_bytes(&view, 0), zcb_image_row_bytes(image, i));
            for (uint32_t x = 0; x < zcb_image_row_bytes(&view, 0); x++)
                assert_int_equal(from[x], picture_byte(seed, i, y, x));
        }
        // A plane is an image like any other.
        assert_int_equal(zcb_image_crop(&view, view.width - 1, view.height - 1, 1, 1, &part), 0);
        assert_ptr_equal(zcb_image_row(&part, 0, 0), zcb_image_row(image, i, view.height - 1) +
                                                         (size_t)(view.width - 1) * row->bytes[i]);
        zcb_image_unref(&part);
        zcb_image_unref(&view);
    }
    assert_int_equal(zcb_image_plane(image, row->planes, &view), -ERANGE);
    assert_int_equal(zcb_image_plane(image, UINT32_MAX, &view), -ERANGE);
    assert_int_equal(zcb_image_plane(image, 0, NULL), -EINVAL);
    assert_int_equal(zcb_image_field(image, false, NULL), -EINVAL);
    assert_true(zcb_image_is_unique(image));
}

static void
each_view_shows_its_pixels_and_costs_neither_memory_nor_copies(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    uint32_t seed = 1;

    (void)state;
    for (size_t f = 0; f < FORMATS; f++)
        for (uint32_t width = 1; width <= 7; width++)
            for (uint32_t height = 1; height <= 7; height++, seed++) {
                struct zcb_image image =
                    must_draw(pool, format_rows[f].format, width, height, seed % 2 == 0, seed);
                uint64_t allocations = zcb_alloc_count(), bytes = moved();

                check_views(&image, seed);
                check_fields(&image, seed);
                check_planes(&image, seed);
                assert_int_equal(zcb_alloc_count(), allocations);
                assert_int_equal(moved(), bytes);
                zcb_image_unref(&image);
                assert_true(is_empty(&image));
            }
    must_end(&pool);
}

static void
fields_of_a_single_row_never_end(void **state)
{
    static const uint8_t pixel[] = {7};
    struct zcb_image_layout layout = must_layout(ZCB_IMAGE_GRAY, 1, 1, 1);
    struct zcb_packet bytes = zcb_packet_static(pixel, 1);
    struct zcb_image image, view;

    (void)state;
    layout.stride[0] = SIZE_MAX - 1; // of one row it is any number
    assert_int_equal(zcb_image_wrap(&layout, &bytes, &image), 0);
    for (int i = 0; i < 70; i++) {
        assert_int_equal(zcb_image_field(&image, false, &view), 0);
        assert_int_equal(zcb_image_rows_of(&view, 0), 1);
        assert_int_equal(zcb_image_row(&view, 0, 0)[0], 7);
        assert_true(view.stride[0] >= 1);
        image = view;
    }
}

// ---- references

static void
an_image_holds_one_reference_for_each_block(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        struct zcb_image image = must_draw(pool, ZCB_IMAGE_YUV420, 64, 32, apart != 0, 5), other;
        struct zcb_packet held;
        size_t blocks = apart ? 3 : 1;

        assert_int_equal(must_stats(pool).total.live, blocks);
        assert_true(zcb_image_is_unique(&image));
        other = zcb_image_ref(&image);
        assert_memory_equal(&other, &image, sizeof(image));
        assert_false(zcb_image_is_unique(&image));
        zcb_image_unref(&image);
        assert_true(is_empty(&image));
        assert_true(zcb_image_is_unique(&other));
        // Uniqueness is that of every plane's block: here somebody holds the last one's.
        held = zcb_packet_ref(&other.plane[2]);
        assert_false(zcb_image_is_unique(&other));
        zcb_packet_unref(&held);
        assert_true(zcb_image_is_unique(&other));
        assert_int_equal(must_stats(pool).total.live, blocks);
        // A plane keeps its own block alone.
        assert_int_equal(zcb_image_plane(&other, 1, &image), 0);
        zcb_image_unref(&other);
        assert_int_equal(must_stats(pool).total.live, 1);
        assert_true(zcb_image_is_unique(&image));
        zcb_image_unref(&image);
        assert_int_equal(must_stats(pool).total.live, 0);
    }
    must_end(&pool);
}

static void
pinned_counts_each_block_once(void **state)
{
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096}, {.buffer_size = 16384}}};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_image together = must_draw(pool, ZCB_IMAGE_YUV444, 64, 64, false, 1);
    struct zcb_image apart = must_draw(pool, ZCB_IMAGE_YUV444, 64, 64, true, 1), plane;
    struct zcb_image none = {0};

    (void)state;
    assert_int_equal(zcb_image_pinned(&together), 16384);
    assert_int_equal(zcb_image_pinned(&apart), 3 * 4096);
    assert_int_equal(zcb_image_plane(&together, 0, &plane), 0);
    assert_int_equal(zcb_image_pinned(&plane), 16384);
    assert_int_equal(zcb_image_pinned(&none), 0);
    zcb_image_unref(&plane);
    zcb_image_unref(&together);
    zcb_image_unref(&apart);
    must_end(&pool);
}

static void
an_empty_image_is_fine_everywhere(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_image none = {0}, out = {0};
    struct zcb_image_buf buf;

    (void)state;
    zcb_image_unref(NULL);
    zcb_image_unref(&none);
    zcb_image_unref(&none);
    out = zcb_image_ref(&none);
    assert_true(is_empty(&out));
    assert_false(zcb_image_is_unique(&none));
    assert_int_equal(zcb_image_row_bytes(&none, 0), 0);
    assert_int_equal(zcb_image_rows_of(&none, 0), 0);
    assert_null(zcb_image_row(&none, 0, 0));
    assert_int_equal(zcb_image_crop(&none, 0, 0, 1, 1, &out), -ERANGE);
    assert_int_equal(zcb_image_crop(&none, 0, 0, 0, 0, &out), -EINVAL);
    assert_int_equal(zcb_image_rows(&none, 0, 1, &out), -ERANGE);
    assert_int_equal(zcb_image_plane(&none, 0, &out), -ERANGE);
    assert_int_equal(zcb_image_field(&none, false, &out), -ERANGE);
    assert_int_equal(zcb_image_field(&none, true, &out), -ERANGE);
    assert_int_equal(zcb_image_crop(NULL, 0, 0, 1, 1, &out), -EINVAL);
    assert_int_equal(zcb_image_rows(NULL, 0, 1, &out), -EINVAL);
    assert_int_equal(zcb_image_plane(NULL, 0, &out), -EINVAL);
    assert_int_equal(zcb_image_field(NULL, false, &out), -EINVAL);
    assert_int_equal(zcb_image_copy(&none, pool, &out), 0);
    assert_true(is_empty(&out));
    assert_int_equal(zcb_image_make_writable(&none, NULL, &buf), 0);
    assert_int_equal(buf.planes, 0);
    assert_null(zcb_image_buf_row(&buf, 0, 0));
    memset(&out, 0xee, sizeof(out));
    zcb_image_buf_share(&buf, &out);
    assert_true(is_empty(&out));
    zcb_image_buf_release(&buf);
    zcb_image_buf_release(NULL);
    must_end(&pool);
}

#ifdef ZCB_HAVE_AUTO
static void
images_are_let_go_of_at_the_end_of_a_scope(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    {
        ZCB_AUTO_IMAGE struct zcb_image image = must_draw(pool, ZCB_IMAGE_NV12, 9, 9, true, 3);
        struct zcb_image_layout layout = must_layout(ZCB_IMAGE_RGB, 5, 5, 0);
        ZCB_AUTO_IMAGE_BUF struct zcb_image_buf buf = {0};

        assert_int_equal(zcb_image_acquire(pool, &layout, &buf), 0);
        assert_int_equal(must_stats(pool).total.live, 3);
        assert_int_equal(image.planes, 2);
    }
    must_end(&pool);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_format_is_what_the_table_says),
        cmocka_unit_test(layouts_are_what_a_table_by_hand_makes_of_them),
        cmocka_unit_test(what_is_too_large_is_refused_before_anything_else),
        cmocka_unit_test(the_largest_chroma_is_rounded_up_without_wrapping),
        cmocka_unit_test(each_view_shows_its_pixels_and_costs_neither_memory_nor_copies),
        cmocka_unit_test(fields_of_a_single_row_never_end),
        cmocka_unit_test(an_image_holds_one_reference_for_each_block),
        cmocka_unit_test(pinned_counts_each_block_once),
        cmocka_unit_test(an_empty_image_is_fine_everywhere),
#ifdef ZCB_HAVE_AUTO
        cmocka_unit_test(images_are_let_go_of_at_the_end_of_a_scope),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
