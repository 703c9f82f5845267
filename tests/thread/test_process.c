// SPDX-License-Identifier: MIT
//
// What the process around the library does to it: too little address space, signals in the middle
// of every call, a first use on all threads at once, too few thread-specific keys, and being unloaded
// while threads still have caches.
//
// usage: test_process [SHARED_LIBRARY]      without it the last test is skipped

#include "testing.h"

#include "support/pools.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/time.h>

// ---- too little memory --------------------------------------------------------------------------

static void
use_up_the_address_space(void *unused)
{
    const struct rlimit tight = {512 * MIB, 512 * MIB};
    struct zcb_pool *pool = must_create(NULL);
    static struct zcb_buf *bufs[20000];
    size_t n = 0, again = 0;
    int result;

    (void)unused;
    CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
    for (int round = 0; round < 3; round++) {
        struct zcb_buf *large = NULL;

        n = 0;
        while (n < 20000 && (result = zcb_pool_acquire(pool, 65536, &bufs[n])) == 0)
            zcb_buf_data(bufs[n++])[0] = 1;
        CHECK(n < 20000 && result == -ENOMEM);
        CHECK(zcb_pool_acquire(pool, 600 * MIB, &large) == -ENOMEM);
        CHECK(zcb_pool_prefault(pool, 65536, 10000) == -ENOMEM);
        CHECK(round == 0 || n == again);
        again = n;
        zcb_buf_release_n(bufs, n);
        must_be_at_rest(pool);
    }
    zcb_pool_trim(pool, 0);
    CHECK(must_be_at_rest(pool).total.charged == 0);
    must_end(&pool);
}

static void
without_address_space_acquire_says_so_and_all_goes_on(void **state)
{
    struct child child;

    (void)state;
    if (ZCB_UNDER_ASAN || ZCB_UNDER_TSAN)
        skip(); // which need terabytes of it themselves
    child = child_run(use_up_the_address_space, NULL);
    assert_child_succeeded(child);
}

// ---- signals ------------------------------------------------------------------------------------

static unsigned ticks;

static void
count_tick(int number)
{
    (void)number;
    __atomic_fetch_add(&ticks, 1, __ATOMIC_RELAXED);
}

struct swap {
    pthread_mutex_t lock;
    struct zcb_pool *pool;
    struct zcb_buf *bufs[8];
    bool stop;
};

static void *
swap_buffers(void *argument)
{
    struct swap *swap = argument;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;

    while (!__atomic_load_n(&swap->stop, __ATOMIC_ACQUIRE)) {
        struct zcb_buf *buf = NULL;
        size_t at = zcb_test_below(&seed, 8);

        CHECK(zcb_pool_acquire(swap->pool, 100, &buf) == 0); // never -EINTR
        memset(zcb_buf_data(buf), (int)at, 100);
        pthread_mutex_lock(&swap->lock);
        {
            struct zcb_buf *other = swap->bufs[at];

            swap->bufs[at] = buf;
            buf = other;
        }
        pthread_mutex_unlock(&swap->lock);
        if (buf != NULL)
            CHECK(zcb_buf_data(buf)[99] == at);
        zcb_buf_release(&buf);
        if (zcb_test_below(&seed, 1000) == 0)
            zcb_pool_trim(swap->pool, 0);
    }
    return NULL;
}

static void
be_interrupted(void *unused)
{
    static const enum zcb_pool_policy policies[] = {ZCB_POOL_DYNAMIC, ZCB_POOL_WAIT};
    const struct itimerval often = {.it_interval = {.tv_usec = 200}, .it_value = {.tv_usec = 200}};
    struct sigaction action = {.sa_handler =
                                   count_tick}; // without SA_RESTART: each call can be interrupted

    (void)unused;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    for (size_t p = 0; p < 2; p++) {
        const struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 4096, .max_buffers = 12}},
            .policy = policies[p],
            .wait_ms = UINT32_MAX,
        };
        struct swap swap = {.lock = PTHREAD_MUTEX_INITIALIZER, .pool = must_create(&config)};
        pthread_t threads[3];
        FILE *sink = tmpfile();

        CHECK(sink != NULL);
        __atomic_store_n(&ticks, 0, __ATOMIC_RELAXED);
        for (size_t i = 0; i < 3; i++)
            CHECK(pthread_create(&threads[i], NULL, swap_buffers, &swap) == 0);
        CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
        while (__atomic_load_n(&ticks, __ATOMIC_RELAXED) < 500)
            CHECK(zcb_pool_stats_print(swap.pool, fileno(sink), ZCB_STATS_JSON) == 0);
        __atomic_store_n(&swap.stop, true, __ATOMIC_RELEASE);
        for (size_t i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        CHECK(setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0}}, NULL) == 0);
        zcb_buf_release_n(swap.bufs, 8);
        CHECK(must_be_at_rest(swap.pool).total.refusals == 0);
        must_end(&swap.pool);
        fclose(sink);
    }
}

