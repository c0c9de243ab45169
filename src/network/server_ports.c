/*
 * Ports of servers, for the compute slice: what network.h promises.
 */
#include "network/internal.h"
#include "host/spec_net.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#define VIRTUAL_MTU 1450

static const char *mac_prefix_of(const struct api *api)
{
    const struct cloud_config *c = cloud_config(api);
    return c && c->mac_prefix ? c->mac_prefix : "fa:16:3e";
}

/* ---- which network ---- */

static int automatic_network(struct txn *t, const char *project_id, struct network **ret, struct fault *f)
{
    struct query q = { .kind = &NETWORK_KIND };
    struct arena *a = txn_arena(t);
    struct condition *own = query_where(&q, a, "project_id", Q_EQ, project_id);
    struct condition *shared = own ? query_where(&q, a, "shared", Q_EQ, "true") : NULL;
    if (!shared || !query_where(&q, a, "router:external", Q_EQ, "false"))
        return -ENOMEM;
    q.where.v[0].any = q.where.v[1].any = 1;
    struct results l = { 0 };
    int r = txn_list(t, &q, &l);
    if (r < 0)
        return r;
    /* The project's own come before those of others. */
    struct network *mine = NULL, *others = NULL;
    size_t n_mine = 0, n_others = 0;
    for (size_t i = 0; i < l.n; i++) {
        struct network *n = l.v[i];
        if (str_eq(n->std.project_id, project_id)) {
            mine = n;
            n_mine++;
        } else {
            others = n;
            n_others++;
        }
    }
    if (n_mine > 1 || (!n_mine && n_others > 1))
        return fault_set(f, 409, "NetworkAmbiguous",
                         "Multiple possible networks found, use a Network ID to be more "
                         "specific.");
    *ret = mine ? mine : others;
    return 0;
}

static int wished_network(struct txn *t, const char *project_id, const struct port_wish *w,
                          struct network **ret, struct fault *f)
{
    if (!w->network_id)
        return automatic_network(t, project_id, ret, f);
    struct network *n;
    int r = txn_get(t, &NETWORK_KIND, w->network_id, &n);
    if (r < 0)
        return r;
    if (!n || !(network_usable(t, n, project_id) || n->external))
        return fault_set(f, 400, "NetworkNotFound", "Network %s could not be found.", w->network_id);
    if (n->external && !network_usable(t, n, project_id))
        return fault_set(f, 403, "ExternalNetworkAttachForbidden",
                         "It is not allowed to create an interface on "
                         "external network %s",
                         w->network_id);
    struct subnets l = { 0 };
    r = subnets_of(t, n->head.id, &l);
    if (r == 0 && !l.n)
        r = fault_set(f, 400, "NetworkRequiresSubnet",
                      "Network %s requires a subnet in order to boot instances on.", n->head.id);
    *ret = n;
    return r;
}

/* ---- groups ---- */

int network_group_find(struct txn *t, const char *project_id, const char *group, const char **ret_id,
                       const char **ret_name)
{
    struct security_group *g = NULL;
    *ret_id = NULL;
    int r = uuid_valid(group) ? txn_get(t, &SECURITY_GROUP_KIND, group, &g) : 0;
    if (r < 0)
        return r;
    if (!g || !(str_eq(g->std.project_id, project_id) || g->shared)) {
        struct query q = { .kind = &SECURITY_GROUP_KIND };
        if (!query_where(&q, txn_arena(t), "project_id", Q_EQ, project_id) ||
            !query_where(&q, txn_arena(t), "name", Q_EQ, group))
            return -ENOMEM;
        r = txn_find(t, &q, &g);
        if (r < 0)
            return r;
    }
    if (!g && STREQ(group, "default")) {
        if (ret_name)
            *ret_name = "default";
        return default_group(t, project_id, ret_id);
    }
    if (g) {
        *ret_id = g->head.id;
        if (ret_name)
            *ret_name = g->name;
    }
    return 0;
}

