// SPDX-License-Identifier: MIT
//
// PNG, by libspng. Rows come one by one from the mapped file; of an interlaced one the last pass is
// the one with half of the rows, so it is kept whole.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spng.h>

#include "zcb-thumb.h"

struct png {
    spng_ctx *spng;
    struct zcb_image_lease *lease;
    int format; // enum spng_format
    int flags;
    size_t beside; // bytes of chunks that are no pixels
    bool at_end;
};

// libspng keeps text, colour profiles and the like, inflated where they are packed; what is beyond
// this it refuses.
static size_t
chunk_limit(const struct png *png)
{
    return ((size_t)1 << 20) + 4 * png->beside;
}

// ---- memory: libspng's functions come without a context

static _Thread_local struct zcb_image_lease *lease;

static void *
png_malloc(size_t len)
{
    return zcb_image_lease_malloc(lease, len);
}

static void *
png_realloc(void *ptr, size_t len)
{
    return zcb_image_lease_realloc(lease, ptr, len);
}

static void *
png_calloc(size_t n, size_t len)
{
    return zcb_image_lease_calloc(lease, n, len);
}

static int
create(struct memory *memory, int flags, spng_ctx **out)
{
    static struct spng_alloc functions = {png_malloc, png_realloc, png_calloc,
                                          zcb_image_lease_free};

    lease = memory->lease;
    *out = spng_ctx_new2(&functions, flags);
    return *out != NULL ? 0 : -ENOMEM;
}

static int
png_failed(char *why, int error)
{
    if (error == SPNG_EMEM)
        return because(why, -ENOMEM, "libspng has not enough memory");
    if (error == SPNG_IO_EOF || error == SPNG_EOF)
        return because(why, -EBADMSG, "the file ends early");
    return because(why, -EBADMSG, "%s", spng_strerror(error));
}

// ---- reading

static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

// The first four bytes: a file that a bad transfer has changed says so, instead of being no image.
static bool
png_is(const uint8_t *data, size_t len)
{
    return len >= 4 && memcmp(data, signature, 4) == 0;
}

static uint32_t
u32be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool
is_type(const uint8_t *chunk, const char *type)
{
    return memcmp(chunk + 4, type, 4) == 0;
}

// From chunk to chunk to the last one: libspng does not mind if that is cut off. Is there
// transparency, which way up? And all that is no pixels is little.
static int
look_at_chunks(struct reader *reader, bool *transparent, size_t *beside)
{
    static const uint8_t last[12] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    size_t at = 8;
    bool pixels = false;

    while (reader->len - at >= 12) {
        const uint8_t *chunk = reader->data + at;
        size_t size = u32be(chunk);

        if (memcmp(chunk, last, 12) == 0)
            return 0;
        if (size > reader->len - at - 12)
            break;
        if (is_type(chunk, "IDAT"))
            pixels = true;
        else
            *beside += 12 + size;
        if (*beside > MAX_BESIDE)
            return because(reader->why, -ENOTSUP, "more than %zu MiB of it are no pixels",
                           MAX_BESIDE >> 20);
        if (is_type(chunk, "tRNS") && !pixels)
            *transparent = true;
        if (is_type(chunk, "eXIf"))
            reader->orientation = exif_orientation(chunk + 8, size);
        at += 12 + size;
        reader->passed(reader->passed_ctx, false);
    }
    return png_failed(reader->why, SPNG_EOF);
}

