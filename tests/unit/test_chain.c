// SPDX-License-Identifier: MIT
//
// The chain as a receive buffer: what a parser of a wire protocol does with it.

#include "support/chain_tools.h"

#include "support/pools.h"

static struct zcb_pool *pool;

// Bytes that differ from their neighbours, and from those 256 further on.
static uint8_t
pattern_byte(size_t i)
{
    return (uint8_t)(i * 7 + i / 256 * 13);
}

static void
fill_pattern(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = pattern_byte(i);
}

// An empty chain. A declaration and a statement: the last of a function's declarations, or among
// statements.
#define CHAIN(name)                                                                                \
    struct zcb_chain name;                                                                         \
    assert_int_equal(zcb_chain_init(&name, pool, NULL), 0)

// ---- push

static void
pushing_adds_the_lengths(void **state)
{
    CHAIN(chain);

    (void)state;
    assert_int_equal(zcb_chain_len(&chain), 0);
    assert_int_equal(zcb_chain_chunks(&chain), 0);
    push_lone(&chain, "hello", 5);
    assert_int_equal(zcb_chain_len(&chain), 5);
    push_lone(&chain, " world", 6);
    assert_int_equal(zcb_chain_len(&chain), 11);
    assert_int_equal(zcb_chain_chunks(&chain), 2);
    assert_chain_sound(&chain);
    assert_true(chain_is(&chain, "hello world", 11));
    zcb_chain_finish(&chain);
}

static void
an_empty_packet_is_taken_and_adds_nothing(void **state)
{
    struct zcb_packet packet = lone_packet("", 0), empty = zcb_packet_static("x", 0);
    struct zcb_packet owned = lone_packet("x", 1);
    CHAIN(chain);

    (void)state;
    assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    assert_int_equal(zcb_chain_push_front(&chain, &empty), 0);
    owned.len = 0; // empty, but with a reference to lose
    assert_int_equal(zcb_chain_push(&chain, &owned), 0);
    assert_null(owned.owner);
    assert_int_equal(zcb_chain_len(&chain), 0);
    assert_int_equal(zcb_chain_chunks(&chain), 0);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
}

static void
a_thousand_chunks_are_kept_in_order(void **state)
{
    CHAIN(chain);
    uint8_t byte;

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        byte = pattern_byte(i);
        push_lone(&chain, &byte, 1);
    }
    assert_int_equal(zcb_chain_len(&chain), 1000);
    assert_int_equal(zcb_chain_chunks(&chain), 1000);
    assert_chain_sound(&chain);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(zcb_chain_peek_u8(&chain, i, &byte), 0);
        assert_int_equal(byte, pattern_byte(i));
    }
    zcb_chain_finish(&chain);
}

// ---- peek of integers

static void
integers_are_peeked_in_one_chunk_at_an_offset_and_across_boundaries(void **state)
{
    static const struct {
        uint32_t value;
        size_t off;  // bytes in front
        size_t each; // size of the chunks
    } cases[] = {
        {0x01020304, 0, 16}, {0x01020304, 3, 16}, // in one chunk; at an offset
        {0x01020304, 0, 2},  {0x01020304, 3, 5},  // across a boundary
        {0x01020304, 0, 1},  {0x01020304, 5, 1},  // across many
        {0, 0, 16},          {0, 1, 2},           // 0
        {0xffffffff, 0, 16}, {0xffffffff, 2, 3},  // the greatest
        {0x80000000, 0, 16}, {0x80000000, 0, 1},
        {0x80000000, 1, 2}, // the top bit, in one and split
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t value = cases[i].value, got = 1;
        uint8_t bytes[16] = {0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x11, 0x22, 0x33};
        struct zcb_copies before;
        CHAIN(chain);
        size_t crosses;

        for (int k = 0; k < 4; k++)
            bytes[cases[i].off + (size_t)k] = (uint8_t)(value >> (24 - 8 * k));
        push_cut(&chain, bytes, cases[i].off + 4, cases[i].each);
        before = copies_now();
        assert_int_equal(zcb_chain_peek_u32be(&chain, cases[i].off, &got), 0);
        assert_int_equal(got, value);
        crosses = cases[i].off / cases[i].each != (cases[i].off + 3) / cases[i].each;
        assert_true(only_copied(&before, ZCB_COPY_PEEK, crosses ? 4 : 0));
        assert_int_equal(zcb_chain_peek_u32le(&chain, cases[i].off, &got), 0);
        assert_int_equal(got, __builtin_bswap32(value));
        assert_int_equal(zcb_chain_len(&chain), cases[i].off + 4); // nothing is consumed
        zcb_chain_finish(&chain);
    }
}

