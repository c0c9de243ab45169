/* Host aggregates, and server groups. */
#include "compute/internal.h"

#include <errno.h>

/* ---- aggregates ---- */

struct aggregate_in {
    const char *name, *availability_zone;
};
static const struct field AGGREGATE_IN_ROWS[] = {
    { "name", FIELD_STRING, offsetof(struct aggregate_in, name), IN_CREATE | IN_UPDATE | REQUIRED | NONEMPTY, .min = 1,
      .max = 255, .doc = "Unique." },
    { "availability_zone", FIELD_STRING, offsetof(struct aggregate_in, availability_zone),
      IN_CREATE | IN_UPDATE | NULLABLE | NONEMPTY, .max = 255, .doc = "Zone of its hosts." },
};
static SCHEMA(AGGREGATE_IN_SCHEMA, struct aggregate_in, AGGREGATE_IN_ROWS);

static int find_aggregate(struct call *c, const char *id, struct aggregate **ret)
{
    struct query q = { .kind = &AGGREGATE_KIND };
    struct results l = { 0 };
    char *end;
    long long number = strtoll(id, &end, 10);
    *ret = NULL;
    if (*end)
        return call_fault(c, 400, "BadRequest", "Invalid aggregate id %s", id);
    int r = txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (((struct aggregate *)l.v[i])->number == number)
            *ret = l.v[i];
    if (r == 0 && !*ret)
        return call_fault(c, 404, "AggregateNotFound", "Aggregate %s could not be found.", id);
    return r;
}

static void put_aggregate(struct call *c, const struct aggregate *a, bool full)
{
    json_open_object(&c->out);
    json_put_int(&c->out, "id", a->number);
    json_put_string(&c->out, "name", a->name);
    json_put_string(&c->out, "availability_zone", strmap_get(&a->metadata, "availability_zone"));
    compute_put_time(&c->out, "created_at", a->created_at, TIME_ISO_MICRO);
    compute_put_time(&c->out, "updated_at", a->updated_at, TIME_ISO_MICRO);
    json_put_bool(&c->out, "deleted", false);
    json_put_null(&c->out, "deleted_at");
    if (full) {
        json_put_strings(&c->out, "hosts", &a->hosts);
        json_put_map(&c->out, "metadata", &a->metadata);
    }
    if (c->minor >= 41)
        json_put_string(&c->out, "uuid", a->head.id);
    json_close_object(&c->out);
}

static int put_one(struct call *c, const struct aggregate *a, bool full)
{
    json_open_object(&c->out);
    json_key(&c->out, "aggregate");
    put_aggregate(c, a, full);
    json_close_object(&c->out);
    return 0;
}

static int aggregates_list(struct call *c)
{
    struct query q = { .kind = &AGGREGATE_KIND };
    struct results l = { 0 };
    int r = call_read(c);
    r = r ? r : txn_list(c->txn, &q, &l);
    json_open_object(&c->out);
    json_put_array(&c->out, "aggregates");
    for (size_t i = 0; i < l.n; i++)
        put_aggregate(c, l.v[i], true);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return r;
}

static int aggregate_show(struct call *c)
{
    struct aggregate *a;
    int r = call_read(c);
    r = r ? r : find_aggregate(c, call_param(c, "id"), &a);
    return r ? r : put_one(c, a, true);
}

static int save_aggregate(struct call *c, struct aggregate *a)
{
    a->updated_at = clock_wall();
    int r = txn_put(c->txn, &AGGREGATE_KIND, a);
    return r == TXN_TAKEN ? call_fault(c, 409, "AggregateNameExists", "Aggregate %s already exists.", a->name) : r;
}

static int aggregate_make(struct call *c)
{
    const struct aggregate_in *in = c->in;
    struct aggregate a = { .head.id = uuid_new(c->arena), .name = in->name, .created_at = clock_wall() };
    int r = sequence_next(c->txn, "aggregate", &a.number);
    if (r == 0 && in->availability_zone && !strmap_set(c->arena, &a.metadata, "availability_zone", in->availability_zone))
        r = -ENOMEM;
    r = r ? r : save_aggregate(c, &a);
    a.updated_at = 0;
    return r ? r : put_one(c, &a, false);
}

static int aggregate_create(struct call *c)
{
    return call_write(c, aggregate_make);
}

/* Servers that stand in a host's zone keep the host in it. */
static int zone_busy(struct call *c, const struct aggregate *a)
{
    for (size_t i = 0; i < a->hosts.n; i++) {
        struct host_usage u;
        int r = host_usage_count(c->txn, a->hosts.v[i], &u);
        if (r)
            return r;
        if (u.servers)
            return call_fault(c, 400, "InvalidAggregateAction", "Cannot update aggregate %lld. Reason: One or more "
                              "hosts contain instances in this zone.", (long long)a->number);
    }
    return 0;
}

