# SPDX-License-Identifier: MIT
"""zcb-thumb's promises on memory, with images of 24 megapixels: VmHWM of a fresh process less its
own start, as the program reports it. Not under sanitizers, whose memory is not the program's."""

from helpers import *

THUMB = os.path.join(BIN, "zcb-thumb")
MAKER = os.environ["ZCB_MAKE_IMAGES"]
KINDS = subprocess.run([MAKER, "list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
MIB = 1 << 20
MARGIN = 24 * 1000 * 1000
WIDTH, HEIGHT = 6000, 4000


class Budget(Case):
    @classmethod
    def setUpClass(cls):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        cls.images = tempfile.mkdtemp(prefix="zcb-test.", dir=base)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.images, ignore_errors=True)

    def image(self, kind, width=WIDTH, height=HEIGHT):
        path = os.path.join(self.images, "%s-%d" % (kind, width))
        if kind not in KINDS:
            self.skipTest("no %s here" % kind)
        if not os.path.exists(path):
            subprocess.run([MAKER, kind, str(width), str(height), path], check=True)
        return path

    def thumb(self, *arguments):
        done = subprocess.run([THUMB, "--json", *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=240)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        for line in lines[:-1]:
            self.assertEqual(line["copied_bytes"], 0)
            self.assertLessEqual(line["peak_bytes"], line["planned_bytes"])
        summary = lines[-1]["summary"]
        self.assertGreater(summary["rss_start_bytes"], MIB)
        self.assertGreater(summary["peak_rss_bytes"], summary["rss_start_bytes"])
        return lines[:-1], summary

    def check_decode(self, kind, pixel):
        files, summary = self.thumb("--decode", "-j", 1, self.image(kind))
        self.assertGreaterEqual(files[0]["decoded_bytes"], WIDTH * HEIGHT * pixel)
        self.assertLess(files[0]["decoded_bytes"], WIDTH * HEIGHT * pixel * 1.02)
        self.assertGreater(summary["grown_bytes"], WIDTH * HEIGHT * pixel * 0.95)
        self.assertLessEqual(summary["grown_bytes"], files[0]["decoded_bytes"] + MARGIN)

    def check_stream(self, kind, width=WIDTH, height=HEIGHT, *more):
        files, summary = self.thumb(self.image(kind, width, height), "-o", self.out, "-s", "256x256",
                                    "-j", 1, *more)
        self.assertLessEqual(summary["grown_bytes"], MARGIN)
        # What was planned is what it took, if not more.
        self.assertLessEqual(summary["grown_bytes"], files[0]["planned_bytes"] + 4 * MIB)
        return summary

    def test_a_jpeg_is_decoded_in_24_mb_more_than_its_pixels(self):
        self.check_decode("jpeg", 3)

    def test_a_png_is_decoded_in_24_mb_more_than_its_pixels(self):
        self.check_decode("png", 3)

    def test_a_webp_is_decoded_in_24_mb_more_than_its_pixels(self):
        self.check_decode("webp-large", 3)

    def test_a_jpeg_becomes_small_in_24_mb(self):
        summary = self.check_stream("jpeg-large")
        self.assertGreater(summary["input_bytes"], 8 * MIB)  # more than is resident at a time

    def test_a_png_becomes_small_in_24_mb(self):
        summary = self.check_stream("png")
        self.assertGreater(summary["input_bytes"], MARGIN)  # the file alone would be too much

    def test_a_webp_becomes_small_in_24_mb(self):
        self.check_stream("webp-large")

    def test_several_sizes_and_formats_in_24_mb(self):
        for format in "jpeg", "png", "webp":
            if format in KINDS:
                self.check_stream("jpeg", WIDTH, HEIGHT, "-s", "1024x1024", "-s", "512x512", "-f", format)

    def test_a_hundred_files_and_two_jobs_stay_below_the_limit(self):
        kinds = [kind for kind in ("jpeg", "jpeg-progressive", "png", "png-interlaced", "webp",
                                   "webp-lossless", "webp-alpha", "png-rgba-16", "avif") if kind in KINDS]
        paths = []
        for i in range(100):
            kind = kinds[i % len(kinds)]
            # Sizes that differ, so that no buffer of one fits the next by chance.
            width = 900 + 300 * (i * 7 % 5) if kind != "avif" else 400
            made = self.image(kind, width, width * 2 // 3)
            paths.append(self.path("%d-%s" % (i, kind)))
            os.symlink(made, paths[-1])
        for limit in "64M", "40M":
            files, summary = self.thumb(*paths, "-o", self.out, "-s", "300x300", "-j", 2, "-m", limit)
            self.assertEqual(summary["made"], 100)
            self.assertTrue(summary["held"], summary)
            self.assertLessEqual(summary["grown_bytes"], int(limit[:-1]) * MIB)
            # What is kept for the next image is little: a sixteenth; the rest is the code of the
            # libraries, and what malloc has not given back (6.3 MiB were seen).
            self.assertLess(summary["rss_end_bytes"] - summary["rss_start_bytes"],
                            int(limit[:-1]) * MIB / 16 + 10 * MIB)

    def test_two_that_do_not_fit_together_take_turns(self):
        paths = []
        for i in range(4):
            paths.append(self.path("p%d" % i))
            os.symlink(self.image("jpeg-progressive"), paths[-1])
        files, summary = self.thumb(*paths, "-o", self.out, "-s", "256x256", "-j", 2, "-m", "110M")
        self.assertEqual(summary["made"], 4)
        self.assertGreater(summary["waits"], 0)
        self.assertGreater(summary["grown_bytes"], 60 * MIB)
        self.assertLessEqual(summary["grown_bytes"], 110 * MIB)

    def test_pixels_fault_in_once(self):
        path = self.image("jpeg-low")
        files, _ = self.thumb("--decode", "--repeat", 5, "-j", 1, path)
        self.assertGreater(files[0]["page_faults"], 10000)
        self.assertEqual([f["page_faults"] for f in files[3:]], [0, 0])
        files, _ = self.thumb("--decode", "--repeat", 3, "--fresh", "-j", 1, path)
        self.assertGreater(files[2]["page_faults"], 10000)


if __name__ == "__main__":
    main()
