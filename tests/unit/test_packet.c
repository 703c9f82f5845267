// SPDX-License-Identifier: MIT
//
// Shared packets: who holds what, what is copied and when, and when memory is let go.

#include "testing.h"

#include "support/alloc_count.h"
#include "support/failing_source.h"
#include "support/pools.h"

#include "base/block.h"

// Foreign memory that knows how often it was released.
struct foreign {
    uint8_t bytes[256];
    struct zcb_buf_storage storage;
    int released;
};

static void
foreign_released(void *ctx, void *data, size_t len)
{
    struct foreign *foreign = ctx;

    assert_ptr_equal(data, foreign->bytes);
    assert_int_equal(len, sizeof(foreign->bytes));
    foreign->released++;
}

static struct zcb_packet
wrap(struct foreign *foreign)
{
    struct zcb_packet packet = {0};

    foreign->released = 0;
    for (size_t i = 0; i < sizeof(foreign->bytes); i++)
        foreign->bytes[i] = (uint8_t)(i ^ 0x5a);
    assert_int_equal(
        zcb_packet_wrap(foreign->bytes, sizeof(foreign->bytes), foreign_released, foreign, &packet),
        0);
    return packet;
}

static struct zcb_packet
wrap_in(struct foreign *foreign)
{
    foreign->released = 0;
    return zcb_packet_wrap_in(&foreign->storage, foreign->bytes, sizeof(foreign->bytes),
                              foreign_released, foreign);
}

static uint32_t
count_of(const struct zcb_packet *packet)
{
    return packet->owner->count;
}

// A packet of `len` bytes, each its offset's low byte, in a buffer of the pool.
static struct zcb_packet
numbered(struct zcb_pool *pool, size_t len)
{
    struct zcb_buf *buf = must_acquire(pool, len);
    struct zcb_packet packet = {0};

    assert_int_equal(zcb_buf_set_len(buf, len), 0);
    for (size_t i = 0; i < len; i++)
        zcb_buf_data(buf)[i] = (uint8_t)i;
    zcb_buf_share(&buf, &packet);
    return packet;
}

static void
must_be_empty(const struct zcb_packet *packet)
{
    assert_int_equal(packet->len, 0);
    assert_null(packet->owner);
}

// ---- references ---------------------------------------------------------------------------------

static void
a_static_packet_costs_nothing_and_is_never_freed(void **state)
{
    struct zcb_packet packet = zcb_packet_static("literal", 7), other = {0}, front = {0};

    (void)state;
    assert_int_equal(packet.len, 7);
    assert_null(packet.owner);
    other = zcb_packet_ref(&packet);
    assert_ptr_equal(other.data, packet.data);
    zcb_packet_ref_n(&packet, UINT32_MAX);
    assert_false(zcb_packet_is_unique(&packet));
    assert_int_equal(zcb_packet_pinned(&packet), 0);
    assert_int_equal(zcb_packet_slice(&packet, 3, 4, &other), 0);
    assert_memory_equal(other.data, "eral", 4);
    assert_null(other.owner);
    assert_int_equal(zcb_packet_split(&packet, 3, &front), 0);
    assert_memory_equal(front.data, "lit", 3);
    assert_memory_equal(packet.data, "eral", 4);
    assert_null(packet.owner);
    zcb_packet_unref(&packet);
    must_be_empty(&packet);
    assert_null(packet.data);
    zcb_packet_unref(&packet); // an empty one is fine
    zcb_packet_unref(NULL);
}

static void
each_reference_is_dropped_once_and_the_last_one_releases(void **state)
{
    struct foreign foreign;

    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct zcb_packet packet = kind == 0 ? wrap(&foreign) : wrap_in(&foreign), refs[5],
                          many[16];

        assert_true(zcb_packet_is_unique(&packet));
        for (int i = 0; i < 5; i++) {
            refs[i] = zcb_packet_ref(&packet);
            assert_ptr_equal(refs[i].data, packet.data);
            assert_int_equal(refs[i].len, packet.len);
            assert_int_equal(count_of(&packet), i + 2);
        }
        zcb_packet_ref_n(&packet, 16);
        assert_int_equal(count_of(&packet), 22);
        for (int i = 0; i < 16; i++)
            many[i] = packet;
        zcb_packet_ref_n(&packet, 0);
        assert_int_equal(count_of(&packet), 22);
        assert_false(zcb_packet_is_unique(&packet));
        zcb_packet_unref(&packet);
        for (int i = 0; i < 16; i++)
            zcb_packet_unref(&many[i]);
        for (int i = 0; i < 4; i++)
            zcb_packet_unref(&refs[i]);
        assert_true(zcb_packet_is_unique(&refs[4]));
        assert_int_equal(foreign.released, 0);
        zcb_packet_unref(&refs[4]);
        must_be_empty(&refs[4]);
        assert_int_equal(foreign.released, 1);
    }
}

