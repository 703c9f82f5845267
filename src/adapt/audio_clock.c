// SPDX-License-Identifier: MIT
//
// What a stamp means for the frames that come with it. Differences are taken modulo 2^32 and 2^64
// and read as signed numbers: a count that wraps is nothing special.
#include "audio.h"

#define WINDOW 64          // sequences that are remembered
#define MAX_SKIP (1 << 16) // a sequence further ahead is another count

// Whether so many in a row came from the past that the past is the new order.
static bool
is_enough(const struct audio_clock *clock, uint32_t *in_a_row)
{
    return ++*in_a_row > clock->stall_after;
}

static void
restart_sequence(struct audio_clock *clock, uint32_t sequence)
{
    clock->has_sequence = true;
    clock->next_sequence = sequence + 1;
    clock->seen = 1;
}

// By the number alone: *lost is how many deliveries are missing.
static struct audio_verdict
judge_sequence(struct audio_clock *clock, uint32_t sequence, uint32_t *lost,
               struct zcb_audio_sink_stats *stats)
{
    struct audio_verdict verdict = {0};
    int32_t ahead = (int32_t)(sequence - clock->next_sequence);

    if (!clock->has_sequence) {
        restart_sequence(clock, sequence);
    } else if (ahead >= 0 && ahead <= MAX_SKIP) {
        *lost = (uint32_t)ahead;
        clock->seen = ahead < WINDOW - 1 ? clock->seen << (ahead + 1) | 1 : 1;
        clock->next_sequence = sequence + 1;
        clock->old_sequences = 0;
    } else if (ahead < 0 && ahead >= -WINDOW && !is_enough(clock, &clock->old_sequences)) {
        uint64_t bit = UINT64_C(1) << (-ahead - 1);

        audio_add((clock->seen & bit) != 0 ? &stats->duplicates : &stats->reordered, 1);
        clock->seen |= bit;
        verdict.drop = true;
    } else {
        audio_add(&stats->jumps, 1);
        clock->old_sequences = 0;
        restart_sequence(clock, sequence);
        verdict.broken = true;
    }
    return verdict;
}

static struct audio_verdict
jump(struct audio_clock *clock, uint64_t pts, struct zcb_audio_sink_stats *stats)
{
    audio_add(&stats->jumps, 1);
    clock->stopped = false;
    clock->old_times = 0;
    clock->next_pts = pts;
    return (struct audio_verdict){.broken = true};
}

// The time is one that should be over. `fresh`: the sequence says that the frames are new; then it
// also says what is `missing` in front of them, as this time cannot.
static struct audio_verdict
judge_old(struct audio_clock *clock, uint64_t pts, bool fresh, uint64_t missing,
          struct zcb_audio_sink_stats *stats)
{
    bool same = pts == clock->last_pts, enough;

    if (clock->stopped)
        return same ? (struct audio_verdict){.missing = missing} : jump(clock, pts, stats);
    enough = is_enough(clock, &clock->old_times);
    if (same && (enough || fresh)) {
        audio_add(&stats->clock_stops, 1);
        clock->stopped = true;
        return (struct audio_verdict){.broken = !fresh, .missing = missing};
    }
    if (enough)
        return jump(clock, pts, stats);
    audio_add(same ? &stats->duplicates : &stats->backwards, 1);
    return (struct audio_verdict){.drop = !fresh, .missing = missing};
}

static struct audio_verdict
judge_time(struct audio_clock *clock, uint64_t pts, bool fresh, uint64_t missing,
           struct zcb_audio_sink_stats *stats)
{
    int64_t off = (int64_t)(pts - clock->next_pts);
    struct audio_verdict verdict = {0};

    if (!clock->has_time) {
        // What came before was counted from 0.
        verdict.broken = clock->next_pts != 0 && off != 0;
        clock->has_time = true;
        clock->next_pts = pts;
    } else if (off >= -(int64_t)clock->tolerance && off <= (int64_t)clock->tolerance) {
        audio_add(&stats->jitter, off != 0);
        clock->stopped = false;
        clock->old_times = 0;
    } else if (off > (int64_t)clock->max_gap ||
               (off < -(int64_t)clock->max_gap && pts != clock->last_pts)) {
        // The last time again is no jump, however long its delivery was: a clock that stands still
        // falls behind without end.
        verdict = jump(clock, pts, stats);
    } else if (off < 0) {
        verdict = judge_old(clock, pts, fresh, missing, stats);
    } else {
        verdict.missing = (uint64_t)off;
        clock->old_times = 0;
        clock->stopped = false;
    }
    clock->last_pts = pts;
    return verdict;
}

static void
judge_arrival(struct audio_clock *clock, uint64_t now_ns, uint32_t frames,
              struct zcb_audio_sink_stats *stats)
{
    uint64_t length = (uint64_t)clock->last_count * 1000000000u / clock->rate;
    uint64_t passed = now_ns - clock->last_ns;

    if (clock->last_ns != 0 && now_ns >= clock->last_ns) {
        audio_add(&stats->bursts, clock->late && passed < length / 2);
        clock->late = passed > 2 * length || (clock->late && passed < length / 2);
        audio_add(&stats->late_wakeups, passed > 2 * length);
        audio_most(&stats->max_late_ns, passed > length ? passed - length : 0);
    }
    clock->last_ns = now_ns;
    clock->last_count = frames;
}

struct audio_verdict
audio_clock_judge(struct audio_clock *clock, const struct zcb_audio_stamp *stamp, uint32_t frames,
                  struct zcb_audio_sink_stats *stats)
{
    struct audio_verdict verdict = {0}, by_time;
    bool fresh = false;
    uint32_t lost = 0;

    if (stamp->now_ns != 0)
        judge_arrival(clock, stamp->now_ns, frames, stats);
    if ((stamp->flags & ZCB_AUDIO_HAS_SEQUENCE) != 0) {
        verdict = judge_sequence(clock, stamp->sequence, &lost, stats);
        if (verdict.drop)
            return verdict;
        fresh = true;
        verdict.missing = (uint64_t)lost * frames;
    }
    if ((stamp->flags & ZCB_AUDIO_HAS_PTS) != 0) {
        by_time = judge_time(clock, stamp->pts_frames, fresh, verdict.missing, stats);
        by_time.broken |= verdict.broken;
        verdict = by_time;
    }
    verdict.broken |= (stamp->flags & ZCB_AUDIO_DISCONTINUITY) != 0;
    audio_add(&stats->gaps, lost != 0 || verdict.missing != 0);
    audio_add(&stats->lost_frames, verdict.missing);
    return verdict;
}
