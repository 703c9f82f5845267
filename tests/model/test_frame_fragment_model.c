// SPDX-License-Identifier: MIT
//
// Fragments of many datagrams, good and bad, in any order, against a model that has a plain array
// of bytes for each datagram and does everything by looking at all of it. What each input comes to,
// what is evicted, what is held, and every byte that comes out must be the same.
#include "../unit/fragment_testing.h"

#define SLOTS 40
#define MOST 65536

// What the model knows of one datagram under way.
struct shadow {
    bool used, dead;
    struct whole w; // of the first fragment
    uint64_t born, number;
    uint32_t count, end, received;
    size_t charged;
    uint8_t ecn;
    struct {
        uint32_t off, len;
        uint8_t salt;
    } parts[128];
    uint8_t bytes[MOST];
};

struct world {
    uint64_t rng, now, number;
    struct zcb_pool *pool;
    struct zcb_reassembler *r;
    struct zcb_reassembler_config limits;
    struct zcb_chain out;
    struct shadow shadows[SLOTS];
    uint64_t results[ZCB_REASSEMBLY_ECN + 1], evictions, timeouts, discarded;
};

static size_t
below(struct world *m, size_t n)
{
    return zcb_test_below(&m->rng, n);
}

static bool
same_source(const struct whole *a, const struct whole *b)
{
    return a->version == b->version && a->source == b->source;
}

static bool
same_key(const struct whole *a, const struct whole *b)
{
    return same_source(a, b) && a->id == b->id && (a->version == 6 || a->protocol == b->protocol);
}

static struct shadow *
find(struct world *m, const struct whole *w)
{
    for (int i = 0; i < SLOTS; i++)
        if (m->shadows[i].used && same_key(&m->shadows[i].w, w))
            return &m->shadows[i];
    return NULL;
}

struct sums {
    size_t bytes;
    uint32_t fragments, datagrams;
};

// Of those of one source, or (NULL) of all; `oldest` but for `me`.
static struct sums
sums_of(struct world *m, const struct whole *w, const struct shadow *me, struct shadow **oldest)
{
    struct sums sums = {0};

    *oldest = NULL;
    for (int i = 0; i < SLOTS; i++) {
        struct shadow *s = &m->shadows[i];

        if (!s->used || (w != NULL && !same_source(&s->w, w)))
            continue;
        sums.bytes += s->charged;
        sums.fragments += s->dead ? 0 : s->count;
        sums.datagrams++;
        if (s != me && (*oldest == NULL || s->number < (*oldest)->number))
            *oldest = s;
    }
    return sums;
}

static bool
room(struct world *m, struct shadow *s, size_t bytes)
{
    const struct zcb_reassembler_config *c = &m->limits;

    if (bytes > c->source_bytes || bytes > c->max_bytes)
        return false;
    for (int i = 0;; i++) {
        struct shadow *mine, *any;
        struct sums source = sums_of(m, &s->w, s, &mine), all = sums_of(m, NULL, s, &any);

        if (source.bytes + bytes > c->source_bytes || source.fragments + 1 > c->source_fragments ||
            source.datagrams > c->source_datagrams)
            any = mine;
        else if (all.bytes + bytes <= c->max_bytes && all.fragments + 1 <= c->max_fragments &&
                 all.datagrams <= c->max_datagrams)
            return true;
        if (any == NULL || i == 8)
            return false;
        any->used = false;
        m->evictions++;
    }
}

static int
discard(struct world *m, struct shadow *s, int why)
{
    s->dead = true;
    s->charged = 0;
    m->discarded++;
    return why;
}

// What must become of the fragment. On ZCB_REASSEMBLY_DONE *done is the datagram.
static int
expect(struct world *m, const struct whole *w, uint32_t off, uint32_t len, bool more, size_t pinned,
       struct shadow **done)
{
    uint32_t end = off + len, highest = 0;
    struct shadow *s;
    bool fresh = false;

