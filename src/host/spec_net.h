/*
 * What the control process tells a host about its networks, and what the host tells back.
 *
 * One net_spec is everything that this host's network driver needs, complete each time: what
 * is not in it must not exist on the host. The schemas below are the only description of
 * the messages; `yund` encodes with them, `yun-agent` decodes with them.
 *
 * Who fills what: the network slice resolves everything that needs the store. A host knows
 * no quota, no tenant, no policy, only addresses, rules and devices. Groups of members
 * arrive as address sets, floating IPs as pairs of addresses, QoS as numbers.
 *
 * All structs and strings live in the arena of whoever decoded or built them. Addresses are
 * text without a prefix length unless the member is called cidr or says so.
 */
#ifndef YUNDUO_HOST_SPEC_NET_H
#define YUNDUO_HOST_SPEC_NET_H

#include "base/field.h"

struct net_route {
    const char *destination;        /* cidr */
    const char *nexthop;
};

struct net_pool {
    const char *start;
    const char *end;
};

struct subnet_spec {
    const char *id;
    int64_t ip_version;             /* 4 or 6 */
    const char *cidr;
    const char *gateway_ip;         /* null: none */
    bool enable_dhcp;
    const char *ipv6_ra_mode;       /* "slaac", "dhcpv6-stateful", "dhcpv6-stateless" or null */
    const char *ipv6_address_mode;  /* likewise */
    struct strv dns_nameservers;
    VEC_OF(struct net_route) host_routes;
    VEC_OF(struct net_pool) allocation_pools;   /* told for completeness; leases are all fixed */
    const char *dhcp_address;       /* the DHCP port's address here; null: none on this host */
};

/* A network with something on this host: a port, a router's leg, its DHCP server. */
struct network_spec {
    const char *id;
    const char *type;               /* "flat", "vlan", "vxlan", "local" */
    int64_t segmentation_id;        /* VLAN tag or VNI; 0: none */
    const char *physical_network;   /* flat, vlan: a name that the host's configuration maps */
    int64_t mtu;                    /* 0: 1500 */
    const char *dns_domain;         /* null: none */
    bool external;                  /* routers have their gateways here */
    /* The DHCP server of this network is to run on this host, with this MAC. Null: not here.
     * It then serves every port of the network, also those of remote_ports. */
    const char *dhcp_mac;
    const char *dhcp_port_id;
    VEC_OF(struct subnet_spec) subnets;
};

struct fixed_ip {
    const char *subnet_id;
    const char *ip_address;
};

struct address_pair {
    const char *ip_address;         /* an address or a cidr */
    const char *mac_address;        /* null: the port's */
};

struct dhcp_option {
    const char *name;               /* dnsmasq's name ("bootfile-name") or the number as text */
    const char *value;
    int64_t ip_version;             /* 4 or 6; 0 means 4 */
};

/* A port whose device is on this host. */
struct port_spec {
    const char *id;
    const char *network_id;
    const char *device_owner;       /* "compute:nova", "network:dhcp", ... */
    const char *device_id;
    const char *mac_address;
    const char *device;             /* see 'wiring'; null: net_tap_name() of the id */
    /* "tap": the driver makes a persistent tap of that name, the hypervisor opens it.
     * "existing": somebody else makes the device; the driver waits for it and plugs it in.
     * Null means "tap". */
    const char *wiring;
    VEC_OF(struct fixed_ip) fixed_ips;
    VEC_OF(struct address_pair) allowed_address_pairs;
    bool port_security_enabled;     /* false: no anti-spoofing, no security groups */
    struct strv security_groups;    /* ids into net_spec.security_groups */
    VEC_OF(struct dhcp_option) extra_dhcp_opts;
    const char *dns_name;           /* host name for DHCP and DNS; null: none */
    const char *qos_policy_id;      /* into net_spec.qos_policies; null: none */
    bool admin_state_up;            /* false: the device exists and carries nothing */
};

/* A port of one of these networks that lives elsewhere: where to send its frames, and what
 * the DHCP server here must know of it. */
struct remote_port_spec {
    const char *id;
    const char *network_id;
    const char *host_address;       /* tunnel endpoint; null: not placed (DHCP only) */
    const char *mac_address;
    VEC_OF(struct fixed_ip) fixed_ips;
    VEC_OF(struct dhcp_option) extra_dhcp_opts;
    const char *dns_name;
};

struct security_rule_spec {
    const char *id;
    const char *direction;          /* "ingress", "egress" */
    const char *ethertype;          /* "IPv4", "IPv6" */
    int64_t protocol;               /* IP protocol number; INT_NULL: any. ICMPv6 is 58 */
    int64_t port_range_min;         /* INT_NULL: any. For ICMP the type, for others the first port */
    int64_t port_range_max;         /* for ICMP the code, for others the last port */
    const char *remote_ip_prefix;   /* cidr; null: any */
    /* Into net_spec.address_sets: the members of a remote group or an address group. Null:
     * any. At most one of this and the prefix. */
    const char *remote_set_id;
};

