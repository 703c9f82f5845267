// SPDX-License-Identifier: MIT
//
// A packet in words. Everything is read through struct zcb_frame, so only where it says that a
// header is whole; and everything is printed as a number or a name of ours, so that no packet says
// anything to a terminal.
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "zcb-dump.h"

#define MAX_INNER 3 // packets in packets that are printed

struct line {
    char *text;
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void
add(struct line *line, const char *format, ...)
{
    size_t room = LINE_MAX - 2 - line->len; // a newline and the terminator
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line->text + line->len, room, format, args);
    va_end(args);
    line->len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

// ---- names

const char *
endpoint_text(unsigned version, const uint8_t *address, int port)
{
    static _Thread_local char texts[4][INET6_ADDRSTRLEN + 8];
    static _Thread_local unsigned turn;
    char *text = texts[turn++ % 4];

    inet_ntop(version == 4 ? AF_INET : AF_INET6, address, text, INET6_ADDRSTRLEN);
    if (port >= 0)
        snprintf(text + strlen(text), 8, ".%u", (uint16_t)port);
    return text;
}

static const char *
ethernet_text(const uint8_t *address)
{
    static _Thread_local char texts[2][18];
    static _Thread_local unsigned turn;
    char *text = texts[turn++ % 2];

    snprintf(text, sizeof(texts[0]), "%02x:%02x:%02x:%02x:%02x:%02x", address[0], address[1],
             address[2], address[3], address[4], address[5]);
    return text;
}

const char *
protocol_text(unsigned protocol)
{
    static _Thread_local char number[16];

    switch (protocol) {
    case 1:
        return "icmp";
    case 2:
        return "igmp";
    case 4:
        return "ipip";
    case 6:
        return "tcp";
    case 17:
        return "udp";
    case 41:
        return "ipv6";
    case 47:
        return "gre";
    case 50:
        return "esp";
    case 51:
        return "ah";
    case 58:
        return "icmp6";
    case 59:
        return "no-next";
    case 89:
        return "ospf";
    case 103:
        return "pim";
    case 112:
        return "vrrp";
    case 132:
        return "sctp";
    default:
        snprintf(number, sizeof(number), "ip-%u", protocol);
        return number;
    }
}

// Bytes on the wire behind the last header.
static uint32_t
wire_payload(const struct zcb_frame *frame)
{
    return frame->end > frame->payload ? frame->end - frame->payload : 0;
}

static bool
is_ip(const struct zcb_frame *frame)
{
    return (frame->layers & (ZCB_FRAME_IPV4 | ZCB_FRAME_IPV6)) != 0;
}

// The packet inside, if there is one to be printed.
static bool
inner_of(const uint8_t *data, const struct zcb_frame *frame, int depth, struct zcb_frame *out)
{
    static const struct zcb_frame_config config = {.flags = ZCB_FRAME_ACCEPT_UNSIZED};

    return (frame->layers & ZCB_FRAME_INNER) != 0 && depth < MAX_INNER &&
           zcb_frame_parse_inner(data, frame, &config, out) >= 0;
}

// ---- for people

static void
describe_arp(struct line *line, const uint8_t *data, const struct zcb_frame *frame)
{
    const uint8_t *sender = zcb_frame_arp_sender(data, frame);
    const uint8_t *target = zcb_frame_arp_target(data, frame);
    unsigned operation = zcb_frame_arp_operation(data, frame);

    if (sender == NULL || target == NULL)
        add(line, "ARP, operation %u of another kind", operation);
    else if (operation == 1)
        add(line, "ARP, who has %s? tell %s", endpoint_text(4, target + 6, -1),
            endpoint_text(4, sender + 6, -1));
    else if (operation == 2)
        add(line, "ARP, %s is at %s", endpoint_text(4, sender + 6, -1), ethernet_text(sender));
    else
        add(line, "ARP, operation %u from %s", operation, endpoint_text(4, sender + 6, -1));
}

static void
describe_ip(struct line *line, const uint8_t *data, const struct zcb_frame *frame)
{
    unsigned version = (frame->layers & ZCB_FRAME_IPV4) != 0 ? 4 : 6;
    bool ports = (frame->layers & ZCB_FRAME_PORTS) != 0;

    add(line, "%s %s > ", version == 4 ? "IP" : "IP6",
        endpoint_text(version, zcb_frame_source(data, frame),
                      ports ? zcb_frame_source_port(data, frame) : -1));
    add(line, "%s: %s",
        endpoint_text(version, zcb_frame_destination(data, frame),
                      ports ? zcb_frame_destination_port(data, frame) : -1),
        protocol_text(frame->protocol));
    if ((frame->layers & (ZCB_FRAME_ICMP | ZCB_FRAME_ICMPV6)) != 0)
        add(line, " type %u code %u", zcb_frame_icmp_type(data, frame),
            zcb_frame_icmp_code(data, frame));
    add(line, " %u", wire_payload(frame));
    if ((frame->layers & ZCB_FRAME_FRAGMENT) != 0)
        add(line, " (fragment of %u at %u%s)", frame->fragment_id, frame->fragment_off,
            (frame->layers & ZCB_FRAME_MORE) != 0 ? ", more follow" : ", the last");
}

static void
describe(struct line *line, const uint8_t *data, const struct zcb_frame *frame, int depth)
{
    struct zcb_frame inner;

    for (uint32_t i = 0; i < frame->vlans; i++)
        add(line, "vlan %u, ", zcb_frame_vlan_tci(data, frame, i) & 0xfff);
    if ((frame->layers & ZCB_FRAME_ARP) != 0)
        describe_arp(line, data, frame);
    else if (is_ip(frame))
        describe_ip(line, data, frame);
    else if ((frame->layers & ZCB_FRAME_ETHERNET) != 0) {
        add(line, "%s > ", ethernet_text(data + frame->start + 6));
        add(line, "%s", ethernet_text(data + frame->start));
        if ((frame->layers & ZCB_FRAME_LLC) != 0 && frame->type == 0)
            add(line, ", LLC %u", wire_payload(frame));
        else
            add(line, ", type 0x%04x %u", frame->type, wire_payload(frame));
    } else if (frame->type != 0)
        add(line, "type 0x%04x %u", frame->type, wire_payload(frame));
    else
        add(line, "%s", depth == 0 ? "no header that is whole" : "?");
    if (inner_of(data, frame, depth, &inner)) {
        add(line,
            (frame->layers & (ZCB_FRAME_ICMP | ZCB_FRAME_ICMPV6)) != 0 ? ", about " : ", in it ");
        describe(line, data, &inner, depth + 1);
    }
    if (frame->verdict != ZCB_FRAME_OK)
        add(line, " [%s at %u: %s]", zcb_frame_verdict_name(frame->verdict), frame->at,
            zcb_frame_verdict_text(frame->verdict));
}

static void
bad_sum(struct line *line, const char *what, int state)
{
    if (state == ZCB_FRAME_CHECKSUM_BAD || state == ZCB_FRAME_CHECKSUM_MISSING)
        add(line, " (%s checksum %s)", what, zcb_frame_checksum_name(state));
}

static void
for_people(struct line *line, const struct view *view, const struct item *item,
           const struct zcb_frame *frame, int verdict, int ip_sum, int inner_sum)
{
    time_t seconds = (time_t)(item->time_ns / 1000000000);
    struct tm day;

    localtime_r(&seconds, &day);
    add(line, "%02d:%02d:%02d.%06u ", day.tm_hour, day.tm_min, day.tm_sec,
        (unsigned)(item->time_ns % 1000000000 / 1000));
    if (item->tagged)
        add(line, "vlan %u, ", item->tci & 0xfff);
    if (verdict < 0)
        add(line, "link type %d, which is not known here", (int)view->link);
    else
        describe(line, item->packet.data, frame, 0);
    bad_sum(line, "IP", ip_sum);
    if (verdict >= 0)
        bad_sum(line, protocol_text(frame->protocol), inner_sum);
    add(line, ", length %u", item->wire_len);
}

// ---- for programs

static void
json_ip(struct line *line, const uint8_t *data, const struct zcb_frame *frame)
{
    unsigned version = (frame->layers & ZCB_FRAME_IPV4) != 0 ? 4 : 6;

    add(line, ",\"ip\":%u,\"src\":\"%s\",\"dst\":\"%s\",\"ttl\":%u,\"tos\":%u", version,
        endpoint_text(version, zcb_frame_source(data, frame), -1),
        endpoint_text(version, zcb_frame_destination(data, frame), -1), zcb_frame_ttl(data, frame),
        zcb_frame_tos(data, frame));
    // As the header says it: all of an IPv4 packet, what is behind the header of an IPv6 one.
    add(line, ",\"ip_length\":%u,\"protocol\":%u,\"protocol_name\":\"%s\"",
        zcb_frame_u16(data, (size_t)frame->network + (version == 4 ? 2 : 4)), frame->protocol,
        protocol_text(frame->protocol));
    if (version == 4 || frame->fragment != 0)
        add(line, ",\"id\":%u", frame->fragment_id);
    // With a fragment header, also where that says that the packet is whole (RFC 6946).
    if ((frame->layers & ZCB_FRAME_FRAGMENT) != 0 || frame->fragment != 0)
        add(line, ",\"fragment_offset\":%u,\"more_fragments\":%s", frame->fragment_off,
            (frame->layers & ZCB_FRAME_MORE) != 0 ? "true" : "false");
    if ((frame->layers & ZCB_FRAME_PORTS) != 0)
        add(line, ",\"src_port\":%u,\"dst_port\":%u", zcb_frame_source_port(data, frame),
            zcb_frame_destination_port(data, frame));
    if ((frame->layers & ZCB_FRAME_TCP) != 0)
        add(line, ",\"tcp_flags\":%u,\"seq\":%u,\"ack\":%u,\"window\":%u,\"tcp_header\":%u",
            zcb_frame_tcp_flags(data, frame), zcb_frame_tcp_sequence(data, frame),
            zcb_frame_tcp_acknowledgment(data, frame), zcb_frame_tcp_window(data, frame),
            (data[frame->transport + 12] >> 4) * 4u);
    if ((frame->layers & ZCB_FRAME_UDP) != 0)
        add(line, ",\"udp_length\":%u", zcb_frame_u16(data, (size_t)frame->transport + 4));
    if ((frame->layers & (ZCB_FRAME_ICMP | ZCB_FRAME_ICMPV6)) != 0)
        add(line, ",\"icmp_type\":%u,\"icmp_code\":%u", zcb_frame_icmp_type(data, frame),
            zcb_frame_icmp_code(data, frame));
}

static void
json_arp(struct line *line, const uint8_t *data, const struct zcb_frame *frame)
{
    const uint8_t *sender = zcb_frame_arp_sender(data, frame);
    const uint8_t *target = zcb_frame_arp_target(data, frame);

    add(line, ",\"arp_operation\":%u", zcb_frame_arp_operation(data, frame));
    if (sender != NULL && target != NULL)
        add(line,
            ",\"arp_src\":\"%s\",\"arp_dst\":\"%s\",\"arp_src_eth\":\"%s\",\"arp_dst_eth\":\"%s\"",
            endpoint_text(4, sender + 6, -1), endpoint_text(4, target + 6, -1),
            ethernet_text(sender), ethernet_text(target));
}

static void
json_frame(struct line *line, const uint8_t *data, const struct zcb_frame *frame, int depth)
{
    struct zcb_frame inner;

    add(line, "\"verdict\":\"%s\",\"at\":%u", zcb_frame_verdict_name(frame->verdict), frame->at);
    if ((frame->layers & ZCB_FRAME_ETHERNET) != 0)
        add(line, ",\"eth_src\":\"%s\",\"eth_dst\":\"%s\"", ethernet_text(data + frame->start + 6),
            ethernet_text(data + frame->start));
    if (frame->type != 0)
        add(line, ",\"type\":%u", frame->type);
    if (is_ip(frame))
        json_ip(line, data, frame);
    else if ((frame->layers & ZCB_FRAME_ARP) != 0)
        json_arp(line, data, frame);
    add(line, ",\"payload\":%u", wire_payload(frame));
    if (inner_of(data, frame, depth, &inner)) {
        add(line, ",\"inner\":{");
        json_frame(line, data, &inner, depth + 1);
        add(line, "}");
    }
}

static void
for_programs(struct line *line, const struct view *view, const struct item *item,
             const struct zcb_frame *frame, int verdict, int ip_sum, int inner_sum)
{
    const char *comma = "";

    add(line, "{\"frame\":%llu,\"time\":%llu.%09u,\"length\":%u,\"captured\":%zu,\"link\":%d,",
        (unsigned long long)item->number, (unsigned long long)(item->time_ns / 1000000000),
        (unsigned)(item->time_ns % 1000000000), item->wire_len, item->packet.len, (int)view->link);
    if (verdict < 0) {
        add(line, "\"verdict\":\"unknown_link\"}");
        return;
    }
    if (item->tagged || frame->vlans != 0) {
        add(line, "\"vlans\":[");
        if (item->tagged) {
            add(line, "%u", item->tci & 0xfff);
            comma = ",";
        }
        for (uint32_t i = 0; i < frame->vlans; i++, comma = ",")
            add(line, "%s%u", comma, zcb_frame_vlan_tci(item->packet.data, frame, i) & 0xfff);
        add(line, "],");
    }
    json_frame(line, item->packet.data, frame, 0);
    if (view->verify && is_ip(frame))
        add(line, ",\"ip_checksum\":\"%s\",\"checksum\":\"%s\"", zcb_frame_checksum_name(ip_sum),
            zcb_frame_checksum_name(inner_sum));
    add(line, "}");
}

size_t
dump_line(const struct view *view, const struct item *item, const struct zcb_frame *frame,
          int verdict, int ip_sum, int inner_sum, char out[LINE_MAX])
{
    struct line line = {.text = out};

    (view->json ? for_programs : for_people)(&line, view, item, frame, verdict, ip_sum, inner_sum);
    out[line.len++] = '\n';
    return line.len;
}
