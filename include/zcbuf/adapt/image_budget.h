// SPDX-License-Identifier: MIT
//
// zcbuf/adapt/image_budget.h: how much memory a chain of image steps takes, and staying below it.
//
//     plan      what decode + scale + encode will need, from sizes alone, before anything starts
//     budget    a total for all jobs of a program; requests are served in the order they came
//     lease     a job's share of it; what the job allocates is charged to it and fails beyond it
//     memory    what the system lets this process have: machine, cgroups v1 and v2, rlimits
//
//     total   |<------------------------------ never more ------------------------------->|
//             | lease: job 1        | lease: job 2               |  free      |   keep    |
//             | used      | unused  | used              | unused |            | idle pool |
//                                                                     ^           buffers
//                 queue:  job 3 (needs more than is free), job 4 (would fit, and waits behind 3)
//
// A job:
//
//     struct zcb_image_step steps[] = {
//         {.kind = ZCB_IMAGE_DECODE, .codec = ZCB_IMAGE_JPEG, .format = ZCB_IMAGE_RGB,
//          .width = 6000, .height = 4000, .bytes = file_len, .flags = ZCB_IMAGE_STREAMS},
//         {.kind = ZCB_IMAGE_SCALE, .width = 256, .height = 171, .flags = ZCB_IMAGE_STREAMS},
//         {.kind = ZCB_IMAGE_ENCODE, .codec = ZCB_IMAGE_PNG, .flags = ZCB_IMAGE_STREAMS},
//     };
//     r = zcb_image_plan(steps, 3, NULL, &plan, sizeof(plan));   // -ENOBUFS: too large: refuse it
//     r = zcb_image_budget_lease(budget, plan.peak_bytes, UINT32_MAX, &lease);  // waits its turn
//     row = zcb_image_lease_malloc(lease, row_bytes);            // NULL: beyond the lease
//     ...
//     zcb_image_lease_free(row);
//     zcb_image_lease_end(&lease);                               // the next in the queue goes on
//
// Three ways to charge, for three kinds of memory:
//
//     malloc, calloc, realloc, free    a codec that takes an allocator (libpng, libspng, zlib)
//     source                           a pool or a buffer that this job alone has
//     charge, uncharge                 what cannot be hooked (libjpeg, libwebp, libavif: the plan's
//                                      work_bytes), and frames out of a pool that jobs share
//
// A pool that jobs share, for frames that are used again without a page fault: one arrangement
// keeps the promise. Buffers that are out belong to the lease of the job that has them; idle ones
// belong to `keep_bytes`, a part of the total that no lease gets.
//
//     1  pool with ZCB_POOL_NO_CACHE and NO_OVERSIZE, max_bytes = the budget's total, tiers for the
//        frames without prealloc, slab_size = the smallest tier's size: one buffer a slab
//     2  before acquire:    zcb_image_lease_charge(lease, the tier's buffer_size)
//     3  after release:     zcb_pool_trim(pool, keep_bytes less the largest tier's size, or 0), and
//                           only then zcb_image_lease_uncharge(), or zcb_image_lease_end()
//
// Why this holds: trim leaves less than one buffer more than it is told, so at most keep_bytes idle
// (a slab of several buffers could not be given back while one of them is out), and what is
// released after it is still charged to its job until that one has trimmed, too. So the pool has never more than what is charged and keep_bytes. A job
// that does not need the bytes for something else leaves frames charged to its end, and trims once;
// it does not end while somebody still reads one of them.
//
// Ask for one lease a job, before its first allocation: a job that holds one lease and waits for
// another may wait for a job that does the same.
//
// Threads: a budget and a lease: any threads, at once. destroy and end come after all other calls
// for that object, ordered by the caller; but memory from a lease may be freed later, by any
// thread. A thread that waits is not cancelled (pthread_cancel) before its wait is over. Not for
// signal handlers. fork: used on the parent's side only.
//
// Cost: a lock that is held for a few instructions, per call; nothing is allocated but by create, a
// lease (one small block), source (one), and the malloc functions.
//
// Errors: as in base.h, and -ECANCELED: the budget was closed.
#ifndef ZCBUF_ADAPT_IMAGE_BUDGET_H
#define ZCBUF_ADAPT_IMAGE_BUDGET_H

