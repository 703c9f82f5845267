// SPDX-License-Identifier: MIT
//
// Files that are there whole or not at all: written under a name that begins with a dot, and renamed.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zcb-thumb.h"

#define BUFFER ((size_t)64 << 10)

// ---- the folder

static int
by_identity(const void *a, const void *b)
{
    const struct identity *x = a, *y = b;

    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static int
by_name(const void *a, const void *b)
{
    const struct taken *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : x->by < y->by ? -1 : x->by > y->by;
}

// "folder/photo.png" gives "photo".
static char *
stem_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(base, '.');

    return strndup(base, dot != NULL && dot != base ? (size_t)(dot - base) : strlen(base));
}

static int
note_inputs(struct folder *folder, const struct options *options)
{
    folder->inputs = calloc(options->count, sizeof(*folder->inputs));
    folder->taken = calloc(options->count, sizeof(*folder->taken));
    if (folder->inputs == NULL || folder->taken == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < options->count; i++) {
        struct stat info;

        if (stat(options->files[i], &info) == 0)
            folder->inputs[folder->input_count++] = (struct identity){info.st_dev, info.st_ino};
        folder->taken[i] = (struct taken){stem_of(options->files[i]), i};
        if (folder->taken[i].name == NULL)
            return -ENOMEM;
        folder->taken_count++;
    }
    qsort(folder->inputs, folder->input_count, sizeof(*folder->inputs), by_identity);
    qsort(folder->taken, folder->taken_count, sizeof(*folder->taken), by_name);
    return 0;
}

int
folder_open(struct folder *folder, const struct options *options)
{
    int result = 0;

    *folder = (struct folder){.fd = -1, .path = options->folder};
    if (options->decode)
        return 0; // nothing is written
    if (mkdir(options->folder, 0777) != 0 && errno != EEXIST)
        result = -errno;
    if (result == 0)
        folder->fd = open(options->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (result == 0 && folder->fd < 0)
        result = -errno;
    if (result == 0)
        result = note_inputs(folder, options);
    if (result < 0) {
        say("%s: %s", printable(options->folder), strerror(-result));
        folder_close(folder);
    }
    return result;
}

void
folder_close(struct folder *folder)
{
    for (size_t i = 0; i < folder->taken_count; i++)
        free(folder->taken[i].name);
    free(folder->taken);
    free(folder->inputs);
    if (folder->fd >= 0)
        close(folder->fd);
    *folder = (struct folder){.fd = -1};
}

// ---- names

static int
output_name(const struct options *options, size_t input, unsigned size, char name[NAME_BYTES])
{
    char *stem = stem_of(options->files[input]);
    const struct size *s = &options->sizes[size];
    int len;

    if (stem == NULL)
        return -ENOMEM;
    if (options->size_count == 1)
        len = snprintf(name, NAME_BYTES, "%s%s", stem, options->format->suffix);
    else
        len = snprintf(name, NAME_BYTES, "%s-%ux%u%s", stem, s->width, s->height,
                       options->format->suffix);
    free(stem);
    return len < NAME_BYTES ? 0 : -ENAMETOOLONG;
}

// Two inputs may have the same name, in different folders or with different endings; the first of
// them gets it.
static int
check_name(const struct output *output, const struct options *options, size_t input)
{
    const struct folder *folder = output->folder;
    struct stat info;
    struct taken key = {stem_of(options->files[input]), 0};
    size_t low = 0, high = folder->taken_count;

    if (key.name == NULL)
        return -ENOMEM;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (by_name(&folder->taken[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    free(key.name);
    if (low < folder->taken_count && folder->taken[low].by != input)
        return because(output->why, -EEXIST, "%s is made of %.80s already", output->name,
                       options->files[folder->taken[low].by]);
    // A link to a folder can be replaced; one to an input may be how the input was named.
    if (fstatat(folder->fd, output->name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode))
        return because(output->why, -EISDIR, "%s is a folder", output->name);
    if (fstatat(folder->fd, output->name, &info, 0) == 0) {
        struct identity it = {info.st_dev, info.st_ino};

        if (bsearch(&it, folder->inputs, folder->input_count, sizeof(it), by_identity) != NULL)
            return because(output->why, -EEXIST, "%s is an input itself: choose another folder",
                           output->name);
    }
    return 0;
}

// ---- one file

static int
failed(struct output *output, int result)
{
    if (output->error == 0)
        output->error = because(output->why, result, "%s: %s", output->name, strerror(-result));
    return output->error;
}

int
output_open(struct output *output, struct folder *folder, const struct options *options,
            size_t input, unsigned size, struct memory *memory, char *why)
{
    int result;

    *output = (struct output){.folder = folder, .memory = memory, .fd = -1, .why = why};
    result = output_name(options, input, size, output->name);
    if (result < 0)
        return output->error = because(why, result, "%s", strerror(-result));
    result = check_name(output, options, input);
    if (result < 0)
        return output->error = result;
    result = memory_get(memory, BUFFER, &output->buffer);
    if (result < 0)
        return because(why, result, "no memory for the output");
    for (unsigned i = 0; i < 100; i++) { // left over from a process of the same number
        snprintf(output->temporary, NAME_BYTES, ".zcb-thumb-%ld-%zu-%u-%u.part", (long)getpid(),
                 input, size, i);
        output->fd = openat(folder->fd, output->temporary,
                            O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (output->fd >= 0 || errno != EEXIST)
            break;
    }
    if (output->fd >= 0)
        return 0;
    failed(output, -errno);
    output->temporary[0] = '\0'; // it is somebody else's
    return output->error;
}

static int
flush(struct output *output, size_t len)
{
    size_t done = 0;

    while (output->error == 0 && done < len) {
        ssize_t n = write(output->fd, output->buffer.data + done, len - done);

        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            failed(output, n == 0 ? -EIO : -errno);
    }
    output->bytes += done;
    output->used = 0;
    return output->error;
}

uint8_t *
output_space(struct output *output, size_t *len)
{
    *len = BUFFER;
    return output->buffer.data;
}

int
output_filled(struct output *output, size_t len)
{
    return flush(output, len < BUFFER ? len : BUFFER);
}

int
output_write(struct output *output, const void *data, size_t len)
{
    const uint8_t *from = data;

    while (output->error == 0 && len > 0) {
        size_t n = BUFFER - output->used < len ? BUFFER - output->used : len;

        memcpy(output->buffer.data + output->used, from, n);
        output->used += n;
        from += n;
        len -= n;
        if (output->used == BUFFER)
            flush(output, BUFFER);
    }
    return output->error;
}

int
output_error(const struct output *output)
{
    return output->error;
}

int
output_flush(struct output *output)
{
    int fd = output->fd;

    flush(output, output->used);
    output->fd = -1;
    if (fd >= 0 && close(fd) != 0) // where the disk is across a network it may say so only now
        failed(output, -errno);
    return output->error;
}

int
output_publish(struct output *output)
{
    if (output->error != 0)
        return output->error;
    if (renameat(output->folder->fd, output->temporary, output->folder->fd, output->name) != 0)
        return failed(output, -errno);
    output->temporary[0] = '\0';
    return 0;
}

void
output_drop(struct output *output)
{
    if (output->folder == NULL)
        return;
    if (output->fd >= 0)
        close(output->fd);
    if (output->temporary[0] != '\0')
        (void)unlinkat(output->folder->fd, output->temporary, 0);
    memory_put(output->memory, &output->buffer);
    *output = (struct output){.fd = -1};
}