static void
wrap_refuses_what_cannot_be_and_does_not_release(void **state)
{
    struct foreign foreign = {.released = 0};
    struct zcb_packet packet = {(const uint8_t *)"x", 1, NULL};

    (void)state;
    assert_int_equal(zcb_packet_wrap(NULL, 1, foreign_released, &foreign, &packet), -EINVAL);
    assert_int_equal(zcb_packet_wrap(foreign.bytes, 1, foreign_released, &foreign, NULL), -EINVAL);
    assert_int_equal(packet.len, 1);
    packet = zcb_packet_wrap_in(NULL, foreign.bytes, 1, foreign_released, &foreign);
    must_be_empty(&packet);
    packet = zcb_packet_wrap_in(&foreign.storage, NULL, 1, foreign_released, &foreign);
    must_be_empty(&packet);
    assert_int_equal(foreign.released, 0);
    // Nothing, wrapped, is released like anything else.
    assert_int_equal(zcb_packet_wrap(NULL, 0, NULL, NULL, &packet), 0);
    zcb_packet_unref(&packet);
}

// ---- views --------------------------------------------------------------------------------------

static void
a_slice_is_a_view_with_a_reference_of_its_own(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_packet packet = numbered(pool, 1000), slices[7], inner = {0};
    static const struct {
        size_t off, len;
    } bad[] = {{1001, 0},     {1000, 1},     {0, 1001},           {999, 2},
               {1, SIZE_MAX}, {SIZE_MAX, 1}, {SIZE_MAX, SIZE_MAX}};
    uint64_t before = zcb_alloc_count();

    (void)state;
    // Two to six views of one packet, as many as a scanner makes of a frame.
    for (size_t n = 2; n <= 6; n++) {
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(zcb_packet_slice(&packet, i * (1000 / n), 1000 / n, &slices[i]), 0);
            assert_ptr_equal(slices[i].data, packet.data + i * (1000 / n));
            assert_int_equal(slices[i].len, 1000 / n);
            assert_ptr_equal(slices[i].owner, packet.owner);
        }
        assert_int_equal(count_of(&packet), n + 1);
        for (size_t i = 0; i < n; i++)
            zcb_packet_unref(&slices[i]);
        assert_true(zcb_packet_is_unique(&packet));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        inner = zcb_packet_static("x", 1);
        assert_int_equal(zcb_packet_slice(&packet, bad[i].off, bad[i].len, &inner), -ERANGE);
        assert_int_equal(inner.len, 1);
    }
    assert_int_equal(zcb_packet_slice(&packet, 1000, 0, &inner), 0);
    must_be_empty(&inner);
    assert_int_equal(zcb_packet_slice(&packet, 0, 0, &inner), 0);
    must_be_empty(&inner);
    assert_int_equal(count_of(&packet), 1);

    // A slice of a slice outlives both.
    assert_int_equal(zcb_packet_slice(&packet, 100, 800, &slices[0]), 0);
    assert_int_equal(zcb_packet_slice(&slices[0], 100, 10, &inner), 0);
    assert_int_equal(zcb_packet_slice(&slices[0], 795, 6, &slices[1]),
                     -ERANGE); // not beyond its own view
    zcb_packet_unref(&packet);
    zcb_packet_unref(&slices[0]);
    assert_true(zcb_packet_is_unique(&inner));
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(inner.data[i], (uint8_t)(200 + i));
    assert_int_equal(zcb_packet_pinned(&inner), 4096);
    zcb_packet_unref(&inner);
    assert_int_equal(zcb_alloc_count(), before);
    must_end(&pool);
}

