// SPDX-License-Identifier: MIT
//
// zcbuf/adapt/frame_io.h: packets from and to the network, in batches, each a struct zcb_packet.
//
//     rx      a socket that you own (UDP, raw, packet): recvmmsg into buffers of a pool
//     ring    an interface (AF_PACKET, TPACKET_V3): frames lie in memory shared with the kernel and
//             are handed out where they lie
//     tx      a socket that you own: packets and chains queued by reference, sent by sendmmsg
//
// Receiving is the same loop for both. It ends with any error; a program that runs on looks at which
// one it is, since most are answered by another call (a full pool, an ICMP answer, an interface that
// is down):
//
//     struct zcb_frame_arrival in[64];
//     int n;
//     while ((n = zcb_frame_rx_recv(rx, in, 64, -1)) >= 0) {
//         for (int i = 0; i < n; i++)
//             handle(in[i].packet, in[i].time_ns);    // keep it, slice it, give it to a thread
//         zcb_frame_arrivals_release(in, n);          // those that handle() has not taken
//     }
//
// Whose packets they are. Each arrival is one reference, the caller's: unref it, or move it on. With
// ZCB_FRAME_..._LENT they are lent instead: valid until the next recv or destroy, and
// zcb_packet_ref() keeps one. Packets that are looked at and forgotten then cost no atomic operation
// at all.
//
// Where they lie, and what one that is kept pins:
//
//     rx      [message][message][message .... room ]  a buffer of the pool's smallest sufficient
//             tier; small messages of successive calls share it, as long as the longest would fit
//     rx+GRO  [segment][segment][segment ......... ]  64 KiB; one system call brings up to 64
//             datagrams of a sender side by side, each a slice
//     ring    [frame][frame][frame ............... ]  a block of the ring (256 KiB), which the
//             kernel cannot fill again before the last of its frames is unreferenced
//
// To keep a few small packets for long, zcb_packet_compact() them.
//
// Nothing is copied by the processor on the library's side but where it says so, and what it copies
// is counted (ZCB_COPY_APPEND, and in the engine's own statistics). In steady state nothing is
// allocated.
//
// recv: timeout_ms 0 takes what is there; -1 waits without limit; else at most so long. It returns
// how many arrivals were written, as soon as there is one; 0 means none: the time is over, or a
// signal came (look at your flag, call again). Negative is an error as documented with each; nothing
// is lost by one.
//
// Linux only. Elsewhere, and with kernels that lack a feature, create returns -ENOTSUP.
//
// Threads: an engine is used by one thread at a time. Packets are free of that: those of a ring may
// be dropped on any thread, also after the ring was destroyed. An engine that a fork() child
// inherits may only be destroyed there, and a ring not even that: its memory stays shared with the
// parent and the kernel.
//
// Formats: recvmmsg(2), udp(7) (UDP_GRO, UDP_SEGMENT), packet(7), and packet_mmap.rst in the
// kernel's documentation.
#ifndef ZCBUF_ADAPT_FRAME_IO_H
#define ZCBUF_ADAPT_FRAME_IO_H

#include <zcbuf/chain.h>
#include <zcbuf/packet.h>
#include <zcbuf/pool.h>
#if !defined(_WIN32)
#include <netinet/in.h>
#include <sys/socket.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct sock_fprog; // linux/filter.h
struct zcb_frame_rx;
struct zcb_frame_ring;
struct zcb_frame_tx;

// ---- what arrives

// An address as the kernel gives it. Families that are not named here (a packet socket's
// sockaddr_ll) are in `bytes`, cut off if they are longer.
union zcb_frame_endpoint {
#if !defined(_WIN32)
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
#endif
    uint32_t words[7];
    uint8_t bytes[28];
};

// Flags of an arrival.
enum {
    // It was longer than what was received of it; wire_len says how long.
    ZCB_FRAME_IO_TRUNCATED = 1u << 0,
    // The engine copied it (see copy_below and hold_blocks).
    ZCB_FRAME_IO_COPIED = 1u << 1,
    // It had a VLAN tag, which the kernel has taken out of the bytes: vlan_tci, vlan_tpid.
    ZCB_FRAME_IO_VLAN = 1u << 2,
    // This machine sent it.
    ZCB_FRAME_IO_OUTGOING = 1u << 3,
    // Its transport checksum is not filled in: the network card would have done that.
    ZCB_FRAME_IO_CHECKSUM_UNSET = 1u << 4,
    // The kernel or the card has found its transport checksum right.
    ZCB_FRAME_IO_CHECKSUM_GOOD = 1u << 5,
};

