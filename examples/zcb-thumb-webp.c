// SPDX-License-Identifier: MIT
//
// WebP, by libwebp. It decodes into memory of ours from the mapped file, and scales down on the way
// where that is asked for: then what it takes are some rows of a lossy image, and all pixels of a
// lossless one. It hands out no rows.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/encode.h>

#include "zcb-thumb.h"

#define STEP ((size_t)1 << 20)       // of the file, that libwebp gets at a time
#define IN_PASSING ((size_t)2 << 20) // of alpha in the file, that the plan has room for anyway

struct webp_reader {
    WebPBitstreamFeatures features;
};

struct webp_writer {
    WebPPicture picture;
    struct block argb;
    uint32_t y;
};

// ---- reading

static bool
webp_is(const uint8_t *data, size_t len)
{
    return len >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0;
}

static uint32_t
u32le(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

// From chunk to chunk: which way up, how much of it is alpha, and are there pixels with not too much
// before them? Alpha comes before the colours, and is as large as the image may be.
static bool
look_at_chunks(struct reader *reader, size_t len, size_t *alpha)
{
    const uint8_t *data = reader->data;
    size_t at = 12;
    bool pixels = false;

    while (len - at >= 8) {
        size_t size = u32le(data + at + 4);

        if (size > len - at - 8 || (!pixels && at - *alpha > MAX_BESIDE))
            break;
        if (memcmp(data + at, "VP8 ", 4) == 0 || memcmp(data + at, "VP8L", 4) == 0 ||
            memcmp(data + at, "ANMF", 4) == 0)
            pixels = true;
        else if (memcmp(data + at, "ALPH", 4) == 0 && !pixels)
            *alpha += size;
        if (memcmp(data + at, "EXIF", 4) == 0) {
            reader->orientation = exif_orientation(data + at + 8, size);
            break; // the last that is of interest
        }
        at += 8 + size;
        at += at < len ? size % 2 : 0;
        reader->passed(reader->passed_ctx, false);
    }
    return pixels;
}

static int
webp_failed(char *why, VP8StatusCode status)
{
    switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
        return because(why, -ENOMEM, "libwebp has not enough memory");
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return because(why, -EBADMSG, "the file ends early");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return because(why, -ENOTSUP, "a kind of WebP that libwebp does not decode");
    default:
        return because(why, -EBADMSG, "the file is damaged (libwebp's status %d)", status);
    }
}

static int
webp_open(struct reader *reader)
{
    struct webp_reader *webp;
    VP8StatusCode status;
    size_t alpha = 0, len = 8 + (size_t)u32le(reader->data + 4);

    // Chunks behind the pixels may be cut off without libwebp's noticing.
    if (len > reader->len)
        return because(reader->why, -EBADMSG, "the file ends early: %zu bytes of %zu", reader->len,
                       len);
    reader->orientation = 1;
    if (len < 12 || !look_at_chunks(reader, len, &alpha))
        return because(reader->why, -EBADMSG, "there are no pixels where they should be");
    webp = calloc(1, sizeof(*webp));
    if (webp == NULL)
        return because(reader->why, -ENOMEM, "out of memory");
    reader->state = webp;
    status = WebPGetFeatures(reader->data, reader->len, &webp->features);
    if (status != VP8_STATUS_OK)
        return webp_failed(reader->why, status);
    if (webp->features.has_animation)
        return because(reader->why, -ENOTSUP, "it is animated, which is not read here");
    reader->width = (uint32_t)webp->features.width;
    reader->height = (uint32_t)webp->features.height;
    reader->format = webp->features.has_alpha ? ZCB_IMAGE_RGBA : ZCB_IMAGE_RGB;
    reader->kind = webp->features.format == 2 ? "lossless" : NULL;
    reader->step.codec = webp->features.format == 2 ? ZCB_IMAGE_WEBP_LOSSLESS : ZCB_IMAGE_WEBP;
    reader->step.file_format = webp->features.has_alpha ? ZCB_IMAGE_RGBA : ZCB_IMAGE_YUV420;
    // Of the file: libwebp goes on with alpha and colours at a time, a step of these may take all
    // of that.
    reader->step.extra = alpha > IN_PASSING ? alpha - IN_PASSING : 0;
    return 0;
}

// To exactly that size.
static void
webp_shrink(struct reader *reader, uint32_t width, uint32_t height)
{
    if (width >= reader->width || height >= reader->height)
        return;
    reader->out_width = width;
    reader->out_height = height;
}

static int
webp_start(struct reader *reader)
{
    (void)reader;
    return 0;
}

