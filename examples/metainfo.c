// SPDX-License-Identifier: MIT
#include "metainfo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "bencode.h"

struct reader {
    char *why;
    size_t room;
};

static bool __attribute__((format(printf, 2, 3))) refuse(struct reader *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(r->why, r->room, format, args);
    va_end(args);
    return false;
}

static bool
get_size(struct ben dict, const char *key, uint64_t *out)
{
    struct ben value;
    int64_t number;

    if (!ben_get(dict, key, &value) || !ben_integer(value, &number) || number < 0)
        return false;
    *out = (uint64_t)number;
    return true;
}

// Appends one part to a path that is `*used` bytes long so far.
static bool
add_part(struct reader *r, char *path, size_t room, size_t *used, struct ben value)
{
    const uint8_t *part;
    size_t len;

    if (!ben_string(value, &part, &len))
        return refuse(r, "a part of a path is no string");
    if (len == 0)
        return refuse(r, "a part of a path is empty");
    if ((len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.'))
        return refuse(r, "a path has a part \"%.*s\"", (int)len, (const char *)part);
    if (memchr(part, '/', len) != NULL || memchr(part, '\0', len) != NULL)
        return refuse(r, "a part of a path has a slash or a zero byte in it");
    if (len > 255 || len + 2 > room - *used)
        return refuse(r, "a path is too long");
    if (*used != 0)
        path[(*used)++] = '/';
    memcpy(path + *used, part, len);
    *used += len;
    path[*used] = '\0';
    return true;
}

static bool
add_file(struct reader *r, struct metainfo *meta, const char *path, uint64_t length, bool pad)
{
    struct meta_file *file = &meta->files[meta->file_count];

    if (length > (uint64_t)INT64_MAX - meta->total)
        return refuse(r, "the lengths add up to more than 2^63");
    file->path = strdup(path);
    if (file->path == NULL)
        return refuse(r, "out of memory");
    file->offset = meta->total;
    file->length = length;
    file->pad = pad;
    meta->total += length;
    meta->file_count++;
    return true;
}

static bool
read_files(struct reader *r, struct metainfo *meta, struct ben list)
{
    struct ben left = ben_items(list), item;
    size_t count = 0;

    if (!ben_is_list(list))
        return refuse(r, "\"files\" is no list");
    while (ben_next(&left, &item))
        count++;
    if (count == 0 || count > META_MAX_FILES)
        return refuse(r, "%zu files, and 1 to %u are allowed", count, META_MAX_FILES);
    meta->files = calloc(count, sizeof(*meta->files));
    if (meta->files == NULL)
        return refuse(r, "out of memory");
    left = ben_items(list);
    while (ben_next(&left, &item)) {
        struct ben parts, part, attr;
        const uint8_t *letters = NULL;
        size_t used = strlen(meta->name), before = used, attr_len = 0;
        char path[PATH_MAX];
        uint64_t length;

        if (!get_size(item, "length", &length))
            return refuse(r, "a file has no length, or a negative one");
        if (!ben_get(item, "path", &parts) || !ben_is_list(parts))
            return refuse(r, "a file has no path");
        memcpy(path, meta->name, used + 1);
        parts = ben_items(parts);
        while (ben_next(&parts, &part))
            if (!add_part(r, path, sizeof(path), &used, part))
                return false;
        if (used == before)
            return refuse(r, "a file's path is empty");
        if (ben_get(item, "attr", &attr))
            (void)ben_string(attr, &letters, &attr_len);
        if (!add_file(r, meta, path, length,
                      attr_len != 0 && memchr(letters, 'p', attr_len) != NULL))
            return false;
    }
    return true;
}

// As strcmp(), but '/' before all others, so that a directory stands right before what is in it.
static int
compare_paths(const void *x, const void *y)
{
    const unsigned char *a = *(const unsigned char *const *)x;
    const unsigned char *b = *(const unsigned char *const *)y;

    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return (*a == '/' ? 1 : *a == 0 ? 0 : *a + 1) - (*b == '/' ? 1 : *b == 0 ? 0 : *b + 1);
}

static bool
paths_are_distinct(struct reader *r, const struct metainfo *meta)
{
    const char **sorted = calloc(meta->file_count, sizeof(*sorted));
    bool good = true;
    size_t n = 0;

    if (sorted == NULL)
        return refuse(r, "out of memory");
    for (uint32_t i = 0; i < meta->file_count; i++)
        if (!meta->files[i].pad)
            sorted[n++] = meta->files[i].path;
    qsort(sorted, n, sizeof(*sorted), compare_paths);
    for (size_t i = 1; good && i < n; i++) {
        size_t len = strlen(sorted[i - 1]);

        if (strncmp(sorted[i - 1], sorted[i], len) == 0 &&
            (sorted[i][len] == '\0' || sorted[i][len] == '/'))
            good = refuse(r, "two files have one path, or one is the other's directory");
    }
    free(sorted);
    return good;
}

static bool
read_info(struct reader *r, struct metainfo *meta, struct ben info)
{
    struct ben value;
    const uint8_t *hashes;
    size_t used = 0, hashes_len;
    char name[PATH_MAX] = "";
    uint64_t length, pieces;

    if (!ben_get(info, "pieces", &value) || !ben_string(value, &hashes, &hashes_len)) {
        if (ben_get(info, "meta version", &value))
            return refuse(r, "it is of version 2 alone; a version 1 or hybrid torrent is needed");
        return refuse(r, "it has no \"pieces\"");
    }
    if (!get_size(info, "piece length", &length) || length == 0 || length > META_MAX_PIECE)
        return refuse(r, "no piece length, or none of 1 to %u bytes", META_MAX_PIECE);
    meta->piece_length = (uint32_t)length;
    if (!ben_get(info, "name", &value))
        return refuse(r, "it has no name");
    if (!add_part(r, name, sizeof(name), &used, value))
        return false;
    meta->name = strdup(name);
    if (meta->name == NULL)
        return refuse(r, "out of memory");
    if (ben_get(info, "files", &value)) {
        if (ben_get(info, "length", &(struct ben){NULL, 0}))
            return refuse(r, "it has both \"files\" and \"length\"");
        if (!read_files(r, meta, value))
            return false;
    } else {
        if (!get_size(info, "length", &length))
            return refuse(r, "it has neither \"files\" nor a \"length\"");
        meta->files = calloc(1, sizeof(*meta->files));
        if (meta->files == NULL)
            return refuse(r, "out of memory");
        if (!add_file(r, meta, meta->name, length, false))
            return false;
    }
    pieces = meta->total / meta->piece_length + (meta->total % meta->piece_length != 0);
    if (pieces > INT32_MAX)
        return refuse(r, "it has more than 2^31 pieces");
    if (hashes_len % META_HASH != 0 || hashes_len / META_HASH != pieces)
        return refuse(r, "it has %zu bytes of hashes; %llu pieces need 20 bytes each", hashes_len,
                      (unsigned long long)pieces);
    meta->pieces = (uint32_t)pieces;
    meta->hashes = hashes;
    return paths_are_distinct(r, meta);
}

bool
metainfo_parse(const void *data, size_t len, struct metainfo *out, char *why, size_t room)
{
    struct reader r = {why, room};
    struct ben_error error;
    struct ben top, info;

    *out = (struct metainfo){0};
    if (len > META_MAX_FILE)
        return refuse(&r, "it is larger than %u MiB", META_MAX_FILE >> 20);
    out->raw = malloc(len + 1);
    if (out->raw == NULL)
        return refuse(&r, "out of memory");
    memcpy(out->raw, data, len);
    if (!ben_read(out->raw, len, &top, &error)) {
        refuse(&r, "%s (byte %zu)", error.reason, error.at);
        goto bad;
    }
    if (!ben_get(top, "info", &info) || !ben_is_dict(info)) {
        refuse(&r, "it has no \"info\" dictionary");
        goto bad;
    }
    if (EVP_Digest(info.at, info.len, out->info_hash, NULL, EVP_sha1(), NULL) != 1) {
        refuse(&r, "SHA-1 is not available here");
        goto bad;
    }
    if (read_info(&r, out, info))
        return true;
bad:
    metainfo_free(out);
    return false;
}

bool
metainfo_load(const char *path, struct metainfo *out, char *why, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO must not make us wait
    struct reader r = {why, room};
    struct stat st;
    uint8_t *data = NULL;
    size_t have = 0;
    bool good = false;

    *out = (struct metainfo){0};
    if (fd < 0)
        return refuse(&r, "%s", strerror(errno));
    if (fstat(fd, &st) < 0) {
        refuse(&r, "%s", strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        refuse(&r, "it is no regular file");
    } else if (st.st_size > (off_t)META_MAX_FILE) {
        refuse(&r, "it is larger than %u MiB", META_MAX_FILE >> 20);
    } else if ((data = malloc((size_t)st.st_size + 1)) == NULL) {
        refuse(&r, "out of memory");
    } else {
        while (have < (size_t)st.st_size) {
            ssize_t got = read(fd, data + have, (size_t)st.st_size - have);

            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                break;
            have += (size_t)got;
        }
        good = metainfo_parse(data, have, out, why, room);
    }
    free(data);
    close(fd);
    return good;
}

void
metainfo_free(struct metainfo *meta)
{
    for (uint32_t i = 0; i < meta->file_count; i++)
        free(meta->files[i].path);
    free(meta->files);
    free(meta->name);
    free(meta->raw);
    *meta = (struct metainfo){0};
}

uint32_t
metainfo_file_at(const struct metainfo *meta, uint64_t at)
{
    uint32_t low = 0, high = meta->file_count;

    // The first file that ends behind `at`.
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (meta->files[middle].offset + meta->files[middle].length > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint32_t
metainfo_piece_length(const struct metainfo *meta, uint32_t piece)
{
    uint64_t offset = (uint64_t)piece * meta->piece_length;

    return meta->total - offset < meta->piece_length ? (uint32_t)(meta->total - offset)
                                                     : meta->piece_length;
}
