// SPDX-License-Identifier: MIT
//
// zcbuf/bridge/uring.h: io_uring receives into buffers of a pool, and sends packets without a copy.
//
// Header only, for liburing 2.3 or later: a program that includes it links liburing itself. Linux
// 6.0 for everything in here.
//
//     rx   one multishot receive, fed by a provided buffer ring:
//
//          buffer ring   [id 0][id 1][id 2] ...         each a buffer of the pool
//                           |                           the kernel fills it: a completion
//                           v
//          arrival       a packet, the caller's         the id gets another buffer at once
//
//     tx   send_zc: the packet is held until the kernel says that the network card has read it
//
// A buffer id never waits for its packet. When a completion hands a buffer over as a packet, the id
// is provided again with a fresh buffer of the pool, and the old one goes back to the pool at its
// last unref, on whatever thread that is: the pool's own release is all that crosses threads, and
// consumers may hold more packets than the ring has ids. Only a pool with nothing left leaves ids
// empty; they are filled at the next call. When the kernel has run out of ids, or ends the multishot
// receive for another reason, it is armed again.
//
// The ring is the caller's. Where it serves one struct zcb_uring_rx alone:
//
//     while ((n = zcb_uring_rx_recv(&rx, in, 64, 32, 1)) >= 0)    // 32 of them, or 1 ms
//         ...
//
// Where it serves others too, they share the completion queue:
//
//     zcb_uring_rx_prepare(&rx);                                  // fresh buffers, armed
//     io_uring_submit_and_wait(ring, 1);
//     io_uring_for_each_cqe(ring, head, cqe) {
//         if ((r = zcb_uring_rx_complete(&rx, cqe, &in)) == -ENOENT &&
//             (r = zcb_uring_tx_complete(&tx, cqe)) == -ENOENT)
//             yours(cqe);
//         ...
//     }
//     io_uring_cq_advance(ring, seen);
//
// Structs here are transparent so that they can be embedded; read them, do not write them, and do
// not move them. Threads: as io_uring, one thread at a time per ring. Packets are free of that.
#ifndef ZCBUF_BRIDGE_URING_H
#define ZCBUF_BRIDGE_URING_H

#include <liburing.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <zcbuf/adapt/frame_io.h>
#include <zcbuf/buf.h>
#include <zcbuf/packet.h>
#include <zcbuf/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- receive

enum {
    // Datagrams with their sender, time stamp, GRO segment length (where the socket has the options
    // SO_TIMESTAMPNS, UDP_GRO) and truncation, by recvmsg; they cost 144 bytes of each buffer, in
    // front of the packet. Without it: plain recv, for streams and connected sockets (where a
    // datagram of 0 bytes reads as the end). On Unix sockets no time: control messages are refused
    // there, since a peer could pass descriptors with them.
    ZCB_URING_MESSAGES = 1u << 0,
};

struct zcb_uring_rx_config {
    size_t max_len;    // the most bytes of one packet, up to 1 GiB. 0: 2048
    uint16_t group;    // the buffer group's number: another one for each rx of a ring
    uint16_t buffers;  // ids in the buffer ring: a power of two, at most 32768. 0: 256
    uint32_t flags;    // ZCB_URING_...
    void *reserved[4]; // NULL
};

struct zcb_uring_rx {
    struct io_uring *ring;
    struct zcb_pool *pool;
    int fd;
    bool armed; // the multishot receive is under way, or queued
    bool ended; // a stream's peer has closed
    uint32_t flags;
    size_t room; // asked of the pool for each buffer
    struct io_uring_buf_ring *ids;
    struct zcb_buf **bufs; // by id; NULL: empty
    uint16_t *empty;       // ids without a buffer
    uint32_t empty_count;
    uint32_t buffers;
    uint16_t group;
    struct msghdr message;
    struct zcb_frame_io_stats stats; // syscalls: those of zcb_uring_rx_recv()
};

