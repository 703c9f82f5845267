// SPDX-License-Identifier: MIT
//
// Headers into the headroom in front of what a buf holds. Everything that is known when a header is
// written goes in at once; lengths and checksums wait for zcb_frame_finish().
#include "frame.h"

#define NO_TYPE 0         // no EtherType says this
#define NO_PROTOCOL 0x100 // no protocol number does

static const uint8_t zeroes[4];

int
zcb_frame_build_into(struct zcb_frame_builder *builder, struct zcb_buf *buf)
{
    if (builder == NULL || buf == NULL)
        return -EINVAL;
    builder->buf = buf;
    builder->count = 0;
    builder->reserved = 0;
    return 0;
}

// The outermost header, if nothing has been put in front of it since.
static int
inside(const struct zcb_frame_builder *builder)
{
    int i = (int)builder->count - 1;

    return i >= 0 && builder->headers[i].at == zcb_buf_data(builder->buf) ? i : -1;
}

// What an EtherType field is to say: what was asked for, or what lies inside. 0: not known.
static uint16_t
type_of(const struct zcb_frame_builder *builder, uint16_t asked)
{
    int i = inside(builder);

    return asked != 0 ? asked : i >= 0 ? builder->headers[i].type : NO_TYPE;
}

static uint16_t
protocol_of(const struct zcb_frame_builder *builder, uint8_t asked)
{
    int i = inside(builder);

    return asked != 0 ? asked : i >= 0 ? builder->headers[i].protocol : NO_PROTOCOL;
}

// Room for a header of `len` bytes, zeroed, and its note. All else has been checked.
static int
prepend(struct zcb_frame_builder *builder, enum frame_kind kind, size_t len, uint16_t type,
        uint16_t protocol, uint8_t **at)
{
    int r;

    if (builder->count == ZCB_FRAME_HEADERS)
        return -ENOBUFS;
    r = zcb_buf_prepend(builder->buf, len, at);
    if (r < 0)
        return r;
    memset(*at, 0, len);
    builder->headers[builder->count].at = *at;
    builder->headers[builder->count].len = (uint16_t)len;
    builder->headers[builder->count].type = type;
    builder->headers[builder->count].protocol = protocol;
    builder->headers[builder->count].kind = (uint8_t)kind;
    builder->headers[builder->count].flags = 0;
    builder->count++;
    return 0;
}

// Options behind a header of 20 bytes: the header's length with them, or 0 where they are not fine.
static size_t
with_options(const void *options, size_t len)
{
    return len > 40 || (options == NULL && len != 0) ? 0 : 20 + (len + 3) / 4 * 4;
}

static bool
all_zero(const uint32_t *reserved, size_t n)
{
    uint32_t any = 0;

    for (size_t i = 0; i < n; i++)
        any |= reserved[i];
    return any == 0;
}

int
zcb_frame_prepend_ethernet(struct zcb_frame_builder *builder, const struct zcb_frame_ethernet *what)
{
    uint16_t type;
    uint8_t *at;
    int r;

    if (builder == NULL || what == NULL || what->reserved != 0)
        return -EINVAL;
    type = type_of(builder, what->type);
    if (type == NO_TYPE)
        return -EINVAL;
    r = prepend(builder, FRAME_KIND_LINK, 14, NO_TYPE, NO_PROTOCOL, &at);
    if (r < 0)
        return r;
    memcpy(at, what->destination, 6);
    memcpy(at + 6, what->source, 6);
    frame_put_u16(at + 12, type);
    return 0;
}

int
zcb_frame_prepend_vlan(struct zcb_frame_builder *builder, const struct zcb_frame_vlan *what)
{
    uint16_t type;
    uint8_t *at;
    int r;

    if (builder == NULL || what == NULL || what->reserved != 0)
        return -EINVAL;
    type = type_of(builder, what->type);
    if (type == NO_TYPE)
        return -EINVAL;
    r = prepend(builder, FRAME_KIND_LINK, 4, what->tpid != 0 ? what->tpid : FRAME_TYPE_VLAN,
                NO_PROTOCOL, &at);
    if (r < 0)
        return r;
    frame_put_u16(at, what->tci);
    frame_put_u16(at + 2, type);
    return 0;
}

