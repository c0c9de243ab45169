/*
 * The driver for Linux hosts: one pass from what is wanted to what is.
 *
 * The order matters. Everything not wanted goes first, since what is wanted may need its
 * name, its address or its tag. Then bridges and devices, then the rules (one transaction,
 * whose marks are the devices' indexes), and only then do guests' devices enter the bridges:
 * there is no moment in which an unguarded port is connected. Last come forwarding entries,
 * servers and routers, and the end of flows that the new rules don't allow.
 */
#include "host/net/linux.h"

#include "base/log.h"
#include "host/net/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

LOG_MODULE("host.net");

enum { LINUX_MAGIC = 0x6e657401 };

static const char *const HOST_FAMILIES[] = { "bridge", "inet", NULL };

static struct linux_driver *linux_driver(struct net_driver *d)
{
    struct linux_driver *l = CONTAINER_OF(d, struct linux_driver, driver);
    assert(l->magic == LINUX_MAGIC);
    return l;
}

static void linux_close(struct net_driver *driver)
{
    struct linux_driver *d = linux_driver(driver);
    routers_forget(d);
    netlink_close(d->route);
    arena_free(d->arena);
    free(d);
}

static int copy_config(struct linux_driver *d, const struct net_config *c)
{
    d->arena = arena_new(0);
    if (!d->arena)
        return -ENOMEM;
    struct arena *a = d->arena;
    d->config = (struct net_config){
        .run_dir = arena_strdup(a, str_empty(c->run_dir) ? "/run/yunduo-net" : c->run_dir),
        .netns_dir = arena_strdup(a, str_empty(c->netns_dir) ? "/run/netns" : c->netns_dir),
        .tunnel_address = str_empty(c->tunnel_address) ? NULL : arena_strdup(a, c->tunnel_address),
        .tunnel_port = c->tunnel_port ? c->tunnel_port : 4789,
        .tap_user = arena_strdup(a, c->tap_user),
    };
    VEC_FOREACH(i, &c->interfaces)
        strmap_set(a, &d->config.interfaces, i->key, i->value);
    VEC_FOREACH(i, &c->addresses)
        strmap_set(a, &d->config.addresses, i->key, i->value);
    for (size_t i = 0; i < c->dns_upstream.n; i++)
        strv_add(a, &d->config.dns_upstream, c->dns_upstream.v[i]);
    if (!str_empty(c->tap_user)) {
        struct passwd pw, *found = NULL;
        char buffer[4096];
        int r = getpwnam_r(c->tap_user, &pw, buffer, sizeof(buffer), &found);
        if (!found)
            return r ? -r : -ENOENT;
        d->tap_uid = pw.pw_uid;
    }
    return arena_failed(a) ? -ENOMEM : 0;
}

static int linux_open(const struct net_config *config, struct net_driver **ret)
{
    struct linux_driver *d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->driver.class = &NET_LINUX;
    d->magic = LINUX_MAGIC;
    int r = copy_config(d, config);
    if (r == 0)
        r = netlink_open(NETLINK_ROUTE, &d->route);
    if (r < 0) {
        linux_close(&d->driver);
        return r;
    }
    *ret = &d->driver;
    return 0;
}

/* --- what the parts share --- */

void pass_changed(struct pass *p, const char *what, const char *name)
{
    p->changes++;
    log_debug(what, KV("name", name));
}

void pass_fail(struct pass *p, const char **reason, int r, const char *what, const struct netlink *n)
{
    if (*reason)
        return;
    const char *kernel = n ? netlink_message(n) : "";
    *reason = *kernel ? arena_printf(p->a, "%s: %s (%s).", what, strerrordesc_np(-r), kernel)
                      : arena_printf(p->a, "%s: %s.", what, strerrordesc_np(-r));
}

int pass_did(struct pass *p, int r, const char *what, const char *name, const char **reason,
             const struct netlink *n)
{
    if (r >= 0) {
        pass_changed(p, what, name);
        return r;
    }
    char sentence[160];
    snprintf(sentence, sizeof(sentence), "Not done: %s %s", what, str_or(name, ""));
    pass_fail(p, reason, r, sentence, n);
    return r;
}

int pass_relist(struct pass *p)
{
    return links_list(p->d->route, p->a, &p->links);
}

bool name_is_ours(const char *name)
{
    static const char *const PREFIXES[] = { "yb-", "yt", "yv", "yl", "yd", "yr", "yq" };
    if (strlen(name) != NET_NAME_SIZE - 2)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(PREFIXES); i++) {
        size_t n = strlen(PREFIXES[i]);
        if (str_starts(name, PREFIXES[i]) && strspn(name + n, "0123456789abcdef") == strlen(name + n))
            return true;
    }
    return false;
}