static void
signals_in_the_middle_of_calls_change_nothing(void **state)
{
    struct child child = child_run(be_interrupted, NULL);

    (void)state;
    assert_child_succeeded(child);
}

// A reader that takes little at a time: each of the writer's calls waits, and is interrupted there.
struct drain {
    int fd;
    size_t len;
};

static void *
drain_slowly(void *argument)
{
    struct drain *drain = argument;
    sigset_t alarms;
    char bytes[256];
    ssize_t n;

    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarms, NULL);
    while ((n = read(drain->fd, bytes, sizeof(bytes))) > 0) {
        drain->len += (size_t)n;
        usleep(100);
    }
    return NULL;
}

static void
print_while_interrupted(void *unused)
{
    const struct itimerval often = {.it_interval = {.tv_usec = 200}, .it_value = {.tv_usec = 200}};
    struct sigaction action = {.sa_handler = count_tick};
    struct zcb_pool *pool = must_create(NULL);
    FILE *file = tmpfile();
    struct drain drain = {.len = 0};
    pthread_t thread;
    int ends[2];

    (void)unused;
    CHECK(file != NULL && zcb_pool_stats_print(pool, fileno(file), ZCB_STATS_PROMETHEUS) == 0);
    CHECK(pipe(ends) == 0);
    drain.fd = ends[0];
    CHECK(pthread_create(&thread, NULL, drain_slowly, &drain) == 0);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int i = 0; i < 40; i++)
        CHECK(zcb_pool_stats_print(pool, ends[1], ZCB_STATS_PROMETHEUS) == 0);
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0}}, NULL) == 0);
    close(ends[1]);
    pthread_join(thread, NULL);
    CHECK(fseek(file, 0, SEEK_END) == 0 && drain.len == 40 * (size_t)ftell(file));
    CHECK(__atomic_load_n(&ticks, __ATOMIC_RELAXED) > 0);
    must_end(&pool);
    fclose(file);
}

static void
printing_into_a_full_pipe_goes_on_after_signals(void **state)
{
    struct child child = child_run(print_while_interrupted, NULL);

    (void)state;
    assert_child_succeeded(child);
}

// ---- first use ----------------------------------------------------------------------------------

static pthread_barrier_t all_here;

static void *
be_first(void *unused)
{
    struct zcb_pool *pool;
    struct zcb_packet packet;
    struct zcb_copies copies;

    (void)unused;
    pthread_barrier_wait(&all_here);
    pool = must_create(NULL);
    CHECK(zcb_packet_copy(pool, "abc", 3, &packet) == 0);
    CHECK(memcmp(packet.data, "abc", 3) == 0);
    zcb_packet_unref(&packet);
    zcb_copies_thread(&copies);
    CHECK(copies.bytes[ZCB_COPY_APPEND] == 3);
    zcb_thread_flush();
    must_end(&pool);
    return NULL;
}

static int
first_use_child(void)
{
    pthread_t threads[8];

    CHECK(pthread_barrier_init(&all_here, NULL, 8) == 0);
    for (size_t i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, be_first, NULL) == 0);
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void
a_first_use_on_eight_threads_at_once_works(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct child child = child_run_self("first use", NULL, NULL);

        assert_child_succeeded(child);
    }
}

// ---- keys ---------------------------------------------------------------------------------------

// The library asks for one thread-specific key when a thread first has something to keep. glibc has
// room for the values of 32 keys in the thread itself; setting a later one allocates. A thread whose
// first call is a release may not do that.

struct giver {
    struct zcb_pool *pool;
    struct zcb_buf *buf;
    pthread_key_t key; // the library's, where there is one
    bool has_key;
};

static bool
is_set(const struct giver *giver)
{
    return giver->has_key && pthread_getspecific(giver->key) != NULL;
}

static void *
give_back_first(void *argument)
{
    struct giver *giver = argument;

    CHECK(!is_set(giver));
    zcb_buf_release(&giver->buf);
#if defined(__GLIBC__)
    CHECK(is_set(giver) == (giver->has_key && giver->key < 32));
#endif
    // An acquire may allocate: from now on the thread has a cache, if any can have one.
    giver->buf = must_acquire(giver->pool, 1);
    CHECK(is_set(giver) == giver->has_key);
    zcb_buf_release(&giver->buf);
    return NULL;
}

