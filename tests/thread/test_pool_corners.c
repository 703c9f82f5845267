// SPDX-License-Identifier: MIT
//
// Corners of the pool: callbacks that use it, calls that meet while one of them is at the source,
// what cannot be had, and what idles.
//
// Each test runs in a child, so that one that would wait for ever fails instead, and uses CHECK().
// The alarm there is no measure of anything: it ends what hangs.

#include "testing.h"

#include "support/failing_source.h"
#include "support/pools.h"

#include <pthread.h>
#include <sched.h>

#include "pool/pool.h"

// ---- a source that can be stopped ---------------------------------------------------------------

// Over libc. The next alloc or free is stopped when it is told to: it comes to the gate once when
// it has been called, and once more before it goes on.
struct gated_source {
    struct zcb_source source;
    pthread_barrier_t gate;
    bool stop_alloc, stop_free; // the next one
    bool refuse;                // the alloc that was stopped
    uint64_t used, most;        // bytes out, and how many there may be; 0: any
    unsigned closed;
    void (*on_close)(void);
};

static void
pass_the_gate(struct gated_source *gated)
{
    pthread_barrier_wait(&gated->gate);
    pthread_barrier_wait(&gated->gate);
}

static void *
gated_alloc(void *ctx, size_t len, size_t align)
{
    struct gated_source *gated = ctx;
    void *data = NULL;

    if (__atomic_exchange_n(&gated->stop_alloc, false, __ATOMIC_ACQ_REL)) {
        pass_the_gate(gated);
        if (gated->refuse)
            return NULL;
    }
    if (__atomic_add_fetch(&gated->used, len, __ATOMIC_RELAXED) <= gated->most || gated->most == 0)
        data = aligned_alloc(align, (len + align - 1) / align * align);
    if (data == NULL)
        __atomic_sub_fetch(&gated->used, len, __ATOMIC_RELAXED);
    return data;
}

static void
gated_free(void *ctx, void *data, size_t len, size_t align)
{
    struct gated_source *gated = ctx;

    (void)align;
    if (__atomic_exchange_n(&gated->stop_free, false, __ATOMIC_ACQ_REL))
        pass_the_gate(gated);
    free(data);
    __atomic_sub_fetch(&gated->used, len, __ATOMIC_RELAXED);
}

static void
gated_close(void *ctx)
{
    struct gated_source *gated = ctx;

    __atomic_add_fetch(&gated->closed, 1, __ATOMIC_RELAXED);
    if (gated->on_close != NULL)
        gated->on_close();
}

static void
gated_init(struct gated_source *gated)
{
    memset(gated, 0, sizeof(*gated));
    gated->source.ctx = gated;
    gated->source.alloc = gated_alloc;
    gated->source.free = gated_free;
    gated->source.close = gated_close;
    CHECK(pthread_barrier_init(&gated->gate, NULL, 2) == 0);
}

static void
stop_next(bool *which)
{
    __atomic_store_n(which, true, __ATOMIC_RELEASE);
}

static pthread_t
must_start(void *(*body)(void *), void *argument)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

static void *
acquire_one(void *argument)
{
    struct zcb_buf *buf = must_acquire(argument, 1);

    zcb_buf_release(&buf);
    return NULL;
}

static void *
release_one(void *argument)
{
    struct zcb_buf *buf = argument;

    zcb_buf_release(&buf);
    return NULL;
}

static void *
trim_all(void *argument)
{
    zcb_pool_trim(argument, 0);
    return NULL;
}

// ---- watermarks ---------------------------------------------------------------------------------

struct told {
    unsigned count, high;
    struct zcb_buf *held[128]; // released when it is called
    size_t n;
    bool use; // the pool
};

static void
on_pressure(void *ctx, struct zcb_pool *pool, bool high)
{
    struct told *told = ctx;

    told->count++;
    told->high += high;
    CHECK(told->count < 1000);
    while (told->n != 0)
        zcb_buf_release(&told->held[--told->n]);
    if (told->use)
        acquire_one(pool);
}

static void
equal_watermarks_tell_once_for_each_crossing(void *unused)
{
    struct told told = {0};
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096}},
        .slab_size = MIB,
        .low_bytes = MIB,
        .high_bytes = MIB,
        .on_pressure = on_pressure,
        .pressure_ctx = &told,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *buf = must_acquire(pool, 100);

    (void)unused;
    CHECK(told.high == 1);
    CHECK(told.count <= 2);
    zcb_buf_release(&buf);
    must_end(&pool);
}

static void
a_create_that_fails_tells_nobody_of_its_pool(void *unused)
{
    struct told told = {.use = true};
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .prealloc = 64}, {.buffer_size = 65536, .prealloc = 100}},
        .max_bytes = MIB,
        .low_bytes = 4096,
        .high_bytes = 65536,
        .on_pressure = on_pressure,
        .pressure_ctx = &told,
    };
    struct zcb_pool *pool = NULL;

    (void)unused;
    CHECK(zcb_pool_create(&config, &pool) == -ENOBUFS);
    CHECK(pool == NULL);
    CHECK(told.count == 0);
    pool = must_create(NULL);
    acquire_one(pool);
    must_end(&pool);
}

