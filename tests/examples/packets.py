# SPDX-License-Identifier: MIT
"""Packets made by hand, right ones and wrong ones, and the files that hold them."""

import socket
import struct

ETHERNET, NULL, RAW, SLL, SLL2 = 1, 0, 101, 113, 276
MAC_A, MAC_B = bytes([2, 0, 0, 0, 0, 1]), bytes([2, 0, 0, 0, 0, 2])
V4_A, V4_B = socket.inet_aton("192.0.2.1"), socket.inet_aton("198.51.100.7")
V6_A = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
V6_B = socket.inet_pton(socket.AF_INET6, "2001:db8:0:1::2")
START = 1700000000 * 10**9


def pcap(packets, link=ETHERNET, order="<", nanoseconds=True, snaplen=262144):
    """A file of (bytes, length on the wire) pairs, or bytes; one packet a millisecond."""
    out = [struct.pack(order + "IHHiIII", 0xa1b23c4d if nanoseconds else 0xa1b2c3d4, 2, 4, 0, 0,
                       snaplen, link)]
    for i, packet in enumerate(packets):
        data, wire = packet if isinstance(packet, tuple) else (packet, len(packet))
        at = START + i * 1000001 * (1 if nanoseconds else 1000)
        out.append(struct.pack(order + "IIII", at // 10**9,
                               at % 10**9 // (1 if nanoseconds else 1000), len(data), wire) + data)
    return b"".join(out)


def pcapng(packets, link=ETHERNET, order="<"):
    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(
            order + "I", len(body) + 12)

    # The resolution of time stamps: nanoseconds.
    options = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0)
    out = [block(0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1)),
           block(1, struct.pack(order + "HHI", link, 0, 262144) + options)]
    for i, packet in enumerate(packets):
        data, wire = packet if isinstance(packet, tuple) else (packet, len(packet))
        at = START + i * 1000001
        out.append(block(6, struct.pack(order + "IIIII", 0, at >> 32, at & 0xffffffff, len(data),
                                        wire) + data))
    return b"".join(out)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def ethernet(type, payload, source=MAC_A, destination=MAC_B):
    return destination + source + struct.pack("!H", type) + payload


def vlan(tci, type, payload):
    return struct.pack("!HH", tci, type) + payload


def arp(operation=1, hardware=6, protocol=4):
    return struct.pack("!HHBBH", 1, 0x800, hardware, protocol, operation) + (
        MAC_A + V4_A + bytes(6) + V4_B)


def ipv4(protocol, payload, options=b"", fragment=0, ttl=64, tos=0, id=7, length=None, ihl=None,
         sum=None, source=V4_A, destination=V4_B):
    ihl = 5 + len(options) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(payload) if length is None else length
    header = struct.pack("!BBHHHBBH4s4s", 0x40 | ihl, tos, length, id, fragment, ttl, protocol, 0,
                         source, destination) + options
    sum = checksum(header) if sum is None else sum
    return header[:10] + struct.pack("!H", sum) + header[12:] + payload


def ipv6(next, payload, length=None, hops=64, traffic_class=0, source=V6_A, destination=V6_B):
    return struct.pack("!IHBB", 6 << 28 | traffic_class << 20 | 0x12345,
                       len(payload) if length is None else length, next, hops) + (
                           source + destination + payload)


def summed(at, protocol, segment, v6=False, pseudo=True):
    """The segment with its checksum, of the default addresses, at `at`."""
    front = b""
    if pseudo:
        front = V6_A + V6_B + struct.pack("!II", len(segment), protocol) if v6 else (
            V4_A + V4_B + struct.pack("!BBH", 0, protocol, len(segment)))
    sum = checksum(front + segment)
    if protocol == 17 and sum == 0:
        sum = 0xffff
    return segment[:at] + struct.pack("!H", sum) + segment[at + 2:]


def udp(payload=b"", source=40000, destination=53, length=None, v6=False, sum=None):
    length = 8 + len(payload) if length is None else length
    segment = struct.pack("!HHHH", source, destination, length, sum or 0) + payload
    return segment if sum is not None else summed(6, 17, segment, v6)


