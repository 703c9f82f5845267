// SPDX-License-Identifier: MIT
//
// Levels: the highest sample and the root mean square of each channel, in dB below full scale, and
// how many samples stood at full scale or beyond. A sine that just fits has a peak of 0 and an RMS
// of -3 dBFS.
//
// On a terminal it is a picture of a line for each channel, redrawn in place. The cursor rests at
// its upper left corner: a message that comes in between takes that line, and the picture moves
// down with the next redraw.
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "zcb-record.h"

#define FLOOR_DB -60.0 // the left end of a bar
#define FALL_DB 1.5    // how far a bar may fall from one picture to the next

const char *
decibels(double value)
{
    static char texts[4][16];
    static unsigned turn;
    char *text = texts[turn++ % 4];

    double db = value > 0 ? 20 * log10(value) : 0;

    // Not "-0.0".
    db = db < 0 && db > -0.05 ? 0 : db;
    if (value > 0)
        snprintf(text, sizeof(texts[0]), "%.1f", db);
    else
        snprintf(text, sizeof(texts[0]), "-inf");
    return text;
}

static double
level_db(double value)
{
    return value > 0 ? 20 * log10(value) : -200;
}

void
meter_init(struct meter *meter, const struct zcb_audio_format *format, bool live)
{
    memset(meter, 0, sizeof(*meter));
    meter->format = *format;
    meter->live = live;
}

// A sample between -1 and 1, and whether it is at an end of what its type holds.
static double
sample_value(const uint8_t *at, unsigned sample, bool *clipped)
{
    int32_t value, low;
    int16_t s16;
    float f32;

    switch (sample) {
    case ZCB_AUDIO_S16:
        memcpy(&s16, at, 2);
        *clipped = s16 == INT16_MAX || s16 == INT16_MIN;
        return s16 / 32768.0;
    case ZCB_AUDIO_S24:
        value = (int32_t)((uint32_t)at[0] << 8 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 24);
        low = INT32_MIN;
        *clipped = value == low || value == 0x7fffff00;
        return value / 2147483648.0;
    case ZCB_AUDIO_S32:
        memcpy(&value, at, 4);
        *clipped = value == INT32_MAX || value == INT32_MIN;
        return value / 2147483648.0;
    default:
        memcpy(&f32, at, 4);
        *clipped = !(f32 > -1 && f32 < 1);
        return isfinite(f32) ? (double)f32 : 1;
    }
}

void
meter_add(struct meter *meter, const struct zcb_audio_packet *packet)
{
    struct zcb_audio_channel channel;

    meter->count += packet->frames;
    for (unsigned c = 0; c < meter->format.channels; c++) {
        struct level *level = &meter->levels[c];

        if (zcb_audio_packet_channel(packet, c, &channel) < 0)
            return;
        for (uint32_t i = 0; i < channel.frames; i++) {
            bool clipped;
            double value = sample_value(channel.data + (size_t)i * channel.stride,
                                        meter->format.sample, &clipped);

            level->clipped += clipped;
            level->squares += value * value;
            value = fabs(value);
            level->peak = value > level->peak ? value : level->peak;
        }
        level->highest = level->peak > level->highest ? level->peak : level->highest;
    }
}

// All of a picture, or of a line, goes out by one write.
static void __attribute__((format(printf, 2, 3))) put(struct meter *meter, const char *format, ...)
{
    size_t room = sizeof(meter->text) - meter->text_len;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(meter->text + meter->text_len, room, format, args);
    va_end(args);
    if (n > 0)
        meter->text_len += (size_t)n < room ? (size_t)n : room - 1;
}

static void
send_off(struct meter *meter)
{
    fwrite(meter->text, 1, meter->text_len, stderr);
    fflush(stderr);
    meter->text_len = 0;
}

static void
draw_bar(struct meter *meter, const struct level *level, unsigned width)
{
    double peak = (level->shown - FLOOR_DB) / -FLOOR_DB * width;
    double rms = (level_db(level->rms) - FLOOR_DB) / -FLOOR_DB * width;

    put(meter, "[");
    for (unsigned i = 0; i < width; i++)
        put(meter, "%c", i < rms ? '#' : i < peak ? '-' : ' ');
    put(meter, "] ");
}

static void
draw(struct meter *meter, const char *head)
{
    struct winsize window;
    unsigned channels = meter->format.channels, lines, columns = 80, rows = 24;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 && window.ws_row > 0) {
        columns = window.ws_col < 200 ? window.ws_col : 200;
        rows = window.ws_row;
    }
    // All of it has to be on the screen, or going up again ends at the wrong line.
    lines = channels < 16 ? channels : 16;
    if (lines + 2 > rows)
        lines = rows > 2 ? rows - 2 : 0;
    put(meter, "\r%.*s\033[K\n", (int)columns - 1, head);
    for (unsigned c = 0; c < lines; c++) {
        const struct level *level = &meter->levels[c];
        // " 1 [", a bar, "] ", and up to this many letters of words
        const unsigned words = 40;
        unsigned width = columns > words + 16 ? columns - words - 7 : 0;
        unsigned rest = columns - 4 - (width != 0 ? width + 3 : 0);
        char text[80];
        int n;

        n = snprintf(text, sizeof(text), "%5s dBFS, rms %5s", decibels(level->peak),
                     decibels(level->rms));
        if (level->clipped != 0 && n > 0 && (size_t)n < sizeof(text))
            snprintf(text + n, sizeof(text) - (size_t)n, ", clipped %llu",
                     (unsigned long long)level->clipped);
        if (columns > 4) {
            put(meter, "%2u ", c + 1);
            if (width != 0)
                draw_bar(meter, level, width);
            put(meter, "%.*s", (int)rest, text);
        }
        put(meter, "\033[K\n");
    }
    meter->height = lines + 1;
    put(meter, "\033[J\033[%uA", meter->height);
    send_off(meter);
}

void
meter_show(struct meter *meter, const char *head)
{
    unsigned channels = meter->format.channels;

    for (unsigned c = 0; c < channels; c++) {
        struct level *level = &meter->levels[c];
        double peak;

        level->rms = meter->count != 0 ? sqrt(level->squares / (double)meter->count) : 0;
        peak = level_db(level->peak);
        level->shown = peak > level->shown - FALL_DB ? peak : level->shown - FALL_DB;
    }
    if (meter->live) {
        draw(meter, head);
    } else {
        put(meter, "%s", head);
        for (unsigned c = 0; c < channels && c < 16; c++) {
            const struct level *level = &meter->levels[c];

            put(meter, "  %u: %s (rms %s)", c + 1, decibels(level->peak), decibels(level->rms));
            if (level->clipped != 0)
                put(meter, " clipped %llu", (unsigned long long)level->clipped);
        }
        put(meter, "\n");
        send_off(meter);
    }
    for (unsigned c = 0; c < channels; c++)
        meter->levels[c].peak = meter->levels[c].squares = 0;
    meter->count = 0;
}

void
meter_leave(struct meter *meter)
{
    for (; meter->height != 0; meter->height--)
        fputc('\n', stderr);
}
