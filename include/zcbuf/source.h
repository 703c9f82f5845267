// SPDX-License-Identifier: MIT
//
// zcbuf/source.h: where memory comes from.
//
// A source is a table of functions that hands out large stretches of raw memory: the slabs that a
// pool carves into buffers, and single buffers that a pool does not hold (above its largest tier,
// or beyond a limit with ZCB_POOL_DYNAMIC). It is called rarely, never while a buffer goes in or
// out of a warm pool.
//
//     pages     mmap; the default. Can be populated, purged, made of huge pages
//     libc      aligned_alloc and free: what a sanitizer or a heap profiler wants to see
//     jemalloc  mallocx and sdallocx; only where the library was built with -Djemalloc=enabled
//     fixed     a region that the caller has: static memory, a mapped device, shared memory
//     your own  cudaHostAlloc, ibv_reg_mr, memfd ...: fill in the table
//
// Block headers never live in a source's memory, so it need not be readable by the processor.
//
// The functions must not call the pool that they serve, nor release its buffers, nor fork; purge
// runs under its lock.
//
// Threads: a pool calls its source from any thread, two calls at a time too; `attach` and `detach`
// of one stretch never overlap. libc, pages, jemalloc and fixed are safe for that.
#ifndef ZCBUF_SOURCE_H
#define ZCBUF_SOURCE_H

#include <zcbuf/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct zcb_source {
    void *ctx; // passed to each function

    // `len` bytes at a multiple of `align` (a power of two), or NULL: out of memory. What lies
    // anywhere else is given to `free` at once, and the acquire fails with -EINVAL. Required.
    void *(*alloc)(void *ctx, size_t len, size_t align);

    // Takes back what alloc gave, with the same length and alignment. Cannot fail. Required.
    void (*free)(void *ctx, void *ptr, size_t len, size_t align);

    // The contents are not needed any more but the address range stays. `now`: resident memory is
    // to drop at once (users watch it); else the system may take the pages when it wants them. 0,
    // or a negative errno (then nothing happened). NULL: not possible.
    int (*purge)(void *ctx, void *ptr, size_t len, bool now);

    // A slab came to be: register it with a network card, a GPU, a ring. What is stored in *tag
    // comes back from zcb_packet_region(). 0, or a negative errno: the slab is freed and the
    // acquire fails with that code. NULL: nothing to do.
    int (*attach)(void *ctx, void *ptr, size_t len, void **tag);

    // The slab is about to be freed. NULL: nothing to do.
    void (*detach)(void *ctx, void *ptr, size_t len, void *tag);

    // The last user is gone: ctx may be freed. Called once by each pool that was made of this
    // table, from the thread that let go of the last buffer. NULL: nothing to do.
    void (*close)(void *ctx);

    void *reserved[4]; // NULL
};

// aligned_alloc() and free(). Static; needs no close.
ZCB_API const struct zcb_source *zcb_source_libc(void);

// Anonymous private pages. Lengths are rounded up to whole pages, and 2 MiB slabs lie at multiples
// of 2 MiB, so that huge pages fit. Static; needs no close.
ZCB_API const struct zcb_source *zcb_source_pages(void);

// jemalloc with sized frees, or NULL where it is not built in. Linking jemalloc makes it the malloc
// of the whole process: that is why it is off by default. Static; needs no close.
ZCB_API const struct zcb_source *zcb_source_jemalloc(void);

// Fills in *out with a source that hands out parts of `region`, first fit, in units of 64 bytes
// (4096 for regions of 1 MiB and more). The region is the caller's and must outlive every user; its
// parts are written by users alone. The bookkeeping is one small allocation, freed by close: a pool
// does that; call out->close(out->ctx) yourself if no pool was made of it. One pool per fixed
// source. Alloc is O(units), free O(1) per unit.
// 0, -EINVAL (NULL, or smaller than one unit), -ENOMEM.
ZCB_API ZCB_MUST_CHECK int zcb_source_fixed(struct zcb_source *out, void *region, size_t len);

// Flags of zcb_map_file(). 0: shared, read-only, pages come in when touched.
enum {
    // What happens to the file later cannot be seen: a private copy, where the file could change.
    ZCB_MAP_STABLE = 1u << 0,
    ZCB_MAP_POPULATE = 1u << 1,   // read it in now
    ZCB_MAP_SEQUENTIAL = 1u << 2, // will be read from front to back
    ZCB_MAP_RANDOM = 1u << 3,     // will be read in no order
    // No private copy: what would need one is refused, and remote files are mapped as others are.
    ZCB_MAP_ONLY = 1u << 4,
};

// The largest private copy that is made when the caller did not say how long it is to be.
#define ZCB_MAP_COPY_MAX ((size_t)256 << 20)

