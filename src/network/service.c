/*
 * The network service: Neutron v2.0 (https://docs.openstack.org/api-ref/network/v2/). Its routes,
 * rules, limits, and the words of its errors.
 */
#include "network/neutron.h"

#include <errno.h>

/* ---- quotas ---- */

static int count_of(struct txn *t, const struct kind *k, const char *project_id, int64_t *ret)
{
    struct query q = { .kind = k };
    uint64_t n = 0;
    if (!query_where(&q, txn_arena(t), "project_id", Q_EQ, project_id))
        return -ENOMEM;
    int r = txn_count(t, &q, &n);
    *ret = (int64_t)n;
    return r;
}

#define COUNT(name, kind) \
    static int used_##name(struct txn *t, const char *project_id, int64_t *ret) \
    { \
        return count_of(t, &kind, project_id, ret); \
    }
COUNT(network, NETWORK_KIND)
COUNT(subnet, SUBNET_KIND)
COUNT(port, PORT_KIND)
COUNT(router, ROUTER_KIND)
COUNT(floatingip, FLOATING_IP_KIND)
COUNT(security_group, SECURITY_GROUP_KIND)
COUNT(security_group_rule, SECURITY_RULE_KIND)

static const struct quota_row QUOTA_ROWS[] = {
    { "network", 100, used_network }, { "subnet", 100, used_subnet }, { "port", 500, used_port },
    { "router", 10, used_router }, { "floatingip", 50, used_floatingip },
    { "security_group", 10, used_security_group }, { "security_group_rule", 100, used_security_group_rule },
};
const struct quota_table NETWORK_QUOTAS = { "network", QUOTA_ROWS, ARRAY_SIZE(QUOTA_ROWS) };

/* ---- discovery ---- */

static void version(struct call *c, struct json_out *o)
{
    json_open_object(o);
    json_put_string(o, "id", "v2.0");
    json_put_string(o, "status", "CURRENT");
    json_put_array(o, "links");
    json_open_object(o);
    json_put_string(o, "rel", "self");
    json_put_string(o, "href", arena_printf(c->arena, "%s/v2.0/", call_base_url(c)));
    json_close_object(o);
    json_close_array(o);
    json_close_object(o);
}

