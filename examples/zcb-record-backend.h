// SPDX-License-Identifier: MIT
//
// What a sound system has to bring for zcb-record, and what it gets. No system header but C's and
// the library's: zcb-record-wasapi.c is compiled against it for Windows.
//
//     open     connects, and settles the format: what the user left open is the device's own
//     start    frames come from now on, by capture_copy() or capture_make()
//     stop     when it returns, none comes any more
//     close    all is given back
//
// A new one: a file with a `const struct backend`, its name in `backends` of zcb-record-choose.c, a
// dependency in examples/meson.build, a row in docs/zcb-record.md.
#ifndef EXAMPLES_ZCB_RECORD_BACKEND_H
#define EXAMPLES_ZCB_RECORD_BACKEND_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include <zcbuf/adapt/audio.h>

struct capture; // where frames go

// ---- what a backend calls. Its capture thread alone, but for lost and missed; real-time safe.

// Before the first frames; on the thread that brings them.
void capture_warm(struct capture *capture);

// `frames` interleaved frames at `data` are copied into the sink's memory, counted as a copy. NULL:
// silence. `stamp` as for zcb_audio_sink_begin(). Ignored before start.
void capture_copy(struct capture *capture, const void *data, uint32_t frames,
                  const struct zcb_audio_stamp *stamp);

// The same for one that makes the frames where they belong: fill() is called with a place for
// `frames` of them, `from` of this delivery's on, as often as it takes.
void capture_make(struct capture *capture, uint32_t frames, const struct zcb_audio_stamp *stamp,
                  void (*fill)(void *ctx, uint8_t *to, uint32_t from, uint32_t frames), void *ctx);

// Nothing will come any more: the server or the device has gone. `why` is printed. Any thread.
void capture_lost(struct capture *capture, const char *format, ...)
#if defined(__GNUC__) && !defined(_WIN32)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

// Whether nothing more is wanted.
bool capture_ended(const struct capture *capture);

// ---- what it brings

#define BACKEND_WHY 256

struct backend_wish {
    struct zcb_audio_format format; // rate, channels, sample: 0: the device's own. Never planar
    const char *device;             // NULL: the default one
    uint32_t packet_ms;             // about how often frames should come
    const char *tone;               // the generator's: "440", "ramp"
};

// Returns 0, or below 0 with a reason in `why`:
//     -ECONNREFUSED  no such server here      -ENODEV  the server has no such device
//     -EINVAL     not with these options   else: what the system said
struct backend {
    const char *name;
    int (*open)(struct capture *capture, const struct backend_wish *wish,
                struct zcb_audio_format *format, void **device, char why[BACKEND_WHY]);
    int (*start)(void *device, char why[BACKEND_WHY]);
    void (*stop)(void *device);
    void (*close)(void *device);
    // Calls each() for each device: what --device takes, and words about it.
    int (*list)(void (*each)(const char *name, const char *words), char why[BACKEND_WHY]);
};

extern const struct backend backend_jack, backend_pipewire, backend_pulse, backend_tone,
    backend_wasapi;

#endif
