# SPDX-License-Identifier: MIT
"""zcb-dump's fields beside tshark's: both as lists of the same names, and what differs.

Occurrences of a field (an ICMP error quotes a packet, a tunnel has one in it) are lists, in order.
"""

import decimal
import json
import shutil
import subprocess

TSHARK = shutil.which("tshark")

# Tunnels that tshark follows where the library sees payload.
DISABLED = ["gre", "teredo", "vxlan", "gtp", "l2tp", "mpls", "capwap", "geneve"]

PREFERENCES = ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE",
               "ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE",
               "tcp.relative_sequence_numbers:FALSE", "tcp.analyze_sequence_numbers:FALSE",
               "tcp.summary_in_tree:FALSE"]

FIELDS = ["frame.number", "frame.time_epoch", "frame.len", "frame.cap_len", "eth.src", "eth.dst",
          "vlan.id", "arp.opcode", "arp.src.proto_ipv4", "arp.dst.proto_ipv4", "ip.src", "ip.dst",
          "ip.proto", "ip.ttl", "ip.dsfield", "ip.len", "ip.id", "ip.frag_offset", "ip.flags.mf",
          "ip.checksum.status", "ipv6.src", "ipv6.dst", "ipv6.hlim", "ipv6.tclass", "ipv6.plen",
          "ipv6.fraghdr.offset", "ipv6.fraghdr.more", "ipv6.fraghdr.ident", "tcp.srcport",
          "tcp.dstport", "tcp.flags", "tcp.seq", "tcp.ack", "tcp.window_size_value", "tcp.hdr_len",
          "tcp.checksum.status", "udp.srcport", "udp.dstport", "udp.length", "udp.checksum.status",
          "icmp.type", "icmp.code", "icmp.checksum.status", "icmpv6.type", "icmpv6.code",
          "icmpv6.checksum.status"]

