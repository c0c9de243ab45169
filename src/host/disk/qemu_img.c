/* See qemu_img.h. */
#include "host/disk/qemu_img.h"

#include "base/effect.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

LOG_MODULE("host.disk");

enum { ERRORS_MAX = 4096 };
static const uint64_t LIMIT_MEMORY = 2ull << 30;
static const unsigned LIMIT_INFO_CPU = 30;

/* Runs it; what it said on standard error becomes the fault. */
static int run(const char *const *argv, const char *effect_name, usec_t timeout, unsigned cpu,
               struct buf *out, int status, const char *type, struct fault *fault)
{
    _cleanup_(buf_done) struct buf errors = BUF_MAX(ERRORS_MAX);
    int r = effect(effect_name);
    if (r < 0)
        return r;
    r = process_run(&(struct process){ .argv = argv,
                                       .timeout = timeout,
                                       .limit_memory = LIMIT_MEMORY,
                                       .limit_cpu_seconds = cpu,
                                       .output = out,
                                       .errors = &errors });
    if (r <= 0)
        return r;
    const char *text = buf_text(&errors);
    log_debug("qemu-img failed", KV("command", argv[1]), KV("status", r), KV("said", text));
    if (strstr(text, "Failed to get") && strstr(text, "lock"))
        return fault_set(fault, 409, "DiskInUse", "The disk is in use by a running server.");
    if (strstr(text, "No space left"))
        return -ENOSPC;
    /* The first line without the path of our own file. */
    const char *colon = strrchr(text, ':');
    char message[256];
    snprintf(message, sizeof(message), "%s", colon ? colon + 1 : text);
    message[strcspn(message, "\n")] = '\0';
    return fault_set(fault, status, type, "The image tool refused it:%s", message);
}

int qemu_img_info(const char *path, const char *format, struct arena *a, struct image_facts *ret,
                  struct fault *fault)
{
    const char *argv[10] = { "qemu-img", "info", "--output=json", "-U" };
    size_t n = 4;
    if (format) {
        argv[n++] = "-f";
        argv[n++] = format;
    }
    argv[n] = path;
    _cleanup_(buf_done) struct buf out = BUF_MAX(1 << 20);
    int r = run(argv, "qemu-img.info", MINUTES(1), LIMIT_INFO_CPU, &out, 400, "ImageUnacceptable", fault);
    if (r)
        return r;
    char error[128];
    _cleanup_(json_decrefp) json_t *j = json_parse(buf_text(&out), out.len, error, sizeof(error));
    if (!j)
        return -EBADMSG;
    struct image_facts f = {
        .format = arena_strdup(a, json_get_string(j, "format")),
        .virtual_size = json_get_int(j, "virtual-size", 0),
        .actual_size = json_get_int(j, "actual-size", 0),
        .backing = arena_strdup(a, json_get_string(j, "backing-filename")),
        .encrypted = json_get_bool(j, "encrypted", false),
    };
    f.refers = f.backing || json_get_string(j, "full-backing-filename");
    const json_t *data = json_get_object(json_get_object(j, "format-specific"), "data");
    if (json_get_string(data, "data-file"))
        f.refers = true;
    /* VMDK kinds other than these are descriptors that name the files with the data. */
    const char *kind = json_get_string(data, "create-type");
    if (kind && !STREQ(kind, "monolithicSparse") && !STREQ(kind, "streamOptimized"))
        f.refers = true;
    if (arena_failed(a))
        return -ENOMEM;
    *ret = f;
    return 0;
}

int qemu_img_create(const char *path, const char *format, int64_t size, const char *backing,
                    const char *backing_format, struct fault *fault)
{
    char bytes[32];
    const char *argv[16] = { "qemu-img", "create", "-q", "-f", format };
    size_t n = 5;
    if (backing) {
        argv[n++] = "-b";
        argv[n++] = backing;
        argv[n++] = "-F";
        argv[n++] = backing_format;
    }
    argv[n++] = path;
    if (size > 0) {
        snprintf(bytes, sizeof(bytes), "%lld", (long long)size);
        argv[n++] = bytes;
    }
    return run(argv, "qemu-img.create", MINUTES(2), 0, NULL, 500, "DiskError", fault);
}

int qemu_img_convert(const char *from, const char *from_format, const char *to, const char *to_format,
                     bool compress, usec_t timeout, struct fault *fault)
{
    const char *argv[16] = { "qemu-img", "convert", "-q", "-U", "-f", from_format, "-O", to_format };
    size_t n = 8;
    if (compress)
        argv[n++] = "-c";
    argv[n++] = from;
    argv[n] = to;
    return run(argv, "qemu-img.convert", timeout ? timeout : HOURS(4), 0, NULL, 400, "ImageUnacceptable",
               fault);
}

