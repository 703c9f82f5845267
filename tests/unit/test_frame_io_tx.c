// SPDX-License-Identifier: MIT
//
// The sendmmsg engine: UDP on 127.0.0.1, and a pair of Unix sockets, whose short queue makes every
// send a partial one.
#include "testing.h"

#include "support/alloc_count.h"
#include "support/pools.h"

#include "frame_io_testing.h"

struct fixture {
    struct udp_pair udp;
    struct zcb_pool *pool;
    struct zcb_frame_tx *tx;
};

static struct fixture f;
static const char *no_network;

static void
start(const struct zcb_frame_tx_config *config)
{
    memset(&f, 0, sizeof(f));
    f.udp = must_udp_pair();
    f.pool = must_create(NULL);
    assert_int_equal(zcb_frame_tx_create(f.udp.tx, config, &f.tx), 0);
}

static void
end(void)
{
    zcb_frame_tx_destroy(&f.tx);
    assert_null(f.tx);
    must_end(&f.pool);
    udp_pair_close(&f.udp);
}

static struct zcb_frame_io_stats
stats(void)
{
    struct zcb_frame_io_stats s;

    assert_int_equal(zcb_frame_tx_stats(f.tx, &s, sizeof(s)), 0);
    return s;
}

static void
push(uint32_t number, size_t len)
{
    struct zcb_packet packet = must_pattern_packet(f.pool, number, len);

    assert_int_equal(zcb_frame_tx_push(f.tx, &packet, NULL, 0), 0);
    assert_null(packet.owner);
}

// The next datagram at `fd` is `len` bytes of packet `number`.
static bool
comes(int fd, uint32_t number, size_t len)
{
    static uint8_t bytes[100000];
    ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    return got == (ssize_t)len && has_pattern(bytes, len, number);
}

