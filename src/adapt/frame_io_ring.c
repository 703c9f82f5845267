// SPDX-License-Identifier: MIT
//
// Capture from an AF_PACKET ring, TPACKET_V3: the kernel writes frames into blocks of shared memory
// and hands over a block at a time, in order, by setting TP_STATUS_USER in its header.
//
//     block's status    KERNEL ---- filled, or too old ----> USER
//                          ^                                   | opened: wrapped as a packet in its
//                          |                                   | own storage, frames are slices
//                          +------- last unref ----------------+
//
// The last unref may be on another thread. It stores KERNEL first and `out` = false after it, both
// with release; the engine loads them in the opposite order with acquire. So it never takes the
// stale USER of a block that is still held for a new one, and never uses a storage again that the
// release might still read.
//
// The ring counts itself: one reference for the user, one for each block that is out. Whoever drops
// the last unmaps and frees.
#include "frame_io.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <zcbuf/buf.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

// Copied frames that may be lent at a time.
#define LENT_COPIES 64u

// Whether an interface that is down is gone is looked at so often, in milliseconds: nothing tells.
#define GONE_CHECK 500

#define MAX_BLOCK ((uint32_t)16 << 20)
#define MAX_RING ((uint64_t)1 << 30)

struct ring_block {
    struct zcb_buf_storage storage;
    struct zcb_frame_ring *ring;
    struct tpacket_block_desc *desc;
    bool out; // packets of it may be anywhere
};

struct zcb_frame_ring {
    uint32_t refs; // atomic
    uint8_t *map;
    size_t map_len;

    // The user's thread alone.
    int fd, epoll, ifindex;
    struct zcb_pool *pool;
    uint32_t flags, block_size, block_count, hold_blocks;
    uint32_t next;                      // block to be looked at next
    struct zcb_packet block;            // the one that is open, unless its frames are copied
    struct tpacket_block_desc *copying; // the one that is open, if they are
    const uint8_t *frame;               // the next in it
    uint32_t frames_left;
    bool down; // the interface was, when last heard of
    uint32_t lent_count;
    struct zcb_packet lent[LENT_COPIES];
    struct zcb_frame_io_stats stats;
    struct ring_block blocks[];
};

// ---- blocks and their way back

