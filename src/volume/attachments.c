/*
 * Attachments: the one record of who has which volume, begun and ended by compute through the
 * functions of volume.h, or by anybody through the attachments API (3.27) and the older actions.
 */
#include "volume/internal.h"

#include <errno.h>
#include <stdio.h>

LOG_MODULE("volume.attachments");

static int find(struct txn *t, const char *server_id, const char *volume_id, struct attachment **ret)
{
    struct query q = { .kind = &ATTACHMENT_KIND };
    query_where(&q, txn_arena(t), "volume_id", Q_EQ, volume_id);
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    return txn_find(t, &q, ret);
}

static int settle(struct txn *t, struct volume *v)
{
    int r = volume_settle(t, v);
    return r ? r : volume_put(t, v);
}

static int settle_id(struct txn *t, const char *volume_id)
{
    struct volume *v;
    int r = txn_get(t, &VOLUME_KIND, volume_id, &v);
    return r < 0 || !v ? r : settle(t, v);
}

/* ---- for compute ---- */

int volume_attach_begin(struct txn *t, const struct attach_wish *w, const char **ret_id, struct fault *fault)
{
    struct volume *v;
    struct attachment *old;
    int r = txn_get(t, &VOLUME_KIND, w->volume_id, &v);
    if (r < 0)
        return r;
    if (!v || (!w->admin && !str_eq(v->project_id, w->project_id)))
        return fault_set(fault, 404, "VolumeNotFound", "Volume %s could not be found.", w->volume_id);
    bool taken = str_eq(v->status, "in-use") || str_eq(v->status, "attaching") || str_eq(v->status, "reserved");
    bool making = w->new_volume && (str_eq(v->status, "creating") || str_eq(v->status, "downloading"));
    r = find(t, w->server_id, v->head.id, &old);
    if (r < 0)
        return r;
    if (old)
        return fault_set(fault, 400, "InvalidVolume", "Invalid volume: volume %s already attached to instance %s",
                         v->head.id, w->server_id);
    if (!str_eq(v->status, "available") && !making && !(taken && v->multiattach))
        return fault_set(fault, 400, "InvalidVolume", "Invalid volume: volume %s status must be available or in-use for "
                         "multi-attach. Currently in '%s'", v->head.id, v->status);
    if (!str_empty(w->host) && !v->shared && !str_eq(v->host, w->host))
        return fault_set(fault, 400, "InvalidVolume", "Invalid volume: volume %s lies on a host that the server %s is "
                         "not on.", v->head.id, w->server_id);
    struct attachment *a = ARENA_NEW(txn_arena(t), struct attachment);
    if (!a)
        return -ENOMEM;
    *a = (struct attachment){ .head.id = uuid_new(txn_arena(t)), .volume_id = v->head.id, .project_id = v->project_id,
                              .server_id = w->server_id, .host = w->host, .device = w->device,
                              .status = w->boot ? "reserved" : "attaching", .mode = v->read_only ? "ro" : "rw",
                              .compute = true, .created_at = clock_wall() };
    r = txn_put(t, &ATTACHMENT_KIND, a);
    *ret_id = a->head.id;
    return r ? r : settle(t, v);
}

int volume_attached(struct txn *t, const char *server_id, const char *volume_id, const char *host, const char *device,
                    bool *ret_changed)
{
    struct attachment *a;
    int r = find(t, server_id, volume_id, &a);
    *ret_changed = false;
    if (r < 0 || !a || (!str_eq(a->status, "attaching") && !str_eq(a->status, "reserved")))
        return r;
    *ret_changed = true;
    a->status = "attached";
    a->host = host;
    a->attached_at = clock_wall();
    if (str_empty(a->device) && device)
        a->device = arena_printf(txn_arena(t), "/dev/%s", device);
    r = txn_put(t, &ATTACHMENT_KIND, a);
    return r ? r : settle_id(t, volume_id);
}