static bool
nothing_comes(int fd)
{
    uint8_t byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

#define NEED_GSO()                                                                                 \
    do {                                                                                           \
        struct zcb_frame_tx *probe_ = NULL;                                                        \
        int fd_ = socket(AF_INET, SOCK_DGRAM, 0);                                                  \
        int result_ = zcb_frame_tx_create(fd_, &gso, &probe_);                                     \
                                                                                                   \
        zcb_frame_tx_destroy(&probe_);                                                             \
        close(fd_);                                                                                \
        if (result_ == -ENOTSUP) {                                                                 \
            print_message("the kernel has no UDP_SEGMENT\n");                                      \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static const struct zcb_frame_tx_config gso = {.flags = ZCB_FRAME_TX_GSO};

static void
arguments_out_of_range_are_refused(void **state)
{
    (void)state;
    static const struct zcb_frame_tx_config bad[] = {
        {.batch = 1025},
        {.max_queued = (1u << 20) + 1},
        {.flags = 2},
        {.reserved32 = 1},
        {.reserved = {(void *)(uintptr_t)&bad}},
        {.reserved = {NULL, NULL, NULL, (void *)(uintptr_t)&bad}},
    };
    struct zcb_frame_tx *tx = NULL;
    struct zcb_packet packet = zcb_packet_static("x", 1);
    struct zcb_chain chain;
    int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), pair[2];

    start(NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    for (size_t i = 0; i < NUMBERS(bad); i++)
        assert_int_equal(zcb_frame_tx_create(f.udp.tx, &bad[i], &tx), -EINVAL);
    assert_int_equal(zcb_frame_tx_create(f.udp.tx, NULL, NULL), -EINVAL);
    assert_int_equal(zcb_frame_tx_create(-1, NULL, &tx), -EBADF);
    assert_int_equal(zcb_frame_tx_create(stream, NULL, &tx), -ENOTSUP);
    assert_int_equal(zcb_frame_tx_create(pair[0], &gso, &tx), -ENOTSUP);
    assert_null(tx);
    assert_int_equal(zcb_frame_tx_push(NULL, &packet, NULL, 0), -EINVAL);
    assert_int_equal(zcb_frame_tx_push(f.tx, NULL, NULL, 0), -EINVAL);
    assert_int_equal(zcb_frame_tx_push(f.tx, &packet, NULL, 4), -EINVAL);
    assert_int_equal(zcb_frame_tx_push(f.tx, &packet, &f.udp.rx_name, 0), -EINVAL);
    assert_int_equal(zcb_frame_tx_push(f.tx, &packet, &f.udp.rx_name, 1), -EINVAL);
    assert_int_equal(zcb_frame_tx_push(f.tx, &packet, &f.udp.rx_name, 29), -EINVAL);
    assert_int_equal(packet.len, 1);
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    assert_int_equal(zcb_frame_tx_push_chain(NULL, &chain, 0, NULL, 0), -EINVAL);
    assert_int_equal(zcb_frame_tx_push_chain(f.tx, NULL, 0, NULL, 0), -EINVAL);
    assert_int_equal(zcb_frame_tx_push_chain(f.tx, &chain, 1, NULL, 0), -EAGAIN);
    assert_int_equal(zcb_frame_tx_flush(NULL, 0), -EINVAL);
    assert_int_equal(zcb_frame_tx_skip(f.tx), -EAGAIN);
    assert_int_equal(zcb_frame_tx_queued(f.tx), 0);
    assert_int_equal(zcb_frame_tx_stats(f.tx, NULL, 0), -EINVAL);
    zcb_frame_tx_destroy(NULL);
    zcb_chain_finish(&chain);
    close(stream);
    close(pair[0]);
    close(pair[1]);
    end();
}

static void
packets_go_out_in_order_and_are_let_go_of(void **state)
{
    (void)state;

    start(&(struct zcb_frame_tx_config){.batch = 8});
    for (uint32_t i = 0; i < 50; i++)
        push(i, i * 20);
    assert_int_equal(zcb_frame_tx_queued(f.tx), 50);
    assert_int_equal(stats().held, 50);
    assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 50);
    assert_int_equal(zcb_frame_tx_queued(f.tx), 0);
    assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 0);
    assert_int_equal(must_stats(f.pool).total.live, 0);
    for (uint32_t i = 0; i < 50; i++)
        assert_true(comes(f.udp.rx, i, i * 20));
    assert_true(nothing_comes(f.udp.rx));
    assert_int_equal(stats().packets, 50);
    assert_int_equal(stats().bytes, 49 * 50 / 2 * 20);
    assert_int_equal(stats().syscalls, 7);
    assert_int_equal(stats().batches, 1);
    end();
}

static void
each_datagram_may_have_its_own_destination(void **state)
{
    (void)state;
    struct udp_pair other = must_udp_pair();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct zcb_frame_tx *tx;

    start(NULL);
    assert_int_equal(zcb_frame_tx_create(fd, NULL, &tx), 0);
    for (uint32_t i = 0; i < 20; i++) {
        struct zcb_packet packet = must_pattern_packet(f.pool, i, 100);
        const union zcb_frame_endpoint to = i % 2 == 0 ? f.udp.rx_name : other.rx_name;

        assert_int_equal(zcb_frame_tx_push(tx, &packet, &to, sizeof(to.in4)), 0);
    }
    assert_int_equal(zcb_frame_tx_flush(tx, 0), 20);
    for (uint32_t i = 0; i < 20; i++)
        assert_true(comes(i % 2 == 0 ? f.udp.rx : other.rx, i, 100));
    zcb_frame_tx_destroy(&tx);
    close(fd);
    udp_pair_close(&other);
    end();
}

static void
a_full_queue_refuses_and_the_packet_stays_the_callers(void **state)
{
    (void)state;
    struct zcb_packet packet;

    start(&(struct zcb_frame_tx_config){.max_queued = 3});
    for (int round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < 3; i++)
            push(i, 10);
        packet = must_pattern_packet(f.pool, 9, 10);
        assert_int_equal(zcb_frame_tx_push(f.tx, &packet, NULL, 0), -ENOBUFS);
        assert_int_equal(packet.len, 10);
        zcb_packet_unref(&packet);
        assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 3);
        for (uint32_t i = 0; i < 3; i++)
            assert_true(comes(f.udp.rx, i, 10));
    }
    end();
}

