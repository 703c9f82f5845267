// SPDX-License-Identifier: MIT
//
// The TPACKET_V3 engine on `lo` of a network namespace of its own, so that nothing comes but what
// the tests send. Skipped where such a namespace may not be made.
#include "testing.h"

#include "support/alloc_count.h"
#include "support/failing_source.h"
#include "support/pools.h"

#include <linux/filter.h>
#include <linux/if_tun.h>

#include "frame_io_testing.h"

// Small blocks, so that few frames fill them: 64 KiB each.
#define BLOCK 65536u

struct fixture {
    struct zcb_pool *pool;
    struct zcb_frame_ring *ring;
    int tx;
    struct zcb_frame_arrival in[2048];
};

static struct fixture f;
static const char *no_network;

#define NEED_NETWORK()                                                                             \
    do {                                                                                           \
        if (no_network != NULL) {                                                                  \
            print_message("%s\n", no_network);                                                     \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void
start_in(const struct zcb_pool_config *pool, struct zcb_frame_ring_config config)
{
    memset(&f, 0, sizeof(f));
    if (config.block_size == 0)
        config.block_size = BLOCK;
    if (config.blocks == 0)
        config.blocks = 32;
    if (config.block_timeout_ms == 0)
        config.block_timeout_ms = 1;
    config.flags |= ZCB_FRAME_RING_INCOMING;
    f.pool = must_create(pool);
    f.tx = must_lo_socket();
    assert_int_equal(zcb_frame_ring_create("lo", f.pool, &config, &f.ring), 0);
}

static void
start(struct zcb_frame_ring_config config)
{
    start_in(NULL, config);
}

static void
end(void)
{
    zcb_frame_ring_destroy(&f.ring);
    assert_null(f.ring);
    must_end(&f.pool);
    close(f.tx);
}

static struct zcb_frame_io_stats
stats(void)
{
    struct zcb_frame_io_stats s;

    assert_int_equal(zcb_frame_ring_stats(f.ring, &s, sizeof(s)), 0);
    return s;
}

static void
send_frames(uint32_t from, uint32_t n, size_t len)
{
    for (uint32_t i = 0; i < n; i++)
        must_send_frame(f.tx, from + i, len);
}

// Receives `n` frames into in[at...]; fewer: what came within a second.
static int
receive(int at, int n)
{
    int got = 0, r;

    while (got < n) {
        r = zcb_frame_ring_recv(f.ring, &f.in[at + got], (size_t)(n - got), 1000);
        if (r <= 0)
            return got != 0 ? got : r;
        got += r;
    }
    return got;
}

// One frame of a block of its own: what comes before the block's time is over shares it.
static void
send_and_receive(int at, uint32_t number)
{
    must_send_frame(f.tx, number, 200);
    assert_int_equal(receive(at, 1), 1);
    assert_int_equal(frame_number(&f.in[at].packet), number);
}

static void
a_config_out_of_range_is_refused(void **state)
{
    (void)state;
    static const struct zcb_frame_ring_config bad[] = {
        {.block_size = 4095},
        {.block_size = 6000},
        {.block_size = (16u << 20) + 4096},
        {.block_size = UINT32_MAX},
        {.blocks = 1},
        {.blocks = 65537},
        {.block_size = 1u << 20, .blocks = 1025},
        {.blocks = 4, .hold_blocks = 4},
        {.hold_blocks = 64},
        {.block_timeout_ms = 10001},
        {.flags = 1u << 4},
        {.flags = 1u << 31},
        {.fanout_mode = 1},
        {.reserved16 = {1}},
        {.reserved16 = {0, 0, 1}},
        {.reserved = {(void *)(uintptr_t)&bad}},
        {.reserved = {NULL, NULL, NULL, (void *)(uintptr_t)&bad}},
    };
    const struct zcb_frame_ring_config copy = {.flags = ZCB_FRAME_RING_COPY};
    const struct zcb_frame_ring_config promiscuous = {.flags = ZCB_FRAME_RING_PROMISCUOUS};
    struct zcb_frame_ring *ring = NULL;
    struct zcb_pool *pool = must_create(NULL);

    for (size_t i = 0; i < NUMBERS(bad); i++)
        assert_int_equal(zcb_frame_ring_create("lo", pool, &bad[i], &ring), -EINVAL);
    assert_int_equal(zcb_frame_ring_create("lo", pool, NULL, NULL), -EINVAL);
    assert_int_equal(zcb_frame_ring_create("lo", NULL, &copy, &ring), -EINVAL);
    assert_int_equal(zcb_frame_ring_create(NULL, pool, &promiscuous, &ring), -EINVAL);
    assert_null(ring);
    assert_int_equal(zcb_frame_ring_recv(NULL, f.in, 1, 0), -EINVAL);
    assert_int_equal(zcb_frame_ring_fd(NULL), -EINVAL);
    assert_int_equal(zcb_frame_ring_stats(NULL, NULL, 0), -EINVAL);
    zcb_frame_ring_destroy(NULL);
    zcb_frame_ring_destroy(&ring);
    zcb_pool_destroy(&pool);
}

static void
without_the_right_it_is_eperm(void *arg)
{
    struct zcb_frame_ring *ring = NULL;
    // Another user, or one who is root of nothing but a namespace without networks.
    bool dropped =
        (setgid(65534) == 0 && setuid(65534) == 0) || unshare(CLONE_NEWUSER) == 0 || getuid() != 0;
    int result = zcb_frame_ring_create("lo", NULL, NULL, &ring);

    (void)arg;
    CHECK(result == -EPERM || !dropped);
    CHECK(result != -EPERM || ring == NULL);
}

static void
an_unprivileged_program_gets_eperm(void **state)
{
    (void)state;
    struct child child = child_run(without_the_right_it_is_eperm, NULL);

    assert_child_succeeded(child);
}

static void
an_interface_that_is_not_there_is_enodev(void **state)
{
    (void)state;
    struct zcb_frame_ring *ring = NULL;

    NEED_NETWORK();
    assert_int_equal(zcb_frame_ring_create("none0", NULL, NULL, &ring), -ENODEV);
    assert_int_equal(zcb_frame_ring_create("", NULL, NULL, &ring), -ENODEV);
    assert_int_equal(zcb_frame_ring_create("a_name_that_is_far_too_long", NULL, NULL, &ring),
                     -ENODEV);
    assert_null(ring);
}

static void
frames_come_where_the_kernel_wrote_them(void **state)
{
    (void)state;
    struct timespec before, after;
    uint64_t copied;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){0});
    copied = moved();
    clock_gettime(CLOCK_REALTIME, &before);
    for (uint32_t i = 0; i < 40; i++)
        must_send_frame(f.tx, i, 60 + i * 30);
    clock_gettime(CLOCK_REALTIME, &after);
    memset(f.in, 0xee, sizeof(f.in));
    assert_int_equal(receive(0, 40), 40);
    for (uint32_t i = 0; i < 40; i++) {
        const struct zcb_frame_arrival *a = &f.in[i];

        assert_int_equal(a->packet.len, 60 + i * 30);
        assert_int_equal(frame_number(&a->packet), i);
        assert_int_equal(a->wire_len, a->packet.len);
        assert_int_equal(a->flags & ~(uint32_t)ZCB_FRAME_IO_CHECKSUM_GOOD, 0);
        assert_int_equal(a->ifindex, if_nametoindex("lo"));
        assert_int_equal(a->vlan_tci | a->vlan_tpid | a->segment | a->from_len, 0);
        assert_int_equal(a->reserved[0] | a->reserved[1], 0);
        assert_int_equal(zcb_packet_pinned(&a->packet), BLOCK);
        assert_in_range(a->time_ns, (uint64_t)before.tv_sec * 1000000000u + before.tv_nsec,
                        (uint64_t)after.tv_sec * 1000000000u + after.tv_nsec);
    }
    assert_int_equal(moved() - copied, 0);
    assert_int_equal(stats().packets, 40);
    assert_int_equal(stats().dropped, 0);
    zcb_frame_arrivals_release(f.in, 40);
    assert_int_equal(stats().held, 0);
    assert_int_equal(must_stats(f.pool).total.acquires, 0);
    end();
}

