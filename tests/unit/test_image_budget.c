// SPDX-License-Identifier: MIT
//
// Budgets and leases on one thread: what is leased, what is charged, who frees what last.
// tests/thread/test_image_budget_threads.c has the queue.
#include "testing.h"

#include "support/alloc_count.h"
#include "support/failing_source.h"
#include "support/pools.h"

#include <zcbuf/adapt/image_budget.h>

static struct zcb_image_budget *
must_budget(size_t total, size_t keep)
{
    struct zcb_image_budget_config config = {.keep_bytes = keep};
    struct zcb_image_budget *budget = NULL;

    assert_int_equal(zcb_image_budget_create(total, &config, &budget), 0);
    return budget;
}

static struct zcb_image_lease *
must_lease(struct zcb_image_budget *budget, size_t bytes)
{
    struct zcb_image_lease *lease = NULL;

    assert_int_equal(zcb_image_budget_lease(budget, bytes, 0, &lease), 0);
    assert_non_null(lease);
    return lease;
}

static struct zcb_image_budget_stats
stats_of(struct zcb_image_budget *budget)
{
    struct zcb_image_budget_stats stats;

    memset(&stats, 0xee, sizeof(stats));
    assert_int_equal(zcb_image_budget_stats(budget, &stats, sizeof(stats)), 0);
    return stats;
}

static struct zcb_image_lease_stats
lease_of(struct zcb_image_lease *lease)
{
    struct zcb_image_lease_stats stats;

    memset(&stats, 0xee, sizeof(stats));
    assert_int_equal(zcb_image_lease_stats(lease, &stats, sizeof(stats)), 0);
    return stats;
}

// ---- budget

static void
a_config_that_makes_no_sense_is_refused(void **state)
{
    struct zcb_image_budget *budget = NULL;
    struct zcb_image_budget_config config;

    (void)state;
    assert_int_equal(zcb_image_budget_create(1000, NULL, NULL), -EINVAL);
    config = (struct zcb_image_budget_config){.keep_bytes = 1000};
    assert_int_equal(zcb_image_budget_create(1000, &config, &budget), -EINVAL);
    config = (struct zcb_image_budget_config){.percent = 101};
    assert_int_equal(zcb_image_budget_create(1000, &config, &budget), -EINVAL);
    config = (struct zcb_image_budget_config){.reserved32 = 1};
    assert_int_equal(zcb_image_budget_create(1000, &config, &budget), -EINVAL);
    config = (struct zcb_image_budget_config){.reserved = {NULL, NULL, NULL, &config}};
    assert_int_equal(zcb_image_budget_create(1000, &config, &budget), -EINVAL);
    config = (struct zcb_image_budget_config){.min_bytes = 2, .max_bytes = 1};
    assert_int_equal(zcb_image_budget_create(0, &config, &budget), -EINVAL);
    assert_int_equal(zcb_image_budget_create(1000, &config, &budget),
                     -EINVAL); // not used, but said
    assert_null(budget);
}

static void
a_total_of_zero_is_a_share_of_what_the_system_has(void **state)
{
    struct zcb_image_memory memory;
    struct zcb_image_budget *budget;
    struct zcb_image_budget_config config = {.min_bytes = 3 * MIB, .max_bytes = 3 * MIB};

    (void)state;
    assert_int_equal(zcb_image_memory(&memory, sizeof(memory)), 0);
    assert_int_equal(zcb_image_budget_create(0, NULL, &budget), 0);
    assert_true(stats_of(budget).total >= 64 * MIB);
    assert_true(stats_of(budget).total <= 4096 * MIB);
    zcb_image_budget_destroy(&budget);
    assert_null(budget);

    assert_int_equal(zcb_image_budget_create(0, &config, &budget), 0);
    assert_int_equal(zcb_image_budget_bytes(budget), 3 * MIB);
    zcb_image_budget_destroy(&budget);

    // The bounds give way to the one that was named.
    config = (struct zcb_image_budget_config){.max_bytes = 5 * MIB};
    assert_int_equal(zcb_image_budget_create(0, &config, &budget), 0);
    assert_int_equal(zcb_image_budget_bytes(budget), 5 * MIB);
    zcb_image_budget_destroy(&budget);
    config = (struct zcb_image_budget_config){.min_bytes = SIZE_MAX};
    assert_int_equal(zcb_image_budget_create(0, &config, &budget), 0);
    assert_int_equal(zcb_image_budget_bytes(budget), SIZE_MAX);
    zcb_image_budget_destroy(&budget);

    // Twice the share, within what changes meanwhile on a busy machine.
    if (memory.free == UINT64_MAX || memory.free < 256 * MIB)
        skip();
    config = (struct zcb_image_budget_config){
        .percent = 20, .min_bytes = 1, .max_bytes = SIZE_MAX, .keep_bytes = 1000};
    assert_int_equal(zcb_image_budget_create(0, &config, &budget), 0);
    assert_true(stats_of(budget).total > memory.free / 10);
    assert_true(stats_of(budget).total < memory.free / 10 * 4);
    assert_int_equal(zcb_image_budget_bytes(budget), stats_of(budget).total - 1000);
    zcb_image_budget_destroy(&budget);
}

