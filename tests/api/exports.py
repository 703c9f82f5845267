#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the shared library exports is what the public headers declare, and all of it is zcb_.

usage: exports.py SOURCE_ROOT BUILD_ROOT SHARED_LIBRARY COMPILER

Declarations are found behind the preprocessor, by the attribute that ZCB_API stands for, so that
those made by a macro count as well. Exit 77: no nm here.

What stands for the packet engines and for the system's memory where there is no Linux is in no
library here: it is compiled alone, and has to have all of theirs.
"""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

MARK = "zcb_marked_as_exported"


def declared(headers, flags, compiler):
    """Names of all functions and objects that a header marks with ZCB_API."""
    with tempfile.TemporaryDirectory() as scratch:
        unit = pathlib.Path(scratch) / "all.c"
        # base.h defines ZCB_API; the headers behind it see this one.
        unit.write_text("#include <zcbuf/base.h>\n" + "".join(f"#include <{h}>\n" for h in headers))
        text = subprocess.run(compiler + ["-E", "-P", "-std=gnu11", *flags, str(unit)],
                              check=True, capture_output=True, text=True).stdout
    text = re.sub(r'__attribute__\s*\(\(\s*visibility\s*\(\s*"default"\s*\)\s*\)\)', MARK, text)
    names = set()
    for mark in re.finditer(MARK + r"\b", text):
        # Other attributes have parentheses as well: take them away, then the name is what stands
        # in front of the first one that is left (or of the semicolon, for an object).
        rest = text[mark.end():mark.end() + 2000]
        while True:
            found = re.search(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", rest)
            if not found:
                break
            rest = rest[:found.start()] + rest[found.end():]
        name = re.match(r"[^();{]*?\b([A-Za-z_]\w*)\s*[(;]", rest)
        if not name:
            raise SystemExit(f"no name found in: {rest[:80]}")
        names.add(name.group(1))
    return names


def defined(file, *options):
    """The global names that a library or an object defines."""
    lines = subprocess.run(["nm", "-g", "--defined-only", "--format=posix", *options, str(file)],
                           check=True, capture_output=True, text=True).stdout.splitlines()
    names = set()
    for line in lines:
        name, kind = line.split()[:2]
        # A is the name of the version itself.
        if kind != "A":
            names.add(name.split("@")[0])
    return names


def stands_in(file, flags, compiler):
    with tempfile.TemporaryDirectory() as scratch:
        unit = pathlib.Path(scratch) / "none.o"
        subprocess.run(compiler + ["-c", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                                   *flags, "-o", str(unit), str(file)], check=True)
        return defined(unit)


def main():
    source, build, library = (pathlib.Path(a) for a in sys.argv[1:4])
    compiler = shlex.split(sys.argv[4])
    if not shutil.which("nm"):
        print("no nm here")
        return 77
    include = source / "include"
    headers = sorted(str(h.relative_to(include)) for h in (include / "zcbuf").rglob("*.h")
                     if "bridge" not in h.parts)
    flags = [f"-I{include}", f"-I{build / 'include'}"]
    there = defined(library, "-D")
    promised = declared(headers, flags, compiler)
    engines = (declared(["zcbuf/adapt/frame_io.h"], flags, compiler) -
               declared(["zcbuf/zcbuf.h"], flags, compiler))
    none = stands_in(source / "src" / "adapt" / "frame_io_none.c", flags, compiler)
    memory = stands_in(source / "src" / "adapt" / "image_memory_other.c",
                       flags + [f"-I{source / 'src'}"], compiler)

    failures = []
    failures += [f"exported without the prefix: {n}" for n in sorted(there) if not n.startswith("zcb_")]
    failures += [f"declared in a public header, not exported: {n}" for n in sorted(promised - there)]
    failures += [f"exported, but in no public header: {n}" for n in sorted(there - promised)]
    failures += [f"declared in frame_io.h, not in frame_io_none.c: {n}" for n in sorted(engines - none)]
    if memory != {"zcb_image_memory"}:
        failures.append(f"in image_memory_other.c: {sorted(memory)}")
    if not promised or not engines:
        failures.append("no public declaration was found at all")
    print("\n".join(failures))
    print(f"{len(there)} exported, {len(promised)} declared, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
