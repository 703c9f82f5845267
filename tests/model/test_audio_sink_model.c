// SPDX-License-Identifier: MIT
//
// Random devices, consumers and programs on one sink, beside a plain model of it: each packet, each
// return value and each counter is the same.

#include "testing.h"

#include "support/pools.h"

#include "audio_reference.h"

enum { STEPS = 400, HELD = 8 };

struct held {
    struct zcb_audio_packet packet;
    struct ref_packet *expected;
};

struct model {
    uint64_t random;
    struct ref ref;
    struct zcb_pool *pool;
    struct zcb_audio_format format;
    uint32_t sample, planes;
    struct zcb_audio_sink *sink;
    struct zcb_audio_consumer *consumer[REF_CONSUMERS];
    uint32_t max_consumers, max_depth;
    struct held held[HELD];
    uint64_t next_id;
    // The device.
    uint64_t device_pts;
    uint32_t device_sequence, device_frames, stamped;
};

static uint32_t
below(struct model *m, uint32_t n)
{
    return (uint32_t)zcb_test_below(&m->random, n);
}

static bool
one_in(struct model *m, uint32_t n)
{
    return below(m, n) == 0;
}

static uint32_t
otherwise(uint32_t value, uint32_t if_zero)
{
    return value != 0 ? value : if_zero;
}

static void
begin(struct model *m)
{
    static const uint32_t rates[] = {1, 99, 100, 8000, 48000, ZCB_AUDIO_MAX_RATE};
    static const uint8_t bytes[] = {0, 2, 3, 4, 4, 4, 8};
    struct ref *r = &m->ref;
    struct zcb_audio_sink_config *config = &r->config;
    bool *used = r->used;

    m->format = (struct zcb_audio_format){
        .rate = rates[below(m, 6)],
        .channels = (uint16_t)(one_in(m, 20) ? ZCB_AUDIO_MAX_CHANNELS : 1 + below(m, 3)),
        .sample = (uint8_t)(1 + below(m, 6)),
        .planar = (uint8_t)below(m, 2)};
    m->sample = bytes[m->format.sample];
    m->planes = m->format.planar ? m->format.channels : 1;
    m->max_consumers = one_in(m, 10) ? 64 : 1 + below(m, 4);
    m->max_depth = 1 + below(m, one_in(m, 3) ? 1 : REF_DEPTH - 1);
    memset(r, 0, sizeof(*r));
    r->used = used;
    *config =
        (struct zcb_audio_sink_config){.packet_frames = 1 + below(m, one_in(m, 4) ? 1 : REF_FRAMES),
                                       .buffers = 1 + below(m, 6),
                                       .spare = 1 + below(m, 4),
                                       .full = (enum zcb_audio_full)below(m, 3),
                                       .flags = one_in(m, 4) ? ZCB_AUDIO_AS_DELIVERED : 0,
                                       .max_consumers = m->max_consumers,
                                       .max_depth = m->max_depth,
                                       .tolerance_frames = one_in(m, 2) ? 0 : below(m, 40),
                                       .max_gap_frames = one_in(m, 4) ? 0 : below(m, 400),
                                       .conceal_frames = one_in(m, 2) ? 0 : below(m, 300),
                                       .stall_after = below(m, 4)};
    config->max_buffers = config->buffers + below(m, 3) * below(m, REF_BUFFERS / 3);
    assert_int_equal(zcb_audio_sink_create(m->pool, &m->format, config, &m->sink), 0);
    config->max_gap_frames = otherwise(config->max_gap_frames, m->format.rate);
    config->stall_after = otherwise(config->stall_after, 4);
    for (uint32_t i = 0; i < config->buffers; i++)
        ref_prepare(r);
    m->next_id = 1;
    m->device_pts = one_in(m, 2)   ? below(m, 1000)
                    : one_in(m, 2) ? UINT64_MAX - below(m, 1000)
                                   : (UINT64_C(1) << 63) - below(m, 1000);
    m->device_sequence = UINT32_MAX - below(m, 50);
    m->device_frames = 0;
    m->stamped =
        (one_in(m, 3) ? 0 : ZCB_AUDIO_HAS_PTS) | (one_in(m, 2) ? 0 : ZCB_AUDIO_HAS_SEQUENCE);
    if (one_in(m, 4))
        assert_int_equal(zcb_audio_sink_warm(m->sink), 0);
}

