/*
 * Addresses of ports.
 *
 * The used ones are the unique keys ("address" = subnet/ip) of the ports themselves, so nothing
 * has to be kept in step and two callers can't both have one. A free one is found by a few random
 * tries among the allocation pools, each a point read; only a pool that is nearly full is searched
 * from its first address to its last.
 */
#include "network/internal.h"

#include <errno.h>
#include <stdio.h>

#define TRIES 24

bool subnet_is_slaac(const struct subnet *s)
{
    return s->ip_version == 6 && s->ipv6_address_mode &&
           (STREQ(s->ipv6_address_mode, "slaac") || STREQ(s->ipv6_address_mode, "dhcpv6-stateless"));
}

int subnets_of(struct txn *t, const char *network_id, struct subnets *ret)
{
    struct query q = { .kind = &SUBNET_KIND };
    struct arena *a = txn_arena(t);
    if (!query_where(&q, a, "network_id", Q_EQ, network_id) || !query_sort(&q, a, "created_at", false))
        return -ENOMEM;
    struct results l = { 0 };
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (!vec_push(a, ret, (struct subnet *)l.v[i]))
            r = -ENOMEM;
    return r;
}

int address_taken(struct txn *t, const char *subnet_id, const char *ip, bool *ret)
{
    struct port *p;
    int r = txn_find_by(t, &PORT_KIND, "address", arena_printf(txn_arena(t), "%s/%s", subnet_id, ip), &p);
    *ret = r == 0 && p;
    return r;
}

static bool pool_parse(const struct pool_range *pool, struct ip *first, struct ip *last)
{
    return ip_parse(pool->start, first) && ip_parse(pool->end, last);
}

static int try_address(struct txn *t, const struct subnet *s, struct ip ip, const char **ret)
{
    bool taken;
    const char *text = ip_text(txn_arena(t), ip);
    int r = text ? address_taken(t, s->head.id, text, &taken) : -ENOMEM;
    *ret = r == 0 && !taken ? text : NULL;
    return r;
}

/* *ret is null when the pools have no free address. 'first_free': the lowest one, not any. */
static int free_address(struct txn *t, const struct subnet *s, bool first_free, const char **ret)
{
    struct ip first, last;
    ip_number total = 0;
    *ret = NULL;
    VEC_FOREACH (pool, &s->allocation_pools)
        if (pool_parse(pool, &first, &last))
            total += last.n - first.n + 1;
    for (int i = 0; total && !first_free && i < TRIES; i++) {
        uint64_t dice[2];
        random_bytes(dice, sizeof(dice));
        ip_number at = ((ip_number)dice[0] << 64 | dice[1]) % total;
        VEC_FOREACH (pool, &s->allocation_pools) {
            if (!pool_parse(pool, &first, &last))
                continue;
            ip_number size = last.n - first.n + 1;
            if (at >= size) {
                at -= size;
                continue;
            }
            int r = try_address(t, s, (struct ip){ first.version, first.n + at }, ret);
            if (r < 0 || *ret)
                return r;
            break;
        }
    }
    VEC_FOREACH (pool, &s->allocation_pools) {
        if (!pool_parse(pool, &first, &last) || (!first_free && last.n - first.n > 1 << 20))
            continue; /* a pool that large is not full */
        for (struct ip ip = first; ip.n <= last.n; ip.n++) {
            int r = try_address(t, s, ip, ret);
            if (r < 0 || *ret)
                return r;
        }
    }
    return 0;
}

static bool serves(const struct subnet *s, const char *owner)
{
    if (!s->service_types.n)
        return true;
    return strv_has(&s->service_types, owner) ||
           (str_starts(owner, "compute:") && strv_has(&s->service_types, "compute:nova"));
}

static int exhausted(struct fault *f, const struct port *p)
{
    return fault_set(f, 409, "IpAddressGenerationFailure", "No more IP addresses available on network %s.",
                     p->network_id);
}

static int take_from(struct txn *t, struct port *p, const struct subnet *s, struct fault *f)
{
    struct arena *a = txn_arena(t);
    const char *ip = NULL;
    struct cidr net;
    struct ip slaac;
    if (subnet_is_slaac(s) && cidr_parse(s->cidr, false, &net) && ip_eui64(net, p->mac_address, &slaac)) {
        int r = try_address(t, s, slaac, &ip);
        if (r < 0)
            return r;
    } else {
        /* DHCP servers take the lowest, as Neutron's do: clients that ask for an address expect it there. */
        int r = free_address(t, s, STREQ(p->device_owner, OWNER_DHCP), &ip);
        if (r < 0)
            return r;
    }
    if (!ip)
        return exhausted(f, p);
    struct port_ip *slot = vec_add(a, &p->fixed_ips);
    if (!slot)
        return -ENOMEM;
    *slot = (struct port_ip){ s->head.id, ip };
    return 0;
}

/* With nothing wished: one address of each family, and of every SLAAC subnet. A family is full only
 * when all its subnets are. */
