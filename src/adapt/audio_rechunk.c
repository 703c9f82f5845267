// SPDX-License-Identifier: MIT
//
// A ring of inputs; an output is a gather of the slices that make it up. What is decided here is
// only where it ends: after so many frames, or before time breaks.
#include "audio.h"

struct zcb_audio_rechunk {
    struct zcb_pool *pool;
    struct zcb_audio_format format;
    uint32_t frames;
    uint32_t head, count;
    uint64_t waiting;
    struct zcb_audio_packet input[ZCB_AUDIO_RECHUNK_INPUTS];
};

int
zcb_audio_rechunk_create(struct zcb_pool *pool, const struct zcb_audio_format *format,
                         uint32_t frames, struct zcb_audio_rechunk **out)
{
    struct zcb_audio_rechunk *rechunk;

    if (pool == NULL || out == NULL || frames == 0 || zcb_audio_format_check(format) < 0)
        return -EINVAL;
    if (frames > ZCB_AUDIO_MAX_PACKET / zcb_audio_frame_bytes(format))
        return -ERANGE;
    rechunk = calloc(1, sizeof(*rechunk));
    if (rechunk == NULL)
        return -ENOMEM;
    rechunk->pool = pool;
    rechunk->format = *format;
    rechunk->frames = frames;
    *out = rechunk;
    return 0;
}

static struct zcb_audio_packet *
input(struct zcb_audio_rechunk *rechunk, uint32_t i)
{
    return &rechunk->input[(rechunk->head + i) % ZCB_AUDIO_RECHUNK_INPUTS];
}

void
zcb_audio_rechunk_destroy(struct zcb_audio_rechunk **rechunk)
{
    if (rechunk == NULL || *rechunk == NULL)
        return;
    for (uint32_t i = 0; i < (*rechunk)->count; i++)
        zcb_audio_packet_unref(input(*rechunk, i));
    free(*rechunk);
    *rechunk = NULL;
}

int
zcb_audio_rechunk_push(struct zcb_audio_rechunk *rechunk, struct zcb_audio_packet *packet)
{
    if (rechunk == NULL || packet == NULL || !audio_same_format(&rechunk->format, &packet->format))
        return -EINVAL;
    if (packet->frames == 0) {
        zcb_audio_packet_unref(packet);
        return 0;
    }
    if (rechunk->count == ZCB_AUDIO_RECHUNK_INPUTS)
        return -ENOBUFS;
    *input(rechunk, rechunk->count++) = *packet;
    rechunk->waiting += packet->frames;
    memset(packet, 0, sizeof(*packet));
    return 0;
}

static bool
breaks(const struct zcb_audio_packet *before, const struct zcb_audio_packet *after)
{
    return (after->flags & ZCB_AUDIO_DISCONTINUITY) != 0 ||
           after->pts_frames != before->pts_frames + before->frames;
}

// Drops the first `frames` frames; they are there.
static void
drop(struct zcb_audio_rechunk *rechunk, uint32_t frames)
{
    rechunk->waiting -= frames;
    while (frames != 0) {
        struct zcb_audio_packet *first = input(rechunk, 0);
        uint32_t here = frames < first->frames ? frames : first->frames;

        frames -= here;
        if (here < first->frames) {
            if (zcb_audio_packet_discard(first, here) < 0)
                return;
        } else {
            zcb_audio_packet_unref(first);
            rechunk->head = (rechunk->head + 1) % ZCB_AUDIO_RECHUNK_INPUTS;
            rechunk->count--;
        }
    }
}

static int
pull(struct zcb_audio_rechunk *rechunk, bool all, struct zcb_audio_packet *out)
{
    struct zcb_audio_packet part[ZCB_AUDIO_RECHUNK_INPUTS];
    uint32_t n = 0, have = 0;
    bool broken = false;
    int result = 0;

    if (rechunk == NULL || out == NULL)
        return -EINVAL;
    while (n < rechunk->count && have < rechunk->frames && !broken) {
        const struct zcb_audio_packet *next = input(rechunk, n);
        uint32_t left = rechunk->frames - have;

        if (n != 0 && breaks(input(rechunk, n - 1), next)) {
            broken = true;
        } else {
            result = zcb_audio_packet_slice(next, 0, next->frames < left ? next->frames : left,
                                            &part[n]);
            if (result < 0)
                break;
            have += part[n++].frames;
        }
    }
    // A ring that is full would wait for ever: what there is comes out short.
    if (result == 0 && (have == 0 || (have < rechunk->frames && !broken && !all &&
                                      rechunk->count < ZCB_AUDIO_RECHUNK_INPUTS)))
        result = -EAGAIN;
    if (result == 0)
        result = zcb_audio_gather(part, n, rechunk->pool, out);
    while (n > 0)
        zcb_audio_packet_unref(&part[--n]);
    if (result >= 0)
        drop(rechunk, have);
    return result;
}

int
zcb_audio_rechunk_pull(struct zcb_audio_rechunk *rechunk, struct zcb_audio_packet *out)
{
    return pull(rechunk, false, out);
}

int
zcb_audio_rechunk_flush(struct zcb_audio_rechunk *rechunk, struct zcb_audio_packet *out)
{
    return pull(rechunk, true, out);
}

uint64_t
zcb_audio_rechunk_frames(const struct zcb_audio_rechunk *rechunk)
{
    return rechunk->waiting;
}
