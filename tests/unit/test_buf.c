// SPDX-License-Identifier: MIT
//
// The writer of a block: where its data may go, what it hands out, and when its memory is let go.

#include "testing.h"

#include "support/alloc_count.h"
#include "support/failing_source.h"
#include "support/pools.h"

// A buf of each kind, 4096 bytes of capacity, so that all tests hold for all of them.
#define CAPACITY 4096

enum kind { FROM_POOL, FROM_HEAP, WRAPPED, WRAPPED_IN, KINDS };

struct fixture {
    struct zcb_pool *pool;
    uint8_t *memory;                // of the wrapped kinds
    struct zcb_buf_storage storage; // of WRAPPED_IN
    int released;
};

static void
released(void *ctx, void *data, size_t len)
{
    struct fixture *fixture = ctx;

    assert_ptr_equal(data, fixture->memory);
    assert_int_equal(len, CAPACITY);
    fixture->released++;
}

static int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->pool = must_create(NULL);
    fixture->memory = malloc(CAPACITY);
    assert_non_null(fixture->memory);
    *state = fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;

    // Not must_end(), which would end the program before a failed test has been reported.
    assert_int_equal(must_be_at_rest(fixture->pool).total.live, 0);
    zcb_pool_destroy(&fixture->pool);
    free(fixture->memory);
    free(fixture);
    return 0;
}

static struct zcb_buf *
make(struct fixture *fixture, enum kind kind)
{
    struct zcb_buf *buf = NULL;

    fixture->released = 0;
    switch (kind) {
    case FROM_POOL:
        buf = must_acquire(fixture->pool, CAPACITY);
        break;
    case FROM_HEAP:
        assert_int_equal(zcb_buf_alloc(NULL, CAPACITY, &buf), 0);
        break;
    case WRAPPED:
        assert_int_equal(zcb_buf_wrap(fixture->memory, 0, CAPACITY, released, fixture, &buf), 0);
        break;
    default:
        buf = zcb_buf_wrap_in(&fixture->storage, fixture->memory, 0, CAPACITY, released, fixture);
        break;
    }
    assert_non_null(buf);
    return buf;
}

static void
check_gone(const struct fixture *fixture, enum kind kind)
{
    assert_int_equal(fixture->released, kind == WRAPPED || kind == WRAPPED_IN ? 1 : 0);
}

static void
check(struct zcb_buf *buf, size_t headroom, size_t len, size_t tailroom)
{
    assert_int_equal(zcb_buf_headroom(buf), headroom);
    assert_int_equal(zcb_buf_len(buf), len);
    assert_int_equal(zcb_buf_tailroom(buf), tailroom);
    assert_int_equal(zcb_buf_capacity(buf), headroom + len + tailroom);
}

static void
a_new_buf_is_empty_and_all_of_it_is_tailroom(void **state)
{
    struct fixture *fixture = *state;

    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct zcb_buf *buf = make(fixture, kind);

        check(buf, 0, 0, CAPACITY);
        assert_non_null(zcb_buf_data(buf));
        if (kind == WRAPPED || kind == WRAPPED_IN)
            assert_ptr_equal(zcb_buf_data(buf), fixture->memory);
        zcb_buf_release(&buf);
        assert_null(buf);
        check_gone(fixture, kind);
    }
}

static void
append_grows_to_the_right_up_to_the_last_byte(void **state)
{
    struct fixture *fixture = *state;

    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct zcb_buf *buf = make(fixture, kind);
        uint8_t *base = zcb_buf_data(buf), *at = NULL;

        assert_int_equal(zcb_buf_append(buf, 10, &at), 0);
        assert_ptr_equal(at, base);
        memset(at, 1, 10);
        assert_int_equal(zcb_buf_append(buf, 0, &at), 0);
        assert_ptr_equal(at, base + 10);
        assert_int_equal(zcb_buf_append(buf, CAPACITY - 11, &at), 0);
        assert_ptr_equal(at, base + 10);
        check(buf, 0, CAPACITY - 1, 1);
        at = base;
        assert_int_equal(zcb_buf_append(buf, 2, &at), -ERANGE);
        assert_int_equal(zcb_buf_append(buf, SIZE_MAX, &at), -ERANGE);
        assert_int_equal(zcb_buf_append(buf, SIZE_MAX - CAPACITY + 2, &at), -ERANGE);
        assert_ptr_equal(at, base);
        check(buf, 0, CAPACITY - 1, 1);
        assert_int_equal(zcb_buf_append(buf, 1, NULL), 0);
        assert_int_equal(zcb_buf_append(buf, 1, NULL), -ERANGE);
        check(buf, 0, CAPACITY, 0);
        assert_int_equal(base[9], 1);
        zcb_buf_release(&buf);
    }
}

