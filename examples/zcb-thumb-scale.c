// SPDX-License-Identifier: MIT
#include "zcb-thumb-scale.h"

#include <math.h>
#include <string.h>

#include <zcbuf/adapt/image.h>

#define LANES                                                                                      \
    16 // floats that are worked on at a time: a number the compiler knows, so it can use SIMD
#define BAND 2048 // floats of a row that go through all sums while they are in the cache

// ---- weights

static double
lanczos(double x)
{
    double at = M_PI * x;

    if (fabs(x) >= 3)
        return 0;
    return fabs(x) < 1e-9 ? 1 : 3 * sin(at) * sin(at / 3) / (at * at);
}

// The pixels in that pixel `i` out is made of: *start, and how many.
static uint32_t
window(enum filter filter, uint32_t in, uint32_t out, uint32_t i, uint32_t *start)
{
    double scale = (double)in / out, low, high;

    if (in == out) {
        *start = i;
        return 1;
    }
    if (filter == FILTER_AREA) {
        low = floor(i * scale);
        high = ceil((i + 1) * scale - 1e-9);
    } else {
        low = floor((i + 0.5) * scale - 3 * scale);
        high = ceil((i + 0.5) * scale + 3 * scale);
    }
    if (low < 0)
        low = 0;
    if (high > in)
        high = in;
    *start = (uint32_t)low;
    return (uint32_t)(high - low);
}

static void
weights(enum filter filter, uint32_t in, uint32_t out, uint32_t i, float *to)
{
    double scale = (double)in / out, sum = 0;
    uint32_t start, n = window(filter, in, out, i, &start);

    for (uint32_t k = 0; k < n; k++) {
        double at = (double)start + k, w;

        if (in == out)
            w = 1;
        else if (filter == FILTER_AREA)
            w = fmax(0, fmin(at + 1, (i + 1) * scale) - fmax(at, i * scale));
        else
            w = lanczos((at + 0.5 - (i + 0.5) * scale) / scale);
        sum += w;
        to[k] = (float)w;
    }
    for (uint32_t k = 0; k < n; k++)
        to[k] = (float)(to[k] / sum);
}

static uint32_t
most_taps(enum filter filter, uint32_t in, uint32_t out)
{
    double scale = (double)in / out;
    double taps = in == out ? 1 : filter == FILTER_AREA ? scale + 2 : 6 * scale + 2;

    return taps > in ? in : (uint32_t)taps;
}

// ---- memory

static size_t
padded(size_t floats)
{
    return (floats + LANES - 1) / LANES * LANES;
}

// Sizes, and how the memory is divided; `memory` NULL: only how much it is.
static size_t
divide(struct scaler *s, const struct scale *scale, float *memory)
{
    const struct zcb_image_format_info *in = zcb_image_format_info(scale->in_format);
    size_t at = 0, parts[6];

    s->is = *scale;
    s->channels = in->channels;
    s->in_bits = in->sample_bits;
    s->row_floats = padded((size_t)scale->in_width * in->channels);
    s->taps_down = most_taps(scale->filter, scale->in_height, scale->out_height);
    s->taps_across = most_taps(scale->filter, scale->in_width, scale->out_width);
    // Windows of scale >= 1 begin at least a row apart: a row lies in 2 x 3 + 1 of Lanczos', and a
    // window is pulled before the next row is pushed.
    s->row_slots = scale->filter == FILTER_AREA ? 3 : 9;
    if (s->row_slots > scale->out_height)
        s->row_slots = scale->out_height;
    parts[0] = s->row_floats;
    parts[1] = s->row_floats * s->row_slots;
    parts[2] = padded((size_t)s->taps_down * s->row_slots);
    parts[3] = padded((size_t)s->taps_across * scale->out_width);
    parts[4] = padded(2 * (size_t)scale->out_width); // uint32_t: as large as a float
    parts[5] = padded((size_t)scale->out_width * in->channels);
    if (memory != NULL) {
        s->row = memory;
        s->sums = s->row + parts[0];
        s->down = s->sums + parts[1];
        s->across = s->down + parts[2];
        s->across_at = (uint32_t *)(void *)(s->across + parts[3]);
        s->narrow = s->across + parts[3] + parts[4];
    }
    for (int i = 0; i < 6; i++)
        at += parts[i];
    return at * sizeof(float);
}

