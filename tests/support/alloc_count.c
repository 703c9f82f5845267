// SPDX-License-Identifier: MIT
#include "support/alloc_count.h"

#if ZCB_CAN_WRAP

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

static uint64_t calls;
static int64_t live;
static uint64_t failed;
static uint64_t fail_from; // the number of the request that is to fail; 0: none
static bool fail_for_ever;

bool
zcb_alloc_count_works(void)
{
    return true;
}

uint64_t
zcb_alloc_count(void)
{
    return __atomic_load_n(&calls, __ATOMIC_SEQ_CST);
}

int64_t
zcb_alloc_live(void)
{
    return __atomic_load_n(&live, __ATOMIC_SEQ_CST);
}

void
zcb_alloc_fail(uint64_t nth, bool for_ever)
{
    __atomic_store_n(&failed, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fail_for_ever, for_ever, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fail_from, nth == 0 ? 0 : zcb_alloc_count() + nth, __ATOMIC_SEQ_CST);
}

uint64_t
zcb_alloc_failed(void)
{
    return __atomic_load_n(&failed, __ATOMIC_SEQ_CST);
}

static bool
refuse(void)
{
    uint64_t number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    uint64_t from = __atomic_load_n(&fail_from, __ATOMIC_SEQ_CST);

    if (from == 0 || number < from)
        return false;
    if (number > from && !__atomic_load_n(&fail_for_ever, __ATOMIC_SEQ_CST))
        return false;
    __atomic_add_fetch(&failed, 1, __ATOMIC_SEQ_CST);
    errno = ENOMEM;
    return true;
}

static void *
made(void *ptr)
{
    if (ptr != NULL)
        __atomic_add_fetch(&live, 1, __ATOMIC_SEQ_CST);
    return ptr;
}

// The names are the linker's: a call of malloc arrives at __wrap_malloc, and __real_malloc is the
// allocator's.
void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *ptr, size_t len);
void *__real_aligned_alloc(size_t align, size_t len);
int __real_posix_memalign(void **out, size_t align, size_t len);
void __real_free(void *ptr);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off);

void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *ptr, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len);
int __wrap_posix_memalign(void **out, size_t align, size_t len);
void __wrap_free(void *ptr);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off);

void *
__wrap_malloc(size_t len)
{
    return refuse() ? NULL : made(__real_malloc(len));
}

void *
__wrap_calloc(size_t n, size_t len)
{
    return refuse() ? NULL : made(__real_calloc(n, len));
}

void *
__wrap_realloc(void *ptr, size_t len)
{
    void *grown;

    if (refuse())
        return NULL;
    grown = __real_realloc(ptr, len);
    return ptr == NULL ? made(grown) : grown;
}

void *
__wrap_aligned_alloc(size_t align, size_t len)
{
    return refuse() ? NULL : made(__real_aligned_alloc(align, len));
}

int
__wrap_posix_memalign(void **out, size_t align, size_t len)
{
    int err;

    if (refuse())
        return ENOMEM;
    err = __real_posix_memalign(out, align, len);
    if (err == 0)
        made(*out);
    return err;
}

void
__wrap_free(void *ptr)
{
    if (ptr != NULL)
        __atomic_sub_fetch(&live, 1, __ATOMIC_SEQ_CST);
    __real_free(ptr);
}

void *
__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    return refuse() ? MAP_FAILED : __real_mmap(addr, len, prot, flags, fd, off);
}

// What mmap is called where off_t has been made 64 bits wide.
void *
__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
#if defined(__GLIBC__)
    return refuse() ? MAP_FAILED : __real_mmap64(addr, len, prot, flags, fd, off);
#else
    return refuse() ? MAP_FAILED : __real_mmap(addr, len, prot, flags, fd, off);
#endif
}

#else

bool
zcb_alloc_count_works(void)
{
    return false;
}

uint64_t
zcb_alloc_count(void)
{
    return 0;
}

int64_t
zcb_alloc_live(void)
{
    return 0;
}

void
zcb_alloc_fail(uint64_t nth, bool for_ever)
{
    (void)nth;
    (void)for_ever;
}

uint64_t
zcb_alloc_failed(void)
{
    return 0;
}

#endif
