// SPDX-License-Identifier: MIT
//
// A consumer's queue, and its reader.
//
//     head                     tail
//      |  slot | slot | slot |  |         a ring of pointers; both ends only grow
//      ^ whoever takes out:     ^ the capture thread alone
//        reader, capture thread, close
//
// Who takes out reads the pointer first and then moves head on by compare-and-swap; if head has
// moved meanwhile, what was read is not used. The capture thread writes a place again only after it
// has seen head beyond it, so a swap that succeeds had the right pointer.
#include "audio.h"

#include <errno.h>
#if defined(__linux__)
#include <sys/eventfd.h>
#include <unistd.h>
#endif

#define MODE_DEPTH 0xffffu

static uint64_t
waiting(const struct zcb_audio_consumer *consumer)
{
    // Head first: tail is never behind a head that was read before it.
    uint64_t head = __atomic_load_n(&consumer->head, __ATOMIC_ACQUIRE);

    return __atomic_load_n(&consumer->tail, __ATOMIC_ACQUIRE) - head;
}

struct audio_slot *
audio_front(const struct zcb_audio_consumer *consumer)
{
    uint64_t head = __atomic_load_n(&consumer->head, __ATOMIC_ACQUIRE);

    if (head == __atomic_load_n(&consumer->tail, __ATOMIC_ACQUIRE))
        return NULL;
    return __atomic_load_n(&consumer->entry[head & consumer->sink->mask], __ATOMIC_RELAXED);
}

