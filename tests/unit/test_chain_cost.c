// SPDX-License-Identifier: MIT
//
// What a chain costs: nothing is allocated in steady state, no entry is moved when chunks go, one
// reference count is touched where one has to be. Counted, never timed.

#include "support/chain_tools.h"

#include "support/alloc_count.h"
#include "support/pools.h"

static struct zcb_pool *pool;

static uint8_t bytes[65536];

#define skip_without_counts()                                                                      \
    do {                                                                                           \
        if (!zcb_alloc_count_works())                                                              \
            skip();                                                                                \
    } while (0)

// Everything a connection does, once.
static void
do_it_all(struct zcb_chain *chain, struct zcb_chain *other, struct zcb_packet *kept)
{
    struct zcb_packet packet, part;
    struct zcb_cursor cursor;
    uint8_t scratch[2000];
    struct iovec iov[8];
    uint32_t u32;
    size_t at;
    int n;

    for (int i = 0; i < 20; i++) { // more than the chunks in the struct
        packet = must_packet(pool, 1448);
        assert_int_equal(zcb_packet_slice(&packet, 0, 700, &part), 0);
        assert_int_equal(zcb_chain_push(chain, &part), 0);
        assert_int_equal(zcb_packet_slice(&packet, 700, 748, &part), 0);
        assert_int_equal(zcb_chain_push(chain, &part), 0);
        *kept = packet;
        zcb_packet_unref(kept);
    }
    for (int i = 0; i < 20; i++) {
        n = zcb_chain_reserve(chain, 1, iov, 2);
        assert_true(n > 0);
        assert_int_equal(zcb_chain_commit(chain, 1000), 0);
        assert_int_equal(zcb_chain_append(chain, bytes, 100), 0);
    }
    assert_int_equal(zcb_chain_peek_u32be(chain, 1446, &u32), 0);
    assert_non_null(zcb_chain_peek(chain, 1000, 2000, scratch));
    assert_int_equal(zcb_chain_copy_to(chain, 3000, scratch, 2000), 0);
    assert_int_equal(zcb_chain_find(chain, 0, "not there", 9, &at), -EAGAIN);
    assert_int_equal(zcb_cursor_init(&cursor, chain, 10), 0);
    assert_int_equal(zcb_cursor_read(&cursor, scratch, 2000), 0);
    assert_true(zcb_chain_iov(chain, 0, iov, 8, NULL) == 8);
    assert_int_equal(zcb_chain_discard(chain, 100), 0);
    assert_int_equal(zcb_chain_take(chain, 48, &packet), 0);
    assert_int_equal(zcb_chain_push_front(chain, &packet), 0);
    assert_int_equal(zcb_chain_take(chain, 4000, &packet), 0); // crosses
    zcb_packet_unref(&packet);
    assert_int_equal(zcb_chain_slice(chain, 10, 10, &packet), 0);
    zcb_packet_unref(&packet);
    assert_int_equal(zcb_chain_gather(chain, 10, 3000, &packet), 1);
    zcb_packet_unref(&packet);
    assert_int_equal(zcb_chain_split(chain, 5000, other), 0);
    assert_int_equal(zcb_chain_consume(chain, scratch, 2000), 0);
    assert_int_equal(zcb_chain_discard(chain, zcb_chain_len(chain)), 0);
    assert_int_equal(zcb_chain_move(chain, other), 0);
    assert_int_equal(zcb_chain_discard(chain, zcb_chain_len(chain)), 0);
}

static void
nothing_is_allocated_in_steady_state(void **state)
{
    struct zcb_chain chain, other;
    struct zcb_packet kept;
    uint64_t allocated;

    (void)state;
    skip_without_counts();
    assert_int_equal(zcb_thread_warm(pool), 0);
    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    assert_int_equal(zcb_chain_init(&other, pool, NULL), 0);
    for (int i = 0; i < 3; i++)
        do_it_all(&chain, &other, &kept);
    allocated = zcb_alloc_count();
    for (int i = 0; i < 50; i++)
        do_it_all(&chain, &other, &kept);
    assert_int_equal(zcb_alloc_count() - allocated, 0);
    zcb_chain_finish(&chain);
    zcb_chain_finish(&other);
    assert_int_equal(zcb_alloc_count() - allocated, 0);
}

