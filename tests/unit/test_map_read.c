// SPDX-License-Identifier: MIT
//
// What is read into memory instead of mapped: pipes, sockets, devices, files that a kernel makes
// up, with their limits; what needs no copy although it asks for one; pages that are forgotten.

#include "map_testing.h"

#include "support/pools.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

static uint64_t
copied(uint64_t *calls)
{
    struct zcb_copies copies;

    zcb_copies_thread(&copies);
    if (calls != NULL)
        *calls = copies.calls[ZCB_COPY_MAP];
    assert_int_equal(zcb_copies_bytes(&copies), copies.bytes[ZCB_COPY_MAP]);
    return copies.bytes[ZCB_COPY_MAP];
}

static void
check_bytes(const struct zcb_packet *packet, size_t from, size_t len)
{
    CHECK(packet->len == len);
    for (size_t i = 0; i < len; i++)
        CHECK(packet->data[i] == byte_at(from + i));
}

// ---- a thread that writes -----------------------------------------------------------------------

struct writer {
    int fd;
    size_t len, step;
    pthread_t thread;
};

static void *
write_all(void *argument)
{
    struct writer *writer = argument;
    uint8_t bytes[65536];

    for (size_t off = 0; off < writer->len;) {
        size_t n = writer->len - off < writer->step ? writer->len - off : writer->step;
        ssize_t put;

        for (size_t i = 0; i < n; i++)
            bytes[i] = byte_at(off + i);
        put = write(writer->fd, bytes, n);
        if (put < 0) // the reader has seen enough
            break;
        off += (size_t)put;
    }
    close(writer->fd);
    return NULL;
}

// Writes `len` bytes in pieces of `step` and closes. The other end, to be read.
static int
start_writer(struct writer *writer, bool is_socket, size_t len, size_t step)
{
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    if (is_socket)
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    else
        CHECK(pipe2(fds, O_CLOEXEC) == 0);
    *writer = (struct writer){.fd = fds[1], .len = len, .step = step};
    CHECK(pthread_create(&writer->thread, NULL, write_all, writer) == 0);
    return fds[0];
}

static void
end_writer(struct writer *writer, int fd)
{
    close(fd);
    CHECK(pthread_join(writer->thread, NULL) == 0);
}

// ---- streams ------------------------------------------------------------------------------------

static void
a_stream_is_read_to_its_end_and_counted(void **state)
{
    static const size_t lens[] = {1, 100, 4096, 65535, 65536, 65537, 1000000};
    static const size_t steps[] = {1, 4096, 65536};

    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
            for (int is_socket = 0; is_socket < 2; is_socket++) {
                struct zcb_packet packet;
                struct writer writer;
                uint64_t before, calls_before, calls;
                int fd;

                if (lens[i] > 65537 && steps[s] == 1)
                    continue;
                fd = start_writer(&writer, is_socket != 0, lens[i], steps[s]);
                before = copied(&calls_before);
                packet = must_map(fd, 0, 0, s == 0 ? 0 : ZCB_MAP_STABLE | ZCB_MAP_POPULATE);
                assert_int_equal(copied(&calls) - before, lens[i]);
                assert_int_equal(calls - calls_before, 1);
                end_writer(&writer, fd);
                check_bytes(&packet, 0, lens[i]);
                assert_int_equal(zcb_map_status(&packet), 0);
                assert_int_equal(zcb_map_forget(&packet), 0);
                check_bytes(&packet, 0, lens[i]); // a private copy is not forgotten
                zcb_packet_unref(&packet);
            }
        }
    }
}

static void
a_length_takes_so_many_bytes_from_a_stream_and_leaves_the_rest(void **state)
{
    struct zcb_packet packet = {0}, rest = {0};
    struct writer writer;
    int fd = start_writer(&writer, false, 200000, 7000);
    uint64_t before = copied(NULL);

    (void)state;
    packet = must_map(fd, 0, 70001, 0);
    check_bytes(&packet, 0, 70001);
    zcb_packet_unref(&packet);
    packet = must_map(fd, 0, 9, 0);
    check_bytes(&packet, 70001, 9);
    zcb_packet_unref(&packet);
    assert_int_equal(zcb_map_read(fd, 0, &rest), 0);
    check_bytes(&rest, 70010, 200000 - 70010);
    zcb_packet_unref(&rest);
    assert_int_equal(copied(NULL) - before, 200000);
    assert_int_equal(zcb_map_file(fd, 0, 1, 0, &packet), -ERANGE); // the end was before
    packet = must_map(fd, 0, 0, 0);
    assert_int_equal(packet.len, 0);
    assert_null(packet.owner);
    assert_int_equal(copied(NULL) - before, 200000);
    end_writer(&writer, fd);

    fd = start_writer(&writer, false, 1000, 100);
    assert_int_equal(zcb_map_file(fd, 0, 1001, 0, &packet), -ERANGE);
    assert_null(packet.owner);
    assert_int_equal(copied(NULL) - before, 201000); // they were moved, and lost
    end_writer(&writer, fd);
}

