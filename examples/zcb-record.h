// SPDX-License-Identifier: MIT
//
// The parts of zcb-record:
//
//     zcb-record.c           the program: makes the parts, watches over them, ends them
//     zcb-record-options.c   the command line
//     zcb-record-capture.c   from a backend's thread into the sink
//     zcb-record-choose.c    which backend
//     zcb-record-backend.h   what a backend is; -tone.c -pulse.c -pipewire.c -jack.c -wasapi.c
//     zcb-record-write.c     a consumer, in a thread: writes the file
//     zcb-record-wav.c       what a WAV file looks like
//     zcb-record-meter.c     a consumer, in the main thread: levels
//     zcb-record-serve.c     a consumer for each client, one thread for all of them
//     zcb-record-listen.c    where clients come from
//     zcb-record-report.c    the figures at the end
//
// Each packet is captured into a buffer of the pool once; writer, meter and clients get references.
#ifndef EXAMPLES_ZCB_RECORD_H
#define EXAMPLES_ZCB_RECORD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/uio.h>

#include <zcbuf/adapt/audio.h>

#include "cli.h"
#include "zcb-record-backend.h"

#define MAX_CLIENTS 48
#define MAX_ADDRESSES 8
#define MAX_CHANNELS 256

struct address {
    const char *text;
    enum zcb_audio_lag lag; // of the clients that come here
};

struct options {
    struct backend_wish wish;
    const char *output, *backend;
    struct address serve[MAX_ADDRESSES];
    unsigned addresses;
    double duration; // 0: no limit
    uint64_t frames; // 0: no limit
    uint64_t clients, timeout_s, rf64_above;
    enum zcb_audio_full full;
    bool json, quiet, list, help;
};

// false: after a message.
bool options_parse(int argc, char **argv, struct options *options);

// ---- capture

enum capture_state { CAPTURE_RUNS, CAPTURE_ENDED, CAPTURE_LOST };

struct capture {
    struct zcb_audio_sink *sink; // NULL: what comes is ignored
    uint32_t frame_bytes;
    uint64_t left;       // frames that are still wanted
    uint64_t frames;     // taken from the device; written by the capture thread alone
    uint64_t warm_bytes; // that capture_warm() counted
    int state;           // enum capture_state
    char why[BACKEND_WHY];
};

// Frames so far. Any thread.
uint64_t capture_frames(const struct capture *capture);
enum capture_state capture_state(const struct capture *capture);

// Opens the backend that options name, or the first that there is. NULL: *code, after a message.
const struct backend *backend_choose(const struct options *options, struct capture *capture,
                                     struct zcb_audio_format *format, void **device,
                                     enum exit_code *code);
enum exit_code backend_list(const struct options *options);
const char *backend_names(void); // "tone, pulse"; static

// ---- WAV: RIFF, or RF64 (EBU Tech 3306) when it has become too long for that

#define WAV_HEADER_MAX 128u
#define WAV_RIFF_MAX UINT32_MAX

struct wav {
    int fd;
    const char *name; // as in messages
    bool rewrites;    // a file, whose header can be mended; else a pipe
    struct zcb_audio_format format;
    uint32_t header_bytes;
    uint64_t data_bytes;
    uint64_t rf64_above; // above this length (of all behind the first 8 bytes) it is RF64
};

// "-" is standard output. 0, or a negative errno.
int wav_create(struct wav *wav, const char *path, const struct zcb_audio_format *format,
               uint64_t rf64_above);

// Appends all of it; changes `pieces`. 0, or a negative errno: then the file has as many whole
// frames as it took.
int wav_append(struct wav *wav, struct iovec *pieces, int count);

// Makes the header tell what is there. 0, or a negative errno. Nothing to do for a pipe.
int wav_mend(struct wav *wav);

// 0, or a negative errno.
int wav_close(struct wav *wav);

// ---- the writer

struct writer {
    struct wav wav;
    struct zcb_audio_consumer *consumer;
    struct zcb_audio_consumer_stats stats; // when it has ended
    uint64_t frames;
    pthread_t thread;
    bool running;
    int error; // a negative errno; read by others
};

bool writer_start(struct writer *writer, struct zcb_audio_sink *sink, uint32_t depth);
int writer_error(const struct writer *writer);

// Waits until all that was captured is written. false: it failed, after a message.
bool writer_finish(struct writer *writer);

// ---- the meter

struct level {
    double peak, highest; // 1.0: full scale; since the last line, and ever
    double squares;       // the sum, since the last line
    double rms;           // of the last line
    double shown;         // falls slowly
    uint64_t clipped;     // samples at full scale or beyond, or no number; ever
};

struct meter {
    struct zcb_audio_format format;
    uint64_t count;  // samples of each channel since the last line
    bool live;       // on a terminal
    unsigned height; // lines of the picture that stands on it
    struct level levels[MAX_CHANNELS];
    char text[16384]; // what is about to be shown
    size_t text_len;
};

void meter_init(struct meter *meter, const struct zcb_audio_format *format, bool live);
void meter_add(struct meter *meter, const struct zcb_audio_packet *packet);

// Shows the levels since the last call, under (or, in a pipe, behind) `head`.
void meter_show(struct meter *meter, const char *head);

// Leaves the picture where it is.
void meter_leave(struct meter *meter);

// "-12.0"; "-inf". Static, four at a time.
const char *decibels(double value);

// ---- clients

struct served {
    uint64_t accepted, turned_away, stalled, left; // clients
    uint64_t most;                                 // at a time
    uint64_t bytes;
    struct zcb_audio_consumer_stats sum; // of all their consumers
};

struct server;

// NULL: *code, after a message.
struct server *server_start(const struct options *options, const struct zcb_audio_format *format,
                            struct zcb_audio_sink *sink, uint32_t depth, enum exit_code *code);
unsigned server_clients(const struct server *server);

// The sink has ended: clients get what waits for them, for two seconds at most. NULL is fine.
void server_finish(struct server *server, struct served *out);

// Sockets that wait for clients. 0; or -1, after a message.
struct listener {
    int fd; // -1: none
    enum zcb_audio_lag lag;
    char path[108]; // to be removed; "": none
    dev_t device;   // what it is
    ino_t inode;
};
int listener_open(struct listener *listener, const struct address *address, enum exit_code *code);
void listener_close(struct listener *listener);

// ---- the report

struct figures {
    const struct options *options;
    const struct backend *backend;
    const struct zcb_audio_format *format;
    const struct capture *capture;
    const struct meter *meter;
    const struct writer *writer; // NULL: none
    struct zcb_audio_sink_stats sink;
    struct zcb_audio_consumer_stats metered;
    struct served served;
    uint64_t allocations, steady_allocations;
    double seconds, cpu, steady_seconds;
    const char *ended; // why
};

void report(const struct figures *figures);

#endif
