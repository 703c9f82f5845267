// SPDX-License-Identifier: MIT

#include "buf/map_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/count_copy.h"
#include "base/os.h"

// What is taken for bytes whose number is not known; doubled as they come.
#define FIRST_CAPACITY ((size_t)65536)

struct input {
    int fd;
    off_t off;  // ZCB_MAP_FROM_HERE: read(), else pread()
    bool taken; // bytes have been read that will not come again
};

// More bytes of the input, 0 at its end, or a negative errno.
static ssize_t
read_some(struct input *input, void *dst, size_t len)
{
    for (;;) {
        ssize_t got = input->off == ZCB_MAP_FROM_HERE ? read(input->fd, dst, len)
                                                      : pread(input->fd, dst, len, input->off);

        if (got >= 0) {
            if (input->off != ZCB_MAP_FROM_HERE)
                input->off += got;
            else
                input->taken = input->taken || got > 0;
            return got;
        }
        if (errno == ESPIPE && input->off == 0) {
            input->off = ZCB_MAP_FROM_HERE;
        } else if (errno == EAGAIN && input->taken && fcntl(input->fd, F_GETFL) & O_NONBLOCK) {
            // To give up now would lose what was taken.
            struct pollfd ready = {.fd = input->fd, .events = POLLIN};

            (void)poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
}

static void *
grow(void *memory, size_t have, size_t more)
{
    void *larger;

#if defined(__linux__)
    if (have != 0) {
        larger = mremap(memory, have, more, MREMAP_MAYMOVE);
        return larger == MAP_FAILED ? NULL : larger;
    }
#endif
    larger = mmap(NULL, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (larger == MAP_FAILED)
        return NULL;
    if (have != 0) {
        zcb_copy(larger, memory, have, ZCB_COPY_MAP);
        munmap(memory, have);
    }
    return larger;
}

// Gives back the pages behind `len`.
static void
cut(uint8_t *memory, size_t capacity, size_t len)
{
    size_t page = zcb_os_page_size();
    size_t used = len + (page - len % page) % page;

    if (used < capacity)
        munmap(memory + used, capacity - used);
}

// Room for more, `most` in the end. False: there is no memory.
static bool
make_room(uint8_t **memory, size_t *capacity, size_t first, size_t most)
{
    size_t more = *capacity == 0 ? first : *capacity > most / 2 ? most : *capacity * 2;
    void *larger = grow(*memory, *capacity, more);

    if (larger == NULL)
        return false;
    *memory = larger;
    *capacity = more;
    return true;
}

int
zcb_map_copy(int fd, off_t off, size_t want, size_t limit, void **out, size_t *len)
{
    struct input input = {.fd = fd, .off = off};
    size_t most = want != 0 ? want : limit, capacity = 0, have = 0;
    size_t first = want != 0 || most < FIRST_CAPACITY ? most : FIRST_CAPACITY;
    uint8_t *memory = NULL;
    ssize_t got = 1;

    while (got > 0 && (have < most || want == 0)) {
        uint8_t one_more;

        if (have < most && have == capacity && !make_room(&memory, &capacity, first, most))
            got = -ENOMEM;
        else if (have < most)
            got = read_some(&input, memory + have, capacity - have);
        else if ((got = read_some(&input, &one_more, 1)) > 0) // which should be the end
            got = -ENOBUFS;
        if (got > 0)
            have += (size_t)got;
    }
    if (got < 0 || have == 0) {
        if (capacity != 0)
            munmap(memory, capacity);
        memory = NULL;
    } else {
        cut(memory, capacity, have);
        zcb_count_copy(ZCB_COPY_MAP, have);
    }
    if (got < 0)
        return (int)got;
    *out = memory;
    *len = have;
    return 0;
}
