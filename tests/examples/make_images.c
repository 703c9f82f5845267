// SPDX-License-Identifier: MIT
//
// make_images KIND WIDTH HEIGHT FILE: an image to test with. Red (or gray) rises from left to right,
// green from top to bottom, blue is 128, alpha rises from top to bottom; all with some noise, which
// keeps encoders busy and files large. KIND is one of the table at the end; "list" prints those that
// are here.
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#if HAVE_SPNG
#include <spng.h>
#endif
#if HAVE_WEBP
#include <webp/encode.h>
#endif
#if HAVE_AVIF
#include <avif/avif.h>
#endif

struct image {
    const char *kind;
    unsigned width, height, channels, bits;
    unsigned noise; // bits of it
    FILE *file;
    uint64_t random;
};

static unsigned
sample(struct image *image, unsigned x, unsigned y, unsigned c)
{
    bool alpha = image->channels % 2 == 0 && c == image->channels - 1;
    unsigned of = image->width > 1 ? image->width - 1 : 1,
             down = image->height > 1 ? image->height - 1 : 1;
    int value, noise;

    image->random = image->random * 6364136223846793005u + 1442695040888963407u;
    noise = (int)(image->random >> (64 - image->noise)) - (1 << (image->noise - 1));
    if (alpha || c == 1)
        value = (int)((uint64_t)y * 255 / down);
    else
        value = c == 0 ? (int)((uint64_t)x * 255 / of) : 128;
    value += noise;
    value = value < 0 ? 0 : value > 255 ? 255 : value;
    return image->bits == 16 ? (unsigned)value * 257 : (unsigned)value;
}

static void
fill_row(struct image *image, unsigned y, uint8_t *row)
{
    for (unsigned x = 0; x < image->width; x++) {
        for (unsigned c = 0; c < image->channels; c++) {
            unsigned value = sample(image, x, y, c);
            size_t at = (size_t)x * image->channels + c;

            if (image->bits == 16)
                ((uint16_t *)(void *)row)[at] = (uint16_t)value;
            else
                row[at] = (uint8_t)value;
        }
    }
}

static int
make_jpeg(struct image *image)
{
    struct jpeg_compress_struct cinfo;
    struct jpeg_error_mgr errors;
    bool cmyk = strcmp(image->kind, "jpeg-cmyk") == 0;
    uint8_t *row = malloc((size_t)image->width * image->channels * 2);

    if (row == NULL)
        return 1;
    cinfo.err = jpeg_std_error(&errors);
    jpeg_create_compress(&cinfo);
    jpeg_stdio_dest(&cinfo, image->file);
    cinfo.image_width = image->width;
    cinfo.image_height = image->height;
    cinfo.input_components = (int)image->channels;
    cinfo.in_color_space = cmyk ? JCS_CMYK : image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&cinfo);
    jpeg_set_quality(&cinfo, strcmp(image->kind, "jpeg-low") == 0 ? 30 : 90, TRUE);
    if (strcmp(image->kind, "jpeg-progressive") == 0)
        jpeg_simple_progression(&cinfo);
    if (strcmp(image->kind, "jpeg-444") == 0)
        cinfo.comp_info[0].h_samp_factor = cinfo.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&cinfo, TRUE);
    for (unsigned y = 0; y < image->height; y++) {
        fill_row(image, y, row);
        // Adobe's way: 255 - ink. Black is none, so that it is the colours of the others.
        for (unsigned x = 0; cmyk && x < image->width; x++)
            row[4 * (size_t)x + 3] = 255;
        jpeg_write_scanlines(&cinfo, &row, 1);
    }
    jpeg_finish_compress(&cinfo);
    jpeg_destroy_compress(&cinfo);
    free(row);
    return 0;
}

#if HAVE_SPNG
static int
png_bytes(spng_ctx *ctx, void *user, void *data, size_t len)
{
    struct image *image = user;

    (void)ctx;
    return fwrite(data, 1, len, image->file) == len ? 0 : SPNG_IO_ERROR;
}

