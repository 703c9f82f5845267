// SPDX-License-Identifier: MIT
//
// Random operations on a few chains, each beside a plain array of bytes. After each operation the
// chain's inside is sound, its bytes are the array's, every block has exactly as many references as
// there are holders, and exactly the bytes were copied that the operation says. A source, and
// malloc, fail now and then: then nothing has changed.

#include "support/chain_tools.h"

#include "support/alloc_count.h"
#include "support/failing_source.h"

enum { CHAINS = 3, HELD = 24, MOST = 40000 };

struct bytes {
    uint8_t at[MOST];
    size_t len;
};

struct held {
    struct zcb_packet packet;
    uint8_t *expected; // what its bytes were when it was made
};

struct world {
    uint64_t random;
    struct zcb_failing_source source;
    struct zcb_pool *pool;
    struct zcb_chain chain[CHAINS];
    struct bytes model[CHAINS];
    size_t copy_below[CHAINS];
    bool limited[CHAINS]; // whether a limit can be met
    struct held held[HELD];
    bool armed; // an allocation may fail in this operation
    unsigned alphabet;
};

static uint8_t table[4096]; // static memory to push

static size_t
below(struct world *w, size_t n)
{
    return zcb_test_below(&w->random, n);
}

static uint8_t
random_byte(struct world *w)
{
    return (uint8_t)(zcb_test_random(&w->random) % w->alphabet);
}

// Small, mostly.
static size_t
some_len(struct world *w)
{
    static const size_t most[] = {3, 3, 20, 20, 200, 1500, 3000};

    return below(w, most[below(w, sizeof(most) / sizeof(most[0]))] + 1);
}

static void
model_insert(struct bytes *model, size_t off, const void *data, size_t len)
{
    assert_true(len <= MOST - model->len);
    memmove(model->at + off + len, model->at + off, model->len - off);
    if (len != 0)
        memcpy(model->at + off, data, len);
    model->len += len;
}

static void
model_drop(struct bytes *model, size_t len)
{
    assert_true(len <= model->len);
    model->len -= len;
    memmove(model->at, model->at + len, model->len);
}

// ---- packets

static void
drop_held(struct held *held)
{
    if (held->expected == NULL)
        return;
    assert_memory_equal(held->packet.data, held->expected, held->packet.len);
    zcb_packet_unref(&held->packet);
    free(held->expected);
    held->expected = NULL;
}

// Keeps the packet, in place of another.
static void
hold(struct world *w, struct zcb_packet packet)
{
    struct held *held = &w->held[below(w, HELD)];

    drop_held(held);
    if (packet.len == 0) {
        assert_null(packet.owner);
        return;
    }
    held->packet = packet;
    held->expected = malloc(packet.len);
    assert_non_null(held->expected);
    memcpy(held->expected, packet.data, packet.len);
}

static struct zcb_packet
random_packet(struct world *w)
{
    struct zcb_packet packet, part;
    struct zcb_buf *buf;
    size_t len = some_len(w);
    uint8_t *at;

    switch (below(w, 5)) {
    case 0: // static, often adjacent to another
        len = len % 64;
        return zcb_packet_static(table + below(w, 64) * 32, len);
    case 1: { // foreign
        uint8_t copy[4096];

        for (size_t i = 0; i < len; i++)
            copy[i] = random_byte(w);
        return lone_packet(copy, len);
    }
    case 2: { // what is held already, or a part of it
        const struct held *held = &w->held[below(w, HELD)];
        size_t off;

        if (held->expected == NULL)
            return zcb_packet_static(NULL, 0);
        off = below(w, held->packet.len);
        assert_int_equal(
            zcb_packet_slice(&held->packet, off, below(w, held->packet.len - off + 1), &part), 0);
        return part;
    }
    default:
        if (zcb_pool_acquire(w->pool, len, &buf) < 0)
            return zcb_packet_static(NULL, 0);
        assert_int_equal(zcb_buf_append(buf, len, &at), 0);
        for (size_t i = 0; i < len; i++)
            at[i] = random_byte(w);
        zcb_buf_share(&buf, &packet);
        return packet;
    }
}

