# SPDX-License-Identifier: MIT
"""zcb-get from zcb-seed: shapes of torrents, figures, resume."""

from helpers import *


class Shapes(Case):
    def check(self, path, piece_length, seeders=1, options=()):
        torrent = self.torrent_of(path, piece_length)
        peers = [self.seed(torrent) for _ in range(seeders)]
        report = self.get(torrent, *peers, options=options)
        self.assert_same(path)
        return report

    def assert_no_allocations(self, report):
        # Nothing for a piece, a block or a message: of these there are dozens, hundreds, thousands. A
        # pool may grow by a slab when more is under way than was in the beginning.
        if report["steady_allocations"] is not None:
            self.assertLess(report["steady_allocations"], 8)

    def test_one_file(self):
        report = self.check(self.random_file(16 << 20, "a.bin"), "256K")
        self.assertEqual(report["payload_bytes"], 16 << 20)
        self.assertGreaterEqual(report["copied_per_payload_byte"], 0.99)
        self.assertLessEqual(report["copied_per_payload_byte"], 1.01)
        self.assert_no_allocations(report)

    def test_one_file_directly(self):
        report = self.check(self.random_file(16 << 20, "a.bin"), "256K", options=["--direct"])
        self.assertLessEqual(report["copied_per_payload_byte"], 0.01)
        self.assert_no_allocations(report)

    def test_piece_length_that_is_no_multiple_of_a_block(self):
        for options in [], ["--direct"]:
            with self.subTest(options=options):
                self.check(self.random_file(1234567, "a.bin"), 100001, options=options)
                shutil.rmtree(self.out)

    def test_pieces_smaller_than_a_block(self):
        for options in [], ["--direct"]:
            with self.subTest(options=options):
                self.check(self.random_file(100003, "a.bin"), 1000, options=options)
                shutil.rmtree(self.out)

    def test_one_byte(self):
        self.check(self.random_file(1, "a.bin"), "16K")

    def test_an_empty_file_needs_no_peer(self):
        torrent = self.torrent_of(self.random_file(0, "empty"))
        self.get(torrent, "127.0.0.1:1")
        self.assertEqual(os.path.getsize(os.path.join(self.out, "empty")), 0)

    def many_files(self):
        for i, length in enumerate([0, 1, 5000, 0, 70000, 1 << 20, 3, 16384, 0]):
            self.random_file(length, "many", "folder %d" % (i % 3), "deep", "file %d" % i)
        return self.path("seed", "many")

    def test_many_files(self):
        for piece_length in "16K", "64K", 33333, "4M":
            for options in [], ["--direct"]:
                with self.subTest(piece_length=piece_length, options=options):
                    self.check(self.many_files(), piece_length, options=options)
                    shutil.rmtree(self.out)

    def test_more_files_than_are_kept_open(self):
        for i in range(200):
            self.random_file(100 + i * 37, "many", "%03d" % i)
        self.check(self.path("seed", "many"), "16K")

    def test_several_seeders_at_once(self):
        for options in [], ["--direct"]:
            with self.subTest(options=options):
                report = self.check(self.random_file(24 << 20, "a.bin"), "128K", 4, options)
                for peer in report["peers"]:
                    self.assertGreater(peer["payload_bytes"], 0)
                shutil.rmtree(self.out)


