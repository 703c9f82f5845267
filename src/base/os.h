// SPDX-License-Identifier: MIT
//
// The operating system, as far as the library needs it: locks, a clock, threads that end, pages.
// Everything that is not C11 and differs between systems is behind this file; os_posix.c is the
// only implementation so far. A port writes another .c file and, where a lock is no
// pthread_mutex_t, another section here.
#ifndef ZCB_BASE_OS_H
#define ZCB_BASE_OS_H

#include <pthread.h>

#include <zcbuf/base.h>

struct zcb_mutex {
    pthread_mutex_t os;
};
struct zcb_cond {
    pthread_cond_t os;
};

#define ZCB_MUTEX_INITIALISER {PTHREAD_MUTEX_INITIALIZER}

int zcb_os_mutex_init(struct zcb_mutex *mutex);
void zcb_os_mutex_finish(struct zcb_mutex *mutex);
int zcb_os_cond_init(struct zcb_cond *cond);
void zcb_os_cond_finish(struct zcb_cond *cond);

static inline void
zcb_os_lock(struct zcb_mutex *mutex)
{
    pthread_mutex_lock(&mutex->os);
}

static inline void
zcb_os_unlock(struct zcb_mutex *mutex)
{
    pthread_mutex_unlock(&mutex->os);
}

// Waits until woken or until the monotonic clock shows `deadline_ms`; UINT64_MAX: for ever. False:
// the time is over. The thread is not cancelled meanwhile.
bool zcb_os_wait(struct zcb_cond *cond, struct zcb_mutex *mutex, uint64_t deadline_ms);
void zcb_os_wake_all(struct zcb_cond *cond);

// Between these two the calling thread is not cancelled (pthread_cancel), whatever it calls.
int zcb_os_cancel_off(void);
void zcb_os_cancel_back(int before);

// Milliseconds of a clock that only goes forward.
uint64_t zcb_os_now_ms(void);

// Has `at_exit` called when the calling thread ends (not when the process does). The same function
// each time. 0, or a negative errno; -ENOMEM also where it would have to allocate and may not.
int zcb_os_thread_exit_hook(void (*at_exit)(void), bool may_allocate);

// Has these called around fork(). Once per set of functions. 0, or a negative errno.
int zcb_os_fork_hooks(void (*prepare)(void), void (*parent)(void), void (*child)(void));

// Pages: anonymous, private, zeroed. `align` is a power of two, at least the page size. NULL: none
// left.
size_t zcb_os_page_size(void);
void *zcb_os_pages_alloc(size_t len, size_t align);
void zcb_os_pages_free(void *ptr, size_t len);

// Contents are not needed; `now`: resident memory drops at once. 0 or a negative errno.
int zcb_os_pages_purge(void *ptr, size_t len, bool now);

// Makes the pages resident and writable without changing them. 0 or a negative errno (then touch
// them).
int zcb_os_pages_populate(void *ptr, size_t len);

// Advice that may be ignored: huge pages; memory of one NUMA node.
void zcb_os_pages_huge(void *ptr, size_t len);
void zcb_os_pages_node(void *ptr, size_t len, int node);

// Forbids or allows access (ZCBUF_DEBUG=guard). False: not possible.
bool zcb_os_pages_protect(void *ptr, size_t len, bool access);

// Thread-local storage that costs one load, where the loader can do that: the initial-exec model on
// glibc. The few bytes this library has fit the room that glibc keeps for libraries that are loaded
// late.
#if defined(__GLIBC__)
#define ZCB_THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define ZCB_THREAD_LOCAL _Thread_local
#endif

#endif
