// SPDX-License-Identifier: MIT
//
// What is asked of Linux about memory, with the root of the file system to read it from: tests have
// trees of their own.
#ifndef ZCB_ADAPT_IMAGE_MEMORY_H
#define ZCB_ADAPT_IMAGE_MEMORY_H

#include <zcbuf/adapt/image_budget.h>

// Reads below `root` ("": the system's own). `address_limit` and `data_limit` are the process's
// limits, UINT64_MAX: none.
void image_memory_read(const char *root, uint64_t address_limit, uint64_t data_limit,
                       struct zcb_image_memory *out);

#endif
