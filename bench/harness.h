// SPDX-License-Identifier: MIT
//
// Compares ways to do the same work, in one process.
//
//     a case       one piece of work with one set of parameters: "pair", 4096 bytes
//     rows         the contenders; one of them is the reference that ratios are made against
//     a batch      a row does the work n times, for 0.3 ms: less than a slice of the scheduler
//     a round      one batch of each row, in an order that changes
//
// Rounds are repeated until the median of every row is known to 2 % or the time is up. A ratio is
// the median over the rounds of (row / reference in the same round), so a machine that becomes
// slower for a while does not change it. A batch in which the kernel gave the CPU to somebody else,
// or in which threads that should run together did not, is left out where enough others remain.
// Before a row is timed its work is done once and the result compared; a row that is wrong is not
// timed, and the program fails.
//
// Allocations and copied bytes are counted by another executable of the same objects, with
// counters.c linked in, so that counting costs no time here.
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_run {
    uint64_t n; // do the work that many times
    uint64_t begin_ns, end_ns;
    unsigned threads; // set by bench_threads()
};

struct bench_row {
    const char *name;
    int (*work)(void *ctx, struct bench_run *run); // 0, or a negative errno, which ends the row
    int (*check)(void *ctx);                       // does the work and compares; 0: right
    void *ctx;
    // Where rows of one case differ in a parameter: what plots put on the x axis. 0: they do not.
    double value;
    uint64_t multiple; // n is a multiple of that. 0: the case's
    bool no_faults;    // aims at no page fault once it is warm; whether it does is printed
};

struct bench_case {
    const char *workload; // "W2"
    const char *title;    // "pair"
    const char *variable; // what `value` is, for the axis of a plot: "bytes", "threads"
    double value;
    const char *unit;      // of what is printed: "ns/pair"
    double scale;          // nanoseconds in what is printed: 1000 for microseconds. 0: 1
    double units;          // one n is that many of what is counted. 0: 1
    double bytes;          // of one of these: throughput is told as well. 0: it is not
    const char *reference; // a row's name
    double batch_ms;       // 0: 2
    uint64_t multiple;     // n is a multiple of that. 0: 1
    bool cold;             // no warm-up inside a batch
    // Work of one thread that takes longer than a time slice: its processor time is taken, and no
    // batch is left out for having been preempted.
    bool processor_time;
};

// Reads the command line. Negative: the program ends with exit code -1 - result.
int bench_start(int argc, char **argv, const char *program, const char *what);

// Whether a case of that workload and title is wanted (--only); to skip costly preparation.
bool bench_wanted(const char *workload, const char *title);

// Runs one case. Rows without `work` are skipped.
void bench_compare(const struct bench_case *what, const struct bench_row *rows, size_t count);

// Says why a row is missing.
void bench_skip(const char *row, const char *why);

// Writes the JSON file. The program's exit code.
int bench_finish(void);

// Inside `work`, where only a part of it is to be timed. Without them all of it is.
void bench_begin(struct bench_run *run);
void bench_end(struct bench_run *run);

uint64_t bench_now_ns(void);

// What a thread does, with its number from 0: `before` and `after` (may be NULL) are not timed.
struct bench_team {
    void (*before)(void *ctx, unsigned number);
    void (*body)(void *ctx, unsigned number, uint64_t n);
    void (*after)(void *ctx, unsigned number);
};

// Runs it on `threads` threads (at most 64) that start together, each on a CPU of its own while
// there are enough; timed from the first start to the last end.
int bench_threads(struct bench_run *run, unsigned threads, const struct bench_team *team,
                  void *ctx);

// Starts a thread, and waits for it. glibc leaves out atomic instructions until a program's first
// thread, and never again: without this, what malloc costs would depend on which case comes first,
// and on whether a peer's library has threads.
void bench_be_threaded(void);

// "zcbuf static" or "zcbuf shared": how this executable is linked.
extern const char bench_own[];
// The same with something behind it; from memory that stays.
const char *bench_own_row(const char *what);

// Of what is asked for at the start of a program, none may fail.
void *bench_alloc(size_t len);

// The compiler must take it that `p` and what it leads to are used, and changed, here.
static inline void
bench_keep(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

// Bytes that are different everywhere and the same in each run.
void bench_fill(uint8_t *data, size_t len, uint64_t seed);
bool bench_is_filled(const uint8_t *data, size_t len, uint64_t seed);

// xorshift: a sequence that is the same in each run.
static inline uint64_t
bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
