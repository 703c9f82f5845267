// SPDX-License-Identifier: MIT
//
// zcb-blast: sends SYN frames or UDP datagrams at a given rate, to the machine itself or over a
// virtual link, so that receivers and firewalls can be tried out.
//
// SYN frames are stamped from one template: a stamp writes the fields that change and the checksums
// that they change, not the frame. UDP datagrams are all one packet, by reference.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <zcbuf/adapt/frame_io.h>

#include "pcap_file.h"
#include "zcb-blast.h"

#define TX_BATCH 64u // frames that are stamped, then sent
#define GSO_BATCH 512u
#define MAX_REFUSED 1000 // in a row

static struct options options;

static struct {
    struct route route;
    int fd;
    struct zcb_frame_tx *tx;
    struct zcb_packet payload; // UDP: each datagram is one more reference to it
    struct zcb_frame_template form;
    uint8_t *slots; // TX_BATCH frames
    bool stamped;   // all of the slots hold frames that can be patched
    uint64_t made;  // packets that were queued or written
    uint64_t sent, refused, full;
    int refusal; // the last one
    double begun, cpu_begun;
    bool terminal, drawn;
} run = {.fd = -1};

static unsigned long long
llu(uint64_t value)
{
    return value;
}

// ---- packets

static uint16_t
port_of(uint64_t number)
{
    return (uint16_t)(options.first_port + number % (options.last_port - options.first_port + 1));
}

static struct zcb_frame_target
target_of(uint64_t number)
{
    struct zcb_frame_target target = {
        .port = port_of(number),
        .sequence = options.shape.tcp ? (uint32_t)number : 0,
        .id = (uint16_t)number,
    };

    memcpy(target.address, run.route.target, sizeof(target.address));
    return target;
}

// The next frame into slot `i`; its length or an error.
static int
stamp(uint64_t number, size_t i)
{
    struct zcb_frame_target target = target_of(number);
    uint8_t *slot = run.slots + i * run.form.len;
    int n;

    if (run.stamped) {
        n = zcb_frame_template_restamp(&run.form, &target, slot);
        return n < 0 ? n : (int)run.form.len;
    }
    return zcb_frame_template_stamp(&run.form, &target, slot, run.form.len);
}

static int
queue_one(uint64_t number, size_t i)
{
    union zcb_frame_endpoint to = {0};
    struct zcb_packet packet;
    uint32_t to_len;
    int n;

    if (options.shape.tcp) {
        n = stamp(number, i);
        if (n < 0)
            return n;
        // Valid until the batch has gone out, which is waited for.
        packet = zcb_packet_static(run.slots + i * run.form.len, (size_t)n);
        return zcb_frame_tx_push(run.tx, &packet, NULL, 0);
    }
    if (run.route.version == 4) {
        to.in4.sin_family = AF_INET;
        to.in4.sin_port = htons(port_of(number));
        memcpy(&to.in4.sin_addr, run.route.target, 4);
        to_len = sizeof(to.in4);
    } else {
        to.in6.sin6_family = AF_INET6;
        to.in6.sin6_port = htons(port_of(number));
        to.in6.sin6_scope_id = run.route.ifindex;
        memcpy(&to.in6.sin6_addr, run.route.target, 16);
        to_len = sizeof(to.in6);
    }
    packet = zcb_packet_ref(&run.payload);
    n = zcb_frame_tx_push(run.tx, &packet, &to, to_len);
    if (n != 0)
        zcb_packet_unref(&packet);
    return n;
}

// Sends all that is queued. false: nothing goes out any more.
static bool
flush_all(void)
{
    static unsigned in_a_row;

    while (zcb_frame_tx_queued(run.tx) != 0) {
        const struct timespec pause = {.tv_nsec = 200000};
        int n = zcb_frame_tx_flush(run.tx, 100);

        if (n > 0) {
            run.sent += (uint64_t)n;
            in_a_row = 0;
        } else if (n == 0) {
            if (stop_requested)
                return false;
        } else if (n == -ENOBUFS && !stop_requested) {
            run.full++; // the interface's queue; it empties
            nanosleep(&pause, NULL);
        } else {
            run.refusal = n;
            run.refused++;
            if (++in_a_row == MAX_REFUSED || stop_requested || zcb_frame_tx_skip(run.tx) != 0)
                return false;
        }
    }
    return true;
}

