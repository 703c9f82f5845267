#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A program that runs under AddressSanitizer or Valgrind sees its mistakes in pooled memory, though
the library is an ordinary one.

usage: marked.py asan|valgrind SOURCE_ROOT BUILD_ROOT SHARED_LIBRARY COMPILER

Exit 77: the tool is not here.
"""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

PROGRAM = r"""
#include <stdlib.h>
#include <string.h>
#include <zcbuf/zcbuf.h>

int main(int argc, char **argv)
{
    struct zcb_pool *pool;
    struct zcb_buf *buf, *other;
    volatile unsigned char *data;
    unsigned char sum = 0;
    int mistake = argc > 1 && strcmp(argv[1], "late") == 0;

    if (zcb_pool_create(NULL, &pool) < 0)
        return 1;
    for (int i = 0; i < 100; i++) {
        if (zcb_pool_acquire(pool, 4096, &buf) < 0 || zcb_pool_acquire(pool, 9999, &other) < 0)
            return 1;
        memset(zcb_buf_data(buf), i, 4096);
        data = zcb_buf_data(buf);
        zcb_buf_release(&other);
        if (!mistake)
            sum += data[17];
        zcb_buf_release(&buf);
        if (mistake)
            sum += data[17];
    }
    zcb_pool_destroy(&pool);
    return sum == 1;
}
"""


def main():
    tool, source, build, library, compiler = sys.argv[1:]
    command, flags, needle = [], [], "use-after-poison"
    if tool == "asan":
        flags = ["-fsanitize=address"]
    elif not shutil.which("valgrind"):
        return 77
    else:
        command = ["valgrind", "-q", "--error-exitcode=3"]
        needle = "Invalid read"
    with tempfile.TemporaryDirectory() as scratch:
        program = pathlib.Path(scratch) / "program"
        program.with_suffix(".c").write_text(PROGRAM)
        built = subprocess.run(
            [*shlex.split(compiler), "-std=c11", "-g", *flags, f"-I{source}/include",
             f"-I{build}/include", str(program.with_suffix(".c")), library, "-o", str(program),
             f"-Wl,-rpath,{pathlib.Path(library).parent}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if built.returncode != 0 and tool == "asan":
            print(built.stderr)
            return 77
        for mistake in ["none", "late"]:
            done = subprocess.run([*command, str(program), mistake], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, check=False,
                                  env={**os.environ, "ASAN_OPTIONS": "allow_user_poisoning=1"})
            if "debuginfo reader" in done.stderr: # such as 3.19, of what clang 14 writes
                print("this Valgrind cannot read what this compiler wrote")
                return 77
            if (done.returncode == 0) != (mistake == "none") or \
                    (needle in done.stderr) != (mistake == "late"):
                print(f"{tool}, mistake: {mistake}: status {done.returncode}\n{done.stderr}")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