// ---- frames

static uint8_t
byte_of(uint64_t id, uint32_t channel, uint32_t i)
{
    return id == 0 ? 0 : (uint8_t)((id * 0x9e3779b1u + channel * 31) >> (i * 4)) | 1;
}

static void
write_frames(const struct model *m, const struct zcb_audio_span *span, uint64_t first)
{
    for (uint32_t f = 0; f < span->frames; f++)
        for (uint32_t c = 0; c < m->format.channels; c++) {
            uint8_t *to = m->format.planar
                              ? span->plane[c] + (size_t)f * m->sample
                              : span->plane[0] + ((size_t)f * m->format.channels + c) * m->sample;

            for (uint32_t i = 0; i < m->sample; i++)
                to[i] = byte_of(first + f, c, i);
        }
}

static void
check_frames(const struct model *m, const struct zcb_audio_packet *packet,
             const struct ref_packet *expected)
{
    struct zcb_audio_channel channel;

    for (uint32_t c = 0; c < m->format.channels; c++) {
        assert_int_equal(zcb_audio_packet_channel(packet, c, &channel), 0);
        for (uint32_t f = 0; f < packet->frames; f++)
            for (uint32_t i = 0; i < m->sample; i++)
                if (channel.data[(size_t)f * channel.stride + i] != byte_of(expected->id[f], c, i))
                    fail_msg("frame %u, channel %u", f, c);
    }
}

// ---- what a device says

static uint32_t
invent_stamp(struct model *m, struct zcb_audio_stamp *stamp)
{
    uint32_t frames = 1 + below(m, one_in(m, 5) ? 300 : 60), trouble = below(m, 40);

    if (one_in(m, 10))
        m->stamped ^= one_in(m, 2) ? ZCB_AUDIO_HAS_PTS : ZCB_AUDIO_HAS_SEQUENCE;
    *stamp =
        (struct zcb_audio_stamp){.flags = m->stamped | (one_in(m, 12) ? ZCB_AUDIO_SILENCE : 0) |
                                          (one_in(m, 25) ? ZCB_AUDIO_DISCONTINUITY : 0)};
    m->device_pts += m->device_frames; // of the last delivery
    m->device_sequence++;
    if (trouble == 0)
        m->device_sequence += below(m, 4);
    else if (trouble == 1)
        m->device_pts += below(m, 500);
    else if (trouble == 2)
        m->device_pts -= below(m, 500);
    else if (trouble == 3)
        m->device_pts += UINT64_C(1) << 63;
    else if (trouble == 4)
        m->device_sequence += one_in(m, 2) ? 65536 + below(m, 3) : UINT32_C(1) << 31;
    else if (trouble == 5)
        m->device_sequence -= below(m, 70);
    stamp->pts_frames = m->device_pts;
    stamp->sequence = m->device_sequence;
    m->device_frames = frames;
    if (trouble >= 6 && trouble < 9) { // the same once more
        m->device_sequence -= trouble != 7;
        stamp->sequence = m->device_sequence;
        m->device_frames = 0;
    } else if (trouble == 9) { // it is late
        stamp->sequence -= 1 + below(m, 66);
        stamp->pts_frames -= below(m, 200);
    } else if (trouble == 10) {
        stamp->pts_frames += below(m, 80);
        stamp->pts_frames -= below(m, 80);
    }
    if (trouble == 6) // a clock that stands still
        m->device_frames = 0;
    return frames;
}

