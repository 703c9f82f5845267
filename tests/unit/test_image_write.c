// SPDX-License-Identifier: MIT
// Writing images, wrapping foreign ones, and copy-on-write: what is copied, to the byte, and what
// stays where it is.

#include "testing.h"

#include "unit/image_testing.h"

#include "support/alloc_count.h"

#include <sys/mman.h>

#include <zcbuf/copies.h>

// ---- what was copied

enum { SEEN = 64 };

static struct seen {
    unsigned copies;
    enum zcb_copy_reason reason[SEEN];
    size_t len[SEEN];
    struct zcb_copies before;
} seen;

static void
trace(void *ctx, enum zcb_copy_reason reason, size_t len)
{
    (void)ctx;
    CHECK(seen.copies < SEEN);
    seen.reason[seen.copies] = reason;
    seen.len[seen.copies++] = len;
}

static void
watch(void)
{
    seen.copies = 0;
    zcb_copies_thread(&seen.before);
    zcb_copies_trace(trace, NULL);
}

// Since watch(): `n` copies for `reason`, of these lengths, each traced and counted once, and
// nothing for any other reason.
static bool
saw(enum zcb_copy_reason reason, unsigned n, const size_t *len)
{
    struct zcb_copies now;
    uint64_t sum = 0;

    zcb_copies_trace(NULL, NULL);
    zcb_copies_thread(&now);
    if (seen.copies != n)
        return false;
    for (unsigned i = 0; i < n; i++) {
        sum += len[i];
        if (seen.reason[i] != reason || seen.len[i] != len[i])
            return false;
    }
    return now.calls[reason] - seen.before.calls[reason] == n &&
           now.bytes[reason] - seen.before.bytes[reason] == sum &&
           zcb_copies_bytes(&now) - zcb_copies_bytes(&seen.before) == sum;
}

static bool
saw_nothing(void)
{
    return saw(ZCB_COPY_UNSHARE, 0, NULL);
}

// ---- the writer

static void
memory_comes_in_one_buffer_or_one_for_each_plane(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (size_t f = 0; f < FORMATS; f++)
        for (int apart = 0; apart < 2; apart++) {
            struct zcb_image_layout layout = must_layout(format_rows[f].format, 33, 17, 0);
            struct zcb_image_buf buf;
            unsigned planes = format_rows[f].planes;

            memset(&buf, 0xee, sizeof(buf));
            assert_int_equal(
                (apart ? zcb_image_acquire_planes : zcb_image_acquire)(pool, &layout, &buf), 0);
            assert_int_equal(must_stats(pool).total.live, apart ? planes : 1);
            assert_int_equal(buf.width, 33);
            assert_int_equal(buf.height, 17);
            assert_int_equal(buf.format, format_rows[f].format);
            for (unsigned i = 0; i < ZCB_IMAGE_PLANES; i++) {
                bool holds = i < (apart ? planes : 1);
                size_t whole = apart ? layout.stride[i] * layout.rows[i] : layout.bytes;

                assert_true((buf.buf[i] != NULL) == holds);
                if (holds) {
                    assert_int_equal(zcb_buf_len(buf.buf[i]), whole);
                    assert_ptr_equal(zcb_buf_data(buf.buf[i]), buf.plane[i]);
                }
                if (i < planes) {
                    assert_int_equal((uintptr_t)buf.plane[i] % 64, 0);
                    assert_int_equal(buf.stride[i], layout.stride[i]);
                    if (!apart)
                        assert_ptr_equal(buf.plane[i], buf.plane[0] + layout.offset[i]);
                }
            }
            // All of the padding is the writer's.
            for (unsigned i = 0; i < planes; i++)
                memset(buf.plane[i], 0xab, layout.stride[i] * layout.rows[i]);
            draw(&buf, (uint32_t)f);
            zcb_image_buf_release(&buf);
            assert_int_equal(buf.planes, 0);
            assert_null(buf.buf[0]);
            assert_int_equal(must_stats(pool).total.live, 0);
            zcb_image_buf_release(&buf);
        }
    must_end(&pool);
}

