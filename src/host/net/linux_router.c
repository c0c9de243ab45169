/*
 * Routers: a namespace with a leg in each network, and one table of translations.
 *
 * Floating addresses are addresses of the gateway's link, so the kernel answers ARP for
 * them; each one that appears is announced, for it may have been elsewhere a moment ago.
 */
#include "host/net/linux.h"

#include "host/net/conntrack.h"
#include "host/net/dhcp.h"

#include <errno.h>
#include <stdio.h>

static const char *const FAMILIES[] = { "inet", NULL };

void router_leg_name(const char *port_id, char *out)
{
    net_device_name("yr", str_or(port_id, ""), out);
}

static void inner_name(const char *port_id, char *out)
{
    net_device_name("in-", str_or(port_id, ""), out);
}

static void gateway_name(const char *port_id, char *out)
{
    net_device_name("gw-", str_or(port_id, ""), out);
}

static struct router_memory *memory(struct linux_driver *d, const char *id)
{
    for (struct router_memory *m = d->routers; m; m = m->next)
        if (STREQ(m->id, id))
            return m;
    size_t n = strlen(id) + 1;
    struct router_memory *m = calloc(1, sizeof(*m) + n);
    if (!m)
        return NULL;
    memcpy(m->id, id, n);
    m->next = d->routers;
    d->routers = m;
    return m;
}

void routers_forget(struct linux_driver *d)
{
    while (d->routers) {
        struct router_memory *m = d->routers;
        d->routers = m->next;
        free(m);
    }
}

struct table {
    const struct router_spec *spec;
    const char *text;
    struct nft_memory *memory;
    bool first;
    int ended;
    char error[256];
};

static bool keep_flow(void *arg, const struct flow *f)
{
    const struct table *t = arg;
    return flow_translated(t->spec, f);
}

/* Inside: the table, and flows that it would translate otherwise now. */
static int table_inside(void *arg)
{
    struct table *t = arg;
    int r = nft_make(t->text, FAMILIES, t->memory, t->error, sizeof(t->error));
    if (r == NFT_CHANGED || (r == NFT_SAME && t->first)) {
        int ended = conntrack_prune(keep_flow, t);
        t->ended = MAX(ended, 0);
    }
    return r;
}

/* A link that the inside is to have; null without memory. */
static struct inner_link *want_leg(struct pass *p, struct inner *inner, const char *name,
                                   const char *network_id, const char *mac, const struct strv *cidrs)
{
    const struct pass_network *n = pass_network(p, network_id);
    struct inner_link *l = vec_add(p->a, &inner->links);
    if (!l)
        return NULL;
    *l = (struct inner_link){
        .name = arena_strdup(p->a, name), .mac = mac, .mtu = n ? n->mtu : 0, .cidrs = *cidrs, .announce = true
    };
    return l;
}

/* Legs whose port is not the router's any more went with the host's end of their pair:
 * its name comes from the port. What is left to do here is the other way round. */