static void
a_datagram_may_lie_in_many_chunks(void **state)
{
    (void)state;
    struct zcb_packet whole;
    struct zcb_chain chain;

    start(NULL);
    whole = must_pattern_packet(f.pool, 4, 40000);
    assert_int_equal(zcb_chain_init(&chain, f.pool, NULL), 0);
    for (size_t chunks = 1; chunks <= 1000; chunks = chunks * 3 + 1) {
        for (size_t i = 0; i < 3 * chunks; i++) { // backwards, so that they are not merged
            struct zcb_packet part;
            size_t at = i % chunks;

            assert_int_equal(zcb_packet_slice(&whole, at * 20, 20, &part), 0);
            if (i % chunks != 0 && chunks > 1) {
                uint8_t *own = NULL;
                struct zcb_buf *buf = must_acquire(f.pool, 20);

                assert_int_equal(zcb_buf_append(buf, 20, &own), 0);
                memcpy(own, part.data, 20);
                zcb_packet_unref(&part);
                zcb_buf_share(&buf, &part);
            }
            assert_int_equal(zcb_chain_push(&chain, &part), 0);
        }
        for (int i = 0; i < 2; i++)
            assert_int_equal(zcb_frame_tx_push_chain(f.tx, &chain, 20 * chunks, NULL, 0), 0);
        assert_int_equal(zcb_chain_len(&chain), 20 * chunks);
        zcb_chain_discard(&chain, 20 * chunks);
        assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 2);
        for (int i = 0; i < 2; i++)
            assert_true(comes(f.udp.rx, 4, 20 * chunks));
    }
    zcb_packet_unref(&whole);
    zcb_chain_finish(&chain);
    end();
}

static void
more_chunks_than_the_kernel_takes_are_refused(void **state)
{
    (void)state;
    struct zcb_chain chain;
    static const uint8_t bytes[2002];

    start(NULL);
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    for (size_t i = 0; i < 1001; i++) { // no two of them lie side by side
        struct zcb_packet byte = zcb_packet_static(bytes + 2 * i, 1);

        assert_int_equal(zcb_chain_push(&chain, &byte), 0);
    }
    assert_int_equal(zcb_frame_tx_push_chain(f.tx, &chain, 1001, NULL, 0), -ERANGE);
    assert_int_equal(zcb_chain_len(&chain), 1001);
    assert_int_equal(zcb_frame_tx_queued(f.tx), 0);
    assert_int_equal(zcb_frame_tx_push_chain(f.tx, &chain, 1000, NULL, 0), 0);
    assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 1);
    assert_int_equal(recv(f.udp.rx, (void *)(uintptr_t) & (uint8_t[2000]){0}, 2000, 0), 1000);
    zcb_chain_finish(&chain);
    end();
}

static void
equal_datagrams_go_out_as_one(void **state)
{
    (void)state;
    static const struct {
        size_t len[8];
        uint64_t trains, syscalls;
    } cases[] = {
        {{500, 500, 500}, 1, 1},      {{500, 500, 200}, 1, 1}, // a shorter one ends the train
        {{500, 500, 200, 200}, 1, 1},                          // so the fourth is alone
        {{200, 500, 500}, 1, 1},                               // a longer one begins one
        {{300, 200, 100}, 1, 1},      {{100}, 0, 1},           {{100, 200, 300, 400}, 0, 1},
    };

    NEED_GSO();
    for (size_t c = 0; c < NUMBERS(cases); c++) {
        int n = 0;

        start(&gso);
        for (; n < 8 && cases[c].len[n] != 0; n++)
            push((uint32_t)n, cases[c].len[n]);
        assert_int_equal(zcb_frame_tx_flush(f.tx, 0), n);
        for (int i = 0; i < n; i++)
            assert_true(comes(f.udp.rx, (uint32_t)i, cases[c].len[i]));
        assert_true(nothing_comes(f.udp.rx));
        assert_int_equal(stats().trains, cases[c].trains);
        assert_int_equal(stats().syscalls, cases[c].syscalls);
        end();
    }
}