// A packet and what the kernel says about it. All fields are written each time.
struct zcb_frame_arrival {
    struct zcb_packet packet; // empty for a datagram of 0 bytes
    uint64_t time_ns;         // when the kernel got it, CLOCK_REALTIME; 0: not known
    uint32_t wire_len;        // its bytes before truncation
    uint32_t flags;           // ZCB_FRAME_IO_...
    uint32_t ifindex;         // of packet sockets and rings; else 0
    uint16_t vlan_tci, vlan_tpid;
    // ZCB_FRAME_RX_TRAINS: the packet is datagrams of this length in a row, the last may be shorter.
    // 0: it is one datagram.
    uint16_t segment;
    uint16_t from_len; // 0: none (a ring, a connected socket of some families)
    union zcb_frame_endpoint from;
    uint64_t reserved[2]; // 0
};

// Unreferences the packets of `n` arrivals and empties them; those that are empty already (moved
// on) cost nothing, and those in a row that lie in one block cost one atomic operation together. Not
// for lent ones.
ZCB_INLINE void
zcb_frame_arrivals_release(struct zcb_frame_arrival *arrivals, int n)
{
    struct zcb_packet run = {NULL, 0, NULL};
    uint32_t count = 0;
    int i;

    for (i = 0; i < n; i++) {
        struct zcb_packet *packet = &arrivals[i].packet;

        if (packet->owner != run.owner) {
            zcb_packet_unref_n(&run, count);
            run.owner = packet->owner;
            count = 0;
        }
        count++;
        packet->data = NULL;
        packet->len = 0;
        packet->owner = NULL;
    }
    zcb_packet_unref_n(&run, count);
}

// Of any engine; what it does not have is 0. Counters only grow.
struct zcb_frame_io_stats {
    uint64_t packets;        // handed out (tx: datagrams sent)
    uint64_t bytes;          // in them
    uint64_t batches;        // calls of recv or flush that brought or sent some
    uint64_t syscalls;       // system calls made, waits included
    uint64_t truncated;      // packets that were cut off
    uint64_t copied_packets; // packets that the engine copied
    uint64_t copied_bytes;
    uint64_t dropped;        // ring: by the kernel, for want of a free block; rx: datagrams of a
                             // GRO train beyond max_len; tx: by zcb_frame_tx_skip()
    uint64_t out_of_buffers; // calls that the pool gave too little to
    uint64_t trains;         // GRO: messages of several datagrams; GSO: sends of several
    uint64_t freezes;        // ring: times the kernel found its next block still held
    uint64_t held;           // now: ring: blocks that packets hold; rx: buffers ready; tx: queued
    uint64_t reserved[12];   // 0
};

// ---- rx: recvmmsg

enum {
    // UDP: lets the kernel hand over datagrams of one flow and size joined (UDP_GRO, Linux 5.0),
    // and splits them into slices. By far the cheapest way to receive many small ones. Needs
    // buffers of 64 KiB, `batch` of them.
    ZCB_FRAME_RX_GRO = 1u << 0,
    // With GRO: do not split; an arrival may be a train of datagrams, see `segment`.
    ZCB_FRAME_RX_TRAINS = 1u << 1,
    // Arrivals are lent until the next recv.
    ZCB_FRAME_RX_LENT = 1u << 2,
    // One message per buffer, none behind another: for packets that will be edited, as a sole owner
    // can without a copy (zcb_packet_make_writable), or kept without pinning neighbours. Implied by
    // LENT.
    ZCB_FRAME_RX_ALONE = 1u << 3,
    // No time stamps, which cost the kernel a little per packet. time_ns is 0.
    ZCB_FRAME_RX_NO_TIME = 1u << 4,
};

