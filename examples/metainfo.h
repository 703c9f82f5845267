// SPDX-License-Identifier: MIT
//
// What a .torrent file says (BEP 3, version 1; the version 1 side of hybrids, with their padding).
//
// A torrent comes from strangers, and its paths become files. So a path's parts are refused when
// empty, ".", "..", longer than 255 bytes, or with a "/" or NUL in them; likewise two files of one
// path, or a file where another needs a directory. All sums are in 64 bits and checked.
#ifndef EXAMPLES_METAINFO_H
#define EXAMPLES_METAINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define META_MAX_FILE (64u << 20)   // bytes of a .torrent
#define META_MAX_PIECE (128u << 20) // bytes of a piece
#define META_MAX_FILES 1000000u
#define META_HASH 20

struct meta_file {
    char *path; // relative, beginning with the torrent's name
    uint64_t offset, length;
    bool pad; // zeros between files, which nobody stores
};

struct metainfo {
    uint8_t info_hash[META_HASH];
    char *name;
    uint64_t total;
    uint32_t piece_length, pieces;
    const uint8_t *hashes; // `pieces` times 20 bytes
    struct meta_file *files;
    uint32_t file_count;
    void *raw;
};

// Takes a copy of the bytes. false: `why` (`room` bytes) says what is wrong with them.
bool metainfo_parse(const void *data, size_t len, struct metainfo *out, char *why, size_t room);

// The same from a file.
bool metainfo_load(const char *path, struct metainfo *out, char *why, size_t room);

void metainfo_free(struct metainfo *meta);

// The file that byte `at` of the torrent is in; files of length 0 are passed over. `at` < total.
uint32_t metainfo_file_at(const struct metainfo *meta, uint64_t at);

// Bytes of one piece.
uint32_t metainfo_piece_length(const struct metainfo *meta, uint32_t piece);

#endif
