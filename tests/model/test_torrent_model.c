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

// ---- one stream, however it comes
//
// The same bytes, right or wrong, are cut at random and brought in each way that there is. A parser that looks at one
// array says what must be heard, and where the first error is.

#define EXTENDED_MAX 3000u
#define UNKNOWN_MAX 2000u
#define EVENTS 8192

enum way { COPIES, SLICES, READS, DIRECT, MIXED, WAYS };

struct asked {
    uint8_t span[12];
    bool dead;
};

struct reference {
    const struct zcb_torrent_geometry *g;
    const struct stream *s;
    size_t at;         // where the message begins that is next
    bool begun;        // a PIECE whose header was there
    struct zcb_torrent_message current;
    bool wanted; // it was asked for, and is awaited
    bool fast, closed, failed;
    uint64_t failed_at;
    struct asked queue[256];
    uint32_t count, room;
    uint8_t blocks[64][64]; // 1: right, 2: wrong
    bool have[64];
    struct zcb_torrent_message events[EVENTS];
    size_t places[EVENTS]; // where they begin
    uint32_t heard;
    uint64_t stored;
};

struct receiver {
    struct swarm hashes; // for its callbacks
    struct zcb_pool *pool;
    struct zcb_torrent_wire *wire;
    struct stream s; // the same bytes
    uint32_t heard;
    uint64_t consumed, appended, copied;
    bool failed;
};

static void
ref_fail(struct reference *ref, uint32_t field)
{
    ref->failed = true;
    ref->failed_at = ref->at + field;
}

static void
ref_hear(struct reference *ref, const struct zcb_torrent_message *m)
{
    assert_true(ref->heard < EVENTS);
    ref->places[ref->heard] = ref->at;
    ref->events[ref->heard++] = *m;
    ref->at += m->size;
}

static void
ref_ask(struct reference *ref, const uint8_t *span)
{
    uint32_t i = 0;

    if (ref->count == ref->room) {
        while (!ref->queue[i].dead)
            i++;
        memmove(&ref->queue[i], &ref->queue[i + 1], (--ref->count - i) * sizeof(ref->queue[0]));
    }
    memcpy(ref->queue[ref->count].span, span, 12);
    ref->queue[ref->count++].dead = false;
}

// 2: awaited, 1: given up, 0: never asked for.
static int
ref_take(struct reference *ref, uint32_t index, uint32_t begin, uint32_t length)
{
    uint32_t found = ref->count;
    int r;

    for (uint32_t i = 0; i < ref->count; i++) {
        const struct asked *q = &ref->queue[i];

        if (number(q->span) == index && number(q->span + 4) == begin && number(q->span + 8) == length &&
            (found == ref->count || (ref->queue[found].dead && !q->dead)))
            found = i;
    }
    if (found == ref->count)
        return 0;
    r = ref->queue[found].dead ? 1 : 2;
    memmove(&ref->queue[found], &ref->queue[found + 1], (--ref->count - found) * sizeof(ref->queue[0]));
    return r;
}

// The block is whole.
static void
ref_block(struct reference *ref)
{
    struct zcb_torrent_message *m = &ref->current;
    uint64_t at = zcb_torrent_piece_offset(ref->g, m->index) + m->begin;
    uint8_t *blocks = ref->blocks[m->index], right = 1;
    uint32_t n = zcb_torrent_piece_blocks(ref->g, m->index);
    bool whole = true, wrong = false;

    ref->begun = false;
    ref->closed = true;
    if (ref->wanted) {
        for (uint32_t i = 0; i < m->length; i++)
            if (ref->s->bytes[ref->at + 13 + i] != torrent_byte(at + i))
                right = 2;
        blocks[m->begin / ref->g->block_length] = right;
        for (uint32_t i = 0; i < n; i++) {
            whole &= blocks[i] != 0;
            wrong |= blocks[i] == 2;
        }
        m->result = !whole ? ZCB_TORRENT_STORED : wrong ? ZCB_TORRENT_BAD : ZCB_TORRENT_DONE;
        ref->stored += m->length;
        if (whole && wrong)
            memset(blocks, 0, n);
        ref->have[m->index] = whole && !wrong;
    }
    ref_hear(ref, m);
}