static void
a_layout_that_nobody_made_is_refused(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_image_layout good = must_layout(ZCB_IMAGE_YUV420, 20, 20, 0);
    struct zcb_image_buf buf, untouched;

    (void)state;
    memset(&buf, 0xee, sizeof(buf));
    untouched = buf;
    for (unsigned what = 0; what < 15; what++) {
        struct zcb_image_layout bad = good;
        bool apart_too = true; // offsets and bytes do not matter there

        switch (what) {
        case 0:
            bad.format = 0;
            break;
        case 1:
            bad.format = ZCB_IMAGE_FORMAT_END;
            break;
        case 2:
            bad.format = ZCB_IMAGE_GRAY;
            break;
        case 3:
            bad.width = 0;
            break;
        case 4:
            bad.height = 0;
            break;
        case 5:
            bad.width = 22;
            break;
        case 6:
            bad.height = 18;
            break;
        case 7:
            bad.planes = 4;
            break;
        case 8:
            bad.planes = 2;
            break;
        case 9:
            bad.row_bytes[1]++;
            break;
        case 10:
            bad.rows[2]--;
            break;
        case 11:
            bad.stride[1] = bad.row_bytes[1] - 1;
            break;
        case 12:
            bad.reserved = 1;
            break;
        case 13:
            bad.bytes = bad.offset[2] + bad.stride[2] * 9 + bad.row_bytes[2] - 1;
            apart_too = false;
            break;
        default:
            bad.offset[2] = bad.offset[1] + 4;
            apart_too = false;
        }
        assert_int_equal(zcb_image_acquire(pool, &bad, &buf), -EINVAL);
        if (apart_too)
            assert_int_equal(zcb_image_acquire_planes(pool, &bad, &buf), -EINVAL);
    }
    good.stride[2] = SIZE_MAX / 2;
    assert_int_equal(zcb_image_acquire(pool, &good, &buf), -EINVAL);
    assert_int_equal(zcb_image_acquire_planes(pool, &good, &buf), -EINVAL);
    good = must_layout(ZCB_IMAGE_GRAY, 2, 2, 0);
    good.stride[0] = SIZE_MAX / 2 + 1; // its length fits, its padding does not
    assert_int_equal(zcb_image_acquire_planes(pool, &good, &buf), -EINVAL);
    assert_int_equal(zcb_image_acquire(NULL, &good, &buf), -EINVAL);
    assert_int_equal(zcb_image_acquire(pool, NULL, &buf), -EINVAL);
    assert_int_equal(zcb_image_acquire(pool, &good, NULL), -EINVAL);
    assert_int_equal(zcb_image_acquire_planes(NULL, &good, &buf), -EINVAL);
    assert_int_equal(zcb_image_acquire_planes(pool, NULL, &buf), -EINVAL);
    assert_int_equal(zcb_image_acquire_planes(pool, &good, NULL), -EINVAL);
    assert_memory_equal(&buf, &untouched, sizeof(buf));
    must_end(&pool);
}

// A pool of buffers of `size`, of which there are `most`.
static struct zcb_pool *
small_pool(size_t size, size_t most)
{
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = size, .max_buffers = most}},
        .policy = ZCB_POOL_FAIL,
        .flags = ZCB_POOL_NO_OVERSIZE,
    };

    return must_create(&config);
}

static void
what_the_pool_refuses_is_passed_on_and_nothing_is_kept(void **state)
{
    struct zcb_pool *pool = small_pool(1024, 2);
    struct zcb_image_layout layout = must_layout(ZCB_IMAGE_YUV444, 16, 16, 0);
    struct zcb_image_buf buf, untouched;

    (void)state;
    memset(&buf, 0xee, sizeof(buf));
    untouched = buf;
    assert_int_equal(zcb_image_acquire(pool, &layout, &buf), -ENOBUFS);        // 3072 bytes
    assert_int_equal(zcb_image_acquire_planes(pool, &layout, &buf), -ENOBUFS); // 3 x 1024
    assert_memory_equal(&buf, &untouched, sizeof(buf));
    assert_int_equal(must_stats(pool).total.live, 0);
    must_end(&pool);
}

// ---- foreign pixels

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

static void
two_planes_may_be_the_same_bytes_until_they_are_written(void **state)
{
    static const size_t copied[] = {12, 12};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_image_layout layout = must_layout(ZCB_IMAGE_YUV420, 6, 8, 1);
    struct zcb_packet planes[3];
    struct zcb_image_buf buf;
    struct zcb_image image;

    (void)state;
    planes[0] = must_packet(pool, 48);
    planes[1] = must_packet(pool, 12);
    memset((uint8_t *)(uintptr_t)planes[1].data, 128, 12);
    planes[2] = zcb_packet_ref(&planes[1]); // neutral: for both
    assert_int_equal(zcb_image_wrap_planes(&layout, planes, &image), 0);
    assert_true(zcb_image_is_unique(&image)); // one reference for each block
    assert_ptr_equal(image.plane[1].data, image.plane[2].data);
    watch();
    assert_int_equal(zcb_image_make_writable(&image, NULL, &buf), -EINVAL);
    assert_int_equal(zcb_image_make_writable(&image, pool, &buf), 2);
    assert_true(saw(ZCB_COPY_UNSHARE, 2, copied));
    memset(zcb_image_buf_row(&buf, 1, 0), 1, 3);
    assert_int_equal(zcb_image_buf_row(&buf, 2, 0)[0], 128);
    zcb_image_buf_release(&buf);
    must_end(&pool);
}

