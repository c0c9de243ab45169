/*
 * Agents and availability zones, as views of hosts.
 *
 * One program on each host does all that Neutron has four agents for; each host is shown as those
 * four, for clients look for them by type. Their ids are the host's with another last digit.
 * Which networks a DHCP agent serves, which routers an L3 agent: the 'host' of the network or router.
 */
#include "network/neutron.h"

#include <errno.h>

#define ALIVE MINUTES(3)

static const struct role {
    const char *type, *binary, *topic;
    bool zoned;
} ROLES[] = {
    { "Linux bridge agent", "yun-agent", "N/A", false },
    { "DHCP agent", "yun-agent", "dhcp_agent", true },
    { "L3 agent", "yun-agent", "l3_agent", true },
    { "Metadata agent", "yun-agent", "N/A", false },
};
enum { ROLE_L2, ROLE_DHCP, ROLE_L3, ROLE_METADATA };

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

static char *role_id(struct arena *a, const char *id, size_t role)
{
    char *text = arena_strdup(a, id);
    size_t n = text ? strlen(text) : 0;
    if (n)
        text[n - 1] = "0123456789abcdef"[hex(text[n - 1]) ^ (int)role];
    return text;
}

/* The host and the role of an agent's id. FAULT 404. */
static int find_agent(struct call *c, const char *id, struct net_host **ret, size_t *ret_role)
{
    for (size_t role = 0; !str_empty(id) && role < ARRAY_SIZE(ROLES); role++) {
        const char *own = role_id(c->arena, id, role);
        int r = own ? txn_find_by(c->txn, &NET_HOST_KIND, "agent_id", own, ret) : -ENOMEM;
        if (r < 0)
            return r;
        *ret_role = role;
        if (*ret)
            return 0;
    }
    return call_fault(c, 404, "AgentNotFound", "Agent %s could not be found.", id);
}

static bool host_alive(const struct net_host *h)
{
    return clock_wall() - h->seen_at < ALIVE;
}

/* "2026-01-01 10:00:00": agents have their own style of times. */
static void put_time(struct call *c, struct json_out *o, const char *key, usec_t when)
{
    char *text = NULL;
    _cleanup_(buf_done) struct buf b = BUF_MAX(64);
    struct json_out t = JSON_OUT(&b);
    struct net_host h = { .created_at = when };
    struct encode_options opt = { .time_style = TIME_ISO_Z };
    field_encode(schema_field(NET_HOST_KIND.schema, "created_at"), &h, &opt, &t);
    text = arena_strdup(c->arena, buf_text(&b));
    size_t n = text ? strlen(text) : 0;
    if (n < 21 || text[0] != '"') {
        json_put_null(o, key);
        return;
    }
    text[11] = ' ';
    text[20] = 0;
    json_put_string(o, key, text + 1);
}

static void render_agent(struct call *c, const struct net_host *h, size_t role, struct json_out *o)
{
    json_open_object(o);
    if (resource_wants(c, "id"))
        json_put_string(o, "id", role_id(c->arena, h->agent_id, role));
    if (resource_wants(c, "agent_type"))
        json_put_string(o, "agent_type", ROLES[role].type);
    if (resource_wants(c, "binary"))
        json_put_string(o, "binary", ROLES[role].binary);
    if (resource_wants(c, "topic"))
        json_put_string(o, "topic", ROLES[role].topic);
    if (resource_wants(c, "host"))
        json_put_string(o, "host", h->head.id);
    if (resource_wants(c, "admin_state_up"))
        json_put_bool(o, "admin_state_up", h->admin_state_up);
    if (resource_wants(c, "created_at"))
        put_time(c, o, "created_at", h->created_at);
    if (resource_wants(c, "started_at"))
        put_time(c, o, "started_at", h->created_at);
    if (resource_wants(c, "heartbeat_timestamp"))
        put_time(c, o, "heartbeat_timestamp", h->seen_at);
    if (resource_wants(c, "alive"))
        json_put_bool(o, "alive", host_alive(h));
    if (resource_wants(c, "description"))
        json_put_string(o, "description", h->description);
    if (resource_wants(c, "availability_zone"))
        json_put_string(o, "availability_zone", ROLES[role].zoned ? "nova" : NULL);
    if (resource_wants(c, "configurations")) {
        json_put_object(o, "configurations");
        if (h->tunnel_address)
            json_put_string(o, "tunneling_ip", h->tunnel_address);
        json_close_object(o);
    }
    if (resource_wants(c, "resources_synced"))
        json_put_null(o, "resources_synced");
    json_close_object(o);
}

