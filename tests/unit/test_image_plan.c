// SPDX-License-Identifier: MIT
//
// Plans: how steps add up, what codecs are said to take, what is refused. Whether real codecs stay
// below is bench/image_memory's to measure, and the thumbnail program's tests.
#include "testing.h"

#include <errno.h>
#include <string.h>

#include <zcbuf/adapt/image_budget.h>

#define KIB UINT64_C(1024)
#define S ZCB_IMAGE_STREAMS

static struct zcb_image_plan
must_plan(const struct zcb_image_step *steps, size_t n)
{
    struct zcb_image_plan plan;

    memset(&plan, 0xee, sizeof(plan));
    assert_int_equal(zcb_image_plan(steps, n, NULL, &plan, sizeof(plan)), 0);
    assert_int_equal(plan.steps, n);
    assert_int_equal(plan.frame_bytes + plan.work_bytes, plan.peak_bytes);
    return plan;
}

// Decoding into rgb.
static struct zcb_image_step
decode(unsigned codec, unsigned file_format, uint32_t width, uint32_t height, uint32_t flags)
{
    return (struct zcb_image_step){.kind = ZCB_IMAGE_DECODE,
                                   .codec = (uint8_t)codec,
                                   .format = ZCB_IMAGE_RGB,
                                   .file_format = (uint16_t)file_format,
                                   .width = width,
                                   .height = height,
                                   .flags = flags};
}

static uint64_t
decode_work(unsigned codec, unsigned file_format, uint32_t width, uint32_t height)
{
    struct zcb_image_step step = decode(codec, file_format, width, height, 0);

    return must_plan(&step, 1).step[0].work_bytes;
}

static uint64_t
encode_work(unsigned codec, unsigned format, uint32_t width, uint32_t height)
{
    struct zcb_image_step steps[] = {
        {.kind = ZCB_IMAGE_CUSTOM, .format = (uint16_t)format, .width = width, .height = height},
        {.kind = ZCB_IMAGE_ENCODE, .codec = (uint8_t)codec},
    };

    return must_plan(steps, 2).step[1].work_bytes;
}

// ---- how steps add up

static void
steps_that_follow_each_other_hold_what_they_take_and_make(void **state)
{
    struct zcb_image_step steps[] = {
        {.kind = ZCB_IMAGE_CUSTOM,
         .format = ZCB_IMAGE_RGBA,
         .width = 160,
         .height = 100,
         .extra = 1000},
        {.kind = ZCB_IMAGE_CUSTOM, .width = 320, .extra = 5000},
        {.kind = ZCB_IMAGE_CUSTOM, .width = 16, .height = 10, .extra = 100},
    };
    struct zcb_image_plan plan = must_plan(steps, 3);

    (void)state;
    assert_int_equal(plan.step[0].work_bytes, 1000);
    assert_int_equal(plan.step[0].output_bytes, 64000);
    assert_int_equal(plan.step[1].work_bytes, 5000);
    assert_int_equal(plan.step[1].output_bytes, 128000); // the height is the one before's
    assert_int_equal(plan.step[2].output_bytes, 640);
    assert_int_equal(plan.peak_bytes, 64000 + 5000 + 128000);
    assert_int_equal(plan.frame_bytes, 64000 + 128000);
    assert_int_equal(plan.largest_frame, 128000);
    assert_int_equal(plan.peak_step, 1);
    assert_int_equal(plan.mapped_bytes, 0);

    steps[2].extra = 70000; // more than what goes before it
    plan = must_plan(steps, 3);
    assert_int_equal(plan.peak_bytes, 128000 + 70000 + 640);
    assert_int_equal(plan.peak_step, 2);
    steps[0].extra = 200000;
    plan = must_plan(steps, 3);
    assert_int_equal(plan.peak_bytes, 264000);
    assert_int_equal(plan.frame_bytes, 64000);
    assert_int_equal(plan.peak_step, 0);
}