static void
trains_keep_the_kernels_limits(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint32_t count;
        uint64_t trains;
    } cases[] = {
        {10, 130, 3},                 // 64 datagrams each, and two
        {10, 65, 1},                  // and one alone
        {1400, 47, 1},                // 65000 bytes: 46 of them
        {1400, 48, 2}, {32500, 4, 2}, // two
        {32501, 4, 0},                // one
        {65507, 2, 0},
    };

    NEED_GSO();
    for (size_t c = 0; c < NUMBERS(cases); c++) {
        start(&gso);
        for (uint32_t i = 0; i < cases[c].count; i++)
            push(i, cases[c].len);
        assert_int_equal(zcb_frame_tx_flush(f.tx, 0), cases[c].count);
        assert_int_equal(stats().trains, cases[c].trains);
        assert_int_equal(stats().syscalls, 1);
        for (uint32_t i = 0; i < cases[c].count; i++)
            assert_true(comes(f.udp.rx, i, cases[c].len));
        end();
    }
}

static void
trains_are_of_one_destination(void **state)
{
    (void)state;
    struct udp_pair other = must_udp_pair();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    NEED_GSO();
    start(NULL);
    zcb_frame_tx_destroy(&f.tx);
    assert_int_equal(zcb_frame_tx_create(fd, &gso, &f.tx), 0);
    for (uint32_t i = 0; i < 12; i++) {
        struct zcb_packet packet = must_pattern_packet(f.pool, i, 100);
        const union zcb_frame_endpoint to = i < 4 || i >= 8 ? f.udp.rx_name : other.rx_name;

        assert_int_equal(zcb_frame_tx_push(f.tx, &packet, &to, sizeof(to.in4)), 0);
    }
    assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 12);
    assert_int_equal(stats().trains, 3);
    for (uint32_t i = 0; i < 12; i++)
        assert_true(comes(i < 4 || i >= 8 ? f.udp.rx : other.rx, i, 100));
    close(fd);
    udp_pair_close(&other);
    end();
}

// A train may have more chunks than fit the iovecs of one message, or of one call.
static void
trains_of_many_chunks_stop_where_the_iovecs_end(void **state)
{
    (void)state;
    static const size_t chunks[] = {341, 342, 512, 513, 530, 900, 1000};
    static uint8_t bytes[2 * 1000 * 5];
    struct zcb_chain chain;

    NEED_GSO();
    for (size_t c = 0; c < NUMBERS(chunks); c++) {
        start(&gso);
        assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
        for (size_t d = 0; d < 5; d++) {
            for (size_t i = 0; i < chunks[c]; i++) {
                struct zcb_packet byte = zcb_packet_static(&bytes[2 * (d * 1000 + i)], 1);

                bytes[2 * (d * 1000 + i)] = pattern((uint32_t)d, i);
                assert_int_equal(zcb_chain_push(&chain, &byte), 0);
            }
            assert_int_equal(zcb_frame_tx_push_chain(f.tx, &chain, chunks[c], NULL, 0), 0);
        }
        assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 5);
        for (uint32_t d = 0; d < 5; d++)
            assert_true(comes(f.udp.rx, d, chunks[c]));
        assert_true(nothing_comes(f.udp.rx));
        // None was refused: GSO goes on.
        assert_int_equal(stats().trains, chunks[c] <= 512 ? 2 : 0);
        for (uint32_t d = 0; d < 2; d++)
            push(d, 1000);
        assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 2);
        assert_int_equal(stats().trains, chunks[c] <= 512 ? 3 : 1);
        zcb_chain_finish(&chain);
        end();
    }
}