    if (off == 0 && !more)
        return w->version == 4 ? ZCB_REASSEMBLY_WHOLE : ZCB_REASSEMBLY_DONE;
    if (len == 0)
        return ZCB_REASSEMBLY_EMPTY;
    if (more && len % 8 != 0)
        return ZCB_REASSEMBLY_UNALIGNED;
    if (end > m->limits.max_datagram || end + (w->version == 4 ? 20 : 0) + w->extra_len > 65535)
        return ZCB_REASSEMBLY_TOO_LONG;
    if (off == 0 ? len < m->limits.min_first : off < m->limits.min_first)
        return ZCB_REASSEMBLY_TINY;
    s = find(m, w);
    if (s != NULL && m->now - s->born >= m->limits.timeout_ms) {
        m->timeouts += !s->dead;
        s->used = false;
        s = NULL;
    }
    if (s != NULL && s->dead)
        return ZCB_REASSEMBLY_DEAD;
    if (s == NULL) {
        for (s = m->shadows; s->used;)
            s++;
        s->used = fresh = true;
        s->dead = false;
        s->w = *w;
        s->born = m->now;
        s->number = m->number++;
        s->count = s->end = s->received = 0;
        s->charged = 0;
        s->ecn = 0;
    }
    for (uint32_t i = 0; i < s->count; i++)
        highest = s->parts[i].off + s->parts[i].len > highest ? s->parts[i].off + s->parts[i].len
                                                              : highest;
    if (s->end != 0 ? (more ? end >= s->end : end != s->end) : !more && highest >= end)
        return discard(m, s, ZCB_REASSEMBLY_ENDS);
    for (uint32_t i = 0; i < s->count; i++)
        if (s->parts[i].off == off && s->parts[i].len == len && s->parts[i].salt == w->salt)
            return ZCB_REASSEMBLY_DUPLICATE;
    for (uint32_t i = 0; i < s->count; i++)
        if (off < s->parts[i].off + s->parts[i].len && s->parts[i].off < end)
            return discard(m, s, ZCB_REASSEMBLY_OVERLAP);
    if (s->count == m->limits.datagram_fragments)
        return discard(m, s, ZCB_REASSEMBLY_MANY);
    for (uint32_t i = 0; i < len; i++)
        s->bytes[off + i] = whole_byte(w, off + i);
    if (off == 0)
        s->w = *w;
    if (s->received + len == (more ? s->end : end)) {
        s->ecn |= (uint8_t)(1 << w->ecn);
        if (20 * (w->version == 4) + s->w.extra_len + s->received + len > 65535)
            return discard(m, s, ZCB_REASSEMBLY_TOO_LONG);
        if ((s->ecn & 9) == 9)
            return discard(m, s, ZCB_REASSEMBLY_ECN);
        s->received += len;
        s->used = false;
        *done = s;
        return ZCB_REASSEMBLY_DONE;
    }
    if (!room(m, s, pinned)) {
        s->used = !fresh;
        return ZCB_REASSEMBLY_BUDGET;
    }
    s->parts[s->count].off = off;
    s->parts[s->count].len = len;
    s->parts[s->count++].salt = w->salt;
    s->charged += pinned;
    s->received += len;
    s->ecn |= (uint8_t)(1 << w->ecn);
    if (!more)
        s->end = end;
    return ZCB_REASSEMBLY_HELD;
}

// The chain against the model's bytes.
static void
compare(struct world *m, const struct shadow *s)
{
    struct whole w = s->w;
    uint8_t *bytes = malloc(MOST + 4096);
    size_t size;

    assert_non_null(bytes);
    if ((s->ecn & 8) != 0)
        w.ecn = 3;
    size = whole_header(&w, bytes, 0, s->received, false, false);
    memcpy(bytes + size, s->bytes, s->received);
    assert_true(chain_is(&m->out, bytes, size + s->received));
    free(bytes);
}

