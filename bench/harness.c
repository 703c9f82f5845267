// SPDX-License-Identifier: MIT

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "counters.h"
#include "machine.h"
#include "output.h"
#include "samples.h"

enum {
    ROUNDS_MIN = 7,
    ROUNDS_MAX = 1000,
    UNDISTURBED_MIN = 5, // fewer say nothing: then the disturbed ones count as well
    ROWS_MAX = 48,
};

#define GOOD_ENOUGH 0.02

static double time_limit = 3;
static const char *only;
static bool list_only;
static bool failed;
static clockid_t work_clock = CLOCK_MONOTONIC;

// The batches of one row.
struct series {
    const struct bench_row *row;
    const char *problem;
    uint64_t n;
    double time[ROUNDS_MAX]; // per unit; of round i
    bool disturbed[ROUNDS_MAX];
    uint64_t faults, done;
};

static struct series series[ROWS_MAX];

static uint64_t
now_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t
bench_now_ns(void)
{
    return now_of(CLOCK_MONOTONIC);
}

void
bench_begin(struct bench_run *run)
{
    run->begin_ns = now_of(work_clock);
}

void
bench_end(struct bench_run *run)
{
    run->end_ns = now_of(work_clock);
}

void *
bench_alloc(size_t len)
{
    void *p = aligned_alloc(4096, (len + 4095) / 4096 * 4096);

    if (p == NULL) {
        fprintf(stderr, "no memory for %zu bytes of test data\n", len);
        exit(1);
    }
    memset(p, 0, len); // its pages come now and not in a batch
    return p;
}

void
bench_fill(uint8_t *data, size_t len, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(bench_random(&state) >> 32);
}

bool
bench_is_filled(const uint8_t *data, size_t len, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < len; i++)
        if (data[i] != (uint8_t)(bench_random(&state) >> 32))
            return false;
    return true;
}

const char *
bench_own_row(const char *what)
{
    static char names[64][48];
    static unsigned used;
    char *name = names[used++ % 64];

    snprintf(name, sizeof(names[0]), "%s%s%s", bench_own, *what != '\0' ? ", " : "", what);
    return name;
}

// ---- one case

static double
or_one(double value)
{
    return value != 0 ? value : 1;
}

static uint64_t
multiple_of(const struct bench_case *what, const struct bench_row *row)
{
    return row->multiple != 0 ? row->multiple : what->multiple != 0 ? what->multiple : 1;
}

static int
run_once(const struct bench_row *row, uint64_t n, uint64_t *ns, unsigned *threads)
{
    struct bench_run run = {.n = n, .threads = 1};
    uint64_t begin = now_of(work_clock), end;
    int result = row->work(row->ctx, &run);

    end = now_of(work_clock);
    if (run.begin_ns == 0)
        run.begin_ns = begin;
    if (run.end_ns == 0)
        run.end_ns = end;
    *ns = run.end_ns > run.begin_ns ? run.end_ns - run.begin_ns : 1;
    *threads = run.threads;
    return result;
}

// How many times make a batch of the length that is wanted. The best of a few counts: somebody may
// come between, and the first have caches to fill.
static int
calibrate(const struct bench_case *what, struct series *s)
{
    uint64_t multiple = multiple_of(what, s->row), n = multiple, ns, best;
    double want = (what->batch_ms != 0 ? what->batch_ms : 0.3) * 1e6;
    unsigned threads;

    for (;; n *= 2) {
        best = UINT64_MAX;
        for (int i = 0; i < (what->cold ? 2 : 5); i++) {
            int result = run_once(s->row, n, &ns, &threads);

            if (result < 0)
                return result;
            if (ns < best)
                best = ns;
            if ((double)best < want / 4)
                break;
        }
        if ((double)best >= want / 4 || n > UINT64_MAX / 4)
            break;
    }
    n = (uint64_t)((double)n * want / (double)best) / multiple * multiple;
    s->n = n != 0 ? n : multiple;
    return 0;
}

// Whether the threads had the CPU time that they would have had if they had run side by side all
// the time.
static bool
ran_together(const struct bench_events *before, const struct bench_events *after, unsigned threads,
             uint64_t ns)
{
    unsigned cpus = bench_cpus();
    double had = after->cpu - before->cpu;

    return threads == 1 || had > 0.9 * (threads < cpus ? threads : cpus) * (double)ns / 1e9;
}

