// SPDX-License-Identifier: MIT
//
// The pool by itself: buffers that a program fills. The same rules as for packets: views of one
// ArrayBuffer for each slab, and a buffer is free again when it was released.
#include "addon.h"

struct pool {
    struct object object;
    struct views views;
    struct zcb_pool *pool; // NULL: closed
    struct outs outs;
};

static void
free_pool(struct pool *pool)
{
    zcb_pool_destroy(&pool->pool);
    views_finish(&pool->views);
    outs_finish(&pool->outs);
    free(pool);
}

static void
destroy_pool(napi_env env, struct object *object)
{
    (void)env;
    free_pool((struct pool *)object);
}

// Tiers come as size, preallocated and most buffers, three numbers each.
static bool
tiers_argument(struct call *call, size_t at, struct zcb_pool_config *config)
{
    napi_typedarray_type type;
    size_t length = 0;
    double *number;

    if (napi_get_typedarray_info(call->env, call->argument[at], &type, &length, (void **)&number,
                                 NULL, NULL) != napi_ok ||
        type != napi_float64_array || length % 3 != 0 || length / 3 > ZCB_POOL_TIERS) {
        napi_throw_type_error(call->env, "EINVAL", "tiers");
        return false;
    }
    for (size_t i = 0; i < length; i++)
        if (!(number[i] >= 0 && number[i] <= UINT32_MAX))
            return fail(call->env, -EINVAL, "tiers");
    for (size_t i = 0; i < length / 3; i++) {
        config->tiers[i].buffer_size = (size_t)number[3 * i];
        config->tiers[i].prealloc = (size_t)number[3 * i + 1];
        config->tiers[i].max_buffers = (size_t)number[3 * i + 2];
    }
    return true;
}

// poolOpen(settings, tiers): the pool's id.
static napi_value
pool_open(napi_env env, napi_callback_info info)
{
    struct zcb_pool_config config = {.name = "node", .flags = ZCB_POOL_NO_CACHE};
    uint32_t copies, oversize, grow;
    struct pool *pool;
    struct call call;
    double max_bytes;
    int result;

    if (!begin_call(env, info, 2, &call) || !whole_of(&call, 0, "copies", &copies) ||
        !whole_of(&call, 0, "oversize", &oversize) || !whole_of(&call, 0, "grow", &grow) ||
        !number_of(&call, 0, "maxBytes", &max_bytes) || !tiers_argument(&call, 1, &config))
        return NULL;
    if (!(max_bytes <= 9007199254740991.0)) {
        fail(env, -EINVAL, "maxBytes");
        return NULL;
    }
    pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        fail(env, -ENOMEM, "pool");
        return NULL;
    }
    pool->object = (struct object){.kind = OBJECT_POOL, .destroy = destroy_pool};
    config.max_bytes = (size_t)max_bytes;
    config.policy = grow != 0 ? ZCB_POOL_DYNAMIC : ZCB_POOL_FAIL;
    if (oversize == 0)
        config.flags |= ZCB_POOL_NO_OVERSIZE;
    if (!views_init(&call, &pool->views, copies != 0)) {
        free(pool);
        return NULL;
    }
    config.source = &pool->views.source;
    result = zcb_pool_create(&config, &pool->pool);
    if (result < 0) {
        pool->views.source.close(pool->views.source.ctx);
        fail(env, result, "pool");
    }
    if (result < 0 || !add_object(&call, &pool->object)) {
        free_pool(pool);
        return NULL;
    }
    return number(env, pool->object.id);
}

static struct pool *
pool_argument(napi_env env, napi_callback_info info, size_t wanted, bool open, struct call *call)
{
    struct pool *pool;

    if (!begin_call(env, info, wanted, call) ||
        (pool = object_argument(call, 0, OBJECT_POOL)) == NULL)
        return NULL;
    if (!open || pool->pool != NULL)
        return pool;
    napi_throw_error(env, "ERR_CLOSED", "closed");
    return NULL;
}

// A pool that was closed goes with the last that was out.
static void
settle(struct call *call, struct pool *pool)
{
    if (pool->pool != NULL || pool->outs.used != 0)
        return;
    remove_object(call->addon, &pool->object);
    free_pool(pool);
}

