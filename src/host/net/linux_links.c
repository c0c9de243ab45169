/*
 * Bridges, their ways out of the host, the devices of ports, legs into namespaces.
 *
 * A bridge's alias says which network it is for and which connection zone it has, so both
 * are known to the kernel and survive the agent. Guests' devices enter a bridge only after
 * the rules that guard them are in place.
 */
#include "host/net/linux.h"

#include <errno.h>
#include <stdio.h>

bool network_tunnelled(const struct network_spec *n)
{
    return str_eq(n->type, "vxlan") && n->segmentation_id > 0;
}

/* The host's interface of a physical network; null: not mapped; "": a bridge without one. */
static const char *physical(const struct pass *p, const struct network_spec *n)
{
    return str_empty(n->physical_network) ? NULL : strmap_get(&p->d->config.interfaces, n->physical_network);
}

void links_want(struct pass *p)
{
    char name[NET_NAME_SIZE];
    VEC_FOREACH(n, &p->networks) {
        strv_add(p->a, &p->wanted_names, n->bridge);
        if (network_tunnelled(n->spec))
            strv_add(p->a, &p->wanted_names, net_device_name("yv", n->spec->id, name));
        if (str_eq(n->spec->type, "vlan"))
            strv_add(p->a, &p->wanted_names, net_device_name("yl", n->spec->id, name));
        if (n->dhcp)
            strv_add(p->a, &p->wanted_names, net_device_name("yd", n->spec->id, name));
    }
    VEC_FOREACH(port, &p->ports) {
        if (!port->existing)
            strv_add(p->a, &p->wanted_names, port->device);
        VEC_FOREACH(q, &p->want->qos_policies)
            if (str_eq(q->id, port->spec->qos_policy_id) && q->egress_kbps > 0)
                strv_add(p->a, &p->wanted_names, net_device_name("yq", port->spec->id, name));
    }
    VEC_FOREACH(r, &p->want->routers) {
        VEC_FOREACH(i, &r->interfaces) {
            router_leg_name(i->port_id, name);
            strv_add(p->a, &p->wanted_names, name);
        }
        if (r->gateway) {
            router_leg_name(r->gateway->port_id, name);
            strv_add(p->a, &p->wanted_names, name);
        }
    }
    strv_sort(&p->wanted_names);
}

