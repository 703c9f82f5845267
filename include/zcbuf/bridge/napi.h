// SPDX-License-Identifier: MIT
//
// zcbuf/bridge/napi.h: a pool's slabs as ArrayBuffers of JavaScript, in Node.js and whatever else has
// Node-API.
//
// Header only, for Node-API 8 or later: a program (an addon) that includes it has node_api.h, and
// links nothing for it.
//
//     pool --alloc--> zcb_napi_source --alloc--> the source you have (pages)
//                          |
//                      [slab 1: 4096 4096 4096 ...]  [slab 2 ...]
//                          |
//                      one external ArrayBuffer for the whole slab; a packet in it is a
//                      Uint8Array(arraybuffer, place.offset, packet.len), which can be kept and used
//                      again each time that the buffer is
//
// An external ArrayBuffer for each packet costs more than a copy of it, and its memory comes back
// when the garbage collector gets round to that. One for each slab costs nothing in the long run;
// but it tells nobody when a packet is done with: that is the addon's business (a release()).
//
// Memory: a slab is freed when the pool has let go of it and no ArrayBuffer of it is left. So a view
// never outlives its memory; what it shows after its packet was released is whatever the buffer is
// used for next.
//
// Threads: sources are called from any; zcb_napi_find from any; zcb_napi_arraybuffer on the thread
// of its env.
#ifndef ZCBUF_BRIDGE_NAPI_H
#define ZCBUF_BRIDGE_NAPI_H

#include <node_api.h>
#include <pthread.h>
#include <stdlib.h>

#include <zcbuf/source.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zcb_napi_memory {
    struct zcb_source inner;
    pthread_mutex_t lock; // guards those below
    struct zcb_napi_slab *slabs;
    uint64_t made;
    uint32_t users; // the pool, and each slab that is there; atomic
};

// What the pool asked for at a time: a slab, or a buffer above its largest tier.
struct zcb_napi_slab {
    struct zcb_napi_memory *memory;
    struct zcb_napi_slab *next;
    uint8_t *base;
    size_t len, align;
    uint64_t serial; // from 1; no two of a source have the same
    uint32_t users;  // the pool, and each ArrayBuffer; atomic
};

