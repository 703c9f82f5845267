// SPDX-License-Identifier: MIT
//
// Receiving by recvmmsg.
//
// Slots. Message i of a system call goes to slot first + i. A slot that was used is empty
// afterwards, or (small messages) keeps its buffer with the room that is left. Those that keep one
// move up, so that the ready ones are always the last, [first, batch), and a call that brings one
// message touches one slot:
//
//     [ empty .......... | ready ................ ]
//       0                 first                   batch
//                          [next ... end)          received, not handed out yet; 0, 0: none
//
// A GRO train is one message. Its slices come from `train`, which may outlast the call when the
// caller's array is full.
#include "frame_io.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <netinet/udp.h>
#include <poll.h>

#include <zcbuf/buf.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

// Where the next message begins behind another one: packets of a block that go to different threads
// do not share a cache line.
#define ALIGN 64u

#define MAX_BATCH 1024u
#define MAX_LEN ((size_t)16 << 20)

// Time stamp, GRO, packet auxdata, and some room for what the caller's options bring.
union control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(int)) +
                  CMSG_SPACE(sizeof(struct tpacket_auxdata)) + 64];
};

struct zcb_frame_rx {
    int fd;
    int domain;
    struct zcb_pool *pool;
    size_t max_len, copy_below;
    uint32_t batch, flags;
    bool drained; // the last call took all there was: the next one will have to wait
    uint32_t first;
    uint32_t next, end;
    struct zcb_frame_arrival train; // its packet: what is left of the train; empty: none
    uint32_t lent_count;
    struct zcb_frame_io_stats stats;
    // Each has `batch` entries, in the memory behind.
    struct zcb_packet *lent;
    struct zcb_buf **bufs;
    struct iovec *iov;
    struct mmsghdr *messages;
    union zcb_frame_endpoint *from;
    union control *control;
};

static void
slot_set(struct zcb_frame_rx *rx, uint32_t i, struct zcb_buf *buf)
{
    rx->bufs[i] = buf;
    rx->iov[i].iov_base = zcb_buf_data(buf);
    rx->iov[i].iov_len = rx->max_len;
}

// On a Unix socket there is room for the time stamp and no more: with control messages a peer passes
// descriptors, which would be open in this process from then on, and nobody's.
static void
message_reset(const struct zcb_frame_rx *rx, struct msghdr *message)
{
    message->msg_namelen = sizeof(union zcb_frame_endpoint);
    message->msg_controllen = sizeof(union control);
    if (rx->domain == AF_UNIX)
        message->msg_controllen =
            (rx->flags & ZCB_FRAME_RX_NO_TIME) != 0 ? 0 : CMSG_SPACE(sizeof(struct timespec));
}

// ---- life

static int
check_config(const struct zcb_frame_rx_config *config)
{
    const uint32_t known = ZCB_FRAME_RX_GRO | ZCB_FRAME_RX_TRAINS | ZCB_FRAME_RX_LENT |
                           ZCB_FRAME_RX_ALONE | ZCB_FRAME_RX_NO_TIME;

    if (config->max_len > MAX_LEN || config->batch > MAX_BATCH || (config->flags & ~known) != 0)
        return -EINVAL;
    if ((config->flags & ZCB_FRAME_RX_TRAINS) != 0 && (config->flags & ZCB_FRAME_RX_GRO) == 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(config->reserved) / sizeof(config->reserved[0]); i++)
        if (config->reserved[i] != NULL)
            return -EINVAL;
    return 0;
}

static int
set_options(int fd, int domain, uint32_t flags)
{
    int on = 1;

    if ((flags & ZCB_FRAME_RX_GRO) != 0 &&
        setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) < 0)
        return errno == EBADF ? -EBADF : -ENOTSUP;
    if ((flags & ZCB_FRAME_RX_NO_TIME) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0)
        return -errno;
    if (domain == AF_PACKET && setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) < 0)
        return -errno;
    return 0;
}

// One allocation for the engine and its arrays, the most aligned ones first.
static struct zcb_frame_rx *
allocate(uint32_t batch)
{
    size_t each = sizeof(union control) + sizeof(struct mmsghdr) + sizeof(struct zcb_packet) +
                  sizeof(struct iovec) + sizeof(struct zcb_buf *) +
                  sizeof(union zcb_frame_endpoint);
    struct zcb_frame_rx *rx = calloc(1, sizeof(*rx) + batch * each);

    if (rx == NULL)
        return NULL;
    rx->control = (union control *)(rx + 1);
    rx->messages = (struct mmsghdr *)(rx->control + batch);
    rx->lent = (struct zcb_packet *)(rx->messages + batch);
    rx->iov = (struct iovec *)(rx->lent + batch);
    rx->bufs = (struct zcb_buf **)(rx->iov + batch);
    rx->from = (union zcb_frame_endpoint *)(rx->bufs + batch);
    rx->batch = rx->first = batch;
    for (uint32_t i = 0; i < batch; i++) {
        struct msghdr *message = &rx->messages[i].msg_hdr;

        message->msg_name = &rx->from[i];
        message->msg_iov = &rx->iov[i];
        message->msg_iovlen = 1;
        message->msg_control = &rx->control[i];
    }
    return rx;
}