static void
steps_that_stream_run_at_once_and_hold_rows(void **state)
{
    struct zcb_image_step steps[] = {
        {.kind = ZCB_IMAGE_CUSTOM,
         .format = ZCB_IMAGE_RGBA,
         .width = 160,
         .height = 100,
         .extra = 1000,
         .flags = S},
        {.kind = ZCB_IMAGE_CUSTOM, .width = 320, .extra = 5000, .flags = S, .rows = 3},
        {.kind = ZCB_IMAGE_CUSTOM, .width = 16, .height = 10, .extra = 100, .flags = S},
    };
    struct zcb_image_plan plan = must_plan(steps, 3);

    (void)state;
    assert_int_equal(plan.step[0].output_bytes, 16 * 640);
    assert_int_equal(plan.step[1].output_bytes, 3 * 1280);
    assert_int_equal(plan.step[2].output_bytes, 10 * 64); // there are no 16 rows
    assert_int_equal(plan.peak_bytes, 6100 + 16 * 640 + 3 * 1280 + 640);
    assert_int_equal(plan.frame_bytes, 0);
    assert_int_equal(plan.largest_frame, 0);
    assert_int_equal(plan.peak_step, 0);

    // A frame in between ends the first group and is taken in by the second.
    steps[1].flags = 0;
    steps[1].rows = 0;
    plan = must_plan(steps, 3);
    assert_int_equal(plan.peak_bytes, 6000 + 16 * 640 + 128000);
    assert_int_equal(plan.frame_bytes, 128000);
    steps[2].extra = 50000;
    plan = must_plan(steps, 3);
    assert_int_equal(plan.peak_bytes, 128000 + 50000 + 640);
    assert_int_equal(plan.frame_bytes, 128000);
    assert_int_equal(plan.peak_step, 2);
}

static void
rows_and_frames_have_all_planes(void **state)
{
    struct zcb_image_step step = {
        .kind = ZCB_IMAGE_CUSTOM, .format = ZCB_IMAGE_YUV420, .width = 256, .height = 64};

    (void)state;
    assert_int_equal(must_plan(&step, 1).peak_bytes, 256 * 64 * 3 / 2);
    step.flags = S;
    step.rows = 2;
    assert_int_equal(must_plan(&step, 1).peak_bytes, 2 * (256 + 128 + 128));
}

static void
a_file_is_held_in_memory_or_passed_on(void **state)
{
    struct zcb_image_step steps[] = {
        {.kind = ZCB_IMAGE_CUSTOM, .format = ZCB_IMAGE_RGBA, .width = 160, .height = 100},
        {.kind = ZCB_IMAGE_ENCODE, .codec = ZCB_IMAGE_RAW, .extra = 1},
    };

    (void)state;
    assert_int_equal(must_plan(steps, 2).step[1].output_bytes, 64000 + 64 * KIB);
    assert_int_equal(must_plan(steps, 2).peak_bytes, 64000 + 1 + 64000 + 64 * KIB);
    assert_int_equal(must_plan(steps, 2).frame_bytes, 64000);
    steps[1].bytes = 12345;
    assert_int_equal(must_plan(steps, 2).step[1].output_bytes, 12345);
    steps[1].flags = S;
    assert_int_equal(must_plan(steps, 2).step[1].output_bytes, 64 * KIB);
}

static void
a_mapped_file_is_resident_apart_from_the_peak(void **state)
{
    struct zcb_image_step step = decode(ZCB_IMAGE_RAW, 0, 100, 100, 0);

    (void)state;
    step.bytes = 1000000;
    assert_int_equal(must_plan(&step, 1).mapped_bytes, 1000000);
    assert_int_equal(must_plan(&step, 1).peak_bytes, 100 * 320);
    step.window = 4096;
    assert_int_equal(must_plan(&step, 1).mapped_bytes, 4096);
    step.window = 2000000;
    assert_int_equal(must_plan(&step, 1).mapped_bytes, 1000000);
}

