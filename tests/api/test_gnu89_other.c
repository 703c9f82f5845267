// SPDX-License-Identifier: MIT

#include "test_gnu89.h"

size_t
length_in_the_other_unit(void)
{
    struct zcb_packet packet = zcb_packet_static("other", 5);
    struct zcb_packet again = zcb_packet_ref(&packet);
    size_t len = again.len;

    zcb_packet_unref(&packet);
    zcb_packet_unref(&again);
    return len;
}
