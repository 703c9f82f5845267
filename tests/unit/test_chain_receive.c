// SPDX-License-Identifier: MIT
//
// Receiving into a chain: reserve and commit, append, copy_below, and what the limits refuse.

#include "support/chain_tools.h"

#include "support/pools.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

// Tiers of 64, 1024 and 4096 bytes; no thread caches, so what is out is exact.
static struct zcb_pool *pool;

static void
start(struct zcb_chain *chain, size_t chunk_size)
{
    struct zcb_chain_config config = {.chunk_size = chunk_size};

    assert_int_equal(zcb_chain_init(chain, pool, &config), 0);
}

static uint64_t
buffers_out(void)
{
    return must_stats(pool).total.live;
}

// Fills the reservation with `len` bytes that count up from `first`, and commits them.
static void
receive(struct zcb_chain *chain, size_t len, uint8_t first)
{
    struct iovec iov[16];
    size_t done = 0;
    int n = zcb_chain_reserve(chain, len, iov, 16);

    assert_true(n > 0);
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < iov[i].iov_len && done < len; k++)
            ((uint8_t *)iov[i].iov_base)[k] = (uint8_t)(first + done++);
    assert_int_equal(done, len);
    assert_int_equal(zcb_chain_commit(chain, len), 0);
    assert_chain_sound(chain);
}

static void
what_is_received_bit_by_bit_is_one_chunk_in_one_block(void **state)
{
    struct zcb_copies before = copies_now();
    struct zcb_chain chain;
    const uint8_t *at;

    (void)state;
    start(&chain, 1024);
    for (int i = 0; i < 10; i++)
        receive(&chain, 100, (uint8_t)(i * 100));
    assert_int_equal(zcb_chain_chunks(&chain), 1);
    assert_int_equal(zcb_chain_pinned(&chain),
                     2048); // the block, and a spare: 24 bytes are less than chunk_size
    at = zcb_chain_peek(&chain, 0, 1000, NULL);
    assert_non_null(at);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(at[i], (uint8_t)i);
    assert_true(nothing_copied(&before));
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
a_reservation_is_what_is_left_then_new_blocks_up_to_chunk_size_in_all(void **state)
{
    struct zcb_chain chain;
    struct iovec iov[16];

    (void)state;
    start(&chain, 1024);
    assert_int_equal(zcb_chain_reserve(&chain, 0, iov, 4), 1);
    assert_int_equal(iov[0].iov_len, 1024);
    assert_int_equal(zcb_chain_commit(&chain, 1000), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 1, iov, 4), 2);
    assert_int_equal(iov[0].iov_len, 24);
    assert_int_equal(iov[1].iov_len, 1000);
    // again: the same places
    assert_int_equal(zcb_chain_reserve(&chain, 1, iov + 4, 4), 2);
    assert_memory_equal(iov, iov + 4, 2 * sizeof(iov[0]));
    // more than chunk_size: as much as is asked for
    assert_int_equal(zcb_chain_reserve(&chain, 3000, iov, 4), 4);
    assert_int_equal(iov[0].iov_len + iov[1].iov_len + iov[2].iov_len + iov[3].iov_len, 3000);
    assert_int_equal(zcb_chain_pinned(&chain), 4096);
    assert_chain_sound(&chain);
    // the last of the iovecs has to do: 24 + 1024 + 1952
    assert_int_equal(zcb_chain_reserve(&chain, 3000, iov, 3), 3);
    assert_int_equal(iov[2].iov_len, 1952);
    assert_chain_sound(&chain);
    assert_int_equal(zcb_chain_commit(&chain, 3000), 0);
    assert_int_equal(zcb_chain_len(&chain), 4000);
    assert_int_equal(zcb_chain_chunks(&chain), 3);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
with_one_iovec_a_block_with_too_little_room_is_left(void **state)
{
    struct zcb_chain chain;
    struct iovec iov;

    (void)state;
    start(&chain, 1024);
    receive(&chain, 1000, 0);
    zcb_chain_trim(&chain);
    assert_int_equal(zcb_chain_reserve(&chain, 24, &iov, 1), 1);
    assert_int_equal(iov.iov_len, 24);
    assert_int_equal(zcb_chain_reserve(&chain, 25, &iov, 1), 1);
    assert_int_equal(iov.iov_len, 1024);
    assert_int_equal(zcb_chain_chunks(&chain), 1);
    assert_int_equal(zcb_chain_pinned(&chain), 2048);
    assert_int_equal(zcb_chain_commit(&chain, 30), 0);
    assert_int_equal(zcb_chain_chunks(&chain), 2);
    assert_int_equal(zcb_chain_reserve(&chain, 5000, &iov, 1), 1);
    assert_int_equal(iov.iov_len, 5000);
    assert_chain_sound(&chain);
    // drained, the block that is in use is too small and goes
    assert_int_equal(zcb_chain_discard(&chain, zcb_chain_len(&chain)), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 9000, &iov, 1), 1);
    assert_int_equal(iov.iov_len, 9000);
    assert_int_equal(buffers_out(), 1);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
a_drained_block_that_nobody_sees_is_written_from_its_start_again(void **state)
{
    struct zcb_packet kept;
    struct zcb_chain chain;
    struct iovec iov;
    void *place;

    (void)state;
    start(&chain, 1024);
    assert_int_equal(zcb_chain_reserve(&chain, 1, &iov, 1), 1);
    place = iov.iov_base;
    for (int i = 0; i < 100; i++) {
        receive(&chain, 700, (uint8_t)i);
        assert_int_equal(zcb_chain_discard(&chain, 700), 0);
        assert_int_equal(zcb_chain_reserve(&chain, 1, &iov, 1), 1);
        assert_ptr_equal(iov.iov_base, place);
    }
    assert_int_equal(buffers_out(), 1);
    // somebody sees it: then not
    receive(&chain, 700, 1);
    assert_int_equal(zcb_chain_take(&chain, 700, &kept), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 1, &iov, 1), 1);
    assert_ptr_equal(iov.iov_base, (uint8_t *)place + 700);
    memset(iov.iov_base, 0xff, iov.iov_len);
    for (size_t i = 0; i < 700; i++)
        assert_int_equal(kept.data[i], (uint8_t)(1 + i));
    // and when they have let go, again
    zcb_packet_unref(&kept);
    assert_int_equal(zcb_chain_reserve(&chain, 1, &iov, 1), 1);
    assert_ptr_equal(iov.iov_base, place);
    zcb_chain_finish(&chain);
}

