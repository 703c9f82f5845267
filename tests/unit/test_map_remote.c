// SPDX-License-Identifier: MIT
//
// Files behind another process: a small FUSE server that can fail, change and lie as networks and
// disks do. It is mounted where nobody else sees it; exits with 77 where this may not be done.
//
// The server is a child that dies with the test: in the same process, it would end before the files
// are closed, which wait for it.
//
// The messages are those of <linux/fuse.h>.

#include "map_testing.h"

#include <linux/fuse.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#define SIZE (40 * PAGE + 123)
#define NODE 2 // of the one file

static struct server {
    int device;
    // Set by a test while nothing is read.
    size_t size;       // what stat says
    size_t content;    // what there is
    size_t fails_from; // reads that reach to there are errors
    bool is_direct;    // no pages are kept: cannot be mapped as shared
    bool is_silent;    // about the file system it is
    bool changes;      // each read makes the file a second younger
    size_t shrinks_to; // after the first read; 0: does not
    // Kept by the server->
    uint64_t seconds;
    unsigned reads;
} * server; // both see it

static char mount_point[] = "/tmp/zcbuf-fuse-XXXXXX";

// ---- the server ---------------------------------------------------------------------------------

static void
answer(uint64_t unique, int error, const void *body, size_t len)
{
    static uint8_t message[sizeof(struct fuse_out_header) + (1 << 20)];
    struct fuse_out_header header = {
        .len = (uint32_t)(sizeof(header) + len), .error = error, .unique = unique};

    memcpy(message, &header, sizeof(header));
    if (len != 0)
        memcpy(message + sizeof(header), body, len);
    // It may fail: who asked can have gone meanwhile.
    if (write(server->device, message, header.len) < 0 && errno != ENOENT)
        fprintf(stderr, "answer: %s\n", strerror(errno));
}

static struct fuse_attr
attributes(uint64_t node)
{
    struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096, .mode = S_IFDIR | 0755};

    if (node == NODE) {
        attr.mode = S_IFREG | 0644;
        attr.size = server->size;
        attr.mtime = server->seconds;
    }
    return attr;
}

static void
answer_read(uint64_t unique, const struct fuse_read_in *in)
{
    static uint8_t bytes[1 << 20];
    size_t off = (size_t)in->offset, len = 0;

    server->reads++;
    if (server->changes)
        server->seconds++;
    if (off + in->size > server->fails_from) {
        answer(unique, -EIO, NULL, 0);
        return;
    }
    while (len < in->size && len < sizeof(bytes) && off + len < server->content) {
        bytes[len] = byte_at(off + len);
        len++;
    }
    if (server->shrinks_to != 0)
        server->size = server->content = server->shrinks_to;
    answer(unique, 0, bytes, len);
}

static void
serve_one(const struct fuse_in_header *in, const void *body)
{
    struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
    struct fuse_entry_out entry = {.nodeid = NODE, .attr = attributes(NODE)};
    struct fuse_attr_out attr = {.attr = attributes(in->nodeid)};
    struct fuse_statfs_out statfs = {.st = {.bsize = 4096, .frsize = 4096}};
    struct fuse_open_out open = {.open_flags = server->is_direct ? FOPEN_DIRECT_IO : 0};

    switch (in->opcode) {
    case FUSE_INIT:
        answer(in->unique, 0, &init, sizeof(init));
        break;
    case FUSE_LOOKUP:
        answer(in->unique, 0, &entry, sizeof(entry));
        break;
    case FUSE_GETATTR:
        answer(in->unique, 0, &attr, sizeof(attr));
        break;
    case FUSE_OPEN:
        answer(in->unique, 0, &open, sizeof(open));
        break;
    case FUSE_READ:
        answer_read(in->unique, body);
        break;
    case FUSE_STATFS:
        answer(in->unique, server->is_silent ? -ENOSYS : 0, &statfs,
               server->is_silent ? 0 : sizeof(statfs));
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
        break; // which want no answer
    case FUSE_RELEASE:
    case FUSE_FLUSH:
        answer(in->unique, 0, NULL, 0);
        break;
    default:
        answer(in->unique, -ENOSYS, NULL, 0);
    }
}

static void
serve(void)
{
    static _Alignas(8) uint8_t message[1 << 17];

    while (read(server->device, message, sizeof(message)) > 0 || errno == EINTR || errno == ENOENT)
        serve_one((const void *)message, message + sizeof(struct fuse_in_header));
}

static void
write_text(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0)
            fprintf(stderr, "%s: %s\n", name, strerror(errno));
        close(fd);
    }
}

