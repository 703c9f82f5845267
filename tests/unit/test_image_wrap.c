// SPDX-License-Identifier: MIT
// Foreign pixels as images: what fits is taken, what does not is left alone; by a table, and by
// random layouts beside a map in which each pixel's bytes are marked.

#include "testing.h"

#include "unit/image_testing.h"

#include "support/alloc_count.h"

static uint8_t foreign[4096];
static unsigned releases;

static void
count_release(void *ctx, void *data, size_t len)
{
    (void)ctx;
    CHECK(data == foreign && len <= sizeof(foreign));
    releases++;
}

static struct zcb_packet
must_wrap(size_t len)
{
    struct zcb_packet packet;

    CHECK(zcb_packet_wrap(foreign, len, count_release, NULL, &packet) == 0);
    return packet;
}

static const struct {
    const char *what;
    unsigned format;
    uint32_t width, height;
    size_t len;
    size_t stride[4], offset[4];
    int result;
} wraps[] = {
    {"rows without padding", ZCB_IMAGE_RGB, 5, 3, 45, {15}, {0}, 0},
    {"a byte short", ZCB_IMAGE_RGB, 5, 3, 44, {15}, {0}, -ERANGE},
    {"no padding behind the last row", ZCB_IMAGE_RGB, 5, 3, 79, {32}, {0}, 0},
    {"the last row's last byte is missing", ZCB_IMAGE_RGB, 5, 3, 78, {32}, {0}, -ERANGE},
    {"behind a header", ZCB_IMAGE_GRAY, 4, 4, 29, {4}, {13}, 0},
    {"behind a header, a byte short", ZCB_IMAGE_GRAY, 4, 4, 28, {4}, {13}, -ERANGE},
    {"a stride below its row", ZCB_IMAGE_GRAY, 4, 4, 100, {3}, {0}, -EINVAL},
    {"no stride at all", ZCB_IMAGE_GRAY, 4, 4, 100, {0}, {0}, -EINVAL},
    {"no bytes", ZCB_IMAGE_GRAY, 1, 1, 0, {1}, {0}, -ERANGE},
    {"a billion pixels in 100 bytes", ZCB_IMAGE_GRAY, 16384, 16384, 100, {16384}, {0}, -ERANGE},
    {"an offset behind the end", ZCB_IMAGE_GRAY, 1, 1, 10, {1}, {10}, -ERANGE},
    {"an offset far behind it", ZCB_IMAGE_GRAY, 1, 1, 10, {1}, {SIZE_MAX}, -EOVERFLOW},
    {"an offset a row from the end of memory",
     ZCB_IMAGE_GRAY,
     3,
     3,
     10,
     {3},
     {SIZE_MAX - 8},
     -EOVERFLOW},
    {"a stride that wraps", ZCB_IMAGE_GRAY, 3, 3, 10, {SIZE_MAX / 2 + 1}, {0}, -EOVERFLOW},
    {"a stride that wraps with its row", ZCB_IMAGE_GRAY, 2, 2, 10, {SIZE_MAX}, {0}, -EOVERFLOW},
    {"a stride of one row is any", ZCB_IMAGE_GRAY, 3, 1, 3, {SIZE_MAX}, {0}, 0},
    {"planes in order", ZCB_IMAGE_YUV420, 4, 4, 24, {4, 2, 2}, {0, 16, 20}, 0},
    {"planes in another order", ZCB_IMAGE_YUV420, 4, 4, 24, {4, 2, 2}, {8, 4, 0}, 0},
    {"a byte of two planes", ZCB_IMAGE_YUV420, 4, 4, 24, {4, 2, 2}, {7, 4, 0}, -EINVAL},
    {"the same plane twice", ZCB_IMAGE_YUV420, 4, 4, 24, {4, 2, 2}, {0, 16, 16}, -EINVAL},
    {"the last plane past the end", ZCB_IMAGE_YUV420, 4, 4, 23, {4, 2, 2}, {0, 16, 20}, -ERANGE},
    {"U and V side by side", ZCB_IMAGE_YUV420, 4, 4, 24, {4, 4, 4}, {0, 16, 18}, 0},
    {"V and U side by side", ZCB_IMAGE_YUV420, 4, 4, 24, {4, 4, 4}, {0, 18, 16}, 0},
    {"side by side by a byte less", ZCB_IMAGE_YUV420, 4, 4, 24, {4, 4, 4}, {0, 16, 17}, -EINVAL},
    {"side by side, around the edge", ZCB_IMAGE_YUV420, 4, 4, 25, {4, 4, 4}, {0, 16, 19}, -EINVAL},
    {"rows in turn: Y U V", ZCB_IMAGE_YUV444, 5, 4, 60, {15, 15, 15}, {0, 5, 10}, 0},
    {"rows in turn: V Y U", ZCB_IMAGE_YUV444, 5, 4, 60, {15, 15, 15}, {5, 10, 0}, 0},
    {"chroma in the luma's rows", ZCB_IMAGE_NV12, 4, 4, 32, {8, 8}, {0, 4}, 0},
    {"other strides in each other", ZCB_IMAGE_NV12, 4, 4, 64, {8, 16}, {0, 4}, -EINVAL},
};

