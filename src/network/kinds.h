/*
 * What the network slice stores: one struct and one kind for each resource.
 *
 * 'tenant_id' is an older name of project_id: a second row of the same member. Every resource has
 * a revision_number that counts its changes, times and tags (struct standard).
 */
#ifndef YUNDUO_NETWORK_KINDS_H
#define YUNDUO_NETWORK_KINDS_H

#include "store/store.h"

/* What Neutron calls standard attributes. */
struct standard {
    const char *project_id;
    const char *description;
    struct strv tags;
    int64_t revision_number;
    usec_t created_at, updated_at;
};

struct network {
    struct object head;
    struct standard std;
    const char *name;
    bool admin_state_up, shared, external, port_security_enabled, is_default, vlan_transparent;
    int64_t mtu;
    const char *type, *physical_network;
    int64_t segmentation_id; /* INT_NULL: none */
    struct strv zone_hints;
    const char *qos_policy_id, *dns_domain;
    const char *host;     /* where its DHCP runs; null: nowhere yet */
    const char *segments; /* of requests: "segments" of multi-segment networks, refused */
};

struct pool_range {
    const char *start, *end;
};

struct subnet_route {
    const char *destination, *nexthop;
};

struct subnet {
    struct object head;
    struct standard std;
    const char *name, *network_id, *cidr, *gateway_ip;
    int64_t ip_version, prefixlen;
    bool enable_dhcp, no_gateway;
    struct strv dns_nameservers, service_types;
    VEC_OF(struct pool_range) allocation_pools;
    VEC_OF(struct subnet_route) host_routes;
    const char *ipv6_ra_mode, *ipv6_address_mode, *subnetpool_id, *segment_id;
    bool dns_publish_fixed_ip, use_default_subnetpool;
};

struct port_ip {
    const char *subnet_id, *ip_address;
};

struct port_pair {
    const char *ip_address, *mac_address;
};

struct port_dhcp_option {
    const char *opt_name, *opt_value;
    int64_t ip_version;
};

struct port {
    struct object head;
    struct standard std;
    const char *name, *network_id, *mac_address, *device_id, *device_owner, *status;
    bool admin_state_up, port_security_enabled;
    VEC_OF(struct port_ip) fixed_ips;
    VEC_OF(struct port_pair) allowed_address_pairs;
    VEC_OF(struct port_dhcp_option) extra_dhcp_opts;
    struct strv security_groups;
    const char *host; /* binding:host_id */
    const char *vnic_type, *binding_profile, *dns_name, *dns_domain, *qos_policy_id;
    bool own;         /* made for its server, goes with it */
    const char *tag;  /* device role tag of its server */
    int64_t attached; /* order among its server's ports */
};

struct router_ip {
    const char *subnet_id, *ip_address;
};

struct router_gateway {
    const char *network_id;
    int8_t enable_snat; /* TRI */
    VEC_OF(struct router_ip) external_fixed_ips;
};

struct router {
    struct object head;
    struct standard std;
    const char *name, *status;
    bool admin_state_up;
    int8_t distributed, ha;         /* TRI */
    struct router_gateway *gateway; /* of requests; what there is stands in its gateway port */
    int8_t enable_snat;             /* TRI; null: yes */
    VEC_OF(struct subnet_route) routes;
    struct strv zone_hints;
    const char *flavor_id;
    const char *host; /* where it runs */
};

struct floating_ip {
    struct object head;
    struct standard std;
    const char *network_id; /* floating_network_id */
    const char *address, *fixed_ip_address, *port_id, *router_id, *status, *subnet_id, *own_port_id;
    const char *qos_policy_id, *dns_name, *dns_domain;
};

struct port_forwarding {
    struct object head;
    const char *floating_ip_id, *project_id, *protocol, *internal_ip_address, *internal_port_id, *description;
    int64_t external_port, internal_port;
    const char *external_port_range, *internal_port_range;
};

struct security_group {
    struct object head;
    struct standard std;
    const char *name;
    bool stateful, shared;
};

struct security_rule {
    struct object head;
    struct standard std;
    const char *security_group_id, *direction, *ethertype, *protocol;
    const char *remote_ip_prefix, *remote_group_id, *remote_address_group_id;
    int64_t port_range_min, port_range_max;
};

/* A host as the network slice knows it: what its agent told. Id: the host's name. */
struct net_host {
    struct object head;
    const char *agent_id; /* the uuid that clients see */
    const char *tunnel_address;
    usec_t created_at, seen_at; /* seen_at is written once a minute, or when it came back */
    bool admin_state_up;
    const char *description;
};

extern const struct kind NETWORK_KIND, SUBNET_KIND, PORT_KIND, ROUTER_KIND, FLOATING_IP_KIND,
    PORT_FORWARDING_KIND, SECURITY_GROUP_KIND, SECURITY_RULE_KIND, NET_HOST_KIND;

#endif
