// SPDX-License-Identifier: MIT
//
// A packet from its first header to its last, and the packet inside a packet.
#include "frame.h"

// What a program asks for, in place of the defaults.
static int
configure(struct frame_parser *parser, const struct zcb_frame_config *config)
{
    uint32_t any = 0;

    for (size_t i = 0; i < sizeof(config->reserved) / sizeof(config->reserved[0]); i++)
        any |= config->reserved[i];
    if (any != 0 || (config->flags & ~(uint32_t)ZCB_FRAME_ACCEPT_UNSIZED) != 0 ||
        config->max_vlans > 64 || config->max_extensions > 64)
        return -EINVAL;
    if (config->wire_len != 0 && config->wire_len < FRAME_UNKNOWN)
        parser->limit = (uint32_t)config->wire_len;
    if (config->max_vlans != 0)
        parser->max_vlans = config->max_vlans;
    if (config->max_extensions != 0)
        parser->max_extensions = config->max_extensions;
    parser->flags = config->flags;
    return 0;
}

// In two parts: of a memset of 96 bytes gcc makes a `rep stos`, which takes longer than a header.
static inline void
clear(struct zcb_frame *out)
{
    const size_t half = sizeof(*out) / 2;

    memset(out, 0, half);
    memset((uint8_t *)out + half, 0, sizeof(*out) - half);
}

// *out is written only when nothing is wrong with the call. The parser's view is there already.
static int
begin(struct frame_parser *parser, size_t len, enum zcb_frame_link link,
      const struct zcb_frame_config *config, struct zcb_frame *out)
{
    int r;

    if (ZCB_UNLIKELY(len > (size_t)1 << 31))
        return -EOVERFLOW;
    parser->out = out;
    parser->limit = FRAME_UNKNOWN;
    parser->max_vlans = 4;
    parser->max_extensions = 8;
    parser->flags = 0;
    if (config != NULL) {
        r = configure(parser, config);
        if (r < 0)
            return r;
    }
    clear(out);
    out->link = (uint16_t)link;
    out->captured = (uint32_t)len;
    return 0;
}

static int
run(struct frame_parser *parser, enum zcb_frame_link link)
{
    struct zcb_frame *out = parser->out;

    if (frame_link(parser, link) && frame_network(parser))
        frame_transport(parser);
    out->end = parser->limit != FRAME_UNKNOWN ? parser->limit : out->captured;
    out->payload_len = frame_there(parser);
    if (out->end > out->captured)
        out->layers |= ZCB_FRAME_CUT;
    if (out->verdict == ZCB_FRAME_OK)
        out->at = out->payload;
    return out->verdict;
}

// Whether `link` is one of those in frame_link(); raw IP as some systems number it becomes RAW.
static bool
link_known(enum zcb_frame_link *link)
{
    switch ((int)*link) {
    case 12:
    case 14:
        *link = ZCB_FRAME_LINK_RAW;
        return true;
    case ZCB_FRAME_LINK_NULL:
    case ZCB_FRAME_LINK_ETHERNET:
    case ZCB_FRAME_LINK_RAW:
    case ZCB_FRAME_LINK_LOOP:
    case ZCB_FRAME_LINK_SLL:
    case ZCB_FRAME_LINK_IPV4:
    case ZCB_FRAME_LINK_IPV6:
    case ZCB_FRAME_LINK_SLL2:
        return true;
    default:
        return false;
    }
}

static int
parse(struct frame_parser *parser, size_t len, enum zcb_frame_link link,
      const struct zcb_frame_config *config, struct zcb_frame *out)
{
    int r;

    if (link != ZCB_FRAME_LINK_ETHERNET && !link_known(&link))
        return -ENOTSUP;
    r = begin(parser, len, link, config, out);
    return r < 0 ? r : run(parser, link);
}

int
zcb_frame_parse(const void *data, size_t len, enum zcb_frame_link link,
                const struct zcb_frame_config *config, struct zcb_frame *out)
{
    struct frame_parser parser;

    if (ZCB_UNLIKELY(out == NULL || (data == NULL && len != 0)))
        return -EINVAL;
    // Field by field: of a whole one that is copied, the processor would wait for what was just
    // written.
    parser.view.data = data;
    parser.view.chain = NULL;
    parser.view.off = 0;
    return parse(&parser, len, link, config, out);
}

// The bytes of a chain as a view: contiguous where they are.
static int
view_chain(const struct zcb_chain *chain, size_t off, size_t len, struct frame_view *out)
{
    if (off > zcb_chain_len(chain) || len > zcb_chain_len(chain) - off)
        return -EAGAIN;
    *out = (struct frame_view){zcb_chain_peek(chain, off, len, NULL), chain, off};
    return 0;
}

