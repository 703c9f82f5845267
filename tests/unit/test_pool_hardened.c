// SPDX-License-Identifier: MIT
//
// ZCB_POOL_HARDENED: each kind of misuse is reported on standard error and aborts. Every one runs
// in a child.
//
// There is no call that releases to a pool that is named, so "to the wrong pool" is a header that
// lies where no header of any pool lies, or that has been copied over another pool's.

#include "testing.h"

#include "support/failing_source.h"
#include "support/pools.h"

#include "base/block.h"

static struct zcb_pool *
hardened(void)
{
    const struct zcb_pool_config config = {.name = "vault", .flags = ZCB_POOL_HARDENED};

    return must_create(&config);
}

// Some reuse before and after, so that misuse meets a pool in full swing.
static void
exercise(struct zcb_pool *pool, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        struct zcb_buf *bufs[20];

        for (size_t b = 0; b < 20; b++) {
            bufs[b] = must_acquire(pool, b % 2 == 0 ? 100 : 10000);
            memset(zcb_buf_data(bufs[b]), (int)i, 100);
        }
        zcb_buf_release_n(bufs, 20);
    }
}

static void
misuse_double_release(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *buf = must_acquire(pool, 100);
    struct zcb_buf *again = buf;

    (void)unused;
    zcb_buf_release(&buf);
    zcb_buf_release(&again);
}

static void
misuse_double_release_later(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *buf = must_acquire(pool, 100);
    struct zcb_buf *again = buf;

    (void)unused;
    zcb_buf_release(&buf);
    for (int i = 0; i < 3; i++) {
        struct zcb_buf *other = must_acquire(pool, 100);

        zcb_buf_release(&other);
    }
    zcb_buf_release(&again);
}

static void
misuse_double_release_of_many(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *bufs[3];

    (void)unused;
    bufs[0] = must_acquire(pool, 100);
    bufs[1] = must_acquire(pool, 100);
    bufs[2] = bufs[0];
    zcb_buf_release_n(bufs, 3);
}

static void
misuse_double_release_on_another_pool(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_pool *plain = must_create(NULL);
    struct zcb_buf *buf = must_acquire(pool, 100);
    struct zcb_buf *again = buf;
    struct zcb_buf *other = must_acquire(plain, 100);

    (void)unused;
    zcb_buf_release(&buf);
    zcb_buf_release(&other);
    zcb_buf_release(&again);
}

static void
misuse_packet_dropped_twice(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_packet packet = must_packet(pool, 100);
    struct zcb_packet copy = packet;

    (void)unused;
    zcb_packet_unref(&packet);
    zcb_packet_unref(&copy);
}

static void
misuse_packet_dropped_twice_with_slices(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_packet packet = must_packet(pool, 100);
    struct zcb_packet slice = {0}, copy;

    (void)unused;
    CHECK(zcb_packet_slice(&packet, 10, 10, &slice) == 0);
    copy = slice;
    zcb_packet_unref(&packet);
    zcb_packet_unref(&slice);
    zcb_packet_unref(&copy);
}

static void
misuse_release_after_share(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *buf = must_acquire(pool, 100);
    struct zcb_buf *again = buf;
    struct zcb_packet packet = {0};

    (void)unused;
    CHECK(zcb_buf_set_len(buf, 10) == 0);
    zcb_buf_share(&buf, &packet);
    zcb_packet_unref(&packet);
    zcb_buf_release(&again);
}

// A header somewhere else that says the same as a real one.
static void
misuse_foreign_copy(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *buf = must_acquire(pool, 100);
    static _Alignas(64) uint8_t copy[64];
    struct zcb_buf *fake = (struct zcb_buf *)(void *)copy;

    (void)unused;
    memcpy(copy, buf, sizeof(copy));
    zcb_buf_release(&fake);
}

static void
misuse_foreign_copy_of_a_large_one(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *buf = must_acquire(pool, 1000000);
    static _Alignas(64) uint8_t copy[64];
    struct zcb_buf *fake = (struct zcb_buf *)(void *)copy;

    (void)unused;
    memcpy(copy, buf, sizeof(copy));
    zcb_buf_release(&fake);
    zcb_buf_release(&buf);
}

// A pointer into the middle of a header.
static void
misuse_interior(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *bufs[8];
    struct zcb_buf *inside;

    (void)unused;
    for (size_t i = 0; i < 8; i++)
        bufs[i] = must_acquire(pool, 100);
    // Where the size lies: what would be the kind there is 0, a pool's.
    inside = (struct zcb_buf *)(void *)((uint8_t *)bufs[3] + offsetof(struct zcb_block, size));
    zcb_buf_release(&inside);
}