// The program has wrapped the same memory twice; each block is nobody else's, their bytes are.
static void
two_blocks_of_the_same_memory_are_both_copied(void **state)
{
    static const size_t copied[] = {12, 12};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_image_layout layout = must_layout(ZCB_IMAGE_YUV420, 6, 8, 1);
    struct zcb_packet planes[3];
    struct zcb_image_buf buf;
    struct zcb_image image;

    (void)state;
    releases = 0;
    planes[0] = must_packet(pool, 48);
    for (int i = 1; i < 3; i++) {
        struct zcb_buf *wrapped;

        assert_int_equal(zcb_buf_wrap(foreign, 12, 12, count_release, NULL, &wrapped), 0);
        zcb_buf_share(&wrapped, &planes[i]);
    }
    assert_int_equal(zcb_image_wrap_planes(&layout, planes, &image), 0);
    watch();
    assert_int_equal(zcb_image_make_writable(&image, pool, &buf), 2);
    assert_true(saw(ZCB_COPY_UNSHARE, 2, copied));
    assert_int_equal(releases, 2);
    zcb_image_buf_release(&buf);
    must_end(&pool);
}

// ---- copy-on-write

static void
pixels_that_nobody_else_sees_stay_where_they_are(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (size_t f = 0; f < FORMATS; f++)
        for (int apart = 0; apart < 2; apart++) {
            struct zcb_image image =
                must_draw(pool, format_rows[f].format, 21, 11, apart != 0, (uint32_t)f);
            struct zcb_image was = image;
            struct zcb_image_buf buf;
            uint64_t allocations = zcb_alloc_count();

            watch();
            assert_int_equal(zcb_image_make_writable(&image, NULL, &buf), 0);
            assert_true(saw_nothing());
            assert_true(is_empty(&image));
            for (unsigned i = 0; i < was.planes; i++) {
                assert_ptr_equal(buf.plane[i], was.plane[i].data);
                assert_int_equal(buf.stride[i], was.stride[i]);
            }
            assert_int_equal(buf.format, was.format);
            draw(&buf, (uint32_t)f + 100);
            zcb_image_buf_share(&buf, &image);
            assert_memory_equal(&image, &was, sizeof(image)); // to the last pointer
            assert_true(shows(&image, (uint32_t)f + 100, 0, 0, 1, 21, 11));
            assert_true(zcb_image_is_unique(&image));
            assert_int_equal(zcb_alloc_count(), allocations);
            zcb_image_unref(&image);
            assert_int_equal(must_stats(pool).total.live, 0);
        }
    must_end(&pool);
}

static void
of_a_shared_view_its_own_rows_and_columns_are_copied(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (size_t f = 0; f < FORMATS; f++)
        for (int apart = 0; apart < 2; apart++) {
            const struct format_row *row = &format_rows[f];
            struct zcb_image image = must_draw(pool, row->format, 40, 30, apart != 0, 9), view;
            size_t len[3], live = apart ? row->planes : 1;
            struct zcb_image_buf buf;

            assert_int_equal(zcb_image_crop(&image, 10, 4, 13, 7, &view), 0);
            for (unsigned i = 0; i < row->planes; i++)
                len[i] = (size_t)plane_width(row, i, 13) * row->bytes[i] * plane_rows(row, i, 7);
            watch();
            assert_int_equal(zcb_image_make_writable(&view, pool, &buf), row->planes);
            assert_true(saw(ZCB_COPY_UNSHARE, row->planes, len));
            assert_true(is_empty(&view));
            assert_true(zcb_image_is_unique(&image)); // the view's references are gone
            assert_int_equal(must_stats(pool).total.live, 2 * live); // a buffer for each block
            for (unsigned i = 0; i < row->planes; i++)
                assert_int_equal(buf.stride[i] % 64, 0);
            zcb_image_buf_share(&buf, &view);
            assert_true(shows(&view, 9, 10, 4, 1, 13, 7));
            assert_true(zcb_image_is_unique(&view));
            // Written over and over: the image it was cut from is as it was.
            assert_int_equal(zcb_image_make_writable(&view, NULL, &buf), 0);
            draw(&buf, 10);
            assert_true(shows(&image, 9, 0, 0, 1, 40, 30));
            zcb_image_buf_release(&buf);
            zcb_image_unref(&image);
        }
    must_end(&pool);
}