static void
what_this_machine_sends_comes_too_and_says_so(void **state)
{
    (void)state;
    struct zcb_frame_ring *ring;
    int outgoing = 0, got = 0;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){0});
    assert_int_equal(zcb_frame_ring_create(NULL, NULL, // on all interfaces
                                           &(struct zcb_frame_ring_config){
                                               .block_size = BLOCK,
                                               .blocks = 4,
                                               .protocol = FRAME_TYPE,
                                           },
                                           &ring),
                     0);
    must_send_frame(f.tx, 1, 100);
    while (got < 1)
        got += zcb_frame_ring_recv(ring, &f.in[got], 8, 1000);
    zcb_frame_ring_destroy(&ring);
    for (int i = 0; i < got; i++)
        outgoing += (f.in[i].flags & ZCB_FRAME_IO_OUTGOING) != 0;
    // An outgoing frame is shown to those who listen to every protocol only.
    assert_int_equal(outgoing, 0);
    assert_int_equal(got, 1);
    zcb_frame_arrivals_release(f.in, got);

    assert_int_equal(zcb_frame_ring_create("lo", NULL,
                                           &(struct zcb_frame_ring_config){
                                               .block_size = BLOCK,
                                               .blocks = 4,
                                           },
                                           &ring),
                     0);
    must_send_frame(f.tx, 2, 100);
    for (got = 0; got < 2;)
        got += zcb_frame_ring_recv(ring, &f.in[got], 8, 1000);
    assert_int_equal(f.in[0].flags & ZCB_FRAME_IO_OUTGOING, ZCB_FRAME_IO_OUTGOING);
    assert_int_equal(f.in[1].flags & ZCB_FRAME_IO_OUTGOING, 0);
    zcb_frame_arrivals_release(f.in, 2);
    zcb_frame_ring_destroy(&ring);
    end();
}

