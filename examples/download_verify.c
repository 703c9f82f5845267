// SPDX-License-Identifier: MIT
//
// What the assembler calls: memory, hash, verdict, and finished pieces; and the trial of peers that
// together sent a wrong one.
#include "download.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "count_alloc.h"
#include "sha1.h"

// A piece's own state while it fills. Zeroed by the assembler with its first byte.
struct piece_state {
    EVP_MD_CTX *context;
    const uint8_t *bytes;
};

static EVP_MD_CTX *
context_take(struct download *d)
{
    if (d->idle_count != 0)
        return d->idle[--d->idle_count];
    if (d->context_count == d->context_room)
        return NULL; // there is one for each piece that can be under way
    d->contexts[d->context_count] = EVP_MD_CTX_new();
    return d->contexts[d->context_count] == NULL ? NULL : d->contexts[d->context_count++];
}

static void
hash_bytes(void *ctx, void *state_memory, uint32_t piece, size_t off, const uint8_t *data,
           size_t len)
{
    struct piece_state *state = state_memory;
    struct download *d = ctx;

    if (off == 0) {
        state->bytes = data;
        state->context = context_take(d);
        if (piece == d->trial.piece)
            d->trial.context = state->context;
        if (state->context != NULL && EVP_DigestInit_ex(state->context, sha1_method(), NULL) != 1)
            d->fatal = EXIT_INTERNAL;
    }
    if (state->context == NULL || EVP_DigestUpdate(state->context, data, len) != 1)
        d->fatal = EXIT_INTERNAL;
}

static void
ban(struct download *d, uint32_t number)
{
    if (number < d->peer_count)
        d->peers[number].banned = true;
}

// Who sent this piece has to show that it can do better, or has done so.
static void
mark(struct download *d, uint32_t piece, uint32_t blocks, bool suspect)
{
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t number = zcb_torrent_assembler_from(d->assembler, piece, i);

        if (number >= d->peer_count)
            continue;
        d->peers[number].suspect = suspect;
        if (!suspect)
            d->peers[number].attempts = 0;
    }
}

// The first wrong version of a piece is kept in digests, block by block.
static void
trial_begin(struct download *d, uint32_t piece, const uint8_t *bytes)
{
    uint32_t blocks = zcb_torrent_piece_blocks(&d->geometry, piece);
    struct trial *t = &d->trial;

    mark(d, piece, blocks, true);
    if (t->piece != ZCB_TORRENT_NONE)
        return; // one at a time; this piece will come again
    t->from = calloc(blocks, sizeof(*t->from));
    t->digests = calloc(blocks, sizeof(*t->digests));
    if (t->from == NULL || t->digests == NULL) {
        free(t->from);
        free(t->digests);
        t->from = NULL;
        t->digests = NULL;
        return;
    }
    t->piece = piece;
    t->peer = ZCB_PIECE_NOBODY;
    t->blocks = blocks;
    t->turn_ms = d->timeout_ms;
    for (uint32_t i = 0; i < blocks; i++) {
        t->from[i] = zcb_torrent_assembler_from(d->assembler, piece, i);
        EVP_Digest(bytes + (size_t)i * d->geometry.block_length,
                   zcb_torrent_block_length(&d->geometry, piece, i), t->digests[i], NULL,
                   sha1_method(), NULL);
    }
}

void
download_trial_end(struct download *d)
{
    free(d->trial.from);
    free(d->trial.digests);
    d->trial = (struct trial){.piece = ZCB_TORRENT_NONE};
}

static void
trial_verdict(struct download *d, const uint8_t *bytes)
{
    struct trial *t = &d->trial;
    uint8_t digest[EVP_MAX_MD_SIZE];

    for (uint32_t i = 0; i < t->blocks; i++) {
        EVP_Digest(bytes + (size_t)i * d->geometry.block_length,
                   zcb_torrent_block_length(&d->geometry, t->piece, i), digest, NULL, sha1_method(),
                   NULL);
        if (memcmp(digest, t->digests[i], META_HASH) != 0)
            ban(d, t->from[i]);
    }
    download_trial_end(d);
}