#include <zcbuf/adapt/image.h>
#include <zcbuf/source.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zcb_image_budget;
struct zcb_image_lease;

// ---- memory of the system

// Bytes; UINT64_MAX: no limit, or not known.
struct zcb_image_memory {
    uint64_t physical;      // the machine has
    uint64_t available;     // of that could be used without swapping (MemAvailable)
    uint64_t group_limit;   // the lowest limit of this process's cgroup and those above it
    uint64_t group_free;    // the least that one of these has left; file cache that it can drop
                            // at once is left
    uint64_t process_limit; // the lower one of RLIMIT_AS and RLIMIT_DATA
    uint64_t process_free;  // the lower one of what these leave
    uint64_t free;          // what can be had: the least of available, group_free, process_free
    uint32_t group_version; // 1, 2; 0: no cgroup has a limit on memory
    uint32_t reserved;      // 0
};

// Asks the system, anew each time: a few small files are read (Linux), nothing is allocated. What
// cannot be read or makes no sense counts as no limit. `out_size` is sizeof(*out). Takes 32 KiB of
// stack. 0; -EINVAL. Any thread.
ZCB_API ZCB_MUST_CHECK int zcb_image_memory(struct zcb_image_memory *out, size_t out_size);

// ---- budget

struct zcb_image_budget_config {
    // Of the total, never leased: idle buffers of a shared pool (see above). 0: none.
    size_t keep_bytes;
    // For a total of 0: so many hundredths of zcb_image_memory's `free`. 0: 50.
    uint32_t percent;
    uint32_t reserved32; // 0
    // For a total of 0: what it is at least (0: 64 MiB) and at most (0: 4 GiB). With keep_bytes
    // below the first, create does not fail on a machine that has little to give.
    size_t min_bytes, max_bytes;
    void *reserved[4]; // NULL
};

// A budget of `total` bytes; 0: from the system, as it is now. `config` may be NULL.
// 0; -EINVAL (out NULL; keep_bytes not below the total; percent above 100; min_bytes above
// max_bytes; a reserved field set); -ENOMEM.
ZCB_API ZCB_MUST_CHECK int zcb_image_budget_create(size_t total,
                                                   const struct zcb_image_budget_config *config,
                                                   struct zcb_image_budget **out);

// Every lease that is waited for, or asked for from now on, is -ECANCELED. Leases that are out stay
// as they are. For the end of a batch; NULL is fine.
ZCB_API void zcb_image_budget_close(struct zcb_image_budget *budget);

// Lets go of the budget and sets *budget to NULL; NULL is fine. Nobody may be waiting (close it and
// join them first). Leases that are out stay valid: the memory goes with the last of them.
ZCB_API void zcb_image_budget_destroy(struct zcb_image_budget **budget);

// What leases can have in all: the total less keep_bytes. 0: NULL.
ZCB_API size_t zcb_image_budget_bytes(const struct zcb_image_budget *budget);

#define ZCB_IMAGE_BUDGET_STATS(X)                                                                  \
    X(total, true, "bytes of the budget")                                                          \
    X(keep, true, "of these never leased")                                                         \
    X(leased, true, "bytes leased now")                                                            \
    X(peak_leased, true, "the most that were leased")                                              \
    X(used, true, "bytes charged to leases now")                                                   \
    X(peak_used, true, "the most that were charged")                                               \
    X(leases, true, "leases out now, ended ones with memory still out as well")                    \
    X(waiting, true, "requests that wait now")                                                     \
    X(peak_waiting, true, "the most that waited")                                                  \
    X(grants, false, "leases given")                                                               \
    X(waits, false, "of these after a wait")                                                       \
    X(wait_ns, false, "time spent waiting for leases, given or not")                               \
    X(timeouts, false, "requests that were not served in time, or not at once")                    \
    X(refusals, false, "requests for more than leases can have in all")                            \
    X(overruns, false, "charges and allocations refused because they were beyond the lease")