static void
a_limit_is_kept_to_the_byte(void **state)
{
    static const size_t lens[] = {1, 4095, 4096, 4097, 65536, 65537, 131072, 200000};

    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        for (int over = 0; over < 2; over++) {
            const struct zcb_packet untouched = {.data = (const uint8_t *)"x", .len = 1};
            struct zcb_packet packet = untouched;
            struct writer writer;
            int fd = start_writer(&writer, false, lens[i] + (size_t)over, 5000);
            int result = zcb_map_read(fd, lens[i], &packet);

            assert_int_equal(result, over ? -ENOBUFS : 0);
            if (over) {
                assert_memory_equal(&packet, &untouched, sizeof(packet));
            } else {
                check_bytes(&packet, 0, lens[i]);
                zcb_packet_unref(&packet);
            }
            end_writer(&writer, fd);
        }
    }
}

static size_t
address_space(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages;

    CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void
what_is_refused_leaves_no_memory_behind(void **state)
{
    const size_t len = 1 << 20;
    int fd = make_file(len);
    size_t before = address_space();

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        struct zcb_packet packet = {0};
        struct writer writer;
        int pipe_end;

        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        assert_int_equal(zcb_map_read(fd, len - 1, &packet), -ENOBUFS);
        packet = must_map(fd, 0, 0, ZCB_MAP_STABLE);
        zcb_packet_unref(&packet);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0); // from 64 KiB on, as it grows
        assert_int_equal(zcb_map_read(fd, 0, &packet), 0);
        zcb_packet_unref(&packet);
        if (i % 10 != 0)
            continue;
        pipe_end = start_writer(&writer, false, len, 65536);
        assert_int_equal(zcb_map_file(pipe_end, 0, 20 * len, 0, &packet), -ERANGE);
        end_writer(&writer, pipe_end);
    }
    // 20 MiB would be one; the threads' stacks are kept for others.
    assert_true(address_space() < before + 20 * len);
    close(fd);
}

// Endless, and its limit is the default: read to that, and refused.
static void
a_device_without_an_end_meets_the_default_limit(void **state)
{
    struct zcb_packet packet = {0};
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_RDONLY);

    (void)state;
    assert_true(zero >= 0 && null >= 0);
    assert_int_equal(zcb_map_file(zero, 0, 0, 0, &packet), -ENOBUFS);
    assert_null(packet.owner);
    packet = must_map(zero, 0, 100000, 0);
    assert_int_equal(packet.len, 100000);
    assert_int_equal(sum_of(&packet), 0);
    zcb_packet_unref(&packet);
    packet = must_map(null, 0, 0, 0);
    assert_int_equal(packet.len, 0);
    assert_int_equal(zcb_map_file(null, 0, 1, 0, &packet), -ERANGE);
    close(zero);
    close(null);
}

// A file of holes: nothing of it is in memory or on a disk.
static void
a_copy_of_a_large_file_must_be_asked_for_by_length(void **state)
{
    struct zcb_packet packet = {0};
    int fd = make_file(0);

    (void)state;
    assert_int_equal(ftruncate(fd, (off_t)ZCB_MAP_COPY_MAX + 1), 0);
    assert_int_equal(zcb_map_file(fd, 0, 0, ZCB_MAP_STABLE, &packet), -ENOBUFS);
    assert_null(packet.owner);
    packet = must_map(fd, 0, ZCB_MAP_COPY_MAX + 1, ZCB_MAP_STABLE);
    assert_int_equal(packet.len, ZCB_MAP_COPY_MAX + 1);
    zcb_packet_unref(&packet);
    packet = must_map(fd, 1, 0, ZCB_MAP_STABLE);
    assert_int_equal(packet.len, ZCB_MAP_COPY_MAX);
    zcb_packet_unref(&packet);
    packet = must_map(fd, 0, 0, 0); // no copy, no limit
    zcb_packet_unref(&packet);
    close(fd);
}