static void
codecs_that_need_all_pixels_do_not_stream(void **state)
{
    static const struct {
        uint8_t codec;
        bool reads, writes;
    } streams[] = {
        {ZCB_IMAGE_RAW, true, true},
        {ZCB_IMAGE_JPEG, true, true},
        {ZCB_IMAGE_JPEG_PROGRESSIVE, true, true},
        {ZCB_IMAGE_PNG, true, true},
        {ZCB_IMAGE_PNG_INTERLACED, false, false},
        {ZCB_IMAGE_WEBP, false, false},
        {ZCB_IMAGE_WEBP_LOSSLESS, false, false},
        {ZCB_IMAGE_AVIF, true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        struct zcb_image_step steps[] = {
            decode(streams[i].codec, 0, 640, 480, S),
            {.kind = ZCB_IMAGE_CUSTOM, .flags = S},
            {.kind = ZCB_IMAGE_ENCODE, .codec = streams[i].codec, .flags = S},
        };
        struct zcb_image_plan plan = must_plan(steps, 3);

        assert_int_equal(plan.step[0].output_bytes, (streams[i].reads ? 16 : 480) * 1920);
        assert_int_equal(plan.step[1].output_bytes, (streams[i].writes ? 16 : 480) * 1920);
        assert_int_equal(plan.step[2].output_bytes, 64 * KIB);
    }
}

// ---- what steps take

static void
a_scaler_has_its_window_of_rows(void **state)
{
    // 6000 x 4000 to 300 x 200, both by 20: 2 x 3 x 20 and one rows make one row out.
    struct zcb_image_step steps[] = {
        decode(ZCB_IMAGE_RAW, 0, 6000, 4000, S),
        {.kind = ZCB_IMAGE_SCALE, .width = 300, .height = 200, .flags = S},
    };
    uint64_t pixel = 12, weights = 300 * (121 * 4 + 8) + 121 * 4 + 4096;

    (void)state;
    assert_int_equal(must_plan(steps, 2).step[1].work_bytes,
                     (7 * 6000 + 2 * 6300) * pixel + weights);
    steps[1].radius = 1;
    weights = 300 * (41 * 4 + 8) + 41 * 4 + 4096;
    assert_int_equal(must_plan(steps, 2).step[1].work_bytes,
                     (3 * 6000 + 2 * 6300) * pixel + weights);
    // Very much flatter: rows in, narrowed, are more than rows out.
    steps[1].radius = 0;
    steps[1].width = 3000;
    steps[1].height = 100;
    weights = 3000 * (13 * 4 + 8) + 241 * 4 + 4096;
    assert_int_equal(must_plan(steps, 2).step[1].work_bytes,
                     (241 * 3000 + 2 * 9000) * pixel + weights);
    // Enlarging needs no more rows than the filter is wide.
    steps[1].width = 12000;
    steps[1].height = 8000;
    weights = 12000 * (7 * 4 + 8) + 7 * 4 + 4096;
    assert_int_equal(must_plan(steps, 2).step[1].work_bytes,
                     (7 * 12000 + 2 * 18000) * pixel + weights);
    // Channels: the more of both sides.
    steps[1].format = ZCB_IMAGE_RGBA;
    assert_int_equal(must_plan(steps, 2).step[1].work_bytes,
                     (7 * 12000 + 2 * 18000) * 16 + weights);
    steps[1].format = ZCB_IMAGE_GRAY;
    assert_int_equal(must_plan(steps, 2).step[1].work_bytes,
                     (7 * 12000 + 2 * 18000) * 12 + weights);
}

static void
converting_takes_a_row_of_each(void **state)
{
    struct zcb_image_step steps[] = {
        decode(ZCB_IMAGE_RAW, 0, 640, 480, S),
        {.kind = ZCB_IMAGE_CONVERT, .format = ZCB_IMAGE_RGBA},
    };

    (void)state;
    assert_int_equal(must_plan(steps, 2).step[1].work_bytes, 1920 + 2560);
}

static void
what_jpeg_takes_goes_with_its_rows_or_with_all_coefficients(void **state)
{
    const uint64_t pixels = 3008 * 2016; // in whole MCUs of 32

    (void)state;
    assert_int_equal(decode_work(ZCB_IMAGE_RAW, 0, 3000, 2000), 0);
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG, ZCB_IMAGE_GRAY, 3000, 2000), 64 * KIB + 3000 * 12);
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG, ZCB_IMAGE_YUV422, 3000, 2000),
                     64 * KIB + 3000 * 24);
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG, ZCB_IMAGE_YUV444, 3000, 2000),
                     64 * KIB + 3000 * 36);
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG, ZCB_IMAGE_YUV420, 3000, 2000),
                     64 * KIB + 3000 * 42);
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG, 0, 3000, 2000), 64 * KIB + 3000 * 112);
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG, 0, 3000, 9), 64 * KIB + 3000 * 112);
    // 2 bytes for each: 1, 1.5, 2, 3 and 4 samples a pixel.
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_GRAY, 3000, 2000),
                     64 * KIB + 3000 * 12 + pixels * 2);
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_YUV420, 3000, 2000),
                     64 * KIB + 3000 * 42 + pixels * 3);
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_YUV422, 3000, 2000),
                     64 * KIB + 3000 * 24 + pixels * 4);
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_RGB, 3000, 2000),
                     64 * KIB + 3000 * 36 + pixels * 6);
    assert_int_equal(decode_work(ZCB_IMAGE_JPEG_PROGRESSIVE, 0, 3000, 2000),
                     64 * KIB + 3000 * 112 + pixels * 8);
    // Writing: as what goes in, rows for the worst of samplings.
    assert_int_equal(encode_work(ZCB_IMAGE_JPEG, ZCB_IMAGE_RGB, 3000, 2000), 64 * KIB + 3000 * 84);
    assert_int_equal(encode_work(ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_YUV420, 3000, 2000),
                     64 * KIB + 3000 * 42 + pixels * 3);
}

