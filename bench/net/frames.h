// SPDX-License-Identifier: MIT
//
// Frames to take apart, as a capture file in memory, and what is found in them.
#ifndef BENCH_NET_FRAMES_H
#define BENCH_NET_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zcbuf/pool.h>

enum frame_kind {
    FRAME_SYN,   // TCP over IPv4, padded to 64 bytes
    FRAME_UDP,   // 1400 bytes
    FRAME_VLAN,  // TCP over IPv4, 512 bytes of payload, one tag
    FRAME_IPV6,  // TCP, 512 bytes of payload
    FRAME_HOP,   // IPv6 with a hop-by-hop header, UDP
    FRAME_QUOTE, // ICMP: port unreachable
    FRAME_ARP,
    FRAME_KINDS,
    FRAME_MIX = FRAME_KINDS, // all of them, the first two more often
};

extern const char *const frame_names[FRAME_KINDS + 1];

// In front of each frame in the file: tcpdump.org/manpages/pcap-savefile.5.html.
struct frame_record {
    uint32_t seconds, microseconds;
    uint32_t captured, length;
};

enum { FRAMES_COUNT = 512, FRAMES_HEADER = 24 };

struct frames {
    uint8_t *file; // a header, then records with their frames
    size_t len;
    uint64_t expected; // sum of what is found in all of them: frame_found()
};

// 0 or a negative errno.
int frames_make(struct frames *frames, struct zcb_pool *pool, enum frame_kind kind);

// What a parser is asked for: where things are, and the ports, in a number that tells if one of them
// is wrong.
static inline uint64_t
frame_found(uint32_t network, uint32_t transport, uint32_t payload, uint16_t from, uint16_t to)
{
    return network + 3 * (uint64_t)transport + 5 * (uint64_t)payload + 7 * (uint64_t)from +
           11 * (uint64_t)to;
}

// The limit: offsets where a program expects them, compared with nothing but the length.
uint64_t frame_by_hand(const uint8_t *data, size_t len);

// The next record, or NULL behind the last one.
static inline const uint8_t *
frames_next(const uint8_t *at, const uint8_t *end, const uint8_t **data, size_t *len)
{
    const struct frame_record *record = (const struct frame_record *)(const void *)at;

    if (at >= end)
        return NULL;
    *data = at + sizeof(*record);
    *len = record->captured;
    return *data + *len;
}

#endif
