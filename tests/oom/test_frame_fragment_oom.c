// SPDX-License-Identifier: MIT
//
// A datagram cut up and put together again, with the n-th request for memory failing, for every n
// up to where none fails any more: the call that is refused says so and has changed nothing, the
// same call works afterwards, the datagram is the same, and at the end nothing is left.
#include "../unit/fragment_testing.h"

#include "support/alloc_count.h"
#include "support/pools.h"

#define LEN 5000
#define PIECES 24

static bool any_failed;

static bool
refused(int result)
{
    any_failed |= zcb_alloc_failed() != 0;
    if (result >= 0)
        return false;
    assert_int_equal(result, -ENOMEM);
    assert_true(zcb_alloc_failed() != 0);
    zcb_alloc_fail(0, false);
    return true;
}

static struct zcb_reassembler *
made(struct zcb_pool *pool, uint64_t nth)
{
    struct zcb_reassembler *r = NULL;
    int64_t live = zcb_alloc_live();

    zcb_alloc_fail(nth, false);
    if (refused(zcb_reassembler_create(pool, 1, NULL, &r))) {
        assert_null(r);
        assert_int_equal(zcb_alloc_live(), live);
        assert_int_equal(zcb_reassembler_create(pool, 1, NULL, &r), 0);
    }
    return r;
}

// Every fragment's bytes, and how many there are. Buffers of headers are kept until the end, so
// that each needs a new one.
static size_t
cut_up(struct zcb_pool *pool, const struct zcb_packet *whole, uint64_t nth,
       struct zcb_packet packets[PIECES], uint8_t bytes[PIECES][400])
{
    struct zcb_packet headers[PIECES];
    struct zcb_fragmenter cut;
    struct zcb_chain part;
    struct zcb_frame frame;
    size_t count = 0;

    zcb_alloc_fail(nth, false);
    assert_int_equal(zcb_chain_init(&part, pool, NULL), 0);
    assert_int_equal(zcb_frame_parse(whole->data, whole->len, ZCB_FRAME_LINK_RAW, NULL, &frame), 0);
    assert_int_equal(zcb_fragmenter_init(&cut, pool, whole, &frame, 300, NULL), 0);
    for (;; count++) {
        int result = zcb_fragmenter_next(&cut, &part);

        if (refused(result)) {
            assert_int_equal(zcb_chain_len(&part), 0);
            result = zcb_fragmenter_next(&cut, &part);
        }
        if (result == 0)
            break;
        assert_int_equal(result, 1);
        assert_true(count < PIECES);
        packets[count] = zcb_packet_static(bytes[count], zcb_chain_len(&part));
        assert_int_equal(zcb_chain_copy_to(&part, 0, bytes[count], packets[count].len), 0);
        assert_int_equal(zcb_chain_take(&part, cut.header_len, &headers[count]), 0);
        zcb_chain_discard(&part, zcb_chain_len(&part));
    }
    for (size_t i = 0; i < count; i++)
        zcb_packet_unref(&headers[i]);
    zcb_chain_finish(&part);
    return count;
}

static void
attempt(uint8_t version, uint64_t nth)
{
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 256}}, .slab_size = 256, .flags = ZCB_POOL_NO_CACHE};
    static uint8_t bytes[PIECES][400], datagram[LEN + 100];
    struct whole w = {.version = version};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_packet packets[PIECES], whole;
    struct zcb_reassembler *r;
    struct zcb_chain out;
    size_t count, size = whole_header(&w, datagram, 0, LEN, false, false);
    int result = ZCB_REASSEMBLY_HELD;

    for (uint32_t i = 0; i < LEN; i++)
        datagram[size + i] = whole_byte(&w, i);
    whole = zcb_packet_static(datagram, size + LEN);
    r = made(pool, nth);
    count = cut_up(pool, &whole, nth, packets, bytes);
    assert_int_equal(zcb_chain_init(&out, pool, NULL), 0);
    zcb_alloc_fail(nth, false);
    for (size_t i = count; i-- != 0;) {
        struct zcb_reassembler_stats before = stats_of(r), now;

        assert_int_equal(result, ZCB_REASSEMBLY_HELD);
        result = give(r, &packets[i], 0, &out);
        if (refused(result)) {
            now = stats_of(r);
            assert_memory_equal(&now, &before, sizeof(now));
            assert_int_equal(zcb_chain_len(&out), 0);
            result = give(r, &packets[i], 0, &out);
        }
    }
    zcb_alloc_fail(0, false);
    assert_int_equal(result, ZCB_REASSEMBLY_DONE);
    assert_true(chain_is(&out, datagram, size + LEN));
    zcb_chain_finish(&out);
    zcb_reassembler_destroy(&r);
    must_end(&pool);
}

static void
every_request_may_fail(void **state)
{
    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    for (uint8_t version = 4; version <= 6; version += 2) {
        int64_t live = 0;
        uint64_t nth;

        any_failed = true;
        for (nth = 1; any_failed; nth++) {
            any_failed = false;
            if (nth == 2)
                live = zcb_alloc_live();
            attempt(version, nth);
            if (nth > 2)
                assert_int_equal(zcb_alloc_live(), live);
            assert_true(nth < 200);
        }
        // Five for the reassembler, at least one for each header in a slab of its own.

        assert_true(nth > 20);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
