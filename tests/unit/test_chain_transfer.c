// SPDX-License-Identifier: MIT
//
// Bytes that leave a chain by reference: take, slice, gather, split, move, iov; and what memory a
// chain keeps alive.

#include "support/chain_tools.h"

#include "support/pools.h"

#include <unistd.h>

static struct zcb_pool *pool;

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

static void
start(struct zcb_chain *chain)
{
    struct zcb_chain_config config = {.chunk_size = 1024};

    assert_int_equal(zcb_chain_init(chain, pool, &config), 0);
}

static uint64_t
buffers_out(void)
{
    return must_stats(pool).total.live;
}

static void
taking_a_whole_chunk_moves_its_reference(void **state)
{
    struct zcb_packet packet = must_packet(pool, 1000), taken;
    const uint8_t *memory = packet.data;
    struct zcb_copies before = copies_now();
    struct zcb_chain chain;

    (void)state;
    start(&chain);
    assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    assert_int_equal(zcb_chain_take(&chain, 400, &taken), 0);
    assert_ptr_equal(taken.data, memory);
    assert_int_equal(taken.len, 400);
    assert_false(zcb_packet_is_unique(&taken));
    assert_int_equal(zcb_chain_take(&chain, 600, &packet), 0);
    assert_ptr_equal(packet.data, memory + 400);
    assert_int_equal(zcb_chain_len(&chain), 0);
    assert_chain_sound(&chain);
    zcb_packet_unref(&taken);
    assert_true(zcb_packet_is_unique(&packet));
    zcb_packet_unref(&packet);
    assert_true(nothing_copied(&before));
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
take_copies_only_what_crosses_blocks(void **state)
{
    static const struct {
        size_t skip, len, copied;
    } cases[] = {{0, 0, 0}, {0, 3, 0}, {0, 4, 0},   {0, 5, 5}, {2, 2, 0},
                 {2, 3, 3}, {4, 4, 0}, {0, 10, 10}, {9, 1, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zcb_copies before;
        struct zcb_packet packet;
        struct zcb_chain chain;

        start(&chain);
        push_cut(&chain, (const uint8_t *)"abcdefghij", 10, 4);
        assert_int_equal(zcb_chain_discard(&chain, cases[i].skip), 0);
        before = copies_now();
        assert_int_equal(zcb_chain_take(&chain, cases[i].len, &packet), 0);
        assert_true(only_copied(&before, ZCB_COPY_TAKE, cases[i].copied));
        assert_int_equal(packet.len, cases[i].len);
        if (packet.len != 0)
            assert_memory_equal(packet.data, letters + cases[i].skip, packet.len);
        else
            assert_null(packet.owner);
        assert_chain_sound(&chain);
        assert_int_equal(zcb_chain_take(&chain, zcb_chain_len(&chain) + 1, &packet), -EAGAIN);
        assert_int_equal(zcb_chain_take(&chain, SIZE_MAX, &packet), -EAGAIN);
        zcb_packet_unref(&packet);
        zcb_chain_finish(&chain);
    }
    assert_int_equal(buffers_out(), 0);
}

static void
slice_shares_inside_a_chunk_and_says_where_bytes_cross(void **state)
{
    static const struct {
        size_t off, len;
        int result;
    } cases[] = {
        {0, 4, 0},
        {1, 3, 0},
        {4, 4, 0},
        {8, 2, 0},
        {9, 1, 0},
        {0, 0, 0},
        {10, 0, 0},
        {3, 2, -EXDEV},
        {0, 10, -EXDEV},
        {7, 2, -EXDEV},
        {10, 1, -EAGAIN},
        {11, 0, -EAGAIN},
        {0, 11, -EAGAIN},
        {1, SIZE_MAX, -EAGAIN},
        {SIZE_MAX, 1, -EAGAIN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zcb_copies before;
        struct zcb_packet packet = {0};
        struct zcb_chain chain;

        start(&chain);
        push_cut(&chain, (const uint8_t *)"abcdefghij", 10, 4);
        before = copies_now();
        assert_int_equal(zcb_chain_slice(&chain, cases[i].off, cases[i].len, &packet),
                         cases[i].result);
        assert_true(nothing_copied(&before));
        assert_true(chain_is(&chain, "abcdefghij", 10));
        if (cases[i].result == 0 && cases[i].len != 0) {
            // stays valid when the chain is gone
            zcb_chain_finish(&chain);
            assert_true(zcb_packet_is_unique(&packet));
            assert_memory_equal(packet.data, letters + cases[i].off, cases[i].len);
        } else {
            assert_null(packet.owner);
        }
        zcb_packet_unref(&packet);
        zcb_chain_finish(&chain);

        start(&chain);
        push_cut(&chain, (const uint8_t *)"abcdefghij", 10, 4);
        before = copies_now();
        assert_int_equal(zcb_chain_gather(&chain, cases[i].off, cases[i].len, &packet),
                         cases[i].result == -EXDEV ? 1 : cases[i].result);
        assert_true(
            only_copied(&before, ZCB_COPY_GATHER, cases[i].result == -EXDEV ? cases[i].len : 0));
        if (cases[i].result != -EAGAIN && cases[i].len != 0)
            assert_memory_equal(packet.data, letters + cases[i].off, cases[i].len);
        assert_true(chain_is(&chain, "abcdefghij", 10));
        zcb_packet_unref(&packet);
        zcb_chain_finish(&chain);
    }
    assert_int_equal(buffers_out(), 0);
}

// Merging brings references that take then hands out; none is lost and none made up.
static void
references_of_merged_views_are_handed_out_again(void **state)
{
    struct zcb_packet whole = must_packet(pool, 4000), rest, part, taken[5];
    struct zcb_chain chain;

    (void)state;
    for (int takes = 0; takes <= 5; takes++) {
        start(&chain);
        rest = zcb_packet_ref(&whole);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(zcb_packet_split(&rest, 1000, &part), 0);
            assert_int_equal(zcb_chain_push(&chain, &part), 0);
        }
        assert_int_equal(zcb_chain_push(&chain, &rest), 0);
        for (int i = 0; i < takes; i++)
            assert_int_equal(zcb_chain_take(&chain, i == 4 ? 3600 : 100, &taken[i]), 0);
        assert_chain_sound(&chain);
        zcb_chain_finish(&chain);
        for (int i = 0; i < takes; i++)
            zcb_packet_unref(&taken[i]);
        assert_true(zcb_packet_is_unique(&whole));
    }
    zcb_packet_unref(&whole);
}

static void
split_moves_the_front_by_reference_at_every_place(void **state)
{
    (void)state;
    for (size_t each = 1; each <= 26; each += 3) {
        for (size_t at = 0; at <= 26; at++) {
            struct zcb_copies before;
            struct zcb_chain chain, front;

            start(&chain);
            start(&front);
            push_cut(&chain, (const uint8_t *)letters, 26, each);
            push_lone(&front, "<>", 2);
            before = copies_now();
            assert_int_equal(zcb_chain_split(&chain, at, &front), 0);
            assert_true(nothing_copied(&before));
            assert_chain_sound(&chain);
            assert_chain_sound(&front);
            assert_true(chain_is(&chain, letters + at, 26 - at));
            assert_int_equal(zcb_chain_discard(&front, 2), 0);
            assert_true(chain_is(&front, letters, at));
            assert_int_equal(zcb_chain_split(&chain, 27 - at, &front), -EAGAIN);
            assert_int_equal(zcb_chain_split(&chain, SIZE_MAX, &front), -EAGAIN);
            // together again they are as they were: what was cut merges
            assert_int_equal(zcb_chain_move(&front, &chain), 0);
            assert_true(nothing_copied(&before));
            assert_true(chain_is(&front, letters, 26));
            assert_int_equal(zcb_chain_chunks(&front), (26 + each - 1) / each);
            assert_int_equal(zcb_chain_len(&chain), 0);
            assert_chain_sound(&chain);
            assert_chain_sound(&front);
            zcb_chain_finish(&chain);
            zcb_chain_finish(&front);
        }
    }
}

static void
a_chain_is_not_split_or_moved_into_itself(void **state)
{
    struct zcb_packet slice;
    struct zcb_chain chain;

    (void)state;
    start(&chain);
    push_cut(&chain, (const uint8_t *)"abcdef", 6, 3);
    assert_int_equal(zcb_chain_split(&chain, 3, &chain), -EINVAL);
    assert_int_equal(zcb_chain_split(&chain, 0, &chain), -EINVAL);
    assert_int_equal(zcb_chain_move(&chain, &chain), -EINVAL);
    assert_true(chain_is(&chain, "abcdef", 6));
    // but a slice of itself may be pushed, at both ends
    assert_int_equal(zcb_chain_slice(&chain, 1, 2, &slice), 0);
    assert_int_equal(zcb_chain_push(&chain, &slice), 0);
    assert_int_equal(zcb_chain_slice(&chain, 4, 2, &slice), 0);
    assert_int_equal(zcb_chain_push_front(&chain, &slice), 0);
    assert_true(chain_is(&chain, "efabcdefbc", 10));
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
}

static void
moving_into_an_empty_chain_takes_few_chunks_and_many(void **state)
{
    static const size_t counts[] = {0, 1, 4, 5, 100};
    uint8_t bytes[100];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 5; k++) { // a target that had this many before
            struct zcb_chain from, to;
            size_t chunks = counts[i];

            start(&from);
            start(&to);
            push_cut(&to, bytes, counts[k], 1);
            assert_int_equal(zcb_chain_discard(&to, counts[k]), 0);
            push_cut(&from, bytes, 3, 1); // so that the ring's first slot is not its first entry
            push_cut(&from, bytes, chunks, 1);
            assert_int_equal(zcb_chain_discard(&from, 3), 0);
            assert_int_equal(zcb_chain_move(&to, &from), 0);
            assert_chain_sound(&from);
            assert_chain_sound(&to);
            assert_int_equal(zcb_chain_chunks(&to), chunks);
            assert_int_equal(zcb_chain_chunks(&from), 0);
            assert_true(chain_is(&to, bytes, chunks));
            push_cut(&from, bytes, 100, 7); // both go on
            push_cut(&to, bytes, 100, 7);
            assert_chain_sound(&from);
            assert_chain_sound(&to);
            assert_true(chain_is(&from, bytes, 100));
            assert_int_equal(zcb_chain_discard(&to, chunks), 0);
            assert_true(chain_is(&to, bytes, 100));
            zcb_chain_finish(&from);
            zcb_chain_finish(&to);
        }
    }
}