static void
a_chain_of_few_chunks_allocates_nothing_at_all(void **state)
{
    uint64_t allocated;
    struct zcb_packet packets[ZCB_CHAIN_FEW];
    struct zcb_chain chain;

    (void)state;
    skip_without_counts();
    for (size_t i = 0; i < ZCB_CHAIN_FEW; i++)
        packets[i] = zcb_packet_static(bytes + 100 * i, 10);
    allocated = zcb_alloc_count();
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    for (size_t i = 0; i < ZCB_CHAIN_FEW; i++)
        assert_int_equal(zcb_chain_push(&chain, &packets[i]), 0);
    assert_int_equal(zcb_chain_chunks(&chain), ZCB_CHAIN_FEW);
    assert_chain_sound(&chain);
    zcb_chain_finish(&chain);
    assert_int_equal(zcb_alloc_count(), allocated);
}

// Draining by moving what is left to the front would write to the slots behind.
static void
many_small_chunks_drain_without_any_being_moved(void **state)
{
    enum { CHUNKS = 200000, EACH = 64 };
    const struct zcb_entry *slots, *entry;
    struct zcb_chain_config config = {.max_chunks = CHUNKS};
    const struct zcb_chain_state *s;
    struct zcb_chain chain;
    uint64_t allocated;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, NULL, &config), 0);
    s = zcb_chain_view(&chain);
    allocated = zcb_alloc_count();
    for (size_t i = 0; i < CHUNKS; i++) {
        // never side by side
        struct zcb_packet packet =
            zcb_packet_static(bytes + i * (EACH + 1) % (sizeof(bytes) - EACH), EACH);

        assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    }
    assert_int_equal(zcb_chain_chunks(&chain), CHUNKS);
    assert_int_equal(zcb_chain_len(&chain), (size_t)CHUNKS * EACH);
    if (zcb_alloc_count_works())
        assert_int_equal(zcb_alloc_count() - allocated, 16); // 4 entries doubled to 262,144
    slots = s->ring;
    entry = zcb_entry_last(s);
    for (size_t i = 0; i < CHUNKS; i++) {
        uint64_t end = zcb_entry(s, 1)->end;

        assert_int_equal(zcb_chain_discard(&chain, EACH), 0);
        assert_ptr_equal(s->ring, slots);
        if (s->count != 0) {
            assert_ptr_equal(zcb_entry_last(s), entry);
            assert_true(zcb_entry(s, 0)->end == end);
        }
    }
    assert_int_equal(zcb_chain_len(&chain), 0);
    assert_chain_sound(&chain);
    if (zcb_alloc_count_works())
        assert_int_equal(zcb_alloc_count() - allocated, 16);
    zcb_chain_trim(&chain);
    assert_ptr_equal(s->ring, s->few);
    zcb_chain_finish(&chain);
}

static void
a_million_chunks_of_one_byte_are_read_at_every_depth(void **state)
{
    enum { CHUNKS = 1000000 };
    struct zcb_cursor cursor;
    struct zcb_chain chain;
    uint8_t byte;
    size_t at;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i % 251);
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    for (size_t i = 0; i < CHUNKS; i++) {
        struct zcb_packet packet = zcb_packet_static(bytes + i * 2 % 65530, 1);

        assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    }
    assert_int_equal(zcb_chain_chunks(&chain), CHUNKS);
    assert_int_equal(zcb_cursor_init(&cursor, &chain, 0), 0);
    for (size_t i = 0; i < CHUNKS; i++) {
        assert_int_equal(zcb_chain_peek_u8(&chain, i, &byte), 0);
        assert_int_equal(byte, bytes[i * 2 % 65530]);
        assert_int_equal(zcb_cursor_u8(&cursor, &byte), 0);
        assert_int_equal(byte, bytes[i * 2 % 65530]);
    }
    assert_int_equal(zcb_chain_find(&chain, 0, "\xff", 1, &at), -EAGAIN);
    assert_int_equal(zcb_chain_discard(&chain, CHUNKS), 0);
    zcb_chain_finish(&chain);
}

