// SPDX-License-Identifier: MIT
//
// A region cut into units, one bit each: set while in use. First fit, so what is freed is found
// again and the region does not wander. The region itself is never touched.

#include "source/source.h"

#include <stdlib.h>

#include "base/os.h"

struct fixed {
    struct zcb_mutex lock;
    uintptr_t base;
    size_t unit;
    size_t units;
    uint8_t used[]; // a bit a unit: 32 KiB for 1 GiB
};

static bool
in_use(const struct fixed *fixed, size_t unit)
{
    return fixed->used[unit / 8] >> unit % 8 & 1;
}

static void
mark(struct fixed *fixed, size_t first, size_t count, bool used)
{
    for (size_t unit = first; unit < first + count; unit++) {
        uint8_t bit = (uint8_t)(1u << unit % 8);

        if (used)
            fixed->used[unit / 8] |= bit;
        else
            fixed->used[unit / 8] &= (uint8_t)~bit;
    }
}

static size_t
units_of(const struct fixed *fixed, size_t len)
{
    return len / fixed->unit + (len % fixed->unit != 0);
}

// The first free run of `want` units whose start is a multiple of `step` units from the region's
// start, and of `align` as an address; fixed->units: there is none.
static size_t
find_run(const struct fixed *fixed, size_t want, size_t step, size_t align)
{
    size_t run = 0;

    for (size_t unit = 0; unit < fixed->units; unit++) {
        if (in_use(fixed, unit)) {
            run = 0;
            continue;
        }
        if (run == 0 &&
            (unit % step != 0 || ((fixed->base + unit * fixed->unit) & (align - 1)) != 0))
            continue;
        if (++run == want)
            return unit + 1 - want;
    }
    return fixed->units;
}

static void *
fixed_alloc(void *ctx, size_t len, size_t align)
{
    struct fixed *fixed = ctx;
    size_t want = units_of(fixed, len), first;
    void *found = NULL;

    if (want == 0 || want > fixed->units)
        return NULL;
    zcb_os_lock(&fixed->lock);
    // Sizes are mostly powers of two: at multiples of their own length they leave holes that others
    // fit.
    first = find_run(fixed, want, want, align);
    if (first == fixed->units)
        first = find_run(fixed, want, 1, align);
    if (first != fixed->units) {
        mark(fixed, first, want, true);
        found = (void *)(fixed->base + first * fixed->unit);
    }
    zcb_os_unlock(&fixed->lock);
    return found;
}

static void
fixed_free(void *ctx, void *ptr, size_t len, size_t align)
{
    struct fixed *fixed = ctx;

    (void)align;
    zcb_os_lock(&fixed->lock);
    mark(fixed, ((uintptr_t)ptr - fixed->base) / fixed->unit, units_of(fixed, len), false);
    zcb_os_unlock(&fixed->lock);
}

static void
fixed_close(void *ctx)
{
    struct fixed *fixed = ctx;

    if (fixed == NULL)
        return;
    zcb_os_mutex_finish(&fixed->lock);
    free(fixed);
}

int
zcb_source_fixed(struct zcb_source *out, void *region, size_t len)
{
    size_t unit = len >= (1u << 20) ? 4096 : 64;
    uintptr_t start = (uintptr_t)region, base = (start + unit - 1) & ~(uintptr_t)(unit - 1);
    struct fixed *fixed;
    size_t units;
    int result;

    if (out == NULL || region == NULL || len < base - start || len - (base - start) < unit)
        return -EINVAL;
    units = (len - (base - start)) / unit;
    fixed = calloc(1, sizeof(*fixed) + units / 8 + 1);
    if (fixed == NULL)
        return -ENOMEM;
    result = zcb_os_mutex_init(&fixed->lock);
    if (result < 0) {
        free(fixed);
        return result;
    }
    fixed->base = base;
    fixed->unit = unit;
    fixed->units = units;
    *out = (struct zcb_source){
        .ctx = fixed, .alloc = fixed_alloc, .free = fixed_free, .close = fixed_close};
    return 0;
}

size_t
zcb_source_size(const struct zcb_source *source)
{
    const struct fixed *fixed = source->ctx;

    return source->alloc == fixed_alloc ? fixed->units * fixed->unit : SIZE_MAX;
}

void
zcb_source_hold(const struct zcb_source *source)
{
    if (source->alloc == fixed_alloc)
        zcb_os_lock(&((struct fixed *)source->ctx)->lock);
}

void
zcb_source_let_go(const struct zcb_source *source)
{
    if (source->alloc == fixed_alloc)
        zcb_os_unlock(&((struct fixed *)source->ctx)->lock);
}