int
zcb_frame_rx_create(int fd, struct zcb_pool *pool, const struct zcb_frame_rx_config *config,
                    struct zcb_frame_rx **out)
{
    static const struct zcb_frame_rx_config defaults;
    struct zcb_frame_rx *rx;
    int domain, result;

    if (config == NULL)
        config = &defaults;
    if (pool == NULL || out == NULL || check_config(config) < 0)
        return -EINVAL;
    result = frame_io_datagram_socket(fd, &domain);
    if (result < 0)
        return result;
    rx = allocate(config->batch != 0 ? config->batch : 64);
    if (rx == NULL)
        return -ENOMEM;
    result = set_options(fd, domain, config->flags);
    if (result < 0) {
        free(rx);
        return result;
    }
    rx->fd = fd;
    rx->domain = domain;
    rx->pool = pool;
    rx->flags = config->flags;
    if ((rx->flags & ZCB_FRAME_RX_LENT) != 0)
        rx->flags |= ZCB_FRAME_RX_ALONE;
    rx->max_len = config->max_len;
    if (rx->max_len == 0)
        rx->max_len = (rx->flags & ZCB_FRAME_RX_GRO) != 0 ? 65527 : 2048;
    rx->copy_below = config->copy_below;
    if (rx->copy_below == 0 && rx->max_len > 16384)
        rx->copy_below = rx->max_len / 32;
    if ((rx->flags & ZCB_FRAME_RX_LENT) != 0)
        rx->copy_below = 0;
    for (uint32_t i = 0; i < rx->batch; i++)
        message_reset(rx, &rx->messages[i].msg_hdr);
    *out = rx;
    return 0;
}

void
zcb_frame_rx_destroy(struct zcb_frame_rx **rx)
{
    struct zcb_frame_rx *r;

    if (rx == NULL || *rx == NULL)
        return;
    r = *rx;
    *rx = NULL;
    frame_io_release_all(r->lent, &r->lent_count);
    zcb_packet_unref(&r->train.packet);
    // Slots that are empty are NULL; those in front of what was received may be, those behind not.
    zcb_buf_release_n(r->bufs, r->batch);
    free(r);
}

int
zcb_frame_rx_stats(const struct zcb_frame_rx *rx, struct zcb_frame_io_stats *out, size_t out_size)
{
    struct zcb_frame_io_stats stats;

    if (rx == NULL)
        return -EINVAL;
    stats = rx->stats;
    for (uint32_t i = 0; i < rx->batch; i++)
        stats.held += rx->bufs[i] != NULL;
    return frame_io_stats_out(&stats, out, out_size);
}

// ---- buffers in

// Gets ready up to `want` slots. An error only where there is none at all.
static int
refill(struct zcb_frame_rx *rx, uint32_t want)
{
    uint32_t ready = rx->batch - rx->first, missing;
    struct zcb_buf *buf;
    int got;

    if (ready >= want)
        return 0;
    missing = want - ready;
    if (ready == 0) { // the pool may wait for the first
        struct zcb_buf **to = &rx->bufs[rx->batch - missing];

        got = zcb_pool_acquire_n(rx->pool, rx->max_len, to, missing);
        rx->stats.out_of_buffers += got < (int)missing;
        if (got < 0)
            return got;
        memmove(&rx->bufs[rx->batch - (uint32_t)got], to, (size_t)got * sizeof(struct zcb_buf *));
        memset(to, 0, (missing - (uint32_t)got) * sizeof(struct zcb_buf *));
        while (got-- != 0) {
            rx->first--;
            slot_set(rx, rx->first, rx->bufs[rx->first]);
        }
        return 0;
    }
    while (missing-- != 0) {
        if (zcb_pool_acquire_flags(rx->pool, rx->max_len, ZCB_ACQUIRE_NOWAIT, &buf) < 0) {
            rx->stats.out_of_buffers++;
            break;
        }
        slot_set(rx, --rx->first, buf);
    }
    return 0;
}

// After the last message of a call was handed out: slots with a buffer become the last ones.
static void
settle(struct zcb_frame_rx *rx)
{
    uint32_t to = rx->end;

    for (uint32_t i = rx->end; i-- > rx->first;) {
        struct zcb_buf *buf = rx->bufs[i];

        if (buf == NULL)
            continue;
        rx->bufs[i] = NULL;
        slot_set(rx, --to, buf);
    }
    rx->first = to;
    rx->next = rx->end = 0;
}

