// SPDX-License-Identifier: MIT
//
// Searching a chain, and integers of variable length in it.

#include "support/chain_tools.h"

static void
with_cuts(struct zcb_chain *chain, const char *text, size_t len, size_t each)
{
    assert_int_equal(zcb_chain_init(chain, NULL, NULL), 0);
    push_cut(chain, (const uint8_t *)text, len, each);
}

static void
patterns_are_found_across_chunks_of_every_size(void **state)
{
    static const struct {
        const char *text, *pattern;
        size_t off;
        int at; // -1: not there
    } cases[] = {
        {"", "a", 0, -1},
        {"a", "a", 0, 0},
        {"a", "a", 1, -1},
        {"a", "aa", 0, -1},
        {"hello world", "world", 0, 6},
        {"hello world", "world", 6, 6},
        {"hello world", "world", 7, -1},
        {"hello world", "worlds", 0, -1},
        {"line one\r\nline two\r\n", "\r\n", 0, 8},
        {"line one\r\nline two\r\n", "\r\n", 9, 18},
        {"\r\r\r\n", "\r\n", 0, 2},
        {"aaaaaaaaab", "aab", 0, 7},
        {"aaaaaaaaab", "b", 0, 9},
        {"aabaabaac", "aabaac", 0, 3},
        {"abababababac", "ababac", 0, 6},
        {"abcabcabd", "abcabd", 0, 3},
        {"xyzxyzxyzw", "xyzxyzw", 0, 3},
        {"mississippi", "issip", 0, 4},
        {"mississippi", "ssis", 0, 2},
        {"the end", "d", 0, 6},
        {"aXbXcX", "X", 2, 3},
        {"aaaa", "aaaa", 0, 0},
        {"bbbbba", "ba", 0, 4},
        {"babababb", "bababb", 0, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].text), n = strlen(cases[i].pattern);

        for (size_t each = 1; each <= len + 1; each++) {
            struct zcb_chain chain;
            size_t at = 777;

            with_cuts(&chain, cases[i].text, len, each);
            assert_int_equal(zcb_chain_find(&chain, cases[i].off, cases[i].pattern, n, &at),
                             cases[i].at < 0 ? -EAGAIN : 0);
            assert_int_equal(at, cases[i].at < 0 ? 777 : cases[i].at);
            if (n == 1) {
                at = 777;
                assert_int_equal(
                    zcb_chain_find_byte(&chain, cases[i].off, (uint8_t)cases[i].pattern[0], &at),
                    cases[i].at < 0 ? -EAGAIN : 0);
                assert_int_equal(at, cases[i].at < 0 ? 777 : cases[i].at);
            }
            zcb_chain_finish(&chain);
        }
    }
}

// Every pattern of up to 7 letters of two kinds in every text of up to 12, in chunks of 1 and of 5.
static void
the_first_place_is_found_for_all_short_texts_of_two_letters(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 1u << 12; bits++) {
        char text[13] = {0};
        struct zcb_chain ones, fives;

        for (unsigned i = 0; i < 12; i++)
            text[i] = bits >> i & 1 ? 'b' : 'a';
        with_cuts(&ones, text, 12, 1);
        with_cuts(&fives, text, 12, 5);
        for (unsigned n = 1; n <= 7; n++) {
            for (unsigned p = 0; p < 1u << n; p++) {
                char pattern[8] = {0};
                const char *found;
                size_t at = 777, expected;
                int result;

                for (unsigned i = 0; i < n; i++)
                    pattern[i] = p >> i & 1 ? 'b' : 'a';
                found = strstr(text, pattern);
                expected = found != NULL ? (size_t)(found - text) : 777;
                result = zcb_chain_find(bits % 2 ? &ones : &fives, 0, pattern, n, &at);
                if (result != (found != NULL ? 0 : -EAGAIN) || at != expected)
                    fail_msg("%s in %s: %d at %zu, expected %zu", pattern, text, result, at,
                             expected);
            }
        }
        zcb_chain_finish(&ones);
        zcb_chain_finish(&fives);
    }
}

