// SPDX-License-Identifier: MIT
//
// Abseil's Cord: packets as external memory; what is received, in buffers of its own.

#include <utility>

#include "cord.h"

extern "C" {
#include "wire/peer.h"
}

struct peer {
    absl::Cord cord;
};

static void *
create(struct wire_stream *)
{
    return new struct peer;
}

static void
destroy(void *state)
{
    delete static_cast<struct peer *>(state);
}

static inline int
feed(struct peer *peer, size_t, const uint8_t *data, size_t len)
{
    cord_append_reference(&peer->cord, data, len);
    return 0;
}

// Small packets: what the cord has free at its end comes first. Large ones: buffers above the
// default of 4 KiB.
static inline absl::CordBuffer
room_for(absl::Cord *cord, size_t len)
{
    return len > absl::CordBuffer::kDefaultLimit
               ? absl::CordBuffer::CreateWithCustomLimit(absl::CordBuffer::kCustomLimit, len)
               : cord->GetAppendBuffer(len);
}

static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    while (len != 0) {
        absl::CordBuffer buffer = room_for(&peer->cord, len);
        absl::Span<char> room = buffer.available_up_to(len);

        std::memcpy(room.data(), data, room.size());
        buffer.IncreaseLengthBy(room.size());
        peer->cord.Append(std::move(buffer));
        data += room.size();
        len -= room.size();
    }
    return 0;
}

static inline size_t
size(struct peer *peer)
{
    return peer->cord.size();
}

static inline const uint8_t *
head(struct peer *peer, size_t len, uint8_t *scratch)
{
    absl::string_view first = *peer->cord.chunk_begin();

    if (first.size() >= len)
        return reinterpret_cast<const uint8_t *>(first.data());
    cord_copy(&peer->cord, 0, scratch, len);
    return scratch;
}

static inline void
drop(struct peer *peer, size_t len)
{
    peer->cord.RemovePrefix(len);
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    if (cord_copy(&peer->cord, 0, dst, len) < 0)
        return -1;
    drop(peer, len);
    return 0;
}

#include "wire/loops.h"

const struct wire_peer wire_cord = {.name = "absl::Cord", WIRE_PEER_LOOPS};
