// SPDX-License-Identifier: MIT
//
// Where packets for a target would go, as the kernel's routing tables say (rtnetlink(7)), and
// whether they may: a tool that sends as fast as it can must not be pointed at anybody else by
// a slip of the hand. So: to this machine itself, or to a private address that is directly on a
// virtual link. No option takes that back.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "zcb-blast.h"

struct request {
    struct nlmsghdr header;
    union {
        struct rtmsg route;
        struct ifinfomsg link;
        struct ndmsg neighbour;
    } u;
    char attributes[256];
};

struct answer {
    _Alignas(8) char bytes[32768]; // a link with all that drivers say about it is large
    size_t len;
};

static size_t
address_len(const struct route *route)
{
    return route->version == 4 ? 4 : 16;
}

static int
family(const struct route *route)
{
    return route->version == 4 ? AF_INET : AF_INET6;
}

static const char *
address_of(const struct route *route, const uint8_t *address)
{
    static char texts[2][INET6_ADDRSTRLEN];
    static unsigned turn;
    char *text = texts[turn++ % 2];

    inet_ntop(family(route), address, text, INET6_ADDRSTRLEN);
    return text;
}

static void
attach(struct request *request, unsigned short type, const void *data, size_t len)
{
    struct rtattr *at = (void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));

    at->rta_type = type;
    at->rta_len = (unsigned short)RTA_LENGTH(len);
    memcpy(RTA_DATA(at), data, len);
    request->header.nlmsg_len =
        (uint32_t)(NLMSG_ALIGN(request->header.nlmsg_len) + RTA_LENGTH(len));
}

// One question to the kernel, one answer. 0 or a negative errno.
static int
ask(struct request *request, struct answer *answer)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    const struct nlmsghdr *header = (void *)answer->bytes;
    ssize_t n = 0;
    int error = 0;

    if (fd < 0)
        return -errno;
    request->header.nlmsg_flags = NLM_F_REQUEST;
    if (send(fd, request, request->header.nlmsg_len, 0) < 0 ||
        (n = recv(fd, answer->bytes, sizeof(answer->bytes), 0)) < 0)
        error = -errno;
    close(fd);
    if (error != 0)
        return error;
    answer->len = (size_t)n;
    if (!NLMSG_OK(header, answer->len))
        return -EPROTO;
    if (header->nlmsg_type == NLMSG_ERROR)
        return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
    return 0;
}

// The attribute `type` behind `skip` bytes of the message, or NULL.
static const struct rtattr *
find(const struct answer *answer, size_t skip, unsigned short type)
{
    const struct nlmsghdr *header = (const void *)answer->bytes;
    const size_t front = NLMSG_HDRLEN + NLMSG_ALIGN((uint32_t)skip);
    const struct rtattr *at = (const void *)(answer->bytes + front);
    int left = (int)header->nlmsg_len - (int)front;

    for (; RTA_OK(at, left); at = RTA_NEXT(at, left))
        if ((at->rta_type & NLA_TYPE_MASK) == type)
            return at;
    return NULL;
}

// What is in it, if that is `len` bytes or more.
static const void *
attribute(const struct answer *answer, size_t skip, unsigned short type, size_t len)
{
    const struct rtattr *at = find(answer, skip, type);

    return at != NULL && RTA_PAYLOAD(at) >= len ? RTA_DATA(at) : NULL;
}

// Whether the link's kind is one that stays on this machine.
static bool
is_virtual(const struct answer *answer)
{
    const struct rtattr *info = find(answer, sizeof(struct ifinfomsg), IFLA_LINKINFO);
    const struct rtattr *at;
    int left;

    if (info == NULL)
        return false;
    left = (int)RTA_PAYLOAD(info);
    for (at = RTA_DATA(info); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
        const char *kind = RTA_DATA(at);
        size_t len = RTA_PAYLOAD(at); // with the terminator, on some kernels

        if (at->rta_type == IFLA_INFO_KIND && len >= 4)
            return (strnlen(kind, len) == 4 && memcmp(kind, "veth", 4) == 0) ||
                   (strnlen(kind, len) == 5 && memcmp(kind, "dummy", 5) == 0);
    }
    return false;
}

