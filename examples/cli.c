// SPDX-License-Identifier: MIT
#include "cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

const char *program_name = "";
volatile sig_atomic_t stop_requested;

void
say(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s%s: ", isatty(STDERR_FILENO) ? "\r\033[K" : "", program_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void
standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR); // the lowest number that is free
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

enum exit_code
finish_output(enum exit_code code)
{
    bool flushed = fflush(stdout) == 0;

    if (flushed && !ferror(stdout))
        return code;
    say("standard output cannot be written%s%s", flushed ? "" : ": ",
        flushed ? "" : strerror(errno));
    return code == EXIT_DONE ? EXIT_INTERNAL : code;
}

size_t
utf8_length(const char *text)
{
    const unsigned char *t = (const unsigned char *)text;
    size_t len = t[0] < 0x80 ? 1 : t[0] < 0xc2 ? 0 : t[0] < 0xe0 ? 2 : t[0] < 0xf0 ? 3 : 4;

    if (t[0] == 0 || t[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((t[i] & 0xc0) != 0x80)
            return 0;
    // Longer than need be, halves of UTF-16 pairs, and what is above U+10FFFF.
    if ((t[0] == 0xe0 && t[1] < 0xa0) || (t[0] == 0xed && t[1] > 0x9f) ||
        (t[0] == 0xf0 && t[1] < 0x90) || (t[0] == 0xf4 && t[1] > 0x8f))
        return 0;
    return len;
}

const char *
printable(const char *text)
{
    static char buffers[4][1024];
    static unsigned turn;
    char *out = buffers[turn++ % 4];
    size_t n = 0;

    while (*text != '\0') {
        size_t len = utf8_length(text);
        unsigned char second = len > 1 ? (unsigned char)text[1] : 0;
        bool control = len == 0 || (len == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f)) ||
                       ((unsigned char)*text == 0xc2 && second < 0xa0);

        if (n + (control ? 1 : len) >= sizeof(buffers[0]))
            break;
        if (control) {
            out[n++] = '?';
        } else {
            memcpy(out + n, text, len);
            n += len;
        }
        text += len == 0 ? 1 : len;
    }
    out[n] = '\0';
    return out;
}

bool
parse_size(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    unsigned long long value;
    unsigned shift = 0;
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (*end != '\0') {
        static const char letters[] = "KMGkmg";
        const char *letter = strchr(letters, *end++);

        if (letter == NULL)
            return false;
        shift = 10 * (1 + (unsigned)(letter - letters) % 3);
    }
    if (errno != 0 || *end != '\0' || value > UINT64_MAX >> shift)
        return false;
    value <<= shift;
    if (value < low || value > high)
        return false;
    *out = value;
    return true;
}

bool
parse_address(const char *text, struct sockaddr_storage *out, socklen_t *len, char *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    const char *colon = strrchr(text, ':');
    char host[256];
    size_t n;
    int r;

    if (colon == NULL || colon == text || colon[1] == '\0') {
        snprintf(why, 256, "it is not HOST:PORT");
        return false;
    }
    n = (size_t)(colon - text);
    if (text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n >= sizeof(host)) {
        snprintf(why, 256, "the name is too long");
        return false;
    }
    memcpy(host, text, n);
    host[n] = '\0';
    r = strspn(colon + 1, "0123456789") == strlen(colon + 1) && atol(colon + 1) <= 65535
            ? getaddrinfo(host, colon + 1, &hints, &found)
            : EAI_SERVICE;
    if (r != 0) {
        snprintf(why, 256, "%s",
                 r == EAI_SERVICE ? "the port is no number up to 65535" : gai_strerror(r));
        return false;
    }
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

const char *
address_text(const struct sockaddr *address)
{
    static char text[INET6_ADDRSTRLEN + 16];
    char host[INET6_ADDRSTRLEN] = "?";

    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;

        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(text, sizeof(text), "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const void *)address;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(text, sizeof(text), "%s:%u", host, ntohs(in->sin_port));
    }
    return text;
}

double
now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

uint64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

double
cpu_seconds(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void
request_stop(int number)
{
    (void)number;
    stop_requested = 1;
}

void
signals_init(void)
{
    // Restarted: writes to files are not to be cut short. epoll_wait() returns nevertheless.
    struct sigaction action = {.sa_handler = request_stop, .sa_flags = SA_RESTART};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL); // a file size limit is then an error of write()
}
