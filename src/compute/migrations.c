/*
 * Resize and moves between hosts.
 *
 * A resize on its own host: the new flavor counts at once for the host (the larger of both is
 * claimed), the domain is defined anew and its disks grow; until it is confirmed the old flavor
 * is kept, and going back is the same order with the flavors exchanged.
 */
#include "compute/actions.h"

#include <errno.h>
#include <stdio.h>

#define ACTION(name) \
    static int name(struct call *c, struct server *s, const void *in, const struct given *given, bool *gone)
#define UNUSED_ARGUMENTS (void)c, (void)s, (void)in, (void)given, (void)gone

/* ---- records ---- */

int migration_record(struct txn *t, struct server *s, const char *type, const char *status, const char *dest)
{
    struct arena *a = txn_arena(t);
    struct migration *m = ARENA_NEW(a, struct migration);
    if (!m)
        return -ENOMEM;
    usec_t now = clock_wall();
    *m = (struct migration){ .head.id = uuid_new(a), .server_id = s->head.id, .project_id = s->project_id,
                             .user_id = s->user_id, .migration_type = type, .status = status,
                             .source_compute = s->host, .source_node = s->node, .dest_compute = dest,
                             .dest_node = dest, .old_flavor_id = s->flavor ? s->flavor->id : NULL,
                             .new_flavor_id = s->new_flavor ? s->new_flavor->id : s->flavor ? s->flavor->id : NULL,
                             .created_at = now, .updated_at = now };
    int r = sequence_next(t, "migration", &m->number);
    return r < 0 ? r : txn_put(t, &MIGRATION_KIND, m);
}

int migration_open(struct txn *t, const char *server_id, struct migration **ret)
{
    static const char *const CLOSED[] = { "done", "completed", "confirmed", "reverted", "cancelled", "failed",
                                          "error" };
    struct query q = { .kind = &MIGRATION_KIND };
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    struct condition *w = query_where(&q, txn_arena(t), "status", Q_NOT_IN, NULL);
    for (size_t i = 0; w && i < ARRAY_SIZE(CLOSED); i++)
        strv_add(txn_arena(t), &w->list, CLOSED[i]);
    return txn_find(t, &q, ret);
}

static int migration_move(struct txn *t, const char *server_id, const char *status)
{
    struct migration *m;
    int r = migration_open(t, server_id, &m);
    if (r < 0 || !m)
        return r;
    m->status = status;
    m->updated_at = clock_wall();
    return txn_put(t, &MIGRATION_KIND, m);
}

/* ---- resize ---- */

struct resize_in { const char *flavor, *disk_config; };
static const char *const DISK_CONFIGS[] = { "AUTO", "MANUAL", NULL };
static const struct field RESIZE_ROWS[] = {
    { "flavorRef", FIELD_STRING, offsetof(struct resize_in, flavor), IN_CREATE | REQUIRED, .min = 1,
      .doc = "The new flavor." },
    { "OS-DCF:diskConfig", FIELD_STRING, offsetof(struct resize_in, disk_config), IN_CREATE, .values = DISK_CONFIGS,
      .doc = "Whether the partition grows." },
};
static SCHEMA(RESIZE_SCHEMA, struct resize_in, RESIZE_ROWS);

static int resize_quota(struct call *c, const char *project_id, const struct flavor_copy *from,
                        const struct flavor_copy *to)
{
    const struct { const char *name; int64_t more; } TAKES[] = {
        { "cores", to->vcpus - from->vcpus }, { "ram", to->ram - from->ram },
    };
    for (size_t i = 0; i < ARRAY_SIZE(TAKES); i++) {
        int64_t used, limit;
        if (TAKES[i].more <= 0)
            continue;
        int r = quota_fits(c->txn, &COMPUTE_QUOTAS, project_id, TAKES[i].name, TAKES[i].more, &used, &limit);
        if (r < 0)
            return r;
        if (r)
            return call_fault(c, 403, "TooManyInstances", "Quota exceeded for %s: Requested %lld, but already used "
                              "%lld of %lld %s", TAKES[i].name, (long long)TAKES[i].more, (long long)used,
                              (long long)limit, TAKES[i].name);
    }
    return 0;
}

