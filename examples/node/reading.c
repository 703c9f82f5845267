// SPDX-License-Identifier: MIT
//
// Readers of a capture, what they have out, and figures.
#include "capture.h"

// ---- reading

static bool
reader_argument(struct call *call, size_t i, struct capture *capture, uint32_t *out)
{
    if (!index_argument(call, i, out))
        return false;
    if (*out < MAX_READERS && capture->reader[*out] != NULL)
        return true;
    napi_throw_error(call->env, "ERR_CLOSED", "closed");
    return false;
}

// openReader(id, depth, lag): its number.
static napi_value
capture_open_reader(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 3, &call);
    struct zcb_audio_consumer_config config = {0};
    struct zcb_audio_consumer *consumer;
    double depth, lag;
    uint32_t i = 0;
    int result;

    if (capture == NULL || !whole_argument(&call, 1, UINT32_MAX, &depth) ||
        !whole_argument(&call, 2, UINT8_MAX, &lag))
        return NULL;
    config.depth = (uint32_t)depth;
    config.lag = (enum zcb_audio_lag)lag;
    while (i < MAX_READERS && capture->reader[i] != NULL)
        i++;
    result =
        i == MAX_READERS ? -ENOBUFS : zcb_audio_consumer_open(capture->sink, &config, &consumer);
    if (result < 0) {
        fail(env, result, "reader");
        return NULL;
    }
    pthread_mutex_lock(&capture->lock);
    capture->reader[i] = consumer;
    capture->armed &= ~(UINT64_C(1) << i);
    pthread_mutex_unlock(&capture->lock);
    return number(env, i);
}

// closeReader(id, reader)
static napi_value
capture_close_reader(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 2, &call);
    struct zcb_audio_consumer *consumer;
    uint32_t i;

    if (capture == NULL || !reader_argument(&call, 1, capture, &i))
        return NULL;
    pthread_mutex_lock(&capture->lock);
    consumer = capture->reader[i];
    capture->reader[i] = NULL;
    pthread_mutex_unlock(&capture->lock);
    zcb_audio_consumer_close(&consumer);
    return NULL;
}

static bool
hand_out(struct call *call, struct capture *capture, struct zcb_audio_packet *packet,
         uint32_t *record)
{
    uint32_t handle;

    if (!outs_room(&capture->outs) ||
        !views_place(call->env, &capture->views, packet->bytes.data, packet->bytes.len, record)) {
        bool pending = false;

        zcb_audio_packet_unref(packet);
        if (napi_is_exception_pending(call->env, &pending) == napi_ok && !pending)
            fail(call->env, -ENOBUFS, "packets that are out");
        return false;
    }
    handle = outs_take(&capture->outs);
    capture->outs.entry[handle].packet = *packet;
    record[RECORD_HANDLE] = handle;
    put_wide(record, RECORD_BYTES, packet->bytes.len);
    record[RECORD_FRAMES] = packet->frames;
    record[RECORD_FLAGS] = packet->flags;
    put_wide(record, RECORD_PTS, packet->pts_frames);
    put_wide(record, RECORD_NUMBER, packet->number);
    record[RECORD_STRIDE] = packet->plane_stride;
    return true;
}

// read(id, reader, records, max): how many there are now; -1: the stream has ended and all was read.
static napi_value
capture_read(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 4, &call);
    struct zcb_audio_packet packet;
    size_t records, n = 0;
    uint32_t i, max, *record;
    int result = -EAGAIN;

    if (capture == NULL || !reader_argument(&call, 1, capture, &i) ||
        !records_argument(&call, 2, &record, &records) || !index_argument(&call, 3, &max))
        return NULL;
    for (; n < records && n < max; n++, record += RECORD_SIZE) {
        result = zcb_audio_consumer_read(capture->reader[i], 0, &packet);
        if (result != 1)
            break;
        if (!hand_out(&call, capture, &packet, record)) {
            if (n == 0)
                return NULL;
            // What was had is not lost: the next call says what is wrong.
            napi_get_and_clear_last_exception(env, &(napi_value){NULL});
            break;
        }
    }
    return number(env, n == 0 && result == 0 ? -1 : (double)n);
}

// arm(id, reader): the next time that it has something to read, the function is called, once.
static napi_value
capture_arm(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 2, &call);
    uint32_t i;

    if (capture == NULL || !reader_argument(&call, 1, capture, &i))
        return NULL;
    pthread_mutex_lock(&capture->lock);
    capture->armed |= UINT64_C(1) << i;
    pthread_mutex_unlock(&capture->lock);
    return NULL;
}

// hold(id, whether the process shall go on for it)
static napi_value
capture_hold(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 2, &call);
    bool hold;

    if (capture == NULL || napi_get_value_bool(env, call.argument[1], &hold) != napi_ok)
        return NULL;
    if (hold)
        napi_ref_threadsafe_function(env, capture->wake);
    else
        napi_unref_threadsafe_function(env, capture->wake);
    return NULL;
}

// ---- what is out

static bool
drop(struct capture *capture, uint32_t handle)
{
    struct out *out = outs_at(&capture->outs, handle);

    if (out == NULL)
        return false;
    zcb_audio_packet_unref(&out->packet);
    outs_free(&capture->outs, handle);
    return true;
}

// A capture that was closed goes with the last that was out.
static void
settle(struct call *call, struct capture *capture)
{
    if (capture->sink != NULL || capture->outs.used != 0)
        return;
    remove_object(call->addon, &capture->object);
    free_capture(call->env, capture);
}

