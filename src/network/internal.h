/* What the files of the network slice share. */
#ifndef YUNDUO_NETWORK_INTERNAL_H
#define YUNDUO_NETWORK_INTERNAL_H

#include "api/config.h"
#include "api/quota.h"
#include "api/resource.h"
#include "network/address.h"
#include "network/kinds_more.h"
#include "network/network.h"

#define OWNER_DHCP "network:dhcp"
#define OWNER_ROUTER_INTERFACE "network:router_interface"
#define OWNER_ROUTER_GATEWAY "network:router_gateway"
#define OWNER_FLOATING_IP "network:floatingip"

extern const struct quota_table NETWORK_QUOTAS;
extern const struct agent_section NETWORK_SECTION;
extern const struct controller_class NETWORK_PLACEMENT;

/* Fills id, times and the first revision of a new object that is not made by a generic verb. */
void standard_new(struct arena *a, struct object *head, struct standard *s, const char *project_id);
/* Counts a change. */
void standard_touch(struct standard *s);

/* Refuses when one more would be too many: 409 OverQuota. */
int quota_take(struct txn *t, const char *project_id, const char *name, int64_t more, struct fault *f);

/* ---- ipam.c: which addresses there are, taken from the ports themselves ---- */

/* All subnets of a network, in the order they were made. */
struct subnets {
    struct subnet **v;
    size_t n, cap;
};
int subnets_of(struct txn *t, const char *network_id, struct subnets *ret);
/* Whether a port has this address. */
int address_taken(struct txn *t, const char *subnet_id, const char *ip, bool *ret);
/* Fills in what p->fixed_ips leaves open: with none at all, one of each family that the network
 * has (and every SLAAC subnet's own); {subnet_id}: a free one there; {ip_address}: of the subnet
 * that holds it. Checks all. 'mac' must be set. 0; FAULT (IpAddressGenerationFailure, InvalidIpForSubnet,
 * IpAddressAlreadyAllocated, SubnetNotFound ...). 'keep' are addresses that the port has already. */
int addresses_fill(struct txn *t, struct port *p, bool none_given, const struct port *before,
                   struct fault *f);
bool subnet_is_slaac(const struct subnet *s);

/* ---- port_core.c ---- */

/* Completes a new port (mac, addresses, groups, status) and puts it. 'none_given': fixed_ips was not
 * in the request. 'groups_given': likewise. */
int port_make(struct txn *t, const char *mac_prefix, struct port *p, const struct network *n, bool none_given,
              bool groups_given, struct fault *f);
/* Deletes it and lets its floating addresses go. */
int port_drop(struct txn *t, const struct port *p);
int port_put(struct txn *t, struct port *p, struct fault *f);
/* The project's default group, made when it is not there yet. */
int default_group(struct txn *t, const char *project_id, const char **ret_id);
/* The DHCP port of a network follows its subnets: made, changed or dropped. */
int dhcp_port_follow(struct txn *t, const char *mac_prefix, const struct network *n, struct fault *f);
int find_dhcp_port(struct txn *t, const char *network_id, struct port **ret);
/* All ports of a device. */
struct ports {
    struct port **v;
    size_t n, cap;
};
int ports_where(struct txn *t, const char *field, enum query_op op, const char *value, struct ports *ret);

/* ---- shared between the API and what hosts are told ---- */

/* Whether a project may have ports on a network. */
bool network_usable(struct txn *t, const struct network *n, const char *project_id);
/* The gateway port of a router, or null. */
int gateway_port(struct txn *t, const char *router_id, struct port **ret);

/* The ports that a forwarding's number or range names. */
bool forwarding_span(const char *range, int64_t port, int64_t *first, int64_t *last);
/* Takes what a host's agent told under "network". */
int network_observed(struct api *api, struct arena *a, const char *host, const json_t *value);

/* ---- placement.c ---- */

/* A host that is alive and has the least to do, or null. */
int host_pick(struct txn *t, const char **ret);
/* Gives the network's DHCP server to a host (null: to none); its port is bound there. */
int network_place(struct txn *t, struct network *n, const char *host);

#endif