// Registers a buffer ring with `ring` for receiving from `fd`. Both and the pool stay the caller's
// and must outlive the rx. A few allocations; buffers come with the first prepare or recv.
// 0; -EINVAL (NULL, a value out of range, a reserved field; also: a kernel before 5.19); -EEXIST:
// the group is in use in this ring; -ENOMEM.
static inline int zcb_uring_rx_init(struct zcb_uring_rx *rx, struct io_uring *ring, int fd,
                                    struct zcb_pool *pool,
                                    const struct zcb_uring_rx_config *config);

// Gives empty ids a buffer each, and arms the receive if it is not: the request is queued in the
// ring, the caller submits. Call it before each submit. Never waits for the pool.
// 0; -ENOBUFS, -ENOMEM: no id has a buffer and the pool has none: do not wait on the ring, give back
// packets; -EAGAIN: the submission queue is full: submit, then call again.
static inline int zcb_uring_rx_prepare(struct zcb_uring_rx *rx);

// What a completion means, for each once. The caller marks it as seen afterwards.
// Returns 1: *out is written, its packet the caller's; 0: nothing for the caller (prepare takes care
// of the rest); -ENOENT: it is not this rx's; -ENODATA: the stream's peer has closed; else what the
// socket says.
static inline int zcb_uring_rx_complete(struct zcb_uring_rx *rx, const struct io_uring_cqe *cqe,
                                        struct zcb_frame_arrival *out);

// Up to n arrivals, for a ring that serves this rx alone: what is there; while that is fewer than
// `wait_for` (1 to n), prepare, submit and wait until they are wait_for, or timeout_ms is over (-1:
// no limit; 0: do not wait). With wait_for 32 and a timeout of 1 a live stream of small packets
// costs a thirtieth of the wake-ups. No system call where wait_for are there. Fewer come where the
// pool runs out.
// Returns how many; 0: none (timeout, a signal); -EINVAL; -ENOBUFS, -ENOMEM: see prepare; -ENODATA;
// what the ring or the socket says. Allocates nothing, where the pool does not.
static inline int zcb_uring_rx_recv(struct zcb_uring_rx *rx, struct zcb_frame_arrival *out,
                                    unsigned n, unsigned wait_for, int timeout_ms);

// Cancels the receive and waits for that, gives the buffers back. Completions of it that were not
// seen stay in the ring: drop those whose user data is the rx. NULL, and twice, is fine.
static inline void zcb_uring_rx_finish(struct zcb_uring_rx *rx);

// ---- send without a copy

struct zcb_uring_tx_slot {
    struct zcb_packet packet;
    uint32_t next; // free slots
    bool busy;
};

struct zcb_uring_tx {
    struct io_uring *ring;
    int fd;
    uint32_t slots, free, in_flight; // in_flight: packets that the kernel may still read
    struct zcb_uring_tx_slot *slot;
    struct zcb_frame_io_stats stats;
};

// For sending on the connected socket `fd`. `slots`: packets in flight at a time, 1 to 65536; 0:
// 256. One allocation. 0, -EINVAL, -ENOMEM.
static inline int zcb_uring_tx_init(struct zcb_uring_tx *tx, struct io_uring *ring, int fd,
                                    uint32_t slots);

// Queues the packet and takes it: on success *packet is empty, and its reference is held until the
// kernel has notified that it is done with the memory. The caller submits. A stream socket's packets
// are sent whole; wait for one's result before you queue the next, since requests may overtake each
// other.
// 0; -EINVAL (NULL; above 1 GiB); -ENOBUFS: all slots are in flight (complete some); -EAGAIN: the
// submission queue is full (submit). On failure the packet is still the caller's.
static inline int zcb_uring_tx_send(struct zcb_uring_tx *tx, struct zcb_packet *packet);

// What a completion means. Returns the bytes sent, for a send's result; 0 for a notification, with
// which the packet was unreferenced; -ENOENT: not this tx's; -EIO: fewer bytes than the packet has
// were sent (the connection is broken); else the send's error: its packet is unreferenced as soon as
// the kernel is done with it.
static inline int zcb_uring_tx_complete(struct zcb_uring_tx *tx, const struct io_uring_cqe *cqe);

