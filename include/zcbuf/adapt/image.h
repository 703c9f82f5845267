// SPDX-License-Identifier: MIT
//
// zcbuf/adapt/image.h: pixels in shared packets: formats, planes, views, copy-on-write.
//
//     zcb_image_layout    how many bytes, and where each plane lies: arithmetic alone, checked
//     zcb_image_buf       the one writer of an image's memory      (as buf is to a packet)
//     zcb_image           a shared, read-only view of pixels       (as packet is to a buf)
//
//     plane[0]            row 0   [ row_bytes ][ padding ]   <- stride ->
//                         row 1   [ row_bytes ][ padding ]
//     plane[1]            row 0   [ ... ]                    chroma: fewer rows, shorter ones
//
// Life of an image: compute a layout (which refuses what is too large before anything is
// allocated), acquire memory for it, decode into that, share it. Then crop it, take rows, planes
// and fields of it: views of the same memory, a few additions and one atomic operation each. Who
// wants to change pixels calls zcb_image_make_writable(), which copies only where somebody else
// still looks, and of a view only the view's rows.
//
// What an image holds: one reference for each block of memory that its planes lie in, however many
// planes lie there. Planes may come from different blocks (a decoder with a buffer for each):
// copy-on-write then copies the shared ones and leaves the others where they are.
//
// Nothing here decodes, converts or scales: that is a codec's business, or examples/zcb-thumb's.
// How much memory a chain of such steps takes is zcbuf/adapt/image_budget.h.
//
// Threads: as packets: different handles of one image on different threads at a time; one handle is
// one variable. An image_buf: one thread at a time. Not for signal handlers.
//
// Units: width and height in pixels; stride, offset and bytes in bytes.
//
// Errors: as in base.h.
#ifndef ZCBUF_ADAPT_IMAGE_H
#define ZCBUF_ADAPT_IMAGE_H

#include <zcbuf/buf.h>
#include <zcbuf/packet.h>
#include <zcbuf/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZCB_IMAGE_PLANES 4 // the most planes of an image

// ---- formats

// Samples of 16 bits are in the machine's byte order. YUV: Y'CbCr; its range, matrix and chroma
// siting are the program's to know (ITU-T H.273 has the names).
//
// X(NAME, text, planes, bytes of a pixel in each plane {a, b, c}, log2 of how much narrower and
// lower the planes after the first are, bits of a sample, channels, has alpha)
#define ZCB_IMAGE_FORMATS(X)                                                                       \
    X(GRAY, "gray", 1, 1, 0, 0, 0, 0, 8, 1, 0)                                                     \
    X(GRAY_ALPHA, "gray_alpha", 1, 2, 0, 0, 0, 0, 8, 2, 1)                                         \
    X(RGB, "rgb", 1, 3, 0, 0, 0, 0, 8, 3, 0)                                                       \
    X(RGBA, "rgba", 1, 4, 0, 0, 0, 0, 8, 4, 1)                                                     \
    X(BGRA, "bgra", 1, 4, 0, 0, 0, 0, 8, 4, 1)                                                     \
    X(GRAY16, "gray16", 1, 2, 0, 0, 0, 0, 16, 1, 0)                                                \
    X(GRAY_ALPHA16, "gray_alpha16", 1, 4, 0, 0, 0, 0, 16, 2, 1)                                    \
    X(RGB16, "rgb16", 1, 6, 0, 0, 0, 0, 16, 3, 0)                                                  \
    X(RGBA16, "rgba16", 1, 8, 0, 0, 0, 0, 16, 4, 1)                                                \
    X(YUV420, "yuv420", 3, 1, 1, 1, 1, 1, 8, 3, 0)                                                 \
    X(YUV422, "yuv422", 3, 1, 1, 1, 1, 0, 8, 3, 0)                                                 \
    X(YUV444, "yuv444", 3, 1, 1, 1, 0, 0, 8, 3, 0)                                                 \
    X(NV12, "nv12", 2, 1, 2, 0, 1, 1, 8, 3, 0)

enum zcb_image_format {
    ZCB_IMAGE_NONE,
#define ZCB_IMAGE_ENUM(NAME, ...) ZCB_IMAGE_##NAME,
    ZCB_IMAGE_FORMATS(ZCB_IMAGE_ENUM)
#undef ZCB_IMAGE_ENUM
    ZCB_IMAGE_FORMAT_END // one more than the last that this header knows
};

struct zcb_image_format_info {
    const char *name;
    uint8_t planes;
    uint8_t pixel_bytes[ZCB_IMAGE_PLANES]; // of one pixel in each plane (NV12's second: one pair)
    uint8_t narrower, lower; // planes after the first: width and height / 2^this, rounded up
    uint8_t sample_bits, channels, has_alpha;
};

// What there is to know about a format; NULL: none that this library knows. Static.
ZCB_API const struct zcb_image_format_info *zcb_image_format_info(unsigned format);

// ---- layout

