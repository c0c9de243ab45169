/*
 * Snapshots: create (of volumes in use too), list, show, change, delete, status for administrators.
 */
#include "volume/internal.h"

#include <errno.h>
#include <stdio.h>

LOG_MODULE("volume.snapshots");

int vsnapshot_get(struct call *c, const char *id, struct snapshot **ret)
{
    struct snapshot *s;
    int r = project_check(c);
    r = r ? r : txn_get(c->txn, &VSNAPSHOT_KIND, id, &s);
    if (r)
        return r;
    if (!s || !own_visible(c, s->project_id))
        return call_fault(c, 404, "SnapshotNotFound", "Snapshot %s could not be found.", id);
    *ret = s;
    return 0;
}

int vsnapshot_put(struct txn *t, struct snapshot *s)
{
    s->updated_at = clock_wall();
    return error_trace(txn_put(t, &VSNAPSHOT_KIND, s));
}

int snapshot_begin_delete(struct txn *t, struct snapshot *s)
{
    if (str_empty(s->host))
        return txn_delete(t, &VSNAPSHOT_KIND, s->head.id);
    s->deleting = true;
    s->status = "deleting";
    return vsnapshot_put(t, s);
}

void vsnapshot_render(struct call *c, struct json_out *o, const struct snapshot *s, bool detail)
{
    json_open_object(o);
    json_put_string(o, "id", s->head.id);
    json_put_string(o, "name", s->name);
    json_put_string(o, "description", s->description);
    json_put_string(o, "volume_id", s->volume_id);
    json_put_string(o, "status", s->status);
    json_put_int(o, "size", s->size);
    put_time(c, o, "created_at", s->created_at);
    put_time(c, o, "updated_at", s->updated_at > s->created_at ? s->updated_at : 0);
    json_put_map(o, "metadata", &s->metadata);
    if (detail) {
        json_put_string(o, "os-extended-snapshot-attributes:progress",
                        s->progress ? s->progress : str_eq(s->status, "available") ? "100%" : "0%");
        json_put_string(o, "os-extended-snapshot-attributes:project_id", s->project_id);
    }
    if (detail && c->minor >= 14)
        json_put_string(o, "group_snapshot_id", s->group_snapshot_id);
    if (c->minor >= 41)
        json_put_string(o, "user_id", s->user_id);
    if (c->minor >= 65)
        json_put_bool(o, "consumes_quota", true);
    json_close_object(o);
}

static int render_one(struct call *c, const struct snapshot *s, bool detail)
{
    json_open_object(&c->out);
    json_key(&c->out, "snapshot");
    vsnapshot_render(c, &c->out, s, detail);
    json_close_object(&c->out);
    return 0;
}

/* ---- lists ---- */

static int filter(struct call *c, struct query *q, const char *name, const char *value)
{
    static const char *const OURS[] = { "all_tenants", "project_id", "offset", "with_count", "host", "updated_at" };
    for (size_t i = 0; i < ARRAY_SIZE(OURS); i++)
        if (STREQ(name, OURS[i]))
            return 0;
    if (STREQ(name, "display_name"))
        return query_where(q, c->arena, "name", Q_EQ, value) ? 0 : -ENOMEM;
    return 1;
}
static bool visible(struct call *c, const void *object)
{
    return own_visible(c, ((const struct snapshot *)object)->project_id);
}
static const struct resource SNAPSHOTS = {
    .one = "snapshot", .many = "snapshots", .kind = &VSNAPSHOT_KIND, .title = "Snapshot", .scope = own_scope,
    .visible = visible, .filter = filter,
};

