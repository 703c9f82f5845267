// SPDX-License-Identifier: MIT
//
// JACK: its real-time thread calls process(), where nothing may allocate, lock or wait. Each
// channel is a port with floats of its own; they are copied once, side by side into the packet.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jack/jack.h>

#include <zcbuf/copies.h>

#include "zcb-record-backend.h"

#define MAX_PORTS 256
#define PATIENCE_MS 5000 // for the server

struct jack {
    struct capture *capture;
    jack_client_t *client;
    jack_port_t *ports[MAX_PORTS];
    const float *samples[MAX_PORTS]; // of this call
    char *sources[MAX_PORTS];        // names of the ports to listen to
    unsigned channels;
    struct zcb_audio_stamp stamp;
    bool begun;
    jack_status_t status; // of opening
    int stuck;            // a call has not come back: what it works with is left to it
    int busy;             // the real-time thread is in process()
};

// libjack waits for its server for as long as that takes. What should not, is called in a thread of
// its own, and given up. Whether it came back.
static bool
in_time(struct jack *jack, void *(*call)(void *))
{
    const struct timespec nap = {.tv_nsec = 2000000};
    pthread_t thread;

    if (pthread_create(&thread, NULL, call, jack) != 0) {
        call(jack);
        return true;
    }
    // In naps, as pthread_timedjoin_np() goes by a clock that somebody may set.
    for (int i = 0; i < PATIENCE_MS / 2; i++) {
        if (pthread_tryjoin_np(thread, NULL) == 0)
            return true;
        nanosleep(&nap, NULL);
    }
    pthread_detach(thread);
    // From here on process() touches nothing; one that has begun comes to its end soon.
    __atomic_store_n(&jack->stuck, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&jack->busy, __ATOMIC_SEQ_CST) != 0)
        nanosleep(&nap, NULL);
    return false;
}

static void
be_silent(const char *text)
{
    (void)text;
}

static void
on_shutdown(jack_status_t code, const char *reason, void *ctx)
{
    struct jack *jack = ctx;

    (void)code;
    capture_lost(jack->capture, "the server has gone: %s", reason);
}

static void
interleave(void *ctx, uint8_t *to, uint32_t from, uint32_t frames)
{
    const struct jack *jack = ctx;
    float *out = (float *)(void *)to; // a packet begins at a cache line, a frame at its floats

    for (uint32_t i = from; i < from + frames; i++)
        for (unsigned c = 0; c < jack->channels; c++)
            *out++ = jack->samples[c][i];
    zcb_count_copy(ZCB_COPY_COPY_TO, (size_t)frames * jack->channels * sizeof(float));
}

static void
deliver(struct jack *jack, jack_nframes_t frames)
{
    jack_nframes_t now = jack_last_frame_time(jack->client);

    if (!jack->begun) {
        capture_warm(jack->capture);
        jack->stamp = (struct zcb_audio_stamp){.pts_frames = now, .flags = ZCB_AUDIO_HAS_PTS};
        jack->begun = true;
    }
    // JACK counts in 32 bits, which wrap once a day.
    jack->stamp.pts_frames +=
        (uint64_t)(int64_t)(int32_t)(now - (jack_nframes_t)jack->stamp.pts_frames);
    for (unsigned c = 0; c < jack->channels; c++)
        jack->samples[c] = jack_port_get_buffer(jack->ports[c], frames);
    capture_make(jack->capture, frames, &jack->stamp, interleave, jack);
}

static int
process(jack_nframes_t frames, void *ctx)
{
    struct jack *jack = ctx;

    // First that it is here, then whether it may be: in_time() does it the other way round.
    __atomic_store_n(&jack->busy, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&jack->stuck, __ATOMIC_SEQ_CST) == 0)
        deliver(jack, frames);
    __atomic_store_n(&jack->busy, 0, __ATOMIC_SEQ_CST);
    return 0;
}

static void *
call_close(void *arg)
{
    struct jack *jack = arg;

    jack_client_close(jack->client);
    return NULL;
}

static void
port_close(void *device)
{
    struct jack *jack = device;

    if (jack->stuck != 0 || (jack->client != NULL && !in_time(jack, call_close)))
        return;
    for (unsigned c = 0; c < MAX_PORTS; c++)
        free(jack->sources[c]);
    free(jack);
}

static void *
call_open(void *arg)
{
    struct jack *jack = arg;

    jack->client = jack_client_open("zcb-record", JackNoStartServer, &jack->status);
    return NULL;
}

static int
connect_server(struct jack *jack, char why[BACKEND_WHY])
{
    // What it prints to standard error is said here.
    jack_set_error_function(be_silent);
    jack_set_info_function(be_silent);
    if (!in_time(jack, call_open))
        snprintf(why, BACKEND_WHY, "no server: it does not answer");
    else if (jack->client != NULL)
        return 0;
    else
        snprintf(why, BACKEND_WHY, "no server%s",
                 jack->status & JackServerFailed ? "" : " that takes us");
    return -ECONNREFUSED;
}