// What an image may be at most. A field that is 0 means its default.
struct zcb_image_limits {
    uint32_t max_width, max_height; // 0: 65535, which is what JPEG can have
    uint64_t max_pixels;            // 0: 2^28 (268 megapixels)
    size_t max_bytes;               // of all planes. 0: 1 GiB
    uint32_t reserved[4];           // 0
};

// Where the planes of an image lie in one stretch of memory.
struct zcb_image_layout {
    uint32_t width, height;
    uint16_t format; // enum zcb_image_format
    uint16_t planes;
    uint32_t reserved;                    // 0
    uint32_t row_bytes[ZCB_IMAGE_PLANES]; // of pixels in a row
    uint32_t rows[ZCB_IMAGE_PLANES];
    size_t stride[ZCB_IMAGE_PLANES]; // from a row to the next; at least row_bytes
    size_t offset[ZCB_IMAGE_PLANES]; // of the plane's first row
    size_t bytes;                    // of whole strides, up to the end of the last row's padding
    size_t pixel_bytes;              // of pixels alone: row_bytes x rows, all planes
};

// The layout of width x height pixels: strides and offsets are multiples of `align` (a power of two
// up to 4096; 0: 64, a cache line; 1: rows without padding). `limits` may be NULL: the defaults.
// Call it with what a file's header declares, before anything is allocated.
// 0; -EINVAL (NULL, an unknown format, width or height 0, an align that is none, a reserved field);
// -ENOBUFS (a limit: the caller may raise it, or refuse the image); -EOVERFLOW (does not fit
// size_t). Nothing is written to *out unless it succeeds. O(1).
ZCB_API ZCB_MUST_CHECK int zcb_image_layout(unsigned format, uint32_t width, uint32_t height,
                                            size_t align, const struct zcb_image_limits *limits,
                                            struct zcb_image_layout *out);

// ---- the writer

// Pixels that are being written: the program fills rows through row(), or hands plane[] and
// stride[] to a decoder. 160 bytes or less, passed by pointer; zero is empty.
struct zcb_image_buf {
    struct zcb_buf *buf[ZCB_IMAGE_PLANES]; // what holds the memory; NULL: an earlier plane's does
    uint8_t *plane[ZCB_IMAGE_PLANES];      // the first row's first pixel
    size_t stride[ZCB_IMAGE_PLANES];
    uint32_t width, height;
    uint16_t format, planes;
    uint8_t holder[ZCB_IMAGE_PLANES]; // which of buf[] holds each plane
};

// Memory for an image of this layout in one buffer of `pool`; offsets count from plane[0], which is
// where the buffer's data begins. Its contents are whatever was there before. A pool for images has
// a tier of their size: what is above its largest tier is allocated anew each time, and faults in
// page by page.
// 0; -EINVAL (NULL, a layout that zcb_image_layout could not have made); or acquire's errors.
ZCB_API ZCB_MUST_CHECK int zcb_image_acquire(struct zcb_pool *pool,
                                             const struct zcb_image_layout *layout,
                                             struct zcb_image_buf *out);

// The same with a buffer for each plane: what is replaced or shared plane by plane is copied plane
// by plane.
ZCB_API ZCB_MUST_CHECK int zcb_image_acquire_planes(struct zcb_pool *pool,
                                                    const struct zcb_image_layout *layout,
                                                    struct zcb_image_buf *out);

// Where a row of a plane begins; rows of a plane: see zcb_image_rows_of(). NULL: no such row. O(1).
ZCB_API uint8_t *zcb_image_buf_row(const struct zcb_image_buf *image, unsigned plane, uint32_t row);

// Gives the memory back and empties *image. NULL or empty is fine.
ZCB_API void zcb_image_buf_release(struct zcb_image_buf *image);

// ---- the shared image

// One reference to pixels; 144 bytes or less, passed by value like a packet, and the same rule
// holds: after `b = a` one of them is to be forgotten, or zcb_image_ref() used.
struct zcb_image {
    // From each plane's first pixel to the end of its last row. Planes with the owner of an earlier
    // one hold no reference of their own.
    struct zcb_packet plane[ZCB_IMAGE_PLANES];
    size_t stride[ZCB_IMAGE_PLANES];
    uint32_t width, height;
    uint16_t format, planes;
    uint32_t reserved; // 0
};

// Turns what was written into a shared image: nothing moves, nothing is allocated, *image becomes
// empty. Cannot fail; an empty one gives an empty image.
ZCB_API void zcb_image_buf_share(struct zcb_image_buf *image, struct zcb_image *out);

// Makes an image of pixels that came from elsewhere, in one packet (a mapped file of raw frames, a
// camera's buffer): each plane at its layout's offset from bytes->data. The layout is one of
// zcb_image_layout(), which checked the sizes; strides and offsets may be changed to what the
// memory has. Planes may come in any order, and those of one stride side by side. What lies behind
// the last row's last pixel is not looked at and need not be there. Takes *bytes on success.
// 0; -EINVAL (NULL, a format or sizes that are none, planes that overlap, a stride below
// row_bytes); -ERANGE (a plane reaches past the packet: the file is shorter than its header says);
// -EOVERFLOW (stride x rows, or an offset behind it).
ZCB_API ZCB_MUST_CHECK int zcb_image_wrap(const struct zcb_image_layout *layout,
                                          struct zcb_packet *bytes, struct zcb_image *out);

