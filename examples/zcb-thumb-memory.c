// SPDX-License-Identifier: MIT
//
// A job's memory: charged to its lease first, then taken from the pool that all jobs share, so that
// the next image finds pages that are there already.
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>
#include <zcbuf/zcbuf.h>

#include "zcb-thumb.h"

int
because(char *why, int result, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, WHY_BYTES, format, args);
    va_end(args);
    return result;
}

static void
note_largest(struct memory *memory, const struct zcb_buf *buf)
{
    size_t size = zcb_buf_capacity(buf);

    memory->largest = size > memory->largest ? size : memory->largest;
}

int
memory_get(struct memory *memory, size_t len, struct block *out)
{
    int result = zcb_image_lease_charge(memory->lease, len);

    *out = (struct block){0};
    if (result < 0)
        return result;
    result = zcb_pool_acquire(memory->pool, len, &out->buf);
    if (result < 0) {
        zcb_image_lease_uncharge(memory->lease, len);
        return result;
    }
    note_largest(memory, out->buf);
    out->data = zcb_buf_data(out->buf);
    out->charged = len;
    return 0;
}

void
memory_put(struct memory *memory, struct block *block)
{
    if (block->buf == NULL)
        return;
    zcb_buf_release(&block->buf);
    zcb_image_lease_uncharge(memory->lease, block->charged);
    *block = (struct block){0};
}

int
image_get(struct memory *memory, const struct zcb_image_layout *layout, struct zcb_image_buf *out)
{
    int result = zcb_image_lease_charge(memory->lease, layout->bytes);

    *out = (struct zcb_image_buf){0};
    if (result < 0)
        return result;
    result = zcb_image_acquire(memory->pool, layout, out);
    if (result < 0)
        zcb_image_lease_uncharge(memory->lease, layout->bytes);
    else
        note_largest(memory, out->buf[0]);
    return result;
}

void
memory_end(struct memory *memory, size_t keep)
{
    // trim lets go of whole buffers, and leaves less than one of them more than it is told.
    (void)zcb_pool_trim(memory->pool, memory->largest > keep ? 0 : keep - memory->largest);
    zcb_image_lease_end(&memory->lease);
    memory->largest = 0;
}

// ---- what the system says

// "Name:  123 kB" in /proc/self/status, in bytes.
static uint64_t
status_field(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    unsigned long long kilobytes = 0;

    if (at == NULL || sscanf(at + strlen(name), " %llu", &kilobytes) != 1)
        return 0;
    return kilobytes * 1024;
}

struct usage
usage_now(void)
{
    struct usage now = {.cpu = cpu_seconds(), .seconds = now_seconds()};
    char status[4096] = "";
    struct rusage rusage;
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        ssize_t n = read(fd, status, sizeof(status) - 1);

        status[n > 0 ? n : 0] = '\0';
        close(fd);
    }
    now.resident = status_field(status, "VmRSS:");
    now.peak = status_field(status, "VmHWM:");
    if (getrusage(RUSAGE_SELF, &rusage) == 0)
        now.faults = (uint64_t)rusage.ru_minflt;
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    struct mallinfo2 heap = mallinfo2();

    now.heap = heap.uordblks + heap.hblkhd;
#endif
    return now;
}
