// SPDX-License-Identifier: MIT
//
// Every entry point of the core that can ask for memory, with its n-th request failing, once or for
// ever, for every n up to where none fails any more. Then: the code is -ENOMEM, nothing has
// changed, the same call works once there is memory again, and at the end nothing is left.
//
// Each attempt runs on a thread of its own, because what a thread needs for itself it asks for
// once.

#include "testing.h"

#include "support/alloc_count.h"
#include "support/failing_source.h"
#include "support/pools.h"

#include <pthread.h>

enum { POOL_CACHED, POOL_NO_CACHE, POOL_HARDENED, POOL_KINDS };

struct attempt {
    void (*entry)(struct attempt *attempt);
    const char *name;
    int pool_kind;
    bool by_source; // the source fails; else whatever asks libc for memory
    bool for_ever;
    uint64_t nth;
    bool any_failed; // one was made to fail
    bool refused;    // and the call said so
    struct zcb_failing_source source;
    int released;
};

static void
arm(struct attempt *attempt)
{
    if (attempt->by_source)
        zcb_failing_source_fail(&attempt->source, attempt->nth, attempt->for_ever);
    else
        zcb_alloc_fail(attempt->nth, attempt->for_ever);
}

static void
disarm(struct attempt *attempt)
{
    attempt->any_failed = attempt->any_failed ||
                          (attempt->by_source ? attempt->source.failed : zcb_alloc_failed()) != 0;
    zcb_failing_source_fail(&attempt->source, 0, false);
    zcb_alloc_fail(0, false);
}

// Whether the call was refused for want of memory; any other failure, and one without a cause, ends
// the test.
static bool
was_refused(struct attempt *attempt, int result)
{
    disarm(attempt);
    if (result >= 0)
        return false;
    if (result != -ENOMEM || !attempt->any_failed)
        fprintf(stderr, "%s, request %" PRIu64 "%s: %d (%s)\n", attempt->name, attempt->nth,
                attempt->for_ever ? " and all after it" : "", result, zcb_strerror(result));
    CHECK(result == -ENOMEM);
    CHECK(attempt->any_failed);
    attempt->refused = true;
    return true;
}

// Makes the call with the n-th request failing; where it is refused, checks that nothing has
// changed and makes it again.
#define TRY(attempt, result, call, unchanged)                                                      \
    do {                                                                                           \
        arm(attempt);                                                                              \
        result = (call);                                                                           \
        if (was_refused(attempt, result)) {                                                        \
            CHECK(unchanged);                                                                      \
            result = (call);                                                                       \
            CHECK(result >= 0);                                                                    \
        }                                                                                          \
    } while (0)

static struct zcb_pool_config
pool_config(struct attempt *attempt)
{
    static const uint32_t flags[POOL_KINDS] = {0, ZCB_POOL_NO_CACHE, ZCB_POOL_HARDENED};

    return (struct zcb_pool_config){
        .source = &attempt->source.source,
        .slab_size = 1u << 18,
        .flags = flags[attempt->pool_kind],
    };
}

static struct zcb_pool *
make_pool(struct attempt *attempt)
{
    struct zcb_pool_config config = pool_config(attempt);

    return must_create(&config);
}

static uint64_t
live(struct zcb_pool *pool)
{
    return must_stats(pool).total.live;
}

static void
count_release(void *ctx, void *data, size_t len)
{
    struct attempt *attempt = ctx;

    (void)data;
    (void)len;
    attempt->released++;
}

static const uint8_t foreign[4096];

static struct zcb_packet
foreign_packet(struct attempt *attempt, size_t off, size_t len)
{
    struct zcb_packet packet = {0};

    CHECK(zcb_packet_wrap(foreign + off, len, count_release, attempt, &packet) == 0);
    return packet;
}

// ---- sources ------------------------------------------------------------------------------------

static void
source_fixed(struct attempt *attempt)
{
    static uint8_t region[1 << 16];
    struct zcb_source source = {.ctx = attempt};
    int result;

    TRY(attempt, result, zcb_source_fixed(&source, region, sizeof(region)), source.ctx == attempt);
    source.close(source.ctx);
}

