// SPDX-License-Identifier: MIT
//
// The io_uring bridge on sockets of this machine.
#include "testing.h"

#include <pthread.h>

#include "support/alloc_count.h"
#include "support/pools.h"

#include <zcbuf/bridge/uring.h>
#include <zcbuf/copies.h>

#include "frame_io_testing.h"

struct fixture {
    struct udp_pair udp;
    struct io_uring ring;
    struct zcb_pool *pool;
    struct zcb_uring_rx rx;
    struct zcb_frame_arrival in[512];
};

static struct fixture f;

static void
start_in(const struct zcb_pool_config *pool, const struct zcb_uring_rx_config *config)
{
    memset(&f, 0, sizeof(f));
    f.udp = must_udp_pair();
    f.pool = must_create(pool);
    assert_int_equal(io_uring_queue_init(64, &f.ring, 0), 0);
    assert_int_equal(zcb_uring_rx_init(&f.rx, &f.ring, f.udp.rx, f.pool, config), 0);
}

static void
start(const struct zcb_uring_rx_config *config)
{
    start_in(NULL, config);
}

static void
end(void)
{
    zcb_uring_rx_finish(&f.rx);
    zcb_uring_rx_finish(&f.rx);
    must_end(&f.pool);
    io_uring_queue_exit(&f.ring);
    udp_pair_close(&f.udp);
}

// n packets to in[at...]; fewer: what came within a second.
static int
receive(int at, int n)
{
    int got = 0, r;

    while (got < n) {
        r = zcb_uring_rx_recv(&f.rx, &f.in[at + got], (unsigned)(n - got), 1, 1000);
        if (r <= 0)
            return got != 0 ? got : r;
        got += r;
    }
    return got;
}

static void
a_config_out_of_range_is_refused(void **state)
{
    (void)state;
    static const struct zcb_uring_rx_config bad[] = {
        {.max_len = ((size_t)1 << 30) + 1},
        {.buffers = 3},
        {.buffers = 65535},
        {.flags = 2},
        {.reserved = {(void *)(uintptr_t)&bad}},
        {.reserved = {NULL, NULL, NULL, (void *)(uintptr_t)&bad}},
    };
    struct zcb_uring_rx rx;
    struct zcb_uring_tx tx;

    start(NULL);
    for (size_t i = 0; i < NUMBERS(bad); i++)
        assert_int_equal(zcb_uring_rx_init(&rx, &f.ring, f.udp.rx, f.pool, &bad[i]), -EINVAL);
    assert_int_equal(zcb_uring_rx_init(NULL, &f.ring, f.udp.rx, f.pool, NULL), -EINVAL);
    assert_int_equal(zcb_uring_rx_init(&rx, NULL, f.udp.rx, f.pool, NULL), -EINVAL);
    assert_int_equal(zcb_uring_rx_init(&rx, &f.ring, -1, f.pool, NULL), -EINVAL);
    assert_int_equal(zcb_uring_rx_init(&rx, &f.ring, f.udp.rx, NULL, NULL), -EINVAL);
    // The group is in use.
    assert_int_equal(zcb_uring_rx_init(&rx, &f.ring, f.udp.rx, f.pool, NULL), -EEXIST);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, NULL, 1, 1, 0), -EINVAL);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 0, 0, 0), -EINVAL);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 4, 0, 0), -EINVAL);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 4, 5, 0), -EINVAL);
    assert_int_equal(zcb_uring_tx_init(NULL, &f.ring, 0, 1), -EINVAL);
    assert_int_equal(zcb_uring_tx_init(&tx, NULL, 0, 1), -EINVAL);
    assert_int_equal(zcb_uring_tx_init(&tx, &f.ring, -1, 1), -EINVAL);
    assert_int_equal(zcb_uring_tx_init(&tx, &f.ring, 0, 65537), -EINVAL);
    zcb_uring_rx_finish(NULL);
    assert_int_equal(zcb_uring_tx_finish(NULL), 0);
    end();
}