// ---- what must always hold

struct tally {
    const struct zcb_block *block[4096];
    uint32_t refs[4096];
    size_t count;
};

static void
count_ref(struct tally *tally, const struct zcb_block *block, uint32_t refs)
{
    size_t i = 0;

    if (block == NULL)
        return;
    while (i < tally->count && tally->block[i] != block)
        i++;
    if (i == tally->count) {
        assert_true(i < 4096);
        tally->block[i] = block;
        tally->refs[i] = 0;
        tally->count++;
    }
    tally->refs[i] += refs;
}

static void
check_refs(struct world *w)
{
    static struct tally tally;

    tally.count = 0;
    for (int c = 0; c < CHAINS; c++) {
        const struct zcb_chain_state *s = zcb_chain_view(&w->chain[c]);

        for (uint32_t i = 0; i < s->count; i++)
            count_ref(&tally, zcb_entry(s, i)->owner, 1);
        if (s->extra != 0)
            count_ref(&tally, zcb_entry_last(s)->owner, s->extra);
        if (!s->borrowed)
            count_ref(&tally, s->tail, 1);
        for (uint32_t i = 0; i < s->spares; i++)
            count_ref(&tally, s->spare[i], 1);
    }
    for (int i = 0; i < HELD; i++)
        if (w->held[i].expected != NULL)
            count_ref(&tally, w->held[i].packet.owner, 1);
    for (size_t i = 0; i < tally.count; i++)
        assert_int_equal(tally.block[i]->count, tally.refs[i]);
}

static void
check_world(struct world *w)
{
    for (int c = 0; c < CHAINS; c++) {
        assert_chain_sound(&w->chain[c]);
        assert_int_equal(zcb_chain_len(&w->chain[c]), w->model[c].len);
        assert_true(chain_is(&w->chain[c], w->model[c].at, w->model[c].len));
    }
    check_refs(w);
    for (int i = 0; i < HELD; i++)
        if (w->held[i].expected != NULL)
            assert_memory_equal(w->held[i].packet.data, w->held[i].expected, w->held[i].packet.len);
}

// Whether a failure is one that may happen now.
static void
may_fail(struct world *w, int c, int result)
{
    if (result == -ENOMEM && w->armed)
        return;
    if (result == -ENOBUFS && w->limited[c])
        return;
    fail_msg("unexpected %d (%s)", result, zcb_strerror(result));
}

// ---- operations; each on chain c

static void
try_push(struct world *w, int c, struct zcb_packet packet, bool at_front)
{
    struct zcb_chain *chain = &w->chain[c];
    struct zcb_packet was = packet;
    struct zcb_copies before = copies_now();
    struct bytes *model = &w->model[c];
    size_t chunks = zcb_chain_chunks(chain), pinned = zcb_chain_pinned(chain);
    int result;

    if (packet.len > MOST - model->len) {
        zcb_packet_unref(&packet);
        return;
    }
    if (packet.len != 0) // also from what is about to be given away
        model_insert(model, at_front ? 0 : model->len, packet.data, packet.len);
    result = at_front ? zcb_chain_push_front(chain, &packet) : zcb_chain_push(chain, &packet);
    if (result == 0) {
        assert_null(packet.owner);
        assert_int_equal(packet.len, 0);
        if (at_front || was.len >= w->copy_below[c] || !nothing_copied(&before))
            assert_true(only_copied(&before, ZCB_COPY_APPEND,
                                    !at_front && was.len < w->copy_below[c] ? was.len : 0));
        return;
    }
    if (at_front)
        model_drop(model, was.len);
    else
        model->len -= was.len;
    may_fail(w, c, result);
    assert_memory_equal(&packet, &was, sizeof(packet));
    assert_true(nothing_copied(&before));
    assert_int_equal(zcb_chain_chunks(chain), chunks);
    assert_int_equal(zcb_chain_pinned(chain), pinned);
    zcb_packet_unref(&packet);
}

