// SPDX-License-Identifier: MIT
//
// One file, from its first byte to the last of its small images. Everything that can be refused is
// refused before memory is taken for it; all that is taken is part of a lease; and nothing becomes
// visible before the input is known to have been whole until the end.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <zcbuf/zcbuf.h>

#include "zcb-thumb-job.h"

#define WINDOW ((size_t)4 << 20)        // of the input that is resident at a time
#define FAULT_AROUND ((size_t)64 << 10) // of a file, that Linux maps at a fault
#define OVERHEAD ((size_t)512 << 10)    // of a job: state of libraries, and what malloc rounds up
#define THIN 32u                        // rows or columns, that no decoder is to go below

// ---- the input

static uint64_t
thread_faults(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_minflt : 0;
}

static double
thread_cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
input_open(struct job *job, const char *path)
{
    char *why = job->outcome.why;
    struct stat info;
    int result;

    job->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); // a FIFO is not waited for
    if (job->fd < 0 || fstat(job->fd, &info) != 0)
        return because(why, -errno, "%s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return because(why, -ENOTSUP, "is %s, not a file",
                       S_ISDIR(info.st_mode)    ? "a folder"
                       : S_ISFIFO(info.st_mode) ? "a pipe"
                       : S_ISSOCK(info.st_mode) ? "a socket"
                                                : "a device");
    if (info.st_size == 0)
        return because(why, -EBADMSG, "is empty");
    if (job->options->lock && flock(job->fd, LOCK_SH | LOCK_NB) != 0)
        return because(why, -errno, "%s",
                       errno == EWOULDBLOCK ? "is locked by another program" : strerror(errno));
    result = zcb_map_file(job->fd, 0, 0, ZCB_MAP_SEQUENTIAL | ZCB_MAP_ONLY, &job->file);
    if (result < 0)
        return because(why, result, "cannot be mapped: %s", strerror(-result));
    job->outcome.input_bytes = job->file.len;
    return 0;
}

// Whether all that was read was the file's, and one and the same file.
static int
input_check(struct job *job)
{
    int result = zcb_map_status(&job->file);

    if (result == 0)
        return 0;
    return because(job->outcome.why, result,
                   result == -ESTALE
                       ? "was changed while it was read"
                       : "became shorter, or could not be read any more, while it was read");
}

static void
input_close(struct job *job)
{
    zcb_packet_unref(&job->file);
    if (job->fd >= 0)
        close(job->fd); // and the lock goes with it
    job->fd = -1;
}

// Pages of the file that were read stay in the process until somebody needs the memory; then they
// would count as its own. Decoders do not tell how far they are; but each fault brings in 64 KiB at
// the most, and faults are counted.
static void
passed(void *ctx, bool now)
{
    struct job *job = ctx;

    if (!now && thread_faults() - job->faults_passed < WINDOW / FAULT_AROUND)
        return;
    (void)!zcb_map_forget(&job->file);
    job->faults_passed = thread_faults();
}

// ---- sizes

static int
open_reader(struct job *job)
{
    struct reader *reader = &job->reader;
    const struct codec *const *codec = codecs;
    int result;

    while (*codec != NULL && !(*codec)->is(job->file.data, job->file.len))
        codec++;
    if (*codec == NULL)
        return because(job->outcome.why, -ENOTSUP, "is no image of a kind that is known here");
    *reader = (struct reader){
        .codec = *codec,
        .data = job->file.data,
        .len = job->file.len,
        .memory = &job->memory,
        .lenient = job->options->lenient,
        .max_pixels = job->options->max_pixels,
        .passed = passed,
        .passed_ctx = job,
        .why = job->outcome.why,
    };
    job->outcome.codec = (*codec)->name;
    result = (*codec)->open(reader);
    if (result < 0)
        return result;
    passed(job, job->file.len > WINDOW);
    job->outcome.width = reader->width;
    job->outcome.height = reader->height;
    job->outcome.kind = reader->kind;
    if (reader->width == 0 || reader->height == 0)
        return because(job->outcome.why, -EBADMSG, "declares %u x %u pixels", reader->width,
                       reader->height);
    if (reader->width > 1u << 24 || reader->height > 1u << 24 ||
        (uint64_t)reader->width * reader->height > job->options->max_pixels)
        return because(job->outcome.why, -ENOBUFS,
                       "declares %u x %u pixels; --max-pixels allows %llu", reader->width,
                       reader->height, (unsigned long long)job->options->max_pixels);
    reader->out_width = reader->width;
    reader->out_height = reader->height;
    return 0;
}

