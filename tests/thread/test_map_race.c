// SPDX-License-Identifier: MIT
//
// Files that are cut, cut and lengthened, or written anew while they are read: before, during and
// after, a thousand times. Nothing ends the process, and whenever the status says 0 afterwards,
// each byte that was read was the file's.

#include "unit/map_testing.h"

#include <pthread.h>
#include <sys/mman.h>

enum { PAGES = 24, ROUNDS = 1000 };

enum deed { CUT, CUT_AND_LENGTHEN, CUT_AND_WRITE, WRITE, DEEDS };

struct round {
    int fd;
    enum deed deed;
    size_t left;     // bytes that a cut leaves
    size_t when;     // bytes that are read before the deed is done
    size_t progress; // of the reader
};

static void
do_it(const struct round *round)
{
    static const uint8_t zeros[PAGE];

    if (round->deed != WRITE)
        CHECK(ftruncate(round->fd, (off_t)round->left) == 0);
    if (round->deed == CUT_AND_LENGTHEN)
        CHECK(ftruncate(round->fd, PAGES * PAGE) == 0);
    if (round->deed == CUT_AND_WRITE || round->deed == WRITE) {
        for (size_t i = 0; i < PAGES; i++)
            CHECK(pwrite(round->fd, zeros, PAGE, (off_t)(i * PAGE)) == (ssize_t)PAGE);
    }
}

static void *
do_it_in_time(void *argument)
{
    struct round *round = argument;

    while (__atomic_load_n(&round->progress, __ATOMIC_ACQUIRE) < round->when)
        sched_yield();
    do_it(round);
    return NULL;
}