// ---- the rules

// RFC 6890's blocks that are nobody's on the internet: loopback, private, link-local, unique local,
// benchmarking, documentation.
static bool
is_private(const struct route *route)
{
    static const struct {
        uint8_t version, bits, address[16];
    } blocks[] = {
        {4, 8, {127}},
        {4, 8, {10}},
        {4, 12, {172, 16}},
        {4, 16, {192, 168}},
        {4, 16, {169, 254}},
        {4, 15, {198, 18}},
        {4, 24, {192, 0, 2}},
        {4, 24, {198, 51, 100}},
        {4, 24, {203, 0, 113}},
        {6, 128, {[15] = 1}},
        {6, 7, {0xfc}},
        {6, 10, {0xfe, 0x80}},
        {6, 32, {0x20, 0x01, 0x0d, 0xb8}},
    };

    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        unsigned bits = blocks[i].bits;
        uint8_t mask = (uint8_t)(0xff00 >> bits % 8);

        if (blocks[i].version == route->version &&
            memcmp(blocks[i].address, route->target, bits / 8) == 0 &&
            (bits % 8 == 0 ||
             ((blocks[i].address[bits / 8] ^ route->target[bits / 8]) & mask) == 0))
            return true;
    }
    return false;
}

static enum exit_code
refuse(const struct route *route, const char *why)
{
    say("--target %s: %s. This program sends to the machine itself, and to private addresses "
        "directly on a veth, dummy or loopback interface; make such a link with: unshare -rn, then "
        "ip link add test0 type veth peer name test1",
        address_of(route, route->target), why);
    return EXIT_INTERFACE;
}

static enum exit_code
look_at_link(struct route *route, bool *virtual)
{
    struct request request = {
        .header.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
        .header.nlmsg_type = RTM_GETLINK,
        .u.link.ifi_index = (int)route->ifindex,
    };
    static struct answer answer;
    const struct ifinfomsg *link = (const void *)(answer.bytes + NLMSG_HDRLEN);
    const size_t skip = sizeof(*link);
    const uint8_t *address;
    const uint32_t *mtu;
    int error = ask(&request, &answer);

    *virtual = false;
    if (error != 0) {
        say("interface %u: %s", route->ifindex, strerror(-error));
        return EXIT_INTERFACE;
    }
    if (if_indextoname(route->ifindex, route->ifname) == NULL)
        snprintf(route->ifname, sizeof(route->ifname), "%u", route->ifindex);
    if ((link->ifi_flags & IFF_UP) == 0) {
        say("%s is down; bring it up: ip link set %s up", route->ifname, route->ifname);
        return EXIT_INTERFACE;
    }
    route->loopback = (link->ifi_flags & IFF_LOOPBACK) != 0;
    route->no_arp = (link->ifi_flags & (IFF_NOARP | IFF_LOOPBACK)) != 0;
    address = attribute(&answer, skip, IFLA_ADDRESS, 6);
    if (address != NULL)
        memcpy(route->from, address, 6);
    mtu = attribute(&answer, skip, IFLA_MTU, sizeof(*mtu));
    route->mtu = mtu != NULL ? *mtu : 1500;
    *virtual = route->loopback || is_virtual(&answer);
    return EXIT_DONE;
}