// The buffer that is copied into was filled before: what is no pixel of the view stays.
static void
what_lies_around_a_view_is_not_copied_with_it(void **state)
{
    struct zcb_pool *pool = must_create(NULL), *target = small_pool(16384, 1);

    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        const struct format_row *row = &format_rows[f];
        struct zcb_image image = must_draw(pool, row->format, 40, 30, false, 9), view;
        struct zcb_buf *before = must_acquire(target, 16384);
        struct zcb_image_buf buf;
        size_t pixels = 0;

        memset(zcb_buf_data(before), 0xee, 16384);
        zcb_buf_release(&before);
        assert_int_equal(zcb_image_crop(&image, 10, 4, 13, 7, &view), 0);
        assert_int_equal(zcb_image_make_writable(&view, target, &buf), row->planes);
        for (size_t i = 0; i < 16384; i++)
            pixels += buf.plane[0][i] != 0xee;
        assert_int_equal(pixels, pixel_bytes(row, 13, 7));
        zcb_image_buf_release(&buf);
        zcb_image_unref(&image);
    }
    must_end(&target);
    must_end(&pool);
}

static void
expect_empty(void *ctx, void *data, size_t len)
{
    (void)data, (void)len;
    CHECK(is_empty(ctx));
    releases++;
}

static void
a_release_hook_finds_the_variable_empty(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_image_layout layout = must_layout(ZCB_IMAGE_GRAY, 4, 4, 1);
    struct zcb_image_buf buf;
    struct zcb_packet packet;
    struct zcb_image image;

    (void)state;
    releases = 0;
    for (int way = 0; way < 2; way++) {
        assert_int_equal(zcb_packet_wrap(foreign, 16, expect_empty, &image, &packet), 0);
        assert_int_equal(zcb_image_wrap(&layout, &packet, &image), 0);
        if (way == 0) {
            zcb_image_unref(&image);
        } else {
            assert_int_equal(zcb_image_make_writable(&image, pool, &buf), 1);
            zcb_image_buf_release(&buf);
        }
        assert_int_equal(releases, way + 1);
    }
    must_end(&pool);
}

static void
a_view_that_is_alone_is_written_in_place_and_nothing_around_it(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (size_t f = 0; f < FORMATS; f++)
        for (int apart = 0; apart < 2; apart++) {
            const struct format_row *row = &format_rows[f];
            struct zcb_image image = must_draw(pool, row->format, 20, 18, apart != 0, 1), view;
            struct zcb_image ghost = image; // to look at; not a reference
            struct zcb_image_buf buf;

            assert_int_equal(zcb_image_crop(&image, 4, 6, 7, 5, &view), 0);
            zcb_image_unref(&image);
            watch();
            assert_int_equal(zcb_image_make_writable(&view, NULL, &buf), 0);
            assert_true(saw_nothing());
            draw(&buf, 2);
            for (unsigned i = 0; i < row->planes; i++)
                for (uint32_t y = 0; y < plane_rows(row, i, 18); y++)
                    for (uint32_t x = 0; x < zcb_image_row_bytes(&ghost, i); x++) {
                        uint32_t x0 = 4 / row->xdiv[i] * row->bytes[i], y0 = 6 / row->ydiv[i];
                        uint32_t w = plane_width(row, i, 7) * row->bytes[i];
                        bool in =
                            x >= x0 && x < x0 + w && y >= y0 && y < y0 + plane_rows(row, i, 5);

                        assert_int_equal(zcb_image_row(&ghost, i, y)[x],
                                         in ? picture_byte(2, i, y - y0, x - x0)
                                            : picture_byte(1, i, y, x));
                    }
            zcb_image_buf_share(&buf, &view);
            assert_true(shows(&view, 2, 0, 0, 1, 7, 5));
            zcb_image_unref(&view);
        }
    must_end(&pool);
}

