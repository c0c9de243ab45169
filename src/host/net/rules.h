/*
 * Rule texts: from what is wanted to what nft reads. Pure: nothing here talks to a kernel,
 * so every text can be compared with a file in a test.
 *
 * The shape, for hosts whose bridges have no connection tracking of their own: br_netfilter
 * shows bridged packets to the inet hooks (switched on per bridge, by the bridge's own
 * attribute), and a packet carries the port it came from, then the port it goes to, as its
 * mark. A mark is the interface index of the port's device, so nothing has to be numbered.
 *
 *   bridge prerouting  mark = sending port; anti-spoofing by (mark, MAC, address) sets
 *   inet prerouting    connection zone = network; egress rules by verdict map of the mark
 *   bridge forward     mark = receiving port
 *   inet forward       ingress rules by verdict map of the mark
 *   bridge input       what is not for the host stops here
 *
 * A packet of an established flow costs a fixed number of set lookups. Only the first
 * packet of a flow walks rules, and those are folded: one rule for each protocol and remote
 * side, with the ports in a set. Ports with the same groups share one chain.
 */
#ifndef YUNDUO_HOST_NET_RULES_H
#define YUNDUO_HOST_NET_RULES_H

#include "host/net/address.h"
#include "host/spec_net.h"

struct rules_port {
    const struct port_spec *spec;
    const char *device;
    uint32_t mark;                  /* the device's interface index */
};

struct rules_network {
    const char *id;
    const char *bridge;
    uint32_t zone;
};

struct rules_input {
    const struct net_spec *spec;
    VEC_OF(struct rules_port) ports;
    VEC_OF(struct rules_network) networks;
    struct strv members;            /* all devices in our bridges */
    struct strv closed;             /* those whose bridge has no address of the host's */
};

/* Both tables as one transaction; empty text when there is no network. 'a' is for scratch.
 * Returns 0 or -ENOMEM. */
int rules_render(const struct rules_input *in, struct arena *a, struct buf *out);
/* The text that removes them. */
#define RULES_REMOVE \
    "add table bridge yunduo\ndelete table bridge yunduo\nadd table inet yunduo\ndelete table inet yunduo\n"

/* Writes the chains of a group, "g_ID_in" and "g_ID_out", into 'out'. */
void rules_group(const struct security_group_spec *g, struct arena *a, struct buf *out);
/* Writes an id as part of a name in nft's grammar. */
void rules_name(struct buf *out, const char *id);

/* The addresses that a port may use, with their MACs; what anti-spoofing lets pass and what
 * flows are matched with. */
struct port_address {
    uint8_t mac[ETH_ALEN];
    struct ip_range range;
};
typedef VEC_OF(struct port_address) port_addresses;
void rules_port_addresses(const struct port_spec *p, struct arena *a, port_addresses *ret);

/* A router's table, for its own namespace; device names as the driver gives them. */
struct router_devices {
    const char *gateway;            /* null without a gateway */
};
int rules_router(const struct router_spec *r, const struct router_devices *dev, struct arena *a,
                 struct buf *out);

/* --- flows: which entries of the connection table are still allowed --- */

struct flow {
    int family;
    int protocol;
    struct ip src, dst;             /* of the original direction */
    struct ip reply_src, reply_dst;
    uint16_t sport, dport;          /* for ICMP type and code are in 'sport' and 'dport' */
    uint16_t reply_sport, reply_dport;
    uint32_t zone;
    bool icmp;
};

struct flow_index;
/* Null without memory. Lives in 'a', points into 'in'. */
struct flow_index *flow_index_new(const struct rules_input *in, struct arena *a);
/* Whether the rules would let the first packet of this flow pass, as far as our ports are
 * concerned; true for flows that touch none of them. */
bool flow_allowed(const struct flow_index *x, const struct flow *f);
/* Whether the router's table would translate this flow as its entry says. */
bool flow_translated(const struct router_spec *r, const struct flow *f);

#endif
