/*
 * Images made of servers: createImage, createBackup, and the one that shelving needs.
 *
 * The image is made at once, queued, in the transaction that orders it, together with a task for
 * the host. The host copies the disk and delivers the bytes to the image service by itself; when
 * it says the task is done the task goes. A task that fails takes its image along, so no empty
 * image is left behind.
 */
#include "compute/actions.h"

#include <errno.h>
#include <stdio.h>

#define ACTION(name) \
    static int name(struct call *c, struct server *s, const void *in, const struct given *given, bool *gone)

/* Properties that describe the disk, not the image they came from. */
static bool inherited(const char *key)
{
    static const char *const NOT[] = { "image_type", "instance_uuid", "backup_type", "user_id", "base_image_ref",
                                       "boot_roles", "owner_id", "owner_project_name", "owner_user_name",
                                       "image_location", "image_state", "cache_in_nova", "bittorrent", "os_hash_algo",
                                       "os_hash_value", "stores", "locations", "direct_url", "owner_specified" };
    for (size_t i = 0; i < ARRAY_SIZE(NOT); i++)
        if (STREQ(NOT[i], key))
            return false;
    return !str_starts(key, "owner_specified.") && !str_starts(key, "os_glance_");
}

int snapshot_begin(struct call *c, struct server *s, const char *name, const char *purpose,
                   const struct strmap *metadata, const char **ret_image_id)
{
    struct arena *a = c->arena;
    struct strmap p = { 0 };
    if (s->image)
        VEC_FOREACH(q, &s->image->properties)
            if (inherited(q->key))
                strmap_set(a, &p, q->key, str_or(q->value, ""));
    strmap_set(a, &p, "image_type", STREQ(purpose, "backup") ? "backup" : "snapshot");
    strmap_set(a, &p, "instance_uuid", s->head.id);
    strmap_set(a, &p, "user_id", str_or(c->auth->user_id, ""));
    strmap_set(a, &p, "base_image_ref", str_or(s->image_ref, ""));
    strmap_set(a, &p, "boot_roles", str_or(strv_join(a, &c->auth->roles, ","), ""));
    strmap_set(a, &p, "owner_id", str_or(s->project_id, ""));
    strmap_set(a, &p, "owner_project_name", str_or(s->project_name, ""));
    strmap_set(a, &p, "owner_user_name", str_or(s->user_name, ""));
    if (metadata)                   /* the client's word is the last, as in Nova */
        VEC_FOREACH(q, metadata)
            strmap_set(a, &p, q->key, str_or(q->value, ""));
    const char *format = s->image && str_eq(s->image->disk_format, "raw") ? "raw" : "qcow2";
    struct image_new n = { .name = name, .owner = s->project_id, .disk_format = format, .container_format = "bare",
                           .min_disk = s->flavor->disk, .properties = &p, .from_host = s->host };
    const char *image_id;
    int r = image_create(c->txn, &n, &image_id, &c->fault);
    if (r == FAULT && (c->fault.status == 413 || c->fault.status == 429))
        c->fault.status = 403;
    if (r)
        return r;
    struct snapshot_task *task = ARENA_NEW(a, struct snapshot_task);
    if (!task)
        return -ENOMEM;
    *task = (struct snapshot_task){ .head.id = uuid_new(a), .server_id = s->head.id, .host = s->host,
                                    .image_id = image_id, .disk_id = "root", .format = format, .purpose = purpose,
                                    .quiesce = str_eq(strmap_get(&p, "os_require_quiesce"), "yes"),
                                    .created_at = clock_wall() };
    *ret_image_id = image_id;
    return txn_put(c->txn, &SNAPSHOT_TASK_KIND, task);
}

static bool from_volume(const struct server *s)
{
    return s->image == NULL;
}

static int answer_image(struct call *c, const char *image_id, bool body)
{
    struct action_after *after = ARENA_NEW(c->arena, struct action_after);
    if (!after)
        return -ENOMEM;
    after->location = arena_printf(c->arena, "%s/v2/images/%s", str_or(call_service_url(c, "image"), ""), image_id);
    c->data = after;
    if (body) {
        json_open_object(&c->out);
        json_put_string(&c->out, "image_id", image_id);
        json_close_object(&c->out);
    }
    return 0;
}