struct zcb_image_budget_stats {
#define ZCB_IMAGE_FIELD(name, gauge, help) uint64_t name;
    ZCB_IMAGE_BUDGET_STATS(ZCB_IMAGE_FIELD)
#undef ZCB_IMAGE_FIELD
};

// A snapshot, exact; `out_size` is sizeof(*out) as the caller knows it. 0, -EINVAL.
ZCB_API ZCB_MUST_CHECK int zcb_image_budget_stats(struct zcb_image_budget *budget,
                                                  struct zcb_image_budget_stats *out,
                                                  size_t out_size);

// ---- lease

// `bytes` of the budget, the caller's until zcb_image_lease_end(). Waits up to timeout_ms (0: not
// at all; UINT32_MAX: no limit) until they are free and all who asked before have been served: who
// asks for much is not overtaken by those who ask for little, so everybody's turn comes. 0 bytes
// are a lease, too.
// 0; -EINVAL; -ENOBUFS (more than leases can have in all: at once; do it in smaller steps, or
// refuse it); -EAGAIN (timeout 0: not free, or others wait); -ETIMEDOUT; -ECANCELED (closed);
// -ENOMEM.
ZCB_API ZCB_MUST_CHECK int zcb_image_budget_lease(struct zcb_image_budget *budget, size_t bytes,
                                                  uint32_t timeout_ms,
                                                  struct zcb_image_lease **out);

// `bytes` more, for a job that turns out larger. Never waits: two jobs that wait for each other's
// memory would wait for ever. 0; -EINVAL; -EAGAIN (not free, or others wait: end the lease and ask
// for all of it, or give up); -ENOBUFS; -ECANCELED.
ZCB_API ZCB_MUST_CHECK int zcb_image_lease_grow(struct zcb_image_lease *lease, size_t bytes);

// Gives `bytes` back early, at most what is not used (SIZE_MAX: all of that). Returns how many.
ZCB_API size_t zcb_image_lease_give_back(struct zcb_image_lease *lease, size_t bytes);

// The job is over: *lease becomes NULL; NULL is fine. All is free for others, but what was
// allocated from the lease and is still out (a packet that somebody reads, a pool's slab): that
// comes back when it is freed. What was charged by zcb_image_lease_charge() ends here.
ZCB_API void zcb_image_lease_end(struct zcb_image_lease **lease);

struct zcb_image_lease_stats {
    uint64_t bytes;     // leased
    uint64_t used;      // of these charged now
    uint64_t peak_used; // the most that were charged
    uint64_t overruns;  // charges and allocations that were refused
};

// As above. 0, -EINVAL.
ZCB_API ZCB_MUST_CHECK int zcb_image_lease_stats(struct zcb_image_lease *lease,
                                                 struct zcb_image_lease_stats *out,
                                                 size_t out_size);

// ---- charging

// Memory that is known and allocated elsewhere. 0; -EINVAL; -ENOBUFS (beyond the lease: nothing was
// charged; do not allocate it).
ZCB_API ZCB_MUST_CHECK int zcb_image_lease_charge(struct zcb_image_lease *lease, size_t bytes);

// It is free again. More than what was charged counts as all of that; NULL is fine.
ZCB_API void zcb_image_lease_uncharge(struct zcb_image_lease *lease, size_t bytes);

