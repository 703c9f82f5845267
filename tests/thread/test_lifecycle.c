// SPDX-License-Identifier: MIT
//
// The end of a pool: each way in which the last of its users can go, on each thread. The source
// sees it: its close comes exactly once, after the last free, from whoever was last.

#include "testing.h"

#include "support/failing_source.h"
#include "support/pools.h"

#include <pthread.h>
#include <time.h>

struct end {
    struct zcb_failing_source failing;
    void (*failing_close)(void *ctx);
    uint64_t live_at_close;
    pthread_t closer;
};

static void
close_and_note(void *ctx)
{
    struct end *end = ctx; // failing is its first member

    end->live_at_close = __atomic_load_n(&end->failing.live, __ATOMIC_ACQUIRE);
    end->closer = pthread_self();
    end->failing_close(ctx);
}

static struct zcb_pool *
begin(struct end *end, const struct zcb_pool_config *like)
{
    struct zcb_pool_config config = {0};

    if (like != NULL)
        config = *like;
    zcb_failing_source_init(&end->failing);
    end->failing_close = end->failing.source.close;
    end->failing.source.close = close_and_note;
    end->live_at_close = UINT64_MAX;
    config.source = &end->failing.source;
    return must_create(&config);
}

static uint64_t
closed(const struct end *end)
{
    return __atomic_load_n(&end->failing.closed, __ATOMIC_ACQUIRE);
}

static void
must_be_closed(const struct end *end)
{
    CHECK(closed(end) == 1);
    CHECK(end->live_at_close == 0);
    CHECK(end->failing.live == 0);
    CHECK(end->failing.attached == 0);
}

static void
use(struct zcb_pool *pool, size_t count)
{
    struct zcb_buf *bufs[100];

    for (size_t i = 0; i < count; i++) {
        bufs[i] = must_acquire(pool, i % 4 * 20000);
        zcb_buf_data(bufs[i])[0] = (uint8_t)i;
    }
    zcb_buf_release_n(bufs, count);
}

// ---- a thread that does as it is told -----------------------------------------------------------

enum order { NOTHING, USE, RELEASE, UNREF, FLUSH, USE_OTHER, END };

struct helper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum order order;
    struct zcb_pool *pool;
    struct zcb_pool *other;
    struct zcb_buf *buf;
    struct zcb_packet packet;
};

static void *
obey(void *argument)
{
    struct helper *helper = argument;
    bool going = true;

    pthread_mutex_lock(&helper->lock);
    while (going) {
        while (helper->order == NOTHING)
            pthread_cond_wait(&helper->changed, &helper->lock);
        switch (helper->order) {
        case NOTHING:
            break;
        case USE:
            use(helper->pool, 50);
            break;
        case RELEASE:
            zcb_buf_release(&helper->buf);
            break;
        case UNREF:
            zcb_packet_unref(&helper->packet);
            break;
        case FLUSH:
            zcb_thread_flush();
            break;
        case USE_OTHER:
            use(helper->other, 100);
            break;
        case END:
            going = false;
            break;
        }
        helper->order = NOTHING;
        pthread_cond_broadcast(&helper->changed);
    }
    pthread_mutex_unlock(&helper->lock);
    return NULL;
}

static void
hire(struct helper *helper, struct zcb_pool *pool)
{
    *helper = (struct helper){.pool = pool};
    CHECK(pthread_mutex_init(&helper->lock, NULL) == 0);
    CHECK(pthread_cond_init(&helper->changed, NULL) == 0);
    CHECK(pthread_create(&helper->thread, NULL, obey, helper) == 0);
}

static void
tell(struct helper *helper, enum order order)
{
    pthread_mutex_lock(&helper->lock);
    helper->order = order;
    pthread_cond_broadcast(&helper->changed);
    while (helper->order != NOTHING)
        pthread_cond_wait(&helper->changed, &helper->lock);
    pthread_mutex_unlock(&helper->lock);
}

static void
dismiss(struct helper *helper)
{
    tell(helper, END);
    pthread_join(helper->thread, NULL);
    pthread_mutex_destroy(&helper->lock);
    pthread_cond_destroy(&helper->changed);
}

// ---- one thread ---------------------------------------------------------------------------------

static void
with_nothing_out_destroy_ends_it(void **state)
{
    const struct zcb_pool_config preallocated = {.tiers = {{.buffer_size = 4096, .prealloc = 10}}};
    const struct zcb_pool_config *configs[] = {NULL, &preallocated};

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        for (int used = 0; used < 2; used++) {
            struct end end;
            struct zcb_pool *pool = begin(&end, configs[c]);

            if (used)
                use(pool, 50);
            assert_int_equal(closed(&end), 0);
            zcb_pool_destroy(&pool);
            assert_null(pool);
            must_be_closed(&end);
            assert_true(pthread_equal(end.closer, pthread_self()));
        }
    }
}