static void
foreign_pixels_are_wrapped_where_they_fit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wraps) / sizeof(wraps[0]); i++) {
        const struct format_row *row = format_row(wraps[i].format);
        struct zcb_image_layout layout =
            must_layout(wraps[i].format, wraps[i].width, wraps[i].height, 1);
        struct zcb_packet packet = must_wrap(wraps[i].len);
        struct zcb_image image, untouched;
        uint64_t allocations = zcb_alloc_count();
        int result;

        memcpy(layout.stride, wraps[i].stride, sizeof(layout.stride));
        memcpy(layout.offset, wraps[i].offset, sizeof(layout.offset));
        memset(&image, 0xee, sizeof(image));
        untouched = image;
        releases = 0;
        result = zcb_image_wrap(&layout, &packet, &image);
        if (result != wraps[i].result)
            fail_msg("%s: %d", wraps[i].what, result);
        assert_int_equal(zcb_alloc_count(), allocations);
        if (result < 0) {
            assert_memory_equal(&image, &untouched, sizeof(image));
            assert_int_equal(packet.len, wraps[i].len);
            assert_true(zcb_packet_is_unique(&packet));
            zcb_packet_unref(&packet);
            assert_int_equal(releases, 1);
            continue;
        }
        assert_null(packet.owner);
        assert_null(packet.data);
        assert_true(zcb_image_is_unique(&image));
        for (unsigned plane = 0; plane < row->planes; plane++) {
            uint32_t rows = plane_rows(row, plane, wraps[i].height);

            assert_ptr_equal(image.plane[plane].data, foreign + wraps[i].offset[plane]);
            assert_int_equal(image.plane[plane].len, wraps[i].stride[plane] * (rows - 1) +
                                                         zcb_image_row_bytes(&image, plane));
        }
        assert_int_equal(releases, 0);
        zcb_image_unref(&image);
        assert_int_equal(releases, 1);
    }
}

static void
an_image_is_wrapped_anew_where_it_lies(void **state)
{
    struct zcb_image_layout gray = must_layout(ZCB_IMAGE_GRAY, 64, 16, 1);
    struct zcb_image_layout rgba = must_layout(ZCB_IMAGE_RGBA, 16, 16, 1);
    struct zcb_packet packet = must_wrap(1024);
    struct zcb_image image;

    (void)state;
    releases = 0;
    assert_int_equal(zcb_image_wrap(&gray, &packet, &image), 0);
    assert_int_equal(zcb_image_wrap(&rgba, &image.plane[0], &image), 0);
    assert_int_equal(image.format, ZCB_IMAGE_RGBA);
    assert_ptr_equal(zcb_image_row(&image, 0, 15), foreign + 960);
    assert_true(zcb_image_is_unique(&image));
    assert_int_equal(zcb_image_wrap_planes(&gray, &image.plane[0], &image), 0);
    assert_ptr_equal(zcb_image_row(&image, 0, 15), foreign + 960);
    assert_true(zcb_image_is_unique(&image));
    zcb_image_unref(&image);
    assert_int_equal(releases, 1);
}

