// SPDX-License-Identifier: MIT
//
// A capture: a pool, a sink, a device, readers, and the thread that wakes them.
//
// Waking. The capture thread makes no system call, so another thread looks every wake_ms: it has the
// sink prepare buffers, and calls into JavaScript for each reader that has said that it waits (arm)
// and has something to read. That is one call for all that came meanwhile, and none where JavaScript
// reads by itself.
//
// Life. close() ends the threads and the sink. What is out at JavaScript stays readable and can be
// released; the struct goes with the last of it.
#include "capture.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>

// What the waker sleeps by: a clock that nobody sets, where a condition can have it.
#if defined(__APPLE__)
#define WAKER_CLOCK CLOCK_REALTIME
#else
#define WAKER_CLOCK CLOCK_MONOTONIC
#endif

// ---- waking

static void
call_reader(napi_env env, napi_value callback, void *context, void *data)
{
    napi_value undefined, argument, error;

    (void)context;
    if (env == NULL || callback == NULL) // the environment is ending
        return;
    argument = number(env, (double)(uintptr_t)data);
    if (argument == NULL || napi_get_undefined(env, &undefined) != napi_ok)
        return;
    if (napi_call_function(env, undefined, callback, 1, &argument, NULL) ==
            napi_pending_exception &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok)
        napi_fatal_exception(env, error); // as any that nobody has caught
}

// Readers that are to be called now. Under the lock.
static uint64_t
take_ready(struct capture *capture)
{
    bool ended = __atomic_load_n(&capture->device.ended, __ATOMIC_ACQUIRE) != 0;
    uint64_t ready = 0;

    for (uint32_t i = 0; i < MAX_READERS; i++) {
        if ((capture->armed >> i & 1) == 0 || capture->reader[i] == NULL)
            continue;
        if (ended || zcb_audio_consumer_waiting(capture->reader[i]) != 0)
            ready |= UINT64_C(1) << i;
    }
    capture->armed &= ~ready;
    return ready;
}

