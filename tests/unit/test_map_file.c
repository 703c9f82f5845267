// SPDX-License-Identifier: MIT
//
// Files as packets, and what happens when they change under the reader.
//
// cmocka puts a handler for SIGBUS in place before each test and takes it away afterwards, without
// calling the one it replaced, which the library asks programs not to do. So main() lets the
// library install its handler first, and the tests that truncate put it back for their duration.

#include "map_testing.h"

#include "support/pools.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct sigaction ours;

static void
put_our_handler_back(void)
{
    sigaction(SIGBUS, &ours, NULL);
}

static int
open_files(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

// ---- reading ------------------------------------------------------------------------------------

static void
any_range_of_a_file_is_a_packet(void **state)
{
    static const uint32_t flags[] = {0,
                                     ZCB_MAP_STABLE,
                                     ZCB_MAP_POPULATE,
                                     ZCB_MAP_SEQUENTIAL,
                                     ZCB_MAP_RANDOM,
                                     ZCB_MAP_STABLE | ZCB_MAP_POPULATE | ZCB_MAP_SEQUENTIAL |
                                         ZCB_MAP_RANDOM};
    enum { SIZE = 50000 };
    static const size_t offs[] = {0, 1, 100, 4095, 4096, 4097, 12288, 49151, 49999};
    int fd = make_file(SIZE);

    (void)state;
    for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
        for (size_t o = 0; o < sizeof(offs) / sizeof(offs[0]); o++) {
            const size_t lens[] = {0, 1, 4096, SIZE - offs[o]};

            for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++) {
                struct zcb_packet packet;
                size_t len = lens[l] == 0 ? SIZE - offs[o] : lens[l];

                if (lens[l] > SIZE - offs[o])
                    continue;
                packet = must_map(fd, offs[o], lens[l], flags[f]);
                assert_int_equal(packet.len, len);
                for (size_t i = 0; i < len; i++)
                    assert_int_equal(packet.data[i], byte_at(offs[o] + i));
                assert_int_equal(zcb_map_status(&packet), 0);
                zcb_packet_unref(&packet);
            }
        }
    }
    close(fd);
}

static void
nothing_is_copied_but_by_stable_and_that_is_counted(void **state)
{
    struct zcb_copies before, after;
    int fd = make_file(20000);
    struct zcb_packet packet;

    (void)state;
    zcb_copies_thread(&before);
    packet = must_map(fd, 100, 15000, 0);
    zcb_copies_thread(&after);
    assert_int_equal(zcb_copies_bytes(&after), zcb_copies_bytes(&before));
    zcb_packet_unref(&packet);
    packet = must_map(fd, 100, 15000, ZCB_MAP_STABLE);
    zcb_copies_thread(&after);
    assert_int_equal(after.bytes[ZCB_COPY_MAP] - before.bytes[ZCB_COPY_MAP], 15000);
    assert_int_equal(after.calls[ZCB_COPY_MAP] - before.calls[ZCB_COPY_MAP], 1);
    zcb_packet_unref(&packet);
    close(fd);
}

static void
the_descriptor_may_be_closed_and_the_mapping_goes_with_the_last_slice(void **state)
{
    int before = open_files();
    int fd = make_file(30000);
    struct zcb_packet packet = must_map(fd, 5000, 20000, 0), slices[4] = {{0}};
    unsigned char present;
    uint8_t *page;

    (void)state;
    close(fd);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(zcb_packet_slice(&packet, i * 5000, 5000, &slices[i]), 0);
    page = (uint8_t *)((uintptr_t)packet.data & ~(uintptr_t)(PAGE - 1));
    zcb_packet_unref(&packet);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(slices[i].data[17], byte_at(5000 + i * 5000 + 17));
        assert_int_equal(zcb_map_status(&slices[i]), 0);
        assert_int_equal(mincore(page, PAGE, &present), 0);
        zcb_packet_unref(&slices[i]);
    }
    assert_int_equal(mincore(page, PAGE, &present), -1); // not mapped any more
    assert_int_equal(open_files(), before);
}

