// SPDX-License-Identifier: MIT
// Packets of one length into packets of another: what is a view, what is copied, to the byte.

#include "testing.h"

#include "support/pools.h"

#include <zcbuf/adapt/audio.h>

static const struct zcb_audio_format stereo = {48000, 2, ZCB_AUDIO_F32, 0};
static const struct zcb_audio_format planes = {48000, 2, ZCB_AUDIO_F32, 1};

static uint64_t
copied(void)
{
    struct zcb_copies now;

    zcb_copies_thread(&now);
    return zcb_copies_bytes(&now);
}

// Frames [at, at + frames) in a buffer of their own.
static struct zcb_audio_packet
must_make(struct zcb_pool *pool, const struct zcb_audio_format *format, uint64_t at,
          uint32_t frames)
{
    struct zcb_audio_packet packet;
    struct zcb_packet raw = must_packet(pool, frames * 8ul);

    for (uint32_t i = 0; i < frames * 2; i++) {
        uint32_t sample =
            format->planar ? (uint32_t)(at + i % frames) * 2 + i / frames : (uint32_t)at * 2 + i;

        memcpy((uint8_t *)(uintptr_t)raw.data + i * 4ul, &sample, 4);
    }
    assert_int_equal(zcb_audio_packet_init(&packet, format, &raw, at), 0);
    return packet;
}

// Sample c of frame i is 2 i + c.
static void
assert_frames(const struct zcb_audio_packet *packet, uint64_t at, uint32_t frames)
{
    struct zcb_audio_channel channel;
    uint32_t sample;

    assert_int_equal(packet->frames, frames);
    assert_int_equal(packet->pts_frames, at);
    for (uint32_t c = 0; c < 2; c++) {
        assert_int_equal(zcb_audio_packet_channel(packet, c, &channel), 0);
        for (uint32_t i = 0; i < frames; i++) {
            memcpy(&sample, channel.data + (size_t)i * channel.stride, 4);
            assert_int_equal(sample, (at + i) * 2 + c);
        }
    }
}

static void
what_crosses_inputs_is_copied_once_and_nothing_else_is(void **state)
{
    static const struct {
        uint32_t in, out, inputs;
        uint32_t outputs, crossing; // of these copied
    } table[] = {
        {480, 480, 20, 20, 0},                          // boundaries meet
        {480, 240, 20, 40, 0},                          // and in the middle
        {480, 160, 20, 60, 0},  {256, 480, 30, 16, 16}, // none meet but the last
        {240, 480, 20, 10, 10}, {480, 256, 16, 30, 14}, // an input's end inside an output, but for the last's
        {480, 320, 20, 30, 10}, {1, 7, 49, 7, 7},       {7, 1, 7, 49, 0}, {480, 479, 2, 2, 1},
    };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(table) / sizeof(table[0]); i++) {
        const struct zcb_audio_format *format = i % 2 == 0 ? &stereo : &planes;
        uint32_t in = table[i / 2].in, out = table[i / 2].out, outputs = 0, views = 0;
        struct zcb_pool *pool = must_create(NULL);
        struct zcb_audio_rechunk *rechunk = NULL;
        struct zcb_audio_packet packet;
        uint64_t before = copied(), at = 0;
        int result;

        assert_int_equal(zcb_audio_rechunk_create(pool, format, out, &rechunk), 0);
        for (uint32_t n = 0; n < table[i / 2].inputs; n++) {
            packet = must_make(pool, format, (uint64_t)n * in, in);
            assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
            assert_null(packet.bytes.owner);
            while ((result = zcb_audio_rechunk_pull(rechunk, &packet)) >= 0) {
                assert_frames(&packet, at, out);
                at += out;
                outputs++;
                views += result == 0;
                zcb_audio_packet_unref(&packet);
            }
            assert_int_equal(result, -EAGAIN);
            assert_int_equal(zcb_audio_rechunk_frames(rechunk), (uint64_t)(n + 1) * in - at);
        }
        assert_int_equal(outputs, table[i / 2].outputs);
        assert_int_equal(outputs - views, table[i / 2].crossing);
        assert_int_equal(copied() - before, table[i / 2].crossing * out * 8ul);
        zcb_audio_rechunk_destroy(&rechunk);
        must_end(&pool);
    }
}