static void
packets_come_in_order(void **state)
{
    (void)state;
    uint64_t copied = moved();

    start(NULL);
    for (uint32_t i = 0; i < 100; i++)
        must_send(f.udp.tx, i, 20 + i * 10);
    assert_int_equal(receive(0, 100), 100);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(f.in[i].packet.len, 20 + i * 10);
        assert_true(has_pattern(f.in[i].packet.data, f.in[i].packet.len, i));
        assert_int_equal(f.in[i].wire_len, f.in[i].packet.len);
        assert_int_equal(f.in[i].flags, 0);
        assert_int_equal(f.in[i].time_ns, 0);
    }
    assert_int_equal(moved() - copied, 0);
    assert_int_equal(f.rx.stats.packets, 100);
    assert_int_equal(f.rx.stats.bytes, 100 * 20 + 99 * 50 * 10);
    zcb_frame_arrivals_release(f.in, 100);
    end();
}

static void
messages_have_a_sender_a_time_and_a_length(void **state)
{
    (void)state;
    struct timespec before, after;
    int on = 1;

    start(&(struct zcb_uring_rx_config){.max_len = 1000, .flags = ZCB_URING_MESSAGES});
    assert_int_equal(setsockopt(f.udp.rx, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)), 0);
    clock_gettime(CLOCK_REALTIME, &before);
    must_send(f.udp.tx, 1, 1000);
    must_send(f.udp.tx, 2, 3000);
    must_send(f.udp.tx, 3, 0);
    must_send(f.udp.tx, 4, 1);
    assert_int_equal(receive(0, 4), 4);
    clock_gettime(CLOCK_REALTIME, &after); // the first ones may be stamped by recvmsg
    for (uint32_t i = 0; i < 4; i++) {
        static const size_t len[] = {1000, 3000, 0, 1};

        assert_int_equal(f.in[i].wire_len, len[i]);
        assert_int_equal(f.in[i].packet.len, i == 1 ? 1000 : len[i]);
        assert_true(has_pattern(f.in[i].packet.data, f.in[i].packet.len, i + 1));
        assert_int_equal(f.in[i].flags, i == 1 ? ZCB_FRAME_IO_TRUNCATED : 0);
        assert_int_equal(f.in[i].from_len, sizeof(struct sockaddr_in));
        assert_memory_equal(&f.in[i].from, &f.udp.tx_name, f.in[i].from_len);
        assert_in_range(f.in[i].time_ns, (uint64_t)before.tv_sec * 1000000000u + before.tv_nsec,
                        (uint64_t)after.tv_sec * 1000000000u + after.tv_nsec);
    }
    assert_int_equal(f.rx.stats.truncated, 1);
    zcb_frame_arrivals_release(f.in, 4);
    end();
}

static void
a_train_comes_whole_with_its_segment(void **state)
{
    (void)state;
    struct zcb_frame_tx *tx = NULL;
    int on = 1;

    start(
        &(struct zcb_uring_rx_config){.max_len = 65000, .buffers = 4, .flags = ZCB_URING_MESSAGES});
    if (setsockopt(f.udp.rx, IPPROTO_UDP, 104, &on, sizeof(on)) != 0 || // UDP_GRO
        zcb_frame_tx_create(f.udp.tx, &(struct zcb_frame_tx_config){.flags = ZCB_FRAME_TX_GSO},
                            &tx) != 0) {
        end();
        skip();
    }
    for (uint32_t i = 0; i < 10; i++) {
        struct zcb_packet packet = must_pattern_packet(f.pool, i, 1000);

        assert_int_equal(zcb_frame_tx_push(tx, &packet, NULL, 0), 0);
    }
    assert_int_equal(zcb_frame_tx_flush(tx, 0), 10);
    assert_int_equal(receive(0, 1), 1);
    assert_int_equal(f.in[0].packet.len, 10000);
    assert_int_equal(f.in[0].segment, 1000);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(has_pattern(f.in[0].packet.data + i * 1000, 1000, i));
    assert_int_equal(f.rx.stats.trains, 1);
    zcb_frame_arrivals_release(f.in, 1);
    zcb_frame_tx_destroy(&tx);
    end();
}

