// SPDX-License-Identifier: MIT
//
// Where memory comes from: the sources that are built in, and what a pool asks of one that is not.

#include "testing.h"

#include "support/failing_source.h"
#include "support/pools.h"

#include <sys/mman.h>

// ---- the tables themselves ----------------------------------------------------------------------

static void
a_source_gives_aligned_memory_and_takes_it_back(void **state)
{
    static const size_t lengths[] = {1, 64, 100, 4096, 5000, 65536, MIB, 2 * MIB, 5 * MIB + 4096};
    static const size_t alignments[] = {64, 4096, 65536, 2 * MIB};
    const struct zcb_source *sources[] = {zcb_source_libc(), zcb_source_pages(),
                                          zcb_source_jemalloc()};

    (void)state;
    assert_non_null(sources[0]);
    assert_non_null(sources[1]);
    for (size_t s = 0; s < 3; s++) {
        const struct zcb_source *source = sources[s];

        if (source == NULL)
            continue; // jemalloc is not built in
        assert_non_null(source->alloc);
        assert_non_null(source->free);
        for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
            for (size_t a = 0; a < sizeof(alignments) / sizeof(alignments[0]); a++) {
                uint8_t *at = source->alloc(source->ctx, lengths[l], alignments[a]);
                uint8_t *other = source->alloc(source->ctx, lengths[l], alignments[a]);

                assert_non_null(at);
                assert_non_null(other);
                assert_int_equal((uintptr_t)at % alignments[a], 0);
                assert_int_equal((uintptr_t)other % alignments[a], 0);
                memset(at, 1, lengths[l]);
                memset(other, 2, lengths[l]);
                assert_int_equal(at[0] + at[lengths[l] - 1], 2);
                source->free(source->ctx, at, lengths[l], alignments[a]);
                assert_int_equal(other[0] + other[lengths[l] - 1], 4);
                source->free(source->ctx, other, lengths[l], alignments[a]);
            }
        }
    }
}

static void
a_source_says_when_it_has_nothing(void **state)
{
    const struct zcb_source *source = zcb_source_pages();

    (void)state;
    assert_null(source->alloc(source->ctx, SIZE_MAX, 4096));
    assert_null(source->alloc(source->ctx, SIZE_MAX - 4095, 4096));
    assert_null(source->alloc(source->ctx, SIZE_MAX / 2, 4096));
    assert_null(source->alloc(source->ctx, SIZE_MAX, 2 * MIB));
    assert_null(source->alloc(source->ctx, SIZE_MAX - 4095, 2 * MIB));
    assert_null(source->alloc(source->ctx, SIZE_MAX - 2 * MIB + 1, 2 * MIB));
    source = zcb_source_libc();
    if (!ZCB_UNDER_ASAN && !ZCB_UNDER_TSAN) { // which end the process
        assert_null(source->alloc(source->ctx, SIZE_MAX - 63, 64));
        assert_null(source->alloc(source->ctx, SIZE_MAX, 64));
        assert_null(source->alloc(source->ctx, SIZE_MAX / 2, 4096));
    }
}

static void
pages_come_zeroed_and_purging_zeroes_them(void **state)
{
    const struct zcb_source *source = zcb_source_pages();
    uint8_t *at = source->alloc(source->ctx, 2 * MIB, 2 * MIB);
    unsigned char page;

    (void)state;
    assert_non_null(at);
    assert_non_null(source->purge);
    assert_int_equal(at[0], 0);
    assert_memory_equal(at, at + 1, 2 * MIB - 1);
    memset(at, 7, 2 * MIB);
    assert_int_equal(source->purge(source->ctx, at + 4096, 8192, true), 0);
    assert_int_equal(mincore(at + 4096, 4096, &page), 0);
    assert_int_equal(page & 1, 0);
    assert_int_equal(at[4095], 7);
    assert_int_equal(at[4096], 0);
    assert_int_equal(at[12287], 0);
    assert_int_equal(at[12288], 7);
    assert_int_equal(source->purge(source->ctx, at, 2 * MIB, false), 0);
    memset(at, 8, 2 * MIB); // used again: it is ours as before
    assert_int_equal(at[2 * MIB - 1], 8);
    source->free(source->ctx, at, 2 * MIB, 2 * MIB);
}

