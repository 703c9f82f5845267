// SPDX-License-Identifier: MIT
//
// The recvmmsg engine on UDP sockets of 127.0.0.1.
#include "testing.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>

#include "support/alloc_count.h"
#include "support/failing_source.h"
#include "support/pools.h"

#include "frame_io_testing.h"

struct fixture {
    struct udp_pair udp;
    struct zcb_pool *pool;
    struct zcb_frame_rx *rx;
    struct zcb_frame_arrival in[256];
};

static struct fixture f;

static void
start_in(const struct zcb_pool_config *pool, const struct zcb_frame_rx_config *config)
{
    memset(&f, 0, sizeof(f));
    f.udp = must_udp_pair();
    f.pool = must_create(pool);
    assert_int_equal(zcb_frame_rx_create(f.udp.rx, f.pool, config, &f.rx), 0);
}

static void
start(const struct zcb_frame_rx_config *config)
{
    start_in(NULL, config);
}

static void
end(void)
{
    zcb_frame_rx_destroy(&f.rx);
    assert_null(f.rx);
    must_end(&f.pool);
    udp_pair_close(&f.udp);
}

static struct zcb_frame_io_stats
stats(void)
{
    struct zcb_frame_io_stats s;

    assert_int_equal(zcb_frame_rx_stats(f.rx, &s, sizeof(s)), 0);
    return s;
}

static uint64_t
live(void)
{
    return must_stats(f.pool).total.live;
}

// A train of `count` datagrams of `len` bytes each, the last of `last`, as one GSO send. Their
// numbers go on from `number`.
static void
send_train(uint32_t number, uint32_t count, size_t len, size_t last)
{
    struct zcb_frame_tx *tx;

    assert_int_equal(zcb_frame_tx_create(
                         f.udp.tx, &(struct zcb_frame_tx_config){.flags = ZCB_FRAME_TX_GSO}, &tx),
                     0);
    for (uint32_t i = 0; i < count; i++) {
        struct zcb_packet p = must_pattern_packet(f.pool, number + i, i + 1 < count ? len : last);

        assert_int_equal(zcb_frame_tx_push(tx, &p, NULL, 0), 0);
    }
    assert_int_equal(zcb_frame_tx_flush(tx, 1000), count);
    zcb_frame_tx_destroy(&tx);
}

static bool
have_gro(void)
{
    struct udp_pair udp = must_udp_pair();
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_frame_rx *rx = NULL;
    struct zcb_frame_tx *tx = NULL;
    bool have =
        zcb_frame_rx_create(udp.rx, pool, &(struct zcb_frame_rx_config){.flags = ZCB_FRAME_RX_GRO},
                            &rx) == 0 &&
        zcb_frame_tx_create(udp.tx, &(struct zcb_frame_tx_config){.flags = ZCB_FRAME_TX_GSO},
                            &tx) == 0;

    zcb_frame_rx_destroy(&rx);
    zcb_frame_tx_destroy(&tx);
    zcb_pool_destroy(&pool);
    udp_pair_close(&udp);
    return have;
}

#define NEED_GRO()                                                                                 \
    do {                                                                                           \
        if (!have_gro()) {                                                                         \
            print_message("the kernel has no UDP_GRO\n");                                          \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void
a_config_out_of_range_is_refused(void **state)
{
    (void)state;
    static const struct zcb_frame_rx_config bad[] = {
        {.max_len = ((size_t)16 << 20) + 1},
        {.max_len = SIZE_MAX},
        {.batch = 1025},
        {.batch = UINT32_MAX},
        {.flags = 1u << 5},
        {.flags = 1u << 31},
        {.flags = ZCB_FRAME_RX_TRAINS},
        {.reserved = {(void *)(uintptr_t)&bad}},
        {.reserved = {NULL, NULL, NULL, (void *)(uintptr_t)&bad}},
    };
    struct zcb_frame_rx *rx = NULL;

    start(NULL);
    for (size_t i = 0; i < NUMBERS(bad); i++)
        assert_int_equal(zcb_frame_rx_create(f.udp.rx, f.pool, &bad[i], &rx), -EINVAL);
    assert_int_equal(zcb_frame_rx_create(f.udp.rx, NULL, NULL, &rx), -EINVAL);
    assert_int_equal(zcb_frame_rx_create(f.udp.rx, f.pool, NULL, NULL), -EINVAL);
    assert_null(rx);
    assert_int_equal(zcb_frame_rx_recv(NULL, f.in, 1, 0), -EINVAL);
    assert_int_equal(zcb_frame_rx_recv(f.rx, NULL, 1, 0), -EINVAL);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 0, 0), -EINVAL);
    assert_int_equal(zcb_frame_rx_stats(NULL, NULL, 0), -EINVAL);
    assert_int_equal(zcb_frame_rx_stats(f.rx, NULL, 8), -EINVAL);
    zcb_frame_rx_destroy(NULL);
    zcb_frame_rx_destroy(&rx);
    end();
}

