// SPDX-License-Identifier: MIT
//
// W5: images of 24 megapixels, one after the other, as a program that goes through a folder of
// photographs has them. What differs is where the 96 MB come from: fresh from the system each time,
// or used again.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "harness.h"
#include "images/codec.h"
#include "images/memory.h"

enum { WIDTH = 6000, HEIGHT = 4000 };

#define BYTES ((size_t)WIDTH * HEIGHT * 4)

// One row: what is done with which memory.
struct job {
    struct memory *memory;
    const struct codec *codec; // NULL: the image is filled
    const uint8_t *data;       // the encoded image
    size_t len;
    const uint8_t *expected;
};

// ---- one image

static int
draw(const struct job *job, uint8_t *pixels, int value)
{
    struct picture to = {WIDTH, HEIGHT, pixels};

    if (job->codec != NULL)
        return job->codec->decode(job->data, job->len, &to) == 0 ? 0 : -EBADMSG;
    memset(pixels, value, BYTES);
    return 0;
}

static int
one_image(const struct job *job, int value)
{
    struct frame frame;
    int result = job->memory->get(job->memory, &frame);

    if (result < 0)
        return result;
    result = draw(job, frame.pixels, value);
    bench_keep(frame.pixels);
    job->memory->put(job->memory, &frame);
    return result;
}

static int
run_images(void *ctx, struct bench_run *run)
{
    const struct job *job = ctx;
    struct memory *memory = job->memory;
    int result = memory->begin != NULL ? memory->begin(memory) : 0, ended;

    bench_begin(run);
    for (uint64_t i = 0; i < run->n && result == 0; i++)
        result = one_image(job, (int)i);
    bench_end(run);
    if (bench_count != NULL)
        bench_count(0); // what follows is for the next row's sake
    ended = memory->end != NULL ? memory->end(memory) : 0;
    return result < 0 ? result : ended;
}

// ---- is it right?

static bool
is_right(const struct job *job, const uint8_t *pixels, int value)
{
    if (job->codec != NULL)
        return memcmp(pixels, job->expected, BYTES) == 0;
    return pixels[0] == (uint8_t)value && memcmp(pixels, pixels + 1, BYTES - 1) == 0;
}

// Filled images several at a time: neither is to get into the other.
static int
check_images(void *ctx)
{
    const struct job *job = ctx;
    struct memory *memory = job->memory;
    struct frame frames[MEMORY_AT_ONCE];
    int count = job->codec == NULL ? MEMORY_AT_ONCE : 1;
    int got = 0, wrong = memory->begin != NULL && memory->begin(memory) < 0;

    while (got < count && !wrong && memory->get(memory, &frames[got]) == 0)
        got++;
    wrong = wrong || got < count;
    for (int i = 0; i < count && !wrong; i++)
        wrong = draw(job, frames[i].pixels, 0x40 + i) < 0;
    for (int i = 0; i < count && !wrong; i++)
        wrong = !is_right(job, frames[i].pixels, 0x40 + i);
    while (got > 0)
        memory->put(memory, &frames[--got]);
    return (memory->end != NULL && memory->end(memory) < 0) || wrong;
}

static void
compare(struct bench_case *what, const struct job *job, struct memory ways[MEMORY_WAYS],
        const int *chosen, size_t count)
{
    struct job jobs[MEMORY_WAYS];
    struct bench_row rows[MEMORY_WAYS] = {{NULL}};

    for (size_t i = 0; i < count; i++) {
        struct memory *memory = &ways[chosen[i]];

        jobs[i] = *job;
        jobs[i].memory = memory;
        if (memory->get != NULL)
            rows[i] = (struct bench_row){
                .name = memory->name,
                .work = run_images,
                .check = check_images,
                .ctx = &jobs[i],
                .no_faults = job->codec == NULL && memory->recycled,
            };
    }
    what->workload = "W5";
    what->processor_time = true;
    what->variable = "megapixels";
    what->value = WIDTH * HEIGHT / 1e6;
    what->unit = "ms/image";
    what->scale = 1e6;
    what->reference = ways[MEMORY_MALLOC].name;
    bench_compare(what, rows, count);
}

