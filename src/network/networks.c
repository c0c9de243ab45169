/* Networks: the segment each gets, who sees them, what must be gone before they go. */
#include "network/neutron.h"

#include <errno.h>
#include <stdio.h>

#define TRIES 64
#define VXLAN_OVERHEAD 50

/* Seen by its project, by all when shared or external, by others when a policy says so. */
static int network_scope(struct call *c, struct query *q)
{
    static const char *const FLAGS[] = { "shared", "router:external", NULL };
    return share_scope(c, q, "network", FLAGS);
}

static bool network_visible(struct call *c, const void *object)
{
    const struct network *n = object;
    return n->external || share_visible(c, &NETWORK_RESOURCE, "network", object);
}

bool network_usable(struct txn *t, const struct network *n, const char *project_id)
{
    return n->shared || str_eq(n->std.project_id, project_id) ||
           shared_with(t, "network", "access_as_shared", n->head.id, project_id);
}

static int network_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    const struct network *n = object;
    struct subnets l = { 0 };
    static const char *const SCOPES[] = { "ipv4_address_scope", "ipv6_address_scope" };
    share_render(c, &NETWORK_RESOURCE, "network", object, o);
    if (resource_wants(c, "subnets") || resource_wants(c, SCOPES[0]) || resource_wants(c, SCOPES[1])) {
        int r = subnets_of(c->txn, n->head.id, &l);
        if (r < 0)
            return r;
    }
    if (resource_wants(c, "status"))
        json_put_string(o, "status", "ACTIVE");
    if (resource_wants(c, "subnets")) {
        json_put_array(o, "subnets");
        for (size_t i = 0; i < l.n; i++)
            json_string_out(o, l.v[i]->head.id);
        json_close_array(o);
    }
    if (resource_wants(c, "availability_zones")) {
        json_put_array(o, "availability_zones");
        if (n->host)
            json_string_out(o, "nova");
        json_close_array(o);
    }
    if (resource_wants(c, "l2_adjacency"))
        json_put_bool(o, "l2_adjacency", true);
    for (size_t i = 0; i < ARRAY_SIZE(SCOPES); i++) {
        const char *scope;
        int r = resource_wants(c, SCOPES[i]) ? network_scope_id(c->txn, &l, i ? 6 : 4, &scope) : 1;
        if (r < 0)
            return r;
        if (r == 0)
            json_put_string(o, SCOPES[i], scope);
    }
    return 0;
}

static int segment_taken(struct call *c, const struct network *n, int64_t id, bool *ret)
{
    struct network *other;
    const char *key =
        arena_printf(c->arena, "%s/%s/%lld", n->type, str_or(n->physical_network, ""), (long long)id);
    int r = txn_find_by(c->txn, &NETWORK_KIND, "segment", key, &other);
    *ret = r == 0 && other;
    return r;
}

static int free_segment(struct call *c, struct network *n, int64_t first, int64_t last)
{
    bool taken = true;
    for (int i = 0; i < TRIES && taken; i++) {
        uint32_t dice;
        random_bytes(&dice, sizeof(dice));
        n->segmentation_id = first + dice % (last - first + 1);
        int r = segment_taken(c, n, n->segmentation_id, &taken);
        if (r < 0)
            return r;
    }
    for (int64_t id = first; id <= last && taken; id++) {
        n->segmentation_id = id;
        int r = segment_taken(c, n, id, &taken);
        if (r < 0)
            return r;
    }
    return taken ? call_fault(c, 503, "NoNetworkAvailable",
                              "Unable to create the network. No tenant network is "
                              "available for allocation.")
                 : 0;
}

/* The configured range of VLANs of a physical network: "physnet:100:199". */
static bool vlan_range(const struct cloud_config *o, const char *physical, int64_t *first, int64_t *last)
{
    VEC_FOREACH (range, &o->vlan_ranges) {
        size_t n = strcspn(*range, ":");
        long long a, b;
        if (strlen(physical) == n && memcmp(*range, physical, n) == 0 &&
            sscanf(*range + n, ":%lld:%lld", &a, &b) == 2) {
            *first = a;
            *last = b;
            return true;
        }
    }
    return false;
}