static void
a_block_goes_back_with_its_last_packet(void **state)
{
    (void)state;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){.blocks = 4, .hold_blocks = 3});
    send_frames(0, 10, 500);
    assert_int_equal(receive(0, 10), 10);
    for (int i = 0; i < 10; i++) {
        assert_true(stats().held >= 1);
        assert_true(stats().held <= 2); // where the block's time was over between two sends
        zcb_packet_unref(&f.in[i].packet);
    }
    assert_int_equal(stats().held, 0);
    // Round and round, far more than the ring has blocks.
    for (uint32_t i = 0; i < 20; i++) {
        send_and_receive(0, i);
        assert_int_equal(stats().held, 1);
        zcb_packet_unref(&f.in[0].packet);
    }
    assert_int_equal(stats().dropped, 0);
    end();
}

static void
when_too_many_blocks_are_held_frames_are_copied(void **state)
{
    (void)state;
    uint64_t copied;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){.blocks = 8, .hold_blocks = 3});
    copied = moved();
    for (uint32_t i = 0; i < 7; i++) {
        send_and_receive((int)i, i);
        assert_int_equal(f.in[i].flags & ZCB_FRAME_IO_COPIED, i < 3 ? 0 : ZCB_FRAME_IO_COPIED);
        assert_int_equal(zcb_packet_pinned(&f.in[i].packet), i < 3 ? BLOCK : 4096);
        assert_int_equal(stats().held, i < 3 ? i + 1 : 3);
        assert_int_equal(moved() - copied, i < 3 ? 0 : (i - 2) * 200);
    }
    assert_int_equal(stats().copied_packets, 4);
    assert_int_equal(stats().copied_bytes, 800);
    // One comes back: the next one is lent out again.
    zcb_packet_unref(&f.in[1].packet);
    send_and_receive(1, 7);
    assert_int_equal(f.in[1].flags & ZCB_FRAME_IO_COPIED, 0);
    for (int i = 0; i < 7; i++)
        assert_int_equal(frame_number(&f.in[i].packet), i == 1 ? 7 : i);
    assert_int_equal(stats().dropped, 0);
    zcb_frame_arrivals_release(f.in, 7);
    end();
}

static void
every_frame_may_be_copied(void **state)
{
    (void)state;
    uint64_t copied;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){.blocks = 16, .flags = ZCB_FRAME_RING_COPY});
    copied = moved();
    for (uint32_t round = 0; round < 4; round++) {
        // All of them are kept: in the end more than the ring holds.
        send_frames(round * 400, 400, 1000);
        assert_int_equal(receive((int)round * 400, 400), 400);
    }
    for (int i = 0; i < 1600; i++)
        assert_int_equal(frame_number(&f.in[i].packet), i);
    assert_int_equal(stats().held, 0);
    assert_int_equal(stats().dropped, 0);
    assert_int_equal(moved() - copied, 1600000);
    assert_int_equal(stats().copied_bytes, 1600000);
    zcb_frame_arrivals_release(f.in, 1600);
    end();
}