static void
sleep_until_stopped(struct capture *capture, uint32_t ms)
{
    struct timespec until;

    clock_gettime(WAKER_CLOCK, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += (time_t)(ms / 1000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (!capture->stop)
        pthread_cond_timedwait(&capture->stop_waker, &capture->lock, &until);
}

static void *
wake_readers(void *arg)
{
    struct capture *capture = arg;
    bool stop = false;

    while (!stop) {
        int made = zcb_audio_sink_service(capture->sink);
        uint64_t ready;

        (void)made; // what failed is tried again by the next round
        pthread_mutex_lock(&capture->lock);
        ready = take_ready(capture);
        for (uintptr_t i = 0; ready != 0; i++, ready >>= 1)
            if ((ready & 1) != 0)
                napi_call_threadsafe_function(capture->wake, (void *)i, napi_tsfn_nonblocking);
        sleep_until_stopped(capture, capture->wake_ms);
        stop = capture->stop;
        pthread_mutex_unlock(&capture->lock);
    }
    return NULL;
}

static int
start_waker(struct capture *capture)
{
    sigset_t all, before;
    int err;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&capture->waker, NULL, wake_readers, capture);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    capture->has_waker = err == 0;
    return -err;
}

// ---- life

// Also the first thing that happens at the end of an environment: later the function that the waker
// calls is gone.
static void
stop_threads(void *arg)
{
    struct capture *capture = arg;

    if (capture->has_waker) {
        pthread_mutex_lock(&capture->lock);
        capture->stop = true;
        pthread_cond_signal(&capture->stop_waker);
        pthread_mutex_unlock(&capture->lock);
        pthread_join(capture->waker, NULL);
        capture->has_waker = false;
    }
    device_stop(&capture->device);
}

// Ends all but what is out. Can be called twice.
static void
shut(napi_env env, struct capture *capture)
{
    stop_threads(capture);
    for (uint32_t i = 0; i < MAX_READERS; i++)
        zcb_audio_consumer_close(&capture->reader[i]);
    zcb_audio_sink_destroy(&capture->sink);
    zcb_pool_destroy(&capture->pool);
    if (env != NULL && capture->wake != NULL) {
        napi_remove_env_cleanup_hook(env, stop_threads, capture);
        napi_release_threadsafe_function(capture->wake, napi_tsfn_abort);
    }
    capture->wake = NULL;
}

void
free_capture(napi_env env, struct capture *capture)
{
    shut(env, capture);
    views_finish(&capture->views);
    outs_finish(&capture->outs);
    pthread_cond_destroy(&capture->stop_waker);
    pthread_mutex_destroy(&capture->lock);
    free(capture);
}

static void
destroy_capture(napi_env env, struct object *object)
{
    free_capture(env, (struct capture *)object);
}

struct settings {
    struct zcb_audio_sink_config sink;
    uint32_t device, copies;
};

static bool
read_settings(struct call *call, struct capture *capture, struct settings *settings)
{
    struct zcb_audio_sink_config *sink = &settings->sink;
    uint32_t channels, sample, planar, full;
    double limit;

    if (!whole_of(call, 0, "rate", &capture->format.rate) ||
        !whole_of(call, 0, "channels", &channels) || !whole_of(call, 0, "sample", &sample) ||
        !whole_of(call, 0, "planar", &planar) || !whole_of(call, 0, "full", &full) ||
        !whole_of(call, 0, "packetFrames", &sink->packet_frames) ||
        !whole_of(call, 0, "buffers", &sink->buffers) ||
        !whole_of(call, 0, "maxBuffers", &sink->max_buffers) ||
        !whole_of(call, 0, "spare", &sink->spare) || !whole_of(call, 0, "flags", &sink->flags) ||
        !whole_of(call, 0, "maxReaders", &sink->max_consumers) ||
        !whole_of(call, 0, "maxDepth", &sink->max_depth) ||
        !whole_of(call, 0, "toleranceFrames", &sink->tolerance_frames) ||
        !whole_of(call, 0, "maxGapFrames", &sink->max_gap_frames) ||
        !whole_of(call, 0, "concealFrames", &sink->conceal_frames) ||
        !whole_of(call, 0, "wakeMs", &capture->wake_ms) ||
        !whole_of(call, 0, "copies", &settings->copies) ||
        !whole_of(call, 0, "device", &settings->device) ||
        !whole_of(call, 0, "periodFrames", &capture->device.period_frames) ||
        !number_of(call, 0, "speed", &capture->device.speed) ||
        !number_of(call, 0, "limitFrames", &limit))
        return false;
    sink->full = (enum zcb_audio_full)full;
    if (channels > UINT16_MAX || sample > UINT8_MAX || planar > 1 || capture->wake_ms > 1000 ||
        settings->device > DEVICE_SILENCE || capture->device.period_frames > 1u << 24 ||
        !(capture->device.speed <= 1e6) || !(limit <= 9007199254740991.0) ||
        sink->packet_frames > ZCB_AUDIO_MAX_PACKET)
        return fail(call->env, -EINVAL, "capture");
    capture->format.channels = (uint16_t)channels;
    capture->format.sample = (uint8_t)sample;
    capture->format.planar = (uint8_t)planar;
    if (zcb_audio_format_check(&capture->format) < 0)
        return fail(call->env, -EINVAL, "format");
    if (sink->packet_frames == 0)
        sink->packet_frames = capture->format.rate < 100 ? 1 : capture->format.rate / 100;
    if (sink->buffers == 0)
        sink->buffers = 10;
    if (sink->max_buffers == 0)
        sink->max_buffers = sink->buffers > 1024 ? 4096 : 4 * sink->buffers;
    if (capture->device.period_frames == 0)
        capture->device.period_frames = sink->packet_frames;
    if (capture->device.speed <= 0)
        capture->device.speed = 1;
    capture->device.kind = (enum device_kind)settings->device;
    capture->device.format = capture->format;
    capture->device.limit = (uint64_t)limit;
    return true;
}

// One tier, of exactly what a packet needs, and one buffer more than the sink has: it wants a place
// for what is dropped.
static int
make_sink(struct capture *capture, const struct settings *settings)
{
    const struct zcb_audio_sink_config *sink = &settings->sink;
    uint64_t sample = zcb_audio_sample_bytes(&capture->format);
    uint64_t plane = sink->packet_frames * sample, bytes;
    struct zcb_pool_config config = {
        .name = "capture",
        .source = &capture->views.source,
        .policy = ZCB_POOL_FAIL,
        .flags = ZCB_POOL_NO_CACHE | ZCB_POOL_NO_OVERSIZE,
    };
    int result;

    if (capture->format.planar) // as the sink does: each plane begins at a cache line
        plane = (plane + 63) & ~UINT64_C(63);
    bytes = plane * capture->format.channels;
    if (bytes > ZCB_AUDIO_MAX_PACKET)
        return -ERANGE;
    config.tiers[0].buffer_size = (size_t)(bytes + 63) & ~(size_t)63;
    config.tiers[0].max_buffers = sink->max_buffers + 1;
    result = zcb_pool_create(&config, &capture->pool);
    if (result < 0)
        return result;
    result = zcb_audio_sink_create(capture->pool, &capture->format, sink, &capture->sink);
    capture->device.sink = capture->sink;
    return result;
}

static bool
start(struct call *call, struct capture *capture)
{
    napi_value name;
    int result;

    if (napi_create_string_utf8(call->env, "zcbuf capture", NAPI_AUTO_LENGTH, &name) != napi_ok ||
        napi_create_threadsafe_function(call->env, call->argument[1], NULL, name, 0, 1, NULL, NULL,
                                        capture, call_reader, &capture->wake) != napi_ok ||
        napi_unref_threadsafe_function(call->env, capture->wake) != napi_ok ||
        napi_add_env_cleanup_hook(call->env, stop_threads, capture) != napi_ok)
        return fail(call->env, -EINVAL, "the function to call");
    if (!add_object(call, &capture->object))
        return false;
    result = start_waker(capture);
    if (result < 0) {
        remove_object(call->addon, &capture->object);
        return fail(call->env, result, "threads");
    }
    return true;
}

static void
init_locks(struct capture *capture)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
#if !defined(__APPLE__)
    pthread_condattr_setclock(&attr, WAKER_CLOCK);
#endif
    pthread_mutex_init(&capture->lock, NULL);
    pthread_cond_init(&capture->stop_waker, &attr);
    pthread_condattr_destroy(&attr);
}

