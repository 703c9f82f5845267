// SPDX-License-Identifier: MIT
//
// zcb-seed: serves a torrent whose files are all there, with sendfile().
//
// The payload never enters this process: for each REQUEST a 13 byte header is sent with MSG_MORE,
// and the block follows from the page cache. The library's wire reads what peers say; a peer may
// have a bounded number of requests open, and one that sends more is dropped.
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <zcbuf/adapt/torrent.h>

#include "cli.h"
#include "metainfo.h"
#include "storage.h"

#define MAX_REQUESTS 2048u    // open for one peer, a power of two
#define SEND_BURST (1u << 20) // bytes to one peer before the next one's turn
#define TICK_MS 500
#define HANDSHAKE_MS 10000u
#define IDLE_MS 180000u // BEP 3: keepalives come every two minutes

static const char usage[] =
    "usage: zcb-seed FILE.torrent --root DIR [--listen ADDRESS:PORT] [option ...]\n"
    "\n"
    "Serves the torrent (version 1 or hybrid) whose file or folder is in DIR, until it is "
    "stopped.\n"
    "The line \"listening on ADDRESS:PORT\" on standard output says that it is ready.\n"
    "\n"
    "  --root DIR             the folder that holds the torrent's file or folder\n"
    "  --listen ADDRESS:PORT  default 127.0.0.1:0; port 0: any that is free\n"
    "  --max-peers N          at a time; more are turned away; default 64\n"
    "  --quiet                no message for each peer\n"
    "  --help                 this text\n"
    "\n"
    "Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 the system refused something, 2 wrong "
    "arguments,\n"
    "3 the torrent cannot be read or is not valid, 4 files are missing or of another length.\n"
    "Contents are not hashed here: whoever downloads does that.\n";

struct request {
    uint32_t index, begin, length;
};

struct guest {
    int fd; // -1: free
    struct zcb_torrent_wire *wire;
    char name[64];
    uint64_t heard_ms, sent_bytes;
    bool greeted, unchoked, waits_to_write;
    struct request queue[MAX_REQUESTS];
    uint32_t head, count;
    // What is on its way: bytes from memory, then `left` bytes of the torrent from `at` on.
    uint8_t *out; // the bitfield is the longest
    size_t out_len, out_sent, out_room;
    uint64_t at;
    size_t left;
};

struct seed {
    struct metainfo meta;
    struct storage storage;
    struct zcb_torrent_geometry geometry;
    struct zcb_pool *pool;
    struct guest *guests;
    uint32_t guest_count;
    int listener, epoll;
    uint64_t deaf_ms; // since when the listener is not watched, for want of descriptors; 0: it is
    bool quiet, serve_failed;
    uint8_t peer_id[20];
};

// Without descriptors nobody can be accepted, and epoll would report those who wait for ever.
static void
hear(struct seed *s, bool on)
{
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.u32 = s->guest_count};

    if (s->listener >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->listener, &event) == 0)
        s->deaf_ms = on ? 0 : now_ms();
}

static void __attribute__((format(printf, 3, 4)))
part(struct seed *s, struct guest *g, const char *format, ...)
{
    char why[256];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    if (!s->quiet)
        say("peer %s: %s after %.1f MiB", g->name, why, (double)g->sent_bytes / (1 << 20));
    zcb_torrent_wire_destroy(&g->wire);
    close(g->fd);
    free(g->out);
    g->out = NULL;
    g->fd = -1;
    if (s->deaf_ms != 0)
        hear(s, true);
}

static void
watch(struct seed *s, struct guest *g, bool write)
{
    struct epoll_event event = {
        .events = write ? EPOLLIN | EPOLLOUT : EPOLLIN,
        .data.u32 = (uint32_t)(g - s->guests),
    };

    if (write != g->waits_to_write && epoll_ctl(s->epoll, EPOLL_CTL_MOD, g->fd, &event) == 0)
        g->waits_to_write = write;
}

