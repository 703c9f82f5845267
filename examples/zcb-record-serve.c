// SPDX-License-Identifier: MIT
//
// Clients: each has a queue of its own at the sink, and all are served by one thread that waits for
// sockets which take more, for queues which have more, and for new clients. What a client does not
// take in time its own queue loses, by the policy of the address that it came to; whole packets, so
// that what it gets stays at the beginning of a frame. Nothing is read from clients.
//
// A client gets lines of text, an empty one, and then samples without anything in between:
//
//     zcb-record 1
//     rate 48000
//     channels 2
//     format f32
//     byte-order little
//
// Nothing is copied here but by the kernel: send() reads where the samples were captured.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "zcb-record.h"

#define STALL_MS 10000    // a client that takes nothing for so long is closed
#define FINISH_MS 2000    // what it takes at most to send the rest
#define SEND_BUFFER 65536 // the kernel's, for each client: what it holds is late already
#define PACKETS_A_TURN 32

struct client {
    int fd; // -1: free
    struct zcb_audio_consumer *consumer;
    struct zcb_audio_packet packet; // being sent; empty: none is
    size_t sent;                    // of it
    size_t head_left;               // of the header
    uint64_t moved_ms;              // when it took something last
};

struct server {
    struct listener listeners[MAX_ADDRESSES];
    struct client clients[MAX_CLIENTS];
    unsigned addresses, limit;
    struct zcb_audio_sink *sink;
    uint32_t depth;
    char head[160];
    size_t head_len;
    int wake; // an eventfd: look at `stop`
    int stop;
    unsigned count;
    struct served served;
    uint64_t paused_until; // no descriptors are left: not asked for clients before
    pthread_t thread;
};

static void
client_close(struct server *s, struct client *client)
{
    struct zcb_audio_consumer_stats stats;

    if (zcb_audio_consumer_stats(client->consumer, &stats, sizeof(stats)) == 0) {
#define ADD(name, gauge, help)                                                                     \
    s->served.sum.name = gauge                                                                     \
                             ? (stats.name > s->served.sum.name ? stats.name : s->served.sum.name) \
                             : s->served.sum.name + stats.name;
        ZCB_AUDIO_CONSUMER_STATS(ADD)
#undef ADD
    }
    zcb_audio_packet_unref(&client->packet);
    zcb_audio_consumer_close(&client->consumer);
    close(client->fd);
    client->fd = -1;
    __atomic_fetch_sub(&s->count, 1, __ATOMIC_RELAXED);
}

// Sends bytes. How many; 0: not now; -1: it has gone.
static ssize_t
push(struct server *s, struct client *client, const void *data, size_t len)
{
    ssize_t n = send(client->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS ? 0
                                                                                             : -1;
    client->moved_ms = now_ms();
    s->served.bytes += (uint64_t)n;
    return n;
}

// Sends what it takes. false: it is done with, and `*why` counts it.
static bool
client_feed(struct server *s, struct client *client, uint64_t **why)
{
    ssize_t n;

    *why = &s->served.left;
    if (client->head_left != 0) {
        n = push(s, client, s->head + s->head_len - client->head_left, client->head_left);
        client->head_left -= n > 0 ? (size_t)n : 0;
        if (n < 0 || client->head_left != 0)
            return n >= 0;
    }
    for (int i = 0; i < PACKETS_A_TURN; i++) {
        if (client->packet.bytes.len == 0) {
            int r = zcb_audio_consumer_read(client->consumer, 0, &client->packet);

            if (r == 0)
                return false; // the end; all has been sent
            if (r < 0)
                return true;
        }
        n = push(s, client, client->packet.bytes.data + client->sent,
                 client->packet.bytes.len - client->sent);
        if (n < 0)
            return false;
        client->sent += (size_t)n;
        if (client->sent != client->packet.bytes.len)
            break;
        zcb_audio_packet_unref(&client->packet);
        client->sent = 0;
    }
    return true;
}

static void
turn_away(int fd)
{
    static const char text[] = "zcb-record full\n\n";
    ssize_t n = send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);

    (void)n;
    close(fd);
}

