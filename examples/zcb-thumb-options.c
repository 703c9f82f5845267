// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zcb-thumb.h"

#define MAX_JOBS 64

const struct codec *const codecs[] = {
    &codec_jpeg,
#if HAVE_SPNG
    &codec_png,
#endif
#if HAVE_WEBP
    &codec_webp,
#endif
#if HAVE_AVIF
    &codec_avif,
#endif
    NULL,
};

static unsigned long long
llu(uint64_t value)
{
    return value;
}

static const char usage[] =
    "usage: zcb-thumb IMAGE... -o FOLDER --size WxH [option ...]\n"
    "       zcb-thumb IMAGE... --decode [option ...]\n"
    "\n"
    "Makes small images of large ones, within a limit on memory. Proportions stay, nothing is "
    "made\n"
    "larger, a photograph is turned the right way up. One that is broken is reported, and the "
    "others\n"
    "are made.\n"
    "\n"
    "  -o, --output FOLDER    where they go; it is made if it is not there\n"
    "  -s, --size WxH         what they fit in. Several times: several of each image, called\n"
    "                         NAME-WxH\n"
    "  -f, --format FORMAT    jpeg (the default), png, webp\n"
    "  -q, --quality N        of jpeg and webp, 1 to 100; default 80\n"
    "      --filter FILTER    lanczos (the default), or area: softer, faster\n"
    "  -j, --jobs N           images at a time; default: one for each processor, at most 4\n"
    "  -m, --max-mem BYTES    what the program may take in all, such as 512M (the default)\n"
    "      --max-pixels N     refuse images that declare more; default 256M\n"
    "      --lenient          a damaged JPEG file gives an image with gray in it, not an error\n"
    "      --lock             leave out files that another program has locked (flock)\n"
    "      --decode           into memory alone, at full size: to measure\n"
    "      --repeat N         with --decode: each image N times\n"
    "      --fresh            with new memory for each image, to compare with\n"
    "      --json             one JSON object for each image, and one at the end\n"
    "      --quiet            nothing but errors\n"
    "      --help             this text\n"
    "\n"
    "Exit codes: 0 done, 1 the system refused something, 2 wrong arguments, 4 an output cannot be\n"
    "written, 11 an image cannot be read, is damaged, or takes more memory than allowed, 130\n"
    "stopped. 4 and 11: all others were made.\n";

static bool
number_option(const char *name, const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    if (parse_size(text, low, high, out))
        return true;
    say("%s %s: is no number from %llu to %llu; try --help", name, printable(text), llu(low),
        llu(high));
    return false;
}

static bool
size_option(struct options *options, const char *text)
{
    uint64_t width, height;
    const char *cross = strchr(text, 'x');
    char first[16] = "";
    struct size size;

    if (cross != NULL && (size_t)(cross - text) < sizeof(first))
        memcpy(first, text, (size_t)(cross - text));
    if (cross == NULL || strspn(first, "0123456789") != strlen(first) ||
        strspn(cross + 1, "0123456789") != strlen(cross + 1) ||
        !parse_size(first, 1, 65535, &width) || !parse_size(cross + 1, 1, 65535, &height)) {
        say("--size %s: is not WIDTHxHEIGHT, 1 to 65535 each, such as 256x256", printable(text));
        return false;
    }
    size = (struct size){(uint32_t)width, (uint32_t)height};
    for (unsigned i = 0; i < options->size_count; i++) {
        if (options->sizes[i].width == size.width && options->sizes[i].height == size.height) {
            say("--size %s: is there twice", text);
            return false;
        }
    }
    if (options->size_count == MAX_SIZES) {
        say("--size: at most %d", MAX_SIZES);
        return false;
    }
    options->sizes[options->size_count++] = size;
    return true;
}

