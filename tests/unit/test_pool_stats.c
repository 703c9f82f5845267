// SPDX-License-Identifier: MIT
//
// What a pool says about itself: the identities of stats.h, the sized struct, and the three printed
// forms. That the JSON is JSON and the Prometheus text is what Prometheus takes is checked with
// parsers in stats_output.py.

#include "testing.h"

#include "support/failing_source.h"
#include "support/pools.h"

#include <fcntl.h>

static struct zcb_pool *
pool_with_some_history(const char *name)
{
    const struct zcb_pool_config config = {
        .name = name,
        .tiers = {{.buffer_size = 4096, .max_buffers = 40}, {.buffer_size = 65536}},
        .max_bytes = 8 * MIB,
    };
    struct zcb_pool *pool = must_create(&config);
    struct zcb_buf *bufs[50];

    for (size_t i = 0; i < 50; i++)
        bufs[i] = must_acquire(pool, 100);
    zcb_buf_release_n(bufs, 50);
    bufs[0] = must_acquire(pool, 65536);
    bufs[1] = must_acquire(pool, 100000);
    CHECK(zcb_pool_acquire(pool, 9 * MIB, &bufs[2]) == -ENOBUFS);
    zcb_buf_release_n(bufs, 2);
    return pool;
}

// ---- figures ------------------------------------------------------------------------------------

static void
figures_add_up_after_every_single_operation(void **state)
{
    static const uint32_t flags[] = {0, ZCB_POOL_NO_CACHE, ZCB_POOL_HARDENED};
    uint64_t seed = zcb_test_seed();

    (void)state;
    for (size_t f = 0; f < 3; f++) {
        const struct zcb_pool_config config = {
            .tiers = {{.buffer_size = 1024, .max_buffers = 8},
                      {.buffer_size = 4096, .max_buffers = 70},
                      {.buffer_size = 16384}},
            .max_bytes = 3 * MIB,
            .slab_size = 256 * KIB,
            .flags = flags[f],
        };
        struct zcb_pool *pool = must_create(&config);
        enum { HELD = 150 };
        static struct zcb_buf *held[HELD];
        uint64_t acquired = 0, refused = 0, live = 0, peak = 0;

        for (size_t i = 0; i < 6000; i++) {
            size_t at = zcb_test_below(&seed, HELD);
            struct zcb_pool_stats stats;

            if (held[at] != NULL) {
                zcb_buf_release(&held[at]);
                live--;
            } else if (zcb_pool_acquire(pool, zcb_test_below(&seed, 20000), &held[at]) == 0) {
                acquired++;
                live++;
            } else {
                refused++;
            }
            if (i % 500 == 499)
                zcb_pool_trim(pool, 0);
            peak = live > peak ? live : peak;
            stats = must_be_at_rest(pool);
            assert_int_equal(stats.total.acquires, acquired);
            assert_int_equal(stats.total.live, live);
            assert_int_equal(stats.total.refusals, refused);
            assert_int_equal(stats.total.returns + stats.total.drops, acquired - live);
            assert_true(stats.tier[0].returns <= stats.tier[0].acquires);
            for (uint32_t t = 0; t < 2; t++) {
                uint64_t singles = stats.tier[t].fallbacks - stats.tier[t].drops;

                assert_true(stats.tier[t].live - singles + stats.tier[t].cached +
                                stats.tier[t].depot <=
                            config.tiers[t].max_buffers);
            }
        }
        assert_true(must_be_at_rest(pool).total.peak_live >= peak);
        assert_true(must_be_at_rest(pool).total.peak_live <= peak + 128 * 4);
        zcb_buf_release_n(held, HELD);
        must_end(&pool);
    }
}

static void
cached_depot_and_live_are_all_the_buffers_there_are(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    static struct zcb_buf *bufs[700];

    (void)state;
    for (size_t i = 0; i < 700; i++) {
        struct zcb_pool_stats stats;

        bufs[i] = must_acquire(pool, 4096);
        stats = must_be_at_rest(pool);
        assert_int_equal(stats.tier[0].live, i + 1);
        assert_int_equal((stats.tier[0].live + stats.tier[0].cached + stats.tier[0].depot) * 4096,
                         stats.tier[0].charged);
        assert_int_equal(stats.tier[0].charged, stats.tier[0].slabs * 2 * MIB);
    }
    zcb_buf_release_n(bufs, 700);
    assert_int_equal(must_be_at_rest(pool).tier[0].cached + must_be_at_rest(pool).tier[0].depot,
                     1024);
    must_end(&pool);
}

