// SPDX-License-Identifier: MIT
//
// A budget's queue: who is served when, told by what the budget has leased at each moment, never by
// time. The statistics say when a thread has taken its place in the queue.
#include "testing.h"

#include "support/pools.h"

#include <pthread.h>
#include <sched.h>

#include "adapt/image_budget.h"

struct request {
    struct zcb_image_budget *budget;
    size_t bytes;
    uint32_t timeout_ms;
    int result;
    struct zcb_image_lease *lease;
    bool answered;
    pthread_t thread;
};

static struct zcb_image_budget *
must_budget(size_t total)
{
    struct zcb_image_budget *budget = NULL;

    CHECK(zcb_image_budget_create(total, NULL, &budget) == 0);
    return budget;
}

static struct zcb_image_lease *
must_lease(struct zcb_image_budget *budget, size_t bytes)
{
    struct zcb_image_lease *lease = NULL;

    CHECK(zcb_image_budget_lease(budget, bytes, 0, &lease) == 0);
    return lease;
}

static struct zcb_image_budget_stats
stats_of(struct zcb_image_budget *budget)
{
    struct zcb_image_budget_stats stats;

    CHECK(zcb_image_budget_stats(budget, &stats, sizeof(stats)) == 0);
    return stats;
}

static void *
ask(void *arg)
{
    struct request *request = arg;

    request->result = zcb_image_budget_lease(request->budget, request->bytes, request->timeout_ms,
                                             &request->lease);
    __atomic_store_n(&request->answered, true, __ATOMIC_RELEASE);
    return NULL;
}

// Starts a thread that asks, and waits until it is the last in the queue. (On a machine so slow
// that those before it have given up, it may have been answered.)
static void
queue_up(struct request *request, struct zcb_image_budget *budget, size_t bytes,
         uint32_t timeout_ms)
{
    uint64_t before = stats_of(budget).waiting;

    *request = (struct request){.budget = budget, .bytes = bytes, .timeout_ms = timeout_ms};
    CHECK(pthread_create(&request->thread, NULL, ask, request) == 0);
    while (stats_of(budget).waiting <= before &&
           !__atomic_load_n(&request->answered, __ATOMIC_ACQUIRE))
        sched_yield();
}

static int
join(struct request *request)
{
    CHECK(pthread_join(request->thread, NULL) == 0);
    CHECK((request->result == 0) == (request->lease != NULL));
    return request->result;
}

static void
must_be(struct zcb_image_budget *budget, size_t leased, size_t waiting)
{
    assert_int_equal(stats_of(budget).leased, leased);
    assert_int_equal(stats_of(budget).waiting, waiting);
}

// ---- order

static void
a_large_request_is_not_overtaken(void **state)
{
    struct zcb_image_budget *budget = must_budget(100);
    struct zcb_image_lease *held = must_lease(budget, 100), *other = NULL;
    struct request large, small, middle;

    (void)state;
    queue_up(&large, budget, 60, UINT32_MAX);
    queue_up(&small, budget, 10, UINT32_MAX);
    queue_up(&middle, budget, 50, UINT32_MAX);
    assert_int_equal(zcb_image_lease_give_back(held, 50), 50);
    must_be(budget, 50, 3); // 10 would fit, and waits
    assert_int_equal(zcb_image_budget_lease(budget, 1, 0, &other), -EAGAIN);
    assert_int_equal(zcb_image_budget_lease(budget, 0, 0, &other), -EAGAIN);
    assert_int_equal(zcb_image_lease_grow(held, 1), -EAGAIN);
    must_be(budget, 50, 3);
    assert_int_equal(zcb_image_lease_give_back(held, 10), 10);
    must_be(budget, 40 + 60, 2);
    assert_int_equal(join(&large), 0);
    zcb_image_lease_end(&held);
    must_be(budget, 60 + 10, 1);
    assert_int_equal(join(&small), 0);
    zcb_image_lease_end(&large.lease);
    must_be(budget, 10 + 50, 0);
    assert_int_equal(join(&middle), 0);
    zcb_image_lease_end(&small.lease);
    zcb_image_lease_end(&middle.lease);
    must_be(budget, 0, 0);
    assert_int_equal(stats_of(budget).peak_waiting, 3);
    assert_int_equal(stats_of(budget).waits, 3);
    assert_int_equal(stats_of(budget).grants, 4);
    assert_int_equal(stats_of(budget).peak_leased, 100);
    assert_true(stats_of(budget).wait_ns > 0);
    zcb_image_budget_destroy(&budget);
}