static void
a_writer_goes_on_behind_what_was_moved_away(void **state)
{
    struct zcb_chain from, to;

    (void)state;
    start(&from);
    start(&to);
    assert_int_equal(zcb_chain_append(&from, "abc", 3), 0);
    assert_int_equal(zcb_chain_move(&to, &from), 0);
    assert_int_equal(zcb_chain_append(&from, "def", 3), 0);
    assert_true(chain_is(&to, "abc", 3));
    assert_true(chain_is(&from, "def", 3));
    assert_int_equal(buffers_out(), 1); // the same block
    assert_int_equal(zcb_chain_move(&to, &from), 0);
    assert_int_equal(zcb_chain_chunks(&to), 1);
    assert_true(chain_is(&to, "abcdef", 6));
    assert_int_equal(zcb_chain_append(&to, "x", 1), 0); // its own writer has another
    assert_true(chain_is(&to, "abcdefx", 7));
    assert_chain_sound(&from);
    assert_chain_sound(&to);
    zcb_chain_finish(&from);
    zcb_chain_finish(&to);
    assert_int_equal(buffers_out(), 0);
}

static void
the_targets_limits_hold_for_split_and_move(void **state)
{
    static const struct {
        struct zcb_chain_config config;
        size_t most; // bytes that fit: of 10 chunks of 3 bytes, each in a block of 5
    } cases[] = {
        {{.max_bytes = 20}, 20},
        {{.max_chunks = 4}, 12},
        {{.max_pinned = 26}, 15},
        {{.max_chunks = 1}, 3},
        {{.max_bytes = 30, .max_chunks = 10, .max_pinned = 50}, 30},
    };
    uint8_t bytes[30];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 5);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t len = 0; len <= 30; len++) {
            struct zcb_chain from, to;

            start(&from);
            assert_int_equal(zcb_chain_init(&to, pool, &cases[i].config), 0);
            push_cut(&from, bytes, 30, 3);
            if (len <= cases[i].most) {
                assert_int_equal(zcb_chain_split(&from, len, &to), 0);
                assert_true(chain_is(&to, bytes, len));
                assert_true(chain_is(&from, bytes + len, 30 - len));
            } else {
                assert_int_equal(zcb_chain_split(&from, len, &to), -ENOBUFS);
                assert_int_equal(zcb_chain_len(&to), 0);
                assert_true(chain_is(&from, bytes, 30));
                assert_int_equal(zcb_chain_chunks(&from), 10);
            }
            if (len == 0) {
                assert_int_equal(zcb_chain_move(&to, &from), cases[i].most == 30 ? 0 : -ENOBUFS);
                assert_true(chain_is(cases[i].most == 30 ? &to : &from, bytes, 30));
            }
            assert_chain_sound(&from);
            assert_chain_sound(&to);
            zcb_chain_finish(&from);
            zcb_chain_finish(&to);
        }
    }
}

