# SPDX-License-Identifier: MIT
"""Image files by hand: PNG in and out, and files that are wrong in one way each."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind, data, crc=None):
    crc = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def ihdr(width, height, depth=8, colour=0, interlace=0):
    return struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)


def png(width=16, height=16, depth=8, colour=0, rows=None, before=b"", after=b"", idat=None):
    """A gray PNG file, or what the arguments make of it."""
    if idat is None:
        rows = rows or b"".join(b"\0" + bytes((x * 8 + y) % 256 for x in range(width))
                                for y in range(height))
        idat = zlib.compress(rows)
    return (SIGNATURE + chunk(b"IHDR", ihdr(width, height, depth, colour)) + before +
            chunk(b"IDAT", idat) + after + chunk(b"IEND", b""))


def chunks(data):
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        yield kind, data[at + 8:at + 8 + length], zlib.crc32(data[at + 4:at + 8 + length]) == \
            struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0]
        at += 12 + length


class Png:
    """A PNG file as zcb-thumb writes them: pixel(x, y) is a tuple of floats from 0 to 1."""

    def __init__(self, data):
        assert data[:8] == SIGNATURE
        found = list(chunks(data))
        assert found[-1][0] == b"IEND" and all(good for _, _, good in found)
        self.width, self.height, self.bits, colour, _, _, interlace = struct.unpack(
            ">IIBBBBB", found[0][1])
        assert interlace == 0 and self.bits in (8, 16)
        self.channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
        self.step = self.channels * self.bits // 8
        raw = zlib.decompress(b"".join(body for kind, body, _ in found if kind == b"IDAT"))
        stride = self.width * self.step
        assert len(raw) == (stride + 1) * self.height
        self.rows, before = [], bytearray(stride)
        for y in range(self.height):
            at = y * (stride + 1)
            before = self.unfilter(raw[at], bytearray(raw[at + 1:at + 1 + stride]), before)
            self.rows.append(before)

    def unfilter(self, how, row, up):
        step = self.step
        for i in range(len(row)):
            a = row[i - step] if i >= step else 0
            b = up[i]
            c = up[i - step] if i >= step else 0
            if how == 1:
                row[i] = row[i] + a & 255
            elif how == 2:
                row[i] = row[i] + b & 255
            elif how == 3:
                row[i] = row[i] + (a + b) // 2 & 255
            elif how == 4:
                p = a + b - c
                best = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
                row[i] = row[i] + best & 255
        return row

    def pixel(self, x, y):
        at = x * self.step
        raw = self.rows[y][at:at + self.step]
        if self.bits == 16:
            return tuple(v / 65535 for v in struct.unpack(">%dH" % self.channels, raw))
        return tuple(v / 255 for v in raw)


def exif(orientation, order="<"):
    """A TIFF structure with an orientation in it, behind another field."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    fields = [(0x010f, 2, 4, 0x41424300), (0x0112, 3, 1, orientation)]
    body = mark + struct.pack(order + "IH", 8, len(fields))
    for tag, kind, count, value in fields:
        body += struct.pack(order + "HHI", tag, kind, count)
        body += struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value)
    return body + bytes(4)


def turned(data, orientation, order="<"):
    """The same image file with EXIF data in it."""
    tiff = exif(orientation, order)
    if data[:2] == b"\xff\xd8":
        segment = b"Exif\0\0" + tiff
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    if data[:8] == SIGNATURE:
        return data[:33] + chunk(b"eXIf", tiff) + data[33:]
    # WebP: the extended header says that EXIF is there, and it is the last chunk.
    width, height = webp_size(data)
    tiff += b"\0" * (len(tiff) % 2)
    body = (b"VP8X" + struct.pack("<IB3x", 10, 8) + struct.pack("<I", width - 1)[:3] +
            struct.pack("<I", height - 1)[:3] + data[12:] + b"EXIF" + struct.pack("<I", len(tiff)) + tiff)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_size(data):
    assert data[12:16] == b"VP8 "
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3fff, height & 0x3fff