static void
planes_of_other_blocks_are_copied_only_where_they_are_shared(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (unsigned shared = 0; shared < 8; shared++) {
        struct zcb_image image = must_draw(pool, ZCB_IMAGE_YUV420, 32, 16, true, 3), was = image;
        size_t len[3], all[] = {512, 128, 128};
        struct zcb_packet held[3] = {{0}};
        struct zcb_image_buf buf;
        unsigned n = 0;

        for (unsigned i = 0; i < 3; i++)
            if (shared & (1u << i)) {
                held[i] = zcb_packet_ref(&image.plane[i]);
                len[n++] = all[i];
            }
        watch();
        assert_int_equal(zcb_image_make_writable(&image, pool, &buf), n);
        assert_true(saw(ZCB_COPY_UNSHARE, n, len));
        for (unsigned i = 0; i < 3; i++)
            assert_true((buf.plane[i] == was.plane[i].data) == !(shared & (1u << i)));
        draw(&buf, 4);
        for (unsigned i = 0; i < 3; i++)
            if (shared & (1u << i)) {
                assert_true(zcb_packet_is_unique(&held[i]));
                assert_int_equal(held[i].data[0], picture_byte(3, i, 0, 0));
                zcb_packet_unref(&held[i]);
            }
        zcb_image_buf_share(&buf, &image);
        assert_true(shows(&image, 4, 0, 0, 1, 32, 16));
        assert_true(zcb_image_is_unique(&image));
        zcb_image_unref(&image);
    }
    must_end(&pool);
}

// Two blocks, planes 0 and 2 in one of them, in whatever order.
static void
blocks_that_take_turns_are_kept_apart(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_image_layout layout = must_layout(ZCB_IMAGE_YUV444, 16, 16, 1);

    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        bool first_shared = round & 1, second_shared = round & 2, backwards = round & 4;
        struct zcb_packet one = must_packet(pool, 1000), two = must_packet(pool, 256);
        struct zcb_packet planes[3], hold[2] = {{0}};
        size_t len[] = {256, 256, 256};
        unsigned copied = (first_shared ? 2 : 0) + (second_shared ? 1 : 0);
        struct zcb_image image, was;
        struct zcb_image_buf buf;

        assert_int_equal(zcb_packet_slice(&one, backwards ? 600 : 10, 256, &planes[0]), 0);
        assert_int_equal(zcb_packet_slice(&one, backwards ? 20 : 500, 300, &planes[2]), 0);
        planes[1] = zcb_packet_ref(&two);
        zcb_packet_unref(&one);
        zcb_packet_unref(&two);
        assert_int_equal(zcb_image_wrap_planes(&layout, planes, &image), 0);
        assert_true(zcb_image_is_unique(&image));
        was = image;
        assert_int_equal(zcb_image_make_writable(&image, NULL, &buf), 0);
        draw(&buf, round);
        zcb_image_buf_share(&buf, &image);
        assert_memory_equal(&image, &was, sizeof(was));
        if (first_shared)
            hold[0] = zcb_packet_ref(&image.plane[2]);
        if (second_shared)
            hold[1] = zcb_packet_ref(&image.plane[1]);
        watch();
        assert_int_equal(zcb_image_make_writable(&image, pool, &buf), copied);
        assert_true(saw(ZCB_COPY_UNSHARE, copied, len));
        zcb_image_buf_share(&buf, &image);
        assert_true(shows(&image, round, 0, 0, 1, 16, 16));
        assert_true((image.plane[0].owner == was.plane[0].owner) == !first_shared);
        assert_true((image.plane[1].owner == was.plane[1].owner) == !second_shared);
        assert_ptr_equal(image.plane[0].owner, image.plane[2].owner);
        assert_int_equal(must_stats(pool).total.live, 2 + first_shared + second_shared);
        zcb_image_unref(&image);
        zcb_packet_unref(&hold[0]);
        zcb_packet_unref(&hold[1]);
        assert_int_equal(must_stats(pool).total.live, 0);
    }
    must_end(&pool);
}