static void
prepend_grows_to_the_left_into_headroom_alone(void **state)
{
    struct fixture *fixture = *state;

    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct zcb_buf *buf = make(fixture, kind);
        uint8_t *base = zcb_buf_data(buf), *at = base;

        assert_int_equal(zcb_buf_prepend(buf, 1, &at), -ERANGE);
        assert_int_equal(zcb_buf_prepend(buf, 0, &at), 0);
        assert_int_equal(zcb_buf_set_headroom(buf, 54), 0);
        check(buf, 54, 0, CAPACITY - 54);
        assert_ptr_equal(zcb_buf_data(buf), base + 54);
        assert_int_equal(zcb_buf_append(buf, 100, NULL), 0);
        assert_int_equal(zcb_buf_prepend(buf, 20, &at), 0);
        assert_ptr_equal(at, base + 34);
        assert_int_equal(zcb_buf_prepend(buf, 35, &at), -ERANGE);
        assert_int_equal(zcb_buf_prepend(buf, SIZE_MAX, &at), -ERANGE);
        assert_ptr_equal(at, base + 34);
        check(buf, 34, 120, CAPACITY - 154);
        assert_int_equal(zcb_buf_prepend(buf, 34, NULL), 0);
        check(buf, 0, 154, CAPACITY - 154);
        assert_ptr_equal(zcb_buf_data(buf), base);
        zcb_buf_release(&buf);
    }
}

static void
headroom_is_set_while_empty_and_within_the_capacity(void **state)
{
    struct fixture *fixture = *state;
    struct zcb_buf *buf = make(fixture, FROM_POOL);

    assert_int_equal(zcb_buf_set_headroom(buf, CAPACITY + 1), -ERANGE);
    assert_int_equal(zcb_buf_set_headroom(buf, SIZE_MAX), -ERANGE);
    check(buf, 0, 0, CAPACITY);
    assert_int_equal(zcb_buf_set_headroom(buf, CAPACITY), 0);
    check(buf, CAPACITY, 0, 0);
    assert_int_equal(zcb_buf_set_headroom(buf, 16), 0);
    check(buf, 16, 0, CAPACITY - 16);
    assert_int_equal(zcb_buf_append(buf, 1, NULL), 0);
    assert_int_equal(zcb_buf_set_headroom(buf, 16), -EINVAL);
    check(buf, 16, 1, CAPACITY - 17);
    zcb_buf_release(&buf);
}

static void
trim_turns_ends_into_room(void **state)
{
    struct fixture *fixture = *state;

    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct zcb_buf *buf = make(fixture, kind);
        uint8_t *base = zcb_buf_data(buf);

        assert_int_equal(zcb_buf_append(buf, 100, NULL), 0);
        assert_int_equal(zcb_buf_trim(buf, 0, 0), 0);
        assert_int_equal(zcb_buf_trim(buf, 10, 20), 0);
        check(buf, 10, 70, CAPACITY - 80);
        assert_ptr_equal(zcb_buf_data(buf), base + 10);
        assert_int_equal(zcb_buf_trim(buf, 71, 0), -ERANGE);
        assert_int_equal(zcb_buf_trim(buf, 0, 71), -ERANGE);
        assert_int_equal(zcb_buf_trim(buf, 35, 36), -ERANGE);
        assert_int_equal(zcb_buf_trim(buf, SIZE_MAX, 2), -ERANGE);
        assert_int_equal(zcb_buf_trim(buf, 2, SIZE_MAX), -ERANGE);
        check(buf, 10, 70, CAPACITY - 80);
        assert_int_equal(zcb_buf_trim(buf, 35, 35), 0);
        check(buf, 45, 0, CAPACITY - 45);
        zcb_buf_release(&buf);
    }
}

