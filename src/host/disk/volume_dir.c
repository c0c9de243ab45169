/*
 * Volume backend "dir": files in a folder, on whatever file system the host has.
 *
 *     <path>/volumes/<id>      <path>/snapshots/<id>      <path>/tmp/...
 *
 * Every file is flat and stands alone. Snapshots and clones are copies, which cost nothing
 * where the file system shares blocks (XFS, Btrfs) and elsewhere as much as is written, not
 * as much as the size. Chains of overlays would be quicker to make, but tie a snapshot's
 * life to its volume's, and merging them under a running guest is where data gets lost.
 *
 * A file gets its name by rename when it is whole. Deleting is unlinking: the file system
 * hands out no block of it unzeroed.
 */
#include "host/disk/volume_driver.h"

#include "base/effect.h"
#include "host/disk/qemu_img.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct dir_driver {
    struct volume_driver head;
    char *path;
    const char *format; /* a constant */
    usec_t timeout;
};

static struct dir_driver *dir_of(struct volume_driver *v)
{
    return CONTAINER_OF(v, struct dir_driver, head);
}

struct path {
    char text[4096];
};

static const char *volume_path(const struct dir_driver *d, const char *id, struct path *out)
{
    snprintf(out->text, sizeof(out->text), "%s/volumes/%s", d->path, id);
    return out->text;
}

static const char *snapshot_path(const struct dir_driver *d, const char *id, struct path *out)
{
    snprintf(out->text, sizeof(out->text), "%s/snapshots/%s", d->path, id);
    return out->text;
}

static const char *tmp_path(const struct dir_driver *d, const char *id, struct path *out)
{
    snprintf(out->text, sizeof(out->text), "%s/tmp/%s", d->path, id);
    return out->text;
}

static int missing(bool snapshot, const char *id, struct fault *fault)
{
    return snapshot ? fault_set(fault, 404, "SnapshotNotFound", "Snapshot %s could not be found.", id)
                    : fault_set(fault, 404, "VolumeNotFound", "Volume %s could not be found.", id);
}

/* Size that a guest sees, read from the file itself; -ENOENT. */
static int64_t size_of(const struct dir_driver *d, const char *path)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (STREQ(d->format, "raw"))
        return st.st_size;
    uint64_t size;
    return pread(fd, &size, sizeof(size), 24) == sizeof(size) ? (int64_t)be64toh(size) : -EIO;
}

/* A temporary file that is whole gets its name. */
static int finish(const char *tmp, const char *path)
{
    int r = file_sync(tmp);
    if (r == 0)
        r = effect("volume.rename");
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    return r == 0 ? file_sync(path) : r;
}

static int dir_open(const struct volume_driver_config *config, struct volume_driver **ret,
                    struct fault *fault)
{
    static const char *const FOLDERS[] = { "volumes", "snapshots", "tmp" };
    const char *format = str_or(config->format, "qcow2");
    if (!STREQ(format, "qcow2") && !STREQ(format, "raw"))
        return fault_set(fault, 500, "ConfigurationError", "Volume backend %s: no such format: %s.",
                         str_or(config->name, "dir"), format);
    if (str_empty(config->path))
        return fault_set(fault, 500, "ConfigurationError", "Volume backend %s has no path.",
                         str_or(config->name, "dir"));
    struct dir_driver *d = calloc(1, sizeof(*d));
    if (!d || !(d->path = strdup(config->path))) {
        free(d);
        return -ENOMEM;
    }
    d->head.class = &VOLUME_DRIVER_DIR;
    d->format = STREQ(format, "raw") ? "raw" : "qcow2";
    d->timeout = config->timeout;
    for (size_t i = 0; i < ARRAY_SIZE(FOLDERS); i++) {
        struct path p;
        snprintf(p.text, sizeof(p.text), "%s/%s", d->path, FOLDERS[i]);
        int r = dir_make(p.text, 0711);
        if (r < 0) {
            r = fault_set(fault, 500, "ConfigurationError", "Volume backend %s: %s can't be made: %s.",
                          str_or(config->name, "dir"), p.text, strerror(-r));
            free(d->path);
            free(d);
            return r;
        }
    }
    *ret = &d->head;
    return 0;
}