static void
peaks_stay_when_what_made_them_is_gone(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    static struct zcb_buf *bufs[1000];
    struct zcb_pool_stats stats;

    (void)state;
    assert_int_equal(zcb_pool_acquire_n(pool, 4096, bufs, 1000), 1000);
    zcb_buf_release_n(bufs, 1000);
    zcb_pool_trim(pool, 0);
    stats = must_be_at_rest(pool);
    assert_int_equal(stats.total.charged, 0);
    assert_int_equal(stats.total.peak_charged, 4 * MIB);
    assert_int_equal(stats.tier[0].peak_charged, 4 * MIB);
    // To the accuracy of one cache load of this thread.
    assert_true(stats.tier[0].peak_live >= 1000 && stats.tier[0].peak_live <= 1000 + 64);
    assert_int_equal(stats.tier[1].peak_live, 0);
    must_end(&pool);
}

static void
the_charge_is_what_the_source_gave(void **state)
{
    struct zcb_failing_source failing;
    struct zcb_pool_config config = {0};
    struct zcb_pool *pool;
    struct zcb_buf *bufs[3];

    (void)state;
    zcb_failing_source_init(&failing);
    config.source = &failing.source;
    pool = must_create(&config);
    bufs[0] = must_acquire(pool, 1);
    assert_int_equal(must_be_at_rest(pool).total.charged, failing.live_bytes);
    bufs[1] = must_acquire(pool, 30000);
    assert_int_equal(must_be_at_rest(pool).total.charged, failing.live_bytes);
    bufs[2] = must_acquire(pool, 123456);
    assert_int_equal(must_be_at_rest(pool).total.charged, failing.live_bytes);
    zcb_buf_release_n(bufs, 3);
    assert_int_equal(must_be_at_rest(pool).total.charged, failing.live_bytes);
    must_end(&pool);
}

// ---- the struct's size --------------------------------------------------------------------------

static void
an_older_program_gets_the_fields_it_knows(void **state)
{
    struct zcb_pool *pool = pool_with_some_history("old");
    static const size_t sizes[] = {
        sizeof(struct zcb_tier_stats),
        sizeof(struct zcb_tier_stats) + 1,
        2 * sizeof(struct zcb_tier_stats),
        offsetof(struct zcb_pool_stats, tiers),
        offsetof(struct zcb_pool_stats, hit_rate),
        sizeof(struct zcb_pool_stats) - 1,
    };
    struct zcb_pool_stats whole = must_stats(pool);

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t small[sizeof(struct zcb_pool_stats) + 16];

        memset(small, 0xab, sizeof(small));
        assert_int_equal(zcb_pool_stats(pool, (struct zcb_pool_stats *)(void *)small, sizes[i]), 0);
        assert_memory_equal(small, &whole, sizes[i]);
        for (size_t at = sizes[i]; at < sizeof(small); at++)
            assert_int_equal(small[at], 0xab);
    }
    must_end(&pool);
}

static void
a_newer_program_gets_zeros_behind(void **state)
{
    struct zcb_pool *pool = pool_with_some_history("new");
    struct {
        struct zcb_pool_stats known;
        uint8_t more[200];
    } large;
    struct zcb_pool_stats whole = must_stats(pool);

    (void)state;
    memset(&large, 0xab, sizeof(large));
    assert_int_equal(zcb_pool_stats(pool, &large.known, sizeof(large.known) + 150), 0);
    assert_memory_equal(&large.known, &whole, sizeof(whole));
    for (size_t i = 0; i < 150; i++)
        assert_int_equal(large.more[i], 0);
    for (size_t i = 150; i < sizeof(large.more); i++)
        assert_int_equal(large.more[i], 0xab);
    must_end(&pool);
}

static void
too_small_for_a_tier_is_refused(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_pool_stats stats;

    (void)state;
    memset(&stats, 0xab, sizeof(stats));
    assert_int_equal(zcb_pool_stats(pool, &stats, 0), -EINVAL);
    assert_int_equal(zcb_pool_stats(pool, &stats, sizeof(struct zcb_tier_stats) - 1), -EINVAL);
    for (size_t i = 0; i < sizeof(stats); i++)
        assert_int_equal(((uint8_t *)&stats)[i], 0xab);
    must_end(&pool);
}

// ---- printed ------------------------------------------------------------------------------------

static size_t
print_to(struct zcb_pool *pool, enum zcb_stats_format format, char *text, size_t room)
{
    FILE *file = tmpfile();
    size_t got;

    assert_non_null(file);
    assert_int_equal(zcb_pool_stats_print(pool, fileno(file), format), 0);
    rewind(file);
    got = fread(text, 1, room - 1, file);
    text[got] = '\0';
    assert_true(got < room - 1);
    fclose(file);
    return got;
}

static void
text_is_for_people(void **state)
{
    static char text[65536];
    struct zcb_pool *pool = pool_with_some_history("microphone");
    size_t len = print_to(pool, ZCB_STATS_TEXT, text, sizeof(text));

    (void)state;
    assert_non_null(strstr(text, "microphone"));
    assert_non_null(strstr(text, "4096"));
    assert_non_null(strstr(text, "65536"));
    assert_true(text[len - 1] == '\n');
    must_end(&pool);
}

