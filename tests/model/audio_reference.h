// SPDX-License-Identifier: MIT
//
// What the audio sink should do, written down a second time: one thread, plain lists, no sharing.
// From the table and the words of the header, as simply as it goes. Needs testing.h in front of it.
//
// A frame is a number; 0 is silence. A buffer is a number too, since the order in which buffers
// come back decides which of them is used for the first time.
#ifndef ZCB_TESTS_AUDIO_REFERENCE_H
#define ZCB_TESTS_AUDIO_REFERENCE_H

#include <zcbuf/adapt/audio.h>

enum {
    REF_CONSUMERS = 64,
    REF_DEPTH = 32,
    REF_FRAMES = 64,
    REF_BUFFERS = 16,
    REF_SEQUENCES = 4096
};

struct ref_packet {
    uint64_t pts, number;
    uint32_t frames, flags, references, buffer;
    uint64_t id[REF_FRAMES];
};

struct ref_consumer {
    bool open, skip, follows;
    enum zcb_audio_lag lag;
    uint32_t depth, count;
    uint64_t next_number;
    struct ref_packet *queue[REF_DEPTH];
    struct zcb_audio_consumer_stats stats;
};

struct ref_list {
    uint32_t count, item[REF_BUFFERS];
};

struct ref {
    // As configured, with the defaults filled in.
    struct zcb_audio_sink_config config;
    uint32_t service_buffers;

    // Buffers. `back` and `free` are taken from their ends.
    struct ref_list back, free;
    uint32_t retired, next_buffer, idle, out;
    bool wish, *used;

    // The clock.
    bool has_time, has_sequence, stopped;
    uint64_t next_pts, last_pts;
    uint32_t next_sequence, old_sequences, old_times, known;
    uint32_t sequences[REF_SEQUENCES]; // that have come, since the count began

    // The packet under way.
    enum { REF_NONE, REF_REAL, REF_WASTE } where;
    uint32_t buffer, filled, silent, flags, dropping, silencing;
    uint64_t pts, number, id[REF_FRAMES];
    bool ended;

    struct ref_consumer consumer[REF_CONSUMERS];
    struct zcb_audio_sink_stats stats;
};

// ---- buffers

static void
ref_unref(struct ref *r, struct ref_packet *packet)
{
    if (--packet->references != 0)
        return;
    r->back.item[r->back.count++] = packet->buffer;
    r->out--;
    free(packet);
}

static int64_t
ref_pop_free(struct ref *r)
{
    if (r->free.count == 0) // all that came back, the last one first
        r->free = r->back, r->back.count = 0;
    return r->free.count != 0 ? (int64_t)r->free.item[--r->free.count] : -1;
}

static void
ref_prepare(struct ref *r)
{
    r->used[r->next_buffer] = false;
    r->back.item[r->back.count++] = r->next_buffer++;
    r->service_buffers++;
    r->stats.prepared++;
}

static struct ref_packet *
ref_front_out(struct ref_consumer *c)
{
    struct ref_packet *packet = c->queue[0];

    memmove(c->queue, c->queue + 1, --c->count * sizeof(c->queue[0]));
    return packet;
}

// The oldest packet anywhere goes from all queues. False: nothing waits.
static bool
ref_evict(struct ref *r, uint64_t *count)
{
    struct ref_packet *oldest = NULL;

    for (uint32_t i = 0; i < REF_CONSUMERS; i++)
        if (r->consumer[i].count != 0 &&
            (oldest == NULL || r->consumer[i].queue[0]->number < oldest->number))
            oldest = r->consumer[i].queue[0];
    if (oldest == NULL)
        return false;
    oldest->references++;
    for (uint32_t i = 0; i < REF_CONSUMERS; i++)
        if (r->consumer[i].count != 0 && r->consumer[i].queue[0] == oldest) {
            ref_unref(r, ref_front_out(&r->consumer[i]));
            r->consumer[i].stats.dropped_oldest++;
        }
    ref_unref(r, oldest);
    ++*count;
    return true;
}

static void
ref_need_buffer(struct ref *r)
{
    int64_t buffer;

    if (r->where == REF_WASTE && r->filled == 0) { // asks anew
        r->stats.drops_newest++;
        r->flags = ZCB_AUDIO_DISCONTINUITY;
        r->where = REF_NONE;
    }
    if (r->where != REF_NONE)
        return;
    if (r->wish) {
        r->wish = false;
        r->retired += ref_pop_free(r) >= 0;
    }
    r->stats.acquires++;
    buffer = ref_pop_free(r);
    if (buffer < 0) {
        r->stats.misses++;
        if (r->config.full == ZCB_AUDIO_DROP_OLDEST)
            while (buffer < 0 && ref_evict(r, &r->stats.drops_oldest))
                buffer = ref_pop_free(r);
        else if (r->config.full == ZCB_AUDIO_OVERWRITE)
            while (ref_evict(r, &r->stats.overwritten))
                if (buffer < 0)
                    buffer = ref_pop_free(r);
    }
    r->where = buffer < 0 ? REF_WASTE : REF_REAL;
    if (buffer < 0)
        return;
    r->buffer = (uint32_t)buffer;
    r->stats.recycled += r->used[buffer];
    r->stats.first_uses += !r->used[buffer];
    r->used[buffer] = true;
    r->out++;
    if (r->out > r->stats.peak_in_use)
        r->stats.peak_in_use = r->out;
}

