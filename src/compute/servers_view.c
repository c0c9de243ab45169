/*
 * Servers as clients see them, by microversion.
 *
 * What a list needs of other slices (ports with addresses) is read for all its servers in one
 * query; names of security groups are looked up once per list.
 */
#include "compute/internal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

/* ---- ports of many servers ---- */

struct ports_row { const char *server_id; struct port_views ports; };
struct group_name { const char *id, *name; };

struct server_ports {
    struct arena *arena;
    VEC_OF(struct ports_row) rows;              /* by server id */
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct ports_row *)a)->server_id, ((const struct ports_row *)b)->server_id);
}

static struct ports_row *row_of(const struct server_ports *p, const char *server_id)
{
    struct ports_row key = { .server_id = server_id };
    return p->rows.n ? bsearch(&key, p->rows.v, p->rows.n, sizeof(*p->rows.v), by_id) : NULL;
}

static int take_port(void *arg, const char *server_id, const struct port_view *port)
{
    struct server_ports *p = arg;
    struct ports_row *row = row_of(p, server_id);
    return !row || vec_push(p->arena, &row->ports, *port) ? 0 : -ENOMEM;
}

int server_ports_load(struct call *c, struct server *const *servers, size_t n, struct server_ports **ret)
{
    struct server_ports *p = ARENA_NEW(c->arena, struct server_ports);
    struct strv ids = { 0 };
    if (!p)
        return -ENOMEM;
    p->arena = c->arena;
    for (size_t i = 0; i < n; i++) {
        struct ports_row *row = vec_add(c->arena, &p->rows);
        if (!row || !strv_add(c->arena, &ids, servers[i]->head.id))
            return -ENOMEM;
        row->server_id = servers[i]->head.id;
    }
    *ret = p;
    if (!n)
        return 0;
    qsort(p->rows.v, p->rows.n, sizeof(*p->rows.v), by_id);
    return n == 1 ? network_ports_of(c->txn, servers[0]->head.id, &p->rows.v[0].ports)
                  : network_ports_of_many(c->txn, &ids, take_port, p);
}

const struct port_views *server_ports_of(const struct server_ports *p, const char *server_id)
{
    const struct ports_row *row = row_of(p, server_id);
    return row ? &row->ports : NULL;
}

/* ---- pieces ---- */

const char *server_host_id(struct arena *a, const struct server *s)
{
    if (str_empty(s->host))
        return "";
    const char *text = arena_printf(a, "%s%s", str_or(s->project_id, ""), s->host);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!text || EVP_Digest(text, strlen(text), digest, &n, EVP_sha224(), NULL) != 1)
        return "";
    char *hex = arena_alloc(a, n * 2 + 1);
    for (unsigned i = 0; hex && i < n; i++)
        (void)snprintf(hex + i * 2, 3, "%02x", digest[i]);
    return hex;
}

static void put_address(struct json_out *o, const struct port_view *p, const char *ip, int version, const char *type,
                        bool wide)
{
    json_open_object(o);
    json_put_int(o, "version", version);
    json_put_string(o, "addr", ip);
    if (wide) {
        json_put_string(o, "OS-EXT-IPS:type", type);
        json_put_string(o, "OS-EXT-IPS-MAC:mac_addr", p->mac);
    }
    json_close_object(o);
}

/* Networks by name in the order of the first port on each; kind and MAC only when 'wide'. */
static void put_addresses(const struct port_views *ports, bool wide, struct json_out *o)
{
    for (size_t i = 0; ports && i < ports->n; i++) {
        const char *name = ports->v[i].network_name;
        size_t before = 0;
        while (before < i && !str_eq(ports->v[before].network_name, name))
            before++;
        if (before < i)
            continue;
        json_put_array(o, str_or(name, ""));
        for (size_t k = i; k < ports->n; k++) {
            const struct port_view *p = &ports->v[k];
            if (!str_eq(p->network_name, name))
                continue;
            VEC_FOREACH(ip, &p->addresses)
                put_address(o, p, ip->ip, ip->version, "fixed", wide);
            VEC_FOREACH(ip, &p->addresses)
                if (ip->floating_ip)
                    put_address(o, p, ip->floating_ip, 4, "floating", wide);
        }
        json_close_array(o);
    }
}

