# SPDX-License-Identifier: MIT
"""What the tests of the example programs share: running them, and a peer that misbehaves."""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BIN = os.environ["ZCB_EXAMPLES"]
ROOT = os.environ["ZCB_ROOT"]
GET = os.path.join(BIN, "zcb-get")
SEED = os.path.join(BIN, "zcb-seed")
MAKE = os.path.join(BIN, "zcb-mktorrent")

TORRENT, STORAGE, UNREACHABLE, BAD_PEERS, GONE, STOPPED = 3, 4, 5, 6, 7, 130
BLOCK = 16384


def main():
    """Runs the tests; a test that was left out for want of a program makes it 77 if all were."""
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun and len(result.skipped) == result.testsRun else 0)


class Case(unittest.TestCase):
    """A folder of its own, and no process left behind."""

    def setUp(self):
        # Not tearDown(), which is left out where setUp() of a class below fails, or skips.
        self.addCleanup(self.clean_up)
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="zcb-test.", dir=base)
        self.out = self.path("out")
        self.processes = []
        self.peers = []

    def clean_up(self):
        for peer in self.peers:
            peer.close()
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def random_file(self, length, *parts):
        path = self.path("seed", *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(random.Random(length).randbytes(length))
        return path

    def torrent_of(self, path, piece_length="256K"):
        torrent = self.path("data.torrent")
        subprocess.run([MAKE, "--piece-length", str(piece_length), path, torrent], check=True,
                       stdout=subprocess.DEVNULL)
        return torrent

    def start(self, command, word="listening", **options):
        """A program that says `... ADDRESS` when it is ready; the address."""
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                   text=True, **options)
        self.processes.append(process)
        line = process.stdout.readline().split()
        if word not in line:
            if process.wait() == 77:
                self.skipTest(os.path.basename(command[-4]) + " is not installed")
            self.fail("%s did not start" % command)
        return line[-1]

    def seed(self, torrent, *options):
        return self.start([SEED, torrent, "--root", self.path("seed"), "--quiet", *options])

    def hostile(self, torrent, behaviour, **options):
        peer = Hostile(torrent, self.path("seed"), behaviour, **options)
        self.peers.append(peer)
        return peer.address

    def get(self, torrent, *peers, options=(), code=0, seconds=60, **popen):
        """Runs zcb-get to its end; its JSON report, with what it said in "said"."""
        command = [GET, torrent, "--out", self.out, "--json", "--timeout", "3", "--retries", "1",
                   *options]
        for peer in peers:
            command += ["--peer", peer]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              stdin=subprocess.DEVNULL, timeout=seconds, **popen)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertNotIn("runtime error", done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        report = json.loads(done.stdout) if done.stdout else {}
        report["said"] = done.stderr
        return report

    def assert_same(self, original, copy=None):
        """Two files, or two folders, have the same contents."""
        copy = copy or os.path.join(self.out, os.path.basename(original))
        done = subprocess.run(["diff", "-r", original, copy], stdout=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)


def bdecode(data, at=0):
    """The value at `at`, and what is behind it."""
    if data[at:at + 1] == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if data[at:at + 1] in (b"l", b"d"):
        kind, items = data[at:at + 1], []
        at += 1
        while data[at:at + 1] != b"e":
            item, at = bdecode(data, at)
            items.append(item)
        if kind == b"d":
            return dict(zip(items[::2], items[1::2])), at + 1
        return items, at + 1
    colon = data.index(b":", at)
    length = int(data[at:colon])
    return data[colon + 1:colon + 1 + length], colon + 1 + length


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(k) + bencode(value[k]) for k in sorted(value)) + b"e"


