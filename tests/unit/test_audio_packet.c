// SPDX-License-Identifier: MIT
// Formats and packets of the audio adapter: nothing moves but in gather.

#include "testing.h"

#include "support/pools.h"

#include <math.h>

#include <zcbuf/adapt/audio.h>

static const struct zcb_audio_format stereo = {48000, 2, ZCB_AUDIO_F32, 0};
static const struct zcb_audio_format planes = {48000, 3, ZCB_AUDIO_S24, 1};

static const struct {
    struct zcb_audio_format format;
    int result;
    uint32_t sample, frame;
} formats[] = {
    {{48000, 2, ZCB_AUDIO_S16, 0}, 0, 2, 4},
    {{44100, 1, ZCB_AUDIO_S24, 0}, 0, 3, 3},
    {{96000, 6, ZCB_AUDIO_S24_32, 1}, 0, 4, 24},
    {{8000, 8, ZCB_AUDIO_S32, 0}, 0, 4, 32},
    {{48000, 2, ZCB_AUDIO_F32, 1}, 0, 4, 8},
    {{1, 256, ZCB_AUDIO_F64, 0}, 0, 8, 2048},
    {{ZCB_AUDIO_MAX_RATE, 1, ZCB_AUDIO_S16, 0}, 0, 2, 2},
    {{0, 2, ZCB_AUDIO_S16, 0}, -EINVAL, 0, 0},
    {{ZCB_AUDIO_MAX_RATE + 1, 2, ZCB_AUDIO_S16, 0}, -EINVAL, 0, 0},
    {{UINT32_MAX, 2, ZCB_AUDIO_S16, 0}, -EINVAL, 0, 0},
    {{48000, 0, ZCB_AUDIO_S16, 0}, -EINVAL, 0, 0},
    {{48000, 257, ZCB_AUDIO_S16, 0}, -EINVAL, 0, 0},
    {{48000, UINT16_MAX, ZCB_AUDIO_S16, 0}, -EINVAL, 0, 0},
    {{48000, 2, 0, 0}, -EINVAL, 0, 0},
    {{48000, 2, ZCB_AUDIO_F64 + 1, 0}, -EINVAL, 0, 0},
    {{48000, 2, 255, 0}, -EINVAL, 0, 0},
    {{48000, 2, ZCB_AUDIO_S16, 2}, -EINVAL, 0, 0},
};

static void
a_format_is_judged_by_each_of_its_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        assert_int_equal(zcb_audio_format_check(&formats[i].format), formats[i].result);
        assert_int_equal(zcb_audio_sample_bytes(&formats[i].format), formats[i].sample);
        assert_int_equal(zcb_audio_frame_bytes(&formats[i].format), formats[i].frame);
    }
    assert_int_equal(zcb_audio_format_check(NULL), -EINVAL);
    assert_string_equal(zcb_audio_sample_name(ZCB_AUDIO_S24_32), "s24_32");
    assert_string_equal(zcb_audio_sample_name(ZCB_AUDIO_F64), "f64");
    assert_string_equal(zcb_audio_sample_name(0), "unknown");
    assert_string_equal(zcb_audio_sample_name(7), "unknown");
}

static void
a_duration_that_is_no_number_is_refused(void **state)
{
    static const struct {
        double seconds;
        int result;
        uint64_t frames;
    } table[] = {
        {0, 0, 0},
        {0.01, 0, 480},
        {1.0 / 96000, 0, 1},
        {1.0 / 96001, 0, 0},
        {93824992236.88536, 0, UINT64_C(4503599627370497)}, // which plus a half is no double
        {-0.0, 0, 0},
        {-1e-300, -EINVAL, 0},
        {NAN, -EINVAL, 0},
        {INFINITY, -EINVAL, 0},
        {-INFINITY, -EINVAL, 0},
        {1e300, -EOVERFLOW, 0},
    };
    uint64_t frames;

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        frames = 77;
        assert_int_equal(zcb_audio_frames_in(&stereo, table[i].seconds, &frames), table[i].result);
        assert_int_equal(frames, table[i].result == 0 ? table[i].frames : 77);
    }
    assert_int_equal(zcb_audio_frames_in(&stereo, 1, NULL), -EINVAL);
    assert_int_equal(zcb_audio_frames_in(NULL, 1, &frames), -EINVAL);
}