static void
a_split_cuts_in_two_and_an_empty_side_holds_nothing(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_packet packet = numbered(pool, 1000), front = {0};

    (void)state;
    front = zcb_packet_static("x", 1);
    assert_int_equal(zcb_packet_split(&packet, 1001, &front), -ERANGE);
    assert_int_equal(zcb_packet_split(&packet, SIZE_MAX, &front), -ERANGE);
    assert_int_equal(front.len, 1);
    assert_int_equal(packet.len, 1000);
    assert_int_equal(count_of(&packet), 1);

    assert_int_equal(zcb_packet_split(&packet, 0, &front), 0);
    must_be_empty(&front);
    assert_int_equal(packet.len, 1000);
    assert_int_equal(count_of(&packet), 1);

    assert_int_equal(zcb_packet_split(&packet, 300, &front), 0);
    assert_int_equal(front.len, 300);
    assert_int_equal(packet.len, 700);
    assert_ptr_equal(front.data + 300, packet.data);
    assert_int_equal(front.data[299], (uint8_t)299);
    assert_int_equal(packet.data[0], (uint8_t)300);
    assert_int_equal(count_of(&packet), 2);
    zcb_packet_unref(&front);
    assert_true(zcb_packet_is_unique(&packet));

    // All of it: the reference moves.
    assert_int_equal(zcb_packet_split(&packet, 700, &front), 0);
    must_be_empty(&packet);
    assert_int_equal(front.len, 700);
    assert_true(zcb_packet_is_unique(&front));
    zcb_packet_unref(&front);
    must_end(&pool);
}

static void
a_view_of_nothing_that_has_a_block_lets_go_of_it_when_it_is_split(void **state)
{
    struct foreign foreign;
    struct zcb_packet packet = wrap(&foreign), front = {0};

    (void)state;
    packet.len = 0; // as a packet of no bytes at all, wrapped
    assert_int_equal(zcb_packet_split(&packet, 1, &front), -ERANGE);
    assert_int_equal(foreign.released, 0);
    assert_int_equal(zcb_packet_split(&packet, 0, &front), 0);
    must_be_empty(&packet);
    must_be_empty(&front);
    assert_int_equal(foreign.released, 1);
}

// ---- the release of foreign memory --------------------------------------------------------------

struct family {
    struct zcb_packet siblings[3];
    struct zcb_buf *buf;
    int released;
    int order[4];
};

static void
drop_siblings(void *ctx, void *data, size_t len)
{
    struct family *family = ctx;

    (void)data;
    (void)len;
    family->order[family->released++] = 0;
    for (int i = 0; i < 3; i++)
        zcb_packet_unref(&family->siblings[i]);
    zcb_buf_release(&family->buf);
}

static void
note_release(void *ctx, void *data, size_t len)
{
    struct family *family = ctx;

    (void)len;
    family->order[family->released++] = *(const uint8_t *)data;
}

static void
a_release_may_let_go_of_other_packets_and_bufs(void **state)
{
    static const uint8_t bytes[4] = {0, 1, 2, 3};
    struct zcb_pool *pool = must_create(NULL);
    struct family family = {.buf = must_acquire(pool, 100)};
    struct zcb_packet head = {0}, pooled = numbered(pool, 50);

    (void)state;
    assert_int_equal(zcb_packet_wrap(&bytes[0], 1, drop_siblings, &family, &head), 0);
    assert_int_equal(zcb_packet_wrap(&bytes[1], 1, note_release, &family, &family.siblings[0]), 0);
    assert_int_equal(zcb_packet_wrap(&bytes[2], 1, note_release, &family, &family.siblings[1]), 0);
    family.siblings[2] = pooled;
    zcb_packet_unref(&head);
    assert_int_equal(family.released, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(family.order[i], i);
        must_be_empty(&family.siblings[i]);
    }
    assert_null(family.buf);
    must_end(&pool);
}

// Memory that goes with its release, header and bytes and all; AddressSanitizer sees whoever looks
// at it afterwards.
static void
free_it(void *ctx, void *data, size_t len)
{
    assert_ptr_equal(data, ((struct foreign *)ctx)->bytes);
    assert_int_equal(len, 256);
    memset(ctx, 0xdd, sizeof(struct foreign));
    free(ctx);
}

static void
foreign_memory_may_be_freed_by_its_release(void **state)
{
    (void)state;
    for (int by = 0; by < 6; by++) {
        struct zcb_pool *pool = must_create(NULL);
        struct foreign *foreign = calloc(1, sizeof(*foreign));
        struct zcb_packet packet, other = {0}, front = {0};
        struct zcb_chain chain;
        struct zcb_buf *buf = NULL;

        assert_non_null(foreign);
        packet = zcb_packet_wrap_in(&foreign->storage, foreign->bytes, sizeof(foreign->bytes),
                                    free_it, foreign);
        switch (by) {
        case 0:
            zcb_packet_unref(&packet);
            break;
        case 1: // by a slice that lives longest
            assert_int_equal(zcb_packet_slice(&packet, 10, 20, &other), 0);
            zcb_packet_unref(&packet);
            zcb_packet_unref(&other);
            break;
        case 2:
            assert_int_equal(zcb_packet_split(&packet, 256, &front), 0);
            zcb_packet_unref(&front);
            break;
        case 3:
            assert_int_equal(zcb_packet_make_writable(&packet, pool, &buf), 1);
            zcb_buf_release(&buf);
            break;
        case 4:
            assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
            assert_int_equal(zcb_chain_push(&chain, &packet), 0);
            assert_int_equal(zcb_chain_discard(&chain, 256), 0);
            zcb_chain_finish(&chain);
            break;
        default:
            assert_int_equal(zcb_packet_split(&packet, 100, &front), 0);
            zcb_packet_unref(&packet);
            zcb_packet_unref(&front);
            break;
        }
        must_be_empty(&packet);
        must_end(&pool);
    }
}

