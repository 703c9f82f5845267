// SPDX-License-Identifier: MIT
//
// The files of a torrent as one stretch of bytes, from 0 to meta->total.
//
// Files are opened when they are needed and a few are kept open. Nothing is ever made shorter or
// removed: a file that is longer than the torrent says is refused, so that no other file of the
// user's is taken for an unfinished download.
#ifndef EXAMPLES_STORAGE_H
#define EXAMPLES_STORAGE_H

#include "metainfo.h"

#define STORAGE_OPEN_FILES 64

struct storage {
    const struct metainfo *meta;
    int root; // the folder
    bool writable;
    struct {
        int fd;
        uint32_t file;
    } open[STORAGE_OPEN_FILES];
    char why[512]; // what went wrong, for people
    int error;     // its errno
};

// Opens the folder that the torrent is, or is to be, in; made if `writable`. false: storage->why.
bool storage_open(struct storage *storage, const struct metainfo *meta, const char *root,
                  bool writable);
void storage_close(struct storage *storage);

// For a download: makes all folders and files, at full length without data, and asks whether there
// is space. *existed: a file was there before, with data in it.
bool storage_prepare(struct storage *storage, bool *existed);

// For a seed: every file is there in its full length.
bool storage_check(struct storage *storage);

// Bytes across file borders, all or nothing.
bool storage_write(struct storage *storage, uint64_t at, const void *data, size_t len);
bool storage_read(struct storage *storage, uint64_t at, void *data, size_t len);

// Whether any of these bytes may have been written, or are in a file without holes.
bool storage_has_data(struct storage *storage, uint64_t at, size_t len);

// Where the bytes at `at` are: a descriptor (-1: in padding), an offset, how many of `len` bytes.
// The descriptor is the storage's, good until the next call. false: storage->why.
bool storage_locate(struct storage *storage, uint64_t at, size_t len, int *fd, uint64_t *offset,
                    size_t *here);

#endif
