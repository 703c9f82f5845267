// SPDX-License-Identifier: MIT
//
// All of a sink that needs the system: its making and its end, buffers for peaks, waking, the helper.
#include "audio.h"

#include <signal.h>

#define IDLE_ROUNDS 64 // service() calls with buffers to spare, before one goes back
#define NAP_MIN_MS 1
#define NAP_MAX_MS 20

// Gives the slot memory that is resident: a fault on the capture thread would be a wait.
static int
fill_slot(struct zcb_audio_sink *sink, struct audio_slot *slot)
{
    int result =
        zcb_pool_acquire_flags(sink->pool, sink->packet_bytes, ZCB_ACQUIRE_NOWAIT, &slot->memory);

    if (result < 0)
        return result;
    slot->sink = sink;
    slot->used = false;
    slot->data = zcb_buf_data(slot->memory);
    memset(slot->data, 0, sink->packet_bytes);
    return 0;
}

// A buffer more. Under the lock, or before anybody else knows the sink.
static int
prepare(struct zcb_audio_sink *sink)
{
    struct audio_slot *slot = sink->empty;
    int result = fill_slot(sink, slot);

    if (result < 0)
        return result;
    sink->empty = slot->next;
    __atomic_store_n(&sink->buffers, sink->buffers + 1, __ATOMIC_RELAXED);
    audio_add(&sink->stats.prepared, 1);
    audio_stack_push(&sink->returned, slot);
    return 0;
}

static void
free_sink(struct zcb_audio_sink *sink)
{
    for (uint32_t i = 0; i < sink->max_buffers; i++)
        zcb_buf_release(&sink->slots[i].memory);
    zcb_buf_release(&sink->waste.memory);
    for (uint32_t i = 0; i < sink->max_consumers; i++)
        audio_consumer_finish(&sink->consumers[i]);
    pthread_cond_destroy(&sink->helper_wake);
    pthread_mutex_destroy(&sink->lock);
    free(sink->consumers);
    free(sink->slots);
    free(sink);
}

void
audio_leave(struct zcb_audio_sink *sink, uint64_t share)
{
    if (__atomic_fetch_sub(&sink->users, share, __ATOMIC_ACQ_REL) == share)
        free_sink(sink);
}

// ---- service

static void
retire(struct zcb_audio_sink *sink)
{
    struct audio_slot *slot = audio_stack_take(&sink->retired), *next;

    for (; slot != NULL; slot = next) {
        next = slot->next;
        zcb_buf_release(&slot->memory);
        slot->next = sink->empty;
        sink->empty = slot;
        __atomic_store_n(&sink->buffers, sink->buffers - 1, __ATOMIC_RELAXED);
        audio_add(&sink->stats.retired, 1);
    }
}

int
zcb_audio_sink_service(struct zcb_audio_sink *sink)
{
    uint64_t in_use;
    int made = 0, result = 0;

    if (sink == NULL)
        return -EINVAL;
    pthread_mutex_lock(&sink->lock);
    retire(sink);
    in_use = __atomic_load_n(&sink->users, __ATOMIC_RELAXED) % AUDIO_OWNER;
    while (sink->buffers < sink->max_buffers && sink->buffers < in_use + sink->spare &&
           result == 0) {
        result = prepare(sink);
        made += result == 0;
    }
    if (sink->buffers > sink->min_buffers && sink->buffers > in_use + sink->spare)
        sink->idle += sink->idle < IDLE_ROUNDS;
    else
        sink->idle = 0;
    __atomic_store_n(&sink->retire_wish, sink->idle == IDLE_ROUNDS, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < sink->max_consumers; i++)
        if (sink->consumers[i].open)
            audio_wake(&sink->consumers[i], false);
    pthread_mutex_unlock(&sink->lock);
    return result < 0 ? result : made;
}

static void *
help(void *arg)
{
    struct zcb_audio_sink *sink = arg;
    struct timespec until;
    bool stop = false;
    int made;

    while (!stop) {
        made = zcb_audio_sink_service(sink);
        (void)made; // what failed is tried again by the next round
        until = wait_deadline(sink->helper_ms);
        pthread_mutex_lock(&sink->lock);
        while (!sink->stop && pthread_cond_timedwait(&sink->helper_wake, &sink->lock, &until) == 0)
            continue;
        stop = sink->stop;
        pthread_mutex_unlock(&sink->lock);
    }
    return NULL;
}

