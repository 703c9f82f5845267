// SPDX-License-Identifier: MIT
//
// Files with known bytes, and maps of them.
#ifndef ZCB_TESTS_MAP_TESTING_H
#define ZCB_TESTS_MAP_TESTING_H

#include "testing.h"

#include "support/child.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <zcbuf/zcbuf.h>

#define PAGE ((size_t)4096) // of the file's; the machine's may be larger

static inline uint8_t
byte_at(size_t off)
{
    return (uint8_t)(off * 31 + off / 256 * 7 + 1);
}

// An open file of `len` known bytes, without a name. Its time is long ago, so that any later change
// shows in it, however coarse the system's clock for files is.
static inline int
make_file(size_t len)
{
    char name[] = "/tmp/zcbuf-map-XXXXXX";
    uint8_t bytes[PAGE];
    int fd = mkstemp(name);

    CHECK(fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    unlink(name);
    for (size_t off = 0; off < len; off += PAGE) {
        size_t n = len - off < PAGE ? len - off : PAGE;

        for (size_t i = 0; i < n; i++)
            bytes[i] = byte_at(off + i);
        CHECK(pwrite(fd, bytes, n, (off_t)off) == (ssize_t)n);
    }
    CHECK(futimens(fd, (const struct timespec[2]){{1000000, 0}, {1000000, 0}}) == 0);
    return fd;
}

static inline struct zcb_packet
must_map(int fd, size_t off, size_t len, uint32_t flags)
{
    struct zcb_packet packet = {0};
    int result = zcb_map_file(fd, (off_t)off, len, flags, &packet);

    if (result != 0)
        fprintf(stderr, "map of %zu at %zu: %d\n", len, off, result);
    CHECK(result == 0);
    return packet;
}

// Reads what others may be replacing by zeros, which ThreadSanitizer takes for a write.
#define READS_WHAT_VANISHES __attribute__((no_sanitize("thread")))

static inline uint64_t
sum_of(const struct zcb_packet *packet)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < packet->len; i++)
        sum += ((const volatile uint8_t *)packet->data)[i];
    return sum;
}

#endif