static void
more_packets_may_be_kept_than_there_are_ids(void **state)
{
    (void)state;

    start(&(struct zcb_uring_rx_config){.buffers = 8});
    // At once: the kernel runs out of ids on the way, and the receive is armed again.
    for (uint32_t i = 0; i < 200; i++)
        must_send(f.udp.tx, i, 100);
    assert_int_equal(receive(0, 200), 200);
    for (uint32_t i = 0; i < 200; i++)
        assert_true(has_pattern(f.in[i].packet.data, 100, i));
    assert_int_equal(must_stats(f.pool).total.live, 200 + 8 - f.rx.empty_count);
    zcb_frame_arrivals_release(f.in, 200);
    end();
}

static void
a_pool_with_nothing_left_is_an_error_and_nothing_is_lost(void **state)
{
    (void)state;
    const struct zcb_pool_config ten = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 10}},
        .policy = ZCB_POOL_WAIT, // it is not waited for
        .wait_ms = UINT32_MAX,
    };
    int got = 0, r;

    start_in(&ten, &(struct zcb_uring_rx_config){.buffers = 4});
    for (uint32_t i = 0; i < 30; i++)
        must_send(f.udp.tx, i, 100);
    while ((r = zcb_uring_rx_recv(&f.rx, &f.in[got], 64, 1, 1000)) > 0)
        got += r;
    assert_int_equal(r, -ENOBUFS);
    assert_int_equal(got, 10);
    assert_true(f.rx.stats.out_of_buffers > 0);
    for (; got < 30; got += r) {
        r = zcb_uring_rx_recv(&f.rx, &f.in[got], 1, 1, 0);
        assert_int_equal(r, -ENOBUFS);
        zcb_packet_unref(&f.in[got - 10].packet);
        r = zcb_uring_rx_recv(&f.rx, &f.in[got], 1, 1, 1000);
        assert_int_equal(r, 1);
        assert_true(has_pattern(f.in[got].packet.data, 100, (uint32_t)got));
    }
    zcb_frame_arrivals_release(f.in, 30);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 64, 1, 10), 0);
    end();
}

static void
it_waits_for_as_many_as_are_asked_for_or_for_the_time(void **state)
{
    (void)state;
    struct timespec before, after;
    uint64_t calls;

    start(NULL);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 64, 1, 0), 0);
    for (uint32_t i = 0; i < 5; i++)
        must_send(f.udp.tx, i, 100);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 64, 6, 20), 5);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >=
                20000000);
    zcb_frame_arrivals_release(f.in, 5);
    calls = f.rx.stats.syscalls;
    for (uint32_t i = 0; i < 6; i++)
        must_send(f.udp.tx, i, 100);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 64, 6, -1), 6);
    assert_true(f.rx.stats.syscalls - calls <= 1); // the kernel may have been at it in send()
    zcb_frame_arrivals_release(f.in, 6);
    end();
}

static void
it_does_not_wait_for_more_than_can_come(void **state)
{
    (void)state;
    const struct zcb_pool_config six = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 6}},
        .policy = ZCB_POOL_FAIL,
    };

    start_in(&six, &(struct zcb_uring_rx_config){.buffers = 4});
    for (uint32_t i = 0; i < 8; i++)
        must_send(f.udp.tx, i, 100);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 3, 3, -1), 3);
    // One is left over, three ids are for two buffers, and no limit of time.
    for (int got = 3; got < 6;) {
        int n = zcb_uring_rx_recv(&f.rx, &f.in[got], 64, 64, -1);

        assert_true(n > 0);
        got += n;
    }
    assert_int_equal(zcb_uring_rx_recv(&f.rx, &f.in[6], 64, 64, -1), -ENOBUFS);
    zcb_frame_arrivals_release(f.in, 6);
    assert_int_equal(receive(0, 2), 2);
    assert_true(has_pattern(f.in[1].packet.data, 100, 7));
    zcb_frame_arrivals_release(f.in, 2);
    // Ids for four at a time, buffers for six.
    for (uint32_t i = 0; i < 8; i++)
        must_send(f.udp.tx, i, 100);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 64, 64, -1), 6);
    zcb_frame_arrivals_release(f.in, 6);
    assert_int_equal(receive(0, 2), 2);
    zcb_frame_arrivals_release(f.in, 2);
    end();
}

