/*
 * Routers: a gateway port, interface ports, extra routes.
 *
 * A router's legs are ports with its id as their device; its gateway's addresses are those of its
 * gateway port, rendered from there, never kept twice.
 */
#include "network/neutron.h"

#include <errno.h>
#include <stdio.h>

int gateway_port(struct txn *t, const char *router_id, struct port **ret)
{
    struct query q = { .kind = &PORT_KIND };
    if (!query_where(&q, txn_arena(t), "device_id", Q_EQ, router_id) ||
        !query_where(&q, txn_arena(t), "device_owner", Q_EQ, OWNER_ROUTER_GATEWAY))
        return -ENOMEM;
    return txn_find(t, &q, ret);
}

int router_between(struct txn *t, const char *external_network_id, const char *subnet_id, const char **ret)
{
    struct ports legs = { 0 };
    int r = ports_where(t, "subnet", Q_KEY, subnet_id, &legs);
    *ret = NULL;
    for (size_t i = 0; r == 0 && i < legs.n && !*ret; i++) {
        struct port *gateway;
        if (!str_starts(legs.v[i]->device_owner, OWNER_ROUTER_INTERFACE))
            continue;
        r = gateway_port(t, legs.v[i]->device_id, &gateway);
        if (r == 0 && gateway && str_eq(gateway->network_id, external_network_id))
            *ret = legs.v[i]->device_id;
    }
    return r;
}

static int floating_via(struct call *c, const char *router_id, const char *fixed_on, bool *ret)
{
    struct query q = { .kind = &FLOATING_IP_KIND };
    struct results l = { 0 };
    if (!query_where(&q, c->arena, "router_id", Q_EQ, router_id))
        return -ENOMEM;
    int r = txn_list(c->txn, &q, &l);
    *ret = false;
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct floating_ip *f = l.v[i];
        struct subnet *s;
        struct cidr net;
        struct ip ip;
        if (!fixed_on) {
            *ret = true;
            continue;
        }
        r = txn_get(c->txn, &SUBNET_KIND, fixed_on, &s);
        if (r == 0 && s && cidr_parse(s->cidr, false, &net) && ip_parse(f->fixed_ip_address, &ip))
            *ret |= cidr_has(net, ip);
    }
    return r;
}

static void render_gateway(const struct router *r, const struct port *p, struct json_out *o)
{
    json_open_object(o);
    json_put_string(o, "network_id", p->network_id);
    json_put_bool(o, "enable_snat", r->enable_snat != TRI_FALSE);
    json_put_array(o, "external_fixed_ips");
    VEC_FOREACH (ip, &p->fixed_ips) {
        json_open_object(o);
        json_put_string(o, "subnet_id", ip->subnet_id);
        json_put_string(o, "ip_address", ip->ip_address);
        json_close_object(o);
    }
    json_close_array(o);
    json_close_object(o);
}

static int router_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    const struct router *r = object;
    if (resource_wants(c, "external_gateway_info")) {
        struct port *p;
        int e = gateway_port(c->txn, r->head.id, &p);
        if (e < 0)
            return e;
        json_key(o, "external_gateway_info");
        if (p)
            render_gateway(r, p, o);
        else
            json_null_out(o);
    }
    if (resource_wants(c, "availability_zones")) {
        json_put_array(o, "availability_zones");
        if (r->host)
            json_string_out(o, "nova");
        json_close_array(o);
    }
    return 0;
}

/* ---- the gateway ---- */

/* Addresses out there of one's choice, and guests that appear there under their own, are for administrators.
 */
static int check_gateway_policy(struct call *c, const struct router_gateway *g, const struct port *old)
{
    const char *what = g->enable_snat == TRI_FALSE ? "enable_snat" : NULL;
    VEC_FOREACH (wished, &g->external_fixed_ips) {
        bool had = !wished->ip_address;
        for (size_t i = 0; old && i < old->fixed_ips.n; i++)
            had |= str_eq(wished->ip_address, old->fixed_ips.v[i].ip_address);
        if (!had)
            what = "external_fixed_ips";
    }
    if (!what || call_is_admin(c))
        return 0;
    return call_fault(c, 403, "PolicyNotAuthorized",
                      "rule:update_router:external_gateway_info:%s is disallowed by policy", what);
}