static void
a_mapping_is_read_only_and_made_writable_by_a_copy(void **state)
{
    static const uint32_t flags[] = {0, ZCB_MAP_STABLE};
    struct zcb_pool *pool = must_create(NULL);

    (void)state;
    for (size_t f = 0; f < 2; f++) {
        int fd = make_file(10000);
        struct zcb_packet packet = must_map(fd, 0, 0, flags[f]);
        struct zcb_buf *buf = NULL;
        uint8_t byte;

        assert_int_equal(zcb_packet_make_writable(&packet, pool, &buf), 1);
        assert_int_equal(zcb_buf_len(buf), 10000);
        zcb_buf_data(buf)[0] = 77;
        assert_int_equal(pread(fd, &byte, 1, 0), 1);
        assert_int_equal(byte, byte_at(0));
        zcb_buf_release(&buf);
        close(fd);
    }
    must_end(&pool);
}

static void
other_packets_have_no_status_to_worry_about(void **state)
{
    struct zcb_pool *pool = must_create(NULL);
    struct zcb_packet empty = {0}, literal = zcb_packet_static("abc", 3),
                      pooled = must_packet(pool, 10), wrapped;

    (void)state;
    assert_int_equal(zcb_packet_wrap("abc", 3, NULL, NULL, &wrapped), 0);
    assert_int_equal(zcb_map_status(&empty), 0);
    assert_int_equal(zcb_map_status(&literal), 0);
    assert_int_equal(zcb_map_status(&pooled), 0);
    assert_int_equal(zcb_map_status(&wrapped), 0);
    zcb_packet_unref(&pooled);
    zcb_packet_unref(&wrapped);
    must_end(&pool);
}

static void
changes_show_through_a_mapping_and_not_through_a_stable_one(void **state)
{
    int fd = make_file(10000);
    struct zcb_packet shared = must_map(fd, 0, 0, 0);
    struct zcb_packet stable = must_map(fd, 0, 0, ZCB_MAP_STABLE);

    (void)state;
    put_our_handler_back();
    assert_int_equal(pwrite(fd, "changed", 7, 6000), 7);
    assert_memory_equal(shared.data + 6000, "changed", 7);
    assert_int_equal(zcb_map_status(&shared), -ESTALE);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(stable.data[i], byte_at(i));
    assert_int_equal(ftruncate(fd, 0), 0);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(stable.data[i], byte_at(i));
    assert_int_equal(zcb_map_status(&stable), 0);
    zcb_packet_unref(&shared);
    zcb_packet_unref(&stable);
    close(fd);
}

static void
an_empty_range_is_an_empty_packet(void **state)
{
    int empty = make_file(0), fd;
    struct zcb_packet packet = must_map(empty, 0, 0, 0);

    (void)state;
    assert_int_equal(packet.len, 0);
    assert_int_equal(zcb_map_status(&packet), 0);
    zcb_packet_unref(&packet);
    packet = must_map(empty, 0, 0, ZCB_MAP_STABLE);
    assert_int_equal(packet.len, 0);
    zcb_packet_unref(&packet);
    close(empty);
    fd = make_file(100);
    packet = must_map(fd, 100, 0, 0); // from its end to its end
    assert_int_equal(packet.len, 0);
    zcb_packet_unref(&packet);
    close(fd);
}

// ---- refused ------------------------------------------------------------------------------------

