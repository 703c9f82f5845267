// SPDX-License-Identifier: MIT
//
// The handler for SIGBUS among other handlers, threads, processes and shortages. Which fault is
// whose is in test_map_file.c.
//
// All of it runs as `test_map_guard NAME`, a fresh process each: the library's handler is installed
// by the first mapping there, and cmocka has one of its own here.

#include "map_testing.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static volatile int calls;
static volatile bool usr1_was_blocked, bus_was_blocked;
static uint8_t *volatile frame;
static struct sigaction next; // of a handler that was installed after the library's

static struct zcb_packet
map_and_cut(size_t len, size_t left)
{
    int fd = make_file(len);
    struct zcb_packet packet = must_map(fd, 0, 0, 0);

    CHECK(ftruncate(fd, (off_t)left) == 0);
    close(fd);
    return packet;
}

// The library's handler is there afterwards.
static void
map_something(void)
{
    struct zcb_packet packet = must_map(make_file(1), 0, 0, 0);

    zcb_packet_unref(&packet);
}

static uint8_t
byte_of(const struct zcb_packet *packet, size_t off)
{
    return ((const volatile uint8_t *)packet->data)[off];
}

static bool
is_blocked(int number)
{
    sigset_t set;

    pthread_sigmask(SIG_BLOCK, NULL, &set);
    return sigismember(&set, number) == 1;
}

static void
note_call(int number)
{
    uint8_t here;

    (void)number;
    calls++;
    frame = &here;
    usr1_was_blocked = is_blocked(SIGUSR1);
    bus_was_blocked = is_blocked(SIGBUS);
}

static void
set_handler(int flags, int blocked)
{
    struct sigaction action = {.sa_handler = note_call, .sa_flags = flags};

    sigemptyset(&action.sa_mask);
    if (blocked != 0)
        sigaddset(&action.sa_mask, blocked);
    CHECK(sigaction(SIGBUS, &action, NULL) == 0);
}

static int
flags_of_ours(void)
{
    struct sigaction action;

    map_something();
    CHECK(sigaction(SIGBUS, NULL, &action) == 0);
    return action.sa_flags;
}

// What a kernel would send of a memory error; the process may send it to itself.
static void
send_code(int code, const void *address)
{
    siginfo_t info;

    memset(&info, 0, sizeof(info));
    info.si_signo = SIGBUS;
    info.si_code = code;
    info.si_addr = (void *)(uintptr_t)address;
    CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info) == 0);
}

// ---- handlers before and after ours -------------------------------------------------------------

static void
an_earlier_handler_runs_with_what_it_asked_to_be_blocked(void)
{
    set_handler(0, SIGUSR1);
    map_something();
    for (int i = 1; i <= 3; i++) {
        raise(SIGBUS);
        CHECK(calls == i && usr1_was_blocked && bus_was_blocked);
        CHECK(!is_blocked(SIGUSR1) && !is_blocked(SIGBUS));
    }
}

static void
an_earlier_handler_that_may_be_interrupted_is_not_protected(void)
{
    set_handler(SA_NODEFER, 0);
    map_something();
    raise(SIGBUS);
    CHECK(calls == 1);
    if (!ZCB_UNDER_TSAN) // which blocks all signals around handlers
        CHECK(!usr1_was_blocked && !bus_was_blocked);
}

static void
an_earlier_handler_for_one_signal_is_called_once(void)
{
    struct zcb_packet packet;

    set_handler(SA_RESETHAND, 0);
    packet = map_and_cut(PAGE, 0);
    CHECK(byte_of(&packet, 0) == 0 && calls == 0); // this was ours
    raise(SIGBUS);
    CHECK(calls == 1);
    raise(SIGBUS); // which ends the process
}

static void
system_calls_are_restarted_as_they_were(void)
{
    set_handler(SA_RESTART, 0);
    CHECK((flags_of_ours() & SA_RESTART) != 0);
}

static void
system_calls_are_interrupted_as_they_were(void)
{
    set_handler(0, 0);
    CHECK((flags_of_ours() & SA_RESTART) == 0);
}