static bool wanted(const struct pass *p, const char *name)
{
    size_t lo = 0, hi = p->wanted_names.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(p->wanted_names.v[mid], name);
        if (c == 0)
            return true;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

/* A device of the right name made for something else: it must go before it can be made
 * again. */
static bool misfit(const struct pass *p, const struct link *l)
{
    char name[NET_NAME_SIZE];
    VEC_FOREACH(n, &p->networks) {
        if (STREQ(l->name, net_device_name("yv", n->spec->id, name))) {
            struct ip local = { 0 };
            bool v4 = ip_parse(p->d->config.tunnel_address, &local) && local.family == AF_INET;
            return !STREQ(l->kind, "vxlan") || l->vni != (uint32_t)n->spec->segmentation_id ||
                   l->port != (uint16_t)p->d->config.tunnel_port ||
                   (v4 && memcmp(l->local, local.bytes, 4) != 0);
        }
        if (STREQ(l->name, net_device_name("yl", n->spec->id, name))) {
            const char *interface = physical(p, n->spec);
            const struct link *parent = interface ? links_find(&p->links, interface) : NULL;
            return !STREQ(l->kind, "vlan") || l->tag != (uint16_t)n->spec->segmentation_id || !parent ||
                   l->parent != parent->index;
        }
    }
    if (str_starts(l->name, "yb-"))
        return !STREQ(l->kind, "bridge");
    if (str_starts(l->name, "yt"))
        return !STREQ(l->kind, "tun") && !STREQ(l->kind, "veth");
    return false;
}

/* Anything of ours may be removed by deleting this group of links; it is nobody's but for the
 * moment in which many go at once. */
enum { DOOMED_GROUP = 0x79756e64, DOOMED_MANY = 8 };

void links_remove(struct pass *p)
{
    VEC_OF(const struct link *) doomed = { 0 };
    bool foreign = false;
    VEC_FOREACH(l, &p->links.all) {
        bool ours = name_is_ours(l->name);
        foreign |= !ours && l->group == DOOMED_GROUP;
        if (ours && (!wanted(p, l->name) || misfit(p, l)))
            vec_push(p->a, &doomed, (const struct link *)l);
        else if (ours && l->group == DOOMED_GROUP) /* a crash between the two steps */
            (void)link_set_group(p->d->route, l->index, 0);
    }
    bool together = doomed.n > DOOMED_MANY && !foreign;
    for (size_t i = 0; together && i < doomed.n; i++)
        together = link_set_group(p->d->route, doomed.v[i]->index, DOOMED_GROUP) == 0;
    if (together && link_delete_group(p->d->route, DOOMED_GROUP) == 0) {
        for (size_t i = 0; i < doomed.n; i++)
            pass_changed(p, "removed link", doomed.v[i]->name);
        return;
    }
    for (size_t i = 0; i < doomed.n; i++)
        if (link_delete(p->d->route, doomed.v[i]->index) == 0)
            pass_changed(p, "removed link", doomed.v[i]->name);
}

/* "yunduo zone N network ID": zero when the alias is not ours. */
static uint32_t alias_zone(const char *alias, const char **ret_network)
{
    unsigned zone = 0;
    int at = 0;
    if (sscanf(alias, "yunduo zone %u network %n", &zone, &at) < 1 || at == 0 || zone > 65535)
        return 0;
    *ret_network = alias + at;
    return zone;
}

static uint32_t zone_take(const struct pass *p)
{
    static const uint32_t LAST = 65535;
    uint8_t *used = arena_alloc(p->a, 65536 / 8);
    const char *network;
    if (!used)
        return 0;
    VEC_FOREACH(l, &p->links.all) {
        uint32_t zone = str_starts(l->name, "yb-") ? alias_zone(l->alias, &network) : 0;
        used[zone / 8] |= (uint8_t)(1 << zone % 8);
    }
    VEC_FOREACH(n, &p->networks)
        used[n->zone / 8] |= (uint8_t)(1 << n->zone % 8);
    for (uint32_t zone = 1; zone <= LAST; zone++)
        if (!(used[zone / 8] >> zone % 8 & 1))
            return zone;
    return 0;
}

/* A MAC of its own, from the name, so that it doesn't change with the bridge's members. */
static void bridge_mac(const char *name, uint8_t mac[ETH_ALEN])
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    for (int i = 0; i < ETH_ALEN; i++)
        mac[i] = (uint8_t)(hash >> i * 8);
    mac[0] = (mac[0] | 2) & 0xfe;
}

static void quiet_ipv6(const char *device)
{
    char path[64];
    snprintf(path, sizeof(path), "ipv6/conf/%s/disable_ipv6", device);
    (void)sysctl_set(path, "1");
}

/* A guest's router advertisement must not give the host a route. */
static void deaf_to_routers(const char *device)
{
    char path[64];
    snprintf(path, sizeof(path), "ipv6/conf/%s/accept_ra", device);
    (void)sysctl_set(path, "0");
}

