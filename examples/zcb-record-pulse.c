// SPDX-License-Identifier: MIT
//
// PulseAudio, and PipeWire's imitation of it. libpulse's own thread brings the frames: what
// pa_stream_peek() shows lies in memory shared with the server, and is copied from there once.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pulse/pulseaudio.h>

#include "zcb-record-backend.h"

#define PATIENCE_MS 5000 // for each answer of the server

struct pulse {
    struct capture *capture;
    pa_threaded_mainloop *loop;
    pa_context *context;
    pa_stream *stream;
    char *device; // NULL: the default one
    pa_sample_spec spec;
    pa_channel_map map;
    bool same_channels; // as the device: none is mixed or moved
    uint32_t frame_bytes, packet_ms;
    struct zcb_audio_stamp stamp;
    bool warm;
    // What is asked of the server.
    bool answered, known;
    pa_source_info source; // its spec and map alone
    void (*each)(const char *name, const char *words);
};

static bool
expect(struct pulse *pulse, bool (*done)(const struct pulse *))
{
    const struct timespec nap = {.tv_nsec = 5000000};

    // By the clock, as pa_threaded_mainloop_wait() would wait for ever for a server that hangs.
    for (int i = 0; i < PATIENCE_MS / 5 && !done(pulse); i++) {
        pa_threaded_mainloop_unlock(pulse->loop);
        nanosleep(&nap, NULL);
        pa_threaded_mainloop_lock(pulse->loop);
    }
    return done(pulse);
}

static bool
context_settled(const struct pulse *pulse)
{
    return pa_context_get_state(pulse->context) == PA_CONTEXT_READY ||
           !PA_CONTEXT_IS_GOOD(pa_context_get_state(pulse->context));
}

static bool
stream_settled(const struct pulse *pulse)
{
    return pa_stream_get_state(pulse->stream) == PA_STREAM_READY ||
           !PA_STREAM_IS_GOOD(pa_stream_get_state(pulse->stream));
}

static bool
has_answer(const struct pulse *pulse)
{
    return pulse->answered || pa_context_get_state(pulse->context) != PA_CONTEXT_READY;
}

static const char *
error_text(const struct pulse *pulse)
{
    return pa_strerror(pa_context_errno(pulse->context));
}

static void
on_context(pa_context *context, void *ctx)
{
    struct pulse *pulse = ctx;

    if (pulse->stream != NULL && !PA_CONTEXT_IS_GOOD(pa_context_get_state(context)))
        capture_lost(pulse->capture, "the server has gone: %s", error_text(pulse));
}

static void
pulse_close(void *device)
{
    struct pulse *pulse = device;

    if (pulse->loop != NULL)
        pa_threaded_mainloop_stop(pulse->loop);
    if (pulse->stream != NULL)
        pa_stream_unref(pulse->stream);
    if (pulse->context != NULL) {
        pa_context_set_state_callback(pulse->context, NULL, NULL);
        pa_context_disconnect(pulse->context);
        pa_context_unref(pulse->context);
    }
    if (pulse->loop != NULL)
        pa_threaded_mainloop_free(pulse->loop);
    free(pulse->device);
    free(pulse);
}

// Connected, and with the loop's lock; NULL: *error.
static struct pulse *
connect_server(struct capture *capture, int *error, char why[BACKEND_WHY])
{
    struct pulse *pulse = calloc(1, sizeof(*pulse));

    *error = -ENOMEM;
    snprintf(why, BACKEND_WHY, "out of memory");
    if (pulse == NULL)
        return NULL;
    pulse->capture = capture;
    pulse->loop = pa_threaded_mainloop_new();
    if (pulse->loop != NULL)
        pulse->context = pa_context_new(pa_threaded_mainloop_get_api(pulse->loop), "zcb-record");
    if (pulse->context == NULL || pa_threaded_mainloop_start(pulse->loop) < 0) {
        pulse_close(pulse);
        return NULL;
    }
    pa_threaded_mainloop_lock(pulse->loop);
    pa_context_set_state_callback(pulse->context, on_context, pulse);
    // To look for a server must not start one.
    if (pa_context_connect(pulse->context, NULL, PA_CONTEXT_NOAUTOSPAWN, NULL) >= 0)
        expect(pulse, context_settled);
    if (pa_context_get_state(pulse->context) == PA_CONTEXT_READY)
        return pulse;
    *error = -ECONNREFUSED;
    snprintf(why, BACKEND_WHY, "no server: %s",
             context_settled(pulse) ? error_text(pulse) : "it does not answer");
    pa_threaded_mainloop_unlock(pulse->loop);
    pulse_close(pulse);
    return NULL;
}