static void
a_block_that_was_filled_goes_to_its_reader_alone(void **state)
{
    struct zcb_packet packet;
    struct zcb_chain chain;

    (void)state;
    start(&chain, 1024);
    receive(&chain, 1024, 0);
    assert_int_equal(zcb_chain_pinned(&chain), 1024);
    assert_int_equal(zcb_chain_take(&chain, 1024, &packet), 0);
    assert_true(zcb_packet_is_unique(&packet)); // the writer is no longer behind it
    assert_int_equal(zcb_chain_pinned(&chain), 0);
    zcb_packet_unref(&packet);
    // but it stays behind one that has room
    receive(&chain, 1000, 0);
    assert_int_equal(zcb_chain_take(&chain, 1000, &packet), 0);
    assert_false(zcb_packet_is_unique(&packet));
    zcb_packet_unref(&packet);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
commit_takes_at_most_what_was_reserved_and_ends_the_reservation(void **state)
{
    struct zcb_chain chain;
    struct iovec iov[2];

    (void)state;
    start(&chain, 1024);
    assert_int_equal(zcb_chain_commit(&chain, 0), 0);
    assert_int_equal(zcb_chain_commit(&chain, 1), -ERANGE); // nothing is reserved
    assert_int_equal(zcb_chain_reserve(&chain, 1, iov, 2), 1);
    assert_int_equal(zcb_chain_commit(&chain, 1025), -ERANGE);
    assert_int_equal(zcb_chain_commit(&chain, SIZE_MAX), -ERANGE);
    assert_int_equal(zcb_chain_len(&chain), 0);
    memset(iov[0].iov_base, 'a', 10);
    assert_int_equal(zcb_chain_commit(&chain, 10), 0); // it had stayed
    assert_true(chain_is(&chain, "aaaaaaaaaa", 10));
    assert_int_equal(zcb_chain_commit(&chain, 1), -ERANGE);
    assert_int_equal(zcb_chain_reserve(&chain, 1, iov, 2), 2);
    assert_int_equal(zcb_chain_commit(&chain, 0), 0); // EAGAIN, EINTR
    assert_int_equal(zcb_chain_commit(&chain, 1), -ERANGE);
    assert_true(chain_is(&chain, "aaaaaaaaaa", 10));
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
}

static void
push_append_move_and_trim_end_a_reservation(void **state)
{
    struct zcb_packet packet, next;
    struct zcb_chain chain, other;
    struct iovec iov[2];

    (void)state;
    for (int i = 0; i < 10; i++) {
        start(&chain, 1024);
        start(&other, 1024);
        push_lone(&other, "o", 1);
        push_lone(&chain, "c", 1);
        assert_true(zcb_chain_reserve(&chain, 1, iov, 2) > 0);
        packet = lone_packet("x", 1);
        switch (i) {
        case 0:
            assert_int_equal(zcb_chain_push(&chain, &packet), 0);
            break;
        case 1:
            assert_int_equal(zcb_chain_push_front(&chain, &packet), 0);
            break;
        case 2:
            assert_int_equal(zcb_chain_append(&chain, "y", 1), 0);
            break;
        case 3:
            assert_int_equal(zcb_chain_move(&chain, &other), 0);
            break;
        case 4:
            assert_int_equal(zcb_chain_move(&other, &chain), 0);
            break;
        case 5:
            assert_int_equal(zcb_chain_discard(&other, 1), 0);
            assert_int_equal(zcb_chain_move(&other, &chain), 0);
            break;
        case 6:
            zcb_chain_trim(&chain);
            break;
        case 7: // one that becomes part of the last chunk
            zcb_packet_unref(&packet);
            packet = zcb_packet_static("xy", 1);
            next = (struct zcb_packet){packet.data + 1, 1, NULL};
            assert_int_equal(zcb_chain_push(&chain, &packet), 0);
            assert_true(zcb_chain_reserve(&chain, 1, iov, 2) > 0);
            assert_int_equal(zcb_chain_push(&chain, &next), 0);
            break;
        case 8:
            assert_int_equal(zcb_chain_append(&chain, NULL, 0), 0);
            break;
        default:
            assert_int_equal(zcb_chain_split(&other, 1, &chain), 0);
            break;
        }
        assert_int_equal(zcb_chain_commit(&chain, 1), -ERANGE);
        zcb_packet_unref(&packet);
        assert_chain_sound(&chain);
        zcb_chain_finish(&chain);
        zcb_chain_finish(&other);
    }
    assert_int_equal(buffers_out(), 0);
}

// The one thing a failed call could spoil without it being seen at once: where the reservation
// begins.
static void
a_reservation_outlives_calls_that_fail(void **state)
{
    struct zcb_chain_config config = {.chunk_size = 1024, .max_bytes = 1500};
    struct zcb_packet kept, big = must_packet(pool, 4000);
    struct zcb_chain chain;
    struct iovec iov[2], more[2];

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    receive(&chain, 100, 0);
    assert_int_equal(zcb_chain_take(&chain, 100, &kept), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 1, iov, 1), 1);
    memcpy(iov[0].iov_base, "news", 4);
    zcb_packet_unref(&kept); // from now on the block could be used from its start
    assert_int_equal(zcb_chain_append(&chain, "", SIZE_MAX), -ENOBUFS);
    assert_int_equal(zcb_chain_append(&chain, NULL, 1), -EINVAL);
    assert_int_equal(zcb_chain_push(&chain, &big), -ENOBUFS);
    assert_int_equal(zcb_chain_push_front(&chain, &big), -ENOBUFS);
    assert_int_equal(zcb_chain_reserve(&chain, 1501, more, 2), -ENOBUFS);
    assert_int_equal(zcb_chain_reserve(&chain, 1, more, 0), -EINVAL);
    assert_int_equal(zcb_chain_commit(&chain, 4), 0);
    assert_true(chain_is(&chain, "news", 4));
    zcb_packet_unref(&big);
    zcb_chain_finish(&chain);
}