// Ports to listen to: of `device`, which is a port, or a client with all that it has; NULL: the
// physical ones. As many as `most`.
static unsigned
find_sources(struct jack *jack, const char *device, unsigned most)
{
    const unsigned long flags = JackPortIsOutput | (device == NULL ? JackPortIsPhysical : 0);
    const char **names = jack_get_ports(jack->client, NULL, JACK_DEFAULT_AUDIO_TYPE, flags);
    const size_t len = device != NULL ? strlen(device) : 0;
    unsigned n = 0;

    for (const char **name = names; name != NULL && *name != NULL && n < most; name++)
        if (device == NULL || strcmp(*name, device) == 0 ||
            (strncmp(*name, device, len) == 0 && (*name)[len] == ':'))
            jack->sources[n++] = strdup(*name);
    if (names != NULL)
        jack_free(names);
    return n;
}

static int
settle(struct jack *jack, const struct backend_wish *wish, struct zcb_audio_format *format,
       char why[BACKEND_WHY])
{
    const uint32_t rate = jack_get_sample_rate(jack->client);
    unsigned found;

    *format = (struct zcb_audio_format){.rate = rate, .sample = ZCB_AUDIO_F32};
    if ((wish->format.rate != 0 && wish->format.rate != rate) ||
        (wish->format.sample != 0 && wish->format.sample != ZCB_AUDIO_F32)) {
        snprintf(why, BACKEND_WHY, "has f32 at %u Hz and nothing else; leave that out", rate);
        return -EINVAL;
    }
    found = find_sources(jack, wish->device,
                         wish->format.channels != 0 ? wish->format.channels : MAX_PORTS);
    if (found == 0 || found < wish->format.channels) {
        snprintf(why, BACKEND_WHY, "there are %u ports to record from%s%s; --list shows them",
                 found, wish->device != NULL ? " at " : "",
                 wish->device != NULL ? wish->device : "");
        return -ENODEV;
    }
    jack->channels = found;
    format->channels = (uint16_t)found;
    for (unsigned c = 0; c < jack->channels; c++) {
        char name[16];

        snprintf(name, sizeof(name), "in_%u", c + 1);
        jack->ports[c] =
            jack_port_register(jack->client, name, JACK_DEFAULT_AUDIO_TYPE, JackPortIsInput, 0);
        if (jack->ports[c] == NULL) {
            snprintf(why, BACKEND_WHY, "the server has no room for %u ports", jack->channels);
            return -ENOMEM;
        }
    }
    return 0;
}

static int
port_open(struct capture *capture, const struct backend_wish *wish, struct zcb_audio_format *format,
          void **out, char why[BACKEND_WHY])
{
    struct jack *jack = calloc(1, sizeof(*jack));
    int error;

    if (jack == NULL) {
        snprintf(why, BACKEND_WHY, "out of memory");
        return -ENOMEM;
    }
    jack->capture = capture;
    error = connect_server(jack, why);
    if (error == 0)
        error = settle(jack, wish, format, why);
    if (error != 0) {
        port_close(jack);
        return error;
    }
    jack_set_process_callback(jack->client, process, jack);
    jack_on_info_shutdown(jack->client, on_shutdown, jack);
    *out = jack;
    return 0;
}

static int
port_start(void *device, char why[BACKEND_WHY])
{
    struct jack *jack = device;

    if (jack_activate(jack->client) != 0) {
        snprintf(why, BACKEND_WHY, "the server does not let us begin");
        return -ECONNREFUSED;
    }
    for (unsigned c = 0; c < jack->channels; c++) {
        int error = jack_connect(jack->client, jack->sources[c], jack_port_name(jack->ports[c]));

        if (error != 0 && error != EEXIST) {
            snprintf(why, BACKEND_WHY, "no connection to %s", jack->sources[c]);
            return -ENODEV;
        }
    }
    return 0;
}

static void *
call_deactivate(void *arg)
{
    struct jack *jack = arg;

    jack_deactivate(jack->client);
    return NULL;
}

static void
port_stop(void *device)
{
    in_time(device, call_deactivate);
}

static int
port_list(void (*each)(const char *name, const char *words), char why[BACKEND_WHY])
{
    struct jack *jack = calloc(1, sizeof(*jack));
    unsigned n = 0;
    int error;

    if (jack == NULL) {
        snprintf(why, BACKEND_WHY, "out of memory");
        return -ENOMEM;
    }
    error = connect_server(jack, why);
    if (error == 0) {
        const char **names =
            jack_get_ports(jack->client, NULL, JACK_DEFAULT_AUDIO_TYPE, JackPortIsOutput);

        for (; names != NULL && names[n] != NULL; n++)
            each(names[n], "");
        if (names != NULL)
            jack_free(names);
    }
    port_close(jack);
    return error;
}

const struct backend backend_jack = {
    .name = "jack",
    .open = port_open,
    .start = port_start,
    .stop = port_stop,
    .close = port_close,
    .list = port_list,
};