def broken_png():
    """PngSuite's list of what is to be refused (its files x*.png), made anew; and some more."""
    good = png()
    header = chunk(b"IHDR", ihdr(16, 16))
    rest = good[8 + len(header):]

    def with_header(fields, crc=None):
        return SIGNATURE + chunk(b"IHDR", fields, crc) + rest

    cases = {
        "signature, first byte": b"\x09" + good[1:],
        "signature, a letter": good[:1] + b"Q" + good[2:],
        "signature, lower case": good[:1] + b"png" + good[4:],
        "signature, a space": good[:6] + b" " + good[7:],
        "sent as text, more CR": good.replace(b"\n", b"\r\n"),
        "sent as text, no CR": good.replace(b"\r\n", b"\n"),
        "IHDR checksum": with_header(ihdr(16, 16), 1),
        "colour type 1": with_header(ihdr(16, 16, colour=1)),
        "colour type 9": with_header(ihdr(16, 16, colour=9)),
        "bit depth 0": with_header(ihdr(16, 16, depth=0)),
        "bit depth 3": with_header(ihdr(16, 16, depth=3)),
        "bit depth 99": with_header(ihdr(16, 16, depth=99)),
        "no IDAT": SIGNATURE + header + chunk(b"IEND", b""),
        "IDAT checksum": SIGNATURE + header + chunk(b"IDAT", zlib.compress(bytes(17 * 16)), 1) +
                         chunk(b"IEND", b""),
        "bit depth 16, palette": with_header(ihdr(16, 16, depth=16, colour=3)),
        "palette, but no palette": with_header(ihdr(16, 16, colour=3)),
        "width 0": with_header(ihdr(0, 16)),
        "height 0": with_header(ihdr(16, 0)),
        "width 2^31": with_header(ihdr(1 << 31, 16)),
        "both 2^31 - 1": with_header(ihdr((1 << 31) - 1, (1 << 31) - 1)),
        "interlace 7": with_header(ihdr(16, 16, interlace=7)),
        "interlaced, which it is not": with_header(ihdr(16, 16, interlace=1)),
        "IHDR of 12 bytes": SIGNATURE + chunk(b"IHDR", ihdr(16, 16)[:12]) + rest,
        "IDAT first": SIGNATURE + rest,
        "filter 5": png(rows=(b"\5" + bytes(16)) * 16),
        "too few pixels": png(rows=(b"\0" + bytes(16)) * 15),
        "no zlib stream": png(idat=b"this is no zlib stream at all"),
        "chunk of 4 GiB": good[:33] + b"\xff\xff\xff\xff" + good[37:],
        "unknown critical chunk": good[:33] + chunk(b"ABCD", b"") + good[33:],
        "no IEND": good[:-12],
        "header alone": good[:33],
        "signature alone": good[:8],
    }
    damaged = bytearray(zlib.compress(bytes(17 * 16)))
    damaged[-1] ^= 1
    cases["pixels' checksum"] = png(idat=bytes(damaged))
    return cases


def declares_much():
    """Some 100 bytes that say they are 10^9 pixels."""
    width, height = 40000, 25000
    jpeg_head = (b"\xff\xd8\xff\xdb\0\x43\0" + b"\1" * 64 + b"\xff%c\0\x0b\x08" +
                 struct.pack(">HH", height, width) + b"\1\1\x11\0" +
                 b"\xff\xc4\0\x14\0\1" + bytes(15) + b"\0" + b"\xff\xda\0\x08\1\1\0\0\x3f\0" +
                 b"\0\0\xff\xd9")
    webp = (b"VP8X" + struct.pack("<IB3x", 10, 0) + struct.pack("<I", width - 1)[:3] +
            struct.pack("<I", height - 1)[:3] + b"VP8 " + struct.pack("<I", 10) +
            b"\x10\0\0\x9d\1\x2a\xff\x3f\xff\x3f")
    return {
        "png": png(width, height, idat=zlib.compress(bytes(9))),
        "interlaced png": SIGNATURE + chunk(b"IHDR", ihdr(width, height, interlace=1)) +
                          chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b""),
        "jpeg": jpeg_head.replace(b"%c", b"\xc0"),
        "progressive jpeg": jpeg_head.replace(b"%c", b"\xc2"),
        "webp": b"RIFF" + struct.pack("<I", len(webp) + 4) + b"WEBP" + webp,
    }