static void
nothing_is_done_with_null(void **state)
{
    struct zcb_image_budget *budget = NULL, *there = must_budget(1, 0);
    struct zcb_image_lease *lease = NULL;
    struct zcb_image_budget_stats stats;
    struct zcb_image_lease_stats mine;
    struct zcb_source source;

    (void)state;
    zcb_image_budget_destroy(NULL);
    zcb_image_budget_destroy(&budget);
    zcb_image_budget_close(NULL);
    assert_int_equal(zcb_image_budget_bytes(NULL), 0);
    assert_int_equal(zcb_image_budget_stats(NULL, &stats, sizeof(stats)), -EINVAL);
    assert_int_equal(zcb_image_budget_stats(there, NULL, sizeof(stats)), -EINVAL);
    assert_int_equal(zcb_image_budget_stats(there, &stats, 0), -EINVAL);
    assert_int_equal(zcb_image_budget_lease(NULL, 1, 0, &lease), -EINVAL);
    assert_int_equal(zcb_image_budget_lease(there, 1, 0, NULL), -EINVAL);
    zcb_image_lease_end(NULL);
    zcb_image_lease_end(&lease);
    assert_int_equal(zcb_image_lease_grow(NULL, 1), -EINVAL);
    assert_int_equal(zcb_image_lease_give_back(NULL, 1), 0);
    assert_int_equal(zcb_image_lease_charge(NULL, 1), -EINVAL);
    zcb_image_lease_uncharge(NULL, 1);
    assert_int_equal(zcb_image_lease_stats(NULL, &mine, sizeof(mine)), -EINVAL);
    assert_int_equal(zcb_image_lease_source(NULL, NULL, &source), -EINVAL);
    assert_null(zcb_image_lease_malloc(NULL, 1));
    assert_null(zcb_image_lease_calloc(NULL, 1, 1));
    assert_null(zcb_image_lease_realloc(NULL, NULL, 1));
    zcb_image_lease_free(NULL);
    lease = must_lease(there, 1);
    assert_int_equal(zcb_image_lease_stats(lease, NULL, sizeof(mine)), -EINVAL);
    assert_int_equal(zcb_image_lease_stats(lease, &mine, 0), -EINVAL);
    assert_int_equal(zcb_image_lease_source(lease, NULL, NULL), -EINVAL);
    assert_int_equal(zcb_image_lease_source(lease, &(struct zcb_source){NULL}, &source), -EINVAL);
    zcb_image_lease_end(&lease);
    zcb_image_budget_destroy(&there);
}

static void
older_and_newer_statistics_get_what_they_have_room_for(void **state)
{
    struct zcb_image_budget *budget = must_budget(1000, 10);
    struct {
        struct zcb_image_budget_stats now;
        uint64_t later;
    } newer;
    uint64_t older[2] = {7, 7};

    (void)state;
    memset(&newer, 0xee, sizeof(newer));
    assert_int_equal(
        zcb_image_budget_stats(budget, (struct zcb_image_budget_stats *)older, sizeof(older[0])),
        0);
    assert_int_equal(older[0], 1000);
    assert_int_equal(older[1], 7);
    assert_int_equal(zcb_image_budget_stats(budget, &newer.now, sizeof(newer)), 0);
    assert_int_equal(newer.now.total, 1000);
    assert_int_equal(newer.now.keep, 10);
    assert_int_equal(newer.later, 0);
    zcb_image_budget_destroy(&budget);
}

