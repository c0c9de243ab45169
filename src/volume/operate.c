/*
 * For operators: services, hosts, pools, capabilities, zones; and what lies on backends without
 * being the cloud's (manage). For everybody: zones, extensions, default types, resource filters.
 */
#include "volume/internal.h"

#include <errno.h>
#include <stdio.h>

#define VERSION "1.0"

static int backends(struct call *c, struct results *ret)
{
    struct query q = { .kind = &BACKEND_KIND };
    int r = project_check(c);
    r = r ? r : call_read(c);
    return r ? r : txn_list(c->txn, &q, ret);
}

/* ---- services ---- */

static void put_service(struct call *c, const char *binary, const char *host, const struct backend *b, bool up)
{
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_string(o, "binary", binary);
    json_put_string(o, "host", host);
    json_put_string(o, "zone", "nova");
    json_put_string(o, "status", b && b->disabled ? "disabled" : "enabled");
    json_put_string(o, "state", up ? "up" : "down");
    put_time(c, o, "updated_at", b ? b->updated_at : clock_wall());
    json_put_string(o, "disabled_reason", b ? b->disabled_reason : NULL);
    if (STREQ(binary, "cinder-volume")) {
        json_put_string(o, "replication_status", "disabled");
        json_put_null(o, "active_backend_id");
        json_put_bool(o, "frozen", b && b->frozen);
        if (c->minor >= 7)
            json_put_null(o, "cluster");
        if (c->minor >= 49)
            json_put_string(o, "backend_state", up ? "up" : "down");
    } else if (c->minor >= 7) {
        json_put_null(o, "cluster");
    }
    json_close_object(o);
}

static bool wanted(struct call *c, const char *binary, const char *host, const char *short_host)
{
    const char *b = call_arg(c, "binary"), *h = call_arg(c, "host");
    return (!b || STREQ(b, binary)) && (!h || STREQ(h, host) || STREQ(h, short_host));
}

