// SPDX-License-Identifier: MIT
//
// Every byte that is moved is counted, once, under the right reason; what shares moves nothing.

#include "testing.h"

#include "support/alloc_count.h"
#include "support/pools.h"

#include <pthread.h>

// A chain of three foreign chunks of 100, 200 and 300 bytes.
static const uint8_t chunk_bytes[600];

static void
make_chain(struct zcb_chain *chain, struct zcb_pool *pool)
{
    size_t at = 0;

    assert_int_equal(zcb_chain_init(chain, pool, NULL), 0);
    for (size_t len = 100; len <= 300; len += 100) {
        struct zcb_packet packet = {0};

        assert_int_equal(zcb_packet_wrap(chunk_bytes + at, len, NULL, NULL, &packet), 0);
        assert_int_equal(zcb_chain_push(chain, &packet), 0);
        at += len;
    }
    assert_int_equal(zcb_chain_chunks(chain), 3);
}

static struct zcb_packet
large_packet(struct zcb_pool *pool, size_t len)
{
    struct zcb_packet packet = must_packet(pool, len);

    memset((void *)(uintptr_t)packet.data, 1, len); // ours alone, still
    return packet;
}

// ---- one function for each way of moving bytes; each moves 150 bytes in one call ----------------

static void
by_copy_to(struct zcb_pool *pool)
{
    struct zcb_chain chain;
    uint8_t out[150];

    make_chain(&chain, pool);
    assert_int_equal(zcb_chain_copy_to(&chain, 50, out, 150), 0);
    zcb_chain_finish(&chain);
}

static void
by_copy_to_in_one_chunk(struct zcb_pool *pool)
{
    struct zcb_chain chain;
    uint8_t out[150];

    make_chain(&chain, pool);
    assert_int_equal(zcb_chain_discard(&chain, 300), 0);
    assert_int_equal(zcb_chain_copy_to(&chain, 10, out, 150), 0);
    zcb_chain_finish(&chain);
}

static void
by_cursor(struct zcb_pool *pool)
{
    struct zcb_cursor cursor;
    struct zcb_chain chain;
    uint8_t out[150];

    make_chain(&chain, pool);
    assert_int_equal(zcb_cursor_init(&cursor, &chain, 50), 0);
    assert_int_equal(zcb_cursor_read(&cursor, out, 150), 0);
    zcb_chain_finish(&chain);
}

static void
by_consume(struct zcb_pool *pool)
{
    struct zcb_chain chain;
    uint8_t out[150];

    make_chain(&chain, pool);
    assert_int_equal(zcb_chain_consume(&chain, out, 150), 0);
    zcb_chain_finish(&chain);
}

static void
by_consume_in_one_chunk(struct zcb_pool *pool)
{
    struct zcb_chain chain;
    uint8_t out[150];

    make_chain(&chain, pool);
    assert_int_equal(zcb_chain_discard(&chain, 100), 0);
    assert_int_equal(zcb_chain_consume(&chain, out, 150), 0);
    zcb_chain_finish(&chain);
}

static void
by_take_across(struct zcb_pool *pool)
{
    struct zcb_packet packet = {0};
    struct zcb_chain chain;

    make_chain(&chain, pool);
    assert_int_equal(zcb_chain_take(&chain, 150, &packet), 0);
    zcb_packet_unref(&packet);
    zcb_chain_finish(&chain);
}

static void
by_gather_across(struct zcb_pool *pool)
{
    struct zcb_packet packet = {0};
    struct zcb_chain chain;

    make_chain(&chain, pool);
    assert_int_equal(zcb_chain_gather(&chain, 50, 150, &packet), 1);
    zcb_packet_unref(&packet);
    zcb_chain_finish(&chain);
}

static void
by_append(struct zcb_pool *pool)
{
    struct zcb_chain chain;

    assert_int_equal(zcb_chain_init(&chain, pool, NULL), 0);
    assert_int_equal(zcb_chain_append(&chain, chunk_bytes, 150), 0);
    zcb_chain_finish(&chain);
}

static void
by_push_below(struct zcb_pool *pool)
{
    const struct zcb_chain_config config = {.copy_below = 151};
    struct zcb_packet packet = {0};
    struct zcb_chain chain;

    assert_int_equal(zcb_chain_init(&chain, pool, &config), 0);
    assert_int_equal(zcb_packet_wrap(chunk_bytes, 150, NULL, NULL, &packet), 0);
    assert_int_equal(zcb_chain_push(&chain, &packet), 0);
    zcb_chain_finish(&chain);
}