static void
with_a_buffer_out_its_release_ends_it(void **state)
{
    static const size_t sizes[] = {100, 60000, 1000000};

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        struct end end;
        struct zcb_pool *pool = begin(&end, NULL);
        struct zcb_buf *buf;

        use(pool, 50);
        buf = must_acquire(pool, sizes[s]);
        zcb_pool_destroy(&pool);
        assert_int_equal(closed(&end), 0);
        memset(zcb_buf_data(buf), 1, sizes[s]); // still ours
        zcb_buf_release(&buf);
        must_be_closed(&end);
    }
}

static void
the_last_of_several_ends_it(void **state)
{
    struct end end;
    struct zcb_pool *pool = begin(&end, NULL);
    struct zcb_buf *buf = must_acquire(pool, 100);
    struct zcb_buf *large = must_acquire(pool, 1000000);
    struct zcb_packet packet = must_packet(pool, 10000), slice = {0}, front = {0};

    (void)state;
    assert_int_equal(zcb_packet_slice(&packet, 5, 10, &slice), 0);
    zcb_pool_destroy(&pool);
    zcb_buf_release(&large);
    assert_int_equal(zcb_buf_set_len(buf, 100), 0);
    assert_int_equal(zcb_buf_publish(buf, 50, &front), 0);
    zcb_buf_release(&buf);
    zcb_packet_unref(&packet);
    assert_int_equal(closed(&end), 0);
    assert_int_equal(slice.len, 10);
    zcb_packet_unref(&slice);
    assert_int_equal(closed(&end), 0);
    zcb_packet_unref(&front);
    must_be_closed(&end);
}

static void
idle_memory_goes_at_destroy_and_not_with_the_last_buffer(void **state)
{
    const struct zcb_pool_config config = {.tiers = {{.buffer_size = 65536, .prealloc = 64}}};
    struct end end;
    struct zcb_pool *pool = begin(&end, &config);
    struct zcb_buf *buf = must_acquire(pool, 1);

    (void)state;
    assert_int_equal(end.failing.live, 2);
    zcb_pool_destroy(&pool);
    assert_int_equal(end.failing.live, 1);
    zcb_buf_release(&buf);
    must_be_closed(&end);
}

static void
many_pools_at_a_time_each_end_on_their_own(void **state)
{
    enum { COUNT = 60 };
    static struct end ends[COUNT];
    struct zcb_pool *pools[COUNT];
    struct zcb_buf *bufs[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        pools[i] = begin(&ends[i], NULL);
        bufs[i] = must_acquire(pools[i], 1);
        if (i % 2 == 1)
            zcb_pool_destroy(&pools[i]);
    }
    for (size_t i = 0; i < COUNT; i += 2)
        zcb_pool_destroy(&pools[i]);
    for (size_t i = 0; i < COUNT; i++) {
        size_t at = i * 7 % COUNT; // another order; 7 and 60 have no common divisor

        assert_int_equal(closed(&ends[at]), 0);
        zcb_buf_release(&bufs[at]);
        must_be_closed(&ends[at]);
    }
}

// ---- others -------------------------------------------------------------------------------------

static void
a_buffer_that_another_thread_has_is_released_there(void **state)
{
    (void)state;
    for (int cached = 0; cached < 2; cached++) {
        for (int as_packet = 0; as_packet < 2; as_packet++) {
            struct end end;
            struct zcb_pool *pool = begin(&end, NULL);
            struct helper helper;

            hire(&helper, pool);
            // Its cache drains with the release, which is its next call for the pool.
            if (cached)
                tell(&helper, USE);
            if (as_packet)
                helper.packet = must_packet(pool, 100);
            else
                helper.buf = must_acquire(pool, 100);
            zcb_pool_destroy(&pool);
            assert_int_equal(closed(&end), 0);
            tell(&helper, as_packet ? UNREF : RELEASE);
            must_be_closed(&end);
            assert_true(pthread_equal(end.closer, helper.thread));
            dismiss(&helper);
            assert_int_equal(closed(&end), 1);
        }
    }
}