// ---- a picture worth decoding

static uint8_t
shade(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

// Slopes, edges and grain: about as hard to encode as a photograph.
static void
paint(uint8_t *pixels)
{
    uint64_t random = 24;
    uint8_t *p = pixels;

    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++, p += 4) {
            int grain = (int)(bench_random(&random) >> 40 & 15) - 8;
            int edge = ((x >> 6) ^ (y >> 5)) % 7 * 12;

            p[0] = shade(x * 160 / WIDTH + edge + grain);
            p[1] = shade(y * 160 / HEIGHT + edge + grain);
            p[2] = shade((x + y) * 160 / (WIDTH + HEIGHT) + 40 - edge + grain);
            p[3] = 255;
        }
    }
}

// What was decoded is that picture. Where an encoder loses something: nearly.
static bool
resembles(const uint8_t *a, const uint8_t *b, bool lossless)
{
    uint64_t difference = 0;

    if (lossless)
        return memcmp(a, b, BYTES) == 0;
    for (size_t i = 0; i < BYTES; i++)
        difference += (uint64_t)abs(a[i] - b[i]);
    return difference < BYTES * 6;
}

static int
compare_decoding(const struct codec *codec, struct memory ways[MEMORY_WAYS], uint8_t *painted,
                 uint8_t *expected)
{
    static const int chosen[] = {MEMORY_POOL, MEMORY_MALLOC, MEMORY_KEPT};
    struct picture picture = {WIDTH, HEIGHT, painted};
    struct job job = {.codec = codec, .expected = expected};
    uint8_t *data = NULL;
    char title[64];
    struct bench_case what = {.title = title, .cold = true};

    snprintf(title, sizeof(title), "decode, %s", codec->name);
    if (!bench_wanted("W5", title))
        return 0;
    if (codec->encode(&picture, &data, &job.len) < 0) {
        fprintf(stderr, "%s cannot encode the picture\n", codec->name);
        return 1;
    }
    job.data = data;
    if (draw(&job, expected, 0) < 0 || !resembles(expected, painted, codec->lossless)) {
        fprintf(stderr, "%s decodes something else than it encoded\n", codec->name);
        free(data);
        return 1;
    }
    // PNG takes so long that what kept memory of malloc() brings is told by the others alone.
    compare(&what, &job, ways, chosen, codec->lossless ? 2 : 3);
    free(data);
    return 0;
}

int
main(int argc, char **argv)
{
    static const int all[] = {MEMORY_POOL, MEMORY_POOL_HUGE, MEMORY_POOL_ABOVE, MEMORY_MALLOC,
                              MEMORY_MMAP, MEMORY_POPULATE,  MEMORY_HUGE,       MEMORY_KEPT};
    static const struct codec *const codecs[] = {
#if BENCH_HAVE_TURBOJPEG
        &codec_turbojpeg,
#endif
#if BENCH_HAVE_WEBP
        &codec_webp,
#endif
#if BENCH_HAVE_PNG
        &codec_png,
#endif
#if BENCH_HAVE_SPNG
        &codec_spng,
#endif
        NULL,
    };
    struct memory ways[MEMORY_WAYS];
    struct bench_case filled = {.title = "image filled", .cold = true};
    struct job fill = {NULL};
    uint8_t *painted, *expected;
    int result = bench_start(argc, argv, "images", "W5: where the memory of an image comes from");
    int wrong = 0;

    if (result < 0)
        return -1 - result;
    if (memory_open(ways, BYTES) < 0)
        return 1;
    compare(&filled, &fill, ways, all, MEMORY_WAYS);
    if (codecs[0] != NULL) {
        painted = bench_alloc(BYTES);
        expected = bench_alloc(BYTES);
        paint(painted);
        for (size_t i = 0; codecs[i] != NULL; i++)
            wrong += compare_decoding(codecs[i], ways, painted, expected);
        free(expected);
        free(painted);
    }
    memory_close(ways);
    result = bench_finish();
    return wrong != 0 ? 1 : result;
}
