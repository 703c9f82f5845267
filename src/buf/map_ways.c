// SPDX-License-Identifier: MIT
//
// A file is mapped behind a guard, mapped without (nobody can change it), or copied.

#include <zcbuf/source.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buf/guard.h"
#include "buf/map_copy.h"
#include "buf/mapped.h"

// Linux 5.14; older headers lack it.
#if defined(__linux__) && !defined(MADV_POPULATE_READ)
#define MADV_POPULATE_READ 22
#endif

// A clone is read from the disk anew, which takes some four times as long as to copy what is in the
// page cache. But its memory can be taken back: from here on that is worth it.
#define CLONE_FROM ((size_t)16 << 20)

static void
populate(void *memory, size_t len)
{
#if defined(MADV_POPULATE_READ)
    // A file that has become shorter makes this fail, where touching the pages would fault.
    if (madvise(memory, len, MADV_POPULATE_READ) == 0)
        return;
#endif
    (void)madvise(memory, len, MADV_WILLNEED);
}

// Maps the range of `fd`, which is the request's or a clone of it, with the guard that the mapping
// has by then, or without.
static int
map_range(const struct zcb_map_request *request, int fd, struct zcb_mapping *mapping)
{
    size_t unit = request->kind.unit;
    size_t skip = (size_t)(request->off % (off_t)unit);
    size_t size = request->len + skip;

    mapping->size = size + (unit - size % unit) % unit;
    // Before Linux 6.7, what is sealed against writing cannot be shared, even to be read.
    mapping->start =
        mmap(NULL, mapping->size, PROT_READ, mapping->guard != NULL ? MAP_SHARED : MAP_PRIVATE, fd,
             request->off - (off_t)skip);
    if (mapping->start == MAP_FAILED)
        return -errno;
    mapping->unit = unit;
    if (mapping->guard != NULL)
        zcb_guard_watch(mapping->guard, mapping->start, mapping->size, unit);
    if (request->flags & ZCB_MAP_SEQUENTIAL)
        (void)madvise(mapping->start, mapping->size, MADV_SEQUENTIAL);
    if (request->flags & ZCB_MAP_RANDOM)
        (void)madvise(mapping->start, mapping->size, MADV_RANDOM);
    if (request->flags & ZCB_MAP_POPULATE)
        populate(mapping->start, mapping->size);
    return 0;
}

static int
map_guarded(const struct zcb_map_request *request, int fd, struct zcb_mapping *mapping)
{
    int result = zcb_guard_take(&mapping->guard);

    if (result == 0) {
        result = map_range(request, fd, mapping);
        if (result < 0) {
            zcb_guard_drop(mapping->guard);
            mapping->guard = NULL;
        }
    }
    return result;
}

static int
map_shared(const struct zcb_map_request *request, struct zcb_mapping *mapping)
{
    int result;

    mapping->end = request->off + (off_t)request->len;
    mapping->written = zcb_map_time(&request->info);
    mapping->fd = fcntl(request->fd, F_DUPFD_CLOEXEC, 3);
    if (mapping->fd < 0)
        return -errno;
    result = map_guarded(request, request->fd, mapping);
    if (result < 0) {
        close(mapping->fd);
        mapping->fd = -1;
    }
    return result;
}

// A file of our own, which shares the blocks that the request's has now.
static int
map_clone(const struct zcb_map_request *request, struct zcb_mapping *mapping)
{
    struct stat info;
    int result = -ENOTSUP, clone;

    if (!request->kind.clones || (request->len < CLONE_FROM && !(request->flags & ZCB_MAP_ONLY)))
        return result;
    clone = zcb_map_clone(request->fd);
    if (clone < 0)
        return result;
    // It may have been cut before it was cloned.
    if (fstat(clone, &info) == 0 && info.st_size >= request->off &&
        (uintmax_t)(info.st_size - request->off) >= request->len)
        result = map_guarded(request, clone, mapping);
    close(clone);
    return result;
}

int
zcb_map_by_copy(struct zcb_map_request *request, struct zcb_mapping *mapping)
{
    struct stat now;
    size_t len;
    int result;

    if (!request->len_given && request->len > request->limit)
        return -ENOBUFS;
    result = zcb_map_copy(request->fd, request->off, request->len, request->limit, &mapping->start,
                          &len);
    if (result < 0)
        return result;
    if (request->known && fstat(request->fd, &now) == 0) {
        mapping->torn = !zcb_map_same_time(zcb_map_time(&request->info), zcb_map_time(&now));
        // Cut while it was read? The size of what a kernel makes up is just a number, and stays.
        if (len < request->len && now.st_size < request->info.st_size)
            result = -EIO;
    }
    if (result == 0 && (request->len_given ? len < request->len : len == 0 && request->off > 0))
        result = -ERANGE;
    if (result < 0 && len != 0)
        munmap(mapping->start, len);
    mapping->size = len;
    request->len = len;
    return result;
}

// A file whose size is not known, and is not to be copied: fine if there is nothing in it.
static int
expect_nothing(const struct zcb_map_request *request)
{
    void *memory;
    size_t len;
    int result = -ENOTSUP;

    if (S_ISREG(request->info.st_mode))
        result = zcb_map_copy(request->fd, request->off, 0, 0, &memory, &len);
    if (result == 0 && (request->off > 0 || request->len_given))
        result = -ERANGE;
    return result == -ENOBUFS ? -ENOTSUP : result;
}

int
zcb_map_any_way(struct zcb_map_request *request, struct zcb_mapping *mapping)
{
    bool may_copy = !(request->flags & ZCB_MAP_ONLY);
    int result;

    if (request->known && request->len == 0) // from its end to its end
        return 0;
    if (!request->known)
        return may_copy ? zcb_map_by_copy(request, mapping) : expect_nothing(request);
    zcb_map_kind(request->fd, &request->kind);
    if (zcb_map_is_sealed(request->fd))
        result = map_range(request, request->fd, mapping);
    else if (request->flags & ZCB_MAP_STABLE)
        result = map_clone(request, mapping);
    else if (request->kind.remote && may_copy)
        result = -ENOTSUP;
    else
        result = map_shared(request, mapping);
    if (result == -ENODEV) // this file system, or this file, has no mappings
        result = -ENOTSUP;
    return result == -ENOTSUP && may_copy ? zcb_map_by_copy(request, mapping) : result;
}
