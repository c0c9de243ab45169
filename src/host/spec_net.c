/*
 * The rows of the network messages, and the names of devices.
 *
 * Nothing here has limits or checks: both ends are ours, and the API has checked what a
 * tenant gave. Whatever reaches a rule file or a configuration file is parsed again where
 * it is written (net/address.h), so a broken sender can't smuggle text into either.
 */
#include "host/spec_net.h"

#define S(type, member) { #member, FIELD_STRING, offsetof(struct type, member), OMIT_NULL }
#define I(type, member) { #member, FIELD_INT, offsetof(struct type, member), 0 }
#define N(type, member) { #member, FIELD_INT, offsetof(struct type, member), NULLABLE }
#define B(type, member) { #member, FIELD_BOOL, offsetof(struct type, member), 0 }
#define L(type, member) \
    { #member, FIELD_STRINGS, offsetof(struct type, member), OMIT_NULL, .items_max = MANY }
#define O(type, member, schema) \
    { #member, FIELD_OBJECT, offsetof(struct type, member), OMIT_NULL, .sub = &(schema) }
#define V(type, member, schema) \
    { #member, FIELD_OBJECTS, offsetof(struct type, member), OMIT_NULL, .sub = &(schema), .items_max = MANY }

enum { MANY = 1 << 20 };

static const struct field ROUTE[] = { S(net_route, destination), S(net_route, nexthop) };
static SCHEMA(NET_ROUTE_SCHEMA, struct net_route, ROUTE);

static const struct field POOL[] = { S(net_pool, start), S(net_pool, end) };
static SCHEMA(NET_POOL_SCHEMA, struct net_pool, POOL);

static const struct field SUBNET[] = {
    S(subnet_spec, id), I(subnet_spec, ip_version), S(subnet_spec, cidr), S(subnet_spec, gateway_ip),
    B(subnet_spec, enable_dhcp), S(subnet_spec, ipv6_ra_mode), S(subnet_spec, ipv6_address_mode),
    L(subnet_spec, dns_nameservers), V(subnet_spec, host_routes, NET_ROUTE_SCHEMA),
    V(subnet_spec, allocation_pools, NET_POOL_SCHEMA), S(subnet_spec, dhcp_address),
};
SCHEMA(SUBNET_SPEC_SCHEMA, struct subnet_spec, SUBNET);

static const struct field NETWORK[] = {
    S(network_spec, id), S(network_spec, type), I(network_spec, segmentation_id),
    S(network_spec, physical_network), I(network_spec, mtu), S(network_spec, dns_domain),
    B(network_spec, external), S(network_spec, dhcp_mac), S(network_spec, dhcp_port_id),
    V(network_spec, subnets, SUBNET_SPEC_SCHEMA),
};
SCHEMA(NETWORK_SPEC_SCHEMA, struct network_spec, NETWORK);

static const struct field FIXED_IP[] = { S(fixed_ip, subnet_id), S(fixed_ip, ip_address) };
static SCHEMA(FIXED_IP_SPEC_SCHEMA, struct fixed_ip, FIXED_IP);

static const struct field PAIR[] = { S(address_pair, ip_address), S(address_pair, mac_address) };
static SCHEMA(ADDRESS_PAIR_SPEC_SCHEMA, struct address_pair, PAIR);

static const struct field DHCP_OPTION[] = {
    S(dhcp_option, name), S(dhcp_option, value), I(dhcp_option, ip_version),
};
static SCHEMA(DHCP_OPTION_SPEC_SCHEMA, struct dhcp_option, DHCP_OPTION);

static const struct field PORT[] = {
    S(port_spec, id), S(port_spec, network_id), S(port_spec, device_owner), S(port_spec, device_id),
    S(port_spec, mac_address), S(port_spec, device), S(port_spec, wiring),
    V(port_spec, fixed_ips, FIXED_IP_SPEC_SCHEMA),
    V(port_spec, allowed_address_pairs, ADDRESS_PAIR_SPEC_SCHEMA),
    B(port_spec, port_security_enabled), L(port_spec, security_groups),
    V(port_spec, extra_dhcp_opts, DHCP_OPTION_SPEC_SCHEMA), S(port_spec, dns_name),
    S(port_spec, qos_policy_id), B(port_spec, admin_state_up),
};
SCHEMA(PORT_SPEC_SCHEMA, struct port_spec, PORT);

static const struct field REMOTE_PORT[] = {
    S(remote_port_spec, id), S(remote_port_spec, network_id), S(remote_port_spec, host_address),
    S(remote_port_spec, mac_address), V(remote_port_spec, fixed_ips, FIXED_IP_SPEC_SCHEMA),
    V(remote_port_spec, extra_dhcp_opts, DHCP_OPTION_SPEC_SCHEMA), S(remote_port_spec, dns_name),
};
SCHEMA(REMOTE_PORT_SPEC_SCHEMA, struct remote_port_spec, REMOTE_PORT);

static const struct field RULE[] = {
    S(security_rule_spec, id), S(security_rule_spec, direction), S(security_rule_spec, ethertype),
    N(security_rule_spec, protocol), N(security_rule_spec, port_range_min),
    N(security_rule_spec, port_range_max), S(security_rule_spec, remote_ip_prefix),
    S(security_rule_spec, remote_set_id),
};
SCHEMA(SECURITY_RULE_SPEC_SCHEMA, struct security_rule_spec, RULE);

static const struct field GROUP[] = {
    S(security_group_spec, id), B(security_group_spec, stateful),
    V(security_group_spec, rules, SECURITY_RULE_SPEC_SCHEMA),
};
SCHEMA(SECURITY_GROUP_SPEC_SCHEMA, struct security_group_spec, GROUP);

static const struct field ADDRESS_SET[] = { S(address_set_spec, id), L(address_set_spec, addresses) };
SCHEMA(ADDRESS_SET_SPEC_SCHEMA, struct address_set_spec, ADDRESS_SET);

static const struct field QOS[] = {
    S(qos_policy_spec, id), I(qos_policy_spec, egress_kbps), I(qos_policy_spec, egress_burst_kbits),
    I(qos_policy_spec, ingress_kbps), I(qos_policy_spec, ingress_burst_kbits),
    N(qos_policy_spec, dscp_mark),
};
SCHEMA(QOS_POLICY_SPEC_SCHEMA, struct qos_policy_spec, QOS);

static const struct field INTERFACE[] = {
    S(router_interface_spec, port_id), S(router_interface_spec, network_id),
    S(router_interface_spec, mac_address), L(router_interface_spec, cidrs),
};
static SCHEMA(ROUTER_INTERFACE_SPEC_SCHEMA, struct router_interface_spec, INTERFACE);

static const struct field GATEWAY[] = {
    S(router_gateway_spec, port_id), S(router_gateway_spec, network_id),
    S(router_gateway_spec, mac_address), L(router_gateway_spec, cidrs),
    L(router_gateway_spec, nexthops), B(router_gateway_spec, enable_snat),
};
static SCHEMA(ROUTER_GATEWAY_SPEC_SCHEMA, struct router_gateway_spec, GATEWAY);

static const struct field FLOATING_IP[] = {
    S(floating_ip_spec, id), S(floating_ip_spec, floating_address), S(floating_ip_spec, fixed_address),
    I(floating_ip_spec, egress_kbps), I(floating_ip_spec, ingress_kbps),
};
static SCHEMA(FLOATING_IP_SPEC_SCHEMA, struct floating_ip_spec, FLOATING_IP);

static const struct field FORWARDING[] = {
    S(port_forwarding_spec, id), S(port_forwarding_spec, protocol),
    S(port_forwarding_spec, external_address), I(port_forwarding_spec, external_port),
    I(port_forwarding_spec, external_port_last), S(port_forwarding_spec, internal_address),
    I(port_forwarding_spec, internal_port),
};
static SCHEMA(PORT_FORWARDING_SPEC_SCHEMA, struct port_forwarding_spec, FORWARDING);

static const struct field ROUTER[] = {
    S(router_spec, id), B(router_spec, admin_state_up),
    V(router_spec, interfaces, ROUTER_INTERFACE_SPEC_SCHEMA),
    O(router_spec, gateway, ROUTER_GATEWAY_SPEC_SCHEMA), V(router_spec, routes, NET_ROUTE_SCHEMA),
    V(router_spec, floating_ips, FLOATING_IP_SPEC_SCHEMA),
    V(router_spec, port_forwardings, PORT_FORWARDING_SPEC_SCHEMA),
};
SCHEMA(ROUTER_SPEC_SCHEMA, struct router_spec, ROUTER);

static const struct field NET[] = {
    V(net_spec, networks, NETWORK_SPEC_SCHEMA), V(net_spec, ports, PORT_SPEC_SCHEMA),
    V(net_spec, remote_ports, REMOTE_PORT_SPEC_SCHEMA),
    V(net_spec, security_groups, SECURITY_GROUP_SPEC_SCHEMA),
    V(net_spec, address_sets, ADDRESS_SET_SPEC_SCHEMA),
    V(net_spec, qos_policies, QOS_POLICY_SPEC_SCHEMA), V(net_spec, routers, ROUTER_SPEC_SCHEMA),
};
SCHEMA(NET_SPEC_SCHEMA, struct net_spec, NET);

static const struct field PORT_OBSERVED[] = {
    S(port_observed, id), B(port_observed, wired), S(port_observed, device), S(port_observed, reason),
};
static SCHEMA(PORT_OBSERVED_SCHEMA, struct port_observed, PORT_OBSERVED);

static const struct field NETWORK_OBSERVED[] = {
    S(network_observed, id), B(network_observed, up), B(network_observed, dhcp_up),
    S(network_observed, reason),
};
static SCHEMA(NETWORK_OBSERVED_SCHEMA, struct network_observed, NETWORK_OBSERVED);

static const struct field ROUTER_OBSERVED[] = {
    S(router_observed, id), B(router_observed, up), S(router_observed, reason),
};
static SCHEMA(ROUTER_OBSERVED_SCHEMA, struct router_observed, ROUTER_OBSERVED);

static const struct field OBSERVED[] = {
    V(net_observed, ports, PORT_OBSERVED_SCHEMA), V(net_observed, networks, NETWORK_OBSERVED_SCHEMA),
    V(net_observed, routers, ROUTER_OBSERVED_SCHEMA), L(net_observed, missing),
    S(net_observed, tunnel_address), I(net_observed, changes),
};
SCHEMA(NET_OBSERVED_SCHEMA, struct net_observed, OBSERVED);

static bool hex_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Prefix and hex digits up to 14 characters. Ids of the store are UUIDs; anything else is
 * spread by FNV-1a, so that two such ids do not meet. */
char *net_device_name(const char *prefix, const char *id, char *out)
{
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    if (uuid_valid(id)) {
        for (; *id && n < NET_NAME_SIZE - 2; id++)
            if (hex_digit(*id | 0x20))
                out[n++] = *id >= 'A' && *id <= 'F' ? *id | 0x20 : *id;
    } else {
        uint64_t hash = 0xcbf29ce484222325u;
        for (; *id; id++)
            hash = (hash ^ (unsigned char)*id) * 0x100000001b3u;
        for (; n < NET_NAME_SIZE - 2; hash >>= 4)
            out[n++] = "0123456789abcdef"[hash & 15];
    }
    out[n] = 0;
    return out;
}

char *net_tap_name(const char *port_id, char *out)
{
    return net_device_name("yt", port_id, out);
}

char *net_bridge_name(const char *network_id, char *out)
{
    return net_device_name("yb-", network_id, out);
}

const char *port_device(const struct port_spec *p, char *out)
{
    return str_empty(p->device) ? net_tap_name(p->id, out) : p->device;
}
