/* Subnets: ranges that fit together, gateways and pools that are inside and apart. */
#include "network/neutron.h"

#include <errno.h>
#include <stdio.h>

static int network_of(struct call *c, const char *id, struct network **ret)
{
    int r = txn_get(c->txn, &NETWORK_KIND, id, ret);
    if (r < 0)
        return r;
    return *ret ? 0 : neutron_absent(c, &NETWORK_RESOURCE, id);
}

/* Seen by its project, and with a network that is shared. */
static int subnet_scope(struct call *c, struct query *q)
{
    struct strv shared = { 0 };
    struct query networks = { .kind = &NETWORK_KIND };
    struct results l = { 0 };
    if (call_is_admin(c))
        return 0;
    if (!query_where(&networks, c->arena, "shared", Q_EQ, "true"))
        return -ENOMEM;
    int r = txn_list(c->txn, &networks, &l);
    if (r == 0)
        r = shared_ids(c->txn, "network", "access_as_shared", c->auth->project_id, &shared);
    if (r < 0)
        return r;
    for (size_t i = 0; i < l.n; i++)
        if (!vec_push(c->arena, &shared, ((struct object *)l.v[i])->id))
            return -ENOMEM;
    struct condition *own = query_where(q, c->arena, "project_id", Q_EQ, str_or(c->auth->project_id, ""));
    if (!own || !shared.n)
        return own ? 0 : -ENOMEM;
    struct condition *theirs = query_where(q, c->arena, "network_id", Q_IN, NULL);
    if (!theirs)
        return -ENOMEM;
    theirs->list = shared;
    q->where.v[q->where.n - 1].any = q->where.v[q->where.n - 2].any = 2;
    return 0;
}

static bool subnet_visible(struct call *c, const void *object)
{
    const struct subnet *s = object;
    struct network *n;
    if (call_is_admin(c) || str_eq(s->std.project_id, c->auth->project_id))
        return true;
    return txn_get(c->txn, &NETWORK_KIND, s->network_id, &n) == 0 && n &&
           network_usable(c->txn, n, c->auth->project_id);
}

/* ---- checks ---- */

struct span {
    struct ip first, last;
};

static int check_pools(struct call *c, const struct subnet *s, struct cidr net)
{
    struct span spans[64];
    size_t n = 0;
    VEC_FOREACH (pool, &s->allocation_pools) {
        struct span span;
        if (n == ARRAY_SIZE(spans))
            return neutron_invalid(c, "more than %zu allocation pools", ARRAY_SIZE(spans));
        if (!ip_parse(pool->start, &span.first) || !ip_parse(pool->end, &span.last) ||
            span.first.version != (int)s->ip_version || span.last.version != (int)s->ip_version ||
            span.first.n > span.last.n)
            return call_fault(c, 400, "InvalidAllocationPool", "The allocation pool %s-%s is not valid.",
                              pool->start, pool->end);
        bool edges = s->ip_version == 4 && net.prefix < 31;
        if (span.first.n < net.first.n + edges || span.last.n > cidr_last(net).n - edges)
            return call_fault(c, 400, "OutOfBoundsAllocationPool",
                              "The allocation pool %s-%s spans beyond the subnet "
                              "cidr %s.",
                              pool->start, pool->end, s->cidr);
        for (size_t i = 0; i < n; i++)
            if (span.first.n <= spans[i].last.n && spans[i].first.n <= span.last.n)
                return call_fault(c, 409, "OverlappingAllocationPools",
                                  "Found overlapping allocation pools: %s-%s "
                                  "%s-%s for subnet %s.",
                                  s->allocation_pools.v[i].start, s->allocation_pools.v[i].end, pool->start,
                                  pool->end, s->cidr);
        spans[n++] = span;
    }
    return 0;
}

/* All addresses but the network's own, the broadcast, and the gateway. */
static int default_pools(struct call *c, struct subnet *s, struct cidr net)
{
    bool edges = s->ip_version == 4 ? net.prefix < 31 : net.prefix < 127;
    struct ip first = net.first, last = cidr_last(net), gateway;
    if (edges)
        first.n++;
    if (s->ip_version == 4 && edges)
        last.n--;
    s->allocation_pools = (__typeof__(s->allocation_pools)){ 0 };
    bool inside =
        s->gateway_ip && ip_parse(s->gateway_ip, &gateway) && gateway.n >= first.n && gateway.n <= last.n;
    struct span spans[2] = { { first, last }, { first, last } };
    size_t n = 1;
    if (inside) {
        spans[0].last.n = gateway.n - 1;
        spans[1].first.n = gateway.n + 1;
        n = 2;
    }
    for (size_t i = 0; i < n; i++) {
        if (spans[i].first.n > spans[i].last.n || (inside && i == 0 && gateway.n == first.n) ||
            (inside && i == 1 && gateway.n == last.n))
            continue;
        struct pool_range pool = { ip_text(c->arena, spans[i].first), ip_text(c->arena, spans[i].last) };
        if (!pool.start || !pool.end || !vec_push(c->arena, &s->allocation_pools, pool))
            return -ENOMEM;
    }
    return 0;
}

