// SPDX-License-Identifier: MIT
//
// A table of fixed size says where our mappings lie. The signal handler reads it without a lock and
// calls nothing but mmap, munmap, sigaction, pthread_sigmask and raise. An entry's `version` is odd
// while the entry changes, and the handler believes no entry whose version moved while it looked:
// the table's places are used again, and a fault must not be taken for one in a range that was
// there before. The entry is emptied before its range is unmapped.
//
// A fault inside an entry's range puts anonymous zero pages in the place of what is gone and marks
// the entry; any other goes to the handler that was there before us.

#include "buf/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/os.h"

#define GUARDS_MAX 4096

struct range {
    uintptr_t base, len, unit; // base and len are multiples of unit
};

struct zcb_guard {
    unsigned version;
    struct range range; // len 0: watches nothing
    bool faulted;
    bool taken;
};

static struct zcb_guard table[GUARDS_MAX];
static unsigned table_used; // entries from here on have never been used
static unsigned table_free; // those before are all taken
static struct zcb_mutex lock = ZCB_MUTEX_INITIALISER;
static struct sigaction earlier; // what SIGBUS did before us
static bool earlier_is_used_up;  // it was for one signal only (SA_RESETHAND)
static bool installed;
static void *spare; // a mapping to give up when the process may have no other

// The stores are releases, so that none is seen before the odd version.
static void
set_range(struct zcb_guard *guard, struct range range)
{
    unsigned version = __atomic_load_n(&guard->version, __ATOMIC_RELAXED);

    __atomic_store_n(&guard->version, version + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&guard->range.base, range.base, __ATOMIC_RELEASE);
    __atomic_store_n(&guard->range.len, range.len, __ATOMIC_RELEASE);
    __atomic_store_n(&guard->range.unit, range.unit, __ATOMIC_RELEASE);
    __atomic_store_n(&guard->version, version + 2, __ATOMIC_RELEASE);
}

// The loads are acquires, so that the second look at the version comes last.
static bool
get_range(const struct zcb_guard *guard, struct range *out)
{
    unsigned version = __atomic_load_n(&guard->version, __ATOMIC_ACQUIRE);

    out->base = __atomic_load_n(&guard->range.base, __ATOMIC_ACQUIRE);
    out->len = __atomic_load_n(&guard->range.len, __ATOMIC_ACQUIRE);
    out->unit = __atomic_load_n(&guard->range.unit, __ATOMIC_ACQUIRE);
    return version % 2 == 0 && __atomic_load_n(&guard->version, __ATOMIC_RELAXED) == version;
}

static struct zcb_guard *
find_guard(uintptr_t address, struct range *range)
{
    unsigned used = __atomic_load_n(&table_used, __ATOMIC_ACQUIRE);

    for (unsigned i = 0; i < used; i++) {
        if (get_range(&table[i], range) && address >= range->base &&
            address - range->base < range->len)
            return &table[i];
    }
    return NULL;
}

// A memory error that was found before anybody touched it: no instruction waits for an answer.
static bool
is_advance_notice(const siginfo_t *info)
{
#if defined(BUS_MCEERR_AO)
    return info->si_code == BUS_MCEERR_AO;
#else
    (void)info;
    return false;
#endif
}

static bool
is_page_lost(const siginfo_t *info)
{
#if defined(BUS_MCEERR_AR)
    if (info->si_code == BUS_MCEERR_AR)
        return true;
#endif
    return info->si_code == BUS_ADRERR;
}