// ---- the loop

static void
progress(void)
{
    static double shown_at;
    static uint64_t shown;
    double now = now_seconds();

    if (options.quiet || now - shown_at < (run.terminal ? 0.1 : 2))
        return;
    if (shown_at > 0 && run.terminal) {
        fprintf(stderr, "\r%llu packets, %.0f/s, %llu refused\033[K", llu(run.sent),
                (double)(run.sent - shown) / (now - shown_at), llu(run.refused));
        run.drawn = true;
    } else if (shown_at > 0) {
        say("%llu packets, %.0f/s, %llu refused", llu(run.sent),
            (double)(run.sent - shown) / (now - shown_at), llu(run.refused));
    }
    shown_at = now;
    shown = run.sent;
}

static void
sleep_for(double seconds)
{
    const double most = seconds < 0.05 ? seconds : 0.05;
    const struct timespec pause = {.tv_nsec = (long)(most * 1e9)};

    if (most > 0)
        nanosleep(&pause, NULL);
}

// Packets that the clock allows by now.
static uint64_t
allowed(double elapsed)
{
    double due = elapsed * (double)options.rate + 1;

    if (options.count != 0 && (options.rate == 0 || due > (double)options.count))
        return options.count;
    return options.rate == 0 ? UINT64_MAX : (uint64_t)due;
}

static enum exit_code
blast(void)
{
    const uint64_t most = options.gso ? GSO_BATCH : TX_BATCH;

    while (!stop_requested) {
        double elapsed = now_seconds() - run.begun;
        uint64_t due = allowed(elapsed);
        uint64_t n = due - run.made < most ? due - run.made : most;

        if ((options.count != 0 && run.made == options.count) ||
            (options.duration != 0 && elapsed >= (double)options.duration))
            break;
        if (n == 0) {
            double next = (double)run.made / (double)options.rate - elapsed;
            double left = options.duration != 0 ? (double)options.duration - elapsed : next;

            sleep_for(next < left ? next : left);
            progress();
            continue;
        }
        for (uint64_t i = 0; i < n; i++) {
            int error = queue_one(run.made + i, (size_t)i);

            if (error != 0) {
                say("%s", zcb_strerror(error));
                return EXIT_INTERNAL;
            }
        }
        run.stamped = run.stamped || n == TX_BATCH;
        run.made += n;
        if (!flush_all())
            break;
        progress();
    }
    return stop_requested ? EXIT_STOPPED : run.refused != 0 ? EXIT_INTERNAL : EXIT_DONE;
}

static enum exit_code
write_frames(void)
{
    const uint64_t begun = (uint64_t)time(NULL) * 1000000000;
    struct pcap_file out;

    if (!pcap_file_create(&out, options.write, ZCB_FRAME_LINK_ETHERNET, 262144)) {
        pcap_file_close(&out);
        return EXIT_STORAGE;
    }
    for (; run.made < options.count && out.error == 0 && !stop_requested; run.made++) {
        int n = stamp(run.made, 0);

        if (n < 0) {
            say("%s", zcb_strerror(n));
            pcap_file_close(&out);
            return EXIT_INTERNAL;
        }
        run.stamped = true;
        pcap_file_add(&out,
                      begun + (options.rate == 0 ? run.made : run.made * 1000000000 / options.rate),
                      run.slots, (size_t)n, (size_t)n, NULL);
    }
    run.sent = run.made;
    if (!pcap_file_close(&out))
        return EXIT_STORAGE;
    return stop_requested ? EXIT_STOPPED : EXIT_DONE;
}

// ---- what is needed for it

