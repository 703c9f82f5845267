// SPDX-License-Identifier: MIT
//
// Which way up: the orientation in EXIF data, as a camera writes it. All of it may be wrong.
// TIFF 6.0 has the structure, EXIF 2.3 (4.6.4) the tag.
#include <string.h>

#include "zcb-thumb-codec.h"

static unsigned
u16(const uint8_t *p, bool big)
{
    return big ? p[0] << 8 | p[1] : p[1] << 8 | p[0];
}

static uint32_t
u32(const uint8_t *p, bool big)
{
    return big ? (uint32_t)u16(p, big) << 16 | u16(p + 2, big)
               : (uint32_t)u16(p + 2, big) << 16 | u16(p, big);
}

uint8_t
exif_orientation(const uint8_t *tiff, size_t len)
{
    bool big;
    size_t at;
    unsigned count;

    if (len < 8 || (memcmp(tiff, "II*\0", 4) != 0 && memcmp(tiff, "MM\0*", 4) != 0))
        return 1;
    big = tiff[0] == 'M';
    at = u32(tiff + 4, big);
    if (at > len - 2 || at < 8)
        return 1;
    count = u16(tiff + at, big);
    at += 2;
    for (unsigned i = 0; i < count && len - at >= 12; i++, at += 12) {
        unsigned value = u16(tiff + at + 8, big);

        if (u16(tiff + at, big) == 0x0112 && u16(tiff + at + 2, big) == 3) // SHORT
            return value >= 1 && value <= 8 ? (uint8_t)value : 1;
    }
    return 1;
}

uint8_t
jpeg_orientation(const uint8_t *data, size_t len)
{
    size_t at = 2;

    // It is the first or the second segment, and each may be 64 KiB away from the one before.
    for (int i = 0; i < 16 && len >= 4 && len - at >= 4 && data[at] == 0xff; i++) {
        unsigned marker = data[at + 1];
        size_t size = u16(data + at + 2, true);

        if (marker == 0xff) { // fill bytes
            at++;
            continue;
        }
        if (marker == 0xda || marker == 0xd9 || size < 2 || size > len - at - 2)
            break;
        if (marker == 0xe1 && size >= 8 && memcmp(data + at + 4, "Exif\0\0", 6) == 0)
            return exif_orientation(data + at + 10, size - 8);
        at += 2 + size;
    }
    return 1;
}
