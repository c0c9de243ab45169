/*
 * What a host is told of its networks (what it tells back: observed.c).
 *
 * A host is told about every network that something of it is on the host: a bound port, the DHCP
 * port, a leg of a router placed there. All is computed from the store each time, so the work is in
 * proportion to what is on the host and on its networks, not to what is in the cloud.
 */
#include "host/spec_net.h"
#include "network/internal.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

struct tunnel {
    const char *host, *address;
};

struct builder {
    struct txn *t;
    struct arena *a;
    const char *host;
    struct net_spec spec;
    struct strv networks, groups, sets, policies; /* ids that are in 'spec', or shall be */
    VEC_OF(const struct network *) found;         /* those of 'networks' that there are */
    VEC_OF(struct tunnel) tunnels;                /* ends of hosts asked for so far */
    struct ports local;
};

static bool want(struct builder *b, struct strv *l, const char *id)
{
    return strv_has(l, id) || vec_push(b->a, l, id);
}

/* ---- routers placed here ---- */

static int router_addresses(struct builder *b, const struct port *p, struct strv *cidrs)
{
    VEC_FOREACH (ip, &p->fixed_ips) {
        struct subnet *s;
        struct cidr net;
        int r = txn_get(b->t, &SUBNET_KIND, ip->subnet_id, &s);
        if (r < 0)
            return r;
        if (s && cidr_parse(s->cidr, false, &net) &&
            !vec_push(b->a, cidrs, (const char *)arena_printf(b->a, "%s/%d", ip->ip_address, net.prefix)))
            return -ENOMEM;
    }
    return 0;
}

static int router_gateway(struct builder *b, const struct router *r, const struct port *p,
                          struct router_spec *out)
{
    struct router_gateway_spec *g = out->gateway = ARENA_NEW(b->a, struct router_gateway_spec);
    if (!g)
        return -ENOMEM;
    g->port_id = p->head.id;
    g->network_id = p->network_id;
    g->mac_address = p->mac_address;
    g->enable_snat = r->enable_snat != TRI_FALSE;
    VEC_FOREACH (ip, &p->fixed_ips) {
        struct subnet *s;
        int e = txn_get(b->t, &SUBNET_KIND, ip->subnet_id, &s);
        if (e < 0)
            return e;
        if (s && s->gateway_ip && !vec_push(b->a, &g->nexthops, s->gateway_ip))
            return -ENOMEM;
    }
    return router_addresses(b, p, &g->cidrs);
}

/* The numbers of a policy. */
static int policy_numbers(struct builder *b, const char *id, struct qos_policy_spec *o)
{
    struct query q = { .kind = &QOS_BANDWIDTH_KIND };
    struct results l = { 0 };
    struct qos_rule *mark;
    *o = (struct qos_policy_spec){ .id = id, .dscp_mark = INT_NULL };
    if (!query_where(&q, b->a, "qos_policy_id", Q_EQ, id))
        return -ENOMEM;
    int r = txn_list(b->t, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct qos_rule *rule = l.v[i];
        bool in = STREQ(rule->direction, "ingress");
        *(in ? &o->ingress_kbps : &o->egress_kbps) = rule->max;
        *(in ? &o->ingress_burst_kbits : &o->egress_burst_kbits) = rule->max_burst;
    }
    if (r == 0)
        r = txn_find_by(b->t, &QOS_DSCP_KIND, "qos_policy_id", id, &mark);
    if (r == 0 && mark)
        o->dscp_mark = mark->dscp_mark;
    return r;
}

static int limits_of(struct builder *b, const char *policy_id, struct floating_ip_spec *o)
{
    struct qos_policy_spec n;
    int r = policy_numbers(b, policy_id, &n);
    o->egress_kbps = n.egress_kbps;
    o->ingress_kbps = n.ingress_kbps;
    return r;
}

