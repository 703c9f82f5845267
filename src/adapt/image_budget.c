// SPDX-License-Identifier: MIT
//
// A total that is leased, in the order of asking.
#include "adapt/image_budget.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PERCENT 50
#define DEFAULT_MIN ((size_t)64 << 20)
#define DEFAULT_MAX ((size_t)4 << 30 != 0 ? (size_t)4 << 30 : SIZE_MAX)

void
budget_copy_out(void *to, size_t have, const void *from, size_t size)
{
    memset(to, 0, have);
    memcpy(to, from, have < size ? have : size);
}

static void
at_least(uint64_t *peak, uint64_t now)
{
    if (*peak < now)
        *peak = now;
}

// ---- the queue

static void
grant(struct zcb_image_budget *budget, size_t bytes)
{
    budget->leased += bytes;
    at_least(&budget->stats.peak_leased, budget->leased);
}

// Serves the front for as long as what it wants is free. Whoever takes the front away or makes
// bytes free calls it.
static void
serve(struct zcb_image_budget *budget)
{
    struct budget_waiter *first;

    while (!budget->closed && (first = budget->first) != NULL &&
           first->bytes <= budget->limit - budget->leased) {
        budget->first = first->next;
        if (budget->first == NULL)
            budget->last = &budget->first;
        budget->stats.waiting--;
        grant(budget, first->bytes);
        first->granted = true;
        // Under the lock: the waiter's stack is there until it has had the lock.
        pthread_cond_signal(&first->wake);
    }
}

static void
give_up(struct zcb_image_budget *budget, struct budget_waiter *waiter)
{
    struct budget_waiter **link = &budget->first;

    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    if (budget->last == &waiter->next)
        budget->last = link;
    budget->stats.waiting--;
    serve(budget);
}

