// SPDX-License-Identifier: MIT
//
// The scaler of zcb-thumb beside the definition of its filters, written down again in doubles and
// in two dimensions at once.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zcbuf/adapt/image.h>

#include "testing.h"
#include "zcb-thumb-scale.h"

struct formats {
    unsigned in, out;
};

static const struct formats formats[] = {
    {ZCB_IMAGE_GRAY, ZCB_IMAGE_GRAY},
    {ZCB_IMAGE_GRAY, ZCB_IMAGE_RGB},
    {ZCB_IMAGE_GRAY_ALPHA, ZCB_IMAGE_GRAY_ALPHA},
    {ZCB_IMAGE_GRAY_ALPHA, ZCB_IMAGE_GRAY},
    {ZCB_IMAGE_GRAY_ALPHA, ZCB_IMAGE_RGBA},
    {ZCB_IMAGE_RGB, ZCB_IMAGE_RGB},
    {ZCB_IMAGE_RGB, ZCB_IMAGE_RGBA},
    {ZCB_IMAGE_RGBA, ZCB_IMAGE_RGBA},
    {ZCB_IMAGE_RGBA, ZCB_IMAGE_RGB},
    {ZCB_IMAGE_GRAY16, ZCB_IMAGE_GRAY16},
    {ZCB_IMAGE_GRAY16, ZCB_IMAGE_GRAY},
    {ZCB_IMAGE_GRAY_ALPHA16, ZCB_IMAGE_GRAY_ALPHA16},
    {ZCB_IMAGE_RGB16, ZCB_IMAGE_RGB16},
    {ZCB_IMAGE_RGB16, ZCB_IMAGE_RGB},
    {ZCB_IMAGE_RGBA16, ZCB_IMAGE_RGBA16},
    {ZCB_IMAGE_RGBA16, ZCB_IMAGE_RGB},
};

static uint64_t seed;

static uint32_t
random_below(uint32_t n)
{
    return (uint32_t)zcb_test_below(&seed, n);
}

// ---- the definition

static double
get(const uint8_t *pixels, const struct zcb_image_format_info *info, size_t sample)
{
    return info->sample_bits == 8 ? pixels[sample] / 255.0
                                  : ((const uint16_t *)(const void *)pixels)[sample] / 65535.0;
}

static double
kernel(enum filter filter, uint32_t in, uint32_t out, uint32_t i, uint32_t at)
{
    double scale = (double)in / out, x;

    if (in == out)
        return i == at;
    if (filter == FILTER_AREA) {
        x = fmin(at + 1, (i + 1) * scale) - fmax(at, i * scale);
        return x > 0 ? x : 0;
    }
    x = M_PI * ((at + 0.5) / scale - (i + 0.5));
    if (fabs(x) >= 3 * M_PI)
        return 0;
    return fabs(x) < 1e-9 ? 1 : 3 * sin(x) * sin(x / 3) / (x * x);
}

// One pixel, before it is rounded: colours times alpha, and alpha.
static void
reference(const struct scale *s, const uint8_t *pixels, size_t stride, uint32_t x, uint32_t y,
          double sum[4])
{
    const struct zcb_image_format_info *in = zcb_image_format_info(s->in_format);
    double all = 0;

    memset(sum, 0, 4 * sizeof(double));
    for (uint32_t v = 0; v < s->in_height; v++) {
        double down = kernel(s->filter, s->in_height, s->out_height, y, v);

        for (uint32_t u = 0; down != 0 && u < s->in_width; u++) {
            double weight = down * kernel(s->filter, s->in_width, s->out_width, x, u);
            size_t at = (size_t)u * in->channels;
            double alpha = 1;

            all += weight;
            if (in->has_alpha) {
                alpha = get(pixels + v * stride, in, at + in->channels - 1u);
                sum[in->channels - 1] += weight * alpha;
            }
            for (unsigned c = 0; c + in->has_alpha < in->channels; c++)
                sum[c] += weight * alpha * get(pixels + v * stride, in, at + c);
        }
    }
    for (unsigned c = 0; c < 4; c++)
        sum[c] /= all;
}