// 0; -EBUSY: packets are in flight (complete them first); nothing was changed. NULL, and twice, is
// fine.
static inline int zcb_uring_tx_finish(struct zcb_uring_tx *tx);

// ---- what follows is how

#define ZCB_URING_NAME 32    // room for the sender's address; a multiple of 8
#define ZCB_URING_CONTROL 96 // room for control messages
#define ZCB_URING_HEADER (sizeof(struct io_uring_recvmsg_out) + ZCB_URING_NAME + ZCB_URING_CONTROL)

static inline int
zcb_uring_rx_init(struct zcb_uring_rx *rx, struct io_uring *ring, int fd, struct zcb_pool *pool,
                  const struct zcb_uring_rx_config *config)
{
    static const struct zcb_uring_rx_config none = {0, 0, 0, 0, {NULL, NULL, NULL, NULL}};
    struct io_uring_buf_reg reg;
    void *ids = NULL;
    int domain = 0, result;
    socklen_t domain_len = sizeof(domain);

    if (config == NULL)
        config = &none;
    if (rx == NULL || ring == NULL || pool == NULL || fd < 0 || config->max_len > (1u << 30) ||
        (config->buffers & (config->buffers - 1)) != 0 || (config->flags & ~1u) != 0)
        return -EINVAL;
    for (int i = 0; i < 4; i++)
        if (config->reserved[i] != NULL)
            return -EINVAL;
    memset(rx, 0, sizeof(*rx));
    rx->ring = ring;
    rx->pool = pool;
    rx->fd = fd;
    rx->flags = config->flags;
    rx->group = config->group;
    rx->room = config->max_len != 0 ? config->max_len : 2048;
    rx->buffers = config->buffers != 0 ? config->buffers : 256;
    if ((rx->flags & ZCB_URING_MESSAGES) != 0) {
        rx->room += ZCB_URING_HEADER;
        rx->message.msg_namelen = ZCB_URING_NAME;
        rx->message.msg_controllen = ZCB_URING_CONTROL;
        // None on a Unix socket: with them a peer passes descriptors, which would be open in this
        // process from then on, and nobody's.
        (void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len);
        if (domain == AF_UNIX)
            rx->message.msg_controllen = 0;
    }
    rx->bufs = (struct zcb_buf **)calloc(rx->buffers, sizeof(*rx->bufs));
    rx->empty = (uint16_t *)malloc(rx->buffers * sizeof(*rx->empty));
    if (rx->bufs == NULL || rx->empty == NULL ||
        posix_memalign(&ids, (size_t)sysconf(_SC_PAGESIZE),
                       rx->buffers * sizeof(struct io_uring_buf)) != 0) {
        result = -ENOMEM;
        goto failed;
    }
    memset(ids, 0, rx->buffers * sizeof(struct io_uring_buf));
    memset(&reg, 0, sizeof(reg));
    reg.ring_addr = (uintptr_t)ids;
    reg.ring_entries = rx->buffers;
    reg.bgid = rx->group;
    result = io_uring_register_buf_ring(ring, &reg, 0);
    if (result < 0)
        goto failed;
    rx->ids = (struct io_uring_buf_ring *)ids;
    io_uring_buf_ring_init(rx->ids);
    while (rx->empty_count < rx->buffers) {
        rx->empty[rx->empty_count] = (uint16_t)(rx->buffers - 1 - rx->empty_count);
        rx->empty_count++;
    }
    return 0;
failed:
    free(ids);
    free(rx->bufs);
    free(rx->empty);
    memset(rx, 0, sizeof(*rx));
    return result;
}

