// SPDX-License-Identifier: MIT
//
// What it costs a receiver to have a datagram, in its own processor time; what the sender pays is
// not in it, and loopback lets the sender pay the way through the network stack. Twice:
//
//     drained    the socket is filled, the sender stops, then all is taken out: system calls that
//                find a full queue
//     live       both run, the sender as fast as it can: with what it costs to wait, and to be
//                woken

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "counters.h"
#include "harness.h"
#include "net/engine.h"
#include "net/net.h"

enum {
    ROWS = 6,
    RING_SETTLES_MS = 12, // later than that a block of the ring that is not full is handed over
    PATIENCE = 500,       // times that a receiver is let wait 1 ms for what was sent already
};

// An engine with what it listens to.
struct lane {
    const struct engine *engine;
    void *state;
    int fds[2];
    size_t len;
    uint64_t chunk; // datagrams that fit the socket at a time
    uint64_t number;
    bool live;
    struct sink sink;
    uint64_t packets, copied; // in what was timed
};

static uint64_t
cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// Takes until `wanted` are there or none is. Adds to *ns what it took.
static int
take_some(struct lane *lane, uint64_t *left, uint64_t *ns)
{
    uint64_t begin, copies = engine_library_copies(), before = *left;
    int got = 1;

    if (bench_count != NULL)
        bench_count(1);
    begin = cpu_ns();
    while (*left != 0 && (got = lane->engine->take(lane->state, &lane->sink, lane->live)) > 0)
        *left -= (uint64_t)got < *left ? (uint64_t)got : *left;
    *ns += cpu_ns() - begin;
    if (bench_count != NULL)
        bench_count(0);
    lane->packets += before - *left;
    lane->copied += engine_library_copies() - copies;
    return got < 0 ? got : 0;
}

static int
take_all(struct lane *lane, uint64_t wanted, uint64_t *ns)
{
    for (int i = 0; i < PATIENCE; i++) {
        int result = take_some(lane, &wanted, ns);

        if (result < 0 || wanted == 0)
            return result;
        usleep(1000);
    }
    return -ETIMEDOUT;
}

static struct traffic
traffic_of(const struct lane *lane, uint64_t count)
{
    size_t train = TRAFFIC_LONGEST / lane->len;

    if (train > TRAFFIC_AT_ONCE)
        train = TRAFFIC_AT_ONCE;
    return (struct traffic){.fd = lane->fds[0],
                            .len = lane->len,
                            .train = lane->engine->train ? (unsigned)train : 1,
                            .first = lane->number,
                            .count = count};
}

static int
drain(struct lane *lane, uint64_t n, uint64_t *ns)
{
    int result = 0;

    for (uint64_t done = 0; done < n && result == 0; done += lane->chunk) {
        struct traffic what = traffic_of(lane, lane->chunk);
        int64_t next;

        traffic_begin(&what);
        next = traffic_wait();
        if (next < 0)
            return (int)next;
        lane->number = (uint64_t)next;
        if (lane->engine->ring)
            usleep(RING_SETTLES_MS * 1000);
        result = take_all(lane, lane->chunk, ns);
    }
    return result;
}

static int
follow(struct lane *lane, uint64_t n, uint64_t *ns)
{
    struct traffic what = traffic_of(lane, UINT64_MAX);
    int64_t next;
    int result;

    traffic_begin(&what);
    result = take_all(lane, n, ns);
    next = traffic_stop();
    if (next > 0)
        lane->number = (uint64_t)next;
    if (lane->engine->ring)
        usleep(RING_SETTLES_MS * 1000);
    while (result >= 0 && (result = lane->engine->take(lane->state, &lane->sink, false)) > 0)
        ;
    return result < 0 ? result : next < 0 ? (int)next : 0;
}

static int
receive(struct lane *lane, uint64_t n, uint64_t *ns)
{
    int result = lane->live ? follow(lane, n, ns) : drain(lane, n, ns);

    return result == 0 && lane->sink.wrong ? -EBADMSG : result;
}

