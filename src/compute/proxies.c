/*
 * What Nova passed on to Neutron before 2.36, and a little after: security groups, floating
 * addresses, networks. Each verb turns the call into one or two of the network service's and the
 * answer back into Nova's form; the network service alone decides.
 */
#include "compute/internal.h"

#include <errno.h>

#define NET "/network/v2.0"

/* As a verb: refusals become this call's own. Null 'ret' drops the body. */
static int ask(struct call *c, const char *method, const char *path, const json_t *body, json_t **ret)
{
    int status;
    const char *message;
    json_t *answer = NULL;
    if (!path)
        return -ENOMEM;
    int r = call_service(c, method, path, body, &status, &answer, &message);
    if (r < 0)
        return r;
    if (message)
        return call_fault(c, status, "NetworkFault", "%s", message);
    if (ret)
        *ret = answer;
    else
        json_decref(answer);
    return 0;
}

/* ---- security groups ---- */

static void put_rule(struct call *c, const json_t *rule, const char *group_name)
{
    const char *remote = json_get_string(rule, "remote_group_id"), *cidr = json_get_string(rule, "remote_ip_prefix");
    const char *protocol = json_get_string(rule, "protocol");
    const json_t *min = json_object_get(rule, "port_range_min"), *max = json_object_get(rule, "port_range_max");
    json_open_object(&c->out);
    json_put_string(&c->out, "id", json_get_string(rule, "id"));
    json_put_string(&c->out, "parent_group_id", json_get_string(rule, "security_group_id"));
    json_put_string(&c->out, "ip_protocol", protocol);
    json_key(&c->out, "from_port");
    if (json_is_integer(min))
        json_int_out(&c->out, json_integer_value(min));
    else if (protocol)
        json_int_out(&c->out, -1);
    else
        json_null_out(&c->out);
    json_key(&c->out, "to_port");
    if (json_is_integer(max))
        json_int_out(&c->out, json_integer_value(max));
    else if (protocol)
        json_int_out(&c->out, -1);
    else
        json_null_out(&c->out);
    json_put_object(&c->out, "group");
    if (remote) {
        json_put_string(&c->out, "name", str_or(group_name, ""));
        json_put_string(&c->out, "tenant_id", json_get_string(rule, "tenant_id"));
    }
    json_close_object(&c->out);
    json_put_object(&c->out, "ip_range");
    if (!remote)
        json_put_string(&c->out, "cidr", cidr ? cidr : str_eq(json_get_string(rule, "ethertype"), "IPv6") ? "::/0"
                                                                                                          : "0.0.0.0/0");
    json_close_object(&c->out);
    json_close_object(&c->out);
}

/* Nova's groups have ingress rules only. */
static void put_group(struct call *c, const json_t *g)
{
    size_t i;
    json_t *rule;
    json_open_object(&c->out);
    json_put_string(&c->out, "id", json_get_string(g, "id"));
    json_put_string(&c->out, "name", json_get_string(g, "name"));
    json_put_string(&c->out, "description", json_get_string(g, "description"));
    json_put_string(&c->out, "tenant_id", json_get_string(g, "tenant_id"));
    json_put_array(&c->out, "rules");
    json_array_foreach(json_object_get(g, "security_group_rules"), i, rule) {
        if (str_eq(json_get_string(rule, "direction"), "ingress"))
            put_rule(c, rule, json_get_string(g, "name"));
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
}

static int put_groups(struct call *c, const json_t *answer)
{
    size_t i;
    json_t *g;
    json_open_object(&c->out);
    json_put_array(&c->out, "security_groups");
    json_array_foreach(json_object_get(answer, "security_groups"), i, g)
        put_group(c, g);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int groups_list(struct call *c)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    bool all = call_is_admin(c) && call_arg_bool(c, "all_tenants", false);
    int r = ask(c, "GET", all ? NET "/security-groups"
                              : arena_printf(c->arena, NET "/security-groups?project_id=%s",
                                             str_or(c->auth->project_id, "")), NULL, &answer);
    return r ? r : put_groups(c, answer);
}

static int one_group(struct call *c, const json_t *answer)
{
    json_open_object(&c->out);
    json_key(&c->out, "security_group");
    put_group(c, json_object_get(answer, "security_group"));
    json_close_object(&c->out);
    return 0;
}

static const char *group_path(struct call *c, const char *id)
{
    return arena_printf(c->arena, NET "/security-groups/%s", id);
}

static int group_show(struct call *c)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    const char *id = call_param(c, "id");
    if (!uuid_valid(id))
        return call_fault(c, 400, "BadRequest", "Security group id should be a uuid");
    int r = ask(c, "GET", group_path(c, id), NULL, &answer);
    return r ? r : one_group(c, answer);
}

