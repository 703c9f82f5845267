// SPDX-License-Identifier: MIT
//
// What codecs allocate: the figures behind zcb_image_plan(), measured by counting malloc. No times
// are taken.
//
//     image-memory           a table: what was measured, what the plan says
//     image-memory --check   the same; exit 1 where more was measured than planned
//
// Each codec reads and writes a picture with edges and noise, in sizes that tell a cost per pixel
// from a cost per row: large, wide, tall, small. The program's own frames and rows are not counted,
// as the plan has them apart. glibc only: it takes malloc's place.
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <avif/avif.h>
#include <jpeglib.h>
#include <png.h>
#include <spng.h>
#include <webp/decode.h>
#include <webp/encode.h>

#include <zcbuf/adapt/image_budget.h>

// ---- counting malloc

extern void *__libc_malloc(size_t len);
extern void *__libc_calloc(size_t n, size_t len);
extern void *__libc_realloc(void *ptr, size_t len);
extern void *__libc_memalign(size_t align, size_t len);
extern void __libc_free(void *ptr);

static size_t live, peak;

static void *
in(void *ptr)
{
    size_t now;

    if (ptr == NULL)
        return NULL;
    now = __atomic_add_fetch(&live, malloc_usable_size(ptr), __ATOMIC_RELAXED);
    if (now > __atomic_load_n(&peak, __ATOMIC_RELAXED))
        __atomic_store_n(&peak, now, __ATOMIC_RELAXED); // a race may lose a little, seldom
    return ptr;
}

void
free(void *ptr)
{
    if (ptr != NULL)
        __atomic_sub_fetch(&live, malloc_usable_size(ptr), __ATOMIC_RELAXED);
    __libc_free(ptr);
}

void *
malloc(size_t len)
{
    return in(__libc_malloc(len));
}

void *
calloc(size_t n, size_t len)
{
    return in(__libc_calloc(n, len));
}

void *
realloc(void *ptr, size_t len)
{
    // As if it always moved, which it may.
    void *moved;

    if (ptr == NULL)
        return malloc(len);
    moved = malloc(len);
    if (moved != NULL) {
        size_t before = malloc_usable_size(ptr);

        memcpy(moved, ptr, before < len ? before : len);
        free(ptr);
    }
    return moved;
}

void *
memalign(size_t align, size_t len)
{
    return in(__libc_memalign(align, len));
}

void *
aligned_alloc(size_t align, size_t len)
{
    return memalign(align, len);
}

int
posix_memalign(void **out, size_t align, size_t len)
{
    *out = memalign(align, len);
    return *out != NULL ? 0 : ENOMEM;
}

// ---- a picture, and a file of it

struct work {
    uint32_t width, height;
    unsigned channels; // 1, 3 or 4
    uint8_t *pixels;
    uint8_t *file; // where encoders write; large enough
    size_t file_len, file_most;
    unsigned variant;
};

static void
fail(const char *what)
{
    fprintf(stderr, "image-memory: %s\n", what);
    exit(2);
}

static void
paint(struct work *work)
{
    uint32_t noise = 12345;
    uint8_t *at = work->pixels;

    for (uint32_t y = 0; y < work->height; y++)
        for (uint32_t x = 0; x < work->width; x++)
            for (unsigned c = 0; c < work->channels; c++) {
                noise = noise * 1664525u + 1013904223u;
                *at++ = (uint8_t)(((x * (c + 1) / 9) ^ (y / 7)) + (noise >> 28));
            }
}

static void
keep(struct work *work, const void *data, size_t len)
{
    if (len > work->file_most - work->file_len)
        fail("file too large");
    memcpy(work->file + work->file_len, data, len);
    work->file_len += len;
}

// ---- JPEG

enum { GRAY, YUV420, YUV422, YUV444, CMYK };

static void
jpeg_sink_init(j_compress_ptr c)
{
    struct work *work = c->client_data;

    c->dest->next_output_byte = work->file;
    c->dest->free_in_buffer = work->file_most;
}

static boolean
jpeg_sink_full(j_compress_ptr c)
{
    (void)c;
    fail("file too large");
    return FALSE;
}

