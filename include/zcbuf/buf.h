// SPDX-License-Identifier: MIT
//
// zcbuf/buf.h: the one writer of a block of memory.
//
//     |<------------------------- capacity ------------------------->|
//     |<- headroom ->|<------------ len ------------>|<- tailroom -->|
//                    ^ zcb_buf_data()
//
// append grows the data to the right, prepend to the left (a header in front of a payload), trim
// takes off both ends. When it is written, zcb_buf_share() turns it into a read-only packet, or
// zcb_buf_publish() hands out its front as a packet while the writer goes on behind it in the same
// block: what was published is out of the writer's reach, and is no part of capacity or headroom
// any more.
//
// Memory comes from a pool (zcb_pool_acquire), from the heap (zcb_buf_alloc) or from anywhere
// (zcb_buf_wrap). All three behave alike, and end in zcb_buf_release(), share, or whatever takes
// them.
//
// Threads: one at a time; handing a buf to another thread needs the usual ordering (a queue, a
// lock). Its packets are free of that.
#ifndef ZCBUF_BUF_H
#define ZCBUF_BUF_H

#include <zcbuf/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// A buf of `capacity` bytes (more after rounding) straight from `source`, outside any pool; NULL:
// libc. The source must outlive it; its attach and close are not called.
// 0, -EINVAL, -ENOMEM, -EOVERFLOW.
ZCB_API ZCB_MUST_CHECK int zcb_buf_alloc(const struct zcb_source *source, size_t capacity,
                                         struct zcb_buf **out);

// Foreign memory as a buf: `capacity` bytes at `data`, of which the first `len` are already
// written. When the last user is gone `release(ctx, data, capacity)` is called; NULL: nothing to
// do. One small allocation for the header.
// 0; -EINVAL (NULL data with a capacity, len above capacity); -ENOMEM: release is not called.
ZCB_API ZCB_MUST_CHECK int zcb_buf_wrap(void *data, size_t len, size_t capacity,
                                        zcb_release_fn *release, void *ctx, struct zcb_buf **out);

// Room for a buf's header inside an object of the caller's: wrapping without an allocation. It must
// stay where it is until release is called, and is not touched any more from that moment on, so
// release may free it.
struct zcb_buf_storage {
    uint64_t opaque[16];
};

// As zcb_buf_wrap(), in `where`. Cannot fail, but for misuse: NULL when an argument would give
// -EINVAL there.
ZCB_API struct zcb_buf *zcb_buf_wrap_in(struct zcb_buf_storage *where, void *data, size_t len,
                                        size_t capacity, zcb_release_fn *release, void *ctx);

// Gives the buf back and sets *buf to NULL. NULL is fine. Never fails, never allocates. Any thread.
ZCB_API void zcb_buf_release(struct zcb_buf **buf);

// n of them; each becomes NULL, entries that are NULL are skipped.
ZCB_API void zcb_buf_release_n(struct zcb_buf **bufs, size_t n);

// The first byte of the data; valid while the buf is. Where len is 0, the place where the first
// byte will go.
ZCB_API uint8_t *zcb_buf_data(struct zcb_buf *buf);
ZCB_API size_t zcb_buf_len(const struct zcb_buf *buf);
ZCB_API size_t zcb_buf_capacity(const struct zcb_buf *buf); // headroom + len + tailroom
ZCB_API size_t zcb_buf_headroom(const struct zcb_buf *buf);
ZCB_API size_t zcb_buf_tailroom(const struct zcb_buf *buf);

// Puts the (empty) data `len` bytes into the buf.
// 0, -EINVAL (not empty), -ERANGE (above capacity).
ZCB_API ZCB_MUST_CHECK int zcb_buf_set_headroom(struct zcb_buf *buf, size_t len);

// Grows the data by `len` bytes at its end; *at (may be NULL) is where they go. They hold what was
// there before.
// 0, -ERANGE (above tailroom). O(1).
ZCB_API ZCB_MUST_CHECK int zcb_buf_append(struct zcb_buf *buf, size_t len, uint8_t **at);

// Grows the data by `len` bytes at its front.
// 0, -ERANGE (above headroom; what was published is not headroom).
ZCB_API ZCB_MUST_CHECK int zcb_buf_prepend(struct zcb_buf *buf, size_t len, uint8_t **at);

// Takes `front` and `back` bytes off the data's ends; they become headroom and tailroom.
// 0, -ERANGE (more than len).
ZCB_API ZCB_MUST_CHECK int zcb_buf_trim(struct zcb_buf *buf, size_t front, size_t back);

// Sets the data's length, as after recv() into zcb_buf_data().
// 0, -ERANGE (above len + tailroom).
ZCB_API ZCB_MUST_CHECK int zcb_buf_set_len(struct zcb_buf *buf, size_t len);

// Turns the buf into a packet of its data: nothing moves, nothing is allocated. *buf becomes NULL;
// *out is the caller's one reference. An empty buf is released and gives an empty packet. Cannot
// fail.
ZCB_API void zcb_buf_share(struct zcb_buf **buf, struct zcb_packet *out);

// Makes a packet of the first `len` bytes of the data; the buf keeps the rest and stays the writer
// behind it. One atomic increment.
// 0, -ERANGE (above len). len 0: an empty packet.
ZCB_API ZCB_MUST_CHECK int zcb_buf_publish(struct zcb_buf *buf, size_t len, struct zcb_packet *out);

#ifdef ZCB_HAVE_AUTO
#define ZCB_AUTO_BUF ZCB_AUTO(zcb_buf_release)
#endif

#ifdef __cplusplus
}
#endif
#endif
