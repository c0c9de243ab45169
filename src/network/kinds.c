/* The rows of the network slice: see the header. */
#include "network/kinds.h"
#include "network/address.h"
#include "network/rows.h"

#include <stdio.h>

static const char *const IP_VERSION_MODES[] = { "slaac", "dhcpv6-stateful", "dhcpv6-stateless", NULL };

/* ---- networks ---- */

static const char *const NETWORK_TYPES[] = { "local", "flat", "vlan", "vxlan", NULL };

static const struct field NETWORK_FIELDS[] = {
    STANDARD_ROWS(network),
    NAME_ROW(network),
    { "admin_state_up", FIELD_BOOL, AT(network, admin_state_up), BOTH | FILTER | SORT | LOOSE,
      .otherwise = "true", .doc = "False: it carries nothing." },
    { "shared", FIELD_BOOL, AT(network, shared), ADMIN_SETS | BOTH | FILTER | SORT | LOOSE | HIDDEN,
      .otherwise = "false", .doc = "Every project may use it." },
    { "router:external", FIELD_BOOL, AT(network, external), BOTH | FILTER | SORT | LOOSE | ADMIN_SETS,
      .otherwise = "false", .doc = "Routers have their gateways here." },
    { "port_security_enabled", FIELD_BOOL, AT(network, port_security_enabled), BOTH | FILTER | LOOSE,
      .otherwise = "true", .doc = "What its ports get when they don't say." },
    { "is_default", FIELD_BOOL, AT(network, is_default), BOTH | FILTER | LOOSE | ADMIN_SETS,
      .otherwise = "false", .doc = "The external network of auto-allocated topologies." },
    { "vlan_transparent", FIELD_BOOL, AT(network, vlan_transparent), IN_CREATE | HIDDEN | LOOSE,
      .otherwise = "false", .doc = "Not offered." },
    { "mtu", FIELD_INT, AT(network, mtu), BOTH | FILTER | SORT | LOOSE, .min = 0, .max = 65535,
      .otherwise = "0", .doc = "Largest packet; 0 in a request: as the wire below allows." },
    { "provider:network_type", FIELD_STRING, AT(network, type),
      IN_CREATE | FILTER | INDEX | ADMIN_SEES | ADMIN_SETS, .values = NETWORK_TYPES,
      .doc = "How it is carried between hosts." },
    { "provider:physical_network", FIELD_STRING, AT(network, physical_network),
      IN_CREATE | FILTER | NULLABLE | ADMIN_SEES | ADMIN_SETS, .max = 64,
      .doc = "Of flat and vlan networks." },
    { "provider:segmentation_id", FIELD_INT, AT(network, segmentation_id),
      IN_CREATE | FILTER | NULLABLE | LOOSE | ADMIN_SEES | ADMIN_SETS, .min = 0, .max = 16777215,
      .otherwise = "null", .doc = "VLAN tag or VXLAN number." },
    { "availability_zone_hints", FIELD_STRINGS, AT(network, zone_hints), IN_CREATE, .max = 255,
      .doc = "Zones wished for its services." },
    { "qos_policy_id", FIELD_STRING, AT(network, qos_policy_id), BOTH | NULLABLE | FILTER | INDEX,
      .check = check_uuid, .doc = "Limits of its ports." },
    { "dns_domain", FIELD_STRING, AT(network, dns_domain), BOTH, .max = 255, .otherwise = "",
      .doc = "Of its ports' names." },
    { "segments", FIELD_JSON, AT(network, segments), IN_CREATE | NOT_STORED | HIDDEN,
      .doc = "Several segments: refused." },
    { "host", FIELD_STRING, AT(network, host), HIDDEN | FILTER | INDEX,
      .doc = "Where its DHCP server runs." },
};
static SCHEMA(NETWORK_SCHEMA, struct network, NETWORK_FIELDS);