static inline int
zcb_uring_rx_prepare(struct zcb_uring_rx *rx)
{
    struct io_uring_sqe *sqe;
    int added = 0, result = 0;

    while (rx->empty_count != 0) {
        uint16_t id = rx->empty[rx->empty_count - 1];

        result = zcb_pool_acquire_flags(rx->pool, rx->room, ZCB_ACQUIRE_NOWAIT, &rx->bufs[id]);
        if (result < 0) {
            rx->bufs[id] = NULL;
            rx->stats.out_of_buffers++;
            break;
        }
        io_uring_buf_ring_add(rx->ids, zcb_buf_data(rx->bufs[id]), (unsigned)rx->room, id,
                              io_uring_buf_ring_mask(rx->buffers), added++);
        rx->empty_count--;
    }
    if (added != 0)
        io_uring_buf_ring_advance(rx->ids, added);
    if (rx->empty_count == rx->buffers)
        return result;
    if (rx->armed || rx->ended)
        return 0;
    sqe = io_uring_get_sqe(rx->ring);
    if (sqe == NULL)
        return -EAGAIN;
    if ((rx->flags & ZCB_URING_MESSAGES) != 0)
        io_uring_prep_recvmsg_multishot(sqe, rx->fd, &rx->message, MSG_TRUNC);
    else
        io_uring_prep_recv_multishot(sqe, rx->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = rx->group;
    io_uring_sqe_set_data(sqe, rx);
    rx->armed = true;
    return 0;
}

// Takes apart what recvmsg has put in front of the bytes. Returns where these begin.
static inline size_t
zcb_uring_rx_header(struct zcb_uring_rx *rx, uint8_t *data, size_t len,
                    struct zcb_frame_arrival *out)
{
    struct io_uring_recvmsg_out *head = io_uring_recvmsg_validate(data, (int)len, &rx->message);

    if (head == NULL)
        return len;
    out->wire_len = head->payloadlen;
    if ((head->flags & MSG_TRUNC) != 0) {
        out->flags |= ZCB_FRAME_IO_TRUNCATED;
        rx->stats.truncated++;
    }
    out->from_len =
        (uint16_t)(head->namelen < sizeof(out->from) ? head->namelen : sizeof(out->from));
    memcpy(&out->from, io_uring_recvmsg_name(head), out->from_len);
    for (struct cmsghdr *c = io_uring_recvmsg_cmsg_firsthdr(head, &rx->message); c != NULL;
         c = io_uring_recvmsg_cmsg_nexthdr(head, &rx->message, c)) {
        struct timespec ts;
        int segment;

        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
            memcpy(&ts, CMSG_DATA(c), sizeof(ts));
            out->time_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == 104) { // UDP_GRO
            memcpy(&segment, CMSG_DATA(c), sizeof(segment));
            out->segment = (uint16_t)segment;
            rx->stats.trains++;
        }
    }
    return sizeof(*head) + ZCB_URING_NAME + rx->message.msg_controllen;
}

// Out of ids, or ended by a signal or a cancel: prepare does what is to be done.
static inline bool
zcb_uring_rx_goes_on(int result)
{
    return result == -ENOBUFS || result == -EINTR || result == -ECANCELED;
}

static inline int
zcb_uring_rx_complete(struct zcb_uring_rx *rx, const struct io_uring_cqe *cqe,
                      struct zcb_frame_arrival *out)
{
    struct zcb_buf *buf = NULL;
    size_t len, skip = 0;
    uint16_t id;

    if (io_uring_cqe_get_data(cqe) != rx)
        return -ENOENT;
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        rx->armed = false;
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        buf = rx->bufs[id];
        rx->bufs[id] = NULL;
        if (buf != NULL) // a completion may be shown twice
            rx->empty[rx->empty_count++] = id;
    }
    if (cqe->res < 0 || buf == NULL) {
        zcb_buf_release(&buf);
        rx->ended = rx->ended || cqe->res == 0;
        if (zcb_uring_rx_goes_on(cqe->res))
            return 0;
        return cqe->res == 0 ? -ENODATA : cqe->res;
    }
    len = (size_t)cqe->res;
    // In two parts: of a memset of 96 bytes gcc makes a `rep stos`, which takes longer.
    memset(out, 0, sizeof(*out) / 2);
    memset((uint8_t *)out + sizeof(*out) / 2, 0, sizeof(*out) - sizeof(*out) / 2);
    out->wire_len = (uint32_t)len;
    if ((rx->flags & ZCB_URING_MESSAGES) != 0)
        skip = zcb_uring_rx_header(rx, zcb_buf_data(buf), len, out);
    if (zcb_buf_set_len(buf, len) != 0 || zcb_buf_trim(buf, skip, 0) != 0) { // cannot be
        zcb_buf_release(&buf);
        return -EIO;
    }
    zcb_buf_share(&buf, &out->packet);
    rx->stats.packets++;
    rx->stats.bytes += out->packet.len;
    return 1;
}

