// SPDX-License-Identifier: MIT
//
// Buffers as JavaScript sees them. As a rule it sees the memory itself: one external ArrayBuffer for
// each slab. Where the runtime has no external buffers (V8 with its sandbox, as in Electron), or it
// is asked for, each slab has a mirror: an ArrayBuffer of V8's of the same size, to which a packet is
// copied when it is delivered. A buffer's place in the mirror is free when the buffer is, so all
// rules stay the same, and nothing is allocated in the long run either.
#include "addon.h"

#include <string.h>

struct mirror {
    struct mirror *next;
    struct zcb_napi_slab *slab; // held: its serial is the key
    napi_ref buffer;
};

bool
views_init(struct call *call, struct views *views, bool copies)
{
    int result = zcb_napi_source(NULL, &views->source);

    views->env = call->env;
    views->copies = copies;
    return result == 0 || fail(call->env, result, "memory");
}

static bool
make_mirror_buffer(napi_env env, struct mirror *mirror)
{
    napi_value buffer;

    if (mirror->buffer != NULL)
        napi_delete_reference(env, mirror->buffer);
    mirror->buffer = NULL;
    return napi_create_arraybuffer(env, mirror->slab->len, NULL, &buffer) == napi_ok &&
           napi_create_reference(env, buffer, 1, &mirror->buffer) == napi_ok;
}

static void
drop_mirror(napi_env env, struct mirror **at)
{
    struct mirror *mirror = *at;

    *at = mirror->next;
    if (mirror->buffer != NULL)
        napi_delete_reference(env, mirror->buffer);
    zcb_napi_slab_drop(mirror->slab);
    free(mirror);
}

void
views_sweep(napi_env env, struct views *views)
{
    struct mirror **at = &views->mirrors;

    while (*at != NULL) {
        if (__atomic_load_n(&(*at)->slab->users, __ATOMIC_ACQUIRE) == 1)
            drop_mirror(env, at);
        else
            at = &(*at)->next;
    }
}

// After the pool was destroyed, whose source `views` has. Also while the environment ends: references
// do not go with it.
void
views_finish(struct views *views)
{
    while (views->mirrors != NULL)
        drop_mirror(views->env, &views->mirrors);
}

// The slab's mirror. One that was detached (a program transferred it) is made anew.
static struct mirror *
mirror_of(napi_env env, struct views *views, struct zcb_napi_slab *slab, napi_value *buffer,
          uint8_t **bytes)
{
    struct mirror *mirror = views->mirrors;
    size_t len = 0;

    while (mirror != NULL && mirror->slab != slab)
        mirror = mirror->next;
    if (mirror == NULL) {
        views_sweep(env, views);
        mirror = calloc(1, sizeof(*mirror));
        if (mirror == NULL)
            return NULL;
        mirror->slab = slab;
        if (!make_mirror_buffer(env, mirror)) {
            free(mirror);
            return NULL;
        }
        __atomic_add_fetch(&slab->users, 1, __ATOMIC_RELAXED);
        mirror->next = views->mirrors;
        views->mirrors = mirror;
    }
    for (int i = 0; i < 2; i++) {
        if (napi_get_reference_value(env, mirror->buffer, buffer) != napi_ok ||
            napi_get_arraybuffer_info(env, *buffer, (void **)bytes, &len) != napi_ok)
            return NULL;
        if (len == slab->len)
            return mirror;
        if (!make_mirror_buffer(env, mirror))
            return NULL;
    }
    return NULL;
}

bool
views_place(napi_env env, struct views *views, const void *data, size_t len, uint32_t *record)
{
    size_t offset = 0;
    struct zcb_napi_slab *slab = zcb_napi_find(&views->source, data, &offset);
    napi_value buffer;
    uint8_t *bytes;

    if (slab == NULL)
        return fail(env, -EINVAL, "memory that is not the pool's");
    if (offset > INT32_MAX)
        return fail(env, -EOVERFLOW, "a slab");
    record[RECORD_SLAB] = (uint32_t)slab->serial;
    record[RECORD_OFFSET] = (uint32_t)offset;
    if (!views->copies)
        return true;
    if (mirror_of(env, views, slab, &buffer, &bytes) == NULL)
        return fail(env, -ENOMEM, "a copy");
    memcpy(bytes + offset, data, len);
    views->copied += len;
    return true;
}

static napi_value
refuse(napi_env env, napi_status status)
{
    if (status == napi_no_external_buffers_allowed)
        napi_throw_error(env, "ERR_NO_EXTERNAL_BUFFERS", "this runtime has no external buffers");
    else
        fail(env, -ENOMEM, "an ArrayBuffer");
    return NULL;
}

napi_value
views_arraybuffer(napi_env env, struct views *views, const void *data)
{
    size_t offset = 0;
    struct zcb_napi_slab *slab = zcb_napi_find(&views->source, data, &offset);
    napi_value buffer = NULL;
    napi_status status;
    uint8_t *bytes;

    if (slab == NULL) {
        fail(env, -EINVAL, "memory that is not the pool's");
        return NULL;
    }
    if (views->copies)
        return mirror_of(env, views, slab, &buffer, &bytes) != NULL ? buffer : refuse(env, napi_ok);
    status = zcb_napi_arraybuffer(env, slab, 0, slab->len, &buffer);
    return status == napi_ok ? buffer : refuse(env, status);
}

napi_value
views_alone(napi_env env, struct views *views, const void *data, size_t len)
{
    size_t offset = 0;
    struct zcb_napi_slab *slab = zcb_napi_find(&views->source, data, &offset);
    napi_value buffer = NULL;
    napi_status status;
    void *bytes;

    if (slab == NULL) {
        fail(env, -EINVAL, "memory that is not the pool's");
        return NULL;
    }
    if (views->copies) {
        if (napi_create_arraybuffer(env, len, &bytes, &buffer) != napi_ok)
            return refuse(env, napi_ok);
        memcpy(bytes, data, len);
        views->copied += len;
        return buffer;
    }
    status = zcb_napi_arraybuffer(env, slab, offset, len, &buffer);
    return status == napi_ok ? buffer : refuse(env, status);
}
