// SPDX-License-Identifier: MIT
//
// Threads that come and go do random things with pools of random shapes, over a source that fails at
// random and knows its limit. ZCB_SEED repeats a run as far as threads allow, ZCB_ROUNDS lengthens
// it.
//
// What is looked at: each buffer has its owner's mark at both ends as long as it is out (so none is
// out twice), the source is never asked for more than the limit, nothing is lost or counted wrongly
// when all is quiet, and all memory is back at the end.

#include "testing.h"

#include "support/pools.h"

#include <pthread.h>

#include "pool/pool.h"

#define THREADS 4
#define SLOTS 64 // where threads leave things for each other

// ---- random numbers -----------------------------------------------------------------------------

struct random {
    uint64_t state;
};

static uint32_t
next_random(struct random *random)
{
    // xorshift64*, Vigna 2016.
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return (uint32_t)(random->state * 0x2545f4914f6cdd1du >> 32);
}

static uint32_t
below(struct random *random, uint32_t end)
{
    return next_random(random) % end;
}

static bool
one_in(struct random *random, uint32_t n)
{
    return below(random, n) == 0;
}

// ---- a source that fails at random --------------------------------------------------------------

struct rough_source {
    struct zcb_source source;
    size_t max_bytes;   // of the pool; 0: none
    uint32_t fails;     // one alloc in so many; 0: none
    uint32_t no_attach; // the same for attach
    uint64_t calls, bytes, attached, closed;
};

static bool
has_bad_luck(struct rough_source *rough, uint32_t one)
{
    uint64_t call = __atomic_add_fetch(&rough->calls, 1, __ATOMIC_RELAXED);

    return one != 0 && (call * 0x9e3779b97f4a7c15u >> 40) % one == 0;
}

static void *
rough_alloc(void *ctx, size_t len, size_t align)
{
    struct rough_source *rough = ctx;
    uint64_t bytes;
    void *data;

    if (has_bad_luck(rough, rough->fails))
        return NULL;
    data = aligned_alloc(align, (len + align - 1) & ~(align - 1));
    if (data == NULL)
        return NULL;
    bytes = __atomic_add_fetch(&rough->bytes, len, __ATOMIC_RELAXED);
    CHECK(rough->max_bytes == 0 || bytes <= rough->max_bytes);
    return data;
}

static void
rough_free(void *ctx, void *data, size_t len, size_t align)
{
    struct rough_source *rough = ctx;

    (void)align;
    free(data);
    __atomic_sub_fetch(&rough->bytes, len, __ATOMIC_RELAXED);
}

static int
rough_purge(void *ctx, void *data, size_t len, bool now)
{
    struct rough_source *rough = ctx;

    (void)now;
    if (has_bad_luck(rough, rough->fails))
        return -EAGAIN;
    memset(data, 0, len);
    return 0;
}

static int
rough_attach(void *ctx, void *data, size_t len, void **tag)
{
    struct rough_source *rough = ctx;

    (void)len;
    if (has_bad_luck(rough, rough->no_attach))
        return -ENOSPC;
    __atomic_add_fetch(&rough->attached, 1, __ATOMIC_RELAXED);
    *tag = data;
    return 0;
}

static void
rough_detach(void *ctx, void *data, size_t len, void *tag)
{
    struct rough_source *rough = ctx;

    (void)len;
    CHECK(tag == data);
    __atomic_sub_fetch(&rough->attached, 1, __ATOMIC_RELAXED);
}

static void
rough_close(void *ctx)
{
    __atomic_add_fetch(&((struct rough_source *)ctx)->closed, 1, __ATOMIC_RELEASE);
}

// ---- what is out --------------------------------------------------------------------------------

// A buf, or a packet of a buf.
struct item {
    struct zcb_buf *buf;
    struct zcb_packet packet;
    uint64_t mark;
};

static void
mark_ends(uint8_t *data, size_t len, uint64_t mark)
{
    memcpy(data, &mark, sizeof(mark));
    memcpy(data + len - sizeof(mark), &mark, sizeof(mark));
}

static void
must_have_mark(const struct item *item)
{
    const uint8_t *data = item->buf != NULL ? zcb_buf_data(item->buf) : item->packet.data;
    size_t len = item->buf != NULL ? zcb_buf_len(item->buf) : item->packet.len;
    uint64_t mark;

    memcpy(&mark, data, sizeof(mark));
    CHECK(mark == item->mark);
    memcpy(&mark, data + len - sizeof(mark), sizeof(mark));
    CHECK(mark == item->mark);
}