static void network_keys(const void *object, struct key_sink *k)
{
    const struct network *n = object;
    char text[160];
    if (n->segmentation_id != INT_NULL || (n->type && STREQ(n->type, "flat"))) {
        (void)snprintf(text, sizeof(text), "%s/%s/%lld", str_or(n->type, ""), str_or(n->physical_network, ""),
                       n->segmentation_id == INT_NULL ? 0LL : (long long)n->segmentation_id);
        key_add_unique(k, "segment", text);
    }
}

static const char *const NETWORK_INDEXES[] = { "project_id,name", "shared,id", "router:external,id", NULL };
const struct kind NETWORK_KIND = { "network.network", &NETWORK_SCHEMA, .keys = network_keys,
                                   .indexes = NETWORK_INDEXES };

/* ---- subnets ---- */

static const struct field POOL_FIELDS[] = {
    { "start", FIELD_STRING, AT(pool_range, start), BOTH | REQUIRED, .check = check_ip },
    { "end", FIELD_STRING, AT(pool_range, end), BOTH | REQUIRED, .check = check_ip },
};
static SCHEMA(POOL_SCHEMA, struct pool_range, POOL_FIELDS);

static const struct field ROUTE_FIELDS[] = {
    { "destination", FIELD_STRING, AT(subnet_route, destination), BOTH | REQUIRED, .check = check_cidr },
    { "nexthop", FIELD_STRING, AT(subnet_route, nexthop), BOTH | REQUIRED, .check = check_ip },
};
static SCHEMA(ROUTE_SCHEMA, struct subnet_route, ROUTE_FIELDS);

static const struct field SUBNET_FIELDS[] = {
    STANDARD_ROWS(subnet),
    NAME_ROW(subnet),
    { "network_id", FIELD_STRING, AT(subnet, network_id), IN_CREATE | REQUIRED | FILTER | SORT | INDEX,
      .check = check_uuid, .doc = "The network." },
    { "ip_version", FIELD_INT, AT(subnet, ip_version), IN_CREATE | FILTER | SORT | LOOSE, .min = 0, .max = 6,
      .otherwise = "0", .doc = "4 or 6." },
    { "cidr", FIELD_STRING, AT(subnet, cidr), IN_CREATE | FILTER | SORT | NULLABLE, .check = check_cidr,
      .doc = "Its addresses." },
    { "prefixlen", FIELD_INT, AT(subnet, prefixlen), IN_CREATE | NOT_STORED | HIDDEN | LOOSE, .min = 0,
      .max = 128, .otherwise = "0", .doc = "Length asked of a subnet pool." },
    { "gateway_ip", FIELD_STRING, AT(subnet, gateway_ip), BOTH | FILTER | NULLABLE, .check = check_ip,
      .doc = "Null: none; not given: the first address." },
    { "no_gateway", FIELD_BOOL, AT(subnet, no_gateway), HIDDEN, .doc = "Null was given." },
    { "enable_dhcp", FIELD_BOOL, AT(subnet, enable_dhcp), BOTH | FILTER | SORT | LOOSE, .otherwise = "true",
      .doc = "Guests get their addresses told." },
    { "dns_nameservers", FIELD_STRINGS, AT(subnet, dns_nameservers), BOTH | NULLABLE, .check = check_ip,
      .items_max = 5, .doc = "Told by DHCP." },
    { "allocation_pools", FIELD_OBJECTS, AT(subnet, allocation_pools), BOTH, .sub = &POOL_SCHEMA,
      .doc = "Addresses that are given out." },
    { "host_routes", FIELD_OBJECTS, AT(subnet, host_routes), BOTH | NULLABLE, .sub = &ROUTE_SCHEMA,
      .items_max = 20, .doc = "Told by DHCP." },
    { "ipv6_ra_mode", FIELD_STRING, AT(subnet, ipv6_ra_mode), IN_CREATE | NULLABLE | FILTER,
      .values = IP_VERSION_MODES, .doc = "Who tells guests the way, and how." },
    { "ipv6_address_mode", FIELD_STRING, AT(subnet, ipv6_address_mode), IN_CREATE | NULLABLE | FILTER,
      .values = IP_VERSION_MODES, .doc = "How guests come to their addresses." },
    { "subnetpool_id", FIELD_STRING, AT(subnet, subnetpool_id), IN_CREATE | NULLABLE | FILTER | INDEX,
      .doc = "The pool that its addresses are from." },
    { "use_default_subnetpool", FIELD_BOOL, AT(subnet, use_default_subnetpool),
      IN_CREATE | NOT_STORED | HIDDEN | LOOSE, .otherwise = "false" },
    { "service_types", FIELD_STRINGS, AT(subnet, service_types), BOTH, .max = 255,
      .doc = "Device owners that it is for; empty: all." },
    { "segment_id", FIELD_STRING, AT(subnet, segment_id), BOTH | NULLABLE | FILTER, .doc = "The segment." },
    { "dns_publish_fixed_ip", FIELD_BOOL, AT(subnet, dns_publish_fixed_ip), BOTH | LOOSE | HIDDEN,
      .otherwise = "false" },
};
static SCHEMA(SUBNET_SCHEMA, struct subnet, SUBNET_FIELDS);

