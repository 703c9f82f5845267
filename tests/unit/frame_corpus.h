// SPDX-License-Identifier: MIT
//
// Frames, one header in a line, and what is in them.
#ifndef ZCB_TESTS_FRAME_CORPUS_H
#define ZCB_TESTS_FRAME_CORPUS_H

#include <zcbuf/adapt/frame.h>

struct frame_case {
    const char *name, *hex;
    enum zcb_frame_link link;
    enum zcb_frame_verdict verdict;
    enum zcb_frame_checksum_state ip, transport; // checksums
    uint32_t layers;
    uint32_t at;           // where it is wrong; where it is not: the payload
    uint32_t network, end; // end: of good ones alone
    uint32_t transport_at;
    uint16_t type;
    uint8_t protocol, vlans, extensions;
    bool wired; // what is there is all there was on the wire
    uint32_t fragment_off;
};

#define L(name) ZCB_FRAME_##name
#define SUMS(ip, transport) ZCB_FRAME_CHECKSUM_##ip, ZCB_FRAME_CHECKSUM_##transport

// clang-format off
static const struct frame_case frame_cases[] = {
    { "arp request, padded",
      "0200000000020200000000010806" // ethernet
      "0001080006040001020000000001c0a80001000000000000c0a80102" // arp
      "000000000000000000000000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(ARP),
      42, 14, 42, 0, 0x0806, 0, 0, 0, false, 0 },
    { "arp of another kind",
      "0200000000020200000000010806" // ethernet
      "0006080008040002000102030405060708090a0b0c0d0e0f1011121314151617", // arp
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(ARP),
      46, 14, 46, 0, 0x0806, 0, 0, 0, false, 0 },
    { "udp, padded",
      "0200000000020200000000010800" // ethernet
      "45b90021123440000711de8bc0a80001c0a80102" // ipv4
      "03e80035000d3591" // udp
      "68656c6c6f" // payload
      "00000000000000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, GOOD),
      L(ETHERNET) | L(IPV4) | L(UDP) | L(PORTS),
      42, 14, 47, 34, 0x0800, 17, 0, 0, false, 0 },
    { "tcp syn with options",
      "0200000000020200000000010800" // ethernet
      "4500003c123440004006a634c0a80001c0a80102" // ipv4
      "9c4000500102030400000000a002faf02a240000020405b40402080a0000000100000000" // tcp
      "01030307",
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, GOOD),
      L(ETHERNET) | L(IPV4) | L(TCP) | L(PORTS),
      74, 14, 74, 34, 0x0800, 6, 0, 0, false, 0 },
    { "vlan, ping",
      "0200000000020200000000018100" // ethernet
      "60640800" // vlan
      "45000026123440004001a64fc0a80001c0a80102" // ipv4
      "0800e1e600010002" // icmp
      "68656c6c6f68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, GOOD),
      L(ETHERNET) | L(VLAN) | L(IPV4) | L(ICMP),
      46, 18, 56, 38, 0x0800, 1, 1, 0, false, 0 },
    { "stacked tags, ipv6 tcp",
      "02000000000202000000000188a8" // ethernet
      "00648100" // vlan
      "200786dd" // vlan
      "612abcde0019064020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "9c40005001020304000000055018faf074f40000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, GOOD),
      L(ETHERNET) | L(VLAN) | L(IPV6) | L(TCP) | L(PORTS),
      82, 22, 87, 62, 0x86dd, 6, 2, 0, false, 0 },
    { "four tags",
      "0200000000020200000000019100" // ethernet
      "00019100" // vlan
      "000288a8" // vlan
      "00038100" // vlan
      "00040800" // vlan
      "4500002d123440004006a643c0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, GOOD),
      L(ETHERNET) | L(VLAN) | L(IPV4) | L(TCP) | L(PORTS),
      70, 30, 75, 50, 0x0800, 6, 4, 0, false, 0 },
    { "every extension, segments left",
      "02000000000202000000000186dd" // ethernet
      "60000000003d004020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "2b00050200000100" // hopbyhop
      "3c0200010000000020010db8000000000000000000000003" // routing
      "2c00010400000000" // destination
      "11000000abcdef01" // fragment
      "03e80035000d5c6f" // udp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, GOOD),
      L(ETHERNET) | L(IPV6) | L(UDP) | L(PORTS),
      110, 14, 115, 102, 0x86dd, 17, 0, 4, false, 0 },
    { "segment routing",
      "02000000000202000000000186dd" // ethernet
      "6000000000412b4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "060404010100000020010db800000000000000000000000320010db80000000000000000" // routing
      "00000002"
      "9c40005001020304000000005002faf0750e0000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, GOOD),
      L(ETHERNET) | L(IPV6) | L(TCP) | L(PORTS),
      114, 14, 119, 94, 0x86dd, 6, 0, 1, false, 0 },
    { "routing at its end",
      "02000000000202000000000186dd" // ethernet
      "6000000000312b4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "060200000000000020010db8000000000000000000000003" // routing
      "9c40005001020304000000005002faf0750f0000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, GOOD),
      L(ETHERNET) | L(IPV6) | L(TCP) | L(PORTS),
      98, 14, 103, 78, 0x86dd, 6, 0, 1, false, 0 },
    { "routing of an unknown kind",
      "02000000000202000000000186dd" // ethernet
      "6000000000312b4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "0602fd010000000020010db8000000000000000000000003" // routing
      "9c40005001020304000000005002faf0750e0000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6) | L(TCP) | L(PORTS),
      98, 14, 103, 78, 0x86dd, 6, 0, 1, false, 0 },
    { "authentication and mobility",
      "02000000000202000000000186dd" // ethernet
      "600000000020334020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "870400000000010000000001000102030405060708090a0b" // ah
      "3b00050000000000", // mobility
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      86, 14, 86, 0, 0x86dd, 59, 0, 2, false, 0 },
    { "ipv6 ping",
      "02000000000202000000000186dd" // ethernet
      "60000000000d3a4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "8000e06800070001" // icmpv6
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, GOOD),
      L(ETHERNET) | L(IPV6) | L(ICMPV6),
      62, 14, 67, 54, 0x86dd, 58, 0, 0, false, 0 },
    { "ipv4 options",
      "0200000000020200000000010800" // ethernet
      "48000039123440004006da82c0a80001c0a8010201070704c0a8000100000000" // ipv4
      "9c40005001020304000000005010faf04e220000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, GOOD),
      L(ETHERNET) | L(IPV4) | L(TCP) | L(PORTS),
      66, 14, 71, 46, 0x0800, 6, 0, 0, false, 0 },
    { "authentication behind ipv4",
      "0200000000020200000000010800" // ethernet
      "45000045123440004033a5fec0a80001c0a80102" // ipv4
      "060400000000010000000001000102030405060708090a0b" // ah
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, GOOD),
      L(ETHERNET) | L(IPV4) | L(TCP) | L(PORTS),
      78, 14, 83, 58, 0x0800, 6, 0, 1, false, 0 },
    { "port unreachable, 8 bytes quoted",
      "0200000000020200000000010800" // ethernet
      "45000038123440004001a63dc0a80001c0a80102" // ipv4
      "03038e9700000000" // icmp
      "4500003a123440000111e52bc0a80102c0a80001" // quoted ipv4
      "1388829a0026d81c", // quoted udp
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, GOOD),
      L(ETHERNET) | L(IPV4) | L(ICMP) | L(INNER),
      42, 14, 70, 34, 0x0800, 1, 0, 0, false, 0 },
    { "time exceeded, extended",
      "0200000000020200000000010800" // ethernet
      "450000a8123440004001a5cdc0a80001c0a80102" // ipv4
      "0b00764b00200000" // icmp
      "4500002d123440004006a643c0a80102c0a80001" // quoted ipv4
      "9c40005001020304000000005002faf04e30000068656c6c6f" // quoted tcp
      "000000000000000000000000000000000000000000000000000000000000000000000000" // padding
      "000000000000000000000000000000000000000000000000000000000000000000000000"
      "0000000000000000000000"
      "20009ff70008010100064001", // extension structure
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, GOOD),
      L(ETHERNET) | L(IPV4) | L(ICMP) | L(INNER),
      42, 14, 182, 34, 0x0800, 1, 0, 0, false, 0 },
    { "packet too big",
      "02000000000202000000000186dd" // ethernet
      "6000000000533a4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "020030f600000500" // icmpv6
      "6000000005f0064020010db800000000000000000000000220010db80000000000000000" // quoted ipv6
      "00000001"
      "9c40005001020304000000005002faf05eef000068656c6c6f68656c6c6f68656c6c6f", // quoted tcp
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, GOOD),
      L(ETHERNET) | L(IPV6) | L(ICMPV6) | L(INNER),
      62, 14, 137, 54, 0x86dd, 58, 0, 0, false, 0 },
    { "spanning tree",
      "0180c20000000200000000010026" // 802.3
      "424203" // llc
      "0000000000000000000000000000000000000000000000000000000000000000000000" // payload
      "0000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(LLC),
      17, 0, 52, 0, 0x0000, 0, 0, 0, false, 0 },
    { "llc with two bytes of control",
      "0200000000020200000000010009" // 802.3
      "f0f00000" // llc
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(LLC),
      18, 0, 23, 0, 0x0000, 0, 0, 0, false, 0 },
    { "snap, ipv4",
      "0200000000020200000000010029" // 802.3
      "aaaa03" // llc
      "0000000800" // snap
      "45000021123440004011a644c0a80001c0a80102" // ipv4
      "03e80035000d3591" // udp
      "68656c6c6f" // payload
      "0000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, GOOD),
      L(ETHERNET) | L(LLC) | L(SNAP) | L(IPV4) | L(UDP) | L(PORTS),
      50, 22, 55, 42, 0x0800, 17, 0, 0, false, 0 },
    { "snap of an organisation",
      "01000ccccccc020000000001000d" // 802.3
      "aaaa03" // llc
      "00000c2000" // snap
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(LLC) | L(SNAP),
      22, 0, 27, 0, 0x0000, 0, 0, 0, false, 0 },
    { "tag, then llc",
      "0200000000020200000000018100" // ethernet
      "00070008" // vlan
      "424203" // llc
      "68656c6c6f" // payload
      "00000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(VLAN) | L(LLC),
      21, 0, 26, 0, 0x0000, 0, 1, 0, false, 0 },
    { "lldp",
      "02000000000202000000000188cc" // ethernet
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      14, 0, 19, 0, 0x88cc, 0, 0, 0, false, 0 },
    { "cooked",
      "00000001000602000000000100000800" // sll
      "45000021123440004011a644c0a80001c0a80102" // ipv4
      "03e80035000d3591" // udp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_SLL, L(OK), SUMS(GOOD, GOOD),
      L(SLL) | L(IPV4) | L(UDP) | L(PORTS),
      44, 16, 49, 36, 0x0800, 17, 0, 0, false, 0 },
    { "cooked, tagged",
      "00000001000602000000000100008100" // sll
      "00090800" // vlan
      "45000021123440004011a644c0a80001c0a80102" // ipv4
      "03e80035000d3591" // udp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_SLL, L(OK), SUMS(GOOD, GOOD),
      L(SLL) | L(VLAN) | L(IPV4) | L(UDP) | L(PORTS),
      48, 20, 53, 40, 0x0800, 17, 1, 0, false, 0 },
    { "cooked, llc",
      "00000001000602000000000100000004" // sll
      "424203" // llc
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_SLL, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(SLL) | L(LLC),
      19, 0, 24, 0, 0x0000, 0, 0, 0, false, 0 },
    { "cooked, of the kernel",
      "00040338000000000000000000000010" // sll
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_SLL, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(SLL),
      16, 0, 21, 0, 0x0000, 0, 0, 0, false, 0 },
    { "cooked, version 2",
      "86dd000000000003000100060200000000010000" // sll2
      "600000000019064020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "9c40005001020304000000005002faf0750f0000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_SLL2, L(OK), SUMS(UNKNOWN, GOOD),
      L(SLL) | L(IPV6) | L(TCP) | L(PORTS),
      80, 20, 85, 60, 0x86dd, 6, 0, 0, false, 0 },
    { "null, little endian",
      "02000000" // null
      "45000021123440004011a644c0a80001c0a80102" // ipv4
      "03e80035000d3591" // udp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_NULL, L(OK), SUMS(GOOD, GOOD),
      L(LOOPBACK) | L(IPV4) | L(UDP) | L(PORTS),
      32, 4, 37, 24, 0x0800, 17, 0, 0, false, 0 },
    { "null, big endian",
      "0000001e" // null
      "600000000019064020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "9c40005001020304000000005002faf0750f0000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_NULL, L(OK), SUMS(UNKNOWN, GOOD),
      L(LOOPBACK) | L(IPV6) | L(TCP) | L(PORTS),
      64, 4, 69, 44, 0x86dd, 6, 0, 0, false, 0 },
    { "null, of another family",
      "07000000" // null
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_NULL, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(LOOPBACK),
      4, 0, 9, 0, 0x0000, 0, 0, 0, false, 0 },
    { "loop",
      "00000018" // loop
      "600000000019064020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "9c40005001020304000000005002faf0750f0000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_LOOP, L(OK), SUMS(UNKNOWN, GOOD),
      L(LOOPBACK) | L(IPV6) | L(TCP) | L(PORTS),
      64, 4, 69, 44, 0x86dd, 6, 0, 0, false, 0 },
    { "raw ipv4",
      "45000021123440004011a644c0a80001c0a80102" // ipv4
      "03e80035000d3591" // udp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_RAW, L(OK), SUMS(GOOD, GOOD),
      L(IPV4) | L(UDP) | L(PORTS),
      28, 0, 33, 20, 0x0800, 17, 0, 0, false, 0 },
    { "raw ipv6",
      "600000000019064020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "9c40005001020304000000005002faf0750f0000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_RAW, L(OK), SUMS(UNKNOWN, GOOD),
      L(IPV6) | L(TCP) | L(PORTS),
      60, 0, 65, 40, 0x86dd, 6, 0, 0, false, 0 },
    { "ipv4 alone",
      "45000021123440004011a644c0a80001c0a80102" // ipv4
      "03e80035000d3591" // udp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_IPV4, L(OK), SUMS(GOOD, GOOD),
      L(IPV4) | L(UDP) | L(PORTS),
      28, 0, 33, 20, 0x0800, 17, 0, 0, false, 0 },
    { "ipv6 alone",
      "600000000019064020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "9c40005001020304000000005002faf0750f0000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_IPV6, L(OK), SUMS(UNKNOWN, GOOD),
      L(IPV6) | L(TCP) | L(PORTS),
      60, 0, 65, 40, 0x86dd, 6, 0, 0, false, 0 },
    { "first fragment",
      "0200000000020200000000010800" // ethernet
      "4500002c123420004011c639c0a80001c0a80102" // ipv4
      "03e800350048bc10" // udp
      "30313233343536373839616263646566", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4) | L(UDP) | L(PORTS) | L(FRAGMENT) | L(MORE),
      42, 14, 58, 34, 0x0800, 17, 0, 0, false, 0 },
    { "middle fragment",
      "0200000000020200000000010800" // ethernet
      "45000024123420034011c63ec0a80001c0a80102" // ipv4
      "30313233343536373839616263646566", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4) | L(FRAGMENT) | L(MORE),
      34, 14, 50, 0, 0x0800, 17, 0, 0, false, 24 },
    { "last fragment",
      "0200000000020200000000010800" // ethernet
      "45000019123400054011e647c0a80001c0a80102" // ipv4
      "3031323334" // payload
      "00000000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4) | L(FRAGMENT),
      34, 14, 39, 0, 0x0800, 17, 0, 0, false, 40 },
    { "ipv6 first fragment",
      "02000000000202000000000186dd" // ethernet
      "6000000000202c4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "11000001abcdef01" // fragment
      "03e800350048bc10" // udp
      "30313233343536373839616263646566", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6) | L(UDP) | L(PORTS) | L(FRAGMENT) | L(MORE),
      70, 14, 86, 62, 0x86dd, 17, 0, 1, false, 0 },
    { "ipv6 last fragment",
      "02000000000202000000000186dd" // ethernet
      "60000000000d2c4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3c000018abcdef01" // fragment
      "3031323334", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6) | L(FRAGMENT),
      62, 14, 67, 0, 0x86dd, 60, 0, 1, false, 24 },
    { "sctp",
      "0200000000020200000000010800" // ethernet
      "45000024123440004084a5cec0a80001c0a80102" // ipv4
      "30313233343536373839616263646566", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4),
      34, 14, 50, 0, 0x0800, 132, 0, 0, false, 0 },
    { "encrypted",
      "02000000000202000000000186dd" // ethernet
      "600000000010324020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "30313233343536373839616263646566", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      54, 14, 70, 0, 0x86dd, 50, 0, 0, false, 0 },
    { "ip in ip",
      "0200000000020200000000010800" // ethernet
      "45000035123440004004a63dc0a80001c0a80102" // ipv4
      "450000211234400040115dec0a000003c0a80001" // inner ipv4
      "03e80035000ded38" // inner udp
      "68656c6c6f" // payload
      "000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4) | L(INNER),
      34, 14, 67, 0, 0x0800, 4, 0, 0, false, 0 },
    { "ipv6 in ipv4",
      "0200000000020200000000010800" // ethernet
      "45000055123440004029a5f8c0a80001c0a80102" // ipv4
      "600000000019064020010db800000000000000000000000120010db80000000000000000" // inner ipv6
      "00000002"
      "9c40005001020304000000005002faf0750f0000" // inner tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4) | L(INNER),
      34, 14, 99, 0, 0x0800, 41, 0, 0, false, 0 },
    { "udp without a checksum",
      "0200000000020200000000010800" // ethernet
      "45000021123440004011a644c0a80001c0a80102" // ipv4
      "03e80035000d0000" // udp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, NONE),
      L(ETHERNET) | L(IPV4) | L(UDP) | L(PORTS),
      42, 14, 47, 34, 0x0800, 17, 0, 0, false, 0 },
    { "ipv6 udp without a checksum",
      "02000000000202000000000186dd" // ethernet
      "60000000000d114020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "03e80035000d0000" // udp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, MISSING),
      L(ETHERNET) | L(IPV6) | L(UDP) | L(PORTS),
      62, 14, 67, 54, 0x86dd, 17, 0, 0, false, 0 },
    { "tcp, the rest left to the card",
      "0200000000020200000000010800" // ethernet
      "4500002d123440004006a643c0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf082730000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, PARTIAL),
      L(ETHERNET) | L(IPV4) | L(TCP) | L(PORTS),
      54, 14, 59, 34, 0x0800, 6, 0, 0, false, 0 },
    { "wrong checksums",
      "0200000000020200000000010800" // ethernet
      "4500002d123440004006b752c0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf012340000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(BAD, BAD),
      L(ETHERNET) | L(IPV4) | L(TCP) | L(PORTS),
      54, 14, 59, 34, 0x0800, 6, 0, 0, false, 0 },
    { "no next header",
      "02000000000202000000000186dd" // ethernet
      "6000000000103b4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "30313233343536373839616263646566", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      54, 14, 70, 0, 0x86dd, 59, 0, 0, false, 0 },
    { "ipv6 with nothing",
      "02000000000202000000000186dd" // ethernet
      "6000000000003b4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      54, 14, 54, 0, 0x86dd, 59, 0, 0, false, 0 },
    { "more ip than udp",
      "0200000000020200000000010800" // ethernet
      "4500002a123440004011a63bc0a80001c0a80102" // ipv4
      "03e80035000d3591" // udp
      "68656c6c6f" // payload
      "000000000000000000", // surplus
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(GOOD, GOOD),
      L(ETHERNET) | L(IPV4) | L(UDP) | L(PORTS),
      42, 14, 47, 34, 0x0800, 17, 0, 0, false, 0 },
    { "icmp behind ipv6 is payload",
      "02000000000202000000000186dd" // ethernet
      "60000000000d014020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "0100bb2d0000000068656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OK), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      54, 14, 67, 0, 0x86dd, 1, 0, 0, false, 0 },
    { "version 5",
      "0200000000020200000000010800" // ethernet
      "5500002d1234400040069643c0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(IP_VERSION), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      14, 0, 0, 0, 0x0800, 0, 0, 0, false, 0 },
    { "ihl 4",
      "0200000000020200000000010800" // ethernet
      "4400002d123440004006a743c0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(IPV4_IHL), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      14, 0, 0, 0, 0x0800, 0, 0, 0, false, 0 },
    { "ihl 0",
      "0200000000020200000000010800" // ethernet
      "4000002d123440004006ab43c0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(IPV4_IHL), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      14, 0, 0, 0, 0x0800, 0, 0, 0, false, 0 },
    { "total length below the header",
      "0200000000020200000000010800" // ethernet
      "45000013123440004006a65dc0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(IP_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      16, 0, 0, 0, 0x0800, 0, 0, 0, false, 0 },
    { "total length below the options",
      "0200000000020200000000010800" // ethernet
      "46000017123440004006a559c0a80001c0a8010200000000" // ipv4
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(IP_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      16, 0, 0, 0, 0x0800, 0, 0, 0, false, 0 },
    { "total length 0",
      "0200000000020200000000010800" // ethernet
      "45000000123440004006a670c0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(IP_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      16, 0, 0, 0, 0x0800, 0, 0, 0, false, 0 },
    { "total length beyond the wire",
      "0200000000020200000000010800" // ethernet
      "4500002e123440004006a642c0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(IP_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      16, 0, 0, 0, 0x0800, 0, 0, 0, true, 0 },
    { "header beyond the wire",
      "0200000000020200000000010800" // ethernet
      "4f00002d1234400040069c43c0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(IP_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      16, 0, 0, 0, 0x0800, 0, 0, 0, false, 0 },
    { "five tags",
      "0200000000020200000000018100" // ethernet
      "00008100" // vlan
      "00018100" // vlan
      "00028100" // vlan
      "00038100" // vlan
      "00050800" // vlan
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(VLAN_DEPTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(VLAN),
      28, 0, 0, 0, 0x8100, 0, 4, 0, false, 0 },
    { "tags without end",
      "0200000000020200000000018100" // ethernet
      "00008100" // vlan
      "00018100" // vlan
      "00028100" // vlan
      "00038100" // vlan
      "00048100" // vlan
      "00058100" // vlan
      "00068100" // vlan
      "00078100" // vlan
      "00088100", // vlan
      ZCB_FRAME_LINK_ETHERNET, L(VLAN_DEPTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(VLAN),
      28, 0, 0, 0, 0x8100, 0, 4, 0, false, 0 },
    { "802.3 length beyond the wire",
      "0180c20000000200000000010027" // 802.3
      "424203" // llc
      "0000000000000000000000000000000000000000000000000000000000000000000000", // payload
      ZCB_FRAME_LINK_ETHERNET, L(LLC_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      12, 0, 0, 0, 0x0000, 0, 0, 0, true, 0 },
    { "llc of two bytes",
      "0180c20000000200000000010002" // 802.3
      "4242" // llc
      "0000000000000000000000000000000000000000000000000000000000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OVERRUN), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      14, 0, 0, 0, 0x0000, 0, 0, 0, false, 0 },
    { "snap of four bytes",
      "0180c20000000200000000010007" // 802.3
      "aaaa03" // llc
      "00000008" // snap
      "0000000000000000000000000000000000000000000000000000000000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OVERRUN), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(LLC),
      17, 0, 0, 0, 0x0000, 0, 0, 0, false, 0 },
    { "arp beyond the wire",
      "0200000000020200000000010806" // ethernet
      "0001080006040001020000000001c0a80001000000000000c0a801", // arp
      ZCB_FRAME_LINK_ETHERNET, L(OVERRUN), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      14, 0, 0, 0, 0x0806, 0, 0, 0, true, 0 },
    { "ping of death",
      "0200000000020200000000010800" // ethernet
      "4500002c12341ffe4001c64bc0a80001c0a80102" // ipv4
      "000000000000000000000000000000000000000000000000", // payload
      ZCB_FRAME_LINK_ETHERNET, L(FRAGMENT_RANGE), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4) | L(FRAGMENT),
      20, 14, 0, 0, 0x0800, 1, 0, 0, false, 65520 },
    { "fragment of an odd length",
      "0200000000020200000000010800" // ethernet
      "4500002b123420014001c649c0a80001c0a80102" // ipv4
      "0000000000000000000000000000000000000000000000", // payload
      ZCB_FRAME_LINK_ETHERNET, L(FRAGMENT_LENGTH), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4) | L(FRAGMENT) | L(MORE),
      20, 14, 0, 0, 0x0800, 1, 0, 0, false, 8 },
    { "ipv6 ping of death",
      "02000000000202000000000186dd" // ethernet
      "6000000000182c4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3a00fff8abcdef01" // fragment
      "00000000000000000000000000000000", // payload
      ZCB_FRAME_LINK_ETHERNET, L(FRAGMENT_RANGE), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6) | L(FRAGMENT),
      56, 14, 0, 0, 0x86dd, 44, 0, 0, false, 65528 },
    { "ipv6 fragment of an odd length",
      "02000000000202000000000186dd" // ethernet
      "6000000000172c4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3a000009abcdef01" // fragment
      "000000000000000000000000000000", // payload
      ZCB_FRAME_LINK_ETHERNET, L(FRAGMENT_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6) | L(FRAGMENT) | L(MORE),
      56, 14, 0, 0, 0x86dd, 44, 0, 0, false, 8 },
    { "hop-by-hop twice",
      "02000000000202000000000186dd" // ethernet
      "600000000010004020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "0000010400000000" // hopbyhop
      "3b00010400000000", // hopbyhop
      ZCB_FRAME_LINK_ETHERNET, L(EXTENSION_ORDER), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      62, 14, 0, 0, 0x86dd, 0, 0, 1, false, 0 },
    { "hop-by-hop behind another",
      "02000000000202000000000186dd" // ethernet
      "6000000000103c4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "0000010400000000" // destination
      "3b00010400000000", // hopbyhop
      ZCB_FRAME_LINK_ETHERNET, L(EXTENSION_ORDER), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      62, 14, 0, 0, 0x86dd, 0, 0, 1, false, 0 },
    { "fragment header twice",
      "02000000000202000000000186dd" // ethernet
      "6000000000102c4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "2c000000abcdef01" // fragment
      "11000000abcdef01", // fragment
      ZCB_FRAME_LINK_ETHERNET, L(EXTENSION_ORDER), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      62, 14, 0, 0, 0x86dd, 44, 0, 1, false, 0 },
    { "nine extension headers",
      "02000000000202000000000186dd" // ethernet
      "6000000000483c4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3c00010400000000" // destination
      "3c00010400000000" // destination
      "3c00010400000000" // destination
      "3c00010400000000" // destination
      "3c00010400000000" // destination
      "3c00010400000000" // destination
      "3c00010400000000" // destination
      "3c00010400000000" // destination
      "3c00010400000000", // destination
      ZCB_FRAME_LINK_ETHERNET, L(EXTENSION_COUNT), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      118, 14, 0, 0, 0x86dd, 60, 0, 8, false, 0 },
    { "authentication of 8 bytes",
      "02000000000202000000000186dd" // ethernet
      "600000000008334020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3b00000000000100", // ah
      ZCB_FRAME_LINK_ETHERNET, L(EXTENSION_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      55, 14, 0, 0, 0x86dd, 51, 0, 0, false, 0 },
    { "extension beyond the packet",
      "02000000000202000000000186dd" // ethernet
      "6000000000083c4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3b01010400000000" // destination
      "0000000000000000000000000000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OVERRUN), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      54, 14, 0, 0, 0x86dd, 60, 0, 0, false, 0 },
    { "extension of four bytes",
      "02000000000202000000000186dd" // ethernet
      "6000000000043c4020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3b000102" // destination
      "0000000000000000000000000000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OVERRUN), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      54, 14, 0, 0, 0x86dd, 60, 0, 0, false, 0 },
    { "hop-by-hop option beyond its header",
      "02000000000202000000000186dd" // ethernet
      "600000000008004020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3b00050500000000" // hopbyhop
      "0000000000000000000000000000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OPTION_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      56, 14, 0, 0, 0x86dd, 0, 0, 0, false, 0 },
    { "hop-by-hop option without a length",
      "02000000000202000000000186dd" // ethernet
      "600000000008004020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3b00000000000005" // hopbyhop
      "0000000000000000000000000000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OPTION_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      61, 14, 0, 0, 0x86dd, 0, 0, 0, false, 0 },
    { "jumbo option beside a length",
      "02000000000202000000000186dd" // ethernet
      "600000000008004020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3b00c20400011170", // hopbyhop
      ZCB_FRAME_LINK_ETHERNET, L(JUMBO_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      56, 14, 0, 0, 0x86dd, 0, 0, 0, false, 0 },
    { "jumbo option of a small length",
      "02000000000202000000000186dd" // ethernet
      "600000000000004020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3b00c2040000ffff", // hopbyhop
      ZCB_FRAME_LINK_ETHERNET, L(JUMBO_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      58, 14, 0, 0, 0x86dd, 0, 0, 0, false, 0 },
    { "jumbo option of three bytes",
      "02000000000202000000000186dd" // ethernet
      "600000000000004020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3b00c20301117000", // hopbyhop
      ZCB_FRAME_LINK_ETHERNET, L(JUMBO_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      56, 14, 0, 0, 0x86dd, 0, 0, 0, false, 0 },
    { "jumbo option beyond the wire",
      "02000000000202000000000186dd" // ethernet
      "600000000000004020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3b00c20400011170", // hopbyhop
      ZCB_FRAME_LINK_ETHERNET, L(IP_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      58, 14, 0, 0, 0x86dd, 0, 0, 0, true, 0 },
    { "length 0 and no jumbo option",
      "02000000000202000000000186dd" // ethernet
      "600000000000004020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "3b00010400000000", // hopbyhop
      ZCB_FRAME_LINK_ETHERNET, L(IP_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET) | L(IPV6),
      18, 14, 0, 0, 0x86dd, 59, 0, 1, false, 0 },
    { "ipv6 length beyond the wire",
      "02000000000202000000000186dd" // ethernet
      "60000000001a064020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(IP_LENGTH), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      18, 0, 0, 0, 0x86dd, 6, 0, 0, true, 0 },
    { "ipv6 version 4",
      "02000000000202000000000186dd" // ethernet
      "400000000019064020010db800000000000000000000000120010db80000000000000000" // ipv6
      "00000002"
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(IP_VERSION), SUMS(UNKNOWN, UNKNOWN),
      L(ETHERNET),
      14, 0, 0, 0, 0x86dd, 0, 0, 0, false, 0 },
    { "tcp offset 4",
      "0200000000020200000000010800" // ethernet
      "4500002d123440004006a643c0a80001c0a80102" // ipv4
      "9c40005001020304000000004002faf05e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(TCP_OFFSET), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4),
      46, 14, 0, 0, 0x0800, 6, 0, 0, false, 0 },
    { "tcp offset beyond the packet",
      "0200000000020200000000010800" // ethernet
      "4500002d123440004006a643c0a80001c0a80102" // ipv4
      "9c40005001020304000000007002faf02e300000" // tcp
      "68656c6c6f" // payload
      "0000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(TCP_OFFSET), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4),
      46, 14, 0, 0, 0x0800, 6, 0, 0, false, 0 },
    { "ip too short for tcp",
      "0200000000020200000000010800" // ethernet
      "45000027123440004006a649c0a80001c0a80102" // ipv4
      "9c40005001020304000000005002faf04e300000" // tcp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(OVERRUN), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4),
      34, 14, 0, 0, 0x0800, 6, 0, 0, false, 0 },
    { "udp length 7",
      "0200000000020200000000010800" // ethernet
      "45000021123440004011a644c0a80001c0a80102" // ipv4
      "03e8003500073597" // udp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(UDP_LENGTH), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4),
      38, 14, 0, 0, 0x0800, 17, 0, 0, false, 0 },
    { "udp length 0",
      "0200000000020200000000010800" // ethernet
      "45000021123440004011a644c0a80001c0a80102" // ipv4
      "03e800350000359e" // udp
      "68656c6c6f", // payload
      ZCB_FRAME_LINK_ETHERNET, L(UDP_LENGTH), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4),
      38, 14, 0, 0, 0x0800, 17, 0, 0, false, 0 },
    { "udp length beyond ip",
      "0200000000020200000000010800" // ethernet
      "45000021123440004011a644c0a80001c0a80102" // ipv4
      "03e80035000e3590" // udp
      "68656c6c6f" // payload
      "00000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(UDP_LENGTH), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4),
      38, 14, 0, 0, 0x0800, 17, 0, 0, false, 0 },
    { "ip too short for icmp",
      "0200000000020200000000010800" // ethernet
      "4500001b123440004001a65ac0a80001c0a80102" // ipv4
      "0000000000000000000000000000000000000000", // padding
      ZCB_FRAME_LINK_ETHERNET, L(OVERRUN), SUMS(GOOD, UNKNOWN),
      L(ETHERNET) | L(IPV4),
      34, 14, 0, 0, 0x0800, 1, 0, 0, false, 0 },
    { "raw version 7",
      "70000000" // ?
      "30313233343536373839616263646566", // payload
      ZCB_FRAME_LINK_RAW, L(IP_VERSION), SUMS(UNKNOWN, UNKNOWN),
      0,
      0, 0, 0, 0, 0x0000, 0, 0, 0, false, 0 },
    { "raw with nothing",
      "",
      ZCB_FRAME_LINK_RAW, L(TRUNCATED), SUMS(UNKNOWN, UNKNOWN),
      0,
      0, 0, 0, 0, 0x0000, 0, 0, 0, false, 0 },
    { "ethernet beyond the wire",
      "00000000000000000000000000", // ethernet
      ZCB_FRAME_LINK_ETHERNET, L(OVERRUN), SUMS(UNKNOWN, UNKNOWN),
      0,
      0, 0, 0, 0, 0x0000, 0, 0, 0, true, 0 },
};
// clang-format on

#undef L
#undef SUMS

#endif
