// SPDX-License-Identifier: MIT
//
// The numbers of file systems are those of Linux' statfs(2). Elsewhere every file counts as local.

#include "buf/map_kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"

#if defined(__linux__)
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

static const uint32_t remote_systems[] = {
    0x00006969, // NFS
    0x0000517b, // SMB
    0xfe534d42, // SMB 2
    0xff534d42, // CIFS
    0x65735546, // FUSE, which sshfs, s3fs and virtiofs are, and local NTFS
    0x01021997, // 9p
    0x00c36400, // Ceph
    0x6b414653, // AFS
    0x5346414f, // OpenAFS
    0x73757245, // Coda
    0x0bd00bd0, // Lustre
    0x47504653, // GPFS
    0x01161970, // GFS 2
    0x7461636f, // OCFS 2
    0x786f4256, // shared folders of VirtualBox
    0xbacbacbc, // and of VMware
};

static const uint32_t cloning_systems[] = {
    0x9123683e, // Btrfs
    0x58465342, // XFS
    0xca451a4e, // bcachefs
};

#define HUGE_PAGES 0x958458f6

static bool
is_among(const uint32_t *systems, size_t count, uint32_t system)
{
    for (size_t i = 0; i < count; i++) {
        if (systems[i] == system)
            return true;
    }
    return false;
}

void
zcb_map_kind(int fd, struct zcb_map_kind *out)
{
    struct statfs info;
    uint32_t system;

    *out = (struct zcb_map_kind){.unit = zcb_os_page_size()};
    if (fstatfs(fd, &info) != 0) {
        out->remote = true; // nobody else has reasons to refuse it
        return;
    }
    system = (uint32_t)info.f_type; // signed in some libraries
    out->remote = is_among(remote_systems, sizeof(remote_systems) / sizeof(system), system);
    out->clones = is_among(cloning_systems, sizeof(cloning_systems) / sizeof(system), system);
    if (system == HUGE_PAGES)
        out->unit = (size_t)info.f_bsize;
}

bool
zcb_map_is_sealed(int fd)
{
#if defined(F_GET_SEALS)
    const int needed = F_SEAL_WRITE | F_SEAL_SHRINK;
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & needed) == needed;
#else
    (void)fd;
    return false;
#endif
}

int
zcb_map_clone(int fd)
{
    // The clone must lie in the same file system, and only a directory can say where that is: the
    // one that the file is in now. Where it is unlinked, out of reach or may not be written, this
    // fails, or finds a directory of another file system, whose clone fails.
    char link[40], path[4096];
    struct stat info;
    ssize_t len;
    char *slash;
    int clone, result;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    if (len <= 0 || path[0] != '/')
        return -ENOTSUP;
    path[len] = '\0';
    slash = strrchr(path, '/');
    slash[slash == path ? 1 : 0] = '\0';
    clone = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (clone < 0)
        return -errno;
    if (ioctl(clone, FICLONE, fd) != 0 || fstat(clone, &info) != 0) {
        result = -errno;
        close(clone);
        return result;
    }
    return clone;
}

#else

void
zcb_map_kind(int fd, struct zcb_map_kind *out)
{
    (void)fd;
    *out = (struct zcb_map_kind){.unit = zcb_os_page_size()};
}

bool
zcb_map_is_sealed(int fd)
{
    (void)fd;
    return false;
}

int
zcb_map_clone(int fd)
{
    (void)fd;
    return -ENOTSUP;
}
#endif