struct visitor {
    struct zcb_pool *pool;
    pthread_barrier_t step;
};

static void *
use_then_end(void *argument)
{
    struct visitor *visitor = argument;

    acquire_one(visitor->pool);
    pthread_barrier_wait(&visitor->step);
    pthread_barrier_wait(&visitor->step);
    return NULL;
}

static void *
acquire_large(void *argument)
{
    struct zcb_buf *buf = must_acquire(argument, 60000);

    zcb_buf_release(&buf);
    return NULL;
}

// The thread that ends is the one that is to tell of the rise, and the callback uses the cache that
// is about to go.
static void
a_thread_that_ends_can_be_the_one_who_tells(void *unused)
{
    struct told told = {.use = true};
    struct gated_source gated;
    struct zcb_pool_config config = {
        .source = &gated.source,
        .slab_size = MIB,
        .tiers = {{.buffer_size = 4096}, {.buffer_size = 65536}},
        .low_bytes = 1,
        .high_bytes = 2 * MIB,
        .on_pressure = on_pressure,
        .pressure_ctx = &told,
    };
    struct visitor visitor;
    pthread_t ends, grows;

    (void)unused;
    gated_init(&gated);
    visitor.pool = must_create(&config);
    CHECK(pthread_barrier_init(&visitor.step, NULL, 2) == 0);
    ends = must_start(use_then_end, &visitor);
    pthread_barrier_wait(&visitor.step);
    stop_next(&gated.stop_alloc);
    grows = must_start(acquire_large, visitor.pool);
    pthread_barrier_wait(&gated.gate);
    pthread_barrier_wait(&visitor.step);
    pthread_join(ends, NULL);
    CHECK(told.high == 1);
    pthread_barrier_wait(&gated.gate);
    pthread_join(grows, NULL);
    must_end(&visitor.pool);
    CHECK(gated.closed == 1);
}

static void *
prefault_large(void *argument)
{
    CHECK(zcb_pool_prefault(argument, 60000, 16) == 0);
    return NULL;
}

// The callback runs inside an acquire that has found the thread's cache empty, and fills it.
static void
a_callback_may_release_into_the_cache_that_an_acquire_is_about_to_fill(void *unused)
{
    struct told told = {0};
    struct gated_source gated;
    struct zcb_pool_config config = {
        .source = &gated.source,
        .slab_size = MIB,
        .tiers = {{.buffer_size = 4096}, {.buffer_size = 65536}},
        .low_bytes = 1,
        .high_bytes = 2 * MIB,
        .on_pressure = on_pressure,
        .pressure_ctx = &told,
    };
    struct zcb_pool *pool;
    struct zcb_buf *first, *other, *last;
    pthread_t thread;

    (void)unused;
    gated_init(&gated);
    pool = must_create(&config);
    first = must_acquire(pool, 1);
    other = must_acquire(pool, 1);
    while (told.n < 31 || (told.n < 128 && must_stats(pool).total.cached != 0))
        told.held[told.n++] = must_acquire(pool, 1);
    thread = must_start(release_one, other); // its cache is one of those kept ready
    pthread_join(thread, NULL);
    stop_next(&gated.stop_alloc);
    thread = must_start(prefault_large, pool);
    pthread_barrier_wait(&gated.gate);
    last = must_acquire(pool, 1);
    CHECK(told.high == 1);
    CHECK(told.n == 0);
    pthread_barrier_wait(&gated.gate);
    pthread_join(thread, NULL);
    zcb_buf_release(&last);
    zcb_buf_release(&first);
    must_end(&pool);
    CHECK(gated.closed == 1);
}

// ---- close --------------------------------------------------------------------------------------

static struct zcb_pool *made_in_close;

static void
make_a_pool_and_use_it(void)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 64},
                  {.buffer_size = 128},
                  {.buffer_size = 256},
                  {.buffer_size = 512},
                  {.buffer_size = 1024},
                  {.buffer_size = 4096}},
    };
    struct zcb_buf *buf;

    made_in_close = must_create(&config);
    buf = must_acquire(made_in_close, 4000);
    zcb_buf_release(&buf);
}

static void *
use_then_flush(void *argument)
{
    use_then_end(argument);
    zcb_thread_flush(); // this thread is the last of a pool that was destroyed
    return NULL;
}

static void
close_in_a_flush(void (*on_close)(void))
{
    struct gated_source gated;
    struct zcb_pool_config config = {.source = &gated.source, .tiers = {{.buffer_size = 4096}}};
    struct visitor visitor;
    pthread_t thread;

    gated_init(&gated);
    gated.on_close = on_close;
    visitor.pool = must_create(&config);
    CHECK(pthread_barrier_init(&visitor.step, NULL, 2) == 0);
    thread = must_start(use_then_flush, &visitor);
    pthread_barrier_wait(&visitor.step);
    zcb_pool_destroy(&visitor.pool);
    pthread_barrier_wait(&visitor.step);
    pthread_join(thread, NULL);
    CHECK(gated.closed == 1);
}

static void
a_source_may_make_and_use_a_pool_while_it_closes(void *unused)
{
    (void)unused;
    close_in_a_flush(make_a_pool_and_use_it);
    must_end(&made_in_close);
}

