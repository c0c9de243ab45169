/*
 * Inside the linux driver: one pass, and what its parts share.
 *
 *   linux.c           the pass: list, delete, make; rules; what is reported
 *   linux_links.c     bridges, ways out, ports, legs into namespaces
 *   linux_forwarding.c  entries of tunnels
 *   linux_inner.c     the inside of a namespace
 *   linux_dhcp.c      DHCP servers and their namespaces
 *   linux_router.c    routers
 *   linux_qos.c       shapers
 *   linux_probe.c     what the kernel lacks
 */
#ifndef YUNDUO_HOST_NET_LINUX_H
#define YUNDUO_HOST_NET_LINUX_H

#include "host/net/net_driver.h"
#include "host/net/netlink.h"
#include "host/net/netns.h"
#include "host/net/nft.h"
#include "host/net/rules.h"

#define NETNS_NETWORK "yunduo-net-"
#define NETNS_ROUTER "yunduo-rtr-"

enum { NETNS_NAME_SIZE = 128 };

struct router_memory {
    struct router_memory *next;
    struct nft_memory rules;
    bool used;
    char id[];
};

struct linux_driver {
    struct net_driver driver;
    uint32_t magic;
    struct arena *arena;            /* the configuration */
    struct net_config config;
    uid_t tap_uid;
    struct netlink *route;          /* the host's namespace */
    struct nft_memory rules;
    struct router_memory *routers;
    bool passed;                    /* a pass has been made since the start */
};

struct pass_network {
    const struct network_spec *spec;
    struct network_observed seen;
    char bridge[NET_NAME_SIZE];
    char namespace[NETNS_NAME_SIZE];
    int index;                      /* of the bridge; 0 while there is none */
    uint32_t zone;
    uint32_t mtu;
    const char *host_address;       /* the host's own address here, or null */
    bool dhcp;                      /* a DHCP server is wanted here */
};

struct pass_port {
    const struct port_spec *spec;
    struct port_observed seen;
    char device[NET_NAME_SIZE];
    struct pass_network *network;   /* null: unknown */
    int index;                      /* 0: no device */
    bool existing;                  /* somebody else makes the device */
};

struct daemon {                     /* a running dnsmasq of ours */
    pid_t pid;
    ino_t netns;
    const char *name;               /* its directory below run_dir */
    bool wanted;
};

struct shaper {                     /* what limits a device now */
    int index;
    uint64_t rate;                  /* bytes a second, of its token bucket; 0: none */
    bool redirected;                /* what arrives goes to another device */
};

struct pass {
    struct linux_driver *d;
    const struct net_spec *want;
    struct arena *a;
    struct links links;
    struct strv wanted_names;       /* sorted: links that are to exist */
    struct strv namespaces;         /* those that exist */
    VEC_OF(struct daemon) daemons;
    VEC_OF(struct pass_network) networks;   /* sorted by id */
    VEC_OF(struct pass_port) ports;
    VEC_OF(struct router_observed) routers;
    VEC_OF(struct shaper) shapers;  /* few: only devices that have one */
    struct rules_input rules;
    int64_t changes;
};

/* Notes a change made to the host, in the log as well. */
void pass_changed(struct pass *p, const char *what, const char *name);
/* Sets '*reason' unless there is one: "WHAT: why." from the errno and the kernel's words. */
void pass_fail(struct pass *p, const char **reason, int r, const char *what, const struct netlink *n);
struct pass_network *pass_network(struct pass *p, const char *id);
/* Counts a change when r is 0; else notes the failure. Returns r. */
int pass_did(struct pass *p, int r, const char *what, const char *name, const char **reason,
             const struct netlink *n);
int pass_relist(struct pass *p);
bool name_is_ours(const char *name);

/* linux_links.c */
void links_want(struct pass *p);            /* fills wanted_names */
void links_remove(struct pass *p);
void networks_make(struct pass *p);
void ports_make(struct pass *p);            /* devices, not yet plugged in */
void ports_plug(struct pass *p);
/* Whether its frames travel in tunnels between hosts. */
bool network_tunnelled(const struct network_spec *n);
/* A leg into a namespace: a veth pair, its host's end 'name' plugged into the bridge of
 * 'network', the other called 'inner' with this MAC. Returns 0 or negative with the reason. */
int leg_make(struct pass *p, const char *name, const char *inner, const char *mac,
             struct pass_network *network, const char *namespace, const char **reason);

/* linux_forwarding.c */
void forwarding_make(struct pass *p);

/* linux_dhcp.c */
int daemons_list(struct pass *p);
void daemons_remove(struct pass *p);        /* those not wanted; also before their namespaces go */
void dhcp_make(struct pass *p, struct pass_network *n);
/* Makes the files of 'name' say this and a dnsmasq run with them in the namespace. 'files' are
 * pairs of name and text; a change of "conf" restarts it, of others makes it read again. */
struct daemon_file {
    const char *name;
    const char *text;
};
int daemon_make(struct pass *p, const char *name, const char *namespace, const struct daemon_file *files,
                size_t n, const char **reason);

/* Ends it, if it runs, and removes its files. */
void daemon_stop(struct pass *p, const char *name);

/* linux_inner.c: the inside of a namespace */
struct inner_link {
    const char *name;
    const char *mac;
    uint32_t mtu;
    struct strv cidrs;              /* exactly these, link-local addresses of the kernel's aside */
    struct strv hosts;              /* more addresses, without a prefix */
    bool announce;                  /* tell neighbours of new IPv4 addresses */
};
struct inner {
    VEC_OF(struct inner_link) links;
    VEC_OF(struct net_route) routes;        /* exactly these */
    bool forward;
    struct strv lo;                 /* addresses on the loopback */
};
/* Returns how much had to be changed, or negative with 'error' filled. */
int inner_make(int netns, const struct inner *want, char *error, size_t size);

/* linux_router.c */
void router_make(struct pass *p, const struct router_spec *r, struct router_observed *seen);
void router_leg_name(const char *port_id, char *out);
void routers_forget(struct linux_driver *d);

/* linux_qos.c */
int shapers_list(struct pass *p);
void port_shape(struct pass *p, struct pass_port *port);

/* linux_probe.c */
int linux_probe(struct net_driver *d, struct arena *a, struct strv *ret_missing);

#endif