static void
system_calls_are_not_interrupted_by_what_was_ignored(void)
{
    signal(SIGBUS, SIG_IGN);
    CHECK((flags_of_ours() & SA_RESTART) != 0);
    raise(SIGBUS);
}

static void
handle_ours_last(int number, siginfo_t *info, void *context)
{
    calls++;
    next.sa_sigaction(number, info, context);
}

static void
a_later_handler_may_pass_faults_on(void)
{
    struct sigaction later = {.sa_sigaction = handle_ours_last, .sa_flags = SA_SIGINFO};
    struct zcb_packet packet;

    map_something();
    sigemptyset(&later.sa_mask);
    CHECK(sigaction(SIGBUS, &later, &next) == 0);
    packet = map_and_cut(3 * PAGE, PAGE);
    CHECK(byte_of(&packet, 2 * PAGE) == 0 && calls == 1);
    CHECK(byte_of(&packet, PAGE) == 0 && calls == 2);
    CHECK(byte_of(&packet, 7) == byte_at(7) && calls == 2);
    CHECK(zcb_map_status(&packet) == -EIO);
    zcb_packet_unref(&packet);
}

static uint8_t other_stack[65536];

static void
the_alternate_stack_is_used(void)
{
    stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof(other_stack)};
    struct zcb_packet packet;

    set_handler(0, 0);
    map_something();
    CHECK(sigaltstack(&stack, NULL) == 0);
    packet = map_and_cut(PAGE, 0);
    CHECK(byte_of(&packet, 5) == 0);
    zcb_packet_unref(&packet);
    raise(SIGBUS);
    CHECK(calls == 1);
    if (!ZCB_UNDER_ASAN) // which may keep variables elsewhere
        CHECK(frame >= other_stack && frame < other_stack + sizeof(other_stack));
}

static void
a_thread_that_blocks_the_signal_ends_the_process(void)
{
    struct zcb_packet packet = map_and_cut(PAGE, 0);
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)byte_of(&packet, 0);
}

// ---- memory errors ------------------------------------------------------------------------------

static void
a_memory_error_in_ours_is_a_lost_page(void)
{
    struct zcb_packet packet = must_map(make_file(3 * PAGE), 0, 0, 0);

    send_code(BUS_MCEERR_AR, packet.data + PAGE + 5);
    CHECK(zcb_map_status(&packet) == -EIO);
    CHECK(byte_of(&packet, PAGE - 1) == byte_at(PAGE - 1));
    CHECK(byte_of(&packet, PAGE) == 0);
    zcb_packet_unref(&packet);
}

static void
a_memory_error_elsewhere_ends_the_process(void)
{
    struct zcb_packet packet = must_map(make_file(PAGE), 0, 0, 0);

    send_code(BUS_MCEERR_AO, packet.data); // not touched by anybody: none of ours
}

static void
an_ignored_memory_error_is_ignored(void)
{
    struct zcb_packet packet;

    signal(SIGBUS, SIG_IGN);
    packet = must_map(make_file(PAGE), 0, 0, 0);
    send_code(BUS_MCEERR_AO, packet.data);
    CHECK(zcb_map_status(&packet) == 0);
    zcb_packet_unref(&packet);
    packet = map_and_cut(PAGE, 0); // the handler is still there
    CHECK(byte_of(&packet, 0) == 0);
    zcb_packet_unref(&packet);
}

// ---- threads and processes ----------------------------------------------------------------------

enum { READERS = 4 };

struct reader {
    const struct zcb_packet *packet;
    pthread_barrier_t *start;
    size_t from, step;
    size_t zeros;
};

READS_WHAT_VANISHES static void *
read_pages(void *argument)
{
    struct reader *reader = argument;

    pthread_barrier_wait(reader->start);
    for (size_t off = reader->from; off < reader->packet->len; off += reader->step)
        reader->zeros += ((const volatile uint8_t *)reader->packet->data)[off] == 0;
    return NULL;
}