static void
send(struct world *m, const struct whole *w, uint32_t off, uint32_t len, bool more)
{
    struct zcb_packet packet = whole_packet(NULL, w, off, len, more);
    struct shadow *done = NULL, *ignored;
    struct zcb_copies before = copies_now();
    int expected = expect(m, w, off, len, more, packet.len + 2, &done), result;
    struct zcb_reassembler_stats stats;
    struct sums sums;

    result = give(m->r, &packet, m->now, &m->out);
    if (result != expected)
        fail_msg("IPv%d %u+%u: %s where it should be %s", w->version, off, len,
                 zcb_reassembly_name(result), zcb_reassembly_name(expected));
    zcb_packet_unref(&packet);
    m->results[result]++;
    if (done != NULL) {
        assert_chain_sound(&m->out);
        compare(m, done);
    } else if (result == ZCB_REASSEMBLY_DONE) {
        assert_true(is_whole(&m->out, w, len));
    } else {
        assert_int_equal(zcb_chain_len(&m->out), 0);
    }
    zcb_chain_discard(&m->out, zcb_chain_len(&m->out));
    assert_true(nothing_copied(&before));
    stats = stats_of(m->r);
    sums = sums_of(m, NULL, NULL, &ignored);
    assert_int_equal(stats.bytes, sums.bytes);
    assert_int_equal(stats.fragments, sums.fragments);
    assert_int_equal(stats.datagrams, sums.datagrams);
    assert_int_equal(stats.evictions, m->evictions);
    assert_int_equal(stats.timeouts, m->timeouts);
    assert_int_equal(stats.discarded, m->discarded);
    assert_memory_equal(&stats, m->results, sizeof(m->results));
    assert_true(sums.bytes <= m->limits.max_bytes && sums.fragments <= m->limits.max_fragments &&
                sums.datagrams <= m->limits.max_datagrams);
}

static void
expire(struct world *m)
{
    for (;;) {
        struct shadow *oldest;
        int result = zcb_reassembler_expire(m->r, m->now, &m->out);

        sums_of(m, NULL, NULL, &oldest);
        if (oldest == NULL || m->now - oldest->born < m->limits.timeout_ms) {
            assert_int_equal(result, 0);
            return;
        }
        assert_int_equal(result, 1);
        m->timeouts += !oldest->dead;
        oldest->used = false;
        // The first fragment, if it came, in its own words.
        for (uint32_t i = 0; i < oldest->count && !oldest->dead; i++)
            if (oldest->parts[i].off == 0) {
                struct zcb_packet first =
                    whole_packet(NULL, &oldest->w, 0, oldest->parts[i].len, true);

                assert_true(chain_is(&m->out, first.data, first.len));
                zcb_packet_unref(&first);
                zcb_chain_discard(&m->out, zcb_chain_len(&m->out));
            }
        assert_int_equal(zcb_chain_len(&m->out), 0);
    }
}

// A datagram that somebody sends, in pieces of one size.
struct sender {
    struct whole w;
    uint32_t len, each, left;
    uint8_t order[128];
};

static void
begin(struct world *m, struct sender *s)
{
    static const uint8_t options[] = {7, 3, 4, 0x94, 4, 0, 0, 0};
    static const uint8_t extension[] = {60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0};
    uint32_t pieces;

    s->w = (struct whole){
        .version = below(m, 2) != 0 ? 4 : 6,
        .protocol = (uint8_t)(253 + below(m, 2)),
        .source = (uint8_t)below(m, 4),
        .ecn = (uint8_t)below(m, 3),
        .id = (uint32_t)below(m, 12),
        .salt = (uint8_t)below(m, 250),
    };
    if (below(m, 3) == 0) {
        s->w.extra = s->w.version == 4 ? options : extension;
        s->w.extra_len = s->w.version == 4 ? 8 : 16;
    }
    s->each = 8 + 8 * (uint32_t)below(m, below(m, 4) != 0 ? 40 : 1000);
    pieces = 2 + (uint32_t)below(m, below(m, 4) != 0 ? 6 : 60);
    if (s->each * pieces > 65400)
        pieces = 65400 / s->each;
    s->len = s->each * (pieces - 1) + 1 + (uint32_t)below(m, s->each);
    s->left = pieces;
    for (uint32_t i = 0; i < pieces; i++)
        s->order[i] = (uint8_t)i;
    for (uint32_t i = pieces; i > 1; i--) {
        size_t j = below(m, i);
        uint8_t was = s->order[i - 1];

        s->order[i - 1] = s->order[j];
        s->order[j] = was;
    }
}