struct image_in { const char *name; struct strmap metadata; };
static const struct field IMAGE_ROWS[] = {
    { "name", FIELD_STRING, offsetof(struct image_in, name), IN_CREATE | REQUIRED, .min = 1, .max = 255,
      .check = check_name, .doc = "Of the image." },
    { "metadata", FIELD_MAP, offsetof(struct image_in, metadata), IN_CREATE, .max = 255, .doc = "Properties." },
};
static SCHEMA(IMAGE_SCHEMA, struct image_in, IMAGE_ROWS);

ACTION(create_image)
{
    const struct image_in *want = in;
    const char *image_id;
    (void)given;
    (void)gone;
    int r = metadata_check(c, &want->metadata);
    if (r)
        return r;
    if (from_volume(s))
        return call_fault(c, 400, "BadRequest", "Images of servers that boot from a volume are made from snapshots "
                          "of the volume.");
    r = snapshot_begin(c, s, want->name, "image", &want->metadata, &image_id);
    if (r)
        return r;
    server_order(s);
    r = server_task(s, TASK_IMAGE_SNAPSHOT);
    return r ? r : answer_image(c, image_id, c->minor >= 45);
}

struct backup_in { const char *name, *type; int64_t rotation; struct strmap metadata; };
static const struct field BACKUP_ROWS[] = {
    { "name", FIELD_STRING, offsetof(struct backup_in, name), IN_CREATE | REQUIRED, .min = 1, .max = 255,
      .check = check_name, .doc = "Of the image." },
    { "backup_type", FIELD_STRING, offsetof(struct backup_in, type), IN_CREATE | REQUIRED, .doc = "daily, weekly." },
    { "rotation", FIELD_INT, offsetof(struct backup_in, rotation), IN_CREATE | REQUIRED | LOOSE, .min = 0,
      .max = 1000000, .doc = "How many of this type are kept." },
    { "metadata", FIELD_MAP, offsetof(struct backup_in, metadata), IN_CREATE, .max = 255, .doc = "Properties." },
};
static SCHEMA(BACKUP_SCHEMA, struct backup_in, BACKUP_ROWS);

/* Notes the new one and removes the oldest of its type beyond 'keep'. */
static int backups_rotate(struct call *c, struct server *s, const char *type, int64_t keep, const char *image_id)
{
    struct strv mine = { 0 }, left = { 0 };
    strv_add(c->arena, &s->backups, arena_printf(c->arena, "%s %s", image_id, type));
    for (size_t i = 0; i < s->backups.n; i++) {
        const char *space = strchr(s->backups.v[i], ' ');
        const char *id = space ? arena_strndup(c->arena, s->backups.v[i], (size_t)(space - s->backups.v[i])) : NULL;
        struct image_view *view;
        struct fault fault = { 0 };
        if (!id)
            return -ENOMEM;
        int r = STREQ(id, image_id) ? 0 : image_get(c->txn, s->project_id, true, id, &view, &fault);
        if (r < 0)
            return r;
        if (r == FAULT)
            continue;           /* the tenant has deleted it */
        strv_add(c->arena, &left, s->backups.v[i]);
        if (STREQ(space + 1, type))
            strv_add(c->arena, &mine, s->backups.v[i]);
    }
    /* The one just begun is never taken away, it goes by itself if nothing is to be kept. */
    for (size_t i = 0; i + 1 < mine.n && (int64_t)(mine.n - i) > keep; i++) {
        const char *id = arena_strndup(c->arena, mine.v[i], strcspn(mine.v[i], " "));
        int r = id ? image_remove(c->txn, id) : -ENOMEM;
        if (r < 0)
            return r;
        strv_drop(&left, mine.v[i]);
    }
    s->backups = left;
    return 0;
}

