// SPDX-License-Identifier: MIT
//
// struct zcb_packet, from a pool's 4 KiB tier.

#include <zcbuf/zcbuf.h>

#include "packet/peer.h"

struct handle {
    struct zcb_packet packet;
};

static void *
create(void)
{
    struct zcb_pool *pool;

    return zcb_pool_create(NULL, &pool) == 0 ? pool : NULL;
}

static void
destroy(void *pool)
{
    struct zcb_pool *it = pool;

    zcb_pool_destroy(&it);
    zcb_thread_flush();
}

static inline bool
make(void *pool, struct handle *out)
{
    struct zcb_buf *buf;

    if (zcb_pool_acquire(pool, PACKET_LEN, &buf) < 0)
        return false;
    if (zcb_buf_append(buf, PACKET_LEN, NULL) < 0) {
        zcb_buf_release(&buf);
        return false;
    }
    zcb_buf_share(&buf, &out->packet);
    return true;
}

static inline void
ref(struct handle *from, struct handle *out)
{
    out->packet = zcb_packet_ref(&from->packet);
}

static inline void
slice(struct handle *from, size_t off, size_t len, struct handle *out)
{
    if (zcb_packet_slice(&from->packet, off, len, &out->packet) < 0)
        out->packet = zcb_packet_static(NULL, 0);
}

static inline void
drop(struct handle *handle)
{
    zcb_packet_unref(&handle->packet);
}

static inline uint8_t *
bytes(struct handle *handle)
{
    return (uint8_t *)(uintptr_t)handle->packet.data;
}

static inline const uint8_t *
view(struct handle *handle)
{
    return handle->packet.data;
}

#include "packet/loops.h"

static int
run_many_n(void *ctx, struct bench_run *run)
{
    struct handle handles[PACKET_FAN + 1];

    for (uint64_t i = 0; i < run->n; i++) {
        if (!make(ctx, &handles[0]))
            return -1;
        zcb_packet_ref_n(&handles[0].packet, PACKET_FAN);
        for (int k = 1; k <= PACKET_FAN; k++)
            handles[k] = handles[0];
        bench_keep(handles);
        for (int k = 0; k <= PACKET_FAN; k++)
            drop(&handles[k]);
    }
    return 0;
}

const struct packet_peer packet_zcbuf = {
    .name = bench_own, .many_n = run_many_n, PACKET_PEER_LOOPS};