static int network_order(const void *a, const void *b)
{
    return strcmp(((const struct pass_network *)a)->spec->id, ((const struct pass_network *)b)->spec->id);
}

struct pass_network *pass_network(struct pass *p, const char *id)
{
    size_t lo = 0, hi = p->networks.n;
    while (id && lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(p->networks.v[mid].spec->id, id);
        if (c == 0)
            return &p->networks.v[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool id_usable(const char *id)
{
    return !str_empty(id) && strlen(id) <= 64 &&
           strspn(id, "0123456789abcdefABCDEFghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ-_") == strlen(id);
}

static int read_wanted(struct pass *p)
{
    VEC_FOREACH(n, &p->want->networks) {
        if (!id_usable(n->id))
            continue;
        struct pass_network *net = vec_add(p->a, &p->networks);
        if (!net)
            return -ENOMEM;
        net->spec = n;
        net->seen.id = arena_strdup(p->a, n->id);
        net->mtu = n->mtu >= 68 && n->mtu <= 65535 ? (uint32_t)n->mtu : 1500;
        net_bridge_name(n->id, net->bridge);
        snprintf(net->namespace, sizeof(net->namespace), NETNS_NETWORK "%s", n->id);
        if (!str_empty(n->physical_network) && str_eq(n->type, "flat"))
            net->host_address = strmap_get(&p->d->config.addresses, n->physical_network);
        VEC_FOREACH(s, &n->subnets)
            net->dhcp |= n->dhcp_mac && s->dhcp_address;
    }
    if (p->networks.n)
        qsort(p->networks.v, p->networks.n, sizeof(*p->networks.v), network_order);
    VEC_FOREACH(spec, &p->want->ports) {
        if (!id_usable(spec->id))
            continue;
        struct pass_port *port = vec_add(p->a, &p->ports);
        if (!port)
            return -ENOMEM;
        char name[NET_NAME_SIZE];
        const char *device = port_device(spec, name);
        port->spec = spec;
        port->seen.id = arena_strdup(p->a, spec->id);
        port->seen.device = arena_strdup(p->a, device);
        port->existing = str_eq(spec->wiring, "existing");
        port->network = pass_network(p, spec->network_id);
        if (strlen(device) >= NET_NAME_SIZE || strchr(device, '/'))
            port->seen.reason = "The name of the port's device can't be used.";
        else
            memcpy(port->device, device, strlen(device) + 1);
        uint8_t mac[ETH_ALEN];
        if (!mac_parse(spec->mac_address, mac))
            port->seen.reason = "The port's MAC address can't be read.";
        /* A device of our own making has a name of our own form, or it would never be removed. */
        if (!port->existing && !name_is_ours(device))
            port->seen.reason = "The port's device is not named as a tap of ours.";
    }
    return arena_failed(p->a) ? -ENOMEM : 0;
}

/* Two ports with one device: the first has it. */
static int device_order(const void *a, const void *b)
{
    const struct pass_port *x = *(struct pass_port *const *)a, *y = *(struct pass_port *const *)b;
    int r = strcmp(x->device, y->device);
    return r ? r : strcmp(x->spec->id, y->spec->id);
}

static int check_devices(struct pass *p)
{
    struct pass_port **sorted = ARENA_NEWN(p->a, struct pass_port *, p->ports.n + 1);
    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < p->ports.n; i++)
        sorted[i] = &p->ports.v[i];
    if (p->ports.n)
        qsort(sorted, p->ports.n, sizeof(struct pass_port *), device_order);
    for (size_t i = 1; i < p->ports.n; i++)
        if (STREQ(sorted[i]->device, sorted[i - 1]->device) && sorted[i]->device[0])
            sorted[i]->seen.reason = "Another port has the same device.";
    return 0;
}

static void namespaces_remove(struct pass *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->namespaces.n; i++) {
        const char *name = p->namespaces.v[i];
        bool keep = false;
        if (str_starts(name, NETNS_NETWORK)) {
            const struct pass_network *n = pass_network(p, name + strlen(NETNS_NETWORK));
            keep = n && n->dhcp;
        } else {
            VEC_FOREACH(r, &p->want->routers)
                keep |= str_eq(r->id, name + strlen(NETNS_ROUTER));
        }
        if (!keep && netns_delete(p->d->config.netns_dir, name) == 0) {
            pass_changed(p, "removed namespace", name);
            continue;
        }
        p->namespaces.v[kept++] = name;
    }
    p->namespaces.n = kept;
}

/* --- rules --- */

static void rules_want(struct pass *p)
{
    char name[NET_NAME_SIZE];
    p->rules.spec = p->want;
    VEC_FOREACH(n, &p->networks) {
        if (!n->index || !n->zone)
            continue;
        struct rules_network rn = { n->spec->id, n->bridge, n->zone };
        vec_push(p->a, &p->rules.networks, rn);
    }
    VEC_FOREACH(port, &p->ports) {
        if (!port->index || !port->network || !port->network->index || port->seen.reason)
            continue;
        struct rules_port rp = { port->spec, port->device, (uint32_t)port->index };
        vec_push(p->a, &p->rules.ports, rp);
        strv_add(p->a, &p->rules.members, port->device);
        if (!port->network->host_address)
            strv_add(p->a, &p->rules.closed, port->device);
    }
    /* By name alone: legs that don't exist yet will be members the moment they do. */
    VEC_FOREACH(n, &p->networks) {
        const char *const PREFIXES[] = { "yv", "yl", "yd" };
        const bool there[] = { str_eq(n->spec->type, "vxlan"), str_eq(n->spec->type, "vlan"), n->dhcp };
        for (size_t i = 0; i < ARRAY_SIZE(PREFIXES); i++) {
            if (!there[i])
                continue;
            net_device_name(PREFIXES[i], n->spec->id, name);
            strv_add(p->a, &p->rules.members, name);
            if (!n->host_address)
                strv_add(p->a, &p->rules.closed, name);
        }
        const char *interface = str_eq(n->spec->type, "flat") && n->spec->physical_network
                                    ? strmap_get(&p->d->config.interfaces, n->spec->physical_network)
                                    : NULL;
        if (!str_empty(interface) && !strv_has(&p->rules.members, interface)) {
            strv_add(p->a, &p->rules.members, interface);
            if (!n->host_address)
                strv_add(p->a, &p->rules.closed, interface);
        }
    }
    VEC_FOREACH(r, &p->want->routers) {
        VEC_FOREACH(i, &r->interfaces) {
            const struct pass_network *n = pass_network(p, i->network_id);
            router_leg_name(i->port_id, name);
            strv_add(p->a, &p->rules.members, name);
            if (!n || !n->host_address)
                strv_add(p->a, &p->rules.closed, name);
        }
        if (r->gateway) {
            const struct pass_network *n = pass_network(p, r->gateway->network_id);
            router_leg_name(r->gateway->port_id, name);
            strv_add(p->a, &p->rules.members, name);
            if (!n || !n->host_address)
                strv_add(p->a, &p->rules.closed, name);
        }
    }
}

static bool keep_flow(void *arg, const struct flow *f)
{
    return flow_allowed(arg, f);
}

static void rules_make(struct pass *p)
{
    char error[256] = "";
    _cleanup_(buf_done) struct buf text = BUF_MAX(256u << 20);
    int r = rules_render(&p->rules, p->a, &text);
    if (r == 0)
        r = nft_make(buf_text(&text), HOST_FAMILIES, &p->d->rules, error, sizeof(error));
    if (r == NFT_CHANGED)
        pass_changed(p, "loaded rules", NULL);
    if (r < 0) {
        log_error("the rules could not be loaded", KV("error", (const char *)error));
        const char *why =
            arena_printf(p->a, "The rules could not be loaded: %s.", *error ? error : strerrordesc_np(-r));
        VEC_FOREACH(port, &p->ports)
            if (!port->seen.reason && port->spec->port_security_enabled)
                port->seen.reason = why;
        return;
    }
    if (r != NFT_CHANGED && p->d->passed)
        return;
    struct flow_index *x = flow_index_new(&p->rules, p->a);
    r = x ? conntrack_prune(keep_flow, x) : -ENOMEM;
    if (r > 0)
        p->changes += r;
    if (r < 0)
        log_warning("flows could not be ended", KV("error", strerrordesc_np(-r)));
}

static void report(struct pass *p, struct net_observed *seen)
{
    VEC_FOREACH(n, &p->networks)
        vec_push(p->a, &seen->networks, n->seen);
    VEC_FOREACH(port, &p->ports)
        vec_push(p->a, &seen->ports, port->seen);
    VEC_FOREACH(r, &p->routers)
        vec_push(p->a, &seen->routers, *r);
    seen->tunnel_address = p->d->config.tunnel_address;
    seen->changes = p->changes;
}

static int linux_converge(struct net_driver *driver, const struct net_spec *wanted, struct arena *a,
                          struct net_observed *ret)
{
    struct linux_driver *d = linux_driver(driver);
    struct pass p = { .d = d, .want = wanted, .a = a };
    struct strv more = { 0 };
    struct net_observed seen = { 0 };