class Hostile:
    """A peer that serves one single-file torrent and misbehaves in one way, named by `behaviour`:

    honest            does not misbehave
    silent            accepts and says nothing
    close             accepts and closes
    garbage           random bytes instead of a handshake
    other_torrent     a handshake with another info hash
    long_message      length 0xffffffff after the handshake
    bad_bitfield      a bitfield of the wrong length
    spare_bits        a bitfield with spare bits set
    have_beyond       HAVE of a piece that does not exist
    wrong_data        every block is wrong
    wrong_sometimes   every eighth block is wrong
    long_block        a block longer than was asked for
    unasked           floods with blocks nobody asked for
    trickle           one byte a second
    dies              closes in the middle of a block, each time
    chokes            never unchokes
    choke_again       chokes after each 20 blocks, and unchokes 50 ms later
    keepalives        floods with keepalives before each block
    keepalives_only   floods with keepalives and nothing else
    rejects           refuses every request
    rejects_some      refuses every third request once
    none              has no piece at all
    unchokes          unchokes again and again, and sends nothing
    poison            the first block of each connection is wrong, and nothing follows
    """

    def __init__(self, torrent, folder, behaviour, fast=True, slow=0):
        with open(torrent, "rb") as file:
            raw = file.read()
        info = bdecode(raw)[0][b"info"]
        self.info_hash = hashlib.sha1(bencode(info)).digest()
        self.piece_length = info[b"piece length"]
        self.pieces = len(info[b"pieces"]) // 20
        with open(os.path.join(folder, info[b"name"].decode()), "rb") as file:
            self.data = file.read()
        self.behaviour, self.fast, self.slow = behaviour, fast, slow
        self.sent_blocks = 0
        self.connections = 0
        self.refused = set()
        self.lock = threading.Lock()
        self.open = set()
        self.closed = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.closed = True
        # close() alone does not wake a thread that waits in accept() or recv().
        for one in (self.listener, *self.open):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def accept(self):
        while not self.closed:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.talk(connection)
        except (OSError, EOFError):
            pass
        finally:
            self.open.discard(connection)
            connection.close()

    @staticmethod
    def read(connection, n):
        data = b""
        while len(data) < n:
            more = connection.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    @staticmethod
    def message(kind, payload=b""):
        return struct.pack(">IB", 1 + len(payload), kind) + payload

    def talk(self, c):
        what = self.behaviour
        if what == "close":
            return
        if what == "silent":
            while not self.closed:
                self.read(c, 1)
        if what == "garbage":
            c.sendall(random.Random(1).randbytes(5000))
            self.read(c, 1 << 20)
        theirs = self.read(c, 68)
        fast = self.fast and bool(theirs[27] & 4)
        info_hash = bytes(20) if what == "other_torrent" else self.info_hash
        c.sendall(b"\x13BitTorrent protocol" + bytes(7) + bytes([4 if self.fast else 0]) +
                  info_hash + b"-XX0000-hostilepeer!")
        bits = bytearray(b"\xff" * ((self.pieces + 7) // 8))
        if self.pieces % 8:
            bits[-1] = 0xff << (8 - self.pieces % 8) & 0xff
        if what == "bad_bitfield":
            bits += b"\0"
        elif what == "spare_bits":
            bits[-1] |= 1
        elif what == "none":
            bits = bytearray(len(bits))
        c.sendall(self.message(5, bytes(bits)))
        if what == "long_message":
            c.sendall(b"\xff\xff\xff\xff\x07")
        if what == "have_beyond":
            c.sendall(self.message(4, struct.pack(">I", self.pieces)))
        if what == "keepalives_only":
            while not self.closed:
                c.sendall(bytes(4000))
        while what == "unchokes" and not self.closed:
            c.sendall(self.message(1))
            time.sleep(0.1)
        answered = False
        if what == "unasked":
            while not self.closed:
                c.sendall(self.message(7, struct.pack(">II", 0, 0) + bytes(BLOCK)))
        while not self.closed:
            length, = struct.unpack(">I", self.read(c, 4))
            body = self.read(c, length) if length else b""
            if body[:1] == b"\x02" and what != "chokes":
                c.sendall(self.message(1))
            elif body[:1] == b"\x06" and not (what == "poison" and answered):
                answered = True
                self.answer(c, fast, *struct.unpack(">III", body[1:13]))

    def answer(self, c, fast, index, begin, length):
        what = self.behaviour
        request = struct.pack(">III", index, begin, length)
        at = index * self.piece_length + begin
        block = bytearray(self.data[at:at + length])
        head = struct.pack(">IBII", 9 + len(block), 7, index, begin)
        with self.lock:
            self.sent_blocks += 1
            turn = self.sent_blocks
        if self.slow:
            time.sleep(self.slow)
        if what == "rejects" or (what == "rejects_some" and turn % 3 == 0 and
                                 request not in self.refused):
            self.refused.add(request)
            if fast:
                c.sendall(self.message(16, request))
            return
        if what in ("wrong_data", "poison") or (what == "wrong_sometimes" and turn % 8 == 0):
            block[len(block) // 2] ^= 1
        if what == "long_block":
            head = struct.pack(">IBII", 9 + len(block) + 1, 7, index, begin)
            block += b"x"
        if what == "trickle":
            for byte in head + block:
                c.sendall(bytes([byte]))
                time.sleep(1)
        if what == "dies" and turn % 40 == 0:
            c.sendall(head + block[:1000])
            raise EOFError
        if what == "keepalives":
            c.sendall(bytes(4 * 500))
        if what == "choke_again" and turn % 20 == 0:
            c.sendall(self.message(0))
            time.sleep(0.05)
            c.sendall(self.message(1))
            if not fast:
                return
        c.sendall(head + block)


def stop(process, number):
    os.kill(process.pid, number)
    return process.wait(20)


__all__ = ["BAD_PEERS", "BIN", "BLOCK", "Case", "GET", "GONE", "Hostile", "MAKE", "ROOT", "SEED",
           "STOPPED", "STORAGE", "TORRENT", "UNREACHABLE", "bdecode", "bencode", "json", "main",
           "os", "random", "shutil", "signal", "socket", "stop", "struct", "subprocess", "tempfile", "time",
           "unittest"]
