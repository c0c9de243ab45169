/*
 * The auto-allocated topology: a network with subnets from the default pools and a router to the default
 * external network, made on first demand. It is found again by its network, which carries a tag.
 */
#include "network/neutron.h"

#include <errno.h>

#define MARK "auto_allocated_network"
#define MARK_HIDDEN "yunduo:auto-allocated"

static int missing(struct call *c, const char *reason)
{
    return call_fault(c, 409, "AutoAllocationFailure", "Deployment error: %s.", reason);
}

static int find_topology(struct call *c, const char *project, struct network **ret)
{
    struct query q = { .kind = &NETWORK_KIND };
    if (!query_where(&q, c->arena, "project_id", Q_EQ, project) ||
        !query_where(&q, c->arena, "tags", Q_KEY, MARK_HIDDEN))
        return -ENOMEM;
    return txn_find(c->txn, &q, ret);
}

static int find_external(struct call *c, struct network **ret)
{
    struct query q = { .kind = &NETWORK_KIND };
    if (!query_where(&q, c->arena, "is_default", Q_EQ, "true") ||
        !query_where(&q, c->arena, "router:external", Q_EQ, "true"))
        return -ENOMEM;
    int r = txn_find(c->txn, &q, ret);
    return r == 0 && !*ret ? missing(c, "No default router:external network") : r;
}

static int find_pools(struct call *c, struct results *ret)
{
    struct query q = { .kind = &SUBNET_POOL_KIND };
    if (!query_where(&q, c->arena, "is_default", Q_EQ, "true"))
        return -ENOMEM;
    int r = txn_list(c->txn, &q, ret);
    return r == 0 && !ret->n ? missing(c, "No default subnetpools defined") : r;
}

/* An object with the defaults of its rows, as if an empty body had asked for it. */
static void *blank(struct call *c, const struct kind *k)
{
    void *object = arena_alloc(c->arena, k->schema->size);
    return object && schema_defaults(k->schema, c->arena, object) == 0 ? object : NULL;
}

static int make(struct call *c, const struct resource *r, void *object, struct standard *s,
                const char *project)
{
    standard_new(c->arena, object, s, project);
    int e = r->create(c, object);
    return e ? e : txn_put(c->txn, r->kind, object);
}

static int make_topology(struct call *c, const char *project, const char **ret_id)
{
    struct network *external;
    struct results pools = { 0 };
    struct router *router = blank(c, &ROUTER_KIND);
    struct network *n = blank(c, &NETWORK_KIND);
    c->given = (struct given){ 0 };
    int r = find_external(c, &external);
    if (r == 0)
        r = find_pools(c, &pools);
    if (r)
        return r;
    if (!n || !router || !(router->gateway = ARENA_NEW(c->arena, struct router_gateway)) ||
        !strv_add(c->arena, &n->std.tags, MARK_HIDDEN))
        return -ENOMEM;
    n->name = MARK;
    r = make(c, &NETWORK_RESOURCE, n, &n->std, project);
    router->name = "auto_allocated_router";
    router->gateway->network_id = external->head.id;
    if (r == 0)
        r = make(c, &ROUTER_RESOURCE, router, &router->std, project);
    for (size_t i = 0; r == 0 && i < pools.n; i++) {
        const struct subnet_pool *pool = pools.v[i];
        struct subnet *s = blank(c, &SUBNET_KIND);
        if (!s)
            return -ENOMEM;
        s->name = pool->ip_version == 4 ? "auto_allocated_subnet_v4" : "auto_allocated_subnet_v6";
        s->network_id = n->head.id;
        s->subnetpool_id = pool->head.id;
        r = make(c, &SUBNET_RESOURCE, s, &s->std, project);
        if (r == 0)
            r = router_attach(c, router, s->head.id);
    }
    *ret_id = n->head.id;
    return r;
}

static int check_caller(struct call *c, const char **ret)
{
    *ret = call_param(c, "project_id");
    if (STREQ(*ret, "null") || STREQ(*ret, "None"))
        *ret = str_or(c->auth->project_id, "");
    return call_is_admin(c) || str_eq(*ret, c->auth->project_id)
               ? 0
               : call_fault(c, 403, "PolicyNotAuthorized",
                            "rule:get_auto_allocated_topology is disallowed by policy");
}

static void tell(struct call *c, const char *id, const char *project)
{
    json_open_object(&c->out);
    json_put_object(&c->out, "auto_allocated_topology");
    json_put_string(&c->out, "id", id);
    json_put_string(&c->out, "tenant_id", project);
    json_put_string(&c->out, "project_id", project);
    json_close_object(&c->out);
    json_close_object(&c->out);
}

/* "fields=dry-run": only whether it could be made. */
static int show(struct call *c)
{
    const char *project, *id = NULL;
    struct network *n;
    struct results pools = { 0 };
    int r = check_caller(c, &project);
    if (r == 0)
        r = find_topology(c, project, &n);
    if (r)
        return r;
    if (str_eq(call_arg(c, "fields"), "dry-run")) {
        struct network *external;
        r = n ? 0 : find_external(c, &external);
        if (r == 0 && !n)
            r = find_pools(c, &pools);
        if (r == 0)
            tell(c, "dry-run=pass", project);
        return r;
    }
    if (n)
        id = n->head.id;
    else
        r = make_topology(c, project, &id);
    if (r == 0)
        tell(c, id, project);
    return r;
}

int topology_show(struct call *c)
{
    return call_write(c, show);
}

static int drop(struct call *c)
{
    const char *project;
    struct network *n;
    struct ports ports = { 0 };
    const char *router_id = NULL;
    int r = check_caller(c, &project);
    if (r == 0)
        r = find_topology(c, project, &n);
    if (r)
        return r;
    if (!n)
        return call_fault(c, 404, "AutoAllocatedTopologyNotFound",
                          "No auto allocated topology for project %s.", project);
    r = ports_where(c->txn, "network_id", Q_EQ, n->head.id, &ports);
    for (size_t i = 0; r == 0 && i < ports.n; i++) {
        if (!str_starts(ports.v[i]->device_owner, OWNER_ROUTER_INTERFACE))
            continue;
        router_id = ports.v[i]->device_id;
        r = port_drop(c->txn, ports.v[i]);
    }
    void *router = NULL;
    if (r == 0 && router_id)
        r = txn_get_(c->txn, &ROUTER_KIND, router_id, &router);
    if (r == 0 && router)
        r = ROUTER_RESOURCE.remove(c, router);
    if (r == 0 && router)
        r = txn_delete(c->txn, &ROUTER_KIND, router_id);
    if (r == 0)
        r = NETWORK_RESOURCE.remove(c, n);
    return r ? r : txn_delete(c->txn, &NETWORK_KIND, n->head.id);
}

int topology_delete(struct call *c)
{
    return call_write(c, drop);
}