static void
without_a_pool_a_held_ring_says_so_and_loses_nothing(void **state)
{
    (void)state;
    struct zcb_frame_ring *ring;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){0});
    zcb_frame_ring_destroy(&f.ring);
    assert_int_equal(zcb_frame_ring_create("lo", NULL,
                                           &(struct zcb_frame_ring_config){
                                               .block_size = BLOCK,
                                               .blocks = 4,
                                               .hold_blocks = 2,
                                               .block_timeout_ms = 1,
                                               .flags = ZCB_FRAME_RING_INCOMING,
                                           },
                                           &ring),
                     0);
    f.ring = ring;
    send_and_receive(0, 0);
    send_and_receive(1, 1);
    must_send_frame(f.tx, 2, 200);
    assert_int_equal(zcb_frame_ring_recv(f.ring, &f.in[2], 1, 1000), -ENOBUFS);
    assert_int_equal(zcb_frame_ring_recv(f.ring, &f.in[2], 1, 1000), -ENOBUFS);
    assert_int_equal(stats().out_of_buffers, 2);
    zcb_packet_unref(&f.in[1].packet);
    assert_int_equal(receive(1, 1), 1);
    assert_int_equal(frame_number(&f.in[1].packet), 2);
    zcb_frame_arrivals_release(f.in, 2);
    end();
}

static void
a_block_held_when_its_turn_comes_again_stops_the_capture_until_it_is_back(void **state)
{
    (void)state;
    uint32_t number = 1;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){.blocks = 4, .hold_blocks = 1});
    send_and_receive(0, 0);
    // The other three blocks go round; then the kernel stands before the one that is held.
    for (; number < 4; number++) {
        send_and_receive(1, number);
        zcb_packet_unref(&f.in[1].packet);
    }
    send_frames(100, 20, 200);
    assert_int_equal(zcb_frame_ring_recv(f.ring, &f.in[1], 64, 30), 0);
    assert_true(stats().freezes >= 1);
    assert_int_equal(stats().dropped, 20);
    assert_int_equal(frame_number(&f.in[0].packet), 0);
    zcb_packet_unref(&f.in[0].packet);
    for (number = 200; number < 220; number++) {
        send_and_receive(1, number);
        zcb_packet_unref(&f.in[1].packet);
    }
    assert_int_equal(stats().dropped, 20);
    end();
}

// The socket is readable while the last block is held; a wait that asked for that would spin.
static void
waiting_with_packets_held_does_not_spin(void **state)
{
    (void)state;
    uint64_t before;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){0});
    send_and_receive(0, 0);
    before = stats().syscalls;
    assert_int_equal(zcb_frame_ring_recv(f.ring, &f.in[1], 1, 100), 0);
    assert_true(stats().syscalls - before <= 5);
    assert_int_equal(zcb_frame_ring_recv(f.ring, &f.in[1], 1, 0), 0);
    send_and_receive(1, 1); // and it wakes up for the next
    zcb_frame_arrivals_release(f.in, 2);
    end();
}

static void
packets_outlive_the_ring(void **state)
{
    (void)state;
    struct tpacket_stats_v3 heard;
    socklen_t len = sizeof(heard);
    int64_t blocks = 0;
    bool counted = zcb_alloc_count_works();
    int ear;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){.flags = ZCB_FRAME_RING_PROMISCUOUS});
    send_frames(0, 300, 1000);
    assert_int_equal(receive(0, 300), 300);
    assert_int_equal(stats().dropped, 0); // the kernel's counters start over
    ear = dup(zcb_frame_ring_fd(f.ring));
    zcb_frame_ring_destroy(&f.ring);
    send_frames(300, 300, 1000); // nobody listens
    assert_int_equal(getsockopt(ear, SOL_PACKET, PACKET_STATISTICS, &heard, &len), 0);
    assert_int_equal(heard.tp_packets, 0);
    close(ear);
    if (counted)
        blocks = zcb_alloc_live();
    for (int i = 0; i < 300; i++)
        assert_int_equal(frame_number(&f.in[i].packet), i);
    zcb_frame_arrivals_release(f.in, 299);
    assert_int_equal(frame_number(&f.in[299].packet), 299);
    if (counted)
        assert_int_equal(zcb_alloc_live(), blocks);
    zcb_packet_unref(&f.in[299].packet);
    if (counted)
        assert_int_equal(zcb_alloc_live(), blocks - 1); // the ring, with the last of them
    end();
}