int volume_detach_begin(struct txn *t, const char *server_id, const char *volume_id, struct fault *fault)
{
    struct attachment *a;
    int r = find(t, server_id, volume_id, &a);
    if (r < 0)
        return r;
    if (!a)
        return fault_set(fault, 404, "VolumeBDMNotFound", "volume_id not found: %s", volume_id);
    if (!str_eq(a->status, "attached"))
        return fault_set(fault, 400, "InvalidVolume", "Invalid volume: Invalid input received: Invalid volume: Unable to "
                         "detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach.");
    a->status = "detaching";
    r = txn_put(t, &ATTACHMENT_KIND, a);
    return r ? r : settle_id(t, volume_id);
}

int volume_detached(struct txn *t, const char *server_id, const char *volume_id, bool remove)
{
    struct attachment *a;
    struct volume *v;
    int r = find(t, server_id, volume_id, &a);
    if (r == 0 && a)
        r = txn_delete(t, &ATTACHMENT_KIND, a->head.id);
    r = r ? r : txn_get(t, &VOLUME_KIND, volume_id, &v);
    if (r < 0 || !v || v->deleting)
        return r;
    r = settle(t, v);
    uint64_t others = 0;
    r = r ? r : count_by(t, &ATTACHMENT_KIND, "volume_id", volume_id, &others);
    return r || !remove || others ? r : volume_begin_delete(t, v);
}

int volume_server_moved(struct txn *t, const char *server_id, const char *host)
{
    struct results l;
    int r = list_by(t, &ATTACHMENT_KIND, "server_id", server_id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct attachment *a = l.v[i];
        if (!a->compute || str_eq(str_or(a->host, ""), str_or(host, "")))
            continue;
        a->host = host;
        r = txn_put(t, &ATTACHMENT_KIND, a);
    }
    return r;
}

int volume_server_place(struct txn *t, const char *server_id, const char **ret_host)
{
    struct results l;
    *ret_host = NULL;
    int r = list_by(t, &ATTACHMENT_KIND, "server_id", server_id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct attachment *a = l.v[i];
        struct volume *v;
        if (!a->compute)
            continue;           /* anybody can say so of any server */
        r = txn_get(t, &VOLUME_KIND, a->volume_id, &v);
        if (r == 0 && v && !v->shared && v->host)
            *ret_host = v->host;
    }
    return r;
}

int volume_attachments_of(struct txn *t, const char *server_id, struct attachment_views *ret)
{
    struct query q = { .kind = &ATTACHMENT_KIND };
    struct results l;
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    query_sort(&q, txn_arena(t), "created_at", false);
    int r = txn_list(t, &q, &l);
    *ret = (struct attachment_views){ 0 };
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct attachment *a = l.v[i];
        struct volume *v;
        if (!a->compute)
            continue;
        r = txn_get(t, &VOLUME_KIND, a->volume_id, &v);
        if (r < 0 || !v)
            continue;
        struct attachment_view *w = vec_add(txn_arena(t), ret);
        if (!w)
            return -ENOMEM;
        bool making = !v->made;
        *w = (struct attachment_view){ a->head.id, v->head.id, a->server_id, a->host, a->device, a->status, v->status,
                                       str_eq(a->mode, "ro"), v->multiattach, v->size, making ? NULL : v->source, NULL };
        if (v->type_id)
            r = qos_of_type(t, v->type_id, &w->qos);
    }
    return r;
}

/* ---- the attachments API ---- */

static void render(struct call *c, struct json_out *o, const struct attachment *a, bool full)
{
    json_open_object(o);
    json_put_string(o, "id", a->head.id);
    json_put_string(o, "volume_id", a->volume_id);
    json_put_string(o, "instance", a->server_id);
    json_put_string(o, "status", a->status);
    if (full) {
        json_put_string(o, "attach_mode", a->mode);
        put_time(c, o, "attached_at", a->attached_at);
        json_put_null(o, "detached_at");
        if (a->connector) {
            struct volume *v;
            json_put_object(o, "connection_info");
            if (txn_get(c->txn, &VOLUME_KIND, a->volume_id, &v) == 0 && v && v->source) {
                json_put_string(o, "driver_volume_type", str_or(v->source->driver, "file"));
                json_put_string(o, "device_path", v->source->path);
                json_put_string(o, "format", v->source->format);
                json_put_string(o, "access_mode", a->mode);
                json_put_bool(o, "encrypted", v->encrypted);
            }
            json_put_string(o, "attachment_id", a->head.id);
            json_close_object(o);
        } else {
            json_put_object(o, "connection_info");
            json_close_object(o);
        }
    }
    json_close_object(o);
}

