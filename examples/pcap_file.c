// SPDX-License-Identifier: MIT
#include "pcap_file.h"

#include <errno.h>
#include <string.h>

#include "cli.h"

#define MAGIC_NS 0xa1b23c4du
#define TAG_AT 12 // behind the Ethernet addresses
#define TAG_LEN 4

static void
put(struct pcap_file *file, const void *data, size_t len)
{
    if (file->error == 0 && len != 0 && fwrite(data, 1, len, file->file) != len)
        file->error = errno != 0 ? errno : EIO;
}

bool
pcap_file_create(struct pcap_file *out, const char *path, uint32_t link, uint32_t snaplen)
{
    const uint32_t header[6] = {MAGIC_NS, 0, 0, 0, snaplen, link};
    const uint16_t version[2] = {2, 4};

    *out = (struct pcap_file){.path = path};
    out->file = fopen(path, "we");
    if (out->file == NULL) {
        out->error = errno;
        return false;
    }
    put(out, header, 4);
    put(out, version, 4);
    put(out, header + 2, 16);
    return out->error == 0;
}

void
pcap_file_add(struct pcap_file *file, uint64_t time_ns, const void *data, size_t len,
              size_t wire_len, const uint8_t *tag)
{
    size_t front = tag != NULL && len >= TAG_AT ? TAG_AT : 0;
    size_t more = front != 0 ? TAG_LEN : 0;
    const uint32_t header[4] = {(uint32_t)(time_ns / 1000000000), (uint32_t)(time_ns % 1000000000),
                                (uint32_t)(len + more), (uint32_t)(wire_len + more)};

    put(file, header, sizeof(header));
    put(file, data, front);
    put(file, tag, more);
    put(file, (const uint8_t *)data + front, len - front);
    file->packets++;
}

bool
pcap_file_close(struct pcap_file *file)
{
    if (file->file != NULL) {
        if (fclose(file->file) != 0 && file->error == 0)
            file->error = errno;
        file->file = NULL;
    }
    if (file->error == 0)
        return true;
    say("%s: %s; what is in it is incomplete. %s", printable(file->path), strerror(file->error),
        file->error == ENOSPC || file->error == EDQUOT
            ? "Make room, or write to another disk with -w"
            : "Give another place with -w");
    return false;
}
