// SPDX-License-Identifier: MIT
//
// The module: arguments, errors, and which captures and pools an environment has. An environment is
// the main thread or a worker; each loads the module for itself, so nothing here is global.
#include "addon.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_OBJECTS 4096u

struct addon {
    struct object *object[MAX_OBJECTS];
    uint32_t serial[MAX_OBJECTS]; // how often that place was used: an old id is nobody's
};

// ---- arguments and errors

static const char *
code_of(int error)
{
    switch (-error) {
    case EINVAL:
        return "EINVAL";
    case ENOBUFS:
        return "ENOBUFS";
    case ENOMEM:
        return "ENOMEM";
    case ERANGE:
        return "ERANGE";
    case EBADMSG:
        return "EBADMSG";
    case EAGAIN:
        return "EAGAIN";
    case EOVERFLOW:
        return "EOVERFLOW";
    case ENOTSUP:
        return "ENOTSUP";
    default:
        return "EIO";
    }
}

bool
fail(napi_env env, int error, const char *what)
{
    char text[256];

    snprintf(text, sizeof(text), "%s: %s", what, zcb_strerror(error));
    napi_throw_error(env, code_of(error), text);
    return false;
}

bool
begin_call(napi_env env, napi_callback_info info, size_t wanted, struct call *call)
{
    call->env = env;
    call->count = wanted;
    if (napi_get_cb_info(env, info, &call->count, call->argument, NULL, NULL) != napi_ok ||
        napi_get_instance_data(env, (void **)&call->addon) != napi_ok || call->addon == NULL)
        return fail(env, -EINVAL, "arguments");
    if (call->count < wanted) {
        napi_throw_type_error(env, "EINVAL", "an argument is missing");
        return false;
    }
    return true;
}

bool
whole_argument(struct call *call, size_t i, double max, double *out)
{
    if (napi_get_value_double(call->env, call->argument[i], out) == napi_ok && *out >= 0 &&
        *out <= max && floor(*out) == *out)
        return true;
    napi_throw_type_error(call->env, "EINVAL", "a whole number was expected");
    return false;
}

// For handles and the like: what is no such number is none that is out.
bool
index_argument(struct call *call, size_t i, uint32_t *out)
{
    if (napi_get_value_uint32(call->env, call->argument[i], out) == napi_ok)
        return true;
    napi_throw_type_error(call->env, "EINVAL", "a number was expected");
    return false;
}

bool
number_of(struct call *call, size_t i, const char *name, double *out)
{
    napi_value value;
    napi_valuetype type;

    *out = 0;
    if (napi_get_named_property(call->env, call->argument[i], name, &value) != napi_ok ||
        napi_typeof(call->env, value, &type) != napi_ok) {
        bool pending = false;

        if (napi_is_exception_pending(call->env, &pending) != napi_ok || !pending)
            napi_throw_type_error(call->env, "EINVAL", "an object was expected");
        return false;
    }
    if (type == napi_undefined)
        return true;
    if (napi_get_value_double(call->env, value, out) != napi_ok || !(*out >= 0)) {
        napi_throw_type_error(call->env, "EINVAL", name);
        return false;
    }
    return true;
}

