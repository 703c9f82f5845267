// SPDX-License-Identifier: MIT
//
// Memory where there is no Linux: what POSIX and its usual extensions say.
#include <sys/resource.h>
#include <unistd.h>

#include "adapt/image_budget.h"

static uint64_t
pages(long count)
{
    long page = sysconf(_SC_PAGESIZE);

    return count > 0 && page > 0 ? (uint64_t)count * (uint64_t)page : UINT64_MAX;
}

int
zcb_image_memory(struct zcb_image_memory *out, size_t out_size)
{
    struct zcb_image_memory now = {
        .physical = UINT64_MAX,
        .available = UINT64_MAX,
        .group_limit = UINT64_MAX,
        .group_free = UINT64_MAX,
        .process_limit = UINT64_MAX,
        .process_free = UINT64_MAX,
    };
    struct rlimit limit;

    if (out == NULL || out_size == 0)
        return -EINVAL;
#if defined(_SC_PHYS_PAGES)
    now.physical = pages(sysconf(_SC_PHYS_PAGES));
#endif
#if defined(_SC_AVPHYS_PAGES)
    now.available = pages(sysconf(_SC_AVPHYS_PAGES));
#else
    now.available = now.physical;
#endif
    if (getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        now.process_limit = now.process_free = limit.rlim_cur;
    now.free = now.available < now.process_free ? now.available : now.process_free;
    budget_copy_out(out, out_size, &now, sizeof(now));
    return 0;
}
