// SPDX-License-Identifier: MIT
//
// The image adapter's own side. Public core headers only: what is missing there belongs there.
//
//     image_format.c     the table of formats; layouts: arithmetic, no memory
//     image_view.c       wrap, references, crop, planes, fields: packets of the same blocks
//     image_write.c      acquire, share, make_writable, copy: all that has a pool
//
// One rule carries the rest: among the planes of an image that have one owner, the first holds the
// one reference (image_leads()). So a block is the image's alone exactly when its count is 1, and
// what is to be done once for each block is done for each plane that leads.
//
// Read struct image_area first, then zcb_image_make_writable().
#ifndef ZCB_ADAPT_IMAGE_PRIVATE_H
#define ZCB_ADAPT_IMAGE_PRIVATE_H

#include <zcbuf/adapt/image.h>

// What a plane is, wherever it lies: nothing of it is stored in an image, as it follows from its
// format, width and height.
struct image_area {
    uint32_t width; // in pixels of this plane
    uint32_t rows;
    uint64_t row_bytes; // in a layout or an image: no more than 32 bits
};

struct image_area image_area(const struct zcb_image_format_info *info, unsigned plane,
                             uint32_t width, uint32_t height);

// The same of an image that may be empty, or have no such plane: then all is 0.
struct image_area image_area_of(unsigned format, unsigned planes, unsigned plane, uint32_t width,
                                uint32_t height);

// A plane's bytes from its first pixel to the end of its last row: without that row's padding,
// which may not be there. false: more than an address can have.
bool image_reach(size_t stride, uint32_t row_bytes, uint32_t rows, size_t *out);

// Puts the planes of `mask` behind each other, with strides that are multiples of `align`.
// *bytes: up to the end of the last row's padding. Only the strides and offsets of those planes are
// written. 0; -EOVERFLOW: then some of them are.
int image_place(const uint32_t *row_bytes, const uint32_t *rows, unsigned mask, size_t align,
                size_t *stride, size_t *offset, size_t *bytes);

// Where a plane lies, by address or by offset.
struct image_span {
    uintptr_t at;
    size_t reach, stride;
    uint32_t row_bytes;
};

// Whether no pixel of one plane lies in the other. Planes of one stride may lie side by side. False
// where telling would take longer.
bool image_apart(const struct image_span *a, const struct image_span *b);

// 0 where format, width, height, row_bytes and rows belong together and each stride is long enough.
// The planes' lengths go to reach[].
int image_layout_check(const struct zcb_image_layout *layout, size_t *reach);

// 0 where no two planes overlap and each ends within `bytes`, each at its offset.
int image_layout_inside(const struct zcb_image_layout *layout, const size_t *reach, size_t bytes);

// Whether no plane before this one has its owner.
static inline bool
image_leads(const struct zcb_image *image, unsigned plane)
{
    for (unsigned i = 0; i < plane; i++)
        if (image->plane[i].owner == image->plane[plane].owner)
            return false;
    return true;
}

#endif
