// SPDX-License-Identifier: MIT
//
// What people and programs get to see: a bar on a terminal, a line for each image elsewhere, or JSON;
// errors on standard error in any case.
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zcbuf/zcbuf.h>

#include "zcb-thumb.h"

struct report {
    const struct options *options;
    struct usage start;
    pthread_mutex_t lock;
    size_t done, failed, made; // files, files, small images
    uint64_t input_bytes, output_bytes;
    bool bar, failed_writing, failed_reading;
};

static double
mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

struct report *
report_open(const struct options *options, const struct usage *start)
{
    struct report *report = calloc(1, sizeof(*report));

    if (report == NULL)
        return NULL;
    report->options = options;
    report->start = *start;
    // Not between lines that are read on the same terminal: JSON, or what --decode has measured.
    report->bar = isatty(STDERR_FILENO) && !options->quiet &&
                  !((options->json || options->decode) && isatty(STDOUT_FILENO));
    pthread_mutex_init(&report->lock, NULL);
    return report;
}

// ---- for people

static void
draw(const struct report *report)
{
    size_t all = report->options->count, width = 30, full = report->done * width / all;

    fprintf(stderr, "\r\033[K%zu/%zu [", report->done, all);
    for (size_t i = 0; i < width; i++)
        fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "] %.1f MiB read", mib(report->input_bytes));
    if (report->failed != 0)
        fprintf(stderr, ", %zu failed", report->failed);
    fflush(stderr);
}

static void
line(const struct report *report, const struct outcome *outcome)
{
    const struct options *options = report->options;

    printf("[%zu/%zu] %s %ux%u", report->done, options->count,
           printable(options->files[outcome->index]), outcome->width, outcome->height);
    if (options->decode)
        printf(": %.1f ms, %" PRIu64 " page faults", outcome->seconds * 1e3, outcome->page_faults);
    for (unsigned i = 0; i < outcome->made_count; i++)
        printf("%s %s %ux%u", i == 0 ? " ->" : ",", printable(outcome->made[i].name),
               outcome->made[i].width, outcome->made[i].height);
    printf("%s\n", outcome->damaged ? " (damaged)" : "");
}

// ---- for programs

// A JSON string; bytes that are no UTF-8 become U+FFFD.
static void
json_text(const char *name, const char *text)
{
    printf("\"%s\":\"", name);
    while (*text != '\0') {
        size_t len = utf8_length(text);

        if (len == 0)
            fputs("\\ufffd", stdout);
        else if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            printf("\\u%04x", (unsigned)*text);
        else
            printf("%.*s", (int)len, text);
        text += len == 0 ? 1 : len;
    }
    putchar('"');
}

static void
json_outcome(const struct options *options, const struct outcome *o)
{
    putchar('{');
    json_text("file", options->files[o->index]);
    printf(",\"ok\":%s", o->result == 0 ? "true" : "false");
    if (o->result != 0) {
        putchar(',');
        json_text("error", o->why);
    }
    if (o->codec != NULL)
        printf(",\"format\":\"%s\",\"width\":%u,\"height\":%u", o->codec, o->width, o->height);
    if (o->kind != NULL)
        printf(",\"kind\":\"%s\"", o->kind);
    if (o->damaged)
        printf(",\"damaged\":true");
    printf(",\"outputs\":[");
    for (unsigned i = 0; i < o->made_count; i++) {
        printf("%s{", i == 0 ? "" : ",");
        json_text("name", o->made[i].name);
        printf(",\"width\":%u,\"height\":%u,\"bytes\":%" PRIu64 "}", o->made[i].width,
               o->made[i].height, o->made[i].bytes);
    }
    printf("],\"round\":%" PRIu64 ",\"input_bytes\":%" PRIu64 ",\"copied_bytes\":%" PRIu64
           ",\"decoded_bytes\":%" PRIu64,
           o->round, o->input_bytes, o->copied_bytes, o->decoded_bytes);
    printf(",\"planned_bytes\":%" PRIu64 ",\"peak_bytes\":%" PRIu64 ",\"page_faults\":%" PRIu64,
           o->leased_bytes, o->used_bytes, o->page_faults);
    printf(",\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n", o->seconds, o->cpu);
}

static void
json_summary(const struct report *report, struct batch *batch)
{
    const struct usage *start = &report->start;
    struct usage now = usage_now();
    struct zcb_image_budget_stats budget = {0};
    struct zcb_copies copies;
    uint64_t grown = now.peak > start->resident ? now.peak - start->resident : 0;

    zcb_copies_total(&copies);
    (void)!zcb_image_budget_stats(batch->budget, &budget, sizeof(budget));
    printf("{\"summary\":{\"files\":%zu,\"failed\":%zu,\"made\":%zu", report->options->count,
           report->failed, report->made);
    printf(",\"input_bytes\":%" PRIu64 ",\"output_bytes\":%" PRIu64 ",\"copied_bytes\":%" PRIu64,
           report->input_bytes, report->output_bytes, zcb_copies_bytes(&copies));
    printf(",\"rss_start_bytes\":%" PRIu64 ",\"rss_end_bytes\":%" PRIu64
           ",\"peak_rss_bytes\":%" PRIu64 ",\"grown_bytes\":%" PRIu64,
           start->resident, now.resident, now.peak, grown);
    printf(",\"heap_start_bytes\":%" PRIu64 ",\"heap_end_bytes\":%" PRIu64, start->heap, now.heap);
    printf(",\"max_mem_bytes\":%" PRIu64 ",\"held\":%s", report->options->max_mem,
           grown <= report->options->max_mem ? "true" : "false");
    printf(",\"peak_leased_bytes\":%" PRIu64 ",\"peak_used_bytes\":%" PRIu64 ",\"waits\":%" PRIu64,
           budget.peak_leased, budget.peak_used, budget.waits);
    printf(",\"page_faults\":%" PRIu64 ",\"seconds\":%.6f,\"cpu_seconds\":%.6f}}\n",
           now.faults - start->faults, now.seconds - start->seconds, now.cpu - start->cpu);
}

// ---- both

void
report_outcome(struct report *report, const struct outcome *outcome)
{
    const struct options *options = report->options;
    bool last = outcome->result < 0 || !options->decode || outcome->round == options->repeat;

    pthread_mutex_lock(&report->lock);
    if (last)
        report->done++;
    if (outcome->round == 1)
        report->input_bytes += outcome->input_bytes;
    report->made += outcome->made_count;
    for (unsigned i = 0; i < outcome->made_count; i++)
        report->output_bytes += outcome->made[i].bytes;
    if (outcome->result < 0) {
        report->failed++;
        report->failed_writing = report->failed_writing || outcome->writing;
        report->failed_reading = report->failed_reading || !outcome->writing;
        say("%s: %s", printable(options->files[outcome->index]), printable(outcome->why));
    }
    if (options->json)
        json_outcome(options, outcome);
    else if (outcome->result == 0 && !options->quiet && (!report->bar || !isatty(STDOUT_FILENO)))
        line(report, outcome);
    fflush(stdout); // whoever reads it wants it now
    if (report->bar && last)
        draw(report);
    pthread_mutex_unlock(&report->lock);
}

enum exit_code
report_close(struct report *report, struct batch *batch)
{
    enum exit_code code = report->failed_reading   ? EXIT_IMAGE
                          : report->failed_writing ? EXIT_STORAGE
                                                   : EXIT_DONE;

    if (report->bar && report->done != 0)
        fputc('\n', stderr);
    if (report->options->json)
        json_summary(report, batch);
    pthread_mutex_destroy(&report->lock);
    free(report);
    return code;
}
