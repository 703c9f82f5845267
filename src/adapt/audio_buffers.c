// SPDX-License-Identifier: MIT
//
// Buffers, as the capture thread sees them: where a free one comes from, what is given up when there
// is none, and how they come back from whoever had them. Nothing here waits: a push is tried again
// only where another thread's push has just succeeded.
#include "audio.h"

void
audio_stack_push(struct audio_slot **stack, struct audio_slot *slot)
{
    slot->next = __atomic_load_n(stack, __ATOMIC_RELAXED);
    // Release: what was done with the buffer's bytes lies before it is seen here.
    while (!__atomic_compare_exchange_n(stack, &slot->next, slot, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
        continue;
}

struct audio_slot *
audio_stack_take(struct audio_slot **stack)
{
    // The exchange would cost all others the cache line even where there is nothing.
    if (__atomic_load_n(stack, __ATOMIC_RELAXED) == NULL)
        return NULL;
    return __atomic_exchange_n(stack, NULL, __ATOMIC_ACQUIRE);
}

void
audio_come_back(void *ctx, void *data, size_t len)
{
    struct audio_slot *slot = ctx;
    struct zcb_audio_sink *sink = slot->sink;

    (void)data, (void)len;
    audio_stack_push(&sink->returned, slot);
    audio_leave(sink, AUDIO_BUFFER);
}

static struct audio_slot *
pop_free(struct zcb_audio_sink *sink)
{
    struct audio_slot *slot;

    if (sink->free == NULL)
        sink->free = audio_stack_take(&sink->returned);
    slot = sink->free;
    if (slot != NULL)
        sink->free = slot->next;
    return slot;
}

// What service() wants back goes out through this thread, as `free` is nobody else's.
static void
retire_one(struct zcb_audio_sink *sink)
{
    struct audio_slot *slot;

    if (__atomic_load_n(&sink->retire_wish, __ATOMIC_RELAXED) == 0 ||
        __atomic_exchange_n(&sink->retire_wish, 0, __ATOMIC_RELAXED) == 0)
        return;
    slot = pop_free(sink);
    if (slot != NULL)
        audio_stack_push(&sink->retired, slot);
}

// The packet that has waited longest in any queue. It is this thread that fills slots, so their
// numbers stand still while it looks.
static const struct audio_slot *
oldest(const struct zcb_audio_sink *sink)
{
    const struct audio_slot *found = NULL;

    for (uint32_t i = 0; i < sink->max_consumers; i++) {
        const struct audio_slot *front = audio_front(&sink->consumers[i]);

        if (front != NULL && (found == NULL || front->packet.number < found->packet.number))
            found = front;
    }
    return found;
}

// Takes the packet out of all queues, at whose front it is.
static bool
evict(struct zcb_audio_sink *sink, const struct audio_slot *slot)
{
    bool was_there = false;

    for (uint32_t i = 0; i < sink->max_consumers; i++) {
        struct zcb_audio_consumer *consumer = &sink->consumers[i];
        struct audio_slot *mine = audio_pop(consumer, slot);
        struct zcb_packet bytes;

        if (mine == NULL)
            continue;
        bytes = mine->packet.bytes;
        zcb_packet_unref(&bytes);
        audio_add(&consumer->now.dropped_oldest, 1);
        was_there = true;
    }
    return was_there;
}

// Around all that this thread does with queues, for consumers to come who wait until a place is
// left. In one order with a consumer's `mode`: either this thread sees that it was closed, or who
// opens it again sees this.
static void
enter_queues(struct zcb_audio_sink *sink)
{
    __atomic_store_n(&sink->publishing, sink->publishing + 1, __ATOMIC_SEQ_CST);
}

static void
leave_queues(struct zcb_audio_sink *sink)
{
    __atomic_store_n(&sink->publishing, sink->publishing + 1, __ATOMIC_RELEASE);
}

// Ends, since nothing but this thread puts packets into queues.
static struct audio_slot *
make_room(struct zcb_audio_sink *sink)
{
    const struct audio_slot *victim;
    struct audio_slot *slot = NULL;

    if (sink->full == ZCB_AUDIO_DROP_NEWEST)
        return NULL;
    enter_queues(sink);
    while ((slot == NULL || sink->full == ZCB_AUDIO_OVERWRITE) && (victim = oldest(sink)) != NULL) {
        if (evict(sink, victim))
            audio_add(sink->full == ZCB_AUDIO_OVERWRITE ? &sink->stats.overwritten
                                                        : &sink->stats.drops_oldest,
                      1);
        if (slot == NULL)
            slot = pop_free(sink);
    }
    leave_queues(sink);
    return slot;
}

struct audio_slot *
audio_take(struct zcb_audio_sink *sink)
{
    struct audio_slot *slot;
    uint64_t out;

    retire_one(sink);
    audio_add(&sink->stats.acquires, 1);
    slot = pop_free(sink);
    if (slot == NULL) {
        audio_add(&sink->stats.misses, 1);
        slot = make_room(sink);
    }
    if (slot == NULL)
        return NULL;
    audio_add(slot->used ? &sink->stats.recycled : &sink->stats.first_uses, 1);
    slot->used = true;
    out = __atomic_add_fetch(&sink->users, AUDIO_BUFFER, __ATOMIC_RELAXED) % AUDIO_OWNER;
    // One that has come back can be here again before the thread that dropped it has counted it.
    if (out <= __atomic_load_n(&sink->buffers, __ATOMIC_RELAXED))
        audio_most(&sink->stats.peak_in_use, out);
    return slot;
}

bool
audio_publish(struct zcb_audio_sink *sink, uint32_t flags)
{
    struct audio_slot *slot = sink->filling;
    size_t len =
        (size_t)(sink->planes - 1) * sink->plane_stride + (size_t)sink->filled * sink->step;
    struct zcb_packet mine;
    struct zcb_buf *buf;
    bool heard = false;

    sink->filling = NULL;
    if (slot == &sink->waste) {
        audio_add(&sink->stats.drops_newest, 1);
        audio_add(&sink->stats.dropped_frames, sink->filled);
        sink->filled = 0;
        sink->flags = ZCB_AUDIO_DISCONTINUITY; // of the packet that comes next
        return false;
    }
    buf =
        zcb_buf_wrap_in(&slot->storage, slot->data, len, sink->packet_bytes, audio_come_back, slot);
    slot->packet = (struct zcb_audio_packet){
        .format = sink->format,
        .pts_frames = sink->pts,
        .number = sink->number++,
        .frames = sink->filled,
        .flags = sink->flags | flags | (sink->silent == sink->filled ? ZCB_AUDIO_SILENCE : 0),
        .plane_stride = sink->format.planar ? sink->plane_stride : 0,
    };
    zcb_buf_share(&buf, &slot->packet.bytes);
    mine = slot->packet.bytes; // the slot may be somebody else's before this function is over
    audio_add(&sink->stats.packets, 1);
    audio_add(&sink->stats.frames, sink->filled);
    sink->filled = 0;
    sink->flags = 0;
    enter_queues(sink);
    for (uint32_t i = 0; i < sink->max_consumers; i++)
        heard |= audio_offer(&sink->consumers[i], slot);
    leave_queues(sink);
    audio_add(&sink->stats.unheard, !heard);
    zcb_packet_unref(&mine);
    return true;
}