bool
whole_of(struct call *call, size_t i, const char *name, uint32_t *out)
{
    double value;

    if (!number_of(call, i, name, &value))
        return false;
    if (value > UINT32_MAX || floor(value) != value) {
        napi_throw_range_error(call->env, "EINVAL", name);
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

bool
records_argument(struct call *call, size_t i, uint32_t **out, size_t *records)
{
    napi_typedarray_type type;
    size_t length = 0;

    if (napi_get_typedarray_info(call->env, call->argument[i], &type, &length, (void **)out, NULL,
                                 NULL) != napi_ok ||
        type != napi_int32_array || length < RECORD_SIZE) {
        napi_throw_type_error(call->env, "EINVAL", "an Int32Array was expected");
        return false;
    }
    *records = length / RECORD_SIZE;
    return true;
}

napi_value
number(napi_env env, double value)
{
    napi_value result = NULL;

    if (napi_create_double(env, value, &result) != napi_ok)
        return NULL;
    return result;
}

napi_value
boolean(napi_env env, bool value)
{
    napi_value result = NULL;

    if (napi_get_boolean(env, value, &result) != napi_ok)
        return NULL;
    return result;
}

bool
set_number(napi_env env, napi_value object, const char *name, double value)
{
    return napi_set_named_property(env, object, name, number(env, value)) == napi_ok;
}

// ---- objects

bool
add_object(struct call *call, struct object *object)
{
    struct addon *addon = call->addon;

    for (uint32_t i = 0; i < MAX_OBJECTS; i++) {
        if (addon->object[i] != NULL)
            continue;
        addon->object[i] = object;
        addon->serial[i] = (addon->serial[i] + 1) % (UINT32_MAX / MAX_OBJECTS);
        object->id = addon->serial[i] * MAX_OBJECTS + i;
        return true;
    }
    return fail(call->env, -ENOBUFS, "captures and pools");
}

void
remove_object(struct addon *addon, struct object *object)
{
    addon->object[object->id % MAX_OBJECTS] = NULL;
}

void *
object_argument(struct call *call, size_t i, enum object_kind kind)
{
    struct object *object;
    uint32_t id;

    if (!index_argument(call, i, &id))
        return NULL;
    object = call->addon->object[id % MAX_OBJECTS];
    if (object == NULL || object->id != id || object->kind != kind) {
        napi_throw_error(call->env, "ERR_CLOSED", "closed");
        return NULL;
    }
    return object;
}

// ---- what is out

bool
outs_room(struct outs *outs)
{
    uint32_t room = outs->room != 0 ? outs->room * 2 : 64;
    struct out *grown;

    if (outs->used < outs->room)
        return true;
    if (room > MAX_OUT)
        return false;
    grown = realloc(outs->entry, room * sizeof(*grown));
    if (grown == NULL)
        return false;
    memset(grown + outs->room, 0, (room - outs->room) * sizeof(*grown));
    for (uint32_t i = outs->room; i < room; i++)
        grown[i].next = i + 1;
    outs->entry = grown;
    outs->free = outs->room;
    outs->room = room;
    return true;
}

uint32_t
outs_take(struct outs *outs)
{
    uint32_t handle = outs->free;
    struct out *out = &outs->entry[handle];

    outs->free = out->next;
    outs->used++;
    out->used = true;
    return handle;
}

struct out *
outs_at(struct outs *outs, uint32_t handle)
{
    return handle < outs->room && outs->entry[handle].used ? &outs->entry[handle] : NULL;
}

void
outs_free(struct outs *outs, uint32_t handle)
{
    struct out *out = &outs->entry[handle];

    out->used = false;
    out->next = outs->free;
    outs->free = handle;
    outs->used--;
}

void
outs_finish(struct outs *outs)
{
    for (uint32_t i = 0; i < outs->room; i++) {
        if (!outs->entry[i].used)
            continue;
        zcb_audio_packet_unref(&outs->entry[i].packet);
        zcb_buf_release(&outs->entry[i].buf);
    }
    free(outs->entry);
    *outs = (struct outs){0};
}

// ---- the module

void
add_function(napi_env env, napi_value exports, const char *name, napi_callback function)
{
    napi_value value;

    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value) == napi_ok)
        napi_set_named_property(env, exports, name, value);
}

// The environment ends: the process, or a worker that has finished or was terminated, with whatever
// JavaScript still holds. Its ArrayBuffers keep their slabs until they are finalized, which is later.
static void
end_environment(void *arg)
{
    struct addon *addon = arg;

    for (uint32_t i = 0; i < MAX_OBJECTS; i++)
        if (addon->object[i] != NULL)
            addon->object[i]->destroy(NULL, addon->object[i]);
    memset(addon->object, 0, sizeof(addon->object));
}

// detach(buffer): takes an ArrayBuffer's memory away, so that views of it have no bytes any more.
static napi_value
detach(napi_env env, napi_callback_info info)
{
    struct call call;

    if (begin_call(env, info, 1, &call))
        napi_detach_arraybuffer(env, call.argument[0]);
    return NULL;
}

// external(): whether this runtime has external ArrayBuffers.
static napi_value
has_external(napi_env env, napi_callback_info info)
{
    static uint8_t byte;
    napi_value buffer;

    (void)info;
    return boolean(env,
                   napi_create_external_arraybuffer(env, &byte, 1, NULL, NULL, &buffer) == napi_ok);
}

static void
free_addon(napi_env env, void *data, void *hint)
{
    (void)env, (void)hint;
    free(data);
}

// What the macro defines, but does not declare.
NAPI_MODULE_EXPORT int32_t node_api_module_get_api_version_v1(void);

NAPI_MODULE_INIT()
{
    struct addon *addon = calloc(1, sizeof(*addon));

    if (addon == NULL) {
        fail(env, -ENOMEM, "zcbuf");
        return NULL;
    }
    if (napi_set_instance_data(env, addon, free_addon, NULL) != napi_ok) {
        free(addon);
        return NULL;
    }
    if (napi_add_env_cleanup_hook(env, end_environment, addon) != napi_ok)
        return NULL;
    add_function(env, exports, "detach", detach);
    add_function(env, exports, "external", has_external);
    export_capture(env, exports);
    export_reading(env, exports);
    export_pool(env, exports);
    return exports;
}
