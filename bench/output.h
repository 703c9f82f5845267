// SPDX-License-Identifier: MIT
//
// Where results go: lines on the terminal, and a JSON file.
#ifndef BENCH_OUTPUT_H
#define BENCH_OUTPUT_H

#include "harness.h"
#include "samples.h"

// What is known about one row of one case.
struct bench_result {
    const char *name;
    double value;
    const char *problem; // why there are no times; or NULL
    size_t rounds;
    size_t disturbed; // batches that were disturbed
    bool kept;        // and counted nevertheless, as too few were not
    struct bench_summary time, ratio;
    double faults;  // per unit
    bool no_faults; // there should be none
    double allocs, copies, copied_bytes;
    bool counted;
};

// What is known about a case.
struct bench_conditions {
    double seconds;
    double others; // CPUs that others kept busy, on average
    uint64_t resident_kb;
};

void bench_output_open(const char *program, const char *json_path);
void bench_output_progress(const struct bench_case *what, size_t round, double worst);
void bench_output_case(const struct bench_case *what, const struct bench_conditions *conditions,
                       const struct bench_result *rows, size_t count);
void bench_output_skip(const char *row, const char *why);
// 0, or 1 when the file could not be written.
int bench_output_close(void);

#endif