static int aggregate_change(struct call *c)
{
    const struct aggregate_in *in = c->in;
    struct aggregate *a;
    int r = find_aggregate(c, call_param(c, "id"), &a);
    if (r)
        return r;
    bool name = GIVEN(&c->given, &AGGREGATE_IN_SCHEMA, struct aggregate_in, name);
    bool zone = GIVEN(&c->given, &AGGREGATE_IN_SCHEMA, struct aggregate_in, availability_zone);
    if (!name && !zone)
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute aggregate. {} does not have "
                          "enough properties");
    if (name)
        a->name = in->name;
    if (zone && !str_eq(in->availability_zone, strmap_get(&a->metadata, "availability_zone"))) {
        r = zone_busy(c, a);
        if (in->availability_zone)
            strmap_set(c->arena, &a->metadata, "availability_zone", in->availability_zone);
        else
            strmap_drop(&a->metadata, "availability_zone");
    }
    r = r ? r : save_aggregate(c, a);
    return r ? r : put_one(c, a, true);
}

static int aggregate_update(struct call *c)
{
    return call_write(c, aggregate_change);
}

static int aggregate_remove(struct call *c)
{
    struct aggregate *a;
    int r = find_aggregate(c, call_param(c, "id"), &a);
    if (r == 0 && a->hosts.n)
        return call_fault(c, 400, "InvalidAggregateAction", "Cannot delete aggregate %lld. Reason: not empty.",
                          (long long)a->number);
    c->status = 200;
    return r ? r : txn_delete(c->txn, &AGGREGATE_KIND, a->head.id);
}

static int aggregate_delete(struct call *c)
{
    return call_write(c, aggregate_remove);
}

static int change_host(struct call *c, struct aggregate *a, const json_t *order, bool add)
{
    const char *host = json_get_string(order, "host");
    struct compute_host *h;
    if (str_empty(host) || json_object_size(order) != 1)
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute host.");
    int r = txn_get(c->txn, &COMPUTE_HOST_KIND, host, &h);
    if (r)
        return r;
    if (!h)
        return call_fault(c, 404, "ComputeHostNotFound", "Compute host %s could not be found.", host);
    bool there = strv_has(&a->hosts, host);
    if (add && there)
        return call_fault(c, 409, "AggregateHostExists", "Aggregate %lld already has host %s.", (long long)a->number, host);
    if (!add && !there)
        return call_fault(c, 404, "AggregateHostNotFound", "Aggregate %lld has no host %s.", (long long)a->number, host);
    const char *zone = strmap_get(&a->metadata, "availability_zone"), *now;
    r = zone && add ? host_zone(c->txn, host, &now) : 0;
    if (r == 0 && zone && add && !STREQ(now, "nova") && !STREQ(now, zone))
        return call_fault(c, 409, "InvalidAggregateAction", "Cannot add host to aggregate %lld. Reason: Host already in "
                          "another availability zone", (long long)a->number);
    if (add && !strv_add(c->arena, &a->hosts, host))
        return -ENOMEM;
    if (!add)
        strv_drop(&a->hosts, host);
    return r;
}

static int change_metadata(struct call *c, struct aggregate *a, const json_t *order)
{
    json_t *metadata = json_get_object(order, "metadata"), *value;
    const char *key;
    if (!metadata || json_object_size(order) != 1)
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute metadata.");
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value) && !json_is_null(value))
            return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute %s.", key);
        if (json_is_null(value))
            strmap_drop(&a->metadata, key);
        else if (!strmap_set(c->arena, &a->metadata, key, json_string_value(value)))
            return -ENOMEM;
    }
    return 0;
}

static int aggregate_order(struct call *c)
{
    struct aggregate *a;
    const json_t *add = json_get_object(c->body, "add_host"), *drop = json_get_object(c->body, "remove_host");
    const json_t *set = json_get_object(c->body, "set_metadata");
    if (!add + !drop + !set != 2 || json_object_size(c->body) != 1)
        return call_fault(c, 400, "BadRequest", "There is no such action: one of add_host, remove_host, set_metadata.");
    int r = find_aggregate(c, call_param(c, "id"), &a);
    if (r)
        return r;
    r = set ? change_metadata(c, a, set) : change_host(c, a, add ? add : drop, add != NULL);
    r = r ? r : save_aggregate(c, a);
    return r ? r : put_one(c, a, true);
}