// The same with a packet for each plane of the layout (its offsets are not looked at). Takes all of
// them on success. The same bytes may be given for two planes (one neutral plane for U and V), with
// a reference for each: copy-on-write takes them apart.
ZCB_API ZCB_MUST_CHECK int zcb_image_wrap_planes(const struct zcb_image_layout *layout,
                                                 struct zcb_packet *planes, struct zcb_image *out);

// One more reference; drop one (and empty the variable; NULL or empty is fine). One atomic
// operation for each block.
ZCB_API struct zcb_image zcb_image_ref(const struct zcb_image *image);
ZCB_API void zcb_image_unref(struct zcb_image *image);

// Bytes of pixels in a row of a plane, and rows of it. 0: no such plane. An empty image has none.
ZCB_API uint32_t zcb_image_row_bytes(const struct zcb_image *image, unsigned plane);
ZCB_API uint32_t zcb_image_rows_of(const struct zcb_image *image, unsigned plane);

// Where a row of a plane begins, row_bytes long. Lent: valid while the image is. NULL: no such row.
ZCB_API const uint8_t *zcb_image_row(const struct zcb_image *image, unsigned plane, uint32_t row);

// Whether nobody else looks at any of its memory. Empty, or with a plane in static memory: false.
ZCB_API bool zcb_image_is_unique(const struct zcb_image *image);

// Bytes of memory that this image keeps alive, each block once: can be far above its pixels'.
ZCB_API size_t zcb_image_pinned(const struct zcb_image *image);

// ---- views: the same memory, one reference more. `out` may not be `image`. O(planes).

// width x height pixels from (x, y) on. x and y must lie on a pixel of every plane: even ones,
// where chroma is halved that way.
// 0; -EINVAL (NULL, width or height 0, x or y odd there); -ERANGE (not inside the image).
ZCB_API ZCB_MUST_CHECK int zcb_image_crop(const struct zcb_image *image, uint32_t x, uint32_t y,
                                          uint32_t width, uint32_t height, struct zcb_image *out);

// Rows `first` to first + count - 1, over the whole width: crop's errors.
ZCB_API ZCB_MUST_CHECK int zcb_image_rows(const struct zcb_image *image, uint32_t first,
                                          uint32_t count, struct zcb_image *out);

// One plane as a gray image (8 or 16 bits a pixel) of that plane's width and height. An NV12
// image's second plane is gray_alpha: pairs. Interleaved formats have no planes to take apart.
// 0; -ERANGE (no such plane); -ENOTSUP (one plane of several channels).
ZCB_API ZCB_MUST_CHECK int zcb_image_plane(const struct zcb_image *image, unsigned plane,
                                           struct zcb_image *out);

// Every second row, from row 0 (`bottom` false: the top field) or from row 1 on: a field of an
// interlaced frame, by doubling the stride.
// 0; -ERANGE (an image of one row has no bottom field); -ENOTSUP (chroma of half height: which rows
// belong to a field is the frame's secret).
ZCB_API ZCB_MUST_CHECK int zcb_image_field(const struct zcb_image *image, bool bottom,
                                           struct zcb_image *out);

// ---- copy-on-write

// Takes *image and gives *out, the only writer of its pixels. Blocks that nobody else looks at and
// that may be written stay where they are (with their strides: what lies around a view is still not
// the view's). Planes in other ones (shared, mapped, static, wrapped as const, or lying in each
// other) are copied, row by row, the view's rows and columns alone, with strides that are multiples
// of 64: into one buffer of `pool` for each such block. Each plane that is copied counts once:
// ZCB_COPY_UNSHARE, exactly its row_bytes x rows.
// Returns how many planes were copied (0: none, also of an empty image); -EINVAL (NULL; would have
// to copy and pool is NULL); -EOVERFLOW; or acquire's errors. When it fails nothing has changed and
// nothing was copied.
ZCB_API ZCB_MUST_CHECK int zcb_image_make_writable(struct zcb_image *image, struct zcb_pool *pool,
                                                   struct zcb_image_buf *out);

// A copy of its own, all planes in one buffer of `pool`: to let go of a large image of which a
// small view is left. ZCB_COPY_COMPACT, a count for each plane, in all exactly the pixels' bytes.
// `image` stays the caller's; `out` may not be `image`.
// 0; -EINVAL (NULL); -EOVERFLOW; or acquire's errors.
ZCB_API ZCB_MUST_CHECK int zcb_image_copy(const struct zcb_image *image, struct zcb_pool *pool,
                                          struct zcb_image *out);

#ifdef ZCB_HAVE_AUTO
#define ZCB_AUTO_IMAGE ZCB_AUTO(zcb_image_unref)
#define ZCB_AUTO_IMAGE_BUF ZCB_AUTO(zcb_image_buf_release)
#endif

#ifdef __cplusplus
}
#endif
#endif