static int put_groups(struct call *c, const struct server *s, const struct port_views *ports, struct json_out *o)
{
    struct strv seen = { 0 };
    for (size_t i = 0; ports && i < ports->n; i++)
        for (size_t k = 0; k < ports->v[i].security_groups.n; k++)
            if (!strv_has(&seen, ports->v[i].security_groups.v[k]))
                strv_add(c->arena, &seen, ports->v[i].security_groups.v[k]);
    if (!seen.n)
        return 0;
    json_put_array(o, "security_groups");
    for (size_t i = 0; i < seen.n; i++) {
        const char *id = NULL, *name = NULL;
        int r = network_group_find(c->txn, s->project_id, seen.v[i], &id, &name);
        if (r < 0)
            return r;
        json_open_object(o);
        json_put_string(o, "name", name ? name : seen.v[i]);
        json_close_object(o);
    }
    json_close_array(o);
    return 0;
}

static void put_fault(struct call *c, const struct server *s, struct json_out *o)
{
    const struct server_fault *f = s->fault;
    json_put_object(o, "fault");
    json_put_int(o, "code", f->code);
    compute_put_time(o, "created", f->created_at, TIME_ISO_Z);
    json_put_string(o, "message", f->message);
    if (f->details && (call_is_admin(c) || f->code != 500))
        json_put_string(o, "details", f->details);
    json_close_object(o);
}

static void put_extended(struct call *c, const struct server *s, bool user_data, struct json_out *o)
{
    json_put_string(o, "OS-EXT-SRV-ATTR:host", s->host);
    json_put_string(o, "OS-EXT-SRV-ATTR:instance_name", str_or(s->instance_name, s->head.id));
    json_put_string(o, "OS-EXT-SRV-ATTR:hypervisor_hostname", s->node);
    if (c->minor < 3)
        return;
    json_put_string(o, "OS-EXT-SRV-ATTR:reservation_id", s->reservation_id);
    json_put_int(o, "OS-EXT-SRV-ATTR:launch_index", s->launch_index);
    json_put_string(o, "OS-EXT-SRV-ATTR:hostname", s->hostname);
    json_put_string(o, "OS-EXT-SRV-ATTR:kernel_id", str_or(s->kernel_id, ""));
    json_put_string(o, "OS-EXT-SRV-ATTR:ramdisk_id", str_or(s->ramdisk_id, ""));
    json_put_string(o, "OS-EXT-SRV-ATTR:root_device_name", s->root_device_name);
    if (user_data)
        json_put_string(o, "OS-EXT-SRV-ATTR:user_data", s->user_data);
}

static void put_volumes(struct call *c, const struct server *s, struct json_out *o)
{
    json_put_array(o, "os-extended-volumes:volumes_attached");
    VEC_FOREACH(b, &s->bdms) {
        if (!b->volume_id)
            continue;
        json_open_object(o);
        json_put_string(o, "id", b->volume_id);
        if (c->minor >= 3)
            json_put_bool(o, "delete_on_termination", b->delete_on_termination);
        json_close_object(o);
    }
    json_close_array(o);
}

static int put_host_status(struct call *c, const struct server *s, struct json_out *o)
{
    const char *status = "";
    if (!str_empty(s->host)) {
        struct compute_host *h;
        int r = txn_get(c->txn, &COMPUTE_HOST_KIND, s->host, &h);
        if (r < 0)
            return r;
        status = !h ? "UNKNOWN" : h->disabled ? "MAINTENANCE" : host_up(c->api, h) ? "UP" :
                 h->forced_down ? "DOWN" : "UNKNOWN";
    }
    json_put_string(o, "host_status", status);
    return 0;
}

static bool shows_progress(const char *status)
{
    static const char *const WITH[] = { "ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING" };
    for (size_t i = 0; i < ARRAY_SIZE(WITH); i++)
        if (STREQ(WITH[i], status))
            return true;
    return false;
}

static void put_image(struct call *c, const struct server *s, struct json_out *o)
{
    if (str_empty(s->image_ref)) {
        json_put_string(o, "image", "");
        return;
    }
    json_put_object(o, "image");
    json_put_string(o, "id", s->image_ref);
    compute_bookmark(c, "images", s->image_ref, o);
    json_close_object(o);
}

