#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A file includes those of its own layer or of one before it, never of one after it.

usage: layers.py SOURCE_ROOT

    base -> source -> pool -> buf -> packet -> chain -> piece -> adapt -> bridge

Adapters see public headers and their own private ones, and nothing else of ours.
"""

import pathlib
import re
import sys

ORDER = ["base", "source", "pool", "buf", "packet", "chain", "piece", "adapt", "bridge"]
RANK = {name: number for number, name in enumerate(ORDER)}

# Public headers without a folder of their own.
PUBLIC = {"version.h": "base", "copies.h": "base", "stats.h": "base", "zcbuf.h": "piece"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def public_layer(path):
    """Layer of what follows zcbuf/ in an include, such as pool.h or adapt/torrent.h."""
    if "/" in path:
        return path.split("/")[0]
    return PUBLIC.get(path, path.removesuffix(".h") if path.endswith(".h") else None)


def private_layer(path):
    """Layer of a file under src/, such as pool/slab.h."""
    folder = path.partition("/")[0]
    # Bufs turn into packets, so one folder implements both.
    return "packet" if folder == "buf" else folder


def check(root):
    problems = []
    files = 0
    for tree in ("include/zcbuf", "src"):
        for file in sorted((root / tree).rglob("*.[ch]")):
            files += 1
            name = file.relative_to(root).as_posix()
            inside = file.relative_to(root / tree).as_posix()
            public = tree.startswith("include")
            mine = public_layer(inside) if public else private_layer(inside)
            if mine not in RANK:
                problems.append(f"{name}: belongs to no layer ({mine})")
                continue
            for kind, target in INCLUDE.findall(file.read_text(encoding="utf-8")):
                if target.startswith("zcbuf/"):
                    theirs = public_layer(target[len("zcbuf/"):])
                elif kind == '"':
                    if public:
                        problems.append(f"{name}: a public header includes \"{target}\"")
                        continue
                    beside = file.parent / target
                    if beside.exists():
                        theirs = private_layer(beside.resolve().relative_to(
                            (root / "src").resolve()).as_posix())
                    elif (root / "src" / target).exists():
                        theirs = private_layer(target)
                    else:
                        problems.append(f"{name}: includes \"{target}\", which is not there")
                        continue
                    if mine == "adapt" and theirs != "adapt":
                        problems.append(f"{name}: an adapter includes the private \"{target}\"")
                        continue
                else:
                    continue
                if theirs not in RANK:
                    problems.append(f"{name}: includes {target}, which belongs to no layer")
                elif RANK[theirs] > RANK[mine]:
                    problems.append(f"{name} ({mine}) includes {target} ({theirs}), a later layer")
                if target.endswith(".c"):
                    problems.append(f"{name}: includes a .c file")
    return files, problems


def main():
    files, problems = check(pathlib.Path(sys.argv[1]))
    print("\n".join(problems))
    print(f"{files} files, {len(problems)} problems")
    return 1 if problems or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
