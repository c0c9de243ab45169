/* The port API: who sees a port, what may be asked of it, filters on addresses. */
#include "network/neutron.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

int (*network_server_project)(struct txn *t, const char *server_id, const char **ret);

static bool given(const struct call *c, size_t offset)
{
    return given_member(&c->given, PORT_KIND.schema, offset);
}
#define PORT_GIVEN(c, member) given((c), offsetof(struct port, member))

/* Whether the caller's project owns the port's network. */
static bool owns_network(struct call *c, const char *network_id)
{
    struct network *n;
    return txn_get(c->txn, &NETWORK_KIND, network_id, &n) == 0 && n &&
           str_eq(n->std.project_id, c->auth->project_id);
}

static bool port_visible(struct call *c, const void *object)
{
    const struct port *p = object;
    return call_is_admin(c) || str_eq(p->std.project_id, c->auth->project_id) ||
           owns_network(c, p->network_id);
}

/* Ports of others on the project's networks: two ranges of an index for each network, mostly empty. */
static int foreign_ports(struct call *c, const char *project, struct strv *ret)
{
    static const enum query_op SIDES[] = { Q_LT, Q_GT };
    struct query networks = { .kind = &NETWORK_KIND };
    struct results l = { 0 };
    struct strv ids = { 0 };
    if (!query_where(&networks, c->arena, "project_id", Q_EQ, project))
        return -ENOMEM;
    int r = txn_list(c->txn, &networks, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (!vec_push(c->arena, &ids, ((struct object *)l.v[i])->id))
            return -ENOMEM;
    for (size_t side = 0; r == 0 && ids.n && side < ARRAY_SIZE(SIDES); side++) {
        struct query q = { .kind = &PORT_KIND };
        struct condition *here = query_where(&q, c->arena, "network_id", Q_IN, NULL);
        struct results ports = { 0 };
        if (!here)
            return -ENOMEM;
        here->list = ids;
        if (!query_where(&q, c->arena, "project_id", SIDES[side], project))
            return -ENOMEM;
        r = txn_list(c->txn, &q, &ports);
        for (size_t i = 0; r == 0 && i < ports.n; i++)
            if (!vec_push(c->arena, ret, ((struct object *)ports.v[i])->id))
                return -ENOMEM;
    }
    return r;
}

/* The project's own, and those on its networks. Where there are only its own, one index gives them in order.
 */
static int port_scope(struct call *c, struct query *q)
{
    const char *project = str_or(c->auth->project_id, "");
    struct strv foreign = { 0 };
    if (call_is_admin(c))
        return 0;
    int r = foreign_ports(c, project, &foreign);
    if (r < 0)
        return r;
    if (!query_where(q, c->arena, "project_id", Q_EQ, project))
        return -ENOMEM;
    if (!foreign.n)
        return 0;
    struct condition *others = query_where(q, c->arena, "id", Q_IN, NULL);
    if (!others)
        return -ENOMEM;
    others->list = foreign;
    q->where.v[q->where.n - 1].any = q->where.v[q->where.n - 2].any = 2;
    return 0;
}

/* No index holds parts of addresses: all ports that the caller sees are looked at. */
static int filter_part(struct call *c, struct query *q, const char *part)
{
    struct query all = { .kind = &PORT_KIND };
    struct results l = { 0 };
    int r = port_scope(c, &all);
    if (r == 0)
        r = txn_list(c->txn, &all, &l);
    struct condition *w = r < 0 ? NULL : query_where(q, c->arena, "id", Q_IN, NULL);
    if (!w)
        return r < 0 ? r : -ENOMEM;
    for (size_t i = 0; i < l.n; i++) {
        bool hit = false;
        VEC_FOREACH (ip, &((struct port *)l.v[i])->fixed_ips)
            hit |= strstr(ip->ip_address, part) != NULL;
        if (hit && !vec_push(c->arena, &w->list, ((struct object *)l.v[i])->id))
            return -ENOMEM;
    }
    if (!w->list.n)
        w->op = Q_NULL;
    return 0;
}

/* "fixed_ips=ip_address=10.0.0.3", "fixed_ips=subnet_id=..", "security_groups=.." */
static int port_filter(struct call *c, struct query *q, const char *name, const char *value)
{
    static const struct {
        const char *prefix, *key;
        enum query_op op;
    } ADDRESS[] = {
        { "ip_address=", "ip", Q_KEY },
        { "subnet_id=", "subnet", Q_KEY },
    };
    if (!STREQ(name, "fixed_ips"))
        return neutron_filter(c, q, name, value);
    for (size_t i = 0; i < ARRAY_SIZE(ADDRESS); i++)
        if (str_starts(value, ADDRESS[i].prefix))
            return query_where(q, c->arena, ADDRESS[i].key, ADDRESS[i].op, value + strlen(ADDRESS[i].prefix))
                       ? 0
                       : -ENOMEM;
    if (str_starts(value, "ip_address_substr="))
        return filter_part(c, q, value + strlen("ip_address_substr="));
    return neutron_invalid(c, "'%s' is not an accepted filter of fixed_ips", value);
}

static int port_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    const struct port *p = object;
    if (call_is_admin(c)) {
        if (resource_wants(c, "binding:vif_type"))
            json_put_string(o, "binding:vif_type", p->host ? "bridge" : "unbound");
        if (resource_wants(c, "binding:vif_details"))
            json_put_raw(o, "binding:vif_details",
                         p->host ? "{\"port_filter\":true,\"connectivity\":\"l2\"}" : "{}");
    }
    if (resource_wants(c, "dns_assignment")) {
        json_put_array(o, "dns_assignment");
        VEC_FOREACH (ip, &p->fixed_ips) {
            const struct cloud_config *config = cloud_config(c->api);
            const char *host =
                str_empty(p->dns_name) ? arena_printf(c->arena, "host-%s", ip->ip_address) : p->dns_name;
            char *label = arena_strdup(c->arena, host);
            for (char *at = label; at && str_empty(p->dns_name) && *at; at++)
                if (*at == '.' || *at == ':')
                    *at = '-';
            json_open_object(o);
            json_put_string(o, "ip_address", ip->ip_address);
            json_put_string(o, "hostname", label);
            json_put_string(
                o, "fqdn",
                arena_printf(c->arena, "%s.%s", str_or(label, ""), str_or(config->dns_domain, "")));
            json_close_object(o);
        }
        json_close_array(o);
    }
    return 0;
}

