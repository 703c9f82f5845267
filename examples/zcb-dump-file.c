// SPDX-License-Identifier: MIT
//
// What libpcap does: it reads capture files of all their formats, and compiles filters.
#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>

#if HAVE_PCAP
#include <pcap/pcap.h>
#endif

#include "zcb-dump.h"

static struct sock_fprog *
program(const void *instructions, unsigned short count)
{
    size_t len = count * sizeof(struct sock_filter);
    struct sock_fprog *out = malloc(sizeof(*out) + len);

    if (out == NULL)
        return NULL;
    out->len = count;
    out->filter = memcpy(out + 1, instructions, len);
    return out;
}

#if HAVE_PCAP

_Static_assert(sizeof(struct bpf_insn) == sizeof(struct sock_filter), "both are classic BPF");

struct capture_file {
    pcap_t *pcap;
    const char *path;
    uint64_t number, skipped;
    uint32_t snaplen;
    bool filtered;
    struct bpf_program filter;
};

static void
say_filter(const char *filter, const char *why)
{
    say("-f '%s': %s; man pcap-filter tells what can be said", printable(filter), printable(why));
}

struct capture_file *
capture_open(const char *path, const char *filter, uint32_t snaplen, int *link,
             enum exit_code *code)
{
    struct capture_file *file = calloc(1, sizeof(*file));
    char why[PCAP_ERRBUF_SIZE] = "";

    *code = EXIT_INTERNAL;
    if (file == NULL) {
        say("out of memory");
        return NULL;
    }
    file->path = path;
    file->snaplen = snaplen;
    file->pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, why);
    if (file->pcap == NULL) {
        // libpcap's words begin with the path where the file could not be opened.
        say("%s%s%s; -r wants a capture file, pcap or pcapng", printable(path),
            strncmp(why, path, strlen(path)) == 0 ? "" : ": ",
            printable(why + (strncmp(why, path, strlen(path)) == 0 ? strlen(path) : 0)));
        *code = EXIT_CAPTURE;
        capture_close(file);
        return NULL;
    }
    if (filter != NULL) {
        if (pcap_compile(file->pcap, &file->filter, filter, 1, PCAP_NETMASK_UNKNOWN) != 0) {
            say_filter(filter, pcap_geterr(file->pcap));
            *code = EXIT_USAGE;
            capture_close(file);
            return NULL;
        }
        file->filtered = true;
    }
    *link = pcap_datalink(file->pcap);
    *code = EXIT_DONE;
    return file;
}

int
capture_next(struct capture_file *file, struct item *out)
{
    struct pcap_pkthdr *header;
    const u_char *data;
    int r;

    while ((r = pcap_next_ex(file->pcap, &header, &data)) == 1) {
        file->number++;
        if (file->filtered && pcap_offline_filter(&file->filter, header, data) == 0) {
            file->skipped++;
            if (stop_requested)
                return 0;
            continue;
        }
        *out = (struct item){
            .number = file->number,
            .time_ns = (uint64_t)header->ts.tv_sec * 1000000000 + (uint64_t)header->ts.tv_usec,
            // What a file says may be anything, also less than is there.
            .wire_len = header->len > header->caplen ? header->len : header->caplen,
            .packet = zcb_packet_static(data, header->caplen < file->snaplen ? header->caplen
                                                                             : file->snaplen),
        };
        return 1;
    }
    if (r == PCAP_ERROR_BREAK)
        return 0;
    say("%s: behind packet %llu: %s; what is before it was read", printable(file->path),
        (unsigned long long)file->number, printable(pcap_geterr(file->pcap)));
    return -1;
}

uint64_t
capture_skipped(const struct capture_file *file)
{
    return file->skipped;
}

void
capture_close(struct capture_file *file)
{
    if (file == NULL)
        return;
    pcap_freecode(&file->filter);
    if (file->pcap != NULL)
        pcap_close(file->pcap);
    free(file);
}

struct sock_fprog *
capture_compile(const char *filter, int link, uint32_t snaplen, enum exit_code *code)
{
    const struct sock_filter all = {.code = BPF_RET | BPF_K, .k = snaplen};
    struct bpf_program compiled = {0};
    struct sock_fprog *out = NULL;
    pcap_t *pcap;

    *code = EXIT_INTERNAL;
    if (filter == NULL) {
        out = program(&all, 1);
    } else {
        pcap = pcap_open_dead(link == ZCB_FRAME_LINK_RAW ? DLT_RAW : link, (int)snaplen);
        if (pcap != NULL && pcap_compile(pcap, &compiled, filter, 1, PCAP_NETMASK_UNKNOWN) != 0) {
            say_filter(filter, pcap_geterr(pcap));
            *code = EXIT_USAGE;
            pcap_close(pcap);
            return NULL;
        }
        if (pcap != NULL) {
            out = program(compiled.bf_insns, (unsigned short)compiled.bf_len);
            pcap_freecode(&compiled);
            pcap_close(pcap);
        }
    }
    if (out == NULL)
        say("out of memory");
    return out;
}

#else // no libpcap

static void
say_missing(const char *option, enum exit_code *code)
{
    say("%s needs libpcap, which was not there when this program was built: install libpcap-dev, "
        "then run meson setup --reconfigure",
        option);
    *code = EXIT_USAGE;
}

struct capture_file *
capture_open(const char *path, const char *filter, uint32_t snaplen, int *link,
             enum exit_code *code)
{
    (void)path, (void)filter, (void)snaplen, (void)link;
    say_missing("-r", code);
    return NULL;
}

int
capture_next(struct capture_file *file, struct item *out)
{
    (void)file, (void)out;
    return -1;
}

uint64_t
capture_skipped(const struct capture_file *file)
{
    (void)file;
    return 0;
}

void
capture_close(struct capture_file *file)
{
    (void)file;
}

struct sock_fprog *
capture_compile(const char *filter, int link, uint32_t snaplen, enum exit_code *code)
{
    const struct sock_filter all = {.code = BPF_RET | BPF_K, .k = snaplen};
    struct sock_fprog *out;

    (void)link;
    if (filter != NULL) {
        say_missing("-f", code);
        return NULL;
    }
    out = program(&all, 1);
    if (out == NULL) {
        say("out of memory");
        *code = EXIT_INTERNAL;
    }
    return out;
}

#endif