static void
what_is_no_datagram_socket_is_refused(void **state)
{
    (void)state;
    struct zcb_frame_rx *rx = NULL;
    const struct zcb_frame_rx_config gro = {.flags = ZCB_FRAME_RX_GRO};
    int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), unix_pair[2], ends[2];
    int sequence = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    start(NULL);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, unix_pair), 0);
    assert_int_equal(zcb_frame_rx_create(-1, f.pool, NULL, &rx), -EBADF);
    assert_int_equal(zcb_frame_rx_create(ends[0], f.pool, NULL, &rx), -ENOTSOCK);
    assert_int_equal(zcb_frame_rx_create(stream, f.pool, NULL, &rx), -ENOTSUP);
    assert_int_equal(zcb_frame_rx_create(sequence, f.pool, NULL, &rx), -ENOTSUP);
    assert_int_equal(zcb_frame_rx_create(unix_pair[0], f.pool, &gro, &rx), -ENOTSUP);
    assert_null(rx);
    // Datagrams are all that is asked for.
    assert_int_equal(zcb_frame_rx_create(unix_pair[0], f.pool, NULL, &rx), 0);
    must_send(unix_pair[1], 7, 100);
    assert_int_equal(zcb_frame_rx_recv(rx, f.in, 4, 0), 1);
    assert_true(has_pattern(f.in[0].packet.data, 100, 7));
    zcb_frame_arrivals_release(f.in, 1);
    zcb_frame_rx_destroy(&rx);
    close(stream);
    close(sequence);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(unix_pair[i]);
    }
    end();
}

static void
a_datagram_comes_with_its_bytes_its_sender_and_its_time(void **state)
{
    (void)state;
    struct timespec before, after;

    start(NULL);
    clock_gettime(CLOCK_REALTIME, &before);
    must_send(f.udp.tx, 1, 100);
    must_send(f.udp.tx, 2, 1400);
    memset(f.in, 0xee, sizeof(f.in));
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 2);
    clock_gettime(CLOCK_REALTIME, &after); // the first ones may be stamped by recvmmsg
    for (uint32_t i = 0; i < 2; i++) {
        const struct zcb_frame_arrival *a = &f.in[i];

        assert_int_equal(a->packet.len, i == 0 ? 100 : 1400);
        assert_true(has_pattern(a->packet.data, a->packet.len, i + 1));
        assert_int_equal(a->wire_len, a->packet.len);
        assert_int_equal(a->flags, 0);
        assert_int_equal(a->ifindex, 0);
        assert_int_equal(a->vlan_tci, 0);
        assert_int_equal(a->vlan_tpid, 0);
        assert_int_equal(a->segment, 0);
        assert_int_equal(a->reserved[0] | a->reserved[1], 0);
        assert_int_equal(a->from_len, sizeof(struct sockaddr_in));
        assert_memory_equal(&a->from, &f.udp.tx_name, a->from_len);
        assert_in_range(a->time_ns, (uint64_t)before.tv_sec * 1000000000u + before.tv_nsec,
                        (uint64_t)after.tv_sec * 1000000000u + after.tv_nsec);
    }
    assert_int_equal(stats().packets, 2);
    assert_int_equal(stats().bytes, 1500);
    assert_int_equal(stats().batches, 1);
    assert_int_equal(stats().syscalls, 1);
    zcb_frame_arrivals_release(f.in, 2);
    end();
}

static void
without_time_stamps_the_time_is_0(void **state)
{
    (void)state;

    start(&(struct zcb_frame_rx_config){.flags = ZCB_FRAME_RX_NO_TIME});
    must_send(f.udp.tx, 1, 100);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 1);
    assert_int_equal(f.in[0].time_ns, 0);
    zcb_frame_arrivals_release(f.in, 1);
    end();
}

static void
on_signal(int number)
{
    (void)number;
}

static void
nothing_there_is_0_at_once_after_the_time_and_at_a_signal(void **state)
{
    (void)state;
    const struct itimerval soon = {.it_value = {.tv_usec = 20000}}, never = {0};
    struct sigaction action = {.sa_handler = on_signal}, old;
    struct timespec before, after;
    int blocking;

    start(NULL);
    blocking = fcntl(f.udp.rx, F_GETFL);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 0), 0);
    assert_int_equal(stats().syscalls, 1);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 20), 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >=
                20000000);
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    for (int i = 0; i < 4; i++) {
        // Without limit, blocking and not; with one.
        assert_int_equal(fcntl(f.udp.rx, F_SETFL, i % 2 == 0 ? blocking : blocking | O_NONBLOCK),
                         0);
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, i < 2 ? -1 : 10000), 0);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
    must_send(f.udp.tx, 1, 100);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, -1), 1);
    zcb_frame_arrivals_release(f.in, 1);
    end();
}

