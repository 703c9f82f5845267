// SPDX-License-Identifier: MIT
//
// The cleanup attributes: what is declared with one is let go of however the scope is left.

#include "testing.h"

#include "support/pools.h"

#ifdef ZCB_HAVE_AUTO

static uint64_t
live(struct zcb_pool *pool)
{
    return must_be_at_rest(pool).total.live;
}

// Leaves at each of its steps in turn; -EINTR from the last.
static int
leave_at(struct zcb_pool *pool, int step)
{
    ZCB_AUTO_BUF struct zcb_buf *buf = NULL;
    ZCB_AUTO_PACKET struct zcb_packet packet = {0};
    ZCB_AUTO_CHAIN struct zcb_chain chain = {0};
    ZCB_AUTO_PIECE struct zcb_piece *piece = NULL;
    int result;

    if (step == 0)
        return -EINTR;
    result = zcb_pool_acquire(pool, 100, &buf);
    if (result < 0 || step == 1)
        return result;
    result = zcb_packet_copy(pool, "abc", 3, &packet);
    if (result < 0 || step == 2)
        return result;
    result = zcb_chain_init(&chain, pool, NULL);
    if (result < 0 || step == 3)
        return result;
    result = zcb_chain_append(&chain, "abc", 3);
    if (result < 0 || step == 4)
        return result;
    result = zcb_piece_create(pool, 100, NULL, &piece);
    if (result < 0 || step == 5)
        return result;
    // What was given away is not let go of twice.
    zcb_packet_unref(&packet);
    result = zcb_buf_append(buf, 10, NULL);
    if (result < 0)
        return result;
    zcb_buf_share(&buf, &packet);
    result = zcb_chain_push(&chain, &packet);
    if (result < 0 || step == 6)
        return result;
    zcb_chain_finish(&chain);
    zcb_piece_destroy(&piece);
    return -EINTR;
}

static void
leaving_a_scope_lets_go_of_everything(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (int step = 0; step <= 7; step++) {
        assert_int_equal(leave_at(pool, step), step == 0 || step == 7 ? -EINTR : 0);
        assert_int_equal(live(pool), 0);
    }
    must_end(&pool);
}

static bool freed;

static void
note(void *ctx, void *data, size_t len)
{
    (void)ctx;
    (void)data;
    (void)len;
    freed = true;
}

static void
each_attribute_calls_its_function(void **state)
{
    static uint8_t bytes[64];

    (void)state;
    freed = false;
    {
        ZCB_AUTO_PACKET struct zcb_packet packet = {0};
        assert_int_equal(zcb_packet_wrap(bytes, 64, note, NULL, &packet), 0);
        assert_false(freed);
    }
    assert_true(freed);

    freed = false;
    {
        ZCB_AUTO_BUF struct zcb_buf *buf = NULL;
        assert_int_equal(zcb_buf_wrap(bytes, 0, 64, note, NULL, &buf), 0);
        assert_false(freed);
    }
    assert_true(freed);

    freed = false;
    {
        ZCB_AUTO_CHAIN struct zcb_chain chain = {0};
        struct zcb_packet packet = {0};
        assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
        assert_int_equal(zcb_packet_wrap(bytes, 64, note, NULL, &packet), 0);
        assert_int_equal(zcb_chain_push(&chain, &packet), 0);
        assert_false(freed);
    }
    assert_true(freed);

    freed = false;
    {
        ZCB_AUTO_PIECE struct zcb_piece *piece = NULL;
        struct zcb_piece_config config = {0};
        assert_int_equal(zcb_buf_wrap(bytes, 0, 64, note, NULL, &config.buf), 0);
        assert_int_equal(zcb_piece_create(NULL, 64, &config, &piece), 0);
        assert_false(freed);
    }
    assert_true(freed);
}

static void
note_close(void *ctx)
{
    (void)ctx;
    freed = true;
}

static void
a_pool_goes_with_its_scope_too(void **state)
{
    struct zcb_source source = *zcb_source_libc();
    struct zcb_pool_config config = {.source = &source};

    (void)state;
    source.close = note_close;
    freed = false;
    {
        ZCB_AUTO_POOL struct zcb_pool *pool = NULL;
        assert_int_equal(zcb_pool_create(&config, &pool), 0);
        assert_false(freed);
    }
    assert_true(freed);
}

#else

static void
leaving_a_scope_lets_go_of_everything(void **state)
{
    (void)state;
    skip();
}

static void
each_attribute_calls_its_function(void **state)
{
    (void)state;
    skip();
}

static void
a_pool_goes_with_its_scope_too(void **state)
{
    (void)state;
    skip();
}

#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaving_a_scope_lets_go_of_everything),
        cmocka_unit_test(each_attribute_calls_its_function),
        cmocka_unit_test(a_pool_goes_with_its_scope_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
