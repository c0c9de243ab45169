/*
 * POST /volumes/{id}/action: what can be done to a volume, one function each.
 */
#include "volume/internal.h"

#include <errno.h>
#include <strings.h>

LOG_MODULE("volume.actions");

#define ACTION(name) static int name(struct call *c, struct volume *v, const json_t *in)

static bool is(const struct volume *v, const char *status)
{
    return str_eq(v->status, status);
}

/* ---- errands ---- */

int errand_begin(struct txn *t, const struct volume *v, const char *kind, const char *other, const char *format)
{
    struct errand *e = ARENA_NEW(txn_arena(t), struct errand);
    if (!e)
        return -ENOMEM;
    *e = (struct errand){ .head.id = uuid_new(txn_arena(t)), .kind = kind, .host = v->host, .volume_id = v->head.id,
                          .other_id = other, .format = format, .created_at = clock_wall() };
    return error_trace(txn_put(t, &ERRAND_KIND, e));
}

int errand_end(struct txn *t, struct errand *e, const struct volume_observed *o)
{
    bool good = str_eq(o->state, ITEM_READY);
    struct volume *v;
    int r = txn_get(t, &VOLUME_KIND, e->volume_id, &v);
    if (r == 0 && v) {
        v->status = good || STREQ(e->kind, ITEM_UPLOAD) ? "available" :
                    STREQ(e->kind, ITEM_RESTORE) ? "error_restoring" : "error";
        v->made = v->made || good;
        r = volume_settle(t, v);
        if (r == 0 && !good)
            r = message_add(t, v->project_id, NULL, "VOLUME", v->head.id,
                            STREQ(e->kind, ITEM_UPLOAD) ? "VOLUME_VOLUME_003_004" : "VOLUME_VOLUME_008_003",
                            str_or(o->fault_message, "The host failed."));
        r = r ? r : volume_put(t, v);
    }
    if (r == 0 && STREQ(e->kind, ITEM_RESTORE)) {
        struct backup *b;
        r = txn_get(t, &BACKUP_KIND, e->other_id, &b);
        if (r == 0 && b) {
            b->status = "available";
            r = backup_put(t, b);
        }
    }
    if (r == 0 && STREQ(e->kind, ITEM_REVERT)) {
        struct snapshot *s;
        r = txn_get(t, &VSNAPSHOT_KIND, e->other_id, &s);
        if (r == 0 && s) {
            s->status = "available";
            r = vsnapshot_put(t, s);
        }
    }
    if (r == 0 && STREQ(e->kind, ITEM_UPLOAD) && !good) {
        /* A report that got lost may have been about bytes that did arrive. */
        struct image_view *image;
        struct fault f = { 0 };
        r = image_get(t, NULL, true, e->other_id, &image, &f);
        if (r == FAULT)
            r = 0;
        else if (r == 0 && !str_eq(image->status, "active"))
            r = image_remove(t, e->other_id);
    }
    return r ? error_trace(r) : txn_delete(t, &ERRAND_KIND, e->head.id);
}

/* ---- size ---- */

ACTION(extend)
{
    int64_t size = 0;
    struct volume_type *type = NULL;
    int r = body_int(c, in, "new_size", true, 1, 0x7FFFFFFF, &size);
    if (r)
        return r;
    bool online = is(v, "in-use") && c->minor >= 42;
    if (!is(v, "available") && !online)
        return invalid(c, "Invalid volume: Volume %s status must be '%s' to extend, currently %s.", v->head.id,
                       c->minor >= 42 ? "available or in-use" : "available", v->status);
    if (size <= v->size)
        return invalid(c, "Invalid input received: New size for extend must be greater than current size. (current: %lld, "
                       "extended: %lld).", (long long)v->size, (long long)size);
    r = v->type_id ? txn_get(c->txn, &VOLUME_TYPE_KIND, v->type_id, &type) : 0;
    r = r ? r : quota_check(c, v->project_id, "volumes", 0, size - v->size, type);
    if (r)
        return r;
    v->size = size;
    v->generation++;
    v->previous_status = v->status;
    v->status = "extending";
    return volume_put(c->txn, v);
}

