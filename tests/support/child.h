// SPDX-License-Identifier: MIT
//
// Runs a function in a child process, or this program again with an argument: for what ends a
// process, and for what a library reads once when a process starts.
//
// In a child, and on any thread but a test's own, cmocka's assertions must not be used: a failed
// one jumps back into the test runner. CHECK() prints and ends the process with status 99 instead.
//
// Linux: running the program again goes by /proc/self/exe.
#ifndef ZCB_TESTS_CHILD_H
#define ZCB_TESTS_CHILD_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define ZCB_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ZCB_UNDER_ASAN 1
#endif
#endif
#ifndef ZCB_UNDER_ASAN
#define ZCB_UNDER_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define ZCB_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ZCB_UNDER_TSAN 1
#endif
#endif
#ifndef ZCB_UNDER_TSAN
#define ZCB_UNDER_TSAN 0
#endif

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            fflush(NULL);                                                                          \
            _exit(99);                                                                             \
        }                                                                                          \
    } while (0)

struct child {
    int status; // as waitpid() gives it
    char text
        [32768]; // what it wrote to standard output and standard error, cut off where it is longer
};

// A child that does not end is killed by SIGALRM: no test hangs.
#define CHILD_SECONDS 120

static inline void
child_prepare(int fd)
{
    struct rlimit none = {0, 0};
    const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGPIPE};

    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
    setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]);
         i++) // cmocka has handlers for these
        signal(signals[i], SIG_DFL);
    alarm(CHILD_SECONDS);
}

static inline void
child_collect(pid_t pid, int fd, struct child *child)
{
    size_t used = 0;
    char rest[512];
    ssize_t got;

    for (;;) {
        bool room = used < sizeof(child->text) - 1;

        got = room ? read(fd, child->text + used, sizeof(child->text) - 1 - used)
                   : read(fd, rest, sizeof(rest));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        if (room)
            used += (size_t)got;
    }
    child->text[used] = '\0';
    close(fd);
    while (waitpid(pid, &child->status, 0) < 0 && errno == EINTR)
        continue;
}

struct child_work {
    void (*body)(void *arg); // NULL: this program again
    void *arg;
    const char *argument, *variable, *value;
};

static inline void
child_work(const struct child_work *work)
{
    char *arguments[] = {(char *)(uintptr_t) "child", (char *)(uintptr_t)work->argument, NULL};

    if (work->body != NULL) {
        work->body(work->arg);
        fflush(NULL);
        _exit(0);
    }
    if (work->variable != NULL)
        setenv(work->variable, work->value, 1);
    execv("/proc/self/exe", arguments);
    _exit(98);
}

static inline struct child
child_start(struct child_work work)
{
    struct child child = {.status = -1};
    int fds[2];
    pid_t pid;

    fflush(NULL);
    if (pipe(fds) != 0)
        return child;
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child_prepare(fds[1]);
        child_work(&work);
    }
    close(fds[1]);
    if (pid > 0)
        child_collect(pid, fds[0], &child);
    else
        close(fds[0]);
    return child;
}

// Runs body(arg) in a forked child, which then ends with status 0.
static inline struct child
child_run(void (*body)(void *arg), void *arg)
{
    return child_start((struct child_work){.body = body, .arg = arg});
}

// Runs this program with one argument and one environment variable more (NULL: none).
static inline struct child
child_run_self(const char *argument, const char *variable, const char *value)
{
    return child_start(
        (struct child_work){.argument = argument, .variable = variable, .value = value});
}

static inline bool
child_succeeded(const struct child *child)
{
    return WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0;
}

// Ended by this signal; under a sanitizer, which turns some signals into a report, by any failure
// but CHECK's.
static inline bool
child_died_of(const struct child *child, int number)
{
    if (WIFSIGNALED(child->status))
        return WTERMSIG(child->status) == number;
    return (ZCB_UNDER_ASAN || ZCB_UNDER_TSAN) && WIFEXITED(child->status) &&
           WEXITSTATUS(child->status) != 0 && WEXITSTATUS(child->status) != 99;
}

// For a failed test: what the child said.
static inline void
child_show(const struct child *child)
{
    fprintf(stderr, "child: status 0x%x, said:\n%s\n", (unsigned)child->status, child->text);
}

#define assert_child_succeeded(child)                                                              \
    do {                                                                                           \
        if (!child_succeeded(&(child)))                                                            \
            child_show(&(child));                                                                  \
        assert_true(child_succeeded(&(child)));                                                    \
    } while (0)

#define assert_child_died_of(child, number)                                                        \
    do {                                                                                           \
        if (!child_died_of(&(child), number))                                                      \
            child_show(&(child));                                                                  \
        assert_true(child_died_of(&(child), number));                                              \
    } while (0)

#endif
