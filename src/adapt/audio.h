// SPDX-License-Identifier: MIT
//
// The audio adapter's own side. Public core headers only: what is missing there belongs there.
//
//     audio_packet.c     formats; packets, their slices and planes, gather
//     audio_rechunk.c    packets of one length into packets of another
//     audio_clock.c      what a stamp means: gap, jump, duplicate ... (arithmetic only)
//     audio_capture.c    begin, commit: the packet under way      } the capture thread's:
//     audio_buffers.c    a free buffer, a full queue, the return  } no allocator, lock, system call
//     audio_consumer.c   queues, readers
//     audio_sink.c       create, service, destroy: all that needs the system
//
// Life of a buffer, with who moves it:
//
//     empty --service--> returned --capture--> free --capture--> under way --capture--> queues
//       ^                   ^                   |                                         |
//       |                   +------- the release hook, on the last unref's thread <-------+
//       +----- service <-- retired <--capture---+
//
// `returned` and `retired` are stacks that anybody pushes to by compare-and-swap, and of which one
// thread takes all at once by an exchange: no entry is ever popped singly, so none can be mistaken
// for another (ABA). `free` is the capture thread's own.
//
// Read audio_capture.c first, then audio_offer().
#ifndef ZCB_ADAPT_AUDIO_PRIVATE_H
#define ZCB_ADAPT_AUDIO_PRIVATE_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zcbuf/adapt/audio.h>

#include "adapt/wait.h"

// ---- packets

// Bytes from a frame to the next in one plane; planes there are.
uint32_t audio_step(const struct zcb_audio_format *format);
uint32_t audio_planes(const struct zcb_audio_format *format);
bool audio_same_format(const struct zcb_audio_format *a, const struct zcb_audio_format *b);

// memcpy that is counted (ZCB_COPY_COPY_TO).
void audio_copy(void *dst, const void *src, size_t len);

// Counters have one writer each, and readers anywhere.
static inline void
audio_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

// A gauge that may be set back by another thread.
static inline void
audio_most(uint64_t *gauge, uint64_t value)
{
    if (value > __atomic_load_n(gauge, __ATOMIC_RELAXED))
        __atomic_store_n(gauge, value, __ATOMIC_RELAXED);
}

// ---- clock

struct audio_clock {
    uint32_t rate, tolerance, max_gap, stall_after; // as configured, defaults filled in
    bool has_time, has_sequence;                    // one has been seen
    bool stopped;
    uint32_t old_sequences, old_times; // in a row
    uint32_t next_sequence;
    uint64_t seen;       // bit n: next_sequence - 1 - n has come
    uint64_t next_pts;   // of the next frame
    uint64_t last_pts;   // the last stamp's
    uint64_t last_ns;    // when
    uint32_t last_count; // and how many frames it had
    bool late;
};

struct audio_verdict {
    bool drop;
    bool broken;      // what follows does not continue what was before
    uint64_t missing; // frames in front of these
};

struct audio_verdict audio_clock_judge(struct audio_clock *clock,
                                       const struct zcb_audio_stamp *stamp, uint32_t frames,
                                       struct zcb_audio_sink_stats *stats);

// ---- sink

struct audio_slot {
    struct zcb_buf_storage storage; // the header of the packet in it
    struct zcb_audio_sink *sink;
    struct audio_slot *next;
    struct zcb_buf *memory; // NULL: empty
    uint8_t *data;
    bool used;
    struct zcb_audio_packet packet; // as published
};