static uint32_t releases;

static void
count_release(void *ctx, void *data, size_t len)
{
    (void)ctx, (void)data, (void)len;
    releases++;
}

static struct zcb_audio_packet
must_wrap(const struct zcb_audio_format *format, const uint8_t *bytes, size_t len, uint64_t pts)
{
    struct zcb_audio_packet packet;
    struct zcb_packet raw;

    assert_int_equal(zcb_packet_wrap(bytes, len, count_release, NULL, &raw), 0);
    assert_int_equal(zcb_audio_packet_init(&packet, format, &raw, pts), 0);
    assert_null(raw.owner);
    return packet;
}

static void
bytes_that_are_no_whole_number_of_frames_are_refused(void **state)
{
    struct zcb_packet raw = zcb_packet_static("0123456789abcdefg", 17);
    struct zcb_audio_packet packet;

    (void)state;
    assert_int_equal(zcb_audio_packet_init(&packet, &stereo, &raw, 0), -EBADMSG);
    assert_int_equal(raw.len, 17);
    raw.len = 16;
    assert_int_equal(zcb_audio_packet_init(NULL, &stereo, &raw, 0), -EINVAL);
    assert_int_equal(zcb_audio_packet_init(&packet, NULL, &raw, 0), -EINVAL);
    assert_int_equal(zcb_audio_packet_init(&packet, &stereo, &raw, 5), 0);
    assert_int_equal(packet.frames, 2);
    assert_int_equal(packet.pts_frames, 5);
    assert_int_equal(raw.len, 0);
    raw.len = ZCB_AUDIO_MAX_PACKET + 8;
    assert_int_equal(zcb_audio_packet_init(&packet, &stereo, &raw, 0), -ERANGE);
}

static void
a_slice_shares_its_frames_and_its_time_moves_along(void **state)
{
    uint8_t bytes[80];
    struct zcb_audio_packet packet, part, again;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    releases = 0;
    packet = must_wrap(&stereo, bytes, sizeof(bytes), UINT64_MAX - 3);
    packet.flags = ZCB_AUDIO_DISCONTINUITY | ZCB_AUDIO_END | ZCB_AUDIO_CONCEALED;
    assert_int_equal(zcb_audio_packet_slice(&packet, 4, 5, &part), 0);
    assert_ptr_equal(part.bytes.data, bytes + 32);
    assert_int_equal(part.bytes.len, 40);
    assert_int_equal(part.frames, 5);
    assert_int_equal(part.pts_frames, 0); // it has wrapped
    assert_int_equal(part.flags, ZCB_AUDIO_CONCEALED);
    assert_int_equal(zcb_audio_packet_slice(&part, 1, 4, &again), 0);
    assert_ptr_equal(again.bytes.data, bytes + 40);
    zcb_audio_packet_unref(&again);
    assert_int_equal(zcb_audio_packet_slice(&packet, 0, 1, &again), 0);
    assert_int_equal(again.flags, ZCB_AUDIO_DISCONTINUITY | ZCB_AUDIO_CONCEALED);
    zcb_audio_packet_unref(&again);
    assert_int_equal(zcb_audio_packet_slice(&packet, 10, 0, &again), 0);
    assert_null(again.bytes.owner);
    again.frames = 99;
    assert_int_equal(zcb_audio_packet_slice(&packet, 11, 0, &again), -ERANGE);
    assert_int_equal(zcb_audio_packet_slice(&packet, 5, 6, &again), -ERANGE);
    assert_int_equal(zcb_audio_packet_slice(&packet, UINT32_MAX, 2, &again), -ERANGE);
    assert_int_equal(zcb_audio_packet_slice(&packet, 1, UINT32_MAX, &again), -ERANGE);
    assert_int_equal(again.frames, 99);
    assert_int_equal(zcb_audio_packet_discard(&packet, 11), -ERANGE);
    assert_int_equal(zcb_audio_packet_discard(&packet, 0), 0);
    assert_int_equal(packet.frames, 10);
    assert_int_equal(zcb_audio_packet_discard(&packet, 4), 0);
    assert_int_equal(packet.frames, 6);
    assert_int_equal(packet.pts_frames, 0);
    assert_ptr_equal(packet.bytes.data, bytes + 32);
    assert_int_equal(packet.flags, ZCB_AUDIO_END | ZCB_AUDIO_CONCEALED);
    zcb_audio_packet_unref(&packet);
    assert_int_equal(releases, 0);
    zcb_audio_packet_unref(&part);
    assert_int_equal(releases, 1);
    zcb_audio_packet_unref(&part);
    zcb_audio_packet_unref(NULL);
}