static void
map_file_with(struct attempt *attempt, uint32_t flags)
{
    struct zcb_packet packet = {0};
    FILE *file = tmpfile();
    int result;

    CHECK(file != NULL);
    CHECK(fwrite(foreign, 1, sizeof(foreign), file) == sizeof(foreign));
    CHECK(fflush(file) == 0);
    TRY(attempt, result, zcb_map_file(fileno(file), 0, 1000, flags, &packet), packet.owner == NULL);
    CHECK(packet.len == 1000);
    zcb_packet_unref(&packet);
    fclose(file);
}

static void
map_file(struct attempt *attempt)
{
    map_file_with(attempt, 0);
}

static void
map_file_stable(struct attempt *attempt)
{
    map_file_with(attempt, ZCB_MAP_STABLE);
}

// The rest of the stream is still there when the memory for it was not.
static void
map_file_stream(struct attempt *attempt)
{
    struct zcb_packet packet = {0};
    int fds[2], result;

    CHECK(pipe(fds) == 0);
    CHECK(write(fds[1], foreign, 1000) == 1000);
    close(fds[1]);
    TRY(attempt, result, zcb_map_file(fds[0], 0, 0, 0, &packet), packet.owner == NULL);
    CHECK(packet.len == 1000 && memcmp(packet.data, foreign, 1000) == 0);
    zcb_packet_unref(&packet);
    close(fds[0]);
}

// ---- pools --------------------------------------------------------------------------------------

static void
pool_create(struct attempt *attempt)
{
    struct zcb_pool_config config = pool_config(attempt);
    struct zcb_pool *pool = NULL;
    int result;

    TRY(attempt, result, zcb_pool_create(&config, &pool),
        pool == NULL && attempt->source.live == 0);
    CHECK(attempt->source.closed == 0);
    must_end(&pool);
}

static void
pool_create_preallocated(struct attempt *attempt)
{
    struct zcb_pool_config config = pool_config(attempt);
    struct zcb_pool *pool = NULL;
    int result;

    config.tiers[0] = (struct zcb_tier){.buffer_size = 4096, .prealloc = 200};
    config.tiers[1] = (struct zcb_tier){.buffer_size = 65536, .prealloc = 10};
    TRY(attempt, result, zcb_pool_create(&config, &pool),
        pool == NULL && attempt->source.live == 0 && attempt->source.attached == 0 &&
            attempt->source.closed == 0);
    must_end(&pool);
}

static void
acquire_of(struct attempt *attempt, size_t len)
{
    struct zcb_pool *pool = make_pool(attempt);
    struct zcb_buf *buf = NULL;
    int result;

    TRY(attempt, result, zcb_pool_acquire(pool, len, &buf), buf == NULL && live(pool) == 0);
    CHECK(zcb_buf_tailroom(buf) >= len);
    memset(zcb_buf_data(buf), 1, len);
    zcb_buf_release(&buf);
    must_end(&pool);
}

static void
pool_acquire_small(struct attempt *attempt)
{
    acquire_of(attempt, 100);
}

static void
pool_acquire_large(struct attempt *attempt)
{
    acquire_of(attempt, 65536);
}

static void
pool_acquire_oversize(struct attempt *attempt)
{
    acquire_of(attempt, 100000);
}

static void
pool_acquire_beyond_a_tier(struct attempt *attempt)
{
    struct zcb_pool_config config = pool_config(attempt);
    struct zcb_buf *first = NULL, *buf = NULL;
    struct zcb_pool *pool;
    int result;

    config.tiers[0] = (struct zcb_tier){.buffer_size = 4096, .max_buffers = 1};
    pool = must_create(&config);
    first = must_acquire(pool, 100);
    TRY(attempt, result, zcb_pool_acquire_flags(pool, 100, ZCB_ACQUIRE_RESERVED, &buf),
        buf == NULL && live(pool) == 1);
    zcb_buf_release(&buf);
    zcb_buf_release(&first);
    must_end(&pool);
}

