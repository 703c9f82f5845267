// SPDX-License-Identifier: MIT
//
// fork() while other threads hold locks that are not a pool's: those of a fixed source, of the table
// of mappings and of the list of pools. The child must find them free.
//
// Each test runs in a child of its own, so that one that would wait for ever fails instead.

#include "testing.h"

#include "support/pools.h"

#include <fcntl.h>
#include <pthread.h>

struct worker {
    struct zcb_pool *pool;
    int fd; // or a file to map
    bool stop;
};

static void
work_once(struct worker *worker)
{
    struct zcb_packet packet;

    if (worker->pool != NULL) {
        struct zcb_buf *buf = must_acquire(worker->pool, 100 * KIB);

        zcb_buf_release(&buf);
    } else {
        CHECK(zcb_map_file(worker->fd, 0, 0, 0, &packet) == 0);
        zcb_packet_unref(&packet);
    }
}

static void *
work_until_stopped(void *argument)
{
    struct worker *worker = argument;

    while (!__atomic_load_n(&worker->stop, __ATOMIC_ACQUIRE))
        work_once(worker);
    return NULL;
}

static void
work_in_the_child(void *argument)
{
    alarm(20);
    work_once(argument);
}

static void
fork_meanwhile(struct worker *worker, int count)
{
    pthread_t threads[2];

    if (ZCB_UNDER_ASAN)
        return; // children that allocate while other threads were allocating have hung there
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, work_until_stopped, worker) == 0);
    for (int i = 0; i < count; i++) {
        struct child child = child_run(work_in_the_child, worker);

        if (!child_succeeded(&child))
            child_show(&child);
        CHECK(child_succeeded(&child));
    }
    __atomic_store_n(&worker->stop, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

static void
use_a_fixed_region(void *unused)
{
    static _Alignas(4096) uint8_t region[4 * 1024 * 1024];
    struct zcb_source source;
    struct zcb_pool_config config = {.source = &source};
    struct worker worker = {.fd = -1};

    (void)unused;
    CHECK(zcb_source_fixed(&source, region, sizeof(region)) == 0);
    worker.pool = must_create(&config);
    fork_meanwhile(&worker, ZCB_UNDER_TSAN ? 10 : 50);
    must_end(&worker.pool);
}

static void
map_files(void *unused)
{
    enum { HELD = 3000 }; // the more there are, the longer the lock is held
    static struct zcb_packet held[HELD];
    char name[] = "/tmp/zcbuf-fork-XXXXXX";
    struct worker worker = {.fd = mkstemp(name)};
    struct rlimit files;
    size_t n = 0;

    (void)unused;
    CHECK(worker.fd >= 0);
    unlink(name);
    CHECK(ftruncate(worker.fd, 4096) == 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    while (n < HELD && n + 100 < files.rlim_cur) {
        CHECK(zcb_map_file(worker.fd, 0, 0, 0, &held[n]) == 0);
        n++;
    }
    fork_meanwhile(&worker, ZCB_UNDER_TSAN ? 10 : 100);
    while (n > 0)
        zcb_packet_unref(&held[--n]);
    close(worker.fd);
}

static void *
make_a_pool(void *ready)
{
    struct zcb_pool *pool;

    if (ready != NULL)
        __atomic_store_n((bool *)ready, true, __ATOMIC_RELEASE);
    pool = must_create(NULL);
    must_end(&pool);
    return NULL;
}

// A process that has no pool yet: one thread makes its first, another one forks.
static void
fork_during_the_first_pool(void)
{
    bool ready = false;
    pthread_t thread;
    pid_t child;
    int status;

    CHECK(pthread_create(&thread, NULL, make_a_pool, &ready) == 0);
    while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
        continue;
    child = fork();
    if (child == 0) {
        alarm(20);
        make_a_pool(NULL);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    pthread_join(thread, NULL);
}

static void
make_first_pools(void *unused)
{
    (void)unused;
    // ASan: as above. TSan takes a thread that ended before the fork for a leak of the child's.
    if (ZCB_UNDER_ASAN || ZCB_UNDER_TSAN)
        return;
    for (int i = 0; i < 400; i++) {
        pid_t fresh = fork();
        int status;

        if (fresh == 0) {
            fork_during_the_first_pool();
            _exit(0);
        }
        CHECK(fresh > 0 && waitpid(fresh, &status, 0) == fresh && status == 0);
    }
}

static void
a_child_may_make_a_pool_while_another_thread_made_the_first(void **state)
{
    struct child child = child_run(make_first_pools, NULL);

    (void)state;
    assert_child_succeeded(child);
}

static void
a_child_may_use_a_fixed_region_that_others_were_using(void **state)
{
    struct child child = child_run(use_a_fixed_region, NULL);

    (void)state;
    assert_child_succeeded(child);
}

static void
a_child_may_map_files_while_others_were_mapping(void **state)
{
    struct child child = child_run(map_files, NULL);

    (void)state;
    assert_child_succeeded(child);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_may_make_a_pool_while_another_thread_made_the_first),
        cmocka_unit_test(a_child_may_use_a_fixed_region_that_others_were_using),
        cmocka_unit_test(a_child_may_map_files_while_others_were_mapping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
