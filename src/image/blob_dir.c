/*
 * The blob store in a local folder.
 *
 *     PATH/blobs/ab/abcdef...    one file per blob, named by the SHA-512 of its bytes
 *     PATH/tmp/xxxx.part         what is being written, locked by its writer
 *     PATH/tmp/xxxx.scratch      what a program is writing for us
 *
 * A writer fills a file in tmp; finishing syncs it and renames it to its name, so a blob
 * under its name is always whole. Equal bytes meet the same name: the second is dropped.
 * A reader holds a descriptor, so removal never hurts it.
 *
 * Removal against a new equal upload: finish() pins the key under the mutex, and collect()
 * looks at the pins and asks for records under the same mutex. So either the pin is seen,
 * or the file is gone before finish() looks, and finish() then renames its own.
 *
 * Speed. Hashing costs more than writing, so from the second MiB on it is done by a thread
 * of the writer, over a ring of a few blocks; the file's dirty pages are pushed to the disk
 * as they come, so the fsync at the end has little left to do.
 */
#include "image/blob.h"

#include "base/effect.h"
#include "base/log.h"
#include "base/macro.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

LOG_MODULE("image.store");

#define BLOCK_SIZE ((size_t)1 << 20)
#define BLOCKS 4
#define FLUSH_EVERY ((uint64_t)8 << 20)

struct pin {
    char key[BLOB_KEY_SIZE];
    unsigned count;
    struct pin *next;
};

struct dir_store {
    struct blob_store base;
    char *id, *description, *path;
    int blobs_fd, tmp_fd;
    bool durable;
    pthread_mutex_t mutex; /* names under blobs/, and pins */
    struct pin *pins;
};

struct hashes {
    EVP_MD_CTX *md5, *sha512;
};

struct dir_writer {
    struct blob_writer base;
    int fd;
    char name[48];
    bool failed;
    uint64_t flushed, file_len;
    struct hashes hashes;
    char *block[BLOCKS];
    size_t fill;   /* of the block being filled */
    unsigned head; /* its number, counting up */

    bool threaded;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned ready, done; /* blocks handed over, blocks hashed */
    bool stop;
    bool hash_failed;
};

static struct dir_store *dir_of(struct blob_store *s)
{
    return CONTAINER_OF(s, struct dir_store, base);
}

/* ---- hashes ---- */

static void hashes_done(struct hashes *h)
{
    EVP_MD_CTX_free(h->md5);
    EVP_MD_CTX_free(h->sha512);
    *h = (struct hashes){};
}

static int hashes_init(struct hashes *h)
{
    h->md5 = EVP_MD_CTX_new();
    h->sha512 = EVP_MD_CTX_new();
    if (!h->md5 || !h->sha512)
        return -ENOMEM;
    /* MD5 is a checksum that old clients compare, nothing rests on it: allowed in FIPS mode. */
    EVP_MD_CTX_set_flags(h->md5, EVP_MD_CTX_FLAG_NON_FIPS_ALLOW);
    if (!EVP_DigestInit_ex(h->md5, EVP_md5(), NULL) || !EVP_DigestInit_ex(h->sha512, EVP_sha512(), NULL))
        return -EIO;
    return 0;
}

static bool hashes_update(struct hashes *h, const void *data, size_t n)
{
    return EVP_DigestUpdate(h->md5, data, n) && EVP_DigestUpdate(h->sha512, data, n);
}

static void hex(const unsigned char *p, size_t n, char *out)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t k = 0; k < n; k++) {
        out[2 * k] = DIGITS[p[k] >> 4];
        out[2 * k + 1] = DIGITS[p[k] & 15];
    }
    out[2 * n] = 0;
}

static int hashes_final(struct hashes *h, struct blob_info *ret)
{
    unsigned char md5[16], sha[64];
    if (!EVP_DigestFinal_ex(h->md5, md5, NULL) || !EVP_DigestFinal_ex(h->sha512, sha, NULL))
        return -EIO;
    hex(md5, sizeof(md5), ret->md5);
    hex(sha, sizeof(sha), ret->key);
    return 0;
}

/* ---- writing ---- */