static int bridge_make(struct pass *p, struct pass_network *n)
{
    struct netlink *nl = p->d->route;
    const char **reason = &n->seen.reason, *network = NULL;
    const struct link *l = links_find(&p->links, n->bridge);
    int r;
    if (l) {
        n->zone = alias_zone(l->alias, &network);
        if (n->zone && !STREQ(network, n->spec->id)) {
            *reason = arena_printf(p->a, "The bridge %s belongs to network %s.", n->bridge, network);
            n->zone = 0;
            return -EEXIST;
        }
    }
    if (!l || !n->zone) {
        n->zone = zone_take(p);
        if (!n->zone) {
            pass_fail(p, reason, -ENOSPC, "There is no connection zone left", NULL);
            return -ENOSPC;
        }
        const char *alias = arena_printf(p->a, "yunduo zone %u network %s", n->zone, n->spec->id);
        if (!alias)
            return -ENOMEM;
        if (!l) {
            uint8_t mac[ETH_ALEN];
            bridge_mac(n->bridge, mac);
            const struct link_new new = {
                .name = n->bridge, .kind = "bridge", .mtu = n->mtu, .mac = mac, .alias = alias
            };
            r = pass_did(p, link_add(nl, &new), "made bridge", n->bridge, reason, nl);
            if (r < 0)
                return r;
            if (!n->host_address || !strchr(n->host_address, ':'))
                quiet_ipv6(n->bridge);
            else
                deaf_to_routers(n->bridge);
            r = link_get(nl, p->a, n->bridge, &l);
            if (r < 0)
                return r;
        } else {
            const struct link_change c = { .up = LINK_KEEP, .master = LINK_KEEP, .alias = alias };
            r = pass_did(p, link_change(nl, l->index, &c), "named bridge", n->bridge, reason, nl);
            if (r < 0)
                return r;
        }
    }
    n->index = l->index;
    if (!l->filtered) {
        r = pass_did(p, link_bridge_filter(nl, l->index), "made bridge filter", n->bridge, reason, nl);
        if (r < 0)
            return r;
    }
    if (l->mtu != n->mtu || !(l->flags & IFF_UP)) {
        const struct link_change c = { .up = 1, .master = LINK_KEEP, .mtu = n->mtu };
        r = pass_did(p, link_change(nl, l->index, &c), "set up bridge", n->bridge, reason, nl);
        if (r < 0)
            return r;
    }
    if (n->host_address) {
        struct ip ip;
        int prefix;
        addresses have;
        if (!ip_parse_prefix(n->host_address, &ip, &prefix)) {
            *reason =
                arena_printf(p->a, "The host's address for %s can't be read.", n->spec->physical_network);
            return -EINVAL;
        }
        r = addresses_list(nl, l->index, p->a, &have);
        if (r < 0)
            return r;
        bool there = false;
        VEC_FOREACH(at, &have)
            there |= ip_equal(&at->ip, &ip) && at->prefix == prefix;
        if (!there)
            r = pass_did(p, address_add(nl, l->index, &ip, prefix), "gave bridge an address", n->bridge,
                         reason, nl);
    }
    return r < 0 ? r : 0;
}

/* Puts a device into a bridge and sets it up. */
static int plug(struct pass *p, const struct link *l, int bridge, uint32_t mtu, const char **reason)
{
    struct link_change c = { .up = LINK_KEEP, .master = LINK_KEEP };
    if (l->mtu != mtu)
        c.mtu = mtu;
    if (l->master != bridge)
        c.master = bridge;
    if (!(l->flags & IFF_UP))
        c.up = 1;
    if (c.up == LINK_KEEP && c.master == LINK_KEEP && !c.mtu)
        return 0;
    return pass_did(p, link_change(p->d->route, l->index, &c), "plugged in", l->name, reason, p->d->route);
}

static int vxlan_make(struct pass *p, struct pass_network *n)
{
    char name[NET_NAME_SIZE];
    struct netlink *nl = p->d->route;
    const struct link *l = links_find(&p->links, net_device_name("yv", n->spec->id, name));
    int r;
    if (!l) {
        struct link_new new = {
            .name = name,
            .kind = "vxlan",
            .mtu = n->mtu,
            .vni = (uint32_t)n->spec->segmentation_id,
            .port = (uint16_t)p->d->config.tunnel_port,
        };
        if (!str_empty(p->d->config.tunnel_address) && !ip_parse(p->d->config.tunnel_address, &new.local)) {
            n->seen.reason = "The host's tunnel address can't be read.";
            return -EINVAL;
        }
        r = pass_did(p, link_add(nl, &new), "made tunnel", name, &n->seen.reason, nl);
        if (r < 0)
            return r;
        quiet_ipv6(name);
        r = link_get(nl, p->a, name, &l);
        if (r < 0)
            return r;
    }
    bool fresh = l->master != n->index;
    r = plug(p, l, n->index, n->mtu, &n->seen.reason);
    if (r == 0 && (fresh || l->learning || !l->suppress))
        r = pass_did(p, link_bridge_port(nl, l->index, false, true), "quieted tunnel", name, &n->seen.reason,
                     nl);
    return r;
}