static int aggregate_action(struct call *c)
{
    return call_write(c, aggregate_order);
}

/* ---- server groups ---- */

static const char *const POLICIES[] = { "affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity", NULL };

static int members_of(struct call *c, const char *group_id, struct strv *ret)
{
    struct query q = { .kind = &SERVER_KIND };
    struct results l = { 0 };
    if (!query_where(&q, c->arena, "group_id", Q_EQ, group_id))
        return -ENOMEM;
    int r = txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (!strv_add(c->arena, ret, ((struct object *)l.v[i])->id))
            r = -ENOMEM;
    return r;
}

static int put_group(struct call *c, const struct server_group *g)
{
    struct strv members = { 0 };
    int r = members_of(c, g->head.id, &members);
    json_open_object(&c->out);
    json_put_string(&c->out, "id", g->head.id);
    json_put_string(&c->out, "name", g->name);
    if (c->minor >= 64) {
        json_put_string(&c->out, "policy", g->policy);
        json_put_object(&c->out, "rules");
        if (g->max_server_per_host)
            json_put_int(&c->out, "max_server_per_host", g->max_server_per_host);
        json_close_object(&c->out);
    } else {
        json_put_array(&c->out, "policies");
        json_string_out(&c->out, g->policy);
        json_close_array(&c->out);
        json_put_object(&c->out, "metadata");
        json_close_object(&c->out);
    }
    json_put_strings(&c->out, "members", &members);
    if (c->minor >= 13) {
        json_put_string(&c->out, "project_id", g->project_id);
        json_put_string(&c->out, "user_id", g->user_id);
    }
    json_close_object(&c->out);
    return r;
}

static int groups_list(struct call *c)
{
    struct query q = { .kind = &SERVER_GROUP_KIND };
    struct results l = { 0 };
    int64_t limit, offset;
    int r = call_arg_int(c, "limit", 0, INT32_MAX, 0, &limit);
    r = r ? r : call_arg_int(c, "offset", 0, INT32_MAX, 0, &offset);
    r = r ? r : call_read(c);
    if (r)
        return r;
    bool all = call_is_admin(c) && call_arg(c, "all_projects") != NULL;
    if ((!all && !query_where(&q, c->arena, "project_id", Q_EQ, str_or(c->auth->project_id, ""))) ||
        !query_sort(&q, c->arena, "created_at", false))
        return -ENOMEM;
    q.limit = limit ? (size_t)limit : 1000;
    q.offset = (size_t)offset;
    r = txn_list(c->txn, &q, &l);
    json_open_object(&c->out);
    json_put_array(&c->out, "server_groups");
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = put_group(c, l.v[i]);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return r;
}

static int read_policy(struct call *c, const json_t *in, struct server_group *g)
{
    json_t *policies = json_get_array(in, "policies"), *rules = json_object_get(in, "rules");
    g->policy = c->minor >= 64 ? json_get_string(in, "policy")
                               : json_array_size(policies) == 1 ? json_string_value(json_array_get(policies, 0)) : NULL;
    size_t known = 2, i = 0;
    while (g->policy && POLICIES[i] && !STREQ(POLICIES[i], g->policy))
        i++;
    if (!g->policy || !POLICIES[i] || (c->minor < 15 && i >= known))
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute %s.",
                          c->minor >= 64 ? "policy" : "policies");
    if (!rules)
        return 0;
    const json_t *most = json_object_get(rules, "max_server_per_host");
    if (c->minor < 64 || !json_is_object(rules) || json_object_size(rules) != (most ? 1u : 0u) ||
        (most && (!json_is_integer(most) || json_integer_value(most) < 1)))
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute rules.");
    if (most && !STREQ(g->policy, "anti-affinity"))
        return call_fault(c, 400, "BadRequest", "Only anti-affinity policy supports rules.");
    g->max_server_per_host = most ? json_integer_value(most) : 0;
    return 0;
}

static int group_make(struct call *c)
{
    const json_t *in = json_get_object(c->body, "server_group");
    const char *name = json_get_string(in, "name");
    struct server_group g = { .head.id = uuid_new(c->arena), .name = name, .project_id = c->auth->project_id,
                              .user_id = c->auth->user_id, .created_at = clock_wall() };
    const char *key;
    json_t *value;
    if (!in || !name || check_name(name))
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute name.");
    json_object_foreach((json_t *)(uintptr_t)in, key, value)
        if (!STREQ(key, "name") && !STREQ(key, "rules") && !STREQ(key, c->minor >= 64 ? "policy" : "policies"))
            return call_fault(c, 400, "ValidationError", "Additional properties are not allowed ('%s' was unexpected)",
                              key);
    int r = read_policy(c, in, &g);
    r = r ? r : quota_fits(c->txn, &COMPUTE_QUOTAS, str_or(g.project_id, ""), "server_groups", 1, NULL, NULL);
    if (r == 1 && !c->fault.status)
        return call_fault(c, 403, "ServerGroupLimitExceeded", "Quota exceeded, too many server groups.");
    r = r ? r : txn_put(c->txn, &SERVER_GROUP_KIND, &g);
    json_open_object(&c->out);
    json_key(&c->out, "server_group");
    r = r ? r : put_group(c, &g);
    json_close_object(&c->out);
    return r;
}