static int
make_png(struct image *image)
{
    static const uint8_t colours[5] = {0, 0, 4, 2, 6};
    bool indexed = strcmp(image->kind, "png-indexed") == 0;
    bool transparent = strcmp(image->kind, "png-transparent") == 0;
    bool bits = strcmp(image->kind, "png-bits") == 0;
    struct spng_ihdr ihdr = {
        image->width, image->height, (uint8_t)image->bits, colours[image->channels], 0, 0, 0};
    size_t bytes = (size_t)image->width * image->channels * image->bits / 8;
    spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    uint8_t *row = calloc(1, bytes);
    int error;

    ihdr.interlace_method = strcmp(image->kind, "png-interlaced") == 0;
    if (indexed) {
        struct spng_plte palette = {.n_entries = 256};

        ihdr.color_type = 3;
        for (unsigned i = 0; i < 256; i++) // three bits of red, three of green
            palette.entries[i] = (struct spng_plte_entry){(uint8_t)((i >> 3 & 7) * 255 / 7),
                                                          (uint8_t)((i & 7) * 255 / 7), 128, 0};
        spng_set_ihdr(ctx, &ihdr);
        spng_set_plte(ctx, &palette);
    }
    if (bits)
        ihdr.bit_depth = 1;
    if (!indexed)
        spng_set_ihdr(ctx, &ihdr);
    if (transparent) {
        struct spng_trns trns = {.red = 1, .green = 2, .blue = 3};

        spng_set_trns(ctx, &trns);
    }
    spng_set_png_stream(ctx, png_bytes, image);
    spng_set_option(ctx, SPNG_IMG_COMPRESSION_LEVEL, 1);
    spng_set_option(ctx, SPNG_FILTER_CHOICE, SPNG_FILTER_CHOICE_NONE | SPNG_FILTER_CHOICE_SUB);
    error = spng_encode_image(ctx, NULL, 0, SPNG_FMT_PNG,
                              SPNG_ENCODE_PROGRESSIVE | SPNG_ENCODE_FINALIZE);
    for (int done = 0; error == 0;) {
        struct spng_row_info info;

        if (spng_get_row_info(ctx, &info) != 0)
            break;
        image->random = info.row_num; // each pass of an interlaced one has the same pixels
        if (indexed) {
            for (unsigned x = 0; x < image->width; x++)
                row[x] = (uint8_t)((uint64_t)x * 8 / image->width << 3 |
                                   (uint64_t)info.row_num * 8 / image->height);
        } else if (bits) {
            bytes = (image->width + 7) / 8;
            memset(row, 0, bytes); // black on the left, white on the right
            for (unsigned x = image->width / 2; x < image->width; x++)
                row[x / 8] = (uint8_t)(row[x / 8] | 0x80 >> x % 8);
        } else {
            fill_row(image, info.row_num, row);
        }
        error = spng_encode_row(ctx, row, bytes);
        done++;
    }
    free(row);
    spng_ctx_free(ctx);
    return error != SPNG_EOI;
}
#endif

#if HAVE_WEBP
static int
webp_bytes(const uint8_t *data, size_t len, const WebPPicture *picture)
{
    return fwrite(data, 1, len, picture->custom_ptr) == len;
}

static int
make_webp(struct image *image)
{
    WebPConfig config;
    WebPPicture picture;
    uint8_t *pixels = malloc((size_t)image->width * image->height * image->channels);
    int good;

    if (pixels == NULL || !WebPConfigInit(&config) || !WebPPictureInit(&picture))
        return 1;
    for (unsigned y = 0; y < image->height; y++)
        fill_row(image, y, pixels + (size_t)y * image->width * image->channels);
    config.method = 0;
    config.quality = strcmp(image->kind, "webp-large") == 0 ? 90 : 75;
    config.lossless = strcmp(image->kind, "webp-lossless") == 0;
    if (config.lossless)
        config.quality = 0;
    picture.use_argb = config.lossless;
    picture.width = (int)image->width;
    picture.height = (int)image->height;
    picture.writer = webp_bytes;
    picture.custom_ptr = image->file;
    good = image->channels == 4 ? WebPPictureImportRGBA(&picture, pixels, (int)image->width * 4)
                                : WebPPictureImportRGB(&picture, pixels, (int)image->width * 3);
    good = good && WebPEncode(&config, &picture);
    WebPPictureFree(&picture);
    free(pixels);
    return !good;
}
#endif

