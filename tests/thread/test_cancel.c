// SPDX-License-Identifier: MIT
//
// Threads that are cancelled while they are in a call: the call goes on to its end. (With
// asynchronous cancellation nothing can be promised: no function of the library is safe for it.)
//
// A cancellation is pending before each call is made, so the call would end at the first point in it
// where a thread can be cancelled.

#include "testing.h"

#include "support/pools.h"

#include <fcntl.h>
#include <pthread.h>

#include <zcbuf/adapt/audio.h>

struct work {
    struct zcb_pool *pool;
    void (*call)(struct work *work);
    struct zcb_buf *buf;
    struct zcb_packet packet;
    struct zcb_audio_sink *sink;
    struct zcb_audio_consumer *consumer;
    struct zcb_audio_packet samples;
    int fd;
    int result;
    bool came_back;
    pthread_barrier_t cancelled;
};

static void *
work_when_cancelled(void *argument)
{
    struct work *work = argument;
    int before;

    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
    pthread_barrier_wait(&work->cancelled);
    pthread_barrier_wait(&work->cancelled);
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before) == 0); // pending from now on
    work->call(work);
    work->came_back = true;
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
    CHECK(before == PTHREAD_CANCEL_ENABLE); // as it was
    if (ZCB_UNDER_ASAN)
        return PTHREAD_CANCELED; // it does not clean up behind threads that are cancelled
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before) == 0);
    pthread_testcancel();
    return NULL;
}

static void
run_cancelled(struct work *work, void (*call)(struct work *work))
{
    pthread_t thread;
    void *end = NULL;

    work->call = call;
    work->came_back = false;
    CHECK(pthread_barrier_init(&work->cancelled, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, work_when_cancelled, work) == 0);
    pthread_barrier_wait(&work->cancelled);
    CHECK(pthread_cancel(thread) == 0);
    pthread_barrier_wait(&work->cancelled);
    CHECK(pthread_join(thread, &end) == 0);
    CHECK(work->came_back && end == PTHREAD_CANCELED);
    pthread_barrier_destroy(&work->cancelled);
}

static void
acquire(struct work *work)
{
    work->result = zcb_pool_acquire(work->pool, 1, &work->buf);
}

static void
release(struct work *work)
{
    zcb_buf_release(&work->buf);
}

static void
trim(struct work *work)
{
    zcb_pool_trim(work->pool, 0);
}

static void
map_shared(struct work *work)
{
    work->result = zcb_map_file(work->fd, 0, 0, 0, &work->packet);
}

static void
map_stable(struct work *work)
{
    work->result = zcb_map_file(work->fd, 0, 0, ZCB_MAP_STABLE, &work->packet);
}

static void
copy(struct work *work)
{
    work->result = zcb_packet_copy(work->pool, "abc", 3, &work->packet);
}

static void
unref(struct work *work)
{
    zcb_packet_unref(&work->packet);
}

static void
destroy(struct work *work)
{
    zcb_pool_destroy(&work->pool);
}

static void
a_wait_for_a_buffer_goes_on_to_its_end(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 1}},
        .policy = ZCB_POOL_WAIT,
        .wait_ms = 20,
    };
    struct work work = {.pool = must_create(&config)};
    struct zcb_buf *only = must_acquire(work.pool, 1);

    (void)state;
    run_cancelled(&work, acquire);
    CHECK(work.result == -ETIMEDOUT && work.buf == NULL);
    zcb_buf_release(&only); // the lock is free
    run_cancelled(&work, acquire);
    CHECK(work.result == 0 && work.buf != NULL);
    run_cancelled(&work, release);
    must_end(&work.pool);
}

static void
what_a_cancelled_thread_has_cached_is_there_for_others(void **state)
{
    struct work work = {.pool = must_create(NULL)};

    (void)state;
    run_cancelled(&work, acquire);
    CHECK(work.result == 0);
    run_cancelled(&work, release);
    CHECK(must_be_at_rest(work.pool).threads == 0);
    run_cancelled(&work, trim);
    CHECK(must_be_at_rest(work.pool).total.charged == 0);
    must_end(&work.pool);
}

