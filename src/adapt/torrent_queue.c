// SPDX-License-Identifier: MIT
//
// What a peer was asked for, and what it is to be told next.
//
// A ring in the order of the REQUESTs. Answers come in that order from nearly every peer, so the
// one that is looked for is at the front. An entry whose block went elsewhere stays as `dead`: its
// answer may be under way, and is then late and not uncalled for. When the ring is full the oldest
// dead one is forgotten.
#include "torrent.h"

int
torrent_queue_init(struct torrent_queue *queue, uint32_t depth)
{
    struct torrent_queue made = {.live = queue->live, .cancels_due = queue->cancels_due};
    uint32_t size = 4;

    while (size < 2 * depth || size < queue->count)
        size *= 2;
    if (queue->ring != NULL && size <= queue->mask + 1)
        return 0;
    made.ring = calloc(size, sizeof(*made.ring));
    if (made.ring == NULL)
        return -ENOMEM;
    made.mask = size - 1;
    for (; made.count < queue->count; made.count++)
        made.ring[made.count] = *torrent_queue_at(queue, made.count);
    free(queue->ring);
    *queue = made;
    return 0;
}

// What is before it moves up by one: nearly always nothing.
static void
take_at(struct torrent_queue *queue, uint32_t i)
{
    struct torrent_entry *entry = torrent_queue_at(queue, i);

    queue->live -= !entry->dead;
    queue->cancels_due -= entry->cancel_due;
    for (; i > 0; i--)
        *torrent_queue_at(queue, i) = *torrent_queue_at(queue, i - 1);
    queue->head++;
    queue->count--;
}

bool
torrent_queue_add(struct torrent_queue *queue, const struct torrent_claim *claim)
{
    uint32_t i = 0;

    if (queue->count > queue->mask) {
        while (i < queue->count && !torrent_queue_at(queue, i)->dead)
            i++;
        if (i == queue->count)
            return false;
        take_at(queue, i);
    }
    *torrent_queue_at(queue, queue->count++) = (struct torrent_entry){.claim = *claim};
    queue->live++;
    return true;
}

bool
torrent_queue_take(struct torrent_queue *queue, uint32_t index, uint32_t begin, uint32_t length,
                   struct torrent_entry *out)
{
    uint32_t found = queue->count;

    // The same block can be there twice, given up and asked for again: the answer is to the one
    // that counts.
    for (uint32_t i = 0; i < queue->count; i++) {
        const struct torrent_entry *entry = torrent_queue_at(queue, i);
        const struct zcb_torrent_request *asked = &entry->claim.request;

        if (asked->index != index || asked->begin != begin || asked->length != length)
            continue;
        if (found == queue->count || !entry->dead)
            found = i;
        if (!entry->dead)
            break;
    }
    if (found == queue->count)
        return false;
    *out = *torrent_queue_at(queue, found);
    take_at(queue, found);
    return true;
}

void
torrent_queue_kill(struct torrent_queue *queue, struct torrent_entry *entry, bool cancel)
{
    entry->dead = true;
    entry->cancel_due = cancel;
    queue->live--;
    queue->cancels_due += cancel;
}

void
torrent_queue_choked(struct zcb_torrent_wire *wire)
{
    for (uint32_t i = 0; i < wire->queue.count; i++) {
        struct torrent_entry *entry = torrent_queue_at(&wire->queue, i);

        if (entry->dead)
            continue;
        torrent_give_up(wire->assembler, &entry->claim);
        torrent_queue_kill(&wire->queue, entry, false);
        wire->stats.rejected++;
    }
}

// Entries whose reservation has ended without this peer's doing.
static void
compare(struct zcb_torrent_wire *wire)
{
    if (wire->revoked == wire->assembler->revoked)
        return;
    wire->revoked = wire->assembler->revoked;
    for (uint32_t i = 0; i < wire->queue.count; i++) {
        struct torrent_entry *entry = torrent_queue_at(&wire->queue, i);

        if (!entry->dead && !torrent_stands(&entry->claim))
            torrent_queue_kill(&wire->queue, entry, true);
    }
}

static size_t
write_cancels(struct zcb_torrent_wire *wire, uint8_t *out, size_t room)
{
    size_t len = 0;

    for (uint32_t i = 0; wire->queue.cancels_due != 0 && i < wire->queue.count; i++) {
        struct torrent_entry *entry = torrent_queue_at(&wire->queue, i);
        const struct zcb_torrent_request *asked = &entry->claim.request;
        int r;

        if (!entry->cancel_due)
            continue;
        r = zcb_torrent_write_cancel(out + len, room - len, asked->index, asked->begin,
                                     asked->length);
        if (r < 0)
            break;
        len += (size_t)r;
        entry->cancel_due = false;
        wire->queue.cancels_due--;
        wire->stats.cancels++;
    }
    return len;
}

static size_t
write_requests(struct zcb_torrent_wire *wire, uint8_t *out, size_t room)
{
    struct torrent_claim picked[TORRENT_PICK];
    uint32_t owed = zcb_torrent_wire_outstanding(wire), want;
    size_t len = 0;

    // In batches: one call, one segment on the network, and one look for what is missing, for many.
    if (owed >= wire->pipeline || wire->pipeline - owed < (wire->pipeline + 3) / 4)
        return 0;
    want = wire->pipeline - owed;
    while (want != 0 && room - len >= ZCB_TORRENT_REQUEST_SIZE) {
        size_t n = (room - len) / ZCB_TORRENT_REQUEST_SIZE;
        int got;

        n = n < want ? n : want;
        n = n < TORRENT_PICK ? n : TORRENT_PICK;
        got = torrent_pick(wire->assembler, wire->peer, wire->bits, wire->now_ms, picked, (int)n);
        for (int i = 0; i < got; i++) {
            const struct zcb_torrent_request *ask = &picked[i].request;
            int r = zcb_torrent_write_request(out + len, room - len, ask->index, ask->begin,
                                              ask->length);

            if (r < 0 || !torrent_queue_add(&wire->queue, &picked[i])) {
                torrent_give_up(wire->assembler, &picked[i]);
                continue;
            }
            len += (size_t)r;
            wire->stats.requests++;
        }
        if (got < (int)n)
            break;
        want -= (uint32_t)got;
    }
    return len;
}

int
zcb_torrent_wire_output(struct zcb_torrent_wire *wire, uint64_t now_ms, void *out, size_t room)
{
    size_t len;

    if (wire == NULL || out == NULL)
        return -EINVAL;
    if (wire->assembler == NULL || wire->state == TORRENT_FAILED || !wire->has_handshake)
        return 0;
    if (wire->now_ms < now_ms)
        wire->now_ms = now_ms;
    room = room < INT32_MAX ? room : INT32_MAX;
    compare(wire);
    len = write_cancels(wire, out, room);
    if (!wire->choked && wire->now_ms >= wire->ask_from_ms)
        len += write_requests(wire, (uint8_t *)out + len, room - len);
    return (int)len;
}

int
zcb_torrent_wire_set_pipeline(struct zcb_torrent_wire *wire, uint32_t depth)
{
    int r;

    if (wire == NULL || depth == 0 || depth > 4096)
        return -EINVAL;
    r = torrent_queue_init(&wire->queue, depth);
    if (r == 0)
        wire->pipeline = depth;
    return r;
}