// open(settings, wake): the capture's id. Its device does not run yet.
static napi_value
capture_open(napi_env env, napi_callback_info info)
{
    struct settings settings = {0};
    struct capture *capture;
    struct call call;
    int result;

    if (!begin_call(env, info, 2, &call))
        return NULL;
    capture = calloc(1, sizeof(*capture));
    if (capture == NULL) {
        fail(env, -ENOMEM, "capture");
        return NULL;
    }
    capture->object = (struct object){.kind = OBJECT_CAPTURE, .destroy = destroy_capture};
    if (!read_settings(&call, capture, &settings) ||
        !views_init(&call, &capture->views, settings.copies != 0)) {
        free(capture);
        return NULL;
    }
    init_locks(capture);
    if (capture->wake_ms == 0) {
        double half =
            settings.sink.packet_frames * 500.0 / (capture->format.rate * capture->device.speed);

        capture->wake_ms = half < 1 ? 1 : half > 10 ? 10 : (uint32_t)half;
    }
    result = make_sink(capture, &settings);
    if (capture->pool == NULL) // nobody else closes it
        capture->views.source.close(capture->views.source.ctx);
    if (result < 0)
        fail(env, result, "capture");
    if (result < 0 || !start(&call, capture)) {
        free_capture(env, capture);
        return NULL;
    }
    return number(env, capture->object.id);
}

// close(id)
static napi_value
capture_close(napi_env env, napi_callback_info info)
{
    struct capture *capture;
    struct call call;

    if (!begin_call(env, info, 1, &call) ||
        (capture = object_argument(&call, 0, OBJECT_CAPTURE)) == NULL)
        return NULL;
    shut(env, capture);
    if (capture->outs.used == 0) {
        remove_object(call.addon, &capture->object);
        free_capture(env, capture);
    }
    return NULL;
}

// ---- capturing

