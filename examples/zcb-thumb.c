// SPDX-License-Identifier: MIT
//
// Threads that take one file after the other. What they take in all is the budget's concern: a job
// that would go beyond it waits for its turn.
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zcbuf/zcbuf.h>

#include "zcb-thumb.h"

// Of --max-mem, what no lease is for: code that is paged in, malloc's own, the threads' stacks.
#define PROGRAM_BYTES ((size_t)5 << 20)
#define THREAD_BYTES ((size_t)1 << 20)
#define STACK_BYTES ((size_t)512 << 10)

struct crew {
    struct batch *batch;
    size_t next; // file
};

static void *
work(void *ctx)
{
    struct crew *crew = ctx;
    size_t i;

    while (!stop_requested &&
           (i = __atomic_fetch_add(&crew->next, 1, __ATOMIC_RELAXED)) < crew->batch->options->count)
        (void)job_run(crew->batch, i);
    return NULL;
}

static bool
run_all(struct batch *batch)
{
    struct crew crew = {.batch = batch};
    unsigned jobs = (unsigned)batch->options->jobs, started = 0;
    pthread_t threads[64];
    pthread_attr_t attributes;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (started + 1 < jobs && pthread_create(&threads[started], &attributes, work, &crew) == 0)
        started++;
    work(&crew); // this thread is one of them
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attributes);
    return true;
}

// Frames and rows of all jobs. No thread keeps any for itself: what is idle can be counted and let
// go of. Sizes: an output's buffer and rows; scalers; small images, and 24 megapixels in gray, RGB
// and RGBA with room to spare, of which only the pages that are used are there.
static int
make_pool(const struct options *options, struct zcb_pool **out)
{
    struct zcb_pool_config config = {
        .name = "zcb-thumb",
        .tiers = {{.buffer_size = 64 << 10},
                  {.buffer_size = 512 << 10},
                  {.buffer_size = 2 << 20},
                  {.buffer_size = 8 << 20},
                  {.buffer_size = 32 << 20},
                  {.buffer_size = 80 << 20},
                  {.buffer_size = 100 << 20},
                  {.buffer_size = (size_t)512 << 20}},
        .flags = ZCB_POOL_NO_CACHE,
    };

    if (options->fresh) { // nothing fits, so that each buffer is malloc's
        memset(config.tiers, 0, sizeof(config.tiers));
        config.tiers[0].buffer_size = 4096;
        config.source = zcb_source_libc();
    }
    return zcb_pool_create(&config, out);
}

static int
make_batch(struct batch *batch, const struct options *options)
{
    struct zcb_image_budget_config config = {0};
    size_t total = (size_t)options->max_mem - PROGRAM_BYTES - THREAD_BYTES * (size_t)options->jobs;
    int result;

    if (options->max_mem < PROGRAM_BYTES + THREAD_BYTES * options->jobs + (4 << 20)) {
        say("--max-mem: %llu jobs need at least %llu MiB", (unsigned long long)options->jobs,
            (unsigned long long)((PROGRAM_BYTES + THREAD_BYTES * options->jobs) >> 20) + 4);
        return -EINVAL;
    }
    batch->options = options;
    // Whole images are worth keeping; rows are few.
    batch->keep = options->decode ? total / 5 * 2 : total / 16;
    config.keep_bytes = batch->keep;
    result = zcb_image_budget_create(total, &config, &batch->budget);
    if (result == 0)
        result = make_pool(options, &batch->pool);
    if (result < 0)
        say("%s", zcb_strerror(result));
    return result;
}

// glibc's malloc gives each thread a heap of its own and raises the size from which on it asks the
// system, each time that it sees a larger block freed: what libraries have freed then stays here.
static void
tame_malloc(void)
{
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
#endif
}

int
main(int argc, char **argv)
{
    enum exit_code code = EXIT_INTERNAL;
    struct usage start;
    struct options options;
    struct batch batch = {.folder = {.fd = -1}};
    bool help;

    standard_descriptors();
    start = usage_now();
    program_name = "zcb-thumb";
    if (!options_parse(argc, argv, &options, &help))
        return EXIT_USAGE;
    if (help)
        return finish_output(EXIT_DONE);
    if (options.jobs == 0) {
        long processors = sysconf(_SC_NPROCESSORS_ONLN);

        options.jobs = processors < 1 ? 1 : processors > 4 ? 4 : (uint64_t)processors;
    }
    tame_malloc();
    signals_init();
    if (make_batch(&batch, &options) < 0)
        code = EXIT_USAGE;
    else if (folder_open(&batch.folder, &options) < 0)
        code = EXIT_STORAGE;
    else if ((batch.report = report_open(&options, &start)) != NULL) {
        bool ran = run_all(&batch);

        code = report_close(batch.report, &batch);
        code = !ran ? EXIT_INTERNAL : stop_requested ? EXIT_STOPPED : code;
    }
    folder_close(&batch.folder);
    zcb_pool_destroy(&batch.pool);
    zcb_image_budget_destroy(&batch.budget);
    return finish_output(code);
}
