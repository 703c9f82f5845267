// SPDX-License-Identifier: MIT
//
// What the receivers of this benchmark are sent, over a loopback interface: datagrams that carry
// their number and bytes that follow from it. One thread on a CPU of its own sends them.
#ifndef BENCH_NET_TRAFFIC_H
#define BENCH_NET_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    TRAFFIC_LONGEST = 65507,
    TRAFFIC_AT_ONCE = 64, // datagrams for one system call
};

struct traffic {
    int fd;         // a connected UDP socket
    size_t len;     // of each datagram, with the number in front
    unsigned train; // datagrams that go out as one (UDP_SEGMENT); 1: each by itself
    uint64_t first; // the number of the first one
    uint64_t count; // UINT64_MAX: until traffic_stop()
};

// Starts the sender, and keeps the calling thread, the receiver, off its CPU. Where that is allowed
// both move to a network namespace of their own, in which nobody else sends: then *alone. Call it
// before there are other threads. 0 or a negative errno.
int traffic_open(bool *alone);
void traffic_close(void);

// Begins to send; traffic_wait() waits for the end, traffic_stop() brings it about. Both return the
// number behind the last one sent, or a negative errno.
void traffic_begin(const struct traffic *what);
int64_t traffic_wait(void);
int64_t traffic_stop(void);

// A pair of sockets on 127.0.0.1, the first of them connected to the second, which has as much
// room as there is: *room. 0 or a negative errno.
int traffic_sockets(int fds[2], size_t *room);

// What follows the number in datagram `number`.
extern uint8_t *traffic_bytes;

static inline const uint8_t *
traffic_payload(uint64_t number)
{
    return traffic_bytes + (number & 255);
}

// Where a receiver puts what it was sent. Looks at the number and the length of each, as a program
// would look at a header.
struct sink {
    size_t len;
    uint64_t next; // number that is expected
    uint64_t packets;
    bool lossy; // some may be missing, but none may come twice or late
    bool whole; // look at every byte
    bool wrong;
};

static inline void
sink_take(struct sink *sink, const uint8_t *data, size_t len)
{
    uint64_t number = 0;

    if (len == sink->len)
        memcpy(&number, data, sizeof(number));
    else
        sink->wrong = true;
    if (sink->lossy ? number < sink->next : number != sink->next)
        sink->wrong = true;
    if (sink->whole && !sink->wrong &&
        memcmp(data + sizeof(number), traffic_payload(number), len - sizeof(number)) != 0)
        sink->wrong = true;
    sink->next = number + 1;
    sink->packets++;
}

#endif