static void
pool_acquire_n(struct attempt *attempt)
{
    enum { N = 100 }; // several slabs of the largest tier
    struct zcb_pool *pool = make_pool(attempt);
    struct zcb_buf *bufs[N] = {NULL};
    int result;

    TRY(attempt, result, zcb_pool_acquire_n(pool, 65536, bufs, N),
        bufs[0] == NULL && live(pool) == 0);
    CHECK(result >= 1 && result <= N);
    CHECK(live(pool) == (uint64_t)result); // fewer than asked for is no failure
    for (int i = 0; i < N; i++)
        CHECK((bufs[i] != NULL) == (i < result));
    zcb_buf_release_n(bufs, N);
    must_end(&pool);
}

static void
pool_prefault(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);
    int result;

    TRY(attempt, result, zcb_pool_prefault(pool, 4096, 300), live(pool) == 0);
    must_end(&pool);
}

static void
thread_warm(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);
    int result;

    TRY(attempt, result, zcb_thread_warm(pool), live(pool) == 0);
    must_end(&pool);
}

// ---- bufs and packets ---------------------------------------------------------------------------

static void
buf_alloc(struct attempt *attempt)
{
    struct zcb_buf *buf = NULL;
    int result;

    TRY(attempt, result, zcb_buf_alloc(&attempt->source.source, 5000, &buf),
        buf == NULL && attempt->source.live == 0);
    zcb_buf_release(&buf);
}

static void
buf_wrap(struct attempt *attempt)
{
    uint8_t bytes[64];
    struct zcb_buf *buf = NULL;
    int result;

    TRY(attempt, result, zcb_buf_wrap(bytes, 0, 64, count_release, attempt, &buf),
        buf == NULL && attempt->released == 0);
    zcb_buf_release(&buf);
    CHECK(attempt->released == 1);
}

static void
packet_wrap(struct attempt *attempt)
{
    struct zcb_packet packet = {0};
    int result;

    TRY(attempt, result, zcb_packet_wrap(foreign, 64, count_release, attempt, &packet),
        packet.owner == NULL && attempt->released == 0);
    zcb_packet_unref(&packet);
    CHECK(attempt->released == 1);
}

static void
packet_copy(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);
    struct zcb_packet packet = {0};
    int result;

    TRY(attempt, result, zcb_packet_copy(pool, foreign, 1000, &packet),
        packet.owner == NULL && live(pool) == 0);
    zcb_packet_unref(&packet);
    must_end(&pool);
}

static void
packet_make_writable(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);
    struct zcb_packet packet = foreign_packet(attempt, 0, 1000);
    struct zcb_buf *buf = NULL;
    int result;

    TRY(attempt, result, zcb_packet_make_writable(&packet, pool, &buf),
        buf == NULL && packet.data == foreign && packet.len == 1000 && attempt->released == 0);
    CHECK(result == 1);
    CHECK(packet.owner == NULL && attempt->released == 1);
    zcb_buf_release(&buf);
    must_end(&pool);
}

static void
packet_compact(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);
    struct zcb_packet large = must_packet(pool, 65536), packet = {0};
    int result;

    CHECK(zcb_packet_slice(&large, 100, 50, &packet) == 0);
    memset((void *)(uintptr_t)packet.data, 1, 50);
    TRY(attempt, result, zcb_packet_compact(&packet, pool),
        packet.data == large.data + 100 && packet.owner == large.owner &&
            !zcb_packet_is_unique(&large));
    CHECK(result == 1);
    CHECK(zcb_packet_is_unique(&large));
    zcb_packet_unref(&packet);
    zcb_packet_unref(&large);
    must_end(&pool);
}

// ---- chains -------------------------------------------------------------------------------------

// Foreign packets that do not touch, so that each is a chunk. The callers try every number of
// chunks up to where a ring has to grow, whatever the sizes of rings are.
static void
chain_of(struct attempt *attempt, struct zcb_chain *chain, struct zcb_pool *pool, size_t chunks)
{
    CHECK(zcb_chain_init(chain, pool, NULL) == 0);
    for (size_t i = 0; i < chunks; i++) {
        struct zcb_packet packet = foreign_packet(attempt, i % 2 * 1000, 3);

        CHECK(zcb_chain_push(chain, &packet) == 0);
    }
    CHECK(zcb_chain_len(chain) == chunks * 3);
}