static void
a_source_may_flush_its_thread_while_it_closes(void *unused)
{
    (void)unused;
    close_in_a_flush(zcb_thread_flush);
}

// ---- while somebody is at the source ------------------------------------------------------------

static void *
fail_to_acquire_700_kib(void *argument)
{
    struct zcb_buf *buf = NULL;

    CHECK(zcb_pool_acquire(argument, 700 * KIB, &buf) == -ENOMEM);
    return NULL;
}

static void *
acquire_700_kib(void *argument)
{
    struct zcb_buf *buf = must_acquire(argument, 700 * KIB);

    zcb_buf_release(&buf);
    return NULL;
}

static void *
acquire_100_kib(void *argument)
{
    struct zcb_buf *buf = must_acquire(argument, 100 * KIB);

    zcb_buf_release(&buf);
    return NULL;
}

static void
until_somebody_waits(struct zcb_pool *pool)
{
    while (must_stats(pool).total.waits == 0)
        sched_yield();
}

static void
a_single_allocation_that_fails_wakes_who_waited_for_its_bytes(void *unused)
{
    struct gated_source gated;
    struct zcb_pool_config config = {
        .source = &gated.source,
        .max_bytes = MIB,
        .policy = ZCB_POOL_WAIT,
        .wait_ms = UINT32_MAX,
    };
    struct zcb_pool *pool;
    pthread_t fails, waits;

    (void)unused;
    gated_init(&gated);
    pool = must_create(&config);
    gated.refuse = true;
    stop_next(&gated.stop_alloc);
    fails = must_start(fail_to_acquire_700_kib, pool);
    pthread_barrier_wait(&gated.gate);
    waits = must_start(acquire_700_kib, pool);
    until_somebody_waits(pool);
    pthread_barrier_wait(&gated.gate);
    pthread_join(fails, NULL);
    pthread_join(waits, NULL);
    must_end(&pool);
}

static void
nobody_who_may_not_wait_waits_for_anothers_slow_source(void *unused)
{
    struct gated_source gated;
    struct zcb_pool_config config = {
        .source = &gated.source,
        .tiers = {{.buffer_size = 4096}},
        .policy = ZCB_POOL_WAIT,
        .wait_ms = 1,
    };
    struct zcb_pool *pool;
    struct zcb_buf *buf = NULL;
    pthread_t thread;

    (void)unused;
    gated_init(&gated);
    pool = must_create(&config);
    stop_next(&gated.stop_alloc);
    thread = must_start(acquire_one, pool);
    pthread_barrier_wait(&gated.gate);
    CHECK(zcb_pool_acquire_flags(pool, 1, ZCB_ACQUIRE_NOWAIT, &buf) == -ENOBUFS);
    CHECK(zcb_pool_acquire(pool, 1, &buf) == -ETIMEDOUT);
    CHECK(buf == NULL);
    pthread_barrier_wait(&gated.gate);
    pthread_join(thread, NULL);
    must_end(&pool);
}

// A pool of 1 MiB whose 16 buffers are all idle, while trim is about to free the first of them.
static struct zcb_pool *
stopped_in_trim(struct gated_source *gated, enum zcb_pool_policy policy, pthread_t *thread)
{
    struct zcb_pool_config config = {
        .source = &gated->source,
        .tiers = {{.buffer_size = 65536}},
        .max_bytes = MIB,
        .policy = policy,
        .wait_ms = UINT32_MAX,
    };
    struct zcb_buf *bufs[16];
    struct zcb_pool *pool;

    gated_init(gated);
    pool = must_create(&config);
    for (size_t i = 0; i < 16; i++)
        bufs[i] = must_acquire(pool, 65536);
    zcb_buf_release_n(bufs, 16);
    stop_next(&gated->stop_free);
    *thread = must_start(trim_all, pool);
    pthread_barrier_wait(&gated->gate);
    return pool;
}

static void
who_waits_gets_what_a_trim_is_just_freeing(void *unused)
{
    struct gated_source gated;
    pthread_t trims, waits;
    struct zcb_pool *pool = stopped_in_trim(&gated, ZCB_POOL_WAIT, &trims);

    (void)unused;
    waits = must_start(acquire_one, pool);
    until_somebody_waits(pool);
    pthread_barrier_wait(&gated.gate);
    pthread_join(waits, NULL);
    pthread_join(trims, NULL);
    must_end(&pool);
}

static void
fill_in_the_child(void *argument)
{
    struct zcb_pool *pool = argument;
    struct zcb_buf *bufs[16];

    for (size_t i = 0; i < 16; i++)
        bufs[i] = must_acquire(pool, 65536);
    zcb_buf_release_n(bufs, 16);
}

static void
a_fork_during_a_trim_leaves_the_child_all_of_its_limit(void *unused)
{
    struct gated_source gated;
    pthread_t trims;
    struct zcb_pool *pool = stopped_in_trim(&gated, ZCB_POOL_FAIL, &trims);
    struct child child = child_run(fill_in_the_child, pool);

    (void)unused;
    if (!child_succeeded(&child))
        child_show(&child);
    CHECK(child_succeeded(&child));
    pthread_barrier_wait(&gated.gate);
    pthread_join(trims, NULL);
    must_end(&pool);
}

