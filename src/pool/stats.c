// SPDX-License-Identifier: MIT
//
// Counters are kept where they cost nothing: a magazine counts its hits and what it exchanged with
// the depot, the pool counts under its lock what went past the caches. The rest follows: a
// magazine's n = in - out + returns - hits, and its n and hits are read at once.
//
// While others are in their fast paths, magazines are looked at one after the other. What one gave
// out after it was looked at, another one may have taken in when its turn came: so returns are
// bounded by acquires. Both only grow, and so does the lesser of the two.

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pool/cache.h"

static void
fill_tier(struct zcb_pool *pool, uint32_t t, struct zcb_tier_stats *out)
{
    const struct zcb_tier_state *tier = &pool->tier[t];
    uint64_t hits = tier->hits, returns = tier->returns, cached = 0, acquires, outside;

    for (struct zcb_cache *cache = pool->caches; cache != NULL && t < pool->tiers;
         cache = cache->next) {
        const struct zcb_magazine *magazine = &cache->tier[t];
        // Acquire: whoever sees a release in it sees, at the next look, what came before that.
        uint64_t word = __atomic_load_n(&magazine->word, __ATOMIC_ACQUIRE);
        uint64_t n = zcb_magazine_n(word), h = zcb_magazine_hits(word);

        hits += h;
        cached += n;
        returns += n + h + magazine->out - magazine->in; // the last two change under the lock
    }
    acquires = hits + tier->depot_hits + tier->misses + tier->fallbacks;
    if (returns > acquires - tier->drops)
        returns = acquires - tier->drops;
    outside = tier->total - tier->free;
    if (cached > outside)
        cached = outside;
    *out = (struct zcb_tier_stats){
        .buffer_size = t < pool->tiers ? pool->size[t] : 0,
        .acquires = acquires,
        .hits = hits,
        .depot_hits = tier->depot_hits,
        .misses = tier->misses,
        .fallbacks = tier->fallbacks,
        .refusals = tier->refusals,
        .waits = tier->waits,
        .returns = returns,
        .drops = tier->drops,
        .live = outside - cached + tier->singles,
        .cached = cached,
        .depot = tier->free,
        .charged = tier->charged,
        .peak_charged = tier->peak_charged,
        .peak_live = tier->peak_away,
        .slabs = tier->slab_count,
    };
}

static void
add_tier(struct zcb_tier_stats *sum, const struct zcb_tier_stats *tier)
{
#define ADD(name, gauge, help) sum->name += tier->name;
    ZCB_TIER_STATS(ADD)
#undef ADD
}

int
zcb_pool_stats(struct zcb_pool *pool, struct zcb_pool_stats *out, size_t out_size)
{
    struct zcb_pool_stats stats;

    if (pool == NULL || out == NULL || out_size < sizeof(struct zcb_tier_stats))
        return -EINVAL;
    memset(&stats, 0, sizeof(stats));
    zcb_pool_enter(pool);
    for (uint32_t t = 0; t < pool->tiers; t++) {
        fill_tier(pool, t, &stats.tier[t]);
        add_tier(&stats.total, &stats.tier[t]);
    }
    fill_tier(pool, ZCB_POOL_OVERSIZE, &stats.oversize);
    add_tier(&stats.total, &stats.oversize);
    stats.total.buffer_size = 0;
    stats.total.peak_charged = pool->peak_charged; // tiers have their peaks at different times
    stats.tiers = pool->tiers;
    stats.threads = pool->threads;
    stats.max_bytes = pool->max_bytes != SIZE_MAX ? pool->max_bytes : 0;
    stats.trimmed = pool->trimmed;
    zcb_pool_leave(pool);
    if (stats.total.acquires != 0)
        stats.hit_rate =
            (double)(stats.total.hits + stats.total.depot_hits) / (double)stats.total.acquires;
    memset(out, 0, out_size);
    memcpy(out, &stats, out_size < sizeof(stats) ? out_size : sizeof(stats));
    return 0;
}

// Text in a buffer on the stack: stats can be printed when nothing can be allocated.
struct text {
    int fd;
    int error;
    size_t len;
    char bytes[2048];
};

static void
flush(struct text *text)
{
    size_t done = 0;

    while (text->error == 0 && done < text->len) {
        ssize_t n = write(text->fd, text->bytes + done, text->len - done);

        if (n == 0 || (n < 0 && errno != EINTR))
            text->error = n == 0 ? -EIO : -errno;
        else if (n > 0)
            done += (size_t)n;
    }
    text->len = 0;
}

static void
put_char(struct text *text, char c)
{
    if (text->len == sizeof(text->bytes))
        flush(text);
    text->bytes[text->len++] = c;
}

static void
put(struct text *text, const char *string)
{
    while (*string != '\0')
        put_char(text, *string++);
}

// In quotes. JSON writes control characters as \\u00xx; Prometheus has no way to write them but for
// the line feed.
static void
put_quoted(struct text *text, const char *string, bool json)
{
    char escape[8];

    put_char(text, '"');
    for (; *string != '\0'; string++) {
        if (*string == '"' || *string == '\\') {
            put_char(text, '\\');
            put_char(text, *string);
        } else if ((unsigned char)*string >= 0x20) {
            put_char(text, *string);
        } else if (json) {
            snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)*string);
            put(text, escape);
        } else {
            put(text, *string == '\n' ? "\\n" : "?");
        }
    }
    put_char(text, '"');
}

static void
put_number(struct text *text, uint64_t number)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    put(text, digits);
}

