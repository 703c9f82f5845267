// SPDX-License-Identifier: MIT
//
// A swarm of peers, good and bad: random sizes, orders, chokes, rejects, lies and deaths, in both ways of receiving. The model
// is the torrent itself: each piece comes out once, with the right bytes, whatever happens.
#include "../unit/torrent_testing.h"

#define PEERS 6
#define OPEN_REQUESTS 256

struct peer {
    struct zcb_torrent_wire *wire;
    struct stream s;
    uint8_t bits[64];
    uint8_t todo[OPEN_REQUESTS][17]; // REQUESTs that have not been answered
    uint32_t count;
    bool fast, choking, lies;
    uint64_t stored;
};

struct swarm {
    struct finished finished;
    uint64_t rng;
    struct zcb_pool *pool;
    struct zcb_torrent_assembler *a;
    struct peer peers[PEERS];
    bool done[512];
    bool later;
    uint32_t waiting[512], waits;
    uint64_t now, failed, wrong_bytes;
};

static size_t
below(struct swarm *w, size_t n)
{
    return zcb_test_below(&w->rng, n);
}

static void
on_hash(void *ctx, void *state, uint32_t piece, size_t off, const uint8_t *data, size_t len)
{
    struct swarm *w = ctx;
    uint64_t *sum = state, at = zcb_torrent_piece_offset(&w->finished.geometry, piece) + off;

    assert_true(sum[0] == off);
    for (size_t i = 0; i < len; i++)
        sum[1] += data[i] != torrent_byte(at + i);
    sum[0] += len;
}

static enum zcb_torrent_verdict
on_verify(void *ctx, void *state, uint32_t piece)
{
    struct swarm *w = ctx;
    uint64_t *sum = state;

    assert_true(sum[0] == zcb_torrent_piece_length(&w->finished.geometry, piece));
    if (w->later && below(w, 2) == 0) {
        assert_true(w->waits < 512);
        w->waiting[w->waits++] = piece << 1 | (sum[1] == 0);
        return ZCB_TORRENT_HASH_LATER;
    }
    return sum[1] == 0 ? ZCB_TORRENT_HASH_RIGHT : ZCB_TORRENT_HASH_WRONG;
}

static void
on_done(void *ctx, uint32_t piece, struct zcb_packet *packet)
{
    struct swarm *w = ctx;

    assert_false(w->done[piece]);
    w->done[piece] = true;
    on_complete(&w->finished, piece, packet);
}

static void
on_failed(void *ctx, uint32_t piece, uint32_t culprit)
{
    struct swarm *w = ctx;

    w->failed++;
    // Whoever sent all of it lied; if nobody did, a liar is among them.
    if (culprit != ZCB_PIECE_NOBODY) {
        assert_true(w->peers[culprit % PEERS].lies);
    } else {
        bool liar = false;

        for (uint32_t b = 0; b < zcb_torrent_piece_blocks(&w->finished.geometry, piece); b++)
            liar |= w->peers[zcb_torrent_assembler_from(w->a, piece, b) % PEERS].lies;
        assert_true(liar);
    }
}

static void
connect_peer(struct swarm *w, uint32_t i)
{
    struct peer *p = &w->peers[i];
    struct zcb_torrent_handshake h = { .reserved = { 0 } };
    struct zcb_torrent_wire_config config = {
        .flags = ZCB_TORRENT_OFFER_FAST | (below(w, 3) != 0 ? ZCB_TORRENT_DIRECT : 0),
        .pipeline = 1 + (uint32_t)below(w, 40),
        .direct_blocks = 1 + (uint32_t)below(w, 20),
        .limits = { .max_unasked = UINT32_MAX, .max_keepalives = UINT32_MAX },
        .chain = { .chunk_size = 64u << below(w, 8) },
    };

    zcb_torrent_wire_destroy(&p->wire);
    stream_end(&p->s);
    p->count = 0;
    p->choking = false;
    p->fast = below(w, 2) == 0;
    if (p->fast)
        h.reserved[7] = 4;
    assert_int_equal(zcb_torrent_wire_create(w->pool, w->a, i, &config, &p->wire), 0);
    SAY(&p->s, handshake, &h);
    SAY(&p->s, bitfield, p->bits, zcb_torrent_bitfield_size(&w->finished.geometry));
    SAY0(&p->s, unchoke);
}

