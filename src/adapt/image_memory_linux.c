// SPDX-License-Identifier: MIT
//
// What Linux lets this process have. Formats: proc(5), cgroups(7), and the kernel's
// admin-guide/cgroup-v2.rst and admin-guide/cgroup-v1/memory.rst.
//
// A cgroup's limits hold for all below it, so the way up to the root of what is mounted is walked:
//
//     /proc/self/cgroup     0::/a/b                      we are in a/b
//     /proc/self/mountinfo  .. /a /sys/fs/cgroup .. - cgroup2    a is mounted there
//                           -> /sys/fs/cgroup/b, then /sys/fs/cgroup
//
// In a container what the first file says may lie outside of what the second one shows: then the
// mount's own top is ours to look at.
#include "adapt/image_memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "adapt/image_budget.h"

#define PATH_MOST 4096
#define LINE_MOST 8192            // two paths and some words; what is longer is cut
#define FILE_MOST (1u << 20)      // bytes of a file that are looked at
#define UNLIMITED (UINT64_MAX)    // and what is not known
#define V1_UNLIMITED (1ull << 62) // no limit is LONG_MAX in whole pages there

static uint64_t
least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// ---- lines of a file

struct lines {
    int fd;
    size_t total;         // bytes read so far
    size_t at, end;       // of `piece`
    char piece[1024];     // read and not yet handed out
    char text[LINE_MOST]; // the line
};

// `dir` may be NULL. False: it is not there.
static bool
lines_open(struct lines *lines, const char *root, const char *dir, const char *name)
{
    char path[PATH_MOST];
    const char *parts[] = {root, dir != NULL ? dir : "", name};
    size_t len = 0;

    for (size_t i = 0; i < 3; i++) {
        size_t add = strlen(parts[i]);

        if (add >= sizeof(path) - len)
            return false;
        memcpy(path + len, parts[i], add + 1);
        len += add;
    }
    lines->total = lines->at = lines->end = 0;
    lines->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return lines->fd >= 0;
}

// One byte, or -1.
static int
next_byte(struct lines *lines)
{
    ssize_t got;

    if (lines->at == lines->end) {
        if (lines->total >= FILE_MOST)
            return -1;
        do
            got = read(lines->fd, lines->piece, sizeof(lines->piece));
        while (got < 0 && errno == EINTR);
        if (got <= 0)
            return -1;
        lines->total += (size_t)got;
        lines->at = 0;
        lines->end = (size_t)got;
    }
    return (unsigned char)lines->piece[lines->at++];
}

// The next line, without its end; NULL and closed: no more.
static char *
lines_next(struct lines *lines)
{
    size_t len = 0;
    int byte = next_byte(lines);

    if (byte < 0) {
        close(lines->fd);
        return NULL;
    }
    for (; byte >= 0 && byte != '\n'; byte = next_byte(lines))
        if (len < sizeof(lines->text) - 1)
            lines->text[len++] = (char)byte;
    lines->text[len] = '\0';
    return lines->text;
}

// Digits, then the end or a blank; too large a number is UNLIMITED. False: no number.
static bool
number(const char *text, uint64_t *out)
{
    uint64_t value = 0;

    while (*text == ' ' || *text == '\t')
        text++;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        unsigned digit = (unsigned)(*text - '0');

        value = value > (UNLIMITED - digit) / 10 ? UNLIMITED : value * 10 + digit;
        if (value == UNLIMITED)
            break;
    }
    while (*text >= '0' && *text <= '9')
        text++;
    if (*text != '\0' && *text != ' ' && *text != '\t')
        return false;
    *out = value;
    return true;
}

// The number behind `key` in a file of "key number" lines; behind "" in a file of one number.
// `otherwise`: the file, the key or the number is not there.
static uint64_t
value_of(struct lines *lines, const char *root, const char *dir, const char *name, const char *key,
         uint64_t otherwise)
{
    size_t len = strlen(key);
    uint64_t value = otherwise, found;
    bool done = false;
    const char *line;

    if (!lines_open(lines, root, dir, name))
        return otherwise;
    while ((line = lines_next(lines)) != NULL) {
        if (done || strncmp(line, key, len) != 0)
            continue;
        if (len != 0 && line[len] != ' ' && line[len] != '\t')
            continue;
        done = true;
        if (number(line + len, &found))
            value = found;
    }
    return value;
}

