// SPDX-License-Identifier: MIT
#include <string.h>

#include <zcbuf/buf.h>

#include "zcb-blast.h"

static int
build_transport(struct zcb_frame_builder *builder, const struct shape *shape)
{
    static const uint8_t mss[] = {2, 4, 1460 >> 8, 1460 & 0xff};

    if (shape->tcp)
        return zcb_frame_prepend_tcp(builder, &(struct zcb_frame_tcp){
                                                  .source = shape->source_port,
                                                  .destination = shape->port,
                                                  .sequence = 1,
                                                  .window = 64240,
                                                  .flags = ZCB_FRAME_SYN,
                                                  .options = mss,
                                                  .options_len = sizeof(mss),
                                              });
    return zcb_frame_prepend_udp(builder, &(struct zcb_frame_udp){
                                              .source = shape->source_port,
                                              .destination = shape->port,
                                          });
}

static int
build_network(struct zcb_frame_builder *builder, const struct route *route)
{
    struct zcb_frame_ipv4 ipv4 = {.fragment = 0x4000};
    struct zcb_frame_ipv6 ipv6 = {0};

    if (route->version == 4) {
        memcpy(ipv4.source, route->source, 4);
        memcpy(ipv4.destination, route->target, 4);
        return zcb_frame_prepend_ipv4(builder, &ipv4);
    }
    memcpy(ipv6.source, route->source, 16);
    memcpy(ipv6.destination, route->target, 16);
    return zcb_frame_prepend_ipv6(builder, &ipv6);
}

static int
build(struct zcb_buf *buf, const struct route *route, const struct shape *shape)
{
    struct zcb_frame_ethernet ethernet = {0};
    struct zcb_frame_builder builder;
    uint8_t *payload;
    int error = zcb_buf_append(buf, shape->payload, &payload);

    if (error != 0)
        return error;
    for (uint32_t i = 0; i < shape->payload; i++)
        payload[i] = (uint8_t)("zcb-blast "[i % 10]);
    error = zcb_frame_build_into(&builder, buf);
    if (error == 0)
        error = build_transport(&builder, shape);
    if (error == 0)
        error = build_network(&builder, route);
    if (error == 0 && shape->vlan >= 0)
        error = zcb_frame_prepend_vlan(&builder,
                                       &(struct zcb_frame_vlan){.tci = (uint16_t)shape->vlan});
    if (error != 0)
        return error;
    memcpy(ethernet.source, route->from, 6);
    memcpy(ethernet.destination, route->to, 6);
    error = zcb_frame_prepend_ethernet(&builder, &ethernet);
    return error != 0 ? error : zcb_frame_finish(&builder, 0);
}

struct zcb_buf *
frame_create(const struct route *route, const struct shape *shape)
{
    struct zcb_buf *buf = NULL;
    int error = zcb_buf_alloc(NULL, ZCB_FRAME_HEADROOM + shape->payload, &buf);

    if (error == 0)
        error = zcb_buf_set_headroom(buf, ZCB_FRAME_HEADROOM);
    if (error == 0)
        error = build(buf, route, shape);
    if (error == 0)
        return buf;
    if (error == -EOVERFLOW)
        say("--size %u is more than a datagram of IPv%u holds", shape->payload, route->version);
    else
        say("the frame cannot be built: %s", zcb_strerror(error));
    zcb_buf_release(&buf);
    return NULL;
}
