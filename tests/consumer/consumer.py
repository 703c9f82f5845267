#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Uses libzcbuf as a project outside would.

usage: consumer.py pkgconfig|subproject shared|static SOURCE_ROOT BUILD_ROOT COMPILER

pkgconfig installs the built tree and compiles a program with what pkg-config says. subproject
builds a Meson project that has the source tree under subprojects/zcbuf. Both run the program, and
look whether it uses the library in the way that was asked for. Exit 77: a tool is not here.
"""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def run(*command, env=None):
    """Runs a command that has to succeed; returns what it printed."""
    command = [str(c) for c in command]
    print("$", shlex.join(command), flush=True)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})})
    print(done.stdout, flush=True)
    if done.returncode != 0:
        raise SystemExit(f"status {done.returncode}")
    return done.stdout


def check(condition, what):
    if not condition:
        raise SystemExit(f"not so: {what}")


def check_program(program, shared, libdir=None):
    env = {"LD_LIBRARY_PATH": str(libdir)} if libdir else None
    check("world from version" in run(program, env=env), "the program prints its line")
    if shutil.which("readelf"):
        needed = "libzcbuf.so.0" in run("readelf", "-d", program)
        check(needed == shared, f"the program {'needs' if shared else 'does not need'} libzcbuf.so.0")


def by_pkgconfig(shared, build, compiler, scratch):
    run("meson", "install", "-C", build, "--no-rebuild", "--destdir", scratch / "root")
    (module,) = (scratch / "root").rglob("zcbuf.pc")
    libdir = module.parent.parent
    # As if it had been installed where it lies now.
    lines = module.read_text(encoding="utf-8").splitlines()
    prefix = next(line.split("=", 1)[1] for line in lines if line.startswith("prefix="))
    prefix = scratch / "root" / prefix.lstrip("/")
    lines = [f"prefix={prefix}" if line.startswith("prefix=") else line for line in lines]
    module.write_text("\n".join(lines) + "\n", encoding="utf-8")

    include = prefix / "include" / "zcbuf"
    for header in ("zcbuf.h", "version.h", "base.h", "adapt/torrent.h"):
        check((include / header).is_file(), f"{header} is installed")
    ours = {h.name for h in include.glob("*.h")}
    theirs = {h.name for h in (HERE.parents[1] / "include" / "zcbuf").glob("*.h")} | {"version.h"}
    check(ours == theirs, f"every public header is installed: {sorted(ours ^ theirs)}")

    if not shared:
        # Without the shared one beside it, -lzcbuf is the static one.
        for library in libdir.glob("libzcbuf.so*"):
            library.unlink()
    # No other zcbuf, but whatever else the module requires.
    path = os.pathsep.join(filter(None, [str(module.parent), os.environ.get("PKG_CONFIG_PATH")]))
    flags = run("pkg-config", *([] if shared else ["--static"]), "--cflags", "--libs", "zcbuf",
                env={"PKG_CONFIG_PATH": path})
    version = run("pkg-config", "--modversion", "zcbuf", env={"PKG_CONFIG_PATH": path})
    program = scratch / "program"
    run(*compiler, "-std=c11", "-Wall", "-Werror", HERE / "program.c", "-o", program,
        *shlex.split(flags))
    check_program(program, shared, libdir)
    check(version.strip() in run(program, env={"LD_LIBRARY_PATH": str(libdir)}),
          "the module and the library agree on the version")


def by_subproject(shared, source, compiler, scratch):
    parent = scratch / "parent"
    shutil.copytree(HERE / "parent", parent)
    shutil.copy(HERE / "program.c", parent)
    shutil.copytree(source, parent / "subprojects" / "zcbuf", symlinks=True,
                    ignore=shutil.ignore_patterns(".git", "build*", ".cache", "subprojects"))
    kind = "shared" if shared else "static"
    out = run("meson", "setup", scratch / "build", parent, f"-Ddefault_library={kind}",
              "-Dwerror=true", "--wrap-mode=forcefallback", env={"CC": shlex.join(compiler)})
    check("cmocka found" not in out, "a subproject does not look for what tests need")
    run("meson", "compile", "-C", scratch / "build")
    check_program(scratch / "build" / "program", shared)

    run("meson", "install", "-C", scratch / "build", "--no-rebuild", "--destdir", scratch / "root")
    installed = {f.name for f in (scratch / "root").rglob("*") if not f.is_dir()}
    libraries = {name for name in installed if name.startswith("libzcbuf.so")}
    check(bool(libraries) == shared, f"the library is installed where it is needed: {installed}")
    check(installed - libraries == {"program"}, f"nothing else of ours is installed: {installed}")


def main():
    how, kind, source, build = sys.argv[1], sys.argv[2], *map(pathlib.Path, sys.argv[3:5])
    compiler = shlex.split(sys.argv[5])
    for tool in ["meson"] + (["pkg-config"] if how == "pkgconfig" else []):
        if not shutil.which(tool):
            print("no", tool, "here")
            return 77
    with tempfile.TemporaryDirectory() as scratch:
        if how == "pkgconfig":
            by_pkgconfig(kind == "shared", build, compiler, pathlib.Path(scratch))
        else:
            by_subproject(kind == "shared", source, compiler, pathlib.Path(scratch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