static const char *const SUBNET_INDEXES[] = { "network_id,created_at", NULL };
const struct kind SUBNET_KIND = { "network.subnet", &SUBNET_SCHEMA, .indexes = SUBNET_INDEXES };

/* ---- ports ---- */

static const struct field PORT_IP_FIELDS[] = {
    { "subnet_id", FIELD_STRING, AT(port_ip, subnet_id), BOTH, .check = check_uuid },
    { "ip_address", FIELD_STRING, AT(port_ip, ip_address), BOTH, .check = check_ip },
};
static SCHEMA(PORT_IP_SCHEMA, struct port_ip, PORT_IP_FIELDS);

static const struct field PAIR_FIELDS[] = {
    { "ip_address", FIELD_STRING, AT(port_pair, ip_address), BOTH | REQUIRED, .check = check_ip_or_cidr },
    { "mac_address", FIELD_STRING, AT(port_pair, mac_address), BOTH, .check = check_mac },
};
static SCHEMA(PAIR_SCHEMA, struct port_pair, PAIR_FIELDS);

static const struct field DHCP_OPTION_FIELDS[] = {
    { "opt_name", FIELD_STRING, AT(port_dhcp_option, opt_name), BOTH | REQUIRED | NONEMPTY, .max = 64 },
    { "opt_value", FIELD_STRING, AT(port_dhcp_option, opt_value), BOTH | NULLABLE, .max = 255 },
    { "ip_version", FIELD_INT, AT(port_dhcp_option, ip_version), BOTH | LOOSE, .min = 4, .max = 6,
      .otherwise = "4" },
};
static SCHEMA(DHCP_OPTION_SCHEMA, struct port_dhcp_option, DHCP_OPTION_FIELDS);

static const char *const VNIC_TYPES[] = {
    "normal",           "direct",    "macvtap", "direct-physical", "baremetal",
    "virtio-forwarder", "smart-nic", "vdpa",    "remote-managed",  NULL
};

