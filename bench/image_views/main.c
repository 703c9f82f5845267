// SPDX-License-Identifier: MIT
//
// W5b: views of a frame, and copy-on-write, beside copying what is looked at or written. Memory to
// copy into is there already and resident: what is compared is the copying alone.

#include <stdio.h>
#include <string.h>

#include <zcbuf/adapt/image.h>

#include "harness.h"

// RGBA and NV12, 1920 x 1080. The part: a 16th of the pixels.
enum { WIDTH = 1920, HEIGHT = 1080, X = 480, Y = 270, PART_WIDTH = 480, PART_HEIGHT = 270 };

struct job {
    struct zcb_pool *pool;
    struct zcb_image frame;
    uint8_t *place; // as large as the frame
};

static void
copy_part(const struct job *job, uint8_t *to)
{
    const struct zcb_image *frame = &job->frame;

    for (unsigned plane = 0; plane < frame->planes; plane++) {
        uint32_t below = plane != 0 ? 2 : 1; // NV12's second plane: half as high, as wide in bytes
        uint32_t bytes = plane != 0 ? 1 : zcb_image_format_info(frame->format)->pixel_bytes[0];

        for (uint32_t y = 0; y < PART_HEIGHT / below; y++, to += PART_WIDTH * bytes)
            memcpy(to, zcb_image_row(frame, plane, Y / below + y) + X * bytes, PART_WIDTH * bytes);
    }
}

// ---- looking at a part

static int
run_crop(void *ctx, struct bench_run *run)
{
    const struct job *job = ctx;

    for (uint64_t i = 0; i < run->n; i++) {
        struct zcb_image view;

        if (zcb_image_crop(&job->frame, X, Y, PART_WIDTH, PART_HEIGHT, &view) < 0)
            return -1;
        bench_keep(&view);
        zcb_image_unref(&view);
    }
    return 0;
}

static int
run_copied_part(void *ctx, struct bench_run *run)
{
    const struct job *job = ctx;

    for (uint64_t i = 0; i < run->n; i++) {
        copy_part(job, job->place);
        bench_keep(job->place);
    }
    return 0;
}

// Whether `image` is the part.
static bool
is_part(const struct job *job, const struct zcb_image *image)
{
    const uint8_t *at = job->place;

    copy_part(job, job->place);
    for (unsigned plane = 0; plane < image->planes; plane++) {
        uint32_t bytes = zcb_image_row_bytes(image, plane);

        for (uint32_t y = 0; y < zcb_image_rows_of(image, plane); y++, at += bytes)
            if (memcmp(zcb_image_row(image, plane, y), at, bytes) != 0)
                return false;
    }
    return true;
}

static int
check_crop(void *ctx)
{
    const struct job *job = ctx;
    struct zcb_image view;
    int wrong;

    if (zcb_image_crop(&job->frame, X, Y, PART_WIDTH, PART_HEIGHT, &view) < 0)
        return 1;
    wrong = !is_part(job, &view);
    zcb_image_unref(&view);
    return wrong;
}

// ---- writing it, while others look at the frame

static int
write_part(const struct job *job, struct zcb_image_buf *buf)
{
    struct zcb_image view;
    int result = zcb_image_crop(&job->frame, X, Y, PART_WIDTH, PART_HEIGHT, &view);

    if (result < 0)
        return result;
    result = zcb_image_make_writable(&view, job->pool, buf);
    if (result < 0)
        zcb_image_unref(&view);
    return result;
}

static int
run_write_part(void *ctx, struct bench_run *run)
{
    const struct job *job = ctx;

    for (uint64_t i = 0; i < run->n; i++) {
        struct zcb_image_buf buf;

        if (write_part(job, &buf) < 0)
            return -1;
        bench_keep(buf.plane[0]);
        zcb_image_buf_release(&buf);
    }
    return 0;
}

static int
check_write_part(void *ctx)
{
    const struct job *job = ctx;
    struct zcb_image_buf buf;
    struct zcb_image image;
    int result = write_part(job, &buf), wrong;

    if (result != job->frame.planes)
        return 1;
    zcb_image_buf_share(&buf, &image);
    wrong = !is_part(job, &image);
    zcb_image_unref(&image);
    return wrong;
}

static int
run_copied_frame(void *ctx, struct bench_run *run)
{
    const struct job *job = ctx;
    const struct zcb_packet *last = &job->frame.plane[job->frame.planes - 1];
    size_t len = (size_t)(last->data + last->len - job->frame.plane[0].data);

    for (uint64_t i = 0; i < run->n; i++) {
        memcpy(job->place, job->frame.plane[0].data, len);
        bench_keep(job->place);
    }
    return 0;
}

static void
compare(struct job *job, const char *format, size_t bytes)
{
    char look[64], write[64];
    struct bench_row looks[] = {
        {.name = bench_own, .work = run_crop, .check = check_crop, .ctx = job},
        {.name = "its rows copied", .work = run_copied_part, .ctx = job},
    };
    struct bench_row writes[] = {
        {.name = bench_own, .work = run_write_part, .check = check_write_part, .ctx = job},
        {.name = "its rows copied", .work = run_copied_part, .ctx = job},
        {.name = "the frame copied", .work = run_copied_frame, .ctx = job},
    };
    struct bench_case what = {
        .workload = "W5b",
        .variable = "KiB",
        .value = (double)bytes / 1024,
        .unit = "ns/view",
        .reference = "its rows copied",
    };

    snprintf(look, sizeof(look), "a 16th looked at, %s", format);
    snprintf(write, sizeof(write), "a 16th written, %s", format);
    what.title = look;
    bench_compare(&what, looks, sizeof(looks) / sizeof(looks[0]));
    what.title = write;
    bench_compare(&what, writes, sizeof(writes) / sizeof(writes[0]));
}

int
main(int argc, char **argv)
{
    static const unsigned formats[] = {ZCB_IMAGE_RGBA, ZCB_IMAGE_NV12};
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 1 << 20}, {.buffer_size = WIDTH * (HEIGHT + 8) * 4}},
    };
    int result = bench_start(argc, argv, "image_views", "W5b: views of a frame, and copy-on-write");
    struct job job;

    if (result < 0)
        return -1 - result;
    if (zcb_pool_create(&config, &job.pool) < 0)
        return 1;
    job.place = bench_alloc(WIDTH * HEIGHT * 4);
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct zcb_image_layout layout;
        struct zcb_image_buf buf;

        if (zcb_image_layout(formats[i], WIDTH, HEIGHT, 0, NULL, &layout) < 0 ||
            zcb_image_acquire(job.pool, &layout, &buf) < 0)
            return 1;
        for (unsigned plane = 0; plane < layout.planes; plane++)
            bench_fill(buf.plane[plane], layout.stride[plane] * layout.rows[plane], plane + 1);
        zcb_image_buf_share(&buf, &job.frame);
        compare(&job, zcb_image_format_info(formats[i])->name, layout.bytes);
        zcb_image_unref(&job.frame);
    }
    zcb_pool_destroy(&job.pool);
    return bench_finish();
}