static void
a_call_takes_no_more_than_fits_the_callers_array_and_loses_nothing(void **state)
{
    (void)state;
    uint32_t expected = 0;
    int n;

    start(NULL);
    for (uint32_t i = 0; i < 100; i++)
        must_send(f.udp.tx, i, 50);
    for (size_t most = 1; expected < 100; most++) {
        n = zcb_frame_rx_recv(f.rx, f.in, most, 0);
        assert_int_equal(n, most < 100 - expected ? most : 100 - expected);
        for (int i = 0; i < n; i++)
            assert_true(has_pattern(f.in[i].packet.data, 50, expected++));
        zcb_frame_arrivals_release(f.in, n);
    }
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 0), 0);
    end();
}

static void
buffers_that_were_not_filled_are_kept_for_the_next_call(void **state)
{
    (void)state;

    start(&(struct zcb_frame_rx_config){.batch = 16, .flags = ZCB_FRAME_RX_ALONE});
    for (uint32_t i = 0; i < 50; i++) {
        must_send(f.udp.tx, i, 1000);
        assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 1);
        assert_int_equal(stats().held, 15);
        assert_int_equal(live(), 16);
        zcb_frame_arrivals_release(f.in, 1);
    }
    assert_int_equal(must_stats(f.pool).total.acquires, 15 + 50);
    end();
}

static void
the_smallest_tier_that_fits_is_used(void **state)
{
    (void)state;
    static const struct {
        size_t max_len, pinned;
    } cases[] = {{0, 4096},     {100, 4096},   {4096, 4096},
                 {4097, 16384}, {9018, 16384}, {65507, 65536}};

    for (size_t i = 0; i < NUMBERS(cases); i++) {
        start(&(struct zcb_frame_rx_config){.max_len = cases[i].max_len, .copy_below = 1});
        must_send(f.udp.tx, 1, 60);
        assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 1);
        assert_int_equal(zcb_packet_pinned(&f.in[0].packet), cases[i].pinned);
        zcb_frame_arrivals_release(f.in, 1);
        end();
    }
}

static void
small_messages_of_successive_calls_share_a_block(void **state)
{
    (void)state;
    // A message goes behind another while there is room for 2048 bytes: at 0, 64, ... 2048.
    const int per_block = (4096 - 2048) / 64 + 1;

    start(&(struct zcb_frame_rx_config){.batch = 1});
    for (int i = 0; i < 2 * per_block; i++) {
        must_send(f.udp.tx, (uint32_t)i, 50);
        assert_int_equal(zcb_frame_rx_recv(f.rx, &f.in[i], 1, 1000), 1);
        assert_true(has_pattern(f.in[i].packet.data, 50, (uint32_t)i));
        assert_int_equal((uintptr_t)f.in[i].packet.data % 64, 0);
        assert_ptr_equal(f.in[i].packet.owner, f.in[i / per_block * per_block].packet.owner);
    }
    assert_ptr_not_equal(f.in[0].packet.owner, f.in[per_block].packet.owner);
    assert_int_equal(live(), 2);
    for (int i = 0; i < 2 * per_block; i++) // and none was written over by a later one
        assert_true(has_pattern(f.in[i].packet.data, 50, (uint32_t)i));
    zcb_frame_arrivals_release(f.in, 2 * per_block);
    end();
}

static void
alone_each_message_can_be_written_without_a_copy(void **state)
{
    (void)state;
    struct zcb_buf *buf;

    start(&(struct zcb_frame_rx_config){.flags = ZCB_FRAME_RX_ALONE});
    for (uint32_t i = 0; i < 10; i++)
        must_send(f.udp.tx, i, 50);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(zcb_packet_is_unique(&f.in[i].packet));
        assert_int_equal(zcb_packet_make_writable(&f.in[i].packet, NULL, &buf), 0);
        assert_true(has_pattern(zcb_buf_data(buf), 50, i));
        zcb_buf_release(&buf);
    }
    end();
}

static void
lent_packets_end_with_the_next_call_unless_they_are_referenced(void **state)
{
    (void)state;
    struct zcb_packet kept;

    start(&(struct zcb_frame_rx_config){.batch = 8, .flags = ZCB_FRAME_RX_LENT});
    for (uint32_t i = 0; i < 8; i++)
        must_send(f.udp.tx, i, 50);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 8, 1000), 8);
    assert_int_equal(live(), 8);
    kept = zcb_packet_ref(&f.in[3].packet);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 8, 0), 0);
    assert_int_equal(live(), 1 + 8); // the kept one, and what was made ready
    assert_true(has_pattern(kept.data, 50, 3));
    assert_true(zcb_packet_is_unique(&kept));
    zcb_packet_unref(&kept);
    must_send(f.udp.tx, 9, 50);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 8, 1000), 1);
    end(); // ends the last one
}

