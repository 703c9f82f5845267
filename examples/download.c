// SPDX-License-Identifier: MIT
//
// Memory and pools, what is there already, and the loop over all peers.
#include "download.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "count_alloc.h"
#include "sha1.h"

#define TICK_MS 100
#define NAP_US 500 // once a socket is empty, let it fill up a little

// ---- beginning and end

enum exit_code
download_init(struct download *d)
{
    // Few pieces are open at a time: as many as peers, and what their requests reach into.
    struct zcb_torrent_assembler_config config = {
        .request_timeout_ms = d->timeout_ms,
        .stale_ms = UINT64_MAX,
        .max_active = 1024,
    };
    struct zcb_pool_config receive = {
        .name = "receive",
        .tiers = {{.buffer_size = 4096}, {.buffer_size = DOWNLOAD_CHUNK}},
    };
    struct zcb_pool_config pieces = {
        .name = "pieces",
        .tiers = {{.buffer_size = ((size_t)d->meta->piece_length + 4095) & ~(size_t)4095}},
    };
    int r;

    download_callbacks(d, &config);
    d->fatal = EXIT_DONE;
    d->epoll = -1;
    d->trial.piece = ZCB_TORRENT_NONE;
    d->total_bytes = d->meta->total;
    for (uint32_t i = 0; i < d->peer_count; i++)
        d->peers[i].fd = -1;
    memcpy(d->peer_id, "-ZB0100-", 8);
    if (getrandom(d->peer_id + 8, 12, 0) != 12)
        memset(d->peer_id + 8, 'x', 12);
    if (sha1_method() == NULL) {
        say("SHA-1 is not available here: OpenSSL does not offer it");
        return EXIT_INTERNAL;
    }
    r = zcb_torrent_geometry_init(&d->geometry, d->meta->total, d->meta->piece_length, 0);
    if (r == 0)
        r = zcb_pool_create(&receive, &d->receive_pool);
    if (r == 0)
        r = zcb_pool_create(&pieces, &d->piece_pool);
    if (config.max_active > d->geometry.piece_count)
        config.max_active = d->geometry.piece_count;
    // At least 256 MiB, or four pieces where these are larger.
    if (r == 0)
        r = zcb_torrent_assembler_create(&d->geometry, &config, &d->assembler);
    d->context_room = config.max_active + 1;
    d->contexts = calloc(d->context_room, sizeof(EVP_MD_CTX *));
    d->idle = calloc(d->context_room, sizeof(EVP_MD_CTX *));
    if (r == 0 && (d->contexts == NULL || d->idle == NULL))
        r = -ENOMEM;
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (r == 0 && d->epoll < 0)
        r = -errno;
    if (r == 0)
        return EXIT_DONE;
    say("cannot begin: %s", zcb_strerror(r));
    return EXIT_INTERNAL;
}

void
download_finish(struct download *d)
{
    for (uint32_t i = 0; i < d->peer_count; i++) {
        zcb_torrent_wire_destroy(&d->peers[i].wire);
        if (d->peers[i].fd >= 0)
            close(d->peers[i].fd);
    }
    zcb_torrent_assembler_destroy(&d->assembler);
    zcb_pool_destroy(&d->receive_pool);
    zcb_pool_destroy(&d->piece_pool);
    for (size_t i = 0; i < d->context_count; i++)
        EVP_MD_CTX_free(d->contexts[i]);
    free(d->contexts);
    free(d->idle);
    download_trial_end(d);
    if (d->epoll >= 0)
        close(d->epoll);
}

enum exit_code
download_resume(struct download *d)
{
    size_t len = d->meta->piece_length;
    uint8_t *piece = malloc(len);
    enum exit_code code = EXIT_DONE;

    if (piece == NULL) {
        say("out of memory");
        return EXIT_INTERNAL;
    }
    for (uint32_t i = 0; i < d->geometry.piece_count && code == EXIT_DONE; i++) {
        uint64_t offset = zcb_torrent_piece_offset(&d->geometry, i);
        uint8_t digest[EVP_MAX_MD_SIZE];

        len = zcb_torrent_piece_length(&d->geometry, i);
        if (!storage_has_data(d->storage, offset, len))
            continue;
        if (!storage_read(d->storage, offset, piece, len)) {
            say("%s", printable(d->storage->why));
            code = EXIT_STORAGE;
        } else if (EVP_Digest(piece, len, digest, NULL, sha1_method(), NULL) != 1) {
            code = EXIT_INTERNAL;
        } else if (memcmp(digest, d->meta->hashes + (size_t)i * META_HASH, META_HASH) == 0 &&
                   zcb_torrent_assembler_set(d->assembler, i, true) == 0) {
            d->done_bytes += len;
            d->resumed_bytes += len;
            d->pieces_done++;
        }
        if (stop_requested && code == EXIT_DONE)
            code = EXIT_STOPPED;
    }
    free(piece);
    return code;
}