/* What r->gateway wishes; null, or without a network: none. */
static int set_gateway(struct call *c, struct router *r)
{
    struct router_gateway *g = r->gateway;
    struct port *old;
    struct network *n = NULL;
    struct fault f;
    bool used = false;
    int e = gateway_port(c->txn, r->head.id, &old);
    if (e < 0)
        return e;
    if (g && !g->network_id && (g->external_fixed_ips.n || g->enable_snat != TRI_NULL))
        return call_fault(c, 400, "HTTPBadRequest",
                          "Invalid input for external_gateway_info. Reason: Validation of "
                          "dictionary's keys failed. Expected keys: {'network_id'}.");
    if (g && !g->network_id)
        g = NULL;
    if (old && (!g || !STREQ(old->network_id, g->network_id))) {
        e = floating_via(c, r->head.id, NULL, &used);
        if (e == 0 && used)
            return call_fault(
                c, 409, "RouterExternalGatewayInUseByFloatingIp",
                "Gateway cannot be updated for router "
                "%s, since a gateway to external network %s is required by one or more floating IPs.",
                r->head.id, old->network_id);
        if (e == 0)
            e = port_drop(c->txn, old);
        old = NULL;
    }
    if (e || !g)
        return e;
    e = txn_get(c->txn, &NETWORK_KIND, g->network_id, &n);
    if (e < 0)
        return e;
    if (!n || !NETWORK_RESOURCE.visible(c, n))
        return neutron_absent(c, &NETWORK_RESOURCE, g->network_id);
    if (!n->external)
        return call_fault(c, 400, "BadRequest", "Bad router request: Network %s is not an external network.",
                          g->network_id);
    e = check_gateway_policy(c, g, old);
    if (e)
        return e;
    if (g->enable_snat != TRI_NULL || !old)
        r->enable_snat = g->enable_snat != TRI_NULL ? g->enable_snat : TRI_TRUE;
    struct port p = { 0 };
    if (old)
        p = *old;
    bool wished = g->external_fixed_ips.n > 0;
    if (!old || wished) {
        p.fixed_ips = (__typeof__(p.fixed_ips)){ 0 };
        VEC_FOREACH (ip, &g->external_fixed_ips)
            if (!vec_push(c->arena, &p.fixed_ips, ((struct port_ip){ ip->subnet_id, ip->ip_address })))
                return -ENOMEM;
    }
    if (old) {
        e = wished ? addresses_fill(c->txn, &p, false, old, &f) : 0;
        if (e == 0)
            e = port_put(c->txn, &p, &f);
    } else {
        p.std.project_id = "";
        p.admin_state_up = true;
        p.device_owner = OWNER_ROUTER_GATEWAY;
        p.device_id = r->head.id;
        e = port_make(c->txn, neutron_mac_prefix(c), &p, n, !wished, true, &f);
    }
    return neutron_tell(c, e, &f);
}

/* ---- extra routes ---- */

static int check_routes(struct call *c, const struct router *r)
{
    struct ports legs = { 0 };
    int e = ports_where(c->txn, "device_id", Q_EQ, r->head.id, &legs);
    VEC_FOREACH (route, &r->routes) {
        struct ip hop;
        bool reachable = false;
        for (size_t i = 0; e == 0 && i < legs.n; i++)
            VEC_FOREACH (ip, &legs.v[i]->fixed_ips) {
                struct subnet *s;
                struct cidr net;
                e = txn_get(c->txn, &SUBNET_KIND, ip->subnet_id, &s);
                if (e < 0)
                    return e;
                if (s && cidr_parse(s->cidr, false, &net) && ip_parse(route->nexthop, &hop) &&
                    cidr_has(net, hop))
                    reachable = !str_eq(ip->ip_address, route->nexthop);
                if (reachable)
                    break;
            }
        if (e)
            return e;
        if (!reachable)
            return call_fault(c, 400, "InvalidRoutes",
                              "Invalid format for routes: [{'destination': '%s', 'nexthop': "
                              "'%s'}], the nexthop is not connected with router",
                              route->destination, route->nexthop);
    }
    return e;
}

static int router_create(struct call *c, void *object)
{
    struct router *r = object;
    struct fault f;
    r->status = "ACTIVE";
    if (r->distributed == TRI_NULL)
        r->distributed = TRI_FALSE;
    if (r->ha == TRI_NULL)
        r->ha = TRI_FALSE;
    int e = neutron_tell(c, quota_take(c->txn, r->std.project_id, "router", 1, &f), &f);
    if (e == 0)
        e = host_pick(c->txn, &r->host);
    return e ? e : set_gateway(c, r);
}

static int router_update(struct call *c, const void *before, void *object)
{
    struct router *r = object;
    int e = 0;
    (void)before;
    if (given_member(&c->given, ROUTER_KIND.schema, offsetof(struct router, gateway)))
        e = set_gateway(c, r);
    if (e == 0 && given_member(&c->given, ROUTER_KIND.schema, offsetof(struct router, routes)))
        e = check_routes(c, r);
    return e;
}

