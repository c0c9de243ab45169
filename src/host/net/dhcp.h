/* dnsmasq's files, made from specs alone. */
#ifndef YUNDUO_HOST_NET_DHCP_H
#define YUNDUO_HOST_NET_DHCP_H

#include "host/net/address.h"
#include "host/spec_net.h"

struct dhcp_files {
    const char *conf;               /* main configuration; a change needs a restart */
    const char *hosts;              /* --dhcp-hostsfile */
    const char *opts;               /* --dhcp-optsfile */
    const char *names;              /* --addn-hosts */
};

/* The server of a network. 'dir' is where the files will be. */
int dhcp_render(const struct net_spec *spec, const struct network_spec *n, const char *dir,
                const struct strv *upstream, struct arena *a, struct dhcp_files *ret);
/* Router advertisements of a router for its networks that ask for them; '*ret' is null when
 * none does. 'inner' names the router's device of a port. */
int advertise_render(const struct net_spec *spec, const struct router_spec *r,
                     void (*inner)(const char *port_id, char *out), const char *dir, struct arena *a,
                     const char **ret);

#endif