static void
a_stream_has_no_offsets_and_messages_are_no_stream(void **state)
{
    static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    struct zcb_packet packet = {0};
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "abc", 3), 3);
    assert_int_equal(zcb_map_file(fds[0], 1, 0, 0, &packet), -ESPIPE);
    assert_int_equal(zcb_map_file(fds[0], 0, 0, ZCB_MAP_ONLY, &packet), -ENOTSUP);
    assert_int_equal(zcb_map_file(fds[0], 0, 3, ZCB_MAP_ONLY | ZCB_MAP_STABLE, &packet), -ENOTSUP);
    assert_int_equal(zcb_map_file(fds[1], 0, 0, 0, &packet), -EBADF); // the end for writing
    assert_int_equal(zcb_map_read(fds[1], 0, &packet), -EBADF);
    assert_int_equal(zcb_map_read(fds[0], 0, NULL), -EINVAL);
    packet = must_map(fds[0], 0, 3, 0); // all of that took nothing
    assert_memory_equal(packet.data, "abc", 3);
    zcb_packet_unref(&packet);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(zcb_map_read(fds[0], 0, &packet), -EBADF);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, types[i], 0, fds), 0);
        assert_int_equal(zcb_map_file(fds[0], 0, 0, 0, &packet), -ENOTSUP);
        close(fds[0]);
        close(fds[1]);
    }
}

static void *
write_after_a_while(void *argument)
{
    usleep(20000);
    CHECK(write(*(int *)argument, "defg", 4) == 4);
    close(*(int *)argument);
    return NULL;
}

static void
what_does_not_wait_fails_at_once_or_goes_on(void **state)
{
    struct zcb_packet packet = {0};
    pthread_t thread;
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    assert_int_equal(zcb_map_file(fds[0], 0, 0, 0, &packet), -EAGAIN);
    assert_int_equal(zcb_map_read(fds[0], 0, &packet), -EAGAIN);
    assert_int_equal(write(fds[1], "abc", 3), 3);
    assert_int_equal(pthread_create(&thread, NULL, write_after_a_while, &fds[1]), 0);
    packet = must_map(fds[0], 0, 0, 0); // which waits for the rest
    assert_int_equal(packet.len, 7);
    assert_memory_equal(packet.data, "abcdefg", 7);
    zcb_packet_unref(&packet);
    pthread_join(thread, NULL);
    close(fds[0]);

    // A time-out of a socket is an error, not something to wait for again.
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO,
                                &(struct timeval){.tv_usec = 10000}, sizeof(struct timeval)),
                     0);
    assert_int_equal(write(fds[1], "abc", 3), 3);
    assert_int_equal(zcb_map_file(fds[0], 0, 0, 0, &packet), -EAGAIN);
    assert_null(packet.owner);
    close(fds[0]);
    close(fds[1]);
}

static volatile int interrupts;

static void
count_interrupt(int number)
{
    (void)number;
    interrupts++;
}

struct interrupter {
    pthread_t reader;
    int fd;
};

static void *
interrupt_and_write(void *argument)
{
    struct interrupter *interrupter = argument;

    for (int i = 0; i < 20; i++) {
        CHECK(pthread_kill(interrupter->reader, SIGUSR1) == 0);
        usleep(1000);
        CHECK(write(interrupter->fd, "x", 1) == 1);
    }
    close(interrupter->fd);
    return NULL;
}

static void
signals_do_not_end_it(void **state)
{
    struct sigaction action = {.sa_handler = count_interrupt}; // without SA_RESTART
    struct interrupter interrupter = {.reader = pthread_self()};
    struct zcb_packet packet;
    pthread_t thread;
    int fds[2];

    (void)state;
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(pipe(fds), 0);
    interrupter.fd = fds[1];
    assert_int_equal(pthread_create(&thread, NULL, interrupt_and_write, &interrupter), 0);
    packet = must_map(fds[0], 0, 0, 0);
    pthread_join(thread, NULL);
    assert_int_equal(packet.len, 20);
    assert_true(interrupts > 0);
    zcb_packet_unref(&packet);
    close(fds[0]);
}

// ---- files --------------------------------------------------------------------------------------

