// SPDX-License-Identifier: MIT
//
// Where direct receive has the kernel write: each place that a plan hands out lies whole in the
// memory it is meant for. (Looked at from inside: a byte too many at the end of a plan falls into
// padding, where no sanitizer sees it.)
#include "adapt/torrent.h"
#include "torrent_testing.h"

#include "support/pools.h"

#define PIECE 65536u
#define BLOCK 16384u

static void
must_lie_in(const struct iovec *place, const void *memory, size_t len)
{
    const uint8_t *from = memory, *at = place->iov_base;

    assert_true(place->iov_len != 0 && place->iov_len <= len);
    assert_true(at >= from && (size_t)(at - from) <= len - place->iov_len);
}

static void
each_place_of_a_plan_is_in_its_own_memory(void **state)
{
    const struct zcb_torrent_handshake peer = {.reserved = {[5] = 0x10, [7] = 0x04}};
    struct finished finished = {.count = 0};
    struct zcb_torrent_assembler_config assembling = {.complete = on_complete, .ctx = &finished};
    struct zcb_torrent_assembler *assembler;
    struct zcb_torrent_wire *wire;
    struct stream s = {0};
    struct iovec iov[TORRENT_SEGMENTS];
    uint8_t out[4096];
    uint32_t heads = 0, bodies = 0, tails = 0;
    struct zcb_pool *pool = must_create(NULL);
    int n;

    (void)state;
    assert_int_equal(zcb_torrent_geometry_init(&finished.geometry, 2 * PIECE + 100, PIECE, 0), 0);
    assert_int_equal(zcb_torrent_assembler_create(&finished.geometry, &assembling, &assembler), 0);
    assert_int_equal(
        zcb_torrent_wire_create(pool, assembler, 3,
                                &(struct zcb_torrent_wire_config){
                                    .flags = ZCB_TORRENT_DIRECT | ZCB_TORRENT_OFFER_FAST,
                                    .pipeline = 16,
                                    .direct_blocks = 16,
                                    .peer_handshake = &peer,
                                },
                                &wire),
        0);
    SAY0(&s, have_all);
    SAY0(&s, unchoke);
    assert_int_equal(line_run(wire, &s, SIZE_MAX, 64, NULL), 0);
    n = zcb_torrent_wire_output(wire, 0, out, sizeof(out));
    assert_true(n > 0);
    // All that is owed fits the plan, so its end is a tail.
    n = zcb_torrent_wire_recv_plan(wire, iov, TORRENT_SEGMENTS);
    assert_int_equal(n, wire->plan->count);
    assert_int_equal(n, 2 * 9 + 1);
    for (int i = 0; i < n; i++) {
        const struct torrent_segment *segment = &wire->plan->segments[i];
        struct iovec own;

        assert_ptr_equal(iov[i].iov_base, segment->base);
        assert_int_equal(iov[i].iov_len, segment->len);
        switch (segment->kind) {
        case TORRENT_HEAD:
            must_lie_in(&iov[i], wire->plan->heads[heads++], sizeof(wire->plan->heads[0]));
            break;
        case TORRENT_BODY:
            assert_int_equal(zcb_torrent_assembler_place(assembler, &segment->claim.request, &own), 0);
            must_lie_in(&iov[i], own.iov_base, own.iov_len);
            assert_int_equal(own.iov_len, segment->claim.request.length);
            bodies++;
            break;
        case TORRENT_TAIL:
            must_lie_in(&iov[i], wire->plan->tail, sizeof(wire->plan->tail));
            tails++;
            break;
        }
    }
    assert_int_equal(heads, 9);
    assert_int_equal(bodies, 9);
    assert_int_equal(tails, 1);
    zcb_torrent_wire_destroy(&wire);
    zcb_torrent_assembler_destroy(&assembler);
    stream_end(&s);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_place_of_a_plan_is_in_its_own_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
