# SPDX-License-Identifier: MIT
"""zcb-record with real sound servers, started here without any hardware: a known file is played into
a null sink, what comes out of it is recorded, and every sample is compared."""

import array
import ctypes
import glob
import itertools
import re

import wav
from recording import *

RATE = 48000
SECONDS = 3
TRIES = 3


def noise(format, channels=2):
    """Every value of its type is likely, at half of the range; floats have 24 bits, as all here do."""
    rng = random.Random(format + str(channels))
    n = RATE * SECONDS * channels
    if format == "s16":
        return array.array("h", (rng.randrange(-16384, 16384) for _ in range(n))).tobytes()
    if format == "s32":
        return array.array("i", (rng.randrange(-(1 << 30), 1 << 30) for _ in range(n))).tobytes()
    return array.array("f", (rng.randrange(-(1 << 22), 1 << 22) / (1 << 23) for _ in range(n))).tobytes()


def silence(frame):
    """Around what is compared: a monitor hears nothing of a stream's first moments where the server
    has taken back what it had mixed already, and pw-cat does not play what is left of a last cycle."""
    return bytes(RATE // 2 * frame)


def find(data, part, start, frame):
    """Where `part` is in `data`, at the beginning of a frame; -1."""
    at = data.find(part, start)
    while at >= 0 and at % frame:
        at = data.find(part, at + 1)
    return at


def differences(played, recorded, frame):
    """What has become of it: a list of (frame of the original, words); [] where it is all there."""
    chunk = 16 * frame
    at = find(recorded, played[:chunk], 0, frame)
    if at < 0:
        return [(0, "its beginning is not there")]
    out, i = [], 0
    while i < len(played):
        if played[i:] == recorded[at:at + len(played) - i]:
            return out
        n = 0 # bytes that agree from here
        step = 1 << 16
        while step:
            while n + step <= len(played) - i and played[i + n:i + n + step] == recorded[at + n:at + n + step]:
                n += step
            step //= 2
        n -= n % frame
        i, at = i + n, at + n
        later = find(recorded, played[i:i + chunk], at, frame)
        if later >= 0 and len(played) - i >= chunk:
            kind = "silence" if not any(recorded[at:later]) else "something else"
            out.append((i // frame, "%d frames of %s were put in" % ((later - at) // frame, kind)))
            at = later
            continue
        sought = find(played, recorded[at:at + chunk], i, frame)
        if sought < 0:
            out.append((i // frame, "changed"))
            return out
        out.append((i // frame, "%d frames are missing" % ((sought - i) // frame)))
        i = sought
    return out


def end_with_us():
    """In a child: it ends when the test does, also when that is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL) # PR_SET_PDEATHSIG; jackd takes its time for SIGTERM


class ServerCase(RecordCase):
    def setUp(self):
        super().setUp()
        # ThreadSanitizer does not see the atomic pointer by which libpulse finds its locks.
        path = self.path("suppressions")
        with open(path, "w") as file:
            file.write("race:pa_mutex_lock\n")
        self.env["TSAN_OPTIONS"] = os.environ.get("TSAN_OPTIONS", "") + ":suppressions=" + path

    def daemon(self, command, log):
        with open(self.path(log), "w") as file:
            process = subprocess.Popen(command, env=self.env, stdout=file, stderr=file,
                                       stdin=subprocess.DEVNULL, preexec_fn=end_with_us)
        self.processes.append(process)
        return process

    def log(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read()

    def ready(self, device, backend, logs):
        """Waits until zcb-record --list shows the device."""
        end = time.monotonic() + 30
        while True:
            done = self.record("--list", "-b", backend, code=None, tone=None)
            if device in done.stdout.decode():
                return
            if time.monotonic() > end:
                self.fail("the server does not start: " + done.said + "".join(map(self.log, logs)))
            time.sleep(0.1)

    def begin_to_record(self, backend, device, *options):
        """Returns when it does; begins again where a short --timeout was over before a slow machine
        had anything to record."""
        begun = lambda: os.path.exists(self.wav) and os.path.getsize(self.wav) > 20000
        for attempt in range(TRIES):
            if os.path.exists(self.wav):
                os.unlink(self.wav)
            process = self.begin("-b", backend, "-d", device, "-o", self.wav, *options, tone=None)
            try:
                self.until(lambda: process.poll() is not None or begun())
            except AssertionError:
                process.kill()
                process.wait()
            if process.poll() is None:
                return process
            said = process.communicate()[1]
            self.clean(said)
        self.fail("nothing is recorded: " + said)

    def end_when_silent(self, process, frame):
        """When half a second has come that was not played."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with open(self.wav, "rb") as file:
                file.seek(max(0, os.path.getsize(self.wav) - RATE // 2 * frame // frame * frame))
                if not any(file.read()):
                    break
            time.sleep(0.1)
        return self.end(process, signal.SIGINT)

    def every_sample(self, backend, device, format, play, changed=lambda played: played):
        """Plays and records; again where somebody has told that the machine was too slow."""
        played = noise(format)
        frame = 2 * wav.BYTES[format]
        all_told = True
        for attempt in range(TRIES):
            process = self.begin_to_record(backend, device)
            slow = play(silence(frame) + played + 2 * silence(frame))
            report = self.end_when_silent(process, frame)
            sound = self.parsed()
            self.assertEqual((sound.rate, sound.channels, report["backend"]), (RATE, 2, backend))
            self.assertEqual(sound.frames, report["file"]["frames"])
            # From the server's memory into a packet, once, and no more.
            self.assertEqual(report["copied_bytes"], report["frames"] * sound.frame)
            for odd in "duplicates", "backwards", "reordered", "clock_stops", "jumps":
                self.assertEqual(report["sink"][odd], 0, odd)
            found = differences(changed(played), sound.data, sound.frame)
            if not found:
                print("%s %s: %d frames compared, all equal; %d gaps reported" %
                      (backend, format, len(played) // frame, report["sink"]["gaps"]), file=sys.stderr)
                return report
            lost = [words for _, words in found if "silence" not in words]
            told = slow or report["sink"]["gaps"] + report["sink"]["misses"] + report["file"]["discontinuities"]
            print("%s %s, attempt %d: %s; %d gaps reported; player: %s" %
                  (backend, format, attempt + 1, found[:5], report["sink"]["gaps"], slow), file=sys.stderr)
            # A server that got no data in time puts in silence, which is what was recorded then. But
            # what is missing has to be told.
            if lost:
                self.assertTrue(told, "samples are lost, and nobody says so")
            all_told = all_told and bool(told)
        self.too_slow(all_told)

    def too_slow(self, all_told):
        """A machine that is held up each time says nothing about the program, as long as it was told."""
        if all_told:
            self.skipTest("this machine is too slow: lost, and told, each time")
        self.fail("differs each time, and not all of it was told")


@unittest.skipUnless(shutil.which("pulseaudio") and shutil.which("pacat"), "PulseAudio is not installed")
class Pulse(ServerCase):
    def setUp(self):
        super().setUp()
        if "pulse" not in self.record("--help").stdout.decode():
            self.skipTest("zcb-record was built without libpulse")
        self.socket = self.path("native")
        self.env.update({"PULSE_SERVER": "unix:" + self.socket,
                         "PULSE_RUNTIME_PATH": self.path("pulse"),
                         "PULSE_STATE_PATH": self.path("pulse"), "PULSE_COOKIE": self.path("cookie"),
                         "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"})
        modules = ["module-native-protocol-unix auth-anonymous=1 socket=" + self.socket]
        for format in "s16", "s32", "float32":
            modules.append("module-null-sink sink_name=%s rate=%d format=%sle channels=2" %
                           (format, RATE, format))
        command = ["pulseaudio", "-n", "--daemonize=no", "--system=false", "--exit-idle-time=-1",
                   "--realtime=false", "--high-priority=false", "--use-pid-file=false",
                   "--disable-shm=yes", "--resample-method=copy", "--log-target=stderr"]
        for module in modules:
            command += ["-L", module]
        self.server = self.daemon(command, "server.log")
        self.ready("s16.monitor", "pulse", ["server.log"])

    def play(self, sink, format, data, *options):
        """Whether it came too late somewhere."""
        path = self.path("played")
        with open(path, "wb") as file:
            file.write(data)
        done = subprocess.run(["pacat", "--playback", "--raw", "-v", "-d", sink, "--format=" + format + "le",
                               "--rate=%d" % RATE, "--channels=2", "--latency-msec=1000", path],
                              env=self.env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        # The last one is its end.
        return done.stderr.count("underrun") > 1

    def test_every_sample(self):
        for ours, theirs in ("s16", "s16"), ("s32", "s32"), ("f32", "float32"):
            with self.subTest(format=ours):
                report = self.every_sample("pulse", theirs + ".monitor", ours,
                                           lambda data: self.play(theirs, theirs, data))
                # Nothing was asked for: it is what the device has.
                self.assertEqual(report["format"], ours)

    def test_stopped_for_two_seconds(self):
        """The server keeps what a recorder that does not run has not fetched."""
        played = noise("s16")
        process = self.begin_to_record("pulse", "s16.monitor")
        path = self.path("played")
        with open(path, "wb") as file:
            file.write(silence(4) + played + silence(4))
        player = self.daemon(["pacat", "--playback", "--raw", "-d", "s16", "--format=s16le", "--rate=%d" % RATE,
                              "--channels=2", "--latency-msec=1000", path], "player.log")
        time.sleep(0.5)
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
        player.wait(30)
        report = self.end_when_silent(process, 4)
        found = differences(played, self.parsed().data, 4)
        lost = [words for _, words in found if "silence" not in words]
        self.assertTrue(not lost or report["sink"]["misses"] + report["sink"]["gaps"] +
                        report["file"]["discontinuities"] > 0, found)

    def test_other_formats_are_converted(self):
        report = self.json("-b", "pulse", "-d", "s16.monitor", "-r", "8000", "-c", "1", "-f", "f32",
                           "-n", "4000", "-o", self.wav, tone=None)
        sound = self.parsed()
        self.assertEqual((sound.rate, sound.channels, sound.tag, sound.frames), (8000, 1, 3, 4000))
        self.assertEqual(report["ended"], "done")
        self.record("-b", "pulse", "-c", "33", code=USAGE, tone=None)

    def test_auto_takes_it(self):
        # The default source is a monitor where there is nothing else.
        report = self.json("-n", "480", tone=None)
        self.assertEqual(report["backend"], "pulse")

    def test_a_device_that_is_not_there(self):
        done = self.record("-b", "pulse", "-d", "nosuch", code=DEVICE, tone=None)
        self.assertIn("no such device: nosuch", done.said)
        self.record("-d", "nosuch", code=DEVICE, tone=None)

    def test_the_device_is_taken_away(self):
        process = self.begin_to_record("pulse", "s16.monitor")
        modules = subprocess.run(["pactl", "list", "short", "modules"], env=self.env, text=True,
                                 capture_output=True).stdout
        number = re.search(r"^(\d+)\s.*sink_name=s16 ", modules, re.MULTILINE).group(1)
        subprocess.run(["pactl", "unload-module", number], env=self.env, check=True)
        report = self.end(process, code=GONE)
        self.assertEqual(report["ended"], "lost")
        self.assertIn("the device has gone", process.said)
        self.assertEqual(self.parsed().frames, report["frames"])

    def test_the_server_is_killed(self):
        process = self.begin_to_record("pulse", "s16.monitor")
        self.server.kill()
        report = self.end(process, code=GONE)
        self.assertIn("the server has gone", process.said)
        self.assertEqual(self.parsed().frames, report["frames"])

    def test_the_server_hangs(self):
        process = self.begin_to_record("pulse", "s16.monitor", "--timeout", "2")
        self.server.send_signal(signal.SIGSTOP)
        report = self.end(process, code=GONE)
        self.assertEqual(report["ended"], "silent")
        self.assertEqual(self.parsed().frames, report["frames"])
        done = self.record("-b", "pulse", code=UNREACHABLE, tone=None)
        self.assertIn("does not answer", done.said)
        self.server.send_signal(signal.SIGCONT)


@unittest.skipUnless(all(map(shutil.which, ("pipewire", "wireplumber", "pw-cat", "pw-cli", "dbus-daemon"))),
                     "PipeWire, WirePlumber or D-Bus is not installed")
class PipeWire(ServerCase):
    # A session manager wants D-Bus; nothing here needs real time. Cycles of 340 ms: these are not
    # missed on a machine that has other things to do.
    CONFIG = """
        context.properties = {
            default.clock.rate = 48000
            default.clock.quantum-limit = 16384
            default.clock.quantum = 16384
            default.clock.min-quantum = 16384
            default.clock.max-quantum = 16384
        }
        context.objects = [
            { factory = adapter
              args = {
                factory.name = support.null-audio-sink
                node.name = test
                media.class = Audio/Sink
                object.linger = true
                audio.position = [ FL FR ]
                audio.rate = 48000
              }
            }
        ]
        """

    def setUp(self):
        super().setUp()
        if "pipewire" not in self.record("--help").stdout.decode():
            self.skipTest("zcb-record was built without libpipewire")
        folder = self.path("config", "pipewire", "pipewire.conf.d")
        os.makedirs(folder)
        with open(os.path.join(folder, "test.conf"), "w") as file:
            file.write(self.CONFIG)
        # Bluetooth is nothing of ours, and WirePlumber 0.4 ends where it wants to ask logind about it
        # and there is none: as in a container.
        folder = self.path("config", "wireplumber", "bluetooth.lua.d")
        os.makedirs(folder)
        with open(os.path.join(folder, "60-none.lua"), "w") as file:
            file.write("bluez_monitor.enabled = false\n")
        self.env["XDG_CONFIG_HOME"] = self.path("config")
        self.env["XDG_STATE_HOME"] = self.path("state")
        bus = "unix:path=" + self.path("bus")
        self.env["DBUS_SESSION_BUS_ADDRESS"] = bus
        self.daemon(["dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=" + bus], "bus.log")
        self.until(lambda: os.path.exists(self.path("bus")))
        self.server = self.daemon(["pipewire"], "server.log")
        self.ready("test", "pipewire", ["server.log"])
        self.manager = self.daemon(["wireplumber"], "manager.log")
        time.sleep(0.5)
        if self.manager.poll() is not None:
            self.skipTest("WirePlumber does not run on this machine: " + self.log("manager.log"))

    def play(self, data):
        """32-bit floats; a player that is late says nothing about it."""
        path = self.path("played.wav")
        with open(path, "wb") as file:
            file.write(struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 2, RATE,
                                   RATE * 8, 8, 32, b"data", len(data)) + data)
        done = subprocess.run(["pw-cat", "-p", "--target", "test", path], env=self.env,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return False

    def test_every_sample(self):
        report = self.every_sample("pipewire", "test", "f32", self.play)
        self.assertEqual(report["format"], "f32")
        # The graph has floats: 24 bits of the 32.
        process = self.begin_to_record("pipewire", "test", "-f", "s32")
        self.end(process, signal.SIGINT)
        self.assertEqual(self.parsed().bits, 32)
        self.assertIn("what is played there", self.record("--list", "-b", "pipewire", tone=None).stdout.decode())
        done = self.record("-b", "pipewire", "-d", "nosuch", code=DEVICE, tone=None)
        self.assertIn("no such device: nosuch", done.said)

    def test_integers(self):
        def changed(played):
            floats = array.array("f", played)
            return array.array("i", (int(x * (1 << 31)) for x in floats)).tobytes()

        played = noise("f32")
        all_told = True
        for attempt in range(TRIES):
            process = self.begin_to_record("pipewire", "test", "-f", "s32")
            self.play(silence(8) + played + 2 * silence(8))
            report = self.end_when_silent(process, 8)
            found = differences(changed(played), self.parsed().data, 8)
            print("pipewire s32, attempt %d: %s; %d gaps reported" % (attempt + 1, found[:5] or "all equal",
                                                                   report["sink"]["gaps"]), file=sys.stderr)
            if not found:
                return
            if [words for _, words in found if "silence" not in words]:
                self.assertGreater(report["sink"]["gaps"], 0, "samples are lost, and nobody says so")
            all_told = all_told and report["sink"]["gaps"] != 0
        self.too_slow(all_told)

    def test_stopped_for_two_seconds(self):
        """The graph goes on without us, and its clock tells how long."""
        process = self.begin_to_record("pipewire", "test")
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
        size = os.path.getsize(self.wav)
        self.until(lambda: os.path.getsize(self.wav) > size + 400000)
        report = self.end(process, signal.SIGINT)
        self.assertEqual(self.parsed().frames, report["frames"])
        self.assertGreaterEqual(report["sink"]["gaps"], 1)
        # How long it was is the scheduler's business, but not less than it was stopped.
        self.assertGreater(report["sink"]["lost_frames"], RATE)
        print("pipewire: stopped for 2 s: %d frames in %d gaps" %
              (report["sink"]["lost_frames"], report["sink"]["gaps"]), file=sys.stderr)

    def test_the_session_manager_is_killed(self):
        # Its links go with it; who records hears nothing more.
        process = self.begin_to_record("pipewire", "test", "--timeout", "2")
        self.manager.kill()
        report = self.end(process, code=GONE)
        self.assertEqual(report["ended"], "silent")
        self.assertEqual(self.parsed().frames, report["frames"])
        done = self.record("-b", "pipewire", "-d", "test", code=DEVICE, tone=None)
        self.assertIn("session manager?", done.said)

    def test_the_server_is_killed(self):
        process = self.begin_to_record("pipewire", "test")
        self.server.kill()
        report = self.end(process, code=GONE)
        self.assertEqual(report["ended"], "lost")
        self.assertEqual(self.parsed().frames, report["frames"])

    def test_the_device_is_taken_away(self):
        process = self.begin_to_record("pipewire", "test", "--timeout", "3")
        subprocess.run(["pw-cli", "destroy", "test"], env=self.env, check=True, stdout=subprocess.DEVNULL)
        report = self.end(process, code=GONE)
        self.assertEqual(self.parsed().frames, report["frames"])


RAMP = os.path.join(os.path.dirname(BIN), "tests", "examples", "jack_ramp")


@unittest.skipUnless(shutil.which("jackd") and os.path.exists(RAMP), "JACK is not installed")
class Jack(ServerCase):
    name = None

    def setUp(self):
        super().setUp()
        # jackd has room for eight names, and never forgets that of one that was killed: the same
        # ones again, which a socket tells to be free that goes with this process.
        for n in range(8):
            self.name = "zcb-test-%d-%d" % (os.getuid(), n)
            self.lock = socket.socket(socket.AF_UNIX)
            self.addCleanup(self.lock.close)
            try:
                self.lock.bind("\0" + self.name)
            except OSError:
                continue
            self.env.update({"JACK_DEFAULT_SERVER": self.name, "JACK_NO_AUDIO_RESERVATION": "1"})
            self.server = self.daemon(["jackd", "-r", "-n", self.name, "-d", "dummy", "-r", str(RATE),
                                       "-p", "8192"], "server.log")
            try:
                self.server.wait(0.5) # at once: one that was killed counts as active until it is reaped
            except subprocess.TimeoutExpired:
                break
        self.ready("system:capture_1", "jack", ["server.log"])
        self.ramp = self.daemon([RAMP], "ramp.log")
        self.ready("ramp:left", "jack", ["server.log", "ramp.log"])

    def clean_up(self):
        super().clean_up()
        # What one that was killed has left behind.
        for path in glob.glob("/dev/shm/jack*_%s_*" % self.name):
            os.unlink(path)

    def test_every_sample(self):
        """Samples that are the server's time: what is lost is told to the frame."""
        report = self.json("-b", "jack", "-d", "ramp", "-t", "3", "-o", self.wav, tone=None)
        sound = self.parsed()
        self.assertEqual((sound.rate, sound.channels, sound.frames), (RATE, 2, 3 * RATE))
        self.assertEqual(report["copied_bytes"], sound.size)
        values = [round(x * (1 << 23)) % (1 << 24) for x in array.array("f", sound.data)]
        jumps = [(values[k] - values[k - 1] - 1) % (1 << 24) for k in range(1, len(values))]
        # Before it was connected, and where the other client was late, there is silence.
        print("jack: %d samples compared, %d jumps, %d gaps reported" %
              (len(values), sum(map(bool, jumps)), report["sink"]["gaps"]), file=sys.stderr)
        heard = [k for k, jump in enumerate(jumps, 1) if jump and values[k] and values[k - 1]]
        self.assertLessEqual(sum(jumps[k - 1] // 2 for k in heard), report["sink"]["lost_frames"])
        self.assertGreater(sum(map(bool, values)), RATE * 2)

    def test_what_it_has_not(self):
        for options, code in ((["-r", "44100"], USAGE), (["-f", "s16"], USAGE), (["-d", "nosuch"], DEVICE),
                              (["-c", "3"], DEVICE)):
            self.record("-b", "jack", *options, code=code, tone=None)
        report = self.json("-b", "jack", "-d", "ramp:right", "-n", "480", tone=None)
        self.assertEqual(report["channels"], 1)

    def test_the_server_hangs(self):
        process = self.begin_to_record("jack", "ramp", "--timeout", "1")
        self.server.send_signal(signal.SIGSTOP)
        report = self.end(process, code=GONE)
        self.assertEqual(report["ended"], "silent")
        self.assertEqual(self.parsed().frames, report["frames"])
        done = self.record("-b", "jack", code=UNREACHABLE, tone=None)
        self.assertIn("does not answer", done.said)
        self.server.send_signal(signal.SIGCONT)

    def test_the_server_is_killed(self):
        process = self.begin_to_record("jack", "ramp")
        self.server.kill()
        report = self.end(process, code=GONE)
        self.assertEqual(self.parsed().frames, report["frames"])


if __name__ == "__main__":
    try: # what is started here inherits it, and does not wait for what else this machine has to do
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except OSError:
        pass
    main()
