// SPDX-License-Identifier: MIT
//
// Random packets through the rechunker, and random deliveries through a sink, beside a plain array:
// no frame is lost, changed or seen twice, and each copied byte is accounted for.

#include "testing.h"

#include "unit/audio_testing.h"

enum { FRAMES = 5000, CHANNELS = 3 };

static const uint8_t sample_bytes[] = {0, 2, 3, 4, 4, 4, 8};

struct model {
    uint64_t random;
    struct zcb_pool *pool;
    struct zcb_audio_format format;
    uint32_t sample; // bytes of one
    uint8_t *bytes;  // [frame][channel][sample]
    uint64_t pts;    // of frame 0
    uint32_t pushed, pulled;
    uint8_t breaks[FRAMES + 1]; // time breaks in front of this frame
};

static size_t
below(struct model *m, size_t n)
{
    return zcb_test_below(&m->random, n);
}

static const uint8_t *
sample_of(const struct model *m, uint32_t frame, uint32_t channel)
{
    return m->bytes + ((size_t)frame * CHANNELS + channel) * m->sample;
}

static void
begin(struct model *m)
{
    m->format = (struct zcb_audio_format){.rate = 48000,
                                          .channels = CHANNELS,
                                          .sample = (uint8_t)(1 + below(m, 6)),
                                          .planar = (uint8_t)below(m, 2)};
    m->sample = sample_bytes[m->format.sample];
    m->pts = below(m, 2) == 0 ? below(m, 100000) : UINT64_MAX - below(m, FRAMES);
    m->pushed = m->pulled = 0;
    memset(m->breaks, 0, sizeof(m->breaks));
    m->bytes = malloc((size_t)FRAMES * CHANNELS * m->sample);
    assert_non_null(m->bytes);
    for (size_t i = 0; i < (size_t)FRAMES * CHANNELS * m->sample; i++)
        m->bytes[i] = (uint8_t)zcb_test_random(&m->random);
}

// The next `frames` frames as a packet in memory of its own.
static struct zcb_audio_packet
make(struct model *m, uint32_t frames)
{
    struct zcb_packet raw = must_packet(m->pool, (size_t)frames * CHANNELS * m->sample);
    uint8_t *to = (uint8_t *)(uintptr_t)raw.data;
    struct zcb_audio_packet packet;

    for (uint32_t i = 0; i < frames * CHANNELS; i++, to += m->sample)
        memcpy(to,
               m->format.planar ? sample_of(m, m->pushed + i % frames, i / frames)
                                : sample_of(m, m->pushed + i / CHANNELS, i % CHANNELS),
               m->sample);
    assert_int_equal(zcb_audio_packet_init(&packet, &m->format, &raw, m->pts + m->pushed), 0);
    m->pushed += frames;
    return packet;
}

static void
check(struct model *m, const struct zcb_audio_packet *packet)
{
    struct zcb_audio_channel channel;

    assert_int_equal(packet->pts_frames, m->pts + m->pulled);
    for (uint32_t c = 0; c < CHANNELS; c++) {
        assert_int_equal(zcb_audio_packet_channel(packet, c, &channel), 0);
        assert_int_equal(channel.frames, packet->frames);
        for (uint32_t i = 0; i < packet->frames; i++)
            assert_memory_equal(channel.data + (size_t)i * channel.stride,
                                sample_of(m, m->pulled + i, c), m->sample);
    }
    m->pulled += packet->frames;
}

static uint64_t
copied(void)
{
    struct zcb_copies copies;

    zcb_copies_thread(&copies);
    return zcb_copies_bytes(&copies);
}

// ---- rechunk

// As push, whole or in slices that lie side by side; *end of each memory is marked in `edge`.
static void
push(struct model *m, struct zcb_audio_rechunk *rechunk, uint8_t *edge)
{
    uint32_t first = m->pushed, frames = (uint32_t)(1 + below(m, 60));
    struct zcb_audio_packet packet, part;

    if (frames > FRAMES - m->pushed)
        frames = FRAMES - m->pushed;
    packet = make(m, frames);
    if (below(m, 20) == 0) {
        packet.flags = ZCB_AUDIO_DISCONTINUITY;
        m->breaks[first] = 1;
    }
    edge[m->pushed] = 1;
    while (below(m, 3) != 0 && packet.frames > 1) {
        uint32_t front = (uint32_t)(1 + below(m, packet.frames - 1));

        assert_int_equal(zcb_audio_packet_slice(&packet, 0, front, &part), 0);
        assert_int_equal(zcb_audio_packet_discard(&packet, front), 0);
        if (zcb_audio_rechunk_push(rechunk, &part) != 0)
            fail();
    }
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
}

// Frames that the next output must have, were it asked for; 0: -EAGAIN.
static uint32_t
expected(const struct model *m, uint32_t frames, bool flush)
{
    uint32_t n = 0;

    while (n < frames && m->pulled + n < m->pushed && (n == 0 || !m->breaks[m->pulled + n]))
        n++;
    if (n == frames || flush || (m->pulled + n < m->pushed && n != 0))
        return n;
    return 0;
}