// Like the one above, but the bytes behind continue the chunk before them.
static void
what_did_not_fit_a_train_is_not_left_in_it(void **state)
{
    (void)state;
    struct zcb_chain chain;
    static uint8_t bytes[8192];
    size_t off = 0;

    NEED_GSO();
    start(&gso);
    fill(bytes, sizeof(bytes), 0);
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    // Two datagrams of 1000 bytes: 900 single ones and 100 together. The second begins where the
    // first ends, with 50 bytes that continue it.
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 901; i++) {
            size_t at = d == 0 ? 0 : 4000, len = i == 900 ? 100 : 1;
            struct zcb_packet part;

            off = at + 2 * (size_t)i;
            if (d == 1 && i == 0) { // continues the 100
                off = 1900;
                len = 50;
            } else if (d == 1 && i == 900) {
                len = 51;
            }
            part = zcb_packet_static(bytes + off, len);
            assert_int_equal(zcb_chain_push(&chain, &part), 0);
        }
    for (int d = 0; d < 2; d++)
        assert_int_equal(zcb_frame_tx_push_chain(f.tx, &chain, 1000, NULL, 0), 0);
    assert_int_equal(zcb_chain_len(&chain), 0);
    assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 2);
    for (int d = 0; d < 2; d++) {
        uint8_t got[2000];

        assert_int_equal(recv(f.udp.rx, got, sizeof(got), MSG_DONTWAIT), 1000);
        assert_int_equal(got[0], pattern(0, d == 0 ? 0 : 1900));
        assert_int_equal(got[899], pattern(0, d == 0 ? 2 * 899 : 4000 + 2 * 850));
    }
    assert_true(nothing_comes(f.udp.rx));
    zcb_chain_finish(&chain);
    end();
}

static void
a_segment_above_the_path_is_sent_in_fragments(void **state)
{
    (void)state;

    if (no_network != NULL) {
        print_message("%s\n", no_network);
        skip();
    }
    NEED_GSO();
    must_set_lo(IFF_UP | IFF_RUNNING, 1500);
    start(&gso);
    for (uint32_t i = 0; i < 10; i++)
        push(i, 3000);
    for (uint32_t i = 10; i < 20; i++)
        push(i, 1400);
    assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 20);
    for (uint32_t i = 0; i < 20; i++)
        assert_true(comes(f.udp.rx, i, i < 10 ? 3000 : 1400));
    assert_int_equal(stats().trains, 1); // those that fit go on being joined
    assert_int_equal(stats().syscalls, 2);
    end();
    must_set_lo(IFF_UP | IFF_RUNNING, 65536);
}

static void
a_partial_send_goes_on_exactly_where_it_stopped(void **state)
{
    (void)state;
    struct zcb_frame_tx *tx;
    int pair[2], sent, total = 0, partial = 0;
    uint32_t expected = 0;

    start(NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    assert_int_equal(zcb_frame_tx_create(pair[0], NULL, &tx), 0);
    for (uint32_t i = 0; i < 500; i++) {
        struct zcb_packet packet = must_pattern_packet(f.pool, i, 1 + i % 97 * 40);

        assert_int_equal(zcb_frame_tx_push(tx, &packet, NULL, 0), 0);
    }
    while (total < 500) {
        sent = zcb_frame_tx_flush(tx, 0);
        assert_true(sent > 0);
        assert_int_equal(zcb_frame_tx_queued(tx), 500 - total - sent);
        assert_int_equal(must_stats(f.pool).total.live, 500 - total - sent);
        partial += zcb_frame_tx_queued(tx) != 0;
        total += sent;
        if (total < 500) // the socket is full
            assert_int_equal(zcb_frame_tx_flush(tx, total % 2 == 0 ? 0 : 5), 0);
        for (int i = 0; i < sent - sent % 2; i++, expected++)
            assert_true(comes(pair[1], expected, 1 + expected % 97 * 40));
    }
    assert_true(partial > 5);
    for (; expected < 500; expected++)
        assert_true(comes(pair[1], expected, 1 + expected % 97 * 40));
    zcb_frame_tx_destroy(&tx);
    close(pair[0]);
    close(pair[1]);
    end();
}

static void
one_that_is_refused_stays_first_until_it_is_skipped(void **state)
{
    (void)state;

    start(NULL);
    push(0, 100);
    push(1, 65508); // above UDP's limit
    push(2, 100);
    assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 1);
    assert_int_equal(zcb_frame_tx_flush(f.tx, 0), -EMSGSIZE);
    assert_int_equal(zcb_frame_tx_flush(f.tx, -1), -EMSGSIZE);
    assert_int_equal(zcb_frame_tx_queued(f.tx), 2);
    assert_int_equal(zcb_frame_tx_skip(f.tx), 0);
    assert_int_equal(stats().dropped, 1);
    assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 1);
    assert_true(comes(f.udp.rx, 0, 100));
    assert_true(comes(f.udp.rx, 2, 100));
    end();
}