static void
a_refused_append_leaves_the_reservation_where_it_is(void **state)
{
    struct zcb_chain_config config = {.chunk_size = 1024, .max_pinned = 1024};
    uint8_t bytes[2000] = {0};
    struct zcb_packet kept;
    struct zcb_chain chain;
    struct iovec iov;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    receive(&chain, 100, 0);
    assert_int_equal(zcb_chain_take(&chain, 100, &kept), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 1, &iov, 1), 1);
    memcpy(iov.iov_base, "news", 4);
    zcb_packet_unref(&kept);
    assert_int_equal(zcb_chain_append(&chain, bytes, sizeof(bytes)),
                     -ENOBUFS); // needs a second block
    assert_int_equal(zcb_chain_reserve(&chain, 2000, &iov, 1), -ENOBUFS);
    assert_int_equal(zcb_chain_commit(&chain, 4), 0);
    assert_true(chain_is(&chain, "news", 4));
    zcb_chain_finish(&chain);
}

static void
append_copies_across_blocks_and_counts_it_once(void **state)
{
    uint8_t bytes[10000];
    struct zcb_copies before, now;
    struct zcb_chain chain;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 11);
    start(&chain, 1024);
    before = copies_now();
    assert_int_equal(zcb_chain_append(&chain, bytes, 700), 0);
    assert_int_equal(zcb_chain_append(&chain, bytes + 700, 700), 0);
    assert_int_equal(zcb_chain_append(&chain, bytes + 1400, 8600), 0);
    assert_int_equal(zcb_chain_append(&chain, NULL, 0), 0);
    assert_true(only_copied(&before, ZCB_COPY_APPEND, sizeof(bytes)));
    now = copies_now();
    assert_int_equal(now.calls[ZCB_COPY_APPEND] - before.calls[ZCB_COPY_APPEND], 3);
    assert_true(chain_is(&chain, bytes, sizeof(bytes)));
    assert_int_equal(zcb_chain_chunks(&chain), 10); // filled to the brim
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);

    // more than 16 blocks of chunk_size: the last one is as large as it has to be
    start(&chain, 64);
    assert_int_equal(zcb_chain_append(&chain, bytes, sizeof(bytes)), 0);
    assert_true(chain_is(&chain, bytes, sizeof(bytes)));
    assert_int_equal(zcb_chain_chunks(&chain), 16);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