// The program's signals are not for this thread.
static int
start_helper(struct zcb_audio_sink *sink)
{
    sigset_t all, before;
    int err;

    if (sink->helper_ms == 0)
        return 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&sink->helper, NULL, help, sink);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sink->has_helper = err == 0;
    return -err;
}

// ---- life

static uint32_t
or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

// Fills in what follows from the config alone. 0, -EINVAL, -ERANGE.
static int
configure(struct zcb_audio_sink *sink, const struct zcb_audio_sink_config *config)
{
    uint64_t stride, period_ms;
    uint32_t depth = or_default(config->max_depth, 64);

    for (size_t i = 0; i < sizeof(config->reserved) / sizeof(config->reserved[0]); i++)
        if (config->reserved[i] != 0)
            return -EINVAL;
    sink->min_buffers = or_default(config->buffers, 10);
    sink->max_buffers =
        or_default(config->max_buffers, sink->min_buffers > 1024 ? 4096 : 4 * sink->min_buffers);
    sink->spare = or_default(config->spare, sink->min_buffers < 8 ? 2 : sink->min_buffers / 4);
    sink->max_consumers = or_default(config->max_consumers, 8);
    if (sink->min_buffers > sink->max_buffers || sink->min_buffers > 4096 ||
        sink->max_buffers > 4096 || sink->spare > 4096 || sink->max_consumers > 64 ||
        depth > 1024 || config->helper_ms > 1000 || config->conceal_frames > 1u << 20 ||
        (unsigned)config->full > ZCB_AUDIO_OVERWRITE ||
        (config->flags & ~(uint32_t)ZCB_AUDIO_AS_DELIVERED) != 0)
        return -EINVAL;
    sink->max_depth = depth;
    for (sink->mask = 1; sink->mask < depth; sink->mask *= 2)
        continue;
    sink->mask--;
    sink->full = config->full;
    sink->as_delivered = (config->flags & ZCB_AUDIO_AS_DELIVERED) != 0;
    sink->conceal = config->conceal_frames;
    sink->helper_ms = config->helper_ms;
    sink->clock.rate = sink->format.rate;
    sink->clock.tolerance = config->tolerance_frames;
    sink->clock.max_gap = or_default(config->max_gap_frames, sink->format.rate);
    sink->clock.stall_after = or_default(config->stall_after, 4);

    sink->step = audio_step(&sink->format);
    sink->planes = audio_planes(&sink->format);
    sink->packet_frames =
        or_default(config->packet_frames, sink->format.rate < 100 ? 1 : sink->format.rate / 100);
    stride = (uint64_t)sink->packet_frames * sink->step;
    if (sink->format.planar)
        stride = (stride + 63) & ~UINT64_C(63); // each plane begins at a cache line
    if (stride * sink->planes > ZCB_AUDIO_MAX_PACKET)
        return -ERANGE;
    sink->plane_stride = (uint32_t)stride;
    sink->packet_bytes = (uint32_t)(stride * sink->planes);
    period_ms = (uint64_t)sink->packet_frames * 1000 / sink->format.rate;
    if (sink->helper_ms == 0)
        sink->nap_ms = period_ms / 2 < NAP_MIN_MS   ? NAP_MIN_MS
                       : period_ms / 2 > NAP_MAX_MS ? NAP_MAX_MS
                                                    : (uint32_t)(period_ms / 2);
    return 0;
}

