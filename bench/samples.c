// SPDX-License-Identifier: MIT

#include "samples.h"

#include <math.h>
#include <stdlib.h>

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
median_of(double *samples, size_t n)
{
    qsort(samples, n, sizeof(samples[0]), compare);
    return n % 2 != 0 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
}

void
bench_summarise(double *samples, size_t n, struct bench_summary *out)
{
    *out = (struct bench_summary){0};
    if (n == 0)
        return;
    out->median = median_of(samples, n);
    out->min = samples[0];
    out->max = samples[n - 1];
    for (size_t i = 0; i < n; i++)
        samples[i] = fabs(samples[i] - out->median);
    out->mad = median_of(samples, n);
    // 1.4826 MAD is a standard deviation where the samples are normal, and the median's is 1.2533
    // sigma / sqrt(n).
    out->deviation =
        out->median > 0 ? 1.2533 * 1.4826 * out->mad / sqrt((double)n) / out->median : 0;
}
