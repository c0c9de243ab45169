/*
 * Interfaces of servers: os-interface, security groups, addresses of old.
 *
 * The port is the record; compute keeps only the tag. A port that is attached to a running server
 * shows up in its spec and the host plugs it in; one that is taken off leaves the spec.
 */
#include "compute/actions.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define ACTION(name) \
    static int name(struct call *c, struct server *s, const void *in, const struct given *given, bool *gone)
#define UNUSED_ARGUMENTS (void)c, (void)s, (void)in, (void)given, (void)gone

static const char *tag_of(const struct server *s, const char *port_id)
{
    VEC_FOREACH(n, &s->nics)
        if (str_eq(n->port_id, port_id))
            return n->tag;
    return NULL;
}

static void render(struct call *c, const struct server *s, const struct port_view *p)
{
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_string(o, "net_id", p->network_id);
    json_put_string(o, "port_id", p->id);
    json_put_string(o, "mac_addr", p->mac);
    json_put_string(o, "port_state", p->status);
    json_put_array(o, "fixed_ips");
    VEC_FOREACH(ip, &p->addresses) {
        json_open_object(o);
        json_put_string(o, "subnet_id", ip->subnet_id);
        json_put_string(o, "ip_address", ip->ip);
        json_close_object(o);
    }
    json_close_array(o);
    if (c->minor >= 70)
        json_put_string(o, "tag", tag_of(s, p->id));
    json_close_object(o);
}

static int list(struct call *c)
{
    struct server *s;
    struct port_views ports = { 0 };
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-attach-interfaces:list", &s);
    r = r ? r : network_ports_of(c->txn, s->head.id, &ports);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "interfaceAttachments");
    VEC_FOREACH(p, &ports)
        render(c, s, p);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int render_port(struct call *c, const struct server *s, const char *port_id)
{
    struct port_views ports = { 0 };
    int r = network_ports_of(c->txn, s->head.id, &ports);
    if (r < 0)
        return r;
    VEC_FOREACH(p, &ports) {
        if (!str_eq(p->id, port_id))
            continue;
        json_open_object(&c->out);
        json_key(&c->out, "interfaceAttachment");
        render(c, s, p);
        json_close_object(&c->out);
        return 0;
    }
    return call_fault(c, 404, "PortNotFound", "Instance %s does not have a port with id %s", s->head.id, port_id);
}

static int show(struct call *c)
{
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-attach-interfaces:show", &s);
    return r ? r : render_port(c, s, call_param(c, "port"));
}

static const char *check_ip(const char *s)
{
    unsigned char raw[16];
    return inet_pton(AF_INET, s, raw) == 1 || inet_pton(AF_INET6, s, raw) == 1 ? NULL : "is not a valid IP address";
}
struct ip_in { const char *address; };
static const struct field IP_ROWS[] = {
    { "ip_address", FIELD_STRING, offsetof(struct ip_in, address), IN_CREATE | REQUIRED, .check = check_ip,
      .doc = "Address." },
};
static SCHEMA(IP_SCHEMA, struct ip_in, IP_ROWS);
struct attach_in { const char *network, *port, *tag; VEC_OF(struct ip_in) ips; };
static const struct field ATTACH_ROWS[] = {
    { "net_id", FIELD_STRING, offsetof(struct attach_in, network), IN_CREATE, .check = check_uuid, .doc = "Network." },
    { "port_id", FIELD_STRING, offsetof(struct attach_in, port), IN_CREATE, .check = check_uuid, .doc = "Port." },
    { "fixed_ips", FIELD_OBJECTS, offsetof(struct attach_in, ips), IN_CREATE, .sub = &IP_SCHEMA, .items_max = 1,
      .doc = "Address." },
    { "tag", FIELD_STRING, offsetof(struct attach_in, tag), IN_CREATE, .min = 1, .max = 60, .check = check_tag,
      .since = 49, .doc = "Device role." },
};
static SCHEMA(ATTACH_SCHEMA, struct attach_in, ATTACH_ROWS);
struct attach_body { struct attach_in *attachment; };
static const struct field ATTACH_BODY_ROWS[] = {
    { "interfaceAttachment", FIELD_OBJECT, offsetof(struct attach_body, attachment), IN_CREATE,
      .sub = &ATTACH_SCHEMA, .doc = "The attachment." },
};
static SCHEMA(ATTACH_BODY_SCHEMA, struct attach_body, ATTACH_BODY_ROWS);