static int versions_list(struct call *c)
{
    json_open_object(&c->out);
    json_put_array(&c->out, "versions");
    version(c, &c->out);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int resources_list(struct call *c)
{
    static const char *const NAMES[][2] = {
        { "network", "networks" }, { "subnet", "subnets" }, { "port", "ports" }, { "router", "routers" },
        { "floatingip", "floatingips" }, { "security_group", "security-groups" },
        { "security_group_rule", "security-group-rules" },
    };
    json_open_object(&c->out);
    json_put_array(&c->out, "resources");
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++) {
        json_open_object(&c->out);
        json_put_string(&c->out, "name", NAMES[i][0]);
        json_put_string(&c->out, "collection", NAMES[i][1]);
        json_put_array(&c->out, "links");
        json_open_object(&c->out);
        json_put_string(&c->out, "rel", "self");
        json_put_string(&c->out, "href", arena_printf(c->arena, "%s/v2.0/%s", call_base_url(c), NAMES[i][1]));
        json_close_object(&c->out);
        json_close_array(&c->out);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

/* What there is beyond the core; only what is really there stands here. */
static const struct { const char *alias, *name, *text; } EXTENSIONS[] = {
    { "external-net", "Neutron external network", "Networks that routers have their gateways on." },
    { "provider", "Provider Network", "How networks are carried." },
    { "net-mtu", "Network MTU", "The largest packet of a network." },
    { "net-mtu-writable", "Network MTU (writable)", "It can be chosen." },
    { "router", "Neutron L3 Router", "Routers and floating addresses." },
    { "ext-gw-mode", "Neutron L3 Configurable external gateway mode", "SNAT can be switched off." },
    { "extraroute", "Neutron Extra Route", "Further routes of a router." },
    { "security-group", "security-group", "Security groups." },
    { "stateful-security-group", "Stateful security group", "Groups without connection tracking." },
    { "port-security", "Port Security", "Anti-spoofing can be switched off." },
    { "allowed-address-pairs", "Allowed Address Pairs", "More addresses for a port." },
    { "extra_dhcp_opt", "Neutron Extra DHCP options", "Further DHCP options of a port." },
    { "binding", "Port Binding", "Which host carries a port." },
    { "dns-integration", "DNS Integration", "Names of ports." },
    { "subnet-service-types", "Subnet service types", "Subnets for some devices only." },
    { "standard-attr-description", "standard-attr-description", "Descriptions." },
    { "standard-attr-timestamp", "Resource timestamps", "When things were made and changed." },
    { "standard-attr-revisions", "Resource revision numbers", "Counts of changes." },
    { "revision-if-match", "If-Match constraints based on revision_number", "Changes on a condition." },
    { "project-id", "project_id field enabled", "project_id beside tenant_id." },
    { "pagination", "Pagination support", "limit and marker." },
    { "sorting", "Sorting support", "sort_key and sort_dir." },
    { "fip-port-details", "Floating IP Port Details Extension", "What a floating address leads to." },
};

static void extension(struct json_out *o, size_t i)
{
    json_open_object(o);
    json_put_string(o, "alias", EXTENSIONS[i].alias);
    json_put_string(o, "name", EXTENSIONS[i].name);
    json_put_string(o, "description", EXTENSIONS[i].text);
    json_put_string(o, "updated", "2022-10-05T00:00:00-00:00");
    json_put_array(o, "links");
    json_close_array(o);
    json_close_object(o);
}

static int extensions_list(struct call *c)
{
    json_open_object(&c->out);
    json_put_array(&c->out, "extensions");
    for (size_t i = 0; i < ARRAY_SIZE(EXTENSIONS); i++)
        extension(&c->out, i);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int extension_show(struct call *c)
{
    const char *alias = call_param(c, "alias");
    for (size_t i = 0; i < ARRAY_SIZE(EXTENSIONS); i++) {
        if (!STREQ(EXTENSIONS[i].alias, alias))
            continue;
        json_open_object(&c->out);
        json_key(&c->out, "extension");
        extension(&c->out, i);
        json_close_object(&c->out);
        return 0;
    }
    return call_fault(c, 404, "ExtensionNotFound", "Extension with alias %s does not exist", alias);
}

/* ---- rules ---- */

#define PLAIN_RULES(one) \
    { "get_" #one, "role:reader or role:member or role:admin", "See it." }, \
    { "create_" #one, "role:member or role:admin", "Make one." }, \
    { "update_" #one, "role:member or role:admin", "Change it." }, \
    { "delete_" #one, "role:member or role:admin", "Delete it." }

static const struct policy_rule RULES[] = {
    PLAIN_RULES(network), PLAIN_RULES(subnet), PLAIN_RULES(port), PLAIN_RULES(router), PLAIN_RULES(floatingip),
    PLAIN_RULES(security_group), PLAIN_RULES(security_group_rule),
};

/* ---- routes ---- */

#define RESOURCE_ROUTES(path, one, res) \
    { "GET", "/v2.0/" path, resource_list, "get_" one, .resource = &res, .doc = "List." }, \
    { "POST", "/v2.0/" path, neutron_create, "create_" one, .status = 201, .resource = &res, .doc = "Make." }, \
    { "GET", "/v2.0/" path "/{id}", resource_show, "get_" one, .resource = &res, .doc = "Show." }, \
    { "PUT", "/v2.0/" path "/{id}", neutron_update, "update_" one, .resource = &res, .doc = "Change." }, \
    { "DELETE", "/v2.0/" path "/{id}", neutron_delete, "delete_" one, .status = 204, .resource = &res, \
      .doc = "Delete." }

static const struct route ROUTES[] = {
    { "GET", "/", versions_list, NULL, ROUTE_PUBLIC, .doc = "Versions." },
    { "GET", "/v2.0", resources_list, NULL, .doc = "Resources." },
    { "GET", "/v2.0/extensions", extensions_list, NULL, .doc = "What there is beyond the core." },
    { "GET", "/v2.0/extensions/{alias}", extension_show, NULL, .doc = "One of them." },
    RESOURCE_ROUTES("networks", "network", NETWORK_RESOURCE),
    RESOURCE_ROUTES("subnets", "subnet", SUBNET_RESOURCE),
    RESOURCE_ROUTES("ports", "port", PORT_RESOURCE),
    RESOURCE_ROUTES("routers", "router", ROUTER_RESOURCE),
    { "PUT", "/v2.0/routers/{id}/add_router_interface", router_add_interface, "update_router",
      .resource = &ROUTER_RESOURCE, .doc = "Put a leg into a subnet." },
    { "PUT", "/v2.0/routers/{id}/remove_router_interface", router_remove_interface, "update_router",
      .resource = &ROUTER_RESOURCE, .doc = "Take it out." },
    RESOURCE_ROUTES("floatingips", "floatingip", FLOATING_RESOURCE),
    { "GET", "/v2.0/security-groups", groups_list, "get_security_group", ROUTE_WORKER, .resource = &SECURITY_GROUP_RESOURCE,
      .doc = "List." },
    { "POST", "/v2.0/security-groups", neutron_create, "create_security_group", .status = 201,
      .resource = &SECURITY_GROUP_RESOURCE, .doc = "Make." },
    { "GET", "/v2.0/security-groups/{id}", resource_show, "get_security_group", .resource = &SECURITY_GROUP_RESOURCE,
      .doc = "Show." },
    { "PUT", "/v2.0/security-groups/{id}", neutron_update, "update_security_group", .resource = &SECURITY_GROUP_RESOURCE,
      .doc = "Change." },
    { "DELETE", "/v2.0/security-groups/{id}", neutron_delete, "delete_security_group", .status = 204,
      .resource = &SECURITY_GROUP_RESOURCE, .doc = "Delete." },
    { "GET", "/v2.0/security-group-rules", resource_list, "get_security_group_rule", .resource = &SECURITY_RULE_RESOURCE,
      .doc = "List." },
    { "POST", "/v2.0/security-group-rules", neutron_create, "create_security_group_rule", .status = 201,
      .resource = &SECURITY_RULE_RESOURCE, .doc = "Make." },
    { "GET", "/v2.0/security-group-rules/{id}", resource_show, "get_security_group_rule", .resource = &SECURITY_RULE_RESOURCE,
      .doc = "Show." },
    { "DELETE", "/v2.0/security-group-rules/{id}", neutron_delete, "delete_security_group_rule", .status = 204,
      .resource = &SECURITY_RULE_RESOURCE, .doc = "Delete." },
};

/* ---- words ---- */

static void render_fault(struct call *c, const struct fault *f, struct json_out *o)
{
    (void)c;
    json_open_object(o);
    json_put_object(o, "NeutronError");
    json_put_string(o, "type", f->type);
    json_put_string(o, "message", f->message);
    json_put_string(o, "detail", "");
    json_close_object(o);
    json_close_object(o);
}

static int denied(struct call *c, const char *rule)
{
    return call_fault(c, 403, "PolicyNotAuthorized", "rule:%s is disallowed by policy", rule);
}

static void links(struct call *c, const struct resource *r, const struct results *l, const struct query *q,
                  struct json_out *o)
{
    const char *id = l->n ? ((struct object *)l->v[l->n - 1])->id : NULL;
    const char *first = l->n ? ((struct object *)l->v[0])->id : NULL;
    if (!q->limit)
        return;
    json_put_array(o, arena_printf(c->arena, "%s_links", r->many));
    if (id && (l->more || q->reverse)) {
        json_open_object(o);
        json_put_string(o, "rel", "next");
        json_put_string(o, "href", call_link(c, "marker", id, "page_reverse"));
        json_close_object(o);
    }
    if (first && q->marker) {
        const char *back = call_link(c, "marker", first, "page_reverse");
        json_open_object(o);
        json_put_string(o, "rel", "previous");
        json_put_string(o, "href", arena_printf(c->arena, "%s&page_reverse=True", str_or(back, "")));
        json_close_object(o);
    }
    json_close_array(o);
}

static const struct list_style STYLE = {
    .limit_arg = "limit", .marker_arg = "marker", .sort_key_arg = "sort_key", .sort_dir_arg = "sort_dir",
    .reverse_arg = "page_reverse", .fields_arg = "fields", .limit_zero_is_all = true, .links = links,
};

static const struct kind *const KINDS[] = {
    &NETWORK_KIND, &SUBNET_KIND, &PORT_KIND, &ROUTER_KIND, &FLOATING_IP_KIND, &PORT_FORWARDING_KIND,
    &SECURITY_GROUP_KIND, &SECURITY_RULE_KIND, &NET_HOST_KIND, NULL,
};
static const struct controller_class *const CONTROLLERS[] = { &NETWORK_PLACEMENT, NULL };
static const struct agent_section *const SECTIONS[] = { &NETWORK_SECTION, NULL };

const struct service NETWORK_SERVICE = {
    .name = "network", .type = "network", .prefix = "/network", .catalog_path = "",
    .routes = ROUTES, .n_routes = ARRAY_SIZE(ROUTES), .kinds = KINDS, .rules = RULES, .n_rules = ARRAY_SIZE(RULES),
    .controllers = CONTROLLERS, .sections = SECTIONS, .time_style = TIME_ISO_Z, .list_style = &STYLE,
    .render_fault = render_fault, .denied_fault = denied,
};
