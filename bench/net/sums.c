// SPDX-License-Identifier: MIT
//
// The Internet checksum (RFC 1071) over packets of usual sizes.

#include <stdlib.h>
#include <string.h>

#include <zcbuf/adapt/frame.h>

#include "harness.h"
#include "net/net.h"

// Where it begins: behind an Ethernet header.
enum { OFFSET = 14, LONGEST = 65535 };

struct sum {
    uint16_t (*of)(const uint8_t *data, size_t len); // NULL: only copied
    const uint8_t *data;
    size_t len;
    uint8_t *copy;
};

// ---- ways

static uint16_t
zcbuf_checksum(const uint8_t *data, size_t len)
{
    return zcb_frame_checksum(zcb_frame_sum(data, len, 0));
}

// As the RFC explains it.
static uint16_t
word_checksum(const uint8_t *data, size_t len)
{
    uint32_t sum = 0;

    for (; len > 1; data += 2, len -= 2)
        sum += (uint32_t)(data[0] << 8 | data[1]);
    if (len != 0)
        sum += (uint32_t)data[0] << 8;
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

// In words of 64 bits with the carry added back, eight to a turn, as kernels do it in plain code.
// The sum is in the host's byte order until it is folded (RFC 1071, section 2.B).
static uint16_t
wide_checksum(const uint8_t *data, size_t len)
{
    uint64_t sum = 0, word;
    uint16_t folded;

    for (; len >= 64; data += 64, len -= 64)
        for (int i = 0; i < 64; i += 8) {
            memcpy(&word, data + i, sizeof(word));
            sum += word;
            sum += sum < word;
        }
    for (; len >= 8; data += 8, len -= 8) {
        memcpy(&word, data, sizeof(word));
        sum += word;
        sum += sum < word;
    }
    word = 0;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)&word)[i] = data[i];
    sum += word;
    sum += sum < word;
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    folded = (uint16_t)~sum;
    return (uint16_t)(((uint8_t *)&folded)[0] << 8 | ((uint8_t *)&folded)[1]);
}

// ---- rows

static int
run_sum(void *ctx, struct bench_run *run)
{
    const struct sum *sum = ctx;
    uint64_t all = 0;

    for (uint64_t i = 0; i < run->n; i++) {
        bench_keep(sum->data); // these may be other bytes now
        all += sum->of(sum->data, sum->len);
    }
    bench_keep(&all);
    return 0;
}

static int
check_sum(void *ctx)
{
    const struct sum *sum = ctx;

    for (size_t len = 0; len <= sum->len && len < 200; len++)
        if (sum->of(sum->data, len) != word_checksum(sum->data, len))
            return -1;
    return sum->of(sum->data, sum->len) != word_checksum(sum->data, sum->len);
}

static int
run_copy(void *ctx, struct bench_run *run)
{
    const struct sum *sum = ctx;

    for (uint64_t i = 0; i < run->n; i++) {
        memcpy(sum->copy, sum->data, sum->len);
        bench_keep(sum->copy);
    }
    return 0;
}

void
net_compare_checksums(void)
{
    static const size_t lengths[] = {20, 64, 576, 1500, 9000, LONGEST};
    uint8_t *data = bench_alloc(OFFSET + LONGEST), *copy = bench_alloc(OFFSET + LONGEST);

    bench_fill(data, OFFSET + LONGEST, 1071);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct sum ways[] = {
            {zcbuf_checksum, data + OFFSET, lengths[i], NULL},
            {wide_checksum, data + OFFSET, lengths[i], NULL},
            {word_checksum, data + OFFSET, lengths[i], NULL},
            {NULL, data + OFFSET, lengths[i], copy + OFFSET},
        };
        struct bench_row rows[] = {
            {bench_own, run_sum, check_sum, &ways[0], 0, 0, false},
            {"64 bits with carry", run_sum, check_sum, &ways[1], 0, 0, false},
            {"16 bits at a time", run_sum, check_sum, &ways[2], 0, 0, false},
            {"memcpy (limit)", run_copy, NULL, &ways[3], 0, 0, false},
        };
        struct bench_case what = {.workload = "W7",
                                  .title = "checksum",
                                  .variable = "bytes",
                                  .value = (double)lengths[i],
                                  .unit = "ns/packet",
                                  .bytes = (double)lengths[i],
                                  .reference = "memcpy (limit)"};

        bench_compare(&what, rows, sizeof(rows) / sizeof(rows[0]));
    }
    free(data);
    free(copy);
}
