// SPDX-License-Identifier: MIT
//
// io_uring: one multishot receive, fed from a ring of buffers. Bare, the buffers go back as soon as
// they were looked at; in the library's bridge each is a packet.

#include "net/engine.h"

#include <errno.h>
#include <stdlib.h>

#include <liburing.h>

#include <zcbuf/bridge/uring.h>
#include <zcbuf/pool.h>

#include "harness.h"

enum { ENTRIES = 64, COMPLETIONS = 1024, GROUP = 1 };

// How many completions a call waits for, in `how`.
enum { WAIT_1 = 1, WAIT_32 = 32 };

// For small datagrams as many buffers as the bridge has if nothing else is asked for.
static unsigned
buffers_for(size_t len)
{
    return len <= 2048 ? 256 : 64;
}

// What the kernel does for it, it does when it is asked, so that it is timed.
static int
open_ring(struct io_uring *ring)
{
    struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN,
                                     .cq_entries = COMPLETIONS};

    return io_uring_queue_init_params(ENTRIES, ring, &params);
}

int
engine_uring_missing(void)
{
    struct io_uring ring;
    int result = open_ring(&ring);

    if (result == 0)
        io_uring_queue_exit(&ring);
    return result;
}

// ---- bare

struct bare {
    struct io_uring ring;
    struct io_uring_buf_ring *ids;
    uint8_t *memory;
    size_t room;
    unsigned buffers, wait_for;
    int fd;
    bool armed;
};

static void
provide(struct bare *bare, unsigned id, int offset)
{
    io_uring_buf_ring_add(bare->ids, bare->memory + id * bare->room, (unsigned)bare->room,
                          (unsigned short)id, io_uring_buf_ring_mask(bare->buffers), offset);
}

static int
bare_open(const struct engine *self, const struct engine_setup *setup, void **state)
{
    struct bare *bare = calloc(1, sizeof(*bare));
    struct io_uring_buf_reg reg = {.bgid = GROUP};
    int result;

    if (bare == NULL)
        return -ENOMEM;
    bare->fd = setup->fd;
    bare->wait_for = self->how;
    bare->buffers = buffers_for(setup->len);
    bare->room = engine_longest(setup->len);
    result = open_ring(&bare->ring);
    if (result < 0) {
        free(bare);
        return result;
    }
    bare->memory = bench_alloc(bare->buffers * bare->room);
    bare->ids = bench_alloc(bare->buffers * sizeof(struct io_uring_buf));
    reg.ring_addr = (uintptr_t)bare->ids;
    reg.ring_entries = bare->buffers;
    result = io_uring_register_buf_ring(&bare->ring, &reg, 0);
    if (result < 0) {
        io_uring_queue_exit(&bare->ring);
        free(bare->ids);
        free(bare->memory);
        free(bare);
        return result;
    }
    io_uring_buf_ring_init(bare->ids);
    for (unsigned i = 0; i < bare->buffers; i++)
        provide(bare, i, (int)i);
    io_uring_buf_ring_advance(bare->ids, (int)bare->buffers);
    *state = bare;
    return 0;
}

static void
bare_close(void *state)
{
    struct bare *bare = state;

    io_uring_queue_exit(&bare->ring);
    free(bare->ids);
    free(bare->memory);
    free(bare);
}