static uint32_t
number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void
forget(struct peer *p, uint32_t i)
{
    memmove(p->todo[i], p->todo[i + 1], (size_t)(--p->count - i) * 17);
}

// What we say to the peer reaches it.
static void
listen(struct swarm *w, struct peer *p)
{
    uint8_t out[17 * 64];
    int n = zcb_torrent_wire_output(p->wire, w->now, out, below(w, sizeof(out) + 1));

    assert_true(n >= 0 && n % 17 == 0);
    for (const uint8_t *m = out; m < out + n; m += 17) {
        assert_true(zcb_torrent_bit(p->bits, number(m + 5)));
        if (m[4] == ZCB_TORRENT_REQUEST) {
            assert_int_equal(zcb_torrent_geometry_check(&w->finished.geometry, number(m + 5), number(m + 9), number(m + 13)), 0);
            if (p->count == OPEN_REQUESTS) // too much for this one; without the fast extension it says nothing
                p->count -= p->fast ? 0 : OPEN_REQUESTS;
            if (p->count == OPEN_REQUESTS)
                SAY(&p->s, reject, number(m + 5), number(m + 9), number(m + 13));
            else if (!p->choking || p->fast)
                memcpy(p->todo[p->count++], m, 17);
            continue;
        }
        assert_int_equal(m[4], ZCB_TORRENT_CANCEL);
        for (uint32_t i = 0; i < p->count; i++)
            if (memcmp(p->todo[i] + 5, m + 5, 12) == 0 && (p->fast || below(w, 2) == 0)) {
                if (p->fast)
                    SAY(&p->s, reject, number(m + 5), number(m + 9), number(m + 13));
                forget(p, i);
                break;
            }
    }
}

static void
say(struct swarm *w, struct peer *p, bool honest)
{
    uint32_t i = below(w, 20) == 0 && p->count != 0 ? (uint32_t)below(w, p->count) : 0;
    size_t what = honest ? 99 : below(w, 60);
    const uint8_t *m = p->todo[i];

    if (what == 0) {
        SAY0(&p->s, keepalive);
    } else if (what == 1) {
        SAY(&p->s, have, number(m + 5) % w->finished.geometry.piece_count);
        if (number(m + 5) % w->finished.geometry.piece_count == number(m + 5))
            p->bits[number(m + 5) / 8] |= (uint8_t)(0x80 >> number(m + 5) % 8);
    } else if (what == 2) {
        size_t len = below(w, 3000);

        stream_u32(&p->s, (uint32_t)len + 1);
        stream_put(&p->s, "\x63", 1);
        memset(stream_grow(&p->s, len), 0, len);
    } else if (what == 3 && below(w, 4) == 0) {
        SAY0(&p->s, choke);
        p->choking = true;
        if (!p->fast)
            p->count = 0;
    } else if (what == 4 && p->fast && p->count != 0) {
        SAY(&p->s, reject, number(m + 5), number(m + 9), number(m + 13));
        forget(p, i);
    } else if (what == 5) {
        uint32_t piece = (uint32_t)below(w, w->finished.geometry.piece_count), len = zcb_torrent_block_length(&w->finished.geometry, piece, 0);

        say_block(&p->s, &w->finished.geometry, piece, 0, 1 + (uint32_t)below(w, len));
    } else if (what < 8 || (honest && p->choking)) {
        SAY0(&p->s, unchoke);
        p->choking = false;
    } else if (p->count != 0) {
        say_block(&p->s, &w->finished.geometry, number(m + 5), number(m + 9), number(m + 13));
        if (p->lies && !honest && below(w, 3) == 0)
            p->s.bytes[p->s.len - 1 - below(w, number(m + 13))] ^= 1;
        if (below(w, 30) != 0) // else once more, later
            forget(p, i);
    }
}

static void
receive(struct swarm *w, struct peer *p)
{
    struct zcb_torrent_message m;
    struct zcb_torrent_wire_stats stats;
    int r = 1;

    ssize_t got = line_recv(p->wire, &p->s, 1 + (below(w, 3) == 0 ? below(w, 40) : below(w, 20000)), 1 + (int)below(w, 40));

    assert_true(got >= 0 || got == -EBUSY);
    // Not always to the end.
    while (below(w, 40) != 0 && (r = zcb_torrent_wire_next(p->wire, &m)) > 0) {
        if (m.kind == ZCB_TORRENT_PIECE && m.result <= ZCB_TORRENT_PENDING)
            p->stored += m.length;
    }
    if (r < 0)
        fail_msg("%d: %s at %llu", r, zcb_torrent_wire_error(p->wire)->reason,
                 (unsigned long long)zcb_torrent_wire_error(p->wire)->at);
    assert_int_equal(zcb_torrent_wire_stats(p->wire, &stats, sizeof(stats)), 0);
    assert_true(stats.bytes == p->s.sent);
}