static void
json_is_one_object_on_one_line(void **state)
{
    static char text[65536];
    struct zcb_pool *pool = pool_with_some_history("camera \"left\"\\\n\t\x01");
    size_t len = print_to(pool, ZCB_STATS_JSON, text, sizeof(text));
    int depth = 0;
    bool quoted = false;

    (void)state;
    assert_true(text[0] == '{');
    assert_true(text[len - 2] == '}' && text[len - 1] == '\n');
    for (size_t i = 0; i + 1 < len; i++) {
        assert_true((unsigned char)text[i] >= 0x20);
        if (quoted) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                quoted = false;
            continue;
        }
        quoted = text[i] == '"';
        depth += text[i] == '{' || text[i] == '[';
        depth -= text[i] == '}' || text[i] == ']';
        assert_true(depth > 0 || i + 2 == len);
    }
    assert_int_equal(depth, 0);
    // Every figure of the list is there, by its name.
#define THERE(name, gauge, help) assert_non_null(strstr(text, "\"" #name "\""));
    ZCB_TIER_STATS(THERE)
#undef THERE
    assert_non_null(strstr(text, "\"acquires\":52"));
    assert_non_null(strstr(text, "\"hit_rate\""));
    assert_non_null(strstr(text, "\"max_bytes\":8388608"));
    assert_non_null(strstr(text, "camera \\\"left\\\"\\\\"));
    must_end(&pool);
}

static void
prometheus_gets_a_type_for_each_family(void **state)
{
    static char text[65536];
    struct zcb_pool *pool = pool_with_some_history("rx");

    (void)state;
    print_to(pool, ZCB_STATS_PROMETHEUS, text, sizeof(text));
    assert_non_null(strstr(text, "# HELP "));
    assert_non_null(strstr(text, "# TYPE "));
    assert_non_null(strstr(text, " counter\n"));
    assert_non_null(strstr(text, " gauge\n"));
    assert_non_null(strstr(text, "\"rx\""));
    must_end(&pool);
}

static void
a_descriptor_that_takes_nothing_is_an_error_of_write(void **state)
{
    struct zcb_pool *pool = pool_with_some_history("x");
    int fds[2];
    int full = open("/dev/full", O_WRONLY);

    (void)state;
    for (int format = ZCB_STATS_TEXT; format <= ZCB_STATS_PROMETHEUS; format++) {
        assert_int_equal(zcb_pool_stats_print(pool, -1, (enum zcb_stats_format)format), -EBADF);
        if (full >= 0)
            assert_int_equal(zcb_pool_stats_print(pool, full, (enum zcb_stats_format)format),
                             -ENOSPC);
    }
    assert_int_equal(zcb_pool_stats_print(pool, 1, (enum zcb_stats_format)3), -EINVAL);
    assert_int_equal(zcb_pool_stats_print(pool, 1, (enum zcb_stats_format)(-1)), -EINVAL);

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    assert_int_equal(zcb_pool_stats_print(pool, fds[1], ZCB_STATS_TEXT), -EPIPE);
    close(fds[1]);
    if (full >= 0)
        close(full);
    must_end(&pool);
}

static void
print_with_the_longest_names_and_most_tiers(void **state)
{
    static char text[262144];
    char name[5000];
    struct zcb_pool_config config = {.name = name};
    struct zcb_pool *pool;

    (void)state;
    memset(name, '"', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t i = 0; i < 8; i++)
        config.tiers[i].buffer_size = 64 << i;
    pool = must_create(&config);
    for (int format = ZCB_STATS_TEXT; format <= ZCB_STATS_PROMETHEUS; format++)
        assert_true(print_to(pool, (enum zcb_stats_format)format, text, sizeof(text)) > 100);
    must_end(&pool);
}

// For stats_output.py: writes the form that was asked for to standard output.
static int
print_for_the_parser(const char *format)
{
    struct zcb_pool *pool = pool_with_some_history("a \"pool\" with\\ odd\n name \xc3\xa4");
    int result = zcb_pool_stats_print(
        pool, STDOUT_FILENO, strcmp(format, "json") == 0 ? ZCB_STATS_JSON : ZCB_STATS_PROMETHEUS);

    zcb_pool_destroy(&pool);
    return result == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_add_up_after_every_single_operation),
        cmocka_unit_test(cached_depot_and_live_are_all_the_buffers_there_are),
        cmocka_unit_test(peaks_stay_when_what_made_them_is_gone),
        cmocka_unit_test(the_charge_is_what_the_source_gave),
        cmocka_unit_test(an_older_program_gets_the_fields_it_knows),
        cmocka_unit_test(a_newer_program_gets_zeros_behind),
        cmocka_unit_test(too_small_for_a_tier_is_refused),
        cmocka_unit_test(text_is_for_people),
        cmocka_unit_test(json_is_one_object_on_one_line),
        cmocka_unit_test(prometheus_gets_a_type_for_each_family),
        cmocka_unit_test(a_descriptor_that_takes_nothing_is_an_error_of_write),
        cmocka_unit_test(print_with_the_longest_names_and_most_tiers),
    };

    if (argc == 2)
        return print_for_the_parser(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