// ---- leases

static uint64_t
clock_ns(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
leases_add_up_to_the_total_and_no_further(void **state)
{
    struct zcb_image_budget *budget = must_budget(1000, 0);
    struct zcb_image_lease *a = must_lease(budget, 600), *b = must_lease(budget, 400), *c = NULL;
    uint64_t start = clock_ns();

    (void)state;
    assert_int_equal(zcb_image_budget_lease(budget, 1, 0, &c), -EAGAIN);
    assert_int_equal(zcb_image_budget_lease(budget, 1, 1, &c), -ETIMEDOUT);
    assert_null(c);
    c = must_lease(budget, 0);
    assert_int_equal(stats_of(budget).leased, 1000);
    assert_int_equal(stats_of(budget).leases, 3);
    zcb_image_lease_end(&a);
    assert_null(a);
    assert_int_equal(stats_of(budget).leased, 400);
    a = must_lease(budget, 600);
    zcb_image_lease_end(&a);
    zcb_image_lease_end(&b);
    zcb_image_lease_end(&c);
    assert_int_equal(stats_of(budget).leased, 0);
    assert_int_equal(stats_of(budget).peak_leased, 1000);
    assert_int_equal(stats_of(budget).leases, 0);
    assert_int_equal(stats_of(budget).grants, 4);
    assert_int_equal(stats_of(budget).timeouts, 2);
    assert_int_equal(stats_of(budget).waits, 0);
    assert_true(stats_of(budget).wait_ns > 0);
    assert_true(stats_of(budget).wait_ns <= clock_ns() - start);
    assert_int_equal(stats_of(budget).waiting, 0);
    assert_int_equal(stats_of(budget).peak_waiting, 1);
    zcb_image_budget_destroy(&budget);
}

static void
more_than_can_ever_be_is_refused_at_once(void **state)
{
    struct zcb_image_budget *budget = must_budget(1000, 300);
    struct zcb_image_lease *lease = NULL;

    (void)state;
    assert_int_equal(zcb_image_budget_bytes(budget), 700);
    assert_int_equal(zcb_image_budget_lease(budget, 701, UINT32_MAX, &lease), -ENOBUFS);
    assert_int_equal(zcb_image_budget_lease(budget, SIZE_MAX, UINT32_MAX, &lease), -ENOBUFS);
    assert_int_equal(stats_of(budget).refusals, 2);
    lease = must_lease(budget, 700);
    zcb_image_lease_end(&lease);
    zcb_image_budget_destroy(&budget);
}

static void
a_lease_grows_where_there_is_room_and_never_waits(void **state)
{
    struct zcb_image_budget *budget = must_budget(1000, 0);
    struct zcb_image_lease *a = must_lease(budget, 100), *b = must_lease(budget, 500);

    (void)state;
    assert_int_equal(zcb_image_lease_grow(a, 400), 0);
    assert_int_equal(lease_of(a).bytes, 500);
    assert_int_equal(zcb_image_lease_grow(a, 1), -EAGAIN);
    assert_int_equal(zcb_image_lease_grow(a, 500), -EAGAIN); // with b's it could be
    assert_int_equal(zcb_image_lease_grow(a, 501), -ENOBUFS);
    assert_int_equal(zcb_image_lease_grow(a, SIZE_MAX), -ENOBUFS);
    assert_int_equal(lease_of(a).bytes, 500);
    assert_int_equal(stats_of(budget).leased, 1000);
    zcb_image_lease_end(&b);
    assert_int_equal(zcb_image_lease_grow(a, 500), 0);
    assert_int_equal(stats_of(budget).leased, 1000);
    zcb_image_lease_end(&a);
    assert_int_equal(stats_of(budget).leased, 0);
    zcb_image_budget_destroy(&budget);
}

static void
what_is_not_used_can_be_given_back(void **state)
{
    struct zcb_image_budget *budget = must_budget(1000, 0);
    struct zcb_image_lease *lease = must_lease(budget, 1000);

    (void)state;
    assert_int_equal(zcb_image_lease_charge(lease, 300), 0);
    assert_int_equal(zcb_image_lease_give_back(lease, 100), 100);
    assert_int_equal(lease_of(lease).bytes, 900);
    assert_int_equal(stats_of(budget).leased, 900);
    assert_int_equal(zcb_image_lease_give_back(lease, 601), 600);
    assert_int_equal(zcb_image_lease_give_back(lease, SIZE_MAX), 0);
    assert_int_equal(lease_of(lease).bytes, 300);
    assert_int_equal(zcb_image_lease_charge(lease, 1), -ENOBUFS);
    zcb_image_lease_end(&lease);
    assert_int_equal(stats_of(budget).leased, 0);
    assert_int_equal(stats_of(budget).used, 0);
    zcb_image_budget_destroy(&budget);
}

static void
a_closed_budget_gives_no_lease(void **state)
{
    struct zcb_image_budget *budget = must_budget(1000, 0);
    struct zcb_image_lease *lease = must_lease(budget, 100), *other = NULL;

    (void)state;
    zcb_image_budget_close(budget);
    assert_int_equal(zcb_image_budget_lease(budget, 1, UINT32_MAX, &other), -ECANCELED);
    assert_int_equal(zcb_image_lease_grow(lease, 1), -ECANCELED);
    assert_int_equal(zcb_image_lease_charge(lease, 100), 0); // it goes on
    zcb_image_lease_end(&lease);
    assert_int_equal(stats_of(budget).leased, 0);
    zcb_image_budget_destroy(&budget);
}

static void
a_lease_outlives_its_budget(void **state)
{
    struct zcb_image_budget *budget = must_budget(1000, 0);
    struct zcb_image_lease *a = must_lease(budget, 100), *b = must_lease(budget, 100);
    int64_t live = zcb_alloc_live();

    (void)state;
    zcb_image_budget_destroy(&budget);
    assert_null(budget);
    assert_int_equal(zcb_image_lease_charge(a, 100), 0);
    assert_int_equal(zcb_image_lease_grow(a, 1), -ECANCELED);
    zcb_image_lease_end(&a);
    zcb_image_lease_end(&b);
    if (zcb_alloc_count_works())
        assert_int_equal(zcb_alloc_live(), live - 3);
}

// ---- charges

static void
charges_stop_at_the_lease(void **state)
{
    struct zcb_image_budget *budget = must_budget(1000, 0);
    struct zcb_image_lease *lease = must_lease(budget, 500), *other = must_lease(budget, 500);

    (void)state;
    assert_int_equal(zcb_image_lease_charge(lease, 200), 0);
    assert_int_equal(zcb_image_lease_charge(lease, 301), -ENOBUFS);
    assert_int_equal(zcb_image_lease_charge(lease, SIZE_MAX), -ENOBUFS);
    assert_int_equal(zcb_image_lease_charge(other, 500), 0);
    assert_int_equal(zcb_image_lease_charge(lease, 300), 0);
    assert_int_equal(lease_of(lease).used, 500);
    assert_int_equal(lease_of(lease).overruns, 2);
    assert_int_equal(stats_of(budget).overruns, 2);
    assert_int_equal(stats_of(budget).used, 1000);
    zcb_image_lease_uncharge(lease, 100);
    assert_int_equal(lease_of(lease).used, 400);
    assert_int_equal(lease_of(lease).peak_used, 500);
    assert_int_equal(stats_of(budget).used, 900);
    zcb_image_lease_uncharge(lease, SIZE_MAX); // all there is
    assert_int_equal(lease_of(lease).used, 0);
    assert_int_equal(stats_of(budget).used, 500);
    assert_int_equal(zcb_image_lease_charge(lease, 50), 0);
    assert_int_equal(lease_of(lease).peak_used, 500);
    assert_int_equal(stats_of(budget).peak_used, 1000);
    zcb_image_lease_end(&lease);
    zcb_image_lease_end(&other);
    zcb_image_budget_destroy(&budget);
}

static void
malloc_on_a_lease_is_charged_with_its_bookkeeping(void **state)
{
    struct zcb_image_budget *budget = must_budget(10000, 0);
    struct zcb_image_lease *lease = must_lease(budget, 1000);
    unsigned char *a, *b;

    (void)state;
    a = zcb_image_lease_malloc(lease, 484);
    assert_non_null(a);
    assert_int_equal((uintptr_t)a % (2 * sizeof(void *)), 0);
    memset(a, 1, 484);
    assert_int_equal(lease_of(lease).used, 500);
    assert_null(zcb_image_lease_malloc(lease, 485));
    assert_null(zcb_image_lease_malloc(lease, SIZE_MAX));
    assert_null(zcb_image_lease_malloc(lease, SIZE_MAX - 15));
    assert_null(zcb_image_lease_malloc(lease, SIZE_MAX - 16));
    b = zcb_image_lease_calloc(lease, 4, 121);
    assert_non_null(b);
    for (size_t i = 0; i < 484; i++)
        assert_int_equal(b[i], 0);
    assert_int_equal(lease_of(lease).used, 1000);
    assert_null(zcb_image_lease_malloc(lease, 0)); // its bookkeeping does not fit
    assert_int_equal(lease_of(lease).overruns, 5);
    zcb_image_lease_free(a);
    assert_int_equal(lease_of(lease).used, 500);
    a = zcb_image_lease_malloc(lease, 0);
    assert_non_null(a);
    assert_int_equal(lease_of(lease).used, 516);
    zcb_image_lease_free(a);
    zcb_image_lease_free(b);
    assert_int_equal(lease_of(lease).used, 0);
    assert_int_equal(stats_of(budget).used, 0);
    assert_int_equal(zcb_image_lease_give_back(lease, SIZE_MAX), 1000);
    zcb_image_lease_end(&lease);
    zcb_image_budget_destroy(&budget);
}

static void
calloc_checks_its_product(void **state)
{
    struct zcb_image_budget *budget = must_budget(SIZE_MAX, 0);
    struct zcb_image_lease *lease = must_lease(budget, SIZE_MAX / 2);
    void *none;

    (void)state;
    assert_null(zcb_image_lease_calloc(lease, SIZE_MAX / 4 + 2, 4)); // 4, where it wraps
    assert_null(zcb_image_lease_calloc(lease, 4, SIZE_MAX / 4 + 2));
    assert_int_equal(lease_of(lease).used, 0);
    none = zcb_image_lease_calloc(lease, 0, SIZE_MAX);
    assert_non_null(none);
    zcb_image_lease_free(none);
    none = zcb_image_lease_calloc(lease, SIZE_MAX, 0);
    assert_non_null(none);
    zcb_image_lease_free(none);
    // Zeros, also in memory that was in use before (as malloc is likely to hand out here).
    for (int round = 0; round < 100; round++) {
        unsigned char *zeros = zcb_image_lease_calloc(lease, 25, 40);

        assert_non_null(zeros);
        for (size_t i = 0; i < 1000; i++)
            assert_int_equal(zeros[i], 0);
        memset(zeros, 0xee, 1000);
        zcb_image_lease_free(zeros);
    }
    zcb_image_lease_end(&lease);
    zcb_image_budget_destroy(&budget);
}

static void
realloc_keeps_the_bytes_and_charges_both_blocks_meanwhile(void **state)
{
    struct zcb_image_budget *budget = must_budget(10000, 0);
    struct zcb_image_lease *lease = must_lease(budget, 1000);
    unsigned char *a = zcb_image_lease_realloc(lease, NULL, 84);

    (void)state;
    assert_non_null(a);
    assert_int_equal(lease_of(lease).used, 100);
    memset(a, 7, 84);
    a = zcb_image_lease_realloc(lease, a, 184);
    assert_non_null(a);
    assert_int_equal(lease_of(lease).used, 200);
    assert_int_equal(lease_of(lease).peak_used, 300);
    for (size_t i = 0; i < 84; i++)
        assert_int_equal(a[i], 7);
    memset(a, 8, 184);
    assert_null(zcb_image_lease_realloc(lease, a, 785)); // 200 + 801
    assert_null(zcb_image_lease_realloc(lease, a, SIZE_MAX));
    assert_int_equal(lease_of(lease).used, 200);
    assert_int_equal(a[183], 8);
    a = zcb_image_lease_realloc(lease, a, 784);
    assert_non_null(a);
    assert_int_equal(lease_of(lease).used, 800);
    assert_int_equal(a[183], 8);
    a = zcb_image_lease_realloc(lease, a, 10); // would not fit twice
    assert_non_null(a);
    assert_int_equal(lease_of(lease).used, 26);
    assert_int_equal(a[9], 8);
    a = zcb_image_lease_realloc(lease, a, 10);
    assert_non_null(a);
    assert_int_equal(lease_of(lease).used, 26);
    zcb_image_lease_free(a);
    assert_int_equal(lease_of(lease).used, 0);
    zcb_image_lease_end(&lease);
    zcb_image_budget_destroy(&budget);
}

static void
memory_that_is_out_at_the_end_stays_leased_until_it_is_freed(void **state)
{
    struct zcb_image_budget *budget = must_budget(1000, 0);
    struct zcb_image_lease *lease = must_lease(budget, 1000), *next = NULL;
    void *a = zcb_image_lease_malloc(lease, 184), *b = zcb_image_lease_malloc(lease, 84);

    (void)state;
    assert_int_equal(zcb_image_lease_charge(lease, 500), 0);
    zcb_image_lease_end(&lease);
    assert_int_equal(stats_of(budget).leased, 300);
    assert_int_equal(stats_of(budget).used, 300);
    assert_int_equal(stats_of(budget).leases, 1);
    assert_int_equal(zcb_image_budget_lease(budget, 701, 0, &next), -EAGAIN);
    next = must_lease(budget, 700);
    assert_null(zcb_image_lease_realloc(NULL, a, 185)); // nothing more from a lease that has ended
    a = zcb_image_lease_realloc(NULL, a, 84);
    assert_non_null(a);
    assert_int_equal(stats_of(budget).leased, 900);
    zcb_image_lease_free(a);
    assert_int_equal(stats_of(budget).leased, 800);
    zcb_image_lease_free(b);
    assert_int_equal(stats_of(budget).leased, 700);
    assert_int_equal(stats_of(budget).used, 0);
    assert_int_equal(stats_of(budget).leases, 1);
    zcb_image_lease_end(&next);
    zcb_image_budget_destroy(&budget);
}

// ---- sources

static void
a_pool_on_a_lease_cannot_take_more(void **state)
{
    struct zcb_failing_source base;
    struct zcb_source source;
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 65536}},
                                     .slab_size = 65536,
                                     .source = &source,
                                     .flags = ZCB_POOL_NO_CACHE};
    struct zcb_image_budget *budget = must_budget(10 * MIB, 0);
    struct zcb_image_lease *lease = must_lease(budget, 3 * 65536 + 100);
    struct zcb_pool *pool;
    struct zcb_buf *buf[4] = {NULL};
    struct zcb_packet packet;

    (void)state;
    zcb_failing_source_init(&base);
    assert_int_equal(zcb_image_lease_source(lease, &base.source, &source), 0);
    pool = must_create(&config);
    for (size_t i = 0; i < 3; i++)
        buf[i] = must_acquire(pool, 65536);
    assert_int_equal(lease_of(lease).used, base.live_bytes);
    assert_int_equal(lease_of(lease).used, 3 * 65536);
    assert_int_equal(zcb_pool_acquire(pool, 65536, &buf[3]), -ENOMEM);
    assert_int_equal(lease_of(lease).overruns, 1);
    zcb_buf_release(&buf[0]);
    buf[0] = must_acquire(pool, 65536); // again, without asking

    // A packet outlives pool, lease and budget.
    assert_int_equal(zcb_buf_set_len(buf[1], 65536), 0);
    zcb_buf_share(&buf[1], &packet);
    zcb_buf_release(&buf[0]);
    zcb_buf_release(&buf[2]);
    zcb_image_lease_end(&lease);
    zcb_pool_destroy(&pool);
    assert_int_equal(stats_of(budget).leased, base.live_bytes);
    assert_true(base.live_bytes >= 65536);
    assert_int_equal(stats_of(budget).leases, 1);
    zcb_image_budget_destroy(&budget);
    zcb_packet_unref(&packet);
    assert_int_equal(base.live, 0);
    assert_int_equal(base.closed, 0); // the base is the caller's
}

