/*
 * A server's local disks (see disk_store.h).
 *
 * First a plan is made: which disks there are, what each file is called, of what format.
 * The plan is a pure function of the spec; making and finding both follow it, so that after
 * a crash the same names are found again and nothing has to be remembered.
 */
#include "host/disk/disk_store_inside.h"

#include "base/log.h"
#include "host/disk/config_drive.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/process.h"

LOG_MODULE("host.disk");

static const int64_t GIB = (int64_t)1 << 30, MIB = 1 << 20;

/* ---- open, close ------------------------------------------------------------------------ */

int disk_store_open(const struct disk_store_config *config, struct disk_store **ret, struct fault *fault)
{
    static const char *const FOLDERS[] = { "images", "instances", "scratch" };
    struct disk_store *d = calloc(1, sizeof(*d));
    if (!d || !(d->dir = strdup(str_or(config->dir, "/var/lib/yunduo/host")))) {
        free(d);
        return -ENOMEM;
    }
    d->config = *config;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->idle, NULL);
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(FOLDERS); i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", d->dir, FOLDERS[i]);
        /* Emulators run as another user and must reach their own files, not list any. */
        r = dir_make(path, 0711);
        if (r < 0)
            r = fault_set(fault, 500, "ConfigurationError", "The folder %s can't be made: %s.", path,
                          strerror(-r));
    }
    if (r) {
        disk_store_close(d);
        return r;
    }
    *ret = d;
    return 0;
}

void disk_store_close(struct disk_store *d)
{
    if (!d)
        return;
    pthread_cond_destroy(&d->idle);
    pthread_mutex_destroy(&d->lock);
    free(d->dir);
    free(d);
}

/* ---- the plan --------------------------------------------------------------------------- */

/* What is behind one local disk. */
struct local {
    struct server_disk *disk;         /* its source is ours */
    const char *file;                 /* name in the server's folder */
    const struct server_image *image; /* lies on this one, or null */
    const char *base;                 /* name of the link to it */
    int64_t size;                     /* wanted; 0: the image's */
};

struct plan {
    const char *dir; /* of the server */
    struct server_spec *spec;
    VEC_OF(struct local) locals;
};

static struct server_disk *disk_of_kind(struct server_spec *s, const char *kind)
{
    VEC_FOREACH (d, &s->disks)
        if (str_eq(d->kind, kind))
            return d;
    return NULL;
}

static struct server_disk *disk_add(struct arena *a, struct server_spec *s, const char *id, const char *kind)
{
    struct server_disk *d = vec_add(a, &s->disks);
    if (d)
        *d = (struct server_disk){ .id = id, .kind = kind, .boot_index = -1 };
    return d;
}

static bool boots(const struct server_spec *s)
{
    for (size_t i = 0; i < s->disks.n; i++)
        if (s->disks.v[i].boot_index == 0)
            return true;
    return false;
}

static bool is_iso(const struct server_image *image)
{
    return image && str_eq(image->disk_format, "iso");
}

/* The list of disks with those that flavor and flags ask for. */
static void disks_complete(struct arena *a, struct server_spec *s)
{
    /* A copy of the rows, since ours get sources and device names. */
    struct server_disk *rows = ARENA_NEWN(a, struct server_disk, s->disks.n + 8);
    if (!rows)
        return;
    if (s->disks.n)
        memcpy(rows, s->disks.v, s->disks.n * sizeof(*rows));
    s->disks.v = rows;
    s->disks.cap = s->disks.n + 8;

    if (s->image && s->image->id && !disk_of_kind(s, DISK_ROOT) && !boots(s)) {
        struct server_disk *d = disk_add(a, s, "root", DISK_ROOT);
        if (d)
            d->boot_index = 0;
    }
    if (s->ephemeral_gb > 0 && !disk_of_kind(s, DISK_EPHEMERAL)) {
        struct server_disk *d = disk_add(a, s, "ephemeral0", DISK_EPHEMERAL);
        if (d)
            d->size_bytes = s->ephemeral_gb * GIB;
    }
    if (s->swap_mb > 0 && !disk_of_kind(s, DISK_SWAP)) {
        struct server_disk *d = disk_add(a, s, "swap", DISK_SWAP);
        if (d)
            d->size_bytes = s->swap_mb * MIB;
    }
    if (s->config_drive && !disk_of_kind(s, DISK_CONFIG))
        (void)disk_add(a, s, "config", DISK_CONFIG);
    if (!s->rescue || disk_of_kind(s, DISK_RESCUE))
        return;

    const struct server_image *image = s->rescue_image ? s->rescue_image : s->image;
    const char *bus = image ? strmap_get(&image->properties, "hw_rescue_bus") : NULL;
    const char *device = image ? strmap_get(&image->properties, "hw_rescue_device") : NULL;
    struct server_disk *r = disk_add(a, s, "rescue", DISK_RESCUE);
    if (!r)
        return;
    VEC_FOREACH (d, &s->disks)
        d->boot_index = -1;
    r->boot_index = 0;
    r->bus = bus;
    r->device_type = device;
    /* Unless the image asks for the others to stay where they are, the rescue system is the
     * first disk and the broken one comes after it. */
    struct server_disk *root = disk_of_kind(s, DISK_ROOT);
    if (!bus && !device && root) {
        r->device = str_or(root->device, "vda");
        root->device = NULL;
    }
}

