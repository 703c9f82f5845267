// SPDX-License-Identifier: MIT
#ifndef BENCH_NET_PARSE_H
#define BENCH_NET_PARSE_H

#include "net/frames.h"

#if BENCH_HAVE_PCAP
// libpcap reads the file, from memory.
uint64_t net_pcap_all(const struct frames *frames);
#endif

#endif