static void
requests_are_served_in_the_order_they_came(void **state)
{
    enum { N = 8 };
    struct zcb_image_budget *budget = must_budget(1u << N);
    struct zcb_image_lease *held = must_lease(budget, 1u << N);
    struct request request[N];
    size_t order[N] = {3, 7, 0, 5, 1, 6, 2, 4}, leased = 1u << N;

    (void)state;
    for (size_t i = 0; i < N; i++)
        queue_up(&request[i], budget, (size_t)1 << order[i], UINT32_MAX);
    // Exactly so much as the next one wants: whoever is served, what is leased says who.
    for (size_t i = 0; i < N; i++) {
        size_t next = (size_t)1 << order[i];

        assert_int_equal(zcb_image_lease_give_back(held, next - 1), next - 1);
        must_be(budget, leased - (next - 1), N - i);
        assert_int_equal(zcb_image_lease_give_back(held, 1), 1);
        must_be(budget, leased, N - i - 1);
        assert_int_equal(join(&request[i]), 0);
    }
    for (size_t i = 0; i < N; i++)
        zcb_image_lease_end(&request[i].lease);
    zcb_image_lease_end(&held);
    must_be(budget, 0, 0);
    zcb_image_budget_destroy(&budget);
}

static void
much_that_becomes_free_serves_many_at_once(void **state)
{
    struct zcb_image_budget *budget = must_budget(100);
    struct zcb_image_lease *held = must_lease(budget, 100);
    struct request request[5];

    (void)state;
    for (size_t i = 0; i < 5; i++)
        queue_up(&request[i], budget, 30, UINT32_MAX);
    zcb_image_lease_end(&held);
    must_be(budget, 90, 2);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(join(&request[i]), 0);
        zcb_image_lease_end(&request[i].lease);
    }
    for (size_t i = 3; i < 5; i++) {
        assert_int_equal(join(&request[i]), 0);
        zcb_image_lease_end(&request[i].lease);
    }
    must_be(budget, 0, 0);
    zcb_image_budget_destroy(&budget);
}

static void
what_is_freed_after_the_end_serves_those_who_wait(void **state)
{
    struct zcb_image_budget *budget = must_budget(1000);
    struct zcb_image_lease *held = must_lease(budget, 1000);
    void *block = zcb_image_lease_malloc(held, 484);
    struct request request;

    (void)state;
    assert_non_null(block);
    zcb_image_lease_end(&held);
    queue_up(&request, budget, 501, UINT32_MAX);
    must_be(budget, 500, 1);
    zcb_image_lease_free(block);
    must_be(budget, 501, 0);
    assert_int_equal(join(&request), 0);
    zcb_image_lease_end(&request.lease);
    zcb_image_budget_destroy(&budget);
}

// ---- those who leave the queue

static void
who_gives_up_lets_the_next_go(void **state)
{
    struct zcb_image_budget *budget = must_budget(100);
    struct zcb_image_lease *held = must_lease(budget, 80);
    struct request impatient, next;

    (void)state;
    // The first is queued long enough for the second to come behind it.
    queue_up(&impatient, budget, 60, 1000);
    queue_up(&next, budget, 20, UINT32_MAX);
    assert_int_equal(join(&impatient), -ETIMEDOUT);
    must_be(budget, 100, 0);
    assert_int_equal(join(&next), 0);
    zcb_image_lease_end(&next.lease);
    zcb_image_lease_end(&held);
    assert_int_equal(stats_of(budget).timeouts, 1);
    assert_true(stats_of(budget).waits <= 1);
    zcb_image_budget_destroy(&budget);
}

static void
the_queue_holds_when_its_last_or_a_middle_one_leaves(void **state)
{
    struct zcb_image_budget *budget = must_budget(100);
    struct zcb_image_lease *held = must_lease(budget, 100);
    struct request first, middle, last, later;

    (void)state;
    queue_up(&first, budget, 70, UINT32_MAX);
    queue_up(&middle, budget, 10, 300);
    queue_up(&last, budget, 10, 600);
    assert_int_equal(join(&middle), -ETIMEDOUT);
    assert_int_equal(join(&last), -ETIMEDOUT);
    must_be(budget, 100, 1);
    queue_up(&later, budget, 30, UINT32_MAX); // behind the first, where the last was
    zcb_image_lease_end(&held);
    must_be(budget, 100, 0);
    assert_int_equal(join(&first), 0);
    assert_int_equal(join(&later), 0);
    zcb_image_lease_end(&first.lease);
    zcb_image_lease_end(&later.lease);
    must_be(budget, 0, 0);
    zcb_image_budget_destroy(&budget);
}