static void
jpeg_sink_end(j_compress_ptr c)
{
    struct work *work = c->client_data;

    work->file_len = work->file_most - c->dest->free_in_buffer;
}

static void
jpeg_write(struct work *work, bool progressive, bool optimise)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr error;
    struct jpeg_destination_mgr to = {.init_destination = jpeg_sink_init,
                                      .empty_output_buffer = jpeg_sink_full,
                                      .term_destination = jpeg_sink_end};

    c.err = jpeg_std_error(&error);
    jpeg_create_compress(&c);
    c.client_data = work;
    c.dest = &to;
    c.image_width = work->width;
    c.image_height = work->height;
    c.input_components = (int)work->channels;
    c.in_color_space = work->channels == 1   ? JCS_GRAYSCALE
                       : work->channels == 4 ? JCS_CMYK
                                             : JCS_RGB;
    jpeg_set_defaults(&c);
    if (work->channels == 3) {
        c.comp_info[0].h_samp_factor = work->variant != YUV444 ? 2 : 1;
        c.comp_info[0].v_samp_factor = work->variant == YUV420 ? 2 : 1;
    }
    if (progressive)
        jpeg_simple_progression(&c);
    c.optimize_coding = optimise;
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = work->pixels + (size_t)c.next_scanline * work->width * work->channels;

        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
}

static void
write_jpeg(struct work *work)
{
    jpeg_write(work, false, false);
}

static void
write_jpeg_progressive(struct work *work)
{
    jpeg_write(work, true, true);
}

static void
write_jpeg_optimised(struct work *work)
{
    jpeg_write(work, false, true);
}

static void
jpeg_read(struct work *work, unsigned shrink)
{
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr error;

    d.err = jpeg_std_error(&error);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, work->file, work->file_len);
    jpeg_read_header(&d, TRUE);
    d.scale_num = 1;
    d.scale_denom = shrink;
    jpeg_start_decompress(&d);
    while (d.output_scanline < d.output_height) {
        JSAMPROW row = work->pixels;

        jpeg_read_scanlines(&d, &row, 1);
    }
    jpeg_finish_decompress(&d);
    jpeg_destroy_decompress(&d);
}

static void
read_jpeg(struct work *work)
{
    jpeg_read(work, 1);
}

static void
read_jpeg_eighth(struct work *work)
{
    jpeg_read(work, 8);
}

// ---- PNG

static void
png_sink(png_structp png, png_bytep data, png_size_t len)
{
    keep(png_get_io_ptr(png), data, len);
}

static void
png_sink_flush(png_structp png)
{
    (void)png;
}

static void
write_png(struct work *work)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    int passes;

    if (setjmp(png_jmpbuf(png)))
        fail("libpng");
    work->file_len = 0;
    png_set_write_fn(png, work, png_sink, png_sink_flush);
    png_set_IHDR(png, info, work->width, work->height, 8,
                 work->channels == 1   ? PNG_COLOR_TYPE_GRAY
                 : work->channels == 3 ? PNG_COLOR_TYPE_RGB
                                       : PNG_COLOR_TYPE_RGBA,
                 work->variant ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
    png_write_info(png, info);
    passes = png_set_interlace_handling(png);
    for (; passes > 0; passes--)
        for (uint32_t y = 0; y < work->height; y++)
            png_write_row(png, work->pixels + (size_t)y * work->width * work->channels);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
}

struct png_from {
    struct work *work;
    size_t at;
};

static void
png_source(png_structp png, png_bytep data, png_size_t len)
{
    struct png_from *from = png_get_io_ptr(png);

    if (len > from->work->file_len - from->at)
        png_error(png, "short");
    memcpy(data, from->work->file + from->at, len);
    from->at += len;
}

static void
read_png(struct work *work)
{
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    struct png_from from = {work, 0};
    int passes;

    if (setjmp(png_jmpbuf(png)))
        fail("libpng");
    png_set_read_fn(png, &from, png_source);
    png_read_info(png, info);
    passes = png_set_interlace_handling(png);
    for (; passes > 0; passes--)
        for (uint32_t y = 0; y < work->height; y++)
            png_read_row(png, work->pixels + (size_t)y * work->width * work->channels, NULL);
    png_destroy_read_struct(&png, &info, NULL);
}