static void claim_larger(struct server *s, const struct flavor_copy *a, const struct flavor_copy *b)
{
    struct claim x = claim_of(s, a), y = claim_of(s, b);
    s->claim_vcpus = MAX(x.vcpus, y.vcpus);
    s->claim_memory_mb = MAX(x.memory_mb, y.memory_mb);
    s->claim_disk_gb = MAX(x.disk_gb, y.disk_gb);
}

/* Whether its host can take it at the new size. */
static int fits_here(struct call *c, const struct server *s, const struct flavor_copy *to)
{
    struct compute_host *h;
    struct host_usage used;
    int r = txn_get(c->txn, &COMPUTE_HOST_KIND, s->host, &h);
    r = r < 0 ? r : host_usage_count(c->txn, s->host, &used);
    if (r < 0)
        return r;
    struct host_usage most = h ? host_capacity(h) : (struct host_usage){ 0 };
    struct claim n = claim_of(s, to);
    if (!h || used.vcpus - s->claim_vcpus + n.vcpus > most.vcpus ||
        used.memory_mb - s->claim_memory_mb + n.memory_mb > most.memory_mb ||
        used.disk_gb - s->claim_disk_gb + n.disk_gb > most.disk_gb)
        return call_fault(c, 400, "NoValidHost", "No valid host was found. No valid host found for resize");
    return 0;
}

ACTION(resize)
{
    const struct resize_in *want = in;
    struct flavor *f;
    UNUSED_ARGUMENTS;
    int r = flavor_find(c->txn, want->flavor, &f);
    if (r < 0)
        return r;
    if (!f || !(f->is_public || call_is_admin(c) || strv_has(&f->projects, str_or(c->auth->project_id, ""))))
        return call_fault(c, 400, "FlavorNotFound", "Flavor %s could not be found.", want->flavor);
    if (str_eq(f->head.id, s->flavor->id))
        return call_fault(c, 400, "CannotResizeToSameFlavor", "When resizing, instances must change flavor!");
    struct flavor_copy *to = flavor_copy_of(c->arena, f);
    if (!to)
        return -ENOMEM;
    bool local = claim_of(s, s->flavor).disk_gb > 0 && s->image;
    if (local && to->disk == 0 && s->flavor->disk != 0)
        return call_fault(c, 400, "CannotResizeDisk", "Server disk was unable to be resized because: Resize to zero "
                          "disk flavor is not allowed.");
    if (local && (to->disk < s->flavor->disk || to->ephemeral < s->flavor->ephemeral))
        return call_fault(c, 400, "CannotResizeDisk", "Server disk was unable to be resized because: Flavor disk(s) "
                          "cannot be resized down");
    r = resize_quota(c, str_or(s->project_id, ""), s->flavor, to);
    r = r ? r : fits_here(c, s, to);
    if (r)
        return r;
    struct flavor_copy *from = s->flavor;
    s->new_flavor = to;
    r = migration_record(c->txn, s, "resize", "migrating", s->host);
    if (r)
        return r;
    if (want->disk_config)
        s->auto_disk_config = STREQ(want->disk_config, "AUTO");
    s->vm_state_before = s->vm_state;
    s->flavor = to;
    s->new_flavor = from;           /* kept for going back */
    claim_larger(s, from, to);
    s->resize++;
    server_order(s);
    return server_task(s, TASK_RESIZE_FINISH);
}

static void claim_flavor(struct server *s)
{
    struct claim k = claim_of(s, s->flavor);
    s->claim_vcpus = k.vcpus;
    s->claim_memory_mb = k.memory_mb;
    s->claim_disk_gb = k.disk_gb;
}

