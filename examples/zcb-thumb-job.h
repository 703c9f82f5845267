// SPDX-License-Identifier: MIT
//
// What job and target share, and nobody else needs to know.
#ifndef EXAMPLES_ZCB_THUMB_JOB_H
#define EXAMPLES_ZCB_THUMB_JOB_H

#include "zcb-thumb.h"

// What is made at one --size.
struct target {
    uint32_t width, height; // as it lies in the file; when it is turned they change places
    struct scale scale;
    struct scaler scaler;
    struct block work, row;
    struct block turned; // all of it, where it is to be turned
    uint32_t y;
    struct output output;
    struct writer writer;
};

struct job {
    struct batch *batch;
    const struct options *options;
    struct outcome outcome;
    struct memory memory;
    int fd;
    struct zcb_packet file;
    struct reader reader;
    struct target targets[MAX_SIZES];
    unsigned target_count;
    size_t image_bytes; // charged for the whole image
    uint64_t faults_passed;
};

// Bytes of a row of one plane.
size_t row_bytes(uint16_t format, uint32_t width);

// The largest size that fits in `size`, in the same proportions and no larger than the image.
void target_fit(const struct reader *reader, const struct size *size, struct target *target);

// What it will take: its scaler, rows, output and encoder. 0, or zcb_image_plan's errors.
int target_plan(struct job *job, struct target *target, size_t *bytes);

// From here on memory is taken, and there is a file. The i-th of the job's.
int target_start(struct job *job, unsigned i);

int target_row(struct target *target, const uint8_t *row); // the next from the decoder
int target_end(struct job *job, struct target *target);    // that was the last: all is written
void target_close(struct job *job,
                  struct target *target); // in any case; what is not published goes

#endif