static const struct field PORT_FIELDS[] = {
    STANDARD_ROWS(port),
    NAME_ROW(port),
    { "network_id", FIELD_STRING, AT(port, network_id), IN_CREATE | REQUIRED | FILTER | SORT,
      .check = check_uuid, .doc = "The network." },
    { "mac_address", FIELD_STRING, AT(port, mac_address), BOTH | FILTER | SORT | NULLABLE, .check = check_mac,
      .doc = "Unique in its network." },
    { "fixed_ips", FIELD_OBJECTS, AT(port, fixed_ips), BOTH, .sub = &PORT_IP_SCHEMA, .items_max = 32,
      .doc = "Its addresses." },
    { "device_id", FIELD_STRING, AT(port, device_id), BOTH | FILTER | SORT, .max = 255, .otherwise = "",
      .doc = "The server or router it belongs to." },
    { "device_owner", FIELD_STRING, AT(port, device_owner), BOTH | FILTER | SORT | INDEX, .max = 255,
      .otherwise = "", .doc = "What kind of device that is." },
    { "status", FIELD_STRING, AT(port, status), FILTER | SORT, .doc = "ACTIVE, DOWN, BUILD, ERROR." },
    { "admin_state_up", FIELD_BOOL, AT(port, admin_state_up), BOTH | FILTER | SORT | LOOSE,
      .otherwise = "true", .doc = "False: it carries nothing." },
    { "port_security_enabled", FIELD_BOOL, AT(port, port_security_enabled), BOTH | FILTER | LOOSE,
      .doc = "False: no anti-spoofing, no security groups." },
    { "security_groups", FIELD_STRINGS, AT(port, security_groups), BOTH | INDEX, .check = check_uuid,
      .doc = "Its security groups." },
    { "allowed_address_pairs", FIELD_OBJECTS, AT(port, allowed_address_pairs), BOTH | NULLABLE,
      .sub = &PAIR_SCHEMA, .items_max = 10, .doc = "More addresses it may use." },
    { "extra_dhcp_opts", FIELD_OBJECTS, AT(port, extra_dhcp_opts), BOTH | NULLABLE,
      .sub = &DHCP_OPTION_SCHEMA, .items_max = 64, .doc = "Further DHCP options." },
    { "binding:host_id", FIELD_STRING, AT(port, host),
      BOTH | NULLABLE | FILTER | INDEX | ADMIN_SEES | ADMIN_SETS, .max = 63,
      .doc = "The host that carries it." },
    { "binding:vnic_type", FIELD_STRING, AT(port, vnic_type), BOTH | FILTER, .values = VNIC_TYPES,
      .otherwise = "normal", .doc = "How the guest gets at it." },
    { "binding:profile", FIELD_JSON, AT(port, binding_profile), BOTH | NULLABLE | ADMIN_SEES | ADMIN_SETS,
      .doc = "For the host." },
    { "dns_name", FIELD_STRING, AT(port, dns_name), BOTH, .max = 63, .otherwise = "",
      .doc = "Its name in DNS." },
    { "dns_domain", FIELD_STRING, AT(port, dns_domain), BOTH | HIDDEN, .max = 255, .otherwise = "" },
    { "qos_policy_id", FIELD_STRING, AT(port, qos_policy_id), BOTH | NULLABLE | FILTER | INDEX,
      .check = check_uuid, .doc = "Its limits." },
    { "own", FIELD_BOOL, AT(port, own), HIDDEN, .doc = "Made for its server, goes with it." },
    { "tag", FIELD_STRING, AT(port, tag), HIDDEN, .doc = "Device role tag." },
    { "attached", FIELD_INT, AT(port, attached), HIDDEN | SORT, .doc = "Order among its server's ports." },
};
static SCHEMA(PORT_SCHEMA, struct port, PORT_FIELDS);

static void port_keys(const void *object, struct key_sink *k)
{
    const struct port *p = object;
    char text[256];
    (void)snprintf(text, sizeof(text), "%s/%s", str_or(p->network_id, ""), str_or(p->mac_address, ""));
    key_add_unique(k, "mac", text);
    VEC_FOREACH (ip, &p->fixed_ips) {
        (void)snprintf(text, sizeof(text), "%s/%s", str_or(ip->subnet_id, ""), str_or(ip->ip_address, ""));
        key_add_unique(k, "address", text);
        key_add(k, "subnet", ip->subnet_id);
        key_add(k, "ip", ip->ip_address);
    }
}

/* Those that begin with a row make an index of that row alone needless. */
static const char *const PORT_INDEXES[] = { "device_id,attached", "network_id,id", "network_id,project_id",
                                            "project_id,id", NULL };
const struct kind PORT_KIND = { "network.port", &PORT_SCHEMA, .keys = port_keys,
                                .host_field = "binding:host_id", .indexes = PORT_INDEXES };

/* ---- routers ---- */

