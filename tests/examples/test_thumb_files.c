// SPDX-License-Identifier: MIT
//
// Image files that become shorter before, while and after zcb-thumb reads them, a thousand times: it
// does not crash, and what it calls done is what the whole file gives. And files in which some bytes
// are wrong: whatever comes of it, it is within what was planned, and nothing is left behind.
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zcbuf/zcbuf.h>

#include "testing.h"
#include "zcb-thumb.h"

#define MAX_FILE ((size_t)1 << 20)

enum when { BEFORE, DURING, RACING, AFTER };

static const char *const kinds[] = {"jpeg-444", "jpeg-progressive", "png", "png-interlaced",
                                    "webp",     "webp-lossless",    "avif"};

static char folder[] = "/tmp/zcb-cut.XXXXXX", path[64], made[64], wanted[64];
static uint64_t seed;
static uint8_t original[MAX_FILE], reference[MAX_FILE], result[MAX_FILE];
static size_t original_len, reference_len;
static struct outcome last;

// The program's codecs, with a hook in front of each row.
static struct codec hooked[4];
const struct codec *const codecs[] = {&hooked[0], &hooked[1], &hooked[2], &hooked[3], NULL};
static int rows_left; // until the file is cut; -1: it is not
static size_t cut_to;

void
report_outcome(struct report *report, const struct outcome *outcome)
{
    (void)report;
    last = *outcome;
}

static void
count_down(void)
{
    if (rows_left >= 0 && rows_left-- == 0)
        assert_int_equal(truncate(path, (off_t)cut_to), 0);
}

static const struct codec *
real(const struct reader *reader)
{
    static const struct codec *const all[4] = {
        &codec_jpeg,
#if HAVE_SPNG
        &codec_png,
#endif
#if HAVE_WEBP
        &codec_webp,
#endif
#if HAVE_AVIF
        &codec_avif,
#endif
    };

    return all[reader->codec - hooked];
}

static int
row(struct reader *reader, uint8_t *to)
{
    count_down();
    return real(reader)->row(reader, to);
}

static int
whole(struct reader *reader, const struct zcb_image_buf *image)
{
    rows_left = rows_left >= 0 ? 0 : rows_left;
    count_down();
    return real(reader)->whole(reader, image);
}

static bool
never(const uint8_t *data, size_t len)
{
    (void)data;
    (void)len;
    return false;
}

static void
hook(void)
{
    struct reader reader;

    for (int i = 0; i < 4; i++) {
        reader.codec = &hooked[i];
        if (real(&reader) == NULL) {
            hooked[i].is = never;
            continue;
        }
        hooked[i] = *real(&reader);
        hooked[i].row = row;
        hooked[i].whole = hooked[i].whole != NULL ? whole : NULL;
    }
}

// ---- files

static size_t
read_file(const char *name, uint8_t *to)
{
    FILE *file = fopen(name, "rb");
    size_t len;

    if (file == NULL)
        return 0;
    len = fread(to, 1, MAX_FILE, file);
    fclose(file);
    assert_true(len < MAX_FILE);
    return len;
}

static void
write_original(void)
{
    FILE *file;

    (void)unlink(path); // a new one: nobody has it mapped
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(original, 1, original_len, file), original_len);
    assert_int_equal(fclose(file), 0);
}

static bool
is_made(void)
{
    return access(wanted, F_OK) == 0;
}

static unsigned
files_made(void)
{
    char command[128];
    FILE *list;
    char line[256];
    unsigned n = 0;

    snprintf(command, sizeof(command), "ls -A %s", made);
    list = popen(command, "r"); // NOLINT: no input of anybody's
    assert_non_null(list);
    while (fgets(line, sizeof(line), list) != NULL)
        n++;
    pclose(list);
    return n;
}

// ---- one run

static void *
cut_soon(void *ctx)
{
    struct timespec wait = {0, (long)(intptr_t)ctx};

    nanosleep(&wait, NULL);
    assert_int_equal(truncate(path, (off_t)cut_to), 0);
    return NULL;
}

static void
run(struct batch *batch, enum when when, unsigned count[2])
{
    unsigned rows = 200; // JPEG leaves out every other one here
    pthread_t thread;
    int r;

    write_original();
    (void)unlink(wanted);
    // Zero, within the first page, or anywhere.
    cut_to = zcb_test_below(&seed, 8) == 0 ? 0 : zcb_test_below(&seed, original_len);
    rows_left = when == DURING ? (int)zcb_test_below(&seed, rows) : -1;
    if (when == BEFORE)
        assert_int_equal(truncate(path, (off_t)cut_to), 0);
    if (when == RACING)
        assert_int_equal(pthread_create(&thread, NULL, cut_soon,
                                        (void *)(intptr_t)zcb_test_below(&seed, 4000000)),
                         0);
    r = job_run(batch, 0);
    assert_int_equal(r, last.result);
    if (when == RACING)
        assert_int_equal(pthread_join(thread, NULL), 0);
    if (when == AFTER)
        assert_int_equal(truncate(path, (off_t)cut_to), 0);
    count[r == 0]++;
    if (r == 0) {
        assert_true(when == AFTER || when == RACING);
        assert_int_equal(read_file(wanted, result), reference_len);
        assert_memory_equal(result, reference, reference_len);
    } else {
        assert_true(when != AFTER);
        assert_true(last.why[0] != '\0');
        assert_false(is_made());
    }
}