int
zcb_frame_prepend_arp(struct zcb_frame_builder *builder, const struct zcb_frame_arp *what)
{
    uint8_t *at;
    int r;

    if (builder == NULL || what == NULL || what->reserved != 0)
        return -EINVAL;
    r = prepend(builder, FRAME_KIND_LINK, 28, FRAME_TYPE_ARP, NO_PROTOCOL, &at);
    if (r < 0)
        return r;
    frame_put_u16(at, 1); // Ethernet
    frame_put_u16(at + 2, FRAME_TYPE_IPV4);
    at[4] = 6;
    at[5] = 4;
    frame_put_u16(at + 6, what->operation != 0 ? what->operation : 1);
    memcpy(at + 8, what->sender, 6);
    memcpy(at + 14, what->sender_ip, 4);
    memcpy(at + 18, what->target, 6);
    memcpy(at + 24, what->target_ip, 4);
    return 0;
}

int
zcb_frame_prepend_ipv4(struct zcb_frame_builder *builder, const struct zcb_frame_ipv4 *what)
{
    uint16_t protocol;
    uint8_t *at;
    size_t len;
    int r;

    if (builder == NULL || what == NULL || what->reserved8 != 0 || !all_zero(what->reserved, 4))
        return -EINVAL;
    len = with_options(what->options, what->options_len);
    protocol = protocol_of(builder, what->protocol);
    if (len == 0 || protocol == NO_PROTOCOL)
        return -EINVAL;
    r = prepend(builder, FRAME_KIND_IPV4, len, FRAME_TYPE_IPV4, FRAME_IPIP, &at);
    if (r < 0)
        return r;
    at[0] = (uint8_t)(0x40 | len / 4);
    at[1] = what->tos;
    frame_put_u16(at + 4, what->id);
    frame_put_u16(at + 6, what->fragment);
    at[8] = what->ttl != 0 ? what->ttl : 64;
    at[9] = (uint8_t)protocol;
    memcpy(at + 12, what->source, 4);
    memcpy(at + 16, what->destination, 4);
    memcpy(at + 20, what->options_len != 0 ? what->options : zeroes, what->options_len);
    return 0;
}

int
zcb_frame_prepend_ipv6(struct zcb_frame_builder *builder, const struct zcb_frame_ipv6 *what)
{
    uint16_t protocol;
    uint8_t *at;
    int r;

    if (builder == NULL || what == NULL || what->reserved8 != 0 || !all_zero(what->reserved, 4) ||
        what->flow_label > 0xfffff)
        return -EINVAL;
    protocol = protocol_of(builder, what->next);
    r = prepend(builder, FRAME_KIND_IPV6, 40, FRAME_TYPE_IPV6, FRAME_IPV6, &at);
    if (r < 0)
        return r;
    frame_put_u32(at, 6u << 28 | (uint32_t)what->traffic_class << 20 | what->flow_label);
    at[6] = (uint8_t)(protocol != NO_PROTOCOL ? protocol : FRAME_NO_NEXT);
    at[7] = what->hop_limit != 0 ? what->hop_limit : 64;
    memcpy(at + 8, what->source, 16);
    memcpy(at + 24, what->destination, 16);
    return 0;
}

// Whether an extension header of that kind may have that many bytes.
static bool
extension_len_fits(uint8_t type, size_t len)
{
    switch (type) {
    case FRAME_AH:
        return len % 4 == 0 && len >= 12 && len <= 1028;
    case FRAME_FRAGMENT:
        return len == 8;
    case FRAME_HOP_BY_HOP:
    case FRAME_ROUTING:
    case FRAME_DESTINATION:
    case FRAME_MOBILITY:
    case FRAME_HIP:
    case FRAME_SHIM6:
        return len % 8 == 0 && len >= 8 && len <= 2048;
    default:
        return false;
    }
}