static void
read_spng(struct work *work)
{
    spng_ctx *spng = spng_ctx_new(0);
    struct spng_row_info row;

    spng_set_png_buffer(spng, work->file, work->file_len);
    if (spng_decode_image(spng, NULL, 0, SPNG_FMT_PNG, SPNG_DECODE_PROGRESSIVE) != 0)
        fail("libspng");
    while (spng_get_row_info(spng, &row) == 0)
        if (spng_decode_row(spng, work->pixels + (size_t)row.row_num * work->width * work->channels,
                            (size_t)work->width * work->channels) == SPNG_EOI)
            break;
    spng_ctx_free(spng);
}

static void
write_spng(struct work *work)
{
    spng_ctx *spng = spng_ctx_new(SPNG_CTX_ENCODER);
    struct spng_ihdr header = {.width = work->width,
                               .height = work->height,
                               .bit_depth = 8,
                               .color_type = work->channels == 1 ? SPNG_COLOR_TYPE_GRAYSCALE
                                             : work->channels == 3
                                                 ? SPNG_COLOR_TYPE_TRUECOLOR
                                                 : SPNG_COLOR_TYPE_TRUECOLOR_ALPHA};
    size_t row = (size_t)work->width * work->channels;

    FILE *null = fopen("/dev/null", "wb");

    spng_set_ihdr(spng, &header);
    spng_set_png_file(spng, null);
    if (spng_encode_image(spng, NULL, 0, SPNG_FMT_PNG, SPNG_ENCODE_PROGRESSIVE) != 0)
        fail("libspng");
    for (uint32_t y = 0; y < work->height; y++)
        if (spng_encode_row(spng, work->pixels + y * row, row) == SPNG_EOI)
            break;
    spng_ctx_free(spng);
    fclose(null);
}

// ---- WebP

static int
webp_sink(const uint8_t *data, size_t len, const WebPPicture *picture)
{
    keep(picture->custom_ptr, data, len);
    return 1;
}

static void
webp_write(struct work *work, int lossless, int method)
{
    WebPConfig config;
    WebPPicture picture;

    WebPConfigInit(&config);
    WebPPictureInit(&picture);
    config.method = method;
    config.lossless = lossless;
    picture.use_argb = lossless;
    picture.width = (int)work->width;
    picture.height = (int)work->height;
    picture.writer = webp_sink;
    picture.custom_ptr = work;
    work->file_len = 0;
    if (work->channels == 4)
        WebPPictureImportRGBA(&picture, work->pixels, (int)(work->width * 4));
    else
        WebPPictureImportRGB(&picture, work->pixels, (int)(work->width * 3));
    if (!WebPEncode(&config, &picture))
        fail("libwebp");
    WebPPictureFree(&picture);
}

static void
write_webp(struct work *work)
{
    webp_write(work, 0, work->variant != 0 ? (int)work->variant : 4);
}

static void
write_webp_lossless(struct work *work)
{
    webp_write(work, 1, work->variant != 0 ? (int)work->variant : 4);
}

static void
webp_read(struct work *work, uint32_t shrink, int threads)
{
    WebPDecoderConfig config;
    size_t row = (size_t)work->width / shrink * work->channels;

    WebPInitDecoderConfig(&config);
    config.output.colorspace = work->channels == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = work->pixels;
    config.output.u.RGBA.stride = (int)row;
    config.output.u.RGBA.size = row * work->height;
    config.options.use_threads = threads;
    if (shrink > 1) {
        config.options.use_scaling = 1;
        config.options.scaled_width = (int)(work->width / shrink);
        config.options.scaled_height = (int)(work->height / shrink);
    }
    if (WebPDecode(work->file, work->file_len, &config) != VP8_STATUS_OK)
        fail("libwebp");
    WebPFreeDecBuffer(&config.output);
}

static void
read_webp(struct work *work)
{
    webp_read(work, 1, 0);
}

