// SPDX-License-Identifier: MIT
//
// The Node-API bridge without a Node: the one function that it calls is here, and remembers what it
// was given, so that a test can be the garbage collector.
#include "testing.h"

#include <pthread.h>
#include <string.h>

#include "support/pools.h"

#define NAPI_VERSION 8
#include <zcbuf/bridge/napi.h>
#include <zcbuf/buf.h>
#include <zcbuf/pool.h>

struct array_buffer {
    void *data;
    size_t len;
    napi_finalize finalize;
    void *hint;
};

static struct array_buffer made[64];
static size_t made_count;
static napi_status next_status;

napi_status
napi_create_external_arraybuffer(napi_env env, void *data, size_t len, napi_finalize finalize,
                                 void *hint, napi_value *out)
{
    (void)env;
    if (next_status != napi_ok)
        return next_status;
    assert_true(made_count < 64);
    made[made_count] = (struct array_buffer){data, len, finalize, hint};
    *out = (napi_value)&made[made_count++];
    return napi_ok;
}

static void
collect(struct array_buffer *buffer)
{
    buffer->finalize(NULL, buffer->data, buffer->hint);
}

// A source that counts, in front of libc.
static struct {
    int allocs, frees, closes, attaches, detaches;
} seen;

static void *
count_alloc(void *ctx, size_t len, size_t align)
{
    const struct zcb_source *libc = zcb_source_libc();

    (void)ctx;
    seen.allocs++;
    return libc->alloc(libc->ctx, len, align);
}

static void
count_free(void *ctx, void *ptr, size_t len, size_t align)
{
    const struct zcb_source *libc = zcb_source_libc();

    (void)ctx;
    seen.frees++;
    libc->free(libc->ctx, ptr, len, align);
}

static int
count_attach(void *ctx, void *ptr, size_t len, void **tag)
{
    (void)ctx, (void)ptr, (void)len;
    *tag = &seen;
    seen.attaches++;
    return 0;
}

static void
count_detach(void *ctx, void *ptr, size_t len, void *tag)
{
    (void)ctx, (void)ptr, (void)len;
    assert_ptr_equal(tag, &seen);
    seen.detaches++;
}

static void
count_close(void *ctx)
{
    (void)ctx;
    seen.closes++;
}

static const struct zcb_source counting = {
    .alloc = count_alloc,
    .free = count_free,
    .attach = count_attach,
    .detach = count_detach,
    .close = count_close,
};

static struct zcb_source source;
static struct zcb_pool *pool;

static int
setup(void **state)
{
    struct zcb_pool_config config = {
        .tiers = {{.buffer_size = 4096, .max_buffers = 8}},
        .source = &source,
        .flags = ZCB_POOL_NO_CACHE,
    };

    (void)state;
    memset(&seen, 0, sizeof(seen));
    memset(made, 0, sizeof(made));
    made_count = 0;
    next_status = napi_ok;
    assert_int_equal(zcb_napi_source(&counting, &source), 0);
    pool = must_create(&config);
    return 0;
}

static struct zcb_napi_slab *
must_find(const void *data, size_t *offset)
{
    struct zcb_napi_slab *slab = zcb_napi_find(&source, data, offset);

    assert_non_null(slab);
    assert_ptr_equal(slab->base + *offset, data);
    return slab;
}

