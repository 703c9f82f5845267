// SPDX-License-Identifier: MIT
//
// What the checksums of a packet are found to be. TCP's, UDP's and ICMPv6's include a pseudo header
// (RFC 9293, section 3.1; RFC 8200, section 8.1).
#include "frame.h"

// The last address of a routing header that still has segments left: where the packet is going in
// the end. NULL: this kind is not known.
static const uint8_t *
last_destination(const struct frame_view *view, uint32_t routing, uint8_t *scratch)
{
    uint8_t fixed[8], kind;
    const uint8_t *header = frame_bytes(view, routing, 8, fixed);
    uint32_t addresses = header[1] / 2u;

    kind = header[2];
    if (addresses == 0)
        return NULL;
    if (kind == 0 || kind == 2) // RFC 2460; mobility, RFC 6275
        return frame_bytes(view, (size_t)routing + 8 + (addresses - 1) * (size_t)16, 16, scratch);
    if (kind == 4) // segment routing, RFC 8754: the list is in reverse
        return frame_bytes(view, (size_t)routing + 8, 16, scratch);
    return NULL;
}

bool
frame_sum_addresses(const struct frame_view *view, bool ipv6, uint32_t network, uint32_t routing,
                    uint8_t protocol, uint32_t len, uint32_t *sum)
{
    uint32_t address_len = ipv6 ? 16 : 4;
    uint8_t scratch[32], last[16], left;
    const uint8_t *source, *destination;

    source = frame_bytes(view, (size_t)network + (ipv6 ? 8 : 12), (size_t)2 * address_len, scratch);
    destination = source + address_len;
    if (routing != 0) {
        left = *frame_bytes(view, (size_t)routing + 3, 1, last);
        if (left != 0)
            destination = last_destination(view, routing, last);
    }
    if (destination == NULL)
        return false;
    *sum = zcb_frame_sum_pseudo(source, destination, address_len, protocol, len);
    return true;
}

static enum zcb_frame_checksum_state
verify_ip(const struct frame_view *view, const struct zcb_frame *frame)
{
    uint8_t scratch[1];
    uint32_t len;

    if ((frame->layers & ZCB_FRAME_IPV4) == 0)
        return ZCB_FRAME_CHECKSUM_UNKNOWN;
    len = (*frame_bytes(view, frame->network, 1, scratch) & 15u) * 4;
    if (len > frame->network_len)
        return ZCB_FRAME_CHECKSUM_UNKNOWN;
    return zcb_frame_checksum(frame_sum_view(view, frame->network, len, 0)) == 0
               ? ZCB_FRAME_CHECKSUM_GOOD
               : ZCB_FRAME_CHECKSUM_BAD;
}

static enum zcb_frame_checksum_state
verify_transport(const struct frame_view *view, const struct zcb_frame *frame)
{
    uint32_t len = frame->end - frame->transport, pseudo = 0, at;
    uint16_t checksum;
    uint8_t scratch[2];

    if ((frame->layers & (ZCB_FRAME_FRAGMENT | ZCB_FRAME_CUT)) != 0)
        return ZCB_FRAME_CHECKSUM_UNKNOWN;
    if ((frame->layers & ZCB_FRAME_TCP) != 0)
        at = 16;
    else if ((frame->layers & ZCB_FRAME_UDP) != 0)
        at = 6;
    else if ((frame->layers & (ZCB_FRAME_ICMP | ZCB_FRAME_ICMPV6)) != 0)
        at = 2;
    else
        return ZCB_FRAME_CHECKSUM_UNKNOWN;
    checksum = zcb_frame_u16(frame_bytes(view, (size_t)frame->transport + at, 2, scratch), 0);
    if ((frame->layers & ZCB_FRAME_UDP) != 0 && checksum == 0)
        return (frame->layers & ZCB_FRAME_IPV4) != 0 ? ZCB_FRAME_CHECKSUM_NONE
                                                     : ZCB_FRAME_CHECKSUM_MISSING;
    if ((frame->layers & ZCB_FRAME_ICMP) == 0 &&
        !frame_sum_addresses(view, (frame->layers & ZCB_FRAME_IPV6) != 0, frame->network,
                             frame->routing, frame->protocol, len, &pseudo))
        return ZCB_FRAME_CHECKSUM_UNKNOWN;
    if (zcb_frame_checksum(frame_sum_view(view, frame->transport, len, pseudo)) == 0)
        return ZCB_FRAME_CHECKSUM_GOOD;
    return pseudo != 0 && checksum == frame_fold(pseudo) ? ZCB_FRAME_CHECKSUM_PARTIAL
                                                         : ZCB_FRAME_CHECKSUM_BAD;
}

enum zcb_frame_checksum_state
zcb_frame_verify_ip(const void *data, const struct zcb_frame *frame)
{
    struct frame_view view = frame_view_of(data);

    return data != NULL ? verify_ip(&view, frame) : ZCB_FRAME_CHECKSUM_UNKNOWN;
}

enum zcb_frame_checksum_state
zcb_frame_verify_transport(const void *data, const struct zcb_frame *frame)
{
    struct frame_view view = frame_view_of(data);

    return data != NULL ? verify_transport(&view, frame) : ZCB_FRAME_CHECKSUM_UNKNOWN;
}

// Whether the chain has the bytes that were parsed.
static bool
chain_has(const struct zcb_chain *chain, size_t off, const struct zcb_frame *frame)
{
    return chain != NULL && off <= zcb_chain_len(chain) &&
           frame->captured <= zcb_chain_len(chain) - off;
}

enum zcb_frame_checksum_state
zcb_frame_verify_ip_chain(const struct zcb_chain *chain, size_t off, const struct zcb_frame *frame)
{
    struct frame_view view = {.chain = chain, .off = off};

    return chain_has(chain, off, frame) ? verify_ip(&view, frame) : ZCB_FRAME_CHECKSUM_UNKNOWN;
}

enum zcb_frame_checksum_state
zcb_frame_verify_transport_chain(const struct zcb_chain *chain, size_t off,
                                 const struct zcb_frame *frame)
{
    struct frame_view view = {.chain = chain, .off = off};

    return chain_has(chain, off, frame) ? verify_transport(&view, frame)
                                        : ZCB_FRAME_CHECKSUM_UNKNOWN;
}

const char *
zcb_frame_checksum_name(int state)
{
    static const char *const names[] = {"good", "bad", "unknown", "none", "missing", "partial"};

    return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}
