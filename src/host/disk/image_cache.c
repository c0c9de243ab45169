/*
 * The cache of images (see disk_store.h).
 *
 * An image is brought once: fetched to a temporary file, its hash compared, looked at for
 * references to other files, converted to flat raw, and renamed into place. Raw, because a
 * raw base can't name other files, costs nothing to read through, and says its size by
 * itself. It is made read-only, and no code of ours ever opens it for writing.
 */
#include "host/disk/disk_store_inside.h"

#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

LOG_MODULE("host.disk");

/* ---- one at a time per image ------------------------------------------------------------ */

static bool is_busy(const struct disk_store *d, const char *key)
{
    for (size_t i = 0; i < d->n_busy; i++)
        if (STREQ(d->busy[i], key))
            return true;
    return false;
}

/* Waits while another thread brings the same image. */
static void key_enter(struct disk_store *d, const char *key)
{
    pthread_mutex_lock(&d->lock);
    while (is_busy(d, key) || d->n_busy == ARRAY_SIZE(d->busy))
        pthread_cond_wait(&d->idle, &d->lock);
    d->busy[d->n_busy++] = key;
    pthread_mutex_unlock(&d->lock);
}

static void key_leave(struct disk_store *d, const char *key)
{
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->n_busy; i++)
        if (d->busy[i] == key) {
            d->busy[i] = d->busy[--d->n_busy];
            break;
        }
    pthread_cond_broadcast(&d->idle);
    pthread_mutex_unlock(&d->lock);
}

/* ---- names ------------------------------------------------------------------------------ */

/* The name of an image in the cache: by what it holds where a good hash is known, for then
 * two images with the same bytes are one file. How it was packed belongs to the name. */
