# SPDX-License-Identifier: MIT
"""zcb-dump: the same packets as tshark sees, and every way in which reading and writing can end."""

import pty
import resource

import packets
import tshark
from helpers import *

DUMP = os.path.join(BIN, "zcb-dump")
INTERNAL, USAGE, CAPTURE, PERMISSION, INTERFACE = 1, 2, 8, 9, 10

# Where Debian's packages put capture files.
CORPORA = ["golang-github-google-gopacket-dev", "pathspider", "sip-tester"]
# Left out, with the reason.
NOT_COMPARED = {
    "test018.pcapng": "has records that are no packets; tshark numbers them, libpcap does not",
}


def corpus():
    """Capture files of packages that are installed, or in folders that ZCB_CAPTURES names."""
    paths = []
    for folder in os.environ.get("ZCB_CAPTURES", "").split(":"):
        for at, _, names in os.walk(folder) if folder else ():
            paths += [os.path.join(at, name) for name in names]
    if shutil.which("dpkg"):
        done = subprocess.run(["dpkg", "-L", *CORPORA], capture_output=True, text=True)
        paths += done.stdout.splitlines()
    return sorted({path for path in paths
                   if path.endswith((".pcap", ".pcapng", ".cap")) and os.path.isfile(path)})


def has_files():
    done = subprocess.run([DUMP, "-r", "/dev/null"], capture_output=True, text=True)
    return "needs libpcap" not in done.stderr


class DumpCase(Case):
    def setUp(self):
        if not has_files():
            self.skipTest("zcb-dump was built without libpcap")
        super().setUp()

    def file(self, data, name="a.pcap"):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def dump(self, *options, code=0, seconds=60, **popen):
        """Runs zcb-dump to its end."""
        popen.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run([DUMP, *options], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              timeout=seconds, **popen)
        said = done.stderr.decode(errors="replace")
        self.assertNotIn("runtime error", said)
        self.assertNotIn("Sanitizer", said)
        if code is not None:
            self.assertEqual(done.returncode, code, said)
        done.said = said
        return done

    def json(self, *options, **more):
        """The packets, and the statistics."""
        lines = [json.loads(line) for line in self.dump("--json", *options, **more).stdout.splitlines()]
        return lines[:-1], lines[-1]["statistics"]


@unittest.skipUnless(tshark.TSHARK, "tshark is not installed")
class LikeTshark(DumpCase):
    def compare(self, path, names=None, limit=5000):
        """Every packet of a file, field by field; how many."""
        theirs, said = tshark.tshark(path, ["-c", str(limit)])
        ours, _, done = tshark.dump(DUMP, path, ["-c", str(limit)])
        self.assertNotIn("Sanitizer", done.stderr)
        self.assertNotIn("runtime error", done.stderr)
        # libpcap reads no pcapng file whose interfaces differ, and says so; what it gave is compared.
        if done.returncode == CAPTURE:
            theirs = theirs[:len(ours)]
        self.assertEqual(len(theirs), len(ours), said + done.stderr)
        wrong = []
        for i, (a, (packet, b)) in enumerate(zip(theirs, ours)):
            for difference in tshark.differences(a, packet, b):
                wrong.append("%s %s: %s" % (os.path.basename(path), names[i] if names else
                                            packet["frame"], difference))
        self.assertEqual(wrong, [])
        return len(ours)

    def test_captures_of_others(self):
        paths = corpus()
        if not paths:
            self.skipTest("none of these packages is installed: " + " ".join(CORPORA))
        total = 0
        for path in paths:
            if os.path.basename(path) not in NOT_COMPARED:
                with self.subTest(path=path):
                    total += self.compare(path)
        self.assertGreater(total, 0)

    def test_packets_made_by_hand(self):
        cases = packets.good()
        for order in "<>":
            for nanoseconds in True, False:
                path = self.file(packets.pcap(cases.values(), order=order, nanoseconds=nanoseconds))
                self.assertEqual(self.compare(path, list(cases)), len(cases))
            self.compare(self.file(packets.pcapng(cases.values(), order=order)), list(cases))

    def test_packets_that_are_wrong(self):
        cases = packets.wrong()
        self.compare(self.file(packets.pcap([frame for frame, _ in cases.values()])), list(cases))

    def test_every_length_of_a_capture_that_cuts(self):
        for name, frame in packets.good().items():
            cut = [(frame[:n], len(frame)) for n in range(1, len(frame) + 1)]
            self.compare(self.file(packets.pcap(cut)), ["%s at %d" % (name, n) for n in range(1, len(frame) + 1)])

    def test_other_links(self):
        inside = [packets.ipv4(17, packets.udp(b"x")), packets.ipv6(6, packets.tcp(v6=True))]
        sll = [struct.pack("!HHH8sH", 0, 1, 6, packets.MAC_A, type) + packet
               for type, packet in zip((0x800, 0x86dd), inside)]
        sll2 = [struct.pack("!HHIHBB8s", type, 0, 1, 1, 0, 6, packets.MAC_A) + packet
                for type, packet in zip((0x800, 0x86dd), inside)]
        for link, data in ((packets.RAW, inside), (packets.SLL, sll), (packets.SLL2, sll2),
                           (228, inside[:1]), (229, inside[1:]),
                           (packets.NULL, [b"\2\0\0\0" + inside[0], b"\x1e\0\0\0" + inside[1]]),
                           (108, [b"\0\0\0\2" + inside[0]])):
            with self.subTest(link=link):
                path = self.file(packets.pcap(data, link))
                theirs, _ = tshark.tshark(path)
                ours, _, _ = tshark.dump(DUMP, path)
                for a, (packet, b) in zip(theirs, ours):
                    a["eth.src"] = a["eth.dst"] = []  # SLL's own address has that name there
                    self.assertEqual(tshark.differences(a, packet, b), [])
                    self.assertEqual(packet["checksum"], "good")
                self.assertEqual(len(ours), len(data))

    def test_what_w_writes(self):
        cases = packets.good()
        path = self.file(packets.pcap(cases.values()))
        self.dump("-r", path, "-q", "-w", self.path("out.pcap"))
        self.assertEqual(tshark.tshark(path)[0], tshark.tshark(self.path("out.pcap"))[0])


