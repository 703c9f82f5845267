// SPDX-License-Identifier: MIT
//
// Capture files in the classic pcap format, written: what zcb-dump and zcb-blast share. 24 bytes of
// header, then 16 bytes in front of each packet, in this host's byte order and with nanoseconds;
// wiki.wireshark.org/Development/LibpcapFileFormat.
#ifndef EXAMPLES_PCAP_FILE_H
#define EXAMPLES_PCAP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct pcap_file {
    FILE *file;
    const char *path;
    uint64_t packets;
    int error; // errno of what failed first; nothing is written after it
};

// Makes or empties the file. false: `out->error`.
bool pcap_file_create(struct pcap_file *out, const char *path, uint32_t link, uint32_t snaplen);

// One packet of `len` bytes in front of which `tag` (VLAN type and TCI, 4 bytes) was taken out of
// place 12, or NULL. `wire_len` counts what the packet had with it.
void pcap_file_add(struct pcap_file *file, uint64_t time_ns, const void *data, size_t len,
                   size_t wire_len, const uint8_t *tag);

// Writes what is left. Whether all of it arrived; if not, a message was said. NULL file: true.
bool pcap_file_close(struct pcap_file *file);

#endif
