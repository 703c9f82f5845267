// SPDX-License-Identifier: MIT
//
// A queue from one thread to another: how a buffer crosses in the workloads of two threads. The
// same for all contenders. The slots are the user's; this says which of them is next. Each side
// tells the other how far it has come after every `group` slots: with 1 each item costs cache lines
// that cross, with 32 the queue costs next to nothing.
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <sched.h>
#include <stdint.h>

#define RING_SLOTS 256 // a power of two, and a multiple of each group

struct ring {
    uint64_t group;
    // The producer's line, with what it last saw of the consumer's; and the other way round.
    _Alignas(128) uint64_t in;
    uint64_t in_told, out_seen;
    _Alignas(128) uint64_t out;
    uint64_t out_told, in_seen;
    _Alignas(128) char end[1];
};

// Waits a while, then lets others run: the other side may need this very CPU.
static inline void
ring_wait(unsigned *turns)
{
    if (++*turns % 256 == 0)
        sched_yield();
#if defined(__x86_64__) || defined(__i386__)
    else
        __builtin_ia32_pause();
#endif
}

// The slot to write, when it is free.
static inline unsigned
ring_write(struct ring *ring)
{
    unsigned turns = 0;

    while (ring->in - ring->out_seen == RING_SLOTS) {
        ring->out_seen = __atomic_load_n(&ring->out_told, __ATOMIC_ACQUIRE);
        if (ring->in - ring->out_seen == RING_SLOTS)
            ring_wait(&turns);
    }
    return (unsigned)(ring->in % RING_SLOTS);
}

static inline void
ring_written(struct ring *ring)
{
    if (++ring->in % ring->group == 0)
        __atomic_store_n(&ring->in_told, ring->in, __ATOMIC_RELEASE);
}

// The slot to read, when it is written.
static inline unsigned
ring_read(struct ring *ring)
{
    unsigned turns = 0;

    while (ring->out == ring->in_seen) {
        ring->in_seen = __atomic_load_n(&ring->in_told, __ATOMIC_ACQUIRE);
        if (ring->out == ring->in_seen)
            ring_wait(&turns);
    }
    return (unsigned)(ring->out % RING_SLOTS);
}

static inline void
ring_was_read(struct ring *ring)
{
    if (++ring->out % ring->group == 0)
        __atomic_store_n(&ring->out_told, ring->out, __ATOMIC_RELEASE);
}

#endif
