// SPDX-License-Identifier: MIT
//
// jemalloc beside the C library's malloc: see loaded.h.

#define LOADED_LIBRARY "libjemalloc.so.2"
#define LOADED_MALLOC "malloc"
#define LOADED_FREE "free"
#include "pool/loaded.h"
#include "pool/loops.h"

const struct pool_peer pool_jemalloc = {.name = "jemalloc", POOL_PEER_LOOPS};
