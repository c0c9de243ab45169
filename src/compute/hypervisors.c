/*
 * Hosts as administrators see them: hypervisors, services, zones, the hosts of old.
 *
 * One compute_host is all of these: its agent is the service "nova-compute", its hypervisor the
 * node. From 2.53 on both are named by uuids, before by small numbers.
 */
#include "compute/internal.h"

#include <errno.h>
#include <stdio.h>

struct hosts { struct compute_host **v; size_t n, cap; };

static int hosts_all(struct call *c, struct hosts *ret)
{
    struct query q = { .kind = &COMPUTE_HOST_KIND };
    struct results l = { 0 };
    int r = call_read(c);
    r = r ? r : txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (!vec_push(c->arena, ret, (struct compute_host *)l.v[i]))
            r = -ENOMEM;
    return r;
}

static const char *node_name(const struct compute_host *h)
{
    return h->facts && h->facts->hostname ? h->facts->hostname : h->head.id;
}

static void put_id(struct call *c, const char *key, int64_t number, const char *uuid)
{
    if (c->minor >= 53)
        json_put_string(&c->out, key, uuid);
    else
        json_put_int(&c->out, key, number);
}

/* ---- hypervisors ---- */

static void put_head(struct call *c, const struct compute_host *h)
{
    put_id(c, "id", h->number, h->node_id);
    json_put_string(&c->out, "hypervisor_hostname", node_name(h));
    json_put_string(&c->out, "state", host_up(c->api, h) ? "up" : "down");
    json_put_string(&c->out, "status", h->disabled ? "disabled" : "enabled");
}

