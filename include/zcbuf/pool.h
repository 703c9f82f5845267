// SPDX-License-Identifier: MIT
//
// zcbuf/pool.h: tiered buffers that are used again.
//
// A pool keeps buffers of a few sizes (tiers) and hands out the smallest that fits. It gets its
// memory in slabs:
//
//     thread A   [magazine]   [magazine]       up to 64 free buffers a tier; no lock, no atomic
//     thread B   [magazine]   [magazine]
//                     |            |            whole loads of up to 32, under a mutex
//     depot      (load)(load)  (load)
//                     |                         2 MiB at a time
//     source     [slab: 4096 4096 4096 ...]    headers lie elsewhere: 4 KiB is one whole page
//
// Life of a buffer: acquire gives a struct zcb_buf, one writer, empty, headroom in front. It comes
// back by zcb_buf_release(), or after zcb_buf_share() when the last packet of it is unreferenced,
// on any thread. Its contents are not cleared.
//
// Life of a pool: zcb_pool_destroy() closes it and returns at once. Buffers and packets still out
// stay valid; the memory goes when the last of them has come back and each thread that has a cache
// has drained it (at its next call for this pool, at zcb_thread_flush(), or when it ends).
// docs/threading.md draws this as a state machine.
//
// Scarcity: what thread caches may hold of a limited tier is an eighth of its limit each and a
// quarter in all; tiers limited to fewer than 32 buffers are not cached. A tier is limited by
// max_buffers, by max_bytes / buffer_size, or by a fixed region's size / buffer_size; the least of
// them counts. When a tier runs dry its caches are called in, and until it has recovered releases
// go straight to those who wait.
//
// Misuse: ZCBUF_DEBUG=stats,leaks,poison,guard in the environment (any of these words) has each
// pool print its statistics and what is still out when it is destroyed, fill and check free
// buffers, and make free pages fault. ZCB_POOL_HARDENED, leaks, poison and guard turn thread caches
// off, and so does running under AddressSanitizer (where the library itself is not built with it)
// or Valgrind.
//
// Threads: any thread may acquire and release, without registration. create, destroy, acquire after
// destroy: as with any object, the caller orders them. fork: the child has the pool as the forking
// thread sees it; buffers that other threads had out stay out for ever there, buffers in their
// caches are recovered. Signal handlers: none of it.
#ifndef ZCBUF_POOL_H
#define ZCBUF_POOL_H

#include <zcbuf/base.h>
#include <zcbuf/source.h>
#include <zcbuf/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZCB_POOL_TIERS 8 // the most tiers of a pool

// What acquire does when a limit is reached (a tier's is `max_buffers`, the pool's is `max_bytes`).
enum zcb_pool_policy {
    // Beyond max_buffers: one single allocation, counted as a fallback and freed on release. Beyond
    // max_bytes: -ENOBUFS.
    ZCB_POOL_DYNAMIC,
    // -ENOBUFS at once.
    ZCB_POOL_FAIL,
    // Wait up to wait_ms for one to come back, then -ETIMEDOUT; also where the source has no
    // memory. At once, without waiting, what waiting cannot help: -ENOBUFS for more than max_bytes
    // allows, -ENOBUFS or -ENOMEM where nothing is out that could come back. Who waits is served in
    // no order.
    ZCB_POOL_WAIT,
};

enum {
    // Ask for huge pages in slabs that can hold them.
    ZCB_POOL_HUGE = 1u << 0,
    // Make new slabs resident when they come, not page by page when touched (pages, libc,
    // jemalloc).
    ZCB_POOL_POPULATE = 1u << 1,
    // Check every release, poison what is free, hold it back for a while; no thread caches: slow.
    // Misuse (double, foreign, interior release; write after release) is reported on standard error
    // and aborts.
    ZCB_POOL_HARDENED = 1u << 2,
    // Run zcb_pool_decay() about once a second, and let it free slabs as well.
    ZCB_POOL_ADAPTIVE = 1u << 3,
    // No thread caches: every limit is exact, every call takes a lock.
    ZCB_POOL_NO_CACHE = 1u << 4,
    // Refuse what is above the largest tier.
    ZCB_POOL_NO_OVERSIZE = 1u << 5,
};

