// SPDX-License-Identifier: MIT
// A program that was compiled against the headers of 0.1, and meets today's library. No header of
// ours is included: what 0.1 compiled into programs is written down here, and stays as it is.

#include "testing.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct zcb_pool;
struct zcb_buf;

struct zcb_packet {
    const uint8_t *data;
    size_t len;
    void *owner; // a count of 32 bits comes first in it
};

struct zcb_chain {
    const uint8_t *cur;
    const uint8_t *end;
    size_t len;
    uint64_t opaque[45];
};

struct zcb_tier {
    size_t buffer_size, prealloc, max_buffers;
    uint32_t magazine, reserved;
};

struct zcb_pool_config {
    const char *name;
    struct zcb_tier tiers[8];
    size_t slab_size, headroom, max_bytes, reserve_bytes, low_bytes, high_bytes;
    void (*on_pressure)(void *ctx, struct zcb_pool *pool, bool high);
    void *pressure_ctx;
    int policy;
    uint32_t wait_ms;
    const void *source;
    uint32_t flags;
    int numa_node;
    void *reserved[8];
};

struct zcb_tier_stats {
    uint64_t buffer_size, acquires, hits, depot_hits, misses, fallbacks, refusals, waits, returns;
    uint64_t drops, live, cached, depot, charged, peak_charged, peak_live, slabs, reserved[7];
};

struct zcb_chain_config {
    size_t chunk_size, copy_below, max_chunks, max_bytes, max_pinned;
    void *reserved[4];
};

struct zcb_piece_config {
    size_t block_size;
    struct zcb_buf *buf;
    void *reserved[4];
};

struct zcb_piece;

int zcb_pool_create(const struct zcb_pool_config *config, struct zcb_pool **out);
void zcb_pool_destroy(struct zcb_pool **pool);
int zcb_pool_acquire(struct zcb_pool *pool, size_t len, struct zcb_buf **out);
int zcb_pool_stats(struct zcb_pool *pool, void *out, size_t out_size);
int zcb_buf_append(struct zcb_buf *buf, size_t len, uint8_t **at);
void zcb_buf_release(struct zcb_buf **buf);
void zcb_buf_share(struct zcb_buf **buf, struct zcb_packet *out);
bool zcb_packet_is_unique(const struct zcb_packet *packet);
void zcb_packet_unref(struct zcb_packet *packet);
int zcb_chain_init(struct zcb_chain *chain, struct zcb_pool *pool,
                   const struct zcb_chain_config *config);
void zcb_chain_finish(struct zcb_chain *chain);
int zcb_chain_push(struct zcb_chain *chain, struct zcb_packet *packet);
size_t zcb_chain_len(const struct zcb_chain *chain);
int zcb_chain_take(struct zcb_chain *chain, size_t len, struct zcb_packet *out);
int zcb_chain_discard_slow(struct zcb_chain *chain, size_t len);
int zcb_piece_create(struct zcb_pool *pool, size_t length, const struct zcb_piece_config *config,
                     struct zcb_piece **out);
void zcb_piece_destroy(struct zcb_piece **piece);

static struct zcb_packet
packet_of(struct zcb_pool *pool, const char *text)
{
    struct zcb_packet packet = {0};
    struct zcb_buf *buf = NULL;
    uint8_t *at = NULL;

    assert_int_equal(zcb_pool_acquire(pool, strlen(text), &buf), 0);
    assert_int_equal(zcb_buf_append(buf, strlen(text), &at), 0);
    memcpy(at, text, strlen(text));
    zcb_buf_share(&buf, &packet);
    return packet;
}

static void
a_config_of_zeros_is_the_default(void **state)
{
    struct zcb_pool_config pool_config;
    struct zcb_chain_config chain_config;
    struct zcb_piece_config piece_config;
    struct zcb_pool *pool = NULL;
    struct zcb_chain chain;
    struct zcb_piece *piece = NULL;

    (void)state;
    memset(&pool_config, 0, sizeof(pool_config));
    memset(&chain_config, 0, sizeof(chain_config));
    memset(&piece_config, 0, sizeof(piece_config));
    assert_int_equal(zcb_pool_create(&pool_config, &pool), 0);
    assert_int_equal(zcb_chain_init(&chain, pool, &chain_config), 0);
    assert_int_equal(zcb_piece_create(pool, 100000, &piece_config, &piece), 0);
    zcb_piece_destroy(&piece);
    zcb_chain_finish(&chain);
    zcb_pool_destroy(&pool);
}

