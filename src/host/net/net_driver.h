/*
 * Network drivers: what makes a host's bridges, taps, rules, DHCP servers and routers match
 * what is wanted.
 *
 * A driver remembers nothing that matters. Each pass asks the kernel what is there, removes
 * what is not wanted, then makes and changes what is; so it may be killed anywhere, and
 * what people break by hand is mended by the next pass. It touches only what carries its own
 * names: links yb- (bridges), yt (taps), yv (VXLAN), yl (VLAN), yd and yr (legs of DHCP
 * servers and routers), yq (shapers); network namespaces yunduo-net-ID and yunduo-rtr-ID;
 * the nftables tables called yunduo; dnsmasq processes with a configuration below its
 * run_dir. The one exception: devices made by others are put into, and taken out of, its
 * bridges (a host's interface to the outside, ports with wiring "existing").
 *
 * Calls block (a pass takes from a few milliseconds to seconds) and come from one thread at
 * a time; open_metadata_socket may come from another.
 */
#ifndef YUNDUO_HOST_NET_NET_DRIVER_H
#define YUNDUO_HOST_NET_NET_DRIVER_H

#include "base/error.h"
#include "host/spec_net.h"

struct net_config {
    /* DHCP configurations. Nobody but root may write there or above: a configuration can name
     * programs, and /run/yunduo is the control process's own. */
    const char *run_dir;
    const char *netns_dir;          /* "/run/netns": where `ip netns` looks */
    const char *tunnel_address;     /* our end of VXLAN tunnels; null: VXLAN works within the host only */
    int64_t tunnel_port;            /* 4789 */
    /* Physical network to host interface. An empty interface: a bridge of its own, for a
     * cloud on one machine. */
    struct strmap interfaces;
    /* Physical network to the host's own address there ("172.24.4.1/24"), so that the host
     * reaches floating IPs and, with forwarding on, routers reach the world through it. */
    struct strmap addresses;
    const char *tap_user;           /* who may open taps: a user name; null: root */
    struct strv dns_upstream;       /* where dnsmasq asks for names it doesn't know; empty: nobody */
};

/* Rows for a configuration that has a 'struct net_config' as its member:
 * static const struct field ROWS[] = { ..., NET_CONFIG_FIELDS(struct agent_config, net), ... }; */
#define NET_CONFIG_FIELDS(type, member) \
    { "net_run_dir", FIELD_STRING, offsetof(type, member.run_dir), .otherwise = "/run/yunduo-net", \
      .doc = "Directory for the configurations of DHCP servers." }, \
    { "netns_dir", FIELD_STRING, offsetof(type, member.netns_dir), .otherwise = "/run/netns", \
      .doc = "Directory where network namespaces are mounted." }, \
    { "tunnel_address", FIELD_STRING, offsetof(type, member.tunnel_address), \
      .doc = "This host's address for tunnels to other hosts." }, \
    { "tunnel_port", FIELD_INT, offsetof(type, member.tunnel_port), .min = 1, .max = 65535, \
      .otherwise = "4789", .doc = "UDP port of VXLAN." }, \
    { "physical_interfaces", FIELD_MAP, offsetof(type, member.interfaces), \
      .doc = "Host interface of each physical network; empty for a bridge without one." }, \
    { "physical_addresses", FIELD_MAP, offsetof(type, member.addresses), \
      .doc = "The host's own address in a physical network." }, \
    { "tap_user", FIELD_STRING, offsetof(type, member.tap_user), .doc = "User who may open taps." }, \
    { "dns_upstream", FIELD_STRINGS, offsetof(type, member.dns_upstream), \
      .doc = "Name servers that answer what is not in the cloud." }

/* Where a metadata service listens. */
enum net_space {
    NET_SPACE_NETWORK,              /* the DHCP server's namespace of a network */
    NET_SPACE_ROUTER,               /* a router's namespace */
};

struct net_driver;

struct net_driver_class {
    const char *name;               /* "linux", "simulated" */

    /* Keeps its own copy of 'config'. Changes nothing on the host. */
    int (*open)(const struct net_config *config, struct net_driver **ret);
    /* Leaves everything on the host as it is. */
    void (*close)(struct net_driver *d);

    /* What the kernel and the host lack, one plain sentence each; empty: nothing. Makes and
     * removes trial objects, none remains. */
    int (*probe)(struct net_driver *d, struct arena *a, struct strv *ret_missing);

    /* One pass: list, delete, then change and add. An object that fails says so in its
     * record of 'ret' and stops no other. Returns negative only when the host could not
     * even be asked; then nothing was changed and 'ret' is untouched. Keeps no pointer into
     * 'wanted'; 'ret' lives in 'a'. Doing it again with nothing changed does nothing. */
    int (*converge)(struct net_driver *d, const struct net_spec *wanted, struct arena *a,
                    struct net_observed *ret);

    /* A listening TCP socket inside the namespace of a network or router, for the metadata
     * service: close-on-exec, non-blocking. The address must exist there already
     * (169.254.169.254 does, in both; fe80::a9fe:a9fe in networks). Returns the descriptor;
     * -ENOENT: there is no such namespace yet; -EADDRNOTAVAIL, -EADDRINUSE; others. The
     * caller closes it, at the latest when the network is gone: an open socket keeps the
     * namespace's memory. Callers are told apart by the socket they came through and
     * their address, which anti-spoofing makes true. */
    int (*open_metadata_socket)(struct net_driver *d, enum net_space space, const char *id,
                                const char *address, int port);

    /* Whether such a socket still is where guests would reach it: a namespace that was removed
     * by hand is made anew, and the socket has stayed behind in the old one. */
    bool (*metadata_socket_current)(struct net_driver *d, enum net_space space, const char *id, int fd);
};

/* Every driver's struct begins with this. */
struct net_driver {
    const struct net_driver_class *class;
};

extern const struct net_driver_class NET_LINUX;
extern const struct net_driver_class NET_SIMULATED;

/* "linux" or "simulated"; null for others. */
const struct net_driver_class *net_driver_class_find(const char *name);

static inline void net_driver_close(struct net_driver *d)
{
    if (d)
        d->class->close(d);
}
static inline void net_driver_closep(struct net_driver **d)
{
    net_driver_close(*d);
}
static inline int net_probe(struct net_driver *d, struct arena *a, struct strv *ret_missing)
{
    return d->class->probe(d, a, ret_missing);
}
static inline int net_converge(struct net_driver *d, const struct net_spec *wanted, struct arena *a,
                               struct net_observed *ret)
{
    return d->class->converge(d, wanted, a, ret);
}
static inline int net_open_metadata_socket(struct net_driver *d, enum net_space space, const char *id,
                                           const char *address, int port)
{
    return d->class->open_metadata_socket(d, space, id, address, port);
}

static inline bool net_metadata_socket_current(struct net_driver *d, enum net_space space, const char *id, int fd)
{
    return d->class->metadata_socket_current(d, space, id, fd);
}

/* The simulated driver, for tests and simulated hosts: what is wanted is so at once, in
 * memory. */

/* The object with this id (a port, network or router) fails with 'reason' until told
 * otherwise by a null reason. */
int net_simulated_fail(struct net_driver *d, const char *id, const char *reason);
/* The next n-th pass (1: the next) returns 'error' and changes nothing. */
void net_simulated_fail_pass(struct net_driver *d, unsigned n, int error);
/* What exists now, rendered as the JSON of a net_spec; owned by the driver until its next
 * call. Never null; "" before the first pass. */
const char *net_simulated_state(struct net_driver *d);
size_t net_simulated_ports(struct net_driver *d);

#endif