static void
memory_that_may_not_be_written_is_copied_though_nobody_shares_it(void **state)
{
    static const size_t len[] = {16 * 8, 32, 32};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_image_layout layout = must_layout(ZCB_IMAGE_YUV420, 16, 8, 1);

    (void)state;
    for (size_t i = 0; i < layout.bytes; i++)
        foreign[i] = (uint8_t)(i * 3);
    for (int way = 0; way < 5; way++) {
        struct zcb_packet packet, planes[3];
        struct zcb_buf_storage storage;
        struct zcb_image_buf buf;
        struct zcb_image image;
        struct zcb_buf *whole;
        FILE *file;

        releases = 0;
        switch (way) {
        case 0: // const
            packet = must_wrap(layout.bytes);
            break;
        case 1: // static
            packet = zcb_packet_static(foreign, layout.bytes);
            break;
        case 2: // foreign, but writable: not copied
            whole = zcb_buf_wrap_in(&storage, foreign, layout.bytes, sizeof(foreign), count_release,
                                    NULL);
            zcb_buf_share(&whole, &packet);
            break;
        case 3: // a file
            file = tmpfile();
            assert_non_null(file);
            assert_int_equal(fwrite(foreign, 1, layout.bytes, file), layout.bytes);
            assert_int_equal(fflush(file), 0);
            assert_int_equal(zcb_map_file(fileno(file), 0, layout.bytes, 0, &packet), 0);
            fclose(file);
            break;
        default: // static planes, one by one
            packet = zcb_packet_static(NULL, 0);
            for (int i = 0; i < 3; i++)
                planes[i] = zcb_packet_static(foreign + layout.offset[i], len[i]);
        }
        if (way == 4)
            assert_int_equal(zcb_image_wrap_planes(&layout, planes, &image), 0);
        else
            assert_int_equal(zcb_image_wrap(&layout, &packet, &image), 0);
        assert_true(zcb_image_is_unique(&image) == (way == 0 || way == 2 || way == 3));
        watch();
        if (way == 2) {
            assert_int_equal(zcb_image_make_writable(&image, NULL, &buf), 0);
            assert_true(saw_nothing());
            assert_ptr_equal(buf.plane[0], foreign);
            assert_int_equal(releases, 0);
            zcb_image_buf_release(&buf);
            assert_int_equal(releases, 1);
            continue;
        }
        assert_int_equal(zcb_image_make_writable(&image, NULL, &buf), -EINVAL);
        assert_int_equal(releases, 0);
        assert_int_equal(zcb_image_make_writable(&image, pool, &buf), 3);
        assert_true(saw(ZCB_COPY_UNSHARE, 3, len));
        assert_int_equal(releases, way == 0);
        assert_int_equal(must_stats(pool).total.live, 1);
        for (unsigned i = 0; i < 3; i++)
            for (uint32_t y = 0; y < layout.rows[i]; y++) {
                assert_memory_equal(zcb_image_buf_row(&buf, i, y),
                                    foreign + layout.offset[i] + y * layout.row_bytes[i],
                                    layout.row_bytes[i]);
                memset(zcb_image_buf_row(&buf, i, y), 0, layout.row_bytes[i]);
            }
        for (size_t i = 0; i < layout.bytes; i++)
            assert_int_equal(foreign[i], (uint8_t)(i * 3));
        zcb_image_buf_release(&buf);
    }
    must_end(&pool);
}

static void
bytes_that_a_writer_published_are_shared_with_it(void **state)
{
    static const size_t len[] = {64};
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_image_layout layout = must_layout(ZCB_IMAGE_GRAY, 8, 8, 1);
    struct zcb_buf *writer = must_acquire(pool, 200);
    struct zcb_packet packet;
    struct zcb_image_buf buf;
    struct zcb_image image;

    (void)state;
    assert_int_equal(zcb_buf_append(writer, 128, NULL), 0);
    assert_int_equal(zcb_buf_publish(writer, 64, &packet), 0);
    assert_int_equal(zcb_image_wrap(&layout, &packet, &image), 0);
    watch();
    assert_int_equal(zcb_image_make_writable(&image, pool, &buf), 1);
    assert_true(saw(ZCB_COPY_UNSHARE, 1, len));
    zcb_image_buf_release(&buf);
    zcb_buf_release(&writer);
    must_end(&pool);
}

