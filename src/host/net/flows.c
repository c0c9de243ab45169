/*
 * Which flows the rules still allow.
 *
 * The kernel accepts packets of established flows without looking at the rules again. So
 * after a change of rules every entry of the connection table that belongs to one of our
 * networks is judged here as its first packet would be, by the same specs that the rules
 * were made from, and the driver deletes those that fail. The next packet of such a flow is
 * a first one again, and meets the rules.
 *
 * Must agree with rules.c and rules_group.c.
 */
#include "host/net/rules.h"

struct owner {
    uint32_t zone;
    struct ip ip;
    const struct port_spec *port;
};

struct wide_owner {
    uint32_t zone;
    struct ip_range range;
    const struct port_spec *port;
};

struct address_set {
    const char *id;
    ip_ranges ranges;
};

struct flow_index {
    const struct rules_input *in;
    VEC_OF(struct owner) owners;    /* single addresses, sorted */
    VEC_OF(struct wide_owner) wide; /* prefixes of allowed pairs: few */
    VEC_OF(struct address_set) sets;
};

static int owner_order(const void *a, const void *b)
{
    const struct owner *x = a, *y = b;
    if (x->zone != y->zone)
        return x->zone < y->zone ? -1 : 1;
    if (x->ip.family != y->ip.family)
        return x->ip.family < y->ip.family ? -1 : 1;
    return memcmp(x->ip.bytes, y->ip.bytes, 16);
}

struct flow_index *flow_index_new(const struct rules_input *in, struct arena *a)
{
    struct flow_index *x = ARENA_NEW(a, struct flow_index);
    if (!x)
        return NULL;
    x->in = in;
    VEC_FOREACH(p, &in->ports) {
        uint32_t zone = 0;
        port_addresses l;
        if (!p->spec->port_security_enabled)
            continue;
        VEC_FOREACH(n, &in->networks)
            if (str_eq(n->id, p->spec->network_id))
                zone = n->zone;
        rules_port_addresses(p->spec, a, &l);
        VEC_FOREACH(at, &l) {
            if (memcmp(at->range.lo, at->range.hi, 16) != 0) {
                struct wide_owner w = { zone, at->range, p->spec };
                vec_push(a, &x->wide, w);
                continue;
            }
            struct owner o = { .zone = zone, .ip.family = at->range.family, .port = p->spec };
            memcpy(o.ip.bytes, at->range.lo, 16);
            vec_push(a, &x->owners, o);
        }
    }
    VEC_FOREACH(s, &in->spec->address_sets) {
        struct address_set set = { .id = s->id };
        for (size_t i = 0; i < s->addresses.n; i++) {
            struct ip_range r;
            if (ip_range_parse(s->addresses.v[i], &r))
                vec_push(a, &set.ranges, r);
        }
        ip_ranges_merge(&set.ranges);
        vec_push(a, &x->sets, set);
    }
    if (arena_failed(a))
        return NULL;
    if (x->owners.n)
        qsort(x->owners.v, x->owners.n, sizeof(*x->owners.v), owner_order);
    return x;
}

static bool remote_matches(const struct flow_index *x, const struct security_rule_spec *r,
                           const struct ip *remote)
{
    if (!str_empty(r->remote_set_id)) {
        VEC_FOREACH(s, &x->sets)
            if (str_eq(s->id, r->remote_set_id))
                return ip_ranges_have(&s->ranges, remote);
        return false;
    }
    struct ip_range range;
    if (str_empty(r->remote_ip_prefix))
        return true;
    return ip_range_parse(r->remote_ip_prefix, &range) && ip_range_has(&range, remote);
}

static bool rule_matches(const struct flow_index *x, const struct security_rule_spec *r,
                         const char *direction, const struct flow *f)
{
    if (!str_eq(r->direction, direction) || !str_eq(r->ethertype, f->family == AF_INET ? "IPv4" : "IPv6"))
        return false;
    int64_t protocol = r->protocol;
    if (protocol == 1 && f->family == AF_INET6)
        protocol = 58;
    if (protocol != INT_NULL && protocol != f->protocol)
        return false;
    if (protocol == 1 || protocol == 58) {
        if (r->port_range_min >= 0 && f->icmp && r->port_range_min != f->sport)
            return false;
        if (r->port_range_min >= 0 && r->port_range_max >= 0 && f->icmp && r->port_range_max != f->dport)
            return false;
    } else if (protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136) {
        int64_t lo = r->port_range_min >= 0 ? r->port_range_min : r->port_range_max;
        int64_t hi = r->port_range_max >= 0 ? r->port_range_max : lo;
        if (lo >= 0 && (f->dport < lo || f->dport > hi))
            return false;
    }
    return remote_matches(x, r, STREQ(direction, "ingress") ? &f->src : &f->dst);
}

/* DHCP and neighbours are allowed whatever the groups say. */
static bool always(const struct flow *f)
{
    if (f->protocol == 17)
        return (f->sport == 68 && f->dport == 67) || (f->sport == 67 && f->dport == 68) ||
               (f->sport == 546 && f->dport == 547) || (f->sport == 547 && f->dport == 546);
    return f->protocol == 58 && f->icmp && f->sport >= 130;
}

static bool port_allows(const struct flow_index *x, const struct port_spec *p, const char *direction,
                        const struct flow *f)
{
    if (always(f))
        return true;
    for (size_t i = 0; i < p->security_groups.n; i++)
        VEC_FOREACH(g, &x->in->spec->security_groups)
            if (str_eq(g->id, p->security_groups.v[i]))
                VEC_FOREACH(r, &g->rules)
                    if (rule_matches(x, r, direction, f))
                        return true;
    return false;
}

static bool side_allows(const struct flow_index *x, const struct ip *ip, const char *direction,
                        const struct flow *f)
{
    const struct owner key = { .zone = f->zone, .ip = *ip };
    size_t lo = 0, hi = x->owners.n;
    bool owned = false;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (owner_order(&x->owners.v[mid], &key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    /* An address may have more than one owner (pairs are made for that): any may allow. */
    for (; lo < x->owners.n && owner_order(&x->owners.v[lo], &key) == 0; lo++) {
        owned = true;
        if (port_allows(x, x->owners.v[lo].port, direction, f))
            return true;
    }
    if (owned)
        return false;
    VEC_FOREACH(w, &x->wide) {
        if (w->zone != f->zone || !ip_range_has(&w->range, ip))
            continue;
        owned = true;
        if (port_allows(x, w->port, direction, f))
            return true;
    }
    return !owned;
}

bool flow_allowed(const struct flow_index *x, const struct flow *f)
{
    bool ours = false;
    VEC_FOREACH(n, &x->in->networks)
        ours |= n->zone == f->zone;
    return !ours || (side_allows(x, &f->src, "egress", f) && side_allows(x, &f->dst, "ingress", f));
}