static int list(struct call *c, bool detail)
{
    struct results l = { 0 };
    int r = list_objects(c, &SNAPSHOTS, detail, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "snapshots");
    for (size_t i = 0; i < l.n; i++)
        vsnapshot_render(c, &c->out, l.v[i], detail);
    json_close_array(&c->out);
    c->service->list_style->links(c, &SNAPSHOTS, &l, NULL, &c->out);
    if (c->minor >= 45 && call_arg_bool(c, "with_count", false)) {
        struct query q = { 0 };
        uint64_t n = 0;
        r = resource_query(c, &SNAPSHOTS, &q);
        q.marker = NULL;
        q.limit = 0;
        r = r ? r : txn_count(c->txn, &q, &n);
        json_put_int(&c->out, "count", (int64_t)n);
    }
    json_close_object(&c->out);
    return r;
}
static int snapshots_list(struct call *c)
{
    return list(c, false);
}
static int snapshots_detail(struct call *c)
{
    return list(c, true);
}
static int show(struct call *c)
{
    struct snapshot *s;
    int r = call_read(c);
    r = r ? r : vsnapshot_get(c, call_param(c, "id"), &s);
    return r ? r : render_one(c, s, true);
}

/* ---- create ---- */

int snapshot_create_one(struct call *c, struct volume *v, const char *name, const char *description,
                        const struct strmap *metadata, const char *group_snapshot_id, struct snapshot **ret)
{
    struct volume_type *type = NULL;
    int r = v->type_id ? txn_get(c->txn, &VOLUME_TYPE_KIND, v->type_id, &type) : 0;
    r = r ? r : quota_check(c, v->project_id, "snapshots", 1, v->size, type);
    struct snapshot *s = ARENA_NEW(c->arena, struct snapshot);
    if (r || !s)
        return r ? r : -ENOMEM;
    *s = (struct snapshot){ .head.id = uuid_new(c->arena), .project_id = v->project_id, .user_id = c->auth->user_id,
                            .volume_id = v->head.id, .name = name, .description = description, .status = "creating",
                            .host = v->host, .type_id = v->type_id, .size = v->size, .bootable = v->bootable,
                            .image_metadata = v->image_metadata, .group_snapshot_id = group_snapshot_id,
                            .created_at = clock_wall() };
    if (metadata)
        s->metadata = *metadata;
    *ret = s;
    return vsnapshot_put(c->txn, s);
}

static int create_write(struct call *c)
{
    json_t *in;
    const char *volume_id, *name = NULL, *description = NULL;
    struct strmap metadata = { 0 };
    struct volume *v;
    struct snapshot *s;
    bool force = c->minor >= 66;
    int r = body_object(c, "snapshot", &in);
    r = r ? r : body_text(c, in, "volume_id", !json_is_null(json_object_get(in, "volume_id")), &volume_id);
    r = r ? r : take_name(c, in, &name, &description);
    r = r ? r : take_metadata(c, json_object_get(in, "metadata"), &metadata);
    r = r ? r : body_bool(c, in, "force", &force);
    r = r ? r : volume_get(c, str_or(volume_id, "None"), &v);
    if (r)
        return r;
    if (c->minor >= 66 && json_object_get(in, "force") && !force)
        return bad_body(c, "Invalid value 'False' for force: it is not accepted since microversion 3.66.");
    if (!str_eq(v->status, "available") && !(force && str_eq(v->status, "in-use")))
        return invalid(c, "Invalid volume: Volume %s status must be available, but current status is: %s.", v->head.id,
                       v->status);
    r = snapshot_create_one(c, v, name, description, &metadata, NULL, &s);
    return r ? r : render_one(c, s, false);
}
static int create(struct call *c)
{
    return call_write(c, create_write);
}

int volume_snapshot_make(struct call *c, const char *volume_id, const char *name, const char **ret_id,
                         struct fault *fault)
{
    struct volume *v;
    struct snapshot *s;
    int r = txn_get(c->txn, &VOLUME_KIND, volume_id, &v);
    if (r == 0 && !v)
        return fault_set(fault, 404, "VolumeNotFound", "Volume %s could not be found.", volume_id);
    r = r ? r : snapshot_create_one(c, v, name, "", NULL, NULL, &s);
    if (r == FAULT)
        *fault = c->fault;
    else if (r == 0)
        *ret_id = s->head.id;
    return r;
}

/* ---- change, delete ---- */

