// SPDX-License-Identifier: MIT
//
// zcb-record: records sound, shows its level and passes it on, all from one capture.
//
//     backend's thread --> sink --> writer thread --> file
//                              \--> main thread: meter
//                              \--> server thread --> clients
//
// A helper thread of the sink's wakes the three, and prepares buffers when they fall behind.
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zcbuf/pool.h>

#include "count_alloc.h"
#include "zcb-record.h"

#define MAX_BYTES (256u << 20) // of all buffers
#define MAX_BUFFERS 4096u      // that a sink can have
#define MAX_DEPTH 1024u        // packets that a consumer's queue can have
#define SETTLED_S 2.0          // allocations are counted from then on
#define HELD_UP_S 0.5          // a look at the meter's queue takes 50 ms

static struct options options;

static struct {
    struct capture capture;
    const struct backend *backend;
    void *device;
    struct zcb_audio_format format;
    struct zcb_pool *pool;
    struct zcb_audio_sink *sink;
    struct zcb_audio_consumer *metering;
    struct meter meter;
    struct writer writer;
    struct server *server;
    double begun, cpu_begun;
    double settled; // when allocations began to be counted; 0: not yet
    uint64_t settled_allocations;
    struct figures figures;
} run;

static void
failed(const char *what, int error)
{
    say("%s: %s", what, zcb_strerror(error));
}

// ---- what there has to be

struct sizes {
    uint32_t packet_frames, packet_bytes;
    uint32_t writer, meter, client; // depth of queues
    uint32_t buffers, max_buffers;
};

static uint32_t
between(uint64_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : value > high ? high : (uint32_t)value;
}

// Queues that hold ten seconds for the file and one for each client, as far as the limits of a sink
// and MAX_BYTES go; and buffers for all of them, so that whoever is slow loses his own packets and
// nobody else's. false: after a message.
static bool
choose_sizes(struct sizes *s)
{
    const uint64_t rate = run.format.rate, ms = options.wish.packet_ms;
    const uint32_t clients = options.addresses != 0 ? (uint32_t)options.clients : 0;
    const uint64_t frame = zcb_audio_frame_bytes(&run.format);
    uint32_t most;

    s->packet_frames = between(rate * ms / 1000, 1, UINT32_MAX);
    if (s->packet_frames * frame > MAX_BYTES / 32) {
        say("--packet %llu: a packet has at most %u bytes, and this would have %llu",
            (unsigned long long)ms, MAX_BYTES / 32, (unsigned long long)(s->packet_frames * frame));
        return false;
    }
    s->packet_bytes = (uint32_t)(s->packet_frames * frame);
    most = between(MAX_BYTES / s->packet_bytes, 1, MAX_BUFFERS);
    s->meter = between(rate / 2 / s->packet_frames, 8, MAX_DEPTH / 8);
    s->meter = between(s->meter, 1, most / 4);
    s->writer = options.output == NULL
                    ? 0
                    : between(10 * rate / s->packet_frames, 8, between(most / 2, 8, MAX_DEPTH));
    s->client = 1;
    if (clients != 0)
        s->client = between(rate / s->packet_frames, 2,
                            between((most - s->writer - s->meter) / clients, 3, 256) - 1);
    // One more for each: what is being written, looked at or sent.
    s->max_buffers = between(
        16 + (uint64_t)s->writer + 64 + s->meter + (uint64_t)clients * (s->client + 1), 1, most);
    // What a sound server that was held up brings at once.
    s->buffers = between(16 + rate / 2 / s->packet_frames, 1, s->max_buffers);
    return true;
}

// How many frames are wanted. false: after a message.
static bool
choose_length(void)
{
    uint64_t *left = &run.capture.left;

    *left = options.frames != 0 ? options.frames : UINT64_MAX;
    if (!(options.duration > 0) ||
        (zcb_audio_frames_in(&run.format, options.duration, left) == 0 && *left != 0))
        return true;
    say("--duration %g: is not even one frame, or too many", options.duration);
    return false;
}

