// SPDX-License-Identifier: MIT
//
// Calls with no bytes: nothing to append, nothing to read, nothing to cut off. Each succeeds, takes
// NULL where bytes would lie, and leaves everything as it was.

#include "testing.h"

#include "support/alloc_count.h"
#include "support/chain_tools.h"
#include "support/pools.h"

struct things {
    struct zcb_pool *pool;
    struct zcb_buf *buf;
    struct zcb_chain chain;
    struct zcb_packet packet;
};

static int
buf_append(struct things *things)
{
    uint8_t *at = NULL;

    assert_int_equal(zcb_buf_append(things->buf, 0, &at), 0);
    assert_ptr_equal(at, zcb_buf_data(things->buf) + 3);
    return zcb_buf_append(things->buf, 0, NULL);
}

static int
buf_prepend(struct things *things)
{
    uint8_t *at = NULL;

    assert_int_equal(zcb_buf_prepend(things->buf, 0, &at), 0);
    assert_ptr_equal(at, zcb_buf_data(things->buf));
    return zcb_buf_prepend(things->buf, 0, NULL);
}

static int
buf_trim(struct things *things)
{
    return zcb_buf_trim(things->buf, 0, 0);
}

static int
buf_set_len(struct things *things)
{
    return zcb_buf_set_len(things->buf, 3); // what it is
}

static int
buf_publish(struct things *things)
{
    struct zcb_packet none = {0};
    int result = zcb_buf_publish(things->buf, 0, &none);

    assert_int_equal(none.len, 0);
    zcb_packet_unref(&none);
    return result;
}

static int
buf_release_none(struct things *things)
{
    (void)things;
    zcb_buf_release_n(NULL, 0);
    return 0;
}

static int
pool_acquire_none(struct things *things)
{
    return zcb_pool_acquire_n(things->pool, 1, NULL, 0);
}

static int
packet_copy(struct things *things)
{
    struct zcb_packet none = {0};
    int result = zcb_packet_copy(things->pool, NULL, 0, &none);

    assert_int_equal(none.len, 0);
    zcb_packet_unref(&none);
    return result;
}

static int
packet_slice(struct things *things)
{
    struct zcb_packet none = {0};
    int result = zcb_packet_slice(&things->packet, 4, 0, &none);

    assert_int_equal(none.len, 0);
    assert_null(none.owner);
    return result;
}

static int
packet_compact(struct things *things)
{
    struct zcb_packet none = {0};

    return zcb_packet_compact(&none, things->pool);
}

static int
chain_append(struct things *things)
{
    assert_int_equal(zcb_chain_append(&things->chain, "", 0), 0);
    return zcb_chain_append(&things->chain, NULL, 0);
}

static int
chain_push(struct things *things)
{
    struct zcb_packet none = {0};

    assert_int_equal(zcb_chain_push_front(&things->chain, &none), 0);
    return zcb_chain_push(&things->chain, &none);
}

static int
chain_copy_to(struct things *things)
{
    assert_int_equal(zcb_chain_copy_to(&things->chain, 5, NULL, 0), 0); // at its end
    return zcb_chain_copy_to(&things->chain, 0, NULL, 0);
}

static int
chain_consume(struct things *things)
{
    return zcb_chain_consume(&things->chain, NULL, 0);
}

static int
chain_discard(struct things *things)
{
    return zcb_chain_discard(&things->chain, 0);
}

static int
chain_take(struct things *things)
{
    struct zcb_packet none = {0};
    int result = zcb_chain_take(&things->chain, 0, &none);

    assert_int_equal(none.len, 0);
    zcb_packet_unref(&none);
    return result;
}

static int
chain_slice(struct things *things)
{
    struct zcb_packet none = {0};
    int result = zcb_chain_slice(&things->chain, 5, 0, &none);

    assert_int_equal(none.len, 0);
    zcb_packet_unref(&none);
    return result;
}

static int
chain_split_and_move(struct things *things)
{
    struct zcb_chain front;
    int result;

    assert_int_equal(zcb_chain_init(&front, things->pool, NULL), 0);
    result = zcb_chain_split(&things->chain, 0, &front);
    assert_int_equal(zcb_chain_len(&front), 0);
    assert_int_equal(zcb_chain_move(&things->chain, &front), 0);
    zcb_chain_finish(&front);
    return result;
}

