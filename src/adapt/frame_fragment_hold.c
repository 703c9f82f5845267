// SPDX-License-Identifier: MIT
//
// What a reassembler holds: a hash table of datagrams and of their sources, both in order of age,
// and the budgets. All memory is there from the start; one datagram, source and part more than may
// be held, so that the newcomer can be looked at before somebody has to go for it.
#include "frame_fragment.h"

#include <stdlib.h>

// Bounds of what one fragment can cost, whatever an enemy has done before.
enum {
    PROBES = 16,  // nodes in one place of the table
    EVICTIONS = 8 // datagrams that go for one fragment
};

static void
list_init(struct link *list)
{
    list->next = list->prev = list;
}

static void
list_push(struct link *list, struct link *link)
{
    link->next = list;
    link->prev = list->prev;
    list->prev->next = link;
    list->prev = link;
}

static void
list_remove(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
}

static struct datagram *
of_age(struct link *link)
{
    return (struct datagram *)((char *)link - offsetof(struct datagram, age));
}

static struct datagram *
of_mate(struct link *link)
{
    return (struct datagram *)((char *)link - offsetof(struct datagram, mate));
}

// ---- the table

static struct node **
bucket(const struct zcb_reassembler *r, const struct key *key)
{
    // Whoever can choose the context (tags) must not choose the place by it.
    return &r->table[zcb_frame_flow_hash(&key->flow, r->seed ^ key->context) & r->mask];
}

struct node *
fragment_find(const struct zcb_reassembler *r, const struct key *key, bool *crowded)
{
    struct node *node = *bucket(r, key);
    int probes = 0;

    for (; node != NULL; node = node->next, probes++)
        if (memcmp(&node->key, key, sizeof(*key)) == 0)
            return node;
    *crowded = probes >= PROBES;
    return NULL;
}

// Takes a node from a free list into the table.
static struct node *
table_add(struct zcb_reassembler *r, struct node **free_list, const struct key *key)
{
    struct node *node = *free_list, **at = bucket(r, key);

    *free_list = node->next;
    node->key = *key;
    node->next = *at;
    *at = node;
    return node;
}

static void
table_remove(struct zcb_reassembler *r, struct node **free_list, struct node *node)
{
    struct node **at = bucket(r, &node->key);

    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = *free_list;
    *free_list = node;
}

// ---- parts

struct part *
fragment_part(struct zcb_reassembler *r, struct zcb_packet *data, uint32_t off)
{
    struct part *part = r->parts;

    r->parts = part->next;
    *part = (struct part){.data = *data, .off = off};
    *data = zcb_packet_static(NULL, 0);
    return part;
}

void
fragment_part_free(struct zcb_reassembler *r, struct part *part)
{
    zcb_packet_unref(&part->data);
    part->next = r->parts;
    r->parts = part;
}

void
fragment_link(struct datagram *d, struct part *part, struct part *before)
{
    struct part **at = before != NULL ? &before->next : &d->first;

    part->next = *at;
    *at = part;
    if (part->next == NULL)
        d->last = part;
}

void
fragment_unlink(struct datagram *d, struct part *part, struct part *before)
{
    *(before != NULL ? &before->next : &d->first) = part->next;
    if (part->next == NULL)
        d->last = before;
}

// ---- datagrams

struct datagram *
fragment_begin(struct zcb_reassembler *r, const struct key *key)
{
    struct key from = {.context = key->context, .kind = KEY_SOURCE};
    struct source *source;
    struct datagram *d;
    bool crowded = false;

    from.flow.version = key->flow.version;
    // Who has one IPv6 address mostly has all that begin with the same 64 bits.
    memcpy(from.flow.address[0], key->flow.address[0], 8);
    source = (struct source *)fragment_find(r, &from, &crowded);
    if (crowded)
        return NULL;
    if (source == NULL) {
        source = (struct source *)table_add(r, &r->sources, &from);
        source->held = (struct held){0};
        list_init(&source->datagrams);
        r->counts[COUNT_sources]++;
    }
    d = (struct datagram *)table_add(r, &r->datagrams, key);
    *d = (struct datagram){.node = d->node, .source = source, .born_ms = r->now_ms};
    list_push(&r->ages, &d->age);
    list_push(&source->datagrams, &d->mate);
    source->held.datagrams++;
    r->held.datagrams++;
    return d;
}