// What libspng makes of each colour type; -1: PNG has none such.
static int
pixels_of(struct reader *reader, bool transparent, int *flags)
{
    unsigned colour = reader->data[25];
    bool wide = reader->data[24] == 16;

    *flags = 0;
    if (transparent && (colour == 0 || colour == 2 || colour == 3)) {
        *flags = SPNG_DECODE_TRNS;
        reader->format = wide ? ZCB_IMAGE_RGBA16 : ZCB_IMAGE_RGBA;
        return wide ? SPNG_FMT_RGBA16 : SPNG_FMT_RGBA8;
    }
    switch (colour) {
    case SPNG_COLOR_TYPE_GRAYSCALE:
        reader->format = wide ? ZCB_IMAGE_GRAY16 : ZCB_IMAGE_GRAY;
        return wide ? SPNG_FMT_PNG : SPNG_FMT_G8;
    case SPNG_COLOR_TYPE_TRUECOLOR:
        reader->format = wide ? ZCB_IMAGE_RGB16 : ZCB_IMAGE_RGB;
        return SPNG_FMT_PNG;
    case SPNG_COLOR_TYPE_INDEXED:
        reader->format = ZCB_IMAGE_RGB;
        return SPNG_FMT_RGB8;
    case SPNG_COLOR_TYPE_GRAYSCALE_ALPHA:
        reader->format = wide ? ZCB_IMAGE_GRAY_ALPHA16 : ZCB_IMAGE_GRAY_ALPHA;
        return SPNG_FMT_PNG;
    case SPNG_COLOR_TYPE_TRUECOLOR_ALPHA:
        reader->format = wide ? ZCB_IMAGE_RGBA16 : ZCB_IMAGE_RGBA;
        return SPNG_FMT_PNG;
    default:
        return -1;
    }
}

static int
png_open(struct reader *reader)
{
    bool transparent = false;
    struct png *png;
    int result;

    if (reader->len < 33)
        return because(reader->why, -EBADMSG, "the file ends in its header");
    if (memcmp(reader->data, signature, 8) != 0)
        return because(reader->why, -EBADMSG, "invalid signature: was it sent as text?");
    if (u32be(reader->data + 8) != 13 || memcmp(reader->data + 12, "IHDR", 4) != 0)
        return because(reader->why, -EBADMSG, "the first chunk is no IHDR");
    png = calloc(1, sizeof(*png));
    if (png == NULL)
        return because(reader->why, -ENOMEM, "out of memory");
    reader->state = png;
    reader->orientation = 1;
    result = look_at_chunks(reader, &transparent, &png->beside);
    if (result < 0)
        return result;
    reader->width = u32be(reader->data + 16);
    reader->height = u32be(reader->data + 20);
    png->format = pixels_of(reader, transparent, &png->flags);
    if (png->format < 0)
        return because(reader->why, -EBADMSG, "invalid color type %u", reader->data[25]);
    reader->streams = reader->data[28] == 0;
    reader->kind = reader->streams ? NULL : "interlaced";
    reader->step.codec = reader->streams ? ZCB_IMAGE_PNG : ZCB_IMAGE_PNG_INTERLACED;
    reader->step.extra = 2 * chunk_limit(png);
    return 0;
}

