/* QoS: policies, and their rules, one kind for each type. */
#include "network/neutron.h"

#include <errno.h>

static const char *const SHARED_FLAG[] = { "shared", NULL };

static const struct rule_type {
    const char *type;
    const struct resource *resource;
} TYPES[] = {
    { "bandwidth_limit", &QOS_BANDWIDTH_RESOURCE },
    { "dscp_marking", &QOS_DSCP_RESOURCE },
    { "minimum_bandwidth", &QOS_MIN_BANDWIDTH_RESOURCE },
};

/* ---- policies ---- */

static bool policy_visible(struct call *c, const void *object)
{
    return share_visible(c, &QOS_POLICY_RESOURCE, "qos_policy", object);
}

static int policy_scope(struct call *c, struct query *q)
{
    return share_scope(c, q, "qos_policy", SHARED_FLAG);
}

static int rules_of(struct txn *t, const struct rule_type *type, const char *policy_id, struct results *ret)
{
    struct query q = { .kind = type->resource->kind };
    if (!query_where(&q, txn_arena(t), "qos_policy_id", Q_EQ, policy_id))
        return -ENOMEM;
    return txn_list(t, &q, ret);
}

static int policy_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    const char *id = ((const struct object *)object)->id;
    struct encode_options opt = call_encoding(c);
    share_render(c, &QOS_POLICY_RESOURCE, "qos_policy", object, o);
    if (!resource_wants(c, "rules"))
        return 0;
    json_put_array(o, "rules");
    for (size_t i = 0; i < ARRAY_SIZE(TYPES); i++) {
        struct results l = { 0 };
        int r = rules_of(c->txn, &TYPES[i], id, &l);
        if (r < 0)
            return r;
        for (size_t j = 0; j < l.n; j++) {
            json_open_object(o);
            json_put_string(o, "type", TYPES[i].type);
            json_put_string(o, "qos_policy_id", id);
            schema_encode_members(TYPES[i].resource->kind->schema, l.v[j], &opt, o);
            json_close_object(o);
        }
    }
    json_close_array(o);
    return 0;
}

/* A project has one default at most. */
static int check_default(struct call *c, const struct qos_policy *p)
{
    struct query q = { .kind = &QOS_POLICY_KIND };
    struct qos_policy *other;
    if (!p->is_default)
        return 0;
    if (!query_where(&q, c->arena, "project_id", Q_EQ, str_or(p->std.project_id, "")) ||
        !query_where(&q, c->arena, "is_default", Q_EQ, "true") ||
        !query_where(&q, c->arena, "id", Q_NE, p->head.id))
        return -ENOMEM;
    int r = txn_find(c->txn, &q, &other);
    if (r == 0 && other)
        return call_fault(c, 409, "QoSPolicyDefaultAlreadyExists",
                          "A default QoS policy exists for project %s: %s.", p->std.project_id,
                          other->head.id);
    return r;
}

static int policy_create(struct call *c, void *object)
{
    const struct qos_policy *p = object;
    int r = check_default(c, p);
    return r ? r : share_follow(c, &QOS_POLICY_RESOURCE, "qos_policy", p);
}

static int policy_update(struct call *c, const void *before, void *object)
{
    (void)before;
    return policy_create(c, object);
}

static int check_unused(struct call *c, const char *id)
{
    static const struct {
        const struct kind *kind;
        const char *field, *what;
    } USERS[] = {
        { &PORT_KIND, "qos_policy_id", "port" },
        { &NETWORK_KIND, "qos_policy_id", "network" },
        { &FLOATING_IP_KIND, "qos_policy_id", "floatingip" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(USERS); i++) {
        struct object *user;
        int r = txn_find_by_(c->txn, USERS[i].kind, USERS[i].field, id, (void **)&user);
        if (r < 0)
            return r;
        if (user)
            return call_fault(c, 409, "QosPolicyInUse", "QoS Policy %s is used by %s %s.", id, USERS[i].what,
                              user->id);
    }
    return 0;
}

static int policy_remove(struct call *c, void *object)
{
    const char *id = ((struct object *)object)->id;
    int r = check_unused(c, id);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(TYPES); i++) {
        struct results l = { 0 };
        r = rules_of(c->txn, &TYPES[i], id, &l);
        for (size_t j = 0; r == 0 && j < l.n; j++)
            r = txn_delete(c->txn, TYPES[i].resource->kind, ((struct object *)l.v[j])->id);
    }
    return r ? r : share_forget(c, id);
}

const struct resource QOS_POLICY_RESOURCE = {
    .one = "policy",
    .many = "policies",
    .kind = &QOS_POLICY_KIND,
    .title = "QoS policy",
    .not_found = "QosPolicyNotFound",
    .scope = policy_scope,
    .visible = policy_visible,
    .filter = neutron_filter,
    .render = policy_render,
    .create = policy_create,
    .update = policy_update,
    .remove = policy_remove,
};

int qos_check(struct call *c, const char *id)
{
    void *object;
    return str_empty(id) ? 0 : resource_get(c, &QOS_POLICY_RESOURCE, id, &object);
}

int qos_settle(struct call *c, struct network *n)
{
    struct query q = { .kind = &QOS_POLICY_KIND };
    struct qos_policy *p;
    if (n->qos_policy_id || GIVEN(&c->given, NETWORK_KIND.schema, struct network, qos_policy_id))
        return qos_check(c, n->qos_policy_id);
    if (!query_where(&q, c->arena, "project_id", Q_EQ, str_or(n->std.project_id, "")) ||
        !query_where(&q, c->arena, "is_default", Q_EQ, "true"))
        return -ENOMEM;
    int r = txn_find(c->txn, &q, &p);
    if (r == 0 && p)
        n->qos_policy_id = p->head.id;
    return r;
}