static void
on_source(pa_context *context, const pa_source_info *info, int end, void *ctx)
{
    struct pulse *pulse = ctx;

    (void)context;
    if (end != 0) {
        pulse->answered = true;
    } else if (pulse->each != NULL) {
        pulse->each(info->name, info->description != NULL ? info->description : "");
    } else {
        pulse->source.sample_spec = info->sample_spec;
        pulse->source.channel_map = info->channel_map;
        pulse->known = true;
    }
}

// 0, or -ECONNREFUSED.
static int
ask(struct pulse *pulse, pa_operation *operation, char why[BACKEND_WHY])
{
    bool good = operation != NULL && expect(pulse, has_answer) && pulse->answered;

    if (!good)
        snprintf(why, BACKEND_WHY, "the server does not answer: %s", error_text(pulse));
    if (operation != NULL) {
        if (!good)
            pa_operation_cancel(operation);
        pa_operation_unref(operation);
    }
    return good ? 0 : -ECONNREFUSED;
}

static uint8_t
sample_of(pa_sample_format_t format)
{
    switch (format) {
    case PA_SAMPLE_S24LE:
    case PA_SAMPLE_S24BE:
        return ZCB_AUDIO_S24;
    case PA_SAMPLE_S24_32LE:
    case PA_SAMPLE_S24_32BE:
    case PA_SAMPLE_S32LE:
    case PA_SAMPLE_S32BE:
        return ZCB_AUDIO_S32;
    case PA_SAMPLE_FLOAT32LE:
    case PA_SAMPLE_FLOAT32BE:
        return ZCB_AUDIO_F32;
    default:
        return ZCB_AUDIO_S16;
    }
}

static pa_sample_format_t
format_of(unsigned sample)
{
    return sample == ZCB_AUDIO_S16   ? PA_SAMPLE_S16NE
           : sample == ZCB_AUDIO_S24 ? PA_SAMPLE_S24NE
           : sample == ZCB_AUDIO_S32 ? PA_SAMPLE_S32NE
                                     : PA_SAMPLE_FLOAT32NE;
}

// The format that is wished for, and where nothing is, the source's.
static int
settle(struct pulse *pulse, const struct backend_wish *wish, struct zcb_audio_format *format,
       char why[BACKEND_WHY])
{
    const pa_sample_spec *theirs = &pulse->source.sample_spec;

    *format = wish->format;
    format->rate = format->rate != 0 ? format->rate : theirs->rate;
    format->channels = format->channels != 0 ? format->channels : theirs->channels;
    format->sample = format->sample != 0 ? format->sample : sample_of(theirs->format);
    pulse->spec = (pa_sample_spec){.format = format_of(format->sample),
                                   .rate = format->rate,
                                   .channels = (uint8_t)format->channels};
    if (format->channels > PA_CHANNELS_MAX || !pa_sample_spec_valid(&pulse->spec)) {
        snprintf(why, BACKEND_WHY, "takes at most %u channels and %u Hz", PA_CHANNELS_MAX,
                 PA_RATE_MAX);
        return -EINVAL;
    }
    pulse->same_channels = format->channels == theirs->channels;
    if (pulse->same_channels)
        pulse->map = pulse->source.channel_map;
    else
        pa_channel_map_init_extend(&pulse->map, format->channels, PA_CHANNEL_MAP_WAVEEX);
    pulse->frame_bytes = zcb_audio_frame_bytes(format);
    pulse->packet_ms = wish->packet_ms;
    return 0;
}

static int
pulse_open(struct capture *capture, const struct backend_wish *wish,
           struct zcb_audio_format *format, void **out, char why[BACKEND_WHY])
{
    struct pulse *pulse;
    int error;

    pulse = connect_server(capture, &error, why);
    if (pulse == NULL)
        return error;
    error = ask(pulse,
                pa_context_get_source_info_by_name(
                    pulse->context, wish->device != NULL ? wish->device : "@DEFAULT_SOURCE@",
                    on_source, pulse),
                why);
    if (error == 0 && !pulse->known) {
        snprintf(why, BACKEND_WHY, "%s%s; --list shows what there is",
                 wish->device != NULL ? "no such device: " : "no device to record from",
                 wish->device != NULL ? wish->device : "");
        error = -ENODEV;
    }
    if (error == 0)
        error = settle(pulse, wish, format, why);
    pulse->device = wish->device != NULL ? strdup(wish->device) : NULL;
    pa_threaded_mainloop_unlock(pulse->loop);
    if (error != 0) {
        pulse_close(pulse);
        return error;
    }
    *out = pulse;
    return 0;
}