// What goes out next, once the last thing is gone: greetings first, then one block after the other.
static bool
next_output(struct seed *s, struct guest *g)
{
    struct request *r;
    int n = 0, more = 0;

    g->out_len = g->out_sent = 0;
    if (!g->greeted) {
        const struct zcb_torrent_handshake *theirs = zcb_torrent_wire_handshake(g->wire);
        struct zcb_torrent_handshake ours = {{0}, {0}, {0}};
        size_t bits = zcb_torrent_bitfield_size(&s->geometry);

        if (theirs == NULL)
            return false;
        ours.reserved[ZCB_TORRENT_FAST_BYTE] |= ZCB_TORRENT_FAST_MASK;
        memcpy(ours.info_hash, s->meta.info_hash, 20);
        memcpy(ours.peer_id, s->peer_id, 20);
        n = zcb_torrent_write_handshake(g->out, g->out_room, &ours);
        if (n < 0)
            return false;
        if (zcb_torrent_wire_fast(g->wire)) {
            more = zcb_torrent_write_have_all(g->out + n, g->out_room - (size_t)n);
        } else {
            // Every piece, and spare bits at the end are zero.
            uint8_t *all = g->out + g->out_room - bits;

            memset(all, 0xff, bits);
            if (s->geometry.piece_count % 8 != 0)
                all[bits - 1] = (uint8_t)(0xff << (8 - s->geometry.piece_count % 8));
            more =
                zcb_torrent_write_bitfield(g->out + n, g->out_room - (size_t)n - bits, all, bits);
        }
        g->out_len = (size_t)(n + (more > 0 ? more : 0));
        g->greeted = true;
        return true;
    }
    if (!g->unchoked && zcb_torrent_wire_is_interested(g->wire)) {
        n = zcb_torrent_write_unchoke(g->out, g->out_room);
        g->out_len = n > 0 ? (size_t)n : 0;
        g->unchoked = true;
        return n > 0;
    }
    do {
        if (g->count == 0)
            return false;
        r = &g->queue[g->head++ % MAX_REQUESTS];
        g->count--;
        zcb_torrent_wire_served(g->wire, 1);
    } while (r->length == 0); // was cancelled
    n = zcb_torrent_write_piece(g->out, g->out_room, r->index, r->begin, r->length);
    g->out_len = n > 0 ? (size_t)n : 0;
    g->at = zcb_torrent_piece_offset(&s->geometry, r->index) + r->begin;
    g->left = r->length;
    return true;
}

// Some of the block from its file. As send().
static ssize_t
send_payload(struct seed *s, struct guest *g)
{
    static const uint8_t zeros[16384];
    uint64_t offset;
    size_t here;
    off_t from;
    int fd;

    if (!storage_locate(&s->storage, g->at, g->left, &fd, &offset, &here)) {
        errno = EIO;
        return -1;
    }
    if (fd < 0)
        return send(g->fd, zeros, here < sizeof(zeros) ? here : sizeof(zeros), MSG_NOSIGNAL);
    from = (off_t)offset;
    return sendfile(g->fd, fd, &from, here);
}

// Sends until the socket is full, there is nothing to say, or it is another one's turn.
static void
write_to(struct seed *s, struct guest *g)
{
    uint64_t limit = g->sent_bytes + SEND_BURST;

    for (;;) {
        ssize_t put;

        if (g->out_sent < g->out_len) {
            put = send(g->fd, g->out + g->out_sent, g->out_len - g->out_sent,
                       MSG_NOSIGNAL | (g->left != 0 || g->count != 0 ? MSG_MORE : 0));
            if (put > 0)
                g->out_sent += (size_t)put;
        } else if (g->left != 0) {
            put = send_payload(s, g);
            if (put == 0) {
                s->serve_failed = true;
                part(s, g, "a file has become shorter while it was served; parted");
                return;
            }
            if (put > 0) {
                g->at += (uint64_t)put;
                g->left -= (size_t)put;
                g->sent_bytes += (uint64_t)put;
            }
        } else if (g->sent_bytes >= limit && g->count != 0) {
            watch(s, g, true);
            return;
        } else if (next_output(s, g)) {
            continue;
        } else {
            watch(s, g, false);
            return;
        }
        if (put >= 0 || errno == EINTR)
            continue;
        if (errno == EAGAIN)
            watch(s, g, true);
        else
            part(s, g, "%s; parted",
                 errno == EPIPE || errno == ECONNRESET ? "has gone" : strerror(errno));
        return;
    }
}

static void
cancel(struct guest *g, const struct zcb_torrent_message *m)
{
    for (uint32_t i = 0; i < g->count; i++) {
        struct request *r = &g->queue[(g->head + i) % MAX_REQUESTS];

        if (r->index == m->index && r->begin == m->begin && r->length == m->length) {
            r->length = 0;
            return;
        }
    }
}