// Time is over, and before the thread has the lock again it is served: the lease is its own. Under
// the budget's own lock, as no call can be made to come just then.
static void
who_is_served_when_the_time_is_over_has_the_lease(void **state)
{
    struct zcb_image_budget *budget = must_budget(100);
    struct zcb_image_lease *held = must_lease(budget, 100);
    const struct timespec nap = {.tv_nsec = 200000000};
    struct request request;

    (void)state;
    queue_up(&request, budget, 60, 50);
    pthread_mutex_lock(&budget->lock);
    if (budget->first != NULL) { // else the machine is too slow, and it has left
        nanosleep(&nap, NULL);
        held->bytes -= 60;
        budget->first->granted = true;
        budget->first = NULL;
        budget->last = &budget->first;
        budget->stats.waiting--;
        pthread_mutex_unlock(&budget->lock);
        assert_int_equal(join(&request), 0);
        assert_int_equal(stats_of(budget).timeouts, 0);
        zcb_image_lease_end(&request.lease);
        must_be(budget, 40, 0);
    } else {
        pthread_mutex_unlock(&budget->lock);
        assert_int_equal(join(&request), -ETIMEDOUT);
    }
    zcb_image_lease_end(&held);
    must_be(budget, 0, 0);
    zcb_image_budget_destroy(&budget);
}

static void
closing_sends_all_away(void **state)
{
    struct zcb_image_budget *budget = must_budget(100);
    struct zcb_image_lease *held = must_lease(budget, 100);
    struct request request[3];

    (void)state;
    queue_up(&request[0], budget, 100, UINT32_MAX);
    queue_up(&request[1], budget, 10, 100000);
    queue_up(&request[2], budget, 0, UINT32_MAX);
    zcb_image_budget_close(budget);
    zcb_image_budget_close(budget);
    zcb_image_lease_end(&held); // nobody is served any more
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(join(&request[i]), -ECANCELED);
    must_be(budget, 0, 0);
    assert_int_equal(stats_of(budget).grants, 1);
    assert_int_equal(stats_of(budget).timeouts, 0);
    zcb_image_budget_destroy(&budget);
}

static void *
ask_when_cancelled(void *arg)
{
    struct request *request = arg;
    int before;

    CHECK(pthread_cancel(pthread_self()) == 0); // pending; the next place where it counts ends it
    ask(request);
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
    CHECK(before == PTHREAD_CANCEL_ENABLE);
    return NULL;
}

static void
a_cancelled_thread_waits_to_the_end(void **state)
{
    struct zcb_image_budget *budget = must_budget(100);
    struct zcb_image_lease *held = must_lease(budget, 100);
    struct request request[2] = {
        {.budget = budget, .bytes = 40, .timeout_ms = 1},
        {.budget = budget, .bytes = 100, .timeout_ms = UINT32_MAX},
    };
    void *end;

    (void)state;
    CHECK(pthread_create(&request[0].thread, NULL, ask_when_cancelled, &request[0]) == 0);
    CHECK(pthread_join(request[0].thread, &end) == 0);
    assert_null(end);
    assert_int_equal(request[0].result, -ETIMEDOUT);
    must_be(budget, 100, 0);
    CHECK(pthread_create(&request[1].thread, NULL, ask_when_cancelled, &request[1]) == 0);
    while (stats_of(budget).waiting == 0)
        sched_yield();
    zcb_image_lease_end(&held);
    CHECK(pthread_join(request[1].thread, &end) == 0);
    assert_null(end);
    assert_int_equal(request[1].result, 0);
    must_be(budget, 100, 0);
    zcb_image_lease_end(&request[1].lease);
    zcb_image_budget_destroy(&budget);
}

// ---- many at once

enum { THREADS = 6, TOTAL = 100000 };