static void
an_integer_that_is_not_all_there_is_asked_for_again(void **state)
{
    uint64_t u64 = 42;
    uint32_t u32 = 42;
    uint16_t u16 = 42;
    uint8_t u8 = 42;
    CHAIN(chain);

    (void)state;
    assert_int_equal(zcb_chain_peek_u8(&chain, 0, &u8), -EAGAIN);
    push_cut(&chain, (const uint8_t *)"abc", 3, 2);
    assert_int_equal(zcb_chain_peek_u32be(&chain, 0, &u32), -EAGAIN);
    assert_int_equal(zcb_chain_peek_u32le(&chain, 0, &u32), -EAGAIN);
    assert_int_equal(zcb_chain_peek_u64be(&chain, 0, &u64), -EAGAIN);
    assert_int_equal(zcb_chain_peek_u64le(&chain, 0, &u64), -EAGAIN);
    assert_int_equal(zcb_chain_peek_u16be(&chain, 2, &u16), -EAGAIN);
    assert_int_equal(zcb_chain_peek_u16le(&chain, 2, &u16), -EAGAIN);
    assert_int_equal(zcb_chain_peek_u8(&chain, 3, &u8), -EAGAIN);
    assert_int_equal(zcb_chain_peek_u8(&chain, SIZE_MAX, &u8), -EAGAIN);
    assert_int_equal(zcb_chain_peek_u32be(&chain, SIZE_MAX - 1, &u32), -EAGAIN);
    assert_true(u8 == 42 && u16 == 42 && u32 == 42 && u64 == 42);
    assert_int_equal(zcb_chain_peek_u16be(&chain, 1, &u16), 0);
    assert_int_equal(u16, 'b' << 8 | 'c');
    assert_int_equal(zcb_chain_peek_u16le(&chain, 1, &u16), 0);
    assert_int_equal(u16, 'c' << 8 | 'b');
    zcb_chain_finish(&chain);
}

static void
peek_lends_what_is_contiguous_and_copies_only_what_crosses(void **state)
{
    struct zcb_packet packet = lone_packet("abcdef", 6);
    const uint8_t *memory = packet.data;
    struct zcb_copies before;
    uint8_t scratch[16];
    CHAIN(chain);

    (void)state;
    assert_non_null(zcb_chain_peek(&chain, 0, 0, NULL));
    assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    push_lone(&chain, "ghi", 3);
    before = copies_now();
    assert_ptr_equal(zcb_chain_peek(&chain, 0, 6, scratch), memory);
    assert_ptr_equal(zcb_chain_peek(&chain, 2, 4, NULL), memory + 2);
    assert_memory_equal(zcb_chain_peek(&chain, 6, 3, NULL), "ghi", 3);
    assert_null(zcb_chain_peek(&chain, 5, 2, NULL));
    assert_true(nothing_copied(&before));
    assert_ptr_equal(zcb_chain_peek(&chain, 4, 4, scratch), scratch);
    assert_memory_equal(scratch, "efgh", 4);
    assert_true(only_copied(&before, ZCB_COPY_PEEK, 4));
    // no bytes: never NULL up to the end
    for (size_t off = 0; off <= 9; off++)
        assert_non_null(zcb_chain_peek(&chain, off, 0, NULL));
    assert_null(zcb_chain_peek(&chain, 10, 0, scratch));
    assert_null(zcb_chain_peek(&chain, 9, 1, scratch));
    assert_null(zcb_chain_peek(&chain, 0, SIZE_MAX, scratch));
    assert_null(zcb_chain_peek(&chain, SIZE_MAX, SIZE_MAX, scratch));
    assert_null(zcb_chain_peek(&chain, 1, SIZE_MAX, scratch));
    zcb_chain_finish(&chain);
}

