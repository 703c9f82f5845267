// SPDX-License-Identifier: MIT
//
// Files as packets.

#include <zcbuf/source.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zcbuf/packet.h>

#include "base/os.h"
#include "buf/buf.h"
#include "buf/guard.h"
#include "buf/map_copy.h"
#include "buf/mapped.h"

static void
unmap(void *ctx, void *data, size_t len)
{
    struct zcb_mapping *mapping = ctx;
    int before = zcb_os_cancel_off(); // close() is where a thread may be cancelled

    (void)data;
    (void)len;
    // The range leaves the table before the address range can be anybody else's.
    if (mapping->guard != NULL)
        zcb_guard_drop(mapping->guard);
    if (mapping->fd >= 0)
        close(mapping->fd);
    munmap(mapping->start, mapping->size);
    free(mapping);
    zcb_os_cancel_back(before);
}

// Others have messages, of which an empty one looks like the end.
static bool
is_stream_socket(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

// What of the file is asked for.
static int
check_range(struct zcb_map_request *request)
{
    mode_t mode = request->info.st_mode;
    off_t size = request->info.st_size, off = request->off;

    if (S_ISDIR(mode))
        return -EISDIR;
    if (S_ISSOCK(mode) ? !is_stream_socket(request->fd)
                       : !S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISCHR(mode) && !S_ISBLK(mode))
        return -ENOTSUP;
    request->known = S_ISREG(mode) && size > 0;
    if (!request->known)
        return 0;
    if (off > size || (uintmax_t)request->len > (uintmax_t)(size - off))
        return -ERANGE;
    if ((uintmax_t)(size - off) > SIZE_MAX / 2 &&
        (request->len == 0 || request->len > SIZE_MAX / 2))
        return -EOVERFLOW;
    if (request->len == 0)
        request->len = (size_t)(size - off);
    return 0;
}

// Makes the packet.
static void
deliver(const struct zcb_map_request *request, struct zcb_mapping *mapping, struct zcb_packet *out)
{
    size_t skip = mapping->unit != 0 ? (size_t)(request->off % (off_t)mapping->unit) : 0;

    if (request->len == 0) { // it turned out so
        free(mapping);
        *out = zcb_packet_static("", 0);
        return;
    }
    zcb_block_wrap(&mapping->block, ZCB_BLOCK_WRAPPED_IN | ZCB_BLOCK_READONLY | ZCB_BLOCK_MAPPED,
                   (uint8_t *)mapping->start + skip, request->len, request->len, unmap, mapping);
    *out = (struct zcb_packet){
        .data = mapping->block.base, .len = request->len, .owner = &mapping->block};
}

static int
make(struct zcb_map_request *request, int (*way)(struct zcb_map_request *, struct zcb_mapping *),
     struct zcb_packet *out)
{
    struct zcb_mapping *mapping = calloc(1, sizeof(*mapping));
    int result, before;

    if (mapping == NULL)
        return -ENOMEM;
    mapping->fd = -1;
    before = zcb_os_cancel_off(); // threads are cancelled in fcntl(), read() and others
    result = way(request, mapping);
    zcb_os_cancel_back(before);
    if (result < 0)
        free(mapping);
    else
        deliver(request, mapping, out);
    return result;
}

int
zcb_map_file(int fd, off_t off, size_t len, uint32_t flags, struct zcb_packet *out)
{
    const uint32_t known =
        ZCB_MAP_STABLE | ZCB_MAP_POPULATE | ZCB_MAP_SEQUENTIAL | ZCB_MAP_RANDOM | ZCB_MAP_ONLY;
    struct zcb_map_request request = {.fd = fd,
                                      .off = off,
                                      .len = len,
                                      .limit = ZCB_MAP_COPY_MAX,
                                      .len_given = len != 0,
                                      .flags = flags};
    int result;

    if (out == NULL || (flags & ~known) != 0 || off < 0)
        return -EINVAL;
    if (fstat(fd, &request.info) != 0)
        return -errno;
    result = check_range(&request);
    if (result < 0)
        return result;
    return make(&request, zcb_map_any_way, out);
}

int
zcb_map_read(int fd, size_t limit, struct zcb_packet *out)
{
    struct zcb_map_request request = {
        .fd = fd, .off = ZCB_MAP_FROM_HERE, .limit = limit != 0 ? limit : ZCB_MAP_COPY_MAX};

    if (out == NULL)
        return -EINVAL;
    return make(&request, zcb_map_by_copy, out);
}

static const struct zcb_mapping *
mapping_of(const struct zcb_packet *packet)
{
    const struct zcb_block *block = packet->owner;

    return block != NULL && (block->kind & ZCB_BLOCK_MAPPED) ? (const struct zcb_mapping *)block
                                                             : NULL;
}

int
zcb_map_status(const struct zcb_packet *packet)
{
    const struct zcb_mapping *mapping;
    struct stat info;

    if (packet == NULL)
        return -EINVAL;
    mapping = mapping_of(packet);
    if (mapping == NULL)
        return 0;
    if (mapping->guard != NULL && zcb_guard_has_faulted(mapping->guard))
        return -EIO;
    if (mapping->fd < 0)
        return mapping->torn ? -ESTALE : 0;
    if (fstat(mapping->fd, &info) != 0 || info.st_size < mapping->end)
        return -EIO;
    return zcb_map_same_time(mapping->written, zcb_map_time(&info)) ? 0 : -ESTALE;
}

int
zcb_map_forget(const struct zcb_packet *packet)
{
    const struct zcb_mapping *mapping;
    uintptr_t start, end;

    if (packet == NULL)
        return -EINVAL;
    mapping = mapping_of(packet);
    if (mapping == NULL || mapping->unit == 0)
        return 0;
    start = (uintptr_t)packet->data;
    end = start + packet->len;
    start += (mapping->unit - start % mapping->unit) % mapping->unit;
    end -= end % mapping->unit;
    // The pages of a shared mapping come back from the file. (Those of a private one would not.)
    return start >= end || madvise((void *)start, end - start, MADV_DONTNEED) == 0 ? 0 : -errno;
}
