// SPDX-License-Identifier: MIT
//
// What tests of the audio sink do all the time. Needs testing.h in front of it. The functions called
// must_ use CHECK() and may run on any thread.
#ifndef ZCB_TESTS_AUDIO_TESTING_H
#define ZCB_TESTS_AUDIO_TESTING_H

#include "support/pools.h"

#include <zcbuf/adapt/audio.h>

// 10 ms are 480 frames, 3840 bytes.
static const struct zcb_audio_format audio_stereo = {48000, 2, ZCB_AUDIO_F32, 0};

static inline struct zcb_audio_sink *
must_sink(struct zcb_pool *pool, const struct zcb_audio_sink_config *config)
{
    struct zcb_audio_sink *sink = NULL;

    CHECK(zcb_audio_sink_create(pool, &audio_stereo, config, &sink) == 0);
    return sink;
}

static inline struct zcb_audio_consumer *
must_listen(struct zcb_audio_sink *sink, enum zcb_audio_lag lag, uint32_t depth)
{
    struct zcb_audio_consumer_config config = {.lag = lag, .depth = depth};
    struct zcb_audio_consumer *consumer = NULL;

    CHECK(zcb_audio_consumer_open(sink, &config, &consumer) == 0);
    return consumer;
}

// One delivery of `frames` frames, each of which holds its number, counted by *number. Returns the
// packets that were published.
static inline int
must_deliver(struct zcb_audio_sink *sink, uint32_t frames, const struct zcb_audio_stamp *stamp,
             uint64_t *number)
{
    int published = 0, result;

    while (frames != 0) {
        struct zcb_audio_span span;

        CHECK(zcb_audio_sink_begin(sink, frames, stamp, &span) == 0);
        CHECK(span.frames >= 1 && span.frames <= frames && span.bytes == span.frames * 8);
        for (uint32_t i = 0; i < span.frames; i++, (*number)++)
            memcpy(span.plane[0] + (size_t)i * 8, number, 8);
        result = zcb_audio_sink_commit(sink, span.frames);
        CHECK(result == 0 || result == 1);
        published += result;
        frames -= span.frames;
        stamp = NULL;
    }
    return published;
}

// The number in a frame of the packet.
static inline uint64_t
audio_frame(const struct zcb_audio_packet *packet, uint32_t i)
{
    uint64_t number;

    CHECK(i < packet->frames);
    memcpy(&number, packet->bytes.data + (size_t)i * 8, 8);
    return number;
}

// The next packet, which is there; its frames count on from the first.
static inline struct zcb_audio_packet
must_read(struct zcb_audio_consumer *consumer)
{
    struct zcb_audio_packet packet = {0};

    CHECK(zcb_audio_consumer_read(consumer, 0, &packet) == 1);
    CHECK(packet.bytes.len == (size_t)packet.frames * 8);
    for (uint32_t i = 1;
         i < packet.frames && (packet.flags & (ZCB_AUDIO_CONCEALED | ZCB_AUDIO_SILENCE)) == 0; i++)
        CHECK(audio_frame(&packet, i) == audio_frame(&packet, 0) + i);
    return packet;
}

// The first frame's number of the next packet, which is dropped.
static inline uint64_t
must_read_first(struct zcb_audio_consumer *consumer)
{
    struct zcb_audio_packet packet = must_read(consumer);
    uint64_t first = audio_frame(&packet, 0);

    zcb_audio_packet_unref(&packet);
    return first;
}

static inline bool
has_nothing(struct zcb_audio_consumer *consumer)
{
    struct zcb_audio_packet packet;

    return zcb_audio_consumer_read(consumer, 0, &packet) == -EAGAIN;
}

static inline struct zcb_audio_sink_stats
must_sink_stats(const struct zcb_audio_sink *sink)
{
    struct zcb_audio_sink_stats stats;

    memset(&stats, 0xee, sizeof(stats));
    CHECK(zcb_audio_sink_stats(sink, &stats, sizeof(stats)) == 0);
    CHECK(stats.acquires == stats.recycled + stats.first_uses + stats.drops_newest ||
          stats.acquires == stats.recycled + stats.first_uses + stats.drops_newest + 1);
    return stats;
}

static inline struct zcb_audio_consumer_stats
must_consumer_stats(const struct zcb_audio_consumer *consumer)
{
    struct zcb_audio_consumer_stats stats;

    memset(&stats, 0xee, sizeof(stats));
    CHECK(zcb_audio_consumer_stats(consumer, &stats, sizeof(stats)) == 0);
    CHECK(stats.offered == stats.delivered + stats.dropped_oldest + stats.skipped + stats.refused +
                               zcb_audio_consumer_waiting(consumer));
    return stats;
}

#endif