// ---- copy_to

static void
copy_to_copies_from_one_chunk_from_two_and_from_many(void **state)
{
    static const size_t cuts[] = {100, 60, 7, 1};
    uint8_t bytes[100], got[104];

    (void)state;
    fill_pattern(bytes, sizeof(bytes));
    for (size_t i = 0; i < 4; i++) {
        struct zcb_copies before;
        CHAIN(chain);

        push_cut(&chain, bytes, 100, cuts[i]);
        before = copies_now();
        memset(got, 0xcc, sizeof(got));
        assert_int_equal(zcb_chain_copy_to(&chain, 10, got + 2, 80), 0); // and to a place inside
        assert_memory_equal(got + 2, bytes + 10, 80);
        assert_true(got[1] == 0xcc && got[82] == 0xcc);
        assert_true(only_copied(&before, ZCB_COPY_COPY_TO, 80));
        assert_int_equal(zcb_chain_copy_to(&chain, 0, got, 100), 0);
        assert_memory_equal(got, bytes, 100);
        assert_int_equal(zcb_chain_copy_to(&chain, 100, got, 0), 0);
        assert_int_equal(zcb_chain_len(&chain), 100);
        zcb_chain_finish(&chain);
    }
}

static void
copy_to_of_more_than_there_is_writes_nothing(void **state)
{
    static const struct {
        size_t off, len;
    } cases[] = {
        {0, 11}, {10, 1}, {11, 0}, {5, 6}, {SIZE_MAX, 1}, {1, SIZE_MAX}, {SIZE_MAX, SIZE_MAX}};
    struct zcb_copies before;
    uint8_t got[16];
    CHAIN(chain);

    (void)state;
    push_cut(&chain, (const uint8_t *)"0123456789", 10, 4);
    before = copies_now();
    memset(got, 0xcc, sizeof(got));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(zcb_chain_copy_to(&chain, cases[i].off, got, cases[i].len), -EAGAIN);
    assert_int_equal(zcb_chain_copy_to(&chain, 0, NULL, 1), -EINVAL);
    assert_int_equal(zcb_chain_copy_to(&chain, 0, NULL, 0), 0);
    for (size_t i = 0; i < sizeof(got); i++)
        assert_int_equal(got[i], 0xcc);
    assert_true(nothing_copied(&before));
    zcb_chain_finish(&chain);
}

// ---- discard, consume

static void
discard_drops_whole_chunks_parts_and_what_crosses(void **state)
{
    static const struct {
        size_t len;
        const char *left;
        size_t chunks;
    } cases[] = {
        {0, "abcdefghij", 3}, {1, "bcdefghij", 3}, {3, "defghij", 3}, {4, "efghij", 2},
        {5, "fghij", 2},      {8, "ij", 1},        {9, "j", 1},       {10, "", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zcb_copies before;
        CHAIN(chain);

        push_cut(&chain, (const uint8_t *)"abcdefghij", 10, 4);
        before = copies_now();
        assert_int_equal(zcb_chain_discard(&chain, cases[i].len), 0);
        assert_true(chain_is(&chain, cases[i].left, 10 - cases[i].len));
        assert_int_equal(zcb_chain_chunks(&chain), cases[i].chunks);
        assert_chain_sound(&chain);
        assert_true(nothing_copied(&before));
        zcb_chain_finish(&chain);
    }
}

static void
discard_past_the_end_changes_nothing(void **state)
{
    static const size_t lens[] = {11, 12, SIZE_MAX, (size_t)-2, SIZE_MAX / 2};
    CHAIN(chain);

    (void)state;
    assert_int_equal(zcb_chain_discard(&chain, 1), -EAGAIN);
    assert_int_equal(zcb_chain_discard(&chain, 0), 0);
    push_cut(&chain, (const uint8_t *)"abcdefghij", 10, 4);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        assert_int_equal(zcb_chain_discard(&chain, lens[i]), -EAGAIN);
        assert_true(chain_is(&chain, "abcdefghij", 10));
        assert_chain_sound(&chain);
    }
    zcb_chain_finish(&chain);
}

