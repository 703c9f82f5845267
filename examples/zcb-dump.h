// SPDX-License-Identifier: MIT
//
// The parts of zcb-dump:
//
//     zcb-dump.c          the two loops (interface, file)
//     zcb-dump-options.c  the command line
//     zcb-dump-batch.c    what is done with each packet
//     zcb-dump-report.c   statistics
//     zcb-dump-line.c     a packet as a line for people, or as a JSON object
//     zcb-dump-flows.c    a bounded table of conversations
//     zcb-dump-workers.c  threads that batches of packets are handed to, by reference
//     zcb-dump-file.c     what needs libpcap: capture files and filters
//
// A packet's way: an engine (or libpcap) gives a batch of them; the batch is taken apart, printed
// and counted by dump_batch(), either in the main thread or by a worker; then its packets are
// unreferenced.
#ifndef EXAMPLES_ZCB_DUMP_H
#define EXAMPLES_ZCB_DUMP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <zcbuf/adapt/frame.h>
#include <zcbuf/packet.h>

#include "cli.h"

#define BATCH 64       // packets
#define LINE_MAX 4096u // bytes; longer than any line that dump_line() makes
#define VERDICTS 32    // room for those of zcb_frame_verdict

struct item {
    struct zcb_packet packet;
    uint64_t number; // from 1
    uint64_t time_ns;
    uint32_t wire_len; // before it was cut
    bool tagged;       // the kernel took this VLAN tag out of the bytes
    uint16_t tci, tpid;
};

struct batch {
    uint64_t turn; // batches are printed in this order
    unsigned count;
    bool lent; // the packets belong to the engine: they are not unreferenced
    struct item items[BATCH];
    struct batch *next;
};

// What the command line says about each packet.
struct view {
    enum zcb_frame_link link;
    bool quiet, json, verify, flows;
    uint32_t max_flows;
    uint64_t seed; // of the flow table's hash
};

struct options {
    const char *interface, *path, *filter, *write;
    uint64_t count, snaplen, workers;
    bool selfish; // not promiscuous
    struct view view;
};

// Fills in all of *out. false: a message was said. *help: the usage was printed.
bool options_parse(int argc, char **argv, struct options *out, bool *help);

// ---- flows

struct flow {
    struct zcb_frame_flow key; // canonical; protocol 0 and version 0: a free slot
    uint64_t packets[2];       // as the key says, and the other way
    uint64_t bytes[2];         // on the wire
    uint64_t first_ns, last_ns;
};

struct flows {
    struct flow *slots;
    uint32_t mask; // slots - 1; twice max or more
    uint32_t count, max;
    uint64_t seed;
    uint64_t other_packets, other_bytes; // for which there was no room
};

bool flows_init(struct flows *flows, uint32_t max, uint64_t seed);
void flows_free(struct flows *flows);
void flows_count(struct flows *flows, const struct zcb_packet *packet,
                 const struct zcb_frame *frame, uint64_t time_ns, uint32_t wire_len);
void flows_merge(struct flows *into, const struct flows *from);
void flows_print(struct flows *flows, bool json); // sorts them

// ---- what one thread has seen

struct tally {
    uint64_t packets, bytes; // captured
    uint64_t batches;
    uint64_t verdicts[VERDICTS];
    uint64_t foreign;       // of a link type that the library does not know
    uint64_t ip_sums[8];    // by enum zcb_frame_checksum_state
    uint64_t inner_sums[8]; // TCP, UDP, ICMP
    struct flows flows;
    char *text; // lines of one batch
    size_t text_len;
};

bool tally_init(struct tally *tally, const struct view *view);
void tally_free(struct tally *tally);
void tally_merge(struct tally *into, const struct tally *from);

// Takes the packets of a batch apart, counts them, and leaves lines in tally->text.
void dump_batch(const struct view *view, struct tally *tally, struct batch *batch);

// The line of one packet with its newline; its length. Nothing of the packet's bytes is printed
// but as numbers.
size_t dump_line(const struct view *view, const struct item *item, const struct zcb_frame *frame,
                 int verdict, int ip_sum, int inner_sum, char out[LINE_MAX]);

// "10.0.0.1.80", "::1.80"; without the port where it is -1. Static, four at a time.
const char *endpoint_text(unsigned version, const uint8_t *address, int port);
const char *protocol_text(unsigned protocol);

// ---- workers

struct workers;

// `depth` batches in all: what may wait or be worked on. NULL: no memory, or no thread.
struct workers *workers_create(unsigned count, unsigned depth, const struct view *view);

// An empty batch, waiting up to timeout_ms for one to be free; NULL: all are busy.
struct batch *workers_batch(struct workers *workers, int timeout_ms);

// Hands over a batch, and what its packets own.
void workers_submit(struct workers *workers, struct batch *batch);

// Waits until all is done. Then their figures can be read, and they can be freed.
void workers_finish(struct workers *workers);
unsigned workers_count(const struct workers *workers);
const struct tally *workers_tally(const struct workers *workers, unsigned i);
void workers_free(struct workers *workers);

// Packets that are taken apart so far; can be called at any time.
uint64_t workers_done(struct workers *workers);

// ---- the report

struct zcb_frame_io_stats;

struct figures {
    const struct view *view;
    struct tally *tally; // of all threads
    const struct workers *workers;
    const struct zcb_frame_io_stats *io; // NULL: of a file
    bool filtered;
    uint64_t skipped, cut, waits, written;
    const char *write;
    double seconds, cpu;
};

// The table of flows, if there is one, and statistics.
void report(const struct figures *figures);

// ---- libpcap. Where it was not there when this was built, both opens fail and say so.

struct capture_file;

struct sock_fprog;

// `filter`: NULL: none. NULL: *code, after a message.
struct capture_file *capture_open(const char *path, const char *filter, uint32_t snaplen, int *link,
                                  enum exit_code *code);

// 1: a packet, borrowed until the next call; 0: the end; -1: damaged, a message was said.
int capture_next(struct capture_file *file, struct item *out);
uint64_t capture_skipped(const struct capture_file *file); // not what the filter wants
void capture_close(struct capture_file *file);

// A program for the kernel that takes what `filter` says and cuts it off at `snaplen`; NULL filter:
// all. The result is malloc'ed, with what it points to, in one piece. NULL: *code, after a message.
struct sock_fprog *capture_compile(const char *filter, int link, uint32_t snaplen,
                                   enum exit_code *code);

#endif