static bool
is_open(struct call *call, const struct capture *capture)
{
    if (capture->sink != NULL)
        return true;
    napi_throw_error(call->env, "ERR_CLOSED", "closed");
    return false;
}

struct capture *
open_capture(napi_env env, napi_callback_info info, size_t wanted, struct call *call)
{
    struct capture *capture;

    if (!begin_call(env, info, wanted, call) ||
        (capture = object_argument(call, 0, OBJECT_CAPTURE)) == NULL || !is_open(call, capture))
        return NULL;
    return capture;
}

// start(id): the device begins.
static napi_value
capture_start(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 1, &call);
    int result;

    if (capture == NULL)
        return NULL;
    if (capture->device.kind != DEVICE_NONE && !capture->device.runs &&
        (result = device_start(&capture->device)) < 0)
        fail(env, result, "threads");
    return NULL;
}

static bool
is_manual(struct call *call, const struct capture *capture)
{
    return capture->device.kind == DEVICE_NONE ||
           fail(call->env, -EINVAL, "a device captures already");
}

// write(id, bytes, pts or -1, sequence or -1, flags): packets published. The caller is the device.
static napi_value
capture_write(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 5, &call);
    const void *planes[ZCB_AUDIO_MAX_CHANNELS];
    struct zcb_audio_stamp stamp = {0};
    double pts, sequence, flags;
    size_t length = 0, count;
    uint8_t *bytes = NULL;
    napi_typedarray_type type;
    int result;

    if (capture == NULL || !is_manual(&call, capture))
        return NULL;
    if (napi_get_typedarray_info(env, call.argument[1], &type, &length, (void **)&bytes, NULL,
                                 NULL) != napi_ok ||
        type != napi_uint8_array) {
        napi_throw_type_error(env, "EINVAL", "a Uint8Array was expected");
        return NULL;
    }
    if (napi_get_value_double(env, call.argument[2], &pts) != napi_ok ||
        napi_get_value_double(env, call.argument[3], &sequence) != napi_ok ||
        !whole_argument(&call, 4, UINT32_MAX, &flags) || isnan(pts) || isnan(sequence) ||
        pts > 9007199254740991.0 || sequence > UINT32_MAX) {
        napi_throw_type_error(env, "EINVAL", "a stamp was expected");
        return NULL;
    }
    stamp.flags = (uint32_t)flags;
    if (pts >= 0) {
        stamp.pts_frames = (uint64_t)pts;
        stamp.flags |= ZCB_AUDIO_HAS_PTS;
    }
    if (sequence >= 0) {
        stamp.sequence = (uint32_t)sequence;
        stamp.flags |= ZCB_AUDIO_HAS_SEQUENCE;
    }
    count = capture->format.planar ? capture->format.channels : 1;
    if (length % count != 0) {
        fail(env, -EBADMSG, "write");
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        planes[i] = bytes + i * (length / count);
    result = length == 0 ? 0 : zcb_audio_sink_write(capture->sink, planes, length / count, &stamp);
    if (result < 0) {
        fail(env, result, "write");
        return NULL;
    }
    return number(env, result);
}

// flush(id), end(id): of a capture whose caller is the device.
static napi_value
capture_flush(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 1, &call);

    if (capture != NULL && is_manual(&call, capture))
        zcb_audio_sink_flush(capture->sink);
    return NULL;
}

static napi_value
capture_end(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 1, &call);

    if (capture != NULL && is_manual(&call, capture)) {
        zcb_audio_sink_end(capture->sink);
        __atomic_store_n(&capture->device.ended, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

// service(id): buffers prepared. The waker does it anyway; for tests that do not want to wait.
static napi_value
capture_service(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 1, &call);
    int made;

    if (capture == NULL)
        return NULL;
    made = zcb_audio_sink_service(capture->sink);
    return number(env, made < 0 ? 0 : made);
}

void
export_capture(napi_env env, napi_value exports)
{
    add_function(env, exports, "open", capture_open);
    add_function(env, exports, "close", capture_close);
    add_function(env, exports, "start", capture_start);
    add_function(env, exports, "write", capture_write);
    add_function(env, exports, "flush", capture_flush);
    add_function(env, exports, "end", capture_end);
    add_function(env, exports, "service", capture_service);
}
