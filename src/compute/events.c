/*
 * Events from other services (os-server-external-events) and the list of extensions.
 *
 * Nothing here waits for an event: each service of this cloud writes its state where the others see
 * it. Events are checked and answered, for clients that send them.
 */
#include "compute/internal.h"

#include <errno.h>

/* ---- external events ---- */

struct event_in { const char *name, *server_id, *status, *tag; };
static const char *const NAMES[] = { "network-changed", "network-vif-plugged", "network-vif-unplugged",
                                     "network-vif-deleted", "volume-extended", "power-update",
                                     "accelerator-request-bound", "volume-reimaged", NULL };
static const char *const STATUSES[] = { "failed", "completed", "in-progress", NULL };
static const struct field EVENT_ROWS[] = {
    { "name", FIELD_STRING, offsetof(struct event_in, name), IN_CREATE | REQUIRED, .values = NAMES, .doc = "What." },
    { "server_uuid", FIELD_STRING, offsetof(struct event_in, server_id), IN_CREATE | REQUIRED, .check = check_uuid,
      .doc = "Of which server." },
    { "status", FIELD_STRING, offsetof(struct event_in, status), IN_CREATE, .values = STATUSES,
      .otherwise = "completed", .doc = "How it went." },
    { "tag", FIELD_STRING, offsetof(struct event_in, tag), IN_CREATE, .max = 255, .doc = "Of what, a port's id." },
};
static SCHEMA(EVENT_IN_SCHEMA, struct event_in, EVENT_ROWS);
struct events_in { VEC_OF(struct event_in) events; };
static const struct field EVENTS_ROWS[] = {
    { "events", FIELD_OBJECTS, offsetof(struct events_in, events), IN_CREATE | REQUIRED, .sub = &EVENT_IN_SCHEMA,
      .doc = "Events." },
};
static SCHEMA(EVENTS_IN_SCHEMA, struct events_in, EVENTS_ROWS);

static int events_post(struct call *c)
{
    const struct events_in *in = c->in;
    size_t good = 0;
    if (!in->events.n)
        return call_fault(c, 400, "ValidationError", "'events' is too short");
    int r = call_read(c);
    if (r < 0)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "events");
    VEC_FOREACH(e, &in->events) {
        struct server *s;
        r = txn_get(c->txn, &SERVER_KIND, e->server_id, &s);
        if (r < 0)
            return r;
        int code = !s ? 404 : str_empty(s->host) ? 422 : 200;
        good += code == 200;
        json_open_object(&c->out);
        json_put_string(&c->out, "name", e->name);
        json_put_string(&c->out, "server_uuid", e->server_id);
        json_put_string(&c->out, "status", code == 200 ? e->status : "failed");
        if (e->tag)
            json_put_string(&c->out, "tag", e->tag);
        json_put_int(&c->out, "code", code);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    if (!good)
        return call_fault(c, 404, "NotFound", "No instances found for any event");
    c->status = good == in->events.n ? 200 : 207;
    return 0;
}

/* ---- extensions: families of resources by the names they once had ---- */

static const struct { const char *alias, *name; } EXTENSIONS[] = {
    { "os-hosts", "Hosts" }, { "os-aggregates", "Aggregates" }, { "os-keypairs", "Keypairs" },
    { "os-hypervisors", "Hypervisors" }, { "os-services", "Services" }, { "os-consoles", "Consoles" },
    { "os-remote-consoles", "Consoles" }, { "os-console-output", "ConsoleOutput" },
    { "os-availability-zone", "AvailabilityZone" }, { "os-quota-sets", "Quotas" },
    { "os-server-groups", "ServerGroups" }, { "os-instance-actions", "InstanceActions" },
    { "os-migrations", "Migrations" }, { "os-attach-interfaces", "AttachInterfaces" },
    { "os-volumes", "Volumes" }, { "os-rescue", "Rescue" }, { "os-shelve", "Shelve" },
    { "os-lock-server", "LockServer" }, { "os-pause-server", "PauseServer" },
    { "os-suspend-server", "SuspendServer" }, { "os-admin-actions", "AdminActions" },
    { "os-admin-password", "AdminPassword" }, { "os-create-backup", "CreateBackup" },
    { "os-evacuate", "Evacuate" }, { "os-server-diagnostics", "ServerDiagnostics" },
    { "os-server-external-events", "ServerExternalEvents" }, { "os-server-password", "ServerPassword" },
    { "os-flavor-manage", "FlavorManage" }, { "os-flavor-access", "FlavorAccess" },
    { "os-flavor-extra-specs", "FlavorExtraSpecs" }, { "os-deferred-delete", "DeferredDelete" },
    { "servers", "Servers" }, { "flavors", "Flavors" }, { "images", "Images" }, { "limits", "Limits" },
};

static void put_extension(struct json_out *o, size_t i)
{
    json_open_object(o);
    json_put_string(o, "alias", EXTENSIONS[i].alias);
    json_put_string(o, "name", EXTENSIONS[i].name);
    json_put_string(o, "description", EXTENSIONS[i].name);
    json_put_string(o, "namespace", "http://docs.openstack.org/compute/ext/fake_xml");
    json_put_string(o, "updated", "2014-12-03T00:00:00Z");
    json_put_array(o, "links");
    json_close_array(o);
    json_close_object(o);
}

static int extensions_list(struct call *c)
{
    json_open_object(&c->out);
    json_put_array(&c->out, "extensions");
    for (size_t i = 0; i < ARRAY_SIZE(EXTENSIONS); i++)
        put_extension(&c->out, i);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int extension_show(struct call *c)
{
    const char *alias = call_param(c, "alias");
    for (size_t i = 0; i < ARRAY_SIZE(EXTENSIONS); i++) {
        if (!STREQ(EXTENSIONS[i].alias, alias))
            continue;
        json_open_object(&c->out);
        json_key(&c->out, "extension");
        put_extension(&c->out, i);
        json_close_object(&c->out);
        return 0;
    }
    return call_fault(c, 404, "NotFound", "There is no extension %s.", alias);
}

static const struct route EVENT_ROUTES[] = {
    { "POST", "/v2.1/os-server-external-events", events_post, "os_compute_api:os-server-external-events:create",
      ROUTE_INLINE, .body = &EVENTS_IN_SCHEMA, .mode = DECODE_CREATE, .doc = "Takes events of other services." },
    { "GET", "/v2.1/extensions", extensions_list, NULL, 0, .doc = "Families of resources." },
    { "GET", "/v2.1/extensions/{alias}", extension_show, NULL, 0, .doc = "One of them." },
};
static const struct policy_rule EVENT_RULES[] = {
    { "os_compute_api:os-server-external-events:create", RULE_ADMIN, "Send events of other services." },
};
COMPUTE_PART(EVENT_PART, EVENT_ROUTES, EVENT_RULES);