// An original clamped an over-long `actual` length without a word: the reader then saw bytes nobody
// had written, or lost some that somebody had.
static void
a_length_above_the_room_is_refused_and_not_clamped(void **state)
{
    struct fixture *fixture = *state;

    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct zcb_buf *buf = make(fixture, kind);

        assert_int_equal(zcb_buf_set_len(buf, CAPACITY + 1), -ERANGE);
        assert_int_equal(zcb_buf_set_len(buf, SIZE_MAX), -ERANGE);
        check(buf, 0, 0, CAPACITY);
        assert_int_equal(zcb_buf_set_len(buf, CAPACITY), 0);
        check(buf, 0, CAPACITY, 0);
        assert_int_equal(zcb_buf_set_len(buf, 100), 0);
        check(buf, 0, 100, CAPACITY - 100);
        assert_int_equal(zcb_buf_trim(buf, 50, 0), 0);
        assert_int_equal(zcb_buf_set_len(buf, CAPACITY - 49), -ERANGE);
        assert_int_equal(zcb_buf_set_len(buf, CAPACITY - 50), 0);
        check(buf, 50, CAPACITY - 50, 0);
        assert_int_equal(zcb_buf_set_len(buf, 0), 0);
        check(buf, 50, 0, CAPACITY - 50);
        zcb_buf_release(&buf);
    }
}

static void
share_turns_the_buf_into_a_packet_of_the_same_memory(void **state)
{
    struct fixture *fixture = *state;

    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct zcb_buf *buf = make(fixture, kind);
        uint8_t *data;
        struct zcb_packet packet = {0};

        assert_int_equal(zcb_buf_set_headroom(buf, 7), 0);
        assert_int_equal(zcb_buf_append(buf, 100, &data), 0);
        memset(data, 'x', 100);
        zcb_buf_share(&buf, &packet);
        assert_null(buf);
        assert_ptr_equal(packet.data, data);
        assert_int_equal(packet.len, 100);
        assert_true(zcb_packet_is_unique(&packet));
        assert_int_equal(packet.data[99], 'x');
        assert_int_equal(fixture->released, 0);
        zcb_packet_unref(&packet);
        check_gone(fixture, kind);
    }
}

static void
sharing_an_empty_buf_lets_its_memory_go(void **state)
{
    struct fixture *fixture = *state;

    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct zcb_buf *buf = make(fixture, kind);
        struct zcb_packet packet = {(const uint8_t *)"x", 1, NULL};

        zcb_buf_share(&buf, &packet);
        assert_null(buf);
        assert_int_equal(packet.len, 0);
        assert_null(packet.owner);
        check_gone(fixture, kind);
    }
    assert_int_equal(must_be_at_rest(fixture->pool).total.live, 0);
}

static void
what_was_published_is_out_of_the_writers_reach(void **state)
{
    struct fixture *fixture = *state;

    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct zcb_buf *buf = make(fixture, kind);
        struct zcb_packet first = {0}, second = {0}, last = {0};
        uint8_t *base = zcb_buf_data(buf), *at;

        assert_int_equal(zcb_buf_set_headroom(buf, 16), 0);
        assert_int_equal(zcb_buf_append(buf, 100, &at), 0);
        memset(at, 'a', 100);
        assert_int_equal(zcb_buf_publish(buf, 101, &first), -ERANGE);
        assert_int_equal(zcb_buf_publish(buf, SIZE_MAX, &first), -ERANGE);
        check(buf, 16, 100, CAPACITY - 116);
        assert_int_equal(zcb_buf_publish(buf, 0, &first), 0);
        assert_int_equal(first.len, 0);
        assert_null(first.owner);
        check(buf, 16, 100, CAPACITY - 116);

        assert_int_equal(zcb_buf_publish(buf, 40, &first), 0);
        assert_ptr_equal(first.data, base + 16);
        assert_int_equal(first.len, 40);
        assert_false(zcb_packet_is_unique(&first)); // the writer is behind it
        check(buf, 0, 60, CAPACITY - 116);
        assert_ptr_equal(zcb_buf_data(buf), base + 56);
        assert_int_equal(zcb_buf_prepend(buf, 1, NULL), -ERANGE);
        assert_int_equal(zcb_buf_trim(buf, 60, 0), 0);
        check(buf, 60, 0, CAPACITY - 116);
        // Headroom is counted from what was published, not from the block's begin.
        assert_int_equal(zcb_buf_set_headroom(buf, CAPACITY - 55), -ERANGE);
        assert_int_equal(zcb_buf_set_headroom(buf, 0), 0);
        assert_ptr_equal(zcb_buf_data(buf), base + 56);
        check(buf, 0, 0, CAPACITY - 56);
        assert_int_equal(zcb_buf_append(buf, 10, &at), 0);
        memset(at, 'b', 10);
        assert_int_equal(zcb_buf_publish(buf, 10, &second), 0);
        check(buf, 0, 0, CAPACITY - 66);
        assert_int_equal(zcb_buf_append(buf, CAPACITY - 66, &at), 0);
        memset(at, 'c', CAPACITY - 66);
        zcb_buf_share(&buf, &last);

        for (size_t i = 0; i < 40; i++)
            assert_int_equal(first.data[i], 'a');
        for (size_t i = 0; i < 10; i++)
            assert_int_equal(second.data[i], 'b');
        assert_ptr_equal(second.data, base + 56);
        assert_ptr_equal(last.data, base + 66);
        zcb_packet_unref(&first);
        zcb_packet_unref(&last);
        assert_true(zcb_packet_is_unique(&second));
        assert_int_equal(fixture->released, 0);
        zcb_packet_unref(&second);
        check_gone(fixture, kind);
    }
}