static void
a_stream_ends_with_enodata(void **state)
{
    (void)state;
    struct zcb_uring_rx rx;
    int pair[2], got = 0, r;
    size_t bytes = 0;

    start(NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(
        zcb_uring_rx_init(&rx, &f.ring, pair[0], f.pool, &(struct zcb_uring_rx_config){.group = 1}),
        0);
    must_send(pair[1], 3, 10000);
    close(pair[1]);
    while ((r = zcb_uring_rx_recv(&rx, &f.in[got], 8, 1, 1000)) > 0)
        got += r;
    assert_int_equal(r, -ENODATA);
    for (int i = 0; i < got; i++) {
        for (size_t k = 0; k < f.in[i].packet.len; k++)
            assert_int_equal(f.in[i].packet.data[k], pattern(3, bytes + k));
        bytes += f.in[i].packet.len;
    }
    assert_int_equal(bytes, 10000);
    assert_int_equal(zcb_uring_rx_recv(&rx, f.in + got, 8, 1, -1), -ENODATA);
    zcb_frame_arrivals_release(f.in, got);
    zcb_uring_rx_finish(&rx);
    close(pair[0]);
    end();
}

static void
what_the_socket_says_is_told_and_receiving_goes_on(void **state)
{
    (void)state;
    struct zcb_uring_rx rx;
    int r;

    start(NULL);
    assert_int_equal(zcb_uring_rx_init(&rx, &f.ring, f.udp.tx, f.pool,
                                       &(struct zcb_uring_rx_config){.group = 1}),
                     0);
    zcb_uring_rx_finish(&f.rx);
    close(f.udp.rx); // nobody is behind the port that tx is connected to
    f.udp.rx = -1;
    must_send(f.udp.tx, 1, 10);
    do
        r = zcb_uring_rx_recv(&rx, f.in, 8, 1, 1000);
    while (r == 0);
    assert_int_equal(r, -ECONNREFUSED);
    assert_int_equal(zcb_uring_rx_recv(&rx, f.in, 8, 1, 10), 0);
    zcb_uring_rx_finish(&rx);
    end();
}

static void
an_error_behind_packets_arms_the_receive_no_more_than_once(void **state)
{
    (void)state;
    struct io_uring_sqe *sqe;
    struct io_uring_cqe *cqe;
    int canceled = -1;

    start(NULL);
    assert_int_equal(connect(f.udp.rx, &f.udp.tx_name.any, sizeof(f.udp.tx_name.in4)), 0);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 64, 1, 0), 0);
    must_send(f.udp.tx, 1, 100);
    close(f.udp.tx);
    f.udp.tx = -1;
    assert_int_equal(send(f.udp.rx, "x", 1, 0), 1);
    // An error that is there is not waited behind.
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 64, 8, -1), 1);
    zcb_frame_arrivals_release(f.in, 1);
    assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 64, 1, 1000), -ECONNREFUSED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(zcb_uring_rx_recv(&f.rx, f.in, 64, 1, 0), 0);
    sqe = io_uring_get_sqe(&f.ring);
    io_uring_prep_cancel(sqe, &f.rx, IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data(sqe, NULL);
    assert_int_equal(io_uring_submit_and_wait(&f.ring, 1), 1);
    while (io_uring_peek_cqe(&f.ring, &cqe) == 0) {
        if (zcb_uring_rx_complete(&f.rx, cqe, f.in) == -ENOENT)
            canceled = cqe->res;
        io_uring_cqe_seen(&f.ring, cqe);
    }
    assert_int_equal(canceled, 1);
    end();
}