int
zcb_frame_parse_chain(const struct zcb_chain *chain, size_t off, size_t len,
                      enum zcb_frame_link link, const struct zcb_frame_config *config,
                      struct zcb_frame *out)
{
    struct frame_parser parser;
    int r;

    if (chain == NULL || out == NULL)
        return -EINVAL;
    r = view_chain(chain, off, len, &parser.view);
    return r < 0 ? r : parse(&parser, len, link, config, out);
}

// How many bytes of an ICMP error are its quote: all, or what its length field says, behind which
// extensions lie (RFC 4884, section 4). There it is 128 bytes or more; what says less is from a host
// that does not know of this, and has something else in these bits.
static uint32_t
quote_len(const struct frame_view *view, const struct zcb_frame *outer)
{
    bool v6 = (outer->layers & ZCB_FRAME_ICMPV6) != 0;
    uint8_t scratch[8], type;
    const uint8_t *icmp;
    uint32_t len;

    icmp = frame_bytes(view, outer->transport, 8, scratch);
    type = icmp[0];
    if (v6)
        len = type == 1 || type == 3 ? icmp[4] * 8u : 0;
    else
        len = type == 3 || type == 11 || type == 12 ? icmp[5] * 4u : 0;
    return len >= 128 && len < outer->payload_len ? len : outer->payload_len;
}

// Which version comes next is said outside: by the protocol field, or by whose error it is. What
// is something else inside must not be read as that: hosts do not.
static enum zcb_frame_link
announced(const struct zcb_frame *outer)
{
    bool v6 = (outer->layers & ZCB_FRAME_ICMPV6) != 0 || outer->protocol == FRAME_IPV6;

    return v6 ? ZCB_FRAME_LINK_IPV6 : ZCB_FRAME_LINK_IPV4;
}

static int
parse_inner(struct frame_parser *parser, const struct zcb_frame *outer,
            const struct zcb_frame_config *config, struct zcb_frame *out)
{
    bool quoted = (outer->layers & (ZCB_FRAME_ICMP | ZCB_FRAME_ICMPV6)) != 0;
    size_t len;
    int r;

    if ((outer->layers & ZCB_FRAME_INNER) == 0 || outer == out)
        return -EINVAL;
    len = outer->payload + (quoted ? quote_len(&parser->view, outer) : outer->payload_len);
    r = begin(parser, len, ZCB_FRAME_LINK_RAW, config, out);
    if (r < 0)
        return r;
    // A quote is shorter than the packet was, and so is what a first fragment carries. In a tunnel
    // packets are whole.
    if (quoted || (outer->layers & ZCB_FRAME_FRAGMENT) != 0)
        parser->limit = FRAME_UNKNOWN;
    else
        parser->limit = outer->end;
    out->start = out->payload = outer->payload;
    return run(parser, announced(outer));
}

int
zcb_frame_parse_inner(const void *data, const struct zcb_frame *outer,
                      const struct zcb_frame_config *config, struct zcb_frame *out)
{
    struct frame_parser parser;

    if (data == NULL || outer == NULL || out == NULL)
        return -EINVAL;
    parser.view = frame_view_of(data);
    return parse_inner(&parser, outer, config, out);
}

int
zcb_frame_parse_inner_chain(const struct zcb_chain *chain, size_t off,
                            const struct zcb_frame *outer, const struct zcb_frame_config *config,
                            struct zcb_frame *out)
{
    struct frame_parser parser;
    int r;

    if (chain == NULL || outer == NULL || out == NULL)
        return -EINVAL;
    r = view_chain(chain, off, outer->captured, &parser.view);
    return r < 0 ? r : parse_inner(&parser, outer, config, out);
}

static const char *const names[] = {
#define VERDICT_NAME(NAME, name, what) #name,
    ZCB_FRAME_VERDICTS(VERDICT_NAME)
#undef VERDICT_NAME
};

static const char *const texts[] = {
#define VERDICT_TEXT(NAME, name, what) what,
    ZCB_FRAME_VERDICTS(VERDICT_TEXT)
#undef VERDICT_TEXT
};

const char *
zcb_frame_verdict_name(int verdict)
{
    return (unsigned)verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "unknown";
}

const char *
zcb_frame_verdict_text(int verdict)
{
    return (unsigned)verdict < sizeof(texts) / sizeof(texts[0]) ? texts[verdict] : "unknown";
}