/* The network that has this interface in its bridge, or will have: who has it keeps it, else the
 * first one. An interface can be in one bridge only. */
static const struct pass_network *holder(const struct pass *p, const struct pass_network *n, const struct link *l)
{
    const struct pass_network *first = NULL;
    VEC_FOREACH(m, &p->networks) {
        if (!str_eq(m->spec->type, "flat") || !str_eq(m->spec->physical_network, n->spec->physical_network))
            continue;
        const struct link *bridge = links_find(&p->links, m->bridge);
        if (bridge && bridge->index == l->master)
            return m;
        if (!first)
            first = m;
    }
    return first;
}

static int physical_make(struct pass *p, struct pass_network *n)
{
    const char *interface = physical(p, n->spec);
    struct netlink *nl = p->d->route;
    char name[NET_NAME_SIZE];
    int r;
    if (!interface) {
        n->seen.reason = arena_printf(p->a, "This host has no interface for the physical network %s.",
                                      str_or(n->spec->physical_network, "(none)"));
        return -ENODEV;
    }
    bool vlan = str_eq(n->spec->type, "vlan");
    if (!*interface)
        return 0; /* a bridge of its own; tags need no device there */
    const struct link *l = links_find(&p->links, interface);
    if (!l) {
        n->seen.reason = arena_printf(p->a, "The interface %s does not exist on this host.", interface);
        return -ENODEV;
    }
    if (vlan) {
        const struct link_change up = { .up = 1, .master = LINK_KEEP };
        if (!(l->flags & IFF_UP)) {
            r = pass_did(p, link_change(nl, l->index, &up), "set up", interface, &n->seen.reason, nl);
            if (r < 0)
                return r;
        }
        int parent = l->index;
        l = links_find(&p->links, net_device_name("yl", n->spec->id, name));
        if (!l) {
            const struct link_new new = {
                .name = name, .kind = "vlan", .parent = parent, .tag = (uint16_t)n->spec->segmentation_id
            };
            r = link_add(nl, &new);
            if (r == -EOPNOTSUPP) {
                n->seen.reason = "This host's kernel has no VLAN devices (8021q), so VLAN networks can't be "
                                 "reached from it.";
                return r;
            }
            r = pass_did(p, r, "made VLAN device", name, &n->seen.reason, nl);
            if (r < 0)
                return r;
            quiet_ipv6(name);
            r = link_get(nl, p->a, name, &l);
            if (r < 0)
                return r;
        }
        return plug(p, l, n->index, l->mtu, &n->seen.reason);
    }
    const struct link *master = l->master ? links_index(&p->links, l->master) : NULL;
    if (master && !name_is_ours(master->name)) {
        n->seen.reason = arena_printf(p->a, "The interface %s belongs to %s.", interface, master->name);
        return -EBUSY;
    }
    const struct pass_network *other = holder(p, n, l);
    if (other != n) {
        n->seen.reason = arena_printf(p->a, "The interface %s serves network %s.", interface,
                                      other ? other->spec->id : "?");
        return -EBUSY;
    }
    if (l->master != n->index) {
        /* An interface in a bridge receives nothing for its own addresses: taking one that
         * has them would cut the host off. */
        addresses have;
        r = addresses_list(nl, l->index, p->a, &have);
        if (r < 0)
            return r;
        VEC_FOREACH(at, &have)
            if (!at->link_local) {
                n->seen.reason =
                    arena_printf(p->a,
                                 "The interface %s carries addresses of the host; a flat network "
                                 "needs one without.",
                                 interface);
                return -EBUSY;
            }
    }
    return plug(p, l, n->index, l->mtu, &n->seen.reason);
}