ACTION(confirm_resize)
{
    UNUSED_ARGUMENTS;
    if (!s->new_flavor)
        return call_fault(c, 400, "MigrationNotFound", "Instance has not been resized.");
    s->new_flavor = NULL;
    claim_flavor(s);
    int r = migration_move(c->txn, s->head.id, "confirmed");
    return r ? r : server_move(s, str_eq(s->seen_power, POWER_RUNNING) ? VM_ACTIVE : VM_STOPPED, NULL);
}

ACTION(revert_resize)
{
    UNUSED_ARGUMENTS;
    if (!s->new_flavor)
        return call_fault(c, 400, "MigrationNotFound", "Instance has not been resized.");
    struct flavor_copy *now = s->flavor;
    s->flavor = s->new_flavor;
    s->new_flavor = now;
    s->resize++;
    s->power = str_eq(s->vm_state_before, VM_STOPPED) ? POWER_SHUTOFF : POWER_RUNNING;
    server_order(s);
    int r = migration_move(c->txn, s->head.id, "reverting");
    return r ? r : server_task(s, TASK_RESIZE_REVERTING);
}

int migration_judge(struct txn *t, struct server *s, const struct server_observed *o, bool *ret_changed)
{
    bool done = o->revision >= s->generation && o->resize >= s->resize && str_eq(o->power, s->power);
    bool reverting = str_eq(s->task_state, TASK_RESIZE_REVERTING);
    int r = 0;
    if (!reverting && !str_eq(s->task_state, TASK_RESIZE_FINISH))
        return 0;
    if (!done && !(o->revision >= s->generation && o->fault_code))
        return 0;
    *ret_changed = true;
    if (!done) {
        /* The old flavor counts again; what is on the host stays as it was. */
        if (!reverting && s->new_flavor) {
            s->flavor = s->new_flavor;
            s->new_flavor = NULL;
            claim_flavor(s);
            s->resize++;
            server_order(s);
        }
        r = migration_move(t, s->head.id, "error");
        return r < 0 ? r : server_fail(t, s, o->fault_code, str_or(o->fault_message, "The resize failed."),
                                       o->fault_details, reverting);
    }
    if (reverting) {
        s->new_flavor = NULL;
        claim_flavor(s);
        r = migration_move(t, s->head.id, "reverted");
        r = r < 0 ? r : server_move(s, str_eq(o->power, POWER_RUNNING) ? VM_ACTIVE : VM_STOPPED, NULL);
    } else {
        r = migration_move(t, s->head.id, "finished");
        r = r < 0 ? r : server_move(s, VM_RESIZED, NULL);
    }
    return r < 0 ? r : action_end(t, s, NULL);
}

int migration_leg_judge(struct txn *t, struct server *s, struct leg *leg, const struct server_observed *o)
{
    (void)t;
    (void)s;
    (void)leg;
    (void)o;
    return 0;
}

const struct server_action RESIZE_ACTIONS[] = {
    { "resize", .rule = "os_compute_api:servers:resize", .vm = IN_ACTIVE | IN_STOPPED, .flags = ACT_OBJECT,
      .record = "resize", .in = &RESIZE_SCHEMA, .fn = resize },
    { "confirmResize", .status = 204, .rule = "os_compute_api:servers:confirm_resize", .vm = IN_RESIZED,
      .record = "confirmResize", .verb = "confirm_resize", .fn = confirm_resize },
    { "revertResize", .rule = "os_compute_api:servers:revert_resize", .vm = IN_RESIZED, .record = "revertResize",
      .verb = "revert_resize", .fn = revert_resize },
    { NULL },
};

/* ---- lists ---- */