static int update_write(struct call *c)
{
    json_t *in;
    struct snapshot *s;
    int r = body_object(c, "snapshot", &in);
    r = r ? r : vsnapshot_get(c, call_param(c, "id"), &s);
    r = r ? r : take_name(c, in, &s->name, &s->description);
    r = r ? r : vsnapshot_put(c->txn, s);
    return r ? r : render_one(c, s, false);
}
static int update(struct call *c)
{
    return call_write(c, update_write);
}

static int delete_write(struct call *c)
{
    struct snapshot *s;
    int r = vsnapshot_get(c, call_param(c, "id"), &s);
    if (r || s->deleting)
        return r;
    if (!str_eq(s->status, "available") && !str_eq(s->status, "error") && !str_eq(s->status, "error_deleting"))
        return invalid(c, "Invalid snapshot: Snapshot status must be one of available or error, but is %s.", s->status);
    if (s->group_snapshot_id)
        return invalid(c, "Invalid snapshot: Snapshot belongs to group snapshot %s.", s->group_snapshot_id);
    return snapshot_begin_delete(c->txn, s);
}
static int delete_(struct call *c)
{
    return call_write(c, delete_write);
}

static int action_write(struct call *c)
{
    static const char *const STATES[] = { "available", "creating", "deleting", "error", "error_deleting", "backing-up",
                                          "restoring", "unmanaging" };
    const char *name = json_object_iter_key(json_object_iter(c->body)), *status;
    json_t *in = name ? json_object_get(c->body, name) : NULL;
    struct snapshot *s;
    int r = vsnapshot_get(c, call_param(c, "id"), &s);
    if (r)
        return r;
    bool update_status = str_eq(name, "os-update_snapshot_status");
    if (update_status && !str_eq(s->status, "creating") && !str_eq(s->status, "deleting"))
        return bad_body(c, "Snapshot status %s not allowed for os-update_snapshot_status", s->status);
    if (str_eq(name, "os-reset_status") || update_status) {
        r = update_status ? call_require(c, "volume:write", NULL) : call_require(c, "volume:admin", NULL);
        r = r ? r : body_text(c, in, "status", true, &status);
        if (r == 0 && update_status && json_object_get(in, "progress"))
            r = body_text(c, in, "progress", false, &s->progress);
        if (r)
            return r;
        for (size_t i = 0; i < ARRAY_SIZE(STATES); i++) {
            if (!STREQ(STATES[i], status))
                continue;
            s->status = status;
            return vsnapshot_put(c->txn, s);
        }
        return bad_body(c, "Invalid input for field/attribute status. Value: %s.", status);
    }
    if (str_eq(name, "os-force_delete")) {
        r = call_require(c, "volume:admin", NULL);
        return r ? r : snapshot_begin_delete(c->txn, s);
    }
    if (str_eq(name, "os-unmanage")) {
        struct unmanaged u = { .head.id = snapshot_name(s), .host = s->host, .volume_id = s->volume_id,
                               .size = s->size, .snapshot = true };
        r = call_require(c, "volume:admin", NULL);
        r = r ? r : txn_put(c->txn, &UNMANAGED_KIND, &u);
        return r ? r : txn_delete(c->txn, &VSNAPSHOT_KIND, s->head.id);
    }
    return bad_body(c, "There is no such action: %s", str_or(name, ""));
}
static int action(struct call *c)
{
    return call_write(c, action_write);
}

static const struct route ROUTES[] = {
    { "GET", P "/snapshots", snapshots_list, "volume:read", .doc = "Snapshots." },
    { "GET", P "/snapshots/detail", snapshots_detail, "volume:read", .doc = "With all members." },
    { "POST", P "/snapshots", create, "volume:write", .status = 202, .doc = "Makes a snapshot." },
    { "GET", P "/snapshots/{id}", show, "volume:read", .doc = "One snapshot." },
    { "PUT", P "/snapshots/{id}", update, "volume:write", .doc = "Changes name and description." },
    { "DELETE", P "/snapshots/{id}", delete_, "volume:write", .status = 202, .doc = "Deletes it." },
    { "POST", P "/snapshots/{id}/action", action, "volume:read", .status = 202, .doc = "Status, force, unmanage." },
};
VOLUME_PART(SNAPSHOTS_PART, ROUTES);