static const struct field ROUTER_IP_FIELDS[] = {
    { "subnet_id", FIELD_STRING, AT(router_ip, subnet_id), BOTH, .check = check_uuid },
    { "ip_address", FIELD_STRING, AT(router_ip, ip_address), BOTH, .check = check_ip },
};
static SCHEMA(ROUTER_IP_SCHEMA, struct router_ip, ROUTER_IP_FIELDS);

static const struct field GATEWAY_FIELDS[] = {
    { "network_id", FIELD_STRING, AT(router_gateway, network_id), BOTH, .check = check_uuid },
    { "enable_snat", FIELD_TRI, AT(router_gateway, enable_snat), BOTH | LOOSE },
    { "external_fixed_ips", FIELD_OBJECTS, AT(router_gateway, external_fixed_ips), BOTH,
      .sub = &ROUTER_IP_SCHEMA },
};
static SCHEMA(GATEWAY_SCHEMA, struct router_gateway, GATEWAY_FIELDS);

static const struct field ROUTER_FIELDS[] = {
    STANDARD_ROWS(router),
    NAME_ROW(router),
    { "status", FIELD_STRING, AT(router, status), FILTER | SORT, .doc = "ACTIVE or DOWN." },
    { "admin_state_up", FIELD_BOOL, AT(router, admin_state_up), BOTH | FILTER | SORT | LOOSE,
      .otherwise = "true", .doc = "False: it carries nothing." },
    { "distributed", FIELD_TRI, AT(router, distributed), BOTH | NULLABLE | LOOSE | ADMIN_SEES | ADMIN_SETS,
      .doc = "Told back as asked." },
    { "ha", FIELD_TRI, AT(router, ha), BOTH | NULLABLE | LOOSE | ADMIN_SEES | ADMIN_SETS,
      .doc = "Every router moves when its host is lost." },
    { "external_gateway_info", FIELD_OBJECT, AT(router, gateway), BOTH | NULLABLE | NOT_STORED | HIDDEN,
      .sub = &GATEWAY_SCHEMA, .doc = "Its way out: rendered from its gateway port." },
    { "enable_snat", FIELD_TRI, AT(router, enable_snat), HIDDEN,
      .doc = "Guests without a floating address get out." },
    { "routes", FIELD_OBJECTS, AT(router, routes), BOTH | NULLABLE, .sub = &ROUTE_SCHEMA, .items_max = 30,
      .doc = "Further routes." },
    { "availability_zone_hints", FIELD_STRINGS, AT(router, zone_hints), IN_CREATE, .max = 255 },
    { "flavor_id", FIELD_STRING, AT(router, flavor_id), IN_CREATE | NULLABLE },
    { "host", FIELD_STRING, AT(router, host), HIDDEN | FILTER | INDEX, .doc = "Where it runs." },
};
static SCHEMA(ROUTER_SCHEMA, struct router, ROUTER_FIELDS);

const struct kind ROUTER_KIND = { "network.router", &ROUTER_SCHEMA };

/* ---- floating addresses ---- */

static const struct field FLOATING_IP_FIELDS[] = {
    STANDARD_ROWS(floating_ip),
    { "floating_network_id", FIELD_STRING, AT(floating_ip, network_id), IN_CREATE | REQUIRED | FILTER | INDEX,
      .check = check_uuid, .doc = "The external network." },
    { "floating_ip_address", FIELD_STRING, AT(floating_ip, address), IN_CREATE | FILTER | SORT | INDEX,
      .check = check_ip, .doc = "The address." },
    { "subnet_id", FIELD_STRING, AT(floating_ip, subnet_id), IN_CREATE | NULLABLE | NOT_STORED | HIDDEN,
      .doc = "Where to take it from." },
    { "fixed_ip_address", FIELD_STRING, AT(floating_ip, fixed_ip_address), BOTH | NULLABLE | FILTER | SORT,
      .check = check_ip, .doc = "Where it leads." },
    { "port_id", FIELD_STRING, AT(floating_ip, port_id), BOTH | NULLABLE | FILTER | SORT | INDEX,
      .doc = "The port it leads to." },
    { "router_id", FIELD_STRING, AT(floating_ip, router_id), FILTER | SORT | INDEX,
      .doc = "The router on the way." },
    { "status", FIELD_STRING, AT(floating_ip, status), FILTER | SORT, .doc = "ACTIVE or DOWN." },
    { "qos_policy_id", FIELD_STRING, AT(floating_ip, qos_policy_id), BOTH | NULLABLE | FILTER | INDEX,
      .check = check_uuid },
    { "dns_name", FIELD_STRING, AT(floating_ip, dns_name), IN_CREATE, .max = 255, .otherwise = "" },
    { "dns_domain", FIELD_STRING, AT(floating_ip, dns_domain), IN_CREATE, .max = 255, .otherwise = "" },
    { "own_port_id", FIELD_STRING, AT(floating_ip, own_port_id), HIDDEN,
      .doc = "The port that holds the address." },
};
static SCHEMA(FLOATING_IP_SCHEMA, struct floating_ip, FLOATING_IP_FIELDS);