static void
by_packet_copy(struct zcb_pool *pool)
{
    struct zcb_packet packet = {0};

    assert_int_equal(zcb_packet_copy(pool, chunk_bytes, 150, &packet), 0);
    zcb_packet_unref(&packet);
}

static void
by_unshare(struct zcb_pool *pool)
{
    struct zcb_packet packet = zcb_packet_static(chunk_bytes, 150);
    struct zcb_buf *buf = NULL;

    assert_int_equal(zcb_packet_make_writable(&packet, pool, &buf), 1);
    zcb_buf_release(&buf);
}

static void
by_compact(struct zcb_pool *pool)
{
    struct zcb_packet packet = large_packet(pool, 65536), small = {0};

    assert_int_equal(zcb_packet_slice(&packet, 0, 150, &small), 0);
    zcb_packet_unref(&packet);
    assert_int_equal(zcb_packet_compact(&small, pool), 1);
    zcb_packet_unref(&small);
}

static void
by_peek_across(struct zcb_pool *pool)
{
    struct zcb_chain chain;
    uint8_t scratch[150];

    make_chain(&chain, pool);
    assert_ptr_equal(zcb_chain_peek(&chain, 50, 150, scratch), scratch);
    zcb_chain_finish(&chain);
}

static void
by_piece(struct zcb_pool *pool)
{
    const struct zcb_piece_config config = {.block_size = 150};
    struct zcb_piece *piece = NULL;

    assert_int_equal(zcb_piece_create(pool, 300, &config, &piece), 0);
    assert_int_equal(zcb_piece_write(piece, 1, chunk_bytes, 150, 1), 0);
    zcb_piece_destroy(&piece);
}

static void
by_piece_chain(struct zcb_pool *pool)
{
    const struct zcb_piece_config config = {.block_size = 150};
    struct zcb_piece *piece = NULL;
    struct zcb_chain chain;

    make_chain(&chain, pool);
    assert_int_equal(zcb_piece_create(pool, 300, &config, &piece), 0);
    assert_int_equal(zcb_piece_write_chain(piece, 1, &chain, 50, 150, 1), 0);
    zcb_piece_destroy(&piece);
    zcb_chain_finish(&chain);
}

static void
by_map(struct zcb_pool *pool)
{
    struct zcb_packet packet = {0};
    FILE *file = tmpfile();

    (void)pool;
    assert_non_null(file);
    assert_int_equal(fwrite(chunk_bytes, 1, 200, file), 200);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(zcb_map_file(fileno(file), 0, 150, ZCB_MAP_STABLE, &packet), 0);
    zcb_packet_unref(&packet);
    fclose(file);
}

// ---- what moves nothing -------------------------------------------------------------------------

static void
by_sharing(struct zcb_pool *pool)
{
    struct zcb_packet packet = large_packet(pool, 65536), slice = {0}, front = {0}, taken = {0};
    struct zcb_piece *piece = NULL;
    struct zcb_chain chain, other;
    struct zcb_buf *buf = NULL;
    uint32_t value;
    struct iovec iov[4];

    assert_int_equal(zcb_packet_slice(&packet, 10, 1000, &slice), 0);
    assert_int_equal(zcb_packet_split(&slice, 500, &front), 0);
    zcb_packet_unref(&front);
    make_chain(&chain, pool);
    assert_int_equal(zcb_chain_init(&other, pool, NULL), 0);
    assert_int_equal(zcb_chain_push(&chain, &slice), 0);
    assert_int_equal(zcb_chain_slice(&chain, 100, 200, &slice), 0);
    zcb_packet_unref(&slice);
    assert_int_equal(zcb_chain_gather(&chain, 100, 200, &slice), 0);
    zcb_packet_unref(&slice);
    assert_non_null(zcb_chain_peek(&chain, 150, 100, NULL));
    assert_int_equal(zcb_chain_peek_u32be(&chain, 10, &value), 0);
    assert_int_equal(zcb_chain_take(&chain, 100, &taken), 0);
    zcb_packet_unref(&taken);
    assert_int_equal(zcb_chain_iov(&chain, 0, iov, 4, NULL), 3);
    assert_int_equal(zcb_chain_split(&chain, 250, &other), 0);
    assert_int_equal(zcb_chain_move(&chain, &other), 0);
    assert_int_equal(zcb_chain_discard(&chain, 300), 0);
    assert_true(zcb_chain_reserve(&chain, 100, iov, 4) > 0);
    assert_int_equal(zcb_chain_commit(&chain, 100), 0);
    zcb_chain_finish(&chain);
    zcb_chain_finish(&other);
    assert_int_equal(zcb_packet_make_writable(&packet, pool, &buf), 0);
    zcb_buf_release(&buf);
    assert_int_equal(zcb_piece_create(pool, 100, NULL, &piece), 0);
    assert_int_equal(zcb_piece_reserve_block(piece, 0, 1, iov), 0);
    memset(iov[0].iov_base, 0, iov[0].iov_len);
    assert_int_equal(zcb_piece_commit_block(piece, 0, 1), 0);
    assert_int_equal(zcb_piece_take(&piece, &packet), 0);
    zcb_packet_unref(&packet);
}