// ---- messages in

// One system call that brings something. 1: [next, end) are there; 0: none; or an error.
static int
receive(struct zcb_frame_rx *rx, size_t n, int timeout_ms)
{
    uint32_t want = n < rx->batch ? (uint32_t)n : rx->batch;
    bool wait = timeout_ms > 0 && rx->drained;
    int64_t deadline = 0;
    int got, events, result = refill(rx, want);

    if (result < 0)
        return result;
    if (want > rx->batch - rx->first)
        want = rx->batch - rx->first;
    if (timeout_ms != 0)
        deadline = frame_io_deadline(timeout_ms);
    for (;;) {
        if (wait) {
            events = frame_io_wait(rx->fd, POLLIN | POLLRDHUP, deadline, &rx->stats);
            if (events <= 0)
                return events;
            // An error queue that nobody reads, a socket that was shut down: waiting would not wait.
            // Nor may wake-ups for nothing (wrong checksums) stretch the time.
            if ((events & (POLLIN | POLLRDHUP)) != POLLIN || frame_io_left(deadline) == 0)
                timeout_ms = 0;
        }
        got = recvmmsg(rx->fd, &rx->messages[rx->first], want,
                       MSG_TRUNC | (timeout_ms < 0 ? MSG_WAITFORONE : MSG_DONTWAIT), NULL);
        rx->stats.syscalls++;
        if (got > 0)
            break;
        rx->drained = true;
        if (got == 0 || errno == EINTR)
            return 0;
        if (errno != EAGAIN)
            return -errno;
        if (timeout_ms == 0)
            return 0;
        wait = true;
    }
    rx->drained = (uint32_t)got < want;
    // Without a sender there was no datagram: a blocking socket that was shut down.
    if ((rx->domain == AF_INET || rx->domain == AF_INET6) && rx->messages[rx->first].msg_len == 0 &&
        rx->messages[rx->first].msg_hdr.msg_namelen == 0) {
        for (int i = 0; i < got; i++)
            message_reset(rx, &rx->messages[rx->first + (uint32_t)i].msg_hdr);
        return 0;
    }
    rx->next = rx->first;
    rx->end = rx->first + (uint32_t)got;
    return 1;
}

// ---- packets out

// The first `len` bytes of slot i's buffer as a packet. The buffer stays where there is room for
// another message behind it.
static void
take_bytes(struct zcb_frame_rx *rx, uint32_t i, size_t len, struct zcb_frame_arrival *out)
{
    struct zcb_buf **buf = &rx->bufs[i];
    uint8_t *data = zcb_buf_data(*buf);
    struct zcb_packet whole;
    size_t room, pad;

    if (zcb_buf_set_len(*buf, len) < 0 || len == 0)
        return; // 0: the buffer is as good as new
    room = zcb_buf_tailroom(*buf);
    pad = -((uintptr_t)data + len) & (ALIGN - 1);
    if ((rx->flags & ZCB_FRAME_RX_ALONE) == 0 && room >= pad && room - pad >= rx->max_len) {
        if (zcb_buf_publish(*buf, len, &out->packet) < 0 || zcb_buf_set_headroom(*buf, pad) < 0)
            zcb_buf_release(buf); // cannot be: there is room for it
        return;
    }
    whole = zcb_packet_static(data, len);
    if (len < rx->copy_below && frame_io_copy(rx->pool, &whole, &out->packet) == 0) {
        out->flags |= ZCB_FRAME_IO_COPIED;
        rx->stats.copied_packets++;
        rx->stats.copied_bytes += len;
        if (zcb_buf_trim(*buf, 0, len) < 0) // cannot be
            zcb_buf_release(buf);
        return;
    }
    zcb_buf_share(buf, &out->packet);
}

static void
read_control(struct zcb_frame_rx *rx, struct msghdr *message, struct zcb_frame_arrival *out)
{
    struct tpacket_auxdata aux;
    struct timespec ts;
    int segment;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            memcpy(&ts, CMSG_DATA(c), sizeof(ts));
            out->time_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            memcpy(&segment, CMSG_DATA(c), sizeof(segment));
            out->segment = (uint16_t)segment;
        } else if (rx->domain == AF_PACKET && c->cmsg_level == SOL_PACKET &&
                   c->cmsg_type == PACKET_AUXDATA) {
            memcpy(&aux, CMSG_DATA(c), sizeof(aux));
            out->wire_len = aux.tp_len;
            out->flags |= frame_io_status_flags(aux.tp_status);
            out->vlan_tci = (out->flags & ZCB_FRAME_IO_VLAN) != 0 ? aux.tp_vlan_tci : 0;
            out->vlan_tpid = frame_io_vlan_tpid(aux.tp_status, aux.tp_vlan_tpid);
        }
    }
}