static int router_floating(struct builder *b, const struct router *r, struct router_spec *out)
{
    struct query q = { .kind = &FLOATING_IP_KIND };
    struct results l = { 0 };
    if (!query_where(&q, b->a, "router_id", Q_EQ, r->head.id))
        return -ENOMEM;
    int e = txn_list(b->t, &q, &l);
    for (size_t i = 0; e == 0 && i < l.n; i++) {
        const struct floating_ip *f = l.v[i];
        if (f->fixed_ip_address) {
            struct floating_ip_spec *s = vec_add(b->a, &out->floating_ips);
            if (!s)
                return -ENOMEM;
            *s = (struct floating_ip_spec){ .id = f->head.id,
                                            .floating_address = f->address,
                                            .fixed_address = f->fixed_ip_address };
            e = f->qos_policy_id ? limits_of(b, f->qos_policy_id, s) : 0;
            continue;
        }
        struct query forwardings = { .kind = &PORT_FORWARDING_KIND };
        struct results pf = { 0 };
        if (!query_where(&forwardings, b->a, "floating_ip_id", Q_EQ, f->head.id))
            return -ENOMEM;
        e = txn_list(b->t, &forwardings, &pf);
        for (size_t j = 0; e == 0 && j < pf.n; j++) {
            const struct port_forwarding *p = pf.v[j];
            int64_t e1, e2, i1, i2;
            if (!forwarding_span(p->external_port_range, p->external_port, &e1, &e2) ||
                !forwarding_span(p->internal_port_range, p->internal_port, &i1, &i2))
                continue;
            struct port_forwarding_spec *s = vec_add(b->a, &out->port_forwardings);
            if (!s)
                return -ENOMEM;
            *s = (struct port_forwarding_spec){
                .id = p->head.id,
                .protocol = strcasecmp(p->protocol, "udp") == 0 ? "udp" : "tcp",
                .external_address = f->address,
                .external_port = e1,
                .external_port_last = e1 == e2 ? 0 : e2,
                .internal_address = p->internal_ip_address,
                .internal_port = i1,
            };
        }
    }
    return e;
}

static int add_router(struct builder *b, const struct router *r)
{
    struct ports ports = { 0 };
    struct router_spec *out = vec_add(b->a, &b->spec.routers);
    if (!out)
        return -ENOMEM;
    out->id = r->head.id;
    out->admin_state_up = r->admin_state_up;
    VEC_FOREACH (route, &r->routes)
        if (!vec_push(b->a, &out->routes, ((struct net_route){ route->destination, route->nexthop })))
            return -ENOMEM;
    int e = ports_where(b->t, "device_id", Q_EQ, r->head.id, &ports);
    for (size_t i = 0; e == 0 && i < ports.n; i++) {
        const struct port *p = ports.v[i];
        if (!want(b, &b->networks, p->network_id))
            return -ENOMEM;
        if (STREQ(p->device_owner, OWNER_ROUTER_GATEWAY)) {
            e = router_gateway(b, r, p, out);
        } else if (str_starts(p->device_owner, OWNER_ROUTER_INTERFACE)) {
            struct router_interface_spec *leg = vec_add(b->a, &out->interfaces);
            if (!leg)
                return -ENOMEM;
            leg->port_id = p->head.id;
            leg->network_id = p->network_id;
            leg->mac_address = p->mac_address;
            e = router_addresses(b, p, &leg->cidrs);
        }
    }
    return e ? e : router_floating(b, r, out);
}