static enum zcb_torrent_verdict
verify(void *ctx, void *state_memory, uint32_t piece)
{
    struct piece_state *state = state_memory;
    struct download *d = ctx;
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    bool right;

    if (state->context == NULL || EVP_DigestFinal_ex(state->context, digest, NULL) != 1)
        d->fatal = EXIT_INTERNAL;
    if (state->context != NULL)
        d->idle[d->idle_count++] = state->context;
    state->context = NULL;
    if (piece == d->trial.piece)
        d->trial.context = NULL;
    right = d->fatal == EXIT_DONE &&
            memcmp(digest, d->meta->hashes + (size_t)piece * META_HASH, META_HASH) == 0;
    if (right)
        mark(d, piece, zcb_torrent_piece_blocks(&d->geometry, piece), false);
    if (right && piece == d->trial.piece)
        trial_verdict(d, state->bytes);
    else if (!right && d->fatal == EXIT_DONE && zcb_torrent_piece_blocks(&d->geometry, piece) > 1)
        trial_begin(d, piece, state->bytes);
    return right ? ZCB_TORRENT_HASH_RIGHT : ZCB_TORRENT_HASH_WRONG;
}

static void
failed(void *ctx, uint32_t piece, uint32_t culprit)
{
    struct download *d = ctx;

    d->hash_failures++;
    if (culprit == ZCB_PIECE_NOBODY) {
        say("piece %u is wrong, and several peers sent it: finding out which", piece);
        return;
    }
    ban(d, culprit);
    // No need to find out what is known. A trial that began with others' blocks goes on.
    if (d->trial.piece == piece && d->trial.peer == ZCB_PIECE_NOBODY)
        download_trial_end(d);
}

static void
complete(void *ctx, uint32_t piece, struct zcb_packet *packet)
{
    struct download *d = ctx;

    if (storage_write(d->storage, zcb_torrent_piece_offset(&d->geometry, piece), packet->data,
                      packet->len)) {
        d->done_bytes += packet->len;
        d->pieces_done++;
    } else {
        d->fatal = EXIT_STORAGE;
    }
    zcb_packet_unref(packet);
    if (d->warm_pieces == 0 && d->pieces_done >= 8 &&
        (uint64_t)d->pieces_done * 10 >= d->geometry.piece_count) {
        d->warm_pieces = d->pieces_done;
        d->warm_openssl = count_alloc_openssl();
        d->warm_allocs = count_alloc() - d->warm_openssl;
    }
}

static int
piece_buffer(void *ctx, uint32_t piece, size_t len, struct zcb_buf **out)
{
    struct download *d = ctx;

    (void)piece;
    return zcb_pool_acquire(d->piece_pool, len, out);
}

void
download_callbacks(struct download *d, struct zcb_torrent_assembler_config *config)
{
    config->hash = hash_bytes;
    config->hash_state_size = sizeof(struct piece_state);
    config->verify = verify;
    config->complete = complete;
    config->failed = failed;
    config->buffer = piece_buffer;
    config->ctx = d;
}

// Whether the one whose turn it is may go on. Blocks of the piece count and nothing else; one that
// brings them, but too slowly, has a longer turn in the next round.
static bool
trial_goes_on(const struct download *d, uint64_t now)
{
    const struct trial *t = &d->trial;

    return t->peer != ZCB_PIECE_NOBODY && d->peers[t->peer].state == PEER_OPEN &&
           !d->peers[t->peer].banned && now - t->block_ms < t->turn_ms &&
           now - t->since_ms < t->turn_ms * 8;
}

// Who may ask while several are under suspicion: one that has the piece, another one when that one
// does not bring it.
void
download_trial_step(struct download *d, uint64_t now)
{
    struct trial *t = &d->trial;
    uint32_t start = t->peer == ZCB_PIECE_NOBODY ? 0 : t->peer + 1;

    if (t->piece == ZCB_TORRENT_NONE || trial_goes_on(d, now))
        return;
    for (uint32_t i = 0; i < d->peer_count; i++) {
        struct peer *p = &d->peers[(start + i) % d->peer_count];

        if (p->state != PEER_OPEN || p->banned || zcb_torrent_wire_chokes(p->wire) ||
            !zcb_torrent_wire_has(p->wire, t->piece))
            continue;
        if (t->peer != ZCB_PIECE_NOBODY && t->peer != p->number) {
            int r = zcb_torrent_assembler_close(d->assembler, t->piece);

            if (r == -EBUSY)
                return; // a block is on its way into it: at the next tick
            if (r == 0 && t->context != NULL)
                d->idle[d->idle_count++] = t->context;
            t->context = NULL;
        }
        t->peer = p->number;
        t->since_ms = t->block_ms = now;
        if (++t->turns % d->peer_count == 0 && t->turn_ms < UINT64_C(86400000))
            t->turn_ms *= 2;
        return;
    }
    download_trial_end(d); // nobody to try it with
}
