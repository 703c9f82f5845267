// SPDX-License-Identifier: MIT

#include "eal.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "harness.h"

#define ROW "DPDK"

static unsigned
first_of(const cpu_set_t *cpus)
{
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, cpus))
            return cpu;
    return 0;
}

static bool
start(void)
{
    char program[] = "bench", no_huge[] = "--no-huge", no_pci[] = "--no-pci",
         no_shconf[] = "--no-shconf", no_telemetry[] = "--no-telemetry",
         quiet[] = "--log-level=error", memory[] = "-m", megabytes[] = "512", lcores[32];
    char *args[] = {program, no_huge, no_pci,    no_shconf, no_telemetry,
                    quiet,   memory,  megabytes, lcores,    NULL};
    cpu_set_t cpus;

    if (pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus) != 0) {
        bench_skip(ROW, "this machine does not say which CPUs there are");
        return false;
    }
    // This thread alone: no workers. Its CPU is given back, as others take their turns here, too.
    snprintf(lcores, sizeof(lcores), "--lcores=0@%u", first_of(&cpus));
    if (rte_eal_init((int)(sizeof(args) / sizeof(args[0])) - 1, args) < 0) {
        bench_skip(ROW, rte_strerror(rte_errno));
        return false;
    }
    (void)pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    return true;
}

bool
eal_start(void)
{
    static enum { NEVER_TRIED, STARTED, FAILED } state;

    if (state == NEVER_TRIED)
        state = start() ? STARTED : FAILED;
    return state == STARTED;
}

void
eal_thread_begins(unsigned number)
{
    static bool said;

    if (number == 0 || rte_thread_register() == 0 ||
        __atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
        return;
    bench_skip(ROW, "a thread could not be registered: it works without a cache");
}

void
eal_thread_ends(unsigned number)
{
    if (number != 0)
        rte_thread_unregister();
}
