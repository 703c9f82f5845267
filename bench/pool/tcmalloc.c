// SPDX-License-Identifier: MIT
//
// tcmalloc beside the C library's malloc: see loaded.h.

#define LOADED_LIBRARY "libtcmalloc_minimal.so.4"
#define LOADED_MALLOC "tc_malloc"
#define LOADED_FREE "tc_free"
#include "pool/loaded.h"
#include "pool/loops.h"

const struct pool_peer pool_tcmalloc = {.name = "tcmalloc", POOL_PEER_LOOPS};
