// SPDX-License-Identifier: MIT
//
// Faults in memory that maps a file (SIGBUS: the file became shorter, or cannot be read): the range
// reads as zeroes from there on, and its guard knows.
#ifndef ZCB_BUF_GUARD_H
#define ZCB_BUF_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct zcb_guard;

// One that watches nothing yet; the first one installs the signal's handler.
// 0; -ENOBUFS: all are taken; what sigaction or pthread_atfork said.
int zcb_guard_take(struct zcb_guard **out);

// From now on it is for this range, whose mapping is there: whole pages of `unit` bytes.
void zcb_guard_watch(struct zcb_guard *guard, const void *base, size_t len, size_t unit);

// Before the range is unmapped, so that the addresses can be anybody's.
void zcb_guard_drop(struct zcb_guard *guard);

bool zcb_guard_has_faulted(const struct zcb_guard *guard);

#endif
