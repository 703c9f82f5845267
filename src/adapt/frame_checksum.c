// SPDX-License-Identifier: MIT
//
// The Internet checksum (RFC 1071; RFC 1624 for updates).
//
// A one's complement sum does not care in which byte order it is taken, nor how wide the words are
// that are added, as long as what overflows comes back at the bottom (RFC 1071, section 2). So
// memory is added as it is, 64 bits at a time: the two halves of each word go into 64-bit
// accumulators, which leaves 31 bits for carries, and four of them keep the additions independent
// of each other. Folded and put into network order once, at the end.
#include "frame.h"

static inline uint64_t
load(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return (word >> 32) + (uint32_t)word;
}

// To 16 bits. What is not 0 stays so.
static inline uint16_t
fold(uint64_t sum)
{
    sum = (sum >> 32) + (uint32_t)sum;
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)((sum >> 16) + (sum & 0xffff));
}

uint32_t
zcb_frame_sum(const void *data, size_t len, uint32_t sum)
{
    const uint8_t *at = data;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    uint16_t pair;

    for (; len >= 32; len -= 32, at += 32) {
        a += load(at);
        b += load(at + 8);
        c += load(at + 16);
        d += load(at + 24);
    }
    for (; len >= 8; len -= 8, at += 8)
        a += load(at);
    for (; len >= 2; len -= 2, at += 2) {
        memcpy(&pair, at, sizeof(pair));
        b += pair;
    }
    if (len != 0) { // as if a zero followed
        pair = 0;
        memcpy(&pair, at, 1);
        c += pair;
    }
    return zcb_frame_sum_add(sum, ZCB_BE16(fold((a + b) + (c + d))), 0);
}

int
zcb_frame_sum_chain(const struct zcb_chain *chain, size_t off, size_t len, uint32_t sum,
                    uint32_t *out)
{
    struct zcb_cursor cursor;
    size_t done = 0, here;

    if (chain == NULL || out == NULL)
        return -EINVAL;
    if (off > zcb_chain_len(chain) || len > zcb_chain_len(chain) - off ||
        zcb_cursor_init(&cursor, chain, off) < 0)
        return -EAGAIN;
    while (done < len) {
        const uint8_t *at = zcb_cursor_peek(&cursor, &here);

        here = here < len - done ? here : len - done;
        sum = zcb_frame_sum_add(sum, zcb_frame_sum(at, here, 0), done);
        done += here;
        if (zcb_cursor_skip(&cursor, here) < 0)
            return -EAGAIN;
    }
    *out = sum;
    return 0;
}

uint32_t
frame_sum_view(const struct frame_view *view, size_t at, size_t len, uint32_t sum)
{
    if (view->data != NULL)
        return zcb_frame_sum(view->data + at, len, sum);
    return zcb_frame_sum_chain(view->chain, view->off + at, len, sum, &sum) == 0 ? sum : 0;
}

uint32_t
zcb_frame_sum_pseudo(const void *source, const void *destination, uint32_t address_len,
                     uint8_t protocol, uint32_t len)
{
    // At most 2 * 16 bits and one carry: no overflow.
    uint32_t sum = (len >> 16) + (len & 0xffff) + protocol;

    return zcb_frame_sum(destination, address_len, zcb_frame_sum(source, address_len, sum));
}

uint16_t
zcb_frame_checksum_update(uint16_t checksum, const void *before, const void *after, size_t len)
{
    uint32_t sum = (uint16_t)~checksum;

    // The complement of a sum is the sum of complements.
    sum += zcb_frame_checksum(zcb_frame_sum(before, len, 0));
    return zcb_frame_checksum(zcb_frame_sum(after, len, sum));
}