static int
keys_child(size_t taken)
{
    struct giver giver = {.has_key = true};
    struct zcb_packet packet;
    struct zcb_copies copies;
    pthread_t thread;
    pthread_key_t key;

    // Keys are given out in order.
    for (size_t n = 0; n < taken && giver.has_key; n++) {
        giver.has_key = pthread_key_create(&key, NULL) == 0;
        giver.key = key + 1;
    }
    giver.pool = must_create(NULL);
    giver.buf = must_acquire(giver.pool, 1);
    CHECK(is_set(&giver) == giver.has_key);
    CHECK(pthread_create(&thread, NULL, give_back_first, &giver) == 0);
    pthread_join(thread, NULL);
    CHECK(must_be_at_rest(giver.pool).threads == giver.has_key); // the one that is left

    // Copies are counted for all together by threads that cannot have a count of their own.
    CHECK(zcb_packet_copy(giver.pool, "abc", 3, &packet) == 0);
    zcb_packet_unref(&packet);
    zcb_copies_thread(&copies);
    CHECK(copies.bytes[ZCB_COPY_APPEND] == (giver.has_key ? 3 : 0));
    zcb_copies_total(&copies);
    CHECK(copies.bytes[ZCB_COPY_APPEND] == 3);
    must_end(&giver.pool);
    return 0;
}

static void
a_first_release_sets_no_key_that_would_allocate(void **state)
{
    struct child few = child_run_self("3 keys", NULL, NULL);
    struct child many = child_run_self("40 keys", NULL, NULL);

    (void)state;
    assert_child_succeeded(few);
    assert_child_succeeded(many);
}

static void
without_a_key_all_works_without_caches(void **state)
{
    struct child child = child_run_self("1000000 keys", NULL, NULL);

    (void)state;
    assert_child_succeeded(child);
}

// ---- dlclose ------------------------------------------------------------------------------------

static const char *library_path;

struct loaded {
    int (*create)(const struct zcb_pool_config *config, struct zcb_pool **out);
    void (*destroy)(struct zcb_pool **pool);
    int (*acquire)(struct zcb_pool *pool, size_t len, struct zcb_buf **out);
    void (*release)(struct zcb_buf **buf);
    struct zcb_pool *pool;
    pthread_barrier_t used, closed;
};

static void *
outlive_the_handle(void *argument)
{
    struct loaded *loaded = argument;
    struct zcb_buf *buf = NULL;

    CHECK(loaded->acquire(loaded->pool, 1, &buf) == 0);
    loaded->release(&buf);
    pthread_barrier_wait(&loaded->used);
    pthread_barrier_wait(&loaded->closed);
    return NULL; // the library's destructor for this thread runs now
}

static void
load_and_unload(void *unused)
{
    struct loaded loaded;
    pthread_t thread;
    void *handle = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);

    (void)unused;
    CHECK(handle != NULL);
    *(void **)&loaded.create = dlsym(handle, "zcb_pool_create");
    *(void **)&loaded.destroy = dlsym(handle, "zcb_pool_destroy");
    *(void **)&loaded.acquire = dlsym(handle, "zcb_pool_acquire");
    *(void **)&loaded.release = dlsym(handle, "zcb_buf_release");
    CHECK(loaded.create != NULL && loaded.destroy != NULL && loaded.acquire != NULL &&
          loaded.release != NULL);
    CHECK(loaded.create(NULL, &loaded.pool) == 0);
    CHECK(pthread_barrier_init(&loaded.used, NULL, 2) == 0);
    CHECK(pthread_barrier_init(&loaded.closed, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, outlive_the_handle, &loaded) == 0);
    pthread_barrier_wait(&loaded.used);
    loaded.destroy(&loaded.pool);
    CHECK(dlclose(handle) == 0);
    pthread_barrier_wait(&loaded.closed);
    pthread_join(thread, NULL);
}

static void
a_thread_may_end_after_the_library_was_closed(void **state)
{
    struct child child;

    (void)state;
    if (library_path == NULL)
        skip();
    child = child_run(load_and_unload, NULL);
    assert_child_succeeded(child);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_address_space_acquire_says_so_and_all_goes_on),
        cmocka_unit_test(signals_in_the_middle_of_calls_change_nothing),
        cmocka_unit_test(printing_into_a_full_pipe_goes_on_after_signals),
        cmocka_unit_test(a_first_use_on_eight_threads_at_once_works),
        cmocka_unit_test(a_first_release_sets_no_key_that_would_allocate),
        cmocka_unit_test(without_a_key_all_works_without_caches),
        cmocka_unit_test(a_thread_may_end_after_the_library_was_closed),
    };

    if (argc == 2 && strcmp(argv[1], "first use") == 0)
        return first_use_child();
    if (argc == 2 && strstr(argv[1], " keys") != NULL)
        return keys_child(strtoul(argv[1], NULL, 10));
    if (argc == 2)
        library_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