static bool text_fine(const char *s, bool may_be_empty)
{
    return s && strlen(s) <= 255 && (may_be_empty || s[strspn(s, " \t")]);
}

static int group_write(struct call *c, const char *method, const char *path)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    const json_t *in = json_get_object(c->body, "security_group");
    const char *name = json_get_string(in, "name"), *description = json_get_string(in, "description");
    if (!in || !text_fine(name, false) || (json_object_get(in, "description") && !text_fine(description, true)))
        return call_fault(c, 400, "BadRequest", "Security group name and description must be strings of up to 255 "
                          "characters, the name not empty.");
    _cleanup_(json_decrefp) json_t *body = json_pack("{s:{s:s,s:s}}", "security_group", "name", name, "description",
                                                     str_or(description, ""));
    if (!body)
        return -ENOMEM;
    int r = ask(c, method, path, body, &answer);
    return r ? r : one_group(c, answer);
}

static int group_create(struct call *c)
{
    return group_write(c, "POST", NET "/security-groups");
}

static int group_update(struct call *c)
{
    const char *id = call_param(c, "id");
    if (!uuid_valid(id))
        return call_fault(c, 400, "BadRequest", "Security group id should be a uuid");
    return group_write(c, "PUT", group_path(c, id));
}

static int group_delete(struct call *c)
{
    const char *id = call_param(c, "id");
    if (!uuid_valid(id))
        return call_fault(c, 400, "BadRequest", "Security group id should be a uuid");
    int r = ask(c, "DELETE", group_path(c, id), NULL, NULL);
    /* Nova answers 400 for a group in use. */
    if (r == FAULT && c->fault.status == 409)
        c->fault.status = 400;
    return r;
}

/* A number, or one as text; -1 and null are none. */
static int port_number(struct call *c, const json_t *v, const char *name, bool *ret_given, int64_t *ret)
{
    *ret_given = false;
    char *end = NULL;
    if (!v || json_is_null(v))
        return 0;
    const char *text = json_string_value(v);
    *ret = json_is_integer(v) ? json_integer_value(v) : text ? strtoll(text, &end, 10) : INT_NULL;
    if ((!json_is_integer(v) && !text) || (text && (!*text || *end)) || *ret < -1 || *ret > 65535)
        return call_fault(c, 400, "InvalidInput", "Invalid value for %s.", name);
    *ret_given = *ret >= 0;
    return 0;
}

static int rule_create(struct call *c)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    const json_t *in = json_get_object(c->body, "security_group_rule");
    const char *parent = json_get_string(in, "parent_group_id"), *group = json_get_string(in, "group_id");
    const char *cidr = json_get_string(in, "cidr"), *protocol = json_get_string(in, "ip_protocol");
    bool from_given, to_given;
    int64_t from = 0, to = 0;
    if (!in || !parent || !uuid_valid(parent) || (group && !uuid_valid(group)))
        return call_fault(c, 400, "BadRequest", "Security group id should be a uuid");
    int r = port_number(c, json_object_get(in, "from_port"), "from_port", &from_given, &from);
    r = r ? r : port_number(c, json_object_get(in, "to_port"), "to_port", &to_given, &to);
    if (r)
        return r;
    if (!group && !protocol)
        return call_fault(c, 400, "InvalidInput", "ip_protocol is needed.");
    bool six = cidr && strchr(cidr, ':');
    _cleanup_(json_decrefp) json_t *rule = json_pack("{s:s,s:s,s:s}", "security_group_id", parent, "direction", "ingress",
                                                     "ethertype", six ? "IPv6" : "IPv4");
    if (!rule || (protocol && json_object_set_new(rule, "protocol", json_string(protocol)) < 0) ||
        (from_given && json_object_set_new(rule, "port_range_min", json_integer(from)) < 0) ||
        (to_given && json_object_set_new(rule, "port_range_max", json_integer(to)) < 0) ||
        (group && json_object_set_new(rule, "remote_group_id", json_string(group)) < 0) ||
        (cidr && !group && json_object_set_new(rule, "remote_ip_prefix", json_string(cidr)) < 0))
        return -ENOMEM;
    _cleanup_(json_decrefp) json_t *body = json_pack("{s:O}", "security_group_rule", rule);
    r = body ? ask(c, "POST", NET "/security-group-rules", body, &answer) : -ENOMEM;
    if (r == FAULT && c->fault.status == 409)
        c->fault.status = 400;      /* one like it is there: Nova calls that a bad request */
    if (r)
        return r;
    const char *name = NULL, *id;
    if (group) {
        r = call_read(c);
        r = r ? r : network_group_find(c->txn, c->auth->project_id, group, &id, &name);
        if (r)
            return r;
    }
    json_open_object(&c->out);
    json_key(&c->out, "security_group_rule");
    put_rule(c, json_object_get(answer, "security_group_rule"), name);
    json_close_object(&c->out);
    return 0;
}