static void
nothing_of_a_mapping_is_lost(void **state)
{
    struct work work = {.pool = NULL};
    FILE *file = tmpfile();
    int lowest, again;

    (void)state;
    CHECK(file != NULL && fputs("abc", file) >= 0 && fflush(file) == 0);
    work.fd = fileno(file);
    for (int i = 0; i < 2; i++) {
        lowest = dup(0);
        close(lowest);
        run_cancelled(&work, i == 0 ? map_shared : map_stable);
        CHECK(work.result == 0 && work.packet.len == 3 && memcmp(work.packet.data, "abc", 3) == 0);
        CHECK(zcb_map_status(&work.packet) == 0);
        run_cancelled(&work, unref);
        again = dup(0);
        close(again);
        CHECK(again == lowest); // no descriptor stayed open
    }
    fclose(file);
}

static void
service(struct work *work)
{
    work->result = zcb_audio_sink_service(work->sink);
}

static void
read_samples(struct work *work)
{
    work->result = zcb_audio_consumer_read(work->consumer, 5, &work->samples);
}

static void
close_consumer(struct work *work)
{
    zcb_audio_consumer_close(&work->consumer);
}

static void
destroy_sink(struct work *work)
{
    zcb_audio_sink_destroy(&work->sink);
}

// With a descriptor to be written to, read and closed, and a helper to be joined: those are places
// where a thread can be cancelled, and a lock is held there.
static void
a_sink_and_its_consumers_are_left_in_order(void **state)
{
    static const uint8_t frames[480 * 8];
    const struct zcb_audio_format format = {48000, 2, ZCB_AUDIO_F32, 0};
    const void *planes[] = {frames};

    (void)state;
    for (uint32_t helper_ms = 0; helper_ms <= 1000; helper_ms += 1000) {
        struct zcb_audio_sink_config config = {.helper_ms = helper_ms};
        struct work work = {.pool = must_create(NULL)};
        struct zcb_audio_consumer *other;

        CHECK(zcb_audio_sink_create(work.pool, &format, &config, &work.sink) == 0);
        CHECK(zcb_audio_consumer_open(work.sink, NULL, &work.consumer) == 0);
        CHECK(zcb_audio_consumer_open(work.sink, NULL, &other) == 0);
        CHECK(zcb_audio_consumer_fd(work.consumer) != -EINVAL);
        CHECK(zcb_audio_sink_write(work.sink, planes, sizeof(frames), NULL) == 1);
        run_cancelled(&work, service);
        CHECK(work.result == 0);
        run_cancelled(&work, read_samples);
        CHECK(work.result == 1);
        zcb_audio_packet_unref(&work.samples);
        run_cancelled(&work, read_samples);
        CHECK(work.result == -ETIMEDOUT);
        run_cancelled(&work, close_consumer);
        run_cancelled(&work, destroy_sink);
        zcb_audio_consumer_close(&other);
        must_end(&work.pool); // nothing is lost
    }
}

static int
talk(void)
{
    struct work work = {.pool = NULL};

    CHECK(setenv("ZCBUF_TRACE", "1", 1) == 0); // read at the first copy, so in a new process
    work.pool = must_create(NULL);
    run_cancelled(&work, copy);
    CHECK(work.result == 0);
    run_cancelled(&work, destroy);
    zcb_packet_unref(&work.packet);
    return 0;
}

static void
what_is_printed_on_the_way_is_printed_whole(void **state)
{
    struct child child = child_run_self("talk", "ZCBUF_DEBUG", "leaks");

    (void)state;
    assert_child_succeeded(child);
    assert_non_null(strstr(child.text, "zcbuf: append 3 bytes\n"));
    assert_non_null(strstr(child.text, "with 1 buffers out\n"));
    assert_non_null(strstr(child.text, "1 references\n"));
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_for_a_buffer_goes_on_to_its_end),
        cmocka_unit_test(what_a_cancelled_thread_has_cached_is_there_for_others),
        cmocka_unit_test(nothing_of_a_mapping_is_lost),
        cmocka_unit_test(a_sink_and_its_consumers_are_left_in_order),
        cmocka_unit_test(what_is_printed_on_the_way_is_printed_whole),
    };

    alarm(CHILD_SECONDS); // a thread that took a lock along would be waited for in vain
    if (argc == 2 && strcmp(argv[1], "talk") == 0)
        return talk();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
