# SPDX-License-Identifier: MIT
"""zcb-record with its own tone generator: what the file holds, to the last sample, and every way in
which a recording can end. Clients and terminals: test_record_clients.py; sound servers:
test_record_servers.py."""

import math
import resource
import struct
import wave

import wav
from recording import *

class Files(RecordCase):
    def test_every_sample_of_every_format(self):
        for format in wav.BYTES:
            for channels in 1, 2, 3, 8:
                with self.subTest(format=format, channels=channels):
                    report = self.json("-o", self.wav, "-f", format, "-c", str(channels), "-r",
                                       "44100", "-n", "4411")
                    sound = self.parsed()
                    self.assert_ramp(sound, format)
                    self.assertEqual(sound.frames, 4411)
                    self.assertEqual((sound.kind, sound.rate, sound.channels), ("RIFF", 44100, channels))
                    self.assertEqual(sound.bits, 8 * wav.BYTES[format])
                    self.assertEqual(sound.tag, 3 if format == "f32" else 1)
                    self.assertEqual(sound.extensible, channels > 2 or format in ("s24", "s32"))
                    self.assertEqual(sound.mask, {1: 4, 2: 3}.get(channels, 0) if sound.extensible else None)
                    self.assertEqual(sound.fact, 4411 if format == "f32" else None)
                    # Chunks are of even length; the first word's size is that of all behind it.
                    size = os.path.getsize(self.wav)
                    self.assertEqual((size % 2, sound.riff), (0, size - 8))
                    self.assertEqual(report["frames"], 4411)
                    self.assertEqual(report["file"]["frames"], 4411)

    def test_other_lengths_of_packets(self):
        for packet in "1", "7", "1000":
            report = self.json("-o", self.wav, "--packet", packet, "-n", "20000")
            sound = self.parsed()
            self.assertEqual(sound.frames, 20000)
            self.assert_ramp(sound, "f32")
            self.assertEqual(report["sink"]["packets"], -(-20000 // (48 * int(packet))))

    def test_a_sine_as_the_wave_module_reads_it(self):
        self.json("-o", self.wav, "-f", "s16", "-r", "48000", "-t", "0.5", tone="1000")
        with wave.open(self.wav) as file:
            self.assertEqual((file.getnchannels(), file.getframerate(), file.getnframes()),
                             (2, 48000, 24000))
            samples = struct.unpack("<48000h", file.readframes(24000))
        for i in range(0, 48000, 2):
            wanted = 0.25 * math.sin(2 * math.pi * 1000 * (i // 2) / 48000) * 32767
            self.assertLessEqual(abs(samples[i] - wanted), 1)
            self.assertEqual(samples[i], samples[i + 1])

    def test_rf64(self):
        for limit, kind in ((0, "RF64"), (1000, "RF64"), (38485, "RF64"), (38486, "RIFF")):
            self.json("-o", self.wav, "-n", "4800", "--rf64-above", str(limit))
            sound = self.parsed()
            with self.subTest(limit=limit):
                self.assertEqual(os.path.getsize(self.wav) - 8, 38486)
                self.assertEqual((sound.kind, sound.riff), (kind, 38486))
                self.assertEqual(sound.chunks[0], "ds64" if kind == "RF64" else "JUNK")
                if kind == "RF64":
                    self.assertEqual((sound.samples, sound.fact), (4800, 0xffffffff))
                self.assert_ramp(sound, "f32")

    def test_standard_output_is_a_pipe(self):
        done = self.record("-o", "-", "-n", "9600", "-q")
        sound = wav.parse(done.stdout)
        self.assertTrue(sound.open)
        self.assertEqual((sound.riff, sound.fact, sound.frames), (0xffffffff, 0xffffffff, 9600))
        self.assert_ramp(sound, "f32")

    def test_standard_output_is_a_file(self):
        with open(self.wav, "wb") as file:
            self.record("-o", "-", "-n", "9600", "-q", stdout=file)
        sound = self.parsed()
        self.assertFalse(sound.open)
        self.assertEqual(sound.frames, 9600)

    def test_standard_output_appends_to_a_file(self):
        with open(self.wav, "wb") as file:
            file.write(b"before")
        for mode in "ab", "r+b":
            with self.subTest(mode=mode):
                size = os.path.getsize(self.wav)
                with open(self.wav, mode) as file:
                    file.seek(0, os.SEEK_END)
                    self.record("-o", "-", "-n", "480", "-q", stdout=file)
                with open(self.wav, "rb") as file:
                    data = file.read()
                self.assertEqual(data[:6], b"before")
                self.assert_ramp(wav.parse(data[size:]), "f32")

    def test_a_reader_that_goes_away(self):
        process = subprocess.Popen([RECORD, "--tone", "ramp", "-o", "-", "-q"], env=self.env,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.processes.append(process)
        process.stdout.read(5000)
        process.stdout.close()
        self.assertEqual(process.wait(30), STORAGE)
        self.assertIn(b"standard output: Broken pipe", process.stderr.read())


class Ends(RecordCase):
    def grown(self, length):
        return lambda: os.path.exists(self.wav) and os.path.getsize(self.wav) > length

    def test_signals(self):
        for number, options, code in ((signal.SIGINT, [], 0), (signal.SIGTERM, [], 0),
                                      (signal.SIGHUP, [], 0), (signal.SIGINT, ["-t", "100"], STOPPED)):
            process = self.begin("-o", self.wav, "--serve", self.path("s"), *options)
            self.until(self.grown(100000))
            report = self.end(process, number, code)
            self.assertEqual(report["ended"], "interrupted")
            sound = self.parsed()
            self.assert_ramp(sound, "f32")
            self.assertEqual(sound.frames, report["frames"])
            self.assertFalse(os.path.exists(self.path("s")))
            os.unlink(self.wav)

    def test_nohup(self):
        process = self.begin("-o", self.wav, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.until(self.grown(100000))
        process.send_signal(signal.SIGHUP)
        size = os.path.getsize(self.wav)
        self.until(self.grown(size + 100000))
        self.end(process, signal.SIGINT)

    def test_kill_leaves_a_file_that_can_be_played(self):
        process = self.begin("-o", self.wav)
        self.until(self.grown(48000 * 8 * 2.5))
        process.kill()
        process.wait()
        sound = self.parsed()
        self.assertGreater(sound.frames, 48000)
        self.assertEqual(sound.riff, sound.header - 8 + sound.size)
        self.assert_ramp(sound, "f32")

    def test_a_file_that_grows_too_large(self):
        # Not a multiple of a frame.
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100001, 100001))
        report = self.json("-o", self.wav, "-f", "s24", "-t", "60", code=STORAGE, preexec_fn=limit)
        self.assertEqual(report["ended"], "file")
        sound = self.parsed()
        self.assert_ramp(sound, "s24")
        self.assertEqual(sound.frames, report["file"]["frames"])
        self.assertGreater(sound.size, 99880)
        # A part of a frame was cut off.
        self.assertEqual(os.path.getsize(self.wav), sound.header + sound.size + sound.size % 2)

    def test_no_room_for_the_last_byte(self):
        # An odd length is filled up with a byte that does not fit; the header is right nevertheless.
        length = 104 + 3 * 2701
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (length, length))
        self.json("-o", self.wav, "-f", "s24", "-c", "1", "-t", "60", code=STORAGE, preexec_fn=limit)
        with open(self.wav, "rb") as file:
            data = file.read()
        self.assertEqual(len(data), length)
        self.assertEqual(struct.unpack("<4sI", data[96:104]), (b"data", 3 * 2701))

    def test_a_disk_that_is_full(self):
        done = self.record("-o", "/dev/full", "-q", code=STORAGE)
        self.assertIn("No space left", done.said)
        script = ('mount -t tmpfs -o size=256k none "$0" || exit 77; cd "$0"; '
                  '"$1" --tone ramp -q -t 60 -o x.wav; code=$?; cat x.wav; exit $code')
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, self.folder, RECORD],
                              capture_output=True, timeout=60)
        if done.returncode in (1, 77):
            self.skipTest("may not mount a file system")
        self.assertEqual(done.returncode, STORAGE, done.stderr)
        self.assertIn(b"Make room", done.stderr)
        sound = wav.parse(done.stdout)
        self.assert_ramp(sound, "f32")
        self.assertGreater(sound.size, 200000)

    def test_a_place_where_nothing_can_be_written(self):
        done = self.record("-o", self.path("no", "such", "folder"), code=STORAGE)
        self.assertIn("No such file", done.said)
        self.record("-o", self.folder, code=STORAGE)

    def test_stopped_for_three_seconds(self):
        """What did not fit into the "device" meanwhile is a gap, which is reported to the frame. It
        was not the device that was silent."""
        process = self.begin("-o", self.wav, "--timeout", "1")
        self.until(self.grown(100000))
        size = os.path.getsize(self.wav)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        self.until(self.grown(size + 200000))
        report = self.end(process, signal.SIGINT)
        self.assertGreaterEqual(report["sink"]["gaps"] + report["sink"]["jumps"], 1)
        sound = self.parsed()
        # Each packet is what it was; in between, some are missing.
        breaks, at = [], 0
        for k in range(1, sound.frames):
            numbers = [wav.number("f32", sound.data[i * 8:]) for i in (k - 1, k)]
            if numbers[1] != numbers[0] + 2:
                breaks.append((numbers[1] - numbers[0] - 2) // 2)
                self.assert_ramp(wav.parse(piece(sound, at, k)), "f32",
                                 wav.number("f32", sound.data[at * 8:]) // 2)
                at = k
        self.assertEqual(len(breaks), report["sink"]["gaps"] + report["sink"]["jumps"])
        if report["sink"]["jumps"] == 0:
            self.assertEqual(sum(breaks), report["sink"]["lost_frames"])

    def test_nothing_is_written_but_the_meter_works(self):
        done = self.record("-t", "1.5", tone="440")
        self.assertIn("into nothing but the meter", done.said)
        self.assertIn("1: -12.0 (rms -15.1)  2: -12.0 (rms -15.1)", done.said)
        self.assertIn("peak -12.0 dBFS, clipped 0", done.said)
        self.assertNotIn("\x1b", done.said)

    def test_clipping_and_silence(self):
        # 65536 numbers of 16 bits have one highest and one lowest.
        report = self.json("-c", "1", "-f", "s16", "-n", "65536")
        self.assertEqual(report["meter"]["levels"], [{"peak_db": 0.0, "clipped": 2}])
        report = self.json("-c", "1", "-f", "s16", "-n", "1")
        self.assertEqual(report["meter"]["levels"], [{"peak_db": None, "clipped": 0}])


def piece(sound, first, end):
    """A file of some of the frames."""
    data = sound.data[first * sound.frame:end * sound.frame]
    return (struct.pack("<4sI4s", b"RIFF", 0, b"WAVE") +
            struct.pack("<4sIHHIIHHH", b"fmt ", 18, sound.tag, sound.channels, sound.rate,
                        sound.per_second, sound.frame, sound.bits, 0) +
            struct.pack("<4sI", b"data", len(data)) + data)


class Words(RecordCase):
    def test_arguments(self):
        for options in (["-x"], ["file"], ["-r", "0"], ["-r", "1536001"], ["-c", "0"], ["-c", "257"],
                        ["-f", "s17"], ["-t", "0"], ["-t", "nan"], ["-t", "-1"], ["-t", "1x"],
                        ["-t", "1e-9"], ["-n", "0"], ["-n", "x"], ["-t", "1", "-n", "1"],
                        ["--packet", "0"], ["--packet", "1001"], ["--full", "some"],
                        ["--clients", "0"], ["--clients", "49"], ["--timeout", "-1"],
                        ["--rf64-above", "4294967296"], ["--json", "-o", "-"], ["-o", ""],
                        ["-r", "48k"], ["-n", "1K"], ["--list", "--json"], ["--serve", "sock"],
                        ["-d", ""], ["--serve", "127.0.0.1"], ["--serve", "127.0.0.1:99999"],
                        ["--serve", "0.0.0.0:0"], ["--serve", "[::]:0"], ["--serve", "/x,fast"],
                        ["--serve", "/" + 200 * "x"], ["--backend", "pulse"],
                        ["--packet", "1000", "-r", "1536000", "-c", "256"], 9 * ["--serve", "/x"]):
            with self.subTest(options=options):
                done = self.record(*options, code=USAGE, seconds=20)
                self.assertNotEqual(done.said, "")
                self.assertEqual(done.stdout, b"")
        for tone in "", "x", "0", "-5", "24001", "inf", "nan", "440x":
            self.record("-n", "1", code=USAGE, tone=tone)
        self.record("--backend", "oss", code=USAGE, tone=None)
        self.assertIn(b"usage: zcb-record", self.record("--help").stdout)
        self.assertIn(b"--tone ramp", self.record("--list", tone=None).stdout)

    def test_a_device_that_the_generator_has_not(self):
        self.record("-d", "microphone", code=DEVICE)

    def test_nobody_is_asked_for_a_device_and_gets_a_tone(self):
        done = self.record("-d", "microphone", code=None, tone=None)
        self.assertIn(done.returncode, (UNREACHABLE, DEVICE))
        self.assertNotIn("recording", done.said)

    def test_auto_says_that_it_took_the_tone(self):
        done = self.record("-n", "480", "-o", self.wav, tone=None)
        self.assertIn("recording the built-in tone", done.said)
        self.assertEqual(self.parsed().frames, 480)

    def test_what_was_there_stays_until_there_is_something_to_record(self):
        with open(self.wav, "wb") as file:
            file.write(b"an older recording")
        for name in self.record("--help").stdout.decode().split("one of: ")[1].split("\n")[0].split(", "):
            if name != "tone":
                self.record("--backend", name, "-o", self.wav, code=UNREACHABLE, tone=None)
        self.record("--serve", "0.0.0.0:0", "-o", self.wav, code=USAGE)
        self.record("-t", "1e-9", "-o", self.wav, code=USAGE)
        with open(self.wav, "rb") as file:
            self.assertEqual(file.read(), b"an older recording")

    def test_interrupted_while_it_looks_for_a_server(self):
        if "pulse" not in self.record("--help").stdout.decode():
            self.skipTest("zcb-record was built without libpulse")
        # A server that says nothing.
        silent = socket.socket(socket.AF_UNIX)
        self.addCleanup(silent.close)
        silent.bind(self.path("no-pulse"))
        silent.listen()
        silent.settimeout(30)
        with open(self.wav, "wb") as file:
            file.write(b"an older recording")
        process = self.begin("-o", self.wav, tone=None)
        connection = silent.accept()[0]
        process.send_signal(signal.SIGINT)
        connection.close() # or it would wait for five seconds
        out, said = process.communicate(timeout=60)
        self.clean(said)
        self.assertEqual((process.returncode, out), (STOPPED, ""), said)
        with open(self.wav, "rb") as file:
            self.assertEqual(file.read(), b"an older recording")

    def test_the_report(self):
        report = self.json("-o", self.wav, "-t", "3.5", "--serve", self.path("s"))
        self.assertEqual((report["backend"], report["rate"], report["channels"], report["format"],
                          report["ended"]), ("tone", 48000, 2, "f32", "done"))
        self.assertEqual(report["frames"], 168000)
        self.assertEqual(report["sink"]["frames"] + report["sink"]["dropped_frames"] +
                         report["sink"]["lost_frames"], 168000 + report["sink"]["lost_frames"])
        # Written where it is wanted, by reference from there on.
        self.assertEqual(report["copied_bytes"], 0)
        self.assertEqual(report["file"]["offered"], report["file"]["delivered"])
        self.assertEqual(report["clients"]["accepted"], 0)
        if "allocations" in report:
            self.assertGreater(report["allocations"]["all"], 0)
            self.assertGreater(report["allocations"]["steady_seconds"], 1)
            self.assertEqual(report["allocations"]["steady"], 0)
        with open(os.path.join(ROOT, "docs", "zcb-record.md")) as file:
            told = file.read().partition("## The JSON")[2].partition("\n## ")[0]
        generic = set(report["meter"]) - {"levels"} | set(report["sink"]) # the library's
        for name in {*report, *report["file"], *report["clients"], *report.get("allocations", ()),
                     *report["meter"], *report["meter"]["levels"][0]} - generic | set(report):
            self.assertIn("`%s`" % name, told)
        text = self.record("-t", "0.1").said
        for word in ("captured:   4800 frames", "copied:     0 bytes", "lost:       0 frames"):
            self.assertIn(word, text)

    def test_names_that_a_terminal_would_act_on(self):
        done = self.record("-o", self.path("\x1b[2J", "x"), code=STORAGE)
        self.assertNotIn("\x1b", done.said)


MINGW = shutil.which("x86_64-w64-mingw32-gcc")


@unittest.skipUnless(MINGW, "mingw is not installed")
class Windows(RecordCase):
    def test_the_backend_for_windows_compiles(self):
        source = os.path.join(ROOT, "examples", "zcb-record-wasapi.c")
        done = subprocess.run([MINGW, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror",
                               "-I" + os.path.join(ROOT, "include"),
                               "-I" + os.path.join(os.path.dirname(BIN), "include"), "-c", source,
                               "-o", self.path("wasapi.o")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        symbols = subprocess.run([MINGW.replace("gcc", "nm"), self.path("wasapi.o")],
                                 capture_output=True, text=True).stdout
        self.assertIn("backend_wasapi", symbols)


if __name__ == "__main__":
    main()
