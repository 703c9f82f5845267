// SPDX-License-Identifier: MIT
//
// The download itself: several peers, one thread, one epoll loop.
//
//     socket -> wire (parse) -> piece (in pooled memory) -> SHA-1 -> pwrite() of the whole piece
//
// The hash follows each block while it is in cache; a piece is written once, when it is right. So
// whatever is in the files at a whole piece is either right or was there before, and a run that
// ends at any moment, in any way, leaves what the next one finds by hashing.
//
// Wrong data. A piece that one peer sent all of blames that peer. When several did, they are put on
// trial: one peer alone goes on asking until the piece is right, then the blocks that differ from
// the right ones tell who sent them. One that does not bring them loses its turn, and the next one
// begins with an empty piece: what comes out wrong then has one sender.
#ifndef EXAMPLES_DOWNLOAD_H
#define EXAMPLES_DOWNLOAD_H

#include <zcbuf/adapt/torrent.h>

#include <openssl/evp.h>

#include "cli.h"
#include "metainfo.h"
#include "storage.h"

#define DOWNLOAD_CHUNK (128u << 10) // bytes of one read, without --direct

enum peer_state { PEER_WAITING, PEER_CONNECTING, PEER_OPEN, PEER_DEAD };

struct peer {
    struct sockaddr_storage address;
    socklen_t address_len;
    char name[64];
    enum peer_state state;
    enum exit_code fault; // what it was last lost for
    int fd;
    struct zcb_torrent_wire *wire;
    uint32_t number, attempts;
    uint64_t retry_ms;      // PEER_WAITING: when to connect
    uint64_t useful_ms;     // when it last did something for us
    uint64_t payload_bytes; // over all its connections
    bool interested, waits_to_write, banned;
    bool unchoked;     // as the last message about it says
    uint32_t unchokes; // without a block in between
    bool suspect;      // sent a part of a wrong piece, and no right one since
    uint8_t out[8192]; // messages to send
    size_t out_len, out_sent;
};

// Peers that together sent a piece that is wrong.
struct trial {
    uint32_t piece;              // ZCB_TORRENT_NONE: none
    uint32_t peer;               // who alone may ask now
    uint64_t since_ms, block_ms; // when its turn began, and when it last brought a block of it
    uint64_t turn_ms;            // how long it may bring none; twice that after each round
    uint32_t turns;
    EVP_MD_CTX *context; // of the attempt that is under way
    uint32_t blocks;
    uint32_t *from; // who sent each block of the wrong piece
    uint8_t (*digests)[META_HASH];
};

struct download {
    // Set by the caller.
    const struct metainfo *meta;
    struct storage *storage;
    struct peer *peers;
    uint32_t peer_count;
    bool direct;
    uint32_t pipeline, retries;
    uint64_t timeout_ms;
    void (*progress)(const struct download *download); // about ten times a second

    // To read.
    uint64_t total_bytes, done_bytes, resumed_bytes; // of right pieces
    uint32_t pieces_done, hash_failures;
    uint64_t reads, waits;               // system calls
    struct zcb_torrent_wire_stats wires; // sums over all connections
    struct zcb_pool *receive_pool, *piece_pool;
    uint64_t steady_allocs;  // allocator calls, without OpenSSL's own ...
    uint64_t steady_openssl; // and those ...
    uint32_t steady_pieces;  // ... while these pieces came
    uint32_t peers_open;

    // Its own.
    struct zcb_torrent_geometry geometry;
    struct zcb_torrent_assembler *assembler;
    struct trial trial;
    EVP_MD_CTX **idle, **contexts; // contexts without a piece; all there are
    size_t idle_count, context_count, context_room;
    uint8_t peer_id[20];
    uint64_t block_ms; // when any peer last brought a block
    uint64_t warm_allocs, warm_openssl;
    uint32_t warm_pieces;
    bool drained; // the last read left nothing in its socket
    int epoll;
    enum exit_code fatal;
};

// Memory, pools, the assembler. EXIT_DONE, or what failed (a message was given).
enum exit_code download_init(struct download *download);

// Looks for pieces that are in the files already. EXIT_DONE, EXIT_STOPPED, or what failed.
enum exit_code download_resume(struct download *download);

// Until all is there, or it cannot go on. The same.
enum exit_code download_run(struct download *download);

void download_finish(struct download *download);

// ---- between its files

// download_verify.c. Fills in the assembler's callbacks.
void download_callbacks(struct download *d, struct zcb_torrent_assembler_config *config);
void download_trial_step(struct download *d, uint64_t now); // chooses who alone may ask now
void download_trial_end(struct download *d);

// download_peer.c. send and talk: false if the peer is lost by that.
void download_connect(struct download *d, struct peer *p);
void download_connected(struct download *d, struct peer *p);
bool download_send(struct download *d, struct peer *p); // what waits in p->out
bool download_talk(struct download *d, struct peer *p); // what there is to say now, too
void download_readable(struct download *d, struct peer *p);
void download_judge(struct download *d, struct peer *p, uint64_t now); // kept us waiting too long?
void download_add_stats(struct download *d, struct peer *p);

#endif
