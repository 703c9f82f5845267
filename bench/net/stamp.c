// SPDX-License-Identifier: MIT
//
// Many like one another: a SYN for each of many targets.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zcbuf/adapt/frame.h>
#include <zcbuf/buf.h>
#include <zcbuf/pool.h>

#include "harness.h"
#include "net/net.h"

// Slots as a ring for sending has them.
enum { TARGETS = 1024, SLOT = 64, FRAME = 14 + 20 + 24 };

static const uint8_t mss[4] = {2, 4, 5, 180};

struct stamping {
    struct zcb_frame_target targets[TARGETS];
    struct zcb_frame_template form;
    uint8_t frame[FRAME];
    uint8_t expected[TARGETS][FRAME]; // built one by one
    uint8_t *slots;
    struct zcb_pool *pool;
    struct zcb_buf *buf;
};

struct way {
    struct stamping *s;
    int (*one)(struct stamping *s, const struct zcb_frame_target *target, uint8_t *slot);
};

// ---- ways

static int
stamp(struct stamping *s, const struct zcb_frame_target *target, uint8_t *slot)
{
    return zcb_frame_template_stamp(&s->form, target, slot, SLOT) == FRAME ? 0 : -1;
}

static int
restamp(struct stamping *s, const struct zcb_frame_target *target, uint8_t *slot)
{
    return zcb_frame_template_restamp(&s->form, target, slot);
}

static int
build(struct stamping *s, const struct zcb_frame_target *target)
{
    struct zcb_frame_builder builder;
    const struct zcb_frame_ethernet ethernet = {.source = {2}, .destination = {2, 1}};
    struct zcb_frame_ipv4 ip = {.source = {10, 0, 0, 1}, .id = target->id};
    const struct zcb_frame_tcp tcp = {.source = target->source_port,
                                      .destination = target->port,
                                      .sequence = target->sequence,
                                      .window = 64240,
                                      .flags = ZCB_FRAME_SYN,
                                      .options = mss,
                                      .options_len = sizeof(mss)};
    int result = zcb_buf_set_len(s->buf, 0);

    memcpy(ip.destination, target->address, 4);
    if (result == 0)
        result = zcb_buf_set_headroom(s->buf, ZCB_FRAME_HEADROOM);
    if (result == 0)
        result = zcb_frame_build_into(&builder, s->buf);
    if (result == 0)
        result = zcb_frame_prepend_tcp(&builder, &tcp);
    if (result == 0)
        result = zcb_frame_prepend_ipv4(&builder, &ip);
    if (result == 0)
        result = zcb_frame_prepend_ethernet(&builder, &ethernet);
    return result < 0 ? result : zcb_frame_finish(&builder, 0);
}

// Where a frame is built is where it is sent from; here it is moved so that all do the same.
static int
build_one(struct stamping *s, const struct zcb_frame_target *target, uint8_t *slot)
{
    int result = build(s, target);

    if (result == 0)
        memcpy(slot, zcb_buf_data(s->buf), FRAME);
    return result;
}

static void
put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t
sum16(const uint8_t *at, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i += 2)
        sum += (uint32_t)(at[i] << 8 | at[i + 1]);
    return sum;
}

// As scanners do it that do not know better: the headers field by field, and both sums over all of
// them.
static int
by_hand(struct stamping *s, const struct zcb_frame_target *target, uint8_t *slot)
{
    uint8_t *ip = slot + 14, *tcp = ip + 20;

    (void)s;
    memset(slot, 0, FRAME);
    slot[0] = 2;
    slot[1] = 1;
    slot[6] = 2;
    put16(slot + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, FRAME - 14);
    put16(ip + 4, target->id);
    ip[8] = 64;
    ip[9] = 6;
    ip[12] = 10;
    ip[15] = 1;
    memcpy(ip + 16, target->address, 4);
    put16(ip + 10, zcb_frame_checksum(sum16(ip, 20)));
    put16(tcp, target->source_port);
    put16(tcp + 2, target->port);
    put16(tcp + 4, target->sequence >> 16);
    put16(tcp + 6, target->sequence);
    tcp[12] = 0x60;
    tcp[13] = ZCB_FRAME_SYN;
    put16(tcp + 14, 64240);
    memcpy(tcp + 20, mss, sizeof(mss));
    put16(tcp + 16, zcb_frame_checksum(sum16(tcp, 24) + sum16(ip + 12, 8) + 6 + 24));
    return 0;
}