static void
run_swarm(uint64_t seed)
{
    static struct swarm w;
    struct zcb_torrent_assembler_stats stats;
    uint32_t piece_length, pieces, steps = 0;
    uint64_t total;

    memset(&w, 0, sizeof(w));
    w.rng = seed;
    piece_length = 1 + (uint32_t)below(&w, 20000);
    pieces = 1 + (uint32_t)below(&w, 60);
    total = (uint64_t)piece_length * (pieces - 1) + 1 + below(&w, piece_length);
    assert_int_equal(zcb_torrent_geometry_init(&w.finished.geometry, total, piece_length,
                                               1 + piece_length / (1 + (uint32_t)below(&w, 30))), 0);
    assert_int_equal(zcb_pool_create(NULL, &w.pool), 0);
    w.later = below(&w, 2) == 0;
    assert_int_equal(zcb_torrent_assembler_create(&w.finished.geometry,
                                                  &(struct zcb_torrent_assembler_config){
                                                      .max_bytes = piece_length * (1 + below(&w, 12)),
                                                      .request_timeout_ms = 300,
                                                      .stale_ms = 2000,
                                                      .preempt_ms = 100,
                                                      .hash = on_hash,
                                                      .hash_state_size = 16,
                                                      .verify = on_verify,
                                                      .complete = on_done,
                                                      .failed = on_failed,
                                                      .ctx = &w,
                                                  },
                                                  &w.a),
                     0);
    for (uint32_t i = 0; i < PEERS; i++) {
        w.peers[i].lies = below(&w, 4) == 0;
        for (uint32_t k = 0; k < pieces; k++)
            if (i == 0 || below(&w, 2) == 0)
                w.peers[i].bits[k / 8] |= (uint8_t)(0x80 >> k % 8);
        connect_peer(&w, i);
    }
    while (zcb_torrent_assembler_missing(w.a) != 0) {
        uint32_t i = (uint32_t)below(&w, PEERS);
        struct peer *p = &w.peers[i];
        bool honest = ++steps > 4000; // the bad ones have had their time

        switch (below(&w, 12)) {
        case 0: w.now += below(&w, honest ? 3 : 40); break; // in the end nobody is too slow
        case 1: zcb_torrent_assembler_expire(w.a, w.now); break;
        case 2:
            if (below(&w, 20) == 0 && !honest)
                connect_peer(&w, i);
            break;
        case 3: case 4: listen(&w, p); break;
        case 5: case 6: case 7: say(&w, p, honest); break;
        default: receive(&w, p); break;
        }
        while (w.waits != 0 && below(&w, 3) == 0) {
            uint32_t waiting = w.waiting[--w.waits];

            assert_int_equal(zcb_torrent_assembler_verified(w.a, waiting >> 1, waiting & 1),
                             waiting & 1 ? ZCB_TORRENT_DONE : ZCB_TORRENT_BAD);
        }
        if (steps > 2000000)
            fail_msg("does not come to an end: %u of %u pieces", zcb_torrent_assembler_missing(w.a), pieces);
    }
    assert_int_equal(w.finished.count, pieces);
    for (uint32_t i = 0; i < PEERS; i++) {
        zcb_torrent_wire_destroy(&w.peers[i].wire);
        stream_end(&w.peers[i].s);
    }
    assert_int_equal(zcb_torrent_assembler_stats(w.a, &stats, sizeof(stats)), 0);
    assert_int_equal(stats.active, 0);
    assert_int_equal(stats.reserved, 0);
    assert_int_equal(stats.failed, w.failed);
    assert_true(stats.stored_bytes == total + stats.lost_bytes);
    zcb_torrent_assembler_destroy(&w.a);
    zcb_pool_destroy(&w.pool);
}

static void
every_swarm_ends_with_the_right_bytes(void **state)
{
    (void)state;
    uint64_t seed = zcb_test_seed();

    for (size_t i = 0; i < zcb_test_rounds(150); i++)
        run_swarm(seed + i);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_swarm_ends_with_the_right_bytes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
