// SPDX-License-Identifier: MIT
//
// Threads that start together: see bench_threads() in harness.h.

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"
#include "machine.h"

struct crew {
    const struct bench_team *team;
    void *ctx;
    uint64_t n;
    unsigned threads, arrived;
};

struct member {
    struct crew *crew;
    unsigned number;
    uint64_t begin_ns, end_ns;
    pthread_t thread;
};

// Each on a CPU of its own: otherwise the scheduler may leave two that wait for each other on one.
static void
settle_on_cpu(const struct member *self)
{
    cpu_set_t set;

    if (self->crew->threads == 1 || self->crew->threads > bench_cpus())
        return;
    CPU_ZERO(&set);
    CPU_SET(self->number, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set); // it works without, too
}

static void *
member_main(void *arg)
{
    struct member *self = arg;
    struct crew *crew = self->crew;

    settle_on_cpu(self);
    if (crew->team->before != NULL)
        crew->team->before(crew->ctx, self->number);
    // Not asleep: waking up takes longer than many a batch.
    __atomic_fetch_add(&crew->arrived, 1, __ATOMIC_ACQ_REL);
    for (unsigned turns = 1; __atomic_load_n(&crew->arrived, __ATOMIC_ACQUIRE) != crew->threads;
         turns++)
        if (turns % 1024 == 0)
            sched_yield();
    self->begin_ns = bench_now_ns();
    crew->team->body(crew->ctx, self->number, crew->n);
    self->end_ns = bench_now_ns();
    if (crew->team->after != NULL)
        crew->team->after(crew->ctx, self->number);
    return NULL;
}

int
bench_threads(struct bench_run *run, unsigned threads, const struct bench_team *team, void *ctx)
{
    struct crew crew = {.team = team, .ctx = ctx, .n = run->n, .threads = threads};
    struct member members[64];
    cpu_set_t all;
    bool known = pthread_getaffinity_np(pthread_self(), sizeof(all), &all) == 0;

    if (threads == 0 || threads > 64)
        return -EINVAL;
    for (unsigned i = 0; i < threads; i++) {
        members[i].crew = &crew;
        members[i].number = i;
        if (i != 0 && pthread_create(&members[i].thread, NULL, member_main, &members[i]) != 0) {
            // Those that wait for the others can only be left by ending the program.
            fprintf(stderr, "cannot start %u threads\n", threads);
            exit(1);
        }
    }
    member_main(&members[0]);
    if (known)
        (void)pthread_setaffinity_np(pthread_self(), sizeof(all), &all);
    run->threads = threads;
    run->begin_ns = members[0].begin_ns;
    run->end_ns = members[0].end_ns;
    for (unsigned i = 1; i < threads; i++) {
        pthread_join(members[i].thread, NULL);
        if (members[i].begin_ns < run->begin_ns)
            run->begin_ns = members[i].begin_ns;
        if (members[i].end_ns > run->end_ns)
            run->end_ns = members[i].end_ns;
    }
    return 0;
}

static void *
nothing(void *arg)
{
    return arg;
}

void
bench_be_threaded(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, nothing, NULL) == 0)
        pthread_join(thread, NULL);
}
