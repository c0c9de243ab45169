/* How full networks are, and lists that have nothing to choose from. */
#include "network/neutron.h"

#include <errno.h>
#include <stdio.h>

/* Numbers of addresses can be beyond 64 bits. */
static char *number_text(struct arena *a, ip_number n)
{
    char text[48];
    char *at = text + sizeof(text);
    *--at = 0;
    do {
        *--at = (char)('0' + (int)(n % 10));
        n /= 10;
    } while (n);
    return arena_strdup(a, at);
}

static ip_number pool_size(const struct subnet *s)
{
    ip_number n = 0;
    VEC_FOREACH (pool, &s->allocation_pools) {
        struct ip first, last;
        if (ip_parse(pool->start, &first) && ip_parse(pool->end, &last))
            n += last.n - first.n + 1;
    }
    return n;
}

static int put_network(struct call *c, const struct network *n, int version, struct json_out *o)
{
    struct subnets l = { 0 };
    struct ports ports = { 0 };
    int r = subnets_of(c->txn, n->head.id, &l);
    if (r == 0)
        r = ports_where(c->txn, "network_id", Q_EQ, n->head.id, &ports);
    if (r < 0)
        return r;
    ip_number all_total = 0;
    int64_t all_used = 0;
    _cleanup_(buf_done) struct buf text = { 0 };
    struct json_out list = JSON_OUT(&text);
    json_open_array(&list);
    for (size_t i = 0; i < l.n; i++) {
        const struct subnet *s = l.v[i];
        int64_t used = 0;
        if (version && s->ip_version != version)
            continue;
        for (size_t j = 0; j < ports.n; j++)
            VEC_FOREACH (ip, &ports.v[j]->fixed_ips)
                used += str_eq(ip->subnet_id, s->head.id);
        all_total += pool_size(s);
        all_used += used;
        json_open_object(&list);
        json_put_string(&list, "subnet_id", s->head.id);
        json_put_string(&list, "subnet_name", s->name);
        json_put_string(&list, "cidr", s->cidr);
        json_put_int(&list, "ip_version", s->ip_version);
        json_put_raw(&list, "total_ips", number_text(c->arena, pool_size(s)));
        json_put_int(&list, "used_ips", used);
        json_close_object(&list);
    }
    json_close_array(&list);
    json_open_object(o);
    json_put_string(o, "network_id", n->head.id);
    json_put_string(o, "network_name", n->name);
    json_put_string(o, "project_id", n->std.project_id);
    json_put_string(o, "tenant_id", n->std.project_id);
    json_put_raw(o, "total_ips", number_text(c->arena, all_total));
    json_put_int(o, "used_ips", all_used);
    json_put_raw(o, "subnet_ip_availability", arena_strdup(c->arena, buf_text(&text)));
    json_close_object(o);
    return 0;
}

static int wanted_version(struct call *c, int *ret)
{
    int64_t n;
    int r = call_arg_int(c, "ip_version", 4, 6, 0, &n);
    *ret = (int)n;
    return r;
}

int availability_show(struct call *c)
{
    void *object;
    int r = call_read(c);
    if (r == 0)
        r = resource_get(c, &NETWORK_RESOURCE, call_param(c, "id"), &object);
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "network_ip_availability");
    r = put_network(c, object, 0, &c->out);
    json_close_object(&c->out);
    return r;
}

int availability_list(struct call *c)
{
    static const char *const FILTERS[][2] = { { "network_id", "id" },
                                              { "network_name", "name" },
                                              { "project_id", "project_id" },
                                              { "tenant_id", "project_id" } };
    struct query q = { .kind = &NETWORK_KIND };
    struct results l = { 0 };
    int version;
    int r = call_read(c);
    if (r == 0)
        r = wanted_version(c, &version);
    if (r == 0)
        r = NETWORK_RESOURCE.scope(c, &q);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(FILTERS); i++)
        if (call_arg(c, FILTERS[i][0]) &&
            !query_where(&q, c->arena, FILTERS[i][1], Q_EQ, call_arg(c, FILTERS[i][0])))
            return -ENOMEM;
    if (r == 0)
        r = txn_list(c->txn, &q, &l);
    json_open_object(&c->out);
    json_put_array(&c->out, "network_ip_availabilities");
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = put_network(c, l.v[i], version, &c->out);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return r;
}

/* Each service has one way of being provided, which is not to be chosen. */
int providers_list(struct call *c)
{
    json_open_object(&c->out);
    json_put_array(&c->out, "service_providers");
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}
