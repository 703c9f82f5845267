// SPDX-License-Identifier: MIT
//
// Sending by sendmmsg.
//
// The bytes of all queued datagrams are one chain, by reference; where one ends and the next begins
// is in a queue of entries beside it. A send takes iovecs from the chain's front, and what the
// kernel has accepted is discarded there: nothing else has to be remembered to go on exactly where a
// partial send stopped.
#include "frame_io.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/udp.h>
#include <poll.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define MAX_BATCH 1024u
#define MAX_QUEUED (1u << 20)
#define MESSAGE_IOVECS 1024 // the kernel's limit, UIO_MAXIOV
#define DATAGRAM_CHUNKS 1000

// Of a GSO send: the kernel's limit, and what fits an IP packet with its headers and some options.
#define TRAIN_SEGMENTS 64u
#define TRAIN_BYTES 65000u

struct entry {
    uint32_t len;
    uint32_t to_len;
    union zcb_frame_endpoint to;
};

union control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
};

struct zcb_frame_tx {
    int fd;
    uint32_t batch, max_queued;
    uint32_t head, count;     // of entries
    uint32_t longest_segment; // that GSO was not refused for; 0: no GSO
    uint32_t before_refusal;  // what that was before a refusal that is not confirmed yet; 0: none
    int iov_room;
    struct zcb_chain chain;
    struct zcb_frame_io_stats stats;
    struct entry *entries;
    struct iovec *iov;
    // `batch` entries each
    struct mmsghdr *messages;
    union control *control;
    uint32_t *datagrams; // in a message
};

// ---- life

int
zcb_frame_tx_create(int fd, const struct zcb_frame_tx_config *config, struct zcb_frame_tx **out)
{
    static const struct zcb_frame_tx_config defaults;
    struct zcb_frame_tx *tx;
    uint32_t batch, max_queued;
    int domain, segment, result;
    socklen_t segment_len = sizeof(segment);

    if (config == NULL)
        config = &defaults;
    if (out == NULL || config->batch > MAX_BATCH || config->max_queued > MAX_QUEUED ||
        (config->flags & ~(uint32_t)ZCB_FRAME_TX_GSO) != 0 || config->reserved32 != 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(config->reserved) / sizeof(config->reserved[0]); i++)
        if (config->reserved[i] != NULL)
            return -EINVAL;
    result = frame_io_datagram_socket(fd, &domain);
    if (result < 0)
        return result;
    if ((config->flags & ZCB_FRAME_TX_GSO) != 0 &&
        getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &segment_len) < 0)
        return -ENOTSUP;
    batch = config->batch != 0 ? config->batch : 64;
    max_queued = config->max_queued != 0 ? config->max_queued : 1024;
    tx = calloc(1, sizeof(*tx));
    if (tx == NULL)
        return -ENOMEM;
    tx->fd = fd;
    tx->batch = batch;
    tx->max_queued = max_queued;
    tx->longest_segment = (config->flags & ZCB_FRAME_TX_GSO) != 0 ? UINT16_MAX : 0;
    tx->iov_room = MESSAGE_IOVECS + (int)batch;
    tx->entries = malloc(max_queued * sizeof(*tx->entries));
    tx->iov = malloc((size_t)tx->iov_room * sizeof(*tx->iov));
    tx->messages = calloc(batch, sizeof(*tx->messages));
    tx->control = calloc(batch, sizeof(*tx->control));
    tx->datagrams = malloc(batch * sizeof(*tx->datagrams));
    result = zcb_chain_init(&tx->chain, NULL, NULL);
    if (tx->entries == NULL || tx->iov == NULL || tx->messages == NULL || tx->control == NULL ||
        tx->datagrams == NULL || result < 0) {
        zcb_frame_tx_destroy(&tx);
        return -ENOMEM;
    }
    *out = tx;
    return 0;
}

void
zcb_frame_tx_destroy(struct zcb_frame_tx **tx)
{
    struct zcb_frame_tx *t;

    if (tx == NULL || *tx == NULL)
        return;
    t = *tx;
    *tx = NULL;
    zcb_chain_finish(&t->chain);
    free(t->entries);
    free(t->iov);
    free(t->messages);
    free(t->control);
    free(t->datagrams);
    free(t);
}

int
zcb_frame_tx_stats(const struct zcb_frame_tx *tx, struct zcb_frame_io_stats *out, size_t out_size)
{
    struct zcb_frame_io_stats stats;

    if (tx == NULL)
        return -EINVAL;
    stats = tx->stats;
    stats.held = tx->count;
    return frame_io_stats_out(&stats, out, out_size);
}

size_t
zcb_frame_tx_queued(const struct zcb_frame_tx *tx)
{
    return tx != NULL ? tx->count : 0;
}

// ---- the queue

static struct entry *
entry_at(const struct zcb_frame_tx *tx, uint32_t i)
{
    uint32_t at = tx->head + i; // both below 2^21

    return &tx->entries[at < tx->max_queued ? at : at - tx->max_queued];
}

