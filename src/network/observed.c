/*
 * What a host tells of its networks: that it lives, where its tunnels end, which ports, routers and DHCP
 * servers work. Only what is placed on it can be changed by it, and a report that tells what is known
 * already writes nothing.
 */
#include "host/spec_net.h"
#include "network/internal.h"

#include <errno.h>

#define SEEN_EVERY SECONDS(30)

struct observation {
    const char *host;
    struct net_observed seen;
    bool dry; /* only look whether there is news */
    bool news;
};

static int set_status(struct txn *t, struct observation *o, struct port *p, const char *status)
{
    struct fault f;
    if (STREQ(p->status, status))
        return 0;
    o->news = true;
    p->status = status;
    p->std.updated_at = clock_wall();
    return o->dry ? 0 : port_put(t, p, &f);
}

/* Also the first word of a new host. */
static int note_host(struct txn *t, struct observation *o)
{
    struct net_host *h;
    usec_t now = clock_wall();
    int r = txn_get(t, &NET_HOST_KIND, o->host, &h);
    if (r < 0)
        return r;
    bool fresh = h && now - h->seen_at <= SEEN_EVERY && str_eq(h->tunnel_address, o->seen.tunnel_address);
    if (fresh || o->dry) {
        o->news |= !fresh;
        return 0;
    }
    if (!h) {
        struct arena *a = txn_arena(t);
        h = ARENA_NEW(a, struct net_host);
        if (!h || schema_defaults(NET_HOST_KIND.schema, a, h) < 0)
            return -ENOMEM;
        h->head.id = o->host;
        h->agent_id = uuid_new(a);
        h->created_at = now;
        h->admin_state_up = true;
    }
    h->seen_at = now;
    h->tunnel_address = o->seen.tunnel_address;
    return txn_put(t, &NET_HOST_KIND, h);
}

static int note_ports(struct txn *t, struct observation *o)
{
    int r = 0;
    VEC_FOREACH (seen, &o->seen.ports) {
        struct port *p;
        if (r == 0)
            r = txn_get(t, &PORT_KIND, seen->id, &p);
        if (r == 0 && p && str_eq(p->host, o->host) && !str_starts(p->device_owner, "network:"))
            r = set_status(t, o, p, seen->wired && p->admin_state_up ? "ACTIVE" : "DOWN");
    }
    return r;
}

static int note_routers(struct txn *t, struct observation *o)
{
    VEC_FOREACH (seen, &o->seen.routers) {
        struct ports legs = { 0 };
        struct router *router;
        int r = txn_get(t, &ROUTER_KIND, seen->id, &router);
        if (r == 0 && router && str_eq(router->host, o->host))
            r = ports_where(t, "device_id", Q_EQ, seen->id, &legs);
        for (size_t i = 0; r == 0 && i < legs.n; i++)
            r = set_status(t, o, legs.v[i], seen->up && router->admin_state_up ? "ACTIVE" : "DOWN");
        if (r)
            return r;
    }
    return 0;
}

static int note_dhcp(struct txn *t, struct observation *o)
{
    VEC_FOREACH (seen, &o->seen.networks) {
        struct port *p;
        int r = seen->id ? find_dhcp_port(t, seen->id, &p) : 0;
        if (r == 0 && seen->id && p && str_eq(p->host, o->host))
            r = set_status(t, o, p, seen->dhcp_up ? "ACTIVE" : "DOWN");
        if (r)
            return r;
    }
    return 0;
}

static int note(struct txn *t, void *arg)
{
    struct observation *o = arg;
    int r = note_host(t, o);
    if (r == 0)
        r = note_ports(t, o);
    if (r == 0)
        r = note_routers(t, o);
    return r ? r : note_dhcp(t, o);
}

int network_observed(struct api *api, struct arena *a, const char *host, const json_t *value)
{
    struct observation o = { .host = host, .dry = true };
    struct decode_error e;
    struct txn *t;
    if (schema_decode(&NET_OBSERVED_SCHEMA, value, DECODE_STORED, 0, a, &o.seen, NULL, &e) != 0)
        return 0; /* an agent that talks nonsense changes nothing */
    int r = store_read(api_store(api), a, &t);
    if (r < 0)
        return r;
    r = note(t, &o);
    txn_done(t);
    o.dry = false;
    return r == 0 && o.news ? store_write(api_store(api), a, note, &o) : r;
}