// Adjacent views of one packet, in order or from behind.
static void
push_run(struct world *w, int c)
{
    struct zcb_packet packet = random_packet(w), part;
    bool at_front = below(w, 3) == 0;

    while (packet.len != 0) {
        size_t len = 1 + below(w, packet.len);

        if (at_front) {
            assert_int_equal(zcb_packet_split(&packet, packet.len - len, &part), 0);
            struct zcb_packet back = packet;
            packet = part;
            part = back;
        } else {
            assert_int_equal(zcb_packet_split(&packet, len, &part), 0);
        }
        try_push(w, c, part, at_front);
    }
    zcb_packet_unref(&packet);
}

static void
try_append(struct world *w, int c)
{
    struct zcb_chain *chain = &w->chain[c];
    size_t len = some_len(w), chunks = zcb_chain_chunks(chain), pinned = zcb_chain_pinned(chain);
    struct zcb_copies before = copies_now();
    uint8_t bytes[4096];
    int result;

    if (len > MOST - w->model[c].len)
        return;
    for (size_t i = 0; i < len; i++)
        bytes[i] = random_byte(w);
    result = zcb_chain_append(chain, bytes, len);
    if (result == 0) {
        model_insert(&w->model[c], w->model[c].len, bytes, len);
        assert_true(only_copied(&before, ZCB_COPY_APPEND, len));
        return;
    }
    may_fail(w, c, result);
    assert_true(nothing_copied(&before));
    assert_int_equal(zcb_chain_chunks(chain), chunks);
    assert_int_equal(zcb_chain_pinned(chain), pinned);
}

static void
try_receive(struct world *w, int c)
{
    struct zcb_chain *chain = &w->chain[c];
    size_t min = below(w, 4) == 0 ? some_len(w) : 1, chunks = zcb_chain_chunks(chain);
    size_t pinned = zcb_chain_pinned(chain), room = 0, len;
    struct zcb_copies before = copies_now();
    int n = 1 + (int)below(w, 18), result;
    struct iovec iov[18];

    result = zcb_chain_reserve(chain, min, iov, n);
    if (result < 0) {
        may_fail(w, c, result);
        assert_int_equal(zcb_chain_pinned(chain), pinned);
        return;
    }
    assert_true(result >= 1 && result <= n && result <= 16);
    assert_int_equal(zcb_chain_chunks(chain), chunks);
    for (int i = 0; i < result; i++) {
        assert_true(iov[i].iov_len != 0);
        memset(iov[i].iov_base, 0xdb, iov[i].iov_len);
        room += iov[i].iov_len;
    }
    assert_true(room >= min);
    check_world(w); // what was written is nobody's yet
    if (below(w, 8) == 0)
        return; // never committed
    if (below(w, 4) == 0)
        assert_int_equal(zcb_chain_commit(chain, room + 1), -ERANGE);
    if (below(w, 4) == 0 && chain->len != 0) { // discard does not end it
        len = below(w, chain->len + 1);
        assert_int_equal(zcb_chain_discard(chain, len), 0);
        model_drop(&w->model[c], len);
    }
    len = below(w, 3) == 0 ? room : below(w, room + 1);
    if (len > MOST - w->model[c].len)
        len = MOST - w->model[c].len;
    for (size_t i = 0, done = 0; done < len; i++) {
        size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

        for (size_t k = 0; k < part; k++)
            ((uint8_t *)iov[i].iov_base)[k] = random_byte(w);
        model_insert(&w->model[c], w->model[c].len, iov[i].iov_base, part);
        done += part;
    }
    assert_int_equal(zcb_chain_commit(chain, len), 0);
    assert_int_equal(zcb_chain_commit(chain, 1), -ERANGE);
    assert_true(nothing_copied(&before));
}