/* ---- attaching, the old way ---- */

ACTION(reserve)
{
    (void)in;
    bool taken = is(v, "in-use") && v->multiattach;
    if (!is(v, "available") && !taken)
        return invalid(c, "Invalid volume: Volume status must be available to reserve, but the current status is %s.",
                       v->status);
    v->previous_status = v->status;
    v->status = "attaching";
    return volume_put(c->txn, v);
}

ACTION(unreserve)
{
    (void)in;
    if (!is(v, "attaching"))
        return invalid(c, "Invalid volume: Volume status must be attaching to unreserve, but the current status is %s.",
                       v->status);
    v->status = "available";
    int r = volume_settle(c->txn, v);
    return r ? r : volume_put(c->txn, v);
}

ACTION(attach)
{
    const char *server, *host, *mountpoint, *mode;
    int r = body_text(c, in, "instance_uuid", false, &server);
    r = r ? r : body_text(c, in, "host_name", false, &host);
    r = r ? r : body_text(c, in, "mountpoint", false, &mountpoint);
    r = r ? r : body_text(c, in, "mode", false, &mode);
    if (r)
        return r;
    if (!server && !host)
        return bad_body(c, "Invalid request to attach volume to an invalid target");
    if (server && host)
        return bad_body(c, "Invalid request to attach volume to an instance %s and a host %s simultaneously", server,
                           host);
    if (mode && !STREQ(mode, "rw") && !STREQ(mode, "ro"))
        return bad_body(c, "Invalid request to attach volume with an invalid mode. Attaching mode should be 'rw' or "
                           "'ro'");
    if (!is(v, "available") && !is(v, "attaching") && !is(v, "reserved") && !(is(v, "in-use") && v->multiattach))
        return invalid(c, "Invalid volume: status must be available or attaching, but is %s.", v->status);
    if (v->read_only && mode && STREQ(mode, "rw"))
        return invalid(c, "Invalid attaching mode 'rw' for read-only volume %s.", v->head.id);
    struct attachment a = { .head.id = uuid_new(c->arena), .volume_id = v->head.id, .project_id = v->project_id,
                            .server_id = server, .host_name = host, .device = mountpoint, .status = "attached",
                            .mode = mode ? mode : "rw", .created_at = clock_wall(), .attached_at = clock_wall() };
    r = txn_put(c->txn, &ATTACHMENT_KIND, &a);
    v->status = "available";
    r = r ? r : volume_settle(c->txn, v);
    return r ? r : volume_put(c->txn, v);
}

ACTION(begin_detaching)
{
    (void)in;
    if (!is(v, "in-use"))
        return invalid(c, "Invalid volume: Unable to detach volume. Volume status must be 'in-use' and attach_status must "
                       "be 'attached' to detach.");
    v->status = "detaching";
    return volume_put(c->txn, v);
}

ACTION(roll_detaching)
{
    (void)in;
    if (!is(v, "detaching"))
        return 0;
    v->status = "in-use";
    return volume_put(c->txn, v);
}

static int detach_one(struct call *c, struct volume *v, const json_t *in, bool force)
{
    static const char *const GOOD[] = { "available", "attaching", "reserved", "in-use", "detaching" };
    const char *id;
    struct results l;
    bool good = force;
    for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++)
        good |= is(v, GOOD[i]);
    if (!good)              /* what is being made, given away or deleted isn't made available by this */
        return invalid(c, "Invalid volume: Unable to detach volume %s in status %s.", v->head.id, v->status);
    int r = body_text(c, in, "attachment_id", false, &id);
    r = r ? r : volume_attachments_list(c->txn, v->head.id, &l);
    if (r)
        return r;
    const struct attachment *a = NULL;
    for (size_t i = 0; i < l.n; i++)
        if (!id || STREQ(((struct attachment *)l.v[i])->head.id, id))
            a = l.v[i];
    if (!id && l.n > 1)
        return invalid(c, "Invalid volume: Detach volume failed: More than one attachment, but no attachment_id "
                       "provided.");
    if (a && a->compute && !force)
        return call_fault(c, 409, "ConflictNovaUsingAttachment", "Detach volume from instance %s using the Compute API",
                          a->server_id);
    if (!a && id)
        return call_fault(c, 404, "VolumeAttachmentNotFound", "Volume attachment could not be found with filter: "
                          "attachment_id = %s.", id);
    /* What a guest of ours has open stays its own, whoever forces. */
    if (a && a->compute)
        return invalid(c, "Invalid volume: server %s still has it.", a->server_id);
    r = a ? txn_delete(c->txn, &ATTACHMENT_KIND, a->head.id) : 0;
    v->status = "available";
    r = r ? r : volume_settle(c->txn, v);
    return r ? r : volume_put(c->txn, v);
}

