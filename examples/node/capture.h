// SPDX-License-Identifier: MIT
//
// A capture, as capture.c (its life) and reading.c (its readers) see it.
#ifndef EXAMPLES_NODE_CAPTURE_H
#define EXAMPLES_NODE_CAPTURE_H

#include "addon.h"

#define MAX_READERS 64

struct capture {
    struct object object;
    struct views views;
    struct zcb_pool *pool;
    struct zcb_audio_sink *sink;
    struct zcb_audio_format format;
    struct zcb_audio_consumer *reader[MAX_READERS];
    struct outs outs;
    struct device device;
    napi_threadsafe_function wake;
    pthread_t waker;
    bool has_waker;
    uint32_t wake_ms;
    pthread_mutex_t lock; // guards those below
    pthread_cond_t stop_waker;
    bool stop;
    uint64_t armed; // bit n: reader n
};

// Argument 0 as a capture that is open; NULL: an exception is pending.
struct capture *open_capture(napi_env env, napi_callback_info info, size_t wanted,
                             struct call *call);
void free_capture(napi_env env, struct capture *capture);

#endif
