// SPDX-License-Identifier: MIT
//
// A device that is made up: a thread that captures a ramp, a tone or silence, in time or so many
// times faster. It is what a capture thread looks like; a real one waits for its device where this
// one sleeps. Between two sleeps it makes no system call but to ask the time.
#include "addon.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define WAVE (sizeof(((struct device *)0)->wave) / sizeof(float))
#define NAP_NS 20000000 // the longest sleep: how late it sees that it shall stop

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// Sample n of the ramp is n, as far as its type goes; `step` from one sample in memory to the next.
static void
fill_ramp(const struct device *device, void *to, size_t count, uint64_t n, uint64_t step)
{
    union {
        void *any;
        uint8_t *u8;
        int16_t *s16;
        int32_t *s32;
        float *f32;
        double *f64;
    } at = {to};

    switch (device->format.sample) {
    case ZCB_AUDIO_S16:
        for (size_t i = 0; i < count; i++)
            at.s16[i] = (int16_t)(n + i * step);
        break;
    case ZCB_AUDIO_S24:
        for (size_t i = 0; i < count; i++, n += step)
            for (size_t byte = 0; byte < 3; byte++)
                at.u8[i * 3 + byte] = (uint8_t)(n >> (8 * byte));
        break;
    case ZCB_AUDIO_S24_32:
        for (size_t i = 0; i < count; i++)
            at.s32[i] = (int32_t)((n + i * step) & 0xffffff);
        break;
    case ZCB_AUDIO_S32:
        for (size_t i = 0; i < count; i++)
            at.s32[i] = (int32_t)(n + i * step);
        break;
    case ZCB_AUDIO_F32: // whole numbers below 2^24 are exact
        for (size_t i = 0; i < count; i++)
            at.f32[i] = (float)(int32_t)((n + i * step) & 0xffffff);
        break;
    default:
        for (size_t i = 0; i < count; i++)
            at.f64[i] = (double)(n + i * step);
    }
}

static void
put(uint8_t sample, uint8_t *to, float value)
{
    double wide = value;
    int32_t whole;

    switch (sample) {
    case ZCB_AUDIO_S16:
        whole = (int32_t)(value * 32767);
        memcpy(to, &(int16_t){(int16_t)whole}, 2);
        break;
    case ZCB_AUDIO_S24:
        whole = (int32_t)(value * 8388607);
        for (size_t byte = 0; byte < 3; byte++)
            to[byte] = (uint8_t)((uint32_t)whole >> (8 * byte));
        break;
    case ZCB_AUDIO_S24_32:
        whole = (int32_t)(value * 8388607);
        memcpy(to, &whole, 4);
        break;
    case ZCB_AUDIO_S32:
        whole = (int32_t)(wide * 2147483647);
        memcpy(to, &whole, 4);
        break;
    case ZCB_AUDIO_F32:
        memcpy(to, &value, 4);
        break;
    default:
        memcpy(to, &wide, 8);
    }
}

// 997 Hz, half as loud as can be, the same on each channel.
static void
fill_tone(const struct device *device, uint8_t *to, uint32_t frames, uint32_t channels)
{
    uint32_t bytes = zcb_audio_sample_bytes(&device->format);

    for (uint64_t i = 0; i < frames; i++) {
        uint64_t turn = (device->made + i) * 997 % device->format.rate * WAVE / device->format.rate;

        for (uint32_t channel = 0; channel < channels; channel++, to += bytes)
            put(device->format.sample, to, device->wave[turn % WAVE]);
    }
}

static void
fill(const struct device *device, const struct zcb_audio_span *span)
{
    uint32_t channels = device->format.channels;
    uint64_t first = device->made * channels;

    for (uint32_t plane = 0; plane < span->planes; plane++) {
        if (device->kind == DEVICE_SILENCE)
            memset(span->plane[plane], 0, span->bytes);
        else if (device->kind == DEVICE_TONE)
            fill_tone(device, span->plane[plane], span->frames, span->planes > 1 ? 1 : channels);
        else if (span->planes > 1)
            fill_ramp(device, span->plane[plane], span->frames, first + plane, channels);
        else
            fill_ramp(device, span->plane[plane], (size_t)span->frames * channels, first, 1);
    }
}

static void
deliver(struct device *device, uint32_t frames)
{
    struct zcb_audio_stamp stamp = {.pts_frames = device->made, .flags = ZCB_AUDIO_HAS_PTS};
    struct zcb_audio_span span;

    for (struct zcb_audio_stamp *when = &stamp; frames != 0; when = NULL) {
        if (__atomic_load_n(&device->stop, __ATOMIC_RELAXED) != 0 ||
            zcb_audio_sink_begin(device->sink, frames, when, &span) < 0)
            return;
        fill(device, &span);
        if (zcb_audio_sink_commit(device->sink, span.frames) < 0)
            return;
        device->made += span.frames;
        frames -= span.frames;
    }
}

static bool
shall_stop(const struct device *device)
{
    return __atomic_load_n(&device->stop, __ATOMIC_RELAXED) != 0 ||
           (device->limit != 0 && device->made >= device->limit);
}

static void *
capture(void *arg)
{
    struct device *device = arg;
    double per_ns = device->format.rate * device->speed / 1e9;
    uint64_t start = now_ns(), period = device->period_frames;
    int warm = zcb_audio_sink_warm(device->sink);

    (void)warm; // without it the first calls may allocate
    while (!shall_stop(device)) {
        uint64_t due = (uint64_t)((double)(now_ns() - start) * per_ns);
        uint64_t next, now, wait_ns;

        // As a device: what was not fetched within a second is gone. One that is to deliver so many
        // frames delivers them all.
        if (device->limit == 0 && due > device->made &&
            (double)(due - device->made) > per_ns * 1e9 + (double)period) {
            __atomic_add_fetch(&device->skipped, due - device->made, __ATOMIC_RELAXED);
            device->made = due;
        }
        while (due >= device->made + period && !shall_stop(device)) {
            uint64_t left = device->limit != 0 ? device->limit - device->made : period;

            deliver(device, (uint32_t)(left < period ? left : period));
        }
        next = start + (uint64_t)((double)(device->made + period) / per_ns);
        now = now_ns();
        wait_ns = next > now ? next - now : 0;
        wait_ns = wait_ns < 1000000 ? 1000000 : wait_ns > NAP_NS ? NAP_NS : wait_ns;
        nanosleep(&(struct timespec){0, (long)wait_ns}, NULL);
    }
    zcb_audio_sink_end(device->sink);
    __atomic_store_n(&device->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

int
device_start(struct device *device)
{
    sigset_t all, before;
    int err;

    for (size_t i = 0; i < WAVE; i++)
        device->wave[i] = (float)(sin((double)i * 6.283185307179586 / (double)WAVE) / 2);
    // The program's signals are not for this thread.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&device->thread, NULL, capture, device);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    device->runs = err == 0;
    return -err;
}

void
device_stop(struct device *device)
{
    if (!device->runs)
        return;
    __atomic_store_n(&device->stop, 1, __ATOMIC_RELAXED);
    pthread_join(device->thread, NULL);
    device->runs = false;
}