static struct item
marked(struct zcb_buf *buf, uint64_t mark)
{
    struct item item = {.buf = buf, .mark = mark};
    size_t len = zcb_buf_tailroom(buf);

    CHECK(zcb_buf_len(buf) == 0);
    CHECK(zcb_buf_set_len(buf, len) == 0);
    mark_ends(zcb_buf_data(buf), len, mark);
    return item;
}

static void
let_go(struct item *item)
{
    if (item->buf == NULL && item->packet.owner == NULL)
        return;
    must_have_mark(item);
    if (item->buf != NULL) {
        mark_ends(zcb_buf_data(item->buf), zcb_buf_len(item->buf), 0);
        zcb_buf_release(&item->buf);
    } else {
        zcb_packet_unref(&item->packet);
    }
}

// ---- a round ------------------------------------------------------------------------------------

struct round {
    struct zcb_pool *pool;
    struct zcb_pool_config config;
    struct rough_source rough;
    size_t largest; // tier
    pthread_mutex_t lock;
    struct item slots[SLOTS]; // under the lock
    uint64_t marks;           // given out so far
    uint32_t steps;
    bool closing; // nobody acquires any more
};

struct worker {
    struct round *round;
    struct random random;
    struct item held[48];
    pthread_t thread;
};

static uint64_t
new_mark(struct round *round)
{
    return __atomic_add_fetch(&round->marks, 1, __ATOMIC_RELAXED) * 0x9e3779b97f4a7c15u | 1;
}

static struct item *
a_place(struct worker *worker)
{
    return &worker->held[below(&worker->random, sizeof(worker->held) / sizeof(worker->held[0]))];
}

static size_t
some_len(struct worker *worker)
{
    size_t largest = worker->round->largest;

    return one_in(&worker->random, 40) ? largest + below(&worker->random, (uint32_t)largest)
                                       : below(&worker->random, (uint32_t)largest + 1);
}

static void
must_be_a_known_error(int result)
{
    CHECK(result == -ENOBUFS || result == -ENOMEM || result == -ETIMEDOUT || result == -ENOSPC);
}

static void
acquire_some(struct worker *worker)
{
    struct round *round = worker->round;
    struct zcb_buf *bufs[80];
    size_t len = some_len(worker), want = 1 + below(&worker->random, 80);
    int got;

    if (__atomic_load_n(&round->closing, __ATOMIC_ACQUIRE))
        return;
    switch (below(&worker->random, 8)) {
    case 0:
        got = zcb_pool_acquire_n(round->pool, len, bufs, want);
        break;
    case 1:
        got = zcb_pool_acquire_flags(round->pool, len, ZCB_ACQUIRE_NOWAIT, &bufs[0]);
        got = got == 0 ? 1 : got;
        break;
    case 2:
        got = zcb_pool_acquire_flags(round->pool, len, ZCB_ACQUIRE_RESERVED, &bufs[0]);
        got = got == 0 ? 1 : got;
        break;
    default:
        got = zcb_pool_acquire(round->pool, len, &bufs[0]);
        got = got == 0 ? 1 : got;
    }
    CHECK(got != 0);
    if (got < 0)
        must_be_a_known_error(got);
    for (int i = 0; i < got; i++) {
        struct item *place = a_place(worker);

        CHECK(zcb_buf_tailroom(bufs[i]) >= len);
        let_go(place);
        *place = marked(bufs[i], new_mark(round));
    }
}

// Swaps what it has for what another thread left.
static void
swap_one(struct worker *worker)
{
    struct round *round = worker->round;
    struct item *place = a_place(worker), *slot = &round->slots[below(&worker->random, SLOTS)], was;

    pthread_mutex_lock(&round->lock);
    was = *slot;
    *slot = *place;
    pthread_mutex_unlock(&round->lock);
    *place = was;
}

static void
share_one(struct worker *worker)
{
    struct item *place = a_place(worker), *other = a_place(worker);

    if (place == other)
        return;
    if (place->buf != NULL) {
        zcb_buf_share(&place->buf, &place->packet);
    } else if (place->packet.owner != NULL) {
        let_go(other);
        *other = (struct item){.packet = zcb_packet_ref(&place->packet), .mark = place->mark};
    }
}

