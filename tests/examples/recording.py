# SPDX-License-Identifier: MIT
"""What the tests of zcb-record share."""

import re
import sys

import helpers
import wav
from helpers import *

RECORD = os.path.join(BIN, "zcb-record")
INTERNAL, USAGE, UNREACHABLE, GONE, DEVICE = 1, 2, 5, 7, 10


class RecordCase(Case):
    def setUp(self):
        super().setUp()
        # No server of this machine's, whatever is running.
        self.env = {**os.environ, "HOME": self.folder, "XDG_RUNTIME_DIR": self.folder,
                    "PULSE_SERVER": "unix:" + self.path("no-pulse"),
                    "PIPEWIRE_RUNTIME_DIR": self.folder, "JACK_DEFAULT_SERVER": "zcb-none"}
        self.wav = self.path("out.wav")

    def clean(self, said):
        self.assertNotIn("runtime error", said)
        self.assertNotIn("Sanitizer", said)

    def record(self, *options, code=0, seconds=60, tone="ramp", **popen):
        """Runs zcb-record to its end; what it printed."""
        popen.setdefault("stdout", subprocess.PIPE)
        popen.setdefault("env", self.env)
        command = [RECORD, *(["--tone", tone] if tone is not None else []), *options]
        done = subprocess.run(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              timeout=seconds, **popen)
        done.said = done.stderr.decode(errors="replace")
        self.clean(done.said)
        if code is not None:
            self.assertEqual(done.returncode, code, done.said)
        return done

    def json(self, *options, **more):
        return json.loads(self.record("--json", "-q", *options, **more).stdout)

    def begin(self, *options, tone="ramp", **popen):
        """One that goes on in the background; end() has its report."""
        popen.setdefault("env", self.env)
        process = subprocess.Popen([RECORD, *(["--tone", tone] if tone is not None else []), "--json", "-q",
                                    *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, text=True, **popen)
        self.processes.append(process)
        return process

    def end(self, process, number=None, code=0):
        if number is not None:
            process.send_signal(number)
        out, said = process.communicate(timeout=60)
        self.clean(said)
        self.assertEqual(process.returncode, code, said)
        process.said = said
        return json.loads(out)

    def serving(self, process, n=1):
        """The addresses that it has said it serves on."""
        found = []
        for line in process.stderr:
            match = re.search("serving on (.*)", line)
            if match:
                found.append(match.group(1))
            if len(found) == n:
                return found
        self.fail("it did not serve")

    def until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "it did not happen")
            time.sleep(0.01)

    def parsed(self, path=None):
        with open(path or self.wav, "rb") as file:
            return wav.parse(file.read())

    def assert_ramp(self, sound, format, first=0):
        self.assertGreater(sound.frames, 0)
        # Not assertEqual: it would print all of it.
        self.assertTrue(sound.data == wav.ramp(format, sound.channels, sound.frames, first),
                        "other samples than were generated")


__all__ = ["DEVICE", "GONE", "INTERNAL", "RECORD", "RecordCase", "UNREACHABLE", "USAGE", "sys",
           *helpers.__all__]