static void
purging_keeps_the_pages_that_are_not_wholly_inside(void **state)
{
    const struct zcb_source *sources[] = {zcb_source_libc(), zcb_source_pages()};

    (void)state;
    for (size_t s = 0; s < 2; s++) {
        uint8_t *at = sources[s]->alloc(sources[s]->ctx, 65536, 4096);

        assert_non_null(at);
        memset(at, 7, 65536);
        assert_int_equal(sources[s]->purge(sources[s]->ctx, at + 100, 8250, true), 0);
        for (size_t i = 0; i < 65536; i++)
            assert_int_equal(at[i], i >= 4096 && i < 8192 ? 0 : 7);
        assert_int_equal(sources[s]->purge(sources[s]->ctx, at + 12388, 4096, true), 0);
        assert_int_equal(sources[s]->purge(sources[s]->ctx, at + 12388, 0, true), 0);
        for (size_t i = 8192; i < 65536; i++)
            assert_int_equal(at[i], 7);
        sources[s]->free(sources[s]->ctx, at, 65536, 4096);
    }
}

// Pages of address space that the process has.
static long
address_space(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld", &pages), 1);
    fclose(file);
    return pages;
}

static void
aligning_leaves_no_address_space_behind(void **state)
{
    const struct zcb_source *source = zcb_source_pages();
    enum { COUNT = 100, SLACK = 512 };
    void *at[COUNT];
    long before;

    (void)state;
    if (ZCB_UNDER_ASAN || ZCB_UNDER_TSAN)
        skip(); // which take some of it for themselves
    before = address_space();
    for (size_t i = 0; i < COUNT; i++) {
        at[i] = source->alloc(source->ctx, 2 * MIB, 2 * MIB);
        assert_non_null(at[i]);
    }
    assert_true(address_space() - before < COUNT * 512 + SLACK);
    for (size_t i = 0; i < COUNT; i++)
        source->free(source->ctx, at[i], 2 * MIB, 2 * MIB);
    assert_true(address_space() - before < SLACK);
}

static void
jemalloc_is_there_where_it_was_built_in(void **state)
{
    (void)state;
#if ZCB_HAVE_JEMALLOC
    assert_non_null(zcb_source_jemalloc());
#else
    assert_null(zcb_source_jemalloc());
#endif
}

// ---- a pool on each of them ---------------------------------------------------------------------

static void
use_pool(const struct zcb_source *source)
{
    const struct zcb_pool_config config = {.source = source};
    struct zcb_pool *pool = must_create(&config);
    static struct zcb_buf *bufs[1000];

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 1000; i++) {
            bufs[i] = must_acquire(pool, (i * 997) % 80000);
            memset(zcb_buf_data(bufs[i]), (int)i, zcb_buf_capacity(bufs[i]));
        }
        zcb_buf_release_n(bufs, 1000);
        zcb_pool_trim(pool, round == 0 ? SIZE_MAX : 0);
    }
    must_end(&pool);
}

static void
a_pool_works_on_each(void **state)
{
    (void)state;
    use_pool(NULL);
    use_pool(zcb_source_libc());
    use_pool(zcb_source_pages());
    if (zcb_source_jemalloc() != NULL)
        use_pool(zcb_source_jemalloc());
}

// The failing source aborts where something comes back with another length or alignment than it was
// given with.
static void
all_comes_back_with_the_length_and_alignment_it_was_given_with(void **state)
{
    struct zcb_failing_source failing;

    (void)state;
    zcb_failing_source_init(&failing);
    use_pool(&failing.source);
    assert_int_equal(failing.live, 0);
    assert_int_equal(failing.live_bytes, 0);
    assert_int_equal(failing.attached, 0);
    assert_int_equal(failing.closed, 1);
}

// ---- fixed --------------------------------------------------------------------------------------

static _Alignas(2 * 1024 * 1024) uint8_t region[4 * 1024 * 1024 + 2 * 64];

static bool
inside(const uint8_t *at, size_t len, const uint8_t *start, size_t size)
{
    return at >= start && len <= size && at <= start + size - len;
}