// What would have happened without us.
static void
pass_on(int number, siginfo_t *info, void *context)
{
    struct sigaction end = {.sa_handler = SIG_DFL};
    bool is_sent = info->si_code <= 0 || is_advance_notice(info); // else a fault, which comes back
    bool is_action = (earlier.sa_flags & SA_SIGINFO) ||
                     (earlier.sa_handler != SIG_DFL && earlier.sa_handler != SIG_IGN);

    if ((earlier.sa_flags & SA_RESETHAND) && is_action &&
        __atomic_exchange_n(&earlier_is_used_up, true, __ATOMIC_RELAXED))
        is_action = false;
    if (is_action) {
        // With the signals blocked that it asked for. The return from our handler puts back what
        // was blocked before.
        sigset_t blocked = earlier.sa_mask;

        if (!(earlier.sa_flags & SA_NODEFER))
            sigaddset(&blocked, number);
        pthread_sigmask(SIG_BLOCK, &blocked, NULL);
        if (earlier.sa_flags & SA_SIGINFO)
            earlier.sa_sigaction(number, info, context);
        else
            earlier.sa_handler(number);
    } else if (!is_sent || earlier.sa_handler != SIG_IGN) {
        // A fault that is ignored would come back for ever. What caused it happens again with the
        // default action.
        sigaction(number, &end, NULL);
        if (is_sent)
            raise(number);
    }
}

static bool
put_zeros(uintptr_t start, uintptr_t end)
{
    return mmap((void *)start, end - start, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                0) != MAP_FAILED;
}

// Shared, as a private one could grow together with a neighbour.
static void *
map_spare(void)
{
    void *page = mmap(NULL, zcb_os_page_size(), PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return page != MAP_FAILED ? page : NULL;
}

// All that lies behind `from` is gone too, and one range costs one of the process' mappings, where
// a page at a time could use them up. When none is left, the spare one makes room for a moment, and
// the whole range costs none.
static bool
take_out(const struct range *range, uintptr_t from)
{
    uintptr_t end = range->base + range->len;
    void *given_up;
    bool done;

    if (put_zeros(from, end))
        return true;
    given_up = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQ_REL);
    if (given_up == NULL)
        return put_zeros(range->base, end);
    munmap(given_up, zcb_os_page_size());
    done = put_zeros(range->base, end);
    __atomic_store_n(&spare, map_spare(), __ATOMIC_RELEASE);
    return done;
}

static void
on_sigbus(int number, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    struct range range;
    // A signal that was sent by a process has no address.
    struct zcb_guard *guard = is_page_lost(info) ? find_guard(address, &range) : NULL;

    if (guard != NULL) {
        __atomic_store_n(&guard->faulted, true, __ATOMIC_RELEASE);
        if (take_out(&range, address - address % range.unit)) {
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
    bool restarts;

    if (installed)
        return 0;
    if (!hooked) {
        int result = zcb_os_fork_hooks(take_lock, drop_lock, drop_lock);

        if (result < 0)
            return result;
        hooked = true;
    }
    sigemptyset(&action.sa_mask);
    // `earlier` is filled in first: the handler may run before sigaction returns.
    if (sigaction(SIGBUS, NULL, &earlier) != 0)
        return -errno;
    // A signal that is sent interrupts the system calls that it would interrupt without us.
    restarts = (earlier.sa_flags & SA_RESTART) ||
               (!(earlier.sa_flags & SA_SIGINFO) && earlier.sa_handler == SIG_IGN);
    if (spare == NULL)
        spare = map_spare();
    action.sa_flags |= restarts ? SA_RESTART : 0;
    if (sigaction(SIGBUS, &action, NULL) != 0)
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
        unsigned i = table_free;

        while (i < table_used && table[i].taken)
            i++;
        table_free = i;
        if (i == GUARDS_MAX) {
            result = -ENOBUFS;
        } else {
            table[i].taken = true;
            __atomic_store_n(&table[i].faulted, false, __ATOMIC_RELAXED);
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
    unsigned place = (unsigned)(guard - table);

    zcb_os_lock(&lock);
    set_range(guard, (struct range){.unit = 1});
    guard->taken = false;
    if (place < table_free)
        table_free = place;
    zcb_os_unlock(&lock);
}

void
zcb_guard_watch(struct zcb_guard *guard, const void *base, size_t len, size_t unit)
{
    set_range(guard, (struct range){(uintptr_t)base, len, unit});
}

bool
zcb_guard_has_faulted(const struct zcb_guard *guard)
{
    return __atomic_load_n(&guard->faulted, __ATOMIC_ACQUIRE);
}
