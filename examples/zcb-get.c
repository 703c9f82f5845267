// SPDX-License-Identifier: MIT
//
// zcb-get: downloads a torrent from peers that are named on the command line.
//
// Options, progress and the report are here; download.c has the work.
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <zcbuf/copies.h>

#include "count_alloc.h"
#include "download.h"

static const char usage[] =
    "usage: zcb-get FILE.torrent --peer HOST:PORT [--peer HOST:PORT ...] --out DIR [option ...]\n"
    "\n"
    "Downloads the torrent (version 1 or hybrid, one file or many) into DIR, from all these peers "
    "at\n"
    "once. What is in DIR already is checked and used, so a download that was interrupted, in\n"
    "whatever way, goes on when the same command is given again.\n"
    "\n"
    "  --peer HOST:PORT   a peer; [::1]:6881 for IPv6. Up to 256 of them\n"
    "  --out DIR          where the file or folder of the torrent goes; made, with those above it, "
    "if it\n"
    "                     is not there\n"
    "  --direct           receive straight into the pieces: nothing is copied at all\n"
    "  --pipeline N       blocks to have asked each peer for at a time, 1 to 4096; default 256\n"
    "  --timeout SECONDS  drop a peer that sends nothing useful for so long; default 30\n"
    "  --retries N        how often to try a peer again that cannot be reached or has closed the\n"
    "                     connection, waiting 0.5 s, 1 s, 2 s ... in between; default 3\n"
    "  --json             the report as one JSON object on standard output\n"
    "  --quiet            no progress\n"
    "  --help             this text\n"
    "\n"
    "Exit codes:\n"
    "    0  all of it is there, and every hash is right\n"
    "    1  out of memory, or the system refused something\n"
    "    2  wrong arguments\n"
    "    3  the torrent cannot be read or is not valid\n"
    "    4  files: the disk is full, no permission, something else is in the way\n"
    "    5  no peer could be reached\n"
    "    6  peers broke the protocol or sent wrong data, and none other is left\n"
    "    7  peers went away, fell silent or lack pieces, and none other is left\n"
    "  130  stopped by Ctrl-C or SIGTERM\n"
    "After 4 to 130 everything that was finished is kept.\n";

static struct {
    double begun, cpu_begun, resume_seconds;
    double line_at; // when the last line was printed
    uint64_t line_bytes;
    bool terminal, quiet, drawn;
} ui;

// ---- progress

static double
mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void
draw(const struct download *d, double speed)
{
    double part = d->total_bytes == 0 ? 1 : (double)d->done_bytes / (double)d->total_bytes;
    uint64_t left = d->total_bytes - d->done_bytes;
    char bar[128], text[160];
    struct winsize size = {0};
    int columns = 80, width, n;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        columns = size.ws_col;
    n = snprintf(text, sizeof(text), " %5.1f %%  %.1f/%.1f MiB  %.0f MiB/s  %u peer%s", part * 100,
                 mib(d->done_bytes), mib(d->total_bytes), speed, d->peers_open,
                 d->peers_open == 1 ? "" : "s");
    if (speed > 0.01 && n > 0 && (size_t)n < sizeof(text)) {
        unsigned long seconds = (unsigned long)(mib(left) / speed + 0.5);

        n += snprintf(text + n, sizeof(text) - (size_t)n, "  %lu:%02lu left", seconds / 60,
                      seconds % 60);
    }
    width = columns - n - 2 - 4; // brackets, and room for the terminal's ^C
    width = width > 60 ? 60 : width;
    if (width < 5) {
        fprintf(stderr, "\r%.*s\033[K", columns - 1, text + 1);
    } else {
        memset(bar, '#', sizeof(bar));
        memset(bar + (int)(part * width), '.', sizeof(bar) - (size_t)(part * width));
        fprintf(stderr, "\r[%.*s]%s\033[K", width, bar, text);
    }
    ui.drawn = true;
}

// On a terminal a bar, ten times a second; elsewhere a line every two seconds.
static void
progress(const struct download *d)
{
    static double shown_at, speed;
    static uint64_t shown_bytes;
    double now = now_seconds();

    if (ui.quiet)
        return;
    if (ui.terminal) {
        if (now - shown_at > 0.05 && shown_at > 0) {
            double present = mib(d->done_bytes - shown_bytes) / (now - shown_at);

            speed = speed == 0 ? present : speed * 0.8 + present * 0.2; // eyes want it steady
        }
        shown_at = now;
        shown_bytes = d->done_bytes;
        draw(d, speed);
    } else if (now - ui.line_at >= 2) {
        say("%.1f %%, %.1f of %.1f MiB, %.0f MiB/s, %u peers",
            d->total_bytes == 0 ? 100 : 100 * (double)d->done_bytes / (double)d->total_bytes,
            mib(d->done_bytes), mib(d->total_bytes),
            mib(d->done_bytes - ui.line_bytes) / (now - ui.line_at), d->peers_open);
        ui.line_at = now;
        ui.line_bytes = d->done_bytes;
    }
}

