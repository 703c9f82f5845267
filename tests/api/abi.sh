#!/bin/sh
# SPDX-License-Identifier: MIT
# Compares the shared library with the ABI that was written down for this machine: additions are
# welcome, changes and removals fail. scripts/abi-baseline writes it down anew.
#
# usage: abi.sh SOURCE_ROOT SHARED_LIBRARY CPU-SYSTEM
# Exit 77: no abidiff here, or nothing written down for this kind of machine.

set -u

baseline=$1/tests/api/abi/libzcbuf-$3.abi
if ! command -v abidiff >/dev/null 2>&1; then
    echo "no abidiff here"
    exit 77
fi
if [ ! -f "$baseline" ]; then
    echo "no baseline for $3: scripts/abi-baseline makes one"
    exit 77
fi
abidiff --no-added-syms --drop-private-types --headers-dir1 "$1/include" --headers-dir2 "$1/include" \
    "$baseline" "$2"
status=$?
# 1: abidiff itself failed; 2: wrong usage; 4: a change; 8: a change that is certainly incompatible.
if [ "$status" -ne 0 ]; then
    echo "the ABI is not what tests/api/abi says (abidiff: $status)"
    exit 1
fi
