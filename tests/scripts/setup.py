#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What scripts/setup does with its options, run in a copy of the tree where every tool is a fake.

usage: setup.py ROOT

The PATH has nothing but the fakes and a few harmless tools, so nothing is installed or built. Each
fake writes its name and arguments, one call a line, to a log.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
HARMLESS = ["sh", "sed", "tail", "mktemp", "rm", "cat", "dirname", "env"]

LOG = """
import json, sys
with open({log!r}, "a") as log:
    log.write(json.dumps([{name!r}] + sys.argv[1:]) + "\\n")
"""
FAKES = {
    "id": "print({uid})",
    # The last argument but for -o's is the program that is to be made.
    "cc": "import os; out = sys.argv[sys.argv.index('-o') + 1]\n"
          "open(out, 'w').write('#!/bin/sh\\n'); os.chmod(out, 0o755)",
    "meson": "if sys.argv[1:] == ['--version']: print('1.0.1')\n"
             "elif {meson_fails}: sys.exit('meson: no such option')\n"
             "else: print('zcbuf 0.1.0')",
    "apt-get": "import os\n"
               "if 'install' in sys.argv and any(p in sys.argv for p in {unknown!r}): sys.exit(100)",
    "pkg-config": "", "ninja": "", "g++": "", "nm": "", "python3": "", "gcc": None, "clang": None,
}


class Setup(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.tree = pathlib.Path(self.scratch.name) / "a tree"
        self.path = pathlib.Path(self.scratch.name) / "path"
        self.log = pathlib.Path(self.scratch.name) / "log"
        (self.tree / "scripts").mkdir(parents=True)
        self.path.mkdir()
        shutil.copy(ROOT / "scripts" / "setup", self.tree / "scripts" / "setup")
        for name in HARMLESS:
            (self.path / name).symlink_to(shutil.which(name))
        self.fakes = dict(FAKES)
        self.facts = {"uid": 0, "meson_fails": False, "unknown": []}

    def run_setup(self, *arguments):
        for name, body in self.fakes.items():
            fake = self.path / name
            if body is None:
                fake.unlink(missing_ok=True)
                continue
            fake.write_text("#!" + sys.executable + " -IS\n" + LOG.format(log=str(self.log), name=name) +
                            body.format(**self.facts) + "\n")
            fake.chmod(0o755)
        self.log.write_text("")
        # The copy is run by the sh of its first line; CC is what the script asks first.
        done = subprocess.run(["/bin/sh", str(self.tree / "scripts" / "setup"), *arguments],
                              env={"PATH": str(self.path)}, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True)
        self.calls = [json.loads(line) for line in self.log.read_text().splitlines()]
        return done

    def configured(self):
        return [call[1:] for call in self.calls if call[:2] == ["meson", "setup"]]

    def installed(self):
        return [call[call.index("--no-install-recommends") + 1:] for call in self.calls
                if call[0] == "apt-get" and "install" in call]

    def must_work(self, *arguments):
        done = self.run_setup(*arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def test_options_for_meson_may_stand_before_and_after_full(self):
        build = str(self.tree / "build")
        for arguments, options in [
            ([], []),
            (["-Da=1"], ["-Da=1"]),
            (["-Da=1", "--full"], ["-Da=1"]),
            (["--full", "-Da=1"], ["-Da=1"]),
            (["-Da=1", "--full", "-Db=2"], ["-Da=1", "-Db=2"]),
            (["-Da=1", "-Db=2", "--full", "--full", "-Dc=3"], ["-Da=1", "-Db=2", "-Dc=3"]),
            (["-Da=b c", "--full", "-Dd=*"], ["-Da=b c", "-Dd=*"]),
        ]:
            with self.subTest(arguments=arguments):
                self.must_work(*arguments)
                self.assertEqual(self.configured(), [["setup", build, str(self.tree), *options]])
                self.assertEqual(any("clang" in packages for packages in self.installed()),
                                 "--full" in arguments)

    def test_help_does_nothing_else_wherever_it_stands(self):
        for arguments in [["--help"], ["-h"], ["-Da=1", "--full", "--help"]]:
            done = self.must_work(*arguments)
            self.assertTrue(done.stdout.startswith("usage: scripts/setup"))
            self.assertEqual(self.calls, [])

    def test_what_is_no_option_is_refused_before_anything_is_done(self):
        for arguments in [["--fll"], ["-Da=1", "a=2"], ["--full", "-X"], [""]]:
            done = self.run_setup(*arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn("unknown option: " + arguments[-1], done.stderr)
            self.assertEqual(self.calls, [])

    def test_a_configured_build_is_kept_unless_something_was_installed(self):
        (self.tree / "build" / "meson-private").mkdir(parents=True)
        (self.tree / "build" / "meson-private" / "coredata.dat").touch()
        self.must_work("-Da=1")
        self.assertEqual([call[1] for call in self.configured()], ["--reconfigure"])
        self.must_work("-Da=1", "--full")
        self.assertEqual([call[1] for call in self.configured()], ["--wipe"])

    def test_one_package_that_is_not_known_keeps_no_other_away(self):
        self.facts["unknown"] = ["clang"]
        done = self.must_work("--full")
        self.assertIn(["aria2"], self.installed())
        self.assertIn("could not install clang", done.stdout)
        self.assertIn("no clang: skipped without it", done.stdout)

    def test_without_root_and_sudo_the_command_is_printed_and_not_run(self):
        self.facts["uid"] = 1000
        done = self.must_work("--full")
        self.assertIn("as root, run:\n    env DEBIAN_FRONTEND=noninteractive apt-get install",
                      done.stdout)
        self.assertEqual(self.installed(), [])

    def test_what_nothing_works_without_is_an_error(self):
        self.fakes["ninja"] = None
        done = self.run_setup()
        self.assertEqual(done.returncode, 1)
        self.assertIn("setup: ninja is missing and nothing works without it", done.stderr)
        self.assertEqual(self.installed(), [["ninja-build"]])
        self.assertEqual(self.configured(), [])

    def test_bench_looks_for_each_library_that_a_benchmark_is_built_with(self):
        built_with = re.findall(r"dependency\('([^']+)'", (ROOT / "bench" / "meson.build").read_text())
        script = (ROOT / "scripts" / "setup").read_text()
        self.assertIn("libpng", built_with)
        for library in built_with:
            with self.subTest(library=library):
                self.assertRegex(script, r"\bhas_lib " + re.escape(library) + r"[ ;]")

    def test_what_meson_says_is_shown_when_it_fails(self):
        self.facts["meson_fails"] = True
        done = self.run_setup("-Dnonsense=1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("meson: no such option", done.stdout)


if __name__ == "__main__":
    unittest.main()