/* What every view of a server has. */
static void put_core(struct call *c, const struct server *s, const struct port_views *ports, bool wide,
                     struct json_out *o)
{
    const char *status = server_status(s);
    json_put_string(o, "id", s->head.id);
    json_put_string(o, "name", s->display_name);
    json_put_string(o, "status", status);
    json_put_string(o, "tenant_id", str_or(s->project_id, ""));
    json_put_string(o, "user_id", str_or(s->user_id, ""));
    json_put_map(o, "metadata", &s->metadata);
    json_put_string(o, "hostId", server_host_id(c->arena, s));
    put_image(c, s, o);
    if (s->flavor)
        flavor_render_in_server(c, s->flavor, o);
    compute_put_time(o, "created", s->created_at, TIME_ISO_Z);
    compute_put_time(o, "updated", s->updated_at, TIME_ISO_Z);
    json_put_object(o, "addresses");
    if (!STREQ(s->vm_state, VM_BUILDING))
        put_addresses(ports, wide, o);
    json_close_object(o);
    json_put_string(o, "accessIPv4", str_or(s->access_ip_v4, ""));
    json_put_string(o, "accessIPv6", str_or(s->access_ip_v6, ""));
    compute_links(c, "servers", s->head.id, o);
    json_put_string(o, "OS-DCF:diskConfig", s->auto_disk_config ? "AUTO" : "MANUAL");
    if (s->fault && (STREQ(status, "ERROR") || STREQ(status, "DELETED")))
        put_fault(c, s, o);
    if (shows_progress(status))
        json_put_int(o, "progress", s->progress);
}

/* What only came with later versions, in all full views. */
static void put_later(struct call *c, const struct server *s, struct json_out *o)
{
    if (c->minor >= 9)
        json_put_bool(o, "locked", s->locked);
    if (c->minor >= 73)
        json_put_string(o, "locked_reason", s->locked_reason);
    if (c->minor >= 19)
        json_put_string(o, "description", s->display_description);
    if (c->minor >= 26)
        json_put_strings(o, "tags", &s->tags);
    if (c->minor >= 63)
        json_put_raw(o, "trusted_image_certificates", s->trusted_certs);
}

int server_render(struct call *c, const struct server *s, const struct port_views *ports, enum server_view view)
{
    struct json_out *o = &c->out;
    json_open_object(o);
    put_core(c, s, ports, view == VIEW_SHOW || view == VIEW_LIST || c->minor >= 75, o);
    put_later(c, s, o);
    if (c->minor >= 71 && view != VIEW_LIST) {
        json_put_array(o, "server_groups");
        if (s->group_id)
            json_string_out(o, s->group_id);
        json_close_array(o);
    }
    if (view == VIEW_REBUILD)
        json_put_string(o, "adminPass", s->admin_password);
    if (view == VIEW_REBUILD && c->minor >= 57)
        json_put_string(o, "user_data", s->user_data);
    /* PUT and rebuild answer with all of it only from 2.75 on. */
    if ((view == VIEW_UPDATE || view == VIEW_REBUILD) && c->minor < 75) {
        if (view == VIEW_REBUILD && c->minor >= 54)
            json_put_string(o, "key_name", s->key_name);
        json_close_object(o);
        return 0;
    }
    const char *zone = NULL;
    int r = str_empty(s->host) ? 0 : host_zone(c->txn, s->host, &zone);
    if (r < 0)
        return r;
    json_put_string(o, "OS-EXT-AZ:availability_zone", zone ? zone : str_or(s->availability_zone, ""));
    json_put_string(o, "config_drive", s->config_drive ? "True" : "");
    json_put_string(o, "key_name", s->key_name);
    compute_put_time(o, "OS-SRV-USG:launched_at", s->launched_at, TIME_ISO_MICRO);
    compute_put_time(o, "OS-SRV-USG:terminated_at", s->terminated_at, TIME_ISO_MICRO);
    r = put_groups(c, s, ports, o);
    if (r < 0)
        return r;
    if (call_is_admin(c))
        put_extended(c, s, view != VIEW_REBUILD, o);
    else if (c->minor >= 90)
        json_put_string(o, "OS-EXT-SRV-ATTR:hostname", s->hostname);
    json_put_string(o, "OS-EXT-STS:task_state", s->task_state);
    json_put_string(o, "OS-EXT-STS:vm_state", s->vm_state);
    json_put_int(o, "OS-EXT-STS:power_state", s->power_state);
    put_volumes(c, s, o);
    if (c->minor >= 16 && call_is_admin(c)) {
        r = put_host_status(c, s, o);
        if (r < 0)
            return r;
    }
    json_close_object(o);
    return 0;
}

