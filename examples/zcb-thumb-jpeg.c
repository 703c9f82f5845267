// SPDX-License-Identifier: MIT
//
// JPEG, by libjpeg-turbo. It reads straight from the mapped file, row by row, and can leave out what
// a small image does not need: at 1/2, 1/4 and 1/8 it computes that many fewer pixels. A progressive
// file, or one whose colours come one after the other, is kept whole as coefficients: by the nature
// of the format, the last of its bytes may change the first of its rows.
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "zcb-thumb.h"

#define STEP ((size_t)2 << 20) // of the file that libjpeg gets at a time, where it lies

// A file of a few bytes can have the whole image gone through again and again.
#define MAX_SCANS 200

// libjpeg returns from an error by a jump; and all of its state is behind these.
struct errors {
    struct jpeg_error_mgr base; // first: libjpeg knows it alone
    jmp_buf out;
    bool lenient;
    bool damaged; // with lenient: something was amiss
    int result;
    char *why;
};

struct jpeg_reader {
    struct jpeg_decompress_struct cinfo;
    struct errors errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_source_mgr from;
    size_t given; // bytes of the file that libjpeg has had
    struct reader *reader;
    uint8_t *cmyk; // a row before it is RGB
};

struct jpeg_writer {
    struct jpeg_compress_struct cinfo;
    struct errors errors;
    struct jpeg_destination_mgr to;
};

// ---- errors

static void
failed(j_common_ptr cinfo)
{
    struct errors *errors = (struct errors *)cinfo->err;
    int code = cinfo->err->msg_code;

    if (errors->result == 0) {
        char text[JMSG_LENGTH_MAX];

        cinfo->err->format_message(cinfo, text);
        errors->result =
            code == JERR_OUT_OF_MEMORY || code == JERR_NO_BACKING_STORE ? -ENOMEM : -EBADMSG;
        because(errors->why, errors->result, "%s", text);
    }
    longjmp(errors->out, 1);
}

// Level -1: damage that libjpeg has an answer to, such as gray where pixels are missing.
static void
message(j_common_ptr cinfo, int level)
{
    struct errors *errors = (struct errors *)cinfo->err;

    if (level >= 0)
        return;
    switch (cinfo->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA: // bytes between segments, which cameras leave
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
        return;
    default:
        errors->damaged = true;
        if (!errors->lenient)
            failed(cinfo);
    }
}

static void
say_nothing(j_common_ptr cinfo)
{
    (void)cinfo;
}

static struct jpeg_error_mgr *
errors_start(struct errors *errors, char *why)
{
    jpeg_std_error(&errors->base);
    errors->base.error_exit = failed;
    errors->base.emit_message = message;
    errors->base.output_message = say_nothing;
    errors->why = why;
    return &errors->base;
}

// libjpeg calls it for each row, and for each row of blocks of a scan that it reads ahead.
static void
progress(j_common_ptr common)
{
    j_decompress_ptr cinfo = (j_decompress_ptr)common;
    struct errors *errors = (struct errors *)cinfo->err;

    if (stop_requested)
        errors->result = because(errors->why, -ECANCELED, "stopped");
    else if (cinfo->input_scan_number > MAX_SCANS)
        errors->result = because(errors->why, -EBADMSG, "more than %d scans", MAX_SCANS);
    if (errors->result != 0)
        failed(common);
}

// ---- reading

static bool
jpeg_is(const uint8_t *data, size_t len)
{
    return len >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff;
}

// libjpeg's own source for memory has no end of a step: the file would be resident as a whole.
static void
from_start(j_decompress_ptr cinfo)
{
    (void)cinfo;
}

