// SPDX-License-Identifier: MIT
//
// A file's bytes read into memory of our own.
#ifndef ZCB_BUF_MAP_COPY_H
#define ZCB_BUF_MAP_COPY_H

#include <stddef.h>
#include <sys/types.h>

// From where the descriptor stands, which moves.
#define ZCB_MAP_FROM_HERE ((off_t)-1)

// Reads from `off` on: `want` bytes, or (want 0) all up to the end, at most `limit`. A descriptor
// that knows no offsets (a pipe) is read from where it stands; `off` must be 0 then. *len is less
// than `want` where the input ended before. The memory is whole pages, and goes with munmap();
// where *len is 0 there is none.
// 0; -ENOBUFS (more than the limit); -ESPIPE; -ENOMEM; -EAGAIN (nothing there yet on a descriptor
// that does not wait); what read() said.
int zcb_map_copy(int fd, off_t off, size_t want, size_t limit, void **memory, size_t *len);

#endif