static int put_servers(struct call *c, const struct compute_host *h)
{
    struct query q = { .kind = &SERVER_KIND };
    struct results l = { 0 };
    if (!query_where(&q, c->arena, "host", Q_EQ, h->head.id))
        return -ENOMEM;
    int r = txn_list(c->txn, &q, &l);
    if (r || (!l.n && c->minor < 75))
        return r;
    json_put_array(&c->out, "servers");
    for (size_t i = 0; i < l.n; i++) {
        const struct server *s = l.v[i];
        json_open_object(&c->out);
        json_put_string(&c->out, "uuid", s->head.id);
        json_put_string(&c->out, "name", s->instance_name);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    return 0;
}

static void put_cpu(struct json_out *o, const struct host_facts *f)
{
    json_open_object(o);
    json_put_string(o, "arch", f->arch);
    json_put_string(o, "model", f->cpu_model);
    json_put_string(o, "vendor", f->cpu_vendor);
    json_put_object(o, "topology");
    json_put_int(o, "cores", f->cpu_cores);
    json_put_int(o, "threads", f->cpu_threads);
    json_put_int(o, "sockets", f->cpu_sockets);
    json_close_object(o);
    json_put_strings(o, "features", &f->cpu_features);
    json_close_object(o);
}

static void put_cpu_info(struct call *c, const struct host_facts *f)
{
    json_key(&c->out, "cpu_info");
    if (c->minor >= 28) {
        put_cpu(&c->out, f);
        return;
    }
    /* older versions have it as text within the text */
    _cleanup_(buf_done) struct buf b = BUF_MAX(65536);
    struct json_out o = JSON_OUT(&b);
    put_cpu(&o, f);
    json_string_out(&c->out, buf_text(&b));
}

static const char *uptime_text(struct call *c, const struct host_facts *f)
{
    long long s = (long long)(f->uptime / 1000000);
    return arena_printf(c->arena, " up %lld days, %lld:%02lld,  load average: %.2f", s / 86400, s % 86400 / 3600,
                        s % 3600 / 60, (double)f->load_milli / 1000);
}

static int put_detail(struct call *c, const struct compute_host *h)
{
    static const struct host_facts NONE = { 0 };
    const struct host_facts *f = h->facts ? h->facts : &NONE;
    struct host_usage u;
    int r = host_usage_count(c->txn, h->head.id, &u);
    if (r)
        return r;
    put_head(c, h);
    json_put_string(&c->out, "host_ip", str_or(f->host_ip, "127.0.0.1"));
    json_put_string(&c->out, "hypervisor_type", str_or(f->hypervisor_type, "QEMU"));
    json_put_int(&c->out, "hypervisor_version", f->hypervisor_version);
    json_put_object(&c->out, "service");
    put_id(c, "id", h->number, h->service_id);
    json_put_string(&c->out, "host", h->head.id);
    json_put_string(&c->out, "disabled_reason", h->disabled_reason);
    json_close_object(&c->out);
    if (c->minor >= 88) {
        json_put_string(&c->out, "uptime", h->facts ? uptime_text(c, f) : NULL);
    } else {
        put_cpu_info(c, f);
        json_put_int(&c->out, "current_workload", 0);
        json_put_int(&c->out, "disk_available_least", f->disk_free_gb);
        json_put_int(&c->out, "free_disk_gb", f->disk_gb - u.disk_gb);
        json_put_int(&c->out, "free_ram_mb", f->memory_mb - u.memory_mb);
        json_put_int(&c->out, "local_gb", f->disk_gb);
        json_put_int(&c->out, "local_gb_used", u.disk_gb);
        json_put_int(&c->out, "memory_mb", f->memory_mb);
        json_put_int(&c->out, "memory_mb_used", u.memory_mb);
        json_put_int(&c->out, "running_vms", u.servers);
        json_put_int(&c->out, "vcpus", f->vcpus);
        json_put_int(&c->out, "vcpus_used", u.vcpus);
    }
    return c->minor >= 53 && call_arg_bool(c, "with_servers", false) ? put_servers(c, h) : 0;
}

static int list_hypervisors(struct call *c, bool detail, const char *pattern, bool servers)
{
    struct hosts l = { 0 };
    const char *marker = NULL, *last = NULL;
    size_t limit = 0;
    bool more = false, begun;
    int r = c->minor >= 33 && !pattern ? compute_page(c, &limit, &marker) : 0;
    r = r ? r : hosts_all(c, &l);
    if (r)
        return r;
    begun = !marker;
    json_open_object(&c->out);
    json_put_array(&c->out, "hypervisors");
    size_t n = 0;
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct compute_host *h = l.v[i];
        if (pattern && !strstr(node_name(h), pattern))
            continue;
        const char *id = c->minor >= 53 ? h->node_id : arena_printf(c->arena, "%lld", (long long)h->number);
        if (!begun) {
            begun = str_eq(id, marker);
            continue;
        }
        if (limit && n == limit) {
            more = true;
            break;
        }
        json_open_object(&c->out);
        if (detail)
            r = put_detail(c, h);
        else
            put_head(c, h);
        if (r == 0 && (servers || (!detail && c->minor >= 53 && call_arg_bool(c, "with_servers", false))))
            r = put_servers(c, h);
        json_close_object(&c->out);
        last = id;
        n++;
    }
    json_close_array(&c->out);
    if (c->minor >= 33 && !pattern)
        compute_next_link(c, "hypervisors", more, last, &c->out);
    json_close_object(&c->out);
    if (!begun)
        return call_fault(c, 400, "MarkerNotFound", "Marker %s could not be found.", marker);
    if (pattern && !n)
        return call_fault(c, 404, "ComputeHostNotFound", "No hypervisor matching '%s' could be found.", pattern);
    return r;
}

static int hypervisors_list(struct call *c)
{
    return list_hypervisors(c, false, c->minor >= 53 ? call_arg(c, "hypervisor_hostname_pattern") : NULL, false);
}

static int hypervisors_detail(struct call *c)
{
    return list_hypervisors(c, true, c->minor >= 53 ? call_arg(c, "hypervisor_hostname_pattern") : NULL, false);
}

static int hypervisors_search(struct call *c)
{
    return list_hypervisors(c, false, call_param(c, "id"), false);
}

