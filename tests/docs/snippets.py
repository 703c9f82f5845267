#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The programs in README.md and docs/ compile, run, and print what is written there.

usage: snippets.py SOURCE_ROOT BUILD_ROOT LIBRARY COMPILER

A program is a ```c block with `int main` in it. Where a ```text block follows, with nothing but
blank lines and at most one line of prose between them, that is what the program has to print.
The first program of README.md is also tests/docs/readme_example.c, to the letter.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


def programs(text):
    """Yields (line, program, expected output or None)."""
    blocks = list(FENCE.finditer(text))
    for number, block in enumerate(blocks):
        if block.group(1) != "c" or not re.search(r"\bint\s+main\b", block.group(2)):
            continue
        expected = None
        if number + 1 < len(blocks) and blocks[number + 1].group(1) == "text":
            between = text[block.end():blocks[number + 1].start()].strip()
            if "\n" not in between:
                expected = blocks[number + 1].group(2)
        yield text.count("\n", 0, block.start()) + 2, block.group(2), expected


def main():
    source, build, library = (pathlib.Path(a) for a in sys.argv[1:4])
    compiler = shlex.split(sys.argv[4])
    failures = []
    count = 0
    readme = (source / "README.md").read_text(encoding="utf-8")
    wanted = (source / "tests" / "docs" / "readme_example.c").read_text(encoding="utf-8")
    first = next((program for _, program, _ in programs(readme)), None)
    if first != wanted:
        failures.append("README.md's first program is not tests/docs/readme_example.c")

    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for page in [source / "README.md", *sorted((source / "docs").rglob("*.md"))]:
            for line, program, expected in programs(page.read_text(encoding="utf-8")):
                where = f"{page.relative_to(source)}:{line}"
                count += 1
                (scratch / "program.c").write_text(program, encoding="utf-8")
                made = subprocess.run(
                    compiler + ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g",
                                f"-I{source / 'include'}", f"-I{build / 'include'}",
                                str(scratch / "program.c"), "-o", str(scratch / "program"),
                                str(library), f"-Wl,-rpath,{library.parent}", "-pthread"],
                    capture_output=True, text=True)
                if made.returncode != 0:
                    failures.append(f"{where}: does not compile\n{made.stderr}")
                    continue
                try:
                    ran = subprocess.run([str(scratch / "program")], stdin=subprocess.DEVNULL,
                                         capture_output=True, timeout=30, cwd=scratch,
                                         env={**os.environ, "LC_ALL": "C"})
                except subprocess.TimeoutExpired:
                    failures.append(f"{where}: does not end")
                    continue
                output = ran.stdout.decode(errors="replace")
                if ran.returncode != 0:
                    failures.append(f"{where}: status {ran.returncode}\n{output}"
                                    f"{ran.stderr.decode(errors='replace')}")
                elif expected is not None and output.rstrip() != expected.rstrip():
                    failures.append(f"{where}: printed\n{output}instead of\n{expected}")
    print("\n".join(failures))
    print(f"{count} programs, {len(failures)} failures")
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
