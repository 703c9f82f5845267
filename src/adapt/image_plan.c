// SPDX-License-Identifier: MIT
//
// Steps into bytes.
//
// Steps that run at once are a group; what passes between two groups is a whole frame:
//
//     [decode ===> scale] frame [encode]
//
// A group needs the frame it takes in, all its work, the rows in flight inside, and what it makes.
#include <limits.h>

#include "adapt/image_budget.h"
#include "adapt/image_plan.h"

#define ROWS 16            // in flight, where the step does not say: an MCU's height
#define RADIUS 3           // Lanczos-3
#define OUTPUT (64u << 10) // of a file that is written as it comes, and what a file has on top

// Pixels between two steps.
struct pixels {
    const struct zcb_image_format_info *info;
    unsigned format;
    uint32_t width, height;
    uint64_t row;   // bytes of a row in all planes
    uint64_t frame; // of all rows
};

struct measured {
    uint64_t work;
    uint64_t frame; // whole, out; 0: none, or not held
    uint64_t rest;  // what is out and no frame: rows, a file
    bool joined;    // runs together with the step behind
};

static uint64_t
most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// What comes out of a step; `held`: as a whole. 0, or zcb_image_layout's error.
static int
pixels_of(unsigned format, uint32_t width, uint32_t height, const struct zcb_image_limits *limits,
          bool held, struct pixels *out)
{
    struct zcb_image_limits some = {0};
    struct zcb_image_layout layout;
    int result;

    if (limits != NULL)
        some = *limits;
    if (!held)
        some.max_bytes = SIZE_MAX;
    result = zcb_image_layout(format, width, height, 0, &some, &layout);
    if (result < 0)
        return result;
    *out = (struct pixels){
        .info = zcb_image_format_info(format),
        .format = format,
        .width = width,
        .height = height,
        .frame = layout.bytes,
    };
    for (unsigned i = 0; i < layout.planes; i++)
        out->row += layout.stride[i];
    return 0;
}

// ---- work of each kind

static uint64_t
codec_work(const struct zcb_image_step *step, const struct pixels *pixels, uint32_t width,
           uint32_t height)
{
    // Files that are written have the samples that go in, if nothing else is said; of files that
    // are read the worst is assumed: four planes, deep, alpha.
    bool known = step->file_format != 0, encodes = step->kind == ZCB_IMAGE_ENCODE;
    const struct zcb_image_format_info *info =
        known ? zcb_image_format_info(step->file_format) : pixels->info;
    struct image_codec_ask ask = {
        .codec = step->codec,
        .encodes = encodes,
        .width = width,
        .height = height,
        .samples = 16,
        .lower = true,
        .alpha = true,
        .deep = true,
        .threads = step->threads != 0 ? step->threads : 1,
    };

    if (known || encodes) {
        unsigned alpha = info->has_alpha, chroma = info->channels - 1u - alpha;

        ask.samples = 4 + alpha * 4 + chroma * (4u >> (info->narrower + info->lower));
        ask.lower = info->lower != 0 || !known;
        ask.alpha = alpha != 0;
        ask.deep = info->sample_bits > 8;
    }
    return image_codec_bytes(&ask);
}

// A separable filter, whichever direction it does first, in floats.
static uint64_t
scale_work(const struct zcb_image_step *step, const struct pixels *in, const struct pixels *out)
{
    uint64_t radius = step->radius != 0 ? step->radius : RADIUS;
    uint64_t pixel = (uint64_t)most(in->info->channels, out->info->channels) * sizeof(float);
    // Pixels in that count for one out: 2 radii of whichever is the larger pixel, and one.
    uint64_t down = most(in->height, out->height), across = most(in->width, out->width);
    uint64_t taps_down = (2 * radius * down + out->height - 1) / out->height + 1;
    uint64_t taps_across = (2 * radius * across + out->width - 1) / out->width + 1;
    // Rows out that are being made of rows in of full width; or all rows in that one row out is
    // made of, each as short as it.
    uint64_t rows = most(plan_mul(2 * radius + 1, in->width), plan_mul(taps_down, out->width));
    uint64_t single = 2 * ((uint64_t)in->width + out->width); // before and after
    uint64_t weights =
        plan_mul(out->width, taps_across * sizeof(float) + 8) + taps_down * sizeof(float) + 4096;

    return plan_add(plan_mul(plan_add(rows, single), pixel), weights);
}

static uint64_t
work_of(const struct zcb_image_step *step, const struct pixels *in, const struct pixels *out)
{
    switch (step->kind) {
    case ZCB_IMAGE_DECODE:
        return codec_work(step, out, step->file_width != 0 ? step->file_width : out->width,
                          step->file_height != 0 ? step->file_height : out->height);
    case ZCB_IMAGE_ENCODE:
        return codec_work(step, in, in->width, in->height);
    case ZCB_IMAGE_SCALE:
        return scale_work(step, in, out);
    case ZCB_IMAGE_CONVERT:
        return in->row + out->row;
    default:
        return 0;
    }
}

// ---- steps

