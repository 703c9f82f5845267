// SPDX-License-Identifier: MIT
//
// The figures at the end.
#include <string.h>

#include <zcbuf/copies.h>

#include "count_alloc.h"
#include "zcb-record.h"

static unsigned long long
llu(uint64_t value)
{
    return value;
}

// Without what capture_warm() has counted: that was no sample.
static uint64_t
copied(const struct figures *f)
{
    struct zcb_copies copies;
    uint64_t bytes;

    zcb_copies_total(&copies);
    bytes = zcb_copies_bytes(&copies);
    return bytes - (bytes < f->capture->warm_bytes ? bytes : f->capture->warm_bytes);
}

static void
report_text(const struct figures *f)
{
    const struct zcb_audio_sink_stats *sink = &f->sink;
    const uint64_t frames = capture_frames(f->capture);

    fprintf(stderr, "captured:   %llu frames in %llu packets, %.3f s (processor: %.3f s)\n",
            llu(frames), llu(sink->packets), (double)frames / f->format->rate, f->cpu);
    fprintf(stderr, "lost:       %llu frames in %llu gaps of the device; %llu for want of memory\n",
            llu(sink->lost_frames), llu(sink->gaps), llu(sink->dropped_frames));
    if (sink->drops_oldest + sink->overwritten != 0)
        fprintf(stderr, "given up:   %llu packets for their memory\n",
                llu(sink->drops_oldest + sink->overwritten));
    if (f->writer != NULL)
        fprintf(stderr, "written:    %llu frames to %s; %llu packets lost, at most %llu waited\n",
                llu(f->writer->frames), printable(f->writer->wav.name),
                llu(f->writer->stats.offered - f->writer->stats.delivered),
                llu(f->writer->stats.peak_waiting));
    if (f->options->addresses != 0)
        fprintf(stderr,
                "clients:    %llu, turned away %llu, closed because they took nothing %llu; "
                "%llu bytes, %llu packets lost\n",
                llu(f->served.accepted), llu(f->served.turned_away), llu(f->served.stalled),
                llu(f->served.bytes), llu(f->served.sum.offered - f->served.sum.delivered));
    fprintf(stderr, "copied:     %llu bytes; buffers used again: %.2f %%, at most %llu at a time\n",
            llu(copied(f)), 100 * sink->hit_rate, llu(sink->peak_in_use));
    if (count_alloc_works() && f->steady_seconds > 0)
        fprintf(stderr, "allocated:  %llu times, %llu in the last %.1f s\n", llu(f->allocations),
                llu(f->steady_allocations), f->steady_seconds);
    for (unsigned c = 0; c < f->format->channels && c < 16; c++)
        fprintf(stderr, "channel %2u: peak %s dBFS, clipped %llu\n", c + 1,
                decibels(f->meter->levels[c].highest), llu(f->meter->levels[c].clipped));
}

static void
consumer_json(const char *name, const struct zcb_audio_consumer_stats *stats)
{
    printf(",\"%s\":{", name);
#define FIELD(field, gauge, help) printf("\"" #field "\":%llu,", llu(stats->field));
    ZCB_AUDIO_CONSUMER_STATS(FIELD)
#undef FIELD
}

static void
report_json(const struct figures *f)
{
    const struct zcb_audio_sink_stats *sink = &f->sink;

    printf("{\"backend\":\"%s\",\"rate\":%u,\"channels\":%u,\"format\":\"%s\",\"ended\":\"%s\"",
           f->backend->name, f->format->rate, f->format->channels,
           zcb_audio_sample_name(f->format->sample), f->ended);
    printf(",\"seconds\":%.3f,\"cpu_seconds\":%.3f,\"frames\":%llu", f->seconds, f->cpu,
           llu(capture_frames(f->capture)));
    printf(",\"copied_bytes\":%llu,\"hit_rate\":%.6f,\"sink\":{", llu(copied(f)), sink->hit_rate);
#define FIELD(field, gauge, help) printf("\"" #field "\":%llu,", llu(sink->field));
    ZCB_AUDIO_SINK_STATS(FIELD)
#undef FIELD
    printf("\"hit_rate\":%.6f}", sink->hit_rate);
    consumer_json("meter", &f->metered);
    printf("\"levels\":[");
    for (unsigned c = 0; c < f->format->channels; c++) {
        const struct level *level = &f->meter->levels[c];

        printf("%s{\"peak_db\":%s,\"clipped\":%llu}", c == 0 ? "" : ",",
               level->highest > 0 ? decibels(level->highest) : "null", llu(level->clipped));
    }
    printf("]}");
    if (f->writer != NULL) {
        consumer_json("file", &f->writer->stats);
        printf("\"frames\":%llu,\"bytes\":%llu}", llu(f->writer->frames),
               llu(f->writer->wav.data_bytes));
    }
    if (f->options->addresses != 0) {
        consumer_json("clients", &f->served.sum);
        printf("\"accepted\":%llu,\"turned_away\":%llu,\"stalled\":%llu,\"left\":%llu,"
               "\"most\":%llu,\"bytes\":%llu}",
               llu(f->served.accepted), llu(f->served.turned_away), llu(f->served.stalled),
               llu(f->served.left), llu(f->served.most), llu(f->served.bytes));
    }
    if (count_alloc_works())
        printf(",\"allocations\":{\"all\":%llu,\"steady\":%llu,\"steady_seconds\":%.3f}",
               llu(f->allocations), llu(f->steady_allocations), f->steady_seconds);
    puts("}");
}

void
report(const struct figures *f)
{
    if (f->options->json)
        report_json(f);
    else if (!f->options->quiet)
        report_text(f);
}