// One message, or what can be said of it already. False: more has to come.
static bool
ref_step(struct reference *ref)
{
    const struct zcb_torrent_geometry *g = ref->g;
    const uint8_t *at = ref->s->bytes + ref->at;
    size_t have = ref->s->len - ref->at, bits = zcb_torrent_bitfield_size(g);
    struct zcb_torrent_message m = { .size = 4 };
    uint32_t len, head;
    uint8_t id;
    bool right;

    if (have < 4)
        return false;
    len = number(at);
    m.size = (uint64_t)len + 4;
    if (len == 0) {
        m.kind = ZCB_TORRENT_KEEPALIVE;
        ref_hear(ref, &m);
        return true;
    }
    if (have < 5) {
        if (len > EXTENDED_MAX && len > g->block_length + 9)
            ref_fail(ref, 0);
        return false;
    }
    id = m.id = at[4];
    m.kind = (enum zcb_torrent_kind)id;
    head = id <= 3 || id == 14 || id == 15 ? 1 : id == 4 || id == 13 || id == 17 ? 5 : id == 6 || id == 8 || id == 16 ? 13 : id == 9 ? 3 : id == 7 ? 9 : id == 20 ? 2 : 1;
    right = len == head;
    if (id == 5)
        right = len == bits + 1;
    else if (id == 7)
        right = len >= 10 && len <= g->block_length + 9;
    else if (id == 20)
        right = len >= 2 && len <= EXTENDED_MAX;
    else if (id > 20 || id == 10 || id == 11 || id == 12 || id == 18 || id == 19)
        m.kind = ZCB_TORRENT_UNKNOWN, right = len <= UNKNOWN_MAX;
    if (!right) {
        ref_fail(ref, 0);
        return false;
    }
    if (have < 4 + head)
        return false;
    if (head == 3)
        m.index = (uint32_t)at[5] << 8 | at[6];
    if (id == 20)
        m.extended_id = at[5];
    if (id == 5 || id == 7 || id == 20 || m.kind == ZCB_TORRENT_UNKNOWN) {
        m.payload_off = 4 + head;
        m.payload_len = len - head;
    }
    if (head == 5 || head == 9 || head == 13) {
        m.index = number(at + 5);
        if (m.index >= g->piece_count) {
            ref_fail(ref, 5);
            return false;
        }
    }
    if (head >= 9) {
        uint64_t piece = m.index + 1 == g->piece_count ? g->last_piece_length : g->piece_length;

        m.begin = number(at + 9);
        m.length = head == 9 ? len - 9 : number(at + 13);
        if (m.length == 0 || (uint64_t)m.begin + m.length > piece) {
            ref_fail(ref, 9);
            return false;
        }
    }
    if (id == 7 && !ref->begun) {
        int r = ref_take(ref, m.index, m.begin, m.length);

        ref->begun = true;
        ref->wanted = r == 2;
        ref->current = m;
        ref->current.result = r == 0 ? ZCB_TORRENT_UNASKED : ZCB_TORRENT_LATE;
    }
    if (have < m.size)
        return false;
    if (id == 7) {
        ref_block(ref);
        return true;
    }
    if (m.kind == ZCB_TORRENT_UNKNOWN) {
        ref->at += m.size;
        return true;
    }
    if ((id >= 13 && id <= 17 && !ref->fast) || (id == 15 && ref->closed)) {
        ref_fail(ref, 4);
        return false;
    }
    if (id == 5 && (at[m.size - 1] & (0xff >> ((g->piece_count - 1) % 8 + 1))) != 0) {
        ref_fail(ref, (uint32_t)m.size - 1);
        return false;
    }
    if (id == 16)
        (void)ref_take(ref, m.index, m.begin, m.length);
    if (id == 0 && !ref->fast)
        for (uint32_t i = 0; i < ref->count; i++)
            ref->queue[i].dead = true;
    ref->closed |= id > 3 && id != 9 && id != 20;
    ref_hear(ref, &m);
    return true;
}

