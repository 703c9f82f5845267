// SPDX-License-Identifier: MIT
//
// What Linux is asked about memory, read from trees of files made here: cgroups of both versions,
// containers, nonsense.
#include "testing.h"

#include "support/child.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "adapt/image_memory.h"

#define MIB (UINT64_C(1) << 20)
#define NONE UINT64_MAX
#define V1_NONE "9223372036854771712\n"

static char root[64];

static const char *
path_of(const char *name)
{
    static char path[8192];

    snprintf(path, sizeof(path), "%s%s", root, name);
    return path;
}

static void
make_folders(const char *name)
{
    char path[8192];

    snprintf(path, sizeof(path), "%s", path_of(name));
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')) != NULL; *at++ = '/') {
        *at = '\0';
        CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
    }
}

static void
put_bytes(const char *name, const char *bytes, size_t len)
{
    FILE *file;

    make_folders(name);
    file = fopen(path_of(name), "wb");
    CHECK(file != NULL && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
}

static void
put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

static void
remove_all(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char name[8192];

    CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (unlink(name) != 0)
            remove_all(name);
    }
    closedir(dir);
    CHECK(rmdir(path) == 0);
}

static int
set_up(void **state)
{
    (void)state;
    strcpy(root, "/tmp/zcbuf-memory-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
    put("/proc/meminfo", "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\n");
    put("/proc/self/statm", "1000 200 100 5 0 300 0\n");
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    remove_all(root);
    return 0;
}

static struct zcb_image_memory
look(void)
{
    struct zcb_image_memory memory;

    memset(&memory, 0xee, sizeof(memory));
    image_memory_read(root, NONE, NONE, &memory);
    assert_int_equal(memory.reserved, 0);
    assert_true(memory.free <= memory.available && memory.free <= memory.group_free);
    return memory;
}

static void
no_groups(void)
{
    struct zcb_image_memory memory = look();

    assert_int_equal(memory.physical, 16 * MIB);
    assert_int_equal(memory.available, 8 * MIB);
    assert_int_equal(memory.free, 8 * MIB);
    assert_int_equal(memory.group_limit, NONE);
    assert_int_equal(memory.group_free, NONE);
    assert_int_equal(memory.group_version, 0);
}

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT                                                                                   \
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"                                   \
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"                          \
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

// ---- the machine

static void
without_groups_it_is_what_the_machine_has(void **state)
{
    (void)state;
    no_groups();
}

static void
what_is_missing_or_nonsense_is_no_limit(void **state)
{
    static const char *const nonsense[] = {
        "",
        "\n",
        "MemTotal:\nMemAvailable:\n",
        "MemTotal: kB\nMemAvailable: -5 kB\n",
        "MemTotal: 0x10 kB\nMemAvailable: 12kB\n",
        "MemTotal 16\nMemAvailable 8\n",
        "MemTotal: 99999999999999999999999 kB\nMemAvailable: 18446744073709551615 kB\n",
        "MemTotal: 18014398509481984 kB\n"};
    struct zcb_image_memory memory;

    (void)state;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        put("/proc/meminfo", nonsense[i]);
        memory = look();
        assert_int_equal(memory.physical, NONE);
        assert_int_equal(memory.available, NONE);
        assert_int_equal(memory.free, NONE);
    }
    put("/proc/meminfo", "MemTotal: 18014398509481982 kB\nMemAvailable:\t3 kB\n");
    memory = look();
    assert_int_equal(memory.physical, UINT64_C(18014398509481982) * 1024);
    assert_int_equal(memory.available, 3 * 1024);
    // No newline at the end; the first of two counts.
    put("/proc/meminfo", "MemAvailable: 5 kB\nMemAvailable: 7 kB\nMemTotal: 9");
    memory = look();
    assert_int_equal(memory.available, 5 * 1024);
    assert_int_equal(memory.physical, 9 * 1024);
    CHECK(unlink(path_of("/proc/meminfo")) == 0);
    assert_int_equal(look().free, NONE);
}