packets_below_copy_below_are_copied_together(void **state)
{
    struct zcb_chain_config config = {.chunk_size = 1024, .copy_below = 100};
    struct zcb_packet packet, part;
    struct zcb_copies before;
    struct zcb_chain chain;
    uint8_t bytes[100];

    (void)state;
    memset(bytes, 'b', sizeof(bytes));
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    before = copies_now();
    for (int i = 0; i < 10; i++)
        push_lone(&chain, bytes, 99); // each would pin a block of its own
    assert_true(only_copied(&before, ZCB_COPY_APPEND, 990));
    assert_int_equal(zcb_chain_chunks(&chain), 1);
    assert_int_equal(zcb_chain_pinned(&chain), 1024);
    push_lone(&chain, bytes, 100); // not below
    assert_true(only_copied(&before, ZCB_COPY_APPEND, 990));
    assert_int_equal(zcb_chain_chunks(&chain), 2);
    packet = lone_packet(bytes, 5); // nor does the front copy
    assert_int_equal(zcb_chain_push_front(&chain, &packet), 0);
    assert_true(only_copied(&before, ZCB_COPY_APPEND, 990));
    // what merges is not copied: it pins nothing more
    packet = must_packet(pool, 1000);
    memset((uint8_t *)(uintptr_t)packet.data, 'b', 1000);
    assert_int_equal(zcb_packet_split(&packet, 950, &part), 0);
    assert_int_equal(zcb_chain_push(&chain, &part), 0);
    assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    assert_true(only_copied(&before, ZCB_COPY_APPEND, 990));
    assert_int_equal(zcb_chain_chunks(&chain), 4);
    assert_int_equal(zcb_chain_len(&chain), 990 + 100 + 5 + 1000);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
packets_of_one_byte_cost_at_most_what_the_limits_say(void **state)
{
    static const struct {
        struct zcb_chain_config config;
        size_t most; // bytes, at one byte a packet, each in a block of 3
    } cases[] = {
        {{.max_chunks = 100}, 100},
        {{.max_bytes = 77}, 77},
        {{.max_pinned = 300}, 100},
        {{.max_pinned = 299}, 99},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zcb_packet packet;
        struct zcb_chain chain;
        size_t pushed = 0, pinned;
        int result;

        assert_int_equal(zcb_chain_init(&chain, pool, &cases[i].config), 0);
        for (;;) {
            packet = lone_packet("x", 1);
            result = pushed % 2 ? zcb_chain_push(&chain, &packet)
                                : zcb_chain_push_front(&chain, &packet);
            if (result < 0)
                break;
            pushed++;
            assert_true(pushed <= cases[i].most);
        }
        assert_int_equal(result, -ENOBUFS);
        assert_int_equal(pushed, cases[i].most);
        assert_int_equal(packet.len, 1); // still the caller's
        assert_non_null(packet.owner);
        pinned = zcb_chain_pinned(&chain);
        assert_int_equal(pinned, pushed * 3);
        assert_int_equal(zcb_chain_push(&chain, &packet), -ENOBUFS);
        assert_int_equal(zcb_chain_push_front(&chain, &packet), -ENOBUFS);
        assert_int_equal(zcb_chain_pinned(&chain), pinned);
        assert_int_equal(zcb_chain_len(&chain), pushed);
        assert_chain_sound(&chain);
        // one out, one in
        assert_int_equal(zcb_chain_discard(&chain, 1), 0);
        assert_int_equal(zcb_chain_push(&chain, &packet), 0);
        zcb_chain_finish(&chain);
    }
}

static void
an_endless_message_ends_at_the_cap(void **state)
{
    struct zcb_chain_config config = {.chunk_size = 1024, .max_bytes = 10000};
    struct zcb_chain chain;
    struct iovec iov[4];
    size_t got = 0, at;
    int n;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    while ((n = zcb_chain_reserve(&chain, 1, iov, 4)) > 0) {
        size_t len = 0;

        for (int i = 0; i < n; i++) {
            memset(iov[i].iov_base, 'a', iov[i].iov_len);
            len += iov[i].iov_len;
        }
        assert_int_equal(zcb_chain_commit(&chain, len), 0);
        got += len;
        assert_true(got <= 10000);
        assert_int_equal(zcb_chain_find_crlf(&chain, 0, &at), -EAGAIN);
    }
    assert_int_equal(n, -ENOBUFS);
    assert_int_equal(got, 10000);
    assert_int_equal(zcb_chain_append(&chain, "a", 1), -ENOBUFS);
    assert_int_equal(zcb_chain_len(&chain), 10000);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
}

static void
reserve_keeps_to_the_limits_on_chunks_and_on_memory(void **state)
{
    struct zcb_chain_config config = {.chunk_size = 1024, .max_chunks = 2};
    struct zcb_chain chain;
    struct iovec iov[8];

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    push_lone(&chain, "x", 1);
    assert_int_equal(zcb_chain_reserve(&chain, 3000, iov, 8), 1); // one chunk more: one block
    assert_int_equal(iov[0].iov_len, 3000);
    assert_int_equal(zcb_chain_commit(&chain, 10), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 1, iov, 8), 1);
    assert_int_equal(zcb_chain_commit(&chain, 10), 0); // longer, not more
    push_lone(&chain, "", 0);
    assert_int_equal(zcb_chain_chunks(&chain), 2);
    assert_int_equal(zcb_chain_reserve(&chain, 1000000, iov, 8), -ENOBUFS);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);

    config = (struct zcb_chain_config){.chunk_size = 1024, .max_pinned = 2500};
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 2049, iov, 8), -ENOBUFS);
    assert_int_equal(zcb_chain_pinned(&chain), 0);
    assert_int_equal(buffers_out(), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 2048, iov, 8), 2);
    assert_int_equal(zcb_chain_commit(&chain, 2000), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 1, iov, 8),
                     1); // 48 bytes, where a chunk more would be too much
    assert_int_equal(iov[0].iov_len, 48);
    assert_int_equal(zcb_chain_reserve(&chain, 49, iov, 8), -ENOBUFS);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

