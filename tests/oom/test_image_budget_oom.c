// SPDX-License-Identifier: MIT
//
// Budgets whose allocations fail: nothing stays leased, nothing stays charged, nothing is lost.
#include "testing.h"

#include <errno.h>
#include <string.h>

#include <zcbuf/adapt/image_budget.h>

#include "support/alloc_count.h"

static struct zcb_image_budget *budget;
static struct zcb_image_lease *lease;

static void
must_be(size_t leased, size_t used, size_t leases)
{
    struct zcb_image_budget_stats stats;

    assert_int_equal(zcb_image_budget_stats(budget, &stats, sizeof(stats)), 0);
    assert_int_equal(stats.leased, leased);
    assert_int_equal(stats.used, used);
    assert_int_equal(stats.leases, leases);
    assert_int_equal(stats.overruns, 0);
}

static int
set_up(void **state)
{
    (void)state;
    if (!zcb_alloc_count_works())
        return 0;
    assert_int_equal(zcb_image_budget_create(10000, NULL, &budget), 0);
    assert_int_equal(zcb_image_budget_lease(budget, 9000, 0, &lease), 0);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    zcb_alloc_fail(0, false);
    zcb_image_lease_end(&lease);
    zcb_image_budget_destroy(&budget);
    return 0;
}

static void
a_budget_is_made_or_not(void **state)
{
    struct zcb_image_budget *other = NULL;
    int64_t live = zcb_alloc_live();

    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    zcb_alloc_fail(1, false);
    assert_int_equal(zcb_image_budget_create(1000, NULL, &other), -ENOMEM);
    assert_int_equal(zcb_alloc_failed(), 1);
    assert_null(other);
    assert_int_equal(zcb_alloc_live(), live);
    assert_int_equal(zcb_image_budget_create(1000, NULL, &other), 0);
    zcb_image_budget_destroy(&other);
    assert_int_equal(zcb_alloc_live(), live);
}

static void
asking_the_system_allocates_nothing(void **state)
{
    struct zcb_image_memory memory;
    struct zcb_image_step step = {
        .kind = ZCB_IMAGE_DECODE, .format = ZCB_IMAGE_RGB, .width = 10, .height = 10};
    struct zcb_image_plan plan;
    uint64_t before = zcb_alloc_count();

    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    zcb_alloc_fail(1, true);
    assert_int_equal(zcb_image_memory(&memory, sizeof(memory)), 0);
    assert_int_equal(zcb_image_plan(&step, 1, NULL, &plan, sizeof(plan)), 0);
    assert_int_equal(zcb_alloc_count(), before);
}

static void
a_lease_that_cannot_be_made_is_not_leased(void **state)
{
    struct zcb_image_lease *other = NULL;

    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    zcb_alloc_fail(1, false);
    assert_int_equal(zcb_image_budget_lease(budget, 1000, UINT32_MAX, &other), -ENOMEM);
    assert_null(other);
    must_be(9000, 0, 1);
    assert_int_equal(zcb_image_budget_lease(budget, 1000, 0, &other), 0);
    zcb_image_lease_end(&other);
}

static void
what_malloc_does_not_give_is_not_charged(void **state)
{
    unsigned char *block;

    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    zcb_alloc_fail(1, true);
    assert_null(zcb_image_lease_malloc(lease, 100));
    assert_null(zcb_image_lease_calloc(lease, 10, 10));
    assert_null(zcb_image_lease_realloc(lease, NULL, 100));
    must_be(9000, 0, 1);
    zcb_alloc_fail(0, false);
    block = zcb_image_lease_malloc(lease, 84);
    assert_non_null(block);
    memset(block, 5, 84);
    zcb_alloc_fail(1, true);
    assert_null(zcb_image_lease_realloc(lease, block, 1000));
    must_be(9000, 100, 1);
    assert_null(zcb_image_lease_realloc(lease, block, 10)); // smaller can fail as well
    must_be(9000, 100, 1);
    for (size_t i = 0; i < 84; i++)
        assert_int_equal(block[i], 5);
    zcb_alloc_fail(0, false);
    block = zcb_image_lease_realloc(lease, block, 1000);
    assert_non_null(block);
    must_be(9000, 1016, 1);
    zcb_image_lease_free(block);
    must_be(9000, 0, 1);
}

static void
a_source_that_cannot_be_made_holds_nothing(void **state)
{
    struct zcb_source source = {.ctx = NULL}, before = source;

    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    zcb_alloc_fail(1, false);
    assert_int_equal(zcb_image_lease_source(lease, NULL, &source), -ENOMEM);
    assert_memory_equal(&source, &before, sizeof(source));
    zcb_image_lease_end(&lease); // would stay for a source
    must_be(0, 0, 0);
}

static void
a_source_whose_base_has_none_charges_nothing(void **state)
{
    struct zcb_source source;
    void *ptr;

    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    assert_int_equal(zcb_image_lease_source(lease, zcb_source_libc(), &source), 0);
    zcb_alloc_fail(1, true);
    assert_null(source.alloc(source.ctx, 4096, 64));
    must_be(9000, 0, 1);
    zcb_alloc_fail(0, false);
    ptr = source.alloc(source.ctx, 4096, 64);
    assert_non_null(ptr);
    must_be(9000, 4096, 1);
    source.free(source.ctx, ptr, 4096, 64);
    must_be(9000, 0, 1);
    source.close(source.ctx);
}

static void
charging_allocates_nothing(void **state)
{
    uint64_t before = zcb_alloc_count();

    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    zcb_alloc_fail(1, true);
    assert_int_equal(zcb_image_lease_charge(lease, 1000), 0);
    zcb_image_lease_uncharge(lease, 500);
    assert_int_equal(zcb_image_lease_grow(lease, 1000), 0);
    assert_int_equal(zcb_image_lease_give_back(lease, 1000), 1000);
    zcb_image_lease_end(&lease);
    must_be(0, 0, 0);
    assert_int_equal(zcb_alloc_count(), before);
}

int
main(void)
{
#define WITH_A_LEASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_A_LEASE(a_budget_is_made_or_not),
        WITH_A_LEASE(asking_the_system_allocates_nothing),
        WITH_A_LEASE(a_lease_that_cannot_be_made_is_not_leased),
        WITH_A_LEASE(what_malloc_does_not_give_is_not_charged),
        WITH_A_LEASE(a_source_that_cannot_be_made_holds_nothing),
        WITH_A_LEASE(a_source_whose_base_has_none_charges_nothing),
        WITH_A_LEASE(charging_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