void
fragment_charge(struct zcb_reassembler *r, struct datagram *d, size_t bytes)
{
    d->bytes += bytes;
    d->parts++;
    d->source->held.bytes += bytes;
    d->source->held.fragments++;
    r->held.bytes += bytes;
    r->held.fragments++;
    if (r->held.bytes > r->counts[COUNT_peak_bytes])
        r->counts[COUNT_peak_bytes] = r->held.bytes;
}

// Lets go of what the datagram holds, and of the charge for it.
static void
drop_parts(struct zcb_reassembler *r, struct datagram *d)
{
    struct part *part;

    while ((part = d->first) != NULL) {
        d->first = part->next;
        fragment_part_free(r, part);
    }
    d->last = NULL;
    zcb_packet_unref(&d->header);
    d->source->held.bytes -= d->bytes;
    d->source->held.fragments -= d->parts;
    r->held.bytes -= d->bytes;
    r->held.fragments -= d->parts;
    d->bytes = 0;
    d->parts = 0;
}

void
fragment_forget(struct zcb_reassembler *r, struct datagram *d)
{
    struct source *source = d->source;

    drop_parts(r, d);
    list_remove(&d->age);
    list_remove(&d->mate);
    r->held.datagrams--;
    if (--source->held.datagrams == 0) {
        table_remove(r, &r->sources, &source->node);
        r->counts[COUNT_sources]--;
    }
    table_remove(r, &r->datagrams, &d->node);
}

void
fragment_discard(struct zcb_reassembler *r, struct datagram *d)
{
    drop_parts(r, d);
    d->dead = true;
    r->counts[COUNT_discarded]++;
}

static bool
over(const struct held *held, const struct held *most, size_t bytes)
{
    return held->datagrams > most->datagrams || held->fragments >= most->fragments ||
           bytes > most->bytes - held->bytes;
}

bool
fragment_room(struct zcb_reassembler *r, struct datagram *d, size_t bytes)
{
    // What can never fit is no reason to let go of others.
    if (bytes > r->most.bytes || bytes > r->source_most.bytes)
        return false;
    for (int i = 0;; i++) {
        struct datagram *oldest;

        if (over(&d->source->held, &r->source_most, bytes)) {
            struct link *first = d->source->datagrams.next;

            first = first == &d->mate ? first->next : first;
            oldest = first != &d->source->datagrams ? of_mate(first) : NULL;
        } else if (over(&r->held, &r->most, bytes)) {
            struct link *first = r->ages.next;

            first = first == &d->age ? first->next : first;
            oldest = first != &r->ages ? of_age(first) : NULL;
        } else {
            return true;
        }
        if (oldest == NULL || i == EVICTIONS)
            return false;
        r->counts[COUNT_evictions]++;
        fragment_forget(r, oldest);
    }
}

int
zcb_reassembler_expire(struct zcb_reassembler *r, uint64_t now_ms, struct zcb_chain *first)
{
    struct datagram *d;
    int result = 0;

    if (r == NULL || (first != NULL && zcb_chain_len(first) != 0))
        return -EINVAL;
    if (now_ms > r->now_ms)
        r->now_ms = now_ms;
    if (r->ages.next == &r->ages || !fragment_is_due(r, d = of_age(r->ages.next)))
        return 0;
    if (first != NULL && d->header.len != 0) {
        result = fragment_push(first, &d->header);
        if (result >= 0)
            result = fragment_push(first, &d->first->data);
    }
    if (result < 0) {
        zcb_chain_discard(first, zcb_chain_len(first));
        return result;
    }
    r->counts[COUNT_timeouts] += !d->dead;
    fragment_forget(r, d);
    return 1;
}

// ---- life

// Defaults in place of zeroes.
static int
configure(struct zcb_reassembler_config *c)
{
    for (size_t i = 0; i < sizeof(c->reserved) / sizeof(c->reserved[0]); i++)
        if (c->reserved[i] != 0)
            return -EINVAL;
    if (c->max_fragments > 1048576 || c->max_datagrams > 1048576 || c->datagram_fragments > 8192 ||
        c->max_datagram > 65535 || c->headroom > 65535)
        return -EINVAL;
    c->max_bytes = c->max_bytes != 0 ? c->max_bytes : (size_t)16 << 20;
    c->source_bytes = c->source_bytes != 0 ? c->source_bytes : c->max_bytes / 4 + 1;
    c->max_fragments = c->max_fragments != 0 ? c->max_fragments : 4096;
    c->source_fragments =
        c->source_fragments != 0 ? c->source_fragments : (c->max_fragments + 3) / 4;
    c->max_datagrams = c->max_datagrams != 0 ? c->max_datagrams : 1024;
    c->source_datagrams =
        c->source_datagrams != 0 ? c->source_datagrams : (c->max_datagrams + 3) / 4;
    c->datagram_fragments = c->datagram_fragments != 0 ? c->datagram_fragments : 64;
    c->max_datagram = c->max_datagram != 0 ? c->max_datagram : 65535;
    c->min_first = c->min_first != 0 ? c->min_first : 16;
    c->copy_below = c->copy_below != 0 ? c->copy_below : 128;
    c->timeout_ms = c->timeout_ms != 0 ? c->timeout_ms : 30000;
    return 0;
}