// malloc and its kin on a lease: `len` and 16 bytes of bookkeeping are charged; NULL: beyond the
// lease, or the system has none. Memory is aligned as malloc's is. len 0 gives a block that can be
// freed. realloc of NULL is malloc; any other block stays with the lease it came from, whatever
// `lease` is. To make a block larger it charges the new one before it lets go of the old one, as
// both are there meanwhile; when it fails the old block stays. Free only with
// zcb_image_lease_free(), which finds the lease by itself, also after its end; NULL is fine.
//
// libpng: png_create_read_struct_2(.., lease, my_malloc, my_free), with functions that call these
// with png_get_mem_ptr(png). libspng's struct spng_alloc has no context: keep the lease in a
// thread-local variable. zlib: zalloc, zfree, opaque.
ZCB_API void *zcb_image_lease_malloc(struct zcb_image_lease *lease, size_t len);
ZCB_API void *zcb_image_lease_calloc(struct zcb_image_lease *lease, size_t n, size_t len);
ZCB_API void *zcb_image_lease_realloc(struct zcb_image_lease *lease, void *ptr, size_t len);
ZCB_API void zcb_image_lease_free(void *ptr);

// Fills in *out with a source that takes memory from `base` (NULL: pages) and charges it to the
// lease, whole pages of 4096 bytes; beyond the lease its alloc is NULL, so that a pool made on it
// says -ENOMEM. Give such a pool a slab_size that fits the lease. `base` must outlive it, and is
// not closed by it. It is freed by close: a pool does that; call out->close(out->ctx) yourself,
// after the last buffer, if no pool was made of it. One pool per source.
// 0; -EINVAL; -ENOMEM.
ZCB_API ZCB_MUST_CHECK int zcb_image_lease_source(struct zcb_image_lease *lease,
                                                  const struct zcb_source *base,
                                                  struct zcb_source *out);

// ---- plan

#define ZCB_IMAGE_STEPS 16u // the most steps of a plan

enum zcb_image_step_kind {
    ZCB_IMAGE_DECODE = 1, // a file into pixels; the first step
    ZCB_IMAGE_SCALE,      // pixels into pixels of another size, by a separable filter
    ZCB_IMAGE_CONVERT,    // pixels into pixels of another format, row by row
    ZCB_IMAGE_ENCODE,     // pixels into a file; the last step
    ZCB_IMAGE_CUSTOM,     // anything: `extra` bytes of work, and the output
};

// What a codec is known to take on top of pixels: see docs/image_budget.md for each one's figure,
// where it comes from, and what was measured.
enum zcb_image_codec {
    ZCB_IMAGE_RAW,              // nothing
    ZCB_IMAGE_JPEG,             // sequential; libjpeg, libjpeg-turbo
    ZCB_IMAGE_JPEG_PROGRESSIVE, // also: encoding with optimised Huffman tables
    ZCB_IMAGE_PNG,              // libpng, libspng
    ZCB_IMAGE_PNG_INTERLACED,
    ZCB_IMAGE_WEBP,          // lossy; libwebp
    ZCB_IMAGE_WEBP_LOSSLESS, // libwebp
    ZCB_IMAGE_AVIF,          // libavif with dav1d; encoding: with libaom
};

// Flags of a step.
enum {
    // What comes out is passed on (to the next step, or to a file) in rows as it comes, and both
    // steps run at once. Without it all of the output is held, and the next step begins when this
    // one is over. Codecs that need all pixels at once (interlaced PNG, WebP; writing AVIF) have it
    // all the same: then the flag of the step before them, or of decoding, counts for nothing.
    ZCB_IMAGE_STREAMS = 1u << 0,
};