static void
descriptors_that_a_peer_passes_are_not_taken(void **state)
{
    (void)state;
    int sockets[2], before;
    struct zcb_uring_rx rx;

    start(NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets), 0);
    assert_int_equal(zcb_uring_rx_init(&rx, &f.ring, sockets[0], f.pool,
                                       &(struct zcb_uring_rx_config){
                                           .group = 1,
                                           .flags = ZCB_URING_MESSAGES,
                                       }),
                     0);
    before = next_fd();
    must_pass_fds(sockets[1]);
    assert_int_equal(zcb_uring_rx_recv(&rx, f.in, 64, 1, 1000), 1);
    assert_int_equal(f.in[0].packet.len, 5);
    assert_memory_equal(f.in[0].packet.data, "bytes", 5);
    assert_int_equal(next_fd(), before);
    zcb_frame_arrivals_release(f.in, 1);
    zcb_uring_rx_finish(&rx);
    close(sockets[0]);
    close(sockets[1]);
    end();
}

static void
packets_outlive_the_receive(void **state)
{
    (void)state;

    start(NULL);
    for (uint32_t i = 0; i < 10; i++)
        must_send(f.udp.tx, i, 1000);
    assert_int_equal(receive(0, 10), 10);
    zcb_uring_rx_finish(&f.rx);
    assert_int_equal(must_stats(f.pool).total.live, 10);
    must_send(f.udp.tx, 99, 1000);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(has_pattern(f.in[i].packet.data, 1000, i));
    zcb_frame_arrivals_release(f.in, 10);
    end();
}

// ---- sending, and one ring for both

// Handles completions as the header's example does, until one is of no more use to wait for.
// Returns packets received.
static int
turn(struct zcb_uring_tx *tx, int at, int *results, int *errors)
{
    struct __kernel_timespec ts = {.tv_nsec = 20000000};
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    int got = 0, r;

    assert_int_equal(zcb_uring_rx_prepare(&f.rx), 0);
    (void)io_uring_submit_and_wait_timeout(&f.ring, &cqe, 1, &ts, NULL);
    io_uring_for_each_cqe(&f.ring, head, cqe)
    {
        seen++;
        r = zcb_uring_rx_complete(&f.rx, cqe, &f.in[at + got]);
        if (r == -ENOENT) {
            r = zcb_uring_tx_complete(tx, cqe);
            assert_int_not_equal(r, -ENOENT);
            *results += r > 0;
            *errors += r < 0;
        } else {
            assert_true(r >= 0);
            got += r;
        }
    }
    io_uring_cq_advance(&f.ring, seen);
    return got;
}

static void
packets_are_held_until_the_kernel_is_done_with_them(void **state)
{
    (void)state;
    struct zcb_uring_tx tx;
    struct zcb_packet packet, twin;
    int got = 0, results = 0, errors = 0;

    start(NULL);
    assert_int_equal(zcb_uring_tx_init(&tx, &f.ring, f.udp.tx, 4), 0);
    for (uint32_t i = 0; i < 100; i++) {
        packet = must_pattern_packet(f.pool, i, 1000);
        twin = zcb_packet_ref(&packet);
        while (zcb_uring_tx_send(&tx, &packet) == -ENOBUFS)
            got += turn(&tx, got, &results, &errors);
        assert_null(packet.owner);
        assert_false(zcb_packet_is_unique(&twin));
        assert_int_equal(zcb_uring_tx_finish(&tx), -EBUSY);
        zcb_packet_unref(&twin);
    }
    for (int i = 0; i < 500 && (got < 100 || tx.in_flight != 0); i++)
        got += turn(&tx, got, &results, &errors);
    assert_int_equal(got, 100);
    assert_int_equal(results, 100);
    assert_int_equal(errors, 0);
    assert_int_equal(tx.in_flight, 0);
    assert_int_equal(tx.stats.packets, 100);
    assert_int_equal(tx.stats.bytes, 100000);
    for (uint32_t i = 0; i < 100; i++)
        assert_true(has_pattern(f.in[i].packet.data, 1000, i));
    zcb_frame_arrivals_release(f.in, 100);
    assert_int_equal(zcb_uring_tx_finish(&tx), 0);
    assert_int_equal(zcb_uring_tx_finish(&tx), 0);
    end();
}

