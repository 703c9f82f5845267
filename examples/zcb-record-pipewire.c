// SPDX-License-Identifier: MIT
//
// PipeWire: its data thread calls process() with a buffer in shared memory, which is copied once.
// The session manager links the stream to its device; until it has, there is no format.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pipewire/pipewire.h>
#include <spa/param/audio/format-utils.h>

#include "zcb-record-backend.h"

// Its macros are made of GNU C.
#pragma GCC diagnostic ignored "-Wpedantic"

#define PATIENCE_MS 5000 // for each answer of the server
#define MAX_NODES 256    // that are looked at

struct node {
    char name[128], words[128];
    uint32_t serial;
    bool sink; // its monitor is what can be recorded
};

struct pipewire {
    struct capture *capture;
    struct pw_thread_loop *loop;
    struct pw_context *context;
    struct pw_core *core;
    struct pw_registry *registry;
    struct pw_stream *stream;
    struct spa_hook core_hook, registry_hook, stream_hook;
    struct node nodes[MAX_NODES];
    unsigned node_count;
    int pending, answered; // of the core
    bool gone, failed;
    bool formatted;
    char error[128];
    struct zcb_audio_format format;
    uint32_t frame_bytes;
    bool recording; // the program wants frames
    // The data thread's.
    bool begun;
    uint64_t next_ticks;
    int64_t last_now;
    struct zcb_audio_stamp stamp;
};

// Waits for it by the clock: a server that hangs says nothing.
static bool
expect(struct pipewire *pw, bool (*done)(const struct pipewire *))
{
    const struct timespec nap = {.tv_nsec = 5000000};

    for (int i = 0; i < PATIENCE_MS / 5 && !done(pw); i++) {
        pw_thread_loop_unlock(pw->loop);
        nanosleep(&nap, NULL);
        pw_thread_loop_lock(pw->loop);
    }
    return done(pw);
}

static bool
has_answered(const struct pipewire *pw)
{
    return pw->answered == pw->pending || pw->gone;
}

static bool
has_format(const struct pipewire *pw)
{
    return pw->formatted || pw->failed || pw->gone;
}

// ---- the server

static void
on_core_done(void *ctx, uint32_t id, int seq)
{
    struct pipewire *pw = ctx;

    if (id == PW_ID_CORE)
        pw->answered = seq;
}

static void
on_core_error(void *ctx, uint32_t id, int seq, int error, const char *message)
{
    struct pipewire *pw = ctx;

    (void)seq;
    if (id != PW_ID_CORE || error != -EPIPE)
        return;
    pw->gone = true;
    if (pw->recording)
        capture_lost(pw->capture, "the server has gone: %s", message);
}

static const struct pw_core_events core_events = {
    PW_VERSION_CORE_EVENTS,
    .done = on_core_done,
    .error = on_core_error,
};

static void
on_global(void *ctx, uint32_t id, uint32_t permissions, const char *type, uint32_t version,
          const struct spa_dict *props)
{
    struct pipewire *pw = ctx;
    const char *class, *name, *words, *serial;
    struct node *node;

    (void)id, (void)permissions, (void)version;
    if (props == NULL || strcmp(type, PW_TYPE_INTERFACE_Node) != 0 || pw->node_count == MAX_NODES)
        return;
    class = spa_dict_lookup(props, PW_KEY_MEDIA_CLASS);
    name = spa_dict_lookup(props, PW_KEY_NODE_NAME);
    words = spa_dict_lookup(props, PW_KEY_NODE_DESCRIPTION);
    serial = spa_dict_lookup(props, PW_KEY_OBJECT_SERIAL);
    if (class == NULL || name == NULL ||
        (strncmp(class, "Audio/Source", 12) != 0 && strcmp(class, "Audio/Sink") != 0 &&
         strcmp(class, "Audio/Duplex") != 0))
        return;
    node = &pw->nodes[pw->node_count++];
    snprintf(node->name, sizeof(node->name), "%s", name);
    snprintf(node->words, sizeof(node->words), "%s", words != NULL ? words : "");
    node->serial = serial != NULL ? (uint32_t)strtoul(serial, NULL, 10) : 0;
    node->sink = strcmp(class, "Audio/Sink") == 0;
}

static const struct pw_registry_events registry_events = {
    PW_VERSION_REGISTRY_EVENTS,
    .global = on_global,
};

