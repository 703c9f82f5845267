// SPDX-License-Identifier: MIT
//
// Every allocation that an image causes fails once: the call says so, the image is whole and shares
// what it shared, nothing was copied, and the same call then succeeds.

#include "testing.h"

#include "unit/image_testing.h"

#include "support/alloc_count.h"
#include "support/failing_source.h"

#include <zcbuf/copies.h>

enum { WIDTH = 40, HEIGHT = 24, STEPS = 7 };

struct scene {
    struct zcb_failing_source source;
    struct zcb_pool *pool; // a slab for each buffer
    struct zcb_image image, other;
    struct zcb_image_buf buf;
};

// A picture with a buffer for each plane; in some steps all of it is shared, in some one plane, in
// some a view of it is what the step is about.
static void
prepare(struct scene *scene, int step)
{
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096}},
        .slab_size = 4096,
        .flags = ZCB_POOL_NO_CACHE,
    };

    memset(scene, 0, sizeof(*scene));
    zcb_failing_source_init(&scene->source);
    config.source = &scene->source.source;
    scene->pool = must_create(&config);
    scene->image = must_draw(scene->pool, ZCB_IMAGE_YUV444, WIDTH, HEIGHT, step != 4, 1);
    if (step == 2 || step == 4)
        scene->other = zcb_image_ref(&scene->image);
    else if (step == 3)
        assert_int_equal(zcb_image_plane(&scene->image, 1, &scene->other), 0);
    else if (step == 5)
        assert_int_equal(zcb_image_crop(&scene->image, 4, 4, 30, 10, &scene->other), 0);
}

static int
act(struct scene *scene, int step)
{
    struct zcb_image_layout layout = must_layout(ZCB_IMAGE_YUV420, WIDTH, HEIGHT, 0);
    struct zcb_image out = {0};
    int result;

    switch (step) {
    case 0:
        return zcb_image_acquire(scene->pool, &layout, &scene->buf);
    case 1:
        return zcb_image_acquire_planes(scene->pool, &layout, &scene->buf);
    case 2:
    case 3:
    case 4:
    case 5:
        return zcb_image_make_writable(&scene->image, scene->pool, &scene->buf);
    default:
        result = zcb_image_copy(&scene->image, scene->pool, &out);
        if (result == 0)
            assert_true(shows(&out, 1, 0, 0, 1, WIDTH, HEIGHT));
        zcb_image_unref(&out);
        return result;
    }
}

// Returns whether the n-th allocation was reached.
static bool
fails_once(int step, uint64_t nth, bool by_source)
{
    static const int copies[STEPS] = {0, 0, 3, 1, 3, 3, 0};
    struct zcb_copies before, after;
    struct zcb_image was;
    struct scene scene;
    uint64_t reached, live;
    bool unique[3];
    int result;

    prepare(&scene, step);
    was = scene.image;
    for (unsigned i = 0; i < 3; i++)
        unique[i] = zcb_packet_is_unique(&scene.image.plane[i]);
    live = must_stats(scene.pool).total.live;
    zcb_copies_thread(&before);
    if (by_source)
        zcb_failing_source_fail(&scene.source, nth, true);
    else
        zcb_alloc_fail(nth, true);
    result = act(&scene, step);
    reached = by_source ? scene.source.failed : zcb_alloc_failed();
    zcb_failing_source_fail(&scene.source, 0, false);
    zcb_alloc_fail(0, false);
    if (result < 0) {
        static const struct zcb_image_buf none;

        assert_int_equal(result, -ENOMEM);
        assert_true(reached != 0);
        zcb_copies_thread(&after);
        assert_memory_equal(&before, &after, sizeof(before));
        assert_memory_equal(&scene.image, &was, sizeof(was));
        assert_memory_equal(&scene.buf, &none, sizeof(none));
        assert_int_equal(must_stats(scene.pool).total.live, live);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(zcb_packet_is_unique(&scene.image.plane[i]), unique[i]);
        assert_true(shows(&scene.image, 1, 0, 0, 1, WIDTH, HEIGHT));
        result = act(&scene, step);
    }
    assert_int_equal(result, copies[step]);
    if (step >= 2 && step <= 5)
        draw(&scene.buf, 2);
    if (step == 2 || step == 4)
        assert_true(shows(&scene.other, 1, 0, 0, 1, WIDTH, HEIGHT));
    if (step == 5)
        assert_true(shows(&scene.other, 1, 4, 4, 1, 30, 10));
    zcb_image_buf_release(&scene.buf);
    zcb_image_unref(&scene.image);
    zcb_image_unref(&scene.other);
    must_end(&scene.pool);
    assert_int_equal(scene.source.live, 0);
    return reached != 0;
}

static void
every_allocation_may_fail_and_the_call_be_made_again(void **state)
{
    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    for (int by_source = 0; by_source < 2; by_source++) {
        unsigned failures = 0;

        for (int step = 0; step < STEPS; step++)
            for (uint64_t nth = 1; fails_once(step, nth, by_source != 0); nth++)
                failures++;
        assert_true(failures >= STEPS); // else this test tests nothing
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail_and_the_call_be_made_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
