// SPDX-License-Identifier: MIT
//
// Packets on several threads. ThreadSanitizer is the judge of the ordering: what is written and
// read here has no other protection than what the library promises.

#include "testing.h"

#include "support/pools.h"

#include <pthread.h>
#include <sched.h>

#define MAX_THREADS 8

// ---- a queue of packets, as a program would have it ---------------------------------------------

#define QUEUE 64

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct zcb_packet packets[QUEUE];
    size_t first, count;
    bool closed;
};

static void
queue_init(struct queue *queue)
{
    memset(queue, 0, sizeof(*queue));
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->changed, NULL);
}

static void
queue_finish(struct queue *queue)
{
    CHECK(queue->count == 0);
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
}

static void
queue_put(struct queue *queue, struct zcb_packet packet)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == QUEUE)
        pthread_cond_wait(&queue->changed, &queue->lock);
    queue->packets[(queue->first + queue->count++) % QUEUE] = packet;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

// Never waits: false where the queue is full.
static bool
queue_offer(struct queue *queue, struct zcb_packet packet)
{
    bool room;

    pthread_mutex_lock(&queue->lock);
    room = queue->count < QUEUE;
    if (room)
        queue->packets[(queue->first + queue->count++) % QUEUE] = packet;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    return room;
}

// False: closed and empty.
static bool
queue_get(struct queue *queue, struct zcb_packet *packet)
{
    bool any;

    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->closed)
        pthread_cond_wait(&queue->changed, &queue->lock);
    any = queue->count != 0;
    if (any) {
        *packet = queue->packets[queue->first];
        queue->first = (queue->first + 1) % QUEUE;
        queue->count--;
    }
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    return any;
}

static void
queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

// ---- packets whose bytes tell where they are ----------------------------------------------------

// The first byte is a seed, each further one the one before and 7 more: any view can be checked by
// itself.
static void
fill(uint8_t *data, size_t len, uint8_t seed)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(seed + i * 7);
}

static void
must_be_intact(const struct zcb_packet *packet)
{
    for (size_t i = 1; i < packet->len; i++)
        CHECK(packet->data[i] == (uint8_t)(packet->data[i - 1] + 7));
}

static struct zcb_packet
new_packet(struct zcb_pool *pool, size_t len, uint8_t seed)
{
    struct zcb_buf *buf = must_acquire(pool, len);
    struct zcb_packet packet = {0};

    CHECK(zcb_buf_set_len(buf, len) == 0);
    fill(zcb_buf_data(buf), len, seed);
    zcb_buf_share(&buf, &packet);
    return packet;
}

// ---- 2 to 8 threads on the same packets ---------------------------------------------------------

struct crowd {
    struct zcb_pool *pool;
    struct queue queue;
    size_t rounds;
    uint64_t seed;
};

static void *
shuffle(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t random = __atomic_add_fetch(&crowd->seed, 1, __ATOMIC_RELAXED);

    for (size_t i = 0; i < crowd->rounds; i++) {
        struct zcb_packet packet = {0}, other = {0}, front = {0};

        if (!queue_get(&crowd->queue, &packet))
            break;
        must_be_intact(&packet);
        switch (zcb_test_below(&random, 5)) {
        case 0:
            other = zcb_packet_ref(&packet);
            break;
        case 1:
            CHECK(zcb_packet_slice(&packet, packet.len / 3, packet.len / 3, &other) == 0);
            break;
        case 2:
            zcb_packet_ref_n(&packet, 3);
            other = packet;
            for (int drop = 0; drop < 2; drop++) {
                struct zcb_packet extra = packet;
                zcb_packet_unref(&extra);
            }
            break;
        case 3:
            CHECK(zcb_packet_split(&packet, packet.len / 2, &front) == 0);
            must_be_intact(&front);
            break;
        default:
            break;
        }
        // Views go on, all of them while there is room; what has become too small is replaced.
        if (other.len >= 32 && queue_offer(&crowd->queue, other))
            other = zcb_packet_static(NULL, 0);
        zcb_packet_unref(&other);
        zcb_packet_unref(&front);
        if (packet.len < 32 || zcb_test_below(&random, 8) == 0) {
            zcb_packet_unref(&packet);
            packet = new_packet(crowd->pool, 100 + zcb_test_below(&random, 1400), (uint8_t)i);
        }
        if (!queue_offer(&crowd->queue, packet))
            zcb_packet_unref(&packet);
        // Never empty for long: others wait.
        if (zcb_test_below(&random, 4) == 0) {
            packet = new_packet(crowd->pool, 1500, (uint8_t)i);
            if (!queue_offer(&crowd->queue, packet))
                zcb_packet_unref(&packet);
        }
    }
    queue_close(&crowd->queue);
    return NULL;
}