static void
choose_sizes(struct job *job)
{
    struct reader *reader = &job->reader;
    uint64_t width = 1, height = 1;

    job->target_count = job->options->decode ? 0 : job->options->size_count;
    for (unsigned i = 0; i < job->target_count; i++) {
        struct target *target = &job->targets[i];

        memset(target, 0, sizeof(*target));
        target->output.fd = -1;
        target_fit(reader, &job->options->sizes[i], target);
        width = target->width > width ? target->width : width;
        height = target->height > height ? target->height : height;
    }
    // The filter is to have at least twice of what it makes: what a decoder leaves out is coarse.
    // And some more of thin images: the last row of a decoder may stand for fewer than the others.
    width = 2 * width < THIN ? THIN : 2 * width;
    height = 2 * height < THIN ? THIN : 2 * height;
    if (job->target_count != 0 && reader->codec->shrink != NULL)
        reader->codec->shrink(reader, width < reader->width ? (uint32_t)width : reader->width,
                              height < reader->height ? (uint32_t)height : reader->height);
}

// ---- what it will take

static int
plan(struct job *job, size_t *bytes)
{
    struct reader *reader = &job->reader;
    struct zcb_image_limits limits = {.max_width = 1u << 24,
                                      .max_height = 1u << 24,
                                      .max_pixels = job->options->max_pixels,
                                      .max_bytes = SIZE_MAX};
    struct zcb_image_step steps[2] = {reader->step, {.kind = ZCB_IMAGE_CUSTOM}};
    struct zcb_image_plan plan;
    size_t extra = 0;
    int result = 0;

    for (unsigned i = 0; i < job->target_count && result == 0; i++) {
        size_t one = 0;

        result = target_plan(job, &job->targets[i], &one);
        extra += one;
    }
    if (result < 0)
        return because(job->outcome.why, result, "no plan for its small images: %s",
                       zcb_strerror(result));
    steps[0].kind = ZCB_IMAGE_DECODE;
    steps[0].format = reader->format;
    steps[0].width = reader->out_width;
    steps[0].height = reader->out_height;
    steps[0].file_width = reader->width;
    steps[0].file_height = reader->height;
    steps[0].bytes = reader->len;
    steps[0].window = WINDOW;
    if (reader->streams && !job->options->decode)
        steps[0].flags = ZCB_IMAGE_STREAMS;
    steps[1].extra = extra + row_bytes(reader->format, reader->out_width);
    steps[1].flags = ZCB_IMAGE_STREAMS;
    result = zcb_image_plan(steps, job->options->decode ? 1 : 2, &limits, &plan, sizeof(plan));
    if (result < 0)
        return because(job->outcome.why, result, "%u x %u pixels are beyond all limits: %s",
                       reader->width, reader->height, zcb_strerror(result));
    reader->work_bytes = plan.step[0].work_bytes;
    *bytes = plan.peak_bytes + WINDOW + OVERHEAD;
    return 0;
}

static int
lease(struct job *job)
{
    size_t bytes = 0, all = zcb_image_budget_bytes(job->batch->budget);
    int result = plan(job, &bytes);

    if (result < 0)
        return result;
    job->outcome.leased_bytes = bytes;
    result = zcb_image_budget_lease(job->batch->budget, bytes, UINT32_MAX, &job->memory.lease);
    if (result == -ENOBUFS)
        return because(job->outcome.why, result,
                       "it takes %.1f MiB (%u x %u pixels%s%s); --max-mem leaves %.1f MiB",
                       (double)bytes / (1 << 20), job->reader.width, job->reader.height,
                       job->reader.kind != NULL ? ", " : "",
                       job->reader.kind != NULL ? job->reader.kind : "", (double)all / (1 << 20));
    if (result < 0)
        return because(job->outcome.why, result, "no memory: %s", zcb_strerror(result));
    return stop_requested ? because(job->outcome.why, -ECANCELED, "stopped") : 0;
}