static void
one_span(struct model *m, uint32_t frames, const struct zcb_audio_stamp *stamp, uint32_t *done)
{
    struct ref *r = &m->ref;
    struct zcb_audio_span span;
    uint32_t want, n;
    bool dropped, silent, published = false;

    if (stamp != NULL)
        ref_stamp(r, stamp, frames);
    dropped = r->dropping != 0;
    silent = !dropped && r->silencing != 0;
    want = r->config.packet_frames;
    if (!dropped) {
        ref_need_buffer(r);
        want -= r->filled;
    }
    want = frames < want ? frames : want;
    if (dropped && want > r->dropping)
        want = r->dropping;
    if (silent && want > r->silencing)
        want = r->silencing;
    assert_int_equal(zcb_audio_sink_begin(m->sink, frames, stamp, &span), 0);
    assert_int_equal(span.frames, want);
    assert_int_equal(span.planes, m->planes);
    assert_int_equal(span.bytes, want * m->sample * (m->format.planar ? 1 : m->format.channels));
    assert_int_equal(span.dropped, dropped || r->where == REF_WASTE);
    if (!silent)
        write_frames(m, &span, m->next_id);
    *done = want;
    if (one_in(m, 30)) // not committed
        return;
    assert_int_equal(zcb_audio_sink_commit(m->sink, want + 1), -ERANGE);
    n = one_in(m, 10) ? below(m, want + 1) : want;
    *done = n;
    if (dropped) {
        r->dropping -= n;
    } else {
        r->silencing -= silent ? n : 0;
        for (uint32_t i = 0; i < n; i++)
            published |= ref_frame(r, silent ? 0 : m->next_id + i, silent, i + 1 == n);
    }
    m->next_id += n;
    assert_int_equal(zcb_audio_sink_commit(m->sink, n), published);
    assert_int_equal(zcb_audio_sink_commit(m->sink, 0), -EINVAL);
}

static void
deliver(struct model *m)
{
    struct zcb_audio_stamp stamp;
    uint32_t frames = invent_stamp(m, &stamp), done;
    bool first = !one_in(m, 15);

    for (int spans = 0; frames != 0 && spans < 400; frames -= done, first = false, spans++)
        one_span(m, frames, first ? &stamp : NULL, &done);
}

// ---- what a program does

static void
let_go(struct model *m, struct held *held)
{
    if (held->expected == NULL)
        return;
    check_frames(m, &held->packet, held->expected);
    zcb_audio_packet_unref(&held->packet);
    ref_unref(&m->ref, held->expected);
    held->expected = NULL;
}

static bool
read_one(struct model *m, uint32_t i, bool keep)
{
    struct held now, *place = &m->held[below(m, HELD)];
    uint32_t flags;
    int result = zcb_audio_consumer_read(m->consumer[i], 0, &now.packet);

    now.expected = ref_read(&m->ref, &m->ref.consumer[i], &flags);
    if (now.expected == NULL) {
        assert_int_equal(result, m->ref.ended ? 0 : -EAGAIN);
        return false;
    }
    assert_int_equal(result, 1);
    assert_int_equal(now.packet.pts_frames, now.expected->pts);
    assert_int_equal(now.packet.number, now.expected->number);
    assert_int_equal(now.packet.frames, now.expected->frames);
    assert_int_equal(now.packet.flags, flags);
    assert_memory_equal(&now.packet.format, &m->format, sizeof(m->format));
    assert_int_equal(now.packet.plane_stride != 0, m->format.planar);
    assert_int_equal(now.packet.plane_stride % 64, 0);
    assert_int_equal(now.packet.bytes.len, (m->planes - 1) * (size_t)now.packet.plane_stride +
                                               (size_t)now.packet.frames * m->sample *
                                                   (m->format.planar ? 1 : m->format.channels));
    check_frames(m, &now.packet, now.expected);
    if (keep) {
        let_go(m, place);
        *place = now;
    } else {
        let_go(m, &now);
    }
    return true;
}

static void
open_or_close(struct model *m)
{
    uint32_t free = 0, i = below(m, m->max_consumers);
    struct zcb_audio_consumer_config config = {.lag = (enum zcb_audio_lag)below(m, 3),
                                               .depth = below(m, m->max_depth + 1)};
    struct zcb_audio_consumer *consumer = NULL;
    int result;

    if (one_in(m, 3)) {
        zcb_audio_consumer_close(&m->consumer[i]);
        ref_close(&m->ref, &m->ref.consumer[i]);
        return;
    }
    while (free < m->max_consumers && m->consumer[free] != NULL)
        free++;
    result = zcb_audio_consumer_open(m->sink, &config, &consumer);
    if (free == m->max_consumers) {
        assert_int_equal(result, -ENOBUFS);
        return;
    }
    assert_int_equal(result, 0);
    m->consumer[free] = consumer; // the first that is free
    m->ref.consumer[free] = (struct ref_consumer){
        .open = true,
        .lag = config.lag,
        .depth = otherwise(config.depth, m->max_depth < 8 ? m->max_depth : 8)};
}