// A message that comes by itself, or the answer to a REQUEST.
static void
utter(uint64_t *rng, struct stream *s, const struct zcb_torrent_geometry *g, bool fast, uint8_t (*todo)[12], uint32_t *count)
{
    uint32_t i = zcb_test_below(rng, 4) == 0 && *count != 0 ? (uint32_t)zcb_test_below(rng, *count) : 0;
    size_t what = zcb_test_below(rng, 24), len;
    const uint8_t *m = todo[i];

    switch (what) {
    case 0: SAY0(s, keepalive); break;
    case 1: SAY(s, have, (uint32_t)zcb_test_below(rng, g->piece_count)); break;
    case 2:
        len = zcb_test_below(rng, UNKNOWN_MAX - 1);
        stream_u32(s, (uint32_t)len + 1);
        stream_put(s, "\x63", 1);
        memset(stream_grow(s, len), 7, len);
        break;
    case 3:
        len = zcb_test_below(rng, EXTENDED_MAX - 2);
        SAY(s, extended, (uint8_t)zcb_test_below(rng, 256), len);
        for (size_t k = 0; k < len; k++)
            *stream_grow(s, 1) = (uint8_t)zcb_test_random(rng);
        break;
    case 4:
        if (zcb_test_below(rng, 3) == 0) {
            SAY0(s, choke);
            SAY0(s, unchoke);
        }
        break;
    case 5: SAY(s, port, (uint16_t)zcb_test_below(rng, 65536)); break;
    case 6: SAY(s, request, (uint32_t)zcb_test_below(rng, g->piece_count), 0, 1); break;
    case 7:
        say_block(s, g, (uint32_t)zcb_test_below(rng, g->piece_count), 0, 1 + (uint32_t)zcb_test_below(rng, g->block_length < g->last_piece_length ? g->block_length : g->last_piece_length));
        break;
    default:
        if (*count == 0)
            break;
        if (what == 8 && fast)
            SAY(s, reject, number(m), number(m + 4), number(m + 8));
        else
            say_block(s, g, number(m), number(m + 4), number(m + 8));
        if (what == 9)
            s->bytes[s->len - 1 - zcb_test_below(rng, number(m + 8))] ^= 1;
        if (zcb_test_below(rng, 20) != 0) // else once more, later
            memmove(todo[i], todo[i + 1], (size_t)(--*count - i) * 12);
    }
}

static void
bring(struct receiver *r, enum way way, uint64_t *rng, size_t most)
{
    struct zcb_packet packet, all = { 0 };
    size_t left = r->s.len - r->s.sent < 4 * most ? r->s.len - r->s.sent : 4 * most;
    ssize_t got;

    if (way == MIXED)
        way = (enum way)zcb_test_below(rng, 4);
    if (way == READS || way == DIRECT) {
        got = line_recv(r->wire, &r->s, most, 1 + (int)zcb_test_below(rng, 40));
        assert_true(got >= 0 || got == -EBUSY);
        return;
    }
    // Slices are adjacent in one packet; copies are not.
    if (way == SLICES)
        assert_int_equal(zcb_packet_copy(r->pool, r->s.bytes + r->s.sent, left, &all), 0);
    r->copied += all.len;
    for (size_t off = 0, n = 1 + zcb_test_below(rng, 4); n > 0 && off < left; n--) {
        size_t len = left - off < most ? left - off : most;
        int result;

        if (way == SLICES)
            assert_int_equal(zcb_packet_slice(&all, off, len, &packet), 0);
        else
            assert_int_equal(zcb_packet_copy(r->pool, r->s.bytes + r->s.sent, len, &packet), 0);
        r->copied += way == SLICES ? 0 : len;
        result = zcb_torrent_wire_push(r->wire, &packet);
        if (result < 0) {
            assert_int_equal(result, -EBUSY);
            zcb_packet_unref(&packet);
            break;
        }
        r->s.sent += len;
        off += len;
    }
    zcb_packet_unref(&all);
}