// A spare that is there is not lent where its bytes would be a chunk too many.
static void
a_spare_is_lent_only_if_it_may_become_a_chunk(void **state)
{
    struct zcb_chain_config config = {.chunk_size = 1024, .max_chunks = 2};
    struct zcb_packet taken;
    struct zcb_chain chain;
    struct iovec iov[2];

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 2000, iov, 2), 2);
    assert_int_equal(zcb_chain_commit(&chain, 10), 0);
    assert_int_equal(zcb_chain_take(&chain, 10, &taken), 0); // the tail block is seen, and no chunk
    push_lone(&chain, "x", 1);
    assert_int_equal(zcb_chain_reserve(&chain, 1, iov, 2), 1);
    assert_int_equal(iov[0].iov_len, 1014);
    assert_int_equal(zcb_chain_commit(&chain, 1014), 0);
    assert_chain_sound(&chain);
    zcb_packet_unref(&taken);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
a_tier_larger_than_asked_for_counts_whole_against_the_limit(void **state)
{
    struct zcb_chain_config config = {.chunk_size = 1500, .max_pinned = 2000};
    struct zcb_chain chain;
    struct iovec iov;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    assert_int_equal(zcb_chain_reserve(&chain, 1, &iov, 1), -ENOBUFS); // the tier has 4096
    assert_int_equal(zcb_chain_append(&chain, "x", 1), -ENOBUFS);
    assert_int_equal(zcb_chain_pinned(&chain), 0);
    assert_int_equal(buffers_out(), 0);
    zcb_chain_finish(&chain);
}

// While the last chunk is in the tail block, that is counted as the chunk's alone.
static void
a_view_of_the_tail_block_is_not_counted_twice(void **state)
{
    struct zcb_chain_config config = {.chunk_size = 1024, .max_pinned = 1024};
    struct zcb_packet packet;
    struct zcb_chain chain;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    receive(&chain, 10, 'a');
    assert_int_equal(zcb_chain_take(&chain, 10, &packet), 0);
    assert_int_equal(zcb_chain_pinned(&chain), 1024);
    assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    assert_int_equal(zcb_chain_pinned(&chain), 1024);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);

    config.max_pinned = 1024 + 3;
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    receive(&chain, 10, 'a');
    packet = lone_packet("x", 1); // in a block of 3
    assert_int_equal(zcb_chain_push_front(&chain, &packet), 0);
    assert_int_equal(zcb_chain_pinned(&chain), 1024 + 3);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
