// SPDX-License-Identifier: MIT
//
// The parts of the net benchmark: each compares what it is called after.
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stdbool.h>

void net_compare_parsing(void);
void net_compare_checksums(void);
void net_compare_stamping(void);

// Needs traffic_open(); alone: in a network where nobody else sends.
void net_compare_receiving(bool alone);

#endif