static bool matches(const struct call *c, const struct net_host *h, size_t role)
{
    VEC_FOREACH (arg, &c->http->args) {
        const char *is = STREQ(arg->key, "host")                ? h->head.id
                         : STREQ(arg->key, "agent_type")        ? ROLES[role].type
                         : STREQ(arg->key, "binary")            ? ROLES[role].binary
                         : STREQ(arg->key, "topic")             ? ROLES[role].topic
                         : STREQ(arg->key, "id")                ? role_id(c->arena, h->agent_id, role)
                         : STREQ(arg->key, "availability_zone") ? (ROLES[role].zoned ? "nova" : "")
                         : STREQ(arg->key, "description")       ? str_or(h->description, "")
                                                                : NULL;
        if (is && !STREQ(is, arg->value))
            return false;
        bool on = str_eq(arg->value, "true") || str_eq(arg->value, "True") || str_eq(arg->value, "1");
        if ((STREQ(arg->key, "alive") && on != host_alive(h)) ||
            (STREQ(arg->key, "admin_state_up") && on != h->admin_state_up))
            return false;
    }
    return true;
}

static int all_hosts(struct call *c, struct results *l)
{
    struct query q = { .kind = &NET_HOST_KIND };
    return txn_list(c->txn, &q, l);
}

int agents_list(struct call *c)
{
    struct results l = { 0 };
    int r = call_read(c);
    if (r == 0 && call_is_admin(c)) /* others see none, not an error */
        r = all_hosts(c, &l);
    if (r < 0)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "agents");
    for (size_t i = 0; i < l.n; i++)
        for (size_t role = 0; role < ARRAY_SIZE(ROLES); role++)
            if (matches(c, l.v[i], role))
                render_agent(c, l.v[i], role, &c->out);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int told(struct call *c, const struct net_host *h, size_t role)
{
    json_open_object(&c->out);
    json_key(&c->out, "agent");
    render_agent(c, h, role, &c->out);
    json_close_object(&c->out);
    return 0;
}

int agent_show(struct call *c)
{
    struct net_host *h;
    size_t role;
    int r = call_read(c);
    if (r == 0 && !call_is_admin(c))
        r = call_fault(c, 404, "AgentNotFound", "Agent %s could not be found.", call_param(c, "id"));
    if (r == 0)
        r = find_agent(c, call_param(c, "id"), &h, &role);
    return r ? r : told(c, h, role);
}

static int update_agent(struct call *c)
{
    struct net_host *h;
    size_t role;
    const json_t *body = json_get_object(c->body, "agent");
    int r = find_agent(c, call_param(c, "id"), &h, &role);
    if (r)
        return r;
    const char *key;
    json_t *value;
    if (!body)
        return call_fault(c, 400, "HTTPBadRequest", "Unable to find 'agent' in request body");
    json_object_foreach((json_t *)(uintptr_t)body, key, value)
    {
        if (STREQ(key, "admin_state_up") && json_is_boolean(value))
            h->admin_state_up = json_is_true(value);
        else if (STREQ(key, "description") && json_is_string(value) && json_string_length(value) <= 255)
            h->description = arena_strdup(c->arena, json_string_value(value));
        else
            return call_fault(c, 400, "HTTPBadRequest", "Attribute '%s' not allowed in PUT", key);
    }
    r = txn_put(c->txn, &NET_HOST_KIND, h);
    return r ? r : told(c, h, role);
}

int agent_update(struct call *c)
{
    return call_write(c, update_agent);
}

/* A host that is alive would be back with its next report. */
static int delete_agent(struct call *c)
{
    struct net_host *h;
    size_t role;
    int r = find_agent(c, call_param(c, "id"), &h, &role);
    if (r == 0 && host_alive(h))
        r = call_fault(c, 409, "AgentInUse", "Agent %s is alive: stop it first.", call_param(c, "id"));
    return r ? r : txn_delete(c->txn, &NET_HOST_KIND, h->head.id);
}

int agent_delete(struct call *c)
{
    return call_write(c, delete_agent);
}

