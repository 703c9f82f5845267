// SPDX-License-Identifier: MIT
//
// Lengths and checksums of headers that were built: first all is judged, then written, so that a
// failure changes nothing. Lengths come before checksums, inner checksums before outer ones, which
// include them.
#include "frame.h"

// The IP header around header `i`, or -1.
static int
ip_around(const struct zcb_frame_builder *builder, uint32_t i)
{
    for (i++; i < builder->count; i++)
        if (builder->headers[i].kind == FRAME_KIND_IPV4 ||
            builder->headers[i].kind == FRAME_KIND_IPV6)
            return (int)i;
    return -1;
}

static bool
has_ports(const struct zcb_frame_builder *builder, uint32_t i)
{
    return builder->headers[i].kind == FRAME_KIND_TCP || builder->headers[i].kind == FRAME_KIND_UDP;
}

static bool
unsummed(const struct zcb_frame_builder *builder, uint32_t i)
{
    return builder->headers[i].kind == FRAME_KIND_UDP &&
           (builder->headers[i].flags & ZCB_FRAME_NO_CHECKSUM) != 0;
}

static int
judge(const struct zcb_frame_builder *builder, uint32_t i, const uint8_t *first, const uint8_t *end)
{
    const uint8_t *at = builder->headers[i].at;
    uint8_t kind = builder->headers[i].kind;
    size_t len;

    if (at < first || at > end || (size_t)(end - at) < builder->headers[i].len)
        return -ERANGE;
    len = (size_t)(end - at) - (kind == FRAME_KIND_IPV6 ? 40 : 0);
    if ((kind == FRAME_KIND_IPV4 || kind == FRAME_KIND_IPV6 || kind == FRAME_KIND_UDP) &&
        len > 65535)
        return -EOVERFLOW;
    if ((kind == FRAME_KIND_ICMPV6 || (has_ports(builder, i) && !unsummed(builder, i))) &&
        ip_around(builder, i) < 0)
        return -EINVAL;
    return 0;
}

static void
write_length(const struct zcb_frame_builder *builder, uint32_t i, const uint8_t *end)
{
    uint8_t *at = builder->headers[i].at;
    size_t len = (size_t)(end - at);

    switch ((enum frame_kind)builder->headers[i].kind) {
    case FRAME_KIND_IPV4:
        frame_put_u16(at + 2, (uint16_t)len);
        frame_put_u16(at + 10, 0);
        frame_put_u16(at + 10, zcb_frame_checksum(zcb_frame_sum(at, builder->headers[i].len, 0)));
        break;
    case FRAME_KIND_IPV6:
        frame_put_u16(at + 4, (uint16_t)(len - 40));
        break;
    case FRAME_KIND_UDP:
        frame_put_u16(at + 4, (uint16_t)len);
        break;
    default:
        break;
    }
}

// The pseudo header's sum for header `i`. A routing header between it and IP knows the destination.
static uint32_t
pseudo_sum(const struct zcb_frame_builder *builder, uint32_t i, const uint8_t *end)
{
    int ip = ip_around(builder, i);
    const uint8_t *at = builder->headers[ip].at;
    struct frame_view view = frame_view_of(at);
    bool v6 = builder->headers[ip].kind == FRAME_KIND_IPV6;
    uint32_t len = (uint32_t)(end - builder->headers[i].at), routing = 0, sum = 0;
    uint8_t protocol = (uint8_t)builder->headers[i].protocol;

    for (int j = ip - 1; j > (int)i; j--)
        if (builder->headers[j].kind == FRAME_KIND_ROUTING)
            routing = (uint32_t)(builder->headers[j].at - at);
    // One of a kind that is not known: the destination is the header's.
    if (!frame_sum_addresses(&view, v6, 0, routing, protocol, len, &sum) &&
        !frame_sum_addresses(&view, v6, 0, 0, protocol, len, &sum))
        return 0;
    return sum;
}

static void
write_checksum(const struct zcb_frame_builder *builder, uint32_t i, const uint8_t *end,
               bool partial)
{
    uint8_t *at = builder->headers[i].at, *field;
    uint16_t checksum;
    uint32_t sum = 0;

    switch ((enum frame_kind)builder->headers[i].kind) {
    case FRAME_KIND_TCP:
        field = at + 16;
        break;
    case FRAME_KIND_UDP:
        field = at + 6;
        break;
    case FRAME_KIND_ICMP:
    case FRAME_KIND_ICMPV6:
        field = at + 2;
        break;
    default:
        return;
    }
    frame_put_u16(field, 0);
    if (unsummed(builder, i))
        return;
    if (builder->headers[i].kind != FRAME_KIND_ICMP)
        sum = pseudo_sum(builder, i, end);
    if (partial) {
        frame_put_u16(field, frame_fold(sum));
        return;
    }
    checksum = zcb_frame_checksum(zcb_frame_sum(at, (size_t)(end - at), sum));
    if (checksum == 0 && builder->headers[i].kind == FRAME_KIND_UDP)
        checksum = 0xffff; // 0 would say that there is none
    frame_put_u16(field, checksum);
}

int
zcb_frame_finish(struct zcb_frame_builder *builder, uint32_t flags)
{
    const uint8_t *first, *end;
    int r, outermost = -1;

    if (builder == NULL || (flags & ~(uint32_t)ZCB_FRAME_PARTIAL) != 0)
        return -EINVAL;
    first = zcb_buf_data(builder->buf);
    end = first + zcb_buf_len(builder->buf);
    for (uint32_t i = 0; i < builder->count; i++) {
        r = judge(builder, i, first, end);
        if (r < 0)
            return r;
        if (has_ports(builder, i))
            outermost = (int)i;
    }
    for (uint32_t i = 0; i < builder->count; i++)
        write_length(builder, i, end);
    for (uint32_t i = 0; i < builder->count; i++)
        write_checksum(builder, i, end, (flags & ZCB_FRAME_PARTIAL) != 0 && (int)i == outermost);
    return 0;
}
