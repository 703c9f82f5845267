// SPDX-License-Identifier: MIT
//
// What the engines of frame_io.h share: waiting, lent packets, what the kernel says about a frame.
#ifndef ZCB_ADAPT_FRAME_IO_H
#define ZCB_ADAPT_FRAME_IO_H

#include <zcbuf/adapt/frame_io.h>

#include <string.h>

#include <linux/if_packet.h>

// A point in time that is `timeout_ms` away, for frame_io_left(); a negative one never comes.
int64_t frame_io_deadline(int timeout_ms);

// Milliseconds until then, rounded up, as poll() wants them: 0 when it is over, -1 for never.
int frame_io_left(int64_t deadline);

// Waits for `events` on fd. Returns the events that came; 0: the time is over, or a signal came;
// or a negative errno.
int frame_io_wait(int fd, short events, int64_t deadline, struct zcb_frame_io_stats *stats);

// Copies a snapshot to a caller that may know a smaller or a larger struct.
int frame_io_stats_out(const struct zcb_frame_io_stats *stats, struct zcb_frame_io_stats *out,
                       size_t out_size);

// The type of a datagram socket's address family in *domain; -ENOTSUP for what has connections
// (the end of a SOCK_SEQPACKET would be empty datagrams without end).
int frame_io_datagram_socket(int fd, int *domain);

static inline void
frame_io_release_all(struct zcb_packet *packets, uint32_t *count)
{
    while (*count != 0)
        zcb_packet_unref(&packets[--*count]);
}

// Empties an arrival. Field by field: of a memset of this size gcc makes a `rep stos`, which takes
// longer than all else that is done for a frame.
static inline void
frame_io_clear(struct zcb_frame_arrival *out)
{
    out->packet.data = NULL;
    out->packet.len = 0;
    out->packet.owner = NULL;
    out->time_ns = 0;
    out->wire_len = 0;
    out->flags = 0;
    out->ifindex = 0;
    out->vlan_tci = 0;
    out->vlan_tpid = 0;
    out->segment = 0;
    out->from_len = 0;
    memset(&out->from, 0, sizeof(out->from));
    out->reserved[0] = 0;
    out->reserved[1] = 0;
}

// A counted copy in a buffer of the pool, which is not waited for, whatever the pool's policy: recv has
// a timeout of its own. 0, or acquire's errors.
int frame_io_copy(struct zcb_pool *pool, const struct zcb_packet *from, struct zcb_packet *out);

// What tpacket headers and PACKET_AUXDATA have in common.
static inline uint32_t
frame_io_status_flags(uint32_t status)
{
    return ((status & TP_STATUS_VLAN_VALID) != 0 ? ZCB_FRAME_IO_VLAN : 0) |
           ((status & TP_STATUS_CSUMNOTREADY) != 0 ? ZCB_FRAME_IO_CHECKSUM_UNSET : 0) |
           ((status & TP_STATUS_CSUM_VALID) != 0 ? ZCB_FRAME_IO_CHECKSUM_GOOD : 0);
}

// 802.1Q where the kernel does not say which kind of tag it was.
static inline uint16_t
frame_io_vlan_tpid(uint32_t status, uint16_t tpid)
{
    if ((status & TP_STATUS_VLAN_VALID) == 0)
        return 0;
    return (status & TP_STATUS_VLAN_TPID_VALID) != 0 ? tpid : 0x8100;
}

#endif