static bool is_local(const struct server_disk *d)
{
    static const char *const KINDS[] = { DISK_ROOT, DISK_EPHEMERAL, DISK_SWAP, DISK_CONFIG, DISK_RESCUE };
    for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++)
        if (str_eq(d->kind, KINDS[i]))
            return d->source == NULL;
    return false;
}

static int plan_make(struct disk_store *d, const struct server_spec *spec, struct arena *a, struct plan *p)
{
    struct server_spec *s = arena_memdup(a, spec, sizeof(*spec));
    if (!s)
        return -ENOMEM;
    *p = (struct plan){ .dir = arena_printf(a, "%s/instances/%s", d->dir, spec->id), .spec = s };
    disks_complete(a, s);
    long long n = (long long)s->rebuild;
    VEC_FOREACH (k, &s->disks) {
        if (!is_local(k))
            continue;
        struct local *l = vec_add(a, &p->locals);
        k->source = ARENA_NEW(a, struct disk_source);
        if (!l || !k->source)
            return -ENOMEM;
        *l = (struct local){ .disk = k, .size = k->size_bytes };
        k->source->driver = "file";
        k->source->format = "raw";
        k->discard = true;
        if (STREQ(k->kind, DISK_ROOT) || STREQ(k->kind, DISK_RESCUE)) {
            bool root = STREQ(k->kind, DISK_ROOT);
            l->image = root || !s->rescue_image ? s->image : s->rescue_image;
            l->file = root ? arena_printf(a, "root-%lld", n) : "rescue";
            l->base = root ? arena_printf(a, "base-%lld", n) : "rescue-base";
            if (root)
                l->size = MAX(l->size, s->root_gb * GIB);
            if (is_iso(l->image)) {
                l->file = l->base;
                k->device_type = "cdrom";
                k->device = NULL;
                k->read_only = true;
                k->discard = false;
            } else if (!d->config.raw) {
                k->source->format = "qcow2";
            }
        } else if (STREQ(k->kind, DISK_CONFIG)) {
            l->file = arena_printf(a, "config-%lld%s", n, s->rescue ? "-rescue" : "");
            k->discard = false;
        } else {
            l->file = arena_printf(a, "%s-%lld", k->id, n);
        }
        k->source->path = arena_printf(a, "%s/%s", p->dir, l->file);
    }
    return arena_failed(a) ? -ENOMEM : 0;
}

int disk_store_resolve(struct disk_store *d, const struct server_spec *spec, struct arena *a,
                       struct server_spec **ret)
{
    struct plan p;
    int r = plan_make(d, spec, a, &p);
    if (r == 0)
        *ret = p.spec;
    return r;
}

/* ---- making ----------------------------------------------------------------------------- */

/* Virtual size of one of our own files, without a subprocess; -1: can't tell. */
static int64_t virtual_size(const char *path, const char *format)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    if (STREQ(format, "raw"))
        return st.st_size;
    uint64_t size;
    return pread(fd, &size, sizeof(size), 24) == sizeof(size) ? (int64_t)be64toh(size) : -1;
}

static int run_tool(const char *const *argv)
{
    int r = process_run(&(struct process){ .argv = argv, .timeout = MINUTES(5) });
    return r > 0 ? -EIO : r;
}

