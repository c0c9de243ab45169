/*
 * Backups: a whole copy of a volume or snapshot in the backup folder of its host, with a hash that
 * is checked before anything is restored. Incremental ones are whole copies too and only remember
 * their parent: they need nothing of it, but it can't be deleted before them, as in Cinder.
 */
#include "volume/internal.h"

#include <errno.h>
#include <openssl/evp.h>

#define CONTAINER "volumebackups"
/* The name by which records find their way back; clients look at its beginning. */
#define SERVICE "cinder.backup.drivers.yunduo"

int backup_put(struct txn *t, struct backup *b)
{
    b->updated_at = clock_wall();
    return error_trace(txn_put(t, &BACKUP_KIND, b));
}

static int get(struct call *c, struct backup **ret)
{
    const char *id = call_param(c, "id");
    int r = project_check(c);
    r = r ? r : txn_get(c->txn, &BACKUP_KIND, id, ret);
    if (r == 0 && (!*ret || !own_visible(c, (*ret)->project_id)))
        return call_fault(c, 404, "BackupNotFound", "Backup %s could not be found.", id);
    return r;
}

static int dependents(struct txn *t, const struct backup *b, uint64_t *ret)
{
    return count_by(t, &BACKUP_KIND, "parent_id", b->head.id, ret);
}

static void render(struct call *c, struct json_out *o, const struct backup *b, bool full)
{
    uint64_t n = 0;
    json_open_object(o);
    json_put_string(o, "id", b->head.id);
    json_put_string(o, "name", b->name);
    volume_links(c, "backups", b->head.id, o);
    if (full) {
        if (dependents(c->txn, b, &n) < 0)
            arena_fail(c->arena);
        json_put_string(o, "status", b->status);
        json_put_int(o, "size", b->size);
        json_put_int(o, "object_count", b->object_count);
        json_put_string(o, "container", b->container);
        json_put_string(o, "availability_zone", b->availability_zone);
        put_time(c, o, "created_at", b->created_at);
        put_time(c, o, "updated_at", b->updated_at);
        put_time(c, o, "data_timestamp", b->data_timestamp);
        json_put_string(o, "description", b->description);
        json_put_string(o, "fail_reason", b->fail_reason);
        json_put_string(o, "volume_id", b->volume_id);
        json_put_string(o, "snapshot_id", b->snapshot_id);
        json_put_bool(o, "is_incremental", b->incremental);
        json_put_bool(o, "has_dependent_backups", n > 0);
        if (c->minor >= 18)
            json_put_string(o, "os-backup-project-attr:project_id", b->project_id);
        if (c->minor >= 56)
            json_put_string(o, "user_id", b->user_id);
        if (c->minor >= 64)
            json_put_null(o, "encryption_key_id");
    }
    if (c->minor >= 43)
        json_put_map(o, "metadata", &b->metadata);
    json_close_object(o);
}

static int render_one(struct call *c, const struct backup *b, bool full)
{
    json_open_object(&c->out);
    json_key(&c->out, "backup");
    render(c, &c->out, b, full);
    json_close_object(&c->out);
    return 0;
}

static const struct resource BACKUPS = { .one = "backup", .many = "backups", .kind = &BACKUP_KIND, .title = "Backup",
                                         .scope = own_scope };