// Sample i of channel c is the three bytes (c, i, c ^ i).
static void
fill_planes(uint8_t *bytes, uint32_t frames)
{
    for (uint32_t c = 0; c < 3; c++)
        for (uint32_t i = 0; i < frames; i++) {
            *bytes++ = (uint8_t)c;
            *bytes++ = (uint8_t)i;
            *bytes++ = (uint8_t)(c ^ i);
        }
}

static void
channels_of_planes_and_of_interleaved_frames_are_seen_where_they_lie(void **state)
{
    struct zcb_audio_packet packet, part;
    struct zcb_audio_channel channel;
    struct zcb_packet plane;
    uint8_t bytes[3 * 20 * 3];

    (void)state;
    fill_planes(bytes, 20);
    packet = must_wrap(&planes, bytes, sizeof(bytes), 0);
    assert_int_equal(packet.frames, 20);
    assert_int_equal(zcb_audio_packet_slice(&packet, 7, 6, &part), 0);
    for (uint32_t c = 0; c < 3; c++) {
        assert_int_equal(zcb_audio_packet_channel(&part, c, &channel), 0);
        assert_int_equal(channel.frames, 6);
        assert_int_equal(zcb_audio_packet_plane(&part, c, &plane), 0);
        assert_int_equal(plane.len, 18);
        assert_ptr_equal(plane.data, channel.data);
        for (uint32_t i = 0; i < 6; i++) {
            assert_int_equal(channel.data[i * channel.stride], c);
            assert_int_equal(channel.data[i * channel.stride + 1], 7 + i);
        }
        zcb_packet_unref(&plane);
    }
    assert_ptr_equal(part.bytes.data + part.bytes.len, bytes + (2 * 20 + 13) * 3);
    assert_int_equal(zcb_audio_packet_channel(&part, 3, &channel), -ERANGE);
    assert_int_equal(zcb_audio_packet_plane(&part, 3, &plane), -ERANGE);
    zcb_audio_packet_unref(&part);
    assert_int_equal(zcb_audio_packet_slice(&packet, 20, 0, &part), 0); // nothing, at the end
    assert_int_equal(zcb_audio_packet_plane(&part, 2, &plane), 0);
    assert_int_equal(plane.len, 0);
    assert_int_equal(zcb_audio_packet_channel(&part, 2, &channel), 0);
    assert_int_equal(channel.frames, 0);
    assert_ptr_equal(channel.data, part.bytes.data);
    zcb_audio_packet_unref(&part);
    zcb_audio_packet_unref(&packet);

    packet = must_wrap(&stereo, bytes, 80, 0);
    assert_int_equal(zcb_audio_packet_channel(&packet, 1, &channel), 0);
    assert_ptr_equal(channel.data, bytes + 4);
    assert_int_equal(channel.stride, 8);
    assert_int_equal(zcb_audio_packet_channel(&packet, 2, &channel), -ERANGE);
    assert_int_equal(zcb_audio_packet_plane(&packet, 0, &plane), 0);
    assert_int_equal(plane.len, 80);
    zcb_packet_unref(&plane);
    assert_int_equal(zcb_audio_packet_plane(&packet, 1, &plane), -ERANGE);
    zcb_audio_packet_unref(&packet);
}