// ---- cgroups

// Whether a list of words between commas has this one.
static bool
has_word(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (; list != NULL; list = strchr(list, ',')) {
        list += *list == ',';
        if (strncmp(list, word, len) == 0 && (list[len] == ',' || list[len] == '\0'))
            return true;
    }
    return false;
}

// The path of our cgroup in version 1's hierarchy of memory, or in version 2's; false: none.
static bool
our_group(struct lines *lines, const char *root, unsigned version, char *out)
{
    char *line, *list, *path;
    bool found = false;

    if (!lines_open(lines, root, NULL, "/proc/self/cgroup"))
        return false;
    while ((line = lines_next(lines)) != NULL) {
        list = strchr(line, ':');
        path = list != NULL ? strchr(list + 1, ':') : NULL;
        if (found || path == NULL || path[1] != '/' || strlen(path + 1) >= PATH_MOST)
            continue;
        *path++ = '\0';
        list++;
        if (version == 2 ? *list == '\0' && strncmp(line, "0:", 2) == 0
                         : has_word(list, "memory")) {
            strcpy(out, path);
            found = true;
        }
    }
    return found;
}

// Blanks and backslashes in mountinfo are \ and three octal digits.
static void
unescape(char *text)
{
    char *to = text;

    for (; *text != '\0'; to++) {
        if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' &&
            text[2] <= '7' && text[3] >= '0' && text[3] <= '7') {
            *to = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
            text += 4;
        } else {
            *to = *text++;
        }
    }
    *to = '\0';
}

// The end of `top` in the path of a group that lies below it; NULL: it does not.
static const char *
below(const char *top, const char *group)
{
    size_t len = strcmp(top, "/") == 0 ? 0 : strlen(top);

    if (strncmp(group, top, len) != 0 || (group[len] != '/' && group[len] != '\0'))
        return NULL;
    return strstr(group + len, "/..") == NULL ? group + len : NULL;
}

// Where that hierarchy is mounted, and which of its groups is the mount's top: the first mount that
// shows ours, or else the first.
static bool
its_mount(struct lines *lines, const char *root, unsigned version, const char *group, char *top,
          char *point)
{
    char *line, *word[6], *rest, *type, *options;
    bool found = false, shows = false;

    if (!lines_open(lines, root, NULL, "/proc/self/mountinfo"))
        return false;
    while ((line = lines_next(lines)) != NULL) {
        rest = strstr(line, " - ");
        if (shows || rest == NULL)
            continue;
        *rest = '\0';
        // Behind it: type, source, options of the file system.
        type = rest + 3;
        options = strchr(type, ' ');
        if (options == NULL)
            continue;
        *options++ = '\0';
        options = strchr(options, ' ');
        if (version == 2 ? strcmp(type, "cgroup2") != 0
                         : strcmp(type, "cgroup") != 0 || options == NULL ||
                               !has_word(options + 1, "memory"))
            continue;
        // Before it: id, parent, device, top, point, options of the mount.
        rest = line;
        for (size_t i = 0; i < 6; i++)
            word[i] = rest != NULL ? strsep(&rest, " ") : NULL;
        if (word[5] == NULL || word[3][0] != '/' || word[4][0] != '/')
            continue;
        unescape(word[3]);
        unescape(word[4]);
        shows = below(word[3], group) != NULL;
        if ((found && !shows) || strlen(word[3]) >= PATH_MOST || strlen(word[4]) >= PATH_MOST)
            continue;
        strcpy(top, word[3]);
        strcpy(point, word[4]);
        found = true;
    }
    return found;
}

// One level: its limit, and what it leaves.
static void
look_at(struct lines *lines, const char *root, const char *dir, unsigned version,
        struct zcb_image_memory *out)
{
    uint64_t limit, used, cache;