static int add_routers(struct builder *b)
{
    struct query q = { .kind = &ROUTER_KIND };
    struct results l = { 0 };
    if (!query_where(&q, b->a, "host", Q_EQ, b->host))
        return -ENOMEM;
    int r = txn_list(b->t, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = add_router(b, l.v[i]);
    return r;
}

/* ---- networks and their ports ---- */

static int add_subnets(struct builder *b, const struct network *n, const struct port *dhcp,
                       struct network_spec *out)
{
    struct subnets l = { 0 };
    int r = subnets_of(b->t, n->head.id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct subnet *s = l.v[i];
        struct subnet_spec *o = vec_add(b->a, &out->subnets);
        if (!o)
            return -ENOMEM;
        o->id = s->head.id;
        o->ip_version = s->ip_version;
        o->cidr = s->cidr;
        o->gateway_ip = s->gateway_ip;
        o->enable_dhcp = s->enable_dhcp;
        o->ipv6_ra_mode = s->ipv6_ra_mode;
        o->ipv6_address_mode = s->ipv6_address_mode;
        o->dns_nameservers = s->dns_nameservers;
        VEC_FOREACH (route, &s->host_routes)
            if (!vec_push(b->a, &o->host_routes, ((struct net_route){ route->destination, route->nexthop })))
                return -ENOMEM;
        VEC_FOREACH (pool, &s->allocation_pools)
            if (!vec_push(b->a, &o->allocation_pools, ((struct net_pool){ pool->start, pool->end })))
                return -ENOMEM;
        for (size_t j = 0; dhcp && j < dhcp->fixed_ips.n; j++)
            if (str_eq(dhcp->fixed_ips.v[j].subnet_id, s->head.id))
                o->dhcp_address = dhcp->fixed_ips.v[j].ip_address;
    }
    return r;
}

static bool copy_options(struct builder *b, const struct port *p, struct dhcp_option **v, size_t *n)
{
    *n = p->extra_dhcp_opts.n;
    *v = ARENA_NEWN(b->a, struct dhcp_option, *n + 1);
    for (size_t i = 0; *v && i < *n; i++)
        (*v)[i] = (struct dhcp_option){ p->extra_dhcp_opts.v[i].opt_name, p->extra_dhcp_opts.v[i].opt_value,
                                        p->extra_dhcp_opts.v[i].ip_version };
    return *v != NULL;
}

static const struct network *find_network(const struct builder *b, const char *id)
{
    VEC_FOREACH (n, &b->found)
        if (STREQ((*n)->head.id, id))
            return *n;
    return NULL;
}

static int add_local(struct builder *b, const struct port *p)
{
    struct port_spec *o = vec_add(b->a, &b->spec.ports);
    if (!o)
        return -ENOMEM;
    o->id = p->head.id;
    o->network_id = p->network_id;
    o->device_owner = p->device_owner;
    o->device_id = p->device_id;
    o->mac_address = p->mac_address;
    o->port_security_enabled = p->port_security_enabled;
    o->security_groups = p->security_groups;
    o->dns_name = str_empty(p->dns_name) ? NULL : p->dns_name;
    const struct network *n = find_network(b, p->network_id);
    o->qos_policy_id = p->qos_policy_id ? p->qos_policy_id : n ? n->qos_policy_id : NULL;
    o->admin_state_up = p->admin_state_up && (!n || n->admin_state_up);
    if (o->qos_policy_id && !want(b, &b->policies, o->qos_policy_id))
        return -ENOMEM;
    VEC_FOREACH (ip, &p->fixed_ips)
        if (!vec_push(b->a, &o->fixed_ips, ((struct fixed_ip){ ip->subnet_id, ip->ip_address })))
            return -ENOMEM;
    VEC_FOREACH (pair, &p->allowed_address_pairs)
        if (!vec_push(b->a, &o->allowed_address_pairs,
                      ((struct address_pair){ pair->ip_address, pair->mac_address })))
            return -ENOMEM;
    VEC_FOREACH (group, &p->security_groups)
        if (p->port_security_enabled && !want(b, &b->groups, *group))
            return -ENOMEM;
    return copy_options(b, p, &o->extra_dhcp_opts.v, &o->extra_dhcp_opts.n) ? 0 : -ENOMEM;
}

/* Where tunnels to a host end; null: unknown. */
static int tunnel_of(struct builder *b, const char *host, const char **ret)
{
    struct net_host *h;
    *ret = NULL;
    if (!host)
        return 0;
    VEC_FOREACH (t, &b->tunnels)
        if (STREQ(t->host, host)) {
            *ret = t->address;
            return 0;
        }
    int r = txn_get(b->t, &NET_HOST_KIND, host, &h);
    *ret = r == 0 && h ? h->tunnel_address : NULL;
    return r < 0 || vec_push(b->a, &b->tunnels, ((struct tunnel){ host, *ret })) ? r : -ENOMEM;
}

static int add_remote(struct builder *b, const struct port *p)
{
    const char *tunnel;
    int r = tunnel_of(b, p->host, &tunnel);
    struct remote_port_spec *o = r < 0 ? NULL : vec_add(b->a, &b->spec.remote_ports);
    if (!o)
        return r < 0 ? r : -ENOMEM;
    o->id = p->head.id;
    o->network_id = p->network_id;
    o->host_address = tunnel;
    o->mac_address = p->mac_address;
    o->dns_name = str_empty(p->dns_name) ? NULL : p->dns_name;
    VEC_FOREACH (ip, &p->fixed_ips)
        if (!vec_push(b->a, &o->fixed_ips, ((struct fixed_ip){ ip->subnet_id, ip->ip_address })))
            return -ENOMEM;
    return copy_options(b, p, &o->extra_dhcp_opts.v, &o->extra_dhcp_opts.n) ? 0 : -ENOMEM;
}

static int add_network(struct builder *b, const char *id)
{
    struct network *n;
    int r = txn_get(b->t, &NETWORK_KIND, id, &n);
    if (r < 0 || !n)
        return r;
    struct network_spec *o = vec_add(b->a, &b->spec.networks);
    if (!o || !vec_push(b->a, &b->found, (const struct network *)n))
        return -ENOMEM;
    o->id = n->head.id;
    o->type = n->type;
    o->segmentation_id = n->segmentation_id == INT_NULL ? 0 : n->segmentation_id;
    o->physical_network = n->physical_network;
    o->mtu = n->mtu;
    o->dns_domain = str_empty(n->dns_domain) ? NULL : n->dns_domain;
    o->external = n->external;
    struct ports ports = { 0 };
    const struct port *dhcp = NULL;
    r = ports_where(b->t, "network_id", Q_EQ, id, &ports);
    for (size_t i = 0; r == 0 && i < ports.n; i++) {
        const struct port *p = ports.v[i];
        if (STREQ(p->device_owner, OWNER_DHCP)) {
            dhcp = str_eq(n->host, b->host) ? p : dhcp;
            if (!str_eq(n->host, b->host))
                r = add_remote(b, p);
        } else if (str_starts(p->device_owner, "network:router")) {
            struct router *router = NULL;
            r = txn_get(b->t, &ROUTER_KIND, p->device_id, &router);
            if (r == 0 && router && !str_eq(router->host, b->host)) {
                struct port there = *p;
                there.host = router->host;
                r = add_remote(b, &there);
            }
        } else if (!str_eq(p->host, b->host) && !STREQ(p->device_owner, OWNER_FLOATING_IP)) {
            r = add_remote(b, p);
        }
    }
    if (r == 0 && dhcp) {
        o->dhcp_port_id = dhcp->head.id;
        o->dhcp_mac = dhcp->mac_address;
    }
    return r < 0 ? r : add_subnets(b, n, dhcp, o);
}

/* ---- security groups ---- */

static int64_t protocol_number(const char *name, bool v6)
{
    static const struct {
        const char *name;
        int64_t number;
    } KNOWN[] = {
        { "tcp", 6 },        { "udp", 17 },        { "icmp", 1 },       { "ipv6-icmp", 58 },
        { "icmpv6", 58 },    { "sctp", 132 },      { "ah", 51 },        { "dccp", 33 },
        { "egp", 8 },        { "esp", 50 },        { "gre", 47 },       { "igmp", 2 },
        { "ipip", 4 },       { "ipv6-encap", 41 }, { "ipv6-frag", 44 }, { "ipv6-nonxt", 59 },
        { "ipv6-opts", 60 }, { "ipv6-route", 43 }, { "ospf", 89 },      { "pgm", 113 },
        { "rsvp", 46 },      { "udplite", 136 },   { "vrrp", 112 },     { "hopopt", 0 },
    };
    if (str_empty(name) || STREQ(name, "any"))
        return INT_NULL;
    if (v6 && (STREQ(name, "icmp") || STREQ(name, "1")))
        return 58;
    for (size_t i = 0; i < ARRAY_SIZE(KNOWN); i++)
        if (strcasecmp(KNOWN[i].name, name) == 0)
            return KNOWN[i].number;
    return strtoll(name, NULL, 10);
}

static int add_group(struct builder *b, const char *id)
{
    struct security_group *g;
    int r = txn_get(b->t, &SECURITY_GROUP_KIND, id, &g);
    if (r < 0 || !g)
        return r;
    struct security_group_spec *o = vec_add(b->a, &b->spec.security_groups);
    struct query q = { .kind = &SECURITY_RULE_KIND };
    struct results l = { 0 };
    if (!o || !query_where(&q, b->a, "security_group_id", Q_EQ, id))
        return -ENOMEM;
    o->id = g->head.id;
    o->stateful = g->stateful;
    r = txn_list(b->t, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct security_rule *rule = l.v[i];
        struct security_rule_spec *s = vec_add(b->a, &o->rules);
        const char *set = rule->remote_group_id ? rule->remote_group_id : rule->remote_address_group_id;
        if (!s || (set && !want(b, &b->sets, set)))
            return -ENOMEM;
        *s = (struct security_rule_spec){
            .id = rule->head.id,
            .direction = rule->direction,
            .ethertype = rule->ethertype,
            .protocol = protocol_number(rule->protocol, STREQ(rule->ethertype, "IPv6")),
            .port_range_min = rule->port_range_min,
            .port_range_max = rule->port_range_max,
            .remote_ip_prefix = rule->remote_ip_prefix,
            .remote_set_id = set,
        };
    }
    return r;
}

/* The members of a security group, wherever they are; or the addresses of an address group. */
static int add_set(struct builder *b, const char *id)
{
    struct ports members = { 0 };
    struct address_group *g;
    struct strv all = { 0 };
    struct address_set_spec *o = vec_add(b->a, &b->spec.address_sets);
    if (!o)
        return -ENOMEM;
    o->id = id;
    int r = txn_get(b->t, &ADDRESS_GROUP_KIND, id, &g);
    if (r == 0 && g)
        all = g->addresses;
    if (r == 0 && !g)
        r = ports_where(b->t, "security_groups", Q_KEY, id, &members);
    for (size_t i = 0; r == 0 && i < members.n; i++) {
        VEC_FOREACH (ip, &members.v[i]->fixed_ips)
            if (!vec_push(b->a, &all, ip->ip_address))
                return -ENOMEM;
        VEC_FOREACH (pair, &members.v[i]->allowed_address_pairs)
            if (!vec_push(b->a, &all, pair->ip_address))
                return -ENOMEM;
    }
    /* the same address may be on many networks */
    strv_sort(&all);
    VEC_FOREACH (text, &all)
        if ((text == all.v || !STREQ(*text, text[-1])) && !vec_push(b->a, &o->addresses, *text))
            return -ENOMEM;
    return r;
}

/* ---- the section ---- */

static int build(struct builder *b)
{
    struct ports bound = { 0 };
    int r = ports_where(b->t, "binding:host_id", Q_EQ, b->host, &bound);
    /* DHCP servers and routers have no tap of their own: the driver makes their legs. */
    for (size_t i = 0; r == 0 && i < bound.n; i++) {
        bool tap = !str_starts(bound.v[i]->device_owner, "network:");
        if ((tap && !vec_push(b->a, &b->local, bound.v[i])) || !want(b, &b->networks, bound.v[i]->network_id))
            r = -ENOMEM;
    }
    if (r == 0)
        r = add_routers(b);
    for (size_t i = 0; r == 0 && i < b->networks.n; i++)
        r = add_network(b, b->networks.v[i]);
    for (size_t i = 0; r == 0 && i < b->local.n; i++)
        r = add_local(b, b->local.v[i]);
    for (size_t i = 0; r == 0 && i < b->groups.n; i++)
        r = add_group(b, b->groups.v[i]);
    for (size_t i = 0; r == 0 && i < b->sets.n; i++)
        r = add_set(b, b->sets.v[i]);
    for (size_t i = 0; r == 0 && i < b->policies.n; i++) {
        struct qos_policy_spec *o = vec_add(b->a, &b->spec.qos_policies);
        r = o ? policy_numbers(b, b->policies.v[i], o) : -ENOMEM;
    }
    return r;
}

static int network_desired(struct api *api, struct txn *t, const char *host, struct json_out *o)
{
    (void)api;
    struct builder b = { .t = t, .a = txn_arena(t), .host = host };
    int r = build(&b);
    if (r < 0)
        return r;
    struct encode_options opt = { .stored = true };
    schema_encode(&NET_SPEC_SCHEMA, &b.spec, &opt, o);
    return arena_failed(b.a) ? -ENOMEM : 0;
}

static const struct kind *const SECTION_KINDS[] = {
    &NETWORK_KIND,        &SUBNET_KIND,
    &PORT_KIND,           &ROUTER_KIND,
    &FLOATING_IP_KIND,    &PORT_FORWARDING_KIND,
    &SECURITY_GROUP_KIND, &SECURITY_RULE_KIND,
    &ADDRESS_GROUP_KIND,  &QOS_POLICY_KIND,
    &QOS_BANDWIDTH_KIND,  &QOS_DSCP_KIND,
    &NET_HOST_KIND,       NULL,
};

const struct agent_section NETWORK_SECTION = { "network", SECTION_KINDS, network_desired, network_observed };