/* Whether this device belongs into this bridge, by its name. */
static bool belongs(const struct pass *p, const struct pass_network *n, const struct link *l)
{
    const char *interface = physical(p, n->spec);
    if (name_is_ours(l->name))
        return wanted(p, l->name);
    if (interface && STREQ(interface, l->name))
        return str_eq(n->spec->type, "flat");
    VEC_FOREACH(port, &p->ports)
        if (port->network == n && STREQ(port->device, l->name))
            return true;
    return false;
}

void networks_make(struct pass *p)
{
    int64_t before = p->changes;
    VEC_FOREACH(n, &p->networks) {
        const char *type = n->spec->type;
        int r = bridge_make(p, n);
        if (r == 0 && str_eq(type, "vxlan"))
            r = vxlan_make(p, n);
        else if (r == 0 && (str_eq(type, "flat") || str_eq(type, "vlan")))
            r = physical_make(p, n);
        else if (r == 0 && !str_eq(type, "local") && !str_eq(type, "geneve") && !str_eq(type, "gre"))
            n->seen.reason =
                arena_printf(p->a, "Networks of type %s are not known here.", str_or(type, "(none)"));
        if (r < 0)
            pass_fail(p, &n->seen.reason, r, "The network could not be made", NULL);
        n->seen.up = !n->seen.reason;
    }
    if (p->changes != before && pass_relist(p) < 0)
        return;
    VEC_FOREACH(l, &p->links.all) {
        if (!l->master)
            continue;
        VEC_FOREACH(n, &p->networks)
            if (n->index == l->master && !belongs(p, n, l) &&
                link_change(p->d->route, l->index, &(struct link_change){ .up = LINK_KEEP, .master = 0 }) ==
                    0)
                pass_changed(p, "unplugged", l->name);
    }
}

void ports_make(struct pass *p)
{
    bool made = false;
    VEC_FOREACH(port, &p->ports) {
        if (!port->network) {
            port->seen.reason = "The port's network was not sent to this host.";
            continue;
        }
        if (port->existing || links_find(&p->links, port->device))
            continue;
        int r = tap_add(port->device, p->d->tap_uid);
        pass_did(p, r, "made tap", port->device, &port->seen.reason, NULL);
        if (r < 0)
            continue;
        quiet_ipv6(port->device);
        made = true;
    }
    if (made && pass_relist(p) < 0)
        return;
    VEC_FOREACH(port, &p->ports) {
        const struct link *l = links_find(&p->links, port->device);
        uint8_t mac[ETH_ALEN];
        if (!l) {
            if (!port->seen.reason && port->existing)
                port->seen.reason = arena_printf(p->a, "The device %s does not exist yet.", port->device);
            continue;
        }
        port->index = l->index;
        if (!(l->flags & IFF_UP) && port->network && !port->seen.reason) { /* see leg_up() */
            const struct link_change up = { .up = 1, .master = LINK_KEEP };
            pass_did(p, link_change(p->d->route, l->index, &up), "set up", l->name, &port->seen.reason,
                     p->d->route);
        }
        /* The bridge must not take the guest's MAC for its own: the host's end has another. */
        if (!port->existing && mac_parse(port->spec->mac_address, mac)) {
            mac[0] = 0xfe;
            if (memcmp(mac, l->mac, ETH_ALEN) != 0) {
                const struct link_change c = { .up = LINK_KEEP, .master = LINK_KEEP, .mac = mac };
                pass_did(p, link_change(p->d->route, l->index, &c), "gave MAC to", l->name,
                         &port->seen.reason, p->d->route);
            }
        }
    }
}

void ports_plug(struct pass *p)
{
    VEC_FOREACH(port, &p->ports) {
        const struct link *l = port->index ? links_index(&p->links, port->index) : NULL;
        if (!l || !port->network || port->seen.reason)
            continue;
        if (!port->network->index) {
            port->seen.reason = port->network->seen.reason;
            continue;
        }
        if (!port->spec->admin_state_up) {
            if (l->master == port->network->index)
                pass_did(
                    p,
                    link_change(p->d->route, l->index, &(struct link_change){ .up = LINK_KEEP, .master = 0 }),
                    "unplugged", l->name, &port->seen.reason, p->d->route);
            if (!port->seen.reason)
                port->seen.reason = "The port is administratively down.";
            continue;
        }
        if (plug(p, l, port->network->index, port->network->mtu, &port->seen.reason) < 0)
            continue;
        port_shape(p, port);
        port->seen.wired = !port->seen.reason;
    }
}