static void dir_close(struct volume_driver *v)
{
    free(dir_of(v)->path);
    free(dir_of(v));
}

static int list_folder(const struct dir_driver *d, bool snapshot, struct arena *a, struct volume_list *l)
{
    struct strv names = { 0 };
    struct path p;
    int r = dir_names(snapshot ? snapshot_path(d, "", &p) : volume_path(d, "", &p), a, &names);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        const char *path = snapshot ? snapshot_path(d, names.v[i], &p) : volume_path(d, names.v[i], &p);
        int64_t size = size_of(d, path);
        if (size < 0)
            continue; /* went away between */
        struct volume_entry *e = vec_add(a, l);
        if (!e)
            return -ENOMEM;
        *e = (struct volume_entry){
            .id = names.v[i], .snapshot = snapshot, .size_bytes = size, .allocated_bytes = file_usage(path)
        };
    }
    return r;
}

static int dir_list(struct volume_driver *v, struct arena *a, struct volume_list *ret)
{
    struct volume_list l = { 0 };
    int r = list_folder(dir_of(v), false, a, &l);
    if (r == 0)
        r = list_folder(dir_of(v), true, a, &l);
    if (r == 0)
        *ret = l;
    return r;
}

static int dir_usage(struct volume_driver *v, struct volume_usage *ret)
{
    struct statvfs vfs;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct volume_list l = { 0 };
    if (!a)
        return -ENOMEM;
    if (statvfs(dir_of(v)->path, &vfs) < 0)
        return -errno;
    int r = dir_list(v, a, &l);
    if (r < 0)
        return r;
    struct volume_usage u = { .total_bytes = (int64_t)((uint64_t)vfs.f_blocks * vfs.f_frsize),
                              .free_bytes = (int64_t)((uint64_t)vfs.f_bavail * vfs.f_frsize) };
    VEC_FOREACH (e, &l) {
        u.provisioned_bytes += e->size_bytes;
        *(e->snapshot ? &u.snapshots : &u.volumes) += 1;
    }
    *ret = u;
    return 0;
}

static int dir_create(struct volume_driver *v, const char *id, int64_t size, struct fault *fault)
{
    struct dir_driver *d = dir_of(v);
    struct path path, tmp;
    int r = name_check(id, fault);
    if (r)
        return r;
    int64_t now = size_of(d, volume_path(d, id, &path));
    if (now >= 0)
        return now == size ? 0
                           : fault_set(fault, 409, "InvalidVolume", "Volume %s exists with %lld bytes.", id,
                                       (long long)now);
    if (size <= 0)
        return fault_set(fault, 400, "InvalidInput", "A volume needs a size.");
    tmp_path(d, id, &tmp);
    (void)unlink(tmp.text);
    r = STREQ(d->format, "raw") ? file_make(tmp.text, size)
                                : qemu_img_create(tmp.text, "qcow2", size, NULL, NULL, fault);
    if (r == 0)
        r = finish(tmp.text, path.text);
    if (r)
        (void)unlink(tmp.text);
    return r;
}

/* The file and format of an origin. */
static int origin_find(const struct dir_driver *d, const struct volume_origin *from, struct path *path,
                       const char **ret_format, struct fault *fault)
{
    *ret_format = d->format;
    if (from->kind == ORIGIN_FILE) {
        snprintf(path->text, sizeof(path->text), "%s", from->path);
        *ret_format = str_or(from->format, "raw");
        return file_exists(path->text) ? 0 : -ENOENT;
    }
    bool snapshot = from->kind == ORIGIN_SNAPSHOT;
    int r = name_check(from->id, fault);
    if (r)
        return r;
    (void)(snapshot ? snapshot_path(d, from->id, path) : volume_path(d, from->id, path));
    return file_exists(path->text) ? 0 : missing(snapshot, from->id, fault);
}

