// SPDX-License-Identifier: MIT

#include "output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "counters.h"
#include "machine.h"

static FILE *json;
static const char *json_path;
static bool first_case = true;
static bool on_terminal;
static bool progress_shown;

static bool
counts(void)
{
    return bench_count != NULL;
}

void
bench_output_open(const char *program, const char *path)
{
    on_terminal = isatty(STDERR_FILENO) != 0;
    json_path = path;
    if (path == NULL)
        return;
    json = fopen(path, "we");
    if (json == NULL)
        return; // bench_output_close says so
    fprintf(json, "{\"program\": \"%s\", \"own\": \"%s\", \"counts\": %s, \"machine\": ", program,
            bench_own, counts() ? "true" : "false");
    bench_machine_json(json);
    fprintf(json, ", \"cases\": [");
}

void
bench_output_progress(const struct bench_case *what, size_t round, double worst)
{
    if (!on_terminal)
        return;
    fprintf(stderr,
            "\r\033[K%s %s, %s %.10g: round %zu, the least certain median is known to %.1f %%",
            what->workload, what->title, what->variable, what->value, round, 100 * worst);
    progress_shown = true;
}

static void
end_progress(void)
{
    if (progress_shown)
        fprintf(stderr, "\r\033[K");
    progress_shown = false;
}

void
bench_output_skip(const char *row, const char *why)
{
    end_progress();
    printf("left out: %s: %s\n", row, why);
}

// Three digits that mean something, whatever the size.
static void
number(char *out, size_t room, double value)
{
    snprintf(out, room, value >= 100 || value == 0 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value);
}

static void
print_times(const struct bench_case *what, const struct bench_result *row)
{
    char median[32], low[32], high[32], spread[80];

    number(median, sizeof(median), row->time.median);
    number(low, sizeof(low), row->time.min);
    number(high, sizeof(high), row->time.max);
    snprintf(spread, sizeof(spread), "%s..%s", low, high);
    printf("  %-36s %10s  +-%4.1f %%  %-18s %7.2f x  +-%4.1f %%", row->name, median,
           row->time.median > 0 ? 100 * row->time.mad / row->time.median : 0, spread,
           row->ratio.median, row->ratio.median > 0 ? 100 * row->ratio.mad / row->ratio.median : 0);
    if (what->bytes != 0)
        printf("  %.3g GB/s",
               what->bytes / (row->time.median * (what->scale != 0 ? what->scale : 1)));
    if (row->no_faults)
        printf("  %.2f faults (target 0: %s)", row->faults,
               row->faults < 0.005 ? "reached" : "MISSED");
    else if (row->faults >= 0.005)
        printf("  %.2f faults", row->faults);
    if (row->kept)
        printf("  DISTURBED: %zu of %zu, and counted", row->disturbed, row->rounds);
    else if (row->disturbed != 0)
        printf("  %zu of %zu disturbed", row->disturbed, row->rounds + row->disturbed);
    printf("\n");
}

static void
print_counts(const struct bench_result *row)
{
    printf("  %-36s %12.3f allocations %12.3f copies %14.1f bytes copied %10.3f faults\n",
           row->name, row->allocs, row->copies, row->copied_bytes, row->faults);
}

static void
write_row(const struct bench_result *row, bool first)
{
    fprintf(json, "%s\n  {\"name\": \"%s\"", first ? "" : ",", row->name);
    if (row->value != 0)
        fprintf(json, ", \"value\": %.10g", row->value);
    if (row->problem != NULL)
        fprintf(json, ", \"problem\": \"%s\"", row->problem);
    else if (row->counted)
        fprintf(json,
                ", \"allocs\": %.6g, \"copies\": %.6g, \"copied_bytes\": %.6g, \"faults\": %.6g",
                row->allocs, row->copies, row->copied_bytes, row->faults);
    else
        fprintf(json,
                ", \"median\": %.6g, \"mad\": %.6g, \"min\": %.6g, \"max\": %.6g, \"ratio\": %.6g, "
                "\"ratio_mad\": %.6g, \"rounds\": %zu, \"disturbed\": %zu, \"kept\": %s, "
                "\"faults\": %.6g",
                row->time.median, row->time.mad, row->time.min, row->time.max, row->ratio.median,
                row->ratio.mad, row->rounds, row->disturbed, row->kept ? "true" : "false",
                row->faults);
    fprintf(json, "}");
}

void
bench_output_case(const struct bench_case *what, const struct bench_conditions *conditions,
                  const struct bench_result *rows, size_t count)
{
    end_progress();
    printf("%s %s, %s %.10g: %s", what->workload, what->title, what->variable, what->value,
           what->unit);
    if (counts())
        printf(", counted\n");
    else
        printf("   (%.1f s; others kept %.1f of %u CPUs busy; %llu MiB resident)\n",
               conditions->seconds, conditions->others, bench_cpus(),
               (unsigned long long)conditions->resident_kb / 1024);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].problem != NULL)
            printf("  %-36s %s\n", rows[i].name, rows[i].problem);
        else if (rows[i].counted)
            print_counts(&rows[i]);
        else
            print_times(what, &rows[i]);
    }
    fflush(stdout);
    if (json == NULL)
        return;
    fprintf(
        json,
        "%s\n {\"workload\": \"%s\", \"title\": \"%s\", \"variable\": \"%s\", \"value\": %.10g, "
        "\"unit\": \"%s\", \"bytes\": %.10g, \"scale\": %g, "
        "\"reference\": \"%s\", \"seconds\": %.3f, \"others\": %.3f, \"resident_kb\": %llu, "
        "\"rows\": [",
        first_case ? "" : ",", what->workload, what->title, what->variable, what->value, what->unit,
        what->bytes, what->scale != 0 ? what->scale : 1, what->reference, conditions->seconds,
        conditions->others, (unsigned long long)conditions->resident_kb);
    first_case = false;
    for (size_t i = 0; i < count; i++)
        write_row(&rows[i], i == 0);
    fprintf(json, "]}");
}

int
bench_output_close(void)
{
    bool bad = false;

    end_progress();
    if (json != NULL) {
        fprintf(json, "\n]}\n");
        bad = ferror(json) != 0;
        bad = fclose(json) != 0 || bad;
        json = NULL;
    } else {
        bad = json_path != NULL;
    }
    if (bad)
        fprintf(stderr, "cannot write %s\n", json_path);
    return bad;
}