struct crowd {
    struct zcb_image_budget *budget;
    size_t leased;       // by the threads' own count
    void *left[THREADS]; // blocks for somebody else to free
    uint64_t granted, refused;
    uint64_t seed;
    uint64_t rounds;
};

struct member {
    struct crowd *crowd;
    uint64_t seed;
    pthread_t thread;
};

static void
use_lease(struct member *member, struct zcb_image_lease *lease, size_t bytes)
{
    struct crowd *crowd = member->crowd;
    struct zcb_image_lease_stats stats;
    void *block = NULL, *other;
    size_t grown = zcb_test_below(&member->seed, 100);

    for (int i = 0; i < 4; i++) {
        other = zcb_image_lease_realloc(lease, block, zcb_test_below(&member->seed, bytes / 2 + 1));
        if (other != NULL)
            block = other;
    }
    if (block == NULL)
        block = zcb_image_lease_calloc(lease, 3, zcb_test_below(&member->seed, bytes / 4 + 1));
    if (zcb_image_lease_charge(lease, bytes / 3) == 0)
        zcb_image_lease_uncharge(lease, bytes / 6);
    if (zcb_image_lease_grow(lease, grown) == 0)
        CHECK(zcb_image_lease_give_back(lease, grown) <= grown);
    CHECK(zcb_image_lease_stats(lease, &stats, sizeof(stats)) == 0);
    CHECK(stats.used <= stats.bytes && stats.peak_used <= bytes + grown);
    other = __atomic_exchange_n(&crowd->left[zcb_test_below(&member->seed, THREADS)], block,
                                __ATOMIC_ACQ_REL);
    zcb_image_lease_free(other); // of a lease that has ended, most likely
}

static void *
crowd_in(void *arg)
{
    // By length, so that small ones, large ones and ones that want everything come together.
    static const size_t sizes[] = {10, 1000, TOTAL / 3, TOTAL};
    struct member *member = arg;
    struct crowd *crowd = member->crowd;

    for (uint64_t round = crowd->rounds; round > 0; round--) {
        size_t bytes = 1 + zcb_test_below(&member->seed, sizes[zcb_test_below(&member->seed, 4)]);
        uint32_t timeout = zcb_test_below(&member->seed, 4) == 0
                               ? (uint32_t)zcb_test_below(&member->seed, 3)
                               : UINT32_MAX;
        struct zcb_image_lease *lease = NULL;
        int result = zcb_image_budget_lease(crowd->budget, bytes, timeout, &lease);

        if (result < 0) {
            CHECK(result == (timeout == 0 ? -EAGAIN : -ETIMEDOUT) && timeout != UINT32_MAX);
            __atomic_add_fetch(&crowd->refused, 1, __ATOMIC_RELAXED);
            continue;
        }
        CHECK(__atomic_add_fetch(&crowd->leased, bytes, __ATOMIC_RELAXED) <= TOTAL);
        __atomic_add_fetch(&crowd->granted, 1, __ATOMIC_RELAXED);
        use_lease(member, lease, bytes);
        CHECK(__atomic_sub_fetch(&crowd->leased, bytes, __ATOMIC_RELAXED) <= TOTAL);
        zcb_image_lease_end(&lease);
    }
    // What this one left may be what all others wait for.
    for (size_t i = 0; i < THREADS; i++)
        zcb_image_lease_free(__atomic_exchange_n(&crowd->left[i], NULL, __ATOMIC_ACQ_REL));
    return NULL;
}

// Blocks that nobody frees would keep those waiting who want everything.
static void *
sweep(void *arg)
{
    struct crowd *crowd = arg;

    while (__atomic_load_n(&crowd->rounds, __ATOMIC_RELAXED) != 0) {
        for (size_t i = 0; i < THREADS; i++)
            zcb_image_lease_free(__atomic_exchange_n(&crowd->left[i], NULL, __ATOMIC_ACQ_REL));
        CHECK(stats_of(crowd->budget).leased <= TOTAL);
        CHECK(stats_of(crowd->budget).used <= TOTAL);
        sched_yield();
    }
    return NULL;
}