static void
a_region_of_64_kib_serves_its_own_tiers_until_it_is_full(void **state)
{
    struct zcb_source source;
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096}},
        .source = &source,
    };
    struct zcb_pool *pool;
    struct zcb_buf *bufs[17] = {NULL};

    (void)state;
    memset(region, 0xee, sizeof(region));
    assert_int_equal(zcb_source_fixed(&source, region, 65536), 0);
    pool = must_create(&config);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 16; i++) {
            bufs[i] = must_acquire(pool, 4096);
            assert_true(inside(zcb_buf_data(bufs[i]), 4096, region, 65536));
            memset(zcb_buf_data(bufs[i]), 1, 4096);
        }
        assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[16]), -ENOMEM);
        assert_null(bufs[16]);
        assert_int_equal(must_be_at_rest(pool).total.charged, 65536);
        zcb_buf_release_n(bufs, 16);
    }
    assert_int_equal(region[65536], 0xee); // nothing lies outside
    must_end(&pool);
}

static void
a_region_of_64_kib_serves_the_default_tiers(void **state)
{
    struct zcb_source source;
    struct zcb_pool_config config = {.source = &source};
    struct zcb_pool *pool;
    struct zcb_buf *bufs[32] = {NULL};
    size_t n = 0;

    (void)state;
    assert_int_equal(zcb_source_fixed(&source, region, 65536), 0);
    pool = must_create(&config);

    // One of the largest, which is all there is.
    bufs[0] = must_acquire(pool, 65536);
    assert_ptr_equal(zcb_buf_data(bufs[0]), region);
    assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[1]), -ENOMEM);
    zcb_buf_release(&bufs[0]);

    // Idle memory of one tier is found by the others.
    bufs[0] = must_acquire(pool, 4096);
    bufs[1] = must_acquire(pool, 16384);
    assert_true(inside(zcb_buf_data(bufs[0]), 4096, region, 65536));
    assert_true(inside(zcb_buf_data(bufs[1]), 16384, region, 65536));
    zcb_buf_release_n(bufs, 2);
    for (int round = 0; round < 3; round++) {
        n = 0;
        while (zcb_pool_acquire(pool, 16384, &bufs[n]) == 0)
            n++;
        assert_int_equal(n, 4);
        zcb_buf_release_n(bufs, n);
        bufs[0] = must_acquire(pool, 65536);
        zcb_buf_release(&bufs[0]);
        n = 0;
        while (n < 32 && zcb_pool_acquire(pool, 4096, &bufs[n]) == 0)
            n++;
        assert_int_equal(n, 16);
        zcb_buf_release_n(bufs, n);
    }
    assert_int_equal(zcb_pool_acquire(pool, 70000, &bufs[0]), -ENOMEM);
    must_end(&pool);
}

static void
regions_of_any_size_and_place_are_used_within_their_bounds(void **state)
{
    static const size_t sizes[] = {64,     100,     4095, 4096,       10000,
                                   100000, MIB - 1, MIB,  MIB + 5000, 4 * MIB};
    static const size_t offsets[] = {0, 64, 1, 100};

    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t o = 0; o < sizeof(offsets) / sizeof(offsets[0]); o++) {
            uint8_t *start = region + offsets[o];
            struct zcb_source source;
            struct zcb_pool_config config = {
                .tiers = {{.buffer_size = 64}, {.buffer_size = 4096}, {.buffer_size = 65536}},
                .source = &source,
            };
            struct zcb_pool *pool;
            static struct zcb_buf *bufs[2000];
            size_t n = 0;
            uint64_t seed = s * 100 + o;
            int result;

            result = zcb_source_fixed(&source, start, sizes[s]);
            if (result == -EINVAL && sizes[s] < 128) // the whole units in it
                continue;
            assert_int_equal(result, 0);
            pool = must_create(&config);
            for (int i = 0; i < (ZCB_UNDER_TSAN ? 2000 : 20000); i++) {
                size_t len = 1 + zcb_test_below(&seed, zcb_test_below(&seed, 2) == 0 ? 64 : 100000);

                if (n < 2000 && zcb_test_below(&seed, 3) != 0) {
                    if (zcb_pool_acquire(pool, len, &bufs[n]) == 0) {
                        assert_true(inside(zcb_buf_data(bufs[n]), zcb_buf_capacity(bufs[n]), start,
                                           sizes[s]));
                        zcb_buf_data(bufs[n])[zcb_buf_capacity(bufs[n]) - 1] = 1;
                        n++;
                    }
                } else if (n > 0) {
                    zcb_buf_release(&bufs[--n]);
                }
            }
            zcb_buf_release_n(bufs, n);
            must_end(&pool);
        }
    }
}