// A place of our own to mount in: as root, or as root of a new user's space.
static bool
enter_own_space(void)
{
    unsigned uid = getuid(), gid = getgid();
    char text[64];

    if (unshare(CLONE_NEWNS) != 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
            return false;
        write_text("/proc/self/setgroups", "deny");
        snprintf(text, sizeof(text), "0 %u 1", uid);
        write_text("/proc/self/uid_map", text);
        snprintf(text, sizeof(text), "0 %u 1", gid);
        write_text("/proc/self/gid_map", text);
    }
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool
start_server(void)
{
    char options[128];
    bool is_there;
    pid_t child;

    server->device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (server->device < 0 || !enter_own_space() || mkdtemp(mount_point) == NULL)
        return false;
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", server->device);
    is_there = mount("zcbuf", mount_point, "fuse", MS_NOSUID | MS_NODEV, options) == 0;
    if (!is_there) {
        rmdir(mount_point);
        return false;
    }
    child = fork();
    if (child == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() != 1)
            serve();
        _exit(0);
    }
    close(server->device);
    return child > 0;
}

static void
reset_server(void)
{
    server->size = server->content = SIZE;
    server->fails_from = SIZE_MAX;
    server->is_direct = server->changes = server->is_silent = false;
    server->shrinks_to = 0;
    server->seconds = 1000;
    server->reads = 0;
}

static int
open_file(void)
{
    char name[64];
    int fd;

    snprintf(name, sizeof(name), "%s/file", mount_point);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

// cmocka's handler for SIGBUS does not call the one that it replaces: see test_map_file.c.
static struct sigaction ours;

static void
put_our_handler_back(void)
{
    sigaction(SIGBUS, &ours, NULL);
}

// ---- tests --------------------------------------------------------------------------------------

static uint64_t
copied(void)
{
    struct zcb_copies copies;

    zcb_copies_thread(&copies);
    return copies.bytes[ZCB_COPY_MAP];
}

static void
check_bytes(const struct zcb_packet *packet, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        CHECK(packet->data[i] == byte_at(i));
}

static void
check_copied(bool is_silent)
{
    struct zcb_packet packet;
    uint64_t before = copied();
    int fd;

    reset_server();
    server->is_silent = is_silent;
    fd = open_file();
    packet = must_map(fd, 0, 0, ZCB_MAP_SEQUENTIAL);
    close(fd);
    assert_int_equal(packet.len, SIZE);
    assert_int_equal(copied() - before, SIZE);
    check_bytes(&packet, 0, SIZE);
    assert_int_equal(zcb_map_status(&packet), 0);
    server->fails_from = 0; // which is no matter any more
    assert_int_equal(zcb_map_forget(&packet), 0);
    check_bytes(&packet, 0, SIZE);
    zcb_packet_unref(&packet);
}

static void
a_remote_file_is_copied(void **state)
{
    (void)state;
    check_copied(false);
    check_copied(true);
}

static void
an_error_while_it_is_copied_is_the_callers(void **state)
{
    struct zcb_packet packet = {0};
    int fd;

    (void)state;
    reset_server();
    server->fails_from = 20 * PAGE;
    fd = open_file();
    assert_int_equal(zcb_map_file(fd, 0, 0, 0, &packet), -EIO);
    assert_null(packet.owner);
    close(fd);
}

static void
an_error_in_a_mapping_is_zeros_and_a_status(void **state)
{
    struct zcb_packet packet;
    uint64_t before = copied();
    int fd;

    (void)state;
    put_our_handler_back();
    reset_server();
    fd = open_file();
    packet = must_map(fd, 0, 0, ZCB_MAP_ONLY | ZCB_MAP_RANDOM);
    assert_int_equal(copied(), before);
    check_bytes(&packet, 0, 5 * PAGE);
    assert_int_equal(zcb_map_status(&packet), 0);
    server->fails_from = 0; // the disk breaks, or the network goes
    for (size_t i = 20 * PAGE; i < SIZE; i++)
        CHECK(((const volatile uint8_t *)packet.data)[i] == 0);
    assert_int_equal(zcb_map_status(&packet), -EIO);
    server->fails_from = SIZE_MAX;
    check_bytes(&packet, 0, 20 * PAGE);
    assert_int_equal(zcb_map_status(&packet), -EIO);
    zcb_packet_unref(&packet);
    packet = must_map(fd, 0, 0, ZCB_MAP_ONLY); // a new one is as good as the file is now
    check_bytes(&packet, 0, SIZE);
    assert_int_equal(zcb_map_status(&packet), 0);
    zcb_packet_unref(&packet);
    close(fd);
}

static void
an_error_while_pages_are_read_ahead_is_met_where_they_are_used(void **state)
{
    struct zcb_packet packet;
    int fd;

    (void)state;
    put_our_handler_back();
    reset_server();
    server->fails_from = 10 * PAGE;
    fd = open_file();
    packet = must_map(fd, 0, 0, ZCB_MAP_ONLY | ZCB_MAP_POPULATE);
    for (size_t i = 0; i < 9 * PAGE; i++)
        CHECK(((const volatile uint8_t *)packet.data)[i] == byte_at(i));
    CHECK(((const volatile uint8_t *)packet.data)[30 * PAGE] == 0);
    assert_int_equal(zcb_map_status(&packet), -EIO);
    zcb_packet_unref(&packet);
    close(fd);
}

static void
a_file_that_changes_while_it_is_copied_is_stale(void **state)
{
    static const uint32_t flags[] = {0, ZCB_MAP_STABLE};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct zcb_packet packet;
        int fd;

        reset_server();
        server->changes = true;
        server->is_direct = true;
        fd = open_file();
        packet = must_map(fd, 0, 0, flags[i]);
        assert_int_equal(packet.len, SIZE);
        assert_int_equal(zcb_map_status(&packet), -ESTALE);
        server->changes = false;
        zcb_packet_unref(&packet);
        packet = must_map(fd, 0, 0, flags[i]);
        assert_int_equal(zcb_map_status(&packet), 0);
        zcb_packet_unref(&packet);
        close(fd);
    }
}

