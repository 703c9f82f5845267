// SPDX-License-Identifier: MIT
//
// zcb-dump: prints, counts and writes down the packets of an interface or of a capture file.
//
// From an interface, packets are never copied: the kernel writes them into a ring of blocks that it
// shares with this process, and what the parser, the workers, the table of flows and the writer of
// files get are references to them there.
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/filter.h>

#include <zcbuf/adapt/frame_io.h>
#include <zcbuf/pool.h>

#include "pcap_file.h"
#include "zcb-dump.h"

#define DEPTH 4                // batches per worker
#define POOL_BYTES (64u << 20) // for copies of packets that are held too long

static struct options options;

static struct {
    struct tally tally; // of the main thread; in the end of all
    uint64_t seen;      // packets from the ring or the file
    uint64_t skipped;   // by the filter, of a file
    uint64_t cut;       // by -s
    uint64_t waits;     // for a worker
    struct zcb_frame_io_stats io;
    struct workers *workers;
    struct batch *batch; // that is being filled
    struct batch own;    // without workers
    struct zcb_pool *pool;
    struct pcap_file out;
    double begun, cpu_begun;
    bool live_line; // a counter on a terminal
    bool drawn;
} run;

static unsigned long long
llu(uint64_t value)
{
    return value;
}

// ---- the counter line

static void
draw(void)
{
    static double shown_at;
    static uint64_t shown;
    double now = now_seconds();

    if (!run.live_line || now - shown_at < 0.1)
        return;
    if (shown_at > 0)
        fprintf(stderr, "\r%llu packets, %.0f/s\033[K", llu(run.seen),
                (double)(run.seen - shown) / (now - shown_at));
    shown_at = now;
    shown = run.seen;
    run.drawn = true;
}

static void
end_drawing(void)
{
    if (run.drawn)
        fputs("\r\033[K", stderr);
    run.drawn = run.live_line = false;
}

// ---- batches

// Whether standard output or the -w file has failed: there is no point in going on.
static bool
output_failed(void)
{
    return ferror(stdout) || run.out.error != 0;
}

// A batch to be filled. NULL: stopped while waiting for one.
static struct batch *
batch_get(void)
{
    if (run.workers == NULL)
        run.batch = &run.own;
    if (run.batch == NULL)
        run.batch = workers_batch(run.workers, 0);
    if (run.batch == NULL)
        run.waits++;
    while (run.batch == NULL && !output_failed()) {
        run.batch = workers_batch(run.workers, 100);
        draw();
    }
    return run.batch;
}

// Parses and prints what is in it, here or in a worker.
static void
batch_put(void)
{
    struct batch *batch = run.batch;

    if (batch == NULL || batch->count == 0)
        return;
    if (run.workers != NULL) {
        run.batch = NULL;
        workers_submit(run.workers, batch);
        return;
    }
    dump_batch(&options.view, &run.tally, batch);
    if (run.tally.text_len != 0)
        fwrite(run.tally.text, 1, run.tally.text_len, stdout);
}

static void
write_down(const struct item *item)
{
    const uint8_t tag[4] = {(uint8_t)(item->tpid >> 8), (uint8_t)item->tpid,
                            (uint8_t)(item->tci >> 8), (uint8_t)item->tci};

    if (run.out.file != NULL)
        pcap_file_add(&run.out, item->time_ns, item->packet.data, item->packet.len, item->wire_len,
                      item->tagged ? tag : NULL);
}

static bool
enough(void)
{
    return options.count != 0 && run.seen == options.count;
}

// ---- from a file

static enum exit_code
read_file(struct capture_file *file)
{
    enum exit_code code = EXIT_DONE;

    while (code == EXIT_DONE && !stop_requested && !enough() && !output_failed()) {
        struct batch *batch = batch_get();
        struct item *item;
        int r;

        if (batch == NULL)
            break;
        item = &batch->items[batch->count];
        r = capture_next(file, item);
        if (r <= 0) {
            code = r == 0 ? EXIT_DONE : EXIT_CAPTURE;
            break;
        }
        run.seen++;
        run.cut += item->packet.len < item->wire_len;
        write_down(item);
        // libpcap reads the next packet into the same memory. Without workers each is done with
        // before that; else it is copied once, and shared from there on.
        if (run.workers != NULL) {
            struct zcb_packet copy;
            int error;

            do
                error = zcb_packet_copy(run.pool, item->packet.data, item->packet.len, &copy);
            while (error == -ETIMEDOUT && !output_failed());
            if (error == -ETIMEDOUT)
                break;
            if (error != 0) {
                say("a packet of %u bytes: %s", item->wire_len, zcb_strerror(error));
                code = EXIT_INTERNAL;
                break;
            }
            item->packet = copy;
        }
        batch->count++;
        if (run.workers == NULL || batch->count == BATCH)
            batch_put();
        draw();
    }
    batch_put();
    run.skipped = capture_skipped(file);
    return code == EXIT_DONE && stop_requested ? EXIT_STOPPED : code;
}

// ---- from an interface