    int r = read_wanted(&p);
    if (r == 0)
        r = check_devices(&p);
    if (r == 0)
        r = pass_relist(&p);
    if (r == 0)
        r = netns_list(d->config.netns_dir, NETNS_NETWORK, a, &p.namespaces);
    if (r == 0)
        r = netns_list(d->config.netns_dir, NETNS_ROUTER, a, &more);
    for (size_t i = 0; i < more.n; i++)
        strv_add(a, &p.namespaces, more.v[i]);
    if (r == 0)
        r = daemons_list(&p);
    if (r == 0)
        r = shapers_list(&p);
    if (r < 0)
        return r;

    links_want(&p);
    daemons_remove(&p);
    namespaces_remove(&p);
    links_remove(&p);
    if (p.changes && (r = pass_relist(&p)) < 0)
        return r;

    networks_make(&p);
    ports_make(&p);
    rules_want(&p);
    rules_make(&p);
    ports_plug(&p);
    forwarding_make(&p);
    VEC_FOREACH(n, &p.networks)
        if (n->dhcp)
            dhcp_make(&p, n);
    VEC_FOREACH(router, &wanted->routers) {
        struct router_observed *o = id_usable(router->id) ? vec_add(a, &p.routers) : NULL;
        if (!o)
            continue;
        o->id = arena_strdup(a, router->id);
        router_make(&p, router, o);
    }
    if (arena_failed(a))
        return -ENOMEM;
    d->passed = true;
    report(&p, &seen);
    if (arena_failed(a))
        return -ENOMEM;
    *ret = seen;
    return 0;
}

/* --- metadata --- */

struct listener {
    const char *address;
    int port;
    int fd;
};

static int listen_inside(void *arg)
{
    struct listener *l = arg;
    struct ip ip;
    if (!ip_parse(l->address, &ip))
        return -EINVAL;
    _cleanup_(closep) int fd = socket(ip.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int one = 1, r;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (ip.family == AF_INET) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)l->port) };
        memcpy(&sin.sin_addr, ip.bytes, 4);
        r = bind(fd, (const struct sockaddr *)&sin, sizeof(sin));
    } else {
        struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)l->port) };
        memcpy(&sin6.sin6_addr, ip.bytes, 16);
        if (ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80)
            sin6.sin6_scope_id = if_nametoindex("dhcp");
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
        r = bind(fd, (const struct sockaddr *)&sin6, sizeof(sin6));
    }
    if (r < 0 || listen(fd, 128) < 0)
        return -errno;
    l->fd = TAKE_FD(fd);
    return 0;
}

