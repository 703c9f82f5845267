// SPDX-License-Identifier: MIT
//
// W7: network frames: taking them apart, checksums, making many, and receiving them.

#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "net/net.h"
#include "net/traffic.h"

int
main(int argc, char **argv)
{
    int result = bench_start(argc, argv, "net", "W7: network frames, parsed, stamped and received");
    bool alone;

    if (result < 0)
        return -1 - result;
    bench_be_threaded();
    net_compare_parsing();
    net_compare_checksums();
    net_compare_stamping();
    // Not before: it leaves this thread one CPU of those it had.
    result = traffic_open(&alone);
    if (result == 0) {
        net_compare_receiving(alone);
        traffic_close();
    } else {
        bench_skip("W7 receive", strerror(-result));
    }
    return bench_finish();
}
