// SPDX-License-Identifier: MIT
//
// The one file that is compiled for each executable: which library is it linked with?

#include "harness.h"

const char bench_own[] = "zcbuf " BENCH_LINK;