sums_that_wrap_are_refused_before_anything_happens(void **state)
{
    struct zcb_chain_config config = {
        .max_bytes = SIZE_MAX, .max_chunks = SIZE_MAX, .max_pinned = SIZE_MAX, .chunk_size = 1024};
    struct zcb_packet huge = zcb_packet_static("x", SIZE_MAX);
    struct zcb_chain chain;
    struct iovec iov[16];
    int result;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    push_lone(&chain, "abc", 3);
    assert_int_equal(zcb_chain_push(&chain, &huge), -ENOBUFS);
    assert_int_equal(zcb_chain_push_front(&chain, &huge), -ENOBUFS);
    assert_int_equal(huge.len, SIZE_MAX);
    assert_int_equal(zcb_chain_append(&chain, "x", SIZE_MAX), -ENOBUFS);
    for (int n = 1; n <= 16; n += 15) {
        assert_int_equal(zcb_chain_reserve(&chain, SIZE_MAX, iov, n), -ENOBUFS);
        result = zcb_chain_reserve(&chain, SIZE_MAX - 3, iov, n);
        assert_true(result == -ENOMEM || result == -EOVERFLOW || result == -ENOBUFS);
        result = zcb_chain_reserve(&chain, SIZE_MAX / 2, iov, n);
        assert_true(result == -ENOMEM || result == -EOVERFLOW || result == -ENOBUFS);
    }
    assert_true(chain_is(&chain, "abc", 3));
    assert_int_equal(zcb_chain_pinned(&chain), 5);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
without_a_pool_everything_by_reference_works_and_the_rest_is_refused(void **state)
{
    struct zcb_chain_config config = {.copy_below = 1};
    struct zcb_packet packet;
    struct zcb_chain chain;
    struct iovec iov;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, NULL, &config), -EINVAL);
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    push_cut(&chain, (const uint8_t *)"abcdef", 6, 3);
    assert_int_equal(zcb_chain_reserve(&chain, 1, &iov, 1), -EINVAL);
    assert_int_equal(zcb_chain_append(&chain, "x", 1), -EINVAL);
    assert_int_equal(zcb_chain_append(&chain, "x", 0), 0);
    assert_int_equal(zcb_chain_take(&chain, 4, &packet), -EINVAL);
    assert_int_equal(zcb_chain_gather(&chain, 1, 4, &packet), -EINVAL);
    assert_true(chain_is(&chain, "abcdef", 6));
    assert_int_equal(zcb_chain_take(&chain, 3, &packet), 0);
    zcb_packet_unref(&packet);
    assert_int_equal(zcb_chain_gather(&chain, 1, 2, &packet), 0);
    zcb_packet_unref(&packet);
    zcb_chain_finish(&chain);
}

static void
init_refuses_what_it_does_not_know(void **state)
{
    struct zcb_chain_config config = {.reserved = {NULL, NULL, NULL, &config}};
    struct zcb_chain chain;

    (void)state;
    assert_int_equal(zcb_chain_init(NULL, pool, NULL), -EINVAL);
    assert_int_equal(zcb_chain_init(&chain, pool, &config), -EINVAL);
}