static int
only_copy(struct stamping *s, const struct zcb_frame_target *target, uint8_t *slot)
{
    (void)target;
    memcpy(slot, s->frame, FRAME);
    return 0;
}

// ---- rows

static int
run_way(void *ctx, struct bench_run *run)
{
    const struct way *way = ctx;
    int result = 0;

    for (uint64_t i = 0; i < run->n && result == 0; i++) {
        uint8_t *slot = way->s->slots + i % TARGETS * SLOT;

        result = way->one(way->s, &way->s->targets[i % TARGETS], slot);
        bench_keep(slot);
    }
    return result;
}

static int
check_way(void *ctx)
{
    const struct way *way = ctx;
    struct stamping *s = way->s;

    // A restamp needs what an earlier stamp has left.
    for (int i = 0; i < TARGETS; i++) {
        uint8_t *slot = s->slots + i * SLOT;

        memset(slot, 0, SLOT);
        if (way->one == restamp && stamp(s, &s->targets[TARGETS - 1 - i], slot) < 0)
            return -1;
        if (way->one(s, &s->targets[i], slot) < 0 || memcmp(slot, s->expected[i], FRAME) != 0)
            return -1;
    }
    return 0;
}

static int
prepare(struct stamping *s)
{
    uint64_t random = 1024;
    int result;

    s->slots = bench_alloc(TARGETS * SLOT);
    result = zcb_pool_create(NULL, &s->pool);
    if (result == 0)
        result = zcb_pool_acquire(s->pool, 512, &s->buf);
    for (int i = 0; i < TARGETS && result == 0; i++) {
        struct zcb_frame_target *target = &s->targets[i];

        bench_fill(target->address, 4, bench_random(&random));
        target->port = (uint16_t)(bench_random(&random) >> 40 | 1);
        target->source_port = (uint16_t)(bench_random(&random) >> 40 | 1);
        target->sequence = (uint32_t)(bench_random(&random) >> 20);
        target->id = (uint16_t)(bench_random(&random) >> 30);
        result = build(s, target);
        if (result == 0)
            memcpy(s->expected[i], zcb_buf_data(s->buf), FRAME);
    }
    if (result < 0)
        return result;
    memcpy(s->frame, s->expected[0], FRAME);
    return zcb_frame_template_init(&s->form, s->frame, FRAME, ZCB_FRAME_LINK_ETHERNET);
}

void
net_compare_stamping(void)
{
    static struct stamping s;
    struct way stamped = {&s, stamp}, restamped = {&s, restamp}, built = {&s, build_one};
    struct way hand = {&s, by_hand}, copied = {&s, only_copy};
    struct bench_row rows[] = {
        {bench_own, run_way, check_way, &stamped, 0, 0, false},
        {bench_own_row("in the slot"), run_way, check_way, &restamped, 0, 0, false},
        {bench_own_row("built each time"), run_way, check_way, &built, 0, 0, false},
        {"by hand each time", run_way, check_way, &hand, 0, 0, false},
        {"memcpy of the frame (limit)", run_way, NULL, &copied, 0, 0, false},
    };
    struct bench_case what = {.workload = "W7",
                              .title = "SYN for each target",
                              .variable = "bytes",
                              .value = FRAME,
                              .unit = "ns/packet",
                              .multiple = TARGETS,
                              .reference = "memcpy of the frame (limit)"};

    if (!bench_wanted(what.workload, what.title))
        return;
    if (prepare(&s) < 0)
        bench_skip("W7 SYN for each target", "the frames cannot be built");
    else
        bench_compare(&what, rows, sizeof(rows) / sizeof(rows[0]));
    zcb_buf_release(&s.buf);
    zcb_pool_destroy(&s.pool);
    free(s.slots);
}