// What the guesses of a search meet in a real chain: lengths of every kind, a front that is not where
// the ring begins, an end that is before it.
static void
uneven_chunks_around_the_end_of_the_ring_are_read_at_every_offset(void **state)
{
    enum { SLOTS = 1024, LATER = 600 };
    static uint8_t expected[(SLOTS + LATER) * 97];
    struct zcb_chain chain;
    size_t len = 0, from = 0, at = 0;
    uint8_t scratch[3];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i % 251);
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    for (size_t i = 0; i < SLOTS + LATER; i++) {
        size_t each = i % 7 == 0 ? 97 : 1 + i * i % 13;
        struct zcb_packet packet;

        if (i == SLOTS) {
            assert_int_equal(zcb_chain_view(&chain)->mask, SLOTS - 1);
            while (zcb_chain_chunks(&chain) != SLOTS - LATER) {
                from += (size_t)(chain.end - chain.cur);
                zcb_chain_discard(&chain, (size_t)(chain.end - chain.cur));
            }
            from += 1;
            zcb_chain_discard(&chain, 1);
        }
        at = (at + 100) % (sizeof(bytes) - 100); // never side by side
        packet = zcb_packet_static(bytes + at, each);
        memcpy(expected + len, bytes + at, each);
        len += each;
        assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    }
    assert_int_equal(zcb_chain_view(&chain)->mask, SLOTS - 1);
    assert_true(zcb_chain_view(&chain)->head != 0);
    assert_chain_sound(&chain);
    for (size_t off = 0; off + 3 <= zcb_chain_len(&chain); off++) {
        const uint8_t *seen = zcb_chain_peek(&chain, off, 3, scratch);

        assert_non_null(seen);
        assert_memory_equal(seen, expected + from + off, 3);
    }
    zcb_chain_finish(&chain);
}

static uint32_t
count_of(const struct zcb_packet *packet)
{
    return packet->owner->count;
}

// Merging keeps the reference that comes with a view instead of dropping it: no atomic operation,
// push or take.
static void
merging_and_taking_touch_no_count(void **state)
{
    struct zcb_packet whole = must_packet(pool, 4000), views[4], taken[4];
    struct zcb_chain chain;
    uint32_t count;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(zcb_packet_slice(&whole, 1000 * i, 1000, &views[i]), 0);
    count = count_of(&whole);
    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(zcb_chain_push(&chain, &views[i]), 0);
    assert_int_equal(count_of(&whole), count);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(zcb_chain_take(&chain, 1200, &taken[i]), 0);
    assert_int_equal(count_of(&whole), count);
    assert_int_equal(zcb_chain_take(&chain, 400, &taken[3]), 0);
    assert_int_equal(count_of(&whole), count);
    for (size_t i = 0; i < 4; i++)
        zcb_packet_unref(&taken[i]);
    assert_true(zcb_packet_is_unique(&whole));
    zcb_packet_unref(&whole);
    zcb_chain_finish(&chain);
}

// The loop of a receiver that keeps up: one block, one reference, from first to last.
static void
receiving_and_draining_touches_no_count(void **state)
{
    const struct zcb_chain_state *s;
    struct zcb_chain chain;
    struct iovec iov;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    s = zcb_chain_view(&chain);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(zcb_chain_reserve(&chain, 1, &iov, 1), 1);
        assert_int_equal(zcb_chain_commit(&chain, 1448), 0);
        assert_int_equal(s->tail->count, 1);
        assert_int_equal(zcb_chain_discard(&chain, 1448), 0);
        assert_int_equal(s->tail->count, 1);
    }
    zcb_chain_finish(&chain);
}

static void
an_extra_reference_is_kept_only_up_to_a_bound(void **state)
{
    enum { VIEWS = 3 * ZCB_CHAIN_EXTRA_MAX / 2 };
    struct zcb_packet whole, part;
    struct zcb_chain chain;
    size_t len = VIEWS;
    uint8_t *memory = calloc(1, len);

    (void)state;
    assert_non_null(memory);
    assert_int_equal(zcb_packet_wrap(memory, len, chain_tools_free, NULL, &whole), 0);
    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(zcb_packet_slice(&whole, i, 1, &part), 0);
        assert_int_equal(zcb_chain_push(&chain, &part), 0);
    }
    assert_int_equal(zcb_chain_chunks(&chain), 1);
    assert_int_equal(count_of(&whole), 2 + ZCB_CHAIN_EXTRA_MAX);
    assert_int_equal(zcb_chain_discard(&chain, 1), 0);
    part = zcb_packet_static("y", 1); // another chunk behind: settled
    assert_int_equal(zcb_chain_push(&chain, &part), 0);
    assert_int_equal(count_of(&whole), 2);
    zcb_chain_finish(&chain);
    assert_true(zcb_packet_is_unique(&whole));
    zcb_packet_unref(&whole);
}