static void
read_from(struct seed *s, struct guest *g)
{
    struct zcb_torrent_message m;
    struct iovec iov[4];
    int n = zcb_torrent_wire_recv_plan(g->wire, iov, 4), r;
    ssize_t got;

    if (n <= 0) {
        part(s, g, "no memory to receive into; parted");
        return;
    }
    got = readv(g->fd, iov, n);
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
        part(s, g, "%s; parted", errno == ECONNRESET ? "has gone" : strerror(errno));
        return;
    }
    if (got == 0) {
        part(s, g, "has gone");
        return;
    }
    if (zcb_torrent_wire_received(g->wire, got < 0 ? 0 : (size_t)got) < 0) {
        part(s, g, "no memory to receive into; parted");
        return;
    }
    if (got > 0)
        g->heard_ms = now_ms();
    while ((r = zcb_torrent_wire_next(g->wire, &m)) > 0) {
        if (m.kind == ZCB_TORRENT_CANCEL)
            cancel(g, &m);
        if (m.kind != ZCB_TORRENT_REQUEST)
            continue;
        if (!g->unchoked) {
            zcb_torrent_wire_served(g->wire, 1); // nobody may ask before: BEP 3 lets us drop it
            continue;
        }
        // The wire refuses what is above max_peer_requests, which is no more than the queue holds.
        g->queue[(g->head + g->count++) % MAX_REQUESTS] =
            (struct request){m.index, m.begin, m.length};
    }
    if (r < 0) {
        const struct zcb_torrent_error *error = zcb_torrent_wire_error(g->wire);

        part(s, g, "%s; dropped", error->reason != NULL ? error->reason : zcb_strerror(r));
        return;
    }
    if (!g->waits_to_write)
        write_to(s, g);
}

static void
welcome(struct seed *s)
{
    struct zcb_torrent_wire_config config = {
        .flags = ZCB_TORRENT_OFFER_FAST,
        .info_hash = s->meta.info_hash,
        .geometry = &s->geometry,
        .limits.max_peer_requests = MAX_REQUESTS,
        .chain.chunk_size = 16384,
    };
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    int fd = accept4(s->listener, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    struct guest *g = s->guests;
    int one = 1;

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            hear(s, false); // until a guest leaves, or for a while
        return;
    }
    while (g < s->guests + s->guest_count && g->fd >= 0)
        g++;
    if (g == s->guests + s->guest_count) {
        close(fd); // full
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    memset(g, 0, sizeof(*g));
    g->fd = -1;
    g->out_room = 256 + 2 * zcb_torrent_bitfield_size(&s->geometry);
    g->out = malloc(g->out_room);
    event.data.u32 = (uint32_t)(g - s->guests);
    if (g->out == NULL ||
        zcb_torrent_wire_create(s->pool, NULL, event.data.u32, &config, &g->wire) < 0 ||
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        say("no memory for another peer");
        zcb_torrent_wire_destroy(&g->wire);
        free(g->out);
        close(fd);
        return;
    }
    g->fd = fd;
    g->heard_ms = now_ms();
    snprintf(g->name, sizeof(g->name), "%s", address_text((struct sockaddr *)&address));
    if (!s->quiet)
        say("peer %s: connected", g->name);
}

static void
serve(struct seed *s)
{
    struct epoll_event events[64];

    while (!stop_requested) {
        int n = epoll_wait(s->epoll, events, 64, TICK_MS);
        uint64_t now;

        for (int i = 0; i < n; i++) {
            struct guest *g = &s->guests[events[i].data.u32];

            if (events[i].data.u32 == s->guest_count) {
                welcome(s);
                continue;
            }
            if (g->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                read_from(s, g);
            if (g->fd >= 0 && (events[i].events & EPOLLOUT) != 0)
                write_to(s, g);
        }
        now = now_ms();
        if (s->deaf_ms != 0 && now - s->deaf_ms >= TICK_MS)
            hear(s, true);
        for (uint32_t i = 0; i < s->guest_count; i++) {
            struct guest *g = &s->guests[i];

            if (g->fd >= 0 && now - g->heard_ms > (g->greeted ? IDLE_MS : HANDSHAKE_MS))
                part(s, g, "silent for %llu s; parted",
                     (unsigned long long)(now - g->heard_ms) / 1000);
        }
    }
}

static bool
listen_on(struct seed *s, const char *text)
{
    struct sockaddr_storage address;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = s->guest_count};
    socklen_t len;
    char why[256];
    int one = 1;

    if (!parse_address(text, &address, &len, why)) {
        say("--listen %s: %s; give it as 127.0.0.1:6881", printable(text), why);
        return false;
    }
    s->listener = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listener >= 0)
        setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&address, len) < 0 ||
        listen(s->listener, 128) < 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &len) < 0 ||
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &event) < 0) {
        say("cannot listen on %s: %s%s", printable(text), strerror(errno),
            errno == EADDRINUSE ? "; port 0 takes any that is free" : "");
        return false;
    }
    printf("listening on %s\n", address_text((struct sockaddr *)&address));
    return finish_output(EXIT_DONE) == EXIT_DONE; // whoever started this waits for that line
}