static void *
acquire_256_kib(void *argument)
{
    struct zcb_buf *buf = must_acquire(argument, 256 * KIB);

    zcb_buf_release(&buf);
    return NULL;
}

// All the others come back while the first idle slab is on its way to the source; then nothing is
// out, but all of it can go.
static void
a_large_one_gets_also_what_idles_since_it_looked(void *unused)
{
    struct gated_source gated;
    const struct zcb_pool_config config = {
        .source = &gated.source,
        .tiers = {{.buffer_size = 4096}},
        .max_bytes = 256 * KIB,
        .policy = ZCB_POOL_WAIT,
        .wait_ms = UINT32_MAX,
        .flags = ZCB_POOL_NO_CACHE,
    };
    struct zcb_pool *pool;
    struct zcb_buf *bufs[64];
    pthread_t waits;

    (void)unused;
    gated_init(&gated);
    pool = must_create(&config);
    for (size_t i = 0; i < 64; i++)
        bufs[i] = must_acquire(pool, 1);
    zcb_buf_release_n(bufs, 4); // a slab, since they are handed out in the order of their addresses
    stop_next(&gated.stop_free);
    waits = must_start(acquire_256_kib, pool);
    pthread_barrier_wait(&gated.gate);
    zcb_buf_release_n(bufs + 4, 60);
    pthread_barrier_wait(&gated.gate);
    pthread_join(waits, NULL);
    must_end(&pool);
}

static void
must_have_charged_nothing(void *argument)
{
    CHECK(must_be_at_rest(argument).total.charged == 0);
}

static void
a_fork_during_growing_leaves_the_child_all_of_its_limit(void *unused)
{
    struct gated_source gated;
    const struct zcb_pool_config config = {.source = &gated.source};
    struct zcb_pool *pool;
    struct child child;
    pthread_t grows;

    (void)unused;
    gated_init(&gated);
    pool = must_create(&config);
    stop_next(&gated.stop_alloc);
    grows = must_start(acquire_one, pool);
    pthread_barrier_wait(&gated.gate);
    child = child_run(must_have_charged_nothing, pool);
    pthread_barrier_wait(&gated.gate);
    pthread_join(grows, NULL);
    if (!child_succeeded(&child))
        child_show(&child);
    CHECK(child_succeeded(&child));
    must_end(&pool);
}

struct holder {
    struct zcb_pool *pool;
    pthread_barrier_t step;
};

// Takes all that the source has; gives it back when somebody waits, and lives on.
static void *
hold_all_then_release(void *argument)
{
    struct holder *holder = argument;
    struct zcb_buf *bufs[64];
    size_t n = 0;

    while (n < 64 && zcb_pool_acquire_flags(holder->pool, 4096, ZCB_ACQUIRE_NOWAIT, &bufs[n]) == 0)
        n++;
    CHECK(n == 64);
    pthread_barrier_wait(&holder->step);
    until_somebody_waits(holder->pool);
    zcb_buf_release_n(bufs, n);
    pthread_barrier_wait(&holder->step);
    return NULL;
}

static void
who_waits_for_an_exhausted_source_calls_the_caches_in(void *unused)
{
    struct gated_source gated;
    struct zcb_pool_config config = {
        .source = &gated.source,
        .slab_size = 65536,
        .tiers = {{.buffer_size = 4096}, {.buffer_size = 65536}},
        .policy = ZCB_POOL_WAIT,
        .wait_ms = UINT32_MAX,
    };
    struct holder holder;
    pthread_t holds;

    (void)unused;
    for (int oversize = 0; oversize < 2; oversize++) {
        gated_init(&gated);
        gated.most = 256 * KIB;
        holder.pool = must_create(&config);
        CHECK(pthread_barrier_init(&holder.step, NULL, 2) == 0);
        holds = must_start(hold_all_then_release, &holder);
        pthread_barrier_wait(&holder.step);
        if (oversize)
            acquire_100_kib(holder.pool);
        else
            acquire_large(holder.pool);
        pthread_barrier_wait(&holder.step);
        pthread_join(holds, NULL);
        must_end(&holder.pool);
    }
}

struct waiting {
    struct zcb_pool *pool;
    size_t len;
};

static void *
acquire_for(void *argument)
{
    struct waiting *waiting = argument;
    struct zcb_buf *buf = must_acquire(waiting->pool, waiting->len);

    zcb_buf_release(&buf);
    return NULL;
}

