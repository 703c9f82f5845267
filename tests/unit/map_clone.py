#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs test_map_clone in directories of file systems that can clone files.

usage: map_clone.py TEST_PROGRAM

The file systems are made in files and mounted where nobody else sees it; the mount goes with the
last process there. Where this may not be done, only /tmp is tried, and the exit status is 77.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

# What makes one, in how many MiB.
SYSTEMS = [
    (["mkfs.btrfs", "-q"], 120),
    (["mkfs.xfs", "-q", "-m", "reflink=1"], 320),
]

SCRIPT = 'mount -o loop "$1" "$2" || exit 77; exec "$3" "$2" clones'


def try_system(make, mebibytes, program, work):
    image, point = work / make[0], work / "mounted"
    point.mkdir(exist_ok=True)
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    if shutil.which(make[0]) is None or subprocess.run([*make, image]).returncode != 0:
        return 77
    command = ["unshare", "-m", "sh", "-c", SCRIPT, "sh", image, point, program]
    return subprocess.run(command).returncode


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        # That of the temporary files may clone as well; then it is not tried.
        kind = subprocess.run(["stat", "-f", "-c", "%T", name], capture_output=True, text=True)
        results = {}
        if kind.stdout.strip() not in ("btrfs", "xfs", "bcachefs"):
            results["/tmp"] = subprocess.run([program, name, "copies"]).returncode
        for make, mebibytes in SYSTEMS:
            results[make[0]] = try_system(make, mebibytes, program, work)
    print(results)
    if any(result not in (0, 77) for result in results.values()):
        return 1
    return 0 if results["mkfs.btrfs"] == 0 or results["mkfs.xfs"] == 0 else 77


if __name__ == "__main__":
    sys.exit(main())
