// SPDX-License-Identifier: MIT
//
// A device that errs at random, consumers that come, go, hold on to packets and hand them to others
// who drop them, several threads that call service(), and a sink that ends in the midst of it. What
// is read without a flag follows what was read before, to the frame; what is held does not change.

#include "testing.h"

#include "unit/audio_testing.h"

#include <pthread.h>

enum { READERS = 3, SERVANTS = 2, DELIVERIES = 3000, SHELF = 16, HELD = 4 };

struct stress {
    struct zcb_audio_sink *sink;
    uint32_t packet_frames;
    bool has_silence; // of the device, which may be a part of a packet
    int ready;        // atomic: of those who read to the end, their consumer is open
    int over;         // atomic: no more consumers are opened
    pthread_mutex_t lock;
    struct zcb_audio_packet shelf[SHELF]; // whoever finds one there drops it
};

struct actor {
    struct stress *stress;
    uint64_t random;
    pthread_t thread;
};

static uint32_t
below(struct actor *actor, uint32_t n)
{
    return (uint32_t)zcb_test_below(&actor->random, n);
}

// Frames count up, but for silence. *last is the last number before, or 0.
static void
check_frames(const struct stress *stress, const struct zcb_audio_packet *packet, uint64_t *last)
{
    bool may_be_silent =
        stress->has_silence || (packet->flags & (ZCB_AUDIO_CONCEALED | ZCB_AUDIO_SILENCE)) != 0;

    for (uint32_t i = 0; i < packet->frames; i++) {
        uint64_t number = audio_frame(packet, i);

        CHECK(number != 0 ? *last == 0 || number == *last + 1 : may_be_silent);
        CHECK(number == 0 || (packet->flags & ZCB_AUDIO_SILENCE) == 0);
        *last = number != 0 ? number : *last;
    }
}

// Somebody else may be the last to drop it.
static void
put_on_shelf(struct actor *actor, struct zcb_audio_packet *packet)
{
    struct stress *stress = actor->stress;
    struct zcb_audio_packet before, *place = &stress->shelf[below(actor, SHELF)];

    pthread_mutex_lock(&stress->lock);
    before = *place;
    *place = *packet;
    pthread_mutex_unlock(&stress->lock);
    memset(packet, 0, sizeof(*packet));
    if (before.frames != 0)
        check_frames(stress, &before, &(uint64_t){0});
    zcb_audio_packet_unref(&before);
}

static void
listen_for_a_while(struct actor *actor, uint32_t most)
{
    struct zcb_audio_consumer *consumer =
        must_listen(actor->stress->sink, (enum zcb_audio_lag)below(actor, 3), 1 + below(actor, 8));
    struct zcb_audio_packet held[HELD] = {{.frames = 0}}, packet, part;
    uint64_t last = 0, number = 0;
    int result = -1;

    if (most == UINT32_MAX)
        __atomic_fetch_add(&actor->stress->ready, 1, __ATOMIC_SEQ_CST);
    if (below(actor, 2) == 0)
        CHECK(zcb_audio_consumer_fd(consumer) != -EINVAL);
    for (uint32_t n = 0; n < most; n++) {
        struct zcb_audio_packet *place = &held[below(actor, HELD)];

        result = zcb_audio_consumer_read(consumer, below(actor, 3), &packet);
        if (result == 0)
            break;
        CHECK(result == 1 || result == -EAGAIN || result == -ETIMEDOUT);
        if (result < 0)
            continue;
        CHECK(packet.frames >= 1 && packet.frames <= actor->stress->packet_frames);
        CHECK(number == 0 || packet.number >= number);
        CHECK(number == 0 || packet.number == number ||
              (packet.flags & ZCB_AUDIO_DISCONTINUITY) != 0);
        if ((packet.flags & ZCB_AUDIO_DISCONTINUITY) != 0)
            last = 0;
        check_frames(actor->stress, &packet, &last);
        number = packet.number + 1;
        if (below(actor, 4) == 0) {
            CHECK(zcb_audio_packet_slice(&packet, packet.frames / 2, packet.frames / 3, &part) ==
                  0);
            put_on_shelf(actor, &part);
        }
        if (below(actor, 3) == 0) {
            put_on_shelf(actor, &packet);
        } else {
            if (place->frames != 0)
                check_frames(actor->stress, place, &(uint64_t){0});
            zcb_audio_packet_unref(place);
            *place = packet;
        }
    }
    if (result == 0)
        (void)must_consumer_stats(consumer); // also in a place that others had before
    if (below(actor, 2) == 0)
        zcb_audio_consumer_close(&consumer);
    for (uint32_t i = 0; i < HELD; i++) {
        if (held[i].frames != 0)
            check_frames(actor->stress, &held[i], &(uint64_t){0});
        zcb_audio_packet_unref(&held[i]);
    }
    zcb_audio_consumer_close(&consumer);
}

static void *
read_at_random(void *arg)
{
    struct actor *actor = arg;

    while (__atomic_load_n(&actor->stress->over, __ATOMIC_SEQ_CST) == 0)
        listen_for_a_while(actor, 1 + below(actor, 60));
    return NULL;
}

// Its consumer is there from the start, and reads what is left when the sink is gone.
static void *
read_to_the_end(void *arg)
{
    listen_for_a_while(arg, UINT32_MAX);
    return NULL;
}