struct zcb_tier {
    // Ascending from tier to tier. Multiples of 64; of 4096 where whole pages matter.
    size_t buffer_size;
    // Buffers that exist from the start and are never given back. 0: none.
    size_t prealloc;
    // 0: no limit but max_bytes, or a fixed region's size.
    size_t max_buffers;
    // Free buffers a thread may keep, at most 120; fewer where the tier is limited (see Scarcity).
    // 0: 64, but at most 4 MiB.
    uint32_t magazine;
    uint32_t reserved; // 0
};

struct zcb_pool_config {
    // In statistics and reports; the first 63 bytes are copied. NULL: "pool".
    const char *name;
    // The first with buffer_size 0 ends the list. None: 4096, 16384, 65536.
    struct zcb_tier tiers[ZCB_POOL_TIERS];
    // What is asked of the source at a time. 0: 2 MiB. Made smaller to fit the limits or a fixed
    // region.
    size_t slab_size;
    // In front of each buffer's data, on top of what is asked for. 0: none.
    size_t headroom;
    // Hard limit on memory held: slabs and single buffers. 0: none.
    size_t max_bytes;
    // Part of max_bytes that only ZCB_ACQUIRE_RESERVED may use; such a pool has no thread caches.
    // 0: none.
    size_t reserve_bytes;
    // Watermarks on memory held: on_pressure(true) when it rises to high_bytes, on_pressure(false)
    // when it has fallen to low_bytes. It is called outside all locks, one at a time, and may use
    // the pool; what it does itself is judged when it has returned. 0, 0: none.
    size_t low_bytes, high_bytes;
    void (*on_pressure)(void *ctx, struct zcb_pool *pool, bool high);
    void *pressure_ctx;
    // When a limit is reached.
    enum zcb_pool_policy policy;
    // For ZCB_POOL_WAIT. 0: 1000. UINT32_MAX: no limit.
    uint32_t wait_ms;
    // The table is copied. NULL: pages (jemalloc where it is built in).
    const struct zcb_source *source;
    // ZCB_POOL_...
    uint32_t flags;
    // 0: any; n + 1: node n. Where the source is pages.
    int numa_node;
    void *reserved[8]; // NULL
};

enum {
    // May use the last reserve_bytes: for what must get through (a retry, a close).
    ZCB_ACQUIRE_RESERVED = 1u << 0,
    // Never wait, whatever the policy: -ENOBUFS, or the source's -ENOMEM, at once.
    ZCB_ACQUIRE_NOWAIT = 1u << 1,
};

// Makes a pool. `config` may be NULL or all zero: three tiers, no limits, pages. The source's close
// is called when the pool is gone; it is not called when this call fails.
// 0; -EINVAL (out NULL; tiers not ascending or not multiples of 64; a magazine above 120; prealloc
// above max_buffers; a buffer_size, headroom or slab_size above SIZE_MAX / 4; low_bytes above
// high_bytes, or without it; reserve_bytes above max_bytes, or without it; a numa_node below 0; an
// unknown policy or flag; a reserved field set; a source without alloc or free); -ENOBUFS (prealloc
// does not fit max_bytes, or 1024 pools exist); -ENOMEM; else what attach returned.
ZCB_API ZCB_MUST_CHECK int zcb_pool_create(const struct zcb_pool_config *config,
                                           struct zcb_pool **out);

// Closes the pool, frees what is idle, sets *pool to NULL. NULL is fine. Nobody may acquire from it
// any more; buffers out stay valid (see above).
ZCB_API void zcb_pool_destroy(struct zcb_pool **pool);