// Between the source's no and the wait that follows. One buffer of two is given back, so that there
// is no whole slab which could be freed.
static void
what_comes_back_while_the_source_says_no_is_not_slept_over(void *unused)
{
    static const struct {
        enum zcb_pool_policy policy;
        size_t len;
    } cases[] = {{ZCB_POOL_WAIT, 4096}, {ZCB_POOL_FAIL, 4096}, {ZCB_POOL_WAIT, 100 * KIB}};

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gated_source gated;
        struct zcb_pool_config config = {
            .source = &gated.source,
            .tiers = {{.buffer_size = 4096}},
            .slab_size = 8192,
            .policy = cases[i].policy,
            .wait_ms = UINT32_MAX,
        };
        struct waiting waiting = {NULL, cases[i].len};
        struct zcb_buf *first, *second;
        pthread_t waits;

        gated_init(&gated);
        waiting.pool = must_create(&config);
        first = must_acquire(waiting.pool, cases[i].len);
        second = must_acquire(waiting.pool, cases[i].len);
        gated.most = gated.used; // there is no more, and it takes a while to say so
        stop_next(&gated.stop_alloc);
        gated.refuse = true;
        waits = must_start(acquire_for, &waiting);
        pthread_barrier_wait(&gated.gate);
        zcb_buf_release(&first);
        zcb_thread_flush();
        pthread_barrier_wait(&gated.gate);
        pthread_join(waits, NULL);
        zcb_buf_release(&second);
        must_end(&waiting.pool);
    }
}

static void *
wait_in_vain(void *argument)
{
    struct zcb_buf *none = NULL;

    CHECK(zcb_pool_acquire(argument, 1, &none) == -ETIMEDOUT);
    return NULL;
}

// Each try that fails takes its charge back, and who was kept out by that charge has to know; not
// those whom the source has told no as well.
static void
those_who_wait_for_a_source_do_not_keep_each_other_busy(void *unused)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {
        .source = &failing.source,
        .tiers = {{.buffer_size = 4096}},
        .slab_size = 4096,
        .policy = ZCB_POOL_WAIT,
        .wait_ms = 200,
    };
    struct zcb_pool *pool;
    struct zcb_buf *out;
    pthread_t threads[3];

    (void)unused;
    zcb_failing_source_init(&failing);
    pool = must_create(&config);
    out = must_acquire(pool, 1);
    zcb_failing_source_fail(&failing, 1, true);
    for (size_t i = 0; i < 3; i++)
        threads[i] = must_start(wait_in_vain, pool);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    // Of each: at first, when it is over, and when the others' blocking is.
    CHECK(failing.failed <= 3 * 8);
    zcb_buf_release(&out);
    must_end(&pool);
}

// Takes all 64, lets 12 of them go when somebody waits, takes one again, and lets all go.
static void *
release_some_and_use_one(void *argument)
{
    struct holder *holder = argument;
    struct zcb_buf *bufs[64];

    for (size_t i = 0; i < 64; i++)
        bufs[i] = must_acquire(holder->pool, 4096);
    pthread_barrier_wait(&holder->step);
    until_somebody_waits(holder->pool);
    zcb_buf_release_n(bufs, 12);
    bufs[0] = must_acquire(holder->pool, 4096);
    zcb_buf_release_n(bufs, 64);
    pthread_barrier_wait(&holder->step);
    return NULL;
}

// Who waits wants all there is, so that one that rests in a cache is one too many.
static void
nothing_is_cached_again_while_somebody_waits(void *unused)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096}},
        .max_bytes = 256 * KIB,
        .policy = ZCB_POOL_WAIT,
        .wait_ms = UINT32_MAX,
    };

    (void)unused;
    for (int i = 0; i < 100; i++) { // whether it wakes meanwhile is luck
        struct holder holder = {.pool = must_create(&config)};
        struct zcb_buf *all;
        pthread_t holds;

        CHECK(pthread_barrier_init(&holder.step, NULL, 2) == 0);
        holds = must_start(release_some_and_use_one, &holder);
        pthread_barrier_wait(&holder.step);
        all = must_acquire(holder.pool, 256 * KIB);
        pthread_barrier_wait(&holder.step);
        pthread_join(holds, NULL);
        zcb_buf_release(&all);
        must_end(&holder.pool);
    }
}

struct returner {
    struct zcb_pool *pool;
    struct zcb_buf *bufs[2];
    bool caches;
    pthread_barrier_t step;
};

static void *
release_two_in_scarcity(void *argument)
{
    struct returner *returner = argument;

    if (returner->caches)
        acquire_one(returner->pool);
    pthread_barrier_wait(&returner->step);
    pthread_barrier_wait(&returner->step);
    for (size_t i = 0; i < 2; i++) {
        zcb_buf_release(&returner->bufs[i]);
        CHECK(must_stats(returner->pool).total.cached == 0);
    }
    return NULL;
}

// Whether the thread had a cache before the pool ran dry or gets one now.
static void
in_scarcity_releases_and_what_was_cached_go_to_the_depot(void *unused)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 64}},
        .policy = ZCB_POOL_FAIL,
    };

    (void)unused;
    for (int caches = 0; caches < 2; caches++) {
        struct returner returner = {.pool = must_create(&config), .caches = caches != 0};
        struct zcb_buf *bufs[64];
        pthread_t thread;
        size_t n = 0;

        CHECK(pthread_barrier_init(&returner.step, NULL, 2) == 0);
        thread = must_start(release_two_in_scarcity, &returner);
        pthread_barrier_wait(&returner.step);
        while (zcb_pool_acquire(returner.pool, 1, &bufs[n]) == 0)
            n++;
        CHECK(n >= 56); // the rest is in the other thread's cache
        returner.bufs[0] = bufs[--n];
        returner.bufs[1] = bufs[--n];
        pthread_barrier_wait(&returner.step);
        pthread_join(thread, NULL);
        zcb_buf_release_n(bufs, n);
        must_end(&returner.pool);
    }
}

