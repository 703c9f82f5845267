#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a pool's printed statistics as those they are meant for would: usage: stats_output.py TEST_PROGRAM"""

import json
import re
import subprocess
import sys

NAME = 'a "pool" with\\ odd\n name \u00e4'


def output(program, form):
    return subprocess.run([program, form], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8")


def check_tier(tier):
    assert tier["acquires"] == tier["hits"] + tier["depot_hits"] + tier["misses"] + tier["fallbacks"], tier
    assert tier["live"] == tier["acquires"] - tier["returns"] - tier["drops"], tier


def tiers_of(pool):
    """Wherever they are in the object: all objects that look like a tier."""
    found = []
    pending = [pool]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "acquires" in value:
                found.append(value)
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return found


def check_json(text):
    assert text.count("\n") == 1 and text.endswith("\n"), "not one line"
    pool = json.loads(text)
    assert isinstance(pool, dict)
    assert pool["name"] == NAME, pool["name"]
    tiers = tiers_of(pool)
    assert len(tiers) >= 4, "total, oversize and two tiers"
    for tier in tiers:
        check_tier(tier)
    assert sorted(tier["acquires"] for tier in tiers) == [1, 1, 50, 52]
    assert 0 <= pool["hit_rate"] <= 1


# https://prometheus.io/docs/instrumenting/exposition_formats/
SAMPLE = re.compile(
    r"([a-zA-Z_:][a-zA-Z0-9_:]*)"
    r'(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})?'
    r" (-?[0-9.e+-]+|\+Inf|NaN)( [0-9]+)?$"
)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')


def check_prometheus(text):
    assert text.endswith("\n")
    types = {}
    helps = set()
    samples = set()
    finished = set()
    current = None
    for line in text.split("\n")[:-1]:
        if not line:
            continue
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in helps, "two HELP lines for " + family
            helps.add(family)
            continue
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family not in types, "two TYPE lines for " + family
            assert kind in ("counter", "gauge"), line
            if kind == "counter":
                assert family.endswith("_total"), "a counter's name ends in _total: " + family
            types[family] = kind
            continue
        assert not line.startswith("#"), line
        match = SAMPLE.match(line)
        assert match, "not a sample: " + line
        family, labels = match.group(1), match.group(2) or ""
        assert family in types, "a sample before its TYPE: " + line
        if family != current:
            assert family not in finished, "the samples of %s are not together" % family
            finished.add(current)
            current = family
        pairs = dict(LABEL.findall(labels))
        name = pairs.get("pool", "").replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
        assert name == NAME, "label pool: %r" % pairs
        assert (family, labels) not in samples, "twice: " + line
        samples.add((family, labels))
        value = float(match.group(3))
        if types[family] == "counter":
            assert value >= 0
    assert set(types) == helps
    assert {family for family, _ in samples} == set(types), "a family without samples"
    assert any("acquires" in family for family in types)


def main():
    program = sys.argv[1]
    check_json(output(program, "json"))
    check_prometheus(output(program, "prometheus"))


main()
