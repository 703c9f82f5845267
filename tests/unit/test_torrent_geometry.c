// SPDX-License-Identifier: MIT
#include "torrent_testing.h"

static void
a_torrent_is_divided_with_a_short_last_piece_and_block(void **state)
{
    (void)state;
    static const struct {
        uint64_t total;
        uint32_t piece, block, pieces, last, blocks, last_blocks, last_block;
    } rows[] = {
        { 1, 1, 0, 1, 1, 1, 1, 1 },
        { 1, 16384, 0, 1, 1, 1, 1, 1 },
        { 16384, 16384, 0, 1, 16384, 1, 1, 16384 },
        { 16385, 16384, 0, 2, 1, 1, 1, 1 },
        { 100000, 32768, 0, 4, 1696, 2, 1, 1696 },
        { 100000, 40000, 0, 3, 20000, 3, 2, 3616 },
        { 7, 3, 2, 3, 1, 2, 1, 1 },
        { 9, 3, 2, 3, 3, 2, 2, 1 },
        { (uint64_t)1 << 41, 1u << 20, 0, 1u << 21, 1u << 20, 64, 64, 16384 },
        { ((uint64_t)1 << 43) - 5, 1u << 20, 0, 1u << 23, (1u << 20) - 5, 64, 64, 16379 },
        { (uint64_t)1 << 62, 1u << 31, 0, 1u << 31, 1u << 31, 1u << 17, 1u << 17, 16384 },
        { (uint64_t)1 << 31, 1, 0, 1u << 31, 1, 1, 1, 1 },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct zcb_torrent_geometry g;
        uint32_t last = rows[i].pieces - 1;

        assert_int_equal(zcb_torrent_geometry_init(&g, rows[i].total, rows[i].piece, rows[i].block), 0);
        assert_int_equal(g.piece_count, rows[i].pieces);
        assert_int_equal(zcb_torrent_piece_length(&g, last), rows[i].last);
        assert_int_equal(zcb_torrent_piece_blocks(&g, last), rows[i].last_blocks);
        assert_int_equal(zcb_torrent_block_length(&g, last, rows[i].last_blocks - 1), rows[i].last_block);
        assert_int_equal(zcb_torrent_block_length(&g, last, rows[i].last_blocks), 0);
        assert_true(zcb_torrent_piece_offset(&g, last) + rows[i].last == rows[i].total);
        assert_int_equal(zcb_torrent_piece_length(&g, rows[i].pieces), 0);
        assert_int_equal(zcb_torrent_piece_blocks(&g, rows[i].pieces), 0);
        assert_int_equal(zcb_torrent_piece_length(&g, UINT32_MAX), 0);
        assert_true(zcb_torrent_piece_offset(&g, UINT32_MAX) == 0);
        if (last != 0) {
            assert_int_equal(zcb_torrent_piece_blocks(&g, 0), rows[i].blocks);
            assert_int_equal(zcb_torrent_piece_length(&g, 0), rows[i].piece);
        }
    }
}

static void
a_torrent_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct zcb_torrent_geometry g;

    assert_int_equal(zcb_torrent_geometry_init(&g, 0, 16384, 0), -EINVAL);
    assert_int_equal(zcb_torrent_geometry_init(&g, 1, 0, 0), -EINVAL);
    assert_int_equal(zcb_torrent_geometry_init(&g, 1, (1u << 31) + 1, 0), -EINVAL);
    assert_int_equal(zcb_torrent_geometry_init(&g, 1, 1, (1u << 31) + 1), -EINVAL);
    assert_int_equal(zcb_torrent_geometry_init(NULL, 1, 1, 0), -EINVAL);
    assert_int_equal(zcb_torrent_geometry_init(&g, ((uint64_t)1 << 31) + 1, 1, 0), -EOVERFLOW);
    assert_int_equal(zcb_torrent_geometry_init(&g, UINT64_MAX, 1u << 31, 0), -EOVERFLOW);
    assert_int_equal(zcb_torrent_geometry_init(&g, UINT64_MAX, 1, 0), -EOVERFLOW);
    assert_int_equal(zcb_torrent_geometry_init(&g, ((uint64_t)1 << 62) + 1, 1u << 31, 0), -EOVERFLOW);
}

static void
a_block_outside_its_piece_is_seen_whatever_wraps(void **state)
{
    (void)state;
    static const struct {
        uint32_t piece, begin, length;
        int result;
    } rows[] = {
        { 0, 0, 16384, 0 }, { 0, 0, 40000, 0 }, { 0, 39999, 1, 0 }, { 2, 0, 20000, 0 },
        { 0, 0, 0, -ERANGE }, { 0, 40000, 0, -ERANGE }, { 0, 40000, 1, -ERANGE }, { 0, 0, 40001, -ERANGE },
        { 0, 1, 40000, -ERANGE }, { 2, 0, 20001, -ERANGE }, { 2, 19999, 2, -ERANGE }, { 3, 0, 1, -ERANGE },
        { UINT32_MAX, 0, 1, -ERANGE }, { 0, UINT32_MAX, 1, -ERANGE }, { 0, 1, UINT32_MAX, -ERANGE },
        { 0, UINT32_MAX, UINT32_MAX, -ERANGE }, { 0, 16384, UINT32_MAX - 16383, -ERANGE },
    };
    struct zcb_torrent_geometry g;

    assert_int_equal(zcb_torrent_geometry_init(&g, 100000, 40000, 0), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(zcb_torrent_geometry_check(&g, rows[i].piece, rows[i].begin, rows[i].length), rows[i].result);
}

static void
a_bitfield_has_its_exact_size_and_no_spare_bits(void **state)
{
    (void)state;
    for (uint32_t pieces = 1; pieces <= 40; pieces++) {
        struct zcb_torrent_geometry g;
        uint8_t bits[8] = { 0 };
        size_t size = (pieces + 7) / 8;

        assert_int_equal(zcb_torrent_geometry_init(&g, pieces, 1, 1), 0);
        assert_int_equal(zcb_torrent_bitfield_size(&g), size);
        for (size_t len = 0; len < sizeof(bits); len++)
            assert_int_equal(zcb_torrent_bitfield_check(&g, bits, len), len == size ? 0 : -EBADMSG);
        assert_int_equal(zcb_torrent_bitfield_check(&g, NULL, size), -EBADMSG);
        for (uint32_t bit = 0; bit < size * 8; bit++) {
            memset(bits, 0, sizeof(bits));
            bits[bit / 8] = (uint8_t)(0x80 >> bit % 8);
            assert_int_equal(zcb_torrent_bitfield_check(&g, bits, size), bit < pieces ? 0 : -EBADMSG);
            assert_true(zcb_torrent_bit(bits, bit));
            assert_false(zcb_torrent_bit(bits, bit ^ 1));
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_torrent_is_divided_with_a_short_last_piece_and_block),
        cmocka_unit_test(a_torrent_that_cannot_be_is_refused),
        cmocka_unit_test(a_block_outside_its_piece_is_seen_whatever_wraps),
        cmocka_unit_test(a_bitfield_has_its_exact_size_and_no_spare_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