// release(id, handle): whether it was out.
static napi_value
capture_release(napi_env env, napi_callback_info info)
{
    struct capture *capture;
    struct call call;
    uint32_t handle;
    bool was_out;

    if (!begin_call(env, info, 2, &call) ||
        (capture = object_argument(&call, 0, OBJECT_CAPTURE)) == NULL ||
        !index_argument(&call, 1, &handle))
        return NULL;
    was_out = drop(capture, handle);
    settle(&call, capture);
    return boolean(env, was_out);
}

// slice(id, handle, first frame, frames, records): one more reference, to a part.
static napi_value
capture_slice(napi_env env, napi_callback_info info)
{
    struct capture *capture;
    struct zcb_audio_packet packet;
    double off, frames;
    struct call call;
    uint32_t handle, *record;
    size_t records;
    struct out *out;
    int result;

    if (!begin_call(env, info, 5, &call) ||
        (capture = object_argument(&call, 0, OBJECT_CAPTURE)) == NULL ||
        !index_argument(&call, 1, &handle) || !whole_argument(&call, 2, UINT32_MAX, &off) ||
        !whole_argument(&call, 3, UINT32_MAX, &frames) ||
        !records_argument(&call, 4, &record, &records))
        return NULL;
    out = outs_at(&capture->outs, handle);
    if (out == NULL) {
        napi_throw_error(env, "ERR_RELEASED", "released");
        return NULL;
    }
    // An empty slice would hold no memory, and its place would be nowhere.
    result = frames == 0
                 ? -ERANGE
                 : zcb_audio_packet_slice(&out->packet, (uint32_t)off, (uint32_t)frames, &packet);
    if (result < 0) {
        fail(env, result, "slice");
        return NULL;
    }
    return boolean(env, hand_out(&call, capture, &packet, record));
}

static struct out *
out_argument(napi_env env, napi_callback_info info, struct call *call, struct capture **capture)
{
    uint32_t handle;
    struct out *out;

    if (!begin_call(env, info, 2, call) ||
        (*capture = object_argument(call, 0, OBJECT_CAPTURE)) == NULL ||
        !index_argument(call, 1, &handle))
        return NULL;
    out = outs_at(&(*capture)->outs, handle);
    if (out == NULL)
        napi_throw_error(env, "ERR_RELEASED", "released");
    return out;
}

// slab(id, handle): the ArrayBuffer in which it lies.
static napi_value
capture_slab(napi_env env, napi_callback_info info)
{
    struct capture *capture;
    struct call call;
    struct out *out = out_argument(env, info, &call, &capture);

    return out != NULL ? views_arraybuffer(env, &capture->views, out->packet.bytes.data) : NULL;
}

// alone(id, handle): an ArrayBuffer of this packet only.
static napi_value
capture_alone(napi_env env, napi_callback_info info)
{
    struct capture *capture;
    struct call call;
    struct out *out = out_argument(env, info, &call, &capture);

    return out != NULL
               ? views_alone(env, &capture->views, out->packet.bytes.data, out->packet.bytes.len)
               : NULL;
}

// ---- statistics

// stats(id): the sink's, and ours.
static napi_value
capture_stats(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 1, &call);
    struct zcb_audio_sink_stats stats;
    struct zcb_pool_stats pool;
    napi_value result;

    if (capture == NULL || napi_create_object(env, &result) != napi_ok ||
        zcb_audio_sink_stats(capture->sink, &stats, sizeof(stats)) < 0 ||
        zcb_pool_stats(capture->pool, &pool, sizeof(pool)) < 0)
        return NULL;
    set_number(env, result, "hit_rate", stats.hit_rate);
#define SET(name, gauge, help) set_number(env, result, #name, (double)stats.name);
    ZCB_AUDIO_SINK_STATS(SET)
#undef SET
    set_number(env, result, "pool_bytes", (double)pool.total.charged);
    set_number(env, result, "out", capture->outs.used);
    set_number(env, result, "copied_bytes", (double)capture->views.copied);
    set_number(env, result, "skipped_frames",
               (double)__atomic_load_n(&capture->device.skipped, __ATOMIC_RELAXED));
    return result;
}

// readerStats(id, reader)
static napi_value
capture_reader_stats(napi_env env, napi_callback_info info)
{
    struct call call;
    struct capture *capture = open_capture(env, info, 2, &call);
    struct zcb_audio_consumer_stats stats;
    napi_value result;
    uint32_t i;

    if (capture == NULL || !reader_argument(&call, 1, capture, &i) ||
        napi_create_object(env, &result) != napi_ok ||
        zcb_audio_consumer_stats(capture->reader[i], &stats, sizeof(stats)) < 0)
        return NULL;
#define SET(name, gauge, help) set_number(env, result, #name, (double)stats.name);
    ZCB_AUDIO_CONSUMER_STATS(SET)
#undef SET
    set_number(env, result, "waiting", zcb_audio_consumer_waiting(capture->reader[i]));
    return result;
}

void
export_reading(napi_env env, napi_value exports)
{
    add_function(env, exports, "openReader", capture_open_reader);
    add_function(env, exports, "closeReader", capture_close_reader);
    add_function(env, exports, "read", capture_read);
    add_function(env, exports, "arm", capture_arm);
    add_function(env, exports, "hold", capture_hold);
    add_function(env, exports, "release", capture_release);
    add_function(env, exports, "slice", capture_slice);
    add_function(env, exports, "slab", capture_slab);
    add_function(env, exports, "alone", capture_alone);
    add_function(env, exports, "stats", capture_stats);
    add_function(env, exports, "readerStats", capture_reader_stats);
}