int qemu_img_grow(const char *path, const char *format, int64_t size, struct fault *fault)
{
    char bytes[32];
    snprintf(bytes, sizeof(bytes), "%lld", (long long)size);
    return run(ARGV("qemu-img", "resize", "-q", "-f", format, path, bytes), "qemu-img.resize", MINUTES(2), 0,
               NULL, 500, "DiskError", fault);
}

/* ---- files ----------------------------------------------------------------------------- */

int file_copy(const char *from, const char *to)
{
    int r = effect("disk.copy");
    if (r < 0)
        return r;
    _cleanup_(closep) int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return -errno;
    _cleanup_(closep) int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct stat st;
    if (out < 0 || fstat(in, &st) < 0)
        return -errno;
    if (ioctl(out, FICLONE, in) == 0)
        return fsync(out) < 0 ? -errno : 0;
    if (ftruncate(out, st.st_size) < 0)
        return -errno;
    for (off_t at = 0; at < st.st_size;) {
        off_t data = lseek(in, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* nothing but a hole to the end */
        if (data < 0)
            data = at; /* no holes on this file system */
        off_t end = lseek(in, data, SEEK_HOLE);
        if (end < 0)
            end = st.st_size;
        loff_t src = data, dst = data;
        while (src < end) {
            ssize_t n = copy_file_range(in, &src, out, &dst, (size_t)MIN(end - src, (off_t)(64 << 20)), 0);
            if (n > 0)
                continue;
            if (n == 0)
                break;
            if (errno == EINTR)
                continue;
            if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)
                return -errno;
            char block[1 << 16];
            ssize_t got = pread(in, block, (size_t)MIN(end - src, (off_t)sizeof(block)), src);
            if (got < 0)
                return -errno;
            if (got == 0)
                break;
            ssize_t put = pwrite(out, block, (size_t)got, dst);
            if (put < 0)
                return -errno;
            src += put;
            dst += put;
        }
        at = end;
    }
    return fsync(out) < 0 ? -errno : 0;
}

int file_make(const char *path, int64_t size)
{
    int r = effect("disk.make");
    if (r < 0)
        return r;
    _cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    return ftruncate(fd, size) < 0 ? -errno : 0;
}

int file_sync(const char *path)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return -errno;
    _cleanup_(freep) char *dir = strdup(path);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    if (!dir)
        return -ENOMEM;
    if (!slash)
        return 0;
    slash[slash == dir] = '\0';
    _cleanup_(closep) int dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dfd < 0 || fsync(dfd) < 0 ? -errno : 0;
}

int64_t file_usage(const char *path)
{
    struct stat st;
    return lstat(path, &st) < 0 ? 0 : (int64_t)st.st_blocks * 512;
}

bool file_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

int dir_make(const char *path, unsigned mode)
{
    _cleanup_(freep) char *p = strdup(path);
    if (!p)
        return -ENOMEM;
    for (char *s = p + 1; *s; s++)
        if (*s == '/') {
            *s = '\0';
            if (mkdir(p, 0711) < 0 && errno != EEXIST)
                return -errno;
            *s = '/';
        }
    return mkdir(p, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static void dirp_close(DIR **d)
{
    if (*d)
        closedir(*d);
}

int dir_names(const char *path, struct arena *a, struct strv *ret)
{
    _cleanup_(dirp_close) DIR *d = opendir(path);
    if (!d)
        return errno == ENOENT ? 0 : -errno;
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e)
            return errno ? -errno : 0;
        if (STREQ(e->d_name, ".") || STREQ(e->d_name, ".."))
            continue;
        if (!strv_add(a, ret, e->d_name))
            return -ENOMEM;
    }
}

int dir_remove(const char *path)
{
    int r = effect("disk.remove");
    if (r < 0)
        return r;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct strv names = { 0 };
    if (!a)
        return -ENOMEM;
    r = dir_names(path, a, &names);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        const char *p = arena_printf(a, "%s/%s", path, names.v[i]);
        if (!p)
            r = -ENOMEM;
        else if (unlink(p) < 0 && errno != ENOENT)
            r = -errno;
    }
    if (r == 0 && rmdir(path) < 0 && errno != ENOENT)
        r = -errno;
    return r;
}

int name_check(const char *name, struct fault *fault)
{
    size_t n = strlen(str_or(name, ""));
    if (n == 0 || n > 128 || name[0] == '.' || strchr(name, '/'))
        return fault_set(fault, 400, "InvalidInput", "'%s' can't be the name of a disk.", str_or(name, ""));
    return 0;
}