// A header of another pool's copied over that of this one's.
static void
misuse_wrong_pool(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_pool *other = hardened();
    struct zcb_buf *mine = must_acquire(pool, 100);
    struct zcb_buf *theirs = must_acquire(other, 100);

    (void)unused;
    memcpy((void *)mine, (void *)theirs, 64);
    zcb_buf_release(&mine);
}

static void
misuse_write_after_release_then_destroy(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *buf = must_acquire(pool, 100);
    volatile uint8_t *data = zcb_buf_data(buf);

    (void)unused;
    zcb_buf_release(&buf);
    data[50] = 1;
    zcb_pool_destroy(&pool);
}

static void
misuse_write_after_release_then_go_on(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *buf = must_acquire(pool, 100);
    volatile uint8_t *data = zcb_buf_data(buf);

    (void)unused;
    zcb_buf_release(&buf);
    data[99] = 1;
    exercise(pool, 10000);
}

static void
misuse_write_to_the_last_byte_after_release(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *buf = must_acquire(pool, 4096);
    volatile uint8_t *data = zcb_buf_data(buf);

    (void)unused;
    exercise(pool, 10);
    zcb_buf_release(&buf);
    data[4095] = 0;
    exercise(pool, 10);
    zcb_pool_destroy(&pool);
}

static void
misuse_write_through_a_packet_after_the_last_unref(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_packet packet = must_packet(pool, 4096);
    volatile uint8_t *data = (volatile uint8_t *)(uintptr_t)packet.data;

    (void)unused;
    zcb_packet_unref(&packet);
    data[0] = 42;
    zcb_pool_destroy(&pool);
}

static void
misuse_reference_after_the_last_unref(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_packet packet = must_packet(pool, 100), copy = packet;

    (void)unused;
    zcb_packet_unref(&packet);
    copy = zcb_packet_ref(&copy);
    exercise(pool, 10000);
}

// What a freed header may look like.
static void
misuse_no_header(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_packet packet = must_packet(pool, 100);
    static _Alignas(64) struct zcb_block block;

    (void)unused;
    block = *packet.owner;
    block.kind = ZCB_BLOCK_KIND; // none has it
    packet.owner = &block;
    zcb_packet_unref(&packet);
}

#define TWICE "vault: a packet or buf was released twice"
#define NOT_OURS "vault: released a header that is none of its slab's"
#define WRITTEN "vault: memory was written after it was released"

static const struct {
    const char *name;
    void (*misuse)(void *unused);
    const char *report; // begins with its pool's name, where it is one of a pool
} misuses[] = {
    {"double release", misuse_double_release, TWICE},
    {"double release, others between", misuse_double_release_later, TWICE},
    {"double release in one release_n", misuse_double_release_of_many, TWICE},
    {"double release with another pool about", misuse_double_release_on_another_pool, TWICE},
    {"packet dropped twice", misuse_packet_dropped_twice, TWICE},
    {"slice dropped twice", misuse_packet_dropped_twice_with_slices, TWICE},
    {"buf released after share", misuse_release_after_share, TWICE},
    {"foreign header", misuse_foreign_copy, NOT_OURS},
    {"foreign header of a large one", misuse_foreign_copy_of_a_large_one,
     "vault: released a copy of a buf"},
    {"interior pointer", misuse_interior, "vault: released a pointer that is no buf"},
    {"another pool's header", misuse_wrong_pool, NOT_OURS},
    {"write after release, seen by destroy", misuse_write_after_release_then_destroy, WRITTEN},
    {"write after release, seen when used again", misuse_write_after_release_then_go_on, WRITTEN},
    {"write to the last byte", misuse_write_to_the_last_byte_after_release, WRITTEN},
    {"write through a dropped packet", misuse_write_through_a_packet_after_the_last_unref, WRITTEN},
    {"reference to nothing", misuse_reference_after_the_last_unref,
     "vault: a reference was taken after the last one was released"},
    {"no header at all", misuse_no_header,
     "zcbuf: released memory that is no block of this library"},
};

static void
each_misuse_is_reported_and_aborts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
        struct child child = child_run(misuses[i].misuse, NULL);

        if (!child_died_of(&child, SIGABRT)) {
            child_show(&child);
            fail_msg("not noticed: %s", misuses[i].name);
        }
        // A sanitizer may have been faster, with a report of its own.
        if (!ZCB_UNDER_ASAN && strstr(child.text, misuses[i].report) == NULL)
            fail_msg("no report of %s: %s", misuses[i].name, child.text);
    }
}