ACTION(detach)
{
    return detach_one(c, v, in, false);
}

ACTION(force_detach)
{
    return detach_one(c, v, in, true);
}

/* The old talk of Nova: where the volume is. */
ACTION(connect)
{
    (void)in;
    if (!v->source)
        return invalid(c, "Invalid volume: it is not there yet.");
    json_open_object(&c->out);
    json_put_object(&c->out, "connection_info");
    json_put_string(&c->out, "driver_volume_type", str_or(v->source->driver, "file"));
    json_put_object(&c->out, "data");
    json_put_string(&c->out, "device_path", v->source->path);
    json_put_string(&c->out, "format", v->source->format);
    json_put_string(&c->out, "access_mode", v->read_only ? "ro" : "rw");
    json_put_bool(&c->out, "encrypted", v->encrypted);
    json_close_object(&c->out);
    json_close_object(&c->out);
    json_close_object(&c->out);
    c->status = 200;
    return 0;
}

ACTION(disconnect)
{
    (void)c;
    (void)v;
    (void)in;
    return 0;
}

/* ---- flags ---- */

ACTION(read_only)
{
    if (!json_object_get(in, "readonly"))
        return bad_body(c, "Must specify readonly in request.");
    int r = body_bool(c, in, "readonly", &v->read_only);
    if (r)
        return r;
    if (!is(v, "available"))
        return invalid(c, "Invalid volume: Volume %s status must be available to update readonly flag, but current status "
                       "is: %s.", v->head.id, v->status);
    v->read_only_said = true;
    return volume_put(c->txn, v);
}

ACTION(bootable)
{
    if (!json_object_get(in, "bootable"))
        return bad_body(c, "Must specify bootable in request.");
    int r = body_bool(c, in, "bootable", &v->bootable);
    c->status = 200;
    return r ? r : volume_put(c->txn, v);
}

/* ---- administrators ---- */

ACTION(reset_status)
{
    static const char *const STATES[] = { "creating", "available", "deleting", "error", "error_deleting", "attaching",
                                          "detaching", "in-use", "maintenance", "error_extending", "error_managing",
                                          "reserved" };
    const char *status, *migration;
    int r = body_text(c, in, "status", false, &status);
    r = r ? r : body_text(c, in, "migration_status", false, &migration);
    if (r)
        return r;
    bool good = false;
    for (size_t i = 0; i < ARRAY_SIZE(STATES); i++)
        good |= status && strcasecmp(STATES[i], status) == 0;
    if (!good && (status || (!migration && !json_object_get(in, "attach_status"))))
        return bad_body(c, "Must specify a valid status, attach_status or migration_status.");
    if (status) {
        v->status = status;
        if (v->deleting && !STREQ(status, "deleting"))
            v->deleting = false;
    }
    if (migration)
        v->migration_status = STREQ(migration, "none") ? NULL : migration;
    return volume_put(c->txn, v);
}

