// SPDX-License-Identifier: MIT
//
// FFmpeg's AVFifo: a ring of bytes, made as large as it becomes. It gives no pointers into itself.

#include <libavutil/fifo.h>

#include "wire/peer.h"

enum { CAPACITY = 131072 };

struct peer; // an AVFifo

static inline AVFifo *
fifo_of(struct peer *peer)
{
    return (AVFifo *)(void *)peer;
}

static void *
create(struct wire_stream *stream)
{
    (void)stream;
    return av_fifo_alloc2(CAPACITY, 1, 0);
}

static void
destroy(void *state)
{
    AVFifo *fifo = state;

    av_fifo_freep2(&fifo);
}

static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    return av_fifo_write(fifo_of(peer), data, len);
}

static inline int
feed(struct peer *peer, size_t number, const uint8_t *data, size_t len)
{
    (void)number;
    return receive(peer, data, len);
}

static inline size_t
size(struct peer *peer)
{
    return av_fifo_can_read(fifo_of(peer));
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    av_fifo_peek(fifo_of(peer), scratch, len, 0);
    return scratch;
}

static inline void
drop(struct peer *peer, size_t len)
{
    av_fifo_drain2(fifo_of(peer), len);
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    return av_fifo_read(fifo_of(peer), dst, len);
}

#include "wire/loops.h"

const struct wire_peer wire_avfifo = {.name = "FFmpeg AVFifo", WIRE_PEER_LOOPS};