static void
what_png_takes_goes_with_its_rows(void **state)
{
    (void)state;
    for (unsigned codec = ZCB_IMAGE_PNG; codec <= ZCB_IMAGE_PNG_INTERLACED; codec++) {
        assert_int_equal(decode_work(codec, 0, 3000, 2000), 64 * KIB + 3000 * 32);
        assert_int_equal(encode_work(codec, ZCB_IMAGE_RGB, 3000, 2000), 320 * KIB + 3000 * 40);
    }
}

static void
what_webp_takes_depends_on_alpha(void **state)
{
    const uint64_t pixels = 3000 * 2000, tables = 64 * KIB + 340 * 12 * KIB;

    (void)state;
    assert_int_equal(decode_work(ZCB_IMAGE_WEBP, ZCB_IMAGE_YUV420, 3000, 2000),
                     64 * KIB + 3000 * 160);
    assert_int_equal(decode_work(ZCB_IMAGE_WEBP_LOSSLESS, 0, 3000, 2000),
                     4 * pixels + 3000 * 96 + tables);
    assert_int_equal(decode_work(ZCB_IMAGE_WEBP_LOSSLESS, 0, 7, 9),
                     4 * 63 + 7 * 96 + 64 * KIB + 2 * 3 * 12 * KIB);
    assert_int_equal(decode_work(ZCB_IMAGE_WEBP, ZCB_IMAGE_RGBA, 3000, 2000),
                     64 * KIB + 3000 * 160 + 7 * pixels + 3000 * 96 + tables);
    assert_int_equal(decode_work(ZCB_IMAGE_WEBP, 0, 3000, 2000),
                     decode_work(ZCB_IMAGE_WEBP, ZCB_IMAGE_RGBA, 3000, 2000));
    assert_int_equal(encode_work(ZCB_IMAGE_WEBP, ZCB_IMAGE_RGB, 3000, 2000),
                     32 * pixels + 256 * KIB);
    assert_int_equal(encode_work(ZCB_IMAGE_WEBP, ZCB_IMAGE_RGBA, 3000, 2000),
                     72 * pixels + 2048 * KIB);
    assert_int_equal(encode_work(ZCB_IMAGE_WEBP_LOSSLESS, ZCB_IMAGE_RGB, 3000, 2000),
                     72 * pixels + 2048 * KIB);
}

static void
what_avif_takes_depends_on_samples_depth_and_threads(void **state)
{
    struct zcb_image_step step = decode(ZCB_IMAGE_AVIF, ZCB_IMAGE_YUV420, 3000, 2000, 0);
    const uint64_t pixels = 3072 * 2048;

    (void)state;
    assert_int_equal(must_plan(&step, 1).step[0].work_bytes, pixels * 17 / 4 + 1536 * KIB);
    step.threads = 4;
    assert_int_equal(must_plan(&step, 1).step[0].work_bytes, pixels * 20 / 4 + 3072 * KIB);
    step.threads = 0;
    step.file_format = ZCB_IMAGE_RGBA;
    assert_int_equal(must_plan(&step, 1).step[0].work_bytes, pixels * 42 / 4 + 3072 * KIB);
    step.file_format = ZCB_IMAGE_RGBA16;
    assert_int_equal(must_plan(&step, 1).step[0].work_bytes, pixels * 84 / 4 + 3072 * KIB);
    step.file_format = 0;
    assert_int_equal(must_plan(&step, 1).step[0].work_bytes, pixels * 84 / 4 + 3072 * KIB);
    assert_int_equal(encode_work(ZCB_IMAGE_AVIF, ZCB_IMAGE_YUV420, 3000, 2000),
                     pixels * 72 + 6144 * KIB);
}