// All that was allocated becomes free lists.
static void
furnish(struct zcb_reassembler *r)
{
    struct part *parts = r->memory[0];
    struct datagram *datagrams = r->memory[1];
    struct source *sources = r->memory[2];

    for (uint32_t i = 0; i <= r->config.max_fragments; i++) {
        parts[i].next = r->parts;
        r->parts = &parts[i];
    }
    for (uint32_t i = 0; i <= r->config.max_datagrams; i++) {
        datagrams[i].node.next = r->datagrams;
        r->datagrams = &datagrams[i].node;
        sources[i].node.next = r->sources;
        r->sources = &sources[i].node;
    }
}

int
zcb_reassembler_create(struct zcb_pool *pool, uint64_t seed,
                       const struct zcb_reassembler_config *config, struct zcb_reassembler **out)
{
    struct zcb_reassembler_config c = {0};
    struct zcb_reassembler *r;
    size_t places = 16;
    int result;

    if (pool == NULL || out == NULL)
        return -EINVAL;
    if (config != NULL)
        c = *config;
    result = configure(&c);
    if (result < 0)
        return result;
    r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    // Datagrams and sources together fill a half at most.
    while (places < (size_t)c.max_datagrams * 4)
        places *= 2;
    r->pool = pool;
    r->seed = seed;
    r->config = c;
    r->mask = places - 1;
    r->most = (struct held){c.max_bytes, c.max_fragments, c.max_datagrams};
    r->source_most = (struct held){c.source_bytes, c.source_fragments, c.source_datagrams};
    list_init(&r->ages);
    r->table = calloc(places, sizeof(struct node *));
    r->memory[0] = calloc((size_t)c.max_fragments + 1, sizeof(struct part));
    r->memory[1] = calloc((size_t)c.max_datagrams + 1, sizeof(struct datagram));
    r->memory[2] = calloc((size_t)c.max_datagrams + 1, sizeof(struct source));
    if (r->table == NULL || r->memory[0] == NULL || r->memory[1] == NULL || r->memory[2] == NULL) {
        zcb_reassembler_destroy(&r);
        return -ENOMEM;
    }
    furnish(r);
    *out = r;
    return 0;
}

void
zcb_reassembler_destroy(struct zcb_reassembler **reassembler)
{
    struct zcb_reassembler *r;

    if (reassembler == NULL || *reassembler == NULL)
        return;
    r = *reassembler;
    *reassembler = NULL;
    while (r->ages.next != &r->ages)
        fragment_forget(r, of_age(r->ages.next));
    for (size_t i = 0; i < sizeof(r->memory) / sizeof(r->memory[0]); i++)
        free(r->memory[i]);
    free(r->table);
    free(r);
}

int
zcb_reassembler_stats(const struct zcb_reassembler *r, struct zcb_reassembler_stats *out,
                      size_t out_size)
{
    struct zcb_reassembler_stats stats = {0};

    if (r == NULL || out == NULL)
        return -EINVAL;
#define STATS_RESULT(NAME, name, what) stats.name = r->counts[COUNT_##name];
    ZCB_REASSEMBLY_RESULTS(STATS_RESULT)
#undef STATS_RESULT
#define STATS_STAT(name, gauge, what) stats.name = r->counts[COUNT_##name];
    ZCB_REASSEMBLER_STATS(STATS_STAT)
#undef STATS_STAT
    stats.bytes = r->held.bytes;
    stats.fragments = r->held.fragments;
    stats.datagrams = r->held.datagrams;
    memset(out, 0, out_size);
    memcpy(out, &stats, out_size < sizeof(stats) ? out_size : sizeof(stats));
    return 0;
}