ACTION(force_delete)
{
    (void)in;
    struct results l;
    int r = volume_attachments_list(c->txn, v->head.id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        if (((struct attachment *)l.v[i])->compute)
            return invalid(c, "Invalid volume: server %s still has it.", ((struct attachment *)l.v[i])->server_id);
    return r ? r : volume_begin_delete(c->txn, v);
}

ACTION(unmanage)
{
    (void)in;
    struct results l;
    int r = list_by(c->txn, &VSNAPSHOT_KIND, "volume_id", v->head.id, &l);
    if (r)
        return r;
    if (!is(v, "available") || l.n)
        return invalid(c, "Invalid volume: Volume status must be available and it must not have snapshots.");
    struct unmanaged u = { .head.id = volume_name(v), .host = v->host, .backend = v->backend, .size = v->size };
    r = txn_put(c->txn, &UNMANAGED_KIND, &u);
    return r ? r : volume_remove(c->txn, v);
}

ACTION(migrate)
{
    const char *host;
    struct backend *b;
    int r = body_text(c, in, "host", c->minor < 16, &host);
    if (r)
        return r;
    if (!is(v, "available") && !is(v, "in-use"))
        return invalid(c, "Invalid volume: Volume %s status must be available or in-use.", v->head.id);
    const char *hash = host ? strchr(host, '#') : NULL;
    const char *id = host ? arena_strndup(c->arena, host, hash ? (size_t)(hash - host) : strlen(host)) : NULL;
    r = id ? txn_get(c->txn, &BACKEND_KIND, id, &b) : 0;
    if (r < 0)
        return r;
    if (!id || !b || !backend_up(b))
        return invalid(c, "Invalid input received: No available service named '%s'.", str_or(host, ""));
    if (str_eq(b->host, v->host))
        return invalid(c, "Invalid host: Destination host must be different than the current host.");
    return call_fault(c, 501, "NotImplemented", "Volumes of this backend can't move to another host.");
}

ACTION(retype)
{
    const char *name, *policy;
    struct volume_type *type;
    int r = body_text(c, in, "new_type", true, &name);
    r = r ? r : body_text(c, in, "migration_policy", false, &policy);
    r = r ? r : type_find(c, name, &type);
    if (r)
        return r;
    if (!type)
        return invalid(c, "Invalid input received: Volume type %s could not be found.", name);
    if (!is(v, "available") && !is(v, "in-use"))
        return invalid(c, "Invalid volume: Unable to retype: volume %s status must be available or in-use.", v->head.id);
    if (str_eq(v->type_id, type->head.id))
        return invalid(c, "Invalid volume: New volume_type same as original: %s.", type->name);
    if (type->encryption)
        return invalid(c, "Retype requires an encryption change, which this cloud can't.");
    const char *backend = strmap_get(&type->extra_specs, "volume_backend_name");
    if (backend && !str_eq(backend, v->backend)) {
        if (!str_eq(policy, "on-demand"))
            return invalid(c, "Invalid volume: The new type lies on another backend and migration_policy is never.");
        return call_fault(c, 501, "NotImplemented", "Volumes of this backend can't move to another one.");
    }
    const char *multi = strmap_get(&type->extra_specs, "multiattach");
    bool multiattach = multi && strcasecmp(multi, "<is> True") == 0;
    if (multiattach != v->multiattach && !is(v, "available"))
        return invalid(c, "Invalid volume: Multi-attach can't be changed while the volume is in use.");
    v->multiattach = multiattach;
    v->type_id = type->head.id;
    return volume_put(c->txn, v);
}

/* ---- contents ---- */

ACTION(upload)
{
    static const char *const FORMATS[] = { "raw", "qcow2", "vmdk", "vdi", "vhd" };
    const char *name, *disk_format, *container, *visibility = NULL;
    bool force = false, protected = false, good = false;
    struct volume_type *type = NULL;
    int r = body_text(c, in, "image_name", true, &name);
    r = r ? r : body_text(c, in, "disk_format", false, &disk_format);
    r = r ? r : body_text(c, in, "container_format", false, &container);
    r = r ? r : body_bool(c, in, "force", &force);
    if (r == 0 && c->minor >= 1) {
        r = body_text(c, in, "visibility", false, &visibility);
        r = r ? r : body_bool(c, in, "protected", &protected);
    }
    if (r)
        return r;
    if (visibility && STREQ(visibility, "public") && !call_is_admin(c))
        return call_fault(c, 403, "PolicyNotAuthorized", "Policy doesn't allow volume_extension:volume_actions:"
                          "upload_public to be performed.");
    for (size_t i = 0; i < ARRAY_SIZE(FORMATS); i++)
        good |= !disk_format || STREQ(FORMATS[i], disk_format);
    if (!good)
        return bad_body(c, "Invalid input for field/attribute disk_format. Value: %s.", disk_format);
    if (!is(v, "available") && !(is(v, "in-use") && force))
        return invalid(c, "Invalid volume: Volume %s status must be available or in-use with force, but is %s.",
                       v->head.id, v->status);
    const char *image_id;
    struct strmap properties = { 0 };
    VEC_FOREACH(p, &v->image_metadata)
        if (str_starts(p->key, "hw_") || str_starts(p->key, "os_"))
            strmap_set(c->arena, &properties, p->key, p->value);
    struct image_new n = { .name = name, .owner = c->auth->project_id, .disk_format = str_or(disk_format, "raw"),
                           .container_format = str_or(container, "bare"), .visibility = visibility,
                           .from_host = v->host, .properties = &properties };
    (void)protected;
    r = image_create(c->txn, &n, &image_id, &c->fault);
    r = r ? r : errand_begin(c->txn, v, ITEM_UPLOAD, image_id, n.disk_format);
    if (r == 0 && v->type_id)
        r = txn_get(c->txn, &VOLUME_TYPE_KIND, v->type_id, &type);
    if (r)
        return r;
    v->previous_status = v->status;
    v->status = "uploading";
    r = volume_put(c->txn, v);
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_object(o, "os-volume_upload_image");
    json_put_string(o, "id", v->head.id);
    put_time(c, o, "updated_at", v->updated_at);
    json_put_string(o, "status", "uploading");
    json_put_string(o, "display_description", v->description);
    json_put_int(o, "size", v->size);
    json_key(o, "volume_type");
    if (type) {
        json_open_object(o);
        json_put_string(o, "id", type->head.id);
        json_put_string(o, "name", type->name);
        json_put_string(o, "description", type->description);
        json_put_bool(o, "is_public", type->is_public);
        json_put_map(o, "extra_specs", &type->extra_specs);
        json_put_string(o, "qos_specs_id", type->qos_id);
        put_time(c, o, "created_at", type->created_at);
        put_time(c, o, "updated_at", type->updated_at);
        json_put_null(o, "deleted_at");
        json_put_bool(o, "deleted", false);
        json_close_object(o);
    } else {
        json_null_out(o);
    }
    json_put_string(o, "image_id", image_id);
    json_put_string(o, "container_format", n.container_format);
    json_put_string(o, "disk_format", n.disk_format);
    json_put_string(o, "image_name", name);
    if (c->minor >= 1) {
        json_put_bool(o, "protected", protected);
        json_put_string(o, "visibility", str_or(visibility, "private"));
    }
    json_close_object(o);
    json_close_object(o);
    return r;
}

ACTION(revert)
{
    const char *id;
    struct snapshot *s;
    struct results l;
    int r = body_text(c, in, "snapshot_id", true, &id);
    r = r ? r : vsnapshot_get(c, id, &s);
    r = r ? r : list_by(c->txn, &VSNAPSHOT_KIND, "volume_id", v->head.id, &l);
    if (r)
        return r;
    if (!str_eq(s->volume_id, v->head.id))
        return invalid(c, "Invalid snapshot: Snapshot %s is not of this volume.", id);
    for (size_t i = 0; i < l.n; i++)
        if (((struct snapshot *)l.v[i])->created_at > s->created_at)
            return invalid(c, "Invalid snapshot: Specified snapshot %s is not the latest snapshot of volume %s.", id,
                           v->head.id);
    if (v->size != s->size)
        return invalid(c, "Invalid volume: Can't revert volume %s to its latest snapshot %s. The volume was extended.",
                       v->head.id, id);
    if (!is(v, "available"))
        return invalid(c, "Invalid volume: Can't revert volume %s to its latest snapshot. Volume must be available.",
                       v->head.id);
    if (!str_eq(s->status, "available"))
        return invalid(c, "Invalid snapshot: Snapshot %s must be available.", id);
    v->status = "reverting";
    s->status = "restoring";
    r = errand_begin(c->txn, v, ITEM_REVERT, s->head.id, NULL);
    r = r ? r : vsnapshot_put(c->txn, s);
    return r ? r : volume_put(c->txn, v);
}

/* ---- image metadata ---- */

static int answer_metadata(struct call *c, const struct strmap *m)
{
    json_open_object(&c->out);
    json_put_map(&c->out, "metadata", m);
    json_close_object(&c->out);
    c->status = 200;
    return 0;
}

ACTION(image_metadata_set)
{
    struct strmap m = { 0 };
    int r = json_is_object(json_object_get(in, "metadata")) ? take_metadata(c, json_object_get(in, "metadata"), &m) :
            bad_body(c, "'metadata' is a required property");
    VEC_FOREACH(p, &m)
        if (!strmap_set(c->arena, &v->image_metadata, p->key, p->value))
            return -ENOMEM;
    r = r ? r : volume_put(c->txn, v);
    return r ? r : answer_metadata(c, &v->image_metadata);
}

ACTION(image_metadata_show)
{
    (void)in;
    return answer_metadata(c, &v->image_metadata);
}

ACTION(image_metadata_unset)
{
    const char *key;
    int r = body_text(c, in, "key", true, &key);
    c->status = 200;
    if (r)
        return r;
    if (!strmap_drop(&v->image_metadata, key))
        return call_fault(c, 404, "GlanceMetadataNotFound", "Glance metadata for volume/snapshot %s cannot be found.",
                          v->head.id);
    return volume_put(c->txn, v);
}

/* ---- the table ---- */

static const struct {
    const char *name;
    int (*fn)(struct call *c, struct volume *v, const json_t *in);
    bool admin;
    int since;
} ACTIONS[] = {
    { "os-extend", extend, false, 0 },
    { "os-reserve", reserve, false, 0 },
    { "os-unreserve", unreserve, false, 0 },
    { "os-attach", attach, false, 0 },
    { "os-detach", detach, false, 0 },
    { "os-begin_detaching", begin_detaching, false, 0 },
    { "os-roll_detaching", roll_detaching, false, 0 },
    { "os-initialize_connection", connect, true, 0 },
    { "os-terminate_connection", disconnect, true, 0 },
    { "os-update_readonly_flag", read_only, false, 0 },
    { "os-set_bootable", bootable, false, 0 },
    { "os-reset_status", reset_status, true, 0 },
    { "os-force_delete", force_delete, true, 0 },
    { "os-force_detach", force_detach, true, 0 },
    { "os-unmanage", unmanage, true, 0 },
    { "os-migrate_volume", migrate, true, 0 },
    { "os-retype", retype, false, 0 },
    { "os-volume_upload_image", upload, false, 0 },
    { "revert", revert, false, 40 },
    { "os-set_image_metadata", image_metadata_set, false, 0 },
    { "os-show_image_metadata", image_metadata_show, false, 0 },
    { "os-unset_image_metadata", image_metadata_unset, false, 0 },
};

static int action_write(struct call *c)
{
    const char *name = json_object_iter_key(json_object_iter(c->body));
    struct volume *v;
    for (size_t i = 0; i < ARRAY_SIZE(ACTIONS); i++) {
        if (!str_eq(name, ACTIONS[i].name) || c->minor < ACTIONS[i].since)
            continue;
        const json_t *in = json_object_get(c->body, name);
        if (!json_is_object(in) && !json_is_null(in))
            return bad_body(c, "Invalid input for field/attribute %s.", name);
        int r = ACTIONS[i].admin ? call_require(c, "volume:admin", NULL) : 0;
        r = r ? r : volume_get(c, call_param(c, "id"), &v);
        return r ? r : ACTIONS[i].fn(c, v, in);
    }
    return bad_body(c, "There is no such action: %s", str_or(name, ""));
}

static int action(struct call *c)
{
    return call_write(c, action_write);
}

static const struct route ROUTES[] = {
    { "POST", P "/volumes/{id}/action", action, "volume:write", .status = 202, .doc = "Does something to a volume." },
};
VOLUME_PART(VOLUME_ACTIONS_PART, ROUTES);
