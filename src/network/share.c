/*
 * Sharing: RBAC policies, and who may see what is not their own.
 *
 * An object's 'shared' (a network's 'router:external' too) says the same as a policy for all
 * projects ("*"): whichever is written, the other follows in the same transaction. Policies for one
 * project stand for themselves; lists and shows ask for those of the caller's project.
 */
#include "network/neutron.h"

#include <errno.h>

static const struct {
    const char *type;
    const struct resource *resource;
} SHARABLE[] = {
    { "network", &NETWORK_RESOURCE },
    { "qos_policy", &QOS_POLICY_RESOURCE },
    { "security_group", &SECURITY_GROUP_RESOURCE },
    { "address_scope", &ADDRESS_SCOPE_RESOURCE },
    { "subnetpool", &SUBNET_POOL_RESOURCE },
    { "address_group", &ADDRESS_GROUP_RESOURCE },
};

static const struct resource *sharable(const char *type)
{
    for (size_t i = 0; i < ARRAY_SIZE(SHARABLE); i++)
        if (STREQ(SHARABLE[i].type, type))
            return SHARABLE[i].resource;
    return NULL;
}

static int grants(struct txn *t, const char *type, const char *object_id, const char *project_id,
                  struct results *ret)
{
    struct query q = { .kind = &RBAC_KIND };
    struct arena *a = txn_arena(t);
    if (!query_where(&q, a, "target_tenant", Q_EQ, str_or(project_id, "")) ||
        !query_where(&q, a, "object_type", Q_EQ, type) ||
        (object_id && !query_where(&q, a, "object_id", Q_EQ, object_id)))
        return -ENOMEM;
    return txn_list(t, &q, ret);
}

bool shared_with(struct txn *t, const char *type, const char *action, const char *object_id,
                 const char *project_id)
{
    struct results l = { 0 };
    if (str_empty(project_id) || grants(t, type, object_id, project_id, &l) != 0)
        return false;
    for (size_t i = 0; i < l.n; i++)
        if (!action || STREQ(((struct rbac_policy *)l.v[i])->action, action))
            return true;
    return false;
}

int shared_ids(struct txn *t, const char *type, const char *action, const char *project_id, struct strv *ret)
{
    struct results l = { 0 };
    int r = str_empty(project_id) ? 0 : grants(t, type, NULL, project_id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct rbac_policy *p = l.v[i];
        if ((!action || STREQ(p->action, action)) && !vec_push(txn_arena(t), ret, p->object_id))
            r = -ENOMEM;
    }
    return r;
}

/* What an object says of itself through its rows. */
static bool flag(const struct resource *r, const void *object, const char *name)
{
    const struct field *f = schema_field(r->kind->schema, name);
    return f && *(bool *)field_at(f, object);
}

bool share_visible(struct call *c, const struct resource *r, const char *type, const void *object)
{
    const struct standard *s = neutron_standard(r, object);
    return call_is_admin(c) || str_eq(s->project_id, c->auth->project_id) || flag(r, object, "shared") ||
           shared_with(c->txn, type, NULL, ((const struct object *)object)->id, c->auth->project_id);
}

int share_scope(struct call *c, struct query *q, const char *type, const char *const *flags)
{
    struct strv ids = { 0 };
    size_t n = 1;
    if (call_is_admin(c))
        return 0;
    int r = shared_ids(c->txn, type, NULL, c->auth->project_id, &ids);
    if (r < 0)
        return r;
    if (!query_where(q, c->arena, "project_id", Q_EQ, str_or(c->auth->project_id, "")))
        return -ENOMEM;
    for (; *flags; flags++, n++)
        if (!query_where(q, c->arena, *flags, Q_EQ, "true"))
            return -ENOMEM;
    if (ids.n) {
        struct condition *theirs = query_where(q, c->arena, "id", Q_IN, NULL);
        if (!theirs)
            return -ENOMEM;
        theirs->list = ids;
        n++;
    }
    for (size_t i = 0; i < n; i++)
        q->where.v[q->where.n - 1 - i].any = 1;
    return 0;
}

void share_render(struct call *c, const struct resource *r, const char *type, const void *object,
                  struct json_out *o)
{
    if (!resource_wants(c, "shared"))
        return;
    const struct standard *s = neutron_standard(r, object);
    bool foreign = !call_is_admin(c) && !str_eq(s->project_id, c->auth->project_id);
    bool shared = flag(r, object, "shared") ||
                  (foreign && shared_with(c->txn, type, "access_as_shared",
                                          ((const struct object *)object)->id, c->auth->project_id));
    json_put_bool(o, "shared", shared);
}

static int put_all(struct call *c, const char *type, const char *action, const struct object *object,
                   const char *project)
{
    struct rbac_policy p = {
        .object_type = type, .object_id = object->id, .action = action, .target_tenant = "*"
    };
    standard_new(c->arena, &p.head, &p.std, project);
    int r = txn_put(c->txn, &RBAC_KIND, &p);
    return r == TXN_TAKEN ? 0 : r;
}