// ---- the pipeline

static int
push_row(struct job *job, const uint8_t *row)
{
    int result = stop_requested ? because(job->outcome.why, -ECANCELED, "stopped") : 0;

    for (unsigned i = 0; i < job->target_count && result == 0; i++)
        result = target_row(&job->targets[i], row);
    return result;
}

static int
start_targets(struct job *job)
{
    int result = 0;

    for (unsigned i = 0; i < job->target_count && result == 0; i++)
        result = target_start(job, i);
    return result;
}

// The decoder's own memory, where the library does not ask us for it.
static int
charge_decoder(struct job *job)
{
    int result = 0;

    if (!job->reader.codec->charges)
        result = zcb_image_lease_charge(job->memory.lease, job->reader.work_bytes);
    return result < 0 ? because(job->outcome.why, result, "more memory than was planned") : 0;
}

static void
uncharge_decoder(struct job *job)
{
    if (!job->reader.codec->charges)
        zcb_image_lease_uncharge(job->memory.lease, job->reader.work_bytes);
}

static int
whole_image(struct job *job, struct zcb_image_buf *image)
{
    struct reader *reader = &job->reader;
    struct zcb_image_limits limits = {1u << 24, 1u << 24, job->options->max_pixels, SIZE_MAX, {0}};
    struct zcb_image_layout layout;
    int result = zcb_image_layout(reader->format, reader->out_width, reader->out_height, 0, &limits,
                                  &layout);

    if (result == 0)
        result = image_get(&job->memory, &layout, image);
    if (result < 0)
        return because(job->outcome.why, result, "no memory for %u x %u pixels: %s",
                       reader->out_width, reader->out_height, zcb_strerror(result));
    job->image_bytes = job->outcome.decoded_bytes = layout.bytes;
    result = reader->streams ? 0 : reader->codec->whole(reader, image);
    for (uint32_t y = 0; reader->streams && y < reader->out_height && result == 0; y++) {
        result = reader->codec->row(reader, zcb_image_buf_row(image, 0, y));
        if (stop_requested)
            result = because(job->outcome.why, -ECANCELED, "stopped");
    }
    return result;
}

// Rows go through as they come.
static int
stream(struct job *job)
{
    struct reader *reader = &job->reader;
    struct block row;
    int result = memory_get(&job->memory, row_bytes(reader->format, reader->out_width), &row);

    if (result < 0)
        return because(job->outcome.why, result, "no memory for a row");
    for (uint32_t y = 0; y < reader->out_height && result == 0; y++) {
        result = reader->codec->row(reader, row.data);
        if (result == 0)
            result = push_row(job, row.data);
    }
    memory_put(&job->memory, &row);
    return result;
}

// All pixels into memory, and from there as rows, if anybody wants them.
static int
in_two_steps(struct job *job)
{
    struct reader *reader = &job->reader;
    struct zcb_image_buf buf = {0};
    struct zcb_image image = {0};
    int result = -ENOTSUP;

    job->image_bytes = 0;
    if (job->options->decode && reader->codec->planes != NULL)
        result = reader->codec->planes(reader, &image);
    if (result == 0) // the decoder's own, and part of its work
        job->outcome.decoded_bytes = zcb_image_pinned(&image);
    if (result == -ENOTSUP) {
        result = whole_image(job, &buf);
        zcb_image_buf_share(&buf, &image);
    }
    if (result == 0)
        result = reader->codec->end(reader);
    uncharge_decoder(job);
    if (result == 0)
        result = start_targets(job);
    for (uint32_t y = 0; job->target_count != 0 && y < image.height && result == 0; y++)
        result = push_row(job, zcb_image_row(&image, 0, y));
    zcb_image_unref(&image);
    zcb_image_lease_uncharge(job->memory.lease, job->image_bytes);
    return result;
}