// ---- packets

static bool
ref_offer(struct ref *r, struct ref_consumer *c, struct ref_packet *packet)
{
    if (!c->open)
        return false;
    c->stats.offered++;
    if (c->count == c->depth && c->lag == ZCB_AUDIO_LAG_HOLD) {
        c->stats.refused++;
        return true;
    }
    if (c->count == c->depth) {
        ref_unref(r, ref_front_out(c));
        c->stats.dropped_oldest++;
        c->skip |= c->lag == ZCB_AUDIO_LAG_SKIP;
    }
    packet->references++;
    c->queue[c->count++] = packet;
    if (c->count > c->stats.peak_waiting)
        c->stats.peak_waiting = c->count;
    return true;
}

static bool
ref_publish(struct ref *r, uint32_t flags)
{
    struct ref_packet *packet;
    bool heard = false, real = r->where == REF_REAL;

    r->where = REF_NONE;
    if (!real) {
        r->stats.drops_newest++;
        r->stats.dropped_frames += r->filled;
        r->filled = 0;
        r->flags = ZCB_AUDIO_DISCONTINUITY;
        return false;
    }
    packet = malloc(sizeof(*packet));
    assert_non_null(packet);
    *packet = (struct ref_packet){.pts = r->pts,
                                  .number = r->number++,
                                  .frames = r->filled,
                                  .flags = r->flags | flags,
                                  .references = 1,
                                  .buffer = r->buffer};
    if (r->silent == r->filled)
        packet->flags |= ZCB_AUDIO_SILENCE;
    memcpy(packet->id, r->id, sizeof(r->id));
    r->stats.packets++;
    r->stats.frames += r->filled;
    r->flags = r->filled = 0;
    for (uint32_t i = 0; i < REF_CONSUMERS; i++)
        heard |= ref_offer(r, &r->consumer[i], packet);
    r->stats.unheard += !heard;
    ref_unref(r, packet);
    return true;
}

static void
ref_finish(struct ref *r, uint32_t flags)
{
    if (r->filled != 0)
        (void)ref_publish(r, flags);
}

// One frame more. Whether a packet was published.
static bool
ref_frame(struct ref *r, uint64_t id, bool silent, bool last)
{
    if (r->filled == 0) {
        r->pts = r->next_pts;
        r->silent = 0;
    }
    r->id[r->filled++] = id;
    r->silent += silent;
    r->next_pts++;
    return (r->filled == r->config.packet_frames ||
            (last && (r->config.flags & ZCB_AUDIO_AS_DELIVERED) != 0)) &&
           ref_publish(r, 0);
}

// ---- stamps

struct ref_verdict {
    bool drop, broken;
    uint64_t missing;
};

static bool
ref_has_come(const struct ref *r, uint32_t sequence)
{
    for (uint32_t i = 0; i < r->known; i++)
        if (r->sequences[i] == sequence)
            return true;
    return false;
}

static void
ref_jump_to(struct ref *r, uint64_t pts, struct ref_verdict *verdict)
{
    r->stats.jumps++;
    r->stopped = false;
    r->old_times = 0;
    r->next_pts = pts;
    *verdict = (struct ref_verdict){.broken = true};
}

static void
ref_time(struct ref *r, uint64_t pts, bool in_order, uint64_t missing, struct ref_verdict *verdict)
{
    int64_t off = (int64_t)(pts - r->next_pts), far = r->config.max_gap_frames;
    bool again = r->has_time && pts == r->last_pts;

    r->last_pts = pts;
    verdict->missing = 0;
    if (!r->has_time) {
        r->has_time = true;
        verdict->broken = r->next_pts != 0 && off != 0;
        r->next_pts = pts;
    } else if (off >= -(int64_t)r->config.tolerance_frames &&
               off <= (int64_t)r->config.tolerance_frames) {
        r->stats.jitter += off != 0;
        r->stopped = false;
        r->old_times = 0;
    } else if (off > 0 && off <= far) {
        verdict->missing = (uint64_t)off;
        r->stopped = false;
        r->old_times = 0;
    } else if (off > far || (off < -far && !again)) {
        ref_jump_to(r, pts, verdict);
    } else if (r->stopped && again) {
        verdict->missing = missing;
    } else if (r->stopped) {
        ref_jump_to(r, pts, verdict);
    } else if (again && (in_order || r->old_times >= r->config.stall_after)) {
        r->old_times++;
        r->stats.clock_stops++;
        r->stopped = true;
        verdict->missing = missing;
        verdict->broken = !in_order;
    } else if (r->old_times >= r->config.stall_after) {
        ref_jump_to(r, pts, verdict);
    } else {
        r->old_times++;
        *(again ? &r->stats.duplicates : &r->stats.backwards) += 1;
        verdict->missing = missing;
        verdict->drop = !in_order;
    }
}