static int
png_start(struct reader *reader)
{
    struct png *png = reader->state;
    struct spng_ihdr ihdr;
    int error, result = create(reader->memory, 0, &png->spng);

    if (result < 0)
        return because(reader->why, result, "out of memory");
    error = spng_set_image_limits(png->spng, reader->width, reader->height);
    if (error == 0)
        error = spng_set_chunk_limits(png->spng, chunk_limit(png), chunk_limit(png));
    // Damage in what is no pixels harms nobody: it is left out.
    if (error == 0)
        error = spng_set_crc_action(png->spng, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    if (error == 0)
        error = spng_set_png_buffer(png->spng, reader->data, reader->len);
    if (error == 0)
        error = spng_get_ihdr(png->spng, &ihdr);
    if (error == 0)
        error = spng_decode_image(png->spng, NULL, 0, png->format,
                                  SPNG_DECODE_PROGRESSIVE | png->flags);
    return error == 0 ? 0 : png_failed(reader->why, error);
}

static int
png_read(struct reader *reader, uint8_t *row)
{
    struct png *png = reader->state;
    size_t bytes = (size_t)reader->width * zcb_image_format_info(reader->format)->pixel_bytes[0];
    int error;

    lease = reader->memory->lease;
    if (png->at_end)
        return because(reader->why, -EBADMSG, "the pixels end early");
    error = spng_decode_row(png->spng, row, bytes);
    png->at_end = error == SPNG_EOI; // and this was the last row
    return error == 0 || error == SPNG_EOI ? 0 : png_failed(reader->why, error);
}

static int
png_row(struct reader *reader, uint8_t *row)
{
    int result = png_read(reader, row);

    reader->passed(reader->passed_ctx, false);
    return result;
}

// Passes, each with some of the rows; a row keeps what an earlier pass has put there.
static int
png_whole(struct reader *reader, const struct zcb_image_buf *image)
{
    struct png *png = reader->state;
    struct spng_row_info info;
    int result = 0;

    while (result == 0 && !png->at_end) {
        int error = spng_get_row_info(png->spng, &info);

        if (error == SPNG_EOI) { // small images have no rows in the last passes
            png->at_end = true;
            break;
        }
        if (error != 0)
            return png_failed(reader->why, error);
        result = png_row(reader, zcb_image_buf_row(image, 0, info.row_num));
    }
    return result;
}

static int
png_end(struct reader *reader)
{
    struct png *png = reader->state;
    int error;

    lease = reader->memory->lease;
    if (!png->at_end)
        return because(reader->why, -EBADMSG, "there are more pixels than the header says");
    error = spng_decode_chunks(png->spng); // up to the last, IEND
    return error == 0 ? 0 : png_failed(reader->why, error);
}

static void
png_close(struct reader *reader)
{
    struct png *png = reader->state;

    if (png == NULL)
        return;
    spng_ctx_free(png->spng);
    free(png);
    reader->state = NULL;
}

// ---- writing

static uint16_t
png_format_for(uint16_t format)
{
    return format;
}

static struct zcb_image_step
png_write_step(void)
{
    return (struct zcb_image_step){
        .kind = ZCB_IMAGE_ENCODE, .codec = ZCB_IMAGE_PNG, .flags = ZCB_IMAGE_STREAMS};
}

static int
to_output(spng_ctx *ctx, void *user, void *data, size_t len)
{
    (void)ctx;
    return output_write(user, data, len) < 0 ? SPNG_IO_ERROR : 0;
}

static int
write_failed(struct writer *writer, int error)
{
    int result = output_error(writer->output);

    return result < 0 ? result : png_failed(writer->why, error);
}

static int
png_write_start(struct writer *writer)
{
    const struct zcb_image_format_info *info = zcb_image_format_info(writer->format);
    struct png *png = calloc(1, sizeof(*png));
    struct spng_ihdr ihdr = {.width = writer->width, .height = writer->height};
    int error, result;

    if (png == NULL)
        return because(writer->why, -ENOMEM, "out of memory");
    writer->state = png;
    result = create(writer->memory, SPNG_CTX_ENCODER, &png->spng);
    if (result < 0)
        return because(writer->why, result, "out of memory");
    ihdr.bit_depth = info->sample_bits;
    ihdr.color_type = (uint8_t)((info->channels > 2 ? 2 : 0) | (info->has_alpha ? 4 : 0));
    error = spng_set_png_stream(png->spng, to_output, writer->output);
    if (error == 0)
        error = spng_set_ihdr(png->spng, &ihdr);
    if (error == 0)
        error = spng_encode_image(png->spng, NULL, 0, SPNG_FMT_PNG,
                                  SPNG_ENCODE_PROGRESSIVE | SPNG_ENCODE_FINALIZE);
    return error == 0 ? 0 : write_failed(writer, error);
}

static int
png_write_row(struct writer *writer, const uint8_t *row)
{
    const struct zcb_image_format_info *info = zcb_image_format_info(writer->format);
    struct png *png = writer->state;
    int error;

    lease = writer->memory->lease;
    error = spng_encode_row(png->spng, row, (size_t)writer->width * info->pixel_bytes[0]);
    png->at_end = error == SPNG_EOI;
    return error == 0 || error == SPNG_EOI ? 0 : write_failed(writer, error);
}

static int
png_write_end(struct writer *writer)
{
    struct png *png = writer->state;

    return png->at_end ? 0 : because(writer->why, -EBADMSG, "rows are missing");
}

static void
png_write_close(struct writer *writer)
{
    struct png *png = writer->state;

    if (png == NULL)
        return;
    spng_ctx_free(png->spng);
    free(png);
    writer->state = NULL;
}

const struct codec codec_png = {
    .name = "png",
    .suffix = ".png",
    .charges = true,
    .is = png_is,
    .open = png_open,
    .start = png_start,
    .row = png_row,
    .whole = png_whole,
    .end = png_end,
    .close = png_close,
    .format_for = png_format_for,
    .write_step = png_write_step,
    .write_start = png_write_start,
    .write_row = png_write_row,
    .write_end = png_write_end,
    .write_close = png_write_close,
};
