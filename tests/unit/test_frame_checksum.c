// SPDX-License-Identifier: MIT
//
// Sums that are known, carries, pseudo headers, what a turned bit does. tests/model has sums of
// anything against the simple way of taking them.

#include "frame_testing.h"

#include "support/alloc_count.h"

static uint8_t bytes[4096];

// All ones is where an accumulator would lose a carry.
static void
long_runs_of_ones_lose_no_carry(void **state)
{
    size_t len = 16u << 20;
    uint8_t *ones = malloc(len);

    (void)state;
    assert_non_null(ones);
    memset(ones, 0xff, len);
    assert_int_equal(zcb_frame_checksum(zcb_frame_sum(ones, len, 0)), 0);
    ones[len - 1] = 0xfe;
    assert_int_equal(zcb_frame_checksum(zcb_frame_sum(ones, len, 0)), 1);
    ones[len - 1] = 0xff;
    ones[0] = 0xfe;
    assert_int_equal(zcb_frame_checksum(zcb_frame_sum(ones, len, 0xffffffff)), 0x100);
    // Folding a sum of 2^48 + 2^32 - 1 leaves a carry three times over, in either byte order.
    for (size_t i = 1; i <= 2; i++) {
        size_t n = 65538 * 4;

        memset(ones, 0xff, n);
        memset(ones + n - 4, 0, 4);
        ones[n - 4 + i] = 1;
        assert_int_equal((uint16_t)~zcb_frame_checksum(zcb_frame_sum(ones, n, 0)),
                         naive_sum(ones, n, 0));
    }
    free(ones);
}

