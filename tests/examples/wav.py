# SPDX-License-Identifier: MIT
"""WAV files taken apart, by the book and not by zcb-record's idea of it; and what its ramp has to be."""

import array
import struct
from types import SimpleNamespace

BYTES = {"s16": 2, "s24": 3, "s32": 4, "f32": 4}
GUID = bytes.fromhex("000000001000800000aa00389b71")


def parse(data):
    """All that a file's header says, and its samples. Raises where the file is not what it says."""
    kind, riff, wave = struct.unpack_from("<4sI4s", data)
    assert kind in (b"RIFF", b"RF64") and wave == b"WAVE", data[:12]
    out = SimpleNamespace(kind=kind.decode(), riff=riff, chunks=[], fact=None, mask=None, valid=None)
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        out.chunks.append(name.decode())
        body = at + 8
        if name == b"ds64":
            out.riff, out.long, out.samples, table = struct.unpack_from("<QQQI", data, body)
            assert table == 0 and size == 28
        elif name == b"fmt ":
            (out.tag, out.channels, out.rate, out.per_second, out.frame,
             out.bits) = struct.unpack_from("<HHIIHH", data, body)
            assert size == {0xfffe: 40, 3: 18, 1: 16}[out.tag]
            if out.tag == 0xfffe:
                extra, out.valid, out.mask, out.tag = struct.unpack_from("<HHIH", data, body + 16)
                assert extra == 22 and data[body + 26:body + 40] == GUID
                out.extensible = True
            else:
                out.extensible = False
        elif name == b"fact":
            out.fact, = struct.unpack_from("<I", data, body)
        elif name == b"data":
            if out.kind == "RF64":
                assert size == 0xffffffff
                size = out.long
            out.header = body
            out.open = size == 0xffffffff
            out.size = len(data) - body if out.open else size
            out.data = data[body:body + out.size]
            assert len(out.data) == out.size, (len(out.data), out.size)
            break
        at = body + size + size % 2
    assert out.per_second == out.rate * out.frame
    assert out.frame == out.channels * out.bits // 8
    assert out.size % out.frame == 0
    out.frames = out.size // out.frame
    return out


def ramp(format, channels, frames, first=0):
    """The bytes of the tone generator's ramp: sample k is the number k."""
    numbers = range(first * channels, (first + frames) * channels)
    if format == "s16":
        return array.array("h", ((k + 32768) % 65536 - 32768 for k in numbers)).tobytes()
    low = ((k + (1 << 23)) % (1 << 24) - (1 << 23) for k in numbers)
    if format == "s24":
        return b"".join(k.to_bytes(3, "little", signed=True) for k in low)
    if format == "f32":
        return array.array("f", (k / (1 << 23) for k in low)).tobytes()
    return array.array("i", ((k + (1 << 31)) % (1 << 32) - (1 << 31) for k in numbers)).tobytes()


def number(format, data):
    """The number of a ramp's sample; only its low bits."""
    if format == "s16":
        return struct.unpack("<H", data[:2])[0]
    if format == "f32":
        return round(struct.unpack("<f", data[:4])[0] * (1 << 23)) % (1 << 24)
    return int.from_bytes(data[:BYTES[format]], "little")