static void
try_peek(struct world *w, int c)
{
    const struct zcb_chain *chain = &w->chain[c];
    const struct bytes *model = &w->model[c];
    size_t off = below(w, model->len + 2), len = some_len(w);
    struct zcb_copies before = copies_now();
    uint8_t scratch[4096];
    const uint8_t *at = zcb_chain_peek(chain, off, len, scratch);

    if (off > model->len || len > model->len - off) {
        assert_null(at);
        assert_true(nothing_copied(&before));
        assert_int_equal(zcb_chain_copy_to(chain, off, scratch, len), -EAGAIN);
        return;
    }
    assert_non_null(at);
    assert_memory_equal(at, model->at + off, len);
    assert_true(only_copied(&before, ZCB_COPY_PEEK, at == scratch ? len : 0));
    before = copies_now();
    if (at == scratch)
        assert_null(zcb_chain_peek(chain, off, len, NULL));
    else
        assert_ptr_equal(zcb_chain_peek(chain, off, len, NULL), at);
    assert_int_equal(zcb_chain_copy_to(chain, off, scratch, len), 0);
    assert_memory_equal(scratch, model->at + off, len);
    assert_true(only_copied(&before, ZCB_COPY_COPY_TO, len));
}

static uint64_t
big_endian(const uint8_t *at, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

static uint64_t
little_endian(const uint8_t *at, size_t len)
{
    uint64_t value = 0;

    while (len-- != 0)
        value = value << 8 | at[len];
    return value;
}

static void
try_integers(struct world *w, int c)
{
    const struct zcb_chain *chain = &w->chain[c];
    const struct bytes *model = &w->model[c];
    size_t off = below(w, model->len + 1), left = model->len - off;
    const uint8_t *at = model->at + off;
    uint64_t variable;
    size_t used = 0;
    int result;

#define INTEGER(name, type, order)                                                                 \
    do {                                                                                           \
        type value = 0;                                                                            \
        result = zcb_chain_peek_##name(chain, off, &value);                                        \
        assert_int_equal(result, left < sizeof(value) ? -EAGAIN : 0);                              \
        if (result == 0)                                                                           \
            assert_true(value == order(at, sizeof(value)));                                        \
    } while (0)
    INTEGER(u8, uint8_t, big_endian);
    INTEGER(u16be, uint16_t, big_endian);
    INTEGER(u16le, uint16_t, little_endian);
    INTEGER(u32be, uint32_t, big_endian);
    INTEGER(u32le, uint32_t, little_endian);
    INTEGER(u64be, uint64_t, big_endian);
    INTEGER(u64le, uint64_t, little_endian);
#undef INTEGER

    result = zcb_chain_peek_leb128(chain, off, &variable);
    while (used < left && used < 10 && (at[used] & 0x80) != 0)
        used++;
    if (used == 10 || (used == 9 && left > 9 && at[9] > 1))
        assert_int_equal(result, -EBADMSG);
    else if (used == left)
        assert_int_equal(result, -EAGAIN);
    else
        assert_int_equal(result, used + 1);
    if (result > 0) {
        uint64_t value = 0;

        for (size_t i = 0; i <= used; i++)
            value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        assert_true(variable == value);
    }

    result = zcb_chain_peek_quic(chain, off, &variable);
    used = left != 0 ? (size_t)1 << (at[0] >> 6) : 1;
    assert_int_equal(result, used > left ? -EAGAIN : (int)used);
    if (result > 0)
        assert_true(variable == (big_endian(at, used) & (UINT64_MAX >> (66 - 8 * used))));
}

static void
try_find(struct world *w, int c)
{
    const struct zcb_chain *chain = &w->chain[c];
    const struct bytes *model = &w->model[c];
    size_t off = below(w, model->len + 2), n = 1 + below(w, below(w, 2) ? 4 : 40), at = 12345,
           expected = off;
    uint8_t pattern[64];
    int result;

    for (size_t i = 0; i < n; i++)
        pattern[i] = random_byte(w);
    if (below(w, 2) && model->len >= n) // one that is there
        memcpy(pattern, model->at + below(w, model->len - n + 1), n);
    result = n == 1 ? zcb_chain_find_byte(chain, off, pattern[0], &at)
                    : zcb_chain_find(chain, off, pattern, n, &at);
    while (expected <= model->len && n <= model->len - expected &&
           memcmp(model->at + expected, pattern, n) != 0)
        expected++;
    if (expected > model->len || n > model->len - expected) {
        assert_int_equal(result, -EAGAIN);
        assert_int_equal(at, 12345);
    } else {
        assert_int_equal(result, 0);
        assert_int_equal(at, expected);
    }
}

static void
try_cursor(struct world *w, int c)
{
    const struct zcb_chain *chain = &w->chain[c];
    const struct bytes *model = &w->model[c];
    size_t off = below(w, model->len + 1);
    struct zcb_cursor cursor;

    assert_int_equal(zcb_cursor_init(&cursor, chain, model->len + 1), -EAGAIN);
    assert_int_equal(zcb_cursor_init(&cursor, chain, off), 0);
    for (int i = 0; i < 60; i++) {
        size_t len = some_len(w), here;
        struct zcb_copies before = copies_now();
        uint8_t bytes[4096];
        const uint8_t *at = zcb_cursor_peek(&cursor, &here);
        uint64_t u64;
        uint8_t u8;
        int result;

        assert_int_equal(zcb_cursor_tell(&cursor), off);
        assert_int_equal(zcb_cursor_left(&cursor), model->len - off);
        assert_true((at == NULL) == (off == model->len));
        assert_true((here == 0) == (off == model->len));
        assert_true(here <= model->len - off);
        if (at != NULL)
            assert_memory_equal(at, model->at + off, here);
        switch (below(w, 6)) {
        case 0:
            result = zcb_cursor_skip(&cursor, len);
            break;
        case 1:
            len = 1;
            result = zcb_cursor_u8(&cursor, &u8);
            if (result == 0)
                assert_int_equal(u8, model->at[off]);
            break;
        case 2:
            len = 8;
            result = zcb_cursor_u64be(&cursor, &u64);
            if (result == 0)
                assert_true(u64 == big_endian(model->at + off, 8));
            break;
        case 3:
            len = 8;
            result = zcb_cursor_u64le(&cursor, &u64);
            if (result == 0)
                assert_true(u64 == little_endian(model->at + off, 8));
            break;
        case 4:
            assert_int_equal(zcb_chain_peek_leb128(chain, off, &u64),
                             result = zcb_cursor_leb128(&cursor, &u64));
            if (result < 0)
                continue;
            len = (size_t)result;
            result = 0;
            break;
        default:
            result = zcb_cursor_read(&cursor, bytes, len);
            if (result == 0)
                assert_memory_equal(bytes, model->at + off, len);
            assert_true(only_copied(&before, ZCB_COPY_COPY_TO, result == 0 ? len : 0));
            break;
        }
        assert_int_equal(result, len > model->len - off ? -EAGAIN : 0);
        if (result == 0)
            off += len;
    }
}

static void
try_discard(struct world *w, int c)
{
    struct zcb_chain *chain = &w->chain[c];
    struct bytes *model = &w->model[c];
    size_t len = below(w, 3) == 0 ? model->len
                 : below(w, 2)    ? (size_t)(chain->end - chain->cur)
                                  : some_len(w);
    struct zcb_copies before = copies_now();
    uint8_t *bytes;

    assert_int_equal(zcb_chain_discard(chain, model->len + 1), -EAGAIN);
    assert_int_equal(zcb_chain_discard(chain, (size_t)-2), -EAGAIN);
    if (len > model->len)
        len = model->len;
    if (below(w, 2)) {
        assert_int_equal(zcb_chain_discard(chain, len), 0);
        assert_true(nothing_copied(&before));
    } else {
        bytes = malloc(len + 1);
        assert_non_null(bytes);
        assert_int_equal(zcb_chain_consume(chain, bytes, len), 0);
        assert_memory_equal(bytes, model->at, len);
        assert_true(only_copied(&before, ZCB_COPY_CONSUME, len));
        free(bytes);
    }
    model_drop(model, len);
}

// take, slice, gather
static void
try_cut(struct world *w, int c)
{
    struct zcb_chain *chain = &w->chain[c];
    struct bytes *model = &w->model[c];
    size_t first = (size_t)(chain->end - chain->cur), len = below(w, 2) ? first : some_len(w);
    size_t off = below(w, model->len + 1), chunks = zcb_chain_chunks(chain),
           pinned = zcb_chain_pinned(chain);
    struct zcb_copies before = copies_now();
    struct zcb_packet packet = {0};
    bool contiguous;
    int result;

    if (below(w, 2)) {
        result = zcb_chain_take(chain, len, &packet);
        if (len > model->len) {
            assert_int_equal(result, -EAGAIN);
        } else if (result == 0) {
            assert_int_equal(packet.len, len);
            assert_memory_equal(packet.data != NULL ? packet.data : (const uint8_t *)"", model->at,
                                len);
            assert_true(only_copied(&before, ZCB_COPY_TAKE, len > first ? len : 0));
            model_drop(model, len);
            hold(w, packet);
            return;
        } else {
            assert_true(len > first);
            may_fail(w, c, result);
        }
        assert_int_equal(zcb_chain_chunks(chain), chunks);
        assert_int_equal(zcb_chain_pinned(chain), pinned);
        assert_true(nothing_copied(&before));
        return;
    }
    contiguous = zcb_chain_peek(chain, off, len, NULL) != NULL;
    result = zcb_chain_slice(chain, off, len, &packet);
    assert_int_equal(result, len > model->len - off ? -EAGAIN : contiguous ? 0 : -EXDEV);
    assert_true(nothing_copied(&before));
    if (result == -EXDEV) {
        result = zcb_chain_gather(chain, off, len, &packet);
        if (result < 0) {
            may_fail(w, c, result);
            assert_true(nothing_copied(&before));
            return;
        }
        assert_int_equal(result, 1);
        assert_true(only_copied(&before, ZCB_COPY_GATHER, len));
    }
    if (result >= 0) {
        assert_int_equal(packet.len, len);
        if (len != 0)
            assert_memory_equal(packet.data, model->at + off, len);
        hold(w, packet);
    }
}

static void
try_move(struct world *w, int c)
{
    int to = (int)below(w, CHAINS);
    struct zcb_copies before = copies_now();
    struct bytes *from_model = &w->model[c], *to_model = &w->model[to];
    size_t len = below(w, 2) ? from_model->len : some_len(w);
    bool whole = below(w, 2);
    int result;

    if (whole)
        len = from_model->len;
    if (to != c && len <= from_model->len && len > MOST - to_model->len)
        return;
    if (whole)
        result = zcb_chain_move(&w->chain[to], &w->chain[c]);
    else
        result = zcb_chain_split(&w->chain[c], len, &w->chain[to]);
    assert_true(nothing_copied(&before));
    if (to == c) {
        assert_int_equal(result, -EINVAL);
    } else if (len > from_model->len) {
        assert_int_equal(result, -EAGAIN);
    } else if (result == 0) {
        model_insert(to_model, to_model->len, from_model->at, len);
        model_drop(from_model, len);
    } else {
        may_fail(w, to, result);
    }
}

static void
start_chain(struct world *w, int c)
{
    struct zcb_chain_config config = {.chunk_size = 1 + below(w, 2000)};

    w->limited[c] = false;
    if (below(w, 2))
        config.copy_below = below(w, 100);
    if (below(w, 3) == 0) {
        w->limited[c] = true;
        config.max_bytes = 1 + below(w, 4000);
        config.max_chunks = 1 + below(w, 12);
        config.max_pinned = 1 + below(w, 20000);
    }
    w->copy_below[c] = config.copy_below;
    w->model[c].len = 0;
    assert_int_equal(zcb_chain_init(&w->chain[c], w->pool, &config), 0);
}

static void
step(struct world *w)
{
    int c = (int)below(w, CHAINS);

    w->armed = below(w, 6) == 0;
    switch (w->armed ? below(w, 2) : 2) {
    case 0:
        zcb_failing_source_fail(&w->source, 1 + below(w, 2), true);
        break;
    case 1:
        break; // malloc: below, where the test itself does not call it
    default:
        break;
    }
    switch (below(w, 17)) {
    case 0:
    case 1: {
        struct zcb_packet packet = random_packet(w);
        bool at_front = below(w, 3) == 0;

        if (w->armed && below(w, 2) && zcb_alloc_count_works())
            zcb_alloc_fail(1, true);
        try_push(w, c, packet, at_front);
        zcb_alloc_fail(0, false);
        break;
    }
    case 2:
        push_run(w, c);
        break;
    case 3:
        try_append(w, c);
        break;
    case 4:
    case 5:
        if (w->armed && below(w, 2) && zcb_alloc_count_works())
            zcb_alloc_fail(1 + below(w, 3), true);
        try_receive(w, c);
        zcb_alloc_fail(0, false);
        break;
    case 6:
        try_peek(w, c);
        break;
    case 7:
        try_integers(w, c);
        break;
    case 8:
        try_find(w, c);
        break;
    case 9:
        try_cursor(w, c);
        break;
    case 10:
    case 11:
        try_discard(w, c);
        break;
    case 12:
    case 13:
        try_cut(w, c);
        break;
    case 14:
        if (w->armed && below(w, 2) && zcb_alloc_count_works())
            zcb_alloc_fail(1, true);
        try_move(w, c);
        zcb_alloc_fail(0, false);
        break;
    case 15:
        drop_held(&w->held[below(w, HELD)]);
        break;
    default:
        if (below(w, 4) == 0) {
            zcb_chain_finish(&w->chain[c]);
            start_chain(w, c);
        } else {
            zcb_chain_trim(&w->chain[c]);
        }
        break;
    }
    zcb_failing_source_fail(&w->source, 0, false);
    check_world(w);
}

static void
run(uint64_t seed)
{
    static struct world w;
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 64}, {.buffer_size = 512}, {.buffer_size = 2048}},
        .slab_size = 16384,
        .flags = seed % 2 ? ZCB_POOL_NO_CACHE : 0,
        .headroom = seed % 3 == 0 ? 16 : 0,
    };

    memset(&w, 0, sizeof(w));
    w.random = seed;
    w.alphabet = seed % 4 < 2 ? 2 : 256;
    for (size_t i = 0; i < sizeof(table); i++)
        table[i] = random_byte(&w);
    zcb_failing_source_init(&w.source);
    config.source = &w.source.source;
    assert_int_equal(zcb_pool_create(&config, &w.pool), 0);
    for (int c = 0; c < CHAINS; c++)
        start_chain(&w, c);
    for (int i = 0; i < 400; i++)
        step(&w);
    for (int i = 0; i < HELD; i++)
        drop_held(&w.held[i]);
    for (int c = 0; c < CHAINS; c++) {
        zcb_chain_finish(&w.chain[c]);
        zcb_chain_finish(&w.chain[c]);
    }
    zcb_pool_destroy(&w.pool);
    zcb_thread_flush();
    assert_int_equal(w.source.live, 0);
}

static void
random_operations_behave_like_an_array_of_bytes(void **state)
{
    uint64_t seed = zcb_test_seed();
    size_t rounds = zcb_test_rounds(150);

    (void)state;
    for (size_t i = 0; i < rounds; i++) {
        int64_t live = zcb_alloc_live();

        run(seed + i);
        if (i != 0) // the first round leaves what a thread keeps for good
            assert_int_equal(zcb_alloc_live(), live);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_behave_like_an_array_of_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