static void
ring_unref(struct zcb_frame_ring *ring)
{
    if (__atomic_fetch_sub(&ring->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    munmap(ring->map, ring->map_len);
    free(ring);
}

static void
give_back(struct tpacket_block_desc *desc)
{
    __atomic_store_n(&desc->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

// A zcb_release_fn: the last packet of the block is gone.
static void
block_release(void *ctx, void *data, size_t len)
{
    struct ring_block *block = ctx;
    struct zcb_frame_ring *ring = block->ring;

    (void)data, (void)len;
    give_back(block->desc);
    __atomic_store_n(&block->out, false, __ATOMIC_RELEASE);
    ring_unref(ring);
}

static bool
block_is_ready(const struct zcb_frame_ring *ring)
{
    const struct ring_block *block = &ring->blocks[ring->next];

    return !__atomic_load_n(&block->out, __ATOMIC_ACQUIRE) &&
           (__atomic_load_n(&block->desc->hdr.bh1.block_status, __ATOMIC_ACQUIRE) &
            TP_STATUS_USER) != 0;
}

// The next block, which is ready, becomes the open one. 1; 0: it was empty; -ENOBUFS.
static int
open_block(struct zcb_frame_ring *ring)
{
    struct ring_block *block = &ring->blocks[ring->next];
    struct tpacket_block_desc *desc = block->desc;
    uint32_t held = __atomic_load_n(&ring->refs, __ATOMIC_RELAXED) - 1;
    bool copy = (ring->flags & ZCB_FRAME_RING_COPY) != 0 || held >= ring->hold_blocks;

    if (copy && ring->pool == NULL) {
        ring->stats.out_of_buffers++;
        return -ENOBUFS;
    }
    ring->next = ring->next + 1 < ring->block_count ? ring->next + 1 : 0;
    if (desc->hdr.bh1.num_pkts == 0) {
        give_back(desc);
        return 0;
    }
    ring->frames_left = desc->hdr.bh1.num_pkts;
    ring->frame = (const uint8_t *)desc + desc->hdr.bh1.offset_to_first_pkt;
    if (copy) {
        ring->copying = desc;
        return 1;
    }
    __atomic_fetch_add(&ring->refs, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&block->out, true, __ATOMIC_RELAXED);
    ring->block = zcb_packet_wrap_in(&block->storage, desc, ring->block_size, block_release, block);
    return 1;
}

static int
socket_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return -errno;
    return -error;
}

// The kernel takes the interface off a socket when it is removed.
static bool
is_gone(int fd)
{
    struct sockaddr_ll name;
    socklen_t len = sizeof(name);

    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 && name.sll_ifindex < 0;
}

// Waits for a block and opens it. 1; 0: none in time; or an error.
static int
next_block(struct zcb_frame_ring *ring, int timeout_ms)
{
    int64_t deadline = 0;
    struct epoll_event event;
    int left, result;

    for (;;) {
        while (block_is_ready(ring)) {
            ring->down = false;
            result = open_block(ring);
            if (result != 0)
                return result;
        }
        if (ring->down && is_gone(ring->fd))
            return -ENODEV;
        if (timeout_ms == 0)
            return 0;
        if (deadline == 0)
            deadline = frame_io_deadline(timeout_ms);
        // Edge-triggered: the socket counts as readable as long as the block filled last is held,
        // which can be for long. A block that came before this call is in the queue of events.
        left = frame_io_left(deadline);
        if (ring->down && (left < 0 || left > GONE_CHECK))
            left = GONE_CHECK;
        result = epoll_wait(ring->epoll, &event, 1, left);
        ring->stats.syscalls++;
        if (result == 0 && ring->down && frame_io_left(deadline) != 0)
            continue;
        if (result <= 0)
            return result == 0 || errno == EINTR ? 0 : -errno;
        if ((event.events & EPOLLERR) != 0) {
            result = socket_error(ring->fd);
            ring->down = ring->down || result == -ENETDOWN;
            if (result < 0)
                return result;
        }
    }
}

// ---- frames out

// All about the frame at `at` but its packet's owner. Returns the next frame.
static inline const uint8_t *
read_frame(const uint8_t *at, struct zcb_frame_arrival *out)
{
    const struct tpacket3_hdr *head = (const struct tpacket3_hdr *)(const void *)at;
    const struct sockaddr_ll *link =
        (const struct sockaddr_ll *)(const void *)(at + TPACKET_ALIGN(sizeof(*head)));
    uint32_t flags = frame_io_status_flags(head->tp_status);
    // Frames often come in runs of one length, so this is where the fourth from here lies. Where it
    // is wrong nothing happens. A frame is two or three cache lines, its headers in front of what
    // they describe, and each says where the next one is: without a guess their misses would wait
    // for each other. Small ones lie side by side, which the processor sees by itself.
    const uint8_t *guess = at + 4 * (size_t)head->tp_next_offset;

    if (head->tp_next_offset > 256) {
        __builtin_prefetch(guess);
        __builtin_prefetch(guess + 64);
        __builtin_prefetch(guess + 128);
    }
    frame_io_clear(out);
    out->packet.data = at + head->tp_mac;
    out->packet.len = head->tp_snaplen;
    out->time_ns = (uint64_t)head->tp_sec * 1000000000u + head->tp_nsec;
    out->wire_len = head->tp_len;
    out->ifindex = (uint32_t)link->sll_ifindex;
    flags |= link->sll_pkttype == PACKET_OUTGOING ? ZCB_FRAME_IO_OUTGOING : 0;
    flags |= head->tp_len > head->tp_snaplen ? ZCB_FRAME_IO_TRUNCATED : 0;
    if ((flags & ZCB_FRAME_IO_VLAN) != 0) {
        out->vlan_tci = (uint16_t)head->hv1.tp_vlan_tci;
        out->vlan_tpid = frame_io_vlan_tpid(head->tp_status, head->hv1.tp_vlan_tpid);
    }
    out->flags = flags;
    return at + head->tp_next_offset;
}

// The last frame takes over the reference that the open block is; lent ones have none, and leave it
// to the next recv.
static size_t
slice_block(struct zcb_frame_ring *ring, struct zcb_frame_arrival *out, size_t n)
{
    size_t k = n < ring->frames_left ? n : ring->frames_left;
    bool lent = (ring->flags & ZCB_FRAME_RING_LENT) != 0, last = k == ring->frames_left;
    struct zcb_block *owner = ring->block.owner;
    const uint8_t *frame = ring->frame;
    uint64_t bytes = 0, truncated = 0;

    if (!lent && k - last != 0)
        zcb_packet_ref_n(&ring->block, (uint32_t)(k - last));
    for (size_t i = 0; i < k; i++) {
        frame = read_frame(frame, &out[i]);
        out[i].packet.owner = owner;
        bytes += out[i].packet.len;
        truncated += (out[i].flags & ZCB_FRAME_IO_TRUNCATED) != 0;
    }
    ring->frame = frame;
    ring->frames_left -= (uint32_t)k;
    ring->stats.packets += k;
    ring->stats.bytes += bytes;
    ring->stats.truncated += truncated;
    if (last && !lent)
        ring->block = zcb_packet_static(NULL, 0);
    return k;
}

static int
copy_block(struct zcb_frame_ring *ring, struct zcb_frame_arrival *out, size_t n)
{
    bool lent = (ring->flags & ZCB_FRAME_RING_LENT) != 0;
    size_t got = 0;
    int result;

    n = lent && n > LENT_COPIES ? LENT_COPIES : n;
    while (got < n && ring->frames_left != 0) {
        struct zcb_frame_arrival *a = &out[got];
        const uint8_t *next = read_frame(ring->frame, a);
        struct zcb_packet frame = a->packet;

        result = frame_io_copy(ring->pool, &frame, &a->packet);
        if (result < 0) {
            ring->stats.out_of_buffers++;
            return got != 0 ? (int)got : result;
        }
        if (lent)
            ring->lent[ring->lent_count++] = a->packet;
        ring->frame = next;
        ring->frames_left--;
        ring->stats.packets++;
        ring->stats.bytes += a->packet.len;
        ring->stats.truncated += (a->flags & ZCB_FRAME_IO_TRUNCATED) != 0;
        ring->stats.copied_packets++;
        ring->stats.copied_bytes += a->packet.len;
        a->flags |= ZCB_FRAME_IO_COPIED;
        got++;
    }
    if (ring->frames_left == 0) {
        give_back(ring->copying);
        ring->copying = NULL;
    }
    return (int)got;
}

int
zcb_frame_ring_recv(struct zcb_frame_ring *ring, struct zcb_frame_arrival *out, size_t n,
                    int timeout_ms)
{
    int result;

    if (ring == NULL || out == NULL || n == 0)
        return -EINVAL;
    frame_io_release_all(ring->lent, &ring->lent_count);
    if (ring->frames_left == 0) {
        zcb_packet_unref(&ring->block); // it was lent
        result = next_block(ring, timeout_ms);
        if (result <= 0)
            return result;
    }
    result = ring->copying != NULL ? copy_block(ring, out, n) : (int)slice_block(ring, out, n);
    ring->stats.batches += result > 0;
    return result;
}

int
zcb_frame_ring_fd(const struct zcb_frame_ring *ring)
{
    return ring != NULL ? ring->fd : -EINVAL;
}

int
zcb_frame_ring_stats(struct zcb_frame_ring *ring, struct zcb_frame_io_stats *out, size_t out_size)
{
    struct tpacket_stats_v3 since; // the kernel's counters start over when they are read
    socklen_t len = sizeof(since);

    if (ring == NULL)
        return -EINVAL;
    ring->stats.syscalls++;
    if (getsockopt(ring->fd, SOL_PACKET, PACKET_STATISTICS, &since, &len) == 0) {
        ring->stats.dropped += since.tp_drops;
        ring->stats.freezes += since.tp_freeze_q_cnt;
    }
    ring->stats.held = __atomic_load_n(&ring->refs, __ATOMIC_RELAXED) - 1;
    return frame_io_stats_out(&ring->stats, out, out_size);
}

// ---- life

// With defaults filled in.
static int
check_config(struct zcb_frame_ring_config *config, const char *ifname, const struct zcb_pool *pool)
{
    const uint32_t known = ZCB_FRAME_RING_PROMISCUOUS | ZCB_FRAME_RING_INCOMING |
                           ZCB_FRAME_RING_LENT | ZCB_FRAME_RING_COPY;
    long page = sysconf(_SC_PAGESIZE);

    if (config->block_size == 0)
        config->block_size = 262144;
    if (config->blocks == 0)
        config->blocks = 64;
    if (config->hold_blocks == 0)
        config->hold_blocks = config->blocks / 2;
    if (config->block_timeout_ms == 0)
        config->block_timeout_ms = 10;
    if (config->block_size > MAX_BLOCK || config->block_size % (size_t)page != 0 ||
        config->blocks < 2 || config->blocks > 65536 ||
        (uint64_t)config->blocks * config->block_size > MAX_RING ||
        config->hold_blocks >= config->blocks || config->block_timeout_ms > 10000 ||
        (config->flags & ~known) != 0)
        return -EINVAL;
    if ((config->flags & ZCB_FRAME_RING_COPY) != 0 && pool == NULL)
        return -EINVAL;
    if ((config->flags & ZCB_FRAME_RING_PROMISCUOUS) != 0 && ifname == NULL)
        return -EINVAL;
    if (config->fanout_group == 0 && config->fanout_mode != 0)
        return -EINVAL;
    for (size_t i = 0; i < 3; i++)
        if (config->reserved16[i] != 0)
            return -EINVAL;
    for (size_t i = 0; i < 4; i++)
        if (config->reserved[i] != NULL)
            return -EINVAL;
    return 0;
}

static int
find_interface(int fd, const char *ifname, int *index)
{
    struct ifreq request = {.ifr_ifindex = 0};

    *index = 0;
    if (ifname == NULL)
        return 0;
    if (strlen(ifname) >= sizeof(request.ifr_name))
        return -ENODEV;
    memcpy(request.ifr_name, ifname, strlen(ifname) + 1);
    if (ioctl(fd, SIOCGIFINDEX, &request) < 0)
        return -errno;
    *index = request.ifr_ifindex;
    return 0;
}

static int
set(int fd, int level, int option, const void *value, size_t len)
{
    if (setsockopt(fd, level, option, value, (socklen_t)len) == 0)
        return 0;
    return errno == ENOPROTOOPT ? -ENOTSUP : -errno;
}

static int
set_promiscuous(int fd, int ifindex, bool on)
{
    struct packet_mreq membership = {.mr_ifindex = ifindex, .mr_type = PACKET_MR_PROMISC};

    return set(fd, SOL_PACKET, on ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP, &membership,
               sizeof(membership));
}

// What has to be there before the first frame: the socket was opened for no protocol at all.
static int
prepare_socket(int fd, int ifindex, const struct zcb_frame_ring_config *config)
{
    struct tpacket_req3 ring = {
        .tp_block_size = config->block_size,
        .tp_block_nr = config->blocks,
        .tp_frame_size = config->block_size, // frames lie in a block as they come
        .tp_frame_nr = config->blocks,
        .tp_retire_blk_tov = config->block_timeout_ms,
    };
    int version = TPACKET_V3, on = 1;
    int result = set(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version));

    if (result == -EINVAL)
        return -ENOTSUP;
    if (result == 0 && (config->flags & ZCB_FRAME_RING_INCOMING) != 0)
        result = set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
    if (result == 0 && config->filter != NULL)
        result = set(fd, SOL_SOCKET, SO_ATTACH_FILTER, config->filter, sizeof(*config->filter));
    if (result == 0)
        result = set(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring));
    if (result == 0 && (config->flags & ZCB_FRAME_RING_PROMISCUOUS) != 0)
        result = set_promiscuous(fd, ifindex, true);
    return result;
}

// From here on frames come.
static int
start(const struct zcb_frame_ring *ring, const struct zcb_frame_ring_config *config)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(config->protocol != 0 ? config->protocol : ETH_P_ALL),
        .sll_ifindex = ring->ifindex,
    };
    uint32_t fanout = config->fanout_group | (uint32_t)config->fanout_mode << 16;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};

    if (epoll_ctl(ring->epoll, EPOLL_CTL_ADD, ring->fd, &event) < 0 ||
        bind(ring->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    if (config->fanout_group != 0)
        return set(ring->fd, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof(fanout));
    return 0;
}

static void
close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

int
zcb_frame_ring_create(const char *ifname, struct zcb_pool *pool,
                      const struct zcb_frame_ring_config *config, struct zcb_frame_ring **out)
{
    struct zcb_frame_ring_config c = {0};
    struct zcb_frame_ring *ring;
    int result;

    if (config != NULL)
        c = *config;
    if (out == NULL || check_config(&c, ifname, pool) < 0)
        return -EINVAL;
    ring = calloc(1, sizeof(*ring) + c.blocks * sizeof(ring->blocks[0]));
    if (ring == NULL)
        return -ENOMEM;
    ring->epoll = -1;
    ring->map = MAP_FAILED;
    ring->map_len = (size_t)c.block_size * c.blocks;
    ring->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (ring->fd < 0) {
        result = errno == EAFNOSUPPORT ? -ENOTSUP : -errno;
        goto failed;
    }
    result = find_interface(ring->fd, ifname, &ring->ifindex);
    if (result == 0)
        result = prepare_socket(ring->fd, ring->ifindex, &c);
    if (result < 0)
        goto failed;
    ring->map = mmap(NULL, ring->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
    if (ring->map == MAP_FAILED || (ring->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        result = -errno;
        goto failed;
    }
    ring->refs = 1;
    ring->pool = pool;
    ring->flags = c.flags;
    ring->block_size = c.block_size;
    ring->block_count = c.blocks;
    ring->hold_blocks = c.hold_blocks;
    for (uint32_t i = 0; i < c.blocks; i++) {
        ring->blocks[i].ring = ring;
        ring->blocks[i].desc = (void *)(ring->map + (size_t)i * c.block_size);
    }
    result = start(ring, &c);
    if (result < 0)
        goto failed;
    *out = ring;
    return 0;
failed:
    if (ring->map != MAP_FAILED)
        munmap(ring->map, ring->map_len);
    close_fd(ring->epoll);
    close_fd(ring->fd);
    free(ring);
    return result;
}

void
zcb_frame_ring_destroy(struct zcb_frame_ring **ring)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog filter = {.len = 1, .filter = &nothing};
    struct zcb_frame_ring *r;

    if (ring == NULL || *ring == NULL)
        return;
    r = *ring;
    *ring = NULL;
    frame_io_release_all(r->lent, &r->lent_count);
    zcb_packet_unref(&r->block);
    // A mapping keeps its socket alive: where packets are out it goes deaf instead.
    if (__atomic_load_n(&r->refs, __ATOMIC_RELAXED) != 1) {
        (void)set(r->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
        if ((r->flags & ZCB_FRAME_RING_PROMISCUOUS) != 0)
            (void)set_promiscuous(r->fd, r->ifindex, false);
    }
    close(r->epoll);
    close(r->fd);
    ring_unref(r);
}