static const struct {
    const char *name;
    int (*call)(struct things *things);
} calls[] = {
    {"buf_append", buf_append},
    {"buf_prepend", buf_prepend},
    {"buf_trim", buf_trim},
    {"buf_set_len", buf_set_len},
    {"buf_publish", buf_publish},
    {"buf_release_n", buf_release_none},
    {"pool_acquire_n", pool_acquire_none},
    {"packet_copy", packet_copy},
    {"packet_slice", packet_slice},
    {"packet_compact", packet_compact},
    {"chain_append", chain_append},
    {"chain_push", chain_push},
    {"chain_copy_to", chain_copy_to},
    {"chain_consume", chain_consume},
    {"chain_discard", chain_discard},
    {"chain_take", chain_take},
    {"chain_slice", chain_slice},
    {"chain_split, chain_move", chain_split_and_move},
};

static void
no_bytes_are_no_error_and_change_nothing(void **state)
{
    struct things things = {.pool = must_create(NULL)};
    uint8_t *at;

    (void)state;
    things.buf = must_acquire(things.pool, 3);
    assert_int_equal(zcb_buf_append(things.buf, 3, &at), 0);
    memcpy(at, "abc", 3);
    assert_int_equal(zcb_chain_init(&things.chain, things.pool, NULL), 0);
    push_cut(&things.chain, (const uint8_t *)"hello", 5, 2);
    things.packet = lone_packet("pack", 4);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        struct zcb_pool_stats before = must_stats(things.pool), after;
        struct zcb_copies copies = copies_now();
        int64_t allocated = zcb_alloc_live();
        int result = calls[i].call(&things);

        if (result != 0)
            fail_msg("%s: %d", calls[i].name, result);
        after = must_stats(things.pool);
        if (after.total.live != before.total.live || zcb_alloc_live() != allocated)
            fail_msg("%s: something is out", calls[i].name);
        if (!nothing_copied(&copies))
            fail_msg("%s: copied", calls[i].name);
        if (zcb_buf_len(things.buf) != 3 || memcmp(zcb_buf_data(things.buf), "abc", 3) != 0)
            fail_msg("%s: the buf is another", calls[i].name);
        if (!chain_is(&things.chain, "hello", 5) || zcb_chain_chunks(&things.chain) != 3)
            fail_msg("%s: the chain is another", calls[i].name);
        assert_chain_sound(&things.chain);
        if (things.packet.len != 4 || !zcb_packet_is_unique(&things.packet))
            fail_msg("%s: the packet is another", calls[i].name);
    }
    zcb_packet_unref(&things.packet);
    zcb_chain_finish(&things.chain);
    zcb_buf_release(&things.buf);
    must_end(&things.pool);
}

static void
compacting_an_empty_view_lets_go_of_its_block(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_packet packet = must_packet(pool, 1);

    (void)state;
    packet.len = 0; // a packet is a value: its holder may narrow it
    assert_int_equal(zcb_packet_compact(&packet, NULL), 1);
    assert_null(packet.owner);
    assert_int_equal(must_be_at_rest(pool).total.live, 0);
    packet = must_packet(pool, 1);
    assert_int_equal(zcb_packet_compact(&packet, NULL), -EINVAL);
    assert_int_equal(packet.len, 1);
    zcb_packet_unref(&packet);
    must_end(&pool);
}

// NULL stands for no bytes only where there are none.
static void
null_with_a_length_is_refused(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_packet packet = {0};
    struct zcb_chain chain;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    assert_int_equal(zcb_chain_append(&chain, "ab", 2), 0);
    assert_int_equal(zcb_chain_append(&chain, NULL, 1), -EINVAL);
    assert_int_equal(zcb_chain_copy_to(&chain, 0, NULL, 1), -EINVAL);
    assert_int_equal(zcb_chain_consume(&chain, NULL, 1), -EINVAL);
    assert_int_equal(zcb_packet_copy(pool, NULL, 1, &packet), -EINVAL);
    assert_int_equal(zcb_pool_acquire_n(pool, 1, NULL, 1), -EINVAL);
    assert_true(chain_is(&chain, "ab", 2));
    zcb_chain_finish(&chain);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bytes_are_no_error_and_change_nothing),
        cmocka_unit_test(compacting_an_empty_view_lets_go_of_its_block),
        cmocka_unit_test(null_with_a_length_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
