/*
 * Port forwarding: ports of a floating address that lead to ports behind its router. An address either
 * leads to one fixed address or forwards ports, never both.
 */
#include "network/neutron.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

static const char *path_floating(const struct call *c)
{
    return strmap_get(&c->params, "floatingip_id");
}

static int get_floating(struct call *c, const char *id, struct floating_ip **ret)
{
    void *object;
    int r = resource_get(c, &FLOATING_RESOURCE, id, &object);
    *ret = r == 0 ? object : NULL;
    return r;
}

static int forwarding_scope(struct call *c, struct query *q)
{
    struct floating_ip *f;
    int r = get_floating(c, path_floating(c), &f);
    if (r)
        return r;
    return query_where(q, c->arena, "floating_ip_id", Q_EQ, f->head.id) ? 0 : -ENOMEM;
}

static bool forwarding_visible(struct call *c, const void *object)
{
    const struct port_forwarding *p = object;
    return str_eq(p->floating_ip_id, path_floating(c)) &&
           (call_is_admin(c) || str_eq(p->project_id, c->auth->project_id));
}

static int forwardings_of(struct txn *t, const char *floating_ip_id, struct results *ret)
{
    struct query q = { .kind = &PORT_FORWARDING_KIND };
    if (!query_where(&q, txn_arena(t), "floating_ip_id", Q_EQ, floating_ip_id))
        return -ENOMEM;
    return txn_list(t, &q, ret);
}

static bool parse_range(const char *text, int64_t *first, int64_t *last)
{
    long long a, b;
    char rest;
    int n = sscanf(text, "%lld:%lld%c", &a, &b, &rest);
    if (n == 1)
        b = a;
    if ((n != 1 && n != 2) || a < 1 || b > 65535 || a > b || !isdigit((unsigned char)*text))
        return false;
    *first = a;
    *last = b;
    return true;
}

bool forwarding_span(const char *range, int64_t port, int64_t *first, int64_t *last)
{
    *first = *last = port;
    return port != INT_NULL || (range && parse_range(range, first, last));
}

/* Ports as a number and as a range say the same thing: the range is told always, the number when it is one.
 */
static int settle_ports(struct call *c, const char **range, int64_t *port, bool range_given, const char *name,
                        int64_t *first, int64_t *last)
{
    if (range_given && *range)
        *port = INT_NULL;
    if (!forwarding_span(*range, *port, first, last))
        return call_fault(c, 400, "HTTPBadRequest",
                          "Invalid input for %s. Reason: a port or a range 'first:last' is "
                          "needed.",
                          name);
    *port = *first == *last ? *first : INT_NULL;
    *range = *first == *last ? arena_printf(c->arena, "%lld", (long long)*first)
                             : arena_printf(c->arena, "%lld:%lld", (long long)*first, (long long)*last);
    return 0;
}

static int bad(struct call *c, const char *text)
{
    return call_fault(c, 400, "BadRequest", "Bad port_forwarding request: %s.", text);
}

