/*
 * Volumes: create, list, show, change, delete.
 *
 * A create writes the volume with its backend chosen; the backend's host makes it and reports. Where
 * no backend fits, the volume is there in status error with a message that says why, as in Cinder.
 * A volume may be made of an origin that is in the making itself: its host does one after the other.
 */
#include "volume/internal.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

LOG_MODULE("volume.volumes");

/* ---- finding and counting ---- */

int volume_get(struct call *c, const char *id, struct volume **ret)
{
    struct volume *v;
    int r = project_check(c);
    r = r ? r : txn_get(c->txn, &VOLUME_KIND, id, &v);
    if (r)
        return r;
    if (!v || !own_visible(c, v->project_id))
        return call_fault(c, 404, "VolumeNotFound", "Volume %s could not be found.", id);
    *ret = v;
    return 0;
}

int volume_put(struct txn *t, struct volume *v)
{
    v->updated_at = clock_wall();
    return error_trace(txn_put(t, &VOLUME_KIND, v));
}

int list_by(struct txn *t, const struct kind *k, const char *field, const char *value, struct results *ret)
{
    struct query q = { .kind = k };
    query_where(&q, txn_arena(t), field, Q_EQ, value);
    return txn_list(t, &q, ret);
}

int count_by(struct txn *t, const struct kind *k, const char *field, const char *value, uint64_t *ret)
{
    struct query q = { .kind = k };
    query_where(&q, txn_arena(t), field, Q_EQ, value);
    return txn_count(t, &q, ret);
}

int volume_attachments_list(struct txn *t, const char *volume_id, struct results *ret)
{
    struct query q = { .kind = &ATTACHMENT_KIND };
    query_where(&q, txn_arena(t), "volume_id", Q_EQ, volume_id);
    query_sort(&q, txn_arena(t), "created_at", false);
    return txn_list(t, &q, ret);
}

int volume_settle(struct txn *t, struct volume *v)
{
    struct results l;
    int r = volume_attachments_list(t, v->head.id, &l);
    if (r < 0)
        return r;
    const char *status = "available";
    static const char *const RANK[] = { "available", "reserved", "attaching", "detaching", "in-use" };
    size_t best = 0;
    for (size_t i = 0; i < l.n; i++) {
        const char *s = ((struct attachment *)l.v[i])->status;
        size_t rank = str_eq(s, "attached") ? 4 : str_eq(s, "detaching") ? 3 : str_eq(s, "attaching") ? 2 :
                      str_eq(s, "reserved") ? 1 : 0;
        best = MAX(best, rank);
    }
    status = RANK[best];
    /* What happens to the volume itself goes on. */
    static const char *const HELD[] = { "creating", "downloading", "deleting", "extending", "error", "reverting",
                                        "restoring-backup", "uploading", "backing-up", "awaiting-transfer", "maintenance",
                                        "error_extending", "error_restoring", "error_deleting" };
    for (size_t i = 0; i < ARRAY_SIZE(HELD); i++) {
        if (!str_eq(v->status, HELD[i]))
            continue;
        v->previous_status = status;
        return 0;
    }
    v->status = status;
    return 0;
}

/* ---- going ---- */