static int check_groups(struct call *c, const struct port *p)
{
    VEC_FOREACH (id, &p->security_groups) {
        struct security_group *g;
        int r = txn_get(c->txn, &SECURITY_GROUP_KIND, *id, &g);
        if (r < 0)
            return r;
        if (!g || !SECURITY_GROUP_RESOURCE.visible(c, g))
            return call_fault(c, 404, "SecurityGroupNotFound", "Security group %s does not exist", *id);
    }
    return 0;
}

/* Pairs without a MAC have the port's; two alike are refused. */
static int check_pairs(struct call *c, struct port *p)
{
    for (size_t i = 0; i < p->allowed_address_pairs.n; i++) {
        struct port_pair *pair = &p->allowed_address_pairs.v[i];
        if (!pair->mac_address)
            pair->mac_address = p->mac_address;
        for (size_t j = 0; j < i; j++)
            if (str_eq(pair->ip_address, p->allowed_address_pairs.v[j].ip_address) &&
                str_eq(pair->mac_address, p->allowed_address_pairs.v[j].mac_address))
                return call_fault(c, 400, "DuplicateAddressPairInRequest",
                                  "Request contains duplicate address pair: "
                                  "mac_address %s ip_address %s.",
                                  pair->mac_address, pair->ip_address);
    }
    return 0;
}

static int check_security(struct call *c, struct port *p)
{
    if (p->port_security_enabled)
        return 0;
    if (PORT_GIVEN(c, security_groups) && p->security_groups.n)
        return call_fault(c, 409, "PortSecurityAndIPRequiredForSecurityGroups",
                          "Port security must be enabled and "
                          "port must have an IP address in order to use security groups.");
    if (p->allowed_address_pairs.n)
        return call_fault(c, 409, "AddressPairAndPortSecurityRequired",
                          "Port Security must be enabled in order to "
                          "have allowed address pairs on a port.");
    if (p->security_groups.n && !PORT_GIVEN(c, security_groups) && PORT_GIVEN(c, port_security_enabled))
        return call_fault(c, 409, "PortSecurityPortHasSecurityGroup",
                          "Port has security group associated. Cannot "
                          "disable port security or IP address until security group is removed.");
    return 0;
}