static void
views_of_shared_packets_live_and_die_on_many_threads(void **state)
{
    (void)state;
    for (size_t n = 2; n <= MAX_THREADS; n *= 2) {
        struct crowd crowd = {
            .pool = must_create(NULL), .rounds = zcb_test_rounds(4000), .seed = n};
        pthread_t threads[MAX_THREADS];
        struct zcb_packet packet;

        queue_init(&crowd.queue);
        for (size_t i = 0; i < n; i++)
            queue_put(&crowd.queue, new_packet(crowd.pool, 1500, (uint8_t)i));
        for (size_t i = 0; i < n; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, shuffle, &crowd), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        while (queue_get(&crowd.queue, &packet)) {
            must_be_intact(&packet);
            zcb_packet_unref(&packet);
        }
        queue_finish(&crowd.queue);
        must_end(&crowd.pool);
    }
}

// ---- made in A, dropped in B --------------------------------------------------------------------

struct pipe_line {
    struct zcb_pool *pool;
    struct queue queue;
    size_t rounds;
    uint64_t bytes;
};

static void *
drop_all(void *arg)
{
    struct pipe_line *line = arg;
    struct zcb_packet packet;

    while (queue_get(&line->queue, &packet)) {
        must_be_intact(&packet);
        line->bytes += packet.len;
        zcb_packet_unref(&packet);
    }
    return NULL;
}

static void
packets_made_in_one_thread_are_dropped_in_another(void **state)
{
    struct pipe_line line = {.pool = must_create(NULL), .rounds = zcb_test_rounds(30000)};
    uint64_t bytes = 0;
    pthread_t thread;

    (void)state;
    queue_init(&line.queue);
    assert_int_equal(pthread_create(&thread, NULL, drop_all, &line), 0);
    for (size_t i = 0; i < line.rounds; i++) {
        size_t len = 1 + i * 37 % 9000;

        queue_put(&line.queue, new_packet(line.pool, len, (uint8_t)i));
        bytes += len;
    }
    queue_close(&line.queue);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(line.bytes, bytes);
    queue_finish(&line.queue);
    assert_int_equal(must_be_at_rest(line.pool).total.acquires, line.rounds);
    must_end(&line.pool);
}

// ---- a writer that goes on behind what it published ---------------------------------------------

static void
readers_follow_a_writer_in_the_same_block(void **state)
{
    struct pipe_line line = {.pool = must_create(NULL), .rounds = zcb_test_rounds(300)};
    pthread_t thread;

    (void)state;
    queue_init(&line.queue);
    assert_int_equal(pthread_create(&thread, NULL, drop_all, &line), 0);
    for (size_t i = 0; i < line.rounds; i++) {
        struct zcb_buf *buf = must_acquire(line.pool, 65536);

        while (zcb_buf_tailroom(buf) >= 1000) {
            struct zcb_packet packet = {0};
            uint8_t *at = NULL;

            assert_int_equal(zcb_buf_append(buf, 1000, &at), 0);
            fill(at, 1000, (uint8_t)i);
            assert_int_equal(zcb_buf_publish(buf, 1000, &packet), 0);
            queue_put(&line.queue, packet);
        }
        zcb_buf_release(&buf); // the last packet of it may be the one that frees it
    }
    queue_close(&line.queue);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(line.bytes, line.rounds * 65000);
    queue_finish(&line.queue);
    must_end(&line.pool);
}