static void *
release_two_after_a_trim(void *argument)
{
    struct returner *returner = argument;

    acquire_one(returner->pool);                                // a load comes
    returner->caches = must_stats(returner->pool).threads != 0; // not under Valgrind
    CHECK(must_stats(returner->pool).total.cached > 2 || !returner->caches);
    pthread_barrier_wait(&returner->step);
    pthread_barrier_wait(&returner->step);
    for (size_t i = 0; i < 2; i++) {
        zcb_buf_release(&returner->bufs[i]);
        CHECK(must_stats(returner->pool).total.cached == (returner->caches ? i + 1 : 0));
    }
    return NULL;
}

static void
a_trim_calls_the_caches_of_others_in(void *unused)
{
    const struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096}}};
    struct returner returner = {.pool = must_create(&config)};
    pthread_t thread;

    (void)unused;
    CHECK(pthread_barrier_init(&returner.step, NULL, 2) == 0);
    for (size_t i = 0; i < 2; i++)
        returner.bufs[i] = must_acquire(returner.pool, 1);
    thread = must_start(release_two_after_a_trim, &returner);
    pthread_barrier_wait(&returner.step);
    zcb_pool_trim(returner.pool, 0);
    pthread_barrier_wait(&returner.step);
    pthread_join(thread, NULL);
    must_end(&returner.pool);
}

static void *
release_as_first_call(void *argument)
{
    struct returner *returner = argument;

    zcb_buf_release(&returner->bufs[0]);
    CHECK(must_stats(returner->pool).threads == (returner->caches ? 2 : 0));
    return NULL;
}

// A release may not allocate: its thread's cache is one of those kept ready, and others are made
// ready by those who may.
static void
there_is_always_a_cache_for_a_thread_that_only_releases(void *unused)
{
    const struct zcb_pool_config config = {.tiers = {{.buffer_size = 64}}};
    struct returner returner = {.pool = must_create(&config)};

    (void)unused;
    for (int i = 0; i < 8; i++) {
        struct zcb_buf *bufs[200];

        for (size_t n = 0; n < 200; n++)
            bufs[n] = must_acquire(returner.pool, 1);
        returner.bufs[0] = bufs[0];
        returner.caches = must_stats(returner.pool).threads != 0; // not under Valgrind
        pthread_join(must_start(release_as_first_call, &returner), NULL);
        zcb_buf_release_n(bufs + 1, 199);
    }
    must_end(&returner.pool);
}

// In the midst of somebody else's growing, which is no wait of a policy.
static void
until_somebody_is_in_line(struct zcb_pool *pool)
{
    unsigned waiters = 0;

    while (waiters == 0) {
        zcb_pool_enter(pool);
        waiters = pool->waiters;
        zcb_pool_leave(pool);
        sched_yield();
    }
}

static void *
be_refused(void *argument)
{
    struct zcb_buf *none = NULL;

    CHECK(zcb_pool_acquire(argument, 1, &none) == -ENOMEM);
    return NULL;
}

static void
who_waited_for_anothers_growing_grows_when_that_failed(void *unused)
{
    struct gated_source gated;
    // One buffer a slab: what the source refuses is not asked for by halves.
    const struct zcb_pool_config config = {
        .source = &gated.source,
        .tiers = {{.buffer_size = 4096}},
        .slab_size = 4096,
        .policy = ZCB_POOL_FAIL,
    };
    struct zcb_pool *pool;
    pthread_t fails, waits;

    (void)unused;
    gated_init(&gated);
    pool = must_create(&config);
    gated.refuse = true;
    stop_next(&gated.stop_alloc);
    fails = must_start(be_refused, pool);
    pthread_barrier_wait(&gated.gate);
    waits = must_start(acquire_one, pool);
    until_somebody_is_in_line(pool);
    pthread_barrier_wait(&gated.gate);
    pthread_join(fails, NULL);
    pthread_join(waits, NULL);
    must_end(&pool);
}

static void *
be_refused_a_large_one(void *argument)
{
    struct zcb_buf *none = NULL;

    CHECK(zcb_pool_acquire(argument, 60000, &none) == -ENOMEM);
    return NULL;
}

// What the other asks for is on its way, so that there is something to wait for; then it is not.
static void
who_waits_ends_with_the_last_that_could_have_come(void *unused)
{
    struct gated_source gated;
    const struct zcb_pool_config config = {
        .source = &gated.source,
        .tiers = {{.buffer_size = 4096}, {.buffer_size = 65536}},
        .slab_size = 4096,
        .policy = ZCB_POOL_WAIT,
        .wait_ms = UINT32_MAX,
    };
    struct zcb_pool *pool;
    pthread_t fails, waits;

    (void)unused;
    gated_init(&gated);
    gated.most = 1;
    pool = must_create(&config);
    gated.refuse = true;
    stop_next(&gated.stop_alloc);
    fails = must_start(be_refused, pool);
    pthread_barrier_wait(&gated.gate);
    waits = must_start(be_refused_a_large_one, pool);
    until_somebody_waits(pool);
    pthread_barrier_wait(&gated.gate);
    pthread_join(fails, NULL);
    pthread_join(waits, NULL);
    must_end(&pool);
}