static void
a_long_line_of_references_goes_in_any_order(void **state)
{
    enum { N = 100000 };
    struct zcb_packet *packets = calloc(N, sizeof(*packets));
    struct foreign foreign;
    uint64_t random = 7;

    (void)state;
    assert_non_null(packets);
    packets[0] = wrap(&foreign);
    for (size_t i = 1; i < N; i++)
        packets[i] = zcb_packet_ref(&packets[zcb_test_below(&random, i)]);
    assert_int_equal(count_of(&packets[0]), N);
    for (size_t i = N; i > 1; i--) {
        size_t victim = zcb_test_below(&random, i);
        struct zcb_packet packet = packets[victim];

        packets[victim] = packets[i - 1];
        zcb_packet_unref(&packet);
    }
    assert_int_equal(foreign.released, 0);
    zcb_packet_unref(&packets[0]);
    assert_int_equal(foreign.released, 1);
    free(packets);
}

// ---- counts at the top --------------------------------------------------------------------------

// How a count that is nearly at its maximum is passed: each must pin the block.
enum { BY_REF, BY_SLICE, BY_REF_N, BY_HUGE_REF_N, BY_SPLIT, WAYS };

static void
a_count_past_its_maximum_pins_the_memory_for_ever(void **state)
{
    static struct foreign foreign; // never released: so it may not be on the stack, nor on the heap

    (void)state;
    for (int way = 0; way < WAYS; way++) {
        struct zcb_packet packet = wrap_in(&foreign), other = {0};

        packet.owner->count = ZCB_COUNT_MAX - 1;
        other = zcb_packet_ref(&packet); // the last that fits
        assert_int_equal(count_of(&packet), ZCB_COUNT_MAX);
        zcb_packet_unref(&other);
        assert_int_equal(count_of(&packet), ZCB_COUNT_MAX - 1);
        other = zcb_packet_ref(&packet);

        switch (way) {
        case BY_REF:
            other = zcb_packet_ref(&packet);
            break;
        case BY_SLICE:
            assert_int_equal(zcb_packet_slice(&packet, 1, 1, &other), 0);
            break;
        case BY_REF_N:
            zcb_packet_ref_n(&packet, 1);
            break;
        case BY_HUGE_REF_N:
            zcb_packet_ref_n(&packet, UINT32_MAX);
            break;
        default:
            assert_int_equal(zcb_packet_split(&packet, 100, &other), 0);
            break;
        }
        assert_in_range(count_of(&packet), 0xa0000000u, 0xe0000000u); // far from either end
        // Neither more references nor any number of drops lead out of it.
        for (int i = 0; i < 100000; i++) {
            struct zcb_packet more = zcb_packet_ref(&packet);
            struct zcb_packet twice = more;

            assert_true(count_of(&packet) > ZCB_COUNT_MAX);
            assert_false(zcb_packet_is_unique(&packet));
            zcb_packet_unref(&more);
            zcb_packet_unref(&twice);
        }
        zcb_packet_ref_n(&packet, 1u << 30);
        assert_true(count_of(&packet) > ZCB_COUNT_MAX);
        // Nor from the ends of that range, where it has been driven somehow; and from there it is
        // put back to the middle, out of the reach of what threads can do at a time.
        for (int end = 0; end < 2; end++) {
            packet.owner->count = end == 0 ? ZCB_COUNT_MAX + 1 : UINT32_MAX;
            other = packet;
            if (end == 0)
                zcb_packet_unref(&other);
            else
                other = zcb_packet_ref(&packet);
            assert_in_range(count_of(&packet), 0xa0000000u, 0xe0000000u);
        }
        zcb_packet_unref(&packet);
        assert_int_equal(foreign.released, 0);
    }
}