static void
a_writer_that_goes_leaves_what_it_published(void **state)
{
    struct fixture *fixture = *state;

    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct zcb_buf *buf = make(fixture, kind);
        struct zcb_packet packet = {0};
        uint8_t *at;

        assert_int_equal(zcb_buf_append(buf, 10, &at), 0);
        memset(at, 'p', 10);
        assert_int_equal(zcb_buf_publish(buf, 10, &packet), 0);
        zcb_buf_release(&buf);
        assert_int_equal(fixture->released, 0);
        assert_true(zcb_packet_is_unique(&packet));
        assert_int_equal(packet.data[9], 'p');
        zcb_packet_unref(&packet);
        check_gone(fixture, kind);

        // And the other way round.
        buf = make(fixture, kind);
        assert_int_equal(zcb_buf_append(buf, 10, NULL), 0);
        assert_int_equal(zcb_buf_publish(buf, 10, &packet), 0);
        zcb_packet_unref(&packet);
        assert_int_equal(fixture->released, 0);
        zcb_buf_release(&buf);
        check_gone(fixture, kind);
    }
}

static void
release_takes_nothing_and_many(void **state)
{
    struct fixture *fixture = *state;
    struct zcb_buf *bufs[9] = {NULL};

    zcb_buf_release(NULL);
    zcb_buf_release(&bufs[0]);
    zcb_buf_release_n(NULL, 0);
    zcb_buf_release_n(bufs, 9);
    for (int i = 0; i < 9; i++) {
        if (i % 3 != 0) // some are NULL
            bufs[i] = must_acquire(fixture->pool, 100);
    }
    zcb_buf_release_n(bufs, 9);
    for (int i = 0; i < 9; i++)
        assert_null(bufs[i]);
    assert_int_equal(must_be_at_rest(fixture->pool).total.returns, 6);
}

// ---- where the memory comes from ----------------------------------------------------------------

static void
alloc_rounds_up_and_gives_back_what_it_took(void **state)
{
    static const size_t lengths[] = {0, 1, 63, 64, 65, 4095, 4096, 4097, 100000, 3 * MIB};
    struct zcb_failing_source failing;

    (void)state;
    zcb_failing_source_init(&failing);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct zcb_buf *buf = NULL;
        struct zcb_packet packet = {0};

        assert_int_equal(zcb_buf_alloc(&failing.source, lengths[i], &buf), 0);
        assert_true(zcb_buf_tailroom(buf) >= lengths[i]);
        assert_int_equal(failing.live, 1);
        assert_true(failing.live_bytes >= zcb_buf_capacity(buf));
        assert_int_equal(zcb_buf_append(buf, lengths[i], NULL), 0);
        memset(zcb_buf_data(buf), 0x77, lengths[i]);
        zcb_buf_share(&buf, &packet);
        zcb_packet_unref(&packet);
        assert_int_equal(failing.live,
                         0); // the source itself aborts where length or alignment differ
        assert_int_equal(failing.live_bytes, 0);
    }
    assert_int_equal(failing.closed, 0);
    assert_int_equal(failing.attached, 0);
}

