// SPDX-License-Identifier: MIT

#include "base/thread.h"

ZCB_THREAD_LOCAL struct zcb_thread zcb_thread;
void (*zcb_thread_drain)(void);

static void
thread_ends(void)
{
    void (*drain)(void) = __atomic_load_n(&zcb_thread_drain, __ATOMIC_ACQUIRE);

    // First, so that releases from other destructors of this thread, which may still come, go past
    // the caches.
    zcb_thread.ended = true;
    if (drain != NULL)
        drain();
    zcb_copies_thread_end();
}

bool
zcb_thread_hook(bool may_allocate)
{
    if (zcb_thread.ended)
        return false;
    if (!zcb_thread.hooked)
        zcb_thread.hooked = zcb_os_thread_exit_hook(thread_ends, may_allocate) == 0;
    return zcb_thread.hooked;
}