/* --- legs into namespaces --- */

static int up_inside(void *arg)
{
    _cleanup_(netlink_closep) struct netlink *nl = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    const struct link *l;
    char path[64];
    /* Before it is up: addresses are known to be free, nobody needs to wait for them. */
    snprintf(path, sizeof(path), "ipv6/conf/%s/accept_dad", (const char *)arg);
    (void)sysctl_set(path, "0");
    snprintf(path, sizeof(path), "ipv6/conf/%s/accept_ra", (const char *)arg);
    (void)sysctl_set(path, "0");
    int r = netlink_open(NETLINK_ROUTE, &nl);
    if (r == 0)
        r = a ? link_get(nl, a, arg, &l) : -ENOMEM;
    return r < 0 ? r : link_change(nl, l->index, &(struct link_change){ .up = 1, .master = LINK_KEEP });
}

/* Both ends up before one is plugged in: a bridge forwards at once through a device that has its
 * carrier, and after the kernel's next round of link events through one that gets it later.
 * What is sent at once (an announcement, a first ARP) would be lost. */
static int leg_up(struct pass *p, const char *name, const char *inner, int netns)
{
    const struct link *l;
    int r = netns_call(netns, up_inside, (void *)(uintptr_t)inner);
    if (r == 0)
        r = link_get(p->d->route, p->a, name, &l);
    if (r == 0)
        r = link_change(p->d->route, l->index, &(struct link_change){ .up = 1, .master = LINK_KEEP });
    for (int i = 0; r == 0 && i < 20; i++) {
        r = link_get(p->d->route, p->a, name, &l);
        if (r == 0 && l->flags & IFF_RUNNING)
            break;
        (void)usleep(500);
    }
    return r;
}

int leg_make(struct pass *p, const char *name, const char *inner, const char *mac,
             struct pass_network *network, const char *namespace, const char **reason)
{
    struct netlink *nl = p->d->route;
    const struct link *l = links_find(&p->links, name);
    uint8_t bytes[ETH_ALEN];
    int r;
    if (!network || !network->index) {
        *reason =
            network && network->seen.reason ? network->seen.reason : "The network was not sent to this host.";
        return -ENODEV;
    }
    if (!mac_parse(mac, bytes)) {
        *reason = "The MAC address can't be read.";
        return -EINVAL;
    }
    /* A pair from a time before this namespace: its other end is in one that is ending. */
    if (l && !strv_has(&p->namespaces, namespace)) {
        r = link_delete(nl, l->index);
        if (r < 0 && r != -ENODEV) {
            pass_fail(p, reason, r, "An old leg could not be removed", nl);
            return r;
        }
        pass_changed(p, "removed link", name);
        l = NULL;
    }
    if (!l) {
        _cleanup_(closep) int fd = netns_open(p->d->config.netns_dir, namespace);
        if (fd < 0) {
            pass_fail(p, reason, fd, "The namespace could not be opened", NULL);
            return fd;
        }
        const struct link_new new = { .name = name,
                                      .kind = "veth",
                                      .mtu = network->mtu,
                                      .peer = inner,
                                      .peer_mac = bytes,
                                      .peer_netns = fd };
        r = pass_did(p, link_add(nl, &new), "made leg", name, reason, nl);
        if (r < 0)
            return r;
        quiet_ipv6(name);
        r = leg_up(p, name, inner, fd);
        if (r == 0)
            r = link_get(nl, p->a, name, &l);
        if (r < 0) {
            pass_fail(p, reason, r, "The leg could not be set up", nl);
            return r;
        }
    }
    return plug(p, l, network->index, network->mtu, reason);
}
