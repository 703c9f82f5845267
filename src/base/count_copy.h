// SPDX-License-Identifier: MIT
//
// Counting moved bytes: the library's own side of copies.h.
#ifndef ZCB_BASE_COUNT_COPY_H
#define ZCB_BASE_COUNT_COPY_H

#include <string.h>

#include <zcbuf/copies.h>

// memcpy that is counted. `len` 0 with any pointers is fine and counts nothing.
static inline void
zcb_copy(void *dst, const void *src, size_t len, enum zcb_copy_reason reason)
{
    if (len != 0) {
        memcpy(dst, src, len);
        zcb_count_copy(reason, len);
    }
}

#endif