int server_render_one(struct call *c, struct server *s, enum server_view view)
{
    struct server_ports *ports;
    int r = server_ports_load(c, &s, 1, &ports);
    if (r < 0)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "server");
    r = server_render(c, s, server_ports_of(ports, s->head.id), view);
    json_close_object(&c->out);
    return r;
}

/* ---- addresses on their own: /servers/{id}/ips ---- */

static void put_plain_addresses(const struct port_views *ports, const char *name, struct json_out *o)
{
    json_put_array(o, name);
    for (size_t k = 0; k < ports->n; k++) {
        if (!str_eq(ports->v[k].network_name, name))
            continue;
        VEC_FOREACH(ip, &ports->v[k].addresses)
            for (int floating = 0; floating < 2; floating++) {
                if (floating && !ip->floating_ip)
                    continue;
                json_open_object(o);
                json_put_int(o, "version", floating ? 4 : ip->version);
                json_put_string(o, "addr", floating ? ip->floating_ip : ip->ip);
                json_close_object(o);
            }
    }
    json_close_array(o);
}

static int ips_list(struct call *c)
{
    struct server *s;
    struct port_views ports = { 0 };
    int r = server_get(c, call_param(c, "id"), "os_compute_api:ips:index", &s);
    r = r ? r : network_ports_of(c->txn, s->head.id, &ports);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_object(&c->out, "addresses");
    struct strv done = { 0 };
    VEC_FOREACH(p, &ports) {
        if (!p->network_name || strv_has(&done, p->network_name))
            continue;
        strv_add(c->arena, &done, p->network_name);
        put_plain_addresses(&ports, p->network_name, &c->out);
    }
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int ips_show(struct call *c)
{
    struct server *s;
    struct port_views ports = { 0 };
    const char *name = call_param(c, "network");
    int r = server_get(c, call_param(c, "id"), "os_compute_api:ips:show", &s);
    r = r ? r : network_ports_of(c->txn, s->head.id, &ports);
    if (r)
        return r;
    bool found = false;
    VEC_FOREACH(p, &ports)
        found = found || str_eq(p->network_name, name);
    if (!found)
        return call_fault(c, 404, "NetworkNotFound", "Instance is not a member of specified network");
    json_open_object(&c->out);
    put_plain_addresses(&ports, name, &c->out);
    json_close_object(&c->out);
    return 0;
}

/* Security groups of a server in the shape of the network API of old. */
static int groups_list(struct call *c)
{
    struct server *s;
    struct port_views ports = { 0 };
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-security-groups:list", &s);
    r = r ? r : network_ports_of(c->txn, s->head.id, &ports);
    if (r)
        return r;
    struct strv seen = { 0 };
    json_open_object(&c->out);
    json_put_array(&c->out, "security_groups");
    VEC_FOREACH(p, &ports)
        for (size_t i = 0; i < p->security_groups.n; i++) {
            const char *id = NULL, *name = NULL;
            if (strv_has(&seen, p->security_groups.v[i]))
                continue;
            strv_add(c->arena, &seen, p->security_groups.v[i]);
            r = network_group_find(c->txn, s->project_id, p->security_groups.v[i], &id, &name);
            if (r < 0)
                return r;
            json_open_object(&c->out);
            json_put_string(&c->out, "id", p->security_groups.v[i]);
            json_put_string(&c->out, "name", name);
            json_put_string(&c->out, "description", "");
            json_put_string(&c->out, "tenant_id", s->project_id);
            json_put_array(&c->out, "rules");
            json_close_array(&c->out);
            json_close_object(&c->out);
        }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

#define P "/v2.1/servers/{id}"
static const struct route VIEW_ROUTES[] = {
    { "GET", P "/ips", ips_list, NULL, 0, .doc = "Addresses of a server." },
    { "GET", P "/ips/{network}", ips_show, NULL, 0, .doc = "Addresses on one network." },
    { "GET", P "/os-security-groups", groups_list, NULL, 0, .doc = "Security groups of a server." },
};
static const struct policy_rule VIEW_RULES[] = {
    { "os_compute_api:ips:index", RULE_READER, "List addresses of a server." },
    { "os_compute_api:ips:show", RULE_READER, "Show addresses on one network." },
    { "os_compute_api:os-security-groups:list", RULE_READER, "List security groups of a server." },
};
COMPUTE_PART(SERVER_VIEW_PART, VIEW_ROUTES, VIEW_RULES);