static int
run_lane(void *ctx, struct bench_run *run)
{
    uint64_t ns = 0;
    int result = receive(ctx, run->n, &ns);

    run->begin_ns = 1;
    run->end_ns = 1 + ns;
    return result;
}

static int
check_lane(void *ctx)
{
    struct lane *lane = ctx;
    uint64_t ns = 0;
    int result;

    lane->sink.whole = true;
    result = receive(lane, lane->chunk, &ns);
    lane->sink.whole = false;
    if (result < 0)
        fprintf(stderr, "%s: %s\n", lane->engine->name, strerror(-result));
    return result;
}

// ---- rows

// A ring listens to the interface, and the socket behind it gets rid of what comes. It hears this
// row's datagrams alone: UDP to the socket's port.
static int
open_engine(struct lane *lane)
{
    struct sockaddr_in name;
    socklen_t len = sizeof(name);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 14 + 20 + 2), // destination port
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    struct engine_setup setup = {.fd = lane->fds[1], .len = lane->len, .filter = &filter};
    int small = 1;

    if (lane->engine->ring) {
        if (getsockname(setup.fd, (struct sockaddr *)&name, &len) < 0)
            return -errno;
        code[1].k = ntohs(name.sin_port);
        (void)setsockopt(setup.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    }
    return lane->engine->open(lane->engine, &setup, &lane->state);
}

static int
open_lane(struct lane *lane, const struct engine *engine, size_t len, uint64_t chunk, bool live)
{
    size_t room;
    int result;

    *lane = (struct lane){.engine = engine, .len = len, .chunk = chunk, .live = live};
    lane->sink = (struct sink){.len = len, .lossy = live};
    result = traffic_sockets(lane->fds, &room);
    if (result < 0)
        return result;
    result = open_engine(lane);
    if (result < 0) {
        close(lane->fds[0]);
        close(lane->fds[1]);
    }
    return result;
}

static void
close_lane(struct lane *lane)
{
    lane->engine->close(lane->state);
    close(lane->fds[0]);
    close(lane->fds[1]);
}

struct contest {
    const char *title;
    const struct engine *engines[ROWS]; // the first one is what others are compared with
    size_t longest;                     // beyond that it is the same as another one
    bool ring, live;
};

// Live, who waits for whom changes from moment to moment: long enough to have some of each. Each
// filling of a ring takes as long as it settles.
static double
batch_ms(const struct contest *contest)
{
    if (contest->live)
        return contest->ring ? 0.5 : 3;
    return contest->ring ? 0.03 : 0.3;
}

static void
compare(const struct contest *contest, size_t len, uint64_t chunk)
{
    struct lane lanes[ROWS];
    struct bench_row rows[ROWS] = {{NULL}};
    uint64_t received = 0, copied = 0;
    struct bench_case what = {.workload = "W7",
                              .title = contest->title,
                              .variable = "bytes",
                              .value = (double)len,
                              .unit = "ns/packet",
                              .reference = contest->engines[0]->name,
                              .bytes = (double)len,
                              .multiple = chunk,
                              .batch_ms = batch_ms(contest),
                              .cold = true,
                              .processor_time = true};

    if (!bench_wanted(what.workload, what.title) || len > contest->longest)
        return;
    for (int i = 0; i < ROWS && contest->engines[i] != NULL; i++) {
        const struct engine *engine = contest->engines[i];
        const char *name = engine->own ? bench_own_row(engine->name) : engine->name;
        int result = open_lane(&lanes[i], engine, len, chunk, contest->live);

        if (result < 0)
            bench_skip(name, strerror(-result));
        else
            rows[i] = (struct bench_row){name, run_lane, check_lane, &lanes[i], 0, 0, false};
    }
    bench_compare(&what, rows, ROWS);
    for (int i = 0; i < ROWS; i++) {
        if (rows[i].work == NULL)
            continue;
        received += lanes[i].engine->own ? lanes[i].packets * len : 0;
        copied += lanes[i].engine->own ? lanes[i].copied : 0;
        close_lane(&lanes[i]);
    }
    if (received != 0)
        printf("  of each byte received, the library copied %.4f\n",
               (double)copied / (double)received);
}