static void
who_waits_gets_the_bytes_of_a_single_allocation(void *unused)
{
    const struct zcb_pool_config config = {
        .max_bytes = MIB,
        .policy = ZCB_POOL_WAIT,
        .wait_ms = UINT32_MAX,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *buf = must_acquire(pool, 700 * KIB);
    pthread_t waits = must_start(acquire_700_kib, pool);

    (void)unused;
    until_somebody_waits(pool);
    zcb_buf_release(&buf);
    pthread_join(waits, NULL);
    must_end(&pool);
}

// ---- what cannot be had -------------------------------------------------------------------------

static void
what_idles_in_ones_own_cache_makes_room_for_a_large_one(void *unused)
{
    const struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096}}, .max_bytes = MIB};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[256], *large;
    size_t n = 0;

    (void)unused;
    while (n < 256 && zcb_pool_acquire(pool, 4096, &bufs[n]) == 0)
        n++;
    // In an order that has the cache keep some of every slab.
    for (size_t first = 0; first < 16; first++)
        for (size_t i = first; i < n; i += 16)
            zcb_buf_release(&bufs[i]);
    large = must_acquire(pool, 512 * KIB);
    zcb_buf_release(&large);
    must_end(&pool);
}

static void
what_was_not_had_is_in_no_peak(void *unused)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_buf *buf = NULL;

    (void)unused;
    CHECK(zcb_pool_acquire(pool, SIZE_MAX / 2, &buf) == -ENOMEM);
    CHECK(must_be_at_rest(pool).total.peak_charged == 0);
    must_end(&pool);
}

static void
a_single_allocation_of_pages_is_charged_whole_pages(void *unused)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 64, .max_buffers = 1}},
        .max_bytes = MIB,
        .source = zcb_source_pages(),
    };
    struct zcb_pool *pool = must_create(&config);
    static struct zcb_buf *bufs[1000];
    size_t n = 0, page = (size_t)sysconf(_SC_PAGESIZE);

    (void)unused;
    while (n < 1000 && zcb_pool_acquire(pool, 64, &bufs[n]) == 0)
        n++;
    CHECK(n >= 2);
    CHECK(n <= MIB / page + 1);
    CHECK(must_be_at_rest(pool).total.charged >= (n - 1) * page);
    zcb_buf_release_n(bufs, n);
    must_end(&pool);
}

static void
many_at_once_that_got_some_were_not_refused(void *unused)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 10}},
        .policy = ZCB_POOL_FAIL,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[16];

    (void)unused;
    CHECK(zcb_pool_acquire_n(pool, 1, bufs, 16) == 10);
    CHECK(must_be_at_rest(pool).total.refusals == 0);
    zcb_buf_release_n(bufs, 10);
    must_end(&pool);
}

static void
what_can_never_be_had_is_refused_at_once_and_costs_nothing(void *unused)
{
    static const enum zcb_pool_policy policies[] = {ZCB_POOL_WAIT, ZCB_POOL_FAIL, ZCB_POOL_DYNAMIC};
    static const size_t lens[] = {64 * MIB + 1, SIZE_MAX / 2};

    (void)unused;
    for (size_t p = 0; p < 3; p++) {
        const struct zcb_pool_config config = {
            .max_bytes = 64 * MIB,
            .policy = policies[p],
            .wait_ms = UINT32_MAX,
        };
        struct zcb_pool *pool = must_create(&config);
        struct zcb_buf *out, *none = NULL;
        uint64_t charged;

        CHECK(zcb_pool_prefault(pool, 60000, 64) == 0);
        out = must_acquire(pool, 10);
        charged = must_be_at_rest(pool).total.charged;
        for (size_t i = 0; i < 2; i++)
            CHECK(zcb_pool_acquire(pool, lens[i], &none) == -ENOBUFS);
        CHECK(must_be_at_rest(pool).total.charged == charged);
        CHECK(must_be_at_rest(pool).total.waits == 0);
        zcb_buf_release(&out);
        must_end(&pool);
    }
}

static uint64_t
hits_of_a_thousand(struct zcb_pool *pool)
{
    uint64_t before = must_be_at_rest(pool).total.hits;

    for (int i = 0; i < 1000; i++)
        acquire_large(pool);
    return must_be_at_rest(pool).total.hits - before;
}

static void
scarcity_ends(void *unused)
{
    const struct zcb_pool_config config = {.max_bytes = 64 * MIB};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[8], *none = NULL;
    uint64_t before, after;
    size_t n = 0;

    (void)unused;
    before = hits_of_a_thousand(pool);
    CHECK(zcb_pool_acquire(pool, 65 * MIB, &none) == -ENOBUFS);
    CHECK(hits_of_a_thousand(pool) >= before);
    // A real one: large ones are out, and one more was wanted.
    while (n < 8 && zcb_pool_acquire(pool, 10 * MIB, &bufs[n]) == 0)
        n++;
    CHECK(n < 8);
    zcb_buf_release_n(bufs, n);
    hits_of_a_thousand(pool);
    after = hits_of_a_thousand(pool);
    CHECK(before == 0 || after * 2 > before);
    must_end(&pool);
}