// poolAcquire(id, length, records): false: a limit is reached.
static napi_value
pool_acquire(napi_env env, napi_callback_info info)
{
    struct call call;
    struct pool *pool = pool_argument(env, info, 3, true, &call);
    double length;
    struct zcb_buf *buf;
    uint32_t handle, *record;
    size_t records;
    int result;

    if (pool == NULL || !whole_argument(&call, 1, 9007199254740991.0, &length) ||
        !records_argument(&call, 2, &record, &records))
        return NULL;
    if (!outs_room(&pool->outs)) {
        fail(env, -ENOBUFS, "buffers that are out");
        return NULL;
    }
    result = zcb_pool_acquire(pool->pool, (size_t)length, &buf);
    if (result == -ENOBUFS)
        return boolean(env, false);
    if (result < 0) {
        fail(env, result, "acquire");
        return NULL;
    }
    if (!views_place(env, &pool->views, zcb_buf_data(buf), 0, record)) {
        zcb_buf_release(&buf);
        return NULL;
    }
    handle = outs_take(&pool->outs);
    pool->outs.entry[handle].buf = buf;
    record[RECORD_HANDLE] = handle;
    put_wide(record, RECORD_BYTES, zcb_buf_capacity(buf));
    return boolean(env, true);
}

// poolRelease(id, handle): whether its slab is still the pool's; undefined: was not out.
static napi_value
pool_release(napi_env env, napi_callback_info info)
{
    struct call call;
    struct pool *pool = pool_argument(env, info, 2, false, &call);
    const uint8_t *data;
    uint32_t handle;
    struct out *out;
    size_t offset;
    bool kept;

    if (pool == NULL || !index_argument(&call, 1, &handle) ||
        (out = outs_at(&pool->outs, handle)) == NULL)
        return NULL;
    data = zcb_buf_data(out->buf);
    zcb_buf_release(&out->buf);
    outs_free(&pool->outs, handle);
    kept = pool->pool != NULL && zcb_napi_find(&pool->views.source, data, &offset) != NULL;
    if (!kept)
        views_sweep(env, &pool->views);
    settle(&call, pool);
    return boolean(env, kept);
}

static struct out *
out_argument(napi_env env, napi_callback_info info, struct call *call, struct pool **pool)
{
    uint32_t handle;
    struct out *out;

    *pool = pool_argument(env, info, 2, false, call);
    if (*pool == NULL || !index_argument(call, 1, &handle))
        return NULL;
    out = outs_at(&(*pool)->outs, handle);
    if (out == NULL)
        napi_throw_error(env, "ERR_RELEASED", "released");
    return out;
}

// poolSlab(id, handle): the ArrayBuffer in which it lies.
static napi_value
pool_slab(napi_env env, napi_callback_info info)
{
    struct pool *pool;
    struct call call;
    struct out *out = out_argument(env, info, &call, &pool);

    return out != NULL ? views_arraybuffer(env, &pool->views, zcb_buf_data(out->buf)) : NULL;
}

// poolAlone(id, handle): an ArrayBuffer of this buffer only.
static napi_value
pool_alone(napi_env env, napi_callback_info info)
{
    struct pool *pool;
    struct call call;
    struct out *out = out_argument(env, info, &call, &pool);

    return out != NULL
               ? views_alone(env, &pool->views, zcb_buf_data(out->buf), zcb_buf_capacity(out->buf))
               : NULL;
}

// poolTrim(id): bytes given back.
static napi_value
pool_trim(napi_env env, napi_callback_info info)
{
    struct call call;
    struct pool *pool = pool_argument(env, info, 1, true, &call);

    size_t bytes;

    if (pool == NULL)
        return NULL;
    bytes = zcb_pool_trim(pool->pool, 0);
    views_sweep(env, &pool->views);
    return number(env, (double)bytes);
}

// poolClose(id)
static napi_value
pool_close(napi_env env, napi_callback_info info)
{
    struct call call;
    struct pool *pool = pool_argument(env, info, 1, false, &call);

    if (pool != NULL) {
        zcb_pool_destroy(&pool->pool);
        settle(&call, pool);
    }
    return NULL;
}

// poolStats(id)
static napi_value
pool_stats(napi_env env, napi_callback_info info)
{
    struct call call;
    struct pool *pool = pool_argument(env, info, 1, true, &call);
    struct zcb_pool_stats stats;
    napi_value result;

    if (pool == NULL || zcb_pool_stats(pool->pool, &stats, sizeof(stats)) < 0 ||
        napi_create_object(env, &result) != napi_ok)
        return NULL;
#define SET(name, gauge, help) set_number(env, result, #name, (double)stats.total.name);
    ZCB_TIER_STATS(SET)
#undef SET
    set_number(env, result, "oversize", (double)stats.oversize.acquires);
    set_number(env, result, "hit_rate", stats.hit_rate);
    return result;
}

void
export_pool(napi_env env, napi_value exports)
{
    add_function(env, exports, "poolOpen", pool_open);
    add_function(env, exports, "poolAcquire", pool_acquire);
    add_function(env, exports, "poolRelease", pool_release);
    add_function(env, exports, "poolSlab", pool_slab);
    add_function(env, exports, "poolAlone", pool_alone);
    add_function(env, exports, "poolTrim", pool_trim);
    add_function(env, exports, "poolClose", pool_close);
    add_function(env, exports, "poolStats", pool_stats);
}
