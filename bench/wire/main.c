// SPDX-License-Identifier: MIT
//
// W1: a torrent connection: blocks of 16 KiB among small messages, from packets to their places.

#include "wire/peer.h"

#define LIMIT "memcpy of the payload (limit)"

static const struct wire_peer *const peers[] = {
    &wire_zcbuf,
    &wire_zcbuf_early,
    &wire_zcbuf_torrent,
    &wire_zcbuf_torrent_direct,
    &wire_copy,
    &wire_early,
    &wire_linear,
    &wire_flat,
    &wire_naive,
#if BENCH_HAVE_LIBEVENT
    &wire_evbuffer_reference,
    &wire_evbuffer_copy,
#endif
#if BENCH_HAVE_GLIB
    &wire_gbytearray,
#endif
#if BENCH_HAVE_GSTREAMER_BASE
    &wire_gstadapter,
#endif
#if BENCH_HAVE_AVFIFO
    &wire_avfifo,
#endif
#if BENCH_HAVE_APR
    &wire_apr,
#endif
#if BENCH_HAVE_GRPC
    &wire_grpc,
#endif
#if BENCH_HAVE_ASIO
    &wire_asio,
#endif
#if BENCH_HAVE_CORD
    &wire_cord,
#endif
};

enum { PEERS = sizeof(peers) / sizeof(peers[0]) };

enum {
    HOT = 16,         // blocks: 256 KiB
    COLD = 12288,     // 192 MiB, into
    COLD_DEST = 8192, // 32 pieces of 4 MiB
    HOT_PIECE = 2,    // 1 << that blocks are a piece: 64 KiB
    COLD_PIECE = 8,   // 4 MiB
};

static struct wire_bench benches[PEERS];

static void
compare(const struct bench_case *what, const struct wire_plan *plan, bool receive)
{
    struct wire_stream stream;
    struct bench_row rows[PEERS];

    if (!bench_wanted(what->workload, what->title))
        return;
    wire_stream_make(plan, &stream);
    for (int i = 0; i < PEERS; i++) {
        const struct wire_peer *peer = peers[i];

        benches[i] = (struct wire_bench){
            .stream = &stream,
            .work = receive ? peer->receive : peer->feed,
        };
        rows[i] = (struct bench_row){
            .name = peer->own ? bench_own_row(peer->name) : peer->name,
            .check = wire_check,
            .ctx = &benches[i],
        };
        if (benches[i].work == NULL)
            continue;
        benches[i].state = peer->create(&stream);
        if (benches[i].state != NULL)
            rows[i].work = benches[i].work;
    }
    bench_compare(what, rows, PEERS);
    for (int i = 0; i < PEERS; i++)
        if (benches[i].state != NULL)
            peers[i]->destroy(benches[i].state);
    wire_stream_free(&stream);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *title;
        size_t packet, stride;
        bool receive;
    } hot[] = {
        {"feed", 1448, 0, false},
        {"feed", 16384, 0, false},
        {"feed, random packets", 0, 0, false},
        {"feed, each packet elsewhere", 1448, 2048, false},
        {"rx", 1448, 0, true},
        {"rx", 16384, 0, true},
        {"rx, random packets", 0, 0, true},
    };
    int result = bench_start(argc, argv, "wire",
                             "W1: a torrent connection, from packets to the blocks' places");

    if (result < 0)
        return -1 - result;
    for (size_t i = 0; i < sizeof(hot) / sizeof(hot[0]); i++) {
        struct wire_plan plan = {.blocks = HOT,
                                 .dest_blocks = HOT,
                                 .piece_shift = HOT_PIECE,
                                 .small = 4,
                                 .packet = hot[i].packet,
                                 .stride = hot[i].stride};
        struct bench_case what = {.workload = "W1",
                                  .title = hot[i].title,
                                  .variable = "packet bytes",
                                  .value = hot[i].packet != 0 ? (double)hot[i].packet : 32768,
                                  .unit = "ns/block",
                                  .reference = LIMIT,
                                  .units = HOT,
                                  .batch_ms = 0.5};

        compare(&what, &plan, hot[i].receive);
    }
    {
        struct wire_plan plan = {.blocks = HOT,
                                 .dest_blocks = HOT,
                                 .piece_shift = HOT_PIECE,
                                 .small = 64,
                                 .packet = 16384};
        struct bench_case what = {.workload = "W1",
                                  .title = "feed, 64 small messages per block",
                                  .variable = "packet bytes",
                                  .value = 16384,
                                  .unit = "ns/message",
                                  .reference = LIMIT,
                                  .units = HOT * 65,
                                  .batch_ms = 0.5};

        compare(&what, &plan, false);
    }
    {
        struct wire_plan plan = {.blocks = COLD,
                                 .dest_blocks = COLD_DEST,
                                 .piece_shift = COLD_PIECE,
                                 .small = 4,
                                 .packet = 16384};
        struct bench_case what = {.workload = "W1",
                                  .title = "feed, cold",
                                  .variable = "packet bytes",
                                  .value = 16384,
                                  .unit = "ns/block",
                                  .reference = LIMIT,
                                  .units = COLD,
                                  .cold = true};

        compare(&what, &plan, false);
    }
    return bench_finish();
}
