// SPDX-License-Identifier: MIT
//
// Threads that share the packets between them. Batches are the unit: each is handed over by
// reference under one lock, whoever is free takes the next, so that a slow one holds up nobody.
// There is a fixed number of them: when all wait or are worked on, workers_batch() has none to
// give, the reader does not read, and the capture's own buffer fills up (and counts what it loses).
//
// Lines come out in the packets' order: who has finished a batch waits for its turn to print it.
// The oldest batch that is not printed is always in somebody's hands, so the wait ends.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "zcb-dump.h"

struct worker {
    pthread_t thread;
    struct workers *all;
    struct tally tally;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t work, idle, printed;
    struct batch *batches; // all of them
    struct batch *empty;   // a stack
    struct batch *first;   // a queue
    struct batch **last;
    uint64_t submitted, turn; // batches: handed over; printed
    uint64_t packets;         // done
    bool closing;
    const struct view *view;
    unsigned count;
    struct worker workers[];
};

static void *
work(void *argument)
{
    struct worker *me = argument;
    struct workers *all = me->all;

    pthread_mutex_lock(&all->lock);
    for (;;) {
        struct batch *batch;
        unsigned count;

        while (all->first == NULL && !all->closing)
            pthread_cond_wait(&all->work, &all->lock);
        batch = all->first;
        if (batch == NULL)
            break;
        all->first = batch->next;
        if (all->first == NULL)
            all->last = &all->first;
        pthread_mutex_unlock(&all->lock);

        count = batch->count;
        dump_batch(all->view, &me->tally, batch);

        pthread_mutex_lock(&all->lock);
        while (all->turn != batch->turn)
            pthread_cond_wait(&all->printed, &all->lock);
        if (me->tally.text_len != 0) {
            // Nobody else prints meanwhile: it is our turn.
            pthread_mutex_unlock(&all->lock);
            fwrite(me->tally.text, 1, me->tally.text_len, stdout);
            pthread_mutex_lock(&all->lock);
        }
        all->turn++;
        all->packets += count;
        batch->next = all->empty;
        all->empty = batch;
        pthread_cond_signal(&all->idle);
        pthread_cond_broadcast(&all->printed);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

struct workers *
workers_create(unsigned count, unsigned depth, const struct view *view)
{
    struct workers *all = calloc(1, sizeof(*all) + count * sizeof(all->workers[0]));
    pthread_condattr_t clock;

    if (all == NULL)
        return NULL;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->work, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&all->idle, &clock);
    pthread_condattr_destroy(&clock);
    pthread_cond_init(&all->printed, NULL);
    all->last = &all->first;
    all->view = view;
    all->batches = calloc(depth, sizeof(*all->batches));
    for (unsigned i = 0; all->batches != NULL && i < depth; i++) {
        all->batches[i].next = all->empty;
        all->empty = &all->batches[i];
    }
    for (; all->batches != NULL && all->count < count; all->count++) {
        struct worker *worker = &all->workers[all->count];

        worker->all = all;
        if (!tally_init(&worker->tally, view))
            break;
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) {
            tally_free(&worker->tally);
            break;
        }
    }
    if (all->count == count)
        return all;
    workers_finish(all);
    workers_free(all);
    return NULL;
}

struct batch *
workers_batch(struct workers *workers, int timeout_ms)
{
    struct timespec until;
    struct batch *batch;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&workers->lock);
    while (workers->empty == NULL)
        if (pthread_cond_timedwait(&workers->idle, &workers->lock, &until) == ETIMEDOUT)
            break;
    batch = workers->empty;
    if (batch != NULL)
        workers->empty = batch->next;
    pthread_mutex_unlock(&workers->lock);
    if (batch != NULL)
        batch->count = 0;
    return batch;
}

void
workers_submit(struct workers *workers, struct batch *batch)
{
    pthread_mutex_lock(&workers->lock);
    batch->turn = workers->submitted++;
    batch->next = NULL;
    *workers->last = batch;
    workers->last = &batch->next;
    pthread_cond_signal(&workers->work);
    pthread_mutex_unlock(&workers->lock);
}

void
workers_finish(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    workers->closing = true;
    pthread_cond_broadcast(&workers->work);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->count; i++)
        pthread_join(workers->workers[i].thread, NULL);
}

unsigned
workers_count(const struct workers *workers)
{
    return workers->count;
}

const struct tally *
workers_tally(const struct workers *workers, unsigned i)
{
    return &workers->workers[i].tally;
}

uint64_t
workers_done(struct workers *workers)
{
    uint64_t packets;

    pthread_mutex_lock(&workers->lock);
    packets = workers->packets;
    pthread_mutex_unlock(&workers->lock);
    return packets;
}

void
workers_free(struct workers *workers)
{
    for (unsigned i = 0; i < workers->count; i++)
        tally_free(&workers->workers[i].tally);
    pthread_cond_destroy(&workers->work);
    pthread_cond_destroy(&workers->idle);
    pthread_cond_destroy(&workers->printed);
    pthread_mutex_destroy(&workers->lock);
    free(workers->batches);
    free(workers);
}
