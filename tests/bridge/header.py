#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A bridge compiles without a warning, alone and twice, in C and in C++, used and unused.

usage: header.py SOURCE_ROOT BUILD_ROOT HEADER [FOLDER...]

FOLDER: where the headers of the other library are, if the compiler does not look there.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

# Not -pedantic: the other library's header is not ours.
COMPILERS = [
    ["gcc", "-std=gnu11", "-Wshadow"], ["clang", "-std=gnu11", "-Wshadow"],
    ["g++", "-std=c++17"], ["clang++", "-std=c++17"],
]
STRICT = ["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wundef", "-Werror", "-O2"]


def main():
    source, build, header = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    elsewhere = [f"-isystem{folder}" for folder in sys.argv[4:]]
    tried = failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for compiler in COMPILERS:
            if not shutil.which(compiler[0]):
                continue
            tried += 1
            unit = pathlib.Path(scratch) / ("unit.cpp" if "++" in compiler[0] else "unit.c")
            unit.write_text(f"#include <{header}>\n#include <{header}>\nint unused;\n")
            done = subprocess.run(
                compiler + STRICT + ["-c", "-o", str(unit) + ".o", f"-I{source / 'include'}",
                                     f"-I{build / 'include'}", *elsewhere, str(unit)],
                capture_output=True, text=True)
            if done.returncode != 0:
                failed += 1
                print(" ".join(compiler), done.stderr, sep="\n")
    print(f"{tried} compilers, {failed} failures")
    return 77 if tried == 0 else 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