static void
discarding_everything_leaves_a_chain_that_can_be_used(void **state)
{
    CHAIN(chain);

    (void)state;
    for (int i = 0; i < 3; i++) {
        push_cut(&chain, (const uint8_t *)"abcdefghij", 10, 3);
        assert_int_equal(zcb_chain_discard(&chain, zcb_chain_len(&chain)), 0);
        assert_int_equal(zcb_chain_len(&chain), 0);
        assert_int_equal(zcb_chain_chunks(&chain), 0);
        assert_int_equal(zcb_chain_pinned(&chain), 0);
        assert_chain_sound(&chain);
    }
    zcb_chain_finish(&chain);
}

static void
consume_copies_and_drops_or_does_neither(void **state)
{
    struct zcb_copies before;
    uint8_t got[16] = {0};
    CHAIN(chain);

    (void)state;
    push_cut(&chain, (const uint8_t *)"abcdefghij", 10, 4);
    before = copies_now();
    assert_int_equal(zcb_chain_consume(&chain, got, 11), -EAGAIN);
    assert_int_equal(zcb_chain_consume(&chain, NULL, 1), -EINVAL);
    assert_int_equal(zcb_chain_consume(&chain, NULL, 5), -EINVAL);
    assert_int_equal(zcb_chain_consume(&chain, NULL, 0), 0);
    assert_true(nothing_copied(&before));
    assert_int_equal(zcb_chain_consume(&chain, got, 2), 0); // inside a chunk
    assert_memory_equal(got, "ab", 2);
    assert_int_equal(zcb_chain_consume(&chain, got, 2), 0); // to its end
    assert_memory_equal(got, "cd", 2);
    assert_int_equal(zcb_chain_consume(&chain, got, 6), 0); // across
    assert_memory_equal(got, "efghij", 6);
    assert_true(only_copied(&before, ZCB_COPY_CONSUME, 10));
    assert_int_equal(zcb_chain_len(&chain), 0);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
}

static void
finish_clears_and_may_be_repeated(void **state)
{
    struct zcb_chain zero = {0};
    CHAIN(chain);

    (void)state;
    push_cut(&chain, (const uint8_t *)"abcdefghij", 10, 1);
    zcb_chain_finish(&chain);
    assert_memory_equal(&chain, &zero, sizeof(chain));
    zcb_chain_finish(&chain);
    zcb_chain_finish(&zero);
    zcb_chain_finish(NULL);
    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    push_lone(&chain, "x", 1);
    zcb_chain_finish(&chain);
}

// ---- protocols

