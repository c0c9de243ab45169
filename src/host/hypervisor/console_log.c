/*
 * Console logs, kept within a bound while QEMU appends to them.
 *
 * QEMU holds the file open with O_APPEND, so it can't be renamed away. Its head is taken
 * out in place: by collapsing the range where the file system can, else by a hole. A hole
 * keeps the file's length but frees the space; readers skip the zeros. Either way not a
 * byte that arrives meanwhile is lost.
 */
#include "host/hypervisor/libvirt_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { BLOCK = 65536 }; /* a multiple of any file system's block */

int console_log_read(const char *path, size_t max, struct arena *a, const char **ret, size_t *ret_n)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        *ret = "";
        *ret_n = 0;
        return 0;
    }
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    off_t from = st.st_size > (off_t)max ? st.st_size - (off_t)max : 0;
    /* What lies in a hole was cut. */
    off_t data = lseek(fd, from, SEEK_DATA);
    if (data > from)
        from = data;
    size_t n = (size_t)(st.st_size - from), got = 0;
    char *text = arena_alloc(a, n + 1);
    if (!text)
        return -ENOMEM;
    while (got < n) {
        ssize_t k = pread(fd, text + got, n - got, from + (off_t)got);
        if (k < 0 && errno != EINTR)
            return -errno;
        if (k == 0)
            break;
        if (k > 0)
            got += (size_t)k;
    }
    /* A log that was emptied under us may begin with zeros of the hole. */
    size_t skip = 0;
    while (skip < got && text[skip] == '\0')
        skip++;
    *ret = text + skip;
    *ret_n = got - skip;
    return 0;
}

int console_log_trim(const char *path, int64_t keep)
{
    _cleanup_(closep) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((int64_t)st.st_blocks * 512 <= 2 * keep + BLOCK || st.st_size <= 2 * keep)
        return 0;
    off_t cut = (st.st_size - keep) / BLOCK * BLOCK;
    if (cut <= 0 || fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, cut) == 0)
        return 0;
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, cut) == 0)
        return 0;
    return ftruncate(fd, 0) < 0 ? -errno : 0;
}