static void
a_destination_that_is_refused_does_not_end_the_trains_of_others(void **state)
{
    (void)state;
    // What a peer's datagrams may come from, and answers cannot go to.
    union zcb_frame_endpoint none = {
        .in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
    };

    NEED_GSO();
    start(&gso);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 2; i++) {
            struct zcb_packet packet = must_pattern_packet(f.pool, i, 1);

            assert_int_equal(zcb_frame_tx_push(f.tx, &packet, &none, sizeof(none.in4)), 0);
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(zcb_frame_tx_flush(f.tx, 0), -EINVAL);
            assert_int_equal(zcb_frame_tx_skip(f.tx), 0);
        }
        for (uint32_t i = 0; i < 8; i++)
            push(i, 100);
        assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 8);
        assert_int_equal(stats().trains, round + 1);
    }
    end();
}

static void
what_is_queued_ends_with_the_engine(void **state)
{
    (void)state;

    start(NULL);
    for (uint32_t i = 0; i < 10; i++)
        push(i, 100);
    assert_int_equal(must_stats(f.pool).total.live, 10);
    end(); // nothing is out
}

static void
create_fails_cleanly_where_there_is_no_memory(void **state)
{
    (void)state;
    struct zcb_frame_tx *tx = NULL;
    int64_t live;
    uint64_t k = 0;
    int result;

    if (!zcb_alloc_count_works())
        skip();
    start(NULL);
    live = zcb_alloc_live();
    do {
        zcb_alloc_fail(++k, false);
        result = zcb_frame_tx_create(f.udp.tx, NULL, &tx);
        if (result < 0) {
            assert_int_equal(result, -ENOMEM);
            assert_null(tx);
            assert_int_equal(zcb_alloc_live(), live);
        }
    } while (result < 0);
    zcb_alloc_fail(0, false);
    assert_int_equal(k, 7);
    zcb_frame_tx_destroy(&tx);
    end();
}

static void
in_steady_state_nothing_is_allocated_and_nothing_copied(void **state)
{
    (void)state;
    uint64_t allocations = 0, before = 0;

    if (!zcb_alloc_count_works())
        skip();
    start(NULL);
    for (int round = 0; round < 8; round++) {
        if (round == 3) {
            before = moved();
            allocations = zcb_alloc_count();
        }
        for (uint32_t i = 0; i < 100; i++)
            push(i, 200);
        assert_int_equal(zcb_frame_tx_flush(f.tx, 0), 100);
        for (uint32_t i = 0; i < 100; i++)
            assert_true(comes(f.udp.rx, i, 200));
    }
    assert_int_equal(zcb_alloc_count(), allocations);
    assert_int_equal(moved(), before);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_out_of_range_are_refused),
        cmocka_unit_test(packets_go_out_in_order_and_are_let_go_of),
        cmocka_unit_test(each_datagram_may_have_its_own_destination),
        cmocka_unit_test(a_full_queue_refuses_and_the_packet_stays_the_callers),
        cmocka_unit_test(a_datagram_may_lie_in_many_chunks),
        cmocka_unit_test(more_chunks_than_the_kernel_takes_are_refused),
        cmocka_unit_test(equal_datagrams_go_out_as_one),
        cmocka_unit_test(trains_keep_the_kernels_limits),
        cmocka_unit_test(trains_are_of_one_destination),
        cmocka_unit_test(trains_of_many_chunks_stop_where_the_iovecs_end),
        cmocka_unit_test(what_did_not_fit_a_train_is_not_left_in_it),
        cmocka_unit_test(a_segment_above_the_path_is_sent_in_fragments),
        cmocka_unit_test(a_partial_send_goes_on_exactly_where_it_stopped),
        cmocka_unit_test(one_that_is_refused_stays_first_until_it_is_skipped),
        cmocka_unit_test(a_destination_that_is_refused_does_not_end_the_trains_of_others),
        cmocka_unit_test(what_is_queued_ends_with_the_engine),
        cmocka_unit_test(create_fails_cleanly_where_there_is_no_memory),
        cmocka_unit_test(in_steady_state_nothing_is_allocated_and_nothing_copied),
    };

    no_network = own_network();
    return cmocka_run_group_tests_name("frame_io_tx", tests, NULL, NULL);
}