def tcp(payload=b"", flags=0x18, options=b"", offset=None, source=40000, destination=80, v6=False,
        sum=None):
    offset = 5 + len(options) // 4 if offset is None else offset
    segment = struct.pack("!HHIIBBHHH", source, destination, 0x11223344, 0x55667788, offset << 4,
                          flags, 1024, sum or 0, 0) + options + payload
    return segment if sum is not None else summed(16, 6, segment, v6)


def icmp(type, code, rest=0, payload=b""):
    return summed(2, 1, struct.pack("!BBHI", type, code, 0, rest) + payload, pseudo=False)


def icmpv6(type, code, rest=0, payload=b""):
    return summed(2, 58, struct.pack("!BBHI", type, code, 0, rest) + payload, True)


def extension(next, body=b""):
    """Hop-by-hop or destination options, padded with PadN."""
    short = -(2 + len(body)) % 8
    pad = b"\0" if short == 1 else struct.pack("BB", 1, short - 2) + bytes(short - 2) if short else b""
    return struct.pack("BB", next, (2 + len(body) + len(pad)) // 8 - 1) + body + pad


def fragment6(next, offset, more, payload, id=0x01020304):
    return struct.pack("!BBHI", next, 0, offset | more, id) + payload


def good():
    """Name -> an Ethernet frame that is as it should be."""
    e4 = lambda packet: ethernet(0x800, packet)
    e6 = lambda packet: ethernet(0x86dd, packet)
    quote4 = ipv4(17, udp(b"0123456789"))
    quote6 = ipv6(6, tcp(b"0123456789", v6=True))
    return {
        "arp request": ethernet(0x806, arp()),
        "arp reply, padded": ethernet(0x806, arp(2) + bytes(18)),
        "udp": e4(ipv4(17, udp(b"hello"))),
        "udp, padded": e4(ipv4(17, udp(b"x")) + bytes(17)),
        "udp of odd length": e4(ipv4(17, udp(b"odd"))),
        "udp of nothing": e4(ipv4(17, udp())),
        "udp without checksum": e4(ipv4(17, udp(b"hello", sum=0))),
        "udp, bad checksum": e4(ipv4(17, udp(b"hello", sum=0x1234))),
        "tcp": e4(ipv4(6, tcp(b"GET /"))),
        "tcp, all flags": e4(ipv4(6, tcp(flags=0xff))),
        "tcp, no flags": e4(ipv4(6, tcp(flags=0))),
        "tcp with options": e4(ipv4(6, tcp(flags=2, options=b"\2\4\5\xb4\4\2\1\1"))),
        "tcp with 40 bytes of options": e4(ipv4(6, tcp(options=b"\1" * 40))),
        "tcp, bad checksum": e4(ipv4(6, tcp(b"GET /", sum=0x4321))),
        "bad IP checksum": e4(ipv4(6, tcp(), sum=0x1111)),
        "ipv4 with options": e4(ipv4(17, udp(b"x"), options=b"\x94\4\0\0" + b"\1\1\1\0")),
        "ipv4, ttl 0, tos 255": e4(ipv4(17, udp(b"x"), ttl=0, tos=255)),
        "first fragment": e4(ipv4(17, udp(b"x" * 8, length=40), fragment=0x2000)),
        "middle fragment": e4(ipv4(17, b"y" * 16, fragment=0x2002)),
        "last fragment": e4(ipv4(17, b"z" * 3, fragment=4)),
        "echo": e4(ipv4(1, icmp(8, 0, 0x00010002, b"ping"))),
        "port unreachable": e4(ipv4(1, icmp(3, 3, 0, quote4[:28]))),
        "time exceeded, whole quote": e4(ipv4(1, icmp(11, 0, 0, quote4))),
        "igmp": e4(ipv4(2, b"\x16\0\x09\xf9" + V4_A)),
        "esp": e4(ipv4(50, bytes(24))),
        "ip in ip": e4(ipv4(4, ipv4(17, udp(b"tunnel")))),
        "ipv6 in ipv4": e4(ipv4(41, ipv6(17, udp(b"tunnel", v6=True)))),
        "ipv6 udp": e6(ipv6(17, udp(b"hello", v6=True))),
        "ipv6 tcp, traffic class": e6(ipv6(6, tcp(b"GET /", v6=True), traffic_class=0xb8)),
        "ipv6 udp, bad checksum": e6(ipv6(17, udp(b"hello", sum=77, v6=True))),
        "neighbour solicitation": e6(ipv6(58, icmpv6(135, 0, 0, V6_B), hops=255)),
        "packet too big": e6(ipv6(58, icmpv6(2, 0, 1280, quote6))),
        "hop-by-hop": e6(ipv6(0, extension(17) + udp(b"x", v6=True))),
        "hop-by-hop, destination options": e6(ipv6(0, extension(60) + extension(6, b"\1\0") +
                                                   tcp(v6=True))),
        "ipv6 first fragment": e6(ipv6(44, fragment6(17, 0, 1, udp(b"x" * 8, length=32, v6=True)))),
        "ipv6 last fragment": e6(ipv6(44, fragment6(17, 16, 0, b"y" * 5))),
        "ipv6 atomic fragment": e6(ipv6(44, fragment6(17, 0, 0, udp(b"z", v6=True)))),
        "ipv6, nothing next": e6(ipv6(59, b"")),
        "vlan": ethernet(0x8100, vlan(0x6005, 0x800, ipv4(17, udp(b"x")))),
        "vlan 4095": ethernet(0x8100, vlan(0x0fff, 0x806, arp())),
        "two tags": ethernet(0x8100, vlan(5, 0x8100, vlan(6, 0x86dd, ipv6(6, tcp(v6=True))))),
        "spanning tree": MAC_B + MAC_A + b"\0\x26\x42\x42\3" + bytes(43),
        "unknown type": ethernet(0x88b5, b"experimental"),
        "lldp": ethernet(0x88cc, b"\2\7\4" + MAC_A + b"\0\0"),
        "only addresses and a type": ethernet(0x88b5, b""),
    }


def wrong():
    """Name -> a frame that is not, and the verdict that it gets."""
    e4 = lambda packet: ethernet(0x800, packet)
    e6 = lambda packet: ethernet(0x86dd, packet)
    return {
        "nothing": (b"", "truncated"),
        "half an address": (MAC_B[:3], "overrun"),
        "no type": (MAC_B + MAC_A, "overrun"),
        "ip version": (e4(b"\x65" + ipv4(17, udp())[1:]), "ip_version"),
        "ipv6 version": (e6(b"\x40" + ipv6(17, udp())[1:]), "ip_version"),
        "header length 4": (e4(ipv4(17, udp(), ihl=4)), "ipv4_ihl"),
        "header longer than packet": (e4(ipv4(17, udp(), ihl=15)), "ip_length"),
        "ip length 19": (e4(ipv4(17, udp(), length=19)), "ip_length"),
        "ip length beyond the frame": (e4(ipv4(17, udp(), length=60)), "ip_length"),
        "ipv6 length beyond the frame": (e6(ipv6(17, udp(v6=True), length=9)), "ip_length"),
        "tcp offset 4": (e4(ipv4(6, tcp(offset=4))), "tcp_offset"),
        "tcp offset 15": (e4(ipv4(6, tcp(offset=15))), "tcp_offset"),
        "tcp cut by ip": (e4(ipv4(6, tcp()[:12])), "overrun"),
        "udp length 7": (e4(ipv4(17, udp(length=7, sum=0))), "udp_length"),
        "udp length beyond ip": (e4(ipv4(17, udp(length=9, sum=0))), "udp_length"),
        "udp cut by ip": (e4(ipv4(17, udp()[:5])), "overrun"),
        "fragment beyond 64 KiB": (e4(ipv4(17, bytes(64), fragment=0x1fff)), "fragment_range"),
        "fragment of 7 bytes": (e4(ipv4(17, bytes(7), fragment=0x2000)), "fragment_length"),
        "five tags": (ethernet(0x8100, vlan(1, 0x8100, vlan(2, 0x8100, vlan(
            3, 0x8100, vlan(4, 0x8100, vlan(5, 0x800, ipv4(17, udp()))))))), "vlan_depth"),
        "802.3 length": (MAC_B + MAC_A + b"\0\x50\x42\x42\3", "llc_length"),
        "hop-by-hop, second": (e6(ipv6(60, extension(0) + extension(17) + udp(v6=True))),
                               "extension_order"),
        "hop-by-hop that does not end": (e6(ipv6(0, b"\x11\x05\0\0\0\0\0\0")), "overrun"),
        "arp, cut": (ethernet(0x806, arp()[:20]), "overrun"),
    }
