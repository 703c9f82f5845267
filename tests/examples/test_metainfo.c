// SPDX-License-Identifier: MIT
//
// The readers of bencoding and of .torrent files, with what strangers might write.
#include "testing.h"

#include <string.h>

#include "bencode.h"
#include "metainfo.h"

struct text {
    const char *bytes;
    const char *says; // NULL: good
};

static void
bencoding_is_judged_as_a_whole(void **state)
{
    static const struct text table[] = {
        {"i0e", NULL},
        {"i-1e", NULL},
        {"i9223372036854775807e", NULL},
        {"i-9223372036854775807e", NULL},
        {"0:", NULL},
        {"3:abc", NULL},
        {"le", NULL},
        {"de", NULL},
        {"l0:i1elelee", NULL},
        {"l0:i1eleleee", "behind"},
        {"l0:i1elele", "ends"},
        {"d1:ai1e1:bi2ee", NULL},
        {"d0:i1e1:ai2ee", NULL},
        {"d1:ad1:bd1:cleeee", NULL},
        {"", "ends"},
        {"i", "ends"},
        {"i1", "ends"},
        {"i-", "ends"},
        {"ie", "digit"},
        {"i-e", "digit"},
        {"i--1e", "digit"},
        {"i+1e", "digit"},
        {"i 1e", "digit"},
        {"i1.5e", "does not end"},
        {"i-0e", "minus zero"},
        {"i00e", "leading zero"},
        {"i01e", "leading zero"},
        {"i-01e", "leading zero"},
        {"i9223372036854775808e", "too large"},
        {"i-9223372036854775808e", "too large"},
        {"i99999999999999999999999999999999e", "too large"},
        {"1:", "longer"},
        {"4:abc", "longer"},
        {"3:abcd", "behind"},
        {"03:abc", "leading zero"},
        {"00:", "leading zero"},
        {"3abc", "does not end"},
        {"3", "ends"},
        {"-1:a", "begins no value"},
        {"9223372036854775807:a", "longer"},
        {"18446744073709551615:a", "too large"},
        {"18446744073709551616:a", "too large"},
        {"99999999999999999999999:a", "too large"},
        {"l", "ends"},
        {"d", "ends"},
        {"e", "begins no value"},
        {"d1:ae", "begins no value"},
        {"d1:a", "ends"},
        {"di1ei2ee", "key is no string"},
        {"dlei2ee", "key is no string"},
        {"d1:bi1e1:ai2ee", "order"},
        {"d1:ai1e1:ai2ee", "order"},
        {"d2:aai1e1:ai2ee", "order"},
        {"x", "begins no value"},
        {"i1ei2e", "behind"},
        {"dede", "behind"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct ben_error error = {"", 0};
        size_t len = strlen(table[i].bytes);
        char *exact = malloc(len + (len == 0)); // so that a sanitizer sees a read too far
        struct ben value;
        bool good;

        assert_non_null(exact);
        memcpy(exact, table[i].bytes, len);
        good = ben_read(exact, len, &value, &error);
        if (good != (table[i].says == NULL) ||
            (!good && strstr(error.reason, table[i].says) == NULL))
            fail_msg("\"%s\": %s", table[i].bytes, good ? "taken" : error.reason);
        assert_true(good ? value.len == len : error.at <= len);
        free(exact);
    }
}

static void
depth_is_limited_without_a_stack(void **state)
{
    static const char kinds[] = {'l', 'd'};
    enum { DEPTH = 100000 };
    char *deep = malloc(DEPTH * 4);
    struct ben_error error;
    struct ben value;

    (void)state;
    assert_non_null(deep);
    for (int kind = 0; kind < 2; kind++) {
        size_t n = 0;

        for (int i = 0; i < DEPTH; i++) {
            deep[n++] = kinds[kind];
            if (kinds[kind] == 'd') {
                memcpy(deep + n, "0:", 2);
                n += 2;
            }
        }
        assert_false(ben_read(deep, n, &value, &error));
        assert_non_null(strstr(error.reason, "too deep"));
    }
    memset(deep, 'l', BEN_MAX_DEPTH + 1);
    memset(deep + BEN_MAX_DEPTH, 'e', BEN_MAX_DEPTH + 1);
    assert_true(ben_read(deep, 2 * BEN_MAX_DEPTH, &value, &error));
    memset(deep + BEN_MAX_DEPTH, 'l', 1);
    memset(deep + BEN_MAX_DEPTH + 1, 'e', BEN_MAX_DEPTH + 1);
    assert_false(ben_read(deep, 2 * BEN_MAX_DEPTH + 2, &value, &error));
    free(deep);
}

static void
values_are_found(void **state)
{
    static const char text[] = "d1:ai-7e1:bl2:xy3:abce1:cd1:ai9eee";
    const uint8_t *data;
    struct ben top, value, left, item;
    struct ben_error error;
    int64_t number = 0;
    size_t len;

    (void)state;
    assert_true(ben_read(text, sizeof(text) - 1, &top, &error));
    assert_true(ben_get(top, "a", &value) && ben_integer(value, &number));
    assert_int_equal(number, -7);
    assert_false(ben_string(value, &data, &len));
    assert_true(ben_get(top, "b", &value) && ben_is_list(value));
    left = ben_items(value);
    assert_true(ben_next(&left, &item) && ben_string(item, &data, &len));
    assert_int_equal(len, 2);
    assert_true(ben_next(&left, &item) && ben_string(item, &data, &len));
    assert_memory_equal(data, "abc", 3);
    assert_false(ben_next(&left, &item));
    assert_true(ben_get(top, "c", &value) && ben_get(value, "a", &item) &&
                ben_integer(item, &number));
    assert_int_equal(number, 9);
    assert_false(ben_get(top, "d", &value));
    assert_false(ben_get(item, "a", &value));
}

#define HASH "aaaaaaaaaaaaaaaaaaaa"

// Reads `text` as a .torrent from memory that ends with it.
static bool
read_torrent(const char *text, size_t len, struct metainfo *meta, char *why)
{
    char *exact = malloc(len + (len == 0));
    bool good;

    assert_non_null(exact);
    memcpy(exact, text, len);
    good = metainfo_parse(exact, len, meta, why, 256);
    free(exact);
    return good;
}

static void
torrents_from_strangers_are_refused(void **state)
{
#define SINGLE(length, name, piece, pieces)                                                        \
    "d4:infod6:length" length "4:name" name "12:piece length" piece "6:pieces" pieces "ee"
#define MULTI(files) "d4:infod5:files" files "4:name1:n12:piece lengthi16e6:pieces20:" HASH "ee"
    static const struct text table[] = {
        {SINGLE("i5e", "1:n", "i16e", "20:" HASH), NULL},
        {SINGLE("i32e", "1:n", "i16e", "40:" HASH HASH), NULL},
        {SINGLE("i33e", "1:n", "i16e", "40:" HASH HASH), "3 pieces need"},
        {SINGLE("i16e", "1:n", "i16e", "40:" HASH HASH), "1 pieces need"},
        {SINGLE("i16e", "1:n", "i16e",
                "19:"
                "aaaaaaaaaaaaaaaaaaa"),
         "1 pieces need"},
        {SINGLE("i0e", "1:n", "i16e", "0:"), NULL},
        {SINGLE("i0e", "1:n", "i16e", "20:" HASH), "0 pieces need"},
        {SINGLE("i-5e", "1:n", "i16e", "20:" HASH), "length"},
        {SINGLE("1:5", "1:n", "i16e", "20:" HASH), "length"},
        {SINGLE("i9223372036854775807e", "1:n", "i1e", "20:" HASH), "2^31 pieces"},
        {SINGLE("i5e", "1:n", "i0e", "20:" HASH), "piece length"},
        {SINGLE("i5e", "1:n", "i-1e", "20:" HASH), "piece length"},
        {SINGLE("i5e", "1:n", "i4294967312e", "20:" HASH), "piece length"},
        {SINGLE("i5e", "1:n", "i134217729e", "20:" HASH), "piece length"},
        {SINGLE("i5e", "1:n", "i16e", "i20e"), "pieces"},
        {SINGLE("i5e", "0:", "i16e", "20:" HASH), "empty"},
        {SINGLE("i5e", "1:.", "i16e", "20:" HASH), "part"},
        {SINGLE("i5e", "2:..", "i16e", "20:" HASH), "part"},
        {SINGLE("i5e", "3:a/b", "i16e", "20:" HASH), "slash"},
        {SINGLE("i5e", "4:/etc", "i16e", "20:" HASH), "slash"},
        {SINGLE("i5e", "6:../etc", "i16e", "20:" HASH), "slash"},
        {SINGLE("i5e", "i1e", "i16e", "20:" HASH), "no string"},
        {SINGLE("i5e", "3:...", "i16e", "20:" HASH), NULL},
        {MULTI("ld6:lengthi5e4:pathl1:aeee"), NULL},
        {MULTI("ld6:lengthi5e4:pathl1:aeed6:lengthi6e4:pathl1:b1:ceee"), NULL},
        {MULTI("le"), "files"},
        {MULTI("i5e"), "no list"},
        {MULTI("ld6:lengthi5e4:pathleee"), "path is empty"},
        {MULTI("ld6:lengthi5eee"), "no path"},
        {MULTI("ld6:lengthi5e4:path1:aee"), "no path"},
        {MULTI("ld4:pathl1:aeee"), "no length"},
        {MULTI("li5ee"), "no length"},
        {MULTI("ld6:lengthi5e4:pathl2:..eee"), "part"},
        {MULTI("ld6:lengthi5e4:pathl1:a2:..1:beee"), "part"},
        {MULTI("ld6:lengthi5e4:pathl1:a0:eee"), "empty"},
        {MULTI("ld6:lengthi5e4:pathl1:a3:b/ceee"), "slash"},
        {MULTI("ld6:lengthi5e4:pathli1eeee"), "no string"},
        {MULTI("ld6:lengthi-5e4:pathl1:aeee"), "length"},
        {MULTI("ld6:lengthi5e4:pathl1:aeed6:lengthi5e4:pathl1:aeee"), "one path"},
        {MULTI("ld6:lengthi5e4:pathl1:a1:beed6:lengthi5e4:pathl1:aeee"), "one path"},
        {MULTI("ld6:lengthi5e4:pathl1:aeed6:lengthi1e4:pathl2:a-eed6:lengthi5e4:pathl1:a1:beee"),
         "one path"},
        {MULTI("ld6:lengthi9223372036854775807e4:pathl1:aeed6:lengthi1e4:pathl1:beee"), "2^63"},
        {"d4:infoi5ee", "info"},
        {"de", "info"},
        {"i5e", "info"},
        {"d4:infodee", "pieces"},
        {"d4:infod12:meta versioni2eee", "version 2"},
        {"d4:infod5:filesle6:lengthi5e4:name1:n12:piece lengthi16e6:pieces20:" HASH "ee", "both"},
        {"d4:infod4:name1:n12:piece lengthi16e6:pieces20:" HASH "ee", "neither"},
        {"d4:infod6:lengthi5e12:piece lengthi16e6:pieces20:" HASH "ee", "no name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct metainfo meta;
        char why[256] = "";
        bool good = read_torrent(table[i].bytes, strlen(table[i].bytes), &meta, why);

        if (good != (table[i].says == NULL) || (!good && strstr(why, table[i].says) == NULL))
            fail_msg("%s: %s", table[i].bytes, good ? "taken" : why);
        if (good)
            metainfo_free(&meta);
    }
    // A zero byte cannot be in the table.
    {
        static const char nul[] = SINGLE("i5e", "3:a\0b", "i16e", "20:" HASH);
        struct metainfo meta;
        char why[256];

        assert_false(read_torrent(nul, sizeof(nul) - 1, &meta, why));
    }
}

static const char valid[] =
    "d8:announce9:http://x/4:infod5:filesl"
    "d6:lengthi20e4:pathl1:a1:beed6:lengthi0e4:pathl1:ceed4:attr1:p6:lengthi12e4:pathl4:.pad2:12ee"
    "d6:lengthi7e4:pathl1:deee4:name4:root12:piece lengthi16e6:pieces60:" HASH HASH
    "bbbbbbbbbbbbbbbbbbbbee";

static void
a_torrent_is_read(void **state)
{
    static const uint64_t offsets[] = {0, 20, 20, 32};
    struct metainfo meta;
    char why[256];

    (void)state;
    assert_true(read_torrent(valid, sizeof(valid) - 1, &meta, why));
    assert_int_equal(meta.total, 39);
    assert_int_equal(meta.pieces, 3);
    assert_int_equal(meta.file_count, 4);
    assert_string_equal(meta.name, "root");
    assert_string_equal(meta.files[0].path, "root/a/b");
    assert_string_equal(meta.files[3].path, "root/d");
    assert_true(meta.files[2].pad && !meta.files[3].pad);
    for (int i = 0; i < 4; i++)
        assert_int_equal(meta.files[i].offset, offsets[i]);
    assert_int_equal(metainfo_file_at(&meta, 0), 0);
    assert_int_equal(metainfo_file_at(&meta, 19), 0);
    assert_int_equal(metainfo_file_at(&meta, 20), 2); // the empty one is passed over
    assert_int_equal(metainfo_file_at(&meta, 38), 3);
    assert_int_equal(metainfo_piece_length(&meta, 1), 16);
    assert_int_equal(metainfo_piece_length(&meta, 2), 7);
    assert_memory_equal(meta.hashes + 40, "bbbbbbbbbbbbbbbbbbbb", 20);
    // SHA-1 of the bytes of the dictionary behind "4:info", made with another program.
    {
        static const uint8_t expected[] = {0x3f, 0xf1, 0x44, 0xa5, 0x82, 0x6a, 0xf6,
                                           0x01, 0x22, 0x52, 0x5f, 0xa8, 0x9b, 0xd9,
                                           0xd5, 0xff, 0x3c, 0xf0, 0xeb, 0x81};

        assert_memory_equal(meta.info_hash, expected, 20);
    }
    metainfo_free(&meta);
}

static void
every_truncation_is_refused(void **state)
{
    struct metainfo meta;
    char why[256];

    (void)state;
    for (size_t len = 0; len < sizeof(valid) - 1; len++)
        assert_false(read_torrent(valid, len, &meta, why));
}

// Whatever one changed byte makes of it: no read outside, and no sum that does not fit.
static void
every_changed_byte_is_survived(void **state)
{
    static const char bytes[] = "0139:dile-x/.\xff";
    char text[sizeof(valid)];
    struct metainfo meta;
    char why[256];

    (void)state;
    for (size_t at = 0; at < sizeof(valid) - 1; at++) {
        for (size_t i = 0; i < sizeof(bytes); i++) { // the 0 at the end is one of them
            memcpy(text, valid, sizeof(valid));
            text[at] = bytes[i];
            if (!read_torrent(text, sizeof(valid) - 1, &meta, why))
                continue;
            assert_true(meta.total <= (uint64_t)meta.pieces * meta.piece_length);
            metainfo_free(&meta);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bencoding_is_judged_as_a_whole),
        cmocka_unit_test(depth_is_limited_without_a_stack),
        cmocka_unit_test(values_are_found),
        cmocka_unit_test(torrents_from_strangers_are_refused),
        cmocka_unit_test(a_torrent_is_read),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_changed_byte_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