static int
webp_whole(struct reader *reader, const struct zcb_image_buf *image)
{
    struct webp_reader *webp = reader->state;
    WebPDecoderConfig config;
    WebPIDecoder *decoder;
    VP8StatusCode status = VP8_STATUS_SUSPENDED;

    if (!WebPInitDecoderConfig(&config))
        return because(reader->why, -ENOTSUP, "libwebp is of another version than its header");
    config.input = webp->features;
    config.output.colorspace = reader->format == ZCB_IMAGE_RGBA ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = image->plane[0];
    config.output.u.RGBA.stride = (int)image->stride[0];
    config.output.u.RGBA.size = image->stride[0] * image->height;
    if (reader->out_width != reader->width || reader->out_height != reader->height) {
        config.options.use_scaling = 1;
        config.options.scaled_width = (int)reader->out_width;
        config.options.scaled_height = (int)reader->out_height;
    }
    decoder = WebPIDecode(NULL, 0, &config);
    if (decoder == NULL)
        return because(reader->why, -ENOMEM, "libwebp has not enough memory");
    // A piece more each time, at the same address: it copies nothing, and what it has read can go.
    for (size_t have = 0;
         status == VP8_STATUS_SUSPENDED && have < reader->len && !stop_requested;) {
        have += reader->len - have < STEP ? reader->len - have : STEP;
        status = WebPIUpdate(decoder, reader->data, have);
        reader->passed(reader->passed_ctx, false);
    }
    WebPIDelete(decoder);
    if (stop_requested)
        return because(reader->why, -ECANCELED, "stopped");
    return status == VP8_STATUS_OK ? 0 : webp_failed(reader->why, status);
}

static int
webp_end(struct reader *reader)
{
    (void)reader;
    return 0;
}

static void
webp_close(struct reader *reader)
{
    free(reader->state);
    reader->state = NULL;
}

// ---- writing

static uint16_t
webp_format_for(uint16_t format)
{
    return zcb_image_format_info(format)->has_alpha ? ZCB_IMAGE_RGBA : ZCB_IMAGE_RGB;
}

static struct zcb_image_step
webp_write_step(void)
{
    return (struct zcb_image_step){.kind = ZCB_IMAGE_ENCODE, .codec = ZCB_IMAGE_WEBP};
}

static int
to_output(const uint8_t *data, size_t len, const WebPPicture *picture)
{
    return output_write(picture->custom_ptr, data, len) == 0;
}

static int
webp_write_start(struct writer *writer)
{
    struct webp_writer *webp = calloc(1, sizeof(*webp));
    int result;

    if (webp == NULL)
        return because(writer->why, -ENOMEM, "out of memory");
    writer->state = webp;
    if (writer->width > WEBP_MAX_DIMENSION || writer->height > WEBP_MAX_DIMENSION)
        return because(writer->why, -EOVERFLOW, "%u x %u pixels are too many for WebP",
                       writer->width, writer->height);
    if (!WebPPictureInit(&webp->picture))
        return because(writer->why, -ENOTSUP, "libwebp is of another version than its header");
    result = memory_get(writer->memory, 4 * (size_t)writer->width * writer->height, &webp->argb);
    if (result < 0)
        return because(writer->why, result, "no memory for the pixels");
    webp->picture.use_argb = 1;
    webp->picture.argb = (uint32_t *)(void *)webp->argb.data; // ours: libwebp does not free it
    webp->picture.argb_stride = (int)writer->width;
    webp->picture.width = (int)writer->width;
    webp->picture.height = (int)writer->height;
    webp->picture.writer = to_output;
    webp->picture.custom_ptr = writer->output;
    return 0;
}

static int
webp_write_row(struct writer *writer, const uint8_t *row)
{
    struct webp_writer *webp = writer->state;
    uint32_t *to = webp->picture.argb + (size_t)webp->y++ * writer->width;
    unsigned step = writer->format == ZCB_IMAGE_RGBA ? 4 : 3;

    for (uint32_t x = 0; x < writer->width; x++, row += step)
        to[x] = (uint32_t)(step == 4 ? row[3] : 255) << 24 | (uint32_t)row[0] << 16 |
                (uint32_t)row[1] << 8 | row[2];
    return 0;
}

static int
webp_write_end(struct writer *writer)
{
    struct webp_writer *webp = writer->state;
    WebPConfig config;

    if (!WebPConfigInit(&config))
        return because(writer->why, -ENOTSUP, "libwebp is of another version than its header");
    config.quality = (float)writer->quality;
    if (WebPEncode(&config, &webp->picture))
        return 0;
    if (output_error(writer->output) < 0)
        return output_error(writer->output);
    return because(writer->why, -ENOMEM, "libwebp cannot encode it (error %d)",
                   webp->picture.error_code);
}

static void
webp_write_close(struct writer *writer)
{
    struct webp_writer *webp = writer->state;

    if (webp == NULL)
        return;
    WebPPictureFree(&webp->picture);
    memory_put(writer->memory, &webp->argb);
    free(webp);
    writer->state = NULL;
}

const struct codec codec_webp = {
    .name = "webp",
    .suffix = ".webp",
    .is = webp_is,
    .open = webp_open,
    .shrink = webp_shrink,
    .start = webp_start,
    .whole = webp_whole,
    .end = webp_end,
    .close = webp_close,
    .format_for = webp_format_for,
    .write_step = webp_write_step,
    .write_start = webp_write_start,
    .write_row = webp_write_row,
    .write_end = webp_write_end,
    .write_close = webp_write_close,
};
