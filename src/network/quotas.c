/* Limits of projects, and how much of them is used. */
#include "network/neutron.h"

#include <errno.h>

static int count_of(struct txn *t, const struct kind *k, const char *project_id, int64_t *ret)
{
    struct query q = { .kind = k };
    uint64_t n = 0;
    if (!query_where(&q, txn_arena(t), "project_id", Q_EQ, project_id))
        return -ENOMEM;
    int r = txn_count(t, &q, &n);
    *ret = (int64_t)n;
    return r;
}

#define COUNT(name, kind)                                                                                    \
    static int used_##name(struct txn *t, const char *project_id, int64_t *ret)                              \
    {                                                                                                        \
        return count_of(t, &kind, project_id, ret);                                                          \
    }
COUNT(network, NETWORK_KIND)
COUNT(subnet, SUBNET_KIND)
COUNT(subnetpool, SUBNET_POOL_KIND)
COUNT(port, PORT_KIND)
COUNT(router, ROUTER_KIND)
COUNT(floatingip, FLOATING_IP_KIND)
COUNT(security_group, SECURITY_GROUP_KIND)
COUNT(security_group_rule, SECURITY_RULE_KIND)
COUNT(rbac_policy, RBAC_KIND)

static const struct quota_row QUOTA_ROWS[] = {
    { "network", 100, used_network },
    { "subnet", 100, used_subnet },
    { "subnetpool", -1, used_subnetpool },
    { "port", 500, used_port },
    { "router", 10, used_router },
    { "floatingip", 50, used_floatingip },
    { "security_group", 10, used_security_group },
    { "security_group_rule", 100, used_security_group_rule },
    { "rbac_policy", 10, used_rbac_policy },
};
const struct quota_table NETWORK_QUOTAS = { "network", QUOTA_ROWS, ARRAY_SIZE(QUOTA_ROWS) };

/* ---- telling ---- */

/* "-" as project: what the table and the class "default" say. */
static int put_limits(struct call *c, const char *project_id)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(QUOTA_ROWS); i++) {
        int64_t limit;
        r = quota_limit(c->txn, &NETWORK_QUOTAS, project_id, QUOTA_ROWS[i].name, &limit);
        if (r == 0)
            json_put_int(&c->out, QUOTA_ROWS[i].name, limit);
    }
    return r;
}

static int tell(struct call *c, const char *project_id)
{
    json_open_object(&c->out);
    json_put_object(&c->out, "quota");
    int r = put_limits(c, project_id);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static int check_reader(struct call *c, const char *project_id)
{
    if (call_is_admin(c) || str_eq(project_id, c->auth->project_id))
        return 0;
    return call_fault(c, 403, "AdminRequired",
                      "User does not have admin privileges: Only admin is authorized to access "
                      "quotas for another tenant.");
}

static int quota_read(struct call *c)
{
    int r = check_reader(c, call_param(c, "project_id"));
    return r ? r : call_read(c);
}

int quotas_show(struct call *c)
{
    int r = quota_read(c);
    return r ? r : tell(c, call_param(c, "project_id"));
}

int quotas_default(struct call *c)
{
    int r = quota_read(c);
    return r ? r : tell(c, "-");
}

int quotas_details(struct call *c)
{
    const char *project = call_param(c, "project_id");
    int r = quota_read(c);
    json_open_object(&c->out);
    json_put_object(&c->out, "quota");
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(QUOTA_ROWS); i++) {
        int64_t limit, used;
        r = quota_limit(c->txn, &NETWORK_QUOTAS, project, QUOTA_ROWS[i].name, &limit);
        if (r == 0)
            r = quota_used(c->txn, &NETWORK_QUOTAS, project, QUOTA_ROWS[i].name, &used);
        if (r)
            return r;
        json_put_object(&c->out, QUOTA_ROWS[i].name);
        json_put_int(&c->out, "limit", limit);
        json_put_int(&c->out, "used", used);
        json_put_int(&c->out, "reserved", 0);
        json_close_object(&c->out);
    }
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

/* The projects whose limits somebody has set. */
int quotas_list(struct call *c)
{
    struct query q = { .kind = &QUOTA_KIND };
    struct results l = { 0 };
    const char *prefix = "network/";
    int r = call_read(c);
    if (r == 0 && !query_where(&q, c->arena, "id", Q_STARTS, prefix))
        return -ENOMEM;
    if (r == 0)
        r = txn_list(c->txn, &q, &l);
    json_open_object(&c->out);
    json_put_array(&c->out, "quotas");
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const char *project = ((struct object *)l.v[i])->id + strlen(prefix);
        if (STREQ(project, "default"))
            continue;
        json_open_object(&c->out);
        json_put_string(&c->out, "project_id", project);
        json_put_string(&c->out, "tenant_id", project);
        r = put_limits(c, project);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return r;
}

/* ---- setting ---- */

static int update(struct call *c)
{
    const char *project = call_param(c, "project_id"), *key;
    const json_t *body = json_get_object(c->body, "quota");
    json_t *value;
    if (!body)
        return call_fault(c, 400, "HTTPBadRequest", "Unable to find 'quota' in request body");
    json_object_foreach((json_t *)(uintptr_t)body, key, value)
    {
        bool known = false;
        int64_t limit = json_is_integer(value) ? json_integer_value(value) : INT64_MIN;
        char *end;
        if (json_is_string(value) && *json_string_value(value)) {
            limit = strtoll(json_string_value(value), &end, 10);
            limit = *end ? INT64_MIN : limit;
        }
        if (STREQ(key, "tenant_id") || STREQ(key, "project_id") || STREQ(key, "force") ||
            STREQ(key, "check_limit"))
            continue;
        for (size_t i = 0; i < ARRAY_SIZE(QUOTA_ROWS); i++)
            known |= STREQ(QUOTA_ROWS[i].name, key);
        if (!known)
            return call_fault(c, 400, "HTTPBadRequest", "Unrecognized attribute(s) '%s'", key);
        if (limit < -1 || limit > INT32_MAX)
            return call_fault(c, 400, "HTTPBadRequest",
                              "Invalid input for %s. Reason: it must be an integer from -1 to "
                              "%d.",
                              key, INT32_MAX);
        int r = quota_set(c->txn, &NETWORK_QUOTAS, project, key, limit);
        if (r)
            return r;
    }
    return tell(c, project);
}

int quotas_update(struct call *c)
{
    return call_write(c, update);
}

static int reset(struct call *c)
{
    c->status = 204;
    return quota_reset(c->txn, &NETWORK_QUOTAS, call_param(c, "project_id"));
}

int quotas_reset(struct call *c)
{
    return call_write(c, reset);
}

/* Which project a caller is, before it asks for limits. */
int quotas_tenant(struct call *c)
{
    json_open_object(&c->out);
    json_put_object(&c->out, "tenant");
    json_put_string(&c->out, "tenant_id", c->auth->project_id);
    json_put_string(&c->out, "project_id", c->auth->project_id);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}