// The last pixel is the last byte before a page that may not be read.
static void
nothing_behind_the_last_pixel_is_read(void **state)
{
    long page = sysconf(_SC_PAGESIZE);
    struct zcb_pool *pool = must_create(NULL);
    uint8_t *pages =
        mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(pages, MAP_FAILED);
    memset(pages, 0x55, (size_t)page);
    assert_int_equal(mprotect(pages + page, (size_t)page, PROT_NONE), 0);
    for (size_t f = 0; f < FORMATS; f++) {
        struct zcb_image_layout layout = must_layout(format_rows[f].format, 9, 5, 64);
        unsigned last = layout.planes - 1u;
        size_t len = layout.offset[last] + layout.stride[last] * (layout.rows[last] - 1) +
                     layout.row_bytes[last];
        struct zcb_packet packet;
        struct zcb_image image, view, copy;
        struct zcb_image_buf buf;

        assert_true(len < layout.bytes && layout.bytes < (size_t)page);
        assert_int_equal(zcb_packet_wrap(pages + (size_t)page - len, len, NULL, NULL, &packet), 0);
        assert_int_equal(zcb_image_wrap(&layout, &packet, &image), 0);
        assert_int_equal(zcb_image_crop(&image, 4, 2, 5, 3, &view), 0);
        assert_int_equal(zcb_image_copy(&view, pool, &copy), 0);
        assert_int_equal(zcb_image_make_writable(&view, pool, &buf), layout.planes);
        assert_int_equal(zcb_image_buf_row(&buf, last, 0)[0], 0x55);
        zcb_image_buf_release(&buf);
        assert_int_equal(zcb_image_make_writable(&image, pool, &buf), layout.planes);
        zcb_image_buf_release(&buf);
        zcb_image_unref(&copy);
    }
    munmap(pages, (size_t)page * 2);
    must_end(&pool);
}

static void
a_call_that_fails_leaves_the_image_whole(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    // Each set of shared planes, with room in the pool for each number of copies short of it.
    for (unsigned shared = 1; shared < 8; shared++)
        for (unsigned room = 0; room < (unsigned)__builtin_popcount(shared); room++) {
            struct zcb_image image = must_draw(pool, ZCB_IMAGE_YUV444, 16, 16, true, 3);
            struct zcb_image was = image;
            struct zcb_packet held[3] = {{0}};
            struct zcb_pool *tight = small_pool(1024, room + 1);
            struct zcb_buf *filler = must_acquire(tight, 1);
            struct zcb_image_buf buf, untouched;

            memset(&buf, 0xee, sizeof(buf));
            untouched = buf;
            for (unsigned i = 0; i < 3; i++)
                if (shared & (1u << i))
                    held[i] = zcb_packet_ref(&image.plane[i]);
            watch();
            assert_int_equal(zcb_image_make_writable(&image, tight, &buf), -ENOBUFS);
            assert_int_equal(zcb_image_make_writable(&image, NULL, &buf), -EINVAL);
            assert_int_equal(zcb_image_make_writable(&image, tight, NULL), -EINVAL);
            assert_int_equal(zcb_image_make_writable(NULL, tight, &buf), -EINVAL);
            assert_true(saw_nothing());
            assert_memory_equal(&image, &was, sizeof(was));
            assert_memory_equal(&buf, &untouched, sizeof(buf));
            assert_int_equal(must_stats(tight).total.live, 1);
            for (unsigned i = 0; i < 3; i++) {
                assert_true(zcb_packet_is_unique(&image.plane[i]) == !(shared & (1u << i)));
                zcb_packet_unref(&held[i]);
            }
            assert_true(zcb_image_is_unique(&image));
            assert_true(shows(&image, 3, 0, 0, 1, 16, 16));
            assert_int_equal(zcb_image_make_writable(&image, NULL, &buf), 0);
            zcb_image_buf_release(&buf);
            zcb_buf_release(&filler);
            must_end(&tight);
        }
    must_end(&pool);
}

// The first block is too large for the pool; the ones behind it would fit.
static void
the_first_failure_is_the_answer(void **state)
{
    struct zcb_pool *pool = must_create(NULL), *small = small_pool(1024, 4);
    struct zcb_image image = must_draw(pool, ZCB_IMAGE_YUV420, 64, 32, true, 3), was = image;
    struct zcb_image other = zcb_image_ref(&image);
    struct zcb_image_buf buf;

    (void)state;
    watch();
    assert_int_equal(zcb_image_make_writable(&image, small, &buf), -ENOBUFS);
    assert_true(saw_nothing());
    assert_memory_equal(&image, &was, sizeof(was));
    zcb_image_unref(&image);
    zcb_image_unref(&other);
    must_end(&small);
    must_end(&pool);
}