static void
a_file_is_read_from_where_it_stands(void **state)
{
    struct zcb_packet packet = {0};
    int fd = make_file(10000);

    (void)state;
    assert_int_equal(lseek(fd, 4000, SEEK_SET), 4000);
    packet = must_map(fd, 100, 50, ZCB_MAP_STABLE);
    check_bytes(&packet, 100, 50);
    zcb_packet_unref(&packet);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 4000); // which a map does not move
    assert_int_equal(zcb_map_read(fd, 0, &packet), 0);
    check_bytes(&packet, 4000, 6000);
    assert_int_equal(zcb_map_status(&packet), 0);
    zcb_packet_unref(&packet);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 10000);
    assert_int_equal(zcb_map_read(fd, 0, &packet), 0);
    assert_int_equal(packet.len, 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(zcb_map_read(fd, 9999, &packet), -ENOBUFS);
    close(fd);
}

// The same bytes as read() gives, though stat says 0 or a page.
static void
check_made_up(const char *name)
{
    static char bytes[1 << 20];
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    struct zcb_packet packet = {0};
    uint64_t before = copied(NULL);
    size_t len = 0;
    ssize_t got;

    if (fd < 0) {
        print_message("no %s here\n", name);
        return;
    }
    while ((got = pread(fd, bytes + len, sizeof(bytes) - len, (off_t)len)) > 0)
        len += (size_t)got;
    for (uint32_t flags = 0; flags <= ZCB_MAP_STABLE; flags += ZCB_MAP_STABLE) {
        packet = must_map(fd, 0, 0, flags);
        assert_int_equal(packet.len, len);
        assert_memory_equal(packet.data, bytes, len);
        assert_int_equal(zcb_map_status(&packet), 0);
        zcb_packet_unref(&packet);
        packet = must_map(fd, 1, 2, flags);
        assert_int_equal(packet.len, 2);
        assert_memory_equal(packet.data, bytes + 1, 2);
        zcb_packet_unref(&packet);
        assert_int_equal(zcb_map_file(fd, 1, len, flags, &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, (off_t)len, 0, flags, &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, 0, 0, flags | ZCB_MAP_ONLY, &packet), -ENOTSUP);
    }
    assert_true(copied(NULL) - before >= 2 * len);
    close(fd);
}

static void
what_a_kernel_makes_up_is_read(void **state)
{
    (void)state;
    check_made_up("/proc/cpuinfo");
    check_made_up("/proc/version");
    check_made_up("/proc/self/cmdline");
    check_made_up("/sys/kernel/mm/transparent_hugepage/enabled");
    check_made_up("/sys/devices/system/cpu/possible");
}

static void
an_empty_file_is_empty_whatever_is_asked(void **state)
{
    static const uint32_t flags[] = {0, ZCB_MAP_STABLE, ZCB_MAP_ONLY,
                                     ZCB_MAP_ONLY | ZCB_MAP_STABLE};
    int fd = make_file(0);

    (void)state;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct zcb_packet packet = must_map(fd, 0, 0, flags[i]);

        assert_int_equal(packet.len, 0);
        assert_null(packet.owner);
        assert_int_equal(zcb_map_file(fd, 0, 1, flags[i], &packet), -ERANGE);
        assert_int_equal(zcb_map_file(fd, 1, 0, flags[i], &packet), -ERANGE);
        assert_int_equal(zcb_map_forget(&packet), 0);
    }
    close(fd);
}

// ---- stable without a copy ----------------------------------------------------------------------