enum exit_code
route_find(struct route *route, const char *ifname)
{
    struct request request = {
        .header.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
        .header.nlmsg_type = RTM_GETROUTE,
        .u.route.rtm_family = (unsigned char)family(route),
        .u.route.rtm_dst_len = (unsigned char)(address_len(route) * 8),
    };
    static struct answer answer;
    const struct rtmsg *found = (const void *)(answer.bytes + NLMSG_HDRLEN);
    const uint32_t *out;
    const void *source;
    enum exit_code code;
    bool virtual;
    char why[128];
    int error;

    attach(&request, RTA_DST, route->target, address_len(route));
    if (ifname != NULL) {
        uint32_t index = if_nametoindex(ifname);

        if (index == 0) {
            say("--iface %s: %s; ip link shows what there is", printable(ifname), strerror(errno));
            return EXIT_INTERFACE;
        }
        attach(&request, RTA_OIF, &index, sizeof(index));
    }
    error = ask(&request, &answer);
    if (error != 0) {
        say("--target %s: %s; ip route shows what can be reached%s%s",
            address_of(route, route->target), strerror(-error), ifname != NULL ? " on " : "",
            ifname != NULL ? ifname : "");
        return EXIT_INTERFACE;
    }
    if (found->rtm_type != RTN_UNICAST && found->rtm_type != RTN_LOCAL)
        return refuse(route, "this is no address of one host");
    if (attribute(&answer, sizeof(*found), RTA_GATEWAY, 0) != NULL ||
        attribute(&answer, sizeof(*found), RTA_VIA, 0) != NULL)
        return refuse(route, "that is behind a router");
    out = attribute(&answer, sizeof(*found), RTA_OIF, sizeof(*out));
    if (out == NULL)
        return refuse(route, "no interface leads there");
    route->ifindex = *out;
    source = attribute(&answer, sizeof(*found), RTA_PREFSRC, address_len(route));
    if (source == NULL) {
        say("--target %s: no address to send from; ip addr add ADDRESS dev INTERFACE gives one",
            address_of(route, route->target));
        return EXIT_INTERFACE;
    }
    memcpy(route->source, source, address_len(route));
    code = look_at_link(route, &virtual);
    if (code != EXIT_DONE)
        return code;
    // lo takes everything: what is sent there stays here, whatever its address.
    if (route->loopback)
        return EXIT_DONE;
    snprintf(why, sizeof(why), "%s leads there, which is no veth, dummy or loopback interface",
             route->ifname);
    if (!virtual)
        return refuse(route, why);
    return is_private(route) ? EXIT_DONE : refuse(route, "that is no private address");
}

// ---- the neighbour

// Makes the kernel ask: it does so for whoever sends there. Port 9 discards.
static void
probe(const struct route *route)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } to = {0};
    int fd = socket(family(route), SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        return;
    to.any.sa_family = (sa_family_t)family(route);
    if (route->version == 4) {
        to.in4.sin_port = htons(9);
        memcpy(&to.in4.sin_addr, route->target, 4);
    } else {
        to.in6.sin6_port = htons(9);
        to.in6.sin6_scope_id = route->ifindex;
        memcpy(&to.in6.sin6_addr, route->target, 16);
    }
    setsockopt(fd, SOL_SOCKET, SO_DONTROUTE, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, route->ifname, (socklen_t)strlen(route->ifname));
    // It fails where nobody is there, which is found out below.
    if (sendto(fd, "", 0, 0, &to.any, route->version == 4 ? sizeof(to.in4) : sizeof(to.in6)) < 0)
        errno = 0;
    close(fd);
}

enum exit_code
route_resolve(struct route *route)
{
    static struct answer answer;
    const struct ndmsg *found = (const void *)(answer.bytes + NLMSG_HDRLEN);
    const double until = now_seconds() + 1;

    if (route->no_arp)
        return EXIT_DONE; // all zeroes will do
    for (probe(route); now_seconds() < until && !stop_requested;) {
        struct request request = {
            .header.nlmsg_len = NLMSG_LENGTH(sizeof(struct ndmsg)),
            .header.nlmsg_type = RTM_GETNEIGH,
            .u.neighbour.ndm_family = (unsigned char)family(route),
            .u.neighbour.ndm_ifindex = (int)route->ifindex,
        };
        const struct timespec pause = {.tv_nsec = 5000000};
        const void *address = NULL;

        attach(&request, NDA_DST, route->target, address_len(route));
        if (ask(&request, &answer) == 0 && (found->ndm_state & (NUD_INCOMPLETE | NUD_FAILED)) == 0)
            address = attribute(&answer, sizeof(*found), NDA_LLADDR, 6);
        if (address != NULL) {
            memcpy(route->to, address, 6);
            return EXIT_DONE;
        }
        nanosleep(&pause, NULL);
    }
    say("--target %s: nobody answers for it on %s: is the host there up, with this address?",
        address_of(route, route->target), route->ifname);
    return EXIT_UNREACHABLE;
}