static bool
make_sink(struct sizes *s)
{
    struct zcb_pool_config config = {.name = "zcb-record", .policy = ZCB_POOL_FAIL};
    struct zcb_audio_sink_config sink = {
        .packet_frames = s->packet_frames,
        .buffers = s->buffers,
        .max_buffers = s->max_buffers,
        .spare = s->buffers / 2,
        .full = options.full,
        .max_gap_frames = between(UINT64_C(60) * run.format.rate, 1, INT32_MAX),
        .max_consumers = 2 + (uint32_t)options.clients,
        .max_depth = MAX_DEPTH,
        .helper_ms = between(options.wish.packet_ms / 2, 1, 20),
    };
    int error;

    config.tiers[0].buffer_size = (s->packet_bytes + 4095u) / 4096u * 4096u;
    // All that there may ever be: addresses, and no memory before it is used. One more for what is
    // dropped.
    config.tiers[0].prealloc = s->max_buffers + 1;
    error = zcb_pool_create(&config, &run.pool);
    if (error == 0)
        error = zcb_audio_sink_create(run.pool, &run.format, &sink, &run.sink);
    if (error != 0)
        failed("memory for packets", error);
    return error == 0;
}

static enum exit_code
prepare(void)
{
    struct zcb_audio_consumer_config config = {.lag = ZCB_AUDIO_LAG_DROP_OLDEST};
    enum exit_code code;
    struct sizes sizes;
    int error;

    run.backend = backend_choose(&options, &run.capture, &run.format, &run.device, &code);
    if (run.backend == NULL)
        return code;
    if (!choose_length() || !choose_sizes(&sizes))
        return EXIT_USAGE;
    if (!make_sink(&sizes))
        return EXIT_INTERNAL;
    config.depth = sizes.meter;
    error = zcb_audio_consumer_open(run.sink, &config, &run.metering);
    if (error != 0) {
        failed("the meter", error);
        return EXIT_INTERNAL;
    }
    meter_init(&run.meter, &run.format, isatty(STDERR_FILENO) != 0);
    if (options.addresses != 0) {
        run.server = server_start(&options, &run.format, run.sink, sizes.client, &code);
        if (run.server == NULL)
            return code;
    }
    // Last: what was there before is overwritten, so all else had better work.
    if (stop_requested)
        return EXIT_STOPPED;
    if (options.output != NULL) {
        error = wav_create(&run.writer.wav, options.output, &run.format, options.rf64_above);
        if (error != 0) {
            say("-o %s: %s", printable(options.output), strerror(-error));
            return EXIT_STORAGE;
        }
        if (!writer_start(&run.writer, run.sink, sizes.writer))
            return EXIT_INTERNAL;
    }
    return EXIT_DONE;
}

static enum exit_code
start(void)
{
    char why[BACKEND_WHY] = "";
    int error;

    run.capture.frame_bytes = zcb_audio_frame_bytes(&run.format);
    if (!options.json && !options.quiet)
        say("recording from %s: %u Hz, %u channel%s, %s%s; Ctrl-C ends it", run.backend->name,
            run.format.rate, run.format.channels, run.format.channels == 1 ? "" : "s",
            zcb_audio_sample_name(run.format.sample),
            options.output == NULL && options.addresses == 0 ? ", into nothing but the meter" : "");
    run.begun = now_seconds();
    run.cpu_begun = cpu_seconds();
    __atomic_store_n(&run.capture.sink, run.sink, __ATOMIC_RELEASE);
    error = run.backend->start(run.device, why);
    if (error == 0)
        return EXIT_DONE;
    say("%s: %s", run.backend->name, printable(why));
    return error == -ENODEV ? EXIT_INTERFACE : EXIT_INTERNAL;
}

// ---- while it records