/* Puts a file system or a swap header into a new empty file. */
static int format_file(const struct local *l, const char *path, struct fault *fault)
{
    if (STREQ(l->disk->kind, DISK_SWAP))
        return run_tool(ARGV("mkswap", path));
    const char *fs = l->disk->guest_format;
    if (str_empty(fs))
        return 0;
    if (str_eq(fs, "swap"))
        return run_tool(ARGV("mkswap", path));
    if (STREQ(fs, "ext2") || STREQ(fs, "ext3") || STREQ(fs, "ext4"))
        return run_tool(ARGV("mkfs", "-t", fs, "-q", "-F", "-L", l->disk->id, path));
    if (STREQ(fs, "xfs"))
        return run_tool(ARGV("mkfs.xfs", "-q", "-f", path));
    if (STREQ(fs, "vfat"))
        return run_tool(ARGV("mkfs.vfat", path));
    return fault_set(fault, 400, "InvalidBDMFormat", "Disk %s can't be formatted as '%s'.", l->disk->id, fs);
}

static int root_make(struct disk_store *d, const struct plan *p, const struct local *l, const char *tmp,
                     struct arena *a, struct fault *fault)
{
    if (!l->image)
        return fault_set(fault, 400, "InvalidBDM", "Disk %s has no image to be made of.", l->disk->id);
    const char *cached;
    int64_t base_size;
    int r = disk_store_image(d, l->image, a, &cached, &base_size, fault);
    if (r)
        return r;
    const char *base = arena_printf(a, "%s/%s", p->dir, l->base);
    if (!base)
        return -ENOMEM;
    if (l->size && l->size < base_size && !is_iso(l->image))
        return fault_set(
            fault, 400, "FlavorDiskSmallerThanImage",
            "Flavor's disk is too small for requested image. Flavor disk is %lld bytes, image is %lld "
            "bytes.",
            (long long)l->size, (long long)base_size);
    r = effect("disk.link");
    if (r < 0)
        return r;
    /* The image may have been pruned between; then the link fails and the caller comes again. */
    if (link(cached, base) < 0 && errno != EEXIST)
        return errno == ENOENT ? -EAGAIN : -errno;
    if (is_iso(l->image))
        return 0;
    if (STREQ(l->disk->source->format, "qcow2"))
        return qemu_img_create(tmp, "qcow2", MAX(l->size, base_size), l->base, "raw", fault);
    r = file_copy(base, tmp);
    if (r == 0 && l->size > base_size && truncate(tmp, l->size) < 0)
        r = -errno;
    return r;
}

static int local_make(struct disk_store *d, const struct plan *p, const struct local *l, struct arena *a,
                      struct fault *fault)
{
    const char *path = l->disk->source->path;
    const char *tmp = arena_printf(a, "%s/" TMP_PREFIX "%s", p->dir, l->file);
    if (!tmp)
        return -ENOMEM;
    (void)unlink(tmp);
    int r;
    if (l->base) {
        r = root_make(d, p, l, tmp, a, fault);
        if (r == 0 && is_iso(l->image))
            return 0;
    } else if (STREQ(l->disk->kind, DISK_CONFIG)) {
        r = config_drive_write(p->spec, tmp);
    } else {
        r = l->size > 0 ? file_make(tmp, l->size)
                        : fault_set(fault, 400, "InvalidBDM", "Disk %s has no size.", l->disk->id);
        if (r == 0)
            r = format_file(l, tmp, fault);
    }
    if (r == 0)
        r = effect("disk.rename");
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r)
        (void)unlink(tmp);
    return r;
}

/* A disk that is there: grown where the flavor grew. In use: the hypervisor's affair. */
static int local_grow(const struct local *l, struct fault *fault)
{
    const struct disk_source *src = l->disk->source;
    if (l->size <= 0 || is_iso(l->image) || STREQ(l->disk->kind, DISK_CONFIG))
        return 0;
    int64_t size = virtual_size(src->path, src->format);
    if (size < 0 || size >= l->size)
        return 0;
    int r = qemu_img_grow(src->path, src->format, l->size, fault);
    return r == FAULT && fault->status == 409 ? 0 : r;
}

static bool planned(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->locals.n; i++)
        if (STREQ(p->locals.v[i].file, name) || str_eq(p->locals.v[i].base, name))
            return true;
    return false;
}