static void
a_decoder_that_scales_takes_what_the_file_asks_for(void **state)
{
    struct zcb_image_step step = decode(ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_GRAY, 100, 100, S);

    (void)state;
    step.file_width = 800;
    step.file_height = 800;
    assert_int_equal(must_plan(&step, 1).step[0].work_bytes, 64 * KIB + 800 * 12 + 800 * 800 * 2);
    assert_int_equal(must_plan(&step, 1).step[0].output_bytes, 16 * 320);
}

static void
larger_files_never_give_smaller_plans(void **state)
{
    uint64_t seed = zcb_test_seed();

    (void)state;
    for (size_t round = zcb_test_rounds(3000); round > 0; round--) {
        struct zcb_image_step steps[] = {
            decode((unsigned)zcb_test_below(&seed, ZCB_IMAGE_AVIF + 1),
                   (unsigned)zcb_test_below(&seed, ZCB_IMAGE_FORMAT_END),
                   1 + (uint32_t)zcb_test_below(&seed, 9000),
                   1 + (uint32_t)zcb_test_below(&seed, 9000), (uint32_t)zcb_test_below(&seed, 2)),
            {.kind = ZCB_IMAGE_SCALE,
             .width = 1 + (uint32_t)zcb_test_below(&seed, 900),
             .height = 1 + (uint32_t)zcb_test_below(&seed, 900),
             .flags = (uint32_t)zcb_test_below(&seed, 2)},
            {.kind = ZCB_IMAGE_ENCODE, .codec = (uint8_t)zcb_test_below(&seed, ZCB_IMAGE_AVIF + 1)},
        };
        struct zcb_image_plan before = must_plan(steps, 3), after;

        steps[0].width += (uint32_t)zcb_test_below(&seed, 40);
        steps[0].height += (uint32_t)zcb_test_below(&seed, 40);
        after = must_plan(steps, 3);
        assert_true(after.peak_bytes >= before.peak_bytes);
        for (size_t i = 0; i < 3; i++) {
            assert_true(after.step[i].work_bytes >= before.step[i].work_bytes);
            assert_true(after.step[i].output_bytes >= before.step[i].output_bytes);
            assert_true(before.step[i].work_bytes + before.step[i].output_bytes <=
                        before.peak_bytes);
        }
        assert_true(before.largest_frame <= before.peak_bytes);
    }
}

// ---- what is refused

static int
result_of(const struct zcb_image_step *steps, size_t n, const struct zcb_image_limits *limits)
{
    struct zcb_image_plan plan, untouched;
    int result;

    memset(&plan, 0x5a, sizeof(plan));
    untouched = plan;
    result = zcb_image_plan(steps, n, limits, &plan, sizeof(plan));
    if (result < 0)
        assert_memory_equal(&plan, &untouched, sizeof(plan));
    return result;
}