static int
one_batch(const struct bench_case *what, struct series *s, size_t round)
{
    struct bench_events before, after;
    uint64_t multiple = multiple_of(what, s->row), ns;
    unsigned threads = 1;
    int result = 0;

    // The rows before this one had the caches.
    if (!what->cold && s->n / multiple >= 16)
        result = run_once(s->row, s->n / multiple / 16 * multiple, &ns, &threads);
    if (result < 0)
        return result;
    bench_events_now(&before);
    result = run_once(s->row, s->n, &ns, &threads);
    bench_events_now(&after);
    s->time[round] = (double)ns / (double)s->n / or_one(what->units) / or_one(what->scale);
    s->disturbed[round] = !what->processor_time && (after.preempted != before.preempted ||
                                                    !ran_together(&before, &after, threads, ns));
    s->faults += after.faults - before.faults;
    s->done += s->n;
    return result;
}

// The samples that were not disturbed; all, where too few are left.
static size_t
select_times(const struct series *s, size_t rounds, double *out)
{
    size_t good = 0;
    bool all;

    for (size_t i = 0; i < rounds; i++)
        good += !s->disturbed[i];
    all = good < UNDISTURBED_MIN;
    good = 0;
    for (size_t i = 0; i < rounds; i++)
        if (all || !s->disturbed[i])
            out[good++] = s->time[i];
    return good;
}

// The ratios of rounds in which neither was disturbed. Where these are too few: of the medians.
static void
find_ratio(const struct series *s, const struct series *reference, size_t rounds,
           struct bench_summary *out)
{
    double samples[ROUNDS_MAX];
    struct bench_summary one, other;
    size_t good = 0;

    for (size_t i = 0; i < rounds; i++)
        if (!s->disturbed[i] && !reference->disturbed[i])
            samples[good++] = s->time[i] / reference->time[i];
    if (good >= UNDISTURBED_MIN) {
        bench_summarise(samples, good, out);
        return;
    }
    bench_summarise(samples, select_times(s, rounds, samples), &one);
    bench_summarise(samples, select_times(reference, rounds, samples), &other);
    out->median = out->min = out->max = one.median / other.median;
    out->mad = out->median * (one.mad / one.median + other.mad / other.median);
}

static double
worst_deviation(const struct series *all, size_t count, size_t rounds)
{
    double samples[ROUNDS_MAX], worst = 0;
    struct bench_summary summary;

    for (size_t i = 0; i < count; i++) {
        if (all[i].problem != NULL)
            continue;
        bench_summarise(samples, select_times(&all[i], rounds, samples), &summary);
        if (summary.deviation > worst)
            worst = summary.deviation;
    }
    return worst;
}

static size_t
run_rounds(const struct bench_case *what, size_t count)
{
    uint64_t start = bench_now_ns();
    size_t round = 0;

    for (;;) {
        double worst, elapsed;

        // Another row first each time, so that nobody always follows the same one.
        for (size_t i = 0; i < count; i++) {
            struct series *s = &series[(i + round) % count];

            if (s->problem == NULL && one_batch(what, s, round) < 0)
                s->problem = "failed while it was timed";
        }
        round++;
        if (round < ROUNDS_MIN)
            continue;
        elapsed = (double)(bench_now_ns() - start) / 1e9;
        worst = worst_deviation(series, count, round);
        bench_output_progress(what, round, worst);
        // Two digits are reached by chance soon: half of the time is used in any case.
        if (round == ROUNDS_MAX || elapsed >= time_limit ||
            (worst < GOOD_ENOUGH && elapsed >= time_limit / 2))
            return round;
    }
}

static void
check_row(struct series *s)
{
    if (s->row->check != NULL && s->row->check(s->row->ctx) != 0) {
        s->problem = "WRONG RESULT, not timed";
        failed = true;
    }
}

static void
time_rows(const struct bench_case *what, struct bench_result *results, size_t count)
{
    const struct series *reference = NULL;
    double samples[ROUNDS_MAX];
    size_t rounds;

    for (size_t i = 0; i < count; i++) {
        if (series[i].problem == NULL && calibrate(what, &series[i]) < 0)
            series[i].problem = "failed before it was timed";
        if (strcmp(series[i].row->name, what->reference) == 0)
            reference = &series[i];
    }
    rounds = run_rounds(what, count);
    for (size_t i = 0; i < count; i++) {
        struct series *s = &series[i];
        struct bench_result *r = &results[i];

        if (s->problem == NULL)
            check_row(s); // what was timed must still be right
        r->problem = s->problem;
        if (s->problem != NULL)
            continue;
        r->rounds = select_times(s, rounds, samples);
        for (size_t k = 0; k < rounds; k++)
            r->disturbed += s->disturbed[k];
        r->kept = r->disturbed != 0 && r->rounds == rounds;
        bench_summarise(samples, r->rounds, &r->time);
        r->faults = (double)s->faults / (double)s->done / or_one(what->units);
        if (reference != NULL && reference->problem == NULL)
            find_ratio(s, reference, rounds, &r->ratio);
    }
}