// ---- who releases -------------------------------------------------------------------------------

struct foreign {
    uint8_t bytes[64];
    struct zcb_buf_storage storage;
    int used[MAX_THREADS]; // each by its thread, before it lets go; all by the release
    int expected;
    int *released;
};

static _Thread_local bool dropping;

static void
foreign_released(void *ctx, void *data, size_t len)
{
    struct foreign *foreign = ctx;
    int used = 0;

    CHECK(dropping); // by the thread that is in unref, not by some other
    CHECK(data == foreign->bytes && len == sizeof(foreign->bytes));
    for (int i = 0; i < MAX_THREADS; i++)
        used += foreign->used[i];
    CHECK(used == foreign->expected); // everything that everybody did comes before
    __atomic_add_fetch(foreign->released, 1, __ATOMIC_RELAXED);
    free(foreign);
}

struct dropper {
    pthread_t thread;
    int number;
    size_t count;
    struct zcb_packet *packets;
    struct foreign **foreigns;
    pthread_barrier_t *start;
};

static void *
drop_mine(void *arg)
{
    struct dropper *dropper = arg;

    pthread_barrier_wait(dropper->start);
    for (size_t i = 0; i < dropper->count; i++) {
        dropper->foreigns[i]->used[dropper->number]++;
        dropping = true;
        zcb_packet_unref(&dropper->packets[i]);
        dropping = false;
    }
    return NULL;
}

static void
foreign_memory_is_released_once_by_the_thread_that_was_last(void **state)
{
    const size_t count = zcb_test_rounds(3000);

    (void)state;
    for (int n = 2; n <= MAX_THREADS; n *= 2) {
        struct foreign **foreigns = calloc(count, sizeof(struct foreign *));
        struct dropper droppers[MAX_THREADS];
        pthread_barrier_t start;
        int released = 0;

        assert_non_null(foreigns);
        pthread_barrier_init(&start, NULL, (unsigned)n);
        for (int t = 0; t < n; t++) {
            droppers[t].number = t;
            droppers[t].count = count;
            droppers[t].packets = calloc(count, sizeof(struct zcb_packet));
            droppers[t].foreigns = foreigns;
            droppers[t].start = &start;
            assert_non_null(droppers[t].packets);
        }
        for (size_t i = 0; i < count; i++) {
            struct zcb_packet packet;

            foreigns[i] = calloc(1, sizeof(struct foreign));
            assert_non_null(foreigns[i]);
            foreigns[i]->expected = n;
            foreigns[i]->released = &released;
            if (i % 2 == 0)
                packet = zcb_packet_wrap_in(&foreigns[i]->storage, foreigns[i]->bytes, 64,
                                            foreign_released, foreigns[i]);
            else
                assert_int_equal(
                    zcb_packet_wrap(foreigns[i]->bytes, 64, foreign_released, foreigns[i], &packet),
                    0);
            zcb_packet_ref_n(&packet, (uint32_t)n - 1);
            for (int t = 0; t < n; t++)
                droppers[t].packets[i] = packet;
        }
        for (int t = 0; t < n; t++)
            assert_int_equal(pthread_create(&droppers[t].thread, NULL, drop_mine, &droppers[t]), 0);
        for (int t = 0; t < n; t++) {
            assert_int_equal(pthread_join(droppers[t].thread, NULL), 0);
            free(droppers[t].packets);
        }
        assert_int_equal(released, count);
        pthread_barrier_destroy(&start);
        free(foreigns);
    }
}

// ---- alone again: writing after others have read ------------------------------------------------

struct reader {
    struct queue queue;
    uint64_t sum;
};

static void *
read_and_drop(void *arg)
{
    struct reader *reader = arg;
    struct zcb_packet packet;

    while (queue_get(&reader->queue, &packet)) {
        must_be_intact(&packet);
        for (size_t i = 0; i < packet.len; i++)
            reader->sum += packet.data[i];
        zcb_packet_unref(&packet);
    }
    return NULL;
}