static void
pipewire_close(void *device)
{
    struct pipewire *pw = device;

    if (pw->loop != NULL)
        pw_thread_loop_stop(pw->loop);
    if (pw->stream != NULL)
        pw_stream_destroy(pw->stream);
    if (pw->registry != NULL)
        pw_proxy_destroy((struct pw_proxy *)pw->registry);
    if (pw->core != NULL)
        pw_core_disconnect(pw->core);
    if (pw->context != NULL)
        pw_context_destroy(pw->context);
    if (pw->loop != NULL)
        pw_thread_loop_destroy(pw->loop);
    free(pw);
    pw_deinit();
}

// Connected, with all nodes known and the loop's lock held; NULL: *error.
static struct pipewire *
connect_server(struct capture *capture, int *error, char why[BACKEND_WHY])
{
    struct pipewire *pw = calloc(1, sizeof(*pw));

    *error = -ENOMEM;
    snprintf(why, BACKEND_WHY, "out of memory");
    if (pw == NULL)
        return NULL;
    pw_init(NULL, NULL);
    pw->capture = capture;
    pw->loop = pw_thread_loop_new("zcb-record", NULL);
    if (pw->loop != NULL)
        pw->context = pw_context_new(pw_thread_loop_get_loop(pw->loop), NULL, 0);
    if (pw->context == NULL) {
        snprintf(why, BACKEND_WHY, "cannot be used here: %s", strerror(errno));
        *error = -ECONNREFUSED;
        pipewire_close(pw);
        return NULL;
    }
    pw->core = pw_context_connect(pw->context, NULL, 0);
    if (pw->core == NULL || pw_thread_loop_start(pw->loop) < 0) {
        snprintf(why, BACKEND_WHY, "no server: %s", strerror(errno));
        *error = -ECONNREFUSED;
        pipewire_close(pw);
        return NULL;
    }
    pw_thread_loop_lock(pw->loop);
    pw_core_add_listener(pw->core, &pw->core_hook, &core_events, pw);
    pw->registry = pw_core_get_registry(pw->core, PW_VERSION_REGISTRY, 0);
    pw_registry_add_listener(pw->registry, &pw->registry_hook, &registry_events, pw);
    pw->answered = -1;
    pw->pending = pw_core_sync(pw->core, PW_ID_CORE, 0);
    if (expect(pw, has_answered) && !pw->gone)
        return pw;
    snprintf(why, BACKEND_WHY, "no server: it does not answer");
    *error = -ECONNREFUSED;
    pw_thread_loop_unlock(pw->loop);
    pipewire_close(pw);
    return NULL;
}

static const struct node *
find_node(const struct pipewire *pw, const char *device)
{
    char *end;
    unsigned long serial = strtoul(device, &end, 10);

    for (unsigned i = 0; i < pw->node_count; i++)
        if (strcmp(pw->nodes[i].name, device) == 0 ||
            (*end == '\0' && end != device && pw->nodes[i].serial == serial))
            return &pw->nodes[i];
    return NULL;
}

// ---- the stream

static uint8_t
sample_of(uint32_t format)
{
    return format == SPA_AUDIO_FORMAT_S16   ? ZCB_AUDIO_S16
           : format == SPA_AUDIO_FORMAT_S24 ? ZCB_AUDIO_S24
           : format == SPA_AUDIO_FORMAT_S32 ? ZCB_AUDIO_S32
                                            : ZCB_AUDIO_F32;
}

static enum spa_audio_format
format_of(unsigned sample)
{
    return sample == ZCB_AUDIO_S16   ? SPA_AUDIO_FORMAT_S16
           : sample == ZCB_AUDIO_S24 ? SPA_AUDIO_FORMAT_S24
           : sample == ZCB_AUDIO_S32 ? SPA_AUDIO_FORMAT_S32
                                     : SPA_AUDIO_FORMAT_F32;
}

static void
on_param(void *ctx, uint32_t id, const struct spa_pod *param)
{
    struct pipewire *pw = ctx;
    struct spa_audio_info_raw raw = {0};

    if (param == NULL || id != SPA_PARAM_Format || spa_format_audio_raw_parse(param, &raw) < 0)
        return;
    if (pw->recording) {
        if (raw.rate != pw->format.rate || raw.channels != pw->format.channels)
            capture_lost(pw->capture, "the device has changed its format");
        return;
    }
    pw->format = (struct zcb_audio_format){
        .rate = raw.rate, .channels = (uint16_t)raw.channels, .sample = sample_of(raw.format)};
    pw->frame_bytes = zcb_audio_frame_bytes(&pw->format);
    pw->formatted = true;
}

