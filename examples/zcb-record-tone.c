// SPDX-License-Identifier: MIT
//
// A device for where there is none: a sine, or a ramp that shows each lost or changed sample. It
// writes its samples where they are wanted; nothing is copied.
//
// It loses samples as a real one does: it has room for two seconds, and what is not fetched by then
// is a gap in its time. What was late comes faster, but not all at once.
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "zcb-record-backend.h"

#define AMPLITUDE 0.25      // -12 dB
#define ROOM_NS 2000000000u // of the "device"
#define CATCH_UP_NS 1000000 // between two deliveries that are late

struct tone {
    struct capture *capture;
    struct zcb_audio_format format;
    uint32_t period; // frames of a delivery
    double hz;       // 0: the ramp
    uint64_t at;     // the next frame
    pthread_t thread;
    bool running;
    int stop;
};

static void
put(uint8_t **to, unsigned sample, double value, uint64_t count, bool ramp)
{
    // The ramp is the number of the sample: its low bits, as many as the type holds exactly.
    int32_t low = (int32_t)((uint32_t)count << 8) >> 8;
    int16_t s16 = ramp ? (int16_t)count : (int16_t)lrint(value * INT16_MAX);
    int32_t s24 = ramp ? low : (int32_t)lrint(value * ((1 << 23) - 1));
    int32_t s32 = ramp ? (int32_t)count : (int32_t)lrint(value * INT32_MAX);
    float f32 = ramp ? (float)low / (float)(1 << 23) : (float)value;

    switch (sample) {
    case ZCB_AUDIO_S16:
        memcpy(*to, &s16, 2);
        *to += 2;
        break;
    case ZCB_AUDIO_S24:
        for (int i = 0; i < 3; i++)
            *(*to)++ = (uint8_t)((uint32_t)s24 >> (8 * i));
        break;
    case ZCB_AUDIO_S32:
        memcpy(*to, &s32, 4);
        *to += 4;
        break;
    default:
        memcpy(*to, &f32, 4);
        *to += 4;
        break;
    }
}

static void
fill(void *ctx, uint8_t *to, uint32_t from, uint32_t frames)
{
    const struct tone *tone = ctx;
    const unsigned sample = tone->format.sample, channels = tone->format.channels;

    for (uint64_t at = tone->at + from; frames-- != 0; at++) {
        double turns = tone->hz * (double)at / tone->format.rate, value = 0;

        if (tone->hz != 0)
            value = AMPLITUDE * sin(2 * 3.14159265358979323846 * (turns - floor(turns)));
        for (unsigned c = 0; c < channels; c++)
            put(&to, sample, value, at * channels + c, tone->hz == 0);
    }
}

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *
play(void *arg)
{
    struct tone *tone = arg;
    const uint64_t rate = tone->format.rate;
    const uint64_t begun = now_ns();
    const struct timespec nap = {.tv_nsec = CATCH_UP_NS};
    struct zcb_audio_stamp stamp = {.flags = ZCB_AUDIO_HAS_PTS};

    capture_warm(tone->capture);
    while (__atomic_load_n(&tone->stop, __ATOMIC_RELAXED) == 0 && !capture_ended(tone->capture)) {
        uint64_t end = tone->at + tone->period; // to be had when it has been played
        // In two parts: whole seconds and the rest, or the product would be too large after a day.
        uint64_t due = begun + end / rate * 1000000000 + end % rate * 1000000000 / rate;
        struct timespec until = {(time_t)(due / 1000000000), (long)(due % 1000000000)};
        uint64_t now = now_ns(), late;

        if (now < due) {
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
            continue;
        }
        late = now - due;
        if (late > ROOM_NS) {
            uint64_t lost = late / 1000 * rate / 1000000;

            tone->at += lost - lost % tone->period;
        }
        stamp.pts_frames = tone->at;
        stamp.now_ns = now;
        capture_make(tone->capture, tone->period, &stamp, fill, tone);
        tone->at += tone->period;
        if (late > CATCH_UP_NS)
            clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
    }
    return NULL;
}

static int
tone_open(struct capture *capture, const struct backend_wish *wish, struct zcb_audio_format *format,
          void **out, char why[BACKEND_WHY])
{
    struct tone *tone;
    char *end = NULL;
    double hz = 0;

    *format = wish->format;
    format->rate = format->rate != 0 ? format->rate : 48000;
    format->channels = format->channels != 0 ? format->channels : 2;
    format->sample = format->sample != 0 ? format->sample : ZCB_AUDIO_F32;
    if (strcmp(wish->tone, "ramp") != 0) {
        hz = strtod(wish->tone, &end);
        if (end == wish->tone || *end != '\0' || !(hz > 0 && hz <= format->rate / 2.0)) {
            snprintf(why, BACKEND_WHY, "--tone takes \"ramp\", or a frequency up to half the rate");
            return -EINVAL;
        }
    }
    if (wish->device != NULL) {
        snprintf(why, BACKEND_WHY, "the tone generator has no devices; leave --device out");
        return -ENODEV;
    }
    tone = calloc(1, sizeof(*tone));
    if (tone == NULL) {
        snprintf(why, BACKEND_WHY, "out of memory");
        return -ENOMEM;
    }
    tone->capture = capture;
    tone->format = *format;
    tone->hz = hz;
    tone->period =
        (uint32_t)((uint64_t)format->rate * (wish->packet_ms < 10 ? wish->packet_ms : 10) / 1000);
    tone->period = tone->period != 0 ? tone->period : 1;
    *out = tone;
    return 0;
}

static int
tone_start(void *device, char why[BACKEND_WHY])
{
    struct tone *tone = device;
    sigset_t all, before;
    int error;

    // The program's signals are for its main thread.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&tone->thread, NULL, play, tone);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    tone->running = error == 0;
    if (error != 0)
        snprintf(why, BACKEND_WHY, "no thread for it: %s", strerror(error));
    return -error;
}

static void
tone_stop(void *device)
{
    struct tone *tone = device;

    __atomic_store_n(&tone->stop, 1, __ATOMIC_RELAXED);
    if (tone->running)
        pthread_join(tone->thread, NULL);
    tone->running = false;
}

static void
tone_close(void *device)
{
    tone_stop(device);
    free(device);
}

static int
tone_list(void (*each)(const char *name, const char *words), char why[BACKEND_WHY])
{
    (void)why;
    each("--tone HZ", "a sine of that frequency, at -12 dB");
    each("--tone ramp", "the number of each sample");
    return 0;
}

const struct backend backend_tone = {
    .name = "tone",
    .open = tone_open,
    .start = tone_start,
    .stop = tone_stop,
    .close = tone_close,
    .list = tone_list,
};