static boolean
from_more(j_decompress_ptr cinfo)
{
    static const JOCTET end[2] = {0xff, JPEG_EOI};
    struct jpeg_reader *jpeg = cinfo->client_data;
    size_t left = jpeg->reader->len - jpeg->given;

    if (left == 0) {
        WARNMS(cinfo, JWRN_JPEG_EOF);
        jpeg->from.next_input_byte = end;
        jpeg->from.bytes_in_buffer = sizeof(end);
        return TRUE;
    }
    if (jpeg->given != 0)
        jpeg->reader->passed(jpeg->reader->passed_ctx, true);
    left = left < STEP ? left : STEP;
    jpeg->from.next_input_byte = jpeg->reader->data + jpeg->given;
    jpeg->from.bytes_in_buffer = left;
    jpeg->given += left;
    return TRUE;
}

static void
from_skip(j_decompress_ptr cinfo, long bytes)
{
    struct jpeg_reader *jpeg = cinfo->client_data;

    while (bytes > 0) {
        size_t here = jpeg->from.bytes_in_buffer;

        here = here < (size_t)bytes ? here : (size_t)bytes;
        jpeg->from.next_input_byte += here;
        jpeg->from.bytes_in_buffer -= here;
        bytes -= (long)here;
        if (bytes > 0)
            (void)from_more(cinfo);
    }
}

// How the samples lie, for the plan.
static uint16_t
sampling(j_decompress_ptr cinfo)
{
    const jpeg_component_info *c = cinfo->comp_info;

    if (cinfo->num_components == 1)
        return ZCB_IMAGE_GRAY;
    if (cinfo->num_components != 3 || c[1].h_samp_factor != 1 || c[1].v_samp_factor != 1 ||
        c[2].h_samp_factor != 1 || c[2].v_samp_factor != 1)
        return 0;
    if (c[0].h_samp_factor == 2 && c[0].v_samp_factor == 2)
        return ZCB_IMAGE_YUV420;
    if (c[0].h_samp_factor == 2 && c[0].v_samp_factor == 1)
        return ZCB_IMAGE_YUV422;
    return c[0].h_samp_factor == 1 && c[0].v_samp_factor == 1 ? ZCB_IMAGE_YUV444 : 0;
}

static int
jpeg_open(struct reader *reader)
{
    struct jpeg_reader *jpeg = calloc(1, sizeof(*jpeg));
    j_decompress_ptr cinfo;
    bool whole;

    if (jpeg == NULL)
        return because(reader->why, -ENOMEM, "out of memory");
    reader->state = jpeg;
    cinfo = &jpeg->cinfo;
    cinfo->err = errors_start(&jpeg->errors, reader->why);
    jpeg->errors.lenient = reader->lenient;
    if (setjmp(jpeg->errors.out))
        return jpeg->errors.result;
    jpeg_create_decompress(cinfo);
    cinfo->client_data = jpeg;
    jpeg->reader = reader;
    jpeg->progress.progress_monitor = progress;
    cinfo->progress = &jpeg->progress;
    jpeg->from.init_source = from_start;
    jpeg->from.fill_input_buffer = from_more;
    jpeg->from.skip_input_data = from_skip;
    jpeg->from.resync_to_restart = jpeg_resync_to_restart;
    jpeg->from.term_source = from_start;
    cinfo->src = &jpeg->from;
    jpeg_read_header(cinfo, TRUE);

    reader->width = cinfo->image_width;
    reader->height = cinfo->image_height;
    reader->format = cinfo->jpeg_color_space == JCS_GRAYSCALE ? ZCB_IMAGE_GRAY : ZCB_IMAGE_RGB;
    reader->orientation = jpeg_orientation(reader->data, reader->len);
    reader->streams = true;
    whole = jpeg_has_multiple_scans(cinfo);
    reader->kind = whole ? "progressive" : NULL;
    reader->step.codec = whole ? ZCB_IMAGE_JPEG_PROGRESSIVE : ZCB_IMAGE_JPEG;
    reader->step.file_format = sampling(cinfo);
    return 0;
}

// 1/2, 1/4, 1/8, which have code of their own; others are slow.
static void
jpeg_shrink(struct reader *reader, uint32_t width, uint32_t height)
{
    struct jpeg_reader *jpeg = reader->state;
    unsigned by = 8;

    while (by > 1 &&
           ((reader->width + by - 1) / by < width || (reader->height + by - 1) / by < height))
        by /= 2;
    jpeg->cinfo.scale_num = 1;
    jpeg->cinfo.scale_denom = by;
    reader->out_width = (reader->width + by - 1) / by;
    reader->out_height = (reader->height + by - 1) / by;
}