/* ---- rules ---- */

/* The policy of the path; null on the routes that name a rule alone. */
static const char *path_policy(const struct call *c)
{
    return strmap_get(&c->params, "policy_id");
}

static int get_policy(struct call *c, const char *id, struct qos_policy **ret)
{
    void *object;
    int r = resource_get(c, &QOS_POLICY_RESOURCE, id, &object);
    *ret = r == 0 ? object : NULL;
    return r;
}

static int rule_scope(struct call *c, struct query *q)
{
    struct qos_policy *p;
    int r = get_policy(c, path_policy(c), &p);
    if (r)
        return r;
    return query_where(q, c->arena, "qos_policy_id", Q_EQ, p->head.id) ? 0 : -ENOMEM;
}

static bool rule_visible(struct call *c, const void *object)
{
    const struct qos_rule *rule = object;
    struct qos_policy *p;
    const char *wanted = path_policy(c);
    return (!wanted || str_eq(rule->qos_policy_id, wanted)) &&
           txn_get(c->txn, &QOS_POLICY_KIND, rule->qos_policy_id, &p) == 0 && p && policy_visible(c, p);
}

/* What a host does with a policy changes with its rules, so the policy counts the change. */
static int touch_policy(struct call *c, struct qos_rule *rule)
{
    struct qos_policy *p;
    int r = get_policy(c, rule->qos_policy_id, &p);
    if (r == 0)
        r = neutron_own(c, &QOS_POLICY_RESOURCE, p);
    if (r)
        return r;
    rule->std.project_id = p->std.project_id;
    standard_touch(&p->std);
    return txn_put(c->txn, &QOS_POLICY_KIND, p);
}

static int rule_create(struct call *c, void *object)
{
    struct qos_rule *rule = object;
    rule->qos_policy_id = path_policy(c);
    return touch_policy(c, rule);
}

static int rule_update(struct call *c, const void *before, void *object)
{
    (void)before;
    return touch_policy(c, object);
}

static int rule_remove(struct call *c, void *object)
{
    return touch_policy(c, object);
}

static const int64_t MARKS[] = { 0,  8,  10, 12, 14, 16, 18, 20, 22, 24, 26,
                                 28, 30, 32, 34, 36, 38, 40, 46, 48, 56 };

static int check_mark(struct call *c, const struct qos_rule *rule)
{
    for (size_t i = 0; i < ARRAY_SIZE(MARKS); i++)
        if (MARKS[i] == rule->dscp_mark)
            return 0;
    return call_fault(c, 400, "HTTPBadRequest",
                      "Invalid input for dscp_mark. Reason: %lld is not a DSCP mark.",
                      (long long)rule->dscp_mark);
}

static int dscp_create(struct call *c, void *object)
{
    int r = check_mark(c, object);
    return r ? r : rule_create(c, object);
}

static int dscp_update(struct call *c, const void *before, void *object)
{
    int r = check_mark(c, object);
    return r ? r : rule_update(c, before, object);
}

static int rule_taken(struct call *c, const void *object)
{
    const struct qos_rule *rule = object;
    return call_fault(c, 409, "QoSRulesConflict",
                      "A rule of this type and direction exists in policy %s already.", rule->qos_policy_id);
}

const struct resource QOS_BANDWIDTH_RESOURCE = {
    .one = "bandwidth_limit_rule",
    .many = "bandwidth_limit_rules",
    .kind = &QOS_BANDWIDTH_KIND,
    .title = "QoS rule",
    .not_found = "QosRuleNotFound",
    .scope = rule_scope,
    .visible = rule_visible,
    .create = rule_create,
    .update = rule_update,
    .remove = rule_remove,
    .taken = rule_taken,
};
const struct resource QOS_DSCP_RESOURCE = {
    .one = "dscp_marking_rule",
    .many = "dscp_marking_rules",
    .kind = &QOS_DSCP_KIND,
    .title = "QoS rule",
    .not_found = "QosRuleNotFound",
    .scope = rule_scope,
    .visible = rule_visible,
    .create = dscp_create,
    .update = dscp_update,
    .remove = rule_remove,
    .taken = rule_taken,
};
const struct resource QOS_MIN_BANDWIDTH_RESOURCE = {
    .one = "minimum_bandwidth_rule",
    .many = "minimum_bandwidth_rules",
    .kind = &QOS_MIN_BANDWIDTH_KIND,
    .title = "QoS rule",
    .not_found = "QosRuleNotFound",
    .scope = rule_scope,
    .visible = rule_visible,
    .create = rule_create,
    .update = rule_update,
    .remove = rule_remove,
    .taken = rule_taken,
};

/* ---- types ---- */

int qos_types_list(struct call *c)
{
    json_open_object(&c->out);
    json_put_array(&c->out, "rule_types");
    for (size_t i = 0; i < ARRAY_SIZE(TYPES); i++) {
        json_open_object(&c->out);
        json_put_string(&c->out, "type", TYPES[i].type);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

int qos_type_show(struct call *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(TYPES); i++) {
        if (!STREQ(TYPES[i].type, call_param(c, "type")))
            continue;
        json_open_object(&c->out);
        json_put_object(&c->out, "rule_type");
        json_put_string(&c->out, "type", TYPES[i].type);
        json_put_array(&c->out, "drivers");
        json_close_array(&c->out);
        json_close_object(&c->out);
        json_close_object(&c->out);
        return 0;
    }
    return call_fault(c, 404, "QosRuleNotFound", "QoS rule type %s could not be found.",
                      call_param(c, "type"));
}