    if (version == 2) {
        // Beyond `high` a group is slowed down until it has given back: for us a limit like `max`.
        limit = least(value_of(lines, root, dir, "/memory.max", "", UNLIMITED),
                      value_of(lines, root, dir, "/memory.high", "", UNLIMITED));
        used = value_of(lines, root, dir, "/memory.current", "", 0);
        cache = value_of(lines, root, dir, "/memory.stat", "inactive_file", 0);
    } else {
        // The second one has those of groups that are not to be seen from here as well.
        limit = least(
            value_of(lines, root, dir, "/memory.limit_in_bytes", "", UNLIMITED),
            value_of(lines, root, dir, "/memory.stat", "hierarchical_memory_limit", UNLIMITED));
        if (limit >= V1_UNLIMITED)
            limit = UNLIMITED;
        used = value_of(lines, root, dir, "/memory.usage_in_bytes", "", 0);
        cache = value_of(lines, root, dir, "/memory.stat", "total_inactive_file", 0);
    }
    if (limit == UNLIMITED)
        return;
    used -= least(used, cache);
    out->group_version = version;
    out->group_limit = least(out->group_limit, limit);
    out->group_free = least(out->group_free, limit - least(limit, used));
}

static void
look_at_groups(const char *root, unsigned version, struct zcb_image_memory *out)
{
    struct lines lines;
    char group[PATH_MOST], top[PATH_MOST], dir[2 * PATH_MOST];
    const char *rest;
    size_t len, point_len;

    if (!our_group(&lines, root, version, group) ||
        !its_mount(&lines, root, version, group, top, dir))
        return;
    rest = below(top, group);
    point_len = strlen(dir);
    strcpy(dir + point_len, rest != NULL ? rest : "");
    for (len = strlen(dir);; len--) {
        // At each end of a component, and at the mount's top.
        if (len == point_len || (dir[len] == '/' || dir[len] == '\0')) {
            dir[len] = '\0';
            look_at(&lines, root, dir, version, out);
        }
        if (len == point_len)
            break;
    }
}

// ---- all of it

void
image_memory_read(const char *root, uint64_t address_limit, uint64_t data_limit,
                  struct zcb_image_memory *out)
{
    struct lines lines;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), address = 0, data = 0, kib;
    const char *line;

    memset(out, 0, sizeof(*out));
    out->physical = out->available = out->group_limit = out->group_free = UNLIMITED;
    kib = value_of(&lines, root, NULL, "/proc/meminfo", "MemTotal:", UNLIMITED);
    if (kib < UNLIMITED / 1024)
        out->physical = kib * 1024;
    kib = value_of(&lines, root, NULL, "/proc/meminfo", "MemAvailable:", UNLIMITED);
    if (kib < UNLIMITED / 1024)
        out->available = kib * 1024;
    look_at_groups(root, 1, out);
    look_at_groups(root, 2, out);

    // Pages: size resident shared text lib data dirty.
    if (lines_open(&lines, root, NULL, "/proc/self/statm"))
        while ((line = lines_next(&lines)) != NULL)
            for (unsigned i = 0; line != NULL && i < 6; i++, line = strchr(line, ' ')) {
                line += *line == ' ';
                if (i == 0 && !number(line, &address))
                    address = 0;
                if (i == 5 && !number(line, &data))
                    data = 0;
            }
    address = address < UNLIMITED / page ? address * page : 0;
    data = data < UNLIMITED / page ? data * page : 0;
    out->process_limit = least(address_limit, data_limit);
    out->process_free = UNLIMITED;
    if (address_limit != UNLIMITED)
        out->process_free = address_limit - least(address_limit, address);
    if (data_limit != UNLIMITED)
        out->process_free = least(out->process_free, data_limit - least(data_limit, data));
    out->free = least(least(out->available, out->group_free), out->process_free);
}

static uint64_t
limit_of(int resource)
{
    struct rlimit limit;

    return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? limit.rlim_cur
                                                                               : UNLIMITED;
}

int
zcb_image_memory(struct zcb_image_memory *out, size_t out_size)
{
    struct zcb_image_memory now;
    int cancel;

    if (out == NULL || out_size == 0)
        return -EINVAL;
    // Files are open meanwhile.
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    image_memory_read("", limit_of(RLIMIT_AS), limit_of(RLIMIT_DATA), &now);
    pthread_setcancelstate(cancel, NULL);
    budget_copy_out(out, out_size, &now, sizeof(now));
    return 0;
}