static bool
chain_is(const struct zcb_chain *chain, size_t chunks)
{
    uint8_t byte;

    return zcb_chain_len(chain) == chunks * 3 && zcb_chain_chunks(chain) == chunks &&
           zcb_chain_peek_u8(chain, chunks * 3, &byte) == -EAGAIN &&
           (chunks == 0 || zcb_chain_peek_u8(chain, chunks * 3 - 1, &byte) == 0);
}

static void
chain_push_either(struct attempt *attempt, bool front)
{
    for (size_t chunks = 0; chunks < 70 && !attempt->refused; chunks++) {
        struct zcb_packet packet;
        struct zcb_chain chain;
        int result;

        attempt->released = 0;
        chain_of(attempt, &chain, NULL, chunks);
        packet = foreign_packet(attempt, 2000, 3);
        TRY(attempt, result,
            front ? zcb_chain_push_front(&chain, &packet) : zcb_chain_push(&chain, &packet),
            chain_is(&chain, chunks) && packet.data == foreign + 2000 && attempt->released == 0);
        CHECK(packet.owner == NULL);
        CHECK(chain_is(&chain, chunks + 1));
        zcb_chain_finish(&chain);
        CHECK(attempt->released == (int)chunks + 1);
    }
}

static void
chain_push(struct attempt *attempt)
{
    chain_push_either(attempt, false);
}

static void
chain_push_front(struct attempt *attempt)
{
    chain_push_either(attempt, true);
}

static void
chain_push_below(struct attempt *attempt)
{
    const struct zcb_chain_config config = {.copy_below = 100};
    struct zcb_pool *pool = make_pool(attempt);
    struct zcb_packet packet = foreign_packet(attempt, 0, 50);
    struct zcb_chain chain;
    int result;

    CHECK(zcb_chain_init(&chain, pool, &config) == 0);
    TRY(attempt, result, zcb_chain_push(&chain, &packet),
        zcb_chain_len(&chain) == 0 && packet.len == 50 && attempt->released == 0);
    CHECK(attempt->released == 1);
    zcb_chain_finish(&chain);
    must_end(&pool);
}

static void
chain_append(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);
    uint8_t *bytes = calloc(1, 200000); // several blocks: all or nothing

    CHECK(bytes != NULL);
    for (size_t chunks = 0; chunks < 20 && !attempt->refused; chunks++) {
        struct zcb_chain chain;
        int result;

        chain_of(attempt, &chain, pool, chunks);
        TRY(attempt, result, zcb_chain_append(&chain, bytes, 200000), chain_is(&chain, chunks));
        CHECK(zcb_chain_len(&chain) == chunks * 3 + 200000);
        zcb_chain_finish(&chain);
    }
    free(bytes);
    must_end(&pool);
}

static void
chain_reserve_and_commit(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);

    for (size_t chunks = 0; chunks < 20 && !attempt->refused; chunks++) {
        struct zcb_chain chain;
        struct iovec space[4];
        size_t room = 0;
        int result;

        chain_of(attempt, &chain, pool, chunks);
        TRY(attempt, result, zcb_chain_reserve(&chain, 100000, space, 4), chain_is(&chain, chunks));
        for (int i = 0; i < result; i++) {
            memset(space[i].iov_base, 1, space[i].iov_len);
            room += space[i].iov_len;
        }
        CHECK(room >= 100000);
        TRY(attempt, result, zcb_chain_commit(&chain, 100000), chain_is(&chain, chunks));
        CHECK(zcb_chain_len(&chain) == chunks * 3 + 100000);
        zcb_chain_finish(&chain);
    }
    must_end(&pool);
}

static void
chain_take(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);
    struct zcb_packet packet = {0};
    struct zcb_chain chain;
    int result;

    chain_of(attempt, &chain, pool, 10);
    TRY(attempt, result, zcb_chain_take(&chain, 20, &packet),
        chain_is(&chain, 10) && packet.owner == NULL && attempt->released == 0);
    CHECK(zcb_chain_len(&chain) == 10 && attempt->released == 6);
    zcb_packet_unref(&packet);
    zcb_chain_finish(&chain);
    must_end(&pool);
}

