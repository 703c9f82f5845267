// SPDX-License-Identifier: MIT
//
// Medians, and how well they are known.
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>

struct bench_summary {
    double median, min, max;
    double mad;       // median absolute deviation from the median
    double deviation; // of the median itself, relative to it
};

// Changes the order of `samples`.
void bench_summarise(double *samples, size_t n, struct bench_summary *out);

#endif
