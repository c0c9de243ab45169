/*
 * Forwarding entries of tunnels: which host a MAC is behind, and which MAC an address has.
 *
 * Nothing is learned and nothing asked over the tunnels: entries come from the store. A
 * frame for a known MAC goes to its host alone; what must reach all goes to each host
 * that has a port of the network; ARP and neighbour solicitations for a known address are
 * answered by the bridge here.
 */
#include "host/net/linux.h"

static int entry_order(const void *a, const void *b)
{
    const struct neighbour *x = a, *y = b;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    if (x->master != y->master)
        return x->master ? 1 : -1;
    if (x->ip.family != y->ip.family)
        return x->ip.family < y->ip.family ? -1 : 1;
    int r = memcmp(x->mac, y->mac, ETH_ALEN);
    if (r)
        return r;
    r = memcmp(x->ip.bytes, y->ip.bytes, 16);
    if (r)
        return r;
    return x->host.family != y->host.family ? (x->host.family < y->host.family ? -1 : 1)
                                            : memcmp(x->host.bytes, y->host.bytes, 16);
}

/* Makes 'have' into 'want'. Both are sorted here. */
static void entries_make(struct pass *p, neighbours *have, neighbours *want)
{
    if (have->n)
        qsort(have->v, have->n, sizeof(*have->v), entry_order);
    if (want->n)
        qsort(want->v, want->n, sizeof(*want->v), entry_order);
    static const uint8_t zero[ETH_ALEN];
    size_t i, j;
    for (i = j = 0; i < have->n; i++) {
        while (j < want->n && entry_order(&want->v[j], &have->v[i]) < 0)
            j++;
        if (j < want->n && entry_order(&want->v[j], &have->v[i]) == 0)
            continue;
        if (neighbour_delete(p->d->route, &have->v[i]) == 0)
            pass_changed(p, "removed entry of", NULL);
    }
    for (i = j = 0; j < want->n; j++) {
        if (j && entry_order(&want->v[j - 1], &want->v[j]) == 0)
            continue;
        while (i < have->n && entry_order(&have->v[i], &want->v[j]) < 0)
            i++;
        if (i < have->n && entry_order(&have->v[i], &want->v[j]) == 0)
            continue;
        bool flood = !want->v[j].ip.family && memcmp(want->v[j].mac, zero, ETH_ALEN) == 0;
        int r = neighbour_add(p->d->route, &want->v[j], flood);
        if (r == 0) {
            pass_changed(p, "added entry", NULL);
            continue;
        }
        VEC_FOREACH(n, &p->networks) {
            char name[NET_NAME_SIZE];
            const struct link *l = links_find(&p->links, net_device_name("yv", n->spec->id, name));
            if (n->index == want->v[j].index || (l && l->index == want->v[j].index))
                pass_fail(p, &n->seen.reason, r, "A remote port could not be entered", p->d->route);
        }
    }
}

void forwarding_make(struct pass *p)
{
    neighbours have_fdb, have_neigh, fdb = { 0 }, neigh = { 0 }, ours = { 0 };
    bool tunnels = false;
    VEC_FOREACH(n, &p->networks)
        tunnels |= network_tunnelled(n->spec);
    if (!tunnels)
        return;
    if (forwarding_list(p->d->route, p->a, &have_fdb) < 0 ||
        neighbours_list(p->d->route, p->a, &have_neigh) < 0)
        return;
    VEC_FOREACH(r, &p->want->remote_ports) {
        struct pass_network *n = pass_network(p, r->network_id);
        char name[NET_NAME_SIZE];
        struct neighbour e = { 0 };
        if (!n || !n->index || !network_tunnelled(n->spec) || str_empty(r->host_address))
            continue;
        const struct link *l = links_find(&p->links, net_device_name("yv", n->spec->id, name));
        if (!l || !ip_parse(r->host_address, &e.host) || str_eq(r->host_address, p->d->config.tunnel_address))
            continue;
        e.index = l->index;
        vec_push(p->a, &fdb, e); /* floods reach that host */
        if (!mac_parse(r->mac_address, e.mac))
            continue;
        vec_push(p->a, &fdb, e);
        e.host = (struct ip){ 0 };
        e.master = true;
        vec_push(p->a, &fdb, e);
        e.master = false;
        e.index = n->index; /* the bridge answers for it */
        VEC_FOREACH(f, &r->fixed_ips)
            if (ip_parse(f->ip_address, &e.ip))
                vec_push(p->a, &neigh, e);
    }
    neighbours keep = { 0 };
    VEC_FOREACH(e, &have_fdb) {
        const struct link *l = links_index(&p->links, e->index);
        if (l && str_starts(l->name, "yv") && name_is_ours(l->name))
            vec_push(p->a, &keep, *e);
    }
    VEC_FOREACH(e, &have_neigh) {
        const struct link *l = links_index(&p->links, e->index);
        if (l && str_starts(l->name, "yb-") && name_is_ours(l->name))
            vec_push(p->a, &ours, *e);
    }
    if (arena_failed(p->a))
        return;
    entries_make(p, &keep, &fdb);
    entries_make(p, &ours, &neigh);
}
