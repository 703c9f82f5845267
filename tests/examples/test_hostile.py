# SPDX-License-Identifier: MIT
"""Peers that misbehave: alone they end in a clear message, beside a good one they do no harm."""

from helpers import *


class Hostility(Case):
    def setUp(self):
        super().setUp()
        # 17 pieces: the bitfield has spare bits.
        self.file = self.random_file((2 << 20) + 1000, "a.bin")
        self.torrent = self.torrent_of(self.file, "128K")

    def alone(self, behaviour, code, says, direct=False, **options):
        peer = self.hostile(self.torrent, behaviour, **options)
        options = ["--timeout", "1", "--retries", "0"] + ["--direct"] * direct
        report = self.get(self.torrent, peer, options=options, code=code)
        self.assertIn(says, report["said"])
        self.assertIn("what is there is kept", report["said"])
        self.assertNotEqual(report["pieces_done"], report["pieces"])

    def beside(self, behaviour, direct=False, slow=0.002, **options):
        """With a good peer that is not so fast that the other one is not asked at all."""
        bad = self.hostile(self.torrent, behaviour, **options)
        good = self.hostile(self.torrent, "honest", slow=slow)
        report = self.get(self.torrent, bad, good,
                          options=["--pipeline", "32"] + ["--direct"] * direct)
        self.assert_same(self.file)
        shutil.rmtree(self.out)
        return report


ALONE = {
    "close": (GONE, "closed the connection"),
    "silent": (GONE, "no handshake"),
    "garbage": (BAD_PEERS, "broke the protocol"),
    "other_torrent": (BAD_PEERS, "info hash"),
    "long_message": (BAD_PEERS, "broke the protocol"),
    "bad_bitfield": (BAD_PEERS, "bitfield"),
    "spare_bits": (BAD_PEERS, "spare bits"),
    "have_beyond": (BAD_PEERS, "broke the protocol"),
    "wrong_data": (BAD_PEERS, "wrong hash"),
    "wrong_sometimes": (BAD_PEERS, "wrong hash"),
    "long_block": (BAD_PEERS, "broke the protocol"),
    "unasked": (BAD_PEERS, "not asked for"),
    "trickle": (GONE, "no block"),
    "chokes": (GONE, "choked"),
    "unchokes": (GONE, "no block"),
    "keepalives_only": (BAD_PEERS, "keepalives"),
    "rejects": (GONE, "refused all"),
    "none": (GONE, "has none of the pieces"),
}
BESIDE = list(ALONE) + ["dies", "choke_again", "keepalives", "rejects_some", "honest"]


def add_alone(behaviour, code, says, direct):
    def test(self):
        self.alone(behaviour, code, says, direct)
    setattr(Hostility, "test_alone_" + behaviour, test)


def add_beside(behaviour, direct):
    def test(self):
        report = self.beside(behaviour, direct)
        bad = report["peers"][0]
        if ALONE.get(behaviour, (0,))[0] == BAD_PEERS and behaviour != "keepalives_only":
            self.assertTrue(bad["dropped"], report["said"])
        if behaviour.startswith("wrong"):
            self.assertGreater(report["hash_failures"], 0)
            self.assertFalse(report["peers"][1]["dropped"], report["said"])
    setattr(Hostility, "test_beside_%s%s" % (behaviour, "_directly" if direct else ""), test)


for turn, (name, (expected, words)) in enumerate(ALONE.items()):
    add_alone(name, expected, words, turn % 2 == 0)
for name in BESIDE:
    add_beside(name, False)
for name in "wrong_sometimes", "dies", "choke_again", "keepalives", "rejects_some", "long_block":
    add_beside(name, True)


class Survivors(Hostility):
    """Odd, but not wrong: a download from such a peer alone comes to its end."""

    def finishes(self, behaviour, **options):
        for direct in [], ["--direct"]:
            peer = self.hostile(self.torrent, behaviour, **options)
            self.get(self.torrent, peer, options=["--pipeline", "16", "--retries", "3", *direct])
            self.assert_same(self.file)
            shutil.rmtree(self.out)

    def test_alone_dies(self):
        self.finishes("dies")

    def test_alone_chokes_again(self):
        self.finishes("choke_again")

    def test_alone_chokes_again_without_the_fast_extension(self):
        self.finishes("choke_again", fast=False)

    def test_alone_keepalives(self):
        self.finishes("keepalives")

    def test_alone_rejects_some(self):
        self.finishes("rejects_some")


for name in [n for n in dir(Hostility) if n.startswith("test_")]:
    if name not in vars(Survivors):
        setattr(Survivors, name, None)


class Trial(Case):
    def test_a_slow_good_peer_is_not_taken_off_the_trial(self):
        file = self.random_file(1 << 20, "a.bin")
        torrent = self.torrent_of(file, "1M")
        bad = self.hostile(torrent, "poison")
        # 2 s for the piece, with a timeout of 1 s.
        good = self.hostile(torrent, "honest", slow=0.03)
        for peers in (good, bad), (bad, good):
            report = self.get(torrent, *peers, options=["--timeout", "1", "--retries", "3",
                                                        "--pipeline", "16"])
            self.assert_same(file)
            self.assertIn("several peers", report["said"])
            self.assertEqual([p["dropped"] for p in report["peers"]], [p == bad for p in peers],
                             report["said"])
            shutil.rmtree(self.out)