/* A flat copy in another format, or the same. */
static int copy(const struct dir_driver *d, const char *from, const char *from_format, const char *to,
                const char *to_format, struct fault *fault)
{
    if (STREQ(from_format, to_format))
        return file_copy(from, to);
    return qemu_img_convert(from, from_format, to, to_format, false, d->timeout, fault);
}

static int dir_clone(struct volume_driver *v, const struct volume_origin *from, const char *id, int64_t size,
                     struct fault *fault)
{
    struct dir_driver *d = dir_of(v);
    struct path path, tmp, src;
    const char *format;
    int r = name_check(id, fault);
    if (r)
        return r;
    if (file_exists(volume_path(d, id, &path)))
        return 0;
    r = origin_find(d, from, &src, &format, fault);
    if (r)
        return r;
    tmp_path(d, id, &tmp);
    (void)unlink(tmp.text);
    r = copy(d, src.text, format, tmp.text, d->format, fault);
    int64_t now = r == 0 ? size_of(d, tmp.text) : 0;
    if (r == 0 && now < 0)
        r = (int)now;
    if (r == 0 && size && size < now)
        r = fault_set(fault, 400, "InvalidInput", "Size %lld is smaller than the origin's %lld bytes.",
                      (long long)size, (long long)now);
    if (r == 0 && size > now)
        r = qemu_img_grow(tmp.text, d->format, size, fault);
    if (r == 0)
        r = finish(tmp.text, path.text);
    if (r)
        (void)unlink(tmp.text);
    return r;
}

static int dir_remove_volume(struct volume_driver *v, const char *id, struct fault *fault)
{
    struct path path;
    int r = name_check(id, fault);
    if (r == 0)
        r = effect("volume.remove");
    if (r)
        return r;
    return unlink(volume_path(dir_of(v), id, &path)) < 0 && errno != ENOENT ? -errno : 0;
}

static int dir_extend(struct volume_driver *v, const char *id, int64_t size, struct fault *fault)
{
    struct dir_driver *d = dir_of(v);
    struct path path;
    int r = name_check(id, fault);
    if (r)
        return r;
    int64_t now = size_of(d, volume_path(d, id, &path));
    if (now == -ENOENT)
        return missing(false, id, fault);
    if (now < 0)
        return (int)now;
    if (size < now)
        return fault_set(fault, 400, "InvalidInput", "Volume %s has %lld bytes and can't shrink.", id,
                         (long long)now);
    return size == now ? 0 : qemu_img_grow(path.text, d->format, size, fault);
}

static int dir_snapshot(struct volume_driver *v, const char *volume_id, const char *snapshot_id,
                        struct fault *fault)
{
    struct dir_driver *d = dir_of(v);
    struct path path, tmp, src;
    int r = name_check(snapshot_id, fault);
    if (r == 0)
        r = name_check(volume_id, fault);
    if (r)
        return r;
    if (file_exists(snapshot_path(d, snapshot_id, &path)))
        return 0;
    if (!file_exists(volume_path(d, volume_id, &src)))
        return missing(false, volume_id, fault);
    r = file_copy(src.text, tmp_path(d, snapshot_id, &tmp));
    if (r == 0)
        r = finish(tmp.text, path.text);
    if (r)
        (void)unlink(tmp.text);
    return r;
}

static int dir_snapshot_take(struct volume_driver *v, const char *volume_id, const char *snapshot_id,
                             const char *from, const char *format, struct fault *fault)
{
    struct dir_driver *d = dir_of(v);
    struct path path, tmp, src;
    int r = name_check(snapshot_id, fault);
    if (r == 0)
        r = name_check(volume_id, fault);
    if (r)
        return r;
    if (file_exists(snapshot_path(d, snapshot_id, &path))) {
        (void)unlink(from);
        return 0;
    }
    if (!file_exists(volume_path(d, volume_id, &src)))
        return missing(false, volume_id, fault);
    /* Of the right format and on this file system it is only renamed. */
    if (STREQ(format, d->format) && file_sync(from) == 0 && rename(from, path.text) == 0)
        return file_sync(path.text);
    tmp_path(d, snapshot_id, &tmp);
    (void)unlink(tmp.text);
    r = copy(d, from, format, tmp.text, d->format, fault);
    if (r == 0)
        r = finish(tmp.text, path.text);
    (void)unlink(r == 0 ? from : tmp.text);
    return r;
}