static void
step(struct world *m, struct sender *s)
{
    struct whole w = s->w;
    uint32_t n, off, len;
    size_t what = below(m, 100);

    if (s->left == 0)
        begin(m, s);
    w = s->w;
    if (what < 80) {
        n = s->order[--s->left];
        off = n * s->each;
        len = s->len - off < s->each ? s->len - off : s->each;
        if (below(m, 50) == 0)
            w.ecn = 3;
        send(m, &w, off, len, off + len != s->len);
        while (below(m, 8) == 0)
            send(m, &w, off, len, off + len != s->len);
    } else if (what < 90) {
        send(m, &w, 8 * (uint32_t)below(m, below(m, 2) != 0 ? 100 : 8192),
             (uint32_t)below(m, below(m, 3) != 0 ? 200 : 3000), below(m, 2) != 0);
    } else if (what < 93) {
        w.salt++;
        n = s->order[below(m, s->left)];
        send(m, &w, n * s->each, s->each, true);
    } else {
        m->now += below(m, 400);
        if (below(m, 2) != 0)
            expire(m);
    }
}

static uint32_t
between(struct world *m, uint32_t least, uint32_t most)
{
    return least + (uint32_t)below(m, most - least + 1);
}

static void
what_comes_out_is_what_a_plain_array_says(void **state)
{
    struct world *m = calloc(1, sizeof(*m));
    static const int rare[] = {ZCB_REASSEMBLY_CUT, ZCB_REASSEMBLY_HEADERS, ZCB_REASSEMBLY_CROWDED};
    uint64_t seed = zcb_test_seed(), all[ZCB_REASSEMBLY_ECN + 1] = {0};

    (void)state;
    assert_non_null(m);
    m->rng = seed;
    assert_int_equal(zcb_pool_create(NULL, &m->pool), 0);
    assert_int_equal(zcb_chain_init(&m->out, m->pool, NULL), 0);
    for (size_t round = 0; round < zcb_test_rounds(150); round++) {
        struct sender senders[16] = {0};

        m->limits = (struct zcb_reassembler_config){
            .max_bytes = between(m, 1, 100) * 2000,
            .source_bytes = between(m, 1, 60) * 2000,
            .max_fragments = between(m, 2, 200),
            .source_fragments = between(m, 2, 200),
            .max_datagrams = between(m, 1, SLOTS - 1),
            .source_datagrams = between(m, 1, 20),
            .datagram_fragments = between(m, 2, 100),
            .max_datagram = below(m, 2) != 0 ? 65535 : between(m, 1000, 65535),
            .min_first = between(m, 1, 40),
            .timeout_ms = between(m, 100, 5000),
        };
        memset(m->results, 0, sizeof(m->results));
        m->evictions = m->timeouts = m->discarded = 0;
        assert_int_equal(
            zcb_reassembler_create(m->pool, zcb_test_random(&m->rng), &m->limits, &m->r), 0);
        m->now = zcb_test_random(&m->rng) >> 1;
        for (int i = 0; i < 1500; i++)
            step(m, &senders[below(m, 1 + round % 16)]);
        for (int i = 0; i <= ZCB_REASSEMBLY_ECN; i++)
            all[i] += m->results[i];
        zcb_reassembler_destroy(&m->r);
        for (int i = 0; i < SLOTS; i++)
            m->shadows[i].used = false;
    }
    // Everything happened, but for what the model does not make.
    for (int i = 0; i <= ZCB_REASSEMBLY_ECN; i++)
        if (all[i] == 0 && i != rare[0] && i != rare[1] && i != rare[2])
            fail_msg("never %s", zcb_reassembly_name(i));
    zcb_chain_finish(&m->out);
    zcb_pool_destroy(&m->pool);
    free(m);
}

// ---- there and back

#define PIECES 700

struct pieces {
    struct zcb_packet packets[PIECES];
    size_t count;
};

