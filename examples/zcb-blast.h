// SPDX-License-Identifier: MIT
//
// The parts of zcb-blast:
//
//     zcb-blast.c         the loop that sends, the report
//     zcb-blast-options.c the command line
//     zcb-blast-route.c   where a packet for the target would go, and whether it may
//     zcb-blast-frame.c   the template that all packets are stamped from
#ifndef EXAMPLES_ZCB_BLAST_H
#define EXAMPLES_ZCB_BLAST_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <zcbuf/adapt/frame.h>
#include <zcbuf/buf.h>

#include "cli.h"

// Ethernet, a VLAN tag, IPv6, TCP with options; behind it at most a datagram's payload.
#define MAX_FRAME (18u + 65535u)

struct route {
    unsigned version;   // 4 or 6; of both addresses
    uint8_t target[16]; // IPv4: the first 4 bytes
    uint8_t source[16];
    unsigned ifindex;
    char ifname[IF_NAMESIZE];
    uint8_t from[6], to[6]; // Ethernet addresses
    bool loopback;          // the interface is
    bool no_arp;            // nobody answers there, nobody needs to
    uint32_t mtu;
};

// Fills in the rest for route->version and ->target. `ifname` NULL: the one that the system would
// take. Refuses (EXIT_INTERFACE, after a message) all but the machine itself and private addresses
// that are directly on a veth, dummy or loopback interface.
enum exit_code route_find(struct route *route, const char *ifname);

// Asks the network for the target's Ethernet address, for up to a second.
enum exit_code route_resolve(struct route *route);

struct shape {
    bool tcp;
    uint32_t payload; // bytes, UDP
    int vlan;         // -1: none
    uint16_t source_port, port;
};

struct options {
    const char *target, *iface, *write;
    unsigned version; // 4 or 6
    uint8_t address[16];
    uint64_t rate, count, duration;
    uint32_t first_port, last_port;
    bool gso, json, quiet;
    struct shape shape;
};

// Fills in all of *out. false: a message was said. *help: the usage was printed.
bool options_parse(int argc, char **argv, struct options *out, bool *help);

// The frame that the others are stamped from, with checksums; NULL after a message.
struct zcb_buf *frame_create(const struct route *route, const struct shape *shape);

#endif