static void
read_webp_threads(struct work *work)
{
    webp_read(work, 1, 1);
}

static void
read_webp_eighth(struct work *work)
{
    webp_read(work, 8, 0);
}

// ---- AVIF

static void
write_avif(struct work *work)
{
    avifImage *image = avifImageCreate(work->width, work->height, 8,
                                       work->variant == YUV444 ? AVIF_PIXEL_FORMAT_YUV444
                                                               : AVIF_PIXEL_FORMAT_YUV420);
    avifEncoder *encoder = avifEncoderCreate();
    avifRWData file = AVIF_DATA_EMPTY;
    avifRGBImage rgb;

    avifRGBImageSetDefaults(&rgb, image);
    rgb.format = work->channels == 4 ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    rgb.pixels = work->pixels;
    rgb.rowBytes = work->width * work->channels;
    if (avifImageRGBToYUV(image, &rgb) != AVIF_RESULT_OK)
        fail("libavif");
    encoder->speed = 9;
    if (avifEncoderWrite(encoder, image, &file) != AVIF_RESULT_OK)
        fail("libavif");
    work->file_len = 0;
    keep(work, file.data, file.size);
    avifRWDataFree(&file);
    avifImageDestroy(image);
    avifEncoderDestroy(encoder);
}

static void
avif_read(struct work *work, int threads)
{
    avifDecoder *decoder = avifDecoderCreate();
    avifRGBImage rgb;

    decoder->maxThreads = threads;
    if (avifDecoderSetIOMemory(decoder, work->file, work->file_len) != AVIF_RESULT_OK ||
        avifDecoderParse(decoder) != AVIF_RESULT_OK ||
        avifDecoderNextImage(decoder) != AVIF_RESULT_OK)
        fail("libavif");
    avifRGBImageSetDefaults(&rgb, decoder->image);
    rgb.depth = 8;
    rgb.format = work->channels == 4 ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    rgb.pixels = work->pixels;
    rgb.rowBytes = work->width * work->channels;
    if (avifImageYUVToRGB(decoder->image, &rgb) != AVIF_RESULT_OK)
        fail("libavif");
    avifDecoderDestroy(decoder);
}

static void
read_avif(struct work *work)
{
    avif_read(work, 1);
}

static void
read_avif_threads(struct work *work)
{
    avif_read(work, 4);
}

// ---- the table

struct entry {
    const char *name;
    void (*prepare)(struct work *work); // makes the file that `run` reads; NULL: `run` writes
    void (*run)(struct work *work);
    unsigned channels, variant;
    uint8_t kind, codec;
    uint16_t file_format;
    uint8_t threads;
    uint8_t shrink;
};

