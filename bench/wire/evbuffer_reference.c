// SPDX-License-Identifier: MIT
//
// libevent's evbuffer, packets by reference. What recv() brings is copied into it by any program:
// that way is evbuffer_copy.c's.

#include "wire/evbuffer.h"

static inline int
feed(struct peer *peer, size_t number, const uint8_t *data, size_t len)
{
    (void)number;
    return evbuffer_add_reference(evbuffer_of(peer), data, len, NULL, NULL);
}

#define WIRE_FEED_ONLY
#include "wire/loops.h"

const struct wire_peer wire_evbuffer_reference = {.name = "libevent evbuffer, references",
                                                  .create = create,
                                                  .destroy = destroy,
                                                  .feed = run_feed};
