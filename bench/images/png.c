// SPDX-License-Identifier: MIT

#include "images/codec.h"

#include <stdlib.h>
#include <string.h>

#include <png.h>

static int
encode(const struct picture *picture, uint8_t **out, size_t *len)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = picture->width,
                       .height = picture->height,
                       .format = PNG_FORMAT_RGBA,
                       .flags = PNG_IMAGE_FLAG_FAST};
    png_alloc_size_t room = PNG_IMAGE_PNG_SIZE_MAX(image);

    *out = malloc(room);
    if (*out == NULL)
        return -1;
    if (png_image_write_to_memory(&image, *out, &room, 0, picture->pixels, 0, NULL)) {
        *len = room;
        return 0;
    }
    free(*out);
    return -1;
}

static int
decode(const uint8_t *data, size_t len, const struct picture *to)
{
    png_image image = {.version = PNG_IMAGE_VERSION};

    if (!png_image_begin_read_from_memory(&image, data, len))
        return -1;
    image.format = PNG_FORMAT_RGBA;
    if (image.width == to->width && image.height == to->height &&
        png_image_finish_read(&image, NULL, to->pixels, 0, NULL))
        return 0;
    png_image_free(&image);
    return -1;
}

const struct codec codec_png = {"libpng", true, encode, decode};