static void
what_is_too_long_is_cut_off_and_says_so(void **state)
{
    (void)state;

    for (int alone = 0; alone < 2; alone++) {
        start(&(struct zcb_frame_rx_config){.max_len = 1000,
                                            .flags = alone != 0 ? ZCB_FRAME_RX_ALONE : 0});
        must_send(f.udp.tx, 1, 1001);
        must_send(f.udp.tx, 2, 1000);
        must_send(f.udp.tx, 3, 60000);
        assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 3);
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(f.in[i].packet.len, 1000);
            assert_true(has_pattern(f.in[i].packet.data, 1000, i + 1));
            assert_int_equal(f.in[i].flags, i != 1 ? ZCB_FRAME_IO_TRUNCATED : 0);
        }
        assert_int_equal(f.in[0].wire_len, 1001);
        assert_int_equal(f.in[1].wire_len, 1000);
        assert_int_equal(f.in[2].wire_len, 60000);
        assert_int_equal(stats().truncated, 2);
        zcb_frame_arrivals_release(f.in, 3);
        end();
    }
}

static void
a_datagram_without_bytes_is_one(void **state)
{
    (void)state;

    start(&(struct zcb_frame_rx_config){.batch = 4});
    must_send(f.udp.tx, 1, 0);
    must_send(f.udp.tx, 2, 10);
    must_send(f.udp.tx, 3, 0);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 3);
    assert_null(f.in[0].packet.owner);
    assert_int_equal(f.in[0].packet.len, 0);
    assert_int_equal(f.in[0].from_len, sizeof(struct sockaddr_in));
    assert_int_equal(f.in[1].packet.len, 10);
    assert_int_equal(f.in[2].packet.len, 0);
    assert_int_equal(stats().packets, 3);
    assert_int_equal(stats().held, 4); // two unused, one unneeded, one with room behind the 10
    zcb_frame_arrivals_release(f.in, 3);
    end();
}

static void
a_train_is_split_into_slices_of_one_block(void **state)
{
    (void)state;
    uint64_t before;

    NEED_GRO();
    start(&(struct zcb_frame_rx_config){.flags = ZCB_FRAME_RX_GRO});
    send_train(0, 40, 1200, 700);
    before = moved();
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 40);
    for (uint32_t i = 0; i < 40; i++) {
        const struct zcb_frame_arrival *a = &f.in[i];

        assert_int_equal(a->packet.len, i < 39 ? 1200 : 700);
        assert_int_equal(a->wire_len, a->packet.len);
        assert_int_equal(a->flags, 0);
        assert_int_equal(a->segment, 0);
        assert_true(a->time_ns != 0);
        assert_memory_equal(&a->from, &f.udp.tx_name, a->from_len);
        assert_true(has_pattern(a->packet.data, a->packet.len, i));
        assert_ptr_equal(a->packet.owner, f.in[0].packet.owner);
        if (i != 0)
            assert_ptr_equal(a->packet.data, f.in[i - 1].packet.data + 1200);
    }
    assert_int_equal(moved() - before, 0);
    assert_int_equal(stats().syscalls, 1);
    assert_int_equal(stats().trains, 1);
    assert_int_equal(stats().packets, 40);
    // Each slice is a reference of its own.
    for (int i = 0; i < 39; i++)
        zcb_packet_unref(&f.in[i].packet);
    assert_true(zcb_packet_is_unique(&f.in[39].packet));
    assert_true(has_pattern(f.in[39].packet.data, 700, 39));
    zcb_packet_unref(&f.in[39].packet);
    end();
}

static void
a_train_longer_than_the_callers_array_goes_on_without_a_system_call(void **state)
{
    (void)state;

    NEED_GRO();
    for (size_t most = 1; most <= 70; most += most < 8 ? 1 : 13) {
        uint32_t expected = 0;

        for (int lent = 0; lent < 2; lent++) {
            start(&(struct zcb_frame_rx_config){.flags = ZCB_FRAME_RX_GRO |
                                                         (lent != 0 ? ZCB_FRAME_RX_LENT : 0)});
            send_train(0, 60, 900, 500);
            expected = 0;
            while (expected < 60) {
                int n = zcb_frame_rx_recv(f.rx, f.in, most, 0);

                assert_int_equal(n, most < 60 - expected ? most : 60 - expected);
                for (int i = 0; i < n; i++, expected++) {
                    assert_int_equal(f.in[i].packet.len, expected < 59 ? 900 : 500);
                    assert_int_equal(f.in[i].wire_len, f.in[i].packet.len);
                    assert_true(has_pattern(f.in[i].packet.data, f.in[i].packet.len, expected));
                }
                if (lent == 0)
                    zcb_frame_arrivals_release(f.in, n);
                assert_int_equal(stats().syscalls, 1);
            }
            assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, most, 0), 0);
            end();
        }
    }
}