static int router_remove(struct call *c, void *object)
{
    struct router *r = object;
    struct ports legs = { 0 };
    int e = ports_where(c->txn, "device_id", Q_EQ, r->head.id, &legs);
    for (size_t i = 0; e == 0 && i < legs.n; i++)
        if (!STREQ(legs.v[i]->device_owner, OWNER_ROUTER_GATEWAY))
            return call_fault(c, 409, "RouterInUse", "Router %s still has ports", r->head.id);
    bool used = false;
    if (e == 0)
        e = floating_via(c, r->head.id, NULL, &used);
    if (e == 0 && used)
        return call_fault(c, 409, "RouterInUse", "Router %s still has floating IPs", r->head.id);
    r->gateway = NULL;
    return e ? e : set_gateway(c, r);
}

const struct resource ROUTER_RESOURCE = {
    .one = "router",
    .many = "routers",
    .kind = &ROUTER_KIND,
    .title = "Router",
    .not_found = "RouterNotFound",
    .filter = neutron_filter,
    .render = router_render,
    .create = router_create,
    .update = router_update,
    .remove = router_remove,
};

/* ---- interfaces ---- */

static int own_router(struct call *c, struct router **ret)
{
    void *object;
    int r = resource_get(c, &ROUTER_RESOURCE, call_param(c, "id"), &object);
    if (r == 0)
        *ret = object;
    return r;
}

static int render_interface(struct call *c, const struct router *r, const struct port *p,
                            const char *subnet_id)
{
    json_open_object(&c->out);
    json_put_string(&c->out, "id", r->head.id);
    json_put_string(&c->out, "tenant_id", r->std.project_id);
    json_put_string(&c->out, "project_id", r->std.project_id);
    json_put_string(&c->out, "port_id", p->head.id);
    json_put_string(&c->out, "network_id", p->network_id);
    json_put_string(&c->out, "subnet_id", subnet_id);
    json_put_array(&c->out, "subnet_ids");
    VEC_FOREACH (ip, &p->fixed_ips)
        json_string_out(&c->out, ip->subnet_id);
    json_close_array(&c->out);
    json_put_strings(&c->out, "tags", &r->std.tags);
    json_close_object(&c->out);
    return 0;
}

/* A router can't have the same range on two legs. */
static int check_leg(struct call *c, const struct router *r, const struct subnet *s)
{
    struct ports legs = { 0 };
    struct cidr mine, other;
    int e = ports_where(c->txn, "device_id", Q_EQ, r->head.id, &legs);
    if (!cidr_parse(s->cidr, false, &mine))
        return -EINVAL;
    for (size_t i = 0; e == 0 && i < legs.n; i++)
        VEC_FOREACH (ip, &legs.v[i]->fixed_ips) {
            struct subnet *there;
            e = txn_get(c->txn, &SUBNET_KIND, ip->subnet_id, &there);
            if (e < 0)
                return e;
            if (there && STREQ(there->head.id, s->head.id))
                return call_fault(c, 400, "BadRequest",
                                  "Bad router request: Router already has a port on subnet %s.", s->head.id);
            if (there && cidr_parse(there->cidr, false, &other) && cidr_overlap(mine, other))
                return call_fault(c, 400, "BadRequest",
                                  "Bad router request: Cidr %s of subnet %s overlaps with cidr "
                                  "%s of subnet %s.",
                                  s->cidr, s->head.id, there->cidr, there->head.id);
        }
    return e;
}

/* A leg with the subnet's gateway address. */
static int make_leg(struct call *c, struct router *r, const char *subnet_id, struct port **ret)
{
    struct subnet *s;
    struct network *n;
    struct fault f;
    int e = txn_get(c->txn, &SUBNET_KIND, subnet_id, &s);
    if (e < 0)
        return e;
    if (!s || !SUBNET_RESOURCE.visible(c, s))
        return neutron_absent(c, &SUBNET_RESOURCE, subnet_id);
    if (!s->gateway_ip)
        return call_fault(c, 400, "BadRequest",
                          "Bad router request: Subnet for router interface must have a gateway "
                          "IP.");
    /* Whoever has the gateway's address has everybody's traffic: it takes the owner, or a policy for this
     * project. */
    if (!call_is_admin(c) && !str_eq(s->std.project_id, c->auth->project_id) &&
        !shared_with(c->txn, "network", "access_as_shared", s->network_id, c->auth->project_id))
        return call_fault(c, 400, "BadRequest",
                          "Bad router request: Cannot add interface to router because subnet %s is "
                          "not owned by project making the request.",
                          subnet_id);
    e = check_leg(c, r, s);
    if (e == 0)
        e = txn_get(c->txn, &NETWORK_KIND, s->network_id, &n);
    if (e)
        return e;
    struct port *p = ARENA_NEW(c->arena, struct port);
    if (!p || !vec_push(c->arena, &p->fixed_ips, ((struct port_ip){ s->head.id, s->gateway_ip })))
        return -ENOMEM;
    p->std.project_id = r->std.project_id;
    p->admin_state_up = true;
    p->device_owner = OWNER_ROUTER_INTERFACE;
    p->device_id = r->head.id;
    p->own = true;
    e = port_make(c->txn, neutron_mac_prefix(c), p, n, false, true, &f);
    *ret = p;
    return neutron_tell(c, e, &f);
}

