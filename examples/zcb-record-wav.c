// SPDX-License-Identifier: MIT
//
// A WAV file as it is written here:
//
//     "RIFF" size "WAVE"
//     "JUNK" 28 ...       room for "ds64", which it becomes when the file is too long for 32 bits:
//                         then the first word is "RF64", and sizes in 32 bits are all ones
//     "fmt " ...          format tag 1 (integers) or 3 (floats); 0xfffe (extensible) where there
//                         are more than 2 channels, or more than 16 bits of integers
//     "fact" 4 frames     where samples are floats
//     "data" size ...
//
// Nothing is moved for it: whatever the length, the header's is the same. A pipe gets sizes of all
// ones, which says that the end is where it ends.
#include "zcb-record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zcbuf/buf.h>

struct header {
    uint8_t bytes[WAV_HEADER_MAX];
    uint32_t len;
};

static void
put(struct header *h, uint64_t value, unsigned bytes)
{
    for (; bytes != 0; bytes--, value >>= 8)
        h->bytes[h->len++] = (uint8_t)value;
}

static void
put_name(struct header *h, const char *name)
{
    memcpy(h->bytes + h->len, name, 4);
    h->len += 4;
}

// Where the speakers are; 0: nobody knows.
static uint32_t
speakers(unsigned channels)
{
    return channels == 1 ? 0x4 : channels == 2 ? 0x3 : 0;
}

static void
put_format(struct header *h, const struct zcb_audio_format *format, bool is_float)
{
    const uint32_t frame = zcb_audio_frame_bytes(format), bytes = zcb_audio_sample_bytes(format);
    const bool extensible = format->channels > 2 || (!is_float && bytes > 2);
    const uint32_t tag = is_float ? 3 : 1;

    put_name(h, "fmt ");
    put(h, extensible ? 40 : is_float ? 18 : 16, 4);
    put(h, extensible ? 0xfffe : tag, 2);
    put(h, format->channels, 2);
    put(h, format->rate, 4);
    // It is for players that plan ahead; more than it can hold is possible, and told as the most.
    put(h, (uint64_t)format->rate * frame > UINT32_MAX ? UINT32_MAX : format->rate * frame, 4);
    put(h, frame, 2);
    put(h, 8 * bytes, 2);
    if (extensible) {
        static const uint8_t guid[14] = {0, 0, 0,    0, 0x10, 0,    0x80,
                                         0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};

        put(h, 22, 2);
        put(h, 8 * bytes, 2);
        put(h, speakers(format->channels), 4);
        put(h, tag, 2);
        memcpy(h->bytes + h->len, guid, sizeof(guid));
        h->len += sizeof(guid);
    } else if (is_float) {
        put(h, 0, 2);
    }
}

// `open`: the length is not known, and will not be.
static struct header
make_header(const struct wav *wav, bool open)
{
    const bool is_float = wav->format.sample == ZCB_AUDIO_F32;
    const uint32_t frame = zcb_audio_frame_bytes(&wav->format);
    const uint64_t riff = wav->header_bytes - 8 + wav->data_bytes + wav->data_bytes % 2;
    const bool large = !open && riff > wav->rf64_above, ones = open || large;
    struct header h = {.len = 0};

    put_name(&h, large ? "RF64" : "RIFF");
    put(&h, ones ? UINT32_MAX : riff, 4);
    put_name(&h, "WAVE");
    put_name(&h, large ? "ds64" : "JUNK");
    put(&h, 28, 4);
    put(&h, large ? riff : 0, 8);
    put(&h, large ? wav->data_bytes : 0, 8);
    put(&h, large ? wav->data_bytes / frame : 0, 8);
    put(&h, 0, 4); // no table of other long chunks
    put_format(&h, &wav->format, is_float);
    if (is_float) {
        put_name(&h, "fact");
        put(&h, 4, 4);
        put(&h, ones ? UINT32_MAX : wav->data_bytes / frame, 4);
    }
    put_name(&h, "data");
    put(&h, ones ? UINT32_MAX : wav->data_bytes, 4);
    return h;
}

// Adds to *written what was; 0, or a negative errno. Changes `pieces`.
static int
write_all(int fd, struct iovec *pieces, int count, uint64_t *written)
{
    while (count > 0) {
        ssize_t n = writev(fd, pieces, count < IOV_MAX ? count : IOV_MAX);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        *written += (uint64_t)n;
        for (; count > 0 && (size_t)n >= pieces->iov_len; pieces++, count--)
            n -= (ssize_t)pieces->iov_len;
        if (count > 0) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + n;
            pieces->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int
wav_create(struct wav *wav, const char *path, const struct zcb_audio_format *format,
           uint64_t rf64_above)
{
    const bool standard = strcmp(path, "-") == 0;
    struct header header;
    struct iovec piece;
    uint64_t written = 0;
    struct stat st;
    int error;

    *wav = (struct wav){.name = standard ? "standard output" : path, .format = *format};
    wav->rf64_above = rf64_above;
    wav->fd = standard ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                       : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (wav->fd < 0)
        return -errno;
    // A header in the middle of a file, or one that appends, is somebody else's business.
    wav->rewrites = fstat(wav->fd, &st) == 0 && S_ISREG(st.st_mode) &&
                    lseek(wav->fd, 0, SEEK_CUR) == 0 && (fcntl(wav->fd, F_GETFL) & O_APPEND) == 0;
    header = make_header(wav, !wav->rewrites);
    wav->header_bytes = header.len;
    header = make_header(wav, !wav->rewrites); // now with the size of the header itself
    piece = (struct iovec){header.bytes, header.len};
    error = write_all(wav->fd, &piece, 1, &written);
    if (error != 0)
        close(wav->fd);
    return error;
}

// What did not fit to the last byte: a part of a frame is cut off again.
static void
cut(struct wav *wav)
{
    uint32_t part = (uint32_t)(wav->data_bytes % zcb_audio_frame_bytes(&wav->format));

    if (!wav->rewrites || part == 0)
        return;
    wav->data_bytes -= part;
    if (ftruncate(wav->fd, (off_t)(wav->header_bytes + wav->data_bytes)) != 0)
        return; // then there is something behind the data, which players skip
}

int
wav_append(struct wav *wav, struct iovec *pieces, int count)
{
    int error = write_all(wav->fd, pieces, count, &wav->data_bytes);

    if (error != 0)
        cut(wav);
    return error;
}

int
wav_mend(struct wav *wav)
{
    struct header header = make_header(wav, false);
    ssize_t n;

    if (!wav->rewrites)
        return 0;
    do
        n = pwrite(wav->fd, header.bytes, header.len, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n != (ssize_t)header.len ? -EIO : 0;
}

int
wav_close(struct wav *wav)
{
    int error = 0, mended;

    // Chunks are of even length.
    if (wav->rewrites && wav->data_bytes % 2 != 0) {
        ssize_t n = write(wav->fd, "", 1);

        error = n < 0 ? -errno : 0;
    }
    // Also where there was no room for that byte: nobody misses it, but what the header does not
    // tell is lost.
    mended = wav_mend(wav);
    error = error != 0 ? error : mended;
    if (close(wav->fd) != 0 && error == 0)
        error = -errno;
    wav->fd = -1;
    return error;
}