static int attach_write(struct call *c)
{
    static const struct attach_in NOTHING;
    const struct attach_body *body = c->in;
    const struct attach_in *in = body && body->attachment ? body->attachment : &NOTHING;
    struct server *s;
    int r = server_get_unlocked(c, call_param(c, "id"), "os_compute_api:os-attach-interfaces:create", &s);
    if (r)
        return r;
    if (in->network && in->port)
        return call_fault(c, 400, "BadRequest", "Must not input both network_id and port_id");
    if (in->ips.n && !in->network)
        return call_fault(c, 400, "BadRequest", "Must input network_id when request IP address");
    r = action_state(c, s, IN_ACTIVE | IN_PAUSED | IN_STOPPED, 0, "attach_interface");
    if (r)
        return r;
    struct port_wish wish = { .network_id = in->network, .port_id = in->port, .tag = in->tag,
                              .fixed_ip = in->ips.n ? in->ips.v[0].address : NULL,
                              .automatic = !in->network && !in->port };
    struct strv groups = { 0 };
    struct port_views made = { 0 };
    struct fault fault = { 0 };
    r = action_begin_call(c, s, "attach_interface");
    r = r ? r : network_ports_take(c, c->txn, s->project_id, s->head.id, s->hostname,
                                   str_or(s->availability_zone, "nova"), &wish, 1, &groups, &made, &fault);
    if (r == FAULT)
        return call_fault(c, STREQ(fault.type, "IpAddressGenerationFailure") ? 400 : fault.status, fault.type, "%s",
                          fault.message);
    if (r < 0 || !made.n)
        return r < 0 ? r : -EPROTO;
    struct nic_request *nic = vec_add(c->arena, &s->nics);
    if (!nic)
        return -ENOMEM;
    *nic = (struct nic_request){ .port_id = made.v[0].id, .network_id = made.v[0].network_id, .tag = in->tag,
                                 .made_here = made.v[0].own };
    const char *zone;
    r = host_zone(c->txn, s->host, &zone);
    r = r ? r : network_ports_bind(c->txn, s->head.id, s->host, zone);
    server_order(s);
    r = r ? r : action_end(c->txn, s, NULL);
    r = r ? r : server_put(c->txn, s);
    return r ? r : render_port(c, s, made.v[0].id);
}

static int attach(struct call *c)
{
    return call_write(c, attach_write);
}

static int let_go(struct call *c, struct server *s, const char *port_id)
{
    int r = network_port_release(c->txn, s->head.id, port_id, &c->fault);
    if (r)
        return r;
    for (size_t i = 0; i < s->nics.n; i++)
        if (str_eq(s->nics.v[i].port_id, port_id)) {
            vec_remove(&s->nics, i);
            break;
        }
    server_order(s);
    return 0;
}

static int detach_write(struct call *c)
{
    struct server *s;
    int r = server_get_unlocked(c, call_param(c, "id"), "os_compute_api:os-attach-interfaces:delete", &s);
    r = r ? r : action_state(c, s, IN_ACTIVE | IN_PAUSED | IN_STOPPED, 0, "detach_interface");
    r = r ? r : action_begin_call(c, s, "detach_interface");
    r = r ? r : let_go(c, s, call_param(c, "port"));
    r = r ? r : action_end(c->txn, s, NULL);
    return r ? r : server_put(c->txn, s);
}

static int detach(struct call *c)
{
    return call_write(c, detach_write);
}

