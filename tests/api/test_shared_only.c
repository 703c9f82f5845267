// SPDX-License-Identifier: MIT
// A walk through every module with the shared library alone: what it calls is exported, also the
// inline functions, whose addresses are taken so that the library's own symbol is used.

#include "testing.h"

#include <string.h>

#include <zcbuf/zcbuf.h>

static void
a_message_goes_from_the_pool_to_a_packet(void **state)
{
    static const struct {
        size_t (*len)(const struct zcb_chain *);
        const uint8_t *(*peek)(const struct zcb_chain *, size_t, size_t, void *);
        int (*peek_u8)(const struct zcb_chain *, size_t, uint8_t *);
        int (*discard)(struct zcb_chain *, size_t);
        struct zcb_packet (*ref)(const struct zcb_packet *);
        void (*unref)(struct zcb_packet *);
    } call = {zcb_chain_len,     zcb_chain_peek, zcb_chain_peek_u8,
              zcb_chain_discard, zcb_packet_ref, zcb_packet_unref};
    struct zcb_pool *pool;
    struct zcb_buf *buf;
    struct zcb_chain chain;
    struct zcb_packet packet, again, message;
    uint8_t *at, first;

    (void)state;
    assert_string_equal(zcb_version(), ZCB_VERSION_STRING);
    assert_non_null(zcb_strerror(-ENOBUFS));
    assert_int_equal(zcb_pool_create(NULL, &pool), 0);
    assert_int_equal(zcb_thread_warm(pool), 0);
    assert_int_equal(zcb_pool_acquire(pool, 100, &buf), 0);
    assert_int_equal(zcb_buf_append(buf, 7, &at), 0);
    memcpy(at, "message", 7);
    zcb_buf_share(&buf, &packet);
    again = call.ref(&packet);
    assert_false(zcb_packet_is_unique(&packet));

    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    assert_int_equal(call.len(&chain), 7);
    assert_memory_equal(call.peek(&chain, 0, 7, NULL), "message", 7);
    assert_int_equal(call.peek_u8(&chain, 1, &first), 0);
    assert_int_equal(first, 'e');
    assert_int_equal(call.discard(&chain, 4), 0);
    assert_int_equal(zcb_chain_take(&chain, 3, &message), 0);
    assert_ptr_equal(message.data, again.data + 4);

    call.unref(&message);
    call.unref(&again);
    zcb_chain_finish(&chain);
    zcb_thread_flush();
    zcb_pool_destroy(&pool);
}

static void
a_piece_is_assembled(void **state)
{
    struct zcb_piece *piece;
    struct zcb_packet whole;
    struct zcb_pool *pool;
    uint8_t block[16384] = {1};

    (void)state;
    assert_int_equal(zcb_pool_create(NULL, &pool), 0);
    assert_int_equal(zcb_piece_create(pool, 16384 + 1, NULL, &piece), 0);
    assert_int_equal(zcb_piece_write(piece, 1, "x", 1, 7), 0);
    assert_int_equal(zcb_piece_take(&piece, &whole), -EAGAIN);
    assert_int_equal(zcb_piece_write(piece, 0, block, sizeof(block), 7), 0);
    assert_int_equal(zcb_piece_take(&piece, &whole), 0);
    assert_int_equal(whole.len, 16384 + 1);
    assert_int_equal(whole.data[0], 1);
    assert_int_equal(whole.data[16384], 'x');
    zcb_packet_unref(&whole);
    zcb_pool_destroy(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_from_the_pool_to_a_packet),
        cmocka_unit_test(a_piece_is_assembled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