#define R ZCB_IMAGE_DECODE
#define W ZCB_IMAGE_ENCODE
static const struct entry table[] = {
    {"jpeg gray", write_jpeg, read_jpeg, 1, GRAY, R, ZCB_IMAGE_JPEG, ZCB_IMAGE_GRAY},
    {"jpeg 4:2:0", write_jpeg, read_jpeg, 3, YUV420, R, ZCB_IMAGE_JPEG, ZCB_IMAGE_YUV420},
    {"jpeg 4:2:2", write_jpeg, read_jpeg, 3, YUV422, R, ZCB_IMAGE_JPEG, ZCB_IMAGE_YUV422},
    {"jpeg 4:4:4", write_jpeg, read_jpeg, 3, YUV444, R, ZCB_IMAGE_JPEG, ZCB_IMAGE_YUV444},
    {"jpeg CMYK", write_jpeg, read_jpeg, 4, CMYK, R, ZCB_IMAGE_JPEG, 0},
    {"jpeg 4:2:0, 1/8", write_jpeg, read_jpeg_eighth, 3, YUV420, R, ZCB_IMAGE_JPEG,
     ZCB_IMAGE_YUV420, 0, 8},
    {"jpeg progressive gray", write_jpeg_progressive, read_jpeg, 1, GRAY, R,
     ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_GRAY},
    {"jpeg progressive 4:2:0", write_jpeg_progressive, read_jpeg, 3, YUV420, R,
     ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_YUV420},
    {"jpeg progressive 4:2:2", write_jpeg_progressive, read_jpeg, 3, YUV422, R,
     ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_YUV422},
    {"jpeg progressive 4:4:4", write_jpeg_progressive, read_jpeg, 3, YUV444, R,
     ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_YUV444},
    {"jpeg progressive CMYK", write_jpeg_progressive, read_jpeg, 4, CMYK, R,
     ZCB_IMAGE_JPEG_PROGRESSIVE, 0},
    {"jpeg progressive 4:2:0, 1/8", write_jpeg_progressive, read_jpeg_eighth, 3, YUV420, R,
     ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_YUV420, 0, 8},
    {"jpeg gray", NULL, write_jpeg, 1, GRAY, W, ZCB_IMAGE_JPEG, ZCB_IMAGE_GRAY},
    {"jpeg 4:2:0", NULL, write_jpeg, 3, YUV420, W, ZCB_IMAGE_JPEG, ZCB_IMAGE_YUV420},
    {"jpeg 4:4:4", NULL, write_jpeg, 3, YUV444, W, ZCB_IMAGE_JPEG, ZCB_IMAGE_YUV444},
    {"jpeg optimised 4:2:0", NULL, write_jpeg_optimised, 3, YUV420, W, ZCB_IMAGE_JPEG_PROGRESSIVE,
     ZCB_IMAGE_YUV420},
    {"jpeg progressive 4:2:0", NULL, write_jpeg_progressive, 3, YUV420, W,
     ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_YUV420},
    {"jpeg progressive 4:4:4", NULL, write_jpeg_progressive, 3, YUV444, W,
     ZCB_IMAGE_JPEG_PROGRESSIVE, ZCB_IMAGE_YUV444},
    {"png rgb, libpng", write_png, read_png, 3, 0, R, ZCB_IMAGE_PNG},
    {"png rgba, libpng", write_png, read_png, 4, 0, R, ZCB_IMAGE_PNG},
    {"png rgba, libspng", write_png, read_spng, 4, 0, R, ZCB_IMAGE_PNG},
    {"png interlaced rgba, libpng", write_png, read_png, 4, 1, R, ZCB_IMAGE_PNG_INTERLACED},
    {"png interlaced rgba, libspng", write_png, read_spng, 4, 1, R, ZCB_IMAGE_PNG_INTERLACED},
    {"png rgb, libpng", NULL, write_png, 3, 0, W, ZCB_IMAGE_PNG},
    {"png rgba, libpng", NULL, write_png, 4, 0, W, ZCB_IMAGE_PNG},
    {"png rgba, libspng", NULL, write_spng, 4, 0, W, ZCB_IMAGE_PNG},
    {"png interlaced rgba, libpng", NULL, write_png, 4, 1, W, ZCB_IMAGE_PNG_INTERLACED},
    {"webp rgb", write_webp, read_webp, 3, 0, R, ZCB_IMAGE_WEBP, ZCB_IMAGE_RGB},
    {"webp rgba", write_webp, read_webp, 4, 0, R, ZCB_IMAGE_WEBP},
    {"webp rgb, 2 threads", write_webp, read_webp_threads, 3, 0, R, ZCB_IMAGE_WEBP, ZCB_IMAGE_RGB,
     2},
    {"webp rgb, 1/8", write_webp, read_webp_eighth, 3, 0, R, ZCB_IMAGE_WEBP, ZCB_IMAGE_RGB, 0, 8},
    {"webp lossless rgb", write_webp_lossless, read_webp, 3, 0, R, ZCB_IMAGE_WEBP_LOSSLESS},
    {"webp lossless rgba", write_webp_lossless, read_webp, 4, 0, R, ZCB_IMAGE_WEBP_LOSSLESS},
    {"webp lossless rgb, 1/8", write_webp_lossless, read_webp_eighth, 3, 0, R,
     ZCB_IMAGE_WEBP_LOSSLESS, 0, 0, 8},
    {"webp rgb", NULL, write_webp, 3, 0, W, ZCB_IMAGE_WEBP},
    {"webp rgb, method 6", NULL, write_webp, 3, 6, W, ZCB_IMAGE_WEBP},
    {"webp rgba", NULL, write_webp, 4, 0, W, ZCB_IMAGE_WEBP},
    {"webp lossless rgb", NULL, write_webp_lossless, 3, 0, W, ZCB_IMAGE_WEBP_LOSSLESS},
    {"webp lossless rgba", NULL, write_webp_lossless, 4, 0, W, ZCB_IMAGE_WEBP_LOSSLESS},
    {"avif 4:2:0", write_avif, read_avif, 3, YUV420, R, ZCB_IMAGE_AVIF, ZCB_IMAGE_YUV420},
    {"avif 4:4:4 alpha", write_avif, read_avif, 4, YUV444, R, ZCB_IMAGE_AVIF, ZCB_IMAGE_RGBA},
    {"avif 4:2:0, 4 threads", write_avif, read_avif_threads, 3, YUV420, R, ZCB_IMAGE_AVIF,
     ZCB_IMAGE_YUV420, 4},
    {"avif 4:2:0", NULL, write_avif, 3, YUV420, W, ZCB_IMAGE_AVIF, ZCB_IMAGE_YUV420},
    {"avif 4:4:4 alpha", NULL, write_avif, 4, YUV444, W, ZCB_IMAGE_AVIF, 0},
};