static void
a_buffer_that_another_thread_acquired_is_released_here(void **state)
{
    struct end end;
    struct zcb_pool *pool = begin(&end, NULL);
    struct helper helper;
    struct zcb_buf *buf;

    (void)state;
    hire(&helper, pool);
    tell(&helper, USE);
    buf = must_acquire(pool, 1);
    zcb_pool_destroy(&pool);
    zcb_buf_release(&buf);
    assert_int_equal(closed(&end), 0); // the helper's cache is still there
    tell(&helper, FLUSH);
    must_be_closed(&end);
    dismiss(&helper);
}

static void
a_cache_that_is_idle_drains_at_a_flush(void **state)
{
    struct end end;
    struct zcb_pool *pool = begin(&end, NULL);
    struct helper helper;

    (void)state;
    hire(&helper, pool);
    tell(&helper, USE);
    zcb_pool_destroy(&pool);
    assert_int_equal(closed(&end), 0);
    tell(&helper, FLUSH);
    must_be_closed(&end);
    assert_true(pthread_equal(end.closer, helper.thread));
    tell(&helper, FLUSH);
    dismiss(&helper);
    assert_int_equal(closed(&end), 1);
}

static void
a_cache_that_is_idle_drains_when_its_thread_ends(void **state)
{
    struct end end;
    struct zcb_pool *pool = begin(&end, NULL);
    struct helper helper;

    (void)state;
    hire(&helper, pool);
    tell(&helper, USE);
    zcb_pool_destroy(&pool);
    assert_int_equal(closed(&end), 0);
    dismiss(&helper);
    must_be_closed(&end);
    assert_true(pthread_equal(end.closer, helper.thread));
}

static void
a_cache_whose_thread_has_ended_is_no_more(void **state)
{
    struct end end;
    struct zcb_pool *pool = begin(&end, NULL);
    struct helper helper;

    (void)state;
    hire(&helper, pool);
    tell(&helper, USE);
    dismiss(&helper);
    assert_int_equal(must_be_at_rest(pool).threads, 0);
    zcb_pool_destroy(&pool);
    must_be_closed(&end);
    assert_true(pthread_equal(end.closer, pthread_self()));
}

static void
caches_and_buffers_of_many_threads_are_all_waited_for(void **state)
{
    enum { COUNT = 6 };
    struct end end;
    struct zcb_pool *pool = begin(&end, NULL);
    struct helper helpers[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        hire(&helpers[i], pool);
        if (i % 2 == 0)
            tell(&helpers[i], USE);
        helpers[i].buf = must_acquire(pool, i * 20000);
    }
    zcb_pool_destroy(&pool);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(closed(&end), 0);
        tell(&helpers[i], RELEASE);
        tell(&helpers[i], FLUSH);
    }
    must_be_closed(&end);
    for (size_t i = 0; i < COUNT; i++)
        dismiss(&helpers[i]);
    assert_int_equal(closed(&end), 1);
}

// A thread that goes on with another pool notices, at its next call that is not served from its
// cache.
static void
a_thread_busy_elsewhere_drains_in_passing(void **state)
{
    struct end end;
    struct zcb_pool *pool = begin(&end, NULL);
    struct zcb_pool *other = must_create(NULL);
    struct helper helper;

    (void)state;
    hire(&helper, pool);
    helper.other = other;
    tell(&helper, USE);
    zcb_pool_destroy(&pool);
    tell(&helper, USE_OTHER);
    must_be_closed(&end);
    dismiss(&helper);
    must_end(&other);
}

static void
the_next_pool_is_not_confused_with_the_one_that_is_going(void **state)
{
    struct helper helper;
    struct end first;
    struct zcb_pool *pool = begin(&first, NULL);

    (void)state;
    hire(&helper, pool);
    tell(&helper, USE);
    for (size_t round = 0; round < 50; round++) {
        struct end end;
        const struct zcb_pool_config config = {.tiers = {{.buffer_size = 4096ul << round % 3}}};
        struct zcb_pool *next;

        helper.buf = must_acquire(pool, 1);
        if (round == 0)
            zcb_pool_destroy(&pool);
        next = begin(&end, &config);
        helper.pool = next;
        tell(&helper, USE);
        tell(&helper, RELEASE);
        if (round == 0)
            must_be_closed(&first);
        assert_int_equal(must_stats(next).total.live, 0);
        zcb_pool_destroy(&next);
        tell(&helper, FLUSH);
        must_be_closed(&end);
        if (round == 0)
            pool = must_create(NULL);
    }
    dismiss(&helper);
    must_end(&pool);
}

// ---- all at once --------------------------------------------------------------------------------

struct race {
    pthread_barrier_t barrier;
    struct zcb_pool *pool;
    struct zcb_buf *bufs[4][8];
    struct zcb_packet packet;
    size_t next;
};