size_t
scale_bytes(const struct scale *scale)
{
    const struct zcb_image_format_info *in = zcb_image_format_info(scale->in_format);
    const struct zcb_image_format_info *out = zcb_image_format_info(scale->out_format);
    struct scaler sizes = {0};

    if (in == NULL || out == NULL || in->planes != 1 || out->planes != 1 ||
        scale->in_format == ZCB_IMAGE_BGRA || scale->out_format == ZCB_IMAGE_BGRA)
        return 0;
    if (scale->out_width == 0 || scale->out_height == 0 || scale->out_width > scale->in_width ||
        scale->out_height > scale->in_height || scale->in_width > 1u << 24 ||
        scale->in_height > 1u << 24)
        return 0;
    if (in->channels - in->has_alpha > out->channels - out->has_alpha)
        return 0; // colours do not become gray here
    return divide(&sizes, scale, NULL);
}

void
scale_start(struct scaler *scaler, const struct scale *scale, void *memory)
{
    memset(scaler, 0, sizeof(*scaler));
    divide(scaler, scale, memory);
    memset(scaler->row, 0, scaler->row_floats * sizeof(float)); // what pads it is never written
    for (uint32_t i = 0; i < scale->out_width; i++) {
        scaler->across_at[2 * (size_t)i + 1] = window(
            scale->filter, scale->in_width, scale->out_width, i, &scaler->across_at[2 * (size_t)i]);
        weights(scale->filter, scale->in_width, scale->out_width, i,
                scaler->across + (size_t)i * scaler->taps_across);
    }
}

// ---- rows in

// Samples to floats from 0 to 1, colours times alpha.
static void
load(const struct scaler *s, const uint8_t *row, size_t from, size_t n)
{
    bool alpha = zcb_image_format_info(s->is.in_format)->has_alpha;
    float *to = s->row + from;

    if (s->in_bits == 8) {
        const uint8_t *at = row + from;
        size_t i = 0;

        for (; i + LANES <= n; i += LANES)
            for (size_t k = 0; k < LANES; k++)
                to[i + k] = (float)at[i + k] * (1.0f / 255);
        for (; i < n; i++)
            to[i] = (float)at[i] * (1.0f / 255);
    } else {
        const uint16_t *at = (const uint16_t *)(const void *)row + from;

        for (size_t i = 0; i < n; i++)
            to[i] = (float)at[i] * (1.0f / 65535);
    }
    if (alpha && s->channels == 4) {
        for (size_t i = 0; i < n; i += 4)
            for (size_t k = 0; k < 3; k++)
                to[i + k] *= to[i + 3];
    } else if (alpha) {
        for (size_t i = 0; i < n; i += 2)
            to[i] *= to[i + 1];
    }
}

static void
add(float *restrict sums, const float *restrict row, float weight, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) // both are padded
        for (size_t k = 0; k < LANES; k++)
            sums[i + k] += weight * row[i + k];
}

static void
begin_rows(struct scaler *s)
{
    while (s->next < s->is.out_height && s->next - s->first < s->row_slots) {
        unsigned slot = s->next % s->row_slots;
        uint32_t start;

        window(s->is.filter, s->is.in_height, s->is.out_height, s->next, &start);
        if (start > s->y)
            break;
        weights(s->is.filter, s->is.in_height, s->is.out_height, s->next,
                s->down + (size_t)slot * s->taps_down);
        memset(s->sums + slot * s->row_floats, 0, s->row_floats * sizeof(float));
        s->next++;
    }
}