class Words(DumpCase):
    def test_lines(self):
        path = self.file(packets.pcap(packets.good().values()))
        lines = self.dump("-r", path, "--verify", env={**os.environ, "TZ": "UTC"}).stdout.decode()
        for line in ("22:13:20.000000 ARP, who has 198.51.100.7? tell 192.0.2.1, length 42",
                     "22:13:20.001000 ARP, 192.0.2.1 is at 02:00:00:00:00:01, length 60",
                     " IP 192.0.2.1.40000 > 198.51.100.7.53: udp 5, length 47",
                     " IP 192.0.2.1.40000 > 198.51.100.7.53: udp 5 (udp checksum bad), length 47",
                     " IP 192.0.2.1.40000 > 198.51.100.7.80: tcp 0 (IP checksum bad), length 54",
                     " IP 192.0.2.1 > 198.51.100.7: udp 16 (fragment of 7 at 16, more follow), length 50",
                     " IP 192.0.2.1 > 198.51.100.7: icmp type 3 code 3 28, about IP 192.0.2.1.40000 > "
                     "198.51.100.7.53: udp 10, length 70",
                     " IP6 2001:db8::1.40000 > 2001:db8:0:1::2.53: udp 5, length 67",
                     " vlan 5, IP 192.0.2.1.40000 > 198.51.100.7.53: udp 1, length 47",
                     " vlan 5, vlan 6, IP6 ",
                     " 02:00:00:00:00:01 > 02:00:00:00:00:02, type 0x88b5 12, length 26",
                     " 02:00:00:00:00:01 > 02:00:00:00:00:02, LLC 35, length 60"):
            self.assertIn(line, lines)

    def test_verdicts(self):
        cases = packets.wrong()
        path = self.file(packets.pcap([frame for frame, _ in cases.values()]))
        said, statistics = self.json("-r", path)
        for (name, (_, verdict)), packet in zip(cases.items(), said):
            self.assertEqual(packet["verdict"], verdict, name)
        self.assertEqual(sum(statistics["verdicts"].values()), len(cases))
        text = self.dump("-r", path).stdout.decode()
        self.assertIn("[tcp_offset at 46: TCP header length below 20, or beyond the packet]", text)

    def test_nothing_of_a_packet_reaches_the_terminal(self):
        evil = b"\x1b]0;owned\x07\x9b31m\r\n\0\"}{\\"
        frames = [packets.ethernet(0x800, packets.ipv4(17, packets.udp(evil))), evil, evil * 9,
                  packets.ethernet(0x1b5d, evil, evil[:6], evil[6:12])]
        path = self.file(packets.pcap(frames))
        for options in [], ["--json", "--flows"]:
            out = self.dump("-r", path, *options).stdout
            self.assertLessEqual(set(out), set(range(32, 127)) | {10})

    def test_workers_print_the_same_in_the_same_order(self):
        frames = [packets.ethernet(0x800, packets.ipv4(17, packets.udp(b"x" * (i % 50), source=1 + i % 500)))
                  for i in range(5000)]
        path = self.file(packets.pcap(frames))
        plain, statistics = self.json("-r", path, "--verify")
        self.assertEqual(statistics["copied_bytes"], 0)
        for workers in 1, 4, 64:
            said, statistics = self.json("-r", path, "--verify", "--workers", str(workers))
            # Not assertEqual: to show how thousands of lines differ takes it minutes.
            self.assertTrue(said == plain, "other lines, or in another order")
            self.assertEqual(sum(w["packets"] for w in statistics["workers"]), 5000)
            self.assertEqual(statistics["checksums"]["good"], 5000)
            # Once into a buffer of the pool, for all that comes after.
            self.assertEqual(statistics["copied_bytes"], sum(map(len, frames)))

    def test_flows(self):
        there = [packets.ethernet(0x800, packets.ipv4(17, packets.udp(b"x", source=i))) for i in range(1, 301)]
        back = packets.ethernet(0x800, packets.ipv4(17, packets.udp(b"yy", source=53, destination=1),
                                                    source=packets.V4_B, destination=packets.V4_A))
        path = self.file(packets.pcap(there + [back]))
        for options in [], ["--workers", "3"]:
            said, statistics = self.json("-r", path, "-q", "--flows", *options)
            flows = [line["flow"] for line in said]
            self.assertEqual(len(flows), 300)
            self.assertEqual(flows[0]["packets"], [1, 1])
            self.assertEqual(sorted(flows[0]["bytes"]), [43, 44])
            self.assertEqual((flows[0]["a_port"], flows[0]["b_port"]), (1, 53))
            self.assertEqual(statistics["beyond_flows"]["packets"], 0)
            said, statistics = self.json("-r", path, "-q", "--flows=100", *options)
            self.assertEqual(len(said), 100)
            self.assertEqual(statistics["beyond_flows"]["packets"] +
                             sum(sum(line["flow"]["packets"]) for line in said), 301)
        self.assertIn("of flows beyond these 100", self.dump("-r", path, "-q", "--flows=100").stdout.decode())

    def test_filter_count_and_snaplen(self):
        path = self.file(packets.pcap(packets.good().values()))
        said, statistics = self.json("-r", path, "-f", "arp")
        self.assertEqual([packet["frame"] for packet in said], [1, 2])
        self.assertEqual(statistics["filtered"], len(packets.good()) - 2)
        said, _ = self.json("-r", path, "-c", "3")
        self.assertEqual(len(said), 3)
        said, statistics = self.json("-r", path, "-s", "20", "-w", self.path("cut.pcap"))
        self.assertEqual(max(packet["captured"] for packet in said), 20)
        self.assertGreater(statistics["verdicts"]["truncated"], 10)
        again, _ = self.json("-r", self.path("cut.pcap"))
        self.assertEqual(again, said)

    def test_a_link_that_is_not_known(self):
        path = self.file(packets.pcap([b"abc"], 105))
        said, statistics = self.json("-r", path)
        self.assertEqual(said[0]["verdict"], "unknown_link")
        self.assertEqual(statistics["unknown_link"], 1)
        self.assertIn("link type 105, which is not known here", self.dump("-r", path).stdout.decode())


