// SPDX-License-Identifier: MIT

#include "base/os.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Linux 5.14; older headers lack it.
#if defined(__linux__) && !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23
#endif

int
zcb_os_mutex_init(struct zcb_mutex *mutex)
{
#if defined(__GLIBC__)
    // Our locks are held for less time than it takes to put a thread to sleep: look again first.
    pthread_mutexattr_t attr;
    int result = pthread_mutexattr_init(&attr);

    if (result != 0)
        return -result;
    result = pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    if (result == 0)
        result = pthread_mutex_init(&mutex->os, &attr);
    pthread_mutexattr_destroy(&attr);
    return -result;
#else
    return -pthread_mutex_init(&mutex->os, NULL);
#endif
}

void
zcb_os_mutex_finish(struct zcb_mutex *mutex)
{
    pthread_mutex_destroy(&mutex->os);
}

int
zcb_os_cond_init(struct zcb_cond *cond)
{
#if defined(__APPLE__)
    return -pthread_cond_init(&cond->os, NULL);
#else
    pthread_condattr_t attr;
    int result = pthread_condattr_init(&attr);

    if (result != 0)
        return -result;
    result = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (result == 0)
        result = pthread_cond_init(&cond->os, &attr);
    pthread_condattr_destroy(&attr);
    return -result;
#endif
}

void
zcb_os_cond_finish(struct zcb_cond *cond)
{
    pthread_cond_destroy(&cond->os);
}

static bool
wait_until(struct zcb_cond *cond, struct zcb_mutex *mutex, uint64_t deadline_ms)
{
    struct timespec until;

    if (deadline_ms == UINT64_MAX)
        return pthread_cond_wait(&cond->os, &mutex->os) == 0;
#if defined(__APPLE__)
    // No monotonic deadline there: the time that is left, relative.
    uint64_t now = zcb_os_now_ms();

    if (now >= deadline_ms)
        return false;
    until.tv_sec = (time_t)((deadline_ms - now) / 1000);
    until.tv_nsec = (long)((deadline_ms - now) % 1000) * 1000000;
    return pthread_cond_timedwait_relative_np(&cond->os, &mutex->os, &until) == 0;
#else
    until.tv_sec = (time_t)(deadline_ms / 1000);
    until.tv_nsec = (long)(deadline_ms % 1000) * 1000000;
    return pthread_cond_timedwait(&cond->os, &mutex->os, &until) == 0;
#endif
}

bool
zcb_os_wait(struct zcb_cond *cond, struct zcb_mutex *mutex, uint64_t deadline_ms)
{
    // A thread that is cancelled in there would never drop the mutex.
    int before = zcb_os_cancel_off();
    bool in_time = wait_until(cond, mutex, deadline_ms);

    zcb_os_cancel_back(before);
    return in_time;
}

int
zcb_os_cancel_off(void)
{
    int before = PTHREAD_CANCEL_ENABLE;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void
zcb_os_cancel_back(int before)
{
    pthread_setcancelstate(before, &before);
}

void
zcb_os_wake_all(struct zcb_cond *cond)
{
    pthread_cond_broadcast(&cond->os);
}

uint64_t
zcb_os_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static int exit_key_error;
static void (*exit_function)(void);

static void
run_exit_function(void *unused)
{
    void (*function)(void) = __atomic_load_n(&exit_function, __ATOMIC_RELAXED);

    (void)unused;
    function();
}

static void
make_exit_key(void)
{
    exit_key_error = pthread_key_create(&exit_key, run_exit_function);
}

int
zcb_os_thread_exit_hook(void (*at_exit)(void), bool may_allocate)
{
    // The key's value only has to be something other than NULL. The store below is repeated with
    // the same value by each thread, before it can be read by that thread's exit.
    __atomic_store_n(&exit_function, at_exit, __ATOMIC_RELAXED);
    pthread_once(&exit_once, make_exit_key);
    if (exit_key_error != 0)
        return -exit_key_error;
#if defined(__GLIBC__)
    // The first 32 keys have their place in the thread itself; later ones are allocated.
    if (!may_allocate && exit_key >= 32)
        return -ENOMEM;
#else
    (void)may_allocate;
#endif
    return -pthread_setspecific(exit_key, &exit_key);
}

int
zcb_os_fork_hooks(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return -pthread_atfork(prepare, parent, child);
}

size_t
zcb_os_page_size(void)
{
    static size_t known;
    size_t size = __atomic_load_n(&known, __ATOMIC_RELAXED);

    if (size == 0) {
        size = (size_t)sysconf(_SC_PAGESIZE);
        __atomic_store_n(&known, size, __ATOMIC_RELAXED);
    }
    return size;
}

void *
zcb_os_pages_alloc(size_t len, size_t align)
{
    size_t page = zcb_os_page_size();
    size_t extra = align > page ? align - page : 0;
    size_t skip;
    uint8_t *map;

    if (len > SIZE_MAX - extra)
        return NULL;
    map = mmap(NULL, len + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (extra != 0) { // cut the aligned part out
        skip = (align - ((uintptr_t)map & (align - 1))) & (align - 1);
        if (skip != 0)
            munmap(map, skip);
        if (skip != extra)
            munmap(map + skip + len, extra - skip);
        map += skip;
    }
    return map;
}

void
zcb_os_pages_free(void *ptr, size_t len)
{
    munmap(ptr, len);
}

int
zcb_os_pages_purge(void *ptr, size_t len, bool now)
{
#if defined(MADV_FREE)
    // Old kernels and some kinds of memory know only the harder way.
    if (!now && madvise(ptr, len, MADV_FREE) == 0)
        return 0;
#else
    (void)now;
#endif
    return madvise(ptr, len, MADV_DONTNEED) == 0 ? 0 : -errno;
}

int
zcb_os_pages_populate(void *ptr, size_t len)
{
#if defined(MADV_POPULATE_WRITE)
    return madvise(ptr, len, MADV_POPULATE_WRITE) == 0 ? 0 : -errno;
#else
    (void)ptr;
    (void)len;
    return -ENOTSUP;
#endif
}

void
zcb_os_pages_huge(void *ptr, size_t len)
{
#if defined(MADV_HUGEPAGE)
    (void)madvise(ptr, len, MADV_HUGEPAGE);
#else
    (void)ptr;
    (void)len;
#endif
}

void
zcb_os_pages_node(void *ptr, size_t len, int node)
{
#if defined(__linux__) && defined(SYS_mbind)
    // MPOL_PREFERRED (1): from that node while it has memory. The call has no wrapper in libc.
    unsigned long mask[16] = {0};
    size_t bits = sizeof(mask[0]) * 8;

    if (node >= 0 && (size_t)node < bits * 16) {
        mask[(size_t)node / bits] = 1UL << ((size_t)node % bits);
        (void)syscall(SYS_mbind, ptr, len, 1, mask, bits * 16, 0);
    }
#else
    (void)ptr;
    (void)len;
    (void)node;
#endif
}

bool
zcb_os_pages_protect(void *ptr, size_t len, bool access)
{
    return mprotect(ptr, len, access ? PROT_READ | PROT_WRITE : PROT_NONE) == 0;
}