struct audio_slot *
audio_pop(struct zcb_audio_consumer *consumer, const struct audio_slot *only)
{
    uint64_t head = __atomic_load_n(&consumer->head, __ATOMIC_ACQUIRE);
    struct audio_slot *slot;

    do {
        if (head == __atomic_load_n(&consumer->tail, __ATOMIC_ACQUIRE))
            return NULL;
        slot = __atomic_load_n(&consumer->entry[head & consumer->sink->mask], __ATOMIC_RELAXED);
        if (only != NULL && slot != only)
            return NULL;
    } while (!__atomic_compare_exchange_n(&consumer->head, &head, head + 1, false, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    return slot;
}

static bool
pop_and_drop(struct zcb_audio_consumer *consumer)
{
    struct audio_slot *slot = audio_pop(consumer, NULL);
    struct zcb_packet bytes;

    if (slot == NULL)
        return false;
    bytes = slot->packet.bytes; // the slot's own is not to be emptied: others read it
    zcb_packet_unref(&bytes);
    return true;
}

void
audio_drain(struct zcb_audio_consumer *consumer)
{
    while (pop_and_drop(consumer))
        continue;
}

bool
audio_offer(struct zcb_audio_consumer *consumer, const struct audio_slot *slot)
{
    uint32_t mode = __atomic_load_n(&consumer->mode, __ATOMIC_ACQUIRE);
    struct zcb_audio_consumer_stats *now = &consumer->now;

    if (mode == 0) {
        // What this thread put in while the consumer was being closed.
        audio_drain(consumer);
        return false;
    }
    audio_add(&now->offered, 1);
    if (waiting(consumer) >= (mode & MODE_DEPTH)) {
        if (mode >> 16 == ZCB_AUDIO_LAG_HOLD) {
            audio_add(&now->refused, 1);
            return true;
        }
        audio_add(&now->dropped_oldest, pop_and_drop(consumer));
        if (mode >> 16 == ZCB_AUDIO_LAG_SKIP)
            __atomic_store_n(&consumer->skip, 1, __ATOMIC_RELAXED);
    }
    zcb_packet_ref_n(&slot->packet.bytes, 1);
    __atomic_store_n(&consumer->entry[consumer->tail & consumer->sink->mask],
                     (struct audio_slot *)(uintptr_t)slot, __ATOMIC_RELAXED);
    __atomic_store_n(&consumer->tail, consumer->tail + 1, __ATOMIC_RELEASE);
    audio_most(&now->peak_waiting, waiting(consumer));
    return true;
}

// ---- the reader

static bool
read_now(struct zcb_audio_consumer *consumer, struct zcb_audio_packet *out)
{
    struct audio_slot *slot;

    if (__atomic_load_n(&consumer->skip, __ATOMIC_RELAXED) != 0 &&
        __atomic_exchange_n(&consumer->skip, 0, __ATOMIC_RELAXED) != 0)
        for (uint64_t n = waiting(consumer); n > 1; n--)
            audio_add(&consumer->skipped, pop_and_drop(consumer));
    slot = audio_pop(consumer, NULL);
    if (slot == NULL)
        return false;
    *out = slot->packet; // the queue's reference is the caller's now
    if (consumer->follows && out->pts_frames != consumer->next_pts)
        out->flags |= ZCB_AUDIO_DISCONTINUITY;
    audio_add(&consumer->discontinuities, (out->flags & ZCB_AUDIO_DISCONTINUITY) != 0);
    audio_add(&consumer->delivered, 1);
    consumer->follows = true;
    consumer->next_pts = out->pts_frames + out->frames;
    return true;
}

static bool
has_ended(const struct zcb_audio_consumer *consumer)
{
    return __atomic_load_n(&consumer->sink->ended, __ATOMIC_ACQUIRE) != 0;
}

// The descriptor says no more that something waits. Under the lock, as is setting it.
static void
unsignal(struct zcb_audio_consumer *consumer)
{
#if defined(__linux__)
    eventfd_t count;

    if (consumer->signalled && waiting(consumer) == 0 && !has_ended(consumer)) {
        (void)eventfd_read(consumer->fd, &count);
        consumer->signalled = false;
    }
#else
    (void)consumer;
#endif
}

static void
signal_fd(struct zcb_audio_consumer *consumer)
{
#if defined(__linux__)
    if (consumer->fd >= 0 && !consumer->signalled && eventfd_write(consumer->fd, 1) == 0)
        consumer->signalled = true;
#else
    (void)consumer;
#endif
}

void
audio_wake(struct zcb_audio_consumer *consumer, bool in_any_case)
{
    if (!in_any_case && waiting(consumer) == 0 && !has_ended(consumer))
        return;
    pthread_mutex_lock(&consumer->lock);
    signal_fd(consumer);
    if (consumer->sleeping != 0)
        pthread_cond_broadcast(&consumer->wake);
    pthread_mutex_unlock(&consumer->lock);
}

static bool
is_over(const struct timespec *deadline)
{
    struct timespec now = wait_deadline(0);

    return now.tv_sec > deadline->tv_sec ||
           (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

// Until woken, or it is time to look, or the deadline. Looks once more under the lock: audio_wake()
// comes either before that, or when this thread can be woken.
static void
sleep_a_while(struct zcb_audio_consumer *consumer, const struct timespec *deadline)
{
    struct timespec until = *deadline, nap;
    int cancel;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    pthread_mutex_lock(&consumer->lock);
    if (consumer->sink->nap_ms != 0) {
        nap = wait_deadline(consumer->sink->nap_ms);
        if (nap.tv_sec < until.tv_sec ||
            (nap.tv_sec == until.tv_sec && nap.tv_nsec < until.tv_nsec))
            until = nap;
    }
    consumer->sleeping++;
    if (waiting(consumer) == 0 && !has_ended(consumer))
        pthread_cond_timedwait(&consumer->wake, &consumer->lock, &until);
    consumer->sleeping--;
    pthread_mutex_unlock(&consumer->lock);
    pthread_setcancelstate(cancel, NULL);
}

int
zcb_audio_consumer_read(struct zcb_audio_consumer *consumer, uint32_t timeout_ms,
                        struct zcb_audio_packet *out)
{
    struct timespec deadline;
    bool ended;

    if (consumer == NULL || out == NULL)
        return -EINVAL;
    if (read_now(consumer, out))
        return 1;
    if (timeout_ms != 0) // no limit: some decades
        deadline = wait_deadline(timeout_ms == UINT32_MAX ? UINT64_C(1) << 40 : timeout_ms);
    for (;;) {
        ended = has_ended(consumer); // before the look, so that none can come between
        if (read_now(consumer, out))
            return 1;
        if (ended)
            return 0;
        if (consumer->fd >= 0) {
            pthread_mutex_lock(&consumer->lock);
            unsignal(consumer);
            pthread_mutex_unlock(&consumer->lock);
        }
        if (timeout_ms == 0)
            return -EAGAIN;
        if (is_over(&deadline))
            return -ETIMEDOUT;
        audio_add(&consumer->sleeps, 1);
        sleep_a_while(consumer, &deadline);
    }
}

int
zcb_audio_consumer_fd(struct zcb_audio_consumer *consumer)
{
    int fd = -ENOTSUP;

    if (consumer == NULL)
        return -EINVAL;
    pthread_mutex_lock(&consumer->lock);
#if defined(__linux__)
    if (consumer->fd < 0) {
        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        consumer->fd = fd < 0 ? -1 : fd;
        fd = fd < 0 ? -errno : fd;
        if (waiting(consumer) != 0 || has_ended(consumer))
            signal_fd(consumer);
    } else {
        fd = consumer->fd;
    }
#endif
    pthread_mutex_unlock(&consumer->lock);
    return fd;
}

uint32_t
zcb_audio_consumer_waiting(const struct zcb_audio_consumer *consumer)
{
    return consumer != NULL ? (uint32_t)waiting(consumer) : 0;
}

// ---- life

int
audio_consumer_init(struct zcb_audio_consumer *consumer, struct zcb_audio_sink *sink)
{
    consumer->sink = sink;
    consumer->fd = -1;
    consumer->entry = calloc((size_t)sink->mask + 1, sizeof(struct audio_slot *));
    if (consumer->entry == NULL || pthread_mutex_init(&consumer->lock, NULL) != 0) {
        free(consumer->entry);
        return -ENOMEM;
    }
    if (wait_cond_init(&consumer->wake) != 0) {
        pthread_mutex_destroy(&consumer->lock);
        free(consumer->entry);
        return -ENOMEM;
    }
    return 0;
}

void
audio_consumer_finish(struct zcb_audio_consumer *consumer)
{
    pthread_cond_destroy(&consumer->wake);
    pthread_mutex_destroy(&consumer->lock);
    free(consumer->entry);
}

int
zcb_audio_consumer_open(struct zcb_audio_sink *sink, const struct zcb_audio_consumer_config *config,
                        struct zcb_audio_consumer **out)
{
    static const struct zcb_audio_consumer_config none;
    struct zcb_audio_consumer *consumer = NULL;
    uint32_t depth;

    if (config == NULL)
        config = &none;
    if (sink == NULL || out == NULL || (unsigned)config->lag > ZCB_AUDIO_LAG_HOLD)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(config->reserved) / sizeof(config->reserved[0]); i++)
        if (config->reserved[i] != 0)
            return -EINVAL;
    if (config->depth > sink->max_depth)
        return -EINVAL;
    depth = config->depth != 0 ? config->depth : sink->max_depth < 8 ? sink->max_depth : 8;

    pthread_mutex_lock(&sink->lock);
    for (uint32_t i = 0; i < sink->max_consumers && consumer == NULL; i++)
        if (!sink->consumers[i].open)
            consumer = &sink->consumers[i];
    if (consumer != NULL) {
        audio_drain(consumer);
        consumer->open = true;
        consumer->follows = false;
        consumer->signalled = false;
        consumer->delivered = consumer->skipped = consumer->discontinuities = consumer->sleeps = 0;
        __atomic_store_n(&consumer->skip, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&consumer->now.peak_waiting, 0, __ATOMIC_RELAXED);
#define BASE(name, gauge, help)                                                                    \
    consumer->before.name = __atomic_load_n(&consumer->now.name, __ATOMIC_RELAXED);
        ZCB_AUDIO_CONSUMER_STATS(BASE)
#undef BASE
        __atomic_fetch_add(&sink->users, AUDIO_OWNER, __ATOMIC_RELAXED);
        __atomic_store_n(&consumer->mode, depth | (uint32_t)config->lag << 16, __ATOMIC_RELEASE);
        *out = consumer;
    }
    pthread_mutex_unlock(&sink->lock);
    return consumer != NULL ? 0 : -ENOBUFS;
}

void
zcb_audio_consumer_close(struct zcb_audio_consumer **consumer)
{
    struct zcb_audio_consumer *own;
    struct zcb_audio_sink *sink;

    if (consumer == NULL || *consumer == NULL)
        return;
    own = *consumer;
    *consumer = NULL;
    sink = own->sink;
    pthread_mutex_lock(&sink->lock);
    __atomic_store_n(&own->mode, 0, __ATOMIC_RELEASE);
    // The capture thread may be putting one more in just now; it takes that out itself.
    audio_drain(own);
#if defined(__linux__)
    if (own->fd >= 0)
        close(own->fd);
#endif
    own->fd = -1;
    own->open = false;
    pthread_mutex_unlock(&sink->lock);
    audio_leave(sink, AUDIO_OWNER);
}

int
zcb_audio_consumer_stats(const struct zcb_audio_consumer *consumer,
                         struct zcb_audio_consumer_stats *out, size_t out_size)
{
    struct zcb_audio_consumer_stats now;

    if (consumer == NULL || out == NULL || out_size == 0)
        return -EINVAL;
#define SINCE(name, gauge, help)                                                                   \
    now.name = __atomic_load_n(&consumer->now.name, __ATOMIC_RELAXED) -                            \
               ((gauge) ? 0 : consumer->before.name);
    ZCB_AUDIO_CONSUMER_STATS(SINCE)
#undef SINCE
    now.delivered = __atomic_load_n(&consumer->delivered, __ATOMIC_RELAXED);
    now.skipped = __atomic_load_n(&consumer->skipped, __ATOMIC_RELAXED);
    now.discontinuities = __atomic_load_n(&consumer->discontinuities, __ATOMIC_RELAXED);
    now.sleeps = __atomic_load_n(&consumer->sleeps, __ATOMIC_RELAXED);
    memset(out, 0, out_size);
    memcpy(out, &now, out_size < sizeof(now) ? out_size : sizeof(now));
    return 0;
}