static void
a_file_that_is_cut_while_it_is_copied_is_an_error(void **state)
{
    struct zcb_packet packet = {0};
    int fd;

    (void)state;
    for (int is_given = 0; is_given < 2; is_given++) {
        reset_server();
        server->size = server->content = 700 * PAGE; // more than one read
        server->shrinks_to = 300 * PAGE;
        server->is_direct = true;
        fd = open_file();
        assert_int_equal(zcb_map_file(fd, 0, is_given ? 700 * PAGE : 0, 0, &packet), -EIO);
        assert_true(server->reads > 1);
        assert_null(packet.owner);
        close(fd);
    }
}

// As files of /proc are: the size is 0, or a page, and means nothing.
static void
a_size_that_is_not_the_files_is_seen_through(void **state)
{
    static const size_t sizes[] = {0, SIZE + 1, 100 * PAGE};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct zcb_packet packet = {0};
        int fd;

        reset_server();
        server->size = sizes[i];
        server->is_direct = true;
        fd = open_file();
        packet = must_map(fd, 0, 0, 0);
        assert_int_equal(packet.len, SIZE);
        check_bytes(&packet, 0, SIZE);
        assert_int_equal(zcb_map_status(&packet), 0);
        zcb_packet_unref(&packet);
        packet = must_map(fd, SIZE - 5, 5, 0);
        assert_int_equal(packet.len, 5);
        zcb_packet_unref(&packet);
        assert_int_equal(zcb_map_file(fd, SIZE - 5, 6, 0, &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, 0, 0, ZCB_MAP_STABLE | ZCB_MAP_ONLY, &packet), -ENOTSUP);
        close(fd);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_remote_file_is_copied),
        cmocka_unit_test(an_error_while_it_is_copied_is_the_callers),
        cmocka_unit_test(an_error_in_a_mapping_is_zeros_and_a_status),
        cmocka_unit_test(an_error_while_pages_are_read_ahead_is_met_where_they_are_used),
        cmocka_unit_test(a_file_that_changes_while_it_is_copied_is_stale),
        cmocka_unit_test(a_file_that_is_cut_while_it_is_copied_is_an_error),
        cmocka_unit_test(a_size_that_is_not_the_files_is_seen_through),
    };
    struct zcb_packet packet;
    int failed;

    server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(server != MAP_FAILED);
    alarm(CHILD_SECONDS); // a server that does not answer
    reset_server();
    if (!start_server()) {
        printf("FUSE cannot be mounted here: %s\n", strerror(errno));
        return 77;
    }
    packet = must_map(make_file(1), 0, 0, 0);
    zcb_packet_unref(&packet);
    sigaction(SIGBUS, NULL, &ours);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    umount2(mount_point, MNT_FORCE);
    umount2(mount_point, MNT_DETACH);
    rmdir(mount_point);
    return failed;
}