static void
a_buffer_is_found_in_its_slab(void **state)
{
    struct zcb_buf *a = NULL, *b = NULL, *large = NULL;
    struct zcb_napi_slab *slab;
    size_t at_a, at_b, at_large, nothing;
    uint8_t outside;

    (void)state;
    assert_int_equal(zcb_pool_acquire(pool, 100, &a), 0);
    assert_int_equal(zcb_pool_acquire(pool, 4096, &b), 0);
    assert_int_equal(zcb_pool_acquire(pool, 100000, &large), 0);
    slab = must_find(zcb_buf_data(a), &at_a);
    assert_ptr_equal(must_find(zcb_buf_data(b), &at_b), slab);
    assert_ptr_equal(must_find(zcb_buf_data(b) + 4095, &nothing), slab);
    assert_int_not_equal(at_a, at_b);
    assert_true(at_a + 4096 <= slab->len && at_b + 4096 <= slab->len);
    assert_int_not_equal(must_find(zcb_buf_data(large), &at_large)->serial, slab->serial);
    assert_int_equal(at_large, 0);
    assert_null(zcb_napi_find(&source, &outside, &nothing));
    assert_null(zcb_napi_find(&source, slab->base + slab->len, &nothing));
    assert_null(zcb_napi_find(&source, NULL, &nothing));
    assert_int_equal(seen.allocs, 2);
    assert_int_equal(seen.attaches, 1);
    zcb_buf_release(&a);
    zcb_buf_release(&b);
    zcb_buf_release(&large);
    assert_int_equal(seen.frees, 1); // the large one
    zcb_pool_destroy(&pool);
    assert_int_equal(seen.frees, 2);
    assert_int_equal(seen.detaches, 1);
    assert_int_equal(seen.closes, 1);
}

static void
an_arraybuffer_keeps_the_slab_that_the_pool_has_let_go_of(void **state)
{
    struct zcb_buf *buf = NULL;
    napi_value all, part;
    size_t offset;

    (void)state;
    assert_int_equal(zcb_pool_acquire(pool, 100, &buf), 0);
    memset(zcb_buf_data(buf), 7, 100);
    struct zcb_napi_slab *slab = must_find(zcb_buf_data(buf), &offset);
    assert_int_equal(zcb_napi_arraybuffer(NULL, slab, 0, slab->len, &all), napi_ok);
    assert_int_equal(zcb_napi_arraybuffer(NULL, slab, offset, 100, &part), napi_ok);
    assert_ptr_equal(made[0].data, slab->base);
    assert_int_equal(made[0].len, slab->len);
    assert_ptr_equal(made[1].data, zcb_buf_data(buf));
    assert_int_equal(made[1].len, 100);
    zcb_buf_release(&buf);
    zcb_pool_destroy(&pool);
    assert_int_equal(seen.frees, 0);
    assert_int_equal(seen.closes, 0);
    collect(&made[0]);
    assert_int_equal(((uint8_t *)made[1].data)[99], 7);
    assert_int_equal(seen.frees, 0);
    collect(&made[1]);
    assert_int_equal(seen.frees, 1);
    assert_int_equal(seen.closes, 1);
}

static void
a_pool_keeps_the_slab_whose_arraybuffers_are_gone(void **state)
{
    struct zcb_buf *buf = NULL;
    napi_value value;
    size_t offset;

    (void)state;
    assert_int_equal(zcb_pool_acquire(pool, 100, &buf), 0);
    struct zcb_napi_slab *slab = must_find(zcb_buf_data(buf), &offset);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(zcb_napi_arraybuffer(NULL, slab, 0, slab->len, &value), napi_ok);
        collect(&made[i]);
    }
    memset(zcb_buf_data(buf), 1, 100);
    assert_int_equal(slab->users, 1);
    assert_int_equal(seen.frees, 0);
    zcb_buf_release(&buf);
    zcb_pool_destroy(&pool);
    assert_int_equal(seen.frees, 1);
    assert_int_equal(seen.closes, 1);
}