class Absent(Case):
    def test_a_refused_connection(self):
        torrent = self.torrent_of(self.random_file(100000, "a.bin"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
        report = self.get(torrent, address, code=UNREACHABLE)
        self.assertIn("refused", report["said"])
        self.assertIn("trying again", report["said"])

    def test_a_peer_that_comes_late(self):
        file = self.random_file(100000, "a.bin")
        torrent = self.torrent_of(file)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
        process = subprocess.Popen([GET, torrent, "--peer", address, "--out", self.out],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        time.sleep(0.2)
        self.seed(torrent, "--listen", address)
        self.assertEqual(process.wait(20), 0)
        self.assert_same(file)


class Guests(Case):
    """Peers of zcb-seed that misbehave do not disturb others."""

    def setUp(self):
        super().setUp()
        self.file = self.random_file(2 << 20, "a.bin")
        self.torrent = self.torrent_of(self.file, "128K")
        with open(self.torrent, "rb") as file:
            info = bdecode(file.read())[0][b"info"]
        import hashlib
        self.hello = (b"\x13BitTorrent protocol" + bytes(7) + b"\x04" +
                      hashlib.sha1(bencode(info)).digest() + b"-XX0000-hostileguest")

    def guest(self, address):
        host, port = address.rsplit(":", 1)
        guest = socket.create_connection((host, int(port)))
        guest.settimeout(10)
        self.addCleanup(guest.close)
        return guest

    def assert_dropped(self, guest):
        try:
            while guest.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass

    def test_floods_and_nonsense(self):
        address = self.seed(self.torrent)
        request = struct.pack(">IBIII", 13, 6, 0, 0, BLOCK)
        interested = b"\0\0\0\1\2"
        never_read = self.guest(address)
        never_read.sendall(self.hello + interested)
        for data in (b"GET / HTTP/1.0\r\n\r\n" * 10, self.hello[:28] + bytes(40),
                     self.hello + b"\xff\xff\xff\xff",
                     self.hello + struct.pack(">IBIII", 13, 6, 9999, 0, 1),
                     self.hello + interested + struct.pack(">IBIII", 13, 6, 0, 0, 1 << 30),
                     self.hello + interested + struct.pack(">IBIII", 13, 6, 0, 0xffffffff, 2)):
            guest = self.guest(address)
            guest.sendall(data)
            self.assert_dropped(guest)
        # It asks for ever more and reads nothing: the seeder must not store all of that.
        time.sleep(0.2)
        try:
            never_read.settimeout(5)
            for _ in range(1000):  # more than all buffers in between can hold
                never_read.sendall(request * 1000)
            self.fail("a flood of requests was not stopped")
        except (ConnectionError, socket.timeout):
            pass
        self.get(self.torrent, address)
        self.assert_same(self.file)
        self.assertEqual(stop(self.processes[0], signal.SIGTERM), 0)

    def test_stopping_in_the_middle(self):
        address = self.seed(self.torrent)
        guest = self.guest(address)
        guest.sendall(self.hello + b"\0\0\0\1\2" + struct.pack(">IBIII", 13, 6, 0, 0, BLOCK) * 100)
        time.sleep(0.1)
        self.assertEqual(stop(self.processes[0], signal.SIGINT), 0)

    def test_a_handshake_byte_by_byte(self):
        guest = self.guest(self.seed(self.torrent))
        for byte in self.hello + b"\0\0\0\1\2" + struct.pack(">IBIII", 13, 6, 0, 5, 100):
            guest.sendall(bytes([byte]))
            time.sleep(0.001)
        # handshake, have all, unchoke; the request came before the unchoke or after it
        data = b""
        while len(data) < 68 + 5 + 5:
            data += guest.recv(1000)
        self.assertEqual(data[28:48], self.hello[28:48])

    def test_no_descriptors_left(self):
        address = self.start(["sh", "-c", 'ulimit -n 20; exec "$@"', "sh", SEED, self.torrent,
                              "--root", self.path("seed"), "--quiet"])
        guests = [self.guest(address) for _ in range(30)]
        time.sleep(0.2)

        def ticks():
            with open("/proc/%d/stat" % self.processes[0].pid) as file:
                return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))

        before = ticks()
        time.sleep(1)
        self.assertLess((ticks() - before) / os.sysconf("SC_CLK_TCK"), 0.3)
        for guest in guests:
            guest.close()
        self.get(self.torrent, address)
        self.assert_same(self.file)

    def test_peers_beyond_the_limit_are_turned_away(self):
        address = self.seed(self.torrent, "--max-peers", "1")
        first = self.guest(address)
        first.sendall(self.hello)
        self.assertEqual(len(first.recv(68)), 68)
        self.assert_dropped(self.guest(address))


main()