static void
pinned_counts_a_block_once_per_run_of_its_views(void **state)
{
    struct zcb_packet a = must_packet(pool, 1000), b = must_packet(pool, 4000), view;
    struct zcb_chain chain;
    size_t a_size = zcb_packet_pinned(&a), b_size = zcb_packet_pinned(&b);
    // which block, from where
    static const struct {
        bool second;
        size_t off;
        bool at_front;
    } steps[] = {{0, 0, 0}, {0, 20, 0}, {1, 0, 0}, {1, 20, 0}, {0, 40, 0}, {0, 60, 1}, {1, 40, 1}};
    static const size_t expected[][2] = {{1, 0}, {1, 0}, {1, 1}, {1, 1}, {2, 1}, {2, 1}, {2, 2}};
    // a view at a time from the front: b | a a a | b b | a
    static const size_t drained[][2] = {{2, 1}, {2, 1}, {2, 1}, {1, 1}, {1, 1}, {1, 0}, {0, 0}};

    (void)state;
    start(&chain);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(zcb_packet_slice(steps[i].second ? &b : &a, steps[i].off, 10, &view), 0);
        if (steps[i].at_front)
            assert_int_equal(zcb_chain_push_front(&chain, &view), 0);
        else
            assert_int_equal(zcb_chain_push(&chain, &view), 0);
        assert_int_equal(zcb_chain_pinned(&chain),
                         expected[i][0] * a_size + expected[i][1] * b_size);
    }
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(zcb_chain_discard(&chain, 10), 0);
        assert_int_equal(zcb_chain_pinned(&chain), drained[i][0] * a_size + drained[i][1] * b_size);
    }
    zcb_chain_finish(&chain);
    zcb_packet_unref(&a);
    zcb_packet_unref(&b);
    assert_int_equal(buffers_out(), 0);
}

