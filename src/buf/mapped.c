// SPDX-License-Identifier: MIT
//
// Files as packets.

#include <zcbuf/source.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zcbuf/packet.h>

#include "base/count_copy.h"
#include "base/os.h"
#include "buf/buf.h"
#include "buf/guard.h"

// Linux 5.14; older headers lack it.
#if defined(__linux__) && !defined(MADV_POPULATE_READ)
#define MADV_POPULATE_READ 22
#endif

struct mapping {
    struct zcb_block block;
    struct zcb_guard *guard; // NULL: a private copy
    int fd;                  // to see the file's size: a page that the file ends in does not fault
    off_t end;               // the size that the file must have
};

static void
unmap(void *ctx, void *data, size_t len)
{
    struct mapping *mapping = ctx;
    size_t page = zcb_os_page_size();
    uintptr_t start = (uintptr_t)data & ~(uintptr_t)(page - 1);
    int before = zcb_os_cancel_off(); // close() is where a thread may be cancelled

    // The range leaves the table before the address range can be anybody else's.
    if (mapping->guard != NULL) {
        zcb_guard_drop(mapping->guard);
        close(mapping->fd);
    }
    munmap((void *)start, (uintptr_t)data + len - start);
    free(mapping);
    zcb_os_cancel_back(before);
}

// A private copy of the range, read now.
static int
read_copy(int fd, off_t off, size_t len, void **out)
{
    uint8_t *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t have = 0;
    int result;

    if (memory == MAP_FAILED)
        return -ENOMEM;
    while (have < len) {
        ssize_t got = pread(fd, memory + have, len - have, off + (off_t)have);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) { // it became shorter while we read, or cannot be read
            result = got < 0 ? -errno : -EIO;
            munmap(memory, len);
            return result;
        }
        have += (size_t)got;
    }
    zcb_count_copy(ZCB_COPY_MAP, len);
    *out = memory;
    return 0;
}

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

static int
map_shared(int fd, off_t off, size_t len, uint32_t flags, struct mapping *mapping, void **out)
{
    off_t skip = off & (off_t)(zcb_os_page_size() - 1);
    uint8_t *memory;
    int result;

    mapping->end = off + (off_t)len;
    mapping->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (mapping->fd < 0)
        return -errno;
    result = zcb_guard_take(&mapping->guard);
    if (result < 0) {
        close(mapping->fd);
        return result;
    }
    memory = mmap(NULL, len + (size_t)skip, PROT_READ, MAP_SHARED, fd, off - skip);
    if (memory == MAP_FAILED) {
        result = -errno;
        zcb_guard_drop(mapping->guard);
        close(mapping->fd);
        return result;
    }
    zcb_guard_watch(mapping->guard, memory, len + (size_t)skip);
    if (flags & ZCB_MAP_SEQUENTIAL)
        (void)madvise(memory, len + (size_t)skip, MADV_SEQUENTIAL);
    if (flags & ZCB_MAP_RANDOM)
        (void)madvise(memory, len + (size_t)skip, MADV_RANDOM);
    if (flags & ZCB_MAP_POPULATE)
        populate(memory, len + (size_t)skip);
    *out = memory + skip;
    return 0;
}

int
zcb_map_file(int fd, off_t off, size_t len, uint32_t flags, struct zcb_packet *out)
{
    const uint32_t known = ZCB_MAP_STABLE | ZCB_MAP_POPULATE | ZCB_MAP_SEQUENTIAL | ZCB_MAP_RANDOM;
    struct mapping *mapping;
    struct stat info;
    void *data = NULL;
    int result, before;

    if (out == NULL || (flags & ~known) != 0 || off < 0)
        return -EINVAL;
    if (fstat(fd, &info) != 0)
        return -errno;
    if (!S_ISREG(info.st_mode))
        return -ENOTSUP;
    if (off > info.st_size || (uintmax_t)len > (uintmax_t)(info.st_size - off))
        return -ERANGE;
    if ((uintmax_t)(info.st_size - off) > SIZE_MAX / 2 && len == 0)
        return -EOVERFLOW;
    if (len == 0)
        len = (size_t)(info.st_size - off);
    if (len == 0) {
        *out = zcb_packet_static("", 0);
        return 0;
    }
    mapping = calloc(1, sizeof(*mapping));
    if (mapping == NULL)
        return -ENOMEM;
    before = zcb_os_cancel_off(); // so are fcntl() and pread()
    if (flags & ZCB_MAP_STABLE)
        result = read_copy(fd, off, len, &data);
    else
        result = map_shared(fd, off, len, flags, mapping, &data);
    zcb_os_cancel_back(before);
    if (result < 0) {
        free(mapping);
        return result;
    }
    zcb_block_wrap(&mapping->block, ZCB_BLOCK_WRAPPED_IN | ZCB_BLOCK_READONLY | ZCB_BLOCK_MAPPED,
                   data, len, len, unmap, mapping);
    out->data = data;
    out->len = len;
    out->owner = &mapping->block;
    return 0;
}

int
zcb_map_status(const struct zcb_packet *packet)
{
    const struct mapping *mapping;
    struct stat info;

    if (packet == NULL)
        return -EINVAL;
    if (packet->owner == NULL || !(packet->owner->kind & ZCB_BLOCK_MAPPED))
        return 0;
    mapping = (const struct mapping *)packet->owner;
    if (mapping->guard == NULL)
        return 0;
    if (zcb_guard_has_faulted(mapping->guard))
        return -EIO;
    return fstat(mapping->fd, &info) == 0 && info.st_size >= mapping->end ? 0 : -EIO;
}