class Resume(Case):
    def setUp(self):
        super().setUp()
        self.file = self.random_file(8 << 20, "a.bin")
        self.torrent = self.torrent_of(self.file, "64K")

    def interrupt(self, number):
        """Starts a download from a slow peer, ends it in the middle, and gives its exit code."""
        peer = self.hostile(self.torrent, "honest", slow=0.004)
        process = subprocess.Popen([GET, self.torrent, "--peer", peer, "--out", self.out, "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        time.sleep(1)
        return stop(process, number)

    def finish(self, low=1):
        report = self.get(self.torrent, self.seed(self.torrent))
        self.assert_same(self.file)
        self.assertGreaterEqual(report["resumed_bytes"], low)
        self.assertEqual(report["resumed_bytes"] + report["payload_bytes"], 8 << 20)
        return report

    def test_after_ctrl_c(self):
        self.assertEqual(self.interrupt(signal.SIGINT), STOPPED)
        self.assertIn("goes on from there", self.processes[0].stderr.read())
        self.finish()

    def test_after_sigterm(self):
        self.assertEqual(self.interrupt(signal.SIGTERM), STOPPED)
        self.finish()

    def test_after_kill(self):
        self.assertEqual(self.interrupt(signal.SIGKILL), -signal.SIGKILL)
        self.finish()

    def test_a_complete_download_needs_no_peer(self):
        self.get(self.torrent, self.seed(self.torrent))
        report = self.get(self.torrent, "127.0.0.1:1")
        self.assertEqual(report["resumed_bytes"], 8 << 20)
        self.assertEqual(report["payload_bytes"], 0)

    def test_a_corrupted_piece_is_fetched_again(self):
        self.get(self.torrent, self.seed(self.torrent))
        with open(os.path.join(self.out, "a.bin"), "r+b") as file:
            file.seek(3 * 65536 + 17)
            file.write(b"corrupted")
        report = self.get(self.torrent, self.seed(self.torrent))
        self.assertEqual(report["payload_bytes"], 65536)
        self.assert_same(self.file)

    def test_a_file_that_was_cut_off_is_completed(self):
        self.get(self.torrent, self.seed(self.torrent))
        os.truncate(os.path.join(self.out, "a.bin"), 1000000)
        self.finish(low=15 * 65536)

    def test_holes_are_not_hashed_as_data(self):
        os.mkdir(self.out)
        with open(os.path.join(self.out, "a.bin"), "wb") as file:
            file.truncate(8 << 20)
        self.finish(low=0)


class Files(Case):
    def setUp(self):
        super().setUp()
        self.file = self.random_file(1 << 20, "a.bin")
        self.torrent = self.torrent_of(self.file)

    def test_a_longer_file_is_not_touched(self):
        os.mkdir(self.out)
        with open(os.path.join(self.out, "a.bin"), "wb") as file:
            file.write(b"mine" * (1 << 20))
        report = self.get(self.torrent, self.seed(self.torrent), code=STORAGE)
        self.assertIn("longer than the torrent says", report["said"])
        self.assertEqual(os.path.getsize(os.path.join(self.out, "a.bin")), 4 << 20)

    def test_a_folder_or_a_link_in_the_way(self):
        os.makedirs(os.path.join(self.out, "a.bin"))
        self.get(self.torrent, self.seed(self.torrent), code=STORAGE)
        os.rmdir(os.path.join(self.out, "a.bin"))
        os.symlink("/etc/passwd", os.path.join(self.out, "a.bin"))
        self.get(self.torrent, self.seed(self.torrent), code=STORAGE)

    def test_the_folders_above_are_made(self):
        out = os.path.join(self.out, "b", "c")
        self.get(self.torrent, self.seed(self.torrent), options=["--out", out])
        self.assert_same(self.file, os.path.join(out, "a.bin"))

    def test_closed_standard_descriptors(self):
        seeder = self.seed(self.torrent)
        for closed in "<&- >&- 2>&-", ">&- 2>&-", "2>&-":
            done = subprocess.run(["sh", "-c", 'exec "$@" ' + closed, "sh", GET, self.torrent,
                                   "--peer", "127.0.0.1:1", "--peer", seeder, "--out", self.out,
                                   "--json"], stdout=subprocess.DEVNULL, timeout=20)
            self.assertEqual(done.returncode, 0)
            self.assert_same(self.file)
            shutil.rmtree(self.out)

    def test_names_that_terminals_act_on(self):
        for name, shown in ((b"\xff\xfe.bin", "\ufffd\ufffd.bin"),
                            (b"\x1b]0;x\x07", "\x1b]0;x\x07"),
                            (b"\xc2\x9b31m", "\x9b31m"), ("\u00e9\u20ac".encode(), "\u00e9\u20ac")):
            torrent = self.path("names.torrent")
            with open(torrent, "wb") as file:
                file.write(bencode({b"info": {b"length": 5, b"name": name, b"piece length": 16384,
                                              b"pieces": bytes(20)}}))
            os.makedirs(self.out, exist_ok=True)
            with open(os.path.join(self.out.encode(), name), "wb") as file:
                file.write(b"longer than five")
            report = self.get(torrent, "127.0.0.1:1", code=STORAGE)
            self.assertEqual(report["name"], shown)
            self.assertEqual(report["total_bytes"], 5)
            seeding = subprocess.run([SEED, torrent, "--root", self.out], stderr=subprocess.PIPE,
                                     stdout=subprocess.DEVNULL, timeout=20)
            self.assertEqual(seeding.returncode, STORAGE)
            for said in report["said"], seeding.stderr.decode():
                for character in said:
                    self.assertTrue(character.isprintable() or character == "\n", said)

    def test_a_limit_on_file_size_loses_nothing(self):
        big = self.random_file(4 << 20, "big.bin")
        torrent = self.torrent_of(big, "64K")
        os.mkdir(self.out)
        # 2 MiB, and the file is made at once at its full length: so it must fail at the very start.
        report = subprocess.run(["sh", "-c", 'ulimit -f 4096; exec "$@"', "sh", GET, torrent,
                                 "--peer", self.seed(torrent), "--out", self.out],
                                stderr=subprocess.PIPE, text=True)
        self.assertEqual(report.returncode, STORAGE, report.stderr)
        self.assertIn("run the same command again", report.stderr)
        self.get(torrent, self.seed(torrent))
        self.assert_same(big)

    def test_a_full_disk_loses_nothing(self):
        big = self.random_file(8 << 20, "big.bin")
        torrent = self.torrent_of(big, "64K")
        os.mkdir(self.out)
        # A file system of 4 MiB, where one may be mounted.
        script = ('mount -t tmpfs -o size=4m tmpfs "$1" || exit 77;'
                  '"$2" "$3" --peer "$4" --out "$1"; a=$?;'
                  'mount -o remount,size=16m "$1" && "$2" "$3" --peer "$4" --out "$1" >&2 && '
                  'cmp "$1/big.bin" "$5" || a=99; exit $a')
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", self.out, GET, torrent,
                               self.seed(torrent), big], stderr=subprocess.PIPE, text=True)
        if done.returncode in (1, 77):
            self.skipTest("no file system can be mounted here")
        self.assertEqual(done.returncode, STORAGE, done.stderr)
        self.assertIn("make room in", done.stderr)

    def test_a_disk_that_fills_up_during_the_download(self):
        big = self.random_file(8 << 20, "big.bin")
        torrent = self.torrent_of(big, "64K")
        os.mkdir(self.out)
        slow = self.hostile(torrent, "honest", slow=0.003)
        script = ('mount -t tmpfs -o size=9m tmpfs "$1" || exit 77;'
                  '"$2" "$3" --peer "$4" --out "$1" & sleep 0.4;'
                  'head -c 6000000 /dev/zero >"$1/filler";'
                  'wait $!; a=$?; rm "$1/filler"; "$2" "$3" --peer "$5" --out "$1" --json && '
                  'cmp "$1/big.bin" "$6" || a=99; exit $a')
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", self.out, GET, torrent,
                               slow, self.seed(torrent), big],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode in (1, 77):
            self.skipTest("no file system can be mounted here")
        self.assertEqual(done.returncode, STORAGE, done.stderr)
        self.assertIn("No space left", done.stderr)
        self.assertGreater(json.loads(done.stdout)["resumed_bytes"], 0)