static void
what_cannot_be_is_refused(void **state)
{
    static const uint32_t flags[] = {0, ZCB_MAP_STABLE, ZCB_MAP_ONLY};
    const struct zcb_packet untouched = {.data = (const uint8_t *)"x", .len = 1};
    struct zcb_packet packet = untouched;
    int fd = make_file(10000), closed, before = open_files();
    int dir;

    (void)state;
    for (size_t f = 0; f < 3; f++) {
        assert_int_equal(zcb_map_file(fd, 0, 10000, flags[f], NULL), -EINVAL);
        assert_int_equal(zcb_map_file(fd, -1, 1, flags[f], &packet), -EINVAL);
        assert_int_equal(zcb_map_file(fd, 0, 1, flags[f] | 1u << 31, &packet), -EINVAL);
        assert_int_equal(zcb_map_file(fd, 0, 1, flags[f] | ZCB_MAP_ONLY << 1, &packet), -EINVAL);
        assert_int_equal(zcb_map_file(fd, 0, 10001, flags[f], &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, 1, 10000, flags[f], &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, 10000, 1, flags[f], &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, 10001, 0, flags[f], &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, 0, SIZE_MAX, flags[f], &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, 5000, SIZE_MAX - 100, flags[f], &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, (off_t)(UINT64_MAX / 2), 1, flags[f], &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, (off_t)(UINT64_MAX / 2), 0, flags[f], &packet), -ERANGE);
        assert_int_equal(zcb_map_file(-1, 0, 1, flags[f], &packet), -EBADF);

        closed = dup(fd);
        close(closed);
        assert_int_equal(zcb_map_file(closed, 0, 1, flags[f], &packet), -EBADF);

        dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(dir >= 0);
        assert_int_equal(zcb_map_file(dir, 0, 0, flags[f], &packet), -EISDIR);
        close(dir);
    }
    assert_int_equal(zcb_map_status(NULL), -EINVAL);
    assert_memory_equal(&packet, &untouched, sizeof(packet));
    assert_int_equal(open_files(), before);
    close(fd);
}

static void
a_file_that_may_not_be_read_gives_the_systems_code(void **state)
{
    char name[] = "/tmp/zcbuf-map-XXXXXX";
    struct zcb_packet packet = {0};
    int both = mkstemp(name), fd;

    (void)state;
    assert_true(both >= 0);
    fd = open(name, O_WRONLY | O_CLOEXEC);
    unlink(name);
    close(both);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "abc", 3), 3);
    assert_int_equal(zcb_map_file(fd, 0, 0, 0, &packet), -EACCES);
    assert_int_equal(zcb_map_file(fd, 0, 0, ZCB_MAP_STABLE, &packet), -EBADF);
    assert_null(packet.owner);
    close(fd);
}

// ---- truncated ----------------------------------------------------------------------------------