// What the RFCs compute by hand.
static void
known_sums_come_out(void **state)
{
    uint32_t sum;

    (void)state;
    assert_int_equal(zcb_frame_sum(NULL, 0, 0), 0);
    assert_int_equal(zcb_frame_sum(NULL, 0, 7), 7);
    assert_int_equal(zcb_frame_checksum(0), 0xffff);
    assert_int_equal(zcb_frame_checksum(0xffff), 0);
    assert_int_equal(zcb_frame_checksum(0xffffffff), 0);
    // RFC 1071, section 3; an odd byte counts as if a zero followed.
    assert_int_equal(zcb_frame_checksum(zcb_frame_sum("\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8, 0)),
                     (uint16_t)~0xddf2);
    assert_int_equal(zcb_frame_sum("\x12\x34\x56", 3, 0), 0x1234 + 0x5600);
    // RFC 1624, section 4: the checksum becomes 0, and not 0xffff.
    assert_int_equal(zcb_frame_checksum_update16(0xdd2f, 0x5555, 0x3285), 0);
    assert_int_equal(zcb_frame_sum_chain(NULL, 0, 0, 0, &sum), -EINVAL);
}

static void
a_pseudo_header_is_the_bytes_of_the_rfc(void **state)
{
    uint8_t v4[12] = {192, 168, 0, 1, 192, 168, 1, 2, 0, 17, 0x05, 0xdc};
    uint8_t v6[40] = {0x20, 1, [15] = 1, [16] = 0xfe, 0x80, [31] = 2, 0, 1, 0x38, 0x80, 0, 0, 0, 6};

    (void)state;
    assert_int_equal(zcb_frame_checksum(zcb_frame_sum_pseudo(v4, v4 + 4, 4, 17, 1500)),
                     (uint16_t)~naive_sum(v4, sizeof(v4), 0));
    // A length beyond 16 bits: 80000.
    assert_int_equal(zcb_frame_checksum(zcb_frame_sum_pseudo(v6, v6 + 16, 16, 6, 80000)),
                     (uint16_t)~naive_sum(v6, sizeof(v6), 0));
}

// A UDP packet over IPv4 whose true checksum is 0: written as 0xffff, which is good; 0 is none.
static void
a_udp_checksum_of_zero_is_written_as_ones(void **state)
{
    uint8_t packet[30] = {0x45, 0,  0, 30, 0, 0, 0, 0, 64, 17, 0,  0, 10, 0, 0,
                          1,    10, 0, 0,  2, 0, 7, 0, 9,  0,  10, 0, 0,  0, 0};
    struct zcb_frame f;
    uint16_t sum;

    (void)state;
    sum = (uint16_t)~zcb_frame_checksum(
        zcb_frame_sum(packet + 20, 10, zcb_frame_sum_pseudo(packet + 12, packet + 16, 4, 17, 10)));
    packet[28] = (uint8_t)((uint16_t)~sum >> 8); // the payload brings the sum to 0xffff
    packet[29] = (uint8_t)~sum;
    packet[26] = packet[27] = 0xff;
    assert_int_equal(zcb_frame_parse(packet, 30, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_verify_transport(packet, &f), ZCB_FRAME_CHECKSUM_GOOD);
    packet[26] = packet[27] = 0;
    assert_int_equal(zcb_frame_verify_transport(packet, &f), ZCB_FRAME_CHECKSUM_NONE);
    packet[27] = 1;
    assert_int_equal(zcb_frame_verify_transport(packet, &f), ZCB_FRAME_CHECKSUM_BAD);
}

// The destination that counts is the last of the list: at its end (types 0 and 2), or at its start
// (type 4). None left to go to: the one in the IP header.
static void
a_routing_header_knows_the_last_destination(void **state)
{
    static const struct {
        uint8_t type, left, last; // last: which of two addresses; 2: the header's; 3: not known
    } rows[] = {{0, 1, 1}, {2, 1, 1}, {4, 1, 0}, {0, 0, 2}, {4, 0, 2}, {3, 1, 3}, {1, 1, 3}};
    uint8_t packet[40 + 40 + 8] = {0x60, 0, 0, 0, 0, 48, 43, 64, [40] = 17, 4, [84] = 0, 8};
    struct zcb_frame f;

    (void)state;
    memset(packet + 24, 1, 16);
    memset(packet + 48, 2, 16);
    memset(packet + 64, 3, 16);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint8_t *last = rows[i].last == 0   ? packet + 48
                              : rows[i].last == 1 ? packet + 64
                                                  : packet + 24;
        uint16_t checksum;

        packet[42] = rows[i].type;
        packet[43] = rows[i].left;
        packet[86] = packet[87] = 0;
        checksum = zcb_frame_checksum(
            zcb_frame_sum(packet + 80, 8, zcb_frame_sum_pseudo(packet + 8, last, 16, 17, 8)));
        packet[86] = (uint8_t)(checksum >> 8);
        packet[87] = (uint8_t)checksum;
        assert_int_equal(zcb_frame_parse(packet, sizeof(packet), ZCB_FRAME_LINK_RAW, NULL, &f), 0);
        assert_int_equal(f.routing, 40);
        assert_int_equal(zcb_frame_verify_transport(packet, &f),
                         rows[i].last == 3 ? ZCB_FRAME_CHECKSUM_UNKNOWN : ZCB_FRAME_CHECKSUM_GOOD);
    }
    // Segments left, and no list.
    packet[5] = 16;
    packet[41] = 0;
    packet[42] = 0;
    packet[43] = 1;
    memcpy(packet + 48, packet + 80, 8);
    assert_int_equal(zcb_frame_parse(packet, 56, ZCB_FRAME_LINK_RAW, NULL, &f), 0);
    assert_int_equal(zcb_frame_verify_transport(packet, &f), ZCB_FRAME_CHECKSUM_UNKNOWN);
}

// ICMP has no pseudo header, so nothing can be left to a card: a checksum of 0 is just wrong.
static void
an_icmp_checksum_of_zero_is_no_partial_one(void **state)
{
    uint8_t packet[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, [20] = 8, [27] = 1};
    struct zcb_frame f;

    (void)state;
    assert_int_equal(zcb_frame_parse(packet, 28, ZCB_FRAME_LINK_RAW, NULL, &f), ZCB_FRAME_OK);
    assert_int_equal(zcb_frame_verify_transport(packet, &f), ZCB_FRAME_CHECKSUM_BAD);
}

// Every single bit that is turned over in a good frame is seen, by one checksum or the other.
static void
a_turned_bit_is_seen(void **state)
{
    uint32_t tried = 0;

    (void)state;
    for (size_t i = 0; i < FRAME_CASES; i++) {
        const struct frame_case *c = &frame_cases[i];
        size_t len = frame_hex(c->hex, bytes, sizeof(bytes));
        struct zcb_frame f;

        if (c->transport != ZCB_FRAME_CHECKSUM_GOOD)
            continue;
        if (zcb_frame_parse(bytes, len, c->link, NULL, &f) < 0)
            fail();
        // Without parsing anew: the offsets are what they were.
        for (uint32_t bit = f.transport * 8; bit < f.end * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_true(zcb_frame_verify_transport(bytes, &f) != ZCB_FRAME_CHECKSUM_GOOD);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            tried++;
        }
        assert_int_equal(zcb_frame_verify_transport(bytes, &f), ZCB_FRAME_CHECKSUM_GOOD);
        if (c->ip != ZCB_FRAME_CHECKSUM_GOOD)
            continue;
        for (uint32_t bit = f.network * 8 + 8; bit < f.network * 8 + 160; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(zcb_frame_verify_ip(bytes, &f), ZCB_FRAME_CHECKSUM_BAD);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            tried++;
        }
    }
    assert_true(tried > 5000);
}

static void
sums_allocate_nothing_and_copy_nothing(void **state)
{
    struct zcb_copies before;
    struct zcb_chain chain;
    uint64_t allocations;
    uint32_t sum;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    push_cut(&chain, bytes, 999, 7);
    before = copies_now();
    allocations = zcb_alloc_count();
    assert_int_equal(zcb_frame_sum_chain(&chain, 3, 990, 0, &sum), 0);
    assert_int_equal(zcb_frame_checksum(sum), zcb_frame_checksum(zcb_frame_sum(bytes + 3, 990, 0)));
    assert_true(zcb_alloc_count() == allocations);
    assert_true(nothing_copied(&before));
    zcb_chain_finish(&chain);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_sums_come_out),
        cmocka_unit_test(long_runs_of_ones_lose_no_carry),
        cmocka_unit_test(a_pseudo_header_is_the_bytes_of_the_rfc),
        cmocka_unit_test(a_udp_checksum_of_zero_is_written_as_ones),
        cmocka_unit_test(a_routing_header_knows_the_last_destination),
        cmocka_unit_test(an_icmp_checksum_of_zero_is_no_partial_one),
        cmocka_unit_test(a_turned_bit_is_seen),
        cmocka_unit_test(sums_allocate_nothing_and_copy_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