// The queue's places hold pointers, each read and written as a whole: a reader that loses the race
// for a place has read a pointer that it does not use.
struct zcb_audio_consumer {
    struct zcb_audio_sink *sink;
    struct audio_slot **entry; // max_depth places, rounded up to a power of two
    uint64_t tail;             // the capture thread's
    uint64_t head;             // whoever takes something out
    uint32_t mode;             // 0: closed; else depth and, from bit 16 on, the policy
    uint32_t skip;             // the next read is to skip to the newest
    bool open;                 // under the sink's lock
    // The reader's.
    bool follows;
    uint64_t next_pts;
    uint64_t delivered, skipped, discontinuities, sleeps;
    // The capture thread's; since ever, whoever has it open.
    struct zcb_audio_consumer_stats now, before;
    pthread_mutex_t lock; // guards those below
    pthread_cond_t wake;
    uint32_t sleeping;
    int fd; // -1: none
    bool signalled;
};

enum audio_span { AUDIO_NO_SPAN, AUDIO_SPAN, AUDIO_SPAN_TO_DROP };

// In `users`: one for each buffer that is out or under way; for the owner, and for each consumer.
#define AUDIO_BUFFER UINT64_C(1)
#define AUDIO_OWNER (UINT64_C(1) << 32)

struct zcb_audio_sink {
    // Does not change.
    struct zcb_audio_format format;
    uint32_t step, planes, packet_frames, plane_stride, packet_bytes, max_depth;
    uint32_t min_buffers, max_buffers, spare, conceal, max_consumers, mask, nap_ms, helper_ms;
    bool as_delivered;
    enum zcb_audio_full full;
    struct zcb_pool *pool;
    struct audio_slot *slots; // max_buffers
    struct zcb_audio_consumer *consumers;

    // The capture thread's.
    struct audio_clock clock;
    struct audio_slot *free;
    struct audio_slot *filling; // the packet under way, or &waste, or NULL
    struct audio_slot waste;    // memory for what is dropped
    uint32_t filled, silent, span_frames;
    uint32_t dropping; // frames of the delivery under way that are not wanted
    uint32_t flags;    // of the packet under way
    bool span_silent;
    enum audio_span span;
    uint64_t pts, number;
    struct zcb_audio_sink_stats stats; // prepared and retired: under `lock`
    uint8_t *plane[ZCB_AUDIO_MAX_CHANNELS];

    uint8_t apart[64]; // what follows is written by others
    struct audio_slot *returned, *retired;
    uint64_t users;
    uint32_t retire_wish, ended, buffers;

    pthread_mutex_t lock; // service, open, close
    struct audio_slot *empty;
    uint32_t idle;
    bool has_helper, stop;
    pthread_t helper;
    pthread_cond_t helper_wake;
};

// A buffer for the next packet, or NULL: none is free, and none can be had by the policy.
struct audio_slot *audio_take(struct zcb_audio_sink *sink);

// The frames that are there become a packet in all queues. Whether they did.
bool audio_publish(struct zcb_audio_sink *sink, uint32_t flags);

// Release hook: the last reference to a slot's packet has gone.
void audio_come_back(void *slot, void *data, size_t len);

void audio_stack_push(struct audio_slot **stack, struct audio_slot *slot);
struct audio_slot *audio_stack_take(struct audio_slot **stack);

// Puts the packet in the consumer's queue, with a reference; false: nobody has it open.
bool audio_offer(struct zcb_audio_consumer *consumer, const struct audio_slot *slot);

// Takes the oldest out; NULL: none. `only` (may be NULL): if it is this one.
struct audio_slot *audio_pop(struct zcb_audio_consumer *consumer, const struct audio_slot *only);
void audio_drain(struct zcb_audio_consumer *consumer);
struct audio_slot *audio_front(const struct zcb_audio_consumer *consumer);

int audio_consumer_init(struct zcb_audio_consumer *consumer, struct zcb_audio_sink *sink);
void audio_consumer_finish(struct zcb_audio_consumer *consumer);

// Wakes its reader if there is something for it (or `in_any_case`).
void audio_wake(struct zcb_audio_consumer *consumer, bool in_any_case);

// Drops a share of the sink's life; the last one frees it.
void audio_leave(struct zcb_audio_sink *sink, uint64_t share);

#endif