static void
truncated_before_the_first_read_reads_as_zeros_and_says_so(void **state)
{
    int fd = make_file(10 * PAGE);
    struct zcb_packet packet = must_map(fd, 0, 0, 0), slice = {0};

    (void)state;
    put_our_handler_back();
    assert_int_equal(zcb_packet_slice(&packet, 100, 100, &slice), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(sum_of(&packet), 0);
    assert_int_equal(zcb_map_status(&packet), -EIO);
    assert_int_equal(zcb_map_status(&slice), -EIO); // slices share the status
    zcb_packet_unref(&packet);
    assert_int_equal(zcb_map_status(&slice), -EIO);
    assert_int_equal(sum_of(&slice), 0);
    zcb_packet_unref(&slice);
    close(fd);
}

static void
truncated_in_the_middle_keeps_what_is_left(void **state)
{
    int fd = make_file(10 * PAGE);
    struct zcb_packet packet = must_map(fd, 0, 0, 0);

    (void)state;
    put_our_handler_back();
    for (size_t i = 0; i < 4 * PAGE; i++)
        assert_int_equal(packet.data[i], byte_at(i));
    assert_int_equal(zcb_map_status(&packet), 0);
    assert_int_equal(ftruncate(fd, 5 * PAGE), 0); // while we are at it
    for (size_t i = 4 * PAGE; i < 5 * PAGE; i++)
        assert_int_equal(packet.data[i], byte_at(i));
    for (size_t i = 5 * PAGE; i < 10 * PAGE; i++)
        assert_int_equal(((const volatile uint8_t *)packet.data)[i], 0);
    assert_int_equal(zcb_map_status(&packet), -EIO);
    for (size_t i = 0; i < 5 * PAGE; i++)
        assert_int_equal(packet.data[i], byte_at(i));
    zcb_packet_unref(&packet);
    close(fd);
}

// The rest of the page that the file ends in reads as zeros without a fault: that must be seen as
// well.
static void
truncated_within_its_last_page_is_noticed(void **state)
{
    int fd = make_file(3 * PAGE + 1000);
    struct zcb_packet packet = must_map(fd, 0, 0, 0);

    (void)state;
    put_our_handler_back();
    assert_int_equal(ftruncate(fd, 3 * PAGE + 500), 0);
    assert_int_equal(packet.data[3 * PAGE + 499], byte_at(3 * PAGE + 499));
    assert_int_equal(packet.data[3 * PAGE + 500], 0);
    assert_int_equal(zcb_map_status(&packet), -EIO);
    zcb_packet_unref(&packet);
    close(fd);
}

static void
truncated_after_all_was_read_is_no_matter_for_what_lies_in_front(void **state)
{
    int fd = make_file(10 * PAGE);
    struct zcb_packet front = must_map(fd, 0, 2 * PAGE, 0);
    struct zcb_packet whole = must_map(fd, 0, 0, 0);

    (void)state;
    put_our_handler_back();
    assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
    for (size_t i = 0; i < 2 * PAGE; i++)
        assert_int_equal(front.data[i], byte_at(i));
    assert_int_equal(zcb_map_status(&front), -ESTALE); // its range is there, but changed?
    sum_of(&whole);
    assert_int_equal(zcb_map_status(&whole), -EIO); // this one's is not
    assert_int_equal(zcb_map_status(&front), -ESTALE);
    zcb_packet_unref(&front);
    zcb_packet_unref(&whole);
    close(fd);
}

static void
a_fault_is_remembered_when_the_file_grows_again(void **state)
{
    int fd = make_file(4 * PAGE);
    struct zcb_packet packet = must_map(fd, 0, 0, 0), again;

    (void)state;
    put_our_handler_back();
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(sum_of(&packet), 0);
    assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
    assert_int_equal(pwrite(fd, "new", 3, 0), 3);
    assert_int_equal(zcb_map_status(&packet), -EIO);
    again = must_map(fd, 0, 0, 0); // a new mapping has a new status
    assert_memory_equal(again.data, "new", 3);
    assert_int_equal(zcb_map_status(&again), 0);
    zcb_packet_unref(&packet);
    assert_int_equal(zcb_map_status(&again), 0);
    zcb_packet_unref(&again);
    close(fd);
}

static void
a_file_that_grew_is_as_it_was(void **state)
{
    int fd = make_file(5000);
    struct zcb_packet packet = must_map(fd, 0, 0, 0);

    (void)state;
    assert_int_equal(ftruncate(fd, 50000), 0);
    assert_int_equal(packet.len, 5000);
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(packet.data[i], byte_at(i));
    assert_int_equal(zcb_map_status(&packet), -ESTALE); // for all that its time can tell
    zcb_packet_unref(&packet);
    close(fd);
}

static void
a_thousand_mappings_one_after_the_other_leave_nothing_behind(void **state)
{
    int before = open_files();

    (void)state;
    put_our_handler_back();
    for (size_t i = 0; i < 1000; i++) {
        int fd = make_file(3 * PAGE);
        struct zcb_packet packet = must_map(fd, i % 3 * 1000, 0, i % 4 == 0 ? ZCB_MAP_POPULATE : 0);

        if (i % 2 == 0) {
            assert_int_equal(ftruncate(fd, (off_t)(i % 3) * 1000), 0);
            sum_of(&packet);
            assert_int_equal(zcb_map_status(&packet), -EIO);
        } else {
            assert_int_equal(packet.data[PAGE], byte_at(i % 3 * 1000 + PAGE));
            assert_int_equal(zcb_map_status(&packet), 0);
        }
        zcb_packet_unref(&packet);
        close(fd);
    }
    assert_int_equal(open_files(), before);
}

static void
hundreds_at_a_time_keep_their_faults_apart(void **state)
{
    enum { COUNT = 400 };
    static struct zcb_packet packets[COUNT];
    int whole = make_file(4 * PAGE), cut = make_file(4 * PAGE);

    (void)state;
    put_our_handler_back();
    for (size_t i = 0; i < COUNT; i++)
        packets[i] = must_map(i % 3 == 0 ? cut : whole, 0, 0, 0);
    assert_int_equal(ftruncate(cut, PAGE), 0);
    for (size_t i = 0; i < COUNT; i += 2) { // every second one is let go before anybody reads
        zcb_packet_unref(&packets[i]);
        packets[i] = must_map(whole, PAGE, PAGE, 0);
    }
    for (size_t i = 0; i < COUNT; i++)
        sum_of(&packets[i]);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(zcb_map_status(&packets[i]), i % 3 == 0 && i % 2 == 1 ? -EIO : 0);
        zcb_packet_unref(&packets[i]);
    }
    close(whole);
    close(cut);
}