static void
a_train_is_known_as_one_after_single_datagrams(void **state)
{
    (void)state;

    NEED_GRO();
    start(&(struct zcb_frame_rx_config){.flags = ZCB_FRAME_RX_GRO, .batch = 1});
    for (uint32_t round = 0; round < 3; round++) {
        must_send(f.udp.tx, 9, 3000);
        send_train(0, 5, 900, 900);
        assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 1);
        assert_int_equal(zcb_frame_rx_recv(f.rx, &f.in[1], 64, 1000), 5);
        assert_int_equal(f.in[0].packet.len, 3000);
        for (uint32_t i = 1; i < 6; i++) {
            assert_true(has_pattern(f.in[i].packet.data, f.in[i].packet.len, i - 1));
            assert_int_equal(f.in[i].packet.len, 900);
            assert_true(f.in[i].time_ns != 0);
        }
        zcb_frame_arrivals_release(f.in, 6);
    }
    end();
}

static void
trains_may_be_had_whole(void **state)
{
    (void)state;

    NEED_GRO();
    start(&(struct zcb_frame_rx_config){.flags = ZCB_FRAME_RX_GRO | ZCB_FRAME_RX_TRAINS});
    send_train(0, 10, 1000, 10);
    must_send(f.udp.tx, 10, 300);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 2);
    assert_int_equal(f.in[0].packet.len, 9010);
    assert_int_equal(f.in[0].segment, 1000);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(has_pattern(f.in[0].packet.data + i * 1000, i < 9 ? 1000 : 10, i));
    assert_int_equal(f.in[1].segment, 0);
    assert_int_equal(f.in[1].packet.len, 300);
    zcb_frame_arrivals_release(f.in, 2);
    end();
}

static void
of_a_train_that_is_too_long_the_cut_and_the_lost_datagrams_are_counted(void **state)
{
    (void)state;
    static const struct {
        size_t max_len;
        int whole;
        size_t cut; // bytes of the one that is cut off
    } cases[] = {{4500, 4, 500}, {4000, 4, 0}, {1000, 1, 0}, {999, 0, 999}, {9001, 9, 1}};

    NEED_GRO();
    for (size_t c = 0; c < NUMBERS(cases); c++) {
        const int n = cases[c].whole + (cases[c].cut != 0);

        start(&(struct zcb_frame_rx_config){
            .flags = ZCB_FRAME_RX_GRO, .max_len = cases[c].max_len, .copy_below = 1});
        send_train(0, 10, 1000, 400);
        assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), n);
        for (int i = 0; i < n; i++) {
            assert_int_equal(f.in[i].packet.len, i < cases[c].whole ? 1000 : cases[c].cut);
            assert_int_equal(f.in[i].wire_len, i < 9 ? 1000 : 400);
            assert_int_equal(f.in[i].flags, i < cases[c].whole ? 0 : ZCB_FRAME_IO_TRUNCATED);
            assert_true(has_pattern(f.in[i].packet.data, f.in[i].packet.len, (uint32_t)i));
        }
        assert_int_equal(stats().truncated, cases[c].cut != 0);
        assert_int_equal(stats().dropped, 10 - n);
        zcb_frame_arrivals_release(f.in, n);
        end();
    }
}

static void
a_small_message_does_not_pin_a_large_buffer(void **state)
{
    (void)state;
    static const struct {
        struct zcb_frame_rx_config config;
        size_t len, copied, pinned;
    } cases[] = {
        {{.max_len = 65507}, 100, 100, 4096},
        {{.max_len = 65507}, 2046, 2046, 4096},
        {{.max_len = 65507}, 2047, 0, 65536}, // 65507 / 32
        {{.max_len = 65507, .copy_below = 1}, 100, 0, 65536},
        {{.max_len = 65507, .copy_below = 10001}, 10000, 10000, 16384},
        {{.max_len = 65507, .copy_below = 10001}, 10001, 0, 65536},
        {{.max_len = 65507, .copy_below = 10001, .flags = ZCB_FRAME_RX_LENT}, 100, 0, 65536},
        {{.max_len = 16384}, 100, 0, 16384},
    };

    for (size_t i = 0; i < NUMBERS(cases); i++) {
        uint64_t before = moved();

        start(&cases[i].config);
        must_send(f.udp.tx, 5, cases[i].len);
        assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 1);
        assert_int_equal(f.in[0].packet.len, cases[i].len);
        assert_true(has_pattern(f.in[0].packet.data, cases[i].len, 5));
        assert_int_equal(zcb_packet_pinned(&f.in[0].packet), cases[i].pinned);
        assert_int_equal(f.in[0].flags, cases[i].copied != 0 ? ZCB_FRAME_IO_COPIED : 0);
        assert_int_equal(moved() - before, cases[i].copied);
        assert_int_equal(stats().copied_bytes, cases[i].copied);
        assert_int_equal(stats().copied_packets, cases[i].copied != 0);
        if ((cases[i].config.flags & ZCB_FRAME_RX_LENT) == 0)
            zcb_frame_arrivals_release(f.in, 1);
        end();
    }
}