static void
a_copy_of_its_own_is_all_that_a_small_view_keeps(void **state)
{
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096}, {.buffer_size = 65536}}};
    struct zcb_pool *pool = must_create(&config), *tight = small_pool(64, 1);

    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        const struct format_row *row = &format_rows[f];
        struct zcb_image image = must_draw(pool, row->format, 80, 60, false, 6), view, copy = {0};
        size_t len[3];

        for (unsigned i = 0; i < row->planes; i++)
            len[i] = (size_t)plane_width(row, i, 9) * row->bytes[i] * plane_rows(row, i, 9);
        assert_int_equal(zcb_image_crop(&image, 50, 40, 9, 9, &view), 0);
        zcb_image_unref(&image);
        assert_true(zcb_image_pinned(&view) >= pixel_bytes(row, 80, 60));
        watch();
        assert_int_equal(zcb_image_copy(&view, tight, &copy), -ENOBUFS);
        assert_int_equal(zcb_image_copy(NULL, pool, &copy), -EINVAL);
        assert_int_equal(zcb_image_copy(&view, NULL, &copy), -EINVAL);
        assert_int_equal(zcb_image_copy(&view, pool, NULL), -EINVAL);
        assert_true(saw_nothing());
        assert_true(is_empty(&copy));
        watch();
        assert_int_equal(zcb_image_copy(&view, pool, &copy), 0);
        assert_true(saw(ZCB_COPY_COMPACT, row->planes, len));
        assert_true(shows(&view, 6, 50, 40, 1, 9, 9));
        zcb_image_unref(&view);
        assert_true(shows(&copy, 6, 50, 40, 1, 9, 9));
        assert_true(zcb_image_is_unique(&copy));
        assert_int_equal(zcb_image_pinned(&copy), 4096);
        assert_int_equal(must_stats(pool).total.live, 1);
        zcb_image_unref(&copy);
    }
    must_end(&pool);
    must_end(&tight);
}

// Planes that lie in each other's rows, alone in their memory, are written in place; so are their
// views.
static void
planes_side_by_side_are_no_overlap(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        struct zcb_image_layout layout = must_layout(ZCB_IMAGE_YUV444, 10, 8, 1);
        struct zcb_packet packet = must_packet(pool, 240);
        struct zcb_image image, view;
        struct zcb_image_buf buf;

        for (unsigned i = 0; i < 3; i++) {
            layout.stride[i] = 30;
            layout.offset[i] = 20 - 10 * i;
        }
        assert_int_equal(zcb_image_wrap(&layout, &packet, &image), 0);
        assert_int_equal(zcb_image_make_writable(&image, NULL, &buf), 0);
        draw(&buf, way);
        zcb_image_buf_share(&buf, &image);
        if (way & 1)
            assert_int_equal(zcb_image_field(&image, way & 2, &view), 0);
        else
            assert_int_equal(zcb_image_crop(&image, 3, way, 7, 4, &view), 0);
        zcb_image_unref(&image);
        assert_int_equal(zcb_image_make_writable(&view, NULL, &buf), 0);
        zcb_image_buf_share(&buf, &view);
        if (way & 1)
            assert_true(shows(&view, way, 0, way >> 1, 2, 10, 4));
        else
            assert_true(shows(&view, way, 3, way, 1, 7, 4));
        zcb_image_unref(&view);
    }
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_comes_in_one_buffer_or_one_for_each_plane),
        cmocka_unit_test(a_layout_that_nobody_made_is_refused),
        cmocka_unit_test(what_the_pool_refuses_is_passed_on_and_nothing_is_kept),
        cmocka_unit_test(two_planes_may_be_the_same_bytes_until_they_are_written),
        cmocka_unit_test(two_blocks_of_the_same_memory_are_both_copied),
        cmocka_unit_test(pixels_that_nobody_else_sees_stay_where_they_are),
        cmocka_unit_test(of_a_shared_view_its_own_rows_and_columns_are_copied),
        cmocka_unit_test(what_lies_around_a_view_is_not_copied_with_it),
        cmocka_unit_test(a_release_hook_finds_the_variable_empty),
        cmocka_unit_test(a_view_that_is_alone_is_written_in_place_and_nothing_around_it),
        cmocka_unit_test(planes_of_other_blocks_are_copied_only_where_they_are_shared),
        cmocka_unit_test(blocks_that_take_turns_are_kept_apart),
        cmocka_unit_test(memory_that_may_not_be_written_is_copied_though_nobody_shares_it),
        cmocka_unit_test(bytes_that_a_writer_published_are_shared_with_it),
        cmocka_unit_test(nothing_behind_the_last_pixel_is_read),
        cmocka_unit_test(a_call_that_fails_leaves_the_image_whole),
        cmocka_unit_test(the_first_failure_is_the_answer),
        cmocka_unit_test(a_copy_of_its_own_is_all_that_a_small_view_keeps),
        cmocka_unit_test(planes_side_by_side_are_no_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
