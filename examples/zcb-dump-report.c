// SPDX-License-Identifier: MIT
//
// The statistics at the end.
#include <stdio.h>

#include <zcbuf/adapt/frame_io.h>
#include <zcbuf/copies.h>

#include "zcb-dump.h"

static unsigned long long
llu(uint64_t value)
{
    return value;
}

static void
sums_text(const char *what, const uint64_t sums[8])
{
    fprintf(stderr, "%s", what);
    for (int i = 0; i < 8; i++)
        if (sums[i] != 0)
            fprintf(stderr, "  %s %llu", zcb_frame_checksum_name(i), llu(sums[i]));
    fputc('\n', stderr);
}

static void
report_text(const struct figures *f, const struct zcb_copies *copies)
{
    fprintf(stderr, "received:   %llu packets, %llu bytes, in %.3f s (processor: %.3f s)\n",
            llu(f->tally->packets), llu(f->tally->bytes), f->seconds, f->cpu);
    if (f->io != NULL)
        fprintf(stderr, "lost:       %llu dropped by the kernel, which found no room %llu times\n",
                llu(f->io->dropped), llu(f->io->freezes));
    else if (f->filtered)
        fprintf(stderr, "left out:   %llu by the filter\n", llu(f->skipped));
    if (f->cut != 0)
        fprintf(stderr, "cut off:    %llu\n", llu(f->cut));
    fprintf(stderr, "parsed:   ");
    for (int i = 0; i < VERDICTS; i++)
        if (f->tally->verdicts[i] != 0)
            fprintf(stderr, "  %s %llu", zcb_frame_verdict_name(i), llu(f->tally->verdicts[i]));
    if (f->tally->foreign != 0)
        fprintf(stderr, "  of unknown link type %llu", llu(f->tally->foreign));
    fputc('\n', stderr);
    if (f->view->verify) {
        sums_text("IP sums:  ", f->tally->ip_sums);
        sums_text("inner:    ", f->tally->inner_sums);
    }
    fprintf(stderr, "copied:     %llu bytes", llu(zcb_copies_bytes(copies)));
    for (int i = 0; i < ZCB_COPY_REASON_COUNT; i++)
        if (copies->bytes[i] != 0)
            fprintf(stderr, "  %s %llu", zcb_copy_reason_name((enum zcb_copy_reason)i),
                    llu(copies->bytes[i]));
    fputc('\n', stderr);
    for (unsigned i = 0; f->workers != NULL && i < workers_count(f->workers); i++) {
        const struct tally *tally = workers_tally(f->workers, i);

        fprintf(stderr, "worker %2u:  %llu packets in %llu batches\n", i + 1, llu(tally->packets),
                llu(tally->batches));
    }
    if (f->workers != NULL)
        fprintf(stderr, "waited:     %llu times for a worker\n", llu(f->waits));
    if (f->write != NULL)
        fprintf(stderr, "written:    %llu packets to %s\n", llu(f->written), printable(f->write));
}

static void
sums_json(const char *what, const uint64_t sums[8])
{
    printf(",\"%s\":{", what);
    for (int i = ZCB_FRAME_CHECKSUM_GOOD; i <= ZCB_FRAME_CHECKSUM_PARTIAL; i++)
        printf("%s\"%s\":%llu", i == 0 ? "" : ",", zcb_frame_checksum_name(i), llu(sums[i]));
    putchar('}');
}

static void
report_json(const struct figures *f, const struct zcb_copies *copies)
{
    static const struct zcb_frame_io_stats none;
    const struct zcb_frame_io_stats *io = f->io != NULL ? f->io : &none;
    const char *comma = "";

    printf("{\"statistics\":{\"packets\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"cpu_seconds\":%.6f",
           llu(f->tally->packets), llu(f->tally->bytes), f->seconds, f->cpu);
    printf(",\"dropped\":%llu,\"freezes\":%llu,\"filtered\":%llu,\"cut\":%llu", llu(io->dropped),
           llu(io->freezes), llu(f->skipped), llu(f->cut));
    printf(",\"unknown_link\":%llu,\"verdicts\":{", llu(f->tally->foreign));
    for (int i = 0; i < VERDICTS; i++)
        if (f->tally->verdicts[i] != 0) {
            printf("%s\"%s\":%llu", comma, zcb_frame_verdict_name(i), llu(f->tally->verdicts[i]));
            comma = ",";
        }
    putchar('}');
    if (f->view->verify) {
        sums_json("ip_checksums", f->tally->ip_sums);
        sums_json("checksums", f->tally->inner_sums);
    }
    printf(",\"copied_bytes\":%llu,\"copied_packets\":%llu", llu(zcb_copies_bytes(copies)),
           llu(io->copied_packets));
    printf(",\"waits\":%llu,\"workers\":[", llu(f->waits));
    for (unsigned i = 0; f->workers != NULL && i < workers_count(f->workers); i++) {
        const struct tally *tally = workers_tally(f->workers, i);

        printf("%s{\"packets\":%llu,\"batches\":%llu}", i == 0 ? "" : ",", llu(tally->packets),
               llu(tally->batches));
    }
    printf("],\"written\":%llu", llu(f->written));
    if (f->view->flows)
        printf(",\"flows\":%u,\"beyond_flows\":{\"packets\":%llu,\"bytes\":%llu}",
               f->tally->flows.count, llu(f->tally->flows.other_packets),
               llu(f->tally->flows.other_bytes));
    puts("}}");
}

void
report(const struct figures *f)
{
    struct zcb_copies copies;

    zcb_copies_total(&copies);
    if (f->view->flows)
        flows_print(&f->tally->flows, f->view->json);
    if (f->view->json)
        report_json(f, &copies);
    else
        report_text(f, &copies);
}
