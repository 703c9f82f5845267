// SPDX-License-Identifier: MIT

#include "images/codec.h"

#include <webp/decode.h>
#include <webp/encode.h>

static int
encode(const struct picture *picture, uint8_t **out, size_t *len)
{
    WebPMemoryWriter writer;
    WebPConfig config;
    WebPPicture from;
    int good;

    if (!WebPConfigPreset(&config, WEBP_PRESET_PHOTO, 75) || !WebPPictureInit(&from))
        return -1;
    config.method = 0; // encoding is not what is measured
    from.width = (int)picture->width;
    from.height = (int)picture->height;
    WebPMemoryWriterInit(&writer);
    from.writer = WebPMemoryWrite;
    from.custom_ptr = &writer;
    // Without the alpha channel, which says the same everywhere.
    good = WebPPictureImportRGBX(&from, picture->pixels, (int)picture->width * 4) &&
           WebPEncode(&config, &from);
    WebPPictureFree(&from);
    *out = writer.mem; // which comes from malloc()
    *len = writer.size;
    if (good)
        return 0;
    WebPMemoryWriterClear(&writer);
    return -1;
}

static int
decode(const uint8_t *data, size_t len, const struct picture *to)
{
    int stride = (int)to->width * 4;

    return WebPDecodeRGBAInto(data, len, to->pixels, (size_t)stride * to->height, stride) != NULL
               ? 0
               : -1;
}

const struct codec codec_webp = {"libwebp", false, encode, decode};