// Everything that can run out. What was made so far is free_sink()'s, but for consumers.
static int
furnish(struct zcb_audio_sink *sink)
{
    uint32_t consumers = sink->max_consumers;
    int result;

    sink->max_consumers = 0; // as many as are made
    sink->slots = calloc(sink->max_buffers, sizeof(*sink->slots));
    sink->consumers = calloc(consumers, sizeof(*sink->consumers));
    if (sink->slots == NULL || sink->consumers == NULL) {
        sink->max_buffers = 0;
        return -ENOMEM;
    }
    for (; sink->max_consumers < consumers; sink->max_consumers++) {
        result = audio_consumer_init(&sink->consumers[sink->max_consumers], sink);
        if (result < 0)
            return result;
    }
    for (uint32_t i = sink->max_buffers; i > 0; i--) {
        sink->slots[i - 1].next = sink->empty;
        sink->empty = &sink->slots[i - 1];
    }
    result = fill_slot(sink, &sink->waste);
    while (result == 0 && sink->buffers < sink->min_buffers)
        result = prepare(sink);
    return result;
}

int
zcb_audio_sink_create(struct zcb_pool *pool, const struct zcb_audio_format *format,
                      const struct zcb_audio_sink_config *config, struct zcb_audio_sink **out)
{
    static const struct zcb_audio_sink_config none;
    struct zcb_audio_sink *sink;
    int result;

    if (pool == NULL || out == NULL || zcb_audio_format_check(format) < 0)
        return -EINVAL;
    sink = calloc(1, sizeof(*sink));
    if (sink == NULL)
        return -ENOMEM;
    sink->pool = pool;
    sink->format = *format;
    sink->users = AUDIO_OWNER;
    result = configure(sink, config != NULL ? config : &none);
    if (result < 0 || pthread_mutex_init(&sink->lock, NULL) != 0) {
        free(sink);
        return result < 0 ? result : -ENOMEM;
    }
    if (wait_cond_init(&sink->helper_wake) != 0) {
        pthread_mutex_destroy(&sink->lock);
        free(sink);
        return -ENOMEM;
    }
    result = furnish(sink);
    if (result == 0)
        result = start_helper(sink);
    if (result < 0) {
        free_sink(sink);
        return result;
    }
    *out = sink;
    return 0;
}

void
zcb_audio_sink_destroy(struct zcb_audio_sink **out)
{
    struct zcb_audio_sink *sink;

    if (out == NULL || *out == NULL)
        return;
    sink = *out;
    *out = NULL;
    zcb_audio_sink_end(sink);
    pthread_mutex_lock(&sink->lock);
    sink->stop = true;
    pthread_cond_signal(&sink->helper_wake);
    pthread_mutex_unlock(&sink->lock);
    if (sink->has_helper)
        pthread_join(sink->helper, NULL);
    // Nothing comes any more: those who sleep are told, and what was put into a queue while it was
    // closed is taken out.
    pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->max_consumers; i++) {
        if (sink->consumers[i].open)
            audio_wake(&sink->consumers[i], true);
        else
            audio_drain(&sink->consumers[i]);
    }
    pthread_mutex_unlock(&sink->lock);
    audio_leave(sink, AUDIO_OWNER);
}

int
zcb_audio_sink_warm(struct zcb_audio_sink *sink)
{
    static const uint8_t byte = 0;
    uint8_t copy, touched = 0;

    if (sink == NULL)
        return -EINVAL;
    audio_copy(&copy, &byte, 1);
    for (uint32_t i = 0; i < sink->max_buffers; i++)
        touched |= __atomic_load_n((uint8_t *)&sink->slots[i].storage, __ATOMIC_RELAXED);
    (void)touched;
    return 0;
}

int
zcb_audio_sink_stats(const struct zcb_audio_sink *sink, struct zcb_audio_sink_stats *out,
                     size_t out_size)
{
    struct zcb_audio_sink_stats now;

    if (sink == NULL || out == NULL || out_size == 0)
        return -EINVAL;
#define LOAD(name, gauge, help) now.name = __atomic_load_n(&sink->stats.name, __ATOMIC_RELAXED);
    ZCB_AUDIO_SINK_STATS(LOAD)
#undef LOAD
    now.buffers = __atomic_load_n(&sink->buffers, __ATOMIC_RELAXED);
    now.in_use = __atomic_load_n(&sink->users, __ATOMIC_RELAXED) % AUDIO_OWNER;
    now.hit_rate = now.acquires != 0 ? (double)now.recycled / (double)now.acquires : 0;
    memset(out, 0, out_size);
    memcpy(out, &now, out_size < sizeof(now) ? out_size : sizeof(now));
    return 0;
}