static void *hash_main(void *arg)
{
    struct dir_writer *w = arg;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (w->ready == w->done && !w->stop)
            pthread_cond_wait(&w->changed, &w->mutex);
        if (w->ready == w->done)
            break;
        char *block = w->block[w->done % BLOCKS];
        pthread_mutex_unlock(&w->mutex);
        bool ok = hashes_update(&w->hashes, block, BLOCK_SIZE);
        pthread_mutex_lock(&w->mutex);
        w->hash_failed = w->hash_failed || !ok;
        w->done++;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

static void hash_stop(struct dir_writer *w)
{
    if (!w->threaded)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    w->threaded = false;
}

static void dir_abort(struct blob_writer *base)
{
    struct dir_writer *w = CONTAINER_OF(base, struct dir_writer, base);
    struct dir_store *s = dir_of(base->store);
    hash_stop(w);
    if (w->name[0])
        (void)unlinkat(s->tmp_fd, w->name, 0);
    closep(&w->fd);
    hashes_done(&w->hashes);
    for (unsigned k = 0; k < BLOCKS; k++)
        free(w->block[k]);
    pthread_mutex_destroy(&w->mutex);
    pthread_cond_destroy(&w->changed);
    free(w);
}

static bool is_full(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

static int dir_begin(struct blob_store *store, uint64_t size_hint, struct blob_writer **ret)
{
    struct dir_store *s = dir_of(store);
    if (size_hint) {
        struct statvfs vfs;
        if (fstatvfs(s->tmp_fd, &vfs) == 0 && size_hint / vfs.f_frsize >= vfs.f_bavail)
            return BLOB_FULL;
    }
    struct dir_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->base.store = store;
    w->fd = -1;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    int r = effect("blob.begin");
    if (r == 0)
        r = hashes_init(&w->hashes);
    if (r == 0 && !(w->block[0] = malloc(BLOCK_SIZE)))
        r = -ENOMEM;
    if (r == 0) {
        char id[UUID_TEXT_SIZE], name[48];
        snprintf(name, sizeof(name), "%s.part", uuid_text(id));
        w->fd = openat(s->tmp_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        if (w->fd >= 0) {
            memcpy(w->name, name, sizeof(name));
            (void)flock(w->fd, LOCK_EX | LOCK_NB); /* says that somebody is at it: see abandoned() */
        } else {
            r = is_full(errno) ? BLOB_FULL : -errno;
        }
    }
    if (r != 0) {
        dir_abort(&w->base);
        return r;
    }
    *ret = &w->base;
    return 0;
}

static int write_all(struct dir_writer *w, const char *p, size_t n)
{
    int r = effect("blob.write");
    if (r < 0) {
        w->failed = true;
        return r;
    }
    while (n) {
        ssize_t k = write(w->fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            w->failed = true;
            return is_full(errno) ? BLOB_FULL : -errno;
        }
        p += k;
        n -= (size_t)k;
        w->file_len += (uint64_t)k;
    }
    if (w->file_len - w->flushed >= FLUSH_EVERY) {
        (void)sync_file_range(w->fd, (off_t)w->flushed, (off_t)(w->file_len - w->flushed),
                              SYNC_FILE_RANGE_WRITE);
        w->flushed = w->file_len;
    }
    return 0;
}

/* The block at 'head' is full and written: have it hashed and go to the next. */
static int block_next(struct dir_writer *w)
{
    if (!w->threaded && !w->stop) {
        if (pthread_create(&w->thread, NULL, hash_main, w) != 0)
            w->stop = true; /* without a thread it is done here */
        else
            w->threaded = true;
    }
    if (!w->threaded) {
        if (!hashes_update(&w->hashes, w->block[0], BLOCK_SIZE))
            return -EIO;
        w->fill = 0;
        return 0;
    }
    unsigned next = w->head + 1;
    if (!w->block[next % BLOCKS] && !(w->block[next % BLOCKS] = malloc(BLOCK_SIZE)))
        return -ENOMEM;
    pthread_mutex_lock(&w->mutex);
    w->ready++;
    pthread_cond_broadcast(&w->changed);
    while (next - w->done >= BLOCKS)
        pthread_cond_wait(&w->changed, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
    w->head = next;
    w->fill = 0;
    return 0;
}

static int dir_write(struct blob_writer *base, const void *data, size_t n)
{
    struct dir_writer *w = CONTAINER_OF(base, struct dir_writer, base);
    const char *p = data;
    while (n) {
        char *block = w->block[w->threaded ? w->head % BLOCKS : 0];
        size_t k = MIN(n, BLOCK_SIZE - w->fill);
        memcpy(block + w->fill, p, k);
        w->fill += k;
        p += k;
        n -= k;
        if (w->fill < BLOCK_SIZE)
            continue;
        int r = write_all(w, block, BLOCK_SIZE);
        if (r == 0)
            r = block_next(w);
        if (r != 0) {
            w->failed = true;
            return r;
        }
    }
    return 0;
}

/* ---- names ---- */

static void blob_name(const char *key, char out[BLOB_KEY_SIZE + 3])
{
    out[0] = key[0];
    out[1] = key[1];
    out[2] = '/';
    memcpy(out + 3, key, BLOB_KEY_SIZE);
}

static struct pin **pin_find(struct dir_store *s, const char *key)
{
    struct pin **p = &s->pins;
    while (*p && strcmp((*p)->key, key) != 0)
        p = &(*p)->next;
    return p;
}

static int pin_locked(struct dir_store *s, const char *key)
{
    struct pin **p = pin_find(s, key);
    if (!*p) {
        struct pin *fresh = calloc(1, sizeof(*fresh));
        if (!fresh)
            return -ENOMEM;
        snprintf(fresh->key, sizeof(fresh->key), "%s", key);
        *p = fresh;
    }
    (*p)->count++;
    return 0;
}

static void unpin_locked(struct dir_store *s, const char *key)
{
    struct pin **p = pin_find(s, key);
    if (*p && --(*p)->count == 0) {
        struct pin *gone = *p;
        *p = gone->next;
        free(gone);
    }
}

static void dir_pin(struct blob_store *store, const char *key)
{
    struct dir_store *s = dir_of(store);
    pthread_mutex_lock(&s->mutex);
    if (pin_locked(s, key) < 0)
        log_error("no memory to pin a blob", KV("key", key));
    pthread_mutex_unlock(&s->mutex);
}

static void dir_unpin(struct blob_store *store, const char *key)
{
    struct dir_store *s = dir_of(store);
    pthread_mutex_lock(&s->mutex);
    unpin_locked(s, key);
    pthread_mutex_unlock(&s->mutex);
}

/* Gives the synced file 'name' in 'from_fd' the name of its key, or drops it for one that is
 * there; leaves it pinned. */
static int settle(struct dir_store *s, int from_fd, const char *name, const struct blob_info *info)
{
    char to[BLOB_KEY_SIZE + 3], folder[3] = { info->key[0], info->key[1], 0 };
    blob_name(info->key, to);
    if (mkdirat(s->blobs_fd, folder, 0750) < 0 && errno != EEXIST)
        return is_full(errno) ? BLOB_FULL : -errno;
    int r = effect("blob.name");
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->mutex);
    r = pin_locked(s, info->key);
    if (r == 0) {
        struct stat st;
        bool there = fstatat(s->blobs_fd, to, &st, 0) == 0 && (uint64_t)st.st_size == info->size;
        if (there)
            (void)unlinkat(from_fd, name, 0);
        else if (renameat(from_fd, name, s->blobs_fd, to) < 0)
            r = is_full(errno) ? BLOB_FULL : -errno;
        if (r != 0)
            unpin_locked(s, info->key);
    }
    pthread_mutex_unlock(&s->mutex);
    if (r != 0 || !s->durable)
        return r;
    _cleanup_(closep) int dir = openat(s->blobs_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) < 0 || fsync(s->blobs_fd) < 0) {
        r = -errno;
        dir_unpin(&s->base, info->key);
    }
    return r;
}

static int dir_finish(struct blob_writer *base, struct blob_info *ret)
{
    struct dir_writer *w = CONTAINER_OF(base, struct dir_writer, base);
    struct dir_store *s = dir_of(base->store);
    if (w->failed)
        return -EIO;
    char *block = w->block[w->threaded ? w->head % BLOCKS : 0];
    hash_stop(w);
    int r = write_all(w, block, w->fill);
    if (r != 0)
        return r;
    if (w->hash_failed || !hashes_update(&w->hashes, block, w->fill))
        return -EIO;
    struct blob_info info = { .size = w->file_len };
    r = hashes_final(&w->hashes, &info);
    if (r < 0)
        return r;
    r = effect("blob.sync");
    if (r < 0)
        return r;
    if (s->durable && fdatasync(w->fd) < 0)
        return is_full(errno) ? BLOB_FULL : -errno;
    r = settle(s, s->tmp_fd, w->name, &info);
    if (r != 0)
        return r;
    w->name[0] = 0;
    *ret = info;
    return 0;
}

/* ---- reading and removing ---- */

static int dir_open(struct blob_store *store, const char *key, struct blob_reader *ret)
{
    struct dir_store *s = dir_of(store);
    if (!blob_key_valid(key))
        return BLOB_MISSING;
    char name[BLOB_KEY_SIZE + 3];
    blob_name(key, name);
    int fd = openat(s->blobs_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? BLOB_MISSING : -errno;
    struct stat st;
    if (fstat(fd, &st) < 0) {
        int r = -errno;
        (void)close(fd);
        return r;
    }
    *ret = (struct blob_reader){ .store = store, .fd = fd, .size = (uint64_t)st.st_size };
    return 0;
}

static ssize_t dir_pread(struct blob_reader *r, void *buf, size_t n, uint64_t off)
{
    ssize_t k = pread(r->fd, buf, n, (off_t)off);
    return k < 0 ? -errno : k;
}

static void dir_close(struct blob_reader *r)
{
    closep(&r->fd);
    r->fd = -1;
}

static int dir_collect(struct blob_store *store, const char *key, blob_used_fn *used, void *cookie)
{
    struct dir_store *s = dir_of(store);
    if (!blob_key_valid(key))
        return 0;
    char name[BLOB_KEY_SIZE + 3];
    blob_name(key, name);
    pthread_mutex_lock(&s->mutex);
    int r = *pin_find(s, key) ? 1 : used(cookie, key);
    if (r == 0 && unlinkat(s->blobs_fd, name, 0) < 0 && errno != ENOENT)
        r = -errno;
    pthread_mutex_unlock(&s->mutex);
    return MIN(r, 0);
}

static bool older(int dir, const char *name, usec_t age)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    usec_t changed = SECONDS(st.st_ctim.tv_sec) + st.st_ctim.tv_nsec / 1000;
    return clock_wall() - changed >= age;
}

#define YOUNG SECONDS(10)

/* A file in tmp whose writer has died holds no lock any more. What programs write (scratch) holds none
 * ever, and goes by age. */
static bool abandoned(int dir, const char *name, usec_t age)
{
    if (str_ends(name, ".scratch"))
        return older(dir, name, age);
    if (!str_ends(name, ".part") || !older(dir, name, YOUNG))
        return false;
    _cleanup_(closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static int dir_list(int at, const char *name, DIR **ret)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *d = fdopendir(fd);
    if (!d) {
        int r = -errno;
        (void)close(fd);
        return r;
    }
    *ret = d;
    return 0;
}

static void closedirp(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

static int sweep_folder(struct dir_store *s, const char *folder, usec_t age, blob_used_fn *used, void *cookie,
                        unsigned *removed)
{
    _cleanup_(closedirp) DIR *d = NULL;
    int r = dir_list(s->blobs_fd, folder, &d);
    if (r < 0)
        return r;
    for (struct dirent *e; (e = readdir(d));) {
        if (!blob_key_valid(e->d_name) || !older(dirfd(d), e->d_name, age))
            continue;
        r = dir_collect(&s->base, e->d_name, used, cookie);
        if (r < 0)
            return r;
        *removed += faccessat(dirfd(d), e->d_name, F_OK, 0) < 0;
    }
    return 0;
}

static int dir_sweep(struct blob_store *store, usec_t age, blob_used_fn *used, void *cookie,
                     unsigned *ret_removed)
{
    struct dir_store *s = dir_of(store);
    unsigned removed = 0;
    _cleanup_(closedirp) DIR *tmp = NULL;
    int r = dir_list(s->tmp_fd, ".", &tmp);
    if (r < 0)
        return r;
    for (struct dirent *e; (e = readdir(tmp));)
        if (abandoned(dirfd(tmp), e->d_name, age))
            removed += unlinkat(dirfd(tmp), e->d_name, 0) == 0;
    _cleanup_(closedirp) DIR *d = NULL;
    r = dir_list(s->blobs_fd, ".", &d);
    for (struct dirent *e; r == 0 && (e = readdir(d));)
        if (e->d_name[0] != '.')
            r = sweep_folder(s, e->d_name, age, used, cookie, &removed);
    if (ret_removed)
        *ret_removed = removed;
    return r;
}

static int dir_usage(struct blob_store *store, struct blob_usage *ret)
{
    struct statvfs vfs;
    if (fstatvfs(dir_of(store)->blobs_fd, &vfs) < 0)
        return -errno;
    *ret = (struct blob_usage){
        .total = (uint64_t)vfs.f_blocks * vfs.f_frsize,
        .free = (uint64_t)vfs.f_bavail * vfs.f_frsize,
        .used = (uint64_t)(vfs.f_blocks - vfs.f_bfree) * vfs.f_frsize,
    };
    return 0;
}

static const char *dir_path(struct blob_store *store, const char *key, struct arena *a)
{
    if (!blob_key_valid(key))
        return NULL;
    return arena_printf(a, "%s/blobs/%.2s/%s", dir_of(store)->path, key, key);
}

static int dir_scratch(struct blob_store *store, struct arena *a, const char **ret_path)
{
    char id[UUID_TEXT_SIZE];
    const char *path = arena_printf(a, "%s/tmp/%s.scratch", dir_of(store)->path, uuid_text(id));
    if (!path)
        return -ENOMEM;
    *ret_path = path;
    return 0;
}

static int dir_adopt(struct blob_store *store, const char *path, struct blob_info *ret)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    _cleanup_(freep) char *buf = malloc(BLOCK_SIZE);
    _cleanup_(hashes_done) struct hashes h = {};
    int r = buf ? hashes_init(&h) : -ENOMEM;
    struct blob_info info = {};
    while (r == 0) {
        ssize_t n = read(fd, buf, BLOCK_SIZE);
        if (n < 0)
            r = -errno;
        else if (n == 0)
            break;
        else if (!hashes_update(&h, buf, (size_t)n))
            r = -EIO;
        info.size += n > 0 ? (uint64_t)n : 0;
    }
    if (r == 0)
        r = hashes_final(&h, &info);
    if (r == 0 && fchmod(fd, 0640) < 0)
        r = -errno;
    struct dir_store *s = dir_of(store);
    if (r == 0 && s->durable && fsync(fd) < 0)
        r = is_full(errno) ? BLOB_FULL : -errno;
    if (r == 0)
        r = settle(s, AT_FDCWD, path, &info);
    if (r == 0)
        *ret = info;
    return r;
}

static void dir_free(struct blob_store *store)
{
    struct dir_store *s = dir_of(store);
    while (s->pins) {
        struct pin *gone = s->pins;
        s->pins = gone->next;
        free(gone);
    }
    closep(&s->blobs_fd);
    closep(&s->tmp_fd);
    pthread_mutex_destroy(&s->mutex);
    free(s->id);
    free(s->description);
    free(s->path);
    free(s);
}

static const struct blob_class DIR_CLASS = {
    .kind = "file",
    .begin = dir_begin,
    .write = dir_write,
    .finish = dir_finish,
    .abort = dir_abort,
    .open = dir_open,
    .pread = dir_pread,
    .close = dir_close,
    .pin = dir_pin,
    .unpin = dir_unpin,
    .collect = dir_collect,
    .sweep = dir_sweep,
    .usage = dir_usage,
    .path = dir_path,
    .scratch = dir_scratch,
    .adopt = dir_adopt,
    .free = dir_free,
};

static int make_folder(const char *path, const char *part, int *ret_fd)
{
    char full[4096];
    int n = snprintf(full, sizeof(full), "%s%s%s", path, part ? "/" : "", part ? part : "");
    if (n < 0 || (size_t)n >= sizeof(full))
        return -ENAMETOOLONG;
    for (char *p = full + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(full, 0750) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    if (mkdir(full, 0750) < 0 && errno != EEXIST)
        return -errno;
    int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int blob_dir_new(const char *id, const char *path, const char *description, bool durable,
                 struct blob_store **ret)
{
    struct dir_store *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->blobs_fd = s->tmp_fd = -1;
    s->durable = durable;
    pthread_mutex_init(&s->mutex, NULL);
    s->id = strdup(id);
    s->path = strdup(path);
    s->description = strdup(description ? description : "");
    int r = s->id && s->path && s->description ? 0 : -ENOMEM;
    if (r == 0)
        r = make_folder(path, "blobs", &s->blobs_fd);
    if (r == 0)
        r = make_folder(path, "tmp", &s->tmp_fd);
    if (r < 0) {
        dir_free(&s->base);
        return r;
    }
    s->base = (struct blob_store){ .class = &DIR_CLASS, .id = s->id, .description = s->description };
    *ret = &s->base;
    return 0;
}