static bool visible(struct call *c, const void *object)
{
    return own_visible(c, ((const struct attachment *)object)->project_id);
}
static int filter(struct call *c, struct query *q, const char *name, const char *value)
{
    static const char *const OURS[] = { "all_tenants", "project_id", "offset", "with_count", "host" };
    for (size_t i = 0; i < ARRAY_SIZE(OURS); i++)
        if (STREQ(name, OURS[i]))
            return 0;
    if (STREQ(name, "instance_id"))
        return query_where(q, c->arena, "server_id", Q_EQ, value) ? 0 : -ENOMEM;
    return 1;
}
static const struct resource ATTACHMENTS = {
    .one = "attachment", .many = "attachments", .kind = &ATTACHMENT_KIND, .title = "Attachment",
    .scope = own_scope, .visible = visible, .filter = filter,
};

static int get(struct call *c, struct attachment **ret)
{
    const char *id = call_param(c, "id");
    struct attachment *a;
    int r = txn_get(c->txn, &ATTACHMENT_KIND, id, &a);
    if (r == 0 && (!a || !visible(c, a)))
        return call_fault(c, 404, "VolumeAttachmentNotFound", "Volume attachment could not be found with filter: "
                          "attachment_id = %s.", id);
    *ret = r == 0 ? a : NULL;
    return r;
}

static int list(struct call *c, bool full)
{
    struct results l = { 0 };
    int r = list_objects(c, &ATTACHMENTS, full, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "attachments");
    for (size_t i = 0; i < l.n; i++)
        render(c, &c->out, l.v[i], full);
    json_close_array(&c->out);
    c->service->list_style->links(c, &ATTACHMENTS, &l, NULL, &c->out);
    json_close_object(&c->out);
    return 0;
}
static int attachments_list(struct call *c)
{
    return list(c, false);
}
static int attachments_detail(struct call *c)
{
    return list(c, true);
}

static int render_one(struct call *c, const struct attachment *a)
{
    json_open_object(&c->out);
    json_key(&c->out, "attachment");
    render(c, &c->out, a, true);
    json_close_object(&c->out);
    return 0;
}

static int show(struct call *c)
{
    struct attachment *a;
    int r = call_read(c);
    r = r ? r : get(c, &a);
    return r ? r : render_one(c, a);
}

static int create_write(struct call *c)
{
    json_t *in;
    const char *volume_id, *server_id, *mode = NULL;
    struct volume *v;
    int r = body_object(c, "attachment", &in);
    r = r ? r : body_text(c, in, "volume_uuid", true, &volume_id);
    r = r ? r : body_text(c, in, "instance_uuid", false, &server_id);
    if (r == 0 && c->minor >= 54)
        r = body_text(c, in, "mode", false, &mode);
    r = r ? r : volume_get(c, volume_id, &v);
    if (r)
        return r;
    bool taken = str_eq(v->status, "in-use") || str_eq(v->status, "attaching") || str_eq(v->status, "reserved");
    if (!str_eq(v->status, "available") && !(taken && v->multiattach))
        return invalid(c, "Invalid volume: Volume %s status must be available or downloading to reserve, but the current "
                       "status is %s.", v->head.id, v->status);
    const json_t *connector = json_object_get(in, "connector");
    bool connected = json_is_object(connector) && json_object_size(connector);
    struct attachment *a = ARENA_NEW(c->arena, struct attachment);
    if (!a)
        return -ENOMEM;
    *a = (struct attachment){ .head.id = uuid_new(c->arena), .volume_id = v->head.id, .project_id = v->project_id,
                              .server_id = server_id, .status = connected ? "attaching" : "reserved",
                              .mode = mode ? mode : v->read_only ? "ro" : "rw", .created_at = clock_wall(),
                              .connector = connected ? json_text(c->arena, connector) : NULL,
                              .host_name = connected ? arena_strdup(c->arena, json_get_string(connector, "host")) : NULL };
    r = txn_put(c->txn, &ATTACHMENT_KIND, a);
    r = r ? r : settle(c->txn, v);
    return r ? r : render_one(c, a);
}
static int create(struct call *c)
{
    return call_write(c, create_write);
}