static void
look_after_the_pool(struct worker *worker)
{
    struct round *round = worker->round;
    struct zcb_pool *pool = round->pool;
    struct random *random = &worker->random;

    if (__atomic_load_n(&round->closing, __ATOMIC_ACQUIRE))
        return;
    switch (below(random, 8)) {
    case 0:
        zcb_pool_trim(pool, one_in(random, 2) ? 0 : below(random, 1u << 16));
        break;
    case 1:
        zcb_pool_decay(pool);
        break;
    case 2: {
        int result =
            zcb_pool_prefault(pool, below(random, (uint32_t)round->largest), below(random, 100));

        if (result < 0)
            CHECK(result != -EINVAL || round->config.headroom != 0);
        break;
    }
    case 3: {
        int result = zcb_thread_warm(pool);

        if (result < 0)
            must_be_a_known_error(result);
        break;
    }
    case 4:
        zcb_thread_flush();
        break;
    default: {
        struct zcb_pool_stats stats = must_stats(pool);

        CHECK(stats.total.acquires >= stats.total.returns + stats.total.drops);
        CHECK(round->config.max_bytes == 0 || stats.total.peak_charged <= round->config.max_bytes);
    }
    }
}

static void *
work(void *argument)
{
    struct worker *worker = argument;

    for (uint32_t step = 0; step < worker->round->steps; step++) {
        uint32_t what = below(&worker->random, 64);

        if (what < 24)
            acquire_some(worker);
        else if (what < 48)
            let_go(a_place(worker));
        else if (what < 56)
            swap_one(worker);
        else if (what < 63)
            share_one(worker);
        else
            look_after_the_pool(worker);
    }
    // What it leaves is somebody else's; the rest goes while it ends.
    for (size_t i = 0; i < sizeof(worker->held) / sizeof(worker->held[0]); i++)
        if (one_in(&worker->random, 2))
            let_go(&worker->held[i]);
    for (int i = 0; i < 16; i++)
        swap_one(worker);
    for (size_t i = 0; i < sizeof(worker->held) / sizeof(worker->held[0]); i++)
        let_go(&worker->held[i]);
    return NULL;
}

static void
start(struct worker *worker, struct round *round, struct random *random)
{
    memset(worker, 0, sizeof(*worker));
    worker->round = round;
    worker->random.state = (uint64_t)next_random(random) << 32 | next_random(random) | 1;
    CHECK(pthread_create(&worker->thread, NULL, work, worker) == 0);
}

static void
random_config(struct round *round, struct random *random)
{
    static const uint32_t flags[] = {0, 0, 0, ZCB_POOL_HARDENED, ZCB_POOL_NO_CACHE};
    struct zcb_pool_config *config = &round->config;
    uint32_t tiers = 1 + below(random, ZCB_POOL_TIERS);
    size_t size = 0;

    for (uint32_t t = 0; t < tiers; t++) {
        struct zcb_tier *tier = &config->tiers[t];

        size += 64 * (size_t)(1 + below(random, one_in(random, 3) ? 64 : 8));
        tier->buffer_size = size;
        tier->magazine = one_in(random, 3) ? 0 : one_in(random, 3) ? 120 : 1 + below(random, 120);
        if (one_in(random, 4))
            tier->magazine = 1 + below(random, 4);
        tier->max_buffers = one_in(random, 2) ? 0 : 1 + below(random, one_in(random, 2) ? 40 : 400);
        if (one_in(random, 5) && tier->max_buffers != 0)
            tier->prealloc = below(random, (uint32_t)tier->max_buffers);
    }
    round->largest = size;
    config->headroom = one_in(random, 4) ? below(random, 48) : 0;
    config->slab_size = one_in(random, 4) ? 0 : 64 * (size_t)(1 + below(random, 1024));
    if (one_in(random, 2)) {
        config->max_bytes = size * (4 + below(random, 400));
        if (one_in(random, 4))
            config->reserve_bytes = below(random, (uint32_t)(config->max_bytes / 2));
    }
    config->flags = flags[below(random, 5)];
    config->flags |= one_in(random, 3) ? ZCB_POOL_ADAPTIVE : 0;
    config->flags |= one_in(random, 4) ? ZCB_POOL_NO_OVERSIZE : 0;
    config->policy = (enum zcb_pool_policy)below(random, 3);
    config->wait_ms = 1 + below(random, 3);
    config->source = &round->rough.source;
    round->rough = (struct rough_source){
        .source = {.ctx = &round->rough,
                   .alloc = rough_alloc,
                   .free = rough_free,
                   .close = rough_close},
        .max_bytes = config->max_bytes,
    };
    if (one_in(random, 2))
        round->rough.source.purge = rough_purge;
    if (one_in(random, 2)) {
        round->rough.source.attach = rough_attach;
        round->rough.source.detach = rough_detach;
    }
}