static void
count_rows(const struct bench_case *what, struct bench_result *results, size_t count)
{
    unsigned threads;

    for (size_t i = 0; i < count; i++) {
        const struct bench_row *row = series[i].row;
        struct bench_result *r = &results[i];
        struct bench_events before, after;
        struct bench_counters then;
        uint64_t multiple = multiple_of(what, row), ns;
        uint64_t enough = (uint64_t)(1024 / or_one(what->units)) + 1;
        uint64_t n = what->cold ? multiple : (enough + multiple - 1) / multiple * multiple;
        double units = (double)n * or_one(what->units);

        r->problem = series[i].problem;
        r->counted = true;
        if (r->problem != NULL)
            continue;
        if (run_once(row, n, &ns, &threads) < 0) { // steady state is what counts
            r->problem = "failed";
            continue;
        }
        then = bench_counters;
        bench_events_now(&before);
        bench_count(1);
        if (run_once(row, n, &ns, &threads) < 0)
            r->problem = "failed";
        bench_count(0);
        bench_events_now(&after);
        r->allocs = (double)(bench_counters.allocs - then.allocs) / units;
        r->copies = (double)(bench_counters.copies - then.copies) / units;
        r->copied_bytes = (double)(bench_counters.copied_bytes - then.copied_bytes) / units;
        r->faults = (double)(after.faults - before.faults) / units;
    }
}

bool
bench_wanted(const char *workload, const char *title)
{
    char name[128];

    snprintf(name, sizeof(name), "%s %s", workload, title);
    return only == NULL || strstr(name, only) != NULL;
}

void
bench_compare(const struct bench_case *what, const struct bench_row *rows, size_t count)
{
    static struct bench_result results[ROWS_MAX];
    struct bench_conditions conditions;
    struct bench_load before, after;
    size_t used = 0;

    if (!bench_wanted(what->workload, what->title))
        return;
    if (list_only) {
        printf("%s %s, %s %.10g\n", what->workload, what->title, what->variable, what->value);
        return;
    }
    memset(results, 0, sizeof(results));
    work_clock = what->processor_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    bench_load_now(&before);
    for (size_t i = 0; i < count && used < ROWS_MAX; i++) {
        if (rows[i].work == NULL)
            continue;
        series[used] = (struct series){.row = &rows[i]};
        results[used].name = rows[i].name;
        results[used].value = rows[i].value;
        results[used].no_faults = rows[i].no_faults;
        check_row(&series[used++]);
    }
    if (bench_count != NULL)
        count_rows(what, results, used);
    else
        time_rows(what, results, used);
    bench_load_now(&after);
    conditions.seconds = after.wall - before.wall;
    conditions.others = (after.others - before.others) / conditions.seconds;
    if (conditions.others < 0) // the two clocks do not tick together
        conditions.others = 0;
    conditions.resident_kb = bench_resident_kb();
    bench_output_case(what, &conditions, results, used);
}

void
bench_skip(const char *row, const char *why)
{
    if (!list_only)
        bench_output_skip(row, why);
}

// ---- the program

static void
usage(FILE *to, const char *program, const char *what)
{
    fprintf(to,
            "%s: %s\n\n"
            "  --time SECONDS   for each case, at most (default %g)\n"
            "  --only NAME      cases whose \"workload title\" contains NAME\n"
            "  --list           names the cases and ends\n"
            "  --json FILE      writes what was measured there as well; bench/report reads it\n"
            "  --help           this\n\n"
            "Times are medians over rounds in which all rows take turns; \"x\" is the median of "
            "the ratios to the\n"
            "reference in the same round; \"+-\" are median absolute deviations.\n",
            program, what, time_limit);
}

int
bench_start(int argc, char **argv, const char *program, const char *what)
{
    const char *json = NULL;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout, program, what);
            return -1;
        } else if (strcmp(argv[i], "--list") == 0) {
            list_only = true;
        } else if (strcmp(argv[i], "--time") == 0 && i + 1 < argc &&
                   strtod(argv[i + 1], NULL) > 0) {
            time_limit = strtod(argv[++i], NULL);
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            json = argv[++i];
        } else {
            usage(stderr, program, what);
            return -3;
        }
    }
    bench_output_open(program, list_only ? NULL : json);
    return 0;
}

int
bench_finish(void)
{
    int result = bench_output_close();

    return failed ? 1 : result;
}