static void
end_progress(const struct download *d)
{
    if (!ui.drawn)
        return;
    draw(d, 0);
    fputc('\n', stderr);
    ui.drawn = false;
}

// ---- report

struct figures {
    double seconds, cpu, gib, per_byte;
    uint64_t received;
    struct zcb_copies copies;
};

static struct figures
figures(const struct download *d)
{
    struct figures f = {0};

    f.seconds = now_seconds() - ui.begun;
    f.cpu = cpu_seconds() - ui.cpu_begun;
    f.received = d->wires.payload_bytes;
    f.gib = (double)f.received / (1 << 30);
    zcb_copies_total(&f.copies);
    // What is moved after a wrong guess lands in one of these as well.
    f.per_byte = f.received == 0 ? 0 : (double)zcb_copies_bytes(&f.copies) / (double)f.received;
    return f;
}

static void
print_pool(struct zcb_pool *pool, enum zcb_stats_format format)
{
    fflush(stdout);
    if (pool == NULL || zcb_pool_stats_print(pool, STDOUT_FILENO, format) < 0)
        fputs(format == ZCB_STATS_JSON ? "null\n" : "(no statistics)\n", stdout);
}

static void
report_text(const struct download *d)
{
    struct figures f = figures(d);

    printf("downloaded:              %.1f MiB in %.2f s, %.0f MB/s", mib(f.received), f.seconds,
           f.seconds > 0 ? (double)f.received / 1e6 / f.seconds : 0);
    if (d->resumed_bytes != 0)
        printf(" (%.1f MiB were there, checked in %.2f s)", mib(d->resumed_bytes),
               ui.resume_seconds);
    printf("\nprocessor time:          %.3f s", f.cpu);
    if (f.received != 0)
        printf(", %.2f s per GiB", f.cpu / f.gib);
    printf("\ncopied per payload byte: %.4f", f.per_byte);
    for (int i = 0; i < ZCB_COPY_REASON_COUNT; i++)
        if (f.copies.bytes[i] != 0)
            printf("  %s %.1f MiB", zcb_copy_reason_name((enum zcb_copy_reason)i),
                   mib(f.copies.bytes[i]));
    printf("\nallocations, warmed up:  ");
    if (!count_alloc_works() || d->steady_pieces == 0)
        printf("%s", d->steady_pieces == 0 ? "not measured, too few pieces" : "not counted here");
    else
        printf("%llu for %u pieces (%.2f each), and %llu inside OpenSSL",
               (unsigned long long)d->steady_allocs, d->steady_pieces,
               (double)d->steady_allocs / d->steady_pieces, (unsigned long long)d->steady_openssl);
    printf("\nsystem calls:            %llu reads of %.0f KiB, %llu waits\n",
           (unsigned long long)d->reads,
           d->reads == 0 ? 0 : (double)d->wires.bytes / 1024 / (double)d->reads,
           (unsigned long long)d->waits);
    printf("pieces:                  %u of %u, %u came with a wrong hash\n", d->pieces_done,
           d->meta->pieces, d->hash_failures);
    for (uint32_t i = 0; i < d->peer_count; i++)
        printf("peer %-19s %.1f MiB\n", d->peers[i].name, mib(d->peers[i].payload_bytes));
    print_pool(d->receive_pool, ZCB_STATS_TEXT);
    print_pool(d->piece_pool, ZCB_STATS_TEXT);
}

static void
json_string(const char *text)
{
    putchar('"');
    while (*text != '\0') {
        size_t len = utf8_length(text);

        if (len == 0)
            fputs("\\ufffd", stdout); // JSON is UTF-8, names of files may be anything
        else if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if (len == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f))
            printf("\\u%04x", (unsigned)*text);
        else
            fwrite(text, 1, len, stdout);
        text += len == 0 ? 1 : len;
    }
    putchar('"');
}