// ---- while it records: on libpulse's thread

static void
on_read(pa_stream *stream, size_t bytes, void *ctx)
{
    struct pulse *pulse = ctx;
    const void *data;

    (void)bytes;
    if (!pulse->warm)
        capture_warm(pulse->capture);
    pulse->warm = true;
    while (pa_stream_peek(stream, &data, &bytes) == 0 && bytes != 0) {
        const uint32_t frames = (uint32_t)(bytes / pulse->frame_bytes);

        // A hole has a length and no data: those frames are lost, which the next stamp tells.
        if (data != NULL && frames != 0) {
            struct timespec now;

            clock_gettime(CLOCK_MONOTONIC, &now);
            pulse->stamp.now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
            capture_copy(pulse->capture, data, frames, &pulse->stamp);
            pulse->stamp.flags = ZCB_AUDIO_HAS_PTS;
        }
        pulse->stamp.pts_frames += frames;
        pa_stream_drop(stream);
    }
}

// The server had no room for it; nobody says how much there was.
static void
on_overflow(pa_stream *stream, void *ctx)
{
    struct pulse *pulse = ctx;

    (void)stream;
    pulse->stamp.flags |= ZCB_AUDIO_DISCONTINUITY;
}

static void
on_stream(pa_stream *stream, void *ctx)
{
    struct pulse *pulse = ctx;

    if (!PA_STREAM_IS_GOOD(pa_stream_get_state(stream)))
        capture_lost(pulse->capture, "the device has gone: %s", error_text(pulse));
}

static int
pulse_start(void *device, char why[BACKEND_WHY])
{
    struct pulse *pulse = device;
    const uint32_t fragment =
        (uint32_t)(pa_bytes_per_second(&pulse->spec) * pulse->packet_ms / 1000);
    const pa_buffer_attr attr = {
        .maxlength = (uint32_t)-1,
        .fragsize = fragment < pulse->frame_bytes ? pulse->frame_bytes : fragment,
    };
    pa_stream_flags_t flags = PA_STREAM_ADJUST_LATENCY;
    int error = 0;

    // A device that was named is not to be exchanged for another one when it goes away.
    if (pulse->device != NULL)
        flags |= PA_STREAM_DONT_MOVE;
    if (pulse->same_channels)
        flags |= PA_STREAM_NO_REMIX_CHANNELS | PA_STREAM_NO_REMAP_CHANNELS;
    pulse->stamp = (struct zcb_audio_stamp){.flags = ZCB_AUDIO_HAS_PTS};
    pa_threaded_mainloop_lock(pulse->loop);
    pulse->stream = pa_stream_new(pulse->context, "recording", &pulse->spec, &pulse->map);
    if (pulse->stream != NULL) {
        pa_stream_set_read_callback(pulse->stream, on_read, pulse);
        pa_stream_set_overflow_callback(pulse->stream, on_overflow, pulse);
        if (pa_stream_connect_record(pulse->stream, pulse->device, &attr, flags) == 0)
            expect(pulse, stream_settled);
    }
    if (pulse->stream == NULL || pa_stream_get_state(pulse->stream) != PA_STREAM_READY) {
        snprintf(why, BACKEND_WHY, "cannot record: %s", error_text(pulse));
        error = -ENODEV;
    } else {
        pa_stream_set_state_callback(pulse->stream, on_stream, pulse);
    }
    pa_threaded_mainloop_unlock(pulse->loop);
    return error;
}

static void
pulse_stop(void *device)
{
    struct pulse *pulse = device;

    pa_threaded_mainloop_lock(pulse->loop);
    if (pulse->stream != NULL) {
        pa_stream_set_state_callback(pulse->stream, NULL, NULL);
        pa_stream_set_read_callback(pulse->stream, NULL, NULL);
        pa_stream_disconnect(pulse->stream);
    }
    pa_threaded_mainloop_unlock(pulse->loop);
    pa_threaded_mainloop_stop(pulse->loop);
}

static int
pulse_list(void (*each)(const char *name, const char *words), char why[BACKEND_WHY])
{
    struct pulse *pulse;
    int error;

    pulse = connect_server(NULL, &error, why);
    if (pulse == NULL)
        return error;
    pulse->each = each;
    error = ask(pulse, pa_context_get_source_info_list(pulse->context, on_source, pulse), why);
    pa_threaded_mainloop_unlock(pulse->loop);
    pulse_close(pulse);
    return error;
}

const struct backend backend_pulse = {
    .name = "pulse",
    .open = pulse_open,
    .start = pulse_start,
    .stop = pulse_stop,
    .close = pulse_close,
    .list = pulse_list,
};