static void
many_references_at_once_count_exactly_up_to_the_maximum(void **state)
{
    static struct foreign foreign;
    struct zcb_packet packet = wrap_in(&foreign), other;

    (void)state;
    zcb_packet_ref_n(&packet, 1000000);
    assert_int_equal(count_of(&packet), 1000001);
    packet.owner->count = ZCB_COUNT_MAX - 1000;
    zcb_packet_ref_n(&packet, 1000);
    assert_int_equal(count_of(&packet), ZCB_COUNT_MAX);
    packet.owner->count = 2;
    other = packet;
    zcb_packet_unref(&other);
    zcb_packet_unref(&packet);
    assert_int_equal(foreign.released, 1);
}

static void
many_references_are_dropped_at_once(void **state)
{
    static struct foreign foreign;
    struct zcb_packet packet = wrap_in(&foreign), first, empty = {0};

    (void)state;
    zcb_packet_ref_n(&packet, 9);
    first = packet;
    zcb_packet_unref_n(&first, 0);
    assert_ptr_equal(first.owner, packet.owner);
    assert_int_equal(count_of(&packet), 10);
    zcb_packet_unref_n(&first, 4);
    must_be_empty(&first);
    assert_int_equal(count_of(&packet), 6);
    first = packet;
    zcb_packet_unref_n(&first, 5);
    assert_true(zcb_packet_is_unique(&packet));
    assert_int_equal(foreign.released, 0);
    zcb_packet_ref_n(&packet, 2);
    zcb_packet_unref_n(&packet, 3); // the last ones
    must_be_empty(&packet);
    assert_int_equal(foreign.released, 1);
    zcb_packet_unref_n(&empty, 7);
    zcb_packet_unref_n(NULL, 1);

    // A block that is pinned stays it, whatever is dropped.
    packet = wrap_in(&foreign);
    zcb_packet_ref_n(&packet, UINT32_MAX);
    first = packet;
    zcb_packet_unref_n(&first, 1u << 30);
    assert_true(count_of(&packet) > ZCB_COUNT_MAX);
    // And one that is dropped more often than it was referenced becomes it.
    packet.owner->count = 3;
    first = packet;
    zcb_packet_unref_n(&first, 4);
    assert_true(count_of(&packet) > ZCB_COUNT_MAX);
    assert_int_equal(foreign.released, 0);
}

static void
publishing_at_the_top_pins_too(void **state)
{
    static uint8_t bytes[64];
    static struct zcb_buf_storage storage;
    struct zcb_buf *buf = zcb_buf_wrap_in(&storage, bytes, 64, 64, NULL, NULL);
    struct zcb_packet packet = {0};

    (void)state;
    assert_non_null(buf);
    buf->block.count = ZCB_COUNT_MAX;
    assert_int_equal(zcb_buf_publish(buf, 10, &packet), 0);
    assert_true(count_of(&packet) > ZCB_COUNT_MAX);
    zcb_packet_unref(&packet);
    assert_true(buf->block.count > ZCB_COUNT_MAX);
}

// ---- copying ------------------------------------------------------------------------------------

static void
copy_puts_the_bytes_into_the_pool_and_counts_them(void **state)
{
    static const size_t lengths[] = {1, 4096, 4097, 12000, 65536, 100000};
    struct zcb_pool *pool = must_create(NULL);
    uint8_t *bytes = malloc(100000);
    struct zcb_packet packet = {(const uint8_t *)"x", 1, NULL};

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < 100000; i++)
        bytes[i] = (uint8_t)(i * 13 + (i >> 8));
    assert_int_equal(zcb_packet_copy(NULL, bytes, 10, &packet), -EINVAL);
    assert_int_equal(zcb_packet_copy(pool, NULL, 10, &packet), -EINVAL);
    assert_int_equal(zcb_packet_copy(pool, bytes, 10, NULL), -EINVAL);
    assert_int_equal(packet.len, 1);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct zcb_copies before, after;

        zcb_copies_thread(&before);
        assert_int_equal(zcb_packet_copy(pool, bytes, lengths[i], &packet), 0);
        zcb_copies_thread(&after);
        assert_int_equal(packet.len, lengths[i]);
        assert_memory_equal(packet.data, bytes, lengths[i]);
        assert_true(zcb_packet_pinned(&packet) >= lengths[i]);
        before.bytes[ZCB_COPY_APPEND] += lengths[i];
        before.calls[ZCB_COPY_APPEND]++;
        assert_memory_equal(&before, &after, sizeof(before));
        zcb_packet_unref(&packet);
    }
    assert_int_equal(zcb_packet_copy(pool, NULL, 0, &packet), 0);
    must_be_empty(&packet);
    free(bytes);
    must_end(&pool);
}