static struct ref_verdict
ref_judge(struct ref *r, const struct zcb_audio_stamp *stamp, uint32_t frames)
{
    struct ref_verdict verdict = {0}, by_time = {0};
    bool in_order = (stamp->flags & ZCB_AUDIO_HAS_SEQUENCE) != 0;
    int32_t ahead = (int32_t)(stamp->sequence - r->next_sequence);
    uint32_t lost = 0;

    if (in_order) {
        bool came = ref_has_come(r, stamp->sequence);

        if (r->has_sequence && ahead < 0 && ahead >= -64 &&
            r->old_sequences < r->config.stall_after) {
            r->old_sequences++;
            *(came ? &r->stats.duplicates : &r->stats.reordered) += 1;
            if (!came)
                r->sequences[r->known++ % REF_SEQUENCES] = stamp->sequence;
            return (struct ref_verdict){.drop = true};
        }
        if (!r->has_sequence || ahead < 0 || ahead > 65536) {
            r->stats.jumps += r->has_sequence;
            verdict.broken = r->has_sequence;
            r->known = 0;
        } else {
            lost = (uint32_t)ahead;
        }
        r->has_sequence = true;
        r->old_sequences = 0;
        r->next_sequence = stamp->sequence + 1;
        assert_true(r->known < REF_SEQUENCES);
        r->sequences[r->known++] = stamp->sequence;
    }
    verdict.missing = (uint64_t)lost * frames;
    if ((stamp->flags & ZCB_AUDIO_HAS_PTS) != 0) {
        ref_time(r, stamp->pts_frames, in_order, verdict.missing, &by_time);
        by_time.broken |= verdict.broken;
        verdict = by_time;
    }
    verdict.broken |= (stamp->flags & ZCB_AUDIO_DISCONTINUITY) != 0;
    r->stats.gaps += lost != 0 || verdict.missing != 0;
    r->stats.lost_frames += verdict.missing;
    return verdict;
}

// ---- the calls

static void
ref_stamp(struct ref *r, const struct zcb_audio_stamp *stamp, uint32_t frames)
{
    struct ref_verdict verdict = ref_judge(r, stamp, frames);

    r->dropping = verdict.drop ? frames : 0;
    r->silencing = !verdict.drop && (stamp->flags & ZCB_AUDIO_SILENCE) != 0 ? frames : 0;
    if (verdict.drop)
        return;
    if (verdict.missing != 0 && !verdict.broken && verdict.missing <= r->config.conceal_frames) {
        r->stats.concealed_frames += verdict.missing;
        while (verdict.missing-- != 0) {
            ref_need_buffer(r);
            r->flags |= ZCB_AUDIO_CONCEALED;
            (void)ref_frame(r, 0, true, verdict.missing == 0);
        }
    } else if (verdict.missing != 0 || verdict.broken) {
        ref_finish(r, 0);
        r->next_pts += verdict.missing;
        r->flags |= ZCB_AUDIO_DISCONTINUITY;
    }
}

static void
ref_end(struct ref *r)
{
    ref_finish(r, ZCB_AUDIO_END);
    if (r->where == REF_REAL) {
        r->back.item[r->back.count++] = r->buffer;
        r->out--;
    }
    r->where = REF_NONE;
    r->ended = true;
}

static int
ref_service(struct ref *r)
{
    const struct zcb_audio_sink_config *config = &r->config;
    int made = 0;

    r->service_buffers -= r->retired;
    r->stats.retired += r->retired;
    r->retired = 0;
    for (; r->service_buffers < config->max_buffers &&
           (r->service_buffers < config->buffers || r->service_buffers < r->out + config->spare);
         made++)
        ref_prepare(r);
    if (r->service_buffers > config->buffers && r->service_buffers > r->out + config->spare)
        r->idle += r->idle < 64;
    else
        r->idle = 0;
    r->wish = r->idle == 64;
    return made;
}

// The next packet, with a reference and the flags that the reader sees. NULL: none.
static struct ref_packet *
ref_read(struct ref *r, struct ref_consumer *c, uint32_t *flags)
{
    struct ref_packet *packet;

    for (; c->skip && c->count > 1; c->stats.skipped++)
        ref_unref(r, ref_front_out(c));
    c->skip = false;
    if (c->count == 0)
        return NULL;
    packet = ref_front_out(c);
    *flags = packet->flags;
    if (c->follows && packet->number != c->next_number)
        *flags |= ZCB_AUDIO_DISCONTINUITY;
    c->follows = true;
    c->next_number = packet->number + 1;
    c->stats.delivered++;
    c->stats.discontinuities += (*flags & ZCB_AUDIO_DISCONTINUITY) != 0;
    return packet;
}

static void
ref_close(struct ref *r, struct ref_consumer *c)
{
    while (c->count != 0)
        ref_unref(r, ref_front_out(c));
    *c = (struct ref_consumer){.open = false};
}

#endif