static int check_gateway(struct call *c, const struct subnet *s, struct cidr net)
{
    struct ip gateway, first, last;
    if (!s->gateway_ip)
        return 0;
    if (!ip_parse(s->gateway_ip, &gateway) || gateway.version != (int)s->ip_version)
        return neutron_invalid(c, "gateway_ip '%s' does not match the ip_version '%lld'", s->gateway_ip,
                               (long long)s->ip_version);
    bool local = s->ip_version == 6 && (gateway.n >> 118) == 0x3fa;
    if (!cidr_has(net, gateway) && !local && s->ip_version == 6)
        return 0; /* Neutron lets a gateway be elsewhere on the link */
    if (cidr_has(net, gateway) && s->ip_version == 4 && net.prefix < 31 &&
        (gateway.n == net.first.n || gateway.n == cidr_last(net).n))
        return neutron_invalid(c, "Gateway is not valid on subnet");
    VEC_FOREACH (pool, &s->allocation_pools)
        if (ip_parse(pool->start, &first) && ip_parse(pool->end, &last) && gateway.n >= first.n &&
            gateway.n <= last.n)
            return call_fault(c, 409, "GatewayConflictWithAllocationPools",
                              "Gateway ip %s conflicts with allocation "
                              "pool %s-%s.",
                              s->gateway_ip, pool->start, pool->end);
    return 0;
}

static int check_overlap(struct call *c, const struct subnet *s, struct cidr net)
{
    struct subnets l = { 0 };
    int r = subnets_of(c->txn, s->network_id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        struct cidr other;
        if (cidr_parse(l.v[i]->cidr, false, &other) && cidr_overlap(net, other))
            return neutron_invalid(
                c, "Requested subnet with cidr: %s for network: %s overlaps with another subnet", s->cidr,
                s->network_id);
    }
    return r;
}

static int check_v6(struct call *c, const struct subnet *s, struct cidr net)
{
    if (s->ip_version == 4) {
        if (s->ipv6_ra_mode || s->ipv6_address_mode)
            return neutron_invalid(c,
                                   "ipv6_ra_mode and ipv6_address_mode are not valid when ip_version is 4");
        return 0;
    }
    if ((s->ipv6_ra_mode || s->ipv6_address_mode) && !s->enable_dhcp)
        return neutron_invalid(
            c, "ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False");
    if (s->ipv6_ra_mode && s->ipv6_address_mode && !STREQ(s->ipv6_ra_mode, s->ipv6_address_mode))
        return neutron_invalid(
            c,
            "ipv6_ra_mode set to '%s' with ipv6_address_mode set to '%s' is not valid. If both "
            "attributes are set, they must be the same value",
            s->ipv6_ra_mode, s->ipv6_address_mode);
    if (subnet_is_slaac(s) && net.prefix != 64)
        return neutron_invalid(
            c,
            "Invalid CIDR %s for IPv6 address mode. OpenStack uses the EUI-64 address format, "
            "which requires the prefix to be /64",
            s->cidr);
    return 0;
}

static int check_versions(struct call *c, const struct subnet *s)
{
    struct ip ip;
    VEC_FOREACH (route, &s->host_routes) {
        struct cidr to;
        if (!cidr_parse(route->destination, false, &to) || to.first.version != (int)s->ip_version ||
            !ip_parse(route->nexthop, &ip) || ip.version != (int)s->ip_version)
            return neutron_invalid(c, "host_routes '%s' does not match the ip_version '%lld'",
                                   route->destination, (long long)s->ip_version);
    }
    return 0;
}

static int settle(struct call *c, struct subnet *s, bool pools_given)
{
    struct cidr net;
    if (!cidr_parse(s->cidr, false, &net))
        return neutron_invalid(c, "'%s' is not a valid IP subnet", s->cidr);
    int r = check_v6(c, s, net);
    if (r == 0)
        r = check_versions(c, s);
    if (r == 0)
        r = pools_given ? check_pools(c, s, net) : default_pools(c, s, net);
    return r ? r : check_gateway(c, s, net);
}

/* ---- life ---- */