// Hands out an empty buf with room for `len` bytes after the pool's headroom; len 0 gives the
// smallest. The caller owns it. O(1); in a warm thread a few instructions, no lock. Above the
// largest tier: a single allocation of at least the size asked for, never less.
// 0; -EINVAL (also: the source gave memory that is not aligned as it was asked for); -ENOBUFS (a
// limit; with DYNAMIC only max_bytes; with WAIT only what waiting cannot help; above the largest
// tier with ZCB_POOL_NO_OVERSIZE, at once whatever the policy); -ETIMEDOUT (WAIT, which waits where
// the source has no memory too); -ENOMEM; -EOVERFLOW (len + headroom wraps); else what attach
// returned. *out is written on success only.
ZCB_API ZCB_MUST_CHECK int zcb_pool_acquire(struct zcb_pool *pool, size_t len,
                                            struct zcb_buf **out);

// As zcb_pool_acquire(), with ZCB_ACQUIRE_ flags.
ZCB_API ZCB_MUST_CHECK int zcb_pool_acquire_flags(struct zcb_pool *pool, size_t len, uint32_t flags,
                                                  struct zcb_buf **out);

// Up to n (at most INT_MAX) at once, cheaper than one by one.
// Returns how many were had, at least 1 when n is not 0; or the error of the first. Waits (policy
// WAIT) for the first only.
ZCB_API ZCB_MUST_CHECK int zcb_pool_acquire_n(struct zcb_pool *pool, size_t len,
                                              struct zcb_buf **out, size_t n);

// Makes sure that `count` buffers for `len` are free in the depot and resident in memory, before
// they are needed. (Memory of a fixed region or of a user's source is not touched.)
// Returns 0; -EINVAL (also: len above the largest tier); -ENOBUFS, -ENOMEM: nothing is lost, what
// was made stays.
ZCB_API ZCB_MUST_CHECK int zcb_pool_prefault(struct zcb_pool *pool, size_t len, size_t count);

// Gives idle memory back now: whole idle slabs to the source, and the pages of other free buffers
// (of a source that can purge) to the system. Keeps `keep_bytes` of free buffers as they are, where
// there are so many: it stops where one slab, or one buffer, more would be too much. Caches of other
// threads are called in and drain at their owners' next release. Preallocated buffers keep their
// slabs, not their pages. Returns the bytes given back. O(free buffers). Any thread.
ZCB_API size_t zcb_pool_trim(struct zcb_pool *pool, size_t keep_bytes);

// Ends an interval of observation: what the depot held and nobody needed since the last call is let
// go of: its pages are marked as not needed (the system takes them under pressure; used again
// before, they cost nothing), and with ZCB_POOL_ADAPTIVE half of the slabs that were idle
// throughout are freed, down to prealloc. Call it from a timer, about once a second. Returns the
// bytes marked or freed. O(free buffers).
ZCB_API size_t zcb_pool_decay(struct zcb_pool *pool);

// A snapshot into *out. `out_size` is sizeof(struct zcb_pool_stats) as the caller knows it: an
// older, smaller one gets the fields it has, a newer, larger one gets zeros behind.
// 0, -EINVAL (NULL, or smaller than one tier). O(threads).
ZCB_API ZCB_MUST_CHECK int zcb_pool_stats(struct zcb_pool *pool, struct zcb_pool_stats *out,
                                          size_t out_size);

// Writes the same to a file descriptor: a table for people, one JSON object on one line, or
// Prometheus' text format.
// 0, -EINVAL, or the negative errno of write(). Allocates nothing.
ZCB_API ZCB_MUST_CHECK int zcb_pool_stats_print(struct zcb_pool *pool, int fd,
                                                enum zcb_stats_format format);

#ifdef ZCB_HAVE_AUTO
#define ZCB_AUTO_POOL ZCB_AUTO(zcb_pool_destroy)
#endif

#ifdef __cplusplus
}
#endif
#endif
