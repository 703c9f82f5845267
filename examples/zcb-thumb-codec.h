// SPDX-License-Identifier: MIT
//
// Image files for zcb-thumb: a file into rows of pixels, rows of pixels into a file.
//
//     open     looks at the header: what the file declares. Takes next to no memory
//     shrink   a decoder that can scale down by itself says how far it will
//     start    from here on memory is taken, all of it within the lease
//     row      the next row, from the top; or
//     whole    all pixels at once, of what cannot be had in rows
//     end      after the last row: is the file complete?
//     close    in any case
//
// Functions return 0 or a negative errno and leave the reason in `why`.
#ifndef EXAMPLES_ZCB_THUMB_CODEC_H
#define EXAMPLES_ZCB_THUMB_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zcbuf/adapt/image.h>
#include <zcbuf/adapt/image_budget.h>

#define WHY_BYTES 200

// What a file may have in front of its pixels, or behind them, that is none: libraries look at all
// of it, and nobody lets go of it meanwhile.
#define MAX_BESIDE ((size_t)16 << 20)

// ---- memory: what a job takes is charged to its lease first

struct memory {
    struct zcb_pool *pool; // shared by all jobs
    struct zcb_image_lease *lease;
    size_t largest; // buffer that it was given
};

struct block {
    struct zcb_buf *buf;
    uint8_t *data;
    size_t charged;
};

// A buffer of `len` bytes, 64-byte aligned. 0; -ENOBUFS (beyond the lease); acquire's errors.
int memory_get(struct memory *memory, size_t len, struct block *out);
void memory_put(struct memory *memory, struct block *block);

// The same for an image; what is given back is layout->bytes, with zcb_image_lease_uncharge().
int image_get(struct memory *memory, const struct zcb_image_layout *layout,
              struct zcb_image_buf *out);

// The job's memory is back: the pool keeps at most `keep` bytes of it, the lease ends.
void memory_end(struct memory *memory, size_t keep);

// ---- reading

struct codec;

struct reader {
    const struct codec *codec;
    const uint8_t *data; // the file, mapped
    size_t len;
    struct memory *memory;
    bool lenient; // damage that leaves pixels gray is no error; `damaged` says that it was so
    bool damaged;
    uint64_t max_pixels;

    // What the file declares: open sets it.
    uint32_t width, height;
    uint16_t format;     // enum zcb_image_format of the rows
    uint8_t orientation; // 1 to 8, as EXIF numbers them
    bool streams;        // row can be called; else whole
    const char *kind;    // "progressive" and the like, for messages; or NULL

    // What comes out: width and height, or smaller after shrink.
    uint32_t out_width, out_height;
    struct zcb_image_step step; // what decoding takes, for the plan
    size_t work_bytes;          // what the plan says of it: set before start

    // Called from time to time: what was read of the file can go. `now`: so much has been read
    // that it should; else it is found out.
    void (*passed)(void *ctx, bool now);
    void *passed_ctx;

    void *state;
    char *why; // WHY_BYTES
};

// ---- writing

struct output; // zcb-thumb.h

struct writer {
    const struct codec *codec;
    struct output *output;
    struct memory *memory;
    uint32_t width, height;
    uint16_t format; // what format_for said
    unsigned quality;
    size_t work_bytes; // what the plan says of it
    bool charged;      // and whether the lease knows
    void *state;
    char *why;
};

struct codec {
    const char *name;
    const char *suffix;
    bool charges; // what the library allocates is charged to the lease by itself; else by the plan
    bool (*is)(const uint8_t *data, size_t len);

    int (*open)(struct reader *reader);
    // Comes down to at least width x height, with out_width and out_height; may do nothing.
    void (*shrink)(struct reader *reader, uint32_t width, uint32_t height);
    int (*start)(struct reader *reader);
    int (*row)(struct reader *reader, uint8_t *row);
    int (*whole)(struct reader *reader, const struct zcb_image_buf *image);
    // The decoder's own planes as an image, without a copy; -ENOTSUP: in rows. NULL: it has none.
    int (*planes)(struct reader *reader, struct zcb_image *out);
    int (*end)(struct reader *reader);
    void (*close)(struct reader *reader);

    // NULL: files of this kind are read alone.
    uint16_t (*format_for)(uint16_t format); // the nearest that it can write
    struct zcb_image_step (*write_step)(void);
    int (*write_start)(struct writer *writer);
    int (*write_row)(struct writer *writer, const uint8_t *row);
    int (*write_end)(struct writer *writer);
    void (*write_close)(struct writer *writer);
};

extern const struct codec codec_jpeg, codec_png, codec_webp, codec_avif;

// Those that this program was built with; NULL is behind the last.
extern const struct codec *const codecs[];

// `why` in the words of printf; returns `result`.
int because(char *why, int result, const char *format, ...) __attribute__((format(printf, 3, 4)));

// ---- orientation

// 1 to 8 of a TIFF structure, which is what EXIF is; 1 where it has none, or none that is right.
uint8_t exif_orientation(const uint8_t *tiff, size_t len);

// The same of a JPEG file, whose EXIF is in an APP1 segment.
uint8_t jpeg_orientation(const uint8_t *data, size_t len);

#endif