static void
on_state(void *ctx, enum pw_stream_state old, enum pw_stream_state state, const char *error)
{
    struct pipewire *pw = ctx;

    if (state == PW_STREAM_STATE_ERROR) {
        pw->failed = true;
        snprintf(pw->error, sizeof(pw->error), "%s", error != NULL ? error : "unknown");
    }
    if (!pw->recording)
        return;
    if (state == PW_STREAM_STATE_ERROR || state == PW_STREAM_STATE_UNCONNECTED)
        capture_lost(pw->capture, "the device has gone: %s",
                     error != NULL ? error : pw_stream_state_as_string(old));
}

// The graph's clock goes on where cycles were missed: so many frames are lost. Where it does not
// agree with the time that has passed it is the clock of another driver, and nobody knows.
static void
judge(struct pipewire *pw, const struct pw_time *when, uint32_t frames)
{
    const int64_t rate = pw->format.rate;
    const int64_t passed = pw->begun ? when->now - pw->last_now : 0;
    const int64_t missing = pw->begun ? (int64_t)(when->ticks - pw->next_ticks) : 0;
    const int64_t off = missing - passed / 1000 * rate / 1000000;

    if (when->rate.denom != pw->format.rate)
        return; // converted: its ticks are not our frames
    if (missing > 0 && off < rate / 2 && off > -rate / 2)
        pw->stamp.pts_frames += (uint64_t)missing;
    else if (missing != 0)
        pw->stamp.flags |= ZCB_AUDIO_DISCONTINUITY;
    pw->next_ticks = when->ticks + frames;
    pw->last_now = when->now;
    pw->stamp.now_ns = (uint64_t)when->now;
}

// On the data thread.
static void
on_process(void *ctx)
{
    struct pipewire *pw = ctx;
    struct pw_buffer *buffer = pw_stream_dequeue_buffer(pw->stream);
    const struct spa_data *data;
    struct pw_time when;
    uint32_t off, bytes, frames;

    if (buffer == NULL)
        return;
    if (!__atomic_load_n(&pw->recording, __ATOMIC_ACQUIRE)) {
        pw_stream_queue_buffer(pw->stream, buffer);
        return;
    }
    if (!pw->begun)
        capture_warm(pw->capture);
    data = &buffer->buffer->datas[0];
    off = data->chunk->offset < data->maxsize ? data->chunk->offset : data->maxsize;
    bytes = data->chunk->size < data->maxsize - off ? data->chunk->size : data->maxsize - off;
    frames = data->data != NULL ? bytes / pw->frame_bytes : 0;
    if ((data->chunk->flags & SPA_CHUNK_FLAG_CORRUPTED) != 0)
        pw->stamp.flags |= ZCB_AUDIO_DISCONTINUITY;
    if (pw_stream_get_time_n(pw->stream, &when, sizeof(when)) == 0)
        judge(pw, &when, frames);
    pw->begun = true;
    if (frames != 0) {
        capture_copy(pw->capture, (const uint8_t *)data->data + off, frames, &pw->stamp);
        pw->stamp.pts_frames += frames;
        pw->stamp.flags = ZCB_AUDIO_HAS_PTS;
    }
    pw_stream_queue_buffer(pw->stream, buffer);
}

static const struct pw_stream_events stream_events = {
    PW_VERSION_STREAM_EVENTS,
    .state_changed = on_state,
    .param_changed = on_param,
    .process = on_process,
};

static struct pw_properties *
stream_props(const struct backend_wish *wish, const struct node *node)
{
    struct pw_properties *props =
        pw_properties_new(PW_KEY_MEDIA_TYPE, "Audio", PW_KEY_MEDIA_CATEGORY, "Capture",
                          PW_KEY_MEDIA_ROLE, "Production", PW_KEY_STREAM_DONT_REMIX, "true", NULL);
    const uint32_t rate = wish->format.rate != 0 ? wish->format.rate : 48000;
    uint32_t latency;

    if (props == NULL)
        return NULL;
    latency = (uint32_t)((uint64_t)rate * wish->packet_ms / 1000);
    pw_properties_setf(props, PW_KEY_NODE_LATENCY, "%u/%u", latency != 0 ? latency : 1, rate);
    if (wish->format.rate != 0)
        pw_properties_setf(props, PW_KEY_NODE_RATE, "1/%u", rate);
    if (node != NULL) {
        pw_properties_set(props, PW_KEY_TARGET_OBJECT, node->name);
        pw_properties_set(props, PW_KEY_NODE_DONT_RECONNECT, "true");
        if (node->sink)
            pw_properties_set(props, PW_KEY_STREAM_CAPTURE_SINK, "true");
    }
    return props;
}