static void
slices_of_one_packet_are_put_together_without_a_copy(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_rechunk *rechunk = NULL;
    struct zcb_audio_packet whole, part;
    uint64_t before = copied();

    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct zcb_audio_format *format = i == 0 ? &stereo : &planes;

        whole = must_make(pool, format, 0, 300);
        assert_int_equal(zcb_audio_rechunk_create(pool, format, 100, &rechunk), 0);
        for (uint32_t at = 0; at < 300; at += 30) {
            assert_int_equal(zcb_audio_packet_slice(&whole, at, 30, &part), 0);
            assert_int_equal(zcb_audio_rechunk_push(rechunk, &part), 0);
        }
        for (uint32_t at = 0; at < 300; at += 100) {
            assert_int_equal(zcb_audio_rechunk_pull(rechunk, &part), 0);
            assert_frames(&part, at, 100);
            zcb_audio_packet_unref(&part);
        }
        zcb_audio_rechunk_destroy(&rechunk);
        zcb_audio_packet_unref(&whole);
    }
    assert_int_equal(copied(), before);
    must_end(&pool);
}

static void
an_output_ends_where_time_breaks_and_at_the_flush(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_rechunk *rechunk = NULL;
    struct zcb_audio_packet packet;

    (void)state;
    assert_int_equal(zcb_audio_rechunk_create(pool, &stereo, 100, &rechunk), 0);
    packet = must_make(pool, &stereo, 0, 130);
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
    packet = must_make(pool, &stereo, 140, 50); // ten frames are missing
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
    packet = must_make(pool, &stereo, 190, 70); // none is, but the flag says so
    packet.flags |= ZCB_AUDIO_DISCONTINUITY;
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
    assert_int_equal(zcb_audio_rechunk_pull(rechunk, &packet), 0);
    assert_frames(&packet, 0, 100);
    zcb_audio_packet_unref(&packet);
    assert_int_equal(zcb_audio_rechunk_pull(rechunk, &packet), 0);
    assert_frames(&packet, 100, 30);
    zcb_audio_packet_unref(&packet);
    assert_int_equal(zcb_audio_rechunk_pull(rechunk, &packet), 0);
    assert_frames(&packet, 140, 50);
    zcb_audio_packet_unref(&packet);
    assert_int_equal(zcb_audio_rechunk_pull(rechunk, &packet), -EAGAIN);
    assert_int_equal(zcb_audio_rechunk_flush(rechunk, &packet), 0);
    assert_frames(&packet, 190, 70);
    assert_int_equal(packet.flags, ZCB_AUDIO_DISCONTINUITY);
    zcb_audio_packet_unref(&packet);
    assert_int_equal(zcb_audio_rechunk_flush(rechunk, &packet), -EAGAIN);
    zcb_audio_rechunk_destroy(&rechunk);
    zcb_audio_rechunk_destroy(&rechunk);
    must_end(&pool);
}