static void
a_packet_for_each_plane_is_taken_or_none(void **state)
{
    struct zcb_image_layout layout = must_layout(ZCB_IMAGE_YUV420, 6, 4, 1);
    struct zcb_packet planes[3];
    struct zcb_image image = {0};

    (void)state;
    releases = 0;
    planes[0] = must_wrap(24);
    planes[1] = must_wrap(6);
    planes[2] = must_wrap(5);
    layout.offset[0] = layout.offset[1] = SIZE_MAX; // not looked at
    assert_int_equal(zcb_image_wrap_planes(&layout, planes, &image), -ERANGE);
    for (int i = 0; i < 3; i++)
        assert_true(zcb_packet_is_unique(&planes[i]));
    assert_true(is_empty(&image));
    planes[2].len = 6;
    layout.stride[0] = 5;
    assert_int_equal(zcb_image_wrap_planes(&layout, planes, &image), -EINVAL);
    layout.stride[0] = SIZE_MAX / 2;
    assert_int_equal(zcb_image_wrap_planes(&layout, planes, &image), -EOVERFLOW);
    layout.stride[0] = 6;
    assert_int_equal(zcb_image_wrap_planes(NULL, planes, &image), -EINVAL);
    assert_int_equal(zcb_image_wrap_planes(&layout, NULL, &image), -EINVAL);
    assert_int_equal(zcb_image_wrap_planes(&layout, planes, NULL), -EINVAL);
    assert_int_equal(zcb_image_wrap(NULL, planes, &image), -EINVAL);
    assert_int_equal(zcb_image_wrap(&layout, NULL, &image), -EINVAL);
    assert_int_equal(zcb_image_wrap(&layout, planes, NULL), -EINVAL);
    assert_int_equal(zcb_image_wrap_planes(&layout, planes, &image), 0);
    for (int i = 0; i < 3; i++) {
        assert_null(planes[i].owner);
        assert_null(planes[i].data);
    }
    assert_true(zcb_image_is_unique(&image));
    assert_int_equal(releases, 0);
    zcb_image_unref(&image);
    assert_int_equal(releases, 3);
}

// ---- random layouts

enum { FOREIGN = (int)sizeof(foreign) };

// Whether a pixel of the layout lies outside `len` bytes, or in another one.
static void
mark(const struct zcb_image_layout *layout, size_t len, bool *outside, bool *twice)
{
    static uint8_t map[FOREIGN];

    *outside = *twice = false;
    memset(map, 0, sizeof(map));
    for (unsigned i = 0; i < layout->planes; i++)
        for (uint32_t y = 0; y < layout->rows[i]; y++)
            for (uint32_t x = 0; x < layout->row_bytes[i]; x++) {
                size_t at = layout->offset[i] + y * layout->stride[i] + x;

                if (at >= len)
                    *outside = true;
                else if (map[at]++ != 0)
                    *twice = true;
            }
}

// Whether planes of different strides reach into each other: then they are refused unseen.
static bool
is_intricate(const struct zcb_image_layout *layout)
{
    for (unsigned i = 0; i < layout->planes; i++)
        for (unsigned j = 0; j < i; j++) {
            size_t i_end = layout->offset[i] + (layout->rows[i] - 1) * layout->stride[i] +
                           layout->row_bytes[i];
            size_t j_end = layout->offset[j] + (layout->rows[j] - 1) * layout->stride[j] +
                           layout->row_bytes[j];

            if (layout->stride[i] != layout->stride[j] && layout->offset[i] < j_end &&
                layout->offset[j] < i_end)
                return true;
        }
    return false;
}

static size_t
near(uint64_t *random, size_t value)
{
    return value + zcb_test_below(random, 3) - (value != 0);
}

