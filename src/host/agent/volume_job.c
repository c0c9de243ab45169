/* One volume item, one pass: see the header. */
#include "host/agent/volume_job.h"
#include "base/log.h"
#include "host/disk/qemu_img.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

LOG_MODULE("agent.volumes");

struct work {
    const struct volume_job *j;
    const struct desired *d;
    const struct volume_spec *s;
    struct arena *a;
    struct fault fault;
    struct volume_observed seen;
    bool again;
};

#define DRIVER(w, entry, ...) \
    ((w)->j->driver->class->entry ? (w)->j->driver->class->entry((w)->j->driver, __VA_ARGS__, &(w)->fault) \
                                  : volume_cannot((w)->j->driver, #entry, &(w)->fault))

/* ---- guests that have it open ---- */

/* The server on this host whose running guest has the volume; null: none. */
static const char *open_in(struct work *w, const struct volume_spec *volume)
{
    struct hypervisor *hv = agent_hypervisor(w->j->agent);
    if (!volume || STREQ(hv->class->name, "simulated"))
        return NULL;            /* a simulated guest has nothing open */
    VEC_FOREACH(server, &volume->servers) {
        struct domain_info info = { 0 };
        if (hv->class->observe(hv, *server, w->a, &info) < 0 ||
            (info.state != DOMAIN_RUNNING && info.state != DOMAIN_PAUSED))
            continue;
        VEC_FOREACH(disk, &info.disks)
            if (str_eq(disk->id, volume->disk_id))
                return *server;
    }
    return NULL;
}

/* A copy of the volume as it is at this moment, to a new file. *ret_moved: it lies in the driver's scratch. */
static int copy_live(struct work *w, const struct volume_spec *volume, const char *server, const char *path)
{
    struct hypervisor *hv = agent_hypervisor(w->j->agent);
    (void)unlink(path);
    return HYPERVISOR_CALL(hv, snapshot_disk, &w->fault, server, volume->disk_id, path, "qcow2", false, NULL, NULL);
}

/* ---- volumes ---- */

static int make(struct work *w)
{
    const struct volume_spec *s = w->s;
    struct volume_origin from = { .id = s->origin_id };
    if (!s->origin)
        return DRIVER(w, create, s->id, s->size_bytes);
    if (STREQ(s->origin, ORIGIN_OF_IMAGE)) {
        struct disk_store *store = servers_disk_store(w->j->agent);
        int64_t size;
        if (!store || !s->image)
            return -EAGAIN;
        int r = disk_store_image(store, s->image, w->a, &from.path, &size, &w->fault);
        if (r)
            return r;
        from.kind = ORIGIN_FILE;
        from.format = "raw";
        return DRIVER(w, clone, &from, s->id, s->size_bytes);
    }
    from.kind = STREQ(s->origin, ORIGIN_OF_SNAPSHOT) ? ORIGIN_SNAPSHOT : ORIGIN_VOLUME;
    const struct volume_spec *source = from.kind == ORIGIN_VOLUME ? desired_volume(w->d, s->origin_id) : NULL;
    const char *server = open_in(w, source);
    if (!server)
        return DRIVER(w, clone, &from, s->id, s->size_bytes);
    const char *name = arena_printf(w->a, "live-%s", s->id);
    const char *scratch = w->j->driver->class->scratch ? w->j->driver->class->scratch(w->j->driver, name, w->a) : NULL;
    if (!scratch)
        return volume_cannot(w->j->driver, "copy of a volume in use", &w->fault);
    int r = copy_live(w, source, server, scratch);
    from = (struct volume_origin){ .kind = ORIGIN_FILE, .path = scratch, .format = "qcow2" };
    r = r ? r : DRIVER(w, clone, &from, s->id, s->size_bytes);
    (void)unlink(scratch);
    return r;
}

static int grow(struct work *w)
{
    const struct volume_spec *s = w->s;
    struct hypervisor *hv = agent_hypervisor(w->j->agent);
    const char *server = open_in(w, s);
    if (!server || w->j->driver->class->live_extend) {
        int r = DRIVER(w, extend, s->id, s->size_bytes);
        if (r || !server)
            return r;
    }
    return HYPERVISOR_CALL(hv, extend_disk, &w->fault, server, s->disk_id, s->size_bytes);
}

static int volume(struct work *w)
{
    const struct volume_spec *s = w->s;
    struct disk_source *source = ARENA_NEW(w->a, struct disk_source);
    struct fault missing = { 0 };
    if (!source)
        return -ENOMEM;
    /* Its bytes are being exchanged: not to be looked at meanwhile. */
    VEC_FOREACH(o, &w->d->volumes) {
        if (str_eq(o->volume_id, s->id) && (STREQ(o->kind, ITEM_RESTORE) || STREQ(o->kind, ITEM_REVERT))) {
            w->again = true;
            return 0;
        }
    }
    int r = w->j->driver->class->locate(w->j->driver, s->id, w->a, source, &missing);
    if (r < 0)
        return r;
    if (r == FAULT) {
        /* An empty disk in place of data would be worse than none. */
        if (s->made)
            return fault_set(&w->fault, 404, "VolumeNotFound", "The backend has lost volume %s.", s->id);
        r = make(w);
    } else if (s->made) {
        r = grow(w);
    }
    r = r ? r : DRIVER(w, locate, s->id, w->a, source);
    w->seen.source = source;
    w->seen.size_bytes = s->size_bytes;
    return r;
}

/* Whether others are still to be made of it. */
static bool needed(const struct work *w)
{
    VEC_FOREACH(o, &w->d->volumes) {
        if (o == w->s)
            continue;
        bool origin = str_eq(o->origin_id, w->s->id) && (o->origin || !STREQ(o->kind, ITEM_VOLUME));
        bool part = str_eq(o->volume_id, w->s->id) && !o->deleted && !STREQ(o->kind, ITEM_SNAPSHOT) &&
                    !STREQ(o->kind, ITEM_BACKUP);
        if ((origin && !o->deleted) || part)
            return true;
    }
    return false;
}

/* ---- snapshots ---- */

static int snapshot(struct work *w)
{
    const struct volume_spec *s = w->s, *of = desired_volume(w->d, s->volume_id);
    const char *server = open_in(w, of);
    if (!server || w->j->driver->class->live_snapshots)
        return DRIVER(w, snapshot, s->volume_id, s->id);
    struct volume_list have = { 0 };
    int r = w->j->driver->class->list(w->j->driver, w->a, &have);
    if (r < 0)
        return r;
    VEC_FOREACH(e, &have)
        if (e->snapshot && str_eq(e->id, s->id))
            return 0;
    const char *scratch = w->j->driver->class->scratch ? w->j->driver->class->scratch(w->j->driver, s->id, w->a) : NULL;
    if (!scratch)
        return volume_cannot(w->j->driver, "snapshot of a volume in use", &w->fault);
    r = copy_live(w, of, server, scratch);
    return r ? r : DRIVER(w, snapshot_take, s->volume_id, s->id, scratch, "qcow2");
}

/* ---- backups ---- */

static const char *backup_path(const struct work *w, const char *id)
{
    struct fault f;
    return name_check(id, &f) ? NULL : arena_printf(w->a, "%s/%s.qcow2", w->j->backup_dir, id);
}

static int hash_file(const char *path, struct arena *a, const char **ret)
{
    unsigned char block[65536], sum[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned n = 0;
    ssize_t got = 0;
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    EVP_MD_CTX *cx = EVP_MD_CTX_new();
    int r = cx && EVP_DigestInit_ex(cx, EVP_sha256(), NULL) ? 0 : -ENOMEM;
    while (r == 0 && (got = read(fd, block, sizeof(block))) != 0)
        r = got < 0 ? -errno : EVP_DigestUpdate(cx, block, (size_t)got) ? 0 : -EIO;
    if (r == 0 && !EVP_DigestFinal_ex(cx, sum, &n))
        r = -EIO;
    EVP_MD_CTX_free(cx);
    for (unsigned i = 0; r == 0 && i < n; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    *ret = r == 0 ? arena_strdup(a, hex) : NULL;
    return r;
}

static int backup(struct work *w)
{
    const struct volume_spec *s = w->s;
    const char *path = backup_path(w, s->id);
    if (!path)
        return fault_set(&w->fault, 400, "InvalidBackup", "Backup %s has no good name.", s->id);
    int r = 0;
    if (!file_exists(path)) {
        struct volume_origin from = { .kind = s->origin_id ? ORIGIN_SNAPSHOT : ORIGIN_VOLUME,
                                      .id = s->origin_id ? s->origin_id : s->volume_id };
        const struct volume_spec *of = s->origin_id ? NULL : desired_volume(w->d, s->volume_id);
        const char *server = open_in(w, of);
        const char *part = arena_printf(w->a, "%s.live", path);
        if (server && part) {
            r = copy_live(w, of, server, part);
            if (r == 0 && (file_sync(part) < 0 || rename(part, path) < 0))
                r = -EIO;
        } else {
            r = DRIVER(w, export, &from, path, "qcow2");
        }
    }
    return r ? r : hash_file(path, w->a, &w->seen.hash);
}

static int restore(struct work *w)
{
    const struct volume_spec *s = w->s, *to = desired_volume(w->d, s->volume_id);
    const char *path = backup_path(w, str_or(s->origin_id, "")), *hash;
    if (!to || !path || open_in(w, to))
        return fault_set(&w->fault, 400, "InvalidVolume", "Volume %s can't be restored to.", str_or(s->volume_id, ""));
    int r = hash_file(path, w->a, &hash);
    if (r == -ENOENT)
        return fault_set(&w->fault, 404, "BackupNotFound", "The file of backup %s is not there.", s->origin_id);
    if (r < 0)
        return r;
    if (s->hash && !str_eq(hash, s->hash))
        return fault_set(&w->fault, 500, "BackupDamaged", "Backup %s is not what was written.", s->origin_id);
    struct volume_origin from = { .kind = ORIGIN_FILE, .path = path, .format = "qcow2" };
    r = DRIVER(w, remove, s->volume_id);
    return r ? r : DRIVER(w, clone, &from, s->volume_id, to->size_bytes);
}

/* ---- upload ---- */

static ssize_t read_fd(void *arg, char *out, size_t max)
{
    ssize_t n = read(*(int *)arg, out, max);
    return n < 0 ? -errno : n;
}

static int send_image(struct work *w, const char *path)
{
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_(buf_done) struct buf answer = BUF_MAX(65536);
    struct stat st;
    const char *base;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    int r = agent_client(w->j->agent, HOURS(4), &client, &base);
    if (r < 0)
        return r;
    struct http_call call = {
        .method = "PUT", .into = &answer, .read = read_fd, .arg = &fd, .body_length = st.st_size,
        .url = arena_printf(w->a, "%s/agent/v1/images/%s/file?host=%s", base, w->s->image_id,
                            agent_host(w->j->agent)),
    };
    strmap_set(w->a, &call.headers, "Content-Type", "application/octet-stream");
    struct http_reply reply = { 0 };
    r = http_client_call(client, &call, w->a, &reply);
    if (r == 0 && reply.status >= 300)
        r = fault_set(&w->fault, reply.status, "ImageUpload", "The image service refused the volume's bytes (%d).",
                      reply.status);
    return r;
}

static int upload(struct work *w)
{
    const struct volume_spec *s = w->s;
    const char *path = arena_printf(w->a, "%s/upload-%s", w->j->backup_dir, s->id);
    const char *format = str_eq(s->format, "vhd") ? "vpc" : str_or(s->format, "raw");
    const struct volume_spec *of = desired_volume(w->d, s->volume_id);
    const char *server = open_in(w, of);
    if (!path)
        return -ENOMEM;
    int r;
    if (server) {
        const char *live = arena_printf(w->a, "%s.live", path);
        r = copy_live(w, of, server, live);
        r = r ? r : qemu_img_convert(live, "qcow2", path, format, false, 0, &w->fault);
        (void)unlink(live);
    } else {
        struct volume_origin from = { .kind = ORIGIN_VOLUME, .id = s->volume_id };
        r = DRIVER(w, export, &from, path, format);
    }
    r = r ? r : send_image(w, path);
    (void)unlink(path);
    return r;
}

/* ---- the pass ---- */

static int drop(struct work *w)
{
    const struct volume_spec *s = w->s;
    const char *path;
    if (needed(w) || open_in(w, STREQ(s->kind, ITEM_VOLUME) ? s : NULL)) {
        w->again = true;
        return 0;
    }
    if (STREQ(s->kind, ITEM_VOLUME))
        return DRIVER(w, remove, s->id);
    if (STREQ(s->kind, ITEM_SNAPSHOT))
        return DRIVER(w, snapshot_remove, s->id);
    path = STREQ(s->kind, ITEM_BACKUP) ? backup_path(w, s->id) : NULL;
    return path && unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int work(struct work *w)
{
    static const struct { const char *kind; int (*fn)(struct work *w); } KINDS[] = {
        { ITEM_VOLUME, volume }, { ITEM_SNAPSHOT, snapshot }, { ITEM_BACKUP, backup }, { ITEM_UPLOAD, upload },
        { ITEM_RESTORE, restore }, { ITEM_REVERT, NULL },
    };
    const struct volume_spec *s = w->s;
    if (s->deleted)
        return drop(w);
    for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++)
        if (STREQ(KINDS[i].kind, s->kind))
            return KINDS[i].fn ? KINDS[i].fn(w) : DRIVER(w, revert, s->volume_id, s->origin_id);
    return fault_set(&w->fault, 501, "NotImplemented", "This host does not know what a %s is.", s->kind);
}

static void report(struct work *w, int r)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)1 << 20);
    struct json_out out = JSON_OUT(&b);
    const struct encode_options opt = { .stored = true };
    struct volume_observed *o = &w->seen;
    o->id = w->s->id;
    o->kind = w->s->kind;
    o->revision = w->s->revision;
    o->state = r ? ITEM_FAILED : w->s->deleted ? ITEM_GONE : ITEM_READY;
    if (r) {
        o->source = NULL;
        o->fault_code = r == FAULT ? w->fault.status : 500;
        o->fault_message = r == FAULT ? w->fault.message : strerror(-r);
        log_warning("a volume is not as wanted", KV("kind", w->s->kind), KV("id", w->s->id),
                    KV("reason", o->fault_message));
    }
    schema_encode(&VOLUME_OBSERVED_SCHEMA, o, &opt, &out);
    if (!buf_error(&b) && !arena_failed(w->a))
        agent_report_item(w->j->agent, "volumes", w->s->id, buf_text(&b));
}

void volume_job_run(const struct volume_job *j, const struct desired *d, const char *id, bool last_try, bool *ret_again)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    const struct volume_spec *s = desired_volume(d, id);
    *ret_again = false;
    if (!a || !s || !s->kind)
        return;
    struct work w = { .j = j, .d = d, .s = s, .a = a };
    int r = work(&w);
    bool passing = r < 0 || (r == FAULT && (w.fault.status == 409 || w.fault.status >= 500));
    if (w.again || (passing && !last_try)) {
        *ret_again = true;
        return;
    }
    report(&w, r);
}