static int
bare_arm(struct bare *bare)
{
    struct io_uring_sqe *sqe;

    if (bare->armed)
        return 0;
    sqe = io_uring_get_sqe(&bare->ring);
    if (sqe == NULL)
        return -EAGAIN;
    io_uring_prep_recv_multishot(sqe, bare->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    bare->armed = true;
    return 0;
}

static int
bare_take(void *state, struct sink *sink, bool wait)
{
    struct bare *bare = state;
    struct __kernel_timespec ms = {.tv_nsec = 1000000}, second = {.tv_sec = 1};
    struct io_uring_cqe *cqes[ENGINE_BATCH], *cqe;
    unsigned count = io_uring_cq_ready(&bare->ring), packets = 0;
    int result = bare_arm(bare);

    if (result < 0)
        return result;
    if (count < ENGINE_BATCH) {
        if (wait && count < bare->wait_for)
            result = io_uring_submit_and_wait_timeout(&bare->ring, &cqe, bare->wait_for,
                                                      bare->wait_for > 1 ? &ms : &second, NULL);
        else
            result = io_uring_submit_and_get_events(&bare->ring);
        if (result < 0 && result != -ETIME && result != -EINTR)
            return result;
    }
    count = io_uring_peek_batch_cqe(&bare->ring, cqes, ENGINE_BATCH);
    for (unsigned i = 0; i < count; i++) {
        if ((cqes[i]->flags & IORING_CQE_F_MORE) == 0)
            bare->armed = false;
        if ((cqes[i]->flags & IORING_CQE_F_BUFFER) != 0) {
            unsigned id = cqes[i]->flags >> IORING_CQE_BUFFER_SHIFT;

            sink_take(sink, bare->memory + id * bare->room, (size_t)cqes[i]->res);
            provide(bare, id, (int)packets++);
        } else if (cqes[i]->res < 0 && cqes[i]->res != -ENOBUFS) {
            return cqes[i]->res;
        }
    }
    io_uring_buf_ring_cq_advance(&bare->ring, bare->ids, (int)packets);
    io_uring_cq_advance(&bare->ring, count - packets); // those without a buffer
    return (int)packets;
}

// ---- the bridge

struct bridge {
    struct io_uring ring;
    struct zcb_pool *pool;
    struct zcb_uring_rx rx;
    unsigned wait_for;
};

static void
bridge_close(void *state)
{
    struct bridge *bridge = state;

    zcb_uring_rx_finish(&bridge->rx);
    io_uring_queue_exit(&bridge->ring);
    zcb_pool_destroy(&bridge->pool);
    free(bridge);
}

static int
bridge_open(const struct engine *self, const struct engine_setup *setup, void **state)
{
    struct zcb_uring_rx_config config = {.max_len = engine_longest(setup->len),
                                         .group = GROUP,
                                         .buffers = (uint16_t)buffers_for(setup->len)};
    struct bridge *bridge = calloc(1, sizeof(*bridge));
    int result;

    if (bridge == NULL)
        return -ENOMEM;
    bridge->wait_for = self->how;
    result = open_ring(&bridge->ring);
    if (result < 0) {
        free(bridge);
        return result;
    }
    result = zcb_pool_create(NULL, &bridge->pool);
    if (result == 0)
        result = zcb_uring_rx_init(&bridge->rx, &bridge->ring, setup->fd, bridge->pool, &config);
    if (result < 0)
        bridge_close(bridge);
    else
        *state = bridge;
    return result;
}

static int
bridge_take(void *state, struct sink *sink, bool wait)
{
    struct bridge *bridge = state;
    struct zcb_frame_arrival in[ENGINE_BATCH];
    int got = zcb_uring_rx_recv(&bridge->rx, in, ENGINE_BATCH, bridge->wait_for,
                                !wait                  ? 0
                                : bridge->wait_for > 1 ? 1
                                                       : 1000);

    for (int i = 0; i < got; i++)
        sink_take(sink, in[i].packet.data, in[i].packet.len);
    zcb_frame_arrivals_release(in, got);
    return got;
}

#define BARE .open = bare_open, .take = bare_take, .close = bare_close
#define BRIDGE .open = bridge_open, .take = bridge_take, .close = bridge_close, .own = true

const struct engine engine_uring = {.name = "multishot (bare)", .how = WAIT_1, BARE};
const struct engine engine_uring_32 = {.name = "multishot (bare)", .how = WAIT_32, BARE};
const struct engine engine_uring_rx = {.name = "", .how = WAIT_1, BRIDGE};
const struct engine engine_uring_rx_32 = {.name = "", .how = WAIT_32, BRIDGE};