static void
a_fixed_region_is_first_fit_and_whole_again_when_all_is_back(void **state)
{
    struct zcb_source source;
    uint8_t *parts[64];
    uint8_t *at;

    (void)state;
    assert_int_equal(zcb_source_fixed(&source, region, 65536), 0);
    for (size_t i = 0; i < 64; i++) {
        parts[i] = source.alloc(source.ctx, 1024, 64);
        assert_ptr_equal(parts[i], region + i * 1024);
    }
    assert_null(source.alloc(source.ctx, 64, 64));
    for (size_t i = 0; i < 64; i += 2)
        source.free(source.ctx, parts[i], 1024, 64);
    assert_null(source.alloc(source.ctx, 1025, 64)); // no hole is that large
    at = source.alloc(source.ctx, 1000, 64);         // rounded up to the unit
    assert_ptr_equal(at, region);
    assert_ptr_equal(source.alloc(source.ctx, 64, 64), region + 2048);
    source.free(source.ctx, region + 2048, 64, 64);
    source.free(source.ctx, at, 1000, 64);
    for (size_t i = 1; i < 64; i += 2)
        source.free(source.ctx, parts[i], 1024, 64);
    at = source.alloc(source.ctx, 65536, 4096);
    assert_ptr_equal(at, region);
    assert_null(source.alloc(source.ctx, 1, 1));
    source.free(source.ctx, at, 65536, 4096);

    // Alignment is of the address, not of the place in the region.
    at = source.alloc(source.ctx, 64, 64);
    parts[0] = source.alloc(source.ctx, 4096, 4096);
    assert_int_equal((uintptr_t)parts[0] % 4096, 0);
    assert_true(inside(parts[0], 4096, region, 65536));
    source.free(source.ctx, parts[0], 4096, 4096);
    source.free(source.ctx, at, 64, 64);
    assert_null(source.alloc(source.ctx, 65537, 64));
    assert_null(source.alloc(source.ctx, SIZE_MAX, 64));
    assert_null(source.alloc(source.ctx, SIZE_MAX - 63, 4096));
    assert_null(source.alloc(source.ctx, 65536, SIZE_MAX / 2 + 1));
    assert_non_null(source.close);
    source.close(source.ctx);
}

static void
a_fixed_source_needs_a_region(void **state)
{
    struct zcb_source source;
    struct zcb_source before;

    (void)state;
    memset(&source, 0x5a, sizeof(source));
    before = source;
    assert_int_equal(zcb_source_fixed(NULL, region, 65536), -EINVAL);
    assert_int_equal(zcb_source_fixed(&source, NULL, 65536), -EINVAL);
    assert_int_equal(zcb_source_fixed(&source, region, 0), -EINVAL);
    assert_int_equal(zcb_source_fixed(&source, region, 63), -EINVAL);
    assert_memory_equal(&source, &before, sizeof(source));
}

static void
a_fixed_region_holds_what_was_preallocated_and_no_more(void **state)
{
    struct zcb_source source;
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .prealloc = 10}},
        .source = &source,
    };
    struct zcb_pool *pool = NULL;
    struct zcb_buf *bufs[11] = {NULL};

    (void)state;
    // 10 x 4 KiB: the ring of a capture thread.
    assert_int_equal(zcb_source_fixed(&source, region, 10 * 4096), 0);
    pool = must_create(&config);
    for (size_t i = 0; i < 10; i++)
        bufs[i] = must_acquire(pool, 3840);
    assert_int_equal(must_be_at_rest(pool).total.misses, 0);
    assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[10]), -ENOMEM);
    zcb_buf_release_n(bufs, 11);
    must_end(&pool);

    config.tiers[0].prealloc = 11;
    assert_int_equal(zcb_source_fixed(&source, region, 10 * 4096), 0);
    assert_int_equal(zcb_pool_create(&config, &pool), -ENOMEM);
    source.close(source.ctx); // no pool was made of it
}

// ---- a user's own -------------------------------------------------------------------------------