// Whether all bytes were the file's.
READS_WHAT_VANISHES static bool
read_all(struct round *round, const struct zcb_packet *packet)
{
    bool is_true = true;

    for (size_t i = 0; i < packet->len; i++) {
        is_true = is_true && ((const volatile uint8_t *)packet->data)[i] == byte_at(i);
        if (i % 64 == 0)
            __atomic_store_n(&round->progress, i, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&round->progress, packet->len, __ATOMIC_RELEASE);
    return is_true;
}

// Maps and lets go of other files all the time, so that places in the table change hands while the
// handler looks at them.
static void *
map_others(void *argument)
{
    const int *stop = argument;
    int fd = make_file(4 * PAGE);

    for (size_t i = 0; !__atomic_load_n(stop, __ATOMIC_RELAXED); i++) {
        struct zcb_packet packets[8];

        for (size_t k = 0; k < 8; k++)
            packets[k] = must_map(fd, i * k % 4 * PAGE, 0, 0);
        for (size_t k = 0; k < 8; k++) {
            CHECK(packets[k].data[100] == byte_at(i * k % 4 * PAGE + 100));
            CHECK(zcb_map_status(&packets[k]) == 0);
            zcb_packet_unref(&packets[k]);
        }
    }
    close(fd);
    return NULL;
}

struct tally {
    size_t good, lost, changed, false_before_status;
};

static void
run_round(size_t number, uint64_t *random, uint32_t flags, struct tally *tally)
{
    struct round round = {
        .fd = make_file(PAGES * PAGE),
        .deed = (enum deed)(number / 3 % DEEDS),
        .left = zcb_test_below(random, PAGES * PAGE),
        .when = zcb_test_below(random, PAGES * PAGE),
    };
    struct zcb_packet packet = must_map(round.fd, 0, 0, flags);
    bool is_true, is_joined = false;
    pthread_t thread;
    int status;

    if (number % 3 == 0) { // before
        do_it(&round);
        is_true = read_all(&round, &packet);
    } else if (number % 3 == 1) { // during
        CHECK(pthread_create(&thread, NULL, do_it_in_time, &round) == 0);
        is_true = read_all(&round, &packet);
        is_joined = zcb_test_below(random, 2) == 0;
        if (is_joined)
            CHECK(pthread_join(thread, NULL) == 0);
    } else { // after
        is_true = read_all(&round, &packet);
        CHECK(is_true);
        CHECK(zcb_map_status(&packet) == 0);
        do_it(&round);
    }
    status = zcb_map_status(&packet);
    CHECK(status == 0 || status == -EIO || status == -ESTALE);
    if (flags & ZCB_MAP_STABLE)
        CHECK(status == 0 && is_true);
    CHECK(is_true || status != 0);
    if (!(flags & ZCB_MAP_STABLE) && (number % 3 != 1 || is_joined)) {
        CHECK(status != 0);
        CHECK(round.deed != CUT || status == -EIO);
    }
    if (number % 3 == 1 && !is_joined)
        CHECK(pthread_join(thread, NULL) == 0);
    tally->good += status == 0;
    tally->lost += status == -EIO;
    tally->changed += status == -ESTALE;
    tally->false_before_status += !is_true;
    zcb_packet_unref(&packet);
    close(round.fd);
}

static void
run_rounds(uint32_t flags, size_t rounds, struct tally *tally)
{
    uint64_t random = zcb_test_seed();
    pthread_t other;
    int stop = 0;

    CHECK(pthread_create(&other, NULL, map_others, &stop) == 0);
    for (size_t i = 0; i < rounds; i++)
        run_round(i, &random, flags, tally);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    CHECK(pthread_join(other, NULL) == 0);
    print_message("%zu as it was, %zu lost bytes, %zu changed; %zu times what was read was not the "
                  "file's\n",
                  tally->good, tally->lost, tally->changed, tally->false_before_status);
}

static struct sigaction ours;

static void
no_success_is_false(void **state)
{
    size_t rounds = ROUNDS * (size_t)zcb_test_env("ZCB_ROUNDS", 1);
    struct tally tally = {0};

    (void)state;
    sigaction(SIGBUS, &ours, NULL);
    run_rounds(0, rounds, &tally);
    assert_int_equal(tally.good + tally.lost + tally.changed, rounds);
    assert_true(tally.lost >= rounds / 6 && tally.changed >= rounds / 3);
    assert_true(tally.false_before_status >= rounds / 4);
}

static void
a_stable_copy_does_not_care(void **state)
{
    struct tally tally = {0};

    (void)state;
    sigaction(SIGBUS, &ours, NULL);
    run_rounds(ZCB_MAP_STABLE, 200, &tally);
    assert_int_equal(tally.good, 200);
    assert_int_equal(tally.false_before_status, 0);
}

// Readers of one mapping, each with a packet of its own, while it is cut.
struct shared {
    struct zcb_packet packet;
    pthread_barrier_t *start;
    bool is_true;
};

static void *
read_shared(void *argument)
{
    struct shared *shared = argument;
    struct round none = {0};

    pthread_barrier_wait(shared->start);
    shared->is_true = read_all(&none, &shared->packet);
    CHECK(shared->is_true || zcb_map_status(&shared->packet) != 0);
    zcb_packet_unref(&shared->packet);
    return NULL;
}

static void
many_readers_of_one_mapping_agree(void **state)
{
    enum { READERS = 3 };
    uint64_t random = zcb_test_seed();

    (void)state;
    sigaction(SIGBUS, &ours, NULL);
    for (size_t i = 0; i < 200; i++) {
        struct round round = {.fd = make_file(PAGES * PAGE),
                              .left = zcb_test_below(&random, PAGES * PAGE)};
        struct shared readers[READERS];
        struct zcb_packet packet = must_map(round.fd, 0, 0, 0);
        pthread_barrier_t start;
        pthread_t threads[READERS];

        CHECK(pthread_barrier_init(&start, NULL, READERS + 1) == 0);
        for (size_t k = 0; k < READERS; k++) {
            readers[k] = (struct shared){.start = &start};
            readers[k].packet = zcb_packet_ref(&packet);
            CHECK(pthread_create(&threads[k], NULL, read_shared, &readers[k]) == 0);
        }
        zcb_packet_unref(&packet);
        pthread_barrier_wait(&start);
        do_it(&round);
        for (size_t k = 0; k < READERS; k++)
            CHECK(pthread_join(threads[k], NULL) == 0);
        pthread_barrier_destroy(&start);
        close(round.fd);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_success_is_false),
        cmocka_unit_test(a_stable_copy_does_not_care),
        cmocka_unit_test(many_readers_of_one_mapping_agree),
    };
    struct zcb_packet packet;
    int fd = make_file(PAGE);

    // cmocka's handler for SIGBUS does not call the one that it replaces: see test_map_file.c.
    packet = must_map(fd, 0, 0, 0);
    zcb_packet_unref(&packet);
    close(fd);
    sigaction(SIGBUS, NULL, &ours);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
