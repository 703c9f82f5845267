// SPDX-License-Identifier: MIT
//
// Files as packets: between what the caller sees (mapped.c) and how it is done (map_ways.c).
#ifndef ZCB_BUF_MAPPED_H
#define ZCB_BUF_MAPPED_H

#include <sys/stat.h>
#include <time.h>

#include "base/block.h"
#include "buf/map_kind.h"

// What is asked for, and what the file said when it was asked.
struct zcb_map_request {
    int fd;
    off_t off;
    size_t len;     // 0: to an end that is not known
    size_t limit;   // where the caller does not say how much
    bool len_given; // by the caller
    bool known;     // the file's size
    uint32_t flags;
    struct stat info;
    struct zcb_map_kind kind;
};

struct zcb_mapping {
    struct zcb_block block;
    void *start; // what munmap() gets
    size_t size;
    size_t unit;             // pages of this size can be forgotten; 0: a private copy, none
    struct zcb_guard *guard; // NULL: nothing of it can be lost
    int fd;                  // to see the file's size and time, or -1: nobody else can change it
    off_t end;               // the size that the file must have
    struct timespec written; // the time that it must have
    bool torn;               // it was written while it was copied
};

// Fill in the mapping, zeroed but for `fd` -1, and the request's length, where that turns out to be
// another: 0 means that there is no memory. 0, or a negative errno and nothing to clean up.
// The best way that there is for this file:
int zcb_map_any_way(struct zcb_map_request *request, struct zcb_mapping *mapping);
// A private copy:
int zcb_map_by_copy(struct zcb_map_request *request, struct zcb_mapping *mapping);

static inline struct timespec
zcb_map_time(const struct stat *info)
{
#if defined(__APPLE__)
    return info->st_mtimespec;
#else
    return info->st_mtim;
#endif
}

static inline bool
zcb_map_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

#endif
