# SPDX-License-Identifier: MIT
"""zcb-thumb: every kind of image, every way in which a file can be wrong, and what is left behind."""

import fcntl
import pty
import resource
import zlib

import images
from helpers import *

THUMB = os.path.join(BIN, "zcb-thumb")
MAKER = os.environ["ZCB_MAKE_IMAGES"]
INTERNAL, USAGE, IMAGE = 1, 2, 11
KINDS = subprocess.run([MAKER, "list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
SANITIZED = bool(os.environ.get("ZCB_SANITIZED"))
MIB = 1 << 20


def has(format):
    return any(kind.startswith(format) for kind in KINDS)


class ThumbCase(Case):
    def setUp(self):
        if not has("png"):
            self.skipTest("built without libspng; what is made is looked at as PNG")
        super().setUp()

    def image(self, kind, width=120, height=80, name=None):
        path = self.path(name or kind)
        if os.path.dirname(path) != self.folder:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        subprocess.run([MAKER, kind, str(width), str(height), path], check=True)
        return path

    def file(self, data, name="x"):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def bytes(self, path):
        with open(path, "rb") as file:
            return file.read()

    def run_thumb(self, *arguments, code=0, seconds=60, **popen):
        popen.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run([THUMB, *map(str, arguments)], stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=seconds, **popen)
        done.said = done.stderr.decode(errors="replace")
        self.assertNotIn("runtime error", done.said)
        self.assertNotIn("Sanitizer", done.said)
        if code is not None:
            self.assertEqual(done.returncode, code, done.said)
        return done

    def thumb(self, *arguments, size="32x32", format="png", code=0, **popen):
        """What it says of each file, and the summary."""
        done = self.run_thumb(*arguments, "-o", self.out, "-s", size, "-f", format, "--json",
                              code=code, **popen)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        for line in lines[:-1]:
            self.assertEqual(line["copied_bytes"], 0)
            self.assertLessEqual(line["peak_bytes"], line["planned_bytes"])
        return lines[:-1], lines[-1]["summary"], done.said

    def left(self):
        return sorted(os.listdir(self.out)) if os.path.isdir(self.out) else []

    def result(self, name):
        return images.Png(self.bytes(os.path.join(self.out, name)))

    def assert_slopes(self, png, orientation=1, gray=False, alpha=False, slack=0.06, onto_white=False):
        """The pattern of make_images."""
        last_x, last_y = png.width - 1, png.height - 1
        for fx, fy in (0.1, 0.1), (0.9, 0.1), (0.5, 0.5), (0.1, 0.9), (0.9, 0.9):
            x, y = round(fx * last_x), round(fy * last_y)
            is_ = png.pixel(x, y)
            # Of the pixel's middle, as a part of the whole; then where it lay in the file.
            u, v = (x + 0.5) / png.width, (y + 0.5) / png.height
            a, b = {1: (u, v), 2: (1 - u, v), 3: (1 - u, 1 - v), 4: (u, 1 - v), 5: (v, u),
                    6: (v, 1 - u), 7: (1 - v, 1 - u), 8: (1 - v, u)}[orientation]
            want = [a] if gray else [a, b, 0.5]
            if alpha:
                want.append(b)
            if onto_white:
                want = [c * b + 1 - b for c in want]
            self.assertEqual(len(is_), len(want))
            for i, w in zip(is_, want):
                self.assertAlmostEqual(i, w, delta=slack, msg="at %d, %d: %s, not %s" % (
                    x, y, is_, want))


class Kinds(ThumbCase):
    def test_every_kind_gives_the_picture_that_it_has(self):
        for kind in KINDS:
            if kind in ("png-indexed", "png-bits", "jpeg-low", "jpeg-large", "webp-large"):
                continue
            with self.subTest(kind=kind):
                files, summary, _ = self.thumb(self.image(kind, 150, 90))
                self.assertEqual((files[0]["width"], files[0]["height"]), (150, 90))
                self.assertEqual(files[0]["format"], kind.split("-")[0])
                result = self.result(os.path.splitext(kind)[0] + ".png")
                turned = kind == "avif-turned"
                self.assertEqual((result.width, result.height), (19, 32) if turned else (32, 19))
                self.assertEqual(result.bits, 16 if kind.endswith("-16") else 8)
                # Red and green of avif-gray became its luma.
                if kind == "avif-gray":
                    continue
                self.assertTrue(summary["held"])
                if kind == "png-transparent":  # one colour is, which it does not have
                    self.assertEqual({result.pixel(x, 5)[3] for x in range(32)}, {1})
                    continue
                self.assert_slopes(result, 8 if turned else 1, gray="gray" in kind,
                                   alpha="alpha" in kind or "rgba" in kind, slack=0.07)

    def test_palettes_and_single_bits(self):
        self.thumb(self.image("png-bits", 200, 100))
        result = self.result("png-bits.png")
        self.assertEqual((result.pixel(3, 8), result.pixel(28, 8)), ((0,), (1,)))
        self.thumb(self.image("png-indexed", 256, 128))
        result = self.result("png-indexed.png")
        for x, y, red, green in (2, 1, 0, 0), (30, 1, 1, 0), (2, 14, 0, 1), (30, 14, 1, 1):
            self.assertEqual([round(c, 1) for c in result.pixel(x, y)], [red, green, 0.5])

    def test_every_format_out_of_every_kind(self):
        for format, suffix in ("jpeg", ".jpg"), ("png", ".png"), ("webp", ".webp"):
            if not has(format):
                continue
            for kind in KINDS:
                with self.subTest(kind=kind, format=format):
                    self.thumb(self.image(kind), format=format, size="60x60")
                    # And back, so that it can be looked at.
                    made = os.path.join(self.out, kind + suffix)
                    moved = self.path("made" + suffix)
                    os.rename(made, moved)
                    files, _, _ = self.thumb(moved, size="60x60")
                    self.assertEqual(files[0]["format"], format)
                    result = self.result("made.png")
                    self.assertEqual(max(result.width, result.height), 60)
                    if kind in ("jpeg", "png", "webp", "png-16", "webp-lossless", "avif-10"):
                        self.assert_slopes(result, slack=0.08)
                    if kind in ("png-rgba", "png-rgba-16", "webp-alpha"):
                        self.assert_slopes(result, alpha=format != "jpeg",
                                           onto_white=format == "jpeg", slack=0.1)

    def test_webp_whose_alpha_is_large(self):
        if not has("webp"):
            self.skipTest("built without libwebp")
        data = self.bytes(self.image("webp-alpha", 4200, 4200))
        at = data.index(b"ALPH")
        size = struct.unpack("<I", data[at + 4:at + 8])[0]
        rest = data[at + 8 + size + size % 2:]
        alpha = b"\0" + b"\x80" * (4200 * 4200)  # not packed, 17.6 MB
        body = data[12:at] + b"ALPH" + struct.pack("<I", len(alpha)) + alpha + b"\0" + rest
        path = self.file(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body)
        files, summary, _ = self.thumb(path)
        self.assertEqual(self.result("x.png").pixel(9, 9)[3], 128 / 255)
        if not SANITIZED:
            self.assertLess(summary["grown_bytes"], files[0]["planned_bytes"] + 2 * MIB)

    def test_orientation_is_honoured(self):
        for kind in "jpeg", "png", "webp":
            if not has(kind):
                continue
            data = self.bytes(self.image(kind, 90, 60))
            for orientation in range(1, 9):
                for order in "<>":
                    with self.subTest(kind=kind, orientation=orientation, order=order):
                        files, _, _ = self.thumb(self.file(images.turned(data, orientation, order)),
                                                 size="30x30")
                        result = self.result("x.png")
                        self.assertEqual((result.width, result.height),
                                         (20, 30) if orientation >= 5 else (30, 20))
                        self.assertEqual((files[0]["outputs"][0]["width"], files[0]["width"]),
                                         (result.width, 90))
                        self.assert_slopes(result, orientation, slack=0.08)

    def test_rows_of_avif_are_in_their_places(self):
        if not has("avif"):
            self.skipTest("built without libavif")
        for kind in "avif", "avif-10", "avif-alpha":
            self.thumb(self.image(kind, 64, 100, name="x"), size="64x100")
            result = self.result("x.png")
            for y in range(100):
                green = sum(result.pixel(x, y)[1] for x in range(64)) / 64
                self.assertAlmostEqual(green, min(max(y / 99, 0.01), 0.99), delta=0.012,
                                       msg="%s, row %d" % (kind, y))

    def test_nonsense_in_exif_is_no_reason_to_fail(self):
        data = self.bytes(self.image("jpeg", 90, 60))
        for tiff in b"", b"II*\0", b"II*\0\xff\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + bytes(5), \
                images.exif(9), images.exif(0), b"II*\0\7\0\0\0\1\0" + bytes(20):
            segment = b"Exif\0\0" + tiff
            self.thumb(self.file(data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) +
                                 segment + data[2:]))
            self.assert_slopes(self.result("x.png"), slack=0.08)

    def test_cmyk_without_adobes_mark_is_ink(self):
        data = self.bytes(self.image("jpeg-cmyk"))
        at = data.index(b"Adobe") - 4
        size = struct.unpack(">H", data[at + 2:at + 4])[0]
        self.thumb(self.file(data[:at] + data[at + 2 + size:]))
        # All black: what was "no black" is now full of it.
        self.assertEqual([round(c, 1) for c in self.result("x.png").pixel(5, 5)], [0, 0, 0])


class Sizes(ThumbCase):
    def test_proportions_stay_and_nothing_is_made_larger(self):
        for width, height, size, want in (
                (120, 80, "60x60", (60, 40)), (120, 80, "40x10", (15, 10)), (80, 120, "60x60", (40, 60)),
                (120, 80, "500x500", (120, 80)), (120, 80, "120x80", (120, 80)),
                (1000, 1, "10x10", (10, 1)), (1, 1000, "10x10", (1, 10)), (1, 1, "1x1", (1, 1)),
                (7, 7, "1x1", (1, 1)), (119, 79, "118x79", (118, 78))):
            for kind in "jpeg", "png", "png-interlaced", "webp":
                if has(kind):
                    with self.subTest(kind=kind, width=width, height=height, size=size):
                        self.thumb(self.image(kind, width, height, name="x"), size=size)
                        result = self.result("x.png")
                        self.assertEqual((result.width, result.height), want)

    def test_each_row_of_a_thin_image_counts_the_same(self):
        # At 1/2 the third of three rows would be half of the picture.
        for kind in "jpeg", "png", "webp":
            if has(kind):
                with self.subTest(kind):
                    self.thumb(self.image(kind, 1600, 3, name="x"), size="100x100")
                    self.assertAlmostEqual(self.result("x.png").pixel(50, 0)[1], 0.5, delta=0.04)

    def test_several_sizes_are_what_one_by_one_gives(self):
        for kind in "jpeg", "png", "webp", "png-interlaced", "avif":
            if not has(kind):
                continue
            path = self.image(kind, 300, 200, name="x")
            one = {}
            # The decoder leaves out what the largest does not need.
            for size in "140x140", "90x90":
                self.thumb(path, size=size)
                one[size] = self.result("x.png")
            files, _, _ = self.thumb(path, "-s", "140x140", "-s", "90x90", size="20x20")
            self.assertEqual([o["name"] for o in files[0]["outputs"]],
                             ["x-140x140.png", "x-90x90.png", "x-20x20.png"])
            self.assertEqual(self.result("x-140x140.png").rows, one["140x140"].rows)
            self.assert_slopes(self.result("x-90x90.png"))
            self.assert_slopes(self.result("x-20x20.png"), slack=0.08)

    def test_area_is_softer_than_lanczos(self):
        path = self.file(images.png(64, 64, rows=b"".join(
            b"\0" + (b"\0" * 32 + b"\xff" * 32) for _ in range(64))))
        self.thumb(path, "--filter", "area", size="21x21")
        soft = self.result("x.png")
        self.assertEqual([round(soft.pixel(x, 10)[0], 2) for x in (9, 10, 11)], [0, 0.5, 1])
        self.thumb(path, size="9x9")
        sharp = self.result("x.png")
        self.assertEqual(sharp.pixel(0, 4), (0,))


class Broken(ThumbCase):
    def assert_refused(self, data, grown=8 * MIB):
        shutil.rmtree(self.out, ignore_errors=True)
        files, summary, said = self.thumb(self.file(data), code=IMAGE)
        self.assertFalse(files[0]["ok"])
        self.assertTrue(files[0]["error"])
        self.assertIn("x: ", said)
        self.assertEqual(self.left(), [])
        if not SANITIZED:
            self.assertLess(summary["grown_bytes"], grown)
        return files[0]["error"]

    def test_a_png_that_is_right(self):
        self.thumb(self.file(images.png()))
        self.assertEqual(self.result("x.png").width, 16)

    def test_pngs_that_are_wrong_in_one_way_each(self):
        for name, data in images.broken_png().items():
            with self.subTest(name):
                self.assert_refused(data)

    def test_a_billion_pixels_in_a_hundred_bytes(self):
        for name, data in images.declares_much().items():
            if has(name.split()[-1]):
                with self.subTest(name):
                    self.assertLess(len(data), 250)
                    error = self.assert_refused(data)
                    if name != "webp":  # whose frames are at most 16383 x 16383
                        self.assertIn("40000 x 25000", error)
        if has("avif"):
            data = bytearray(self.bytes(self.image("avif")))
            at = data.index(b"ispe") + 8
            data[at:at + 8] = struct.pack(">II", 40000, 25000)
            self.assert_refused(bytes(data))

    def test_avif_frames_are_no_larger_than_declared(self):
        if not has("avif"):
            self.skipTest("built without libavif")
        data = bytearray(self.bytes(self.image("avif", 4000, 2000)))
        at = data.index(b"ispe") + 8
        data[at:at + 8] = struct.pack(">II", 40, 20)
        self.assert_refused(bytes(data))

    def test_below_the_limit_and_nothing_behind_it(self):
        # 16000 x 16000 are allowed; of these there are a few bytes.
        for name, data in images.declares_much().items():
            for big, small in (struct.pack(">HH", 25000, 40000), struct.pack(">HH", 16000, 16000)), \
                    (images.ihdr(40000, 25000)[:8], images.ihdr(16000, 16000)[:8]):
                data = data.replace(big, small)
            if "png" in name:
                data = images.SIGNATURE + images.chunk(b"IHDR", data[16:29]) + data[33:]
            if "webp" not in name:
                with self.subTest(name):
                    self.assert_refused(data)

    def test_cut_at_every_64th(self):
        for kind in KINDS:
            if kind in ("jpeg-low", "jpeg-large", "webp-large", "jpeg-444", "png-gray-16", "png-gray-alpha-16", "avif-10"):
                continue
            data = self.bytes(self.image(kind, 160, 120))
            names = []
            for i in range(64):
                names.append(self.file(data[:len(data) * i // 64], "cut%d" % i))
            # All but the last few bytes, too: an end that is missing is missing.
            for i in range(1, 9):
                names.append(self.file(data[:-i], "end%d" % i))
            whole = self.file(data, "whole")
            shutil.rmtree(self.out, ignore_errors=True)
            with self.subTest(kind):
                files, _, _ = self.thumb(*names, whole, code=IMAGE)
                self.assertEqual([f["file"] for f in files if f["ok"]], [whole])
                self.assertEqual(self.left(), ["whole.png"])

    def test_a_cut_behind_the_pixels_is_one_too(self):
        if has("avif"):
            box = struct.pack(">I4s", 100, b"free") + bytes(92)
            data = self.bytes(self.image("avif")) + box
            self.thumb(self.file(data))
            self.assertIn("ends early", self.assert_refused(data[:-1]))
        if has("webp"):
            data = images.turned(self.bytes(self.image("webp")), 1)
            self.thumb(self.file(data))
            self.assertIn("ends early", self.assert_refused(data[:-1]))

    def test_lenient_takes_what_is_there(self):
        data = self.bytes(self.image("jpeg", 160, 120))
        path = self.file(data[:len(data) // 2])
        self.thumb(path, code=IMAGE)
        files, _, _ = self.thumb(path, "--lenient")
        self.assertTrue(files[0]["ok"] and files[0]["damaged"])
        result = self.result("x.png")
        self.assertAlmostEqual(result.pixel(16, 2)[0], 0.5, delta=0.1)

    def test_bombs(self):
        deflate = zlib.compressobj(9)
        zeros = deflate.compress(bytes(MIB)) * 1  # primes it
        for _ in range(300):
            zeros += deflate.compress(bytes(MIB))
        zeros += deflate.flush()
        with self.subTest("pixels"):
            files, summary, _ = self.thumb(self.file(images.png(idat=zeros)), code=None)
            if not SANITIZED:
                self.assertLess(summary["grown_bytes"], 8 * MIB)
        for kind, body in (b"zTXt", b"a\0\0" + zeros), (b"iCCP", b"a\0\0" + zeros), \
                (b"iTXt", b"a\0\1\0\0\0" + zeros):
            with self.subTest(kind):
                _, summary, _ = self.thumb(self.file(images.png(before=images.chunk(kind, body))),
                                           code=None)
                if not SANITIZED:
                    self.assertLess(summary["grown_bytes"], 12 * MIB)
        with self.subTest("scans"):
            data = self.bytes(self.image("jpeg-progressive", 200, 200))
            at = data.rindex(b"\xff\xda")
            data = data[:-2] + data[at:-2] * 500 + data[-2:]
            self.assert_refused(data)
            self.assertIn("scans", self.thumb(self.file(data), "--lenient", code=IMAGE)[2])

    def test_much_that_is_no_pixels(self):
        def grown(data, good, limit=24 * MIB):
            files, summary, said = self.thumb(self.file(data), code=0 if good else IMAGE)
            if not SANITIZED:
                self.assertLess(summary["grown_bytes"], limit)
            return said

        text = [images.chunk(b"tEXt", b"a\0" + b"b" * n) for n in (1000, 2 * MIB, 9 * MIB)]
        with self.subTest("png"):
            grown(images.png(before=text[0] * 1000), True)
            grown(images.png(after=text[0] * 1000), True)
            grown(images.png(before=text[1]), True)
            self.assertIn("are no pixels", grown(images.png(before=text[2], after=text[2]), False))
            self.assertIn("are no pixels", grown(images.png(before=text[0] * 40000), False))
        # What is left out looks like an end, so that it matters where that begins and stops.
        segment = b"\xff\xe5\xff\xff" + b"\xff\xd9" * 32766 + b"\0"
        jpeg = self.bytes(self.image("jpeg"))
        with self.subTest("jpeg"):
            grown(jpeg, True)
            want = self.result("x.png").rows
            grown(jpeg[:2] + segment * 1000 + jpeg[2:], True, 12 * MIB)
            self.assertEqual(self.result("x.png").rows, want)
            grown(jpeg + bytes(60 * MIB), True, 12 * MIB)
            self.assertIn("premature end", grown(jpeg[:2] + segment * 1000, False, 12 * MIB).lower())
        if has("webp"):
            with self.subTest("webp"):
                data = images.turned(self.bytes(self.image("webp")), 1)
                for size, good in (10 * MIB, True), (30 * MIB, False):
                    junk = b"JUNK" + struct.pack("<I", size) + bytes(size)
                    body = data[12:30] + junk + data[30:]
                    grown(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body, good)
        if has("avif"):
            with self.subTest("avif"):
                box = struct.pack(">I4s", 70000, b"free") + bytes(69992)
                avif = self.bytes(self.image("avif"))
                grown(avif + box * 10, True)
                grown(avif + box * 500, False)
            with self.subTest("avif's items"):
                def items(n):
                    found = b"".join(struct.pack(">I4sIIH4sB", 23, b"infe", 3 << 24, 10 + i, 0, b"Exif", 0)
                                     for i in range(n))
                    body = bytes(4) + struct.pack(">I4s8x4s13x", 33, b"hdlr", b"pict") + \
                        struct.pack(">I4s4xH", 14, b"pitm", 10) + \
                        struct.pack(">I4sII", 16 + len(found), b"iinf", 1 << 24, n) + found
                    return avif[:32] + struct.pack(">I4s", 8 + len(body), b"meta") + body
                self.assertIn("No AV1 items", grown(items(2000), False, 8 * MIB))
                self.assertIn("describe the image", grown(items(200000), False, 8 * MIB))

    def test_damage_in_what_is_no_pixels_is_left_out(self):
        self.thumb(self.file(images.png(before=images.chunk(b"tEXt", b"a\0b", crc=1))))
        self.thumb(self.file(images.png(after=images.chunk(b"teSt", b"what is this?"))))

    def test_animated_webp_is_refused_by_name(self):
        if not has("webp"):
            self.skipTest("built without libwebp")
        data = images.turned(self.bytes(self.image("webp")), 1)
        frame = bytes(6) + struct.pack("<I", 119)[:3] + struct.pack("<I", 79)[:3] + bytes(4) + data[30:-34]
        body = b"VP8X" + struct.pack("<IB3x", 10, 2) + data[24:30] + b"ANIM" + struct.pack("<I", 6) + \
            bytes(6) + b"ANMF" + struct.pack("<I", len(frame)) + frame
        error = self.assert_refused(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body)
        self.assertIn("animated", error)

    def test_what_is_no_image(self):
        for data in b"", b"\0", b"GIF89a" + bytes(100), b"RIFF" + bytes(4) + b"WAVE" + bytes(50), \
                b"\xff\xd8\xff", b"\xff\xd8\xff\xe0", b"RIFF\xff\xff\xff\xffWEBP", b"RIFF\0\0\0\0WEBP", \
                b"\0\0\0\x1cftypavif" + bytes(8), random.Random(1).randbytes(5000), b"\x89PNG":
            with self.subTest(data[:12]):
                self.assert_refused(data)

    def test_what_is_no_file(self):
        os.mkfifo(self.path("pipe"))
        os.mkdir(self.path("folder"))
        os.symlink("nothing", self.path("dangling"))
        good = self.image("jpeg")
        os.symlink(good, self.path("link"))
        names = [self.path(n) for n in ("pipe", "folder", "dangling", "missing", "link")]
        files, _, said = self.thumb(*names[:2], "/dev/zero", *names[2:], code=IMAGE)
        self.assertEqual([f["file"] for f in files if f["ok"]], [names[4]])
        for word in "pipe, not", "folder, not", "device, not", "No such file":
            self.assertIn(word, said)
        self.assertEqual(self.left(), ["link.png"])

    def test_not_readable(self):
        path = self.image("jpeg")
        os.chmod(path, 0)
        if os.access(path, os.R_OK):
            self.skipTest("root can read anything")
        self.assertIn("denied", self.thumb(path, code=IMAGE)[2])

    def test_the_batch_goes_on(self):
        good = [self.image(kind, name="good%d" % i) for i, kind in enumerate(KINDS * 2)]
        bad = [self.file(data, "bad%d" % i) for i, data in enumerate(images.broken_png().values())]
        mixed = good + bad
        random.Random(3).shuffle(mixed)
        for jobs in 1, 2, 7:
            shutil.rmtree(self.out, ignore_errors=True)
            files, summary, _ = self.thumb(*mixed, "-j", jobs, code=IMAGE)
            self.assertEqual(sorted(f["file"] for f in files if f["ok"]), sorted(good))
            self.assertEqual((summary["files"], summary["failed"], summary["made"]),
                             (len(mixed), len(bad), len(good)))
            self.assertEqual(self.left(), sorted(os.path.basename(g) + ".png" for g in good))


class Limits(ThumbCase):
    def test_what_does_not_fit_is_refused_and_says_why(self):
        cases = {"jpeg-progressive": "progressive", "webp-lossless": "lossless",
                 "png-interlaced": "interlaced"}
        for kind, word in cases.items():
            if has(kind):
                with self.subTest(kind):
                    path = self.image(kind, 3000, 2000)
                    self.thumb(path)
                    files, summary, said = self.thumb(path, "-m", "16M", "-j", 1, code=IMAGE)
                    self.assertIn(word, said)
                    self.assertIn("--max-mem leaves", said)
        if not SANITIZED:
            # The same pixels in rows go through.
            self.assertTrue(self.thumb(self.image("jpeg", 3000, 2000), "-m", "16M", "-j", 1)[1]["held"])

    def test_many_jobs_wait_for_each_other(self):
        paths = [self.image("jpeg-progressive", 1200, 900, name="p%d" % i) for i in range(12)]
        files, summary, _ = self.thumb(*paths, "-j", 8, "-m", "36M")
        self.assertEqual(summary["made"], 12)
        self.assertGreater(summary["waits"], 0)
        self.assertLessEqual(summary["peak_leased_bytes"], 36 * MIB)

    def test_max_pixels(self):
        path = self.image("jpeg", 120, 80)
        self.thumb(path, "--max-pixels", 9600)
        self.assertIn("9599", self.thumb(path, "--max-pixels", 9599, code=IMAGE)[2])

    def test_decode_recycles_its_memory(self):
        path = self.image("jpeg-low", 2000, 1500)
        done = self.run_thumb("--decode", "--repeat", 5, "-j", 1, "--json", path)
        rounds = [json.loads(line) for line in done.stdout.splitlines()][:-1]
        self.assertEqual([r["round"] for r in rounds], [1, 2, 3, 4, 5])
        if SANITIZED:
            return
        self.assertGreater(rounds[0]["page_faults"], 2000)
        self.assertEqual([r["page_faults"] for r in rounds[2:]], [0, 0, 0])
        done = self.run_thumb("--decode", "--repeat", 3, "-j", 1, "--json", "--fresh", path)
        rounds = [json.loads(line) for line in done.stdout.splitlines()][:-1]
        self.assertGreater(rounds[2]["page_faults"], 2000)

    def test_decode_of_every_kind(self):
        for kind in KINDS:
            with self.subTest(kind):
                done = self.run_thumb("--decode", "--json", self.image(kind, 100, 70))
                one = json.loads(done.stdout.splitlines()[0])
                self.assertGreaterEqual(one["decoded_bytes"], 100 * 70)


class Outputs(ThumbCase):
    def test_equal_names_do_not_overwrite(self):
        first, second = self.image("jpeg", name="a/x.jpg"), self.image("jpeg", 80, 120, name="b/x.jpg")
        third = self.image("jpeg", name="b/x.jpeg")
        files, _, said = self.thumb(first, second, third, "-j", 3, code=STORAGE)
        self.assertEqual([f["file"] for f in files if f["ok"]], [first])
        self.assertIn("x.png is made of %s already" % first, said)
        self.assertEqual(self.left(), ["x.png"])
        self.assertEqual(self.result("x.png").width, 32)
        files, _, _ = self.thumb(first, first, code=STORAGE)
        self.assertEqual(len([f for f in files if f["ok"]]), 1)

    def test_inputs_are_not_overwritten(self):
        path = self.image("jpeg", name="x.jpg")
        other = self.image("jpeg", name="y.jpeg")
        self.image("jpeg", name="y.jpg")
        before = self.bytes(path)
        self.out = self.folder
        _, _, said = self.thumb(path, other, self.path("y.jpg"), format="jpeg", code=STORAGE)
        self.assertIn("is an input itself", said)
        self.assertEqual(self.bytes(path), before)
        self.assertEqual(self.left(), ["x.jpg", "y.jpeg", "y.jpg"])
        # By another name, too.
        os.mkdir(self.path("out"))
        os.link(path, self.path("out", "x.jpg"))
        self.out = self.path("out")
        self.thumb(path, format="jpeg", code=STORAGE)
        self.assertEqual(self.bytes(path), before)

    def test_what_was_there_is_replaced_whole(self):
        path = self.image("jpeg", name="x.jpg")
        self.thumb(path)
        first = self.bytes(os.path.join(self.out, "x.png"))
        os.symlink(self.file(b"precious"), os.path.join(self.out, "y.png"))
        os.rename(path, self.path("y.jpg"))
        self.thumb(self.path("y.jpg"))
        self.assertEqual(self.bytes(self.path("x")), b"precious")
        self.assertEqual(self.bytes(os.path.join(self.out, "y.png")), first)
        os.remove(os.path.join(self.out, "y.png"))
        os.symlink(self.folder, os.path.join(self.out, "y.png"))
        self.thumb(self.path("y.jpg"))
        self.assertFalse(os.path.islink(os.path.join(self.out, "y.png")))
        self.assertEqual(self.bytes(os.path.join(self.out, "y.png")), first)

    def test_names(self):
        good = self.image("jpeg")
        for name, want in (".hidden", ".hidden.png"), ("a.b.c", "a.b.png"), ("dot.", "dot.png"), \
                ('quo"te\\.jpg', 'quo"te\\.png'), ("\N{SNOWMAN}.jpg", "\N{SNOWMAN}.png"), ("tab\t.jpg", "tab\t.png"):
            shutil.copy(good, self.path(name))
            files, _, _ = self.thumb(self.path(name))
            self.assertEqual(files[0]["file"], self.path(name))
            self.assertEqual(files[0]["outputs"][0]["name"], want)
            self.assertIn(want, self.left())
        name = self.path("n" * 254)
        shutil.copy(good, name)
        self.thumb(name, code=STORAGE)
        bad = os.fsencode(self.folder) + b"/\xff.jpg"
        shutil.copy(good, bad)
        self.run_thumb(os.fsdecode(bad), "-o", self.out, "-s", "9x9")

    def test_a_full_disk(self):
        path = self.image("jpeg", 600, 600)
        for format in "jpeg", "png", "webp":
            if has(format):
                def limit():
                    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
                _, _, said = self.thumb(path, format=format, size="500x500", code=STORAGE,
                                        preexec_fn=limit)
                self.assertIn("too large", said.lower())
                self.assertEqual(self.left(), [])

    def test_formats_have_largest_sizes(self):
        for format, most in ("webp", 16383), ("jpeg", 65500):
            if has(format):
                for width, code in (most, 0), (most + 1, STORAGE):
                    path = self.file(images.png(width, 1, rows=bytes(width + 1)), "wide")
                    _, _, said = self.thumb(path, format=format, size="65535x9", code=code)
                self.assertIn("too many", said)

    def test_the_folder(self):
        path = self.image("jpeg")
        self.run_thumb(path, "-o", self.path("no", "such"), "-s", "9x9", code=STORAGE)
        self.run_thumb(path, "-o", self.file(b""), "-s", "9x9", code=STORAGE)
        os.makedirs(os.path.join(self.out, "jpeg.png"))
        self.assertIn("is a folder", self.thumb(path, code=STORAGE)[2])

    def test_a_lock_that_somebody_has(self):
        paths = [self.image("jpeg", name=n) for n in ("a", "b")]
        with open(paths[0]) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            files, _, said = self.thumb(*paths, "--lock", code=IMAGE)
            self.assertIn("is locked", said)
            self.assertEqual(self.left(), ["b.png"])
            self.thumb(*paths)
            fcntl.flock(file, fcntl.LOCK_SH)
            self.thumb(*paths, "--lock")

    def test_interrupted(self):
        path = self.image("png", 700, 700)
        paths = []
        for i in range(400):
            paths.append(self.path("n%d" % i))
            os.link(path, paths[-1])
        process = subprocess.Popen([THUMB, *paths, "-o", self.out, "-s", "600x600", "-f", "png", "-j", "2"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        for _ in range(3):
            self.assertIn("->", process.stdout.readline())
        self.assertEqual(stop(process, signal.SIGINT), STOPPED)
        self.assertEqual(process.stderr.read(), "")
        left = self.left()
        self.assertTrue(3 <= len(left) < 400, len(left))
        for name in left:
            self.assertTrue(name.endswith(".png") and not name.startswith("."), name)
            self.assertEqual([k for k, _, _ in images.chunks(self.bytes(os.path.join(self.out, name)))][-1],
                             b"IEND")


class Talking(ThumbCase):
    def test_usage(self):
        path = self.image("jpeg")
        for arguments in [], [path], [path, "-o", "x"], ["-o", self.out, "-s", "9x9"], \
                [path, "-o", self.out, "-s", "9"], [path, "-o", self.out, "-s", "0x9"], \
                [path, "-o", self.out, "-s", "9x"], [path, "-o", self.out, "-s", "9x9x9"], \
                [path, "-o", self.out, "-s", "-9x9"], [path, "-o", self.out, "-s", "9x99999"], \
                [path, "-o", self.out, "-s", "9x9", "-s", "9x9"], \
                [path, "-o", self.out, "-s", "9x9", "-f", "gif"], \
                [path, "-o", self.out, "-s", "9x9", "-f", "avif"], \
                [path, "-o", self.out, "-s", "9x9", "-j", "65"], \
                [path, "-o", self.out, "-s", "9x9", "-j", "0"], \
                [path, "-o", self.out, "-s", "9x9", "-m", "1M"], \
                [path, "-o", self.out, "-s", "9x9", "-m", "16M", "-j", "60"], \
                [path, "-o", self.out, "-s", "9x9", "--quality", "101"], \
                [path, "-o", self.out, "-s", "9x9", "--filter", "x"], \
                [path, "-o", self.out, "-s", "9x9", "--repeat", "2"], \
                [path, "--decode", "-o", self.out], ["--nonsense"]:
            with self.subTest(arguments):
                done = self.run_thumb(*arguments, code=USAGE)
                self.assertEqual(done.stdout, b"")
                self.assertTrue(done.said)
        self.assertEqual(self.left(), [])
        self.assertIn(b"--max-mem", self.run_thumb("--help").stdout)

    def test_lines_quiet_and_a_closed_output(self):
        paths = [self.image("jpeg", name=n) for n in ("a", "b")]
        done = self.run_thumb(*paths, "-o", self.out, "-s", "30x30", "-j", 1)
        self.assertEqual(done.stdout.decode().splitlines(),
                         ["[%d/2] %s 120x80 -> %s.jpg 30x20" % (i + 1, p, os.path.basename(p))
                          for i, p in enumerate(paths)])
        self.assertEqual(self.run_thumb(*paths, "-o", self.out, "-s", "30x30", "--quiet").stdout, b"")
        with open("/dev/full", "w") as full:
            self.run_thumb(*paths, "-o", self.out, "-s", "30x30", code=INTERNAL, stdout=full)

    def on_a_terminal(self, *arguments, code=0, both=False):
        ours, theirs = pty.openpty()
        process = subprocess.Popen([THUMB, *arguments], stderr=theirs,
                                   stdout=theirs if both else subprocess.DEVNULL)
        os.close(theirs)
        said = b""
        try:
            while True:
                more = os.read(ours, 4096)
                if not more:
                    break
                said += more
        except OSError:  # that is how a terminal ends
            pass
        os.close(ours)
        self.assertEqual(process.wait(20), code)
        return said

    def test_a_bar_on_a_terminal(self):
        paths = [self.image("jpeg", name="n%d" % i) for i in range(4)] + [self.path("none")]
        said = self.on_a_terminal(*paths, "-o", self.out, "-s", "9x9", code=IMAGE)
        self.assertIn(b"5/5 [" + b"#" * 30 + b"]", said)
        self.assertIn(b"1 failed", said)
        # Where lines are to be read there, it is not in between.
        said = self.on_a_terminal(*paths[:4], "-o", self.out, "-s", "9x9", "--json", both=True)
        self.assertEqual(len([json.loads(line) for line in said.splitlines()]), 5)
        said = self.on_a_terminal(paths[0], "--decode", "--repeat", "3", both=True)
        self.assertEqual(len(said.splitlines()), 3)
        self.assertIn(b" ms, ", said)


if __name__ == "__main__":
    main()
