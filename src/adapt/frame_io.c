// SPDX-License-Identifier: MIT
#include "frame_io.h"

#include <poll.h>
#include <string.h>
#include <time.h>

#include <zcbuf/buf.h>
#include <zcbuf/copies.h>

extern inline void zcb_frame_arrivals_release(struct zcb_frame_arrival *arrivals, int n);

int
frame_io_copy(struct zcb_pool *pool, const struct zcb_packet *from, struct zcb_packet *out)
{
    size_t len = from->len;
    struct zcb_buf *buf;
    uint8_t *at;
    int result;

    result = zcb_pool_acquire_flags(pool, len, ZCB_ACQUIRE_NOWAIT, &buf);
    if (result < 0)
        return result;
    result = zcb_buf_append(buf, len, &at);
    if (result < 0) { // cannot be: it was asked for
        zcb_buf_release(&buf);
        return result;
    }
    if (len != 0) {
        memcpy(at, from->data, len);
        zcb_count_copy(ZCB_COPY_APPEND, len);
    }
    zcb_buf_share(&buf, out);
    return 0;
}

static int64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t
frame_io_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? INT64_MAX : now_ns() + (int64_t)timeout_ms * 1000000;
}

int
frame_io_left(int64_t deadline)
{
    int64_t left;

    if (deadline == INT64_MAX)
        return -1;
    left = deadline - now_ns();
    return left > 0 ? (int)((left + 999999) / 1000000) : 0;
}

int
frame_io_wait(int fd, short events, int64_t deadline, struct zcb_frame_io_stats *stats)
{
    struct pollfd p = {.fd = fd, .events = events};
    int result = poll(&p, 1, frame_io_left(deadline));

    stats->syscalls++;
    if (result < 0)
        return errno == EINTR ? 0 : -errno;
    return result == 0 ? 0 : p.revents;
}

int
frame_io_stats_out(const struct zcb_frame_io_stats *stats, struct zcb_frame_io_stats *out,
                   size_t out_size)
{
    if (out == NULL)
        return -EINVAL;
    memset(out, 0, out_size);
    memcpy(out, stats, out_size < sizeof(*stats) ? out_size : sizeof(*stats));
    return 0;
}

int
frame_io_datagram_socket(int fd, int *domain)
{
    int type;
    socklen_t len = sizeof(int);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
        return -errno;
    len = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, domain, &len) < 0)
        return -errno;
    return type == SOCK_DGRAM || type == SOCK_RAW ? 0 : -ENOTSUP;
}