static inline int64_t
zcb_uring_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

// Submits, and waits until `wait_for` completions are there, or for `timeout_ms`.
static inline int
zcb_uring_rx_enter(struct zcb_uring_rx *rx, unsigned wait_for, int64_t timeout_ms)
{
    struct __kernel_timespec ts;
    struct io_uring_cqe *cqe;
    int result;

    ts.tv_sec = timeout_ms / 1000;
    ts.tv_nsec = timeout_ms % 1000 * 1000000;
    rx->stats.syscalls++;
    if (timeout_ms == 0 || wait_for == 0)
        result = io_uring_submit_and_get_events(rx->ring);
    else
        result = io_uring_submit_and_wait_timeout(rx->ring, &cqe, wait_for,
                                                  timeout_ms < 0 ? NULL : &ts, NULL);
    return result == -ETIME || result == -EINTR || result > 0 ? 0 : result;
}

// Handles completions that are there until *got is n. Returns how many; or an error, which behind
// packets stays in the queue for the next call.
static inline int
zcb_uring_rx_reap(struct zcb_uring_rx *rx, struct zcb_frame_arrival *out, unsigned n, unsigned *got)
{
    struct io_uring_cqe *cqe;
    int seen = 0, result;

    while (*got < n && io_uring_peek_cqe(rx->ring, &cqe) == 0) {
        // Left as it is: complete() is told of each once.
        if (*got != 0 && cqe->res <= 0 && !zcb_uring_rx_goes_on(cqe->res) &&
            io_uring_cqe_get_data(cqe) == rx)
            return -EAGAIN;
        result = zcb_uring_rx_complete(rx, cqe, &out[*got]);
        io_uring_cqe_seen(rx->ring, cqe);
        seen++;
        if (result < 0 && result != -ENOENT)
            return result;
        *got += result > 0;
    }
    return seen;
}

static inline int
zcb_uring_rx_recv(struct zcb_uring_rx *rx, struct zcb_frame_arrival *out, unsigned n,
                  unsigned wait_for, int timeout_ms)
{
    int64_t until_ms = timeout_ms > 0 ? zcb_uring_now_ms() + timeout_ms : 0, left_ms = timeout_ms;
    unsigned got = 0, want, ids;
    int result;

    if (out == NULL || n == 0 || n > INT_MAX || wait_for == 0 || wait_for > n)
        return -EINVAL;
    (void)zcb_uring_rx_prepare(rx); // ids that the last call emptied; what fails comes again below
    result = zcb_uring_rx_reap(rx, out, n, &got);
    while (result >= 0 && got < wait_for) {
        if (rx->ended)
            result = -ENODATA;
        else
            result = zcb_uring_rx_prepare(rx);
        if (result < 0)
            break;
        // All completions have been seen: no more can come than there are ids with a buffer.
        ids = rx->buffers - rx->empty_count;
        want = wait_for - got < ids ? wait_for - got : ids;
        result = zcb_uring_rx_enter(rx, want, left_ms);
        if (result == 0)
            result = zcb_uring_rx_reap(rx, out, n, &got);
        if (timeout_ms > 0)
            left_ms = until_ms - zcb_uring_now_ms();
        if (result == 0 || timeout_ms == 0 || (timeout_ms > 0 && left_ms <= 0))
            break; // a signal, or the time
    }
    rx->stats.batches += got != 0;
    return got != 0 ? (int)got : result < 0 ? result : 0;
}