#if HAVE_AVIF
static int
make_avif(struct image *image)
{
    bool gray = strcmp(image->kind, "avif-gray") == 0;
    avifImage *yuv =
        avifImageCreate(image->width, image->height, strcmp(image->kind, "avif-10") == 0 ? 10 : 8,
                        gray ? AVIF_PIXEL_FORMAT_YUV400 : AVIF_PIXEL_FORMAT_YUV420);
    avifEncoder *encoder = avifEncoderCreate();
    avifRWData out = AVIF_DATA_EMPTY;
    avifRGBImage rgb;
    int bad;

    avifRGBImageSetDefaults(&rgb, yuv);
    rgb.depth = 8;
    rgb.format = image->channels == 4 ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    avifRGBImageAllocatePixels(&rgb);
    for (unsigned y = 0; y < image->height; y++)
        fill_row(image, y, rgb.pixels + (size_t)y * rgb.rowBytes);
    if (strcmp(image->kind, "avif-turned") == 0) {
        yuv->transformFlags = AVIF_TRANSFORM_IROT;
        yuv->irot.angle = 1; // a quarter, against the clock
    }
    encoder->speed = AVIF_SPEED_FASTEST;
    encoder->maxThreads = 2;
    bad = avifImageRGBToYUV(yuv, &rgb) != AVIF_RESULT_OK ||
          avifEncoderWrite(encoder, yuv, &out) != AVIF_RESULT_OK ||
          fwrite(out.data, 1, out.size, image->file) != out.size;
    avifRGBImageFreePixels(&rgb);
    avifRWDataFree(&out);
    avifEncoderDestroy(encoder);
    avifImageDestroy(yuv);
    return bad;
}
#endif

static const struct kind {
    const char *name;
    unsigned channels, bits;
    int (*make)(struct image *image);
    unsigned noise; // 0: 3 bits
} kinds[] = {
    {"jpeg", 3, 8, make_jpeg},
    {"jpeg-low", 3, 8, make_jpeg},
    {"jpeg-large", 3, 8, make_jpeg, 6},
    {"jpeg-444", 3, 8, make_jpeg},
    {"jpeg-gray", 1, 8, make_jpeg},
    {"jpeg-cmyk", 4, 8, make_jpeg},
    {"jpeg-progressive", 3, 8, make_jpeg},
#if HAVE_SPNG
    {"png", 3, 8, make_png},
    {"png-gray", 1, 8, make_png},
    {"png-gray-alpha", 2, 8, make_png},
    {"png-rgba", 4, 8, make_png},
    {"png-16", 3, 16, make_png},
    {"png-gray-16", 1, 16, make_png},
    {"png-gray-alpha-16", 2, 16, make_png},
    {"png-rgba-16", 4, 16, make_png},
    {"png-indexed", 1, 8, make_png},
    {"png-transparent", 3, 8, make_png},
    {"png-bits", 1, 8, make_png},
    {"png-interlaced", 3, 8, make_png},
#endif
#if HAVE_WEBP
    {"webp", 3, 8, make_webp},
    {"webp-large", 3, 8, make_webp, 4},
    {"webp-lossless", 3, 8, make_webp},
    {"webp-alpha", 4, 8, make_webp},
#endif
#if HAVE_AVIF
    {"avif", 3, 8, make_avif},
    {"avif-gray", 3, 8, make_avif},
    {"avif-alpha", 4, 8, make_avif},
    {"avif-10", 3, 8, make_avif},
    {"avif-turned", 3, 8, make_avif},
#endif
};

int
main(int argc, char **argv)
{
    struct image image = {.random = 1};
    const struct kind *kind = NULL;
    int bad;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (argc == 2 && strcmp(argv[1], "list") == 0)
            puts(kinds[i].name);
        else if (argc == 5 && strcmp(argv[1], kinds[i].name) == 0)
            kind = &kinds[i];
    }
    if (argc == 2)
        return 0;
    if (kind == NULL) {
        fputs("usage: make_images KIND WIDTH HEIGHT FILE\n", stderr);
        return 2;
    }
    image.kind = kind->name;
    image.channels = kind->channels;
    image.bits = kind->bits;
    image.noise = kind->noise != 0 ? kind->noise : 3;
    image.width = (unsigned)strtoul(argv[2], NULL, 10);
    image.height = (unsigned)strtoul(argv[3], NULL, 10);
    image.file = fopen(argv[4], "wb");
    if (image.file == NULL || image.width == 0 || image.height == 0)
        return 1;
    bad = kind->make(&image);
    return fclose(image.file) != 0 || bad;
}
