// SPDX-License-Identifier: MIT
//
// ZCBUF_DEBUG: what a program that was not rebuilt tells about itself. Each case is this program
// run again with an argument and the variable set.

#include "testing.h"

#include "support/pools.h"

static struct zcb_pool *
own_pool(void)
{
    const struct zcb_pool_config config = {.name = "turnstile", .source = zcb_source_pages()};

    return must_create(&config);
}

// ---- what the children do -----------------------------------------------------------------------

static void
clean(void)
{
    struct zcb_pool *pool = own_pool();

    for (int round = 0; round < 20; round++) {
        struct zcb_buf *bufs[60];
        struct zcb_packet packet = must_packet(pool, 5000), slice = {0};

        for (size_t i = 0; i < 60; i++) {
            bufs[i] = must_acquire(pool, i * 2000);
            memset(zcb_buf_data(bufs[i]), (int)i, zcb_buf_capacity(bufs[i]));
        }
        CHECK(zcb_packet_slice(&packet, 1, 2, &slice) == 0);
        zcb_packet_unref(&packet);
        zcb_buf_release_n(bufs, 60);
        zcb_packet_unref(&slice);
        if (round == 10)
            zcb_pool_trim(pool, 0);
        if (round == 12)
            CHECK(zcb_pool_prefault(pool, 100, 20) == 0);
        zcb_pool_decay(pool);
    }
    must_end(&pool);
}

static void
leaky(void)
{
    struct zcb_pool *pool = own_pool();
    struct zcb_buf *kept = must_acquire(pool, 12000), *other = must_acquire(pool, 10);
    struct zcb_packet packet = must_packet(pool, 100);

    zcb_buf_release(&other);
    zcb_pool_destroy(&pool);
    // Late, but in order: they are still valid.
    memset(zcb_buf_data(kept), 1, 12000);
    zcb_buf_release(&kept);
    zcb_packet_unref(&packet);
}

static void
double_release(void)
{
    struct zcb_pool *pool = own_pool();
    struct zcb_buf *buf = must_acquire(pool, 10), *again = buf;

    zcb_buf_release(&buf);
    zcb_buf_release(&again);
    zcb_pool_destroy(&pool);
}

static void
write_late(void)
{
    struct zcb_pool *pool = own_pool();
    struct zcb_buf *buf = must_acquire(pool, 10);
    volatile uint8_t *data = zcb_buf_data(buf);

    zcb_buf_release(&buf);
    data[3] = 1;
    zcb_pool_destroy(&pool);
}

static void
read_late(void)
{
    struct zcb_pool *pool = own_pool();
    struct zcb_packet packet = must_packet(pool, 100);
    const volatile uint8_t *data = packet.data;

    zcb_packet_unref(&packet);
    (void)data[50];
    zcb_pool_destroy(&pool);
}

static void
look_late(void)
{
    struct zcb_pool *pool = own_pool();
    struct zcb_buf *buf = must_acquire(pool, 4096);
    volatile uint8_t *data = zcb_buf_data(buf);
    size_t same = 0;

    memset((void *)(uintptr_t)data, 0, 4096);
    zcb_buf_release(&buf);
    for (size_t i = 0; i < 4096; i++)
        same += data[i] == 0;
    CHECK(same == 0);
    zcb_pool_destroy(&pool);
}

static const struct {
    const char *name;
    void (*run)(void);
} children[] = {
    {"clean", clean},           {"leaky", leaky},         {"double_release", double_release},
    {"write_late", write_late}, {"read_late", read_late}, {"look_late", look_late},
};

static int
child_main(const char *name)
{
    for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
        if (strcmp(children[i].name, name) == 0) {
            children[i].run();
            return 0;
        }
    }
    return 97;
}

static struct child
with(const char *value, const char *name)
{
    return child_run_self(name, "ZCBUF_DEBUG", value);
}

// ---- tests --------------------------------------------------------------------------------------

static void
a_program_in_order_runs_the_same_under_every_word(void **state)
{
    static const char *const words[] = {"leaks",     "poison", "guard",      "leaks,poison,guard",
                                        "",          ",",      ",,leaks,,",  "no-such-word",
                                        "poisonous", "poiso",  "all,of,them"};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct child child = with(words[i], "clean");

        assert_child_succeeded(child);
        // A word that is none is said to be none.
        if (i < 7)
            assert_string_equal(child.text, "");
        else
            assert_non_null(strstr(child.text, "is not known: stats, leaks, poison, guard"));
    }
}

static void
stats_are_printed_when_a_pool_is_destroyed(void **state)
{
    struct child child = with("stats", "clean");

    (void)state;
    assert_child_succeeded(child);
    assert_non_null(strstr(child.text, "turnstile"));
    assert_non_null(strstr(child.text, "acquires"));
    assert_non_null(strstr(child.text, "16384"));
    child = with("leaks,stats", "clean");
    assert_child_succeeded(child);
    assert_non_null(strstr(child.text, "acquires"));
    child = with("stats,leaks,poison,guard", "clean");
    assert_child_succeeded(child);
    assert_non_null(strstr(child.text, "acquires"));
}

static void
what_is_out_at_the_end_is_told(void **state)
{
    struct child child = with("leaks", "leaky");

    (void)state;
    assert_child_succeeded(child);
    assert_non_null(strstr(child.text, "turnstile"));
    assert_non_null(strstr(child.text, "2 buffers"));
    assert_non_null(strstr(child.text, "16384"));
    assert_null(strstr(child.text, "acquires"));
    child = with("poison,guard", "leaky");
    assert_child_succeeded(child);
    assert_string_equal(child.text, "");
    child = with("stats,leaks,poison,guard", "leaky");
    assert_child_succeeded(child);
    assert_non_null(strstr(child.text, "2 buffers"));
}

static void
poison_overwrites_what_is_free_and_sees_who_writes_there(void **state)
{
    struct child child;

    (void)state;
    if (!ZCB_UNDER_ASAN) {
        child = with("poison", "look_late");
        assert_child_succeeded(child);
    }
    child = with("poison", "write_late");
    assert_child_died_of(child, SIGABRT);
    assert_true(ZCB_UNDER_ASAN || strstr(child.text, "zcbuf") != NULL);
    child = with("poison", "double_release");
    assert_child_died_of(child, SIGABRT);
}

static void
guard_makes_each_late_touch_a_fault(void **state)
{
    struct child child = with("guard", "read_late");

    (void)state;
    assert_child_died_of(child, SIGSEGV);
    child = with("guard", "write_late");
    assert_child_died_of(child, SIGSEGV);
    child = with("poison,guard", "read_late");
    assert_child_died_of(child, SIGSEGV);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_in_order_runs_the_same_under_every_word),
        cmocka_unit_test(stats_are_printed_when_a_pool_is_destroyed),
        cmocka_unit_test(what_is_out_at_the_end_is_told),
        cmocka_unit_test(poison_overwrites_what_is_free_and_sees_who_writes_there),
        cmocka_unit_test(guard_makes_each_late_touch_a_fault),
    };

    if (argc == 2)
        return child_main(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