static void
the_only_owner_writes_in_place(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_packet packet = numbered(pool, 1000), slice = {0};
    const uint8_t *data = packet.data;
    struct zcb_copies before, after;
    struct zcb_buf *buf = NULL;

    (void)state;
    // Of a slice that is alone: what lies around it is room again.
    assert_int_equal(zcb_packet_slice(&packet, 100, 200, &slice), 0);
    zcb_packet_unref(&packet);
    zcb_copies_thread(&before);
    assert_int_equal(zcb_packet_make_writable(&slice, NULL, &buf), 0);
    zcb_copies_thread(&after);
    assert_memory_equal(&before, &after, sizeof(before));
    must_be_empty(&slice);
    assert_ptr_equal(zcb_buf_data(buf), data + 100);
    assert_int_equal(zcb_buf_len(buf), 200);
    assert_int_equal(zcb_buf_headroom(buf), 100);
    assert_int_equal(zcb_buf_tailroom(buf), 4096 - 300);
    memset(zcb_buf_data(buf), 1, 200);
    zcb_buf_share(&buf, &packet);
    assert_ptr_equal(packet.data, data + 100);
    zcb_packet_unref(&packet);
    must_end(&pool);
}

static void
a_block_that_published_is_whole_again_for_its_only_owner(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_buf *buf = must_acquire(pool, 4096);
    struct zcb_packet front = {0}, back = {0};

    (void)state;
    assert_int_equal(zcb_buf_set_len(buf, 300), 0);
    assert_int_equal(zcb_buf_publish(buf, 200, &front), 0);
    zcb_buf_share(&buf, &back);
    zcb_packet_unref(&front);
    assert_int_equal(zcb_packet_make_writable(&back, NULL, &buf), 0);
    assert_int_equal(zcb_buf_headroom(buf), 200);
    assert_int_equal(zcb_buf_len(buf), 100);
    assert_int_equal(zcb_buf_capacity(buf), 4096);
    zcb_buf_release(&buf);
    must_end(&pool);
}

static void
memory_that_others_see_or_nobody_may_write_is_copied(void **state)
{
    enum { SHARED, PUBLISHED, CONST_WRAPPED, CONST_WRAPPED_IN, STATIC, EMPTY, KINDS };
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct zcb_packet packet = {0}, other = {0};
        struct foreign foreign = {.released = 0};
        struct zcb_buf *writer = NULL, *buf = NULL;
        struct zcb_copies before, after;
        const uint8_t *data;
        uint8_t bytes[256];
        size_t len;

        switch (kind) {
        case SHARED:
            packet = numbered(pool, 1000);
            other = zcb_packet_ref(&packet);
            break;
        case PUBLISHED:
            writer = must_acquire(pool, 4096);
            assert_int_equal(zcb_buf_set_len(writer, 100), 0);
            memset(zcb_buf_data(writer), 7, 100);
            assert_int_equal(zcb_buf_publish(writer, 50, &packet), 0);
            break;
        case CONST_WRAPPED:
            packet = wrap(&foreign);
            break;
        case CONST_WRAPPED_IN:
            packet = wrap_in(&foreign);
            break;
        case STATIC:
            packet = zcb_packet_static("never to be written", 19);
            break;
        default:
            break;
        }
        data = packet.data;
        len = packet.len;
        if (len != 0)
            memcpy(bytes, data, len < 256 ? len : 256);

        assert_int_equal(zcb_packet_make_writable(&packet, NULL, &buf), -EINVAL);
        assert_int_equal(zcb_packet_make_writable(&packet, pool, NULL), -EINVAL);
        assert_ptr_equal(packet.data, data);
        assert_int_equal(packet.len, len);
        assert_int_equal(foreign.released, 0);

        zcb_copies_thread(&before);
        assert_int_equal(zcb_packet_make_writable(&packet, pool, &buf), 1);
        zcb_copies_thread(&after);
        must_be_empty(&packet);
        assert_true(zcb_buf_data(buf) != data);
        assert_int_equal(zcb_buf_len(buf), len);
        before.bytes[ZCB_COPY_UNSHARE] += len;
        before.calls[ZCB_COPY_UNSHARE] += len != 0;
        assert_memory_equal(&before, &after, sizeof(before));
        if (len != 0) {
            assert_memory_equal(zcb_buf_data(buf), bytes, len < 256 ? len : 256);
            memset(zcb_buf_data(buf), 0xee, len);
        }
        // What the others see is what it was.
        if (kind == SHARED)
            assert_memory_equal(other.data, bytes, 256);
        if (kind == PUBLISHED)
            assert_memory_equal(data, bytes, len);
        assert_int_equal(foreign.released,
                         kind == CONST_WRAPPED || kind == CONST_WRAPPED_IN ? 1 : 0);
        zcb_buf_release(&buf);
        zcb_buf_release(&writer);
        zcb_packet_unref(&other);
    }
    must_end(&pool);
}