// Makes a read-only packet of `len` bytes of the file `fd` from `off` on; len 0: to its end. `fd`
// may be closed afterwards, the memory goes with the last packet.
//
// A regular file is mapped, not copied; its position stays. Read into private memory instead, and
// counted (copies.h), is what cannot be mapped or should not be:
//   - pipes, stream sockets, devices, files of /proc and /sys;
//   - files on NFS, SMB, FUSE and other file systems where a page may fail at any time;
//   - with ZCB_MAP_STABLE, what others could change: all but memory that was sealed (memfd with
//     F_SEAL_WRITE and F_SEAL_SHRINK) and, from 16 MiB on, files on Btrfs, XFS and bcachefs, of
//     which a clone (FICLONE) is mapped where the file's directory lets us make one.
// Such a copy of a file to its end is at most ZCB_MAP_COPY_MAX bytes: give the length, or use
// zcb_map_read(), for more. ZCB_MAP_ONLY refuses the copies.
//
// Without offsets (pipes, sockets, terminals), `off` must be 0, and exactly `len` bytes are taken
// from the stream, or all until its end; this waits for them, through signals too. A descriptor
// that does not block gives -EAGAIN if nothing is there yet; once bytes were taken, it is waited
// for. What a call has taken when it fails is lost.
//
// A file can be truncated while it is mapped; touching a page that is gone would kill the process
// with SIGBUS. The first mapping installs a handler that acts on faults in our mappings alone
// (every other one goes to the handler that was there before): the page reads as zeros from then
// on, and zcb_map_status() says -EIO. I/O errors are met in the same way. So: read, then ask the
// status before you believe what you read. A program that installs its own SIGBUS handler later
// must call the one it replaces, with all three arguments. A thread that blocks SIGBUS cannot be
// helped: the kernel ends the process. Bytes changed in the file show through, and the status says
// -ESTALE; ZCB_MAP_STABLE prevents that.
//
// Two things to know. The kernel does not fault on our behalf: write() of a packet whose file was
// cut fails with EFAULT. And POSIX record locks (fcntl F_SETLK) that the process holds on the file
// are lost when the mapping goes, as whenever it closes any descriptor of that file: use flock() or
// open file description locks.
//
// Packets made by slicing share the mapping and its status. Cost: one mmap, a duplicate of the
// descriptor, a table entry; at most 4096 mappings at a time are guarded, further ones are refused.
// Any thread.
// 0; -EINVAL (NULL, unknown flags, negative offset); -ERANGE (the range is not inside the file);
// -ENOTSUP (no file that can be read in order, such as an epoll descriptor; with ZCB_MAP_ONLY: it
// would have to be copied); -EISDIR; -ENOBUFS (4096 mappings are out, or longer than
// ZCB_MAP_COPY_MAX); -ESPIPE (an offset in a stream); -EAGAIN (see above); -ENOMEM; -EIO (cut while
// it was copied); else the negative errno of fstat, mmap, read or of duplicating the descriptor
// (-EMFILE).
ZCB_API ZCB_MUST_CHECK int zcb_map_file(int fd, off_t off, size_t len, uint32_t flags,
                                        struct zcb_packet *out);

// Makes a packet of all that `fd` has from where it stands, whatever it is, read into private
// memory and counted; the descriptor's position moves, the packet's status stays 0. At most `limit`
// bytes; 0: ZCB_MAP_COPY_MAX. What is needed for its end it waits for, as zcb_map_file() does.
// 0; -EINVAL (NULL); -ENOBUFS (there is more than the limit: raise it); -ENOMEM; -EAGAIN; else the
// negative errno of read. Cost: the reads, and moving pages (not bytes) as it grows. Any thread.
ZCB_API ZCB_MUST_CHECK int zcb_map_read(int fd, size_t limit, struct zcb_packet *out);

// Ask after reading:
// 0        every byte read so far through this mapping was the file's, as it was when it was mapped
// -EIO     a page was not there, or the file is shorter than the mapping now: drop what was made
// -ESTALE  the file was written, cut or lengthened since (or while it was copied): old and new
//          bytes may be mixed. Read it again; where others only append, that is no matter.
// A write is known by the file's time: one that comes through somebody's mapping may be seen late
// or (tmpfs) never, and two in one tick of the file system's clock (4 ms and more before Linux
// 6.13) are one. 0 for packets that are not from a file. One fstat(). -EINVAL: NULL. Any thread.
ZCB_API ZCB_MUST_CHECK int zcb_map_status(const struct zcb_packet *packet);

// The bytes of this view were read and need not stay in memory: the whole pages inside it do not
// count as resident any more, until they are touched again and come back from the file, as they are
// there. So a large file is read from front to back in little memory: slice, read, forget. Packets
// that are no mappings, private copies too, stay as they are. O(pages). Others may be reading.
// 0; -EINVAL (NULL, or the process has locked its memory).
ZCB_API ZCB_MUST_CHECK int zcb_map_forget(const struct zcb_packet *packet);

#ifdef __cplusplus
}
#endif
#endif