static int
jpeg_start(struct reader *reader)
{
    struct jpeg_reader *jpeg = reader->state;
    j_decompress_ptr cinfo = &jpeg->cinfo;

    if (setjmp(jpeg->errors.out))
        return jpeg->errors.result;
    // The second line of defence: the plan is the first.
    cinfo->mem->max_memory_to_use = (long)reader->work_bytes;
    if (reader->format == ZCB_IMAGE_GRAY)
        cinfo->out_color_space = JCS_GRAYSCALE;
    else if (cinfo->num_components == 4)
        cinfo->out_color_space = JCS_CMYK;
    else
        cinfo->out_color_space = JCS_RGB;
    jpeg_start_decompress(cinfo);
    if (cinfo->output_width != reader->out_width || cinfo->output_height != reader->out_height)
        return because(reader->why, -EBADMSG, "the decoder has other sizes than the header");
    if (cinfo->out_color_space == JCS_CMYK)
        jpeg->cmyk = cinfo->mem->alloc_large((j_common_ptr)cinfo, JPOOL_IMAGE,
                                             4 * (size_t)cinfo->output_width);
    return 0;
}

// Ink to light. Adobe's programs, which write such files, store 255 - ink.
static void
cmyk_to_rgb(const uint8_t *from, uint8_t *to, size_t n, bool inverted)
{
    for (size_t i = 0; i < n; i++, from += 4, to += 3) {
        unsigned k = inverted ? from[3] : 255 - from[3];

        for (int c = 0; c < 3; c++)
            to[c] = (uint8_t)(((inverted ? from[c] : 255u - from[c]) * k + 127) / 255);
    }
}

// Apart from setjmp(), whose function must not have variables that change.
__attribute__((noinline)) static int
read_row(struct reader *reader, uint8_t *row)
{
    struct jpeg_reader *jpeg = reader->state;
    JSAMPROW to = jpeg->cmyk != NULL ? jpeg->cmyk : row;

    if (jpeg_read_scanlines(&jpeg->cinfo, &to, 1) != 1)
        return because(reader->why, -EBADMSG, "the pixels end early");
    if (jpeg->cmyk != NULL)
        cmyk_to_rgb(jpeg->cmyk, row, jpeg->cinfo.output_width, jpeg->cinfo.saw_Adobe_marker);
    return 0;
}

static int
jpeg_row(struct reader *reader, uint8_t *row)
{
    struct jpeg_reader *jpeg = reader->state;

    if (setjmp(jpeg->errors.out))
        return jpeg->errors.result;
    return read_row(reader, row);
}

static int
jpeg_end(struct reader *reader)
{
    struct jpeg_reader *jpeg = reader->state;

    if (setjmp(jpeg->errors.out))
        return jpeg->errors.result;
    jpeg_finish_decompress(&jpeg->cinfo);
    reader->damaged = jpeg->errors.damaged;
    return 0;
}

static void
jpeg_close(struct reader *reader)
{
    struct jpeg_reader *jpeg = reader->state;

    if (jpeg == NULL)
        return;
    jpeg_destroy_decompress(&jpeg->cinfo);
    free(jpeg);
    reader->state = NULL;
}

// ---- writing

static uint16_t
jpeg_format_for(uint16_t format)
{
    return zcb_image_format_info(format)->channels <= 2 ? ZCB_IMAGE_GRAY : ZCB_IMAGE_RGB;
}

static struct zcb_image_step
jpeg_write_step(void)
{
    return (struct zcb_image_step){
        .kind = ZCB_IMAGE_ENCODE, .codec = ZCB_IMAGE_JPEG, .flags = ZCB_IMAGE_STREAMS};
}