int router_attach(struct call *c, struct router *r, const char *subnet_id)
{
    struct port *p;
    return make_leg(c, r, subnet_id, &p);
}

static int leg_by_subnet(struct call *c, struct router *r, const char *subnet_id)
{
    struct port *p;
    int e = make_leg(c, r, subnet_id, &p);
    return e ? e : render_interface(c, r, p, subnet_id);
}

static int leg_by_port(struct call *c, struct router *r, const char *port_id)
{
    struct port *p;
    struct fault f;
    int e = txn_get(c->txn, &PORT_KIND, port_id, &p);
    if (e < 0)
        return e;
    if (!p || !PORT_RESOURCE.visible(c, p))
        return neutron_absent(c, &PORT_RESOURCE, port_id);
    e = neutron_own(c, &PORT_RESOURCE, p);
    if (e)
        return e;
    if (!str_empty(p->device_id))
        return call_fault(c, 409, "PortInUse",
                          "Unable to complete operation on port %s for network %s. Port already "
                          "has an attached device %s.",
                          p->head.id, p->network_id, p->device_id);
    if (!p->fixed_ips.n)
        return call_fault(c, 400, "BadRequest",
                          "Bad router request: Router port must have at least one fixed IP.");
    VEC_FOREACH (ip, &p->fixed_ips) {
        struct subnet *s;
        e = txn_get(c->txn, &SUBNET_KIND, ip->subnet_id, &s);
        if (e == 0 && s)
            e = check_leg(c, r, s);
        if (e)
            return e;
    }
    p->device_id = r->head.id;
    p->device_owner = OWNER_ROUTER_INTERFACE;
    p->security_groups = (struct strv){ 0 };
    standard_touch(&p->std);
    e = port_put(c->txn, p, &f);
    return e ? neutron_tell(c, e, &f) : render_interface(c, r, p, p->fixed_ips.v[0].subnet_id);
}

static int add_interface(struct call *c)
{
    struct router *r;
    const char *subnet_id = json_get_string(c->body, "subnet_id"),
               *port_id = json_get_string(c->body, "port_id");
    int e = own_router(c, &r);
    if (e)
        return e;
    if (!subnet_id == !port_id)
        return call_fault(c, 400, "BadRequest",
                          subnet_id ? "Bad router request: Cannot specify both subnet-id and "
                                      "port-id."
                                    : "Bad router request: Either subnet_id or port_id must be specified.");
    standard_touch(&r->std);
    e = subnet_id ? leg_by_subnet(c, r, subnet_id) : leg_by_port(c, r, port_id);
    return e ? e : txn_put(c->txn, &ROUTER_KIND, r);
}

int router_add_interface(struct call *c)
{
    return call_write(c, add_interface);
}

static int find_leg(struct call *c, const struct router *r, const char *subnet_id, const char *port_id,
                    struct port **ret)
{
    struct ports legs = { 0 };
    int e = ports_where(c->txn, "device_id", Q_EQ, r->head.id, &legs);
    *ret = NULL;
    for (size_t i = 0; e == 0 && i < legs.n && !*ret; i++) {
        struct port *p = legs.v[i];
        if (!str_starts(p->device_owner, OWNER_ROUTER_INTERFACE) || (port_id && !STREQ(p->head.id, port_id)))
            continue;
        bool on_subnet = !subnet_id;
        for (size_t j = 0; subnet_id && j < p->fixed_ips.n; j++)
            on_subnet |= str_eq(p->fixed_ips.v[j].subnet_id, subnet_id);
        if (on_subnet)
            *ret = p;
    }
    return e;
}