static const struct way {
    void (*move)(struct zcb_pool *pool);
    const char *name;
    enum zcb_copy_reason reason;
} ways[] = {
    {by_copy_to, "copy_to", ZCB_COPY_COPY_TO},
    {by_copy_to_in_one_chunk, "copy_to", ZCB_COPY_COPY_TO},
    {by_cursor, "copy_to", ZCB_COPY_COPY_TO},
    {by_consume, "consume", ZCB_COPY_CONSUME},
    {by_consume_in_one_chunk, "consume", ZCB_COPY_CONSUME},
    {by_take_across, "take", ZCB_COPY_TAKE},
    {by_gather_across, "gather", ZCB_COPY_GATHER},
    {by_append, "append", ZCB_COPY_APPEND},
    {by_push_below, "append", ZCB_COPY_APPEND},
    {by_packet_copy, "append", ZCB_COPY_APPEND},
    {by_unshare, "unshare", ZCB_COPY_UNSHARE},
    {by_compact, "compact", ZCB_COPY_COMPACT},
    {by_peek_across, "peek", ZCB_COPY_PEEK},
    {by_piece, "piece", ZCB_COPY_PIECE},
    {by_piece_chain, "piece", ZCB_COPY_PIECE},
    {by_map, "map", ZCB_COPY_MAP},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))
#define EACH 150 // bytes

// ---- tests --------------------------------------------------------------------------------------

static void
every_way_of_moving_bytes_is_counted_exactly_under_its_reason(void **state)
{
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (size_t w = 0; w < WAYS; w++) {
        struct zcb_copies before, after, total_before, total_after;

        zcb_copies_thread(&before);
        zcb_copies_total(&total_before);
        ways[w].move(pool);
        zcb_copies_thread(&after);
        zcb_copies_total(&total_after);
        assert_int_equal(zcb_copies_bytes(&after) - zcb_copies_bytes(&before), EACH);
        before.bytes[ways[w].reason] += EACH;
        before.calls[ways[w].reason]++;
        assert_memory_equal(&before, &after, sizeof(before));
        total_before.bytes[ways[w].reason] += EACH;
        total_before.calls[ways[w].reason]++;
        assert_memory_equal(&total_before, &total_after, sizeof(total_before));
        assert_string_equal(zcb_copy_reason_name(ways[w].reason), ways[w].name);
    }
    must_end(&pool);
}

static void
every_reason_has_a_way(void **state)
{
    (void)state;
    for (int reason = 0; reason < ZCB_COPY_REASON_COUNT; reason++) {
        bool found = false;

        for (size_t w = 0; w < WAYS; w++)
            found = found || (int)ways[w].reason == reason;
        assert_true(found);
    }
    assert_true(ZCB_COPY_REASON_COUNT <= 16);
    assert_string_equal(zcb_copy_reason_name(ZCB_COPY_REASON_COUNT), "unknown");
    assert_string_equal(zcb_copy_reason_name((enum zcb_copy_reason)0x7fffffff), "unknown");
}

static void
sharing_moves_nothing(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_copies before, after;

    (void)state;
    zcb_copies_thread(&before);
    by_sharing(pool);
    zcb_copies_thread(&after);
    assert_memory_equal(&before, &after, sizeof(before));
    must_end(&pool);
}