static void
each_slab_is_attached_and_detached_and_its_tag_is_found(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 65536}}, .slab_size = 256 * KIB};
    struct zcb_pool *pool;
    struct zcb_packet packets[20];

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    for (size_t i = 0; i < 20; i++) {
        void *base = NULL, *tag = NULL;
        size_t len = 0;

        packets[i] = must_packet(pool, 65536);
        assert_int_equal(zcb_packet_region(&packets[i], &base, &len, &tag), 0);
        assert_true(inside(packets[i].data, packets[i].len, base, len));
        assert_ptr_equal(tag, (uint8_t *)base + 1); // as that source does it
        assert_int_equal(zcb_packet_region(&packets[i], NULL, NULL, NULL), 0);
        assert_int_equal(failing.attached, must_be_at_rest(pool).total.slabs);
        assert_int_equal(failing.live, failing.attached);
    }
    assert_int_equal(failing.attached, 5);
    for (size_t i = 0; i < 20; i++)
        zcb_packet_unref(&packets[i]);
    zcb_pool_trim(pool, 0);
    assert_int_equal(failing.attached, 0);
    assert_int_equal(failing.closed, 0);
    must_end(&pool);
    assert_int_equal(failing.closed, 1);
}

static void
an_attach_that_fails_fails_the_acquire_and_frees_the_slab(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {.tiers = {{.buffer_size = 65536}}, .slab_size = 256 * KIB};
    struct zcb_pool *pool;
    struct zcb_buf *bufs[5] = {NULL};

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    for (size_t i = 0; i < 4; i++)
        bufs[i] = must_acquire(pool, 1);
    failing.attach_result = -EPERM;
    assert_int_equal(zcb_pool_acquire(pool, 1, &bufs[4]), -EPERM);
    assert_int_equal(zcb_pool_acquire_n(pool, 1, &bufs[4], 1), -EPERM);
    assert_null(bufs[4]);
    assert_int_equal(failing.live, 1);
    assert_int_equal(failing.attached, 1);
    assert_int_equal(must_be_at_rest(pool).total.charged, 256 * KIB);
    assert_int_equal(must_be_at_rest(pool).total.refusals, 2);
    failing.attach_result = 0;
    bufs[4] = must_acquire(pool, 1);
    assert_int_equal(failing.attached, 2);
    zcb_buf_release_n(bufs, 5);
    must_end(&pool);
    assert_int_equal(failing.live, 0);
    assert_int_equal(failing.attached, 0);
}

static void
a_source_of_two_functions_is_enough(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_source least;
    struct zcb_packet packet;

    (void)state;
    zcb_failing_source_init(&failing);
    least = (struct zcb_source){
        .ctx = &failing, .alloc = failing.source.alloc, .free = failing.source.free};
    use_pool(&least);
    assert_int_equal(failing.live, 0);

    {
        const struct zcb_pool_config config = {.source = &least};
        struct zcb_pool *pool = must_create(&config);
        void *tag = &pool;

        packet = must_packet(pool, 100);
        assert_int_equal(zcb_packet_region(&packet, NULL, NULL, &tag), 0);
        assert_null(tag); // nobody attached anything
        zcb_packet_unref(&packet);
        must_end(&pool);
    }
}

static void
two_pools_of_one_table_close_it_once_each(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {0};
    struct zcb_pool *one, *two;
    struct zcb_buf *buf;

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    one = must_create(&config);
    two = must_create(&config);
    buf = must_acquire(two, 1);
    must_end(&one);
    assert_int_equal(failing.closed, 1);
    zcb_pool_destroy(&two);
    assert_int_equal(failing.closed, 1);
    zcb_buf_release(&buf);
    zcb_thread_flush();
    assert_int_equal(failing.closed, 2);
    assert_int_equal(failing.live, 0);
}