static void
a_copy_is_not_waited_for(void **state)
{
    (void)state;
    const struct zcb_pool_config waits = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 1}, {.buffer_size = 65536}},
        .policy = ZCB_POOL_WAIT,
        .wait_ms = 10000,
    };
    struct zcb_buf *last;

    start_in(&waits, &(struct zcb_frame_rx_config){.max_len = 65507});
    last = must_acquire(f.pool, 1);
    must_send(f.udp.tx, 5, 100);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 1);
    assert_int_equal(f.in[0].flags, 0);
    assert_int_equal(zcb_packet_pinned(&f.in[0].packet), 65536);
    assert_int_equal(must_stats(f.pool).total.waits, 0);
    zcb_frame_arrivals_release(f.in, 1);
    zcb_buf_release(&last);
    end();
}

static void
a_message_above_all_tiers_comes_whole(void **state)
{
    (void)state;
    const struct zcb_pool_config small = {.tiers = {{.buffer_size = 4096}}};

    start_in(&small, &(struct zcb_frame_rx_config){.max_len = 80000, .batch = 2, .copy_below = 1});
    must_send(f.udp.tx, 1, 65507);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 1);
    assert_int_equal(f.in[0].packet.len, 65507);
    assert_true(has_pattern(f.in[0].packet.data, 65507, 1));
    assert_int_equal(must_stats(f.pool).oversize.acquires, 2);
    zcb_frame_arrivals_release(f.in, 1);
    end();
}

static void
an_icmp_answer_is_an_error_and_the_engine_goes_on(void **state)
{
    (void)state;
    struct zcb_frame_rx *rx;
    int port;

    start(NULL);
    // Nobody is behind the port that tx is connected to.
    port = f.udp.rx;
    assert_int_equal(zcb_frame_rx_create(f.udp.tx, f.pool, NULL, &rx), 0);
    f.udp.rx = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    close(port);
    must_send(f.udp.tx, 1, 10);
    assert_int_equal(zcb_frame_rx_recv(rx, f.in, 64, 1000), -ECONNREFUSED);
    assert_int_equal(zcb_frame_rx_recv(rx, f.in, 64, 0), 0);
    zcb_frame_rx_destroy(&rx);
    end();
}

static void
a_pool_with_nothing_left_is_an_error_and_nothing_is_lost(void **state)
{
    (void)state;
    const struct zcb_pool_config four = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 4}},
        .policy = ZCB_POOL_FAIL,
    };

    start_in(&four, &(struct zcb_frame_rx_config){.flags = ZCB_FRAME_RX_ALONE});
    for (uint32_t i = 0; i < 6; i++)
        must_send(f.udp.tx, i, 500);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 4);
    assert_int_equal(stats().out_of_buffers, 1);
    assert_int_equal(zcb_frame_rx_recv(f.rx, &f.in[4], 64, 1000), -ENOBUFS);
    assert_int_equal(stats().out_of_buffers, 2);
    zcb_packet_unref(&f.in[0].packet);
    assert_int_equal(zcb_frame_rx_recv(f.rx, &f.in[4], 64, 1000), 1);
    assert_int_equal(zcb_frame_rx_recv(f.rx, &f.in[5], 64, 1000), -ENOBUFS);
    zcb_packet_unref(&f.in[1].packet);
    assert_int_equal(zcb_frame_rx_recv(f.rx, &f.in[5], 64, 1000), 1);
    for (uint32_t i = 2; i < 6; i++)
        assert_true(has_pattern(f.in[i].packet.data, 500, i));
    zcb_frame_arrivals_release(f.in, 6);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 0), 0);
    end();
}

static void
with_buffers_in_hand_it_never_waits_for_the_pool(void **state)
{
    (void)state;
    const struct zcb_pool_config two = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 2}},
        .policy = ZCB_POOL_WAIT,
        .wait_ms = 30,
    };

    start_in(&two, &(struct zcb_frame_rx_config){.flags = ZCB_FRAME_RX_ALONE});
    for (uint32_t i = 0; i < 2; i++) {
        must_send(f.udp.tx, i, 500);
        assert_int_equal(zcb_frame_rx_recv(f.rx, &f.in[i], 64, 0), 1);
        assert_int_equal(must_stats(f.pool).total.waits, 0);
    }
    must_send(f.udp.tx, 2, 500);
    assert_int_equal(zcb_frame_rx_recv(f.rx, &f.in[2], 64, 0), -ETIMEDOUT);
    assert_int_equal(must_stats(f.pool).total.waits, 1);
    zcb_packet_unref(&f.in[0].packet);
    assert_int_equal(zcb_frame_rx_recv(f.rx, &f.in[2], 64, 0), 1);
    assert_true(has_pattern(f.in[2].packet.data, 500, 2));
    zcb_frame_arrivals_release(f.in, 3);
    end();
}