// Cuts what lies in a packet, or in a chain of random chunks, and keeps the fragments, each in
// memory of its own. Payload must not be copied on the way.
static void
cut_up(struct world *m, const struct zcb_packet *whole, uint32_t mtu, struct pieces *pieces)
{
    struct zcb_fragment_config config = {.id = 0xabcd1234};
    struct zcb_chain in, part;
    struct zcb_copies before;
    struct zcb_fragmenter cut;
    struct zcb_frame frame;
    bool chained = below(m, 2) != 0;
    size_t headers = 0;
    int result;

    assert_int_equal(zcb_chain_init(&in, m->pool, NULL), 0);
    assert_int_equal(zcb_chain_init(&part, m->pool, NULL), 0);
    assert_int_equal(zcb_frame_parse(whole->data, whole->len, ZCB_FRAME_LINK_RAW, NULL, &frame), 0);
    if (chained) {
        push_cut(&in, whole->data, whole->len, 1 + below(m, 300));
        before = copies_now();
        result = zcb_fragmenter_init_chain(&cut, m->pool, &in, 0, &frame, mtu, &config);
    } else {
        before = copies_now();
        result = zcb_fragmenter_init(&cut, m->pool, whole, &frame, mtu, &config);
    }
    assert_int_equal(result, 0);
    while ((result = zcb_fragmenter_next(&cut, &part)) == 1) {
        uint8_t *bytes = malloc(zcb_chain_len(&part));

        assert_non_null(bytes);
        assert_true(zcb_chain_len(&part) <= mtu);
        assert_chain_sound(&part);
        if (chained) {
            struct zcb_copies now = copies_now();

            headers += cut.header_len;
            assert_true(zcb_copies_bytes(&now) - zcb_copies_bytes(&before) <= headers + 100);
        } else {
            assert_true(nothing_copied(&before));
        }
        for (size_t at = 0; at < zcb_chain_len(&part); at++)
            bytes[at] = *zcb_chain_peek(&part, at, 1, NULL);
        assert_true(pieces->count < PIECES);
        pieces->packets[pieces->count++] = lone_packet(bytes, zcb_chain_len(&part));
        free(bytes);
        assert_int_equal(zcb_chain_discard(&part, zcb_chain_len(&part)), 0);
    }
    assert_int_equal(result, 0);
    zcb_chain_finish(&in);
    zcb_chain_finish(&part);
}

static void
what_was_cut_up_comes_back_together(void **state)
{
    static const uint8_t options[] = {0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0x82, 3, 9, 1, 0};
    static const uint8_t extensions[] = {43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 4, 0,
                                         0,  0, 0, 0, 0, 0, 1, 4, 0,  0, 0, 0};
    struct zcb_reassembler_config config = {.min_first = 1, .datagram_fragments = PIECES};
    struct world *m = calloc(1, sizeof(*m));

    (void)state;
    assert_non_null(m);
    m->rng = zcb_test_seed();
    assert_int_equal(zcb_pool_create(NULL, &m->pool), 0);
    assert_int_equal(zcb_chain_init(&m->out, m->pool, NULL), 0);
    assert_int_equal(zcb_reassembler_create(m->pool, 3, &config, &m->r), 0);
    for (size_t round = 0; round < zcb_test_rounds(300); round++) {
        struct whole w = {.version = below(m, 2) != 0 ? 4 : 6, .id = 7, .salt = (uint8_t)round};
        uint32_t len = (uint32_t)below(m, below(m, 8) != 0 ? 4000 : 65400), least, mtu;
        struct pieces first = {.count = 0}, all = {.count = 0};
        uint8_t *bytes = malloc(MOST + 100);
        struct zcb_packet whole;
        struct zcb_copies before;
        int result = ZCB_REASSEMBLY_HELD;
        size_t size;

        assert_non_null(bytes);
        if (below(m, 2) != 0) {
            w.extra = w.version == 4 ? options : extensions;
            w.extra_len = w.version == 4 ? sizeof(options) : sizeof(extensions);
        }
        least = 8 + (w.version == 4 ? 20 : 48) + w.extra_len;
        mtu = least + len / 200 + (uint32_t)below(m, 1500);
        if (w.extra_len != 0 && w.version == 6 && mtu < 88)
            mtu = 88;
        size = whole_header(&w, bytes, 0, len, false, false);
        for (uint32_t i = 0; i < len; i++)
            bytes[size + i] = whole_byte(&w, i);
        whole = lone_packet(bytes, size + len);
        cut_up(m, &whole, mtu, &first);
        // Some go through a narrower network behind it.
        for (size_t i = 0; i < first.count; i++) {
            uint32_t narrow = least + (mtu - least) / 2;

            if (first.count > 1 && below(m, 4) == 0 && first.packets[i].len > narrow)
                cut_up(m, &first.packets[i], narrow, &all);
            else
                all.packets[all.count++] = zcb_packet_ref(&first.packets[i]);
            zcb_packet_unref(&first.packets[i]);
        }
        for (size_t i = all.count; i > 1; i--) {
            size_t j = below(m, i);
            struct zcb_packet was = all.packets[i - 1];

            all.packets[i - 1] = all.packets[j];
            all.packets[j] = was;
        }
        before = copies_now();
        for (size_t i = 0; i < all.count; i++) {
            assert_int_equal(result, ZCB_REASSEMBLY_HELD);
            if (i != 0 && below(m, 10) == 0)
                assert_int_equal(give(m->r, &all.packets[below(m, i)], 0, &m->out),
                                 ZCB_REASSEMBLY_DUPLICATE);
            result = give(m->r, &all.packets[i], 0, &m->out);
        }
        assert_true(nothing_copied(&before));
        if (all.count == 1) {
            assert_int_equal(result, ZCB_REASSEMBLY_WHOLE);
        } else {
            assert_int_equal(result, ZCB_REASSEMBLY_DONE);
            assert_true(chain_is(&m->out, bytes, size + len));
        }
        zcb_chain_discard(&m->out, zcb_chain_len(&m->out));
        for (size_t i = 0; i < all.count; i++)
            zcb_packet_unref(&all.packets[i]);
        assert_int_equal(stats_of(m->r).datagrams, 0);
        zcb_packet_unref(&whole);
        free(bytes);
    }
    assert_true(stats_of(m->r).done > 50);
    zcb_reassembler_destroy(&m->r);
    zcb_chain_finish(&m->out);
    zcb_pool_destroy(&m->pool);
    free(m);
}

