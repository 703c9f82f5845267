// SPDX-License-Identifier: MIT
//
// Each thread adds to a record of its own, without atomic read-modify-writes; totals walk the list
// of records. A thread that cannot have a record (it is ending, or there is no memory) shares
// `common` with all others in that position.

#include "base/count_copy.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"

#define REASONS (sizeof(((struct zcb_copies *)NULL)->bytes) / sizeof(uint64_t)) // known or to come

struct zcb_copy_record {
    struct zcb_copies counts; // written by its thread alone
    struct zcb_copy_record *next;
    struct zcb_copy_record **link; // what points to this one
};

static struct zcb_mutex lock =
    ZCB_MUTEX_INITIALISER; // guards the list, and common against being read half merged
static struct zcb_copy_record *records;
static struct zcb_copies common; // ended threads, and those without a record; atomic adds

static void (*trace_function)(void *ctx, enum zcb_copy_reason reason, size_t len);
static void *trace_ctx;

static const char *const reason_names[] = {
#define REASON_NAME(NAME, name, what) #name,
    ZCB_COPY_REASONS(REASON_NAME)
#undef REASON_NAME
};

const char *
zcb_copy_reason_name(enum zcb_copy_reason reason)
{
    return (unsigned)reason < ZCB_COPY_REASON_COUNT ? reason_names[reason] : "unknown";
}

static void
print_copy(void *ctx, enum zcb_copy_reason reason, size_t len)
{
    int before = zcb_os_cancel_off();

    (void)ctx;
    fprintf(stderr, "zcbuf: %s %zu bytes\n", zcb_copy_reason_name(reason), len);
    zcb_os_cancel_back(before);
}

static void
take_lock(void)
{
    zcb_os_lock(&lock);
}

static void
drop_lock(void)
{
    zcb_os_unlock(&lock);
}

static void
first_use(void)
{
    const char *wish = getenv("ZCBUF_TRACE");

    (void)zcb_os_fork_hooks(take_lock, drop_lock, drop_lock);
    if (wish != NULL && *wish != '\0' && strcmp(wish, "0") != 0 &&
        __atomic_load_n(&trace_function, __ATOMIC_RELAXED) == NULL)
        zcb_copies_trace(print_copy, NULL);
}

void
zcb_copies_trace(void (*trace)(void *ctx, enum zcb_copy_reason reason, size_t len), void *ctx)
{
    __atomic_store_n(&trace_ctx, ctx, __ATOMIC_RELAXED);
    __atomic_store_n(&trace_function, trace, __ATOMIC_RELEASE);
}

// The calling thread's record, made when it is first needed; NULL: share.
static struct zcb_copy_record *
own_record(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct zcb_copy_record *record = zcb_thread.copies;

    if (ZCB_LIKELY(record != NULL))
        return record;
    pthread_once(&once, first_use);
    if (!zcb_thread_hook(true))
        return NULL;
    record = calloc(1, sizeof(*record));
    if (record == NULL)
        return NULL;
    zcb_os_lock(&lock);
    record->next = records;
    record->link = &records;
    if (records != NULL)
        records->link = &record->next;
    records = record;
    zcb_os_unlock(&lock);
    zcb_thread.copies = record;
    return record;
}

// One writer: plain adds, but readable from elsewhere.
static inline void
add_own(struct zcb_copy_record *record, enum zcb_copy_reason reason, size_t len)
{
    uint64_t *bytes = &record->counts.bytes[reason], *calls = &record->counts.calls[reason];

    __atomic_store_n(bytes, *bytes + len, __ATOMIC_RELAXED);
    __atomic_store_n(calls, *calls + 1, __ATOMIC_RELAXED);
}

// The thread's first copy, one without a record, or one that is traced.
static __attribute__((noinline)) void
count_slow(enum zcb_copy_reason reason, size_t len)
{
    struct zcb_copy_record *record = own_record();
    void (*trace)(void *, enum zcb_copy_reason, size_t);

    if (record != NULL) {
        add_own(record, reason, len);
    } else {
        __atomic_fetch_add(&common.bytes[reason], len, __ATOMIC_RELAXED);
        __atomic_fetch_add(&common.calls[reason], 1, __ATOMIC_RELAXED);
    }
    trace = __atomic_load_n(&trace_function, __ATOMIC_ACQUIRE);
    if (trace != NULL)
        trace(__atomic_load_n(&trace_ctx, __ATOMIC_RELAXED), reason, len);
}

void
zcb_count_copy(enum zcb_copy_reason reason, size_t len)
{
    struct zcb_copy_record *record = zcb_thread.copies;

    if (ZCB_UNLIKELY((unsigned)reason >= ZCB_COPY_REASON_COUNT))
        return;
    if (ZCB_LIKELY(record != NULL && __atomic_load_n(&trace_function, __ATOMIC_RELAXED) == NULL))
        add_own(record, reason, len);
    else
        count_slow(reason, len);
}

static void
add(struct zcb_copies *sum, const struct zcb_copies *part)
{
    for (size_t i = 0; i < REASONS; i++) {
        sum->bytes[i] += __atomic_load_n(&part->bytes[i], __ATOMIC_RELAXED);
        sum->calls[i] += __atomic_load_n(&part->calls[i], __ATOMIC_RELAXED);
    }
}

void
zcb_copies_thread_end(void)
{
    struct zcb_copy_record *record = zcb_thread.copies;

    if (record == NULL)
        return;
    zcb_thread.copies = NULL;
    zcb_os_lock(&lock);
    *record->link = record->next;
    if (record->next != NULL)
        record->next->link = record->link;
    for (size_t i = 0; i < REASONS; i++) {
        __atomic_fetch_add(&common.bytes[i], record->counts.bytes[i], __ATOMIC_RELAXED);
        __atomic_fetch_add(&common.calls[i], record->counts.calls[i], __ATOMIC_RELAXED);
    }
    zcb_os_unlock(&lock);
    free(record);
}

void
zcb_copies_thread(struct zcb_copies *out)
{
    memset(out, 0, sizeof(*out));
    if (zcb_thread.copies != NULL)
        add(out, &zcb_thread.copies->counts);
}

void
zcb_copies_total(struct zcb_copies *out)
{
    memset(out, 0, sizeof(*out));
    zcb_os_lock(&lock);
    add(out, &common);
    for (struct zcb_copy_record *record = records; record != NULL; record = record->next)
        add(out, &record->counts);
    zcb_os_unlock(&lock);
}

uint64_t
zcb_copies_bytes(const struct zcb_copies *copies)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < REASONS; i++)
        sum += copies->bytes[i];
    return sum;
}
