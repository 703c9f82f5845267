// SPDX-License-Identifier: MIT

#include "images/codec.h"

#include <spng.h>

static int
encode(const struct picture *picture, uint8_t **out, size_t *len)
{
    size_t size = (size_t)picture->width * picture->height * 4;
    struct spng_ihdr header = {.width = picture->width,
                               .height = picture->height,
                               .bit_depth = 8,
                               .color_type = SPNG_COLOR_TYPE_TRUECOLOR_ALPHA};
    spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    int result = ctx == NULL ? -1 : spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);

    if (result == 0)
        result = spng_set_option(ctx, SPNG_IMG_COMPRESSION_LEVEL, 1);
    if (result == 0)
        result = spng_set_ihdr(ctx, &header);
    if (result == 0)
        result = spng_encode_image(ctx, picture->pixels, size, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    *out = result == 0 ? spng_get_png_buffer(ctx, len, &result) : NULL; // from malloc(), and ours
    spng_ctx_free(ctx);
    return *out != NULL ? 0 : -1;
}

static int
decode(const uint8_t *data, size_t len, const struct picture *to)
{
    size_t size = (size_t)to->width * to->height * 4;
    spng_ctx *ctx = spng_ctx_new(0);
    int result = ctx == NULL ? -1 : spng_set_png_buffer(ctx, data, len);

    if (result == 0)
        result = spng_decode_image(ctx, to->pixels, size, SPNG_FMT_RGBA8, 0);
    spng_ctx_free(ctx);
    return result == 0 ? 0 : -1;
}

const struct codec codec_spng = {"libspng", true, encode, decode};
