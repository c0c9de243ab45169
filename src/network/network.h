/*
 * Networks, for the other slices: ports of servers, inside the caller's transaction.
 *
 * A port's device_id names its server; a port made here for a server goes with it, one that the
 * tenant brought stays and is only unbound. Binding tells the host that is to carry the port;
 * that host's agent wires it and reports, and the port's status follows.
 */
#ifndef YUNDUO_NETWORK_NETWORK_H
#define YUNDUO_NETWORK_NETWORK_H

#include "api/api.h"
#include "api/agent_link.h"

extern const struct service NETWORK_SERVICE;
extern const struct kind PORT_KIND;

/* Whose a server is, told by the compute slice where there is one: *ret stays null when there is no such
 * server. */
extern int (*network_server_project)(struct txn *t, const char *server_id, const char **ret);

/* What a request for a server says of one interface. */
struct port_wish {
    const char *network_id; /* or */
    const char *port_id;    /* an existing port, or both null with 'automatic' */
    const char *fixed_ip;   /* wanted address, or null */
    const char *tag;
    bool automatic; /* the project's only network (or the auto-allocated one) */
    const char *mac;
};

struct port_address {
    const char *ip, *subnet_id, *cidr, *gateway;
    int version;             /* 4 or 6 */
    const char *floating_ip; /* or null */
    struct strv dns;
};

/* A port as the compute slice shows and tells it. */
struct port_view {
    const char *id, *network_id, *network_name, *project_id, *mac, *status, *tag, *host;
    const char *device_name; /* of the host's side: tap device */
    const char *vnic_type, *dns_name;
    bool own; /* made for the server: goes with it */
    bool admin_up;
    int64_t mtu;
    struct strv security_groups; /* ids */
    VEC_OF(struct port_address) addresses;
};
struct port_views {
    struct port_view *v;
    size_t n, cap;
};

/* Checks the wishes for a server of this project and makes or takes its ports (device_id = server,
 * device_owner compute:<zone>). 'groups' are ids or names of security groups (of ports made here);
 * none: the project's default group. 0; FAULT in Neutron's words (404 network or port, 409 port in
 * use, no more addresses, quota, 400 ambiguous); negative. */
int network_ports_take(struct call *c, struct txn *t, const char *project_id, const char *server_id,
                       const char *server_name, const char *zone, const struct port_wish *wishes, size_t n,
                       const struct strv *groups, struct port_views *ret, struct fault *fault);
/* Ports of one server, in the order they were attached. */
int network_ports_of(struct txn *t, const char *server_id, struct port_views *ret);
/* The same for many servers at once (lists): views with 'device' order of ids; one query. */
int network_ports_of_many(struct txn *t, const struct strv *server_ids,
                          int (*each)(void *arg, const char *server_id, const struct port_view *port),
                          void *arg);
/* All ports of a server to this host ("" unbinds). 'zone' renames the owner; may be null. */
int network_ports_bind(struct txn *t, const char *server_id, const char *host, const char *zone);
/* Lets one port go: deleted when 'own', else unbound. 0; FAULT 404 when it is not this server's. */
int network_port_release(struct txn *t, const char *server_id, const char *port_id, struct fault *fault);
/* Lets all ports of a server go. */
int network_ports_release(struct txn *t, const char *server_id);
/* Adds or removes a security group (id or name) on all ports of a server. 0 or FAULT 404/409. */
int network_ports_group(struct txn *t, const char *project_id, const char *server_id, const char *group,
                        bool add, struct fault *fault);
/* Finds servers by address: ids of devices that have this fixed or floating address (a regular
 * expression when 'regex'). */
int network_devices_by_ip(struct txn *t, const char *expression, int version, bool regex, struct strv *ret);
/* Whether the name or id is a security group of the project. */
int network_group_find(struct txn *t, const char *project_id, const char *group, const char **ret_id,
                       const char **ret_name);

#endif
