#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The ABI is what was written down: additions are welcome, changes and removals are not.

usage: abi.py check|write SOURCE_ROOT SHARED_LIBRARY BASELINE

libabigail's abidw reads debug information; this keeps what programs are compiled against, one line
each: functions with their types, the layout of structs that public headers define, enumerators.
What lies behind opaque pointers is not kept, and may change. (abidiff can compare abidw's own
files, but version 2.1 reads such a file back without seeing a struct that grew.)

Exit 77: no abidw here, or no baseline for this kind of machine.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml


class Abi:
    def __init__(self, root):
        self.root = root
        self.types = {}
        for element in root.iter():
            kind_has_id = element.tag.endswith("-decl") or "type" in element.tag
            if kind_has_id and element.get("id"):
                # A definition is worth more than a declaration of the same type.
                known = self.types.get(element.get("id"))
                if known is None or known.get("is-declaration-only") == "yes":
                    self.types[element.get("id")] = element

    def name(self, type_id):
        """A type in words; not quite C, but each type has one spelling."""
        element = self.types.get(type_id)
        if element is None:
            return "void"
        tag = element.tag
        if tag == "pointer-type-def":
            return self.name(element.get("type-id")) + " *"
        if tag == "qualified-type-def":
            words = [w for w in ("const", "volatile", "restrict") if element.get(w) == "yes"]
            return self.name(element.get("type-id")) + " " + " ".join(words)
        if tag == "array-type-def":
            lengths = "".join(f"[{s.get('length')}]" for s in element.iter("subrange"))
            return self.name(element.get("type-id")) + lengths
        if tag == "function-type":
            return self.signature(element, "(*)")
        if tag == "class-decl":
            return "struct " + element.get("name")
        if tag == "union-decl":
            return "union " + element.get("name")
        if tag == "enum-decl":
            return "enum " + element.get("name")
        return element.get("name")

    def signature(self, element, name):
        result = element.find("return")
        arguments = ["..." if p.get("is-variadic") == "yes" else self.name(p.get("type-id"))
                     for p in element.findall("parameter")]
        return f"{self.name(result.get('type-id'))} {name}({', '.join(arguments) or 'void'})"

    def lines(self, public):
        found = set()
        # By name: where a file that only calls a function is read before the one that has it, abidw
        # leaves the symbol's id out.
        exported = {e.get("name") for e in self.root.iter("elf-symbol")}
        for element in self.root.iter("function-decl"):
            if element.get("name") in exported:
                found.add(self.signature(element, element.get("name")))
        for element in self.root.iter("elf-symbol"):
            if element.get("type") != "func-type":
                found.add(f"object {element.get('name')} of {element.get('size')} bytes")
        for element in self.types.values():
            name = element.get("name")
            if name not in public or element.get("is-declaration-only") == "yes":
                continue
            if element.tag in ("class-decl", "union-decl"):
                whole = f"{self.name(element.get('id'))}"
                found.add(f"{whole}: {int(element.get('size-in-bits')) // 8} bytes")
                for member in element.findall("data-member"):
                    at = int(member.get("layout-offset-in-bits", "0")) / 8
                    what = member.find("var-decl")
                    found.add(f"{whole}: at {at:g}: {self.name(what.get('type-id'))} "
                              f"{what.get('name')}")
            elif element.tag == "enum-decl":
                for one in element.findall("enumerator"):
                    if one.get("name").endswith("_COUNT"):
                        continue  # how many there are by now
                    found.add(f"enum {name}: {one.get('name')} = {one.get('value')}")
            elif element.tag == "typedef-decl":
                found.add(f"typedef {name}: {self.name(element.get('type-id'))}")
        return found


def order(line):
    """Sorts members by offset, not by the digits it is written with."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(?<= at )(\d+)", line)]


def public_types(source):
    names = set()
    for header in (source / "include").rglob("*.h"):
        text = header.read_text(encoding="utf-8")
        names.update(re.findall(r"^(?:struct|union|enum) (zcb_\w+) \{", text, re.MULTILINE))
        names.update(re.findall(r"^typedef .*?\b(zcb_\w+)\(.*\);", text, re.MULTILINE))
    return names


def main():
    how, source, library, baseline = sys.argv[1], *map(pathlib.Path, sys.argv[2:5])
    if not shutil.which("abidw"):
        print("no abidw here")
        return 77
    if how == "check" and not baseline.exists():
        print(f"no {baseline.name}: scripts/abi-baseline makes it")
        return 77
    with tempfile.NamedTemporaryFile(suffix=".abi") as out:
        subprocess.run(["abidw", "--out-file", out.name, str(library)], check=True)
        now = Abi(xml.parse(out.name).getroot()).lines(public_types(source))
    if how == "write":
        baseline.parent.mkdir(parents=True, exist_ok=True)
        baseline.write_text("\n".join(sorted(now, key=order)) + "\n", encoding="utf-8")
        print(f"wrote {len(now)} lines to {baseline}")
        return 0
    before = set(baseline.read_text(encoding="utf-8").splitlines())
    gone = sorted(before - now, key=order)
    for line in gone:
        print("was:", line)
    # What came instead, to make the report readable; a list of all additions would not be.
    for line in sorted(now - before, key=order):
        if any(line.split(":")[0].split("(")[0].split()[-1] in old for old in gone):
            print("now:", line)
    print(f"{len(before)} lines written down, {len(gone)} of them not so any more, "
          f"{len(now - before)} new")
    return 1 if gone else 0


if __name__ == "__main__":
    sys.exit(main())