static void
destroy_in_the_middle_of_a_block_gives_it_back(void **state)
{
    (void)state;
    static const uint32_t flags[] = {0, ZCB_FRAME_RING_COPY, ZCB_FRAME_RING_LENT,
                                     ZCB_FRAME_RING_LENT | ZCB_FRAME_RING_COPY};
    int64_t blocks;

    NEED_NETWORK();
    if (!zcb_alloc_count_works())
        skip();
    for (size_t i = 0; i < NUMBERS(flags); i++) {
        start((struct zcb_frame_ring_config){.flags = flags[i]});
        send_frames(0, 20, 1000);
        assert_int_equal(receive(0, 3), 3);
        blocks = zcb_alloc_live();
        if ((flags[i] & ZCB_FRAME_RING_LENT) == 0)
            zcb_frame_arrivals_release(f.in, 3);
        zcb_frame_ring_destroy(&f.ring);
        assert_int_equal(zcb_alloc_live(), blocks - 1);
        end();
    }
}

static void
lent_frames_end_with_their_block_unless_they_are_referenced(void **state)
{
    (void)state;
    struct zcb_packet kept;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){.blocks = 4, .flags = ZCB_FRAME_RING_LENT});
    for (uint32_t i = 0; i < 20; i++) {
        send_and_receive(0, i);
        assert_int_equal(stats().held, 1);
    }
    kept = zcb_packet_ref(&f.in[0].packet);
    send_and_receive(1, 20);
    assert_int_equal(stats().held, 2);
    assert_int_equal(zcb_frame_ring_recv(f.ring, &f.in[1], 1, 0), 0);
    assert_int_equal(stats().held, 1);
    assert_int_equal(frame_number(&kept), 19);
    zcb_packet_unref(&kept);
    assert_int_equal(stats().held, 0);
    assert_int_equal(stats().dropped, 0);
    end();
}

static void
lent_copies_end_with_the_next_call(void **state)
{
    (void)state;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){.flags = ZCB_FRAME_RING_LENT | ZCB_FRAME_RING_COPY});
    send_frames(0, 200, 300);
    for (uint32_t expected = 0; expected < 200;) {
        int n = zcb_frame_ring_recv(f.ring, f.in, 2000, 1000);

        assert_in_range(n, 1, 64);
        assert_int_equal(must_stats(f.pool).total.live, n);
        for (int i = 0; i < n; i++)
            assert_int_equal(frame_number(&f.in[i].packet), expected++);
    }
    assert_int_equal(zcb_frame_ring_recv(f.ring, f.in, 2000, 0), 0);
    assert_int_equal(must_stats(f.pool).total.live, 0);
    end();
}

static void
a_vlan_tag_is_told_beside_the_frame(void **state)
{
    (void)state;
    static const uint16_t tpids[] = {0x8100, 0x88a8};
    struct zcb_frame_rx *rx;
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int fd;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){0});
    // The recvmmsg engine on a packet socket says the same.
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    address.sll_ifindex = (int)if_nametoindex("lo");
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(zcb_frame_rx_create(fd, f.pool, NULL, &rx), 0);
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t bytes[204];
        int n = 0;

        make_frame(bytes + 4, i, 200);
        memset(bytes, 0, 12);
        bytes[12] = (uint8_t)(tpids[i] >> 8);
        bytes[13] = (uint8_t)tpids[i];
        bytes[14] = 0x60;
        bytes[15] = 0x2a;
        assert_int_equal(send(f.tx, bytes, sizeof(bytes), 0), sizeof(bytes));
        while (n < 2)
            n += zcb_frame_rx_recv(rx, &f.in[n], 8, 1000);
        assert_int_equal(receive(2, 1), 1);
        assert_int_equal(f.in[0].flags & ZCB_FRAME_IO_OUTGOING, ZCB_FRAME_IO_OUTGOING);
        assert_int_equal(f.in[0].ifindex, address.sll_ifindex);
        for (int k = 1; k < 3; k++) {
            assert_int_equal(f.in[k].packet.len, 200);
            assert_int_equal(f.in[k].wire_len, 200);
            assert_int_equal(f.in[k].ifindex, address.sll_ifindex);
            assert_int_equal(frame_number(&f.in[k].packet), i);
            assert_int_equal(f.in[k].flags & ZCB_FRAME_IO_VLAN, ZCB_FRAME_IO_VLAN);
            assert_int_equal(f.in[k].flags & ZCB_FRAME_IO_OUTGOING, 0);
            assert_int_equal(f.in[k].vlan_tci, 0x602a);
            assert_int_equal(f.in[k].vlan_tpid, tpids[i]);
        }
        zcb_frame_arrivals_release(f.in, 3);
    }
    zcb_frame_rx_destroy(&rx);
    close(fd);
    end();
}