// What the frames of the interface begin with, by its hardware type. -1, after a message.
static int
interface_link(const char *name, enum exit_code *code)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int error;

    *code = EXIT_INTERFACE;
    if (strlen(name) >= sizeof(request.ifr_name)) {
        say("-i %s: no interface has so long a name; ip link shows what there is", printable(name));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    strcpy(request.ifr_name, name);
    error = fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (error != 0) {
        say("-i %s: %s; ip link shows what there is", printable(name), strerror(error));
        return -1;
    }
    switch (request.ifr_hwaddr.sa_family) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
        return ZCB_FRAME_LINK_ETHERNET;
    case ARPHRD_NONE:
    case ARPHRD_PPP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
        return ZCB_FRAME_LINK_RAW;
    default:
        say("-i %s: its frames (hardware type %u) are of no kind that is known here; take an "
            "Ethernet, loopback or tunnel interface",
            printable(name), request.ifr_hwaddr.sa_family);
        return -1;
    }
}

static struct zcb_frame_ring *
ring_open(enum exit_code *code)
{
    struct zcb_frame_ring_config config = {0};
    struct zcb_frame_ring *ring = NULL;
    struct sock_fprog *filter =
        capture_compile(options.filter, (int)options.view.link, (uint32_t)options.snaplen, code);
    int error;

    if (filter == NULL)
        return NULL;
    config.filter = filter;
    config.flags = options.selfish ? 0 : ZCB_FRAME_RING_PROMISCUOUS;
    // On the loopback everything passes twice, on its way out and on its way in.
    if (strcmp(options.interface, "lo") == 0)
        config.flags |= ZCB_FRAME_RING_INCOMING;
    if (run.workers == NULL)
        config.flags |= ZCB_FRAME_RING_LENT;
    error = zcb_frame_ring_create(options.interface, run.pool, &config, &ring);
    free(filter);
    if (error == 0) {
        *code = EXIT_DONE;
        return ring;
    }
    *code = error == -EPERM || error == -EACCES ? EXIT_PERMISSION
            : error == -ENODEV                  ? EXIT_INTERFACE
                                                : EXIT_INTERNAL;
    if (*code == EXIT_PERMISSION)
        say("-i %s: no permission to listen. Run it with sudo; or allow this program to: sudo "
            "setcap cap_net_raw+ep %s; or try it on a network of your own: unshare -rn",
            printable(options.interface), "$(command -v zcb-dump)");
    else
        say("-i %s: %s", printable(options.interface), zcb_strerror(error));
    return NULL;
}

static void
take(const struct zcb_frame_arrival *in, struct item *out)
{
    run.seen++;
    run.cut += (in->flags & ZCB_FRAME_IO_TRUNCATED) != 0;
    *out = (struct item){
        .packet = in->packet,
        .number = run.seen,
        .time_ns = in->time_ns,
        .wire_len = in->wire_len,
        .tagged = (in->flags & ZCB_FRAME_IO_VLAN) != 0,
        .tci = in->vlan_tci,
        .tpid = in->vlan_tpid,
    };
    write_down(out);
}

// One call of the ring, and what it brings. How many; 0: none; below: an error of the ring.
static int
listen_once(struct zcb_frame_ring *ring, int timeout_ms)
{
    struct zcb_frame_arrival in[BATCH];
    struct batch *batch = batch_get();
    size_t most = BATCH;
    int n;

    if (batch == NULL)
        return 0;
    if (options.count != 0 && options.count - run.seen < most)
        most = (size_t)(options.count - run.seen);
    n = zcb_frame_ring_recv(ring, in, most, timeout_ms);
    if (n <= 0)
        return n;
    batch->lent = run.workers == NULL;
    for (int i = 0; i < n; i++)
        take(&in[i], &batch->items[batch->count++]);
    batch_put();
    return n;
}

static enum exit_code
listen_interface(struct zcb_frame_ring *ring)
{
    bool down = false;
    int n = 0;

    if (!options.view.json)
        say("listening on %s, Ctrl-C ends it", printable(options.interface));
    while (!stop_requested && !enough() && !output_failed()) {
        n = listen_once(ring, 100);
        if (n == 0 && !options.view.quiet)
            fflush(stdout); // a quiet moment: show what was seen
        draw();
        // One that is taken away goes down first, and nothing more is heard of it.
        if (n == -ENETDOWN && if_nametoindex(options.interface) == 0)
            n = -ENODEV;
        if (n == -ENETDOWN && !down)
            say("%s is down; waiting for it to come up (ip link set %s up)",
                printable(options.interface), printable(options.interface));
        down = n == -ENETDOWN || (down && n == 0);
        if (n == -ENODEV || n == -ENXIO) {
            say("%s has gone", printable(options.interface));
            return EXIT_GONE;
        }
        // -ETIMEDOUT: workers hold all that the pool allows; they will give back.
        if (n < 0 && n != -ENETDOWN && n != -ETIMEDOUT) {
            say("%s: %s", printable(options.interface), zcb_strerror(n));
            return EXIT_INTERNAL;
        }
    }
    // What came before the signal is in the ring, at most a block's age ago.
    for (double end = now_seconds() + 0.5; now_seconds() < end && !enough() && !output_failed();)
        if (listen_once(ring, 30) <= 0)
            break;
    return EXIT_DONE;
}