struct security_group_spec {
    const char *id;
    bool stateful;                  /* false: replies need rules of their own */
    VEC_OF(struct security_rule_spec) rules;
};

/* Addresses that rules refer to: all members of a security group (fixed IPs and allowed
 * pairs, in the whole cloud), or an address group. */
struct address_set_spec {
    const char *id;
    struct strv addresses;          /* addresses and cidrs, both families mixed */
};

/* Limits in kbit/s and kbit, as Neutron has them; 0: none. From the guest's view: egress is
 * what it sends. */
struct qos_policy_spec {
    const char *id;
    int64_t egress_kbps, egress_burst_kbits;
    int64_t ingress_kbps, ingress_burst_kbits;
    int64_t dscp_mark;              /* INT_NULL: none */
};

struct router_interface_spec {
    const char *port_id;
    const char *network_id;
    const char *mac_address;
    struct strv cidrs;              /* its addresses with prefix lengths: "10.0.0.1/24" */
};

struct router_gateway_spec {
    const char *port_id;
    const char *network_id;         /* the external network */
    const char *mac_address;
    struct strv cidrs;
    struct strv nexthops;           /* the external subnets' gateways, one per family */
    bool enable_snat;
};

struct floating_ip_spec {
    const char *id;
    const char *floating_address;
    const char *fixed_address;
    int64_t egress_kbps, ingress_kbps;          /* 0: no limit */
};

struct port_forwarding_spec {
    const char *id;
    const char *protocol;           /* "tcp", "udp" */
    const char *external_address;
    int64_t external_port, external_port_last;  /* last 0: one port */
    const char *internal_address;
    int64_t internal_port;          /* first one; ranges map one to one */
};

/* A router that is to run on this host. */
struct router_spec {
    const char *id;
    bool admin_state_up;
    VEC_OF(struct router_interface_spec) interfaces;
    struct router_gateway_spec *gateway;        /* null: none */
    VEC_OF(struct net_route) routes;
    VEC_OF(struct floating_ip_spec) floating_ips;
    VEC_OF(struct port_forwarding_spec) port_forwardings;
};

struct net_spec {
    VEC_OF(struct network_spec) networks;
    VEC_OF(struct port_spec) ports;
    VEC_OF(struct remote_port_spec) remote_ports;
    VEC_OF(struct security_group_spec) security_groups;
    VEC_OF(struct address_set_spec) address_sets;
    VEC_OF(struct qos_policy_spec) qos_policies;
    VEC_OF(struct router_spec) routers;
};

/* What the driver found after a pass. 'reason' is a sentence for people, null when all is
 * well. */
struct port_observed {
    const char *id;
    bool wired;                     /* frames pass, rules are in place */
    const char *device;
    const char *reason;
};

struct network_observed {
    const char *id;
    bool up;                        /* the bridge and its way out exist */
    bool dhcp_up;                   /* false also when none is wanted here */
    const char *reason;
};

struct router_observed {
    const char *id;
    bool up;
    const char *reason;
};

struct net_observed {
    VEC_OF(struct port_observed) ports;
    VEC_OF(struct network_observed) networks;
    VEC_OF(struct router_observed) routers;
    struct strv missing;            /* what the host lacks, in plain sentences */
    const char *tunnel_address;     /* where tunnels to this host end; null: it has none */
    int64_t changes;                /* changes made to the host in this pass; 0: all was so already */
};

extern const struct schema NET_SPEC_SCHEMA;
extern const struct schema NETWORK_SPEC_SCHEMA;
extern const struct schema SUBNET_SPEC_SCHEMA;
extern const struct schema PORT_SPEC_SCHEMA;
extern const struct schema REMOTE_PORT_SPEC_SCHEMA;
extern const struct schema SECURITY_GROUP_SPEC_SCHEMA;
extern const struct schema SECURITY_RULE_SPEC_SCHEMA;
extern const struct schema ADDRESS_SET_SPEC_SCHEMA;
extern const struct schema QOS_POLICY_SPEC_SCHEMA;
extern const struct schema ROUTER_SPEC_SCHEMA;
extern const struct schema NET_OBSERVED_SCHEMA;

#define NET_NAME_SIZE 16

/* Names of devices, made from ids alone so that everybody comes to the same one: a prefix
 * and the first hex digits of the id (other characters are skipped; ids that are no UUIDs
 * are hashed). 'out' has NET_NAME_SIZE bytes. Return 'out'. */
char *net_tap_name(const char *port_id, char *out);         /* yt............ */
char *net_bridge_name(const char *network_id, char *out);   /* yb-........... */

/* The general form: 'prefix' of at most 3 characters. */
char *net_device_name(const char *prefix, const char *id, char *out);

/* The device of a port: what the spec says, else its tap name. */
const char *port_device(const struct port_spec *p, char *out);

#endif