class Words(Case):
    """Arguments, help, and files that are no torrents."""

    def run_it(self, *command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=20)
        return done.returncode, done.stdout, done.stderr

    def test_help(self):
        for program in GET, SEED, MAKE:
            code, out, _ = self.run_it(program, "--help")
            self.assertEqual(code, 0)
            self.assertIn("usage: " + os.path.basename(program), out)
            self.assertIn("Exit codes", out)

    def test_standard_output_that_is_full(self):
        torrent = self.torrent_of(self.random_file(1000, "a.bin"))
        seeder = self.seed(torrent)
        get = [GET, torrent, "--peer", seeder, "--out", self.out]
        for command in ([GET, "--help"], [SEED, "--help"], [MAKE, "--help"], get, [*get, "--json"],
                        [SEED, torrent, "--root", self.path("seed")],
                        [MAKE, self.path("seed", "a.bin"), self.path("again.torrent")]):
            with open("/dev/full", "w") as full:
                done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=20)
            self.assertEqual((command, done.returncode), (command, 1))
            self.assertIn(b"standard output", done.stderr)

    def test_words_about_arguments(self):
        for options, word in ((["--timeout", "0"], "--timeout 0"), (["--out", ""], "--out"),
                              (["--peer", "127.0.0.1:0"], "port 0")):
            code, _, err = self.run_it(GET, "x", *options)
            self.assertEqual(code, 2)
            self.assertIn(word, err)

    def test_wrong_arguments(self):
        for command in ([GET], [GET, "x"], [GET, "x", "--out", "y"], [GET, "--what"], [SEED],
                        [SEED, "x"], [MAKE], [MAKE, "x"], [GET, "x", "--out", "y", "--peer", "nonsense"],
                        [GET, "x", "--out", "y", "--peer", "127.0.0.1:99999"], [MAKE, "/", "x"],
                        [GET, "x", "--out", "y", "--peer", "127.0.0.1:1", "--pipeline", "0"]):
            code, _, err = self.run_it(*command)
            self.assertEqual((command, code), (command, 2))
            self.assertNotEqual(err, "")

    def test_no_torrents(self):
        torrent = self.path("bad.torrent")
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        for data in (b"", b"d", b"hello", b"d4:infodee", b"l" * 100000, b"\0" * 1000):
            with open(torrent, "wb") as file:
                file.write(data)
            for program in ([GET, torrent, "--out", self.out, "--peer", "127.0.0.1:1"],
                            [SEED, torrent, "--root", self.folder]):
                code, _, err = self.run_it(*program)
                self.assertEqual(code, TORRENT)
                self.assertIn("bad.torrent", err)
        for path in self.path("missing"), self.folder, fifo:
            code, _, err = self.run_it(GET, path, "--out", self.out, "--peer", "127.0.0.1:1")
            self.assertEqual(code, TORRENT)

    def test_seeding_what_is_not_there(self):
        torrent = self.torrent_of(self.random_file(100000, "a.bin"))
        os.truncate(self.path("seed", "a.bin"), 99999)
        code, _, err = self.run_it(SEED, torrent, "--root", self.path("seed"))
        self.assertEqual(code, STORAGE)
        self.assertIn("not a file of 100000 bytes", err)
        os.unlink(self.path("seed", "a.bin"))
        code, _, err = self.run_it(SEED, torrent, "--root", self.path("seed"))
        self.assertEqual(code, STORAGE)

    def test_a_port_that_is_taken(self):
        torrent = self.torrent_of(self.random_file(1000, "a.bin"))
        address = self.seed(torrent)
        code, _, err = self.run_it(SEED, torrent, "--root", self.path("seed"), "--listen", address)
        self.assertEqual(code, 1)
        self.assertIn("port 0 takes any", err)


main()