static void
the_result_lets_go_of_nothing_the_notification_does(void **state)
{
    (void)state;
    struct zcb_uring_tx tx;
    struct zcb_packet packet, twin;
    struct io_uring_cqe *cqe;

    start(NULL);
    assert_int_equal(zcb_uring_tx_init(&tx, &f.ring, f.udp.tx, 4), 0);
    packet = must_pattern_packet(f.pool, 1, 1000);
    twin = zcb_packet_ref(&packet);
    assert_int_equal(zcb_uring_tx_send(&tx, &packet), 0);
    assert_int_equal(io_uring_submit_and_wait(&f.ring, 2), 1);
    assert_int_equal(io_uring_wait_cqe(&f.ring, &cqe), 0);
    assert_int_equal(cqe->flags & IORING_CQE_F_MORE, IORING_CQE_F_MORE);
    assert_int_equal(zcb_uring_tx_complete(&tx, cqe), 1000);
    assert_int_equal(tx.in_flight, 1);
    assert_false(zcb_packet_is_unique(&twin));
    io_uring_cqe_seen(&f.ring, cqe);
    assert_int_equal(io_uring_wait_cqe(&f.ring, &cqe), 0);
    assert_int_equal(zcb_uring_tx_complete(&tx, cqe), 0);
    assert_int_equal(tx.in_flight, 0);
    assert_true(zcb_packet_is_unique(&twin));
    io_uring_cqe_seen(&f.ring, cqe);
    zcb_packet_unref(&twin);
    assert_int_equal(zcb_uring_tx_finish(&tx), 0);
    end();
}

// What a kernel says that has not begun with the memory: there is no notification.
static void
a_result_that_nothing_follows_lets_go(void **state)
{
    (void)state;
    static const struct {
        int32_t res;
        int result;
    } cases[] = {{-EPIPE, -EPIPE}, {10, -EIO}, {1000, 1000}};
    struct zcb_uring_tx tx;
    struct zcb_packet packet;

    start(NULL);
    assert_int_equal(zcb_uring_tx_init(&tx, &f.ring, f.udp.tx, 1), 0);
    for (size_t i = 0; i < NUMBERS(cases); i++) {
        const struct io_uring_cqe made_up = {
            .user_data = (uintptr_t)tx.slot,
            .res = cases[i].res,
        };

        packet = must_pattern_packet(f.pool, 1, 1000);
        assert_int_equal(zcb_uring_tx_send(&tx, &packet), 0); // never submitted
        assert_int_equal(zcb_uring_tx_complete(&tx, &made_up), cases[i].result);
        assert_int_equal(tx.in_flight, 0);
        assert_int_equal(must_stats(f.pool).total.live, 0);
    }
    assert_int_equal(zcb_uring_tx_finish(&tx), 0);
    end();
}

static void
a_send_that_fails_lets_go_of_its_packet(void **state)
{
    (void)state;
    struct zcb_uring_tx tx;
    struct zcb_packet packet;
    int results = 0, errors = 0;

    start(NULL);
    assert_int_equal(zcb_uring_tx_init(&tx, &f.ring, f.udp.rx, 4), 0); // is not connected
    packet = must_pattern_packet(f.pool, 1, 1000);
    assert_int_equal(zcb_uring_tx_send(&tx, NULL), -EINVAL);
    assert_int_equal(zcb_uring_tx_send(&tx, &packet), 0);
    for (int i = 0; i < 50 && tx.in_flight != 0; i++)
        turn(&tx, 0, &results, &errors);
    assert_int_equal(results, 0);
    assert_int_equal(errors, 1);
    assert_int_equal(tx.in_flight, 0);
    assert_int_equal(zcb_uring_tx_finish(&tx), 0);
    end();
}