static int list(struct call *c, bool full)
{
    struct results l = { 0 };
    int r = list_objects(c, &BACKUPS, full, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "backups");
    for (size_t i = 0; i < l.n; i++) {
        if (full) {
            render(c, &c->out, l.v[i], true);
            continue;
        }
        const struct backup *b = l.v[i];
        json_open_object(&c->out);
        json_put_string(&c->out, "id", b->head.id);
        json_put_string(&c->out, "name", b->name);
        volume_links(c, "backups", b->head.id, &c->out);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    c->service->list_style->links(c, &BACKUPS, &l, NULL, &c->out);
    json_close_object(&c->out);
    return 0;
}
static int backups_list(struct call *c)
{
    return list(c, false);
}
static int backups_detail(struct call *c)
{
    return list(c, true);
}
static int show(struct call *c)
{
    struct backup *b;
    int r = call_read(c);
    r = r ? r : get(c, &b);
    return r ? r : render_one(c, b, true);
}

static int newest(struct call *c, const char *volume_id, struct backup **ret)
{
    struct query q = { .kind = &BACKUP_KIND };
    query_where(&q, c->arena, "volume_id", Q_EQ, volume_id);
    query_where(&q, c->arena, "status", Q_EQ, "available");
    query_sort(&q, c->arena, "created_at", true);
    return txn_find(c->txn, &q, ret);
}

static int create_write(struct call *c)
{
    json_t *in;
    const char *volume_id, *snapshot_id, *container;
    bool force = false, incremental = false;
    struct volume *v;
    struct snapshot *s = NULL;
    struct backup *b = ARENA_NEW(c->arena, struct backup), *parent = NULL;
    if (!b)
        return -ENOMEM;
    *b = (struct backup){ .head.id = uuid_new(c->arena), .user_id = c->auth->user_id, .status = "creating",
                          .created_at = clock_wall() };
    int r = body_object(c, "backup", &in);
    r = r ? r : body_text(c, in, "volume_id", true, &volume_id);
    r = r ? r : body_text(c, in, "snapshot_id", false, &snapshot_id);
    r = r ? r : body_text(c, in, "container", false, &container);
    r = r ? r : take_name(c, in, &b->name, &b->description);
    r = r ? r : body_bool(c, in, "force", &force);
    r = r ? r : body_bool(c, in, "incremental", &incremental);
    if (r == 0 && c->minor >= 43)
        r = take_metadata(c, json_object_get(in, "metadata"), &b->metadata);
    r = r ? r : volume_get(c, volume_id, &v);
    if (r == 0 && snapshot_id)
        r = vsnapshot_get(c, snapshot_id, &s);
    if (r)
        return r;
    if (s && !str_eq(s->volume_id, v->head.id))
        return invalid(c, "Invalid snapshot: it is of another volume.");
    if (!s && !str_eq(v->status, "available") && !(str_eq(v->status, "in-use") && force))
        return invalid(c, "Invalid volume: Backing up an in-use volume must use the force flag. Its status is %s.",
                       v->status);
    if (s && !str_eq(s->status, "available"))
        return invalid(c, "Invalid snapshot: it must be available, but is %s.", s->status);
    r = quota_check(c, v->project_id, "backups", 1, v->size, NULL);
    if (r == 0 && incremental) {
        r = newest(c, v->head.id, &parent);
        if (r == 0 && !parent)
            return invalid(c, "Invalid backup: No backups available to do an incremental backup.");
    }
    if (r)
        return r;
    b->project_id = v->project_id;
    b->volume_id = v->head.id;
    b->snapshot_id = s ? s->head.id : NULL;
    b->parent_id = parent ? parent->head.id : NULL;
    b->incremental = incremental;
    b->container = str_or(container, CONTAINER);
    b->availability_zone = v->availability_zone;
    b->host = v->host;
    b->size = v->size;
    b->volume_metadata = v->metadata;
    b->image_metadata = v->image_metadata;
    b->bootable = v->bootable;
    b->data_timestamp = s ? s->created_at : b->created_at;
    r = backup_put(c->txn, b);
    if (r == 0 && !s) {
        v->previous_status = v->status;
        v->status = "backing-up";
        r = volume_put(c->txn, v);
    }
    return r ? r : render_one(c, b, false);
}
static int create(struct call *c)
{
    return call_write(c, create_write);
}

static int update_write(struct call *c)
{
    json_t *in;
    struct backup *b;
    int r = body_object(c, "backup", &in);
    r = r ? r : get(c, &b);
    r = r ? r : take_name(c, in, &b->name, &b->description);
    if (r == 0 && c->minor >= 43 && json_object_get(in, "metadata"))
        r = take_metadata(c, json_object_get(in, "metadata"), &b->metadata);
    r = r ? r : backup_put(c->txn, b);
    return r ? r : render_one(c, b, false);
}
static int update(struct call *c)
{
    return call_write(c, update_write);
}

static int begin_delete(struct call *c, struct backup *b)
{
    struct backup *first;
    uint64_t sharing = 0;
    int r = txn_get(c->txn, &BACKUP_KIND, backup_name(b), &first);
    r = r ? r : count_by(c->txn, &BACKUP_KIND, "file_id", backup_name(b), &sharing);
    if (r < 0)
        return r;
    /* Another record names the same file: that stays. */
    bool shared = sharing > (b->file_id ? 1 : 0) || (b->file_id && first);
    if (str_empty(b->host) || shared)
        return txn_delete(c->txn, &BACKUP_KIND, b->head.id);
    b->deleting = true;
    b->status = "deleting";
    return backup_put(c->txn, b);
}

static int delete_write(struct call *c)
{
    struct backup *b;
    uint64_t n = 0;
    int r = get(c, &b);
    r = r ? r : dependents(c->txn, b, &n);
    if (r || b->deleting)
        return r;
    if (!str_eq(b->status, "available") && !str_eq(b->status, "error") && !str_eq(b->status, "error_deleting"))
        return invalid(c, "Invalid backup: Backup status must be available or error, but is %s.", b->status);
    if (n)
        return invalid(c, "Invalid backup: Incremental backups exist for this backup.");
    return begin_delete(c, b);
}
static int delete_(struct call *c)
{
    return call_write(c, delete_write);
}

static int restore_write(struct call *c)
{
    json_t *in;
    const char *volume_id, *name;
    struct backup *b;
    struct volume *v;
    int r = body_object(c, "restore", &in);
    r = r ? r : body_text(c, in, "volume_id", false, &volume_id);
    r = r ? r : body_text(c, in, "name", false, &name);
    r = r ? r : get(c, &b);
    if (r)
        return r;
    if (!str_eq(b->status, "available"))
        return invalid(c, "Invalid backup: Backup status must be available.");
    if (volume_id) {
        r = volume_get(c, volume_id, &v);
        if (r)
            return r;
        if (!str_eq(v->status, "available"))
            return invalid(c, "Invalid volume: Volume to be restored to must be available.");
        if (v->size < b->size)
            return invalid(c, "Invalid volume: volume size %lld is too small to restore backup of size %lld.",
                           (long long)v->size, (long long)b->size);
    } else {
        struct new_volume n = { .wish = { .project_id = c->auth->project_id, .user_id = c->auth->user_id, .size = b->size,
                                          .name = name ? name : arena_printf(c->arena, "restore_backup_%s", b->head.id) },
                                .description = "auto-created_from_restore_from_backup" };
        r = volume_create_one(c, &n, &v);
        if (r)
            return r;
    }
    if (!str_eq(v->host, b->host))
        return invalid(c, "Invalid volume: the backup lies on another host than the volume.");
    v->status = "restoring-backup";
    v->metadata = b->volume_metadata;
    v->image_metadata = b->image_metadata;
    v->bootable = b->bootable;
    v->backup_id = b->head.id;
    b->status = "restoring";
    r = errand_begin(c->txn, v, ITEM_RESTORE, b->head.id, NULL);
    r = r ? r : volume_put(c->txn, v);
    r = r ? r : backup_put(c->txn, b);
    json_open_object(&c->out);
    json_put_object(&c->out, "restore");
    json_put_string(&c->out, "backup_id", b->head.id);
    json_put_string(&c->out, "volume_id", v->head.id);
    json_put_string(&c->out, "volume_name", str_or(v->name, ""));
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}
static int restore(struct call *c)
{
    return call_write(c, restore_write);
}

static int action_write(struct call *c)
{
    static const char *const STATES[] = { "available", "error" };
    const char *name = json_object_iter_key(json_object_iter(c->body)), *status;
    struct backup *b;
    int r = get(c, &b);
    if (r)
        return r;
    if (str_eq(name, "os-force_delete"))
        return begin_delete(c, b);
    if (!str_eq(name, "os-reset_status"))
        return bad_body(c, "There is no such action: %s", str_or(name, ""));
    r = body_text(c, json_object_get(c->body, name), "status", true, &status);
    for (size_t i = 0; i < ARRAY_SIZE(STATES) && r == 0; i++) {
        if (!STREQ(STATES[i], status))
            continue;
        b->status = status;
        return backup_put(c->txn, b);
    }
    return r ? r : bad_body(c, "Invalid input for field/attribute status. Value: %s.", status);
}
static int action(struct call *c)
{
    return call_write(c, action_write);
}

/* ---- records that travel ---- */

static int export_(struct call *c)
{
    struct backup *b;
    int r = call_read(c);
    r = r ? r : get(c, &b);
    if (r)
        return r;
    if (!str_eq(b->status, "available"))
        return invalid(c, "Invalid backup: Backup status must be available.");
    if (!b->file_id)
        b->file_id = b->head.id;        /* of the copy that travels */
    _cleanup_(buf_done) struct buf text = BUF_MAX(65536);
    struct json_out o = JSON_OUT(&text);
    const struct encode_options opt = { .stored = true };
    schema_encode(BACKUP_KIND.schema, b, &opt, &o);
    size_t size = (text.len + 2) / 3 * 4 + 1;
    unsigned char *out = arena_alloc(c->arena, size);
    if (!out || buf_error(&text))
        return -ENOMEM;
    (void)EVP_EncodeBlock(out, (const unsigned char *)buf_text(&text), (int)text.len);
    json_open_object(&c->out);
    json_put_object(&c->out, "backup-record");
    json_put_string(&c->out, "backup_service", SERVICE);
    json_put_string(&c->out, "backup_url", (const char *)out);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int import_write(struct call *c)
{
    json_t *in;
    struct backup *b = ARENA_NEW(c->arena, struct backup), *there;
    int r = body_object(c, "backup-record", &in);
    const char *service = r ? NULL : json_get_string(in, "backup_service"), *url = r ? NULL : json_get_string(in, "backup_url");
    if (r || !b)
        return r ? r : -ENOMEM;
    if (!service || !url)
        return bad_body(c, "'backup_url' is a required property");
    if (!STREQ(service, SERVICE))
        return invalid(c, "Invalid input received: there is no backup service %s.", service);
    size_t n = strlen(url);
    unsigned char *text = arena_alloc(c->arena, n + 4);
    if (!text)
        return -ENOMEM;
    int got = n % 4 ? -1 : EVP_DecodeBlock(text, (const unsigned char *)url, (int)n);
    char error[100];
    while (got > 0 && text[got - 1] == 0)
        got--;
    _cleanup_(json_decrefp) json_t *tree = got > 0 ? json_parse((char *)text, (size_t)got, error, sizeof(error)) : NULL;
    if (!tree || schema_decode(BACKUP_KIND.schema, tree, DECODE_STORED, 0, c->arena, b, NULL, NULL) ||
        !b->head.id || !uuid_valid(b->head.id))
        return invalid(c, "Invalid input received: Can't parse backup record.");
    r = txn_get(c->txn, &BACKUP_KIND, b->head.id, &there);
    if (r == 0 && there)
        return invalid(c, "Invalid backup: Backup already exists in database.");
    b->project_id = c->auth->project_id;
    b->user_id = c->auth->user_id;
    /* Whether the file is what the record says is asked when it is restored. */
    b->deleting = false;
    if (str_eq(b->file_id, b->head.id))
        b->file_id = NULL;
    b->made = true;
    b->status = "available";
    r = r ? r : backup_put(c->txn, b);
    return r ? r : render_one(c, b, false);
}
static int import(struct call *c)
{
    return call_write(c, import_write);
}

#define B P "/backups"
static const struct route ROUTES[] = {
    { "GET", B, backups_list, "volume:read", .doc = "Backups." },
    { "GET", B "/detail", backups_detail, "volume:read", .doc = "With all members." },
    { "POST", B, create, "volume:write", .status = 202, .doc = "Makes a backup." },
    { "GET", B "/{id}", show, "volume:read", .doc = "One backup." },
    { "PUT", B "/{id}", update, "volume:write", .since = 9, .doc = "Changes name, description, metadata." },
    { "DELETE", B "/{id}", delete_, "volume:write", .status = 202, .doc = "Deletes it." },
    { "POST", B "/{id}/restore", restore, "volume:write", .status = 202, .doc = "To a volume, or a new one." },
    { "POST", B "/{id}/action", action, "volume:admin", .status = 202, .doc = "Status, force." },
    { "GET", B "/{id}/export_record", export_, "volume:admin", .doc = "What another cloud needs to find it." },
    { "POST", B "/import_record", import, "volume:admin", .status = 201, .doc = "Takes such a record." },
};
VOLUME_PART(BACKUPS_PART, ROUTES);