static void
report_json(const struct download *d, enum exit_code code)
{
    struct figures f = figures(d);

    fputs("{\"name\":", stdout);
    json_string(d->meta->name);
    printf(",\"exit_code\":%d,\"total_bytes\":%llu,\"done_bytes\":%llu,\"resumed_bytes\":%llu",
           code, (unsigned long long)d->total_bytes, (unsigned long long)d->done_bytes,
           (unsigned long long)d->resumed_bytes);
    printf(",\"payload_bytes\":%llu,\"direct_bytes\":%llu,\"seconds\":%.4f,\"resume_seconds\":%.4f",
           (unsigned long long)f.received, (unsigned long long)d->wires.direct_bytes, f.seconds,
           ui.resume_seconds);
    printf(",\"cpu_seconds\":%.4f,\"cpu_seconds_per_gib\":%.4f", f.cpu,
           f.received == 0 ? 0 : f.cpu / f.gib);
    printf(",\"pieces\":%u,\"pieces_done\":%u,\"hash_failures\":%u", d->meta->pieces,
           d->pieces_done, d->hash_failures);
    printf(",\"reads\":%llu,\"waits\":%llu", (unsigned long long)d->reads,
           (unsigned long long)d->waits);
    if (count_alloc_works() && d->steady_pieces != 0)
        printf(",\"steady_allocations\":%llu,\"steady_openssl_allocations\":%llu",
               (unsigned long long)d->steady_allocs, (unsigned long long)d->steady_openssl);
    else
        fputs(",\"steady_allocations\":null,\"steady_openssl_allocations\":null", stdout);
    printf(",\"steady_pieces\":%u", d->steady_pieces);
    printf(",\"copied_per_payload_byte\":%.6f,\"copied\":{", f.per_byte);
    for (int i = 0; i < ZCB_COPY_REASON_COUNT; i++)
        printf("%s\"%s\":%llu", i == 0 ? "" : ",", zcb_copy_reason_name((enum zcb_copy_reason)i),
               (unsigned long long)f.copies.bytes[i]);
    printf("},\"wires\":{");
#define FIELD(name, gauge, help) printf("\"%s\":%llu,", #name, (unsigned long long)d->wires.name);
    ZCB_TORRENT_WIRE_STATS(FIELD)
#undef FIELD
    printf("\"count\":%u},\"peers\":[", d->peer_count);
    for (uint32_t i = 0; i < d->peer_count; i++) {
        const struct peer *p = &d->peers[i];

        printf("%s{\"address\":", i == 0 ? "" : ",");
        json_string(p->name);
        printf(",\"payload_bytes\":%llu,\"dropped\":%s}", (unsigned long long)p->payload_bytes,
               p->state == PEER_DEAD ? "true" : "false");
    }
    printf("],\"pools\":[");
    print_pool(d->receive_pool, ZCB_STATS_JSON);
    putchar(',');
    print_pool(d->piece_pool, ZCB_STATS_JSON);
    puts("]}");
}

// ---- the program

// What went wrong, and what can be done about it.
static void
advise(const struct download *d, const char *out, enum exit_code code)
{
    uint32_t missing = d->meta->pieces - d->pieces_done;

    switch (code) {
    case EXIT_STORAGE:
        say("%s", printable(d->storage->why));
        if (d->storage->error == ENOSPC || d->storage->error == EDQUOT)
            say("make room in %s, then run the same command again; what is there is kept",
                printable(out));
        else if (d->storage->error == EEXIST)
            say("move it away, or give another folder with --out");
        else
            say("put that right, then run the same command again; what is there is kept");
        break;
    case EXIT_UNREACHABLE:
        say("no peer could be reached: check the addresses, and that a peer is running there");
        break;
    case EXIT_BAD_PEERS:
        say("no peer is left that sends what this torrent says, and %u of %u pieces are missing: "
            "run "
            "the command again with other peers; what is there is kept",
            missing, d->meta->pieces);
        break;
    case EXIT_GONE:
        say("no peer is left, and %u of %u pieces are missing: run the command again when one is "
            "back, "
            "or with other peers; what is there is kept",
            missing, d->meta->pieces);
        break;
    case EXIT_STOPPED:
        say("stopped at %u of %u pieces; the same command goes on from there", d->pieces_done,
            d->meta->pieces);
        break;
    default:
        break;
    }
}

static bool
add_peer(struct download *d, const char *text)
{
    char why[256];
    struct peer *p;

    if (d->peer_count == 256) {
        say("more than 256 peers");
        return false;
    }
    p = realloc(d->peers, (d->peer_count + 1) * sizeof(*p));
    if (p == NULL) {
        say("out of memory");
        return false;
    }
    d->peers = p;
    p += d->peer_count;
    memset(p, 0, sizeof(*p));
    p->fd = -1;
    p->number = d->peer_count;
    if (!parse_address(text, &p->address, &p->address_len, why)) {
        say("--peer %s: %s; give it as 127.0.0.1:6881", printable(text), why);
        return false;
    }
    // The port is at the same place for IPv4 and IPv6.
    if (((struct sockaddr_in *)&p->address)->sin_port == 0) {
        say("--peer %s: no peer can be at port 0", printable(text));
        return false;
    }
    d->peer_count++;
    snprintf(p->name, sizeof(p->name), "%s", address_text((struct sockaddr *)&p->address));
    return true;
}