// The pool fails at its k-th allocation, whatever that is for.
static void
after_memory_ran_out_anywhere_everything_comes_still(void **state)
{
    (void)state;
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096}, {.buffer_size = 65536}},
        .slab_size = 65536,
    };

    for (uint64_t k = 1; k <= 8; k++) {
        uint32_t expected = 0;
        int n, failures = 0;

        zcb_failing_source_init(&failing);
        config.source = &failing.source;
        start_in(&config, &(struct zcb_frame_rx_config){.max_len = 60000, .batch = 8});
        for (uint32_t i = 0; i < 12; i++)
            must_send(f.udp.tx, i, i % 2 == 0 ? 300 : 20000);
        zcb_failing_source_fail(&failing, k, true);
        while (expected < 12) {
            n = zcb_frame_rx_recv(f.rx, &f.in[expected], 8, 0);
            if (n < 0) {
                assert_int_equal(n, -ENOMEM);
                failures++;
                zcb_failing_source_fail(&failing, 0, false);
                continue;
            }
            assert_true(n > 0);
            for (int i = 0; i < n; i++, expected++) {
                assert_int_equal(f.in[expected].packet.len, expected % 2 == 0 ? 300 : 20000);
                assert_true(
                    has_pattern(f.in[expected].packet.data, f.in[expected].packet.len, expected));
            }
        }
        assert_true(k > 4 || failures > 0); // later on it makes do with the buffers in hand
        zcb_frame_arrivals_release(f.in, 12);
        end();
        assert_int_equal(failing.live, 0);
    }
}

static void
create_fails_cleanly_where_there_is_no_memory(void **state)
{
    (void)state;
    struct zcb_frame_rx *rx = NULL;

    if (!zcb_alloc_count_works())
        skip();
    start(NULL);
    zcb_alloc_fail(1, true);
    assert_int_equal(zcb_frame_rx_create(f.udp.rx, f.pool, NULL, &rx), -ENOMEM);
    zcb_alloc_fail(0, false);
    assert_null(rx);
    end();
}

static void
in_steady_state_nothing_is_allocated_and_nothing_copied(void **state)
{
    (void)state;
    static const struct zcb_frame_rx_config configs[] = {
        {0},
        {.flags = ZCB_FRAME_RX_ALONE},
        {.flags = ZCB_FRAME_RX_LENT},
        {.flags = ZCB_FRAME_RX_GRO, .copy_below = 1},
        {.flags = ZCB_FRAME_RX_GRO | ZCB_FRAME_RX_LENT},
    };

    if (!zcb_alloc_count_works())
        skip();
    for (size_t c = 0; c < NUMBERS(configs); c++) {
        uint64_t allocations = 0, copied = 0, syscalls = 0;

        if ((configs[c].flags & ZCB_FRAME_RX_GRO) != 0 && !have_gro())
            continue;
        start(&configs[c]);
        for (int round = 0; round < 12; round++) {
            if (round == 4) {
                allocations = zcb_alloc_count();
                copied = moved();
                syscalls = stats().syscalls;
            }
            for (uint32_t i = 0; i < 64; i++)
                must_send(f.udp.tx, i, 40 + i * 10);
            assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 64);
            if ((configs[c].flags & ZCB_FRAME_RX_LENT) == 0)
                zcb_frame_arrivals_release(f.in, 64);
        }
        assert_int_equal(zcb_alloc_count() - allocations, 0);
        assert_int_equal(moved() - copied, 0);
        assert_int_equal(stats().syscalls - syscalls, 8); // one for 64 datagrams
        end();
    }
}

static void
packets_outlive_the_engine_and_what_waited_in_it_goes(void **state)
{
    (void)state;

    NEED_GRO();
    start(&(struct zcb_frame_rx_config){.flags = ZCB_FRAME_RX_GRO});
    send_train(0, 60, 900, 900);
    send_train(60, 60, 900, 900);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 10, 1000), 10);
    zcb_frame_rx_destroy(&f.rx);
    assert_int_equal(live(), 1);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(has_pattern(f.in[i].packet.data, 900, i));
    zcb_frame_arrivals_release(f.in, 10);
    end();
}

static void
statistics_fit_older_and_newer_callers(void **state)
{
    (void)state;
    struct {
        struct zcb_frame_io_stats known;
        uint64_t newer[2];
    } larger;
    uint64_t older[3] = {9, 9, 9};

    start(NULL);
    must_send(f.udp.tx, 1, 10);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 1);
    memset(&larger, 0xee, sizeof(larger));
    assert_int_equal(zcb_frame_rx_stats(f.rx, (struct zcb_frame_io_stats *)&larger, sizeof(larger)),
                     0);
    assert_int_equal(larger.known.packets, 1);
    assert_int_equal(larger.newer[0] | larger.newer[1], 0);
    assert_int_equal(
        zcb_frame_rx_stats(f.rx, (struct zcb_frame_io_stats *)(void *)older, 2 * sizeof(older[0])),
        0);
    assert_int_equal(older[0], 1);
    assert_int_equal(older[1], 10);
    assert_int_equal(older[2], 9);
    zcb_frame_arrivals_release(f.in, 1);
    end();
}