static void
a_second_trim_keeps_what_the_first_kept(void *unused)
{
    const struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .prealloc = 256}, {.buffer_size = 65536, .prealloc = 16}},
        .source = zcb_source_pages(),
    };
    struct zcb_pool *pool = must_create(&config);

    (void)unused;
    CHECK(zcb_pool_trim(pool, MIB) == MIB);
    CHECK(zcb_pool_trim(pool, MIB) == 0);
    CHECK(zcb_pool_trim(pool, MIB) == 0);
    must_end(&pool);
}

// ---- single allocations of a hardened pool ------------------------------------------------------

static void
release_a_large_one_twice(void *unused)
{
    const struct zcb_pool_config config = {.flags = ZCB_POOL_HARDENED};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *buf = must_acquire(pool, 100000);
    struct zcb_buf *again = buf;

    (void)unused;
    zcb_buf_release(&buf);
    zcb_buf_release(&again);
}

static void
drop_a_large_packet_twice(void *unused)
{
    const struct zcb_pool_config config = {.flags = ZCB_POOL_HARDENED};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_packet packet = must_packet(pool, 100000);
    struct zcb_packet copy = packet;

    (void)unused;
    zcb_packet_unref(&packet);
    zcb_packet_unref(&copy);
}

static void
a_hardened_pool_reports_a_large_one_that_is_released_twice(void *unused)
{
    struct child child = child_run(release_a_large_one_twice, NULL);

    (void)unused;
    CHECK(child_died_of(&child, SIGABRT));
    CHECK(strstr(child.text, "zcbuf: ") != NULL);
    child = child_run(drop_a_large_packet_twice, NULL);
    CHECK(child_died_of(&child, SIGABRT));
    CHECK(strstr(child.text, "zcbuf: ") != NULL);
}

// -------------------------------------------------------------------------------------------------

static const struct corner {
    const char *name;
    void (*body)(void *unused);
} corners[] = {
#define CORNER(body) #body, body
    {CORNER(equal_watermarks_tell_once_for_each_crossing)},
    {CORNER(a_create_that_fails_tells_nobody_of_its_pool)},
    {CORNER(a_thread_that_ends_can_be_the_one_who_tells)},
    {CORNER(a_callback_may_release_into_the_cache_that_an_acquire_is_about_to_fill)},
    {CORNER(a_source_may_make_and_use_a_pool_while_it_closes)},
    {CORNER(a_source_may_flush_its_thread_while_it_closes)},
    {CORNER(a_single_allocation_that_fails_wakes_who_waited_for_its_bytes)},
    {CORNER(nobody_who_may_not_wait_waits_for_anothers_slow_source)},
    {CORNER(who_waits_gets_what_a_trim_is_just_freeing)},
    {CORNER(a_fork_during_a_trim_leaves_the_child_all_of_its_limit)},
    {CORNER(a_large_one_gets_also_what_idles_since_it_looked)},
    {CORNER(a_fork_during_growing_leaves_the_child_all_of_its_limit)},
    {CORNER(who_waits_for_an_exhausted_source_calls_the_caches_in)},
    {CORNER(what_comes_back_while_the_source_says_no_is_not_slept_over)},
    {CORNER(those_who_wait_for_a_source_do_not_keep_each_other_busy)},
    {CORNER(nothing_is_cached_again_while_somebody_waits)},
    {CORNER(in_scarcity_releases_and_what_was_cached_go_to_the_depot)},
    {CORNER(a_trim_calls_the_caches_of_others_in)},
    {CORNER(there_is_always_a_cache_for_a_thread_that_only_releases)},
    {CORNER(who_waited_for_anothers_growing_grows_when_that_failed)},
    {CORNER(who_waits_ends_with_the_last_that_could_have_come)},
    {CORNER(who_waits_gets_the_bytes_of_a_single_allocation)},
    {CORNER(what_idles_in_ones_own_cache_makes_room_for_a_large_one)},
    {CORNER(what_was_not_had_is_in_no_peak)},
    {CORNER(a_single_allocation_of_pages_is_charged_whole_pages)},
    {CORNER(many_at_once_that_got_some_were_not_refused)},
    {CORNER(what_can_never_be_had_is_refused_at_once_and_costs_nothing)},
    {CORNER(scarcity_ends)},
    {CORNER(a_second_trim_keeps_what_the_first_kept)},
    {CORNER(a_hardened_pool_reports_a_large_one_that_is_released_twice)},
#undef CORNER
};

static void
with_a_time_limit(void *argument)
{
    const struct corner *corner = argument;

    alarm(60);
    corner->body(NULL);
}

static void
in_a_child(void **state)
{
    struct child child = child_run(with_a_time_limit, *state);

    assert_child_succeeded(child);
}

int
main(void)
{
    struct CMUnitTest tests[sizeof(corners) / sizeof(corners[0])];

    memset(tests, 0, sizeof(tests));
    for (size_t i = 0; i < sizeof(corners) / sizeof(corners[0]); i++) {
        tests[i].name = corners[i].name;
        tests[i].test_func = in_a_child;
        tests[i].initial_state = (void *)(uintptr_t)&corners[i];
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