static void
compact_frees_a_large_block_for_a_small_copy(void **state)
{
    static const struct {
        size_t block, len, pinned;
    } cases[] = {
        {65536, 1, 4096},         {65536, 4096, 4096},   {65536, 4097, 16384},
        {65536, 16384, 16384},    {65536, 16385, 65536}, {16384, 4096, 4096},
        {16384, 4097, 16384},     {4096, 1, 4096},       {1u << 20, 100, 4096},
        {1u << 20, 65536, 65536},
    };
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zcb_packet whole = numbered(pool, cases[i].block), packet = {0};
        const uint8_t *data;
        struct zcb_copies before, after;
        size_t off = cases[i].block - cases[i].len;
        bool moves = cases[i].pinned != cases[i].block;

        assert_int_equal(zcb_packet_slice(&whole, off, cases[i].len, &packet), 0);
        data = packet.data;
        zcb_copies_thread(&before);
        assert_int_equal(zcb_packet_compact(&packet, pool), moves);
        zcb_copies_thread(&after);
        assert_true((packet.data != data) == moves);
        assert_true(zcb_packet_is_unique(&whole) == moves);
        assert_int_equal(packet.len, cases[i].len);
        for (size_t b = 0; b < packet.len; b++)
            assert_int_equal(packet.data[b], (uint8_t)(off + b));
        if (moves) {
            assert_int_equal(zcb_packet_pinned(&packet), cases[i].pinned);
            before.bytes[ZCB_COPY_COMPACT] += cases[i].len;
            before.calls[ZCB_COPY_COMPACT]++;
        }
        assert_memory_equal(&before, &after, sizeof(before));
        zcb_packet_unref(&packet);
        zcb_packet_unref(&whole);
    }
    must_end(&pool);
}

static void
compact_leaves_what_is_small_or_static(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_packet packet = zcb_packet_static("text", 4);
    struct foreign foreign;

    (void)state;
    assert_int_equal(zcb_packet_compact(&packet, pool), 0);
    assert_int_equal(packet.len, 4);
    packet = wrap(&foreign); // 256 bytes: no tier is smaller
    assert_int_equal(zcb_packet_compact(&packet, pool), 0);
    assert_ptr_equal(packet.data, foreign.bytes);
    assert_int_equal(foreign.released, 0);
    zcb_packet_unref(&packet);
    must_end(&pool);
}

static void
a_copy_that_fails_leaves_the_packet_as_it_was(void **state)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 1},
                  {.buffer_size = 65536, .max_buffers = 1}},
        .policy = ZCB_POOL_FAIL,
        .flags = ZCB_POOL_NO_CACHE,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_packet large = numbered(pool, 65536), packet = {0}, copy = {0};
    struct zcb_buf *small = must_acquire(pool, 4096), *buf = NULL;
    struct zcb_copies before, after;
    struct zcb_packet same;

    (void)state;
    assert_int_equal(zcb_packet_slice(&large, 5, 100, &packet), 0);
    same = packet;
    zcb_copies_thread(&before);
    assert_int_equal(zcb_packet_make_writable(&packet, pool, &buf), -ENOBUFS);
    assert_int_equal(zcb_packet_compact(&packet, pool), -ENOBUFS);
    assert_int_equal(zcb_packet_copy(pool, packet.data, 100, &copy), -ENOBUFS);
    zcb_copies_thread(&after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_memory_equal(&same, &packet, sizeof(packet));
    assert_int_equal(count_of(&packet), 2);
    assert_null(buf);
    must_be_empty(&copy);

    // With room it is done by the same call.
    zcb_buf_release(&small);
    assert_int_equal(zcb_packet_compact(&packet, pool), 1);
    assert_int_equal(packet.data[0], 5);
    assert_true(zcb_packet_is_unique(&large));
    zcb_packet_unref(&packet);
    zcb_packet_unref(&large);
    must_end(&pool);
}

// ---- where it lies ------------------------------------------------------------------------------

