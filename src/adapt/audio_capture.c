// SPDX-License-Identifier: MIT
//
// The capture thread's calls: the packet under way, and the span of it that the device may write to.
// All state here is that thread's alone; what others see goes through audio_buffers.c and the queues.
#include "audio.h"

#define MAX_FRAMES (1u << 24) // of one delivery

// There is a packet under way; if need be one that will be dropped.
static void
begin_packet(struct zcb_audio_sink *sink)
{
    // One to be dropped, of which nothing was committed: there may be a buffer by now.
    if (sink->filling == &sink->waste && sink->filled == 0)
        (void)audio_publish(sink, 0);
    if (sink->filling == NULL)
        sink->filling = audio_take(sink);
    if (sink->filling == NULL)
        sink->filling = &sink->waste;
}

static uint32_t
smaller(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

// Lets the span show frames from `first` on in the slot's planes.
static void
point(struct zcb_audio_sink *sink, const struct audio_slot *slot, uint32_t first)
{
    for (uint32_t i = 0; i < sink->planes; i++)
        sink->plane[i] = slot->data + (size_t)i * sink->plane_stride + (size_t)first * sink->step;
}

static void
silence(struct zcb_audio_sink *sink, uint32_t frames)
{
    for (uint32_t i = 0; i < sink->planes; i++)
        memset(sink->plane[i], 0, (size_t)frames * sink->step);
}

// Frames have been written behind those that are there.
static bool
advance(struct zcb_audio_sink *sink, uint32_t frames, bool silent)
{
    if (sink->filled == 0) {
        sink->pts = sink->clock.next_pts;
        sink->silent = 0;
    }
    sink->filled += frames;
    sink->silent += silent ? frames : 0;
    sink->clock.next_pts += frames;
    if (sink->filled < sink->packet_frames && !sink->as_delivered)
        return false;
    return audio_publish(sink, 0);
}

static void
conceal(struct zcb_audio_sink *sink, uint64_t missing)
{
    audio_add(&sink->stats.concealed_frames, missing);
    while (missing != 0) {
        uint32_t here;

        begin_packet(sink);
        here = smaller(missing, sink->packet_frames - sink->filled);
        point(sink, sink->filling, sink->filled);
        silence(sink, here);
        sink->flags |= ZCB_AUDIO_CONCEALED;
        missing -= here;
        (void)advance(sink, here, true);
    }
}

// Publishes what there is of the packet under way.
static void
finish_packet(struct zcb_audio_sink *sink, uint32_t flags)
{
    if (sink->filled != 0)
        (void)audio_publish(sink, flags);
}

static void
judge(struct zcb_audio_sink *sink, const struct zcb_audio_stamp *stamp, uint32_t frames)
{
    struct audio_verdict verdict = audio_clock_judge(&sink->clock, stamp, frames, &sink->stats);

    sink->dropping = verdict.drop ? frames : 0;
    sink->silencing = (stamp->flags & ZCB_AUDIO_SILENCE) != 0 && !verdict.drop ? frames : 0;
    if (verdict.drop)
        return;
    if (verdict.missing != 0 && verdict.missing <= sink->conceal && !verdict.broken) {
        conceal(sink, verdict.missing);
    } else if (verdict.missing != 0 || verdict.broken) {
        finish_packet(sink, 0);
        sink->clock.next_pts += verdict.missing;
        sink->flags |= ZCB_AUDIO_DISCONTINUITY;
    }
}

int
zcb_audio_sink_begin(struct zcb_audio_sink *sink, uint32_t frames,
                     const struct zcb_audio_stamp *stamp, struct zcb_audio_span *out)
{
    const uint32_t known =
        ZCB_AUDIO_HAS_PTS | ZCB_AUDIO_HAS_SEQUENCE | ZCB_AUDIO_DISCONTINUITY | ZCB_AUDIO_SILENCE;

    if (sink == NULL || out == NULL || frames == 0 || frames > MAX_FRAMES || sink->ended != 0 ||
        (stamp != NULL && (stamp->flags & ~known) != 0))
        return -EINVAL;
    if (stamp != NULL)
        judge(sink, stamp, frames);
    if (sink->dropping != 0) {
        sink->span = AUDIO_SPAN_TO_DROP;
        sink->span_frames = smaller(smaller(frames, sink->dropping), sink->packet_frames);
        point(sink, &sink->waste, 0);
    } else {
        begin_packet(sink);
        sink->span = AUDIO_SPAN;
        sink->span_frames = smaller(frames, sink->packet_frames - sink->filled);
        if (sink->silencing != 0)
            sink->span_frames = smaller(sink->silencing, sink->span_frames);
        sink->span_silent = sink->silencing != 0;
        point(sink, sink->filling, sink->filled);
        if (sink->span_silent)
            silence(sink, sink->span_frames);
    }
    *out = (struct zcb_audio_span){
        .plane = sink->plane,
        .planes = sink->planes,
        .frames = sink->span_frames,
        .bytes = sink->span_frames * sink->step,
        .dropped = sink->span == AUDIO_SPAN_TO_DROP || sink->filling == &sink->waste,
    };
    return 0;
}

int
zcb_audio_sink_commit(struct zcb_audio_sink *sink, uint32_t frames)
{
    enum audio_span span;

    if (sink == NULL || sink->span == AUDIO_NO_SPAN)
        return -EINVAL;
    if (frames > sink->span_frames)
        return -ERANGE;
    span = sink->span;
    sink->span = AUDIO_NO_SPAN;
    if (span == AUDIO_SPAN_TO_DROP) {
        sink->dropping -= frames;
        return 0;
    }
    sink->silencing -= sink->span_silent ? frames : 0;
    return frames != 0 && advance(sink, frames, sink->span_silent);
}

int
zcb_audio_sink_write(struct zcb_audio_sink *sink, const void *const *planes, size_t bytes,
                     const struct zcb_audio_stamp *stamp)
{
    bool silent = stamp != NULL && (stamp->flags & ZCB_AUDIO_SILENCE) != 0;
    struct zcb_audio_span span;
    int published = 0, result;
    size_t done = 0;

    if (sink == NULL || (planes == NULL && bytes != 0 && !silent))
        return -EINVAL;
    if (bytes % sink->step != 0)
        return -EBADMSG;
    if (bytes / sink->step > MAX_FRAMES)
        return -EINVAL;
    while (done < bytes) {
        result = zcb_audio_sink_begin(sink, (uint32_t)((bytes - done) / sink->step),
                                      done == 0 ? stamp : NULL, &span);
        if (result < 0)
            return result;
        for (uint32_t i = 0; i < span.planes && !silent && !span.dropped; i++)
            audio_copy(span.plane[i], (const uint8_t *)planes[i] + done, span.bytes);
        result = zcb_audio_sink_commit(sink, span.frames);
        published += result;
        done += span.bytes;
    }
    return published;
}

void
zcb_audio_sink_flush(struct zcb_audio_sink *sink)
{
    if (sink == NULL || sink->ended != 0)
        return;
    sink->span = AUDIO_NO_SPAN;
    finish_packet(sink, 0);
}

void
zcb_audio_sink_end(struct zcb_audio_sink *sink)
{
    if (sink == NULL || sink->ended != 0)
        return;
    sink->span = AUDIO_NO_SPAN;
    finish_packet(sink, ZCB_AUDIO_END);
    if (sink->filling != NULL && sink->filling != &sink->waste)
        audio_come_back(sink->filling, NULL, 0); // taken, and nothing was written
    sink->filling = NULL;
    // Release: who sees it sees the last packet in its queue.
    __atomic_store_n(&sink->ended, 1, __ATOMIC_RELEASE);
}
