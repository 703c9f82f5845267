# SPDX-License-Identifier: MIT
"""zcb-blast: frames that tshark finds right, exact counts over a veth, and what it refuses."""

import sys

import tshark
from helpers import *

DUMP = os.path.join(BIN, "zcb-dump")
BLAST = os.path.join(BIN, "zcb-blast")
INTERNAL, USAGE, PERMISSION, INTERFACE = 1, 2, 9, 10

# In a user and network namespace of its own, the test runs itself again with this.
INSIDE = "ZCB_TEST_INSIDE"


def run(command, code=0, seconds=60, **popen):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=seconds, **popen)
    if code is not None and done.returncode != code:
        raise AssertionError("%s: %d: %s" % (command, done.returncode, done.stderr))
    if "Sanitizer" in done.stderr or "runtime error" in done.stderr:
        raise AssertionError(done.stderr)
    return done


class Frames(Case):
    """-w: no network, no permission."""

    def frames(self, *options):
        path = self.path("out.pcap")
        run([BLAST, *options, "-w", path])
        return path

    def test_ports_are_taken_in_turn(self):
        path = self.frames("--syn", "--target", "203.0.113.9:10-12", "-c", "7")
        with open(path, "rb") as file:
            data = file.read()[24:]
        self.assertEqual([data[16 + 36 + i * 74:][:2] for i in range(7)],
                         [struct.pack("!H", 10 + i % 3) for i in range(7)])

    @unittest.skipUnless(tshark.TSHARK, "tshark is not installed")
    def test_tshark_finds_every_checksum_right(self):
        for options, count in ((("--syn", "--target", "203.0.113.9:1-65535", "-c", "70000"), 70000),
                               (("--syn", "--target", "[2001:db8::5]:80"), 1000),
                               (("--syn", "--target", "10.0.0.1", "--vlan", "7"), 1000),
                               (("--udp", "--target", "203.0.113.9:1-1000", "--size", "0"), 1000),
                               (("--udp", "--target", "203.0.113.9:53", "--size", "1"), 1000),
                               (("--udp", "--target", "203.0.113.9:9", "--size", "65507", "-c", "20"), 20),
                               (("--udp", "--target", "[2001:db8::5]:9-99", "--size", "1399"), 1000),
                               (("--udp", "--target", "[2001:db8::5]", "--vlan", "4095"), 1000)):
            with self.subTest(options=options):
                packets, said = tshark.tshark(self.frames(*options))
                self.assertEqual(len(packets), count, said)
                udp, v6 = options[0] == "--udp", "[" in options[2]
                for packet in packets:
                    self.assertEqual(packet["udp.checksum.status" if udp else "tcp.checksum.status"], ["good"])
                    self.assertEqual(packet["ip.checksum.status"], [] if v6 else ["good"])
                    self.assertEqual(packet["vlan.id"], [int(options[4])] if "--vlan" in options else [])
                if not udp:
                    self.assertEqual({packet["tcp.flags"][0] for packet in packets}, {2})
                    self.assertEqual([packet["tcp.seq"][0] for packet in packets], list(range(count)))

    def test_w_that_cannot_be_written(self):
        done = run([BLAST, "--udp", "--target", "10.0.0.1", "-w", "/dev/full"], STORAGE)
        self.assertIn("Make room", done.stderr)
        run([BLAST, "--udp", "--target", "10.0.0.1", "-w", self.path("no", "folder")], STORAGE)

    def test_arguments(self):
        for options in ([], ["--syn"], ["--udp", "--syn", "--target", "127.0.0.1"], ["--target", "127.0.0.1"],
                        ["--udp", "--target", "localhost"], ["--udp", "--target", "127.0.0.1:0"],
                        ["--udp", "--target", "127.0.0.1:9-8"], ["--udp", "--target", "127.0.0.1:1-65536"],
                        ["--udp", "--target", "127.0.0.1:"], ["--udp", "--target", "[::1"],
                        ["--udp", "--target", "127.0.0.1", "--rate", "-1"], ["--syn", "--target", "::1", "--gso"],
                        ["--syn", "--target", "::1", "--size", "4"], ["--udp", "--target", "::1", "--vlan", "4"],
                        ["--udp", "--target", "::1", "--size", "65508"], ["--udp", "--target", "::1", "more"]):
            done = run([BLAST, *options], USAGE)
            self.assertNotEqual(done.stderr, "")
        self.assertIn("usage: zcb-blast", run([BLAST, "--help"]).stdout)
        run([BLAST, "--udp", "--target", "::1", "--size", "65507", "-c", "1", "-w", self.path("a")])

    def test_no_interface_of_that_name(self):
        done = run([BLAST, "--udp", "--target", "127.0.0.1", "--iface", "nosuch0"], INTERFACE)
        self.assertIn("ip link shows", done.stderr)

    def test_loopback(self):
        """A receiver on 127.0.0.1 and on ::1 gets every datagram."""
        for family, host, target in ((socket.AF_INET, "127.0.0.1", "127.0.0.1:%d"),
                                     (socket.AF_INET6, "::1", "[::1]:%d")):
            with socket.socket(family, socket.SOCK_DGRAM) as receiver:
                try:
                    receiver.bind((host, 0))
                except OSError:
                    continue  # no IPv6 here
                receiver.settimeout(10)
                for options in [], ["--gso"]:
                    done = run([BLAST, "--udp", "--target", target % receiver.getsockname()[1], "-c", "100",
                                "--rate", "0", "--size", "33", "--source-port", "45321", "--json", *options])
                    report = json.loads(done.stdout)
                    self.assertEqual((report["packets"], report["refused"]), (100, 0))
                    for _ in range(100):
                        data, sender = receiver.recvfrom(2000)
                        self.assertEqual((data, sender[1]), (b"z" * 33, 45321))

    def test_rate_and_duration(self):
        started = time.monotonic()
        report = json.loads(run([BLAST, "--udp", "--target", "127.0.0.1:9", "--rate", "500", "--duration",
                                 "1", "--json", "-q"]).stdout)
        self.assertGreaterEqual(time.monotonic() - started, 1)
        self.assertLessEqual(report["packets"], 501)
        self.assertGreater(report["packets"], 0)

    def test_a_signal_ends_it_with_a_report(self):
        process = subprocess.Popen([BLAST, "--udp", "--target", "127.0.0.1:9", "--duration", "60", "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.processes.append(process)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, STOPPED)
        self.assertEqual(json.loads(out)["exit_code"], STOPPED)


def namespaces():
    """None, or why no network namespaces can be made here."""
    if not shutil.which("unshare") or not shutil.which("nsenter") or not shutil.which("ip"):
        return "unshare, nsenter or ip is not installed"
    done = subprocess.run(["unshare", "-rn", "sh", "-c",
                           "ip link add test0 type veth peer name test1"], capture_output=True, text=True)
    return None if done.returncode == 0 else "no network namespaces: " + done.stderr.strip()


@unittest.skipIf(os.environ.get(INSIDE), "these start the ones inside")
class Namespaces(Case):
    def test_between_two_network_namespaces(self):
        why = namespaces()
        if why:
            self.skipTest(why)
        done = subprocess.run(["unshare", "-rn", sys.executable, os.path.abspath(__file__), "-v", "Veth"],
                              capture_output=True, text=True, timeout=200,
                              env={**os.environ, INSIDE: "1"})
        self.assertEqual(done.returncode, 0, done.stderr[-8000:])


@unittest.skipUnless(os.environ.get(INSIDE), "run by Namespaces, in a namespace of their own")
class Veth(Case):
    """blast0, 10.9.0.1, in here; dump0, 10.9.0.2, in a namespace that `keeper` keeps."""

    @classmethod
    def setUpClass(cls):
        cls.keeper = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; exec sleep 600"],
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.stop_keeper)
        cls.keeper.stdout.readline()
        for command in ("ip link set lo up",
                        "ip link add blast0 type veth peer name dump0",
                        "ip link set dump0 netns %d" % cls.keeper.pid,
                        "ip addr add 10.9.0.1/24 dev blast0",
                        "ip addr add fd00:9::1/64 dev blast0 nodad",
                        "ip addr add 8.8.4.1/24 dev blast0",
                        "ip link set blast0 up"):
            run(command.split())
        for command in ("ip link set lo up", "ip addr add 10.9.0.2/24 dev dump0",
                        "ip addr add fd00:9::2/64 dev dump0 nodad", "ip link set dump0 up"):
            run(cls.there() + command.split())
        run("ip route add default via 10.9.0.2".split())
        time.sleep(0.5)  # until IPv6 has its routes

    @classmethod
    def stop_keeper(cls):
        cls.keeper.kill()
        cls.keeper.wait()
        cls.keeper.stdout.close()

    @staticmethod
    def link(name, kind, address):
        """An interface that is up; whether the kernel can make one of this kind."""
        if run(["ip", "link", "add", name, *kind.split()], None).returncode != 0:
            return False
        run(["ip", "addr", "add", address, "dev", name])
        run(["ip", "link", "set", name, "up"])
        return True

    @classmethod
    def there(cls):
        return ["nsenter", "-n", "-t", str(cls.keeper.pid)]

    def start_dump(self, interface, *options, there=True):
        process = subprocess.Popen((self.there() if there else []) + [DUMP, "-i", interface, *options],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        # It says so when it is, but not with --json.
        time.sleep(1) if "--json" in options else self.assertIn("listening", process.stderr.readline())
        return process

    def end_dump(self, process, signal_number=signal.SIGINT):
        if signal_number is not None:
            time.sleep(0.3)
            process.send_signal(signal_number)
        out, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, said)
        self.assertNotIn("Sanitizer", said)
        lines = [json.loads(line) for line in out.splitlines()]
        return lines[:-1], lines[-1]["statistics"]

    def blast(self, *options, code=0):
        return json.loads(run([BLAST, *options, "--json", "-q"], code).stdout)

    def test_all_that_is_sent_is_counted(self):
        for target, mode, only in (("10.9.0.2:1-1000", "--syn", "tcp[tcpflags] == tcp-syn and dst host 10.9.0.2"),
                                   ("[fd00:9::2]:1-1000", "--syn", "ip6[6] == 6 and dst host fd00:9::2"),
                                   ("10.9.0.2:9", "--udp", "udp and dst host 10.9.0.2"),
                                   ("[fd00:9::2]:9", "--udp", "udp and dst host fd00:9::2")):
            for options in [], ["--workers", "3"]:
                with self.subTest(target=target, mode=mode, options=options):
                    dump = self.start_dump("dump0", "--json", "-q", "--verify", "-f", only, *options)
                    report = self.blast(mode, "--target", target, "-c", "20000", "--rate", "40000")
                    _, statistics = self.end_dump(dump)
                    self.assertEqual((report["packets"], report["refused"]), (20000, 0))
                    self.assertEqual(statistics["packets"] + statistics["dropped"], 20000)
                    self.assertEqual(statistics["dropped"], 0)
                    self.assertEqual(statistics["verdicts"], {"ok": 20000})
                    self.assertEqual(statistics["copied_bytes"], 0)
                    sums = statistics["checksums"]
                    # The kernel leaves those of its own datagrams to the card that a veth has not.
                    self.assertEqual(sums["good" if mode == "--syn" else "partial"] + sums["good"] *
                                     (mode == "--udp"), 20000)

    def test_flows_and_lines_of_what_is_sent(self):
        dump = self.start_dump("dump0", "--json", "--flows", "-f", "dst host 10.9.0.2 and tcp[tcpflags] == tcp-syn",
                               "-c", "500", "-w", self.path("out.pcap"))
        self.blast("--syn", "--target", "10.9.0.2:101-200", "-c", "500")
        said, statistics = self.end_dump(dump, None)
        flows = [line for line in said if "flow" in line]
        lines = [line for line in said if "frame" in line]
        self.assertEqual((len(flows), len(lines), statistics["written"]), (100, 500, 500))
        self.assertEqual([line["seq"] for line in lines], list(range(500)))
        self.assertEqual([line["dst_port"] for line in lines], [101 + i % 100 for i in range(500)])
        self.assertTrue(all(line["src"] == "10.9.0.1" and line["dst"] == "10.9.0.2" for line in lines))
        done = run([DUMP, "-r", self.path("out.pcap"), "--json", "-q", "--verify"], None)
        if "needs libpcap" not in done.stderr:
            self.assertEqual(json.loads(done.stdout)["statistics"]["checksums"]["good"], 500)

    def test_the_host_there_answers(self):
        """The frames are such as a kernel takes: it resets what nobody listens to."""
        dump = self.start_dump("blast0", "--json", "-f", "src host 10.9.0.2 and tcp", "-c", "10", there=False)
        self.blast("--syn", "--target", "10.9.0.2:300-309", "-c", "10", "--rate", "100")
        said, _ = self.end_dump(dump, None)
        self.assertEqual([(line["src_port"], line["ack"], line["tcp_flags"]) for line in said],
                         [(300 + i, i + 1, 0x14) for i in range(10)])

    def test_gso_arrives_whole(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("10.9.0.1", 0))
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
            report = self.blast("--udp", "--gso", "--target", "10.9.0.1:%d" % receiver.getsockname()[1], "-c", "100")
            self.assertEqual(report["packets"], 100)
            receiver.settimeout(10)
            for _ in range(100):
                self.assertEqual(len(receiver.recv(100)), 18)

    def test_tags_that_the_kernel_takes_out_are_there(self):
        if run("ip link add link lo name try0 type vlan id 5".split(), None).returncode != 0:
            self.skipTest("the kernel has no VLAN interfaces")
        self.link("blast0.5", "link blast0 type vlan id 5", "10.5.0.1/24")
        dump = self.start_dump("dump0", "--json", "-c", "1", "-f", "arp", "-w", self.path("out.pcap"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("10.5.0.2", 9))
        said, _ = self.end_dump(dump, None)
        self.assertEqual((said[0]["vlans"], said[0]["arp_dst"]), ([5], "10.5.0.2"))
        done = run([DUMP, "-r", self.path("out.pcap"), "--json"], None)
        if "needs libpcap" not in done.stderr:
            self.assertEqual(json.loads(done.stdout.splitlines()[0])["vlans"], [5])

    def test_a_slow_reader_loses_nothing_unseen(self):
        """Nobody reads the lines: the ring fills up, and the kernel counts what has no room."""
        dump = self.start_dump("dump0", "--json", "--workers", "2", "-f", "udp and dst host 10.9.0.2")
        sent = self.blast("--udp", "--target", "10.9.0.2:9", "-c", "150000", "--rate", "0", "--size", "1000")
        time.sleep(0.5)
        dump.send_signal(signal.SIGINT)
        _, statistics = self.end_dump(dump, None)
        self.assertEqual(statistics["packets"] + statistics["dropped"], sent["packets"])
        self.assertEqual(sum(w["packets"] for w in statistics["workers"]), statistics["packets"])

    def test_the_interface_goes(self):
        self.assertTrue(self.link("gone0", "type veth peer name gone1", "10.6.0.1/24"))
        run("ip link set gone1 up".split())
        dump = self.start_dump("gone0", there=False)
        run("ip link del gone0".split())
        out, said = dump.communicate(timeout=30)
        self.assertEqual(dump.returncode, GONE, said)
        self.assertIn("gone0 has gone", said)

    def test_an_interface_that_is_down(self):
        run("ip link add down0 type veth peer name down1".split())
        dump = self.start_dump("down0", there=False)
        time.sleep(0.5)
        dump.send_signal(signal.SIGTERM)
        out, said = dump.communicate(timeout=30)
        self.assertEqual(dump.returncode, 0, said)
        run("ip link del down0".split())

    def test_what_it_refuses(self):
        dummy = self.link("other0", "type dummy", "10.8.0.1/24")
        bridge = self.link("bridge0", "type bridge", "10.7.0.1/24")
        for target, why in (("10.1.2.3", "behind a router"), ("1.1.1.1", "behind a router"),
                            ("8.8.4.4", "no private address"), ("10.7.0.2", "no veth, dummy or loopback" if bridge else "behind a router"),
                            ("10.9.0.255", "no address of one host"), ("224.0.0.1", "no address of one host"),
                            ("255.255.255.255", "no address of one host"), ("ff02::1", "no address of one host"),
                            ("2001:db8::1", "unreachable")):
            for mode in "--syn", "--udp":
                done = run([BLAST, mode, "--target", target, "-c", "1"], INTERFACE)
                self.assertIn(why, done.stderr, target)
        done = run([BLAST, "--syn", "--target", "10.9.0.77", "-c", "1"], UNREACHABLE)
        self.assertIn("nobody answers", done.stderr)
        # A dummy has nobody, and needs nobody.
        if dummy:
            self.assertEqual(self.blast("--syn", "--target", "10.8.0.2", "-c", "5")["packets"], 5)
        self.assertEqual(self.blast("--syn", "--target", "127.0.0.1", "-c", "5")["packets"], 5)

    def test_no_permission_for_raw_frames(self):
        done = run(["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", BLAST, "--syn", "--target",
                    "127.0.0.1"], None)
        if done.returncode == PERMISSION:
            for word in ("sudo", "setcap", "unshare -rn"):
                self.assertIn(word, done.stderr)
        else:
            self.skipTest("setpriv does not do it here")


if __name__ == "__main__":
    main()
