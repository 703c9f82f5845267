// SPDX-License-Identifier: MIT
//
// What the pool asks about a source beyond its table.
#ifndef ZCB_SOURCE_SOURCE_H
#define ZCB_SOURCE_SOURCE_H

#include <zcbuf/source.h>

// Whether the memory is ordinary pages of this process, so that huge pages, populating and
// protecting may be asked for.
bool zcb_source_is_pages(const struct zcb_source *source);

// Whether it is memory of this process that may be written at any time: pages, or an allocator of
// ours. A user's source may give memory that the processor cannot reach.
bool zcb_source_is_memory(const struct zcb_source *source);

// Around a fork: the source's own lock, if it is one of ours that has one.
void zcb_source_hold(const struct zcb_source *source);
void zcb_source_let_go(const struct zcb_source *source);

// Bytes that a source can give in all; SIZE_MAX where that is not known.
size_t zcb_source_size(const struct zcb_source *source);

// What pools use where nothing else was asked for: pages, or jemalloc where it is built in.
const struct zcb_source *zcb_source_default(void);

#endif