// Whether the step makes sense where it stands.
static bool
is_valid(const struct zcb_image_step *step, bool first, bool last)
{
    bool codes = step->kind == ZCB_IMAGE_DECODE || step->kind == ZCB_IMAGE_ENCODE;

    for (size_t i = 0; i < sizeof(step->reserved) / sizeof(step->reserved[0]); i++)
        if (step->reserved[i] != 0)
            return false;
    if (step->kind < ZCB_IMAGE_DECODE || step->kind > ZCB_IMAGE_CUSTOM ||
        step->codec > (codes ? ZCB_IMAGE_AVIF : 0) || (step->flags & ~ZCB_IMAGE_STREAMS) != 0 ||
        (step->format != 0 && zcb_image_format_info(step->format) == NULL) ||
        (step->file_format != 0 && zcb_image_format_info(step->file_format) == NULL))
        return false;
    if (first && step->kind != ZCB_IMAGE_DECODE && step->kind != ZCB_IMAGE_CUSTOM)
        return false;
    if (first && (step->width == 0 || step->height == 0 || step->format == 0))
        return false;
    if (step->kind == ZCB_IMAGE_DECODE)
        return first && (step->file_width == 0) == (step->file_height == 0);
    if (step->kind == ZCB_IMAGE_ENCODE)
        return last && step->width == 0 && step->height == 0 && step->format == 0;
    return true;
}

// Whether what comes out of this step goes on in rows.
static bool
streams(const struct zcb_image_step *step, const struct zcb_image_step *next)
{
    if ((step->flags & ZCB_IMAGE_STREAMS) == 0)
        return false;
    if (step->kind == ZCB_IMAGE_DECODE && !image_codec_streams(step->codec, false))
        return false;
    return next == NULL || next->kind != ZCB_IMAGE_ENCODE || image_codec_streams(next->codec, true);
}

// One step: *in becomes what comes out.
static int
measure(const struct zcb_image_step *step, const struct zcb_image_step *next,
        const struct zcb_image_limits *limits, struct pixels *in, struct measured *out)
{
    struct pixels pixels = *in, file;
    uint64_t rows = step->rows != 0 ? step->rows : ROWS;
    int result;

    *out = (struct measured){.joined = streams(step, next)};
    if (step->kind == ZCB_IMAGE_ENCODE) {
        out->rest = out->joined        ? OUTPUT
                    : step->bytes != 0 ? step->bytes
                                       : plan_add(in->frame, OUTPUT);
    } else {
        result =
            pixels_of(step->format != 0 ? step->format : in->format,
                      step->width != 0 ? step->width : in->width,
                      step->height != 0 ? step->height : in->height, limits, !out->joined, &pixels);
        if (result == 0 && step->file_width != 0)
            result =
                pixels_of(pixels.format, step->file_width, step->file_height, limits, false, &file);
        if (result < 0)
            return result;
        if (out->joined)
            out->rest = plan_mul(rows < pixels.height ? rows : pixels.height, pixels.row);
        else
            out->frame = pixels.frame;
    }
    out->work = plan_add(work_of(step, in, &pixels), step->extra);
    *in = pixels;
    return 0;
}

int
zcb_image_plan(const struct zcb_image_step *steps, size_t n, const struct zcb_image_limits *limits,
               struct zcb_image_plan *out, size_t out_size)
{
    struct zcb_image_plan plan = {.steps = (uint32_t)n};
    struct pixels pixels = {0};
    struct measured one;
    // Of the group: the frame that it takes in, and the sum of all else so far.
    uint64_t taken = 0, sum = 0, peak = 0, frames = 0, largest = 0;
    size_t group = 0;
    int result;

    if (steps == NULL || out == NULL || out_size == 0 || n == 0 || n > ZCB_IMAGE_STEPS)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!is_valid(&steps[i], i == 0, i == n - 1))
            return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        result = measure(&steps[i], i + 1 < n ? &steps[i + 1] : NULL, limits, &pixels, &one);
        if (result < 0)
            return result;
        sum = plan_add(plan_add(sum, one.work), one.rest);
        // All single figures are part of the peak of their group: if that fits, they do.
        plan.step[i].work_bytes = (size_t)one.work;
        plan.step[i].output_bytes = (size_t)(one.frame + one.rest);
        if (one.joined && i + 1 < n)
            continue;
        if (plan_add(sum, plan_add(taken, one.frame)) > peak) {
            peak = plan_add(sum, plan_add(taken, one.frame));
            frames = plan_add(taken, one.frame);
            plan.peak_step = (uint32_t)group;
        }
        largest = most(largest, one.frame);
        taken = one.frame;
        sum = 0;
        group = i + 1;
    }
    if (peak > SIZE_MAX / 2)
        return -EOVERFLOW;
    plan.peak_bytes = (size_t)peak;
    plan.frame_bytes = (size_t)frames;
    plan.work_bytes = (size_t)(peak - frames);
    plan.largest_frame = (size_t)largest;
    if (steps[0].kind == ZCB_IMAGE_DECODE)
        plan.mapped_bytes = steps[0].window != 0 && steps[0].window < steps[0].bytes
                                ? steps[0].window
                                : steps[0].bytes;
    budget_copy_out(out, out_size, &plan, sizeof(plan));
    return 0;
}