// Bytes that the writer's reference holds, and views put back in front of them that bring
// references of their own.
static void
what_was_taken_from_the_tail_block_may_be_put_back_in_front(void **state)
{
    (void)state;
    for (int end = 0; end < 5; end++) {
        uint8_t more[1014] = {0};
        struct zcb_packet packet, taken;
        struct zcb_chain chain, other;

        start(&chain);
        start(&other);
        assert_int_equal(zcb_chain_append(&chain, letters, 10), 0);
        assert_int_equal(zcb_chain_take(&chain, 5, &packet), 0);
        assert_int_equal(zcb_chain_push_front(&chain, &packet), 0);
        assert_int_equal(zcb_chain_chunks(&chain), 1);
        assert_true(chain_is(&chain, letters, 10));
        taken = zcb_packet_static(NULL, 0);
        switch (end) {
        case 0:
            assert_int_equal(zcb_chain_discard(&chain, 10), 0);
            break;
        case 1:
            assert_int_equal(zcb_chain_take(&chain, 10, &taken), 0);
            break;
        case 2:
            assert_int_equal(zcb_chain_move(&other, &chain), 0);
            break;
        case 3:
            push_lone(&chain, "x", 1);
            break;
        default:
            assert_int_equal(zcb_chain_append(&chain, more, 1014), 0); // full: the writer leaves
            break;
        }
        assert_chain_sound(&chain);
        assert_chain_sound(&other);
        if (end == 1)
            assert_memory_equal(taken.data, letters, 10);
        zcb_packet_unref(&taken);
        zcb_chain_finish(&chain);
        zcb_chain_finish(&other);
        assert_int_equal(buffers_out(), 0);
    }
}

static void
a_chunk_that_merges_is_none_more_for_the_targets_limit(void **state)
{
    struct zcb_chain_config config = {.max_chunks = 2};
    struct zcb_chain from, to;

    (void)state;
    start(&from);
    assert_int_equal(zcb_chain_init(&to, pool, &config), 0);
    push_cut(&from, (const uint8_t *)letters, 12, 4);
    assert_int_equal(zcb_chain_split(&from, 6, &to), 0);
    assert_int_equal(zcb_chain_split(&from, 2, &to), 0); // the rest of the second
    assert_int_equal(zcb_chain_chunks(&to), 2);
    assert_int_equal(zcb_chain_split(&from, 1, &to), -ENOBUFS);
    assert_int_equal(zcb_chain_move(&to, &from), -ENOBUFS);
    assert_true(chain_is(&to, letters, 8));
    assert_true(chain_is(&from, letters + 8, 4));
    zcb_chain_finish(&from);
    zcb_chain_finish(&to);
}