static int
check_push(const struct zcb_frame_tx *tx, const union zcb_frame_endpoint *to, uint32_t to_len)
{
    if (to == NULL ? to_len != 0 : to_len < sizeof(sa_family_t) || to_len > sizeof(*to))
        return -EINVAL;
    return tx->count == tx->max_queued ? -ENOBUFS : 0;
}

static void
push_entry(struct zcb_frame_tx *tx, size_t len, const union zcb_frame_endpoint *to, uint32_t to_len)
{
    struct entry *entry = entry_at(tx, tx->count++);

    entry->len = (uint32_t)len;
    entry->to_len = to_len;
    if (to_len != 0)
        memcpy(&entry->to, to, to_len);
}

int
zcb_frame_tx_push(struct zcb_frame_tx *tx, struct zcb_packet *packet,
                  const union zcb_frame_endpoint *to, uint32_t to_len)
{
    size_t len;
    int result;

    if (tx == NULL || packet == NULL)
        return -EINVAL;
    result = check_push(tx, to, to_len);
    if (result < 0)
        return result;
    len = packet->len;
    if (len > UINT32_MAX)
        return -EINVAL;
    result = zcb_chain_push(&tx->chain, packet);
    if (result == 0)
        push_entry(tx, len, to, to_len);
    return result;
}

int
zcb_frame_tx_push_chain(struct zcb_frame_tx *tx, struct zcb_chain *chain, size_t len,
                        const union zcb_frame_endpoint *to, uint32_t to_len)
{
    size_t covered;
    int result;

    if (tx == NULL || chain == NULL)
        return -EINVAL;
    result = check_push(tx, to, to_len);
    if (result < 0)
        return result;
    if (len > zcb_chain_len(chain))
        return -EAGAIN;
    if (len > UINT32_MAX)
        return -ERANGE;
    if (zcb_chain_chunks(chain) > DATAGRAM_CHUNKS) {
        result = zcb_chain_iov(chain, 0, tx->iov, DATAGRAM_CHUNKS, &covered);
        if (result >= 0 && covered < len)
            return -ERANGE;
    }
    result = zcb_chain_split(chain, len, &tx->chain);
    if (result == 0)
        push_entry(tx, len, to, to_len);
    return result;
}

// The first n datagrams, of `bytes` bytes, are dealt with.
static void
pop(struct zcb_frame_tx *tx, uint32_t n, size_t bytes)
{
    tx->head += n;
    if (tx->head >= tx->max_queued)
        tx->head -= tx->max_queued;
    tx->count -= n;
    zcb_chain_discard(&tx->chain, bytes);
}

int
zcb_frame_tx_skip(struct zcb_frame_tx *tx)
{
    if (tx == NULL || tx->count == 0)
        return -EAGAIN;
    pop(tx, 1, entry_at(tx, 0)->len);
    tx->stats.dropped++;
    return 0;
}

// ---- messages out

// Reads the chain's memory from front to back, piece by piece.
struct reader {
    const struct zcb_chain *chain;
    size_t off; // in the chain, behind `window`
    struct iovec window[16];
    int at, n;
};

// The next piece, of at most `len` bytes. There are so many.
static struct iovec
read_piece(struct reader *r, size_t len)
{
    struct iovec *first, piece;
    size_t covered;

    if (r->at == r->n) {
        r->n = zcb_chain_iov(r->chain, r->off, r->window, 16, &covered);
        r->off += covered;
        r->at = 0;
    }
    first = &r->window[r->at];
    piece = *first;
    if (piece.iov_len > len)
        piece.iov_len = len;
    first->iov_base = (uint8_t *)first->iov_base + piece.iov_len;
    first->iov_len -= piece.iov_len;
    r->at += first->iov_len == 0;
    return piece;
}

// `len` bytes more for a message that has n iovecs. Returns their new number; -1: they would be more
// than `room`, and the reader is of no more use.
static int
add_bytes(struct reader *r, size_t len, struct iovec *iov, int n, int room)
{
    const int had = n;
    const struct iovec last = n != 0 ? iov[n - 1] : (struct iovec){NULL, 0};

    while (len != 0) {
        struct iovec piece = read_piece(r, len);

        len -= piece.iov_len;
        if (n != 0 && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == piece.iov_base) {
            iov[n - 1].iov_len += piece.iov_len;
        } else if (n < room) {
            iov[n++] = piece;
        } else {
            if (had != 0)
                iov[had - 1] = last;
            return -1;
        }
    }
    return n;
}

static bool
joins(const struct zcb_frame_tx *tx, const struct entry *first, const struct entry *entry,
      uint32_t datagrams, size_t bytes)
{
    return first->len != 0 && first->len <= tx->longest_segment && datagrams < TRAIN_SEGMENTS &&
           entry->len != 0 && entry->len <= first->len && entry->len <= TRAIN_BYTES &&
           bytes <= TRAIN_BYTES - entry->len && entry->to_len == first->to_len &&
           memcmp(&entry->to, &first->to, first->to_len) == 0;
}