// From the end to the front and from the front to the end, so that each finds pages that another is
// replacing.
static void
many_threads_meet_the_same_hole(void)
{
    for (int round = 0; round < 50; round++) {
        struct zcb_packet packet = map_and_cut(64 * PAGE, 8 * PAGE);
        struct reader readers[READERS];
        pthread_t threads[READERS];
        pthread_barrier_t start;

        CHECK(pthread_barrier_init(&start, NULL, READERS) == 0);
        for (size_t i = 0; i < READERS; i++) {
            readers[i] = (struct reader){&packet, &start, (64 - 13 * i) % 64 * PAGE, PAGE, 0};
            CHECK(pthread_create(&threads[i], NULL, read_pages, &readers[i]) == 0);
        }
        for (size_t i = 0; i < READERS; i++) {
            size_t first = readers[i].from / PAGE;

            CHECK(pthread_join(threads[i], NULL) == 0);
            CHECK(readers[i].zeros == 64 - (first < 8 ? 8 : first));
        }
        CHECK(byte_of(&packet, 8 * PAGE - 1) == byte_at(8 * PAGE - 1));
        CHECK(zcb_map_status(&packet) == -EIO);
        zcb_packet_unref(&packet);
        pthread_barrier_destroy(&start);
    }
}

static void
a_child_has_faults_of_its_own(void)
{
    int fd = make_file(4 * PAGE), status;
    struct zcb_packet packet = must_map(fd, 0, 0, 0);
    pid_t child = fork();

    if (child == 0) {
        CHECK(ftruncate(fd, PAGE) == 0);
        CHECK(byte_of(&packet, 2 * PAGE) == 0);
        CHECK(zcb_map_status(&packet) == -EIO);
        CHECK(ftruncate(fd, 4 * PAGE) == 0);
        CHECK(zcb_map_status(&packet) == -EIO);
        zcb_packet_unref(&packet);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(zcb_map_status(&packet) == -ESTALE); // here, nothing was lost
    CHECK(byte_of(&packet, 5) == byte_at(5));
    CHECK(ftruncate(fd, PAGE) == 0);
    CHECK(byte_of(&packet, PAGE) == 0);
    CHECK(zcb_map_status(&packet) == -EIO);
    zcb_packet_unref(&packet);
}

// ---- sizes and shortages ------------------------------------------------------------------------

static void
any_length_is_guarded_to_its_end(void)
{
    static const size_t lens[] = {1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 16 * PAGE + 1};

    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        for (size_t from = 0; from < lens[i]; from += PAGE) {
            int fd = make_file(lens[i]);
            struct zcb_packet packet = must_map(fd, from, 0, 0);

            CHECK(ftruncate(fd, 0) == 0);
            CHECK(byte_of(&packet, packet.len - 1) == 0);
            // The rest of the page is no part of the packet, but what copies by words may read it.
            CHECK(*(const volatile uint8_t *)((uintptr_t)(packet.data + packet.len - 1) |
                                              (PAGE - 1)) == 0);
            CHECK(zcb_map_status(&packet) == -EIO);
            zcb_packet_unref(&packet);
            close(fd);
        }
    }
}

