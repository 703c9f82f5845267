// SPDX-License-Identifier: MIT
//
// A download in which the n-th allocation fails, for every n: whatever call that is says -ENOMEM or
// does a little less, it can be made again, the download ends all the same, and nothing is left
// behind.

#include "testing.h"

#include "support/alloc_count.h"
#include "support/pools.h"
#include "unit/torrent_testing.h"

#define PIECE 32768u
#define PIECES 12

struct download {
    struct finished finished;
    struct zcb_pool *pool;
    struct zcb_torrent_assembler *assembler;
    struct zcb_torrent_wire *wire;
    struct stream stream;
    unsigned refused; // calls that said -ENOMEM
};

// Whether a call is to be made again.
static bool
again(struct download *d, int result)
{
    if (result != -ENOMEM)
        return false;
    assert_true(zcb_alloc_failed() != 0);
    d->refused++;
    return true;
}

static void
create(struct download *d, uint32_t flags)
{
    static const struct zcb_torrent_handshake peer = {.reserved = {[5] = 0x10, [7] = 0x04}};
    const struct zcb_torrent_assembler_config assembling = {.complete = on_complete,
                                                            .ctx = &d->finished};
    const struct zcb_torrent_wire_config config = {
        .flags = flags | ZCB_TORRENT_OFFER_FAST, .pipeline = 6, .peer_handshake = &peer};
    int r;

    do {
        r = zcb_torrent_assembler_create(&d->finished.geometry, &assembling, &d->assembler);
        assert_true((r == 0) == (d->assembler != NULL));
    } while (again(d, r));
    assert_int_equal(r, 0);
    do {
        r = zcb_torrent_wire_create(d->pool, d->assembler, 3, &config, &d->wire);
        assert_true((r == 0) == (d->wire != NULL));
    } while (again(d, r));
    assert_int_equal(r, 0);
}

static void
receive(struct download *d)
{
    struct zcb_torrent_message message;
    struct iovec iov[64];
    size_t got = 0;
    int n, r;

    do
        n = zcb_torrent_wire_recv_plan(d->wire, iov, 64);
    while (again(d, n));
    assert_true(n > 0);
    for (int i = 0; i < n && d->stream.sent < d->stream.len; i++) {
        size_t len = d->stream.len - d->stream.sent;

        len = len < iov[i].iov_len ? len : iov[i].iov_len;
        memcpy(iov[i].iov_base, d->stream.bytes + d->stream.sent, len);
        d->stream.sent += len;
        got += len;
    }
    assert_int_equal(zcb_torrent_wire_received(d->wire, got), 0);
    while ((r = zcb_torrent_wire_next(d->wire, &message)) > 0 || again(d, r))
        continue;
    assert_int_equal(r, 0);
}

static void
run(struct download *d)
{
    uint8_t out[4096];
    int n;

    SAY0(&d->stream, have_all);
    SAY0(&d->stream, unchoke);
    SAY(&d->stream, have, 7); // where a block was foretold
    for (int turn = 0; d->finished.count < PIECES; turn++) {
        assert_true(turn < 1000);
        if (d->stream.sent < d->stream.len)
            receive(d);
        n = zcb_torrent_wire_output(d->wire, 0, out, sizeof(out));
        assert_true(n >= 0 || again(d, n));
        if (n > 0)
            answer_requests(&d->stream, &d->finished.geometry, out, (size_t)n);
        if (n > 0 && turn % 2 == 1)
            SAY(&d->stream, have, 7);
    }
}

// The n-th allocation fails; 0: none. Returns whether there were so many.
static bool
download_with_a_failure(uint32_t flags, size_t n)
{
    struct download d = {.refused = 0};
    int64_t live = zcb_alloc_live();
    bool failed;

    assert_int_equal(
        zcb_torrent_geometry_init(&d.finished.geometry, (PIECES - 1) * PIECE + 5, PIECE, 0), 0);
    d.pool = must_create(NULL);
    d.stream.room = 2 * PIECES * PIECE; // the test itself needs no more
    d.stream.bytes = malloc(d.stream.room);
    assert_non_null(d.stream.bytes);
    zcb_alloc_fail(n, false);
    create(&d, flags);
    run(&d);
    failed = zcb_alloc_failed() != 0;
    zcb_alloc_fail(0, false);
    zcb_torrent_wire_destroy(&d.wire);
    zcb_torrent_assembler_destroy(&d.assembler);
    stream_end(&d.stream);
    must_end(&d.pool);
    if (n != 0) // before the first, this thread had nothing of its own yet
        assert_int_equal(zcb_alloc_live(), live);
    assert_true(d.refused <= 1);
    return failed;
}

static void
with_each_allocation_failing_once(uint32_t flags)
{
    size_t n = 0;

    if (!zcb_alloc_count_works())
        skip();
    while (download_with_a_failure(flags, n) || n == 0)
        n++;
    assert_true(n > 20);
}

static void
a_download_survives_each_allocation_that_fails(void **state)
{
    (void)state;
    with_each_allocation_failing_once(0);
}

static void
so_does_one_that_receives_in_place(void **state)
{
    (void)state;
    with_each_allocation_failing_once(ZCB_TORRENT_DIRECT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_download_survives_each_allocation_that_fails),
        cmocka_unit_test(so_does_one_that_receives_in_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