static void
limits_of_the_process_leave_what_it_has_not_used(void **state)
{
    struct zcb_image_memory memory;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    (void)state;
    assert_int_equal(look().process_limit, NONE);
    assert_int_equal(look().process_free, NONE);
    image_memory_read(root, 1500 * page, NONE, &memory);
    assert_int_equal(memory.process_limit, 1500 * page);
    assert_int_equal(memory.process_free, 500 * page);
    assert_int_equal(memory.free, 500 * page);
    image_memory_read(root, 1500 * page, 700 * page, &memory);
    assert_int_equal(memory.process_limit, 700 * page);
    assert_int_equal(memory.process_free, 400 * page);
    image_memory_read(root, NONE, 10 * page, &memory);
    assert_int_equal(memory.process_free, 0);
    assert_int_equal(memory.free, 0);
    // Nothing is known to be used.
    put("/proc/self/statm", "");
    image_memory_read(root, 1500 * page, 700 * page, &memory);
    assert_int_equal(memory.process_free, 700 * page);
    put("/proc/self/statm", "1400 x\n");
    image_memory_read(root, 1500 * page, 700 * page, &memory);
    assert_int_equal(memory.process_free, 100 * page);
    put("/proc/self/statm", "99999999999999999999 1 1 1 1 18446744073709551615 1\n");
    image_memory_read(root, 1500 * page, 700 * page, &memory);
    assert_int_equal(memory.process_free, 700 * page);
    CHECK(unlink(path_of("/proc/self/statm")) == 0);
    image_memory_read(root, 1500 * page, NONE, &memory);
    assert_int_equal(memory.process_free, 1500 * page);
}

// ---- version 2