static enum exit_code
open_raw(void)
{
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_ifindex = (int)run.route.ifindex};

    // Protocol 0: it receives nothing.
    run.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (run.fd < 0 && (errno == EPERM || errno == EACCES)) {
        say("no permission to send raw frames. Run it with sudo; or allow this program to: sudo "
            "setcap cap_net_raw+ep %s; or try it on a network of your own: unshare -rn",
            "$(command -v zcb-blast)");
        return EXIT_PERMISSION;
    }
    if (run.fd < 0 || bind(run.fd, (struct sockaddr *)&where, sizeof(where)) != 0) {
        say("a packet socket on %s: %s", run.route.ifname, strerror(errno));
        return EXIT_INTERNAL;
    }
    return EXIT_DONE;
}

static enum exit_code
open_udp(void)
{
    union zcb_frame_endpoint from = {0};
    int on = 1;

    run.fd = socket(run.route.version == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (run.route.version == 4) {
        from.in4.sin_family = AF_INET;
        from.in4.sin_port = htons(options.shape.source_port);
        memcpy(&from.in4.sin_addr, run.route.source, 4);
    } else {
        from.in6.sin6_family = AF_INET6;
        from.in6.sin6_port = htons(options.shape.source_port);
        from.in6.sin6_scope_id = run.route.ifindex;
        memcpy(&from.in6.sin6_addr, run.route.source, 16);
    }
    // Never through a router, also where the tables change while this runs.
    if (run.fd < 0 || setsockopt(run.fd, SOL_SOCKET, SO_DONTROUTE, &on, sizeof(on)) != 0) {
        say("a UDP socket: %s", strerror(errno));
        return EXIT_INTERNAL;
    }
    if (bind(run.fd, &from.any, run.route.version == 4 ? sizeof(from.in4) : sizeof(from.in6)) !=
        0) {
        say("source port %u: %s; take another one with --source-port", options.shape.source_port,
            strerror(errno));
        return EXIT_INTERNAL;
    }
    return EXIT_DONE;
}

static enum exit_code
prepare_template(struct zcb_buf **frame)
{
    int error;

    options.shape.port = (uint16_t)options.first_port;
    *frame = frame_create(&run.route, &options.shape);
    if (*frame == NULL)
        return EXIT_USAGE;
    error = zcb_frame_template_init(&run.form, zcb_buf_data(*frame), zcb_buf_len(*frame),
                                    ZCB_FRAME_LINK_ETHERNET);
    run.slots = error == 0 ? malloc((size_t)TX_BATCH * run.form.len) : NULL;
    if (run.slots != NULL)
        return EXIT_DONE;
    say("%s", error != 0 ? zcb_strerror(error) : "out of memory");
    return EXIT_INTERNAL;
}

static enum exit_code
prepare_payload(void)
{
    struct zcb_buf *buf = NULL;
    uint8_t *at;
    int error = zcb_buf_alloc(NULL, options.shape.payload, &buf);

    if (error == 0)
        error = zcb_buf_append(buf, options.shape.payload, &at);
    if (error != 0) {
        say("%s", zcb_strerror(error));
        zcb_buf_release(&buf);
        return EXIT_INTERNAL;
    }
    memset(at, 'z', options.shape.payload);
    zcb_buf_share(&buf, &run.payload);
    return EXIT_DONE;
}

static enum exit_code
prepare_tx(void)
{
    const struct zcb_frame_tx_config config = {
        .batch = options.gso ? GSO_BATCH : TX_BATCH,
        .flags = options.gso ? ZCB_FRAME_TX_GSO : 0,
    };
    int error = zcb_frame_tx_create(run.fd, &config, &run.tx);

    if (error == 0)
        return EXIT_DONE;
    if (error == -ENOTSUP && options.gso)
        say("--gso: this kernel has no UDP_SEGMENT; leave it out");
    else
        say("%s", zcb_strerror(error));
    return EXIT_INTERNAL;
}

// ---- report

static void
report(enum exit_code code)
{
    double seconds = now_seconds() - run.begun, cpu = cpu_seconds() - run.cpu_begun;
    double each = run.sent == 0 ? 0 : cpu * 1e9 / (double)run.sent;
    struct zcb_frame_io_stats io = {0};

    if (run.drawn)
        fputs("\r\033[K", stderr);
    if (run.tx != NULL && zcb_frame_tx_stats(run.tx, &io, sizeof(io)) != 0)
        io.syscalls = 0;
    if (options.json) {
        printf("{\"exit_code\":%d,\"packets\":%llu,\"bytes\":%llu,\"refused\":%llu", code,
               llu(run.sent), llu(io.bytes), llu(run.refused));
        printf(",\"queue_full\":%llu,\"seconds\":%.6f,\"rate\":%.1f,\"cpu_seconds\":%.6f",
               llu(run.full), seconds, seconds > 0 ? (double)run.sent / seconds : 0, cpu);
        printf(",\"cpu_ns_per_packet\":%.1f,\"syscalls\":%llu,\"trains\":%llu}\n", each,
               llu(io.syscalls), llu(io.trains));
        return;
    }
    printf("%s: %llu packets in %.3f s, %.0f/s, %.0f ns of processor time each\n",
           options.write != NULL ? "written" : "sent", llu(run.sent), seconds,
           seconds > 0 ? (double)run.sent / seconds : 0, each);
    if (run.tx != NULL)
        printf("%llu bytes, %llu system calls, %llu refused, queue full %llu times\n",
               llu(io.bytes), llu(io.syscalls), llu(run.refused), llu(run.full));
    if (run.refused != 0)
        say("packets were refused, the last one with: %s", zcb_strerror(run.refusal));
}

// ---- the program

// Addresses for frames that go nowhere: those of documentation (RFC 5737, RFC 3849).
static void
pretend_route(void)
{
    static const uint8_t source4[4] = {192, 0, 2, 1};
    static const uint8_t source6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

    memcpy(run.route.source, run.route.version == 4 ? source4 : source6,
           run.route.version == 4 ? 4 : 16);
    memcpy(run.route.from, (const uint8_t[6]){2, 0, 0, 0, 0, 1}, 6);
    memcpy(run.route.to, (const uint8_t[6]){2, 0, 0, 0, 0, 2}, 6);
}

static enum exit_code
send_or_write(void)
{
    struct zcb_buf *frame = NULL;
    enum exit_code code = EXIT_DONE;

    if (options.write != NULL)
        pretend_route();
    else
        code = route_find(&run.route, options.iface);
    if (code == EXIT_DONE && options.write == NULL)
        code = options.shape.tcp ? open_raw() : open_udp();
    if (code == EXIT_DONE && options.write == NULL && options.shape.tcp)
        code = route_resolve(&run.route);
    if (code == EXIT_DONE)
        code = options.shape.tcp || options.write != NULL ? prepare_template(&frame)
                                                          : prepare_payload();
    if (code == EXIT_DONE && options.write == NULL)
        code = prepare_tx();
    if (code == EXIT_DONE) {
        run.begun = now_seconds();
        run.cpu_begun = cpu_seconds();
        code = options.write != NULL ? write_frames() : blast();
        report(code);
    }
    zcb_frame_tx_destroy(&run.tx);
    zcb_packet_unref(&run.payload);
    zcb_buf_release(&frame);
    free(run.slots);
    if (run.fd >= 0)
        close(run.fd);
    return code;
}

int
main(int argc, char **argv)
{
    bool help = false;

    standard_descriptors();
    program_name = "zcb-blast";
    if (!options_parse(argc, argv, &options, &help))
        return EXIT_USAGE;
    if (help)
        return (int)finish_output(EXIT_DONE);
    run.route.version = options.version;
    memcpy(run.route.target, options.address, sizeof(options.address));
    run.terminal = isatty(STDERR_FILENO) == 1;
    signals_init();
    return (int)finish_output(send_or_write());
}
