/*
 * Actions that make a server's disk or place anew: rebuild, rescue, shelve, evacuate.
 */
#include "compute/actions.h"

#include <errno.h>
#include <stdio.h>

#define ACTION(name) \
    static int name(struct call *c, struct server *s, const void *in, const struct given *given, bool *gone)
#define UNUSED_ARGUMENTS (void)c, (void)s, (void)in, (void)given, (void)gone

static bool from_volume(const struct server *s)
{
    VEC_FOREACH(b, &s->bdms)
        if (b->boot_index == 0 && str_eq(b->destination_type, "volume"))
            return true;
    return false;
}

/* ---- rebuild ---- */

struct rebuild_in {
    const char *image, *name, *password, *disk_config, *access4, *access6, *description, *key_name, *user_data,
        *certs, *hostname;
    struct strmap metadata;
    VEC_OF(struct server_file) personality;
    bool preserve_ephemeral;
};
static const char *const DISK_CONFIGS[] = { "AUTO", "MANUAL", NULL };
#define B(key, member, kind_, flags_, ...) \
    { key, kind_, offsetof(struct rebuild_in, member), IN_CREATE | (flags_), ##__VA_ARGS__, .doc = key }
static const struct field REBUILD_ROWS[] = {
    B("imageRef", image, FIELD_STRING, REQUIRED, .check = check_uuid),
    B("name", name, FIELD_STRING, 0, .min = 1, .max = 255, .check = check_name),
    B("adminPass", password, FIELD_STRING, SECRET),
    B("metadata", metadata, FIELD_MAP, 0, .max = 255),
    B("preserve_ephemeral", preserve_ephemeral, FIELD_BOOL, LOOSE),
    B("OS-DCF:diskConfig", disk_config, FIELD_STRING, 0, .values = DISK_CONFIGS),
    B("accessIPv4", access4, FIELD_STRING, 0, .check = check_ipv4),
    B("accessIPv6", access6, FIELD_STRING, 0, .check = check_ipv6),
    B("personality", personality, FIELD_OBJECTS, 0, .sub = &FILE_IN_SCHEMA, .until = 56),
    B("description", description, FIELD_STRING, NULLABLE, .max = 255, .since = 19),
    B("key_name", key_name, FIELD_STRING, NULLABLE, .min = 1, .max = 255, .since = 54),
    B("user_data", user_data, FIELD_STRING, NULLABLE | SECRET, .max = 65535, .check = check_base64, .since = 57),
    B("trusted_image_certificates", certs, FIELD_JSON, NULLABLE, .since = 63),
    B("hostname", hostname, FIELD_STRING, 0, .min = 2, .max = 63, .check = check_hostname, .since = 90),
};
static SCHEMA(REBUILD_SCHEMA, struct rebuild_in, REBUILD_ROWS);

static int rebuild_key(struct call *c, struct server *s, const char *key_name)
{
    s->key_name = key_name;
    s->keys = (__typeof__(s->keys)){ 0 };
    if (!key_name)
        return 0;
    struct keypair *k;
    const char *name = arena_printf(c->arena, "%s/%s", str_or(s->user_id, ""), key_name);
    int r = txn_find_by(c->txn, &KEYPAIR_KIND, "user_name", name, &k);
    if (r < 0)
        return r;
    if (!k)
        return call_fault(c, 400, "KeypairNotFound", "Invalid key_name provided.");
    struct server_key *key = vec_add(c->arena, &s->keys);
    if (!key)
        return -ENOMEM;
    *key = (struct server_key){ k->name, k->public_key, k->type };
    return 0;
}

static int rebuild_take(struct call *c, struct server *s, const struct rebuild_in *in, const struct given *given)
{
#define GAVE(member) GIVEN(given, &REBUILD_SCHEMA, struct rebuild_in, member)
    if (GAVE(name))
        s->display_name = in->name;
    if (GAVE(metadata)) {
        int r = metadata_check(c, &in->metadata);
        if (r)
            return r;
        s->metadata = in->metadata;
    }
    if (GAVE(disk_config))
        s->auto_disk_config = STREQ(in->disk_config, "AUTO");
    if (GAVE(access4))
        s->access_ip_v4 = *in->access4 ? in->access4 : NULL;
    if (GAVE(access6))
        s->access_ip_v6 = ipv6_plain(c->arena, in->access6);
    if (GAVE(description))
        s->display_description = in->description;
    if (GAVE(user_data))
        s->user_data = in->user_data;
    if (GAVE(certs))
        s->trusted_certs = in->certs;
    if (GAVE(hostname))
        s->hostname = in->hostname;
    if (GAVE(personality)) {
        s->personality.n = 0;
        VEC_FOREACH(f, &in->personality)
            if (!vec_push(c->arena, &s->personality, *f))
                return -ENOMEM;
    }
    return GAVE(key_name) ? rebuild_key(c, s, in->key_name) : 0;
#undef GAVE
}

ACTION(rebuild)
{
    const struct rebuild_in *want = in;
    struct server_image *image;
    (void)gone;
    if (from_volume(s) && !str_eq(s->image_ref, want->image))
        return call_fault(c, 400, "BadRequest", "Unable to rebuild with a different image for a volume-backed "
                          "server.");
    int r = server_image_check(c, want->image, s->flavor, !from_volume(s), &image);
    r = r ? r : rebuild_take(c, s, want, given);
    if (r)
        return r;
    s->image = image;
    s->image_ref = want->image;
    s->admin_password = want->password ? want->password : password_new(c->arena);
    s->kernel_id = image->kernel_id;
    s->ramdisk_id = image->ramdisk_id;
    s->rebuild++;
    s->power = STREQ(s->vm_state, VM_STOPPED) ? POWER_SHUTOFF : POWER_RUNNING;
    s->progress = 0;
    server_order(s);
    s->updated_at = clock_wall();
    r = server_task(s, TASK_REBUILDING);
    return r ? r : server_render_one(c, s, VIEW_REBUILD);
}

/* ---- rescue ---- */

struct rescue_in { const char *password, *image; };
static const struct field RESCUE_ROWS[] = {
    { "adminPass", FIELD_STRING, offsetof(struct rescue_in, password), IN_CREATE | SECRET, .doc = "Password." },
    { "rescue_image_ref", FIELD_STRING, offsetof(struct rescue_in, image), IN_CREATE, .check = check_uuid,
      .doc = "The image to boot from." },
};
static SCHEMA(RESCUE_SCHEMA, struct rescue_in, RESCUE_ROWS);

ACTION(rescue)
{
    const struct rescue_in *want = in;
    UNUSED_ARGUMENTS;
    if (from_volume(s) && c->minor < 87)
        return call_fault(c, 400, "InstanceNotRescuable", "Instance %s cannot be rescued: Cannot rescue a "
                          "volume-backed instance", s->head.id);
    const char *image = want->image ? want->image : s->image_ref;
    if (str_empty(image))
        return call_fault(c, 400, "InstanceNotRescuable", "Instance %s cannot be rescued: an image is needed",
                          s->head.id);
    int r = server_image_check(c, image, s->flavor, false, &s->rescue_image);
    if (r)
        return r;
    s->vm_state_before = s->vm_state;
    s->rescue_password = want->password ? want->password : password_new(c->arena);
    s->rescue = true;
    s->power = POWER_RUNNING;
    server_order(s);
    json_open_object(&c->out);
    json_put_string(&c->out, "adminPass", s->rescue_password);
    json_close_object(&c->out);
    return server_task(s, TASK_RESCUING);
}

ACTION(unrescue)
{
    UNUSED_ARGUMENTS;
    s->rescue = false;
    s->power = POWER_RUNNING;
    server_order(s);
    return server_task(s, TASK_UNRESCUING);
}

/* ---- shelve ---- */

ACTION(shelve)
{
    UNUSED_ARGUMENTS;
    s->vm_state_before = s->vm_state;
    s->power = POWER_SHUTOFF;
    server_order(s);
    int r = 0;
    if (!from_volume(s) && s->image)
        r = snapshot_begin(c, s, arena_printf(c->arena, "%s-shelved", s->display_name), "shelve", NULL,
                           &s->shelved_image);
    return r ? r : server_task(s, TASK_SHELVING);
}

int server_offload(struct txn *t, struct server *s)
{
    if (!str_empty(s->host)) {
        int r = leg_add(t, s, s->host, LEG_CLEANUP, NULL, NULL);
        r = r < 0 ? r : network_ports_bind(t, s->head.id, "", NULL);
        r = r < 0 ? r : volumes_moved(t, s, "");
        if (r < 0)
            return r;
    }
    s->host = s->node = NULL;
    s->claim_vcpus = s->claim_memory_mb = s->claim_disk_gb = 0;
    s->power_state = PS_SHUTDOWN;
    s->vnc_port = s->spice_port = s->spice_tls_port = 0;
    server_order(s);
    return server_move(s, VM_SHELVED_OFFLOADED, NULL);
}

ACTION(shelve_offload)
{
    UNUSED_ARGUMENTS;
    return server_offload(c->txn, s);
}

struct unshelve_in { const char *zone, *host; };
static const struct field UNSHELVE_ROWS[] = {
    { "availability_zone", FIELD_STRING, offsetof(struct unshelve_in, zone), IN_CREATE | NULLABLE, .since = 77,
      .max = 255, .doc = "Where to." },
    { "host", FIELD_STRING, offsetof(struct unshelve_in, host), IN_CREATE, .since = 91, .doc = "Which host." },
};
static SCHEMA(UNSHELVE_SCHEMA, struct unshelve_in, UNSHELVE_ROWS);

ACTION(unshelve)
{
    const struct unshelve_in *want = in;
    (void)gone;
    if (want->host) {
        int r = call_require(c, "os_compute_api:os-shelve:shelve_offload", NULL);
        if (r)
            return r;
        struct compute_host *h;
        r = txn_get(c->txn, &COMPUTE_HOST_KIND, want->host, &h);
        if (r < 0)
            return r;
        if (!h)
            return call_fault(c, 400, "ComputeHostNotFound", "Compute host %s could not be found.", want->host);
        s->requested_host = want->host;
        s->requested_host_checked = true;
    }
    if (GIVEN(given, &UNSHELVE_SCHEMA, struct unshelve_in, zone)) {
        if (!STREQ(s->vm_state, VM_SHELVED_OFFLOADED))
            return call_fault(c, 409, "UnshelveInstanceInvalidState", "Specifying an availability zone when "
                              "unshelving server %s with status \"%s\" is not supported. The server status must be "
                              "SHELVED_OFFLOADED.", s->head.id, s->vm_state);
        s->availability_zone = want->zone;
    }
    s->hosts_tried = (struct strv){ 0 };
    s->power = POWER_RUNNING;
    server_order(s);
    if (STREQ(s->vm_state, VM_SHELVED))
        return server_task(s, TASK_UNSHELVING);
    if (s->shelved_image) {
        struct server_image *image;
        int r = server_image_check(c, s->shelved_image, s->flavor, false, &image);
        if (r)
            return r;
        s->image = image;
    }
    return server_task(s, TASK_UNSHELVING);
}

/* ---- evacuate ---- */

struct evacuate_in { const char *host, *password; bool shared, force; };
static const struct field EVACUATE_ROWS[] = {
    { "host", FIELD_STRING, offsetof(struct evacuate_in, host), IN_CREATE, .min = 1, .max = 255, .doc = "Where to." },
    { "onSharedStorage", FIELD_BOOL, offsetof(struct evacuate_in, shared), IN_CREATE | REQUIRED | LOOSE, .until = 13,
      .doc = "The disk is there too." },
    { "adminPass", FIELD_STRING, offsetof(struct evacuate_in, password), IN_CREATE | SECRET, .doc = "Password." },
    { "force", FIELD_BOOL, offsetof(struct evacuate_in, force), IN_CREATE | LOOSE, .since = 29, .until = 67,
      .doc = "Without filters." },
};
static SCHEMA(EVACUATE_SCHEMA, struct evacuate_in, EVACUATE_ROWS);

ACTION(evacuate)
{
    const struct evacuate_in *want = in;
    UNUSED_ARGUMENTS;
    struct compute_host *h;
    int r = txn_get(c->txn, &COMPUTE_HOST_KIND, str_or(s->host, ""), &h);
    if (r < 0)
        return r;
    if (h && host_up(c->api, h))
        return call_fault(c, 400, "ComputeServiceInUse", "Compute service of %s is still in use.", s->host);
    if (want->host) {
        struct compute_host *to;
        r = txn_get(c->txn, &COMPUTE_HOST_KIND, want->host, &to);
        if (r < 0)
            return r;
        if (!to)
            return call_fault(c, 400, "ComputeHostNotFound", "Compute host %s not found.", want->host);
        if (STREQ(want->host, s->host))
            return call_fault(c, 400, "BadRequest", "The target host can't be the same one.");
    }
    r = leg_add(c->txn, s, s->host, LEG_CLEANUP, NULL, NULL);
    r = r ? r : migration_record(c->txn, s, "evacuation", "accepted", want->host);
    r = r ? r : volumes_moved(c->txn, s, "");
    if (r)
        return r;
    s->hosts_tried = (struct strv){ 0 };
    strv_add(c->arena, &s->hosts_tried, s->host);
    s->requested_host = want->host;
    s->requested_host_checked = !want->force;
    s->host = s->node = NULL;
    s->claim_vcpus = s->claim_memory_mb = s->claim_disk_gb = 0;
    s->admin_password = want->password ? want->password : password_new(c->arena);
    s->power = STREQ(s->vm_state, VM_STOPPED) ? POWER_SHUTOFF : POWER_RUNNING;
    server_order(s);
    if (c->minor < 14) {
        json_open_object(&c->out);
        json_put_string(&c->out, "adminPass", s->admin_password);
        json_close_object(&c->out);
    }
    return server_task(s, TASK_REBUILDING);
}

#define ALIVE_STATES (IN_ACTIVE | IN_STOPPED | IN_PAUSED | IN_SUSPENDED)
const struct server_action BUILD_ACTIONS[] = {
    { "rebuild", .rule = "os_compute_api:servers:rebuild", .vm = IN_ACTIVE | IN_STOPPED | IN_ERROR,
      .flags = ACT_OBJECT, .record = "rebuild", .in = &REBUILD_SCHEMA, .fn = rebuild },
    { "rescue", .status = 200, .rule = "os_compute_api:os-rescue", .vm = IN_ACTIVE | IN_STOPPED | IN_ERROR,
      .record = "rescue", .in = &RESCUE_SCHEMA, .fn = rescue },
    { "unrescue", .rule = "os_compute_api:os-unrescue", .vm = IN_RESCUED, .record = "unrescue", .fn = unrescue },
    { "shelve", .rule = "os_compute_api:os-shelve:shelve", .vm = ALIVE_STATES, .record = "shelve", .fn = shelve },
    { "shelveOffload", .rule = "os_compute_api:os-shelve:shelve_offload", .vm = IN_SHELVED,
      .record = "shelveOffload", .verb = "shelve_offload", .fn = shelve_offload },
    { "unshelve", .rule = "os_compute_api:os-shelve:unshelve", .vm = IN_SHELVED | IN_OFFLOADED,
      .record = "unshelve", .in = &UNSHELVE_SCHEMA, .fn = unshelve },
    { "evacuate", .status = 200, .rule = "os_compute_api:os-evacuate", .vm = IN_ACTIVE | IN_STOPPED | IN_ERROR,
      .flags = ACT_OBJECT | ACT_BUSY_TOO, .record = "evacuate", .in = &EVACUATE_SCHEMA, .fn = evacuate },
    { NULL },
};
