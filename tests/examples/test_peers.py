# SPDX-License-Identifier: MIT
"""With programs that other people wrote, on both sides: libtorrent and aria2."""

from helpers import *

LIBTORRENT = ["/usr/bin/python3", os.path.join(ROOT, "scripts", "libtorrent-peer")]
TRACKER = ["python3", os.path.join(ROOT, "scripts", "mini-tracker")]
ARIA2 = ["aria2c", "--no-conf=true", "--enable-dht=false", "--enable-dht6=false",
         "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--interface=127.0.0.1",
         "--file-allocation=none", "--quiet=true"]


class Peers(Case):
    def setUp(self):
        super().setUp()
        for i, length in enumerate([3 << 20, 0, 5000, 5 << 20]):
            self.random_file(length, "many", "%d.bin" % i)
        self.original = self.path("seed", "many")
        self.torrent = self.torrent_of(self.original, "128K")

    def needs_aria2(self):
        if not shutil.which("aria2c"):
            self.skipTest("aria2c is not installed")

    def check(self, *peers):
        for options in [], ["--direct"]:
            with self.subTest(options=options):
                self.get(self.torrent, *peers,
                         options=["--timeout", "20", "--retries", "5", *options])
                self.assert_same(self.original)
                shutil.rmtree(self.out)

    def libtorrent(self):
        return self.start([*LIBTORRENT, "seed", self.torrent, self.path("seed")])

    def aria2(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.processes.append(subprocess.Popen(
            [*ARIA2, "--listen-port=%d" % port, "--dir", self.path("seed"), "--seed-ratio=0.0",
             "--check-integrity=true", self.torrent],
            stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL))
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        return "127.0.0.1:%d" % port

    def test_from_libtorrent(self):
        self.check(self.libtorrent())

    def test_from_aria2(self):
        self.needs_aria2()
        self.check(self.aria2())

    def test_from_all_kinds_at_once(self):
        self.needs_aria2()
        self.check(self.libtorrent(), self.aria2(), self.seed(self.torrent))

    def test_to_libtorrent(self):
        os.mkdir(self.out)
        done = subprocess.run([*LIBTORRENT, "get", self.torrent, self.out, self.seed(self.torrent)],
                              timeout=60)
        if done.returncode == 77:
            self.skipTest("libtorrent is not installed")
        self.assertEqual(done.returncode, 0)
        self.assert_same(self.original)

    def test_to_aria2(self):
        self.needs_aria2()
        tracker = self.start([*TRACKER, self.seed(self.torrent)], "tracker")
        done = subprocess.run([*ARIA2, "--dir", self.out, "--seed-time=0",
                               "--bt-tracker=" + tracker, self.torrent], timeout=60, stdout=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0)
        self.assert_same(self.original)


main()
