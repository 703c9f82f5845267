// SPDX-License-Identifier: MIT
//
// Threads that make references to one image writable at the same time. ThreadSanitizer is the judge
// of the ordering: the pixels have no other protection than what the library promises.

#include "testing.h"

#include "unit/image_testing.h"

#include <pthread.h>

#include <zcbuf/copies.h>

enum { THREADS = 4, WIDTH = 30, HEIGHT = 14 };

struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    struct zcb_pool *pool;
    struct zcb_image image; // this thread's reference
    uint32_t seed;          // of what it shows
    unsigned number;
    int copied;
    uint64_t bytes; // that the library moved here
};

// All begin at once. Whoever is the last to hold a block may have it as it lies, and then nobody
// else can still be looking.
static void *
work(void *arg)
{
    struct worker *worker = arg;
    struct zcb_image_buf buf;
    struct zcb_copies copies;
    struct zcb_image view;

    pthread_barrier_wait(worker->start);
    if (worker->number % 2 == 0)
        CHECK(shows(&worker->image, worker->seed, 0, 0, 1, WIDTH, HEIGHT));
    if (worker->number == 3) { // by way of a view
        CHECK(zcb_image_crop(&worker->image, 2, 4, 21, 9, &view) == 0);
        zcb_image_unref(&worker->image);
        worker->image = view;
    }
    worker->copied = zcb_image_make_writable(&worker->image, worker->pool, &buf);
    CHECK(worker->copied >= 0);
    draw(&buf, worker->seed + 1 + worker->number);
    zcb_image_buf_share(&buf, &worker->image);
    CHECK(zcb_image_is_unique(&worker->image));
    zcb_copies_thread(&copies);
    worker->bytes = zcb_copies_bytes(&copies);
    return NULL;
}

static void
of_all_who_write_at_once_at_most_one_keeps_a_block(void **state)
{
    pthread_barrier_t start;
    uint64_t random = zcb_test_seed();
    struct zcb_pool *pool = must_create(NULL);
    unsigned kept = 0;

    (void)state;
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (size_t round = zcb_test_rounds(150); round != 0; round--) {
        const struct format_row *row = &format_rows[zcb_test_below(&random, FORMATS)];
        uint32_t seed = (uint32_t)zcb_test_random(&random);
        struct worker workers[THREADS];
        struct zcb_image image = must_draw(pool, row->format, WIDTH, HEIGHT, round % 2 != 0, seed);
        unsigned kept_planes = 0;

        for (unsigned i = 0; i < THREADS; i++)
            workers[i] = (struct worker){
                .start = &start,
                .pool = pool,
                .image = i != 0 ? zcb_image_ref(&image) : image,
                .seed = seed,
                .number = i,
            };
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        for (unsigned i = 0; i < THREADS; i++) {
            bool is_view = i == 3;
            uint32_t width = is_view ? 21 : WIDTH, height = is_view ? 9 : HEIGHT;

            assert_true(shows(&workers[i].image, seed + 1 + i, 0, 0, 1, width, height));
            if (workers[i].copied == (int)row->planes)
                assert_int_equal(workers[i].bytes, pixel_bytes(row, width, height));
            if (workers[i].copied == 0)
                assert_int_equal(workers[i].bytes, 0);
            kept_planes += row->planes - (unsigned)workers[i].copied;
            zcb_image_unref(&workers[i].image);
        }
        assert_true(kept_planes <= row->planes); // each block has one keeper, or none
        kept += kept_planes;
        assert_int_equal(must_stats(pool).total.live, 0);
    }
    fprintf(stderr, "%u planes were kept by who came last\n", kept);
    pthread_barrier_destroy(&start);
    must_end(&pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_all_who_write_at_once_at_most_one_keeps_a_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