static int resolve_groups(struct txn *t, const char *project_id, const struct strv *wanted, struct strv *ret,
                          struct fault *f)
{
    for (size_t i = 0; wanted && i < wanted->n; i++) {
        const char *id;
        int r = network_group_find(t, project_id, wanted->v[i], &id, NULL);
        if (r < 0)
            return r;
        if (!id)
            return fault_set(f, 400, "SecurityGroupNotFound", "Security group %s not found.", wanted->v[i]);
        if (!strv_has(ret, id) && !strv_add(txn_arena(t), ret, id))
            return -ENOMEM;
    }
    return 0;
}

/* ---- taking ---- */

struct taking {
    struct txn *t;
    const char *mac_prefix, *project_id, *server_id, *server_name, *zone;
    struct strv groups;
    bool groups_given, admin;
    int64_t order;
    struct fault *fault;
};

static const char *owner(const struct taking *k)
{
    return arena_printf(txn_arena(k->t), "compute:%s", str_or(k->zone, ""));
}

/* A name that DNS takes, from the server's. */
static const char *dns_label(struct arena *a, const char *name)
{
    char text[64];
    size_t n = 0;
    for (; *name && n < sizeof(text) - 1; name++) {
        char c = *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : *name;
        bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (fine)
            text[n++] = c;
        else if (n && text[n - 1] != '-')
            text[n++] = '-';
    }
    while (n && text[n - 1] == '-')
        n--;
    text[n] = 0;
    return arena_strdup(a, text);
}

static int take_existing(struct taking *k, const struct port_wish *w, struct port **ret)
{
    struct port *p;
    int r = txn_get(k->t, &PORT_KIND, w->port_id, &p);
    if (r < 0)
        return r;
    if (!p || !str_eq(p->std.project_id, k->project_id))
        return fault_set(k->fault, 400, "PortNotFound", "Port %s could not be found.", w->port_id);
    if (!str_empty(p->device_id))
        return fault_set(k->fault, 409, "PortInUse", "Port %s is still in use.", w->port_id);
    p->own = false;
    *ret = p;
    return 0;
}

static int take_new(struct taking *k, const struct port_wish *w, struct port **ret)
{
    struct arena *a = txn_arena(k->t);
    struct network *n = NULL;
    int r = wished_network(k->t, k->project_id, w, &n, k->fault);
    if (r || !n) {
        *ret = NULL;
        return r;
    }
    if (w->fixed_ip && !k->admin && !str_eq(n->std.project_id, k->project_id))
        return fault_set(k->fault, 403, "PolicyNotAuthorized",
                         "rule:create_port:fixed_ips:ip_address is disallowed by "
                         "policy");
    r = quota_take(k->t, k->project_id, "port", 1, k->fault);
    if (r == FAULT)
        return fault_set(k->fault, 403, "PortLimitExceeded", "Maximum number of ports exceeded");
    struct port *p = r ? NULL : ARENA_NEW(a, struct port);
    if (!p)
        return r ? r : -ENOMEM;
    p->std.project_id = k->project_id;
    p->admin_state_up = true;
    p->port_security_enabled = n->port_security_enabled;
    p->own = true;
    p->mac_address = w->mac;
    p->device_owner = owner(k);
    p->qos_policy_id = NULL;
    if (p->port_security_enabled)
        p->security_groups = k->groups;
    if (w->fixed_ip && !vec_push(a, &p->fixed_ips, ((struct port_ip){ NULL, w->fixed_ip })))
        return -ENOMEM;
    p->device_id = k->server_id;
    p->dns_name = dns_label(a, k->server_name);
    r = port_make(k->t, k->mac_prefix, p, n, !w->fixed_ip, k->groups_given, k->fault);
    *ret = p;
    return r;
}

static int take_one(struct taking *k, const struct port_wish *w, struct port **ret)
{
    struct port *p = NULL;
    int r = w->port_id ? take_existing(k, w, &p) : take_new(k, w, &p);
    *ret = p;
    if (r || !p)
        return r;
    p->device_id = k->server_id;
    p->device_owner = owner(k);
    p->tag = w->tag;
    p->attached = p->std.created_at + k->order++;
    if (str_empty(p->dns_name))
        p->dns_name = dns_label(txn_arena(k->t), k->server_name);
    standard_touch(&p->std);
    return port_put(k->t, p, k->fault);
}

/* ---- views ---- */