static void
a_source_passes_on_what_its_base_can_do(void **state)
{
    struct zcb_failing_source base;
    struct zcb_source source, plain = {.alloc = NULL}, only;
    struct zcb_image_budget *budget = must_budget(10 * MIB, 0);
    struct zcb_image_lease *lease = must_lease(budget, MIB);
    void *ptr, *tag = NULL;

    (void)state;
    zcb_failing_source_init(&base);
    assert_int_equal(zcb_image_lease_source(lease, &base.source, &source), 0);
    assert_non_null(source.purge);
    assert_non_null(source.attach);
    ptr = source.alloc(source.ctx, 100, 64);
    assert_non_null(ptr);
    assert_int_equal(lease_of(lease).used, 4096);
    assert_int_equal(source.attach(source.ctx, ptr, 100, &tag), 0);
    assert_int_equal(base.attached, 1);
    assert_int_equal(source.purge(source.ctx, ptr, 100, true), 0);
    assert_int_equal(base.purged, 1);
    source.detach(source.ctx, ptr, 100, tag);
    assert_int_equal(base.attached, 0);
    base.attach_result = -EIO;
    assert_int_equal(source.attach(source.ctx, ptr, 100, &tag), -EIO);
    source.free(source.ctx, ptr, 100, 64);
    assert_int_equal(lease_of(lease).used, 0);
    // What the base does not give is not charged.
    zcb_failing_source_fail(&base, 1, false);
    assert_null(source.alloc(source.ctx, 100, 64));
    assert_int_equal(lease_of(lease).used, 0);
    assert_null(source.alloc(source.ctx, SIZE_MAX, 64));
    assert_int_equal(lease_of(lease).overruns, 1);
    assert_null(source.alloc(source.ctx, SIZE_MAX - 4094, 64)); // in whole pages it would wrap
    assert_int_equal(lease_of(lease).overruns, 2);
    assert_int_equal(lease_of(lease).used, 0);
    source.close(source.ctx);
    assert_int_equal(base.closed, 0);

    plain.ctx = base.source.ctx;
    plain.alloc = base.source.alloc;
    assert_int_equal(zcb_image_lease_source(lease, &plain, &only), -EINVAL); // without free
    plain.free = base.source.free;
    assert_int_equal(zcb_image_lease_source(lease, &plain, &only), 0);
    assert_null(only.purge);
    assert_null(only.attach);
    assert_null(only.detach);
    only.close(only.ctx);
    assert_int_equal(zcb_image_lease_source(lease, NULL, &only), 0); // pages
    ptr = only.alloc(only.ctx, 5000, 4096);
    assert_non_null(ptr);
    assert_int_equal(lease_of(lease).used, 8192);
    only.free(only.ctx, ptr, 5000, 4096);
    only.close(only.ctx);
    zcb_image_lease_end(&lease);
    assert_int_equal(stats_of(budget).leases, 0);
    zcb_image_budget_destroy(&budget);
}