static void
without_room_in_the_queue_the_packet_stays_the_callers(void **state)
{
    (void)state;
    struct zcb_uring_tx tx;
    struct zcb_packet packet;
    int results = 0, errors = 0, n = 0, r;

    start(NULL);
    assert_int_equal(zcb_uring_tx_init(&tx, &f.ring, f.udp.tx, 0), 0);
    for (;; n++) {
        packet = must_pattern_packet(f.pool, (uint32_t)n, 10);
        r = zcb_uring_tx_send(&tx, &packet);
        if (r < 0)
            break;
    }
    assert_int_equal(r, -EAGAIN);
    assert_int_equal(n, 64); // what io_uring_queue_init() was asked for
    assert_int_equal(packet.len, 10);
    zcb_packet_unref(&packet);
    assert_int_equal(zcb_uring_rx_prepare(&f.rx), -EAGAIN);
    assert_int_equal(io_uring_submit(&f.ring), 64);
    for (int i = 0; i < 200 && tx.in_flight != 0; i++)
        n -= turn(&tx, 0, &results, &errors);
    assert_int_equal(results, 64);
    assert_int_equal(zcb_uring_tx_finish(&tx), 0);
    zcb_uring_rx_finish(&f.rx);
    // turn() wrote all it received over in[0]: they are let go of with the pool's memory.
    while (n++ < 0)
        continue;
    zcb_pool_destroy(&f.pool);
    io_uring_queue_exit(&f.ring);
    udp_pair_close(&f.udp);
}

// ---- threads

#define THREADS 3
#define PER_THREAD 400

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct zcb_packet queue[THREADS * PER_THREAD];
    int in, out;
} pipe_;

static void *
drop_packets(void *arg)
{
    (void)arg;
    for (int i = 0; i < PER_THREAD; i++) {
        struct zcb_packet packet;

        pthread_mutex_lock(&pipe_.lock);
        while (pipe_.out == pipe_.in)
            pthread_cond_wait(&pipe_.changed, &pipe_.lock);
        packet = pipe_.queue[pipe_.out++];
        pthread_mutex_unlock(&pipe_.lock);
        CHECK(has_pattern(packet.data + 1, packet.len - 1, packet.data[0]));
        zcb_packet_unref(&packet);
    }
    return NULL;
}

static void
packets_may_be_dropped_on_any_thread(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint8_t bytes[300];
    int n;

    memset(&pipe_, 0, sizeof(pipe_));
    pthread_mutex_init(&pipe_.lock, NULL);
    pthread_cond_init(&pipe_.changed, NULL);
    start(&(struct zcb_uring_rx_config){.buffers = 16});
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, drop_packets, NULL), 0);
    for (int i = 0; i < THREADS * PER_THREAD; i += 20) {
        for (int k = 0; k < 20; k++) {
            bytes[0] = (uint8_t)(i + k);
            fill(bytes + 1, sizeof(bytes) - 1, bytes[0]);
            assert_int_equal(send(f.udp.tx, bytes, sizeof(bytes), 0), sizeof(bytes));
        }
        for (int got = 0; got < 20; got += n) {
            n = receive(0, 20 - got);
            assert_true(n > 0);
            pthread_mutex_lock(&pipe_.lock);
            for (int k = 0; k < n; k++)
                pipe_.queue[pipe_.in++] = f.in[k].packet;
            pthread_cond_broadcast(&pipe_.changed);
            pthread_mutex_unlock(&pipe_.lock);
        }
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    end();
}