struct zcb_frame_rx_config {
    // The longest message that is received whole (UDP: payload; packet socket: with the link
    // header); what is longer is cut off and flagged. It chooses the tier: 2048 takes 4 KiB
    // buffers, 9018 16 KiB ones. Above the pool's largest tier each buffer is allocated singly. At
    // most 16 MiB. 0: 2048; with GRO 65527, the most there is. The pool's headroom comes on top: with
    // more than 9 bytes of it, 65527 is above a tier of 64 KiB.
    size_t max_len;
    // Where a buffer is too small for a second message of max_len behind the first (GRO, large
    // max_len), a received message shorter than this is copied into a buffer of the smallest tier
    // that holds it, and the large one is used again: a datagram of 100 bytes does not pin 64 KiB.
    // Does not apply to LENT. 1: never copy. 0: max_len / 32 where max_len is above 16384, else
    // never.
    size_t copy_below;
    // Messages per system call, 1 to 1024. As many buffers are kept ready. 0: 64.
    uint32_t batch;
    uint32_t flags;    // ZCB_FRAME_RX_...
    void *reserved[4]; // NULL
};

// An engine on the datagram socket `fd`, which stays the caller's: bound and configured by them, to
// be open as long as the engine, closed by them after it. Sets SO_TIMESTAMPNS and UDP_GRO as the
// flags say; on packet sockets PACKET_AUXDATA, for VLAN tags. (What came before, or at once after,
// may be stamped with the time of its recv.) Descriptors that come over a Unix socket are closed by
// the kernel. The pool must outlive the engine.
// Whether fd is non-blocking does not matter. One allocation, no buffer yet.
// 0; -EINVAL (NULL; batch, max_len or flags out of range; TRAINS without GRO; a reserved field);
// -ENOTSUP (a stream socket: use zcb_chain_reserve(); SOCK_SEQPACKET; GRO on what is not UDP, or on
// an old kernel: leave it out; not Linux); -EBADF, -ENOTSOCK; -ENOMEM.
ZCB_API ZCB_MUST_CHECK int zcb_frame_rx_create(int fd, struct zcb_pool *pool,
                                               const struct zcb_frame_rx_config *config,
                                               struct zcb_frame_rx **out);

// Up to `n` arrivals into `out`: one recvmmsg when something is there, a poll before it when not.
// With GRO, what does not fit `out` waits in the engine and comes first next time, without a system
// call.
// Returns how many; 0: none (see above; of a socket that was shut down, or whose error queue is to be
// read, at once); -EINVAL; -ENOBUFS, -ETIMEDOUT, -ENOMEM: no buffer was to be
// had from the pool (what is in the socket stays there: give back, then call again); else what the
// socket says, such as -ECONNREFUSED for an ICMP answer to something sent before (call again) or
// -EBADF.
// Cost: per message a buffer of the pool and no atomic operation (LENT, ALONE), or two (shared
// buffers); per slice of a train its share of one. Never allocates, where the pool does not.
ZCB_API ZCB_MUST_CHECK int zcb_frame_rx_recv(struct zcb_frame_rx *rx, struct zcb_frame_arrival *out,
                                             size_t n, int timeout_ms);

// A snapshot, cut off or zero-filled to `out_size` (sizeof *out as the caller knows it).
// 0, -EINVAL (NULL).
ZCB_API ZCB_MUST_CHECK int zcb_frame_rx_stats(const struct zcb_frame_rx *rx,
                                              struct zcb_frame_io_stats *out, size_t out_size);

// Gives buffers back and sets *rx to NULL; NULL is fine. The socket stays open and keeps the options
// that were set. Packets out stay valid; lent ones end here. What waited in the engine is lost.
ZCB_API void zcb_frame_rx_destroy(struct zcb_frame_rx **rx);

// ---- ring: AF_PACKET, TPACKET_V3

enum {
    // All that passes the interface, not only what is addressed to it. Ends with the ring.
    ZCB_FRAME_RING_PROMISCUOUS = 1u << 0,
    // Not what this machine sends (Linux 4.20); on `lo` everything would come twice without it.
    ZCB_FRAME_RING_INCOMING = 1u << 1,
    // Arrivals are lent until the next recv; one that is kept (zcb_packet_ref) holds its block.
    ZCB_FRAME_RING_LENT = 1u << 2,
    // Copy every frame into a buffer of the pool: for those who keep packets for long.
    ZCB_FRAME_RING_COPY = 1u << 3,
};