static void *
serve(void *arg)
{
    struct actor *actor = arg;
    struct zcb_audio_sink_stats stats;

    while (__atomic_load_n(&actor->stress->over, __ATOMIC_SEQ_CST) == 0) {
        CHECK(zcb_audio_sink_service(actor->stress->sink) >= 0);
        CHECK(zcb_audio_sink_stats(actor->stress->sink, &stats, sizeof(stats)) == 0);
        CHECK(stats.hit_rate >= 0 && stats.hit_rate <= 1 && stats.buffers <= 12);
        usleep(below(actor, 300));
    }
    return NULL;
}

// Numbers are used up by what is taken: what is dropped has no part in the order.
static void
deliver(struct actor *device, uint32_t *sequence, uint64_t *number)
{
    uint32_t trouble = below(device, 60), left = 1 + below(device, 100);
    struct zcb_audio_stamp stamp = {
        .flags = ZCB_AUDIO_HAS_SEQUENCE | (trouble == 0 ? ZCB_AUDIO_DISCONTINUITY : 0) |
                 (trouble == 1 && device->stress->has_silence ? ZCB_AUDIO_SILENCE : 0),
        .sequence = *sequence - (trouble == 2 ? 1 + below(device, 70) : 0)};
    bool silent = (stamp.flags & ZCB_AUDIO_SILENCE) != 0;

    *sequence += 1 + (trouble == 3 ? below(device, 4) : 0) - (trouble == 4);
    for (const struct zcb_audio_stamp *when = &stamp; left != 0; when = NULL) {
        struct zcb_audio_span span;
        uint32_t take;

        CHECK(zcb_audio_sink_begin(device->stress->sink, left, when, &span) == 0);
        take = below(device, 8) == 0 ? below(device, span.frames + 1) : span.frames;
        for (uint32_t i = 0; i < take && !silent; i++)
            memcpy(span.plane[0] + (size_t)i * 8, &(uint64_t){*number + i}, 8);
        CHECK(zcb_audio_sink_commit(device->stress->sink, take) >= 0);
        *number += silent || span.dropped ? 0 : take;
        left -= span.frames;
    }
}

static void
play(uint64_t *random)
{
    struct actor device = {.random = zcb_test_random(random)}, reader[2 * READERS],
                 servant[SERVANTS];
    struct zcb_audio_sink_config config = {.packet_frames = 1 + below(&device, 64),
                                           .buffers = 1 + below(&device, 6),
                                           .max_buffers = 12,
                                           .spare = 1 + below(&device, 3),
                                           .full = (enum zcb_audio_full)below(&device, 3),
                                           .flags = below(&device, 2),
                                           .max_consumers = 2 * READERS,
                                           .max_depth = 8,
                                           .helper_ms = below(&device, 3),
                                           .conceal_frames = below(&device, 2) * 300};
    struct zcb_pool *pool = must_create(NULL);
    struct stress stress = {.sink = must_sink(pool, &config),
                            .packet_frames = config.packet_frames,
                            .has_silence = below(&device, 2) != 0};
    uint32_t sequence = UINT32_MAX - below(&device, DELIVERIES);
    uint64_t number = 1;

    pthread_mutex_init(&stress.lock, NULL);
    device.stress = &stress;
    for (int i = 0; i < 2 * READERS; i++) {
        reader[i] = (struct actor){.stress = &stress, .random = zcb_test_random(random)};
        CHECK(pthread_create(&reader[i].thread, NULL,
                             i < READERS ? read_to_the_end : read_at_random, &reader[i]) == 0);
    }
    for (int i = 0; i < SERVANTS; i++) {
        servant[i] = (struct actor){.stress = &stress, .random = zcb_test_random(random)};
        CHECK(pthread_create(&servant[i].thread, NULL, serve, &servant[i]) == 0);
    }
    while (__atomic_load_n(&stress.ready, __ATOMIC_SEQ_CST) < READERS)
        usleep(100);
    CHECK(zcb_audio_sink_warm(stress.sink) == 0);
    for (uint32_t n = 0; n < DELIVERIES; n++) {
        deliver(&device, &sequence, &number);
        if (below(&device, 40) == 0)
            zcb_audio_sink_flush(stress.sink);
        if (below(&device, 4) == 0)
            usleep(below(&device, 60));
    }
    zcb_audio_sink_end(stress.sink);
    __atomic_store_n(&stress.over, 1, __ATOMIC_SEQ_CST);
    for (int i = READERS; i < 2 * READERS; i++)
        pthread_join(reader[i].thread, NULL);
    for (int i = 0; i < SERVANTS; i++)
        pthread_join(servant[i].thread, NULL);
    zcb_audio_sink_destroy(&stress.sink);
    for (int i = 0; i < READERS; i++)
        pthread_join(reader[i].thread, NULL);
    for (int i = 0; i < SHELF; i++)
        zcb_audio_packet_unref(&stress.shelf[i]);
    pthread_mutex_destroy(&stress.lock);
    must_end(&pool);
}

static void
what_is_read_without_a_flag_follows_and_what_is_held_stays(void **state)
{
    uint64_t random = zcb_test_seed();

    (void)state;
    for (size_t round = 0; round < zcb_test_rounds(30); round++)
        play(&random);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_without_a_flag_follows_and_what_is_held_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