/* os-virtual-interfaces, gone since 2.44. */
static int virtual_list(struct call *c)
{
    struct server *s;
    struct port_views ports = { 0 };
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-attach-interfaces:list", &s);
    r = r ? r : network_ports_of(c->txn, s->head.id, &ports);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "virtual_interfaces");
    VEC_FOREACH(p, &ports) {
        json_open_object(&c->out);
        json_put_string(&c->out, "id", p->id);
        json_put_string(&c->out, "mac_address", p->mac);
        if (c->minor >= 12)
            json_put_string(&c->out, "net_id", p->network_id);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

/* ---- actions ---- */

struct group_in { const char *name; };
static const struct field GROUP_ROWS[] = {
    { "name", FIELD_STRING, offsetof(struct group_in, name), IN_CREATE | REQUIRED, .min = 1, .max = 255,
      .doc = "Name or id." },
};
static SCHEMA(GROUP_SCHEMA, struct group_in, GROUP_ROWS);

ACTION(add_group)
{
    UNUSED_ARGUMENTS;
    return network_ports_group(c->txn, s->project_id, s->head.id, ((const struct group_in *)in)->name, true,
                               &c->fault);
}

ACTION(remove_group)
{
    UNUSED_ARGUMENTS;
    return network_ports_group(c->txn, s->project_id, s->head.id, ((const struct group_in *)in)->name, false,
                               &c->fault);
}

struct fixed_in { const char *network, *address; };
static const struct field ADD_FIXED_ROWS[] = {
    { "networkId", FIELD_STRING, offsetof(struct fixed_in, network), IN_CREATE | REQUIRED, .min = 1, .max = 36,
      .doc = "Network." },
};
static SCHEMA(ADD_FIXED_SCHEMA, struct fixed_in, ADD_FIXED_ROWS);
static const struct field REMOVE_FIXED_ROWS[] = {
    { "address", FIELD_STRING, offsetof(struct fixed_in, address), IN_CREATE | REQUIRED, .check = check_ip,
      .doc = "Address." },
};
static SCHEMA(REMOVE_FIXED_SCHEMA, struct fixed_in, REMOVE_FIXED_ROWS);

ACTION(add_fixed)
{
    (void)given;
    (void)gone;
    struct port_wish wish = { .network_id = ((const struct fixed_in *)in)->network };
    struct strv groups = { 0 };
    int r = server_ports_make(c, s, &wish, 1, &groups);
    const char *zone;
    r = r ? r : host_zone(c->txn, s->host, &zone);
    server_order(s);
    return r ? r : network_ports_bind(c->txn, s->head.id, s->host, zone);
}

ACTION(remove_fixed)
{
    (void)given;
    (void)gone;
    const char *address = ((const struct fixed_in *)in)->address;
    struct port_views ports = { 0 };
    int r = network_ports_of(c->txn, s->head.id, &ports);
    if (r < 0)
        return r;
    VEC_FOREACH(p, &ports)
        VEC_FOREACH(ip, &p->addresses)
            if (str_eq(ip->ip, address))
                return let_go(c, s, p->id);
    return call_fault(c, 400, "FixedIpNotFoundForSpecificInstance", "Instance %s does not have fixed IP '%s'.",
                      s->head.id, address);
}

const struct server_action NETWORK_ACTIONS[] = {
    { "addSecurityGroup", .rule = "os_compute_api:os-security-groups:add", .in = &GROUP_SCHEMA,
      .flags = ACT_OBJECT | ACT_BUSY_TOO, .fn = add_group },
    { "removeSecurityGroup", .rule = "os_compute_api:os-security-groups:remove", .in = &GROUP_SCHEMA,
      .flags = ACT_OBJECT | ACT_BUSY_TOO, .fn = remove_group },
    { "addFixedIp", .until = 43, .rule = "os_compute_api:os-multinic:add", .in = &ADD_FIXED_SCHEMA,
      .vm = IN_ACTIVE | IN_PAUSED | IN_STOPPED, .flags = ACT_OBJECT, .fn = add_fixed },
    { "removeFixedIp", .until = 43, .rule = "os_compute_api:os-multinic:remove", .in = &REMOVE_FIXED_SCHEMA,
      .vm = IN_ACTIVE | IN_PAUSED | IN_STOPPED, .flags = ACT_OBJECT, .fn = remove_fixed },
    { NULL },
};

#define P "/v2.1/servers/{id}/os-interface"
static const struct route ATTACH_ROUTES[] = {
    { "GET", P, list, NULL, 0, .doc = "Interfaces of a server." },
    { "POST", P, attach, NULL, ROUTE_BODY_OPTIONAL, .body = &ATTACH_BODY_SCHEMA, .mode = DECODE_CREATE,
      .doc = "Attaches an interface." },
    { "GET", P "/{port}", show, NULL, 0, .doc = "One interface." },
    { "DELETE", P "/{port}", detach, NULL, .status = 202, .doc = "Detaches an interface." },
    { "GET", "/v2.1/servers/{id}/os-virtual-interfaces", virtual_list, NULL, .until = 43,
      .doc = "Interfaces by their old name." },
};
static const struct policy_rule ATTACH_RULES[] = {
    { "os_compute_api:os-attach-interfaces:list", RULE_READER, "List interfaces of a server." },
    { "os_compute_api:os-attach-interfaces:show", RULE_READER, "Show an interface of a server." },
    { "os_compute_api:os-attach-interfaces:create", RULE_MEMBER, "Attach an interface." },
    { "os_compute_api:os-attach-interfaces:delete", RULE_MEMBER, "Detach an interface." },
};
COMPUTE_PART(ATTACH_PART, ATTACH_ROUTES, ATTACH_RULES);
