// SPDX-License-Identifier: MIT
//
// Memory that is charged to a lease.
#include "adapt/image_budget.h"

#include <stdlib.h>

#define PAGE 4096u

// In front of what the malloc functions hand out: 16 bytes, which keeps malloc's alignment.
union stamp {
    struct {
        struct zcb_image_lease *lease;
        size_t charged; // this included
    } is;
    char bytes[16];
};

_Static_assert(sizeof(union stamp) == 16, "what the header says is charged");

int
zcb_image_lease_charge(struct zcb_image_lease *lease, size_t bytes)
{
    bool fits;

    if (lease == NULL)
        return -EINVAL;
    pthread_mutex_lock(&lease->budget->lock);
    fits = budget_charge(lease, &lease->charged, bytes);
    pthread_mutex_unlock(&lease->budget->lock);
    return fits ? 0 : -ENOBUFS;
}

void
zcb_image_lease_uncharge(struct zcb_image_lease *lease, size_t bytes)
{
    if (lease == NULL)
        return;
    pthread_mutex_lock(&lease->budget->lock);
    if (bytes > lease->charged)
        bytes = lease->charged;
    lease->charged -= bytes;
    lease->budget->used -= bytes;
    pthread_mutex_unlock(&lease->budget->lock);
}

static bool
charge_block(struct zcb_image_lease *lease, size_t bytes)
{
    bool fits;

    pthread_mutex_lock(&lease->budget->lock);
    fits = budget_charge(lease, &lease->allocated, bytes);
    pthread_mutex_unlock(&lease->budget->lock);
    return fits;
}

static void
uncharge_block(struct zcb_image_lease *lease, size_t bytes)
{
    pthread_mutex_lock(&lease->budget->lock);
    budget_freed(lease, bytes);
    budget_unlock(lease);
}

// ---- malloc

static void *
allocate(struct zcb_image_lease *lease, size_t len, bool zero)
{
    union stamp *stamp;

    // A length that wraps is beyond any lease; SIZE_MAX is as well, and is counted.
    len = len <= SIZE_MAX - sizeof(*stamp) ? len + sizeof(*stamp) : SIZE_MAX;
    if (lease == NULL || !charge_block(lease, len))
        return NULL;
    stamp = zero ? calloc(1, len) : malloc(len);
    if (stamp == NULL) {
        uncharge_block(lease, len);
        return NULL;
    }
    stamp->is.lease = lease;
    stamp->is.charged = len;
    return stamp + 1;
}

void *
zcb_image_lease_malloc(struct zcb_image_lease *lease, size_t len)
{
    return allocate(lease, len, false);
}

void *
zcb_image_lease_calloc(struct zcb_image_lease *lease, size_t n, size_t len)
{
    return allocate(lease, n != 0 && len > SIZE_MAX / n ? SIZE_MAX : n * len, true);
}

void *
zcb_image_lease_realloc(struct zcb_image_lease *lease, void *ptr, size_t len)
{
    union stamp *stamp, *moved;
    size_t before, now;

    if (ptr == NULL)
        return allocate(lease, len, false);
    stamp = (union stamp *)ptr - 1;
    lease = stamp->is.lease;
    before = stamp->is.charged;
    now = len <= SIZE_MAX - sizeof(*stamp) ? len + sizeof(*stamp) : SIZE_MAX;
    // A block that shrinks is not in need of a second one.
    if (now > before && !charge_block(lease, now))
        return NULL;
    moved = realloc(stamp, now);
    if (moved == NULL) {
        if (now > before)
            uncharge_block(lease, now);
        return NULL;
    }
    moved->is.charged = now;
    uncharge_block(lease, now > before ? before : before - now);
    return moved + 1;
}

void
zcb_image_lease_free(void *ptr)
{
    union stamp *stamp;
    struct zcb_image_lease *lease;
    size_t charged;

    if (ptr == NULL)
        return;
    stamp = (union stamp *)ptr - 1;
    lease = stamp->is.lease;
    charged = stamp->is.charged;
    free(stamp);
    uncharge_block(lease, charged);
}

// ---- source

struct charged_source {
    struct zcb_image_lease *lease;
    struct zcb_source base;
};

static size_t
whole_pages(size_t len)
{
    return len <= SIZE_MAX - PAGE ? (len + PAGE - 1) & ~(size_t)(PAGE - 1) : SIZE_MAX;
}

static void *
charged_alloc(void *ctx, size_t len, size_t align)
{
    struct charged_source *own = ctx;
    void *ptr;

    if (!charge_block(own->lease, whole_pages(len)))
        return NULL;
    ptr = own->base.alloc(own->base.ctx, len, align);
    if (ptr == NULL)
        uncharge_block(own->lease, whole_pages(len));
    return ptr;
}

static void
charged_free(void *ctx, void *ptr, size_t len, size_t align)
{
    struct charged_source *own = ctx;

    own->base.free(own->base.ctx, ptr, len, align);
    uncharge_block(own->lease, whole_pages(len));
}

static int
charged_purge(void *ctx, void *ptr, size_t len, bool now)
{
    struct charged_source *own = ctx;

    return own->base.purge(own->base.ctx, ptr, len, now);
}

static int
charged_attach(void *ctx, void *ptr, size_t len, void **tag)
{
    struct charged_source *own = ctx;

    return own->base.attach(own->base.ctx, ptr, len, tag);
}

static void
charged_detach(void *ctx, void *ptr, size_t len, void *tag)
{
    struct charged_source *own = ctx;

    own->base.detach(own->base.ctx, ptr, len, tag);
}

static void
charged_close(void *ctx)
{
    struct charged_source *own = ctx;
    struct zcb_image_lease *lease = own->lease;

    free(own);
    pthread_mutex_lock(&lease->budget->lock);
    lease->sources--;
    budget_unlock(lease);
}

int
zcb_image_lease_source(struct zcb_image_lease *lease, const struct zcb_source *base,
                       struct zcb_source *out)
{
    struct charged_source *own;

    if (base == NULL)
        base = zcb_source_pages();
    if (lease == NULL || out == NULL || base->alloc == NULL || base->free == NULL)
        return -EINVAL;
    own = malloc(sizeof(*own));
    if (own == NULL)
        return -ENOMEM;
    own->lease = lease;
    own->base = *base;
    pthread_mutex_lock(&lease->budget->lock);
    lease->sources++;
    pthread_mutex_unlock(&lease->budget->lock);
    *out = (struct zcb_source){
        .ctx = own,
        .alloc = charged_alloc,
        .free = charged_free,
        .purge = base->purge != NULL ? charged_purge : NULL,
        .attach = base->attach != NULL ? charged_attach : NULL,
        .detach = base->detach != NULL ? charged_detach : NULL,
        .close = charged_close,
    };
    return 0;
}
