/*
 * Hosts of networks: which are alive, and which one carries a network's DHCP server or a router.
 *
 * Any report of a host's agent is its sign of life; it is written at most every few seconds. A
 * controller gives hosts to what has none and moves what is on a silent one.
 */
#include "api/controller.h"
#include "base/log.h"
#include "network/internal.h"

#include <errno.h>

LOG_MODULE("network.placement");

static bool alive(const struct net_host *h)
{
    return h->admin_state_up && clock_wall() - h->seen_at < MINUTES(3);
}

static int count_on(struct txn *t, const struct kind *k, const char *host, uint64_t *ret)
{
    struct query q = { .kind = k };
    return query_where(&q, txn_arena(t), "host", Q_EQ, host) ? txn_count(t, &q, ret) : -ENOMEM;
}

int host_pick(struct txn *t, const char **ret)
{
    struct query q = { .kind = &NET_HOST_KIND };
    struct results l = { 0 };
    uint64_t least = UINT64_MAX;
    *ret = NULL;
    int r = txn_list(t, &q, &l);
    size_t living = 0;
    for (size_t i = 0; r == 0 && i < l.n; i++)
        living += alive(l.v[i]);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct net_host *h = l.v[i];
        uint64_t networks = 0, routers = 0;
        if (!alive(h))
            continue;
        if (living > 1)
            r = count_on(t, &NETWORK_KIND, h->head.id, &networks);
        if (r == 0 && living > 1)
            r = count_on(t, &ROUTER_KIND, h->head.id, &routers);
        if (r == 0 && networks + routers < least) {
            least = networks + routers;
            *ret = h->head.id;
        }
    }
    return r;
}

int network_place(struct txn *t, struct network *n, const char *host)
{
    struct port *p;
    struct fault f;
    n->host = host;
    int r = txn_put(t, &NETWORK_KIND, n);
    if (r == 0)
        r = find_dhcp_port(t, n->head.id, &p);
    if (r || !p || str_eq(p->host, host))
        return r;
    p->host = host;
    p->status = "DOWN";
    return port_put(t, p, &f);
}

static int homeless(struct txn *t, const char *host, bool *ret)
{
    struct net_host *h = NULL;
    int r = host ? txn_get(t, &NET_HOST_KIND, host, &h) : 0;
    *ret = !h || !alive(h);
    return r;
}

static int place_all(struct txn *t, void *arg)
{
    (void)arg;
    struct query networks = { .kind = &NETWORK_KIND }, routers = { .kind = &ROUTER_KIND };
    struct results n = { 0 }, r = { 0 };
    int e = txn_list(t, &networks, &n);
    if (e == 0)
        e = txn_list(t, &routers, &r);
    for (size_t i = 0; e == 0 && i < n.n + r.n; i++) {
        bool is_network = i < n.n;
        void *object = is_network ? n.v[i] : r.v[i - n.n];
        const char **host = is_network ? &((struct network *)object)->host : &((struct router *)object)->host;
        bool move;
        const char *to;
        e = homeless(t, *host, &move);
        if (e == 0 && move)
            e = host_pick(t, &to);
        if (e || !move || !to)
            continue;
        log_info("placed", KV("kind", is_network ? "network" : "router"),
                 KV("id", ((struct object *)object)->id), KV("host", to), KV("before", str_or(*host, "")));
        *host = to;
        e = is_network ? network_place(t, object, to) : txn_put(t, &ROUTER_KIND, object);
    }
    return e;
}

/* Whether anything has to be placed: asked without a write. */
static int any_homeless(struct api *api, struct arena *a, bool *ret)
{
    struct txn *t;
    int e = store_read(api_store(api), a, &t);
    if (e < 0)
        return e;
    struct query networks = { .kind = &NETWORK_KIND }, routers = { .kind = &ROUTER_KIND };
    struct results n = { 0 }, r = { 0 };
    const char *any = NULL;
    *ret = false;
    e = host_pick(t, &any);
    if (e == 0 && any)
        e = txn_list(t, &networks, &n);
    if (e == 0 && any)
        e = txn_list(t, &routers, &r);
    for (size_t i = 0; e == 0 && !*ret && i < n.n + r.n; i++)
        e = homeless(t, i < n.n ? ((struct network *)n.v[i])->host : ((struct router *)r.v[i - n.n])->host,
                     ret);
    txn_done(t);
    return e;
}

static int placement_step(struct api *api, struct arena *a, const struct change *changes, size_t n)
{
    (void)changes;
    (void)n;
    bool any;
    int r = any_homeless(api, a, &any);
    return r == 0 && any ? store_write(api_store(api), a, place_all, NULL) : r;
}

static const struct kind *const WAKING[] = { &NET_HOST_KIND, NULL };

const struct controller_class NETWORK_PLACEMENT = {
    .name = "network.placement",
    .kinds = WAKING,
    .interval = SECONDS(20),
    .step = placement_step,
};
