/* Floating addresses: a port of the external network that leads to a fixed address behind a router. */
#include "network/neutron.h"

#include <errno.h>

static int no_router(struct call *c, const struct floating_ip *f, const char *subnet_id)
{
    return call_fault(c, 404, "ExternalGatewayForFloatingIPNotFound",
                      "External network %s is not reachable from subnet "
                      "%s.  Therefore, cannot associate Port %s with a Floating IP.",
                      f->network_id, subnet_id, f->port_id);
}

static int lead_to(struct call *c, struct floating_ip *f)
{
    struct port *p;
    if (!f->port_id) {
        if (f->fixed_ip_address &&
            GIVEN(&c->given, FLOATING_IP_KIND.schema, struct floating_ip, fixed_ip_address) &&
            !GIVEN(&c->given, FLOATING_IP_KIND.schema, struct floating_ip, port_id))
            return call_fault(c, 400, "BadRequest",
                              "Bad floatingip request: fixed_ip_address cannot be specified "
                              "without a port_id.");
        f->fixed_ip_address = f->router_id = NULL;
        f->status = "DOWN";
        return 0;
    }
    int r = txn_get(c->txn, &PORT_KIND, f->port_id, &p);
    if (r < 0)
        return r;
    if (!p || !PORT_RESOURCE.visible(c, p))
        return neutron_absent(c, &PORT_RESOURCE, f->port_id);
    if (!call_is_admin(c) && !str_eq(p->std.project_id, f->std.project_id))
        return call_fault(c, 400, "BadRequest",
                          "Bad floatingip request: Port %s is associated with a different tenant than "
                          "Floating IP %s and therefore cannot be bound.",
                          f->port_id, f->head.id);
    const struct port_ip *target = NULL;
    VEC_FOREACH (ip, &p->fixed_ips) {
        struct ip v;
        bool four = ip_parse(ip->ip_address, &v) && v.version == 4;
        if (!target && four && (!f->fixed_ip_address || str_eq(f->fixed_ip_address, ip->ip_address)))
            target = ip;
    }
    if (!target && f->fixed_ip_address)
        return call_fault(c, 400, "BadRequest", "Bad floatingip request: Port %s does not have fixed ip %s.",
                          f->port_id, f->fixed_ip_address);
    if (!target)
        return call_fault(c, 400, "BadRequest",
                          "Bad floatingip request: Cannot add floating IP to port %s that has no "
                          "fixed IPv4 addresses.",
                          f->port_id);
    f->fixed_ip_address = target->ip_address;
    r = router_between(c->txn, f->network_id, target->subnet_id, &f->router_id);
    if (r == 0 && !f->router_id)
        return no_router(c, f, target->subnet_id);
    struct floating_ip *other;
    if (r == 0)
        r = txn_find_by(c->txn, &FLOATING_IP_KIND, "target",
                        arena_printf(c->arena, "%s/%s", f->port_id, f->fixed_ip_address), &other);
    if (r == 0 && other && !STREQ(other->head.id, f->head.id))
        return call_fault(
            c, 409, "FloatingIPPortAlreadyAssociated",
            "Cannot associate floating IP %s (%s) with port %s "
            "using fixed IP %s, as that fixed IP already has a floating IP on external network %s.",
            str_or(f->address, ""), f->head.id, f->port_id, f->fixed_ip_address, f->network_id);
    f->status = "ACTIVE";
    return r;
}

static int floating_create(struct call *c, void *object)
{
    struct floating_ip *f = object;
    struct network *n;
    struct fault fault;
    int r = txn_get(c->txn, &NETWORK_KIND, f->network_id, &n);
    if (r < 0)
        return r;
    if (!n || !NETWORK_RESOURCE.visible(c, n))
        return neutron_absent(c, &NETWORK_RESOURCE, f->network_id);
    if (!n->external)
        return call_fault(c, 400, "BadRequest",
                          "Bad floatingip request: Network %s is not a valid external network.",
                          f->network_id);
    r = qos_check(c, f->qos_policy_id);
    if (r)
        return r;
    if (f->address && !call_is_admin(c))
        return call_fault(c, 403, "PolicyNotAuthorized",
                          "rule:create_floatingip:floating_ip_address is disallowed by "
                          "policy");
    r = neutron_tell(c, quota_take(c->txn, f->std.project_id, "floatingip", 1, &fault), &fault);
    if (r)
        return r;
    struct port p = { .device_owner = OWNER_FLOATING_IP, .device_id = f->head.id, .admin_state_up = true };
    p.std.project_id = "";
    bool wished = f->address || f->subnet_id;
    if (wished && !vec_push(c->arena, &p.fixed_ips, ((struct port_ip){ f->subnet_id, f->address })))
        return -ENOMEM;
    r = port_make(c->txn, neutron_mac_prefix(c), &p, n, !wished, true, &fault);
    if (r)
        return neutron_tell(c, r, &fault);
    for (size_t i = 0; i < p.fixed_ips.n; i++) {
        struct ip v;
        if (ip_parse(p.fixed_ips.v[i].ip_address, &v) && v.version == 4)
            f->address = p.fixed_ips.v[i].ip_address;
    }
    if (!p.fixed_ips.n || !f->address)
        return call_fault(c, 400, "ExternalIpAddressExhausted",
                          "Unable to find any IP address on external network %s.", f->network_id);
    f->own_port_id = p.head.id;
    return lead_to(c, f);
}