class Ends(DumpCase):
    def test_arguments(self):
        for options in ([], ["-r", "a", "-i", "lo"], ["-r"], ["-x"], ["-r", "a", "-c", "0"],
                        ["-r", "a", "-s", "1x"], ["-r", "a", "--workers", "65"], ["-r", "a", "--flows=0"],
                        ["-r", "a", "tcp"]):
            done = self.dump(*options, code=USAGE)
            self.assertNotEqual(done.said, "")
            self.assertEqual(done.stdout, b"")
        self.assertIn(b"usage: zcb-dump", self.dump("--help").stdout)

    def test_files_that_are_none(self):
        good = packets.pcap(packets.good().values())
        for data, word in ((b"", "truncated"), (b"hello, this is text and no capture", "unknown file format"),
                           (good[:10], "truncated"), (good[:30], "truncated"), (good[:-1], "truncated"),
                           (good[:24] + struct.pack("<IIII", 0, 0, 1 << 30, 1 << 30) + bytes(99), "")):
            done = self.dump("-r", self.file(data), code=CAPTURE)
            self.assertIn(word, done.said)
        self.assertEqual(done.said.count("a.pcap"), 1)
        done = self.dump("-r", self.path("missing"), code=CAPTURE)
        self.assertIn("No such file", done.said)
        self.dump("-r", self.folder, code=CAPTURE)
        # What is in front of the damage is there.
        said, _ = self.json("-r", self.file(good[:-1]), code=CAPTURE)
        self.assertEqual(len(said), len(packets.good()) - 1)

    def test_a_file_without_packets(self):
        said, statistics = self.json("-r", self.file(packets.pcap([])))
        self.assertEqual((said, statistics["packets"]), ([], 0))

    def test_a_filter_that_is_none(self):
        done = self.dump("-r", self.file(packets.pcap([])), "-f", "tcp prot 80", code=USAGE)
        self.assertIn("-f 'tcp prot 80'", done.said)

    def test_names_that_a_terminal_would_act_on(self):
        done = self.dump("-r", self.path("\x1b[2J"), code=CAPTURE)
        self.assertNotIn("\x1b", done.said)

    def test_w_that_cannot_be_written(self):
        path = self.file(packets.pcap(packets.good().values()))
        done = self.dump("-r", path, "-q", "-w", self.path("no", "folder"), code=STORAGE)
        self.assertIn("No such file", done.said)
        done = self.dump("-r", path, "-q", "-w", "/dev/full", code=STORAGE)
        self.assertIn("Make room", done.said)
        many = self.file(packets.pcap([bytes(1000)] * 2000))
        done = self.dump("-r", many, "-q", "-w", self.path("out"), code=STORAGE, preexec_fn=lambda:
                         resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))
        self.assertIn("incomplete", done.said)
        done = self.dump("-r", path, "-w", path, code=USAGE)
        self.assertIn("is the file that is read", done.said)
        self.json("-r", path)

    def test_standard_output_that_is_closed_or_full(self):
        path = self.file(packets.pcap(list(packets.good().values()) * 500))
        for options in [], ["--workers", "3"]:
            with open("/dev/full", "wb") as full:
                done = self.dump("-r", path, *options, stdout=full, code=INTERNAL)
            self.assertIn("standard output cannot be written", done.said)
            read, write = os.pipe()
            os.close(read)
            done = self.dump("-r", path, *options, stdout=write, code=INTERNAL)
            os.close(write)
            self.assertIn("standard output cannot be written", done.said)

    def test_damaged_files(self):
        """Bits flipped here and there: no crash, no hang, lines that are JSON."""
        rng = random.Random(20)
        seeds = []
        for path in corpus():
            with open(path, "rb") as file:
                seeds.append((os.path.basename(path), file.read(30000)))
        seeds += [("hand", packets.pcap(packets.good().values())),
                  ("wrong", packets.pcap([frame for frame, _ in packets.wrong().values()])),
                  ("hand.ng", packets.pcapng(packets.good().values()))]
        for name, data in seeds:
            damaged = bytearray(data)
            for _ in range(1 + len(data) // 40):
                # Mostly behind the file's header: damage there ends it all.
                at = rng.randrange(24 if rng.random() < 0.95 and len(data) > 24 else 0, len(data))
                damaged[at] ^= 1 << rng.randrange(8)
            path = self.file(bytes(damaged))
            with self.subTest(name=name):
                done = self.dump("-r", path, "--json", "--verify", "--flows=50", "-w",
                                 self.path("out.pcap"), code=None)
                self.assertIn(done.returncode, (0, CAPTURE), done.said)
                for line in done.stdout.splitlines():
                    json.loads(line)
                done = self.dump("-r", path, "--verify", "--workers", "2", "--flows", code=None)
                self.assertIn(done.returncode, (0, CAPTURE), done.said)

    def test_terminals_get_a_counter_and_pipes_do_not(self):
        path = self.file(packets.pcap(list(packets.good().values()) * 20000))
        self.assertNotIn("\r", self.dump("-r", path, "-q").said)
        ours, theirs = pty.openpty()
        process = subprocess.Popen([DUMP, "-r", path, "-q", "--verify"], stderr=theirs, stdout=theirs)
        self.processes.append(process)
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            said += piece
        os.close(ours)
        self.assertEqual(process.wait(), 0)
        self.assertIn(b"received:", said)

    def test_no_interface_of_that_name(self):
        done = self.dump("-i", "nosuch0", code=INTERFACE)
        self.assertIn("ip link shows", done.said)
        self.dump("-i", "x" * 40, code=INTERFACE)

    def test_no_permission(self):
        def drop():
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)

        if os.getuid() == 0 and not os.access("/proc/self", os.R_OK):
            self.skipTest("no /proc")
        try:
            done = self.dump("-i", "lo", code=PERMISSION, preexec_fn=drop, cwd="/")
        except PermissionError:
            self.skipTest("another user may not enter the build folder")
        for word in ("sudo", "setcap", "unshare -rn"):
            self.assertIn(word, done.said)


if __name__ == "__main__":
    main()