// Every second page gets another protection until the process may have no further mapping.
static void
use_up_mappings(void)
{
    const size_t count = 1 << 20;
    uint8_t *pages =
        mmap(NULL, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    CHECK(pages != MAP_FAILED);
    for (size_t i = 1; i < count; i += 2) {
        if (mprotect(pages + i * PAGE, PAGE, PROT_READ) != 0)
            return;
    }
    printf("no limit here\n");
}

static void
a_process_without_a_mapping_left_lives_on(void)
{
    struct zcb_packet packets[20];

    if (ZCB_UNDER_TSAN) // which needs mappings of its own
        return;
    for (size_t i = 0; i < 20; i++)
        packets[i] = map_and_cut(16 * PAGE, 8 * PAGE);
    use_up_mappings();
    for (size_t i = 0; i < 20; i++) {
        CHECK(byte_of(&packets[i], 12 * PAGE) == 0);
        CHECK(byte_of(&packets[i], 9 * PAGE) == 0);
        (void)byte_of(&packets[i], PAGE); // which may be lost as well
        CHECK(zcb_map_status(&packets[i]) == -EIO);
    }
    for (size_t i = 0; i < 20; i++)
        zcb_packet_unref(&packets[i]);
}

static void
huge_pages_are_guarded_as_a_whole(void)
{
    int fd = memfd_create("zcbuf-huge", MFD_CLOEXEC | MFD_HUGETLB);
    struct stat info = {0};
    size_t huge;
    struct zcb_packet packet;
    uint8_t *memory;

    CHECK(fd < 0 || fstat(fd, &info) == 0);
    huge = (size_t)info.st_blksize;
    if (fd < 0 || ftruncate(fd, (off_t)(2 * huge)) != 0 ||
        (memory = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
        printf("no huge pages here\n");
        return;
    }
    memory[5] = 5;
    memory[huge + 7] = 7;
    munmap(memory, 2 * huge);
    for (int i = 0; i < 3; i++) { // each must give its pages back
        packet = must_map(fd, 3, 0, 0);
        CHECK(packet.len == 2 * huge - 3 && byte_of(&packet, 2) == 5);
        CHECK(byte_of(&packet, huge + 4) == 7);
        CHECK(zcb_map_forget(&packet) == 0);
        CHECK(byte_of(&packet, huge + 4) == 7);
        CHECK(zcb_map_status(&packet) == 0);
        memory = (uint8_t *)(uintptr_t)packet.data - 3;
        zcb_packet_unref(&packet);
        CHECK(msync(memory, 1, MS_ASYNC) != 0 && errno == ENOMEM); // it is unmapped
    }
    packet = must_map(fd, 3, 0, 0);
    CHECK(ftruncate(fd, (off_t)huge) == 0);
    CHECK(byte_of(&packet, huge + huge / 2) == 0 && byte_of(&packet, 2) == 5);
    CHECK(zcb_map_status(&packet) == -EIO);
    zcb_packet_unref(&packet);
}

// ---- how they run -------------------------------------------------------------------------------

static const struct {
    const char *name;
    void (*body)(void);
    int dies_of; // 0: it succeeds
} cases[] = {
#define CASE(function, number)                                                                     \
    {                                                                                              \
#function, function, number                                                                \
    }
    CASE(an_earlier_handler_runs_with_what_it_asked_to_be_blocked, 0),
    CASE(an_earlier_handler_that_may_be_interrupted_is_not_protected, 0),
    CASE(an_earlier_handler_for_one_signal_is_called_once, SIGBUS),
    CASE(system_calls_are_restarted_as_they_were, 0),
    CASE(system_calls_are_interrupted_as_they_were, 0),
    CASE(system_calls_are_not_interrupted_by_what_was_ignored, 0),
    CASE(a_later_handler_may_pass_faults_on, 0),
    CASE(the_alternate_stack_is_used, 0),
    CASE(a_thread_that_blocks_the_signal_ends_the_process, SIGBUS),
    CASE(a_memory_error_in_ours_is_a_lost_page, 0),
    CASE(a_memory_error_elsewhere_ends_the_process, SIGBUS),
    CASE(an_ignored_memory_error_is_ignored, 0),
    CASE(many_threads_meet_the_same_hole, 0),
    CASE(a_child_has_faults_of_its_own, 0),
    CASE(any_length_is_guarded_to_its_end, 0),
    CASE(a_process_without_a_mapping_left_lives_on, 0),
    CASE(huge_pages_are_guarded_as_a_whole, 0),
#undef CASE
};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static void
run_case(void **state)
{
    size_t i = (size_t)(uintptr_t)*state;
    struct child child = child_run_self(cases[i].name, NULL, NULL);

    if (cases[i].dies_of != 0)
        assert_child_died_of(child, cases[i].dies_of);
    else
        assert_child_succeeded(child);
    if (child.text[0] != '\0')
        print_message("%s", child.text);
}

int
main(int argc, char **argv)
{
    struct CMUnitTest tests[CASES];

    for (size_t i = 0; argc == 2 && i < CASES; i++) {
        if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].body();
            return 0;
        }
    }
    for (size_t i = 0; i < CASES; i++) {
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = run_case, .initial_state = (void *)(uintptr_t)i};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