static void
nothing_moved_counts_nothing(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_copies before, after;
    struct zcb_packet packet = {0};
    struct zcb_buf *buf = NULL;
    struct zcb_chain chain;
    uint8_t out[1];

    (void)state;
    zcb_copies_thread(&before);
    make_chain(&chain, pool);
    assert_int_equal(zcb_chain_copy_to(&chain, 100, out, 0), 0);
    assert_int_equal(zcb_chain_consume(&chain, out, 0), 0);
    assert_int_equal(zcb_chain_append(&chain, NULL, 0), 0);
    assert_int_equal(zcb_packet_copy(pool, NULL, 0, &packet), 0);
    assert_int_equal(zcb_packet_make_writable(&packet, pool, &buf), 1);
    zcb_buf_release(&buf);
    // What is refused moves nothing either.
    assert_int_equal(zcb_chain_copy_to(&chain, 600, out, 1), -EAGAIN);
    assert_int_equal(zcb_chain_consume(&chain, out, 601), -EAGAIN);
    assert_int_equal(zcb_chain_slice(&chain, 50, 100, &packet), -EXDEV);
    zcb_copies_thread(&after);
    assert_memory_equal(&before, &after, sizeof(before));
    zcb_chain_finish(&chain);
    must_end(&pool);
}

// ---- threads ------------------------------------------------------------------------------------

struct worker {
    pthread_t thread;
    size_t times;
    struct zcb_copies own;
};

static void *
work(void *arg)
{
    struct worker *worker = arg;
    const struct zcb_piece_config config = {.block_size = 1};
    struct zcb_piece *piece = NULL;
    struct zcb_buf *buf = NULL;

    CHECK(zcb_buf_alloc(NULL, worker->times, &buf) == 0);
    {
        struct zcb_piece_config with_buf = config;

        with_buf.buf = buf;
        CHECK(zcb_piece_create(NULL, worker->times, &with_buf, &piece) == 0);
    }
    for (uint32_t i = 0; i < worker->times; i++)
        CHECK(zcb_piece_write(piece, i, "x", 1, 0) == 0);
    zcb_piece_destroy(&piece);
    zcb_copies_thread(&worker->own);
    return NULL;
}

static void
totals_keep_what_ended_threads_have_moved(void **state)
{
    struct worker workers[8] = {{0}};
    struct zcb_copies before, after, mine_before, mine_after;
    uint64_t expected = 0;

    (void)state;
    zcb_copies_total(&before);
    zcb_copies_thread(&mine_before);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 8; i++) {
            workers[i].times = 1000 * (i + 1);
            assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        for (size_t i = 0; i < 8; i++) {
            assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
            // A thread's own count begins with it, also where the system gives it the stack of one
            // before.
            assert_int_equal(workers[i].own.bytes[ZCB_COPY_PIECE], workers[i].times);
            assert_int_equal(workers[i].own.calls[ZCB_COPY_PIECE], workers[i].times);
            assert_int_equal(zcb_copies_bytes(&workers[i].own), workers[i].times);
            expected += workers[i].times;
        }
    }
    zcb_copies_total(&after);
    zcb_copies_thread(&mine_after);
    before.bytes[ZCB_COPY_PIECE] += expected;
    before.calls[ZCB_COPY_PIECE] += expected;
    assert_memory_equal(&before, &after, sizeof(before));
    assert_memory_equal(&mine_before, &mine_after, sizeof(mine_before));
}

// ---- tracing ------------------------------------------------------------------------------------

struct traced {
    enum zcb_copy_reason reason;
    size_t len;
    int calls;
    uint64_t counted; // bytes of that reason as the callback sees them
};

static void
trace(void *ctx, enum zcb_copy_reason reason, size_t len)
{
    struct traced *traced = ctx;
    struct zcb_copies now;

    traced->reason = reason;
    traced->len = len;
    traced->calls++;
    zcb_copies_thread(&now);
    traced->counted = now.bytes[reason];
}