static inline void
zcb_napi_memory_drop(struct zcb_napi_memory *memory)
{
    if (__atomic_sub_fetch(&memory->users, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    if (memory->inner.close != NULL)
        memory->inner.close(memory->inner.ctx);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static inline void
zcb_napi_slab_drop(struct zcb_napi_slab *slab)
{
    struct zcb_napi_memory *memory = slab->memory;

    if (__atomic_sub_fetch(&slab->users, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    memory->inner.free(memory->inner.ctx, slab->base, slab->len, slab->align);
    free(slab);
    zcb_napi_memory_drop(memory);
}

static inline void *
zcb_napi_alloc(void *ctx, size_t len, size_t align)
{
    struct zcb_napi_memory *memory = (struct zcb_napi_memory *)ctx;
    struct zcb_napi_slab *slab = (struct zcb_napi_slab *)calloc(1, sizeof(*slab));

    if (slab == NULL)
        return NULL;
    slab->base = (uint8_t *)memory->inner.alloc(memory->inner.ctx, len, align);
    if (slab->base == NULL) {
        free(slab);
        return NULL;
    }
    slab->memory = memory;
    slab->len = len;
    slab->align = align;
    slab->users = 1;
    __atomic_add_fetch(&memory->users, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&memory->lock);
    slab->serial = ++memory->made;
    slab->next = memory->slabs;
    memory->slabs = slab;
    pthread_mutex_unlock(&memory->lock);
    return slab->base;
}

static inline void
zcb_napi_free(void *ctx, void *ptr, size_t len, size_t align)
{
    struct zcb_napi_memory *memory = (struct zcb_napi_memory *)ctx;
    struct zcb_napi_slab **at = &memory->slabs, *slab;

    (void)len, (void)align;
    pthread_mutex_lock(&memory->lock);
    while (*at != NULL && (*at)->base != ptr)
        at = &(*at)->next;
    slab = *at;
    if (slab != NULL)
        *at = slab->next;
    pthread_mutex_unlock(&memory->lock);
    if (slab != NULL)
        zcb_napi_slab_drop(slab);
}

static inline int
zcb_napi_purge(void *ctx, void *ptr, size_t len, bool now)
{
    const struct zcb_source *inner = &((struct zcb_napi_memory *)ctx)->inner;

    return inner->purge != NULL ? inner->purge(inner->ctx, ptr, len, now) : -ENOTSUP;
}

static inline int
zcb_napi_attach(void *ctx, void *ptr, size_t len, void **tag)
{
    const struct zcb_source *inner = &((struct zcb_napi_memory *)ctx)->inner;

    return inner->attach != NULL ? inner->attach(inner->ctx, ptr, len, tag) : 0;
}

static inline void
zcb_napi_detach(void *ctx, void *ptr, size_t len, void *tag)
{
    const struct zcb_source *inner = &((struct zcb_napi_memory *)ctx)->inner;

    if (inner->detach != NULL)
        inner->detach(inner->ctx, ptr, len, tag);
}

static inline void
zcb_napi_close(void *ctx)
{
    zcb_napi_memory_drop((struct zcb_napi_memory *)ctx);
}

// A source whose slabs can be ArrayBuffers; for one pool, whose destruction closes it. `inner` (the
// table is copied; NULL: pages) is where its memory comes from, closed when the last slab has gone.
// An addon must stay loaded as long as it: link it with -z nodelete.
// 0, -EINVAL (NULL out), -ENOMEM.
static inline int
zcb_napi_source(const struct zcb_source *inner, struct zcb_source *out)
{
    struct zcb_source source = {0, 0, 0, 0, 0, 0, 0, {0}};
    struct zcb_napi_memory *memory;

    if (out == NULL)
        return -EINVAL;
    memory = (struct zcb_napi_memory *)calloc(1, sizeof(*memory));
    if (memory == NULL)
        return -ENOMEM;
    if (pthread_mutex_init(&memory->lock, NULL) != 0) {
        free(memory);
        return -ENOMEM;
    }
    memory->inner = inner != NULL ? *inner : *zcb_source_pages();
    memory->users = 1;
    source.ctx = memory;
    source.alloc = zcb_napi_alloc;
    source.free = zcb_napi_free;
    source.purge = memory->inner.purge != NULL ? zcb_napi_purge : NULL;
    source.attach = zcb_napi_attach;
    source.detach = zcb_napi_detach;
    source.close = zcb_napi_close;
    *out = source;
    return 0;
}

// The slab that `data` lies in, and how far. Valid while whoever asks holds a buffer or a packet of
// it. O(slabs): a capture has one or two, and the one that was made last is the first. (A sink's
// packets are wrapped, so zcb_packet_region() does not know their slab.)
// NULL: not of this source.
static inline struct zcb_napi_slab *
zcb_napi_find(const struct zcb_source *source, const void *data, size_t *offset)
{
    struct zcb_napi_memory *memory = (struct zcb_napi_memory *)source->ctx;
    struct zcb_napi_slab *slab;

    pthread_mutex_lock(&memory->lock);
    slab = memory->slabs;
    while (slab != NULL && (uintptr_t)data - (uintptr_t)slab->base >= slab->len)
        slab = slab->next;
    pthread_mutex_unlock(&memory->lock);
    if (slab != NULL)
        *offset = (size_t)((uintptr_t)data - (uintptr_t)slab->base);
    return slab;
}

static inline void
zcb_napi_finalize(napi_env env, void *data, void *hint)
{
    (void)env, (void)data;
    zcb_napi_slab_drop((struct zcb_napi_slab *)hint);
}

// A new ArrayBuffer of `len` bytes from `offset` on: 0 and slab->len, to be kept for views, and made
// anew when a program has detached it. Or one buffer alone, where it shall be possible to take it away
// from JavaScript again (napi_detach_arraybuffer). It can be written to, also where packets are
// read-only.
// napi_ok; napi_invalid_arg: not inside the slab; napi_no_external_buffers_allowed: this runtime has
// none, so bytes have to be copied; others of napi_create_external_arraybuffer.
static inline napi_status
zcb_napi_arraybuffer(napi_env env, struct zcb_napi_slab *slab, size_t offset, size_t len,
                     napi_value *out)
{
    napi_status status;

    if (offset > slab->len || len > slab->len - offset)
        return napi_invalid_arg;
    __atomic_add_fetch(&slab->users, 1, __ATOMIC_RELAXED);
    status = napi_create_external_arraybuffer(env, slab->base + offset, len, zcb_napi_finalize,
                                              slab, out);
    // On a generic failure (larger than a Buffer may be) Node has taken it, and finalizes it itself.
    if (status != napi_ok && status != napi_generic_failure)
        zcb_napi_slab_drop(slab);
    return status;
}

#ifdef __cplusplus
}
#endif
#endif