static int
in_one_step(struct job *job)
{
    int result = start_targets(job);

    if (result == 0)
        result = stream(job);
    if (result == 0)
        result = job->reader.codec->end(&job->reader);
    uncharge_decoder(job);
    return result;
}

static int
run(struct job *job)
{
    struct reader *reader = &job->reader;
    int result = charge_decoder(job);

    if (result == 0) {
        result = reader->codec->start(reader);
        if (result < 0)
            uncharge_decoder(job);
    }
    if (result < 0)
        return result;
    if (job->options->decode || !reader->streams)
        result = in_two_steps(job);
    else
        result = in_one_step(job);
    for (unsigned i = 0; i < job->target_count && result == 0; i++)
        result = target_end(job, &job->targets[i]);
    return result;
}

static int
publish(struct job *job)
{
    int result = 0;

    for (unsigned i = 0; i < job->target_count && result == 0; i++) {
        struct target *target = &job->targets[i];
        struct made *made = &job->outcome.made[job->outcome.made_count];

        result = output_publish(&target->output);
        if (result < 0)
            break;
        memcpy(made->name, target->output.name, sizeof(made->name));
        made->width = target->writer.width;
        made->height = target->writer.height;
        made->bytes = target->output.bytes;
        job->outcome.made_count++;
    }
    return result;
}

static int
one_round(struct job *job)
{
    struct zcb_image_lease_stats used = {0};
    int result, checked;

    job->faults_passed = thread_faults();
    result = open_reader(job);
    if (result == 0) {
        choose_sizes(job);
        result = lease(job);
    }
    if (result == 0)
        result = run(job);
    checked = input_check(job); // whatever else went wrong may be because of that
    result = checked < 0 && result != -ECANCELED ? checked : result;
    if (result == 0)
        result = publish(job);
    job->outcome.damaged = job->reader.damaged;
    for (unsigned i = 0; i < job->target_count; i++) {
        job->outcome.writing = job->outcome.writing || output_error(&job->targets[i].output) < 0;
        target_close(job, &job->targets[i]);
    }
    if (job->reader.codec != NULL && job->reader.state != NULL)
        job->reader.codec->close(&job->reader);
    if (job->memory.lease != NULL &&
        zcb_image_lease_stats(job->memory.lease, &used, sizeof(used)) == 0)
        job->outcome.used_bytes = used.peak_used;
    memory_end(&job->memory, job->batch->keep);
    job->target_count = 0;
    return result;
}

int
job_run(struct batch *batch, size_t index)
{
    const struct options *options = batch->options;
    struct job job = {
        .batch = batch, .options = options, .memory = {.pool = batch->pool}, .fd = -1};
    uint64_t rounds = options->decode ? options->repeat : 1;
    int result = 0;

    for (uint64_t round = 0; round < rounds && result == 0; round++) {
        uint64_t faults = thread_faults();
        double cpu = thread_cpu(), seconds = now_seconds();
        struct zcb_copies before, after;

        zcb_copies_thread(&before);
        job.outcome =
            (struct outcome){.index = index, .round = round + 1, .input_bytes = job.file.len};
        if (round == 0)
            result = input_open(&job, options->files[index]);
        if (result == 0)
            result = one_round(&job);
        zcb_copies_thread(&after);
        job.outcome.copied_bytes = zcb_copies_bytes(&after) - zcb_copies_bytes(&before);
        job.outcome.page_faults = thread_faults() - faults;
        job.outcome.cpu = thread_cpu() - cpu;
        job.outcome.seconds = now_seconds() - seconds;
        job.outcome.result = result;
        if (result != -ECANCELED)
            report_outcome(batch->report, &job.outcome);
    }
    input_close(&job);
    return result;
}