static void
compare(struct model *m)
{
    struct zcb_audio_sink_stats now, *want = &m->ref.stats;

    assert_int_equal(zcb_audio_sink_stats(m->sink, &now, sizeof(now)), 0);
    want->buffers = m->ref.service_buffers;
    want->in_use = m->ref.out;
#define SAME(name, gauge, help)                                                                    \
    if (now.name != want->name)                                                                    \
        fail_msg(#name ": %" PRIu64 " for %" PRIu64, now.name, want->name);
    ZCB_AUDIO_SINK_STATS(SAME)
#undef SAME
    for (uint32_t i = 0; i < m->max_consumers; i++) {
        struct zcb_audio_consumer_stats mine, *its = &m->ref.consumer[i].stats;

        if (m->consumer[i] == NULL)
            continue;
        assert_int_equal(zcb_audio_consumer_waiting(m->consumer[i]), m->ref.consumer[i].count);
        assert_int_equal(zcb_audio_consumer_stats(m->consumer[i], &mine, sizeof(mine)), 0);
        assert_memory_equal(&mine, its, sizeof(mine));
    }
}

static void
finish(struct model *m)
{
    if (one_in(m, 2)) {
        zcb_audio_sink_end(m->sink);
        ref_end(&m->ref);
        compare(m);
    } else {
        ref_end(&m->ref);
    }
    if (one_in(m, 2))
        zcb_audio_sink_destroy(&m->sink);
    for (uint32_t i = 0; i < m->max_consumers; i++) {
        while (m->sink == NULL && m->consumer[i] != NULL && read_one(m, i, one_in(m, 3)))
            continue;
        zcb_audio_consumer_close(&m->consumer[i]);
        ref_close(&m->ref, &m->ref.consumer[i]);
    }
    zcb_audio_sink_destroy(&m->sink);
    for (uint32_t i = 0; i < HELD; i++)
        let_go(m, &m->held[i]);
    assert_int_equal(m->ref.out, 0);
    assert_int_equal(must_stats(m->pool).total.live, 0);
}

static void
a_sink_does_what_its_header_says(void **state)
{
    struct model *m = calloc(1, sizeof(*m));

    (void)state;
    assert_non_null(m);
    m->random = zcb_test_seed();
    m->ref.used = calloc(1 << 20, sizeof(bool));
    assert_non_null(m->ref.used);
    m->pool = must_create(NULL);
    for (size_t round = 0; round < zcb_test_rounds(300); round++) {
        uint32_t eager = 1 + below(m, 6);

        begin(m);
        open_or_close(m);
        for (uint32_t step = 0; step < STEPS; step++) {
            uint32_t what = below(m, 100), i = below(m, m->max_consumers);

            if (what < 40)
                deliver(m);
            else if (what < 40 + 8 * eager && m->consumer[i] != NULL)
                (void)read_one(m, i, one_in(m, 3));
            else if (what < 90)
                let_go(m, &m->held[below(m, HELD)]);
            else if (what < 96)
                assert_int_equal(zcb_audio_sink_service(m->sink), ref_service(&m->ref));
            else if (what < 98)
                open_or_close(m);
            else if (what == 98 && one_in(m, 2))
                zcb_audio_sink_flush(m->sink), ref_finish(&m->ref, 0);
            else if (what == 99) // nothing is needed for a while
                for (uint32_t n = 0; n < 70; n++)
                    assert_int_equal(zcb_audio_sink_service(m->sink), ref_service(&m->ref));
            compare(m);
        }
        finish(m);
    }
    must_end(&m->pool);
    free(m->ref.used);
    free(m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sink_does_what_its_header_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