static void
a_source_keeps_an_ended_lease_and_has_nothing_left(void **state)
{
    struct zcb_source source;
    struct zcb_image_budget *budget = must_budget(MIB, 0);
    struct zcb_image_lease *lease = must_lease(budget, MIB);

    (void)state;
    assert_int_equal(zcb_image_lease_source(lease, zcb_source_libc(), &source), 0);
    zcb_image_lease_end(&lease);
    assert_int_equal(stats_of(budget).leased, 0);
    assert_int_equal(stats_of(budget).leases, 1);
    assert_null(source.alloc(source.ctx, 1, 64));
    source.close(source.ctx);
    assert_int_equal(stats_of(budget).leases, 0);
    zcb_image_budget_destroy(&budget);
}

// ---- the arrangement for a shared pool

struct frame {
    struct zcb_buf *buf;
    size_t bytes;
};

struct shared_job {
    struct zcb_image_lease *lease;
    struct frame frame[3];
};

static void
let_go(struct shared_job *job, struct frame *frame, struct zcb_pool *pool, size_t keep)
{
    if (frame->buf == NULL)
        return;
    zcb_buf_release(&frame->buf);
    zcb_pool_trim(pool, keep);
    zcb_image_lease_uncharge(job->lease, frame->bytes);
}

static void
a_shared_pool_holds_no_more_than_what_is_leased_and_kept(void **state)
{
    // KEEP is no whole number of frames: trim leaves one that it would have to cut.
    enum { SMALL = 1 << 16, LARGE = 1 << 20, KEEP = 5 * LARGE / 2, TOTAL = 8 * LARGE };
    struct zcb_pool_config config = {.tiers = {{.buffer_size = SMALL}, {.buffer_size = LARGE}},
                                     .slab_size = SMALL,
                                     .max_bytes = TOTAL,
                                     .flags = ZCB_POOL_NO_CACHE | ZCB_POOL_NO_OVERSIZE};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_image_budget *budget = must_budget(TOTAL, KEEP);
    uint64_t seed = zcb_test_seed();
    struct shared_job jobs[3] = {{NULL}};
    size_t most = 0;

    (void)state;
    for (size_t round = zcb_test_rounds(5000); round > 0; round--) {
        struct shared_job *job = &jobs[zcb_test_below(&seed, 3)];
        struct frame *frame = &job->frame[zcb_test_below(&seed, 3)];
        size_t size = zcb_test_below(&seed, 2) == 0 ? SMALL : LARGE, held;

        if (job->lease == NULL) {
            (void)!zcb_image_budget_lease(budget, size + LARGE, 0, &job->lease);
        } else if (zcb_test_below(&seed, 16) == 0) {
            for (size_t k = 0; k < 3; k++)
                let_go(job, &job->frame[k], pool, KEEP - LARGE);
            zcb_image_lease_end(&job->lease);
        } else if (frame->buf != NULL) {
            let_go(job, frame, pool, KEEP - LARGE);
        } else if (zcb_image_lease_charge(job->lease, size) == 0) {
            frame->buf = must_acquire(pool, size);
            frame->bytes = size;
        }
        held = must_stats(pool).total.charged;
        assert_true(held <= stats_of(budget).used + KEEP);
        if (held > most)
            most = held;
    }
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 3; k++)
            let_go(&jobs[i], &jobs[i].frame[k], pool, KEEP - LARGE);
        zcb_image_lease_end(&jobs[i].lease);
    }
    assert_true(most > KEEP + LARGE); // it was used
    assert_true(stats_of(budget).overruns > 0);
    zcb_pool_destroy(&pool);
    zcb_image_budget_destroy(&budget);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_total_of_zero_is_a_share_of_what_the_system_has),
        cmocka_unit_test(nothing_is_done_with_null),
        cmocka_unit_test(older_and_newer_statistics_get_what_they_have_room_for),
        cmocka_unit_test(leases_add_up_to_the_total_and_no_further),
        cmocka_unit_test(more_than_can_ever_be_is_refused_at_once),
        cmocka_unit_test(a_lease_grows_where_there_is_room_and_never_waits),
        cmocka_unit_test(what_is_not_used_can_be_given_back),
        cmocka_unit_test(a_closed_budget_gives_no_lease),
        cmocka_unit_test(a_lease_outlives_its_budget),
        cmocka_unit_test(charges_stop_at_the_lease),
        cmocka_unit_test(malloc_on_a_lease_is_charged_with_its_bookkeeping),
        cmocka_unit_test(calloc_checks_its_product),
        cmocka_unit_test(realloc_keeps_the_bytes_and_charges_both_blocks_meanwhile),
        cmocka_unit_test(memory_that_is_out_at_the_end_stays_leased_until_it_is_freed),
        cmocka_unit_test(a_pool_on_a_lease_cannot_take_more),
        cmocka_unit_test(a_source_passes_on_what_its_base_can_do),
        cmocka_unit_test(a_source_keeps_an_ended_lease_and_has_nothing_left),
        cmocka_unit_test(a_shared_pool_holds_no_more_than_what_is_leased_and_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