static void
two_messages_of_16_kib_that_straddle_packets_come_out_whole(void **state)
{
    enum { BODY = 16384 };
    static uint8_t wire[2 * (4 + BODY)], body[BODY];
    CHAIN(chain);
    size_t at = 0;
    int messages = 0;

    (void)state;
    for (int m = 0; m < 2; m++) {
        uint8_t *head = wire + m * (4 + BODY);

        head[0] = head[1] = head[3] = 0;
        head[2] = BODY >> 8;
        for (size_t i = 0; i < BODY; i++)
            head[4 + i] = (uint8_t)(pattern_byte(i) + m);
    }
    while (at < sizeof(wire)) {
        size_t len = sizeof(wire) - at < 1448 ? sizeof(wire) - at : 1448;
        uint32_t size;

        push_lone(&chain, wire + at, len);
        at += len;
        while (zcb_chain_peek_u32be(&chain, 0, &size) == 0 &&
               zcb_chain_len(&chain) >= 4 + (size_t)size) {
            assert_int_equal(size, BODY);
            assert_int_equal(zcb_chain_discard(&chain, 4), 0);
            assert_int_equal(zcb_chain_consume(&chain, body, size), 0);
            assert_memory_equal(body, wire + messages * (4 + BODY) + 4, BODY);
            messages++;
        }
    }
    assert_int_equal(messages, 2);
    assert_int_equal(zcb_chain_len(&chain), 0);
    zcb_chain_finish(&chain);
}

static void
messages_that_come_interleaved_with_reads_keep_their_bounds(void **state)
{
    uint8_t wire[64], got[64];
    size_t sent = 0, read = 0;
    CHAIN(chain);

    (void)state;
    for (int round = 0; round < 1000; round++) {
        size_t len = 1 + (size_t)round * 7 % 63;

        for (size_t i = 0; i < len; i++)
            wire[i] = pattern_byte(sent + i);
        push_lone(&chain, wire, len);
        sent += len;
        while (sent - read >= 40) {
            size_t part = 1 + read % 40;

            assert_int_equal(zcb_chain_consume(&chain, got, part), 0);
            for (size_t i = 0; i < part; i++)
                assert_int_equal(got[i], pattern_byte(read + i));
            read += part;
        }
        assert_int_equal(zcb_chain_len(&chain), sent - read);
    }
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
}

// A message with a header, a length, a delimiter, a varint: every way of looking at it gives the
// same, wherever it is cut.
static void
look_at_it_all(struct zcb_chain *chain, const uint8_t *message, size_t len)
{
    struct zcb_packet packet;
    struct zcb_cursor cursor;
    struct zcb_copies before;
    uint8_t scratch[32];
    uint64_t varint;
    uint32_t u32;
    uint16_t u16;
    size_t at, first = (size_t)(chain->end - chain->cur);
    int result;

    assert_chain_sound(chain);
    assert_true(chain_is(chain, message, len));
    for (size_t off = 0; off <= len; off++) {
        for (size_t n = 0; n <= len - off; n++) {
            assert_memory_equal(zcb_chain_peek(chain, off, n, scratch), message + off, n);
            assert_int_equal(zcb_chain_copy_to(chain, off, scratch, n), 0);
            assert_memory_equal(scratch, message + off, n);
            if (n != 0) {
                result = zcb_chain_find(chain, off, message + off, n, &at);
                assert_int_equal(result, 0);
                assert_int_equal(at, off);
            }
            before = copies_now();
            result = zcb_chain_gather(chain, off, n, &packet);
            assert_true(result == 0 || result == 1);
            assert_true(only_copied(&before, ZCB_COPY_GATHER, result == 1 ? n : 0));
            assert_int_equal(packet.len, n);
            if (n != 0)
                assert_memory_equal(packet.data, message + off, n);
            zcb_packet_unref(&packet);
        }
        assert_null(zcb_chain_peek(chain, off, len - off + 1, scratch));
    }
    assert_int_equal(zcb_chain_peek_u32be(chain, 0, &u32), 0);
    assert_int_equal(u32, 0x01020304);
    assert_int_equal(zcb_chain_peek_u16le(chain, 4, &u16), 0);
    assert_int_equal(u16, 0x0605);
    assert_int_equal(zcb_chain_peek_leb128(chain, 6, &varint), 3);
    assert_int_equal(varint, 624485);
    assert_int_equal(zcb_chain_peek_quic(chain, 9, &varint), 4);
    assert_int_equal(varint, 494878333);
    assert_int_equal(zcb_chain_find_crlf(chain, 0, &at), 0);
    assert_int_equal(at, 15);
    assert_int_equal(zcb_chain_find_byte(chain, 0, 'z', &at), 0);
    assert_int_equal(at, 17);

    assert_int_equal(zcb_cursor_init(&cursor, chain, 0), 0);
    assert_int_equal(zcb_cursor_u32be(&cursor, &u32), 0);
    assert_int_equal(u32, 0x01020304);
    assert_int_equal(zcb_cursor_u16le(&cursor, &u16), 0);
    assert_int_equal(u16, 0x0605);
    assert_int_equal(zcb_cursor_leb128(&cursor, &varint), 3);
    assert_int_equal(zcb_cursor_quic(&cursor, &varint), 4);
    assert_int_equal(varint, 494878333);
    assert_int_equal(zcb_cursor_tell(&cursor), 13);

    before = copies_now();
    assert_int_equal(zcb_chain_take(chain, len - 1, &packet), 0);
    assert_memory_equal(packet.data, message, len - 1);
    assert_true(only_copied(&before, ZCB_COPY_TAKE, len - 1 > first ? len - 1 : 0));
    zcb_packet_unref(&packet);
    assert_true(chain_is(chain, message + len - 1, 1));
    assert_chain_sound(chain);
}