static void
descriptors_that_a_peer_passes_are_not_taken(void **state)
{
    (void)state;
    static const uint32_t flags[] = {0, ZCB_FRAME_RX_NO_TIME};
    int sockets[2], before;

    for (size_t i = 0; i < NUMBERS(flags); i++) {
        start(NULL);
        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets), 0);
        zcb_frame_rx_destroy(&f.rx);
        assert_int_equal(zcb_frame_rx_create(sockets[0], f.pool,
                                             &(struct zcb_frame_rx_config){.flags = flags[i]},
                                             &f.rx),
                         0);
        before = next_fd();
        for (int k = 0; k < 2; k++) {
            must_pass_fds(sockets[1]);
            assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 1000), 1);
            assert_int_equal(f.in[0].packet.len, 5);
            assert_int_equal(f.in[0].time_ns != 0, flags[i] == 0);
            zcb_frame_arrivals_release(f.in, 1);
        }
        assert_int_equal(next_fd(), before);
        close(sockets[0]);
        close(sockets[1]);
        end();
    }
}

static void
after_a_shutdown_it_returns_at_once(void **state)
{
    (void)state;

    start(NULL);
    must_send(f.udp.tx, 1, 100);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 0), 1);
    zcb_frame_arrivals_release(f.in, 1);
    (void)shutdown(f.udp.rx, SHUT_RDWR);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, -1), 0);
    // A loop that did not see the end of this would hang here.
    assert_int_equal(fcntl(f.udp.rx, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, 60000), 0);
    assert_int_equal(zcb_frame_rx_recv(f.rx, f.in, 64, -1), 0);
    assert_true(stats().syscalls < 10);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_out_of_range_is_refused),
        cmocka_unit_test(what_is_no_datagram_socket_is_refused),
        cmocka_unit_test(a_datagram_comes_with_its_bytes_its_sender_and_its_time),
        cmocka_unit_test(without_time_stamps_the_time_is_0),
        cmocka_unit_test(nothing_there_is_0_at_once_after_the_time_and_at_a_signal),
        cmocka_unit_test(a_call_takes_no_more_than_fits_the_callers_array_and_loses_nothing),
        cmocka_unit_test(buffers_that_were_not_filled_are_kept_for_the_next_call),
        cmocka_unit_test(the_smallest_tier_that_fits_is_used),
        cmocka_unit_test(small_messages_of_successive_calls_share_a_block),
        cmocka_unit_test(alone_each_message_can_be_written_without_a_copy),
        cmocka_unit_test(lent_packets_end_with_the_next_call_unless_they_are_referenced),
        cmocka_unit_test(what_is_too_long_is_cut_off_and_says_so),
        cmocka_unit_test(a_datagram_without_bytes_is_one),
        cmocka_unit_test(a_train_is_split_into_slices_of_one_block),
        cmocka_unit_test(a_train_longer_than_the_callers_array_goes_on_without_a_system_call),
        cmocka_unit_test(a_train_is_known_as_one_after_single_datagrams),
        cmocka_unit_test(trains_may_be_had_whole),
        cmocka_unit_test(of_a_train_that_is_too_long_the_cut_and_the_lost_datagrams_are_counted),
        cmocka_unit_test(a_small_message_does_not_pin_a_large_buffer),
        cmocka_unit_test(a_copy_is_not_waited_for),
        cmocka_unit_test(a_message_above_all_tiers_comes_whole),
        cmocka_unit_test(an_icmp_answer_is_an_error_and_the_engine_goes_on),
        cmocka_unit_test(a_pool_with_nothing_left_is_an_error_and_nothing_is_lost),
        cmocka_unit_test(with_buffers_in_hand_it_never_waits_for_the_pool),
        cmocka_unit_test(after_memory_ran_out_anywhere_everything_comes_still),
        cmocka_unit_test(create_fails_cleanly_where_there_is_no_memory),
        cmocka_unit_test(in_steady_state_nothing_is_allocated_and_nothing_copied),
        cmocka_unit_test(packets_outlive_the_engine_and_what_waited_in_it_goes),
        cmocka_unit_test(statistics_fit_older_and_newer_callers),
        cmocka_unit_test(descriptors_that_a_peer_passes_are_not_taken),
        cmocka_unit_test(after_a_shutdown_it_returns_at_once),
    };

    return cmocka_run_group_tests_name("frame_io_rx", tests, NULL, NULL);
}
