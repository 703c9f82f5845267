// SPDX-License-Identifier: MIT
//
// W6: the least that a download of a torrent costs. One peer, one file, all of it or nothing:
//
//     recv() -> parse -> memcpy() into the piece -> SHA-1 -> pwrite() of the whole piece
//
// No bitmaps, no timeouts, no second peer, no resuming, nothing of libzcbuf. What is to be cheap is
// done as cheaply as it can be: large reads that wait until there is something to read, requests in
// batches, a hash that follows the bytes while they are in cache, memory that is used again.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "cli.h"
#include "metainfo.h"
#include "sha1.h"

enum {
    BLOCK = 16384,
    PIPELINE = 256,     // blocks asked for at a time: what zcb-get asks for
    BATCH = 32,         // requests of one send()
    BUFFER = 256 << 10, // of one recv()
    HEADER = 13,        // of a PIECE message
    REQUEST = 17,
};

struct slot {
    struct slot *next; // free ones: the last used first, it is in cache
    uint32_t got;      // bytes
    uint32_t hashed;   // of them, from the front
    EVP_MD_CTX *hash;
    uint8_t *bytes;
};

static struct metainfo meta;
static struct slot **slots, *idle; // of each piece that is under way
static int peer, file;
static uint64_t asked, received; // bytes
static uint32_t done;            // pieces
static bool unchoked;

static void
check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static void
send_all(const uint8_t *data, size_t len)
{
    while (len != 0) {
        ssize_t put = send(peer, data, len, MSG_NOSIGNAL);

        check(put > 0, "send");
        data += put;
        len -= (size_t)put;
    }
}

static uint8_t *
put_u32(uint8_t *to, uint32_t value)
{
    *to++ = (uint8_t)(value >> 24);
    *to++ = (uint8_t)(value >> 16);
    *to++ = (uint8_t)(value >> 8);
    *to++ = (uint8_t)value;
    return to;
}