static void
a_crowd_never_has_more_than_the_total(void **state)
{
    struct crowd crowd = {
        .budget = must_budget(TOTAL), .seed = zcb_test_seed(), .rounds = zcb_test_rounds(1500)};
    struct member member[THREADS];
    struct zcb_image_budget_stats stats;
    pthread_t sweeper;
    uint64_t rounds = crowd.rounds;

    (void)state;
    CHECK(pthread_create(&sweeper, NULL, sweep, &crowd) == 0);
    for (size_t i = 0; i < THREADS; i++) {
        member[i] = (struct member){.crowd = &crowd, .seed = crowd.seed + i};
        CHECK(pthread_create(&member[i].thread, NULL, crowd_in, &member[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(member[i].thread, NULL) == 0);
    __atomic_store_n(&crowd.rounds, 0, __ATOMIC_RELAXED);
    CHECK(pthread_join(sweeper, NULL) == 0);
    stats = stats_of(crowd.budget);
    assert_int_equal(stats.leased, 0);
    assert_int_equal(stats.used, 0);
    assert_int_equal(stats.leases, 0);
    assert_int_equal(stats.waiting, 0);
    assert_true(stats.peak_leased <= TOTAL && stats.peak_used <= stats.peak_leased);
    assert_int_equal(crowd.granted + crowd.refused, THREADS * rounds);
    assert_int_equal(stats.grants, crowd.granted);
    assert_true(stats.timeouts >= crowd.refused); // and those of grow
    assert_true(stats.peak_waiting <= THREADS);
    assert_true(stats.waits > 0);
    assert_true(stats.overruns > 0);
    zcb_image_budget_destroy(&crowd.budget);
}

static void *
take_all_in_turn(void *arg)
{
    struct crowd *crowd = arg;

    for (uint64_t round = crowd->rounds; round > 0; round--) {
        struct zcb_image_lease *lease = NULL;

        CHECK(zcb_image_budget_lease(crowd->budget, TOTAL, UINT32_MAX, &lease) == 0);
        CHECK(crowd->leased++ == 0); // nobody else: no atomic is needed
        CHECK(--crowd->leased == 0);
        zcb_image_lease_end(&lease);
    }
    return NULL;
}

static void
no_wake_up_is_lost(void **state)
{
    struct crowd crowd = {.budget = must_budget(TOTAL), .rounds = zcb_test_rounds(5000)};
    pthread_t thread[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_create(&thread[i], NULL, take_all_in_turn, &crowd) == 0);
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    assert_int_equal(stats_of(crowd.budget).grants, 3 * crowd.rounds);
    must_be(crowd.budget, 0, 0);
    zcb_image_budget_destroy(&crowd.budget);
}

static void *
end_or_free(void *arg)
{
    struct request *request = arg;

    zcb_image_lease_end(&request->lease);
    return NULL;
}

static void *
free_block(void *block)
{
    zcb_image_lease_free(block);
    return NULL;
}

// The last of three lets go of everything: which one it is changes.
static void
a_budget_goes_with_whoever_is_last(void **state)
{
    (void)state;
    for (size_t round = zcb_test_rounds(300); round > 0; round--) {
        struct zcb_image_budget *budget = must_budget(1000);
        struct request request = {.lease = must_lease(budget, 500)};
        void *block = zcb_image_lease_malloc(request.lease, 100);
        pthread_t freeing;

        CHECK(block != NULL);
        CHECK(pthread_create(&request.thread, NULL, end_or_free, &request) == 0);
        CHECK(pthread_create(&freeing, NULL, free_block, block) == 0);
        zcb_image_budget_destroy(&budget);
        CHECK(pthread_join(request.thread, NULL) == 0);
        CHECK(pthread_join(freeing, NULL) == 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_request_is_not_overtaken),
        cmocka_unit_test(requests_are_served_in_the_order_they_came),
        cmocka_unit_test(much_that_becomes_free_serves_many_at_once),
        cmocka_unit_test(what_is_freed_after_the_end_serves_those_who_wait),
        cmocka_unit_test(who_gives_up_lets_the_next_go),
        cmocka_unit_test(the_queue_holds_when_its_last_or_a_middle_one_leaves),
        cmocka_unit_test(who_is_served_when_the_time_is_over_has_the_lease),
        cmocka_unit_test(closing_sends_all_away),
        cmocka_unit_test(a_cancelled_thread_waits_to_the_end),
        cmocka_unit_test(a_crowd_never_has_more_than_the_total),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(a_budget_goes_with_whoever_is_last),
    };

    alarm(150); // a thread that waits in vain is a test that fails
    return cmocka_run_group_tests(tests, NULL, NULL);
}