struct zcb_frame_ring_config {
    // Bytes of one block of the ring, a multiple of the page size, 4 KiB to 16 MiB. A frame longer
    // than a block less about 100 bytes is cut off. 0: 262144.
    uint32_t block_size;
    // Blocks, 2 to 65536; block_size x blocks, the kernel memory it takes, at most 1 GiB. 0: 64.
    uint32_t blocks;
    // So many blocks may be held by packets at a time; when they are, frames are copied into
    // buffers of the pool until one comes back. Less than `blocks`. 0: half of blocks.
    uint32_t hold_blocks;
    // A block that is not full is handed over when it is this old: the most that a frame waits.
    // 1 to 10000. 0: 10.
    uint32_t block_timeout_ms;
    uint32_t flags;    // ZCB_FRAME_RING_...
    uint16_t protocol; // ETH_P_..., as in linux/if_ether.h. 0: all
    // PACKET_FANOUT: rings of one group share the interface's traffic between them. 0: none.
    uint16_t fanout_group;
    uint16_t fanout_mode;   // PACKET_FANOUT_..., with its flags. 0: by flow
    uint16_t reserved16[3]; // 0
    // A socket filter (classic BPF) that is there before the first frame; it is copied. Another one
    // can be put on zcb_frame_ring_fd() at any time. NULL: none.
    const struct sock_fprog *filter;
    void *reserved[4]; // NULL
};

// A ring on `ifname` ("eth0"; NULL: all interfaces). `pool` is for copies; NULL: none are made,
// and a recv that would need one returns -ENOBUFS.
//
// Packets are slices of the ring's blocks. A block returns to the kernel when the last packet in it
// is unreferenced, on whatever thread that is. The kernel fills blocks in order: one that is held
// when its turn has come again stops the capture until it is back (counted as freezes, and all that
// comes meanwhile as dropped), however many others are free. So size the ring for the time that
// packets are held, and zcb_packet_compact() or ZCB_FRAME_RING_COPY what is kept longer.
//
// 0; -EINVAL (NULL out; a size or flag out of range; hold_blocks not below blocks; COPY without a
// pool; a reserved field; a fanout group whose mode differs); -EPERM: the program lacks CAP_NET_RAW
// (give it that: setcap cap_net_raw+ep PROGRAM, or run it as root, or in a user and network
// namespace of its own: unshare -rn); -ENODEV: no such interface (ip link shows those there are);
// -ENOMEM: the kernel has not the memory (a smaller ring); -ENOTSUP (not Linux, or a kernel without
// TPACKET_V3 or a wanted option); -EMFILE and what else the system calls say. Two descriptors.
ZCB_API ZCB_MUST_CHECK int zcb_frame_ring_create(const char *ifname, struct zcb_pool *pool,
                                                 const struct zcb_frame_ring_config *config,
                                                 struct zcb_frame_ring **out);

// The packet socket, for options (filters) and for an event loop of your own: readable when a block
// is ready. The kernel calls it readable too while the block handed out last is held; watch it
// edge-triggered (EPOLLET) to be woken only by something new. Stays the ring's.
ZCB_API int zcb_frame_ring_fd(const struct zcb_frame_ring *ring);

// Up to `n` arrivals of one block into `out`. No system call where a block is ready.
// Returns how many; 0: none; -EINVAL; -ENETDOWN: the interface is down (call again: frames come when
// it is up); -ENODEV: it is gone for good, which comes behind an -ENETDOWN, within half a second; -ENOBUFS, -ENOMEM, -ETIMEDOUT: a frame was to be copied and
// the pool has no buffer (give back packets, then call again: nothing is lost but what the ring has
// no room for meanwhile).
// Cost: one atomic operation per call, none with LENT; in copy mode, the copy.
ZCB_API ZCB_MUST_CHECK int zcb_frame_ring_recv(struct zcb_frame_ring *ring,
                                               struct zcb_frame_arrival *out, size_t n,
                                               int timeout_ms);

// A snapshot; asks the kernel for its drops. 0, -EINVAL (NULL). One system call.
ZCB_API ZCB_MUST_CHECK int zcb_frame_ring_stats(struct zcb_frame_ring *ring,
                                                struct zcb_frame_io_stats *out, size_t out_size);

// Stops the capture and sets *ring to NULL; NULL is fine. The memory stays mapped until the last
// packet of it is unreferenced, and the kernel keeps the (deaf) socket as long: in a fanout group its
// share of the traffic is lost until then.
ZCB_API void zcb_frame_ring_destroy(struct zcb_frame_ring **ring);

// ---- tx: sendmmsg