// Comparing at every place would take 2^35 steps and more here: the test would run into its time
// limit.
static void
patterns_that_almost_match_everywhere_take_linear_time(void **state)
{
    enum { TEXT = 1 << 20, PATTERN = 1 << 16 };
    uint8_t *text = malloc(TEXT), *pattern = malloc(PATTERN);
    static const size_t ends[] = {0, PATTERN / 2, PATTERN - 1}; // where the one other letter is
    struct zcb_chain chain;
    size_t at;

    (void)state;
    assert_non_null(text);
    assert_non_null(pattern);
    memset(text, 'a', TEXT);
    for (size_t each = 64; each <= TEXT; each *= 16384) {
        assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
        push_cut(&chain, text, TEXT, each);
        for (size_t i = 0; i < 3; i++) {
            memset(pattern, 'a', PATTERN);
            pattern[ends[i]] = 'b';
            assert_int_equal(zcb_chain_find(&chain, 0, pattern, PATTERN, &at), -EAGAIN);
        }
        memset(pattern, 'a', PATTERN);
        assert_int_equal(zcb_chain_find(&chain, 5, pattern, PATTERN, &at), 0);
        assert_int_equal(at, 5);
        zcb_chain_finish(&chain);
    }
    // a pattern with a period, in a text with the same one
    for (size_t i = 0; i < TEXT; i++)
        text[i] = "abc"[i % 3];
    for (size_t i = 0; i < PATTERN; i++)
        pattern[i] = "abc"[i % 3];
    pattern[PATTERN - 1] ^= 1;
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    push_cut(&chain, text, TEXT, 1000);
    assert_int_equal(zcb_chain_find(&chain, 0, pattern, PATTERN, &at), -EAGAIN);
    memcpy(text, pattern, PATTERN);
    push_cut(&chain, text, PATTERN, 999);
    assert_int_equal(zcb_chain_find(&chain, 0, pattern, PATTERN, &at), 0);
    assert_int_equal(at, TEXT);
    zcb_chain_finish(&chain);
    free(text);
    free(pattern);
}

static void
a_search_goes_on_where_more_bytes_came(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct zcb_chain chain;
    size_t at = 0, from = 0;
    int result = -EAGAIN;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    assert_int_equal(zcb_chain_find(&chain, 0, "\r\n\r\n", 4, &at), -EAGAIN);
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        assert_int_equal(result, -EAGAIN);
        push_lone(&chain, text + i, 1);
        result = zcb_chain_find(&chain, from, "\r\n\r\n", 4, &at);
        from = zcb_chain_len(&chain) > 3 ? zcb_chain_len(&chain) - 3 : 0;
    }
    assert_int_equal(result, 0);
    assert_int_equal(at, sizeof(text) - 1 - 4);
    assert_int_equal(zcb_chain_find(&chain, SIZE_MAX, "\r\n", 2, &at), -EAGAIN);
    assert_int_equal(zcb_chain_find(&chain, 0, "\r\n", SIZE_MAX, &at), -EAGAIN);
    zcb_chain_finish(&chain);
}

static void
bytes_are_bytes_and_not_signed(void **state)
{
    static const char text[] = "\x00\x7f\x80\xff\x80\xff\x00";
    struct zcb_chain chain;
    size_t at;

    (void)state;
    with_cuts(&chain, text, 7, 2);
    assert_int_equal(zcb_chain_find_byte(&chain, 0, 0xff, &at), 0);
    assert_int_equal(at, 3);
    assert_int_equal(zcb_chain_find(&chain, 0, "\x80\xff\x00", 3, &at), 0);
    assert_int_equal(at, 4);
    assert_int_equal(zcb_chain_find(&chain, 1, "\x00", 1, &at), 0);
    assert_int_equal(at, 6);
    zcb_chain_finish(&chain);
}

#define MAX64 UINT64_MAX