static int services(struct call *c)
{
    struct results l = { 0 };
    int r = backends(c, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "services");
    if (wanted(c, "cinder-scheduler", "yund", "yund"))
        put_service(c, "cinder-scheduler", "yund", NULL, true);
    for (size_t i = 0; i < l.n; i++) {
        const struct backend *b = l.v[i];
        if (wanted(c, "cinder-volume", b->head.id, b->host))
            put_service(c, "cinder-volume", b->head.id, b, backend_up(b));
        if (wanted(c, "cinder-backup", b->host, b->host))
            put_service(c, "cinder-backup", b->host, b, backend_up(b));
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int service_write(struct call *c)
{
    const char *what = call_param(c, "action"), *host, *binary, *reason;
    bool enable = STREQ(what, "enable"), thaw = STREQ(what, "thaw"), freeze = STREQ(what, "freeze");
    bool why = STREQ(what, "disable-log-reason");
    struct results l;
    struct query q = { .kind = &BACKEND_KIND };
    int r = body_text(c, c->body, "host", true, &host);
    r = r ? r : body_text(c, c->body, "binary", false, &binary);
    if (r == 0 && !binary)
        r = body_text(c, c->body, "service", false, &binary);
    r = r ? r : body_text(c, c->body, "disabled_reason", why, &reason);
    if (r)
        return r;
    if (!enable && !thaw && !freeze && !why && !STREQ(what, "disable"))
        return call_fault(c, 404, "NotFound", "There is no such action: %s.", what);
    if (!binary && !thaw && !freeze)
        return bad_body(c, "Missing required element 'binary' in request body.");
    if (why && (!reason || !*reason))
        return bad_body(c, "Invalid input for field/attribute disabled_reason. It can not be blank");
    r = txn_list(c->txn, &q, &l);
    struct backend *b = NULL;
    for (size_t i = 0; i < l.n && r == 0; i++)
        if (STREQ(((struct backend *)l.v[i])->head.id, host) || STREQ(((struct backend *)l.v[i])->host, host))
            b = l.v[i];
    bool known = !binary || STREQ(binary, "cinder-volume") || STREQ(binary, "cinder-backup");
    if (r == 0 && !b && (thaw || freeze))
        return invalid(c, "Invalid input received: there is no host %s.", host);
    if (r == 0 && (!b || !known))
        return call_fault(c, 404, "ServiceNotFound", "Service %s could not be found on host %s.", str_or(binary, ""),
                          host);
    if (r)
        return r;
    if (thaw || freeze)
        b->frozen = freeze;
    else
        b->disabled = !enable;
    if (!thaw && !freeze)
        b->disabled_reason = why ? reason : NULL;
    r = txn_put(c->txn, &BACKEND_KIND, b);
    if (thaw || freeze)
        return r;
    json_open_object(&c->out);
    json_put_string(&c->out, "host", host);
    json_put_string(&c->out, "service", binary);
    json_put_string(&c->out, "binary", binary);
    json_put_bool(&c->out, "disabled", b->disabled);
    json_put_string(&c->out, "status", b->disabled ? "disabled" : "enabled");
    if (enable || why)
        json_put_string(&c->out, "disabled_reason", b->disabled_reason);
    json_close_object(&c->out);
    return r;
}
static int service_change(struct call *c)
{
    return call_write(c, service_write);
}

/* ---- hosts ---- */

static void put_host(struct call *c, const char *host, const char *service, const struct backend *b, bool up)
{
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_string(o, "host_name", host);
    json_put_string(o, "service", service);
    json_put_string(o, "zone", "nova");
    json_put_string(o, "service-status", up ? "available" : "unavailable");
    json_put_string(o, "service-state", b && b->disabled ? "disabled" : "enabled");
    put_time(c, o, "last-update", b ? b->updated_at : clock_wall());
    json_close_object(o);
}

static int hosts(struct call *c)
{
    struct results l = { 0 };
    int r = backends(c, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "hosts");
    put_host(c, "yund", "cinder-scheduler", NULL, true);
    for (size_t i = 0; i < l.n; i++) {
        const struct backend *b = l.v[i];
        put_host(c, b->head.id, "cinder-volume", b, backend_up(b));
        put_host(c, b->host, "cinder-backup", b, backend_up(b));
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

struct share { const char *project; int64_t volumes, gigabytes, snapshots, snapshot_gigabytes; };

static void put_share(struct call *c, const char *host, const struct share *s)
{
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_object(o, "resource");
    json_put_string(o, "host", host);
    json_put_string(o, "project", s->project);
    json_put_string(o, "volume_count", arena_printf(c->arena, "%lld", (long long)s->volumes));
    json_put_string(o, "total_volume_gb", arena_printf(c->arena, "%lld", (long long)s->gigabytes));
    json_put_string(o, "snapshot_count", arena_printf(c->arena, "%lld", (long long)s->snapshots));
    json_put_string(o, "total_snapshot_gb", arena_printf(c->arena, "%lld", (long long)s->snapshot_gigabytes));
    json_close_object(o);
    json_close_object(o);
}

struct shares { struct share *v; size_t n, cap; };

static struct share *share_of(struct call *c, struct shares *l, const char *project)
{
    VEC_FOREACH(s, l)
        if (str_eq(s->project, project))
            return s;
    struct share *s = vec_add(c->arena, l);
    if (s)
        s->project = project;
    return s;
}

static int host_show(struct call *c)
{
    const char *name = call_param(c, "host");
    size_t n = strcspn(name, "@");
    const char *host = arena_strndup(c->arena, name, n);
    struct results l, bl = { 0 };
    struct shares shares = { 0 };
    struct share total = { .project = "(total)" };
    int r = backends(c, &bl);
    bool known = STREQ(name, "yund");
    for (size_t i = 0; i < bl.n && r == 0; i++)
        known |= str_eq(((struct backend *)bl.v[i])->host, host);
    if (r == 0 && !known)
        return call_fault(c, 404, "HostNotFound", "Host %s could not be found.", name);
    r = r ? r : list_by(c->txn, &VOLUME_KIND, "host", host, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct volume *v = l.v[i];
        struct share *s = share_of(c, &shares, v->project_id);
        if (!s)
            return -ENOMEM;
        s->volumes++, total.volumes++;
        s->gigabytes += v->size, total.gigabytes += v->size;
    }
    r = r ? r : list_by(c->txn, &VSNAPSHOT_KIND, "host", host, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct snapshot *sn = l.v[i];
        struct share *s = share_of(c, &shares, sn->project_id);
        if (!s)
            return -ENOMEM;
        s->snapshots++, total.snapshots++;
        s->snapshot_gigabytes += sn->size, total.snapshot_gigabytes += sn->size;
    }
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "host");
    put_share(c, name, &total);
    VEC_FOREACH(s, &shares)
        put_share(c, name, s);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

/* ---- pools, capabilities ---- */

static void put_pool(struct call *c, const struct backend *b)
{
    const struct volume_backend_facts *f = b->facts;
    struct json_out *o = &c->out;
    json_put_object(o, "capabilities");
    json_put_string(o, "volume_backend_name", f->name);
    json_put_string(o, "vendor_name", VENDOR);
    json_put_string(o, "driver_version", VERSION);
    json_put_string(o, "storage_protocol", f->protocol);
    json_put_string(o, "pool_name", f->name);
    json_put_int(o, "total_capacity_gb", f->total_bytes >> 30);
    json_put_int(o, "free_capacity_gb", f->free_bytes >> 30);
    json_put_int(o, "provisioned_capacity_gb", f->provisioned_bytes >> 30);
    json_put_int(o, "allocated_capacity_gb", f->provisioned_bytes >> 30);
    json_put_int(o, "reserved_percentage", 5);
    json_put_bool(o, "QoS_support", true);
    json_put_bool(o, "multiattach", true);
    json_put_bool(o, "thin_provisioning_support", true);
    json_put_bool(o, "thick_provisioning_support", false);
    json_put_string(o, "max_over_subscription_ratio", "20.0");
    json_put_string(o, "backend_state", backend_up(b) ? "up" : "down");
    json_put_string(o, "location_info", b->head.id);
    put_time(c, o, "timestamp", b->updated_at);
    put_time(c, o, "updated", b->updated_at);
    json_close_object(o);
}

static int pools(struct call *c)
{
    struct results l = { 0 };
    bool detail = call_arg_bool(c, "detail", false);
    const char *name = call_arg(c, "name");
    int r = backends(c, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "pools");
    for (size_t i = 0; i < l.n; i++) {
        const struct backend *b = l.v[i];
        const char *pool = b->facts ? arena_printf(c->arena, "%s#%s", b->head.id, b->facts->name) : NULL;
        if (!pool || !backend_up(b) || (name && !STREQ(name, pool)))
            continue;
        json_open_object(&c->out);
        json_put_string(&c->out, "name", pool);
        if (detail)
            put_pool(c, b);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int capabilities(struct call *c)
{
    const char *id = call_param(c, "host");
    struct backend *b;
    struct json_out *o = &c->out;
    int r = call_read(c);
    r = r ? r : txn_get(c->txn, &BACKEND_KIND, arena_strndup(c->arena, id, strcspn(id, "#")), &b);
    if (r == 0 && (!b || !b->facts))
        return call_fault(c, 404, "ServiceNotFound", "Service could not be found: host %s.", id);
    if (r)
        return r;
    json_open_object(o);
    json_put_string(o, "namespace", arena_printf(c->arena, "OS::Storage::Capabilities::%s", id));
    json_put_string(o, "vendor_name", VENDOR);
    json_put_string(o, "volume_backend_name", b->facts->name);
    json_put_string(o, "pool_name", b->facts->name);
    json_put_string(o, "driver_version", VERSION);
    json_put_string(o, "storage_protocol", b->facts->protocol);
    json_put_string(o, "display_name", b->facts->name);
    json_put_string(o, "description", "Files in a folder of the host");
    json_put_string(o, "visibility", "public");
    json_put_array(o, "replication_targets");
    json_close_array(o);
    json_put_object(o, "properties");
    json_put_object(o, "thin_provisioning");
    json_put_string(o, "title", "Thin Provisioning");
    json_put_string(o, "description", "Files take what is written to them.");
    json_put_string(o, "type", "boolean");
    json_close_object(o);
    json_put_object(o, "qos");
    json_put_string(o, "title", "QoS");
    json_put_string(o, "description", "Limits by the hypervisor.");
    json_put_string(o, "type", "boolean");
    json_close_object(o);
    json_close_object(o);
    json_close_object(o);
    return 0;
}

/* ---- for everybody ---- */

static int zones(struct call *c)
{
    json_open_object(&c->out);
    json_put_array(&c->out, "availabilityZoneInfo");
    json_open_object(&c->out);
    json_put_string(&c->out, "zoneName", "nova");
    json_put_object(&c->out, "zoneState");
    json_put_bool(&c->out, "available", true);
    json_close_object(&c->out);
    json_close_object(&c->out);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static const struct { const char *alias, *name, *doc; } EXTENSIONS[] = {
    { "os-availability-zone", "AvailabilityZones", "Zones." }, { "backups", "Backups", "Backups." },
    { "capabilities", "Capabilities", "Capabilities of backends." }, { "os-extended-services", "ExtendedServices", "More of services." },
    { "os-hosts", "Hosts", "Hosts." }, { "os-quota-sets", "Quotas", "Quotas." }, { "os-quota-class-sets", "QuotaClasses", "Everybody's quotas." },
    { "os-services", "Services", "Services." }, { "os-snapshot-actions", "SnapshotActions", "Actions of snapshots." },
    { "os-snapshot-manage", "SnapshotManage", "Taking snapshots in." }, { "os-snapshot-unmanage", "SnapshotUnmanage", "Letting snapshots go." },
    { "os-types-extra-specs", "TypesExtraSpecs", "Extra specs of types." }, { "os-types-manage", "TypesManage", "Making types." },
    { "os-used-limits", "UsedLimits", "Use of limits." }, { "os-vol-host-attr", "VolumeHostAttribute", "Host of volumes." },
    { "os-vol-image-meta", "VolumeImageMetadata", "Image metadata." }, { "os-vol-mig-status-attr", "VolumeMigStatusAttribute", "Migration status." },
    { "os-vol-tenant-attr", "VolumeTenantAttribute", "Project of volumes." }, { "os-volume-actions", "VolumeActions", "Actions of volumes." },
    { "os-volume-encryption-metadata", "VolumeEncryptionMetadata", "Encryption." }, { "os-volume-manage", "VolumeManage", "Taking volumes in." },
    { "os-volume-transfer", "VolumeTransfer", "Transfers." }, { "os-volume-type-access", "VolumeTypeAccess", "Access to types." },
    { "encryption", "VolumeTypeEncryption", "Encryption of types." }, { "os-volume-unmanage", "VolumeUnmanage", "Letting volumes go." },
    { "qos-specs", "Qos_specs_manage", "Qos specs." }, { "scheduler-stats", "Scheduler_stats", "Pools." },
    { "os-admin-actions", "AdminActions", "Actions of administrators." },
};

static int extensions(struct call *c)
{
    json_open_object(&c->out);
    json_put_array(&c->out, "extensions");
    for (size_t i = 0; i < ARRAY_SIZE(EXTENSIONS); i++) {
        json_open_object(&c->out);
        json_put_string(&c->out, "alias", EXTENSIONS[i].alias);
        json_put_string(&c->out, "name", EXTENSIONS[i].name);
        json_put_string(&c->out, "description", EXTENSIONS[i].doc);
        json_put_string(&c->out, "updated", "2022-08-31T00:00:00+00:00");
        json_put_array(&c->out, "links");
        json_close_array(&c->out);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int resource_filters(struct call *c)
{
    static const struct { const char *resource, *filters; } ROWS[] = {
        { "volume", "name status metadata bootable migration_status availability_zone group_id size created_at updated_at" },
        { "backup", "name status volume_id" }, { "snapshot", "name status volume_id metadata availability_zone" },
        { "group_snapshot", "name status group_id" }, { "attachment", "volume_id status instance_id attach_status" },
        { "message", "resource_uuid resource_type event_id request_id message_level" }, { "pool", "name volume_type" },
        { "volume_type", "is_public" },
    };
    const char *one = call_arg(c, "resource");
    json_open_object(&c->out);
    json_put_array(&c->out, "resource_filters");
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        struct strv l = { 0 };
        if (one && !STREQ(one, ROWS[i].resource))
            continue;
        strv_split(c->arena, &l, ROWS[i].filters, " ");
        json_open_object(&c->out);
        json_put_string(&c->out, "resource", ROWS[i].resource);
        json_put_strings(&c->out, "filters", &l);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

/* ---- default types of projects (3.62) ---- */

static void put_default(struct json_out *o, const struct default_type *d)
{
    json_open_object(o);
    json_put_string(o, "project_id", d->head.id);
    json_put_string(o, "volume_type_id", d->type_id);
    json_close_object(o);
}

static int defaults(struct call *c)
{
    struct results l;
    struct query q = { .kind = &DEFAULT_TYPE_KIND };
    int r = call_read(c);
    r = r ? r : txn_list(c->txn, &q, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "default_types");
    for (size_t i = 0; i < l.n; i++)
        put_default(&c->out, l.v[i]);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int default_show(struct call *c)
{
    struct default_type *d;
    int r = call_read(c);
    r = r ? r : txn_get(c->txn, &DEFAULT_TYPE_KIND, call_param(c, "project"), &d);
    if (r == 0 && !d)
        return call_fault(c, 404, "VolumeTypeProjectDefaultNotFound", "Default type for project %s not found.",
                          call_param(c, "project"));
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "default_type");
    put_default(&c->out, d);
    json_close_object(&c->out);
    return 0;
}

static int default_write(struct call *c)
{
    json_t *in;
    const char *name;
    struct volume_type *t;
    struct default_type d = { .head.id = call_param(c, "project") };
    if (STREQ(c->http->method, "DELETE"))
        return txn_delete(c->txn, &DEFAULT_TYPE_KIND, d.head.id);
    int r = body_object(c, "default_type", &in);
    r = r ? r : body_text(c, in, "volume_type", true, &name);
    r = r ? r : type_find(c, name, &t);
    if (r == 0 && !t)
        return call_fault(c, 404, "VolumeTypeNotFound", "Volume type %s could not be found.", name);
    if (r)
        return r;
    d.type_id = t->head.id;
    r = txn_put(c->txn, &DEFAULT_TYPE_KIND, &d);
    json_open_object(&c->out);
    json_key(&c->out, "default_type");
    put_default(&c->out, &d);
    json_close_object(&c->out);
    return r;
}
static int default_change(struct call *c)
{
    return call_write(c, default_write);
}

/* ---- taking in what lies on a backend ---- */

/* "volume-<id>", "_snapshot-<id>" or the bare id, as reference. */
static int reference(struct call *c, const json_t *in, struct unmanaged **ret)
{
    const json_t *ref = json_object_get(in, "ref");
    const char *name = json_get_string(ref, "source-name");
    if (!name)
        name = json_get_string(ref, "source-id");
    if (!name)
        return bad_body(c, "'ref' is a required property");
    const char *id = strlen(name) > 36 ? name + strlen(name) - 36 : name;
    int r = txn_get(c->txn, &UNMANAGED_KIND, id, ret);
    if (r == 0 && !*ret)
        return invalid(c, "Manage existing volume failed due to invalid backend volume reference %s.", name);
    return r;
}

static int manage_volume_write(struct call *c)
{
    json_t *in;
    const char *type_name, *zone;
    struct unmanaged *u;
    struct volume_type *type = NULL;
    struct volume *v = ARENA_NEW(c->arena, struct volume);
    if (!v)
        return -ENOMEM;
    int r = body_object(c, "volume", &in);
    r = r ? r : reference(c, in, &u);
    r = r ? r : body_text(c, in, "volume_type", false, &type_name);
    r = r ? r : body_text(c, in, "availability_zone", false, &zone);
    r = r ? r : type_name ? type_find(c, type_name, &type) : type_default(c, c->auth->project_id, &type);
    if (r == 0 && type_name && !type)
        return call_fault(c, 404, "VolumeTypeNotFound", "Volume type %s could not be found.", type_name);
    if (r)
        return r;
    *v = (struct volume){ .head.id = uuid_new(c->arena), .project_id = c->auth->project_id, .user_id = c->auth->user_id,
                          .status = "available", .made = true, .host = u->host, .backend = u->backend, .size = u->size,
                          .availability_zone = str_or(zone, "nova"), .type_id = type ? type->head.id : NULL,
                          .name_id = u->head.id, .generation = 1, .created_at = clock_wall() };
    r = take_name(c, in, &v->name, &v->description);
    r = r ? r : take_metadata(c, json_object_get(in, "metadata"), &v->metadata);
    r = r ? r : body_bool(c, in, "bootable", &v->bootable);
    r = r ? r : quota_check(c, v->project_id, "volumes", 1, v->size, type);
    r = r ? r : txn_delete(c->txn, &UNMANAGED_KIND, u->head.id);
    r = r ? r : volume_put(c->txn, v);
    json_open_object(&c->out);
    json_key(&c->out, "volume");
    if (r == 0)
        volume_render(c, &c->out, v, true);
    json_close_object(&c->out);
    return r;
}
static int manage_volume(struct call *c)
{
    return call_write(c, manage_volume_write);
}

static int manage_snapshot_write(struct call *c)
{
    json_t *in;
    const char *volume_id;
    struct unmanaged *u;
    struct volume *v;
    struct snapshot *s = ARENA_NEW(c->arena, struct snapshot);
    if (!s)
        return -ENOMEM;
    int r = body_object(c, "snapshot", &in);
    r = r ? r : body_text(c, in, "volume_id", true, &volume_id);
    r = r ? r : volume_get(c, volume_id, &v);
    r = r ? r : reference(c, in, &u);
    if (r)
        return r;
    if (!u->snapshot || !str_eq(u->host, v->host))
        return invalid(c, "Invalid snapshot: the reference is no snapshot of this volume's backend.");
    *s = (struct snapshot){ .head.id = uuid_new(c->arena), .project_id = v->project_id, .user_id = c->auth->user_id,
                            .volume_id = v->head.id, .status = "available", .made = true, .host = u->host, .type_id = v->type_id,
                            .name_id = u->head.id, .size = u->size, .bootable = v->bootable, .created_at = clock_wall() };
    r = take_name(c, in, &s->name, &s->description);
    r = r ? r : take_metadata(c, json_object_get(in, "metadata"), &s->metadata);
    r = r ? r : txn_delete(c->txn, &UNMANAGED_KIND, u->head.id);
    r = r ? r : vsnapshot_put(c->txn, s);
    json_open_object(&c->out);
    json_key(&c->out, "snapshot");
    if (r == 0)
        vsnapshot_render(c, &c->out, s, false);
    json_close_object(&c->out);
    return r;
}
static int manage_snapshot(struct call *c)
{
    return call_write(c, manage_snapshot_write);
}

static int manageable(struct call *c)
{
    bool snapshots = strstr(c->route->path, "snapshot") != NULL;
    struct results l;
    struct query q = { .kind = &UNMANAGED_KIND };
    query_where(&q, c->arena, "snapshot", Q_EQ, snapshots ? "true" : "false");
    int r = call_read(c);
    r = r ? r : txn_list(c->txn, &q, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, snapshots ? "manageable-snapshots" : "manageable-volumes");
    for (size_t i = 0; i < l.n; i++) {
        const struct unmanaged *u = l.v[i];
        json_open_object(&c->out);
        json_put_object(&c->out, "reference");
        json_put_string(&c->out, "source-name", u->head.id);
        json_close_object(&c->out);
        json_put_int(&c->out, "size", u->size);
        json_put_bool(&c->out, "safe_to_manage", true);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static const struct route ROUTES[] = {
    { "GET", P "/os-services", services, "volume:admin", .doc = "Services." },
    { "PUT", P "/os-services/{action}", service_change, "volume:admin", .doc = "Switches one on or off." },
    { "GET", P "/os-hosts", hosts, "volume:admin", .doc = "Hosts." },
    { "GET", P "/os-hosts/{host}", host_show, "volume:admin", .doc = "What projects have on a host." },
    { "GET", P "/scheduler-stats/get_pools", pools, "volume:admin", .doc = "Pools." },
    { "GET", P "/capabilities/{host}", capabilities, "volume:admin", .doc = "What a backend can." },
    { "GET", P "/os-availability-zone", zones, "volume:read", .doc = "Zones." },
    { "GET", P "/extensions", extensions, "volume:read", .doc = "Names of old of what there is." },
    { "GET", P "/resource_filters", resource_filters, "volume:read", .since = 33, .doc = "What lists filter by." },
    { "GET", "/v3/default-types", defaults, "volume:admin", .since = 62, .doc = "Default types of projects." },
    { "GET", "/v3/default-types/{project}", default_show, "volume:admin", .since = 62, .doc = "One project's." },
    { "PUT", "/v3/default-types/{project}", default_change, "volume:admin", .since = 62, .doc = "Sets it." },
    { "DELETE", "/v3/default-types/{project}", default_change, "volume:admin", .since = 62, .status = 204,
      .doc = "Drops it." },
    { "POST", P "/os-volume-manage", manage_volume, "volume:admin", .status = 202, .doc = "Takes a volume in." },
    { "GET", P "/os-volume-manage", manageable, "volume:admin", .doc = "What could be." },
    { "GET", P "/os-volume-manage/detail", manageable, "volume:admin", .doc = "What could be." },
    { "POST", P "/manageable_volumes", manage_volume, "volume:admin", .since = 8, .status = 202, .doc = "Takes it in." },
    { "GET", P "/manageable_volumes", manageable, "volume:admin", .since = 8, .doc = "What could be." },
    { "GET", P "/manageable_volumes/detail", manageable, "volume:admin", .since = 8, .doc = "What could be." },
    { "POST", P "/os-snapshot-manage", manage_snapshot, "volume:admin", .status = 202, .doc = "Takes a snapshot in." },
    { "GET", P "/os-snapshot-manage", manageable, "volume:admin", .doc = "What could be." },
    { "GET", P "/os-snapshot-manage/detail", manageable, "volume:admin", .doc = "What could be." },
    { "POST", P "/manageable_snapshots", manage_snapshot, "volume:admin", .since = 8, .status = 202, .doc = "Takes it in." },
    { "GET", P "/manageable_snapshots", manageable, "volume:admin", .since = 8, .doc = "What could be." },
    { "GET", P "/manageable_snapshots/detail", manageable, "volume:admin", .since = 8, .doc = "What could be." },
};
VOLUME_PART(OPERATE_PART, ROUTES);
