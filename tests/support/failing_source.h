// SPDX-License-Identifier: MIT
//
// A source of memory over libc for tests: fails the n-th alloc, once or for ever, counts what is
// out, and aborts with a message when something is given back that it did not give, or with another
// length or alignment. Give &failing.source to a pool or to zcb_buf_alloc().
//
// Threads: any, but for init and fail.
#ifndef ZCB_TESTS_FAILING_SOURCE_H
#define ZCB_TESTS_FAILING_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include <zcbuf/source.h>

struct zcb_failing_source {
    struct zcb_source source; // its ctx is this struct, which must stay where it is
    int attach_result;        // what attach returns from now on; 0 to begin with
    uint64_t calls;           // of alloc, those that failed as well
    uint64_t failed;          // of these since the last zcb_failing_source_fail()
    uint64_t live;            // allocations out
    uint64_t live_bytes;
    uint64_t peak_bytes;
    uint64_t attached; // attached and not detached
    uint64_t purged;   // calls of purge
    uint64_t closed;   // calls of close
    uint64_t fail_from;
    bool fail_for_ever;
};

void zcb_failing_source_init(struct zcb_failing_source *failing);

// The n-th alloc from now on (1: the next) fails, and with `for_ever` all after it. 0: none fails.
void zcb_failing_source_fail(struct zcb_failing_source *failing, uint64_t nth, bool for_ever);

#endif