static int group_create(struct call *c)
{
    return call_write(c, group_make);
}

static int find_group(struct call *c, struct server_group **ret)
{
    const char *id = call_param(c, "id");
    int r = txn_get(c->txn, &SERVER_GROUP_KIND, id, ret);
    if (r == 0 && (!*ret || !(call_is_admin(c) || str_eq((*ret)->project_id, c->auth->project_id))))
        return call_fault(c, 404, "InstanceGroupNotFound", "Instance group %s could not be found.", id);
    return r;
}

static int group_show(struct call *c)
{
    struct server_group *g;
    int r = call_read(c);
    r = r ? r : find_group(c, &g);
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "server_group");
    r = put_group(c, g);
    json_close_object(&c->out);
    return r;
}

static int group_remove(struct call *c)
{
    struct server_group *g;
    int r = find_group(c, &g);
    c->status = 204;
    return r ? r : txn_delete(c->txn, &SERVER_GROUP_KIND, g->head.id);
}

static int group_delete(struct call *c)
{
    return call_write(c, group_remove);
}

#define A "/v2.1/os-aggregates"
#define G "/v2.1/os-server-groups"
static const struct route AGGREGATE_ROUTES[] = {
    { "GET", A, aggregates_list, "os_compute_api:os-aggregates:index", 0, .doc = "Aggregates." },
    { "POST", A, aggregate_create, "os_compute_api:os-aggregates:create", 0, .wrap = "aggregate",
      .body = &AGGREGATE_IN_SCHEMA, .mode = DECODE_CREATE, .doc = "Makes one." },
    { "GET", A "/{id}", aggregate_show, "os_compute_api:os-aggregates:show", 0, .doc = "One aggregate." },
    { "PUT", A "/{id}", aggregate_update, "os_compute_api:os-aggregates:update", 0, .wrap = "aggregate",
      .body = &AGGREGATE_IN_SCHEMA, .mode = DECODE_UPDATE, .doc = "Changes name or zone." },
    { "DELETE", A "/{id}", aggregate_delete, "os_compute_api:os-aggregates:delete", 0, .doc = "Deletes it." },
    { "POST", A "/{id}/action", aggregate_action, "os_compute_api:os-aggregates:action", 0,
      .doc = "add_host, remove_host, set_metadata." },
    { "GET", G, groups_list, "os_compute_api:os-server-groups:index", 0, .doc = "Server groups." },
    { "POST", G, group_create, "os_compute_api:os-server-groups:create", 0, .doc = "Makes one." },
    { "GET", G "/{id}", group_show, "os_compute_api:os-server-groups:show", 0, .doc = "One server group." },
    { "DELETE", G "/{id}", group_delete, "os_compute_api:os-server-groups:delete", 0, .status = 204,
      .doc = "Deletes it; its servers stay." },
};
static const struct policy_rule AGGREGATE_RULES[] = {
    { "os_compute_api:os-aggregates:index", RULE_ADMIN, "List aggregates." },
    { "os_compute_api:os-aggregates:create", RULE_ADMIN, "Make aggregates." },
    { "os_compute_api:os-aggregates:show", RULE_ADMIN, "See an aggregate." },
    { "os_compute_api:os-aggregates:update", RULE_ADMIN, "Change an aggregate." },
    { "os_compute_api:os-aggregates:delete", RULE_ADMIN, "Delete an aggregate." },
    { "os_compute_api:os-aggregates:action", RULE_ADMIN, "Change its hosts and metadata." },
    { "os_compute_api:os-server-groups:index", RULE_READER, "List server groups." },
    { "os_compute_api:os-server-groups:create", RULE_MEMBER, "Make a server group." },
    { "os_compute_api:os-server-groups:show", RULE_READER, "See a server group." },
    { "os_compute_api:os-server-groups:delete", RULE_MEMBER, "Delete a server group." },
};
COMPUTE_PART(AGGREGATE_PART, AGGREGATE_ROUTES, AGGREGATE_RULES);
