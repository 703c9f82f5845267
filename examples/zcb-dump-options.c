// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <stdio.h>

#include "zcb-dump.h"

#define MAX_WORKERS 64

static unsigned long long
llu(uint64_t value)
{
    return value;
}

static const char usage[] =
    "usage: zcb-dump -i INTERFACE | -r FILE [option ...]\n"
    "\n"
    "Prints a line for each packet of an interface, until it is stopped, or of a capture file "
    "(pcap "
    "or\n"
    "pcapng; - is standard input), and statistics at the end. Names are not looked up.\n"
    "\n"
    "  -i, --interface NAME   what to listen on; ip link shows what there is\n"
    "  -r, --read FILE        what to read\n"
    "  -c, --count N          end after N packets\n"
    "  -s, --snaplen BYTES    take no more of a packet than this; default 262144\n"
    "  -f, --filter FILTER    only what it says, such as 'tcp port 80'; see man pcap-filter\n"
    "  -w, --write FILE       write the packets to a capture file as well\n"
    "  -p, --no-promiscuous   from an interface: only what is addressed to it\n"
    "      --verify           verify checksums\n"
    "      --flows[=N]        a table of at most N conversations at the end; default 65536\n"
    "      --workers N        take packets apart in N threads; at most 64\n"
    "      --json             one JSON object per packet, per flow, and for the statistics\n"
    "  -q, --quiet            no line for each packet\n"
    "      --help             this text\n"
    "\n"
    "Packets go to standard output, statistics to standard error (with --json: standard output).\n"
    "\n"
    "Exit codes: 0 done, 1 the system refused something, or standard "
    "output\n"
    "was closed, 2 wrong arguments, 4 the -w file cannot be written, 7 the interface has gone,\n"
    "8 the -r file cannot be read or is damaged, 9 no permission to listen, 10 no such "
    "interface.\n";

static bool
number_option(const char *name, const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    if (parse_size(text, low, high, out))
        return true;
    say("%s %s: is no number from %llu to %llu; try --help", name, printable(text), llu(low),
        llu(high));
    return false;
}

bool
options_parse(int argc, char **argv, struct options *options, bool *help)
{
    static const struct option names[] = {
        {"interface", required_argument, NULL, 'i'},
        {"read", required_argument, NULL, 'r'},
        {"count", required_argument, NULL, 'c'},
        {"snaplen", required_argument, NULL, 's'},
        {"filter", required_argument, NULL, 'f'},
        {"write", required_argument, NULL, 'w'},
        {"no-promiscuous", no_argument, NULL, 'p'},
        {"verify", no_argument, NULL, 'V'},
        {"flows", optional_argument, NULL, 'F'},
        {"workers", required_argument, NULL, 'W'},
        {"json", no_argument, NULL, 'j'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    uint64_t flows = 65536;
    bool good = true;
    int option;

    *options = (struct options){.snaplen = 262144};
    *help = false;

    while (good && (option = getopt_long(argc, argv, "i:r:c:s:f:w:pqh", names, NULL)) >= 0) {
        switch (option) {
        case 'i':
            options->interface = optarg;
            break;
        case 'r':
            options->path = optarg;
            break;
        case 'c':
            good = number_option("--count", optarg, 1, UINT64_MAX, &options->count);
            break;
        case 's':
            good = number_option("--snaplen", optarg, 1, 262144, &options->snaplen);
            break;
        case 'f':
            options->filter = optarg;
            break;
        case 'w':
            options->write = optarg;
            break;
        case 'p':
            options->selfish = true;
            break;
        case 'V':
            options->view.verify = true;
            break;
        case 'F':
            options->view.flows = true;
            good = optarg == NULL || number_option("--flows", optarg, 1, 1 << 24, &flows);
            break;
        case 'W':
            good = number_option("--workers", optarg, 1, MAX_WORKERS, &options->workers);
            break;
        case 'j':
            options->view.json = true;
            break;
        case 'q':
            options->view.quiet = true;
            break;
        case 'h':
            fputs(usage, stdout);
            *help = true;
            return true;
        default:
            fputs("Try --help.\n", stderr);
            return false;
        }
    }
    options->view.max_flows = (uint32_t)flows;
    if (!good)
        return false;
    if (optind != argc)
        say("%s: is no option; a filter goes behind -f, in quotes", printable(argv[optind]));
    else if ((options->interface != NULL) == (options->path != NULL))
        say("give an interface with -i (ip link shows what there is), or a capture file with -r");
    return optind == argc && (options->interface != NULL) != (options->path != NULL);
}