static int
make_memory(size_t len, int seals)
{
    int fd = memfd_create("zcbuf-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(fd >= 0);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = byte_at(i);

        CHECK(write(fd, &byte, 1) == 1);
    }
    CHECK(fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

static void
sealed_memory_is_stable_without_a_copy(void **state)
{
    static const struct {
        int seals;
        bool is_copied;
    } cases[] = {
        {F_SEAL_WRITE | F_SEAL_SHRINK, false},
        {F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, false},
        {F_SEAL_WRITE, true},
        {F_SEAL_SHRINK | F_SEAL_GROW, true},
        {0, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int fd = make_memory(20000, cases[i].seals);
        uint64_t before = copied(NULL);
        struct zcb_packet packet = must_map(fd, 5000, 0, ZCB_MAP_STABLE);

        check_bytes(&packet, 5000, 15000);
        assert_int_equal(copied(NULL) - before, cases[i].is_copied ? 15000 : 0);
        assert_int_equal(zcb_map_forget(&packet), 0);
        check_bytes(&packet, 5000, 15000);
        zcb_packet_unref(&packet);
        if (cases[i].is_copied) {
            assert_int_equal(zcb_map_file(fd, 0, 0, ZCB_MAP_STABLE | ZCB_MAP_ONLY, &packet),
                             -ENOTSUP);
        } else {
            packet = must_map(fd, 0, 0, ZCB_MAP_STABLE | ZCB_MAP_ONLY);
            assert_int_equal(ftruncate(fd, 0), -1);
            close(fd);
            fd = -1;
            check_bytes(&packet, 0, 20000);
            assert_int_equal(zcb_map_status(&packet), 0);
            zcb_packet_unref(&packet);
        }
        if (fd >= 0)
            close(fd);
    }
}

// Without the flag as well: it needs no guard, and no descriptor.
static void
sealed_memory_is_mapped_as_files_are(void **state)
{
    int fd = make_memory(10000, F_SEAL_WRITE | F_SEAL_SHRINK), lowest = dup(0);
    struct zcb_packet packet;

    (void)state;
    close(lowest);
    packet = must_map(fd, 1, 0, 0);
    assert_int_equal(dup(0), lowest);
    close(lowest);
    check_bytes(&packet, 1, 9999);
    assert_int_equal(zcb_map_status(&packet), 0);
    zcb_packet_unref(&packet);
    close(fd);
}

// ---- changes ------------------------------------------------------------------------------------

static void
a_write_that_keeps_the_length_is_seen_by_the_status(void **state)
{
    int fd = make_file(3 * PAGE), other = make_file(PAGE);
    struct zcb_packet packet = must_map(fd, 0, 0, 0), slice = {0};

    (void)state;
    assert_int_equal(zcb_packet_slice(&packet, 5, 100, &slice), 0);
    assert_int_equal(pwrite(other, "x", 1, 0), 1);
    assert_int_equal(zcb_map_status(&packet), 0);
    assert_int_equal(fchmod(fd, 0400), 0); // no change of what is in it
    assert_int_equal(zcb_map_status(&packet), 0);
    assert_int_equal(pwrite(fd, "x", 1, 2 * PAGE), 1);
    assert_int_equal(zcb_map_status(&packet), -ESTALE);
    assert_int_equal(zcb_map_status(&slice), -ESTALE);
    zcb_packet_unref(&packet);
    zcb_packet_unref(&slice);
    packet = must_map(fd, 0, 0, 0); // as it is now
    assert_int_equal(zcb_map_status(&packet), 0);
    zcb_packet_unref(&packet);
    close(fd);
    close(other);
}

static void
cut_and_grown_again_unread_is_seen_by_the_status(void **state)
{
    int fd = make_file(3 * PAGE);
    struct zcb_packet packet = must_map(fd, 0, 0, 0);

    (void)state;
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(ftruncate(fd, 3 * PAGE), 0);
    assert_int_equal(sum_of(&packet), 0); // no fault: there is a page of zeros
    assert_int_equal(zcb_map_status(&packet), -ESTALE);
    zcb_packet_unref(&packet);
    close(fd);
}

// ---- forgotten ----------------------------------------------------------------------------------

// Of files.
static size_t
resident_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long resident;

    CHECK(file != NULL && fscanf(file, "%*u %*u %lu", &resident) == 1);
    fclose(file);
    return resident;
}

static void
forgotten_pages_leave_memory_and_come_back_as_they_were(void **state)
{
    const size_t size = 8 << 20;
    int fd = make_file(size);
    struct zcb_packet packet = must_map(fd, 0, 0, ZCB_MAP_POPULATE);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before, after;

    (void)state;
    check_bytes(&packet, 0, size);
    before = resident_pages();
    assert_int_equal(zcb_map_forget(&packet), 0);
    after = resident_pages();
    assert_true(before - after > size / page * 9 / 10);
    check_bytes(&packet, 0, size);
    assert_int_equal(zcb_map_status(&packet), 0);
    zcb_packet_unref(&packet);
    close(fd);
}

// Slice, read, forget: what is resident at a time is the slice.
static void
a_large_file_is_read_in_little_memory(void **state)
{
    const size_t size = 32 << 20, step = 1 << 20;
    int fd = make_file(size);
    struct zcb_packet packet = must_map(fd, 0, 0, ZCB_MAP_SEQUENTIAL), slice = {0};
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = resident_pages(), most = before;

    (void)state;
    for (size_t off = 0; off < size; off += step) {
        assert_int_equal(zcb_packet_slice(&packet, off, step, &slice), 0);
        check_bytes(&slice, off, step);
        if (resident_pages() > most)
            most = resident_pages();
        assert_int_equal(zcb_map_forget(&slice), 0);
        zcb_packet_unref(&slice);
    }
    assert_true(most - before < 4 * step / page);
    zcb_packet_unref(&packet);
    close(fd);
}

static bool
is_resident(const uint8_t *at)
{
    uint64_t entry = 0;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(pread(fd, &entry, 8, (off_t)((uintptr_t)at / page * 8)) == 8);
    close(fd);
    return (entry >> 63) != 0;
}

static void
only_whole_pages_inside_the_view_are_forgotten(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd = make_file(8 * page);
    struct zcb_packet packet = must_map(fd, 0, 0, ZCB_MAP_POPULATE), view = {0};

    (void)state;
    sum_of(&packet);
    for (size_t i = 0; i < 8; i++)
        assert_true(is_resident(packet.data + i * page));
    assert_int_equal(zcb_packet_slice(&packet, page + 1, page - 1, &view), 0); // no whole page
    assert_int_equal(zcb_map_forget(&view), 0);
    zcb_packet_unref(&view);
    assert_int_equal(zcb_packet_slice(&packet, page + 1, page, &view), 0); // nor here
    assert_int_equal(zcb_map_forget(&view), 0);
    zcb_packet_unref(&view);
    for (size_t i = 0; i < 8; i++)
        assert_true(is_resident(packet.data + i * page));
    assert_int_equal(zcb_packet_slice(&packet, page + 1, 4 * page - 2, &view), 0); // 2, 3
    assert_int_equal(zcb_map_forget(&view), 0);
    zcb_packet_unref(&view);
    for (size_t i = 0; i < 8; i++)
        assert_true(is_resident(packet.data + i * page) == (i != 2 && i != 3));
    zcb_packet_unref(&packet);
    close(fd);
}

static void
what_is_no_mapping_is_not_forgotten(void **state)
{
    struct zcb_packet empty = {0}, literal = zcb_packet_static("abc", 3), heap = {0}, stable;
    struct zcb_pool *pool = must_create(NULL);
    int fd = make_file(10 * PAGE);

    (void)state;
    assert_int_equal(zcb_map_forget(NULL), -EINVAL);
    assert_int_equal(zcb_map_forget(&empty), 0);
    assert_int_equal(zcb_map_forget(&literal), 0);
    stable = must_map(fd, 0, 0, ZCB_MAP_STABLE);
    assert_int_equal(zcb_packet_copy(pool, stable.data, stable.len, &heap), 0);
    assert_int_equal(zcb_map_forget(&heap), 0);
    assert_int_equal(zcb_map_forget(&stable), 0);
    check_bytes(&heap, 0, 10 * PAGE);
    check_bytes(&stable, 0, 10 * PAGE);
    zcb_packet_unref(&heap);
    zcb_packet_unref(&stable);
    must_end(&pool);
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_read_to_its_end_and_counted),
        cmocka_unit_test(a_length_takes_so_many_bytes_from_a_stream_and_leaves_the_rest),
        cmocka_unit_test(a_limit_is_kept_to_the_byte),
        cmocka_unit_test(what_is_refused_leaves_no_memory_behind),
        cmocka_unit_test(a_device_without_an_end_meets_the_default_limit),
        cmocka_unit_test(a_copy_of_a_large_file_must_be_asked_for_by_length),
        cmocka_unit_test(a_stream_has_no_offsets_and_messages_are_no_stream),
        cmocka_unit_test(what_does_not_wait_fails_at_once_or_goes_on),
        cmocka_unit_test(signals_do_not_end_it),
        cmocka_unit_test(a_file_is_read_from_where_it_stands),
        cmocka_unit_test(what_a_kernel_makes_up_is_read),
        cmocka_unit_test(an_empty_file_is_empty_whatever_is_asked),
        cmocka_unit_test(sealed_memory_is_stable_without_a_copy),
        cmocka_unit_test(sealed_memory_is_mapped_as_files_are),
        cmocka_unit_test(a_write_that_keeps_the_length_is_seen_by_the_status),
        cmocka_unit_test(cut_and_grown_again_unread_is_seen_by_the_status),
        cmocka_unit_test(forgotten_pages_leave_memory_and_come_back_as_they_were),
        cmocka_unit_test(a_large_file_is_read_in_little_memory),
        cmocka_unit_test(only_whole_pages_inside_the_view_are_forgotten),
        cmocka_unit_test(what_is_no_mapping_is_not_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