static enum exit_code
download(struct download *d, const char *out)
{
    enum exit_code code = EXIT_STORAGE;
    bool existed = false;

    d->total_bytes = d->meta->total;
    ui.line_at = ui.begun = now_seconds();
    ui.cpu_begun = cpu_seconds();
    if (!storage_open(d->storage, d->meta, out, true) || !storage_prepare(d->storage, &existed))
        return EXIT_STORAGE;
    if (d->meta->total == 0)
        return EXIT_DONE; // empty files, made above
    code = download_init(d);
    if (code == EXIT_DONE && existed) {
        double from = now_seconds();

        code = download_resume(d);
        ui.resume_seconds = now_seconds() - from;
        ui.line_bytes = d->resumed_bytes;
        if (code == EXIT_DONE && d->resumed_bytes != 0)
            say("%u of %u pieces are there already", d->pieces_done, d->meta->pieces);
    }
    if (code == EXIT_DONE) {
        ui.begun = now_seconds(); // speeds are of the download alone
        ui.cpu_begun = cpu_seconds();
        code = download_run(d);
        end_progress(d);
    }
    return code;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"peer", required_argument, NULL, 'p'},    {"out", required_argument, NULL, 'o'},
        {"direct", no_argument, NULL, 'd'},        {"pipeline", required_argument, NULL, 'n'},
        {"timeout", required_argument, NULL, 't'}, {"retries", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},          {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},          {0},
    };
    struct metainfo meta = {0};
    struct storage storage = {.root = -1};
    struct download d = {
        .meta = &meta,
        .storage = &storage,
        .epoll = -1,
        .progress = progress,
        .trial.piece = UINT32_MAX,
    };
    uint64_t pipeline = 256, timeout = 30, retries = 3;
    const char *out = NULL;
    char why[256];
    enum exit_code code;
    bool json = false;
    int option, which = 0;

    standard_descriptors();
    program_name = "zcb-get";
    count_alloc_watch_openssl();
    while ((option = getopt_long(argc, argv, "h", options, &which)) >= 0) {
        bool good = true;

        switch (option) {
        case 'p':
            good = add_peer(&d, optarg);
            break;
        case 'o':
            out = optarg;
            good = out[0] != '\0';
            break;
        case 'd':
            d.direct = true;
            break;
        case 'j':
            json = true;
            break;
        case 'q':
            ui.quiet = true;
            break;
        case 'n':
            good = parse_size(optarg, 1, 4096, &pipeline);
            break;
        case 't':
            good = parse_size(optarg, 1, 86400, &timeout);
            break;
        case 'r':
            good = parse_size(optarg, 0, 100, &retries);
            break;
        case 'h':
            fputs(usage, stdout);
            free(d.peers);
            return (int)finish_output(EXIT_DONE);
        default:
            fputs("Try --help.\n", stderr);
            free(d.peers);
            return EXIT_USAGE;
        }
        if (!good) {
            if (option == 'o')
                say("--out: the name of the folder is empty; \".\" is the one you are in");
            else if (option != 'p')
                say("--%s %s: is no number in its range; try --help", options[which].name,
                    printable(optarg));
            free(d.peers);
            return EXIT_USAGE;
        }
    }
    if (argc - optind != 1 || out == NULL || d.peer_count == 0) {
        say("%s; try --help", argc - optind != 1 ? "give one .torrent file"
                              : out == NULL      ? "give a folder with --out"
                                                 : "give at least one --peer HOST:PORT");
        free(d.peers);
        return EXIT_USAGE;
    }
    if (!metainfo_load(argv[optind], &meta, why, sizeof(why))) {
        say("%s: %s; get the .torrent again from where it came from", printable(argv[optind]),
            printable(why));
        free(d.peers);
        return EXIT_TORRENT;
    }
    ui.terminal = isatty(STDERR_FILENO) == 1;
    d.pipeline = (uint32_t)pipeline;
    d.timeout_ms = timeout * 1000;
    d.retries = (uint32_t)retries;
    signals_init();

    code = download(&d, out);
    advise(&d, out, code);
    if (json)
        report_json(&d, code);
    else if (code == EXIT_DONE)
        report_text(&d);
    code = finish_output(code);
    download_finish(&d);
    storage_close(&storage);
    metainfo_free(&meta);
    free(d.peers);
    return (int)code;
}
