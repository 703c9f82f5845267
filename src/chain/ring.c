// SPDX-License-Identifier: MIT
//
// The ring of chunks, and the chain's own life: init, finish, trim.

#include "chain/chain.h"
#include "chain/search.h"
#include "pool/pool.h"

#include <stdlib.h>
#include <string.h>

const uint8_t zcb_chain_nothing[1] = {0};

#define MAX_BYTES ((size_t)1 << 30)

static size_t
or_default(size_t value, size_t otherwise)
{
    return value != 0 ? value : otherwise;
}

int
zcb_chain_init(struct zcb_chain *chain, struct zcb_pool *pool,
               const struct zcb_chain_config *config)
{
    static const struct zcb_chain_config none;
    struct zcb_chain_state *s = zcb_chain_state(chain);
    size_t max_chunks;

    if (config == NULL)
        config = &none;
    if (chain == NULL || (config->copy_below != 0 && pool == NULL))
        return -EINVAL;
    for (size_t i = 0; i < sizeof(config->reserved) / sizeof(config->reserved[0]); i++)
        if (config->reserved[i] != NULL)
            return -EINVAL;

    memset(chain, 0, sizeof(*chain));
    s->cur = s->end = zcb_chain_nothing;
    s->pool = pool;
    // By default what one buffer of the pool can be: larger ones would be single allocations.
    s->chunk_size = 65536;
    if (pool != NULL && zcb_pool_largest(pool) < s->chunk_size)
        s->chunk_size = zcb_pool_largest(pool);
    s->chunk_size = or_default(config->chunk_size, s->chunk_size);
    s->copy_below = config->copy_below;
    s->max_bytes = or_default(config->max_bytes, MAX_BYTES);
    s->max_pinned =
        or_default(config->max_pinned, SIZE_MAX / 4 > MAX_BYTES ? 4 * MAX_BYTES : SIZE_MAX);
    max_chunks = or_default(config->max_chunks, 1048576);
    s->max_chunks = max_chunks < ZCB_CHAIN_CHUNKS_MAX ? (uint32_t)max_chunks : ZCB_CHAIN_CHUNKS_MAX;
    zcb_ring_reset(s);
    return 0;
}

void
zcb_chain_finish(struct zcb_chain *chain)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);

    if (chain == NULL || s->ring == NULL)
        return;
    zcb_chain_discard(chain, chain->len);
    zcb_chain_trim(chain); // frees the ring: none is left of an empty chain
    memset(chain, 0, sizeof(*chain));
}

size_t
zcb_chain_chunks(const struct zcb_chain *chain)
{
    return zcb_chain_view(chain)->count;
}

size_t
zcb_chain_pinned(const struct zcb_chain *chain)
{
    const struct zcb_chain_state *s = zcb_chain_view(chain);

    return s->runs + zcb_chain_held(s, s->count != 0 ? zcb_entry_last(s)->owner : NULL);
}

// The entries in their order, from slot 0 of another ring on.
static void
copy_entries(const struct zcb_chain_state *s, struct zcb_entry *ring)
{
    uint32_t first = s->mask + 1 - s->head;

    if (first > s->count)
        first = s->count;
    memcpy(ring, s->ring + s->head, first * sizeof(*ring));
    memcpy(ring + first, s->ring, (s->count - first) * sizeof(*ring));
}

static void
use_ring(struct zcb_chain_state *s, struct zcb_entry *ring, size_t slots)
{
    copy_entries(s, ring);
    if (s->ring != s->few)
        free(s->ring);
    s->ring = ring;
    s->mask = (uint32_t)(slots - 1);
    s->head = 0;
}

// Doubling: each entry is moved at most once more per entry that was added, so adding stays O(1).
// The new slots are not touched before they are used.
int
zcb_ring_grow(struct zcb_chain_state *s, size_t more)
{
    uint64_t slots = (uint64_t)s->mask + 1;
    struct zcb_entry *ring;

    if (more > ZCB_CHAIN_CHUNKS_MAX - s->count)
        return -ENOMEM;
    while (slots < (uint64_t)s->count + more)
        slots *= 2;
    if (slots > SIZE_MAX / sizeof(*ring))
        return -ENOMEM;
    ring = malloc((size_t)slots * sizeof(*ring));
    if (ring == NULL)
        return -ENOMEM;
    use_ring(s, ring, (size_t)slots);
    return 0;
}

// A ring that is at most half full is replaced by a smaller one where memory can be had for that.
static void
shrink(struct zcb_chain_state *s)
{
    size_t slots = ZCB_CHAIN_FEW;
    struct zcb_entry *ring = s->few;

    while (slots < s->count)
        slots *= 2;
    if (s->ring == s->few || slots > s->mask)
        return;
    if (slots > ZCB_CHAIN_FEW)
        ring = malloc(slots * sizeof(*ring));
    if (ring != NULL)
        use_ring(s, ring, slots);
}

void
zcb_chain_trim(struct zcb_chain *chain)
{
    struct zcb_chain_state *s = zcb_chain_state(chain);

    s->reserved = 0;
    while (s->spares != 0)
        zcb_block_drop(s->spare[--s->spares]);
    s->spare_bytes = 0;
    if (s->tail != NULL && !s->borrowed)
        zcb_chain_leave_tail(s);
    shrink(s);
}

static size_t
end_of(const void *chunks, uint32_t number)
{
    return zcb_entry_end(chunks, number);
}

uint32_t
zcb_chain_locate(const struct zcb_chain_state *s, size_t off, size_t *start)
{
    uint32_t number = zcb_search(end_of, s, s->count, off);

    *start = number != 0 ? zcb_entry_end(s, number - 1) : 0;
    return number;
}

void
zcb_chain_read(const struct zcb_chain_state *s, size_t off, uint8_t *dst, size_t len)
{
    size_t start;
    uint32_t number;

    if (len == 0)
        return;
    for (number = zcb_chain_locate(s, off, &start);; number++) {
        const struct zcb_entry *entry = zcb_entry(s, number);
        size_t here = zcb_entry_end(s, number) - off;
        size_t part = here < len ? here : len;

        if (part < len)
            zcb_chain_prefetch_next(s, number);
        memcpy(dst, entry->stop - here, part);
        dst += part;
        off += part;
        len -= part;
        if (len == 0)
            break;
    }
}

void
zcb_chain_settle_slow(struct zcb_chain_state *s)
{
    struct zcb_block *owner = zcb_entry_last(s)->owner;

    if (s->borrowed) {
        s->borrowed = false;
        if (s->extra != 0)
            s->extra--;
        else
            zcb_block_ref(owner);
    }
    if (s->extra != 0)
        zcb_block_drop_n(owner, s->extra);
    s->extra = 0;
}