static void
random_layouts_are_judged_as_a_map_of_their_bytes_says(void **state)
{
    uint64_t random = zcb_test_seed();
    unsigned verdicts[4] = {0}; // taken, refused: short, overlap, stride

    (void)state;
    for (size_t round = zcb_test_rounds(60000); round != 0; round--) {
        const struct format_row *row = &format_rows[zcb_test_below(&random, FORMATS)];
        struct zcb_image_layout layout =
            must_layout(row->format, 1 + (uint32_t)zcb_test_below(&random, 9),
                        1 + (uint32_t)zcb_test_below(&random, 9), 1);
        size_t common = layout.row_bytes[0] + zcb_test_below(&random, 20);
        bool outside, twice, narrow = false;
        struct zcb_packet packet;
        struct zcb_image image;
        size_t len = layout.bytes;
        int result;

        for (unsigned i = 0; i < layout.planes; i++) {
            if (zcb_test_below(&random, 2) != 0)
                layout.stride[i] = common;
            else if (zcb_test_below(&random, 8) == 0)
                layout.stride[i] = near(&random, layout.row_bytes[i]);
            if (zcb_test_below(&random, 3) == 0)
                layout.offset[i] = zcb_test_below(&random, 60);
            else if (zcb_test_below(&random, 3) == 0)
                layout.offset[i] = near(&random, layout.offset[i]);
            if (i > 0 && zcb_test_below(&random, 3) == 0)
                layout.offset[i] = near(&random, layout.offset[i - 1] + layout.row_bytes[i - 1]);
            if (zcb_test_below(&random, 2) == 0) {
                size_t end = layout.offset[i] + (layout.rows[i] - 1) * layout.stride[i] +
                             layout.row_bytes[i];

                len = end > len ? end : len;
            }
            narrow = narrow || layout.stride[i] < layout.row_bytes[i];
        }
        if (zcb_test_below(&random, 8) == 0)
            len = near(&random, len);
        CHECK(len <= FOREIGN);
        packet = zcb_packet_static(foreign, len);
        mark(&layout, len, &outside, &twice);
        result = zcb_image_wrap(&layout, &packet, &image);
        if (narrow) {
            assert_int_equal(result, -EINVAL);
            verdicts[3]++;
        } else if (outside) {
            assert_int_equal(result, -ERANGE);
            verdicts[1]++;
        } else if (twice || is_intricate(&layout)) {
            assert_int_equal(result, -EINVAL);
            verdicts[2] += twice;
        } else {
            assert_int_equal(result, 0);
            for (unsigned i = 0; i < layout.planes; i++)
                for (uint32_t y = 0; y < layout.rows[i]; y++)
                    assert_ptr_equal(zcb_image_row(&image, i, y),
                                     foreign + layout.offset[i] + y * layout.stride[i]);
            verdicts[0]++;
        }
    }
    for (size_t i = 0; i < 4; i++)
        assert_true(verdicts[i] > 100); // else this test tests nothing
}

// Numbers from a hostile header: whatever they are, the answer is one of the documented ones, and
// what was taken lies inside.
static void
hostile_layouts_never_reach_past_their_packet(void **state)
{
    static const size_t edges[] = {
        0, 1, 2, 99, 100, 101, SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1, UINT32_MAX};
    uint64_t random = zcb_test_seed();

    (void)state;
    for (size_t round = zcb_test_rounds(60000); round != 0; round--) {
        struct zcb_packet packet = zcb_packet_static(foreign, 100);
        struct zcb_image_layout layout;
        struct zcb_image image;
        int result;

        if (zcb_image_layout((unsigned)zcb_test_below(&random, ZCB_IMAGE_FORMAT_END + 1),
                             (uint32_t)edges[zcb_test_below(&random, 6)],
                             1 + (uint32_t)zcb_test_below(&random, 4), 1, NULL, &layout) < 0)
            continue;
        for (unsigned i = 0; i < ZCB_IMAGE_PLANES; i++) {
            if (zcb_test_below(&random, 3) == 0)
                layout.stride[i] = edges[zcb_test_below(&random, sizeof(edges) / sizeof(*edges))];
            if (zcb_test_below(&random, 3) == 0)
                layout.offset[i] = edges[zcb_test_below(&random, sizeof(edges) / sizeof(*edges))];
            if (zcb_test_below(&random, 20) == 0)
                layout.rows[i] = (uint32_t)edges[zcb_test_below(&random, 11)];
            if (zcb_test_below(&random, 20) == 0)
                layout.row_bytes[i] = (uint32_t)edges[zcb_test_below(&random, 11)];
        }
        if (zcb_test_below(&random, 20) == 0)
            layout.planes = (uint16_t)zcb_test_random(&random);
        result = zcb_image_wrap(&layout, &packet, &image);
        assert_true(result == 0 || result == -EINVAL || result == -ERANGE || result == -EOVERFLOW);
        if (result < 0)
            continue;
        for (unsigned i = 0; i < image.planes; i++) {
            const uint8_t *last = zcb_image_row(&image, i, zcb_image_rows_of(&image, i) - 1);

            assert_true(image.plane[i].data >= foreign);
            assert_true(last + zcb_image_row_bytes(&image, i) <= foreign + 100);
            assert_true(image.plane[i].data + image.plane[i].len <= foreign + 100);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_pixels_are_wrapped_where_they_fit),
        cmocka_unit_test(an_image_is_wrapped_anew_where_it_lies),
        cmocka_unit_test(a_packet_for_each_plane_is_taken_or_none),
        cmocka_unit_test(random_layouts_are_judged_as_a_map_of_their_bytes_says),
        cmocka_unit_test(hostile_layouts_never_reach_past_their_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