int disk_store_prepare(struct disk_store *d, const struct server_spec *spec, struct arena *a,
                       struct server_spec **ret, struct fault *fault)
{
    int r = name_check(spec->id, fault);
    struct plan p;
    if (r == 0)
        r = plan_make(d, spec, a, &p);
    if (r)
        return r;
    if (p.locals.n) {
        r = dir_make(p.dir, 0711);
        if (r < 0)
            return r;
    }
    VEC_FOREACH (l, &p.locals) {
        r = name_check(l->file, fault);
        if (r == 0)
            r = file_exists(l->disk->source->path) ? local_grow(l, fault) : local_make(d, &p, l, a, fault);
        if (r)
            return r;
    }
    /* All that is wanted stands; the rest is of earlier rebuilds, rescues, or crashes. */
    struct strv names = { 0 };
    r = dir_names(p.dir, a, &names);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        if (planned(&p, names.v[i]))
            continue;
        const char *path = arena_printf(a, "%s/%s", p.dir, names.v[i]);
        if (!path)
            r = -ENOMEM;
        else if (unlink(path) < 0 && errno != ENOENT)
            r = -errno;
    }
    if (r == 0)
        *ret = p.spec;
    return r;
}

int disk_store_remove(struct disk_store *d, const char *server_id)
{
    struct fault f;
    char path[4096];
    if (name_check(server_id, &f))
        return -EINVAL;
    snprintf(path, sizeof(path), "%s/instances/%s", d->dir, server_id);
    return dir_remove(path);
}

int disk_store_list(struct disk_store *d, struct arena *a, struct strv *ret)
{
    const char *dir = arena_printf(a, "%s/instances", d->dir);
    return dir ? dir_names(dir, a, ret) : -ENOMEM;
}

int64_t disk_store_usage(struct disk_store *d, const char *server_id)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct strv names = { 0 };
    const char *dir = a ? arena_printf(a, "%s/instances/%s", d->dir, server_id) : NULL;
    int64_t sum = 0;
    if (!dir || dir_names(dir, a, &names) < 0)
        return 0;
    for (size_t i = 0; i < names.n; i++) {
        const char *path = arena_printf(a, "%s/%s", dir, names.v[i]);
        struct stat st;
        if (path && stat(path, &st) == 0 && st.st_nlink == 1)
            sum += (int64_t)st.st_blocks * 512;
    }
    return sum;
}

/* ---- copies ----------------------------------------------------------------------------- */

const char *disk_store_scratch(struct disk_store *d, const char *name, struct arena *a)
{
    struct fault f;
    return name_check(name, &f) ? NULL : arena_printf(a, "%s/scratch/%s", d->dir, name);
}

int disk_store_snapshot(struct disk_store *d, const struct server_disk *disk, const char *to,
                        const char *format, struct fault *fault)
{
    const struct disk_source *src = disk->source;
    if (!src || !(str_eq(src->driver, "file") || str_eq(src->driver, "block")))
        return fault_set(fault, 501, "NotImplemented", "Disk %s can't be copied on this host.", disk->id);
    _cleanup_(freep) char *tmp = NULL;
    if (asprintf(&tmp, "%s.part", to) < 0)
        return -ENOMEM;
    (void)unlink(tmp);
    int r = qemu_img_convert(src->path, str_or(src->format, "raw"), tmp, format, false,
                             d->config.convert_timeout, fault);
    if (r == 0)
        r = file_sync(tmp);
    if (r == 0 && rename(tmp, to) < 0)
        r = -errno;
    if (r)
        (void)unlink(tmp);
    return r;
}

static int clean_dir(const char *dir, const char *prefix, struct arena *a)
{
    struct strv names = { 0 };
    int r = dir_names(dir, a, &names);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        const char *path = arena_printf(a, "%s/%s", dir, names.v[i]);
        if (!path)
            r = -ENOMEM;
        else if (str_starts(names.v[i], prefix) && unlink(path) < 0 && errno != ENOENT)
            r = -errno;
    }
    return r;
}

int disk_store_clean(struct disk_store *d)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct strv servers = { 0 };
    if (!a)
        return -ENOMEM;
    const char *images = arena_printf(a, "%s/images", d->dir);
    const char *scratch = arena_printf(a, "%s/scratch", d->dir);
    int r = images && scratch ? clean_dir(images, TMP_PREFIX, a) : -ENOMEM;
    if (r == 0)
        r = clean_dir(scratch, "", a);
    if (r == 0)
        r = disk_store_list(d, a, &servers);
    for (size_t i = 0; r == 0 && i < servers.n; i++) {
        const char *dir = arena_printf(a, "%s/instances/%s", d->dir, servers.v[i]);
        r = dir ? clean_dir(dir, TMP_PREFIX, a) : -ENOMEM;
    }
    return r;
}