static void
a_runtime_that_refuses_changes_nothing(void **state)
{
    struct zcb_buf *buf = NULL;
    napi_value value = NULL;
    size_t offset;

    (void)state;
    assert_int_equal(zcb_pool_acquire(pool, 100, &buf), 0);
    struct zcb_napi_slab *slab = must_find(zcb_buf_data(buf), &offset);
    next_status = napi_no_external_buffers_allowed;
    assert_int_equal(zcb_napi_arraybuffer(NULL, slab, 0, slab->len, &value), next_status);
    assert_null(value);
    assert_int_equal(slab->users, 1);
    next_status = napi_ok;
    assert_int_equal(zcb_napi_arraybuffer(NULL, slab, 1, slab->len, &value), napi_invalid_arg);
    assert_int_equal(zcb_napi_arraybuffer(NULL, slab, slab->len + 1, 0, &value), napi_invalid_arg);
    assert_int_equal(zcb_napi_arraybuffer(NULL, slab, 1, SIZE_MAX, &value), napi_invalid_arg);
    assert_int_equal(made_count, 0);
    assert_int_equal(slab->users, 1);
    zcb_buf_release(&buf);
    zcb_pool_destroy(&pool);
    assert_int_equal(seen.frees, 1);
}

static void
a_trimmed_slab_gets_another_number_when_it_comes_again(void **state)
{
    struct zcb_buf *buf = NULL;
    uint64_t serial;
    size_t offset;

    (void)state;
    assert_int_equal(zcb_pool_acquire(pool, 100, &buf), 0);
    serial = must_find(zcb_buf_data(buf), &offset)->serial;
    zcb_buf_release(&buf);
    assert_int_not_equal(zcb_pool_trim(pool, 0), 0);
    assert_int_equal(seen.frees, 1);
    assert_int_equal(zcb_pool_acquire(pool, 100, &buf), 0);
    assert_int_not_equal(must_find(zcb_buf_data(buf), &offset)->serial, serial);
    zcb_buf_release(&buf);
    zcb_pool_destroy(&pool);
    assert_int_equal(seen.frees, 2);
}

static void
misuse_and_the_pages_source(void **state)
{
    struct zcb_buf *buf = NULL;
    size_t offset;

    (void)state;
    zcb_pool_destroy(&pool);
    assert_int_equal(zcb_napi_source(NULL, NULL), -EINVAL);
    assert_int_equal(zcb_napi_source(NULL, &source), 0);
    assert_non_null(source.purge);
    pool = must_create(&(struct zcb_pool_config){.source = &source});
    assert_int_equal(zcb_pool_acquire(pool, 100, &buf), 0);
    must_find(zcb_buf_data(buf), &offset);
    zcb_buf_release(&buf);
    zcb_pool_trim(pool, 0);
    zcb_pool_destroy(&pool);
}

// One thread lets slabs come and go, this one looks for its own.
static void *
come_and_go(void *arg)
{
    struct zcb_buf *buf;

    (void)arg;
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(zcb_pool_acquire(pool, 50000, &buf), 0);
        zcb_buf_release(&buf);
    }
    return NULL;
}

static void
slabs_come_and_go_on_other_threads(void **state)
{
    struct zcb_buf *buf = NULL;
    napi_value value;
    pthread_t thread;
    size_t offset;

    (void)state;
    assert_int_equal(zcb_pool_acquire(pool, 100, &buf), 0);
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, NULL), 0);
    for (int i = 0; i < 2000; i++) {
        struct zcb_napi_slab *slab = must_find(zcb_buf_data(buf), &offset);

        made_count = 0;
        assert_int_equal(zcb_napi_arraybuffer(NULL, slab, 0, slab->len, &value), napi_ok);
        collect(&made[0]);
    }
    pthread_join(thread, NULL);
    zcb_buf_release(&buf);
    zcb_pool_destroy(&pool);
    assert_int_equal(seen.closes, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_buffer_is_found_in_its_slab, setup),
        cmocka_unit_test_setup(an_arraybuffer_keeps_the_slab_that_the_pool_has_let_go_of, setup),
        cmocka_unit_test_setup(a_pool_keeps_the_slab_whose_arraybuffers_are_gone, setup),
        cmocka_unit_test_setup(a_runtime_that_refuses_changes_nothing, setup),
        cmocka_unit_test_setup(a_trimmed_slab_gets_another_number_when_it_comes_again, setup),
        cmocka_unit_test_setup(misuse_and_the_pages_source, setup),
        cmocka_unit_test_setup(slabs_come_and_go_on_other_threads, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
