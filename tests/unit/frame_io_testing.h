// SPDX-License-Identifier: MIT
//
// What tests of the packet engines share: sockets on 127.0.0.1, a network namespace of one's own,
// frames. Needs testing.h and support/pools.h in front of it. must_ functions use CHECK(), so that
// any thread may call them.
#ifndef ZCB_TESTS_FRAME_IO_TESTING_H
#define ZCB_TESTS_FRAME_IO_TESTING_H

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <zcbuf/adapt/frame_io.h>
#include <zcbuf/copies.h>

#define NUMBERS(a) (sizeof(a) / sizeof((a)[0]))

struct udp_pair {
    int tx, rx; // tx is connected to rx
    union zcb_frame_endpoint rx_name, tx_name;
};

static inline struct udp_pair
must_udp_pair(void)
{
    struct udp_pair p;
    socklen_t len = sizeof(p.rx_name.in4);
    int room = 4 << 20;

    memset(&p, 0, sizeof(p));
    p.rx = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    p.tx = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(p.rx >= 0 && p.tx >= 0);
    p.rx_name.in4.sin_family = AF_INET;
    p.rx_name.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p.tx_name = p.rx_name;
    (void)setsockopt(p.rx, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    CHECK(bind(p.rx, &p.rx_name.any, sizeof(p.rx_name.in4)) == 0);
    CHECK(bind(p.tx, &p.tx_name.any, sizeof(p.tx_name.in4)) == 0);
    CHECK(getsockname(p.rx, &p.rx_name.any, &len) == 0);
    CHECK(getsockname(p.tx, &p.tx_name.any, &len) == 0);
    CHECK(connect(p.tx, &p.rx_name.any, sizeof(p.rx_name.in4)) == 0);
    return p;
}

static inline void
udp_pair_close(struct udp_pair *p)
{
    close(p->tx);
    close(p->rx);
}

// The number that the next descriptor gets: it is higher where some were left open.
static inline int
next_fd(void)
{
    int fd = fcntl(0, F_DUPFD_CLOEXEC, 3);

    close(fd);
    return fd;
}

// A datagram of 5 bytes on a Unix socket, with 8 descriptors.
static inline void
must_pass_fds(int fd)
{
    struct iovec iov = {(void *)(uintptr_t) "bytes", 5};
    int fds[8] = {fd, fd, fd, fd, fd, fd, fd, fd};
    union {
        struct cmsghdr head;
        uint8_t bytes[CMSG_SPACE(sizeof(fds))];
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof(fds)),
                          .cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};

    memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
    CHECK(sendmsg(fd, &message, 0) == 5);
}

// The byte that test data has at `i` in packet `number`.
static inline uint8_t
pattern(uint32_t number, size_t i)
{
    return (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

static inline void
fill(uint8_t *to, size_t len, uint32_t number)
{
    for (size_t i = 0; i < len; i++)
        to[i] = pattern(number, i);
}

static inline bool
has_pattern(const uint8_t *data, size_t len, uint32_t number)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != pattern(number, i))
            return false;
    return true;
}

static inline void
must_send(int fd, uint32_t number, size_t len)
{
    static _Thread_local uint8_t bytes[100000];

    CHECK(len <= sizeof(bytes));
    fill(bytes, len, number);
    CHECK(send(fd, bytes, len, 0) == (ssize_t)len);
}

static inline struct zcb_packet
must_pattern_packet(struct zcb_pool *pool, uint32_t number, size_t len)
{
    struct zcb_packet packet = must_packet(pool, len);

    fill((uint8_t *)(uintptr_t)packet.data, len, number);
    return packet;
}

// Bytes that this thread has moved since it began, for whatever reason.
static inline uint64_t
moved(void)
{
    struct zcb_copies copies;

    zcb_copies_thread(&copies);
    return zcb_copies_bytes(&copies);
}

static inline void
must_set_lo(short flags, int mtu)
{
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memset(&request, 0, sizeof(request));
    strcpy(request.ifr_name, "lo");
    CHECK(fd >= 0);
    if (mtu != 0) {
        request.ifr_mtu = mtu;
        CHECK(ioctl(fd, SIOCSIFMTU, &request) == 0);
    }
    request.ifr_flags = flags;
    CHECK(ioctl(fd, SIOCSIFFLAGS, &request) == 0);
    close(fd);
}

// Moves the process to a network namespace with nothing in it but a working `lo`. Call it before
// there are threads. NULL, or why it cannot be.
static inline const char *
own_network(void)
{
    uid_t uid = getuid();
    char map[64];
    int fd;

    if (unshare(CLONE_NEWNET) != 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
            return "may not make a network namespace";
        snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
        fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, map, strlen(map)) != (ssize_t)strlen(map))
            return "may not map users into a namespace";
        close(fd);
    }
    must_set_lo(IFF_UP | IFF_RUNNING, 0);
    return NULL;
}

// A packet socket that sends whole frames to `lo`, and receives nothing.
static inline int
must_lo_socket(void)
{
    struct sockaddr_ll address;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    memset(&address, 0, sizeof(address));
    address.sll_family = AF_PACKET;
    address.sll_ifindex = (int)if_nametoindex("lo");
    CHECK(fd >= 0 && address.sll_ifindex > 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

// What tests send: an Ethernet header with a type for experiments (IEEE 802, 0x88b5), the number,
// and bytes made from it.
#define FRAME_TYPE 0x88b5u
#define FRAME_HEAD 18u

static inline size_t
make_frame(uint8_t *to, uint32_t number, size_t len)
{
    memset(to, 0, 12);
    to[12] = FRAME_TYPE >> 8;
    to[13] = FRAME_TYPE & 0xff;
    memcpy(to + 14, &number, 4);
    fill(to + FRAME_HEAD, len - FRAME_HEAD, number);
    return len;
}

static inline void
must_send_frame(int fd, uint32_t number, size_t len)
{
    static _Thread_local uint8_t bytes[100000];

    CHECK(len >= FRAME_HEAD && len <= sizeof(bytes));
    make_frame(bytes, number, len);
    CHECK(send(fd, bytes, len, 0) == (ssize_t)len);
}

// The number of a frame that is whole and right; -1: it is not.
static inline int64_t
frame_number(const struct zcb_packet *packet)
{
    uint32_t number;

    if (packet->len < FRAME_HEAD || packet->data[12] != FRAME_TYPE >> 8 ||
        packet->data[13] != (FRAME_TYPE & 0xff))
        return -1;
    memcpy(&number, packet->data + 14, 4);
    return has_pattern(packet->data + FRAME_HEAD, packet->len - FRAME_HEAD, number)
               ? (int64_t)number
               : -1;
}

#endif
