// SPDX-License-Identifier: MIT
//
// zcbuf/copies.h: every byte that the library moves is counted here, by reason.
//
// "Zero-copy" is then a figure that a program can print: bytes moved per byte received. Counted is
// what this library moves with the processor; what the kernel copies in recv() is not.
//
// Environment: ZCBUF_TRACE=1 prints a line on standard error for each copy, with its reason and
// length.
#ifndef ZCBUF_COPIES_H
#define ZCBUF_COPIES_H

#include <zcbuf/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// X(NAME, name, what moved)
#define ZCB_COPY_REASONS(X)                                                                        \
    X(COPY_TO, copy_to, "zcb_chain_copy_to, zcb_cursor_read: into the caller's memory")            \
    X(CONSUME, consume, "zcb_chain_consume: into the caller's memory")                             \
    X(TAKE, take, "zcb_chain_take of bytes that cross blocks")                                     \
    X(GATHER, gather, "zcb_chain_gather of bytes that cross chunks")                               \
    X(APPEND, append, "zcb_chain_append, a push below copy_below, zcb_packet_copy")                \
    X(UNSHARE, unshare, "zcb_packet_make_writable of shared or read-only memory")                  \
    X(COMPACT, compact, "zcb_packet_compact")                                                      \
    X(PEEK, peek, "bytes that cross chunks, put into a peek's scratch")                            \
    X(PIECE, piece, "into a piece: zcb_piece_write, zcb_piece_write_chain")                        \
    X(MAP, map, "zcb_map_file of what is not mapped, zcb_map_read")

enum zcb_copy_reason {
#define ZCB_COPY_ENUM(NAME, name, what) ZCB_COPY_##NAME,
    ZCB_COPY_REASONS(ZCB_COPY_ENUM)
#undef ZCB_COPY_ENUM
        ZCB_COPY_REASON_COUNT // how many this header knows; at most 16
};

struct zcb_copies {
    uint64_t bytes[16]; // by enum zcb_copy_reason
    uint64_t calls[16];
};

// `len` bytes have been moved for `reason` by the calling thread: for code that puts payload into
// place with a memcpy of its own, such as an adapter's. A reason that is none is not counted. Never
// fails. O(1).
ZCB_API void zcb_count_copy(enum zcb_copy_reason reason, size_t len);

// What the calling thread has moved since it began. O(1).
ZCB_API void zcb_copies_thread(struct zcb_copies *out);

// What all threads have moved, also those that ended; of a thread in the middle of a copy, up to
// the copy before. O(threads).
ZCB_API void zcb_copies_total(struct zcb_copies *out);

// The sum of bytes over all reasons.
ZCB_API uint64_t zcb_copies_bytes(const struct zcb_copies *copies);

// "copy_to" and so on; "unknown" for a number that is none. Static.
ZCB_API const char *zcb_copy_reason_name(enum zcb_copy_reason reason);

// Calls `trace` for each copy from now on, on the thread that makes it, right after it; NULL ends
// that. It must not call functions that move bytes. Set it while no other thread is in this
// library.
ZCB_API void zcb_copies_trace(void (*trace)(void *ctx, enum zcb_copy_reason reason, size_t len),
                              void *ctx);

#ifdef __cplusplus
}
#endif
#endif