static int dir_snapshot_remove(struct volume_driver *v, const char *id, struct fault *fault)
{
    struct path path;
    int r = name_check(id, fault);
    if (r == 0)
        r = effect("volume.remove");
    if (r)
        return r;
    return unlink(snapshot_path(dir_of(v), id, &path)) < 0 && errno != ENOENT ? -errno : 0;
}

static int dir_revert(struct volume_driver *v, const char *volume_id, const char *snapshot_id,
                      struct fault *fault)
{
    struct dir_driver *d = dir_of(v);
    struct path path, tmp, src;
    int r = name_check(snapshot_id, fault);
    if (r == 0)
        r = name_check(volume_id, fault);
    if (r)
        return r;
    int64_t size = size_of(d, volume_path(d, volume_id, &path));
    if (size == -ENOENT)
        return missing(false, volume_id, fault);
    if (size < 0)
        return (int)size;
    if (!file_exists(snapshot_path(d, snapshot_id, &src)))
        return missing(true, snapshot_id, fault);
    r = file_copy(src.text, tmp_path(d, volume_id, &tmp));
    int64_t now = r == 0 ? size_of(d, tmp.text) : 0;
    if (r == 0 && now < 0)
        r = (int)now;
    if (r == 0 && now < size)
        r = qemu_img_grow(tmp.text, d->format, size, fault);
    if (r == 0)
        r = finish(tmp.text, path.text);
    if (r)
        (void)unlink(tmp.text);
    return r;
}

static int dir_export(struct volume_driver *v, const struct volume_origin *from, const char *to,
                      const char *format, struct fault *fault)
{
    struct dir_driver *d = dir_of(v);
    struct path src, tmp;
    const char *src_format;
    int r = origin_find(d, from, &src, &src_format, fault);
    if (r)
        return r;
    snprintf(tmp.text, sizeof(tmp.text), "%s.part", to);
    (void)unlink(tmp.text);
    r = copy(d, src.text, src_format, tmp.text, format, fault);
    if (r == 0)
        r = finish(tmp.text, to);
    if (r)
        (void)unlink(tmp.text);
    return r;
}

static int dir_locate(struct volume_driver *v, const char *id, struct arena *a, struct disk_source *ret,
                      struct fault *fault)
{
    struct dir_driver *d = dir_of(v);
    struct path path;
    int r = name_check(id, fault);
    if (r)
        return r;
    if (!file_exists(volume_path(d, id, &path)))
        return missing(false, id, fault);
    *ret = (struct disk_source){ .driver = "file", .format = d->format, .path = arena_strdup(a, path.text) };
    return ret->path ? 0 : -ENOMEM;
}

static const char *dir_scratch(struct volume_driver *v, const char *name, struct arena *a)
{
    struct fault f;
    return name_check(name, &f) ? NULL : arena_printf(a, "%s/tmp/%s", dir_of(v)->path, name);
}

static int dir_clean(struct volume_driver *v)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct strv names = { 0 };
    struct path p;
    int r = a ? dir_names(tmp_path(dir_of(v), "", &p), a, &names) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < names.n; i++)
        if (unlink(tmp_path(dir_of(v), names.v[i], &p)) < 0 && errno != ENOENT)
            r = -errno;
    return r;
}

const struct volume_driver_class VOLUME_DRIVER_DIR = {
    .name = "dir",
    .open = dir_open,
    .close = dir_close,
    .usage = dir_usage,
    .list = dir_list,
    .create = dir_create,
    .clone = dir_clone,
    .remove = dir_remove_volume,
    .extend = dir_extend,
    .snapshot = dir_snapshot,
    .snapshot_take = dir_snapshot_take,
    .snapshot_remove = dir_snapshot_remove,
    .revert = dir_revert,
    .export = dir_export,
    .locate = dir_locate,
    .scratch = dir_scratch,
    .clean = dir_clean,
};