static int update_write(struct call *c)
{
    json_t *in;
    struct attachment *a;
    int r = body_object(c, "attachment", &in);
    r = r ? r : get(c, &a);
    if (r)
        return r;
    const json_t *connector = json_object_get(in, "connector");
    if (!json_is_object(connector) || !json_object_size(connector))
        return bad_body(c, "'connector' is a required property");
    if (a->compute)
        return call_fault(c, 409, "Conflict", "The attachment is a server's.");
    a->connector = json_text(c->arena, connector);
    a->host_name = arena_strdup(c->arena, json_get_string(connector, "host"));
    a->device = arena_strdup(c->arena, json_get_string(connector, "mountpoint"));
    a->status = "attaching";
    r = txn_put(c->txn, &ATTACHMENT_KIND, a);
    r = r ? r : settle_id(c->txn, a->volume_id);
    return r ? r : render_one(c, a);
}
static int update(struct call *c)
{
    return call_write(c, update_write);
}

static int complete_write(struct call *c)
{
    struct attachment *a;
    int r = get(c, &a);
    if (r)
        return r;
    if (str_eq(a->status, "attached"))
        return 0;
    if (!str_eq(a->status, "attaching") || a->compute)
        return invalid(c, "Invalid volume: Attachment %s is not in the state attaching.", a->head.id);
    a->status = "attached";
    a->attached_at = clock_wall();
    r = txn_put(c->txn, &ATTACHMENT_KIND, a);
    return r ? r : settle_id(c->txn, a->volume_id);
}
static int complete(struct call *c)
{
    return call_write(c, complete_write);
}

static int delete_write(struct call *c)
{
    struct attachment *a;
    struct results l;
    int r = get(c, &a);
    if (r)
        return r;
    /* A server's is ended through the server: the guest still has the disk. */
    if (a->compute)
        return call_fault(c, 409, "ConflictNovaUsingAttachment", "Detach volume from instance %s using the Compute API",
                          a->server_id);
    r = txn_delete(c->txn, &ATTACHMENT_KIND, a->head.id);
    r = r ? r : settle_id(c->txn, a->volume_id);
    r = r ? r : volume_attachments_list(c->txn, a->volume_id, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "attachments");
    for (size_t i = 0; i < l.n; i++)
        render(c, &c->out, l.v[i], false);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}
static int delete_(struct call *c)
{
    return call_write(c, delete_write);
}

static const struct route ROUTES[] = {
    { "GET", P "/attachments", attachments_list, "volume:read", .since = 27, .doc = "Attachments." },
    { "GET", P "/attachments/detail", attachments_detail, "volume:read", .since = 27, .doc = "With all members." },
    { "POST", P "/attachments", create, "volume:write", .since = 27, .doc = "Reserves a volume." },
    { "GET", P "/attachments/{id}", show, "volume:read", .since = 27, .doc = "One attachment." },
    { "PUT", P "/attachments/{id}", update, "volume:write", .since = 27, .doc = "Says who connects." },
    { "POST", P "/attachments/{id}/action", complete, "volume:write", .since = 44, .status = 204,
      .doc = "os-complete: it is connected." },
    { "DELETE", P "/attachments/{id}", delete_, "volume:write", .since = 27, .doc = "Ends it." },
};
VOLUME_PART(ATTACHMENTS_PART, ROUTES);