static void
alloc_refuses_what_cannot_be(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_source lame;
    struct zcb_buf *const untouched = (struct zcb_buf *)&failing;
    struct zcb_buf *buf = untouched;

    (void)state;
    zcb_failing_source_init(&failing);
    assert_int_equal(zcb_buf_alloc(&failing.source, SIZE_MAX, &buf), -EOVERFLOW);
    assert_int_equal(zcb_buf_alloc(&failing.source, SIZE_MAX - 62, &buf), -EOVERFLOW);
    assert_int_equal(failing.calls, 0);
    assert_int_equal(zcb_buf_alloc(&failing.source, SIZE_MAX / 2, &buf), -ENOMEM);
    assert_int_equal(zcb_buf_alloc(&failing.source, 10, NULL), -EINVAL);
    lame = failing.source;
    lame.alloc = NULL;
    assert_int_equal(zcb_buf_alloc(&lame, 10, &buf), -EINVAL);
    lame = failing.source;
    lame.free = NULL;
    assert_int_equal(zcb_buf_alloc(&lame, 10, &buf), -EINVAL);
    assert_ptr_equal(buf, untouched);
    assert_int_equal(failing.live, 0);
}

static void
wrap_refuses_what_cannot_be_and_does_not_release(void **state)
{
    struct fixture *fixture = *state;
    struct zcb_buf *buf = NULL;

    assert_int_equal(zcb_buf_wrap(NULL, 0, 1, released, fixture, &buf), -EINVAL);
    assert_int_equal(zcb_buf_wrap(fixture->memory, 11, 10, released, fixture, &buf), -EINVAL);
    assert_int_equal(zcb_buf_wrap(fixture->memory, SIZE_MAX, 10, released, fixture, &buf), -EINVAL);
    assert_int_equal(zcb_buf_wrap(fixture->memory, 0, 10, released, fixture, NULL), -EINVAL);
    assert_null(buf);
    assert_null(zcb_buf_wrap_in(NULL, fixture->memory, 0, 10, released, fixture));
    assert_null(zcb_buf_wrap_in(&fixture->storage, NULL, 0, 10, released, fixture));
    assert_null(zcb_buf_wrap_in(&fixture->storage, fixture->memory, 11, 10, released, fixture));
    assert_int_equal(fixture->released, 0);
}

static void
wrapped_memory_may_hold_bytes_already_or_be_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct zcb_packet packet = {0};
    struct zcb_buf *buf = NULL;

    memset(fixture->memory, 'w', CAPACITY);
    fixture->released = 0;
    assert_int_equal(zcb_buf_wrap(fixture->memory, 1000, CAPACITY, released, fixture, &buf), 0);
    check(buf, 0, 1000, CAPACITY - 1000);
    zcb_buf_share(&buf, &packet);
    assert_int_equal(packet.len, 1000);
    assert_int_equal(packet.data[999], 'w');
    zcb_packet_unref(&packet);
    assert_int_equal(fixture->released, 1);

    // Without a release function nothing is called; without memory there is nothing to write to.
    assert_int_equal(zcb_buf_wrap(fixture->memory, 0, CAPACITY, NULL, NULL, &buf), 0);
    zcb_buf_release(&buf);
    assert_int_equal(zcb_buf_wrap(NULL, 0, 0, NULL, NULL, &buf), 0);
    check(buf, 0, 0, 0);
    assert_int_equal(zcb_buf_append(buf, 0, NULL), 0);
    assert_int_equal(zcb_buf_append(buf, 1, NULL), -ERANGE);
    zcb_buf_release(&buf);
}

// An object with the header inside, as a program would have it: both go in the callback.
struct own {
    int before;
    struct zcb_buf_storage storage;
    int *gone;
    uint8_t bytes[32];
};

static void
free_own(void *ctx, void *data, size_t len)
{
    struct own *own = ctx;

    assert_ptr_equal(data, own->bytes);
    assert_int_equal(len, sizeof(own->bytes));
    ++*own->gone;
    memset(own, 0xdd, sizeof(*own));
    free(own);
}

static void
storage_may_be_freed_by_the_release_it_leads_to(void **state)
{
    int gone = 0;

    (void)state;
    for (int by = 0; by < 3; by++) {
        struct own *own = calloc(1, sizeof(*own));
        struct zcb_packet packet = {0}, other = {0};
        uint64_t allocations;
        struct zcb_buf *buf;

        assert_non_null(own);
        own->gone = &gone;
        allocations = zcb_alloc_count();
        buf = zcb_buf_wrap_in(&own->storage, own->bytes, 0, sizeof(own->bytes), free_own, own);
        assert_non_null(buf);
        assert_int_equal(zcb_alloc_count(), allocations);
        assert_int_equal(zcb_buf_append(buf, 20, NULL), 0);
        if (by == 0) {
            zcb_buf_release(&buf);
        } else if (by == 1) {
            zcb_buf_share(&buf, &packet);
            zcb_packet_unref(&packet);
        } else {
            assert_int_equal(zcb_buf_publish(buf, 10, &packet), 0);
            other = zcb_packet_ref(&packet);
            zcb_buf_release(&buf);
            zcb_packet_unref(&packet);
            assert_int_equal(gone, by);
            zcb_packet_unref(&other);
        }
        assert_int_equal(gone,
                         by + 1); // under AddressSanitizer: and nothing looked at it afterwards
    }
}