static void
what_is_set_in_reserved_fields_is_refused(void **state)
{
    struct zcb_pool_config pool_config;
    struct zcb_chain_config chain_config;
    struct zcb_piece_config piece_config;
    struct zcb_pool *pool = NULL;
    struct zcb_chain chain;
    struct zcb_piece *piece = NULL;

    (void)state;
    memset(&pool_config, 0, sizeof(pool_config));
    pool_config.reserved[7] = &pool_config;
    assert_int_equal(zcb_pool_create(&pool_config, &pool), -EINVAL);
    assert_null(pool);
    assert_int_equal(zcb_pool_create(NULL, &pool), 0);

    memset(&chain_config, 0, sizeof(chain_config));
    chain_config.reserved[3] = &chain_config;
    assert_int_equal(zcb_chain_init(&chain, pool, &chain_config), -EINVAL);
    memset(&piece_config, 0, sizeof(piece_config));
    piece_config.reserved[3] = &piece_config;
    assert_int_equal(zcb_piece_create(pool, 100000, &piece_config, &piece), -EINVAL);
    zcb_pool_destroy(&pool);
}

static void
a_snapshot_fits_the_room_that_the_caller_has(void **state)
{
    // Room for the total and one tier, and a guard behind it that must stay as it is.
    struct {
        struct zcb_tier_stats total, oversize;
        uint64_t guard[64];
    } older;
    struct {
        struct zcb_tier_stats total;
        uint64_t rest[1024];
    } newer;
    struct zcb_pool *pool = NULL;
    struct zcb_buf *buf = NULL;

    (void)state;
    assert_int_equal(zcb_pool_create(NULL, &pool), 0);
    assert_int_equal(zcb_pool_acquire(pool, 1, &buf), 0);
    memset(&older, 0xa5, sizeof(older));
    assert_int_equal(
        zcb_pool_stats(pool, &older, sizeof(older) - sizeof(older.guard)), 0);
    assert_int_equal(older.total.acquires, 1);
    assert_int_equal(older.total.live, 1);
    assert_int_equal(older.oversize.acquires, 0);
    for (size_t i = 0; i < 64; i++)
        assert_true(older.guard[i] == UINT64_C(0xa5a5a5a5a5a5a5a5));

    memset(&newer, 0xa5, sizeof(newer));
    assert_int_equal(zcb_pool_stats(pool, &newer, sizeof(newer)), 0);
    assert_int_equal(newer.total.live, 1);
    assert_true(newer.rest[1023] == 0);

    assert_int_equal(zcb_pool_stats(pool, &older, 8), -EINVAL);
    zcb_buf_release(&buf);
    zcb_pool_destroy(&pool);
}

// The bodies of these inline functions, as programs have them compiled in.

static void
inlined_discard(struct zcb_chain *chain, size_t len)
{
    if (len >= (size_t)(chain->end - chain->cur)) {
        assert_int_equal(zcb_chain_discard_slow(chain, len), 0);
    } else {
        chain->cur += len;
        chain->len -= len;
    }
}

static struct zcb_packet
inlined_ref(const struct zcb_packet *packet)
{
    __atomic_fetch_add((uint32_t *)packet->owner, 1, __ATOMIC_RELAXED);
    return *packet;
}

static void
code_that_was_inlined_agrees_with_the_library(void **state)
{
    struct zcb_pool *pool = NULL;
    struct zcb_chain chain;
    struct zcb_packet packet, other, out;

    (void)state;
    assert_int_equal(zcb_pool_create(NULL, &pool), 0);
    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    packet = packet_of(pool, "0123456789");
    assert_true(zcb_packet_is_unique(&packet));
    other = inlined_ref(&packet);
    assert_false(zcb_packet_is_unique(&packet));
    assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    inlined_discard(&chain, 3);
    assert_int_equal(zcb_chain_len(&chain), 7);
    assert_int_equal(*chain.cur, '3');
    assert_int_equal(zcb_chain_take(&chain, 2, &out), 0);
    assert_memory_equal(out.data, "34", 2);
    zcb_packet_unref(&out);
    inlined_discard(&chain, 5);
    assert_int_equal(zcb_chain_len(&chain), 0);
    assert_int_equal(chain.len, 0);
    zcb_chain_finish(&chain);
    assert_true(zcb_packet_is_unique(&other));
    zcb_packet_unref(&other);
    zcb_pool_destroy(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_of_zeros_is_the_default),
        cmocka_unit_test(what_is_set_in_reserved_fields_is_refused),
        cmocka_unit_test(a_snapshot_fits_the_room_that_the_caller_has),
        cmocka_unit_test(code_that_was_inlined_agrees_with_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
