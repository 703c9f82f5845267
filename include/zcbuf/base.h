// SPDX-License-Identifier: MIT
//
// zcbuf/base.h: what every other header of libzcbuf stands on.
//
// Results. A function that can fail returns int: 0 or a count on success, a negative errno on
// failure. errno itself is not used. A call that fails changes nothing: the caller still owns what
// it passed, no release callback has run, and the same call may be made again. Functions that give
// something back (unref, release, destroy, finish, discard of what is there) cannot fail and never
// allocate.
//
//   -EINVAL     misuse: an argument that no call may pass            fix the program
//   -EAGAIN     fewer bytes are there than were asked for            receive more, then ask again
//   -ERANGE     outside the object                                   fix the offset or the length
//   -EALREADY   that block has arrived before                        ignore it
//   -EBUSY      reserved, or shared, by somebody else                wait for them, or copy
//   -EXDEV      the bytes cross chunks                               gather or copy them
//   -EBADMSG    malformed input                                      close the connection
//   -ENOBUFS    a limit that was configured is reached               give back, or raise it
//   -ETIMEDOUT  waited for a buffer in vain                          give back, or raise it
//   -ENOMEM     the source of memory has none                        give back
//   -EMSGSIZE   does not fit, and must not be cut                    tell its sender the MTU
//   -EOVERFLOW  a sum or a product does not fit                      refuse the input
//   -EIO        a mapped file lost bytes under its packet            drop what was read from it
//   -ESTALE     a mapped file was written under its packet           read it again
//   -ENOTSUP    not part of this build, or not for this kind of file
//
// Sizes, lengths and offsets are bytes unless the name says otherwise.
//
// Names of kinds. create/destroy go with the heap, init/finish with memory of the caller's; acquire
// is from a pool; ref/unref count; share makes a packet of a buf; wrap takes foreign memory; push
// gives away; peek lends; take and split hand over; slice shares; discard drops from the front.
// Bytes move only in copy_to, gather, consume, append, compact and make_writable, and in take and
// push where their documentation says so; each moved byte is counted (copies.h).
#ifndef ZCBUF_BASE_H
#define ZCBUF_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#if !defined(_WIN32)
#include <sys/uio.h>
#elif !defined(ZCB_HAVE_IOVEC)
#define ZCB_HAVE_IOVEC
// The POSIX shape. WSABUF orders its members differently: convert, never cast.
struct iovec {
    void *iov_base;
    size_t iov_len;
};
#endif

#include <zcbuf/version.h>

#if defined(_WIN32)
#define ZCB_API
#elif defined(__GNUC__)
#define ZCB_API __attribute__((visibility("default")))
#else
#define ZCB_API
#endif

#if defined(__GNUC__)
#define ZCB_MUST_CHECK __attribute__((warn_unused_result))
#define ZCB_LIKELY(x) __builtin_expect(!!(x), 1)
#define ZCB_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define ZCB_MUST_CHECK
#define ZCB_LIKELY(x) (x)
#define ZCB_UNLIKELY(x) (x)
#endif

// Inline functions are C99 inline: the header has the body, the library one real symbol of each, so
// that they can be called from an unoptimised build or through a pointer, and bound from other
// languages.
#ifndef ZCB_INLINE
#if defined(__GNUC_GNU_INLINE__) && !defined(__cplusplus) // -std=gnu89: there it is spelled so
#define ZCB_INLINE ZCB_API extern inline
#else
#define ZCB_INLINE ZCB_API inline
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct zcb_source;
struct zcb_pool;
struct zcb_buf;
struct zcb_block; // what stands behind a buf or a packet: memory and a count. Private.
struct zcb_packet;
struct zcb_chain;
struct zcb_piece;

// Called once, when the last user of a piece of foreign memory has let go of it, on that user's
// thread. `data` and `len` are what was wrapped. It may call any function of this library, also to
// release or unref other memory; it must not touch the packet or buf that just went.
typedef void zcb_release_fn(void *ctx, void *data, size_t len);

// What `err` (a negative errno that this library returned, or the same without its sign) means
// here, with the next move. Never NULL; a static string. Any thread.
ZCB_API const char *zcb_strerror(int err);

// The version of the library that is running, "major.minor.patch"; ZCB_VERSION_STRING is the
// header's.
ZCB_API const char *zcb_version(void);

// Gives the calling thread's cached free blocks, of all pools, back to their pools. Call it before
// a thread goes idle for long; a thread that ends does it by itself. O(blocks cached). Cannot fail.
ZCB_API void zcb_thread_flush(void);

// Sets up the calling thread's cache for `pool` and fills it to half, so that its first acquire and
// release allocate nothing. Where the depot has too few free blocks a slab is made, for every tier
// that is cached.
// 0 (also where the pool has no caches: nothing to do); -EINVAL (NULL); -ENOMEM; -ENOBUFS (the
// pool's limits); what the source's attach returned. Without a cache all calls work, more slowly.
ZCB_API ZCB_MUST_CHECK int zcb_thread_warm(struct zcb_pool *pool);

// For the inline functions of packet.h, when a block's count (its first member) leaves the ordinary
// range. Not for users.
#define ZCB_COUNT_MAX 0x7fffffffu
ZCB_API void zcb_block_last(struct zcb_block *block, uint32_t count_before);
ZCB_API void zcb_block_pin(struct zcb_block *block);

// Let go of a variable when its scope is left, with compilers that can (gcc, clang: ZCB_HAVE_AUTO
// is defined). The variable must be initialised where it is declared; one that was given away is
// empty and costs nothing:
//     ZCB_AUTO_PACKET struct zcb_packet message = {0};
// Also ZCB_AUTO_BUF and ZCB_AUTO_PIECE (pointers), ZCB_AUTO_POOL (a pointer), ZCB_AUTO_CHAIN (a
// chain that was initialised with zcb_chain_init, or all zero).
#if defined(__GNUC__)
#define ZCB_HAVE_AUTO 1
#define ZCB_AUTO(cleanup_function) __attribute__((cleanup(cleanup_function)))
#endif

#ifdef __cplusplus
}
#endif
#endif
