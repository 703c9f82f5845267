// SPDX-License-Identifier: MIT
//
// ZCB_MAP_STABLE where a file system can clone, and the copy elsewhere.
//
// usage: test_map_clone DIRECTORY copies|clones
// What the directory's file system can do; map_clone.py makes such directories.

#include "map_testing.h"

#include <dirent.h>

static const char *directory;
static bool clones;

#define SIZE (((size_t)16 << 20) + 212345)

static int
make_named(size_t len, char *name, size_t room)
{
    uint8_t *bytes = malloc(len);
    int fd;

    CHECK(bytes != NULL);
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(i);
    snprintf(name, room, "%s/file-XXXXXX", directory);
    fd = mkstemp(name);
    CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    free(bytes);
    return fd;
}

static uint64_t
copied(void)
{
    struct zcb_copies copies;

    zcb_copies_thread(&copies);
    return copies.bytes[ZCB_COPY_MAP];
}

static int
lowest_free(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static size_t
files_there(void)
{
    DIR *dir = opendir(directory);
    size_t count = 0;

    CHECK(dir != NULL);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void
check_stays(int fd, size_t off, uint32_t flags, bool is_copied)
{
    uint64_t before = copied();
    int lowest = lowest_free();
    struct zcb_packet packet = must_map(fd, off, 0, flags);

    CHECK(copied() - before == (is_copied ? packet.len : 0));
    CHECK(lowest_free() == lowest); // neither keeps a descriptor
    CHECK(pwrite(fd, "changed", 7, (off_t)off + 100) == 7);
    for (size_t i = 0; i < packet.len; i++)
        CHECK(packet.data[i] == byte_at(off + i));
    CHECK(zcb_map_forget(&packet) == 0);
    CHECK(ftruncate(fd, 0) == 0);
    for (size_t i = 0; i < packet.len; i++)
        CHECK(packet.data[i] == byte_at(off + i));
    CHECK(zcb_map_status(&packet) == 0);
    zcb_packet_unref(&packet);
}

static void
a_large_file_stays_as_it_was(void **state)
{
    static const size_t offs[] = {0, 1, 4096, 100001};

    (void)state;
    for (size_t i = 0; i < sizeof(offs) / sizeof(offs[0]); i++) {
        size_t before = files_there();
        char name[300];
        int fd = make_named(SIZE, name, sizeof(name));

        if (i % 2 == 1)
            unlink(name);
        check_stays(fd, offs[i], ZCB_MAP_STABLE, !clones);
        unlink(name);
        close(fd);
        assert_int_equal(files_there(), before); // the clone has no name
    }
}

static void
a_small_file_is_copied(void **state)
{
    char name[300];
    int fd = make_named(100000, name, sizeof(name));

    (void)state;
    check_stays(fd, 0, ZCB_MAP_STABLE, true);
    unlink(name);
    close(fd);
}

static void
a_copy_that_is_refused_is_a_clone_or_nothing(void **state)
{
    struct zcb_packet packet = {0};
    char name[300];
    int fd = make_named(100000, name, sizeof(name));

    (void)state;
    if (clones)
        check_stays(fd, 5, ZCB_MAP_STABLE | ZCB_MAP_ONLY, false);
    else
        assert_int_equal(zcb_map_file(fd, 5, 0, ZCB_MAP_STABLE | ZCB_MAP_ONLY, &packet), -ENOTSUP);
    unlink(name);
    close(fd);
}

// Nothing can be made beside the file: the directory is gone.
static void
without_a_directory_it_is_copied(void **state)
{
    const char *where = directory;
    char name[300], inner[200];
    int fd;

    (void)state;
    snprintf(inner, sizeof(inner), "%s/inner-XXXXXX", where);
    assert_non_null(mkdtemp(inner));
    directory = inner;
    fd = make_named(SIZE, name, sizeof(name));
    directory = where;
    unlink(name);
    assert_int_equal(rmdir(inner), 0);
    check_stays(fd, 0, ZCB_MAP_STABLE, true);
    close(fd);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_file_stays_as_it_was),
        cmocka_unit_test(a_small_file_is_copied),
        cmocka_unit_test(a_copy_that_is_refused_is_a_clone_or_nothing),
        cmocka_unit_test(without_a_directory_it_is_copied),
    };

    if (argc != 3) {
        fprintf(stderr, "usage: test_map_clone DIRECTORY copies|clones\n");
        return 2;
    }
    directory = argv[1];
    clones = strcmp(argv[2], "clones") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