static void *
release_in_a_race(void *argument)
{
    struct race *race = argument;
    size_t number = __atomic_fetch_add(&race->next, 1, __ATOMIC_RELAXED);
    struct zcb_packet mine = race->packet;

    if (number % 2 == 0) // half of them have caches
        use(race->pool, 20);
    pthread_barrier_wait(&race->barrier);
    zcb_buf_release_n(race->bufs[number], 8);
    zcb_packet_unref(&mine);
    if (number == 3)
        zcb_thread_flush();
    return NULL;
}

static void
whoever_is_last_in_a_race_ends_it_once(void **state)
{
    size_t count = zcb_test_rounds(ZCB_UNDER_TSAN ? 60 : 400);

    (void)state;
    for (size_t round = 0; round < count; round++) {
        struct end end;
        struct race race = {.pool = begin(&end, NULL)};
        struct zcb_pool *pool = race.pool;
        pthread_t threads[4];

        pthread_barrier_init(&race.barrier, NULL, 5);
        race.packet = must_packet(pool, 100);
        zcb_packet_ref_n(&race.packet, 3);
        for (size_t i = 0; i < 32; i++)
            race.bufs[i / 8][i % 8] = must_acquire(pool, i * 2500);
        for (size_t i = 0; i < 4; i++)
            CHECK(pthread_create(&threads[i], NULL, release_in_a_race, &race) == 0);
        pthread_barrier_wait(&race.barrier);
        zcb_pool_destroy(&pool);
        for (size_t i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        must_be_closed(&end);
        pthread_barrier_destroy(&race.barrier);
    }
}

// ---- odd places to release from -----------------------------------------------------------------

static void
release_nested(void *ctx, void *data, size_t len)
{
    struct zcb_buf **inner = ctx;

    (void)data;
    (void)len;
    zcb_buf_release(inner);
}

static void
a_release_callback_may_be_the_one_that_ends_it(void **state)
{
    struct end end;
    struct zcb_pool *pool = begin(&end, NULL);
    struct zcb_buf *inner = must_acquire(pool, 1000);
    struct zcb_packet outer;

    (void)state;
    assert_int_equal(zcb_packet_wrap(zcb_buf_data(inner), 1000, release_nested, &inner, &outer), 0);
    zcb_pool_destroy(&pool);
    assert_int_equal(closed(&end), 0);
    zcb_packet_unref(&outer);
    assert_null(inner);
    must_be_closed(&end);
}

// Destructors of thread-specific data run in no order: some of them after the library has drained
// the thread.
static pthread_key_t keys[2];

static void
release_at_exit(void *value)
{
    struct zcb_buf *buf = value;

    zcb_buf_release(&buf);
}

struct exiting {
    struct zcb_pool *pool;
    struct zcb_buf *bufs[2];
};

static void *
end_with_buffers(void *argument)
{
    struct exiting *exiting = argument;

    pthread_setspecific(keys[0],
                        exiting->bufs[0]); // one key is older than the library's, one is younger
    use(exiting->pool, 50);
    pthread_setspecific(keys[1], exiting->bufs[1]);
    return NULL;
}

static void
destructors_of_a_thread_may_release_after_its_caches_are_gone(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&keys[1], release_at_exit), 0);
    for (int destroyed = 0; destroyed < 2; destroyed++) {
        struct end end;
        struct zcb_pool *pool = begin(&end, NULL);
        struct exiting exiting = {.pool = pool};
        pthread_t thread;

        exiting.bufs[0] = must_acquire(pool, 1);
        exiting.bufs[1] = must_acquire(pool, 1);
        CHECK(pthread_create(&thread, NULL, end_with_buffers, &exiting) == 0);
        pthread_join(thread, NULL);
        assert_int_equal(must_be_at_rest(pool).total.live, 0);
        assert_true(must_be_at_rest(pool).threads <= 1);
        zcb_pool_destroy(&pool);
        must_be_closed(&end);
    }
    pthread_key_delete(keys[1]);
}

// A release can find that it is time for decay, which gives slabs back without the lock: the pool
// has to stay until that is done, also where it is destroyed meanwhile and nothing is out any more.

struct slow_free {
    struct end end;
    void (*free)(void *ctx, void *ptr, size_t len, size_t align);
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool armed, inside, go_on;
};