// Makes the stream, and waits until it has a format.
static int
connect_stream(struct pipewire *pw, const struct backend_wish *wish, const struct node *node,
               char why[BACKEND_WHY])
{
    struct spa_audio_info_raw raw = {
        .format = format_of(wish->format.sample),
        .flags = wish->format.channels > 2 ? SPA_AUDIO_FLAG_UNPOSITIONED : 0,
        .rate = wish->format.rate,
        .channels = wish->format.channels,
    };
    uint8_t memory[1024];
    struct spa_pod_builder builder = SPA_POD_BUILDER_INIT(memory, sizeof(memory));
    const struct spa_pod *params[1];
    int r;

    raw.position[0] = raw.channels == 1 ? SPA_AUDIO_CHANNEL_MONO : SPA_AUDIO_CHANNEL_FL;
    raw.position[1] = SPA_AUDIO_CHANNEL_FR;
    params[0] = spa_format_audio_raw_build(&builder, SPA_PARAM_EnumFormat, &raw);
    pw->stream = pw_stream_new(pw->core, "zcb-record", stream_props(wish, node));
    if (pw->stream == NULL) {
        snprintf(why, BACKEND_WHY, "no stream: %s", strerror(errno));
        return -errno;
    }
    pw_stream_add_listener(pw->stream, &pw->stream_hook, &stream_events, pw);
    r = pw_stream_connect(pw->stream, PW_DIRECTION_INPUT, PW_ID_ANY,
                          PW_STREAM_FLAG_AUTOCONNECT | PW_STREAM_FLAG_MAP_BUFFERS |
                              PW_STREAM_FLAG_RT_PROCESS,
                          params, 1);
    if (r < 0 || !expect(pw, has_format) || !pw->formatted) {
        snprintf(why, BACKEND_WHY, "the stream gets no device: %s",
                 r < 0        ? strerror(-r)
                 : pw->failed ? pw->error
                              : "is there one to record from, and a session manager?");
        return -ENODEV;
    }
    return 0;
}

static int
pipewire_open(struct capture *capture, const struct backend_wish *wish,
              struct zcb_audio_format *format, void **out, char why[BACKEND_WHY])
{
    const struct node *node = NULL;
    struct pipewire *pw;
    int error;

    pw = connect_server(capture, &error, why);
    if (pw == NULL)
        return error;
    if (wish->device != NULL)
        node = find_node(pw, wish->device);
    if (wish->device != NULL && node == NULL) {
        snprintf(why, BACKEND_WHY, "no such device: %s; --list shows what there is", wish->device);
        error = -ENODEV;
    } else if (wish->format.channels > SPA_AUDIO_MAX_CHANNELS) {
        snprintf(why, BACKEND_WHY, "takes at most %u channels", SPA_AUDIO_MAX_CHANNELS);
        error = -EINVAL;
    } else {
        error = connect_stream(pw, wish, node, why);
    }
    pw_thread_loop_unlock(pw->loop);
    if (error != 0) {
        pipewire_close(pw);
        return error;
    }
    *format = pw->format;
    *out = pw;
    return 0;
}

static int
pipewire_start(void *device, char why[BACKEND_WHY])
{
    struct pipewire *pw = device;

    (void)why;
    pw_thread_loop_lock(pw->loop);
    pw->stamp = (struct zcb_audio_stamp){.flags = ZCB_AUDIO_HAS_PTS};
    __atomic_store_n(&pw->recording, true, __ATOMIC_RELEASE);
    if (pw->gone || pw->failed)
        capture_lost(pw->capture, "the device has gone");
    pw_thread_loop_unlock(pw->loop);
    return 0;
}

static void
pipewire_stop(void *device)
{
    struct pipewire *pw = device;

    pw_thread_loop_lock(pw->loop);
    __atomic_store_n(&pw->recording, false, __ATOMIC_RELEASE);
    pw_stream_disconnect(pw->stream); // waits for the data thread
    pw_thread_loop_unlock(pw->loop);
    pw_thread_loop_stop(pw->loop);
}

static int
pipewire_list(void (*each)(const char *name, const char *words), char why[BACKEND_WHY])
{
    struct pipewire *pw;
    int error;

    pw = connect_server(NULL, &error, why);
    if (pw == NULL)
        return error;
    for (unsigned i = 0; i < pw->node_count; i++) {
        char words[192];

        snprintf(words, sizeof(words), "%s%s", pw->nodes[i].words,
                 pw->nodes[i].sink ? " (what is played there)" : "");
        each(pw->nodes[i].name, words);
    }
    pw_thread_loop_unlock(pw->loop);
    pipewire_close(pw);
    return 0;
}

const struct backend backend_pipewire = {
    .name = "pipewire",
    .open = pipewire_open,
    .start = pipewire_start,
    .stop = pipewire_stop,
    .close = pipewire_close,
    .list = pipewire_list,
};
