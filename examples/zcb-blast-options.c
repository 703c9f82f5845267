// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "zcb-blast.h"

static const char usage[] =
    "usage: zcb-blast --syn | --udp --target ADDRESS[:PORT[-PORT]] [option ...]\n"
    "\n"
    "Sends TCP SYN frames (as raw frames, which needs permission) or UDP datagrams at a given "
    "rate, "
    "to\n"
    "one port or to all of a range in turn. It does so on this machine and on virtual links alone: "
    "to\n"
    "addresses of the machine itself, and to private addresses directly on a veth, dummy or "
    "loopback\n"
    "interface. Everything else is refused.\n"
    "\n"
    "      --target ADDRESS[:PORT[-PORT]]   [::1]:80 for IPv6; port 9 if there is none\n"
    "  -i, --iface NAME       the interface; default: the one that leads there\n"
    "  -r, --rate N           packets per second; 0: as many as possible; default 1000\n"
    "  -c, --count N          end after N packets\n"
    "  -d, --duration SECONDS end after so long; default 10 where there is no --count\n"
    "      --size BYTES       payload of a UDP datagram; default 18\n"
    "      --gso              UDP: many datagrams to one port go through the kernel as one\n"
    "      --source-port N    default 40000\n"
    "  -w, --write FILE       write frames to a capture file, and send nothing: any target will "
    "do; 1000\n"
    "                         of them if there is no --count\n"
    "      --vlan ID          with -w: in a VLAN\n"
    "      --json             the report as one JSON object\n"
    "  -q, --quiet            no progress\n"
    "      --help             this text\n"
    "\n"
    "Exit codes: 0 done, 1 the system refused something, or packets were refused, 2 wrong "
    "arguments,\n"
    "4 the -w file cannot be written, 5 nobody answers for the target, 9 no permission to send "
    "raw\n"
    "frames, 10 the target is not one to send to, 130 stopped by Ctrl-C.\n";

static bool
parse_target(const char *text, struct options *options)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *ports = NULL;
    const char *end = text + strlen(text);
    uint64_t first = 9, last;
    char low[8] = "";
    size_t len;

    if (text[0] == '[') {
        end = strchr(++text, ']');
        if (end != NULL && end[1] == ':')
            ports = end + 2;
        else if (end != NULL && end[1] != '\0')
            end = NULL;
    } else if (strchr(text, ':') == strrchr(text, ':') && strchr(text, ':') != NULL) {
        end = strchr(text, ':');
        ports = end + 1;
    }
    len = end != NULL ? (size_t)(end - text) : sizeof(host);
    if (len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, options->address) == 1)
        options->version = 4;
    else if (inet_pton(AF_INET6, host, options->address) == 1)
        options->version = 6;
    else
        return false;
    last = first;
    if (ports != NULL) {
        len = strcspn(ports, "-");
        if (len >= sizeof(low))
            return false;
        memcpy(low, ports, len);
        if (!parse_size(low, 1, 65535, &first))
            return false;
        last = first;
        if (ports[len] == '-' && !parse_size(ports + len + 1, first, 65535, &last))
            return false;
    }
    options->first_port = (uint32_t)first;
    options->last_port = (uint32_t)last;
    return true;
}

static bool
defaults(struct options *options)
{
    if (options->write != NULL && options->count == 0)
        options->count = 1000;
    else if (options->count == 0 && options->duration == 0)
        options->duration = 10;
    return true;
}

bool
options_parse(int argc, char **argv, struct options *options, bool *help)
{
    static const struct option names[] = {
        {"syn", no_argument, NULL, 'S'},
        {"udp", no_argument, NULL, 'U'},
        {"target", required_argument, NULL, 't'},
        {"iface", required_argument, NULL, 'i'},
        {"rate", required_argument, NULL, 'r'},
        {"count", required_argument, NULL, 'c'},
        {"duration", required_argument, NULL, 'd'},
        {"size", required_argument, NULL, 's'},
        {"gso", no_argument, NULL, 'g'},
        {"source-port", required_argument, NULL, 'p'},
        {"write", required_argument, NULL, 'w'},
        {"vlan", required_argument, NULL, 'v'},
        {"json", no_argument, NULL, 'j'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    uint64_t size = 18, source_port = 40000, vlan = 0;
    bool syn = false, udp = false, size_given = false;
    int option, which = -1;

    *options = (struct options){.rate = 1000, .shape.vlan = -1};
    *help = false;
    while ((option = getopt_long(argc, argv, "i:r:c:d:w:qh", names, &which)) >= 0) {
        const char *wrong = NULL;

        switch (option) {
        case 'S':
            syn = true;
            break;
        case 'U':
            udp = true;
            break;
        case 't':
            options->target = optarg;
            if (!parse_target(optarg, options))
                wrong = "--target";
            break;
        case 'i':
            options->iface = optarg;
            break;
        case 'r':
            if (!parse_size(optarg, 0, 1000000000, &options->rate))
                wrong = "--rate";
            break;
        case 'c':
            if (!parse_size(optarg, 1, 1ull << 48, &options->count))
                wrong = "--count";
            break;
        case 'd':
            if (!parse_size(optarg, 1, 86400, &options->duration))
                wrong = "--duration";
            break;
        case 's':
            size_given = true;
            if (!parse_size(optarg, 0, 65507, &size))
                wrong = "--size";
            break;
        case 'g':
            options->gso = true;
            break;
        case 'p':
            if (!parse_size(optarg, 1, 65535, &source_port))
                wrong = "--source-port";
            break;
        case 'w':
            options->write = optarg;
            break;
        case 'v':
            if (!parse_size(optarg, 0, 4095, &vlan))
                wrong = "--vlan";
            options->shape.vlan = (int)vlan;
            break;
        case 'j':
            options->json = true;
            break;
        case 'q':
            options->quiet = true;
            break;
        case 'h':
            fputs(usage, stdout);
            *help = true;
            return true;
        default:
            fputs("Try --help.\n", stderr);
            return false;
        }
        if (wrong != NULL) {
            say("%s %s: %s; try --help", wrong, printable(optarg),
                option == 't' ? "give it as 127.0.0.1:80, 10.0.0.2:1-1000 or [::1]:80"
                              : "is no number in its range");
            return false;
        }
    }
    options->shape.tcp = syn;
    options->shape.payload = syn ? 0 : (uint32_t)size;
    options->shape.source_port = (uint16_t)source_port;
    if (optind != argc)
        say("%s: is no option; try --help", printable(argv[optind]));
    else if (syn == udp)
        say("give one of --syn and --udp");
    else if (options->target == NULL)
        say("give a --target, such as 127.0.0.1:9");
    else if (syn && (options->gso || size_given))
        say("--%s is for --udp", options->gso ? "gso" : "size");
    else if (options->shape.vlan >= 0 && options->write == NULL)
        say("--vlan goes with -w; to send in a VLAN, make such an interface on the veth");
    else
        return defaults(options);
    return false;
}