static void
the_trace_callback_sees_each_copy_until_it_is_taken_off(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct traced traced = {.calls = 0};
    struct zcb_copies before;

    (void)state;
    zcb_copies_trace(trace, &traced);
    for (size_t w = 0; w < WAYS; w++) {
        traced.calls = 0;
        zcb_copies_thread(&before);
        ways[w].move(pool);
        assert_int_equal(traced.calls, 1);
        assert_int_equal(traced.reason, ways[w].reason);
        assert_int_equal(traced.len, EACH);
        assert_int_equal(traced.counted, before.bytes[ways[w].reason] + EACH); // right after it
    }
    traced.calls = 0;
    by_sharing(pool);
    assert_int_equal(traced.calls, 0);
    zcb_copies_trace(NULL, NULL);
    by_copy_to(pool);
    assert_int_equal(traced.calls, 0);
    must_end(&pool);
}

static void
move_some(void)
{
    struct zcb_pool *pool = must_create(NULL);

    by_gather_across(pool);
    by_compact(pool);
    must_end(&pool);
}

static void
the_environment_turns_tracing_on(void **state)
{
    struct child with = child_run_self("move", "ZCBUF_TRACE", "1");
    struct child without = child_run_self("move", "ZCBUF_TRACE", "0");
    struct child unset = child_run_self("move", NULL, NULL);

    (void)state;
    assert_child_succeeded(with);
    assert_non_null(strstr(with.text, "gather"));
    assert_non_null(strstr(with.text, "compact"));
    assert_non_null(strstr(with.text, "150"));
    assert_child_succeeded(without);
    assert_null(strstr(without.text, "gather"));
    assert_child_succeeded(unset);
    assert_null(strstr(unset.text, "gather"));
}

static void
a_thread_without_memory_for_its_record_is_counted_in_the_total(void **state)
{
    struct child child;

    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    child = child_run_self("no-record", NULL, NULL);
    assert_child_succeeded(child);
}

static void
move_without_memory(void)
{
    struct zcb_copies before, after;
    struct zcb_chain chain;
    uint8_t out[6];
    struct zcb_packet packet = zcb_packet_static("abcdef", 6);

    CHECK(zcb_chain_init(&chain, NULL, NULL) == 0);
    CHECK(zcb_chain_push(&chain, &packet) == 0);
    zcb_copies_total(&before);
    zcb_alloc_fail(1, true);
    CHECK(zcb_chain_copy_to(&chain, 0, out, 6) == 0);
    CHECK(zcb_alloc_failed() >= 1);
    zcb_alloc_fail(0, false);
    zcb_copies_total(&after);
    CHECK(after.bytes[ZCB_COPY_COPY_TO] - before.bytes[ZCB_COPY_COPY_TO] == 6);
    CHECK(after.calls[ZCB_COPY_COPY_TO] - before.calls[ZCB_COPY_COPY_TO] == 1);
    zcb_chain_finish(&chain);
}

static void
what_others_move_is_counted_with_a_reason_that_there_is(void **state)
{
    struct zcb_copies before, after;

    (void)state;
    zcb_copies_thread(&before);
    zcb_count_copy(ZCB_COPY_PIECE, 11);
    zcb_count_copy(ZCB_COPY_REASON_COUNT, 1000);
    zcb_count_copy((enum zcb_copy_reason)15, 1000);
    zcb_count_copy((enum zcb_copy_reason)-1, 1000);
    zcb_copies_thread(&after);
    assert_int_equal(after.bytes[ZCB_COPY_PIECE] - before.bytes[ZCB_COPY_PIECE], 11);
    assert_int_equal(after.calls[ZCB_COPY_PIECE] - before.calls[ZCB_COPY_PIECE], 1);
    assert_int_equal(zcb_copies_bytes(&after) - zcb_copies_bytes(&before), 11);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_of_moving_bytes_is_counted_exactly_under_its_reason),
        cmocka_unit_test(every_reason_has_a_way),
        cmocka_unit_test(what_others_move_is_counted_with_a_reason_that_there_is),
        cmocka_unit_test(sharing_moves_nothing),
        cmocka_unit_test(nothing_moved_counts_nothing),
        cmocka_unit_test(totals_keep_what_ended_threads_have_moved),
        cmocka_unit_test(the_trace_callback_sees_each_copy_until_it_is_taken_off),
        cmocka_unit_test(the_environment_turns_tracing_on),
        cmocka_unit_test(a_thread_without_memory_for_its_record_is_counted_in_the_total),
    };

    if (argc == 2 && strcmp(argv[1], "move") == 0) {
        move_some();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "no-record") == 0) {
        move_without_memory();
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
