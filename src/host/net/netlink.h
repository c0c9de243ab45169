/*
 * Netlink, as little of it as the driver needs: requests with an answer, dumps, and the
 * messages for links, addresses, routes, neighbours and shapers.
 *
 * A socket belongs to the network namespace of the thread that opened it, for good: to work
 * in another namespace, open it there (netns_call).
 * Everything returns 0 or the kernel's own errno as a negative number; netlink_message() has
 * the kernel's sentence about the last failure where it gave one.
 */
#ifndef YUNDUO_HOST_NET_NETLINK_H
#define YUNDUO_HOST_NET_NETLINK_H

#include "host/net/address.h"

#include <linux/if_link.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

struct netlink;

int netlink_open(int protocol, struct netlink **ret);
void netlink_close(struct netlink *n);
static inline void netlink_closep(struct netlink **n)
{
    netlink_close(*n);
}
/* Sends 'msg', frees it, waits for the answer. Null: -ENOMEM. */
int netlink_call(struct netlink *n, struct nl_msg *msg);
const char *netlink_message(const struct netlink *n);
/* Sends 'msg' (freed) and hands every answer to 'each', whose negative result ends it. */
typedef int (*netlink_each)(void *arg, const struct nlmsghdr *h);
int netlink_dump(struct netlink *n, struct nl_msg *msg, netlink_each each, void *arg);

/* --- links --- */

struct link {
    int index;
    char name[IFNAMSIZ];
    char kind[16];                  /* "bridge", "veth", "vxlan", "tun", ...; "" for hardware */
    int master;                     /* 0: none */
    int parent;                     /* of a VLAN */
    unsigned flags;                 /* IFF_ */
    uint32_t mtu;
    uint32_t group;
    uint8_t mac[ETH_ALEN];
    const char *alias;              /* "" without one */
    uint32_t vni;                   /* vxlan */
    uint8_t local[4];
    uint16_t port;
    uint16_t tag;                   /* vlan */
    bool filtered;                  /* bridge: shows its packets to the inet hooks */
    bool learning, suppress;        /* as a port of a bridge */
};

struct links {
    VEC_OF(struct link) all;        /* by name */
    struct link **by_index;
};

int links_list(struct netlink *n, struct arena *a, struct links *ret);
const struct link *links_find(const struct links *l, const char *name);
const struct link *links_index(const struct links *l, int index);

/* One link, asked for by name; it lives in 'a'. -ENODEV without it. */
int link_get(struct netlink *n, struct arena *a, const char *name, const struct link **ret);

struct link_new {
    const char *name;
    const char *kind;
    const char *alias;
    uint32_t mtu;                   /* 0: the kernel's */
    const uint8_t *mac;             /* null: random */
    uint32_t vni;
    struct ip local;                /* vxlan; family 0: none */
    uint16_t port;
    int parent;                     /* vlan */
    uint16_t tag;
    const char *peer;               /* veth: name of the other end */
    const uint8_t *peer_mac;
    int peer_netns;                 /* veth: descriptor of the other end's namespace */
};
int link_add(struct netlink *n, const struct link_new *l);
int link_delete(struct netlink *n, int index);
/* Many at once cost little more than one: put them into a group of their own, delete that. */
int link_set_group(struct netlink *n, int index, uint32_t group);
int link_delete_group(struct netlink *n, uint32_t group);

enum { LINK_KEEP = -1 };
struct link_change {
    int up;                         /* 1, 0 or LINK_KEEP */
    int master;                     /* index, 0: none, or LINK_KEEP */
    uint32_t mtu;                   /* 0: keep */
    const uint8_t *mac;             /* null: keep */
    const char *alias;              /* null: keep */
};
int link_change(struct netlink *n, int index, const struct link_change *c);
/* Sets how a bridge treats one of its ports: no learning, answers for known neighbours. */
int link_bridge_port(struct netlink *n, int index, bool learning, bool suppress);
/* Switches on that a bridge shows its packets to the inet hooks. */
int link_bridge_filter(struct netlink *n, int index);
/* A persistent tap in this thread's namespace. */
int tap_add(const char *name, uid_t owner);

/* --- addresses, routes, neighbours --- */

struct address {
    int index;
    struct ip ip;
    int prefix;
    bool link_local;
};
typedef VEC_OF(struct address) addresses;
int addresses_list(struct netlink *n, int index, struct arena *a, addresses *ret);
int address_add(struct netlink *n, int index, const struct ip *ip, int prefix);
int address_delete(struct netlink *n, int index, const struct ip *ip, int prefix);

struct route {
    struct ip dst;
    int prefix;
    struct ip via;                  /* family 0: on the link */
    int index;
};
typedef VEC_OF(struct route) routes;
/* Those of the main table that we made (protocol static). */
int routes_list(struct netlink *n, struct arena *a, routes *ret);
int route_add(struct netlink *n, const struct route *r);
int route_delete(struct netlink *n, const struct route *r);

struct neighbour {
    int index;
    struct ip ip;                   /* family 0: an entry of a forwarding table */
    uint8_t mac[ETH_ALEN];
    struct ip host;                 /* vxlan: where the MAC is */
    bool master;                    /* an entry of the bridge, not of the device */
};
typedef VEC_OF(struct neighbour) neighbours;
/* Permanent neighbours, and static entries of forwarding tables, of all devices. */
int neighbours_list(struct netlink *n, struct arena *a, neighbours *ret);
int forwarding_list(struct netlink *n, struct arena *a, neighbours *ret);
/* 'append': one more destination of the same MAC (the flood list of 00:00:00:00:00:00). */
int neighbour_add(struct netlink *n, const struct neighbour *e, bool append);
int neighbour_delete(struct netlink *n, const struct neighbour *e);

#endif