static void
the_group_of_version_2_counts_without_its_idle_cache(void **state)
{
    struct zcb_image_memory memory;

    (void)state;
    put("/proc/self/cgroup", "0::/user.slice/me\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    no_groups(); // no files there
    put("/sys/fs/cgroup/user.slice/me/memory.max", "4194304\n");
    memory = look();
    assert_int_equal(memory.group_version, 2);
    assert_int_equal(memory.group_limit, 4 * MIB);
    assert_int_equal(memory.group_free, 4 * MIB);
    assert_int_equal(memory.free, 4 * MIB);
    put("/sys/fs/cgroup/user.slice/me/memory.current", "3145728\n");
    assert_int_equal(look().group_free, 1 * MIB);
    put("/sys/fs/cgroup/user.slice/me/memory.stat",
        "anon 7\nfile 9\ninactive_file_else 5\ninactive_file 1048576\nactive_file 3\n");
    memory = look();
    assert_int_equal(memory.group_free, 2 * MIB);
    assert_int_equal(memory.free, 2 * MIB);
    assert_int_equal(memory.group_limit, 4 * MIB);
    put("/sys/fs/cgroup/user.slice/me/memory.high", "3670016\n"); // 3.5 MiB
    memory = look();
    assert_int_equal(memory.group_limit, 3670016);
    assert_int_equal(memory.group_free, 3670016 - 2 * MIB);
    put("/sys/fs/cgroup/user.slice/me/memory.max", "max\n");
    assert_int_equal(look().group_limit, 3670016);
    // More is used than allowed; more is cache than used.
    put("/sys/fs/cgroup/user.slice/me/memory.current", "9999999\n");
    assert_int_equal(look().group_free, 0);
    assert_int_equal(look().free, 0);
    put("/sys/fs/cgroup/user.slice/me/memory.current", "1\n");
    assert_int_equal(look().group_free, 3670016);
    put("/sys/fs/cgroup/user.slice/me/memory.high", "max\n");
    no_groups();
}

static void
groups_above_count_as_well(void **state)
{
    struct zcb_image_memory memory;

    (void)state;
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
    put("/sys/fs/cgroup/a/b/memory.max", "6291456\n");
    put("/sys/fs/cgroup/a/b/memory.current", "1048576\n");
    put("/sys/fs/cgroup/a/memory.max", "7340032\n");
    put("/sys/fs/cgroup/a/memory.current", "5242880\n");
    memory = look();
    assert_int_equal(memory.group_limit, 6 * MIB); // b's
    assert_int_equal(memory.group_free, 2 * MIB);  // a's
    put("/sys/fs/cgroup/memory.max", "5242880\n"); // the mount's own top, as in a container
    put("/sys/fs/cgroup/memory.current", "4194304\n");
    memory = look();
    assert_int_equal(memory.group_limit, 5 * MIB);
    assert_int_equal(memory.group_free, 1 * MIB);
    put("/sys/fs/memory.max", "1\n"); // no part of it
    assert_int_equal(look().group_limit, 5 * MIB);
    put("/sys/fs/cgroup/a/bb/memory.max", "1\n"); // neither
    assert_int_equal(look().group_limit, 5 * MIB);
}

static void
a_container_sees_its_part_of_the_tree(void **state)
{
    static const struct {
        const char *group, *mount, *where;
    } containers[] = {
        // Its own namespace: the group is the mount's top.
        {"0::/\n", V2_MOUNT, "/sys/fs/cgroup/memory.max"},
        // The host's path, and a mount that begins in the middle of it.
        {"0::/docker/abc/x\n", "1 2 0:1 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
         "/sys/fs/cgroup/x/memory.max"},
        {"0::/docker/abc\n", "1 2 0:1 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
         "/sys/fs/cgroup/memory.max"},
        // Elsewhere: not below the mount's top, or outside of the namespace.
        {"0::/docker/abcd\n", "1 2 0:1 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
         "/sys/fs/cgroup/memory.max"},
        {"0::/../../other\n", V2_MOUNT, "/sys/fs/cgroup/memory.max"},
        {"0::/a/../../other\n", V2_MOUNT, "/sys/fs/cgroup/memory.max"},
        {"0::/../x\n", "1 2 0:1 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
         "/sys/fs/cgroup/memory.max"},
        // A name with a blank, and one that only looks so.
        {"0::/a\n", "1 2 0:1 / /my\\040groups\\134x rw - cgroup2 cgroup rw\n",
         "/my groups\\x/a/memory.max"},
        {"0::/a\n", "1 2 0:1 / /my\\04groups rw - cgroup2 cgroup rw\n",
         "/my\\04groups/a/memory.max"},
        // Optional fields before the dash, none at all behind it; a mount that shows another part.
        {"0::/a\n", "1 2 0:1 / /cg rw a:1 b:2 c:3 - cgroup2 none\n", "/cg/a/memory.max"},
        {"0::/a/b\n",
         "1 2 0:1 /other /first rw - cgroup2 cgroup rw\n1 2 0:1 /a /second rw - cgroup2 cgroup "
         "rw\n",
         "/second/b/memory.max"},
        {"0::/a/b\n",
         "1 2 0:1 /other /first rw - cgroup2 cgroup rw\n1 2 0:1 /ab /second rw - cgroup2 x rw\n",
         "/first/memory.max"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(containers) / sizeof(containers[0]); i++) {
        put("/proc/self/cgroup", containers[i].group);
        put("/proc/self/mountinfo", containers[i].mount);
        no_groups();
        put(containers[i].where, "2097152\n");
        assert_int_equal(look().group_limit, 2 * MIB);
        CHECK(unlink(path_of(containers[i].where)) == 0);
    }
    // A name that begins as the mount's top does: what is left of it is no path.
    put("/proc/self/cgroup", "0::/docker/abcd\n");
    put("/proc/self/mountinfo", "1 2 0:1 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
    put("/sys/fs/cgroupd/memory.max", "1\n");
    no_groups();
    // The group's path goes out of the mount: never read there.
    put("/proc/self/cgroup", "0::/../secret\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/secret/memory.max", "1\n");
    no_groups();
}

// ---- version 1, and both

static void
the_group_of_version_1_is_in_the_hierarchy_of_memory(void **state)
{
    struct zcb_image_memory memory;

    (void)state;
    put("/proc/self/cgroup", "9:name=systemd:/\n5:cpu,cpuacct:/x\n4:memory:/jobs/7\n0::/\n");
    put("/proc/self/mountinfo", V1_MOUNT);
    put("/sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", V1_NONE);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", V1_NONE);
    put("/sys/fs/cgroup/cpu/x/memory.limit_in_bytes", "1\n");
    no_groups();
    put("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "6291456\n");
    put("/sys/fs/cgroup/memory/jobs/memory.usage_in_bytes", "4194304\n");
    put("/sys/fs/cgroup/memory/jobs/memory.stat",
        "inactive_file 1\nhierarchical_memory_limit 6291456\ntotal_inactive_file 1048576\n");
    memory = look();
    assert_int_equal(memory.group_version, 1);
    assert_int_equal(memory.group_limit, 6 * MIB);
    assert_int_equal(memory.group_free, 3 * MIB);
    // A limit of a group that cannot be seen from here.
    put("/sys/fs/cgroup/memory/jobs/7/memory.stat", "hierarchical_memory_limit 2097152\n");
    put("/sys/fs/cgroup/memory/jobs/7/memory.usage_in_bytes", "1048576\n");
    memory = look();
    assert_int_equal(memory.group_limit, 2 * MIB);
    assert_int_equal(memory.group_free, 1 * MIB);
    put("/sys/fs/cgroup/memory/jobs/7/memory.stat",
        "hierarchical_memory_limit 9223372036854771712\n");
    assert_int_equal(look().group_limit, 6 * MIB);
    put("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "-1\n");
    put("/sys/fs/cgroup/memory/jobs/memory.stat", "total_inactive_file 5\n");
    no_groups();
    // Beside other controllers.
    put("/proc/self/cgroup", "4:cpu,memory:/jobs/7\n");
    put("/proc/self/mountinfo", "1 2 0:1 / /cg rw - cgroup cgroup rw,cpu,memory,xattr\n");
    put("/cg/jobs/7/memory.limit_in_bytes", "1048576\n");
    assert_int_equal(look().group_limit, 1 * MIB);
    // Names that only begin, or end, that way.
    put("/proc/self/cgroup", "4:memoryx,xmemory:/jobs/7\n");
    no_groups();
    put("/proc/self/cgroup", "4:memory:/jobs/7\n");
    put("/proc/self/mountinfo", "1 2 0:1 / /cg rw - cgroup cgroup rw,memoryx,xmemory\n");
    no_groups();
}

static void
both_versions_at_once_are_the_lower_of_both(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/a\n0::/b\n");
    put("/proc/self/mountinfo",
        V1_MOUNT "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "3145728\n");
    assert_int_equal(look().group_limit, 3 * MIB);
    assert_int_equal(look().group_version, 1);
    put("/sys/fs/cgroup/unified/b/memory.max", "2097152\n");
    assert_int_equal(look().group_limit, 2 * MIB);
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1048576\n");
    assert_int_equal(look().group_limit, 1 * MIB);
    assert_int_equal(look().group_free, 1 * MIB);
}

// ---- nonsense

static void
a_limit_that_is_no_number_is_none(void **state)
{
    static const char *const nonsense[] = {"",
                                           "\n",
                                           "max",
                                           "max\n",
                                           "min\n",
                                           "-1\n",
                                           "1x\n",
                                           "0x100000\n",
                                           "\0\n",
                                           "1\r\n",
                                           "18446744073709551615\n",
                                           "18446744073709551616\n",
                                           "99999999999999999999999999999999\n"};

    (void)state;
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        put("/sys/fs/cgroup/a/memory.max", nonsense[i]);
        no_groups();
    }
    put("/sys/fs/cgroup/a/memory.max", "0\n"); // a number
    assert_int_equal(look().group_limit, 0);
    put("/sys/fs/cgroup/a/memory.max", "18446744073709551614\n");
    assert_int_equal(look().group_limit, UINT64_MAX - 1);
    put("/sys/fs/cgroup/a/memory.max", "1048576"); // no end of line
    put("/sys/fs/cgroup/a/memory.current", "garbage");
    put("/sys/fs/cgroup/a/memory.stat", "inactive_file\ninactive_file\t77\n");
    assert_int_equal(look().group_free, 1 * MIB);
}

static void
malformed_lists_of_groups_and_mounts_are_passed_over(void **state)
{
    static const char *const groups[] = {
        "",       "\n",      "0",        "0:",          "0::",        "0::a\n",
        "::::\n", "1::/a\n", "0:x:/a\n", "4:memory:\n", "memory:/a\n"};
    static const char *const mounts[] = {
        "",
        "\n",
        " - \n",
        " - cgroup2\n",
        " - cgroup2 x\n",
        "1 - cgroup2 x y\n",
        "1 2 3 4 5 6 - cgroup2 x y\n",
        "1 2 0:1 / /cg - cgroup2 x y\n",
        "1 2 0:1 cg /cg rw - cgroup2 x y\n",
        "1 2 0:1 / cg rw - cgroup2 x y\n",
        "1 2 0:1 / /cg rw cgroup2 x y\n",
        "1 2 0:1 / /cg rw - cgroup3 x y\n",
        "1 2 0:1 / /cg rw - cgroup x\n",
        "1 2 0:1 / /cg rw - cgroup x \n",
    };

    (void)state;
    put("/cg/a/memory.max", "1\n");
    put("/cg/a/memory.limit_in_bytes", "1\n");
    put("/cg/memory.limit_in_bytes", "1\n");
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        put("/proc/self/cgroup", groups[i]);
        put("/proc/self/mountinfo", "1 2 0:1 / /cg rw - cgroup2 x y\n"
                                    "1 2 0:1 / /cg rw - cgroup x memory\n");
        no_groups();
    }
    put("/proc/self/cgroup", "4:memory:/a\n0::/a\n");
    assert_int_equal(look().group_limit, 1); // it is good as it stands
    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        put("/proc/self/mountinfo", mounts[i]);
        no_groups();
    }
    CHECK(unlink(path_of("/proc/self/mountinfo")) == 0);
    no_groups();
}

// A path of `len` bytes, all one long name after another.
static void
long_path(char *out, size_t len)
{
    memset(out, 'a', len);
    for (size_t i = 0; i < len; i += 200)
        out[i] = '/';
    out[len] = '\0';
}

static void
files_and_paths_of_any_length_are_read_within_bounds(void **state)
{
    static char text[1200000], path[9000];
    size_t len;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        long_path(path, i == 0 ? 4094 : i == 1 ? 4096 : 8990);
        snprintf(text, sizeof(text), "0::%s\n", path);
        put("/proc/self/cgroup", text);
        put("/proc/self/mountinfo", V2_MOUNT);
        no_groups();
        snprintf(text, sizeof(text), "1 2 0:1 / %s rw - cgroup2 x y\n", path);
        put("/proc/self/mountinfo", text);
        no_groups();
        put("/proc/self/cgroup", "0::/a\n");
        no_groups();
        snprintf(text, sizeof(text), "1 2 0:1 %s /cg rw - cgroup2 x y\n", path);
        put("/proc/self/mountinfo", text);
        no_groups();
    }
    // Zeros, and what comes behind the first MiB of a file.
    memset(text, 0, sizeof(text));
    put_bytes("/proc/self/mountinfo", text, 100000);
    put_bytes("/proc/self/cgroup", text, 100000);
    no_groups();
    put("/proc/self/cgroup", "0::/a\n");
    put("/sys/fs/cgroup/a/memory.max", "1\n");
    memset(text, 'x', sizeof(text));
    for (size_t i = 99; i < sizeof(text); i += 100)
        text[i] = '\n';
    len = strlen(V2_MOUNT);
    memcpy(text + 600000, V2_MOUNT, len);
    put_bytes("/proc/self/mountinfo", text, sizeof(text));
    assert_int_equal(look().group_limit, 1);
    memset(text + 600000, 'x', len - 1);
    memcpy(text + 1100000, V2_MOUNT, len);
    put_bytes("/proc/self/mountinfo", text, sizeof(text));
    no_groups();
}

static void
a_fifo_or_a_folder_in_place_of_a_file_does_not_stop_anybody(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    make_folders("/sys/fs/cgroup/a/memory.max/");
    CHECK(mkfifo(path_of("/sys/fs/cgroup/a/memory.high"), 0600) == 0);
    no_groups();
}

static void
nothing_stays_open(void **state)
{
    int before = dup(0), after;

    (void)state;
    close(before);
    put("/proc/self/cgroup", "4:memory:/a\n0::/b\n");
    put("/proc/self/mountinfo", V1_MOUNT V2_MOUNT);
    put("/sys/fs/cgroup/b/memory.max", "5242880\n");
    for (int i = 0; i < 10; i++)
        assert_int_equal(look().group_limit, 5 * MIB);
    after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

// ---- the real one

static void
the_system_itself_is_asked(void **state)
{
    struct {
        struct zcb_image_memory now;
        uint64_t later;
    } newer;
    uint64_t older[2] = {1, 1};

    (void)state;
    memset(&newer, 0xee, sizeof(newer));
    assert_int_equal(zcb_image_memory(NULL, sizeof(newer)), -EINVAL);
    assert_int_equal(zcb_image_memory(&newer.now, 0), -EINVAL);
    assert_int_equal(zcb_image_memory(&newer.now, sizeof(newer)), 0);
    assert_true(newer.now.physical >= 16 * MIB);
    assert_true(newer.now.physical != NONE);
    assert_true(newer.now.available <= newer.now.physical);
    assert_true(newer.now.free <= newer.now.available);
    assert_int_equal(newer.later, 0);
    assert_int_equal(zcb_image_memory((struct zcb_image_memory *)older, sizeof(older[0])), 0);
    assert_int_equal(older[0], newer.now.physical);
    assert_int_equal(older[1], 1);
}

static void
limit_the_process(void *arg)
{
    struct rlimit limit = {.rlim_cur = 1 << 30, .rlim_max = RLIM_INFINITY};
    struct zcb_image_memory memory;

    (void)arg;
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    CHECK(zcb_image_memory(&memory, sizeof(memory)) == 0);
    CHECK(memory.process_limit == 1 << 30);
    CHECK(memory.process_free < 1 << 30);
    CHECK(memory.free <= memory.process_free);
    if (ZCB_UNDER_ASAN || ZCB_UNDER_TSAN) // whose shadow is larger
        return;
    CHECK(memory.process_free > 1 << 29);
    limit.rlim_cur = 1 << 29;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(zcb_image_memory(&memory, sizeof(memory)) == 0);
    CHECK(memory.process_limit == 1 << 29);
    CHECK(memory.process_free < 1 << 29);
}

static void
a_limit_that_is_set_is_seen(void **state)
{
    struct child child = child_run(limit_the_process, NULL);

    (void)state;
    assert_child_succeeded(child);
}

int
main(void)
{
#define IN_A_TREE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_TREE(without_groups_it_is_what_the_machine_has),
        IN_A_TREE(what_is_missing_or_nonsense_is_no_limit),
        IN_A_TREE(limits_of_the_process_leave_what_it_has_not_used),
        IN_A_TREE(the_group_of_version_2_counts_without_its_idle_cache),
        IN_A_TREE(groups_above_count_as_well),
        IN_A_TREE(a_container_sees_its_part_of_the_tree),
        IN_A_TREE(the_group_of_version_1_is_in_the_hierarchy_of_memory),
        IN_A_TREE(both_versions_at_once_are_the_lower_of_both),
        IN_A_TREE(a_limit_that_is_no_number_is_none),
        IN_A_TREE(malformed_lists_of_groups_and_mounts_are_passed_over),
        IN_A_TREE(files_and_paths_of_any_length_are_read_within_bounds),
        IN_A_TREE(a_fifo_or_a_folder_in_place_of_a_file_does_not_stop_anybody),
        IN_A_TREE(nothing_stays_open),
        cmocka_unit_test(the_system_itself_is_asked),
        cmocka_unit_test(a_limit_that_is_set_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