static const uint32_t sizes[][2] = {{2000, 1500}, {8000, 300}, {300, 4000}, {64, 48}};

// What the plan has for the codec alone.
static size_t
planned(const struct entry *entry, const struct work *work)
{
    static const uint16_t formats[] = {0, ZCB_IMAGE_GRAY, 0, ZCB_IMAGE_RGB, ZCB_IMAGE_RGBA};
    uint32_t shrink = entry->shrink != 0 ? entry->shrink : 1;
    struct zcb_image_step steps[2] = {
        {.kind = ZCB_IMAGE_DECODE,
         .format = formats[work->channels],
         .width = (work->width + shrink - 1) / shrink,
         .height = (work->height + shrink - 1) / shrink,
         .file_width = work->width,
         .file_height = work->height},
        {.kind = ZCB_IMAGE_ENCODE},
    };
    struct zcb_image_step *step = &steps[entry->kind == ZCB_IMAGE_ENCODE];
    struct zcb_image_plan plan;

    step->codec = entry->codec;
    step->file_format = entry->file_format;
    step->threads = entry->threads;
    if (zcb_image_plan(steps, entry->kind == ZCB_IMAGE_ENCODE ? 2 : 1, NULL, &plan, sizeof(plan)) <
        0)
        fail("no plan");
    return plan.step[step - steps].work_bytes;
}

int
main(int argc, char **argv)
{
    bool check = argc > 1 && strcmp(argv[1], "--check") == 0;
    unsigned beyond = 0;

    printf("%-37s%-24s%-24s%-24s%s\n", "KiB measured / planned", "2000 x 1500", "8000 x 300",
           "300 x 4000", "64 x 48");
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct entry *entry = &table[i];

        printf("%-6s%-31s", entry->kind == ZCB_IMAGE_DECODE ? "read" : "write", entry->name);
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            struct work work = {.width = sizes[s][0],
                                .height = sizes[s][1],
                                .channels = entry->channels,
                                .variant = entry->variant};
            size_t pixels = (size_t)work.width * work.height * work.channels, before, used, plan;

            work.file_most = 4 * pixels + 65536;
            work.pixels = malloc(pixels);
            work.file = malloc(work.file_most);
            if (work.pixels == NULL || work.file == NULL)
                fail("no memory");
            paint(&work);
            if (entry->prepare != NULL)
                entry->prepare(&work);
            before = live;
            peak = live;
            entry->run(&work);
            used = peak - before;
            plan = planned(entry, &work);
            beyond += used > plan;
            printf("%8zu / %-8zu%5.2f%s", used >> 10, plan >> 10, (double)used / (double)plan,
                   used > plan ? "!" : " ");
            fflush(stdout);
            free(work.pixels);
            free(work.file);
        }
        printf("\n");
    }
    printf("%u beyond the plan\n", beyond);
    return check && beyond != 0;
}
