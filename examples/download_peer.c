// SPDX-License-Identifier: MIT
//
// One connection: connect, talk, receive, and what it is lost for.
#include "download.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define DIRECT_BLOCKS 32u // blocks of one read, with --direct
#define MAX_UNCHOKES 4    // that count as progress, without a block in between
#define READ_TURN 1048576 // bytes from one peer before the next one's turn

void
download_add_stats(struct download *d, struct peer *p)
{
    struct zcb_torrent_wire_stats s;

    if (zcb_torrent_wire_stats(p->wire, &s, sizeof(s)) < 0)
        return;
#define ADD(name, gauge, help) d->wires.name += s.name;
    ZCB_TORRENT_WIRE_STATS(ADD)
#undef ADD
}

// The connection is over. Peers that may yet be of use are tried again, a few times.
static void __attribute__((format(printf, 4, 5)))
lose(struct download *d, struct peer *p, enum exit_code fault, const char *format, ...)
{
    bool again = fault != EXIT_BAD_PEERS && p->attempts < d->retries;
    char why[256], next[64] = "";
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    d->peers_open -= p->state == PEER_OPEN;
    if (p->wire != NULL)
        download_add_stats(d, p);
    zcb_torrent_wire_destroy(&p->wire);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->fault = fault;
    p->state = again ? PEER_WAITING : PEER_DEAD;
    if (again) {
        uint64_t delay = UINT64_C(500) << (p->attempts < 6 ? p->attempts : 6);

        p->attempts++;
        p->retry_ms = now_ms() + delay;
        snprintf(next, sizeof(next), "; trying again in %.1f s", (double)delay / 1000);
    }
    say("peer %s: %s%s", p->name, why, next);
}

static void
watch(struct download *d, struct peer *p, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = p->number};

    if (epoll_ctl(d->epoll, operation, p->fd, &event) < 0)
        say("epoll_ctl: %s", strerror(errno)); // the timeout will find this peer silent
}

void
download_connect(struct download *d, struct peer *p)
{
    int one = 1;

    p->useful_ms = now_ms();
    p->interested = p->waits_to_write = p->unchoked = false;
    p->unchokes = 0;
    p->out_len = p->out_sent = 0;
    p->fd = socket(p->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0) {
        lose(d, p, EXIT_UNREACHABLE, "no socket: %s", strerror(errno));
        return;
    }
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(p->fd, (struct sockaddr *)&p->address, p->address_len) < 0 &&
        errno != EINPROGRESS) {
        lose(d, p, EXIT_UNREACHABLE, "cannot connect: %s", strerror(errno));
        return;
    }
    p->state = PEER_CONNECTING;
    watch(d, p, EPOLL_CTL_ADD, EPOLLOUT);
}