// Moving such a chunk to where it is a continuation brings more references than may be kept.
static void
a_chunk_that_moves_brings_no_more_references_than_the_bound(void **state)
{
    enum { VIEWS = ZCB_CHAIN_EXTRA_MAX + 1 };
    struct zcb_packet whole, part;
    struct zcb_chain front, chain;
    uint8_t *memory = calloc(1, VIEWS + 1);

    (void)state;
    assert_non_null(memory);
    assert_int_equal(zcb_packet_wrap(memory, VIEWS + 1, chain_tools_free, NULL, &whole), 0);
    assert_int_equal(zcb_chain_init(&front, pool, NULL), 0);
    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    for (size_t i = 0; i < VIEWS + 1; i++) {
        assert_int_equal(zcb_packet_slice(&whole, i, 1, &part), 0);
        assert_int_equal(zcb_chain_push(i == 0 ? &front : &chain, &part), 0);
    }
    assert_int_equal(count_of(&whole), 2 + VIEWS);
    assert_int_equal(zcb_chain_split(&chain, VIEWS, &front), 0);
    assert_int_equal(zcb_chain_chunks(&front), 1);
    assert_int_equal(zcb_chain_len(&front), VIEWS + 1);
    assert_int_equal(count_of(&whole), 2);
    zcb_chain_finish(&chain);
    zcb_chain_finish(&front);
    assert_true(zcb_packet_is_unique(&whole));
    zcb_packet_unref(&whole);
}

static void
count_release(void *ctx, void *data, size_t len)
{
    (void)data;
    (void)len;
    ++*(int *)ctx;
}

static void
push_apiece(struct zcb_chain *chain, const struct zcb_packet *whole)
{
    struct zcb_packet part;

    for (size_t i = 0; i < whole->len; i++) {
        assert_int_equal(zcb_packet_slice(whole, i, 1, &part), 0);
        assert_int_equal(zcb_chain_push(chain, &part), 0);
    }
}

// Several references dropped at once find out what one would: that one was dropped too often, and
// later that the block is pinned.
static void
a_reference_dropped_twice_pins_a_merged_block(void **state)
{
    static struct zcb_buf_storage storage;
    static const uint8_t text[] = "abc";
    int released = 0;
    struct zcb_packet whole = zcb_packet_wrap_in(&storage, text, 3, count_release, &released);
    struct zcb_packet again = whole, after = whole;
    struct zcb_chain chain;
    uint32_t pinned;

    (void)state;
    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    push_apiece(&chain, &whole);
    zcb_packet_unref(&whole);
    zcb_packet_unref(&again); // the mistake
    assert_int_equal(count_of(&after), 2);
    zcb_chain_finish(&chain); // drops three
    pinned = count_of(&after);
    assert_true(pinned > ZCB_COUNT_MAX && pinned < UINT32_MAX - ZCB_COUNT_MAX / 4);

    assert_int_equal(zcb_chain_init(&chain, NULL, NULL), 0);
    push_apiece(&chain, &after);
    zcb_chain_finish(&chain);
    assert_int_equal(count_of(&after), pinned);
    assert_int_equal(released, 0);
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
        cmocka_unit_test(nothing_is_allocated_in_steady_state),
        cmocka_unit_test(a_chain_of_few_chunks_allocates_nothing_at_all),
        cmocka_unit_test(many_small_chunks_drain_without_any_being_moved),
        cmocka_unit_test(a_million_chunks_of_one_byte_are_read_at_every_depth),
        cmocka_unit_test(uneven_chunks_around_the_end_of_the_ring_are_read_at_every_offset),
        cmocka_unit_test(merging_and_taking_touch_no_count),
        cmocka_unit_test(receiving_and_draining_touches_no_count),
        cmocka_unit_test(an_extra_reference_is_kept_only_up_to_a_bound),
        cmocka_unit_test(a_chunk_that_moves_brings_no_more_references_than_the_bound),
        cmocka_unit_test(a_reference_dropped_twice_pins_a_merged_block),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
