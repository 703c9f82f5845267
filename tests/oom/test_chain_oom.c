// SPDX-License-Identifier: MIT
//
// Every allocation that a chain causes, of its own and of its pool's, fails once: the call says so,
// nothing has changed, and the same call then succeeds.

#include "support/chain_tools.h"

#include "support/alloc_count.h"
#include "support/failing_source.h"
#include "support/pools.h"

static uint8_t bytes[8192];

struct scene {
    struct zcb_failing_source source;
    struct zcb_pool *pool;
    struct zcb_chain chain, other;
    struct zcb_packet packet;
    struct iovec iov[16];
};

enum { STEPS = 12 };

// The chain has many chunks when one more needs a larger ring; `other` is one chunk short of that.
static void
prepare(struct scene *scene)
{
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 1024}},
        .slab_size = 4096,
        .flags = ZCB_POOL_NO_CACHE,
    };

    memset(scene, 0, sizeof(*scene));
    zcb_failing_source_init(&scene->source);
    config.source = &scene->source.source;
    assert_int_equal(zcb_pool_create(&config, &scene->pool), 0);
    assert_int_equal(
        zcb_chain_init(&scene->chain, scene->pool, &(struct zcb_chain_config){.chunk_size = 1024}),
        0);
    assert_int_equal(
        zcb_chain_init(&scene->other, scene->pool, &(struct zcb_chain_config){.chunk_size = 1024}),
        0);
    for (size_t i = 0; i < 8; i++)
        push_lone(&scene->chain, bytes + 100 * i, 100);
    for (size_t i = 0; i < 4; i++)
        push_lone(&scene->other, bytes, 10);
    scene->packet = lone_packet("packet", 6);
}

static void
tear_down(struct scene *scene)
{
    zcb_packet_unref(&scene->packet);
    zcb_chain_finish(&scene->chain);
    zcb_chain_finish(&scene->other);
    must_end(&scene->pool);
    assert_int_equal(scene->source.live, 0);
}

static int
act(struct scene *scene, int step)
{
    struct zcb_packet *packet = &scene->packet, out = {0};
    int result;

    switch (step) {
    case 0:
        return zcb_chain_push(&scene->chain, packet);
    case 1:
        return zcb_chain_push_front(&scene->chain, packet);
    case 2:
        return zcb_chain_append(&scene->chain, bytes, 5000);
    case 3:
        return zcb_chain_reserve(&scene->chain, 5000, scene->iov, 16);
    case 4:
        return zcb_chain_reserve(&scene->chain, 5000, scene->iov, 1);
    case 5:
        result = zcb_chain_take(&scene->chain, 150, &out);
        break;
    case 6:
        result = zcb_chain_gather(&scene->chain, 50, 300, &out);
        break;
    case 7:
        return zcb_chain_split(&scene->chain, 150, &scene->other);
    case 8:
        return zcb_chain_move(&scene->other, &scene->chain);
    case 9:
        return zcb_chain_move(&scene->chain, &scene->other);
    case 10:
        return zcb_chain_push(&scene->other, packet);
    default:
        return zcb_chain_reserve(&scene->other, 3000, scene->iov, 3);
    }
    zcb_packet_unref(&out);
    return result;
}

// Returns whether the n-th allocation was reached.
static bool
fails_once(int step, uint64_t nth, bool by_source)
{
    struct scene scene;
    struct zcb_copies before;
    size_t len[2], chunks[2], pinned[2];
    uint64_t reached;
    int result;

    prepare(&scene);
    before = copies_now();
    for (int i = 0; i < 2; i++) {
        const struct zcb_chain *chain = i == 0 ? &scene.chain : &scene.other;

        len[i] = zcb_chain_len(chain);
        chunks[i] = zcb_chain_chunks(chain);
        pinned[i] = zcb_chain_pinned(chain);
    }
    if (by_source)
        zcb_failing_source_fail(&scene.source, nth, true);
    else
        zcb_alloc_fail(nth, true);
    result = act(&scene, step);
    reached = by_source ? scene.source.failed : zcb_alloc_failed();
    zcb_failing_source_fail(&scene.source, 0, false);
    zcb_alloc_fail(0, false);
    assert_chain_sound(&scene.chain);
    assert_chain_sound(&scene.other);
    if (result < 0) {
        assert_int_equal(result, -ENOMEM);
        assert_true(reached != 0);
        assert_true(nothing_copied(&before));
        assert_int_equal(scene.packet.len, 6);
        assert_memory_equal(scene.packet.data, "packet", 6);
        assert_true(zcb_packet_is_unique(&scene.packet));
        for (int i = 0; i < 2; i++) {
            const struct zcb_chain *chain = i == 0 ? &scene.chain : &scene.other;

            assert_int_equal(zcb_chain_len(chain), len[i]);
            assert_int_equal(zcb_chain_chunks(chain), chunks[i]);
            assert_int_equal(zcb_chain_pinned(chain), pinned[i]);
        }
        assert_true(chain_is(&scene.chain, bytes, len[0]));
        assert_true(act(&scene, step) >= 0);
        assert_chain_sound(&scene.chain);
        assert_chain_sound(&scene.other);
    }
    tear_down(&scene);
    return reached != 0;
}

static void
every_allocation_may_fail_and_the_call_be_made_again(void **state)
{
    (void)state;
    if (!zcb_alloc_count_works())
        skip();
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    for (int by_source = 0; by_source < 2; by_source++) {
        unsigned failures = 0;

        for (int step = 0; step < STEPS; step++)
            for (uint64_t nth = 1; fails_once(step, nth, by_source != 0); nth++)
                failures++;
        assert_true(failures >= (by_source ? 6 : 8)); // else this test tests nothing
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