static double
clamped(double value)
{
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

static void
compare_pixel(const struct scale *s, const double sum[4], const uint8_t *row, uint32_t x)
{
    const struct zcb_image_format_info *in = zcb_image_format_info(s->in_format);
    const struct zcb_image_format_info *out = zcb_image_format_info(s->out_format);
    double alpha = in->has_alpha ? sum[in->channels - 1] : 1,
           most = out->sample_bits == 8 ? 255 : 65535;
    bool gray = in->channels <= 2;
    // Half a step of rounding and what a float loses, which small alphas make large.
    double slack = (0.5 + 0.02) / most + 2e-5 + (out->has_alpha ? 4e-6 / fmax(alpha, 1e-4) : 0);

    for (unsigned c = 0; c < out->channels; c++) {
        double is = get(row, out, (size_t)x * out->channels + c), want;

        if (out->has_alpha && c == out->channels - 1u)
            want = alpha;
        else if (out->has_alpha)
            want = alpha > 0 ? sum[gray ? 0 : c] / alpha : is;
        else
            want = sum[gray ? 0 : c] + 1 - clamped(alpha);
        if (out->has_alpha && alpha < 1e-3 && c != out->channels - 1u)
            continue; // a colour that nobody sees
        if (fabs(is - clamped(want)) > slack) {
            printf("%s to %s, %ux%u to %ux%u, filter %d, at x %u channel %u: %f, not %f\n",
                   in->name, out->name, s->in_width, s->in_height, s->out_width, s->out_height,
                   s->filter, x, c, is * most, clamped(want) * most);
            fail();
        }
    }
}

static void
compare(const struct scale *s, int kind)
{
    const struct zcb_image_format_info *in = zcb_image_format_info(s->in_format);
    const struct zcb_image_format_info *out = zcb_image_format_info(s->out_format);
    size_t stride = (size_t)s->in_width * in->pixel_bytes[0];
    size_t need = scale_bytes(s);
    // To the byte, so that a sanitizer sees what goes beyond.
    uint8_t *pixels = malloc(stride * s->in_height),
            *row = malloc((size_t)s->out_width * out->pixel_bytes[0]);
    void *memory = aligned_alloc(64, (need + 63) / 64 * 64);
    struct scaler scaler;
    uint32_t y = 0;

    assert_true(need > 0 && pixels != NULL && row != NULL && memory != NULL);
    memset(memory, 0xff, need); // floats that are none: what is not set shows
    for (size_t i = 0; i < stride * s->in_height; i++)
        pixels[i] = kind == 0   ? (uint8_t)random_below(256)
                    : kind == 1 ? (uint8_t)(random_below(2) * 255)
                                : 255;
    scale_start(&scaler, s, memory);
    for (uint32_t v = 0; v < s->in_height; v++) {
        scale_push(&scaler, pixels + v * stride);
        while (scale_pull(&scaler, row)) {
            assert_true(y < s->out_height);
            for (uint32_t x = 0; x < s->out_width; x++) {
                double sum[4];

                reference(s, pixels, stride, x, y, sum);
                compare_pixel(s, sum, row, x);
            }
            y++;
        }
    }
    assert_int_equal(y, s->out_height);
    assert_false(scale_pull(&scaler, row));
    free(memory);
    free(row);
    free(pixels);
}

// ---- tests

static void
every_format_and_filter_at_random_sizes(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
        for (int filter = FILTER_AREA; filter <= FILTER_LANCZOS; filter++) {
            for (int round = 0; round < (int)zcb_test_rounds(12); round++) {
                struct scale s = {.in_width = 1 + random_below(60),
                                  .in_height = 1 + random_below(60),
                                  .in_format = (uint16_t)formats[f].in,
                                  .out_format = (uint16_t)formats[f].out,
                                  .filter = (enum filter)filter};

                s.out_width = 1 + random_below(s.in_width);
                s.out_height = 1 + random_below(s.in_height);
                compare(&s, round % 3);
            }
        }
    }
}

