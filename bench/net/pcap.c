// SPDX-License-Identifier: MIT

#include "net/parse.h"

#include <pcap/pcap.h>
#include <stdio.h>

uint64_t
net_pcap_all(const struct frames *frames)
{
    char problem[PCAP_ERRBUF_SIZE];
    FILE *file = fmemopen(frames->file, frames->len, "rb");
    pcap_t *pcap = file != NULL ? pcap_fopen_offline(file, problem) : NULL;
    struct pcap_pkthdr *header;
    const u_char *data;
    uint64_t found = 0;

    if (pcap == NULL) {
        if (file != NULL)
            fclose(file);
        return 0;
    }
    while (pcap_next_ex(pcap, &header, &data) == 1)
        found += frame_by_hand(data, header->caplen);
    pcap_close(pcap);
    return found;
}