static const uint8_t message[] = {1,    2,    3,    4,    5,   6,   0xe5, 0x8e, 0x26,
                                  0x9d, 0x7f, 0x3e, 0x7d, 'a', 'b', '\r', '\n', 'z'};

static void
views_are_equal_wherever_a_message_is_cut_in_two_and_in_three(void **state)
{
    (void)state;
    for (size_t one = 0; one <= sizeof(message); one++) {
        for (size_t two = one; two <= sizeof(message); two++) {
            CHAIN(chain);

            push_lone(&chain, message, one);
            push_lone(&chain, message + one, two - one);
            push_lone(&chain, message + two, sizeof(message) - two);
            look_at_it_all(&chain, message, sizeof(message));
            zcb_chain_finish(&chain);
        }
    }
}

static void
views_are_equal_when_every_byte_is_a_packet_and_when_they_are_pushed_to_the_front(void **state)
{
    CHAIN(chain);

    (void)state;
    push_cut(&chain, message, sizeof(message), 1);
    look_at_it_all(&chain, message, sizeof(message));
    zcb_chain_finish(&chain);

    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    for (size_t i = sizeof(message); i-- > 0;) {
        struct zcb_packet packet = lone_packet(message + i, 1);

        assert_int_equal(zcb_chain_push_front(&chain, &packet), 0);
    }
    assert_int_equal(zcb_chain_chunks(&chain), sizeof(message));
    look_at_it_all(&chain, message, sizeof(message));
    zcb_chain_finish(&chain);
}

// ---- merging

static void
views_that_lie_side_by_side_become_one_chunk_again(void **state)
{
    struct zcb_packet whole = must_packet(pool, 3000), rest, part;
    const uint8_t *memory = whole.data;
    struct zcb_copies before = copies_now();
    CHAIN(chain);

    (void)state;
    fill_pattern((uint8_t *)(uintptr_t)memory, 3000);
    rest = zcb_packet_ref(&whole);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(zcb_packet_split(&rest, 1000, &part), 0);
        assert_int_equal(zcb_chain_push(&chain, &part), 0);
        assert_int_equal(zcb_chain_chunks(&chain), 1);
        assert_int_equal(zcb_chain_pinned(&chain), zcb_packet_pinned(&whole));
    }
    assert_ptr_equal(zcb_chain_peek(&chain, 0, 3000, NULL), memory);
    // and from the front
    assert_int_equal(zcb_chain_take(&chain, 500, &part), 0);
    assert_int_equal(zcb_chain_push_front(&chain, &part), 0);
    assert_int_equal(zcb_chain_chunks(&chain), 1);
    assert_ptr_equal(zcb_chain_peek(&chain, 0, 3000, NULL), memory);
    assert_true(nothing_copied(&before));
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_true(zcb_packet_is_unique(&whole));
    zcb_packet_unref(&whole);
}