static void
pull(struct model *m, struct zcb_audio_rechunk *rechunk, uint32_t frames, bool flush,
     const uint8_t *edge)
{
    uint32_t want = expected(m, frames, flush);
    uint64_t before = copied();
    struct zcb_audio_packet packet;
    bool crosses = false;
    int result = flush ? zcb_audio_rechunk_flush(rechunk, &packet)
                       : zcb_audio_rechunk_pull(rechunk, &packet);

    if (want == 0) {
        assert_int_equal(result, -EAGAIN);
        return;
    }
    for (uint32_t i = 1; i < want; i++)
        crosses |= edge[m->pulled + i] != 0;
    assert_int_equal(result, crosses);
    assert_int_equal(copied() - before, crosses ? want * CHANNELS * m->sample : 0);
    assert_int_equal(packet.frames, want);
    assert_int_equal((packet.flags & ZCB_AUDIO_DISCONTINUITY) != 0, m->breaks[m->pulled]);
    check(m, &packet);
    assert_int_equal(zcb_audio_rechunk_frames(rechunk), m->pushed - m->pulled);
    zcb_audio_packet_unref(&packet);
}

static void
rechunking_is_cutting_an_array(void **state)
{
    struct model m = {.random = zcb_test_seed()};

    (void)state;
    m.pool = must_create(NULL);
    for (size_t round = 0; round < zcb_test_rounds(150); round++) {
        uint32_t frames = (uint32_t)(1 + below(&m, 200));
        struct zcb_audio_rechunk *rechunk = NULL;
        uint8_t edge[FRAMES + 1] = {0};

        begin(&m);
        assert_int_equal(zcb_audio_rechunk_create(m.pool, &m.format, frames, &rechunk), 0);
        while (m.pushed < FRAMES) {
            // Few enough inputs that the ring is never full: slices are at most 6 or so.
            push(&m, rechunk, edge);
            for (size_t n = 1 + below(&m, 4); n > 0 || m.pushed - m.pulled >= frames; n -= n > 0)
                pull(&m, rechunk, frames, below(&m, 12) == 0 || m.pushed - m.pulled > 300, edge);
        }
        while (m.pulled < m.pushed)
            pull(&m, rechunk, frames, true, edge);
        pull(&m, rechunk, frames, true, edge);
        zcb_audio_rechunk_destroy(&rechunk);
        free(m.bytes);
    }
    must_end(&m.pool);
}

// ---- sink

static void
a_sink_gives_each_consumer_what_was_captured(void **state)
{
    struct model m = {.random = zcb_test_seed()};

    (void)state;
    m.pool = must_create(NULL);
    for (size_t round = 0; round < zcb_test_rounds(150); round++) {
        struct zcb_audio_sink_config config = {.packet_frames = (uint32_t)(1 + below(&m, 300)),
                                               .buffers = 3,
                                               .max_buffers = 3,
                                               .flags = (uint32_t)below(&m, 2)};
        struct zcb_audio_stamp stamp = {.flags = ZCB_AUDIO_HAS_PTS};
        struct zcb_audio_consumer *consumer[2];
        struct zcb_audio_packet packet;
        struct zcb_audio_sink *sink = NULL;
        uint32_t read[2] = {0};

        begin(&m);
        assert_int_equal(zcb_audio_sink_create(m.pool, &m.format, &config, &sink), 0);
        for (size_t i = 0; i < 2; i++)
            consumer[i] = must_listen(sink, ZCB_AUDIO_LAG_HOLD, 0);
        while (m.pushed < FRAMES) {
            uint32_t left = (uint32_t)(1 + below(&m, 400));
            struct zcb_audio_span span;

            if (left > FRAMES - m.pushed)
                left = FRAMES - m.pushed;
            stamp.pts_frames = m.pts + m.pushed;
            for (bool first = true; left != 0; first = false) {
                uint32_t n = (uint32_t)(1 + below(&m, left));

                assert_int_equal(zcb_audio_sink_begin(sink, n, first ? &stamp : NULL, &span), 0);
                assert_false(span.dropped);
                n = span.frames;
                for (uint32_t i = 0; i < n * CHANNELS; i++) {
                    uint32_t c = i % CHANNELS, frame = i / CHANNELS;
                    uint8_t *to = m.format.planar ? span.plane[c] + (size_t)frame * m.sample
                                                  : span.plane[0] + (size_t)i * m.sample;

                    memcpy(to, sample_of(&m, m.pushed + frame, c), m.sample);
                }
                assert_true(zcb_audio_sink_commit(sink, n) >= 0);
                m.pushed += n;
                left -= n;
                for (size_t i = 0; i < 2; i++)
                    while (zcb_audio_consumer_read(consumer[i], 0, &packet) == 1) {
                        m.pulled = read[i];
                        check(&m, &packet);
                        read[i] = m.pulled;
                        zcb_audio_packet_unref(&packet);
                    }
            }
            if (m.pushed == FRAMES)
                zcb_audio_sink_end(sink);
        }
        for (size_t i = 0; i < 2; i++) {
            while (zcb_audio_consumer_read(consumer[i], 0, &packet) == 1) {
                m.pulled = read[i];
                check(&m, &packet);
                read[i] = m.pulled;
                zcb_audio_packet_unref(&packet);
            }
            assert_int_equal(read[i], FRAMES);
            assert_int_equal(must_consumer_stats(consumer[i]).discontinuities, 0);
            zcb_audio_consumer_close(&consumer[i]);
        }
        assert_int_equal(must_sink_stats(sink).misses, 0);
        zcb_audio_sink_destroy(&sink);
        free(m.bytes);
    }
    must_end(&m.pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rechunking_is_cutting_an_array),
        cmocka_unit_test(a_sink_gives_each_consumer_what_was_captured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