static int settle_segment(struct call *c, struct network *n)
{
    const struct cloud_config *o = cloud_config(c->api);
    bool taken;
    if (!n->type)
        n->type = n->external && o->flat_networks.n && n->physical_network ? "flat" : "vxlan";
    bool physical = STREQ(n->type, "flat") || STREQ(n->type, "vlan");
    if (physical && str_empty(n->physical_network))
        return neutron_invalid(c, "physical_network required for %s provider network", n->type);
    if (!physical && n->physical_network)
        return neutron_invalid(c, "provider:physical_network specified for %s network", n->type);
    if (STREQ(n->type, "flat") || STREQ(n->type, "local")) {
        if (n->segmentation_id != INT_NULL)
            return neutron_invalid(c, "provider:segmentation_id specified for %s network", n->type);
        if (STREQ(n->type, "local"))
            return 0;
        if (!strv_has(&o->flat_networks, n->physical_network) && !strv_has(&o->flat_networks, "*"))
            return neutron_invalid(c, "physical_network '%s' unknown for flat provider network",
                                   n->physical_network);
        int r = segment_taken(c, n, 0, &taken);
        return r == 0 && taken ? call_fault(c, 409, "FlatNetworkInUse",
                                            "Unable to create the flat network. Physical "
                                            "network %s is in use.",
                                            n->physical_network)
                               : r;
    }
    int64_t first = o->vni_min, last = o->vni_max;
    if (STREQ(n->type, "vlan")) {
        if (n->segmentation_id != INT_NULL && (n->segmentation_id < 1 || n->segmentation_id > 4094))
            return neutron_invalid(c, "segmentation_id out of range (1 through 4094)");
        bool known = vlan_range(o, n->physical_network, &first, &last);
        if (n->segmentation_id == INT_NULL && !known)
            return neutron_invalid(c, "physical_network '%s' unknown for VLAN provider network",
                                   n->physical_network);
    }
    if (n->segmentation_id == INT_NULL)
        return free_segment(c, n, first, last);
    int r = segment_taken(c, n, n->segmentation_id, &taken);
    if (r == 0 && taken)
        return STREQ(n->type, "vlan")
                   ? call_fault(c, 409, "VlanIdInUse",
                                "Unable to create the network. The VLAN %lld on physical network %s "
                                "is in use.",
                                (long long)n->segmentation_id, n->physical_network)
                   : call_fault(c, 409, "TunnelIdInUse",
                                "Unable to create the network. The tunnel ID %lld is in use.",
                                (long long)n->segmentation_id);
    return r;
}

static int settle_mtu(struct call *c, struct network *n)
{
    const struct cloud_config *o = cloud_config(c->api);
    int64_t most = o->network_mtu - (STREQ(n->type, "vxlan") ? VXLAN_OVERHEAD : 0);
    if (n->mtu > most)
        return neutron_invalid(c, "Requested MTU is too big, maximum is %lld", (long long)most);
    if (n->mtu && n->mtu < 68)
        return neutron_invalid(c, "Requested MTU is too small, minimum is 68");
    if (!n->mtu)
        n->mtu = most;
    return 0;
}

static int network_create(struct call *c, void *object)
{
    struct network *n = object;
    struct fault f;
    if (n->segments)
        return neutron_invalid(c, "networks of several segments are not offered");
    int r = neutron_tell(c, quota_take(c->txn, n->std.project_id, "network", 1, &f), &f);
    if (r == 0)
        r = settle_segment(c, n);
    if (r == 0)
        r = settle_mtu(c, n);
    if (r == 0)
        r = qos_settle(c, n);
    if (r == 0 && (n->shared || n->external))
        r = share_follow(c, &NETWORK_RESOURCE, "network", n);
    const char *group;
    if (r == 0 && !str_empty(n->std.project_id))
        r = default_group(c->txn, n->std.project_id, &group);
    return r ? r : host_pick(c->txn, &n->host);
}

/* Ports of others keep a network shared or external. */
static int in_use_by_others(struct call *c, const struct network *n, bool *ret)
{
    struct ports ports = { 0 };
    int r = ports_where(c->txn, "network_id", Q_EQ, n->head.id, &ports);
    *ret = false;
    for (size_t i = 0; r == 0 && i < ports.n; i++)
        *ret |= !str_eq(ports.v[i]->std.project_id, n->std.project_id) &&
                !str_empty(ports.v[i]->std.project_id) &&
                !STREQ(ports.v[i]->device_owner, OWNER_ROUTER_GATEWAY) &&
                !STREQ(ports.v[i]->device_owner, OWNER_FLOATING_IP);
    return r;
}