static int remove_interface(struct call *c)
{
    struct router *r;
    struct port *p;
    const char *subnet_id = json_get_string(c->body, "subnet_id"),
               *port_id = json_get_string(c->body, "port_id");
    int e = own_router(c, &r);
    if (e)
        return e;
    if (!subnet_id && !port_id)
        return call_fault(c, 400, "BadRequest",
                          "Bad router request: Either subnet_id or port_id must be specified.");
    e = find_leg(c, r, subnet_id, port_id, &p);
    if (e)
        return e;
    if (!p && subnet_id && !port_id)
        return call_fault(c, 404, "RouterInterfaceNotFoundForSubnet",
                          "Router %s has no interface on subnet %s.", r->head.id, subnet_id);
    if (!p)
        return call_fault(c, 404, "RouterInterfaceNotFound",
                          "Router %s does not have an interface with id %s.", r->head.id, port_id);
    VEC_FOREACH (ip, &p->fixed_ips) {
        bool used;
        e = floating_via(c, r->head.id, ip->subnet_id, &used);
        if (e == 0 && used)
            return call_fault(c, 409, "RouterInterfaceInUseByFloatingIP",
                              "Router interface for subnet %s on router %s "
                              "cannot be deleted, as it is required by one or more floating IPs.",
                              ip->subnet_id, r->head.id);
        VEC_FOREACH (route, &r->routes) {
            struct subnet *s;
            struct cidr net;
            struct ip hop;
            if (e == 0)
                e = txn_get(c->txn, &SUBNET_KIND, ip->subnet_id, &s);
            if (e == 0 && s && cidr_parse(s->cidr, false, &net) && ip_parse(route->nexthop, &hop) &&
                cidr_has(net, hop))
                return call_fault(c, 409, "RouterInterfaceInUseByRoute",
                                  "Router interface for subnet %s on router %s "
                                  "cannot be deleted, as it is required by one or more routes.",
                                  ip->subnet_id, r->head.id);
        }
        if (e)
            return e;
    }
    e = port_drop(c->txn, p);
    standard_touch(&r->std);
    if (e == 0)
        e = txn_put(c->txn, &ROUTER_KIND, r);
    return e ? e
             : render_interface(c, r, p,
                                subnet_id        ? subnet_id
                                : p->fixed_ips.n ? p->fixed_ips.v[0].subnet_id
                                                 : NULL);
}

int router_remove_interface(struct call *c)
{
    return call_write(c, remove_interface);
}

/* ---- routes added and removed one by one ---- */

static const char *const ROUTES_KEY = "routes";

static int change_routes(struct call *c, bool add)
{
    struct router *r;
    size_t i;
    json_t *each;
    int e = own_router(c, &r);
    const json_t *body = json_get_object(c->body, "router");
    const json_t *wanted = json_get_array(body ? body : c->body, ROUTES_KEY);
    if (e == 0)
        e = neutron_own(c, &ROUTER_RESOURCE, r);
    if (e)
        return e;
    json_array_foreach(wanted, i, each)
    {
        struct cidr net;
        struct ip hop;
        const char *to = json_get_string(each, "destination"), *via = json_get_string(each, "nexthop");
        if (!to || !via || !cidr_parse(to, false, &net) || !ip_parse(via, &hop))
            return call_fault(c, 400, "HTTPBadRequest",
                              "Invalid input for routes. Reason: a destination and a nexthop are "
                              "needed.");
        struct subnet_route one = { cidr_text(c->arena, net), ip_text(c->arena, hop) };
        size_t at = r->routes.n;
        for (size_t j = 0; j < r->routes.n; j++)
            if (str_eq(r->routes.v[j].destination, one.destination) &&
                str_eq(r->routes.v[j].nexthop, one.nexthop))
                at = j;
        if (add && at == r->routes.n && !vec_push(c->arena, &r->routes, one))
            return -ENOMEM;
        if (!add && at < r->routes.n)
            vec_remove(&r->routes, at);
    }
    if (r->routes.n > 30)
        return call_fault(c, 400, "RoutesExhausted",
                          "Unable to complete operation for %s. The number of routes exceeds "
                          "the maximum 30.",
                          r->head.id);
    e = add ? check_routes(c, r) : 0;
    standard_touch(&r->std);
    if (e == 0)
        e = txn_put(c->txn, &ROUTER_KIND, r);
    return e ? e : resource_render_one(c, &ROUTER_RESOURCE, r);
}

static int add_routes(struct call *c)
{
    return change_routes(c, true);
}

static int remove_routes(struct call *c)
{
    return change_routes(c, false);
}

int router_add_extraroutes(struct call *c)
{
    return call_write(c, add_routes);
}

int router_remove_extraroutes(struct call *c)
{
    return call_write(c, remove_routes);
}
