// SPDX-License-Identifier: MIT
//
// Abseil's Cord as a queue of bytes, for the workloads that have one. C++.
#ifndef BENCH_CORD_H
#define BENCH_CORD_H

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <absl/strings/cord.h>
#include <absl/strings/string_view.h>

// Memory that outlives the cord: nothing is to be freed.
static inline void
cord_append_reference(absl::Cord *cord, const uint8_t *data, size_t len)
{
    cord->Append(absl::MakeCordFromExternal(
        absl::string_view(reinterpret_cast<const char *>(data), len), [] {}));
}

static inline absl::Cord::CharIterator
cord_at(const absl::Cord *cord, size_t off)
{
    absl::Cord::CharIterator at = cord->char_begin();

    absl::Cord::Advance(&at, off);
    return at;
}

static inline int
cord_copy(const absl::Cord *cord, size_t off, uint8_t *dst, size_t len)
{
    if (off + len > cord->size())
        return -1;
    for (absl::Cord::CharIterator at = cord_at(cord, off);;) {
        absl::string_view chunk = absl::Cord::ChunkRemaining(at);
        size_t part = std::min(chunk.size(), len);

        std::memcpy(dst, chunk.data(), part);
        dst += part;
        len -= part;
        if (len == 0)
            return 0;
        absl::Cord::Advance(&at, part);
    }
}

#endif
