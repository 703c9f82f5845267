// SPDX-License-Identifier: MIT
//
// A table of fixed size says where our mappings lie. The signal handler reads it without a lock: an
// entry is filled in before its `base` is published, and `base` is cleared before the range is
// unmapped. A fault inside an entry's range puts an anonymous zero page in the place of the one
// that is gone and marks the entry; any other goes to the handler that was there before us.

#include "buf/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/os.h"

#define GUARDS_MAX 4096

struct zcb_guard {
    uintptr_t base; // 0: free
    size_t len;
    bool faulted;
    bool taken;
};

static struct zcb_guard table[GUARDS_MAX];
static unsigned table_used; // entries from here on have never been used
static struct zcb_mutex lock = ZCB_MUTEX_INITIALISER;
static struct sigaction earlier; // what SIGBUS did before us
static bool installed;

static struct zcb_guard *
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
    struct zcb_guard *guard = info->si_code == BUS_ADRERR ? find_guard(address) : NULL;
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
    static bool hooked;
    struct sigaction action = {.sa_sigaction = on_sigbus,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    if (installed)
        return 0;
    if (!hooked) {
        int result = zcb_os_fork_hooks(take_lock, drop_lock, drop_lock);

        if (result < 0)
            return result;
        hooked = true;
    }
    (void)zcb_os_page_size(); // so that the handler finds it known
    sigemptyset(&action.sa_mask);
    // `earlier` is filled in first: the handler may run before sigaction returns.
    if (sigaction(SIGBUS, NULL, &earlier) != 0 || sigaction(SIGBUS, &action, NULL) != 0)
        return -errno;
    installed = true;
    return 0;
}

int
zcb_guard_take(struct zcb_guard **out)
{
    int result;

    zcb_os_lock(&lock);
    result = install();
    if (result == 0) {
        unsigned i = 0;

        while (i < table_used && table[i].taken)
            i++;
        if (i == GUARDS_MAX) {
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

void
zcb_guard_drop(struct zcb_guard *guard)
{
    zcb_os_lock(&lock);
    __atomic_store_n(&guard->base, 0, __ATOMIC_RELEASE);
    guard->taken = false;
    zcb_os_unlock(&lock);
}

void
zcb_guard_watch(struct zcb_guard *guard, const void *base, size_t len)
{
    __atomic_store_n(&guard->len, len, __ATOMIC_RELAXED);
    __atomic_store_n(&guard->base, (uintptr_t)base, __ATOMIC_RELEASE);
}

bool
zcb_guard_has_faulted(const struct zcb_guard *guard)
{
    return __atomic_load_n(&guard->faulted, __ATOMIC_ACQUIRE);
}
