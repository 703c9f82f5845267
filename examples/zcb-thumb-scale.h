// SPDX-License-Identifier: MIT
//
// Makes images smaller: rows in, rows out, memory that depends on their width alone.
//
//     row in -> float, colours times alpha -> added to the few rows out that it is part of
//     row out complete -> made narrower -> colours over alpha, rounded -> row out
//
// Weights are normalised, so a plain colour stays what it is. Samples are taken as they are, that
// is in sRGB's curve and not in linear light, as most thumbnailers do.
#ifndef EXAMPLES_ZCB_THUMB_SCALE_H
#define EXAMPLES_ZCB_THUMB_SCALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum filter {
    FILTER_AREA,    // each pixel counts by how much of it is covered: smooth, never rings
    FILTER_LANCZOS, // Lanczos-3: sharper
};

struct scale {
    uint32_t in_width, in_height, out_width, out_height; // out at most in, each
    uint16_t in_format, out_format; // of one plane. Alpha is dropped onto white, 8 and 16 bits and
                                    // gray and colours become each other (not colours gray)
    enum filter filter;
};

struct scaler {
    struct scale is;
    unsigned channels, in_bits;
    size_t row_floats;  // of a row in, padded
    unsigned row_slots; // rows out that are being made at a time, at most
    uint32_t taps_down, taps_across;
    float *row, *sums, *down;
    float *across;
    uint32_t *across_at;  // for each pixel of a row out: where it begins, and how many
    float *narrow;        // a row out before it is rounded
    uint32_t y;           // rows in
    uint32_t first, next; // rows out being made: first <= o < next
};

// Bytes of memory that such a scaler works in. 0: sizes or formats that it cannot do.
size_t scale_bytes(const struct scale *scale);

// `memory`: scale_bytes() of them, 64-byte aligned, the caller's, for as long as it is used.
void scale_start(struct scaler *scaler, const struct scale *scale, void *memory);

// The next row from the top. Pull all rows out that are complete before the next push.
void scale_push(struct scaler *scaler, const uint8_t *row);

// The next row out, or false: it needs more rows in.
bool scale_pull(struct scaler *scaler, uint8_t *row);

#endif
