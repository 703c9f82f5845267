// SPDX-License-Identifier: MIT
//
// A table of conversations, both directions in one entry: open addressing at half load, keyed by a
// hash that whoever sends packets cannot predict, and with a limit on its entries. What comes when
// it is full is counted together.
#include <stdio.h>
#include <stdlib.h>

#include "zcb-dump.h"

bool
flows_init(struct flows *flows, uint32_t max, uint64_t seed)
{
    uint32_t slots = 16;

    while (slots / 2 < max)
        slots *= 2;
    *flows = (struct flows){.max = max, .mask = slots - 1, .seed = seed};
    flows->slots = calloc(slots, sizeof(*flows->slots));
    return flows->slots != NULL;
}

void
flows_free(struct flows *flows)
{
    free(flows->slots);
    flows->slots = NULL;
}

// The entry, new where there is none; NULL: the table is full.
static struct flow *
entry(struct flows *flows, const struct zcb_frame_flow *key)
{
    uint32_t i = (uint32_t)zcb_frame_flow_hash(key, flows->seed) & flows->mask;

    // At most half of the slots are ever taken, so this ends.
    for (; flows->slots[i].key.version != 0; i = (i + 1) & flows->mask)
        if (zcb_frame_flow_equal(&flows->slots[i].key, key))
            return &flows->slots[i];
    if (flows->count == flows->max)
        return NULL;
    flows->count++;
    flows->slots[i].key = *key;
    flows->slots[i].first_ns = UINT64_MAX;
    return &flows->slots[i];
}

void
flows_count(struct flows *flows, const struct zcb_packet *packet, const struct zcb_frame *frame,
            uint64_t time_ns, uint32_t wire_len)
{
    struct zcb_frame_flow key;
    struct flow *flow;
    bool turned;

    if (zcb_frame_flow_of(packet->data, frame, &key) != 0)
        return;
    turned = zcb_frame_flow_canonical(&key);
    flow = entry(flows, &key);
    if (flow == NULL) {
        flows->other_packets++;
        flows->other_bytes += wire_len;
        return;
    }
    flow->packets[turned]++;
    flow->bytes[turned] += wire_len;
    // Threads do not see packets in their order.
    if (time_ns < flow->first_ns)
        flow->first_ns = time_ns;
    if (time_ns > flow->last_ns)
        flow->last_ns = time_ns;
}

void
flows_merge(struct flows *into, const struct flows *from)
{
    into->other_packets += from->other_packets;
    into->other_bytes += from->other_bytes;
    for (uint32_t i = 0; i <= from->mask; i++) {
        const struct flow *flow = &from->slots[i];
        struct flow *sum;

        if (flow->key.version == 0)
            continue;
        sum = entry(into, &flow->key);
        if (sum == NULL) {
            into->other_packets += flow->packets[0] + flow->packets[1];
            into->other_bytes += flow->bytes[0] + flow->bytes[1];
            continue;
        }
        for (int way = 0; way < 2; way++) {
            sum->packets[way] += flow->packets[way];
            sum->bytes[way] += flow->bytes[way];
        }
        if (flow->first_ns < sum->first_ns)
            sum->first_ns = flow->first_ns;
        if (flow->last_ns > sum->last_ns)
            sum->last_ns = flow->last_ns;
    }
}

// Most bytes first; what is equal by key, so that two runs over one file print the same.
static int
by_bytes(const void *left, const void *right)
{
    const struct flow *a = left, *b = right;
    uint64_t x = a->bytes[0] + a->bytes[1], y = b->bytes[0] + b->bytes[1];

    return x != y ? (x < y ? 1 : -1) : memcmp(&a->key, &b->key, sizeof(a->key));
}

void
flows_print(struct flows *flows, bool json)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i <= flows->mask; i++)
        if (flows->slots[i].key.version != 0)
            flows->slots[count++] = flows->slots[i];
    qsort(flows->slots, count, sizeof(*flows->slots), by_bytes);
    if (!json)
        printf("%u flows\n%-46s %-46s %-6s %10s %10s %12s %12s %10s\n", count, "A", "B", "proto",
               "A>B", "B>A", "bytes A>B", "bytes B>A", "seconds");
    for (uint32_t i = 0; i < count; i++) {
        const struct flow *flow = &flows->slots[i];
        const struct zcb_frame_flow *key = &flow->key;
        bool ports = key->port[0] != 0 || key->port[1] != 0;
        double seconds = (double)(flow->last_ns - flow->first_ns) / 1e9;

        if (json) {
            printf("{\"flow\":{\"a\":\"%s\",\"b\":\"%s\",",
                   endpoint_text(key->version, key->address[0], -1),
                   endpoint_text(key->version, key->address[1], -1));
            printf("\"a_port\":%u,\"b_port\":%u,\"protocol\":%u,", key->port[0], key->port[1],
                   key->protocol);
            printf("\"packets\":[%llu,%llu],\"bytes\":[%llu,%llu],\"seconds\":%.9f}}\n",
                   (unsigned long long)flow->packets[0], (unsigned long long)flow->packets[1],
                   (unsigned long long)flow->bytes[0], (unsigned long long)flow->bytes[1], seconds);
        } else {
            printf("%-46s %-46s %-6s %10llu %10llu %12llu %12llu %10.3f\n",
                   endpoint_text(key->version, key->address[0], ports ? key->port[0] : -1),
                   endpoint_text(key->version, key->address[1], ports ? key->port[1] : -1),
                   protocol_text(key->protocol), (unsigned long long)flow->packets[0],
                   (unsigned long long)flow->packets[1], (unsigned long long)flow->bytes[0],
                   (unsigned long long)flow->bytes[1], seconds);
        }
    }
    if (!json && flows->other_packets != 0)
        printf("and %llu packets, %llu bytes, of flows beyond these %u (--flows=N takes more)\n",
               (unsigned long long)flows->other_packets, (unsigned long long)flows->other_bytes,
               flows->max);
}
