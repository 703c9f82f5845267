// SPDX-License-Identifier: MIT
//
// What is done with each packet, by whichever thread: taken apart, verified, counted, written down.
#include <stdlib.h>

#include "zcb-dump.h"

bool
tally_init(struct tally *tally, const struct view *view)
{
    *tally = (struct tally){0};
    if (!view->quiet) {
        tally->text = malloc((size_t)BATCH * LINE_MAX);
        if (tally->text == NULL)
            return false;
    }
    if (view->flows && !flows_init(&tally->flows, view->max_flows, view->seed)) {
        tally_free(tally);
        return false;
    }
    return true;
}

void
tally_free(struct tally *tally)
{
    flows_free(&tally->flows);
    free(tally->text);
    tally->text = NULL;
}

void
tally_merge(struct tally *into, const struct tally *from)
{
    into->packets += from->packets;
    into->bytes += from->bytes;
    into->batches += from->batches;
    into->foreign += from->foreign;
    for (int i = 0; i < VERDICTS; i++)
        into->verdicts[i] += from->verdicts[i];
    for (int i = 0; i < 8; i++) {
        into->ip_sums[i] += from->ip_sums[i];
        into->inner_sums[i] += from->inner_sums[i];
    }
    if (into->flows.slots != NULL)
        flows_merge(&into->flows, &from->flows);
}

static void
dump_item(const struct view *view, struct tally *tally, const struct item *item)
{
    // A network card that splits large packets leaves 0 for their length.
    const struct zcb_frame_config config = {
        .wire_len = item->wire_len,
        .flags = ZCB_FRAME_ACCEPT_UNSIZED,
    };
    const struct zcb_packet *packet = &item->packet;
    int ip_sum = ZCB_FRAME_CHECKSUM_UNKNOWN, inner_sum = ZCB_FRAME_CHECKSUM_UNKNOWN;
    struct zcb_frame frame;
    int verdict = zcb_frame_parse(packet->data, packet->len, view->link, &config, &frame);

    tally->packets++;
    tally->bytes += packet->len;
    if (verdict < 0) {
        tally->foreign++;
    } else {
        tally->verdicts[verdict < VERDICTS ? verdict : VERDICTS - 1]++;
        if (view->verify) {
            ip_sum = (int)zcb_frame_verify_ip(packet->data, &frame);
            inner_sum = (int)zcb_frame_verify_transport(packet->data, &frame);
            tally->ip_sums[ip_sum & 7]++;
            tally->inner_sums[inner_sum & 7]++;
        }
        if (view->flows)
            flows_count(&tally->flows, packet, &frame, item->time_ns, item->wire_len);
    }
    if (!view->quiet)
        tally->text_len += dump_line(view, item, &frame, verdict, ip_sum, inner_sum,
                                     tally->text + tally->text_len);
}

void
dump_batch(const struct view *view, struct tally *tally, struct batch *batch)
{
    tally->text_len = 0;
    tally->batches++;
    for (unsigned i = 0; i < batch->count; i++) {
        dump_item(view, tally, &batch->items[i]);
        if (!batch->lent)
            zcb_packet_unref(&batch->items[i].packet);
    }
    batch->count = 0;
}