static void
chain_gather(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);
    struct zcb_packet packet = {0};
    struct zcb_chain chain;
    int result;

    chain_of(attempt, &chain, pool, 10);
    TRY(attempt, result, zcb_chain_gather(&chain, 1, 20, &packet),
        chain_is(&chain, 10) && packet.owner == NULL);
    CHECK(result == 1);
    CHECK(chain_is(&chain, 10));
    zcb_packet_unref(&packet);
    zcb_chain_finish(&chain);
    must_end(&pool);
}

static void
chain_split(struct attempt *attempt)
{
    struct zcb_chain chain, front;
    int result;

    chain_of(attempt, &chain, NULL, 100);
    chain_of(attempt, &front, NULL, 1);
    TRY(attempt, result, zcb_chain_split(&chain, 200, &front),
        chain_is(&chain, 100) && chain_is(&front, 1) && attempt->released == 0);
    CHECK(zcb_chain_len(&chain) == 100 && zcb_chain_len(&front) == 203);
    zcb_chain_finish(&chain);
    CHECK(attempt->released < 101);
    zcb_chain_finish(&front);
    CHECK(attempt->released == 101);
}

static void
chain_move(struct attempt *attempt)
{
    struct zcb_chain chain, other;
    int result;

    chain_of(attempt, &chain, NULL, 1);
    chain_of(attempt, &other, NULL, 100);
    TRY(attempt, result, zcb_chain_move(&chain, &other),
        chain_is(&chain, 1) && chain_is(&other, 100) && attempt->released == 0);
    CHECK(chain_is(&chain, 101) && chain_is(&other, 0));
    zcb_chain_finish(&chain);
    zcb_chain_finish(&other);
    CHECK(attempt->released == 101);
}

// ---- pieces -------------------------------------------------------------------------------------

static void
piece_create(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);
    struct zcb_piece *piece = NULL;
    int result;

    TRY(attempt, result, zcb_piece_create(pool, 100000, NULL, &piece),
        piece == NULL && live(pool) == 0);
    zcb_piece_destroy(&piece);
    must_end(&pool);
}

static void
piece_create_in_a_buf(struct attempt *attempt)
{
    static uint8_t bytes[1000];
    struct zcb_piece_config config = {.block_size = 10};
    struct zcb_piece *piece = NULL;
    int result;

    CHECK(zcb_buf_wrap(bytes, 0, sizeof(bytes), count_release, attempt, &config.buf) == 0);
    TRY(attempt, result, zcb_piece_create(NULL, 1000, &config, &piece),
        piece == NULL && attempt->released == 0 && zcb_buf_tailroom(config.buf) == 1000);
    zcb_piece_destroy(&piece);
    CHECK(attempt->released == 1);
}

// ---- what needs no memory: not one of these may ask for any, so none of them is refused ---------