static void
show(void)
{
    const uint64_t frames = capture_frames(&run.capture);
    const double seconds = (double)frames / run.format.rate;
    struct zcb_audio_sink_stats stats;
    char text[160], *at = text, *end = text + sizeof(text);

    if (options.quiet || zcb_audio_sink_stats(run.sink, &stats, sizeof(stats)) < 0)
        return;
    if (run.meter.live) {
        const unsigned long long s = (unsigned long long)seconds;

        at +=
            snprintf(at, (size_t)(end - at), "%02llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
    } else {
        at += snprintf(at, (size_t)(end - at), "%.1f s", seconds);
    }
    if (options.addresses != 0)
        at += snprintf(at, (size_t)(end - at), "  clients %u", server_clients(run.server));
    if (stats.lost_frames + stats.dropped_frames != 0)
        snprintf(at, (size_t)(end - at), "  lost %llu frames",
                 (unsigned long long)(stats.lost_frames + stats.dropped_frames));
    meter_show(&run.meter, text);
}

static void
look_at_allocations(double now, double first)
{
    if (run.settled == 0 && first > 0 && now - first >= SETTLED_S) {
        run.settled = now;
        run.settled_allocations = count_alloc();
    }
}

// Until something ends it.
static enum exit_code
watch(void)
{
    double first = 0, heard = now_seconds(), shown = heard, last = heard;
    const double interval = run.meter.live ? 1.0 / 15 : 1;
    struct zcb_audio_packet packet;
    enum exit_code code = EXIT_DONE;

    for (;;) {
        int r = zcb_audio_consumer_read(run.metering, 50, &packet);
        double now = now_seconds();

        // Where we were stopped, it was not the device that was silent.
        if (now - last > HELD_UP_S)
            heard += now - last;
        last = now;
        if (r == 1) {
            meter_add(&run.meter, &packet);
            zcb_audio_packet_unref(&packet);
            heard = now;
            first = first > 0 ? first : now;
            look_at_allocations(now, first);
        }
        run.figures.ended = "done";
        if (r == 0)
            break;
        if (now - shown >= interval) {
            show();
            shown = now;
        }
        if (stop_requested) {
            run.figures.ended = "interrupted";
            code = options.frames != 0 || options.duration > 0 ? EXIT_STOPPED : EXIT_DONE;
            break;
        }
        if (capture_state(&run.capture) == CAPTURE_LOST) {
            run.figures.ended = "lost";
            say("%s: %s", run.backend->name, printable(run.capture.why));
            code = EXIT_GONE;
            break;
        }
        if (options.timeout_s != 0 && now - heard > (double)options.timeout_s) {
            run.figures.ended = "silent";
            say("%s: nothing has come for %llu s (--timeout)", run.backend->name,
                (unsigned long long)options.timeout_s);
            code = EXIT_GONE;
            break;
        }
        if (writer_error(&run.writer) != 0) {
            run.figures.ended = "file";
            code = EXIT_STORAGE;
            break;
        }
    }
    if (run.settled > 0) {
        run.figures.steady_allocations = count_alloc() - run.settled_allocations;
        run.figures.steady_seconds = now_seconds() - run.settled;
    }
    return code;
}

// All that was captured goes where it belongs.
static enum exit_code
finish(enum exit_code code)
{
    struct figures *f = &run.figures;
    struct zcb_audio_packet packet;

    run.backend->stop(run.device);
    zcb_audio_sink_end(run.sink);
    while (zcb_audio_consumer_read(run.metering, 100, &packet) == 1) {
        meter_add(&run.meter, &packet);
        zcb_audio_packet_unref(&packet);
    }
    if (run.meter.count != 0)
        show();
    if (!options.quiet)
        meter_leave(&run.meter);
    if (options.output != NULL && !writer_finish(&run.writer) && code != EXIT_GONE)
        code = EXIT_STORAGE;
    server_finish(run.server, &f->served);
    run.server = NULL;
    f->options = &options;
    f->backend = run.backend;
    f->format = &run.format;
    f->capture = &run.capture;
    f->meter = &run.meter;
    f->writer = options.output != NULL ? &run.writer : NULL;
    f->allocations = count_alloc();
    f->seconds = now_seconds() - run.begun;
    f->cpu = cpu_seconds() - run.cpu_begun;
    if (zcb_audio_sink_stats(run.sink, &f->sink, sizeof(f->sink)) == 0 &&
        zcb_audio_consumer_stats(run.metering, &f->metered, sizeof(f->metered)) == 0)
        report(f);
    return code;
}

// Of what prepare() has made, what is there; also where it gave up half-way.
static void
unprepare(void)
{
    struct served served;

    if (run.backend != NULL)
        run.backend->close(run.device);
    zcb_audio_sink_end(run.sink);
    if (run.writer.running && !writer_finish(&run.writer))
        say("-o %s: is not complete", printable(options.output));
    server_finish(run.server, &served);
    zcb_audio_consumer_close(&run.metering);
    zcb_audio_sink_destroy(&run.sink);
    zcb_pool_destroy(&run.pool);
}

int
main(int argc, char **argv)
{
    struct sigaction action, before;
    enum exit_code code;

    standard_descriptors();
    program_name = "zcb-record";
    if (!options_parse(argc, argv, &options))
        return EXIT_USAGE;
    if (options.help)
        return (int)finish_output(EXIT_DONE);
    if (options.list)
        return (int)finish_output(backend_list(&options));
    signals_init();
    // Where a file system or a reader of the output holds us up for ever, the second one ends it.
    sigaction(SIGINT, NULL, &action);
    action.sa_flags |= (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    // The terminal's window was closed: an end like any other, but not for who said nohup.
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    run.capture.why[0] = '\0';
    code = prepare();
    if (code == EXIT_DONE)
        code = start();
    if (code == EXIT_DONE)
        code = finish(watch());
    unprepare();
    return (int)finish_output(code);
}
