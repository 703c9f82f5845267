// SPDX-License-Identifier: MIT
//
// Formats, and packets of samples. A view of a packet in planes is a view of its bytes that starts
// later: planes are as far apart in it as before, so slicing needs one sum and one count.
#include "audio.h"

#include <zcbuf/copies.h>

_Static_assert(sizeof(struct zcb_audio_packet) <= 64, "passed by value: one cache line");

static const struct {
    const char *name;
    uint8_t bytes;
} samples[] = {
    [0] = {"unknown", 0},         [ZCB_AUDIO_S16] = {"s16", 2},
    [ZCB_AUDIO_S24] = {"s24", 3}, [ZCB_AUDIO_S24_32] = {"s24_32", 4},
    [ZCB_AUDIO_S32] = {"s32", 4}, [ZCB_AUDIO_F32] = {"f32", 4},
    [ZCB_AUDIO_F64] = {"f64", 8},
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

int
zcb_audio_format_check(const struct zcb_audio_format *format)
{
    if (format == NULL || format->rate == 0 || format->rate > ZCB_AUDIO_MAX_RATE ||
        format->channels == 0 || format->channels > ZCB_AUDIO_MAX_CHANNELS || format->sample == 0 ||
        format->sample >= SAMPLES || format->planar > 1)
        return -EINVAL;
    return 0;
}

uint32_t
zcb_audio_sample_bytes(const struct zcb_audio_format *format)
{
    return zcb_audio_format_check(format) == 0 ? samples[format->sample].bytes : 0;
}

uint32_t
zcb_audio_frame_bytes(const struct zcb_audio_format *format)
{
    return zcb_audio_format_check(format) == 0
               ? (uint32_t)samples[format->sample].bytes * format->channels
               : 0;
}

const char *
zcb_audio_sample_name(unsigned sample)
{
    return samples[sample < SAMPLES ? sample : 0].name;
}

int
zcb_audio_frames_in(const struct zcb_audio_format *format, double seconds, uint64_t *out)
{
    double frames;
    uint64_t whole;

    // A comparison with NaN is false, whichever it is.
    if (out == NULL || zcb_audio_format_check(format) < 0 || !(seconds >= 0) ||
        seconds > 1.7976931348623157e308)
        return -EINVAL;
    if (seconds > 9007199254740992.0 / format->rate)
        return -EOVERFLOW;
    frames = seconds * format->rate;
    whole = (uint64_t)frames; // a half is not added: where doubles are a whole apart that is one
    *out = whole + (frames - (double)whole >= 0.5);
    return 0;
}

uint32_t
audio_planes(const struct zcb_audio_format *format)
{
    return format->planar ? format->channels : 1;
}

uint32_t
audio_step(const struct zcb_audio_format *format)
{
    return (uint32_t)samples[format->sample].bytes * (format->planar ? 1u : format->channels);
}

bool
audio_same_format(const struct zcb_audio_format *a, const struct zcb_audio_format *b)
{
    return a->rate == b->rate && a->channels == b->channels && a->sample == b->sample &&
           a->planar == b->planar;
}

void
audio_copy(void *dst, const void *src, size_t len)
{
    if (len == 0)
        return; // then src may be NULL
    memcpy(dst, src, len);
    zcb_count_copy(ZCB_COPY_COPY_TO, len);
}

// Bytes from the first frame in the first plane to the last in the last.
static size_t
reach(const struct zcb_audio_packet *packet, uint64_t frames)
{
    return frames == 0 ? 0
                       : (size_t)(audio_planes(&packet->format) - 1) * packet->plane_stride +
                             (size_t)frames * audio_step(&packet->format);
}

int
zcb_audio_packet_init(struct zcb_audio_packet *out, const struct zcb_audio_format *format,
                      struct zcb_packet *bytes, uint64_t pts_frames)
{
    uint32_t frame = zcb_audio_frame_bytes(format);

    if (out == NULL || bytes == NULL || frame == 0)
        return -EINVAL;
    if (bytes->len % frame != 0)
        return -EBADMSG;
    if (bytes->len > ZCB_AUDIO_MAX_PACKET)
        return -ERANGE;
    *out = (struct zcb_audio_packet){
        .bytes = *bytes,
        .format = *format,
        .pts_frames = pts_frames,
        .frames = (uint32_t)(bytes->len / frame),
    };
    if (format->planar)
        out->plane_stride = out->frames * audio_step(format);
    *bytes = zcb_packet_static(NULL, 0);
    return 0;
}

struct zcb_audio_packet
zcb_audio_packet_ref(const struct zcb_audio_packet *packet)
{
    zcb_packet_ref_n(&packet->bytes, 1);
    return *packet;
}

void
zcb_audio_packet_unref(struct zcb_audio_packet *packet)
{
    if (packet == NULL)
        return;
    zcb_packet_unref(&packet->bytes);
    memset(packet, 0, sizeof(*packet));
}

int
zcb_audio_packet_slice(const struct zcb_audio_packet *packet, uint32_t off, uint32_t frames,
                       struct zcb_audio_packet *out)
{
    struct zcb_audio_packet view = *packet;
    int result;

    if (off > packet->frames || frames > packet->frames - off)
        return -ERANGE;
    result = zcb_packet_slice(&packet->bytes, (size_t)off * audio_step(&packet->format),
                              reach(packet, frames), &view.bytes);
    if (result < 0)
        return result;
    view.frames = frames;
    view.pts_frames += off;
    if (off != 0)
        view.flags &= ~(uint32_t)ZCB_AUDIO_DISCONTINUITY;
    if (off + frames != packet->frames)
        view.flags &= ~(uint32_t)ZCB_AUDIO_END;
    *out = view;
    return 0;
}

int
zcb_audio_packet_discard(struct zcb_audio_packet *packet, uint32_t frames)
{
    struct zcb_audio_packet rest;
    int result;

    if (frames == 0)
        return 0;
    result = zcb_audio_packet_slice(packet, frames, packet->frames - frames, &rest);
    if (result < 0)
        return result;
    zcb_packet_unref(&packet->bytes);
    *packet = rest;
    return 0;
}

int
zcb_audio_packet_plane(const struct zcb_audio_packet *packet, uint32_t plane,
                       struct zcb_packet *out)
{
    if (plane >= audio_planes(&packet->format))
        return -ERANGE;
    return zcb_packet_slice(&packet->bytes,
                            packet->frames != 0 ? (size_t)plane * packet->plane_stride : 0,
                            (size_t)packet->frames * audio_step(&packet->format), out);
}

int
zcb_audio_packet_channel(const struct zcb_audio_packet *packet, uint32_t channel,
                         struct zcb_audio_channel *out)
{
    size_t apart;

    if (channel >= packet->format.channels)
        return -ERANGE;
    apart = packet->format.planar ? packet->plane_stride : samples[packet->format.sample].bytes;
    out->data = packet->frames != 0 ? packet->bytes.data + channel * apart : packet->bytes.data;
    out->stride = audio_step(&packet->format);
    out->frames = packet->frames;
    return 0;
}

// Whether b's frames lie right behind a's.
static bool
is_beside(const struct zcb_audio_packet *a, const struct zcb_audio_packet *b)
{
    return a->bytes.owner == b->bytes.owner &&
           (a->plane_stride == b->plane_stride || audio_planes(&a->format) == 1) &&
           a->bytes.data + (size_t)a->frames * audio_step(&a->format) == b->bytes.data;
}

static int
copy_all(const struct zcb_audio_packet *packets, size_t n, struct zcb_pool *pool,
         struct zcb_audio_packet *out)
{
    uint32_t step = audio_step(&out->format), planes = audio_planes(&out->format);
    size_t plane_bytes = (size_t)out->frames * step;
    struct zcb_buf *buf;
    int result = zcb_pool_acquire(pool, plane_bytes * planes, &buf);

    if (result < 0)
        return result;
    for (uint32_t plane = 0; plane < planes; plane++) {
        uint8_t *to = zcb_buf_data(buf) + plane * plane_bytes;

        for (size_t i = 0; i < n; i++) {
            size_t len = (size_t)packets[i].frames * step;

            if (len == 0)
                continue;
            audio_copy(to, packets[i].bytes.data + (size_t)plane * packets[i].plane_stride, len);
            to += len;
        }
    }
    result = zcb_buf_set_len(buf, plane_bytes * planes);
    zcb_buf_share(&buf, &out->bytes);
    out->plane_stride = out->format.planar ? (uint32_t)plane_bytes : 0;
    return result < 0 ? result : 1;
}

int
zcb_audio_gather(const struct zcb_audio_packet *packets, size_t n, struct zcb_pool *pool,
                 struct zcb_audio_packet *out)
{
    const struct zcb_audio_packet *last = NULL; // that is not empty
    struct zcb_audio_packet sum;
    uint64_t frames = 0;
    uint32_t all = UINT32_MAX, any = 0;
    bool beside = true;
    int result = 0;

    if (packets == NULL || n == 0 || out == NULL || zcb_audio_format_check(&packets->format) < 0)
        return -EINVAL;
    sum = packets[0];
    for (size_t i = 0; i < n; i++) {
        if (!audio_same_format(&packets[i].format, &packets->format))
            return -EINVAL;
        frames += packets[i].frames;
        if (frames > ZCB_AUDIO_MAX_PACKET / zcb_audio_frame_bytes(&packets->format))
            return -ERANGE;
        all &= packets[i].flags;
        any |= packets[i].flags;
        if (packets[i].frames == 0)
            continue;
        if (last == NULL) {
            sum.bytes = packets[i].bytes;
            sum.plane_stride = packets[i].plane_stride;
        } else {
            beside = beside && is_beside(last, &packets[i]);
        }
        last = &packets[i];
    }
    sum.frames = (uint32_t)frames;
    sum.flags = (packets[0].flags & ZCB_AUDIO_DISCONTINUITY) |
                (packets[n - 1].flags & ZCB_AUDIO_END) | (all & ZCB_AUDIO_SILENCE) |
                (any & ZCB_AUDIO_CONCEALED);
    if (beside) {
        sum.bytes.len = reach(&sum, frames);
        zcb_packet_ref_n(&sum.bytes, 1);
    } else if (pool == NULL) {
        return -EINVAL;
    } else {
        result = copy_all(packets, n, pool, &sum);
    }
    if (result >= 0)
        *out = sum;
    return result;
}
