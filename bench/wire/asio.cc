// SPDX-License-Identifier: MIT
//
// Asio's streambuf, of Boost or on its own: one array whose contents move to its front when there
// is no room behind them. It grows to what was prepared, so the array is made at the start.

#if __has_include(<boost/asio/streambuf.hpp>)
#include <boost/asio/buffer.hpp>
#include <boost/asio/streambuf.hpp>
#define ASIO boost::asio
#define ASIO_NAME "Boost.Asio streambuf"
#else
#include <asio/buffer.hpp>
#include <asio/streambuf.hpp>
#define ASIO asio
#define ASIO_NAME "Asio streambuf"
#endif

extern "C" {
#include "wire/peer.h"
}

enum { CAPACITY = 131072 };

struct peer {
    ASIO::streambuf buffer;
};

static void *
create(struct wire_stream *)
{
    struct peer *peer = new struct peer;

    peer->buffer.prepare(CAPACITY);
    return peer;
}

static void
destroy(void *state)
{
    delete static_cast<struct peer *>(state);
}

static inline int
receive(struct peer *peer, const uint8_t *data, size_t len)
{
    peer->buffer.commit(ASIO::buffer_copy(peer->buffer.prepare(len), ASIO::buffer(data, len)));
    return 0;
}

static inline int
feed(struct peer *peer, size_t, const uint8_t *data, size_t len)
{
    return receive(peer, data, len);
}

static inline size_t
size(struct peer *peer)
{
    return peer->buffer.size();
}

static inline const uint8_t *
head(struct peer *peer, size_t, uint8_t *)
{
    return static_cast<const uint8_t *>(peer->buffer.data().data());
}

static inline void
drop(struct peer *peer, size_t len)
{
    peer->buffer.consume(len);
}

static inline int
take(struct peer *peer, uint8_t *dst, size_t len)
{
    size_t got = ASIO::buffer_copy(ASIO::buffer(dst, len), peer->buffer.data());

    peer->buffer.consume(len);
    return got == len ? 0 : -1;
}

#include "wire/loops.h"

const struct wire_peer wire_asio = {.name = ASIO_NAME, WIRE_PEER_LOOPS};