// ---- anything

// A packet cut up, whatever it is: fragments that fit and add up, or an error.
static void
cut_anything(struct world *m, const struct zcb_packet *packet, const struct zcb_chain *in,
             const struct zcb_frame *frame)
{
    struct zcb_fragment_config config = {.flags = (uint32_t)below(m, 4)};
    uint32_t mtu = (uint32_t)below(m, 200), data = 0;
    struct zcb_fragmenter cut;
    int result = in == NULL ? zcb_fragmenter_init(&cut, m->pool, packet, frame, mtu, &config)
                            : zcb_fragmenter_init_chain(&cut, m->pool, in, 0, frame, mtu, &config);

    if (result < 0) {
        assert_true(result == -EMSGSIZE || result == -ENOTSUP || result == -EBADMSG);
        return;
    }
    for (int i = 0; (result = zcb_fragmenter_next(&cut, &m->out)) == 1; i++) {
        struct zcb_frame part;

        assert_true(i < 100 && zcb_chain_len(&m->out) <= mtu);
        assert_true(zcb_frame_parse_chain(&m->out, 0, zcb_chain_len(&m->out), ZCB_FRAME_LINK_RAW,
                                          NULL, &part) >= 0);
        assert_int_equal(part.layers & ZCB_FRAME_CUT, 0);
        data += (uint32_t)zcb_chain_len(&m->out);
        zcb_chain_discard(&m->out, zcb_chain_len(&m->out));
    }
    assert_int_equal(result, 0);
    assert_true(data >= cut.data_len);
}