static void
region_finds_the_slab_and_what_attach_said(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {.source = &failing.source};
    struct zcb_pool *pool;
    struct zcb_packet packet = {0}, slice = {0};
    struct zcb_buf *buf = NULL;
    struct foreign foreign;
    void *base = NULL, *tag = NULL;
    size_t len = 0;

    (void)state;
    zcb_failing_source_init(&failing);
    pool = must_create(&config);
    packet = numbered(pool, 1000);
    assert_int_equal(zcb_packet_region(&packet, &base, &len, &tag), 0);
    assert_true(packet.data >= (uint8_t *)base && packet.data + 1000 <= (uint8_t *)base + len);
    assert_ptr_equal(tag, (uint8_t *)base + 1); // what failing_source's attach says
    assert_int_equal(zcb_packet_slice(&packet, 999, 1, &slice), 0);
    base = tag = NULL;
    assert_int_equal(zcb_packet_region(&slice, NULL, NULL, &tag), 0);
    assert_int_equal(zcb_packet_region(&slice, &base, NULL, NULL), 0);
    assert_ptr_equal(tag, (uint8_t *)base + 1);
    assert_int_equal(zcb_packet_region(&slice, NULL, NULL, NULL), 0);
    zcb_packet_unref(&slice);
    zcb_packet_unref(&packet);

    // What is not part of a slab: static, wrapped, from the heap, above all tiers.
    packet = zcb_packet_static("x", 1);
    assert_int_equal(zcb_packet_region(&packet, &base, &len, &tag), -ENOTSUP);
    packet = wrap(&foreign);
    assert_int_equal(zcb_packet_region(&packet, &base, &len, &tag), -ENOTSUP);
    zcb_packet_unref(&packet);
    packet = wrap_in(&foreign);
    assert_int_equal(zcb_packet_region(&packet, &base, &len, &tag), -ENOTSUP);
    zcb_packet_unref(&packet);
    assert_int_equal(zcb_buf_alloc(&failing.source, 100, &buf), 0);
    assert_int_equal(zcb_buf_set_len(buf, 1), 0);
    zcb_buf_share(&buf, &packet);
    assert_int_equal(zcb_packet_region(&packet, &base, &len, &tag), -ENOTSUP);
    zcb_packet_unref(&packet);
    packet = numbered(pool, 100000);
    assert_int_equal(zcb_packet_region(&packet, &base, &len, &tag), -ENOTSUP);
    zcb_packet_unref(&packet);
    must_end(&pool);
    assert_int_equal(failing.live, 0);
    assert_int_equal(failing.attached, 0);
    assert_int_equal(failing.closed, 1);
}

static void
pinned_is_the_size_of_the_whole_block(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_packet packet = numbered(pool, 12000), slice = {0};

    (void)state;
    assert_int_equal(zcb_packet_pinned(&packet), 16384); // the middle tier
    assert_int_equal(zcb_packet_slice(&packet, 0, 1, &slice), 0);
    assert_int_equal(zcb_packet_pinned(&slice), 16384);
    zcb_packet_unref(&slice);
    zcb_packet_unref(&packet);
    packet = numbered(pool, 100000);
    assert_true(zcb_packet_pinned(&packet) >= 100000);
    zcb_packet_unref(&packet);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_static_packet_costs_nothing_and_is_never_freed),
        cmocka_unit_test(each_reference_is_dropped_once_and_the_last_one_releases),
        cmocka_unit_test(wrap_refuses_what_cannot_be_and_does_not_release),
        cmocka_unit_test(a_slice_is_a_view_with_a_reference_of_its_own),
        cmocka_unit_test(a_split_cuts_in_two_and_an_empty_side_holds_nothing),
        cmocka_unit_test(a_view_of_nothing_that_has_a_block_lets_go_of_it_when_it_is_split),
        cmocka_unit_test(a_release_may_let_go_of_other_packets_and_bufs),
        cmocka_unit_test(foreign_memory_may_be_freed_by_its_release),
        cmocka_unit_test(a_long_line_of_references_goes_in_any_order),
        cmocka_unit_test(a_count_past_its_maximum_pins_the_memory_for_ever),
        cmocka_unit_test(many_references_at_once_count_exactly_up_to_the_maximum),
        cmocka_unit_test(many_references_are_dropped_at_once),
        cmocka_unit_test(publishing_at_the_top_pins_too),
        cmocka_unit_test(copy_puts_the_bytes_into_the_pool_and_counts_them),
        cmocka_unit_test(the_only_owner_writes_in_place),
        cmocka_unit_test(a_block_that_published_is_whole_again_for_its_only_owner),
        cmocka_unit_test(memory_that_others_see_or_nobody_may_write_is_copied),
        cmocka_unit_test(compact_frees_a_large_block_for_a_small_copy),
        cmocka_unit_test(compact_leaves_what_is_small_or_static),
        cmocka_unit_test(a_copy_that_fails_leaves_the_packet_as_it_was),
        cmocka_unit_test(region_finds_the_slab_and_what_attach_said),
        cmocka_unit_test(pinned_is_the_size_of_the_whole_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