static int hypervisors_servers(struct call *c)
{
    return list_hypervisors(c, false, call_param(c, "id"), true);
}

static int find_host(struct call *c, const char *id, bool service, struct compute_host **ret)
{
    struct hosts l = { 0 };
    int r = hosts_all(c, &l);
    *ret = NULL;
    if (c->minor >= 53 && !uuid_valid(id))
        return call_fault(c, 400, "BadRequest", "Invalid uuid %s", id);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const char *have = c->minor >= 53 ? (service ? l.v[i]->service_id : l.v[i]->node_id)
                                          : arena_printf(c->arena, "%lld", (long long)l.v[i]->number);
        if (str_eq(have, id))
            *ret = l.v[i];
    }
    if (r == 0 && !*ret)
        return service ? call_fault(c, 404, "ServiceNotFound", "Service %s could not be found.", id)
                       : call_fault(c, 404, "ComputeHostNotFound", "Hypervisor with ID '%s' could not be found.", id);
    return r;
}

static int hypervisor_show(struct call *c)
{
    struct compute_host *h;
    int r = find_host(c, call_param(c, "id"), false, &h);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_object(&c->out, "hypervisor");
    r = put_detail(c, h);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static int hypervisor_uptime(struct call *c)
{
    struct compute_host *h;
    int r = find_host(c, call_param(c, "id"), false, &h);
    if (r)
        return r;
    if (!h->facts || !host_up(c->api, h))
        return call_fault(c, 400, "ComputeServiceUnavailable", "Compute service of %s is unavailable at this time.",
                          h->head.id);
    json_open_object(&c->out);
    json_put_object(&c->out, "hypervisor");
    put_head(c, h);
    json_put_string(&c->out, "uptime", uptime_text(c, h->facts));
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int hypervisors_statistics(struct call *c)
{
    struct hosts l = { 0 };
    int r = hosts_all(c, &l);
    struct host_facts sum = { 0 };
    struct host_usage used = { 0 };
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct host_facts *f = l.v[i]->facts;
        struct host_usage u;
        if (!f)
            continue;
        r = host_usage_count(c->txn, l.v[i]->head.id, &u);
        sum.vcpus += f->vcpus;
        sum.memory_mb += f->memory_mb;
        sum.disk_gb += f->disk_gb;
        sum.disk_free_gb += f->disk_free_gb;
        used.vcpus += u.vcpus;
        used.memory_mb += u.memory_mb;
        used.disk_gb += u.disk_gb;
        used.servers += u.servers;
    }
    json_open_object(&c->out);
    json_put_object(&c->out, "hypervisor_statistics");
    json_put_int(&c->out, "count", (int64_t)l.n);
    json_put_int(&c->out, "current_workload", 0);
    json_put_int(&c->out, "disk_available_least", sum.disk_free_gb);
    json_put_int(&c->out, "free_disk_gb", sum.disk_gb - used.disk_gb);
    json_put_int(&c->out, "free_ram_mb", sum.memory_mb - used.memory_mb);
    json_put_int(&c->out, "local_gb", sum.disk_gb);
    json_put_int(&c->out, "local_gb_used", used.disk_gb);
    json_put_int(&c->out, "memory_mb", sum.memory_mb);
    json_put_int(&c->out, "memory_mb_used", used.memory_mb);
    json_put_int(&c->out, "running_vms", used.servers);
    json_put_int(&c->out, "vcpus", sum.vcpus);
    json_put_int(&c->out, "vcpus_used", used.vcpus);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

/* ---- services ---- */

static int put_service(struct call *c, const struct compute_host *h)
{
    const char *zone;
    int r = host_zone(c->txn, h->head.id, &zone);
    json_open_object(&c->out);
    put_id(c, "id", h->number, h->service_id);
    json_put_string(&c->out, "binary", "nova-compute");
    json_put_string(&c->out, "host", h->head.id);
    json_put_string(&c->out, "zone", r ? "" : zone);
    json_put_string(&c->out, "status", h->disabled ? "disabled" : "enabled");
    json_put_string(&c->out, "state", host_up(c->api, h) ? "up" : "down");
    compute_put_time(&c->out, "updated_at", host_last_seen(c->api, h), TIME_ISO_MICRO);
    json_put_string(&c->out, "disabled_reason", h->disabled_reason);
    if (c->minor >= 11)
        json_put_bool(&c->out, "forced_down", h->forced_down);
    json_close_object(&c->out);
    return r;
}

static int services_list(struct call *c)
{
    struct hosts l = { 0 };
    const char *host = call_arg(c, "host"), *binary = call_arg(c, "binary");
    int r = hosts_all(c, &l);
    json_open_object(&c->out);
    json_put_array(&c->out, "services");
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if ((!host || STREQ(host, l.v[i]->head.id)) && (!binary || STREQ(binary, "nova-compute")))
            r = put_service(c, l.v[i]);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return r;
}

/* One that a body names by host and binary: the API up to 2.52. */
static int named_host(struct call *c, struct compute_host **ret)
{
    const char *host = json_get_string(c->body, "host"), *binary = json_get_string(c->body, "binary");
    if (!host || !binary)
        return call_fault(c, 400, "ValidationError", "Invalid input: 'host' and 'binary' are required properties");
    int r = txn_get(c->txn, &COMPUTE_HOST_KIND, host, ret);
    if (r == 0 && (!*ret || !STREQ(binary, "nova-compute")))
        return call_fault(c, 404, "HostBinaryNotFound", "Could not find binary %s on host %s.", binary, host);
    return r;
}

static int service_order(struct call *c)
{
    struct compute_host *h;
    const char *order = call_param(c, "id"), *reason = json_get_string(c->body, "disabled_reason");
    bool log_reason = STREQ(order, "disable-log-reason");
    if (!STREQ(order, "enable") && !STREQ(order, "disable") && !log_reason &&
        !(STREQ(order, "force-down") && c->minor >= 11))
        return call_fault(c, 404, "NotFound", "Unknown action");
    int r = named_host(c, &h);
    if (r)
        return r;
    if (log_reason && (str_empty(reason) || strlen(reason) > 255))
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute disabled_reason.");
    if (STREQ(order, "force-down")) {
        h->forced_down = json_get_bool(c->body, "forced_down", false);
    } else {
        h->disabled = !STREQ(order, "enable");
        h->disabled_reason = log_reason ? reason : NULL;
    }
    r = txn_put(c->txn, &COMPUTE_HOST_KIND, h);
    json_open_object(&c->out);
    json_put_object(&c->out, "service");
    json_put_string(&c->out, "host", h->head.id);
    json_put_string(&c->out, "binary", "nova-compute");
    if (STREQ(order, "force-down"))
        json_put_bool(&c->out, "forced_down", h->forced_down);
    else
        json_put_string(&c->out, "status", h->disabled ? "disabled" : "enabled");
    if (log_reason)
        json_put_string(&c->out, "disabled_reason", reason);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static int service_change(struct call *c)
{
    struct compute_host *h;
    const char *status = json_get_string(c->body, "status"), *reason = json_get_string(c->body, "disabled_reason");
    const json_t *down = json_object_get(c->body, "forced_down");
    int r = find_host(c, call_param(c, "id"), true, &h);
    if (r)
        return r;
    if ((!status && !down) || (status && !STREQ(status, "enabled") && !STREQ(status, "disabled")) ||
        (down && !json_is_boolean(down)))
        return call_fault(c, 400, "ValidationError", "Invalid input: status must be enabled or disabled, forced_down a "
                          "boolean; one of them is needed.");
    if (reason && (!status || STREQ(status, "enabled")))
        return call_fault(c, 400, "BadRequest", "Specifying disabled_reason when status is enabled is invalid.");
    if (status) {
        h->disabled = STREQ(status, "disabled");
        h->disabled_reason = reason;
    }
    if (down)
        h->forced_down = json_is_true(down);
    r = txn_put(c->txn, &COMPUTE_HOST_KIND, h);
    json_open_object(&c->out);
    json_key(&c->out, "service");
    r = r ? r : put_service(c, h);
    json_close_object(&c->out);
    return r;
}

static int service_write(struct call *c)
{
    return call_write(c, c->minor >= 53 ? service_change : service_order);
}

static int service_remove(struct call *c)
{
    struct compute_host *h;
    struct host_usage u;
    int r = find_host(c, call_param(c, "id"), true, &h);
    r = r ? r : host_usage_count(c->txn, h->head.id, &u);
    if (r)
        return r;
    if (u.servers)
        return call_fault(c, 409, "Conflict", "Unable to delete compute service that is hosting instances. Migrate or "
                          "delete the instances first.");
    c->status = 204;
    return txn_delete(c->txn, &COMPUTE_HOST_KIND, h->head.id);
}

static int service_delete(struct call *c)
{
    return call_write(c, service_remove);
}

/* ---- zones ---- */

static int put_zones(struct call *c, bool detail)
{
    struct hosts l = { 0 };
    struct strv zones = { 0 };
    int r = hosts_all(c, &l);
    const char **of = ARENA_NEWN(c->arena, const char *, l.n + 1);
    if (!of)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        r = host_zone(c->txn, l.v[i]->head.id, &of[i]);
        if (r == 0 && !strv_has(&zones, of[i]) && !strv_add(c->arena, &zones, of[i]))
            r = -ENOMEM;
    }
    if (!zones.n)
        strv_add(c->arena, &zones, "nova");
    json_open_object(&c->out);
    json_put_array(&c->out, "availabilityZoneInfo");
    for (size_t z = 0; r == 0 && z < zones.n; z++) {
        bool available = false;
        for (size_t i = 0; i < l.n; i++)
            available |= str_eq(of[i], zones.v[z]) && !l.v[i]->disabled;
        json_open_object(&c->out);
        json_put_string(&c->out, "zoneName", zones.v[z]);
        json_put_object(&c->out, "zoneState");
        json_put_bool(&c->out, "available", available || !l.n);
        json_close_object(&c->out);
        if (!detail) {
            json_put_null(&c->out, "hosts");
        } else {
            json_put_object(&c->out, "hosts");
            for (size_t i = 0; i < l.n; i++) {
                if (!str_eq(of[i], zones.v[z]))
                    continue;
                json_put_object(&c->out, l.v[i]->head.id);
                json_put_object(&c->out, "nova-compute");
                json_put_bool(&c->out, "available", host_up(c->api, l.v[i]));
                json_put_bool(&c->out, "active", !l.v[i]->disabled);
                compute_put_time(&c->out, "updated_at", host_last_seen(c->api, l.v[i]), TIME_ISO_MICRO);
                json_close_object(&c->out);
                json_close_object(&c->out);
            }
            json_close_object(&c->out);
        }
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return r;
}

static int zones_list(struct call *c)
{
    return put_zones(c, false);
}

static int zones_detail(struct call *c)
{
    return put_zones(c, true);
}

/* ---- hosts of old ---- */

static int hosts_list(struct call *c)
{
    struct hosts l = { 0 };
    const char *wanted = call_arg(c, "zone");
    int r = hosts_all(c, &l);
    json_open_object(&c->out);
    json_put_array(&c->out, "hosts");
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const char *zone;
        r = host_zone(c->txn, l.v[i]->head.id, &zone);
        if (r || (!str_empty(wanted) && !STREQ(wanted, zone)))
            continue;
        json_open_object(&c->out);
        json_put_string(&c->out, "host_name", l.v[i]->head.id);
        json_put_string(&c->out, "service", "compute");
        json_put_string(&c->out, "zone", zone);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return r;
}

static void put_resource(struct call *c, const char *host, const char *project, int64_t cpu, int64_t memory, int64_t disk)
{
    json_open_object(&c->out);
    json_put_object(&c->out, "resource");
    json_put_string(&c->out, "host", host);
    json_put_string(&c->out, "project", project);
    json_put_int(&c->out, "cpu", cpu);
    json_put_int(&c->out, "memory_mb", memory);
    json_put_int(&c->out, "disk_gb", disk);
    json_close_object(&c->out);
    json_close_object(&c->out);
}

static int host_show(struct call *c)
{
    struct compute_host *h;
    struct host_usage u;
    const char *name = call_param(c, "name");
    int r = call_read(c);
    r = r ? r : txn_get(c->txn, &COMPUTE_HOST_KIND, name, &h);
    if (r == 0 && (!h || !h->facts))
        return call_fault(c, 404, "ComputeHostNotFound", "Compute host %s could not be found.", name);
    r = r ? r : host_usage_count(c->txn, name, &u);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "host");
    put_resource(c, name, "(total)", h->facts->vcpus, h->facts->memory_mb, h->facts->disk_gb);
    put_resource(c, name, "(used_now)", u.vcpus, u.memory_mb, u.disk_gb);
    put_resource(c, name, "(used_max)", u.vcpus, u.memory_mb, u.disk_gb);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int named(struct call *c, struct compute_host **ret)
{
    const char *name = call_param(c, "name");
    int r = txn_get(c->txn, &COMPUTE_HOST_KIND, name, ret);
    if (r == 0 && !*ret)
        return call_fault(c, 404, "ComputeHostNotFound", "Compute host %s could not be found.", name);
    return r;
}

/* "status" enables and disables, as os-services does; maintenance is what this hypervisor has not. */
static int host_change(struct call *c)
{
    struct compute_host *h;
    const char *status = json_get_string(c->body, "status"), *maintenance = json_get_string(c->body, "maintenance_mode");
    size_t known = (status != NULL) + (maintenance != NULL);
    if (!known || json_object_size(c->body) != known ||
        (status && !STREQ(status, "enable") && !STREQ(status, "disable")) ||
        (maintenance && !STREQ(maintenance, "enable") && !STREQ(maintenance, "disable")))
        return call_fault(c, 400, "ValidationError", "Invalid input: status and maintenance_mode are enable or disable; "
                          "one of them is needed.");
    int r = named(c, &h);
    if (r)
        return r;
    if (maintenance)
        return call_fault(c, 501, "NotImplemented", "Virt driver does not implement host maintenance mode.");
    h->disabled = STREQ(status, "disable");
    r = txn_put(c->txn, &COMPUTE_HOST_KIND, h);
    json_open_object(&c->out);
    json_put_string(&c->out, "host", h->head.id);
    json_put_string(&c->out, "status", h->disabled ? "disabled" : "enabled");
    json_close_object(&c->out);
    return r;
}

static int host_update(struct call *c)
{
    return call_write(c, host_change);
}

/* Turning machines on and off is nobody's here: Nova's libvirt driver answers the same. */
static int host_power(struct call *c)
{
    struct compute_host *h;
    int r = call_read(c);
    r = r ? r : named(c, &h);
    return r ? r : call_fault(c, 501, "NotImplemented", "Virt driver does not implement host power management.");
}

#define H "/v2.1/os-hypervisors"
#define S "/v2.1/os-services"
static const struct route HOST_ROUTES[] = {
    { "GET", H, hypervisors_list, "os_compute_api:os-hypervisors:list", 0, .doc = "Hypervisors." },
    { "GET", H "/detail", hypervisors_detail, "os_compute_api:os-hypervisors:list-detail", 0, .doc = "With details." },
    { "GET", H "/statistics", hypervisors_statistics, "os_compute_api:os-hypervisors:statistics", 0, .until = 87,
      .doc = "Sums over all." },
    { "GET", H "/{id}", hypervisor_show, "os_compute_api:os-hypervisors:show", 0, .doc = "One hypervisor." },
    { "GET", H "/{id}/uptime", hypervisor_uptime, "os_compute_api:os-hypervisors:uptime", 0, .until = 87,
      .doc = "How long it is up." },
    { "GET", H "/{id}/search", hypervisors_search, "os_compute_api:os-hypervisors:search", 0, .until = 52,
      .doc = "Those whose names hold this." },
    { "GET", H "/{id}/servers", hypervisors_servers, "os_compute_api:os-hypervisors:servers", 0, .until = 52,
      .doc = "Their servers." },
    { "GET", S, services_list, "os_compute_api:os-services:list", 0, .doc = "Services." },
    { "PUT", S "/{id}", service_write, "os_compute_api:os-services:update", 0, .doc = "Enables, disables, forces down." },
    { "DELETE", S "/{id}", service_delete, "os_compute_api:os-services:delete", 0, .status = 204, .doc = "Forgets it." },
    { "GET", "/v2.1/os-availability-zone", zones_list, "os_compute_api:os-availability-zone:list", 0, .doc = "Zones." },
    { "GET", "/v2.1/os-availability-zone/detail", zones_detail, "os_compute_api:os-availability-zone:detail", 0,
      .doc = "Zones with their hosts." },
    { "GET", "/v2.1/os-hosts", hosts_list, "os_compute_api:os-hosts:list", 0, .until = 42, .doc = "Hosts of old." },
    { "GET", "/v2.1/os-hosts/{name}", host_show, "os_compute_api:os-hosts:show", 0, .until = 42, .doc = "One of them." },
    { "PUT", "/v2.1/os-hosts/{name}", host_update, "os_compute_api:os-hosts:update", 0, .until = 42,
      .doc = "Enables or disables it." },
    { "GET", "/v2.1/os-hosts/{name}/startup", host_power, "os_compute_api:os-hosts:start", 0, .until = 42, .doc = "501." },
    { "GET", "/v2.1/os-hosts/{name}/shutdown", host_power, "os_compute_api:os-hosts:shutdown", 0, .until = 42,
      .doc = "501." },
    { "GET", "/v2.1/os-hosts/{name}/reboot", host_power, "os_compute_api:os-hosts:reboot", 0, .until = 42, .doc = "501." },
};
static const struct policy_rule HOST_RULES[] = {
    { "os_compute_api:os-hypervisors:list", RULE_ADMIN, "List hypervisors." },
    { "os_compute_api:os-hypervisors:list-detail", RULE_ADMIN, "List them with details." },
    { "os_compute_api:os-hypervisors:statistics", RULE_ADMIN, "Sums over hypervisors." },
    { "os_compute_api:os-hypervisors:show", RULE_ADMIN, "See a hypervisor." },
    { "os_compute_api:os-hypervisors:uptime", RULE_ADMIN, "See how long it is up." },
    { "os_compute_api:os-hypervisors:search", RULE_ADMIN, "Search hypervisors." },
    { "os_compute_api:os-hypervisors:servers", RULE_ADMIN, "See their servers." },
    { "os_compute_api:os-services:list", RULE_ADMIN, "List services." },
    { "os_compute_api:os-services:update", RULE_ADMIN, "Enable and disable services." },
    { "os_compute_api:os-services:delete", RULE_ADMIN, "Delete services." },
    { "os_compute_api:os-availability-zone:list", RULE_ANY, "List zones." },
    { "os_compute_api:os-availability-zone:detail", RULE_ADMIN, "List zones with their hosts." },
    { "os_compute_api:os-hosts:list", RULE_ADMIN, "List hosts." },
    { "os_compute_api:os-hosts:show", RULE_ADMIN, "See a host." },
    { "os_compute_api:os-hosts:update", RULE_ADMIN, "Enable or disable a host." },
    { "os_compute_api:os-hosts:start", RULE_ADMIN, "Start a host." },
    { "os_compute_api:os-hosts:shutdown", RULE_ADMIN, "Shut a host down." },
    { "os_compute_api:os-hosts:reboot", RULE_ADMIN, "Reboot a host." },
};
COMPUTE_PART(HOST_PART, HOST_ROUTES, HOST_RULES);