// Sends what is in p->out. false: the peer is lost.
bool
download_send(struct download *d, struct peer *p)
{
    bool waits;

    while (p->out_sent < p->out_len) {
        ssize_t put = send(p->fd, p->out + p->out_sent, p->out_len - p->out_sent, MSG_NOSIGNAL);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            break;
        if (put < 0) {
            lose(d, p, EXIT_GONE, "the connection broke: %s", strerror(errno));
            return false;
        }
        p->out_sent += (size_t)put;
    }
    if (p->out_sent == p->out_len)
        p->out_sent = p->out_len = 0;
    waits = p->out_len != 0;
    if (waits != p->waits_to_write) {
        p->waits_to_write = waits;
        watch(d, p, EPOLL_CTL_MOD, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
    return true;
}

// Adds what there is to say to p->out, and sends it. false: the peer is lost.
bool
download_talk(struct download *d, struct peer *p)
{
    bool held = d->trial.piece != ZCB_TORRENT_NONE && d->trial.peer != p->number;
    int n;

    if (zcb_torrent_wire_handshake(p->wire) == NULL)
        return download_send(d, p);
    if (!p->interested && zcb_torrent_wire_wants(p->wire)) {
        n = zcb_torrent_write_interested(p->out + p->out_len, sizeof(p->out) - p->out_len);
        if (n > 0) {
            p->out_len += (size_t)n;
            p->interested = true;
        }
    }
    if (!held) {
        n = zcb_torrent_wire_output(p->wire, now_ms(), p->out + p->out_len,
                                    sizeof(p->out) - p->out_len);
        if (n > 0)
            p->out_len += (size_t)n;
    }
    return p->out_len == 0 || download_send(d, p);
}

void
download_connected(struct download *d, struct peer *p)
{
    struct zcb_torrent_wire_config config = {
        .flags = ZCB_TORRENT_OFFER_FAST | (d->direct ? ZCB_TORRENT_DIRECT : 0),
        .pipeline = d->pipeline,
        .direct_blocks = DIRECT_BLOCKS,
        .info_hash = d->meta->info_hash,
        .chain.chunk_size = d->direct ? 0 : DOWNLOAD_CHUNK,
    };
    struct zcb_torrent_handshake hello = {{0}, {0}, {0}};
    socklen_t len = sizeof(int);
    int error = 0, r;

    getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        lose(d, p, EXIT_UNREACHABLE, "cannot connect: %s", strerror(error));
        return;
    }
    r = zcb_torrent_wire_create(d->receive_pool, d->assembler, p->number, &config, &p->wire);
    if (r < 0) {
        lose(d, p, EXIT_INTERNAL, "%s", zcb_strerror(r));
        return;
    }
    hello.reserved[ZCB_TORRENT_FAST_BYTE] |= ZCB_TORRENT_FAST_MASK;
    memcpy(hello.info_hash, d->meta->info_hash, 20);
    memcpy(hello.peer_id, d->peer_id, 20);
    r = zcb_torrent_write_handshake(p->out, sizeof(p->out), &hello);
    p->out_len = r < 0 ? 0 : (size_t)r;
    p->state = PEER_OPEN;
    d->peers_open++;
    watch(d, p, EPOLL_CTL_MOD, EPOLLIN);
    (void)download_send(d, p); // if it is lost, that is all known
}

// All messages that are there. false: the peer is lost.
static bool
handle_messages(struct download *d, struct peer *p)
{
    struct zcb_torrent_message m;
    int r;

    while ((r = zcb_torrent_wire_next(p->wire, &m)) > 0) {
        switch (m.kind) {
        case ZCB_TORRENT_HANDSHAKE:
            // With the fast extension something has to be said about what we have; nothing is
            // served here, so: nothing.
            if (zcb_torrent_wire_fast(p->wire)) {
                r = zcb_torrent_write_have_none(p->out + p->out_len, sizeof(p->out) - p->out_len);
                p->out_len += r < 0 ? 0 : (size_t)r;
            }
            break;
        case ZCB_TORRENT_CHOKE:
            p->unchoked = false;
            break;
        case ZCB_TORRENT_UNCHOKE:
            // The change is of use, as long as blocks follow.
            if (!p->unchoked && p->unchokes++ < MAX_UNCHOKES)
                p->useful_ms = now_ms();
            p->unchoked = true;
            break;
        case ZCB_TORRENT_PIECE:
            if (m.result <= ZCB_TORRENT_PENDING && m.result != ZCB_TORRENT_BAD) {
                p->payload_bytes += m.length;
                p->unchokes = 0;
                if (!p->suspect)
                    p->attempts = 0;
                if (m.index == d->trial.piece && p->number == d->trial.peer)
                    d->trial.block_ms = now_ms();
            }
            break;
        default:
            break; // the wire has taken note of what matters
        }
        if (d->fatal != EXIT_DONE)
            return true;
        if (p->banned) {
            lose(d, p, EXIT_BAD_PEERS, "sent data with a wrong hash; it is not asked again");
            return false;
        }
    }
    if (r == 0)
        return true;
    if (r == -EBADMSG) {
        const struct zcb_torrent_error *error = zcb_torrent_wire_error(p->wire);

        lose(d, p, EXIT_BAD_PEERS, "broke the protocol: %s (byte %llu of what it sent)",
             error->reason != NULL ? error->reason : "?", (unsigned long long)error->at);
    } else {
        lose(d, p, EXIT_GONE, "%s", zcb_strerror(r));
    }
    return false;
}

void
download_readable(struct download *d, struct peer *p)
{
    struct iovec iov[2 * DIRECT_BLOCKS + 2];

    // Without --direct these are a few reads; with it, where a peer answers out of order, one for
    // each block.
    for (size_t turn = 0; turn < READ_TURN;) {
        int n = zcb_torrent_wire_recv_plan(p->wire, iov, 2 * DIRECT_BLOCKS + 2), r;
        uint64_t before = p->payload_bytes;
        size_t room = 0;
        ssize_t got;

        if (n <= 0) {
            if (n < 0)
                lose(d, p, EXIT_GONE, "no memory to receive into: %s", zcb_strerror(n));
            return;
        }
        for (int i = 0; i < n; i++)
            room += iov[i].iov_len;
        got = readv(p->fd, iov, n);
        d->reads++;
        turn += got < 0 ? 0 : (size_t)got;
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            if (zcb_torrent_wire_handshake(p->wire) == NULL)
                lose(d, p, EXIT_GONE,
                     "closed the connection at the handshake; it may lack this torrent");
            else
                lose(d, p, EXIT_GONE, "the connection ended%s%s", got < 0 ? ": " : "",
                     got < 0 ? strerror(errno) : "");
            return;
        }
        r = zcb_torrent_wire_received(p->wire, got < 0 ? 0 : (size_t)got);
        if (r < 0) {
            lose(d, p, EXIT_GONE, "no memory to receive into: %s", zcb_strerror(r));
            return;
        }
        if (!handle_messages(d, p) || d->fatal != EXIT_DONE)
            return;
        if (p->payload_bytes != before)
            p->useful_ms = d->block_ms = now_ms();
        if (!download_talk(d, p) || got < 0 || (size_t)got < room) {
            d->drained = got > 0; // what is not full was all there was
            return;
        }
    }
    d->drained = false;
}

// Whether this peer has kept us waiting for too long. It is lost then.
void
download_judge(struct download *d, struct peer *p, uint64_t now)
{
    uint64_t idle = now - p->useful_ms;
    double seconds = (double)d->timeout_ms / 1000;

    if (p->banned) {
        lose(d, p, EXIT_BAD_PEERS, "sent data with a wrong hash; it is not asked again");
    } else if (idle < d->timeout_ms) {
        ;
    } else if (p->state == PEER_CONNECTING) {
        lose(d, p, EXIT_UNREACHABLE, "no connection after %g s", seconds);
    } else if (zcb_torrent_wire_handshake(p->wire) == NULL) {
        lose(d, p, EXIT_GONE, "no handshake after %g s", seconds);
    } else if (zcb_torrent_wire_outstanding(p->wire) != 0) {
        lose(d, p, EXIT_GONE, "no block for %g s", seconds);
    } else if (now - d->block_ms < 2 * d->timeout_ms || idle < 2 * d->timeout_ms) {
        ; // others are at work
    } else if (!zcb_torrent_wire_wants(p->wire)) {
        lose(d, p, EXIT_GONE, "has none of the pieces that are missing");
    } else {
        lose(d, p, EXIT_GONE, "%s for %g s",
             zcb_torrent_wire_chokes(p->wire) ? "kept us choked" : "refused all requests",
             2 * seconds);
    }
}
