// SPDX-License-Identifier: MIT
#include "storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool __attribute__((format(printf, 3, 4)))
fail(struct storage *s, int error, const char *format, ...)
{
    va_list args;

    s->error = error;
    va_start(args, format);
    vsnprintf(s->why, sizeof(s->why), format, args);
    va_end(args);
    return false;
}

// All folders above the last name in `path`, which is relative to the folder `at`.
static bool
make_folders(struct storage *s, int at, const char *path)
{
    char *copy = strdup(path);
    bool good = copy != NULL || fail(s, ENOMEM, "out of memory");
    char *slash = copy == NULL ? NULL : copy + strspn(copy, "/");

    for (; good && (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        if (mkdirat(at, copy, 0777) < 0 && errno != EEXIST)
            good = fail(s, errno, "%s: cannot be made: %s", copy, strerror(errno));
        *slash = '/';
    }
    free(copy);
    return good;
}

bool
storage_open(struct storage *s, const struct metainfo *meta, const char *root, bool writable)
{
    s->meta = meta;
    s->writable = writable;
    s->error = 0;
    s->why[0] = '\0';
    for (int i = 0; i < STORAGE_OPEN_FILES; i++)
        s->open[i].fd = -1;
    s->root = -1;
    if (writable && mkdir(root, 0777) < 0 && errno == ENOENT && !make_folders(s, AT_FDCWD, root))
        return false;
    if (writable && mkdir(root, 0777) < 0 && errno != EEXIST)
        return fail(s, errno, "%s: cannot be made: %s", root, strerror(errno));
    s->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->root < 0)
        return fail(s, errno, "%s: %s", root, strerror(errno));
    return true;
}

void
storage_close(struct storage *s)
{
    for (int i = 0; i < STORAGE_OPEN_FILES; i++)
        if (s->open[i].fd >= 0)
            close(s->open[i].fd);
    if (s->root >= 0)
        close(s->root);
    s->root = -1;
}