// Memory of a device: the processor cannot read or write a byte of it, and a pool never tries.
static void
memory_that_cannot_be_touched_is_never_touched(void **state)
{
    uint8_t *device = mmap(NULL, 4 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct zcb_source source;
    struct zcb_pool_config config = {.source = &source};
    struct zcb_pool *pool;
    struct zcb_buf *bufs[100];

    (void)state;
    assert_ptr_not_equal(device, MAP_FAILED);
    assert_int_equal(zcb_source_fixed(&source, device, 4 * MIB), 0);
    pool = must_create(&config);
    for (int round = 0; round < 3; round++) {
        size_t n = 0;

        while (n < 100 && zcb_pool_acquire(pool, n % 3 * 8000, &bufs[n]) == 0)
            n++;
        assert_true(n > 50);
        for (size_t i = 0; i < n; i++) {
            struct zcb_packet packet = {0};

            assert_int_equal(zcb_buf_set_len(bufs[i], 100), 0);
            zcb_buf_share(&bufs[i], &packet);
            assert_true(inside(packet.data, 100, device, 4 * MIB));
            zcb_packet_unref(&packet);
        }
        zcb_pool_decay(pool);
        zcb_pool_trim(pool, 0);
    }
    must_end(&pool);
    munmap(device, 4 * MIB);
}

// Gives memory that lies a little beside where it was asked for.
struct crooked {
    size_t off;
    size_t out;
};

static void *
crooked_alloc(void *ctx, size_t len, size_t align)
{
    struct crooked *crooked = ctx;
    uint8_t *memory = aligned_alloc(align, (len / align + 2) * align);

    assert_non_null(memory);
    crooked->out++;
    return memory + crooked->off;
}

static void
crooked_free(void *ctx, void *ptr, size_t len, size_t align)
{
    struct crooked *crooked = ctx;

    (void)len;
    (void)align;
    crooked->out--;
    free((uint8_t *)ptr - crooked->off);
}

static void
memory_that_is_not_aligned_as_asked_for_is_refused_and_given_back(void **state)
{
    static const size_t offsets[] = {1, 8, 32, 64, 2048};
    struct crooked crooked = {0};
    const struct zcb_source source = {
        .ctx = &crooked, .alloc = crooked_alloc, .free = crooked_free};
    struct zcb_pool_config config = {.source = &source};
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *buf = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        crooked.off = offsets[i];
        assert_int_equal(zcb_pool_acquire(pool, 4096, &buf), -EINVAL);
        assert_int_equal(zcb_pool_acquire(pool, 100000, &buf), -EINVAL); // a single allocation
        assert_null(buf);
        assert_int_equal(crooked.out, 0);
        assert_int_equal(must_be_at_rest(pool).total.charged, 0);
    }
    crooked.off = 0;
    buf = must_acquire(pool, 4096);
    zcb_buf_release(&buf);
    must_end(&pool);
    assert_int_equal(crooked.out, 0);

    crooked.off = 64;
    config.tiers[0] = (struct zcb_tier){.buffer_size = 4096, .prealloc = 1};
    assert_int_equal(zcb_pool_create(&config, &pool), -EINVAL);
    // A cache line is all that buffers of other sizes are promised.
    config.tiers[0] = (struct zcb_tier){.buffer_size = 4096 + 64, .prealloc = 1};
    pool = must_create(&config);
    must_end(&pool);
    assert_int_equal(crooked.out, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_gives_aligned_memory_and_takes_it_back),
        cmocka_unit_test(a_source_says_when_it_has_nothing),
        cmocka_unit_test(pages_come_zeroed_and_purging_zeroes_them),
        cmocka_unit_test(purging_keeps_the_pages_that_are_not_wholly_inside),
        cmocka_unit_test(aligning_leaves_no_address_space_behind),
        cmocka_unit_test(jemalloc_is_there_where_it_was_built_in),
        cmocka_unit_test(a_pool_works_on_each),
        cmocka_unit_test(all_comes_back_with_the_length_and_alignment_it_was_given_with),
        cmocka_unit_test(a_region_of_64_kib_serves_its_own_tiers_until_it_is_full),
        cmocka_unit_test(a_region_of_64_kib_serves_the_default_tiers),
        cmocka_unit_test(regions_of_any_size_and_place_are_used_within_their_bounds),
        cmocka_unit_test(a_fixed_region_is_first_fit_and_whole_again_when_all_is_back),
        cmocka_unit_test(a_fixed_source_needs_a_region),
        cmocka_unit_test(a_fixed_region_holds_what_was_preallocated_and_no_more),
        cmocka_unit_test(each_slab_is_attached_and_detached_and_its_tag_is_found),
        cmocka_unit_test(an_attach_that_fails_fails_the_acquire_and_frees_the_slab),
        cmocka_unit_test(a_source_of_two_functions_is_enough),
        cmocka_unit_test(memory_that_is_not_aligned_as_asked_for_is_refused_and_given_back),
        cmocka_unit_test(two_pools_of_one_table_close_it_once_each),
        cmocka_unit_test(memory_that_cannot_be_touched_is_never_touched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