static int take_automatic(struct txn *t, struct port *p, const struct subnets *l, struct fault *f)
{
    static const int VERSIONS[] = { 4, 6 };
    for (size_t v = 0; v < ARRAY_SIZE(VERSIONS); v++) {
        bool any = false, got = false;
        for (size_t i = 0; i < l->n && !got; i++) {
            const struct subnet *s = l->v[i];
            if (s->ip_version != VERSIONS[v] || subnet_is_slaac(s) || !serves(s, p->device_owner))
                continue;
            any = true;
            int r = take_from(t, p, s, f);
            if (r < 0)
                return r;
            got = r == 0;
        }
        if (any && !got)
            return exhausted(f, p);
    }
    /* Routers' legs have addresses that were given to them. */
    for (size_t i = 0; i < l->n && !str_starts(p->device_owner, "network:router"); i++) {
        if (!subnet_is_slaac(l->v[i]))
            continue;
        int r = take_from(t, p, l->v[i], f);
        if (r)
            return r;
    }
    return 0;
}

static bool had(const struct port *before, const struct port_ip *ip)
{
    if (!before)
        return false;
    VEC_FOREACH (b, &before->fixed_ips)
        if (str_eq(b->subnet_id, ip->subnet_id) && str_eq(b->ip_address, ip->ip_address))
            return true;
    return false;
}

static int check_wished(struct txn *t, struct port *p, struct port_ip *w, const struct subnets *l,
                        const struct port *before, struct fault *f)
{
    struct ip ip;
    if (!ip_parse(w->ip_address, &ip))
        return fault_set(f, 400, "InvalidInput",
                         "Invalid input for operation: '%s' is not a valid IP address.", w->ip_address);
    w->ip_address = ip_text(txn_arena(t), ip);
    const struct subnet *home = NULL;
    for (size_t i = 0; i < l->n && !home; i++) {
        struct cidr net;
        if ((!w->subnet_id || STREQ(l->v[i]->head.id, w->subnet_id)) &&
            cidr_parse(l->v[i]->cidr, false, &net) && cidr_has(net, ip))
            home = l->v[i];
    }
    if (!home && w->subnet_id)
        return fault_set(f, 400, "InvalidIpForSubnet",
                         "IP address %s is not a valid IP for the specified subnet.", w->ip_address);
    if (!home)
        return fault_set(f, 400, "InvalidIpForNetwork",
                         "IP address %s is not a valid IP for any of the subnets on "
                         "the specified network.",
                         w->ip_address);
    w->subnet_id = home->head.id;
    struct cidr net;
    (void)cidr_parse(home->cidr, false, &net);
    bool edge = home->ip_version == 4 && net.prefix < 31 && (ip.n == net.first.n || ip.n == cidr_last(net).n);
    if (edge || (home->ip_version == 6 && net.prefix < 127 && ip.n == net.first.n))
        return fault_set(f, 400, "InvalidIpForSubnet",
                         "IP address %s is not a valid IP for the specified subnet.", w->ip_address);
    if (had(before, w))
        return 0;
    bool taken;
    int r = address_taken(t, w->subnet_id, w->ip_address, &taken);
    if (r == 0 && taken)
        r = fault_set(f, 409, "IpAddressAlreadyAllocated", "IP address %s already allocated in subnet %s.",
                      w->ip_address, w->subnet_id);
    (void)p;
    return r;
}

static const struct subnet *find_subnet(const struct subnets *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (STREQ(l->v[i]->head.id, id))
            return l->v[i];
    return NULL;
}

int addresses_fill(struct txn *t, struct port *p, bool none_given, const struct port *before, struct fault *f)
{
    struct subnets l = { 0 };
    int r = subnets_of(t, p->network_id, &l);
    if (r < 0)
        return r;
    if (none_given)
        return take_automatic(t, p, &l, f);
    __typeof__(p->fixed_ips) wished = p->fixed_ips;
    p->fixed_ips = (__typeof__(p->fixed_ips)){ 0 };
    VEC_FOREACH (w, &wished) {
        struct port_ip one = *w;
        if (!one.ip_address && !one.subnet_id)
            return fault_set(f, 400, "InvalidInput",
                             "Invalid input for operation: IP allocation requires subnet_id "
                             "or ip_address.");
        const struct subnet *s = one.subnet_id ? find_subnet(&l, one.subnet_id) : NULL;
        if (one.subnet_id && !s) {
            void *other;
            r = txn_get_(t, &SUBNET_KIND, one.subnet_id, &other);
            if (r < 0)
                return r;
            if (!other)
                return fault_set(f, 404, "SubnetNotFound", "Subnet %s could not be found.", one.subnet_id);
            return fault_set(f, 400, "InvalidInput",
                             "Invalid input for operation: Failed to create port on network "
                             "%s, because fixed_ips included invalid subnet %s.",
                             p->network_id, one.subnet_id);
        }
        r = one.ip_address ? check_wished(t, p, &one, &l, before, f) : take_from(t, p, s, f);
        if (r)
            return r;
        if (one.ip_address && !vec_push(txn_arena(t), &p->fixed_ips, one))
            return -ENOMEM;
    }
    return 0;
}
