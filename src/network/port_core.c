/*
 * Ports as such: completing, saving and dropping them, whoever asks (the API, a server, a router).
 */
#include "network/internal.h"

#include <errno.h>

#define MAC_TRIES 16

void standard_new(struct arena *a, struct object *head, struct standard *s, const char *project_id)
{
    head->id = uuid_new(a);
    s->project_id = project_id;
    s->description = str_or(s->description, "");
    s->revision_number = 1;
    s->created_at = s->updated_at = clock_wall();
}

void standard_touch(struct standard *s)
{
    s->revision_number++;
    s->updated_at = clock_wall();
}

int quota_take(struct txn *t, const char *project_id, const char *name, int64_t more, struct fault *f)
{
    if (str_empty(project_id))
        return 0;
    int r = quota_fits(t, &NETWORK_QUOTAS, project_id, name, more, NULL, NULL);
    return r > 0 ? fault_set(f, 409, "OverQuota", "Quota exceeded for resources: ['%s'].", name) : r;
}

int ports_where(struct txn *t, const char *field, enum query_op op, const char *value, struct ports *ret)
{
    struct query q = { .kind = &PORT_KIND };
    struct arena *a = txn_arena(t);
    if (!query_where(&q, a, field, op, value) || !query_sort(&q, a, "attached", false))
        return -ENOMEM;
    struct results l = { 0 };
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (!vec_push(a, ret, (struct port *)l.v[i]))
            r = -ENOMEM;
    return r;
}

/* ---- security groups ---- */

static int default_rule(struct txn *t, const struct security_group *g, const char *direction,
                        const char *ethertype, bool from_group)
{
    struct arena *a = txn_arena(t);
    struct security_rule rule = { .security_group_id = g->head.id,
                                  .direction = direction,
                                  .ethertype = ethertype,
                                  .port_range_min = INT_NULL,
                                  .port_range_max = INT_NULL,
                                  .remote_group_id = from_group ? g->head.id : NULL };
    standard_new(a, &rule.head, &rule.std, g->std.project_id);
    int r = rule.head.id ? txn_put(t, &SECURITY_RULE_KIND, &rule) : -ENOMEM;
    return r == TXN_TAKEN ? 0 : r;
}

static int find_default_group(struct txn *t, const char *project_id, struct security_group **ret)
{
    struct query q = { .kind = &SECURITY_GROUP_KIND };
    if (!query_where(&q, txn_arena(t), "project_id", Q_EQ, project_id) ||
        !query_where(&q, txn_arena(t), "name", Q_EQ, "default"))
        return -ENOMEM;
    return txn_find(t, &q, ret);
}

int default_group(struct txn *t, const char *project_id, const char **ret_id)
{
    struct security_group *found;
    int r = find_default_group(t, project_id, &found);
    if (r < 0)
        return r;
    if (found) {
        *ret_id = found->head.id;
        return 0;
    }
    struct security_group g = { .name = "default",
                                .stateful = true,
                                .std = { .description = "Default security group" } };
    standard_new(txn_arena(t), &g.head, &g.std, project_id);
    r = g.head.id ? txn_put(t, &SECURITY_GROUP_KIND, &g) : -ENOMEM;
    if (r == 0)
        r = default_rule(t, &g, "egress", "IPv4", false);
    if (r == 0)
        r = default_rule(t, &g, "egress", "IPv6", false);
    if (r == 0)
        r = default_rule(t, &g, "ingress", "IPv4", true);
    if (r == 0)
        r = default_rule(t, &g, "ingress", "IPv6", true);
    *ret_id = g.head.id;
    return r;
}

/* ---- life of a port ---- */

int port_put(struct txn *t, struct port *p, struct fault *f)
{
    int r = txn_put(t, &PORT_KIND, p);
    if (r != TXN_TAKEN)
        return r;
    return fault_set(f, 409, "MacAddressInUse",
                     "Unable to complete operation for network %s. The mac address %s is in "
                     "use.",
                     p->network_id, p->mac_address);
}

static bool trusted(const struct port *p)
{
    return str_starts(p->device_owner, "network:");
}

/* With some thousand ports on a network, two of the 2^24 below a prefix do meet. */
static int free_mac(struct txn *t, const char *mac_prefix, struct port *p)
{
    struct arena *a = txn_arena(t);
    struct port *other = p;
    int r = 0;
    for (int i = 0; i < MAC_TRIES && r == 0 && other; i++) {
        p->mac_address = mac_random(a, mac_prefix);
        if (!p->mac_address)
            return -ENOMEM;
        r = txn_find_by(t, &PORT_KIND, "mac", arena_printf(a, "%s/%s", p->network_id, p->mac_address),
                        &other);
    }
    return r;
}