static int view_addresses(struct txn *t, const struct port *p, struct port_view *v)
{
    struct query q = { .kind = &FLOATING_IP_KIND };
    struct arena *a = txn_arena(t);
    if (!query_where(&q, a, "port_id", Q_EQ, p->head.id))
        return -ENOMEM;
    struct results floats = { 0 };
    int r = txn_list(t, &q, &floats);
    VEC_FOREACH (ip, &p->fixed_ips) {
        struct subnet *s = NULL;
        if (r == 0)
            r = txn_get(t, &SUBNET_KIND, ip->subnet_id, &s);
        struct port_address *at = r < 0 ? NULL : vec_add(a, &v->addresses);
        if (!at)
            return r < 0 ? r : -ENOMEM;
        at->ip = ip->ip_address;
        at->subnet_id = ip->subnet_id;
        at->version = strchr(ip->ip_address, ':') ? 6 : 4;
        if (s) {
            at->cidr = s->cidr;
            at->gateway = s->gateway_ip;
            at->dns = s->dns_nameservers;
        }
        for (size_t i = 0; i < floats.n; i++) {
            const struct floating_ip *fip = floats.v[i];
            if (str_eq(fip->fixed_ip_address, ip->ip_address))
                at->floating_ip = fip->address;
        }
    }
    return r;
}

static const char *tap_name(struct arena *a, const char *port_id)
{
    char name[NET_NAME_SIZE];
    return arena_strdup(a, net_tap_name(port_id, name));
}

static int make_view(struct txn *t, const struct port *p, struct port_view *v)
{
    struct arena *a = txn_arena(t);
    struct network *n;
    int r = txn_get(t, &NETWORK_KIND, p->network_id, &n);
    if (r < 0)
        return r;
    *v = (struct port_view){
        .id = p->head.id,
        .network_id = p->network_id,
        .project_id = p->std.project_id,
        .mac = p->mac_address,
        .status = p->status,
        .tag = p->tag,
        .host = p->host,
        .device_name = tap_name(a, p->head.id),
        .vnic_type = p->vnic_type,
        .dns_name = p->dns_name,
        .own = p->own,
        .admin_up = p->admin_state_up,
        .security_groups = p->security_groups,
    };
    if (n) {
        v->network_name = n->name;
        v->mtu = n->mtu ? n->mtu : VIRTUAL_MTU;
    }
    return view_addresses(t, p, v);
}

int network_ports_take(struct call *c, struct txn *t, const char *project_id, const char *server_id,
                       const char *server_name, const char *zone, const struct port_wish *wishes, size_t n,
                       const struct strv *groups, struct port_views *ret, struct fault *fault)
{
    struct taking k = {
        .t = t,
        .mac_prefix = mac_prefix_of(c->api),
        .project_id = project_id,
        .server_id = server_id,
        .server_name = str_or(server_name, ""),
        .zone = zone,
        .groups_given = groups && groups->n,
        .fault = fault,
        .admin = call_is_admin(c),
    };
    struct ports already = { 0 };
    int r = ports_where(t, "device_id", Q_EQ, server_id, &already);
    if (r == 0)
        r = resolve_groups(t, project_id, groups, &k.groups, fault);
    k.order = (int64_t)already.n;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct port *p;
        r = take_one(&k, &wishes[i], &p);
        if (r || !p)
            continue;
        struct port_view *v = vec_add(txn_arena(t), ret);
        r = v ? make_view(t, p, v) : -ENOMEM;
    }
    return r;
}

int network_ports_of(struct txn *t, const char *server_id, struct port_views *ret)
{
    struct ports l = { 0 };
    int r = ports_where(t, "device_id", Q_EQ, server_id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        struct port_view *v = vec_add(txn_arena(t), ret);
        r = v ? make_view(t, l.v[i], v) : -ENOMEM;
    }
    return r;
}

int network_ports_of_many(struct txn *t, const struct strv *server_ids,
                          int (*each)(void *arg, const char *server_id, const struct port_view *port),
                          void *arg)
{
    struct query q = { .kind = &PORT_KIND };
    struct arena *a = txn_arena(t);
    struct condition *w = query_where(&q, a, "device_id", Q_IN, NULL);
    if (!w || !query_sort(&q, a, "attached", false))
        return -ENOMEM;
    w->list = *server_ids;
    struct results l = { 0 };
    int r = server_ids->n ? txn_list(t, &q, &l) : 0;
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct port *p = l.v[i];
        struct port_view v;
        r = make_view(t, p, &v);
        if (r == 0)
            r = each(arg, p->device_id, &v);
    }
    return r;
}