static int drop_all(struct call *c, const char *type, const char *action, const char *id)
{
    struct results l = { 0 };
    int r = grants(c->txn, type, id, "*", &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (STREQ(((struct rbac_policy *)l.v[i])->action, action))
            r = txn_delete(c->txn, &RBAC_KIND, ((struct object *)l.v[i])->id);
    return r;
}

int share_follow(struct call *c, const struct resource *r, const char *type, const void *object)
{
    static const char *const ROWS[][2] = { { "shared", "access_as_shared" },
                                           { "router:external", "access_as_external" } };
    int e = 0;
    for (size_t i = 0; e == 0 && i < ARRAY_SIZE(ROWS); i++) {
        if (!schema_field(r->kind->schema, ROWS[i][0]))
            continue;
        e = flag(r, object, ROWS[i][0])
                ? put_all(c, type, ROWS[i][1], object, neutron_standard(r, object)->project_id)
                : drop_all(c, type, ROWS[i][1], ((const struct object *)object)->id);
    }
    return e;
}

int share_forget(struct call *c, const char *id)
{
    struct query q = { .kind = &RBAC_KIND };
    struct results l = { 0 };
    if (!query_where(&q, c->arena, "object_id", Q_EQ, id))
        return -ENOMEM;
    int r = txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = txn_delete(c->txn, &RBAC_KIND, ((struct object *)l.v[i])->id);
    return r;
}

/* ---- policies as a resource ---- */

/* Sets the row of the object that a policy for all stands for. */
static int set_flag(struct call *c, const struct rbac_policy *p, bool value)
{
    const struct resource *r = sharable(p->object_type);
    const char *row = STREQ(p->action, "access_as_external") ? "router:external" : "shared";
    const struct field *f = schema_field(r->kind->schema, row);
    void *object;
    int e = txn_get(c->txn, r->kind, p->object_id, &object);
    if (e < 0 || !object || !f || *(bool *)field_at(f, object) == value)
        return e;
    *(bool *)field_at(f, object) = value;
    standard_touch(neutron_standard(r, object));
    return txn_put(c->txn, r->kind, object);
}

static int check_target(struct call *c, const struct rbac_policy *p)
{
    if (!STREQ(p->target_tenant, "*") || call_is_admin(c))
        return 0;
    return call_fault(c, 403, "PolicyNotAuthorized",
                      "rule:%s_rbac_policy:target_tenant is disallowed by policy",
                      STREQ(c->http->method, "POST") ? "create" : "update");
}

static int rbac_create(struct call *c, void *object)
{
    struct rbac_policy *p = object;
    const struct resource *r = sharable(p->object_type);
    void *target;
    struct fault f;
    if (STREQ(p->action, "access_as_external") && !STREQ(p->object_type, "network"))
        return neutron_invalid(c, "Invalid action '%s' for object type '%s'. Valid actions: access_as_shared",
                               p->action, p->object_type);
    int e = check_target(c, p);
    if (e == 0)
        e = neutron_tell(c, quota_take(c->txn, p->std.project_id, "rbac_policy", 1, &f), &f);
    if (e == 0)
        e = resource_get(c, r, p->object_id, &target);
    if (e)
        return e;
    if (!call_is_admin(c) && !str_eq(neutron_standard(r, target)->project_id, c->auth->project_id))
        return neutron_absent(c, r, p->object_id);
    return STREQ(p->target_tenant, "*") ? set_flag(c, p, true) : 0;
}

/* Ports that other projects have on a network by this policy's leave. */
static int check_unused(struct call *c, const struct rbac_policy *p)
{
    struct query q = { .kind = &PORT_KIND };
    struct network *n;
    struct results l = { 0 };
    if (!STREQ(p->object_type, "network") || !STREQ(p->action, "access_as_shared"))
        return 0;
    int r = txn_get(c->txn, &NETWORK_KIND, p->object_id, &n);
    if (r < 0 || !n)
        return r;
    bool all = STREQ(p->target_tenant, "*");
    if (!query_where(&q, c->arena, "network_id", Q_EQ, n->head.id) ||
        !query_where(&q, c->arena, "project_id", all ? Q_NE : Q_EQ,
                     all ? str_or(n->std.project_id, "") : p->target_tenant))
        return -ENOMEM;
    r = txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (!str_empty(((struct port *)l.v[i])->std.project_id))
            return call_fault(
                c, 409, "RbacPolicyInUse",
                "RBAC policy on object %s cannot be removed because other "
                "objects depend on it.\nDetails: Callback checks failed: ports of other projects are on "
                "the network.",
                n->head.id);
    return r;
}

static int rbac_update(struct call *c, const void *before, void *object)
{
    const struct rbac_policy *old = before;
    const struct rbac_policy *p = object;
    int r = check_target(c, p);
    if (r || STREQ(old->target_tenant, p->target_tenant))
        return r;
    r = check_unused(c, old);
    if (r == 0 && STREQ(old->target_tenant, "*"))
        r = set_flag(c, old, false);
    return r == 0 && STREQ(p->target_tenant, "*") ? set_flag(c, p, true) : r;
}

static int rbac_remove(struct call *c, void *object)
{
    const struct rbac_policy *p = object;
    int r = check_unused(c, p);
    return r == 0 && STREQ(p->target_tenant, "*") ? set_flag(c, p, false) : r;
}

static int rbac_taken(struct call *c, const void *object)
{
    (void)object;
    return call_fault(c, 409, "DuplicateRbacPolicy", "An RBAC policy already exists with those values.");
}

const struct resource RBAC_RESOURCE = {
    .one = "rbac_policy",
    .many = "rbac_policies",
    .kind = &RBAC_KIND,
    .title = "RBAC policy",
    .not_found = "RbacPolicyNotFound",
    .filter = neutron_filter,
    .create = rbac_create,
    .update = rbac_update,
    .remove = rbac_remove,
    .taken = rbac_taken,
};
