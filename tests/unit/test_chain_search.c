// SPDX-License-Identifier: MIT
//
// The search for a chunk by its offset, over ends that are made up: chains of any length without
// their memory. Ends that are asked for are counted, never timed.

#include "testing.h"

#include "chain/search.h"

// Looks, and the two ends that a guess reckons from.
enum { FRONT = 4, GUESS = 3 };

static unsigned asked;

static unsigned
log2_up(uint64_t n)
{
    unsigned bits = 0;

    while (bits < 63 && (UINT64_C(1) << bits) < n)
        bits++;
    return bits;
}

// What search.h promises, and what its guesses ask for besides.
static unsigned
most(uint32_t count)
{
    return 8 + 5 * log2_up(count) / 3 + ZCB_SEARCH_GUESSES * (GUESS - 1);
}

// ---- chunks of one length

static size_t
end_of_equal(const void *chunks, uint32_t number)
{
    asked++;
    return ((size_t)number + 1) * *(const size_t *)chunks;
}

static void
equal_chunks_are_found_at_once_in_a_chain_of_any_length(void **state)
{
    static const uint32_t counts[] = {9, 10, 11, 15, 16, 17, 100, 65536, 1000000, 0x7fffffff};
    static const size_t lengths[] = {1, 2, 3, 64, 1448, 65536, 0x7fffffff};

    (void)state;
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
            uint32_t count = counts[c];
            size_t len = lengths[l];
            const uint32_t numbers[] = {0,         1,         7,         8,        count / 3,
                                        count / 2, count - 9, count - 2, count - 1};

            if (count > SIZE_MAX / len)
                continue;
            for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
                size_t first = numbers[i] * len;
                // The last one needs no look beside it: that it ends behind the byte is known.
                unsigned enough = FRONT + GUESS + (numbers[i] != count - 1);

                asked = 0;
                assert_int_equal(zcb_search(end_of_equal, &len, count, first), numbers[i]);
                assert_true(asked <= enough);
                asked = 0;
                assert_int_equal(zcb_search(end_of_equal, &len, count, first + len - 1),
                                 numbers[i]);
                assert_true(asked <= enough);
            }
        }
    }
}

static void
a_chain_of_one_chunk_is_not_looked_at(void **state)
{
    size_t len = 10;

    (void)state;
    asked = 0;
    assert_int_equal(zcb_search(end_of_equal, &len, 1, 0), 0);
    assert_int_equal(zcb_search(end_of_equal, &len, 1, 9), 0);
    assert_int_equal(asked, 0);
}

// ---- chunks of all lengths

static size_t
end_in_table(const void *chunks, uint32_t number)
{
    asked++;
    return ((const size_t *)chunks)[number];
}

enum shape {
    MIXED,   // 1 to 64 bytes
    PACKETS, // full ones, now and then a short one
    PAIRS,   // a header, a block
    RARE,    // a long one in a hundred
    GROWING,
    SHRINKING,
    STEP, // short ones, then long ones
    HUGE_FIRST,
    HUGE_LAST,
    DOUBLING,
    SHAPES
};

static size_t
length_of(enum shape shape, uint32_t i, uint32_t count, uint64_t *random)
{
    switch (shape) {
    case MIXED:
        return 1 + zcb_test_below(random, 64);
    case PACKETS:
        return zcb_test_below(random, 4) != 0 ? 1448 : 1 + zcb_test_below(random, 1447);
    case PAIRS:
        return i % 2 != 0 ? 16384 : 13;
    case RARE:
        return i % 100 == 99 ? 65536 : 9;
    case GROWING:
        return 1 + (size_t)i;
    case SHRINKING:
        return count - (size_t)i;
    case STEP:
        return i < count / 2 ? 1 : 4096;
    case HUGE_FIRST:
        return i == 0 ? SIZE_MAX / 2 : 1;
    case HUGE_LAST:
        return i == count - 1 ? SIZE_MAX / 2 : 1;
    default: // DOUBLING
        return (size_t)1 << ((uint64_t)i * 20 / count);
    }
}

static void
chunks_of_every_shape_are_found_within_the_bound(void **state)
{
    static const uint32_t counts[] = {1,  2,  3,  4,  5,  7,  8,   9,    10,   11,    12,   13,
                                      15, 16, 17, 18, 24, 31, 100, 1000, 4096, 20000, 40000};
    uint64_t random = 1;
    size_t *ends = calloc(40000, sizeof(*ends));

    (void)state;
    assert_non_null(ends);
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        for (int shape = 0; shape < SHAPES; shape++) {
            uint32_t count = counts[c];
            size_t start = 0;

            for (uint32_t i = 0; i < count; i++) {
                ends[i] = start + length_of((enum shape)shape, i, count, &random);
                start = ends[i];
            }
            start = 0;
            for (uint32_t i = 0; i < count; i++) {
                asked = 0;
                assert_int_equal(zcb_search(end_in_table, ends, count, start), i);
                assert_true(asked <= most(count));
                asked = 0;
                assert_int_equal(zcb_search(end_in_table, ends, count, ends[i] - 1), i);
                assert_true(asked <= most(count));
                start = ends[i];
            }
        }
    }
    free(ends);
}