static uint32_t
get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static uint32_t
smaller(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

// Requests go out when there is place for a batch of them.
static void
ask(void)
{
    uint8_t out[BATCH * REQUEST], *to = out;

    while (unchoked && asked < meta.total &&
           asked - received <= (uint64_t)(PIPELINE - BATCH) * BLOCK) {
        for (to = out; to < out + sizeof(out) && asked < meta.total;) {
            uint32_t begin = (uint32_t)(asked % meta.piece_length);
            uint32_t len = smaller(BLOCK, smaller(meta.piece_length - begin, meta.total - asked));

            to = put_u32(to, REQUEST - 4);
            *to++ = 6;
            to = put_u32(to, (uint32_t)(asked / meta.piece_length));
            to = put_u32(to, begin);
            to = put_u32(to, len);
            asked += len;
        }
        send_all(out, (size_t)(to - out));
    }
}

static struct slot *
slot_of(uint32_t piece)
{
    struct slot *s = slots[piece];

    if (s != NULL)
        return s;
    s = idle;
    if (s != NULL) {
        idle = s->next;
    } else {
        s = calloc(1, sizeof(*s));
        check(s != NULL, "memory");
        s->bytes = malloc(meta.piece_length);
        s->hash = EVP_MD_CTX_new();
        check(s->bytes != NULL && s->hash != NULL, "memory");
    }
    s->got = s->hashed = 0;
    check(EVP_DigestInit_ex(s->hash, sha1_method(), NULL) == 1, "SHA-1");
    slots[piece] = s;
    return s;
}

static void
finish(uint32_t piece, struct slot *s)
{
    uint8_t digest[EVP_MAX_MD_SIZE];

    // What came out of its order.
    check(EVP_DigestUpdate(s->hash, s->bytes + s->hashed, s->got - s->hashed) == 1 &&
              EVP_DigestFinal_ex(s->hash, digest, NULL) == 1,
          "SHA-1");
    check(memcmp(digest, meta.hashes + (size_t)piece * META_HASH, META_HASH) == 0, "wrong hash");
    check(pwrite(file, s->bytes, s->got, (off_t)piece * meta.piece_length) == (ssize_t)s->got,
          "pwrite");
    slots[piece] = NULL;
    s->next = idle;
    idle = s;
    done++;
}

static void
take_block(const uint8_t *message, uint32_t len)
{
    uint32_t piece = get_u32(message + 5), begin = get_u32(message + 9);
    uint32_t length = len + 4 - HEADER, whole;
    struct slot *s;

    check(len + 4 >= HEADER && piece < meta.pieces && begin < meta.piece_length &&
              length <= meta.piece_length - begin,
          "a block out of bounds");
    whole = smaller(meta.piece_length, meta.total - (uint64_t)piece * meta.piece_length);
    s = slot_of(piece);
    memcpy(s->bytes + begin, message + HEADER, length);
    s->got += length;
    received += length;
    if (begin == s->hashed) {
        check(EVP_DigestUpdate(s->hash, s->bytes + begin, length) == 1, "SHA-1");
        s->hashed += length;
    }
    if (s->got == whole)
        finish(piece, s);
}

// Takes whole messages from the front; returns how many bytes they were.
static size_t
take_messages(const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (len - at >= 4) {
        uint32_t length = get_u32(data + at);

        check(length <= BUFFER - 4, "a message that is too long");
        if (len - at - 4 < length)
            break;
        if (length != 0 && data[at + 4] == 7)
            take_block(data + at, length);
        else if (length != 0 && data[at + 4] <= 1)
            unchoked = data[at + 4] == 1;
        at += 4 + (size_t)length;
    }
    return at;
}

static void
greet(void)
{
    static const uint8_t interested[5] = {0, 0, 0, 1, 2};
    uint8_t hello[68] = "\23BitTorrent protocol";
    ssize_t got = 0;

    memcpy(hello + 28, meta.info_hash, 20);
    memcpy(hello + 48, "-ZF0100-floor-floor-", 20);
    send_all(hello, sizeof(hello));
    send_all(interested, sizeof(interested));
    got = recv(peer, hello, sizeof(hello), MSG_WAITALL);
    check(got == sizeof(hello) && memcmp(hello + 28, meta.info_hash, 20) == 0, "handshake");
}

// A read that brings a few packets costs nearly what a large one does: the kernel is told how much
// is worth waking up for, where so much is sure to come.
static void
wait_for_more(size_t want)
{
    static int low = 1;
    uint64_t coming = asked - received;
    int wish = coming > 2 * want ? (int)want : 1;
    struct pollfd readable = {.fd = peer, .events = POLLIN};

    if (wish != low)
        check(setsockopt(peer, SOL_SOCKET, SO_RCVLOWAT, &wish, sizeof(wish)) == 0, "SO_RCVLOWAT");
    low = wish;
    check(poll(&readable, 1, 30000) == 1, "nothing comes");
}

int
main(int argc, char **argv)
{
    static uint8_t buffer[BUFFER];
    struct sockaddr_storage address;
    socklen_t address_len;
    char why[256];
    size_t held = 0;

    if (argc != 4) {
        fputs("usage: floor FILE.torrent HOST:PORT OUTPUT\n", stderr);
        return 2;
    }
    if (!metainfo_load(argv[1], &meta, why, sizeof(why)) ||
        !parse_address(argv[2], &address, &address_len, why)) {
        fprintf(stderr, "floor: %s\n", why);
        return 2;
    }
    slots = calloc(meta.pieces, sizeof(struct slot *));
    check(slots != NULL && sha1_method() != NULL, "memory");
    file = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    check(file >= 0, argv[3]);
    peer = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(peer >= 0 && connect(peer, (struct sockaddr *)&address, address_len) == 0, "connect");
    greet();
    while (done < meta.pieces) {
        ssize_t got;
        size_t used;

        wait_for_more(BUFFER / 2);
        got = recv(peer, buffer + held, BUFFER - held, 0);
        check(got > 0, "recv");
        held += (size_t)got;
        used = take_messages(buffer, held);
        held -= used;
        memmove(buffer, buffer + used, held);
        ask();
    }
    check(close(file) == 0, argv[3]);
    return 0;
}