const char *image_key(const struct server_image *image, struct arena *a)
{
    const char *format = str_or(image->disk_format, "raw");
    bool good = !str_empty(image->hash) && strlen(image->hash) >= 32 && strlen(image->hash) <= 128;
    for (const char *p = good ? image->hash : ""; *p; p++)
        good &= isxdigit((unsigned char)*p) != 0;
    if (strspn(format, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(format) || strlen(format) > 12)
        return NULL;
    if (good)
        return arena_printf(a, "%s.%s", image->hash, format);
    const char *id = str_or(image->id, "");
    if (!*id || strlen(id) > 64 || strspn(id, "0123456789abcdefABCDEF-") != strlen(id))
        return NULL;
    return arena_printf(a, "id-%s.%s", id, format);
}

/* What qemu-img calls a disk format; null: one that can't hold a root disk. */
static const char *tool_format(const char *disk_format)
{
    static const char *const NAMES[][2] = {
        { "raw", "raw" }, { "iso", "raw" },     { "ami", "raw" },   { "aki", "raw" },
        { "ari", "raw" }, { "qcow2", "qcow2" }, { "vmdk", "vmdk" }, { "vdi", "vdi" },
        { "vhd", "vpc" }, { "vhdx", "vhdx" },   { "qed", "qed" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
        if (STREQ(NAMES[i][0], str_or(disk_format, "raw")))
            return NAMES[i][1];
    return NULL;
}

/* ---- bringing --------------------------------------------------------------------------- */

static int hash_check(int fd, const struct server_image *image, struct fault *fault)
{
    if (str_empty(image->hash))
        return 0;
    const EVP_MD *md = EVP_get_digestbyname(str_or(image->hash_algorithm, "sha512"));
    if (!md)
        return fault_set(fault, 400, "ImageUnacceptable", "Image %s: hash algorithm '%s' is unknown here.",
                         str_or(image->id, "-"), image->hash_algorithm);
    EVP_MD_CTX *cx = EVP_MD_CTX_new();
    _cleanup_(freep) char *block = malloc(1 << 20);
    int r = cx && block && EVP_DigestInit_ex(cx, md, NULL) ? 0 : -ENOMEM;
    for (off_t at = 0; r == 0;) {
        ssize_t n = pread(fd, block, 1 << 20, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = -errno;
        if (n <= 0)
            break;
        EVP_DigestUpdate(cx, block, (size_t)n);
        at += n;
    }
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (r == 0 && !EVP_DigestFinal_ex(cx, sum, &n))
        r = -EIO;
    EVP_MD_CTX_free(cx);
    if (r < 0)
        return r;
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    if (strcasecmp(hex, image->hash) != 0)
        return fault_set(fault, 400, "ImageHashMismatch",
                         "Image %s is damaged: its bytes do not have the hash that was recorded.",
                         str_or(image->id, "-"));
    return 0;
}

static int fetch(struct disk_store *d, const struct server_image *image, const char *to, struct fault *fault)
{
    int r = effect("disk.fetch");
    if (r < 0)
        return r;
    if (!d->config.fetch)
        return fault_set(fault, 500, "ImageNotFound", "Image %s is not on this host and can't be fetched.",
                         str_or(image->id, "-"));
    _cleanup_(closep) int fd = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    r = d->config.fetch(d->config.cookie, image, fd, fault);
    if (r)
        return r;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (image->size > 0 && st.st_size != image->size)
        return fault_set(fault, 400, "ImageHashMismatch", "Image %s came with %lld bytes instead of %lld.",
                         str_or(image->id, "-"), (long long)st.st_size, (long long)image->size);
    return hash_check(fd, image, fault);
}

static int bring(struct disk_store *d, const struct server_image *image, const char *key, const char *path,
                 struct arena *a, struct fault *fault)
{
    const char *format = tool_format(image->disk_format);
    if (!format)
        return fault_set(fault, 400, "ImageUnacceptable", "Image %s: a disk can't be made of format '%s'.",
                         str_or(image->id, "-"), image->disk_format);
    const char *packed = arena_printf(a, "%s/images/" TMP_PREFIX "%s.in", d->dir, key);
    const char *flat = arena_printf(a, "%s/images/" TMP_PREFIX "%s.out", d->dir, key);
    if (!packed || !flat)
        return -ENOMEM;
    usec_t from = clock_mono();
    int r = fetch(d, image, packed, fault);
    struct image_facts facts;
    if (r == 0)
        r = qemu_img_info(packed, format, a, &facts, fault);
    if (r == 0 && facts.refers)
        r = fault_set(fault, 400, "ImageUnacceptable", "Image %s refers to other files.",
                      str_or(image->id, "-"));
    if (r == 0 && facts.encrypted)
        r = fault_set(fault, 400, "ImageUnacceptable", "Image %s is encrypted.", str_or(image->id, "-"));
    if (r == 0) {
        if (STREQ(format, "raw")) {
            if (rename(packed, flat) < 0)
                r = -errno;
        } else {
            r = qemu_img_convert(packed, format, flat, "raw", false, d->config.convert_timeout, fault);
        }
    }
    /* 0444 before it has its name: there is never a writable base. */
    if (r == 0 && chmod(flat, 0444) < 0)
        r = -errno;
    if (r == 0)
        r = file_sync(flat);
    if (r == 0)
        r = effect("disk.image_rename");
    if (r == 0 && rename(flat, path) < 0)
        r = -errno;
    (void)unlink(packed);
    if (r) {
        (void)unlink(flat);
        return r;
    }
    log_info("image brought", KV("image", image->id), KV("format", image->disk_format),
             KV("milliseconds", (clock_mono() - from) / 1000));
    return 0;
}

int disk_store_image(struct disk_store *d, const struct server_image *image, struct arena *a,
                     const char **ret_path, int64_t *ret_size, struct fault *fault)
{
    const char *key = image_key(image, a);
    if (!key)
        return arena_failed(a) ? -ENOMEM
                               : fault_set(fault, 400, "ImageUnacceptable",
                                           "Image %s has neither a usable hash nor a usable id and format.",
                                           str_or(image->id, "-"));
    const char *path = arena_printf(a, "%s/images/%s", d->dir, key);
    if (!path)
        return -ENOMEM;
    key_enter(d, key);
    struct stat st;
    int r = 0;
    if (stat(path, &st) < 0)
        r = errno == ENOENT ? bring(d, image, key, path, a, fault) : -errno;
    if (r == 0 && stat(path, &st) < 0)
        r = -errno;
    key_leave(d, key);
    if (r)
        return r;
    *ret_path = path;
    if (ret_size)
        *ret_size = st.st_size;
    return 0;
}

int disk_store_images(struct disk_store *d, struct arena *a, struct strv *ret)
{
    struct strv names = { 0 };
    const char *dir = arena_printf(a, "%s/images", d->dir);
    int r = dir ? dir_names(dir, a, &names) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < names.n; i++)
        if (!str_starts(names.v[i], TMP_PREFIX) && !strv_add(a, ret, names.v[i]))
            r = -ENOMEM;
    return r;
}

int disk_store_prune(struct disk_store *d, usec_t age)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct strv names = { 0 };
    int r = a ? disk_store_images(d, a, &names) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        const char *path = arena_printf(a, "%s/images/%s", d->dir, names.v[i]);
        struct stat st;
        if (!path)
            return -ENOMEM;
        key_enter(d, names.v[i]);
        /* The time of change moves when a server takes or drops its link. */
        if (stat(path, &st) == 0 && st.st_nlink == 1 && clock_wall() - SECONDS(st.st_ctim.tv_sec) >= age) {
            if (unlink(path) < 0 && errno != ENOENT)
                r = -errno;
            else
                log_info("unused image removed", KV("image", names.v[i]));
        }
        key_leave(d, names.v[i]);
    }
    return r;
}