static int subnet_create(struct call *c, void *object)
{
    struct subnet *s = object;
    struct network *n;
    struct fault f;
    struct cidr net;
    int r = network_of(c, s->network_id, &n);
    if (r)
        return r;
    if (!NETWORK_RESOURCE.visible(c, n))
        return neutron_absent(c, &NETWORK_RESOURCE, s->network_id);
    r = neutron_own(c, &NETWORK_RESOURCE, n);
    if (r == 0)
        r = neutron_tell(c, quota_take(c->txn, s->std.project_id, "subnet", 1, &f), &f);
    if (r)
        return r;
    r = subnet_from_pool(c, s);
    if (r)
        return r;
    if (!s->cidr)
        return call_fault(c, 400, "BadSubnetRequest",
                          "Bad subnet request: a subnetpool must be specified in the "
                          "absence of a cidr.");
    if (!cidr_parse(s->cidr, false, &net) || !(s->cidr = cidr_text(c->arena, net)))
        return neutron_invalid(c, "'%s' is not a valid IP subnet", s->cidr);
    if (!s->ip_version)
        return call_fault(c, 400, "HTTPBadRequest",
                          "Failed to parse request. Required attribute 'ip_version' not "
                          "specified");
    if (s->ip_version != net.first.version)
        return neutron_invalid(c, "cidr '%s' does not match the ip_version '%lld'", s->cidr,
                               (long long)s->ip_version);
    if (s->enable_dhcp && cidr_size(net) < 4 && net.first.version == 4 && net.prefix > 30)
        return neutron_invalid(c,
                               "Subnet has a prefix length that is incompatible with DHCP service enabled");
    s->no_gateway = GIVEN(&c->given, SUBNET_KIND.schema, struct subnet, gateway_ip) && !s->gateway_ip;
    if (!s->gateway_ip && !s->no_gateway) {
        struct ip first = net.first;
        first.n += net.prefix < ip_bits(first.version) - 1 || first.version == 6;
        s->gateway_ip = ip_text(c->arena, first);
    } else if (s->gateway_ip) {
        struct ip gateway;
        if (ip_parse(s->gateway_ip, &gateway))
            s->gateway_ip = ip_text(c->arena, gateway);
    }
    r = check_overlap(c, s, net);
    if (r == 0)
        r = settle(c, s, GIVEN(&c->given, SUBNET_KIND.schema, struct subnet, allocation_pools));
    if (r == 0)
        r = txn_put(c->txn, &SUBNET_KIND, s);
    return r ? r : neutron_tell(c, dhcp_port_follow(c->txn, neutron_mac_prefix(c), n, &f), &f);
}

static int gateway_port_uses(struct call *c, const struct subnet *s, bool *ret)
{
    struct ports ports = { 0 };
    int r = ports_where(c->txn, "subnet", Q_KEY, s->head.id, &ports);
    *ret = false;
    for (size_t i = 0; r == 0 && i < ports.n; i++)
        if (str_starts(ports.v[i]->device_owner, OWNER_ROUTER_INTERFACE))
            VEC_FOREACH (ip, &ports.v[i]->fixed_ips)
                *ret |= str_eq(ip->subnet_id, s->head.id) && str_eq(ip->ip_address, s->gateway_ip);
    return r;
}

static int subnet_update(struct call *c, const void *before, void *object)
{
    const struct subnet *old = before;
    struct subnet *s = object;
    struct network *n;
    struct fault f;
    bool used = false;
    int r = network_of(c, s->network_id, &n);
    if (r == 0 && !str_eq(old->gateway_ip, s->gateway_ip))
        r = gateway_port_uses(c, old, &used);
    if (r)
        return r;
    if (used)
        return call_fault(c, 409, "GatewayIpInUse",
                          "Current gateway ip %s already in use by a router. Unable to "
                          "update.",
                          old->gateway_ip);
    s->no_gateway = !s->gateway_ip;
    r = settle(c, s, true);
    if (r == 0)
        r = txn_put(c->txn, &SUBNET_KIND, s);
    return r ? r : neutron_tell(c, dhcp_port_follow(c->txn, neutron_mac_prefix(c), n, &f), &f);
}

/* Addresses that guests made by themselves go with the subnet; all others keep it. */
static int subnet_remove(struct call *c, void *object)
{
    const struct subnet *s = object;
    struct ports ports = { 0 };
    struct network *n;
    struct fault f;
    int r = network_of(c, s->network_id, &n);
    if (r == 0)
        r = ports_where(c->txn, "subnet", Q_KEY, s->head.id, &ports);
    for (size_t i = 0; r == 0 && i < ports.n; i++) {
        const struct port *p = ports.v[i];
        bool slaac = subnet_is_slaac(s) && !str_starts(p->device_owner, "network:router");
        if (!STREQ(p->device_owner, OWNER_DHCP) && !slaac)
            return call_fault(c, 409, "SubnetInUse",
                              "Unable to complete operation on subnet %s: One or more ports "
                              "have an IP allocation from this subnet.",
                              s->head.id);
    }
    for (size_t i = 0; r == 0 && i < ports.n; i++) {
        struct port *p = ports.v[i];
        if (STREQ(p->device_owner, OWNER_DHCP))
            continue;
        for (size_t j = p->fixed_ips.n; j-- > 0;)
            if (str_eq(p->fixed_ips.v[j].subnet_id, s->head.id))
                vec_remove(&p->fixed_ips, j);
        r = neutron_tell(c, port_put(c->txn, p, &f), &f);
    }
    if (r == 0)
        r = txn_delete(c->txn, &SUBNET_KIND, s->head.id);
    return r ? r : neutron_tell(c, dhcp_port_follow(c->txn, neutron_mac_prefix(c), n, &f), &f);
}

const struct resource SUBNET_RESOURCE = {
    .one = "subnet",
    .many = "subnets",
    .kind = &SUBNET_KIND,
    .title = "Subnet",
    .not_found = "SubnetNotFound",
    .scope = subnet_scope,
    .visible = subnet_visible,
    .filter = neutron_filter,
    .create = subnet_create,
    .update = subnet_update,
    .remove = subnet_remove,
};