static void
proper_use(void *unused)
{
    struct zcb_pool *pool = hardened();
    struct zcb_pool *plain = must_create(NULL);
    struct zcb_buf *kept[50];

    (void)unused;
    for (int round = 0; round < 50; round++) {
        struct zcb_packet packets[50], slices[50];
        struct zcb_buf *large = must_acquire(pool, 200000);

        for (size_t i = 0; i < 50; i++) {
            kept[i] = must_acquire(i % 5 == 0 ? plain : pool, (i * 997) % 65536);
            memset(zcb_buf_data(kept[i]), 1, zcb_buf_capacity(kept[i]));
            packets[i] = must_packet(pool, 1 + i);
            CHECK(zcb_packet_slice(&packets[i], 0, 1, &slices[i]) == 0);
        }
        zcb_buf_release_n(kept, 25);
        for (size_t i = 25; i < 50; i++)
            zcb_buf_release(&kept[i]);
        zcb_buf_release(&large);
        for (size_t i = 0; i < 50; i++)
            zcb_packet_unref(&packets[i]);
        if (round % 10 == 0)
            zcb_pool_trim(pool, 0);
        if (round % 10 == 5)
            zcb_pool_decay(pool);
        if (round % 10 == 7)
            zcb_thread_flush();
        for (size_t i = 0; i < 50; i++)
            zcb_packet_unref(&slices[i]);
        must_be_at_rest(pool);
    }
    must_end(&pool);
    must_end(&plain);
}

static void
proper_use_is_left_alone(void **state)
{
    struct child child = child_run(proper_use, NULL);

    (void)state;
    assert_child_succeeded(child);
    assert_string_equal(child.text, "");
}

static void
what_was_released_is_held_back_for_a_while(void **state)
{
    struct zcb_pool *pool = hardened();
    struct zcb_buf *buf = must_acquire(pool, 100);
    const uint8_t *data = zcb_buf_data(buf);

    (void)state;
    zcb_buf_release(&buf);
    for (int i = 0; i < 4; i++) {
        buf = must_acquire(pool, 100);
        assert_ptr_not_equal(zcb_buf_data(buf), data);
        zcb_buf_release(&buf);
    }
    must_end(&pool);
}

static void
holding_back_does_not_starve_a_small_pool(void **state)
{
    static const size_t limits[] = {1, 2, 10, 40};
    static const enum zcb_pool_policy policies[] = {ZCB_POOL_FAIL, ZCB_POOL_WAIT, ZCB_POOL_DYNAMIC};

    (void)state;
    for (size_t l = 0; l < 4; l++) {
        for (size_t p = 0; p < 3; p++) {
            const struct zcb_pool_config config = {
                .tiers = {{.buffer_size = 4096, .max_buffers = limits[l]}},
                .policy = policies[p],
                .wait_ms = 1,
                .flags = ZCB_POOL_HARDENED,
            };
            struct zcb_pool *pool = must_create(&config);
            struct zcb_buf *bufs[41] = {NULL};

            for (int round = 0; round < 50; round++) {
                for (size_t i = 0; i < limits[l]; i++)
                    bufs[i] = must_acquire(pool, 1);
                if (policies[p] != ZCB_POOL_DYNAMIC && round < 3)
                    assert_true(zcb_pool_acquire(pool, 1, &bufs[limits[l]]) < 0);
                zcb_buf_release_n(bufs, limits[l]);
            }
            assert_int_equal(must_be_at_rest(pool).total.fallbacks, 0);
            must_end(&pool);
        }
    }
}

static void
hardened_pools_count_and_trim_as_others_do(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {.flags = ZCB_POOL_HARDENED};
    struct zcb_pool *pool;

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    exercise(pool, 100);
    assert_int_equal(must_be_at_rest(pool).total.acquires, 2000);
    zcb_pool_trim(pool, 0);
    assert_int_equal(must_be_at_rest(pool).total.charged, 0);
    exercise(pool, 100);
    must_end(&pool);
    assert_int_equal(failing.live, 0);
    assert_int_equal(failing.closed, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_misuse_is_reported_and_aborts),
        cmocka_unit_test(proper_use_is_left_alone),
        cmocka_unit_test(what_was_released_is_held_back_for_a_while),
        cmocka_unit_test(holding_back_does_not_starve_a_small_pool),
        cmocka_unit_test(hardened_pools_count_and_trim_as_others_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