static inline void
zcb_uring_rx_finish(struct zcb_uring_rx *rx)
{
    struct io_uring_sync_cancel_reg cancel;

    if (rx == NULL || rx->ids == NULL)
        return;
    if (rx->armed) {
        io_uring_submit(rx->ring);
        memset(&cancel, 0, sizeof(cancel));
        cancel.addr = (uintptr_t)rx;
        cancel.timeout.tv_sec = -1;
        cancel.timeout.tv_nsec = -1;
        while (io_uring_register_sync_cancel(rx->ring, &cancel) == -EINTR) {
        }
    }
    (void)io_uring_unregister_buf_ring(rx->ring, rx->group);
    zcb_buf_release_n(rx->bufs, rx->buffers);
    free(rx->ids);
    free(rx->bufs);
    free(rx->empty);
    memset(rx, 0, sizeof(*rx));
}

static inline int
zcb_uring_tx_init(struct zcb_uring_tx *tx, struct io_uring *ring, int fd, uint32_t slots)
{
    if (tx == NULL || ring == NULL || fd < 0 || slots > 65536)
        return -EINVAL;
    memset(tx, 0, sizeof(*tx));
    tx->ring = ring;
    tx->fd = fd;
    tx->slots = slots != 0 ? slots : 256;
    tx->slot = (struct zcb_uring_tx_slot *)calloc(tx->slots, sizeof(*tx->slot));
    if (tx->slot == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < tx->slots; i++)
        tx->slot[i].next = i + 1;
    return 0;
}

static inline int
zcb_uring_tx_send(struct zcb_uring_tx *tx, struct zcb_packet *packet)
{
    struct zcb_uring_tx_slot *slot;
    struct io_uring_sqe *sqe;

    if (tx == NULL || packet == NULL || packet->len > (1u << 30))
        return -EINVAL;
    if (tx->free == tx->slots)
        return -ENOBUFS;
    sqe = io_uring_get_sqe(tx->ring);
    if (sqe == NULL)
        return -EAGAIN;
    slot = &tx->slot[tx->free];
    tx->free = slot->next;
    tx->in_flight++;
    slot->packet = *packet;
    slot->busy = true;
    memset(packet, 0, sizeof(*packet));
    io_uring_prep_send_zc(sqe, tx->fd, slot->packet.data, slot->packet.len,
                          MSG_NOSIGNAL | MSG_WAITALL, 0);
    io_uring_sqe_set_data(sqe, slot);
    return 0;
}

static inline int
zcb_uring_tx_complete(struct zcb_uring_tx *tx, const struct io_uring_cqe *cqe)
{
    uintptr_t at = (uintptr_t)io_uring_cqe_get_data(cqe), first = (uintptr_t)tx->slot;
    struct zcb_uring_tx_slot *slot;
    int result = 0;

    if (at < first || at - first >= tx->slots * sizeof(*slot))
        return -ENOENT;
    slot = &tx->slot[(at - first) / sizeof(*slot)];
    if ((cqe->flags & IORING_CQE_F_NOTIF) == 0) {
        result = cqe->res >= 0 && (size_t)cqe->res < slot->packet.len ? -EIO : cqe->res;
        if (result >= 0) {
            tx->stats.packets++;
            tx->stats.bytes += (uint64_t)result;
        }
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0 && slot->busy) { // the notification, or none comes
        zcb_packet_unref(&slot->packet);
        slot->busy = false;
        slot->next = tx->free;
        tx->free = (uint32_t)(slot - tx->slot);
        tx->in_flight--;
    }
    return result;
}

static inline int
zcb_uring_tx_finish(struct zcb_uring_tx *tx)
{
    if (tx == NULL || tx->slot == NULL)
        return 0;
    if (tx->in_flight != 0)
        return -EBUSY;
    free(tx->slot);
    memset(tx, 0, sizeof(*tx));
    return 0;
}

#ifdef __cplusplus
}
#endif
#endif
