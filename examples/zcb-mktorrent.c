// SPDX-License-Identifier: MIT
//
// zcb-mktorrent: makes a .torrent of a file or a folder.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "cli.h"
#include "metainfo.h"

static const char usage[] =
    "usage: zcb-mktorrent [--piece-length SIZE] [--announce URL] PATH FILE.torrent\n"
    "\n"
    "Makes FILE.torrent (version 1) of the file or folder PATH.\n"
    "\n"
    "  --piece-length SIZE  bytes, or with K or M behind them; default 256K\n"
    "  --announce URL       a tracker; none is needed by zcb-get, others may want one\n"
    "  --help               this text\n"
    "\n"
    "In a folder, regular files are taken, in the order of their names; links and other things "
    "are\n"
    "left out with a message.\n"
    "\n"
    "Exit codes: 0 done, 1 out of memory, 2 wrong arguments, 4 a file cannot be read or written.\n";

struct text {
    char *data;
    size_t len, room;
};

static void
add(struct text *out, const void *data, size_t len)
{
    if (len > out->room - out->len) {
        out->room = (out->len + len) * 2;
        out->data = realloc(out->data, out->room);
        if (out->data == NULL) {
            say("out of memory");
            exit(EXIT_INTERNAL);
        }
    }
    memcpy(out->data + out->len, data, len);
    out->len += len;
}

static void
add_string(struct text *out, const void *data, size_t len)
{
    char prefix[32];

    add(out, prefix, (size_t)snprintf(prefix, sizeof(prefix), "%zu:", len));
    add(out, data, len);
}

static void
add_key(struct text *out, const char *key)
{
    add_string(out, key, strlen(key));
}

static void
add_integer(struct text *out, uint64_t value)
{
    char text[32];

    add(out, text, (size_t)snprintf(text, sizeof(text), "i%llue", (unsigned long long)value));
}

// Pieces as they fill, across files.
struct hasher {
    EVP_MD_CTX *context;
    uint64_t piece_length, filled, total;
    struct text hashes, files;
    uint32_t file_count;
};

static void
hash_end(struct hasher *h)
{
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (h->filled == 0)
        return;
    EVP_DigestFinal_ex(h->context, digest, NULL);
    EVP_DigestInit_ex(h->context, EVP_sha1(), NULL);
    add(&h->hashes, digest, META_HASH);
    h->filled = 0;
}

static bool
hash_file(struct hasher *h, int folder, const char *name, uint64_t *length)
{
    static uint8_t buffer[1 << 18];
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    *length = 0;
    if (fd < 0) {
        say("%s: %s", printable(name), strerror(errno));
        return false;
    }
    while ((got = read(fd, buffer, sizeof(buffer))) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            say("%s: %s", printable(name), strerror(errno));
            close(fd);
            return false;
        }
        *length += (uint64_t)got;
        for (size_t done = 0; done < (size_t)got;) {
            size_t left = (size_t)got - done;
            size_t n =
                left < h->piece_length - h->filled ? left : (size_t)(h->piece_length - h->filled);

            EVP_DigestUpdate(h->context, buffer + done, n);
            done += n;
            h->filled += n;
            if (h->filled == h->piece_length)
                hash_end(h);
        }
    }
    close(fd);
    h->total += *length;
    return true;
}