ACTION(create_backup)
{
    const struct backup_in *want = in;
    struct strmap properties = want->metadata;
    const char *image_id;
    (void)given;
    (void)gone;
    int r = metadata_check(c, &want->metadata);
    if (r)
        return r;
    if (from_volume(s))
        return call_fault(c, 400, "InvalidRequest", "Backup is not supported for volume-backed instances.");
    strmap_set(c->arena, &properties, "backup_type", want->type);
    r = snapshot_begin(c, s, want->name, "backup", &properties, &image_id);
    r = r ? r : backups_rotate(c, s, want->type, want->rotation, image_id);
    if (r)
        return r;
    server_order(s);
    r = server_task(s, TASK_IMAGE_BACKUP);
    /* Nova tells no place when nothing is to be kept. */
    return r || want->rotation == 0 ? r : answer_image(c, image_id, c->minor >= 45);
}

/* ---- what the host says ---- */

static const struct observed_task *task_seen(const struct server_observed *o, const char *id)
{
    VEC_FOREACH(t, &o->tasks)
        if (str_eq(t->id, id))
            return t;
    return NULL;
}

/* The snapshot is in the image service, or there is none to wait for. */
static int snapshot_done(struct txn *t, struct server *s)
{
    int r;
    if (!str_eq(s->task_state, TASK_SHELVING)) {
        r = server_task(s, NULL);
    } else {
        r = server_move(s, VM_SHELVED, NULL);
        r = r < 0 ? r : server_offload(t, s);
    }
    return r < 0 ? r : action_end(t, s, NULL);
}

static int snapshot_failed(struct txn *t, struct server *s, const char *why)
{
    bool shelving = str_eq(s->task_state, TASK_SHELVING);
    if (shelving) {
        s->shelved_image = NULL;
        s->power = str_eq(s->vm_state_before, VM_STOPPED) ? POWER_SHUTOFF : POWER_RUNNING;
        server_order(s);
    }
    return server_fail(t, s, 500, str_or(why, "The snapshot failed."), NULL, false);
}

int snapshot_judge(struct txn *t, struct server *s, const struct server_observed *o, bool *ret_changed)
{
    struct query q = { .kind = &SNAPSHOT_TASK_KIND };
    query_where(&q, txn_arena(t), "server_id", Q_EQ, s->head.id);
    struct results l;
    size_t open = 0;
    const char *failed = NULL;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct snapshot_task *task = l.v[i];
        const struct observed_task *seen = task_seen(o, task->head.id);
        bool done = seen && str_eq(seen->state, "done"), broken = seen && str_eq(seen->state, "failed");
        open += !done && !broken;
        if (!done && !broken) {
            if (seen && seen->progress != s->progress) {
                s->progress = seen->progress;
                *ret_changed = true;
            }
            continue;
        }
        if (broken) {
            failed = str_or(seen->message, "The snapshot failed.");
            r = image_remove(t, task->image_id);
        }
        r = r < 0 ? r : txn_delete(t, &SNAPSHOT_TASK_KIND, task->head.id);
        *ret_changed = true;
    }
    if (r < 0 || open)
        return r;
    /* Without a disk to copy, shelving waits only for the guest to be off. */
    if (!l.n && str_eq(s->task_state, TASK_SHELVING) &&
        (o->revision < s->generation || str_eq(o->power, POWER_RUNNING)))
        return 0;
    *ret_changed = true;
    return failed ? snapshot_failed(t, s, failed) : snapshot_done(t, s);
}

#define ALIVE_STATES (IN_ACTIVE | IN_STOPPED | IN_PAUSED | IN_SUSPENDED)
const struct server_action SNAPSHOT_ACTIONS[] = {
    { "createImage", .rule = "os_compute_api:servers:create_image", .vm = ALIVE_STATES, .flags = ACT_OBJECT,
      .record = "createImage", .in = &IMAGE_SCHEMA, .fn = create_image },
    { "createBackup", .rule = "os_compute_api:os-create-backup", .vm = ALIVE_STATES, .flags = ACT_OBJECT,
      .record = "createBackup", .in = &BACKUP_SCHEMA, .fn = create_backup },
    { NULL },
};