static uint64_t
segments(size_t len, uint16_t segment)
{
    return (len + segment - 1) / segment;
}

// The next message as one arrival, which is a train where its `segment` is not 0.
static void
take_message(struct zcb_frame_rx *rx, struct zcb_frame_arrival *out)
{
    uint32_t i = rx->next++;
    struct msghdr *message = &rx->messages[i].msg_hdr;
    size_t real = rx->messages[i].msg_len, len = real < rx->max_len ? real : rx->max_len;

    frame_io_clear(out);
    out->wire_len = (uint32_t)real;
    read_control(rx, message, out);
    out->from_len = (uint16_t)message->msg_namelen;
    if (out->from_len > sizeof(out->from))
        out->from_len = sizeof(out->from);
    memcpy(&out->from, message->msg_name, out->from_len);
    if (rx->domain == AF_PACKET && out->from_len >= offsetof(struct sockaddr_ll, sll_addr)) {
        const struct sockaddr_ll *link = message->msg_name;

        out->ifindex = (uint32_t)link->sll_ifindex;
        out->flags |= link->sll_pkttype == PACKET_OUTGOING ? ZCB_FRAME_IO_OUTGOING : 0;
    }
    message_reset(rx, message);
    take_bytes(rx, i, len, out);
    if (out->segment != 0) {
        rx->stats.trains++;
        rx->stats.dropped += segments(real, out->segment) - segments(len, out->segment);
    }
    out->flags |= real > len ? ZCB_FRAME_IO_TRUNCATED : 0;
}

// Counts what a caller is given.
static void
count(struct zcb_frame_rx *rx, const struct zcb_frame_arrival *out)
{
    rx->stats.packets++;
    rx->stats.bytes += out->packet.len;
    rx->stats.truncated += (out->flags & ZCB_FRAME_IO_TRUNCATED) != 0;
}

// Up to n slices of the train. One atomic operation for all of them; the last one takes over the
// reference that the train is.
static size_t
slice_train(struct zcb_frame_rx *rx, struct zcb_frame_arrival *out, size_t n)
{
    struct zcb_frame_arrival *train = &rx->train;
    struct zcb_packet rest = train->packet;
    uint32_t segment = train->segment, wire = train->wire_len;
    size_t left = segments(rest.len, train->segment), k = n < left ? n : left;
    bool lent = (rx->flags & ZCB_FRAME_RX_LENT) != 0;
    uint32_t more = (uint32_t)(k == left ? k - 1 : k);

    if (!lent && more != 0)
        zcb_packet_ref_n(&rest, more);
    train->segment = 0; // what slices are copied from is not written while they are
    for (size_t i = 0; i < k; i++) {
        uint32_t len = rest.len < segment ? (uint32_t)rest.len : segment;

        out[i] = *train;
        out[i].packet.data = rest.data;
        out[i].packet.len = len;
        out[i].wire_len = wire < segment ? wire : segment;
        if (out[i].wire_len == len)
            out[i].flags &= ~(uint32_t)ZCB_FRAME_IO_TRUNCATED;
        else
            rx->stats.truncated++;
        rest.data += len;
        rest.len -= len;
        wire -= out[i].wire_len;
    }
    rx->stats.packets += k;
    rx->stats.bytes += train->packet.len - rest.len;
    train->packet = rest;
    train->wire_len = wire;
    train->segment = (uint16_t)segment;
    if (k == left) {
        if (lent)
            rx->lent[rx->lent_count++] = rest;
        train->packet = zcb_packet_static(NULL, 0);
    }
    return k;
}

int
zcb_frame_rx_recv(struct zcb_frame_rx *rx, struct zcb_frame_arrival *out, size_t n, int timeout_ms)
{
    size_t got = 0;
    int result;

    if (rx == NULL || out == NULL || n == 0)
        return -EINVAL;
    n = n < INT_MAX ? n : INT_MAX;
    frame_io_release_all(rx->lent, &rx->lent_count);
    if (rx->train.packet.owner == NULL && rx->next == rx->end) {
        result = receive(rx, n, timeout_ms);
        if (result <= 0)
            return result;
    }
    while (got < n) {
        if (rx->train.packet.owner != NULL) {
            got += slice_train(rx, &out[got], n - got);
            continue;
        }
        if (rx->next == rx->end)
            break;
        take_message(rx, &out[got]);
        if (out[got].segment != 0 && (rx->flags & ZCB_FRAME_RX_TRAINS) == 0) {
            rx->train = out[got];
            continue;
        }
        if ((rx->flags & ZCB_FRAME_RX_LENT) != 0)
            rx->lent[rx->lent_count++] = out[got].packet;
        count(rx, &out[got++]);
    }
    if (rx->next == rx->end && rx->end != 0)
        settle(rx);
    rx->stats.batches++;
    return (int)got;
}