// No thread is in a call.
static void
must_be_sound(struct round *round)
{
    struct zcb_pool_stats stats = must_be_at_rest(round->pool);

    CHECK(round->pool->waiters == 0);
    CHECK(stats.total.charged == __atomic_load_n(&round->rough.bytes, __ATOMIC_RELAXED));
    for (uint32_t t = 0; t < stats.tiers; t++) {
        const struct zcb_tier_stats *tier = &stats.tier[t];
        size_t max = round->config.tiers[t].max_buffers;

        CHECK(max == 0 || round->config.policy == ZCB_POOL_DYNAMIC ||
              tier->live + tier->cached + tier->depot <= max);
    }
}

static void
use_in_the_child(void *argument)
{
    struct round *round = argument;
    struct worker *worker = calloc(1, sizeof(*worker));

    CHECK(worker != NULL);
    CHECK(must_stats(round->pool).threads <= 1);
    worker->round = round;
    worker->random.state = 12345;
    CHECK(pthread_mutex_init(&round->lock, NULL) == 0); // who had it is not here
    memset(round->slots, 0, sizeof(round->slots));      // it may have been half written
    round->rough.max_bytes = 0; // what others were just freeing is not free here
    round->steps = 300;
    work(worker);
    CHECK(must_stats(round->pool).threads <= 1);
    free(worker);
}

static bool
play(uint64_t seed)
{
    struct random random = {seed * 2 + 1};
    static struct worker workers[THREADS];
    static struct round round;
    struct zcb_pool *pool;
    bool destroy_early, forks;
    int result;

    for (int i = 0; i < 8; i++)
        (void)next_random(&random);
    memset(&round, 0, sizeof(round));
    random_config(&round, &random);
    CHECK(pthread_mutex_init(&round.lock, NULL) == 0);
    round.steps = 200 + below(&random, 1500);
    destroy_early = one_in(&random, 3);
    forks = !ZCB_UNDER_ASAN && !ZCB_UNDER_TSAN && one_in(&random, 4);
    result = zcb_pool_create(&round.config, &round.pool);
    if (result < 0) { // what is to be there from the start does not fit
        must_be_a_known_error(result);
        CHECK(round.rough.bytes == 0 && round.rough.closed == 0);
        return true;
    }
    if (one_in(&random, 2)) {
        round.rough.fails = 2 + below(&random, 6);
        round.rough.no_attach = 5 + below(&random, 10);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        start(&workers[i], &round, &random);
    for (uint32_t i = 0; i < THREADS * 3; i++) {
        struct worker *worker = &workers[i % THREADS];

        if (forks && i % THREADS == 0) {
            struct child child = child_run(use_in_the_child, &round);

            if (!child_succeeded(&child))
                child_show(&child);
            CHECK(child_succeeded(&child));
        }
        pthread_join(worker->thread, NULL);
        if (i < THREADS * 2)
            start(worker, &round, &random);
    }
    must_be_sound(&round);
    // Some are still in the slots. Threads let them go while, or after, the pool is destroyed.
    round.closing = true;
    if (destroy_early)
        for (uint32_t i = 0; i < 2; i++)
            start(&workers[i], &round, &random);
    pool = round.pool;
    zcb_pool_destroy(&pool);
    if (destroy_early)
        for (uint32_t i = 0; i < 2; i++)
            pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < SLOTS; i++)
        let_go(&round.slots[i]);
    CHECK(round.rough.bytes == 0);
    CHECK(round.rough.attached == 0);
    CHECK(round.rough.closed == 1);
    pthread_mutex_destroy(&round.lock);
    return true;
}

static uint64_t
from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);

    return value != NULL ? strtoull(value, NULL, 0) : otherwise;
}

static void
rounds_in_a_child(void *argument)
{
    uint64_t seed = *(uint64_t *)argument;
    uint64_t rounds = from_environment("ZCB_ROUNDS", ZCB_UNDER_TSAN || ZCB_UNDER_ASAN ? 20 : 60);

    for (uint64_t i = 0; i < rounds; i++) {
        fprintf(stderr, "seed %llu\n", (unsigned long long)(seed + i));
        alarm(100);
        CHECK(play(seed + i));
    }
}

static void
no_buffer_is_lost_or_out_twice_whatever_threads_do(void **state)
{
    uint64_t seed = from_environment("ZCB_SEED", 1);
    struct child child = child_run(rounds_in_a_child, &seed);

    (void)state;
    assert_child_succeeded(child);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_buffer_is_lost_or_out_twice_whatever_threads_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
