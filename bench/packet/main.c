// SPDX-License-Identifier: MIT
//
// W3: shared packets of 1500 bytes. What does it cost to pass one to several, and who drops it?

#include "packet/peer.h"

#define LIMIT "one atomic pair per handle (limit)"

static const struct packet_peer *const peers[] = {
    &packet_zcbuf,      &packet_atomic,     &packet_counted,
#if BENCH_HAVE_GLIB
    &packet_gbytes,
#endif
#if BENCH_HAVE_FFMPEG
    &packet_ffmpeg,
#endif
#if BENCH_HAVE_GSTREAMER
    &packet_gstreamer,
#endif
#if BENCH_HAVE_GRPC
    &packet_grpc,
#endif
#if BENCH_HAVE_DPDK
    &packet_mbuf_count, &packet_mbuf_clone,
#endif
#if BENCH_HAVE_APR
    &packet_apr,
#endif
};

enum { PEERS = sizeof(peers) / sizeof(peers[0]) };

enum kind { ONE, FOUR, MANY, SLICES, SLICE, BOTH, CROSS, KINDS };

static const struct {
    const char *title, *unit;
    double value, batch_ms;
    const char *variable;
} kinds[KINDS] = {
    [ONE] = {"create, reference, drop", "ns/packet", 1, 0, "references"},
    [FOUR] = {"create, reference, drop", "ns/packet", 4, 0, "references"},
    [MANY] = {"create, reference, drop", "ns/packet", PACKET_FAN, 0, "references"},
    [SLICES] = {"create, slice, drop", "ns/packet", PACKET_FAN, 0, "slices"},
    [SLICE] = {"one slice", "ns/slice", 1, 0, "slices"},
    [BOTH] = {"two threads on one packet", "ns/pair", 2, 1, "threads"},
    [CROSS] = {"create in A, drop in B", "ns/packet", 2, 1, "threads"},
};

static int (*work_of(const struct packet_peer *peer, enum kind kind))(void *pool,
                                                                      struct bench_run *run)
{
    switch (kind) {
    case ONE:
        return peer->one;
    case FOUR:
        return peer->four;
    case MANY:
        return peer->many;
    case SLICES:
        return peer->slices;
    case SLICE:
        return peer->slice;
    case BOTH:
        return peer->both;
    default:
        return peer->cross;
    }
}

static void
compare(void *const *pools, enum kind kind)
{
    struct bench_case what = {.workload = "W3",
                              .title = kinds[kind].title,
                              .variable = kinds[kind].variable,
                              .value = kinds[kind].value,
                              .unit = kinds[kind].unit,
                              .reference = LIMIT,
                              .batch_ms = kinds[kind].batch_ms,
                              .multiple = 2};
    struct bench_row rows[PEERS + 1];
    size_t n = 0;

    for (int i = 0; i < PEERS; i++) {
        if (pools[i] == NULL)
            continue;
        rows[n++] = (struct bench_row){
            peers[i]->name, work_of(peers[i], kind), peers[i]->check, pools[i], 0, 0};
        if (kind == MANY && peers[i]->many_n != NULL)
            rows[n++] = (struct bench_row){
                bench_own_row("ref_n"), peers[i]->many_n, peers[i]->check, pools[i], 0, 0};
    }
    bench_compare(&what, rows, n);
}

int
main(int argc, char **argv)
{
    void *pools[PEERS];
    int result = bench_start(argc, argv, "packet", "W3: shared packets of 1500 bytes");

    bool wanted = false;

    if (result < 0)
        return -1 - result;
    for (int kind = 0; kind < KINDS; kind++)
        wanted = wanted || bench_wanted("W3", kinds[kind].title);
    bench_be_threaded();
    for (int i = 0; i < PEERS; i++)
        pools[i] = wanted ? peers[i]->create() : NULL;
    for (int kind = 0; kind < KINDS; kind++)
        compare(pools, (enum kind)kind);
    for (int i = 0; i < PEERS; i++)
        if (pools[i] != NULL)
            peers[i]->destroy(pools[i]);
    return bench_finish();
}