static void
put_ratio(struct text *text, double ratio)
{
    // Not by %f: its decimal point depends on the locale.
    uint64_t parts = (uint64_t)(ratio * 1e6 + 0.5);
    char digits[40];

    snprintf(digits, sizeof(digits), "%llu.%06llu", (unsigned long long)(parts / 1000000),
             (unsigned long long)(parts % 1000000));
    put(text, digits);
}

static void
tier_label(const struct zcb_pool_stats *stats, uint32_t row, char *label, size_t size)
{
    if (row < stats->tiers)
        snprintf(label, size, "%llu", (unsigned long long)stats->tier[row].buffer_size);
    else
        snprintf(label, size, row == stats->tiers ? "oversize" : "total");
}

static const struct zcb_tier_stats *
row_of(const struct zcb_pool_stats *stats, uint32_t row)
{
    return row < stats->tiers    ? &stats->tier[row]
           : row == stats->tiers ? &stats->oversize
                                 : &stats->total;
}

static void
print_text(struct text *text, const char *name, const struct zcb_pool_stats *stats)
{
    char cell[64], label[32];

    put(text, name);
    put(text, ": hit rate ");
    put_ratio(text, stats->hit_rate);
    snprintf(cell, sizeof(cell), ", %u threads, %llu bytes trimmed\n", stats->threads,
             (unsigned long long)stats->trimmed);
    put(text, cell);
    snprintf(cell, sizeof(cell), "%-14s", "");
    put(text, cell);
    for (uint32_t row = 0; row < stats->tiers + 2; row++) {
        tier_label(stats, row, label, sizeof(label));
        snprintf(cell, sizeof(cell), " %14s", label);
        put(text, cell);
    }
    put(text, "\n");
#define LINE(field, gauge, help)                                                                   \
    if (strcmp(#field, "buffer_size") != 0) {                                                      \
        snprintf(cell, sizeof(cell), "%-14s", #field);                                             \
        put(text, cell);                                                                           \
        for (uint32_t row = 0; row < stats->tiers + 2; row++) {                                    \
            snprintf(cell, sizeof(cell), " %14llu",                                                \
                     (unsigned long long)row_of(stats, row)->field);                               \
            put(text, cell);                                                                       \
        }                                                                                          \
        put(text, "\n");                                                                           \
    }
    ZCB_TIER_STATS(LINE)
#undef LINE
}

static void
print_json_row(struct text *text, const struct zcb_tier_stats *tier)
{
    const char *separator = "{";

#define MEMBER(field, gauge, help)                                                                 \
    put(text, separator);                                                                          \
    put(text, "\"" #field "\":");                                                                  \
    put_number(text, tier->field);                                                                 \
    separator = ",";
    ZCB_TIER_STATS(MEMBER)
#undef MEMBER
    put(text, "}");
}

static void
print_json(struct text *text, const char *name, const struct zcb_pool_stats *stats)
{
    put(text, "{\"name\":");
    put_quoted(text, name, true);
    put(text, ",\"hit_rate\":");
    put_ratio(text, stats->hit_rate);
    put(text, ",\"threads\":");
    put_number(text, stats->threads);
    put(text, ",\"max_bytes\":");
    put_number(text, stats->max_bytes);
    put(text, ",\"trimmed\":");
    put_number(text, stats->trimmed);
    put(text, ",\"tiers\":[");
    for (uint32_t t = 0; t < stats->tiers; t++) {
        if (t != 0)
            put(text, ",");
        print_json_row(text, &stats->tier[t]);
    }
    put(text, "],\"oversize\":");
    print_json_row(text, &stats->oversize);
    put(text, ",\"total\":");
    print_json_row(text, &stats->total);
    put(text, "}\n");
}

static void
print_metric(struct text *text, const char *pool, const struct zcb_pool_stats *stats,
             const char *metric, bool gauge, const char *help, size_t offset)
{
    const char *suffix = gauge ? "" : "_total"; // how counters are named there
    char label[32];

    for (int line = 0; line < 2; line++) {
        put(text, line == 0 ? "# HELP " : "# TYPE ");
        put(text, metric);
        put(text, suffix);
        put(text, " ");
        put(text, line == 0 ? help : gauge ? "gauge" : "counter");
        put(text, "\n");
    }
    for (uint32_t row = 0; row < stats->tiers + 1; row++) {
        tier_label(stats, row, label, sizeof(label));
        put(text, metric);
        put(text, suffix);
        put(text, "{pool=");
        put_quoted(text, pool, false);
        put(text, ",tier=");
        put_quoted(text, label, false);
        put(text, "} ");
        put_number(text, *(const uint64_t *)((const char *)row_of(stats, row) + offset));
        put(text, "\n");
    }
}

static void
print_prometheus(struct text *text, const char *name, const struct zcb_pool_stats *stats)
{
    // The sums are left to the reader of the metrics, who would otherwise count twice.
#define METRIC(field, gauge, help)                                                                 \
    print_metric(text, name, stats, "zcbuf_pool_" #field, gauge, help,                             \
                 offsetof(struct zcb_tier_stats, field));
    ZCB_TIER_STATS(METRIC)
#undef METRIC
}

int
zcb_pool_stats_print(struct zcb_pool *pool, int fd, enum zcb_stats_format format)
{
    struct zcb_pool_stats stats;
    struct text text = {.fd = fd};
    int result = zcb_pool_stats(pool, &stats, sizeof(stats));

    if (result < 0)
        return result;
    switch (format) {
    case ZCB_STATS_TEXT:
        print_text(&text, pool->name, &stats);
        break;
    case ZCB_STATS_JSON:
        print_json(&text, pool->name, &stats);
        break;
    case ZCB_STATS_PROMETHEUS:
        print_prometheus(&text, pool->name, &stats);
        break;
    default:
        return -EINVAL;
    }
    flush(&text);
    return text.error;
}