// A buffer that an original had grown went back to the tier it had come from, and one cut in two
// came out again with 96 of its 4096 bytes.
static void
a_buffer_comes_back_to_its_tier_whole_whatever_was_cut_off_it(void **state)
{
    struct fixture *fixture = *state;

    for (int round = 0; round < 100; round++) {
        struct zcb_buf *buf = must_acquire(fixture->pool, 4096);
        struct zcb_packet packet = {0}, front = {0};

        check(buf, 0, 0, 4096);
        assert_int_equal(zcb_buf_append(buf, 4096, NULL), 0);
        assert_int_equal(zcb_buf_append(buf, 1, NULL), -ERANGE); // it does not grow
        if (round % 2 == 0) {
            zcb_buf_share(&buf, &packet);
            assert_int_equal(zcb_packet_split(&packet, 4000, &front), 0);
        } else {
            assert_int_equal(zcb_buf_publish(buf, 4000, &front), 0);
            zcb_buf_share(&buf, &packet);
        }
        assert_int_equal(packet.len, 96);
        zcb_packet_unref(&front);
        zcb_packet_unref(&packet);
    }
    assert_int_equal(must_be_at_rest(fixture->pool).tier[0].returns, 100);
    assert_int_equal(must_be_at_rest(fixture->pool).total.misses, 1);
}

// In an original, freezing a buffer doubled its allocations.
static void
write_share_slice_and_drop_allocate_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct zcb_packet packet = {0}, slice = {0}, front = {0}, published = {0};
    struct zcb_buf *buf = must_acquire(fixture->pool, 4096); // warms the pool
    uint64_t before;
    uint64_t misses;

    if (!zcb_alloc_count_works()) {
        zcb_buf_release(&buf);
        skip();
    }
    zcb_buf_release(&buf);
    misses = must_be_at_rest(fixture->pool).total.misses;
    before = zcb_alloc_count();
    for (int i = 0; i < 1000; i++) {
        if (zcb_pool_acquire(fixture->pool, 4096, &buf) != 0 ||
            zcb_buf_append(buf, 3000, NULL) != 0 || zcb_buf_publish(buf, 1000, &published) != 0)
            fail();
        zcb_buf_share(&buf, &packet);
        if (zcb_packet_slice(&packet, 10, 100, &slice) != 0 ||
            zcb_packet_split(&packet, 500, &front) != 0)
            fail();
        zcb_packet_unref(&packet);
        zcb_packet_unref(&front);
        zcb_packet_unref(&published);
        zcb_packet_unref(&slice);
    }
    assert_int_equal(zcb_alloc_count(), before);
    assert_int_equal(must_be_at_rest(fixture->pool).total.misses, misses);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_new_buf_is_empty_and_all_of_it_is_tailroom),
        TEST(append_grows_to_the_right_up_to_the_last_byte),
        TEST(prepend_grows_to_the_left_into_headroom_alone),
        TEST(headroom_is_set_while_empty_and_within_the_capacity),
        TEST(trim_turns_ends_into_room),
        TEST(a_length_above_the_room_is_refused_and_not_clamped),
        TEST(share_turns_the_buf_into_a_packet_of_the_same_memory),
        TEST(sharing_an_empty_buf_lets_its_memory_go),
        TEST(what_was_published_is_out_of_the_writers_reach),
        TEST(a_writer_that_goes_leaves_what_it_published),
        TEST(release_takes_nothing_and_many),
        TEST(alloc_rounds_up_and_gives_back_what_it_took),
        TEST(alloc_refuses_what_cannot_be),
        TEST(wrap_refuses_what_cannot_be_and_does_not_release),
        TEST(wrapped_memory_may_hold_bytes_already_or_be_nothing),
        TEST(storage_may_be_freed_by_the_release_it_leads_to),
        TEST(a_buffer_comes_back_to_its_tier_whole_whatever_was_cut_off_it),
        TEST(write_share_slice_and_drop_allocate_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
