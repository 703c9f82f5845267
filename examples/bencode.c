// SPDX-License-Identifier: MIT
#include "bencode.h"

#include <string.h>

// Decimal digits at `at`: how many there are, at least one, no leading zero, at most 2^63 - 1.
// 0: not so, and *reason says what is wrong.
static size_t
digits(const uint8_t *data, size_t at, size_t len, uint64_t *out, const char **reason)
{
    uint64_t value = 0;
    size_t n = 0;

    for (; at + n < len && data[at + n] >= '0' && data[at + n] <= '9'; n++) {
        uint64_t digit = data[at + n] - '0';

        if (value > ((uint64_t)INT64_MAX - digit) / 10) {
            *reason = "a number is too large";
            return 0;
        }
        value = value * 10 + digit;
    }
    if (n == 0) {
        *reason = at < len ? "a digit is missing" : "the data ends in the middle";
        return 0;
    }
    if (n > 1 && data[at] == '0') {
        *reason = "a number has a leading zero";
        return 0;
    }
    *out = value;
    return n;
}

// The length of the string or integer at `at`; 0: *reason says what is wrong.
static size_t
scalar(const uint8_t *data, size_t at, size_t len, const char **reason)
{
    uint64_t value;
    size_t n;

    if (data[at] == 'i') {
        bool negative = at + 1 < len && data[at + 1] == '-';
        size_t from = at + 1 + negative;

        n = digits(data, from, len, &value, reason);
        if (n == 0)
            return 0;
        if (negative && value == 0) {
            *reason = "minus zero is no number";
            return 0;
        }
        if (from + n >= len || data[from + n] != 'e') {
            *reason = from + n < len ? "an integer does not end" : "the data ends in the middle";
            return 0;
        }
        return from + n + 1 - at;
    }
    if (data[at] < '0' || data[at] > '9') {
        *reason = "a byte that begins no value";
        return 0;
    }
    n = digits(data, at, len, &value, reason);
    if (n == 0)
        return 0;
    if (at + n >= len || data[at + n] != ':') {
        *reason = at + n < len ? "a string's length does not end" : "the data ends in the middle";
        return 0;
    }
    n++;
    if (value > len - at - n) {
        *reason = "a string is longer than what is left";
        return 0;
    }
    return n + (size_t)value;
}

// Whether string `b` comes behind string `a`, as raw bytes.
static bool
ascends(struct ben a, struct ben b)
{
    const uint8_t *x = NULL, *y = NULL;
    size_t xn = 0, yn = 0;
    int order;

    if (!ben_string(a, &x, &xn) || !ben_string(b, &y, &yn))
        return false;
    order = memcmp(x, y, xn < yn ? xn : yn);
    return order < 0 || (order == 0 && xn < yn);
}

bool
ben_read(const void *document, size_t len, struct ben *out, struct ben_error *error)
{
    // One entry for each list or dictionary that is open. A dictionary's `key` is its last key.
    struct {
        bool dict, value_next;
        struct ben key;
    } open[BEN_MAX_DEPTH];
    const uint8_t *data = document;
    const char *reason = NULL;
    size_t at = 0, depth = 0;

    do {
        size_t n;

        if (at >= len) {
            reason = "the data ends in the middle";
        } else if (depth > 0 && data[at] == 'e' && !open[depth - 1].value_next) {
            depth--;
            at++;
            goto value_ended;
        } else if (depth > 0 && open[depth - 1].dict && !open[depth - 1].value_next) {
            struct ben key = {data + at, 0};

            n = data[at] < '0' || data[at] > '9' ? 0 : scalar(data, at, len, &reason);
            key.len = n;
            if (n == 0)
                reason = reason != NULL ? reason : "a dictionary's key is no string";
            else if (open[depth - 1].key.len != 0 && !ascends(open[depth - 1].key, key))
                reason = "a dictionary's keys are not in order";
            open[depth - 1].key = key;
            open[depth - 1].value_next = true;
            if (reason == NULL) {
                at += n;
                continue;
            }
        } else if (data[at] == 'l' || data[at] == 'd') {
            if (depth < BEN_MAX_DEPTH) {
                open[depth].dict = data[at] == 'd';
                open[depth].value_next = false;
                open[depth].key.len = 0;
                depth++;
                at++;
                continue;
            }
            reason = "lists and dictionaries are nested too deep";
        } else {
            n = scalar(data, at, len, &reason);
            if (n != 0) {
                at += n;
                goto value_ended;
            }
        }
        *error = (struct ben_error){reason, at};
        return false;
    value_ended:
        if (depth > 0)
            open[depth - 1].value_next = false;
    } while (depth > 0);
    if (at != len) {
        *error = (struct ben_error){"there are bytes behind the end", at};
        return false;
    }
    *out = (struct ben){data, len};
    return true;
}

// The length of the value at the front of bytes that ben_read() has judged.
static size_t
length_of(const uint8_t *data, size_t len)
{
    const char *reason;
    size_t at = 0, depth = 0;

    do {
        if (data[at] == 'l' || data[at] == 'd') {
            depth++;
            at++;
        } else if (data[at] == 'e') {
            depth--;
            at++;
        } else {
            at += scalar(data, at, len, &reason);
        }
    } while (depth > 0);
    return at;
}

bool
ben_integer(struct ben value, int64_t *out)
{
    const char *reason;
    uint64_t magnitude;
    bool negative;

    if (value.len < 3 || value.at[0] != 'i')
        return false;
    negative = value.at[1] == '-';
    if (digits(value.at, 1 + (size_t)negative, value.len, &magnitude, &reason) == 0)
        return false;
    *out = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

bool
ben_string(struct ben value, const uint8_t **data, size_t *len)
{
    const uint8_t *colon;

    if (value.len < 2 || value.at[0] < '0' || value.at[0] > '9')
        return false;
    colon = memchr(value.at, ':', value.len);
    if (colon == NULL)
        return false;
    *data = colon + 1;
    *len = value.len - (size_t)(colon + 1 - value.at);
    return true;
}

bool
ben_is_list(struct ben value)
{
    return value.len != 0 && value.at[0] == 'l';
}

bool
ben_is_dict(struct ben value)
{
    return value.len != 0 && value.at[0] == 'd';
}

struct ben
ben_items(struct ben list)
{
    struct ben none = {NULL, 0};

    // Without the letter in front and the 'e' at the end.
    return ben_is_list(list) || ben_is_dict(list) ? (struct ben){list.at + 1, list.len - 2} : none;
}

bool
ben_next(struct ben *left, struct ben *item)
{
    if (left->len == 0)
        return false;
    *item = (struct ben){left->at, length_of(left->at, left->len)};
    left->at += item->len;
    left->len -= item->len;
    return true;
}

bool
ben_get(struct ben dict, const char *wanted, struct ben *out)
{
    struct ben left = ben_items(dict), key, value;
    size_t wanted_len = strlen(wanted);

    if (!ben_is_dict(dict))
        return false;
    while (ben_next(&left, &key) && ben_next(&left, &value)) {
        const uint8_t *name;
        size_t len;

        if (ben_string(key, &name, &len) && len == wanted_len && memcmp(name, wanted, len) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}