static int space_open(struct linux_driver *d, enum net_space space, const char *id)
{
    char name[NETNS_NAME_SIZE];
    if (!id_usable(id))
        return -ENOENT;
    snprintf(name, sizeof(name), "%s%s", space == NET_SPACE_NETWORK ? NETNS_NETWORK : NETNS_ROUTER, id);
    return netns_open(d->config.netns_dir, name);
}

static int linux_open_metadata_socket(struct net_driver *driver, enum net_space space, const char *id,
                                      const char *address, int port)
{
    _cleanup_(closep) int ns = space_open(linux_driver(driver), space, id);
    if (ns < 0)
        return ns;
    struct listener l = { address, port, -1 };
    int r = netns_call(ns, listen_inside, &l);
    return r < 0 ? r : l.fd;
}

static bool linux_metadata_socket_current(struct net_driver *driver, enum net_space space, const char *id,
                                          int fd)
{
    _cleanup_(closep) int now = space_open(linux_driver(driver), space, id);
    _cleanup_(closep) int of_socket = ioctl(fd, SIOCGSKNS);
    return now >= 0 && of_socket >= 0 && netns_inode(now) == netns_inode(of_socket);
}

const struct net_driver_class NET_LINUX = {
    .name = "linux",
    .open = linux_open,
    .close = linux_close,
    .probe = linux_probe,
    .converge = linux_converge,
    .open_metadata_socket = linux_open_metadata_socket,
    .metadata_socket_current = linux_metadata_socket_current,
};