enum {
    // UDP: datagrams of one length to one destination that follow each other go out as one
    // (UDP_SEGMENT, Linux 4.18). Where the kernel or the path refuses that, they are sent singly.
    ZCB_FRAME_TX_GSO = 1u << 0,
};

struct zcb_frame_tx_config {
    uint32_t batch;      // messages per system call, 1 to 1024. 0: 64
    uint32_t max_queued; // datagrams that may wait, 1 to 1048576. 0: 1024
    uint32_t flags;      // ZCB_FRAME_TX_...
    uint32_t reserved32; // 0
    void *reserved[4];   // NULL
};

// An engine on the datagram socket `fd`, which stays the caller's.
// 0; -EINVAL (NULL out; a value out of range; a reserved field); -ENOTSUP (a stream socket: use
// zcb_chain_iov(); SOCK_SEQPACKET; GSO on what is not UDP or on an old kernel; not Linux); -EBADF, -ENOTSOCK;
// -ENOMEM.
ZCB_API ZCB_MUST_CHECK int zcb_frame_tx_create(int fd, const struct zcb_frame_tx_config *config,
                                               struct zcb_frame_tx **out);

// Queues the packet as one datagram (packet socket: frame) and takes it: on success *packet is
// empty. `to`, `to_len` bytes (at most 28), is copied; NULL: the address the socket is connected to,
// or bound to. An empty packet is a datagram of 0 bytes. Sends nothing. Amortised O(1).
// 0; -EINVAL (NULL; a to_len that is none; above 4 GiB); -ENOBUFS: max_queued wait (flush); -ENOMEM. On failure
// the packet is still the caller's.
ZCB_API ZCB_MUST_CHECK int zcb_frame_tx_push(struct zcb_frame_tx *tx, struct zcb_packet *packet,
                                             const union zcb_frame_endpoint *to, uint32_t to_len);

// Queues the first `len` bytes of the chain as one datagram, by reference, and takes them off it:
// headers and payload need not be contiguous.
// 0; -EAGAIN (the chain has fewer); -ERANGE (they are in more than 1000 chunks: gather them);
// -EINVAL; -ENOBUFS; -ENOMEM. On failure the chain is as it was.
ZCB_API ZCB_MUST_CHECK int zcb_frame_tx_push_chain(struct zcb_frame_tx *tx, struct zcb_chain *chain,
                                                   size_t len, const union zcb_frame_endpoint *to,
                                                   uint32_t to_len);

// Sends what is queued, in order; what the kernel has taken is unreferenced. timeout_ms as in recv:
// how long to wait for room in the socket.
// Returns the datagrams that went out; fewer than were queued: there was no room for the rest, which
// stays queued, exactly where it stopped; 0: none, or none was queued. Negative: the first one queued
// was refused and is still the first: -EMSGSIZE, -EINVAL, -EACCES, -EDESTADDRREQ (skip it),
// -ECONNREFUSED, -ENETUNREACH, -EHOSTUNREACH, -ENETDOWN, -EPERM (a firewall) (try again, or skip it),
// -ENOBUFS (the interface's queue is full: later).
ZCB_API ZCB_MUST_CHECK int zcb_frame_tx_flush(struct zcb_frame_tx *tx, int timeout_ms);

// Datagrams that wait. O(1).
ZCB_API size_t zcb_frame_tx_queued(const struct zcb_frame_tx *tx);

// Drops the first one queued. 0, -EAGAIN: there is none.
ZCB_API int zcb_frame_tx_skip(struct zcb_frame_tx *tx);

// A snapshot. 0, -EINVAL (NULL).
ZCB_API ZCB_MUST_CHECK int zcb_frame_tx_stats(const struct zcb_frame_tx *tx,
                                              struct zcb_frame_io_stats *out, size_t out_size);

// Drops what is queued and sets *tx to NULL; NULL is fine. The socket stays open.
ZCB_API void zcb_frame_tx_destroy(struct zcb_frame_tx **tx);

#ifdef ZCB_HAVE_AUTO
#define ZCB_AUTO_FRAME_RX ZCB_AUTO(zcb_frame_rx_destroy)
#define ZCB_AUTO_FRAME_RING ZCB_AUTO(zcb_frame_ring_destroy)
#define ZCB_AUTO_FRAME_TX ZCB_AUTO(zcb_frame_tx_destroy)
#endif

#ifdef __cplusplus
}
#endif
#endif