// All that has come is looked at, though not always at once.
static void
listen_to(struct receiver *r, const struct reference *ref, uint64_t *rng)
{
    struct zcb_torrent_message m;
    int result = 0;

    while (zcb_test_below(rng, 50) != 0 && (result = zcb_torrent_wire_next(r->wire, &m)) > 0) {
        const struct zcb_torrent_message *e = &ref->events[r->heard++];
        struct zcb_packet payload;

        assert_true(r->heard <= ref->heard);
        if (m.kind != e->kind || m.id != e->id || m.extended_id != e->extended_id || m.index != e->index || m.begin != e->begin ||
            m.length != e->length || m.payload_len != e->payload_len || m.payload_off != e->payload_off || m.size != e->size || m.result != e->result)
            fail_msg("event %u: %s %u %u %u: %d, not %s %u %u %u: %d", r->heard - 1, zcb_torrent_kind_name(m.kind), m.index, m.begin, m.length, m.result,
                     zcb_torrent_kind_name(e->kind), e->index, e->begin, e->length, e->result);
        if (m.kind == ZCB_TORRENT_EXTENDED) {
            const uint8_t *said = ref->s->bytes + ref->places[r->heard - 1] + m.payload_off;

            assert_true(zcb_torrent_wire_payload(r->wire, &payload) >= 0);
            assert_int_equal(payload.len, m.payload_len);
            assert_memory_equal(payload.data, said, payload.len);
            zcb_packet_unref(&payload);
        }
    }
    if (result < 0) {
        assert_int_equal(result, -EBADMSG);
        if (!ref->failed || zcb_torrent_wire_error(r->wire)->at != ref->failed_at)
            fail_msg("%s at %llu, not at %llu", zcb_torrent_wire_error(r->wire)->reason, (unsigned long long)zcb_torrent_wire_error(r->wire)->at,
                     ref->failed ? (unsigned long long)ref->failed_at : 0);
        assert_int_equal(r->heard, ref->heard);
        r->failed = true;
    }
}

static void
feed(struct receiver *r, enum way way, const struct reference *ref, uint64_t *rng)
{
    static const size_t sizes[] = { 3, 20, 1448, 5000, 40000, 200000 };
    size_t most = 1 + zcb_test_below(rng, sizes[zcb_test_below(rng, 6)]);
    struct zcb_torrent_wire_stats stats;
    struct zcb_copies before, after;

    zcb_copies_thread(&before);
    for (int turn = 0; !r->failed && (r->s.sent < r->s.len || r->heard < ref->heard || ref->failed); turn++) {
        assert_true(turn < 1000000);
        if (r->s.sent < r->s.len)
            bring(r, way, rng, most);
        listen_to(r, ref, rng);
    }
    for (int i = 0; i < 200; i++) // to the end
        listen_to(r, ref, rng);
    zcb_copies_thread(&after);
    r->consumed += after.bytes[ZCB_COPY_CONSUME] - before.bytes[ZCB_COPY_CONSUME];
    r->appended += after.bytes[ZCB_COPY_APPEND] - before.bytes[ZCB_COPY_APPEND];
    assert_int_equal(zcb_torrent_wire_stats(r->wire, &stats, sizeof(stats)), 0);
    assert_true(r->failed || stats.bytes == r->s.sent);
    assert_int_equal(stats.payload_bytes, ref->stored);
    assert_int_equal(r->appended, stats.moved_bytes + r->copied); // the copies are this test's own
    if (!ref->begun && !r->failed)
        assert_int_equal(r->consumed + stats.direct_bytes, ref->stored);
}

static void
start_receiver(struct receiver *r, enum way way, const struct zcb_torrent_geometry *g, bool fast, uint32_t pipeline, uint64_t *rng)
{
    struct zcb_torrent_handshake h = { .reserved = { [7] = fast ? 4 : 0 } };
    struct zcb_torrent_wire_config config = {
        .flags = ZCB_TORRENT_OFFER_FAST | (way >= DIRECT ? ZCB_TORRENT_DIRECT : 0),
        .pipeline = pipeline,
        .direct_blocks = 1 + (uint32_t)zcb_test_below(rng, 20),
        .peer_handshake = &h,
        .limits = { .max_unasked = UINT32_MAX, .max_keepalives = UINT32_MAX, .max_peer_requests = UINT32_MAX,
                    .max_extended = EXTENDED_MAX, .max_unknown = UNKNOWN_MAX },
        .chain = { .chunk_size = zcb_test_below(rng, 3) == 0 ? 0 : (size_t)64 << zcb_test_below(rng, 11) },
    };

    memset(r, 0, sizeof(*r));
    r->hashes.finished.geometry = *g;
    assert_int_equal(zcb_pool_create(NULL, &r->pool), 0);
    assert_int_equal(zcb_torrent_assembler_create(g,
                                                  &(struct zcb_torrent_assembler_config){
                                                      .request_timeout_ms = UINT64_MAX,
                                                      .hash = on_hash,
                                                      .hash_state_size = 16,
                                                      .verify = on_verify,
                                                      .complete = on_done,
                                                      .ctx = &r->hashes,
                                                  },
                                                  &r->hashes.a),
                     0);
    assert_int_equal(zcb_torrent_wire_create(r->pool, r->hashes.a, 1, &config, &r->wire), 0);
}

