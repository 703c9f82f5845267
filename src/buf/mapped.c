// SPDX-License-Identifier: MIT
//
// Files as packets, and the guard that turns a fault in such a mapping into -EIO.
//
// A table of fixed size says where our mappings lie. The signal handler reads it without a lock: an
// entry is filled in before its `base` is published, and `base` is cleared before the range is
// unmapped. A fault inside an entry's range puts an anonymous zero page in the place of the one
// that is gone and marks the entry; any other goes to the handler that was there before us.

#include <zcbuf/source.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zcbuf/packet.h>

#include "base/count_copy.h"
#include "base/os.h"
#include "buf/buf.h"

// Linux 5.14; older headers lack it.
#if defined(__linux__) && !defined(MADV_POPULATE_READ)
#define MADV_POPULATE_READ 22
#endif

#define GUARDED_MAX 4096

struct guarded {
    uintptr_t base; // 0: free
    size_t len;
    bool faulted;
    bool taken;
};

struct mapping {
    struct zcb_block block;
    struct guarded *guard; // NULL: a private copy
    int fd;                // to see the file's size: a page that the file ends in does not fault
    off_t end;             // the size that the file must have
};

static struct guarded table[GUARDED_MAX];
static unsigned table_used; // entries from here on have never been used
static struct zcb_mutex lock = ZCB_MUTEX_INITIALISER;
static struct sigaction earlier; // what SIGBUS did before us
static bool installed;

static struct guarded *
find_guard(uintptr_t address)
{
    unsigned used = __atomic_load_n(&table_used, __ATOMIC_ACQUIRE);

    for (unsigned i = 0; i < used; i++) {
        uintptr_t base = __atomic_load_n(&table[i].base, __ATOMIC_ACQUIRE);

        if (base != 0 && address >= base &&
            address - base < __atomic_load_n(&table[i].len, __ATOMIC_RELAXED))
            return &table[i];
    }
    return NULL;
}

// What would have happened without us.
static void
pass_on(int number, siginfo_t *info, void *context)
{
    if (earlier.sa_flags & SA_SIGINFO) {
        earlier.sa_sigaction(number, info, context);
    } else if (earlier.sa_handler == SIG_IGN && info->si_code <= 0) {
        return; // sent by a process, and not wanted
    } else if (earlier.sa_handler == SIG_DFL || earlier.sa_handler == SIG_IGN) {
        // A fault that is ignored would come back for ever. What caused it happens again with the
        // default action.
        signal(number, SIG_DFL);
        if (info->si_code <= 0)
            raise(number);
    } else {
        earlier.sa_handler(number);
    }
}

static void
on_sigbus(int number, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    size_t page = zcb_os_page_size();
    uintptr_t address = (uintptr_t)info->si_addr;
    // A signal that was sent by a process has no address; a memory error is none of ours.
    struct guarded *guard = info->si_code == BUS_ADRERR ? find_guard(address) : NULL;
    void *at = (void *)(address & ~(uintptr_t)(page - 1));

    if (guard != NULL) {
        // All that lies behind is gone too, and one range costs one of the process' mappings, where
        // a page at a time could use them up.
        uintptr_t end = __atomic_load_n(&guard->base, __ATOMIC_RELAXED) +
                        __atomic_load_n(&guard->len, __ATOMIC_RELAXED);
        size_t rest = ((end + page - 1) & ~(uintptr_t)(page - 1)) - (uintptr_t)at;

        __atomic_store_n(&guard->faulted, true, __ATOMIC_RELEASE);
        if (mmap(at, rest, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
            MAP_FAILED) {
            errno = saved_errno;
            return;
        }
    }
    pass_on(number, info, context);
    errno = saved_errno;
}

static void
take_lock(void)
{
    zcb_os_lock(&lock);
}

static void
drop_lock(void)
{
    zcb_os_unlock(&lock);
}

// Called with the lock held.
static int
install(void)
{
    struct sigaction action = {.sa_sigaction = on_sigbus,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    if (installed)
        return 0;
    (void)zcb_os_page_size(); // so that the handler finds it known
    sigemptyset(&action.sa_mask);
    // `earlier` is filled in first: the handler may run before sigaction returns.
    if (sigaction(SIGBUS, NULL, &earlier) != 0 || sigaction(SIGBUS, &action, NULL) != 0)
        return -errno;
    installed = true;
    return zcb_os_fork_hooks(take_lock, drop_lock, drop_lock);
}

static int
guard_add(struct guarded **out)
{
    int result;

    zcb_os_lock(&lock);
    result = install();
    if (result == 0) {
        unsigned i = 0;

        while (i < table_used && table[i].taken)
            i++;
        if (i == GUARDED_MAX) {
            result = -ENOBUFS;
        } else {
            table[i].taken = true;
            table[i].faulted = false;
            *out = &table[i];
            if (i == table_used)
                __atomic_store_n(&table_used, i + 1, __ATOMIC_RELEASE);
        }
    }
    zcb_os_unlock(&lock);
    return result;
}

static void
guard_remove(struct guarded *guard)
{
    zcb_os_lock(&lock);
    __atomic_store_n(&guard->base, 0, __ATOMIC_RELEASE);
    guard->taken = false;
    zcb_os_unlock(&lock);
}

static void
unmap(void *ctx, void *data, size_t len)
{
    struct mapping *mapping = ctx;
    size_t page = zcb_os_page_size();
    uintptr_t start = (uintptr_t)data & ~(uintptr_t)(page - 1);

    // The range leaves the table before the address range can be anybody else's.
    if (mapping->guard != NULL) {
        guard_remove(mapping->guard);
        close(mapping->fd);
    }
    munmap((void *)start, (uintptr_t)data + len - start);
    free(mapping);
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
    result = guard_add(&mapping->guard);
    if (result < 0) {
        close(mapping->fd);
        return result;
    }
    memory = mmap(NULL, len + (size_t)skip, PROT_READ, MAP_SHARED, fd, off - skip);
    if (memory == MAP_FAILED) {
        result = -errno;
        guard_remove(mapping->guard);
        close(mapping->fd);
        return result;
    }
    __atomic_store_n(&mapping->guard->len, len + (size_t)skip, __ATOMIC_RELAXED);
    __atomic_store_n(&mapping->guard->base, (uintptr_t)memory, __ATOMIC_RELEASE);
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
    int result;

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
    if (flags & ZCB_MAP_STABLE)
        result = read_copy(fd, off, len, &data);
    else
        result = map_shared(fd, off, len, flags, mapping, &data);
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
    if (__atomic_load_n(&mapping->guard->faulted, __ATOMIC_ACQUIRE))
        return -EIO;
    return fstat(mapping->fd, &info) == 0 && info.st_size >= mapping->end ? 0 : -EIO;
}