static int rule_delete(struct call *c)
{
    const char *id = call_param(c, "id");
    if (!uuid_valid(id))
        return call_fault(c, 400, "BadRequest", "Security group rule id should be a uuid");
    return ask(c, "DELETE", arena_printf(c->arena, NET "/security-group-rules/%s", id), NULL, NULL);
}

/* ---- floating addresses ---- */

static int external_networks(struct call *c, json_t **ret)
{
    return ask(c, "GET", NET "/networks?router:external=true", NULL, ret);
}

static const char *pool_name(const json_t *networks, const char *id)
{
    size_t i;
    json_t *n;
    json_array_foreach(json_object_get(networks, "networks"), i, n) {
        if (str_eq(json_get_string(n, "id"), id))
            return json_get_string(n, "name");
    }
    return id;
}

static void put_address(struct call *c, const json_t *f, const json_t *networks)
{
    const json_t *details = json_get_object(f, "port_details");
    const char *device = json_get_string(details, "device_id");
    json_open_object(&c->out);
    json_put_string(&c->out, "id", json_get_string(f, "id"));
    json_put_string(&c->out, "ip", json_get_string(f, "floating_ip_address"));
    json_put_string(&c->out, "pool", pool_name(networks, json_get_string(f, "floating_network_id")));
    json_put_string(&c->out, "fixed_ip", json_get_string(f, "fixed_ip_address"));
    json_put_string(&c->out, "instance_id", str_empty(device) ? NULL : device);
    json_close_object(&c->out);
}

static int addresses_list(struct call *c)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    _cleanup_(json_decrefp) json_t *networks = NULL;
    size_t i;
    json_t *f;
    int r = ask(c, "GET", arena_printf(c->arena, NET "/floatingips?project_id=%s", str_or(c->auth->project_id, "")), NULL,
                &answer);
    r = r ? r : external_networks(c, &networks);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "floating_ips");
    json_array_foreach(json_object_get(answer, "floatingips"), i, f)
        put_address(c, f, networks);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int one_address(struct call *c, const json_t *answer)
{
    _cleanup_(json_decrefp) json_t *networks = NULL;
    int r = external_networks(c, &networks);
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "floating_ip");
    put_address(c, json_object_get(answer, "floatingip"), networks);
    json_close_object(&c->out);
    return 0;
}

static const char *address_path(struct call *c)
{
    return arena_printf(c->arena, NET "/floatingips/%s", call_param(c, "id"));
}

static int address_show(struct call *c)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    int r = ask(c, "GET", address_path(c), NULL, &answer);
    return r ? r : one_address(c, answer);
}

static int address_create(struct call *c)
{
    _cleanup_(json_decrefp) json_t *networks = NULL;
    _cleanup_(json_decrefp) json_t *answer = NULL;
    const char *pool = json_get_string(c->body, "pool"), *found = NULL;
    size_t i;
    json_t *n;
    int r = external_networks(c, &networks);
    if (r)
        return r;
    json_array_foreach(json_object_get(networks, "networks"), i, n) {
        if (!found && (!pool || str_eq(json_get_string(n, "name"), pool) || str_eq(json_get_string(n, "id"), pool)))
            found = json_get_string(n, "id");
    }
    if (!found)
        return call_fault(c, 404, "FloatingIpPoolNotFound", "Floating IP pool not found.");
    _cleanup_(json_decrefp) json_t *body = json_pack("{s:{s:s}}", "floatingip", "floating_network_id", found);
    r = body ? ask(c, "POST", NET "/floatingips", body, &answer) : -ENOMEM;
    return r ? r : one_address(c, answer);
}

static int address_delete(struct call *c)
{
    return ask(c, "DELETE", address_path(c), NULL, NULL);
}

