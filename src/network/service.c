/*
 * The network service: Neutron v2.0 (https://docs.openstack.org/api-ref/network/v2/). Its routes,
 * rules, limits, and the words of its errors.
 */
#include "network/neutron.h"

#include <errno.h>

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
        { "network", "networks" },
        { "subnet", "subnets" },
        { "port", "ports" },
        { "router", "routers" },
        { "floatingip", "floatingips" },
        { "security_group", "security-groups" },
        { "security_group_rule", "security-group-rules" },
        { "subnetpool", "subnetpools" },
        { "address_scope", "address-scopes" },
        { "address_group", "address-groups" },
        { "rbac_policy", "rbac-policies" },
        { "quota", "quotas" },
        { "agent", "agents" },
        { "availability_zone", "availability_zones" },
        { "network_ip_availability", "network-ip-availabilities" },
        { "metering_label", "metering-labels" },
        { "metering_label_rule", "metering-label-rules" },
        { "service_provider", "service-providers" },
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
static const struct {
    const char *alias, *name, *text;
} EXTENSIONS[] = {
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
    { "router_availability_zone", "Router Availability Zone", "Zones of routers." },
    { "availability_zone", "Availability Zone", "Zones of hosts." },
    { "network_availability_zone", "Network Availability Zone", "Zones of networks." },
    { "agent", "agent", "What runs on hosts." },
    { "dhcp_agent_scheduler", "DHCP Agent Scheduler", "Which host serves a network's DHCP." },
    { "l3_agent_scheduler", "L3 Agent Scheduler", "Which host a router runs on." },
    { "extraroute-atomic", "Atomically add/remove extra routes", "One route at a time." },
    { "quotas", "Quota management support", "Limits of projects." },
    { "quota_details", "Quota details management support", "How much of them is used." },
    { "rbac-policies", "RBAC Policies", "Networks and QoS policies shared with some projects." },
    { "rbac-security-groups", "Add security_group type to network RBAC", "Likewise security groups." },
    { "rbac-address-scope", "Add address_scope type to RBAC", "Likewise address scopes." },
    { "rbac-subnetpool", "Add subnetpool type to RBAC", "Likewise subnet pools." },
    { "rbac-address-group", "Add address_group type to RBAC", "Likewise address groups." },
    { "security-groups-shared-filtering", "Security group filtering on the shared field", "A filter." },
    { "security-groups-normalized-cidr", "Normalized CIDR field for security group rules",
      "Prefixes as they count." },
    { "security-groups-remote-address-group", "Remote address group id field for security group rules",
      "Rules that refer to address groups." },
    { "address-group", "Address group", "Named lists of addresses." },
    { "address-scope", "Address scope", "Where addresses don't overlap." },
    { "subnet_allocation", "Subnet Allocation", "Subnets cut from pools." },
    { "default-subnetpools", "Default Subnetpools", "A pool for those who want any." },
    { "subnetpool-prefix-ops", "Subnet Pool Prefix Operations", "One prefix at a time." },
    { "qos", "Quality of Service", "Limits and marks of ports' traffic." },
    { "qos-default", "QoS default policy", "A project's default." },
    { "qos-bw-limit-direction", "Direction for QoS bandwidth limit rule", "Both directions." },
    { "qos-fip", "Floating IP QoS", "Limits of floating addresses." },
    { "ip-substring-filtering", "IP address substring filtering", "Ports by a part of an address." },
    { "qos-rule-type-details", "Details of QoS rule types", "What a type takes." },
    { "qos-rules-alias", "Ability to modify QoS rules without the policy id", "Rules by their id alone." },
    { "floating-ip-port-forwarding", "Floating IP Port Forwarding", "Ports of a floating address." },
    { "expose-port-forwarding-in-fip", "Expose Port Forwarding in Floating IP", "Told with the address." },
    { "floating-ip-port-forwarding-description", "Floating IP Port Forwarding Description", "For people." },
    { "floating-ip-port-forwarding-port-ranges", "Floating IP Port Forwarding support port ranges",
      "Many at once." },
    { "network-ip-availability", "Network IP Availability", "How full networks are." },
    { "metering", "Neutron Metering", "Labels and rules of what is to be counted." },
    { "metering_source_and_destination_fields", "Metering source and destination", "More exact rules." },
    { "service-type", "Neutron Service Type Management", "Who provides which service." },
    { "auto-allocated-topology", "Auto Allocated Topology Services",
      "A network and a router for those who want any." },
    { "standard-attr-tag", "Tag support for resources with standard attribute", "Words on anything." },
    { "tag", "Tag support", "Words on networks." },
    { "tag-ext", "Tag support for resources: subnet, subnetpool, port, router", "Words on those." },
    { "dvr", "Distributed Virtual Router", "The attribute, told back as asked." },
    { "l3-ha", "HA Router extension", "Routers move when their host is lost." },
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

#define PLAIN_RULES(one)                                                                                     \
    { "get_" #one, "role:reader or role:member or role:admin", "See it." },                                  \
        { "create_" #one, "role:member or role:admin", "Make one." },                                        \
        { "update_" #one, "role:member or role:admin", "Change it." },                                       \
    {                                                                                                        \
        "delete_" #one, "role:member or role:admin", "Delete it."                                            \
    }

#define ADMIN_RULES(one)                                                                                     \
    { "get_" #one, "role:reader or role:member or role:admin", "See it." },                                  \
        { "create_" #one, "role:admin", "Make one." }, { "update_" #one, "role:admin", "Change it." },       \
    {                                                                                                        \
        "delete_" #one, "role:admin", "Delete it."                                                           \
    }

static const struct policy_rule RULES[] = {
    PLAIN_RULES(network),
    PLAIN_RULES(subnet),
    PLAIN_RULES(port),
    PLAIN_RULES(router),
    PLAIN_RULES(floatingip),
    PLAIN_RULES(security_group),
    PLAIN_RULES(security_group_rule),
    PLAIN_RULES(rbac_policy),
    PLAIN_RULES(subnetpool),
    PLAIN_RULES(address_scope),
    PLAIN_RULES(address_group),
    PLAIN_RULES(tags),
    PLAIN_RULES(port_forwarding),
    ADMIN_RULES(policy),
    ADMIN_RULES(policy_rule),
    ADMIN_RULES(quota),
    { "get_agent", "role:reader or role:member or role:admin", "See them; only administrators see any." },
    { "update_agent", "role:admin", "Change, remove, and place on them." },
    { "get_metering", "role:admin", "See labels." },
    { "update_metering", "role:admin", "Make and remove labels." },
    { "get_availability", "role:admin", "See how full networks are." },
    { "get_any", "role:reader or role:member or role:admin", "See what concerns everybody." },
    { "update_any", "role:member or role:admin", "Make and remove a topology." },
};

/* ---- routes ---- */

#define RESOURCE_ROUTES(path, one, res)                                                                      \
    { "GET", "/v2.0/" path, resource_list, "get_" one, .resource = &res, .doc = "List." },                   \
        { "POST",        "/v2.0/" path,    neutron_create, "create_" one,                                    \
          .status = 201, .resource = &res, .doc = "Make." },                                                 \
        { "GET", "/v2.0/" path "/{id}", resource_show, "get_" one, .resource = &res, .doc = "Show." },       \
        { "PUT", "/v2.0/" path "/{id}", neutron_update, "update_" one, .resource = &res, .doc = "Change." }, \
    {                                                                                                        \
        "DELETE", "/v2.0/" path "/{id}", neutron_delete, "delete_" one, .status = 204, .resource = &res,     \
                                                                        .doc = "Delete."                     \
    }

#define TAG_ROUTES(path, res)                                                                                \
    { "GET", "/v2.0/" path "/{id}/tags", tags_list, "get_tags", .resource = &res, .doc = "Its tags." },      \
        { "PUT",         "/v2.0/" path "/{id}/tags", tags_replace,                                           \
          "update_tags", .resource = &res,           .doc = "Replace all tags." },                           \
        { "DELETE",         "/v2.0/" path "/{id}/tags", tags_drop, "delete_tags", .status = 204,             \
          .resource = &res, .doc = "Remove all tags." },                                                     \
        { "GET",                                                                                             \
          "/v2.0/" path "/{id}/tags/{tag}",                                                                  \
          tag_show,                                                                                          \
          "get_tags",                                                                                        \
          .status = 204,                                                                                     \
          .resource = &res,                                                                                  \
          .doc = "Whether it has the tag." },                                                                \
        { "PUT",                                                                                             \
          "/v2.0/" path "/{id}/tags/{tag}",                                                                  \
          tag_add,                                                                                           \
          "update_tags",                                                                                     \
          ROUTE_BODY_OPTIONAL,                                                                               \
          .status = 201,                                                                                     \
          .resource = &res,                                                                                  \
          .doc = "Add a tag." },                                                                             \
    {                                                                                                        \
        "DELETE", "/v2.0/" path "/{id}/tags/{tag}", tag_drop, "delete_tags",                                 \
            .status = 204, .resource = &res, .doc = "Remove a tag."                                          \
    }

#define QOS_RULE_ROUTES(path, res)                                                                            \
    RESOURCE_ROUTES("qos/policies/{policy_id}/" path, "policy_rule", res),                                    \
        { "GET",         "/v2.0/qos/alias-" path "/{id}", resource_show, "get_policy_rule", .resource = &res, \
          .doc = "Show." },                                                                                   \
        { "PUT",                                                                                              \
          "/v2.0/qos/alias-" path "/{id}",                                                                    \
          neutron_update,                                                                                     \
          "update_policy_rule",                                                                               \
          .resource = &res,                                                                                   \
          .doc = "Change." },                                                                                 \
    {                                                                                                         \
        "DELETE", "/v2.0/qos/alias-" path "/{id}", neutron_delete, "delete_policy_rule",                      \
            .status = 204, .resource = &res, .doc = "Delete."                                                 \
    }

#define LABEL_ROUTES(path, res)                                                                              \
    { "GET", "/v2.0/" path, resource_list, "get_metering", .resource = &res, .doc = "List." },               \
        { "POST",        "/v2.0/" path,    neutron_create, "update_metering",                                \
          .status = 201, .resource = &res, .doc = "Make." },                                                 \
        { "GET", "/v2.0/" path "/{id}", resource_show, "get_metering", .resource = &res, .doc = "Show." },   \
    {                                                                                                        \
        "DELETE", "/v2.0/" path "/{id}", neutron_delete, "update_metering", .status = 204, .resource = &res, \
                                                                            .doc = "Delete."                 \
    }

#define VERB(method, path, verb, rule, text, ...)                                                            \
    {                                                                                                        \
        method, "/v2.0/" path, verb, rule, .doc = text, __VA_ARGS__                                          \
    }

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
    VERB("PUT", "routers/{id}/add_extraroutes", router_add_extraroutes, "update_router", "Add routes.",
         .resource = &ROUTER_RESOURCE),
    VERB("PUT", "routers/{id}/remove_extraroutes", router_remove_extraroutes, "update_router",
         "Remove routes.", .resource = &ROUTER_RESOURCE),
    VERB("GET", "routers/{id}/l3-agents", router_agents, "update_agent", "Where it runs.",
         .resource = &ROUTER_RESOURCE),
    VERB("GET", "networks/{id}/dhcp-agents", network_agents, "update_agent", "Where its DHCP runs.",
         .resource = &NETWORK_RESOURCE),
    RESOURCE_ROUTES("floatingips", "floatingip", FLOATING_RESOURCE),
    RESOURCE_ROUTES("floatingips/{floatingip_id}/port_forwardings", "port_forwarding", FORWARDING_RESOURCE),
    TAG_ROUTES("networks", NETWORK_RESOURCE),
    TAG_ROUTES("subnets", SUBNET_RESOURCE),
    TAG_ROUTES("ports", PORT_RESOURCE),
    TAG_ROUTES("routers", ROUTER_RESOURCE),
    TAG_ROUTES("floatingips", FLOATING_RESOURCE),
    TAG_ROUTES("security-groups", SECURITY_GROUP_RESOURCE),
    TAG_ROUTES("security_groups", SECURITY_GROUP_RESOURCE),
    TAG_ROUTES("security-group-rules", SECURITY_RULE_RESOURCE),
    TAG_ROUTES("subnetpools", SUBNET_POOL_RESOURCE),
    TAG_ROUTES("address-scopes", ADDRESS_SCOPE_RESOURCE),
    TAG_ROUTES("address-groups", ADDRESS_GROUP_RESOURCE),
    TAG_ROUTES("policies", QOS_POLICY_RESOURCE),
    RESOURCE_ROUTES("rbac-policies", "rbac_policy", RBAC_RESOURCE),
    RESOURCE_ROUTES("address-scopes", "address_scope", ADDRESS_SCOPE_RESOURCE),
    RESOURCE_ROUTES("subnetpools", "subnetpool", SUBNET_POOL_RESOURCE),
    VERB("PUT", "subnetpools/{id}/add_prefixes", subnet_pool_add_prefixes, "update_subnetpool",
         "Add prefixes.", .resource = &SUBNET_POOL_RESOURCE),
    VERB("PUT", "subnetpools/{id}/remove_prefixes", subnet_pool_remove_prefixes, "update_subnetpool",
         "Remove prefixes.", .resource = &SUBNET_POOL_RESOURCE),
    RESOURCE_ROUTES("address-groups", "address_group", ADDRESS_GROUP_RESOURCE),
    VERB("PUT", "address-groups/{id}/add_addresses", address_group_add, "update_address_group",
         "Add addresses.", .resource = &ADDRESS_GROUP_RESOURCE),
    VERB("PUT", "address-groups/{id}/remove_addresses", address_group_remove, "update_address_group",
         "Remove addresses.", .resource = &ADDRESS_GROUP_RESOURCE),
    RESOURCE_ROUTES("qos/policies", "policy", QOS_POLICY_RESOURCE),
    QOS_RULE_ROUTES("bandwidth_limit_rules", QOS_BANDWIDTH_RESOURCE),
    QOS_RULE_ROUTES("dscp_marking_rules", QOS_DSCP_RESOURCE),
    QOS_RULE_ROUTES("minimum_bandwidth_rules", QOS_MIN_BANDWIDTH_RESOURCE),
    VERB("GET", "qos/rule-types", qos_types_list, "get_any", "Types of rules."),
    VERB("GET", "qos/rule-types/{type}", qos_type_show, "get_any", "One of them."),
    VERB("GET", "agents", agents_list, "get_agent", "List."),
    VERB("GET", "agents/{id}", agent_show, "get_agent", "Show."),
    VERB("PUT", "agents/{id}", agent_update, "update_agent", "Switch off, describe."),
    VERB("DELETE", "agents/{id}", agent_delete, "update_agent", "Forget a lost host.", .status = 204),
    VERB("GET", "agents/{id}/dhcp-networks", agent_networks, "update_agent", "Networks it serves.",
         .resource = &NETWORK_RESOURCE),
    VERB("POST", "agents/{id}/dhcp-networks", agent_network_add, "update_agent", "Give it one.",
         .status = 201),
    VERB("DELETE", "agents/{id}/dhcp-networks/{network_id}", agent_network_drop, "update_agent", "Take one.",
         .status = 204),
    VERB("GET", "agents/{id}/l3-routers", agent_routers, "update_agent", "Routers it runs.",
         .resource = &ROUTER_RESOURCE),
    VERB("POST", "agents/{id}/l3-routers", agent_router_add, "update_agent", "Give it one.", .status = 201),
    VERB("DELETE", "agents/{id}/l3-routers/{router_id}", agent_router_drop, "update_agent", "Take one.",
         .status = 204),
    VERB("GET", "availability_zones", zones_list, "get_any", "Zones."),
    VERB("GET", "quotas", quotas_list, "update_quota", "Projects with limits of their own."),
    VERB("GET", "quotas/tenant", quotas_tenant, "get_quota", "Which project one is."),
    VERB("GET", "quotas/project", quotas_tenant, "get_quota", "Likewise."),
    VERB("GET", "quotas/{project_id}", quotas_show, "get_quota", "Limits."),
    VERB("PUT", "quotas/{project_id}", quotas_update, "update_quota", "Set limits."),
    VERB("DELETE", "quotas/{project_id}", quotas_reset, "delete_quota", "Back to the defaults.",
         .status = 204),
    VERB("GET", "quotas/{project_id}/default", quotas_default, "get_quota", "The defaults."),
    VERB("GET", "quotas/{project_id}/details", quotas_details, "get_quota", "Limits and use."),
    VERB("GET", "quotas/{project_id}/details.json", quotas_details, "get_quota", "Likewise."),
    VERB("GET", "network-ip-availabilities", availability_list, "get_availability", "How full networks are."),
    VERB("GET", "network-ip-availabilities/{id}", availability_show, "get_availability", "How full one is."),
    VERB("GET", "service-providers", providers_list, "get_any", "Who provides services."),
    VERB("GET", "auto-allocated-topology/{project_id}", topology_show, "update_any",
         "A way out, made when there is none.", .flags = ROUTE_WORKER),
    VERB("DELETE", "auto-allocated-topology/{project_id}", topology_delete, "update_any", "Removes it.",
         .status = 204),
    LABEL_ROUTES("metering/metering-labels", METERING_LABEL_RESOURCE),
    LABEL_ROUTES("metering/metering-label-rules", METERING_RULE_RESOURCE),
    { "GET", "/v2.0/security-groups", groups_list, "get_security_group", ROUTE_WORKER,
      .resource = &SECURITY_GROUP_RESOURCE, .doc = "List." },
    { "POST", "/v2.0/security-groups", neutron_create, "create_security_group", .status = 201,
      .resource = &SECURITY_GROUP_RESOURCE, .doc = "Make." },
    { "GET", "/v2.0/security-groups/{id}", resource_show, "get_security_group",
      .resource = &SECURITY_GROUP_RESOURCE, .doc = "Show." },
    { "PUT", "/v2.0/security-groups/{id}", neutron_update, "update_security_group",
      .resource = &SECURITY_GROUP_RESOURCE, .doc = "Change." },
    { "DELETE", "/v2.0/security-groups/{id}", neutron_delete, "delete_security_group", .status = 204,
      .resource = &SECURITY_GROUP_RESOURCE, .doc = "Delete." },
    { "GET", "/v2.0/security-group-rules", resource_list, "get_security_group_rule",
      .resource = &SECURITY_RULE_RESOURCE, .doc = "List." },
    { "POST", "/v2.0/security-group-rules", neutron_create, "create_security_group_rule", .status = 201,
      .resource = &SECURITY_RULE_RESOURCE, .doc = "Make." },
    { "GET", "/v2.0/security-group-rules/{id}", resource_show, "get_security_group_rule",
      .resource = &SECURITY_RULE_RESOURCE, .doc = "Show." },
    { "DELETE", "/v2.0/security-group-rules/{id}", neutron_delete, "delete_security_group_rule",
      .status = 204, .resource = &SECURITY_RULE_RESOURCE, .doc = "Delete." },
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
    .limit_arg = "limit",
    .marker_arg = "marker",
    .sort_key_arg = "sort_key",
    .sort_dir_arg = "sort_dir",
    .reverse_arg = "page_reverse",
    .fields_arg = "fields",
    .limit_zero_is_all = true,
    .links = links,
};

static const struct kind *const KINDS[] = {
    &NETWORK_KIND,
    &SUBNET_KIND,
    &PORT_KIND,
    &ROUTER_KIND,
    &FLOATING_IP_KIND,
    &PORT_FORWARDING_KIND,
    &SECURITY_GROUP_KIND,
    &SECURITY_RULE_KIND,
    &NET_HOST_KIND,
    &RBAC_KIND,
    &ADDRESS_SCOPE_KIND,
    &SUBNET_POOL_KIND,
    &ADDRESS_GROUP_KIND,
    &QOS_POLICY_KIND,
    &QOS_BANDWIDTH_KIND,
    &QOS_DSCP_KIND,
    &QOS_MIN_BANDWIDTH_KIND,
    &METERING_LABEL_KIND,
    &METERING_RULE_KIND,
    NULL,
};
static const struct controller_class *const CONTROLLERS[] = { &NETWORK_PLACEMENT, NULL };
static const struct agent_section *const SECTIONS[] = { &NETWORK_SECTION, NULL };

const struct service NETWORK_SERVICE = {
    .name = "network",
    .type = "network",
    .prefix = "/network",
    .catalog_path = "",
    .routes = ROUTES,
    .n_routes = ARRAY_SIZE(ROUTES),
    .kinds = KINDS,
    .rules = RULES,
    .n_rules = ARRAY_SIZE(RULES),
    .controllers = CONTROLLERS,
    .sections = SECTIONS,
    .time_style = TIME_ISO_Z,
    .list_style = &STYLE,
    .render_fault = render_fault,
    .denied_fault = denied,
};