// libjpeg writes into the output's buffer, and tells when it is full.
static void
to_start(j_compress_ptr cinfo)
{
    struct writer *writer = cinfo->client_data;

    cinfo->dest->next_output_byte = output_space(writer->output, &cinfo->dest->free_in_buffer);
}

static boolean
to_full(j_compress_ptr cinfo)
{
    struct writer *writer = cinfo->client_data;
    struct errors *errors = (struct errors *)cinfo->err;
    int result = output_filled(writer->output, SIZE_MAX);

    if (result < 0) {
        errors->result = result;
        failed((j_common_ptr)cinfo);
    }
    to_start(cinfo);
    return TRUE;
}

static void
to_end(j_compress_ptr cinfo)
{
    struct writer *writer = cinfo->client_data;
    struct errors *errors = (struct errors *)cinfo->err;
    size_t space;
    uint8_t *start = output_space(writer->output, &space);
    int result = output_filled(writer->output, (size_t)(cinfo->dest->next_output_byte - start));

    if (result < 0) {
        errors->result = result;
        failed((j_common_ptr)cinfo);
    }
}

static int
jpeg_write_start(struct writer *writer)
{
    struct jpeg_writer *jpeg = calloc(1, sizeof(*jpeg));
    j_compress_ptr cinfo;

    if (jpeg == NULL)
        return because(writer->why, -ENOMEM, "out of memory");
    writer->state = jpeg;
    if (writer->width > JPEG_MAX_DIMENSION || writer->height > JPEG_MAX_DIMENSION)
        return because(writer->why, -EOVERFLOW, "%u x %u pixels are too many for JPEG",
                       writer->width, writer->height);
    cinfo = &jpeg->cinfo;
    cinfo->err = errors_start(&jpeg->errors, writer->why);
    if (setjmp(jpeg->errors.out))
        return jpeg->errors.result;
    jpeg_create_compress(cinfo);
    cinfo->client_data = writer;
    jpeg->to.init_destination = to_start;
    jpeg->to.empty_output_buffer = to_full;
    jpeg->to.term_destination = to_end;
    cinfo->dest = &jpeg->to;
    cinfo->image_width = writer->width;
    cinfo->image_height = writer->height;
    cinfo->input_components = writer->format == ZCB_IMAGE_GRAY ? 1 : 3;
    cinfo->in_color_space = writer->format == ZCB_IMAGE_GRAY ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(cinfo);
    jpeg_set_quality(cinfo, (int)writer->quality, TRUE);
    jpeg_start_compress(cinfo, TRUE);
    return 0;
}

static int
jpeg_write_row(struct writer *writer, const uint8_t *row)
{
    struct jpeg_writer *jpeg = writer->state;
    JSAMPROW rows[1] = {(JSAMPROW)(uintptr_t)row}; // it is not written to

    if (setjmp(jpeg->errors.out))
        return jpeg->errors.result;
    jpeg_write_scanlines(&jpeg->cinfo, rows, 1);
    return 0;
}

static int
jpeg_write_end(struct writer *writer)
{
    struct jpeg_writer *jpeg = writer->state;

    if (setjmp(jpeg->errors.out))
        return jpeg->errors.result;
    jpeg_finish_compress(&jpeg->cinfo);
    return 0;
}

static void
jpeg_write_close(struct writer *writer)
{
    struct jpeg_writer *jpeg = writer->state;

    if (jpeg == NULL)
        return;
    jpeg_destroy_compress(&jpeg->cinfo);
    free(jpeg);
    writer->state = NULL;
}

const struct codec codec_jpeg = {
    .name = "jpeg",
    .suffix = ".jpg",
    .is = jpeg_is,
    .open = jpeg_open,
    .shrink = jpeg_shrink,
    .start = jpeg_start,
    .row = jpeg_row,
    .end = jpeg_end,
    .close = jpeg_close,
    .format_for = jpeg_format_for,
    .write_step = jpeg_write_step,
    .write_start = jpeg_write_start,
    .write_row = jpeg_write_row,
    .write_end = jpeg_write_end,
    .write_close = jpeg_write_close,
};