static void
free_slowly(void *ctx, void *ptr, size_t len, size_t align)
{
    struct slow_free *slow = ctx; // whose first member is the source's

    pthread_mutex_lock(&slow->lock);
    if (slow->armed) {
        slow->armed = false;
        slow->inside = true;
        pthread_cond_broadcast(&slow->changed);
        while (!slow->go_on)
            pthread_cond_wait(&slow->changed, &slow->lock);
    }
    pthread_mutex_unlock(&slow->lock);
    slow->free(ctx, ptr, len, align);
}

static void *
release_one(void *argument)
{
    zcb_buf_release(argument);
    return NULL;
}

static void
a_pool_stays_while_a_release_still_gives_memory_back(void **state)
{
    static const struct timespec a_bit = {.tv_sec = 1, .tv_nsec = 100 * 1000 * 1000};
    struct slow_free slow = {.lock = PTHREAD_MUTEX_INITIALIZER,
                             .changed = PTHREAD_COND_INITIALIZER};
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 65536}},
        .slab_size = 256 * KIB,
        .flags = ZCB_POOL_ADAPTIVE | ZCB_POOL_NO_CACHE,
    };
    struct zcb_pool *pool;
    struct zcb_buf *bufs[64], *last;
    pthread_t thread;
    bool inside;

    (void)state;
    zcb_failing_source_init(&slow.end.failing);
    slow.end.failing_close = slow.end.failing.source.close;
    slow.end.failing.source.close = close_and_note;
    slow.free = slow.end.failing.source.free;
    slow.end.failing.source.free = free_slowly;
    config.source = &slow.end.failing.source;
    pool = must_create(&config);
    for (size_t i = 0; i < 64; i++)
        bufs[i] = must_acquire(pool, 1);
    last = bufs[63];
    zcb_buf_release_n(bufs, 63);
    zcb_pool_decay(pool); // from here on 60 buffers are idle
    slow.armed = true;
    nanosleep(&a_bit, NULL); // decay's interval; if that were longer, nothing would be tested
    CHECK(pthread_create(&thread, NULL, release_one, &last) == 0);
    pthread_mutex_lock(&slow.lock);
    for (int i = 0; i < 100 && !slow.inside; i++) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 20 * 1000 * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&slow.changed, &slow.lock, &until);
    }
    inside = slow.inside;
    slow.armed = false;
    pthread_mutex_unlock(&slow.lock);
    zcb_pool_destroy(&pool);
    if (inside)
        assert_int_equal(closed(&slow.end), 0);
    pthread_mutex_lock(&slow.lock);
    slow.go_on = true;
    pthread_cond_broadcast(&slow.changed);
    pthread_mutex_unlock(&slow.lock);
    pthread_join(thread, NULL);
    must_be_closed(&slow.end);
}

static void
destroy_in_a_thread_that_has_never_used_it(void **state)
{
    struct end end;
    struct zcb_pool *pool = begin(&end, NULL);
    struct helper helper;

    (void)state;
    hire(&helper, pool);
    tell(&helper, USE);
    // This thread has no cache.
    zcb_pool_destroy(&pool);
    assert_int_equal(closed(&end), 0);
    tell(&helper, FLUSH);
    must_be_closed(&end);
    dismiss(&helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_nothing_out_destroy_ends_it),
        cmocka_unit_test(with_a_buffer_out_its_release_ends_it),
        cmocka_unit_test(the_last_of_several_ends_it),
        cmocka_unit_test(idle_memory_goes_at_destroy_and_not_with_the_last_buffer),
        cmocka_unit_test(many_pools_at_a_time_each_end_on_their_own),
        cmocka_unit_test(a_buffer_that_another_thread_has_is_released_there),
        cmocka_unit_test(a_buffer_that_another_thread_acquired_is_released_here),
        cmocka_unit_test(a_cache_that_is_idle_drains_at_a_flush),
        cmocka_unit_test(a_cache_that_is_idle_drains_when_its_thread_ends),
        cmocka_unit_test(a_cache_whose_thread_has_ended_is_no_more),
        cmocka_unit_test(caches_and_buffers_of_many_threads_are_all_waited_for),
        cmocka_unit_test(a_thread_busy_elsewhere_drains_in_passing),
        cmocka_unit_test(the_next_pool_is_not_confused_with_the_one_that_is_going),
        cmocka_unit_test(whoever_is_last_in_a_race_ends_it_once),
        cmocka_unit_test(a_release_callback_may_be_the_one_that_ends_it),
        cmocka_unit_test(destructors_of_a_thread_may_release_after_its_caches_are_gone),
        cmocka_unit_test(a_pool_stays_while_a_release_still_gives_memory_back),
        cmocka_unit_test(destroy_in_a_thread_that_has_never_used_it),
    };

    if (pthread_key_create(&keys[0], release_at_exit) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
