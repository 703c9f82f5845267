// SPDX-License-Identifier: MIT
//
// One thread receives, others drop the packets: buffers that several packets share, and blocks of a
// ring, which go back to the kernel from there.
#include "testing.h"

#include <pthread.h>

#include "support/pools.h"

#include "unit/frame_io_testing.h"

#define THREADS 3
#define PACKETS 6000

// What was received, handed over in order; each packet goes to one of the threads.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct zcb_packet packets[PACKETS];
    int in, out;
    bool ended;
} queue;

static const char *no_network;

static void *
drop_packets(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    struct zcb_packet kept[32];

    memset(kept, 0, sizeof(kept));
    for (;;) {
        struct zcb_packet packet;
        size_t i;

        pthread_mutex_lock(&queue.lock);
        while (queue.out == queue.in && !queue.ended) {
            // A ring whose blocks are all kept stands still, and then nothing would ever come.
            for (i = 0; i < NUMBERS(kept); i++)
                zcb_packet_unref(&kept[i]);
            pthread_cond_wait(&queue.changed, &queue.lock);
        }
        if (queue.out == queue.in) {
            pthread_mutex_unlock(&queue.lock);
            break;
        }
        packet = queue.packets[queue.out++];
        pthread_mutex_unlock(&queue.lock);
        CHECK(frame_number(&packet) >= 0);
        i = zcb_test_below(&seed, NUMBERS(kept)); // kept for a while, dropped out of order
        if (kept[i].owner != NULL)
            CHECK(frame_number(&kept[i]) >= 0);
        zcb_packet_unref(&kept[i]);
        kept[i] = packet;
    }
    for (size_t i = 0; i < NUMBERS(kept); i++)
        zcb_packet_unref(&kept[i]);
    return NULL;
}

static void
begin(pthread_t *threads)
{
    memset(&queue, 0, sizeof(queue));
    pthread_mutex_init(&queue.lock, NULL);
    pthread_cond_init(&queue.changed, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, drop_packets, (void *)(i + 1)), 0);
}

static void
hand_over(const struct zcb_frame_arrival *in, int n)
{
    pthread_mutex_lock(&queue.lock);
    for (int i = 0; i < n; i++)
        queue.packets[queue.in++] = in[i].packet;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

static void
finish(pthread_t *threads)
{
    pthread_mutex_lock(&queue.lock);
    queue.ended = true;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void
datagrams_of_one_buffer_are_dropped_on_several_threads(void **state)
{
    (void)state;
    static const struct zcb_frame_rx_config configs[] = {
        {.batch = 8},
        {.flags = ZCB_FRAME_RX_ALONE},
        {.max_len = 65507}, // small ones are copied
        {.flags = ZCB_FRAME_RX_GRO},
    };

    for (size_t c = 0; c < NUMBERS(configs); c++) {
        struct udp_pair udp = must_udp_pair();
        struct zcb_pool *pool = must_create(NULL);
        struct zcb_frame_arrival in[64];
        struct zcb_frame_rx *rx;
        pthread_t threads[THREADS];
        uint8_t bytes[600];
        int result = zcb_frame_rx_create(udp.rx, pool, &configs[c], &rx);

        if (result == -ENOTSUP)
            continue; // no GRO
        assert_int_equal(result, 0);
        begin(threads);
        for (uint32_t sent = 0; sent < PACKETS; sent += 40) {
            for (uint32_t i = 0; i < 40; i++) {
                size_t len = make_frame(bytes, sent + i, 50 + (sent + i) % 500);

                assert_int_equal(send(udp.tx, bytes, len, 0), len);
            }
            for (int got = 0, n; got < 40; got += n) {
                n = zcb_frame_rx_recv(rx, in, 64, 1000);
                assert_true(n > 0);
                hand_over(in, n);
            }
        }
        zcb_frame_rx_destroy(&rx);
        finish(threads);
        must_end(&pool);
        udp_pair_close(&udp);
    }
}

static void
blocks_of_a_ring_go_back_from_other_threads(void **state)
{
    (void)state;
    static const uint32_t holds[] = {2, 12};

    if (no_network != NULL) {
        print_message("%s\n", no_network);
        skip();
    }
    for (size_t c = 0; c < NUMBERS(holds); c++) {
        const struct zcb_frame_ring_config config = {
            .block_size = 65536,
            .blocks = 16,
            .hold_blocks = holds[c],
            .block_timeout_ms = 1,
            .flags = ZCB_FRAME_RING_INCOMING,
        };
        struct zcb_pool *pool = must_create(NULL);
        int tx = must_lo_socket(), got = 0, n, idle = 0;
        struct zcb_frame_arrival in[64];
        struct zcb_frame_io_stats stats;
        struct zcb_frame_ring *ring;
        pthread_t threads[THREADS];

        assert_int_equal(zcb_frame_ring_create("lo", pool, &config, &ring), 0);
        begin(threads);
        for (uint32_t sent = 0; sent < PACKETS; sent += 40) {
            for (uint32_t i = 0; i < 40; i++)
                must_send_frame(tx, sent + i, 50 + (sent + i) % 500);
            while ((n = zcb_frame_ring_recv(ring, in, 64, 0)) > 0) {
                hand_over(in, n);
                got += n;
            }
            assert_int_equal(n, 0);
        }
        while (idle < 5) {
            n = zcb_frame_ring_recv(ring, in, 64, 20);
            assert_true(n >= 0);
            idle = n == 0 ? idle + 1 : 0;
            hand_over(in, n);
            got += n;
        }
        assert_int_equal(zcb_frame_ring_stats(ring, &stats, sizeof(stats)), 0);
        assert_int_equal(got + stats.dropped, PACKETS);
        assert_true(got > PACKETS / 50); // the rest the kernel may have had no block for
        assert_int_equal(stats.packets, got);
        zcb_frame_ring_destroy(&ring); // before the last packets are dropped
        finish(threads);
        must_end(&pool);
        close(tx);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_of_one_buffer_are_dropped_on_several_threads),
        cmocka_unit_test(blocks_of_a_ring_go_back_from_other_threads),
    };

    no_network = own_network();
    return cmocka_run_group_tests_name("frame_io_threads", tests, NULL, NULL);
}