static void
null_arguments_are_refused(void **state)
{
    struct zcb_packet packet = zcb_packet_static("x", 1);
    struct zcb_chain chain;
    struct iovec iov;
    size_t at;

    (void)state;
    start(&chain, 64);
    push_lone(&chain, "x", 1);
    assert_int_equal(zcb_chain_push(NULL, &packet), -EINVAL);
    assert_int_equal(zcb_chain_push(&chain, NULL), -EINVAL);
    assert_int_equal(zcb_chain_push_front(NULL, &packet), -EINVAL);
    assert_int_equal(zcb_chain_push_front(&chain, NULL), -EINVAL);
    assert_int_equal(zcb_chain_append(NULL, "x", 1), -EINVAL);
    assert_int_equal(zcb_chain_append(&chain, NULL, 1), -EINVAL);
    assert_int_equal(zcb_chain_reserve(NULL, 1, &iov, 1), -EINVAL);
    assert_int_equal(zcb_chain_reserve(&chain, 1, NULL, 1), -EINVAL);
    assert_int_equal(zcb_chain_reserve(&chain, 1, &iov, 0), -EINVAL);
    assert_int_equal(zcb_chain_reserve(&chain, 1, &iov, -1), -EINVAL);
    assert_int_equal(zcb_chain_commit(NULL, 0), -EINVAL);
    assert_int_equal(zcb_chain_copy_to(NULL, 0, &at, 1), -EINVAL);
    assert_int_equal(zcb_chain_consume(NULL, &at, 1), -EINVAL);
    assert_int_equal(zcb_chain_find(&chain, 0, NULL, 1, &at), -EINVAL);
    assert_int_equal(zcb_chain_find(&chain, 0, "x", 0, &at), -EINVAL);
    assert_int_equal(zcb_chain_find(&chain, 0, "x", 1, NULL), -EINVAL);
    assert_int_equal(zcb_chain_find(NULL, 0, "x", 1, &at), -EINVAL);
    assert_int_equal(zcb_chain_iov(NULL, 0, &iov, 1, NULL), -EINVAL);
    assert_int_equal(zcb_chain_iov(&chain, 0, NULL, 1, NULL), -EINVAL);
    assert_int_equal(zcb_chain_iov(&chain, 0, &iov, -1, NULL), -EINVAL);
    assert_int_equal(zcb_chain_take(NULL, 1, &packet), -EINVAL);
    assert_int_equal(zcb_chain_take(&chain, 1, NULL), -EINVAL);
    assert_int_equal(zcb_chain_slice(NULL, 0, 1, &packet), -EINVAL);
    assert_int_equal(zcb_chain_slice(&chain, 0, 1, NULL), -EINVAL);
    assert_int_equal(zcb_chain_gather(&chain, 0, 1, NULL), -EINVAL);
    assert_int_equal(zcb_chain_split(NULL, 0, &chain), -EINVAL);
    assert_int_equal(zcb_chain_split(&chain, 0, NULL), -EINVAL);
    assert_int_equal(zcb_chain_move(NULL, &chain), -EINVAL);
    assert_int_equal(zcb_chain_move(&chain, NULL), -EINVAL);
    assert_true(chain_is(&chain, "x", 1));
    zcb_chain_finish(&chain);
}

static void
more_spares_than_are_kept_go_back(void **state)
{
    struct zcb_chain chain;
    struct iovec iov[16];

    (void)state;
    start(&chain, 64);
    assert_int_equal(zcb_chain_reserve(&chain, 16 * 64, iov, 16), 16);
    assert_int_equal(buffers_out(), 16);
    // a block that is large enough takes the last place, and the one that was there has none left
    assert_int_equal(zcb_chain_reserve(&chain, 15 * 64 + 1000, iov, 16), 16);
    assert_int_equal(iov[15].iov_len, 1000);
    assert_int_equal(buffers_out(), 16);
    assert_chain_sound(&chain);
    assert_int_equal(zcb_chain_commit(&chain, 15 * 64 + 1000), 0);
    assert_int_equal(zcb_chain_chunks(&chain), 16);
    assert_chain_sound(&chain);
    zcb_chain_trim(&chain);
    assert_int_equal(zcb_chain_discard(&chain, zcb_chain_len(&chain)), 0);
    zcb_chain_trim(&chain);
    assert_int_equal(zcb_chain_pinned(&chain), 0);
    assert_int_equal(buffers_out(), 0);
    zcb_chain_finish(&chain);
}