// One step; what it takes in is what comes out of the one before.
struct zcb_image_step {
    uint8_t kind;  // enum zcb_image_step_kind
    uint8_t codec; // enum zcb_image_codec; DECODE and ENCODE
    // Of the pixels that come out. 0: as what comes in. ENCODE: 0.
    uint16_t format; // enum zcb_image_format
    uint32_t width, height;
    // DECODE: what the file has, where the decoder scales down by itself. 0: width and height.
    uint32_t file_width, file_height;
    // How the samples lie in the file: GRAY, YUV420, YUV444 ..., RGBA and GRAY_ALPHA: with alpha,
    // RGB16 ...: more than 8 bits. 0: DECODE: not known, four full planes, deep, with alpha: the
    // worst; ENCODE: as the pixels that go in.
    uint16_t file_format;
    uint8_t threads; // of the codec (WebP: more than 1 or not; AVIF). 0: 1
    uint8_t radius;  // SCALE: of the filter. 0: 3, Lanczos-3
    uint32_t flags;  // ZCB_IMAGE_STREAMS
    uint32_t rows;   // STREAMS: rows of the output that are held at a time. 0: 16
    // DECODE: the file's length, mapped. ENCODE without STREAMS: the most that comes out; 0: as
    // much as the pixels that go in, and 64 KiB.
    size_t bytes;
    // DECODE: so much of the file is resident at a time, where pages are let go behind the reader.
    // 0: all of it.
    size_t window;
    size_t extra; // of the program's own, on top of all that
    uint32_t reserved[4];
};

struct zcb_image_plan {
    size_t peak_bytes;    // the most that is held at any time: what to lease. What the lease's own
                          // ways of charging add to that (16 bytes a block, whole pages and slabs)
                          // is for a step's `extra`
    size_t frame_bytes;   // of this, whole frames: what comes from a pool
    size_t work_bytes;    // of this, all else: codecs, rows, output files in memory
    size_t largest_frame; // the largest whole frame; 0: none
    size_t mapped_bytes;  // pages of the mapped file; resident, and the system's to take back: no
                          // part of the above
    uint32_t peak_step;   // the first of those steps that run at once when it is reached
    uint32_t steps;
    struct {
        size_t work_bytes;   // while it runs, `extra` included
        size_t output_bytes; // the frame, the rows in flight, or the file that it makes
    } step[ZCB_IMAGE_STEPS];
};

// What the steps need, from their sizes alone. Steps that are joined by STREAMS run at once and add
// up; others follow each other, and hold what they take in and what they make:
//
//     decode ===> scale ===> encode        peak: the sum of all work, and of rows in flight
//     decode | scale | encode              peak: the largest of decode + frame, frame + scale +
//                                          thumbnail, thumbnail + encode + file
//
// A larger file never gives a smaller plan. `limits` may be NULL: the defaults of image.h; its
// max_bytes is for frames that are held, the others for all that pass and for the file's size. Give
// it what a file's header says, and refuse what is refused. O(steps); allocates nothing; any
// thread. `out_size` is sizeof(*out).
//
// The plan is an upper bound for codecs as they are, of what they allocate for pixels. Not part of
// it: what a file's metadata takes (limit it: png_set_chunk_malloc_max()), stacks of threads, the
// program itself, and files made to be costly where a codec has no bound of its own (lossless WebP
// may have up to 65536 Huffman tables of 12 KiB).
// 0; -EINVAL (NULL; n 0 or above ZCB_IMAGE_STEPS; an unknown kind, codec, format or flag; a first
// step that is neither DECODE nor CUSTOM, or has no size or format; DECODE that is not first,
// ENCODE that is not last or has a size or format; a reserved field set); -ENOBUFS (a limit);
// -EOVERFLOW. Nothing is written to *out unless it succeeds.
ZCB_API ZCB_MUST_CHECK int zcb_image_plan(const struct zcb_image_step *steps, size_t n,
                                          const struct zcb_image_limits *limits,
                                          struct zcb_image_plan *out, size_t out_size);

#ifdef ZCB_HAVE_AUTO
#define ZCB_AUTO_IMAGE_LEASE ZCB_AUTO(zcb_image_lease_end)
#define ZCB_AUTO_IMAGE_BUDGET ZCB_AUTO(zcb_image_budget_destroy)
#endif

#ifdef __cplusplus
}
#endif
#endif