static uint64_t
copied(void)
{
    struct zcb_copies now;

    zcb_copies_thread(&now);
    assert_int_equal(zcb_copies_bytes(&now), now.bytes[ZCB_COPY_COPY_TO]);
    return now.bytes[ZCB_COPY_COPY_TO];
}

static void
gather_copies_just_what_does_not_lie_side_by_side(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_packet packet, part[3], sum;
    struct zcb_packet plane;
    uint8_t bytes[3 * 20 * 3], other[3 * 20 * 3];
    uint64_t before = copied();

    (void)state;
    fill_planes(bytes, 20);
    fill_planes(other, 20);
    packet = must_wrap(&planes, bytes, sizeof(bytes), 100);
    assert_int_equal(zcb_audio_packet_slice(&packet, 2, 3, &part[0]), 0);
    assert_int_equal(zcb_audio_packet_slice(&packet, 5, 0, &part[1]), 0);
    assert_int_equal(zcb_audio_packet_slice(&packet, 5, 15, &part[2]), 0);
    part[0].flags = ZCB_AUDIO_DISCONTINUITY | ZCB_AUDIO_SILENCE;
    part[2].flags = ZCB_AUDIO_END | ZCB_AUDIO_CONCEALED | ZCB_AUDIO_DISCONTINUITY;
    assert_int_equal(zcb_audio_gather(part, 3, NULL, &sum), 0);
    assert_ptr_equal(sum.bytes.data, bytes + 6);
    assert_int_equal(sum.bytes.len, sizeof(bytes) - 6);
    assert_int_equal(sum.frames, 18);
    assert_int_equal(sum.pts_frames, 102);
    assert_int_equal(sum.flags, ZCB_AUDIO_DISCONTINUITY | ZCB_AUDIO_END | ZCB_AUDIO_CONCEALED);
    assert_int_equal(copied(), before);
    zcb_audio_packet_unref(&sum);

    // The other way round they do not lie side by side.
    part[1] = part[0];
    part[0] = part[2];
    assert_int_equal(zcb_audio_gather(part, 2, NULL, &sum), -EINVAL);
    assert_int_equal(zcb_audio_gather(part, 2, pool, &sum), 1);
    assert_int_equal(copied(), before + 18 * 9);
    for (uint32_t c = 0; c < 3; c++) {
        assert_int_equal(zcb_audio_packet_plane(&sum, c, &plane), 0);
        assert_memory_equal(plane.data, bytes + (c * 20 + 5) * 3, 15 * 3);
        assert_memory_equal(plane.data + 15 * 3, bytes + (c * 20 + 2) * 3, 3 * 3);
        zcb_packet_unref(&plane);
    }
    zcb_audio_packet_unref(&sum);
    part[1].format.rate = 44100;
    assert_int_equal(zcb_audio_gather(part, 2, pool, &sum), -EINVAL);
    assert_int_equal(zcb_audio_gather(part, 0, pool, &sum), -EINVAL);
    assert_int_equal(zcb_audio_gather(NULL, 1, pool, &sum), -EINVAL);
    part[1].format.rate = 48000;
    part[1].frames = ZCB_AUDIO_MAX_PACKET / 9;
    assert_int_equal(zcb_audio_gather(part, 2, pool, &sum), -ERANGE);
    zcb_audio_packet_unref(&part[0]);
    zcb_audio_packet_unref(&part[1]);
    zcb_audio_packet_unref(&packet);
    must_end(&pool);
}

