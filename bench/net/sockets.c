// SPDX-License-Identifier: MIT
//
// Receiving from a UDP socket with the kernel's calls and nothing else.

#include "net/engine.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "harness.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum how { PLAIN, WITH_SENDER, WITH_TIME, GRO };

// ---- recvfrom, into memory of its own for each

struct one {
    int fd;
};

static int
one_open(const struct engine *self, const struct engine_setup *setup, void **state)
{
    struct one *one = malloc(sizeof(*one));

    (void)self;
    if (one == NULL)
        return -ENOMEM;
    one->fd = setup->fd;
    *state = one;
    return 0;
}

static int
one_take(void *state, struct sink *sink, bool wait)
{
    struct one *one = state;
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    // How long it will be is not known before.
    size_t room = engine_longest(sink->len);
    uint8_t *data = malloc(room);
    ssize_t got;

    if (data == NULL)
        return -ENOMEM;
    got =
        recvfrom(one->fd, data, room, wait ? 0 : MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
    if (got <= 0) {
        free(data);
        return got == 0 || errno == EAGAIN ? 0 : -errno;
    }
    bench_keep(data);
    sink_take(sink, data, (size_t)got);
    free(data);
    return 1;
}

// ---- recvmmsg, into the same memory again and again

struct many {
    int fd;
    enum how how;
    size_t room;
    uint8_t *memory;
    struct mmsghdr messages[ENGINE_BATCH];
    struct iovec iov[ENGINE_BATCH];
    struct sockaddr_in from[ENGINE_BATCH];
    struct {
        _Alignas(struct cmsghdr)
            uint8_t bytes[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(int))];
    } control[ENGINE_BATCH];
};

static int
many_open(const struct engine *self, const struct engine_setup *setup, void **state)
{
    struct many *many = calloc(1, sizeof(*many));
    int on = 1, result = 0;

    if (many == NULL)
        return -ENOMEM;
    many->fd = setup->fd;
    many->how = (enum how)self->how;
    many->room = many->how == GRO ? 65536 : engine_longest(setup->len);
    many->memory = bench_alloc(many->room * ENGINE_BATCH);
    for (int i = 0; i < ENGINE_BATCH; i++) {
        struct msghdr *message = &many->messages[i].msg_hdr;

        many->iov[i] = (struct iovec){many->memory + (size_t)i * many->room, many->room};
        message->msg_iov = &many->iov[i];
        message->msg_iovlen = 1;
        if (many->how != PLAIN) {
            message->msg_name = &many->from[i];
            message->msg_control = many->how != WITH_SENDER ? &many->control[i] : NULL;
        }
    }
    if (many->how == WITH_TIME)
        result = setsockopt(many->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    if (many->how == GRO)
        result = setsockopt(many->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
    if (result < 0) {
        result = -errno;
        free(many->memory);
        free(many);
        return result;
    }
    *state = many;
    return 0;
}

static void
many_close(void *state)
{
    struct many *many = state;

    free(many->memory);
    free(many);
}

static int
many_receive(struct many *many, bool wait)
{
    int got;

    // What the kernel said the last time is in the way.
    if (many->how != PLAIN)
        for (int i = 0; i < ENGINE_BATCH; i++) {
            many->messages[i].msg_hdr.msg_namelen = sizeof(many->from[i]);
            many->messages[i].msg_hdr.msg_controllen =
                many->how != WITH_SENDER ? sizeof(many->control[i]) : 0;
        }
    got = recvmmsg(many->fd, many->messages, ENGINE_BATCH, wait ? MSG_WAITFORONE : MSG_DONTWAIT,
                   NULL);
    return got >= 0 ? got : errno == EAGAIN ? 0 : -errno;
}

static int
many_take(void *state, struct sink *sink, bool wait)
{
    struct many *many = state;
    int got = many_receive(many, wait);

    for (int i = 0; i < got; i++) {
        if (many->how == WITH_TIME) {
            struct cmsghdr *c = CMSG_FIRSTHDR(&many->messages[i].msg_hdr);
            struct timespec time = {0, 0};

            if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS)
                memcpy(&time, CMSG_DATA(c), sizeof(time));
            if (time.tv_sec == 0)
                sink->wrong = true;
        }
        sink_take(sink, many->iov[i].iov_base, many->messages[i].msg_len);
    }
    return got;
}

static int
segment_of(struct msghdr *message, int len)
{
    int segment = len;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
            memcpy(&segment, CMSG_DATA(c), sizeof(segment));
    return segment > 0 ? segment : len;
}

static int
gro_take(void *state, struct sink *sink, bool wait)
{
    struct many *many = state;
    int got = many_receive(many, wait), packets = 0;

    for (int i = 0; i < got; i++) {
        const uint8_t *data = many->iov[i].iov_base;
        int len = (int)many->messages[i].msg_len;
        int segment = segment_of(&many->messages[i].msg_hdr, len);

        for (int off = 0; off < len; off += segment, packets++)
            sink_take(sink, data + off, (size_t)(len - off < segment ? len - off : segment));
    }
    return got < 0 ? got : packets;
}

const struct engine engine_recvfrom_malloc = {
    .name = "recvfrom and malloc", .open = one_open, .take = one_take, .close = free};
#define MANY .open = many_open, .take = many_take, .close = many_close

const struct engine engine_recvmmsg = {.name = "recvmmsg, no sender (bare)", .how = PLAIN, MANY};
const struct engine engine_recvmmsg_sender = {.name = "recvmmsg (bare)", .how = WITH_SENDER, MANY};
const struct engine engine_recvmmsg_time = {
    .name = "recvmmsg with times (bare)", .how = WITH_TIME, MANY};
const struct engine engine_gro = {.name = "recvmmsg with UDP_GRO (bare)",
                                  .open = many_open,
                                  .take = gro_take,
                                  .close = many_close,
                                  .train = true,
                                  .how = GRO};
