// SPDX-License-Identifier: MIT
//
// DPDK's environment, for its rows: started by the first of them that is wanted, and then there
// until the program ends. No huge pages, no devices, no shared files, no privileges.
#ifndef BENCH_EAL_H
#define BENCH_EAL_H

#include <stdbool.h>

// Whether it is there. Says so once where it is not.
bool eal_start(void);

// DPDK keeps a cache for each thread that it knows; thread 0 is the one that started it.
void eal_thread_begins(unsigned number);
void eal_thread_ends(unsigned number);

#endif
