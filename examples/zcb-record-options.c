// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zcb-record.h"

static const char usage[] =
    "usage: zcb-record [-o FILE] [option ...]\n"
    "\n"
    "Records sound into a WAV file, shows its level, and passes it on to other programs, all at "
    "the\n"
    "same time. Ctrl-C ends it.\n"
    "\n"
    "  -o, --output FILE      what to write; - is standard output. What is there is overwritten.\n"
    "                         Without it nothing is written\n"
    "  -d, --device NAME      what to record from; --list shows what there is. Also --source\n"
    "  -b, --backend NAME     auto (the first that is there), or one of: %s\n"
    "  -r, --rate HZ          frames a second      } default: what the device has\n"
    "  -c, --channels N       at most 256          }\n"
    "  -f, --format FORMAT    s16, s24, s32 or f32 }\n"
    "  -t, --duration SECONDS end after so long, counted in frames\n"
    "  -n, --frames N         end after so many frames\n"
    "      --serve ADDRESS    let programs on this machine listen: 127.0.0.1:PORT, or unix:PATH\n"
    "                         for a Unix socket; can be given 8 times. With ,oldest ,skip or "
    ",hold\n"
    "                         behind it: what one who is too slow loses; default oldest\n"
    "      --clients N        how many may listen at a time; default 8, at most 48\n"
    "      --packet MS        length of a packet; default 10, at most 1000\n"
    "      --full POLICY      what is lost when no memory is left: newest (default), oldest, or\n"
    "                         overwrite (all that waits)\n"
    "      --timeout SECONDS  end when the device has been silent for so long; default 10, 0: "
    "never\n"
    "      --tone HZ          record a sine from the built-in generator; or --tone ramp: numbers\n"
    "      --rf64-above BYTES length from which the file is RF64; default 4294967295\n"
    "      --list             show the devices of the backend\n"
    "      --json             the figures at the end as a JSON object, on standard output\n"
    "  -q, --quiet            no levels, and no figures at the end but with --json\n"
    "      --help             this text\n"
    "\n"
    "Exit codes: 0 done, 1 the system refused something, 2 wrong arguments, 4 the file cannot be\n"
    "written, 5 no sound server, 7 the device has gone or is silent, 10 no such device,\n"
    "130 interrupted before --duration or --frames were reached.\n";

// Digits alone: the K of a size is 1024, and who writes -r 48k does not mean 49152.
static bool
number_option(const char *name, const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    if (text[strspn(text, "0123456789")] == '\0' && parse_size(text, low, high, out))
        return true;
    say("%s %s: is no number from %llu to %llu; try --help", name, printable(text),
        (unsigned long long)low, (unsigned long long)high);
    return false;
}

static bool
duration_option(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    if (end != text && *end == '\0' && isfinite(*out) && *out > 0 && *out <= 1e9)
        return true;
    say("--duration %s: is no number of seconds; try --help", printable(text));
    return false;
}

// The place of `text` among `names`, which a NULL ends; -1, after a message.
static int
word_option(const char *name, const char *text, const char *const names[])
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    say("%s %s: is not known; try --help", name, printable(text));
    return -1;
}

static bool
format_option(const char *text, uint8_t *out)
{
    static const char *const names[] = {"s16", "s24", "s32", "f32", NULL};
    static const uint8_t values[] = {ZCB_AUDIO_S16, ZCB_AUDIO_S24, ZCB_AUDIO_S32, ZCB_AUDIO_F32};
    int i = word_option("--format", text, names);

    if (i >= 0)
        *out = values[i];
    return i >= 0;
}

static bool
full_option(const char *text, enum zcb_audio_full *out)
{
    static const char *const names[] = {"newest", "oldest", "overwrite", NULL};
    static const enum zcb_audio_full values[] = {ZCB_AUDIO_DROP_NEWEST, ZCB_AUDIO_DROP_OLDEST,
                                                 ZCB_AUDIO_OVERWRITE};
    int i = word_option("--full", text, names);

    if (i >= 0)
        *out = values[i];
    return i >= 0;
}

// Cuts the policy off `text`, if there is one.
static bool
serve_option(char *text, struct options *options)
{
    static const char *const names[] = {"oldest", "skip", "hold", NULL};
    static const enum zcb_audio_lag values[] = {ZCB_AUDIO_LAG_DROP_OLDEST, ZCB_AUDIO_LAG_SKIP,
                                                ZCB_AUDIO_LAG_HOLD};
    struct address *address = &options->serve[options->addresses];
    char *comma = strrchr(text, ',');

    if (options->addresses == MAX_ADDRESSES) {
        say("--serve: at most %d times", MAX_ADDRESSES);
        return false;
    }
    address->lag = ZCB_AUDIO_LAG_DROP_OLDEST;
    if (comma != NULL) {
        int i = word_option("--serve ...,", comma + 1, names);

        if (i < 0)
            return false;
        address->lag = values[i];
        *comma = '\0';
    }
    address->text = text;
    options->addresses++;
    return true;
}