static int
visible(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

// `parts` is the bencoded path so far; depth is bounded by the length of a path that can be opened.
static bool
hash_folder(struct hasher *h, int parent, const char *name, const struct text *parts)
{
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent **entries = NULL;
    int count = folder < 0 ? -1 : scandirat(folder, ".", &entries, visible, by_name);
    bool good = count >= 0;

    if (!good)
        say("%s: %s", printable(name), strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *entry = entries[i]->d_name;
        struct text path = {0};
        uint64_t length;
        struct stat st;

        if (parts->len != 0)
            add(&path, parts->data, parts->len);
        add_key(&path, entry);
        if (!good) {
            ;
        } else if (fstatat(folder, entry, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            say("%s: %s", printable(entry), strerror(errno));
            good = false;
        } else if (S_ISDIR(st.st_mode)) {
            good = hash_folder(h, folder, entry, &path);
        } else if (!S_ISREG(st.st_mode)) {
            say("%s: left out, it is no regular file", printable(entry));
        } else {
            good = hash_file(h, folder, entry, &length);
            add(&h->files, "d", 1);
            add_key(&h->files, "length");
            add_integer(&h->files, length);
            add_key(&h->files, "path");
            add(&h->files, "l", 1);
            add(&h->files, path.data, path.len);
            add(&h->files, "ee", 2);
            h->file_count++;
        }
        free(path.data);
        free(entries[i]);
    }
    free(entries);
    if (folder >= 0)
        close(folder);
    return good;
}

static bool
write_file(const char *path, const struct text *text)
{
    FILE *file = fopen(path, "wbe");
    bool good = file != NULL && fwrite(text->data, 1, text->len, file) == text->len;

    if (file != NULL && fclose(file) != 0)
        good = false;
    if (!good)
        say("%s: cannot be written: %s", printable(path), strerror(errno));
    return good;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"piece-length", required_argument, NULL, 'p'},
        {"announce", required_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct hasher h = {.piece_length = 256 << 10};
    struct text out = {0};
    const char *announce = NULL, *name;
    struct stat st;
    uint64_t length;
    size_t end;
    int option, code = EXIT_STORAGE;
    bool folder;

    standard_descriptors();
    program_name = "zcb-mktorrent";
    while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
        if (option == 'h') {
            fputs(usage, stdout);
            return (int)finish_output(EXIT_DONE);
        }
        if (option == 'a') {
            announce = optarg;
        } else if (option != 'p') {
            fputs("Try --help.\n", stderr);
            return EXIT_USAGE;
        } else if (!parse_size(optarg, 1, META_MAX_PIECE, &h.piece_length)) {
            say("--piece-length %s: give 1 to %u bytes, such as 256K", printable(optarg),
                META_MAX_PIECE);
            return EXIT_USAGE;
        }
    }
    if (argc - optind != 2) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    // The last part of the path is the torrent's name; "dir/" and "dir" are the same.
    end = strlen(argv[optind]);
    while (end > 1 && argv[optind][end - 1] == '/')
        argv[optind][--end] = '\0';
    name = strrchr(argv[optind], '/');
    name = name != NULL ? name + 1 : argv[optind];
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        say("%s: has no name of its own; give the path so that it ends in one",
            printable(argv[optind]));
        return EXIT_USAGE;
    }
    if (stat(argv[optind], &st) < 0) {
        say("%s: %s", printable(argv[optind]), strerror(errno));
        return EXIT_STORAGE;
    }
    folder = S_ISDIR(st.st_mode);
    if (!folder && !S_ISREG(st.st_mode)) {
        say("%s: is neither a file nor a folder", printable(argv[optind]));
        return EXIT_STORAGE;
    }
    h.context = EVP_MD_CTX_new();
    if (h.context == NULL || EVP_DigestInit_ex(h.context, EVP_sha1(), NULL) != 1) {
        say("SHA-1 is not available here");
        return EXIT_INTERNAL;
    }
    if (folder ? !hash_folder(&h, AT_FDCWD, argv[optind], &(struct text){0})
               : !hash_file(&h, AT_FDCWD, argv[optind], &length))
        goto out;
    hash_end(&h);
    if (folder && h.file_count == 0) {
        say("%s: there is no file in it", printable(argv[optind]));
        goto out;
    }

    add(&out, "d", 1);
    if (announce != NULL) {
        add_key(&out, "announce");
        add_key(&out, announce);
    }
    add_key(&out, "info");
    add(&out, "d", 1);
    if (folder) {
        add_key(&out, "files");
        add(&out, "l", 1);
        add(&out, h.files.data, h.files.len);
        add(&out, "e", 1);
    } else {
        add_key(&out, "length");
        add_integer(&out, length);
    }
    add_key(&out, "name");
    add_key(&out, name);
    add_key(&out, "piece length");
    add_integer(&out, h.piece_length);
    add_key(&out, "pieces");
    add_string(&out, h.hashes.len != 0 ? h.hashes.data : "", h.hashes.len);
    add(&out, "ee", 2);
    if (!write_file(argv[optind + 1], &out))
        goto out;
    printf("%s: %llu bytes, %zu pieces\n", printable(argv[optind + 1]), (unsigned long long)h.total,
           h.hashes.len / META_HASH);
    code = (int)finish_output(EXIT_DONE);
out:
    EVP_MD_CTX_free(h.context);
    free(h.hashes.data);
    free(h.files.data);
    free(out.data);
    return code;
}