static void
frames_above_64_kib_come_whole(void **state)
{
    (void)state;
    const size_t len = 80014;

    NEED_NETWORK();
    must_set_lo(IFF_UP | IFF_RUNNING, 80000);
    start((struct zcb_frame_ring_config){.block_size = 1u << 18, .blocks = 4, .hold_blocks = 1});
    must_send_frame(f.tx, 1, len);
    assert_int_equal(receive(0, 1), 1);
    must_send_frame(f.tx, 2, len);
    assert_int_equal(receive(1, 1), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(f.in[i].packet.len, len);
        assert_int_equal(frame_number(&f.in[i].packet), i + 1);
    }
    assert_int_equal(f.in[0].flags & ZCB_FRAME_IO_COPIED, 0);
    assert_int_equal(f.in[1].flags & ZCB_FRAME_IO_COPIED, ZCB_FRAME_IO_COPIED);
    assert_int_equal(must_stats(f.pool).oversize.live, 1);
    zcb_frame_arrivals_release(f.in, 2);
    end();

    // A block that is too small for it cuts it off.
    start((struct zcb_frame_ring_config){0});
    must_send_frame(f.tx, 3, len);
    assert_int_equal(receive(0, 1), 1);
    assert_int_equal(f.in[0].wire_len, len);
    assert_int_equal(f.in[0].flags & ZCB_FRAME_IO_TRUNCATED, ZCB_FRAME_IO_TRUNCATED);
    assert_in_range(f.in[0].packet.len, BLOCK - 200, BLOCK - 1);
    assert_int_equal(frame_number(&f.in[0].packet), 3);
    assert_int_equal(stats().truncated, 1);
    zcb_frame_arrivals_release(f.in, 1);
    end();
    must_set_lo(IFF_UP | IFF_RUNNING, 65536);
}

static void
a_filter_is_there_from_the_first_frame_on(void **state)
{
    (void)state;
    // Odd numbers (the low byte of a little or big endian 32-bit number is looked at in both
    // places), cut off at 100 bytes.
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 2, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 17), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 100),         BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog filter = {.len = NUMBERS(code), .filter = code};
    struct sock_filter none[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const struct sock_fprog nothing = {.len = 1, .filter = none};

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){.filter = &filter});
    send_frames(0, 20, 150);
    assert_int_equal(receive(0, 10), 10);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(frame_number(&f.in[i].packet), 2 * i + 1);
        assert_int_equal(f.in[i].packet.len, 100);
        assert_int_equal(f.in[i].wire_len, 150);
        assert_int_equal(f.in[i].flags & ZCB_FRAME_IO_TRUNCATED, ZCB_FRAME_IO_TRUNCATED);
    }
    zcb_frame_arrivals_release(f.in, 10);
    // Another one on the open ring.
    assert_int_equal(setsockopt(zcb_frame_ring_fd(f.ring), SOL_SOCKET, SO_ATTACH_FILTER, &nothing,
                                sizeof(nothing)),
                     0);
    send_frames(0, 20, 150);
    assert_int_equal(zcb_frame_ring_recv(f.ring, f.in, 64, 30), 0);
    end();
}