static void
everything_else(struct attempt *attempt)
{
    struct zcb_pool *pool = make_pool(attempt);
    struct zcb_buf *buf = must_acquire(pool, 4096), *other = must_acquire(pool, 4096);
    struct zcb_packet packet = {0}, slice = {0}, front = {0};
    struct zcb_pool_stats stats;
    struct zcb_piece *piece = NULL;
    struct zcb_chain chain;
    uint8_t out[10];
    struct iovec iov[2];

    memset(zcb_buf_data(buf), 1, 4096);
    memset(zcb_buf_data(other), 1, 4096);
    CHECK(zcb_piece_create(pool, 10, NULL, &piece) == 0);
    // A thread's first copy asks for room to count it (and does without).
    CHECK(zcb_packet_copy(pool, foreign, 10, &packet) == 0);
    zcb_packet_unref(&packet);
    attempt->nth = 1;
    attempt->for_ever = true;
    arm(attempt);
    CHECK(zcb_buf_append(buf, 4096, NULL) == 0);
    CHECK(zcb_buf_publish(buf, 1000, &packet) == 0);
    CHECK(zcb_packet_slice(&packet, 10, 100, &slice) == 0);
    CHECK(zcb_packet_split(&packet, 500, &front) == 0);
    CHECK(zcb_chain_init(&chain, pool, NULL) == 0);
    CHECK(zcb_chain_push(&chain, &packet) == 0);
    CHECK(zcb_chain_push(&chain, &front) == 0);
    CHECK(zcb_chain_copy_to(&chain, 495, out, 10) == 0);
    CHECK(zcb_chain_consume(&chain, out, 10) == 0);
    CHECK(zcb_piece_write_chain(piece, 0, &chain, 480, 10, 1) == 0);
    CHECK(zcb_piece_share(piece, 0, 10, &packet) == 0);
    zcb_packet_unref(&packet);
    CHECK(zcb_piece_reset(piece) == 0);
    CHECK(zcb_piece_reserve_block(piece, 0, 1, iov) == 0);
    CHECK(zcb_piece_commit_block(piece, 0, 1) == 0);
    CHECK(zcb_piece_take(&piece, &packet) == 0);
    zcb_packet_unref(&packet);
    CHECK(zcb_chain_take(&chain, 100, &packet) == 0);
    zcb_packet_unref(&packet);
    zcb_chain_finish(&chain);
    zcb_packet_unref(&slice);
    zcb_buf_share(&buf, &packet);
    zcb_packet_unref(&packet);
    zcb_buf_release(&other);
    CHECK(zcb_pool_stats(pool, &stats, sizeof(stats)) == 0);
    CHECK(stats.total.live == 0);
    zcb_pool_trim(pool, 0);
    zcb_pool_decay(pool);
    zcb_thread_flush();
    zcb_pool_destroy(&pool);
    disarm(attempt);
}

static const struct {
    void (*entry)(struct attempt *attempt);
    const char *name;
    bool must_fail; // asks libc for memory whatever the pool; else it may cope
} entries[] = {
#define ENTRY(name, must_fail)                                                                     \
    {                                                                                              \
        name, #name, must_fail                                                                     \
    }
    ENTRY(source_fixed, true),
    ENTRY(map_file, true),
    ENTRY(map_file_stable, true),
    ENTRY(map_file_stream, true),
    ENTRY(pool_create, true),
    ENTRY(pool_create_preallocated, true),
    ENTRY(pool_acquire_small, true),
    ENTRY(pool_acquire_large, true),
    ENTRY(pool_acquire_oversize, true),
    ENTRY(pool_acquire_beyond_a_tier, true),
    ENTRY(pool_acquire_n, true),
    ENTRY(pool_prefault, true),
    ENTRY(thread_warm, false),
    ENTRY(buf_alloc, true),
    ENTRY(buf_wrap, true),
    ENTRY(packet_wrap, true),
    ENTRY(packet_copy, true),
    ENTRY(packet_make_writable, true),
    ENTRY(packet_compact, true),
    ENTRY(chain_push, true),
    ENTRY(chain_push_front, true),
    ENTRY(chain_push_below, true),
    ENTRY(chain_append, true),
    ENTRY(chain_reserve_and_commit, true),
    ENTRY(chain_take, true),
    ENTRY(chain_gather, true),
    ENTRY(chain_split, true),
    ENTRY(chain_move, true),
    ENTRY(piece_create, true),
    ENTRY(piece_create_in_a_buf, true),
    ENTRY(everything_else, false),
#undef ENTRY
};

static void *
run_attempt(void *arg)
{
    struct attempt *attempt = arg;

    attempt->entry(attempt);
    return NULL;
}