int volume_remove(struct txn *t, struct volume *v)
{
    struct results l;
    int r = volume_attachments_list(t, v->head.id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = txn_delete(t, &ATTACHMENT_KIND, ((struct object *)l.v[i])->id);
    r = r ? r : list_by(t, &TRANSFER_KIND, "volume_id", v->head.id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = txn_delete(t, &TRANSFER_KIND, ((struct object *)l.v[i])->id);
    r = r ? r : list_by(t, &ERRAND_KIND, "volume_id", v->head.id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = txn_delete(t, &ERRAND_KIND, ((struct object *)l.v[i])->id);
    return r ? error_trace(r) : txn_delete(t, &VOLUME_KIND, v->head.id);
}

int volume_begin_delete(struct txn *t, struct volume *v)
{
    if (str_empty(v->host))
        return volume_remove(t, v);
    v->deleting = true;
    v->status = "deleting";
    v->generation++;
    return volume_put(t, v);
}

/* ---- rendering ---- */

static void put_attachments(struct call *c, struct json_out *o, const struct results *l)
{
    json_put_array(o, "attachments");
    for (size_t i = 0; i < l->n; i++) {
        const struct attachment *a = l->v[i];
        if (!str_eq(a->status, "attached") && !str_eq(a->status, "detaching"))
            continue;
        json_open_object(o);
        json_put_string(o, "id", a->volume_id);
        json_put_string(o, "attachment_id", a->head.id);
        json_put_string(o, "volume_id", a->volume_id);
        json_put_string(o, "server_id", a->server_id);
        json_put_string(o, "host_name", call_is_admin(c) ? (a->host_name ? a->host_name : a->host) : NULL);
        json_put_string(o, "device", a->device);
        put_time(c, o, "attached_at", a->attached_at);
        json_close_object(o);
    }
    json_close_array(o);
}

void volume_render(struct call *c, struct json_out *o, const struct volume *v, bool create)
{
    struct results l = { 0 };
    struct volume_type *type = NULL;
    bool admin = call_is_admin(c);
    int r = volume_attachments_list(c->txn, v->head.id, &l);
    if (r == 0 && v->type_id)
        r = txn_get(c->txn, &VOLUME_TYPE_KIND, v->type_id, &type);
    if (r < 0)
        arena_fail(c->arena);
    json_open_object(o);
    json_put_string(o, "id", v->head.id);
    json_put_string(o, "name", v->name);
    json_put_string(o, "description", v->description);
    json_put_int(o, "size", v->size);
    json_put_string(o, "status", v->status);
    json_put_string(o, "availability_zone", v->availability_zone);
    json_put_string(o, "user_id", v->user_id);
    json_put_string(o, "volume_type", type ? type->name : NULL);
    if (c->minor >= 63)
        json_put_string(o, "volume_type_id", v->type_id);
    json_put_string(o, "snapshot_id", v->snapshot_id);
    json_put_string(o, "source_volid", v->source_volid);
    json_put_string(o, "bootable", v->bootable ? "true" : "false");
    json_put_bool(o, "encrypted", v->encrypted);
    json_put_bool(o, "multiattach", v->multiattach);
    json_put_null(o, "replication_status");
    json_put_null(o, "consistencygroup_id");
    json_put_string(o, "migration_status", admin ? v->migration_status : NULL);
    put_time(c, o, "created_at", v->created_at);
    put_time(c, o, "updated_at", v->updated_at > v->created_at ? v->updated_at : 0);
    json_put_object(o, "metadata");
    VEC_FOREACH(p, &v->metadata)
        json_put_string(o, p->key, p->value);
    if (!create && v->read_only_said)
        json_put_string(o, "readonly", v->read_only ? "True" : "False");
    json_close_object(o);
    if (!create) {
        if (admin)
            json_put_string(o, "os-vol-host-attr:host",
                            v->host ? arena_printf(c->arena, "%s@%s#%s", v->host, v->backend, v->backend) : NULL);
        json_put_string(o, "os-vol-tenant-attr:tenant_id", v->project_id);
        if (admin) {
            json_put_string(o, "os-vol-mig-status-attr:migstat", v->migration_status);
            json_put_string(o, "os-vol-mig-status-attr:name_id", v->name_id);
        }
        if (v->image_metadata.n)
            json_put_map(o, "volume_image_metadata", &v->image_metadata);
    }
    if (c->minor >= 13)
        json_put_string(o, "group_id", v->group_id);
    if (c->minor >= 21 && admin)
        json_put_string(o, "provider_id", v->provider_id);
    if (c->minor >= 48) {
        json_put_null(o, "service_uuid");
        json_put_bool(o, "shared_targets", false);
    }
    if (c->minor >= 61 && admin)
        json_put_null(o, "cluster_name");
    if (c->minor >= 65)
        json_put_bool(o, "consumes_quota", true);
    put_attachments(c, o, &l);
    volume_links(c, "volumes", v->head.id, o);
    json_close_object(o);
}

static int render_one(struct call *c, const struct volume *v, bool create)
{
    json_open_object(&c->out);
    json_key(&c->out, "volume");
    volume_render(c, &c->out, v, create);
    json_close_object(&c->out);
    return 0;
}

/* ---- lists ---- */

/* "{'a': 'b'}" or JSON, as clients spell a map in a query. */
static int filter_metadata(struct call *c, struct query *q, const char *value)
{
    char *text = arena_strdup(c->arena, value), error[100];
    for (char *p = text; p && *p; p++)
        *p = *p == '\'' ? '"' : *p;
    _cleanup_(json_decrefp) json_t *map = text ? json_parse(text, strlen(text), error, sizeof(error)) : NULL;
    const char *key;
    json_t *v;
    if (!json_is_object(map))
        return bad_body(c, "Invalid filter: metadata=%s", value);
    json_object_foreach(map, key, v)
        if (!query_where(q, c->arena, "metadata", Q_KEY,
                         arena_printf(c->arena, "%s=%s", key, str_or(json_string_value(v), ""))))
            return -ENOMEM;
    return 0;
}

static int filter(struct call *c, struct query *q, const char *name, const char *value)
{
    static const char *const OURS[] = { "all_tenants", "project_id", "offset", "with_count", "tenant_id", "host",
                                        "updated_at" };
    for (size_t i = 0; i < ARRAY_SIZE(OURS); i++)
        if (STREQ(name, OURS[i]))
            return STREQ(name, "host") && call_is_admin(c) ? 1 : 0;
    if (STREQ(name, "metadata"))
        return filter_metadata(c, q, value);
    if (STREQ(name, "display_name"))
        return query_where(q, c->arena, "name", Q_EQ, value) ? 0 : -ENOMEM;
    size_t n = strlen(name);
    if (n > 1 && name[n - 1] == '~' && c->minor >= 34) {
        const struct field *f = schema_field(q->kind->schema, arena_strndup(c->arena, name, n - 1));
        if (f && (f->flags & FILTER))
            return query_where(q, c->arena, f->name, Q_CONTAINS, value) ? 0 : -ENOMEM;
    }
    return 1;
}

static bool visible(struct call *c, const void *object)
{
    return own_visible(c, ((const struct volume *)object)->project_id);
}

static const struct resource VOLUMES = {
    .one = "volume", .many = "volumes", .kind = &VOLUME_KIND, .title = "Volume", .not_found = "VolumeNotFound",
    .scope = own_scope, .visible = visible, .filter = filter,
};

static int list(struct call *c, bool detail)
{
    struct results l = { 0 };
    int r = list_objects(c, &VOLUMES, detail, &l);
    if (r)
        return r;
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_array(o, "volumes");
    for (size_t i = 0; i < l.n; i++) {
        const struct volume *v = l.v[i];
        if (detail) {
            volume_render(c, o, v, false);
            continue;
        }
        json_open_object(o);
        json_put_string(o, "id", v->head.id);
        json_put_string(o, "name", v->name);
        volume_links(c, "volumes", v->head.id, o);
        json_close_object(o);
    }
    json_close_array(o);
    c->service->list_style->links(c, &VOLUMES, &l, NULL, o);
    if (c->minor >= 45 && call_arg_bool(c, "with_count", false)) {
        struct query q = { 0 };
        uint64_t n = 0;
        r = resource_query(c, &VOLUMES, &q);
        q.marker = NULL;
        q.limit = 0;
        r = r ? r : txn_count(c->txn, &q, &n);
        json_put_int(o, "count", (int64_t)n);
    }
    json_close_object(o);
    return r;
}

static int volumes_list(struct call *c)
{
    return list(c, false);
}

static int volumes_detail(struct call *c)
{
    return list(c, true);
}

static int volume_show(struct call *c)
{
    struct volume *v;
    int r = call_read(c);
    r = r ? r : volume_get(c, call_param(c, "id"), &v);
    return r ? r : render_one(c, v, false);
}

/* 3.12; metadata from 3.36. */
static int summary(struct call *c)
{
    struct results l = { 0 };
    struct query q = { .kind = &VOLUME_KIND };
    int64_t size = 0;
    int r = call_read(c);
    r = r ? r : own_scope(c, &q);
    r = r ? r : txn_list(c->txn, &q, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_object(&c->out, "volume-summary");
    _cleanup_(json_decrefp) json_t *map = json_object();
    for (size_t i = 0; i < l.n; i++) {
        const struct volume *v = l.v[i];
        size += v->size;
        VEC_FOREACH(p, &v->metadata) {
            json_t *values = json_object_get(map, p->key);
            bool there = false;
            if (!values) {
                values = json_array();
                json_object_set_new(map, p->key, values);
            }
            for (size_t k = 0; k < json_array_size(values); k++)
                there |= STREQ(json_string_value(json_array_get(values, k)), p->value);
            if (!there)
                json_array_append_new(values, json_string(p->value));
        }
    }
    json_put_int(&c->out, "total_size", size);
    json_put_int(&c->out, "total_count", (int64_t)l.n);
    if (c->minor >= 36) {
        json_key(&c->out, "metadata");
        json_tree_out(&c->out, map);
    }
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

/* ---- create ---- */

/* What the image gives: how agents fetch it, and what is remembered of it. */
static int take_image(struct call *c, const char *id, struct volume *v)
{
    struct image_view *image;
    struct fault f = { 0 };
    int r = image_get(c->txn, c->auth->project_id, call_is_admin(c), id, &image, &f);
    if (r == FAULT)
        return invalid(c, "Invalid image identifier or unable to access requested image.");
    if (r < 0)
        return r;
    if (!STREQ(image->status, "active"))
        return invalid(c, "Invalid input received: Image %s is not active.", id);
    if (v->size < image->min_disk)
        return invalid(c, "Invalid input received: Volume size %lldGB cannot be smaller than the image minDisk size "
                       "%lldGB.", (long long)v->size, (long long)image->min_disk);
    int64_t bytes = image->virtual_size > 0 ? image->virtual_size : image->size;
    if (bytes > v->size << 30)
        return invalid(c, "Invalid input received: Size of specified image %lldGB is larger than volume size %lldGB.",
                       (long long)((bytes + (1 << 30) - 1) >> 30), (long long)v->size);
    v->image = ARENA_NEW(c->arena, struct server_image);
    if (!v->image)
        return -ENOMEM;
    *v->image = (struct server_image){ .id = image->id, .name = image->name, .hash_algorithm = image->hash_algo,
        .hash = image->hash_value, .disk_format = image->disk_format, .container_format = image->container_format,
        .size = image->size, .min_disk_gb = image->min_disk, .properties = image->properties };
    v->image_id = image->id;
    v->bootable = true;
    struct strmap *m = &v->image_metadata;
    strmap_set(c->arena, m, "image_id", image->id);
    strmap_set(c->arena, m, "image_name", str_or(image->name, ""));
    strmap_set(c->arena, m, "checksum", str_or(image->checksum, ""));
    strmap_set(c->arena, m, "container_format", str_or(image->container_format, ""));
    strmap_set(c->arena, m, "disk_format", str_or(image->disk_format, ""));
    strmap_set(c->arena, m, "min_disk", arena_printf(c->arena, "%lld", (long long)image->min_disk));
    strmap_set(c->arena, m, "min_ram", arena_printf(c->arena, "%lld", (long long)image->min_ram));
    strmap_set(c->arena, m, "size", arena_printf(c->arena, "%lld", (long long)image->size));
    VEC_FOREACH(p, &image->properties)
        strmap_set(c->arena, m, p->key, p->value);
    return 0;
}

static int take_snapshot(struct call *c, const struct new_volume *n, struct volume *v, const char **host)
{
    struct snapshot *s;
    int r = vsnapshot_get(c, n->wish.snapshot_id, &s);
    if (r)
        return r;
    if (!str_eq(s->status, "available") && !str_eq(s->status, "creating"))
        return invalid(c, "Originating snapshot status must be one of 'available' values");
    if (!v->size)
        v->size = s->size;
    if (v->size < s->size)
        return invalid(c, "Volume size '%lld'GB cannot be smaller than the snapshot size %lldGB. They must be >= original "
                       "snapshot size.", (long long)v->size, (long long)s->size);
    v->snapshot_id = s->head.id;
    v->bootable = s->bootable;
    v->image_metadata = s->image_metadata;
    *host = s->host;
    if (!v->type_id)
        v->type_id = s->type_id;
    return 0;
}

static int take_source(struct call *c, const struct new_volume *n, struct volume *v, const char **host)
{
    struct volume *from;
    int r = volume_get(c, n->source_volid, &from);
    if (r)
        return r;
    if (!str_eq(from->status, "available") && !str_eq(from->status, "in-use"))
        return invalid(c, "Invalid volume: Source volume %s is not in an available or in-use state.", from->head.id);
    if (!v->size)
        v->size = from->size;
    if (v->size < from->size)
        return invalid(c, "Volume size '%lld'GB cannot be smaller than original volume size %lldGB. They must be >= "
                       "original volume size.", (long long)v->size, (long long)from->size);
    v->source_volid = from->head.id;
    v->bootable = from->bootable;
    v->image_metadata = from->image_metadata;
    *host = from->host;
    if (!v->type_id)
        v->type_id = from->type_id;
    return 0;
}

static int choose_type(struct call *c, const struct new_volume *n, struct volume *v, const struct volume_type **ret)
{
    struct volume_type *type = NULL;
    int r = 0;
    if (n->type) {
        *ret = n->type;
        v->type_id = n->type->head.id;
        return 0;
    }
    if (!str_empty(n->wish.type)) {
        r = type_find(c, n->wish.type, &type);
        if (r == 0 && !type)
            return call_fault(c, 404, "VolumeTypeNotFound", "Volume type %s could not be found.", n->wish.type);
    } else if (v->type_id) {
        r = txn_get(c->txn, &VOLUME_TYPE_KIND, v->type_id, &type);
    } else {
        r = type_default(c, v->project_id, &type);
    }
    v->type_id = type ? type->head.id : NULL;
    *ret = type;
    return r;
}

int volume_create_one(struct call *c, const struct new_volume *n, struct volume **ret)
{
    struct volume *v = ARENA_NEW(c->arena, struct volume);
    const char *host = NULL;
    const struct volume_type *type = NULL;
    struct backend *b = NULL;
    if (!v)
        return -ENOMEM;
    *v = (struct volume){
        .head.id = uuid_new(c->arena), .project_id = n->wish.project_id, .user_id = n->wish.user_id,
        .name = n->wish.name, .description = n->description, .size = n->wish.size, .status = "creating",
        .availability_zone = str_or(n->wish.zone, "nova"), .multiattach = n->multiattach, .generation = 1,
        .created_at = clock_wall(), .group_id = n->group_id, .backup_id = n->backup_id,
    };
    if (n->metadata)
        v->metadata = *n->metadata;
    int r = 0;
    if (n->wish.snapshot_id)
        r = take_snapshot(c, n, v, &host);
    else if (n->source_volid)
        r = take_source(c, n, v, &host);
    else if (n->wish.image_id)
        r = take_image(c, n->wish.image_id, v);
    r = r ? r : choose_type(c, n, v, &type);
    if (r)
        return r;
    if (v->size <= 0)
        return bad_body(c, "Invalid input received: Volume size '%lld' must be an integer and greater than 0",
                           (long long)v->size);
    const char *multi = type ? strmap_get(&type->extra_specs, "multiattach") : NULL;
    if (multi && strcasecmp(multi, "<is> True") == 0)
        v->multiattach = true;
    if (type && type->encryption)
        return invalid(c, "Volume type %s asks for encryption, and this cloud has no key manager.", type->name);
    r = quota_check(c, v->project_id, "volumes", 1, v->size, type);
    r = r ? r : backend_choose(c->txn, type, v->size, host, &b);
    if (r)
        return r;
    if (b) {
        v->host = b->host;
        v->backend = b->facts->name;
        v->shared = b->facts->shared;
    } else {
        v->status = "error";
        log_warning("no backend takes the volume", KV("volume", v->head.id), KV("size", v->size));
        r = message_add(c->txn, v->project_id, arena_strdup(c->arena, c->http->id), "VOLUME", v->head.id,
                        "VOLUME_VOLUME_001_002",
                        "schedule allocate volume:Could not find any available weighted backend.");
    }
    r = r ? r : volume_put(c->txn, v);
    *ret = v;
    return r;
}

static int parse(struct call *c, struct new_volume *n)
{
    json_t *in;
    int r = body_object(c, "volume", &in);
    if (r)
        return r;
    *n = (struct new_volume){ .wish = { .project_id = c->auth->project_id, .user_id = c->auth->user_id,
                                        .admin = call_is_admin(c) } };
    struct strmap *m = ARENA_NEW(c->arena, struct strmap);
    if (!m)
        return -ENOMEM;
    n->metadata = m;
    r = take_name(c, in, &n->wish.name, &n->description);
    r = r ? r : take_metadata(c, json_object_get(in, "metadata"), m);
    r = r ? r : body_int(c, in, "size", false, 1, 0x7FFFFFFF, &n->wish.size);
    r = r ? r : body_text(c, in, "volume_type", false, &n->wish.type);
    r = r ? r : body_text(c, in, "availability_zone", false, &n->wish.zone);
    r = r ? r : body_text(c, in, "snapshot_id", false, &n->wish.snapshot_id);
    r = r ? r : body_text(c, in, "source_volid", false, &n->source_volid);
    r = r ? r : body_text(c, in, "imageRef", false, &n->wish.image_id);
    if (r == 0 && !n->wish.image_id)
        r = body_text(c, in, "image_id", false, &n->wish.image_id);
    if (r == 0 && c->minor >= 13)
        r = body_text(c, in, "group_id", false, &n->group_id);
    if (r == 0 && c->minor >= 47)
        r = body_text(c, in, "backup_id", false, &n->backup_id);
    r = r ? r : body_bool(c, in, "multiattach", &n->multiattach);
    if (r)
        return r;
    const char *ids[] = { n->wish.snapshot_id, n->source_volid, n->wish.image_id };
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        if (ids[i] && *ids[i] && !uuid_valid(ids[i]))
            return bad_body(c, "Invalid input for field/attribute. Value: %s. It is not a 'uuid'", ids[i]);
    if (str_empty(n->wish.image_id))
        n->wish.image_id = NULL;
    if (n->wish.zone && !STREQ(n->wish.zone, "nova") && !STREQ(n->wish.zone, str_or(cloud_config(c->api) ?
                                                                cloud_config(c->api)->default_zone : NULL, "nova")))
        return invalid(c, "Invalid input received: Availability zone '%s' is invalid.", n->wish.zone);
    bool from = n->wish.snapshot_id || n->source_volid || n->backup_id;
    if (!n->wish.size && !from)
        return bad_body(c, "Invalid input received: Volume size 'None' must be an integer and greater than 0");
    return 0;
}

static int restore_into(struct call *c, const struct new_volume *n, struct volume *v)
{
    struct backup *b;
    int r = txn_get(c->txn, &BACKUP_KIND, n->backup_id, &b);
    if (r || !b || !v->host)
        return r;
    r = errand_begin(c->txn, v, ITEM_RESTORE, n->backup_id, NULL);
    v->status = "restoring-backup";
    v->bootable = b->bootable;
    v->image_metadata = b->image_metadata;
    v->previous_status = "available";
    return r ? r : volume_put(c->txn, v);
}

static int create_write(struct call *c)
{
    struct new_volume n;
    struct volume *v;
    int r = project_check(c);
    r = r ? r : parse(c, &n);
    if (r == 0 && n.backup_id) {
        struct backup *b;
        r = txn_get(c->txn, &BACKUP_KIND, n.backup_id, &b);
        if (r == 0 && (!b || !own_visible(c, b->project_id)))
            return call_fault(c, 404, "BackupNotFound", "Backup %s could not be found.", n.backup_id);
        if (r == 0 && !n.wish.size)
            n.wish.size = b->size;
    }
    if (r == 0 && n.group_id) {
        struct group *g;
        r = txn_get(c->txn, &GROUP_KIND, n.group_id, &g);
        if (r == 0 && (!g || !own_visible(c, g->project_id)))
            return call_fault(c, 404, "GroupNotFound", "Group %s could not be found.", n.group_id);
    }
    r = r ? r : volume_create_one(c, &n, &v);
    if (r == 0 && n.backup_id)
        r = restore_into(c, &n, v);
    return r ? r : render_one(c, v, true);
}

static int create(struct call *c)
{
    return call_write(c, create_write);
}

int volume_make(struct call *c, const struct volume_wish *w, const char **ret_id, struct fault *fault)
{
    struct new_volume n = { .wish = *w };
    struct volume *v;
    int r = volume_create_one(c, &n, &v);
    if (r == FAULT)
        *fault = c->fault;
    else if (r == 0)
        *ret_id = v->head.id;
    return r;
}

int volume_info(struct txn *t, const char *project_id, bool admin, const char *id, struct volume_info **ret,
                struct fault *fault)
{
    struct volume *v;
    int r = txn_get(t, &VOLUME_KIND, id, &v);
    if (r < 0)
        return r;
    if (!v || (!admin && !str_eq(v->project_id, project_id)))
        return fault_set(fault, 404, "VolumeNotFound", "Volume %s could not be found.", id);
    *ret = ARENA_NEW(txn_arena(t), struct volume_info);
    if (!*ret)
        return -ENOMEM;
    **ret = (struct volume_info){ v->head.id, v->name, v->status, v->project_id, v->shared ? NULL : v->host,
                                  v->availability_zone, v->size, v->bootable, v->multiattach, v->image_metadata };
    return 0;
}

/* ---- change ---- */

static int update_write(struct call *c)
{
    json_t *in;
    struct volume *v;
    int r = body_object(c, "volume", &in);
    r = r ? r : volume_get(c, call_param(c, "id"), &v);
    if (r)
        return r;
    if (!json_object_size(in))
        return bad_body(c, "Invalid input for field/attribute volume. {} does not have enough properties");
    r = take_name(c, in, &v->name, &v->description);
    if (r == 0 && json_object_get(in, "metadata"))
        r = take_metadata(c, json_object_get(in, "metadata"), &v->metadata);
    r = r ? r : volume_put(c->txn, v);
    return r ? r : render_one(c, v, true);
}

static int update(struct call *c)
{
    return call_write(c, update_write);
}

/* ---- delete ---- */

static bool deletable(const struct volume *v)
{
    static const char *const GOOD[] = { "available", "error", "error_restoring", "error_extending", "error_managing",
                                        "error_deleting" };
    for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++)
        if (str_eq(v->status, GOOD[i]))
            return true;
    return false;
}

static int delete_write(struct call *c)
{
    struct volume *v;
    struct results l;
    int r = volume_get(c, call_param(c, "id"), &v);
    r = r ? r : list_by(c->txn, &VSNAPSHOT_KIND, "volume_id", v->head.id, &l);
    if (r)
        return r;
    bool cascade = call_arg_bool(c, "cascade", false);
    if (v->deleting)
        return 0;
    if (!deletable(v) || v->group_id)
        return invalid(c, "Invalid volume: Volume status must be available or error or error_restoring or "
                       "error_extending or error_managing and must not be migrating, attached, belong to a group, "
                       "have snapshots, awaiting a transfer, or be disassociated from snapshots after volume "
                       "transfer.");
    for (size_t i = 0; i < l.n; i++)
        if (!cascade && !((struct snapshot *)l.v[i])->deleting)
            return invalid(c, "Invalid volume: Volume status must be available or error and must not have snapshots.");
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = snapshot_begin_delete(c->txn, l.v[i]);
    return r ? r : volume_begin_delete(c->txn, v);
}

static int delete_(struct call *c)
{
    return call_write(c, delete_write);
}

static const struct route ROUTES[] = {
    { "GET", P "/volumes", volumes_list, "volume:read", .doc = "Volumes." },
    { "GET", P "/volumes/detail", volumes_detail, "volume:read", .doc = "Volumes with all members." },
    { "GET", P "/volumes/summary", summary, "volume:read", .since = 12, .doc = "How many, how large." },
    { "POST", P "/volumes", create, "volume:write", .status = 202, .doc = "Makes a volume." },
    { "GET", P "/volumes/{id}", volume_show, "volume:read", .doc = "One volume." },
    { "PUT", P "/volumes/{id}", update, "volume:write", .doc = "Changes name, description, metadata." },
    { "DELETE", P "/volumes/{id}", delete_, "volume:write", .status = 202, .doc = "Deletes a volume." },
};
VOLUME_PART(VOLUMES_PART, ROUTES);