static bool
format_option(struct options *options, const char *text)
{
    for (const struct codec *const *codec = codecs; *codec != NULL; codec++) {
        if (strcmp((*codec)->name, text) == 0 && (*codec)->write_start != NULL) {
            options->format = *codec;
            return true;
        }
    }
    say("--format %s: cannot be written here; jpeg, png and webp can, where it was built with them",
        printable(text));
    return false;
}

static bool
filter_option(struct options *options, const char *text)
{
    if (strcmp(text, "area") == 0)
        options->filter = FILTER_AREA;
    else if (strcmp(text, "lanczos") == 0)
        options->filter = FILTER_LANCZOS;
    else
        say("--filter %s: is neither lanczos nor area", printable(text));
    return strcmp(text, "area") == 0 || strcmp(text, "lanczos") == 0;
}

static bool
is_complete(const struct options *options)
{
    if (options->count == 0)
        say("no image given; try --help");
    else if (options->decode && (options->folder != NULL || options->size_count != 0))
        say("--decode writes no files: leave out -o and --size");
    else if (!options->decode && options->folder == NULL)
        say("-o FOLDER is missing; try --help");
    else if (!options->decode && options->size_count == 0)
        say("--size WxH is missing; try --help");
    else if (!options->decode && (options->repeat != 1 || options->fresh))
        say("--repeat and --fresh go with --decode");
    else
        return true;
    return false;
}

bool
options_parse(int argc, char **argv, struct options *options, bool *help)
{
    static const struct option names[] = {
        {"output", required_argument, NULL, 'o'},
        {"size", required_argument, NULL, 's'},
        {"format", required_argument, NULL, 'f'},
        {"quality", required_argument, NULL, 'q'},
        {"filter", required_argument, NULL, 'F'},
        {"jobs", required_argument, NULL, 'j'},
        {"max-mem", required_argument, NULL, 'm'},
        {"max-pixels", required_argument, NULL, 'P'},
        {"lenient", no_argument, NULL, 'L'},
        {"lock", no_argument, NULL, 'l'},
        {"decode", no_argument, NULL, 'D'},
        {"repeat", required_argument, NULL, 'R'},
        {"fresh", no_argument, NULL, 'N'},
        {"json", no_argument, NULL, 'J'},
        {"quiet", no_argument, NULL, 'Q'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool good = true;
    int option;

    *options = (struct options){
        .format = &codec_jpeg,
        .filter = FILTER_LANCZOS,
        .quality = 80,
        .max_mem = 512 << 20,
        .max_pixels = 256 << 20,
        .repeat = 1,
    };
    *help = false;
    while (good && (option = getopt_long(argc, argv, "o:s:f:q:j:m:h", names, NULL)) >= 0) {
        switch (option) {
        case 'o':
            options->folder = optarg;
            break;
        case 's':
            good = size_option(options, optarg);
            break;
        case 'f':
            good = format_option(options, optarg);
            break;
        case 'q':
            good = number_option("--quality", optarg, 1, 100, &options->quality);
            break;
        case 'F':
            good = filter_option(options, optarg);
            break;
        case 'j':
            good = number_option("--jobs", optarg, 1, MAX_JOBS, &options->jobs);
            break;
        case 'm':
            good =
                number_option("--max-mem", optarg, 16 << 20, (uint64_t)1 << 40, &options->max_mem);
            break;
        case 'P':
            good =
                number_option("--max-pixels", optarg, 1, (uint64_t)1 << 36, &options->max_pixels);
            break;
        case 'L':
            options->lenient = true;
            break;
        case 'l':
            options->lock = true;
            break;
        case 'D':
            options->decode = true;
            break;
        case 'R':
            good = number_option("--repeat", optarg, 1, 1000000, &options->repeat);
            break;
        case 'N':
            options->fresh = true;
            break;
        case 'J':
            options->json = true;
            break;
        case 'Q':
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
    }
    options->files = argv + optind;
    options->count = (size_t)(argc - optind);
    return good && is_complete(options);
}
