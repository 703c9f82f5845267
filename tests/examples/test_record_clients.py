# SPDX-License-Identifier: MIT
"""zcb-record's clients, those that behave and those that do not, and its picture on a terminal."""

import fcntl
import pty
import re
import resource
import stat
import struct
import termios
import threading

import wav
from recording import *


def screen(said, rows, columns):
    """What a terminal shows after all that; only what zcb-record uses is known."""
    lines = [""] * 200
    row = column = 0
    for part in re.findall(r"\x1b\[\d*[A-Z]|.", said, re.DOTALL):
        if part == "\x1b[K":
            lines[row] = lines[row][:column]
        elif part == "\x1b[J":
            lines[row] = lines[row][:column]
            lines[row + 1:] = [""] * (len(lines) - row - 1)
        elif part.endswith("A") and part.startswith("\x1b["):
            row -= int(part[2:-1])
        elif part == "\r":
            column = 0
        elif part == "\n":
            row += 1
        else:
            assert part.isprintable(), repr(part)
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + 1:]
            column += 1
            assert column < columns, "a line that wraps: " + lines[row]
        assert 0 <= row
    return [line for line in lines if line]


class Terminal(RecordCase):
    def terminal(self, rows, columns, *options, tone="440", code=0):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = subprocess.Popen([RECORD, "--tone", tone, *options], stderr=theirs,
                                   stdout=theirs, stdin=theirs, env=self.env)
        self.processes.append(process)
        os.close(theirs)
        said = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:
                break
            if not more:
                break
            said += more
        os.close(ours)
        self.assertEqual(process.wait(), code)
        said = said.decode()
        self.clean(said)
        return said

    def test_the_picture(self):
        said = self.terminal(24, 80, "-t", "1")
        self.assertGreater(said.count("\x1b[3A"), 3)
        # The first line is longer than this screen, and not the picture's.
        lines = screen(said.split("ends it\r\n", 1)[-1].split("\x1b[3A\n")[0], 24, 80)
        shown = [line for line in screen(said, 24, 1000) if " [#" in line]
        self.assertEqual(len(shown), 2)
        self.assertRegex(shown[0], r"^ 1 \[#{20,29}-{0,3} {5,12}\] -12\.0 dBFS, rms -15\.\d$")
        self.assertRegex(shown[1], r"^ 2 \[#")
        self.assertIn("00:00:0", "\n".join(lines))
        # What is said afterwards is below it, and whole.
        self.assertIn("captured:   48000 frames", "\n".join(screen(said, 24, 1000)))

    def test_small_and_odd_terminals(self):
        for rows, columns in ((24, 20), (3, 80), (1, 1), (2, 5), (500, 500), (0, 0)):
            said = self.terminal(rows, columns, "-n", "9600", "-c", "40")
            with self.subTest(rows=rows, columns=columns):
                heights = {int(n) for n in re.findall(r"\x1b\[(\d+)A", said)}
                self.assertTrue(heights)
                self.assertLessEqual(max(heights), max(1, rows - 1) if rows else 17)

    def test_no_samples_for_a_terminal(self):
        self.assertIn("is a terminal", self.terminal(24, 80, "-n", "48", "-o", "-", code=USAGE))

    def test_quiet(self):
        self.assertEqual(self.terminal(24, 80, "-t", "0.5", "-q"), "")


class Client:
    """One that reads all of it, in a thread."""

    def __init__(self, address, slow=0):
        if address.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address)
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)))
        self.data, self.slow = bytearray(), slow
        self.thread = None

    def read(self):
        with self.socket:
            while True:
                try:
                    more = self.socket.recv(65536)
                except ConnectionResetError:
                    break # never accepted
                if not more:
                    break
                self.data += more
                time.sleep(self.slow)

    def start(self):
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        return self

    def samples(self):
        head, _, data = self.data.partition(b"\n\n")
        return head.decode(), bytes(data)