static void
static_memory_merges_as_well_and_pins_nothing(void **state)
{
    static const char text[] = "abcdef";
    struct zcb_packet one = zcb_packet_static(text, 2), two = zcb_packet_static(text + 2, 4);
    CHAIN(chain);

    (void)state;
    assert_int_equal(zcb_chain_push(&chain, &one), 0);
    assert_int_equal(zcb_chain_push(&chain, &two), 0);
    assert_int_equal(zcb_chain_chunks(&chain), 1);
    assert_int_equal(zcb_chain_pinned(&chain), 0);
    assert_ptr_equal(zcb_chain_peek(&chain, 0, 6, NULL), text);
    assert_chain_sound(&chain);
    assert_int_equal(zcb_chain_take(&chain, 6, &one), 0);
    assert_null(one.owner);
    zcb_chain_finish(&chain);
}

static void
views_that_overlap_or_leave_a_gap_stay_apart(void **state)
{
    struct zcb_packet whole = must_packet(pool, 100), a, b, c;
    CHAIN(chain);

    (void)state;
    memset((uint8_t *)(uintptr_t)whole.data, 'x', 100);
    assert_int_equal(zcb_packet_slice(&whole, 0, 10, &a), 0);
    assert_int_equal(zcb_packet_slice(&whole, 11, 10, &b), 0);
    assert_int_equal(zcb_packet_slice(&whole, 20, 10, &c), 0);
    assert_int_equal(zcb_chain_push(&chain, &a), 0);
    assert_int_equal(zcb_chain_push(&chain, &b), 0);
    assert_int_equal(zcb_chain_push(&chain, &c), 0);
    assert_int_equal(zcb_chain_chunks(&chain), 3);
    // one run of views of one block
    assert_int_equal(zcb_chain_pinned(&chain), zcb_packet_pinned(&whole));
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    zcb_packet_unref(&whole);
}

static int
setup(void **state)
{
    (void)state;
    pool = must_create(NULL);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    must_end(&pool);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushing_adds_the_lengths),
        cmocka_unit_test(an_empty_packet_is_taken_and_adds_nothing),
        cmocka_unit_test(a_thousand_chunks_are_kept_in_order),
        cmocka_unit_test(integers_are_peeked_in_one_chunk_at_an_offset_and_across_boundaries),
        cmocka_unit_test(an_integer_that_is_not_all_there_is_asked_for_again),
        cmocka_unit_test(peek_lends_what_is_contiguous_and_copies_only_what_crosses),
        cmocka_unit_test(copy_to_copies_from_one_chunk_from_two_and_from_many),
        cmocka_unit_test(copy_to_of_more_than_there_is_writes_nothing),
        cmocka_unit_test(discard_drops_whole_chunks_parts_and_what_crosses),
        cmocka_unit_test(discard_past_the_end_changes_nothing),
        cmocka_unit_test(discarding_everything_leaves_a_chain_that_can_be_used),
        cmocka_unit_test(consume_copies_and_drops_or_does_neither),
        cmocka_unit_test(finish_clears_and_may_be_repeated),
        cmocka_unit_test(two_messages_of_16_kib_that_straddle_packets_come_out_whole),
        cmocka_unit_test(messages_that_come_interleaved_with_reads_keep_their_bounds),
        cmocka_unit_test(views_are_equal_wherever_a_message_is_cut_in_two_and_in_three),
        cmocka_unit_test(
            views_are_equal_when_every_byte_is_a_packet_and_when_they_are_pushed_to_the_front),
        cmocka_unit_test(views_that_lie_side_by_side_become_one_chunk_again),
        cmocka_unit_test(static_memory_merges_as_well_and_pins_nothing),
        cmocka_unit_test(views_that_overlap_or_leave_a_gap_stay_apart),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
