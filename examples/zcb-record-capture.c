// SPDX-License-Identifier: MIT
//
// The only place where samples are copied: from a sound system's memory into the pool's buffer that
// everybody shares from there on.
#include <stdio.h>
#include <string.h>

#include <zcbuf/copies.h>

#include "zcb-record.h"

void
capture_warm(struct capture *capture)
{
    struct zcb_audio_sink *sink = __atomic_load_n(&capture->sink, __ATOMIC_ACQUIRE);
    struct zcb_copies before, after;

    zcb_copies_thread(&before);
    if (sink == NULL || zcb_audio_sink_warm(sink) < 0)
        return;
    zcb_copies_thread(&after);
    __atomic_store_n(&capture->warm_bytes, zcb_copies_bytes(&after) - zcb_copies_bytes(&before),
                     __ATOMIC_RELAXED);
}

void
capture_make(struct capture *capture, uint32_t frames, const struct zcb_audio_stamp *stamp,
             void (*fill)(void *ctx, uint8_t *to, uint32_t from, uint32_t frames), void *ctx)
{
    struct zcb_audio_sink *sink = __atomic_load_n(&capture->sink, __ATOMIC_ACQUIRE);
    struct zcb_audio_span span;
    uint32_t done = 0;

    if (sink == NULL || capture_ended(capture))
        return;
    if (frames > capture->left)
        frames = (uint32_t)capture->left;
    for (; done < frames; done += span.frames, stamp = NULL) {
        // Both fail for misuse alone.
        if (zcb_audio_sink_begin(sink, frames - done, stamp, &span) < 0)
            break;
        fill(ctx, span.plane[0], done, span.frames);
        if (zcb_audio_sink_commit(sink, span.frames) < 0)
            break;
    }
    __atomic_store_n(&capture->frames, capture->frames + done, __ATOMIC_RELAXED);
    capture->left -= done;
    if (capture->left == 0) {
        int runs = CAPTURE_RUNS;

        zcb_audio_sink_end(sink);
        __atomic_compare_exchange_n(&capture->state, &runs, CAPTURE_ENDED, false, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED);
    }
}

struct copy {
    const uint8_t *data; // NULL: silence
    size_t frame_bytes;
};

static void
copy_frames(void *ctx, uint8_t *to, uint32_t from, uint32_t frames)
{
    const struct copy *copy = ctx;

    if (copy->data == NULL) {
        memset(to, 0, frames * copy->frame_bytes);
        return;
    }
    memcpy(to, copy->data + from * copy->frame_bytes, frames * copy->frame_bytes);
    zcb_count_copy(ZCB_COPY_COPY_TO, frames * copy->frame_bytes);
}

void
capture_copy(struct capture *capture, const void *data, uint32_t frames,
             const struct zcb_audio_stamp *stamp)
{
    struct copy copy = {.data = data, .frame_bytes = capture->frame_bytes};

    capture_make(capture, frames, stamp, copy_frames, &copy);
}

void
capture_lost(struct capture *capture, const char *format, ...)
{
    static int first = 1;
    int runs = CAPTURE_RUNS;
    va_list args;

    if (__atomic_exchange_n(&first, 0, __ATOMIC_ACQ_REL) == 0)
        return;
    va_start(args, format);
    vsnprintf(capture->why, sizeof(capture->why), format, args);
    va_end(args);
    __atomic_compare_exchange_n(&capture->state, &runs, CAPTURE_LOST, false, __ATOMIC_RELEASE,
                                __ATOMIC_RELAXED);
}

bool
capture_ended(const struct capture *capture)
{
    return capture_state(capture) != CAPTURE_RUNS;
}

enum capture_state
capture_state(const struct capture *capture)
{
    return (enum capture_state)__atomic_load_n(&capture->state, __ATOMIC_ACQUIRE);
}

uint64_t
capture_frames(const struct capture *capture)
{
    return __atomic_load_n(&capture->frames, __ATOMIC_RELAXED);
}