static void
set_segment(struct msghdr *message, union control *control, uint32_t len)
{
    struct cmsghdr *c;
    uint16_t segment = (uint16_t)len;

    message->msg_control = control;
    message->msg_controllen = sizeof(*control);
    c = CMSG_FIRSTHDR(message);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(c), &segment, sizeof(segment));
}

// Message m, from entry i on: a train where datagrams join. Returns the iovecs it takes; *full says
// that there was no room for all that it could have been, which may be nothing.
static int
build_message(struct zcb_frame_tx *tx, struct reader *reader, uint32_t m, uint32_t i,
              struct iovec *iov, int room, bool *full)
{
    struct msghdr *message = &tx->messages[m].msg_hdr;
    const struct entry *first = entry_at(tx, i), *entry = first;
    uint32_t datagrams = 0;
    size_t bytes = 0;
    int n = 0, more;

    if (room > MESSAGE_IOVECS)
        room = MESSAGE_IOVECS;
    do {
        more = add_bytes(reader, entry->len, iov, n, room);
        *full = more < 0;
        if (*full)
            break;
        n = more;
        bytes += entry->len;
        datagrams++;
        if (entry->len < first->len || i + datagrams == tx->count)
            break; // a shorter one ends a train
        entry = entry_at(tx, i + datagrams);
    } while (joins(tx, first, entry, datagrams, bytes));
    tx->datagrams[m] = datagrams;
    memset(message, 0, sizeof(*message));
    message->msg_iov = iov;
    message->msg_iovlen = (size_t)n;
    if (first->to_len != 0) {
        message->msg_name = (void *)(uintptr_t)&first->to;
        message->msg_namelen = first->to_len;
    }
    if (datagrams > 1)
        set_segment(message, &tx->control[m], first->len);
    return n;
}

// Messages for one system call. The first datagram always fits, so there is at least one.
static uint32_t
build(struct zcb_frame_tx *tx)
{
    struct reader reader = {.chain = &tx->chain};
    uint32_t m = 0, i = 0;
    bool full = false;
    int used = 0;

    while (m < tx->batch && i < tx->count && !full) {
        used += build_message(tx, &reader, m, i, &tx->iov[used], tx->iov_room - used, &full);
        if (tx->datagrams[m] != 0)
            i += tx->datagrams[m++];
    }
    return m;
}

// So many messages went out. Returns the datagrams in them.
static int
sent(struct zcb_frame_tx *tx, uint32_t messages)
{
    uint32_t datagrams = 0;
    size_t bytes = 0;

    for (uint32_t m = 0; m < messages; m++) {
        datagrams += tx->datagrams[m];
        tx->stats.trains += tx->datagrams[m] > 1;
    }
    for (uint32_t i = 0; i < datagrams; i++)
        bytes += entry_at(tx, i)->len;
    tx->stats.packets += datagrams;
    tx->stats.bytes += bytes;
    tx->before_refusal = 0;
    pop(tx, datagrams, bytes);
    return (int)datagrams;
}

// Whether the first message may have been refused for being a train: then there are shorter or no
// trains from now on, and it is worth another try. Where its first datagram is refused alone too, it
// was not that (a peer's port can be 0), and trains are as they were.
static bool
was_train(struct zcb_frame_tx *tx, int error)
{
    uint32_t longest = tx->longest_segment;

    if (tx->datagrams[0] < 2) {
        if (error != EAGAIN && tx->before_refusal != 0) {
            tx->longest_segment = tx->before_refusal;
            tx->before_refusal = 0;
        }
        return false;
    }
    if (error == EINVAL || error == EMSGSIZE) // a segment above the path's MTU
        tx->longest_segment = entry_at(tx, 0)->len - 1;
    else if (error == EIO || error == EOPNOTSUPP) // a device without checksum offload
        tx->longest_segment = 0;
    else
        return false;
    tx->before_refusal = longest;
    return true;
}

int
zcb_frame_tx_flush(struct zcb_frame_tx *tx, int timeout_ms)
{
    int total = 0, error = 0, result;
    int64_t deadline = 0;

    if (tx == NULL)
        return -EINVAL;
    while (tx->count != 0) {
        result = sendmmsg(tx->fd, tx->messages, build(tx), MSG_DONTWAIT | MSG_NOSIGNAL);
        tx->stats.syscalls++;
        if (result > 0) {
            total += sent(tx, (uint32_t)result);
            continue;
        }
        error = result < 0 ? errno : EAGAIN;
        if (was_train(tx, error))
            continue;
        if (error != EAGAIN || timeout_ms == 0)
            break;
        if (deadline == 0)
            deadline = frame_io_deadline(timeout_ms);
        result = frame_io_wait(tx->fd, POLLOUT, deadline, &tx->stats);
        if (result <= 0) {
            error = result < 0 ? -result : EAGAIN;
            break;
        }
        if ((result & POLLOUT) == 0)
            timeout_ms = 0; // an error queue that nobody reads: waiting would not wait
    }
    tx->stats.batches += total != 0;
    return total != 0 || error == EAGAIN ? total : -error;
}