// ---- cases

// A kernel without it, or somebody who forbids it: containers often do.
static bool
have_uring(void)
{
#if BENCH_HAVE_LIBURING
    int result = engine_uring_missing();

    if (result == 0)
        return true;
    bench_skip("io_uring", strerror(-result));
#else
    bench_skip("io_uring", "built without liburing");
#endif
    return false;
}

// As many as surely fit the socket's buffer, where each takes more than its bytes.
static uint64_t
fitting(uint64_t chunk, size_t len)
{
    size_t room = 0;
    int fds[2];

    if (traffic_sockets(fds, &room) < 0)
        return 1;
    close(fds[0]);
    close(fds[1]);
    while (chunk > 1 && chunk * (2 * len + 2048) > room)
        chunk /= 2;
    return chunk;
}

void
net_compare_receiving(bool alone)
{
    static const struct contest contests[] = {
#define TIMES_ROWS {&engine_recvmmsg_time, &engine_recvmmsg, &engine_recvfrom_malloc, &engine_rx}
        {"receive, recvmmsg with times, drained", TIMES_ROWS, SIZE_MAX, false, false},
        {"receive, recvmmsg with times, live", TIMES_ROWS, SIZE_MAX, false, true},
#define PLAIN_ROWS {&engine_recvmmsg_sender, &engine_rx_no_time, &engine_rx_few, &engine_rx_lent}
        {"receive, recvmmsg, drained", PLAIN_ROWS, SIZE_MAX, false, false},
        {"receive, recvmmsg, live", PLAIN_ROWS, SIZE_MAX, false, true},
#define GRO_ROWS                                                                                   \
    {&engine_gro, &engine_rx_gro, &engine_rx_gro_no_time, &engine_rx_gro_lent, &engine_rx_trains}
        // Larger ones are not joined.
        {"receive, UDP_GRO, drained", GRO_ROWS, TRAFFIC_LONGEST / 2, false, false},
        {"receive, UDP_GRO, live", GRO_ROWS, TRAFFIC_LONGEST / 2, false, true},
#if BENCH_HAVE_LIBURING
        {"receive, io_uring, drained", {&engine_uring, &engine_uring_rx}, SIZE_MAX, false, false},
        {"receive, io_uring, live", {&engine_uring, &engine_uring_rx}, SIZE_MAX, false, true},
        {"receive, io_uring, live, by 32",
         {&engine_uring_32, &engine_uring_rx_32},
         SIZE_MAX,
         false,
         true},
#endif
#define RING_ROWS {&engine_ring, &engine_packet_ring, &engine_packet_ring_lent}
        {"receive, TPACKET_V3, drained", RING_ROWS, SIZE_MAX, true, false},
        {"receive, TPACKET_V3, live", RING_ROWS, SIZE_MAX, true, true},
    };
    static const struct {
        size_t len;
        uint64_t chunk;
    } sizes[] = {{64, 4096}, {1400, 4096}, {8192, 1024}, {61440, 128}};
    bool uring = have_uring();

    if (!alone)
        bench_skip("TPACKET_V3", "needs a network namespace of its own (unshare -rn)");
    for (size_t i = 0; i < sizeof(contests) / sizeof(contests[0]); i++) {
        const struct contest *contest = &contests[i];

        if ((contest->ring && !alone) || (strstr(contest->title, "io_uring") != NULL && !uring))
            continue;
        for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
            compare(contest, sizes[k].len, fitting(sizes[k].chunk, sizes[k].len));
    }
}