int port_make(struct txn *t, const char *mac_prefix, struct port *p, const struct network *n, bool none_given,
              bool groups_given, struct fault *f)
{
    struct arena *a = txn_arena(t);
    if (!p->head.id)
        standard_new(a, &p->head, &p->std, p->std.project_id);
    p->network_id = n->head.id;
    p->name = str_or(p->name, "");
    p->device_id = str_or(p->device_id, "");
    p->device_owner = str_or(p->device_owner, "");
    p->vnic_type = str_or(p->vnic_type, "normal");
    p->dns_name = str_or(p->dns_name, "");
    p->attached = p->std.created_at;
    p->status = "DOWN";
    int r = p->mac_address ? 0 : free_mac(t, mac_prefix, p);
    if (r < 0)
        return r;
    if (!p->mac_address || !(p->mac_address = mac_text(a, p->mac_address)))
        return -ENOMEM;
    r = addresses_fill(t, p, none_given, NULL, f);
    if (r == 0 && !groups_given && p->port_security_enabled && !trusted(p) && !str_empty(p->std.project_id)) {
        const char *id;
        r = default_group(t, p->std.project_id, &id);
        if (r == 0 && !strv_add(a, &p->security_groups, id))
            r = -ENOMEM;
    }
    return r ? r : port_put(t, p, f);
}

int port_drop(struct txn *t, const struct port *p)
{
    struct query q = { .kind = &FLOATING_IP_KIND };
    if (!query_where(&q, txn_arena(t), "port_id", Q_EQ, p->head.id))
        return -ENOMEM;
    struct results l = { 0 };
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        struct floating_ip *fip = l.v[i];
        fip->port_id = fip->fixed_ip_address = fip->router_id = NULL;
        fip->status = "DOWN";
        standard_touch(&fip->std);
        r = txn_put(t, &FLOATING_IP_KIND, fip);
    }
    struct query forwardings = { .kind = &PORT_FORWARDING_KIND };
    if (!query_where(&forwardings, txn_arena(t), "internal_port_id", Q_EQ, p->head.id))
        return -ENOMEM;
    l = (struct results){ 0 };
    if (r == 0)
        r = txn_list(t, &forwardings, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = txn_delete(t, &PORT_FORWARDING_KIND, ((struct object *)l.v[i])->id);
    return r < 0 ? r : txn_delete(t, &PORT_KIND, p->head.id);
}

/* ---- the DHCP port ---- */

static const char *dhcp_device(struct arena *a, const char *network_id)
{
    return arena_printf(a, "dhcp-%s", network_id);
}

int find_dhcp_port(struct txn *t, const char *network_id, struct port **ret)
{
    struct query q = { .kind = &PORT_KIND };
    if (!query_where(&q, txn_arena(t), "device_id", Q_EQ, dhcp_device(txn_arena(t), network_id)) ||
        !query_where(&q, txn_arena(t), "device_owner", Q_EQ, OWNER_DHCP))
        return -ENOMEM;
    return txn_find(t, &q, ret);
}

static bool has_subnet(const struct port *p, const char *subnet_id)
{
    VEC_FOREACH (ip, &p->fixed_ips)
        if (str_eq(ip->subnet_id, subnet_id))
            return true;
    return false;
}

int dhcp_port_follow(struct txn *t, const char *mac_prefix, const struct network *n, struct fault *f)
{
    struct arena *a = txn_arena(t);
    struct subnets l = { 0 };
    struct port *old;
    int r = subnets_of(t, n->head.id, &l);
    if (r == 0)
        r = find_dhcp_port(t, n->head.id, &old);
    if (r < 0)
        return r;
    struct port p = { 0 };
    if (old)
        p = *old;
    __typeof__(p.fixed_ips) kept = p.fixed_ips;
    p.fixed_ips = (__typeof__(p.fixed_ips)){ 0 };
    bool changed = false;
    for (size_t i = 0; i < l.n; i++) {
        const struct subnet *s = l.v[i];
        if (!s->enable_dhcp)
            continue;
        struct port_ip one = { s->head.id, NULL };
        VEC_FOREACH (ip, &kept)
            if (str_eq(ip->subnet_id, s->head.id))
                one.ip_address = ip->ip_address;
        changed |= !one.ip_address;
        if (!vec_push(a, &p.fixed_ips, one))
            return -ENOMEM;
    }
    VEC_FOREACH (ip, &kept)
        changed |= !has_subnet(&p, ip->subnet_id);
    if (!changed)
        return 0;
    if (!p.fixed_ips.n)
        return port_drop(t, old);
    if (old) {
        standard_touch(&p.std);
        r = addresses_fill(t, &p, false, old, f);
        return r ? r : port_put(t, &p, f);
    }
    p.std.project_id = n->std.project_id;
    p.admin_state_up = true;
    p.device_owner = OWNER_DHCP;
    p.device_id = dhcp_device(a, n->head.id);
    p.host = n->host;
    r = port_make(t, mac_prefix, &p, n, false, true, f);
    /* A subnet without a free address can exist, it just has no DHCP server yet. */
    return r == FAULT && STREQ(f->type, "IpAddressGenerationFailure") ? 0 : r;
}