static int network_update(struct call *c, const void *before, void *object)
{
    const struct network *old = before;
    struct network *n = object;
    bool busy = false;
    int r = old->shared && !n->shared ? in_use_by_others(c, n, &busy) : 0;
    if (r < 0)
        return r;
    if (busy)
        return call_fault(c, 409, "InvalidSharedSetting",
                          "Unable to reconfigure sharing settings for network %s. "
                          "Multiple tenants are using it.",
                          n->name);
    if (old->external && !n->external) {
        struct query q = { .kind = &PORT_KIND };
        struct port *gateway;
        if (!query_where(&q, c->arena, "network_id", Q_EQ, n->head.id) ||
            !query_where(&q, c->arena, "device_owner", Q_EQ, OWNER_ROUTER_GATEWAY))
            return -ENOMEM;
        r = txn_find(c->txn, &q, &gateway);
        if (r < 0)
            return r;
        if (gateway)
            return call_fault(c, 409, "ExternalNetworkInUse",
                              "External network %s cannot be updated to be made "
                              "non-external, since it has existing gateway ports.",
                              n->head.id);
    }
    r = settle_mtu(c, n);
    if (r == 0)
        r = qos_check(c, n->qos_policy_id);
    if (r == 0 && (old->shared != n->shared || old->external != n->external))
        r = share_follow(c, &NETWORK_RESOURCE, "network", n);
    return r;
}

/* A floating address that leads nowhere goes with its network. */
static int drop_floating(struct call *c, const struct port *p, bool *ret)
{
    struct floating_ip *f;
    struct object *forwarding = NULL;
    *ret = false;
    if (!STREQ(p->device_owner, OWNER_FLOATING_IP))
        return 0;
    int r = txn_get(c->txn, &FLOATING_IP_KIND, p->device_id, &f);
    if (r == 0 && f)
        r = txn_find_by_(c->txn, &PORT_FORWARDING_KIND, "floating_ip_id", f->head.id, (void **)&forwarding);
    if (r < 0 || (f && (f->port_id || forwarding)))
        return r;
    *ret = true;
    return f ? txn_delete(c->txn, &FLOATING_IP_KIND, f->head.id) : 0;
}

static int network_remove(struct call *c, void *object)
{
    const struct network *n = object;
    struct ports ports = { 0 };
    struct subnets subnets = { 0 };
    int r = ports_where(c->txn, "network_id", Q_EQ, n->head.id, &ports);
    for (size_t i = 0; r == 0 && i < ports.n; i++) {
        bool goes;
        r = drop_floating(c, ports.v[i], &goes);
        if (r == 0 && !goes && !STREQ(ports.v[i]->device_owner, OWNER_DHCP))
            return call_fault(c, 409, "NetworkInUse",
                              "Unable to complete operation on network %s. There are one or "
                              "more ports still in use on the network.",
                              n->head.id);
    }
    for (size_t i = 0; r == 0 && i < ports.n; i++)
        r = port_drop(c->txn, ports.v[i]);
    if (r == 0)
        r = subnets_of(c->txn, n->head.id, &subnets);
    for (size_t i = 0; r == 0 && i < subnets.n; i++)
        r = txn_delete(c->txn, &SUBNET_KIND, subnets.v[i]->head.id);
    return r ? r : share_forget(c, n->head.id);
}

static int network_taken(struct call *c, const void *object)
{
    const struct network *n = object;
    return call_fault(c, 409, "TunnelIdInUse", "Unable to create the network. The tunnel ID %lld is in use.",
                      (long long)n->segmentation_id);
}

const struct resource NETWORK_RESOURCE = {
    .one = "network",
    .many = "networks",
    .kind = &NETWORK_KIND,
    .title = "Network",
    .not_found = "NetworkNotFound",
    .scope = network_scope,
    .visible = network_visible,
    .filter = neutron_filter,
    .render = network_render,
    .create = network_create,
    .update = network_update,
    .remove = network_remove,
    .taken = network_taken,
};