static void
trim_gives_back_what_is_not_read_from(void **state)
{
    struct zcb_chain chain;
    struct iovec iov[4];

    (void)state;
    start(&chain);
    push_cut(&chain, (const uint8_t *)"abcdefghijklmnop", 16, 1);
    assert_int_equal(zcb_chain_append(&chain, "tail", 4), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 2000, iov, 4), 2);
    assert_int_equal(buffers_out(), 2);
    zcb_chain_trim(&chain);
    assert_int_equal(buffers_out(), 1); // its bytes are in the chain
    assert_true(chain_is(&chain, "abcdefghijklmnoptail", 20));
    assert_chain_sound(&chain);
    assert_int_equal(zcb_chain_discard(&chain, 17), 0);
    zcb_chain_trim(&chain);
    assert_ptr_equal(zcb_chain_view(&chain)->ring, zcb_chain_view(&chain)->few);
    assert_true(chain_is(&chain, "ail", 3));
    assert_int_equal(zcb_chain_discard(&chain, 3), 0);
    zcb_chain_trim(&chain);
    assert_int_equal(buffers_out(), 0);
    assert_int_equal(zcb_chain_pinned(&chain), 0);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
}

static void
iov_gives_windows_that_a_writer_walks_through(void **state)
{
    static uint8_t bytes[3000], got[3000];
    struct iovec iov[2000];
    struct zcb_chain chain;
    size_t len, off = 0;
    int n;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 3 + i / 256);
    start(&chain);
    assert_int_equal(zcb_chain_iov(&chain, 0, iov, 10, &len), 0);
    assert_int_equal(len, 0);
    push_cut(&chain, bytes, 3000, 2);
    assert_int_equal(zcb_chain_iov(&chain, 0, iov, 2000, &len), 1024);
    assert_int_equal(len, 2048);
    assert_int_equal(zcb_chain_iov(&chain, 1, iov, 2, NULL), 2);
    assert_int_equal(iov[0].iov_len, 1);
    assert_int_equal(iov[1].iov_len, 2);
    assert_int_equal(zcb_chain_iov(&chain, 0, NULL, 0, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(zcb_chain_iov(&chain, 3000, iov, 1, &len), 0);
    assert_int_equal(zcb_chain_iov(&chain, 3001, iov, 1, &len), -EAGAIN);
    assert_int_equal(zcb_chain_iov(&chain, SIZE_MAX, iov, 1, &len), -EAGAIN);
    for (size_t step = 0; (n = zcb_chain_iov(&chain, off, iov, 7, &len)) > 0; step++) {
        size_t sum = 0;

        for (int i = 0; i < n; i++) {
            memcpy(got + off + sum, iov[i].iov_base, iov[i].iov_len);
            sum += iov[i].iov_len;
        }
        assert_int_equal(sum, len);
        off += sum - step % 3 % sum; // a short write now and then
    }
    assert_int_equal(n, 0);
    assert_int_equal(off, 3000);
    assert_memory_equal(got, bytes, 3000);
    zcb_chain_finish(&chain);
}

static void
a_cursor_reads_without_consuming_and_stays_when_there_is_too_little(void **state)
{
    struct zcb_cursor cursor, other;
    struct zcb_copies before;
    struct zcb_chain chain;
    uint8_t got[16], u8;
    const uint8_t *at;
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    size_t len;

    (void)state;
    start(&chain);
    assert_int_equal(zcb_cursor_init(&cursor, &chain, 0), 0);
    assert_null(zcb_cursor_peek(&cursor, &len));
    assert_int_equal(len, 0);
    assert_int_equal(zcb_cursor_u8(&cursor, &u8), -EAGAIN);
    assert_int_equal(zcb_cursor_skip(&cursor, 0), 0);
    assert_int_equal(zcb_cursor_init(&cursor, &chain, 1), -EAGAIN);
    assert_int_equal(zcb_cursor_init(NULL, &chain, 0), -EINVAL);
    assert_int_equal(zcb_cursor_init(&cursor, NULL, 0), -EINVAL);

    push_cut(&chain, (const uint8_t *)"abcdefghijklmnop", 16, 5);
    assert_int_equal(zcb_cursor_init(&cursor, &chain, 0), 0);
    before = copies_now();
    assert_int_equal(zcb_cursor_u32be(&cursor, &u32), 0);
    assert_int_equal(u32, 0x61626364);
    assert_true(nothing_copied(&before));
    other = cursor;                                       // a value: both go their way
    assert_int_equal(zcb_cursor_u16le(&cursor, &u16), 0); // across
    assert_int_equal(u16, 'f' << 8 | 'e');
    assert_true(only_copied(&before, ZCB_COPY_PEEK, 2));
    assert_int_equal(zcb_cursor_u16be(&cursor, &u16), 0);
    assert_int_equal(u16, 'g' << 8 | 'h');
    assert_int_equal(zcb_cursor_u64be(&cursor, &u64), 0);
    assert_true(u64 == UINT64_C(0x696a6b6c6d6e6f70));
    assert_int_equal(zcb_cursor_left(&cursor), 0);
    assert_int_equal(zcb_cursor_tell(&cursor), 16);
    assert_null(zcb_cursor_peek(&cursor, &len));

    before = copies_now();
    at = zcb_cursor_peek(&other, &len);
    assert_int_equal(*at, 'e');
    assert_int_equal(len, 1);
    assert_int_equal(zcb_cursor_read(&other, got, 13), -EAGAIN);
    assert_int_equal(zcb_cursor_skip(&other, 13), -EAGAIN);
    assert_int_equal(zcb_cursor_skip(&other, SIZE_MAX), -EAGAIN);
    assert_int_equal(zcb_cursor_read(&other, NULL, 1), -EINVAL);
    assert_int_equal(zcb_cursor_read(&other, NULL, 0), 0);
    assert_int_equal(zcb_cursor_tell(&other), 4);
    assert_true(nothing_copied(&before));
    assert_int_equal(zcb_cursor_read(&other, got, 7), 0);
    assert_memory_equal(got, "efghijk", 7);
    assert_true(only_copied(&before, ZCB_COPY_COPY_TO, 7));
    assert_int_equal(zcb_cursor_u64le(&other, &u64), -EAGAIN);
    assert_int_equal(zcb_cursor_u32le(&other, &u32), 0);
    assert_int_equal(u32, 0x6f6e6d6c);
    assert_int_equal(zcb_cursor_u32be(&other, &u32), -EAGAIN);
    assert_int_equal(zcb_cursor_tell(&other), 15);
    assert_int_equal(zcb_cursor_u8(&other, &u8), 0);
    assert_int_equal(u8, 'p');

    // to every place, from every place
    for (size_t from = 0; from <= 16; from++) {
        for (size_t to = from; to <= 16; to++) {
            assert_int_equal(zcb_cursor_init(&cursor, &chain, from), 0);
            assert_int_equal(zcb_cursor_skip(&cursor, to - from), 0);
            assert_int_equal(zcb_cursor_tell(&cursor), to);
            assert_int_equal(zcb_cursor_read(&cursor, got, 16 - to), 0);
            assert_memory_equal(got, letters + to, 16 - to);
        }
    }
    assert_true(chain_is(&chain, "abcdefghijklmnop", 16));
    zcb_chain_finish(&chain);
}

static int
setup(void **state)
{
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 1024}, {.buffer_size = 4096}},
        .flags = ZCB_POOL_NO_CACHE,
    };

    (void)state;
    pool = must_create(&config);
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
        cmocka_unit_test(taking_a_whole_chunk_moves_its_reference),
        cmocka_unit_test(take_copies_only_what_crosses_blocks),
        cmocka_unit_test(slice_shares_inside_a_chunk_and_says_where_bytes_cross),
        cmocka_unit_test(references_of_merged_views_are_handed_out_again),
        cmocka_unit_test(split_moves_the_front_by_reference_at_every_place),
        cmocka_unit_test(a_chain_is_not_split_or_moved_into_itself),
        cmocka_unit_test(moving_into_an_empty_chain_takes_few_chunks_and_many),
        cmocka_unit_test(a_writer_goes_on_behind_what_was_moved_away),
        cmocka_unit_test(the_targets_limits_hold_for_split_and_move),
        cmocka_unit_test(pinned_counts_a_block_once_per_run_of_its_views),
        cmocka_unit_test(what_was_taken_from_the_tail_block_may_be_put_back_in_front),
        cmocka_unit_test(a_chunk_that_merges_is_none_more_for_the_targets_limit),
        cmocka_unit_test(trim_gives_back_what_is_not_read_from),
        cmocka_unit_test(iov_gives_windows_that_a_writer_walks_through),
        cmocka_unit_test(a_cursor_reads_without_consuming_and_stays_when_there_is_too_little),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