/* What Neutron's policy leaves to administrators and, but for devices, to the network's owner: on a network
 * that others share, a port with an address or without protection of its own choice can pose as any other. */
static int check_policy(struct call *c, const struct network *n, const struct port *old, const struct port *p)
{
    static const char *const OURS[] = { "network:router", OWNER_DHCP, OWNER_FLOATING_IP };
    const char *verb = old ? "update" : "create", *what = NULL, *owner = str_or(p->device_owner, "");
    if (call_is_admin(c))
        return 0;
    bool own = str_eq(n->std.project_id, c->auth->project_id);
    if (!str_eq(owner, old ? str_or(old->device_owner, "") : "")) {
        for (size_t i = 0; i < ARRAY_SIZE(OURS); i++)
            if (str_starts(owner, OURS[i]))
                what = "device_owner";
        if (str_starts(owner, "network:") && !own)
            what = "device_owner";
    }
    if (!own && p->mac_address && (!old || strcasecmp(p->mac_address, old->mac_address) != 0))
        what = "mac_address";
    if (!own && PORT_GIVEN(c, port_security_enabled) && !p->port_security_enabled &&
        (old ? old->port_security_enabled : n->port_security_enabled))
        what = "port_security_enabled";
    if (!own && PORT_GIVEN(c, allowed_address_pairs) && p->allowed_address_pairs.n)
        what = "allowed_address_pairs";
    for (size_t i = 0; !own && PORT_GIVEN(c, fixed_ips) && i < p->fixed_ips.n; i++) {
        const char *ip = p->fixed_ips.v[i].ip_address;
        bool had = !ip;
        for (size_t j = 0; old && j < old->fixed_ips.n; j++)
            had |= str_eq(ip, old->fixed_ips.v[j].ip_address);
        if (!had)
            what = "fixed_ips:ip_address";
    }
    return what ? call_fault(c, 403, "PolicyNotAuthorized", "rule:%s_port:%s is disallowed by policy", verb,
                             what)
                : 0;
}

/* A port belongs to the server or router that its device_id names, so the name can't be another project's. */
static int check_device(struct call *c, const struct port *old, const struct port *p)
{
    struct router *router;
    const char *project = NULL;
    if (call_is_admin(c) || str_empty(p->device_id) || (old && str_eq(old->device_id, p->device_id)))
        return 0;
    int r = txn_get(c->txn, &ROUTER_KIND, p->device_id, &router);
    if (r == 0 && router)
        project = router->std.project_id;
    else if (r == 0 && network_server_project)
        r = network_server_project(c->txn, p->device_id, &project);
    if (r == 0 && project && !str_eq(project, c->auth->project_id))
        return call_fault(c, 409, "DeviceIDNotOwnedByTenant",
                          "The following device_id %s is not owned by your tenant or "
                          "matches another tenants router.",
                          p->device_id);
    return r;
}

static int port_create(struct call *c, void *object)
{
    struct port *p = object;
    struct network *n;
    struct fault f;
    int r = txn_get(c->txn, &NETWORK_KIND, p->network_id, &n);
    if (r < 0)
        return r;
    if (!n || !NETWORK_RESOURCE.visible(c, n))
        return neutron_absent(c, &NETWORK_RESOURCE, p->network_id);
    if (!call_is_admin(c) && !network_usable(c->txn, n, c->auth->project_id))
        return call_fault(c, 403, "PolicyNotAuthorized", "rule:create_port is disallowed by policy");
    r = check_policy(c, n, NULL, p);
    r = r ? r : check_device(c, NULL, p);
    if (r)
        return r;
    if (!PORT_GIVEN(c, port_security_enabled))
        p->port_security_enabled = n->port_security_enabled;
    r = neutron_tell(c, quota_take(c->txn, p->std.project_id, "port", 1, &f), &f);
    if (r == 0)
        r = check_groups(c, p);
    if (r == 0)
        r = check_security(c, p);
    if (r == 0)
        r = qos_check(c, p->qos_policy_id);
    if (r)
        return r;
    if (str_empty(p->host))
        p->host = NULL;
    r = neutron_tell(c,
                     port_make(c->txn, neutron_mac_prefix(c), p, n, !PORT_GIVEN(c, fixed_ips),
                               PORT_GIVEN(c, security_groups), &f),
                     &f);
    return r ? r : check_pairs(c, p);
}