void
scale_push(struct scaler *s, const uint8_t *row)
{
    size_t floats = (size_t)s->is.in_width * s->channels;

    if (s->y >= s->is.in_height)
        return;
    begin_rows(s);
    // BAND is a multiple of all numbers of channels but 3, where alpha is none.
    for (size_t from = 0; from < floats; from += BAND) {
        size_t n = floats - from < BAND ? floats - from : BAND;

        load(s, row, from, n);
        for (uint32_t o = s->first; o < s->next; o++) {
            unsigned slot = o % s->row_slots;
            uint32_t start,
                count = window(s->is.filter, s->is.in_height, s->is.out_height, o, &start);

            if (s->y - start < count)
                add(s->sums + slot * s->row_floats + from, s->row + from,
                    s->down[(size_t)slot * s->taps_down + (s->y - start)], padded(n));
        }
    }
    s->y++;
}

// ---- rows out

static inline void
narrow_by(const struct scaler *s, const float *from, unsigned channels)
{
    for (uint32_t x = 0; x < s->is.out_width; x++) {
        const float *w = s->across + (size_t)x * s->taps_across;
        uint32_t n = s->across_at[2 * (size_t)x + 1];
        const float *at = from + (size_t)s->across_at[2 * (size_t)x] * channels;
        float sum[4] = {0, 0, 0, 0};

        for (uint32_t k = 0; k < n; k++, at += channels)
            for (unsigned c = 0; c < channels; c++)
                sum[c] += w[k] * at[c];
        for (unsigned c = 0; c < channels; c++)
            s->narrow[(size_t)x * channels + c] = sum[c];
    }
}

static const float *
narrow(const struct scaler *s, const float *from)
{
    if (s->is.in_width == s->is.out_width)
        return from;
    switch (s->channels) { // a constant each: loops that the compiler unrolls
    case 1:
        narrow_by(s, from, 1);
        break;
    case 2:
        narrow_by(s, from, 2);
        break;
    case 3:
        narrow_by(s, from, 3);
        break;
    default:
        narrow_by(s, from, 4);
    }
    return s->narrow;
}

static inline void
store(uint8_t *row, size_t i, unsigned bits, float value)
{
    value = value < 0 ? 0 : value > 1 ? 1 : value;
    if (bits == 8)
        row[i] = (uint8_t)(value * 255 + 0.5f);
    else
        ((uint16_t *)(void *)row)[i] = (uint16_t)(value * 65535 + 0.5f);
}

static void
round_row(const struct scaler *s, const float *from, uint8_t *row)
{
    const struct zcb_image_format_info *in = zcb_image_format_info(s->is.in_format);
    const struct zcb_image_format_info *out = zcb_image_format_info(s->is.out_format);
    unsigned colours_in = in->channels - in->has_alpha;
    unsigned colours_out = out->channels - out->has_alpha;

    for (uint32_t x = 0; x < s->is.out_width; x++, from += in->channels) {
        float alpha = in->has_alpha ? from[colours_in] : 1;
        // Over alpha again; or onto white.
        float times = alpha > 0 && out->has_alpha ? 1 / alpha : 1, plus = 0;

        alpha = alpha < 0 ? 0 : alpha > 1 ? 1 : alpha;
        if (!out->has_alpha)
            plus = 1 - alpha;
        for (unsigned c = 0; c < colours_out; c++)
            store(row, (size_t)x * out->channels + c, out->sample_bits,
                  from[colours_in == 1 ? 0 : c] * times + plus);
        if (out->has_alpha)
            store(row, (size_t)x * out->channels + colours_out, out->sample_bits, alpha);
    }
}

bool
scale_pull(struct scaler *s, uint8_t *row)
{
    uint32_t start, count;

    if (s->first == s->next)
        return false;
    count = window(s->is.filter, s->is.in_height, s->is.out_height, s->first, &start);
    if (start + count > s->y)
        return false;
    round_row(s, narrow(s, s->sums + s->first % s->row_slots * s->row_floats), row);
    s->first++;
    return true;
}
