// SPDX-License-Identifier: MIT

#include "net/traffic.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

uint8_t *traffic_bytes;

enum state { IDLE, SENDING, ENDING };

// Between the sender and the receiver. The order is the sender's while it is SENDING.
static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum state state;
    bool stop; // atomic: read between two system calls
    struct traffic order;
    int64_t result;
} sender = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

// ---- the sender

// Room for one system call. The numbers are written anew for each, the rest stays where it is, so
// that the sender moves no byte itself.
struct volley {
    uint64_t numbers[TRAFFIC_AT_ONCE];
    struct iovec iov[TRAFFIC_AT_ONCE][2];
    struct mmsghdr messages[TRAFFIC_AT_ONCE];
    _Alignas(struct cmsghdr) uint8_t segment[CMSG_SPACE(sizeof(uint16_t))];
};

static struct volley volley;

// `count` datagrams from `number` on, in messages of `train`. Returns the messages.
static unsigned
prepare(struct volley *v, const struct traffic *order, uint64_t number, unsigned count)
{
    unsigned messages = 0;

    for (unsigned i = 0; i < count; i++) {
        struct msghdr *message = &v->messages[messages].msg_hdr;

        v->numbers[i] = number + i;
        v->iov[i][0] = (struct iovec){&v->numbers[i], sizeof(v->numbers[i])};
        v->iov[i][1] = (struct iovec){(void *)(uintptr_t)traffic_payload(number + i),
                                      order->len - sizeof(v->numbers[i])};
        if (i % order->train == 0) {
            *message = (struct msghdr){.msg_iov = v->iov[i]};
            if (order->train > 1) {
                message->msg_control = v->segment;
                message->msg_controllen = sizeof(v->segment);
            }
        }
        message->msg_iovlen += 2;
        messages += i % order->train == order->train - 1 || i == count - 1;
    }
    return messages;
}

static void
set_segment(struct volley *v, size_t len)
{
    uint16_t value = (uint16_t)len;
    struct cmsghdr *c = (struct cmsghdr *)(void *)v->segment;

    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(value));
    memcpy(CMSG_DATA(c), &value, sizeof(value));
}

static int64_t
send_all(const struct traffic *order)
{
    unsigned most = TRAFFIC_AT_ONCE / order->train * order->train;
    uint64_t left = order->count, number = order->first;

    set_segment(&volley, order->len);
    while (left != 0 && !__atomic_load_n(&sender.stop, __ATOMIC_RELAXED)) {
        unsigned count = left < most ? (unsigned)left : most;
        unsigned messages = prepare(&volley, order, number, count), done = 0;

        while (done < messages) {
            int sent = sendmmsg(order->fd, &volley.messages[done], messages - done, 0);

            if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
                return -errno;
            done += sent > 0 ? (unsigned)sent : 0;
        }
        number += count;
        left -= left == UINT64_MAX ? 0 : count;
    }
    return (int64_t)number;
}

static void *
sender_main(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&sender.lock);
    while (sender.state != ENDING) {
        if (sender.state == SENDING) {
            pthread_mutex_unlock(&sender.lock);
            sender.result = send_all(&sender.order);
            pthread_mutex_lock(&sender.lock);
            sender.state = IDLE;
            pthread_cond_broadcast(&sender.changed);
        } else {
            pthread_cond_wait(&sender.changed, &sender.lock);
        }
    }
    pthread_mutex_unlock(&sender.lock);
    return NULL;
}

// ---- orders

static void
set_state(enum state state)
{
    pthread_mutex_lock(&sender.lock);
    sender.state = state;
    pthread_cond_broadcast(&sender.changed);
    pthread_mutex_unlock(&sender.lock);
}

void
traffic_begin(const struct traffic *what)
{
    sender.order = *what;
    __atomic_store_n(&sender.stop, false, __ATOMIC_RELAXED);
    set_state(SENDING);
}

int64_t
traffic_wait(void)
{
    pthread_mutex_lock(&sender.lock);
    while (sender.state != IDLE)
        pthread_cond_wait(&sender.changed, &sender.lock);
    pthread_mutex_unlock(&sender.lock);
    return sender.result;
}

int64_t
traffic_stop(void)
{
    __atomic_store_n(&sender.stop, true, __ATOMIC_RELAXED);
    return traffic_wait();
}

// ---- where they are

// An interface without a name is down until somebody says otherwise.
static int
set_up_lo(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = 0;

    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        result = -errno;
    if (fd >= 0)
        close(fd);
    return result;
}

static bool
leave_network(void)
{
    return (unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) &&
           set_up_lo() == 0;
}

// The receiver on the first CPU that it may use, the sender on the second.
static void
settle(pthread_t thread, int which)
{
    cpu_set_t may, set;

    if (pthread_getaffinity_np(pthread_self(), sizeof(may), &may) != 0 || CPU_COUNT(&may) < 2)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &may) && which-- == 0) {
            CPU_ZERO(&set);
            CPU_SET(cpu, &set);
            (void)pthread_setaffinity_np(thread, sizeof(set), &set); // it works without, too
        }
}

int
traffic_open(bool *alone)
{
    int result;

    traffic_bytes = bench_alloc(TRAFFIC_LONGEST + 256);
    bench_fill(traffic_bytes, TRAFFIC_LONGEST + 256, 7);
    *alone = leave_network();
    result = pthread_create(&sender.thread, NULL, sender_main, NULL);
    if (result != 0)
        return -result;
    settle(sender.thread, 1); // before the receiver has only one left
    settle(pthread_self(), 0);
    return 0;
}

void
traffic_close(void)
{
    set_state(ENDING);
    pthread_join(sender.thread, NULL);
}

int
traffic_sockets(int fds[2], size_t *room)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval second = {.tv_sec = 1};
    socklen_t len = sizeof(name), int_len = sizeof(int);
    int want = 128 << 20, got = 0, result;

    fds[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    fds[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fds[0] >= 0 && fds[1] >= 0 && bind(fds[1], (struct sockaddr *)&name, len) == 0 &&
        getsockname(fds[1], (struct sockaddr *)&name, &len) == 0 &&
        connect(fds[0], (struct sockaddr *)&name, len) == 0) {
        if (setsockopt(fds[1], SOL_SOCKET, SO_RCVBUFFORCE, &want, sizeof(want)) < 0)
            (void)setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &want, sizeof(want));
        // A receiver that waits for what does not come is to find out.
        (void)setsockopt(fds[1], SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
        if (getsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &got, &int_len) == 0) {
            *room = (size_t)got;
            return 0;
        }
    }
    result = -errno;
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return result;
}