static void
steps_that_make_no_sense_are_refused(void **state)
{
    const struct zcb_image_step good = decode(ZCB_IMAGE_JPEG, 0, 100, 100, 0);
    struct zcb_image_step one[2] = {good, {.kind = ZCB_IMAGE_ENCODE}};
    struct zcb_image_step many[ZCB_IMAGE_STEPS + 1];
    struct zcb_image_plan plan;

    (void)state;
    assert_int_equal(result_of(one, 2, NULL), 0);
    assert_int_equal(result_of(NULL, 1, NULL), -EINVAL);
    assert_int_equal(result_of(one, 0, NULL), -EINVAL);
    assert_int_equal(zcb_image_plan(one, 1, NULL, NULL, sizeof(plan)), -EINVAL);
    assert_int_equal(zcb_image_plan(one, 1, NULL, &plan, 0), -EINVAL);
    for (size_t i = 0; i <= ZCB_IMAGE_STEPS; i++)
        many[i] = (struct zcb_image_step){
            .kind = ZCB_IMAGE_CUSTOM, .format = ZCB_IMAGE_RGB, .width = 1, .height = 1};
    assert_int_equal(result_of(many, ZCB_IMAGE_STEPS, NULL), 0);
    assert_int_equal(result_of(many, ZCB_IMAGE_STEPS + 1, NULL), -EINVAL);

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        one[0] = good;                                                                             \
        one[1] = (struct zcb_image_step){.kind = ZCB_IMAGE_ENCODE};                                \
        change;                                                                                    \
        assert_int_equal(result_of(one, 2, NULL), -EINVAL);                                        \
    } while (0)
    REFUSED(one[0].kind = 0);
    REFUSED(one[0].kind = ZCB_IMAGE_CUSTOM + 1);
    REFUSED(one[0].kind = ZCB_IMAGE_SCALE; one[0].codec = 0);
    REFUSED(one[0].kind = ZCB_IMAGE_ENCODE);
    REFUSED(one[0].codec = ZCB_IMAGE_AVIF + 1);
    REFUSED(one[0].format = 0);
    REFUSED(one[0].format = ZCB_IMAGE_FORMAT_END);
    REFUSED(one[0].file_format = ZCB_IMAGE_FORMAT_END);
    REFUSED(one[0].width = 0);
    REFUSED(one[0].height = 0);
    REFUSED(one[0].file_width = 1);
    REFUSED(one[0].file_height = 1);
    REFUSED(one[0].flags = 2);
    REFUSED(one[0].reserved[3] = 1);
    REFUSED(one[1] = good);
    REFUSED(one[1].width = 1);
    REFUSED(one[1].height = 1);
    REFUSED(one[1].format = ZCB_IMAGE_RGB);
    REFUSED(one[1].kind = ZCB_IMAGE_SCALE; one[1].codec = ZCB_IMAGE_PNG);
#undef REFUSED
    many[0] = good;
    many[1] = (struct zcb_image_step){.kind = ZCB_IMAGE_ENCODE};
    many[2] = (struct zcb_image_step){.kind = ZCB_IMAGE_CUSTOM};
    assert_int_equal(result_of(many, 3, NULL), -EINVAL);
}

static void
limits_are_for_every_image_and_bytes_for_what_is_held(void **state)
{
    struct zcb_image_step steps[2] = {decode(ZCB_IMAGE_JPEG, 0, 100, 100, S),
                                      {.kind = ZCB_IMAGE_SCALE, .width = 10, .height = 10}};
    struct zcb_image_limits limits = {.max_bytes = 10000};

    (void)state;
    assert_int_equal(result_of(steps, 2, &limits), 0);
    steps[0].flags = 0;
    assert_int_equal(result_of(steps, 2, &limits), -ENOBUFS);
    steps[0].flags = S;
    steps[1].width = 1000;
    assert_int_equal(result_of(steps, 2, &limits), -ENOBUFS);
    limits = (struct zcb_image_limits){.max_width = 999};
    assert_int_equal(result_of(steps, 2, &limits), -ENOBUFS);
    limits = (struct zcb_image_limits){.max_pixels = 100 * 100 - 1};
    steps[1].width = 10;
    assert_int_equal(result_of(steps, 2, &limits), -ENOBUFS);
    limits.max_pixels++;
    assert_int_equal(result_of(steps, 2, &limits), 0);
    steps[0].file_width = steps[0].file_height = 800;
    assert_int_equal(result_of(steps, 2, &limits), -ENOBUFS);
    limits.max_pixels = 800 * 800;
    assert_int_equal(result_of(steps, 2, &limits), 0);
    limits.reserved[0] = 1;
    assert_int_equal(result_of(steps, 2, &limits), -EINVAL);
    // The defaults: what a header of few bytes can claim.
    steps[0] = decode(ZCB_IMAGE_PNG, 0, 0x7fffffff, 0x7fffffff, S);
    assert_int_equal(result_of(steps, 2, NULL), -ENOBUFS);
    steps[0] = decode(ZCB_IMAGE_PNG, 0, 65535, 65535, S);
    assert_int_equal(result_of(steps, 2, NULL), -ENOBUFS);
}