static int pools_list(struct call *c)
{
    _cleanup_(json_decrefp) json_t *networks = NULL;
    size_t i;
    json_t *n;
    int r = external_networks(c, &networks);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "floating_ip_pools");
    json_array_foreach(json_object_get(networks, "networks"), i, n) {
        json_open_object(&c->out);
        json_put_string(&c->out, "name", json_get_string(n, "name"));
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

/* ---- networks ---- */

static void put_network(struct call *c, const json_t *n, bool tenant)
{
    json_open_object(&c->out);
    json_put_string(&c->out, "id", json_get_string(n, "id"));
    json_put_string(&c->out, "label", json_get_string(n, "name"));
    if (tenant) {
        json_put_string(&c->out, "cidr", "None");
    } else {
        static const char *const NONE[] = { "cidr", "cidr_v6", "netmask", "netmask_v6", "gateway", "gateway_v6",
            "broadcast", "dns1", "dns2", "dhcp_start", "dhcp_server", "bridge", "bridge_interface", "vlan", "host",
            "multi_host", "injected", "project_id", "priority", "rxtx_base", "created_at", "updated_at", "deleted_at",
            "deleted", "vpn_public_address", "vpn_public_port", "vpn_private_address", "mtu", "enable_dhcp",
            "share_address" };
        for (size_t i = 0; i < ARRAY_SIZE(NONE); i++)
            json_put_null(&c->out, NONE[i]);
    }
    json_close_object(&c->out);
}

static int list_networks(struct call *c, bool tenant)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    size_t i;
    json_t *n;
    const char *project = str_or(c->auth->project_id, "");
    int r = ask(c, "GET", NET "/networks", NULL, &answer);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "networks");
    json_array_foreach(json_object_get(answer, "networks"), i, n) {
        bool own = str_eq(json_get_string(n, "tenant_id"), project) || json_get_bool(n, "shared", false);
        if (own || (!tenant && call_is_admin(c)))
            put_network(c, n, tenant);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int show_network(struct call *c, bool tenant)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    int r = ask(c, "GET", arena_printf(c->arena, NET "/networks/%s", call_param(c, "id")), NULL, &answer);
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "network");
    put_network(c, json_object_get(answer, "network"), tenant);
    json_close_object(&c->out);
    return 0;
}

static int networks_list(struct call *c)
{
    return list_networks(c, false);
}

static int network_show(struct call *c)
{
    return show_network(c, false);
}

static int tenant_networks_list(struct call *c)
{
    return list_networks(c, true);
}

static int tenant_network_show(struct call *c)
{
    return show_network(c, true);
}

#define V "/v2.1"
#define READ "os_compute_api:os-network-proxies:read"
#define WRITE "os_compute_api:os-network-proxies:write"
static const struct route PROXY_ROUTES[] = {
    { "GET", V "/os-security-groups", groups_list, READ, ROUTE_WORKER, .until = 35, .doc = "Security groups." },
    { "POST", V "/os-security-groups", group_create, WRITE, 0, .until = 35, .doc = "Makes one." },
    { "GET", V "/os-security-groups/{id}", group_show, READ, ROUTE_WORKER, .until = 35, .doc = "One of them." },
    { "PUT", V "/os-security-groups/{id}", group_update, WRITE, 0, .until = 35, .doc = "Changes it." },
    { "DELETE", V "/os-security-groups/{id}", group_delete, WRITE, 0, .status = 202, .until = 35, .doc = "Deletes it." },
    { "POST", V "/os-security-group-rules", rule_create, WRITE, 0, .until = 35, .doc = "Adds a rule." },
    { "DELETE", V "/os-security-group-rules/{id}", rule_delete, WRITE, 0, .status = 202, .until = 35,
      .doc = "Deletes a rule." },
    { "GET", V "/os-floating-ips", addresses_list, READ, ROUTE_WORKER, .until = 35, .doc = "Floating addresses." },
    { "POST", V "/os-floating-ips", address_create, WRITE, 0, .until = 35, .doc = "Takes one." },
    { "GET", V "/os-floating-ips/{id}", address_show, READ, ROUTE_WORKER, .until = 35, .doc = "One of them." },
    { "DELETE", V "/os-floating-ips/{id}", address_delete, WRITE, 0, .status = 202, .until = 35, .doc = "Gives it back." },
    { "GET", V "/os-floating-ip-pools", pools_list, READ, ROUTE_WORKER, .until = 35, .doc = "External networks." },
    { "GET", V "/os-networks", networks_list, READ, ROUTE_WORKER, .until = 35, .doc = "Networks." },
    { "GET", V "/os-networks/{id}", network_show, READ, ROUTE_WORKER, .until = 35, .doc = "One of them." },
    { "GET", V "/os-tenant-networks", tenant_networks_list, READ, ROUTE_WORKER, .until = 35, .doc = "The project's." },
    { "GET", V "/os-tenant-networks/{id}", tenant_network_show, READ, ROUTE_WORKER, .until = 35, .doc = "One of them." },
};
static const struct policy_rule PROXY_RULES[] = {
    { READ, RULE_READER, "See what the network service has." },
    { WRITE, RULE_MEMBER, "Change it; the network service's own rules hold too." },
};
COMPUTE_PART(PROXY_PART, PROXY_ROUTES, PROXY_RULES);