static void
rings_of_a_fanout_group_share_the_traffic(void **state)
{
    (void)state;
    struct zcb_frame_ring *ring[2];
    struct zcb_frame_ring_config config = {
        .block_size = BLOCK,
        .blocks = 8,
        .block_timeout_ms = 1,
        .protocol = FRAME_TYPE,
        .fanout_group = 17,
        .fanout_mode = PACKET_FANOUT_LB,
    };
    bool seen[100] = {false};
    int per[2] = {0, 0}, n;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){0});
    for (int i = 0; i < 2; i++)
        assert_int_equal(zcb_frame_ring_create("lo", NULL, &config, &ring[i]), 0);
    send_frames(0, 100, 100);
    for (int i = 0; i < 2; i++)
        while ((n = zcb_frame_ring_recv(ring[i], f.in, 64, per[i] < 50 ? 1000 : 20)) > 0) {
            for (int k = 0; k < n; k++) {
                int64_t number = frame_number(&f.in[k].packet);

                assert_in_range(number, 0, 99);
                assert_false(seen[number]);
                seen[number] = true;
            }
            per[i] += n;
            zcb_frame_arrivals_release(f.in, n);
        }
    assert_int_equal(per[0], 50);
    assert_int_equal(per[1], 50);
    zcb_frame_ring_destroy(&ring[0]);
    config.fanout_mode = PACKET_FANOUT_HASH; // the group has another one
    assert_int_equal(zcb_frame_ring_create("lo", NULL, &config, &ring[0]), -EINVAL);
    zcb_frame_ring_destroy(&ring[1]);
    end();
}

static void
an_interface_that_goes_down_is_told_and_comes_up_again(void **state)
{
    (void)state;

    NEED_NETWORK();
    start((struct zcb_frame_ring_config){0});
    send_and_receive(0, 1);
    zcb_packet_unref(&f.in[0].packet);
    must_set_lo(0, 0);
    assert_int_equal(zcb_frame_ring_recv(f.ring, f.in, 64, 1000), -ENETDOWN);
    assert_int_equal(zcb_frame_ring_recv(f.ring, f.in, 64, 10), 0);
    must_set_lo(IFF_UP | IFF_RUNNING, 0);
    // The kernel tells of the way up by nothing.
    send_and_receive(0, 2);
    zcb_packet_unref(&f.in[0].packet);
    end();
}

// What the ring says next that is no frame. The system sends some of its own on an interface that is
// up (IPv6 looks for neighbours), whenever it likes.
static int
next_error(struct zcb_frame_ring *ring)
{
    int n;

    while ((n = zcb_frame_ring_recv(ring, f.in, 64, 5000)) > 0)
        zcb_frame_arrivals_release(f.in, n);
    return n;
}

static void
an_interface_that_is_removed_is_told(void **state)
{
    (void)state;
    struct ifreq request = {.ifr_name = "tap0", .ifr_flags = IFF_TAP | IFF_NO_PI};
    int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    struct zcb_frame_ring *ring;

    NEED_NETWORK();
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0) {
        print_message("no interface can be made\n");
        close(tap);
        skip();
    }
    start((struct zcb_frame_ring_config){0});
    request.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(f.tx, SIOCSIFFLAGS, &request), 0);
    assert_int_equal(zcb_frame_ring_create("tap0", NULL, NULL, &ring), 0);
    close(tap);
    assert_int_equal(next_error(ring), -ENETDOWN);
    for (int i = 0; i < 2; i++)
        assert_int_equal(next_error(ring), -ENODEV);
    zcb_frame_ring_destroy(&ring);
    end();
}

static void
after_memory_ran_out_anywhere_everything_comes_still(void **state)
{
    (void)state;
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096}}, .slab_size = 8192};

    NEED_NETWORK();
    for (uint64_t k = 1; k <= 6; k++) {
        int expected = 0, failures = 0, n;

        zcb_failing_source_init(&failing);
        config.source = &failing.source;
        start_in(&config, (struct zcb_frame_ring_config){.flags = ZCB_FRAME_RING_COPY});
        send_frames(0, 16, 1000);
        zcb_failing_source_fail(&failing, k, true);
        while (expected < 16) {
            n = zcb_frame_ring_recv(f.ring, &f.in[expected], 16, 1000);
            if (n < 0) {
                assert_int_equal(n, -ENOMEM);
                failures++;
                zcb_failing_source_fail(&failing, 0, false);
                continue;
            }
            assert_true(n > 0);
            expected += n;
        }
        assert_int_equal(failures, 1);
        for (int i = 0; i < 16; i++)
            assert_int_equal(frame_number(&f.in[i].packet), i);
        zcb_frame_arrivals_release(f.in, 16);
        end();
        assert_int_equal(failing.live, 0);
    }
}

