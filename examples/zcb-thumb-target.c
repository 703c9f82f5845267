// SPDX-License-Identifier: MIT
//
// One small image of a job: rows of the large one in, a file out.
#include <errno.h>
#include <math.h>
#include <string.h>

#include <zcbuf/zcbuf.h>

#include "zcb-thumb-job.h"

size_t
row_bytes(uint16_t format, uint32_t width)
{
    return (size_t)width * zcb_image_format_info(format)->pixel_bytes[0];
}

// ---- what it will be, and take

static bool
is_turned(const struct reader *reader)
{
    return reader->orientation >= 5; // rows become columns
}

void
target_fit(const struct reader *reader, const struct size *size, struct target *target)
{
    bool turned = is_turned(reader);
    double width = turned ? size->height : size->width;
    double height = turned ? size->width : size->height;
    double by = fmin(1, fmin(width / reader->width, height / reader->height));

    target->width = (uint32_t)fmin(width, fmax(1, floor(reader->width * by + 0.5)));
    target->height = (uint32_t)fmin(height, fmax(1, floor(reader->height * by + 0.5)));
}

int
target_plan(struct job *job, struct target *target, size_t *bytes)
{
    const struct reader *reader = &job->reader;
    const struct codec *codec = job->options->format;
    uint16_t format = codec->format_for(reader->format);
    struct zcb_image_step steps[2] = {
        {.kind = ZCB_IMAGE_CUSTOM,
         .format = format,
         .width = target->width,
         .height = target->height,
         .flags = ZCB_IMAGE_STREAMS},
        codec->write_step(),
    };
    struct zcb_image_plan plan;
    int result;

    target->scale = (struct scale){reader->out_width,   reader->out_height, target->width,
                                   target->height,      reader->format,     format,
                                   job->options->filter};
    result = zcb_image_plan(steps, 2, NULL, &plan, sizeof(plan));
    if (result < 0)
        return result;
    *bytes = plan.peak_bytes + scale_bytes(&target->scale) + row_bytes(format, target->width);
    if (reader->orientation > 1) { // held whole, and turned row by row
        size_t whole;

        if (__builtin_mul_overflow(row_bytes(format, target->width), target->height, &whole) ||
            __builtin_add_overflow(*bytes, whole + row_bytes(format, target->height), bytes))
            return -EOVERFLOW;
    }
    target->writer.work_bytes = plan.step[1].work_bytes;
    *bytes += 64 << 10; // the output's buffer
    return 0;
}

// ---- the file

int
target_start(struct job *job, unsigned i)
{
    struct target *target = &job->targets[i];
    struct writer *writer = &target->writer;
    const struct reader *reader = &job->reader;
    bool turned = is_turned(reader);
    size_t work = scale_bytes(&target->scale);
    size_t row = row_bytes(target->scale.out_format, target->width);
    int result;

    result = output_open(&target->output, &job->batch->folder, job->options, job->outcome.index, i,
                         &job->memory, job->outcome.why);
    if (result < 0)
        return result;
    if (work == 0)
        return because(job->outcome.why, -ENOTSUP, "cannot be scaled so");
    result = memory_get(&job->memory, work, &target->work);
    if (result == 0)
        result = memory_get(&job->memory, row, &target->row);
    if (result == 0 && reader->orientation > 1)
        result = memory_get(&job->memory, row * target->height, &target->turned);
    writer->codec = job->options->format;
    if (result == 0 && !writer->codec->charges)
        result = zcb_image_lease_charge(job->memory.lease, writer->work_bytes);
    if (result < 0)
        return because(job->outcome.why, result, "more memory than was planned: %s",
                       zcb_strerror(result));
    writer->charged = !writer->codec->charges;
    scale_start(&target->scaler, &target->scale, target->work.data);
    writer->output = &target->output;
    writer->memory = &job->memory;
    writer->width = turned ? target->height : target->width;
    writer->height = turned ? target->width : target->height;
    writer->format = target->scale.out_format;
    writer->quality = (unsigned)job->options->quality;
    writer->why = job->outcome.why;
    result = writer->codec->write_start(writer);
    if (result == -EOVERFLOW) // it is no fault of the input
        target->output.error = result;
    return result;
}

int
target_row(struct target *target, const uint8_t *row)
{
    size_t bytes = row_bytes(target->scale.out_format, target->width);
    int result = 0;

    scale_push(&target->scaler, row);
    while (result == 0) {
        uint8_t *to =
            target->turned.buf != NULL ? target->turned.data + target->y * bytes : target->row.data;

        if (!scale_pull(&target->scaler, to))
            break;
        target->y++;
        if (target->turned.buf == NULL)
            result = target->writer.codec->write_row(&target->writer, to);
    }
    return result;
}

// Rows of the image as it is to be seen, out of the one that lies in the file.
static int
target_turn(struct job *job, struct target *target)
{
    unsigned o = job->reader.orientation,
             pixel = zcb_image_format_info(target->writer.format)->pixel_bytes[0];
    uint32_t w = target->width, h = target->height;
    struct block row;
    int result = memory_get(&job->memory, (size_t)target->writer.width * pixel, &row);

    if (result < 0)
        return because(job->outcome.why, result, "no memory for a row");
    for (uint32_t y = 0; y < target->writer.height && result == 0; y++) {
        for (uint32_t x = 0; x < target->writer.width; x++) {
            // EXIF 2.3, 4.6.4: where row 0 and column 0 of what lies in the file are seen.
            uint32_t sx = o == 1 || o == 4   ? x
                          : o == 2 || o == 3 ? w - 1 - x
                          : o == 5 || o == 6 ? y
                                             : w - 1 - y;
            uint32_t sy = o == 1 || o == 2   ? y
                          : o == 3 || o == 4 ? h - 1 - y
                          : o == 5 || o == 8 ? x
                                             : h - 1 - x;

            memcpy(row.data + (size_t)x * pixel,
                   target->turned.data + ((size_t)sy * w + sx) * pixel, pixel);
        }
        result = target->writer.codec->write_row(&target->writer, row.data);
    }
    memory_put(&job->memory, &row);
    return result;
}

int
target_end(struct job *job, struct target *target)
{
    int result = target->turned.buf != NULL ? target_turn(job, target) : 0;

    if (result == 0)
        result = target->writer.codec->write_end(&target->writer);
    if (result == 0)
        result = output_flush(&target->output);
    return result;
}

void
target_close(struct job *job, struct target *target)
{
    if (target->writer.codec != NULL)
        target->writer.codec->write_close(&target->writer);
    if (target->writer.charged)
        zcb_image_lease_uncharge(job->memory.lease, target->writer.work_bytes);
    memory_put(&job->memory, &target->turned);
    memory_put(&job->memory, &target->row);
    memory_put(&job->memory, &target->work);
    output_drop(&target->output);
}