static void
make_attempt(struct attempt *attempt)
{
    pthread_t thread;

    zcb_failing_source_init(&attempt->source);
    attempt->any_failed = attempt->refused = false;
    attempt->released = 0;
    assert_int_equal(pthread_create(&thread, NULL, run_attempt, attempt), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(attempt->source.live, 0);
    assert_int_equal(attempt->source.live_bytes, 0);
    assert_int_equal(attempt->source.attached, 0);
}

static void
fail_every_request_of_every_entry_point(bool by_source)
{
    for (size_t e = 0; e < sizeof(entries) / sizeof(entries[0]); e++) {
        uint64_t most = 0;
        bool refused = false;

        for (int i = 0; i < 2 * POOL_KINDS; i++) {
            struct attempt attempt = {
                .entry = entries[e].entry,
                .name = entries[e].name,
                .pool_kind = i / 2,
                .by_source = by_source,
                .for_ever = i % 2 != 0,
                .nth = 0,
            };
            int64_t before;

            make_attempt(&attempt); // what a process keeps for good is there from now on
            before = zcb_alloc_live();
            for (uint64_t nth = 1;; nth++) {
                assert_true(nth < 1000);
                attempt.nth = nth;
                make_attempt(&attempt);
                if (zcb_alloc_live() != before)
                    print_error("%s, request %" PRIu64 ": %" PRId64 " blocks leaked\n",
                                attempt.name, nth, zcb_alloc_live() - before);
                assert_int_equal(zcb_alloc_live(), before);
                refused = refused || attempt.refused;
                if (!attempt.any_failed)
                    break;
                if (entries[e].entry == everything_else)
                    print_error("something that may not ask for memory did\n");
                assert_true(entries[e].entry != everything_else);
                most = nth > most ? nth : most;
            }
        }
        if (!by_source && entries[e].must_fail) {
            if (!refused)
                print_error("%s was never refused\n", entries[e].name);
            assert_true(refused);
        }
        if (zcb_test_env("ZCB_VERBOSE", 0) != 0)
            print_message("%s: %" PRIu64 " requests%s\n", entries[e].name, most,
                          refused ? ", refused" : "");
    }
}

static void
a_call_without_memory_from_its_source_changes_nothing(void **state)
{
    (void)state;
    fail_every_request_of_every_entry_point(true);
}

static void
a_call_without_memory_from_libc_changes_nothing(void **state)
{
    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    fail_every_request_of_every_entry_point(false);
}

// ---- a process that may not have more -----------------------------------------------------------

// The stack grows by need as well, and where it cannot the process dies: so it grows beforehand.
static __attribute__((noinline)) void
grow_the_stack(void)
{
    volatile uint8_t room[256 * KIB];

    for (size_t i = 0; i < sizeof(room); i += 1024)
        room[i] = 1;
}

static void
run_into_the_limit(void *arg)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_buf *bufs[4096] = {NULL};
    struct rlimit limit;
    uint64_t pages = 0;
    int result = 0, n = 0;
    FILE *statm = fopen("/proc/self/statm", "r");

    (void)arg;
    grow_the_stack();
    CHECK(statm != NULL && fscanf(statm, "%" SCNu64, &pages) == 1);
    fclose(statm);
    limit.rlim_cur = limit.rlim_max = (rlim_t)(pages * (uint64_t)sysconf(_SC_PAGESIZE) + 32 * MIB);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    while (n < 4096 && (result = zcb_pool_acquire(pool, 65536, &bufs[n])) == 0)
        memset(zcb_buf_data(bufs[n++]), 1, 65536);
    CHECK(result == -ENOMEM);
    CHECK(n > 10);
    CHECK(zcb_pool_acquire(pool, 65536, &bufs[n]) == -ENOMEM);
    // One given back is one to be had.
    zcb_buf_release(&bufs[n - 1]);
    CHECK(zcb_pool_acquire(pool, 65536, &bufs[n - 1]) == 0);
    zcb_buf_release_n(bufs, (size_t)n);
    must_end(&pool);
}

static void
a_process_at_its_limit_is_told_so_and_goes_on(void **state)
{
    struct child child;

    (void)state;
    if (ZCB_UNDER_ASAN || ZCB_UNDER_TSAN)
        skip(); // their shadow memory is above any limit
    child = child_run(run_into_the_limit, NULL);
    assert_child_succeeded(child);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_without_memory_from_its_source_changes_nothing),
        cmocka_unit_test(a_call_without_memory_from_libc_changes_nothing),
        cmocka_unit_test(a_process_at_its_limit_is_told_so_and_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
