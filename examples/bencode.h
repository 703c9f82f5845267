// SPDX-License-Identifier: MIT
//
// A reader of bencoding (BEP 3) that allocates nothing: a value is a span of the caller's memory.
//
// ben_read() judges the whole document once: the depth, every length, every digit. What the other
// functions get is a span that it, or one of them, gave out; so they need not look again.
//
// Refused: depth above BEN_MAX_DEPTH; lengths and integers with leading zeros, "-0" or above 63
// bits; strings that go beyond the end; bytes behind the value; and dictionaries whose keys are not
// in strictly ascending order, as BEP 3 wants them: a key that comes twice has no one meaning.
#ifndef EXAMPLES_BENCODE_H
#define EXAMPLES_BENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BEN_MAX_DEPTH 64

struct ben {
    const uint8_t *at; // the first byte: 'i', 'l', 'd' or a digit
    size_t len;        // the whole value
};

struct ben_error {
    const char *reason; // static text
    size_t at;          // offset of the byte at fault
};

// Judges `len` bytes as one value, the outermost. false: *error says why.
bool ben_read(const void *data, size_t len, struct ben *out, struct ben_error *error);

// What a value is, or false if it is of another kind.
bool ben_integer(struct ben value, int64_t *out);
bool ben_string(struct ben value, const uint8_t **data, size_t *len);
bool ben_is_list(struct ben value);
bool ben_is_dict(struct ben value);

// The value of `key` in a dictionary; false: not a dictionary, or not in it.
bool ben_get(struct ben dict, const char *key, struct ben *out);

// Walks a list. Start with *left = the list; true while *item is one more element.
struct ben ben_items(struct ben list);
bool ben_next(struct ben *left, struct ben *item);

#endif