static void
who_is_alone_may_write_what_others_have_read(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_packet packet = new_packet(pool, 1000, 0);
    const size_t rounds = zcb_test_rounds(3000);
    struct reader reader = {.sum = 0};
    const uint8_t *data = packet.data;
    pthread_t thread;

    (void)state;
    queue_init(&reader.queue);
    assert_int_equal(pthread_create(&thread, NULL, read_and_drop, &reader), 0);
    for (size_t i = 0; i < rounds; i++) {
        struct zcb_buf *buf = NULL;

        queue_put(&reader.queue, zcb_packet_ref(&packet));
        while (!zcb_packet_is_unique(&packet))
            sched_yield();
        assert_int_equal(zcb_packet_make_writable(&packet, NULL, &buf), 0);
        fill(zcb_buf_data(buf), 1000,
             (uint8_t)i); // a race, were the reader not known to be through
        zcb_buf_share(&buf, &packet);
        assert_ptr_equal(packet.data, data);
    }
    queue_close(&reader.queue);
    assert_int_equal(pthread_join(thread, NULL), 0);
    queue_finish(&reader.queue);
    zcb_packet_unref(&packet);
    must_end(&pool);
}

// ---- a hasher behind a piece that fills ---------------------------------------------------------

static void
a_piece_fills_while_another_thread_reads_what_is_complete(void **state)
{
    enum { BLOCKS = 16, BLOCK = 4096 };
    struct zcb_pool *pool = must_create(NULL);
    const struct zcb_piece_config config = {.block_size = BLOCK};
    const size_t rounds = zcb_test_rounds(200);
    struct reader reader = {.sum = 0};
    struct zcb_piece *piece = NULL;
    uint8_t data[BLOCK];
    pthread_t thread;

    (void)state;
    queue_init(&reader.queue);
    assert_int_equal(pthread_create(&thread, NULL, read_and_drop, &reader), 0);
    assert_int_equal(zcb_piece_create(pool, BLOCKS * BLOCK, &config, &piece), 0);
    for (size_t round = 0; round < rounds; round++) {
        size_t hashed = 0;

        for (uint32_t i = 0; i < BLOCKS; i++) {
            // In pairs the wrong way round, so that the frontier stands still and jumps.
            uint32_t block = i ^ 1;
            struct zcb_packet view = {0};

            fill(data, BLOCK, (uint8_t)(block * BLOCK * 7));
            assert_int_equal(zcb_piece_write(piece, block, data, BLOCK, 1), 0);
            if (zcb_piece_frontier(piece) == hashed)
                continue;
            assert_int_equal(
                zcb_piece_share(piece, hashed, zcb_piece_frontier(piece) - hashed, &view), 0);
            hashed += view.len;
            queue_put(&reader.queue, view);
        }
        assert_int_equal(hashed, BLOCKS * BLOCK);
        if (round % 2 == 0) {
            while (zcb_piece_reset(piece) ==
                   -EBUSY) // what the reader still holds must not be written again
                sched_yield();
        } else {
            struct zcb_packet whole = {0};

            assert_int_equal(zcb_piece_take(&piece, &whole), 0);
            queue_put(&reader.queue, whole);
            assert_int_equal(zcb_piece_create(pool, BLOCKS * BLOCK, &config, &piece), 0);
        }
    }
    queue_close(&reader.queue);
    assert_int_equal(pthread_join(thread, NULL), 0);
    queue_finish(&reader.queue);
    zcb_piece_destroy(&piece);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_of_shared_packets_live_and_die_on_many_threads),
        cmocka_unit_test(packets_made_in_one_thread_are_dropped_in_another),
        cmocka_unit_test(readers_follow_a_writer_in_the_same_block),
        cmocka_unit_test(foreign_memory_is_released_once_by_the_thread_that_was_last),
        cmocka_unit_test(who_is_alone_may_write_what_others_have_read),
        cmocka_unit_test(a_piece_fills_while_another_thread_reads_what_is_complete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