// Through a real socket: nothing there yet, and fewer bytes than there was room for.
static void
reading_from_a_socket_survives_eagain_and_short_reads(void **state)
{
    uint8_t wire[5000];
    struct zcb_chain chain;
    size_t sent = 0, drained = 0;
    int fds[2];

    (void)state;
    for (size_t i = 0; i < sizeof(wire); i++)
        wire[i] = (uint8_t)(i * 3);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    start(&chain, 1024);
    while (drained < sizeof(wire)) {
        struct iovec iov[2];
        int n = zcb_chain_reserve(&chain, 1, iov, 2);
        ssize_t got;

        assert_true(n > 0);
        got = readv(fds[0], iov, n);
        if (got < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_int_equal(zcb_chain_commit(&chain, 0), 0);
            sent += (size_t)write(fds[1], wire + sent,
                                  sizeof(wire) - sent < 333 ? sizeof(wire) - sent : 333);
            continue;
        }
        assert_int_equal(zcb_chain_commit(&chain, (size_t)got), 0);
        while (zcb_chain_len(&chain) >= 500) {
            uint8_t record[500];

            assert_int_equal(zcb_chain_consume(&chain, record, 500), 0);
            assert_memory_equal(record, wire + drained, 500);
            drained += 500;
        }
    }
    close(fds[0]);
    close(fds[1]);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

// A writer goes on behind a packet that was taken from the middle of its block and pushed back.
static void
a_packet_of_the_tail_block_may_come_back(void **state)
{
    struct zcb_packet packet, front;
    struct zcb_chain chain;

    (void)state;
    start(&chain, 1024);
    receive(&chain, 10, 'a');
    assert_int_equal(zcb_chain_take(&chain, 10, &packet), 0);
    assert_int_equal(zcb_packet_split(&packet, 5, &front), 0);
    assert_int_equal(zcb_chain_push(&chain, &front), 0);
    assert_chain_sound(&chain);
    receive(&chain, 3, 'x'); // the rest of the packet lies between
    assert_int_equal(zcb_chain_chunks(&chain), 2);
    assert_true(chain_is(&chain, "abcdexyz", 8));
    assert_int_equal(zcb_chain_discard(&chain, 8), 0);
    assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    assert_true(chain_is(&chain, "fghij", 5));
    receive(&chain, 2, 'p');
    assert_true(chain_is(&chain, "fghijpq", 7));
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_int_equal(buffers_out(), 0);
}

static void
by_default_a_block_is_at_most_what_the_largest_tier_holds(void **state)
{
    static const struct {
        struct zcb_pool_config config;
        size_t block;
    } cases[] = {
        {{.tiers = {{.buffer_size = 4096}, {.buffer_size = 16384}}}, 16384},
        {{.headroom = 64}, 65536 - 64},
        {{.tiers = {{.buffer_size = 4096}}, .flags = ZCB_POOL_NO_OVERSIZE}, 4096},
        {{.tiers = {{.buffer_size = 1024 * 1024}}}, 65536},
    };

    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct zcb_pool *own = must_create(&cases[c].config);
        struct zcb_chain chain;
        struct iovec iov[4];
        size_t room = 0;
        int n;

        assert_int_equal(zcb_chain_init(&chain, own, NULL), 0);
        n = zcb_chain_reserve(&chain, 0, iov, 4);
        assert_true(n > 0);
        for (int i = 0; i < n; i++)
            room += iov[i].iov_len;
        assert_true(room >= cases[c].block);
        assert_int_equal(zcb_chain_commit(&chain, room), 0);
        for (int i = 0; i < 3; i++)
            receive(&chain, 1000, 0);
        assert_int_equal(must_stats(own).oversize.acquires, 0);
        zcb_chain_finish(&chain);
        must_end(&own);
    }
}

static int
setup(void **state)
{
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 64}, {.buffer_size = 1024}, {.buffer_size = 4096}},
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
        cmocka_unit_test(what_is_received_bit_by_bit_is_one_chunk_in_one_block),
        cmocka_unit_test(a_reservation_is_what_is_left_then_new_blocks_up_to_chunk_size_in_all),
        cmocka_unit_test(with_one_iovec_a_block_with_too_little_room_is_left),
        cmocka_unit_test(a_drained_block_that_nobody_sees_is_written_from_its_start_again),
        cmocka_unit_test(a_block_that_was_filled_goes_to_its_reader_alone),
        cmocka_unit_test(commit_takes_at_most_what_was_reserved_and_ends_the_reservation),
        cmocka_unit_test(push_append_move_and_trim_end_a_reservation),
        cmocka_unit_test(a_reservation_outlives_calls_that_fail),
        cmocka_unit_test(a_refused_append_leaves_the_reservation_where_it_is),
        cmocka_unit_test(append_copies_across_blocks_and_counts_it_once),
        cmocka_unit_test(packets_below_copy_below_are_copied_together),
        cmocka_unit_test(packets_of_one_byte_cost_at_most_what_the_limits_say),
        cmocka_unit_test(an_endless_message_ends_at_the_cap),
        cmocka_unit_test(reserve_keeps_to_the_limits_on_chunks_and_on_memory),
        cmocka_unit_test(a_spare_is_lent_only_if_it_may_become_a_chunk),
        cmocka_unit_test(a_tier_larger_than_asked_for_counts_whole_against_the_limit),
        cmocka_unit_test(a_view_of_the_tail_block_is_not_counted_twice),
        cmocka_unit_test(sums_that_wrap_are_refused_before_anything_happens),
        cmocka_unit_test(without_a_pool_everything_by_reference_works_and_the_rest_is_refused),
        cmocka_unit_test(init_refuses_what_it_does_not_know),
        cmocka_unit_test(null_arguments_are_refused),
        cmocka_unit_test(more_spares_than_are_kept_go_back),
        cmocka_unit_test(reading_from_a_socket_survives_eagain_and_short_reads),
        cmocka_unit_test(a_packet_of_the_tail_block_may_come_back),
        cmocka_unit_test(by_default_a_block_is_at_most_what_the_largest_tier_holds),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