static size_t
run_ways(uint64_t seed)
{
    static struct receiver receivers[WAYS];
    static struct reference ref;
    struct zcb_torrent_geometry g;
    struct stream s = { 0 };
    uint8_t todo[256][12], out[17 * 64], first[17 * 64];
    uint32_t count = 0, pipeline, piece_length, pieces, block;
    uint64_t rng = seed;
    size_t sent = 0;
    bool fast;

    piece_length = 40 + (uint32_t)zcb_test_below(&rng, 40000);
    pieces = 1 + (uint32_t)zcb_test_below(&rng, 40);
    block = 1 + piece_length / (1 + (uint32_t)zcb_test_below(&rng, 30));
    assert_int_equal(zcb_torrent_geometry_init(&g, (uint64_t)piece_length * (pieces - 1) + 1 + zcb_test_below(&rng, piece_length), piece_length, block), 0);
    fast = zcb_test_below(&rng, 2) == 0;
    pipeline = 1 + (uint32_t)zcb_test_below(&rng, 60);
    memset(&ref, 0, sizeof(ref));
    ref.g = &g;
    ref.s = &s;
    ref.fast = fast;
    for (ref.room = 4; ref.room < 2 * pipeline;)
        ref.room *= 2;
    for (int w = 0; w < WAYS; w++)
        start_receiver(&receivers[w], (enum way)w, &g, fast, pipeline, &rng);
    if (fast) {
        SAY0(&s, have_all);
    } else {
        uint8_t bits[8] = { 0 };

        for (uint32_t i = 0; i < pieces; i++)
            bits[i / 8] |= (uint8_t)(0x80 >> i % 8);
        SAY(&s, bitfield, bits, zcb_torrent_bitfield_size(&g));
    }
    SAY0(&s, unchoke);
    for (uint32_t round = 0; round < 12 && !ref.failed; round++) {
        int n = 0;

        if (round > 3 && zcb_test_below(&rng, 6) == 0 && s.len > sent)
            s.bytes[sent + zcb_test_below(&rng, s.len - sent)] ^= (uint8_t)(1u << zcb_test_below(&rng, 8));
        while (!ref.failed && ref_step(&ref))
            continue;
        for (int w = 0; w < WAYS; w++) {
            struct receiver *r = &receivers[w];
            int said;

            if (s.len > sent)
                stream_put(&r->s, s.bytes + sent, s.len - sent);
            feed(r, (enum way)w, &ref, &rng);
            said = zcb_torrent_wire_output(r->wire, round * 5000u, w == 0 ? first : out, sizeof(out));
            assert_true(said >= 0 && (w == 0 || said == n));
            if (w != 0 && n != 0)
                assert_memory_equal(out, first, (size_t)n);
            n = said;
            assert_memory_equal(zcb_torrent_wire_bits(r->wire), zcb_torrent_wire_bits(receivers[0].wire), zcb_torrent_bitfield_size(&g));
            for (uint32_t i = 0; i < pieces; i++)
                assert_int_equal(r->hashes.done[i], ref.have[i]);
        }
        sent = s.len;
        for (int i = 0; i < n; i += 17) {
            assert_int_equal(first[i + 4], ZCB_TORRENT_REQUEST);
            ref_ask(&ref, first + i + 5);
            if (count < 255)
                memcpy(todo[count++], first + i + 5, 12);
        }
        for (size_t i = zcb_test_below(&rng, 60); i > 0 && s.len - sent < 300000; i--)
            utter(&rng, &s, &g, fast, todo, &count);
    }
    for (int w = 0; w < WAYS; w++) {
        zcb_torrent_wire_destroy(&receivers[w].wire);
        zcb_torrent_assembler_destroy(&receivers[w].hashes.a);
        zcb_pool_destroy(&receivers[w].pool);
        stream_end(&receivers[w].s);
    }
    stream_end(&s);
    return sent;
}

static void
however_bytes_come_the_same_is_heard(void **state)
{
    (void)state;
    uint64_t seed = zcb_test_seed();
    size_t bytes = 0;

    for (size_t i = 0; i < zcb_test_rounds(40); i++)
        bytes += run_ways(seed + i);
    print_message("%zu bytes, each in %d ways\n", bytes, WAYS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_swarm_ends_with_the_right_bytes),
        cmocka_unit_test(however_bytes_come_the_same_is_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