static void
welcome(struct server *s, const struct listener *listener)
{
    struct zcb_audio_consumer_config config = {.lag = listener->lag, .depth = s->depth};
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int size = SEND_BUFFER;
    struct client *client = NULL;

    if (fd < 0) {
        // No descriptors, no memory: not in circles.
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            s->paused_until = now_ms() + 200;
        return;
    }
    for (unsigned i = 0; i < s->limit && client == NULL; i++)
        if (s->clients[i].fd < 0)
            client = &s->clients[i];
    if (client == NULL || zcb_audio_consumer_open(s->sink, &config, &client->consumer) < 0) {
        s->served.turned_away++;
        turn_away(fd);
        return;
    }
    if (zcb_audio_consumer_fd(client->consumer) < 0) {
        zcb_audio_consumer_close(&client->consumer);
        s->served.turned_away++;
        turn_away(fd);
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    client->fd = fd;
    client->packet = (struct zcb_audio_packet){0};
    client->sent = 0;
    client->head_left = s->head_len;
    client->moved_ms = now_ms();
    s->served.accepted++;
    if (__atomic_add_fetch(&s->count, 1, __ATOMIC_RELAXED) > s->served.most)
        s->served.most = s->count;
}

static bool
is_sending(const struct client *client)
{
    return client->head_left != 0 || client->packet.bytes.len != 0;
}

static void
serve_client(struct server *s, struct client *client, short events, uint64_t now)
{
    uint64_t *why = &s->served.left;
    bool stays = true;

    if (events & (POLLERR | POLLHUP | POLLNVAL))
        stays = false;
    else if (events != 0)
        stays = client_feed(s, client, &why);
    if (stays && is_sending(client) && now > client->moved_ms + STALL_MS) {
        why = &s->served.stalled;
        stays = false;
    }
    if (!stays) {
        (*why)++;
        client_close(s, client);
    }
}

// Descriptors to wait for. Those that there are and no others: poll() refuses to look at more
// places than the process may have descriptors.
struct waits {
    struct pollfd fds[1 + MAX_ADDRESSES + 2 * MAX_CLIENTS];
    nfds_t count;
};

// Where its result will be found; 0, which is the first and no client's: not asked for.
static nfds_t
wait_for(struct waits *waits, int fd, short events)
{
    waits->fds[waits->count] = (struct pollfd){.fd = fd, .events = events};
    return waits->count++;
}

// Waits, then looks at each.
static void
serve_once(struct server *s, uint64_t now, bool stopping)
{
    const struct timespec nap = {.tv_nsec = 10000000};
    nfds_t sockets[MAX_CLIENTS] = {0}, queues[MAX_CLIENTS] = {0}, listeners[MAX_ADDRESSES] = {0};
    struct waits waits = {.count = 0};

    // One that is known to want to stop needs no waking any more.
    wait_for(&waits, stopping ? -1 : s->wake, POLLIN);
    for (unsigned i = 0; i < s->addresses && !stopping && now >= s->paused_until; i++)
        listeners[i] = wait_for(&waits, s->listeners[i].fd, POLLIN);
    for (unsigned i = 0; i < s->limit; i++) {
        const struct client *client = &s->clients[i];

        if (client->fd < 0)
            continue;
        sockets[i] = wait_for(&waits, client->fd, is_sending(client) ? POLLOUT : 0);
        if (!is_sending(client))
            queues[i] = wait_for(&waits, zcb_audio_consumer_fd(client->consumer), POLLIN);
    }
    if (poll(waits.fds, waits.count, stopping ? 20 : 200) < 0) {
        nanosleep(&nap, NULL); // out of memory; not in circles, in any case
        return;
    }
    for (unsigned i = 0; i < s->limit; i++)
        if (s->clients[i].fd >= 0)
            serve_client(s, &s->clients[i],
                         (short)(waits.fds[sockets[i]].revents |
                                 (queues[i] != 0 ? waits.fds[queues[i]].revents : 0) |
                                 (stopping ? POLLIN : 0)),
                         now);
    for (unsigned i = 0; i < s->addresses; i++)
        if (listeners[i] != 0 && waits.fds[listeners[i]].revents != 0)
            welcome(s, &s->listeners[i]);
}

static void *
run(void *arg)
{
    struct server *s = arg;
    uint64_t end = UINT64_MAX, now;

    while ((now = now_ms()) < end) {
        const bool stopping = __atomic_load_n(&s->stop, __ATOMIC_ACQUIRE) != 0;

        if (stopping && end == UINT64_MAX)
            end = now + FINISH_MS;
        if (stopping && s->count == 0)
            break;
        serve_once(s, now, stopping);
    }
    return NULL;
}

static void
server_free(struct server *s)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (s->clients[i].fd >= 0)
            client_close(s, &s->clients[i]);
    for (unsigned i = 0; i < s->addresses; i++)
        listener_close(&s->listeners[i]);
    if (s->wake >= 0)
        close(s->wake);
    free(s);
}

struct server *
server_start(const struct options *options, const struct zcb_audio_format *format,
             struct zcb_audio_sink *sink, uint32_t depth, enum exit_code *code)
{
    struct server *s = calloc(1, sizeof(*s));
    sigset_t all, before;
    int error;

    *code = EXIT_INTERNAL;
    if (s == NULL) {
        say("out of memory");
        return NULL;
    }
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        s->clients[i].fd = -1;
    s->sink = sink;
    s->depth = depth;
    s->limit = (unsigned)options->clients;
    s->head_len =
        (size_t)snprintf(s->head, sizeof(s->head),
                         "zcb-record 1\nrate %u\nchannels %u\nformat %s\n"
                         "byte-order little\n\n",
                         format->rate, format->channels, zcb_audio_sample_name(format->sample));
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake < 0) {
        say("eventfd: %s", strerror(errno));
        server_free(s);
        return NULL;
    }
    for (; s->addresses < options->addresses; s->addresses++)
        if (listener_open(&s->listeners[s->addresses], &options->serve[s->addresses], code) != 0) {
            server_free(s);
            return NULL;
        }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        say("no thread that serves: %s", strerror(error));
        server_free(s);
        return NULL;
    }
    return s;
}

unsigned
server_clients(const struct server *s)
{
    return s == NULL ? 0 : __atomic_load_n(&s->count, __ATOMIC_RELAXED);
}

void
server_finish(struct server *s, struct served *out)
{
    uint64_t one = 1;
    ssize_t n;

    if (s == NULL)
        return;
    __atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
    n = write(s->wake, &one, sizeof(one));
    (void)n; // it looks every 200 ms anyway
    pthread_join(s->thread, NULL);
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (s->clients[i].fd >= 0)
            client_close(s, &s->clients[i]);
    *out = s->served;
    server_free(s);
}
