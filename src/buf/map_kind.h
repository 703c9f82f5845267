// SPDX-License-Identifier: MIT
//
// What can be done with a file depends on where it lies.
#ifndef ZCB_BUF_MAP_KIND_H
#define ZCB_BUF_MAP_KIND_H

#include <stdbool.h>
#include <stddef.h>

struct zcb_map_kind {
    size_t unit; // what mappings of it are made of: pages, or huge pages
    bool remote; // behind a network or another process: any page may fail at any time
    bool clones; // a second file can share its blocks until one of them is written
};

void zcb_map_kind(int fd, struct zcb_map_kind *out);

// Whether nobody can change its bytes or cut it: memory that was sealed.
bool zcb_map_is_sealed(int fd);

// A file of its own, without a name, that shares the blocks of `fd` as they are now; or a negative
// errno: not here.
int zcb_map_clone(int fd);

#endif
