// SPDX-License-Identifier: MIT
//
// What people write next: a lock-free stack (R. K. Treiber, 1986). The head is an index and a tag
// in one 64-bit word; the tag changes with each operation, so that a head that left and came back
// is not taken for one that stayed (ABA).

#include <stdlib.h>

#include "harness.h"

enum { ITEMS_MAX = 16384 };

struct item {
    uint32_t next; // index + 1 of the item below; 0: none
    uint8_t *bytes;
};

struct treiber {
    _Alignas(64) uint64_t head; // tag << 32 | index + 1
    _Alignas(64) uint32_t made;
    size_t size;
    struct item items[ITEMS_MAX];
};

static void *
create(size_t size)
{
    struct treiber *stack = bench_alloc(sizeof(*stack));

    stack->size = size;
    return stack;
}

static void
destroy(void *pool)
{
    struct treiber *stack = pool;

    for (uint32_t i = 0; i < stack->made && i < ITEMS_MAX; i++)
        free(stack->items[i].bytes);
    free(stack);
}

static struct item *
make(struct treiber *stack)
{
    uint32_t i = __atomic_fetch_add(&stack->made, 1, __ATOMIC_RELAXED);

    if (i >= ITEMS_MAX)
        return NULL;
    stack->items[i].bytes = aligned_alloc(4096, stack->size);
    return stack->items[i].bytes != NULL ? &stack->items[i] : NULL;
}

static inline void *
get(void *pool)
{
    struct treiber *stack = pool;
    uint64_t head = __atomic_load_n(&stack->head, __ATOMIC_ACQUIRE);

    while ((uint32_t)head != 0) {
        struct item *item = &stack->items[(uint32_t)head - 1];
        // May be another's by now; then the exchange fails.
        uint64_t below = ((head >> 32) + 1) << 32 | __atomic_load_n(&item->next, __ATOMIC_RELAXED);

        if (__atomic_compare_exchange_n(&stack->head, &head, below, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_ACQUIRE))
            return item;
    }
    return make(stack);
}

static inline void
put(void *pool, void *item)
{
    struct treiber *stack = pool;
    struct item *it = item;
    uint64_t head = __atomic_load_n(&stack->head, __ATOMIC_RELAXED), above;

    do {
        __atomic_store_n(&it->next, (uint32_t)head, __ATOMIC_RELAXED);
        above = ((head >> 32) + 1) << 32 | (uint32_t)(it - stack->items + 1);
    } while (!__atomic_compare_exchange_n(&stack->head, &head, above, true, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
}

static inline uint8_t *
memory(void *item)
{
    return ((struct item *)item)->bytes;
}

#include "pool/loops.h"

const struct pool_peer pool_treiber = {.name = "Treiber stack", POOL_PEER_LOOPS};
