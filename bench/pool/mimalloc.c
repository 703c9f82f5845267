// SPDX-License-Identifier: MIT
//
// mimalloc beside the C library's malloc: see loaded.h.

#define LOADED_LIBRARY "libmimalloc.so.2"
#define LOADED_MALLOC "mi_malloc"
#define LOADED_FREE "mi_free"
#include "pool/loaded.h"
#include "pool/loops.h"

const struct pool_peer pool_mimalloc = {.name = "mimalloc", POOL_PEER_LOOPS};