// The descriptor of a file, opened if need be; -1: s->why. `flags` is O_CREAT or 0.
static int
file_fd(struct storage *s, uint32_t file, int flags)
{
    uint32_t slot = file % STORAGE_OPEN_FILES;
    const char *path = s->meta->files[file].path;
    int fd;

    if (s->open[slot].fd >= 0 && s->open[slot].file == file)
        return s->open[slot].fd;
    // Not through a link at the last step, and not waiting for the other end of a FIFO.
    fd = openat(s->root, path,
                (s->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags,
                0666);
    if (fd < 0) {
        fail(s, errno, "%s: %s", path, errno == ELOOP ? "it is a symbolic link" : strerror(errno));
        return -1;
    }
    if (s->open[slot].fd >= 0)
        close(s->open[slot].fd);
    s->open[slot].fd = fd;
    s->open[slot].file = file;
    return fd;
}

bool
storage_prepare(struct storage *s, bool *existed)
{
    uint64_t needed = 0, room;
    struct statvfs fs;
    struct stat st;

    *existed = false;
    for (int pass = 0; pass < 2; pass++) {
        // First look at everything, then change anything.
        for (uint32_t i = 0; i < s->meta->file_count; i++) {
            const struct meta_file *file = &s->meta->files[i];
            int fd;

            if (file->pad)
                continue;
            if (pass == 0) {
                uint64_t held;

                if (fstatat(s->root, file->path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                    if (errno != ENOENT && errno != ENOTDIR)
                        return fail(s, errno, "%s: %s", file->path, strerror(errno));
                    needed += file->length;
                    continue;
                }
                if (!S_ISREG(st.st_mode))
                    return fail(s, EEXIST, "%s: is there already, and is no regular file",
                                file->path);
                if ((uint64_t)st.st_size > file->length)
                    return fail(s, EEXIST,
                                "%s: is there already, and is longer than the torrent says",
                                file->path);
                held = (uint64_t)st.st_blocks * 512;
                needed += held < file->length ? file->length - held : 0;
                *existed |= st.st_size > 0 && held > 0;
                continue;
            }
            if (!make_folders(s, s->root, file->path) || (fd = file_fd(s, i, O_CREAT)) < 0)
                return false;
            if (fstat(fd, &st) == 0 && (uint64_t)st.st_size < file->length &&
                ftruncate(fd, (off_t)file->length) < 0)
                return fail(s, errno, "%s: cannot be %llu bytes long: %s", file->path,
                            (unsigned long long)file->length, strerror(errno));
        }
        if (pass == 0 && fstatvfs(s->root, &fs) == 0 && fs.f_blocks != 0) {
            room = (uint64_t)fs.f_bavail * fs.f_frsize;
            if (room < needed)
                return fail(
                    s, ENOSPC, "the torrent needs %llu MiB more, and only %llu MiB are free",
                    (unsigned long long)(needed >> 20) + 1, (unsigned long long)(room >> 20));
        }
    }
    return true;
}

bool
storage_check(struct storage *s)
{
    for (uint32_t i = 0; i < s->meta->file_count; i++) {
        const struct meta_file *file = &s->meta->files[i];
        struct stat st;
        int fd;

        if (file->pad)
            continue;
        fd = file_fd(s, i, 0);
        if (fd < 0)
            return false;
        if (fstat(fd, &st) < 0)
            return fail(s, errno, "%s: %s", file->path, strerror(errno));
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != file->length)
            return fail(s, EINVAL, "%s: is not a file of %llu bytes", file->path,
                        (unsigned long long)file->length);
    }
    return true;
}

bool
storage_locate(struct storage *s, uint64_t at, size_t len, int *fd, uint64_t *offset, size_t *here)
{
    uint32_t index = metainfo_file_at(s->meta, at);
    const struct meta_file *file = &s->meta->files[index];
    uint64_t left;

    *offset = at - file->offset;
    left = file->length - *offset;
    *here = left < len ? (size_t)left : len;
    *fd = file->pad ? -1 : file_fd(s, index, 0);
    return *fd >= 0 || file->pad;
}

bool
storage_write(struct storage *s, uint64_t at, const void *data, size_t len)
{
    const uint8_t *from = data;

    while (len != 0) {
        uint64_t offset;
        ssize_t put;
        size_t here;
        int fd;

        if (!storage_locate(s, at, len, &fd, &offset, &here))
            return false;
        put = fd < 0 ? (ssize_t)here : pwrite(fd, from, here, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return fail(s, put == 0 ? EIO : errno, "%s: cannot be written: %s",
                        s->meta->files[metainfo_file_at(s->meta, at)].path,
                        put == 0 ? "nothing was taken" : strerror(errno));
        from += put;
        at += (uint64_t)put;
        len -= (size_t)put;
    }
    return true;
}

bool
storage_read(struct storage *s, uint64_t at, void *data, size_t len)
{
    uint8_t *to = data;

    while (len != 0) {
        uint64_t offset;
        ssize_t got;
        size_t here;
        int fd;

        if (!storage_locate(s, at, len, &fd, &offset, &here))
            return false;
        if (fd < 0) {
            memset(to, 0, here);
            got = (ssize_t)here;
        } else {
            got = pread(fd, to, here, (off_t)offset);
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fail(s, got == 0 ? EIO : errno, "%s: cannot be read: %s",
                        s->meta->files[metainfo_file_at(s->meta, at)].path,
                        got == 0 ? "it has become shorter" : strerror(errno));
        to += got;
        at += (uint64_t)got;
        len -= (size_t)got;
    }
    return true;
}

bool
storage_has_data(struct storage *s, uint64_t at, size_t len)
{
    while (len != 0) {
        uint64_t offset;
        size_t here;
        int fd;

        if (!storage_locate(s, at, len, &fd, &offset, &here))
            return true; // reading it will say what is wrong
        if (fd >= 0) {
            off_t data = lseek(fd, (off_t)offset, SEEK_DATA);

            // ENXIO: a hole to the end. Any other answer is of a file system that cannot tell.
            if (data >= 0 ? (uint64_t)data < offset + here : errno != ENXIO)
                return true;
        }
        at += here;
        len -= here;
    }
    return false;
}