int zones_list(struct call *c)
{
    static const char *const RESOURCES[] = { "network", "router" };
    struct results l = { 0 };
    int r = call_read(c);
    if (r == 0)
        r = all_hosts(c, &l);
    if (r < 0)
        return r;
    bool alive = false;
    for (size_t i = 0; i < l.n; i++)
        alive |= host_alive(l.v[i]);
    json_open_object(&c->out);
    json_put_array(&c->out, "availability_zones");
    for (size_t i = 0; l.n && i < ARRAY_SIZE(RESOURCES); i++) {
        json_open_object(&c->out);
        json_put_string(&c->out, "name", "nova");
        json_put_string(&c->out, "resource", RESOURCES[i]);
        json_put_string(&c->out, "state", alive ? "available" : "unavailable");
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

/* ---- what is placed on an agent ---- */

/* Networks without a subnet that wants DHCP have no DHCP server anywhere. */
static int hosted(struct call *c, size_t wanted, const struct resource *res)
{
    struct query q = { .kind = res->kind };
    struct results l = { 0 };
    struct net_host *h;
    size_t role;
    int r = call_read(c);
    if (r == 0)
        r = find_agent(c, call_param(c, "id"), &h, &role);
    if (r)
        return r;
    if (!query_where(&q, c->arena, "host", Q_EQ, h->head.id))
        return -ENOMEM;
    if (role == wanted)
        r = txn_list(c->txn, &q, &l);
    else if (wanted == ROLE_L3)
        return call_fault(c, 404, "InvalidL3Agent", "Agent %s is not a L3 Agent or has been disabled",
                          call_param(c, "id"));
    return r ? r : resource_render_list(c, res, &l, &q, true);
}

int agent_networks(struct call *c)
{
    return hosted(c, ROLE_DHCP, &NETWORK_RESOURCE);
}

int agent_routers(struct call *c)
{
    return hosted(c, ROLE_L3, &ROUTER_RESOURCE);
}

static const char **host_of(const struct resource *res, void *object)
{
    return field_at(schema_field(res->kind->schema, "host"), object);
}

static int place(struct call *c, size_t wanted, const struct resource *res, const char *id, bool add)
{
    struct net_host *h;
    size_t role;
    void *object;
    int r = find_agent(c, call_param(c, "id"), &h, &role);
    if (r == 0 && (role != wanted || !h->admin_state_up) && add)
        r = call_fault(c, 409, wanted == ROLE_L3 ? "InvalidL3Agent" : "InvalidDHCPAgent",
                       "Agent %s is not a valid %s or "
                       "has been disabled",
                       call_param(c, "id"), ROLES[wanted].type);
    if (r == 0)
        r = resource_get(c, res, str_or(id, ""), &object);
    if (r)
        return r;
    const char **host = host_of(res, object);
    if (add && str_eq(*host, h->head.id) && wanted == ROLE_DHCP)
        return call_fault(c, 409, "NetworkHostedByDHCPAgent",
                          "The network %s has been already hosted by the DHCP Agent "
                          "%s.",
                          id, call_param(c, "id"));
    if (!add && !str_eq(*host, h->head.id))
        return wanted == ROLE_DHCP
                   ? call_fault(c, 409, "NetworkNotHostedByDhcpAgent",
                                "The network %s is not hosted by the DHCP agent %s.", id, call_param(c, "id"))
                   : call_fault(c, 409, "RouterNotHostedByL3Agent",
                                "The router %s is not hosted by L3 agent %s.", id, call_param(c, "id"));
    *host = add ? h->head.id : NULL;
    r = wanted == ROLE_DHCP ? network_place(c->txn, object, *host) : txn_put(c->txn, res->kind, object);
    c->status = add ? 201 : 204;
    if (r == 0 && add)
        json_null_out(&c->out);
    return r;
}

static int add_network(struct call *c)
{
    return place(c, ROLE_DHCP, &NETWORK_RESOURCE, json_get_string(c->body, "network_id"), true);
}
static int drop_network(struct call *c)
{
    return place(c, ROLE_DHCP, &NETWORK_RESOURCE, call_param(c, "network_id"), false);
}
static int add_router(struct call *c)
{
    return place(c, ROLE_L3, &ROUTER_RESOURCE, json_get_string(c->body, "router_id"), true);
}
static int drop_router(struct call *c)
{
    return place(c, ROLE_L3, &ROUTER_RESOURCE, call_param(c, "router_id"), false);
}
int agent_network_add(struct call *c)
{
    return call_write(c, add_network);
}
int agent_network_drop(struct call *c)
{
    return call_write(c, drop_network);
}
int agent_router_add(struct call *c)
{
    return call_write(c, add_router);
}
int agent_router_drop(struct call *c)
{
    return call_write(c, drop_router);
}

/* The agents that serve one network or router. */
static int agents_of(struct call *c, size_t role, const struct resource *res)
{
    void *object;
    struct net_host *h = NULL;
    int r = call_read(c);
    if (r == 0)
        r = resource_get(c, res, call_param(c, "id"), &object);
    if (r == 0 && *host_of(res, object))
        r = txn_get(c->txn, &NET_HOST_KIND, *host_of(res, object), &h);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "agents");
    if (h)
        render_agent(c, h, role, &c->out);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

int network_agents(struct call *c)
{
    return agents_of(c, ROLE_DHCP, &NETWORK_RESOURCE);
}

int router_agents(struct call *c)
{
    return agents_of(c, ROLE_L3, &ROUTER_RESOURCE);
}
