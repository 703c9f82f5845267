// SPDX-License-Identifier: MIT
#include "support/failing_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OURS UINT64_C(0x7a63622d6f757273)

// More than this is never had; the sanitizers' allocators would end the program when asked for it.
#define LARGEST (UINT64_C(1) << 38)

// Lies in front of what alloc gives.
struct note {
    uint64_t magic;
    size_t len;
    size_t align;
    struct zcb_failing_source *from;
};

static void
misuse(const char *what, size_t got, size_t expected)
{
    fprintf(stderr, "failing_source: %s: %zu, expected %zu\n", what, got, expected);
    abort();
}

// Room for the note that keeps what follows aligned.
static size_t
room(size_t align)
{
    return align > 64 ? align : 64;
}

static void *
failing_alloc(void *ctx, size_t len, size_t align)
{
    struct zcb_failing_source *failing = ctx;
    uint64_t number = __atomic_add_fetch(&failing->calls, 1, __ATOMIC_SEQ_CST);
    size_t front, whole;
    struct note *note;
    uint64_t bytes, peak;
    uint8_t *base;

    if (len == 0)
        misuse("alloc of no bytes, alignment", align, 0);
    if (align == 0 || (align & (align - 1)) != 0)
        misuse("alignment is not a power of two", align, 0);
    if (failing->fail_from != 0 &&
        (failing->fail_for_ever ? number >= failing->fail_from : number == failing->fail_from)) {
        __atomic_add_fetch(&failing->failed, 1, __ATOMIC_SEQ_CST);
        return NULL;
    }

    front = room(align);
    if (len > LARGEST || len > SIZE_MAX - 2 * front)
        return NULL;
    whole = (front + len + front - 1) / front * front;
    base = aligned_alloc(front, whole);
    if (base == NULL)
        return NULL;
    note = (struct note *)(void *)(base + front - sizeof(*note));
    *note = (struct note){.magic = OURS, .len = len, .align = align, .from = failing};

    __atomic_add_fetch(&failing->live, 1, __ATOMIC_SEQ_CST);
    bytes = __atomic_add_fetch(&failing->live_bytes, len, __ATOMIC_SEQ_CST);
    peak = __atomic_load_n(&failing->peak_bytes, __ATOMIC_SEQ_CST);
    while (bytes > peak && !__atomic_compare_exchange_n(&failing->peak_bytes, &peak, bytes, false,
                                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        continue;
    return base + front;
}

static void
failing_free(void *ctx, void *ptr, size_t len, size_t align)
{
    struct zcb_failing_source *failing = ctx;
    struct note *note;
    size_t front;

    if (ptr == NULL)
        misuse("free of NULL, length", len, 0);
    note = (struct note *)(void *)((uint8_t *)ptr - sizeof(*note));
    if (note->magic != OURS)
        misuse("free of memory that this source did not give, length", len, 0);
    if (note->from != failing)
        misuse("free to another source, length", len, note->len);
    if (note->len != len)
        misuse("free with another length", len, note->len);
    if (note->align != align)
        misuse("free with another alignment", align, note->align);

    front = room(align);
    note->magic = 0;
    __atomic_sub_fetch(&failing->live, 1, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&failing->live_bytes, len, __ATOMIC_SEQ_CST);
    free((uint8_t *)ptr - front);
}

static int
failing_purge(void *ctx, void *ptr, size_t len, bool now)
{
    struct zcb_failing_source *failing = ctx;

    (void)now;
    __atomic_add_fetch(&failing->purged, 1, __ATOMIC_SEQ_CST);
    // Not needed any more: so nobody may expect to find it again.
    memset(ptr, 0xdd, len);
    return 0;
}

static int
failing_attach(void *ctx, void *ptr, size_t len, void **tag)
{
    struct zcb_failing_source *failing = ctx;

    (void)len;
    if (failing->attach_result != 0)
        return failing->attach_result;
    __atomic_add_fetch(&failing->attached, 1, __ATOMIC_SEQ_CST);
    *tag = (uint8_t *)ptr + 1;
    return 0;
}

static void
failing_detach(void *ctx, void *ptr, size_t len, void *tag)
{
    struct zcb_failing_source *failing = ctx;

    if (tag != (uint8_t *)ptr + 1)
        misuse("detach with another tag, length", len, 0);
    __atomic_sub_fetch(&failing->attached, 1, __ATOMIC_SEQ_CST);
}

static void
failing_close(void *ctx)
{
    struct zcb_failing_source *failing = ctx;

    __atomic_add_fetch(&failing->closed, 1, __ATOMIC_SEQ_CST);
}

void
zcb_failing_source_init(struct zcb_failing_source *failing)
{
    *failing = (struct zcb_failing_source){
        .source =
            {
                .ctx = failing,
                .alloc = failing_alloc,
                .free = failing_free,
                .purge = failing_purge,
                .attach = failing_attach,
                .detach = failing_detach,
                .close = failing_close,
            },
    };
}

void
zcb_failing_source_fail(struct zcb_failing_source *failing, uint64_t nth, bool for_ever)
{
    failing->failed = 0;
    failing->fail_for_ever = for_ever;
    failing->fail_from = nth == 0 ? 0 : failing->calls + nth;
}