// On average, in a chain of 40,000 chunks. Halves alone would take 15 looks, after 4 at the front.
static void
lengths_that_vary_cost_a_few_looks_more(void **state)
{
    enum { COUNT = 40000 };
    static const struct {
        enum shape shape;
        unsigned most;
    } cases[] = {{MIXED, 16}, {PACKETS, 14}, {PAIRS, 8}, {RARE, 15}};
    size_t *ends = calloc(COUNT, sizeof(*ends)), end = 0;
    uint64_t random = 1;

    (void)state;
    assert_non_null(ends);
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        unsigned long sum = 0;

        end = 0;
        for (uint32_t i = 0; i < COUNT; i++)
            ends[i] = end += length_of(cases[c].shape, i, COUNT, &random);
        for (uint32_t i = 0; i < COUNT; i++) {
            asked = 0;
            assert_int_equal(zcb_search(end_in_table, ends, COUNT, ends[i] - 1), i);
            sum += asked;
        }
        assert_true(sum <= (unsigned long)cases[c].most * COUNT);
    }
    free(ends);
}

static void
the_front_is_found_without_a_guess(void **state)
{
    static const unsigned looks[] = {1, 2, 4, 4, 6, 6, 6, 6};
    size_t ends[1000];

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        ends[i] = i < 10 ? i + 1 : i * 1000;
    for (uint32_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        asked = 0;
        assert_int_equal(zcb_search(end_in_table, ends, 1000, i), i);
        assert_true(asked <= looks[i]);
    }
}

// ---- chunks that are made up while they are looked for

// Ends that were told, in order; between them any that grow are possible.
struct liar {
    uint64_t random;
    size_t off;
    uint32_t count;
    uint32_t number[128];
    size_t end[128];
    unsigned told;
};

// Leaves as many chunks as possible, and says of them what misleads most: that all that lie on the
// other side are of one byte, or that they hold everything; or at times something between.
static size_t
end_that_misleads(const void *chunks, uint32_t number)
{
    struct liar *liar = *(struct liar *const *)chunks;
    unsigned at = 0;
    size_t least, greatest, end;
    bool beyond; // whether the byte lies before this end

    asked++;
    while (liar->number[at] < number)
        at++;
    if (liar->number[at] == number)
        return liar->end[at];
    least = number - (at != 0 ? liar->number[at - 1] : (uint32_t)-1);
    least += at != 0 ? liar->end[at - 1] : 0;
    greatest = liar->end[at] - (liar->number[at] - number);
    assert_true(least <= greatest);
    beyond = number - (at != 0 ? liar->number[at - 1] : 0) > liar->number[at] - number;
    if (least > liar->off)
        beyond = true;
    else if (greatest <= liar->off)
        beyond = false;
    if (beyond && least <= liar->off)
        least = liar->off + 1;
    if (!beyond && greatest > liar->off)
        greatest = liar->off;
    switch (zcb_test_below(&liar->random, 4)) {
    case 0:
        end = least;
        break;
    case 1:
        end = least + (size_t)(zcb_test_random(&liar->random) % (greatest - least + 1));
        break;
    default:
        end = beyond ? greatest : least;
        break;
    }
    assert_true(liar->told < 127);
    for (unsigned i = liar->told; i > at; i--) {
        liar->number[i] = liar->number[i - 1];
        liar->end[i] = liar->end[i - 1];
    }
    liar->number[at] = number;
    liar->end[at] = end;
    liar->told++;
    return end;
}

static void
no_lengths_take_more_looks_than_promised(void **state)
{
    static const uint32_t counts[] = {20, 100, 1000, 65536, 1000000, 0x80000000};
    struct liar liar = {.random = 1}, *it = &liar;

    (void)state;
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        for (int i = 0; i < 2000; i++) {
            uint32_t found;

            liar.count = counts[c];
            liar.told = 1;
            liar.number[0] = counts[c] - 1;
            liar.end[0] = counts[c] + (SIZE_MAX >> (1 + zcb_test_below(&liar.random, 20)));
            liar.off = (size_t)(zcb_test_random(&liar.random) % liar.end[0]);
            asked = 0;
            found = zcb_search(end_that_misleads, &it, counts[c], liar.off);
            assert_true(asked <= most(counts[c]));
            assert_true(end_that_misleads(&it, found) > liar.off);
            if (found != 0)
                assert_true(end_that_misleads(&it, found - 1) <= liar.off);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_chunks_are_found_at_once_in_a_chain_of_any_length),
        cmocka_unit_test(a_chain_of_one_chunk_is_not_looked_at),
        cmocka_unit_test(chunks_of_every_shape_are_found_within_the_bound),
        cmocka_unit_test(lengths_that_vary_cost_a_few_looks_more),
        cmocka_unit_test(the_front_is_found_without_a_guess),
        cmocka_unit_test(no_lengths_take_more_looks_than_promised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