static void
in_steady_state_nothing_is_allocated(void **state)
{
    (void)state;
    uint64_t allocations = 0;

    if (!zcb_alloc_count_works())
        skip();
    start(&(struct zcb_uring_rx_config){.flags = ZCB_URING_MESSAGES});
    for (int round = 0; round < 8; round++) {
        if (round == 3)
            allocations = zcb_alloc_count();
        for (uint32_t i = 0; i < 64; i++)
            must_send(f.udp.tx, i, 200);
        assert_int_equal(receive(0, 64), 64);
        zcb_frame_arrivals_release(f.in, 64);
    }
    assert_int_equal(zcb_alloc_count(), allocations);
    end();
}

static void
init_fails_cleanly_where_there_is_no_memory(void **state)
{
    (void)state;
    struct zcb_uring_rx rx;
    struct zcb_uring_tx tx;
    int64_t live;

    if (!zcb_alloc_count_works())
        skip();
    start(NULL);
    live = zcb_alloc_live();
    for (uint64_t k = 1; k <= 3; k++) {
        zcb_alloc_fail(k, false);
        assert_int_equal(zcb_uring_rx_init(&rx, &f.ring, f.udp.rx, f.pool,
                                           &(struct zcb_uring_rx_config){.group = 1}),
                         -ENOMEM);
        assert_int_equal(zcb_alloc_live(), live);
    }
    zcb_alloc_fail(1, false);
    __asm__ volatile("" : : "r"(&tx) : "memory"); // or clang leaves out an allocation that nobody sees
    assert_int_equal(zcb_uring_tx_init(&tx, &f.ring, f.udp.tx, 0), -ENOMEM);
    zcb_alloc_fail(0, false);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_out_of_range_is_refused),
        cmocka_unit_test(packets_come_in_order),
        cmocka_unit_test(messages_have_a_sender_a_time_and_a_length),
        cmocka_unit_test(a_train_comes_whole_with_its_segment),
        cmocka_unit_test(more_packets_may_be_kept_than_there_are_ids),
        cmocka_unit_test(a_pool_with_nothing_left_is_an_error_and_nothing_is_lost),
        cmocka_unit_test(it_waits_for_as_many_as_are_asked_for_or_for_the_time),
        cmocka_unit_test(it_does_not_wait_for_more_than_can_come),
        cmocka_unit_test(a_stream_ends_with_enodata),
        cmocka_unit_test(what_the_socket_says_is_told_and_receiving_goes_on),
        cmocka_unit_test(an_error_behind_packets_arms_the_receive_no_more_than_once),
        cmocka_unit_test(descriptors_that_a_peer_passes_are_not_taken),
        cmocka_unit_test(packets_outlive_the_receive),
        cmocka_unit_test(packets_are_held_until_the_kernel_is_done_with_them),
        cmocka_unit_test(the_result_lets_go_of_nothing_the_notification_does),
        cmocka_unit_test(a_result_that_nothing_follows_lets_go),
        cmocka_unit_test(a_send_that_fails_lets_go_of_its_packet),
        cmocka_unit_test(without_room_in_the_queue_the_packet_stays_the_callers),
        cmocka_unit_test(packets_may_be_dropped_on_any_thread),
        cmocka_unit_test(in_steady_state_nothing_is_allocated),
        cmocka_unit_test(init_fails_cleanly_where_there_is_no_memory),
    };
    struct io_uring probe;
    struct io_uring_probe *ops = NULL;
    bool works = false;
    int result = io_uring_queue_init(4, &probe, 0);

    if (result < 0) {
        fprintf(stderr, "this kernel has no io_uring for us: %s\n", strerror(-result));
        return 77;
    }
    ops = io_uring_get_probe_ring(&probe);
    works = ops != NULL && io_uring_opcode_supported(ops, IORING_OP_SEND_ZC) != 0;
    io_uring_free_probe(ops);
    io_uring_queue_exit(&probe);
    if (!works) {
        fprintf(stderr, "this kernel's io_uring is older than Linux 6.0\n");
        return 77;
    }
    return cmocka_run_group_tests_name("uring", tests, NULL, NULL);
}
