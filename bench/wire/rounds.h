// SPDX-License-Identifier: MIT
//
// The rounds of a contender that first takes a packet in and then parses what it has. The file that
// includes this has defined create() and destroy(), struct peer and
//
//     static inline int feed(struct peer *peer, size_t number, const uint8_t *data, size_t len);
//     static inline int receive(struct peer *peer, const uint8_t *data, size_t len);
//     static inline int parse(struct wire_bench *bench, struct peer *peer);
//
// and puts WIRE_PEER_LOOPS into its struct wire_peer. With WIRE_FEED_ONLY there is no receive().

static inline int
feed_packet(struct wire_bench *bench, size_t number)
{
    const struct wire_packet *packet = &bench->stream->packets[number];
    int result = feed((struct peer *)bench->state, number, packet->data, packet->len);

    return result < 0 ? result : parse(bench, (struct peer *)bench->state);
}

static int
run_feed(void *bench, struct bench_run *run)
{
    return wire_packets((struct wire_bench *)bench, run->n, feed_packet);
}

#ifndef WIRE_FEED_ONLY
static inline int
receive_packet(struct wire_bench *bench, size_t number)
{
    const struct wire_packet *packet = &bench->stream->packets[number];
    int result = receive((struct peer *)bench->state, packet->data, packet->len);

    return result < 0 ? result : parse(bench, (struct peer *)bench->state);
}

static int
run_receive(void *bench, struct bench_run *run)
{
    return wire_packets((struct wire_bench *)bench, run->n, receive_packet);
}

#define WIRE_PEER_LOOPS                                                                            \
    .create = create, .destroy = destroy, .feed = run_feed, .receive = run_receive
#endif
