// SPDX-License-Identifier: MIT
//
// What the two units of test_gnu89 share.
#ifndef ZCB_TEST_GNU89_H
#define ZCB_TEST_GNU89_H

#include <zcbuf/zcbuf.h>

#include <zcbuf/adapt/torrent.h>

size_t length_in_the_other_unit(void);

#endif