// What looks as if it lay side by side, and does not.
static void
gather_is_not_deceived_by_addresses_alone(void **state)
{
    static const struct zcb_audio_format two = {48000, 2, ZCB_AUDIO_S32, 1};
    static const uint8_t empty[1];
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_audio_packet part[2], sum;
    struct zcb_packet raw, plane;
    uint8_t bytes[160];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    // Two owners: neither keeps the other's bytes.
    part[0] = must_wrap(&stereo, bytes, 80, 0);
    part[1] = must_wrap(&stereo, bytes + 80, 80, 10);
    assert_int_equal(zcb_audio_gather(part, 2, pool, &sum), 1);
    assert_memory_equal(sum.bytes.data, bytes, 160);
    zcb_audio_packet_unref(&sum);
    zcb_audio_packet_unref(&part[0]);
    zcb_audio_packet_unref(&part[1]);

    // Planes that are not equally far apart: 40 and 60 bytes, the second in the first's other plane.
    assert_int_equal(zcb_packet_wrap(bytes, 160, NULL, NULL, &raw), 0);
    assert_int_equal(zcb_packet_slice(&raw, 0, 80, &plane), 0);
    assert_int_equal(zcb_audio_packet_init(&part[0], &two, &plane, 0), 0);
    assert_int_equal(zcb_packet_slice(&raw, 40, 120, &plane), 0);
    assert_int_equal(zcb_audio_packet_init(&part[1], &two, &plane, 10), 0);
    assert_int_equal(zcb_audio_gather(part, 2, pool, &sum), 1);
    assert_int_equal(zcb_audio_packet_plane(&sum, 1, &plane), 0);
    assert_memory_equal(plane.data, bytes + 40, 40);
    assert_memory_equal(plane.data + 40, bytes + 100, 60);
    zcb_packet_unref(&plane);
    zcb_audio_packet_unref(&sum);
    zcb_audio_packet_unref(&part[1]);
    zcb_packet_unref(&raw);

    // Nothing in front: how far apart planes are is for the other to say.
    part[1] = part[0];
    raw = zcb_packet_static(empty, 0);
    assert_int_equal(zcb_audio_packet_init(&part[0], &two, &raw, 77), 0);
    assert_int_equal(zcb_audio_gather(part, 2, NULL, &sum), 0);
    assert_int_equal(sum.pts_frames, 77);
    assert_int_equal(zcb_audio_packet_plane(&sum, 1, &plane), 0);
    assert_ptr_equal(plane.data, bytes + 40);
    zcb_packet_unref(&plane);
    zcb_audio_packet_unref(&sum);
    zcb_audio_packet_unref(&part[1]);
    must_end(&pool);
}

// With one plane nothing is apart: where the next would begin does not matter.
static void
one_channel_by_itself_lies_side_by_side_as_any_other(void **state)
{
    static const struct zcb_audio_format mono = {48000, 1, ZCB_AUDIO_S16, 1};
    static const uint8_t memory[40] = {1, 2, 3};
    struct zcb_packet raw, front, back;
    struct zcb_audio_packet part[2], sum;

    (void)state;
    releases = 0;
    assert_int_equal(zcb_packet_wrap(memory, sizeof(memory), count_release, NULL, &raw), 0);
    assert_int_equal(zcb_packet_slice(&raw, 0, 12, &front), 0);
    assert_int_equal(zcb_packet_slice(&raw, 12, 28, &back), 0);
    assert_int_equal(zcb_audio_packet_init(&part[0], &mono, &front, 5), 0);
    assert_int_equal(zcb_audio_packet_init(&part[1], &mono, &back, 11), 0);
    assert_int_equal(zcb_audio_gather(part, 2, NULL, &sum), 0);
    assert_ptr_equal(sum.bytes.data, memory);
    assert_int_equal(sum.bytes.len, sizeof(memory));
    assert_int_equal(sum.frames, 20);
    zcb_audio_packet_unref(&sum);
    zcb_audio_packet_unref(&part[0]);
    zcb_audio_packet_unref(&part[1]);
    assert_int_equal(releases, 0);
    zcb_packet_unref(&raw);
    assert_int_equal(releases, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_format_is_judged_by_each_of_its_fields),
        cmocka_unit_test(a_duration_that_is_no_number_is_refused),
        cmocka_unit_test(bytes_that_are_no_whole_number_of_frames_are_refused),
        cmocka_unit_test(a_slice_shares_its_frames_and_its_time_moves_along),
        cmocka_unit_test(channels_of_planes_and_of_interleaved_frames_are_seen_where_they_lie),
        cmocka_unit_test(gather_copies_just_what_does_not_lie_side_by_side),
        cmocka_unit_test(gather_is_not_deceived_by_addresses_alone),
        cmocka_unit_test(one_channel_by_itself_lies_side_by_side_as_any_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
