// SPDX-License-Identifier: MIT

#include <stdlib.h>

#include <zcbuf/zcbuf.h>

#include "chain/peer.h"

struct queue {
    struct zcb_chain chain;
    struct zcb_packet memory;
};

static void *
create(void)
{
    struct queue *queue = bench_alloc(sizeof(*queue));

    if (zcb_chain_init(&queue->chain, NULL, NULL) == 0 &&
        zcb_packet_wrap(chain_memory, CHUNK_SLOTS * CHUNK_STRIDE, NULL, NULL, &queue->memory) == 0)
        return queue;
    free(queue);
    return NULL;
}

static void
destroy(void *it)
{
    struct queue *queue = it;

    zcb_chain_finish(&queue->chain);
    zcb_packet_unref(&queue->memory);
    free(queue);
}

static inline int
push(void *it, const uint8_t *chunk)
{
    struct queue *queue = it;
    struct zcb_packet packet;
    int result =
        zcb_packet_slice(&queue->memory, (size_t)(chunk - chain_memory), CHUNK_LEN, &packet);

    return result < 0 ? result : zcb_chain_push(&queue->chain, &packet);
}

static inline int
discard(void *it, size_t len)
{
    return zcb_chain_discard(&((struct queue *)it)->chain, len);
}

static inline int
peek(void *it, size_t off, uint64_t *out)
{
    return zcb_chain_peek_u64le(&((struct queue *)it)->chain, off, out);
}

static inline int
find(void *it, size_t off, uint8_t byte, size_t *at)
{
    return zcb_chain_find_byte(&((struct queue *)it)->chain, off, byte, at);
}

static inline int
copy(void *it, size_t off, uint8_t *dst, size_t len)
{
    return zcb_chain_copy_to(&((struct queue *)it)->chain, off, dst, len);
}

#include "chain/loops.h"

const struct chain_peer chain_zcbuf = {.name = bench_own, .chunks_max = 1000000, CHAIN_PEER_LOOPS};