/* ---- binding and letting go ---- */

int network_ports_bind(struct txn *t, const char *server_id, const char *host, const char *zone)
{
    struct ports l = { 0 };
    struct fault f;
    int r = ports_where(t, "device_id", Q_EQ, server_id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        struct port *p = l.v[i];
        const char *wanted = str_empty(host) ? NULL : host;
        if (str_eq(p->host, wanted) && !zone)
            continue;
        if (!str_eq(p->host, wanted))
            p->status = "DOWN";
        p->host = wanted;
        if (zone)
            p->device_owner = arena_printf(txn_arena(t), "compute:%s", zone);
        standard_touch(&p->std);
        r = port_put(t, p, &f);
    }
    return r;
}

static int release(struct txn *t, struct port *p)
{
    struct fault f;
    if (p->own)
        return port_drop(t, p);
    p->device_id = p->device_owner = "";
    p->host = p->tag = NULL;
    p->status = "DOWN";
    p->dns_name = "";
    standard_touch(&p->std);
    return port_put(t, p, &f);
}

int network_port_release(struct txn *t, const char *server_id, const char *port_id, struct fault *fault)
{
    struct port *p;
    int r = txn_get(t, &PORT_KIND, port_id, &p);
    if (r < 0)
        return r;
    if (!p || !str_eq(p->device_id, server_id))
        return fault_set(fault, 404, "PortNotFound", "Port id %s could not be found.", port_id);
    return release(t, p);
}

int network_ports_release(struct txn *t, const char *server_id)
{
    struct ports l = { 0 };
    int r = ports_where(t, "device_id", Q_EQ, server_id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = release(t, l.v[i]);
    return r;
}

int network_ports_group(struct txn *t, const char *project_id, const char *server_id, const char *group,
                        bool add, struct fault *fault)
{
    const char *id;
    struct ports l = { 0 };
    int r = network_group_find(t, project_id, group, &id, NULL);
    if (r == 0 && !id)
        return fault_set(fault, 404, "SecurityGroupNotFound", "Security group %s not found.", group);
    if (r == 0)
        r = ports_where(t, "device_id", Q_EQ, server_id, &l);
    size_t touched = 0;
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        struct port *p = l.v[i];
        if (strv_has(&p->security_groups, id) == add || (add && !p->port_security_enabled))
            continue;
        if (add && !strv_add(txn_arena(t), &p->security_groups, id))
            return -ENOMEM;
        if (!add)
            strv_drop(&p->security_groups, id);
        touched++;
        standard_touch(&p->std);
        r = port_put(t, p, fault);
    }
    if (r == 0 && !add && !touched)
        return fault_set(fault, 404, "SecurityGroupNotFound",
                         "Security group %s not associated with the instance %s", group, server_id);
    return r;
}

/* ---- finding by address ---- */

int network_devices_by_ip(struct txn *t, const char *expression, int version, bool regex, struct strv *ret)
{
    struct arena *a = txn_arena(t);
    struct query q = { .kind = &PORT_KIND };
    regex_t re;
    if (!regex && !query_where(&q, a, "ip", Q_KEY, expression))
        return -ENOMEM;
    if (regex && !query_where(&q, a, "device_owner", Q_STARTS, "compute:"))
        return -ENOMEM;
    if (regex && !regexp_usable(expression))
        return 0;
    if (regex && regcomp(&re, expression, REG_EXTENDED | REG_NOSUB) != 0)
        return 0;
    struct results l = { 0 };
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct port *p = l.v[i];
        VEC_FOREACH (ip, &p->fixed_ips) {
            int family = strchr(ip->ip_address, ':') ? 6 : 4;
            bool hit =
                regex ? regexec(&re, ip->ip_address, 0, NULL, 0) == 0 : STREQ(ip->ip_address, expression);
            if (hit && (!version || version == family) && !str_empty(p->device_id) &&
                !strv_has(ret, p->device_id) && !strv_add(a, ret, p->device_id))
                r = -ENOMEM;
        }
    }
    if (regex)
        regfree(&re);
    return r;
}
