/* Quotas and limits as Nova tells them, and how much a project used. */
#include "compute/internal.h"

#include <errno.h>
#include <stdio.h>

/* Which rows of the quota table a microversion knows. */
static bool row_known(const struct call *c, const char *name)
{
    bool network = STREQ(name, "floating_ips") || STREQ(name, "fixed_ips") || str_starts(name, "security_group");
    bool file = str_starts(name, "injected_file");
    return !(network && c->minor >= 36) && !(file && c->minor >= 57);
}

/* ---- quota sets ---- */

static int put_set(struct call *c, const char *project_id, bool detail, bool defaults)
{
    for (size_t i = 0; i < COMPUTE_QUOTAS.n; i++) {
        const char *name = COMPUTE_QUOTAS.rows[i].name;
        int64_t limit, used = 0;
        if (!row_known(c, name))
            continue;
        int r = quota_limit(c->txn, &COMPUTE_QUOTAS, defaults ? "default" : project_id, name, &limit);
        if (r == 0 && detail)
            r = quota_used(c->txn, &COMPUTE_QUOTAS, project_id, name, &used);
        if (r)
            return r;
        if (!detail) {
            json_put_int(&c->out, name, limit);
            continue;
        }
        json_put_object(&c->out, name);
        json_put_int(&c->out, "limit", limit);
        json_put_int(&c->out, "in_use", used);
        json_put_int(&c->out, "reserved", 0);
        json_close_object(&c->out);
    }
    return 0;
}

