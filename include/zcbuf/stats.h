// SPDX-License-Identifier: MIT
//
// zcbuf/stats.h: what a pool knows about itself.
//
// Each thread counts for itself, without atomic read-modify-writes, and a snapshot adds up; so
// figures are exact when nobody is in a call, and a few operations old when somebody is; counters
// never go back, and returns and drops are never more than acquires. At rest, for each tier and in
// all:
//
//     acquires = hits + depot_hits + misses + fallbacks
//     live     = acquires - returns - drops
//
// One list below makes the struct, the text, the JSON and the Prometheus output.
#ifndef ZCBUF_STATS_H
#define ZCBUF_STATS_H

#include <zcbuf/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// X(name, is a gauge (else a counter that only grows), what it says)
#define ZCB_TIER_STATS(X)                                                                          \
    X(buffer_size, true, "bytes of one buffer; 0 where sizes differ")                              \
    X(acquires, false, "buffers handed out")                                                       \
    X(hits, false, "of these from the thread's own cache")                                         \
    X(depot_hits, false, "of these by way of the pool's depot")                                    \
    X(misses, false, "of these after the pool had to grow")                                        \
    X(fallbacks, false, "of these singly: beyond the tier's limit, or above all tiers")            \
    X(refusals, false, "acquires that failed")                                                     \
    X(waits, false, "acquires that had to wait, whether in vain or not")                           \
    X(returns, false, "buffers that came back and were kept")                                      \
    X(drops, false, "buffers that came back and were freed at once")                               \
    X(live, true, "buffers out with users now")                                                    \
    X(cached, true, "free buffers in thread caches")                                               \
    X(depot, true, "free buffers in the depot")                                                    \
    X(charged, true, "bytes of memory held, counted against max_bytes")                            \
    X(peak_charged, true, "the most that charged ever was")                                        \
    X(peak_live, true, "the most buffers outside the depot at a time: out or in caches")           \
    X(slabs, true, "slabs held")

struct zcb_tier_stats {
#define ZCB_STATS_FIELD(name, gauge, help) uint64_t name;
    ZCB_TIER_STATS(ZCB_STATS_FIELD)
#undef ZCB_STATS_FIELD
    uint64_t reserved[7]; // 0
};

struct zcb_pool_stats {
    struct zcb_tier_stats total;
    struct zcb_tier_stats oversize; // above the largest tier
    struct zcb_tier_stats tier[8];
    uint32_t tiers;       // how many of tier[] are in use
    uint32_t threads;     // threads that have a cache
    uint64_t max_bytes;   // the configured limit, 0: none
    uint64_t trimmed;     // bytes given back to the source or the system, so far
    double hit_rate;      // (hits + depot_hits) / acquires, 0..1; 0 before the first
    uint64_t reserved[8]; // 0
};

enum zcb_stats_format { ZCB_STATS_TEXT, ZCB_STATS_JSON, ZCB_STATS_PROMETHEUS };

#ifdef __cplusplus
}
#endif
#endif
