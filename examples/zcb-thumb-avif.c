// SPDX-License-Identifier: MIT
//
// AVIF, by libavif: reading alone. AV1 has no rows that could be handed out: libavif keeps the frame,
// in planes of its own. They become an image as they lie, or are turned into RGB a strip at a time.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <avif/avif.h>

#include "zcb-thumb.h"

#define STRIP 32     // rows that become RGB at a time
#define MAX_BOXES 64 // in a file: it has three or four; libavif looks at all of them
#define MAX_DESCRIBED ((size_t)64 << 10) // bytes that are no pixels; a profile may be in them
#define MAX_FRAMES (1u << 16)            // of a sequence, which a few bytes can declare
#define AROUND 2u // rows above and below, so that chroma between two strips has both its neighbours

// The decoder owns the planes: it goes when the last of them does.
struct holder {
    avifDecoder *decoder;
    unsigned users;
};

struct avif {
    struct holder *holder;
    struct block strip;
    size_t stride;
    uint32_t y, first, rows; // of the strip: rows `first` on
};

static void
let_go(struct holder *holder)
{
    if (__atomic_sub_fetch(&holder->users, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    avifDecoderDestroy(holder->decoder);
    free(holder);
}

static void
released(void *ctx, void *data, size_t len)
{
    (void)data;
    (void)len;
    let_go(ctx);
}

static int
avif_failed(char *why, avifResult result)
{
    return because(why, result == AVIF_RESULT_OUT_OF_MEMORY ? -ENOMEM : -EBADMSG, "libavif: %s",
                   avifResultToString(result));
}

static bool
avif_is(const uint8_t *data, size_t len)
{
    avifROData file = {data, len};

    return len >= 12 && memcmp(data + 4, "ftyp", 4) == 0 && avifPeekCompatibleFileType(&file);
}

static uint32_t
u32be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// Boxes from the first to the last: libavif decodes what it has of one that is cut. Those that
// describe the image are read as a whole before anything is known of it, and each of their items is
// looked for among all others: many would take memory that is in no plan, and hours.
static int
look_at_boxes(struct reader *reader)
{
    const uint8_t *data = reader->data;
    size_t at = 0, len = reader->len;

    for (int boxes = 0; len - at >= 8; boxes++) {
        uint64_t size = u32be(data + at);

        if (boxes == MAX_BOXES)
            return because(reader->why, -ENOTSUP, "more than %d boxes", MAX_BOXES);
        if (size == 0) // to the end of the file
            size = len - at;
        if (size == 1)
            size =
                len - at >= 16 ? (uint64_t)u32be(data + at + 8) << 32 | u32be(data + at + 12) : 0;
        if (size < 8 || size > len - at)
            break;
        if (size > MAX_DESCRIBED &&
            (memcmp(data + at + 4, "meta", 4) == 0 || memcmp(data + at + 4, "moov", 4) == 0))
            return because(reader->why, -ENOTSUP, "more than %zu KiB describe the image",
                           MAX_DESCRIBED >> 10);
        at += (size_t)size;
    }
    return at == len ? 0 : because(reader->why, -EBADMSG, "the file ends early");
}

// Turned first, then mirrored (ISO/IEC 23000-22, 7.3.6.7): the one of EXIF's eight that is the same.
static uint8_t
avif_orientation(const avifImage *image)
{
    static const uint8_t by[4][3] = {{1, 4, 2}, {8, 5, 7}, {3, 2, 4}, {6, 7, 5}};
    unsigned turn = image->transformFlags & AVIF_TRANSFORM_IROT ? image->irot.angle & 3 : 0;
    unsigned mirror = image->transformFlags & AVIF_TRANSFORM_IMIR ? 1 + (image->imir.mode & 1) : 0;

    return by[turn][mirror];
}

static uint16_t
planes_format(const avifImage *image)
{
    if (image->depth != 8)
        return ZCB_IMAGE_NONE;
    switch (image->yuvFormat) {
    case AVIF_PIXEL_FORMAT_YUV444:
        return ZCB_IMAGE_YUV444;
    case AVIF_PIXEL_FORMAT_YUV422:
        return ZCB_IMAGE_YUV422;
    case AVIF_PIXEL_FORMAT_YUV420:
        return ZCB_IMAGE_YUV420;
    case AVIF_PIXEL_FORMAT_YUV400:
        return ZCB_IMAGE_GRAY;
    default:
        return ZCB_IMAGE_NONE;
    }
}

static int
avif_open(struct reader *reader)
{
    struct avif *avif = calloc(1, sizeof(*avif));
    avifDecoder *decoder;
    avifResult error;
    int result;

    if (avif == NULL)
        return because(reader->why, -ENOMEM, "out of memory");
    reader->state = avif;
    result = look_at_boxes(reader);
    if (result < 0)
        return result;
    avif->holder = calloc(1, sizeof(*avif->holder));
    decoder = avif->holder != NULL ? avifDecoderCreate() : NULL;
    if (decoder == NULL)
        return because(reader->why, -ENOMEM, "out of memory");
    avif->holder->decoder = decoder;
    avif->holder->users = 1;
    decoder->maxThreads = 1;
    decoder->ignoreExif = AVIF_TRUE; // the file says which way up in words of its own
    decoder->ignoreXMP = AVIF_TRUE;
    decoder->imageCountLimit = MAX_FRAMES;
    if (reader->max_pixels < decoder->imageSizeLimit)
        decoder->imageSizeLimit = (uint32_t)reader->max_pixels;
    error = avifDecoderSetIOMemory(decoder, reader->data, reader->len);
    if (error == AVIF_RESULT_OK)
        error = avifDecoderParse(decoder);
    if (error != AVIF_RESULT_OK)
        return avif_failed(reader->why, error);
    reader->width = decoder->image->width;
    reader->height = decoder->image->height;
    // The plan is for these sizes; frames that are larger than their file declares are not decoded.
    if ((uint64_t)reader->width * reader->height < decoder->imageSizeLimit)
        decoder->imageSizeLimit = reader->width * reader->height;
    reader->format = decoder->alphaPresent ? ZCB_IMAGE_RGBA : ZCB_IMAGE_RGB;
    reader->orientation = avif_orientation(decoder->image);
    reader->streams = true;
    reader->step.codec = ZCB_IMAGE_AVIF;
    reader->step.file_format = planes_format(decoder->image);
    if (decoder->alphaPresent) // more than four full planes it has not
        reader->step.file_format = decoder->image->depth > 8 ? ZCB_IMAGE_RGBA16 : ZCB_IMAGE_RGBA;
    reader->step.extra = (size_t)reader->width * 4 * (STRIP + 2 * AROUND);
    return 0;
}

static int
avif_start(struct reader *reader)
{
    struct avif *avif = reader->state;
    const avifImage *image = avif->holder->decoder->image;
    avifResult error = avifDecoderNextImage(avif->holder->decoder);

    if (error != AVIF_RESULT_OK)
        return avif_failed(reader->why, error);
    if (image->width != reader->width || image->height != reader->height)
        return because(reader->why, -EBADMSG, "the picture has other sizes than the header");
    return 0;
}

static int
convert_strip(struct reader *reader)
{
    struct avif *avif = reader->state;
    const avifImage *image = avif->holder->decoder->image;
    uint32_t above = avif->y < AROUND ? avif->y : AROUND;
    uint32_t rows =
        image->height - avif->y < STRIP + AROUND ? image->height - avif->y : STRIP + AROUND;
    avifCropRect part = {0, avif->y - above, image->width, above + rows};
    avifImage *view = avifImageCreateEmpty();
    avifRGBImage rgb;
    avifResult error;

    if (view == NULL)
        return because(reader->why, -ENOMEM, "out of memory");
    error = avifImageSetViewRect(view, image, &part);
    if (error == AVIF_RESULT_OK) {
        avifRGBImageSetDefaults(&rgb, view);
        rgb.depth = 8;
        rgb.format = reader->format == ZCB_IMAGE_RGBA ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
        rgb.pixels = avif->strip.data;
        rgb.rowBytes = (uint32_t)avif->stride;
        error = avifImageYUVToRGB(view, &rgb);
    }
    avifImageDestroy(view);
    avif->first = avif->y - above;
    avif->rows = rows < STRIP ? rows : STRIP;
    return error == AVIF_RESULT_OK ? 0 : avif_failed(reader->why, error);
}

static int
avif_row(struct reader *reader, uint8_t *row)
{
    struct avif *avif = reader->state;
    size_t bytes = (size_t)reader->width * (reader->format == ZCB_IMAGE_RGBA ? 4 : 3);
    int result = 0;

    if (avif->strip.buf == NULL) {
        avif->stride = bytes;
        result = memory_get(reader->memory, bytes * (STRIP + 2 * AROUND), &avif->strip);
        if (result < 0)
            return because(reader->why, result, "no memory for the pixels");
    }
    if (avif->y % STRIP == 0)
        result = convert_strip(reader);
    if (result == 0)
        memcpy(row, avif->strip.data + (avif->y - avif->first) * avif->stride, bytes);
    avif->y++;
    return result;
}

static int
avif_planes(struct reader *reader, struct zcb_image *out)
{
    struct avif *avif = reader->state;
    const avifImage *image = avif->holder->decoder->image;
    struct zcb_packet planes[ZCB_IMAGE_PLANES] = {{0}};
    struct zcb_image_layout layout;
    int result =
        zcb_image_layout(planes_format(image), image->width, image->height, 1, NULL, &layout);

    if (image->alphaPlane != NULL || result < 0)
        return -ENOTSUP;
    for (unsigned i = 0; i < layout.planes && result == 0; i++) {
        layout.stride[i] = image->yuvRowBytes[i];
        result = zcb_packet_wrap(image->yuvPlanes[i],
                                 layout.stride[i] * (layout.rows[i] - 1) + layout.row_bytes[i],
                                 released, avif->holder, &planes[i]);
        if (result == 0)
            __atomic_add_fetch(&avif->holder->users, 1, __ATOMIC_RELAXED);
    }
    if (result == 0)
        result = zcb_image_wrap_planes(&layout, planes, out);
    if (result < 0)
        for (unsigned i = 0; i < layout.planes; i++)
            zcb_packet_unref(&planes[i]);
    return result < 0 ? because(reader->why, result, "the planes: %s", zcb_strerror(result)) : 0;
}

static int
avif_end(struct reader *reader)
{
    (void)reader;
    return 0;
}

static void
avif_close(struct reader *reader)
{
    struct avif *avif = reader->state;

    if (avif == NULL)
        return;
    memory_put(reader->memory, &avif->strip);
    if (avif->holder != NULL && avif->holder->decoder != NULL)
        let_go(avif->holder);
    else
        free(avif->holder);
    free(avif);
    reader->state = NULL;
}

const struct codec codec_avif = {
    .name = "avif",
    .suffix = ".avif",
    .is = avif_is,
    .open = avif_open,
    .start = avif_start,
    .row = avif_row,
    .planes = avif_planes,
    .end = avif_end,
    .close = avif_close,
};