static void
more_than_4096_at_a_time_are_refused(void **state)
{
    enum { LIMIT = 4096 };
    static struct zcb_packet packets[LIMIT + 1];
    struct rlimit files;
    int fd = make_file(PAGE), before;
    size_t n = 0;
    int result = 0;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < LIMIT + 100) {
        struct rlimit more = {files.rlim_max < LIMIT + 100 ? files.rlim_max : LIMIT + 100,
                              files.rlim_max};

        setrlimit(RLIMIT_NOFILE, &more);
    }
    before = open_files();
    while (n <= LIMIT && (result = zcb_map_file(fd, 0, 0, 0, &packets[n])) == 0)
        n++;
    if (result == -EMFILE && files.rlim_max < LIMIT + 100)
        print_message("the system's limit on open files was met first\n");
    else
        assert_int_equal(result, -ENOBUFS);
    if (result == -ENOBUFS)
        assert_int_equal(n, LIMIT);
    packets[n] = must_map(fd, 0, 0, ZCB_MAP_STABLE); // which needs no guard
    zcb_packet_unref(&packets[n]);
    zcb_packet_unref(&packets[n / 2]);
    packets[n / 2] = must_map(fd, 0, 0, 0);
    while (n > 0)
        zcb_packet_unref(&packets[--n]);
    assert_int_equal(open_files(), before);
    setrlimit(RLIMIT_NOFILE, &files);
    close(fd);
}

static size_t
count_of_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    size_t count = 0;
    int c;

    CHECK(maps != NULL);
    while ((c = getc(maps)) != EOF)
        count += c == '\n';
    fclose(maps);
    return count;
}

static void
read_every_second_page_of_nothing(void *unused)
{
    const size_t size = 64 * MIB;
    int fd = make_file(0);
    struct zcb_packet packet;
    size_t before;

    (void)unused;
    put_our_handler_back();
    CHECK(ftruncate(fd, (off_t)size) == 0);
    packet = must_map(fd, 0, 0, 0);
    CHECK(ftruncate(fd, 0) == 0);
    before = count_of_mappings();
    for (size_t i = 0; i < size; i += 2 * PAGE)
        CHECK(((const volatile uint8_t *)packet.data)[i] == 0);
    CHECK(zcb_map_status(&packet) == -EIO);
    CHECK(count_of_mappings() < before + 100);
    zcb_packet_unref(&packet);
    close(fd);
}

// A process may have some 65000.
static void
a_truncated_file_costs_few_of_the_process_mappings(void **state)
{
    struct child child = child_run(read_every_second_page_of_nothing, NULL);

    (void)state;
    assert_child_succeeded(child);
}

static void
map_without_standard_input(void *unused)
{
    int fd = make_file(PAGE);
    struct zcb_packet packet;

    (void)unused;
    close(STDIN_FILENO);
    packet = must_map(fd, 0, 0, 0);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) < 0);
    zcb_packet_unref(&packet);
    close(fd);
}

static void
a_mapping_takes_no_standard_descriptor(void **state)
{
    struct child child = child_run(map_without_standard_input, NULL);

    (void)state;
    assert_child_succeeded(child);
}

static void
map_without_descriptors(void *unused)
{
    int fd = make_file(PAGE), next = dup(fd);
    struct rlimit none_left = {(rlim_t)next, (rlim_t)next};
    struct zcb_packet packet = {0};

    (void)unused;
    CHECK(next > fd);
    close(next);
    CHECK(setrlimit(RLIMIT_NOFILE, &none_left) == 0);
    CHECK(zcb_map_file(fd, 0, 0, 0, &packet) == -EMFILE);
    CHECK(packet.owner == NULL && packet.data == NULL);
    CHECK(zcb_map_file(fd, 0, 0, ZCB_MAP_STABLE, &packet) == 0); // which keeps none
    CHECK(packet.len == PAGE);
    zcb_packet_unref(&packet);
    close(fd);
}

