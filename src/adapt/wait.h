// SPDX-License-Identifier: MIT
//
// Waiting on a condition until a moment of a clock that only goes forward, where there is one that
// conditions know.
#ifndef ZCB_ADAPT_WAIT_H
#define ZCB_ADAPT_WAIT_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#if defined(__APPLE__) // conditions know one clock
#define WAIT_CLOCK CLOCK_REALTIME
#else
#define WAIT_CLOCK CLOCK_MONOTONIC
#endif

// 0, or a negative errno.
static inline int
wait_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int err = pthread_condattr_init(&attr);

    if (err != 0)
        return -err;
#if !defined(__APPLE__)
    err = pthread_condattr_setclock(&attr, WAIT_CLOCK);
#endif
    if (err == 0)
        err = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return -err;
}

static inline struct timespec
wait_deadline(uint64_t from_now_ms)
{
    struct timespec at;

    clock_gettime(WAIT_CLOCK, &at);
    at.tv_sec += (time_t)(from_now_ms / 1000);
    at.tv_nsec += (long)(from_now_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

#endif
