// SPDX-License-Identifier: MIT
//
// Two translation units in C as it was in 1989 with GNU's additions: `inline` meant something else
// there, and each unit that included a header would define its functions once more.

#include <stdio.h>

#include "test_gnu89.h"

int
main(void)
{
    struct zcb_packet packet = zcb_packet_static("old", 3);
    struct zcb_packet again = zcb_packet_ref(&packet);
    size_t len = again.len;

    zcb_packet_unref(&again);
    zcb_packet_unref(&packet);
    if (len != 3 || length_in_the_other_unit() != 5) {
        puts("not the packets that were made");
        return 1;
    }
    return 0;
}