class Clients(RecordCase):
    HEAD = "zcb-record 1\nrate 48000\nchannels 2\nformat f32\nbyte-order little"

    def test_all_get_the_same_at_the_same_time(self):
        path = self.path("s")
        process = self.begin("-o", self.wav, "--serve", path, "--serve", "127.0.0.1:0,skip",
                             "--serve", "127.0.0.1:0,hold", "-t", "4")
        addresses = self.serving(process, 3)
        self.assertEqual(addresses[0], path)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        clients = [Client(address).start() for address in addresses for _ in range(2)]
        report = self.end(process)
        self.assert_ramp(self.parsed(), "f32")
        total = 0
        for client in clients:
            client.thread.join(20)
            head, data = client.samples()
            total += len(client.data)
            self.assertEqual(head, self.HEAD)
            self.assertEqual(len(data) % 8, 0)
            first = wav.number("f32", data) // 2
            self.assertEqual(first % 480, 0)
            self.assertEqual(first + len(data) // 8, 192000)
            self.assertTrue(data == wav.ramp("f32", 2, len(data) // 8, first))
        self.assertEqual(report["clients"]["accepted"], 6)
        self.assertEqual(report["clients"]["most"], 6)
        self.assertEqual(report["clients"]["bytes"], total)
        self.assertEqual(report["copied_bytes"], 0)
        self.assertFalse(os.path.exists(path))

    def test_one_that_never_reads_and_one_that_is_slow(self):
        # 6 MB/s: buffers of the kernel's are full in no time.
        process = self.begin("-o", self.wav, "-r", "192000", "-c", "8", "-t", "13", "--serve",
                             self.path("s"), "--serve", self.path("skip") + ",skip")
        addresses = self.serving(process, 2)
        dead = Client(addresses[0])
        slow = Client(addresses[1], slow=0.05).start()
        good = Client(addresses[0]).start()
        report = self.end(process)
        good.thread.join(20)
        # Neither the file nor the others lose anything for it.
        self.assertEqual(report["file"]["frames"], 192000 * 13)
        self.assertEqual(report["sink"]["drops_newest"] + report["sink"]["dropped_frames"], 0)
        self.assertEqual(report["clients"]["stalled"], 1)
        self.assertGreater(report["clients"]["dropped_oldest"], 100)
        self.assertGreater(report["clients"]["skipped"] + report["clients"]["dropped_oldest"], 100)
        _, data = good.samples()
        first = wav.number("f32", data) // 8
        self.assertGreater(len(data) // 32, 192000)
        self.assertTrue(data[:3200000] == wav.ramp("f32", 8, 100000, first))
        # Whoever is slow loses whole packets.
        slow.thread.join(30)
        _, data = slow.samples()
        for at in range(0, min(len(data), 4000000) - 1920 * 32, 1920 * 32):
            numbers = [wav.number("f32", data[at + 32 * i:]) for i in (0, 1, 1919)]
            self.assertEqual([(n - numbers[0]) % (1 << 24) for n in numbers], [0, 8, 8 * 1919])
        dead.socket.close()

    def test_more_than_are_wanted(self):
        process = self.begin("--serve", "127.0.0.1:0", "--clients", "2", "-t", "30")
        address, = self.serving(process)
        first = [Client(address).start() for _ in range(2)]
        self.until(lambda: all(len(client.data) > 100 for client in first))
        for _ in range(20):
            late = Client(address)
            late.read()
            self.assertEqual(late.data, b"zcb-record full\n\n")
        # One leaves: there is room again.
        first[0].socket.shutdown(socket.SHUT_RDWR)

        def gets_in():
            late = Client(address)
            with late.socket:
                return late.socket.recv(12) == b"zcb-record 1"

        self.until(gets_in)
        report = self.end(process, signal.SIGINT, STOPPED)
        self.assertGreaterEqual(report["clients"]["turned_away"], 20)
        self.assertEqual(report["clients"]["most"], 2)

    def test_too_few_descriptors(self):
        """As many clients as there are descriptors for, and the recording goes on."""
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
        process = self.begin("-o", self.wav, "--serve", "127.0.0.1:0", "--clients", "48", "-t", "3",
                             preexec_fn=limit)
        address, = self.serving(process)
        clients = [Client(address).start() for _ in range(16)]
        report = self.end(process)
        self.assert_ramp(self.parsed(), "f32")
        self.assertEqual(report["file"]["frames"], 144000)
        self.assertIn(report["clients"]["most"], range(2, 12))
        for client in clients:
            client.thread.join(20)

    def test_hostile_clients(self):
        process = self.begin("-o", self.wav, "--serve", "127.0.0.1:0", "--serve", self.path("s"),
                             "--clients", "4", "-t", "4")
        addresses = self.serving(process, 2)
        good = Client(addresses[0]).start()
        keep = []
        for i in range(300):
            client = Client(addresses[i % 2])
            if i % 3 == 0: # away at once, with a reset
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.socket.close()
            elif i % 3 == 1: # says a lot that nobody asked for
                client.socket.setblocking(False)
                try:
                    client.socket.send(random.Random(i).randbytes(100000))
                except OSError:
                    pass
                keep.append(client)
            else: # half closed: it can still listen
                try:
                    client.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                keep.append(client)
        report = self.end(process)
        self.assert_ramp(self.parsed(), "f32")
        self.assertEqual(report["file"]["frames"], 192000)
        good.thread.join(20)
        _, data = good.samples()
        self.assertTrue(data == wav.ramp("f32", 2, len(data) // 8, wav.number("f32", data) // 2))
        self.assertGreater(len(data), 100000)
        for client in keep:
            client.socket.close()

    def test_what_is_in_a_sockets_place(self):
        path = self.path("s")
        with open(path, "w") as file:
            file.write("mine")
        done = self.record("--serve", path, "-n", "1", code=STORAGE)
        self.assertIn("there is something already", done.said)
        with open(path) as file:
            self.assertEqual(file.read(), "mine")
        os.unlink(path)
        # One that is in use stays; one that was left behind does not.
        left = socket.socket(socket.AF_UNIX)
        left.bind(path)
        left.listen()
        self.record("--serve", path, "-n", "1", code=STORAGE)
        left.close()
        self.record("--serve", path, "-n", "1")
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    main()