static void
without_a_descriptor_left_only_a_private_copy_can_be_had(void **state)
{
    struct child child = child_run(map_without_descriptors, NULL);

    (void)state;
    assert_child_succeeded(child);
}

// ---- whose fault it is --------------------------------------------------------------------------
//
// Run as `test_map_file NAME` in a fresh process: the library's handler is installed by the first
// mapping there.

static sigjmp_buf back;
static void *volatile handler_saw;
static volatile int handler_calls;

static void
handle_with_info(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    handler_calls++;
    handler_saw = info->si_addr;
    siglongjmp(back, 1);
}

static void
handle_plainly(int number)
{
    (void)number;
    handler_calls++;
    siglongjmp(back, 1);
}

// A mapping that the library knows nothing about, whose file is gone.
static volatile uint8_t *
foreign_mapping(void)
{
    int fd = make_file(2 * PAGE);
    void *map = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

    CHECK(map != MAP_FAILED);
    CHECK(ftruncate(fd, 0) == 0);
    close(fd);
    return map;
}

static void
set_handler(const char *kind)
{
    struct sigaction action = {0};

    if (strcmp(kind, "info") == 0) {
        action.sa_sigaction = handle_with_info;
        action.sa_flags = SA_SIGINFO;
    } else {
        action.sa_handler = strcmp(kind, "plain") == 0    ? handle_plainly
                            : strcmp(kind, "ignore") == 0 ? SIG_IGN
                                                          : SIG_DFL;
    }
    CHECK(sigaction(SIGBUS, &action, NULL) == 0);
}

static int
foreign_fault(const char *kind)
{
    struct zcb_packet packet;
    volatile uint8_t *foreign;
    int fd;

    set_handler(kind);
    fd = make_file(4 * PAGE);
    packet = must_map(fd, 0, 0, 0);
    foreign = foreign_mapping();

    // Ours is still ours.
    CHECK(ftruncate(fd, 0) == 0);
    CHECK(sum_of(&packet) == 0);
    CHECK(zcb_map_status(&packet) == -EIO);
    CHECK(handler_calls == 0);

    for (int i = 1; i <= 3; i++) {
        if (sigsetjmp(back, 1) == 0) {
            (void)foreign[PAGE + 5];
            CHECK(!"the read of a page that is gone returned");
        }
        CHECK(handler_calls == i);
        CHECK(strcmp(kind, "info") != 0 || handler_saw == (void *)(uintptr_t)(foreign + PAGE + 5));
    }
    zcb_packet_unref(&packet);
    return 0;
}

static int
sent_signal(const char *kind)
{
    int fd;
    struct zcb_packet packet;

    set_handler(kind);
    fd = make_file(PAGE);
    packet = must_map(fd, 0, 0, 0);
    if (strcmp(kind, "default") == 0 || strcmp(kind, "ignore") == 0) {
        raise(SIGBUS);
    } else {
        if (sigsetjmp(back, 1) == 0)
            raise(SIGBUS);
        CHECK(handler_calls == 1);
    }
    CHECK(zcb_map_status(&packet) == 0);
    zcb_packet_unref(&packet);
    return 0;
}

static int
child_main(const char *what)
{
    const char *kind = strchr(what, ' ') + 1;

    return strncmp(what, "fault", 5) == 0 ? foreign_fault(kind) : sent_signal(kind);
}

static void
a_foreign_fault_goes_to_the_handler_that_was_there_before(void **state)
{
    struct child child = child_run_self("fault info", NULL, NULL);

    (void)state;
    assert_child_succeeded(child);
    child = child_run_self("fault plain", NULL, NULL);
    assert_child_succeeded(child);
}

static void
a_foreign_fault_without_a_handler_ends_the_process_as_ever(void **state)
{
    struct child child = child_run_self("fault default", NULL, NULL);

    (void)state;
    assert_child_died_of(child, SIGBUS);
    child = child_run_self("fault ignore", NULL, NULL);
    assert_child_died_of(child, SIGBUS);
}