static void floating_keys(const void *object, struct key_sink *k)
{
    const struct floating_ip *f = object;
    char text[128];
    if (f->port_id && f->fixed_ip_address) {
        (void)snprintf(text, sizeof(text), "%s/%s", f->port_id, f->fixed_ip_address);
        key_add_unique(k, "target", text);
    }
}

const struct kind FLOATING_IP_KIND = { "network.floating_ip", &FLOATING_IP_SCHEMA, .keys = floating_keys };

static const char *const FORWARD_PROTOCOLS[] = { "tcp", "udp", "TCP", "UDP", NULL };

static const struct field FORWARDING_FIELDS[] = {
    FIELD_ID(struct port_forwarding),
    { "floating_ip_id", FIELD_STRING, AT(port_forwarding, floating_ip_id), HIDDEN | FILTER | INDEX },
    { "project_id", FIELD_STRING, AT(port_forwarding, project_id), HIDDEN | FILTER },
    { "protocol", FIELD_STRING, AT(port_forwarding, protocol), BOTH | REQUIRED | FILTER,
      .values = FORWARD_PROTOCOLS },
    { "external_port", FIELD_INT, AT(port_forwarding, external_port), BOTH | FILTER | LOOSE | OMIT_NULL,
      .min = 1, .max = 65535, .otherwise = "null" },
    { "internal_port", FIELD_INT, AT(port_forwarding, internal_port), BOTH | FILTER | LOOSE | OMIT_NULL,
      .min = 1, .max = 65535, .otherwise = "null" },
    { "external_port_range", FIELD_STRING, AT(port_forwarding, external_port_range), BOTH, .max = 11 },
    { "internal_port_range", FIELD_STRING, AT(port_forwarding, internal_port_range), BOTH, .max = 11 },
    { "internal_ip_address", FIELD_STRING, AT(port_forwarding, internal_ip_address), BOTH | FILTER,
      .check = check_ip },
    { "internal_port_id", FIELD_STRING, AT(port_forwarding, internal_port_id),
      BOTH | REQUIRED | FILTER | INDEX, .check = check_uuid },
    { "description", FIELD_STRING, AT(port_forwarding, description), BOTH, .max = 255, .otherwise = "" },
};
static SCHEMA(FORWARDING_SCHEMA, struct port_forwarding, FORWARDING_FIELDS);

const struct kind PORT_FORWARDING_KIND = { "network.port_forwarding", &FORWARDING_SCHEMA };

/* ---- security groups ---- */

static const struct field GROUP_FIELDS[] = {
    STANDARD_ROWS(security_group),
    NAME_ROW(security_group),
    { "stateful", FIELD_BOOL, AT(security_group, stateful), BOTH | FILTER | LOOSE, .otherwise = "true",
      .doc = "Replies are let through by themselves." },
    { "shared", FIELD_BOOL, AT(security_group, shared), FILTER | HIDDEN, .doc = "By an RBAC policy." },
};
static SCHEMA(GROUP_SCHEMA, struct security_group, GROUP_FIELDS);

