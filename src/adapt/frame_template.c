// SPDX-License-Identifier: MIT
//
// One frame for many targets. Sums of what stays are taken once, with what changes left out; a
// stamp adds what it writes (RFC 1624, equation 3: the complement of the old goes out, the new in).
#include "frame.h"

// Takes the 16-bit words of `len` bytes out of a sum.
static uint32_t
without(uint32_t sum, const uint8_t *at, size_t len)
{
    return zcb_frame_sum_add(sum, zcb_frame_checksum(zcb_frame_sum(at, len, 0)), 0);
}

// Whether it is a packet that a template can be made of.
static bool
fits(const void *data, const struct zcb_frame *frame)
{
    uint8_t type = zcb_frame_icmp_type(data, frame);

    if (frame->verdict != ZCB_FRAME_OK || frame->routing != 0 ||
        (frame->layers & (ZCB_FRAME_FRAGMENT | ZCB_FRAME_CUT)) != 0)
        return false;
    if ((frame->layers & ZCB_FRAME_ICMP) != 0)
        return type == 8 || type == 0;
    if ((frame->layers & ZCB_FRAME_ICMPV6) != 0)
        return type == 128 || type == 129;
    return (frame->layers & (ZCB_FRAME_TCP | ZCB_FRAME_UDP)) != 0;
}

int
zcb_frame_template_init(struct zcb_frame_template *form, const void *data, size_t len,
                        enum zcb_frame_link link)
{
    const struct frame_view view = frame_view_of(data);
    const uint8_t *bytes = data, *ip, *transport;
    uint32_t sum = 0, transport_len;
    struct zcb_frame frame;
    bool v4;
    int r;

    if (form == NULL || data == NULL)
        return -EINVAL;
    if (len > INT32_MAX) // what a stamp could not return
        return -EOVERFLOW;
    r = zcb_frame_parse(data, len, link, NULL, &frame);
    if (r < 0)
        return r;
    if (!fits(data, &frame))
        return -ENOTSUP;
    v4 = (frame.layers & ZCB_FRAME_IPV4) != 0;
    ip = bytes + frame.network;
    transport = bytes + frame.transport;
    transport_len = frame.end - frame.transport;
    *form = (struct zcb_frame_template){
        .data = bytes,
        .len = (uint32_t)len,
        .network = frame.network,
        .transport = frame.transport,
        .version = v4 ? 4 : 6,
        .protocol = frame.protocol,
        .source_port = zcb_frame_source_port(data, &frame),
        .port = zcb_frame_destination_port(data, &frame),
    };
    if (v4) {
        uint32_t header = zcb_frame_sum(ip, (size_t)(ip[0] & 15) * 4, 0);

        header = without(header, ip + 4, 2);
        header = without(header, ip + 10, 2);
        form->ip_sum = frame_fold(without(header, ip + 16, 4));
    }
    if (frame.protocol != FRAME_ICMP) {
        if (!frame_sum_addresses(&view, !v4, frame.network, 0, frame.protocol, transport_len, &sum))
            return -ENOTSUP;
        sum = without(sum, ip + (v4 ? 16 : 24), v4 ? 4 : 16);
    }
    sum = zcb_frame_sum(transport, transport_len, sum);
    switch (frame.protocol) {
    case FRAME_TCP:
        sum = without(without(sum, transport, 8), transport + 16, 2);
        break;
    case FRAME_UDP:
        if (v4 && zcb_frame_u16(transport, 6) == 0)
            form->protocol = 0;
        sum = without(without(sum, transport, 4), transport + 6, 2);
        break;
    default:
        sum = without(without(sum, transport + 4, 4), transport + 2, 2);
        break;
    }
    form->sum = frame_fold(sum);
    return 0;
}

static inline uint32_t
words(uint32_t value)
{
    return (value >> 16) + (value & 0xffff);
}

// No carry gets lost: what init has left are 16 bits, and at most 14 words of 16 are added.
static void
patch(const struct zcb_frame_template *form, const struct zcb_frame_target *target, uint8_t *out)
{
    uint16_t port = target->port != 0 ? target->port : form->port, checksum;
    uint16_t source_port = target->source_port != 0 ? target->source_port : form->source_port;
    uint8_t *ip = out + form->network, *transport = out + form->transport;
    uint32_t sum = form->sum, address = words(zcb_frame_u32(target->address, 0));

    if (form->version == 4) {
        memcpy(ip + 16, target->address, 4);
        frame_put_u16(ip + 4, target->id);
        frame_put_u16(ip + 10, zcb_frame_checksum(form->ip_sum + address + target->id));
    } else {
        memcpy(ip + 24, target->address, 16);
        for (size_t i = 4; i < 16; i += 4)
            address += words(zcb_frame_u32(target->address, i));
    }
    switch (form->protocol) {
    case FRAME_TCP:
        frame_put_u16(transport, source_port);
        frame_put_u16(transport + 2, port);
        frame_put_u32(transport + 4, target->sequence);
        sum += address + source_port + port + words(target->sequence);
        frame_put_u16(transport + 16, zcb_frame_checksum(sum));
        break;
    case FRAME_UDP:
    case 0:
        frame_put_u16(transport, source_port);
        frame_put_u16(transport + 2, port);
        checksum = zcb_frame_checksum(sum + address + source_port + port);
        if (checksum == 0)
            checksum = 0xffff;
        frame_put_u16(transport + 6, form->protocol != 0 ? checksum : 0);
        break;
    default: // ICMP has no pseudo header, ICMPv6 has
        frame_put_u32(transport + 4, target->sequence);
        sum += words(target->sequence) + (form->version == 6 ? address : 0);
        frame_put_u16(transport + 2, zcb_frame_checksum(sum));
        break;
    }
}

int
zcb_frame_template_stamp(const struct zcb_frame_template *form,
                         const struct zcb_frame_target *target, void *out, size_t room)
{
    if (ZCB_UNLIKELY(form == NULL || target == NULL || out == NULL ||
                     (target->reserved[0] | target->reserved[1] | target->reserved[2]) != 0))
        return -EINVAL;
    if (ZCB_UNLIKELY(room < form->len))
        return -ERANGE;
    memcpy(out, form->data, form->len);
    patch(form, target, out);
    return (int)form->len;
}

int
zcb_frame_template_restamp(const struct zcb_frame_template *form,
                           const struct zcb_frame_target *target, void *out)
{
    if (ZCB_UNLIKELY(form == NULL || target == NULL || out == NULL ||
                     (target->reserved[0] | target->reserved[1] | target->reserved[2]) != 0))
        return -EINVAL;
    patch(form, target, out);
    return 0;
}