static bool uses_device(const struct port *p)
{
    return str_starts(p->device_owner, OWNER_ROUTER_INTERFACE) ||
           STREQ(p->device_owner, OWNER_ROUTER_GATEWAY) || STREQ(p->device_owner, OWNER_FLOATING_IP);
}

static int port_update(struct call *c, const void *before, void *object)
{
    const struct port *old = before;
    struct port *p = object;
    struct fault f;
    struct network *n;
    int r = txn_get(c->txn, &NETWORK_KIND, p->network_id, &n);
    if (r < 0)
        return r;
    if (!n)
        return neutron_absent(c, &NETWORK_RESOURCE, p->network_id);
    r = check_policy(c, n, old, p);
    r = r ? r : check_device(c, old, p);
    if (r == 0)
        r = check_groups(c, p);
    if (r == 0)
        r = check_security(c, p);
    if (r == 0)
        r = qos_check(c, p->qos_policy_id);
    if (r)
        return r;
    p->name = str_or(p->name, "");
    p->device_id = str_or(p->device_id, "");
    p->device_owner = str_or(p->device_owner, "");
    if (str_empty(p->host))
        p->host = NULL;
    if (!str_eq(old->host, p->host))
        p->status = "DOWN";
    if (!p->mac_address)
        p->mac_address = old->mac_address;
    p->mac_address = mac_text(c->arena, p->mac_address);
    if (!str_eq(p->mac_address, old->mac_address) && old->host)
        return call_fault(c, 409, "PortBound",
                          "Unable to complete operation on port %s, port is already bound, port "
                          "type: %s, old_mac %s, new_mac %s.",
                          p->head.id, "bridge", old->mac_address, p->mac_address);
    if (PORT_GIVEN(c, fixed_ips)) {
        if (uses_device(p) && old->fixed_ips.n && !p->fixed_ips.n)
            return neutron_invalid(c, "port %s of a router must keep an address", p->head.id);
        r = neutron_tell(c, addresses_fill(c->txn, p, false, old, &f), &f);
    }
    if (PORT_GIVEN(c, admin_state_up) && !p->admin_state_up)
        p->status = "DOWN";
    /* options are told one by one: a null value takes the option away */
    if (r == 0 && PORT_GIVEN(c, extra_dhcp_opts)) {
        __typeof__(p->extra_dhcp_opts) wished = p->extra_dhcp_opts;
        p->extra_dhcp_opts = (__typeof__(p->extra_dhcp_opts)){ 0 };
        VEC_FOREACH (o, &old->extra_dhcp_opts) {
            bool again = false;
            VEC_FOREACH (w, &wished)
                again |= str_eq(w->opt_name, o->opt_name) && w->ip_version == o->ip_version;
            if (!again && !vec_push(c->arena, &p->extra_dhcp_opts, *o))
                return -ENOMEM;
        }
        VEC_FOREACH (w, &wished)
            if (w->opt_value && !vec_push(c->arena, &p->extra_dhcp_opts, *w))
                return -ENOMEM;
    }
    return r ? r : check_pairs(c, p);
}

static int port_remove(struct call *c, void *object)
{
    const struct port *p = object;
    if (uses_device(p) && !str_empty(p->device_id))
        return call_fault(c, 409, "ServicePortInUse",
                          "Port %s cannot be deleted directly via the port API: has device "
                          "owner %s.",
                          p->head.id, p->device_owner);
    return port_drop(c->txn, p);
}

static int port_taken(struct call *c, const void *object)
{
    const struct port *p = object;
    return call_fault(c, 409, "MacAddressInUse",
                      "Unable to complete operation for network %s. The mac address %s is "
                      "in use.",
                      p->network_id, p->mac_address);
}

const struct resource PORT_RESOURCE = {
    .one = "port",
    .many = "ports",
    .kind = &PORT_KIND,
    .title = "Port",
    .not_found = "PortNotFound",
    .scope = port_scope,
    .visible = port_visible,
    .filter = port_filter,
    .render = port_render,
    .create = port_create,
    .update = port_update,
    .remove = port_remove,
    .taken = port_taken,
};
