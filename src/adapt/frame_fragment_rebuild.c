// SPDX-License-Identifier: MIT
//
// A complete datagram: its header anew, its data by reference.
#include "frame_fragment.h"

static void
write_ipv4(uint8_t *at, uint32_t header_len, uint32_t len, bool congested)
{
    frame_put_u16(at + 2, (uint16_t)(header_len + len));
    frame_put_u16(at + 6, zcb_frame_u16(at, 6) & 0xc000);
    at[1] |= congested ? 3 : 0;
    fragment_checksum(at, header_len);
}

// The header that came before the fragment header now says what that one said. 0; -EINVAL: the walk
// does not end there, as the parse said it would.
static int
write_ipv6(uint8_t *at, uint32_t header_len, uint32_t len, bool congested, uint8_t next)
{
    uint32_t field = 6, end = 40;

    while (end < header_len && header_len - end >= 8) {
        uint8_t kind = at[field];

        field = end;
        end += kind == FRAME_AH ? (at[end + 1] + 2u) * 4 : (at[end + 1] + 1u) * 8;
    }
    if (end != header_len)
        return -EINVAL;
    at[field] = next;
    frame_put_u16(at + 4, (uint16_t)(header_len - 40 + len));
    at[1] |= congested ? 0x30 : 0;
    return 0;
}

int
fragment_rebuild(const struct zcb_reassembler *r, const struct zcb_packet *header, uint32_t len,
                 bool congested, const struct part *parts, struct zcb_chain *out)
{
    bool v6 = header->data[0] >> 4 == 6;
    // The fragment header is the last 8 bytes of it.
    uint32_t header_len = (uint32_t)header->len - (v6 ? 8 : 0);
    struct zcb_packet packet;
    struct zcb_buf *buf;
    uint8_t *at;
    int result = fragment_header(r->pool, r->config.headroom, header_len, &buf, &at);

    if (result < 0)
        return result;
    memcpy(at, header->data, header_len);
    if (v6)
        result = write_ipv6(at, header_len, len, congested, header->data[header_len]);
    else
        write_ipv4(at, header_len, len, congested);
    if (result < 0) {
        zcb_buf_release(&buf);
        return result;
    }
    zcb_buf_share(&buf, &packet);
    result = zcb_chain_push(out, &packet);
    zcb_packet_unref(&packet); // taken, or not wanted
    for (; result >= 0 && parts != NULL; parts = parts->next)
        result = fragment_push(out, &parts->data);
    if (result < 0)
        zcb_chain_discard(out, zcb_chain_len(out));
    return result;
}