static int put_quota_set(struct call *c, bool detail, bool defaults)
{
    const char *id = call_param(c, "id");
    int r = call_read(c);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_object(&c->out, "quota_set");
    json_put_string(&c->out, "id", id);
    r = put_set(c, id, detail, defaults);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static int own_quota(struct call *c, const char *rule)
{
    return call_require_project(c, rule, call_param(c, "id"));
}

static int quota_show(struct call *c)
{
    int r = own_quota(c, "os_compute_api:os-quota-sets:show");
    return r ? r : put_quota_set(c, false, false);
}

static int quota_detail(struct call *c)
{
    int r = own_quota(c, "os_compute_api:os-quota-sets:detail");
    return r ? r : put_quota_set(c, true, false);
}

static int quota_defaults(struct call *c)
{
    return put_quota_set(c, false, true);
}

static bool loose_number(const json_t *value, int64_t *ret)
{
    char *end;
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    *ret = text ? strtoll(text, &end, 10) : 0;
    return text && *text && !*end;
}

static int set_limits(struct call *c, const char *project_id, const json_t *set)
{
    const char *key;
    json_t *value;
    bool force = json_get_bool(set, "force", false);
    json_object_foreach((json_t *)(uintptr_t)set, key, value) {
        int64_t limit, used;
        size_t i = 0;
        if (STREQ(key, "force") || STREQ(key, "id") || STREQ(key, "tenant_id"))
            continue;
        while (i < COMPUTE_QUOTAS.n && !STREQ(COMPUTE_QUOTAS.rows[i].name, key))
            i++;
        if (i == COMPUTE_QUOTAS.n || !row_known(c, key))
            return call_fault(c, 400, "ValidationError", "Additional properties are not allowed ('%s' was unexpected)",
                              key);
        if (!loose_number(value, &limit) || limit < -1 || limit > INT32_MAX)
            return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute %s.", key);
        int r = quota_used(c->txn, &COMPUTE_QUOTAS, project_id, key, &used);
        if (r)
            return r;
        if (!force && limit >= 0 && used > limit && !STREQ(project_id, "default"))
            return call_fault(c, 400, "BadRequest", "Quota limit %lld for %s must be greater than or equal to already "
                              "used and reserved %lld.", (long long)limit, key, (long long)used);
        r = quota_set(c->txn, &COMPUTE_QUOTAS, project_id, key, limit);
        if (r)
            return r;
    }
    return 0;
}

static int quota_change(struct call *c)
{
    const json_t *set = json_get_object(c->body, "quota_set");
    const char *id = call_param(c, "id");
    if (!set)
        return call_fault(c, 400, "ValidationError", "'quota_set' is a required property");
    int r = set_limits(c, id, set);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_object(&c->out, "quota_set");
    r = put_set(c, id, false, false);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static int quota_update(struct call *c)
{
    return call_write(c, quota_change);
}

static int quota_forget(struct call *c)
{
    c->status = 202;
    return quota_reset(c->txn, &COMPUTE_QUOTAS, call_param(c, "id"));
}

static int quota_delete(struct call *c)
{
    return call_write(c, quota_forget);
}

static int put_class(struct call *c, bool with_id)
{
    json_open_object(&c->out);
    json_put_object(&c->out, "quota_class_set");
    if (with_id)
        json_put_string(&c->out, "id", call_param(c, "id"));
    int r = put_set(c, "default", false, true);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static int class_show(struct call *c)
{
    int r = call_read(c);
    return r ? r : put_class(c, true);
}

static int class_change(struct call *c)
{
    const json_t *set = json_get_object(c->body, "quota_class_set");
    if (!set)
        return call_fault(c, 400, "ValidationError", "'quota_class_set' is a required property");
    if (!STREQ(call_param(c, "id"), "default"))
        return call_fault(c, 400, "BadRequest", "There is one quota class: default.");
    int r = set_limits(c, "default", set);
    return r ? r : put_class(c, false);
}

static int class_update(struct call *c)
{
    return call_write(c, class_change);
}

/* ---- limits ---- */

static int limits_show(struct call *c)
{
    static const struct { const char *name, *row; bool used; int16_t until; } ROWS[] = {
        { "maxServerMeta", "metadata_items", false, 0 }, { "maxTotalInstances", "instances", false, 0 },
        { "maxTotalCores", "cores", false, 0 }, { "maxTotalRAMSize", "ram", false, 0 },
        { "maxTotalKeypairs", "key_pairs", false, 0 }, { "maxServerGroups", "server_groups", false, 0 },
        { "maxServerGroupMembers", "server_group_members", false, 0 },
        { "maxPersonality", "injected_files", false, 56 },
        { "maxPersonalitySize", "injected_file_content_bytes", false, 56 },
        { "maxImageMeta", "metadata_items", false, 38 }, { "maxSecurityGroups", "security_groups", false, 35 },
        { "maxSecurityGroupRules", "security_group_rules", false, 35 },
        { "maxTotalFloatingIps", "floating_ips", false, 35 }, { "totalInstancesUsed", "instances", true, 0 },
        { "totalCoresUsed", "cores", true, 0 }, { "totalRAMUsed", "ram", true, 0 },
        { "totalServerGroupsUsed", "server_groups", true, 0 }, { "totalFloatingIpsUsed", "floating_ips", true, 35 },
        { "totalSecurityGroupsUsed", "security_groups", true, 35 },
    };
    const char *project = call_is_admin(c) && call_arg(c, "tenant_id") ? call_arg(c, "tenant_id")
                                                                       : str_or(c->auth->project_id, "");
    if (call_arg(c, "tenant_id") && !call_is_admin(c) && !STREQ(call_arg(c, "tenant_id"), project))
        return call_fault(c, 403, "Forbidden", "Policy doesn't allow os_compute_api:limits:other_project to be performed.");
    int r = call_read(c);
    json_open_object(&c->out);
    json_put_object(&c->out, "limits");
    json_put_array(&c->out, "rate");
    json_close_array(&c->out);
    json_put_object(&c->out, "absolute");
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ROWS); i++) {
        int64_t n;
        if (ROWS[i].until && c->minor > ROWS[i].until)
            continue;
        r = ROWS[i].used ? quota_used(c->txn, &COMPUTE_QUOTAS, project, ROWS[i].row, &n)
                         : quota_limit(c->txn, &COMPUTE_QUOTAS, project, ROWS[i].row, &n);
        json_put_int(&c->out, ROWS[i].name, n);
    }
    json_close_object(&c->out);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

/* ---- usage ---- */

struct span { usec_t start, end; };
struct usage { double hours, vcpus, memory, disk; };

static int read_span(struct call *c, struct span *s)
{
    const char *start = call_arg(c, "start"), *end = call_arg(c, "end");
    s->end = clock_wall();
    s->start = s->end - DAYS(28);
    if ((start && time_parse(start, &s->start) < 0) || (end && time_parse(end, &s->end) < 0))
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute %s.", start ? "start" : "end");
    return s->start > s->end ? call_fault(c, 400, "BadRequest", "Invalid start time. The start time cannot occur after "
                                          "the end time.") : 0;
}

static void put_server_usage(struct call *c, const struct server *s, double hours)
{
    const struct flavor_copy *f = s->flavor;
    usec_t until = s->terminated_at ? s->terminated_at : clock_wall();
    json_open_object(&c->out);
    json_put_string(&c->out, "instance_id", s->head.id);
    json_put_string(&c->out, "name", s->display_name);
    json_put_string(&c->out, "tenant_id", s->project_id);
    json_put_string(&c->out, "flavor", f->name);
    json_key(&c->out, "hours");
    json_double_out(&c->out, hours);
    json_put_int(&c->out, "local_gb", f->disk + f->ephemeral);
    json_put_int(&c->out, "memory_mb", f->ram);
    json_put_int(&c->out, "vcpus", f->vcpus);
    compute_put_time(&c->out, "started_at", s->launched_at ? s->launched_at : s->created_at, TIME_ISO_MICRO);
    compute_put_time(&c->out, "ended_at", s->terminated_at, TIME_ISO_MICRO);
    json_put_string(&c->out, "state", s->terminated_at ? "terminated" : str_or(s->vm_state, ""));
    json_put_int(&c->out, "uptime", (until - (s->launched_at ? s->launched_at : s->created_at)) / 1000000);
    json_close_object(&c->out);
}

static double hours_in(const struct server *s, const struct span *span)
{
    usec_t from = MAX(s->launched_at ? s->launched_at : s->created_at, span->start);
    usec_t to = MIN(s->terminated_at ? s->terminated_at : span->end, span->end);
    return to > from ? (double)(to - from) / 3600e6 : 0;
}

static void put_usage(struct call *c, const char *project, const struct results *l, const struct span *span, bool servers)
{
    struct usage u = { 0 };
    json_open_object(&c->out);
    if (servers)
        json_put_array(&c->out, "server_usages");
    for (size_t i = 0; i < l->n; i++) {
        const struct server *s = l->v[i];
        if (!str_eq(s->project_id, project) || !s->flavor)
            continue;
        double h = hours_in(s, span);
        u.hours += h;
        u.vcpus += h * (double)s->flavor->vcpus;
        u.memory += h * (double)s->flavor->ram;
        u.disk += h * (double)(s->flavor->disk + s->flavor->ephemeral);
        if (servers)
            put_server_usage(c, s, h);
    }
    if (servers)
        json_close_array(&c->out);
    json_put_string(&c->out, "tenant_id", project);
    compute_put_time(&c->out, "start", span->start, TIME_ISO_MICRO);
    compute_put_time(&c->out, "stop", span->end, TIME_ISO_MICRO);
    json_key(&c->out, "total_hours");
    json_double_out(&c->out, u.hours);
    json_key(&c->out, "total_vcpus_usage");
    json_double_out(&c->out, u.vcpus);
    json_key(&c->out, "total_memory_mb_usage");
    json_double_out(&c->out, u.memory);
    json_key(&c->out, "total_local_gb_usage");
    json_double_out(&c->out, u.disk);
    json_close_object(&c->out);
}

/* Those that are there and those of the bounded history of deleted ones. */
static int servers_of(struct call *c, const char *project, struct results *ret)
{
    static const struct kind *const KINDS[] = { &SERVER_KIND, &DELETED_SERVER_KIND };
    for (size_t k = 0; k < ARRAY_SIZE(KINDS); k++) {
        struct query q = { .kind = KINDS[k] };
        struct results l = { 0 };
        if (project && !query_where(&q, c->arena, "project_id", Q_EQ, project))
            return -ENOMEM;
        int r = txn_list(c->txn, &q, &l);
        for (size_t i = 0; r == 0 && i < l.n; i++)
            if (!vec_push(c->arena, ret, l.v[i]))
                r = -ENOMEM;
        if (r)
            return r;
    }
    return 0;
}

static int usage_show(struct call *c)
{
    const char *project = call_param(c, "id");
    struct span span;
    struct results l = { 0 };
    int r = call_require_project(c, "os_compute_api:os-simple-tenant-usage:show", project);
    r = r ? r : read_span(c, &span);
    r = r ? r : call_read(c);
    r = r ? r : servers_of(c, project, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "tenant_usage");
    put_usage(c, project, &l, &span, true);
    json_close_object(&c->out);
    return 0;
}

static int usage_list(struct call *c)
{
    struct span span;
    struct results l = { 0 };
    struct strv projects = { 0 };
    int r = read_span(c, &span);
    r = r ? r : call_read(c);
    r = r ? r : servers_of(c, NULL, &l);
    if (r)
        return r;
    for (size_t i = 0; i < l.n; i++) {
        const struct server *s = l.v[i];
        if (s->project_id && !strv_has(&projects, s->project_id) && hours_in(s, &span) > 0)
            strv_add(c->arena, &projects, s->project_id);
    }
    json_open_object(&c->out);
    json_put_array(&c->out, "tenant_usages");
    for (size_t i = 0; i < projects.n; i++)
        put_usage(c, projects.v[i], &l, &span, call_arg_bool(c, "detailed", false));
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

#define Q "/v2.1/os-quota-sets"
#define K "/v2.1/os-quota-class-sets"
static const struct route LIMIT_ROUTES[] = {
    { "GET", Q "/{id}", quota_show, NULL, 0, .doc = "A project's quotas." },
    { "GET", Q "/{id}/defaults", quota_defaults, "os_compute_api:os-quota-sets:defaults", 0, .doc = "The defaults." },
    { "GET", Q "/{id}/detail", quota_detail, NULL, 0, .doc = "Quotas with what is used." },
    { "PUT", Q "/{id}", quota_update, "os_compute_api:os-quota-sets:update", 0, .doc = "Changes them." },
    { "DELETE", Q "/{id}", quota_delete, "os_compute_api:os-quota-sets:delete", 0, .status = 202,
      .doc = "Back to the defaults." },
    { "GET", K "/{id}", class_show, "os_compute_api:os-quota-class-sets:show", 0, .doc = "The defaults, as a class." },
    { "PUT", K "/{id}", class_update, "os_compute_api:os-quota-class-sets:update", 0, .doc = "Changes the defaults." },
    { "GET", "/v2.1/limits", limits_show, "os_compute_api:limits", 0, .doc = "Limits and what is used of them." },
    { "GET", "/v2.1/os-simple-tenant-usage", usage_list, "os_compute_api:os-simple-tenant-usage:list", 0,
      .doc = "What each project used." },
    { "GET", "/v2.1/os-simple-tenant-usage/{id}", usage_show, NULL, 0, .doc = "What one project used." },
};
static const struct policy_rule LIMIT_RULES[] = {
    { "os_compute_api:os-quota-sets:show", RULE_READER, "See quotas." },
    { "os_compute_api:os-quota-sets:detail", RULE_READER, "See quotas and use." },
    { "os_compute_api:os-quota-sets:defaults", RULE_ANY, "See the defaults." },
    { "os_compute_api:os-quota-sets:update", RULE_ADMIN, "Change quotas." },
    { "os_compute_api:os-quota-sets:delete", RULE_ADMIN, "Reset quotas." },
    { "os_compute_api:os-quota-class-sets:show", RULE_ADMIN, "See the default quotas." },
    { "os_compute_api:os-quota-class-sets:update", RULE_ADMIN, "Change the default quotas." },
    { "os_compute_api:limits", RULE_ANY, "See one's limits." },
    { "os_compute_api:os-simple-tenant-usage:list", RULE_ADMIN, "See every project's use." },
    { "os_compute_api:os-simple-tenant-usage:show", RULE_READER, "See a project's use." },
};
COMPUTE_PART(LIMIT_PART, LIMIT_ROUTES, LIMIT_RULES);