static int floating_update(struct call *c, const void *before, void *object)
{
    (void)before;
    struct floating_ip *f = object;
    bool port = GIVEN(&c->given, FLOATING_IP_KIND.schema, struct floating_ip, port_id);
    bool fixed = GIVEN(&c->given, FLOATING_IP_KIND.schema, struct floating_ip, fixed_ip_address);
    if (port && !fixed)
        f->fixed_ip_address = NULL;
    int r = qos_check(c, f->qos_policy_id);
    if (r == 0 && port && f->port_id) {
        struct object *forwarding;
        r = txn_find_by_(c->txn, &PORT_FORWARDING_KIND, "floating_ip_id", f->head.id, (void **)&forwarding);
        if (r == 0 && forwarding)
            return call_fault(c, 409, "FipAssociated",
                              "Unable to complete the operation on floating IP %s: it forwards "
                              "ports.",
                              f->head.id);
    }
    return r == 0 && (port || fixed) ? lead_to(c, f) : r;
}

static int floating_remove(struct call *c, void *object)
{
    const struct floating_ip *f = object;
    struct query q = { .kind = &PORT_FORWARDING_KIND };
    struct results l = { 0 };
    if (!query_where(&q, c->arena, "floating_ip_id", Q_EQ, f->head.id))
        return -ENOMEM;
    int r = txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = txn_delete(c->txn, &PORT_FORWARDING_KIND, ((struct object *)l.v[i])->id);
    return r < 0 || !f->own_port_id ? r : txn_delete(c->txn, &PORT_KIND, f->own_port_id);
}

static int floating_taken(struct call *c, const void *object)
{
    const struct floating_ip *f = object;
    return call_fault(c, 409, "FloatingIPPortAlreadyAssociated", "Port %s has a floating IP already.",
                      str_or(f->port_id, ""));
}

static int floating_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    const struct floating_ip *f = object;
    struct port *p = NULL;
    struct query q = { .kind = &PORT_FORWARDING_KIND };
    struct results l = { 0 };
    if (resource_wants(c, "port_details")) {
        int r = f->port_id ? txn_get(c->txn, &PORT_KIND, f->port_id, &p) : 0;
        if (r < 0)
            return r;
        json_key(o, "port_details");
        if (p) {
            json_open_object(o);
            json_put_string(o, "name", p->name);
            json_put_string(o, "network_id", p->network_id);
            json_put_string(o, "mac_address", p->mac_address);
            json_put_bool(o, "admin_state_up", p->admin_state_up);
            json_put_string(o, "status", p->status);
            json_put_string(o, "device_id", p->device_id);
            json_put_string(o, "device_owner", p->device_owner);
            json_close_object(o);
        } else {
            json_null_out(o);
        }
    }
    if (resource_wants(c, "port_forwardings")) {
        if (!query_where(&q, c->arena, "floating_ip_id", Q_EQ, f->head.id))
            return -ENOMEM;
        int r = txn_list(c->txn, &q, &l);
        if (r < 0)
            return r;
        struct encode_options opt = call_encoding(c);
        json_put_array(o, "port_forwardings");
        for (size_t i = 0; i < l.n; i++)
            schema_encode(PORT_FORWARDING_KIND.schema, l.v[i], &opt, o);
        json_close_array(o);
    }
    return 0;
}

const struct resource FLOATING_RESOURCE = {
    .one = "floatingip",
    .many = "floatingips",
    .kind = &FLOATING_IP_KIND,
    .title = "Floating IP",
    .not_found = "FloatingIPNotFound",
    .filter = neutron_filter,
    .render = floating_render,
    .create = floating_create,
    .update = floating_update,
    .remove = floating_remove,
    .taken = floating_taken,
};