void router_make(struct pass *p, const struct router_spec *r, struct router_observed *seen)
{
    char namespace[NETNS_NAME_SIZE], leg[NET_NAME_SIZE], name[NET_NAME_SIZE], gateway[NET_NAME_SIZE],
        error[256];
    snprintf(namespace, sizeof(namespace), NETNS_ROUTER "%s", r->id);
    int result = netns_create(p->d->config.netns_dir, namespace);
    if (result < 0) {
        pass_fail(p, &seen->reason, result, "The router's namespace could not be made", NULL);
        return;
    }
    if (!strv_has(&p->namespaces, namespace))
        pass_changed(p, "made namespace", namespace);

    struct inner inner = { .forward = r->admin_state_up };
    struct inner_link *out = NULL;
    strv_add(p->a, &inner.lo, "169.254.169.254");
    VEC_FOREACH(i, &r->interfaces) {
        router_leg_name(i->port_id, leg);
        inner_name(i->port_id, name);
        if (leg_make(p, leg, name, i->mac_address, pass_network(p, i->network_id), namespace,
                     &seen->reason) == 0)
            (void)want_leg(p, &inner, name, i->network_id, i->mac_address, &i->cidrs);
    }
    if (r->gateway) {
        struct pass_network *n = pass_network(p, r->gateway->network_id);
        router_leg_name(r->gateway->port_id, leg);
        gateway_name(r->gateway->port_id, gateway);
        if (leg_make(p, leg, gateway, r->gateway->mac_address, n, namespace, &seen->reason) == 0)
            out = want_leg(p, &inner, gateway, r->gateway->network_id, r->gateway->mac_address,
                           &r->gateway->cidrs);
    }
    if (out) {
        VEC_FOREACH(f, &r->floating_ips)
            if (!str_empty(f->floating_address) && !strv_has(&out->hosts, f->floating_address))
                strv_add(p->a, &out->hosts, f->floating_address);
        VEC_FOREACH(f, &r->port_forwardings)
            if (!str_empty(f->external_address) && !strv_has(&out->hosts, f->external_address))
                strv_add(p->a, &out->hosts, f->external_address);
        for (size_t i = 0; i < r->gateway->nexthops.n; i++) {
            const char *via = r->gateway->nexthops.v[i], *all = strchr(via, ':') ? "::/0" : "0.0.0.0/0";
            struct ip hop, at;
            struct ip_range covers;
            bool direct = false;
            for (size_t c = 0; c < r->gateway->cidrs.n; c++)
                direct |= ip_range_parse(r->gateway->cidrs.v[c], &covers) && ip_parse(via, &hop) &&
                          ip_range_has(&covers, &hop);
            /* A gateway outside the subnet is reached on the link. */
            if (!direct && ip_parse(via, &at)) {
                struct net_route on_link = { arena_printf(p->a, "%s/%d", via,
                                                          at.family == AF_INET ? 32 : 128),
                                             arena_strdup(p->a, gateway) };
                vec_push(p->a, &inner.routes, on_link);
            }
            struct net_route route = { all, via };
            vec_push(p->a, &inner.routes, route);
        }
    }
    VEC_FOREACH(route, &r->routes)
        vec_push(p->a, &inner.routes, *route);

    _cleanup_(closep) int fd = netns_open(p->d->config.netns_dir, namespace);
    if (fd < 0) {
        pass_fail(p, &seen->reason, fd, "The router's namespace could not be opened", NULL);
        return;
    }
    result = inner_make(fd, &inner, error, sizeof(error));
    if (result > 0)
        p->changes += result;
    if (result < 0 && !seen->reason)
        seen->reason = arena_strdup(p->a, error);

    _cleanup_(buf_done) struct buf text = BUF_MAX(16u << 20);
    struct router_memory *m = memory(p->d, r->id);
    const struct router_devices devices = { out ? gateway : NULL };
    if (!m || rules_router(r, &devices, p->a, &text) < 0) {
        arena_fail(p->a);
        return;
    }
    struct table t = { .spec = r, .text = buf_text(&text), .memory = &m->rules, .first = !p->d->passed };
    result = netns_call(fd, table_inside, &t);
    if (result == NFT_CHANGED)
        pass_changed(p, "loaded translations of", r->id);
    if (result < 0 && !seen->reason)
        seen->reason = arena_printf(p->a, "The router's rules could not be loaded: %s.", t.error);
    p->changes += t.ended;

    char daemon[NETNS_NAME_SIZE], dir[560];
    const char *conf = NULL;
    snprintf(daemon, sizeof(daemon), "rtr-%s", r->id);
    snprintf(dir, sizeof(dir), "%s/%s", p->d->config.run_dir, daemon);
    if (advertise_render(p->want, r, inner_name, dir, p->a, &conf) == 0 && conf && r->admin_state_up) {
        const struct daemon_file file = { "conf", conf };
        (void)daemon_make(p, daemon, namespace, &file, 1, &seen->reason);
    } else {
        daemon_stop(p, daemon);
    }
    if (!r->admin_state_up && !seen->reason)
        seen->reason = "The router is administratively down.";
    seen->up = !seen->reason;
}