static void
sizes_at_the_edges(void **state)
{
    static const uint32_t sizes[][4] = {
        {1, 1, 1, 1},     {2, 2, 1, 1},       {3000, 1, 1, 1},    {1, 3000, 1, 1},
        {2, 3000, 2, 1},  {700, 5, 699, 5},   {5, 700, 5, 699},   {683, 2, 682, 1},
        {33, 33, 33, 33}, {2049, 3, 2048, 2}, {512, 512, 2, 511},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int filter = FILTER_AREA; filter <= FILTER_LANCZOS; filter++) {
            struct scale s = {sizes[i][0],    sizes[i][1],    sizes[i][2],        sizes[i][3],
                              ZCB_IMAGE_RGBA, ZCB_IMAGE_RGBA, (enum filter)filter};

            if ((uint64_t)s.in_width * s.in_height * s.out_width * s.out_height < 300000000)
                compare(&s, 0);
            s.in_format = s.out_format = ZCB_IMAGE_RGB;
            if ((uint64_t)s.in_width * s.in_height * s.out_width * s.out_height < 300000000)
                compare(&s, 1);
        }
    }
}

// Colours of pixels that cannot be seen do not get into their neighbours.
static void
hidden_colours_stay_hidden(void **state)
{
    struct scale s = {4, 4, 2, 2, ZCB_IMAGE_RGBA, ZCB_IMAGE_RGBA, FILTER_AREA};
    uint8_t row[16] = {200, 100, 50, 255, 255, 255, 255, 0, 200, 100, 50, 255, 255, 255, 255, 0};
    uint8_t out[8];
    struct scaler scaler;
    void *memory = aligned_alloc(64, (scale_bytes(&s) + 63) / 64 * 64);

    (void)state;
    assert_non_null(memory);
    scale_start(&scaler, &s, memory);
    scale_push(&scaler, row);
    scale_push(&scaler, row);
    assert_true(scale_pull(&scaler, out));
    assert_memory_equal(out, ((uint8_t[]){200, 100, 50, 128, 200, 100, 50, 128}), 8);
    free(memory);
}

static void
what_cannot_be_scaled_is_refused(void **state)
{
    struct scale good = {10, 10, 5, 5, ZCB_IMAGE_RGB, ZCB_IMAGE_RGB, FILTER_AREA}, s;

    (void)state;
    assert_true(scale_bytes(&good) > 0);
    s = good, s.out_width = 11;
    assert_int_equal(scale_bytes(&s), 0);
    s = good, s.out_height = 11;
    assert_int_equal(scale_bytes(&s), 0);
    s = good, s.out_width = 0;
    assert_int_equal(scale_bytes(&s), 0);
    s = good, s.in_width = (1u << 24) + 1;
    assert_int_equal(scale_bytes(&s), 0);
    s = good, s.in_format = ZCB_IMAGE_YUV420;
    assert_int_equal(scale_bytes(&s), 0);
    s = good, s.out_format = ZCB_IMAGE_GRAY;
    assert_int_equal(scale_bytes(&s), 0);
    s = good, s.in_format = 0;
    assert_int_equal(scale_bytes(&s), 0);
}

// Rows, whatever the height: about 9 rows of floats.
static void
memory_depends_on_the_width_alone(void **state)
{
    struct scale s = {6000, 1000, 200, 33, ZCB_IMAGE_RGB, ZCB_IMAGE_RGB, FILTER_LANCZOS};
    size_t low, high;

    (void)state;
    low = scale_bytes(&s);
    s.in_height = 1000000;
    s.out_height = 33333;
    high = scale_bytes(&s);
    assert_in_range(high, low - 4096, low + 4096);
    assert_true(high < 2000000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_and_filter_at_random_sizes),
        cmocka_unit_test(sizes_at_the_edges),
        cmocka_unit_test(hidden_colours_stay_hidden),
        cmocka_unit_test(what_cannot_be_scaled_is_refused),
        cmocka_unit_test(memory_depends_on_the_width_alone),
    };

    seed = zcb_test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
