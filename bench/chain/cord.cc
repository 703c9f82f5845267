// SPDX-License-Identifier: MIT
//
// Abseil's Cord, chunks as external memory: a tree, like ours.

#include "cord.h"

extern "C" {
#include "chain/peer.h"
}

static inline absl::Cord *
cord_of(void *queue)
{
    return static_cast<absl::Cord *>(queue);
}

static void *
create(void)
{
    return new absl::Cord;
}

static void
destroy(void *queue)
{
    delete cord_of(queue);
}

static inline int
push(void *queue, const uint8_t *chunk)
{
    cord_append_reference(cord_of(queue), chunk, CHUNK_LEN);
    return 0;
}

static inline int
discard(void *queue, size_t len)
{
    cord_of(queue)->RemovePrefix(len);
    return 0;
}

static inline int
copy(void *queue, size_t off, uint8_t *dst, size_t len)
{
    return cord_copy(cord_of(queue), off, dst, len);
}

static inline int
peek(void *queue, size_t off, uint64_t *out)
{
    return copy(queue, off, reinterpret_cast<uint8_t *>(out), sizeof(*out));
}

static inline int
find(void *queue, size_t off, uint8_t byte, size_t *at)
{
    absl::Cord::CharIterator it = cord_at(cord_of(queue), off), end = cord_of(queue)->char_end();

    while (it != end) {
        absl::string_view chunk = absl::Cord::ChunkRemaining(it);
        const void *found = std::memchr(chunk.data(), byte, chunk.size());

        if (found != nullptr) {
            *at = off + static_cast<size_t>(static_cast<const char *>(found) - chunk.data());
            return 0;
        }
        off += chunk.size();
        absl::Cord::Advance(&it, chunk.size());
    }
    return -1;
}

#include "chain/loops.h"

const struct chain_peer chain_cord = {
    .name = "absl::Cord", .chunks_max = 1000000, CHAIN_PEER_LOOPS};
