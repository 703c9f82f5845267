// SPDX-License-Identifier: MIT

#include "images/codec.h"

#include <stdlib.h>
#include <string.h>

#include <turbojpeg.h>

static int
encode(const struct picture *picture, uint8_t **out, size_t *len)
{
    tjhandle handle = tjInitCompress();
    unsigned char *data = NULL;
    unsigned long size = 0;
    int result = -1;

    if (handle != NULL)
        result = tjCompress2(handle, picture->pixels, (int)picture->width, 0, (int)picture->height,
                             TJPF_RGBA, &data, &size, TJSAMP_420, 85, 0);
    *out = result == 0 ? malloc(size) : NULL;
    if (*out != NULL)
        memcpy(*out, data, size);
    *len = size;
    tjFree(data); // which need not be free()
    if (handle != NULL)
        tjDestroy(handle);
    return *out != NULL ? 0 : -1;
}

static int
decode(const uint8_t *data, size_t len, const struct picture *to)
{
    tjhandle handle = tjInitDecompress();
    int result = -1;

    if (handle == NULL)
        return -1;
    result = tjDecompress2(handle, data, len, to->pixels, (int)to->width, 0, (int)to->height,
                           TJPF_RGBA, 0);
    tjDestroy(handle);
    return result;
}

const struct codec codec_turbojpeg = {"turbojpeg", false, encode, decode};