static uint64_t
now_ns(void)
{
    struct timespec now = wait_deadline(0);

    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int
wait_in_queue(struct zcb_image_budget *budget, struct budget_waiter *waiter, uint32_t timeout_ms)
{
    struct timespec until = wait_deadline(timeout_ms);
    uint64_t start = now_ns();
    int err = 0;

    waiter->next = NULL;
    *budget->last = waiter;
    budget->last = &waiter->next;
    budget->stats.waiting++;
    at_least(&budget->stats.peak_waiting, budget->stats.waiting);
    while (!waiter->granted && !budget->closed && err != ETIMEDOUT)
        err = timeout_ms == UINT32_MAX
                  ? pthread_cond_wait(&waiter->wake, &budget->lock)
                  : pthread_cond_timedwait(&waiter->wake, &budget->lock, &until);
    budget->stats.wait_ns += now_ns() - start;
    if (waiter->granted) {
        budget->stats.waits++;
        return 0;
    }
    give_up(budget, waiter);
    if (budget->closed)
        return -ECANCELED;
    budget->stats.timeouts++;
    return -ETIMEDOUT;
}

// Under the lock.
static int
obtain(struct zcb_image_budget *budget, size_t bytes, uint32_t timeout_ms)
{
    struct budget_waiter waiter = {.bytes = bytes};
    int result, cancel;

    if (budget->closed)
        return -ECANCELED;
    if (bytes > budget->limit) {
        budget->stats.refusals++;
        return -ENOBUFS;
    }
    if (budget->first == NULL && bytes <= budget->limit - budget->leased) {
        grant(budget, bytes);
        return 0;
    }
    if (timeout_ms == 0) {
        budget->stats.timeouts++;
        return -EAGAIN;
    }
    result = wait_cond_init(&waiter.wake);
    if (result < 0)
        return result;
    // A thread that is cancelled in the queue would leave it with a stack that is gone.
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    result = wait_in_queue(budget, &waiter, timeout_ms);
    pthread_setcancelstate(cancel, NULL);
    pthread_cond_destroy(&waiter.wake);
    return result;
}

// ---- lease

int
zcb_image_budget_lease(struct zcb_image_budget *budget, size_t bytes, uint32_t timeout_ms,
                       struct zcb_image_lease **out)
{
    struct zcb_image_lease *lease;
    int result;

    if (budget == NULL || out == NULL)
        return -EINVAL;
    lease = calloc(1, sizeof(*lease));
    if (lease == NULL)
        return -ENOMEM;
    pthread_mutex_lock(&budget->lock);
    result = obtain(budget, bytes, timeout_ms);
    if (result == 0) {
        lease->budget = budget;
        lease->bytes = bytes;
        budget->stats.leases++;
        budget->stats.grants++;
    }
    pthread_mutex_unlock(&budget->lock);
    if (result < 0)
        free(lease);
    else
        *out = lease;
    return result;
}

int
zcb_image_lease_grow(struct zcb_image_lease *lease, size_t bytes)
{
    struct zcb_image_budget *budget;
    int result = 0;

    if (lease == NULL)
        return -EINVAL;
    budget = lease->budget;
    pthread_mutex_lock(&budget->lock);
    if (bytes > budget->limit - lease->bytes) {
        budget->stats.refusals++;
        result = -ENOBUFS;
    } else {
        result = obtain(budget, bytes, 0);
        if (result == 0)
            lease->bytes += bytes;
    }
    pthread_mutex_unlock(&budget->lock);
    return result;
}

static void
take_back(struct zcb_image_lease *lease, size_t bytes)
{
    lease->bytes -= bytes;
    lease->budget->leased -= bytes;
    serve(lease->budget);
}

size_t
zcb_image_lease_give_back(struct zcb_image_lease *lease, size_t bytes)
{
    size_t unused;

    if (lease == NULL)
        return 0;
    pthread_mutex_lock(&lease->budget->lock);
    unused = lease->bytes - lease->charged - lease->allocated;
    if (bytes > unused)
        bytes = unused;
    take_back(lease, bytes);
    pthread_mutex_unlock(&lease->budget->lock);
    return bytes;
}

void
zcb_image_lease_end(struct zcb_image_lease **lease)
{
    struct zcb_image_lease *own;

    if (lease == NULL || *lease == NULL)
        return;
    own = *lease;
    *lease = NULL;
    pthread_mutex_lock(&own->budget->lock);
    own->ended = true;
    own->budget->used -= own->charged;
    own->charged = 0;
    take_back(own, own->bytes - own->allocated);
    budget_unlock(own);
}

int
zcb_image_lease_stats(struct zcb_image_lease *lease, struct zcb_image_lease_stats *out,
                      size_t out_size)
{
    struct zcb_image_lease_stats now;

    if (lease == NULL || out == NULL || out_size == 0)
        return -EINVAL;
    pthread_mutex_lock(&lease->budget->lock);
    now.bytes = lease->bytes;
    now.used = lease->charged + lease->allocated;
    now.peak_used = lease->peak_used;
    now.overruns = lease->overruns;
    pthread_mutex_unlock(&lease->budget->lock);
    budget_copy_out(out, out_size, &now, sizeof(now));
    return 0;
}

bool
budget_charge(struct zcb_image_lease *lease, size_t *kind, size_t bytes)
{
    struct zcb_image_budget *budget = lease->budget;

    if (bytes > lease->bytes - lease->charged - lease->allocated) {
        lease->overruns++;
        budget->stats.overruns++;
        return false;
    }
    *kind += bytes;
    if (lease->peak_used < lease->charged + lease->allocated)
        lease->peak_used = lease->charged + lease->allocated;
    budget->used += bytes;
    at_least(&budget->stats.peak_used, budget->used);
    return true;
}

void
budget_freed(struct zcb_image_lease *lease, size_t bytes)
{
    lease->allocated -= bytes;
    lease->budget->used -= bytes;
    if (lease->ended)
        take_back(lease, bytes);
}

// ---- budget

static void
free_budget(struct zcb_image_budget *budget)
{
    pthread_mutex_destroy(&budget->lock);
    free(budget);
}

void
budget_unlock(struct zcb_image_lease *lease)
{
    struct zcb_image_budget *budget = lease->budget;
    bool gone = lease->ended && lease->allocated == 0 && lease->sources == 0, last;

    if (gone)
        budget->stats.leases--;
    last = gone && budget->destroyed && budget->stats.leases == 0;
    pthread_mutex_unlock(&budget->lock);
    if (gone)
        free(lease);
    if (last)
        free_budget(budget);
}

// A share of what the system has to give; false: the config makes no sense.
static bool
from_system(const struct zcb_image_budget_config *config, size_t *total)
{
    struct zcb_image_memory memory = {.free = UINT64_MAX};
    size_t min = config->min_bytes, max = config->max_bytes;
    uint64_t share = config->percent != 0 ? config->percent : DEFAULT_PERCENT;
    int result = zcb_image_memory(&memory, sizeof(memory));

    (void)result; // what is not known is no limit
    if (min == 0)
        min = max != 0 && max < DEFAULT_MIN ? max : DEFAULT_MIN;
    if (max == 0)
        max = min > DEFAULT_MAX ? min : DEFAULT_MAX;
    share = memory.free / 100 * share;
    *total = share < min ? min : share > max ? max : (size_t)share;
    return min <= max;
}

int
zcb_image_budget_create(size_t total, const struct zcb_image_budget_config *config,
                        struct zcb_image_budget **out)
{
    static const struct zcb_image_budget_config none;
    struct zcb_image_budget *budget;

    if (config == NULL)
        config = &none;
    if (out == NULL || config->percent > 100 || config->reserved32 != 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(config->reserved) / sizeof(config->reserved[0]); i++)
        if (config->reserved[i] != NULL)
            return -EINVAL;
    if (total == 0 && !from_system(config, &total))
        return -EINVAL;
    if (config->keep_bytes >= total)
        return -EINVAL;
    budget = calloc(1, sizeof(*budget));
    if (budget == NULL)
        return -ENOMEM;
    if (pthread_mutex_init(&budget->lock, NULL) != 0) {
        free(budget);
        return -ENOMEM;
    }
    budget->limit = total - config->keep_bytes;
    budget->last = &budget->first;
    budget->stats.total = total;
    budget->stats.keep = config->keep_bytes;
    *out = budget;
    return 0;
}

void
zcb_image_budget_close(struct zcb_image_budget *budget)
{
    if (budget == NULL)
        return;
    pthread_mutex_lock(&budget->lock);
    budget->closed = true;
    for (struct budget_waiter *waiter = budget->first; waiter != NULL; waiter = waiter->next)
        pthread_cond_signal(&waiter->wake);
    pthread_mutex_unlock(&budget->lock);
}

void
zcb_image_budget_destroy(struct zcb_image_budget **budget)
{
    struct zcb_image_budget *own;
    bool last;

    if (budget == NULL || *budget == NULL)
        return;
    own = *budget;
    *budget = NULL;
    pthread_mutex_lock(&own->lock);
    own->closed = own->destroyed = true;
    last = own->stats.leases == 0;
    pthread_mutex_unlock(&own->lock);
    if (last)
        free_budget(own);
}

size_t
zcb_image_budget_bytes(const struct zcb_image_budget *budget)
{
    return budget != NULL ? budget->limit : 0;
}

int
zcb_image_budget_stats(struct zcb_image_budget *budget, struct zcb_image_budget_stats *out,
                       size_t out_size)
{
    struct zcb_image_budget_stats now;

    if (budget == NULL || out == NULL || out_size == 0)
        return -EINVAL;
    pthread_mutex_lock(&budget->lock);
    now = budget->stats;
    now.leased = budget->leased;
    now.used = budget->used;
    pthread_mutex_unlock(&budget->lock);
    budget_copy_out(out, out_size, &now, sizeof(now));
    return 0;
}