// A mapping of the program's own where one of ours was, and right behind one of ours.
static void
fault_where_ours_was(void *behind)
{
    int fd = make_file(2 * PAGE), own = make_file(PAGE);
    struct zcb_packet packet = must_map(fd, 0, behind != NULL ? PAGE : 0, 0);
    uint8_t *at = (uint8_t *)(uintptr_t)packet.data + (behind != NULL ? PAGE : 0);

    // Again, since child_run() took it away. What it found when it came is the default.
    CHECK(sigaction(SIGBUS, &ours, NULL) == 0);
    if (behind == NULL)
        zcb_packet_unref(&packet);
    CHECK(mmap(at, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, own, 0) == at);
    CHECK(ftruncate(own, 0) == 0);
    _exit(*(volatile uint8_t *)at == 0 ? 97 : 96);
}

static void
a_fault_where_ours_was_or_behind_ours_is_foreign(void **state)
{
    struct child child = child_run(fault_where_ours_was, NULL);

    (void)state;
    assert_child_died_of(child, SIGBUS);
    child = child_run(fault_where_ours_was, &child);
    assert_child_died_of(child, SIGBUS);
}

static void
a_signal_that_was_sent_goes_where_it_went_before(void **state)
{
    struct child child = child_run_self("sent info", NULL, NULL);

    (void)state;
    assert_child_succeeded(child);
    child = child_run_self("sent plain", NULL, NULL);
    assert_child_succeeded(child);
    child = child_run_self("sent ignore", NULL, NULL);
    assert_child_succeeded(child);
    child = child_run_self("sent default", NULL, NULL);
    assert_child_died_of(child, SIGBUS);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_range_of_a_file_is_a_packet),
        cmocka_unit_test(nothing_is_copied_but_by_stable_and_that_is_counted),
        cmocka_unit_test(the_descriptor_may_be_closed_and_the_mapping_goes_with_the_last_slice),
        cmocka_unit_test(a_mapping_is_read_only_and_made_writable_by_a_copy),
        cmocka_unit_test(other_packets_have_no_status_to_worry_about),
        cmocka_unit_test(changes_show_through_a_mapping_and_not_through_a_stable_one),
        cmocka_unit_test(an_empty_range_is_an_empty_packet),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_file_that_may_not_be_read_gives_the_systems_code),
        cmocka_unit_test(truncated_before_the_first_read_reads_as_zeros_and_says_so),
        cmocka_unit_test(truncated_in_the_middle_keeps_what_is_left),
        cmocka_unit_test(truncated_within_its_last_page_is_noticed),
        cmocka_unit_test(truncated_after_all_was_read_is_no_matter_for_what_lies_in_front),
        cmocka_unit_test(a_fault_is_remembered_when_the_file_grows_again),
        cmocka_unit_test(a_file_that_grew_is_as_it_was),
        cmocka_unit_test(a_thousand_mappings_one_after_the_other_leave_nothing_behind),
        cmocka_unit_test(hundreds_at_a_time_keep_their_faults_apart),
        cmocka_unit_test(more_than_4096_at_a_time_are_refused),
        cmocka_unit_test(a_truncated_file_costs_few_of_the_process_mappings),
        cmocka_unit_test(a_mapping_takes_no_standard_descriptor),
        cmocka_unit_test(without_a_descriptor_left_only_a_private_copy_can_be_had),
        cmocka_unit_test(a_foreign_fault_goes_to_the_handler_that_was_there_before),
        cmocka_unit_test(a_foreign_fault_without_a_handler_ends_the_process_as_ever),
        cmocka_unit_test(a_fault_where_ours_was_or_behind_ours_is_foreign),
        cmocka_unit_test(a_signal_that_was_sent_goes_where_it_went_before),
    };
    struct zcb_packet packet;
    int fd;

    if (argc == 2)
        return child_main(argv[1]);
    fd = make_file(PAGE);
    packet = must_map(fd, 0, 0, 0);
    zcb_packet_unref(&packet);
    close(fd);
    sigaction(SIGBUS, NULL, &ours);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