// Fragments with bytes changed anywhere, cut off anywhere, in packets and in chains: whatever they
// are taken for, nothing outside is read, limits hold, and what comes out can be parsed.
static void
whatever_comes_stays_within_the_limits(void **state)
{
    struct world *m = calloc(1, sizeof(*m));
    struct zcb_reassembler_config limits = {.max_bytes = 50000,
                                            .max_fragments = 40,
                                            .source_fragments = 30,
                                            .max_datagrams = 8,
                                            .source_datagrams = 6,
                                            .timeout_ms = 300};
    uint64_t inputs = 0, sum = 0, done = 0;
    struct zcb_reassembler_stats stats;
    struct zcb_chain in;

    (void)state;
    assert_non_null(m);
    m->rng = zcb_test_seed();
    assert_int_equal(zcb_pool_create(NULL, &m->pool), 0);
    assert_int_equal(zcb_chain_init(&m->out, m->pool, NULL), 0);
    assert_int_equal(zcb_chain_init(&in, m->pool, NULL), 0);
    assert_int_equal(zcb_reassembler_create(m->pool, 3, &limits, &m->r), 0);
    for (size_t round = 0; round < zcb_test_rounds(50000); round++) {
        uint32_t id = (uint32_t)below(m, 8);
        struct whole w = {.version = id % 2 != 0 ? 4 : 6,
                          .protocol = (uint8_t[]){253, 6, 17, 1, 58, 4, 59, 60}[id],
                          .source = id < 4,
                          .id = id};
        uint8_t bytes[600];
        uint32_t n = (uint32_t)below(m, 4);
        size_t len = whole_fragment(&w, bytes, n * 64, n == 3 ? 33 : 64, n != 3);
        struct zcb_frame frame;
        struct zcb_packet packet;
        int result;

        for (size_t changes = below(m, 4) != 0 ? 0 : below(m, 4); changes != 0; changes--)
            bytes[below(m, below(m, 2) != 0 ? 48 : len)] =
                (uint8_t)(below(m, 2) != 0 ? zcb_test_random(&m->rng) : below(m, 3));
        if (below(m, 16) == 0)
            len = below(m, len + 1);
        packet = lone_packet(bytes, len);
        m->now += below(m, 20);
        if (below(m, 2) != 0) {
            result = zcb_frame_parse(packet.data, len, ZCB_FRAME_LINK_RAW, NULL, &frame);
            assert_true(result >= 0);
            cut_anything(m, &packet, NULL, &frame);
            result = zcb_reassembler_input(m->r, &packet, &frame, 0, m->now, &m->out);
        } else {
            push_cut(&in, bytes, len, 1 + below(m, 60));
            result = zcb_frame_parse_chain(&in, 0, len, ZCB_FRAME_LINK_RAW, NULL, &frame);
            assert_true(result >= 0);
            cut_anything(m, NULL, &in, &frame);
            result = zcb_reassembler_input_chain(m->r, &in, 0, &frame, 0, m->now, &m->out);
            zcb_chain_discard(&in, len);
        }
        zcb_packet_unref(&packet);
        assert_true(result >= 0);
        inputs++;
        assert_int_equal(result == ZCB_REASSEMBLY_DONE, zcb_chain_len(&m->out) != 0);
        if (result == ZCB_REASSEMBLY_DONE) {
            done++;
            assert_true(zcb_frame_parse_chain(&m->out, 0, zcb_chain_len(&m->out),
                                              ZCB_FRAME_LINK_RAW, NULL, &frame) >= 0);
            assert_int_equal(frame.layers & (ZCB_FRAME_FRAGMENT | ZCB_FRAME_CUT), 0);
            assert_true(frame.network_len != 0);
            zcb_chain_discard(&m->out, zcb_chain_len(&m->out));
        }
        stats = stats_of(m->r);
        assert_true(stats.bytes <= limits.max_bytes && stats.fragments <= 40 &&
                    stats.datagrams <= 8 && stats.sources <= stats.datagrams);
        if (below(m, 100) == 0) {
            while ((result = zcb_reassembler_expire(m->r, m->now, &m->out)) == 1)
                zcb_chain_discard(&m->out, zcb_chain_len(&m->out));
            assert_int_equal(result, 0);
        }
    }
    stats = stats_of(m->r);
    for (int i = 0; i <= ZCB_REASSEMBLY_ECN; i++)
        sum += (&stats.held)[i];
    assert_int_equal(sum, inputs);
    assert_true(done > 100);
    zcb_reassembler_destroy(&m->r);
    zcb_chain_finish(&in);
    zcb_chain_finish(&m->out);
    zcb_pool_destroy(&m->pool);
    free(m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_comes_stays_within_the_limits),
        cmocka_unit_test(what_was_cut_up_comes_back_together),
        cmocka_unit_test(what_comes_out_is_what_a_plain_array_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
