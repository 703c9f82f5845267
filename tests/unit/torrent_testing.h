// SPDX-License-Identifier: MIT
//
// What the tests of the torrent adapter share: a torrent whose every byte is known, the bytes that a peer sends, and a line over
// which they arrive in pieces of any size.
#ifndef ZCB_TESTS_TORRENT_TESTING_H
#define ZCB_TESTS_TORRENT_TESTING_H

#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include <zcbuf/adapt/torrent.h>
#include <zcbuf/zcbuf.h>

// The torrent's byte at `off`; neighbours, blocks and pieces all differ.
static inline uint8_t
torrent_byte(uint64_t off)
{
    uint64_t state = off;

    return (uint8_t)zcb_test_random(&state);
}

// Everything that a peer will send, in one piece of memory.
struct stream {
    uint8_t *bytes;
    size_t len, room, sent;
};

static inline uint8_t *
stream_grow(struct stream *s, size_t len)
{
    if (s->room - s->len < len) {
        s->room = 2 * (s->len + len);
        s->bytes = realloc(s->bytes, s->room);
        assert_non_null(s->bytes);
    }
    s->len += len;
    return s->bytes + s->len - len;
}

static inline void
stream_put(struct stream *s, const void *data, size_t len)
{
    if (len != 0)
        memcpy(stream_grow(s, len), data, len);
}

static inline void
stream_u32(struct stream *s, uint32_t value)
{
    uint8_t bytes[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value };

    stream_put(s, bytes, 4);
}

// SAY(&s, have, 7): a message by its writer.
#define SAY0(s, name)                                                \
    do {                                                             \
        uint8_t said[64];                                            \
        int said_len = zcb_torrent_write_##name(said, sizeof(said)); \
        assert_true(said_len > 0);                                   \
        stream_put((s), said, (size_t)said_len);                     \
    } while (0)
#define SAY(s, name, ...)                                                         \
    do {                                                                          \
        uint8_t said[128];                                                        \
        int said_len = zcb_torrent_write_##name(said, sizeof(said), __VA_ARGS__); \
        assert_true(said_len > 0);                                                \
        stream_put((s), said, (size_t)said_len);                                  \
    } while (0)

// A PIECE message with the right bytes.
static inline void
say_block(struct stream *s, const struct zcb_torrent_geometry *g, uint32_t index, uint32_t begin, uint32_t length)
{
    uint64_t at = (uint64_t)index * g->piece_length + begin;
    uint8_t *out;

    SAY(s, piece, index, begin, length);
    out = stream_grow(s, length);
    for (uint32_t i = 0; i < length; i++)
        out[i] = torrent_byte(at + i);
}

static inline void
say_handshake(struct stream *s)
{
    struct zcb_torrent_handshake h = { .reserved = { [5] = 0x10, [7] = 0x04 } };

    memset(h.info_hash, 'h', sizeof(h.info_hash));
    memset(h.peer_id, 'p', sizeof(h.peer_id));
    SAY(s, handshake, &h);
}

static inline void
stream_end(struct stream *s)
{
    free(s->bytes);
    *s = (struct stream){ 0 };
}

// The answers to the REQUESTs in `asked`.
static inline void
answer_requests(struct stream *s, const struct zcb_torrent_geometry *g, const uint8_t *asked, size_t len)
{
    for (size_t i = 0; i + 17 <= len; i += 17) {
        const uint8_t *m = asked + i;

        assert_int_equal(m[3], 13);
        if (m[4] == ZCB_TORRENT_REQUEST)
            say_block(s, g, (uint32_t)m[5] << 24 | (uint32_t)m[6] << 16 | (uint32_t)m[7] << 8 | m[8],
                      (uint32_t)m[9] << 24 | (uint32_t)m[10] << 16 | (uint32_t)m[11] << 8 | m[12],
                      (uint32_t)m[13] << 24 | (uint32_t)m[14] << 16 | (uint32_t)m[15] << 8 | m[16]);
    }
}

// A readable socket: at most `most` bytes of the stream into the wire's plan. Returns how many, or an error.
static inline ssize_t
line_recv(struct zcb_torrent_wire *wire, struct stream *s, size_t most, int iovecs)
{
    struct iovec iov[160];
    size_t got = 0;
    int n = zcb_torrent_wire_recv_plan(wire, iov, iovecs), r;

    if (n <= 0)
        return n;
    assert_true(n <= iovecs);
    for (int i = 0; i < n && got < most && s->sent < s->len; i++) {
        size_t len = iov[i].iov_len;

        assert_true(len != 0);
        len = len < most - got ? len : most - got;
        len = len < s->len - s->sent ? len : s->len - s->sent;
        memcpy(iov[i].iov_base, s->bytes + s->sent, len);
        s->sent += len;
        got += len;
    }
    r = zcb_torrent_wire_received(wire, got);
    return r < 0 ? r : (ssize_t)got;
}

// What came out.
struct heard {
    struct zcb_torrent_message messages[4096];
    size_t count;
};

// All messages that are there. 0, or the error.
static inline int
hear(struct zcb_torrent_wire *wire, struct heard *heard)
{
    struct zcb_torrent_message m;
    int r;

    while ((r = zcb_torrent_wire_next(wire, &m)) > 0)
        if (heard != NULL) {
            assert_true(heard->count < 4096);
            heard->messages[heard->count++] = m;
        }
    return r;
}

// The whole stream in reads of at most `most` bytes. 0, or next()'s error.
static inline int
line_run(struct zcb_torrent_wire *wire, struct stream *s, size_t most, int iovecs, struct heard *heard)
{
    int r = hear(wire, heard);

    while (r == 0 && s->sent < s->len) {
        ssize_t got = line_recv(wire, s, most, iovecs);

        assert_true(got > 0);
        r = hear(wire, heard);
    }
    return r;
}

// A callback that looks at every byte of a completed piece.
struct finished {
    struct zcb_torrent_geometry geometry;
    uint32_t count;
    uint32_t last;
    struct zcb_packet kept[64]; // with `keep`
    bool keep;
};

static inline void
on_complete(void *ctx, uint32_t piece, struct zcb_packet *packet)
{
    struct finished *f = ctx;
    uint64_t at = zcb_torrent_piece_offset(&f->geometry, piece);

    assert_int_equal(packet->len, zcb_torrent_piece_length(&f->geometry, piece));
    for (size_t i = 0; i < packet->len; i++)
        if (packet->data[i] != torrent_byte(at + i))
            fail_msg("piece %u, byte %zu: wrong", piece, i);
    if (f->keep)
        f->kept[f->count] = *packet;
    else
        zcb_packet_unref(packet);
    f->count++;
    f->last = piece;
}

#endif