// ---- the program

static bool
same_file(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino &&
           S_ISREG(x.st_mode);
}

static enum exit_code
open_output(void)
{
    // libpcap's own numbers for raw IP are not those of files.
    uint32_t link =
        options.view.link == 12 || options.view.link == 14 ? ZCB_FRAME_LINK_RAW : options.view.link;

    if (options.write == NULL)
        return EXIT_DONE;
    if (options.path != NULL && same_file(options.path, options.write)) {
        say("-w %s is the file that is read; give another one", printable(options.write));
        return EXIT_USAGE;
    }
    if (pcap_file_create(&run.out, options.write, link, (uint32_t)options.snaplen))
        return EXIT_DONE;
    pcap_file_close(&run.out);
    return EXIT_STORAGE;
}

static enum exit_code
prepare(void)
{
    // Where workers hold all of it: wait, but look at the signals now and then.
    static const struct zcb_pool_config config = {
        .name = "zcb-dump",
        .max_bytes = POOL_BYTES,
        .policy = ZCB_POOL_WAIT,
        .wait_ms = 100,
    };
    int error = zcb_pool_create(&config, &run.pool);

    if (error != 0) {
        say("%s", zcb_strerror(error));
        return EXIT_INTERNAL;
    }
    if (!tally_init(&run.tally, &options.view)) {
        say("out of memory%s", options.view.flows ? "; --flows=N takes less with a smaller N" : "");
        return EXIT_INTERNAL;
    }
    if (options.workers != 0) {
        run.workers = workers_create((unsigned)options.workers, (unsigned)options.workers * DEPTH,
                                     &options.view);
        if (run.workers == NULL) {
            say("%llu threads: out of memory, or of threads; take fewer --workers",
                llu(options.workers));
            return EXIT_INTERNAL;
        }
    }
    run.live_line = isatty(STDERR_FILENO) && (options.view.quiet || !isatty(STDOUT_FILENO));
    return open_output();
}

static void
unprepare(void)
{
    if (run.workers != NULL)
        workers_free(run.workers);
    tally_free(&run.tally);
    zcb_pool_destroy(&run.pool);
}

static enum exit_code
dump(void)
{
    struct zcb_frame_ring *ring = NULL;
    struct capture_file *file = NULL;
    enum exit_code code;
    bool written;
    int link = -1;

    if (options.path != NULL) {
        file = capture_open(options.path, options.filter, (uint32_t)options.snaplen, &link, &code);
        if (file == NULL)
            return code;
    } else {
        link = interface_link(options.interface, &code);
        if (link < 0)
            return code;
    }
    options.view.link = (enum zcb_frame_link)link;
    code = prepare();
    if (code == EXIT_DONE && file == NULL)
        ring = ring_open(&code);
    if (code != EXIT_DONE) {
        if (run.workers != NULL)
            workers_finish(run.workers);
        pcap_file_close(&run.out);
        capture_close(file);
        unprepare();
        return code;
    }
    run.begun = now_seconds();
    run.cpu_begun = cpu_seconds();
    code = file != NULL ? read_file(file) : listen_interface(ring);
    if (ring != NULL && zcb_frame_ring_stats(ring, &run.io, sizeof(run.io)) != 0)
        memset(&run.io, 0, sizeof(run.io));
    if (run.workers != NULL) {
        workers_finish(run.workers);
        for (unsigned i = 0; i < workers_count(run.workers); i++)
            tally_merge(&run.tally, workers_tally(run.workers, i));
    }
    end_drawing();
    written = pcap_file_close(&run.out);
    report(&(struct figures){
        .view = &options.view,
        .tally = &run.tally,
        .workers = run.workers,
        .io = ring != NULL ? &run.io : NULL,
        .filtered = options.filter != NULL,
        .skipped = run.skipped,
        .cut = run.cut,
        .waits = run.waits,
        .write = options.write,
        .written = run.out.packets,
        .seconds = now_seconds() - run.begun,
        .cpu = cpu_seconds() - run.cpu_begun,
    });
    zcb_frame_ring_destroy(&ring);
    capture_close(file);
    unprepare();
    return code == EXIT_DONE && !written ? EXIT_STORAGE : code;
}

int
main(int argc, char **argv)
{
    struct sigaction action;
    enum exit_code code;
    bool help = false;

    standard_descriptors();
    program_name = "zcb-dump";
    if (!options_parse(argc, argv, &options, &help))
        return EXIT_USAGE;
    if (help)
        return (int)finish_output(EXIT_DONE);
    // A table that who sends packets cannot fill with collisions.
    if (getrandom(&options.view.seed, sizeof(options.view.seed), 0) !=
        (ssize_t)sizeof(options.view.seed)) {
        say("no random numbers: %s", strerror(errno));
        return EXIT_INTERNAL;
    }
    signals_init();
    // A reader of our output that has stopped reading can hold us up for ever: the second Ctrl-C
    // ends it there too.
    sigaction(SIGINT, NULL, &action);
    action.sa_flags |= (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    code = dump();
    return (int)finish_output(code);
}