// What goes together, and what does not.
static bool
check(struct options *options, bool duration)
{
    const bool tone = options->wish.tone != NULL;

    if (duration && options->frames != 0)
        say("give --duration or --frames, not both");
    else if (tone && strcmp(options->backend, "auto") != 0 && strcmp(options->backend, "tone") != 0)
        say("--tone goes with --backend tone alone");
    else if (options->json && options->output != NULL && strcmp(options->output, "-") == 0)
        say("--json and -o - both want standard output; give one of them another place");
    else if (options->json && options->list)
        say("--json: --list has no JSON; its lines are NAME, a tab, and words");
    else if (!options->list && options->output != NULL && strcmp(options->output, "-") == 0 &&
             isatty(STDOUT_FILENO))
        say("-o -: standard output is a terminal; let it go into a file or a pipe");
    else if (options->wish.device != NULL && options->wish.device[0] == '\0')
        say("--device: is empty; --list shows what there is");
    else if (options->output != NULL && options->output[0] == '\0')
        say("--output: is empty");
    else {
        if (tone)
            options->backend = "tone";
        else
            options->wish.tone = "440";
        return true;
    }
    return false;
}

bool
options_parse(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"output", required_argument, NULL, 'o'},
        {"device", required_argument, NULL, 'd'},
        {"source", required_argument, NULL, 'd'},
        {"backend", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},
        {"channels", required_argument, NULL, 'c'},
        {"format", required_argument, NULL, 'f'},
        {"duration", required_argument, NULL, 't'},
        {"frames", required_argument, NULL, 'n'},
        {"serve", required_argument, NULL, 'S'},
        {"clients", required_argument, NULL, 'C'},
        {"packet", required_argument, NULL, 'P'},
        {"full", required_argument, NULL, 'F'},
        {"timeout", required_argument, NULL, 'T'},
        {"tone", required_argument, NULL, 'N'},
        {"rf64-above", required_argument, NULL, 'R'},
        {"list", no_argument, NULL, 'L'},
        {"json", no_argument, NULL, 'j'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct zcb_audio_format *format = &options->wish.format;
    uint64_t value = 0;
    bool good = true, duration = false;
    int option;

    *options = (struct options){
        .backend = "auto", .clients = 8, .timeout_s = 10, .rf64_above = WAV_RIFF_MAX};
    options->wish.packet_ms = 10;

    while (good && (option = getopt_long(argc, argv, "o:d:b:r:c:f:t:n:qh", names, NULL)) >= 0) {
        switch (option) {
        case 'o':
            options->output = optarg;
            break;
        case 'd':
            options->wish.device = optarg;
            break;
        case 'b':
            options->backend = optarg;
            break;
        case 'r':
            good = number_option("--rate", optarg, 1, ZCB_AUDIO_MAX_RATE, &value);
            format->rate = (uint32_t)value;
            break;
        case 'c':
            good = number_option("--channels", optarg, 1, MAX_CHANNELS, &value);
            format->channels = (uint16_t)value;
            break;
        case 'f':
            good = format_option(optarg, &format->sample);
            break;
        case 't':
            duration = true;
            good = duration_option(optarg, &options->duration);
            break;
        case 'n':
            good = number_option("--frames", optarg, 1, UINT64_C(1) << 53, &options->frames);
            break;
        case 'S':
            good = serve_option(optarg, options);
            break;
        case 'C':
            good = number_option("--clients", optarg, 1, MAX_CLIENTS, &options->clients);
            break;
        case 'P':
            good = number_option("--packet", optarg, 1, 1000, &value);
            options->wish.packet_ms = (uint32_t)value;
            break;
        case 'F':
            good = full_option(optarg, &options->full);
            break;
        case 'T':
            good = number_option("--timeout", optarg, 0, 86400, &options->timeout_s);
            break;
        case 'N':
            options->wish.tone = optarg;
            break;
        case 'R':
            good = number_option("--rf64-above", optarg, 0, WAV_RIFF_MAX, &options->rf64_above);
            break;
        case 'L':
            options->list = true;
            break;
        case 'j':
            options->json = true;
            break;
        case 'q':
            options->quiet = true;
            break;
        case 'h':
            printf(usage, backend_names());
            options->help = true;
            return true;
        default:
            fputs("Try --help.\n", stderr);
            return false;
        }
    }
    if (good && optind != argc) {
        say("%s: is no option; the file goes behind -o", printable(argv[optind]));
        return false;
    }
    return good && check(options, duration);
}