static void
sums_that_do_not_fit_are_an_overflow(void **state)
{
    const struct zcb_image_limits none = {.max_width = UINT32_MAX,
                                          .max_height = UINT32_MAX,
                                          .max_pixels = UINT64_MAX,
                                          .max_bytes = SIZE_MAX};
    struct zcb_image_step steps[2] = {
        decode(ZCB_IMAGE_JPEG, 0, 100, 100, 0),
        {.kind = ZCB_IMAGE_ENCODE},
    };

    (void)state;
    steps[0].extra = SIZE_MAX;
    assert_int_equal(result_of(steps, 2, NULL), -EOVERFLOW);
    steps[0].extra = SIZE_MAX / 2 + 1;
    assert_int_equal(result_of(steps, 2, NULL), -EOVERFLOW);
    steps[0].extra = 0;
    steps[1].bytes = SIZE_MAX;
    assert_int_equal(result_of(steps, 2, NULL), -EOVERFLOW);
    // Every codec, with the largest sizes there are.
    for (unsigned codec = ZCB_IMAGE_JPEG_PROGRESSIVE; codec <= ZCB_IMAGE_AVIF; codec++) {
        struct zcb_image_step huge = decode(codec, 0, 1400000000u, UINT32_MAX, S);
        int result = result_of(&huge, 1, &none);

        assert_true(result == -EOVERFLOW ||
                    (result == 0 && codec == ZCB_IMAGE_PNG)); // two rows of it are possible
        huge.height = 0x40000000u; // the frame fits, 16 quarter samples of each pixel do not
        result = result_of(&huge, 1, &none);
        assert_int_equal(
            result, codec == ZCB_IMAGE_PNG || codec == ZCB_IMAGE_PNG_INTERLACED ? 0 : -EOVERFLOW);
    }
    steps[0] = decode(ZCB_IMAGE_RAW, 0, 1400000000u, UINT32_MAX, S);
    steps[1] = (struct zcb_image_step){
        .kind = ZCB_IMAGE_SCALE, .width = 1400000000u, .height = 1, .radius = 255, .flags = S};
    assert_int_equal(result_of(steps, 2, &none), -EOVERFLOW);
}

static void
an_older_plan_gets_what_it_has_room_for(void **state)
{
    struct zcb_image_step step = decode(ZCB_IMAGE_RAW, 0, 100, 100, 0);
    size_t older[2] = {1, 1};

    (void)state;
    assert_int_equal(
        zcb_image_plan(&step, 1, NULL, (struct zcb_image_plan *)older, sizeof(older[0])), 0);
    assert_int_equal(older[0], 32000);
    assert_int_equal(older[1], 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_that_follow_each_other_hold_what_they_take_and_make),
        cmocka_unit_test(steps_that_stream_run_at_once_and_hold_rows),
        cmocka_unit_test(rows_and_frames_have_all_planes),
        cmocka_unit_test(a_file_is_held_in_memory_or_passed_on),
        cmocka_unit_test(a_mapped_file_is_resident_apart_from_the_peak),
        cmocka_unit_test(codecs_that_need_all_pixels_do_not_stream),
        cmocka_unit_test(a_scaler_has_its_window_of_rows),
        cmocka_unit_test(converting_takes_a_row_of_each),
        cmocka_unit_test(what_jpeg_takes_goes_with_its_rows_or_with_all_coefficients),
        cmocka_unit_test(what_png_takes_goes_with_its_rows),
        cmocka_unit_test(what_webp_takes_depends_on_alpha),
        cmocka_unit_test(what_avif_takes_depends_on_samples_depth_and_threads),
        cmocka_unit_test(a_decoder_that_scales_takes_what_the_file_asks_for),
        cmocka_unit_test(larger_files_never_give_smaller_plans),
        cmocka_unit_test(steps_that_make_no_sense_are_refused),
        cmocka_unit_test(limits_are_for_every_image_and_bytes_for_what_is_held),
        cmocka_unit_test(sums_that_do_not_fit_are_an_overflow),
        cmocka_unit_test(an_older_plan_gets_what_it_has_room_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
