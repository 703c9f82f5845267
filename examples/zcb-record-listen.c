// SPDX-License-Identifier: MIT
//
// Addresses for clients: a path is a Unix socket that this user alone may connect to; HOST:PORT has
// to be this machine itself, as nobody is asked who he is.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "zcb-record.h"

static bool
is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in6 *in6 = (const void *)address;
    const struct sockaddr_in *in = (const void *)address;

    if (address->ss_family == AF_INET)
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static int
fail(struct listener *listener, const char *text, const char *why, enum exit_code *code,
     enum exit_code value)
{
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
    listener->path[0] = '\0';
    say("--serve %s: %s", printable(text), why);
    *code = value;
    return -1;
}

// One that a program has left behind: nobody listens there.
static bool
is_stale(const struct sockaddr_un *address)
{
    struct stat st;
    int fd;
    bool refused;

    if (lstat(address->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    refused = fd >= 0 && connect(fd, (const void *)address, sizeof(*address)) != 0 &&
              errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return refused;
}

static int
open_unix(struct listener *listener, const char *text, const char *path, enum exit_code *code)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    mode_t before;
    int r;

    if (strlen(path) >= sizeof(address.sun_path))
        return fail(listener, text, "a socket's path has at most 107 bytes", code, EXIT_USAGE);
    strcpy(address.sun_path, path);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return fail(listener, text, strerror(errno), code, EXIT_INTERNAL);
    if (is_stale(&address))
        unlink(path);
    before = umask(0177);
    r = bind(listener->fd, (const void *)&address, sizeof(address));
    umask(before);
    if (r != 0)
        return fail(listener, text,
                    errno == EADDRINUSE ? "there is something already" : strerror(errno), code,
                    EXIT_STORAGE);
    if (lstat(path, &st) == 0) {
        strcpy(listener->path, path);
        listener->device = st.st_dev;
        listener->inode = st.st_ino;
    }
    return 0;
}

static int
open_tcp(struct listener *listener, const char *text, enum exit_code *code)
{
    struct sockaddr_storage address;
    char why[256];
    socklen_t len;
    int one = 1;

    if (strchr(text, ':') == NULL)
        return fail(listener, text,
                    "is no 127.0.0.1:PORT; write unix:PATH, or a path with a /, for a Unix socket",
                    code, EXIT_USAGE);
    if (!parse_address(text, &address, &len, why))
        return fail(listener, text, why, code, EXIT_USAGE);
    if (!is_loopback(&address))
        return fail(listener, text,
                    "is not this machine itself (127.0.0.1), and whoever connects can listen", code,
                    EXIT_USAGE);
    listener->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return fail(listener, text, strerror(errno), code, EXIT_INTERNAL);
    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener->fd, (const void *)&address, len) != 0)
        return fail(listener, text, strerror(errno), code, EXIT_STORAGE);
    return 0;
}

int
listener_open(struct listener *listener, const struct address *address, enum exit_code *code)
{
    static const char prefix[] = "unix:";
    const char *text = address->text;
    const bool named = strncmp(text, prefix, sizeof(prefix) - 1) == 0;
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    int r;

    *listener = (struct listener){.fd = -1, .lag = address->lag};
    if (named || strchr(text, '/') != NULL)
        r = open_unix(listener, text, named ? text + sizeof(prefix) - 1 : text, code);
    else
        r = open_tcp(listener, text, code);
    if (r != 0)
        return r;
    if (listen(listener->fd, 16) != 0 ||
        getsockname(listener->fd, (struct sockaddr *)&bound, &len) != 0) {
        r = errno;
        listener_close(listener);
        return fail(listener, text, strerror(r), code, EXIT_INTERNAL);
    }
    say("serving on %s",
        bound.ss_family == AF_UNIX ? printable(text) : address_text((struct sockaddr *)&bound));
    return 0;
}

void
listener_close(struct listener *listener)
{
    struct stat st;

    if (listener->fd < 0)
        return;
    close(listener->fd);
    listener->fd = -1;
    // Not what somebody else has put there since.
    if (listener->path[0] != '\0' && lstat(listener->path, &st) == 0 &&
        st.st_dev == listener->device && st.st_ino == listener->inode)
        unlink(listener->path);
}