static void
create_fails_cleanly_where_there_is_no_memory(void **state)
{
    (void)state;
    struct zcb_frame_ring *ring = NULL;
    const struct zcb_frame_ring_config config = {.block_size = BLOCK, .blocks = 4};
    int64_t live;
    int fd, last, result;
    uint64_t k = 0;

    NEED_NETWORK();
    if (!zcb_alloc_count_works())
        skip();
    fd = dup(0);
    live = zcb_alloc_live();
    do {
        zcb_alloc_fail(++k, false);
        result = zcb_frame_ring_create("lo", NULL, &config, &ring);
        if (result < 0) {
            assert_int_equal(result, -ENOMEM);
            assert_null(ring);
            assert_int_equal(zcb_alloc_live(), live);
        }
    } while (result < 0);
    zcb_alloc_fail(0, false);
    assert_int_equal(k, 3); // the struct, the mapping
    zcb_frame_ring_destroy(&ring);
    close(fd);
    last = dup(0); // no descriptor was left open
    assert_int_equal(last, fd);
    close(last);
}

static void
in_steady_state_nothing_is_allocated(void **state)
{
    (void)state;
    static const uint32_t flags[] = {0, ZCB_FRAME_RING_LENT, ZCB_FRAME_RING_COPY};
    uint64_t allocations, copied;

    NEED_NETWORK();
    if (!zcb_alloc_count_works())
        skip();
    for (size_t i = 0; i < NUMBERS(flags); i++) {
        start((struct zcb_frame_ring_config){.flags = flags[i]});
        allocations = copied = 0;
        for (int round = 0; round < 8; round++) {
            if (round == 3) {
                allocations = zcb_alloc_count();
                copied = moved();
            }
            send_frames(0, 100, 700);
            assert_int_equal(receive(0, 100), 100);
            if ((flags[i] & ZCB_FRAME_RING_LENT) == 0)
                zcb_frame_arrivals_release(f.in, 100);
        }
        assert_int_equal(zcb_alloc_count(), allocations);
        assert_int_equal(moved() - copied, flags[i] == ZCB_FRAME_RING_COPY ? 5 * 70000 : 0);
        end();
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_out_of_range_is_refused),
        cmocka_unit_test(an_unprivileged_program_gets_eperm),
        cmocka_unit_test(an_interface_that_is_not_there_is_enodev),
        cmocka_unit_test(frames_come_where_the_kernel_wrote_them),
        cmocka_unit_test(what_this_machine_sends_comes_too_and_says_so),
        cmocka_unit_test(a_block_goes_back_with_its_last_packet),
        cmocka_unit_test(when_too_many_blocks_are_held_frames_are_copied),
        cmocka_unit_test(every_frame_may_be_copied),
        cmocka_unit_test(without_a_pool_a_held_ring_says_so_and_loses_nothing),
        cmocka_unit_test(a_block_held_when_its_turn_comes_again_stops_the_capture_until_it_is_back),
        cmocka_unit_test(waiting_with_packets_held_does_not_spin),
        cmocka_unit_test(packets_outlive_the_ring),
        cmocka_unit_test(destroy_in_the_middle_of_a_block_gives_it_back),
        cmocka_unit_test(lent_frames_end_with_their_block_unless_they_are_referenced),
        cmocka_unit_test(lent_copies_end_with_the_next_call),
        cmocka_unit_test(a_vlan_tag_is_told_beside_the_frame),
        cmocka_unit_test(frames_above_64_kib_come_whole),
        cmocka_unit_test(a_filter_is_there_from_the_first_frame_on),
        cmocka_unit_test(rings_of_a_fanout_group_share_the_traffic),
        cmocka_unit_test(an_interface_that_goes_down_is_told_and_comes_up_again),
        cmocka_unit_test(an_interface_that_is_removed_is_told),
        cmocka_unit_test(after_memory_ran_out_anywhere_everything_comes_still),
        cmocka_unit_test(create_fails_cleanly_where_there_is_no_memory),
        cmocka_unit_test(in_steady_state_nothing_is_allocated),
    };

    no_network = own_network();
    return cmocka_run_group_tests_name("frame_io_ring", tests, NULL, NULL);
}