static void render(struct call *c, const struct migration *m)
{
    struct json_out *o = &c->out;
    bool live = str_eq(m->migration_type, "live-migration");
    json_open_object(o);
    json_put_int(o, "id", m->number);
    json_put_string(o, "status", m->status);
    json_put_string(o, "instance_uuid", m->server_id);
    json_put_string(o, "source_node", m->source_node);
    json_put_string(o, "source_compute", m->source_compute);
    json_put_string(o, "dest_node", m->dest_node);
    json_put_string(o, "dest_compute", m->dest_compute);
    json_put_string(o, "dest_host", m->dest_host);
    json_put_raw(o, "old_instance_type_id", "1");
    json_put_raw(o, "new_instance_type_id", "1");
    compute_put_time(o, "created_at", m->created_at, TIME_ISO_MICRO);
    compute_put_time(o, "updated_at", m->updated_at, TIME_ISO_MICRO);
    if (c->minor >= 23) {
        json_put_string(o, "migration_type", m->migration_type);
        json_put_array(o, "links");
        bool open = str_eq(m->status, "queued") || str_eq(m->status, "preparing") || str_eq(m->status, "running") ||
                    str_eq(m->status, "post-migrating");
        if (live && open)
            for (int i = 0; i < 2; i++) {
                json_open_object(o);
                json_put_string(o, "rel", i ? "bookmark" : "self");
                json_put_string(o, "href", arena_printf(c->arena, "%s%s/servers/%s/migrations/%lld", call_base_url(c),
                                                        i ? "" : "/v2.1", m->server_id, (long long)m->number));
                json_close_object(o);
            }
        json_close_array(o);
    }
    if (c->minor >= 59)
        json_put_string(o, "uuid", m->head.id);
    if (c->minor >= 80) {
        json_put_string(o, "user_id", m->user_id);
        json_put_string(o, "project_id", m->project_id);
    }
    json_close_object(o);
}

static int migrations_list(struct call *c)
{
    static const char *const FILTERS[][2] = {
        { "host", NULL }, { "status", "status" }, { "migration_type", "migration_type" },
        { "source_compute", "source_compute" }, { "instance_uuid", "server_id" }, { "user_id", "user_id" },
        { "project_id", "project_id" },
    };
    struct query q = { .kind = &MIGRATION_KIND };
    const char *marker = NULL;
    int r = c->minor >= 59 ? compute_page(c, &q.limit, &marker) : 0;
    r = r ? r : call_read(c);
    if (r)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(FILTERS); i++) {
        const char *value = call_arg(c, FILTERS[i][0]);
        if (!value)
            continue;
        if (FILTERS[i][1]) {
            query_where(&q, c->arena, FILTERS[i][1], Q_EQ, value);
            continue;
        }
        struct condition *w = query_where(&q, c->arena, "source_compute", Q_EQ, value);
        if (w)
            w->any = 1;
        w = query_where(&q, c->arena, "dest_compute", Q_EQ, value);
        if (w)
            w->any = 1;
    }
    query_sort(&q, c->arena, "created_at", true);
    q.marker = marker;
    struct results l;
    r = txn_list(c->txn, &q, &l);
    if (r < 0)
        return r;
    if (l.marker_lost)
        return call_fault(c, 400, "MarkerNotFound", "Marker %s could not be found.", marker);
    json_open_object(&c->out);
    json_put_array(&c->out, "migrations");
    for (size_t i = 0; i < l.n; i++)
        render(c, l.v[i]);
    json_close_array(&c->out);
    if (c->minor >= 59)
        compute_next_link(c, "migrations", l.more, l.n ? ((struct object *)l.v[l.n - 1])->id : NULL, &c->out);
    json_close_object(&c->out);
    return 0;
}

/* Live migrations of one server that are under way. */
static int server_migrations_list(struct call *c)
{
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:servers:migrations:index", &s);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "migrations");
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static const struct route MIGRATION_ROUTES[] = {
    { "GET", "/v2.1/os-migrations", migrations_list, "os_compute_api:os-migrations:index", 0, .doc = "Migrations." },
    { "GET", "/v2.1/servers/{id}/migrations", server_migrations_list, NULL, .since = 23,
      .doc = "Live migrations of a server." },
};
static const struct policy_rule MIGRATION_RULES[] = {
    { "os_compute_api:os-migrations:index", RULE_ADMIN, "List migrations." },
    { "os_compute_api:servers:migrations:index", RULE_ADMIN, "List live migrations of a server." },
};
COMPUTE_PART(MIGRATION_PART, MIGRATION_ROUTES, MIGRATION_RULES);