static void
leb128_is_read_up_to_64_bits_and_refused_beyond(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        int result;
        uint64_t value;
    } cases[] = {
        {"", 0, -EAGAIN, 0},
        {"\x00", 1, 1, 0},
        {"\x01", 1, 1, 1},
        {"\x7f", 1, 1, 127},
        {"\x80\x01", 2, 2, 128},
        {"\xe5\x8e\x26", 3, 3, 624485},
        {"\x7f\xff", 2, 1, 127}, // what follows is not its
        {"\x80", 1, -EAGAIN, 0},
        {"\xff\xff\xff", 3, -EAGAIN, 0},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, -EAGAIN, 0},
        {"\x80\x00", 2, 2, 0}, // longer than need be
        {"\x81\x80\x80\x00", 4, 4, 1},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10, 10, 0},    // as long as can be
        {"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9, 9, MAX64 >> 1}, // 63 bits
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, 10, UINT64_C(1) << 63},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, 10, MAX64},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, -EBADMSG, 0}, // bit 64
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", 10, -EBADMSG, 0},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 10, -EBADMSG,
         0}, // an eleventh byte, whatever it is
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, -EBADMSG, 0},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, -EBADMSG, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t each = 1; each <= 13; each += 2) {
            struct zcb_copies before = copies_now();
            struct zcb_cursor cursor;
            struct zcb_chain chain;
            char bytes[16] = "?";
            uint64_t value = 4711;

            memcpy(bytes + 1, cases[i].bytes, cases[i].len);
            with_cuts(&chain, bytes, 1 + cases[i].len, each);
            assert_int_equal(zcb_chain_peek_leb128(&chain, 1, &value), cases[i].result);
            assert_true(value == (cases[i].result > 0 ? cases[i].value : 4711));
            assert_int_equal(zcb_cursor_init(&cursor, &chain, 1), 0);
            assert_int_equal(zcb_cursor_leb128(&cursor, &value), cases[i].result);
            assert_int_equal(zcb_cursor_tell(&cursor),
                             1 + (cases[i].result > 0 ? cases[i].result : 0));
            assert_true(nothing_copied(&before));
            assert_int_equal(zcb_chain_peek_leb128(&chain, 14, &value), -EAGAIN);
            zcb_chain_finish(&chain);
        }
    }
}

// RFC 9000, appendix A.1 has the first four.
static void
quic_integers_take_1_2_4_or_8_bytes(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        int result;
        uint64_t value;
    } cases[] = {
        {"\xc2\x19\x7c\x5e\xff\x14\xe8\x8c", 8, 8, UINT64_C(151288809941952652)},
        {"\x9d\x7f\x3e\x7d", 4, 4, 494878333},
        {"\x7b\xbd", 2, 2, 15293},
        {"\x25", 1, 1, 37},
        {"\x40\x25", 2, 2, 37}, // longer than need be is valid
        {"\x00", 1, 1, 0},
        {"\x3f\xff", 2, 1, 63},
        {"\x7f\xff", 2, 2, 16383},
        {"\xbf\xff\xff\xff", 4, 4, 1073741823},
        {"\xff\xff\xff\xff\xff\xff\xff\xff", 8, 8, UINT64_C(4611686018427387903)},
        {"", 0, -EAGAIN, 0},
        {"\x40", 1, -EAGAIN, 0},
        {"\x80\x01\x02", 3, -EAGAIN, 0},
        {"\xc0\x01\x02\x03\x04\x05\x06", 7, -EAGAIN, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t each = 1; each <= 9; each += 2) {
            struct zcb_cursor cursor;
            struct zcb_chain chain;
            uint64_t value = 4711;

            with_cuts(&chain, cases[i].bytes, cases[i].len, each);
            assert_int_equal(zcb_chain_peek_quic(&chain, 0, &value), cases[i].result);
            assert_true(value == (cases[i].result > 0 ? cases[i].value : 4711));
            assert_int_equal(zcb_cursor_init(&cursor, &chain, 0), 0);
            assert_int_equal(zcb_cursor_quic(&cursor, &value), cases[i].result);
            assert_int_equal(zcb_cursor_tell(&cursor), cases[i].result > 0 ? cases[i].result : 0);
            zcb_chain_finish(&chain);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_found_across_chunks_of_every_size),
        cmocka_unit_test(the_first_place_is_found_for_all_short_texts_of_two_letters),
        cmocka_unit_test(patterns_that_almost_match_everywhere_take_linear_time),
        cmocka_unit_test(a_search_goes_on_where_more_bytes_came),
        cmocka_unit_test(bytes_are_bytes_and_not_signed),
        cmocka_unit_test(leb128_is_read_up_to_64_bits_and_refused_beyond),
        cmocka_unit_test(quic_integers_take_1_2_4_or_8_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
