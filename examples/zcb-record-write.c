// SPDX-License-Identifier: MIT
//
// The consumer that writes the file: what has come since the last time goes into one writev() from
// where it was captured. A disk that pauses is what its queue is for.
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "zcb-record.h"

#define BATCH 64 // packets of one write

// One batch; what read() said of the first.
static int
write_some(struct writer *w)
{
    struct zcb_audio_packet packets[BATCH];
    struct iovec pieces[BATCH];
    int n = 0, r;

    r = zcb_audio_consumer_read(w->consumer, 200, &packets[0]);
    if (r != 1)
        return r;
    for (n = 1; n < BATCH && zcb_audio_consumer_read(w->consumer, 0, &packets[n]) == 1; n++)
        continue;
    for (int i = 0; i < n; i++) {
        pieces[i] = (struct iovec){(void *)packets[i].bytes.data, packets[i].bytes.len};
        w->frames += packets[i].frames;
    }
    r = wav_append(&w->wav, pieces, n);
    for (int i = 0; i < n; i++)
        zcb_audio_packet_unref(&packets[i]);
    if (r != 0)
        __atomic_store_n(&w->error, r, __ATOMIC_RELEASE);
    return r == 0 ? 1 : 0;
}

static void *
run(void *arg)
{
    struct writer *w = arg;
    uint64_t mended = now_ms();

    while (write_some(w) != 0) {
        // For the case that nobody is left to do it: what is there can be played.
        if (now_ms() - mended < 1000)
            continue;
        mended = now_ms();
        if (wav_mend(&w->wav) != 0)
            continue; // the end will tell
    }
    if (zcb_audio_consumer_stats(w->consumer, &w->stats, sizeof(w->stats)) < 0)
        memset(&w->stats, 0, sizeof(w->stats));
    // Where it failed, its packets are wanted elsewhere.
    zcb_audio_consumer_close(&w->consumer);
    return NULL;
}

bool
writer_start(struct writer *w, struct zcb_audio_sink *sink, uint32_t depth)
{
    struct zcb_audio_consumer_config config = {.lag = ZCB_AUDIO_LAG_HOLD, .depth = depth};
    sigset_t all, before;
    int error = zcb_audio_consumer_open(sink, &config, &w->consumer);

    if (error == 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        error = -pthread_create(&w->thread, NULL, run, w);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    w->running = error == 0;
    if (error != 0)
        say("no thread that writes: %s", strerror(-error));
    return error == 0;
}

int
writer_error(const struct writer *w)
{
    return __atomic_load_n(&w->error, __ATOMIC_ACQUIRE);
}

bool
writer_finish(struct writer *w)
{
    int error;

    if (w->running)
        pthread_join(w->thread, NULL);
    w->running = false;
    error = w->error;
    if (w->wav.fd >= 0) {
        int closed = wav_close(&w->wav);

        error = error != 0 ? error : closed;
    }
    w->frames = w->wav.data_bytes / zcb_audio_frame_bytes(&w->wav.format);
    if (error == 0)
        return true;
    say("%s: %s%s", printable(w->wav.name), strerror(-error),
        error == -ENOSPC || error == -EDQUOT || error == -EFBIG
            ? "; what came before that is in it. Make room, or take another place with -o"
            : "");
    return false;
}
