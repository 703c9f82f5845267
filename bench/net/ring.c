// SPDX-License-Identifier: MIT
//
// A walk over the blocks of a TPACKET_V3 ring on `lo`, and nothing else.

#include "net/engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

// As large as the library's ring is if nothing else is asked for.
enum { BLOCK = 262144, BLOCKS = 64, BLOCK_TIMEOUT_MS = 10 };

struct ring {
    int fd;
    uint8_t *map;
    unsigned next;
};

static int
ring_prepare(struct ring *ring, const struct sock_fprog *filter)
{
    struct tpacket_req3 request = {.tp_block_size = BLOCK,
                                   .tp_block_nr = BLOCKS,
                                   .tp_frame_size = BLOCK,
                                   .tp_frame_nr = BLOCKS,
                                   .tp_retire_blk_tov = BLOCK_TIMEOUT_MS};
    struct sockaddr_ll lo = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_ALL),
                             .sll_ifindex = (int)if_nametoindex("lo")};
    int version = TPACKET_V3, on = 1;

    ring->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (ring->fd < 0 ||
        setsockopt(ring->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
        setsockopt(ring->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
        setsockopt(ring->fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof(*filter)) < 0 ||
        setsockopt(ring->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) < 0)
        return -errno;
    ring->map = mmap(NULL, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
    if (ring->map == MAP_FAILED || bind(ring->fd, (struct sockaddr *)&lo, sizeof(lo)) < 0)
        return -errno;
    return 0;
}

static void
ring_close(void *state)
{
    struct ring *ring = state;

    if (ring->map != MAP_FAILED)
        munmap(ring->map, (size_t)BLOCK * BLOCKS);
    if (ring->fd >= 0)
        close(ring->fd);
    free(ring);
}

static int
ring_open(const struct engine *self, const struct engine_setup *setup, void **state)
{
    struct ring *ring = calloc(1, sizeof(*ring));
    int result;

    (void)self;
    if (ring == NULL)
        return -ENOMEM;
    ring->fd = -1;
    ring->map = MAP_FAILED;
    result = ring_prepare(ring, setup->filter);
    if (result < 0)
        ring_close(ring);
    else
        *state = ring;
    return result;
}

static int
ring_take(void *state, struct sink *sink, bool wait)
{
    struct ring *ring = state;
    struct tpacket_block_desc *block = (void *)(ring->map + (size_t)ring->next * BLOCK);
    struct pollfd poller = {.fd = ring->fd, .events = POLLIN};
    const uint8_t *frame;
    uint32_t count;

    while ((__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) ==
           0) {
        if (!wait)
            return 0;
        if (poll(&poller, 1, 1000) < 0 && errno != EINTR)
            return -errno;
    }
    frame = (const uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;
    count = block->hdr.bh1.num_pkts;
    for (uint32_t i = 0; i < count; i++) {
        const struct tpacket3_hdr *head = (const struct tpacket3_hdr *)(const void *)frame;

        engine_take_frame(sink, frame + head->tp_mac, head->tp_snaplen);
        frame += head->tp_next_offset;
    }
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    ring->next = (ring->next + 1) % BLOCKS;
    return (int)count;
}

const struct engine engine_ring = {.name = "TPACKET_V3 (bare)",
                                   .open = ring_open,
                                   .take = ring_take,
                                   .close = ring_close,
                                   .ring = true};