static void
batch_open(struct batch *batch, const struct options *options)
{
    memset(batch, 0, sizeof(*batch));
    batch->options = options;
    batch->keep = 4 << 20;
    assert_int_equal(
        zcb_image_budget_create(
            64 << 20, &(struct zcb_image_budget_config){.keep_bytes = batch->keep}, &batch->budget),
        0);
    assert_int_equal(zcb_pool_create(NULL, &batch->pool), 0);
    assert_int_equal(folder_open(&batch->folder, options), 0);
}

static void
batch_close(struct batch *batch)
{
    struct zcb_image_budget_stats stats;

    assert_int_equal(zcb_image_budget_stats(batch->budget, &stats, sizeof(stats)), 0);
    assert_int_equal(stats.leased, 0); // nothing was left behind
    assert_int_equal(stats.used, 0);
    assert_int_equal(stats.leases, 0);
    folder_close(&batch->folder);
    zcb_pool_destroy(&batch->pool);
    zcb_image_budget_destroy(&batch->budget);
}

// Calls `test` with each kind that is here, its file as `original` and what comes of it as
// `reference`. How many there were.
static unsigned
each_kind(void (*test)(struct batch *batch))
{
    const char *maker = getenv("ZCB_MAKE_IMAGES");
    char *files[] = {path, NULL};
    struct options options = {
        .files = files,
        .count = 1,
        .folder = made,
        .sizes = {{100, 100}},
        .size_count = 1,
        .format = &codec_jpeg,
        .filter = FILTER_AREA,
        .quality = 90,
        .jobs = 1,
        .max_pixels = 1 << 20,
        .repeat = 1,
    };
    unsigned of_kinds = 0;
    struct batch batch;

    assert_non_null(maker);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        char command[512];

        snprintf(command, sizeof(command), "%s %s 600 400 %s 2>/dev/null", maker, kinds[k], path);
        if (system(command) != 0) // NOLINT: no input of anybody's
            continue;
        of_kinds++;
        original_len = read_file(path, original);
        assert_true(original_len > 1000);
        batch_open(&batch, &options);
        rows_left = -1;
        assert_int_equal(job_run(&batch, 0), 0);
        reference_len = read_file(wanted, reference);
        assert_true(reference_len > 100);
        test(&batch);
        (void)unlink(wanted);
        assert_int_equal(files_made(), 0); // no halves either
        batch_close(&batch);
    }
    return of_kinds;
}

static unsigned counts[4][2];

static void
cut_one_kind(struct batch *batch)
{
    for (unsigned i = 0; i < 160; i++) { // 7 kinds: 1120
        enum when when = i % 8 < 2 ? BEFORE : i % 8 < 5 ? DURING : i % 8 < 7 ? RACING : AFTER;

        run(batch, when, counts[when]);
    }
}

static void
a_thousand_files_that_become_shorter(void **state)
{
    unsigned of_kinds = each_kind(cut_one_kind);

    (void)state;
    printf("%u kinds: before %u refused, during %u refused, racing %u refused and %u done, after "
           "%u done\n",
           of_kinds, counts[BEFORE][0], counts[DURING][0], counts[RACING][0], counts[RACING][1],
           counts[AFTER][1]);
    assert_true(of_kinds >= 2);
    assert_int_equal(counts[BEFORE][1] + counts[DURING][1] + counts[AFTER][0], 0);
}

static unsigned refused, accepted;

static void
mutate(uint8_t *data, size_t *len)
{
    size_t n = 1 + zcb_test_below(&seed, 8);

    // Headers are where most can go wrong.
    for (size_t i = 0; i < n; i++) {
        size_t at = zcb_test_below(&seed, zcb_test_below(&seed, 2) == 0 ? 200 : *len);

        switch (zcb_test_below(&seed, 4)) {
        case 0:
            data[at] = (uint8_t)zcb_test_below(&seed, 256);
            break;
        case 1:
            data[at] ^= (uint8_t)(1u << zcb_test_below(&seed, 8));
            break;
        case 2:
            data[at] = zcb_test_below(&seed, 2) == 0 ? 0 : 255;
            break;
        default: { // a piece of itself, elsewhere
            size_t from = zcb_test_below(&seed, *len), part = zcb_test_below(&seed, 64);

            part = part < *len - from ? part : *len - from;
            part = part < *len - at ? part : *len - at;
            memmove(data + at, data + from, part);
        }
        }
    }
    if (zcb_test_below(&seed, 8) == 0)
        *len = 1 + zcb_test_below(&seed, *len);
}

static void
mutate_one_kind(struct batch *batch)
{
    static uint8_t kept[MAX_FILE];
    size_t kept_len = original_len;

    memcpy(kept, original, original_len);
    for (size_t i = 0; i < zcb_test_rounds(100); i++) {
        int r;

        mutate(original, &original_len);
        write_original();
        (void)unlink(wanted);
        r = job_run(batch, 0);
        assert_true(last.used_bytes <= last.leased_bytes);
        assert_true((r == 0) == is_made());
        assert_true(r == 0 || last.why[0] != '\0');
        accepted += r == 0;
        refused += r != 0;
        memcpy(original, kept, kept_len);
        original_len = kept_len;
    }
}

static void
files_in_which_bytes_are_wrong(void **state)
{
    (void)state;
    assert_true(each_kind(mutate_one_kind) >= 2);
    printf("%u refused, %u accepted\n", refused, accepted);
    assert_true(refused > accepted / 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_files_that_become_shorter),
        cmocka_unit_test(files_in_which_bytes_are_wrong),
    };
    char command[64];
    int failed;

    seed = zcb_test_seed();
    hook();
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/x", folder);
    snprintf(made, sizeof(made), "%s/made", folder);
    snprintf(wanted, sizeof(wanted), "%s/made/x.jpg", folder);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) != 0 || failed; // NOLINT: our own folder
}