static enum exit_code
run(struct seed *s, const char *root, const char *address)
{
    enum exit_code code = EXIT_INTERNAL;
    int r;

    signals_init();
    if (s->meta.total == 0) {
        say("there is not one byte in this torrent: nothing to serve");
        return EXIT_TORRENT;
    }
    if (!storage_open(&s->storage, &s->meta, root, false) || !storage_check(&s->storage)) {
        say("%s; give the folder that holds \"%s\" with --root", printable(s->storage.why),
            printable(s->meta.name));
        storage_close(&s->storage);
        return EXIT_STORAGE;
    }
    memcpy(s->peer_id, "-ZB0100-", 8);
    if (getrandom(s->peer_id + 8, 12, 0) != 12)
        memset(s->peer_id + 8, 's', 12);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->guests = calloc(s->guest_count, sizeof(*s->guests));
    r = zcb_torrent_geometry_init(&s->geometry, s->meta.total, s->meta.piece_length, 0);
    if (r == 0)
        r = zcb_pool_create(NULL, &s->pool);
    if (s->epoll < 0 || s->guests == NULL || r < 0) {
        say("cannot begin: %s", r < 0 ? zcb_strerror(r) : strerror(errno));
    } else {
        for (uint32_t i = 0; i < s->guest_count; i++)
            s->guests[i].fd = -1;
        if (listen_on(s, address)) {
            serve(s);
            code = s->serve_failed ? EXIT_STORAGE : EXIT_DONE;
        }
        for (uint32_t i = 0; i < s->guest_count; i++)
            if (s->guests[i].fd >= 0)
                part(s, &s->guests[i], "parted");
    }
    if (s->listener >= 0)
        close(s->listener);
    if (s->epoll >= 0)
        close(s->epoll);
    free(s->guests);
    zcb_pool_destroy(&s->pool);
    storage_close(&s->storage);
    return code;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"root", required_argument, NULL, 'r'},
        {"listen", required_argument, NULL, 'l'},
        {"max-peers", required_argument, NULL, 'm'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct seed s = {.listener = -1, .epoll = -1, .storage.root = -1};
    const char *root = NULL, *address = "127.0.0.1:0";
    uint64_t most = 64;
    enum exit_code code;
    char why[256];
    int option;

    standard_descriptors();
    program_name = "zcb-seed";
    while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
        switch (option) {
        case 'r':
            root = optarg;
            break;
        case 'l':
            address = optarg;
            break;
        case 'q':
            s.quiet = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return (int)finish_output(EXIT_DONE);
        case 'm':
            if (parse_size(optarg, 1, 4096, &most))
                break;
            say("--max-peers %s: give 1 to 4096", printable(optarg));
            return EXIT_USAGE;
        default:
            fputs("Try --help.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (argc - optind != 1 || root == NULL) {
        say("%s; try --help",
            root == NULL ? "give a folder with --root" : "give one .torrent file");
        return EXIT_USAGE;
    }
    if (!metainfo_load(argv[optind], &s.meta, why, sizeof(why))) {
        say("%s: %s; get the .torrent again from where it came from", printable(argv[optind]),
            printable(why));
        return EXIT_TORRENT;
    }
    s.guest_count = (uint32_t)most;
    code = run(&s, root, address);
    metainfo_free(&s.meta);
    return (int)code;
}
