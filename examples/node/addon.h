// SPDX-License-Identifier: MIT
//
// The addon's own side: what its parts know of each other. index.js is what programs see; it keeps
// the objects, and asks for numbers alone.
//
//     addon.c     the module: arguments, errors, which captures and pools an environment has
//     views.c     buffers as JavaScript sees them: slabs, places in them, the copy fallback
//     device.c    a device that is made up: a thread that captures a ramp or a tone
//     capture.c   a sink with its device, and the thread that wakes readers
//     reading.c   readers, and what they have out
//     buffers.c   the pool by itself
//
// Everything here runs on the thread of its env, but for the two threads of a capture.
#ifndef EXAMPLES_NODE_ADDON_H
#define EXAMPLES_NODE_ADDON_H

#define NAPI_VERSION 8
#include <node_api.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zcbuf/adapt/audio.h>
#include <zcbuf/bridge/napi.h>

// ---- arguments and errors. False: an exception is pending.

#define MAX_ARGUMENTS 6

struct call {
    napi_env env;
    struct addon *addon;
    size_t count;
    napi_value argument[MAX_ARGUMENTS];
};

bool begin_call(napi_env env, napi_callback_info info, size_t wanted, struct call *call);
bool fail(napi_env env, int error, const char *what); // a negative errno; returns false
bool whole_argument(struct call *call, size_t i, double max, double *out);
bool index_argument(struct call *call, size_t i, uint32_t *out);
// Numbers of an object, such as a config; 0 where it has none.
bool number_of(struct call *call, size_t i, const char *name, double *out);
bool whole_of(struct call *call, size_t i, const char *name, uint32_t *out);
// An Int32Array of whole records (see enum record).
bool records_argument(struct call *call, size_t i, uint32_t **out, size_t *records);
napi_value number(napi_env env, double value);
napi_value boolean(napi_env env, bool value);
bool set_number(napi_env env, napi_value object, const char *name, double value);

// ---- objects

enum object_kind { OBJECT_CAPTURE, OBJECT_POOL };

// First member of each. `destroy` is for the end of the environment: it frees all, whatever is out.
struct object {
    enum object_kind kind;
    uint32_t id;
    void (*destroy)(napi_env env, struct object *object);
};

bool add_object(struct call *call, struct object *object);
void remove_object(struct addon *addon, struct object *object);
void *object_argument(struct call *call, size_t i, enum object_kind kind);

// ---- what is out at JavaScript: packets and bufs by small numbers

struct out {
    struct zcb_audio_packet packet;
    struct zcb_buf *buf;
    uint32_t next; // of the free ones
    bool used;
};

struct outs {
    struct out *entry;
    uint32_t room, used, free;
};

#define MAX_OUT (1u << 20)

bool outs_room(struct outs *outs);                       // makes sure that there is a free one
uint32_t outs_take(struct outs *outs);                   // after outs_room()
struct out *outs_at(struct outs *outs, uint32_t handle); // NULL: not out
void outs_free(struct outs *outs, uint32_t handle);      // what was in it is the caller's business
void outs_finish(struct outs *outs);                     // drops all that is out

// ---- views

struct views {
    napi_env env;
    struct zcb_source source;
    bool copies;
    struct mirror *mirrors; // where copies are: for each slab, an ArrayBuffer of the same size
    uint64_t copied;        // bytes
};

// What index.js learns of a buffer, as 32-bit integers of this order; memory.js has the same list.
// Doubles would be objects on JavaScript's heap each time that one is read, wherever V8 has not
// optimised the code: so what can be larger comes in two.
enum record {
    RECORD_HANDLE,
    RECORD_SLAB,   // its serial number
    RECORD_OFFSET, // in the slab
    RECORD_BYTES,
    RECORD_BYTES_HIGH,
    RECORD_FRAMES,
    RECORD_FLAGS,
    RECORD_STRIDE, // of planes
    RECORD_PTS,
    RECORD_PTS_HIGH,
    RECORD_NUMBER,
    RECORD_NUMBER_HIGH,
    RECORD_SIZE,
};

static inline void
put_wide(uint32_t *record, enum record low, uint64_t value)
{
    record[low] = (uint32_t)value;
    record[low + 1] = (uint32_t)(value >> 32);
}

bool views_init(struct call *call, struct views *views, bool copies);
void views_finish(struct views *views);

// Drops mirrors of slabs that the pool has given back.
void views_sweep(napi_env env, struct views *views);

// Fills in slab and offset; copies `len` bytes to where JavaScript sees them, if that is needed.
bool views_place(napi_env env, struct views *views, const void *data, size_t len, uint32_t *record);

// The ArrayBuffer of the slab that `data` is in.
napi_value views_arraybuffer(napi_env env, struct views *views, const void *data);

// An ArrayBuffer of these bytes alone, that can be taken away again.
napi_value views_alone(napi_env env, struct views *views, const void *data, size_t len);

// ---- device

enum device_kind { DEVICE_NONE, DEVICE_RAMP, DEVICE_TONE, DEVICE_SILENCE };

struct device {
    enum device_kind kind;
    struct zcb_audio_sink *sink;
    struct zcb_audio_format format;
    double speed;           // how much faster than time
    uint64_t limit;         // frames in all; 0: no end
    uint32_t period_frames; // of one delivery
    // The thread's.
    pthread_t thread;
    bool runs;
    uint32_t stop, ended; // atomic
    uint64_t skipped;     // frames that it had no time for; atomic
    uint64_t made;
    float wave[1024];
};

int device_start(struct device *device);
void device_stop(struct device *device);

// ---- what index.js can call

void add_function(napi_env env, napi_value exports, const char *name, napi_callback function);
void export_capture(napi_env env, napi_value exports);
void export_reading(napi_env env, napi_value exports);
void export_pool(napi_env env, napi_value exports);

#endif