// ---- all of them

static void
tick(struct download *d, uint64_t now)
{
    zcb_torrent_assembler_expire(d->assembler, now);
    download_trial_step(d, now);
    for (uint32_t i = 0; i < d->peer_count; i++) {
        struct peer *p = &d->peers[i];

        if (p->state == PEER_WAITING && !p->banned && now >= p->retry_ms)
            download_connect(d, p);
        else if (p->state == PEER_CONNECTING || p->state == PEER_OPEN ||
                 (p->state == PEER_WAITING && p->banned))
            download_judge(d, p, now);
        if (p->state == PEER_OPEN)
            download_talk(d, p);
    }
    if (d->progress != NULL)
        d->progress(d);
}

static enum exit_code
nobody_left(const struct download *d)
{
    uint32_t unreachable = 0, bad = 0;

    for (uint32_t i = 0; i < d->peer_count; i++) {
        if (d->peers[i].state != PEER_DEAD)
            return EXIT_DONE;
        unreachable += d->peers[i].fault == EXIT_UNREACHABLE;
        bad += d->peers[i].fault == EXIT_BAD_PEERS;
    }
    return unreachable == d->peer_count ? EXIT_UNREACHABLE : bad != 0 ? EXIT_BAD_PEERS : EXIT_GONE;
}

enum exit_code
download_run(struct download *d)
{
    struct epoll_event events[64];
    uint64_t next_tick = 0;
    enum exit_code code = EXIT_DONE;

    d->block_ms = now_ms();
    while (code == EXIT_DONE && zcb_torrent_assembler_missing(d->assembler) != 0) {
        uint64_t now = now_ms();
        int n;

        if (now >= next_tick) {
            tick(d, now);
            next_tick = now + TICK_MS;
            code = nobody_left(d);
            if (code != EXIT_DONE)
                break;
        }
        // A wake-up for each packet costs more than all that is done with it: a few large reads are
        // cheaper than many small ones. Nobody waits for us meanwhile, requests are far ahead.
        if (d->drained)
            usleep(NAP_US);
        d->drained = false;
        n = epoll_wait(d->epoll, events, 64, (int)(next_tick - now));
        d->waits++;
        for (int i = 0; i < n && d->fatal == EXIT_DONE; i++) {
            struct peer *p = &d->peers[events[i].data.u32];

            if (p->state == PEER_CONNECTING) {
                download_connected(d, p);
                continue;
            }
            if (p->state == PEER_OPEN && (events[i].events & EPOLLOUT) != 0)
                download_send(d, p);
            if (p->state == PEER_OPEN && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                download_readable(d, p);
        }
        if (d->fatal != EXIT_DONE)
            code = d->fatal;
        else if (stop_requested)
            code = EXIT_STOPPED;
    }
    // Whom the last piece has given away.
    for (uint32_t i = 0; i < d->peer_count; i++)
        if (d->peers[i].banned && d->peers[i].state != PEER_DEAD)
            download_judge(d, &d->peers[i], now_ms());
    if (d->warm_pieces != 0) {
        d->steady_openssl = count_alloc_openssl() - d->warm_openssl;
        d->steady_allocs = count_alloc() - count_alloc_openssl() - d->warm_allocs;
        d->steady_pieces = d->pieces_done - d->warm_pieces;
    }
    for (uint32_t i = 0; i < d->peer_count; i++)
        if (d->peers[i].wire != NULL)
            download_add_stats(d, &d->peers[i]);
    if (code == EXIT_INTERNAL)
        say("out of memory, or SHA-1 failed");
    return code;
}
