// SPDX-License-Identifier: MIT
//
// frame_io.h where there is no Linux: nothing can be created, so nothing else can be called.
#include <zcbuf/adapt/frame_io.h>

extern inline void zcb_frame_arrivals_release(struct zcb_frame_arrival *arrivals, int n);

int
zcb_frame_rx_create(int fd, struct zcb_pool *pool, const struct zcb_frame_rx_config *config,
                    struct zcb_frame_rx **out)
{
    (void)fd, (void)pool, (void)config, (void)out;
    return -ENOTSUP;
}

int
zcb_frame_rx_recv(struct zcb_frame_rx *rx, struct zcb_frame_arrival *out, size_t n, int timeout_ms)
{
    (void)rx, (void)out, (void)n, (void)timeout_ms;
    return -ENOTSUP;
}

int
zcb_frame_rx_stats(const struct zcb_frame_rx *rx, struct zcb_frame_io_stats *out, size_t out_size)
{
    (void)rx, (void)out, (void)out_size;
    return -ENOTSUP;
}

void
zcb_frame_rx_destroy(struct zcb_frame_rx **rx)
{
    (void)rx;
}

int
zcb_frame_ring_create(const char *ifname, struct zcb_pool *pool,
                      const struct zcb_frame_ring_config *config, struct zcb_frame_ring **out)
{
    (void)ifname, (void)pool, (void)config, (void)out;
    return -ENOTSUP;
}

int
zcb_frame_ring_fd(const struct zcb_frame_ring *ring)
{
    (void)ring;
    return -ENOTSUP;
}

int
zcb_frame_ring_recv(struct zcb_frame_ring *ring, struct zcb_frame_arrival *out, size_t n,
                    int timeout_ms)
{
    (void)ring, (void)out, (void)n, (void)timeout_ms;
    return -ENOTSUP;
}

int
zcb_frame_ring_stats(struct zcb_frame_ring *ring, struct zcb_frame_io_stats *out, size_t out_size)
{
    (void)ring, (void)out, (void)out_size;
    return -ENOTSUP;
}

void
zcb_frame_ring_destroy(struct zcb_frame_ring **ring)
{
    (void)ring;
}

int
zcb_frame_tx_create(int fd, const struct zcb_frame_tx_config *config, struct zcb_frame_tx **out)
{
    (void)fd, (void)config, (void)out;
    return -ENOTSUP;
}

int
zcb_frame_tx_push(struct zcb_frame_tx *tx, struct zcb_packet *packet,
                  const union zcb_frame_endpoint *to, uint32_t to_len)
{
    (void)tx, (void)packet, (void)to, (void)to_len;
    return -ENOTSUP;
}

int
zcb_frame_tx_push_chain(struct zcb_frame_tx *tx, struct zcb_chain *chain, size_t len,
                        const union zcb_frame_endpoint *to, uint32_t to_len)
{
    (void)tx, (void)chain, (void)len, (void)to, (void)to_len;
    return -ENOTSUP;
}

int
zcb_frame_tx_flush(struct zcb_frame_tx *tx, int timeout_ms)
{
    (void)tx, (void)timeout_ms;
    return -ENOTSUP;
}

size_t
zcb_frame_tx_queued(const struct zcb_frame_tx *tx)
{
    (void)tx;
    return 0;
}

int
zcb_frame_tx_skip(struct zcb_frame_tx *tx)
{
    (void)tx;
    return -ENOTSUP;
}

int
zcb_frame_tx_stats(const struct zcb_frame_tx *tx, struct zcb_frame_io_stats *out, size_t out_size)
{
    (void)tx, (void)out, (void)out_size;
    return -ENOTSUP;
}

void
zcb_frame_tx_destroy(struct zcb_frame_tx **tx)
{
    (void)tx;
}
