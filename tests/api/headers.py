#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every public header compiles alone, strictly, and twice in one file.

usage: headers.py c|c++ SOURCE_ROOT BUILD_ROOT COMPILER...

Each COMPILER is one that the build knows (`ccache gcc` as one word) or a name that may not be here.
Exit 77: none of them is here.
"""

import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

STRICT = ["-pedantic", "-Wall", "-Wextra", "-Wundef", "-Werror"]
LANGUAGES = {
    "c": (".c", [["-std=c11"], ["-std=gnu11"]], ["-Wshadow", "-Wstrict-prototypes"]),
    "c++": (".cpp", [["-std=c++17"]], []),
}


def main():
    language, source, build = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    compilers = [shlex.split(c) for c in sys.argv[4:]]
    compilers = [c for c in compilers if c and shutil.which(c[0])]
    if not compilers:
        print("no compiler for", language)
        return 77

    include = source / "include"
    headers = sorted(
        str(h.relative_to(include))
        for h in (include / "zcbuf").rglob("*.h")
        # A bridge needs the library that it leads to.
        if "bridge" not in h.parts
    ) + ["zcbuf/version.h"]
    suffix, standards, extra = LANGUAGES[language]
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for header in headers:
            unit = pathlib.Path(scratch) / ("unit" + suffix)
            # The declaration is there because an empty translation unit is not pedantic C.
            unit.write_text(f"#include <{header}>\n#include <{header}>\nint main();\n"
                            if language == "c++" else
                            f"#include <{header}>\n#include <{header}>\nint main(void);\n")
            for compiler in compilers:
                for standard in standards:
                    command = compiler + standard + STRICT + extra + [
                        "-fsyntax-only", f"-I{include}", f"-I{build / 'include'}", str(unit)]
                    done = subprocess.run(command, capture_output=True, text=True)
                    if done.returncode != 0:
                        failed += 1
                        print(f"{header} with {' '.join(compiler + standard)}:")
                        print(done.stderr)
    print(f"{len(headers)} headers, {len(compilers)} compilers, {failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