# Values that are words; the others are numbers.
WORDS = ("eth.", "arp.src", "arp.dst", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst")

# tshark's numbers for what became of a checksum.
STATUS = {"0": "bad", "1": "good", "2": "unknown", "3": "none"}


def number(text):
    if text in ("True", "False"):
        return int(text == "True")
    return int(text, 16) if text.startswith("0x") else int(text)


def tshark(path, extra=()):
    """One dictionary for each packet, name -> list of values; and what tshark said."""
    command = [TSHARK, "-n", "-r", path]
    for name in DISABLED:
        command += ["--disable-protocol", name]
    for preference in PREFERENCES:
        command += ["-o", preference]
    command += ["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=;"]
    for name in FIELDS:
        command += ["-e", name]
    done = subprocess.run([*command, *extra], capture_output=True, text=True)
    return [dict(zip(FIELDS, map(values, FIELDS, line.split("\t"))))
            for line in done.stdout.splitlines()], done.stderr


def values(name, text):
    if text == "":
        return []
    if name == "frame.time_epoch":
        return [decimal.Decimal(text)]
    if name.endswith("checksum.status"):
        return [STATUS.get(value, value) for value in text.split(";")]
    return [value if name.startswith(WORDS) else number(value) for value in text.split(";")]


def layers(packet):
    """The packet, the one in it, the one in that."""
    while packet is not None:
        yield packet
        packet = packet.get("inner")


def dump(program, path, extra=()):
    """The same of zcb-dump: pairs of what it said and that in tshark's names; its statistics."""
    done = subprocess.run([program, "-r", path, "--json", "--verify", *extra], capture_output=True,
                          text=True)
    packets, statistics = [], None
    for line in done.stdout.splitlines():
        said = json.loads(line, parse_float=decimal.Decimal)
        if "statistics" in said:
            statistics = said["statistics"]
        else:
            packets.append((said, translate(said)))
    return packets, statistics, done


def translate(said):
    out = {name: [] for name in FIELDS}

    def add(name, value):
        if value is not None:
            out[name].append(value)

    add("frame.number", said["frame"])
    add("frame.time_epoch", said["time"])
    add("frame.len", said["length"])
    add("frame.cap_len", said["captured"])
    out["vlan.id"] = list(said.get("vlans", []))
    for depth, layer in enumerate(layers(said)):
        for ours, theirs in (("eth_src", "eth.src"), ("eth_dst", "eth.dst"),
                             ("arp_operation", "arp.opcode"), ("arp_src", "arp.src.proto_ipv4"),
                             ("arp_dst", "arp.dst.proto_ipv4"), ("src_port", "srcport"),
                             ("dst_port", "dstport"), ("udp_length", "udp.length"),
                             ("tcp_flags", "tcp.flags"), ("seq", "tcp.seq"),
                             ("ack", "tcp.ack"), ("window", "tcp.window_size_value"),
                             ("tcp_header", "tcp.hdr_len")):
            if theirs in ("srcport", "dstport"):
                theirs = {6: "tcp.", 17: "udp."}.get(layer.get("protocol"), "?") + theirs
            if theirs in out:
                add(theirs, layer.get(ours))
        if "icmp_type" in layer:
            name = "icmp" if layer["protocol"] == 1 else "icmpv6"
            add(name + ".type", layer["icmp_type"])
            add(name + ".code", layer["icmp_code"])
        if layer.get("ip") == 4:
            for ours, theirs in (("src", "ip.src"), ("dst", "ip.dst"),
                                 ("ttl", "ip.ttl"), ("tos", "ip.dsfield"), ("ip_length", "ip.len"),
                                 ("id", "ip.id")):
                add(theirs, layer[ours])
            add("ip.proto", layer["protocol"])
            add("ip.frag_offset", layer.get("fragment_offset", 0) // 8)
            add("ip.flags.mf", int(layer.get("more_fragments", False)))
        elif layer.get("ip") == 6:
            for ours, theirs in (("src", "ipv6.src"), ("dst", "ipv6.dst"), ("ttl", "ipv6.hlim"),
                                 ("tos", "ipv6.tclass"), ("ip_length", "ipv6.plen")):
                add(theirs, layer[ours])
            if "fragment_offset" in layer:
                add("ipv6.fraghdr.offset", layer["fragment_offset"] // 8)
                add("ipv6.fraghdr.more", int(layer["more_fragments"]))
                add("ipv6.fraghdr.ident", layer["id"])
    if said.get("ip") == 4:
        add("ip.checksum.status", said["ip_checksum"])
    name = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6"}.get(said.get("protocol"))
    if name and (out[name + ".type"] if name.startswith("icmp") else out[name + ".srcport"]):
        add(name + ".checksum.status", said["checksum"])
    return out


def differences(theirs, said, ours):
    """What two tools tell about one packet and does not agree, as text.

    Differences of policy, which are none:
    - Where the sender left the checksum to its network card we say `partial`, tshark `bad`.
    - Of a datagram that is cut off nothing is known here; tshark says so, too, but where its checksum
      field is 0.
    - Checksums are compared for the packet itself. tshark verifies those of quotes as well.
    - A header that is not whole or not valid has no fields here, and nothing behind it has. tshark
      shows what there is of it, and goes on where it can; it has no destination of an IPv4 header
      whose options are cut. So where our verdict is not `ok` one may say less, but nothing else.
    - A packet without a time is at 0 here and has none there.
    """
    out = []
    whole = all(layer["verdict"] == "ok" for layer in layers(said))
    for name in FIELDS:
        a, b = theirs[name], ours[name]
        if name.endswith("checksum.status"):
            if not b and (said.get("inner") or not whole) or b == ["unknown"] and not whole:
                continue
            a = a[:1]
            if a == ["bad"] and b == ["partial"]:
                continue
            if a == ["none"] and b == ["unknown"] and said["captured"] < said["length"]:
                continue
        if name == "frame.time_epoch" and not a and b == [0]:
            continue
        if a != b and (whole or a[:len(b)] != b[:len(a)]):
            out.append("%s: tshark %s, zcb-dump %s" % (name, a, b))
    return out