static void
what_waits_is_bounded(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_rechunk *rechunk = NULL;
    struct zcb_audio_packet packet;

    (void)state;
    assert_int_equal(zcb_audio_rechunk_create(pool, &stereo, 1000, &rechunk), 0);
    for (uint32_t n = 0; n < ZCB_AUDIO_RECHUNK_INPUTS; n++) {
        assert_int_equal(zcb_audio_rechunk_pull(rechunk, &packet), -EAGAIN);
        packet = must_make(pool, &stereo, n, 1);
        assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
    }
    packet = must_make(pool, &stereo, 64, 1);
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), -ENOBUFS);
    assert_non_null(packet.bytes.owner);
    zcb_audio_packet_unref(&packet);
    assert_int_equal(zcb_audio_rechunk_pull(rechunk, &packet), 1);
    assert_frames(&packet, 0, 64); // short, or it would wait for ever
    zcb_audio_packet_unref(&packet);

    packet = must_make(pool, &planes, 64, 1);
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), -EINVAL);
    assert_int_equal(zcb_audio_rechunk_push(rechunk, NULL), -EINVAL);
    zcb_audio_packet_unref(&packet);
    packet.format = stereo;
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
    assert_int_equal(zcb_audio_rechunk_frames(rechunk), 0);
    assert_int_equal(zcb_audio_rechunk_pull(rechunk, NULL), -EINVAL);
    packet = must_make(pool, &stereo, 64, 1);
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
    zcb_audio_rechunk_destroy(&rechunk);
    assert_int_equal(zcb_audio_rechunk_create(pool, &stereo, 0, &rechunk), -EINVAL);
    assert_int_equal(zcb_audio_rechunk_create(pool, NULL, 1, &rechunk), -EINVAL);
    assert_int_equal(zcb_audio_rechunk_create(NULL, &stereo, 1, &rechunk), -EINVAL);
    assert_int_equal(zcb_audio_rechunk_create(pool, &stereo, 1, NULL), -EINVAL);
    assert_int_equal(zcb_audio_rechunk_create(pool, &stereo, UINT32_MAX, &rechunk), -ERANGE);
    must_end(&pool);
}

static void
an_output_for_which_there_is_no_buffer_loses_nothing(void **state)
{
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096, .max_buffers = 2}},
                                     .policy = ZCB_POOL_FAIL};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_audio_rechunk *rechunk = NULL;
    struct zcb_audio_packet packet;
    struct zcb_buf *buf = NULL;

    (void)state;
    assert_int_equal(zcb_audio_rechunk_create(pool, &stereo, 60, &rechunk), 0);
    packet = must_make(pool, &stereo, 0, 40);
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
    packet = must_make(pool, &stereo, 40, 40);
    buf = NULL;
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
    assert_int_equal(zcb_audio_rechunk_pull(rechunk, &packet), -ENOBUFS);
    assert_int_equal(zcb_audio_rechunk_frames(rechunk), 80);
    assert_int_equal(zcb_pool_acquire(pool, 1, &buf), -ENOBUFS);
    assert_int_equal(zcb_audio_rechunk_pull(rechunk, &packet), -ENOBUFS);
    zcb_audio_rechunk_destroy(&rechunk);
    must_end(&pool);
}

static void
nothing_takes_no_place(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_packet whole = must_make(pool, &stereo, 0, 10), packet;
    struct zcb_audio_rechunk *rechunk;

    (void)state;
    assert_int_equal(zcb_audio_rechunk_create(pool, &stereo, 10, &rechunk), 0);
    for (int i = 0; i < 2 * ZCB_AUDIO_RECHUNK_INPUTS; i++) {
        assert_int_equal(zcb_audio_packet_slice(&whole, 3, 0, &packet), 0);
        assert_int_equal(zcb_audio_rechunk_push(rechunk, &packet), 0);
        assert_int_equal(zcb_audio_rechunk_frames(rechunk), 0);
        assert_int_equal(zcb_audio_rechunk_flush(rechunk, &packet), -EAGAIN);
    }
    assert_int_equal(zcb_audio_rechunk_push(rechunk, &whole), 0);
    assert_int_equal(zcb_audio_rechunk_pull(rechunk, &packet), 0);
    assert_frames(&packet, 0, 10);
    zcb_audio_packet_unref(&packet);
    zcb_audio_rechunk_destroy(&rechunk);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_crosses_inputs_is_copied_once_and_nothing_else_is),
        cmocka_unit_test(slices_of_one_packet_are_put_together_without_a_copy),
        cmocka_unit_test(an_output_ends_where_time_breaks_and_at_the_flush),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(nothing_takes_no_place),
        cmocka_unit_test(an_output_for_which_there_is_no_buffer_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
