// SPDX-License-Identifier: MIT
//
// Fragmentation and reassembly: what their files share.
//
//     frame_fragment.c          datagrams into fragments
//     frame_fragment_input.c    fragments into datagrams: what a fragment is, and where it belongs
//     frame_fragment_hold.c     what is held meanwhile: the table, budgets, time
//     frame_fragment_rebuild.c  a complete datagram into the caller's chain
//
// Read struct datagram first, then zcb_reassembler_input().
#ifndef ZCB_ADAPT_FRAME_FRAGMENT_PRIVATE_H
#define ZCB_ADAPT_FRAME_FRAGMENT_PRIVATE_H

#include "frame.h"

#include <zcbuf/adapt/frame_fragment.h>

// ---- the packet that was passed

struct fragment_bytes {
    struct frame_view view;
    const struct zcb_packet *packet; // NULL: a chain
    size_t len;                      // there
};

static inline struct fragment_bytes
fragment_bytes_of(const struct zcb_packet *packet)
{
    return (struct fragment_bytes){frame_view_of(packet->data), packet, packet->len};
}

// `off` may lie behind the end: then nothing is there.
static inline struct fragment_bytes
fragment_bytes_of_chain(const struct zcb_chain *chain, size_t off)
{
    size_t len = zcb_chain_len(chain);

    return (struct fragment_bytes){{NULL, chain, off}, NULL, off < len ? len - off : 0};
}

// Where the datagram, or the fragment, lies. Offsets as in struct zcb_frame.
struct fragment_ip {
    uint32_t network;
    uint32_t header_len; // IPv4 with options; IPv6 up to and with its fragment header, if any
    uint32_t end;        // by the length field; it may lie behind what is there
    uint32_t off;        // of its data in the datagram
    uint8_t version;
    bool more;
};

// Reads them. What the parse said is trusted as far as it does not lead out of the bytes.
// 0; -ENOTSUP: not IP, of no stated length, or cut in its header; -EINVAL: `frame` is not of these
// bytes.
int fragment_ip_of(const struct fragment_bytes *bytes, const struct zcb_frame *frame,
                   struct fragment_ip *out);

// ---- what a reassembler holds

// A fragment's data. Those of a datagram are a list by offset that never overlaps.
struct part {
    struct part *next;
    struct zcb_packet data;
    uint32_t off;
};

struct link {
    struct link *next, *prev;
};

// Compared with memcmp: no holes. Identification is in the flow's ports. A source has the first 8
// bytes of its address alone, and another kind.
struct key {
    struct zcb_frame_flow flow;
    uint32_t context;
    uint32_t kind;
};

enum { KEY_DATAGRAM, KEY_SOURCE };

// In the table, or in a list of free ones. First member of both structs below.
struct node {
    struct key key;
    struct node *next;
};

struct held {
    size_t bytes;
    uint32_t fragments, datagrams;
};

struct source {
    struct node node;
    struct link datagrams; // the oldest first
    struct held held;
};

// Under way: some parts. Dead: none, and none will be taken; it stays until its time is over, so
// that what still comes is known as part of it.
struct datagram {
    struct node node;
    struct link age, mate; // in the reassembler's list, in the source's
    struct source *source;
    struct part *first, *last;
    struct zcb_packet header; // the first fragment's, from the IP header to the data
    uint64_t born_ms;
    size_t bytes;      // charged for it
    uint32_t parts;    // likewise
    uint32_t received; // bytes of data
    uint32_t end;      // of the data; 0: the last fragment has not come
    uint8_t ecn;       // a bit for each codepoint seen
    bool dead;
};

// Numbers of zcb_reassembler_stats, in its order.
enum counter {
#define FRAGMENT_COUNT_RESULT(NAME, name, what) COUNT_##name,
    ZCB_REASSEMBLY_RESULTS(FRAGMENT_COUNT_RESULT)
#undef FRAGMENT_COUNT_RESULT
#define FRAGMENT_COUNT_STAT(name, gauge, what) COUNT_##name,
        ZCB_REASSEMBLER_STATS(FRAGMENT_COUNT_STAT)
#undef FRAGMENT_COUNT_STAT
            COUNTERS
};

struct zcb_reassembler {
    struct zcb_pool *pool;
    uint64_t seed;
    uint64_t now_ms;                      // the latest that was passed
    struct zcb_reassembler_config config; // no zeroes in it but for headroom
    struct held held, most, source_most;
    struct link ages; // datagrams, the oldest first
    struct node **table;
    size_t mask;
    struct part *parts; // free
    struct node *datagrams, *sources;
    void *memory[3];
    uint64_t counts[COUNTERS];
};

// The node of that key. NULL: there is none; *crowded then says that none may be added.
struct node *fragment_find(const struct zcb_reassembler *r, const struct key *key, bool *crowded);

// A new datagram with no parts, or NULL: crowded. It always fits, but it may be one too many until
// fragment_room() has said yes.
struct datagram *fragment_begin(struct zcb_reassembler *r, const struct key *key);

// Makes room for one more part of `d` that is charged with `bytes`, at the cost of other datagrams.
bool fragment_room(struct zcb_reassembler *r, struct datagram *d, size_t bytes);

// A part, which there always is; `data` moves into it.
struct part *fragment_part(struct zcb_reassembler *r, struct zcb_packet *data, uint32_t off);
void fragment_part_free(struct zcb_reassembler *r, struct part *part);

// Puts the part into the list, behind `before` (NULL: at the front), or takes it out again.
void fragment_link(struct datagram *d, struct part *part, struct part *before);
void fragment_unlink(struct datagram *d, struct part *part, struct part *before);

// The last fragment's part that was linked stays: charges for it.
void fragment_charge(struct zcb_reassembler *r, struct datagram *d, size_t bytes);

void fragment_forget(struct zcb_reassembler *r, struct datagram *d);  // gone
void fragment_discard(struct zcb_reassembler *r, struct datagram *d); // dead

static inline bool
fragment_is_due(const struct zcb_reassembler *r, const struct datagram *d)
{
    return r->now_ms - d->born_ms >= r->config.timeout_ms;
}

// The datagram into `out`, which is empty: a new header made of `header` (a fragment's) for `len`
// bytes of data, and the parts. 0, or an error and an empty chain.
int fragment_rebuild(const struct zcb_reassembler *r, const struct zcb_packet *header, uint32_t len,
                     bool congested, const struct part *parts, struct zcb_chain *out);

// Pushes another reference.
static inline int
fragment_push(struct zcb_chain *out, const struct zcb_packet *packet)
{
    struct zcb_packet ref = zcb_packet_ref(packet);
    int result = zcb_chain_push(out, &ref);

    if (result < 0)
        zcb_packet_unref(&ref);
    return result;
}

// A buffer for a header of `len` bytes, with `headroom` in front.
int fragment_header(struct zcb_pool *pool, uint32_t headroom, uint32_t len, struct zcb_buf **out,
                    uint8_t **at);

// Writes the checksum of an IPv4 header.
static inline void
fragment_checksum(uint8_t *header, uint32_t len)
{
    frame_put_u16(header + 10, 0);
    frame_put_u16(header + 10, zcb_frame_checksum(zcb_frame_sum(header, len, 0)));
}

#endif