static int settle(struct call *c, struct port_forwarding *p, struct floating_ip *f)
{
    const struct schema *s = PORT_FORWARDING_KIND.schema;
    struct port *port;
    const struct port_ip *at = NULL;
    int64_t e1, e2, i1, i2;
    int r = settle_ports(c, &p->external_port_range, &p->external_port,
                         GIVEN(&c->given, s, struct port_forwarding, external_port_range), "external_port",
                         &e1, &e2);
    if (r == 0)
        r = settle_ports(c, &p->internal_port_range, &p->internal_port,
                         GIVEN(&c->given, s, struct port_forwarding, internal_port_range), "internal_port",
                         &i1, &i2);
    if (r)
        return r;
    if (i1 != i2 && i2 - i1 != e2 - e1)
        return bad(c, "the ranges of internal and external ports must be of the same size");
    r = txn_get(c->txn, &PORT_KIND, p->internal_port_id, &port);
    if (r < 0)
        return r;
    if (!port || !PORT_RESOURCE.visible(c, port))
        return neutron_absent(c, &PORT_RESOURCE, p->internal_port_id);
    VEC_FOREACH (ip, &port->fixed_ips) {
        struct ip v;
        if (!at && ip_parse(ip->ip_address, &v) && v.version == 4 &&
            (!p->internal_ip_address || str_eq(p->internal_ip_address, ip->ip_address)))
            at = ip;
    }
    if (!at)
        return bad(c, p->internal_ip_address ? "the internal port does not have that address"
                                             : "the internal port has no IPv4 address");
    p->internal_ip_address = at->ip_address;
    const char *router;
    r = router_between(c->txn, f->network_id, at->subnet_id, &router);
    if (r == 0 && !router)
        return call_fault(c, 404, "ExternalGatewayForFloatingIPNotFound",
                          "External network %s is not reachable from "
                          "subnet %s.  Therefore, cannot associate Port %s with a Floating IP.",
                          f->network_id, at->subnet_id, p->internal_port_id);
    struct results l = { 0 };
    if (r == 0)
        r = forwardings_of(c->txn, f->head.id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct port_forwarding *other = l.v[i];
        int64_t o1, o2;
        if (STREQ(other->head.id, p->head.id) || strcasecmp(other->protocol, p->protocol) != 0 ||
            !forwarding_span(other->external_port_range, other->external_port, &o1, &o2))
            continue;
        if (o1 <= e2 && e1 <= o2)
            return bad(c, "A duplicate port forwarding entry with same attributes already exists");
    }
    if (r == 0 && f->router_id && !STREQ(f->router_id, router) && l.n > 0)
        return bad(c, "the floating address forwards through another router");
    f->router_id = router;
    f->status = "ACTIVE";
    standard_touch(&f->std);
    return r ? r : txn_put(c->txn, &FLOATING_IP_KIND, f);
}

static int forwarding_create(struct call *c, void *object)
{
    struct port_forwarding *p = object;
    struct floating_ip *f;
    int r = get_floating(c, path_floating(c), &f);
    if (r == 0)
        r = neutron_own(c, &FLOATING_RESOURCE, f);
    if (r)
        return r;
    if (f->port_id)
        return call_fault(c, 409, "FipInUseByAnotherPort",
                          "Floating IP %s is associated with port %s and can't forward "
                          "ports.",
                          f->head.id, f->port_id);
    p->floating_ip_id = f->head.id;
    p->project_id = f->std.project_id;
    return settle(c, p, f);
}

static int forwarding_update(struct call *c, const void *before, void *object)
{
    struct port_forwarding *p = object;
    struct floating_ip *f;
    const struct schema *s = PORT_FORWARDING_KIND.schema;
    (void)before;
    if (GIVEN(&c->given, s, struct port_forwarding, internal_port_id) &&
        !GIVEN(&c->given, s, struct port_forwarding, internal_ip_address))
        p->internal_ip_address = NULL;
    int r = get_floating(c, p->floating_ip_id, &f);
    return r ? r : settle(c, p, f);
}

static int forwarding_remove(struct call *c, void *object)
{
    const struct port_forwarding *p = object;
    struct floating_ip *f;
    struct results l = { 0 };
    int r = forwardings_of(c->txn, p->floating_ip_id, &l);
    if (r < 0 || l.n > 1)
        return r;
    r = txn_get(c->txn, &FLOATING_IP_KIND, p->floating_ip_id, &f);
    if (r < 0 || !f)
        return r;
    f->router_id = NULL;
    f->status = "DOWN";
    standard_touch(&f->std);
    return txn_put(c->txn, &FLOATING_IP_KIND, f);
}

const struct resource FORWARDING_RESOURCE = {
    .one = "port_forwarding",
    .many = "port_forwardings",
    .kind = &PORT_FORWARDING_KIND,
    .title = "Port forwarding",
    .not_found = "PortForwardingNotFound",
    .scope = forwarding_scope,
    .visible = forwarding_visible,
    .create = forwarding_create,
    .update = forwarding_update,
    .remove = forwarding_remove,
};