int
zcb_frame_prepend_extension(struct zcb_frame_builder *builder,
                            const struct zcb_frame_extension *what)
{
    uint16_t protocol;
    size_t len;
    uint8_t *at;
    int r;

    if (builder == NULL || what == NULL || what->body == NULL || what->body_len > 2046 ||
        what->reserved16 != 0 || what->reserved != 0)
        return -EINVAL;
    len = what->body_len + 2;
    if (!extension_len_fits(what->type, len))
        return -EINVAL;
    protocol = protocol_of(builder, what->next);
    r = prepend(builder, what->type == FRAME_ROUTING ? FRAME_KIND_ROUTING : FRAME_KIND_EXTENSION,
                len, NO_TYPE, what->type, &at);
    if (r < 0)
        return r;
    at[0] = (uint8_t)(protocol != NO_PROTOCOL ? protocol : FRAME_NO_NEXT);
    at[1] = (uint8_t)(what->type == FRAME_AH         ? len / 4 - 2
                      : what->type == FRAME_FRAGMENT ? 0
                                                     : len / 8 - 1);
    memcpy(at + 2, what->body, what->body_len);
    return 0;
}

int
zcb_frame_prepend_udp(struct zcb_frame_builder *builder, const struct zcb_frame_udp *what)
{
    uint8_t *at;
    int r;

    if (builder == NULL || what == NULL || (what->flags & ~(uint32_t)ZCB_FRAME_NO_CHECKSUM) != 0 ||
        !all_zero(what->reserved, 2))
        return -EINVAL;
    r = prepend(builder, FRAME_KIND_UDP, 8, NO_TYPE, FRAME_UDP, &at);
    if (r < 0)
        return r;
    builder->headers[builder->count - 1].flags = (uint8_t)what->flags;
    frame_put_u16(at, what->source);
    frame_put_u16(at + 2, what->destination);
    return 0;
}

int
zcb_frame_prepend_tcp(struct zcb_frame_builder *builder, const struct zcb_frame_tcp *what)
{
    uint8_t any = 0, *at;
    size_t len;
    int r;

    if (builder == NULL || what == NULL || !all_zero(what->reserved, 4))
        return -EINVAL;
    for (size_t i = 0; i < sizeof(what->reserved8); i++)
        any |= what->reserved8[i];
    len = with_options(what->options, what->options_len);
    if (len == 0 || any != 0)
        return -EINVAL;
    r = prepend(builder, FRAME_KIND_TCP, len, NO_TYPE, FRAME_TCP, &at);
    if (r < 0)
        return r;
    frame_put_u16(at, what->source);
    frame_put_u16(at + 2, what->destination);
    frame_put_u32(at + 4, what->sequence);
    frame_put_u32(at + 8, what->acknowledgment);
    at[12] = (uint8_t)(len / 4 << 4);
    at[13] = what->flags;
    frame_put_u16(at + 14, what->window);
    frame_put_u16(at + 18, what->urgent);
    memcpy(at + 20, what->options_len != 0 ? what->options : zeroes, what->options_len);
    return 0;
}

static int
prepend_icmp(struct zcb_frame_builder *builder, const struct zcb_frame_icmp *what,
             enum frame_kind kind, uint16_t protocol)
{
    uint8_t *at;
    int r;

    if (builder == NULL || what == NULL || what->reserved16 != 0 || !all_zero(what->reserved, 2))
        return -EINVAL;
    r = prepend(builder, kind, 8, NO_TYPE, protocol, &at);
    if (r < 0)
        return r;
    at[0] = what->type;
    at[1] = what->code;
    frame_put_u32(at + 4, what->rest);
    return 0;
}

int
zcb_frame_prepend_icmp(struct zcb_frame_builder *builder, const struct zcb_frame_icmp *what)
{
    return prepend_icmp(builder, what, FRAME_KIND_ICMP, FRAME_ICMP);
}

int
zcb_frame_prepend_icmpv6(struct zcb_frame_builder *builder, const struct zcb_frame_icmp *what)
{
    return prepend_icmp(builder, what, FRAME_KIND_ICMPV6, FRAME_ICMPV6);
}