static const char *const GROUP_INDEXES[] = { "project_id,name", NULL };
const struct kind SECURITY_GROUP_KIND = { "network.security_group", &GROUP_SCHEMA, .indexes = GROUP_INDEXES };

static const char *const DIRECTIONS[] = { "ingress", "egress", NULL };

static const struct field RULE_FIELDS[] = {
    STANDARD_ROWS(security_rule),
    { "security_group_id", FIELD_STRING, AT(security_rule, security_group_id),
      IN_CREATE | REQUIRED | FILTER | INDEX, .doc = "Its group." },
    { "direction", FIELD_STRING, AT(security_rule, direction), IN_CREATE | REQUIRED | FILTER | SORT,
      .values = DIRECTIONS, .doc = "From the guest's view." },
    { "ethertype", FIELD_STRING, AT(security_rule, ethertype), IN_CREATE | FILTER | SORT | NULLABLE, .max = 8,
      .doc = "IPv4 or IPv6." },
    { "protocol", FIELD_STRING, AT(security_rule, protocol), IN_CREATE | FILTER | SORT | NULLABLE | LOOSE,
      .max = 32, .doc = "Name or number; null: any." },
    { "port_range_min", FIELD_INT, AT(security_rule, port_range_min),
      IN_CREATE | FILTER | SORT | NULLABLE | LOOSE, .otherwise = "null", .doc = "First port, or ICMP type." },
    { "port_range_max", FIELD_INT, AT(security_rule, port_range_max),
      IN_CREATE | FILTER | SORT | NULLABLE | LOOSE, .otherwise = "null", .doc = "Last port, or ICMP code." },
    { "remote_ip_prefix", FIELD_STRING, AT(security_rule, remote_ip_prefix),
      IN_CREATE | FILTER | SORT | NULLABLE, .check = check_ip_or_cidr, .doc = "The other side's addresses." },
    { "remote_group_id", FIELD_STRING, AT(security_rule, remote_group_id),
      IN_CREATE | FILTER | SORT | NULLABLE | INDEX, .doc = "The other side is in this group." },
    { "remote_address_group_id", FIELD_STRING, AT(security_rule, remote_address_group_id),
      IN_CREATE | FILTER | NULLABLE | INDEX, .doc = "The other side is in this address group." },
};
static SCHEMA(RULE_SCHEMA, struct security_rule, RULE_FIELDS);

static void rule_keys(const void *object, struct key_sink *k)
{
    const struct security_rule *r = object;
    char text[512];
    (void)snprintf(text, sizeof(text), "%s|%s|%s|%s|%lld|%lld|%s|%s|%s", str_or(r->security_group_id, ""),
                   str_or(r->direction, ""), str_or(r->ethertype, ""), str_or(r->protocol, ""),
                   (long long)r->port_range_min, (long long)r->port_range_max,
                   str_or(r->remote_ip_prefix, ""), str_or(r->remote_group_id, ""),
                   str_or(r->remote_address_group_id, ""));
    key_add_unique(k, "rule", text);
}

const struct kind SECURITY_RULE_KIND = { "network.security_rule", &RULE_SCHEMA, .keys = rule_keys };

/* ---- hosts ---- */

static const struct field NET_HOST_FIELDS[] = {
    FIELD_ID(struct net_host),
    { "agent_id", FIELD_STRING, AT(net_host, agent_id), FILTER | INDEX },
    { "tunnel_address", FIELD_STRING, AT(net_host, tunnel_address), 0 },
    { "created_at", FIELD_TIME, AT(net_host, created_at), SORT },
    { "seen_at", FIELD_TIME, AT(net_host, seen_at), SORT },
    { "admin_state_up", FIELD_BOOL, AT(net_host, admin_state_up), IN_UPDATE | LOOSE, .otherwise = "true" },
    { "description", FIELD_STRING, AT(net_host, description), IN_UPDATE, .max = 255, .otherwise = "" },
};
static SCHEMA(NET_HOST_SCHEMA, struct net_host, NET_HOST_FIELDS);

const struct kind NET_HOST_KIND = { "network.host", &NET_HOST_SCHEMA };
